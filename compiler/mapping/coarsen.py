"""Vertices that belong together become one: the coarse levels of a multilevel partition.

Each vertex joins the cluster to which its axons bind it most, label propagation along the edges
from the source of a net to its targets, which are rated :math:`1 / (|e| - 1)` for each axon. How
often a source spikes is left to `refine`: one busy source says little about who belongs together.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from .hypergraph import Hypergraph, contracted, incidence

Array = npt.NDArray[Any]


def coarsened(
    graph: Hypergraph, most: int, rounds: int, seed: int, *, mixed: bool
) -> tuple[Hypergraph, Array]:
    """A coarser hypergraph of vertices of at most ``most`` neurons, and the vertex of each old one.

    Unless ``mixed``, a vertex has neurons of one node only.
    """
    start, net = incidence(graph)
    rng = np.random.default_rng(seed)
    cluster = np.arange(graph.vertices, dtype=np.int32)
    size = graph.size.copy()
    for _ in range(rounds):
        order = rng.permutation(graph.vertices)
        if not _propagate(order, cluster, size, most, mixed, graph, start, net):
            break
    _, vertex = np.unique(cluster, return_inverse=True)
    vertex = vertex.astype(np.int32)
    return contracted(graph, vertex, int(vertex.max(initial=-1)) + 1), vertex


def edges(graph: Hypergraph) -> tuple[Array, Array, Array]:
    """The rated edges between sources and targets, both ways: CSR of (ptr, other, rating)."""
    start, net = incidence(graph)
    found: tuple[Array, Array, Array] = _edges(graph, start, net)
    return found


@numba.njit(cache=True)
def _propagate(
    order: Any,
    cluster: Any,
    cluster_size: Any,
    most: Any,
    mixed: Any,
    graph: Any,
    start: Any,
    net: Any,
) -> Any:
    ptr, pins, source, axons = graph.ptr, graph.pins, graph.source, graph.axons
    size, colour = graph.size, graph.colour
    vertices = size.size
    score, near = np.zeros(vertices, np.float64), np.empty(vertices, np.int32)
    moved = 0
    for v in order:
        a, found = cluster[v], 0
        for q in range(start[v], start[v + 1]):
            e = net[q]
            pin_count = ptr[e + 1] - ptr[e]
            if source[e] < 0 or pin_count < 2 or axons[e] == 0:
                continue
            rating = axons[e] / (pin_count - 1)
            if source[e] == v:
                for j in range(ptr[e], ptr[e + 1]):
                    b = cluster[pins[j]]
                    if pins[j] != v and (mixed or colour[pins[j]] == colour[v]):
                        if score[b] == 0.0:
                            near[found] = b
                            found += 1
                        score[b] += rating
            elif mixed or colour[source[e]] == colour[v]:
                b = cluster[source[e]]
                if score[b] == 0.0:
                    near[found] = b
                    found += 1
                score[b] += rating
        best, most_score = a, score[a]
        for i in range(found):
            b = near[i]
            if b != a and score[b] > most_score and cluster_size[b] + size[v] <= most:
                best, most_score = b, score[b]
        for i in range(found):
            score[near[i]] = 0.0
        if best != a:
            cluster_size[a] -= size[v]
            cluster_size[best] += size[v]
            cluster[v] = best
            moved += 1
    return moved


@numba.njit(cache=True)
def _edges(graph: Any, start: Any, net: Any) -> Any:
    ptr, pins, source, axons = graph.ptr, graph.pins, graph.source, graph.axons
    vertices = graph.size.size
    # Twice: the first round counts, the second fills.
    out_ptr = np.zeros(vertices + 1, np.int64)
    other, rated = np.empty(0, np.int32), np.empty(0, np.float64)
    score = np.zeros(vertices, np.float64)
    near = np.empty(vertices, np.int32)
    for fill in (False, True):
        if fill:
            for v in range(vertices):
                out_ptr[v + 1] += out_ptr[v]
            other = np.empty(out_ptr[vertices], np.int32)
            rated = np.empty(out_ptr[vertices], np.float64)
        for v in range(vertices):
            found = 0
            for q in range(start[v], start[v + 1]):
                e = net[q]
                pin_count = ptr[e + 1] - ptr[e]
                if source[e] < 0 or pin_count < 2 or axons[e] == 0:
                    continue
                rating = axons[e] / (pin_count - 1)
                first, end = (ptr[e], ptr[e + 1]) if source[e] == v else (0, 1)
                for j in range(first, end):
                    u = pins[j] if source[e] == v else source[e]
                    if u == v:
                        continue
                    if score[u] == 0.0:
                        near[found] = u
                        found += 1
                    score[u] += rating
            if fill:
                k = out_ptr[v]
                for i in range(found):
                    other[k + i], rated[k + i] = near[i], score[near[i]]
            else:
                out_ptr[v + 1] = found
            for i in range(found):
                score[near[i]] = 0.0
    return out_ptr, other, rated
