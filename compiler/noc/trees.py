"""Routes as trees in depth-first order, which packets walk without looking anything up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ...boards.machine import Machine
from ...ir.records import Record, frozen_array
from ..mapping.check import neighbours
from ..mapping.mapping import Mapping, Routes

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]

_FAULTS = (
    "takes a link from router {a} to {b}, which the machine does not have",
    "takes a link from router {a}, which no earlier link of it reaches",
    "reaches router {b} twice",
    "delivers to a core at router {b}, which it does not reach",
    "has a branch at router {b} that leads to no core",
    "does not name its cores in ascending order: core {a} comes after another",
)


@dataclass(frozen=True, eq=False)
class Ways(Record):
    """The routes of a mapping, as trees of nodes.

    Route r has the nodes ``ptr[r]`` to ``ptr[r + 1]``, the first of them its origin. They are in
    depth-first order: what lies behind node n, itself included, is n to ``end[n]``, and its
    children are n + 1, ``end[n + 1]``, and so on below ``end[n]``. Node n is at ``router[n]`` and
    was reached by ``link[n]`` (link d of router r is r degree + d, in the order of `neighbours`),
    -1 at an origin. At node n are the cores ``sink[sink_ptr[n]:sink_ptr[n + 1]]``, ascending; so
    the sinks of a route, and those behind a node, are a range, too. A way to the sink s goes from a
    node to the first child c with s < ``sink_ptr[end[c]]``.

    On a machine with multicast a spike of a route is one packet, else one for each sink.
    Arrays take memory in proportion to the links and sinks of the routes.
    """

    machine: Machine
    ptr: Integers
    router: Ids
    link: Ids
    end: Ids
    sink_ptr: Ids
    sink: Ids

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "ptr", frozen_array(self.ptr, np.int64))
        for name in ("router", "link", "end", "sink_ptr", "sink"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int32))

    @property
    def count(self) -> int:
        """How many routes there are."""
        return self.ptr.size - 1

    @property
    def sinks(self) -> Integers:
        """The first sink of each route, and the number of all (routes + 1,)."""
        return self.sink_ptr[self.ptr].astype(np.int64)

    @classmethod
    def of(cls, mapping: Mapping) -> Ways:
        """The ways of a mapping's routes."""
        return cls.along(mapping.routes, mapping.machine)

    @classmethod
    def along(cls, routes: Routes, machine: Machine) -> Ways:
        """The ways of ``routes``, in their order; children in the order of the links of a route.

        Where two links lead from a router to the same one, the first is taken. Raises
        ``ValueError`` where a route is no tree of links of the machine from its origin to its
        sinks.
        """
        nodes = routes.count + routes.start.size
        if nodes >= 2**31 - 1:
            raise ValueError(f"routes have {nodes} nodes, {nodes - 2**31 + 2} too many")
        router, link, end, sink_ptr = (
            np.empty(n, np.int32) for n in (nodes, nodes, nodes, nodes + 1)
        )
        sink = np.empty(routes.sink.size, np.int32)
        table = neighbours(machine)
        fault, r, k = _depth_first(
            routes.origin,
            routes.link_ptr,
            routes.start,
            routes.end,
            routes.sink_ptr,
            routes.sink,
            machine.cores_per_router,
            table,
            router,
            link,
            end,
            sink_ptr,
            sink,
        )
        if fault >= 0:
            if fault in (3, 5):
                a, b = int(routes.sink[k]), int(routes.sink[k]) // machine.cores_per_router
            else:
                a, b = int(routes.start[k]), int(routes.end[k])
            raise ValueError(f"route {r} {_FAULTS[fault].format(a=a, b=b)}")
        ptr = routes.link_ptr + np.arange(routes.count + 1)
        return cls(machine, ptr, router, link, end, sink_ptr, sink)


@numba.njit(cache=True)
def _depth_first(
    origin: Any,
    link_ptr: Any,
    start: Any,
    stop: Any,
    from_sink: Any,
    from_core: Any,
    per: int,
    neighbour: Any,
    router: Any,
    link: Any,
    end: Any,
    sink_ptr: Any,
    sink: Any,
) -> tuple[int, int, int]:
    """Fill the five last; returns (fault, route, link or sink), -1 where there is none."""
    routers, degree = neighbour.shape
    stamp = np.full(routers, -1, np.int64)
    at = np.zeros(routers, np.int64)
    most = 0
    for r in range(origin.size):
        most = max(most, link_ptr[r + 1] - link_ptr[r])
    parent, size = np.zeros(most + 1, np.int64), np.zeros(most + 1, np.int64)
    place, free = np.zeros(most + 1, np.int64), np.zeros(most + 1, np.int64)
    sinks = np.zeros(most + 1, np.int64)
    base = 0
    sink_ptr[0] = 0
    for r in range(origin.size):
        low, n = link_ptr[r], link_ptr[r + 1] - link_ptr[r]
        size[: n + 1] = 1
        sinks[: n + 1] = 0
        stamp[origin[r]], at[origin[r]] = r, 0
        for k in range(n):
            a, b = start[low + k], stop[low + k]
            if a < 0 or a >= routers or stamp[a] != r:
                return 1, r, low + k
            known = False
            for d in range(degree):
                known = known or neighbour[a, d] == b
            if b < 0 or not known:
                return 0, r, low + k
            if stamp[b] == r:
                return 2, r, low + k
            stamp[b], at[b] = r, k + 1
            parent[k + 1] = at[a]
        for s in range(from_sink[r], from_sink[r + 1]):
            where = from_core[s] // per
            if where < 0 or where >= routers or stamp[where] != r:
                return 3, r, s
            if s > from_sink[r] and from_core[s] <= from_core[s - 1]:
                return 5, r, s
            sinks[at[where]] += 1
        for k in range(n, 0, -1):
            size[parent[k]] += size[k]
        place[0], free[0] = base, base + 1
        for k in range(n + 1):
            if k > 0:
                up = parent[k]
                place[k] = free[up]
                free[up] += size[k]
                free[k] = place[k] + 1
            here = origin[r] if k == 0 else stop[low + k - 1]
            router[place[k]] = here
            link[place[k]] = -1
            end[place[k]] = place[k] + size[k]
            if k > 0:
                for d in range(degree):
                    if neighbour[start[low + k - 1], d] == here:
                        link[place[k]] = start[low + k - 1] * degree + d
                        break
            sink_ptr[place[k] + 1] = sinks[k]
        for node in range(base, base + n + 1):
            sink_ptr[node + 1] += sink_ptr[node]
        for k in range(1, n + 1):
            if sink_ptr[end[place[k]]] == sink_ptr[place[k]]:
                return 4, r, low + k - 1
        for k in range(n + 1):
            free[k] = sink_ptr[place[k]]
        for s in range(from_sink[r], from_sink[r + 1]):
            k = at[from_core[s] // per]
            sink[free[k]] = from_core[s]
            free[k] += 1
        base += n + 1
    return -1, -1, -1
