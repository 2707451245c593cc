"""What goes into an interconnect and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from ...ir.records import Record, frozen_array
from .fabric import Fabric
from .trees import Ways

Integers = npt.NDArray[np.int64]

LAST: Final = 1 << 60
"""The last cycle in which a packet can be sent."""


@dataclass(frozen=True, eq=False)
class Packets(Record):
    """Spikes to send: k along the route ``route[k]`` in cycle ``time[k]``, which never falls.

    ``core`` is the core that sends it, at the origin of the route, or -1 for the host. ``packet``
    is what copies of it are known by: 0, 1, ... unless given. Spikes of a core with equal times
    queue up in the order they have here. All arrays (packets,).

    Raises ``ValueError`` where lengths differ or a number is no integer.
    """

    time: Integers
    route: Integers
    core: Integers
    packet: Integers = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.packet.size:
            object.__setattr__(self, "packet", np.arange(np.size(self.time)))
        for name in ("time", "route", "core", "packet"):
            value = np.asarray(getattr(self, name))
            if value.size and value.dtype.kind not in "iu":
                raise ValueError(f"{name} of packets holds {value.dtype}, not integers")
            object.__setattr__(self, name, frozen_array(value, np.int64))
        sizes = {self.time.shape, self.route.shape, self.core.shape, self.packet.shape}
        if len(sizes) > 1 or self.time.ndim != 1:
            raise ValueError(f"arrays of packets have the shapes {sorted(sizes)}, not one length")

    @classmethod
    def of(
        cls,
        time: npt.ArrayLike,
        route: npt.ArrayLike,
        core: npt.ArrayLike,
        packet: npt.ArrayLike = (),
    ) -> Packets:
        """The same from anything that numpy makes arrays of."""
        return cls(np.asarray(time), np.asarray(route), np.asarray(core), np.asarray(packet))

    @property
    def count(self) -> int:
        """How many there are."""
        return self.time.size

    def check(self, fabric: Fabric, ways: Ways, now: int) -> None:
        """Raise ``ValueError`` where one cannot be sent along ``ways`` from cycle ``now`` on."""
        if not self.count:
            return
        if self.time[0] < now:
            raise ValueError(f"a packet is sent in cycle {self.time[0]}, {now - self.time[0]} late")
        if self.time.max() > LAST:
            raise ValueError(f"a packet is sent in cycle {self.time.max()}, beyond {LAST}")
        falls = np.flatnonzero(np.diff(self.time) < 0)
        if falls.size:
            k = int(falls[0])
            raise ValueError(
                f"packet {k + 1} is sent in cycle {self.time[k + 1]}, before the one in front of "
                f"it, in {self.time[k]}"
            )
        if self.route.min() < 0 or self.route.max() >= ways.count:
            raise ValueError(
                f"packets take routes {self.route.min()} to {self.route.max()} of {ways.count}"
            )
        home = ways.router[ways.ptr[self.route]]
        per = fabric.machine.cores_per_router
        wrong = np.flatnonzero((self.core // per != home) & (self.core != -1))
        if wrong.size:
            k = int(wrong[0])
            raise ValueError(
                f"packet {k} is sent by core {self.core[k]}, which is not at router {home[k]}, "
                f"where its route {self.route[k]} starts"
            )


@dataclass(frozen=True, eq=False)
class Copies(Record):
    """Copies of packets: ``packet`` by the number it was sent with, ``core`` that the copy is for,
    cycle ``time`` of what became of it, cycle ``sent`` in which it was sent; all (copies,).
    """

    packet: Integers
    core: Integers
    time: Integers
    sent: Integers

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("packet", "core", "time", "sent"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int64))

    @property
    def count(self) -> int:
        """How many there are."""
        return self.time.size

    @property
    def latency(self) -> Integers:
        """Cycles from when each was sent (copies,)."""
        return self.time - self.sent


@dataclass(frozen=True, eq=False)
class Arrivals(Copies):
    """Copies that arrived, and those that were dropped: by cycle, then core, then when they were
    sent, then packet.
    """

    drops: Copies

    @classmethod
    def of(cls, arrived: Integers, dropped: Integers) -> Arrivals:
        """Of copies (4, copies) in any order: packet, core, cycle, cycle sent."""
        return cls(*_ordered(arrived), Copies(*_ordered(dropped)))


def _ordered(copies: Integers) -> tuple[Integers, Integers, Integers, Integers]:
    packet, core, time, sent = copies
    if not time.size:
        return packet, core, time, sent
    cores = int(core.max()) + 1
    key = (time - time.min()) * cores + core
    order = np.argsort(key)
    key = key[order]
    tied = np.concatenate([[False], key[1:] == key[:-1]])
    if tied.any():
        tied[:-1] |= tied[1:]
        some = order[tied]
        order[tied] = some[np.lexsort((packet[some], sent[some], key[tied]))]
    return packet[order], core[order], time[order], sent[order]
