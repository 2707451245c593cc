r"""The interconnect, cycle by cycle.

**Ports.** A router has for each link that leads to it a buffer of ``buffer`` flits, and for each
core, and for the host, a line without end. Each link and each core is a port out. Ports in are
numbered by the link that leads straight back, then by core, the host last (`fabric.entrances`).

**Entering.** A core's port takes one packet after the other, each for ``inject`` cycles: packet k
is at the router in cycle :math:`r_k = \max(s_k, r_{k-1}) + \mathrm{inject}` if it was sent in
cycle :math:`s_k`. On a machine without multicast a spike becomes one packet for each core of its
route, in the order of `Ways`, all of them sent in the same cycle.

**Waiting.** A buffer is first in, first out. When a packet becomes the first it asks at once for
all ports out that its tree names, which may grant it in different cycles; each copy goes on alone.

**Granting.** In each cycle a port out takes one of the packets that ask for it, if it is not taken
and the buffer behind it has room for all flits of a packet (virtual cut-through). It asks round
robin: beginning at the port in behind the one that it took last, at first at port 0. A port out
decides from the state at the beginning of the cycle, so no grant depends on another one of the same
cycle. Room is reserved when it grants.

**Moving.** A packet that is granted in cycle t, and whose last flit has come in at cycle e, takes
the port until :math:`f = \max(t + T, e)`, T being ``flits`` times ``gap`` (or ``chip_gap``) for a
link and ``eject`` for a core. On a link its first flit is in the next buffer in cycle t + hop,
where it may be granted at once, its last one in cycle f + hop. A core has the copy in cycle f. At
the core's port into the router e is :math:`r_k`, or later the cycle in which it became the first.

**Leaving.** When all branches of a packet have left its buffer, at the largest f, its place is
free and the next packet is the first, both within that cycle.

**Dropping.** A packet that became the first in cycle t and has branches that no port has granted by
the end of cycle t + ``drop_after`` loses these, also in a core's line. It leaves in the next cycle,
or when its last flit is in and the other branches have left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import SpikecError, fail
from ...ir.records import Record, frozen_array
from ..mapping.check import neighbours
from . import _kernels as k
from .fabric import Fabric, entrances
from .packets import Arrivals, Packets
from .trees import Ways

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class LinkUse(Record):
    """What each link ``start -> end`` of a machine was used for; all (links,).

    ``flits`` it carried; ``busy`` cycles it was taken for, by what was granted so far; ``stall``
    cycles in which a packet that was first in its buffer asked for it and did not get it; ``peak``
    flits that the buffer behind it had room reserved for at most.
    """

    start: Ids
    end: Ids
    flits: Integers
    busy: Integers
    stall: Integers
    peak: Integers

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("start", "end"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int32))
        for name in ("flits", "busy", "stall", "peak"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int64))


class Network:
    """An interconnect with packets on it; cycles begin at 0.

    Takes memory for every place of every buffer: 64 bytes each. Raises ``ValueError`` where
    ``ways`` are of another machine than ``fabric``.
    """

    def __init__(self, fabric: Fabric, ways: Ways) -> None:
        if ways.machine != fabric.machine:
            raise ValueError(
                f"routes are of '{ways.machine.name}', the interconnect is of "
                f"'{fabric.machine.name}'"
            )
        self.fabric, self.ways = fabric, ways
        self._sinks = ways.sinks
        self._copies = 0
        self._entering = np.zeros((0, 6), np.int64)
        self._begun = np.zeros(0, np.bool_)
        self._behind = np.zeros(0, np.int64)
        self._clock = np.zeros(8, np.int64)
        self._clock[[k.EARLIEST, k.LATEST]] = -1
        machine, ports, degree = fabric.machine, fabric.ports, fabric.degree
        per = machine.cores_per_router
        self._ends = neighbours(machine)
        routers = self._ends.shape[0]
        total = routers * ports
        # Ports out by link, and the ports in that they lead to.
        self._link_port = _port(np.arange(routers * degree), degree, ports)
        entrance = entrances(machine)
        there = entrance >= 0
        behind = _port(entrance[there], degree, ports)
        places = fabric.packets()
        links = self._link_port[there]
        self._path = np.full((total, k.PATH_COLUMNS), -1, np.int32)
        self._path[:, k.BASE] = np.arange(total) // ports * ports
        self._path[:, k.SPAN] = fabric.eject
        self._path[links, k.BEHIND] = behind
        self._path[links, k.SPAN] = fabric.spans()[there]
        self._path[links, k.HOP] = fabric.hops()[there]
        self._path[behind, k.FEEDER] = links
        cores = np.arange(routers * per)
        self._path[_port(cores, per, ports) + degree, k.CORE] = cores
        self._out = np.zeros((total, k.OUT_COLUMNS), np.int32)
        self._out[:, k.HOLDER] = -1
        self._out[links, k.CREDIT] = places
        self._into = np.zeros((total, k.IN_COLUMNS), np.int32)
        self._want, self._due = np.zeros(total, np.int64), np.zeros(total, np.int64)
        self._use = np.zeros((total, 4), np.int64)
        self._use[:, k.SINCE] = -1
        self._line = np.full((total, 2), -1, np.int64)
        self._last = np.zeros(total, np.int64)
        room = np.ones(total, np.int64)
        room[behind] = places
        self._path[:, k.START] = np.cumsum(room) - room
        self._buffer = np.zeros((room.sum(), k.PLACE_COLUMNS), np.int64)
        self._buffer[:, k.PORT] = np.repeat(np.arange(total), room)
        self._fresh, self._active = np.zeros(total, np.int64), np.zeros(total, np.int64)
        # No event is further off than this: what is taken longest, or a hop.
        reach = max(fabric.eject, *fabric.spans().tolist(), *fabric.hops().tolist(), 1) + 2
        wheel = 1 << int(reach).bit_length()
        self._wheels = np.full((2, wheel), -1, np.int64)
        drop = -1 if fabric.drop_after is None else fabric.drop_after
        self._form = k.Form(degree, ports, places, wheel - 1, drop)
        way = np.where(ways.link >= 0, _port(ways.link, degree, ports), -1)
        self._tree = np.empty((ways.link.size, 4), np.int32)
        self._tree[:, k.WAY], self._tree[:, k.END] = way, ways.end
        self._tree[:, k.HERE], self._tree[:, k.LAST] = ways.sink_ptr[1:], ways.sink_ptr[ways.end]
        self._exit = (_port(ways.sink, per, ports) + degree).astype(np.int32)

    @property
    def now(self) -> int:
        """The cycle that comes next."""
        return int(self._clock[k.NOW])

    @property
    def entering(self) -> Integers:
        """Packets that have not left the lines of their cores, in the rows of the kernels."""
        rows: Integers = self._entering[~self._begun]
        return rows

    @property
    def tables(self) -> tuple[Ids, Ids, Ids]:
        """Nodes, the ports of sinks, and ports, in the rows of the kernels."""
        return self._tree, self._exit, self._path

    @property
    def copies(self) -> int:
        """Copies that were sent and have neither arrived nor been dropped."""
        return self._copies

    def send(self, packets: Packets) -> None:
        """Put packets in the lines of their cores.

        Raises ``ValueError`` where a packet cannot be sent: in the past, not in order of time, by a
        core that is not at the origin of its route.
        """
        packets.check(self.fabric, self.ways, self.now)
        counts = self._sinks[packets.route + 1] - self._sinks[packets.route]
        self._copies += int(counts.sum())
        each = self.fabric.instant or not self.fabric.machine.multicast
        new = np.empty((int(counts.sum() if each else np.count_nonzero(counts)), 6), np.int64)
        k.new_rows(
            packets.time,
            packets.route,
            packets.core,
            packets.packet,
            self.ways.ptr,
            self.ways.router,
            self.ways.sink_ptr,
            each,
            self.fabric.machine.cores_per_router,
            self._form,
            self.fabric.inject,
            self._last,
            new,
        )
        self._enter(new)

    def _enter(self, new: Integers) -> None:
        left = self.entering
        entering = np.concatenate([left, new]) if left.size else new
        # Where nothing takes time a packet arrives when it is sent, whoever stands before it.
        by = k.SENT_IN if self.fabric.instant else k.READY
        order = np.argsort(entering[:, by], kind="stable")
        self._entering = entering[order]
        self._begun = np.zeros(order.size, np.bool_)
        if self.fabric.instant:
            return
        self._behind = np.full(order.size, -1, np.int64)
        entered = int(np.searchsorted(self._entering[:, k.READY], self.now))
        self._clock[k.ENTERED] = entered
        k.stand_in_line(self._entering, entered, self._line, self._behind)

    def run(self, until: int | None = None) -> Arrivals:
        """All that arrives, or is dropped, from now to before cycle ``until``; ``None``: all.

        Running in pieces gives the same as running at once. Raises E0325 where packets wait for
        each other in a circle and nothing moves any more.
        """
        stop = k.NEVER if until is None else until
        if self.fabric.instant:
            return self._run_instant(stop)
        arrived, dropped = (np.empty((self._copies, 4), np.int64) for _ in range(2))
        if self._form.drop_after < 0:
            dropped = dropped[:0]
        status = k.advance(
            self._form,
            max(stop, self.now),
            self._tree,
            self._exit,
            self._path,
            self._into,
            self._out,
            self._want,
            self._due,
            self._use,
            self._buffer,
            self._wheels[0],
            self._wheels[1],
            self._line,
            self._behind,
            self._entering,
            self._begun,
            self._fresh,
            self._active,
            self._clock,
            arrived,
            dropped,
        )
        arrived = arrived[: self._clock[k.ARRIVED]]
        dropped = dropped[: self._clock[k.DROPPED]]
        self._copies -= arrived.shape[0] + dropped.shape[0]
        if status == k.LOCKED:
            raise self._locked()
        return Arrivals.of(arrived, dropped)

    def _run_instant(self, stop: int) -> Arrivals:
        sent = self._entering[:, k.SENT_IN]
        n = int(np.searchsorted(sent, stop))
        rows = self._entering[:n]
        self._begun[:n] = True
        core = self.ways.sink[rows[:, k.TARGET_IN]]
        arrived = np.stack([rows[:, k.IDENT_IN], core, sent[:n], sent[:n]], axis=1)
        self._enter(self._entering[:0])
        self._copies -= n
        last = int(sent[:n].max(initial=self.now - 1)) + 1
        self._clock[k.NOW] = max(self.now, stop) if stop < k.NEVER else last
        return Arrivals.of(arrived, arrived[:0])

    def use(self) -> LinkUse:
        """What the links were used for, up to now."""
        start, d = np.nonzero(self._ends >= 0)
        port = self._link_port[start * self.fabric.degree + d]
        use = self._use[port]
        since = use[:, k.SINCE]
        return LinkUse(
            start.astype(np.int32),
            self._ends[start, d],
            use[:, k.PACKETS] * self.fabric.flits,
            use[:, k.BUSY],
            use[:, k.STALL] + np.where(since >= 0, self.now - since, 0),
            self._out[port, k.PEAK].astype(np.int64) * self.fabric.flits,
        )

    def _locked(self) -> SpikecError:
        """E0325, with a circle: nothing is taken, so whoever is asked for has a full buffer."""
        ports = self.fabric.ports
        want, behind = self._want, self._path[:, k.BEHIND]
        asks: dict[int, int] = {}
        for o in np.flatnonzero((want != 0) & (behind >= 0)).tolist():
            base = o // ports * ports
            asks |= {base + p: o for p in range(ports) if int(want[o]) >> p & 1}
        port, seen = next(iter(asks)), list[int]()
        while port not in seen:
            seen.append(port)
            port = int(behind[asks[port]])
        circle = [i // ports for i in seen[seen.index(port) :]]
        named = " -> ".join(map(str, [*circle, circle[0]][:17]))
        more = f" and {len(circle) - 16} more" if len(circle) > 16 else ""
        held = int(self._into[:, k.PRESENT].sum())
        return fail(
            "E0325",
            f"in cycle {self.now} of '{self.fabric.machine.name}' nothing moves any more: {held} "
            f"packets wait, some of them in the circle of routers {named}{more}; {self._copies} "
            "copies have not arrived",
            hint="buffers with more room, fewer packets at a time, or routers that drop a packet "
            "that is blocked",
        )


def _port(link: npt.NDArray[np.integer[Any]], degree: int, ports: int) -> Integers:
    """The port of each link, or core, by its number and how many a router has."""
    return link.astype(np.int64) // degree * ports + link % degree
