"""Rows of a core that learns: where the weights of the plastic projection lie, and all others."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...compiler.connectivity import to_sparse
from ...hdl.image import plastic_places
from ...hdl.learning import Learning
from ...hdl.shape import index_bits
from ...ir.connections import stages
from ...ir.diagnostics import fail
from ...ir.graph import Graph, Projection
from .words import Synapses, Words, by_row, run_distance

Integers = npt.NDArray[np.int64]


def plastic_projection(graph: Graph) -> Projection | None:
    """The projection that learns, if any.

    One that starts in its test phase stays in it, and is like any other. Raises E0302 for several,
    and where a neuron or line of the plastic projection has another projection: a core that learns
    has one run of words for each.
    """
    learns = [p for p in graph.projections if _learns(p)]
    if not learns:
        return None
    if len(learns) > 1:
        raise fail(
            "E0302",
            f"'{learns[0].name}' and '{learns[1].name}' both learn; a core has one projection "
            f"that does, here are {len(learns)}",
            learns[1].at,
            "let the others rest, Plasticity(..., learning=False), or learn on the integer rung",
        )
    sent: dict[str, Projection] = {}
    for projection in graph.projections:
        before = sent.setdefault(projection.pre, projection)
        if before is not projection:
            raise fail(
                "E0302",
                f"'{projection.pre}' has projections '{before.name}' and '{projection.name}'; in "
                "a core that learns it has one",
                projection.at,
                "send the second by a population of its own, or learn on the integer rung",
            )
    return learns[0]


def _learns(projection: Projection) -> bool:
    plasticity = projection.plasticity
    return (
        plasticity is not None
        and plasticity.learning
        and (plasticity.rule.rows or plasticity.rule.columns)
    )


def _places(projection: Projection) -> tuple[Any, Any, Integers]:
    """The stage with weights; where in (pre, post) each is, and which one it is.

    Absent synapses have none, and a weight may be zero.
    """
    stage: Any = next(s for s in stages(projection.connection) if s.WEIGHTED)
    numbers = np.arange(1, stage.weight.size + 1).reshape(stage.weight.shape)
    places = to_sparse(replace(stage, weight=numbers)).tocoo()
    return stage, places, places.data.astype(np.int64) - 1


def weights_of(projection: Projection) -> Integers:
    """The weights of the connection, as they are in the graph."""
    return np.array(_places(projection)[0].weight, np.int64)


def learned_weights(projection: Projection, matrix: Integers) -> Integers:
    """(pre, post) weights in the shape of the connection's."""
    stage, places, at = _places(projection)
    weight = np.array(stage.weight, np.int64).ravel()
    weight[at] = matrix[places.row, places.col]
    return weight.reshape(stage.weight.shape)


def plastic_matrices(projection: Projection) -> tuple[Integers, Integers]:
    """(pre, post) weights of the synapses, and which of them learn."""
    plasticity = projection.plasticity
    stage, places, at = _places(projection)
    takes: Any = True if plasticity is None or plasticity.enable is None else plasticity.enable
    matrices = []
    for values in (stage.weight, np.broadcast_to(takes, stage.weight.shape)):
        matrix = np.zeros(places.shape, np.int64)
        matrix[places.row, places.col] = np.ravel(values)[at]
        matrices.append(matrix)
    return matrices[0], matrices[1]


def plastic_words(
    learning: Learning,
    weight: Integers,
    enable: Integers,
    delay: int,
    others: Synapses,
    sources: int,
    lanes: int,
) -> Words:
    """All rows of a core: those that learn where `Learning` has them, the others behind.

    ``weight`` and ``enable``: (rows, groups * lanes), by row of the projection and neuron from its
    first group on. A row of the others is one run, with words of zeros for groups in between.
    """
    still = by_row(_joined(others, lanes), sources, lanes, segments=False)
    planes = lanes if learning.skewed else 1
    first = learning.words(lanes)
    runs, start, plane = _packed(still, planes)
    plane_words = first + max((at + len(words) for words, at, _ in runs), default=0)
    if learning.skewed:
        plane_words = 1 << index_bits(plane_words)
    words = planes * plane_words
    stored = {name: np.zeros((words, lanes), np.int64) for name in ("weights", "enable")}
    for content, at, where in runs:
        stored["weights"][where * plane_words + first + at :][: len(content)] = content
    rows = {
        name: still.arrays[f"rows_{name}"].copy() for name in ("start", "count", "target", "delay")
    }
    there = np.flatnonzero(rows["count"])
    rows["start"][there] = plane[there] * plane_words + first + start[there]

    k = np.arange(learning.rows)
    source = learning.first_row + k
    places = plastic_places(learning, lanes, words)
    rows["start"][source], rows["count"][source] = places[:, 0], learning.groups
    rows["target"][source], rows["delay"][source] = learning.first_group, delay
    for name, matrix in (("weights", weight), ("enable", enable)):
        stored[name][places] = matrix.reshape(learning.rows, learning.groups, lanes)

    issued = rows["count"]
    there = np.flatnonzero(issued)
    synapses = int(np.count_nonzero(enable)) + others.weight.size
    slots = int(issued.sum()) * lanes
    return Words(
        "row",
        {**stored, **{f"rows_{name}": values for name, values in rows.items()}},
        issued,
        run_distance(rows["target"][there], issued[there]),
        1 - synapses / slots if slots else 0.0,
    )


def _joined(synapses: Synapses, lanes: int) -> Synapses:
    """Synapses of sources with one projection each, and more of no weight between their groups."""
    group = synapses.target // lanes
    order = np.lexsort((group, synapses.source))
    source, group = synapses.source[order], group[order]
    gap = np.where(source[1:] == source[:-1], np.maximum(group[1:] - group[:-1] - 1, 0), 0)
    # The synapse before each place that is missing, and how many places lie between.
    before = np.repeat(np.arange(gap.size), gap)
    behind = np.arange(before.size) - np.repeat(np.cumsum(gap) - gap, gap) + 1
    more = (
        source[before],
        synapses.delay[order][before],
        (group[before] + behind) * lanes,
        synapses.projection[order][before],
        np.zeros(before.size, np.int64),
    )
    own = (getattr(synapses, f.name) for f in fields(Synapses))
    return Synapses(*(np.concatenate(pair) for pair in zip(own, more, strict=True)))


def _packed(
    still: Words, planes: int
) -> tuple[list[tuple[Integers, int, int]], Integers, Integers]:
    """Runs of words spread over planes, the fullest last: (words, start, plane) of each.

    Behind them start and plane by source.
    """
    start, count = still.arrays["rows_start"], still.arrays["rows_count"]
    filled = [0] * planes
    placed: dict[tuple[int, int], tuple[int, int]] = {}
    runs = []
    starts, plane = np.zeros(start.size, np.int64), np.zeros(start.size, np.int64)
    for source in np.flatnonzero(count).tolist():
        key = int(start[source]), int(count[source])
        if key not in placed:
            where = int(np.argmin(filled))
            placed[key] = filled[where], where
            runs.append((still.arrays["weights"][key[0] : key[0] + key[1]], filled[where], where))
            filled[where] += key[1]
        starts[source], plane[source] = placed[key]
    return runs, starts, plane
