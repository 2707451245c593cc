"""What a TICK does to one neuron, in whole numbers: the equations of `CoreShape`, for a solver.

Nothing here shares code with the hardware. A whole number is a bit vector that grows with every
operation, so that none can overflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import z3

from spikec.hdl.shape import CoreShape, Overflow, Reset, Rounding

from .smt import Products


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
        return Whole(z3.Concat(self.bits, z3.BitVecVal(0, bits)))


def choose(condition: z3.BoolRef, a: Whole, b: Whole) -> Whole:
    width = max(a.bits.size(), b.bits.size())
    return Whole(z3.If(condition, a.wide(width), b.wide(width)))


def quotient(value: Whole, bits: int, rounding: Rounding) -> Whole:
    """value / 2^bits, rounded."""
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


@dataclass(frozen=True)
class Input:
    """What a step gives a neuron."""

    accumulated: Whole
    bias: Whole
    first_bias: Whole
    step: Whole


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
    w = ovf(decayed(v, unsigned("decay_v")) + x)
    w = choose(w < signed("v_min"), signed("v_min"), w)
    reset = of_class["reset"]
    raised = z3.And(reset == int(Reset.TWO_PHASE), v > threshold)
    limit = choose(raised, threshold + v_reset, threshold)
    z = z3.And(w > limit, reset != int(Reset.NONE))
    after_spike = choose(reset == int(Reset.VALUE), v_reset, ovf(w - v_reset))
    new_v = choose(z, after_spike, w)
    refractory = zero
    if shape.refractory_bits:
        refractory = choose(z, unsigned("refractory"), zero)

    counting = neuron.refractory > zero
    new_v = choose(counting, v, new_v)
    z = z3.And(z, z3.Not(counting))
    refractory = choose(counting, neuron.refractory - Whole.of(1), refractory)

    asleep = step < start
    return (
        Neuron(
            choose(asleep, v, new_v),
            choose(asleep, neuron.u, u),
            choose(asleep, neuron.refractory, refractory),
        ),
        z3.And(z, z3.Not(asleep)),
    )
