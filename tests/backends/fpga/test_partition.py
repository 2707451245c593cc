"""The split: whole groups, every neuron once, level loads; and what cannot be split is refused."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.fpga.lower import channels_last
from spikec.backends.fpga.partition import Assignment, split
from spikec.ir.connections import Conv2d
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Projection

from .test_choose import layers
from .test_lower import neuron


def groups_of(graph: Graph, assignment: Assignment, lanes: int) -> list[int]:
    """Groups of each core, all populations together."""
    return [
        sum(-(-assignment.members(graph, p.name, k).size // lanes) for p in graph.populations)
        for k in range(assignment.cores)
    ]


@pytest.mark.parametrize("cores", [2, 3, 4, 8])
@pytest.mark.parametrize("lanes", [1, 4, 6])
def test_runs_of_whole_groups_level_the_cores(cores: int, lanes: int) -> None:
    graph = layers(30, 61, 48, 10)
    assignment = split(graph, cores, lanes, 1, 0.1)
    for population in graph.populations:
        core = assignment.core[population.name]
        assert core.shape == (population.size,)
        cuts = np.flatnonzero(np.diff(core)) + 1
        assert not (cuts % lanes).any()
        # One run a core at most.
        assert len(cuts) + 1 == np.unique(core).size
        parts = [assignment.members(graph, population.name, k) for k in range(cores)]
        assert sorted(np.concatenate(parts).tolist()) == list(range(population.size))
    groups = groups_of(graph, assignment, lanes)
    assert min(groups) > 0
    # All groups cost about the same here: sources differ by 13 to 61 of 10 % each.
    assert max(groups) - min(groups) <= 1 + max(groups) // 4
    assert assignment.load > 0


def test_more_cores_have_less_to_do_each() -> None:
    graph = layers(100, 128, 64)
    loads = [split(graph, cores, 4, 1, 0.1).load for cores in (2, 4, 8)]
    assert loads[0] > 1.9 * loads[1] > 3.5 * loads[2]


def test_the_same_network_is_split_the_same_way() -> None:
    one, two = (split(layers(30, 61, 10), 3, 4, 2, 0.1) for _ in range(2))
    assert all((one.core[name] == two.core[name]).all() for name in one.core)


@pytest.mark.parametrize("cores", [2, 3, 4])
def test_no_core_stays_empty_with_just_enough_groups(cores: int) -> None:
    """Also when one population alone would fill the cores unevenly."""
    for sizes in ((5, 4 * cores), (5, 4 * (cores - 1), 3), (50, 4, *(1,) * (cores - 1))):
        graph = layers(*sizes)
        assert min(groups_of(graph, split(graph, cores, 4, 1, 0.1), 4)) == 1


def test_fewer_groups_than_cores_are_refused() -> None:
    with pytest.raises(SpikecError, match=r"E0310: the network has 3 group\(s\) of 8 neurons") as e:
        split(layers(5, 16, 3), 4, 8, 1, 0.1)
    assert "--cores 3" in str(e.value)


def test_neighbours_of_a_convolution_stay_together() -> None:
    """Cores get strips of the image with all its channels."""
    kernel = np.ones((4, 1, 3, 3), np.int64)
    convolution = Conv2d(kernel, (1, 10, 10))
    population = Population("p", convolution.out_shape, neuron())
    graph = Graph(
        "c",
        1e-3,
        (Input("in", (1, 10, 10)),),
        (population,),
        (Projection("w", "in", "p", convolution),),
        (Output("o", "p"),),
    )
    rank = channels_last(graph, population)
    assert rank is not None
    assignment = split(graph, 4, 4, 1, 0.1)
    for k in range(4):
        own = rank[assignment.members(graph, "p", k)]
        assert (np.diff(own) == 1).all()
        assert own.size == 64
