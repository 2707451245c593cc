"""Which part sits in which core: the least packets times hops."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from ...boards.machine import Machine
from ...ir.records import frozen_array
from ._xorshift import advance
from .geometry import RING, TREE, Geometry, apart, curve, distances, geometry
from .hypergraph import Hypergraph, scaled
from .limits import Caps
from .refine import Schedule, refine
from .traffic import Flows, Traffic, flows
from .trees import FIRST, ordered_tree

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]

# Annealing is in integers, so that it is the same on every machine: -ln of a uniform number, in
# units of 1 / SCALE, is read from a table.
SCALE = 1024
LOGARITHMS = np.rint(-np.log((np.arange(4096) + 0.5) / 4096) * SCALE).astype(np.int64)
STAGES = 64
# First temperatures in thousandths of the mean change that a proposal makes, and thousandths of it
# that are left after each stage: hot enough to start anew, which finds the best places but can end
# badly, and so that what is good already stays. With few parts each has a second try.
STARTS = ((700, 920), (100, 895), (700, 920), (100, 895))
FEW_PARTS = 256
RUNS_OF_MANY = 2
# Rates are shifted until all packets together stay below this, so that no product overflows.
MOST_PACKETS = 1 << 36
# Terms of the cost that may be looked at, for each part and unit of effort and at most in all.
TERMS_PER_PART = 700_000
TERMS = 500_000_000
# Parts move within twice the routers they need, in any case so many, but never more than these:
# the table of distances takes 4 bytes a pair.
MANY_ROUTERS = 64
MOST_ROUTERS = 8192
# Links of trees that the descent with multicast may look at, for each unit of effort.
TREE_LINKS = 12_000_000
FEW_TRIALS = 10
# What a proposal costs besides its terms, in terms.
TERMS_PER_PROPOSAL = 40
# So many routers that follow each other on the curve are at most two hops apart.
NEIGHBOURS = 4
# Pins that may be visited to refine which parts share a router, for each unit of effort; sweeps.
ROUTER_WORK = 20_000_000
FEW_SWEEPS, MOST_SWEEPS = 4, 200
ROUTER_HOT = 1.5
# With so few routers every one is tried in the end, else those near a part and near its median.
FEW_ROUTERS = 64
# Terms that the descent in the end may look at, by those of annealing.
DESCENT = 1


def place(groups: Traffic, machine: Machine, seed: int = 0, effort: int = 1) -> Ids:
    """A core of the machine for each part, all different (parts,).

    The parts, in an order that keeps those with much traffic near each other, are laid along the
    Hilbert curve of the routers; then moved and swapped, at first with simulated annealing, in the
    end only where the cost falls. Gives the better of both, so never worse than the curve. Moves
    are judged by packets from part to part; with multicast a last descent looks at the trees
    themselves, as far as its share of the time goes. The time grows with ``effort``; 0 leaves it at
    the curve, and at the order of the parts' numbers where the first routers of the curve, which
    are next to each other, have room for all. The same seed gives the same places.

    Raises ``ValueError`` where the machine has fewer cores than there are parts.
    """
    line, per = _line(machine), machine.cores_per_router
    if groups.parts > line.size:
        raise ValueError(
            f"{groups.parts} parts do not fit into {line.size} cores of '{machine.name}'"
        )
    few = effort <= 0 and groups.parts <= NEIGHBOURS * per
    if few or line.size <= per or groups.parts == 0:
        return line[: groups.parts]
    f, g = flows(groups), geometry(machine)
    links = _attraction(f, g)
    first = _along_curve(groups, f, links, machine, g)
    if effort <= 0:
        return first
    starts = STARTS if groups.parts <= FEW_PARTS else STARTS[:RUNS_OF_MANY]
    runs = len(starts)
    terms = min(TERMS_PER_PART * groups.parts, TERMS) * effort // runs
    results = [
        _improve(links, machine, g, first, seed * runs + run, terms, start)
        for run, start in enumerate(starts)
    ]
    if machine.multicast and per > 1:
        results.append(_by_routers(groups, machine, first, seed, effort))
    best = min((first, *results), key=lambda each: _cost(groups, f, machine, g, each))
    return _descend_trees(groups, machine, g, best, TREE_LINKS * effort)


def _by_routers(groups: Traffic, machine: Machine, seats: Ids, seed: int, effort: int) -> Ids:
    """Which parts share a router first, then where: a packet for several cores of one goes once.

    Parts are to routers what neurons are to cores, so the same refinement makes them better.
    """
    per = machine.cores_per_router
    router = np.unique(seats // per, return_inverse=True)[1].astype(np.int32)
    count = int(router.max()) + 1
    graph = _hypergraph(groups)
    sweeps = min(max(ROUTER_WORK * effort // max(graph.pins.size, 1), FEW_SWEEPS), MOST_SWEEPS)
    refine(graph, router, count, Caps(per), Schedule(sweeps, ROUTER_HOT), seed)
    # A group as a router sees it: where it starts, and the routers that it leads to.
    pairs = np.unique(
        np.repeat(np.arange(groups.groups), np.diff(groups.ptr)) * count + router[groups.target]
    )
    ptr = np.searchsorted(pairs, np.arange(groups.groups + 1) * count)
    origin = np.where(groups.origin < 0, -1, router[np.maximum(groups.origin, 0)])
    whole = Traffic(count, groups.of, origin, ptr, pairs % count, groups.rate)
    at = place(whole, replace(machine, cores_per_router=1), seed, effort)
    order = np.argsort(router, kind="stable")
    within = np.empty(router.size, np.int32)
    within[order] = np.arange(router.size) - np.searchsorted(router[order], router[order])
    return np.asarray(at[router] * np.int32(per) + within, np.int32)


def _hypergraph(groups: Traffic) -> Hypergraph:
    """The parts as vertices, each group as a net of the part that it starts in and its targets."""
    size = np.diff(groups.ptr)
    group = np.repeat(np.arange(groups.groups), size)
    placed = groups.origin >= 0
    own = np.zeros(groups.groups, np.bool_)
    own[group[groups.target == groups.origin[group]]] = True
    lone = placed & ~own
    ptr = np.concatenate([[0], np.cumsum(size + lone)])
    pins = np.empty(int(ptr[-1]), np.int32)
    pins[np.arange(group.size) + (np.cumsum(lone) - lone)[group]] = groups.target
    pins[ptr[1:][lone] - 1] = groups.origin[lone]
    none, one = np.zeros(groups.parts, np.int64), np.ones(groups.parts, np.int64)
    return Hypergraph(
        *(ptr, pins, groups.origin, lone, scaled(groups.rate)),
        *(np.ones(groups.groups, np.int32), np.zeros(groups.groups, np.int64)),
        *(one, np.zeros(groups.parts, np.int32), none, none),
    )


def place_along_curve(groups: Traffic, machine: Machine) -> Ids:
    """The parts in a line along the Hilbert curve of the routers, routers filled one by one.

    The line is that of `_arrange` or that of their numbers, whichever costs less.
    """
    f, g = flows(groups), geometry(machine)
    return _along_curve(groups, f, _attraction(f, g), machine, g)


def _along_curve(
    groups: Traffic, f: Flows, links: Attraction, machine: Machine, g: Geometry
) -> Ids:
    ptr, other, sent, received, _ = links
    order = np.arange(groups.parts)
    _arrange(ptr, other, sent + received, order)
    cores = _line(machine)[: groups.parts]
    arranged = np.empty(groups.parts, np.int32)
    arranged[order] = cores
    return min((arranged, cores), key=lambda each: _cost(groups, f, machine, g, each))


@lru_cache(maxsize=8)
def _line(machine: Machine) -> Ids:
    """All cores along the curve of the routers."""
    per = machine.cores_per_router
    cores = curve(machine)[:, None].astype(np.int64) * per + np.arange(per)
    return frozen_array(cores.ravel(), np.int32)


def placement_cost(groups: Traffic, machine: Machine, seats: npt.NDArray[np.integer[Any]]) -> float:
    r"""Packets times hops in the window of the rates.

    :math:`\sum_g r_g \sum_{b \in g} d(a_g, b)` over the groups g from :math:`a_g`, with one packet
    for each target core; with multicast :math:`\sum_g r_g\,|T_g|` where :math:`T_g` are the links
    of all dimension-ordered ways together, each packet taking a link once. Hops between chips
    count `Machine.chip_link`.
    """
    g = geometry(machine)
    f = None if machine.multicast else flows(groups)
    return _cost(groups, f, machine, g, np.asarray(seats)) / g.form.unit


def _cost(
    groups: Traffic,
    f: Flows | None,
    machine: Machine,
    g: Geometry,
    seats: npt.NDArray[np.integer[Any]],
) -> int:
    """`placement_cost` in hops divided by the unit of the geometry."""
    router = (seats // machine.cores_per_router).astype(np.int64)
    if machine.multicast or f is None:
        sets = (groups.origin, groups.ptr, groups.target, groups.rate)
        return int(_tree_cost(g, *sets, router, machine.host))
    return int(_pair_cost(g, f.ptr, f.target, f.rate, f.host, router, machine.host))


Attraction = tuple[Integers, Ids, Integers, Integers, Integers]


class _Terms(NamedTuple):
    """What a cost of packets from part to part is made of.

    Routers are numbers along the curve, ``far`` (routers, routers) and ``from_host`` (routers,)
    their distances. Rows ``ptr``, ``other``, ``sent``, ``received`` and ``host`` are those of
    `_attraction`. Part p sits in the core ``seats[p]`` of ``per`` a router; ``at`` has the part in
    each core, -1 for none.
    """

    far: Integers
    ptr: Integers
    other: Ids
    sent: Integers
    received: Integers
    host: Integers
    from_host: Integers
    per: int
    seats: Ids
    at: Ids


class _Trees(NamedTuple):
    """What a cost of trees is made of, and work space to grow one in.

    Groups are those of `Traffic`, ``part_group`` those that each part is in, in rows ``part_ptr``.
    ``router`` (parts,) is where each part is, ``cost`` (groups,) that of each tree, -1 where it is
    not known. ``stamp`` (2,) counts trees and trials.
    """

    g: Geometry
    origin: Ids
    ptr: Integers
    target: Ids
    rate: Integers
    part_ptr: Integers
    part_group: Integers
    host: int
    router: Integers
    cost: Integers
    seen: Integers
    mark: Integers
    links: Integers
    link_end: Integers
    ends: Integers
    stamp: Integers


def _attraction(f: Flows, g: Geometry) -> Attraction:
    """Rows by part: other part, packets to it, packets from it; and packets from the host.

    Where distances are the same both ways, the packets both ways are counted as sent.
    """
    parts = f.ptr.size - 1
    sender = np.repeat(np.arange(parts), np.diff(f.ptr))
    ends = (np.concatenate([sender, f.target]), np.concatenate([f.target, sender]))
    both = coo_array((np.concatenate([f.rate, f.rate]), ends), shape=(parts, parts)).tocsr()
    both.sort_indices()
    ptr, other = both.indptr.astype(np.int64), both.indices.astype(np.int32)
    total = both.data.astype(np.int64)
    if _symmetric(g):
        return ptr, other, total, np.zeros_like(total), f.host
    sent = np.zeros(total.size, np.int64)
    row = np.repeat(np.arange(parts), np.diff(ptr))
    # Every pair that sends is in the rows of both; positions by searching for the pair.
    sent[np.searchsorted(row * parts + other, sender * parts + f.target)] = f.rate
    return ptr, other, sent, total - sent, f.host


def _symmetric(g: Geometry) -> bool:
    """Whether every link has one of the same cost back."""
    end = np.repeat(np.arange(g.form.nodes), np.diff(g.ptr))
    there = np.sort(end * g.form.nodes + g.source)
    return bool(np.array_equal(there, np.sort(g.source.astype(np.int64) * g.form.nodes + end)))


def _improve(
    links: Attraction,
    machine: Machine,
    g: Geometry,
    seats: Ids,
    seed: int,
    terms: int,
    start: tuple[int, int],
) -> Ids:
    """Anneal, then descend, within twice the routers that the parts need.

    In here routers are numbered along the curve, and cores by those numbers.
    """
    ptr, other, sent, received, host = links
    parts, per = seats.size, machine.cores_per_router
    # The sum of 64-bit rates may need more than 64 bits.
    total, shift = sum(float(rate.sum(dtype=np.float64)) for rate in (sent, received, host)), 0
    while int(total) >> shift > MOST_PACKETS:
        shift += 1
    sent, received, host = sent >> shift, received >> shift, host >> shift
    routers = curve(machine)
    needed = -(-parts // per)
    count = min(routers.size, max(2 * needed, MANY_ROUTERS), MOST_ROUTERS)
    if count < needed:
        return seats
    routers = routers[:count]
    local = np.full(g.form.nodes, -1, np.int32)
    local[routers] = np.arange(count)
    inside = local[seats // per] * per + seats % per
    at = np.full(count * per, -1, np.int32)
    at[inside] = np.arange(parts)
    far = distances(g.form, g.table, routers)
    from_host = distances(g.form, g.table, np.append(routers, machine.host))[-1, :-1]
    near_ptr, near = _neighbourhoods(g, machine, local, count)
    running = np.cumsum(sent + received)
    random = np.array([((seed * 2 + 1) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF], np.uint64)
    proposals = terms // (TERMS_PER_PROPOSAL + 2 * other.size // parts)
    t = _Terms(far, ptr, other, sent, received, host, from_host, per, inside, at)
    _anneal(t, near_ptr, near, running, LOGARITHMS, *start, proposals, random)
    if count <= FEW_ROUTERS:
        near_ptr = np.arange(count + 1, dtype=np.int64) * count
        near = np.tile(np.arange(count, dtype=np.int32), count)
    x, y = routers % g.form.width, routers // g.form.width
    on_grid = g.form.kind not in (RING, TREE)
    grid = local[: machine.router_count].reshape(g.form.height, g.form.width)
    _descend(t, near_ptr, near, x, y, grid if on_grid else grid[:0], DESCENT * terms)
    return np.asarray(routers[inside // per] * per + inside % per, np.int32)


def _descend_trees(groups: Traffic, machine: Machine, g: Geometry, seats: Ids, work: int) -> Ids:
    """Where packets are multicast, moves and swaps while the links of the trees become fewer."""
    # What looking at every group of every part a few times would take, a way of four links each.
    mean = groups.target.size // max(groups.groups, 1) + 4
    if not machine.multicast or FEW_TRIALS * groups.target.size * mean > work:
        return seats
    sizes = np.diff(groups.ptr)
    group = np.repeat(np.arange(groups.groups), sizes)
    # Every group that a part is in, as origin or as target; one without packets costs nothing.
    inside = groups.origin >= 0
    of = np.concatenate([groups.origin[inside], groups.target])
    which = np.concatenate([np.flatnonzero(inside), group])
    counted = groups.rate[which] > 0
    pairs = np.unique(of[counted].astype(np.int64) * groups.groups + which[counted])
    part_ptr = np.searchsorted(pairs, np.arange(groups.parts + 1) * groups.groups)
    at = np.full(machine.seats, -1, np.int32)
    at[seats] = np.arange(groups.parts)
    near_ptr, near = _neighbourhoods(
        g, machine, np.arange(g.form.nodes, dtype=np.int32), machine.router_count
    )
    seats = seats.copy()
    per = machine.cores_per_router
    nodes = g.form.nodes
    trees = _Trees(
        g,
        *(groups.origin, groups.ptr, groups.target, groups.rate),
        *(part_ptr, pairs % max(groups.groups, 1), machine.host),
        router=(seats // per).astype(np.int64),
        cost=np.full(groups.groups, -1, np.int64),
        seen=np.full(groups.groups, -1, np.int64),
        mark=np.full(nodes, -1, np.int64),
        links=np.empty(nodes, np.int64),
        link_end=np.empty(nodes, np.int64),
        ends=np.empty(groups.parts, np.int64),
        stamp=np.zeros(2, np.int64),
    )
    _descend_by_trees(trees, per, seats, at, near_ptr, near, work)
    return seats


def _neighbourhoods(g: Geometry, machine: Machine, local: Ids, count: int) -> tuple[Integers, Ids]:
    """Rows by router: itself and those one or two links away; on a tree those of one switch."""
    end = np.repeat(np.arange(g.form.nodes), np.diff(g.ptr))
    if machine.topology == "tree":
        parent = np.arange(count) // (machine.arity[-1] if machine.arity else 1)
        ends = (np.arange(count), parent)
        one = coo_array((np.ones(count, np.int64), ends), shape=(count, count)).tocsr()
        two = (one @ one.T).tocsr()
    else:
        within = (local[end] >= 0) & (local[g.source] >= 0)
        ends = (
            np.concatenate([local[end[within]], np.arange(count)]),
            np.concatenate([local[g.source[within]], np.arange(count)]),
        )
        one = coo_array((np.ones(ends[0].size, np.int64), ends), shape=(count, count)).tocsr()
        two = (one @ one).tocsr()
    two.sort_indices()
    return two.indptr.astype(np.int64), two.indices.astype(np.int32)


@numba.njit(cache=True)
def _pair_cost(
    g: Any, ptr: Any, target: Any, rate: Any, host_rate: Any, router: Any, host: Any
) -> Any:
    cost = np.int64(0)
    for a in range(router.size):
        for k in range(ptr[a], ptr[a + 1]):
            cost += rate[k] * apart(g.form, g.table, router[a], router[target[k]])
        if host_rate[a]:
            cost += host_rate[a] * apart(g.form, g.table, host, router[a])
    return cost


@numba.njit(cache=True)
def _tree_cost(
    g: Any, origin: Any, ptr: Any, target: Any, rate: Any, router: Any, host: Any
) -> Any:
    mark = np.full(g.form.nodes, -1, np.int64)
    links, link_end = np.empty(g.form.nodes, np.int64), np.empty(g.form.nodes, np.int64)
    cost = np.int64(0)
    for i in range(origin.size):
        start = router[origin[i]] if origin[i] >= 0 else np.int64(host)
        ends = router[target[ptr[i] : ptr[i + 1]]]
        _, tree = ordered_tree(g, start, ends, FIRST, mark, i, links, link_end)
        cost += rate[i] * tree
    return cost


@numba.njit(cache=True, inline="always")
def _draw(random: Any, below: Any) -> Any:
    """A number below ``below``."""
    return np.int64(((advance(random) >> np.uint64(33)) * np.uint64(below)) >> np.uint64(31))


@numba.njit(cache=True, inline="always")
def _draw_long(random: Any, below: Any) -> Any:
    """The same for any ``below``, 0 where that is 0."""
    return np.int64(advance(random) >> np.uint64(1)) % max(below, np.int64(1))


@numba.njit(cache=True)
def _change(t: Any, p: Any, q: Any, to: Any) -> Any:
    """What moving part p to the router ``to`` adds to the cost, q taking its place there."""
    per = t.per
    away = np.int64(t.seats[p]) // per
    change = t.host[p] * (t.from_host[to] - t.from_host[away])
    for k in range(t.ptr[p], t.ptr[p + 1]):
        u = t.other[k]
        was = np.int64(t.seats[u]) // per
        now = away if u == q else was
        change += t.sent[k] * (np.int64(t.far[to, now]) - np.int64(t.far[away, was]))
        if t.received[k]:
            change += t.received[k] * (np.int64(t.far[now, to]) - np.int64(t.far[was, away]))
    if q < 0:
        return change
    change += t.host[q] * (t.from_host[away] - t.from_host[to])
    for k in range(t.ptr[q], t.ptr[q + 1]):
        u = t.other[k]
        if u == p:
            continue
        was = np.int64(t.seats[u]) // per
        change += t.sent[k] * (np.int64(t.far[away, was]) - np.int64(t.far[to, was]))
        if t.received[k]:
            change += t.received[k] * (np.int64(t.far[was, away]) - np.int64(t.far[was, to]))
    return change


@numba.njit(cache=True, inline="always")
def _move(seats: Any, at: Any, p: Any, seat: Any) -> None:
    """Part p to a core, what sits there to that of p."""
    q, old = at[seat], seats[p]
    at[old] = q
    if q >= 0:
        seats[q] = old
    at[seat] = p
    seats[p] = seat


@numba.njit(cache=True)
def _anneal(
    t: Any,
    near_ptr: Any,
    near: Any,
    running: Any,
    logarithms: Any,
    start: Any,
    fall: Any,
    proposals: Any,
    random: Any,
) -> None:
    r"""Simulated annealing over moves and swaps.

    A change c of the cost is taken where :math:`c \le -T \ln u` with u uniform in (0, 1). Most
    proposals lead near a part drawn by its traffic with the one that moves. The temperature T
    falls geometrically from one that the mean change of the first proposals sets. Leaves the best
    places that were seen.
    """
    seats, at, per = t.seats, t.at, t.per
    parts = seats.size
    total = np.int64(0)
    seen = 0
    temperature = np.int64(-1)
    stage = max(np.int64(1), proposals // STAGES)
    until = 2 * stage
    best = seats.copy()
    cost = least = np.int64(0)  # above that of the first places
    for step in range(proposals):
        p = _draw(random, parts)
        begin, end = t.ptr[p], t.ptr[p + 1]
        kind = _draw(random, 16)
        if kind == 0 or begin == end:
            seat = _draw(random, at.size)
        else:
            router = np.int64(seats[p]) // per
            if kind < 13:
                low = running[begin] - t.sent[begin] - t.received[begin]
                point = low + _draw_long(random, running[end - 1] - low)
                k = begin + np.searchsorted(running[begin:end], point, side="right")
                # Rates that are nothing beside enormous ones leave no part to draw.
                k = min(k, end - 1)
                router = np.int64(seats[t.other[k]]) // per
            if kind > 4:
                router = np.int64(
                    near[near_ptr[router] + _draw(random, near_ptr[router + 1] - near_ptr[router])]
                )
            seat = router * per + _draw(random, per)
        to = seat // per
        if to == np.int64(seats[p]) // per:
            continue
        q = np.int64(at[seat])
        change = _change(t, p, q, to)
        if step < stage:
            # The first stage only measures.
            total += abs(change)
            seen += 1
            continue
        if temperature < 0:
            temperature = start * SCALE // 1000 * (total // max(seen, 1) + 1)
        if step >= until:
            temperature = temperature * fall // 1000
            until += stage
        if change <= 0 or change * SCALE * SCALE <= temperature * logarithms[_draw(random, 4096)]:
            _move(seats, at, p, seat)
            cost += change
            if cost < least:
                least = cost
                best[:] = seats
    seats[:] = best
    at[:] = -1
    for p in range(parts):
        at[seats[p]] = p


@numba.njit(cache=True)
def _descend(
    t: Any,
    near_ptr: Any,
    near: Any,
    x: Any,
    y: Any,
    grid: Any,
    terms: Any,
) -> None:
    """Move each part to the best place near its own and near the weighted median of the parts that
    it has traffic with, as long as the cost falls and ``terms`` of it have not been looked at.
    """
    seats, at, per = t.seats, t.at, t.per
    columns, rows = np.empty(grid.shape[1], np.int64), np.empty(grid.shape[0], np.int64)
    moved = True
    while moved:
        moved = False
        for p in range(seats.size):
            if terms < 0:
                return
            own = np.int64(seats[p]) // per
            middle = _median(t, p, x, y, grid, columns, rows)
            best, best_seat = np.int64(0), np.int64(-1)
            for around in (own, middle):
                for k in range(near_ptr[around], near_ptr[around + 1]):
                    to = np.int64(near[k])
                    if to == own:
                        continue
                    empty: Any = False
                    for seat in range(to * per, to * per + per):
                        q = np.int64(at[seat])
                        # Cores of a router are alike, so one free core stands for all.
                        if q < 0 and empty:
                            continue
                        empty = empty or q < 0
                        change = _change(t, p, q, to)
                        terms -= t.ptr[p + 1] - t.ptr[p]
                        if q >= 0:
                            terms -= t.ptr[q + 1] - t.ptr[q]
                        if change < best:
                            best, best_seat = change, np.int64(seat)
                if own == middle:
                    break
            if best_seat >= 0:
                _move(seats, at, p, best_seat)
                moved = True


@numba.njit(cache=True)
def _descend_by_trees(
    t: Any, per: Any, seats: Any, at: Any, near_ptr: Any, near: Any, work: Any
) -> None:
    """For each part the best of the cores on routers nearby, until nothing gets better or ``work``
    links have been looked at.
    """
    moves, before = np.int64(0), np.int64(-1)
    while moves != before:
        before = moves
        for p in range(seats.size):
            own = t.router[p]
            best, best_seat = np.int64(0), np.int64(-1)
            for i in range(near_ptr[own], near_ptr[own + 1]):
                to = np.int64(near[i])
                empty: Any = False
                for seat in range(to * per, to * per + per):
                    q = np.int64(at[seat])
                    # Cores of a router are alike, so one free core stands for all.
                    if to == own or (q < 0 and empty):
                        continue
                    empty = empty or q < 0
                    change, looked_at = _tried(t, p, q, to)
                    work -= looked_at
                    if change < best:
                        best, best_seat = change, np.int64(seat)
                    if work < 0:
                        break
                if work < 0:
                    break
            if best_seat >= 0:
                q = np.int64(at[best_seat])
                _move(seats, at, p, best_seat)
                t.router[p] = best_seat // per
                _forget(t, p)
                if q >= 0:
                    t.router[q] = own
                    _forget(t, q)
                moves += 1
            if work < 0:
                return


@numba.njit(cache=True)
def _tried(t: Any, p: Any, q: Any, to: Any) -> Any:
    """What moving part p to the router ``to`` adds to the cost, q taking its place there, and the
    links looked at.
    """
    own = t.router[p]
    _know(t, p)
    if q >= 0:
        _know(t, q)
        t.router[q] = own
    t.router[p] = to
    t.stamp[1] += 1
    change = looked_at = np.int64(0)
    for side in range(2 if q >= 0 else 1):
        u = p if side == 0 else q
        for k in range(t.part_ptr[u], t.part_ptr[u + 1]):
            r = t.part_group[k]
            if t.seen[r] != t.stamp[1]:
                t.seen[r] = t.stamp[1]
                n, tree = _group_tree(t, r)
                looked_at += n + t.ptr[r + 1] - t.ptr[r]
                change += t.rate[r] * (tree - t.cost[r])
    t.router[p] = own
    if q >= 0:
        t.router[q] = to
    return change, looked_at


@numba.njit(cache=True)
def _know(t: Any, p: Any) -> None:
    """Make the costs of all groups of a part known."""
    for k in range(t.part_ptr[p], t.part_ptr[p + 1]):
        r = t.part_group[k]
        if t.cost[r] < 0:
            _, t.cost[r] = _group_tree(t, r)


@numba.njit(cache=True)
def _forget(t: Any, p: Any) -> None:
    for k in range(t.part_ptr[p], t.part_ptr[p + 1]):
        t.cost[t.part_group[k]] = -1


@numba.njit(cache=True)
def _group_tree(t: Any, r: Any) -> Any:
    """Links and cost of the tree of one group."""
    count = t.ptr[r + 1] - t.ptr[r]
    for k in range(count):
        t.ends[k] = t.router[t.target[t.ptr[r] + k]]
    start = t.router[t.origin[r]] if t.origin[r] >= 0 else np.int64(t.host)
    t.stamp[0] += 1
    return ordered_tree(t.g, start, t.ends[:count], FIRST, t.mark, t.stamp[0], t.links, t.link_end)


@numba.njit(cache=True)
def _median(
    t: Any,
    p: Any,
    x: Any,
    y: Any,
    grid: Any,
    columns: Any,
    rows: Any,
) -> Any:
    """The router at the weighted median of column and row of the parts around part p; where there
    is none, that of the part it has most traffic with.
    """
    columns[:] = 0
    rows[:] = 0
    total = most = np.int64(0)
    per = t.per
    best = np.int64(t.seats[p]) // per
    for k in range(t.ptr[p], t.ptr[p + 1]):
        router = np.int64(t.seats[t.other[k]]) // per
        weight = t.sent[k] + t.received[k]
        if weight > most:
            most, best = weight, router
        if grid.size:
            columns[x[router]] += weight
            rows[y[router]] += weight
            total += weight
    if total == 0:
        return best
    column = row = 0
    below = columns[0]
    while 2 * below < total:
        column += 1
        below += columns[column]
    below = rows[0]
    while 2 * below < total:
        row += 1
        below += rows[row]
    middle = np.int64(grid[row, column])
    return middle if middle >= 0 else best


@numba.njit(cache=True)
def _arrange(ptr: Any, other: Any, weight: Any, order: Any) -> None:
    """Put parts into a line in which those with much traffic are near each other, in place.

    Halves the line again and again. Each time the left half is grown from the parts that are drawn
    most to what is left of the segment already, and least to what is right of it, and pairs are
    exchanged between the halves as Fiduccia and Mattheyses do (1982).
    """
    parts = order.size
    position = np.empty(parts, np.int64)
    for i in range(parts):
        position[order[i]] = i
    pull = np.zeros(parts, np.int64)
    left = np.zeros(parts, np.bool_)
    locked = np.zeros(parts, np.bool_)
    history = np.empty(parts, np.int64)
    length = parts
    bounds = np.array([0, parts], np.int64)
    while length > 1:
        finer = np.empty(2 * bounds.size - 1, np.int64)
        for i in range(bounds.size - 1):
            lo, hi = bounds[i], bounds[i + 1]
            finer[2 * i] = lo
            finer[2 * i + 1] = (lo + hi) // 2
            if hi - lo > 1:
                _halve(ptr, other, weight, order, position, pull, left, locked, history, lo, hi)
        finer[-1] = parts
        bounds = finer
        length = (length + 1) // 2


@numba.njit(cache=True)
def _halve(
    ptr: Any,
    other: Any,
    weight: Any,
    order: Any,
    position: Any,
    pull: Any,
    left: Any,
    locked: Any,
    history: Any,
    lo: Any,
    hi: Any,
) -> None:
    half = (lo + hi) // 2 - lo
    drawn = False
    for i in range(lo, hi):
        v = order[i]
        pull[v] = 0
        left[v] = False
        for k in range(ptr[v], ptr[v + 1]):
            u = position[other[k]]
            if u < lo:
                pull[v] += weight[k]
                drawn = True
            else:
                pull[v] -= weight[k]
                drawn = drawn or u >= hi
    if not drawn:
        # Nothing says where to begin: at the part that would come last if the first came first.
        last = order[lo]
        for _ in range(hi - lo):
            last = _best(order, pull, left, lo, hi, False)
            _flip(ptr, other, weight, position, pull, left, lo, hi, last)
        for i in range(lo, hi):
            _flip(ptr, other, weight, position, pull, left, lo, hi, order[i])
        _flip(ptr, other, weight, position, pull, left, lo, hi, last)
        half -= 1
    for _ in range(half):
        v = _best(order, pull, left, lo, hi, False)
        _flip(ptr, other, weight, position, pull, left, lo, hi, v)
    if not drawn:
        half += 1
    for _ in range(4):
        for i in range(lo, hi):
            locked[order[i]] = False
        gained = best = np.int64(0)
        steps = kept = 0
        while steps + 1 < hi - lo and steps < kept + 64:
            v = _best_unlocked(order, pull, left, locked, lo, hi, False)
            if v < 0:
                break
            gained += pull[v]
            locked[v] = True
            _flip(ptr, other, weight, position, pull, left, lo, hi, v)
            history[steps] = v
            u = _best_unlocked(order, pull, left, locked, lo, hi, True)
            if u < 0:
                _flip(ptr, other, weight, position, pull, left, lo, hi, v)
                break
            gained -= pull[u]
            locked[u] = True
            _flip(ptr, other, weight, position, pull, left, lo, hi, u)
            history[steps + 1] = u
            steps += 2
            if gained > best:
                best = gained
                kept = steps
        for i in range(kept, steps):
            _flip(ptr, other, weight, position, pull, left, lo, hi, history[i])
        if kept == 0:
            break
    i, j = lo, lo + half
    for k in range(lo, hi):
        history[k] = order[k]
    for k in range(lo, hi):
        v = history[k]
        if left[v]:
            order[i] = v
            position[v] = i
            i += 1
        else:
            order[j] = v
            position[v] = j
            j += 1


@numba.njit(cache=True)
def _flip(
    ptr: Any,
    other: Any,
    weight: Any,
    position: Any,
    pull: Any,
    left: Any,
    lo: Any,
    hi: Any,
    v: Any,
) -> None:
    """Part v to the other half: what its neighbours are drawn by changes by twice the traffic."""
    left[v] = not left[v]
    twice = 2 if left[v] else -2
    for k in range(ptr[v], ptr[v + 1]):
        u = other[k]
        if lo <= position[u] < hi:
            pull[u] += twice * weight[k]


@numba.njit(cache=True)
def _best(order: Any, pull: Any, left: Any, lo: Any, hi: Any, side: Any) -> Any:
    """The part of the right half that is drawn most to the left."""
    best = np.int64(-1)
    for i in range(lo, hi):
        v = order[i]
        if left[v] == side and (best < 0 or pull[v] > pull[best]):
            best = v
    return best


@numba.njit(cache=True)
def _best_unlocked(
    order: Any, pull: Any, left: Any, locked: Any, lo: Any, hi: Any, side: Any
) -> Any:
    """The part not locked of one half that is drawn most to the other, -1 without one."""
    best = np.int64(-1)
    for i in range(lo, hi):
        v = order[i]
        if left[v] != side or locked[v]:
            continue
        if best < 0 or (pull[v] < pull[best] if side else pull[v] > pull[best]):
            best = v
    return best
