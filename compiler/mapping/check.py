r"""The independent checker: recounts every limit, re-walks every route, follows every key.

It shares no code with what partitions, places and routes: everything is counted again from the
synapses of `Axons`, so an error there is found here before anything is written. With
:math:`r_i` the rate of source i (spikes in the window of `Axons.rate`), :math:`C_i` the cores that
hold a target of it and :math:`c_i` its own (none for a line from the host),

.. math::
    \mathrm{packets} = \sum_i r_i \left|C_i \setminus \{c_i\}\right|, \qquad
    \mathrm{hops} = \sum_i r_i \sum_{l \in T_i} h_l\, m_{il}

over the links l of its tree :math:`T_i`; :math:`h_l` is ``chip_link`` for a link from chip to chip
where that is stated, else 1; :math:`m_{il}` is 1 on a machine with multicast, else the cores behind
the link, each of which gets a packet of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from ...boards.machine import LIMITS, STEPS, Formats, Machine
from ...boards.quantity import Quantity
from ...ir.diagnostics import NOWHERE, Diagnostic, Location, SpikecError
from ...ir.records import Record, frozen_array
from . import _check_kernels as kernels
from .axons import Axons, Bundle
from .mapping import Mapping, Tables

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

_LIMIT, _DELIVERY, _FORM, _LOAD = "E0320", "E0321", "E0322", "W0323"
_REPORT: Final = (
    "this is an error of spikec and not of the network: please report it, with the model and the "
    "command"
)
# Arrays of `Usage` that are counted for each part.
COUNTED: Final = (
    "neurons",
    "sources",
    "in_axons",
    "out_axons",
    "synapse_bits",
    "fan_in",
    "fan_out",
    "delay",
)
# Synapses that are merged at a time where a source has several bundles: 4 MB.
_BLOCK: Final = 1 << 20

# What a kernel notes: the name of the fault, and its first case in words.
_ROUTING: Final = {
    kernels.UNROUTED: ("unrouted", "{source} has targets in core {a} and elsewhere, but no route"),
    kernels.NO_TARGET: ("no_target", "{source} has route {a}, but no target"),
    kernels.SHARED: (
        "shared_route",
        "{source} takes route {a}, which a source of another core takes",
    ),
    kernels.ORIGIN: (
        "origin",
        "the route of {source} starts at router {a}, not at {b} where it sits",
    ),
    kernels.MISSING: (
        "missing_sink",
        "{source} has a target in core {a}, to which its route does not lead",
    ),
    kernels.EXTRA: (
        "extra_sink",
        "the route of {source} leads to core {a}, where it has no target",
    ),
}
_WALKING: Final = {
    kernels.ORDER: ("order", "{route} takes the link {a} -> {b} without having reached its start"),
    kernels.REENTERED: ("reentered", "{route} enters router {b} again, by the link {a} -> {b}"),
    kernels.LINK: ("link", "{route} takes a link {a} -> {b}, which the machine does not have"),
    kernels.OFF_TREE: ("off_tree", "{route} does not reach router {b}, where its core {a} is"),
    kernels.USELESS: (
        "useless_link",
        "{route} takes the link {a} -> {b}, behind which it has no core",
    ),
    kernels.SINKS: ("sinks", "the cores of {route} do not ascend: {a} stands before {b}"),
}
_FOLLOWING: Final = {
    kernels.NO_ENTRY: (
        "no_entry",
        "no entry of router {a} matches the key of {source}, which starts there",
    ),
    kernels.OFF_MACHINE: (
        "off_machine",
        "the key of {source} leaves router {a} by link {b}, which does not exist",
    ),
    kernels.LOOP: ("loop", "the key of {source} enters router {b} again, by the link {a} -> {b}"),
    kernels.STRAYED: (
        "strayed",
        "the key of {source} takes the link {a} -> {b}, its route does not",
    ),
    kernels.WRONG_CORE: (
        "wrong_core",
        "the key of {source} reaches core {b} of router {a}, its route does not",
    ),
    kernels.STUCK: ("stuck", "the key of {source} takes {a} of the {b} links of its route"),
    kernels.UNDELIVERED: (
        "undelivered",
        "the key of {source} reaches {a} of the {b} cores of its route",
    ),
}


@dataclass(frozen=True)
class Fault:
    """What is wrong with a mapping, and how often.

    ``kind`` is stable. With E0320 it is the name of a limit in `CoreLimits`, ``mixed`` or
    ``routing_entries``; with W0323 ``link_capacity``. With E0321 it is one of ``unrouted``,
    ``no_target``, ``shared_route``, ``origin``, ``missing_sink``, ``extra_sink`` (a source against
    its route), ``order``, ``reentered``, ``link``, ``off_tree``, ``useless_link``, ``sinks``,
    ``deadlock`` (routes), ``key``, ``no_entry``, ``off_machine``, ``loop``, ``strayed``,
    ``wrong_core``, ``stuck``, ``undelivered`` (keys in tables); with E0322 the array that is not of
    the right form. Message, ``core``, ``router`` and ``source`` are those of the worst case of a
    limit and of the first case of others, ``count`` is the number of all. ``where`` is the node of
    the source, in the user's file.
    """

    kind: str
    code: str
    message: str
    count: int = 1
    core: int | None = None
    router: int | None = None
    source: int | None = None
    where: Location = NOWHERE
    hint: str = _REPORT

    @property
    def diagnostic(self) -> Diagnostic:
        """The fault as other findings of the compiler are."""
        return Diagnostic(self.code, self.message, self.where, self.hint)


@dataclass(frozen=True)
class Binding:
    """A limit and the core, or router, that is nearest to it."""

    limit: str
    used: int
    bound: Quantity
    at: Literal["core", "router"]
    number: int

    @property
    def share(self) -> float:
        """``used / bound``: above 1 the limit is broken."""
        if self.used == self.bound.value:
            return 1.0
        return self.used / self.bound.value if self.bound.value else float("inf")

    def __str__(self) -> str:
        return (
            f"{self.at} {self.number} has {self.used:,} {LIMITS[self.limit]} of {self.bound}: "
            f"{self.share:.1%}"
        )


@dataclass(frozen=True, eq=False)
class Usage(Record):
    """What a mapping takes of its machine.

    Arrays of shape (parts,) as `CoreLimits` defines them: ``sources`` of machines that limit them
    (elsewhere none: lines in cores are ``neurons``), ``fan_in`` of the neuron with the most,
    ``fan_out`` likewise, ``delay`` the longest. In a crossbar ``synapse_bits`` are those of the
    pairs in use. ``table_entries`` (routers,) is empty without tables. ``link_load`` (links,) are
    packets in the window of the rates on ``link_start -> link_end``, of the links that carry any.
    ``packets`` and ``hops`` are those of the module's equations, ``spikes`` the sum of all rates,
    ``strays`` the packets that cores without a target for them get and drop.
    """

    neurons: Integers
    sources: Integers
    in_axons: Integers
    out_axons: Integers
    synapse_bits: Integers
    fan_in: Integers
    fan_out: Integers
    delay: Integers
    table_entries: Integers
    link_start: Ids
    link_end: Ids
    link_load: Integers
    packets: int = 0
    hops: float = 0.0
    spikes: int = 0
    strays: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in vars(self).copy().items():
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, frozen_array(value))

    @property
    def packets_per_spike(self) -> float:
        """Packets over the sum of all rates; 0 where nothing spikes."""
        return self.packets / self.spikes if self.spikes else 0.0

    @property
    def hops_per_spike(self) -> float:
        """Hops over the sum of all rates; 0 where nothing spikes."""
        return self.hops / self.spikes if self.spikes else 0.0

    def of_limit(self, name: str) -> Integers:
        """The array that a limit of `CoreLimits` bounds."""
        array: Integers = getattr(self, "delay" if name == "delay_steps" else name)
        return array


@dataclass(frozen=True)
class Checked:
    """What `check` found.

    ``usage`` counts whatever there is, faults or not; it is empty only where arrays of the mapping
    are not of the right form (E0322). ``bindings`` are all stated limits, the nearest first.
    ``warnings`` do not make a mapping wrong.
    """

    faults: tuple[Fault, ...]
    usage: Usage
    bindings: tuple[Binding, ...] = ()
    warnings: tuple[Fault, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every limit holds and every spike reaches exactly its targets."""
        return not self.faults

    @property
    def binding(self) -> Binding | None:
        """The limit nearest to its bound; ``None`` where the machine states none."""
        return self.bindings[0] if self.bindings else None

    def raise_faults(self) -> None:
        """Raise all faults, if there are any, and with them the warnings."""
        if self.faults:
            raise SpikecError(fault.diagnostic for fault in (*self.faults, *self.warnings))


