"""Chips as data: the loader of ``boards/chips/*.toml``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, Literal, cast

from .costs import (
    CORE_COUNTS,
    HOLDERS,
    MACHINE_COUNTS,
    Barrier,
    CostLine,
    CostModel,
    Interconnect,
    Pace,
)
from .features import CHIP_FAMILIES
from .machine import STEPS, CoreLimits, Encoding, Formats, Machine, SynapseFormat, Topology
from .quantity import Quantity
from .table import (
    MOST,
    BoardError,
    Table,
    check_name,
    did_you_mean,
    no_such,
    read_own_file,
    read_table,
)

# Numbers of cores are 32 bits wide wherever a network is mapped, and so are sets of a router's.
_MOST_SEATS: Final = 2**31 - 1
_MOST_OF_ROUTER: Final = 32
# A quarter of a million routers are laid out in ten seconds. Where distances follow no formula all
# pairs have one in a table.
_MOST_ROUTERS: Final = 1 << 18
_MOST_UNEVEN: Final = 1 << 12
_DEEPEST_TREE: Final = 10
_LONGEST_HOP: Final = 1 << 16
# Of an index or a weight: what products of it and a row still fit 64 bits with.
_WIDEST: Final = 64
_TOPOLOGIES: Final = ("mesh", "torus", "triads", "ring", "tree")
_CORE_UNITS: Final = {
    "neurons": "neurons",
    "sources": "lines",
    "in_axons": "axons",
    "out_axons": "axons",
    "synapse_bits": "bits",
    "fan_in": "synapses",
    "fan_out": "cores",
    "delay_steps": "steps",
}
_TIMES: Final = ("s", "cycles")


def chip_names() -> tuple[str, ...]:
    """Return the names of all chips that come with spikec, sorted."""
    return tuple(sorted(f.name[:-5] for f in _folder().iterdir() if f.name.endswith(".toml")))


@cache
def load_chip(name: str) -> Machine:
    """Return the chip of this name, read once.

    Raises :class:`BoardError` ``board-unknown`` with the closest names if there is none.
    """
    names = chip_names()
    if name not in names:
        raise no_such("chip", name, names)
    origin = f"boards/chips/{name}.toml"
    machine = parse_chip((_folder() / f"{name}.toml").read_text(encoding="utf-8"), origin)
    check_name(machine.name, name, origin)
    return machine


def load_chip_file(path: Path | str) -> Machine:
    """Return the chip described by a file of the user's own."""
    return parse_chip(read_own_file(Path(path)), str(path))


def parse_chip(text: str, origin: str) -> Machine:
    """Parse one chip's file. ``origin`` is the file's name, for messages.

    Raises :class:`BoardError` that names the file, the key, what was found and what was wanted.
    """
    top = read_table(text, origin)
    layout = top.table("layout")
    core = _core(top.table("core"))
    encoding = _encoding(top, core)
    network = _network(top.optional_table("network"))
    table = top.optional_table("costs")
    costs = {} if table is None else {key: table.cost(key) for key in table.names}
    machine = Machine(
        name=top.text("name"),
        title=top.text("title"),
        topology=cast("Topology", layout.choice("topology", _TOPOLOGIES)),
        chips=layout.pair("chips", 1),
        routers=layout.pair("routers", 1),
        cores_per_router=layout.integer("cores_per_router", 1),
        core=core,
        encoding=encoding,
        multicast=top.boolean("multicast"),
        mixed=top.boolean("mixed"),
        programmable=top.boolean("programmable") if top.has("programmable") else False,
        inputs_on_cores=top.boolean("inputs_on_cores"),
        wraps=layout.boolean("wraps") if layout.has("wraps") else False,
        host=layout.integer("host", 0),
        absent=_absent(layout),
        arity=layout.integers("arity", 1) if layout.has("arity") else (),
        routing_entries=network["routing_entries"],
        link_capacity=network["link_capacity"],
        chip_link=network["chip_link"],
        costs=costs,
        models=_models(top.optional_table("models"), costs),
        interconnect=_interconnect(top.optional_table("interconnect")),
        note=top.optional_text("note") or "",
        family=top.choice("family", tuple(CHIP_FAMILIES)),
        max_chips=layout.optional_quantity("max_chips", unit="chips", whole=True),
        source=layout.text("source"),
        obtained=layout.obtained(),
    )
    _check_layout(machine, layout)
    if core.sources is not None and (
        machine.mixed or not machine.inputs_on_cores or core.neurons is None
    ):
        message = (
            "is for chips that limit the neurons of a core, do not mix populations in it and have "
            "inputs on cores"
        )
        raise top.error("board-value", "core.sources", message)
    if core.sources is not None and core.neurons is not None:
        shared = math.lcm(int(core.sources.value), int(core.neurons.value))
        if shared > MOST:
            message = f"and core.neurons have {shared:,} as their least multiple; {MOST:,} is most"
            raise top.error("board-value", "core.sources", message)
    layout.finish()
    top.finish()
    return machine


