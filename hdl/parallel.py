"""A core without memories: every neuron adds all its weights at once, as constants of the circuit.

=====================  ===========================================================================
cycle after a TICK     work
=====================  ===========================================================================
1                      the spikes of this step and of those before lie in registers
[.. + input_bits - 1]  one bit of the events that a line has counted after the other, highest first
1 + levels             every neuron's sum (`terms`)
... + 5 or 7           what `Commit` does with it: new state, spikes
=====================  ===========================================================================

A spike waits for its delay in a shift register of its source: one register for all the neurons it
reaches after so many steps. With lines that count further, sums double from one bit of the counts
to the next.
"""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import groupby
from typing import Final

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .arithmetic import selected
from .commit import Commit
from .core import CycleCounter
from .cycles import parallel_cycles
from .image import CoreImage, contents
from .layouts import Request, core_members
from .scan import MaskScanner
from .shape import CoreShape, NeuronClass, ParallelShape, index_bits
from .terms import TABLE, Range, Term, depth, range_of, terms_of

# Spikes that are looked through in one cycle.
_SCAN: Final = 16
# Neurons of one `Commit` at most.
_MOST_UNITS: Final = 32
# State by name, and the ports of `Commit` that read and write it.
_STATE: Final = {
    "v": ("potential", "new_potential"),
    "u": ("current", "new_current"),
    "refractory": ("refractory", "new_refractory"),
}


