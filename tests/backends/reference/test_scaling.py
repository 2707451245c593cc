"""Synaptic scaling on the golden rung, against its definition, synapse by synapse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import exp
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.reference.golden import run_golden
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.ir.connections import Connection, Dense, OneToOne, Sparse
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.homeostasis import Norm, Occasion, Scaling
from spikec.ir.integer_plasticity import IntegerPairSTDP
from spikec.ir.neurons import IF
from spikec.ir.plasticity import (
    ORDERS,
    Coincidence,
    PairSTDP,
    Plasticity,
    Rule,
    Trace,
    TraceSTDP,
    TripletSTDP,
    sides,
)
from spikec.ir.text import digest, parse, text
from spikec.ir.verify import verify

Real = npt.NDArray[np.float64]

DT = 1e-3
FORCE = 1e6  # of a teacher, whatever the weights are
RULE = PairSTDP(0.05, 0.03, 4e-3, 6e-3)


def network(connection: Connection, plasticity: Plasticity, delay: int = 0) -> Graph:
    pre, post = connection.in_shape[0], connection.out_shape[0]
    return Graph(
        "scaled",
        DT,
        (Input("in", (pre,)), Input("teacher", (post,))),
        (Population("cell", (post,), IF(np.asarray(1.0), np.asarray(1e3))),),
        (
            Projection("w", "in", "cell", connection, delay, plasticity=plasticity),
            Projection("t", "teacher", "cell", OneToOne(np.asarray(FORCE), (post,))),
        ),
        (Output("out", "cell"),),
    )


def stimulus(pre: Any, post: Any) -> Stimulus:
    """Trains (samples, steps, neurons) of zeros and ones."""
    lines = {"in": pre, "teacher": post}
    return Stimulus({name: Events.from_dense(np.asarray(x, int)) for name, x in lines.items()})


NORMS: dict[Norm, Callable[[Real], float]] = {
    Norm.SUM: lambda w: float(w.sum()),
    Norm.ABSOLUTE: lambda w: float(np.abs(w).sum()),
    Norm.POSITIVE: lambda w: float(w[w > 0].sum()),
}


def scaled(w: Real, plasticity: Plasticity) -> Real:
    """A column after scaling: its plastic weights."""
    assert plasticity.scaling is not None
    norm = NORMS[plasticity.scaling.norm](w)
    if norm * plasticity.scaling.target <= 0:
        return w
    return np.clip(w * plasticity.scaling.target / norm, plasticity.w_min, plasticity.w_max)


def defined(
    w: Real, on: npt.NDArray[Any], given: Stimulus, plasticity: Plasticity, delay: int, phases: Any
) -> Real:
    """Weights (samples, pre, post) after each sample; ``on`` says which are plastic."""
    rule, scaling = plasticity.rule, plasticity.scaling
    assert isinstance(rule, PairSTDP) and scaling is not None
    w, found, change = w.copy(), [], np.zeros_like(w)
    every_i, every_j, nobody = np.arange(w.shape[0]), np.arange(w.shape[1]), np.zeros(0, int)
    for sample, learns in enumerate(phases):
        pre, post = (given.inputs[name].dense(sample) for name in ("in", "teacher"))
        x, y = np.zeros(w.shape[0]), np.zeros(w.shape[1])
        axonal, dendritic = sides(rule, delay)
        for step in range(len(pre) + delay):
            reading, spiking = (
                np.flatnonzero(train[step - late]) if 0 <= step - late < len(train) else nobody
                for train, late in ((pre, axonal), (post, dendritic))
            )
            for letter in ORDERS[rule.coincidence]:
                if letter == "P" and learns:
                    change[...] = -rule.a_minus * y
                    change[np.setdiff1d(every_i, reading)] = 0
                elif letter == "Q" and learns:
                    change[...] = rule.a_plus * x[:, None]
                    change[:, np.setdiff1d(every_j, spiking)] = 0
                elif letter == "X":
                    x[reading] += 1
                    continue
                elif letter == "Y":
                    y[spiking] += 1
                    continue
                else:
                    continue
                w[on] = np.clip(w + change, plasticity.w_min, plasticity.w_max)[on]
            if learns and scaling.occasion is Occasion.SPIKE:
                for j in spiking:
                    w[on[:, j], j] = scaled(w[on[:, j], j], plasticity)
            x *= exp(-DT / rule.tau_plus)
            y *= exp(-DT / rule.tau_minus)
        if learns and scaling.occasion is Occasion.SAMPLE:
            for j in range(w.shape[1]):
                w[on[:, j], j] = scaled(w[on[:, j], j], plasticity)
        found.append(w.copy())
    return np.array(found)


@pytest.mark.parametrize("occasion", Occasion)
@settings(max_examples=10, deadline=None)
@given(st.data())
def test_it_is_what_its_definition_says(occasion: Occasion, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    shape = data.draw(st.integers(2, 5)), data.draw(st.integers(1, 4))
    norm = data.draw(st.sampled_from(Norm))
    low = data.draw(st.sampled_from([0.0, -1.0]))
    targets = [0.7, -0.5] if norm is Norm.SUM and low else [0.4, 0.9]
    target = data.draw(st.sampled_from(targets))
    delay, fraction = data.draw(st.sampled_from([(0, 1.0), (1, 1.0), (2, 0.5), (3, 1.0), (2, 0.0)]))
    meets = list(Coincidence) if delay * fraction else [Coincidence.POTENTIATE, Coincidence.NONE]
    coincidence = data.draw(st.sampled_from(meets))
    rule = replace(RULE, dendritic_delay_fraction=fraction, coincidence=coincidence)
    there = rng.random(shape) < 0.8
    there.flat[0] = True
    on = there & (rng.random(shape) < 0.8)
    on.flat[0] = True
    w = np.where(there, rng.uniform(low, 1.0, shape), 0.0)
    scaling = Scaling(target, occasion, norm)
    i, j = np.nonzero(there)
    if data.draw(st.booleans()):
        connection: Connection = Dense(w.T)
        plasticity = Plasticity(rule, low, 1.0, on.T, scaling=scaling)
    else:
        starts = np.searchsorted(i, np.arange(shape[0] + 1))
        connection = Sparse(*shape, starts, j.astype(np.int32), w[there])
        plasticity = Plasticity(rule, low, 1.0, on[there], scaling=scaling)

    graph = network(connection, plasticity, delay)
    given_trains = stimulus(*((rng.random((3, 9, n)) < 0.4) for n in shape))
    phases = data.draw(st.sampled_from([[True, True, True], [True, False, True], [False] * 3]))
    run = run_golden(
        graph, given_trains, learning=phases, record_weights="samples", codegen="numpy"
    )
    wanted = defined(w, on, given_trains, plasticity, delay, phases)
    wanted = wanted.transpose(0, 2, 1) if isinstance(connection, Dense) else wanted[:, i, j]
    assert run.weights["w"] == pytest.approx(wanted, rel=1e-11, abs=1e-13)
    assert parse(text(graph)) == graph


@pytest.mark.parametrize(
    ("norm", "codegen"),
    [*((norm, "numpy") for norm in Norm), (Norm.POSITIVE, "standalone")],
)
def test_the_norm_is_the_target_after_every_sample(norm: Norm, codegen: Any) -> None:
    """No weight meets a rail: what is left is rounding, a few parts in 2^53."""
    rng = np.random.default_rng(4)
    w = rng.uniform(-0.2 if norm is Norm.ABSOLUTE else 0.1, 0.4, (6, 20))
    plasticity = Plasticity(RULE, -50.0, 50.0, scaling=Scaling(7.5, norm=norm))
    trains = stimulus(*((rng.random((5, 12, n)) < 0.3) for n in (20, 6)))
    run = run_golden(
        network(Dense(w), plasticity), trains, record_weights="samples", codegen=codegen
    )
    after = run.weights["w"]
    assert after.shape == (5, 6, 20) and not np.allclose(after[0], after[1])
    for sample in after:
        for column in sample:
            assert NORMS[norm](column) == pytest.approx(7.5, rel=20 * 2.0**-53, abs=0)


def test_on_a_spike_only_the_neuron_that_spikes_is_scaled() -> None:
    w = np.array([[0.5, 0.25], [0.5, 0.25]])
    idle = PairSTDP(0.0, 0.0, 1e-3, 1e-3)
    plasticity = Plasticity(idle, 0.0, 1.0, scaling=Scaling(1.5, Occasion.SPIKE))
    post = np.zeros((1, 3, 2))
    post[0, 1, 1] = 1
    run = run_golden(network(Dense(w), plasticity), stimulus(np.zeros((1, 3, 2)), post))
    assert run.weights["w"][0].tolist() == [[0.5, 0.25], [1.0, 0.5]]


def test_on_a_spike_what_it_has_changed_is_scaled_too() -> None:
    """0.5 + 0.3 and 0.25 become 1.2 / 1.05 of that; unscaled before, they would end at 1.4."""
    one = np.zeros((1, 3, 2))
    one[0, 1, 0] = 1
    plasticity = Plasticity(
        PairSTDP(0.3, 0.0, 1e-3, 1e-3), 0.0, 1.0, scaling=Scaling(1.2, Occasion.SPIKE)
    )
    run = run_golden(
        network(Dense(np.array([[0.5, 0.25]])), plasticity), stimulus(one, one[..., :1])
    )
    assert run.weights["w"][0, 0] == pytest.approx(
        [0.8 * 1.2 / 1.05, 0.25 * 1.2 / 1.05], rel=1e-15, abs=0
    )


def test_a_weight_that_meets_a_rail_is_held_there() -> None:
    w = np.array([[0.8, 0.2]])
    idle = PairSTDP(0.0, 0.0, 1e-3, 1e-3)
    plasticity = Plasticity(idle, 0.0, 1.0, scaling=Scaling(1.5))
    none = stimulus(np.zeros((3, 2, 2)), np.zeros((3, 2, 1)))
    run = run_golden(network(Dense(w), plasticity), none, record_weights="samples")
    assert run.weights["w"][:, 0] == pytest.approx(
        np.array([[1.0, 0.3], [1.0, 0.45 / 1.3], [1.0, 27 / 70]]), rel=1e-14, abs=0
    )


def test_nothing_and_what_has_the_other_sign_are_left_alone() -> None:
    w = np.array([[0.0, 0.0], [-0.5, 0.1]])
    idle = PairSTDP(0.0, 0.0, 1e-3, 1e-3)
    plasticity = Plasticity(idle, -1.0, 1.0, scaling=Scaling(1.5))
    none = stimulus(np.zeros((2, 2, 2)), np.zeros((2, 2, 2)))
    run = run_golden(network(Dense(w), plasticity), none)
    assert np.array_equal(run.weights["w"][0], w)


def test_two_projections_into_one_population_have_a_target_each() -> None:
    graph = network(Dense(np.full((2, 3), 0.2)), Plasticity(RULE, 0.0, 5.0, scaling=Scaling(0.9)))
    other = replace(
        graph.projections[0],
        name="more",
        connection=Dense(np.full((2, 3), 0.4)),
        plasticity=Plasticity(RULE, 0.0, 5.0, scaling=Scaling(2.4, Occasion.SPIKE)),
    )
    graph = replace(graph, projections=(*graph.projections, other))
    rng = np.random.default_rng(2)
    trains = stimulus(*((rng.random((2, 10, n)) < 0.5) for n in (3, 2)))
    run = run_golden(graph, trains)
    assert run.weights["w"][0].sum(axis=1) == pytest.approx([0.9, 0.9], rel=1e-14, abs=0)
    # Behind the last spike a pre spike may still depress.
    assert (run.weights["more"][0].sum(axis=1) <= 2.4 * (1 + 1e-14)).all()


def test_triplets_are_scaled_too() -> None:
    rule = TripletSTDP(0.05, 0.03, 4e-3, 6e-3, a3_plus=0.02)
    plasticity = Plasticity(rule, 0.0, 5.0, scaling=Scaling(1.2))
    rng = np.random.default_rng(2)
    trains = stimulus(*((rng.random((2, 10, n)) < 0.5) for n in (3, 2)))
    run = run_golden(network(Dense(np.full((2, 3), 0.2)), plasticity), trains)
    assert run.weights["w"][0].sum(axis=1) == pytest.approx([1.2, 1.2], rel=1e-14, abs=0)
    assert np.ptp(run.weights["w"]) > 0.01


def refused(plasticity: Plasticity, weight: Any = 0.5) -> list[str]:
    with pytest.raises(SpikecError) as caught:
        verify(network(Dense(np.full((2, 3), weight)), plasticity))
    assert {d.code for d in caught.value.diagnostics} == {"E0209"}
    return [d.message for d in caught.value.diagnostics]


class TestRefusals:
    @pytest.mark.parametrize(
        ("scaling", "message"),
        [
            (Scaling(0.0), "its weights are scaled to 0; a target is finite and not zero"),
            (Scaling(np.nan), "its weights are scaled to nan; a target is finite and not zero"),
            (Scaling(-1.0, norm=Norm.ABSOLUTE), "its weights are scaled to -1; a norm is positive"),
            (
                Scaling(3.5),
                "its weights are scaled to 3.5, but 3 of them within -0.25 to 1 reach 3 at most: "
                "0.5 too little",
            ),
            (
                Scaling(-1.0),
                "its weights are scaled to -1, but 3 of them within -0.25 to 1 reach -0.75 at "
                "most: 0.25 too little",
            ),
        ],
    )
    def test_targets(self, scaling: Scaling, message: str) -> None:
        assert refused(Plasticity(RULE, -0.25, 1.0, scaling=scaling)) == [f"'w': {message}"]

    def test_only_plastic_synapses_count(self) -> None:
        enable = np.array([[True, False, True], [False, False, True]])
        fits = Plasticity(RULE, 0, 1, enable, scaling=Scaling(2))
        verify(network(Dense(np.full((2, 3), 0.5)), fits))
        (message,) = refused(Plasticity(RULE, 0, 1, enable, scaling=Scaling(2.5)))
        assert "but 2 of them within 0 to 1 reach 2 at most: 0.5 too little" in message

    @pytest.mark.parametrize(
        ("rule", "message"),
        [
            (
                TraceSTDP(Trace(1), Trace(1)),
                "'w': TraceSTDP counts in whole weights, which no factor can scale",
            ),
            (
                IntegerPairSTDP(Trace(1), Trace(1), bits=2),
                "'w': weights of 2 bits, which no factor can scale",
            ),
            (replace(RULE, bits=4), "'w': weights of 4 bits, which no factor can scale"),
        ],
    )
    def test_weights_that_have_a_grid(self, rule: Rule, message: str) -> None:
        plasticity = Plasticity(rule, 0, 4, scaling=Scaling(2.0))
        assert refused(plasticity, 1.0) == [message]

    def test_integers(self) -> None:
        graph = network(Dense(np.full((2, 3), 0.5)), Plasticity(RULE, 0, 1, scaling=Scaling(2.0)))
        alone = replace(graph, projections=graph.projections[:1])
        whole = quantise(alone, Quantise(), Diagnostics())
        verify(whole)
        made = whole.projections[0].plasticity
        assert made is not None and made.scaling is not None
        assert made.scaling.target == pytest.approx(2 * made.w_max)


def test_it_is_in_the_text_where_it_is_at_all() -> None:
    plain, made = (
        network(Dense(np.full((2, 3), 0.5)), Plasticity(RULE, 0, 1, scaling=scaling))
        for scaling in (None, Scaling(2.0, Occasion.SPIKE, Norm.POSITIVE))
    )
    assert "scaling" not in text(plain)
    assert "scaling=Scaling(target=2.0, occasion=Occasion.SPIKE, norm=Norm.POSITIVE)" in text(made)
    assert parse(text(made)) == made and digest(made) != digest(plain)