def _folder() -> Traversable:
    return resources.files(__package__) / "chips"


def _core(table: Table) -> CoreLimits:
    found = {
        key: table.optional_quantity(key, unit=unit, whole=True)
        for key, unit in _CORE_UNITS.items()
    }
    table.finish()
    return CoreLimits(**found)


def _encoding(top: Table, core: CoreLimits) -> Encoding:
    table = top.table("encoding")
    encoding = Encoding(
        axon=table.quantity("axon", unit="bits", whole=True, zero=True),
        synapse=table.quantity("synapse", unit="bits", whole=True, zero=True),
        word=table.integer("word", 1),
        shared=table.boolean("shared"),
        crossbar=table.boolean("crossbar"),
        weight=table.optional_quantity("weight", unit="bits", whole=True),
        widest=table.optional_quantity("widest", unit="bits", whole=True),
        formats=_formats(top),
    )
    table.finish()
    if encoding.crossbar:
        if encoding.shared:
            raise table.error("board-value", "shared", "a crossbar has no shared kernels")
        if encoding.formats is not None:
            raise top.error("board-value", "formats", "a crossbar has no other formats")
        if core.synapse_bits is not None:
            message = "a crossbar is limited by its axons and neurons, not by bits"
            raise top.error("board-value", "core.synapse_bits", message)
        for key in ("in_axons", "neurons"):
            if core.every[key] is None:
                raise top.error("board-missing", f"core.{key}", "is missing: a crossbar has a size")
    return encoding


def _formats(top: Table) -> Formats | None:
    table = top.optional_table("formats")
    if table is None:
        return None
    widths = {}
    for key in ("index_widths", "weight_widths"):
        widths[key] = table.integers(key, 0)
        if not widths[key] or list(widths[key]) != sorted(set(widths[key])):
            raise table.error("board-value", key, "must be widths in bits, ascending")
        if widths[key][-1] > _WIDEST:
            raise table.error("board-value", key, f"goes beyond {_WIDEST} bits")
    found = Formats(
        head=table.quantity("head", unit="bits", whole=True, zero=True),
        block=table.quantity("block", unit="synapses", whole=True),
        delay=table.quantity("delay", unit="bits", whole=True, zero=True),
        every=tuple(_format(name, table.table(name)) for name in _formats_of(table)),
        source=table.text("source"),
        obtained=table.obtained(),
        **widths,
    )
    table.finish()
    if not any(one.index == "synapse" and not one.shared for one in found.every):
        # Any row can be laid down with an index for each synapse, and with nothing else.
        message = "need one, not shared, with an index for each synapse"
        raise top.error("board-missing", "formats", message)
    return found


def _formats_of(table: Table) -> list[str]:
    known = ("head", "block", "delay", "index_widths", "weight_widths", "source", "how")
    return [name for name in table.names if name not in known]


def _format(name: str, table: Table) -> SynapseFormat:
    index = table.choice("index", ("synapse", "run", "none"))
    found = SynapseFormat(
        name=name,
        index=cast("Literal['synapse', 'run', 'none']", index),
        shared=table.boolean("shared") if table.has("shared") else False,
        source=table.text("source"),
        obtained=table.obtained(),
    )
    table.finish()
    if found.shared and found.index != "synapse":
        raise table.error("board-value", "shared", "is of formats with an index for each synapse")
    return found


def _network(table: Table | None) -> dict[str, Quantity | None]:
    if table is None:
        return dict.fromkeys(("routing_entries", "link_capacity", "chip_link"))
    found = {
        "routing_entries": table.optional_quantity("routing_entries", unit="entries", whole=True),
        "link_capacity": table.optional_quantity("link_capacity", unit="packets", whole=True),
        "chip_link": table.optional_quantity("chip_link", unit="hops"),
    }
    table.finish()
    return found


