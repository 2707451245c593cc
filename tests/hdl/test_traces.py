"""Traces and terms against the equations of `ir.plasticity`, for every value there is."""

from __future__ import annotations

from fractions import Fraction

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out
from amaranth.sim import SimulatorContext

from spikec.hdl.cycles import RESPONSE
from spikec.hdl.learning import Learning, term_form
from spikec.hdl.plastic import term_shape
from spikec.hdl.traces import Period, decayed, response, risen, rule_threshold
from spikec.ir.numerics import Rounding
from spikec.ir.plasticity import (
    SDSP,
    Accumulation,
    Response,
    Trace,
    TraceDecay,
    TraceSTDP,
    Update,
)

from ..compiler.integer import learning_reference as reference
from .bench import simulate

TRACES = [
    Trace(increment, accumulation, decay, shift, bits)
    for bits, increment in ((1, 1), (4, 5), (8, 128), (8, 255))
    for accumulation in Accumulation
    for decay, shift in (
        (TraceDecay.COUNT, 0),
        (TraceDecay.SHIFT, 0),
        (TraceDecay.SHIFT, 1),
        (TraceDecay.SHIFT, 5),
    )
]


class Traced(Component):
    """What becomes of a trace."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        super().__init__({"x": In(trace.bits), "up": Out(trace.bits), "down": Out(trace.bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # The simulator's bench wants a clock.
        m.d.sync += Signal().eq(0)
        m.d.comb += [
            self.up.eq(risen(self._trace, self.x)),
            self.down.eq(decayed(self._trace, self.x)),
        ]
        return m


def test_every_trace() -> None:
    for trace in TRACES:
        dut = Traced(trace)

        async def drive(ctx: SimulatorContext, trace: Trace = trace, dut: Traced = dut) -> None:
            for x in range(1 << trace.bits):
                ctx.set(dut.x, x)
                await ctx.delay(1e-9)
                assert ctx.get(dut.up) == reference.spiked(trace, x), (trace, x)
                assert ctx.get(dut.down) == reference.decayed(trace, x), (trace, x)

        simulate(dut, drive)


class Termed(Component):
    """The term of a trace."""

    def __init__(self, learning: Learning, update: Update, trace: Trace) -> None:
        self._arguments = learning, update, trace
        super().__init__({"x": In(trace.bits), "term": Out(term_shape(learning))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.term.eq(response(m, *self._arguments, self.x, "x"))
        return m


UPDATES = [
    Update(1, 3, 6),
    Update(-1, 2, 0, Response.LINEAR, 5),
    Update(-1, 300, 5, Response.LINEAR, -9),
    Update(1, 11, 3, Response.WINDOW, -2),
]


@pytest.mark.parametrize("rounding", [r for r in Rounding if r is not Rounding.STOCHASTIC])
@pytest.mark.parametrize("rails", [(-128, 127), (0, 3)])
def test_every_term(rounding: Rounding, rails: tuple[int, int]) -> None:
    """A term changes a weight as the exact sum would, whatever the weight is."""
    trace = Trace(200)
    low, high = rails
    for update in UPDATES:
        rule = TraceSTDP(trace, trace, update, Update(), rounding)
        learning = Learning(rule, rows=1, groups=1, w_min=low, w_max=high)
        dut = Termed(learning, update, trace)

        async def drive(ctx: SimulatorContext, dut: Termed = dut, update: Update = update) -> None:
            for x in range(1 << trace.bits):
                ctx.set(dut.x, x)
                await ctx.tick().repeat(RESPONSE)
                exact = Fraction(update.amplitude * x, 2**update.shift)
                size = reference.rounded(exact, rounding)
                if update.response is Response.WINDOW:
                    size = update.amplitude if x else 0
                wanted = update.offset + update.sign * size
                term = ctx.get(dut.term)
                for weight in (low, (low + high) // 2, high):
                    assert min(max(weight + term, low), high) == min(
                        max(weight + wanted, low), high
                    ), (update, x, weight)

        simulate(dut, drive)


def test_terms_have_the_bits_that_a_rule_can_reach() -> None:
    narrow = Learning(TraceSTDP.pair(1, 1, shift=6, decay=4), 1, 1, -128, 127)
    assert term_form(narrow).bits == 4  # -4..4
    clipped = Learning(TraceSTDP.pair(999, 999, shift=0, decay=4), 1, 1, 0, 7)
    assert term_form(clipped).bits == 4  # -7..7
    noisy = Learning(
        TraceSTDP.pair(3, 1, shift=4, decay=4, rounding=Rounding.STOCHASTIC), 1, 1, 0, 7
    )
    kept = term_form(noisy)
    assert (kept.signed, kept.shift) == (False, 4)
    assert kept.bits == (3 * 255).bit_length()


@pytest.mark.parametrize(("period", "start"), [(1, 0), (1, 2), (3, 0), (3, 2), (4, 1)])
def test_one_of_every_so_many_steps(period: int, start: int) -> None:
    dut = Period(period, start, 8)

    async def drive(ctx: SimulatorContext) -> None:
        for _ in range(2):  # the second time after a clear, wherever the first one ended
            for step in range(11):
                ctx.set(dut.step, step)
                ctx.set(dut.ticked, 1)
                await ctx.tick()
                ctx.set(dut.ticked, 0)
                age = step - start + 1
                for _ in range(3):
                    await ctx.tick()
                    assert ctx.get(dut.due) == (age >= 1 and age % period == 0), step

    simulate(dut, drive)


@pytest.mark.parametrize("theta", [-3, 0, 7])
def test_a_threshold_is_the_least_membrane_that_reaches_it(theta: int) -> None:
    assert rule_threshold(SDSP(float(theta), 0, 1, 2)) == theta
    assert rule_threshold(SDSP(theta + 0.5, 0, 1, 2)) == theta + 1
