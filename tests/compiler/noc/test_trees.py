from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from spikec.boards.machine import Machine
from spikec.compiler.mapping.mapping import Mapping, Routes
from spikec.compiler.noc.fabric import degree
from spikec.compiler.noc.trees import Ways

from ..mapping.machines import machine, tree
from .cases import SMALL, case
from .reference import Tree, links_of, tree_of

MESH = machine("mesh", (3, 2), cores=2)


def routes(
    links: list[tuple[int, int]], sinks: list[int], origin: int = 0, sources: int = 1
) -> Routes:
    start, end = [a for a, _ in links], [b for _, b in links]
    sizes = (np.array([0, len(links)]), np.array([0, len(sinks)]))
    return Routes(
        np.zeros(sources, np.int32),
        np.array([origin], np.int32),
        sizes[0],
        np.array(start, np.int32),
        np.array(end, np.int32),
        sizes[1],
        np.array(sinks, np.int32),
    )


def test_depth_first_by_hand() -> None:
    # 3 4 5
    # 0 1 2   from 0 east to 1, from there north to 4 and east to 2; from 0 north to 3.
    w = Ways.along(routes([(0, 1), (0, 3), (1, 4), (1, 2)], [1, 4, 5, 6, 8]), MESH)
    assert w.ptr.tolist() == [0, 5]
    assert w.router.tolist() == [0, 1, 4, 2, 3]
    assert w.link.tolist() == [-1, 0, 1 * 4 + 1, 1 * 4 + 0, 0 * 4 + 1]
    assert w.end.tolist() == [5, 4, 3, 4, 5]
    assert w.sink.tolist() == [1, 8, 4, 5, 6]
    assert w.sink_ptr.tolist() == [0, 1, 1, 2, 4, 5]
    assert w.sinks.tolist() == [0, 5]


def visit(
    w: Ways, t: Tree, link: int, nodes: Iterator[int], links: dict[tuple[int, int], tuple[int, int]]
) -> int:
    """Compare a subtree with the nodes that come next; the last of these."""
    node = last = next(nodes)
    assert (w.router[node], w.link[node]) == (t.router, link)
    assert w.sink[w.sink_ptr[node] : w.sink_ptr[node + 1]].tolist() == t.cores
    for d, child in t.children:
        assert links[t.router, d][0] == child.router
        last = visit(w, child, t.router * degree(w.machine) + d, nodes, links)
    assert w.end[node] == last + 1
    return last


@pytest.mark.parametrize("name", SMALL)
def test_subtrees_are_ranges(name: str) -> None:
    c = case(SMALL[name], 4, 0, 1, most=9)
    m, w = c.fabric.machine, c.ways
    links = links_of(m)
    assert w.count == c.routes.count
    for r in range(w.count):
        nodes = iter(range(w.ptr[r], w.ptr[r + 1]))
        assert visit(w, tree_of(c.routes, r, m), -1, nodes, links) + 1 == w.ptr[r + 1]
    mapping = Mapping(m, np.zeros(1, np.int32), np.zeros(1, np.int32), c.routes)
    assert Ways.of(mapping) == w


@pytest.mark.parametrize(
    ("links", "sinks", "said"),
    [
        ([(0, 4)], [8], "takes a link from router 0 to 4, which the machine does not have"),
        ([(0, 9)], [8], "takes a link from router 0 to 9"),
        ([(1, 2)], [4], "takes a link from router 1, which no earlier link of it reaches"),
        ([(0, 1), (1, 0)], [2], "reaches router 0 twice"),
        ([(0, 1)], [4], "delivers to a core at router 2, which it does not reach"),
        ([(0, 1)], [99], "delivers to a core at router 49"),
        ([(0, 1), (1, 2)], [2], "has a branch at router 2 that leads to no core"),
        ([(0, 1)], [3, 2], "ascending order: core 2 comes after another"),
        ([(0, 1)], [2, 2], "ascending order: core 2 comes after another"),
    ],
)
def test_what_is_no_tree_is_said(links: list[tuple[int, int]], sinks: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=f"^route 0 .*{said}"):
        Ways.along(routes(links, sinks), MESH)


def test_links_of_a_tree_lead_up_and_down() -> None:
    m: Machine = tree(2, 2)
    # Leaves 0 to 3, switches 4 and 5 above them, 6 the root.
    w = Ways.along(routes([(0, 4), (4, 1), (4, 6), (6, 5), (5, 3)], [1, 3]), m)
    assert w.router.tolist() == [0, 4, 1, 6, 5, 3]
    assert w.link.tolist() == [-1, 0, 4 * 3 + 2, 4 * 3, 6 * 3 + 2, 5 * 3 + 2]


def test_no_routes_and_routes_to_nobody() -> None:
    ids, one = np.zeros(0, np.int32), np.zeros(1, np.int64)
    assert Ways.along(Routes(ids, ids, one, ids, ids, one, ids), MESH).count == 0
    assert Ways.along(routes([], []), replace(MESH, multicast=True)).sinks.tolist() == [0, 0]
