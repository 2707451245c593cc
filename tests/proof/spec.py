"""What a TICK does to one neuron, in whole numbers: the equations of `CoreShape`, for a solver.

And what a rule does to one weight: those of `spikec.ir.plasticity`.

Nothing here shares code with the hardware. A whole number is a bit vector that grows with every
operation, so that none can overflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import z3

from spikec.hdl.shape import CoreShape, Overflow, Reset, Rounding
from spikec.ir.numerics import Rounding as IrRounding
from spikec.ir.plasticity import LFSR_TAPS, Response, Update

from .smt import Products, SignedProducts


@dataclass(frozen=True)
class Whole:
    """A whole number: a signed bit vector of as many bits as it may need."""

    bits: z3.BitVecRef

    @classmethod
    def of(cls, number: int) -> Whole:
        return cls(z3.BitVecVal(number, number.bit_length() + 1))

    @classmethod
    def signed(cls, bits: z3.BitVecRef) -> Whole:
        return cls(bits)

    @classmethod
    def unsigned(cls, bits: z3.BitVecRef) -> Whole:
        return cls(z3.ZeroExt(1, bits))

    def wide(self, width: int) -> z3.BitVecRef:
        return z3.SignExt(width - self.bits.size(), self.bits)

    def _aligned(self, other: Whole, more: int = 0) -> tuple[z3.BitVecRef, z3.BitVecRef]:
        width = max(self.bits.size(), other.bits.size()) + more
        return self.wide(width), other.wide(width)

    def __add__(self, other: Whole) -> Whole:
        a, b = self._aligned(other, 1)
        return Whole(a + b)

    def __sub__(self, other: Whole) -> Whole:
        a, b = self._aligned(other, 1)
        return Whole(a - b)

    def __neg__(self) -> Whole:
        return Whole(-self.wide(self.bits.size() + 1))

    def __lt__(self, other: Whole) -> z3.BoolRef:
        a, b = self._aligned(other)
        return a < b

    def __gt__(self, other: Whole) -> z3.BoolRef:
        return other < self

    def __le__(self, other: Whole) -> z3.BoolRef:
        return z3.Not(other < self)

    def __ge__(self, other: Whole) -> z3.BoolRef:
        return z3.Not(self < other)

    def same(self, other: Whole) -> z3.BoolRef:
        a, b = self._aligned(other)
        return a == b

    def times(self, factor: Whole, bits: int, products: Products | None) -> Whole:
        """self * factor; ``bits``: of its products, those of |factor| <= 2^bits are in range."""
        width = self.bits.size() + factor.bits.size()
        value, other = self.wide(width), factor.wide(width)
        if products is None or z3.is_bv_value(z3.simplify(other)):
            return Whole(value * other)
        assert isinstance(products, SignedProducts)
        product = products(value, other)
        products.within(product, value, other, bits)
        return Whole(product)

    def times_power_or_less(self, factor: Whole, bits: int, products: Products | None) -> Whole:
        """self * factor, for 0 <= factor <= 2^bits, which need not have a sign bit."""
        width = self.bits.size() + factor.bits.size() - 1
        value, other = self.wide(width), factor.wide(width)
        if products is None or z3.is_bv_value(z3.simplify(other)):
            return Whole(value * other)
        product = products(value, other)
        products.bounded(product, value, bits)
        return Whole(product)

    def shifted(self, by: z3.BitVecRef) -> Whole:
        """self * 2^by, for an unsigned ``by``."""
        width = self.bits.size() + (1 << by.size()) - 1
        return Whole(self.wide(width) << z3.ZeroExt(width - by.size(), by))

    def floor_half(self, bits: int) -> Whole:
        """floor(self / 2^bits)."""
        if self.bits.size() <= bits:
            return Whole(self.wide(bits + 1)).floor_half(bits)
        return Whole(z3.Extract(self.bits.size() - 1, bits, self.bits))

    def scaled(self, bits: int) -> Whole:
        """self * 2^bits."""
        if not bits:
            return self
        return Whole(z3.Concat(self.bits, z3.BitVecVal(0, bits)))


def choose(condition: z3.BoolRef, a: Whole, b: Whole) -> Whole:
    width = max(a.bits.size(), b.bits.size())
    return Whole(z3.If(condition, a.wide(width), b.wide(width)))


def quotient(value: Whole, bits: int, rounding: Rounding) -> Whole:
    """value / 2^bits, rounded."""
    if not bits:
        return value
    zero, half = Whole.of(0), Whole.of(1 << (bits - 1))
    floor = value.floor_half(bits)
    ceil = -(-value).floor_half(bits)
    match rounding:
        case "floor":
            return floor
        case "ceil":
            return ceil
        case "toward_zero":
            return choose(value < zero, ceil, floor)
        case "nearest_away":
            away = -((-value) + half).floor_half(bits)
            return choose(value < zero, away, (value + half).floor_half(bits))
        case "nearest_even":
            rest = value - floor.scaled(bits)
            odd = z3.Extract(0, 0, floor.bits) == 1
            up = z3.Or(rest > half, z3.And(rest.same(half), odd))
            return choose(up, floor + Whole.of(1), floor)


def fit(value: Whole, bits: int, overflow: Overflow) -> Whole:
    """A whole number in ``bits`` signed bits."""
    if overflow == "wrap":
        return Whole(z3.Extract(bits - 1, 0, value.wide(max(bits, value.bits.size()))))
    low, high = Whole.of(-(1 << (bits - 1))), Whole.of((1 << (bits - 1)) - 1)
    clamped = choose(value < low, low, choose(value > high, high, value))
    return Whole(z3.Extract(bits - 1, 0, clamped.wide(max(bits, clamped.bits.size()))))


@dataclass(frozen=True)
class Neuron:
    """State of a neuron; what the core does not have is 0."""

    v: Whole
    u: Whole
    refractory: Whole
    h: Whole = field(default_factory=lambda: Whole.of(0))


@dataclass(frozen=True)
class Input:
    """What a step gives a neuron."""

    accumulated: Whole
    bias: Whole
    first_bias: Whole
    step: Whole
    timers: tuple[Whole, ...] = ()


def _recovered(
    shape: CoreShape,
    neuron: Neuron,
    d: Whole,
    of_class: Mapping[str, z3.BitVecRef],
    products: Products | None,
) -> tuple[Whole, Whole]:
    """v advanced 1 + again times, and u' before a jump."""

    def part(product: Whole, bits: int) -> Whole:
        return quotient(product, bits, shape.rounding)

    def signed(name: str) -> Whole:
        return Whole.signed(of_class[name])

    def ovf(value: Whole) -> Whole:
        return fit(value, shape.state_bits, shape.overflow)

    v, u, fraction = neuron.v, neuron.u, shape.decay_bits
    curve = Whole.unsigned(of_class["curve"])
    # Whole numbers add up in any order; a solver finds this one easier.
    net = d - u
    g = part(v.times(signed("couple"), fraction + 2, products), fraction)
    new_u = ovf(u + part((g - u).times(signed("rate"), fraction + 4, products), fraction + 4))
    again = Whole.unsigned(of_class["again"]) if "again" in of_class else Whole.of(0)
    for number in range(shape.quadratic):
        bent = v.times_power_or_less(curve, fraction + 5, products)
        factor = signed("decay_v") + part(bent, shape.state_bits)
        y = part(v.times(factor, fraction + 5, products), fraction) + net
        v = choose(again < Whole.of(number), v, ovf(y))
    return v, new_u


