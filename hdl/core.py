"""The spiking core: memories, the two engines that work on them, and the order of a step."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from .accumulate import Accumulate
from .commit import Commit
from .image import CoreImage, contents
from .layouts import Request, TraceSignature, access_layout, done_layout
from .memories import Memories, clear_depth
from .protocol import COUNTER_BITS
from .shape import CoreShape, index_bits


class CycleCounter(wiring.Component):
    """Counts cycles with ``count``, stays at its maximum, restarts with ``clear``."""

    def __init__(self) -> None:
        super().__init__({"count": In(1), "clear": In(1), "value": Out(COUNTER_BITS)})

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        with m.If(self.clear):
            m.d.sync += self.value.eq(0)
        with m.Elif(self.count & ~self.value.all()):
            m.d.sync += self.value.eq(self.value + 1)
        return m


class Core(wiring.Component):
    """An event-driven core; `CoreShape` has the equations.

    Raises `ImageError` if the image is of another shape or the digest has not 8 bytes.

    Members
    -------
    events : input lines that spike before the next TICK
    requests : TICK runs a step, CLEAR empties the state; each ends with one ``done``
    spikes : neurons that spiked and whose class emits, in order
    done : after the last spike has been taken
    access : reads and writes of the host, between steps
    response : the byte read, two cycles after the access
    digest : identity of the loaded image
    trace : every neuron of every step

    Nothing is accepted while a step runs. A request or an access goes before an event that is
    offered in the same cycle.
    """

    def __init__(
        self, shape: CoreShape, image: CoreImage | None = None, digest: bytes | None = None
    ) -> None:
        self._shape = shape
        self._image, self._digest = contents(shape, image, digest)
        super().__init__(
            {
                "events": In(stream.Signature(index_bits(shape.inputs))),
                "requests": In(stream.Signature(Request)),
                "spikes": Out(stream.Signature(index_bits(shape.neurons))),
                "done": Out(stream.Signature(done_layout(shape))),
                "access": In(stream.Signature(access_layout(shape))),
                "response": Out(stream.Signature(8, always_ready=True)),
                "digest": Out(64),
                "trace": Out(TraceSignature(shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape = self._shape

        m.submodules.memories = memories = Memories(shape, self._image, self._digest)
        m.submodules.accumulate = accumulate = Accumulate(shape)
        m.submodules.commit = commit = Commit(shape)
        # Every neuron may spike in a step, one a cycle; the queues take the first word out of
        # their memory a cycle after it went in, hence a place more than there are neurons.
        m.submodules.pending = pending = SyncFIFOBuffered(
            width=index_bits(shape.sources), depth=shape.neurons + 1
        )
        m.submodules.emitted = emitted = SyncFIFOBuffered(
            # Not even a core of one neuron has a memory without bits: Yosys divides by them.
            width=max(1, index_bits(shape.neurons)),
            depth=shape.neurons + 1,
        )
        m.submodules.accumulate_cycles = accumulate_cycles = CycleCounter()
        m.submodules.commit_cycles = commit_cycles = CycleCounter()
        m.submodules.propagate_cycles = propagate_cycles = CycleCounter()

        idle, sweeping, propagating, clearing = (
            Signal(name=name) for name in ("idle", "sweeping", "propagating", "clearing")
        )
        step = Signal(shape.step_bits)

        # The order of a step.
        clear_address = Signal.like(memories.clear_address)
        quiet, wanted = Signal(), Signal()
        m.d.comb += [
            quiet.eq(idle & accumulate.idle),
            self.requests.ready.eq(quiet),
            self.access.ready.eq(quiet & ~self.requests.valid),
            wanted.eq(self.requests.valid | self.access.valid),
            commit.start.eq(self.requests.valid & quiet & (self.requests.payload == Request.TICK)),
            self.done.payload.step.eq(step),
            self.done.payload.accumulate.eq(accumulate_cycles.value),
            self.done.payload.commit.eq(commit_cycles.value),
            self.done.payload.propagate.eq(propagate_cycles.value),
            accumulate_cycles.count.eq(accumulate.occupied & idle),
            commit_cycles.count.eq(sweeping),
            propagate_cycles.count.eq(propagating),
        ]
        for counter in (accumulate_cycles, commit_cycles, propagate_cycles):
            m.d.comb += counter.clear.eq(self.done.valid & self.done.ready)
        with m.FSM():
            with m.State("Idle"):
                m.d.comb += idle.eq(1)
                m.d.sync += clear_address.eq(0)
                with m.If(self.requests.valid & quiet), m.Switch(self.requests.payload):
                    with m.Case(Request.TICK):
                        m.next = "Sweep"
                    with m.Case(Request.CLEAR):
                        m.next = "Clear"
            with m.State("Sweep"):
                m.d.comb += sweeping.eq(1)
                with m.If(~commit.busy):
                    m.next = "Propagate"
            with m.State("Propagate"):
                m.d.comb += propagating.eq(1)
                with m.If((pending.level == 0) & accumulate.idle):
                    m.next = "Report step"
            with m.State("Report step"):
                m.d.comb += self.done.valid.eq(emitted.level == 0)
                with m.If(self.done.valid & self.done.ready):
                    m.d.sync += step.eq(step + 1)
                    m.next = "Idle"
            with m.State("Clear"):
                m.d.comb += clearing.eq(1)
                m.d.sync += clear_address.eq(clear_address + 1)
                with m.If(clear_address == clear_depth(shape) - 1):
                    m.next = "Report clear"
            with m.State("Report clear"):
                m.d.comb += self.done.valid.eq(1)
                with m.If(self.done.ready):
                    m.d.sync += step.eq(0)
                    m.next = "Idle"

        # Spikes go to the host as fast as it takes them, and to their rows once all are known.
        m.d.comb += [
            pending.w_en.eq(commit.fired.valid),
            pending.w_data.eq(commit.fired.payload.neuron + shape.inputs),
            emitted.w_en.eq(commit.fired.valid & commit.fired.payload.emit),
            emitted.w_data.eq(commit.fired.payload.neuron),
            self.spikes.payload.eq(emitted.r_data),
            self.spikes.valid.eq(emitted.r_rdy),
            emitted.r_en.eq(self.spikes.ready),
            pending.r_en.eq(propagating & accumulate.sources.ready),
            self.events.ready.eq(idle & ~wanted & accumulate.sources.ready),
        ]
        with m.If(propagating):
            m.d.comb += [
                accumulate.sources.payload.eq(pending.r_data),
                accumulate.sources.valid.eq(pending.r_rdy),
            ]
        with m.Else():
            m.d.comb += [
                accumulate.sources.payload.eq(self.events.payload),
                accumulate.sources.valid.eq(self.events.valid & idle & ~wanted),
            ]
        m.d.comb += [
            # A delay of 0 is the step after the one that spiked.
            accumulate.page.eq(step[: shape.delay_bits] + propagating),
            commit.step.eq(step),
            commit.active_neurons.eq(memories.active_neurons),
            self.digest.eq(memories.digest),
            memories.clear.eq(clearing),
            memories.clear_address.eq(clear_address),
        ]
        connect(m, commit.trace, flipped(self.trace))

        connect(m, accumulate.rows, memories.rows)
        connect(m, accumulate.words, memories.words)
        connect(m, commit.neurons, memories.neurons)
        connect(m, commit.dynamics, memories.dynamics)
        connect(m, commit.spiking, memories.spiking)
        connect(m, commit.potential, memories.potential)
        connect(m, commit.new_potential, memories.new_potential)
        if shape.first_bias:
            connect(m, commit.first_bias, memories.first_bias)
        if shape.cuba:
            connect(m, commit.current, memories.current)
            connect(m, commit.new_current, memories.new_current)
        if shape.refractory_bits:
            connect(m, commit.refractory, memories.refractory)
            connect(m, commit.new_refractory, memories.new_refractory)
        m.d.comb += [
            accumulate.accumulator.data.eq(memories.accumulator.data),
            commit.accumulator.data.eq(memories.accumulator.data),
        ]
        for turn, read, write in (
            (sweeping, commit.accumulator, commit.cleared),
            (~sweeping, accumulate.accumulator, accumulate.total),
        ):
            with m.If(turn):
                m.d.comb += [
                    memories.accumulator.en.eq(read.en),
                    memories.accumulator.addr.eq(read.addr),
                    memories.total.en.eq(write.en),
                    memories.total.addr.eq(write.addr),
                ]
        m.d.comb += [
            memories.total.data.eq(accumulate.total.data),
            memories.clear_total.eq(sweeping),
            memories.access.payload.eq(self.access.payload),
            memories.access.valid.eq(self.access.valid & self.access.ready),
        ]
        connect(m, memories.response, flipped(self.response))
        return m
