"""The ring delivers every packet once to every core it is for, whatever the cores do."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
import pytest
from amaranth.hdl import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import SimulatorContext

from spikec.hdl.cluster_shape import ClusterShape
from spikec.hdl.ring import Funnel, Sender, Station
from spikec.hdl.shape import CoreShape, index_bits

from .bench import put, simulate


def cluster(number: int, neurons: int = 24, inputs: int = 5) -> ClusterShape:
    core = CoreShape(
        lanes=2,
        weight_bits=4,
        acc_bits=8,
        state_bits=8,
        neurons=neurons,
        inputs=inputs + (number - 1) * neurons,
        words=1,
    )
    return ClusterShape(inputs, (core,) * number)


class Ring(wiring.Component):
    """Senders and stations without cores."""

    def __init__(self, shape: ClusterShape, routes: np.ndarray) -> None:
        self.shape, self._routes = shape, routes
        members: dict[str, wiring.Member] = {"quiet": Out(1)}
        for node in range(len(shape.cores) + 1):
            members[f"numbers_{node}"] = In(stream.Signature(index_bits(shape.routes(node))))
            if node < len(shape.cores):
                lines = index_bits(shape.cores[node].inputs)
                members[f"lines_{node}"] = Out(stream.Signature(lines))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shape, nodes = self.shape, range(len(self.shape.cores) + 1)
        stations = [Station(shape, node) for node in nodes]
        quiet = []
        for node in nodes:
            first = 0 if node == len(shape.cores) else shape.inputs + shape.bases[node]
            own = self._routes[first : first + shape.routes(node)].tolist()
            m.submodules[f"sender_{node}"] = sender = Sender(shape, node, own)
            m.submodules[f"station_{node}"] = stations[node]
            m.d.comb += stations[node].arriving.eq(stations[node - 1].leaving)
            connect(m, flipped(getattr(self, f"numbers_{node}")), sender.numbers)
            connect(m, sender.packets, stations[node].packets)
            if node < len(shape.cores):
                connect(m, stations[node].lines, flipped(getattr(self, f"lines_{node}")))
            quiet += [sender.quiet, stations[node].quiet]
        m.d.comb += self.quiet.eq(Cat(quiet).all())
        return m


@pytest.mark.parametrize(("number", "seed"), [(2, 0), (3, 1), (4, 2), (8, 3)])
def test_every_packet_arrives_once_at_each_core_and_the_ring_falls_quiet(
    number: int, seed: int
) -> None:
    """Everything spikes at once, to all cores; some take nothing for hundreds of cycles."""
    rng = np.random.default_rng(seed)
    shape = cluster(number)
    routes = np.zeros(shape.sources, np.int64)
    for k, base in enumerate(shape.bases):
        takes = rng.random(shape.sources) < 0.9
        takes[shape.inputs + base : shape.inputs + base + shape.cores[k].neurons] = False
        routes |= takes.astype(np.int64) << k
    ring = Ring(shape, routes)
    found: list[Counter[int]] = [Counter() for _ in shape.cores]
    cycles = 0

    async def send(ctx: SimulatorContext, node: int) -> None:
        for number in range(shape.routes(node)):
            await put(ctx, getattr(ring, f"numbers_{node}"), number)

    async def take(ctx: SimulatorContext, node: int) -> None:
        lines = getattr(ring, f"lines_{node}")
        pause, ready = int(rng.choice([0, 0, 300])), 0
        async for _, _, valid, line in ctx.tick().sample(lines.valid, lines.payload):
            if valid and ready:
                found[node][line] += 1
            pause -= 1
            ready = int(pause < 0 and rng.random() < (0.2, 0.9)[node % 2])
            ctx.set(lines.ready, ready)

    async def end(ctx: SimulatorContext) -> None:
        nonlocal cycles
        await ctx.tick().repeat(4)
        while not ctx.get(ring.quiet) or cycles < 400:
            await ctx.tick()
            cycles += 1
            assert cycles < 5000, "the ring never falls quiet"

    cores = range(len(shape.cores))
    simulate(
        ring,
        end,
        *(partial(send, node=node) for node in range(len(shape.cores) + 1)),
        background=[partial(take, node=node) for node in cores],
    )
    for k in cores:
        expected = [s for s in range(shape.sources) if routes[s] >> k & 1]
        assert found[k] == Counter(shape.line(k, s) for s in expected)


def test_spikes_of_all_cores_reach_the_host_once_in_order_of_each() -> None:
    shape = cluster(3)
    funnel = Funnel(shape)
    found: list[int] = []
    rng = np.random.default_rng(5)

    async def send(ctx: SimulatorContext, node: int) -> None:
        for number in range(shape.cores[node].neurons):
            await put(ctx, getattr(funnel, f"from_{node}"), number)

    async def take(ctx: SimulatorContext) -> None:
        ready = 0
        while len(found) < shape.neurons:
            ctx.set(funnel.spikes.ready, ready)
            _, _, valid, neuron = await ctx.tick().sample(
                funnel.spikes.valid, funnel.spikes.payload
            )
            if valid and ready:
                found.append(neuron)
            ready = int(rng.random() < 0.5)
        assert not ctx.get(funnel.spikes.valid)
        assert ctx.get(funnel.quiet)

    simulate(funnel, take, *(partial(send, node=node) for node in range(3)))
    assert sorted(found) == list(range(shape.neurons))
    for base in shape.bases:
        own = [n for n in found if base <= n < base + 24]
        assert own == sorted(own)
