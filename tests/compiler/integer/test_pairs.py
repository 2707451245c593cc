"""`IntegerPairSTDP` against its words in plain Python, and against the rule in real numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.reference.golden import run_golden
from spikec.compiler.integer import learning_kernels
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.ir.connections import Connection, Dense, OneToOne, Sparse
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF
from spikec.ir.numerics import Rounding
from spikec.ir.plasticity import (
    Accumulation,
    Coincidence,
    Dependence,
    IntegerPairSTDP,
    Pairing,
    PairSTDP,
    Plasticity,
    Response,
    Trace,
    TraceDecay,
    Transmit,
    Update,
    Window,
)
from spikec.ir.semantics import Semantics
from spikec.ir.verify import verify

from .test_learning import KICK, cells

STEPS = 14


@dataclass(frozen=True)
class Case:
    """A plastic projection from an input, or from a population that an input drives."""

    rule: IntegerPairSTDP
    connection: Connection
    delay: int
    relayed: bool
    transmit: Transmit
    low: int
    high: int
    enable: Any
    learning: tuple[bool, ...]
    pre: Any  # (samples, STEPS, pre): spikes of what the projection starts from
    post: Any

    @property
    def graph(self) -> Graph:
        pre, post = self.connection.in_shape, self.connection.out_shape
        plasticity = Plasticity(self.rule, self.low, self.high, self.enable, self.transmit)
        start = "relay" if self.relayed else "in"
        relay = (Population("relay", pre, cells()),) if self.relayed else ()
        kick = OneToOne(np.full(pre, KICK), pre)
        return Graph(
            "pairs",
            1e-3,
            (Input("in", pre), Input("teacher", post)),
            (*relay, Population("out", post, cells())),
            (
                *([Projection("drives", "in", "relay", kick)] if self.relayed else []),
                Projection("w", start, "out", self.connection, self.delay, plasticity=plasticity),
                Projection("teaches", "teacher", "out", OneToOne(np.full(post, KICK), post)),
            ),
            (Output("o", "out"),),
        )

    @property
    def stimulus(self) -> Stimulus:
        lines = {"in": Events.from_dense(self.pre), "teacher": Events.from_dense(self.post)}
        return Stimulus(lines)


class Plain:
    """The words of the rule, one synapse after the other."""

    def __init__(self, case: Case) -> None:
        self.case, self.rule = case, case.rule
        weight = case.connection.weight  # type: ignore[attr-defined]
        self.shape = weight.shape
        match case.connection:
            case Dense():
                posts, pres = np.indices(weight.shape)
            case Sparse() as sparse:
                pres = np.repeat(np.arange(sparse.pre_size), np.diff(sparse.indptr))
                posts = sparse.post
            case _:
                pres = posts = np.arange(weight.size)
        takes = np.broadcast_to(True if case.enable is None else case.enable, weight.shape)
        columns = (pres.ravel(), posts.ravel(), takes.ravel())
        self.synapses = list(zip(*(c.tolist() for c in columns), strict=True))
        self.w: list[int] = weight.ravel().tolist()

    def changed(self, update: Update, x: int, room: int) -> int:
        """``room`` is how far a weight is from the rail that it goes to."""
        window = update.response is Response.WINDOW
        if self.rule.dependences[update is self.rule.on_pre] is Dependence.MULTIPLICATIVE:
            product = update.amplitude * (x > 0 if window else x) * room
        elif window:
            product = (update.amplitude * (x > 0)) << update.shift
        else:
            product = update.amplitude * x
        f = round(Fraction(product, 2**update.shift))  # to even
        return update.offset + update.sign * f

    @staticmethod
    def spiked(trace: Trace, x: int) -> int:
        if trace.accumulation is Accumulation.SET:
            return int(trace.increment)
        return int(min(x + trace.increment, 2**trace.bits - 1))

    @staticmethod
    def decayed(trace: Trace, x: int) -> int:
        match trace.decay:
            case TraceDecay.COUNT:
                return max(x - 1, 0)
            case TraceDecay.FACTOR:
                return x * trace.factor // 2**24
            case TraceDecay.SHIFT:
                return int(x - -(-x // 2**trace.shift))

    def sample(self, pre: Any, post: Any, learning: bool) -> Any:
        """What arrives (STEPS, post); the weights change."""
        rule, case = self.rule, self.case
        dendritic = round(rule.dendritic_delay_fraction * case.delay)
        axonal = case.delay - dendritic
        x, y = [0] * pre.shape[1], [0] * post.shape[1]
        arrived = np.zeros((STEPS + 2 * case.delay + 1, post.shape[1]), np.int64)
        order = {
            Coincidence.POTENTIATE: "PXQY",
            Coincidence.DEPRESS: "QYPX",
            Coincidence.NONE: "PQXY",
            Coincidence.BOTH: "XYPQ",
        }[rule.coincidence]

        def move(s: int, update: Update, trace: int) -> None:
            if learning and self.synapses[s][2] and (update.amplitude or update.offset):
                w = self.w[s]
                room = w - case.low if update is rule.on_pre else case.high - w
                new = w + self.changed(update, trace, room)
                self.w[s] = max(case.low, min(case.high, new))

        for t in range(STEPS + case.delay):
            before, behind = t - axonal, t - dendritic
            reads = pre[before] if 0 <= before < STEPS else np.zeros(len(x), int)
            fires = post[behind] if 0 <= behind < STEPS else np.zeros(len(y), int)
            for letter in order:
                if letter == "P":
                    for s, (i, j, _) in enumerate(self.synapses):
                        if not reads[i]:
                            continue
                        if case.transmit is Transmit.BEFORE:
                            arrived[t + dendritic, j] += self.w[s]
                        move(s, rule.on_pre, y[j])
                        if case.transmit is Transmit.AFTER:
                            arrived[t + dendritic, j] += self.w[s]
                elif letter == "Q":
                    for s, (i, j, _) in enumerate(self.synapses):
                        if fires[j]:
                            move(s, rule.on_post, x[i])
                elif learning:
                    here, trace, which = (
                        (reads, rule.pre, x) if letter == "X" else (fires, rule.post, y)
                    )
                    for n in np.flatnonzero(here).tolist():
                        which[n] = self.spiked(trace, which[n])
            x = [self.decayed(rule.pre, value) for value in x]
            y = [self.decayed(rule.post, value) for value in y]
        return arrived[:STEPS]


traces = st.builds(
    Trace,
    st.integers(0, (1 << 20) - 1),
    st.sampled_from(Accumulation),
    st.sampled_from(TraceDecay),
    st.integers(0, 4),
    st.integers(20, 28),
    st.integers(0, (1 << 24) - 1),
)
updates = st.builds(
    Update,
    st.sampled_from([-1, 1]),
    st.integers(0, 60),
    st.integers(0, 24),
    st.sampled_from(Response),
    st.integers(-3, 3),
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    relayed = draw(st.booleans())
    delay = draw(st.integers(1 if relayed else 0, 4))
    dendritic = draw(st.integers(0, delay))
    coincidences = list(Coincidence)
    if dendritic == 0:
        coincidences = [Coincidence.POTENTIATE, Coincidence.NONE]
    low, high = -40, 50
    pre, post = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    weight = rng.integers(low, high + 1, (post, pre))
    connection: Connection = Dense(weight)
    match draw(st.integers(0, 2)):
        case 1:
            connection = OneToOne(weight.ravel()[:1].repeat(pre), (pre,))
            post = pre
        case 2:
            there = rng.random((pre, post)) < 0.6
            counts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
            columns = np.nonzero(there)[1].astype(np.int32)
            connection = Sparse(pre, post, counts, columns, rng.integers(low, high, columns.size))
    shape = connection.weight.shape  # type: ignore[attr-defined]
    kinds = [Dependence.ADDITIVE, Dependence.MULTIPLICATIVE]
    dependence, depression = draw(st.sampled_from(kinds)), draw(st.sampled_from([*kinds, None]))
    on_pre, on_post = draw(updates), draw(updates)
    if dependence is Dependence.MULTIPLICATIVE:
        on_post = replace(on_post, offset=0)
    if (depression or dependence) is Dependence.MULTIPLICATIVE:
        on_pre = replace(on_pre, offset=0)
    samples = draw(st.integers(1, 3))
    return Case(
        IntegerPairSTDP(
            draw(traces),
            draw(traces),
            on_pre,
            on_post,
            draw(st.sampled_from(coincidences)),
            dendritic / delay if delay else draw(st.sampled_from([0.0, 1.0])),
            dependence=dependence,
            depression=depression,
        ),
        connection,
        delay,
        relayed,
        draw(st.sampled_from(Transmit)),
        low,
        high,
        rng.random(shape) < 0.8 if draw(st.booleans()) else None,
        tuple(draw(st.lists(st.booleans(), min_size=samples, max_size=samples))),
        (rng.random((samples, STEPS, pre)) < 0.4).astype(np.int64),
        (rng.random((samples, STEPS, post)) < 0.3).astype(np.int64),
    )


@settings(max_examples=200, deadline=None)
@given(cases())
def test_equals_its_words(case: Case) -> None:
    verify(case.graph)
    executor = Executor(case.graph)
    found = executor.run(
        case.stimulus,
        learning=case.learning,
        record=[("out", "v")],
        record_weights="samples",
    )
    plain = Plain(case)
    for k, learning in enumerate(case.learning):
        arrived = plain.sample(case.pre[k], case.post[k], learning)
        quiet = case.post[k] == 0  # a spike takes v with it
        assert np.array_equal(found.states["out", "v"][k][quiet], arrived[quiet])
        assert found.weights["w"][k].ravel().tolist() == plain.w
    assert executor.weights("w").ravel().tolist() == plain.w
    executor.reset()
    assert np.array_equal(executor.weights("w"), case.connection.weight)  # type: ignore[attr-defined]


def test_counts_do_not_pair() -> None:
    one = Trace(1)
    rule = IntegerPairSTDP(one, one, Update(1, 3), Update(1, 3))
    weight = np.ones((1, 2), np.int64)
    graph = Graph(
        "counts",
        1e-3,
        (Input("in", (2,)),),
        (Population("out", (1,), cells()),),
        (Projection("w", "in", "out", Dense(weight), 1, plasticity=Plasticity(rule, -9, 9)),),
        (Output("o", "out"),),
    )
    counts = np.zeros((1, 5, 2), np.int64)
    counts[0, 3] = 1, 2
    with pytest.raises(SpikecError, match=r"E0703.*'w' pairs single.*step 3 line 1 has 2"):
        Executor(graph).run(Stimulus({"in": Events.from_dense(counts)}))


# -- from real numbers ---------------------------------------------------------------------------


def real(rule: PairSTDP, weight: Any, delay: int) -> Graph:
    """Neurons without memory that a teacher makes spike, and weights far too small to do it."""
    cell = LIF(*(np.asarray(x) for x in (1e-3, 1.0, 0.0, 0.02)))
    post, pre = weight.shape
    return Graph(
        "real",
        1e-3,
        (Input("in", (pre,)), Input("teacher", (post,))),
        (Population("out", (post,), cell),),
        (
            Projection(
                "w", "in", "out", Dense(weight), delay, plasticity=Plasticity(rule, 0.0, 1e-3)
            ),
            Projection("teaches", "teacher", "out", OneToOne(np.full(post, 0.04), (post,))),
        ),
        (Output("o", "out"),),
    )


@pytest.mark.parametrize(
    ("pairing", "window"),
    [
        (Pairing.ALL, Window.EXPONENTIAL),
        (Pairing.NEAREST, Window.EXPONENTIAL),
        (Pairing.NEAREST, Window.RECTANGULAR),
    ],
)
@pytest.mark.parametrize(
    ("dependence", "fraction"),
    [
        *((Dependence.ADDITIVE, fraction) for fraction in (0.0, 0.5, 1.0)),
        (Dependence.SCALED, 1.0),
        (Dependence.MULTIPLICATIVE, 0.5),
    ],
)
def test_integers_follow_the_real_rule(
    pairing: Pairing, window: Window, dependence: Dependence, fraction: float
) -> None:
    rng = np.random.default_rng(5)
    size = 1.0 if dependence is Dependence.ADDITIVE else 1e3
    rule = PairSTDP(
        *(8e-5 * size, 5e-5 * size, 7e-3, 11e-3),
        pairing,
        window,
        dependence,
        dendritic_delay_fraction=fraction,
    )
    graph = real(rule, np.full((3, 4), 5e-4), 2)
    lines = {
        name: Events.from_dense((rng.random((1, 60, lines)) < 0.2).astype(np.int64))
        for name, lines in (("in", 4), ("teacher", 3))
    }
    golden = run_golden(graph, Stimulus(lines), codegen="numpy").weights["w"][0]
    options = Quantise(weight_bits=16, state_bits=40, decay_bits=22, input_max=1)
    integers = quantise(graph, options, Diagnostics())
    verify(integers)
    found = Executor(integers).run(Stimulus(lines)).weights["w"][0]
    # Weights into a population share a unit, here that of the teacher.
    unit = 0.04 / 32767
    assert np.ptp(golden) > 5e-5
    # Half a unit for each change, and what 16 bits of a trace leave.
    assert np.abs(found * unit - golden).max() < 20 * unit


def learners(rng: np.random.Generator, size: int) -> list[Projection]:
    """Plastic projections of any kind: from an input, from a population, and within one."""
    windows = [
        (Pairing.ALL, Window.EXPONENTIAL),
        (Pairing.NEAREST, Window.EXPONENTIAL),
        (Pairing.NEAREST, Window.RECTANGULAR),
    ]
    found = []
    for k, pre in enumerate(("in", "cells", "out")):
        delay = int(rng.integers(0 if pre == "in" else 1, 5))
        dendritic = int(rng.integers(0, delay + 1))
        ties = list(Coincidence) if dendritic else [Coincidence.POTENTIATE, Coincidence.NONE]
        dependence, other = list(Dependence)[k % 3], list(Dependence)[rng.integers(3)]
        up, down = (1.0 if each is Dependence.ADDITIVE else 1e3 for each in (dependence, other))
        rule = PairSTDP(
            float(rng.choice([8e-5, -5e-5])) * up,
            float(rng.choice([5e-5, -4e-5, 0.0])) * down,
            float(rng.choice([0.5e-3, 3e-3, 40e-3])),
            float(rng.choice([4e-3, 11e-3])),
            *windows[rng.integers(3)],
            dependence,
            ties[rng.integers(len(ties))],
            dendritic / delay if delay else float(rng.choice([0.0, 1.0])),
            depression=other,
        )
        plasticity = Plasticity(
            rule,
            *(0.0, 1e-3),
            rng.random((size, size)) < 0.7 if rng.random() < 0.5 else None,
            list(Transmit)[rng.integers(2)],
            bool(rng.random() < 0.9),
        )
        weight = rng.uniform(0, 1e-3, (size, size))
        found.append(Projection(f"w{k}", pre, "out", Dense(weight), delay, plasticity=plasticity))
    return found


def alike(seed: int) -> None:
    """A network that learns in three places, with lags, registers and phases, on both rungs."""
    rng = np.random.default_rng(seed)
    size, samples, steps = 3, 3, 25
    cell = LIF(*(np.asarray(x) for x in (1e-3, 1.0, 0.0, 0.02)))
    strong = OneToOne(np.full(size, 0.04), (size,))
    lags = [(0, 0), (1, 2)][rng.integers(2)]
    cells_, out = (
        Population(name, (size,), cell, Semantics(registered=bool(rng.random() < 0.5)), lag)
        for name, lag in zip(("cells", "out"), lags, strict=True)
    )
    graph = Graph(
        "alike",
        1e-3,
        (Input("in", (size,)), Input("teacher", (size,))),
        (cells_, out),
        (
            Projection("drives", "in", "cells", strong, lags[0]),
            Projection("teaches", "teacher", "out", strong, lags[1]),
            *learners(rng, size),
        ),
        (Output("o", "out"), Output("c", "cells")),
    )
    verify(graph)
    stimulus = Stimulus(
        {
            name: Events.from_dense((rng.random((samples, steps, size)) < 0.25).astype(np.int64))
            for name in ("in", "teacher")
        }
    )
    learning = [bool(x) for x in rng.random(samples) < 0.7]
    golden = run_golden(
        graph, stimulus, codegen="numpy", learning=learning, record_weights="samples"
    )
    options = Quantise(weight_bits=16, state_bits=40, decay_bits=22, input_max=1)
    integers = quantise(graph, options, Diagnostics())
    verify(integers)
    found = Executor(integers).run(stimulus, learning=learning, record_weights="samples")
    unit = 0.04 / 32767
    for name, weights in golden.weights.items():
        assert np.abs(found.weights[name] * unit - weights).max() < 30 * unit, name
    for name, events in golden.spikes.items():
        for k in range(samples):
            assert np.array_equal(events.dense(k), found.spikes[name].dense(k)), name


@pytest.mark.parametrize("seed", range(6))
def test_networks_learn_alike_on_both_rungs(seed: int) -> None:
    alike(seed)


@pytest.mark.slow
def test_more_networks_learn_alike_on_both_rungs() -> None:
    for seed in range(100, 140):
        alike(seed)


def test_a_memory_of_a_long_trace_ends() -> None:
    """A factor next to one still loses one a step: no trace stays for ever."""
    trace = np.array([65535, 1, 0], np.int64)
    for _ in range(20):
        before = trace.copy()
        learning_kernels.scale_traces(trace, 65535, 16)
        assert (trace == np.maximum(before - 1, 0)).all()


def test_what_is_out_of_range_is_said() -> None:
    trace = Trace(1)
    good = IntegerPairSTDP(trace, trace)
    assert not list(good.problems())
    for change, said in (
        ({"rounding": Rounding.STOCHASTIC}, "rounds stochastically"),
        ({"dependence": Dependence.SCALED}, "scaled by w_max"),
        ({"depression": Dependence.SCALED}, "scaled by w_max"),
        (
            {"depression": Dependence.MULTIPLICATIVE, "on_pre": Update(offset=7)},
            "an offset of 7 beside",
        ),
        (
            {"dependence": Dependence.MULTIPLICATIVE, "on_post": Update(offset=-3)},
            "an offset of -3 beside",
        ),
        ({"dendritic_delay_fraction": 1.5}, "1.5, not 0 to 1"),
        ({"pre": replace(trace, factor=1 << 24)}, "the pre trace decays by 16777216"),
        ({"post": replace(trace, bits=37)}, "the post trace has 37 bits"),
        ({"on_pre": Update(shift=61)}, "the shift of the row update is 61"),
        ({"on_post": Update(sign=2)}, "the sign of the column update is 2"),
    ):
        assert any(said in problem for problem in replace(good, **change).problems())
