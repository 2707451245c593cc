"""Key/mask tables of routers that look packets up (SpiNNaker's), out of routes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from ...boards.machine import STEPS, Machine
from ...ir.diagnostics import SpikecError, fail
from . import table_kernels as kernels
from .axons import Axons, Integers
from .mapping import Ids, Routes, Tables

Effort = Literal["plain", "fit", "fewest"]
_EFFORTS: dict[Effort, int] = {
    "plain": kernels.PLAIN,
    "fit": kernels.FIT,
    "fewest": kernels.FEWEST,
}
KEY_BITS = 32


@dataclass(frozen=True, eq=False)
class Blocks:
    """Sources of one core on one route, which get neighbouring keys.

    ``core`` counts the cores that send: parts, and behind them each node of the host as one.
    ``node`` is the place of the first source's node in `Axons.nodes`; ``size`` a power of two.
    Block b has the sources ``source[ptr[b]:ptr[b + 1]]``, ascending.
    """

    core: Integers
    route: Integers
    node: Integers
    size: Integers
    ptr: Integers
    source: Integers


@dataclass(frozen=True, eq=False)
class Lookups:
    """What each router has to do with each block: in ``ptr`` by router, there by key.

    ``action`` numbers pairs of ``links`` and ``cores``; ``straight`` where no entry does the same.
    """

    ptr: Integers
    key: Integers
    mask: Integers
    action: Ids
    straight: npt.NDArray[np.bool_]
    links: npt.NDArray[np.uint32]
    cores: npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Keyed:
    """``key`` (sources,), 0 where a source has no target; and what follows for the routers."""

    key: npt.NDArray[np.uint32]
    lookups: Lookups


def key_tables(
    axons: Axons, part: Ids, routes: Routes, machine: Machine, *, effort: Effort = "fewest"
) -> Tables:
    """Keys of all sources and the tables that send their packets along ``routes``.

    ``part`` (neurons,) is the core that each neuron is in, by any number. A block of keys, a power
    of two, for each core and route; blocks of a core lie in one aligned range, cores of a node in
    one. Of a few orders of the cores within their node that one is taken whose tables are smallest.
    An entry is left out where the packets go straight on anyway.

    ``effort``: ``"fewest"`` minimises each table as far as it goes, ``"fit"`` only until it has at
    most `Machine.routing_entries`, ``"plain"`` leaves one entry for each block.

    Raises E0315 where a table exceeds that limit all the same, E0316 where 32 bits are too few, and
    ``ValueError`` for routes that are no trees of neighbours.
    """
    keyed = assign_keys(axons, part, routes, machine, orders=1 if effort == "plain" else None)
    lookups = keyed.lookups
    most = _most_entries(machine)
    if effort != "plain":
        # Whatever a router does takes an entry at least, so that there is no use in trying.
        least = _different(lookups)
        if least.size and int(least.max()) > most:
            raise _too_many(machine, lookups, least, most, "at least")
    ptr, key, mask, action = kernels.minimise(
        lookups.ptr,
        lookups.key,
        lookups.mask,
        lookups.action,
        lookups.straight,
        _EFFORTS[effort],
        most,
    )
    sizes = np.diff(ptr)
    if sizes.size and int(sizes.max()) > most:
        raise _too_many(machine, lookups, sizes, most)
    return Tables(keyed.key, ptr, key, mask, lookups.links[action], lookups.cores[action])


def assign_keys(
    axons: Axons, part: Ids, routes: Routes, machine: Machine, *, orders: int | None = None
) -> Keyed:
    """Keys of all sources, in the best of ``orders`` orders of the cores (all, without a number),
    and what each router then has to tell apart. Raises as `key_tables` does, but for E0315.
    """
    blocks = find_blocks(axons, part, routes)
    trees = _Trees.of(routes, machine)
    most = _most_entries(machine)
    best: tuple[tuple[int, int], Integers, Lookups] | None = None
    for order in _ORDERS[:orders]:
        base = _allocate(axons, blocks, order(blocks, routes, machine))
        lookups = trees.lookups(blocks, base)
        sizes = kernels.prefix_sizes(
            lookups.ptr, lookups.key, lookups.mask, lookups.action, lookups.straight
        )
        # What fits is as good as any other; then the fewest.
        rank = (max(int(sizes.max(initial=0)), most), int(sizes.sum()))
        if best is None or rank < best[0]:
            best = rank, base, lookups
    assert best is not None
    _, base, lookups = best
    keys = np.zeros(axons.sources, np.uint32)
    counts = np.diff(blocks.ptr)
    within = np.arange(blocks.source.size) - np.repeat(blocks.ptr[:-1], counts)
    keys[blocks.source] = np.repeat(base, counts) + within
    return Keyed(keys, lookups)


def _different(lookups: Lookups) -> Integers:
    """How many different things each router has to do by an entry (routers,)."""
    router = np.repeat(np.arange(lookups.ptr.size - 1), np.diff(lookups.ptr))[~lookups.straight]
    kinds = max(lookups.links.size, 1)
    pairs = np.unique(router * kinds + lookups.action[~lookups.straight])
    return np.bincount(pairs // kinds, minlength=lookups.ptr.size - 1)


def _most_entries(machine: Machine) -> int:
    limit = machine.routing_entries
    return 2**31 - 1 if limit is None else int(limit.value)


def find_blocks(axons: Axons, part: Ids, routes: Routes) -> Blocks:
    """The blocks of all sources that have a route, by core and route."""
    source = np.flatnonzero(routes.of >= 0)
    first = np.array([node.first for node in axons.nodes], np.int64)
    node = np.searchsorted(first, source, side="right") - 1
    host = source >= axons.neurons
    core = np.where(host, int(part.max(initial=-1)) + 1 + node, 0)
    core[~host] = part[source[~host]]
    pair = core * max(routes.count, 1) + routes.of[source]
    order = np.argsort(pair, kind="stable")
    _, start, count = np.unique(pair[order], return_index=True, return_counts=True)
    source = source[order]
    return Blocks(
        core[order][start],
        routes.of[source[start]].astype(np.int64),
        node[order][start],
        _power_of_two(count),
        np.append(start, source.size).astype(np.int64),
        source,
    )


def _power_of_two(x: Integers) -> Integers:
    """The least powers of two that are not below ``x`` >= 1."""
    found: Integers = np.int64(1) << np.ceil(np.log2(np.maximum(x, 1))).astype(np.int64)
    return found


def _allocate(axons: Axons, blocks: Blocks, rank: Integers) -> Integers:
    """The first key of each block; cores of a node follow each other by the ``rank`` of blocks.

    Key 0 stays free. Gaps do no harm: a key that nobody sends may match anything.
    """
    if not blocks.core.size:
        return np.zeros(0, np.int64)
    # Within a core the largest first, so that each is aligned to its size.
    order = np.lexsort((rank, -blocks.size, blocks.core))
    core, head = np.unique(blocks.core[order], return_index=True)
    tail = np.append(head[1:], order.size)
    size = blocks.size[order]
    end = np.cumsum(size)
    inside = end - size - np.repeat((end - size)[head], tail - head)
    needs = np.add.reduceat(size, head)
    node, least = blocks.node[order][head], np.minimum.reduceat(rank[order], head)
    core_base = np.zeros(core.size, np.int64)
    top = 1
    for n in range(len(axons.nodes)):
        mine = np.flatnonzero(node == n)
        if not mine.size:
            continue
        # All cores of a node have ranges of one size: what they have in common is then a prefix.
        stride = int(_power_of_two(needs[mine]).max())
        whole = stride << (mine.size - 1).bit_length()
        top = -(-top // whole) * whole
        core_base[mine[np.lexsort((core[mine], least[mine]))]] = top + stride * np.arange(mine.size)
        top += whole
    if top > 2**KEY_BITS:
        raise fail(
            "E0316",
            f"the sources need {top:,} keys, and {KEY_BITS} bits have {2**KEY_BITS:,}",
            hint="give the neurons of a core the same targets, or fill the cores more evenly",
        )
    base = np.empty(order.size, np.int64)
    base[order] = np.repeat(core_base, tail - head) + inside
    return base


def _by_number(blocks: Blocks, routes: Routes, machine: Machine) -> Integers:
    """Cores by number, and blocks of a core by their targets."""
    return blocks.core * max(routes.count, 1) + _target_ranks(routes)[blocks.route]


def _by_place(blocks: Blocks, routes: Routes, machine: Machine) -> Integers:
    """Cores along a Z-curve over the machine (Morton 1966): a prefix of keys is then an area.

    What comes from one side, to the same targets, leaves by the same links.
    """
    columns = machine.grid[0]
    x, y = routes.origin[blocks.route] % columns, routes.origin[blocks.route] // columns
    curve = np.zeros(blocks.core.size, np.int64)
    for bit in range(16):
        curve |= ((x >> bit) & 1).astype(np.int64) << (2 * bit)
        curve |= ((y >> bit) & 1).astype(np.int64) << (2 * bit + 1)
    ranks = np.unique(curve, return_inverse=True)[1].astype(np.int64)
    return ranks * max(routes.count, 1) + _target_ranks(routes)[blocks.route]


def _by_targets(blocks: Blocks, routes: Routes, machine: Machine) -> Integers:
    """Cores by the targets of their blocks."""
    return _target_ranks(routes)[blocks.route]


def _target_ranks(routes: Routes) -> Integers:
    """Places of routes in the lexicographic order of their targets; equal ones share theirs."""
    text = routes.sink.astype(">i4").tobytes()
    ptr = (4 * routes.sink_ptr).tolist()
    names = [text[a:b] for a, b in pairwise(ptr)]
    place = {name: k for k, name in enumerate(sorted(set(names)))}
    return np.array([place[name] for name in names], np.int64)


_ORDERS: tuple[Callable[[Blocks, Routes, Machine], Integers], ...] = (
    _by_number,
    _by_place,
    _by_targets,
)


@dataclass(frozen=True, eq=False)
class _Trees:
    """Routers of routes: route r has the nodes from ``ptr[r]`` to ``ptr[r + 1]``."""

    routers: int
    ptr: Integers
    router: Ids
    action: Ids
    straight: npt.NDArray[np.bool_]
    links: npt.NDArray[np.uint32]
    cores: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, routes: Routes, machine: Machine) -> _Trees:
        step = _steps(routes, machine)
        router, entered, links, cores, wrong = kernels.walk(
            routes.origin,
            routes.link_ptr,
            routes.start,
            routes.end,
            step,
            routes.sink_ptr,
            routes.sink,
            machine.cores_per_router,
            machine.router_count,
        )
        if wrong >= 0:
            raise ValueError(f"route {wrong} is not a tree that reaches its cores")
        straight = (entered >= 0) & (cores == 0) & (links == 1 << np.maximum(entered, 0))
        actions, action = np.unique(cores << 8 | links, return_inverse=True)
        return cls(
            machine.router_count,
            routes.link_ptr + np.arange(routes.count + 1),
            router,
            action.astype(np.int32),
            straight,
            (actions & 0xFF).astype(np.uint32),
            (actions >> 8).astype(np.uint32),
        )

    def lookups(self, blocks: Blocks, base: Integers) -> Lookups:
        """All blocks at all routers that their routes pass, where they have the keys ``base``."""
        order = np.argsort(base, kind="stable")
        route = blocks.route[order]
        counts = self.ptr[route + 1] - self.ptr[route]
        ends = np.cumsum(counts)
        node = np.arange(int(counts.sum())) + np.repeat(self.ptr[route] - (ends - counts), counts)
        block = np.repeat(order, counts)
        by_router = np.argsort(self.router[node], kind="stable")
        node, block = node[by_router], block[by_router]
        ptr = np.searchsorted(self.router[node], np.arange(self.routers + 1)).astype(np.int64)
        mask = 2**KEY_BITS - blocks.size[block]
        return Lookups(
            ptr, base[block], mask, self.action[node], self.straight[node], self.links, self.cores
        )


def _steps(routes: Routes, machine: Machine) -> npt.NDArray[np.int8]:
    """The number of the step that each link of the routes takes, the least where there are two."""
    if machine.topology not in STEPS:
        raise ValueError(f"routers of a {machine.topology} do not look keys up")
    columns, rows = machine.grid
    found = np.full(routes.start.size, -1, np.int8)
    for number, (dx, dy) in reversed(list(enumerate(STEPS[machine.topology]))):
        x, y = routes.start % columns + dx, routes.start // columns + dy
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        if machine.cyclic:
            x, y, inside = x % columns, y % rows, np.ones_like(inside)
        found[inside & (y * columns + x == routes.end)] = number
    if (found < 0).any():
        k = int(np.argmax(found < 0))
        raise ValueError(f"no link leads from router {routes.start[k]} to {routes.end[k]}")
    return found


def _too_many(
    machine: Machine,
    lookups: Lookups,
    sizes: Integers,
    most: int,
    bound: str = "after minimisation",
) -> SpikecError:
    """E0315 of the fullest router."""
    router = int(sizes.argmax())
    x, y = machine.place(router)
    over = int((sizes > most).sum()) - 1
    others = f", and {over:,} other router{'s are' if over > 1 else ' is'} too full" if over else ""
    blocks = int(np.diff(lookups.ptr)[router])
    return fail(
        "E0315",
        f"router {router} at ({x}, {y}) of '{machine.name}' needs {int(sizes[router]):,} routing "
        f"entries for {blocks:,} blocks of keys, {bound}; the limit is "
        f"{machine.routing_entries}{others}",
        hint="every set of target cores that neurons of a core have takes a block of its own, and "
        "one route for all neurons of a core was tried, too: give neurons of a population like "
        "targets, or spread the network over more chips",
    )
