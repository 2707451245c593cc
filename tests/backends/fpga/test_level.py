"""Neurons in other places: the same ones in as many of each core, and shorter rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.fpga.cluster import lower_cluster, place_cluster
from spikec.backends.fpga.level import level
from spikec.backends.fpga.lower import Build, integer_neuron
from spikec.backends.fpga.partition import Assignment, split
from spikec.compiler.connectivity import to_sparse
from spikec.ir.connections import Dense
from spikec.ir.graph import Graph

from .test_choose import layers, recurrent_sparse

Integers = npt.NDArray[np.int64]


def lengths(graph: Graph, assignment: Assignment, lanes: int, units: int) -> Integers:
    """By core, the sum over rows of the synapses in the fullest lane, from the definition."""
    places = place_cluster(graph, assignment, lanes, units)[2]
    found = np.zeros(assignment.cores, np.int64)
    sizes = {i.name: i.size for i in graph.inputs} | {p.name: p.size for p in graph.populations}
    for name, size in sizes.items():
        count = np.zeros((size, assignment.cores, lanes), np.int64)
        for projection in graph.outgoing(name):
            population = graph.population(projection.post)
            lane, core = places.places(population) % lanes, assignment.core[population.name]
            joined = to_sparse(projection.connection).toarray() != 0
            for post in range(population.size):
                count[:, core[post], lane[post]] += joined[:, post]
        found += count.max(2).sum(0)
    return found


@pytest.mark.parametrize(("cores", "lanes", "units"), [(2, 8, 2), (3, 4, 1), (4, 12, 4)])
def test_rows_become_shorter_and_cores_stay_as_large(cores: int, lanes: int, units: int) -> None:
    graph = recurrent_sparse(200, 32)
    before = split(graph, cores, lanes, units, 0.1)
    after = level(graph, before, lanes, units)
    assert np.bincount(after.core["p"]).tolist() == np.bincount(before.core["p"]).tolist()
    parts = [after.members(graph, "p", k) for k in range(cores)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(200))
    long, short = (lengths(graph, a, lanes, units) for a in (before, after))
    assert short.max() < 0.93 * long.max()
    core = lower_cluster(graph, Build(lanes, units), after)
    assert [int(part.words.issued.sum()) for part in core.parts] == short.tolist()


def test_the_same_neurons_move_each_time() -> None:
    graph = recurrent_sparse(100, 16)
    before = split(graph, 2, 4, 2, 0.1)
    one, two = (level(graph, before, 4, 2) for _ in range(2))
    assert (one.rank["p"] == two.rank["p"]).all() and (one.core["p"] == two.core["p"]).all()
    assert (one.rank["p"] != np.arange(100)).any()


def test_two_synapses_of_a_row_count_twice() -> None:
    """A second projection between the same neurons, from the same rows."""
    graph = recurrent_sparse(120, 20)
    first = graph.projections[1]
    graph = replace(graph, projections=(*graph.projections, replace(first, name="again", delay=3)))
    before = split(graph, 2, 8, 2, 0.1)
    after = level(graph, before, 8, 2)
    long, short = (lengths(graph, a, 8, 2) for a in (before, after))
    assert short.max() < 0.95 * long.max()


def test_neurons_that_differ_move_only_where_none_shares_a_cycle_with_another() -> None:
    graph = layers(20, 32, 16)
    dense = graph.projections[0].connection
    assert isinstance(dense, Dense)
    weight = np.array(dense.weight)
    weight[np.random.default_rng(2).random(weight.shape) < 0.7] = 0
    sparse = replace(graph.projections[0], connection=Dense(weight))
    one, two = graph.populations
    other = replace(integer_neuron(one), threshold=np.repeat([50, 60], 16))
    graph = replace(
        graph,
        populations=(replace(one, neuron=other), two),
        projections=(sparse, *graph.projections[1:]),
    )
    before = split(graph, 2, 4, 2, 0.1)
    assert set(level(graph, before, 4, 2).rank) == {"p1"}
    assert set(level(graph, before, 4, 1).rank) == {"p0", "p1"}
    lower_cluster(graph, Build(4, 2), level(graph, before, 4, 2))
