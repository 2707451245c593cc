"""Random clusters, their semantics, and a run of one in Amaranth's simulator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from amaranth.sim import SimulatorContext

from spikec.hdl.cluster import Cluster
from spikec.hdl.cluster_image import ClusterImage
from spikec.hdl.cluster_shape import ClusterShape
from spikec.hdl.cycles import StepCycles
from spikec.hdl.layouts import Request
from spikec.hdl.shape import NeuronClass

from .bench import put, simulate
from .images import random_image, random_shape
from .reference import Reference, Swept


def random_cluster(rng: np.random.Generator, number: int) -> ClusterShape:
    """Cores of any options, but for what they must share."""
    cores = []
    units, step_bits = int(rng.choice([1, 1, 2, 4])), int(rng.choice([4, 16]))
    for _ in range(number):
        core = random_shape(rng)
        lanes = units * int(rng.integers(1, 4))
        cores.append(
            replace(
                core,
                lanes=lanes,
                units=units,
                neurons=lanes * min(core.groups, 9),
                step_bits=step_bits,
                state_bits=16,
                # Drawn for a state of another width.
                fixed=NeuronClass(),
                first_bias=False,
            )
        )
    inputs, neurons = int(rng.integers(1, 9)), sum(core.neurons for core in cores)
    lined = [replace(core, inputs=inputs + neurons - core.neurons) for core in cores]
    return ClusterShape(inputs, tuple(lined))


def random_cluster_image(shape: ClusterShape, rng: np.random.Generator) -> ClusterImage:
    """Sources go to any cores but their own."""
    images = tuple(random_image(core, rng) for core in shape.cores)
    share = rng.choice([0.1, 0.5, 1.0])
    routes = np.zeros(shape.sources, np.int64)
    for k, (base, core) in enumerate(zip(shape.bases, shape.cores, strict=True)):
        takes = rng.random(shape.sources) < share
        own = shape.inputs + base
        takes[own : own + core.neurons] = False
        routes |= takes.astype(np.int64) << k
    return ClusterImage(shape, images, routes)


@dataclass
class Step:
    """What a cluster said about a step: traces by core, spikes in order of neuron."""

    step: int
    trace: list[list[Swept]]
    spikes: list[int]
    cycles: StepCycles = field(default_factory=lambda: StepCycles(0, 0))


@dataclass
class ClusterReference:
    """Cores that hand each other their spikes at the end of each step."""

    image: ClusterImage

    def __post_init__(self) -> None:
        self.cores = [Reference(image) for image in self.image.images]

    def event(self, source: int) -> None:
        shape = self.image.shape
        for k, core in enumerate(self.cores):
            if self.image.routes[source] >> k & 1:
                core.event(shape.line(k, source))

    def tick(self) -> tuple[list[list[Swept]], list[int], list[list[int]]]:
        """Every neuron of each core, neurons reported, and neurons of each core that spiked."""
        shape = self.image.shape
        traces, spikes, fired = [], [], []
        for base, core in zip(shape.bases, self.cores, strict=True):
            trace, emitted, own = core.tick()
            traces.append(trace)
            spikes += [base + n for n in emitted]
            fired.append(own)
        for base, own in zip(shape.bases, fired, strict=True):
            for n in own:
                self.event(shape.inputs + base + n)
        return traces, spikes, fired


def run_cluster(
    image: ClusterImage,
    steps: Sequence[Sequence[int]],
    *,
    ahead: bool = False,
    gap: Callable[[], int] = lambda: 0,
) -> list[Step]:
    """Events straight into a cluster; ``gap`` cycles before each event and each spike's taking."""
    shape = image.shape
    dut = Cluster(shape, image)
    records: list[Step] = []
    trace: list[list[Swept]] = [[] for _ in shape.cores]
    spikes: list[int] = []
    units = shape.units

    async def watch(ctx: SimulatorContext) -> None:
        out = dut.trace
        wide = len(out.index) // len(shape.cores)
        sampled = ctx.tick().sample(out.valid, out.index, out.v, out.u, out.spike)
        async for _, _, valid, index, v, u, spike in sampled:
            for k in range(len(shape.cores)):
                if not valid >> k & 1:
                    continue
                first = (index >> k * wide & ((1 << wide) - 1)) - shape.bases[k]
                for n in range(units):
                    at = k * units + n
                    trace[k].append(Swept(first + n, v[at], u[at], bool(spike >> at & 1)))

    async def watch_spikes(ctx: SimulatorContext) -> None:
        wait, taken = gap(), True
        ctx.set(dut.spikes.ready, 1)
        async for _, _, valid, neuron in ctx.tick().sample(dut.spikes.valid, dut.spikes.payload):
            if valid and taken:
                spikes.append(neuron)
                wait = gap()
            taken = wait == 0
            wait = max(wait - 1, 0)
            ctx.set(dut.spikes.ready, taken)

    async def watch_done(ctx: SimulatorContext) -> None:
        ctx.set(dut.done.ready, 1)
        await ctx.tick().until(dut.done.valid)
        for _ in steps:
            (done,) = await ctx.tick().sample(dut.done.payload).until(dut.done.valid)
            cycles = StepCycles(done.events, done.commit)
            records.append(Step(done.step, [t[:] for t in trace], sorted(spikes), cycles))
            for part in trace:
                part.clear()
            spikes.clear()

    async def drive(ctx: SimulatorContext) -> None:
        await put(ctx, dut.requests, Request.CLEAR)
        for number, events in enumerate(steps):
            while not ahead and len(records) < number:
                await ctx.tick()
            for source in events:
                if wait := gap():
                    await ctx.tick().repeat(wait)
                await put(ctx, dut.events, source)
            await put(ctx, dut.requests, Request.TICK)

    simulate(dut, drive, watch_done, background=(watch, watch_spikes))
    return records
