"""A small network on crossbars, and studies of it."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import Gap, find_analogue, find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.montecarlo.chips import ChipJob
from spikec.compiler.montecarlo.study import Study
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.stimulus import LabelledStimulus
from spikec.ir.connections import Dense
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF


def make_stimulus(labels: bool = True) -> LabelledStimulus:
    dense = (np.random.default_rng(6).random((6, 20, 5)) < 0.5).astype(np.int64)
    named = np.array([0, 1, 0, 0, 1, 1]) if labels else None
    return LabelledStimulus(Stimulus({"in": Events.from_dense(dense)}), named)


@functools.cache
def compiled(name: str) -> Artifact:
    """A 5-8-2 network, compiled for a crossbar."""
    r = np.random.default_rng(5)
    one, zero = np.asarray(1.0), np.asarray(0.0)
    neuron = LIF(tau=np.asarray(0.02), r=one, v_leak=zero, v_threshold=one)
    graph = Graph(
        name="small",
        dt=1e-3,
        inputs=(Input("in", (5,)),),
        populations=(Population("hidden", (8,), neuron), Population("out", (2,), neuron)),
        projections=(
            Projection("w1", "in", "hidden", Dense(r.normal(8.0, 8.0, (8, 5)))),
            Projection("w2", "hidden", "out", Dense(r.normal(2.0, 8.0, (2, 8)))),
        ),
        outputs=(Output("spikes", "out"),),
    )
    backend, target = find_target(name)
    return compile_graph(graph, backend, target, Quantise(), {}).artifact()


def make_study(
    *combinations: tuple[str, ...],
    macro: str = "rram-wan",
    chips: range = range(1, 4),
    labels: bool = True,
    gap: Gap | None = None,
) -> Study:
    """Chips of the network under these conditions; of each combination all words vary."""
    artifact = compiled(macro)
    backend, rung = find_analogue(artifact)
    said = tuple(backend.conditions(artifact, words) for words in combinations)
    job = ChipJob.of(artifact, rung, make_stimulus(labels), gap)
    return Study("small", macro, job, tuple(c.name for c in said[0]), said, chips)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"
