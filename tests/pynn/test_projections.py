"""Connectors and synapses give the network, and the spikes, that they give on pyNN.brian2."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyNN import space
from pyNN.core import IndexBasedExpression
from pyNN.random import NumpyRNG, RandomDistribution

import spikec.pynn as sim
from spikec.backends.reference.golden import run_golden
from spikec.ir.text import parse, text
from spikec.ir.verify import verify

from .twins import assert_equal, run_twice


class Close(IndexBasedExpression):  # type: ignore[misc]  # PyNN has no types
    """The probability falls with the difference of the indices."""

    def __call__(self, i: Any, j: Any) -> Any:
        return np.exp(-abs(i - j) / 2)


def rng(seed: int = 11) -> NumpyRNG:
    return NumpyRNG(seed=seed)


MASK = np.add.outer(np.arange(8), 2 * np.arange(8)) % 3 == 0
LISTED = [(0, 1, 0.02, 0.5), (3, 2, 0.03, 1.2), (5, 6, 0.01, 0.3), (2, 6, 0.04, 0.9)]
CONNECTORS: dict[str, Callable[[Any], Any]] = {
    "all to all": lambda m: m.AllToAllConnector(),
    "not to itself": lambda m: m.AllToAllConnector(allow_self_connections=False),
    "one to one": lambda m: m.OneToOneConnector(),
    "probability": lambda m: m.FixedProbabilityConnector(0.4, rng=rng()),
    "distance": lambda m: m.DistanceDependentProbabilityConnector("exp(-d/3)", rng=rng()),
    "displacement": lambda m: m.DisplacementDependentProbabilityConnector(
        lambda d: 0.9 * (d[0] < 3), rng=rng()
    ),
    "index": lambda m: m.IndexBasedProbabilityConnector(Close(), rng=rng()),
    "number post": lambda m: m.FixedNumberPostConnector(3, rng=rng()),
    "number pre": lambda m: m.FixedNumberPreConnector(3, rng=rng()),
    "random number pre": lambda m: m.FixedNumberPreConnector(
        RandomDistribution("binomial", (8, 0.4), rng=rng(3)), rng=rng()
    ),
    "array": lambda m: m.ArrayConnector(MASK),
    "list": lambda m: m.FromListConnector(LISTED, column_names=["weight", "delay"]),
}
SYNAPSES: dict[str, Callable[[], dict[str, Any]]] = {
    "numbers": lambda: {"weight": 0.02, "delay": 0.7},
    "random": lambda: {
        "weight": RandomDistribution("uniform", (0.01, 0.03), rng=rng(5)),
        "delay": RandomDistribution("uniform", (0.2, 2.0), rng=rng(6)),
    },
    "distances": lambda: {"weight": "0.03/(1+d/4)", "delay": "0.2+0.1*d"},
}


def _populations(module: Any, structure: Any = None) -> tuple[Any, Any]:
    module.setup(timestep=0.1)
    times = [np.arange(2.0 + k, 60.0, 5.0 + k / 2) for k in range(8)]
    pre = module.Population(
        8, module.SpikeSourceArray(spike_times=times), structure=structure, label="pre"
    )
    post = module.Population(
        8, module.IF_cond_exp(tau_syn_E=3.0, i_offset=0.4), structure=structure, label="post"
    )
    post.record(["spikes", "v"])
    return pre, post


def _listed(projection: Any, *names: str) -> list[tuple[float, ...]]:
    rows = projection.get([*(names or ("weight", "delay"))], format="list")
    return sorted(tuple(np.round(row, 9)) for row in rows)


@pytest.mark.parametrize("synapse", SYNAPSES)
@pytest.mark.parametrize("connector", CONNECTORS)
def test_a_connector_makes_the_network_of_pynn_brian2(connector: str, synapse: str) -> None:
    found = []

    def script(module: Any) -> dict[str, Any]:
        pre, post = _populations(module, space.Line(dx=1.0))
        projection = module.Projection(
            pre,
            post,
            CONNECTORS[connector](module),
            module.StaticSynapse(**SYNAPSES[synapse]()),
            receptor_type="excitatory",
        )
        found.append(_listed(projection))
        module.run(60.0)
        return {"post": post}

    mine, other = run_twice(script)
    assert found[0]
    assert found[0] == found[1]
    assert_equal(mine, other)


def test_synapses_of_a_total_number_may_join_the_same_cells() -> None:
    pre, post = _populations(sim)
    projection = sim.Projection(
        pre,
        post,
        sim.FixedTotalNumberConnector(200, with_replacement=True, rng=rng()),
        sim.StaticSynapse(weight=0.001, delay=0.5),
    )
    assert len(projection) == 200
    pairs = np.array(projection.get("weight", format="list"))[:, :2]
    assert len(np.unique(pairs, axis=0)) < 64 < 200
    weights = projection.get("weight", format="array", multiple_synapses="sum")
    assert np.nansum(weights) == pytest.approx(0.2)
    assert np.nanmax(weights) > 0.0019


@pytest.mark.parametrize(
    ("operation", "expected"), [("sum", 9.0), ("min", 2.0), ("max", 4.0), ("first", 3.0)]
)
def test_weights_of_synapses_between_the_same_cells_are_joined(
    operation: str, expected: float
) -> None:
    pre, post = _populations(sim)
    rows = [(0, 1, 3.0), (0, 1, 2.0), (0, 1, 4.0), (2, 3, 7.0)]
    projection = sim.Projection(
        pre, post, sim.FromListConnector(rows, column_names=["weight"]), sim.StaticSynapse()
    )
    weights = projection.get("weight", format="array", multiple_synapses=operation)
    assert weights[0, 1] == expected
    assert weights[2, 3] == 7.0
    assert np.isnan(weights).sum() == 62


def test_the_last_of_synapses_between_the_same_cells_is_found() -> None:
    pre, post = _populations(sim)
    rows = [(0, 1, 3.0), (0, 1, 2.0), (0, 1, 4.0)]
    projection = sim.Projection(
        pre, post, sim.FromListConnector(rows, column_names=["weight"]), sim.StaticSynapse()
    )
    assert projection.get("weight", format="array", multiple_synapses="last")[0, 1] == 4.0


def _ends(module: Any, kind: str) -> dict[str, Any]:
    pre, post = _populations(module)
    other = module.Population(4, module.IF_cond_exp(i_offset=0.6), label="other")
    other.record("spikes")
    ends = {
        "views": (pre[1:5], post[2:8:2]),
        "one cell each": (pre[3:4], post[5:6]),
        "assembly": (pre, post + other),
        "assembly of views": (pre[0:3] + pre[4:8], post[1:4] + other[2:4]),
        "recurrent": (post, post),
        "overlapping views": (post[0:6], post[3:8]),
        "from an assembly": (post + other, post),
    }[kind]
    module.Projection(
        *ends,
        module.AllToAllConnector(allow_self_connections=False),
        module.StaticSynapse(weight=0.02, delay=0.6),
        receptor_type="excitatory",
    )
    module.Projection(
        pre, post, module.OneToOneConnector(), module.StaticSynapse(weight=0.05, delay=0.4)
    )
    module.run(60.0)
    return {"post": post, "other": other}


@pytest.mark.parametrize(
    "kind",
    [
        "views",
        "assembly",
        "assembly of views",
        "recurrent",
        "overlapping views",
        "from an assembly",
    ],
)
def test_projections_between_parts_of_populations(kind: str) -> None:
    assert_equal(*run_twice(lambda module: _ends(module, kind)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: sim.OneToOneConnector(),
        lambda: sim.AllToAllConnector(allow_self_connections=False),
        lambda: sim.FixedProbabilityConnector(1.0, callback=lambda share: None),
        lambda: sim.DistanceDependentProbabilityConnector("d<1"),
        lambda: sim.DisplacementDependentProbabilityConnector(lambda d: d[0] < 1),
        lambda: sim.IndexBasedProbabilityConnector(Close()),
        lambda: sim.ArrayConnector(np.array([[True]])),
    ],
)
def test_one_cell_can_be_joined_to_one_cell(make: Callable[[], Any]) -> None:
    """PyNN 0.13 stops in these connectors with numpy 2.1 and later."""
    pre, post = _populations(sim)
    projection = sim.Projection(pre[3:4], post[3:4], make(), sim.StaticSynapse(weight=0.5))
    assert projection.get("weight", format="list") == [(0, 0, 0.5)]


def test_a_clone_has_the_synapses_of_its_model() -> None:
    pre, post = _populations(sim)
    first = sim.Projection(pre, post, sim.FixedProbabilityConnector(0.3, rng=rng()))
    second = sim.Projection(
        pre, post, sim.CloneConnector(first), sim.StaticSynapse(weight=0.3, delay=0.4)
    )
    pairs = [[row[:2] for row in p.get("weight", format="list")] for p in (first, second)]
    assert sorted(pairs[0]) == sorted(pairs[1])
    assert 0 < len(first) < 64


def test_synapses_and_cells_are_counted_from_both_ends() -> None:
    sim.setup(timestep=0.1)
    pre, post = _populations(sim)
    weights = np.arange(1.0, 1.0 + pre.size * post.size).reshape(pre.size, post.size)
    joined = sim.Projection(pre, post, sim.AllToAllConnector(), sim.StaticSynapse(weight=weights))
    listed = [joined[k].weight for k in range(len(joined))]
    assert joined[-1].weight == listed[-1]
    assert [synapse.weight for synapse in joined[1:4]] == listed[1:4]
    both = pre + post
    assert both[-1] == post[-1] and both[pre.size] == post[0]
    assert list(both[[-1, 0]].all_cells) == [pre[0], post[-1]]
    assert list(both[[k == pre.size for k in range(len(both))]].all_cells) == [post[0]]


def test_a_saved_projection_comes_back(tmp_path: Path) -> None:
    pre, post = _populations(sim)
    first = sim.Projection(
        pre, post, CONNECTORS["probability"](sim), sim.StaticSynapse(**SYNAPSES["random"]())
    )
    path = tmp_path / "synapses.txt"
    first.save("connections", str(path))
    again = sim.Projection(pre, post, sim.FromFileConnector(str(path)), sim.StaticSynapse())
    assert _listed(again) == _listed(first)


def test_weights_that_learn_end_as_on_pynn_brian2() -> None:
    found = []

    def script(module: Any) -> dict[str, Any]:
        pre, post = _populations(module)
        learning = module.STDPMechanism(
            timing_dependence=module.SpikePairRule(
                tau_plus=15.0, tau_minus=25.0, A_plus=0.06, A_minus=0.04
            ),
            weight_dependence=module.AdditiveWeightDependence(w_min=0.0, w_max=0.05),
            weight=0.02,
            delay=0.6,
            dendritic_delay_fraction=0.0,
        )
        projection = module.Projection(pre, post, module.AllToAllConnector(), learning)
        module.run(64.0)  # the last spike of the sources, at 60 ms, has arrived
        found.append(projection.get("weight", format="array"))
        return {"post": post}

    assert_equal(*run_twice(script))
    assert np.ptp(found[0]) > 0.001
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)


# Of one pair: the weight 0.02 between 0 and 0.05, with A_plus 0.06 and A_minus 0.04.
PAIRS = {
    ("additive", -1): 0.02 + 0.06 * 0.05 * np.exp(-0.1 / 15),
    ("additive", 0): 0.02 + 0.06 * 0.05,
    ("additive", 1): 0.02 - 0.04 * 0.05 * np.exp(-0.1 / 25),
    ("multiplicative", -1): 0.02 + 0.06 * 0.03 * np.exp(-0.1 / 15),
    ("multiplicative", 0): 0.02 + 0.06 * 0.03,
    ("multiplicative", 1): 0.02 - 0.04 * 0.02 * np.exp(-0.1 / 25),
}


@pytest.mark.parametrize(("rule", "later"), PAIRS)
def test_a_pair_of_spikes_changes_the_weight(rule: str, later: int) -> None:
    """Spikes that meet in a step potentiate, as on pyNN.brian2."""
    sim.setup(timestep=0.1)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[9.3 + 0.1 * later]))
    driver = sim.Population(1, sim.SpikeSourceArray(spike_times=[9.7]))
    post = sim.Population(1, sim.IF_curr_delta(tau_refrac=5.0))
    post.record("spikes")
    bounds = {"w_min": 0.0, "w_max": 0.05}
    kinds = {
        "additive": sim.AdditiveWeightDependence(**bounds),
        "multiplicative": sim.MultiplicativeWeightDependence(**bounds),
    }
    learning = sim.STDPMechanism(
        timing_dependence=sim.SpikePairRule(
            tau_plus=15.0, tau_minus=25.0, A_plus=0.06, A_minus=0.04
        ),
        weight_dependence=kinds[rule],
        weight=0.02,
        delay=0.6,
        dendritic_delay_fraction=0.0,
    )
    projection = sim.Projection(source, post, sim.OneToOneConnector(), learning)
    sim.Projection(
        driver, post, sim.OneToOneConnector(), sim.StaticSynapse(weight=100.0, delay=0.1)
    )
    sim.run(20.0)
    assert [list(t.magnitude) for t in post.get_data().segments[0].spiketrains] == [
        [pytest.approx(9.9)]
    ]
    ((_, _, weight),) = projection.get("weight", format="list")
    assert weight == pytest.approx(PAIRS[rule, later], rel=1e-9)


@pytest.mark.parametrize(
    ("use", "tau_rec", "tau_facil", "tau_syn"),
    [
        (0.3, 200.0, 0.0, 0.5),
        (0.3, 200.0, 300.0, 0.5),
        (0.5, 5.0, 0.0, 5.0),
        (0.9, 30.0, 5.0, 20.0),
    ],
)
def test_weights_that_tire_do_so_by_the_resources_of_tsodyks_and_markram(
    use: float, tau_rec: float, tau_facil: float, tau_syn: float
) -> None:
    sim.setup(timestep=0.1)
    steps = np.sort(np.random.default_rng(3).choice(np.arange(10, 900), 40, replace=False))
    pre = sim.Population(1, sim.SpikeSourceArray(spike_times=steps * 0.1 + 0.05))
    post = sim.Population(1, sim.IF_curr_exp(tau_syn_E=tau_syn, v_thresh=1e3))
    post.record("isyn_exc")
    synapse = sim.TsodyksMarkramSynapse(
        weight=0.7, delay=0.3, U=use, tau_rec=tau_rec, tau_facil=tau_facil
    )
    sim.Projection(pre, post, sim.AllToAllConnector(), synapse, receptor_type="excitatory")
    sim.run(100.0)
    trace = post.get_data().segments[0].analogsignals[0].magnitude[:, 0]
    # Ready, active and inactive resources by the equations of the model, in steps of 0.1 us.
    fine = 1000
    h = 0.1 / fine
    stage = np.eye(3) + h * np.array(
        [[0, 0, 1 / tau_rec], [0, -1 / tau_syn, 0], [0, 1 / tau_syn, -1 / tau_rec]]
    )
    a_step = np.linalg.matrix_power(stage, fine)
    resources, u, current, sent = np.array([1.0, 0.0, 0.0]), 0.0, 0.0, {}
    expected = [0.0]
    for step in range(1000):
        if step in steps:
            u += use * (1 - u)
            part = u * resources[0]
            resources += [-part, part, 0.0]
            sent[step + 3] = 0.7 * part
        current = current * np.exp(-0.1 / tau_syn) + sent.get(step, 0.0)
        expected.append(current)
        resources = a_step @ resources
        u = u * np.exp(-0.1 / tau_facil) if tau_facil else 0.0
    np.testing.assert_allclose(trace, expected, rtol=1e-3, atol=1e-6)


def _script_with_everything() -> tuple[Any, list[np.ndarray[Any, Any]]]:
    pre, post = _populations(sim, space.Grid2D())
    sim.Projection(
        pre, post, CONNECTORS["probability"](sim), sim.StaticSynapse(**SYNAPSES["random"]())
    )
    sim.Projection(
        post, post, sim.FixedNumberPostConnector(2, rng=rng()), sim.StaticSynapse(weight=0.01)
    )
    sim.DCSource(amplitude=0.3, start=10.0, stop=40.0).inject_into(post[0:3])
    sim.run(60.0)
    return post, [np.asarray(t.magnitude) for t in post.get_data().segments[0].spiketrains]


def test_the_graph_of_a_script_is_valid_is_text_and_has_its_spikes() -> None:
    post, trains = _script_with_everything()
    graph, stimulus = sim.capture(), sim.stimulus(60.0)
    verify(graph)
    assert parse(text(graph)) == graph
    events = run_golden(graph, stimulus).spikes[post.label]
    assert events.step.size == sum(map(len, trains)) > 0
    for cell, train in enumerate(trains):
        np.testing.assert_allclose(events.step[events.index == cell] * 0.1, np.sort(train))
