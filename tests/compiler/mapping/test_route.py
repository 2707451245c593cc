from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
import pytest

from spikec.boards.machine import Machine
from spikec.compiler.mapping import route as route_module
from spikec.compiler.mapping.geometry import curve, distances, geometry
from spikec.compiler.mapping.mapping import Routes
from spikec.compiler.mapping.place import placement_cost
from spikec.compiler.mapping.route import link_load, route
from spikec.compiler.mapping.traffic import Traffic, traffic

from .machines import ALL, loihi, machine, quantity, spinnaker, spinnaker_board
from .nets import groups, network
from .test_geometry import graph

Array = npt.NDArray[np.int64]


def seats_of(m: Machine, parts: int, seed: int) -> Array:
    per = m.cores_per_router
    cores = (curve(m)[:, None] * per + np.arange(per)).ravel()
    return np.random.default_rng(seed).permutation(cores.astype(np.int64))[:parts]


def walk(routes: Routes, t: Traffic, m: Machine, seats: Array) -> None:
    """Every route, link by link, against the groups."""
    links = graph(m)
    per = m.cores_per_router
    assert routes.count == t.groups
    assert np.array_equal(routes.of, t.of)
    for r in range(routes.count):
        origin = m.host if t.origin[r] < 0 else int(seats[t.origin[r]]) // per
        assert routes.origin[r] == origin
        at = {origin}
        taken = range(routes.link_ptr[r], routes.link_ptr[r + 1])
        leaves = set()
        for k in taken:
            a, b = int(routes.start[k]), int(routes.end[k])
            assert links.has_edge(a, b)
            assert a in at and b not in at
            at.add(b)
            leaves.discard(a)
            leaves.add(b)
        sinks = routes.sink[routes.sink_ptr[r] : routes.sink_ptr[r + 1]].tolist()
        assert sinks == sorted(int(seats[p]) for p in t.target[t.ptr[r] : t.ptr[r + 1]])
        assert {s // per for s in sinks} <= at
        assert leaves <= {s // per for s in sinks}, "a branch that serves nobody"


@pytest.mark.parametrize("multicast", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_every_route_reaches_its_cores_and_nothing_else(name: str, multicast: bool) -> None:
    m = replace(ALL[name], multicast=multicast, host=int(curve(ALL[name])[-1]))
    parts = min(m.cores, 24)
    t = groups(3, parts, 80, most=8)
    seats = seats_of(m, parts, 5)
    walk(route(t, m, seats), t, m, seats)


def test_sources_take_the_route_of_their_group() -> None:
    axons = network(2)
    part = np.arange(axons.neurons) // 10
    t = traffic(axons, part)
    m = spinnaker_board()
    seats = seats_of(m, t.parts, 1)
    routes = route(t, m, seats)
    walk(routes, t, m, seats)
    assert routes.of.size == axons.sources


def one_group(parts: int, targets: list[int]) -> Traffic:
    """Part 0 sends to the targets."""
    first, ends = np.zeros(1, np.int32), np.array([0, len(targets)])
    return Traffic(parts, first, first, ends, np.array(targets, np.int32), np.ones(1, np.int64))


def test_a_route_to_an_island_is_refused() -> None:
    m = machine("mesh", (3, 1), absent=frozenset({(1, 0)}))
    t = one_group(2, [1])
    with pytest.raises(ValueError, match="no way from router 0"):
        route(t, m, np.array([0, 2]))


def steiner(distance: Array, terminals: list[int]) -> int:
    """The least cost of a tree over the terminals, by Dreyfus and Wagner (1971)."""
    n, last = distance.shape[0], terminals[-1]
    rest = terminals[:-1]
    best = np.full((1 << len(rest), n), 1 << 40)
    for i, terminal in enumerate(rest):
        best[1 << i] = distance[terminal]
    for subset in range(1, 1 << len(rest)):
        if subset & (subset - 1) == 0:
            continue
        joined = np.full(n, 1 << 40)
        part = (subset - 1) & subset
        while part:
            joined = np.minimum(joined, best[part] + best[subset ^ part])
            part = (part - 1) & subset
        best[subset] = (joined[:, None] + distance).min(axis=0)
    return int(best[-1][last]) if rest else 0


def steiner_ratio(m: Machine, cases: int, most: int) -> float:
    """Links of our trees by those of Steiner's, summed over random routes."""
    rng = np.random.default_rng(11)
    routers = curve(m)
    nodes = geometry(m)
    distance = distances(nodes.form, nodes.table, np.arange(nodes.form.nodes)).astype(np.int64)
    ours = least = 0
    for _ in range(cases):
        chosen = rng.permutation(routers)[: int(rng.integers(3, most + 1))]
        t = one_group(chosen.size, list(range(1, chosen.size)))
        routes = route(t, m, chosen.astype(np.int64) * m.cores_per_router)
        ours += routes.start.size
        least += steiner(distance, chosen.tolist())
    return ours / least


@pytest.mark.parametrize(
    ("m", "bound"),
    [
        (machine("triads", (8, 8), multicast=True), 1.1),
        (spinnaker(8, 8), 1.1),
        (spinnaker_board(), 1.1),
        (machine("torus", (8, 8), multicast=True), 1.1),
        (machine("mesh", (8, 8), multicast=True), 1.1),
    ],
    ids=["triads", "triads-torus", "board", "torus", "mesh"],
)
def test_trees_are_near_the_least(m: Machine, bound: float) -> None:
    assert 1 <= steiner_ratio(m, 100, 7) <= bound


MESHES = {
    "one packet each": machine("mesh", (4, 4), (2, 1), chip_link=3, cores=2),
    "chips": machine("mesh", (4, 4), (2, 1), chip_link=3, cores=2, multicast=True),
    "a column": machine("mesh", (1, 30), cores=2, multicast=True),
    "a row": machine("mesh", (30, 1), cores=2, multicast=True),
    "a hole": machine(
        "mesh",
        (6, 6),
        cores=2,
        multicast=True,
        absent=frozenset({(2, 2), (3, 2), (2, 3), (3, 3)}),
    ),
}


@pytest.mark.parametrize("name", MESHES)
def test_no_packets_on_a_mesh_wait_for_each_other_in_a_circle(name: str) -> None:
    m = MESHES[name]
    t = groups(1, m.cores, 3000, most=12)
    seats = seats_of(m, m.cores, 2)
    routes = route(t, m, seats)
    walk(routes, t, m, seats)
    waits = waiting(routes)
    assert waits.number_of_edges() > 50
    assert nx.is_directed_acyclic_graph(waits)


def waiting(routes: Routes) -> Any:
    """Each link of a route, and those by which it goes on."""
    waits = nx.DiGraph()
    for r in range(routes.count):
        into: dict[int, tuple[int, int]] = {}
        for k in range(routes.link_ptr[r], routes.link_ptr[r + 1]):
            link = (int(routes.start[k]), int(routes.end[k]))
            if link[0] in into:
                waits.add_edge(into[link[0]], link)
            into[link[1]] = link
    return waits


@pytest.mark.parametrize("multicast", [False, True])
def test_where_all_rules_take_too_long_ways_go_by_one_tree(
    multicast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route_module, "TURN_STEPS", 100)
    m = replace(MESHES["a hole"], multicast=multicast, host=31)
    t = groups(4, m.cores, 800, most=9)
    seats = seats_of(m, m.cores, 2)
    routes = route(t, m, seats)
    walk(routes, t, m, seats)
    assert nx.is_directed_acyclic_graph(waiting(routes))


def test_packets_for_one_core_each_go_round_a_hole_by_short_ways() -> None:
    m = replace(MESHES["a hole"], multicast=False)
    t = groups(1, m.cores, 1000, most=9)
    seats = seats_of(m, m.cores, 2)
    sent = link_load(route(t, m, seats), m, t.rate).packets.sum()
    assert placement_cost(t, m, seats) <= sent <= 1.1 * placement_cost(t, m, seats)


def test_where_turns_of_one_rule_leave_no_way_the_other_has_one() -> None:
    # The only way goes east and then north in an even column.
    m = machine("mesh", (3, 2), multicast=True, absent=frozenset({(0, 1), (1, 1)}))
    t = one_group(2, [1])
    seats = np.array([0, 5])
    walk(route(t, m, seats), t, m, seats)


@pytest.mark.parametrize("multicast", [False, True])
def test_loads_are_those_of_packets_sent_one_by_one(multicast: bool) -> None:
    m = machine("mesh", (4, 3), cores=2, multicast=multicast)
    t = groups(7, m.cores, 60, most=6)
    seats = seats_of(m, m.cores, 3)
    routes = route(t, m, seats)
    naive: dict[tuple[int, int], int] = {}
    for r in range(routes.count):
        into = {
            int(routes.end[k]): int(routes.start[k])
            for k in range(routes.link_ptr[r], routes.link_ptr[r + 1])
        }
        packets: list[tuple[int, int]] = []
        for sink in routes.sink[routes.sink_ptr[r] : routes.sink_ptr[r + 1]].tolist():
            node = sink // m.cores_per_router
            while node != routes.origin[r]:
                packets.append((into[node], node))
                node = into[node]
        for link in sorted(set(packets)) if multicast else packets:
            naive[link] = naive.get(link, 0) + int(t.rate[r])
    load = link_load(routes, m, t.rate)
    found = list(zip(load.start.tolist(), load.end.tolist(), strict=True))
    assert found == sorted(naive)
    assert load.packets.tolist() == [naive[link] for link in found]
    assert load.worst == max(naive.values())


def test_one_packet_for_each_target_costs_what_placement_says() -> None:
    for m in (loihi(2, 1), ALL["torus-chips"], ALL["ring"], ALL["tree"]):
        parts = min(m.cores, 40)
        t = groups(5, parts, 100)
        seats = seats_of(m, parts, 3)
        load = link_load(route(t, m, seats), m, t.rate)
        chip = 1 if m.chip_link is None else m.chip_link.value
        cost = sum(
            n if m.topology == "tree" or m.chip_of(a) == m.chip_of(b) else n * chip
            for a, b, n in zip(
                load.start.tolist(), load.end.tolist(), load.packets.tolist(), strict=True
            )
        )
        assert cost == placement_cost(t, m, seats)


def test_routes_leave_links_that_carry_too_much() -> None:
    free = spinnaker(4, 4)
    t = groups(9, free.cores // 4, 300, most=6)
    seats = seats_of(free, t.parts, 4)
    before = link_load(route(t, free, seats), free, t.rate)
    limit = before.worst * 9 // 10
    m = replace(free, link_capacity=quantity(limit / 10, "packets"))
    routes = route(t, m, seats, window=10)
    walk(routes, t, m, seats)
    after = link_load(routes, m, t.rate)

    def excess(load: Array) -> int:
        return int(np.maximum(load - limit, 0).sum())

    assert excess(after.packets) < excess(before.packets)
    assert route(t, m, seats) == route(t, free, seats)  # no window, no limit
