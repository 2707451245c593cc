"""A pair rule in real numbers as one in whole numbers: sizes, limits, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import pytest

from spikec.compiler.passes.pairs import integer_pairs
from spikec.ir.numerics import Rounding
from spikec.ir.plasticity import (
    Accumulation,
    Coincidence,
    Dependence,
    Pairing,
    PairSTDP,
    Response,
    TraceDecay,
    Window,
)

RULE = PairSTDP(0.5, 0.25, 20e-3, 10e-3, coincidence=Coincidence.NONE)


def made(rule: PairSTDP, factor: float = 100.0, w_max: float = 2.0) -> object:
    return integer_pairs(rule, factor, (0.0, w_max), 1e-3, Rounding.NEAREST_EVEN)


def test_one_pair_in_one_step_changes_a_weight_by_its_amplitude() -> None:
    for rule, up, down in (
        (RULE, 50.0, 25.0),
        (replace(RULE, dependence=Dependence.SCALED), 100.0, 50.0),
        (replace(RULE, pairing=Pairing.NEAREST), 50.0, 25.0),
    ):
        integer = integer_pairs(rule, 100.0, (0.0, 2.0), 1e-3, Rounding.NEAREST_EVEN)
        for update, trace, amplitude, sign in (
            (integer.on_post, integer.pre, up, 1),
            (integer.on_pre, integer.post, down, -1),
        ):
            said = update.amplitude * trace.increment / 2.0**update.shift
            assert said == pytest.approx(amplitude, rel=2.0**-14)
            assert update.sign == sign and update.amplitude >= 1 << 14
        assert integer.pre.factor == round(65536 * exp(-1 / 20))
        assert integer.post.factor == round(65536 * exp(-1 / 10))
        assert {integer.pre.decay, integer.post.decay} == {TraceDecay.FACTOR}
        assert not list(integer.problems())
        assert integer.coincidence is Coincidence.NONE
        nearest = rule.pairing is Pairing.NEAREST
        assert (integer.pre.accumulation is Accumulation.SET) == nearest


def test_a_window_is_a_timer_that_includes_its_end() -> None:
    rule = replace(RULE, pairing=Pairing.NEAREST, window=Window.RECTANGULAR)
    integer = integer_pairs(rule, 100.0, (0.0, 2.0), 1e-3, Rounding.NEAREST_EVEN)
    assert (integer.pre.increment, integer.post.increment) == (21, 11)
    assert integer.pre.decay is TraceDecay.COUNT
    assert (integer.on_post.amplitude, integer.on_pre.amplitude) == (50, 25)
    assert integer.on_post.response is Response.WINDOW
    assert not list(integer.problems())


def test_a_sign_turns_around_and_nothing_is_idle() -> None:
    integer = integer_pairs(
        replace(RULE, a_plus=-0.5, a_minus=0.0), 100.0, (0.0, 2.0), 1e-3, Rounding.STOCHASTIC
    )
    assert integer.on_post.sign == -1 and integer.on_pre.idle
    assert integer.rounding is Rounding.NEAREST_EVEN


@pytest.mark.parametrize(
    ("rule", "factor", "said"),
    [
        (
            replace(RULE, dependence=Dependence.MULTIPLICATIVE, a_plus=1e-3),
            100.0,
            "a_plus is 0.2 units of a weight",
        ),
        (RULE, 1.5, "a_minus is 0.375 units of a weight: a pair changes nothing, 1.33 times"),
        (RULE, 1e10, "bits too many"),
        (
            replace(RULE, pairing=Pairing.NEAREST, window=Window.RECTANGULAR, tau_plus=70.0),
            100.0,
            "a window of 70000 steps; a timer has 16 bits",
        ),
        (
            replace(RULE, pairing=Pairing.NEAREST, window=Window.RECTANGULAR),
            1e7,
            "a_minus is 2.5e+06 units of a weight, at most 65535 fit",
        ),
    ],
)
def test_what_has_no_form_is_said(rule: PairSTDP, factor: float, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("+", r"\+")):
        made(rule, factor)
