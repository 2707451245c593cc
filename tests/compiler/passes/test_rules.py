"""Rules in real numbers as rules in whole ones: sizes, limits, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from math import exp
from typing import Any

import pytest

from spikec.compiler.passes.rules import NoFormError, Units, Values, integer_rule
from spikec.ir.homeostasis import Scaling
from spikec.ir.integer_plasticity import (
    MAX_ELIGIBLE,
    MAX_FRACTION,
    MAX_MODULATION,
    MAX_RAISED,
    MAX_SHOWN,
)
from spikec.ir.numerics import Rounding
from spikec.ir.plasticity import (
    MAX_AMPLITUDE,
    Accumulation,
    Coincidence,
    Dependence,
    Hebbian,
    Pairing,
    PairSTDP,
    Plasticity,
    Response,
    Rule,
    ThreeFactorSTDP,
    TraceDecay,
    TripletSTDP,
    Window,
)

RULE = PairSTDP(0.5, 0.25, 20e-3, 10e-3, coincidence=Coincidence.NONE)


def shows(name: str) -> Values:
    """Spikes, up to 3 a step, or a membrane of 40 bits."""
    return Values(1e-6, (1 << 39) - 1, False) if name == "level" else Values(1.0, 3, True)


def made(
    rule: Rule,
    factor: float = 100.0,
    fraction: int | None = 0,
    scaling: Scaling | None = None,
    widest: int = 8,
) -> Any:
    units = Units(factor, 1e-3, widest, shows, fraction)
    return integer_rule(Plasticity(rule, 0.0, 2.0, scaling=scaling), units, "pre", "post")


def test_one_pair_in_one_step_changes_a_weight_by_its_amplitude() -> None:
    for rule, up, down in (
        (RULE, 50.0, 25.0),
        (replace(RULE, dependence=Dependence.SCALED), 100.0, 50.0),
        (replace(RULE, pairing=Pairing.NEAREST), 50.0, 25.0),
    ):
        integer = made(rule)
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
    trace = made(rule).pre
    left = trace.increment
    for _ in range(steps):
        left = left * trace.factor >> 24
    assert left / trace.increment == pytest.approx(exp(-1), rel=0.02)
    most = 4096 if dependence is Dependence.ADDITIVE else 256
    whole = min(1 / (1 - exp(-1 / steps)), most)
    assert whole * trace.increment < 1 << trace.bits


def test_a_window_is_a_timer_that_includes_its_end() -> None:
    rule = replace(RULE, pairing=Pairing.NEAREST, window=Window.RECTANGULAR)
    integer = made(rule)
    assert (integer.pre.increment, integer.post.increment) == (21, 11)
    assert integer.pre.decay is TraceDecay.COUNT
    assert (integer.on_post.amplitude, integer.on_pre.amplitude) == (50, 25)
    assert integer.on_post.response is Response.WINDOW
    assert not list(integer.problems())


def test_a_sign_turns_around_and_nothing_is_idle() -> None:
    integer = made(replace(RULE, a_plus=-0.5, a_minus=0.0))
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
        (RULE, 1e17, "bits too many"),
        (
            replace(RULE, pairing=Pairing.NEAREST, window=Window.RECTANGULAR, tau_plus=70.0),
            100.0,
            "a window of 70000 steps; a timer has 16 bits",
        ),
        (
            replace(RULE, pairing=Pairing.NEAREST, window=Window.RECTANGULAR),
            1e7,
            "a_plus is 5e+06 units of a weight, at most 6.554e+04 fit",
        ),
        (replace(RULE, bits=8), 100.0, "weights of 8 bits between rails that are 200 units apart"),
        (TripletSTDP(1e-9, 0.25, 0.02, 0.01, a3_plus=1e-3), 100.0, "a3_plus is 0.1 units"),
        (
            ThreeFactorSTDP.delta("reward", eta=1e-3, tau_e=1),
            100.0,
            "eta times a pair is 0.1 units of a weight: one spike of 'reward' changes nothing",
        ),
        (
            ThreeFactorSTDP(0.0, 0.0, 1.0, 1.0, modulator="reward"),
            100.0,
            "a_plus, a_minus and a_pre are zero",
        ),
        (Hebbian(-4e-3), 100.0, "eta is 0.4 units of a weight: a spike of each changes nothing"),
        (Hebbian(1e9), 100.0, "bits too many"),
        (Hebbian(1e-320), 100.0, "eta is 9.99989e-321"),
        (replace(RULE, a_plus=1e308), 100.0, "a_plus is 1e+308"),
        (replace(RULE, a_minus=1e-320), 100.0, "a_minus is 9.99989e-321"),
        (
            replace(RULE, depression_by="spikes", window=Window.RECTANGULAR, a_minus=1e5),
            100.0,
            "a_minus",
        ),
    ],
)
def test_what_has_no_form_is_said(rule: Rule, factor: float, said: str) -> None:
    with pytest.raises(NoFormError, match=said.replace("+", r"\+")):
        made(rule, factor)


def test_a_weight_has_the_fraction_that_its_rule_has_use_for() -> None:
    """64 of the finest units for a pair, none for one of many, all for what moves by bits."""
    most = MAX_FRACTION
    for rule, factor, fraction in (
        (RULE, 1000.0, 0),
        (RULE, 100.0, 2),  # 25 units of a_minus: 100 quarters
        (RULE, 1.0, 8),
        (RULE, 1e-4, most),
        (replace(RULE, a_plus=0.0, a_minus=0.0), 1e-4, 0),
        (Hebbian(1.0, "level", "level"), 1000.0, 13),  # 35184 for the least value
        (replace(RULE, dependence=Dependence.MULTIPLICATIVE), 1e-3, 10),
        (replace(RULE, bits=3), 1000.0, most),
        (replace(RULE, depression_by="level"), 1000.0, most),
        (replace(RULE, depression_by="spikes"), 1000.0, 0),
        (Hebbian(1e-4), 1000.0, most),
        (ThreeFactorSTDP.delta("m", eta=1e-4, tau_e=1), 1000.0, most),
    ):
        try:
            assert made(rule, factor, None).fraction == fraction, rule
        except NoFormError as error:
            assert factor == 1e-4 and "changes nothing" in str(error)
    assert made(RULE, 1000.0, None, Scaling(2.0)).fraction == most
    assert made(RULE, 1000.0, None, Scaling(2.0), widest=12).fraction == 12
    assert made(RULE, 100.0, 5).fraction == 5
    # Where amplitudes depend on the weight, there is room for 18 bits.
    scaled = replace(RULE, dependence=Dependence.MULTIPLICATIVE)
    assert made(scaled, 100.0, 16, widest=12).fraction == 6
    assert made(scaled, 100.0, 16, widest=16).fraction == 2


@pytest.mark.parametrize("dependence", [Dependence.ADDITIVE, Dependence.MULTIPLICATIVE])
def test_a_triplet_counts_what_it_says(dependence: Dependence) -> None:
    """Amplitudes after one and after many earlier spikes, and room for one in every step."""
    rule = TripletSTDP(
        *(0.5, -0.25, 20e-3, 10e-3),
        dependence=dependence,
        a3_plus=2.0,
        a3_minus=0.125,
        tau_x=50e-3,
        tau_y=100e-3,
    )
    scaled = dependence is Dependence.MULTIPLICATIVE
    whole = made(rule)
    assert not list(whole.problems())
    for update, more, trace, other, pair, triplet, tau in (
        (whole.on_post, whole.on_post_earlier, whole.post_earlier, whole.pre, 0.5, 2.0, 100),
        (whole.on_pre, whole.on_pre_earlier, whole.pre_earlier, whole.post, 0.25, -0.125, 50),
    ):
        for earlier in (0, 1, 7, tau):
            left = earlier * trace.increment
            assert left < 1 << trace.bits
            size = update.sign * update.amplitude
            size += more.sign * round(more.amplitude * left / 2**more.shift)
            assert abs(size) <= (MAX_AMPLITUDE if scaled else MAX_RAISED)
            said = size * other.increment / 2.0**update.shift / (1 if scaled else 100)
            # In 16 bits there is room for one spike a step, and little below that.
            rough = 0.02 if scaled else 1e-4
            assert said == pytest.approx(pair + triplet * earlier, rel=rough, abs=rough)


@pytest.mark.parametrize("window", list(Window))
@pytest.mark.parametrize("name", ["spikes", "level"])
def test_a_node_scales_what_it_says(name: str, window: Window) -> None:
    rule = replace(RULE, depression_by=name, window=window, pairing=Pairing.NEAREST)
    whole = made(rule)
    assert not list(whole.problems())
    unit = shows(name).unit
    for value in (1, 3) if name == "spikes" else (10**6, 1 << 38):
        seen = round(value / 2**whole.shown_shift)
        assert seen <= MAX_SHOWN
        amplitude = round(whole.on_pre.amplitude * seen / 2**whole.depression_shift)
        assert amplitude <= MAX_RAISED
        spike = 1 if window is Window.RECTANGULAR else whole.post.increment
        shift = 0 if window is Window.RECTANGULAR else whole.on_pre.shift
        said = amplitude * spike / 2.0**shift
        assert said == pytest.approx(25.0 * value * unit, rel=1e-3, abs=0.5)


@pytest.mark.parametrize("gate", [None, "spikes", "level"])
@pytest.mark.parametrize("modulator", ["spikes", "level"])
def test_a_third_factor_learns_what_it_says(modulator: str, gate: str | None) -> None:
    rule = ThreeFactorSTDP(
        *(0.5, 0.25, 20e-3, 10e-3),
        modulator=modulator,
        gate=gate,
        eta=-0.3 * (1e-12 if "level" in (modulator, gate) else 1.0),
        tau_e=40e-3,
        a_pre=0.1,
    )
    whole = made(rule, fraction=None)
    assert not list(whole.problems())
    assert whole.keep == round(2**24 * exp(-1 / 40))
    pair = whole.on_post.amplitude * whole.pre.increment / 2.0**whole.on_post.shift
    assert whole.a_pre / pair == pytest.approx(0.2, rel=1e-3)
    assert 40 * 20 * pair < MAX_ELIGIBLE
    values = {"spikes": 1, "level": 1 << 38}
    m = round(values[modulator] / 2**whole.modulator_shift)
    real = values[modulator] * shows(modulator).unit
    if gate is not None:
        m *= round(values[gate] / 2**whole.gate_shift)
        real *= values[gate] * shows(gate).unit
    m = round(m / 2**whole.product_shift)
    assert 0 < m <= MAX_MODULATION
    said = whole.eta * m * pair / 2.0**whole.shift / 2**whole.fraction
    assert said == pytest.approx(rule.eta * real * 0.5 * 100, rel=1e-3)


def test_a_product_of_values_is_what_it_says() -> None:
    for rule, x, y in (
        (Hebbian(-0.3), 1, 3),
        (Hebbian(0.2, "level", "spikes"), 1 << 38, 1),
        (Hebbian(1e-3, "level", "level"), 1 << 30, 1 << 38),
    ):
        whole = made(rule, fraction=None)
        assert not list(whole.problems())
        hats = round(x / 2**whole.pre_shift) * round(y / 2**whole.post_shift)
        unit = shows(rule.pre_factor or "").unit * shows(rule.post_factor or "").unit
        said = whole.eta * hats / 2.0**whole.shift / 2**whole.fraction
        assert said == pytest.approx(rule.eta * 100 * x * y * unit, rel=1e-3)
    assert (made(Hebbian(0.0)).eta, made(Hebbian(0.0)).rows) == (0, False)
