"""Set bits of a mask, lowest first, one a cycle: spikes leave words of units this way."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .shape import index_bits


def lowest(mask: Value) -> Value:
    """Index of the lowest set bit, anything if there is none: a tree of two-way choices."""
    if len(mask) <= 1:
        return Const(0, 0)
    half = 1 << (index_bits(len(mask)) - 1)
    low, high = mask[:half], mask[half:]
    below, above = lowest(low), lowest(high)
    above = Cat(above, Const(0, len(below) - len(above)))
    empty = ~low.any()
    return Cat(Mux(empty, above, below), empty)


def without_lowest(mask: Value) -> Value:
    """The mask with its lowest set bit cleared: m & (m - 1)."""
    return mask & (mask - 1)[: len(mask)]


class MaskScanner(wiring.Component):
    """Words of W bits into numbers word * W + bit, one for each set bit.

    A word with n set bits takes max(1, n) cycles; words that are always at hand follow each other
    without a gap.

    Parameters
    ----------
    words : how many words there are
    width : W, a power of two

    Members
    -------
    masks : (word, bits)
    numbers : of the set bits, ascending in each word
    idle : nothing is under way
    """

    def __init__(self, words: int, width: int) -> None:
        self._width = width
        layout = data.StructLayout({"word": index_bits(words), "bits": width})
        super().__init__(
            {
                "masks": In(stream.Signature(layout)),
                "numbers": Out(stream.Signature(index_bits(words * width))),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        bits = Signal(self._width)
        word = Signal.like(self.masks.payload.word)
        rest = without_lowest(bits)
        m.d.comb += [
            self.numbers.valid.eq(bits.any()),
            self.numbers.payload.eq(Cat(lowest(bits), word)),
            self.masks.ready.eq(~self.numbers.valid | (self.numbers.ready & ~rest.any())),
            self.idle.eq(~self.numbers.valid),
        ]
        with m.If(self.numbers.valid & self.numbers.ready):
            m.d.sync += bits.eq(rest)
        with m.If(self.masks.valid & self.masks.ready):
            m.d.sync += [bits.eq(self.masks.payload.bits), word.eq(self.masks.payload.word)]
        return m
