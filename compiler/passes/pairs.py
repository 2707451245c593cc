"""From a pair rule in real numbers to traces and updates in whole ones."""

from __future__ import annotations

from math import ceil, exp, floor, frexp, isfinite, log2
from typing import Final

from ...ir.plasticity import (
    FACTOR_BITS,
    MAX_AMPLITUDE,
    MAX_PAIR_BITS,
    MAX_PAIR_SHIFT,
    MAX_SCALED_BITS,
    MAX_TRACE_BITS,
    Accumulation,
    Dependence,
    IntegerPairSTDP,
    Pairing,
    PairSTDP,
    Response,
    ThreeFactorSTDP,
    Trace,
    TraceDecay,
    TripletSTDP,
    Update,
    Window,
)

# So many spikes fit in a trace of so many bits at most, whatever its time constant.
_MOST_SPIKES: Final = {MAX_PAIR_BITS: 1 << 12, MAX_SCALED_BITS: 1 << 8}
_AMPLITUDE_BITS: Final = 15
_WIDER: Final = "use more --weight-bits"
_GOLDEN: Final = "run it on the golden rung, which has it as it is"


class NoFormError(ValueError):
    """A rule has no form in whole numbers; ``hint`` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def integer_pairs(
    rule: PairSTDP,
    factor: float,
    rails: tuple[float, float],
    dt: float,
) -> IntegerPairSTDP:
    r"""``rule`` with weights in units of 1 / ``factor``, in steps of ``dt`` seconds.

    A trace has 36 bits, 28 where amplitudes depend on the weight, and room for as many spikes as a
    time constant of :math:`\tau` holds, one a step, at most 4,096 or 256. It decays by
    :math:`\mathrm{round}(2^{24} e^{-dt/\tau}) / 2^{24}`, rounded down; the amplitude A becomes
    :math:`a\,2^{-s}` for a trace of one spike, with a of 15 bits. A rectangular window is a timer.

    Raises `NoFormError` where the amplitude is less than half a unit, so that a pair would change
    nothing, for triplets, third factors and depression that a node scales, and where weights have
    bits of their own.
    """
    if isinstance(rule, TripletSTDP):
        raise NoFormError("triplets have no form in whole numbers", _GOLDEN)
    if isinstance(rule, ThreeFactorSTDP):
        raise NoFormError("a third factor has no form in whole numbers", _GOLDEN)
    if rule.depression_by is not None:
        raise NoFormError(
            f"a depression scaled by '{rule.depression_by}' has no form in whole numbers", _GOLDEN
        )
    if rule.bits is not None:
        raise NoFormError(
            f"weights of {rule.bits} bits of their own have no form in whole numbers", _GOLDEN
        )
    w_min, w_max = rails
    up, down = rule.dependences
    unit = {Dependence.ADDITIVE: factor, Dependence.SCALED: factor * w_max}
    # What an amplitude changes at most.
    most = {Dependence.MULTIPLICATIVE: (w_max - w_min) * factor}
    pre, post = _trace(rule, rule.tau_plus, up, dt), _trace(rule, rule.tau_minus, down, dt)
    a_plus, a_minus = rule.a_plus * unit.get(up, 1.0), rule.a_minus * unit.get(down, 1.0)
    return IntegerPairSTDP(
        pre,
        post,
        _update("a_minus", -a_minus, most.get(down, 1.0), rule, post),
        _update("a_plus", a_plus, most.get(up, 1.0), rule, pre),
        rule.coincidence,
        rule.dendritic_delay_fraction,
        rule.rounding,
        # What is scaled by w_max is so in its amplitude.
        up if up in most else Dependence.ADDITIVE,
        down if down in most else Dependence.ADDITIVE,
    )


def _trace(rule: PairSTDP, tau: float, dependence: Dependence, dt: float) -> Trace:
    if rule.window is Window.RECTANGULAR:
        steps = floor(tau / dt * (1 + 1e-12)) + 1
        if steps >= 1 << MAX_TRACE_BITS:
            raise NoFormError(
                f"a window of {steps - 1} steps; a timer has {MAX_TRACE_BITS} bits", _GOLDEN
            )
        return Trace(steps, Accumulation.SET, TraceDecay.COUNT, 0, MAX_TRACE_BITS)
    bits = MAX_SCALED_BITS if dependence is Dependence.MULTIPLICATIVE else MAX_PAIR_BITS
    one = 1 << FACTOR_BITS
    # A time constant of very many steps decays by the least that there is.
    factor = min(round(one * exp(-dt / tau)), one - 1)
    if rule.pairing is Pairing.NEAREST:
        return Trace(1 << (bits - 1), Accumulation.SET, TraceDecay.FACTOR, 0, bits, factor)
    # One spike a step adds up to 1 / (1 - e^(-dt / tau)), less than tau / dt + 1.
    spikes = min(tau / dt + 1, _MOST_SPIKES[bits])
    increment = 1 << (bits - 1 - ceil(log2(spikes)))
    return Trace(increment, Accumulation.ADD, TraceDecay.FACTOR, 0, bits, factor)


def _update(name: str, amplitude: float, most: float, rule: PairSTDP, trace: Trace) -> Update:
    """The update by ``amplitude`` units for a trace of one spike."""
    if amplitude == 0:
        return Update()
    size, sign = abs(amplitude), 1 if amplitude > 0 else -1
    if size * most < 0.5:
        raise NoFormError(
            f"{name} is {size * most:.3g} units of a weight: a pair changes nothing, "
            f"{0.5 / (size * most):.3g} times too little",
            _WIDER,
        )
    if rule.window is Window.RECTANGULAR and most == 1.0:
        if not round(size) <= MAX_AMPLITUDE:
            raise NoFormError(
                f"{name} is {size:.3g} units of a weight, at most {MAX_AMPLITUDE} fit",
                "an amplitude beyond the rails is no better than their distance",
            )
        return Update(sign, round(size), 0, Response.WINDOW)
    # A window has no trace to be multiplied with.
    ratio = size / (1 if rule.window is Window.RECTANGULAR else trace.increment)
    _, exponent = frexp(ratio)
    shift = max(0, min(MAX_PAIR_SHIFT, _AMPLITUDE_BITS - exponent))
    if not (isfinite(ratio) and round(ratio * 2.0**shift) <= MAX_AMPLITUDE):
        bits = log2(size / MAX_AMPLITUDE) if isfinite(size) else size
        raise NoFormError(
            f"{name} is {size:.3g} units of a weight, {bits:.1f} bits too many",
            "an amplitude beyond the rails is no better than their distance",
        )
    response = Response.WINDOW if rule.window is Window.RECTANGULAR else Response.LINEAR
    return Update(sign, round(ratio * 2.0**shift), shift, response)
