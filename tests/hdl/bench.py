"""Cores and devices in Amaranth's simulator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.sim import Simulator, SimulatorContext

from spikec.backends.fpga.connection import Connection
from spikec.backends.fpga.host import Script, report_bytes
from spikec.backends.fpga.replies import ReplyScanner
from spikec.hdl.cycles import StepCycles
from spikec.hdl.device import Device, core_of
from spikec.hdl.image import CoreImage
from spikec.hdl.layouts import Request

from .reference import Swept


@dataclass
class StepRecord:
    """What a core said about one step; when it took the step's first event, or tick, and its tick.

    Both in clock cycles.
    """

    step: int
    trace: list[Swept]
    spikes: list[int]
    cycles: StepCycles
    begun: int
    ticked: int


async def put(ctx: SimulatorContext, stream: Any, payload: Any) -> None:
    """Offer a payload until it is taken."""
    ctx.set(stream.payload, payload)
    ctx.set(stream.valid, 1)
    await ctx.tick().until(stream.ready)
    ctx.set(stream.valid, 0)


def simulate(
    dut: Any, *processes: Callable[[SimulatorContext], Any], background: Sequence[Any] = ()
) -> None:
    """Run until all processes have ended; those in the background may go on."""
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for process in processes:
        simulator.add_testbench(process)
    for process in background:
        simulator.add_testbench(process, background=True)
    simulator.run()


def watch_trace(out: Any, trace: list[Swept]) -> Callable[[SimulatorContext], Any]:
    """Collect the neurons of each beat."""

    async def watch(ctx: SimulatorContext) -> None:
        adaptive = "h" in out.signature.members
        offsets = out.h if adaptive else out.u
        sampled = ctx.tick().sample(out.valid, out.index, out.v, out.u, out.spike, offsets)
        async for _, _, valid, index, v, u, spike, h in sampled:
            if valid:
                for n in range(len(v)):
                    spiked = bool(spike >> n & 1)
                    trace.append(Swept(index + n, v[n], u[n], spiked, h[n] if adaptive else 0))

    return watch


def run_core(
    image: CoreImage, steps: Sequence[Sequence[int]], *, ahead: bool = False
) -> list[StepRecord]:
    """Events straight into a core, all outputs taken at once.

    With ``ahead`` the events of a step come while the step before commits.
    """
    core = core_of(image.shape, image)
    records: list[StepRecord] = []
    trace: list[Swept] = []
    spikes: list[int] = []
    ticks: list[tuple[int, int]] = []
    now = 0

    async def watch_time(ctx: SimulatorContext) -> None:
        nonlocal now
        async for _ in ctx.tick():
            now += 1

    async def watch_spikes(ctx: SimulatorContext) -> None:
        ctx.set(core.spikes.ready, 1)
        async for _, _, valid, neuron in ctx.tick().sample(core.spikes.valid, core.spikes.payload):
            if valid:
                spikes.append(neuron)

    async def watch_done(ctx: SimulatorContext) -> None:
        ctx.set(core.done.ready, 1)
        await ctx.tick().until(core.done.valid)
        for _ in steps:
            (done,) = await ctx.tick().sample(core.done.payload).until(core.done.valid)
            cycles = StepCycles(done.events, done.commit)
            records.append(StepRecord(done.step, trace[:], spikes[:], cycles, *ticks.pop(0)))
            trace.clear()
            spikes.clear()

    async def drive(ctx: SimulatorContext) -> None:
        # Memory that is read without a clock starts with anything: a clear sets it.
        await put(ctx, core.requests, Request.CLEAR)
        await ctx.tick()
        for number, events in enumerate(steps):
            while not ahead and len(records) < number:
                await ctx.tick()
            begun = 0
            for source in events:
                await put(ctx, core.events, source)
                begun = begun or now
            await put(ctx, core.requests, Request.TICK)
            ticks.append((begun or now, now))

    simulate(
        core,
        drive,
        watch_done,
        background=(watch_time, watch_trace(core.trace, trace), watch_spikes),
    )
    return records


def run_device(
    device: Device,
    script: Script,
    *,
    rx_gap: Callable[[], int] = lambda: 0,
    tx_gap: Callable[[], int] = lambda: 0,
    timeout: float = 1e9,
) -> tuple[bytes, list[Swept], Connection]:
    """The replies to a script, the trace, and the host's end; gaps in cycles before each byte."""
    trace: list[Swept] = []
    replies = bytearray()
    connection = Connection(7, timeout=timeout)
    connection.expecting = True
    connection.send(script.data)
    scanner = ReplyScanner(report_bytes(device.shape), script.read_sizes)
    cycles = 0

    async def send(ctx: SimulatorContext) -> None:
        nonlocal cycles
        while scanner.answers < script.answers:
            for byte in connection.transmit(cycles):
                if gap := rx_gap():
                    await ctx.tick().repeat(gap)
                await put(ctx, device.rx, byte)
            await ctx.tick().repeat(10)
            cycles += 10
            assert cycles < 20_000, f"{scanner.answers} of {script.answers} answers"

    async def receive(ctx: SimulatorContext) -> None:
        while scanner.answers < script.answers:
            if gap := tx_gap():
                await ctx.tick().repeat(gap)
            ctx.set(device.tx.ready, 1)
            (byte,) = await ctx.tick().sample(device.tx.payload).until(device.tx.valid)
            ctx.set(device.tx.ready, 0)
            connection.receive(bytes((byte,)), cycles)
            data = connection.take()
            replies.extend(data)
            scanner.feed(data)

    simulate(device, send, receive, background=(watch_trace(device.trace, trace),))
    return bytes(replies), trace, connection


def line_talk(dut: Any, frames: Sequence[bytes], quiet: int = 2500) -> list[bytes]:
    """What comes back for each piece of line bytes, given the time to fall silent after each."""
    answers: list[bytearray] = []

    async def send(ctx: SimulatorContext) -> None:
        for frame in frames:
            answers.append(bytearray())
            for byte in frame:
                await put(ctx, dut.rx, byte)
            size = -1
            while len(answers[-1]) != size:
                size = len(answers[-1])
                await ctx.tick().repeat(quiet)

    async def receive(ctx: SimulatorContext) -> None:
        ctx.set(dut.tx.ready, 1)
        async for _, _, valid, byte in ctx.tick().sample(dut.tx.valid, dut.tx.payload):
            if valid:
                answers[-1].append(byte)

    simulate(dut, send, background=(receive,))
    return [bytes(answer) for answer in answers]