def check(axons: Axons, mapping: Mapping, window: int | None = None) -> Checked:
    """Recount ``mapping`` of ``axons`` against every limit of its machine.

    Verified are: each neuron in one part, each part in a core of its own; neurons of one node
    only in a core that is not ``mixed``; every limit of `CoreLimits`, the synapse memory as
    `Encoding` fills it; that each route starts at its source's core (or the host), is a tree of
    links between neighbours without a useless one, and ends at exactly the cores that hold a
    target; that table entries fit the router, and that each key, followed through the tables link
    by link, takes its route and reaches its cores and no others. Where routers look packets up in
    key tables the neurons of a core may share a route that leads to the targets of all of them: a
    core drops what it has no synapses for, as SpiNNaker's do.

    On a mesh without wraparound the routes also must not be able to block each other for ever:
    the graph of the links, each leading to those by which a route goes on from its end, has no
    cycle (Dally and Seitz, IEEE Trans. Computers C-36 (1987) 547-553). In a tree no routes can. On
    ``torus``, ``ring``, ``triads`` and a mesh that wraps this is not asked: such machines have
    virtual channels, or drop packets that wait too long as SpiNNaker does.

    ``window`` is the number of steps in which the spikes of ``axons.rate`` were counted. Given
    that, links with more packets a step on average than ``link_capacity`` are warned of (W0323).

    Linear in synapses plus links, with 4 bytes for each neuron and a few for each part beside the
    mapping; sources of several bundles are merged in blocks of a fixed size.
    """
    faults = _form_faults(axons, mapping)
    if faults:
        return Checked(tuple(faults), _no_usage())
    recount = _Recount(axons, mapping)
    recount.count_synapses()
    recount.walk()
    if mapping.tables is not None:
        recount.follow(mapping.tables)
    usage = recount.usage()
    bindings = _bindings(mapping, usage)
    faults = [*_limit_faults(mapping, usage), *recount.faults]
    warnings = _load_warnings(mapping.machine, usage, window)
    return Checked(tuple(faults), usage, bindings, tuple(warnings))


