"""Routes that lead to the same cores made to go on together, for fewer entries in key tables.

What a router does with the packets of two routes is one entry if it is the same: the same links,
the same cores. Trees that each are the cheapest seldom are alike. So of the routes to the same
cores one is the trunk, and every other that may go to the start of the trunk first and then along
it, at no greater cost than its own tree has, does so: from there on both are the same everywhere.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from .geometry import Geometry, apart
from .trees import FIRST, link_before

Integers = npt.NDArray[np.int64]

# Routes that are tried as the trunk of those to the same cores, from as many routers.
_TRUNKS: Final = 16

Trees = tuple[Integers, Integers, Integers]


def joined(g: Geometry, home: Integers, sink_ptr: Integers, sink: Integers, trees: Trees) -> Trees:
    """Trees of no greater cost, from ``home`` (routes,) to the cores ``sink``, in rows by route.

    ``trees`` are links of `Geometry` and where they lead, in rows by route, as are the results.
    """
    rows: dict[bytes, int] = {}
    names = [sink[a:b].tobytes() for a, b in pairwise(sink_ptr)]
    alike = np.array([rows.setdefault(name, len(rows)) for name in names], np.int64)
    members = np.argsort(alike, kind="stable")
    ptr = np.searchsorted(alike[members], np.arange(len(rows) + 1))
    trunk = np.full(home.size, -1, np.int64)
    _find_trunks(g, home, ptr, members, *trees, trunk)
    if (trunk < 0).all():
        return trees
    found: Trees = _along_trunks(g, home, *trees, trunk)
    return found


@numba.njit(cache=True)
def _way(g: Any, origin: Any, end: Any, mark: Any, stamp: Any, links: Any, link_end: Any) -> Any:
    """The links of the way from one router to another, or -1 where it meets what is marked."""
    n, v = 0, np.int64(end)
    while v != origin:
        k = link_before(g, origin, v, FIRST)
        if k < 0:
            return -1
        links[n], link_end[n] = k, v
        n += 1
        v = np.int64(g.source[k])
        if mark[v] == stamp:
            return -1
    return n


@numba.njit(cache=True)
def _find_trunks(
    g: Any,
    home: Any,
    ptr: Any,
    members: Any,
    tree_ptr: Any,
    link: Any,
    link_end: Any,
    trunk: Any,
) -> None:
    """The trunk of each route that has one: the one that most of its kind can join."""
    nodes = g.form.nodes
    mark = np.full(nodes, -1, np.int64)
    way, way_end = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    cost = np.zeros(home.size, np.int64)
    for r in range(home.size):
        for k in range(tree_ptr[r], tree_ptr[r + 1]):
            cost[r] += g.cost[link[k]]
    stamp = 0
    tried = np.empty(_TRUNKS, np.int64)
    joins = np.empty(home.size, np.bool_)
    best_joins = np.empty(home.size, np.bool_)
    for i in range(ptr.size - 1):
        kind = members[ptr[i] : ptr[i + 1]]
        best, most, tries = -1, 0, 0
        for t in kind:
            known = False
            for j in range(tries):
                known = known or home[tried[j]] == home[t]
            if known:
                continue
            if tries == _TRUNKS:
                break
            tried[tries] = t
            tries += 1
            mark[home[t]] = stamp
            for k in range(tree_ptr[t], tree_ptr[t + 1]):
                mark[link_end[k]] = stamp
            count = 0
            for j in range(kind.size):
                r = kind[j]
                far = apart(g.form, g.table, home[r], home[t])
                # A start within the trunk would be entered again.
                joins[j] = mark[home[r]] != stamp and cost[t] + far <= cost[r]
                if joins[j]:
                    # The end itself is of the trunk.
                    mark[home[t]] = -1
                    joins[j] = _way(g, home[r], home[t], mark, stamp, way, way_end) >= 0
                    mark[home[t]] = stamp
                count += joins[j]
            stamp += 1
            if count > most:
                best, most = t, count
                best_joins[: kind.size] = joins[: kind.size]
        if best >= 0:
            for j in range(kind.size):
                if best_joins[j]:
                    trunk[kind[j]] = best


@numba.njit(cache=True)
def _along_trunks(g: Any, home: Any, tree_ptr: Any, link: Any, link_end: Any, trunk: Any) -> Any:
    nodes = g.form.nodes
    mark = np.full(nodes, -1, np.int64)
    way, way_end = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    ptr = np.zeros(home.size + 1, np.int64)
    for r in range(home.size):
        t, n = (r, 0) if trunk[r] < 0 else (trunk[r], 0)
        if t != r:
            n = _way(g, home[r], home[t], mark, 0, way, way_end)
        ptr[r + 1] = ptr[r] + n + tree_ptr[t + 1] - tree_ptr[t]
    out, out_end = np.empty(ptr[-1], np.int64), np.empty(ptr[-1], np.int64)
    for r in range(home.size):
        t, at = r, ptr[r]
        if trunk[r] >= 0:
            t = trunk[r]
            n = _way(g, home[r], home[t], mark, 0, way, way_end)
            for k in range(n):
                out[at], out_end[at] = way[n - 1 - k], way_end[n - 1 - k]
                at += 1
        for k in range(tree_ptr[t], tree_ptr[t + 1]):
            out[at], out_end[at] = link[k], link_end[k]
            at += 1
    return ptr, out, out_end
