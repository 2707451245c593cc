"""Traces of a rule: how they rise and decay, and the terms that they make of weights' changes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib import memory as ram
from amaranth.lib.wiring import In, Out

from ..ir.numerics import Rounding as IrRounding
from ..ir.plasticity import SDSP, Accumulation, Trace, TraceDecay, TraceSTDP, Update
from .arithmetic import rounded, times
from .cycles import POST_TERMS, RESPONSE
from .learning import Learning, clips, factor, plane, term_form, window
from .pipeline import delayed
from .plastic import ColumnSignature, TermSignature, term_blocks, term_shape
from .shape import CoreShape, Rounding, index_bits

ROUNDING: Final[dict[IrRounding, Rounding]] = {
    IrRounding.NEAREST_EVEN: "nearest_even",
    IrRounding.NEAREST_AWAY: "nearest_away",
    IrRounding.TOWARD_ZERO: "toward_zero",
    IrRounding.UP: "ceil",
    IrRounding.DOWN: "floor",
}
_BLOCK: Final[dict[str, int | str]] = {"ram_style": "block", "no_rw_check": 1}


def risen(trace: Trace, x: Value) -> Value:
    """A trace after a spike."""
    if trace.accumulation is Accumulation.SET:
        return Const(trace.increment, trace.bits)
    total = x + Const(trace.increment, trace.bits)
    return Mux(total[trace.bits], (1 << trace.bits) - 1, total[: trace.bits])


def decayed(trace: Trace, x: Value) -> Value:
    """A trace after a step: floor(x (1 - 2^-k)), or one less."""
    if trace.decay is TraceDecay.COUNT:
        return Mux(x.any(), x - 1, 0)[: trace.bits]
    # One subtraction, of which the bits below 2^k are dropped.
    return ((x << trace.shift) - x)[trace.shift :][: trace.bits]


def response(
    m: Module, learning: Learning, update: Update, trace: Trace, x: Value, name: str
) -> Value:
    """The term of a trace by an update, `RESPONSE` cycles later."""
    rule, kept = learning.rule, term_form(learning)
    assert isinstance(rule, TraceSTDP)
    found = Signal(term_shape(learning), name=f"{name}_term")
    scale = factor(update, kept.shift) if learning.stochastic else update.amplitude
    exact = Mux(x.any(), scale, 0) if window(update) else times(x, Const(scale))
    product = Signal(len(exact), name=f"{name}_product")
    m.d.sync += product.eq(exact)
    if learning.stochastic:
        m.d.sync += found.eq(product)
        return found
    size: Value = product
    if update.shift and not window(update):
        whole = Cat(product, Const(0, 1)).as_signed()
        size = rounded(whole, update.shift, ROUNDING[rule.rounding])[: len(product)].as_unsigned()
    term = update.offset + size if update.sign > 0 else update.offset - size
    # Beyond the rails' distance a term changes no more than at it.
    span = learning.w_max - learning.w_min
    if clips(learning, update, trace):
        term = Mux(term > span, Const(span), Mux(term < -span, Const(-span), term))
    m.d.sync += found.eq(term)
    return found


class PostTraces(wiring.Component):
    """y_j, or the calcium, of the post neurons: changed by a commit, and their terms with them.

    Members
    -------
    early : a beat of neurons, two cycles before the commit says what became of it:
    valid, group, turn, beat, spikes, v
    step, fresh, learn : the core's; constant while a commit goes on
    ticked : ``step`` has become another, if the rule counts steps
    terms : what they add from now on, `POST_TERMS` cycles later
    same : no trace of the beat changes without a spike, `POST_SAME` cycles later
    """

    def __init__(self, shape: CoreShape, learning: Learning) -> None:
        self._shape, self._learning = shape, learning
        beats = shape.neurons // shape.units
        members: dict[str, Any] = {
            "early": In(index_bits(beats)),
            "valid": In(1),
            "group": In(index_bits(shape.groups)),
            "turn": In(index_bits(shape.beats)),
            "beat": In(index_bits(beats)),
            "spikes": In(shape.units),
            "v": In(data.ArrayLayout(signed(shape.state_bits), shape.units)),
            "step": In(shape.step_bits),
            "ticked": In(1),
            "fresh": In(1),
            "learn": In(1),
            "terms": Out(TermSignature(shape, learning)),
            "same": Out(1),
        }
        rule = learning.rule
        self.bits = rule.calcium_bits if isinstance(rule, SDSP) else rule.post.bits  # type: ignore[attr-defined]
        self.memory = ram.Memory(shape=shape.units * self.bits, depth=beats, init=[], attrs=_BLOCK)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape, learning = self._shape, self._learning

        m.submodules.memory = self.memory
        read, write = self.memory.read_port(), self.memory.write_port()
        m.d.comb += read.addr.eq(self.early)
        held = Signal(len(read.data))
        m.d.sync += held.eq(read.data)
        with m.If(self.fresh):
            m.d.sync += held.eq(0)
        old = [held[at : at + self.bits] for at in range(0, len(held), self.bits)]
        rule = learning.rule
        if isinstance(rule, SDSP):
            new, same, found = self._calcium(m, rule, old)
        else:
            assert isinstance(rule, TraceSTDP)
            new, same, found = [], [], []
            for n, y in enumerate(old):
                up = Signal(self.bits, name=f"up_{n}")
                m.d.sync += up.eq(Mux(self.spikes[n], risen(rule.post, y), y))
                after = Signal(self.bits, name=f"y_{n}")
                before = delayed(m, y, f"before_{n}", 1)
                m.d.sync += after.eq(Mux(self.learn, decayed(rule.post, up), before))
                new.append(after)
                same.append(after == delayed(m, before, f"older_{n}", 1))
                found.append(response(m, learning, rule.on_pre, rule.post, after, f"post_{n}"))
        valid_2 = delayed(m, self.valid, "valid", 2)
        inside = (self.group >= learning.first_group) & (
            self.group < learning.first_group + learning.groups
        )
        word = self.group - (learning.first_group - term_blocks(shape, learning))
        m.d.comb += [
            write.addr.eq(delayed(m, self.beat, "beat", 2)),
            write.en.eq(valid_2),
            write.data.eq(Cat(new)),
            self.same.eq(Cat(same).all()),
            self.terms.valid.eq(
                delayed(m, delayed(m, inside, "inside", 2) & valid_2, "changed", RESPONSE)
            ),
            self.terms.word.eq(delayed(m, word[: len(self.terms.word)], "word", POST_TERMS)),
            self.terms.chunk.eq(delayed(m, self.turn, "turn", POST_TERMS)),
            self.terms.terms.as_value().eq(Cat(found)),
        ]
        return m

    def _calcium(
        self, m: Module, rule: SDSP, old: list[Value]
    ) -> tuple[list[Value], list[Value], list[Value]]:
        """Calcium after the step, whether it stays without a spike, and the terms it makes."""
        full = (1 << rule.calcium_bits) - 1
        leaks: Value = Const(0, 1)
        started = self.step >= self._learning.start
        if rule.leak_period:
            period = Period(rule.leak_period, self._learning.start, self._shape.step_bits)
            m.submodules.period = period
            m.d.comb += [period.ticked.eq(self.ticked), period.step.eq(self.step)]
            leaks = period.due
        new, same, found = [], [], []
        for n, c in enumerate(old):
            changed = Signal(rule.calcium_bits, name=f"changed_{n}")
            m.d.sync += changed.eq(c)
            with m.If(self.learn & started & (self.spikes[n] != leaks)):
                with m.If(self.spikes[n]):
                    m.d.sync += changed.eq(Mux(c == full, full, c + 1))
                with m.Else():
                    m.d.sync += changed.eq(Mux(c == 0, 0, c - 1))
            after = delayed(m, changed, f"calcium_{n}", 1)
            before = delayed(m, c, f"before_{n}", 2)
            new.append(after)
            # Calcium that leaks in some later step must not be passed over.
            same.append(after == (0 if rule.leak_period else before))
            above = delayed(m, self.v[n] >= rule_threshold(rule), f"above_{n}", 1)
            above = delayed(m, above, f"over_{n}", 1)
            term = Signal(signed(2), name=f"post_{n}_term")
            up = (after >= rule.theta_1) & (after < rule.theta_3)
            down = (after >= rule.theta_1) & (after < rule.theta_2)
            m.d.sync += term.eq(Mux(above, Mux(up, 1, 0), Mux(down, -1, 0)))
            found.append(delayed(m, term, f"late_{n}", RESPONSE - 1))
        return new, same, found


class Period(wiring.Component):
    """Says whether the step is one of every so many, counted from a first one.

    Members
    -------
    ticked : ``step`` has become another
    step : which one
    due : from the next cycle on, until the next tick
    """

    def __init__(self, period: int, start: int, step_bits: int) -> None:
        self._period, self._start = period, start
        super().__init__({"ticked": In(1), "step": In(step_bits), "due": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        phase, before = Signal(range(self._period)), Signal(range(self._period))
        m.d.comb += before.eq(Mux(self.step == self._start, 0, phase))
        with m.If(self.ticked):
            m.d.sync += self.due.eq(0)
            with m.If(self.step >= self._start):
                m.d.sync += phase.eq(before + 1)
                with m.If(before == self._period - 1):
                    m.d.sync += [phase.eq(0), self.due.eq(1)]
        return m


def rule_threshold(rule: SDSP) -> int:
    """The least whole v that is not below theta_mem."""
    return -int(-rule.theta_mem // 1)


class PreTraces(wiring.Component):
    """x_i of the plastic rows, and their terms: risen where a step had an event, then decayed.

    Events are noted while a step runs. A tick lets the traces of those rows rise; later, when the
    columns of the step are done, all decay, U a cycle, while rows are read already.

    Members
    -------
    mark, block, lane : an event of row block * L + lane
    tick, decay, clear : begin one of the passes; only what a tick begins may find another going on
    ready : no pass is going on and all terms are at hand
    terms : what rows add from now on
    """

    def __init__(self, shape: CoreShape, learning: Learning) -> None:
        self._shape, self._learning = shape, learning
        assert isinstance(learning.rule, TraceSTDP)
        blocks = learning.blocks(shape.lanes)
        self._trace = learning.rule.pre
        # Row block * L + chunk * U + k lies in word (block, chunk), part k.
        self.memory = ram.Memory(
            shape=shape.units * self._trace.bits,
            depth=blocks << index_bits(shape.beats),
            init=[],
            attrs=_BLOCK,
        )
        super().__init__(
            {
                "mark": In(1),
                "block": In(index_bits(blocks)),
                "lane": In(index_bits(shape.lanes)),
                "tick": In(1),
                "decay": In(1),
                "clear": In(1),
                "ready": Out(1),
                "terms": Out(TermSignature(shape, learning)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape, learning, trace = self._shape, self._learning, self._trace
        units, unit_bits = shape.units, index_bits(shape.units)
        blocks = learning.blocks(shape.lanes)
        place = data.StructLayout({"chunk": index_bits(shape.beats), "block": index_bits(blocks)})
        entry = data.StructLayout({"place": place, "rows": units})

        # What the events of a step concern; neighbours become one entry.
        m.submodules.queue = queue = ram.Memory(
            shape=entry.size,
            depth=max(learning.rows, 2),
            init=[],
            attrs=_BLOCK,
        )
        push, pull = queue.write_port(), queue.read_port()
        filled, taken = Signal(range(learning.rows + 1)), Signal(range(learning.rows + 1))
        following = Signal.like(taken)
        last = Signal(entry)
        noted = Signal()
        now = Signal(entry)
        m.d.comb += [
            now.place.block.eq(self.block),
            now.place.chunk.eq(self.lane[unit_bits:]),
            now.rows.eq(1 << self.lane[:unit_bits] if unit_bits else 1),
            push.addr.eq(filled),
            push.data.eq(last.as_value()),
        ]
        near = now.place.as_value() == last.place.as_value()
        m.d.comb += push.en.eq(
            noted & ((self.mark & ~near) | self.tick) & (filled != learning.rows)
        )
        with m.If(self.mark):
            m.d.sync += [noted.eq(1), last.eq(now)]
            with m.If(noted & near):
                m.d.sync += last.rows.eq(last.rows | now.rows)
        with m.If(self.tick):
            m.d.sync += noted.eq(0)
        with m.If(push.en):
            m.d.sync += filled.eq(filled + 1)

        # One pass at a time: a clear or decay over all words, or what is in the queue.
        clearing, decaying, rising = Signal(), Signal(), Signal()
        at = Signal(place)
        ends = (at.chunk == shape.beats - 1) & (at.block == blocks - 1)
        # What the queue hands out waits in a register.
        waiting, fetches, have = Signal(), Signal(), Signal()
        pulled = Signal(entry)
        stage = [
            Signal(data.StructLayout({"valid": 1, "place": place}), name=f"stage_{n}")
            for n in range(6)
        ]
        meets = Cat(s.valid & (s.place == pulled.place) for s in stage[1:4]).any()
        rises = Signal()
        m.d.comb += [
            rises.eq(rising & have & ~clearing & ~decaying & ~meets),
            fetches.eq(waiting & (~have | rises)),
            following.eq(taken + fetches),
            pull.addr.eq(following),
            stage[0].valid.eq(clearing | decaying | rises),
            stage[0].place.eq(Mux(clearing | decaying, at, pulled.place)),
        ]
        m.d.sync += [
            taken.eq(following),
            waiting.eq(following != filled),
            have.eq(fetches | (have & ~rises)),
        ]
        with m.If(fetches):
            m.d.sync += pulled.as_value().eq(pull.data)
        for before, after in pairwise(stage):
            m.d.sync += after.eq(before)
        with m.If(clearing | decaying):
            m.d.sync += at.chunk.eq(at.chunk + 1)
            with m.If(at.chunk == shape.beats - 1):
                m.d.sync += [at.chunk.eq(0), at.block.eq(at.block + 1)]
            with m.If(ends):
                m.d.sync += [clearing.eq(0), decaying.eq(0), at.eq(0)]
        with m.If(rising & (taken == filled) & ~waiting & ~have):
            m.d.sync += rising.eq(0)
            m.d.sync += [taken.eq(0), filled.eq(0)]
        with m.If(self.clear):
            m.d.sync += [clearing.eq(1), decaying.eq(0), rising.eq(0), at.eq(0)]
            m.d.sync += [noted.eq(0), filled.eq(0), taken.eq(0), waiting.eq(0), have.eq(0)]
        with m.If(self.decay):
            m.d.sync += decaying.eq(1)
        with m.If(self.tick):
            m.d.sync += rising.eq(1)
        m.d.comb += self.ready.eq(
            ~(clearing | decaying | rising | Cat(s.valid for s in stage[1:]).any())
        )

        # The traces.
        m.submodules.memory = self.memory
        read, write = self.memory.read_port(), self.memory.write_port()
        m.d.comb += [
            read.addr.eq(stage[0].place.as_value()),
            write.addr.eq(stage[3].place.as_value()),
            write.en.eq(stage[3].valid),
        ]
        held = Signal(len(read.data))
        clears, decays, rows = Signal(2), Signal(2), Signal(2 * units)
        m.d.sync += [
            held.eq(read.data),
            clears.eq(Cat(clearing, clears)),
            decays.eq(Cat(decaying, decays)),
            rows.eq(Cat(pulled.rows, rows)),
        ]
        found, new = [], []
        rule = learning.rule
        assert isinstance(rule, TraceSTDP)
        for n in range(units):
            x = held[n * trace.bits : (n + 1) * trace.bits]
            after = Signal(trace.bits, name=f"x_{n}")
            m.d.sync += after.eq(
                Mux(decays[1], decayed(trace, x), Mux(rows[units + n], risen(trace, x), x))
            )
            with m.If(clears[1]):
                m.d.sync += after.eq(0)
            new.append(after)
            found.append(response(m, learning, rule.on_post, trace, after, f"pre_{n}"))
        m.d.comb += [
            write.data.eq(Cat(new)),
            self.terms.valid.eq(stage[5].valid),
            self.terms.word.eq(stage[5].place.block),
            self.terms.chunk.eq(stage[5].place.chunk),
            self.terms.terms.as_value().eq(Cat(found)),
        ]
        return m


class Columns(wiring.Component):
    """Post spikes into the words of their columns, one a cycle.

    Members
    -------
    neurons : that spiked
    column : what to change
    idle : nothing is under way
    """

    def __init__(self, shape: CoreShape, learning: Learning) -> None:
        self._shape, self._learning = shape, learning
        neuron = data.StructLayout(
            {"lane": index_bits(shape.lanes), "group": index_bits(shape.groups)}
        )
        super().__init__(
            {
                "neurons": In(stream.Signature(neuron)),
                "column": Out(ColumnSignature(shape, learning)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        learning = self._learning
        blocks, first = learning.blocks(self._shape.lanes), learning.first_group
        neuron = self.neurons.payload
        active = Signal()
        ends = self.column.block == blocks - 1
        m.d.comb += [
            self.neurons.ready.eq(~active | ends),
            self.column.valid.eq(active),
            self.idle.eq(~active),
        ]
        lanes = self._shape.lanes
        numbers = Array(plane(n, lanes) if n < lanes else 0 for n in range(1 << index_bits(lanes)))
        address, block = Signal.like(self.column.address), Signal.like(self.column.block)
        lane = Signal.like(self.column.lane)
        m.d.comb += [
            self.column.address.eq(address),
            self.column.block.eq(block),
            self.column.lane.eq(lane),
        ]
        with m.If(active):
            m.d.sync += [address.eq(address + learning.groups), block.eq(block + 1)]
            with m.If(ends):
                m.d.sync += active.eq(0)
        with m.If(self.neurons.valid & self.neurons.ready):
            m.d.sync += [
                active.eq((neuron.group >= first) & (neuron.group < first + learning.groups)),
                address.eq(neuron.group - first),
                block.eq(0),
                lane.eq(numbers[neuron.lane]),
            ]
        return m
