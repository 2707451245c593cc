"""Third factors on the golden rung against the definition, step by step in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import exp
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.reference.golden import run_golden
from spikec.compiler.passes.legalise import Legalise
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.compiler.passes.retime import Retime
from spikec.ir.connections import Dense, OneToOne
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.homeostasis import Scaling
from spikec.ir.neurons import IF, LI, Relay
from spikec.ir.plasticity import (
    Coincidence,
    Pairing,
    PairSTDP,
    Plasticity,
    ThreeFactorSTDP,
    Transmit,
    TripletSTDP,
)
from spikec.ir.semantics import Semantics
from spikec.ir.text import parse, text
from spikec.ir.verify import verify

from ...compiler.passes.networks import target

Real = npt.NDArray[np.float64]
DT = 1e-3
PRE, POST = 3, 2
RULE = ThreeFactorSTDP(
    0.02, 0.015, 5e-3, 8e-3, modulator="reward", eta=0.5, tau_e=12e-3, gate="gate"
)
W = np.array([[0.5, 0.4, 0.6], [0.45, 0.55, 0.5]])


def real(value: float) -> Real:
    return np.asarray(value, np.float64)


def network(
    rule: PairSTDP, delay: int, sizes: tuple[int, int] = (1, POST), hidden: bool = True, **more: Any
) -> Graph:
    """Cells that a teacher makes spike, whatever the weights; a reward and a gate from inputs.

    With ``hidden`` both come by way of a population that passes them on in the same step.
    """
    names = ("reward", "gate")
    inputs = [
        Input(f"{name} in" if hidden else name, (size,))
        for name, size in zip(names, sizes, strict=True)
    ]
    passed = [Population(name, (size,), Relay()) for name, size in zip(names, sizes, strict=True)]
    return Graph(
        "three",
        DT,
        (Input("line", (PRE,)), Input("teacher", (POST,)), *inputs),
        (Population("cell", (POST,), IF(real(1), real(1e3))), *(passed if hidden else [])),
        (
            Projection("w", "line", "cell", Dense(W), delay, plasticity=Plasticity(rule, 0, 1)),
            Projection("t", "teacher", "cell", OneToOne(real(2e3), (POST,))),
            *(
                Projection(f"to {p.name}", f"{p.name} in", p.name, OneToOne(real(1), p.shape))
                for p in passed
                if hidden
            ),
        ),
        (Output("out", "cell"),),
        **more,
    )


def run(graph: Graph, trains: dict[str, Real], **more: Any) -> Recording:
    hidden = any(i.name == "reward in" for i in graph.inputs)
    lines = {
        f"{name} in" if hidden and name in ("reward", "gate") else name: Events.from_dense(train)
        for name, train in trains.items()
    }
    return run_golden(graph, Stimulus(lines), codegen="numpy", record_weights="samples", **more)


def synapse(
    w: float,
    rule: PairSTDP,
    spikes: tuple[list[int], list[int]],
    shown: Callable[[str, int], float],
    steps: int,
) -> float:
    """The weight after one sample, from the docstrings of the rules alone. ``spikes`` are the steps
    in which those of either side are at the synapse.
    """
    pre, post = spikes
    e = 0.0

    def left(at: int, others: list[int], tau: float, *ties: Coincidence) -> float:
        found = [t for t in others if t < at or (rule.coincidence in ties and t == at)]
        if rule.pairing is Pairing.NEAREST:
            found = found[-1:]
        return sum(exp(-(at - t) * DT / tau) for t in found)

    both = Coincidence.BOTH
    for step in range(steps):
        up = down = 0.0
        if step in post:
            up = rule.a_plus * left(step, pre, rule.tau_plus, Coincidence.POTENTIATE, both)
        if step in pre:
            down = rule.a_minus * left(step, post, rule.tau_minus, Coincidence.DEPRESS, both)
            if rule.depression_by is not None:
                down *= shown(rule.depression_by, step - 1)
        if isinstance(rule, ThreeFactorSTDP):
            e = e * exp(-DT / rule.tau_e) + up - down + rule.a_pre * (step in pre)
            gate = 1.0 if rule.gate is None else shown(rule.gate, step)
            changes = [rule.eta * shown(rule.modulator, step) * gate * e]
        else:
            changes = [up, -down] if rule.coincidence is Coincidence.DEPRESS else [-down, up]
        for change in changes:
            w = min(max(w + change, 0.0), 1.0)
    return w


def defined(rule: PairSTDP, delay: int, trains: dict[str, Any], learns: list[bool]) -> Real:
    """Weights after each sample."""
    w, shots = W.copy(), []
    dendritic = round(rule.dendritic_delay_fraction * delay)
    steps = trains["line"].shape[1]

    def shown(k: int, j: int, name: str, step: int) -> float:
        row = trains[name][k, step] if 0 <= step < steps else np.zeros(1)
        return float(row[j if row.size > 1 else 0])

    for k, learning in enumerate(learns):
        for j, i in np.ndindex(w.shape) if learning else ():
            pre = (np.flatnonzero(trains["line"][k, :, i]) + delay - dendritic).tolist()
            post = (np.flatnonzero(trains["teacher"][k, :, j]) + dendritic).tolist()
            w[j, i] = synapse(
                float(w[j, i]), rule, (pre, post), partial(shown, k, j), steps + delay
            )
        shots.append(w.copy())
    return np.array(shots)


@st.composite
def cases(draw: st.DrawFn) -> tuple[PairSTDP, int, bool, dict[str, Any], list[bool]]:
    delay = draw(st.integers(0, 3))
    fraction = draw(st.integers(0, delay)) / delay if delay else 1.0
    choices = [Coincidence.POTENTIATE, Coincidence.NONE]
    if delay * fraction > 0:
        choices += [Coincidence.DEPRESS, Coincidence.BOTH]
    rule: PairSTDP = replace(
        RULE,
        a_pre=draw(st.sampled_from([0.0, 0.01])),
        a_plus=draw(st.sampled_from([0.02, -0.01, 0.0])),
        a_minus=draw(st.sampled_from([0.015, -0.02, 0.0])),
        pairing=draw(st.sampled_from(Pairing)),
        coincidence=draw(st.sampled_from(choices)),
        dendritic_delay_fraction=fraction,
        gate=draw(st.sampled_from([None, "gate"])),
        depression_by=draw(st.sampled_from([None, "gate"])),
    )
    if draw(st.integers(0, 3)) == 0:
        alike = ["a_plus", "a_minus", "tau_plus", "tau_minus", "pairing", "coincidence"]
        alike.append("dendritic_delay_fraction")
        fields = {name: getattr(rule, name) for name in alike}
        rule = PairSTDP(**fields, depression_by="reward")
    sizes = draw(st.tuples(st.sampled_from([1, POST]), st.sampled_from([1, POST])))
    r = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    shape = 2, draw(st.integers(8, 25))
    trains = {
        "line": (r.random((*shape, PRE)) < 0.3).astype(np.int64),
        "teacher": (r.random((*shape, POST)) < 0.3).astype(np.int64),
        "reward": r.normal(size=(*shape, sizes[0])) * (r.random((*shape, sizes[0])) < 0.7),
        "gate": r.integers(0, 3, (*shape, sizes[1])),
    }
    return rule, delay, draw(st.booleans()), trains, [draw(st.booleans()), True]


@settings(max_examples=12, deadline=None)
@given(cases())
def test_weights_are_those_of_the_definition(
    case: tuple[PairSTDP, int, bool, dict[str, Any], list[bool]],
) -> None:
    rule, delay, hidden, trains, learns = case
    sizes = trains["reward"].shape[2], trains["gate"].shape[2]
    graph = network(rule, delay, sizes, hidden)
    verify(graph)
    assert parse(text(graph)) == graph
    found = run(graph, trains, learning=learns).weights["w"]
    np.testing.assert_allclose(found, defined(rule, delay, trains, learns), rtol=0, atol=1e-12)


def fixed(seed: int = 3, steps: int = 20) -> dict[str, Any]:
    r = np.random.default_rng(seed)
    return {
        "line": (r.random((2, steps, PRE)) < 0.3).astype(np.int64),
        "teacher": (r.random((2, steps, POST)) < 0.3).astype(np.int64),
        "reward": r.normal(size=(2, steps, 1)),
        "gate": r.integers(0, 3, (2, steps, POST)),
    }


def test_a_spike_is_sent_with_the_weight_that_the_step_before_left() -> None:
    """Under either `Transmit`; a register sets the modulator back by a step."""
    rule = ThreeFactorSTDP.delta("reward", eta=0.01, tau_e=1e6)
    trains = fixed()
    trains["line"][:] = 0
    trains["line"][:, [2, 5, 6], 0] = 1
    trains["teacher"][:] = 0
    for registered in (False, True):
        graph = network(rule, 0)
        reward = replace(graph.population("reward"), semantics=Semantics(registered=registered))
        graph = replace(graph, populations=(graph.populations[0], reward, graph.populations[2]))
        e = np.cumsum(trains["line"][0, :, 0])
        modulator = trains["reward"][0, :, 0]
        if registered:
            modulator = np.concatenate([[0.0], modulator[:-1]])
        w = 0.5 + np.cumsum(0.01 * modulator * e)
        assert w.min() > 0 and w.max() < 1
        wanted = np.zeros(20)
        for step in (2, 5, 6):
            wanted[step:] += w[step - 1]
        for transmit in Transmit:
            plasticity = Plasticity(rule, 0, 1, transmit=transmit)
            learner = replace(graph.projections[0], plasticity=plasticity)
            whole = replace(graph, projections=(learner, *graph.projections[1:]))
            verify(whole)
            found = run(whole, trains, record=[("cell", "v")])
            np.testing.assert_allclose(found.states["cell", "v"][0, :, 0], wanted, atol=1e-12)
            np.testing.assert_allclose(found.weights["w"][0, 0, 0], w[-1], atol=1e-5)


def test_an_error_of_its_own_for_each_leaky_readout_descends() -> None:
    """The delta rule into real values, against the recurrence; the error becomes small."""
    tau = 0.02
    rule = ThreeFactorSTDP.delta("error", eta=0.002, tau_e=tau)
    learner = Plasticity(rule, -5, 5)
    leak = np.full(2, 0.0)
    graph = Graph(
        "delta",
        DT,
        (Input("line", (4,)), Input("goal", (2,))),
        (
            Population("read", (2,), LI(real(tau), real(20), leak)),
            Population("error", (2,), Relay()),
        ),
        (
            Projection("w", "line", "read", Dense(np.zeros((2, 4))), plasticity=learner),
            Projection("+", "goal", "error", OneToOne(real(1), (2,))),
            Projection("-", "read", "error", OneToOne(real(-1), (2,))),
        ),
        (Output("out", "read"),),
    )
    verify(graph)
    rng = np.random.default_rng(5)
    line = (rng.random((40, 50, 4)) < 0.3).astype(np.int64)
    line[:] = line[0]
    goal = np.broadcast_to(rng.normal(size=(50, 2)).cumsum(axis=0) / 5, (40, 50, 2))
    stimulus = Stimulus({"line": Events.from_dense(line), "goal": Events.from_dense(goal)})
    found = run_golden(graph, stimulus, codegen="numpy")
    w, costs = np.zeros((2, 4)), []
    for _ in range(40):
        v, e, cost = np.zeros(2), np.zeros(4), 0.0
        for step in range(50):
            e = e * exp(-DT / tau) + line[0, step]
            v = (1 - DT / tau) * v + DT / tau * 20 * (w @ line[0, step])
            error = goal[0, step] - v
            w = np.clip(w + 0.002 * np.outer(error, e), -5, 5)
            cost += float(error @ error)
        costs.append(cost)
    np.testing.assert_allclose(found.weights["w"][0], w, rtol=0, atol=1e-9)
    assert costs[-1] < 0.5 * costs[0]


def test_depression_is_scaled_by_a_leaky_count() -> None:
    """An astrocyte after NALSM: A follows the counts of spikes, and scales what a pair takes."""
    tau, weight, level = 0.1, 0.015, 0.4
    rule = PairSTDP(0.01, 0.02, 5e-3, 8e-3, depression_by="astrocyte")
    graph = network(rule, 1)
    astrocyte = Population("astrocyte", (1,), LI(real(tau), real(tau / DT), real(level)))
    graph = replace(
        graph,
        populations=(*graph.populations, astrocyte),
        projections=(
            *graph.projections,
            Projection("+", "cell", "astrocyte", Dense(np.full((1, POST), weight))),
            Projection("-", "line", "astrocyte", Dense(np.full((1, PRE), -weight))),
        ),
    )
    verify(graph)
    trains = fixed(9, 60)
    found = run(graph, trains, record=[("astrocyte", "v")])
    a = np.zeros((2, 60, 1))
    for k in range(2):
        last = 0.0
        for t in range(60):
            drive = weight * (trains["teacher"][k, t].sum() - trains["line"][k, t].sum())
            last += (level - last) * DT / tau + drive
            a[k, t] = last
    np.testing.assert_allclose(found.states["astrocyte", "v"], a, rtol=0, atol=1e-12)
    wanted = defined(rule, 1, {**trains, "astrocyte": a}, [True, True])
    np.testing.assert_allclose(found.weights["w"], wanted, rtol=0, atol=1e-12)
    still = defined(replace(rule, depression_by=None), 1, trains, [True, True])
    assert np.abs(still - wanted).max() > 1e-2


def test_triplets_are_scaled_as_a_whole() -> None:
    """With a scale that is always 2 it is the rule of twice the depression."""
    trains = fixed()
    trains["line"][:, 0] = 0
    trains["reward"] = np.full((2, 20, 1), 2.0)
    rule = TripletSTDP(0.01, 0.02, 5e-3, 8e-3, a3_plus=0.01, a3_minus=0.03)
    scaled = run(network(replace(rule, depression_by="reward"), 1), trains).weights["w"]
    twice = run(network(replace(rule, a_minus=0.04, a3_minus=0.06), 1), trains).weights["w"]
    np.testing.assert_allclose(scaled, twice, rtol=0, atol=1e-12)
    assert np.abs(scaled - run(network(rule, 1), trains).weights["w"]).max() > 1e-3


def test_weights_are_scaled_after_their_last_change() -> None:
    """A reward in the last step, too: what it changes is in the sum that is the target."""
    rule = ThreeFactorSTDP.delta("reward", eta=1e-3, tau_e=1.0)
    graph = network(rule, 0, hidden=False)
    scaled = Plasticity(rule, 0, 1, scaling=Scaling(1.2))
    learner = replace(graph.projections[0], plasticity=scaled)
    graph = replace(graph, projections=(learner, *graph.projections[1:]))
    verify(graph)
    trains = fixed()
    trains["line"] = np.tile(np.array([1, 0, 0]), (2, 20, 1))
    trains["reward"] = np.ones((2, 20, 1))
    w = run(graph, trains).weights["w"]
    e = [sum(exp(-(t - k) * DT) for k in range(t + 1)) for t in range(20)]
    wanted = W + 1e-3 * sum(e) * np.array([1, 0, 0])
    for sample in w:
        wanted = wanted * (1.2 / wanted.sum(axis=1, keepdims=True))
        np.testing.assert_allclose(sample, wanted, rtol=0, atol=1e-12)
        wanted = wanted + 1e-3 * sum(e) * np.array([1, 0, 0])


@pytest.mark.slow
def test_compiled_code_learns_the_same() -> None:
    trains = fixed()
    for rule in (RULE, replace(RULE, depression_by="reward")):
        graph = network(rule, 2)
        lines = {f"{n} in" if n in ("reward", "gate") else n: t for n, t in trains.items()}
        stimulus = Stimulus({name: Events.from_dense(train) for name, train in lines.items()})
        fast, slow = (
            run_golden(graph, stimulus, codegen=c, record_weights="samples").weights["w"]
            for c in ("standalone", "numpy")
        )
        np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-15)


def refused(graph: Graph) -> list[tuple[str, str]]:
    with pytest.raises(SpikecError) as caught:
        verify(graph)
    return [(d.code, d.message) for d in caught.value.diagnostics]


def test_what_does_not_fit_is_said() -> None:
    assert refused(network(replace(RULE, modulator="rewards"), 1)) == [
        ("E0215", "'w': its modulator is 'rewards', which is no node")
    ]
    assert refused(network(replace(RULE, gate="line"), 1)) == [
        ("E0215", "'w': its gate 'line' has size 3; it must have 1 or 2, that of 'cell'")
    ]
    pair = PairSTDP(1, 1, 1, 1, depression_by="line")
    assert refused(network(pair, 1)) == [
        ("E0215", "'w': its depression_by 'line' has size 3; it must have 1 or 2, that of 'cell'")
    ]
    for change, said in (
        ({"tau_e": 0.0}, "tau_e is 0 s; it must be finite and above 0"),
        ({"tau_e": float("inf")}, "tau_e is inf s; it must be finite and above 0"),
        ({"eta": float("nan")}, "eta is nan; it must be finite"),
        ({"a_pre": float("inf")}, "a_pre is inf; it must be finite"),
        ({"bits": 4}, "a weight of 4 bits; one that moves in every step has none"),
    ):
        assert refused(network(replace(RULE, **change), 1)) == [("E0209", f"'w': {said}")]
    graded = network(RULE, 1)
    cell = replace(graded.populations[0], neuron=Relay())
    graded = replace(graded, populations=(cell, *graded.populations[1:]))
    ((code, said),) = refused(graded)
    assert code == "E0209" and said.startswith("'w' pairs spikes of 'cell'")
    delta = Plasticity(ThreeFactorSTDP.delta("reward", eta=1, tau_e=1), 0, 1)
    learner = replace(graded.projections[0], plasticity=delta)
    verify(replace(graded, projections=(learner, *graded.projections[1:])))


def test_facts() -> None:
    delta = ThreeFactorSTDP.delta("m", eta=1, tau_e=1, gate="g")
    assert (delta.rows, delta.columns, delta.pairs) == (True, False, False)
    assert (RULE.rows, RULE.columns, RULE.pairs) == (True, True, True)
    assert [f.node for f in delta.factors] == ["m", "g"]
    assert not replace(RULE, a_minus=0).rows and replace(RULE, a_minus=0, a_pre=1).rows


class TestOtherRungs:
    @pytest.mark.parametrize(
        ("rule", "said"),
        [
            (RULE, "IntegerThreeFactorSTDP"),
            (PairSTDP(1e-2, 1e-2, 1e-2, 1e-2, depression_by="reward"), "IntegerPairSTDP"),
        ],
    )
    def test_integers_are_data(self, rule: PairSTDP, said: str) -> None:
        graph = network(rule, 1, hidden=False)
        alone = replace(graph, projections=graph.projections[:1])
        whole = quantise(alone, Quantise(), Diagnostics())
        verify(whole)
        assert parse(text(whole)) == whole and said in text(whole)

    def test_what_integers_cannot_resolve(self) -> None:
        graph = network(replace(RULE, eta=1e-9), 1, hidden=False)
        graph = replace(graph, projections=graph.projections[:1])
        with pytest.raises(SpikecError, match=r"E0405.*one spike of 'reward' changes nothing"):
            quantise(graph, Quantise(), Diagnostics())

    def test_a_target_refuses_and_keeps_what_the_rule_reads(self) -> None:
        graph = network(RULE, 1)
        with pytest.raises(SpikecError, match=r"E0308.*'w' learns by ThreeFactorSTDP"):
            Legalise().run(graph, target(learns=("TraceSTDP",), graded=True), Diagnostics())
        legal = Legalise().run(graph, target(graded=True), Diagnostics())
        assert {p.name for p in legal.populations} == {"cell", "reward", "gate"}
        verify(legal)

    def test_time_moves_for_all_or_not_at_all(self) -> None:
        rule = replace(RULE, dendritic_delay_fraction=0.0)
        graph = network(rule, 1)
        assert Retime().run(graph, target(), Diagnostics()) == graph
        late = Retime().run(graph, target(input_hop=1), Diagnostics())
        assert [p.lag for p in late.populations] == [1, 1, 1]
        trains = fixed()
        np.testing.assert_array_equal(
            run(late, trains).weights["w"], run(graph, trains).weights["w"]
        )
        with pytest.raises(SpikecError) as caught:
            Retime().run(network(rule, 1, hidden=False), target(input_hop=1), Diagnostics())
        assert [(d.code, d.message) for d in caught.value.diagnostics] == [
            ("E0502", f"'w': its {n} '{m}' would be 1 step(s) ahead of 'cell'")
            for n, m in (("modulator", "reward"), ("gate", "gate"))
        ]
