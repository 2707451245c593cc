"""A pair rule in real numbers as one in whole numbers: sizes, limits, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import pytest

from spikec.compiler.passes.pairs import NoFormError, integer_pairs
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
    return integer_pairs(rule, factor, (0.0, w_max), 1e-3)


def test_one_pair_in_one_step_changes_a_weight_by_its_amplitude() -> None:
    for rule, up, down in (
        (RULE, 50.0, 25.0),
        (replace(RULE, dependence=Dependence.SCALED), 100.0, 50.0),
        (replace(RULE, pairing=Pairing.NEAREST), 50.0, 25.0),
    ):
        integer = integer_pairs(rule, 100.0, (0.0, 2.0), 1e-3)
        for update, trace, amplitude, sign in (
            (integer.on_post, integer.pre, up, 1),
            (integer.on_pre, integer.post, down, -1),
        ):
            said = update.amplitude * trace.increment / 2.0**update.shift
            assert said == pytest.approx(amplitude, rel=2.0**-14)
            assert update.sign == sign and update.amplitude >= 1 << 14
        assert integer.pre.factor == round(2**24 * exp(-1 / 20))
        assert integer.post.factor == round(2**24 * exp(-1 / 10))
        assert {integer.pre.decay, integer.post.decay} == {TraceDecay.FACTOR}
        assert not list(integer.problems())
        assert integer.coincidence is Coincidence.NONE
        nearest = rule.pairing is Pairing.NEAREST
        assert (integer.pre.accumulation is Accumulation.SET) == nearest


@pytest.mark.parametrize("dependence", [Dependence.ADDITIVE, Dependence.MULTIPLICATIVE])
@pytest.mark.parametrize("steps", [1, 20, 1000, 5000])
def test_a_trace_lasts_as_long_as_it_should_and_holds_what_comes(
    steps: int, dependence: Dependence
) -> None:
    """1/e is left a time constant later; so many fit as come, one a step, but for a limit."""
    rule = replace(RULE, tau_plus=steps * 1e-3, dependence=dependence)
    trace = integer_pairs(rule, 100.0, (0.0, 2.0), 1e-3).pre
    left = trace.increment
    for _ in range(steps):
        left = left * trace.factor >> 24
    assert left / trace.increment == pytest.approx(exp(-1), rel=0.02)
    most = 4096 if dependence is Dependence.ADDITIVE else 256
    whole = min(1 / (1 - exp(-1 / steps)), most)
    assert whole * trace.increment < 1 << trace.bits


def test_a_window_is_a_timer_that_includes_its_end() -> None:
    rule = replace(RULE, pairing=Pairing.NEAREST, window=Window.RECTANGULAR)
    integer = integer_pairs(rule, 100.0, (0.0, 2.0), 1e-3)
    assert (integer.pre.increment, integer.post.increment) == (21, 11)
    assert integer.pre.decay is TraceDecay.COUNT
    assert (integer.on_post.amplitude, integer.on_pre.amplitude) == (50, 25)
    assert integer.on_post.response is Response.WINDOW
    assert not list(integer.problems())


def test_a_sign_turns_around_and_nothing_is_idle() -> None:
    integer = integer_pairs(replace(RULE, a_plus=-0.5, a_minus=0.0), 100.0, (0.0, 2.0), 1e-3)
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
        (RULE, 1e16, "bits too many"),
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
    with pytest.raises(NoFormError, match=said.replace("+", r"\+")):
        made(rule, factor)
