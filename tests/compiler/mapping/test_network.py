"""The axons of a graph are its synapses, with their delays and kernels."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.boards.chip import load_chip
from spikec.compiler.connectivity import delays, to_sparse
from spikec.compiler.mapping.axons import Window
from spikec.compiler.mapping.network import axons_of
from spikec.ir.connections import (
    Chain,
    Connection,
    Conv1d,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    OneToOne,
    Scale,
    SumPool2d,
)
from spikec.ir.diagnostics import Location, SpikecError
from spikec.ir.graph import Graph, Input, Population, Projection
from spikec.ir.loihi import LoihiWeights
from spikec.ir.neurons import IF

from ..test_connectivity import connections

ONE = np.asarray(1.0)
LOIHI, SPINNAKER = load_chip("loihi1"), load_chip("spinnaker1")


def graph(*connection: Connection, delay: int = 1) -> Graph:
    """For each connection an input, a population, and a projection from one to the other; the
    first population has one to itself as well.
    """
    inputs = tuple(Input(f"in{i}", c.in_shape) for i, c in enumerate(connection))
    populations = tuple(
        Population(f"p{i}", c.out_shape, IF(ONE, ONE), at=Location("f", f"p{i}"))
        for i, c in enumerate(connection)
    )
    projections = [
        Projection(f"b{i}", f"in{i}", f"p{i}", c, delay + i, at=Location("f", f"b{i}"))
        for i, c in enumerate(connection)
    ]
    shape = populations[0].shape
    projections.append(Projection("loop", "p0", "p0", OneToOne(ONE, shape), 2))
    return Graph("g", 1e-3, inputs, populations, tuple(projections), ())


@given(st.lists(connections(), min_size=1, max_size=3), st.integers(1, 3))
@settings(max_examples=100)
def test_axons_are_the_synapses(parts: list[Connection], delay: int) -> None:
    g = graph(*parts, delay=delay)
    try:
        for connection in parts:
            delays(connection)
    except SpikecError:
        # No single delay for each synapse.
        with pytest.raises(SpikecError, match="E0301"):
            axons_of(g, LOIHI, 7)
        return
    network = axons_of(g, LOIHI, 7)
    assert network.weight_bits == 7
    assert [(n.name, n.size) for n in network.nodes] == [
        *((p.name, p.size) for p in g.populations),
        *((i.name, i.size) for i in g.inputs),
    ]
    assert network.neurons == sum(p.size for p in g.populations)
    assert network.sources == network.neurons + sum(i.size for i in g.inputs)
    assert network.rate.tolist() == [1] * network.sources
    first = {n.name: n.first for n in network.nodes}
    for bundle, projection in zip(network.bundles, g.projections, strict=True):
        matrix = to_sparse(projection.connection).tocoo()
        before, behind = delays(projection.connection)
        expected = [
            (first[projection.pre] + i, first[projection.post] + j, projection.delay + p)
            for i, j, p in zip(
                matrix.row.tolist(),
                matrix.col.tolist(),
                (before[matrix.row] + behind[matrix.col]).tolist(),
                strict=True,
            )
        ]
        source = bundle.first + np.repeat(np.arange(bundle.ptr.size - 1), np.diff(bundle.ptr))
        steps = np.broadcast_to(bundle.delay, bundle.target.shape)
        found = zip(source.tolist(), bundle.target.tolist(), steps.tolist(), strict=True)
        assert sorted(found) == sorted(expected)
        assert (bundle.name, bundle.at) == (projection.name, projection.at)
    assert network.describe(network.neurons - 1).startswith("neuron ")


def test_delays_that_are_alike_take_no_place_for_each_synapse() -> None:
    dense = Dense(np.ones((4, 3)))
    even = Chain((Delay(np.full(3, 2), (3,)), dense, Delay(np.array(1), (4,))))
    uneven = Chain((Delay(np.array([0, 1, 2]), (3,)), dense, Delay(np.array([5, 0, 0, 0]), (4,))))
    one, other, _ = axons_of(graph(even, uneven), LOIHI, 8).bundles
    assert one.delay.shape == () and one.delay == 4
    assert other.delay.reshape(3, 4).tolist() == [[7, 2, 2, 2], [8, 3, 3, 3], [9, 4, 4, 4]]


WEIGHT = np.array([[[[1.0, 0.0], [2.0, 0.0]]]])


@pytest.mark.parametrize(
    ("connection", "kernel"),
    [
        (Conv2d(WEIGHT, (1, 4, 4)), 2),
        (Chain((Conv2d(WEIGHT, (1, 4, 4)), Flatten((1, 3, 3)))), 2),
        (Chain((Conv2d(WEIGHT, (1, 4, 4)), Scale(np.array(2.0), (1, 3, 3)))), 2),
        (Chain((Conv2d(WEIGHT, (1, 4, 4)), Conv2d(WEIGHT, (1, 3, 3)))), 0),
        (Chain((Conv2d(WEIGHT, (1, 4, 4)), Flatten((1, 3, 3)), Dense(np.ones((2, 9))))), 0),
        (Dense(np.ones((2, 9))), 0),
    ],
    ids=["conv", "flattened", "scaled", "two", "dense", "plain"],
)
def test_kernels_are_the_weights_that_synapses_share(connection: Connection, kernel: int) -> None:
    assert axons_of(graph(connection), LOIHI, 8).bundles[0].kernel == kernel


def test_inputs_take_places_where_the_machine_has_them_in_cores() -> None:
    g = graph(Dense(np.ones((2, 3))), Dense(np.ones((1, 4))))
    assert axons_of(g, LOIHI, 8).neurons == 3
    placed = axons_of(g, SPINNAKER, 8)
    assert placed.neurons == placed.sources == 3 + 7


def test_rates_are_those_of_their_nodes() -> None:
    g = graph(Dense(np.ones((2, 3))))
    network = axons_of(g, LOIHI, 8, {"in0": np.array([7, 8, 9]), "p0": np.array([5, 0])})
    assert network.rate.tolist() == [5, 0, 7, 8, 9]
    assert axons_of(g, LOIHI, 8, {"in0": np.array([7, 8, 9])}).rate.tolist() == [1, 1, 7, 8, 9]
    assert prod(g.populations[0].shape) == 2


@pytest.mark.parametrize(
    ("connection", "window"),
    [
        (
            Conv2d(np.ones((4, 2, 3, 5)), (2, 9, 11), (2, 1), ((1, 0), (0, 2))),
            Window(9, 11, 4, 9, 2, 1, 3, 5),
        ),
        (Conv1d(np.ones((4, 2, 3)), (2, 9), 2), Window(1, 9, 1, 4, 1, 2, 1, 3)),
        (
            Chain((Conv1d(np.ones((4, 2, 3)), (2, 9)), Flatten((4, 7)))),
            Window(1, 9, 1, 7, 1, 1, 1, 3),
        ),
        # What is before or behind a kernel makes other weights of it.
        (
            Chain(
                (SumPool2d((1, 8, 8), (2, 2), (2, 2)), Conv2d(np.ones((1, 1, 3, 3)), (1, 4, 4)))
            ),
            None,
        ),
        (Dense(np.ones((3, 4))), None),
    ],
)  # fmt: skip
def test_a_convolution_alone_has_a_window(connection: Connection, window: Window | None) -> None:
    bundle, *_ = axons_of(graph(connection), LOIHI, 8).bundles
    assert bundle.window == window
    assert bundle.weight_bits == 0


def test_words_say_how_wide_weights_are() -> None:
    plain = graph(Dense(np.full((3, 4), 2)))
    words = tuple(replace(p, words=LoihiWeights(5)) for p in plain.projections)
    axons = axons_of(replace(plain, projections=words), LOIHI, 8)
    assert [bundle.weight_bits for bundle in axons.bundles] == [5, 5]
    assert axons.in_words and not axons_of(plain, LOIHI, 8).in_words
