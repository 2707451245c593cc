"""From a pair rule in real numbers to traces and updates in whole ones."""

from __future__ import annotations

from math import exp, floor, frexp, isfinite, log2
from typing import Final

from ...ir.numerics import Rounding
from ...ir.plasticity import (
    FACTOR_BITS,
    MAX_AMPLITUDE,
    MAX_SHIFT,
    MAX_TRACE_BITS,
    Accumulation,
    Dependence,
    IntegerPairSTDP,
    Pairing,
    PairSTDP,
    Response,
    Trace,
    TraceDecay,
    TripletSTDP,
    Update,
    Window,
)

# What a spike adds to a trace of 16 bits: a sixteenth where spikes add up, so that as many fit.
_ALONE: Final = 1 << (MAX_TRACE_BITS - 1)
_ADDED: Final = 1 << (MAX_TRACE_BITS - 4)
_AMPLITUDE_BITS: Final = 15


def integer_pairs(
    rule: PairSTDP,
    factor: float,
    rails: tuple[float, float],
    dt: float,
    rounding: Rounding,
) -> IntegerPairSTDP:
    r"""``rule`` with weights in units of 1 / ``factor``, in steps of ``dt`` seconds.

    A trace is :math:`2^{12}` (all pair with all) or :math:`2^{15}` times that of the rule, and
    decays by :math:`\mathrm{round}(2^{16} e^{-dt/\tau}) / 2^{16}`, rounded down; the amplitude A
    becomes :math:`a\,2^{-s}` for a trace of that size, with a of 15 bits. A rectangular window is a
    timer.

    Raises ``ValueError`` where the amplitude is less than half a unit, so that a pair would change
    nothing, for triplets, and where weights have bits of their own.
    """
    if isinstance(rule, TripletSTDP):
        raise ValueError("triplets have no form in whole numbers")
    if rule.bits is not None:
        raise ValueError(f"weights of {rule.bits} bits of their own have no form in whole numbers")
    w_min, w_max = rails
    scaled = rule.dependence is Dependence.MULTIPLICATIVE
    scale = {Dependence.ADDITIVE: factor, Dependence.SCALED: factor * w_max}.get(
        rule.dependence, 1.0
    )
    # What an amplitude changes at most.
    most = (w_max - w_min) * factor if scaled else 1.0
    rounding = Rounding.NEAREST_EVEN if rounding is Rounding.STOCHASTIC else rounding
    pre, post = (_trace(rule, tau, dt) for tau in (rule.tau_plus, rule.tau_minus))
    return IntegerPairSTDP(
        pre,
        post,
        _update("a_minus", -rule.a_minus * scale, most, rule, post),
        _update("a_plus", rule.a_plus * scale, most, rule, pre),
        rule.coincidence,
        rule.dendritic_delay_fraction,
        rounding,
        rule.dependence if scaled else Dependence.ADDITIVE,
    )


def _trace(rule: PairSTDP, tau: float, dt: float) -> Trace:
    if rule.window is Window.RECTANGULAR:
        steps = floor(tau / dt * (1 + 1e-12)) + 1
        if steps >= 1 << MAX_TRACE_BITS:
            raise ValueError(f"a window of {steps - 1} steps; a timer has {MAX_TRACE_BITS} bits")
        return Trace(steps, Accumulation.SET, TraceDecay.COUNT, 0, MAX_TRACE_BITS)
    # A time constant of very many steps decays by the least that there is.
    factor = min(round((1 << FACTOR_BITS) * exp(-dt / tau)), (1 << FACTOR_BITS) - 1)
    if rule.pairing is Pairing.NEAREST:
        how, increment = Accumulation.SET, _ALONE
    else:
        how, increment = Accumulation.ADD, _ADDED
    return Trace(increment, how, TraceDecay.FACTOR, 0, MAX_TRACE_BITS, factor)


def _update(name: str, amplitude: float, most: float, rule: PairSTDP, trace: Trace) -> Update:
    """The update by ``amplitude`` units for a trace of one spike."""
    if amplitude == 0:
        return Update()
    size, sign = abs(amplitude), 1 if amplitude > 0 else -1
    if size * most < 0.5:
        raise ValueError(
            f"{name} is {size * most:.3g} units of a weight: a pair changes nothing, "
            f"{0.5 / (size * most):.3g} times too little"
        )
    if rule.window is Window.RECTANGULAR and most == 1.0:
        if not round(size) <= MAX_AMPLITUDE:
            raise ValueError(f"{name} is {size:.3g} units of a weight, at most {MAX_AMPLITUDE} fit")
        return Update(sign, round(size), 0, Response.WINDOW)
    # A window has no trace to be multiplied with.
    ratio = size / (1 if rule.window is Window.RECTANGULAR else trace.increment)
    _, exponent = frexp(ratio)
    shift = max(0, min(MAX_SHIFT, _AMPLITUDE_BITS - exponent))
    if not (isfinite(ratio) and round(ratio * 2.0**shift) <= MAX_AMPLITUDE):
        bits = log2(size / MAX_AMPLITUDE) if isfinite(size) else size
        raise ValueError(f"{name} is {size:.3g} units of a weight, {bits:.1f} bits too many")
    response = Response.WINDOW if rule.window is Window.RECTANGULAR else Response.LINEAR
    return Update(sign, round(ratio * 2.0**shift), shift, response)