def _absent(layout: Table) -> frozenset[tuple[int, int]]:
    places = layout.optional_pairs("absent", 0)
    for place, count in Counter(places).items():
        if count > 1:
            raise layout.error("board-value", "absent", f"has {list(place)} twice")
    return frozenset(places)


def _models(table: Table | None, costs: Mapping[str, Quantity]) -> dict[str, CostModel]:
    return {} if table is None else {name: _model(table, name, costs) for name in table.names}


def _model(table: Table, name: str, costs: Mapping[str, Quantity]) -> CostModel:
    model = table.table(name)

    def cost(line: Table, units: tuple[str, ...]) -> str:
        key = line.text("cost")
        if key not in costs:
            raise line.error("board-value", "cost", f"costs.{key} {did_you_mean(key, costs)}")
        if costs[key].unit not in units:
            wanted = " or ".join(units)
            raise line.error(
                "board-value", "cost", f"'{key}' is in {costs[key].unit}, not {wanted}"
            )
        if costs[key].unit == "cycles" and "clock_frequency" not in costs:
            raise line.error("board-value", "cost", f"'{key}' needs costs.clock_frequency")
        return key

    def lines(key: str, counts: Iterable[str], *units: str) -> tuple[CostLine, ...]:
        found = []
        for line in model.tables(key, required=False):
            times = line.number("times") if line.has("times") else 1.0
            count = line.choice("count", tuple(counts))
            unit = ("J",) if count == "clock" else units
            found.append(CostLine(count, cost(line, unit), times))
            if count == "clock" and "clock_frequency" not in costs:
                raise line.error("board-value", "count", "'clock' needs costs.clock_frequency")
            line.finish()
        return tuple(found)

    points = []
    for line in model.tables("barrier", required=False):
        points.append(Barrier(line.integer("tiles", 1), cost(line, _TIMES)))
        line.finish()
    if [point.tiles for point in points] != sorted({point.tiles for point in points}):
        raise model.error("board-value", "barrier", "must be of ascending numbers of tiles")
    pace = model.choice("pace", ("barrier", "tick", "free"))
    if (pace == "barrier") != bool(points):
        raise model.error("board-value", "pace", "is 'barrier' where there are barriers, else not")
    tick = model.optional_text("tick")
    if tick is not None:
        if pace != "tick":
            raise model.error("board-value", "tick", f"is for the pace 'tick', not '{pace}'")
        if tick not in costs or costs[tick].unit != "s":
            raise model.error("board-value", "tick", f"'{tick}' is no time in costs")
    between = "last" if not model.has("between") else model.choice("between", ("linear", "last"))
    every = (*CORE_COUNTS, *MACHINE_COUNTS)
    found = CostModel(
        name=name,
        title=model.text("title"),
        pace=cast("Pace", pace),
        overlap=model.boolean("overlap") if model.has("overlap") else False,
        network=model.boolean("network") if model.has("network") else True,
        energy=lines("energy", every, "J"),
        power=lines("power", HOLDERS, "W"),
        send=lines("send", CORE_COUNTS, *_TIMES),
        receive=lines("receive", CORE_COUNTS, *_TIMES),
        barrier=tuple(points),
        between=cast("Literal['linear', 'last']", between),
        tick=tick,
        unknown=model.texts("unknown") if model.has("unknown") else (),
    )
    model.finish()
    return found


def _interconnect(table: Table | None) -> Interconnect | None:
    if table is None:
        return None

    def cycles(key: str) -> Quantity:
        return table.quantity(key, unit="cycles", whole=True)

    def perhaps(key: str) -> Quantity | None:
        return table.optional_quantity(key, unit="cycles", whole=True)

    found = Interconnect(
        cycle_time=table.quantity("cycle_time", unit="s"),
        flits=table.quantity("flits", unit="flits", whole=True),
        buffer=table.quantity("buffer", unit="flits", whole=True),
        hop_x=cycles("hop_x"),
        hop_y=cycles("hop_y"),
        gap=cycles("gap"),
        inject=cycles("inject"),
        eject=cycles("eject"),
        chip_hop=perhaps("chip_hop"),
        chip_gap=perhaps("chip_gap"),
        drop_after=perhaps("drop_after"),
    )
    table.finish()
    if found.buffer.value < found.flits.value:
        message = f"holds {found.buffer.value:g} flits, a packet has {found.flits.value:g}"
        raise table.error("board-value", "buffer", message)
    return found


