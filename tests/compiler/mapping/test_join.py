"""Routes to the same cores: as cheap as before, and alike wherever they go on together."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from spikec.boards.machine import Machine
from spikec.compiler.mapping.mapping import Routes
from spikec.compiler.mapping.route import route
from spikec.compiler.mapping.traffic import Traffic

from .machines import quantity, spinnaker, spinnaker_board
from .test_route import seats_of, walk

TABLED = {
    "board": replace(spinnaker_board(), routing_entries=quantity(1023, "entries")),
    "wrapped": replace(spinnaker(6, 5), routing_entries=quantity(1023, "entries")),
}


def alike(parts: int, kinds: int, seed: int) -> Traffic:
    """A group from each part; those of one kind lead to the same parts."""
    rng = np.random.default_rng(seed)
    ends = [np.sort(rng.choice(parts, rng.integers(1, 9), replace=False)) for _ in range(kinds)]
    rows = [ends[i % kinds] for i in range(parts)]
    number = np.arange(parts)
    ptr = np.cumsum([0, *(row.size for row in rows)])
    return Traffic(parts, number, number, ptr, np.concatenate(rows), np.ones(parts, np.int64))


def actions(routes: Routes, per: int) -> int:
    """Pairs of a router and what it does, of all kinds of routes: the entries it takes at least."""
    seen = set()
    for r in range(routes.count):
        sinks = routes.sink[routes.sink_ptr[r] : routes.sink_ptr[r + 1]].tolist()
        does: dict[int, set[int]] = defaultdict(set)
        for k in range(routes.link_ptr[r], routes.link_ptr[r + 1]):
            does[int(routes.start[k])].add(int(routes.end[k]))
        at = {core // per for core in sinks} | set(does)
        seen |= {(v, tuple(sorted(does[v])), tuple(sinks)) for v in at}
    return len(seen)


@pytest.mark.parametrize("name", TABLED)
@pytest.mark.parametrize("seed", range(6))
def test_joined_trees_cost_no_more_and_have_less_to_tell_apart(name: str, seed: int) -> None:
    m, t = TABLED[name], alike(40, 3, seed)
    seats = seats_of(m, t.parts, seed)
    # One core a router, so that nearly all routes start apart.
    seats = seats // m.cores_per_router * m.cores_per_router + np.arange(t.parts) % 16
    seats = np.unique(seats)[np.random.default_rng(seed).permutation(np.unique(seats).size)]
    t = alike(seats.size, 3, seed)
    joined = route(t, m, seats)
    apart = route(t, replace(m, routing_entries=None), seats)
    walk(joined, t, m, seats)
    assert (np.diff(joined.link_ptr) <= np.diff(apart.link_ptr)).all()
    assert actions(joined, m.cores_per_router) < actions(apart, m.cores_per_router)


def test_the_trunk_is_entered_at_its_start() -> None:
    # Router 1 sends to 8, 9 and 0; 9 itself to 0 and 8, at the same cost as going there by 0.
    m = TABLED["board"]
    per = m.cores_per_router
    seats = np.array([0, 8, 9, 9, 1]) * per + np.array([0, 0, 0, 1, 0])
    ptr, targets = np.array([0, 3, 6]), np.array([0, 1, 2, 0, 1, 2])
    t = Traffic(
        5, np.array([-1, -1, -1, 0, 1]), np.array([3, 4]), ptr, targets, np.ones(2, np.int64)
    )
    found = route(t, m, seats)
    links = [
        list(zip(found.start[a:b].tolist(), found.end[a:b].tolist(), strict=True))
        for a, b in zip(found.link_ptr[:-1], found.link_ptr[1:], strict=True)
    ]
    assert links[1] == [(1, 9), *links[0]]


def test_where_links_have_a_capacity_routes_stay_as_they_are() -> None:
    m: Machine = replace(TABLED["board"], link_capacity=quantity(10, "packets"))
    t = alike(40, 3, 1)
    seats = seats_of(m, 40, 2)
    found, apart = route(t, m, seats), route(t, replace(m, routing_entries=None), seats)
    assert np.array_equal(found.start, apart.start) and np.array_equal(found.end, apart.end)
