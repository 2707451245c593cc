"""Synapses made in one go are those that PyNN's connector makes one post cell after another."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyNN import connectors
from pyNN.random import NumpyRNG, RandomDistribution

import spikec.pynn as sim
from spikec.ir.diagnostics import SpikecError
from spikec.pynn.projections import Projection

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


def assert_same(theirs: Projection, ours: Projection) -> None:
    assert np.array_equal(theirs.pre_index, ours.pre_index)
    assert np.array_equal(theirs.post_index, ours.post_index)
    for name in ("weight", "delay"):
        assert np.array_equal(theirs.values(name), ours.values(name))


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
    assert_same(theirs, ours)
    size = rows if recurrent else columns
    assert (len(ours) > 0) == (p > 0) and (p < 1 or len(ours) == size * (rows - recurrent))


@pytest.mark.parametrize("connector", [connectors.OneToOneConnector, connectors.AllToAllConnector])
def test_one_cell_connects(connector: Callable[[], Any]) -> None:
    sim.setup()
    pre, post = (sim.Population(1, sim.IF_cond_exp()) for _ in range(2))
    made = sim.Projection(pre, post, connector(), sim.StaticSynapse(weight=0.1, delay=0.5))
    assert made.get(["weight", "delay"], "list") == [(0, 0, 0.1, 0.5)]


NUMBERS: dict[str, Callable[[int, NumpyRNG], Any]] = {
    "fixed": lambda n, rng: n,
    "drawn": lambda n, rng: RandomDistribution("uniform_int", (1, n + 2), rng=NumpyRNG(seed=2)),
    "or none": lambda n, rng: RandomDistribution("binomial", (n, 0.5), rng=NumpyRNG(seed=2)),
    "out of the same stream": lambda n, rng: RandomDistribution("poisson", (n + 1.0,), rng=rng),
}
ENDS: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "two": lambda a, b: (a, b),
    "recurrent": lambda a, b: (a, a),
    "views": lambda a, b: (a[1:], b[::2]),
    "a view of itself": lambda a, b: (a[:-1], a[:-1]),
    "backwards": lambda a, b: (a, b[np.arange(b.size)[::-1]]),
    "an assembly": lambda a, b: (a + b, a + b),
}
SYNAPSES: dict[str, Callable[[NumpyRNG], dict[str, Any]]] = {
    "shared": lambda rng: PARAMETERS["shared"](),
    "both": lambda rng: PARAMETERS["both"](),
    "clipped": lambda rng: PARAMETERS["clipped"](),
    "distance": lambda rng: PARAMETERS["distance"](),
    "same stream": lambda rng: {
        "weight": RandomDistribution("exponential", (0.2,), rng=rng),
        "delay": 0.5,
    },
}


def _chosen(
    module: Any,
    side: str,
    sizes: tuple[int, int],
    number: Any,
    ends: Any,
    synapses: Any,
    rng: NumpyRNG,
    **options: bool,
) -> Projection | str:
    """The projection, or the code with which it is refused."""
    sim.setup(timestep=0.1)
    pre, post = ends(*(sim.Population(size, sim.IF_cond_exp()) for size in sizes))
    connector = getattr(module, f"FixedNumber{side}Connector")(number, rng=rng, **options)
    try:
        return Projection(
            pre, post, connector, sim.StaticSynapse(**synapses), receptor_type="excitatory"
        )
    except SpikecError as error:
        return error.diagnostics[0].code


@settings(max_examples=150, deadline=None)
@given(
    side=st.sampled_from(["Pre", "Post"]),
    sizes=st.tuples(st.integers(3, 40), st.integers(3, 40)),
    n=st.integers(0, 45),
    number=st.sampled_from(sorted(NUMBERS)),
    ends=st.sampled_from(sorted(ENDS)),
    synapses=st.sampled_from(sorted(SYNAPSES)),
    itself=st.booleans(),
    again=st.booleans(),
    parallel=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_chosen_cells_are_those_of_pynns_connectors(
    side: str,
    sizes: tuple[int, int],
    n: int,
    number: str,
    ends: str,
    synapses: str,
    itself: bool,
    again: bool,
    parallel: bool,
    seed: int,
) -> None:
    """And the generators are left where PyNN's would be, so that what follows is the same."""
    made: list[Any] = []
    left = []
    for module in (connectors, sim):
        rng = NumpyRNG(seed=seed, parallel_safe=parallel)
        rng.next(seed % 5, "normal", {"mu": 0.0, "sigma": 1.0})
        how_many = NUMBERS[number](n, rng)
        options = {"allow_self_connections": itself, "with_replacement": again}
        made.append(
            _chosen(
                module, side, sizes, how_many, ENDS[ends], SYNAPSES[synapses](rng), rng, **options
            )
        )
        drawn = [how_many.rng] if isinstance(how_many, RandomDistribution) else []
        left.append([generator.next(3).tolist() for generator in (rng, *drawn)])
    theirs, ours = made
    if isinstance(theirs, str) or isinstance(ours, str):
        assert theirs == ours
        return
    assert_same(theirs, ours)
    assert left[0] == left[1]


@pytest.mark.parametrize("side", ["Pre", "Post"])
@pytest.mark.parametrize("itself", [False, True])
def test_many_chosen_cells_are_those_of_pynns_connectors(side: str, itself: bool) -> None:
    made = [
        _chosen(
            module,
            side,
            (1500, 1500),
            30,
            ENDS["recurrent"],
            PARAMETERS["both"](),
            NumpyRNG(seed=7),
            allow_self_connections=itself,
        )
        for module in (connectors, sim)
    ]
    theirs, ours = made
    assert isinstance(theirs, Projection) and isinstance(ours, Projection)
    assert_same(theirs, ours)
    assert len(ours) == 45000
    chosen = (ours.post_index if side == "Pre" else ours.pre_index).astype(np.int64)
    assert (np.bincount(chosen) == 30).all()
    assert ((ours.pre_index == ours.post_index).sum() > 0) == itself
