"""A mapping as ``mapping.json`` (``mapping.schema.json`` beside this file), and read from it.

One line a node and a part, arrays on one line each: a network of a million neurons is a file of
some megabytes that tools still show. The same mapping gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import chain, pairwise
from typing import Any, Final, NoReturn, cast

import numpy as np
import numpy.typing as npt

from ...boards.machine import Machine
from ...boards.quantity import Quantity
from ...ir.diagnostics import NOWHERE, Location, SpikecError, fail
from .axons import Axons
from .check import COUNTED, Binding
from .encodings import encoding_uses
from .map import Mapped
from .mapping import Encodings, Mapping, Routes, Tables

SCHEMA: Final = "spikec-mapping-1"

_Array = npt.NDArray[Any]
_Rows = list[list[int]]

_MOST: Final = 2**31 - 1


# -- writing -------------------------------------------------------------------------------------


def mapping_json(axons: Axons, mapped: Mapped, window: int | None = None) -> bytes:
    """``mapping.json`` of what was mapped: where each neuron is, every route and table.

    ``window`` is the number of steps in which the rates were counted. Times are not in it.
    """
    mapping = mapped.mapping
    routes, tables = mapping.routes, mapping.tables
    links = np.stack([routes.start, routes.end], axis=1).tolist()
    sinks = routes.sink.tolist()
    top: dict[str, Any] = {
        "schema": SCHEMA,
        "machine": _machine(mapping.machine),
        "limits": {n: asdict(q) for n, q in _limits(mapping.machine).items()},
        "totals": totals(mapped, window) | {"synapses": axons.synapses},
        "nodes": _Lines(_nodes(axons, mapping)),
        "parts": _Lines(_parts(mapped)),
        "routes": {
            "origin": routes.origin.tolist(),
            "links": [links[a:b] for a, b in pairwise(routes.link_ptr.tolist())],
            "cores": [sinks[a:b] for a, b in pairwise(routes.sink_ptr.tolist())],
        },
        "tables": None if tables is None else _entries(tables),
    }
    if mapping.encodings is not None:
        top["encodings"] = _encodings(axons, mapping.encodings)
    lines = (f"{json.dumps(key)}: {_text(value)}" for key, value in top.items())
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def mapping_facts(mapped: Mapped, window: int | None, axons: Axons | None = None) -> dict[str, Any]:
    """What a manifest says of a mapping: totals, and every limit, the nearest first.

    With its ``axons`` also in which formats synapses lie, where the machine has such.
    """
    facts = totals(mapped, window)
    checked = mapped.checked
    facts |= {"limits": [_binding(binding) for binding in checked.bindings]}
    if axons is None or mapped.mapping.encodings is None:
        return facts
    uses, usage = encoding_uses(axons, mapped.mapping), checked.usage
    memory = {
        "in_axons": int(usage.in_axons.sum()),
        "out_axons": int(usage.out_axons.sum()),
        "bits": int(usage.synapse_bits.sum()),
        "formats": {
            name: sum(use.bits for use in uses if use.format == name)
            for name in mapped.mapping.encodings.names
        },
        "projections": [asdict(use) for use in uses],
    }
    return facts | {"synapse_memory": memory}


def totals(mapped: Mapped, window: int | None) -> dict[str, Any]:
    """Cores, chips, packets and hops of a mapping, and its busiest link."""
    mapping, usage = mapped.mapping, mapped.checked.usage
    machine = mapping.machine
    worst = None
    if usage.link_load.size:
        k = int(usage.link_load.argmax())
        worst = {
            "start": int(usage.link_start[k]),
            "end": int(usage.link_end[k]),
            "packets": int(usage.link_load[k]),
        }
    return {
        "neurons": int(mapping.part.size),
        "cores": mapping.parts,
        "of_cores": machine.cores,
        "chips": machine.chip_count,
        "chips_used": len(machine.chips_of(mapping.seat.tolist())),
        "routes": mapping.routes.count,
        "window": window,
        "spikes": usage.spikes,
        "packets": usage.packets,
        "hops": usage.hops,
        "packets_per_spike": usage.packets_per_spike,
        "hops_per_spike": usage.hops_per_spike,
        "strays": usage.strays,
        "worst_link": worst,
    }


def _binding(binding: Binding) -> dict[str, Any]:
    return {
        "limit": binding.limit,
        "used": binding.used,
        "share": binding.share,
        "at": f"{binding.at} {binding.number}",
    } | asdict(binding.bound)


class _Lines:
    """A list of which each element has a line."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = values


