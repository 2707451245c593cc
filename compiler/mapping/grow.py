"""Parts grown one after the other: the first partition, which `refine` makes better."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from .coarsen import edges
from .hypergraph import Hypergraph, incidence
from .limits import Caps

Array = npt.NDArray[Any]


def grown(graph: Hypergraph, parts: int, caps: Caps, fill: float) -> Array:
    """Parts grown to ``fill`` of a core, each by the vertex most bound to it; for coarse graphs.

    Starts where the vertex most bound to all earlier parts is, so that no islands are left
    behind. Time grows as the square of the number of vertices.
    """
    part = np.full(graph.vertices, -1, np.int32)
    _grow(part, *edges(graph), graph.size, graph.colour, parts, caps.neurons, fill, caps.mixed)
    return part


class Streamed(NamedTuple):
    """The ``part`` of each vertex, and its ``rank``: when it was reached, from 0.

    ``within`` says whether parts are within every limit but those on what neurons send out.
    """

    part: Array
    rank: Array
    within: bool


def streamed(graph: Hypergraph, caps: Caps) -> Streamed:
    """Parts filled one after the other in breadth-first order, each until a limit is reached.

    Only where a vertex alone is beyond a limit is its part beyond it.
    """
    found = _stream(graph, *incidence(graph), np.array(caps[:5], np.int64), caps.mixed)
    return Streamed(*found)


@numba.njit(cache=True)
def _grow(
    part: Any,
    ptr: Any,
    other: Any,
    rated: Any,
    size: Any,
    colour: Any,
    parts: Any,
    most: Any,
    fill: Any,
    mixed: Any,
) -> None:
    vertices = part.size
    bound, joined = np.zeros(vertices, np.float64), np.zeros(vertices, np.float64)
    use = np.zeros(parts, np.int64)
    left = np.int64(0)
    for v in range(vertices):
        left += size[v]
    for b in range(parts):
        goal = max(left / (parts - b), fill * most)
        v, best = -1, -1.0
        for u in range(vertices):
            if part[u] < 0 and bound[u] > best:
                v, best = u, bound[u]
        if v < 0:
            break
        joined[:] = 0.0
        seed = v
        while v >= 0:
            part[v] = b
            use[b] += size[v]
            left -= size[v]
            for j in range(ptr[v], ptr[v + 1]):
                joined[other[j]] += rated[j]
                bound[other[j]] += rated[j]
            v, best = -1, 0.0
            if use[b] >= goal:
                break
            for u in range(vertices):
                if (
                    part[u] < 0
                    and joined[u] > best
                    and use[b] + size[u] <= most
                    and (mixed or colour[u] == colour[seed])
                ):
                    v, best = u, joined[u]
    for v in range(vertices):
        if part[v] < 0:
            least = 0
            for b in range(1, parts):
                if use[b] < use[least]:
                    least = b
            part[v] = least
            use[least] += size[v]


@numba.njit(cache=True)
def _stream(graph: Any, start: Any, net: Any, caps: Any, mixed: Any) -> Any:
    ptr, pins, source, lone = graph.ptr, graph.pins, graph.source, graph.lone
    axons, bits, size, colour = graph.axons, graph.bits, graph.size, graph.colour
    vertices, nets = size.size, source.size
    part, rank = np.full(vertices, -1, np.int32), np.empty(vertices, np.int32)
    # The part that a net was last counted in, and the last one that saw a vertex at its front.
    counted, seen = np.full(nets, -1, np.int32), np.full(vertices, -1, np.int32)
    queue = np.empty(vertices, np.int32)
    # The nets of a vertex that the part has to count, or that come from it.
    fresh = np.empty(nets, np.int32)
    b, low, left, within = 0, 0, vertices, True
    while left > 0:
        neurons, in_axons, used = np.int64(0), np.int64(0), np.int64(0)
        head, tail, kind = 0, 0, -1
        while True:
            if head == tail:
                # Nothing more is joined to this part: the next vertex in line.
                while low < vertices and (part[low] >= 0 or seen[low] == b):
                    low += 1
                if low == vertices:
                    break
                queue[tail] = low
                seen[low] = b
                tail += 1
            v = queue[head]
            head += 1
            if not mixed and kind >= 0 and colour[v] != kind:
                continue
            more_axons, more_bits, many = graph.own_axons[v], graph.own_bits[v], 0
            for q in range(start[v], start[v + 1]):
                e = net[q]
                # Stored in any case, to be overwritten: a branch that nobody can foretell is slow.
                fresh[many] = e
                many += (counted[e] != b) | (source[e] == v)
                if counted[e] != b and not (source[e] == v and lone[e]):
                    more_axons += axons[e]
                    more_bits += bits[e]
            if (
                neurons + size[v] > caps[0]
                or in_axons + more_axons > caps[1]
                or used + more_bits > caps[3]
            ):
                if neurons > 0:
                    break
                within = False
            part[v], rank[v] = b, vertices - left
            kind = colour[v]
            left -= 1
            neurons += size[v]
            in_axons += more_axons
            used += more_bits
            for q in range(many):
                e = fresh[q]
                if not (source[e] == v and lone[e]):
                    counted[e] = b
                u = source[e]
                first, end = (ptr[e], ptr[e + 1]) if u == v else (0, 1)
                for j in range(first, end):
                    x = pins[j] if u == v else u
                    if x < 0 or not (mixed or colour[x] == kind):
                        continue
                    if part[x] < 0 and seen[x] != b:
                        seen[x] = b
                        queue[tail] = x
                        tail += 1
        low = 0 if low == vertices else low
        b += 1
    return part, rank, within
