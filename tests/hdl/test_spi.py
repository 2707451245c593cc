"""Bytes both ways at once over SPI, at any phase of the two clocks."""

from __future__ import annotations

import pytest
from amaranth.sim import Simulator, SimulatorContext

from spikec.hdl.framing import END
from spikec.hdl.spi import SpiPeripheral

from .bench import put

BYTES = (0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, 0xC3)
ANSWERS = (0x81, 0x7E, 0x00, 0xFF, 0x10)


@pytest.mark.parametrize("half", [4, 5, 7, 20])
@pytest.mark.parametrize("select_each", [False, True])
def test_bytes_go_both_ways(half: int, select_each: bool) -> None:
    spi = SpiPeripheral()
    heard: list[int] = []
    received: list[int] = []

    async def controller(ctx: SimulatorContext) -> None:
        await ctx.tick().repeat(20)
        ctx.set(spi.cs_n, 0)
        for byte in BYTES:
            await ctx.tick().repeat(2 * half)
            word = 0
            for bit in range(8):
                ctx.set(spi.copi, byte >> 7 - bit & 1)
                await ctx.tick().repeat(half)
                word = word << 1 | ctx.get(spi.cipo)
                ctx.set(spi.sck, 1)
                await ctx.tick().repeat(half)
                ctx.set(spi.sck, 0)
            heard.append(word)
            if select_each:
                await ctx.tick().repeat(half)
                ctx.set(spi.cs_n, 1)
                await ctx.tick().repeat(2 * half)
                ctx.set(spi.cs_n, 0)
        await ctx.tick().repeat(10)

    async def send(ctx: SimulatorContext) -> None:
        for byte in ANSWERS:
            await put(ctx, spi.sent, byte)

    async def take(ctx: SimulatorContext) -> None:
        ctx.set(spi.received.ready, 1)
        sampled = ctx.tick().sample(spi.received.valid, spi.received.payload)
        async for _, _, valid, byte in sampled:
            if valid:
                received.append(byte)

    simulator = Simulator(spi)
    simulator.add_clock(1e-6)
    simulator.add_testbench(controller)
    simulator.add_testbench(send)
    simulator.add_testbench(take, background=True)
    simulator.run()
    assert received == list(BYTES)
    assert heard[: len(ANSWERS)] == list(ANSWERS)
    assert set(heard[len(ANSWERS) :]) == {END}


def test_without_selection_nothing_happens() -> None:
    spi = SpiPeripheral()

    async def controller(ctx: SimulatorContext) -> None:
        for level in (1, 0) * 16:
            ctx.set(spi.sck, level)
            await ctx.tick().repeat(4)
            assert not ctx.get(spi.received.valid)
            assert not ctx.get(spi.sent.ready)

    simulator = Simulator(spi)
    simulator.add_clock(1e-6)
    simulator.add_testbench(controller)
    simulator.run()
