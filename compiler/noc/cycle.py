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
from . import _kernels as k
from .fabric import Fabric, Ports, port_of
from .packets import Arrivals, Packets
from .trees import Ways

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]
Rows = npt.NDArray[np.void]

_LINE = 64


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

    Takes memory for every place of every buffer, for a power of two of them: 4 bytes each, and 56
    more once it was taken; and for events to come, up to 8 bytes a port in each of `Fabric.reach`
    cycles. Raises ``ValueError`` where ``ways`` are of another machine than
    ``fabric``.
    """

    def __init__(self, fabric: Fabric, ways: Ways) -> None:
        if ways.machine != fabric.machine:
            raise ValueError(
                f"routes are of '{ways.machine.name}', the interconnect is of "
                f"'{fabric.machine.name}'"
            )
        self.fabric, self.ways = fabric, ways
        self.ports = Ports.of(fabric)
        self._sinks = ways.sinks
        self._copies = 0
        self._entering = np.zeros(0, k.ENTRY)
        self._begun = np.zeros(0, np.bool_)
        # Copies that their core will have in a cycle that has not come.
        self._landing = np.zeros((4, 0), np.int64)
        self._tree, self._exit = self._nodes()
        each = fabric.instant or not fabric.machine.multicast
        self._form = self._sized(each)
        self._begin: Integers | None = None
        self._paths: npt.NDArray[np.uint8] | None = None
        if each:
            self._begin, self._paths = self._walked()
        self._state()

    def _nodes(self) -> tuple[Rows, Ids]:
        ways, fabric, each = self.ways, self.fabric, self.ports.each
        tree = np.zeros(ways.link.size, k.NODE)
        way = port_of(ways.link, fabric.degree, each)
        tree["way"], tree["end"] = np.where(ways.link >= 0, way, -1), ways.end
        tree["here"], tree["last"] = ways.sink_ptr[1:], ways.sink_ptr[ways.end]
        exit = port_of(ways.sink, fabric.machine.cores_per_router, each) + fabric.degree
        return tree, exit.astype(np.int32)

    def _walked(self) -> tuple[Integers, npt.NDArray[np.uint8]]:
        begin, none = np.zeros(self._exit.size, np.int64), np.zeros(0, np.uint8)
        walk = self._tree, self._exit, self.ways.ptr[:-1], self.ports.each, begin
        paths = np.zeros(k.walk(*walk, none), np.uint8)
        k.walk(*walk, paths)
        return begin, paths

    def _sized(self, each: bool) -> k.Form:
        fabric, ports = self.fabric, self.ports
        # No event is further off than this: what is taken longest, a hop, or the way into a router.
        reach = max(fabric.reach, 1) + 2
        places = fabric.packets()
        return k.Form(
            fabric.degree,
            ports.each,
            places,
            (places - 1).bit_length(),
            (1 << reach.bit_length()) - 1,
            (2 * ports.core.size + k.AHEAD).bit_length(),
            each,
            fabric.inject,
        )

    def _state(self) -> None:
        """Nothing on the way."""
        ports, form = self.ports, self._form
        total = ports.core.size
        number = np.arange(total)
        is_link = ports.behind >= 0
        times = np.stack([ports.span, ports.hop], axis=1)[is_link]
        kinds, kind = np.unique(times, axis=0, return_inverse=True)
        # What is a core's comes first (`k.CORE`), then the kinds of links that there are.
        self._kinds = np.concatenate([[[self.fabric.eject, 0]], kinds.astype(np.int64)])
        self._buffer_of = np.where(ports.feeder >= 0, ports.feeder, number).astype(np.int32)
        self._port = _lines_of_cache(total, k.PORT)
        self._port["since"] = -1
        self._port["kind"][is_link] = 1 + kind.ravel()
        self._port["asking"] = number // ports.each * ports.each
        self._port["base"][self._buffer_of] = self._port["asking"]
        self._port["bit"][self._buffer_of] = number % ports.each
        self._aside = _lines_of_cache(total, k.ASIDE)
        self._aside["front"] = -1
        self._aside["core"] = ports.core
        self._place = _lines_of_cache(total << form.shift, k.PLACE)
        self._flight = np.zeros(self._place.size, k.FLIGHT)
        self._spare = np.arange(self._place.size, dtype=np.int32)
        self._wheel = np.zeros((form.mask + 1) << form.room, np.int32)
        self._count = np.zeros(form.mask + 1, np.int64)
        self._asked, self._asker = (np.zeros(2 * total + k.AHEAD, np.int32) for _ in range(2))
        self._clock = np.zeros(8, np.int64)
        self._clock[[k.EARLIEST, k.LATEST]] = -1
        self._clock[k.SPARE] = self._spare.size

    @property
    def now(self) -> int:
        """The cycle that comes next."""
        return int(self._clock[k.NOW])

    @property
    def entering(self) -> Rows:
        """Packets that have not left the lines of their cores, in the rows of the kernels."""
        begun = self._begun
        return self._entering[~begun] if begun.any() else self._entering

    @property
    def tables(self) -> tuple[Rows, Ids]:
        """Nodes, in the rows of the kernels, and the ports out to sinks."""
        return self._tree, self._exit

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
        each = self._form.each
        new = np.empty(int(counts.sum() if each else np.count_nonzero(counts)), k.ENTRY)
        k.new_rows(
            packets.time,
            packets.route,
            packets.core,
            packets.packet,
            self.ways.ptr,
            self.ways.router,
            self.ways.sink_ptr,
            self.fabric.machine.cores_per_router,
            self._form,
            new,
        )
        self._enter(new)

    def _enter(self, new: Rows) -> None:
        left = self.entering
        both = np.concatenate([left, new]) if left.size else new
        if left.size and new.size and new["sent"][0] < left["sent"][-1]:
            both = both[np.argsort(both["sent"], kind="stable")]
        self._entering = both
        self._begun = np.zeros(both.size, np.bool_)
        if not self.fabric.instant:
            entered = int(np.searchsorted(both["sent"], self.now))
            self._clock[k.ENTERED] = entered
            k.stand_in_line(both, entered, self._aside)

    def run(self, until: int | None = None) -> Arrivals:
        """All that arrives, or is dropped, from now to before cycle ``until``; ``None``: all.

        Running in pieces gives the same as running at once. Raises E0325 where packets wait for
        each other in a circle and nothing moves any more.
        """
        stop = k.NEVER if until is None else until
        if self.fabric.instant:
            return self._run_instant(stop)
        arrived, dropped = (np.empty((4, self._copies), np.int64) for _ in range(2))
        status = k.advance(
            self._form,
            self.fabric.drop_after,
            max(stop, self.now),
            self._tree,
            self._exit,
            self._begin,
            self._paths,
            self._kinds,
            self._buffer_of,
            self._port,
            self._aside,
            self._place,
            self._flight,
            self._spare,
            self._wheel,
            self._count,
            self._entering,
            self._begun,
            self._asked,
            self._asker,
            self._clock,
            arrived,
            dropped,
        )
        arrived = arrived[:, : self._clock[k.ARRIVED]]
        dropped = dropped[:, : self._clock[k.DROPPED]]
        if self.now and (status == k.LOCKED or stop == k.NEVER):
            # It is over when the last port is free, and the last packet has left its place.
            ended = max(self._port["free"].max(), self._port["release"].max())
            self._clock[k.NOW] = max(self.now, int(ended) + 1)
        if self._landing.size:
            arrived = np.concatenate([self._landing, arrived], axis=1)
        late = arrived[2] >= max(stop, self.now)
        self._landing = arrived[:, late]
        if self._landing.size:
            arrived = arrived[:, ~late]
        self._copies -= arrived.shape[1] + dropped.shape[1]
        if status == k.LOCKED:
            raise self._locked()
        return Arrivals.of(arrived, dropped)

    def _run_instant(self, stop: int) -> Arrivals:
        sent = self._entering["sent"]
        n = int(np.searchsorted(sent, stop))
        rows = self._entering[:n]
        self._begun[:n] = True
        core = self.ways.sink[rows["sink"]]
        arrived = np.stack([rows["ident"], core, sent[:n], sent[:n]])
        self._enter(self._entering[:0])
        self._copies -= n
        last = int(sent[:n].max(initial=self.now - 1)) + 1
        self._clock[k.NOW] = max(self.now, stop) if stop < k.NEVER else last
        return Arrivals.of(arrived, arrived[:, :0])

    def use(self) -> LinkUse:
        """What the links were used for, up to now."""
        links, flits = self.ports.links, self.fabric.flits
        port, aside = self._port[links], self._aside[links]
        packets = port["packets"]
        waited = np.where(port["since"] >= 0, self.now - port["since"], 0)
        return LinkUse(
            links // self.ports.each,
            self.ports.behind[links] // self.ports.each,
            packets * flits,
            packets * self.ports.span[links] + aside["late"],
            aside["stall"] + waited,
            port["peak"].astype(np.int64) * flits,
        )

    def _locked(self) -> SpikecError:
        """E0325, with a circle: nothing is taken, so whoever is asked for has a full buffer."""
        ports, behind = self.ports.each, self.ports.behind
        want = self._port["want"]
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
        held = self._flight.size - int(self._clock[k.SPARE])
        return fail(
            "E0325",
            f"in cycle {self.now} of '{self.fabric.machine.name}' nothing moves any more: {held} "
            f"packets wait, some of them in the circle of routers {named}{more}; {self._copies} "
            "copies have not arrived",
            hint="buffers with more room, fewer packets at a time, or routers that drop a packet "
            "that is blocked",
        )


def _lines_of_cache(count: int, form: np.dtype[Any]) -> Rows:
    """Zeros, so many of ``form``, that begin where a line of cache does."""
    raw = np.zeros(count * form.itemsize + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + count * form.itemsize].view(form)
