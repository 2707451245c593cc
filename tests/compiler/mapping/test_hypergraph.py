"""The hypergraph of a network is that of its definition, however it is contracted or ordered."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.mapping.axons import Axons
from spikec.compiler.mapping.hypergraph import (
    Hypergraph,
    contracted,
    first_ends,
    first_pins,
    hypergraph,
    incidence,
    reordered,
    scaled,
    twins,
)
from spikec.compiler.mapping.refine import fan_out, packets, usage

from .simple import axons, bundle, synapses_of
from .wild import wild

SEEDS = st.integers(0, 2**32 - 1)


def made(seed: int, shared: bool = True) -> tuple[Axons, Hypergraph]:
    network = wild(seed)
    return network, hypergraph(network, 7, 11, shared=shared)


def pins(graph: Hypergraph, e: int) -> list[int]:
    return [int(v) for v in graph.pins[graph.ptr[e] : graph.ptr[e + 1]]]


def some_parts(count: int, seed: int) -> tuple[npt.NDArray[np.int32], int]:
    rng = np.random.default_rng(seed)
    parts = int(rng.integers(1, 9))
    return rng.integers(0, parts, count).astype(np.int32), parts


@given(seed=SEEDS, shared=st.booleans())
@settings(max_examples=80)
def test_nets_are_the_axons(seed: int, shared: bool) -> None:
    network, graph = made(seed, shared)
    own_bits = [0] * network.neurons
    for source in range(network.sources):
        synapses = synapses_of(network, source)
        targets = {t for _, t, _ in synapses}
        own = source if source < network.neurons else -1
        lone = own >= 0 and bool(targets) and own not in targets
        assert sorted(pins(graph, source)) == sorted(targets | ({own} if lone else set()))
        assert not lone or pins(graph, source)[-1] == own
        assert (graph.source[source], graph.lone[source]) == (own, lone)
        assert (graph.axons[source], graph.bits[source]) == (1, 11)
        for b, t, _ in synapses:
            own_bits[t] += 0 if shared and b.kernel else 7
    assert graph.own_bits.tolist() == own_bits
    kernels = [b for b in network.bundles if shared and b.kernel]
    assert graph.nets == network.sources + len(kernels)
    for e, b in enumerate(kernels, network.sources):
        assert pins(graph, e) == sorted(set(b.target.tolist()))
        assert (graph.source[e], graph.lone[e], graph.axons[e], graph.weight[e]) == (-1, 0, 0, 0)
        assert graph.bits[e] == b.kernel * 7
    assert [network.nodes[c] for c in graph.colour] == [
        network.node_of(n) for n in range(network.neurons)
    ]
    assert (graph.size == 1).all() and (graph.own_axons == 0).all()
    assert first_pins(graph).size == graph.nets
    for e in range(graph.nets):
        assert not pins(graph, e) or first_pins(graph)[e] == pins(graph, e)[0]


@given(seed=SEEDS)
@settings(max_examples=40)
def test_incidence_is_the_transpose(seed: int) -> None:
    _, graph = made(seed)
    start, net = incidence(graph)
    for v in range(graph.vertices):
        mine = [e for e in range(graph.nets) if v in pins(graph, e)]
        assert net[start[v] : start[v + 1]].tolist() == mine


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ([0, 1, 5], [0, 1, 5]),
        ([0, 0], [0, 0]),
        ([2**30 - 2, 1], [2**30 - 2, 1]),
        ([2**30 - 1, 1], [2**29 - 1, 1]),
        ([2**62, 2**62, 2**62, 1], [2**28, 2**28, 2**28, 1]),
    ],
)
def test_rates_become_weights_of_32_bits(rate: list[int], expected: list[int]) -> None:
    assert scaled(np.array(rate)).tolist() == expected


def test_rates_whose_sum_exceeds_64_bits() -> None:
    weight = scaled(np.full(20_000, 10**15))
    assert 2**29 - 20_000 < weight.sum(dtype=np.int64) < 2**30
    assert (weight == weight[0]).all()


@given(seed=SEEDS, most=st.sampled_from([1, 2, 3, 60]))
@settings(max_examples=80)
def test_twins_have_the_same_sources_and_targets(seed: int, most: int) -> None:
    network, graph = made(seed)
    number = twins(graph, most)
    sources: dict[int, set[int]] = defaultdict(set)
    targets: dict[int, tuple[int, ...]] = {}
    for s in range(network.sources):
        reached = {t for _, t, _ in synapses_of(network, s)}
        targets[s] = tuple(sorted(reached))
        for t in reached:
            sources[t].add(s)
    for e in range(network.sources, graph.nets):
        for t in pins(graph, e):
            sources[t].add(e)
    alike = defaultdict(list)
    for v in range(graph.vertices):
        key = (frozenset(sources[v]), targets[v], int(graph.colour[v]), int(graph.own_bits[v]))
        alike[key].append(v)
    expected = [group[i : i + most] for group in alike.values() for i in range(0, len(group), most)]
    found = [np.flatnonzero(number == k).tolist() for k in range(int(number.max()) + 1)]
    # In the order of their first members.
    assert found == sorted(expected)


@given(seed=SEEDS)
@settings(max_examples=60)
def test_first_ends_are_lowest_sources_or_else_targets(seed: int) -> None:
    network, graph = made(seed)
    found = first_ends(graph)
    for v in range(graph.vertices):
        sources = [
            s
            for s in range(graph.vertices)
            if s != v and v in {t for _, t, _ in synapses_of(network, s)}
        ]
        targets = [t for _, t, _ in synapses_of(network, v)]
        assert found[v] == min(sources or targets or [graph.vertices])


def test_twins_take_a_limit_for_each_vertex() -> None:
    network = axons([1, 6], 0, [bundle("b", 0, [list(range(1, 7))])])
    graph = hypergraph(network, 1, 1, shared=False)
    assert np.bincount(twins(graph, np.full(7, 4))).tolist().count(4) == 1
    assert np.bincount(twins(graph, np.zeros(7, np.int64))).tolist() == [1] * 7


@given(seed=SEEDS, twice=st.booleans())
@settings(max_examples=100)
def test_contraction_keeps_what_parts_take(seed: int, twice: bool) -> None:
    _, graph = made(seed)
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, graph.vertices + 1))
    vertex = rng.permutation(np.append(np.arange(count), rng.integers(0, count, graph.vertices)))
    vertex = vertex[: graph.vertices]
    _, vertex = np.unique(vertex, return_inverse=True)
    coarse = contracted(graph, vertex, int(vertex.max()) + 1)
    if twice:
        onto, number = some_parts(coarse.vertices, seed + 1)
        coarse, vertex = contracted(coarse, onto, number), onto[vertex]
    part, parts = some_parts(coarse.vertices, seed)
    assert packets(coarse, part, parts) == packets(graph, part[vertex], parts)
    assert np.array_equal(usage(coarse, part, parts), usage(graph, part[vertex], parts))
    keys = [(frozenset(pins(coarse, e)), int(coarse.source[e]), bool(coarse.lone[e])) for e in
            range(coarse.nets)]  # fmt: skip
    assert len(set(keys)) == len(keys)
    for e in range(coarse.nets):
        row = pins(coarse, e)
        assert len(set(row)) == len(row) >= 1
        assert not coarse.lone[e] or row[-1] == coarse.source[e]


@given(seed=SEEDS)
@settings(max_examples=60)
def test_reordering_is_an_isomorphism(seed: int) -> None:
    _, graph = made(seed)
    order = np.random.default_rng(seed).permutation(graph.vertices)
    other = reordered(graph, order)
    part, parts = some_parts(graph.vertices, seed)
    assert packets(other, part[order], parts) == packets(graph, part, parts)
    assert np.array_equal(usage(other, part[order], parts), usage(graph, part, parts))
    assert sorted(fan_out(other, part[order], parts)) == sorted(fan_out(graph, part, parts))
    sources = other.source[other.source >= 0]
    assert (np.diff(sources[np.argsort(sources, kind="stable")]) >= 0).all()
    assert sorted(order[sources]) == sorted(graph.source[graph.source >= 0])


def test_a_network_without_synapses_can_be_reordered() -> None:
    graph = hypergraph(axons([3], 0, []), 1, 1, shared=False)
    assert reordered(graph, np.array([2, 0, 1])).nets == 3
