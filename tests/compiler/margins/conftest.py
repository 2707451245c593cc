"""A small circuit of cells, and studies of its margins."""

from __future__ import annotations

import functools

import numpy as np

from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import find_target, find_tolerant
from spikec.compiler.compile import compile_graph
from spikec.compiler.margins.job import MarginJob
from spikec.compiler.margins.study import Axis, Corners, MarginStudy
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.stimulus import LabelledStimulus
from spikec.ir.connections import Dense
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import Threshold

TARGET = "mitll-sfq5ee"
CORNERS = Corners(Axis("bias", (0.3, 1.0, 1.1)), Axis("areas", (1.0, 1.1)))


def both() -> Graph:
    """Fires with both of two lines."""
    return Graph(
        "both",
        1e-9,
        (Input("in", (2,)),),
        (Population("out", (1,), Threshold(np.array([1.5]))),),
        (Projection("w", "in", "out", Dense(np.ones((1, 2)))),),
        (Output("o", "out"),),
    )


def make_stimulus() -> LabelledStimulus:
    """Two samples of three steps."""
    dense = np.array([[[1, 1], [0, 1], [1, 0]], [[1, 0], [1, 1], [1, 1]]])
    return LabelledStimulus(Stimulus({"in": Events.from_dense(dense)}))


@functools.cache
def compiled() -> Artifact:
    backend, target = find_target(TARGET)
    return compile_graph(both(), backend, target, Quantise(input_max=1), {}).artifact()


def make_study(
    by: str = "chip",
    conditions: tuple[str, ...] = (),
    corners: tuple[Corners, ...] = (CORNERS,),
    reach: float = 0.4,
) -> MarginStudy:
    artifact = compiled()
    elements = find_tolerant(artifact).groups(artifact, by)
    job = MarginJob.of(artifact, make_stimulus(), conditions, reach=reach, resolution=0.05)
    return MarginStudy("both", TARGET, job, elements, corners)
