"""Several cores for one network: each lowered by itself, and what they tell each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...compiler.integer.population import taken
from ...hdl.cluster_image import ClusterImage
from ...hdl.cluster_shape import ClusterShape
from ...ir.diagnostics import fail
from ...ir.graph import Graph
from .lower import (
    Build,
    LoweredCore,
    Placement,
    Room,
    Wiring,
    assemble,
    check,
    integer_neuron,
    place,
)
from .partition import Assignment
from .plastic import plastic_projection
from .words import Synapses

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LoweredCluster:
    """The images of several cores, where everything lies in them, and the graph they came from.

    ``placement`` counts neurons through all cores, as spikes and traces do; a part's own counts in
    that core alone.
    """

    graph: Graph
    image: ClusterImage
    placement: Placement
    parts: tuple[LoweredCore, ...]
    assignment: Assignment

    @property
    def shape(self) -> ClusterShape:
        """The shapes of the cores."""
        return self.image.shape

    @property
    def lag(self) -> int:
        """Steps that the cores run on after the last input step."""
        return max((p.lag for p in self.graph.populations), default=0)

    def learned(self, words: Sequence[int]) -> dict[str, Integers]:
        """Nothing: several cores do not learn (`LoweredCore.learned`)."""
        return {}


# What an artefact can hold.
Lowered = LoweredCore | LoweredCluster


def lower_cluster(
    graph: Graph,
    build: Build,
    assignment: Assignment,
    emit: tuple[str, ...] | None = None,
    shape: ClusterShape | None = None,
    wiring: Wiring | None = None,
) -> LoweredCluster:
    """The images of a quantised, retimed graph whose neurons go where ``assignment`` says.

    Arguments and errors are those of `lower`; every core is built alike but as large as its part
    needs. Retiming has given every hop between populations a step, so spikes of step t are needed
    in t + 1 at the earliest, whichever core they come from.
    """
    check(graph)
    refuse_learning(graph)
    one = graph.populations[0]
    for other in graph.populations[1:]:
        widths = [integer_neuron(p).numerics.state.width for p in (one, other)]
        if widths[0] != widths[1]:
            raise fail(
                "E0301",
                f"states of '{one.name}' have {widths[0]} bits, those of '{other.name}' "
                f"{widths[1]}; all cores have the same",
                other.at,
                "quantise all populations with the same --state-bits",
            )
    every = range(assignment.cores)
    if shape is not None and len(shape.cores) != assignment.cores:
        raise fail(
            "E0302", f"the network is split over {assignment.cores} cores, not {len(shape.cores)}"
        )
    lines = sum(node.size for node in graph.inputs)
    if shape is not None:
        if lines > shape.inputs:
            raise fail("E0302", f"the network has {lines} input lines, the cores {shape.inputs}")
        lines = shape.inputs
    slices, placed, placement = place_cluster(graph, assignment, build.lanes, build.units, shape)
    sizes = [p[2] for p in placed] if shape is None else [c.neurons for c in shape.cores]
    bases = np.concatenate([[0], np.cumsum(sizes)])
    synapses = (wiring or Wiring(graph)).synapses(placement, lines)

    emitting = set(emit if emit is not None else (o.source for o in graph.outputs))
    core_of = np.searchsorted(bases, synapses.target, side="right") - 1
    routes = np.zeros(lines + int(bases[-1]), np.int64)
    parts = []
    for k in every:
        here = core_of == k
        source, target = synapses.source[here], synapses.target[here] - bases[k]
        first = lines + int(bases[k])
        own = (source >= first) & (source < first + sizes[k])
        np.bitwise_or.at(routes, source[~own], 1 << k)
        # A line for every source that is not the core's own, then the core's own (`ClusterShape`).
        remote = lines + int(bases[-1]) - sizes[k]
        row = np.where(
            own, remote + source - first, np.where(source < first, source, source - sizes[k])
        )
        within = Synapses(
            row, synapses.delay[here], target, synapses.projection[here], synapses.weight[here]
        )
        room = Room(placed[k][0], remote, placed[k][2], bool(own.any()))
        parts.append(
            assemble(
                slices[k],
                build,
                room,
                within,
                emitting,
                None if shape is None else shape.cores[k],
            )
        )
    found = ClusterShape(lines, tuple(part.shape for part in parts))
    image = ClusterImage(found, tuple(part.image for part in parts), routes)
    return LoweredCluster(graph, image, placement, tuple(parts), assignment)


def place_cluster(
    graph: Graph,
    assignment: Assignment,
    lanes: int,
    units: int,
    shape: ClusterShape | None = None,
) -> tuple[list[Graph], list[tuple[Placement, int, int]], Placement]:
    """The populations of each core, where they lie in it (`place`), and where in the whole."""
    every = range(assignment.cores)
    slices = [_slice(graph, assignment, k) for k in every]
    placed = [place(part, lanes, units) for part in slices]
    sizes = [p[2] for p in placed] if shape is None else [c.neurons for c in shape.cores]
    bases = np.concatenate([[0], np.cumsum(sizes)])
    order = {p.name: np.zeros(p.size, np.int64) for p in graph.populations}
    for k in every:
        for population in slices[k].populations:
            members = assignment.members(graph, population.name, k)
            order[population.name][members] = bases[k] + placed[k][0].places(population)
    return slices, placed, Placement(placed[0][0].inputs, dict.fromkeys(order, 0), order)


def refuse_learning(graph: Graph) -> None:
    """E0308 for a network that learns."""
    learned = plastic_projection(graph)
    if learned is not None:
        raise fail(
            "E0308",
            f"'{learned.name}' learns; several cores do not",
            learned.at,
            "compile with --cores 1, or with Plasticity(..., learning=False)",
        )


def _slice(graph: Graph, assignment: Assignment, core: int) -> Graph:
    """The populations of a core, each with those of its neurons that are in it."""
    kept = []
    for population in graph.populations:
        members = assignment.members(graph, population.name, core)
        if members.size:
            neuron = taken(integer_neuron(population), population, members)
            kept.append(replace(population, shape=(members.size,), neuron=neuron))
    return replace(graph, populations=tuple(kept), projections=(), outputs=())
