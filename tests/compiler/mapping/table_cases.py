"""Small machines, networks and routes for tests of tables, and a router in plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.boards.machine import STEPS, CoreLimits, Encoding, Machine
from spikec.boards.quantity import Quantity
from spikec.compiler.mapping.axons import Axons, Node
from spikec.compiler.mapping.mapping import Routes, Tables


def machine(
    columns: int,
    rows: int,
    *,
    cores: int = 4,
    topology: Any = "triads",
    wraps: bool = False,
    entries: int | None = None,
) -> Machine:
    """A grid of chips with one router each."""
    bits = Quantity(32, "bits", "the test", "recalled")
    limit = None if entries is None else Quantity(entries, "entries", "the test", "recalled")
    return Machine(
        "small",
        "Small",
        topology,
        (columns, rows),
        (1, 1),
        cores,
        CoreLimits(),
        Encoding(bits, bits),
        multicast=True,
        mixed=False,
        inputs_on_cores=True,
        wraps=wraps,
        routing_entries=limit,
    )


def network(*sizes: int, host: Sequence[int] = ()) -> Axons:
    """Nodes of neurons, and of lines from the host; the tables ask for no synapses."""
    nodes, first = [], 0
    for k, size in enumerate((*sizes, *host)):
        nodes.append(Node(f"n{k}", first, size))
        first += size
    return Axons(tuple(nodes), sum(sizes), (), np.ones(first, np.int64))


def step(on: Machine, router: int, number: int) -> int | None:
    """The router behind link ``number``, if there is one."""
    columns, rows = on.grid
    dx, dy = STEPS[on.topology][number]
    x, y = router % columns + dx, router // columns + dy
    if on.cyclic:
        x, y = x % columns, y % rows
    return y * columns + x if 0 <= x < columns and 0 <= y < rows else None


@dataclass(frozen=True)
class Tree:
    """A route: where it starts, its links as pairs of routers, its cores."""

    origin: int
    links: tuple[tuple[int, int], ...] = ()
    sinks: tuple[int, ...] = ()


def routes(of: Sequence[int], trees: Sequence[Tree]) -> Routes:
    """The record of some trees."""
    links = [link for tree in trees for link in tree.links]
    return Routes(
        np.array(of, np.int32),
        np.array([tree.origin for tree in trees], np.int32),
        np.cumsum([0, *(len(tree.links) for tree in trees)]),
        np.array([a for a, _ in links], np.int32),
        np.array([b for _, b in links], np.int32),
        np.cumsum([0, *(len(tree.sinks) for tree in trees)]),
        np.array([sink for tree in trees for sink in sorted(tree.sinks)], np.int32),
    )


def entries_of(tables: Tables, router: int) -> list[tuple[int, int, int, int]]:
    """(key, mask, links, cores) of each entry of a router, first match first."""
    a, b = int(tables.ptr[router]), int(tables.ptr[router + 1])
    columns = (tables.entry_key, tables.entry_mask, tables.entry_links, tables.entry_cores)
    return [
        (int(k), int(m), int(w), int(c))
        for k, m, w, c in zip(*(column[a:b] for column in columns), strict=True)
    ]


def look_up(
    entries: Sequence[tuple[int, int, int, int]], key: int, entered: int | None
) -> tuple[list[int], list[int]]:
    """Links and cores that a packet leaves by; ``entered`` is the step it came with."""
    for entry_key, mask, links, cores in entries:
        if key & mask == entry_key:
            return [d for d in range(6) if links >> d & 1], [c for c in range(32) if cores >> c & 1]
    assert entered is not None, f"nothing to do with key {key:#x} of this router's own cores"
    return [entered], []


def travel(on: Machine, tables: Tables, key: int, origin: int) -> tuple[set[Any], list[int]]:
    """Links that copies of a packet take and cores that they come to, in no order."""
    links: set[tuple[int, int]] = set()
    found: list[int] = []
    waiting: list[tuple[int, int | None]] = [(origin, None)]
    while waiting:
        router, entered = waiting.pop()
        out, cores = look_up(entries_of(tables, router), key, entered)
        found += [router * on.cores_per_router + core for core in cores]
        for number in out:
            to = step(on, router, number)
            assert to is not None, f"key {key:#x} leaves the machine at router {router}"
            assert (router, to) not in links, f"key {key:#x} runs in circles"
            links.add((router, to))
            waiting.append((to, number))
    return links, sorted(found)


def assert_delivers(on: Machine, tables: Tables, given: Routes, trees: Sequence[Tree]) -> None:
    """Every source has a key of its own, and its packets take the links of its tree."""
    sending = [s for s, route in enumerate(given.of) if route >= 0]
    keys = [int(tables.key[s]) for s in sending]
    assert len(set(keys)) == len(keys) and 0 not in keys
    assert not tables.key[np.flatnonzero(given.of < 0)].any()
    for source, key in zip(sending, keys, strict=True):
        tree = trees[given.of[source]]
        links, cores = travel(on, tables, key, tree.origin)
        assert links == set(tree.links), (source, key)
        assert cores == sorted(tree.sinks), (source, key)
    used = tables.entry_key & ~tables.entry_mask
    assert not used.any(), "a key has bits where its mask has none"


def random_tree(rng: np.random.Generator, on: Machine, origin: int, reach: int, sinks: int) -> Tree:
    """A tree that grows by random neighbours and delivers to random cores on it."""
    seen, links = [origin], []
    for _ in range(reach):
        start = seen[int(rng.integers(len(seen)))]
        # Often onwards in one direction, so that there is something to leave out.
        number = int(rng.integers(len(STEPS[on.topology])))
        for _ in range(int(rng.integers(1, 4))):
            to = step(on, start, number)
            if to is None or to in seen:
                break
            links.append((start, to))
            seen.append(to)
            start = to
    cores = [r * on.cores_per_router + c for r in seen for c in range(on.cores_per_router)]
    chosen = rng.choice(cores, min(sinks, len(cores)), replace=False)
    return Tree(origin, tuple(links), tuple(sorted(int(c) for c in chosen)))


@dataclass(frozen=True)
class Case:
    """A network with its cores and routes."""

    on: Machine
    axons: Axons
    part: np.ndarray[Any, np.dtype[np.int32]]
    routes: Routes
    trees: tuple[Tree, ...]


def random_case(seed: int, on: Machine, *, parts: int, per_part: int, shapes: int) -> Case:
    """Parts in random seats; their sources share a few trees each, some have none.

    ``shapes`` distinct trees start at each router: with few of them tables have much to merge.
    """
    rng = np.random.default_rng(seed)
    sizes: list[int] = []
    of: list[int] = []
    part: list[int] = []
    trees: list[Tree] = []
    kept: dict[tuple[int, int], int] = {}
    for p in range(parts):
        origin = int(rng.integers(on.router_count))
        first = len(trees)
        for _ in range(int(rng.integers(1, 4))):
            shape = (origin, int(rng.integers(shapes)))
            if shape in kept and rng.random() < 0.8:
                trees.append(trees[kept[shape]])
            else:
                kept[shape] = len(trees)
                trees.append(random_tree(rng, on, origin, int(rng.integers(6)), 3))
        count = int(rng.integers(1, per_part + 1))
        sizes.append(count)
        part += [p] * count
        drawn = rng.integers(first - 1, len(trees), count)
        of += [-1 if route < first else int(route) for route in drawn]
    lines = int(rng.integers(0, 4))
    if lines:
        trees.append(random_tree(rng, on, on.host, 3, 2))
        of += [len(trees) - 1] * lines
    axons = network(*sizes, host=(lines,) if lines else ())
    return Case(on, axons, np.array(part, np.int32), routes(of, trees), tuple(trees))
