"""Cores and devices in Amaranth's simulator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.sim import Simulator, SimulatorContext
from spikec.hdl.core import Core
from spikec.hdl.cycles import StepCycles
from spikec.hdl.device import Device
from spikec.hdl.image import CoreImage
from spikec.hdl.layouts import Request

from .reference import Swept


@dataclass
class StepRecord:
    """What a core said about one step."""

    step: int
    trace: list[Swept]
    spikes: list[int]
    cycles: StepCycles


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


def run_core(image: CoreImage, steps: Sequence[Sequence[int]]) -> list[StepRecord]:
    """Events straight into a core, all outputs taken at once."""
    core = Core(image.shape, image)
    records: list[StepRecord] = []
    trace: list[Swept] = []
    spikes: list[int] = []

    async def watch_trace(ctx: SimulatorContext) -> None:
        out = core.trace
        sampled = ctx.tick().sample(out.valid, out.index, out.v, out.u, out.spike)
        async for _, _, valid, index, v, u, spike in sampled:
            if valid:
                trace.append(Swept(index, v, u, bool(spike)))

    async def watch_spikes(ctx: SimulatorContext) -> None:
        ctx.set(core.spikes.ready, 1)
        async for _, _, valid, neuron in ctx.tick().sample(core.spikes.valid, core.spikes.payload):
            if valid:
                spikes.append(neuron)

    async def drive(ctx: SimulatorContext) -> None:
        for events in steps:
            for source in events:
                await put(ctx, core.events, source)
            await put(ctx, core.requests, Request.TICK)
            ctx.set(core.done.ready, 1)
            (done,) = await ctx.tick().sample(core.done.payload).until(core.done.valid)
            ctx.set(core.done.ready, 0)
            cycles = StepCycles(done.accumulate, done.commit, done.propagate)
            records.append(StepRecord(done.step, trace[:], spikes[:], cycles))
            trace.clear()
            spikes.clear()

    simulate(core, drive, background=(watch_trace, watch_spikes))
    return records


def run_device(
    device: Device,
    sent: bytes,
    replies: int,
    *,
    rx_gap: Callable[[], int] = lambda: 0,
    tx_gap: Callable[[], int] = lambda: 0,
) -> tuple[bytes, list[Swept]]:
    """Bytes in, that many bytes out, and the trace; gaps in cycles before each byte."""
    received = bytearray()
    trace: list[Swept] = []

    async def watch_trace(ctx: SimulatorContext) -> None:
        out = device.trace
        sampled = ctx.tick().sample(out.valid, out.index, out.v, out.u, out.spike)
        async for _, _, valid, index, v, u, spike in sampled:
            if valid:
                trace.append(Swept(index, v, u, bool(spike)))

    async def send(ctx: SimulatorContext) -> None:
        for byte in sent:
            if gap := rx_gap():
                await ctx.tick().repeat(gap)
            await put(ctx, device.rx, byte)

    async def receive(ctx: SimulatorContext) -> None:
        while len(received) < replies:
            if gap := tx_gap():
                await ctx.tick().repeat(gap)
            ctx.set(device.tx.ready, 1)
            (byte,) = await ctx.tick().sample(device.tx.payload).until(device.tx.valid)
            ctx.set(device.tx.ready, 0)
            received.append(byte)

    simulate(device, send, receive, background=(watch_trace,))
    return bytes(received), trace
