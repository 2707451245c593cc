"""tiny.net of Lava-DL's own tests: every layer against the ground truth that comes with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikec.compiler.cli.main import invoke
from spikec.compiler.frontends import read_network
from spikec.compiler.integer.executor import Executor
from spikec.ir.connections import Conv2d
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph
from spikec.ir.neurons import LoihiLIF

from ..backends.loihi.networks import lava_python

STEPS = 16
Ints = npt.NDArray[np.int64]


@pytest.fixture(scope="module")
def place(data_dir: Path) -> Path:
    path = data_dir / "lava_dl"
    if not (path / "tiny.net").is_file():
        pytest.skip(f"no tiny.net in {path}")
    return path


@pytest.fixture(scope="module")
def graph(place: Path) -> Graph:
    return read_network(place / "tiny.net")[0]


def truth(place: Path, name: str) -> npt.NDArray[Any]:
    """(steps, neurons) of a recording, (1, C, H, W, steps); its first step is before the first."""
    recorded = np.load(place / "tinynet" / f"{name}.npy")[0]
    whole = recorded.reshape(-1, STEPS).T
    assert not whole[0].any()
    return np.asarray(whole[1:])


def run(graph: Graph, x: Ints) -> Recording:
    stimulus = Stimulus({"input": Events.from_dense(x.reshape(1, len(x), -1))})
    names = [p.name for p in graph.populations]
    states = [(name, "u") for name in names]
    return Executor(graph).run(stimulus, populations=names, record=states)


@pytest.fixture(scope="module")
def counts(graph: Graph, place: Path) -> Ints:
    """weight * x + |weight| of the sample whose input biases are recorded as (W, H, C)."""
    biases = np.load(place / "tinynet" / "input_bias.npy").transpose(2, 1, 0)
    cell = graph.populations[0].neuron
    assert isinstance(cell, LoihiLIF)
    counts = biases.astype(np.int64) - int(cell.bias_mant)
    assert counts.min() >= 0 and counts.max() <= 2 * 36
    return np.broadcast_to(counts, (STEPS + 3, *counts.shape))


@pytest.fixture(scope="module")
def whole(graph: Graph, counts: Ints) -> Recording:
    return run(graph, counts)


@pytest.mark.parametrize(
    ("layer", "name", "spikes"),
    [("layer0", "input", 6783), ("layer1", "layer1", 1633), ("layer2", "output", 92)],
)
def test_every_layer(layer: str, name: str, spikes: int, whole: Recording, place: Path) -> None:
    wanted = truth(place, name)
    assert wanted.sum() == spikes
    np.testing.assert_array_equal(whole.spikes[layer].dense(0)[: STEPS - 1], wanted)


def test_the_current_of_the_first_convolution(whole: Recording, place: Path) -> None:
    current = whole.states["layer1", "u"][0, : STEPS - 1]
    np.testing.assert_array_equal(current, 64 * truth(place, "current"))


def test_the_parameters_are_those_recorded(graph: Graph, place: Path) -> None:
    """Lava convolves (W, H, C) images, so that its kernels are mirrored ones of the file's."""
    kernel = np.load(place / "tinynet" / "layer1_kernel.npy").transpose(0, 3, 2, 1)
    stage, cell = graph.projections[1].connection, graph.populations[1].neuron
    assert isinstance(stage, Conv2d) and isinstance(cell, LoihiLIF)
    np.testing.assert_array_equal(stage.weight, kernel[..., ::-1, ::-1])
    bias = np.load(place / "tinynet" / "layer1_bias.npy")
    np.testing.assert_array_equal(cell.bias_mant, np.broadcast_to(bias[:, None, None], (24, 6, 6)))
    assert cell.bias_exp == 6


def test_lava_does_the_same(place: Path, counts: Ints, tmp_path: Path) -> None:
    """Two samples, so that states are cleared between them, every spike, u and v."""
    lava_python()
    stimulus, out = tmp_path / "stimulus.npz", tmp_path / "out"
    np.savez(stimulus, input=np.stack([counts, counts[..., ::-1]]))
    words = ["compile", str(place / "tiny.net"), "-t", "lava", "-o", str(out), "--input-max", "72"]
    assert invoke(words) == 0
    assert invoke(["verify", str(out), "-s", str(stimulus), "--rungs", "integer,lava"]) == 0
