"""Coarse vertices are no larger than allowed, of one node where cores are, and of what is bound."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.mapping.coarsen import coarsened, edges
from spikec.compiler.mapping.hypergraph import hypergraph
from spikec.compiler.mapping.refine import packets

from .simple import axons, bundle
from .wild import wild

SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS, most=st.sampled_from([1, 2, 5, 60]), mixed=st.booleans())
@settings(max_examples=80)
def test_vertices_are_small_and_of_one_node(seed: int, most: int, mixed: bool) -> None:
    graph = hypergraph(wild(seed), 5, 9, shared=True)
    coarse, vertex = coarsened(graph, most, 3, seed % 100, mixed=mixed)
    assert np.array_equal(np.bincount(vertex), coarse.size)
    assert coarse.size.max() <= most
    assert mixed or (coarse.colour[vertex] == graph.colour).all()
    again, same = coarsened(graph, most, 3, seed % 100, mixed=mixed)
    assert np.array_equal(vertex, same) and np.array_equal(coarse.pins, again.pins)
    part = np.random.default_rng(seed).integers(0, 4, coarse.vertices).astype(np.int32)
    assert packets(coarse, part, 4) == packets(graph, part[vertex], 4)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_bound_together_becomes_one(seed: int) -> None:
    """Rings of eight, and a weak link from each to the next."""
    name = np.random.default_rng(seed).permutation(64)
    out: list[list[int]] = [[] for _ in range(64)]
    for n in range(64):
        out[name[n]] = [int(name[n // 8 * 8 + (n + k) % 8]) for k in (1, 2, 3)]
    out[name[0]].append(int(name[9]))
    graph = hypergraph(axons([64], 0, [bundle("b", 0, out)]), 1, 1, shared=False)
    coarse, vertex = coarsened(graph, 8, 8, seed, mixed=True)
    assert coarse.vertices < 32
    rings = [len(set(vertex[name[8 * i : 8 * i + 8]].tolist())) for i in range(8)]
    across = [np.unique(np.argsort(name)[vertex == v] // 8).size for v in range(coarse.vertices)]
    assert sum(size > 1 for size in across) <= 1
    assert sum(rings) <= 32


@given(seed=SEEDS)
@settings(max_examples=40)
def test_edges_join_sources_and_targets(seed: int) -> None:
    graph = hypergraph(wild(seed), 5, 9, shared=True)
    expected: dict[tuple[int, int], float] = defaultdict(float)
    for e in range(graph.nets):
        s, row = int(graph.source[e]), graph.pins[graph.ptr[e] : graph.ptr[e + 1]].tolist()
        for u in row:
            if s >= 0 and u != s and len(row) > 1:
                expected[s, u] += 1 / (len(row) - 1)
                expected[u, s] += 1 / (len(row) - 1)
    ptr, other, rating = edges(graph)
    found = {
        (v, int(other[k])): float(rating[k])
        for v in range(graph.vertices)
        for k in range(ptr[v], ptr[v + 1])
    }
    assert found.keys() == expected.keys()
    assert all(found[pair] == pytest.approx(expected[pair]) for pair in found)
