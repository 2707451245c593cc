"""Kernels that grow one tree of links from a router to others.

A tree is a list of numbers of links, into `Geometry.source`, such that each starts at the origin
or where an earlier one ends. ``mark`` (nodes,) holds ``stamp`` at the nodes of the tree.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from .geometry import apart

# How ties between equally short ways are broken.
FIRST, LAST = range(2)


@numba.njit(cache=True)
def link_before(g: Any, origin: Any, v: Any, tie: Any) -> Any:
    """The last link of the way from ``origin`` to the node v, the way before it being the same as
    that to the start of the link; -1 where there is no way.

    With ``FIRST`` the ways go x before y, on triads diagonally before both; with ``LAST`` after.
    """
    distance = apart(g.form, g.table, origin, v)
    begin, end = g.ptr[v], g.ptr[v + 1]
    for i in range(end - begin):
        k = begin + i if tie == FIRST else end - 1 - i
        if apart(g.form, g.table, origin, g.source[k]) + g.cost[k] == distance:
            return k
    return np.int64(-1)


@numba.njit(cache=True)
def ordered_tree(
    g: Any, origin: Any, ends: Any, tie: Any, mark: Any, stamp: Any, links: Any, link_end: Any
) -> Any:
    """The union of the ways of `link_before` to each of ``ends``; returns (links, cost).

    Each node is reached by one way only, so the union is a tree. Fills ``links`` and where they
    lead, ``link_end``.
    """
    mark[origin] = stamp
    n = 0
    cost = np.int64(0)
    for i in range(ends.size):
        v = np.int64(ends[i])
        begin = n
        while mark[v] != stamp:
            k = link_before(g, origin, v, tie)
            if k < 0:
                return -1, np.int64(-1)
            mark[v] = stamp
            links[n] = k
            link_end[n] = v
            n += 1
            cost += g.cost[k]
            v = np.int64(g.source[k])
        _reverse(links, link_end, begin, n)
    return n, cost


@numba.njit(cache=True)
def inserted_tree(
    g: Any,
    origin: Any,
    ends: Any,
    tie: Any,
    mark: Any,
    stamp: Any,
    links: Any,
    link_end: Any,
    near: Any,
    nearest: Any,
) -> Any:
    r"""The tree that takes in the nearest of the ends left until it has all; (links, cost).

    Of the shortest ways from the tree T to the end, each link back is the one from the node w with
    the greatest :math:`\sum_e \max(0, d(T, e) - d(w, e))` over the ends e still left, which comes
    closest to those. ``near`` and ``nearest`` (ends,) are work space: the distance of each end and
    the node of the tree that it is from. Takahashi and Matsuyama, "An approximate solution for the
    Steiner problem in graphs", 1980: at most twice the least cost.
    """
    count = ends.size
    mark[origin] = stamp
    for i in range(count):
        near[i] = apart(g.form, g.table, origin, ends[i])
        nearest[i] = origin
    n = 0
    cost = np.int64(0)
    for _ in range(count):
        closest = -1
        for i in range(count):
            if mark[ends[i]] != stamp and (closest < 0 or near[i] < near[closest]):
                closest = i
        if closest < 0:
            break
        u, v = np.int64(nearest[closest]), np.int64(ends[closest])
        begin = n
        while v != u:
            chosen = np.int64(-1)
            most = np.int64(-1)
            distance = apart(g.form, g.table, u, v)
            first, behind = g.ptr[v], g.ptr[v + 1]
            for j in range(behind - first):
                k = first + j if tie == FIRST else behind - 1 - j
                w = g.source[k]
                if apart(g.form, g.table, u, w) + g.cost[k] != distance:
                    continue
                gain = np.int64(0)
                for i in range(count):
                    if mark[ends[i]] != stamp and i != closest:
                        gain += max(np.int64(0), near[i] - apart(g.form, g.table, w, ends[i]))
                if gain > most:
                    most = gain
                    chosen = k
            if chosen < 0:
                return -1, np.int64(-1)
            mark[v] = stamp
            links[n] = chosen
            link_end[n] = v
            n += 1
            cost += g.cost[chosen]
            v = np.int64(g.source[chosen])
        _reverse(links, link_end, begin, n)
        for k in range(begin, n):
            v = np.int64(link_end[k])
            for i in range(count):
                if mark[ends[i]] != stamp:
                    d = apart(g.form, g.table, v, ends[i])
                    if d < near[i] or (tie == LAST and d == near[i]):
                        near[i] = d
                        nearest[i] = v
    return n, cost


@numba.njit(cache=True, inline="always")
def _reverse(links: Any, link_end: Any, begin: Any, end: Any) -> None:
    i, j = begin, end - 1
    while i < j:
        links[i], links[j] = links[j], links[i]
        link_end[i], link_end[j] = link_end[j], link_end[i]
        i += 1
        j -= 1
