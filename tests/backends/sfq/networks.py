"""Small networks of thresholds for the tests of circuits of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt

from spikec.backends.sfq.synthesis.synthesise import Program
from spikec.boards.board import Target
from spikec.compiler.backend import find_target
from spikec.compiler.compile import pipeline
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IF, Neuron, Threshold
from spikec.ir.semantics import Comparison, Reset, Semantics

TARGET = "mitll-sfq5ee"
PS = 1e-12


def target() -> Target:
    return find_target(TARGET)[1]


def threshold(*values: float) -> Threshold:
    return Threshold(np.asarray(values, np.float64))


def layered(
    layers: Sequence[tuple[npt.ArrayLike, Sequence[float] | npt.NDArray[np.float64]]],
    skips: dict[int, list[list[float]]] | None = None,
    name: str = "p",
) -> Graph:
    """Layers of weights (neurons, inputs) and thresholds; ``skips`` from the input to a layer.

    Their names are ``name`` and their numbers.
    """
    lines = np.shape(layers[0][0])[1]
    populations, projections = [], []
    before = "in"
    for k, (weight, theta) in enumerate(layers):
        here, dense = f"{name}{k}", Dense(np.asarray(weight, np.float64))
        populations.append(Population(here, (len(theta),), threshold(*theta)))
        projections.append(Projection(f"w{k}", before, here, dense))
        if skips and k in skips:
            skip = Dense(np.asarray(skips[k], np.float64))
            projections.append(Projection(f"s{k}", "in", here, skip))
        before = here
    inputs = (Input("in", (lines,)),)
    outputs = (Output("result", before),)
    return Graph("net", 1e-9, inputs, tuple(populations), tuple(projections), outputs)


def exclusive(name: str = "p") -> Graph:
    """XOR: one that fires with any, one with both, and the first without the second."""
    return layered([([[1, 1], [1, 1]], [0.5, 1.5]), ([[1, -1]], [0.5])], name=name)


def single(neuron: Neuron, weight: list[list[float]]) -> Graph:
    """One population of any neuron."""
    array = np.asarray(weight, np.float64)
    return Graph(
        "one",
        1e-3,
        (Input("in", (array.shape[1],)),),
        (Population("p0", (array.shape[0],), neuron),),
        (Projection("w0", "in", "p0", Dense(array)),),
        (Output("result", "p0"),),
    )


def ordered() -> Graph:
    """Fires where a pulse of the first line was a step before one of the second."""
    graph = layered([([[1, 0]], [1.5])], {0: [[0, 1]]})
    first, second = graph.projections
    return graph.with_(projections=(replace(first, delay=1), second))


def latch() -> Graph:
    """Fires from a pulse of the first line on, until one of the second: its own spike keeps it."""
    graph = layered([([[2, -3]], [0.5])])
    own = Projection("own", "p0", "p0", Dense(np.array([[2.0]])), 1)
    return graph.with_(projections=(*graph.projections, own))


def remembering(seed: int) -> Graph:
    """A network by chance: delays, loops, neurons that add up, and some seen a step late."""
    rng = np.random.default_rng(seed)
    lines, count = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    populations, projections = list[Population](), list[Projection]()
    sizes: dict[str, int] = {"in": lines}
    adds: dict[str, bool] = {}
    for k in range(count):
        name, size = f"p{k}", int(rng.integers(1, 3))
        adds[name] = bool(rng.random() < 0.5)
        rules = Semantics(
            reset=Reset.SUBTRACT if rng.random() < 0.4 else Reset.ZERO,
            comparison=Comparison.GREATER if rng.random() < 0.6 else Comparison.GREATER_EQUAL,
            registered=bool(rng.random() < 0.25),
        )
        theta = np.asarray(rng.integers(1, 4, size), np.float64) - (0.0 if adds[name] else 0.5)
        if adds[name] and rules.reset is Reset.SUBTRACT:
            theta = np.full(size, 2.0 ** rng.integers(2, 4))
        neuron: Neuron = IF(np.ones(size), theta) if adds[name] else threshold(*theta)
        populations.append(Population(name, (size,), neuron, rules))
        sizes[name] = size
    nodes = ["in", *(p.name for p in populations)]
    for k, post in enumerate(nodes[1:], 1):
        for j, pre in enumerate(nodes):
            if j != k - 1 and rng.random() < 0.5:
                continue
            late = rng.integers(0, 3) if j < k else rng.integers(1, 3)
            weight = rng.integers(0 if adds[post] else -2, 3, (sizes[post], sizes[pre]))
            if adds[post]:
                weight = np.minimum(weight, 1)
            dense = Dense(weight.astype(np.float64))
            projections.append(Projection(f"{pre}-{post}", pre, post, dense, int(late)))
    inputs, outputs = (Input("in", (lines,)),), (Output("result", nodes[-1]),)
    return Graph("net", 1e-9, inputs, tuple(populations), tuple(projections), outputs)


def quantised(graph: Graph) -> Graph:
    return run_pipeline(pipeline(Quantise(input_max=1)), graph, target(), Diagnostics())


def combinations(lines: int) -> npt.NDArray[np.int64]:
    return np.array(list(product((0, 1), repeat=lines)), np.int64).reshape(-1, lines)


def given(steps: npt.ArrayLike) -> Stimulus:
    """One sample of (steps, lines) at the input."""
    return Stimulus({"in": Events.from_dense(np.asarray(steps, np.int64)[None])})


def skewed(
    program: Program, drives: dict[str, npt.NDArray[np.float64]], seed: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Input pulses that are early or late by chance, up to the skew; clocks in time."""
    rng = np.random.default_rng(seed)
    nets = [net for lines in program.inputs.values() for net in lines if net is not None]
    return drives | {
        net: drives[net] + rng.uniform(-program.skew, program.skew, drives[net].size)
        for net in nets
    }
