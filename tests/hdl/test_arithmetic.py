"""Rounding and overflow in logic against exact rationals."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from amaranth.hdl import Const, Module, Shape, Signal, signed, unsigned
from amaranth.sim import Simulator, SimulatorContext

from spikec.hdl.arithmetic import fitted, rounded, selected, signed_digits, times
from spikec.hdl.shape import OVERFLOWS, ROUNDINGS, Overflow, Rounding

from .reference import fit, round_exact


@pytest.mark.parametrize("bits", [1, 3])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rounding_of_every_value(rounding: Rounding, bits: int) -> None:
    value, result = Signal(signed(8)), Signal(signed(9))
    m = Module()
    m.d.comb += result.eq(rounded(value, bits, rounding))

    async def check(ctx: SimulatorContext) -> None:
        for number in range(-128, 128):
            ctx.set(value, number)
            await ctx.delay(1e-9)
            assert ctx.get(result) == round_exact(Fraction(number, 1 << bits), rounding)

    simulator = Simulator(m)
    simulator.add_testbench(check)
    simulator.run()


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_overflow_of_every_value(overflow: Overflow) -> None:
    value, result = Signal(signed(8)), Signal(signed(8))
    m = Module()
    m.d.comb += result.eq(fitted(value, 5, overflow))

    async def check(ctx: SimulatorContext) -> None:
        for number in range(-128, 128):
            ctx.set(value, number)
            await ctx.delay(1e-9)
            assert ctx.get(result) == fit(number, 5, overflow)

    simulator = Simulator(m)
    simulator.add_testbench(check)
    simulator.run()


@pytest.mark.parametrize("count", range(1, 10))
def test_selection(count: int) -> None:
    items = [Signal(8, init=100 + number) for number in range(count)]
    index, result = Signal(unsigned(4)), Signal(8)
    m = Module()
    m.d.comb += result.eq(selected(items, index))

    async def check(ctx: SimulatorContext) -> None:
        for number in range(count):
            ctx.set(index, number)
            await ctx.delay(1e-9)
            assert ctx.get(result) == 100 + number

    simulator = Simulator(m)
    simulator.add_testbench(check)
    simulator.run()


@pytest.mark.parametrize("shape", [signed(4), unsigned(4)])
def test_products_of_every_value_and_factor(shape: Shape) -> None:
    """Constants become additions and subtractions of shifts, others a product: the same number."""
    value, factor = Signal(shape), Signal(5)
    constants = [Signal(signed(12), name=f"by_{number}") for number in range(32)]
    variable = Signal(signed(12))
    m = Module()
    m.d.comb += variable.eq(times(value, factor))
    m.d.comb += [out.eq(times(value, Const(number, 5))) for number, out in enumerate(constants)]
    low = -8 if shape.signed else 0

    async def check(ctx: SimulatorContext) -> None:
        for v in range(low, low + 16):
            ctx.set(value, v)
            await ctx.delay(1e-9)
            assert [ctx.get(out) for out in constants] == [v * number for number in range(32)]
            for number in range(32):
                ctx.set(factor, number)
                await ctx.delay(1e-9)
                assert ctx.get(variable) == v * number

    simulator = Simulator(m)
    simulator.add_testbench(check)
    simulator.run()


def test_products_keep_the_sign() -> None:
    for number in range(1, 32):
        product = times(Signal(signed(4)), Const(number, 5))
        assert product.shape().signed
        assert len(product) >= len(bin(8 * number)) - 2


def test_signed_digits_of_every_number() -> None:
    """They add up, no two are adjacent (so they are fewest), and 2^k - 1 needs two."""
    for number in range(5000):
        digits = signed_digits(number)
        assert sum(sign << shift for shift, sign in digits) == number
        shifts = [shift for shift, _ in digits]
        assert shifts == sorted(shifts, reverse=True)
        assert all(a - b > 1 for a, b in pairwise(shifts))
        assert not digits or digits[0][1] == 1
    for k in range(2, 17):
        assert signed_digits((1 << k) - 1) == [(k, 1), (0, -1)]
