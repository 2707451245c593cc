r"""From rules in real numbers to those of `ir.integer_plasticity`.

A weight of :math:`w` in real units is :math:`W = w\,k\,2^f`, with k the units of a weight in a real
one and f the fraction. What a rule changes it by is an amplitude of 15 bits and a shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, exp, floor, frexp, inf, isfinite, log2
from typing import Any, Final

from ...ir.integer_plasticity import (
    MAX_ELIGIBLE,
    MAX_FRACTION,
    MAX_MODULATION,
    MAX_PAIR_BITS,
    MAX_PAIR_SHIFT,
    MAX_RAISED,
    MAX_SCALED,
    MAX_SCALED_BITS,
    MAX_SHOWN,
    IntegerHebbian,
    IntegerPairSTDP,
    IntegerThreeFactorSTDP,
    IntegerTripletSTDP,
)
from ...ir.plasticity import (
    FACTOR_BITS,
    MAX_AMPLITUDE,
    MAX_TRACE_BITS,
    Accumulation,
    Dependence,
    Hebbian,
    Pairing,
    PairSTDP,
    Plasticity,
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
_WEIGHT_BITS: Final = 24
_REACHES: Final = 256.0
_OVER_OTHERS: Final = 64.0
_SANE: Final = 1e200  # beyond it numbers overflow before they can be called too large
# A pair changes a weight by so many of its finest units at least, if it has room for them: those
# three time constants apart still change it.
_FINE: Final = 64.0
_GOLDEN: Final = "run it on the golden rung, which has it as it is"
_RAILS: Final = "an amplitude beyond the rails is no better than their distance"


class NoFormError(ValueError):
    """A rule has no form in whole numbers; ``hint`` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Values:
    """What whole numbers make of what a node shows: one is worth ``unit``, ``most`` come at most.

    ``counted`` says whether they are spikes, of which one is much.
    """

    unit: float
    most: int
    counted: bool


@dataclass(frozen=True)
class Units:
    """In what a rule counts: ``weight`` units in a real one, steps of ``dt`` seconds, what nodes
    show. ``widest`` is the width of a weight; ``fraction`` so many bits below its unit, or as many
    as a rule has use for.
    """

    weight: float
    dt: float
    widest: int
    shows: Callable[[str], Values]
    fraction: int | None = None

    def finer(self) -> str:
        """What to do where the finest unit is too coarse."""
        capped = self.fraction is not None and self.fraction < MAX_FRACTION
        return f"use more --fraction-bits, or {_GOLDEN}" if capped else _GOLDEN

    def finest(self, rule: PairSTDP | Hebbian) -> int:
        """The most bits below a unit."""
        scaled = isinstance(rule, PairSTDP) and Dependence.MULTIPLICATIVE in rule.dependences
        room = MAX_SCALED.bit_length() if scaled else _WEIGHT_BITS
        most = max(0, min(MAX_FRACTION, room - self.widest))
        return most if self.fraction is None else min(self.fraction, most)


def integer_rule(
    plasticity: Plasticity, units: Units, pre: str, post: str
) -> IntegerPairSTDP | IntegerHebbian:
    r"""The rule of ``plasticity``, between the nodes ``pre`` and ``post``, in whole numbers.

    A trace has 36 bits, 28 where amplitudes depend on the weight, and room for as many spikes as a
    time constant of :math:`\tau` holds, one a step, at most 4,096 or 256. It decays by
    :math:`\mathrm{round}(2^{24} e^{-dt/\tau}) / 2^{24}`, rounded down; the amplitude A becomes
    :math:`a\,2^{-s}` for a trace of one spike, with a of 15 bits. A rectangular window is a timer.

    A weight has as many bits below its unit as make the amplitude of a pair 64 of the finest, none
    where it is so much already; and all that there is room for, 24 with those of the weight and 18
    where amplitudes depend on it, where a rule changes weights bit by bit: third factors, products
    of values, scaling, weights of a few levels.

    Raises `NoFormError` where an amplitude is less than half of the finest unit, so that a pair
    would change nothing; where it passes 16 bits; and for weights of more levels than there are.
    """
    rule = plasticity.rule
    for name in ("a_plus", "a_minus", "a3_plus", "a3_minus", "a_pre", "eta"):
        if (value := abs(getattr(rule, name, 0.0))) and not 1 / _SANE < value < _SANE:
            raise NoFormError(
                f"{name} is {getattr(rule, name):g}; sizes from {1 / _SANE:g} to {_SANE:g} have a "
                "form in whole numbers",
                _GOLDEN,
            )
    if isinstance(rule, Hebbian):
        return _hebbian(rule, units, pre, post)
    if not isinstance(rule, PairSTDP):
        raise NoFormError(f"{type(rule).__name__} has no form in whole numbers", _GOLDEN)
    if isinstance(rule, ThreeFactorSTDP):
        return _three_factors(rule, plasticity, units)
    fraction = _fraction(rule, plasticity, units)
    fine = units.weight * 2.0**fraction
    return _pairs(rule, plasticity, units, fine, fine, fraction)