def check_form(axons: Axons, mapping: Mapping) -> None:
    """Raise E0322 unless shapes and ranges of all arrays fit, so that indices can be trusted."""
    faults = _form_faults(axons, mapping)
    if faults:
        raise SpikecError(fault.diagnostic for fault in faults)


# -- counting ------------------------------------------------------------------------------------


class _Recount:
    """The arrays that the kernels fill, for one mapping."""

    def __init__(self, axons: Axons, mapping: Mapping) -> None:
        self.axons, self.mapping, self.machine = axons, mapping, mapping.machine
        parts, routes = mapping.parts, mapping.routes
        self.faults: list[Fault] = []
        self.found = np.zeros((kernels.KINDS, 4), np.int64)
        self.counts = {name: np.zeros(parts, np.int64) for name in COUNTED}
        self.owner = np.full(routes.count, -1, np.int32)
        self.route_rate = np.zeros(routes.count, np.int64)
        self.ways = kernels.Ways(
            *(routes.of, routes.origin, routes.link_ptr, routes.start, routes.end),
            *(routes.sink_ptr, routes.sink),
        )
        self.neighbours = neighbours(self.machine)
        self.load = np.zeros(self.neighbours.shape, np.int64)
        self.sound = np.zeros(routes.count, np.bool_)
        self.packets, self.hops = 0, 0.0
        self.strays = np.zeros(0 if self.machine.routing_entries is None else 1, np.int64)
        self.formats = self.machine.encoding.formats if axons.in_words else None

    def usage(self) -> Usage:
        start, link = np.nonzero(self.load)
        tables = self.mapping.tables
        return Usage(
            **self.counts,
            table_entries=np.diff(tables.ptr) if tables else np.zeros(0, np.int64),
            link_start=start.astype(np.int32),
            link_end=self.neighbours[start, link],
            link_load=self.load[start, link],
            packets=self.packets,
            hops=self.hops,
            spikes=int(self.axons.rate.sum()),
            strays=int(self.strays.sum()),
        )

    # Synapses, by bundle and by source.

    def count_synapses(self) -> None:
        axons, mapping, encoding = self.axons, self.mapping, self.machine.encoding
        counts, parts = self.counts, mapping.parts
        synapse = encoding.synapse_bits(axons.weight_bits)
        fan_in = np.zeros(axons.neurons, np.int32)
        for bundle in axons.bundles:
            reached = np.zeros(parts, np.bool_)
            kernels.count_synapses(
                bundle.target,
                bundle.delay.reshape(-1),
                mapping.part,
                fan_in,
                reached,
                counts["delay"],
            )
            if encoding.shared:
                counts["synapse_bits"] += bundle.kernel * synapse * reached
        row = [int(encoding.axon.value), synapse, encoding.word]
        if self.formats is not None:
            # Bits are those of the formats, counted by bundle.
            counts["synapse_bits"][:] = 0
            row = [0, 0, 1]
            self._count_encodings(self.formats)
        self._count_rows(np.array(row, np.int64))
        self._count_neurons(fan_in)
        if encoding.crossbar:
            counts["synapse_bits"] = counts["in_axons"] * counts["neurons"] * synapse
        self._collect(_ROUTING, of_source=True)
        unused = np.flatnonzero(self.owner < 0)
        if unused.size:
            self._add("unused_route", _FORM, f"no source takes route {unused[0]}", unused.size)

    def _count_rows(self, layout: Integers) -> None:
        axons, mapping, machine = self.axons, self.mapping, self.machine
        parts = mapping.parts
        part_at = np.full(machine.seats, -1, np.int32)
        part_at[mapping.seat] = np.arange(parts, dtype=np.int32)
        seats = kernels.Seats(
            mapping.part, mapping.seat, part_at, machine.host, machine.cores_per_router
        )
        counts = kernels.Counts(
            self.counts["in_axons"],
            self.counts["out_axons"],
            self.counts["fan_out"],
            self.counts["synapse_bits"],
            self.owner,
            self.route_rate,
            self.strays,
            self.found,
        )
        stamp = np.full(parts, -1, np.int32)
        own = np.zeros(parts, np.int64)
        cores = np.zeros(parts, np.int32)
        for first, ptr, target, shared in _blocks(axons, machine.encoding.shared):
            self.packets += kernels.count_rows(
                *(first, ptr, target, shared, axons.rate, layout),
                *(seats, self.ways, counts, stamp, own, cores),
            )

    def _count_encodings(self, formats: Formats) -> None:
        """Recount each bundle in each part in the format that the mapping says it lies in."""
        said = self.mapping.encodings
        assert said is not None
        for number, bundle in enumerate(self.axons.bundles):
            bits, legal = _in_formats(self.axons, self.mapping, bundle, formats)
            some = bits.max(axis=0) > 0
            chosen = said.format[number]
            counted = np.where(some, bits[np.maximum(chosen, 0), np.arange(some.size)], 0)
            self.counts["synapse_bits"] += counted
            wrong = np.flatnonzero((chosen >= 0) != some)
            if wrong.size:
                core = int(self.mapping.seat[wrong[0]])
                has = "has" if some[wrong[0]] else "has no"
                message = f"'{bundle.name}' {has} synapses in core {core}, the mapping says not so"
                self._add("encoding", _FORM, message, wrong.size, core=core, where=bundle.at)
                continue
            illegal = np.flatnonzero(some & ~legal[np.maximum(chosen, 0), np.arange(some.size)])
            if illegal.size:
                core = int(self.mapping.seat[illegal[0]])
                name = formats.every[chosen[illegal[0]]].name
                message = f"synapses of '{bundle.name}' cannot lie in core {core} as {name}"
                self._add("encoding", _FORM, message, illegal.size, core=core, where=bundle.at)
            other = np.flatnonzero(counted != said.bits[number])
            if other.size:
                one = other[0]
                core = int(self.mapping.seat[one])
                name = formats.every[max(chosen[one], 0)].name
                message = (
                    f"'{bundle.name}' takes {counted[one]:,} bits in core {core} as {name}, the "
                    f"mapping says {said.bits[number, one]:,}"
                )
                self._add("encoding", _FORM, message, other.size, core=core, where=bundle.at)

    def _count_neurons(self, fan_in: Ids) -> None:
        axons, mapping = self.axons, self.mapping
        sizes = [node.size for node in axons.nodes if node.first < axons.neurons]
        node = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        lowest, highest = np.zeros((2, mapping.parts), np.int32)
        kernels.count_neurons(
            mapping.part,
            node,
            fan_in,
            self.counts["neurons"],
            self.counts["fan_in"],
            lowest,
            highest,
        )
        if self.machine.core.sources is not None:
            for one in axons.nodes:
                if one.lines:
                    lines = np.bincount(mapping.part[one.first : one.end], minlength=mapping.parts)
                    self.counts["sources"] += lines
            self.counts["neurons"] -= self.counts["sources"]
        mixed = np.flatnonzero(lowest != highest)
        if mixed.size and not self.machine.mixed:
            one, two = (axons.nodes[i[mixed[0]]] for i in (lowest, highest))
            core = int(mapping.seat[mixed[0]])
            message = (
                f"core {core} holds neurons of '{one.name}' and of '{two.name}', cores of "
                f"{self.machine.title} those of one population"
            )
            self._add("mixed", _LIMIT, message, mixed.size, core=core, where=one.at)

    # Routes.

    def walk(self) -> None:
        machine = self.machine
        acyclic = machine.topology == "mesh" and not machine.cyclic
        follows = np.zeros(self.neighbours.shape if acyclic else (0, 0), np.int64)
        within, between = kernels.walk_routes(
            self.neighbours,
            _chips(machine, len(self.neighbours)),
            machine.cores_per_router,
            machine.multicast,
            self.ways,
            self.route_rate,
            self.load,
            follows,
            self.sound,
            self.found,
        )
        self.hops = within + between * (machine.chip_link.value if machine.chip_link else 1.0)
        self._collect(_WALKING, of_source=False)
        if acyclic:
            self._find_deadlock(follows)

    def _find_deadlock(self, follows: Integers) -> None:
        waiting: Flags = kernels.waiting_links(self.neighbours, follows)
        if not waiting.any():
            return
        # Before each link that is left another one waits; going backwards ends in the loop.
        starts, links = np.nonzero(waiting)
        a, link = int(starts[0]), int(links[0])
        path: list[tuple[int, int]] = []
        while (a, link) not in path:
            path.append((a, link))
            before = np.nonzero(waiting & (self.neighbours == a) & (follows >> link & 1 == 1))
            a, link = int(before[0][0]), int(before[1][0])
        loop = [start for start, _ in path[path.index((a, link)) :]][::-1]
        text = " -> ".join(map(str, [*loop, loop[0]]))
        message = f"packets can wait for each other for ever around the routers {text}"
        self._add("deadlock", _DELIVERY, message, 1, router=loop[0])

    # Tables.

    def follow(self, tables: Tables) -> None:
        routes = self.mapping.routes
        key = tables.key
        routed = np.flatnonzero(routes.of >= 0)
        order = routed[np.argsort(routes.of[routed], kind="stable")]
        ranked = routed[np.argsort(key[routed], kind="stable")]
        twice = np.flatnonzero(key[ranked[1:]] == key[ranked[:-1]])
        if twice.size:
            one, two = (int(ranked[twice[0] + i]) for i in (0, 1))
            message = (
                f"{self.axons.describe(one)} and {self.axons.describe(two)} have the same key "
                f"{key[one]:#x}"
            )
            self._add("key", _DELIVERY, message, twice.size, source=one)
        kernels.follow_keys(
            order,
            key,
            self.sound,
            self.neighbours,
            self.machine.cores_per_router,
            self.ways,
            _index(tables),
            self.found,
        )
        self._collect(_FOLLOWING, of_source=True)

    # Faults.

    def _collect(self, kinds: dict[int, tuple[str, str]], *, of_source: bool) -> None:
        """Make faults of what the kernels noted; the first case stands for all."""
        for kind, (name, message) in kinds.items():
            count, item, a, b = self.found[kind].tolist()
            if not count:
                continue
            source = item
            if not of_source:
                takers = np.flatnonzero(self.mapping.routes.of == item)
                source = int(takers[0]) if takers.size else None
            who = "no source" if source is None else self.axons.describe(source)
            text = message.format(source=who, route=f"route {item} (of {who})", a=a, b=b)
            self._add(name, _DELIVERY, text, count, source=source)

    def _add(
        self,
        kind: str,
        code: str,
        message: str,
        count: int,
        *,
        core: int | None = None,
        router: int | None = None,
        source: int | None = None,
        where: Location = NOWHERE,
    ) -> None:
        if source is not None:
            where = self.axons.node_of(source).at
        message += _more(int(count) - 1)
        self.faults.append(Fault(kind, code, message, int(count), core, router, source, where))


