"""Rounding and overflow in logic against exact rationals."""

from __future__ import annotations

from fractions import Fraction

import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.sim import Simulator, SimulatorContext

from spikec.hdl.arithmetic import fitted, rounded, selected
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