def _fraction(rule: PairSTDP, plasticity: Plasticity, units: Units) -> int:
    """The bits that a weight has below its unit."""
    most = units.finest(rule)
    steps = [size * units.weight for size in _sizes(rule, plasticity) if size]
    most = max(0, int(min(most, _window_bits(rule, max(steps, default=0.0)))))
    if rule.bits is not None or plasticity.scaling is not None or units.fraction is not None:
        return most
    if rule.depression_by is not None and not units.shows(rule.depression_by).counted:
        return most
    wanted = max((ceil(log2(_FINE / size)) for size in steps), default=0)
    return min(max(wanted, 0), most)


def _window_bits(rule: PairSTDP, size: float) -> float:
    """By how many bits an amplitude of ``size`` may grow: one of a window has no shift."""
    if rule.window is Window.EXPONENTIAL or size == 0:
        return inf
    return log2(MAX_AMPLITUDE / size)


def _sizes(rule: PairSTDP, plasticity: Plasticity) -> tuple[float, float]:
    """By how much a pair changes a weight at most, up and down, in real numbers."""
    w_min, w_max = plasticity.w_min, plasticity.w_max
    reach = {
        Dependence.ADDITIVE: 1.0,
        Dependence.SCALED: w_max,
        Dependence.MULTIPLICATIVE: w_max - w_min,
    }
    up, down = abs(rule.a_plus), abs(rule.a_minus)
    if isinstance(rule, TripletSTDP):
        up, down = max(up, abs(rule.a3_plus)), max(down, abs(rule.a3_minus))
    return up * reach[rule.dependences[0]], down * reach[rule.dependences[1]]


def _pairs(
    rule: PairSTDP,
    plasticity: Plasticity,
    units: Units,
    change: float,
    fine: float,
    fraction: int,
) -> IntegerPairSTDP:
    """``rule`` with changes in units of 1 / ``change``, of weights in those of 1 / ``fine``."""
    up, down = rule.dependences
    if rule.bits is not None:
        ends = (round(rail * units.weight) for rail in (plasticity.w_max, plasticity.w_min))
        span = (next(ends) - next(ends)) << fraction
        if span < (1 << rule.bits) - 1:
            raise NoFormError(
                f"weights of {rule.bits} bits between rails that are {span} units apart, "
                f"{fraction} bits below a unit included",
                units.finer(),
            )
    pre = _trace(rule, rule.tau_plus, up, units.dt)
    post = _trace(rule, rule.tau_minus, down, units.dt)
    columns = _side("plus", rule, plasticity, (pre, up), change, fine, units)
    rows = _side("minus", rule, plasticity, (post, down), change, fine, units)
    fields: dict[str, Any] = {
        "pre": pre,
        "post": post,
        "on_pre": rows.update,
        "on_post": columns.update,
        "coincidence": rule.coincidence,
        "dendritic_delay_fraction": rule.dendritic_delay_fraction,
        # What is scaled by w_max is so in its amplitude.
        "dependence": _kept(up),
        "depression": _kept(down),
        "fraction": fraction,
        "bits": rule.bits,
        "bits_rounding": rule.rounding,
        "depression_by": rule.depression_by,
        "depression_shift": rows.shift,
        "shown_shift": rows.shown_shift,
    }
    if not isinstance(rule, TripletSTDP):
        return IntegerPairSTDP(**fields)
    return IntegerTripletSTDP(
        **fields,
        pre_earlier=_trace(rule, rule.tau_x, Dependence.ADDITIVE, units.dt),
        post_earlier=_trace(rule, rule.tau_y, Dependence.ADDITIVE, units.dt),
        on_pre_earlier=rows.earlier,
        on_post_earlier=columns.earlier,
    )


