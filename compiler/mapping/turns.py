"""Trees on a mesh that cannot block each other although they turn both ways.

By the odd-even model: packets that wait for each other in a circle have to turn in it, and
somewhere in its rightmost column from east to north or south and on to west, or the other way
round. Where no packet turns from east to north or south in an even column, nor from north or south
to west in an odd one, there is no such column and no such circle (Chiu, "The odd-even turn model
for adaptive routing", IEEE Trans. Parallel and Distributed Systems 11 (2000) 729-738). That holds
for all packets together, so also for trees. A shortest way is always left, and trees are much
nearer to the least ones than those of ways that all go along x first.

Around absent routers that model may leave no way. Then links are up where they lead nearer to one
router, and no packet that has come down goes up again (Schroeder et al., "Autonet", IEEE J.
Selected Areas in Communications 9 (1991) 1318-1335): a circle would need both, and a way is left
wherever there is one.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from .geometry import Geometry, apart

Integers = npt.NDArray[np.int64]

EAST, NORTH, WEST, SOUTH = range(4)
# So many ends are tried as the first of a tree, beside the nearest.
_FIRSTS: Final = 6


class Turns(NamedTuple):
    """Links by where they start: ``link[ptr[v]:ptr[v + 1]]``, into `Geometry.source`.

    ``end``, ``heading`` and ``column`` (links,): where each leads, its direction, and whether the
    column that it ends in is odd. ``up`` (links,) where the second rule holds, else empty.
    """

    ptr: Integers
    link: Integers
    end: Integers
    heading: Integers
    column: Integers
    up: npt.NDArray[np.bool_]


def turns_of(g: Geometry, *, root: int | None = None) -> Turns:
    """The links of a mesh, by the odd-even model or, with a ``root``, up to it and down again.

    In a mesh of one column north counts as east: there is nothing to turn to.
    """
    end = np.repeat(np.arange(g.form.nodes), np.diff(g.ptr))
    step = end - g.source
    heading = np.select([step == 1, step == -1, step > 1], [EAST, WEST, NORTH], SOUTH)
    order = np.argsort(g.source, kind="stable")
    ptr = np.searchsorted(g.source[order], np.arange(g.form.nodes + 1))
    up = np.zeros(0, np.bool_)
    if root is not None:
        # Of two as far the one with the lower number is the upper.
        depth = _depths(g, root) * g.form.nodes + np.arange(g.form.nodes)
        up = depth[end] < depth[g.source]
    return Turns(ptr, order, end, heading, end % g.form.width % 2, up)


@numba.njit(cache=True)
def _depths(g: Any, root: Any) -> Any:
    out = np.empty(g.form.nodes, np.int64)
    for v in range(out.size):
        out[v] = apart(g.form, g.table, root, v)
    return out


@numba.njit(cache=True, inline="always")
def _turns(t: Any, one: Any, other: Any) -> Any:
    """Whether a packet may go on from one link by the other."""
    if t.up.size:
        return t.up[one] or not t.up[other]
    a, b = t.heading[one], t.heading[other]
    if (a + 2) % 4 == b:
        return False
    if t.column[one] == 0:
        return not (a == EAST and b != EAST)
    return not (b == WEST and a != WEST)


@numba.njit(cache=True)
def grown_trees(g: Any, t: Any, home: Any, end_ptr: Any, ends: Any, alone: Any, most: Any) -> Any:
    """The trees from ``home`` (routes,) to the nodes ``ends``, in rows by route, as rows of links.

    Each takes in the end that is nearest to it by ways that turn as they may, again and again, and
    then the next; of several, which differ in how ties are broken and in which end is the first,
    the cheapest is taken. Gives up after ``most`` steps, and where an end cannot be reached any
    more: then the last pointer is -1.
    """
    nodes, all_links = g.form.nodes, g.source.size
    mark = np.full(nodes, -1, np.int64)
    cost, before = np.empty(all_links, np.int64), np.empty(all_links, np.int64)
    seen = np.full(all_links, -1, np.int64)
    # How far each node of the tree is from where it starts, which counts if packets go ``alone``.
    depth = np.zeros(nodes, np.int64)
    queued = np.zeros(all_links, np.bool_)
    queue = np.empty(all_links + 1, np.int64)
    way = np.empty(nodes, np.int64)
    trees = np.empty((2 + _FIRSTS, nodes), np.int64)
    count = np.zeros(2 + _FIRSTS, np.int64)
    wanted = np.full(nodes, -1, np.int64)
    ptr = np.zeros(home.size + 1, np.int64)
    out = np.empty(1024 + 4 * ends.size, np.int64)
    steps, stamp, pass_number = 0, 0, 0
    for r in range(home.size):
        mine = ends[end_ptr[r] : end_ptr[r + 1]]
        best, least = -1, np.int64(-1)
        for variant in range(2 + min(mine.size, _FIRSTS) if mine.size > 1 else 1):
            back = variant % 2 == 1
            stamp += 1
            total, left = np.int64(0), mine.size
            count[variant] = 0
            mark[home[r]] = stamp
            depth[home[r]] = 0
            # Later variants take in one of the ends first, wherever it is.
            first = variant - 2
            for i in range(mine.size):
                if first < 0 or i == first:
                    wanted[mine[i]] = stamp
            while left > 0:
                pass_number += 1
                head, tail, held = 0, 0, 0
                # Links that leave the tree, in the order in which the tree has grown or back.
                for i in range(-1, count[variant]):
                    into = -1 if i < 0 else trees[variant, i]
                    v = home[r] if i < 0 else t.end[into]
                    for j in range(t.ptr[v], t.ptr[v + 1]):
                        k = t.link[t.ptr[v] + t.ptr[v + 1] - 1 - j if back else j]
                        if mark[t.end[k]] == stamp or (into >= 0 and not _turns(t, into, k)):
                            continue
                        c = g.cost[k] + (depth[v] if alone else 0)
                        if seen[k] != pass_number or c < cost[k]:
                            seen[k], cost[k], before[k] = pass_number, c, -1
                            if not queued[k]:
                                queued[k] = True
                                queue[tail] = k
                                tail = (tail + 1) % queue.size
                                held += 1
                found, nearest = -1, np.int64(-1)
                while held > 0:
                    k = queue[head]
                    head = (head + 1) % queue.size
                    held -= 1
                    queued[k] = False
                    steps += 1
                    if found >= 0 and cost[k] >= nearest:
                        continue
                    v = t.end[k]
                    if wanted[v] == stamp:
                        found, nearest = k, cost[k]
                        continue
                    for j in range(t.ptr[v], t.ptr[v + 1]):
                        n = t.link[t.ptr[v] + t.ptr[v + 1] - 1 - j if back else j]
                        if mark[t.end[n]] == stamp or not _turns(t, k, n):
                            continue
                        c = cost[k] + g.cost[n]
                        if seen[n] != pass_number or c < cost[n]:
                            seen[n], cost[n], before[n] = pass_number, c, k
                            if not queued[n]:
                                queued[n] = True
                                queue[tail] = n
                                tail = (tail + 1) % queue.size
                                held += 1
                if found < 0:
                    total = np.int64(-1)
                    break
                total += nearest
                n, k = 0, np.int64(found)
                while k >= 0 and n < nodes:
                    way[n] = k
                    n += 1
                    k = before[k]
                # Around absent routers a way may have to cross itself, which no tree does.
                crosses = k >= 0
                for i in range(n):
                    k = way[n - 1 - i]
                    v = t.end[k]
                    if crosses or mark[v] == stamp:
                        crosses = True
                        break
                    trees[variant, count[variant]] = k
                    count[variant] += 1
                    mark[v] = stamp
                    depth[v] = depth[g.source[k]] + g.cost[k]
                    if wanted[v] == stamp:
                        wanted[v] = -1
                        left -= 1
                if crosses:
                    total = np.int64(-1)
                    break
                if first >= 0:
                    first, left = -1, 0
                    for v in mine:
                        if mark[v] != stamp:
                            wanted[v] = stamp
                            left += 1
            if total >= 0 and (least < 0 or total < least):
                best, least = variant, total
        if best < 0 or steps > most:
            ptr[-1] = -1
            break
        if ptr[r] + count[best] > out.size:
            more = np.empty(2 * (ptr[r] + count[best]), np.int64)
            more[: ptr[r]] = out[: ptr[r]]
            out = more
        out[ptr[r] : ptr[r] + count[best]] = trees[best, : count[best]]
        ptr[r + 1] = ptr[r] + count[best]
    return ptr, out[: max(ptr[-1], 0)].copy()


@numba.njit(cache=True)
def spanning_trees(g: Any, t: Any, home: Any, end_ptr: Any, ends: Any) -> Any:
    """The same by the ways of one tree over all nodes, whose links lead up: never the shortest.

    The last pointer is -1 where there is no way.
    """
    nodes = g.form.nodes
    up = np.full(nodes, -1, np.int64)
    down = np.full(nodes, -1, np.int64)
    for u in range(nodes):
        for j in range(t.ptr[u], t.ptr[u + 1]):
            k = t.link[j]
            if t.up[k] and (up[u] < 0 or t.end[k] < t.end[up[u]]):
                up[u] = k
    for u in range(nodes):
        if up[u] >= 0:
            for j in range(g.ptr[u], g.ptr[u + 1]):
                if g.source[j] == t.end[up[u]]:
                    down[u] = j
    mark = np.full(nodes, -1, np.int64)
    above = np.full(nodes, -1, np.int64)
    way = np.empty(nodes, np.int64)
    ptr = np.zeros(home.size + 1, np.int64)
    out = np.empty(1024 + 4 * ends.size, np.int64)
    for r in range(home.size):
        at = ptr[r]
        v = np.int64(home[r])
        mark[v] = r
        while up[v] >= 0:
            above[v] = r
            v = t.end[up[v]]
        above[v] = r
        top = np.int64(home[r])
        for i in range(end_ptr[r], end_ptr[r + 1]):
            if at + 2 * nodes > out.size:
                more = np.empty(2 * (at + 2 * nodes), np.int64)
                more[:at] = out[:at]
                out = more
            n, v = 0, np.int64(ends[i])
            while mark[v] != r and above[v] != r:
                way[n] = down[v]
                n += 1
                if up[v] < 0:
                    ptr[-1] = -1
                    return ptr, out[:0].copy()
                v = t.end[up[v]]
            # As far up from the start as this end needs.
            while mark[v] != r:
                out[at] = up[top]
                at += 1
                top = t.end[up[top]]
                mark[top] = r
            for k in range(n):
                out[at] = way[n - 1 - k]
                at += 1
                mark[t.end[way[n - 1 - k]]] = r
        ptr[r + 1] = at
    return ptr, out[: ptr[-1]].copy()
