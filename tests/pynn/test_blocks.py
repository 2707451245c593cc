"""Synapses made in one go are those that PyNN's connector makes one post cell after another."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pyNN import connectors
from pyNN.random import NumpyRNG, RandomDistribution

import spikec.pynn as sim

PARAMETERS: dict[str, Callable[[], dict[str, Any]]] = {
    "shared": lambda: {"weight": 0.01, "delay": 0.5},
    "weights": lambda: {
        "weight": RandomDistribution("normal", (1.0, 0.01), rng=NumpyRNG(seed=3)),
        "delay": 0.5,
    },
    "both": lambda: {
        "weight": RandomDistribution("gamma", (1.0, 0.2), rng=NumpyRNG(seed=3)),
        "delay": RandomDistribution("uniform", (0.3, 2.0), rng=NumpyRNG(seed=8)),
    },
    "clipped": lambda: {  # redraws, so it cannot be made in one go
        "weight": RandomDistribution("normal_clipped", (1, 0.5, 0.5, 2), rng=NumpyRNG(seed=3)),
        "delay": 0.5,
    },
    "distance": lambda: {"weight": "0.1/(1+d/20)", "delay": "0.2+d/50"},
}


@pytest.mark.parametrize("parameters", PARAMETERS.values(), ids=PARAMETERS)
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize(
    ("rows", "columns", "p"), [(7, 5, 0.3), (100, 37, 0.02), (624, 11, 1.0), (50, 50, 0.0)]
)
def test_synapses_are_those_of_pynns_connector(
    parameters: Callable[[], dict[str, Any]], recurrent: bool, rows: int, columns: int, p: float
) -> None:
    made = []
    for kind in (connectors.FixedProbabilityConnector, sim.FixedProbabilityConnector):
        sim.setup(timestep=0.1)
        pre = sim.Population(rows, sim.IF_cond_exp())
        post = pre if recurrent else sim.Population(columns, sim.IF_cond_exp())
        rng = NumpyRNG(seed=4)
        rng.next(5)
        connector = kind(p, rng=rng, allow_self_connections=not recurrent)
        made.append(
            sim.Projection(
                pre,
                post,
                connector,
                sim.StaticSynapse(**parameters()),
                receptor_type="excitatory",
            )
        )
    theirs, ours = made
    assert np.array_equal(theirs.pre_index, ours.pre_index)
    assert np.array_equal(theirs.post_index, ours.post_index)
    for name in ("weight", "delay"):
        assert np.array_equal(theirs.values(name), ours.values(name))
    size = rows if recurrent else columns
    assert (len(ours) > 0) == (p > 0) and (p < 1 or len(ours) == size * (rows - recurrent))


@pytest.mark.parametrize("connector", [connectors.OneToOneConnector, connectors.AllToAllConnector])
def test_one_cell_connects(connector: Callable[[], Any]) -> None:
    sim.setup()
    pre, post = (sim.Population(1, sim.IF_cond_exp()) for _ in range(2))
    made = sim.Projection(pre, post, connector(), sim.StaticSynapse(weight=0.1, delay=0.5))
    assert made.get(["weight", "delay"], "list") == [(0, 0, 0.1, 0.5)]
