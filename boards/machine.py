"""Machines: cores on an interconnect, with every limit that a mapping has to respect.

A :class:`Machine` is a grid of chips, each a grid of routers, each with as many cores. Routers are
numbered row by row over the whole machine, cores router by router: core c sits at router
``c // cores_per_router``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final, Literal

from .costs import CostModel, Interconnect
from .quantity import Obtained, Quantity

Topology = Literal["mesh", "torus", "triads", "ring", "tree"]

# Steps (x, y) of the links that leave a router, in the order in which they are numbered. Those of
# ``triads`` are SpiNNaker's: east, north-east, north, west, south-west, south.
STEPS: Final[Mapping[Topology, tuple[tuple[int, int], ...]]] = {
    "mesh": ((1, 0), (0, 1), (-1, 0), (0, -1)),
    "torus": ((1, 0), (0, 1), (-1, 0), (0, -1)),
    "triads": ((1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1)),
    "ring": ((1, 0),),
}

# What each limit counts, in words: those of a core and of a router.
LIMITS: Final[Mapping[str, str]] = {
    "neurons": "neurons",
    "sources": "lines of inputs",
    "in_axons": "in-axons",
    "out_axons": "out-axons",
    "synapse_bits": "bits of synapse memory",
    "fan_in": "synapses onto one neuron",
    "fan_out": "cores that one neuron reaches",
    "delay_steps": "steps of delay",
    "routing_entries": "routing entries",
}

# What fills up as neurons are put into a core, or routes into a router. Other limits are of one
# neuron or synapse: that a neuron reaches the one core it may reach says nothing of room.
CAPACITIES: Final[tuple[str, ...]] = (
    "neurons",
    "sources",
    "in_axons",
    "out_axons",
    "synapse_bits",
    "routing_entries",
)


@dataclass(frozen=True, slots=True)
class CoreLimits:
    """What a core holds at most; ``None`` means unlimited.

    ``neurons`` compartments. ``sources``: lines of inputs, in a core that holds no neurons; without
    this limit lines that take places in cores (`Machine.inputs_on_cores`) count as neurons.
    ``in_axons``: distinct sources with a synapse in the core, those of the core itself among them.
    ``out_axons``: over the neurons of the core, the cores that each has a synapse in, added up.
    ``synapse_bits``: synapse memory as `Encoding` fills it. ``fan_in``: synapses onto a neuron.
    ``fan_out``: cores that a neuron has synapses in. ``delay_steps``: the longest delay of a
    synapse.
    """

    neurons: Quantity | None = None
    sources: Quantity | None = None
    in_axons: Quantity | None = None
    out_axons: Quantity | None = None
    synapse_bits: Quantity | None = None
    fan_in: Quantity | None = None
    fan_out: Quantity | None = None
    delay_steps: Quantity | None = None

    @property
    def every(self) -> dict[str, Quantity | None]:
        """All by name, also those that are unlimited."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def stated(self) -> dict[str, Quantity]:
        """Those that there are, by name."""
        return {name: limit for name, limit in self.every.items() if limit is not None}


@dataclass(frozen=True, slots=True)
class SynapseFormat:
    """One way to lay down the synapses that an axon has in a core.

    ``index`` says what tells the target of a synapse: an index of its ``synapse``; one of the first
    of a ``run`` of neighbours, each of which is a block of its own; or ``none``: the row has a
    weight for every neuron of the population that is in the core. Where ``shared`` rows that are
    alike but for where they begin are stored once. ``source`` and ``obtained`` are where the
    format is written and how it was obtained.
    """

    name: str
    index: Literal["synapse", "run", "none"]
    shared: bool
    source: str
    obtained: Obtained


@dataclass(frozen=True, slots=True)
class Formats:
    r"""The formats that a core's synapse memory has, and what they have in common.

    A row of synapses is cut into blocks of at most ``block``; one of n synapses takes

    .. math::
        w \left\lceil \frac{\mathrm{head} + r + n (b + d + s)}{w} \right\rceil

    bits, with w the bits of a word, b those of a weight, d those of a delay (``delay``, or 0 where
    no spike of the projection is held back), and of an index r or s: r where a run has one, s where
    a synapse has one, else 0. ``index_widths`` and ``weight_widths`` are the widths that there are,
    ascending: the least that holds what it must is taken. ``source`` and ``obtained`` are theirs.
    """

    head: Quantity
    block: Quantity
    delay: Quantity
    index_widths: tuple[int, ...]
    weight_widths: tuple[int, ...]
    every: tuple[SynapseFormat, ...]
    source: str
    obtained: Obtained


