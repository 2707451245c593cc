"""What a machine's interconnect is, in whole cycles."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...boards.machine import STEPS, Machine
from ...ir.records import Record, frozen_array
from ..mapping.check import neighbours

Ids = npt.NDArray[np.int32]

# Ports of a router are bits of a word, places of a buffer are counted in half words.
MOST_PORTS: Final = 62
MOST_PACKETS: Final = 2**16 - 1
# Bytes of the simulation's list of events to come, of which only what is used takes memory.
MOST_WHEEL: Final = 2**34
_DELAYS: Final = ("hop_x", "hop_y", "chip_hop", "gap", "chip_gap", "inject", "eject")


@dataclass(frozen=True, eq=False)
class Fabric(Record):
    r"""Routers and links of a machine, with every time in cycles of ``cycle`` seconds.

    A packet has ``flits`` flits, the input buffer behind each link holds ``buffer`` flits. From
    when the first flit leaves an input buffer until it is in that of the next router take
    ``hop_x`` or ``hop_y`` cycles, or ``chip_hop`` where the link leads to another chip. A link
    is taken for ``gap`` cycles by each flit, one from chip to chip for ``chip_gap``. A packet takes
    its core's port into the router for ``inject`` cycles, a copy the port out of the router for
    ``eject``. A packet that was first in its buffer for ``drop_after`` cycles is dropped, or waits
    for ever (``None``). Without contention a copy arrives after

    .. math::
        \mathrm{inject} + \sum_k \mathrm{hop}_k + \max(\mathrm{eject}, T)

    cycles over the links k of its way, where T is how long after the first flit the last one has
    reached the last router: the largest of ``flits`` times ``gap`` (or ``chip_gap``) of all links,
    0 without any.

    Links of a ring and of a tree take ``hop_x``; those of ``triads`` that lead along both axes the
    larger of ``hop_x`` and ``hop_y``. With all seven times 0 the interconnect is `instant`.

    Raises ``ValueError`` where a number is out of range, or a router has too many ports.
    """

    machine: Machine
    cycle: float
    flits: int = 1
    buffer: int = 4
    hop_x: int = 1
    hop_y: int = 1
    chip_hop: int = 1
    gap: int = 1
    chip_gap: int = 1
    inject: int = 1
    eject: int = 1
    drop_after: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.cycle) and self.cycle > 0):
            raise ValueError(f"cycle is {self.cycle} s, not a finite time above 0")
        if self.flits < 1:
            raise ValueError(f"flits is {self.flits}, {1 - self.flits} below 1")
        if self.buffer < self.flits:
            short = self.flits - self.buffer
            raise ValueError(
                f"buffer holds {self.buffer} flits, {short} fewer than the {self.flits} of a packet"
            )
        if self.packets() > MOST_PACKETS:
            raise ValueError(
                f"buffer holds {self.packets()} packets, {self.packets() - MOST_PACKETS} above "
                f"{MOST_PACKETS}"
            )
        if self.drop_after is not None and self.drop_after < 1:
            raise ValueError(f"drop_after is {self.drop_after}, {1 - self.drop_after} below 1")
        for name in () if self.instant else _DELAYS:
            value = getattr(self, name)
            if value < 1:
                raise ValueError(
                    f"{name} is {value} cycles, {1 - value} below 1 (or all times have to be 0)"
                )
        room = 8 * self.reach * self.machine.router_count * self.ports
        if room > MOST_WHEEL:
            raise ValueError(
                f"what takes longest takes {self.reach} cycles: events of so many cycles, of "
                f"{self.machine.router_count * self.ports} ports, take {room / 2**30:.0f} GiB, "
                f"{room / MOST_WHEEL:.1f} times what there may be; count in longer cycles"
            )
        if self.ports > MOST_PORTS:
            raise ValueError(
                f"a router of '{self.machine.name}' has {self.ports} ports, "
                f"{self.ports - MOST_PORTS} above {MOST_PORTS}"
            )

    @classmethod
    def of(cls, machine: Machine) -> Fabric:
        """The interconnect that a chip's file describes; ``ValueError`` where it has none.

        Hops between chips take as long as others where the file does not say.
        """
        net = machine.interconnect
        if net is None:
            raise ValueError(f"the file of '{machine.name}' has no [interconnect]")
        found = {name: int(q.value) for name, q in net.stated.items() if name != "cycle_time"}
        found.setdefault("chip_hop", max(found["hop_x"], found["hop_y"]))
        found.setdefault("chip_gap", found["gap"])
        return cls(machine, net.cycle_time.value, **found)

    @classmethod
    def ideal(cls, machine: Machine, cycle: float = 1.0) -> Fabric:
        """An interconnect on which every copy arrives in the cycle it was sent in."""
        return cls(machine, cycle, **dict.fromkeys(_DELAYS, 0))

    @property
    def instant(self) -> bool:
        """Whether copies arrive in the cycle they were sent in."""
        return not any(getattr(self, name) for name in _DELAYS)

    def scaled(self, latency: float) -> Fabric:
        """The same with ``latency`` times the cycles of every hop, rounded, at least 1.

        With 0 it is `ideal`. Raises ``ValueError`` where ``latency`` is negative or not finite.
        """
        if not (math.isfinite(latency) and latency >= 0):
            raise ValueError(f"latency is scaled by {latency}, not by a finite number from 0 on")
        if latency == 0 or self.instant:
            return Fabric.ideal(self.machine, self.cycle)
        hops = {
            name: max(1, round(getattr(self, name) * latency))
            for name in ("hop_x", "hop_y", "chip_hop")
        }
        return replace(self, **hops)

    def slowed(self, factor: float) -> Fabric:
        """The same at a clock so many times slower: every time in seconds is longer by ``factor``.

        With 0 it is `ideal`. Raises ``ValueError`` where ``factor`` is negative or not finite.
        """
        if not (math.isfinite(factor) and factor >= 0):
            raise ValueError(f"it is slowed by {factor}, not by a finite number from 0 on")
        if factor == 0:
            return Fabric.ideal(self.machine, self.cycle)
        return replace(self, cycle=self.cycle * factor)

    @property
    def degree(self) -> int:
        """Links that leave a router at most: link d of router r has the number r degree + d."""
        return degree(self.machine)

    @property
    def ports(self) -> int:
        """Ports of a router: one a link, one a core, and one for the host."""
        return self.degree + self.machine.cores_per_router + 1

    @property
    def reach(self) -> int:
        """Cycles of what takes longest."""
        links = self.flits * max(self.gap, self.chip_gap)
        return max(self.hop_x, self.hop_y, self.chip_hop, self.inject, self.eject, links)

    def packets(self) -> int:
        """How many packets the input buffer behind a link holds."""
        return self.buffer // self.flits

    def hops(self) -> Ids:
        """Cycles of a hop over each link (links,)."""
        return self._by_link(self.hop_x, self.hop_y, self.chip_hop)

    def spans(self) -> Ids:
        """Cycles for which a packet takes each link at least (links,): ``flits`` times its gap."""
        x, chip = self.flits * self.gap, self.flits * self.chip_gap
        return self._by_link(x, x, chip)

    def _by_link(self, x: int, y: int, chip: int) -> Ids:
        end = neighbours(self.machine)
        table = np.full(end.shape, x, np.int32)
        if self.machine.topology != "tree":
            for d, (dx, dy) in enumerate(STEPS[self.machine.topology]):
                table[:, d] = max(x, y) if dx and dy else x if dx else y
            home = _chip(self.machine, np.arange(end.shape[0]))
            table[_chip(self.machine, end) != home[:, None]] = chip
        return table.ravel()


@dataclass(frozen=True, eq=False)
class Ports(Record):
    """The ports of all routers: port p of router r has the number r ``each`` + p, with p the link,
    then the core, then the host.

    The same numbers serve for the way in (a buffer) and out (a link or a core). ``links`` is the
    port of each link that there is (links,), in the order of their numbers. All others (ports,):
    ``behind`` the port in that a way out leads to, ``feeder`` the port out that leads to a way in,
    ``core`` the core, -1 where there is none; ``span`` the cycles for which a packet takes the way
    out at least, ``hop`` those until its first flit is in the next buffer, 0 for a core.
    """

    each: int
    links: Ids
    behind: Ids
    feeder: Ids
    core: Ids
    span: Ids
    hop: Ids

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("links", "behind", "feeder", "core", "span", "hop"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int32))

    @classmethod
    def of(cls, fabric: Fabric) -> Ports:
        """The ports of ``fabric``."""
        machine, each, degree = fabric.machine, fabric.ports, fabric.degree
        entrance = entrances(machine)
        there = entrance >= 0
        total = entrance.size // degree * each
        links = port_of(np.flatnonzero(there), degree, each).astype(np.int32)
        behind, feeder, core = (np.full(total, -1, np.int32) for _ in range(3))
        behind[links] = port_of(entrance[there], degree, each)
        feeder[behind[links]] = links
        cores = np.arange(total // each * machine.cores_per_router)
        core[port_of(cores, machine.cores_per_router, each) + degree] = cores
        span, hop = np.full(total, fabric.eject, np.int32), np.zeros(total, np.int32)
        span[links], hop[links] = fabric.spans()[there], fabric.hops()[there]
        return cls(each, links, behind, feeder, core, span, hop)


def port_of(number: npt.NDArray[np.integer[Any]], per: int, ports: int) -> npt.NDArray[np.int64]:
    """The port of each link, or core, by its number and how many of these a router has."""
    return number.astype(np.int64) // per * ports + number % per


def degree(machine: Machine) -> int:
    """Links that leave a router of ``machine`` at most."""
    if machine.topology == "tree":
        return max(machine.arity, default=0) + 1
    return len(STEPS[machine.topology])


def entrances(machine: Machine) -> Ids:
    """The input port at its end that each link (links,) leads to, as a link of that router; or -1.

    A link enters by the port of the link that leads straight back: at the east port what came from
    the east. Those of a ring enter by the only one there is.
    """
    end = neighbours(machine)
    routers, links = end.shape
    back = np.broadcast_to((np.arange(links) + links // 2) % links, end.shape).copy()
    if machine.topology == "tree":
        back[:] = 0  # down to a child, which has its parent at link 0
        child, parent = np.arange(routers), end[:, 0]
        inner = parent >= 0
        which = (end[parent[inner]] == child[inner, None]) & (np.arange(links) > 0)
        back[inner, 0] = which.argmax(axis=1)
    entrance = np.where(end >= 0, end * links + back, -1).astype(np.int32)
    return entrance.ravel()


def _chip(machine: Machine, router: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    y, x = np.divmod(router.astype(np.int64), machine.grid[0])
    chip: npt.NDArray[np.int64] = (
        y // machine.routers[1] * machine.chips[0] + x // machine.routers[0]
    )
    return chip
