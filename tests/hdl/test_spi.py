# amaranth: UnusedElaboratable=no
"""Bytes both ways at once over SPI, at any phase of the two clocks, and frames without a pause."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator, SimulatorContext

from spikec.hdl.framing import DELIMITER, END, OPEN, POLL, REWIND, DeviceFrame, HostFrame
from spikec.hdl.layouts import byte_stream
from spikec.hdl.protocol import SCK_CYCLES
from spikec.hdl.spi import SpiPeripheral
from spikec.hdl.transport import Transport

from .bench import put, simulate

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


def test_without_selection_nothing_is_taken() -> None:
    spi = SpiPeripheral()

    async def controller(ctx: SimulatorContext) -> None:
        await ctx.tick().repeat(4)
        level = ctx.get(spi.cipo)
        for sck in (1, 0) * 16:
            ctx.set(spi.sck, sck)
            await ctx.tick().repeat(4)
            assert not ctx.get(spi.received.valid)
            assert not ctx.get(spi.sent.ready)
            assert ctx.get(spi.cipo) == level

    simulate(spi, controller)


async def exchange(ctx: SimulatorContext, spi: SpiPeripheral, byte: int, bits: int = 8) -> int:
    """A byte both ways, or its first bits, at the fastest clock."""
    word = 0
    for bit in range(bits):
        ctx.set(spi.copi, byte >> 7 - bit & 1)
        await ctx.tick().repeat(SCK_CYCLES // 2)
        word = word << 1 | ctx.get(spi.cipo)
        ctx.set(spi.sck, 1)
        await ctx.tick().repeat(SCK_CYCLES // 2)
        ctx.set(spi.sck, 0)
    return word


def test_what_is_read_stays_until_it_has_been_read() -> None:
    """From half a clock before the rising edge until the pins have been sampled after it."""
    spi = SpiPeripheral()

    async def controller(ctx: SimulatorContext) -> None:
        ctx.set(spi.cs_n, 0)
        await ctx.tick().repeat(4)
        for _ in range(64):
            await ctx.tick().repeat(SCK_CYCLES // 2 - 1)
            level = ctx.get(spi.cipo)
            ctx.set(spi.sck, 1)
            for _ in range(2):
                await ctx.tick()
                assert ctx.get(spi.cipo) == level
            await ctx.tick().repeat(SCK_CYCLES // 2 - 2)
            ctx.set(spi.sck, 0)
            # Half a clock is left until the next edge.
            settled = ctx.get(spi.cipo)
            await ctx.tick()
            assert ctx.get(spi.cipo) == settled

    async def send(ctx: SimulatorContext) -> None:
        for byte in BYTES:
            await put(ctx, spi.sent, byte)

    simulate(spi, controller, background=(send,))


def test_a_byte_that_is_cut_off_is_lost_alone() -> None:
    spi = SpiPeripheral()
    heard: list[int] = []
    received: list[int] = []

    async def controller(ctx: SimulatorContext) -> None:
        for byte, bits in ((0x12, 8), (0x34, 8), (0x56, 3), (0x78, 8), (0x9A, 8)):
            ctx.set(spi.cs_n, 0)
            await ctx.tick().repeat(4)
            heard.append(await exchange(ctx, spi, byte, bits))
            ctx.set(spi.cs_n, 1)
            await ctx.tick().repeat(8)

    async def send(ctx: SimulatorContext) -> None:
        for byte in ANSWERS:
            await put(ctx, spi.sent, byte)

    async def take(ctx: SimulatorContext) -> None:
        ctx.set(spi.received.ready, 1)
        sampled = ctx.tick().sample(spi.received.valid, spi.received.payload)
        async for _, _, valid, byte in sampled:
            if valid:
                received.append(byte)

    simulate(spi, controller, background=(send, take))
    assert received == [0x12, 0x34, 0x78, 0x9A]
    assert heard == [*ANSWERS[:2], ANSWERS[2] >> 5, *ANSWERS[3:]]


class Echo(wiring.Component):
    """A transport whose replies are its commands: it always has something to say."""

    def __init__(self) -> None:
        super().__init__({"rx": In(byte_stream()), "tx": Out(byte_stream()), "abort": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.transport = transport = Transport(256, 256)
        connect(m, flipped(self.rx), transport.rx)
        connect(m, transport.tx, flipped(self.tx))
        connect(m, transport.commands, transport.replies)
        m.d.comb += [
            transport.quiet.eq(1),
            transport.aborted.eq(1),
            self.abort.eq(transport.abort),
        ]
        return m


AWKWARD = np.array([0x7D, 0x7E, 0x20, 0xFF], np.uint8)
TAKEN_WITHIN = READY_WITHIN = SCK_CYCLES
"""Cycles, a bit's of the 64 that a byte lasts."""


def test_a_transport_neither_makes_a_byte_wait_nor_a_line_in_mid_frame() -> None:
    """So at an eighth of the clock no byte is lost, and no delimiter comes between two bytes."""
    dut = Echo()
    rng = np.random.default_rng(2)
    answers = bytearray()
    waits: list[int] = []
    gaps: list[int] = []
    stream: dict[int, int] = {}

    def told() -> DeviceFrame:
        """The last frame heard; its payload and those before it are added to the stream."""
        frames = [DeviceFrame.decode(part) for part in bytes(answers).split(DELIMITER)[:-1] if part]
        for frame in frames:
            for at, byte in enumerate(frame.payload):
                stream[frame.offset + at] = byte
        return frames[-1]

    async def send(ctx: SimulatorContext) -> None:
        async def say(data: bytes) -> None:
            for byte in data:
                await put(ctx, dut.rx, byte)

        await say(HostFrame(OPEN, 3, 0, 0).encode() + DELIMITER * 40)
        for _ in range(45):
            # Bytes that are escaped are the ones that come slowest.
            payload = bytes(rng.choice(AWKWARD, int(rng.integers(1, 80))))
            flags = int(rng.choice([0, POLL, REWIND]))
            offset = told().ack
            frame = HostFrame(flags, 3, offset, len(stream), payload).encode()
            match int(rng.integers(0, 6)):
                case 0:
                    frame = frame[: int(rng.integers(1, len(frame)))] + DELIMITER
                case 1:
                    frame = frame[:3] + bytes((frame[3] ^ 0x40,)) + frame[4:]
                case 2:
                    frame += frame
            await say(frame + DELIMITER * int(rng.integers(0, 3)))
        await ctx.tick().repeat(1000)

    async def watch(ctx: SimulatorContext) -> None:
        ctx.set(dut.tx.ready, 1)
        wait = gap = 0
        sampled = ctx.tick().sample(
            dut.rx.valid, dut.rx.ready, dut.abort, dut.tx.valid, dut.tx.payload
        )
        async for _, _, valid, ready, abort, spoken, byte in sampled:
            wait = wait + 1 if valid and not ready and not abort else 0
            waits.append(wait)
            if spoken:
                answers.append(byte)
                gap = 0
            elif answers and answers[-1] != END:
                gap += 1
            gaps.append(gap)

    simulate(dut, send, background=(watch,))
    told()
    assert len(stream) > 400
    assert 0 < max(waits) < TAKEN_WITHIN
    assert 0 < max(gaps) < READY_WITHIN