def _check_layout(machine: Machine, table: Table) -> None:
    """Refuse an arrangement that cannot be."""

    def wrong(key: str, message: str, code: str = "board-value") -> BoardError:
        return table.error(code, key, message)

    columns, rows = machine.grid
    if machine.topology == "tree":
        if not machine.arity:
            raise wrong("arity", "is missing: a tree has children at each level", "board-missing")
        if machine.chips != (1, 1):
            raise wrong("chips", "must be [1, 1]: a tree is one chip")
        if len(machine.arity) > _DEEPEST_TREE:
            raise wrong("arity", f"has {len(machine.arity)} levels; {_DEEPEST_TREE} is the most")
        leaves = math.prod(machine.arity)
        if machine.routers != (leaves, 1):
            raise wrong("routers", f"must be [{leaves}, 1], one for each leaf of the tree")
    elif machine.arity:
        raise wrong("arity", f"is of trees only, not of a {machine.topology}")
    if machine.topology == "ring" and rows != 1:
        raise wrong("routers", f"make {rows} rows; a ring is one")
    if table.has("wraps") and machine.topology not in ("mesh", "triads"):
        raise wrong("wraps", f"is of mesh and triads only, not of a {machine.topology}")
    if machine.router_count > _MOST_ROUTERS:
        message = f"make {machine.router_count:,} routers; {_MOST_ROUTERS:,} is the most"
        raise wrong("routers", message)
    if machine.seats > _MOST_SEATS:
        raise wrong("chips", f"make {machine.seats} cores; {_MOST_SEATS} is the most")
    for x, y in sorted(machine.absent):
        if x >= columns or y >= rows:
            raise wrong("absent", f"[{x}, {y}] is outside the grid of {columns} x {rows} routers")
    if machine.cores == 0:
        raise wrong("absent", "leaves no router at all")
    if machine.host >= machine.router_count:
        message = f"must be one of the {machine.router_count} routers from 0 on, not {machine.host}"
        raise wrong("host", message)
    if machine.place(machine.host) in machine.absent:
        raise wrong("host", f"is the absent router at {list(machine.place(machine.host))}")
    if machine.router_count > _MOST_UNEVEN and (machine.absent or machine.chip_link is not None):
        key = "absent" if machine.absent else "routers"
        message = f"is for up to {_MOST_UNEVEN:,} routers, like network.chip_link: there are "
        raise wrong(key, message + f"{machine.router_count:,}")
    if machine.absent and machine.topology != "tree":
        if machine.topology == "ring":
            raise wrong("absent", "is not of a ring, which lacks no router")
        apart = _apart(machine)
        if apart is not None:
            raise wrong("absent", f"leaves no way from router {apart[0]} to router {apart[1]}")
    if machine.routing_entries is not None:
        if machine.topology == "tree":
            raise wrong("topology", "is a tree, whose routers look nothing up in tables")
        if machine.cores_per_router > _MOST_OF_ROUTER:
            message = f"is {machine.cores_per_router}; {_MOST_OF_ROUTER} is most with tables"
            raise wrong("cores_per_router", message)
    if machine.chip_link is not None and machine.chip_link.value > _LONGEST_HOP:
        message = f"is {machine.chip_link.value:g} hops; {_LONGEST_HOP:,} is the most"
        raise BoardError("board-value", "network.chip_link", message)
    if machine.max_chips is not None:
        chips = machine.chips[0] * machine.chips[1]
        if machine.absent or machine.topology in ("ring", "tree"):
            raise wrong("max_chips", "is for arrangements that can grow; this one cannot")
        if machine.max_chips.value * machine.cores_per_chip > _MOST_SEATS:
            raise wrong("max_chips", f"makes more cores than {_MOST_SEATS:,}, which is the most")
        if machine.max_chips.value < chips:
            raise wrong("max_chips", f"is less than the {chips} chips that there are")


def _apart(machine: Machine) -> tuple[int, int] | None:
    """Two routers that no links join, if there are."""
    columns, rows = machine.grid
    there = {(x, y) for y in range(rows) for x in range(columns) if (x, y) not in machine.absent}
    left = set(there)
    waiting = [left.pop()]
    first = waiting[0]
    while waiting:
        x, y = waiting.pop()
        for dx, dy in STEPS.get(machine.topology, ()):
            place = (x + dx, y + dy)
            if machine.cyclic:
                place = (place[0] % columns, place[1] % rows)
            if place in left:
                left.remove(place)
                waiting.append(place)
    if not left:
        return None
    other = min(left)
    return first[1] * columns + first[0], other[1] * columns + other[0]
