"""The tree of links of every route, and what each link carries.

Which trees are allowed depends on what a router does with a packet that cannot go on. Those of a
``mesh`` hold it, so packets could wait for each other in a circle. With one packet for each target
every way goes along x before it goes along y, no turn leads from y to x, and no circle of waiting
links exists (Dally and Seitz, 1987); trees of multicast turn by the odd-even model, to the same
effect (`turns`). On a ``tree`` ways lead up and then down, likewise. On a ``torus`` or ``ring``
ways round can close a circle whatever their order; such networks need two channels a link or, like
SpiNNaker's, routers that drop a blocked packet. There, and on ``triads``, any tree is allowed, and
with multicast the cheapest of several is taken. Where routers of a mesh are absent and the odd-even
model leaves no way, ways lead up to one router and down again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ...boards.machine import Machine
from ...ir.records import Record, frozen_array
from .geometry import Geometry, geometry
from .join import Trees, joined
from .mapping import Routes
from .traffic import Traffic
from .trees import FIRST, LAST, inserted_tree, ordered_tree
from .turns import grown_trees, spanning_trees, turns_of

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]

# Trees that are tried for a route, in this order; the first of equal cost is taken.
INSERTED_FIRST, INSERTED_LAST, ORDERED_FIRST, ORDERED_LAST = range(4)
VARIANTS = 4
# Links that trees on a mesh may look at, all routes together.
TURN_STEPS = 400_000_000
# Steps that trees by insertion may take, all routes together, and those of one, in ends squared.
INSERTION_STEPS = 400_000_000
STEPS_PER_PAIR = 30


@dataclass(frozen=True, eq=False)
class LinkLoad(Record):
    """Links that packets take: ``start[k] -> end[k]``, ascending, with ``packets[k]`` a window."""

    start: Ids
    end: Ids
    packets: Integers

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "start", frozen_array(self.start, np.int32))
        object.__setattr__(self, "end", frozen_array(self.end, np.int32))
        object.__setattr__(self, "packets", frozen_array(self.packets, np.int64))

    @property
    def worst(self) -> int:
        """Packets a window on the link that has most, 0 without links."""
        return int(self.packets.max(initial=0))


def route(
    groups: Traffic,
    machine: Machine,
    seats: npt.NDArray[np.integer[Any]],
    window: int | None = None,
) -> Routes:
    """A route for each group, in their order, with its parts in the cores ``seats`` (parts,).

    With one packet for each target ways go x before y; trees on a mesh turn as is safe (see above).
    Else the tree is the cheapest of four: two by inserting the nearest target again and
    again, two of dimension-ordered ways; insertion is left out for the largest routes once all
    together would take too long. Where the machine states the capacity of a link and ``window`` the
    steps of the window of the rates, routes over links that would carry more take another of the
    four if that makes the excess less. Where routers have tables, and links no capacity, routes to
    the same cores go on together (`join`).

    Raises ``ValueError`` where a router cannot be reached.
    """
    g = geometry(machine)
    per = machine.cores_per_router
    seats = np.asarray(seats, np.int64)
    sizes = np.diff(groups.ptr)
    group = np.repeat(np.arange(groups.groups), sizes)
    core = seats[groups.target]
    core = core[np.lexsort((core, group))]
    home = np.full(groups.groups, machine.host, np.int64)
    placed = groups.origin >= 0
    home[placed] = seats[groups.origin[placed]] // per
    router = core // per
    new = np.ones(router.size, bool)
    new[1:] = (router[1:] != router[:-1]) | (group[1:] != group[:-1])
    new &= router != home[group]
    ends = router[new]
    counts = np.bincount(group[new], minlength=groups.groups)
    end_ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    choice = np.full(groups.groups, ORDERED_FIRST, np.int8)
    free = machine.multicast and (machine.cyclic or machine.topology == "triads")
    insert = np.zeros(groups.groups, bool)
    if free:
        steps = counts * counts * STEPS_PER_PAIR
        order = np.argsort(steps, kind="stable")
        insert[order] = np.cumsum(steps[order]) <= INSERTION_STEPS
        _choose(g, home, end_ptr, ends, insert, choice)
        if machine.link_capacity is not None and window is not None:
            limit = int(machine.link_capacity.value * window)
            _relieve(g, home, end_ptr, ends, groups.rate, insert, choice, limit)
    trees = None
    if machine.topology == "mesh" and not machine.cyclic and (machine.multicast or machine.absent):
        trees = _turning(g, home, end_ptr, ends, machine)
    if trees is None:
        trees = _grow(g, home, end_ptr, ends, choice)
    if trees[0][-1] < 0:
        stuck = int(trees[0][0])
        raise ValueError(f"no way from router {home[stuck]} of '{machine.name}' to all of route")
    if free and machine.routing_entries is not None and machine.link_capacity is None:
        trees = joined(g, home, groups.ptr, core, trees)
    link_ptr, link, link_end = trees
    return Routes(
        of=groups.of,
        origin=home.astype(np.int32),
        link_ptr=link_ptr,
        start=g.source[link],
        end=link_end.astype(np.int32),
        sink_ptr=groups.ptr,
        sink=core.astype(np.int32),
    )


def _turning(
    g: Geometry, home: Integers, end_ptr: Integers, ends: Integers, machine: Machine
) -> Trees | None:
    """Trees by one of the rules of `turns`, all of them: a rule holds for all packets together.

    ``None`` where these would take too long and ways along x first are safe, too.
    """
    alone = not machine.multicast
    for root in (None, machine.host):
        turns = turns_of(g, root=root)
        ptr, link = grown_trees(g, turns, home, end_ptr, ends, alone, TURN_STEPS)
        if ptr[-1] >= 0:
            return ptr, link, turns.end[link]
        if not machine.absent:
            return None
    ptr, link = spanning_trees(g, turns, home, end_ptr, ends)
    return ptr, link, turns.end[link]


def link_load(routes: Routes, machine: Machine, rate: npt.NDArray[np.integer[Any]]) -> LinkLoad:
    r"""Packets on each link, :math:`\sum_r n_{rk} f_r` over the routes r with ``rate`` f (routes,).

    With multicast :math:`n_{rk}` is 1 for a link k of the tree, else the number of cores behind it:
    one packet for each.
    """
    nodes = int(max(routes.origin.max(initial=0), routes.end.max(initial=0))) + 1
    times = copies(routes, machine)
    weight = times * np.repeat(np.asarray(rate, np.int64), np.diff(routes.link_ptr))
    key = routes.start.astype(np.int64) * nodes + routes.end
    links, which = np.unique(key, return_inverse=True)
    packets = np.zeros(links.size, np.int64)
    np.add.at(packets, which, weight)
    return LinkLoad(links // nodes, links % nodes, packets)


def copies(routes: Routes, machine: Machine) -> Integers:
    """Packets that a spike puts on each link of its route, shape (links,).

    One with multicast, else the number of cores behind the link: one packet for each.
    """
    times = np.ones(routes.start.size, np.int64)
    if not machine.multicast:
        nodes = int(max(routes.origin.max(initial=0), routes.end.max(initial=0))) + 1
        router = routes.sink // machine.cores_per_router
        count = np.zeros(nodes, np.int64)
        _behind(routes.link_ptr, routes.start, routes.end, routes.sink_ptr, router, count, times)
    return times


@numba.njit(cache=True)
def _behind(
    ptr: Any, start: Any, end: Any, sink_ptr: Any, router: Any, count: Any, out: Any
) -> None:
    """For each link the sinks behind it; ``count`` (nodes,) is zero before and after."""
    for r in range(ptr.size - 1):
        for k in range(sink_ptr[r], sink_ptr[r + 1]):
            count[router[k]] += 1
        for k in range(ptr[r + 1] - 1, ptr[r] - 1, -1):
            out[k] = count[end[k]]
            count[start[k]] += count[end[k]]
            count[end[k]] = 0
        for k in range(sink_ptr[r], sink_ptr[r + 1]):
            count[router[k]] = 0
        for k in range(ptr[r], ptr[r + 1]):
            count[start[k]] = 0


@numba.njit(cache=True)
def _tree(
    g: Any,
    variant: Any,
    origin: Any,
    ends: Any,
    mark: Any,
    stamp: Any,
    links: Any,
    link_end: Any,
    near: Any,
    nearest: Any,
) -> Any:
    """One tree; returns (links, cost)."""
    if variant in (ORDERED_FIRST, ORDERED_LAST):
        tie = FIRST if variant == ORDERED_FIRST else LAST
        return ordered_tree(g, origin, ends, tie, mark, stamp, links, link_end)
    tie = FIRST if variant == INSERTED_FIRST else LAST
    return inserted_tree(g, origin, ends, tie, mark, stamp, links, link_end, near, nearest)


@numba.njit(cache=True)
def _choose(g: Any, home: Any, end_ptr: Any, ends: Any, insert: Any, choice: Any) -> None:
    """The cheapest variant of each route."""
    nodes = g.form.nodes
    mark = np.full(nodes, -1, np.int64)
    links, link_end = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    near, nearest = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    stamp = 0
    for r in range(home.size):
        mine = ends[end_ptr[r] : end_ptr[r + 1]]
        if mine.size < 2:
            continue  # one way is as short as another
        least = np.int64(-1)
        for variant in range(0 if insert[r] else ORDERED_FIRST, VARIANTS):
            _, cost = _tree(g, variant, home[r], mine, mark, stamp, links, link_end, near, nearest)
            stamp += 1
            if least < 0 or cost < least:
                least = cost
                choice[r] = variant


@numba.njit(cache=True)
def _grow(g: Any, home: Any, end_ptr: Any, ends: Any, choice: Any) -> Any:
    """All trees; the last pointer is -1 and the first the route where there is no way."""
    nodes = g.form.nodes
    mark = np.full(nodes, -1, np.int64)
    links, link_end = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    near, nearest = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    ptr = np.zeros(home.size + 1, np.int64)
    out, out_end = (
        np.empty(1024 + 4 * ends.size, np.int64),
        np.empty(1024 + 4 * ends.size, np.int64),
    )
    total = 0
    for r in range(home.size):
        mine = ends[end_ptr[r] : end_ptr[r + 1]]
        n, _ = _tree(g, choice[r], home[r], mine, mark, r, links, link_end, near, nearest)
        if n < 0:
            ptr[0], ptr[-1] = r, -1
            break
        if total + n > out.size:
            more = np.empty(2 * (total + n), np.int64)
            more[:total] = out[:total]
            more_end = np.empty(2 * (total + n), np.int64)
            more_end[:total] = out_end[:total]
            out, out_end = more, more_end
        out[total : total + n] = links[:n]
        out_end[total : total + n] = link_end[:n]
        total += n
        ptr[r + 1] = total
    return ptr, out[:total].copy(), out_end[:total].copy()


@numba.njit(cache=True)
def _relieve(
    g: Any, home: Any, end_ptr: Any, ends: Any, rate: Any, insert: Any, choice: Any, limit: Any
) -> None:
    """Other variants for routes over links with more than ``limit`` packets, two rounds."""
    nodes = g.form.nodes
    mark = np.full(nodes, -1, np.int64)
    links, link_end = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    near, nearest = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    load = np.zeros(g.source.size, np.int64)
    stamp = 0
    for r in range(home.size):
        mine = ends[end_ptr[r] : end_ptr[r + 1]]
        n, _ = _tree(g, choice[r], home[r], mine, mark, stamp, links, link_end, near, nearest)
        stamp += 1
        for k in range(n):
            load[links[k]] += rate[r]
    heaviest_first = np.argsort(-rate, kind="mergesort")
    for _ in range(2):
        changed = False
        for r in heaviest_first:
            mine = ends[end_ptr[r] : end_ptr[r + 1]]
            n, _ = _tree(g, choice[r], home[r], mine, mark, stamp, links, link_end, near, nearest)
            stamp += 1
            over = False
            for k in range(n):
                over = over or load[links[k]] > limit
            if not over or rate[r] == 0:
                continue
            for k in range(n):
                load[links[k]] -= rate[r]
            best, least = choice[r], np.int64(-1)
            for i in range(-1, VARIANTS):
                # The present one first, so that only a better one takes its place.
                variant = choice[r] if i < 0 else i
                if variant < ORDERED_FIRST and not insert[r]:
                    continue
                n, _ = _tree(g, variant, home[r], mine, mark, stamp, links, link_end, near, nearest)
                stamp += 1
                excess = np.int64(0)
                for k in range(n):
                    before = max(np.int64(0), load[links[k]] - limit)
                    excess += max(np.int64(0), load[links[k]] + rate[r] - limit) - before
                if least < 0 or excess < least:
                    least, best = excess, variant
            changed = changed or best != choice[r]
            choice[r] = best
            n, _ = _tree(g, best, home[r], mine, mark, stamp, links, link_end, near, nearest)
            stamp += 1
            for k in range(n):
                load[links[k]] += rate[r]
        if not changed:
            break
