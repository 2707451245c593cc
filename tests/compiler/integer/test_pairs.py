"""`IntegerPairSTDP` against its words in plain Python, and against the rule in real numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
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
from spikec.ir.homeostasis import Norm, Occasion, Scaling
from spikec.ir.integer_plasticity import (
    MAX_ELIGIBLE,
    MAX_SCALED,
    IntegerPairSTDP,
    IntegerThreeFactorSTDP,
    IntegerTripletSTDP,
)
from spikec.ir.neurons import LIF
from spikec.ir.numerics import Rounding
from spikec.ir.plasticity import (
    MAX_AMPLITUDE,
    Accumulation,
    Coincidence,
    Dependence,
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
from spikec.ir.verify import verify

from .pairs_reference import NODES, STEPS, WIDE_KICK, Case, Plain
from .test_learning import cells

traces = st.builds(
    Trace,
    st.integers(0, (1 << 20) - 1),
    st.sampled_from(Accumulation),
    st.sampled_from(TraceDecay),
    st.integers(0, 4),
    st.integers(20, 28),
    st.integers(0, (1 << 24) - 1),
)
LINEAR = Response.LINEAR
updates = st.builds(
    Update,
    st.sampled_from([-1, 1]),
    st.integers(0, 60),
    st.integers(0, 24),
    st.sampled_from(Response),
    st.integers(-3, 3),
)


earlier = st.builds(
    Update, st.sampled_from([-1, 1]), st.integers(0, 60), st.integers(0, 24), st.just(LINEAR)
)


roundings = st.sampled_from([r for r in Rounding if r is not Rounding.STOCHASTIC])


def rules(draw: st.DrawFn, dendritic: int, delay: int) -> IntegerPairSTDP:
    """A rule of any kind."""
    kind = draw(st.sampled_from([IntegerPairSTDP, IntegerTripletSTDP, IntegerThreeFactorSTDP]))
    coincidences = list(Coincidence)
    if kind is IntegerTripletSTDP:
        coincidences.remove(Coincidence.BOTH)
    if dendritic == 0:
        coincidences = [Coincidence.POTENTIATE, Coincidence.NONE]
    kinds = [Dependence.ADDITIVE, Dependence.MULTIPLICATIVE]
    dependence, depression = draw(st.sampled_from(kinds)), draw(st.sampled_from([*kinds, None]))
    by = draw(st.sampled_from([None, "first"]))
    if kind is IntegerTripletSTDP:
        on_pre, on_post = draw(earlier), draw(earlier)
    else:
        on_pre, on_post = draw(updates), draw(updates)
    if dependence is Dependence.MULTIPLICATIVE:
        on_post = replace(on_post, offset=0)
    if (depression or dependence) is Dependence.MULTIPLICATIVE or by is not None:
        on_pre = replace(on_pre, offset=0)
    more: dict[str, Any] = {"fraction": draw(st.integers(0, 4)), "rounding": draw(roundings)}
    if by is not None:
        more |= {"depression_by": by, "depression_shift": draw(st.integers(0, 3))}
        more["shown_shift"] = draw(st.integers(0, 1))
    if kind is IntegerTripletSTDP:
        more |= {"pre_earlier": draw(traces), "post_earlier": draw(traces)}
        more |= {"on_pre_earlier": draw(earlier), "on_post_earlier": draw(earlier)}
    if kind is IntegerThreeFactorSTDP:
        more |= {"modulator": "first", "gate": draw(st.sampled_from([None, "second"]))}
        more |= {"eta": draw(st.integers(-9, 9)), "shift": draw(st.integers(0, 6))}
        more |= {"keep": draw(st.integers(0, (1 << 24) - 1)), "a_pre": draw(st.integers(-50, 50))}
        more |= {n: draw(st.integers(0, 1)) for n in ("modulator_shift", "product_shift")}
    elif draw(st.booleans()):
        more["bits"] = draw(st.integers(1, 6))
        more["bits_rounding"] = draw(st.sampled_from([Rounding.NEAREST_EVEN, Rounding.DOWN]))
    return kind(
        draw(traces),
        draw(traces),
        on_pre,
        on_post,
        draw(st.sampled_from(coincidences)),
        dendritic / delay if delay else draw(st.sampled_from([0.0, 1.0])),
        dependence=dependence,
        depression=depression,
        **more,
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    relayed = draw(st.booleans())
    delay = draw(st.integers(1 if relayed else 0, 4))
    dendritic = draw(st.integers(0, delay))
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
    samples = draw(st.integers(1, 3))
    rule = rules(draw, dendritic, delay)
    scaling = None
    if rule.bits is None and isinstance(connection, Dense) and draw(st.booleans()):
        scaling = draw(
            st.builds(Scaling, st.integers(1, 30), st.sampled_from(Occasion), st.sampled_from(Norm))
        )
    enable = rng.random(shape) < 0.8 if scaling is None and draw(st.booleans()) else None
    sizes = [draw(st.sampled_from([1, post])) for _ in NODES]
    return Case(
        rule,
        connection,
        delay,
        relayed,
        draw(st.sampled_from(Transmit)),
        low,
        high,
        enable,
        tuple(draw(st.lists(st.booleans(), min_size=samples, max_size=samples))),
        (rng.random((samples, STEPS, pre)) < 0.4).astype(np.int64),
        (rng.random((samples, STEPS, post)) < 0.3).astype(np.int64),
        [(rng.random((samples, STEPS, size)) < 0.5).astype(np.int64) for size in sizes],
        (draw(st.booleans()), draw(st.booleans())),
        scaling,
    )


@settings(max_examples=100, deadline=None)
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
    for k in range(len(case.learning)):
        arrived = plain.sample(k)
        quiet = case.post[k] == 0  # a spike takes v with it
        assert np.array_equal(found.states["out", "v"][k][quiet], arrived[quiet])
        assert found.weights["w"][k].ravel().tolist() == plain.w
    assert executor.weights("w").ravel().tolist() == plain.w
    executor.reset()
    assert np.array_equal(executor.weights("w"), case.connection.weight)  # type: ignore[attr-defined]


MOST = (1 << 31) - 1
SCALED = MAX_SCALED - 1


def full(bits: int) -> Trace:
    """A trace that is as large as it can be, and hardly decays."""
    return Trace((1 << bits) - 1, Accumulation.SET, TraceDecay.FACTOR, 0, bits, (1 << 24) - 1)


def limits() -> Iterator[tuple[str, IntegerPairSTDP, int, int, dict[str, Any]]]:
    """Rules whose numbers are as large as the verifier lets them be, and their rails."""
    first: dict[str, Any] = {"depression_by": "first"}
    for shift in (0, 20, 45, 60):
        down, up = Update(-1, MAX_AMPLITUDE, shift), Update(1, MAX_AMPLITUDE, shift)
        more: dict[str, Any] = {"pre_earlier": full(36), "post_earlier": full(36)}
        more |= {"on_pre_earlier": Update(-1, MAX_AMPLITUDE, 20)}
        more |= {"on_post_earlier": Update(1, MAX_AMPLITUDE, 20)}
        for low, high in ((-MOST, MOST), (0, MOST)):
            pair = IntegerPairSTDP(full(36), full(36), down, up)
            yield f"pairs {shift}", replace(pair, **first), low, high, {}
            triplet = IntegerTripletSTDP(full(36), full(36), down, up, **more)
            yield f"triplets {shift}", triplet, low, high, {}
            yield f"depressed triplets {shift}", replace(triplet, **first), low, high, {}
            for sign in (-1, 1):
                third = IntegerThreeFactorSTDP(
                    *(full(36), full(36), down, up),
                    modulator="first",
                    gate="second",
                    eta=sign * MAX_AMPLITUDE,
                    shift=shift // 2,
                    keep=(1 << 24) - 1,
                    a_pre=sign * MAX_ELIGIBLE,
                )
                yield f"third factor {sign * shift}", third, low, high, {}
            for norm, occasion in product(Norm, Occasion):
                held = Scaling(float(MOST), occasion, norm)
                yield f"{norm} {occasion} {shift}", pair, low, high, {"scaling": held}
        for bits in (1, 8, 30):
            yield f"levels {bits} {shift}", replace(pair, bits=bits), 0, MOST, {}
        scaled: dict[str, Any] = {"dependence": Dependence.MULTIPLICATIVE}
        kinds: list[tuple[type[IntegerPairSTDP], dict[str, Any]]]
        kinds = [(IntegerPairSTDP, {}), (IntegerTripletSTDP, more)]
        for kind, extra in kinds:
            rule = kind(full(28), full(28), down, up, **scaled, **extra)
            yield f"{kind.__name__} scaled {shift}", rule, -SCALED, SCALED, {}
            yield f"{kind.__name__} by {shift}", replace(rule, **first), -SCALED, SCALED, {}


def test_products_at_the_limits_fit() -> None:
    rng = np.random.default_rng(3)
    for name, rule, low, high, more in limits():
        weight = rng.integers(low, high + 1, (3, 3))
        pre, post = ((rng.random((2, STEPS, 3)) < 0.4).astype(np.int64) for _ in range(2))
        shown = [(rng.random((2, STEPS, 1)) < 0.7).astype(np.int64) for _ in NODES]
        case = Case(
            rule,
            Dense(weight),
            1,
            False,
            Transmit.BEFORE,
            low,
            high,
            None,
            (True, True),
            pre,
            post,
            shown,
            kick=WIDE_KICK,
            **more,
        )
        verify(case.graph)
        found = Executor(case.graph).run(case.stimulus, record_weights="samples")
        plain = Plain(case)
        for k in range(2):
            assert np.array_equal(found.spikes["out"].dense(k), case.post[k]), name
            plain.sample(k)
            assert found.weights["w"][k].ravel().tolist() == plain.w, name


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
