"""Triplets of spikes on the golden rung against sums over all of them."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import numpy as np
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.ir.connections import Dense, OneToOne
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IF
from spikec.ir.plasticity import (
    Coincidence,
    Pairing,
    PairSTDP,
    Plasticity,
    TripletSTDP,
    Window,
)
from spikec.ir.text import parse, text
from spikec.ir.verify import verify

DT = 1e-3
STEPS = 80
RULE = TripletSTDP(
    3e-5, 4e-5, 16.8e-3, 33.7e-3, a3_plus=6e-5, a3_minus=2e-5, tau_x=50e-3, tau_y=30e-3
)


def network(rule: PairSTDP, delay: int = 2, rail: float = 1.0) -> Graph:
    """A synapse whose weight has no part in when the neuron spikes: a teacher makes it."""
    one = np.asarray(1.0)
    plasticity = Plasticity(rule, -rail, rail)
    return Graph(
        "triplets",
        DT,
        (Input("in", (1,)), Input("teacher", (1,))),
        (Population("cell", (1,), IF(one, np.asarray(1000.0))),),
        (
            Projection("w", "in", "cell", Dense(np.array([[0.5]])), delay, plasticity=plasticity),
            Projection("t", "teacher", "cell", OneToOne(np.array([2000.0]), (1,))),
        ),
        (Output("out", "cell"),),
    )


def trains(seed: int) -> tuple[Stimulus, list[int], list[int]]:
    rng = np.random.default_rng(seed)
    dense = (rng.random((2, STEPS)) < 0.3).astype(np.int64)
    lines = {
        name: Events.from_dense(row[None, :, None])
        for name, row in zip(("in", "teacher"), dense, strict=True)
    }
    pre, post = (np.flatnonzero(row).tolist() for row in dense)
    return Stimulus(lines), pre, post


def learned(rule: PairSTDP, seed: int, delay: int = 2) -> float:
    stimulus, *_ = trains(seed)
    recording = run_golden(network(rule, delay), stimulus, codegen="numpy")
    return float(recording.weights["w"][0, 0, 0]) - 0.5


def summed(rule: TripletSTDP, pre: list[int], post: list[int], delay: int) -> float:
    """The change of a weight that meets no rail, over all pairs and triplets."""
    dendritic = round(rule.dendritic_delay_fraction * delay)
    s, t = [k + delay - dendritic for k in pre], [k + dendritic for k in post]

    def worth(steps: int, tau: float) -> float:
        return exp(-steps * DT / tau)

    def left(times: list[int], at: int, tau: float) -> float:
        before = [k for k in times if k < at]
        if rule.pairing is Pairing.NEAREST:
            before = before[-1:]
        return sum(worth(at - k, tau) for k in before)

    change, ties = 0.0, rule.coincidence
    for b in t:
        early = [a for a in s if a < b or (a == b and ties is Coincidence.POTENTIATE)]
        early = early[-1:] if rule.pairing is Pairing.NEAREST else early
        amplitude = rule.a_plus + rule.a3_plus * left(t, b, rule.tau_y)
        change += amplitude * sum(worth(b - a, rule.tau_plus) for a in early)
    for a in s:
        early = [b for b in t if b < a or (a == b and ties is Coincidence.DEPRESS)]
        early = early[-1:] if rule.pairing is Pairing.NEAREST else early
        amplitude = rule.a_minus + rule.a3_minus * left(s, a, rule.tau_x)
        change -= amplitude * sum(worth(a - b, rule.tau_minus) for b in early)
    return change


@pytest.mark.parametrize("pairing", Pairing)
@pytest.mark.parametrize(
    "coincidence", [Coincidence.POTENTIATE, Coincidence.NONE, Coincidence.DEPRESS]
)
@pytest.mark.parametrize("fraction", [0.5, 1.0])
def test_a_weight_is_the_sum_of_its_triplets(
    pairing: Pairing, coincidence: Coincidence, fraction: float
) -> None:
    rule = replace(
        RULE, pairing=pairing, coincidence=coincidence, dendritic_delay_fraction=fraction
    )
    for seed in (1, 2):
        _, pre, post = trains(seed)
        assert set(k + 2 - round(2 * fraction) for k in pre) & set(
            k + round(2 * fraction) for k in post
        )
        wanted = summed(rule, pre, post, 2)
        assert learned(rule, seed) == pytest.approx(wanted, abs=1e-12)
        assert abs(wanted - summed(replace(rule, a3_plus=0.0, a3_minus=0.0), pre, post, 2)) > 1e-5


def test_without_triplets_it_is_the_pair_rule() -> None:
    alike = {k: getattr(RULE, k) for k in ("a_plus", "a_minus", "tau_plus", "tau_minus")}
    pairs = PairSTDP(**alike)
    assert learned(replace(RULE, a3_plus=0.0, a3_minus=0.0), 3) == learned(pairs, 3)


def test_more_often_is_more() -> None:
    """Sixty pairs, post 10 ms after pre: triplets potentiate more the faster these come, while in
    pairs alone the next pre spike takes away more of it.
    """
    triplets = TripletSTDP(0.0, 7.1e-3, 16.8e-3, 33.7e-3, a3_plus=6.5e-3, tau_y=114e-3)
    found = {}
    for rule in (triplets, PairSTDP(5e-3, 4e-3, 16.8e-3, 33.7e-3)):
        changes = []
        for rate in (5, 20, 50):
            gap = 1000 // rate
            dense = np.zeros((2, 60 * gap + 20), np.int64)
            dense[0, np.arange(60) * gap] = dense[1, np.arange(60) * gap + 10] = 1
            lines = {
                name: Events.from_dense(row[None, :, None])
                for name, row in zip(("in", "teacher"), dense, strict=True)
            }
            graph = network(rule, 0, rail=9.0)
            weights = run_golden(graph, Stimulus(lines), codegen="numpy").weights["w"]
            changes.append(float(weights[0, 0, 0]) - 0.5)
        found[type(rule)] = changes
    low, middle, high = found[TripletSTDP]
    assert 0 < 5 * low < middle and 2 * middle < high
    assert found[PairSTDP][0] > found[PairSTDP][1] > found[PairSTDP][2]


def test_it_is_data_and_says_what_is_wrong() -> None:
    graph = network(replace(RULE, pairing=Pairing.NEAREST))
    verify(graph)
    assert parse(text(graph)) == graph
    for change, said in (
        ({"tau_x": 0.0}, "tau_x is 0 s"),
        ({"tau_y": float("nan")}, "tau_y is nan s"),
        ({"a3_plus": float("inf")}, "a3_plus is inf"),
        ({"a3_minus": float("nan")}, "a3_minus is nan"),
        ({"coincidence": Coincidence.BOTH}, "itself among the earlier ones"),
        ({"pairing": Pairing.NEAREST, "window": Window.RECTANGULAR}, "theirs is exponential"),
    ):
        with pytest.raises(SpikecError, match=rf"E0209.*{said}"):
            verify(network(replace(RULE, **change)))
    assert not replace(RULE, a_minus=0.0, a3_minus=0.0).rows
    assert replace(RULE, a_minus=0.0).rows and replace(RULE, a_plus=0.0).columns
    with pytest.raises(SpikecError, match=r"E0405.*-1 to 1 of 'w' are both 0 units of a weight"):
        quantise(graph, Quantise(), Diagnostics())
    alone = replace(graph, projections=graph.projections[:1])
    whole = quantise(alone, Quantise(), Diagnostics())
    verify(whole)
    assert parse(text(whole)) == whole and "IntegerTripletSTDP" in text(whole)
