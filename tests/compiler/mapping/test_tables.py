"""Tables send every packet along its route, in as few entries as is claimed."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.mapping import table_kernels as kernels
from spikec.compiler.mapping import tables as tables_module
from spikec.compiler.mapping.mapping import Tables
from spikec.compiler.mapping.tables import Effort, assign_keys, key_tables
from spikec.ir.diagnostics import SpikecError

from .table_cases import (
    Case,
    Tree,
    assert_delivers,
    entries_of,
    machine,
    network,
    random_case,
    routes,
)

EAST, NORTH_EAST = 1 << 0, 1 << 1
EFFORTS: tuple[Effort, ...] = ("plain", "fit", "fewest")
ALL = 0xFFFFFFFF


def tabled(case: Case, effort: Effort = "fewest") -> Tables:
    return key_tables(case.axons, case.part, case.routes, case.on, effort=effort)


def row_case(*trees: Tree, columns: int = 4, entries: int | None = None) -> Case:
    """Each tree has a core with one source, all cores in one node; routers in a row."""
    on = machine(columns, 1, entries=entries)
    part = np.arange(len(trees), dtype=np.int32)
    return Case(on, network(len(trees)), part, routes(part.tolist(), trees), trees)


# --- routes ------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32 - 1),
    grid=st.sampled_from([(1, 1), (2, 2), (3, 1), (4, 4), (6, 5)]),
    topology=st.sampled_from(["triads", "mesh", "torus"]),
    wraps=st.booleans(),
    parts=st.integers(1, 40),
    shapes=st.integers(1, 4),
)
@settings(max_examples=150)
def test_every_key_takes_its_route(
    seed: int, grid: tuple[int, int], topology: str, wraps: bool, parts: int, shapes: int
) -> None:
    on = machine(*grid, topology=topology, wraps=wraps)
    case = random_case(seed, on, parts=parts, per_part=5, shapes=shapes)
    plain, fit, fewest = (tabled(case, effort) for effort in EFFORTS)
    for tables in (plain, fit, fewest):
        assert_delivers(on, tables, case.routes, case.trees)
    # Without a limit nothing needs to be merged.
    assert (np.diff(fit.ptr) == np.diff(plain.ptr)).all()
    assert (np.diff(fewest.ptr) <= np.diff(plain.ptr)).all()
    assert tabled(case) == fewest


@given(seed=st.integers(0, 2**32 - 1), limit=st.integers(1, 12))
@settings(max_examples=40)
def test_what_fits_is_left_alone(seed: int, limit: int) -> None:
    case = random_case(seed, machine(3, 3, entries=limit), parts=30, per_part=3, shapes=1)
    try:
        tables = tabled(case, "fit")
    except SpikecError as error:
        assert error.diagnostics[0].code == "E0315"
        return
    assert_delivers(case.on, tables, case.routes, case.trees)
    sizes = np.diff(tables.ptr)
    assert sizes.max() <= limit


def test_a_packet_that_goes_straight_on_needs_no_entry() -> None:
    case = row_case(Tree(0, ((0, 1), (1, 2), (2, 3)), (13,)))
    tables = tabled(case)
    assert [entries_of(tables, r) for r in range(4)] == [
        [(1, ALL, EAST, 0)],
        [],
        [],
        [(1, ALL, 0, 1 << 1)],
    ]


def test_a_core_on_the_way_needs_one() -> None:
    case = row_case(Tree(0, ((0, 1), (1, 2)), (6, 8)))
    assert entries_of(tabled(case), 1) == [(1, ALL, EAST, 1 << 2)]


def test_a_route_that_ends_without_a_core_is_ended() -> None:
    tables = tabled(row_case(Tree(0, ((0, 1),), ())))
    assert entries_of(tables, 1) == [(1, ALL, 0, 0)]


def test_cores_of_a_node_share_a_prefix() -> None:
    trees = [Tree(0, ((0, 1),), (4,))] * 3
    case = row_case(*trees)
    tables = tabled(case)
    # Three cores of one key each lie in four aligned keys; the fourth belongs to nobody.
    assert tables.key.tolist() == [4, 5, 6]
    assert entries_of(tables, 0) == [(4, ALL ^ 3, EAST, 0)]
    assert entries_of(tables, 1) == [(4, ALL ^ 3, 0, 1)]
    assert len(entries_of(tabled(case, "plain"), 0)) == 3


def test_routes_of_a_core_have_blocks_of_their_own() -> None:
    trees = [Tree(0, (), (0,)), Tree(0, (), (1,))]
    on = machine(1, 1)
    given_routes = routes([0, 1, 0, -1, 0], trees)
    tables = key_tables(network(5), np.zeros(5, np.int32), given_routes, on)
    # Three keys of one route take four, the one of the other follows: eight in all.
    assert tables.key.tolist() == [8, 12, 9, 0, 10]
    assert entries_of(tables, 0) == [(12, ALL, 0, 2), (8, ALL ^ 3, 0, 1)]


def test_lines_of_the_host_have_keys() -> None:
    trees = [Tree(0, (), (0,)), Tree(1, (), (5,))]
    on = machine(2, 1)
    tables = key_tables(network(1, host=(2,)), np.zeros(1, np.int32), routes([0, 1, 1], trees), on)
    assert tables.key.tolist() == [1, 2, 3]
    assert entries_of(tables, 1) == [(2, ALL ^ 1, 0, 2)]


def test_a_network_without_packets_has_empty_tables() -> None:
    tables = key_tables(network(2), np.zeros(2, np.int32), routes([-1, -1], []), machine(2, 2))
    assert tables.key.tolist() == [0, 0] and tables.ptr.tolist() == [0] * 5


def test_links_that_wrap_are_numbered_as_the_machine_does() -> None:
    on = machine(3, 3, wraps=True)
    # From (2, 2) north-east to (0, 0), and straight on to (1, 1).
    tree = Tree(8, ((8, 0), (0, 4)), (4 * 4,))
    tables = key_tables(network(1), np.zeros(1, np.int32), routes([0], [tree]), on)
    assert entries_of(tables, 8) == [(1, ALL, NORTH_EAST, 0)]
    assert entries_of(tables, 0) == []


# --- refusals ----------------------------------------------------------------------------------


def test_the_best_order_of_the_cores_is_taken() -> None:
    # Cores 1 and 3 send to one place, 0 and 2 to another: in their own order nothing is a prefix.
    trees = [Tree(0, ((0, 1),) if k % 2 else (), (4,) if k % 2 else (0,)) for k in range(8)]
    case = row_case(*trees)

    def entries(orders: int | None) -> int:
        found = assign_keys(case.axons, case.part, case.routes, case.on, orders=orders).lookups
        arrays = (found.ptr, found.key, found.mask, found.action, found.straight)
        return int(kernels.prefix_sizes(*arrays).sum())

    assert entries(None) == 3 < entries(1)


def test_a_table_that_is_too_long_is_refused() -> None:
    trees = [Tree(1, (), (4,)), Tree(1, (), (5,)), Tree(0, (), (0,)), Tree(0, (), (1,))]
    with pytest.raises(SpikecError) as caught:
        tabled(row_case(*trees, Tree(1, (), (6,)), entries=1))
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == "E0315"
    assert diagnostic.message == (
        "router 1 at (1, 0) of 'small' needs 3 routing entries for 3 blocks of keys, at "
        "least; the limit is 1 entries (recalled: the test), and 1 other router is too full"
    )
    assert diagnostic.hint is not None and "one route for all neurons" in diagnostic.hint


def test_the_limit_counts_after_minimisation() -> None:
    trees = [Tree(0, ((0, 1),), (4,))] * 3
    assert len(entries_of(tabled(row_case(*trees, entries=1), "fit"), 0)) == 1
    with pytest.raises(SpikecError, match="needs 3 routing entries"):
        tabled(row_case(*trees, entries=1), "plain")


def test_keys_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables_module, "KEY_BITS", 3)
    assert tabled(row_case(*[Tree(0, (), (0,))] * 4)).key.max() == 7
    with pytest.raises(SpikecError, match=r"E0316.*need 16 keys, and 3 bits have 8"):
        tabled(row_case(*[Tree(0, (), (0,))] * 5))


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (Tree(0, ((1, 2),), ()), "route 0 is not a tree"),
        (Tree(0, ((0, 1), (1, 0)), ()), "route 0 is not a tree"),
        (Tree(0, (), (4,)), "route 0 is not a tree"),
        (Tree(0, ((0, 2),), ()), "no link leads from router 0 to 2"),
        (Tree(3, ((3, 0),), ()), "no link leads from router 3 to 0"),
    ],
)
def test_routes_that_are_none_are_refused(tree: Tree, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tabled(row_case(tree))


# --- one router --------------------------------------------------------------------------------

Block = tuple[int, int, int, bool]  # key, size, action, straight


def minimised(
    blocks: list[Block], effort: int = kernels.FEWEST, limit: int = 10**6
) -> list[tuple[int, int, int]]:
    """Entries (key, mask, action) of one router."""
    key, size, action = (np.array([b[i] for b in blocks], np.int64) for i in range(3))
    straight = np.array([b[3] for b in blocks])
    ptr = np.array([0, len(blocks)], np.int64)
    _, k, m, w = kernels.minimise(
        ptr, key, 2**32 - size, action.astype(np.int32), straight, effort, limit
    )
    return [(int(a), int(b), int(c)) for a, b, c in zip(k, m, w, strict=True)]


def assert_agrees(blocks: list[Block], entries: list[tuple[int, int, int]]) -> None:
    for first, size, action, straight in blocks:
        for key in range(first, first + size):
            found = next((w for k, m, w in entries if key & m == k), None)
            assert found == action or (found is None and straight), (key, entries)


@st.composite
def drawn_blocks(draw: st.DrawFn) -> list[Block]:
    """Disjoint blocks in the keys below 256, gaps between them; few actions."""
    actions = draw(st.integers(1, 5))
    lines = draw(st.sampled_from([0.0, 0.2, 0.7]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.sampled_from([[1], [1, 1, 2, 4], [4, 8, 16]]))
    share = draw(st.sampled_from([0.3, 0.8, 1.0]))
    at, blocks = 0, []
    while at < 256:
        size = int(rng.choice(sizes))
        at = -(-at // size) * size
        if rng.random() < share and at < 256:
            blocks.append((at, size, int(rng.integers(actions)), bool(rng.random() < lines)))
        at += size
    return blocks or [(0, 1, 0, False)]


@given(drawn_blocks())
@settings(max_examples=300)
def test_minimised_tables_do_the_same(blocks: list[Block]) -> None:
    fewest, plain = minimised(blocks), minimised(blocks, kernels.PLAIN)
    tried = minimised(blocks, limit=1)  # with every order of the table
    fit = minimised(blocks, kernels.FIT, limit=10)
    for entries in (plain, fewest, tried, fit):
        assert_agrees(blocks, entries)
    assert len(tried) <= len(fewest) <= smallest_prefix_table(blocks) <= len(plain)
    assert len(fit) <= max(10, len(tried))


def smallest_prefix_table(blocks: list[Block]) -> int:
    """How many prefixes are needed, from the definition: every state, every node of 8 bits."""
    actions = sorted({b[2] for b in blocks})

    @cache
    def cost(first: int, size: int, state: int | None) -> int:
        inside = [b for b in blocks if b[0] < first + size and first < b[0] + b[1]]
        if not inside:
            return 0
        whole = inside[0][1] >= size

        def under(s: int | None) -> int:
            if whole:
                _, _, action, straight = inside[0]
                right = s == action or (s is None and straight)
                return 0 if right else 10**6
            half = size // 2
            return cost(first, half, s) + cost(first + half, half, s)

        return min(under(state), 1 + min(under(s) for s in actions))

    return cost(0, 256, None)


@given(drawn_blocks())
@settings(max_examples=60)
def test_prefixes_are_as_few_as_there_can_be(blocks: list[Block]) -> None:
    key, size, action = (np.array([b[i] for b in blocks], np.int64) for i in range(3))
    straight = np.array([b[3] for b in blocks])
    found = kernels.prefix_table(key, 2**32 - size, action.astype(np.int32), straight)
    k, m, w, block_key, block_mask, block_action, _, owner = found
    assert k.size == smallest_prefix_table(blocks)
    entries = sorted(zip(-m.astype(np.int64), k, m, w, strict=True))
    assert_agrees(blocks, [(int(a), int(b), int(c)) for _, a, b, c in entries[::-1]][::-1])
    for b in range(block_key.size):
        if owner[b] >= 0:
            assert w[owner[b]] == block_action[b]
            assert block_key[b] & m[owner[b]] == k[owner[b]]
            assert not m[owner[b]] & ~block_mask[b]


def test_entries_that_alternate_merge_across_prefixes() -> None:
    # Prefixes need three, 5 and 7 and all; 5 and 7 differ in one bit.
    blocks = [(4 + k, 1, k % 2, False) for k in range(4)]
    assert smallest_prefix_table(blocks) == 3
    assert sorted(minimised(blocks)) == [(4, ALL ^ 2, 0), (5, ALL ^ 2, 1)]


def test_a_more_specific_entry_shields_from_a_general_one() -> None:
    blocks = [(k, 1, 1 if k == 5 else 0, False) for k in range(8)]
    assert minimised(blocks) == [(5, ALL, 1), (0, ALL ^ 7, 0)]


def test_a_straight_block_is_not_covered_by_another_action() -> None:
    # 0 to 3: A, straight on by link B, A, A. An entry for all four would need one for B above it.
    blocks = [(0, 1, 0, False), (1, 1, 1, True), (2, 1, 0, False), (3, 1, 0, False)]
    entries = minimised(blocks)
    assert len(entries) == 2
    assert_agrees(blocks, entries)


def test_a_straight_block_joins_entries_of_its_own_action() -> None:
    blocks = [(k, 1, 0, k == 2) for k in range(4)]
    assert minimised(blocks) == [(0, ALL ^ 3, 0)]


def test_keys_that_nobody_sends_are_covered() -> None:
    blocks = [(0, 1, 0, False), (7, 1, 0, False), (8, 1, 1, False)]
    assert minimised(blocks) == [(8, ALL, 1), (0, ALL ^ 7, 0)]


def test_a_block_that_an_entry_meets_in_part_keeps_its_own() -> None:
    # The entry of keys 0 and 120 has one key of each eight; 96 to 111 stay with theirs.
    blocks = [
        (0, 1, 1, False),
        (16, 16, 2, False),
        (32, 16, 0, False),
        (48, 1, 2, False),
        (56, 8, 0, True),
        (64, 16, 0, False),
        (80, 1, 2, False),
        (96, 16, 1, False),
        (112, 1, 0, False),
        (120, 8, 1, False),
    ]
    assert_agrees(blocks, minimised(blocks))