def _text(value: Any) -> str:
    if isinstance(value, dict) and any(isinstance(one, _Lines) for one in value.values()):
        return "{" + ",".join(f"{json.dumps(k)}:{_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, _Lines):
        return "[\n " + ",\n ".join(_text(one) for one in value.values) + "\n]"
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _machine(machine: Machine) -> dict[str, Any]:
    return {
        "name": machine.name,
        "title": machine.title,
        "topology": machine.topology,
        "chips": list(machine.chips),
        "routers": list(machine.routers),
        "cores_per_router": machine.cores_per_router,
        "cores": machine.cores,
        "source": machine.source,
        "obtained": machine.obtained,
    }


def _limits(machine: Machine) -> dict[str, Quantity]:
    """Every limit by the name that it has in the chip's file."""
    return {
        name: quantity
        for name, quantity in machine.quantities.items()
        if name.startswith(("core.", "network.")) or name == "layout.max_chips"
    }


def _nodes(axons: Axons, mapping: Mapping) -> Iterator[dict[str, Any]]:
    routes, tables = mapping.routes.of, mapping.tables
    for node in axons.nodes:
        own = slice(node.first, node.end)
        placed = node.first < axons.neurons
        found: dict[str, Any] = {"name": node.name, "size": node.size, "placed": placed}
        if placed:
            found["part"] = _packed(mapping.part[own])
        found["route"] = _packed(routes[own])
        if tables is not None:
            found["key"] = _packed(tables.key[own])
        yield found


def _packed(array: _Array) -> Any:
    """All values or, where that is shorter, runs of equal ones: [start, stop, value]."""
    fresh = np.ones(array.size, np.bool_)
    fresh[1:] = array[1:] != array[:-1]
    start = np.flatnonzero(fresh)
    if 3 * start.size >= array.size:
        return array.tolist()
    stop = np.append(start[1:], array.size)
    return {"runs": np.stack([start, stop, array[start].astype(np.int64)], axis=1).tolist()}


def _parts(mapped: Mapped) -> Iterator[dict[str, Any]]:
    mapping, usage = mapped.mapping, mapped.checked.usage
    machine = mapping.machine
    counts = {name: getattr(usage, name).tolist() for name in COUNTED}
    for number, core in enumerate(mapping.seat.tolist()):
        router = core // machine.cores_per_router
        yield {
            "core": core,
            "router": list(machine.place(router)),
            "chip": list(machine.chip_of(router)),
            "usage": {name: counts[name][number] for name in COUNTED},
        }


def _encodings(axons: Axons, found: Encodings) -> dict[str, Any]:
    """The rows [part, format, bits] of each projection."""
    projections = []
    for number, bundle in enumerate(axons.bundles):
        part = np.flatnonzero(found.format[number] >= 0)
        rows = np.stack([part, found.format[number, part], found.bits[number, part]], axis=1)
        projections.append({"name": bundle.name, "parts": rows.tolist()})
    return {"formats": list(found.names), "projections": _Lines(projections)}


def _entries(tables: Tables) -> list[_Rows]:
    """The rows [key, mask, links, cores] of each router."""
    columns = (tables.entry_key, tables.entry_mask, tables.entry_links, tables.entry_cores)
    rows = np.stack(columns, axis=1).tolist()
    return [rows[a:b] for a, b in pairwise(tables.ptr.tolist())]


# -- reading -------------------------------------------------------------------------------------


def read_mapping(
    data: bytes, machine: Machine, axons: Axons | None = None, where: Location = NOWHERE
) -> Mapping:
    """The mapping of a ``mapping.json`` onto ``machine``, with as many chips as the file says.

    With ``axons`` the nodes have to be those of the network, too. Raises E0324 for a file that is
    not as ``mapping.schema.json`` describes it, or is of another machine or network. Whether the
    mapping keeps every limit is the business of `check.check`.
    """
    reader = _Reader(where)
    try:
        top = json.loads(data, object_pairs_hook=reader.unique, parse_constant=reader.no_number)
    except SpikecError:
        raise
    except (ValueError, RecursionError) as error:
        raise reader.wrong(f"it is not JSON: {error}") from None
    return reader.mapping(top, machine, axons)


class _Reader:
    """Reads one file; every complaint says where in it."""

    def __init__(self, where: Location) -> None:
        self.where = where

    def wrong(self, message: str) -> SpikecError:
        return fail("E0324", message, self.where, "compile again")

    def unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise self.wrong("it has a key twice in one object")
        return found

    def no_number(self, name: str) -> NoReturn:
        raise self.wrong(f"it has {name}, which is no number of JSON")

    def mapping(self, top: Any, machine: Machine, axons: Axons | None) -> Mapping:
        keys = ("schema", "machine", "limits", "totals", "nodes", "parts", "routes", "tables")
        has = isinstance(top, dict) and "encodings" in top
        self.object(top, "the file", (*keys, "encodings") if has else keys)
        if top["schema"] != SCHEMA:
            raise self.wrong(f"schema is {top['schema']!r}, this spikec reads {SCHEMA}")
        whole = self.machine(top["machine"], machine)
        nodes = self.nodes(top["nodes"], axons, top["tables"] is not None)
        seat = self.seats(top["parts"], whole)
        routes = self.object(top["routes"], "routes", ("origin", "links", "cores"))
        origin = self.integers(routes["origin"], "routes.origin", 0, _MOST)
        links, link_ptr = self.rows(routes["links"], "routes.links")
        sinks = self.lists(routes["cores"], "routes.cores")
        for name, length in (("links", link_ptr.size - 1), ("cores", len(sinks))):
            if length != origin.size:
                raise self.wrong(f"routes.{name} has {length} routes, routes.origin {origin.size}")
        ends = self.pairs(links, "routes.links")
        sink = self.integers(list(chain.from_iterable(sinks)), "routes.cores", 0, whole.seats)
        part = self.joined(nodes, "part", seat.size)
        return Mapping(
            whole,
            part.astype(np.int32),
            seat.astype(np.int32),
            Routes(
                self.joined(nodes, "route", origin.size).astype(np.int32),
                origin.astype(np.int32),
                link_ptr,
                ends[:, 0].astype(np.int32),
                ends[:, 1].astype(np.int32),
                np.cumsum([0, *map(len, sinks)]),
                sink.astype(np.int32),
            ),
            self.tables(top["tables"], nodes),
            self.encodings(top["encodings"], axons, seat.size) if has else None,
        )

    # Parts of the file.

    def machine(self, found: Any, machine: Machine) -> Machine:
        known = _machine(machine)
        self.object(found, "machine", tuple(known))
        chips = self.integers(found["chips"], "machine.chips", 1, _MOST).tolist()
        if len(chips) != 2:
            raise self.wrong(f"machine.chips has {len(chips)} numbers, not columns and rows")
        whole = machine if tuple(chips) == machine.chips else machine.of_chips(chips[0], chips[1])
        if whole is not machine and machine.max_chips is None:
            raise self.wrong(f"machine.chips is {chips}, '{machine.name}' has {machine.chips}")
        for key, value in _machine(whole).items():
            if found[key] != value:
                raise self.wrong(f"machine.{key} is {found[key]!r}, not {value!r}")
        return whole

    def nodes(self, found: Any, axons: Axons | None, keyed: bool) -> list[dict[str, Any]]:
        nodes = self.array(found, "nodes")
        hosted = False
        for k, node in enumerate(nodes):
            name = f"nodes[{k}]"
            placed = isinstance(node, dict) and node.get("placed") is True
            keys = ("name", "size", "placed", "route")
            self.object(node, name, keys + ("part",) * placed + ("key",) * keyed)
            if type(node["size"]) is not int or not 0 <= node["size"] <= _MOST:
                raise self.wrong(f"{name}.size is {node['size']!r}, no number of neurons")
            if not isinstance(node["name"], str) or not isinstance(node["placed"], bool):
                raise self.wrong(f"{name} needs a name, and 'placed' true or false")
            if placed and hosted:
                raise self.wrong(f"{name} takes places in cores, but a node before it does not")
            hosted |= not placed
        if axons is not None:
            read = [(n["name"], n["size"], n["placed"]) for n in nodes]
            real = [(n.name, n.size, n.first < axons.neurons) for n in axons.nodes]
            if read != real:
                raise self.wrong("its nodes are not those of the network")
        return nodes

    def seats(self, found: Any, machine: Machine) -> _Array:
        parts = self.array(found, "parts")
        for k, part in enumerate(parts):
            self.object(part, f"parts[{k}]", ("core", "router", "chip", "usage"))
        seat = self.integers([p["core"] for p in parts], "parts.core", 0, machine.seats)
        for k, (part, core) in enumerate(zip(parts, seat.tolist(), strict=True)):
            router = core // machine.cores_per_router
            place = [list(machine.place(router)), list(machine.chip_of(router))]
            if [part["router"], part["chip"]] != place:
                raise self.wrong(f"parts[{k}]: core {core} is not where the file says")
        if np.unique(seat).size < seat.size:
            raise self.wrong("parts.core has a core twice")
        return seat

    def tables(self, found: Any, nodes: list[dict[str, Any]]) -> Tables | None:
        if found is None:
            return None
        rows, ptr = self.rows(found, "tables")
        if not all(type(row) is list and len(row) == 4 for row in rows):
            raise self.wrong("tables: an entry is [key, mask, links, cores]")
        flat = self.integers(list(chain.from_iterable(rows)), "tables", 0, 2**32)
        columns = flat.reshape(-1, 4).astype(np.uint32)
        key = self.joined(nodes, "key", 2**32).astype(np.uint32)
        return Tables(key, ptr, *(columns[:, k] for k in range(4)))

    def encodings(self, found: Any, axons: Axons | None, parts: int) -> Encodings:
        self.object(found, "encodings", ("formats", "projections"))
        names = self.array(found["formats"], "encodings.formats")
        if not all(isinstance(name, str) for name in names):
            raise self.wrong("encodings.formats has something that is no name")
        lines = self.array(found["projections"], "encodings.projections")
        shape = (len(lines), parts)
        kind, bits = np.full(shape, -1, np.int32), np.zeros(shape, np.int64)
        for k, line in enumerate(lines):
            where = f"encodings.projections[{k}]"
            rows = self.lists(self.object(line, where, ("name", "parts"))["parts"], where)
            if not all(len(row) == 3 for row in rows):
                raise self.wrong(f"{where}: a row is [part, format, bits]")
            columns = [[row[column] for row in rows] for column in range(3)]
            part = self.integers(columns[0], f"{where}: a part", 0, parts)
            if np.unique(part).size < part.size:
                raise self.wrong(f"{where} has a part twice")
            kind[k, part] = self.integers(columns[1], f"{where}: a format", 0, len(names))
            bits[k, part] = self.integers(columns[2], f"{where}: bits", 0, 1 << 62)
        if axons is not None and [one["name"] for one in lines] != [b.name for b in axons.bundles]:
            raise self.wrong("encodings.projections are not those of the network")
        return Encodings(tuple(names), kind, bits)

    # Kinds of values.

    def object(self, value: Any, name: str, keys: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong(f"{name} is no object")
        for key in keys:
            if key not in value:
                raise self.wrong(f"{name} lacks '{key}'")
        for key in value:
            if key not in keys:
                raise self.wrong(f"{name} has an unknown key '{key}'")
        return value

    def array(self, value: Any, name: str) -> list[Any]:
        if not isinstance(value, list):
            raise self.wrong(f"{name} is no list")
        return value

    def lists(self, value: Any, name: str) -> _Rows:
        for one in self.array(value, name):
            self.array(one, f"an element of {name}")
        return cast("_Rows", value)

    def rows(self, value: Any, name: str) -> tuple[_Rows, npt.NDArray[np.int64]]:
        """Lists of rows, one after the other, and where each list begins."""
        lists = self.lists(value, name)
        ptr = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        return cast("_Rows", list(chain.from_iterable(cast("list[Any]", lists)))), ptr

    def pairs(self, rows: _Rows, name: str) -> _Array:
        if not all(type(row) is list and len(row) == 2 for row in rows):
            raise self.wrong(f"{name}: a link is [start, end]")
        flat = self.integers(list(chain.from_iterable(rows)), name, 0, _MOST)
        return flat.reshape(-1, 2)

    def integers(self, value: Any, name: str, low: int, high: int) -> npt.NDArray[np.int64]:
        """Whole numbers from ``low`` to below ``high``."""
        numbers = self.array(value, name)
        if not set(map(type, numbers)) <= {int}:
            raise self.wrong(f"{name} has something that is no whole number")
        if numbers and not low <= min(numbers) <= max(numbers) < high:
            odd = next(n for n in numbers if not low <= n < high)
            raise self.wrong(f"{name} has {odd}, which is not from {low} to {high - 1}")
        return np.array(numbers, np.int64)

    def joined(self, nodes: list[dict[str, Any]], key: str, high: int) -> npt.NDArray[np.int64]:
        """An array over all nodes that have ``key``."""
        low = -1 if key == "route" else 0
        parts = [
            self.unpacked(node[key], f"nodes[{k}].{key}", node["size"], low, high)
            for k, node in enumerate(nodes)
            if key in node
        ]
        return np.concatenate([np.zeros(0, np.int64), *parts])

    def unpacked(
        self, value: Any, name: str, size: int, low: int, high: int
    ) -> npt.NDArray[np.int64]:
        if isinstance(value, list):
            array = self.integers(value, name, low, high)
            if array.size != size:
                raise self.wrong(f"{name} has {array.size} values, there are {size}")
            return array
        runs = self.lists(self.object(value, name, ("runs",))["runs"], f"{name}.runs")
        if not all(len(run) == 3 for run in runs):
            raise self.wrong(f"{name}.runs: a run is [start, stop, value]")
        flat = self.integers(list(chain.from_iterable(runs)), f"{name}.runs", low, 2**32)
        start, stop, values = flat.reshape(-1, 3).T
        edges = np.append(start, size)
        if not runs and size:
            raise self.wrong(f"{name}.runs is empty")
        if (edges[0] != 0) or (stop != edges[1:]).any() or (start >= stop).any():
            raise self.wrong(f"{name}.runs do not cover 0 to {size} one after the other")
        if values.size and values.max() >= high:
            raise self.wrong(f"{name}.runs has {values.max()}, which is not below {high}")
        return np.repeat(values, stop - start)
