"""What a chip's work costs: counts of events, each times a constant of the chip's file.

A chip may have several models, each a consistent set of constants by those who published it.
Constants of two models are never mixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, Literal

from .quantity import Quantity

# What a line may count in each core and step, in words.
CORE_COUNTS: Final[Mapping[str, str]] = {
    "updates": "neurons updated",
    "quiet_updates": "neurons updated that do not spike",
    "spikes": "neurons that spike",
    "synaptic_operations": "synaptic operations",
    "packets_out": "packets to a core, one's own among them",
    "packets_in": "packets from a core or the host, one's own among them",
}
# What it may count in a whole machine and step.
MACHINE_COUNTS: Final[Mapping[str, str]] = {
    "near_packets": "packets to a core of the same router",
    "hops": "hops of packets within a chip",
    "hops_x": "hops along x within a chip",
    "hops_y": "hops along y within a chip",
    "hops_diagonal": "hops along both within a chip",
    "chip_hops": "hops of packets from chip to chip",
    "visits": "routers that packets enter, the first among them",
    "host_packets": "packets from the host into the machine",
}
# What it may count in a crossbar's tiles and the digital logic behind them.
TILE_COUNTS: Final[Mapping[str, str]] = {
    "cells": "conductance of the cells on active rows",
    "word_lines": "cells along word lines that are charged",
    "conversions": "conversions",
    "shift_adds": "additions of slices, shifted",
    "gains": "multiplications by the gain of a column",
    "offsets": "additions of the offset of a column",
    "partial_sums": "additions to accumulators",
    "stage_additions": "additions of stages without cells",
    "stage_multiplications": "multiplications of stages without cells",
    "update_multiplications": "multiplications of neuron updates",
    "update_additions": "additions and comparisons of neuron updates",
    "state_bits": "bits of neuron state, read or written",
}
# What cells of single flux quanta do, and what keeps them cold.
CELL_COUNTS: Final[Mapping[str, str]] = {
    "pulses": "pulses",
    "bias": "bias",
    "switched": "of the bias, what pulses take",
    "cooling": "cooling",
}
# What takes power: it multiplies a power by a number of these, for as long as a run lasts.
HOLDERS: Final[Mapping[str, str]] = {
    "machine": "the machine",
    "chips": "chips of the machine",
    "cores": "cores in use",
    "clock": "clock cycles a second",
}

Pace = Literal["barrier", "tick", "free"]
# What is left of a step when its work is done.
REST: Final[Mapping[Pace, str]] = {
    "barrier": "barrier",
    "tick": "rest of the tick",
    "free": "nothing",
}


@dataclass(frozen=True, slots=True)
class CostLine:
    """``times`` times the cost ``cost`` for each of what ``count`` counts."""

    count: str
    cost: str
    times: float = 1.0


@dataclass(frozen=True, slots=True)
class Barrier:
    """A barrier over ``tiles`` routers in use takes the time ``cost``."""

    tiles: int
    cost: str


@dataclass(frozen=True, slots=True)
class CostModel:
    r"""Energy and time of a step, from counts :math:`n` and costs :math:`k` of a chip's file.

    The energy of a run of length :math:`T` is

    .. math::
        E = \sum_{\mathrm{energy}} m\, n\, k + T \sum_{\mathrm{power}} m\, n\, k

    and in a step core c is busy for :math:`s_c = \sum_{\mathrm{send}} m\,n_c\,k` with its neurons
    and what they emit, and :math:`r_c = \sum_{\mathrm{receive}} m\,n_c\,k` with what it gets. With
    ``overlap`` a core does both at once and no core waits for another to begin, so that cores take
    :math:`\max(\max_c s_c, \max_c r_c)`, else :math:`\max_c (s_c + r_c)`. With ``network`` a step
    also waits for its packets. Then

    * ``barrier``: the next step begins when all have passed a barrier;
    * ``tick``: a step takes ``tick``, or the network's own dt without one, whatever it does;
    * ``free``: the next step begins when the work is done.

    A cost in cycles counts as so many of the chip's ``clock_frequency``. A barrier over :math:`n`
    routers takes what is stated for the next smaller number, or what lies on the straight line
    between two where ``between`` is ``linear``; beyond the last it takes the last. ``unknown`` is
    what there is no constant for, in words.
    """

    name: str
    title: str
    pace: Pace
    overlap: bool = False
    network: bool = True
    energy: tuple[CostLine, ...] = ()
    power: tuple[CostLine, ...] = ()
    send: tuple[CostLine, ...] = ()
    receive: tuple[CostLine, ...] = ()
    barrier: tuple[Barrier, ...] = ()
    between: Literal["linear", "last"] = "last"
    tick: str | None = None
    unknown: tuple[str, ...] = ()

    @property
    def costs(self) -> tuple[str, ...]:
        """The names of all constants that it uses, each once, in order."""
        lines = (*self.energy, *self.power, *self.send, *self.receive)
        names = [line.cost for line in lines] + [point.cost for point in self.barrier]
        return tuple(dict.fromkeys(names + ([] if self.tick is None else [self.tick])))

    def barrier_time(self, tiles: int, costs: Mapping[str, Quantity]) -> float:
        """Seconds of a barrier over so many routers, 0 without one."""
        if not self.barrier:
            return 0.0
        points = [(point.tiles, costs[point.cost].value) for point in self.barrier]
        after = next((k for k, (tile, _) in enumerate(points) if tile > tiles), len(points))
        if after == 0:
            return points[0][1]
        (low, least) = points[after - 1]
        if after == len(points) or self.between == "last":
            return least
        (high, most) = points[after]
        return least + (most - least) * (tiles - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Interconnect:
    """Links and buffers of a machine's routers, in cycles of ``cycle_time``.

    ``flits`` a packet; ``buffer`` the flits that the buffer behind each link holds. A head flit
    takes ``hop_x`` or ``hop_y`` cycles from the buffer before a link to the one behind it, the
    larger of them where it goes along both, and ``chip_hop`` from chip to chip; a link is taken for
    ``gap`` cycles by a flit, one between chips for ``chip_gap``. ``inject`` and ``eject``: cycles
    that a packet takes out of a core and into it. A packet that is blocked for ``drop_after``
    cycles is dropped; without it, it waits.
    """

    cycle_time: Quantity
    flits: Quantity
    buffer: Quantity
    hop_x: Quantity
    hop_y: Quantity
    gap: Quantity
    inject: Quantity
    eject: Quantity
    chip_hop: Quantity | None = None
    chip_gap: Quantity | None = None
    drop_after: Quantity | None = None

    @property
    def stated(self) -> dict[str, Quantity]:
        """Those that there are, by name."""
        every = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: found for name, found in every.items() if found is not None}
