r"""How long steps take, and what they wait for.

In a step core c is busy for :math:`y_c = s_c + r_c`, or :math:`\max(s_c, r_c)` where it does both
at once (`CostModel`); a link that :math:`n_l` packets take is for :math:`n_l\, g`. The work of a
step is

.. math::
    w = \max\left(\max_c y_c,\ \max_l n_l\, g\right) + p

with the longest way p of a packet, without waiting. It is followed by a barrier, or the step lasts
a tick. So a step waits for one core or link, its *leader*, for its packets' way, and for the
barrier or the rest of the tick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ...boards.costs import CostLine, CostModel
from ...boards.machine import Machine
from ...ir.records import Record
from ..mapping.mapping import Mapping
from .count import Counts
from .reach import Reach

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# `Timing.leader` where a link leads, and where nothing happens.
LINK: Final = -1
NOBODY: Final = -2


@dataclass(frozen=True, eq=False)
class Timing(Record):
    """How long the steps of one sample take, in seconds.

    ``send`` and ``receive`` (steps, parts): what keeps each core busy. ``leader`` (steps,) is the
    part that a step waits for, `LINK` or `NOBODY`, ``lead`` (steps,) how long that takes, ``next``
    (steps,) how long what would lead without it. ``way`` (steps,) is the way of packets; ``rest``
    (steps,) the barrier, or what is left of a tick; ``length`` (steps,) is ``lead + way + rest``.
    ``late`` (steps,) is by how much the work of a step exceeds its tick: then ``rest`` is negative
    by that, and spikes are late or lost.
    """

    send: Floats
    receive: Floats
    leader: Integers
    lead: Floats
    next: Floats
    way: Floats
    rest: Floats

    @property
    def length(self) -> Floats:
        """Seconds of each step, shape (steps,)."""
        return self.lead + self.way + self.rest

    @property
    def late(self) -> Floats:
        """Seconds by which each step's work exceeds its tick; 0 where steps wait."""
        return np.maximum(-self.rest, 0.0)


def cost_seconds(line: CostLine, machine: Machine) -> float:
    """Seconds that one of what a line counts takes."""
    cost = machine.costs[line.cost]
    value = line.times * cost.value
    return value / machine.costs["clock_frequency"].value if cost.unit == "cycles" else value


def busy(
    lines: tuple[CostLine, ...], machine: Machine, reach: Reach, counts: Counts
) -> tuple[Floats, Floats]:
    """Seconds that lines take, of cells (steps, cells) and of whatever only cores have (.., parts).

    A packet that comes in belongs to no cell of its core.
    """
    cells = np.zeros(counts.spikes.shape)
    parts = np.zeros(counts.packets_in.shape)
    for line in lines:
        each = cost_seconds(line, machine)
        if line.count == "packets_in":
            parts += each * counts.packets_in
        else:
            cells += each * counts.of_cells(line.count, reach)
    return cells, parts


def of_parts(cells: Floats, reach: Reach) -> Floats:
    """Sums over the cells of each part: (steps, cells) to (steps, parts)."""
    return np.add.reduceat(cells, reach.part_ptr[:-1], axis=1)


def timing(
    model: CostModel, mapping: Mapping, reach: Reach, counts: Counts, tick: float | None = None
) -> Timing:
    """The timing of one sample; ``tick`` in seconds where the pace is one, ``ValueError`` without.

    A barrier is over all routers with a core in use.
    """
    machine = mapping.machine
    send, receive = (
        of_parts(cells, reach) + parts
        for cells, parts in (
            busy(lines, machine, reach, counts) for lines in (model.send, model.receive)
        )
    )
    link, second, way = network(model, machine, counts)
    leader, lead, following = leaders(model, send, receive, link, second)
    if model.pace == "tick":
        if tick is None:
            raise ValueError("a model that ticks needs a tick")
        rest = tick - lead - way
    else:
        rest = np.full(way.shape, barrier_seconds(model, mapping))
    return Timing(send, receive, leader, lead, following, way, rest)


def barrier_seconds(model: CostModel, mapping: Mapping) -> float:
    """Seconds of a barrier over all routers with a core in use; 0 where there is none."""
    machine = mapping.machine
    routers = np.unique(mapping.seat // machine.cores_per_router).size
    return model.barrier_time(routers, machine.costs)


def network(model: CostModel, machine: Machine, counts: Counts) -> tuple[Floats, Floats, Floats]:
    """Seconds (steps,) of the busiest link and the next, and of the longest way of a packet."""
    net = machine.interconnect
    if net is None or not model.network:
        nothing = np.zeros(counts.steps)
        return nothing, nothing, nothing
    cycle = net.cycle_time.value
    each = cycle * net.flits.value * net.gap.value
    rows = (counts.busiest * each, counts.second_link * each, counts.path * cycle)
    link, second, way = (row.astype(np.float64) for row in rows)
    return link, second, way


def core_seconds(model: CostModel, send: Floats, receive: Floats) -> Floats:
    """How long each core is busy in each step, shape (steps, parts)."""
    return np.maximum(send, receive) if model.overlap else send + receive


def leaders(
    model: CostModel, send: Floats, receive: Floats, link: Floats, second: Floats
) -> tuple[Integers, Floats, Floats]:
    """Who leads each step, how long it takes, and how long what is next; of equals the first."""
    core = core_seconds(model, send, receive)
    steps, parts = core.shape
    leader = core.argmax(axis=1) if parts else np.full(steps, NOBODY)
    first = core[np.arange(steps), leader] if parts else np.zeros(steps)
    others = np.partition(core, -2, axis=1)[:, -2] if parts > 1 else np.zeros(steps)
    by_link = link > first
    lead = np.maximum(first, link)
    following = np.where(by_link, np.maximum(first, second), np.maximum(others, link))
    leader = np.where(by_link, LINK, np.where(lead > 0, leader, NOBODY))
    return leader.astype(np.int64), lead, following