def _kept(dependence: Dependence) -> Dependence:
    return Dependence.ADDITIVE if dependence is Dependence.SCALED else dependence


def _trace(rule: PairSTDP, tau: float, dependence: Dependence, dt: float) -> Trace:
    if rule.window is Window.RECTANGULAR:
        steps = floor(tau / dt * (1 + 1e-12)) + 1
        if steps >= 1 << MAX_TRACE_BITS:
            raise NoFormError(
                f"a window of {steps - 1} steps; a timer has {MAX_TRACE_BITS} bits", _GOLDEN
            )
        return Trace(steps, Accumulation.SET, TraceDecay.COUNT, 0, MAX_TRACE_BITS)
    bits = MAX_SCALED_BITS if dependence is Dependence.MULTIPLICATIVE else MAX_PAIR_BITS
    factor = _decay(tau, dt)
    if rule.pairing is Pairing.NEAREST:
        return Trace(1 << (bits - 1), Accumulation.SET, TraceDecay.FACTOR, 0, bits, factor)
    increment = 1 << (bits - 1 - ceil(log2(_most_spikes(tau, dt, bits))))
    return Trace(increment, Accumulation.ADD, TraceDecay.FACTOR, 0, bits, factor)


def _decay(tau: float, dt: float) -> int:
    one = 1 << FACTOR_BITS
    # A time constant of very many steps decays by the least that there is.
    return min(round(one * exp(-dt / tau)), one - 1)


def _most_spikes(tau: float, dt: float, bits: int) -> float:
    """One spike a step adds up to 1 / (1 - e^(-dt / tau)), less than tau / dt + 1."""
    return min(tau / dt + 1, _MOST_SPIKES[bits])


@dataclass(frozen=True)
class _Side:
    """The updates of one side; by how many bits a product with what a node shows is shifted, and
    what it shows.
    """

    update: Update
    earlier: Update
    shift: int = 0
    shown_shift: int = 0


