"""Which groups a step must commit: those that were added to, and those that do not rest."""

from __future__ import annotations

from typing import Final

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import memory as ram
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .cycles import scan_width, scan_words
from .layouts import touched_layout
from .scan import lowest, without_lowest
from .shape import CoreShape, index_bits


class _Flags:
    """One bit for each group (of each page), looked up a word at a time and changed one by one.

    Few of them are registers, many are memory that is read in the cycle it is asked; synthesis
    makes registers of it for devices that have no such memory, whose accumulators are in blocks.
    """

    def __init__(self, m: Module, name: str, shape: CoreShape, width: int, depth: int) -> None:
        self._name, self._width, self._depth = name, width, depth
        self._few = depth <= _REGISTERS
        if self._few:
            self._flags = Signal(width * depth, name=f"{name}_flags")
            return
        attrs: dict[str, int | str] = {"no_rw_check": 1}
        if shape.storage != "block":
            attrs["ram_style"] = "distributed"
        memory = ram.Memory(shape=width, depth=depth, init=[], attrs=attrs)
        m.submodules[name] = memory
        self._write = memory.write_port()
        self._old = memory.read_port(domain="comb")
        self._read = memory.read_port(domain="comb")

    def look(self, m: Module, word: Value) -> Value:
        """The word of this number."""
        if self._few:
            return self._flags.word_select(word, self._width)
        m.d.comb += self._read.addr.eq(word)
        return self._read.data

    def change(self, m: Module, enable: Value, index: Value, value: Value) -> None:
        """Set the flag of this index (word * width + bit) to ``value`` when ``enable``."""
        if self._few:
            with m.If(enable):
                m.d.sync += self._flags.bit_select(index, 1).eq(value)
            return
        bits = index_bits(self._width)
        place, bit = index[bits:], index[:bits]
        one = Signal(self._width, name=f"{self._name}_one")
        m.d.comb += [
            one.eq(1 << bit),
            self._old.addr.eq(place),
            self._write.addr.eq(place),
            self._write.en.eq(enable),
            self._write.data.eq(Mux(value, self._old.data | one, self._old.data & ~one)),
        ]


# Words of flags that may be registers.
_REGISTERS: Final = 2


class Sweep(wiring.Component):
    """Groups to commit in order, one every `CoreShape.beats` cycles.

    A word of 32 groups without one to commit takes a cycle.

    Members
    -------
    start : begin in the next cycle; only while not busy
    page : whose groups; constant while busy
    busy : not all groups have been given out
    groups : to commit
    touched : what was added to or emptied (`Accumulate.touched`)
    settled, group, rests : a group has been committed, and whether it rests
    clear : forget all events; whoever clears tells by ``settled`` which groups rest
    """

    def __init__(self, shape: CoreShape) -> None:
        self._shape = shape
        super().__init__(
            {
                "start": In(1),
                "page": In(shape.page_bits),
                "busy": Out(1),
                "groups": Out(stream.Signature(index_bits(shape.groups), always_ready=True)),
                "touched": In(touched_layout(shape)),
                "settled": In(1),
                "group": In(index_bits(shape.groups)),
                "rests": In(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape = self._shape
        width, words = scan_width(shape), scan_words(shape)
        word_bits = index_bits(words)

        restless = _Flags(m, "restless", shape, width, words)
        at = Signal(range(words + 1), init=words)
        restless.change(m, self.settled, self.group, ~self.rests)
        pending = Signal(width)
        word = Signal(word_bits)
        rest = without_lowest(pending)
        pause = Signal(range(max(shape.beats, 1)))
        take = Signal()
        m.d.comb += [
            take.eq(pending.any() & (pause == 0)),
            self.groups.valid.eq(take),
            self.groups.payload.eq(Cat(lowest(pending), word)),
            self.busy.eq((at != words) | pending.any()),
        ]
        with m.If(pause != 0):
            m.d.sync += pause.eq(pause - 1)
        with m.If(take):
            m.d.sync += [pending.eq(rest), pause.eq(shape.beats - 1)]
        look = Signal()
        m.d.comb += look.eq((~pending.any() | (take & ~rest.any())) & (at != words))
        touched = self._touched(m, at[:word_bits], look & (at == words - 1))
        with m.If(look):
            m.d.sync += [
                pending.eq(restless.look(m, at[:word_bits]) | touched),
                word.eq(at),
                at.eq(at + 1),
            ]
        with m.If(self.start):
            m.d.sync += at.eq(0)
        return m

    def _touched(self, m: Module, word: Value, last: Value) -> Value:
        """Which groups of a word have been added to; ``last`` with the last word of a step."""
        shape = self._shape
        width, words = scan_width(shape), scan_words(shape)
        word_bits = index_bits(words)
        added = self.touched.valid & ~self.touched.take
        if shape.addressing != "lane":
            touched = _Flags(m, "touched", shape, width, shape.pages << word_bits)
            place = Cat(self.touched.group, self.touched.page)
            touched.change(m, self.touched.valid, place, added)
            return touched.look(m, Cat(word, self.page))
        # The weights of a word go to groups and pages of their own: one event touches all.
        events = Signal(shape.pages)
        with m.If(added):
            if shape.delays == 1:
                m.d.sync += events.bit_select(self.touched.page, 1).eq(1)
            else:
                m.d.sync += events.eq(~0)
        with m.If(last):
            m.d.sync += events.bit_select(self.page, 1).eq(0)
        with m.If(self.clear):
            m.d.sync += events.eq(0)
        left = shape.groups - (words - 1) * width
        there = Mux(word == words - 1, (1 << left) - 1, (1 << width) - 1)
        return events.bit_select(self.page, 1).replicate(width) & there