class ParallelCore(wiring.Component):
    """A core whose network is its circuit; `CoreShape` has the equations.

    Raises `ImageError` if the image is of another shape or the digest has not 8 bytes.

    Members are those of `Core`. Every step commits all neurons, in the same cycle. Events of the
    next step are taken while a step commits; of what is beyond `ParallelShape.input_bits` a line
    keeps the most it can count. Only the digest can be read, in the cycle after the access, and
    nothing written.
    """

    def __init__(
        self, shape: ParallelShape, image: CoreImage | None = None, digest: bytes | None = None
    ) -> None:
        self._shape = shape
        self._image, self._digest = contents(shape, image, digest)
        super().__init__(core_members(shape))

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape, image = self._shape, self._image
        sums = terms_of(image)
        settled = parallel_cycles(shape, depth(sums)) - 1
        m.submodules.event_cycles = event_cycles = CycleCounter()
        m.submodules.step_cycles = step_cycles = CycleCounter()
        m.submodules.emission = emission = _Emission(_emitting(image), shape.neurons)

        committing, reporting = Signal(), Signal()
        step, committed = Signal(shape.step_bits), Signal(shape.step_bits)
        age = Signal(range(settled + 1))
        started, cleared, taken = Signal(), Signal(), Signal()
        asked = Signal()
        m.d.comb += [
            self.requests.ready.eq(~committing & ~reporting),
            asked.eq(self.requests.valid & self.requests.ready),
            started.eq(asked & (self.requests.payload == Request.TICK)),
            cleared.eq(asked & (self.requests.payload == Request.CLEAR)),
            self.events.ready.eq(~self.requests.valid),
            taken.eq(committing & (age == settled)),
        ]
        with m.If(committing):
            m.d.sync += age.eq(age + 1)
        with m.If(started):
            m.d.sync += [committing.eq(1), committed.eq(step), step.eq(step + 1), age.eq(0)]
        with m.If(taken):
            m.d.sync += [committing.eq(0), reporting.eq(1)]
        with m.If(cleared):
            m.d.sync += [step.eq(0), committed.eq(0), reporting.eq(1)]
        event = self.events.valid & self.events.ready
        m.d.comb += [
            self.done.valid.eq(reporting & emission.empty),
            self.done.payload.step.eq(committed),
            self.done.payload.events.eq(event_cycles.value),
            self.done.payload.commit.eq(step_cycles.value),
            event_cycles.count.eq(event & ~committing & ~reporting),
            step_cycles.count.eq(committing),
        ]
        for counter in (event_cycles, step_cycles):
            m.d.comb += counter.clear.eq(self.done.valid & self.done.ready)
        with m.If(self.done.valid & self.done.ready):
            m.d.sync += reporting.eq(0)

        fired = Signal(shape.neurons)
        spikes = Signal(shape.neurons)
        with m.If(cleared):
            m.d.sync += fired.eq(0)
        with m.Elif(taken):
            m.d.sync += fired.eq(spikes)
        waited = {term for terms in sums for term in terms}
        bits = self._sources(m, waited, event, fired, started, taken, cleared, age)
        totals = self._totals(m, sums, bits, started, age)
        self._commit(m, totals, committed, taken, cleared, spikes)
        m.d.comb += [
            emission.spikes.eq(spikes),
            emission.load.eq(taken),
            self.trace.valid.eq(taken),
            self.trace.step.eq(committed),
            self.trace.spike.eq(spikes),
        ]
        connect(m, emission.neurons, flipped(self.spikes))
        self._answer(m, committing | reporting)
        return m

    def _sources(
        self,
        m: Module,
        waited: set[Term],
        event: Value,
        fired: Signal,
        started: Signal,
        taken: Signal,
        cleared: Signal,
        age: Signal,
    ) -> dict[Term, Value]:
        """One bit for each (source, steps) in ``waited``: in turn, those of what it has counted.

        A neuron's spike is in the last of them.
        """
        shape = self._shape
        width = shape.input_bits
        longest: dict[int, int] = {}
        for source, steps in waited:
            longest[source] = max(longest.get(source, 0), steps)
        # The bit of the counts that is added in this cycle, the highest first.
        turn = (width - 1 - age)[: index_bits(width)]
        last = Const(1, 1) if width == 1 else age == width - 1

        def history(first: Value, steps: int, moves: Value, name: str) -> list[Value]:
            """What `first` was when it moved on, so many times before."""
            stages = [first]
            for _ in range(steps):
                stage = Signal.like(first, name=name)
                with m.If(cleared):
                    m.d.sync += stage.eq(0)
                with m.Elif(moves):
                    m.d.sync += stage.eq(stages[-1])
                stages.append(stage)
            return stages

        bits: dict[Term, Value] = {}
        for source, most in longest.items():
            if source < shape.inputs:
                count = Signal(width, name=f"count_{source}")
                with m.If(cleared | started):
                    m.d.sync += count.eq(0)
                with m.Elif(event & (self.events.payload == source) & ~count.all()):
                    m.d.sync += count.eq(count + 1)
                # The first register takes what came before the tick.
                stages = history(count, most + 1, started, f"input_{source}")[1:]
                now = [stage if width == 1 else stage.bit_select(turn, 1) for stage in stages]
            else:
                stages = history(fired[source - shape.inputs], most, taken, f"neuron_{source}")
                now = [stage & last for stage in stages]
            for steps, bit in enumerate(now):
                if (source, steps) not in waited:
                    continue
                if width > 1:
                    held = Signal(name=f"bit_{source}_{steps}")
                    m.d.sync += held.eq(bit)
                    bit = held
                bits[source, steps] = bit
        return bits

    def _totals(
        self,
        m: Module,
        sums: list[dict[Term, int]],
        bits: dict[Term, Value],
        started: Signal,
        age: Signal,
    ) -> list[Signal]:
        """What each neuron has accumulated, at rest from the end of its tree to the next tick."""
        shape = self._shape
        deepest, turns = depth(sums), shape.input_bits
        first, adding = age == deepest, Signal()
        if turns > 1:
            # The sum of the first bits is at hand `deepest` cycles after them.
            with m.If(first):
                m.d.sync += adding.eq(1)
            with m.Elif(age == deepest + turns):
                m.d.sync += adding.eq(0)
        totals = []
        for neuron, terms in enumerate(sums):
            every = list(terms.items())
            parts: list[tuple[Value, Range]] = []
            for at in range(0, len(every), TABLE):
                some = every[at : at + TABLE]
                parts.append(_table(m, [(bits[term], weight) for term, weight in some]))
            if not parts:
                parts = [(Const(0, signed(1)), Range(0, 0))]
            for _ in range(deepest - 1):
                parts = [_sum(m, parts[at : at + 2], turns) for at in range(0, len(parts), 2)]
            ((total, extent),) = parts
            most = (1 << turns) - 1
            width = min(Range(most * extent.low, most * extent.high).bits, shape.acc_bits)
            kept = Signal(signed(width), name=f"sum_{neuron}")
            if turns == 1 or not terms:
                m.d.comb += kept.eq(total)
            else:
                with m.If(started):
                    m.d.sync += kept.eq(0)
                with m.Elif(adding):
                    m.d.sync += kept.eq((kept << 1) + total)
            totals.append(kept)
        return totals

    def _commit(
        self,
        m: Module,
        totals: list[Signal],
        committed: Signal,
        taken: Signal,
        cleared: Signal,
        spikes: Signal,
    ) -> None:
        """States, and a commit for neurons that follow one another and share their parameters."""
        shape, image = self._shape, self._image
        classes = image.neuron_class.repeat(shape.units).tolist()
        at = 0
        for number, run in groupby(classes):
            left = len(list(run))
            while left:
                units = min(1 << left.bit_length() - 1, _MOST_UNITS)
                part = _part(image, number, range(at, at + units), totals)
                m.submodules[f"commit_{at}"] = commit = Commit(part, held=True)
                m.d.comb += [
                    commit.step.eq(committed),
                    commit.fresh.eq(0),
                    commit.swept.valid.eq(taken),
                    spikes[at : at + units].eq(commit.trace.spike),
                ]
                for k in range(units):
                    m.d.comb += [
                        commit.swept.payload.lanes[k].eq(totals[at + k]),
                        self.trace.v[at + k].eq(commit.trace.v[k]),
                        self.trace.u[at + k].eq(commit.trace.u[k]),
                    ]
                    if part.bias:
                        m.d.comb += commit.neurons.data.bias[k].eq(int(image.bias[at + k]))
                    if part.first_bias:
                        m.d.comb += commit.first_bias.data.first_bias[k].eq(
                            int(image.first_bias[at + k])
                        )
                for name, (read, write) in _STATE.items():
                    if not hasattr(commit, read):
                        continue
                    old, new = getattr(commit, read), getattr(commit, write)
                    state = Signal(len(Value.cast(old.data)), name=f"{name}_{at}")
                    m.d.comb += old.data.as_value().eq(state)
                    with m.If(cleared):
                        m.d.sync += state.eq(0)
                    with m.Elif(new.en):
                        m.d.sync += state.eq(new.data.as_value())
                at, left = at + units, left - units

    def _answer(self, m: Module, busy: Value) -> None:
        """Bytes of the digest, which is all there is to read, in the cycle after the access."""
        digest = Const(int.from_bytes(self._digest, "little"), 64)
        m.d.comb += [
            self.digest.eq(digest),
            self.access.ready.eq(~busy & ~self.requests.valid),
        ]
        pieces = [digest[at : at + 8] for at in range(0, 64, 8)]
        value: Value = selected(pieces, self.access.payload.byte)
        reading: Value = self.access.valid & self.access.ready & ~self.access.payload.write
        m.d.sync += [self.response.payload.eq(value), self.response.valid.eq(reading)]


