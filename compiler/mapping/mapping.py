"""The result of mapping, as data: parts, places, routes and tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...boards.machine import Machine
from ...boards.quantity import Obtained
from ...ir.records import Record, frozen_array

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Routes(Record):
    """Trees from a router to cores; sources of one core with the same targets share one.

    ``of`` (sources,) is the route of each source, -1 where it has no target. Route r starts at the
    router ``origin[r]`` and takes the links ``start[k] -> end[k]`` for k from ``link_ptr[r]`` to
    ``link_ptr[r + 1]``, numbers of routers, each of which starts at the origin or where an earlier
    one ends. It delivers to the cores ``sink[sink_ptr[r]:sink_ptr[r + 1]]``, ascending numbers of
    the machine's.
    """

    of: Ids
    origin: Ids
    link_ptr: Integers
    start: Ids
    end: Ids
    sink_ptr: Integers
    sink: Ids

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("of", "origin", "start", "end", "sink"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int32))
        for name in ("link_ptr", "sink_ptr"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int64))

    @property
    def count(self) -> int:
        """How many routes there are."""
        return self.origin.size


@dataclass(frozen=True, eq=False)
class Tables(Record):
    """Key/mask tables of routers that look packets up, first match first.

    ``key`` (sources,) is what the packets of a source carry, 0 where it has no target. Router r has
    the entries ``ptr[r]`` to ``ptr[r + 1]``: a packet k matches where ``k & entry_mask ==
    entry_key``, and leaves by the links whose bits are set in ``entry_links`` (in the order of
    `boards.machine.STEPS`), and to the cores of the router whose bits are set in ``entry_cores``.
    A packet that matches none goes straight on through the link opposite to where it came from.
    """

    key: npt.NDArray[np.uint32]
    ptr: Integers
    entry_key: npt.NDArray[np.uint32]
    entry_mask: npt.NDArray[np.uint32]
    entry_links: npt.NDArray[np.uint32]
    entry_cores: npt.NDArray[np.uint32]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "ptr", frozen_array(self.ptr, np.int64))
        for name in ("key", "entry_key", "entry_mask", "entry_links", "entry_cores"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.uint32))


@dataclass(frozen=True, eq=False)
class Encodings(Record):
    """How the synapses of each projection lie in each core.

    ``names`` are the formats of the machine; ``format`` (bundles, parts) has the number of one for
    the synapses that a bundle has in a part, -1 where it has none, ``bits`` (bundles, parts) what
    they take in it.
    """

    names: tuple[str, ...]
    format: Ids
    bits: Integers

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "format", frozen_array(self.format, np.int32))
        object.__setattr__(self, "bits", frozen_array(self.bits, np.int64))


@dataclass(frozen=True, slots=True)
class EncodingUse:
    """The synapses of a projection that lie in one format: in how many cores, in how many bits.

    ``obtained`` is how the format's facts were.
    """

    projection: str
    format: str
    obtained: Obtained
    cores: int
    synapses: int
    bits: int


@dataclass(frozen=True, eq=False)
class Mapping(Record):
    """A network on a machine.

    ``part`` (neurons,) is the part of each neuron, 0 .. parts - 1, none of them empty; ``seat``
    (parts,) the core of the machine that each part sits in. ``tables`` only where the routers of
    the machine have them, ``encodings`` where the network is counted in the machine's `Formats`.
    """

    machine: Machine
    part: Ids
    seat: Ids
    routes: Routes
    tables: Tables | None = None
    encodings: Encodings | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "part", frozen_array(self.part, np.int32))
        object.__setattr__(self, "seat", frozen_array(self.seat, np.int32))

    @property
    def parts(self) -> int:
        """How many cores are used."""
        return self.seat.size
