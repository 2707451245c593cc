"""The spiking core: memories, the two engines that work on them, and the order of a step."""

from __future__ import annotations

from typing import Final

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory as ram
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .accumulate import Accumulate
from .arithmetic import times
from .commit import Commit
from .cycles import columns_first
from .image import CoreImage, contents
from .layouts import (
    DYNAMICS,
    SPIKING,
    Request,
    core_members,
    fired_layout,
)
from .memories import Memories
from .plasticity import Plasticity
from .protocol import COUNTER_BITS
from .scan import MaskScanner
from .shape import CoreShape, Memory, index_bits
from .sweep import Sweep


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


# A list so short may be built of logic.
_FEW_BEATS: Final = 16


class SpikeQueue(wiring.Component):
    """Beats with spikes in, neurons out: a list that a step fills once.

    Members
    -------
    start : a step begins; only while empty
    again : the list from its begin, once more; only while empty
    fired : always taken; a step fires a beat at most once
    neurons : in order; where cores learn, lane and group of each
    empty : nothing is on its way

    Parameters
    ----------
    shape : core
    split : neurons by group and lane
    """

    def __init__(self, shape: CoreShape, *, split: bool = False) -> None:
        self._shape, self._split = shape, split
        self._words = shape.groups << index_bits(shape.beats)
        if not split:
            self._words = shape.neurons // shape.units
        super().__init__(
            {
                "start": In(1),
                "again": In(1),
                "fired": In(stream.Signature(fired_layout(shape), always_ready=True)),
                "neurons": Out(stream.Signature(index_bits(self._words * shape.units))),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape = self._shape
        beats = shape.neurons // shape.units
        m.submodules.scanner = scanner = MaskScanner(self._words, shape.units)
        payload = scanner.masks.payload
        attrs: dict[str, int | str] = {"no_rw_check": 1}
        if beats > _FEW_BEATS:
            attrs["ram_style"] = "block"
        m.submodules.memory = memory = ram.Memory(
            shape=len(payload.as_value()), depth=beats, init=[], attrs=attrs
        )
        write, read = memory.write_port(), memory.read_port()
        filled, taken = Signal(range(beats + 1)), Signal(range(beats + 1))
        following = Signal.like(taken)
        fired = self.fired.payload
        word: Value = Cat(fired.turn, fired.group) if self._split else fired.beat
        m.d.comb += [
            following.eq(taken + (scanner.masks.valid & scanner.masks.ready)),
            read.addr.eq(following),
            write.addr.eq(filled),
            write.data.eq(Cat(word, fired.units)),
            write.en.eq(self.fired.valid),
            payload.as_value().eq(read.data),
            self.empty.eq((filled == taken) & scanner.idle),
        ]
        # What is written in this cycle is not read in it.
        m.d.sync += [
            taken.eq(following),
            filled.eq(filled + self.fired.valid),
            scanner.masks.valid.eq(following != filled),
        ]
        with m.If(self.start | self.again):
            m.d.sync += taken.eq(0)
        with m.If(self.start):
            m.d.sync += filled.eq(0)
        connect(m, scanner.numbers, flipped(self.neurons))
        return m


class Core(wiring.Component):
    """An event-driven core; `CoreShape` has the equations.

    Raises `ImageError` if the image is of another shape or the digest has not 8 bytes.

    Members
    -------
    events : input lines that spike before the next TICK
    requests : TICK commits a step, CLEAR empties the state; each ends with one ``done``
    spikes : neurons that spiked and whose class emits, in order
    done : when the step's spikes have been taken and their rows added
    access : reads and writes of the host, while nothing is under way
    response : the byte read, four cycles after the access
    digest : identity of the loaded image
    trace : every committed neuron
    learn : whether weights that learn do so from the next CLEAR on
    unsound : a weight word was read with a wrong parity (only with `CoreShape.parity`)

    Of a core that is one of several (``shared``) also:

    remote : neurons that spiked, in order, whether their class emits or not
    occupied : the issuer of weight words is taken
    rests : the request is done but for ``spikes``: its rows are added and ``remote`` is empty

    A TICK is accepted when the step before is done and all events are added. Events for the next
    step are accepted from then on, while the step commits, if the wheel has a page for them
    (`CoreShape.overlaps`), else once all groups have been read. A request or an access goes before
    an event that is offered in the same cycle.
    """

    def __init__(
        self,
        shape: CoreShape,
        image: CoreImage | None = None,
        digest: bytes | None = None,
        *,
        shared: bool = False,
    ) -> None:
        self._shape = shape
        self._shared = shared
        self._image, self._digest = contents(shape, image, digest)
        members = core_members(shape)
        self.commit = Commit(shape)
        self.plasticity: Plasticity | None = None
        if shape.learning is not None:
            self.plasticity = Plasticity(shape, shape.learning, self._image)
        if shared:
            members |= {
                "remote": Out(stream.Signature(index_bits(shape.neurons))),
                "occupied": Out(1),
                "rests": Out(1),
            }
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape = self._shape

        m.submodules.memories = memories = Memories(shape, self._image, self._digest)
        m.submodules.accumulate = accumulate = Accumulate(shape)
        m.submodules.sweep = sweep = Sweep(shape)
        m.submodules.commit = commit = self.commit
        m.submodules.emitted = emitted = SpikeQueue(shape)
        m.submodules.event_cycles = event_cycles = CycleCounter()
        m.submodules.step_cycles = step_cycles = CycleCounter()

        committing, clearing, reporting = Signal(), Signal(), Signal()
        # The step whose events are being added, and the one that commits.
        step = Signal(shape.step_bits)
        committed = Signal(shape.step_bits)
        blocked = Signal()
        quiet, wanted, started, cleared = Signal(), Signal(), Signal(), Signal()
        accessing = Signal()
        pending_empty: Value = Const(1, 1)
        learning = shape.learning
        has_columns = learning is not None and learning.columns
        has_pending = shape.recurrent or has_columns
        if has_pending:
            m.submodules.pending = pending = SpikeQueue(shape, split=learning is not None)
            pending_empty = pending.empty

        engines_rest = Signal()
        # Weights that change have been.
        written: Value = Const(1, 1)
        plasticity = self.plasticity
        if plasticity is not None:
            m.submodules.plasticity = plasticity
            written = plasticity.idle
        # The sweep looks for a word's group no sooner than three cycles after its issue.
        issued = Signal()
        m.d.sync += issued.eq(accumulate.busy)
        m.d.comb += [
            engines_rest.eq(~(sweep.busy | accumulate.handing | commit.busy)),
            quiet.eq(~committing & ~clearing & ~reporting & accumulate.idle & written),
            wanted.eq(self.requests.valid | self.access.valid | accessing),
            self.access.ready.eq(quiet & ~self.requests.valid),
            # What is added later meets the sweep in the order of issue, so a tick need not wait
            # for the last sums, but the last word must say where it goes before the sweep looks.
            self.requests.ready.eq(
                ~committing
                & ~clearing
                & ~reporting
                & Mux(
                    self.requests.payload == Request.TICK,
                    ~(accumulate.busy | issued),
                    accumulate.idle & written,
                )
            ),
            started.eq(
                self.requests.valid & self.requests.ready & (self.requests.payload == Request.TICK)
            ),
            cleared.eq(
                self.requests.valid & self.requests.ready & (self.requests.payload == Request.CLEAR)
            ),
            sweep.start.eq(started),
            sweep.page.eq(committed[: shape.page_bits]),
            commit.step.eq(committed),
        ]
        with m.If(started):
            m.d.sync += [committing.eq(1), committed.eq(step), step.eq(step + 1)]
        for number, period in enumerate(shape.timers or ()):
            timer = Signal(range(period), init=period - 1, name=f"timer_{number}")
            with m.If(started):
                m.d.sync += timer.eq(Mux(timer == period - 1, 0, timer + 1))
            with m.Elif(clearing):
                m.d.sync += timer.eq(period - 1)
            m.d.comb += getattr(commit, f"timer_{number}").eq(timer)

        # A step: commit, then whatever its spikes still have to add.
        propagating = Signal()
        m.d.comb += propagating.eq(committing & engines_rest)
        if plasticity is not None:
            m.d.comb += propagating.eq(committing & plasticity.over)
        with m.If(propagating & pending_empty & ~accumulate.busy):
            m.d.sync += [committing.eq(0), reporting.eq(1)]
        m.d.comb += [
            self.done.valid.eq(reporting & emitted.empty),
            self.done.payload.step.eq(committed),
            self.done.payload.events.eq(event_cycles.value),
            self.done.payload.commit.eq(step_cycles.value),
            event_cycles.count.eq(accumulate.occupied & ~committing),
            step_cycles.count.eq(committing),
        ]
        for counter in (event_cycles, step_cycles):
            m.d.comb += counter.clear.eq(self.done.valid & self.done.ready)
        with m.If(self.done.valid & self.done.ready):
            m.d.sync += reporting.eq(0)

        # A clear: every page of every group is emptied as a sweep would. State is not read in the
        # step that follows (`fresh`), in which no group rests.
        places = shape.groups * shape.pages
        address = Signal(range(places + 1), init=places)
        emptying, fresh = Signal(), Signal(init=1)
        traces_clear: Value = Const(1, 1) if plasticity is None else plasticity.ready
        group = address[shape.page_bits :][: index_bits(shape.groups)]
        with m.If(cleared):
            m.d.sync += [clearing.eq(1), address.eq(0), fresh.eq(1)]
        with m.If(emptying):
            m.d.sync += address.eq(address + 1)
        with m.Elif(clearing & accumulate.idle & traces_clear):
            m.d.sync += [clearing.eq(0), reporting.eq(1), step.eq(0), committed.eq(0)]
        with m.If(propagating):
            m.d.sync += fresh.eq(0)
        m.d.comb += [
            emptying.eq(clearing & (address != places)),
            commit.fresh.eq(fresh),
            accumulate.sweep.valid.eq(sweep.groups.valid | emptying),
            accumulate.sweep.payload.eq(Mux(clearing, group, sweep.groups.payload)),
            accumulate.sweep_page.eq(Mux(clearing, address[: shape.page_bits], sweep.page)),
            sweep.touched.eq(accumulate.touched),
            sweep.clear.eq(clearing),
            sweep.settled.eq(commit.settled | emptying),
            sweep.group.eq(Mux(clearing, group, commit.group)),
            sweep.rests.eq(commit.rests & ~clearing),
            commit.swept.payload.eq(accumulate.swept.payload),
            commit.swept.valid.eq(accumulate.swept.valid & ~clearing),
        ]

        # Spikes go to the host as fast as it takes them, and to their rows before any event.
        m.d.comb += [
            emitted.fired.valid.eq(commit.fired.valid & commit.fired.payload.emit),
            emitted.fired.payload.eq(commit.fired.payload),
            emitted.start.eq(started),
            # Without a page of their own they wait until the last group of this one is read.
            blocked.eq(Const(0) if shape.overlaps else sweep.busy),
            accumulate.page.eq(step[: shape.page_bits]),
            self.digest.eq(memories.digest),
        ]
        sources = accumulate.sources
        go, welcome = Signal(), Signal()
        m.d.comb += [
            go.eq(~blocked & ~clearing),
            welcome.eq(go & ~wanted),
            sources.payload.eq(self.events.payload),
            sources.valid.eq(self.events.valid & welcome),
            self.events.ready.eq(sources.ready & welcome),
        ]
        if plasticity is not None:
            # Weights that a column changes are read when they are written.
            m.d.comb += welcome.eq(go & ~wanted & ~plasticity.wait)
            if columns_first(shape):
                m.d.comb += go.eq(~blocked & ~clearing & ~plasticity.wait)
        if has_pending:
            m.d.comb += [
                pending.fired.valid.eq(commit.fired.valid),
                pending.fired.payload.eq(commit.fired.payload),
                pending.start.eq(started),
                pending.neurons.ready.eq(sources.ready & go),
            ]
            if plasticity is not None and has_columns:
                # Spikes without rows are of no more use when nothing learns.
                taken = plasticity.neurons.ready
                taken = taken | (sources.ready & go if shape.recurrent else ~plasticity.learn)
                m.d.comb += pending.neurons.ready.eq(taken)
        if shape.recurrent:
            neuron: Value = pending.neurons.payload
            if learning is not None:
                lane_bits = index_bits(shape.lanes)
                neuron = neuron[:lane_bits] + times(neuron[lane_bits:], Const(shape.lanes))
            with m.If(pending.neurons.valid):
                m.d.comb += [
                    sources.payload.eq(neuron + shape.inputs),
                    sources.valid.eq(go),
                    self.events.ready.eq(0),
                ]
        if plasticity is not None and learning is not None:
            ticked, learns = Signal(), Signal(init=1)
            m.d.sync += ticked.eq(started)
            with m.If(cleared):
                m.d.sync += learns.eq(self.learn)
            m.d.comb += [
                # Rows of a step are read when the columns of the one before are done.
                blocked.eq(committing & ~plasticity.over),
                plasticity.started.eq(started),
                plasticity.cleared.eq(cleared),
                plasticity.step.eq(committed),
                plasticity.committing.eq(committing),
                plasticity.rest.eq(engines_rest),
                plasticity.fresh.eq(fresh),
                plasticity.learn.eq(learns),
                accumulate.lanes.eq(plasticity.lanes),
                plasticity.marked.eq(accumulate.marked),
                memories.weights_word.eq(plasticity.word),
                commit.ticked.eq(ticked),
                commit.learn.eq(learns),
            ]
            connect(m, memories.weights, plasticity.host)
            connect(m, accumulate.row, plasticity.row)
            if learning.stochastic:
                m.d.comb += plasticity.seed.eq(memories.loaded)
            if learning.rule.rows:
                connect(m, commit.terms, plasticity.terms)
            if has_columns:
                m.d.comb += [
                    plasticity.neurons.payload.as_value().eq(pending.neurons.payload),
                    plasticity.neurons.valid.eq(pending.neurons.valid),
                    plasticity.empty.eq(pending.empty),
                    pending.again.eq(plasticity.again if shape.recurrent else 0),
                ]
        if self._shared:
            # A list of its own: what other cores and the host have no room for yet holds up
            # neither each other nor this core.
            m.submodules.remote = remote = SpikeQueue(shape)
            m.d.comb += [
                remote.fired.valid.eq(commit.fired.valid),
                remote.fired.payload.eq(commit.fired.payload),
                remote.start.eq(started),
                self.occupied.eq(accumulate.occupied),
                self.rests.eq(reporting & ~accumulate.busy & remote.empty),
            ]
            connect(m, remote.neurons, flipped(self.remote))
        connect(m, emitted.neurons, flipped(self.spikes))
        connect(m, commit.trace, flipped(self.trace))

        if shape.parity:
            m.d.comb += [
                memories.damaged.eq(accumulate.damaged),
                self.unsound.eq(memories.unsound),
            ]
        connect(m, accumulate.rows, memories.rows)
        if learning is None:
            connect(m, accumulate.words, memories.words)
        connect(m, commit.potential, memories.potential)
        connect(m, commit.new_potential, memories.new_potential)
        if shape.segments:
            connect(m, accumulate.segments, memories.segments)
        if shape.fields(Memory.NEURONS):
            connect(m, commit.neurons, memories.neurons)
        if shape.has(Memory.CLASSES, DYNAMICS):
            connect(m, commit.dynamics, memories.dynamics)
        if shape.has(Memory.CLASSES, SPIKING):
            connect(m, commit.spiking, memories.spiking)
        if shape.first_bias:
            connect(m, commit.first_bias, memories.first_bias)
        if shape.has_u:
            connect(m, commit.current, memories.current)
            connect(m, commit.new_current, memories.new_current)
        if shape.refractory_bits:
            connect(m, commit.refractory, memories.refractory)
            connect(m, commit.new_refractory, memories.new_refractory)
        if shape.adaptive:
            connect(m, commit.offset, memories.offset)
            connect(m, commit.new_offset, memories.new_offset)
        # A cycle later, so that what decides on an access does not decide on a memory, too.
        m.d.sync += [
            memories.access.payload.eq(self.access.payload),
            accessing.eq(self.access.valid & self.access.ready),
        ]
        m.d.comb += memories.access.valid.eq(accessing)
        connect(m, memories.response, flipped(self.response))
        return m
