"""Networks of superconducting cells that remember: how far all biases may be off.

Four small circuits, each with random spikes on its inputs in cases of eight steps that begin from
rest; every pulse is early or late by chance within the skew. A bias is within the margin where all
cases have the spikes of the integer rung, and no pulse goes back.

    python bench/sfq_memory.py [--json] [--quick]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _measured import main, measured

from spikec.backends.sfq.synthesis.synthesise import synthesise
from spikec.backends.sfq.tolerance import stress
from spikec.compiler.backend import find_target
from spikec.compiler.compile import pipeline
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IF, Neuron, Threshold
from spikec.ir.semantics import Comparison, Reset, Semantics

SEED = 1
CASES, STEPS = 20, 8
BIASES = np.arange(-40, 41) / 100
GOAL = 10  # % on either side, as for XOR without a memory


def network(neuron: Neuron, weight: list[float], rules: Semantics | None = None) -> Graph:
    """One neuron of some lines."""
    return Graph(
        "net",
        1e-9,
        (Input("in", (len(weight),)),),
        (Population("out", (1,), neuron, rules or Semantics()),),
        (Projection("lines", "in", "out", Dense(np.array([weight]))),),
        (Output("result", "out"),),
    )


def networks() -> Iterator[tuple[str, Graph]]:
    """What is measured, with names."""
    both = network(Threshold(np.array([1.5])), [1.0, 0.0])
    (first,) = both.projections
    then = Projection("then", "in", "out", Dense(np.array([[0.0, 1.0]])))
    yield (
        "one line a step before the other",
        both.with_(projections=(replace(first, delay=1), then)),
    )
    latch = network(Threshold(np.array([0.5])), [2.0, -3.0])
    own = Projection("own", "out", "out", Dense(np.array([[2.0]])), 1)
    yield "latch", latch.with_(projections=(*latch.projections, own))
    least = Semantics(comparison=Comparison.GREATER_EQUAL)
    yield "counts to three, then from 0", network(IF(np.ones(1), np.array([3.0])), [1.0], least)
    taken = replace(least, reset=Reset.SUBTRACT)
    yield "every fourth pulse", network(IF(np.ones(1), np.array([4.0])), [1.0], taken)


def margin(name: str, graph: Graph, quick: bool) -> list[dict[str, Any]]:
    """Both ends of the range of biases in which all is right."""
    target = find_target("mitll-sfq5ee")[1]
    graph = run_pipeline(pipeline(Quantise(input_max=1)), graph, target, Diagnostics())
    program = synthesise(graph)
    cases, biases = (2, BIASES[::20]) if quick else (CASES, BIASES)
    shape = cases, STEPS, graph.inputs[0].size
    given = np.random.default_rng(SEED).integers(0, 2, shape)
    late = stress.skews(shape, program.skew, SEED)
    events = Executor(graph).run(Stimulus({"in": Events.from_dense(given)})).spikes["out"]
    wanted = np.stack([events.dense(case) for case in range(cases)])
    trial = stress.trial(program, {"in": given}, {"in": late}, {"out": wanted})
    right = trial.passes({net: 1 + biases for net in program.netlist.biases}, biases.size)
    middle = biases.size // 2
    low = middle + 1 - int(np.cumprod(right[middle::-1]).sum())
    high = middle - 1 + int(np.cumprod(right[middle:]).sum())
    how = (
        f"{program.netlist.junctions} junctions, a step of {program.period * 1e12:.1f} ps; {cases}"
    )
    ends = (("down", -100 * biases[low]), ("up", 100 * biases[high]))
    return [
        {
            "name": f"{name}: all biases {way}",
            "ours": float(found) if right[middle] else 0.0,
            "unit": "%",
            "goal": GOAL,
            "meets": bool(right[middle] and found >= GOAL),
            **dict.fromkeys(("peer", "peer_value", "ratio")),
            "how": f"{how} cases of {STEPS} steps, {100 * -biases[0]:.0f} % at most",
        }
        for way, found in ends
    ]


def measure(quick: bool) -> dict[str, Any]:
    results = [row for name, graph in networks() for row in margin(name, graph, quick)]
    return measured(results, ("numpy", "numba"), SEED)


def line(row: dict[str, Any]) -> str:
    """A result for a person."""
    return f"{row['name']}: {row['ours']:.0f} % ({row['how']})"


if __name__ == "__main__":
    main(measure, __doc__, "2 cases", line)
