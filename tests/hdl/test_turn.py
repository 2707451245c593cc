"""Words turned by choices and by products: the same, for every width and every number of places."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import Component, In, Out
from amaranth.sim import SimulatorContext

from spikec.hdl.learning import Rotator, plane
from spikec.hdl.shape import index_bits
from spikec.hdl.turn import Turn, halves, swaps

from .bench import simulate

BITS = 3


class Turned(Component):
    """A word of lanes turned, with its halves swapped before if so wanted."""

    def __init__(self, lanes: int, rotator: Rotator, up: bool, swapped: bool) -> None:
        self._arguments = lanes, rotator, up, swapped
        super().__init__(
            {
                "number": In(index_bits(lanes)),
                "word": In(lanes * BITS),
                "swap": Out(1),
                "turned": Out(lanes * BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, rotator, up, swapped = self._arguments
        turn = Turn(m, self.number, lanes, rotator, "turn", up=up, swapped=swapped)
        word = Signal.like(self.word)
        m.d.sync += word.eq(self.word)
        parts = [word[at : at + BITS] for at in range(0, len(word), BITS)]
        m.d.comb += self.turned.eq(Cat(turn.of(m, parts, "word")))
        if swapped:
            m.d.comb += self.swap.eq(swaps(self.number, lanes))
        return m


CASES: list[tuple[int, Rotator, bool, bool]] = [
    *((lanes, "logic", up, False) for lanes in (1, 2, 3, 4, 6, 7, 12, 20) for up in (True, False)),
    *(
        (lanes, "multiplier", up, False)
        for lanes in (1, 2, 5, 12, 18, 20, 22, 36)
        for up in (True, False)
    ),
    # Only terms, which go up, are swapped before.
    *((lanes, "multiplier", True, True) for lanes in (20, 24)),
]


@pytest.mark.parametrize(("lanes", "rotator", "up", "swapped"), CASES)
def test_every_number_of_places(lanes: int, rotator: Rotator, up: bool, swapped: bool) -> None:
    rng = np.random.default_rng(lanes)
    dut = Turned(lanes, rotator, up, swapped)
    assert halves(lanes) == (1 if lanes <= 18 else 2)

    async def drive(ctx: SimulatorContext) -> None:
        for places in range(lanes):
            word = rng.integers(0, 1 << BITS, lanes)
            ctx.set(dut.number, plane(places, lanes))
            given = np.roll(word, lanes // 2) if swapped and ctx.get(dut.swap) else word
            ctx.set(dut.word, sum(int(v) << BITS * n for n, v in enumerate(given)))
            await ctx.tick().repeat(2)
            found = ctx.get(dut.turned)
            wanted = np.roll(word, places if up else -places)
            got = [found >> BITS * n & ((1 << BITS) - 1) for n in range(lanes)]
            assert got == wanted.tolist(), places

    simulate(dut, drive)