@dataclass(frozen=True, slots=True)
class Encoding:
    r"""How synapses lie in a core's memory: bits of a core are

    .. math::
        \sum_{a} w \left\lceil \frac{\mathrm{axon} + n_a s}{w} \right\rceil + \sum_k n_k s,
        \qquad s = \mathrm{weight} + \mathrm{synapse}

    over the in-axons a with :math:`n_a` synapses in the core that are not shared, and the
    kernels k of :math:`n_k` weights that have a synapse in the core; w is ``word``, the bits of a
    word. ``axon`` is the head of a row of synapses, ``synapse`` what one takes beside its weight:
    index, delay, type. The weight has the width that the network stores, unless the memory has a
    place of ``weight`` bits for it; :meth:`synapse_bits` is s. No weight has more than ``widest``
    bits. Where ``shared`` is false kernels
    are unrolled: every synapse counts, no kernel does. With ``crossbar`` every pair of an axon
    and a neuron has its bits and nothing else costs any, so the limits of axons and neurons say it
    all. A network whose weights are words of the chip's own is counted in the chip's ``formats``
    instead, where they are known.
    """

    axon: Quantity
    synapse: Quantity
    word: int = 1
    shared: bool = False
    crossbar: bool = False
    weight: Quantity | None = None
    widest: Quantity | None = None
    formats: Formats | None = None

    def synapse_bits(self, weight_bits: int) -> int:
        """s, the bits of one synapse of a network that stores weights of ``weight_bits``."""
        return int(self.synapse.value) + (
            weight_bits if self.weight is None else int(self.weight.value)
        )