def _table(m: Module, terms: list[tuple[Value, int]]) -> tuple[Value, Range]:
    """The sum of a few terms, looked up: a register."""
    extent = range_of(weight for _, weight in terms)
    held = Signal(signed(extent.bits))
    with m.Switch(Cat(bit for bit, _ in terms)):
        for pattern in range(1 << len(terms)):
            chosen = [w for k, (_, w) in enumerate(terms) if pattern >> k & 1]
            with m.Case(pattern):
                m.d.sync += held.eq(sum(chosen))
    return held, extent


def _sum(m: Module, parts: list[tuple[Value, Range]], turns: int) -> tuple[Value, Range]:
    """The sum of two parts: a register. A lone one keeps step, if there are several turns."""
    if len(parts) == 1 and (turns == 1 or isinstance(parts[0][0], Const)):
        return parts[0]
    extent = parts[0][1] if len(parts) == 1 else parts[0][1] + parts[1][1]
    held = Signal(signed(extent.bits))
    m.d.sync += held.eq(sum(value for value, _ in parts))
    return held, extent


def _part(image: CoreImage, number: int, neurons: range, totals: list[Signal]) -> CoreShape:
    """The shape of the commit of neurons of one class: every parameter is part of the circuit."""
    shape = image.shape
    names = {field.name for field in shape.class_fields}
    fixed = {name: int(getattr(image, f"class_{name}")[number]) for name in names}
    values = {f.name: getattr(shape, f.name) for f in fields(CoreShape)}
    whole = CoreShape(**values | {"fixed": NeuronClass(**fixed), "classes": 1})
    some = slice(neurons.start, neurons.stop)
    first = shape.first_bias and bool((image.first_bias[some] != image.bias[some]).any())
    refractory = fixed["refractory"]
    return replace(
        whole,
        lanes=len(neurons),
        units=len(neurons),
        neurons=len(neurons),
        acc_bits=max(shape.weight_bits, *(len(totals[n]) for n in neurons)),
        bias=first or (shape.bias and bool(image.bias[some].any())),
        first_bias=first,
        refractory_bits=refractory.bit_length() if fixed["reset"] else 0,
        fixed=replace(whole.fixed, refractory=refractory if fixed["reset"] else 0),
        storage="registers",
        delays=1,
        pages=1,
        segments=0,
    )


