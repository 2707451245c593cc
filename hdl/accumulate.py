"""Synaptic events: from a source to its row of weight words, added into the accumulators.

========  =====================================================================
cycle     one word of one source
========  =====================================================================
0         source accepted, row address out
1         row (start, count) in; taken when the issuer is free or on its last word
2         weight address out; one word a cycle, rows back to back
3         weight word in, accumulator address out
4         accumulator in, L additions, written back
========  =====================================================================
"""

# Amaranth ships no types.
# mypy: disable-error-code="import-untyped", allow-subclassing-any

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .layouts import read_signature, write_signature
from .shape import CoreShape, Memory, index_bits


class Accumulate(wiring.Component):
    """acc[(page + delay) mod P][target] += weights, for each word of each source's row.

    A source takes max(1, count) cycles of the issuer, and the next row is fetched meanwhile, so
    that sources that are always at hand follow each other without a gap.

    Members
    -------
    sources : rows to add, in order
    page : page of delay 0; constant while not idle
    rows, words : read ports of the row and weight memories
    accumulator, total : read and write port of the accumulators
    occupied : the issuer has a row; max(1, count) cycles for each source
    idle : nothing is under way
    """

    def __init__(self, shape: CoreShape) -> None:
        self._shape = shape
        super().__init__(
            {
                "sources": In(stream.Signature(index_bits(shape.sources))),
                "page": In(shape.delay_bits),
                "rows": In(read_signature(shape, Memory.ROWS)),
                "words": In(read_signature(shape, Memory.WEIGHTS)),
                "accumulator": In(read_signature(shape, Memory.ACCUMULATORS)),
                "total": In(write_signature(shape, Memory.ACCUMULATORS)),
                "occupied": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape = self._shape

        # Cycle 0 and 1: one row may wait at the output of the row memory.
        row_waits = Signal()
        take_row = Signal()
        m.d.comb += [
            self.sources.ready.eq(~row_waits | take_row),
            self.rows.addr.eq(self.sources.payload),
            self.rows.en.eq(self.sources.valid & self.sources.ready),
        ]
        with m.If(self.sources.ready):
            m.d.sync += row_waits.eq(self.sources.valid)

        # Cycle 2: the issuer walks through the row. An empty row is a bubble of one cycle, so
        # that what a source costs depends on nothing but its own row.
        row = self.rows.data
        address = Signal(index_bits(shape.words))
        remaining = Signal(shape.words.bit_length())
        issue = Signal()
        m.d.comb += [
            take_row.eq(row_waits & (~self.occupied | (remaining <= 1))),
            issue.eq(self.occupied & (remaining != 0)),
            self.words.addr.eq(address),
            self.words.en.eq(issue),
        ]
        with m.If(take_row):
            m.d.sync += [
                self.occupied.eq(1),
                address.eq(row.start),
                remaining.eq(row.count),
            ]
        with m.Elif(remaining <= 1):
            m.d.sync += self.occupied.eq(0)
        with m.Else():
            m.d.sync += [address.eq(address + 1), remaining.eq(remaining - 1)]

        # Cycle 3.
        occupied_3, word_valid = Signal(), Signal()
        m.d.sync += [occupied_3.eq(self.occupied), word_valid.eq(issue)]
        word = self.words.data
        target_address = Signal(len(self.accumulator.addr))
        target_page = Signal(shape.delay_bits)
        m.d.comb += [
            target_page.eq(self.page + word.delay),
            target_address.eq(Cat(target_page, word.target)),
            self.accumulator.addr.eq(target_address),
            self.accumulator.en.eq(word_valid),
        ]

        # Cycle 4. A read in cycle 3 misses the sum written in the same cycle by the word ahead,
        # so that one is kept and used instead if it went to the same place.
        occupied_4, sum_valid, same_place = Signal(), Signal(), Signal()
        weights = Signal.like(word.weights)
        sum_address = Signal.like(target_address)
        last_sum = Signal.like(self.total.data)
        m.d.sync += [
            occupied_4.eq(occupied_3),
            sum_valid.eq(word_valid),
            same_place.eq(sum_valid & (target_address == sum_address)),
            weights.eq(word.weights),
            sum_address.eq(target_address),
        ]
        m.d.comb += [
            self.total.en.eq(sum_valid),
            self.total.addr.eq(sum_address),
        ]
        for lane in range(shape.lanes):
            before = Mux(same_place, last_sum.acc[lane], self.accumulator.data.acc[lane])
            m.d.comb += self.total.data.acc[lane].eq(before + weights[lane])
        m.d.sync += last_sum.eq(self.total.data)

        m.d.comb += self.idle.eq(~(row_waits | self.occupied | occupied_3 | occupied_4))
        return m