@dataclass(frozen=True, slots=True)
class Machine:
    """Cores on an interconnect.

    ``chips`` and ``routers`` are (columns, rows) of chips and of routers a chip. ``absent`` are
    places (x, y) of the whole grid without a router, ``bare`` routers without cores. A ``tree`` has
    ``arity`` children at each level, the root first, and its leaves are the routers; ``chips`` and
    ``routers`` are then (1, 1) and (leaves, 1). In routes its inner switches are numbered behind
    the leaves, level by level from the one just above them to the root, which is the last; the
    children of one switch have consecutive numbers. Links wrap around where the topology is
    ``torus`` or ``ring`` or ``wraps`` is true. With ``multicast`` one packet serves all cores of a
    route and is copied where it branches; else a spike is one packet for each core. ``mixed`` says
    whether a core may hold neurons of several populations, ``programmable`` whether its neurons are
    programs that may send values and keep what they like, ``inputs_on_cores`` whether the lines of
    inputs take places in cores like neurons; otherwise they enter at the router ``host``.
    ``routing_entries`` limits the key/mask table of a router, ``link_capacity`` the packets of a
    link in a step, ``chip_link`` the cost of a hop from chip to chip in hops within one. ``costs``
    are energies in joule, times in second, powers in watt and so on by name; the name ends with
    what it is (``hop_energy``). ``models`` say what they are multiplied with, the usual one first,
    and ``interconnect`` how fast packets are.

    ``max_chips`` is how many chips the largest machine of its kind has; ``None`` says that the
    arrangement is as it is. ``source`` and ``obtained`` are where the arrangement is written and
    how it was obtained. ``family`` names the kind of chip, whose rules `features` has.
    """

    name: str
    title: str
    topology: Topology
    chips: tuple[int, int]
    routers: tuple[int, int]
    cores_per_router: int
    core: CoreLimits
    encoding: Encoding
    multicast: bool = False
    mixed: bool = True
    inputs_on_cores: bool = False
    programmable: bool = False
    wraps: bool = False
    host: int = 0
    absent: frozenset[tuple[int, int]] = frozenset()
    bare: frozenset[int] = frozenset()
    arity: tuple[int, ...] = ()
    routing_entries: Quantity | None = None
    link_capacity: Quantity | None = None
    chip_link: Quantity | None = None
    costs: Mapping[str, Quantity] = field(default_factory=dict, hash=False)
    models: Mapping[str, CostModel] = field(default_factory=dict, hash=False)
    interconnect: Interconnect | None = None
    note: str = ""
    family: str = ""
    max_chips: Quantity | None = None
    source: str = ""
    obtained: Obtained = "recalled"

    def __hash__(self) -> int:
        # Machines are keys of caches; few of them have these in common and differ elsewhere.
        return hash((self.name, self.topology, self.chips, self.routers, self.cores_per_router))

    @property
    def grid(self) -> tuple[int, int]:
        """Columns and rows of routers in the whole machine, absent ones counted."""
        return self.chips[0] * self.routers[0], self.chips[1] * self.routers[1]

    @property
    def router_count(self) -> int:
        """Places for routers, absent ones counted: what numbers of routers run to."""
        return self.grid[0] * self.grid[1]

    @property
    def seats(self) -> int:
        """Numbers of cores run to this; those at absent and bare routers are no cores."""
        return self.router_count * self.cores_per_router

    @property
    def cores(self) -> int:
        """How many cores there are."""
        routers = self.router_count - len(self.absent) - len(self.bare)
        return routers * self.cores_per_router

    @property
    def cyclic(self) -> bool:
        """Whether links wrap around."""
        return self.wraps or self.topology in ("torus", "ring")

    def place(self, router: int) -> tuple[int, int]:
        """(x, y) of a router."""
        return router % self.grid[0], router // self.grid[0]

    def chip_of(self, router: int) -> tuple[int, int]:
        """(column, row) of the chip that a router is on."""
        x, y = self.place(router)
        return x // self.routers[0], y // self.routers[1]

    def chips_of(self, cores: Iterable[int]) -> set[tuple[int, int]]:
        """(column, row) of all chips that have one of these cores."""
        return {self.chip_of(core // self.cores_per_router) for core in cores}

    @property
    def chip_count(self) -> int:
        """How many chips there are; a place all of whose routers are absent is none."""
        gone = Counter((x // self.routers[0], y // self.routers[1]) for x, y in self.absent)
        whole = self.routers[0] * self.routers[1]
        empty = sum(count == whole for count in gone.values())
        return self.chips[0] * self.chips[1] - empty

    @property
    def cores_per_chip(self) -> int:
        """Cores of a chip that lacks none."""
        return self.routers[0] * self.routers[1] * self.cores_per_router

    def of_chips(self, columns: int, rows: int) -> Machine:
        """The same machine with another number of chips."""
        return replace(self, chips=(columns, rows))

    def with_cores(self, cores: int) -> Machine | None:
        """The smallest machine of such chips with at least ``cores`` cores, ``None`` if none is.

        Its chips are nearly square: as many columns as rows or one more or, where ``max_chips``
        does not allow for that, up to twice as many. Of such arrangements it has the fewest chips
        and, among those, the most rows. A machine whose arrangement is as it is has enough cores
        itself, or is not enough.
        """
        if self.max_chips is None:
            return self if self.cores >= cores else None
        most = int(self.max_chips.value)
        needed = max(1, -(-cores // self.cores_per_chip))
        shapes = [
            (columns, rows)
            for rows in range(1, math.isqrt(most) + 1)
            if (columns := max(rows, -(-needed // rows))) <= min(2 * rows, most // rows)
        ]
        if not shapes:
            return None
        square = [(columns, rows) for columns, rows in shapes if columns <= rows + 1]
        return self.of_chips(*min(square or shapes, key=lambda s: (s[0] * s[1], -s[1])))

    @property
    def quantities(self) -> dict[str, Quantity]:
        """Every number that has a source, by its key in the chip's file."""
        found = {f"core.{key}": q for key, q in self.core.stated.items()}
        found |= {"encoding.axon": self.encoding.axon, "encoding.synapse": self.encoding.synapse}
        optional = {
            "encoding.weight": self.encoding.weight,
            "encoding.widest": self.encoding.widest,
            "network.routing_entries": self.routing_entries,
            "network.link_capacity": self.link_capacity,
            "network.chip_link": self.chip_link,
            "layout.max_chips": self.max_chips,
        }
        found |= {key: q for key, q in optional.items() if q is not None}
        if (formats := self.encoding.formats) is not None:
            found |= {
                "formats.head": formats.head,
                "formats.block": formats.block,
                "formats.delay": formats.delay,
            }
        if self.interconnect is not None:
            found |= {f"interconnect.{key}": q for key, q in self.interconnect.stated.items()}
        return found | {f"costs.{key}": q for key, q in self.costs.items()}