def _emitting(image: CoreImage) -> list[int]:
    """Neurons whose spikes leave."""
    classes = image.neuron_class.repeat(image.shape.units)
    spiking = (image.class_emit[classes] != 0) & (image.class_reset[classes] != 0)
    return [int(n) for n in spiking.nonzero()[0]]


class _Emission(wiring.Component):
    """Spikes of a step in, the neurons that tell of them out, in order.

    Members
    -------
    load : take ``spikes``; only while empty
    neurons : those that spiked
    empty : all are sent
    """

    def __init__(self, emitting: list[int], neurons: int) -> None:
        self._emitting = emitting
        super().__init__(
            {
                "spikes": In(neurons),
                "load": In(1),
                "neurons": Out(stream.Signature(index_bits(neurons))),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        number = len(self._emitting)
        if not number:
            m.d.comb += self.empty.eq(1)
            return m
        width = min(_SCAN, 1 << index_bits(number))
        words = -(-number // width)
        left = Signal(number)
        word = Signal(range(words))
        m.submodules.scanner = scanner = MaskScanner(words, width)
        masks = scanner.masks
        m.d.comb += [
            masks.valid.eq(left.any()),
            masks.payload.word.eq(word),
            masks.payload.bits.eq(left[:width]),
            self.empty.eq(~left.any() & scanner.idle),
            self.neurons.valid.eq(scanner.numbers.valid),
            scanner.numbers.ready.eq(self.neurons.ready),
            self.neurons.payload.eq(
                selected([Const(n) for n in self._emitting], scanner.numbers.payload)
            ),
        ]
        with m.If(self.load):
            m.d.sync += [left.eq(Cat(self.spikes[n] for n in self._emitting)), word.eq(0)]
        with m.Elif(masks.ready):
            m.d.sync += [left.eq(left >> width), word.eq(word + 1)]
        return m