def _side(
    side: str,
    rule: PairSTDP,
    plasticity: Plasticity,
    other: tuple[Trace, Dependence],
    change: float,
    fine: float,
    units: Units,
) -> _Side:
    """What a spike does by the trace of the ``other`` side and the dependence on the weight."""
    trace, dependence = other
    sign = 1 if side == "plus" else -1
    scaled = dependence is Dependence.MULTIPLICATIVE
    # What an amplitude of one changes at most, and what it is multiplied with beside the trace.
    unit = change / fine if scaled else change
    if dependence is Dependence.SCALED:
        unit *= plasticity.w_max
    room = (plasticity.w_max - plasticity.w_min) * fine if scaled else 1.0
    limit = MAX_AMPLITUDE if scaled else MAX_RAISED
    # A window has no trace to be multiplied with.
    spike = 1 if rule.window is Window.RECTANGULAR else trace.increment
    pair, triplet, left = getattr(rule, f"a_{side}"), 0.0, 0.0
    if isinstance(rule, TripletSTDP):
        triplet = getattr(rule, f"a3_{side}")
        tau = rule.tau_y if side == "plus" else rule.tau_x
        left = 1.0
        if rule.pairing is Pairing.ALL:
            left = _most_spikes(tau, units.dt, MAX_PAIR_BITS)
    name = f"a_{side}" if abs(pair) >= abs(triplet) else f"a3_{side}"
    size = max(abs(pair), abs(triplet)) * unit * room
    if size == 0:
        return _Side(Update(), Update())
    by = rule.depression_by if side == "minus" else None
    shown = None if by is None else units.shows(by)
    said = f"{name} is {size * units.weight / change:.3g} units of a weight"
    if size < 0.5 and (shown is None or shown.counted):
        raise NoFormError(
            f"{said}: a pair changes nothing, {0.5 / size:.3g} times too little", units.finer()
        )
    if rule.window is Window.RECTANGULAR and not scaled and shown is None:
        if not round(size) <= MAX_AMPLITUDE:
            most = MAX_AMPLITUDE * units.weight / change
            raise NoFormError(f"{said}, at most {most:.4g} fit", _RAILS)
        return _Side(Update(_sign(sign * pair), round(size), 0, Response.WINDOW), Update())
    shown_shift = _shown_shift(shown.most) if shown else 0
    each = shown.unit * 2.0**shown_shift if shown else 1.0
    pair, triplet = (a * unit / spike * each for a in (pair, triplet))
    sum_most = abs(pair) + abs(triplet) * left
    # What a node shows may be worth little each, and then there is much of it.
    timed = rule.window is Window.EXPONENTIAL or scaled
    most = MAX_PAIR_SHIFT * (2 if shown is not None and timed else 1)
    shift = _shift(said, abs(pair) or sum_most, most=most)
    if left:
        bits = (limit + 1).bit_length() - 2
        shift = min(shift, _shift(said, sum_most, bits, most))
    # What comes of a node is shifted until the largest fits.
    over = sum_most * 2.0**shift * (shown.most >> shown_shift if shown else 1)
    node_shift = max(0, ceil(log2(over / limit))) if shown else 0
    if not timed:
        node_shift = shift  # it has no other
    shift = min(shift, MAX_PAIR_SHIFT + node_shift)
    if shift - node_shift < 0:
        raise NoFormError(f"{said}, too many for what '{by}' shows", _RAILS)
    response = Response.WINDOW if rule.window is Window.RECTANGULAR else Response.LINEAR
    update = Update(_sign(sign * pair), round(abs(pair) * 2.0**shift), shift - node_shift, response)
    earlier = Update()
    if triplet:
        # No weight is multiplied with a neuron's own earlier spikes.
        own_trace = _trace(rule, tau, Dependence.ADDITIVE, units.dt)
        ratio = abs(triplet) * 2.0**shift / own_trace.increment
        own = _shift(said, ratio)
        earlier = Update(_sign(sign * triplet), round(ratio * 2.0**own), own)
    return _Side(update, earlier, node_shift, shown_shift)


def _sign(x: float) -> int:
    return -1 if x < 0 else 1


def _shift(
    said: str,
    ratio: float,
    bits: int = _AMPLITUDE_BITS,
    most: int = MAX_PAIR_SHIFT,
    hint: str = _RAILS,
) -> int:
    """The shift that gives ``ratio`` so many bits, or as many as there are."""
    if isfinite(ratio):
        shift = max(0, min(most, bits - frexp(ratio)[1]))
        if round(ratio * 2.0**shift) <= max(MAX_AMPLITUDE, 1 << bits):
            return shift
    over = f", {log2(ratio / MAX_AMPLITUDE):.1f} bits too many" if isfinite(ratio) else ""
    raise NoFormError(f"{said}{over}", hint)


