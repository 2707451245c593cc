"""Several cores on one device, which work as one: a core's interface, N times its memory.

Input events and spikes go to other cores on a ring (`ring`); a core takes them as events on input
lines of its own. In the order of things::

    request         to all cores in one cycle, once all are ready and the ring is empty
    TICK t          from here on everything a core takes belongs to step t + 1
    spikes of t     to the rows of their own core at once; over the ring to other cores
    done            when every core rests and the ring is empty

**Why this is exact.** A spike of step t is added on the page of step t + 1 and those behind, as in
a single core: no core takes it before TICK t, for it is made after that, and none after
TICK t + 1, for that waits until the ring is empty and everything is added. However long it takes
on the way, what it is added to is the same, and sums do not depend on their order as nothing may
overflow (`CoreShape.acc_bits`). An input event of step t + 1 may come while step t commits: it
takes the same way under the same condition. So no packet needs to say which step it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from .cluster_image import ClusterImage, device_contents
from .cluster_shape import CORE_SHIFT, ROUTES, ClusterShape
from .core import Core, CycleCounter
from .layouts import Request, core_members
from .ring import Funnel, Sender, Station


class Cluster(wiring.Component):
    """Cores on a ring; `ClusterShape` has their numbering.

    Raises `ImageError` if the image is of another shape or the digest has not 8 bytes.

    Members are those of `Core`, for the whole:

    events : input lines that spike before the next TICK
    requests : TICK commits a step in all cores, CLEAR empties their state; each ends with a done
    spikes : neurons of the cluster that spiked and whose class emits, in order within a core
    done : when the step's spikes have been taken and are added wherever they go. Its counters:
        events, the issuer cycles that events before the tick took in the core where they took
        most; commit, from the cycle after all cores have accepted TICK until everything is added
    access, response : the host's reads and writes, by the numbers of `ClusterShape`
    digest : identity of the loaded image
    trace : every committed neuron of each core
    """

    def __init__(
        self, shape: ClusterShape, image: ClusterImage | None = None, digest: bytes | None = None
    ) -> None:
        self._shape = shape
        found, self._digest = device_contents(shape, image, digest)
        assert isinstance(found, ClusterImage)
        self._image = found
        super().__init__(core_members(shape))

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape, image = self._shape, self._image
        every = range(len(shape.cores))
        cores = [
            Core(shape.cores[k], image.images[k], self._digest if k == 0 else None, shared=True)
            for k in every
        ]
        senders = [Sender(shape, k, image.table(k).tolist()) for k in range(len(cores) + 1)]
        stations = [Station(shape, k) for k in range(len(cores) + 1)]
        m.submodules.funnel = funnel = Funnel(shape)
        for k, (sender, station) in enumerate(zip(senders, stations, strict=True)):
            m.submodules[f"sender_{k}"] = sender
            m.submodules[f"station_{k}"] = station
            connect(m, sender.packets, station.packets)
            m.d.comb += station.arriving.eq(stations[k - 1].leaving)
        for k, core in enumerate(cores):
            m.submodules[f"core_{k}"] = core
            connect(m, core.remote, senders[k].numbers)
            connect(m, stations[k].lines, core.events)
            connect(m, core.spikes, getattr(funnel, f"from_{k}"))
        connect(m, funnel.spikes, flipped(self.spikes))

        # A request waits here until nothing is under way. Events that come behind it wait, too.
        asked, running, reporting = Signal(), Signal(), Signal()
        request = Signal(Request)
        quiet, ready, fire = Signal(), Signal(), Signal()
        idle = Signal()
        resting = [part.quiet for part in senders] + [part.quiet for part in stations]
        m.d.comb += [
            quiet.eq(Cat(resting).all()),
            idle.eq(~(asked | running | reporting)),
            self.requests.ready.eq(idle),
            fire.eq(asked & ready),
        ]
        # What is ready stays so: nothing can start but by a request.
        m.d.sync += ready.eq(asked & quiet & Cat(core.requests.ready for core in cores).all())
        with m.If(self.requests.valid & self.requests.ready):
            m.d.sync += [asked.eq(1), request.eq(self.requests.payload)]
        with m.If(fire):
            m.d.sync += [asked.eq(0), running.eq(1), ready.eq(0)]
        for core in cores:
            m.d.comb += [core.requests.valid.eq(fire), core.requests.payload.eq(request)]
        entry, held = senders[-1].numbers, Signal()
        m.d.comb += [
            held.eq(asked | (~idle & (request == Request.CLEAR))),
            entry.payload.eq(self.events.payload),
            entry.valid.eq(self.events.valid & ~held),
            self.events.ready.eq(entry.ready & ~held),
        ]

        over = Signal()
        m.d.sync += over.eq(running & quiet & Cat(core.rests for core in cores).all())
        with m.If(running & over):
            m.d.sync += [running.eq(0), reporting.eq(1)]
        self._report(m, cores, running, reporting, funnel.quiet)

        for k, core in enumerate(cores):
            units, index = shape.units, len(self.trace.index) // len(cores)
            m.d.comb += [
                self.trace.valid[k].eq(core.trace.valid),
                self.trace.index[k * index : (k + 1) * index].eq(core.trace.index + shape.bases[k]),
                self.trace.spike[k * units : (k + 1) * units].eq(core.trace.spike),
            ]
            for n in range(units):
                m.d.comb += [
                    self.trace.v[k * units + n].eq(core.trace.v[n]),
                    self.trace.u[k * units + n].eq(core.trace.u[n]),
                ]
                if shape.cores[k].adaptive:
                    m.d.comb += self.trace.h[k * units + n].eq(core.trace.h[n])
        m.d.comb += [self.trace.step.eq(cores[0].trace.step), self.digest.eq(cores[0].digest)]
        self._host(m, cores, senders, quiet & ~asked)
        return m

    def _report(
        self,
        m: Module,
        cores: Sequence[Core],
        running: Signal,
        reporting: Signal,
        told: Value,
    ) -> None:
        """Counters, and the end of a request in all cores at once."""
        m.submodules.commit_cycles = commit_cycles = CycleCounter()
        m.d.comb += commit_cycles.count.eq(running)
        counters = [commit_cycles]
        values: list[Value] = []
        for k, core in enumerate(cores):
            m.submodules[f"event_cycles_{k}"] = counter = CycleCounter()
            m.d.comb += counter.count.eq(core.occupied & ~running)
            counters.append(counter)
            values.append(counter.value)
        # The largest, two by two, a register behind each comparison.
        levels = 0
        while len(values) > 1:
            larger: list[Value] = []
            for pair in zip(values[::2], values[1::2], strict=False):
                register = Signal(len(pair[0]), name=f"larger_{levels}_{len(larger)}")
                m.d.sync += register.eq(Mux(pair[0] > pair[1], pair[0], pair[1]))
                larger.append(register)
            if len(values) % 2:
                last = Signal(len(values[-1]), name=f"larger_{levels}_{len(larger)}")
                m.d.sync += last.eq(values[-1])
                larger.append(last)
            values, levels = larger, levels + 1
        settled = Signal(range(levels + 2))
        with m.If(~reporting):
            m.d.sync += settled.eq(0)
        with m.Elif(settled != levels + 1):
            m.d.sync += settled.eq(settled + 1)
        finished = self.done.valid & self.done.ready
        m.d.comb += [
            self.done.valid.eq(
                reporting
                & (settled == levels + 1)
                & told
                & Cat(core.done.valid for core in cores).all()
            ),
            self.done.payload.step.eq(cores[0].done.payload.step),
            self.done.payload.events.eq(values[0]),
            self.done.payload.commit.eq(commit_cycles.value),
        ]
        for core in cores:
            m.d.comb += core.done.ready.eq(finished)
        for counter in counters:
            m.d.comb += counter.clear.eq(finished)
        with m.If(finished):
            m.d.sync += reporting.eq(0)

    def _host(
        self, m: Module, cores: Sequence[Core], senders: Sequence[Sender], quiet: Value
    ) -> None:
        """The host's accesses, each to one core or one table, while nothing is under way."""
        access = Signal(self.access.payload.shape())
        # A core that is asked takes no events, so none is asked before all are ready.
        granted, waits = Signal(), Signal()
        m.d.comb += self.access.ready.eq(granted & ~waits)
        m.d.sync += [
            granted.eq(quiet & Cat(core.access.ready for core in cores).all()),
            waits.eq(self.access.valid & self.access.ready),
            access.eq(self.access.payload),
        ]
        node = access.memory[CORE_SHIFT:]
        memory = access.memory[:CORE_SHIFT]
        answers: list[Value] = []
        valid: list[Value] = []
        for k, core in enumerate(cores):
            own = core.access.payload
            m.d.comb += [
                core.access.valid.eq(waits & (node == k) & (memory != ROUTES)),
                own.memory.eq(memory),
                own.address.eq(access.address),
                own.byte.eq(access.byte),
                own.write.eq(access.write),
                own.data.eq(access.data),
            ]
            answers.append(Mux(core.response.valid, core.response.payload, 0))
            valid.append(core.response.valid)
        for k, sender in enumerate(senders):
            chosen = Signal(name=f"table_{k}")
            reading = Signal(name=f"table_{k}_read")
            m.d.comb += [
                chosen.eq(waits & (node == k) & (memory == ROUTES)),
                sender.host.active.eq(chosen),
                sender.host.write.eq(access.write),
                sender.host.address.eq(access.address),
                sender.host.parts.eq(Const(1)),
                sender.host.data.eq(access.data),
            ]
            m.d.sync += reading.eq(chosen & ~access.write)
            answers.append(Mux(reading, sender.word, 0))
            valid.append(reading)
        m.d.sync += [
            self.response.valid.eq(Cat(valid).any()),
            self.response.payload.eq(reduce(or_, answers)),
        ]
