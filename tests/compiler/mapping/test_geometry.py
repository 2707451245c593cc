from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.boards.machine import STEPS, Machine
from spikec.compiler.mapping.geometry import FAR, TABLE, apart, curve, distances, geometry, hops

from .machines import ABSENT, ALL, machine, spinnaker_board, tree


def graph(m: Machine) -> nx.DiGraph:
    """The machine link by link, as its docstring says it."""
    g = nx.DiGraph()
    if m.topology == "tree":
        level = [[i] for i in range(m.router_count)]
        number = m.router_count
        g.add_nodes_from(range(number))
        below = list(range(number))
        for children in reversed(m.arity):
            above = []
            for i in range(0, len(below), children):
                for child in below[i : i + children]:
                    g.add_edge(child, number, weight=1.0)
                    g.add_edge(number, child, weight=1.0)
                above.append(number)
                number += 1
            below = above
        assert len(below) == 1 and level
        return g
    width, height = m.grid
    for router in range(m.router_count):
        x, y = m.place(router)
        if (x, y) in m.absent:
            continue
        g.add_node(router)
        for dx, dy in STEPS[m.topology]:
            ex, ey = x + dx, y + dy
            if m.cyclic:
                ex, ey = ex % width, ey % height
            elif not (0 <= ex < width and 0 <= ey < height):
                continue
            end = ey * width + ex
            if (ex, ey) in m.absent or end == router:
                continue
            across = m.chip_of(router) != m.chip_of(end)
            g.add_edge(
                router, end, weight=m.chip_link.value if across and m.chip_link is not None else 1.0
            )
    return g


def check(m: Machine) -> None:
    g, expected = geometry(m), graph(m)
    f = g.form
    assert f.nodes == m.router_count or m.topology == "tree"
    distance = dict(nx.all_pairs_dijkstra_path_length(expected))
    for a in expected:
        for b in expected:
            found = apart(f, g.table, a, b)
            assert f.kind == TABLE or hops(f, a, b) == found
            want = distance[a].get(b)
            assert found >= FAR if want is None else found == want * f.unit, (a, b)
    links = {
        (int(g.source[k]), v, float(g.cost[k] / f.unit))
        for v in range(f.nodes)
        for k in range(g.ptr[v], g.ptr[v + 1])
    }
    assert links == {(a, b, w) for a, b, w in expected.edges.data("weight")}
    assert len(links) == g.source.size


@pytest.mark.parametrize("name", ALL)
def test_distances_are_those_of_networkx(name: str) -> None:
    check(ALL[name])


@given(
    st.sampled_from(["mesh", "torus", "triads", "ring", "tree"]),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.sampled_from([None, 1, 1.5, 3, 7]),
    st.booleans(),
    st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=3),
)
def test_distances_of_any_machine(topology, routers, chips, link, wraps, absent) -> None:  # type: ignore[no-untyped-def]
    if topology == "tree":
        check(tree(*routers, *chips))
        return
    if topology == "ring":
        routers, chips = (routers[0], 1), (chips[0], 1)
    width, height = routers[0] * chips[0], routers[1] * chips[1]
    gone = frozenset((x, y) for x, y in absent if x < width and y < height)
    if link is not None:
        m = machine(topology, routers, chips, chip_link=link, wraps=wraps, absent=gone)
    else:
        m = machine(topology, routers, chips, wraps=wraps, absent=gone)
    if len(gone) < width * height:
        check(m)


def test_a_large_machine_has_no_table() -> None:
    g = geometry(machine("torus", (64, 64)))
    assert g.table.size == 0
    some = np.array([0, 63, 4095, 2080])
    found = distances(g.form, g.table, some)
    assert found.tolist() == [[0, 1, 2, 64], [1, 0, 1, 63], [2, 1, 0, 62], [64, 63, 62, 0]]


def test_a_board_has_48_places() -> None:
    assert 64 - len(ABSENT) == 48
    assert curve(spinnaker_board()).size == 48


def test_an_arity_that_does_not_give_the_leaves_is_refused() -> None:
    with pytest.raises(ValueError, match="does not have 5 leaves"):
        geometry(machine("tree", (5, 1), arity=(2, 2)))


@given(st.integers(1, 20), st.integers(1, 20))
def test_the_curve_goes_through_all_places_step_by_step(columns: int, rows: int) -> None:
    order = curve(machine("mesh", (columns, rows)))
    assert np.array_equal(np.sort(order), np.arange(columns * rows))
    x, y = order % columns, order // columns
    across, up = np.abs(np.diff(x)), np.abs(np.diff(y))
    assert np.all(np.maximum(across, up) == 1)
    diagonal = int(np.sum(across + up == 2))
    assert diagonal <= (1 if columns % 2 != rows % 2 or columns * rows % 2 else 0)


def test_the_curve_leaves_a_chip_once() -> None:
    m = machine("mesh", (8, 4), (3, 2))
    chips = [m.chip_of(int(r)) for r in curve(m)]
    changes = sum(a != b for a, b in pairwise(chips))
    assert changes == 5
    order = curve(m)
    x, y = order % 24, order // 24
    assert int((np.abs(np.diff(x)) + np.abs(np.diff(y))).max()) <= 4