def ticked(
    shape: CoreShape,
    neuron: Neuron,
    given: Input,
    of_class: Mapping[str, z3.BitVecRef],
    products: Products | None = None,
) -> tuple[Neuron, z3.BoolRef]:
    """The neuron after a step, and whether it spikes; ``products`` stand for true ones."""

    def unsigned(name: str) -> Whole:
        return Whole.unsigned(of_class[name])

    def signed(name: str) -> Whole:
        return Whole.signed(of_class[name])

    def decayed(value: Whole, decay: Whole) -> Whole:
        product = value.times_power_or_less(decay, shape.decay_bits, products)
        return quotient(product, shape.decay_bits, shape.rounding)

    def ovf(value: Whole) -> Whole:
        return fit(value, shape.state_bits, shape.overflow)

    step, start, zero = given.step, unsigned("start"), Whole.of(0)
    bias = given.bias
    if shape.first_bias:
        bias = choose(step.same(start), given.first_bias, bias)
    a = given.accumulated.shifted(of_class["shift"]) if shape.shift_bits else given.accumulated
    d = a + bias
    u, x = neuron.u, d
    if shape.cuba:
        u = ovf(decayed(neuron.u, unsigned("decay_u")) + d)
        x = choose(of_class["order_old"] == 1, neuron.u, u)

    v, threshold, v_reset = neuron.v, signed("threshold"), signed("v_reset")
    y = zero if shape.quadratic else decayed(v, unsigned("decay_v"))
    if shape.linear:
        leak, goal = unsigned("leak"), signed("v_leak")
        down = choose(v - leak < goal, goal, v - leak)
        up = choose(v + leak > goal, goal, v + leak)
        y = choose(leak > zero, choose(v > goal, down, up), y)
    w = ovf(y + x)
    if shape.quadratic:
        w, u = _recovered(shape, neuron, d, of_class, products)
    w = choose(w < signed("v_min"), signed("v_min"), w)
    reset = of_class["reset"]
    raised = choose(v > threshold, threshold + v_reset, threshold)
    limit = choose(reset == int(Reset.TWO_PHASE), raised, threshold + neuron.h)
    z = z3.And(w > limit, reset != int(Reset.NONE))
    after_spike = choose(reset == int(Reset.VALUE), v_reset, ovf(w - v_reset))
    new_v = choose(z, after_spike, w)
    refractory = zero
    if shape.refractory_bits:
        refractory = choose(z, unsigned("refractory"), zero)

    counting = neuron.refractory > zero
    h = neuron.h
    if shape.timers is not None:
        high = Whole.of((1 << (shape.state_bits - 1)) - 1)
        h = h + choose(z3.And(z, z3.Not(counting)), unsigned("adapt_inc"), zero)
        h = choose(h > high, high, h)
    if shape.timers:
        due = z3.BoolVal(False)
        for number, timer in enumerate(given.timers):
            chosen = z3.BoolVal(True)
            if "adapt_timer" in of_class:
                chosen = unsigned("adapt_timer").same(Whole.of(number))
            due = z3.Or(due, z3.And(chosen, timer.same(unsigned("adapt_phase"))))
        down = h
        for shift in range(1 << of_class["adapt_shift"].size()):
            share = -(-h).floor_half(shift)
            down = choose(of_class["adapt_shift"] == shift, h - share, down)
        h = choose(due, down, h)
    new_v = choose(counting, v, new_v)
    z = z3.And(z, z3.Not(counting))
    if shape.quadratic:
        u = choose(z, ovf(u + signed("jump")), u)
    refractory = choose(counting, neuron.refractory - Whole.of(1), refractory)

    asleep = step < start
    return (
        Neuron(
            choose(asleep, v, new_v),
            choose(asleep, neuron.u, u),
            choose(asleep, neuron.refractory, refractory),
            choose(asleep, neuron.h, h),
        ),
        z3.And(z, z3.Not(asleep)),
    )


