"""Sigma-delta networks of the integer rung against Lava itself: all sent values, all states.

All 60 networks: ``pytest tests/backends/loihi/test_graded.py -m ""``, with SPIKEC_LAVA_PYTHON
naming a Python that has lava-nc 0.10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikec.compiler.integer.executor import Executor
from spikec.compiler.sigma_delta import ReluLayer, sigma_delta
from spikec.ir.connections import Conv2d, Dense
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.loihi import LoihiWeights
from spikec.ir.neurons import LoihiDelta, LoihiLIF, LoihiSigmaDelta

from .graded import graded_case, wraps
from .networks import Case, processes, run_in_lava
from .test_lava import differences


def compare_all(seeds: Sequence[int], place: Path) -> None:
    cases = [graded_case(seed) for seed in seeds]
    recordings = run_in_lava(cases, place)
    pairs = zip(cases, recordings, strict=True)
    assert [what for one, lava in pairs for what in differences(one, lava)] == []
    # They are not equal because nothing happens.
    met: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for one, lava in zip(cases, recordings, strict=True):
        kinds.update(processes(one.graph))
        for population in one.graph.populations:
            name, neuron = population.name, population.neuron
            kinds[type(neuron).__name__] += 1
            sent = lava.spikes[name].value
            met["negative"] += int(np.sum(sent < 0))
            met["large"] += int(np.sum(np.abs(sent) > 1 << 20))
            if isinstance(neuron, LoihiDelta):
                kinds["sums errors"] += neuron.cum_error
                kinds["threshold zero"] += neuron.vth == 0
                met["held back"] += int(np.sum(lava.states[name, "residue"] != 0))
            if isinstance(neuron, LoihiSigmaDelta):
                kinds[str(neuron.activation)] += 1
                kinds["cut"] += neuron.state_exp > 0
                met["wraps"] += wraps(lava.states[name, "sigma"])
    assert set(met) == {"negative", "large", "held back", "wraps"}
    assert min(met.values()) > len(cases), met
    expected = {"dense", "sparse", "delay_dense", "delay_sparse", "conv", "unit", "relu", "cut"}
    expected |= {"LoihiLIF", "LoihiSigma", "LoihiDelta", "LoihiSigmaDelta"}
    assert set(kinds) == expected | {"sums errors", "threshold zero"}


@pytest.mark.parametrize("part", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_forty_random_sigma_delta_networks(part: int, tmp_path: Path) -> None:
    compare_all(range(20 * part, 20 * part + 20), tmp_path)


@pytest.mark.slow
def test_twenty_more_random_sigma_delta_networks(tmp_path: Path) -> None:
    compare_all(range(40, 60), tmp_path)


def test_a_network_that_the_compiler_made(tmp_path: Path) -> None:
    """A convolution and a layer behind it, of real numbers, with thresholds and shifts."""
    rng = np.random.default_rng(8)
    conv = Conv2d(rng.normal(0.05, 0.4, (2, 1, 3, 3)), (1, 6, 6), (2, 2), ((1, 1), (1, 1)))
    layers = [
        ReluLayer(conv, rng.normal(0, 0.1, 2)),
        ReluLayer(Dense(rng.normal(0, 0.3, (3, 18))), rng.normal(0, 0.1, 3), relu=False),
    ]
    start, end = rng.uniform(0, 1, (2, 1, 6, 6))
    video = start + np.linspace(0, 1, 20)[:, None, None] * (end - start)
    cases = []
    for bound in (0.0, 0.3):
        made = sigma_delta(layers, rng.uniform(0, 1, (50, 6, 6)), bound=bound)
        cases.append(Case(made.graph, made.graph, made.stimulus(video[None]), ()))
    assert set(processes(cases[0].graph)) == {"conv", "dense", "sparse"}
    recordings = run_in_lava(cases, tmp_path)
    pairs = zip(cases, recordings, strict=True)
    assert [what for one, lava in pairs for what in differences(one, lava)] == []
    assert np.unique(recordings[0].spikes["out"].value).size > 20
    off = np.abs(made.output(recordings[1])[0] - made.frame_by_frame(video))
    assert 0 < off.max() <= made.bound.max() <= 0.3


def test_counts_through_a_convolution_wrap(tmp_path: Path) -> None:
    """Counts of an input whose sum leaves the 24 bits that Lava's convolution has."""
    rng = np.random.default_rng(2)
    words = LoihiWeights()
    conv = Conv2d(words.cut(rng.integers(-250, 251, (2, 1, 2, 2))), (1, 4, 4))
    neuron = LoihiLIF(np.array(4095), np.array(100), np.array(60_000))
    graph = Graph(
        "counts",
        1e-3,
        (Input("in", (1, 4, 4)),),
        (Population("p", conv.out_shape, neuron),),
        (Projection("w", "in", "p", conv, 1, words=words),),
        (Output("out", "p"),),
    )
    counts = rng.integers(0, 60_000, (1, 30, 16))
    one = Case(graph, graph, Stimulus({"in": Events.from_dense(counts)}), ())
    assert processes(graph) == ["conv"]
    (lava,) = run_in_lava([one], tmp_path)
    assert differences(one, lava) == [] and lava.spikes["p"].value.size > 20
    # As a sum of 32 bits it would be another current.
    late = replace(graph.projections[0], delay=2)
    wide = Executor(replace(graph, projections=(late,))).run(one.stimulus, record=[("p", "u")])
    assert (wide.states["p", "u"][0, 2:] != lava.states["p", "u"][0, 1:-1]).any()
