"""A small network with its stimulus, as a job and as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikec.compiler.explore.evaluate import Job
from spikec.compiler.explore.run import Plan
from spikec.compiler.explore.space import parse_space
from spikec.compiler.stimulus import LabelledStimulus, stimulus_bytes
from spikec.ir.connections import Dense
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF
from spikec.ir.text import text

SPACE = """
[space]
target = ["null", "loihi1", "truenorth"]
weight_bits = { from = 2, to = 8 }
state_bits = [12, 16, 20]
effort = [0, 1]
noc_width = [8, 32]
seed = [1, 2]
cores = [1, 2]
"""


def make_graph(delay: int = 0) -> Graph:
    r = np.random.default_rng(5)
    one, zero = np.asarray(1.0), np.asarray(0.0)
    neuron = LIF(tau=np.asarray(0.02), r=one, v_leak=zero, v_threshold=one)
    return Graph(
        name="small",
        dt=1e-3,
        inputs=(Input("in", (3,)),),
        populations=(Population("hidden", (6,), neuron), Population("out", (2,), neuron)),
        projections=(
            Projection("w1", "in", "hidden", Dense(r.normal(8.0, 8.0, (6, 3))), delay),
            Projection("w2", "hidden", "out", Dense(r.normal(8.0, 8.0, (2, 6)))),
        ),
        outputs=(Output("spikes", "out"),),
    )


def make_stimulus(labels: bool = True) -> LabelledStimulus:
    dense = (np.random.default_rng(6).random((8, 30, 3)) < 0.5).astype(np.int64)
    named = np.arange(8) % 2 if labels else None
    return LabelledStimulus(Stimulus({"in": Events.from_dense(dense)}), named)


@pytest.fixture
def job() -> Job:
    return Job.of(make_graph(), make_stimulus())


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Model, stimulus and space; of boards only what is refused, so that no core is built."""
    model, stimulus, space = (tmp_path / n for n in ("small.spk", "test.npz", "space.toml"))
    model.write_text(text(make_graph()))
    stimulus.write_bytes(stimulus_bytes(make_stimulus()))
    space.write_text(SPACE.replace("cores = [1, 2]\n", ""))
    return model, stimulus, space


def make_plan(job: Job, budget: int = 24, **dimensions: object) -> Plan:
    space = {"target": ["null"], "weight_bits": [2, 3, 4, 5, 6, 7, 8], "state_bits": [12, 16, 20]}
    whole = parse_space({"space": {**space, **dimensions}})
    return Plan("small", job, whole, budget, 1, "surrogate")