# --- weights that learn, as `spikec.ir.plasticity` has them ---


def next_noise(state: z3.BitVecRef) -> z3.BitVecRef:
    """The generator's state after ``state``."""
    half = z3.LShR(state, 1)
    return z3.If(z3.Extract(0, 0, state) == 1, half ^ LFSR_TAPS, half)


def noise_of(state: z3.BitVecRef, synapse: int, bits: int) -> Whole:
    """The low ``bits`` bits of the state rotated right by the synapse's (i + j) mod S."""
    turned = z3.RotateRight(state, synapse % state.size())
    return Whole.unsigned(z3.Extract(bits - 1, 0, turned)) if bits else Whole.of(0)


def clamped(value: Whole, low: int, high: int) -> Whole:
    """A weight within its rails."""
    least, most = Whole.of(low), Whole.of(high)
    return choose(value < least, least, choose(value > most, most, value))


def multiplied(value: Whole, factor: int) -> Whole:
    """value * factor, for a constant."""
    width = value.bits.size() + factor.bit_length() + 1
    return Whole(value.wide(width) * factor)


def answered(
    update: Update, rounding: IrRounding, trace: Whole, noise: z3.BitVecRef | None, synapse: int
) -> Whole:
    """offset + sign f(trace); ``noise`` is the generator's state if rounding is stochastic."""
    if update.response is Response.WINDOW:
        found = choose(trace > Whole.of(0), Whole.of(update.amplitude), Whole.of(0))
    else:
        product = multiplied(trace, update.amplitude)
        if noise is not None:
            total = product + noise_of(noise, synapse, update.shift)
            found = total.floor_half(update.shift)
        else:
            found = quotient(product, update.shift, ROUNDINGS[rounding])
    return Whole.of(update.offset) + (found if update.sign > 0 else -found)


ROUNDINGS: dict[IrRounding, Rounding] = {
    IrRounding.NEAREST_EVEN: "nearest_even",
    IrRounding.NEAREST_AWAY: "nearest_away",
    IrRounding.TOWARD_ZERO: "toward_zero",
    IrRounding.UP: "ceil",
    IrRounding.DOWN: "floor",
}
