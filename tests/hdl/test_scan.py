"""Set bits in order, one a cycle."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator, SimulatorContext

from spikec.hdl.scan import MaskScanner, lowest, without_lowest

from .bench import simulate


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
def test_the_lowest_bit_of_every_mask(width: int) -> None:
    mask, index, rest = Signal(width), Signal(4), Signal(width)
    m = Module()
    m.d.comb += [index.eq(lowest(mask)), rest.eq(without_lowest(mask))]

    async def check(ctx: SimulatorContext) -> None:
        for number in range(1, 1 << width):
            ctx.set(mask, number)
            await ctx.delay(1e-9)
            assert 1 << ctx.get(index) == number & -number
            assert ctx.get(rest) == number & (number - 1)

    simulator = Simulator(m)
    simulator.add_testbench(check)
    simulator.run()


@pytest.mark.parametrize(("words", "width"), [(1, 1), (1, 8), (5, 1), (7, 4), (3, 32)])
@pytest.mark.parametrize("hurried", [True, False])
def test_words_become_numbers(words: int, width: int, hurried: bool) -> None:
    """Every set bit once and in order, in max(1, set bits) cycles a word if nobody waits."""
    rng = np.random.default_rng(words * width)
    dut = MaskScanner(words, width)
    masks = [
        (
            int(rng.integers(words)),
            int(rng.choice([0, 1 << (width - 1), int(rng.integers(1 << width))])),
        )
        for _ in range(30)
    ]
    wanted = [word * width + bit for word, bits in masks for bit in range(width) if bits >> bit & 1]
    found: list[int] = []
    cycles = 0

    async def drive(ctx: SimulatorContext) -> None:
        nonlocal cycles
        left = masks[::-1]
        valid = False
        for _ in range(20 * len(wanted) + 1000):
            valid = bool(left) and (valid or hurried or rng.random() < 0.5)
            ctx.set(dut.masks.valid, valid)
            if valid:
                ctx.set(dut.masks.payload, {"word": left[-1][0], "bits": left[-1][1]})
            ctx.set(dut.numbers.ready, hurried or rng.random() < 0.5)
            if ctx.get(dut.numbers.valid) and ctx.get(dut.numbers.ready):
                found.append(ctx.get(dut.numbers.payload))
            if valid and ctx.get(dut.masks.ready):
                left.pop()
                valid = False
            elif not left and ctx.get(dut.idle):
                break
            cycles += 1
            await ctx.tick()
        assert not left and ctx.get(dut.idle)

    simulate(dut, drive)
    assert found == wanted
    if hurried:
        last = bin(masks[-1][1]).count("1")
        assert cycles == 1 + sum(max(1, bin(bits).count("1")) for _, bits in masks[:-1]) + last
