"""Small networks and a straightforward mapper in plain Python: any parts, any seats, short routes.

Routes are XY on a mesh that does not wrap, else trees of breadth-first search. Tables have one
exact entry for each source and router.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping as Dict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from spikec.boards.machine import CoreLimits, Encoding, Machine, Topology
from spikec.boards.quantity import Quantity
from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.mapping import Mapping, Routes, Tables


def quantity(value: float, unit: str = "units") -> Quantity:
    return Quantity(value, unit, "test", "recalled")


def machine(
    topology: Topology = "mesh",
    routers: tuple[int, int] = (4, 3),
    *,
    chips: tuple[int, int] = (1, 1),
    cores: int = 1,
    encoding: Encoding | None = None,
    limits: Dict[str, float] | None = None,
    chip_link: float | None = None,
    multicast: bool = True,
    mixed: bool = True,
    wraps: bool = False,
    host: int = 0,
    absent: Sequence[tuple[int, int]] = (),
    arity: tuple[int, ...] = (),
) -> Machine:
    """A machine without limits but those given by name, bits of axons 0 and of synapses 0."""
    return Machine(
        "test",
        "the test machine",
        topology,
        chips,
        routers,
        cores,
        CoreLimits(**{name: quantity(value) for name, value in (limits or {}).items()}),
        encoding or Encoding(quantity(0), quantity(0)),
        multicast=multicast,
        mixed=mixed,
        wraps=wraps,
        host=host,
        absent=frozenset(absent),
        arity=arity,
        chip_link=None if chip_link is None else quantity(chip_link, "hops"),
    )


def bundle(
    name: str,
    first: int,
    rows: Sequence[Sequence[int]],
    delay: int | Sequence[int] = 1,
    kernel: int = 0,
) -> Bundle:
    """Row r holds the targets of the source ``first + r``."""
    ptr = np.cumsum([0, *map(len, rows)])
    flat = [neuron for row in rows for neuron in row]
    return Bundle(name, first, ptr, np.array(flat, np.int32), np.array(delay, np.int32), kernel)


def axons(
    sizes: Sequence[int],
    lines: int,
    bundles: Sequence[Bundle],
    rate: Sequence[int] | None = None,
    weight_bits: int = 8,
) -> Axons:
    """Nodes 'p0', 'p1', ... of neurons, and 'in' of lines from the host."""
    nodes, first = [], 0
    for i, size in enumerate(sizes):
        nodes.append(Node(f"p{i}", first, size))
        first += size
    neurons = first
    if lines:
        nodes.append(Node("in", first, lines, lines=True))
    rates = np.array([1] * (neurons + lines) if rate is None else rate, np.int64)
    return Axons(tuple(nodes), neurons, tuple(bundles), rates, weight_bits)


def synapses_of(network: Axons, source: int) -> list[tuple[Bundle, int, int]]:
    """(bundle, target, delay) of every synapse of a source."""
    found = []
    for b in network.bundles:
        row = source - b.first
        if 0 <= row < b.ptr.size - 1:
            for k in range(int(b.ptr[row]), int(b.ptr[row + 1])):
                delay = b.delay[k] if b.delay.shape else b.delay
                found.append((b, int(b.target[k]), int(delay)))
    return found


def links_of(m: Machine) -> dict[int, list[int]]:
    """The neighbours of every router, those of inner switches of a tree among them."""
    if m.topology == "tree":
        levels = [[0]]  # the root first; numbered from the leaves up afterwards
        for children in m.arity:
            levels.append(list(range(len(levels[-1]) * children)))
        number: dict[tuple[int, int], int] = {}
        for depth in range(len(levels) - 1, -1, -1):
            for i in levels[depth]:
                number[depth, i] = len(number)
        joined: dict[int, list[int]] = {router: [] for router in number.values()}
        for (depth, i), router in number.items():
            if depth:
                parent = number[depth - 1, i // m.arity[depth - 1]]
                joined[router].append(parent)
                joined[parent].append(router)
        return joined
    steps = {
        "mesh": [(1, 0), (0, 1), (-1, 0), (0, -1)],
        "torus": [(1, 0), (0, 1), (-1, 0), (0, -1)],
        "triads": [(1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1)],
        "ring": [(1, 0)],
    }[m.topology]
    width, height = m.chips[0] * m.routers[0], m.chips[1] * m.routers[1]
    wraps = m.wraps or m.topology in ("torus", "ring")
    joined = {}
    for router in range(width * height):
        x, y = router % width, router // width
        joined[router] = []
        for dx, dy in steps:
            column, row = x + dx, y + dy
            if wraps:
                column, row = column % width, row % height
            inside = 0 <= column < width and 0 <= row < height
            end = row * width + column
            if inside and end != router and not {(x, y), (column, row)} & m.absent:
                joined[router].append(end)
            else:
                joined[router].append(-1)  # keeps the numbers of links
    return joined


def path(m: Machine, a: int, b: int) -> list[int]:
    """Routers from a to b."""
    if m.topology == "mesh" and not m.wraps:
        width = m.chips[0] * m.routers[0]
        way = [a]
        while way[-1] % width != b % width:
            way.append(way[-1] + (1 if b % width > way[-1] % width else -1))
        while way[-1] != b:
            way.append(way[-1] + (width if b > way[-1] else -width))
        return way
    joined, before, queue = links_of(m), {a: a}, deque([a])
    while queue:
        at = queue.popleft()
        for after in joined[at]:
            if after >= 0 and after not in before:
                before[after] = at
                queue.append(after)
    way = [b]
    while way[-1] != a:
        way.append(before[way[-1]])
    return way[::-1]


def map_simply(
    network: Axons,
    m: Machine,
    part: Sequence[int],
    seat: Sequence[int],
    *,
    tables: bool = False,
) -> Mapping:
    """Routes and tables for given parts and seats."""
    of, number = [], {}
    trees: list[tuple[int, list[tuple[int, int]], list[int]]] = []
    for source in range(network.sources):
        sinks = sorted({seat[part[t]] for _, t, _ in synapses_of(network, source)})
        if not sinks:
            of.append(-1)
            continue
        home = part[source] if source < network.neurons else None
        origin = m.host if home is None else seat[home] // m.cores_per_router
        if (home, *sinks) not in number:
            number[home, *sinks] = len(trees)
            links: list[tuple[int, int]] = []
            for core in sinks:
                way = path(m, origin, core // m.cores_per_router)
                links += [step for step in pairwise(way) if step not in links]
            trees.append((origin, links, sinks))
        of.append(number[home, *sinks])
    routes = from_trees(of, trees)
    mapping = Mapping(m, np.array(part, np.int32), np.array(seat, np.int32), routes)
    return with_tables(mapping) if tables else mapping


def from_trees(
    of: Sequence[int], trees: Sequence[tuple[int, list[tuple[int, int]], list[int]]]
) -> Routes:
    """Routes of (origin, links, sinks)."""
    links = [link for _, tree, _ in trees for link in tree]
    return Routes(
        np.array(of, np.int32),
        np.array([origin for origin, _, _ in trees], np.int32),
        np.cumsum([0, *(len(tree) for _, tree, _ in trees)]),
        np.array([a for a, _ in links], np.int32),
        np.array([b for _, b in links], np.int32),
        np.cumsum([0, *(len(sinks) for _, _, sinks in trees)]),
        np.array([core for _, _, sinks in trees for core in sinks], np.int32),
    )


def trees_of(routes: Routes) -> list[tuple[int, list[tuple[int, int]], list[int]]]:
    """The inverse of `from_trees`."""
    found = []
    for r in range(routes.count):
        low, high = routes.link_ptr[r : r + 2]
        links = list(
            zip(routes.start[low:high].tolist(), routes.end[low:high].tolist(), strict=True)
        )
        sinks = routes.sink[routes.sink_ptr[r] : routes.sink_ptr[r + 1]].tolist()
        found.append((int(routes.origin[r]), links, sinks))
    return found


Entry = tuple[int, int, int, int]  # key, mask, links, cores


def with_tables(mapping: Mapping) -> Mapping:
    """The same mapping with an exact entry for each source at each router of its route."""
    m, routes = mapping.machine, mapping.routes
    joined, trees = links_of(m), trees_of(routes)
    key = np.where(routes.of >= 0, np.arange(routes.of.size) + 1, 0)
    rows: list[list[Entry]] = [[] for _ in range(m.router_count)]
    for source in range(routes.of.size):
        if routes.of[source] < 0:
            continue
        origin, links, sinks = trees[routes.of[source]]
        for router in [origin, *(b for _, b in links)]:
            bits = sum(1 << joined[a].index(b) for a, b in links if a == router)
            cores = sum(
                1 << core % m.cores_per_router
                for core in sinks
                if core // m.cores_per_router == router
            )
            rows[router].append((source + 1, 0xFFFFFFFF, bits, cores))
    return replace_tables(mapping, key.tolist(), rows)


def replace_tables(
    mapping: Mapping, key: Sequence[int], rows: Sequence[Sequence[Entry]]
) -> Mapping:
    """The same mapping with these entries of each router."""
    flat = np.array([entry for row in rows for entry in row], np.uint32).reshape(-1, 4)
    ptr = np.cumsum([0, *map(len, rows)])
    tables = Tables(np.array(key, np.uint32), ptr, *flat.T)
    return Mapping(mapping.machine, mapping.part, mapping.seat, mapping.routes, tables)


def rows_of(tables: Tables) -> list[list[Entry]]:
    """The inverse of `replace_tables`."""
    columns = (tables.entry_key, tables.entry_mask, tables.entry_links, tables.entry_cores)
    flat = [(int(a), int(b), int(c), int(d)) for a, b, c, d in zip(*columns, strict=True)]
    return [flat[tables.ptr[r] : tables.ptr[r + 1]] for r in range(tables.ptr.size - 1)]
