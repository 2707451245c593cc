"""Synaptic events: from a source to its runs of weight words, added into the accumulators.

=====  ========================================================================
cycle  one word of one source
=====  ========================================================================
0      source accepted, row address out
1      row in; taken when the walker behind it is free or on its last step
[2]    with segments: segment address out, one a cycle, and the segment in
2      weight address out; one word a cycle, runs back to back
3      weight word in
4      weight word in a register, accumulator address out
4..6   L additions, written back (see `Accumulators`)
=====  ========================================================================

A group that the sweep asks for takes the place of a word: it is read, handed over and emptied on
the same way, so that it never meets a word before or behind its turn.
"""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib import memory as ram
from amaranth.lib.wiring import In, Out

from .cycles import LATENCY, issue_cycles, take_cycles
from .layouts import mark_layout, read_signature, swept_layout, touched_layout
from .pipeline import delayed
from .plastic import RowSignature
from .shape import CoreShape, Memory, index_bits


class Accumulators(wiring.Component):
    """acc[address] += weights, or acc[address] handed over and set to 0; one a cycle.

    ===========  ============================================================================
    storage      from the address to the sum's being there for the next
    ===========  ============================================================================
    registers    one word, always at hand
    distributed  memory read, added to and written in one cycle, or in the next if words for the
                 same place are two cycles apart
    block        read; added to and written in the next cycle. The sum of the word ahead is
                 used instead of what was read, if it went to the same place
    pipelined    read; into a register; added to; written. The sums of the last three words
                 are used instead of what was read
    ===========  ============================================================================

    Parameters
    ----------
    shape : core
    lanes : how many lanes lie side by side in a word

    Members
    -------
    valid, page, group, take : a word to add to (or with ``take`` to hand over)
    weights : with it
    taken, content : the word handed over, `latency` cycles later
    """

    def __init__(self, shape: CoreShape, lanes: int) -> None:
        self._shape = shape
        self._lanes = lanes
        super().__init__(
            {
                "valid": In(1),
                "take": In(1),
                "page": In(shape.page_bits),
                "group": In(index_bits(shape.groups)),
                "weights": In(data.ArrayLayout(signed(shape.weight_bits), lanes)),
                "taken": Out(1),
                "content": Out(data.ArrayLayout(signed(shape.acc_bits), lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape = self._shape
        word = self.content.shape()
        address = Cat(self.page, self.group)

        def summed(before: Value, weights: Value) -> Value:
            """Sums lane by lane, as one word."""
            pairs = zip(
                data.View(word, Value.cast(before)),
                data.View(self.weights.shape(), Value.cast(weights)),
                strict=True,
            )
            return Cat((a + w)[: shape.acc_bits] for a, w in pairs)

        if shape.storage == "registers":
            held = Signal(word)
            with m.If(self.valid):
                m.d.sync += held.as_value().eq(summed(held, self.weights))
            # Not inside the other: a reset that wins over the enable is what flip-flops have.
            with m.If(self.take):
                m.d.sync += held.as_value().eq(0)
            m.d.comb += [self.taken.eq(self.valid & self.take), self.content.eq(held)]
            return m

        distributed = shape.storage == "distributed"
        depth = shape.groups * shape.pages
        m.submodules.memory = memory = ram.Memory(
            shape=word,
            depth=depth,
            init=[],
            attrs={
                "ram_style": "distributed" if distributed else "block",
                "no_rw_check": 1,
            },
        )
        write = memory.write_port()
        read = memory.read_port(domain="comb" if distributed else "sync")
        m.d.comb += read.addr.eq(address)

        if distributed:
            # Emptying by the reset of a register is free, by a choice behind the adder is not.
            if shape.distance == 1:
                stored = Mux(self.take, 0, summed(read.data, self.weights))
                m.d.comb += [
                    write.addr.eq(address),
                    write.en.eq(self.valid),
                    write.data.as_value().eq(stored),
                ]
            else:
                total = Signal(word)
                m.d.sync += [
                    write.addr.eq(address),
                    write.en.eq(self.valid),
                    total.as_value().eq(summed(read.data, self.weights)),
                ]
                with m.If(self.take):
                    m.d.sync += total.as_value().eq(0)
                m.d.comb += write.data.eq(total)
            m.d.comb += [self.taken.eq(self.valid & self.take), self.content.eq(read.data)]
            return m

        # What is on its way, newest first: cycle by cycle behind the address.
        stages = 1 if shape.storage == "block" else 3
        m.d.comb += read.en.eq(self.valid)
        line = data.StructLayout({"valid": 1, "take": 1, "address": len(address)})
        now = Signal(line)
        m.d.comb += [now.valid.eq(self.valid), now.take.eq(self.take), now.address.eq(address)]
        behind = [now]
        for age in range(1, stages + 1):
            behind.append(Signal(line, name=f"behind_{age}"))
            m.d.sync += behind[age].eq(behind[age - 1])
        same: dict[int, Value] = {}
        for age in range(1, stages + 1):
            # Is the word `age` ahead in the same place?
            same[age] = Signal(name=f"same_{age}")
            if age >= shape.distance:
                there = behind[age].valid & (behind[age].address == address)
                m.d.sync += same[age].eq(there)

        total = Signal(word)
        weights_1 = Signal.like(self.weights)
        m.d.sync += weights_1.eq(self.weights)
        fetched: Value = Value.cast(read.data)
        if stages == 1:
            last = Signal(word)
            before = Mux(same[1], last.as_value(), fetched) if shape.distance <= 1 else fetched
            m.d.comb += [
                total.as_value().eq(Mux(behind[1].take, 0, summed(before, weights_1))),
                write.data.eq(total),
                write.en.eq(behind[1].valid),
                write.addr.eq(behind[1].address),
                self.taken.eq(behind[1].valid & behind[1].take),
                self.content.as_value().eq(before),
            ]
            m.d.sync += last.eq(total)
            return m

        # The sum of one word ahead is in `total` when this one is added, those of two and three
        # ahead are in `total` and `written` when this one comes out of the memory.
        written = Signal(word)
        register = Signal(len(fetched))
        weights_2 = Signal.like(self.weights)
        same_1 = Signal()
        m.d.sync += [
            written.eq(total),
            weights_2.eq(weights_1),
            same_1.eq(same[1]),
            register.eq(fetched),
        ]
        if shape.distance <= 3:
            with m.If(same[3]):
                m.d.sync += register.eq(written)
        if shape.distance <= 2:
            with m.If(same[2]):
                m.d.sync += register.eq(total)
        before = Mux(same_1, total.as_value(), register) if shape.distance <= 1 else register
        m.d.sync += total.as_value().eq(summed(before, weights_2))
        with m.If(behind[2].take):
            m.d.sync += total.as_value().eq(0)
        m.d.comb += [
            write.data.eq(total),
            write.en.eq(behind[3].valid),
            write.addr.eq(behind[3].address),
            self.taken.eq(behind[2].valid & behind[2].take),
            self.content.as_value().eq(before),
        ]
        return m


class _Run(NamedTuple):
    """What a walker walks through: count places from start on; ``tag`` goes with each."""

    start: Value
    count: Value
    tag: Value


class _Walker:
    """Registers that step through a run, one place whenever ``advance`` is high.

    An empty run takes one step that issues nothing, so that what a run costs depends on nothing
    but its own length.
    """

    def __init__(self, m: Module, name: str, waiting: Value, run: _Run, advance: Value) -> None:
        self.occupied = Signal(name=f"{name}_occupied")
        self.address = Signal(len(run.start), name=f"{name}_address")
        self.offset = Signal(len(run.count), name=f"{name}_offset")
        self.tag = Signal(len(run.tag), name=f"{name}_tag")
        remaining = Signal(len(run.count), name=f"{name}_remaining")
        self.take = Signal(name=f"{name}_take")
        self.issue = Signal(name=f"{name}_issue")
        m.d.comb += [
            self.take.eq(waiting & (~self.occupied | (advance & (remaining <= 1)))),
            self.issue.eq(self.occupied & (remaining != 0)),
        ]
        with m.If(self.take):
            m.d.sync += [
                self.occupied.eq(1),
                self.address.eq(run.start),
                remaining.eq(run.count),
                self.tag.eq(run.tag),
                self.offset.eq(0),
            ]
        with m.Elif(advance):
            with m.If(remaining <= 1):
                m.d.sync += self.occupied.eq(0)
            with m.Else():
                m.d.sync += [
                    self.address.eq(self.address + 1),
                    self.offset.eq(self.offset + 1),
                    remaining.eq(remaining - 1),
                ]


class Accumulate(wiring.Component):
    """acc[(page + delay) mod P][target] += weights, for each word of each source's runs.

    Members
    -------
    sources : rows to add, in order
    page : page of delay 0 for the sources
    sweep, sweep_page : groups to hand over and to empty, before any other work
    swept : what they held, later
    rows, segments, words : read ports of the memories
    row, lanes : in place of ``words``, of `PlasticWeights`
    marked : the row that is about to be read, where rows learn
    touched : a word (group, page) was added to, or with ``take`` emptied
    occupied : the issuer of words has a run; max(1, count) cycles for each
    busy : a source has not been issued to its last word
    handing : a group is on its way to ``swept``, from the cycle after it was asked for
    idle : nothing is under way
    damaged : a word with an odd number of ones was read; only with `CoreShape.parity`
    """

    def __init__(self, shape: CoreShape) -> None:
        self._shape = shape
        members = {
            "sources": In(stream.Signature(index_bits(shape.sources))),
            "page": In(shape.page_bits),
            "sweep": In(stream.Signature(index_bits(shape.groups), always_ready=True)),
            "sweep_page": In(shape.page_bits),
            "swept": Out(stream.Signature(swept_layout(shape), always_ready=True)),
            "rows": In(read_signature(shape, Memory.ROWS)),
            "touched": Out(touched_layout(shape)),
            "occupied": Out(1),
            "busy": Out(1),
            "handing": Out(1),
            "idle": Out(1),
        }
        if shape.segments:
            members["segments"] = In(read_signature(shape, Memory.SEGMENTS))
        if shape.learning is None:
            members["words"] = In(read_signature(shape, Memory.WEIGHTS))
        else:
            weights = data.ArrayLayout(signed(shape.weight_bits), shape.lanes)
            members["row"] = Out(RowSignature(shape))
            members["lanes"] = In(weights)
            members["marked"] = Out(mark_layout(shape))
        if shape.parity:
            members["damaged"] = Out(1)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape = self._shape
        group_bits = index_bits(shape.groups)

        # Cycles 0 and 1: one row may wait at the output of the row memory.
        row_waits, take_row = Signal(), Signal()
        m.d.comb += [
            self.sources.ready.eq(~row_waits | take_row),
            self.rows.addr.eq(self.sources.payload),
            self.rows.en.eq(self.sources.valid & self.sources.ready),
        ]
        with m.If(self.sources.ready):
            m.d.sync += row_waits.eq(self.sources.valid)
        row = self.rows.data
        run_waits: Value = row_waits
        walking: Value = row_waits
        if shape.addressing != "row":
            run = _Run(row.start, row.count, Cat())
        elif not shape.segments:
            tag = Cat(row.target, row.delay)
            if shape.learning is not None:
                tag = Cat(tag, row.plastic)
            run = _Run(row.start, row.count, tag)
        else:
            segment_waits, take_segment, fetch = Signal(), Signal(), Signal()
            m.d.comb += fetch.eq(~segment_waits | take_segment)
            rows = _Walker(m, "row", row_waits, _Run(row.start, row.count, row.target), fetch)
            m.d.comb += [
                take_row.eq(rows.take),
                self.segments.addr.eq(rows.address),
                self.segments.en.eq(rows.issue & fetch),
            ]
            base = Signal(group_bits)
            with m.If(fetch):
                m.d.sync += [segment_waits.eq(rows.issue), base.eq(rows.tag)]
            segment = self.segments.data
            run = _Run(
                segment.start,
                segment.count,
                Cat((segment.target + base)[:group_bits], segment.delay),
            )
            run_waits, walking = segment_waits, row_waits | rows.occupied | segment_waits

        # Cycle 2: one word a cycle, or a group for the sweep.
        words = _Walker(m, "word", run_waits, run, ~self.sweep.valid)
        m.d.comb += (take_segment if shape.segments else take_row).eq(words.take)
        issue = Signal()
        m.d.comb += [
            self.occupied.eq(words.occupied),
            issue.eq(words.issue & ~self.sweep.valid),
        ]

        # Cycle 4. The page of a word is that of the cycle in which it is issued: a tick comes
        # only when the issuer has nothing left.
        cycles, sooner = issue_cycles(shape), take_cycles(shape)
        valid = delayed(m, issue, "issued", cycles)
        take = delayed(m, self.sweep.valid, "take", sooner)
        page = delayed(m, self.page, "page", cycles)
        sweep_page = delayed(m, self.sweep_page, "sweep_page", sooner)
        sweep_group = delayed(m, self.sweep.payload, "sweep_group", sooner)
        if shape.addressing == "row":
            target, delay = words.tag[:group_bits], words.tag[group_bits:][: shape.delay_bits]
            here, soon = (target + words.offset)[:group_bits], delay
        if shape.learning is None:
            m.d.comb += [self.words.addr.eq(words.address), self.words.en.eq(issue)]
            word = delayed(m, self.words.data, "word", 1)
            weights_in = word.weights.as_value()
            if shape.parity:
                m.d.sync += self.damaged.eq(valid & word.as_value().xor())
        else:
            weights_in = self.lanes.as_value()
            m.d.comb += [
                self.row.valid.eq(issue),
                self.row.address.eq(words.address),
                self.row.group.eq(here),
                self.row.plastic.eq(words.tag[-1]),
                self.marked.valid.eq(take_row & row.plastic),
            ]
            if shape.learning.columns:
                m.d.comb += [self.marked.block.eq(row.block), self.marked.lane.eq(row.lane)]
        if shape.addressing == "row":
            target, delay = delayed(m, here, "target", cycles), delayed(m, soon, "delay", cycles)
            places = [(target, delay, shape.lanes)]
        elif shape.addressing == "word":
            places = [(word.target, word.delay, shape.lanes)]
        else:
            places = [(word.target[n], word.delay[n], 1) for n in range(shape.lanes)]

        contents, lane = [], 0
        for number, (target, delay, lanes) in enumerate(places):
            bank = Accumulators(shape, lanes)
            m.submodules[f"bank_{number}"] = bank
            arrival = (page + delay)[: shape.page_bits]
            weights = weights_in[lane * shape.weight_bits : (lane + lanes) * shape.weight_bits]
            m.d.comb += [
                bank.valid.eq(valid | take),
                bank.take.eq(take),
                bank.page.eq(Mux(take, sweep_page, arrival)),
                bank.group.eq(Mux(take, sweep_group, target)),
                bank.weights.as_value().eq(weights),
            ]
            contents.append(bank.content.as_value())
            lane += lanes
            if number == 0:
                taken = bank.taken
                m.d.comb += [
                    self.touched.valid.eq(bank.valid),
                    self.touched.take.eq(take),
                    self.touched.page.eq(bank.page),
                    self.touched.group.eq(bank.group),
                ]
        if shape.learning is not None:
            # Words and groups of a sweep never meet, and a tick need not wait for the former.
            m.d.comb += [
                self.touched.valid.eq(issue | take),
                self.touched.page.eq(Mux(take, sweep_page, self.page + soon)),
                self.touched.group.eq(Mux(take, sweep_group, here)),
            ]
        behind = LATENCY[shape.storage]
        m.d.comb += [
            self.swept.valid.eq(taken),
            self.swept.payload.group.eq(delayed(m, sweep_group, "swept_group", behind)),
            self.swept.payload.lanes.as_value().eq(Cat(*contents)),
            self.busy.eq(walking | words.occupied),
            self.handing.eq(Cat(_line(m, self.sweep.valid, sooner + behind)).any()),
            self.idle.eq(~(self.busy | self.handing | Cat(_line(m, issue, cycles + behind)).any())),
        ]
        return m


def _line(m: Module, value: Value, cycles: int) -> list[Signal]:
    """The value in each of the last cycles."""
    line: list[Signal] = []
    for number in range(cycles):
        register = Signal(name=f"under_way_{number}")
        m.d.sync += register.eq(line[-1] if line else value)
        line.append(register)
    return line
