"""Small networks of thresholds for the tests of circuits of cells."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from spikec.backends.sfq.synthesise import Program
from spikec.boards.board import Target
from spikec.compiler.backend import find_target
from spikec.compiler.compile import pipeline
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import Neuron, Threshold

TARGET = "mitll-sfq5ee"
PS = 1e-12


def target() -> Target:
    return find_target(TARGET)[1]


def threshold(*values: float) -> Threshold:
    return Threshold(np.asarray(values, np.float64))


def layered(
    layers: list[tuple[list[list[float]], list[float]]],
    skips: dict[int, list[list[float]]] | None = None,
) -> Graph:
    """Layers of weights (neurons, inputs) and thresholds; ``skips`` from the input to a layer."""
    lines = len(layers[0][0][0])
    populations, projections = [], []
    before = "in"
    for k, (weight, theta) in enumerate(layers):
        name = f"p{k}"
        populations.append(Population(name, (len(weight),), threshold(*theta)))
        projections.append(Projection(f"w{k}", before, name, Dense(np.asarray(weight, np.float64))))
        if skips and k in skips:
            skip = Dense(np.asarray(skips[k], np.float64))
            projections.append(Projection(f"s{k}", "in", name, skip))
        before = name
    inputs = (Input("in", (lines,)),)
    outputs = (Output("result", before),)
    return Graph("net", 1e-9, inputs, tuple(populations), tuple(projections), outputs)


def exclusive() -> Graph:
    """XOR: one that fires with any, one with both, and the first without the second."""
    return layered([([[1, 1], [1, 1]], [0.5, 1.5]), ([[1, -1]], [0.5])])


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
