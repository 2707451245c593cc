"""Every kind of layer: what the graph does is what plain loops over the file's numbers do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from spikec.compiler.frontends.lavadl import read_lavadl
from spikec.compiler.integer.executor import Executor
from spikec.ir.connections import Conv2d, Sparse
from spikec.ir.diagnostics import Diagnostic
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph
from spikec.ir.loihi import LoihiWeights, Sign
from spikec.ir.text import parse, text

from .files import Ints, Layer, conv, dense, drawn, given, neuron, outputs, write

STEPS = 24


def spikes(graph: Graph, x: Ints) -> list[Ints]:
    """The spikes of every population, (steps, neurons), from the first step of each."""
    names = [p.name for p in graph.populations]
    stimulus = Stimulus({"input": Events.from_dense(x.reshape(1, len(x), -1))})
    run = Executor(graph).run(stimulus, populations=names)
    return [run.spikes[name].dense(0) for name in names]


def check(layers: list[Layer], path: Path, seed: int = 0, most: int = 1) -> Graph:
    """The graph of these layers, after all of its spikes were compared."""
    graph, _ = read_lavadl(write(path, layers))
    assert parse(text(graph)) == graph
    shape = graph.inputs[0].shape
    x = np.random.default_rng(seed).integers(0, most + 1, (STEPS, *shape))
    ours, wanted = spikes(graph, x), outputs(layers, x)
    assert len(ours) == len(wanted)
    for a, b in zip(ours, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(a.any() for a in wanted[:1])
    return graph


def numbers(seed: int, *shape: int, low: int = -12, high: int = 30) -> Ints:
    return np.random.default_rng(seed).integers(low, high + 1, shape) * 2


def test_dense(tmp_path: Path) -> None:
    layers = [given(7), dense(numbers(1, 5, 7)), dense(numbers(2, 3, 5), bias=[4.0, -2.0, 0.0])]
    graph = check(layers, tmp_path / "dense.net")
    assert [p.name for p in graph.populations] == ["layer1", "layer2"]
    assert [p.lag for p in graph.populations] == [1, 2]
    assert (graph.name, graph.dt, graph.dialect) == ("dense", 1e-3, "lava")
    assert [(o.name, o.source) for o in graph.outputs] == [("output", "layer2")]


def test_a_flat_weight_and_no_input_layer(tmp_path: Path) -> None:
    flat = dense(numbers(1, 5, 7).ravel(), shape=[5, 1, 1], inFeatures=7, outFeatures=5)
    graph = check([flat], tmp_path / "flat.net")
    assert graph.inputs[0].shape == (7,)
    assert graph.populations[0].name == "layer0"


def test_the_image_is_flattened_channel_by_channel(tmp_path: Path) -> None:
    flatten = {"type": "flatten", "shape": [24, 1, 1]}
    for middle in ([flatten], []):
        check([given(2, 3, 4), *middle, dense(numbers(3, 5, 24))], tmp_path / "flatten.net")


@pytest.mark.parametrize(
    ("weight", "shape", "more"),
    [
        ((4, 2, 3, 3), (4, 4, 5), {}),
        ((4, 2, 3, 3, 1), (4, 4, 5), {}),
        ((4, 1, 3, 2), (4, 4, 6), {"groups": 2}),
        ((4, 2, 3, 3), (4, 3, 4), {"stride": [2, 2], "padding": [1, 1]}),
        ((4, 2, 2, 3), (4, 3, 7), {"stride": [2, 1], "padding": [1, 1], "dilation": [2, 1]}),
    ],
)
def test_conv(
    weight: tuple[int, ...], shape: tuple[int, ...], more: dict[str, Any], tmp_path: Path
) -> None:
    bias = np.arange(4.0) * 3
    layer = conv(numbers(4, *weight), shape, bias=bias, **more)
    check([given(2, 6, 7), layer], tmp_path / "conv.net")


@pytest.mark.parametrize("height", [5, 6])
def test_pool_adds_zeros_behind_odd_images(height: int, tmp_path: Path) -> None:
    layer = conv(np.full((1, 1, 2, 2, 1), 38), (2, 3, 3), "pool", stride=[2, 2])
    graph = check([given(2, height, 6), layer], tmp_path / "pool.net")
    stage = graph.projections[0].connection
    assert isinstance(stage, Conv2d) and stage.groups == 2


def test_pool_adds_as_many_zeros_as_the_trainer(tmp_path: Path) -> None:
    """Seven columns under a window of four: three more, as the remainder says, not one."""
    layer = conv(np.full((1, 1, 4, 4), 38), (2, 2, 2), "pool", stride=[4, 4])
    graph = check([given(2, 6, 7), layer], tmp_path / "pool.net")
    stage = graph.projections[0].connection
    assert isinstance(stage, Conv2d) and stage.padding == ((0, 2), (0, 3))


def test_parameters_of_channels_and_of_neurons(tmp_path: Path) -> None:
    by_channel = neuron(vThMant=[10, 20, 30, 40], iDecay=[1, 4096, 2048, 100], vDecay=0)
    bias = np.arange(4 * 4 * 5)
    layer = conv(numbers(4, 4, 2, 3, 3), (4, 4, 5), neuron=by_channel, bias=bias)
    graph = check([given(2, 6, 7), layer], tmp_path / "each.net")
    assert graph.populations[0].neuron.bias_mant.shape == (4, 4, 5)  # type: ignore[attr-defined]


def test_delays(tmp_path: Path) -> None:
    """Of all neurons alike a delay of the projection, of each the delays of its synapses."""
    first = [given(6), dense(numbers(5, 4, 6), delay=[3.0])]
    graph = check([*first, dense(numbers(6, 3, 4))], tmp_path / "alike.net")
    assert graph.projections[1].delay == 4
    first[1] = dense(numbers(5, 4, 6), delay=[0.0, 2.0, 5.0, 0.0])
    graph = check([*first, dense(numbers(6, 3, 4))], tmp_path / "each.net")
    stage = graph.projections[1].connection
    assert isinstance(stage, Sparse) and stage.steps is not None and stage.steps.max() == 5
    image = conv(numbers(7, 2, 1, 2, 2), (2, 3, 3), delay=[4.0, 1.0])
    odd = conv(numbers(8, 3, 2, 2, 2) + 1, (3, 2, 2))
    check([given(1, 4, 4), image, odd], tmp_path / "image.net")


@pytest.mark.parametrize(("weight", "bias"), [(36, 34), (-9, 3), (None, None)])
def test_the_input_neuron(weight: int | None, bias: int | None, tmp_path: Path) -> None:
    """A bias in every step, past the synaptic current that the trainer filters it by."""
    fields = {"weight": weight, "bias": bias}
    own = {k: np.array([[v]], np.float32) for k, v in fields.items() if v is not None}
    layers = [given(2, 3, neuron=neuron(iDecay=4096), **own), dense(numbers(9, 3, 6))]
    graph = check(layers, tmp_path / "input.net", most=2 * abs(weight or 64))
    _, found = read_lavadl(tmp_path / "input.net")
    assert [d.code for d in found] == ["N0137"]
    assert f"--input-max {2 * abs(weight or 64)}" in str(found[0])
    assert [p.name for p in graph.projections] == ["input0", "dense1"]
    layers[0]["neuron"] = neuron(iDecay=1000)
    check(layers, tmp_path / "filtered.net", most=2 * abs(weight or 64))
    _, found = read_lavadl(tmp_path / "filtered.net")
    assert [d.code for d in found] == ["W0128", "N0137"]


@settings(max_examples=30)
@forall(seed=st.integers(0, 2**32 - 1))
def test_random_networks(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    r = np.random.default_rng(seed)

    layers = drawn(r)
    graph, _ = read_lavadl(write(tmp_path_factory.mktemp("net") / "random.net", layers))
    x = r.integers(0, 3, (STEPS, 2, 5, 6))
    for a, b in zip(spikes(graph, x), outputs(layers, x), strict=True):
        np.testing.assert_array_equal(a, b)


def form(weight: Ints, tmp_path: Path) -> tuple[Ints, LoihiWeights, tuple[Diagnostic, ...]]:
    graph, found = read_lavadl(write(tmp_path / "words.net", [dense(weight)]))
    (p,) = graph.projections
    assert p.words is not None
    return p.connection.weight, p.words, found  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("weight", "sign", "exponent"),
    [
        ([3, 255], Sign.EXCITATORY, 0),
        ([-255, -4], Sign.INHIBITORY, 0),
        ([0, 0], Sign.EXCITATORY, 0),
        ([-256, 254], Sign.MIXED, 0),
        ([-127, 127], Sign.MIXED, -1),
        ([-256, -2], Sign.INHIBITORY, 1),
        ([-400, 300], Sign.MIXED, 1),
        ([128 * 255, 128], Sign.EXCITATORY, 7),
    ],
)
def test_weights_keep_every_bit(
    weight: list[int], sign: Sign, exponent: int, tmp_path: Path
) -> None:
    whole, words, found = form(np.array([weight]), tmp_path)
    assert (words.sign, words.exponent, found) == (sign, exponent, ())
    np.testing.assert_array_equal(whole * 2.0**exponent, [weight])


@pytest.mark.parametrize(
    ("weight", "read", "lost"), [([-129, 255], [-130, 254], 1), ([301, 0], [300, 0], 1)]
)
def test_weights_of_too_many_bits_are_cut(
    weight: list[int], read: list[int], lost: int, tmp_path: Path
) -> None:
    whole, words, found = form(np.array([weight]), tmp_path)
    np.testing.assert_array_equal(whole * 2.0**words.exponent, [read])
    (said,) = found
    assert said.code == "W0138" and f"lose up to {lost}" in said.message


def test_a_field_that_nobody_knows_is_told(tmp_path: Path) -> None:
    layer = dense([[8]], wonder=np.ones(3), neuron=neuron(tauRho=0.5, marvel=1))
    _, found = read_lavadl(write(tmp_path / "more.net", [layer]))
    assert [d.code for d in found] == ["W0134", "W0134"]
    assert [d.where.node for d in found] == ["layer/0", "layer/0/neuron"]
    assert "'wonder'" in found[0].message and "'marvel'" in found[1].message