def _in_formats(
    axons: Axons, mapping: Mapping, bundle: Bundle, formats: Formats
) -> tuple[Integers, Flags]:
    """Bits of a bundle in each format and part, and whether that is legal, both (formats, parts).

    As `Formats` has it: of distinct rows where rows are shared, else of each; with places in a core
    in the order of the neurons' numbers. All is 0 in parts without a synapse.
    """
    shape = (len(formats.every), mapping.parts)
    bits, legal = np.zeros(shape, np.int64), np.ones(shape, np.bool_)
    if not bundle.target.size:
        return bits, legal
    node = axons.node_of(int(bundle.target.min()))
    part = mapping.part[node.first : node.end].astype(np.int64)
    order = np.argsort(part, kind="stable")
    before, behind = np.full((2, node.size), -1, np.int64)
    follows = part[order[1:]] == part[order[:-1]]
    before[order[1:][follows]] = order[:-1][follows]
    behind[order[:-1][follows]] = order[1:][follows]
    held = np.bincount(part, minlength=mapping.parts)
    rank = np.empty(node.size, np.int64)
    rank[order] = np.arange(node.size) - np.searchsorted(part[order], part[order])
    word = mapping.machine.encoding.word
    weight = _width(formats.weight_widths, 1 << bundle.weight_bits)
    if bundle.delay.max() > 1:
        weight += int(formats.delay.value)
    head, block = int(formats.head.value), int(formats.block.value)
    index = np.array([_width(formats.index_widths, n) for n in held.tolist()], np.int64)
    by_index, rows, again = kernels.encoded_rows(
        *(bundle.ptr, bundle.target, node.first, part, before, behind, np.stack([held, index])),
        np.array([head, weight, word, block], np.int64),
    )
    for number, one in enumerate(formats.every):
        bits[number] = by_index[:, ("synapse", "run", "none").index(one.index)]
        if one.shared:
            legal[number] = bundle.window is not None and bundle.delay.ndim == 0
        if one.shared and bundle.window is not None:
            window = bundle.window.numbers
            found = kernels.kernel_rows(
                *(bundle.ptr, bundle.target, node.first, part, rank, window, int(rows.sum())),
            )
            alike = np.unique(found, axis=0)
            bits[number] = 0
            for p in np.unique(alike[:, 0]).tolist():
                own = alike[alike[:, 0] == p]
                each = weight + _width(formats.index_widths, int(own[:, 2].max()))
                blocks = np.ceil(own[:, 1] / block).astype(np.int64)
                last = own[:, 1] - (blocks - 1) * block
                whole = -(-(head + block * each) // word) * word
                bits[number, p] = int(
                    ((blocks - 1) * whole + -(-(head + last * each) // word) * word).sum()
                )
        if one.shared or one.index != "synapse":
            legal[number] &= again == 0
    return bits, legal


def _width(known: tuple[int, ...], places: int) -> int:
    """The least width that numbers so many places: one that is known or, beyond these, any."""
    needed = max(places - 1, 0).bit_length()
    return next((width for width in known if width >= needed), needed)


def _blocks(axons: Axons, sharing: bool) -> Iterator[tuple[int, Integers, Ids, bool]]:
    """All sources in order, in blocks: the first one, rows, targets, whether weights are shared.

    A block of sources with one bundle is that bundle's own arrays. Rows of several bundles are
    merged, the targets of shared weights as their complement.
    """
    waiting = sorted(axons.bundles, key=lambda bundle: -bundle.first)
    firsts = [bundle.first for bundle in waiting]
    ends = [_end(bundle) for bundle in waiting]
    active: list[Bundle] = []
    for low, high in pairwise(np.unique([0, axons.sources, *firsts, *ends]).tolist()):
        while waiting and waiting[-1].first <= low:
            active.append(waiting.pop())
        active = [bundle for bundle in active if _end(bundle) > low]
        if len(active) == 1:
            bundle = active[0]
            rows = bundle.ptr[low - bundle.first : high - bundle.first + 1]
            yield low, rows, bundle.target, sharing and bundle.kernel > 0
            continue
        ptr = np.zeros(high - low + 1, np.int64)
        for bundle in active:
            rows = bundle.ptr[low - bundle.first : high - bundle.first + 1]
            ptr += rows - rows[0]
        at = 0
        while at < high - low:
            stop = int(np.searchsorted(ptr, ptr[at] + _BLOCK, "right")) - 1
            stop = min(max(stop, at + 1), high - low)
            rows = ptr[at : stop + 1] - ptr[at]
            merged = np.empty(rows[-1], np.int32)
            place = rows[:-1].copy()
            for bundle in active:
                shift = low - bundle.first
                shared = sharing and bundle.kernel > 0
                kernels.merge_rows(
                    bundle.ptr, bundle.target, at + shift, stop + shift, shared, place, merged
                )
            # Read-only like a bundle's own, or the kernel would be compiled for both.
            rows.flags.writeable = merged.flags.writeable = False
            yield low + at, rows, merged, False
            at = stop


def _end(bundle: Bundle) -> int:
    return bundle.first + bundle.ptr.size - 1


def neighbours(machine: Machine) -> Ids:
    """The router at the end of each link (routers, links) that leaves a router, or -1.

    Links are those of `STEPS`; in a tree link 0 leads to the parent and the others to children.
    """
    if machine.topology == "tree":
        return _tree(machine.arity)
    width, height = machine.grid
    y, x = np.divmod(np.arange(machine.router_count), width)
    steps = STEPS[machine.topology]
    table = np.full((machine.router_count, len(steps)), -1, np.int32)
    present = np.ones(machine.router_count, np.bool_)
    present[[column + row * width for column, row in machine.absent]] = False
    for link, (dx, dy) in enumerate(steps):
        column, row = x + dx, y + dy
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        end = row % height * width + column % width
        joined = (inside | machine.cyclic) & present & present[end]
        table[joined, link] = end[joined]
    return table


def _tree(arity: tuple[int, ...]) -> Ids:
    """`neighbours` of a tree; levels are numbered from the leaves to the root."""
    sizes = np.cumprod([1, *arity])[::-1]
    table = np.full((sizes.sum(), max(arity, default=0) + 1), -1, np.int32)
    low = 0
    for size, children in zip(sizes[:-1].tolist(), arity[::-1], strict=True):
        node = np.arange(size)
        parent = low + size + node // children
        table[low + node, 0] = parent
        table[parent, 1 + node % children] = low + node
        low += size
    return table


def _chips(machine: Machine, routers: int) -> Ids:
    """The chip of each router (routers,); a tree is on one."""
    if machine.topology == "tree":
        return np.zeros(routers, np.int32)
    y, x = np.divmod(np.arange(routers, dtype=np.int32), machine.grid[0])
    chip: Ids = y // machine.routers[1] * machine.chips[0] + x // machine.routers[0]
    return chip


def _index(tables: Tables) -> kernels.Entries:
    """Entries by router, mask, key and place."""
    router = np.repeat(np.arange(tables.ptr.size - 1, dtype=np.int32), np.diff(tables.ptr))
    key, mask = tables.entry_key, tables.entry_mask
    order = np.lexsort((key, mask, router))  # stable: of equal ones the first stays the first
    router, mask = router[order], mask[order]
    fresh = np.ones(order.size, np.bool_)
    fresh[1:] = (router[1:] != router[:-1]) | (mask[1:] != mask[:-1])
    first = np.flatnonzero(fresh)
    group_ptr = np.searchsorted(router[first], np.arange(tables.ptr.size))
    rows = (np.append(first, order.size), key[order], order)
    return kernels.Entries(group_ptr, mask[first], *rows, tables.entry_links, tables.entry_cores)


# -- faults --------------------------------------------------------------------------------------


def _form_faults(axons: Axons, mapping: Mapping) -> list[Fault]:
    """What is out of shape or range, so that nothing can be counted."""
    return [Fault(kind, _FORM, message) for kind, message in _malformed(axons, mapping)]


def _malformed(axons: Axons, mapping: Mapping) -> Iterator[tuple[str, str]]:
    yield from _malformed_axons(axons)
    machine, part, seat, routes = mapping.machine, mapping.part, mapping.seat, mapping.routes
    routers = machine.router_count
    if machine.topology == "tree":
        routers = int(np.cumprod([1, *machine.arity]).sum())
        if machine.router_count != np.prod(machine.arity, dtype=np.int64):
            yield (
                "machine",
                f"a tree of arity {machine.arity} has not {machine.router_count} leaves",
            )
    if not 0 <= machine.host < routers or machine.place(machine.host) in machine.absent:
        yield "machine", f"there is no router {machine.host}, where inputs enter"
    if machine.inputs_on_cores and axons.sources > axons.neurons:
        yield (
            "host",
            f"{axons.describe(axons.neurons)} takes no place in a core, and nothing can enter "
            f"{machine.title} from outside",
        )
    if part.shape != (axons.neurons,):
        yield "part", f"the parts of {part.shape} neurons are given, there are {axons.neurons}"
    elif not _within(part, 0, mapping.parts):
        yield "part", f"a neuron is in none of the {mapping.parts} parts"
    else:
        empty = np.flatnonzero(np.bincount(part, minlength=mapping.parts) == 0)
        if empty.size:
            yield "empty_part", f"part {empty[0]} is empty{_more(empty.size - 1)}"
    if seat.ndim != 1 or not _within(seat, 0, machine.seats):
        yield "seat", f"a part sits in none of the cores 0 to {machine.seats - 1}"
    else:
        for core in np.unique(seat).tolist() if machine.absent or machine.bare else []:
            router = core // machine.cores_per_router
            if router in machine.bare or machine.place(router) in machine.absent:
                yield "seat", f"a part sits in core {core}, which is absent"
        cores, tenants = np.unique(seat, return_counts=True)
        if cores.size < seat.size:
            yield "seat_twice", f"two parts sit in core {cores[tenants.argmax()]}"
    links, sinks = (np.size(a) for a in (routes.start, routes.sink))
    if (
        any(a.ndim != 1 for a in (routes.origin, routes.start, routes.end, routes.sink))
        or routes.of.shape != (axons.sources,)
        or routes.end.shape != routes.start.shape
        or not _rows(routes.link_ptr, routes.count, links)
        or not _rows(routes.sink_ptr, routes.count, sinks)
    ):
        yield "routes", "the arrays of the routes do not fit each other, or not the sources"
    elif not (
        _within(routes.of, -1, routes.count)
        and all(_within(a, 0, routers) for a in (routes.origin, routes.start, routes.end))
        and _within(routes.sink, 0, machine.seats)
    ):
        yield "routes", "a route, router or core of the routes is out of range"
    if machine.encoding.formats is not None and axons.in_words:
        yield from _malformed_encodings(axons, mapping, machine.encoding.formats)
    if mapping.tables is not None:
        yield from _malformed_tables(axons, mapping, mapping.tables)
    elif machine.routing_entries is not None:
        yield "tables", f"the routers of {machine.title} have tables, the mapping has none"


def _malformed_axons(axons: Axons) -> Iterator[tuple[str, str]]:
    end = 0
    for node in axons.nodes:
        if node.first != end or node.size < 0:
            yield "axons", f"the numbers of '{node.name}' do not start at {end}"
        end = node.end
    if axons.neurons not in {0, *(node.end for node in axons.nodes)}:
        yield "axons", f"the {axons.neurons} neurons are not those of the first nodes"
    if axons.rate.shape != (axons.sources,) or not _within(axons.rate, 0, 1 << 62):
        yield "axons", "the rates do not fit the sources, or one is below 0"
    for bundle in axons.bundles:
        if (
            bundle.first < 0
            or bundle.ptr.ndim != 1
            or _end(bundle) > axons.sources
            or not _rows(bundle.ptr, bundle.ptr.size - 1, bundle.target.size)
        ):
            yield "axons", f"the rows of '{bundle.name}' do not fit its sources or synapses"
        elif bundle.target.ndim != 1 or not _within(bundle.target, 0, axons.neurons):
            yield "axons", f"a synapse of '{bundle.name}' ends at no neuron"
        elif bundle.delay.shape not in ((), bundle.target.shape) or (
            bundle.delay.size and bundle.delay.min() < 0
        ):
            yield "axons", f"the delays of '{bundle.name}' do not fit, or one is below 0"


def _malformed_encodings(
    axons: Axons, mapping: Mapping, formats: Formats
) -> Iterator[tuple[str, str]]:
    found, shape = mapping.encodings, (len(axons.bundles), mapping.parts)
    if found is None:
        yield "encodings", f"{mapping.machine.title} has formats of synapses, the mapping none"
    elif found.names != tuple(one.name for one in formats.every):
        yield "encodings", f"the formats {found.names} are not those of {mapping.machine.title}"
    elif found.format.shape != shape or found.bits.shape != shape:
        yield "encodings", "the formats do not fit the projections, or the parts"
    elif not _within(found.format, -1, len(formats.every)):
        yield "encodings", "a format of the mapping is none of the machine's"
    for bundle in axons.bundles:
        ends = (int(bundle.target.min()), int(bundle.target.max())) if bundle.target.size else ()
        if len({n.first for n in axons.nodes for end in ends if n.first <= end < n.end}) > 1:
            yield "axons", f"the synapses of '{bundle.name}' end in several populations"


def _malformed_tables(axons: Axons, mapping: Mapping, tables: Tables) -> Iterator[tuple[str, str]]:
    machine = mapping.machine
    entries = tables.entry_key.shape
    if (
        machine.topology == "tree"
        or tables.key.shape != (axons.sources,)
        or len(entries) != 1
        or any(
            a.shape != entries for a in (tables.entry_mask, tables.entry_links, tables.entry_cores)
        )
        or not _rows(tables.ptr, machine.router_count, entries[0])
    ):
        yield "tables", "the arrays of the tables do not fit each other, the sources or the routers"
        return
    never = np.flatnonzero(tables.entry_key & ~tables.entry_mask)
    if never.size:
        router = int(np.searchsorted(tables.ptr, never[0], "right")) - 1
        yield "entry", f"no key can match an entry of router {router}{_more(never.size - 1)}"
    if mapping.routes.of.shape == tables.key.shape:
        idle = np.flatnonzero((mapping.routes.of < 0) & (tables.key != 0))
        if idle.size:
            yield (
                "idle_key",
                f"source {idle[0]} has a key, but no route{_more(idle.size - 1)}",
            )


def _within(array: npt.NDArray[Any], low: int, high: int) -> bool:
    return not array.size or bool(array.min() >= low and array.max() < high)


def _rows(ptr: Integers, rows: int, size: int) -> bool:
    """Whether ``ptr`` cuts ``size`` things into ``rows``."""
    return bool(
        ptr.shape == (rows + 1,) and ptr[0] == 0 and ptr[-1] == size and np.all(ptr[1:] >= ptr[:-1])
    )


def _more(others: int) -> str:
    return f" (and {others:,} more)" if others else ""


def _no_usage() -> Usage:
    none: Integers = np.zeros(0, np.int64)
    ids: Ids = np.zeros(0, np.int32)
    return Usage(none, none, none, none, none, none, none, none, none, ids, ids, none)


def _limits(machine: Machine) -> dict[str, Quantity]:
    """The limits of a core that bind: a crossbar's memory is bound by its axons and neurons."""
    stated = machine.core.stated
    if machine.encoding.crossbar:
        stated.pop("synapse_bits", None)
    return stated


def _bindings(mapping: Mapping, usage: Usage) -> tuple[Binding, ...]:
    machine = mapping.machine
    found: list[Binding] = []
    if mapping.parts:
        for name, bound in _limits(machine).items():
            used = usage.of_limit(name)
            worst = int(used.argmax())
            core = int(mapping.seat[worst])
            found.append(Binding(name, int(used[worst]), bound, "core", core))
    if machine.routing_entries is not None and usage.table_entries.size:
        worst = int(usage.table_entries.argmax())
        used_there = int(usage.table_entries[worst])
        found.append(
            Binding("routing_entries", used_there, machine.routing_entries, "router", worst)
        )
    return tuple(sorted(found, key=lambda binding: -binding.share))


def _limit_faults(mapping: Mapping, usage: Usage) -> Iterator[Fault]:
    for binding in _bindings(mapping, usage):
        if binding.used <= binding.bound.value:
            continue
        router = binding.at == "router"
        used = usage.table_entries if router else usage.of_limit(binding.limit)
        count = int(np.count_nonzero(used > binding.bound.value))
        excess = binding.used - binding.bound.value
        yield Fault(
            binding.limit,
            _LIMIT,
            f"{binding.at} {binding.number} has {binding.used:,} {LIMITS[binding.limit]}, "
            f"{excess:,g} more than {binding.bound}{_more(count - 1)}",
            count,
            core=None if router else binding.number,
            router=binding.number if router else None,
        )


def _load_warnings(machine: Machine, usage: Usage, window: int | None) -> Iterator[Fault]:
    bound = machine.link_capacity
    if bound is None or window is None or not usage.link_load.size:
        return
    over = int(np.count_nonzero(usage.link_load > bound.value * window))
    if over:
        worst = int(usage.link_load.argmax())
        a, b = int(usage.link_start[worst]), int(usage.link_end[worst])
        yield Fault(
            "link_capacity",
            _LOAD,
            f"the link {a} -> {b} has {usage.link_load[worst] / window:,.4g} packets a step on "
            f"average, more than {bound}{_more(over - 1)}",
            over,
            router=a,
            hint="use more chips, or a stimulus with fewer spikes",
        )
