"""First parts keep the limits that they are grown under."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.mapping.grow import grown, streamed
from spikec.compiler.mapping.hypergraph import hypergraph
from spikec.compiler.mapping.limits import UNLIMITED, Caps
from spikec.compiler.mapping.refine import usage

from .wild import wild

SEEDS = st.integers(0, 2**32 - 1)


@given(
    seed=SEEDS,
    mixed=st.booleans(),
    neurons=st.sampled_from([1, 3, 8, UNLIMITED]),
    axons=st.sampled_from([1, 5, 20, UNLIMITED]),
    bits=st.sampled_from([1, 90, 900, UNLIMITED]),
)
@settings(max_examples=100)  # fmt: skip
def test_streamed_parts_are_within_the_limits(
    seed: int, mixed: bool, neurons: int, axons: int, bits: int
) -> None:
    graph = hypergraph(wild(seed), 5, 9, shared=True)
    part, rank, kept = streamed(graph, Caps(neurons, axons, bits=bits, mixed=mixed))
    assert part.min() >= 0
    assert sorted(rank) == list(range(graph.vertices))
    assert (np.diff(part[np.argsort(rank)]) >= 0).all()
    number = np.unique(part, return_inverse=True)[1]
    parts = int(number.max()) + 1
    use = usage(graph, number.astype(np.int32), parts)
    many = use[:, 0] > 1
    # A vertex that is beyond a limit alone is alone.
    inside = use <= np.array([neurons, axons, UNLIMITED, bits])
    assert inside[many].all() and inside.all() == kept
    assert mixed or len(set(zip(part.tolist(), graph.colour.tolist(), strict=True))) == parts


@given(seed=SEEDS)
@settings(max_examples=40)
def test_streamed_parts_are_full(seed: int) -> None:
    graph = hypergraph(wild(seed), 5, 9, shared=True)
    part = streamed(graph, Caps(7)).part
    assert np.unique(part).size == -(-graph.vertices // 7)


@given(seed=SEEDS, parts=st.integers(1, 12), mixed=st.booleans())
@settings(max_examples=80)
def test_grown_parts_are_no_larger_than_a_core(seed: int, parts: int, mixed: bool) -> None:
    graph = hypergraph(wild(seed), 5, 9, shared=True)
    most = -(-graph.vertices // parts) + 1
    part = grown(graph, parts, Caps(most, mixed=mixed), 0.9)
    assert part.min() >= 0 and part.max() < parts
    if mixed:
        assert np.bincount(part).max() <= most
