"""Networks of PyNN cells, captured from scripts, and runs of their programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import spikec.pynn as pynn
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import find_target
from spikec.compiler.compare import compare
from spikec.compiler.comparison import Comparison
from spikec.compiler.ladder import run_rung
from spikec.compiler.program import compile_program
from spikec.ir.events import Stimulus
from spikec.ir.graph import Graph

DT = 0.1
STEPS = 600
SIZE = 20

# What makes each cell, and a weight that keeps it busy. Brian2's AdEx spikes at v_thresh + 5
# delta_T, so v_spike says the same here.
CELLS: dict[str, tuple[Callable[[], Any], float]] = {
    "IF_curr_exp": (lambda: pynn.IF_curr_exp(i_offset=0.3, tau_refrac=1.0), 1.0),
    "IF_curr_alpha": (lambda: pynn.IF_curr_alpha(i_offset=0.3), 1.0),
    "IF_curr_delta": (lambda: pynn.IF_curr_delta(tau_refrac=1.0), 4.0),
    "IF_cond_exp": (lambda: pynn.IF_cond_exp(tau_refrac=2.0), 0.03),
    "IF_cond_alpha": (lambda: pynn.IF_cond_alpha(), 0.03),
    "EIF_cond_exp_isfa_ista": (
        lambda: pynn.EIF_cond_exp_isfa_ista(v_thresh=-50.4, delta_T=2.0, v_spike=-40.4),
        0.01,
    ),
    "EIF_cond_alpha_isfa_ista": (lambda: pynn.EIF_cond_alpha_isfa_ista(), 0.01),
    "Izhikevich": (lambda: pynn.Izhikevich(), 6.0),
}


def network(
    cell: Callable[[], Any],
    weight: float,
    seed: int = 1,
    *,
    dialect: str = "brian2",
    longest: int = 30,
    extra: Callable[[Any, Any], None] | None = None,
) -> tuple[Graph, Stimulus]:
    """Sources onto cells that excite and inhibit each other at random, with random delays."""
    rng = np.random.default_rng(seed)
    pynn.setup(timestep=DT, dialect=dialect)
    times = [np.sort(rng.choice(np.arange(1, STEPS), 40, replace=False)) * DT for _ in range(SIZE)]
    sources = pynn.Population(SIZE, pynn.SpikeSourceArray(spike_times=times), label="in")
    model = cell()
    cells = pynn.Population(SIZE, model, label="p")
    negative = 1.0 if model.conductance_based else -1.0
    pairs = [(i, j) for i in range(SIZE) for j in range(SIZE) if rng.random() < 0.3]
    for pre, receptor, share, label in (
        (sources, "excitatory", 1.0, "forward"),
        (cells, "excitatory", 0.3, "back"),
        (cells, "inhibitory", 0.6 * negative, "inhibit"),
    ):
        rows = [
            (i, j, share * weight * rng.random(), DT * int(rng.integers(1, longest)))
            for i, j in pairs
        ]
        pynn.Projection(
            pre,
            cells,
            pynn.FromListConnector(rows),
            pynn.StaticSynapse(),
            receptor_type=receptor,
            label=label,
        )
    if extra is not None:
        extra(sources, cells)
    graph, stimulus = pynn.capture(), pynn.stimulus(STEPS * DT)
    pynn.end()
    return graph, stimulus


def program(graph: Graph, stimulus: Stimulus | None, target: str) -> Artifact:
    return compile_program(graph, *find_target(target), stimulus)


def compared(graph: Graph, stimulus: Stimulus, rung: str, target: str) -> tuple[Comparison, int]:
    """A rung beside the golden one, and how many spikes the golden one has."""
    artifact = program(graph, stimulus, target)
    golden, other = (run_rung(artifact, r, stimulus).recording for r in ("golden", rung))
    spikes = sum(events.value.size for events in golden.spikes.values())
    return compare(golden, other, graph=graph, stimulus=stimulus), spikes
