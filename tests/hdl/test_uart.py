# amaranth: UnusedElaboratable=no
"""The serial line, bit by bit."""

from __future__ import annotations

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator, SimulatorContext

from spikec.hdl.uart import Uart, UartReceiver, UartTransmitter, uart_divisor

from .bench import put

BYTES = (0x00, 0xFF, 0x55, 0xA3, 0x01, 0x80)


def levels(byte: int) -> list[int]:
    """Start bit, eight data bits from the least significant, stop bit."""
    return [0, *((byte >> bit) & 1 for bit in range(8)), 1]


@pytest.mark.parametrize("divisor", [4, 7])
def test_transmitted_bits_have_their_length(divisor: int) -> None:
    uart = UartTransmitter(divisor)
    line: list[int] = []

    async def send(ctx: SimulatorContext) -> None:
        for byte in BYTES:
            await put(ctx, uart.data, byte)
        await ctx.tick().repeat(12 * divisor)

    async def watch(ctx: SimulatorContext) -> None:
        async for _, _, level in ctx.tick().sample(uart.line):
            line.append(level)

    run(uart, send, watch)
    at = 0
    for byte in BYTES:
        at = line.index(0, at)
        for level in levels(byte):
            assert line[at : at + divisor] == [level] * divisor
            at += divisor
    assert all(line[at:])


def receive(divisor: int, line: list[int]) -> list[int]:
    """Bytes that a receiver makes of line levels, one per clock cycle."""
    uart = UartReceiver(divisor)
    received: list[int] = []

    async def send(ctx: SimulatorContext) -> None:
        for level in line:
            ctx.set(uart.line, level)
            await ctx.tick()

    async def watch(ctx: SimulatorContext) -> None:
        async for _, _, valid, byte in ctx.tick().sample(uart.data.valid, uart.data.payload):
            if valid:
                received.append(byte)

    run(uart, send, watch)
    return received


def waveform(bit_cycles: float, *, gap_bits: float = 0) -> list[int]:
    """The test bytes with bits of any length in cycles."""
    changes: list[int] = [1, 1, 1]
    end = float(len(changes))
    for byte in BYTES:
        for level in levels(byte):
            end += bit_cycles
            changes += [level] * (round(end) - len(changes))
        end += gap_bits * bit_cycles
        changes += [1] * (round(end) - len(changes))
    return changes + [1] * round(3 * bit_cycles)


@pytest.mark.parametrize("divisor", [4, 8, 16, 25])
@pytest.mark.parametrize("gap_bits", [0, 0.3, 2])
def test_received_bytes(divisor: int, gap_bits: float) -> None:
    assert receive(divisor, waveform(divisor, gap_bits=gap_bits)) == list(BYTES)


@pytest.mark.parametrize("error", [-0.03, 0.03])
def test_a_clock_three_percent_off_is_understood(error: float) -> None:
    assert receive(16, waveform(16 * (1 + error))) == list(BYTES)


def test_a_wrong_sample_in_the_middle_of_a_bit_is_outvoted() -> None:
    for shift in (-1, 0, 1):
        line = waveform(16)
        for bit in range(10):
            line[3 + 16 * bit + 8 + shift] ^= 1
        assert receive(16, line) == list(BYTES)


def test_a_glitch_is_no_start_bit_and_a_byte_without_stop_bit_is_dropped() -> None:
    glitch = [1, 1, 0, 0, 1] + [1] * 30
    broken = [0] * (16 * 10) + [1] * 40
    assert receive(16, glitch + broken + waveform(16)) == list(BYTES)


def test_loopback_through_both_lines() -> None:
    uart = Uart(4)
    received: list[int] = []
    m = Module()
    m.submodules.uart = uart
    m.d.comb += uart.rx.eq(uart.tx)

    async def send(ctx: SimulatorContext) -> None:
        for byte in BYTES:
            await put(ctx, uart.sent, byte)

    async def take(ctx: SimulatorContext) -> None:
        for _ in BYTES:
            await ctx.tick().repeat(7)
            ctx.set(uart.received.ready, 1)
            (byte,) = await ctx.tick().sample(uart.received.payload).until(uart.received.valid)
            ctx.set(uart.received.ready, 0)
            received.append(byte)

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(take)
    simulator.run()
    assert received == list(BYTES)


def test_divisors() -> None:
    assert uart_divisor(12e6, 1e6) == 12
    assert uart_divisor(25e6, 115_200) == 217
    with pytest.raises(ValueError, match=r"3e\+06 baud needs a clock of at least 1\.2e\+07"):
        uart_divisor(10e6, 3e6)
    with pytest.raises(ValueError, match=r"is 4\.2 % off 1e\+06 baud"):
        uart_divisor(12.5e6, 1e6)
    with pytest.raises(ValueError, match="at least 4 clock cycles, not 3"):
        Uart(3)


def run(dut: object, send: object, watch: object) -> None:
    """Run until everything is sent."""
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(watch, background=True)
    simulator.run()