def _three_factors(
    rule: ThreeFactorSTDP, plasticity: Plasticity, units: Units
) -> IntegerThreeFactorSTDP:
    fraction = units.finest(rule)
    fine = units.weight * 2.0**fraction
    up, down = _sizes(rule, plasticity)
    pair = largest = max(up, down, abs(rule.a_pre))
    if rule.depression_by is not None:
        depression = units.shows(rule.depression_by)
        pair = max(up, abs(rule.a_pre), down if depression.counted else 0.0)
        # A membrane can reach far more than it does: what it scales gets room for a few pairs at
        # its reach, and not so much that nothing is left of the others.
        down *= depression.most * depression.unit
        down /= 1.0 if depression.counted else _REACHES
        other = max(up, abs(rule.a_pre))
        largest = max(other, min(down, _OVER_OTHERS * other) if other else down)
    shows = [units.shows(name) for name in (rule.modulator, rule.gate) if name is not None]
    if not largest:
        raise NoFormError("a_plus, a_minus and a_pre are zero: there is nothing to learn", _GOLDEN)
    # As many as come, one a step, have room, each with as many as a trace holds.
    pairs = _most_spikes(rule.tau_e, units.dt, MAX_PAIR_BITS)
    if rule.pairing is Pairing.ALL:
        pairs *= max(rule.tau_plus, rule.tau_minus) / units.dt + 1
    room = log2((MAX_ELIGIBLE + 1) / 2 / (largest * min(pairs, _MOST_SPIKES[MAX_PAIR_BITS])))
    eligible = 2.0 ** floor(min(room, _window_bits(rule, largest)))
    shifts = [_shown_shift(each.most) for each in shows]
    most, value = 1, 1.0
    for each, shift in zip(shows, shifts, strict=True):
        most, value = most * (each.most >> shift), value * each.unit
    product = max(0, most.bit_length() - MAX_MODULATION.bit_length())
    one = abs(rule.eta) * pair * fine * value
    if rule.eta and pair and all(each.counted for each in shows) and one < 0.5:
        raise NoFormError(
            f"eta times a pair is {one / 2.0**fraction:.3g} units of a weight: one spike of "
            f"'{rule.modulator}' changes nothing, {0.5 / one:.3g} times too little",
            units.finer(),
        )
    ratio = rule.eta * fine / eligible * value * 2.0 ** (sum(shifts) + product)
    eta, own, coarser = _eta(ratio, fraction)
    fine, fraction = fine / 2.0**coarser, fraction - coarser
    made = _pairs(rule, plasticity, units, eligible, fine, fraction)
    return IntegerThreeFactorSTDP(
        made.pre,
        made.post,
        made.on_pre,
        made.on_post,
        made.coincidence,
        made.dendritic_delay_fraction,
        dependence=made.dependence,
        depression=made.depression,
        fraction=fraction,
        depression_by=made.depression_by,
        depression_shift=made.depression_shift,
        shown_shift=made.shown_shift,
        modulator=rule.modulator,
        eta=eta,
        shift=own,
        keep=_decay(rule.tau_e, units.dt),
        a_pre=round(rule.a_pre * eligible),
        gate=rule.gate,
        modulator_shift=shifts[0],
        gate_shift=shifts[1] if len(shifts) > 1 else 0,
        product_shift=product,
    )


def _hebbian(rule: Hebbian, units: Units, pre: str, post: str) -> IntegerHebbian:
    fraction = units.finest(rule)
    x, y = units.shows(rule.pre_factor or pre), units.shows(rule.post_factor or post)
    shifts = [_shown_shift(each.most) for each in (x, y)]
    one = rule.eta * units.weight * 2.0**fraction * x.unit * y.unit
    if rule.eta and x.counted and y.counted and abs(one) < 0.5:
        raise NoFormError(
            f"eta is {abs(one) / 2.0**fraction:.3g} units of a weight: a spike of each changes "
            f"nothing, {0.5 / abs(one):.3g} times too little",
            units.finer(),
        )
    eta, shift, coarser = _eta(one * 2.0 ** sum(shifts), fraction)
    ends = (rule.pre_factor, rule.post_factor)
    return IntegerHebbian(eta, shift, *ends, shifts[0], shifts[1], fraction - coarser)


def _shown_shift(most: int) -> int:
    """By how much values of up to ``most`` are shifted to fit."""
    return max(0, most.bit_length() - MAX_SHOWN.bit_length())


def _eta(ratio: float, fraction: int) -> tuple[int, int, int]:
    """An amplitude of 15 bits with its sign, its shift, and how many of the bits of a fraction are
    of no use, as the least value that a node shows moves a weight by more.
    """
    if ratio == 0:
        return 0, 0, 0
    coarser = 0
    if isfinite(ratio):
        coarser = min(fraction, max(0, ceil(log2(abs(ratio) / MAX_AMPLITUDE))))
    ratio /= 2.0**coarser
    shift = _shift("eta is too large", abs(ratio), hint=_GOLDEN)
    return round(ratio * 2.0**shift), shift, coarser
