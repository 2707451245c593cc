"""The accumulators by themselves: no sum lost, none invented, at every distance allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import SimulatorContext

from spikec.hdl.accumulate import Accumulate, Accumulators
from spikec.hdl.cycles import ISSUE, LATENCY
from spikec.hdl.shape import STORAGES, CoreShape, Storage

from .bench import simulate
from .reference import fit


def shape_of(storage: Storage, distance: int, **other: Any) -> CoreShape:
    few = storage == "registers"
    return CoreShape(
        lanes=3,
        weight_bits=5,
        acc_bits=7,
        state_bits=8,
        neurons=3 if few else 3 * 5,
        inputs=4,
        words=16,
        delays=1,
        pages=1 if few else 2,
        storage=storage,
        distance=distance,
        **other,
    )


@pytest.mark.parametrize("distance", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("storage", STORAGES)
def test_words_and_takes_against_a_plain_sum(storage: Storage, distance: int) -> None:
    """One word or take a cycle or none, never nearer to its like than ``distance``.

    Few places, so that every pattern of neighbours comes: the same place one, two, three cycles
    ago, behind a take, before one, with gaps.
    """
    shape = shape_of(storage, distance)
    dut = Accumulators(shape, shape.lanes)
    rng = np.random.default_rng(distance)
    places = [(page, group) for page in range(shape.pages) for group in range(shape.groups)]
    sums = {place: [0] * shape.lanes for place in places}
    last = dict.fromkeys(places, -100)
    cycles = 600
    expected: list[list[int] | None] = [None] * (cycles + 8)
    found: list[list[int] | None] = []

    async def drive(ctx: SimulatorContext) -> None:
        for now in range(cycles + 8):
            # Half of the time as near as allowed: the oldest places, or the one just used.
            free = [place for place in places if now - last[place] >= distance]
            near = sorted(free, key=lambda place: -last[place])[:2]
            valid = bool(free) and now < cycles and rng.random() < 0.85
            ctx.set(dut.valid, valid)
            ctx.set(dut.take, 0)
            if valid:
                page, group = near[rng.integers(len(near))] if rng.random() < 0.7 else free[0]
                take = rng.random() < 0.25
                weights = rng.choice([-16, 15, -1, 1, int(rng.integers(-16, 16))], shape.lanes)
                ctx.set(dut.page, page)
                ctx.set(dut.group, group)
                ctx.set(dut.take, take)
                ctx.set(dut.weights, [int(weight) for weight in weights])
                last[page, group] = now
                held = sums[page, group]
                if take:
                    expected[now + LATENCY[storage]] = held
                    sums[page, group] = [0] * shape.lanes
                else:
                    sums[page, group] = [
                        fit(a + int(w), shape.acc_bits, "wrap")
                        for a, w in zip(held, weights, strict=True)
                    ]
            else:
                # What is not valid may be anything.
                ctx.set(dut.page, int(rng.integers(shape.pages)))
                ctx.set(dut.group, int(rng.integers(shape.groups)))
                ctx.set(
                    dut.take, int(rng.integers(2)) if storage not in ("block", "registers") else 0
                )
            found.append(list(ctx.get(dut.content)) if ctx.get(dut.taken) else None)
            await ctx.tick()

    simulate(dut, drive)
    assert found == expected
    assert sum(words is not None for words in found) > 20


def test_the_cycles_of_an_event() -> None:
    """A source goes through as the module says: its word reaches the accumulators in cycle 4.

    The sweep takes the place of a word, which then waits for its turn.
    """
    shape = shape_of("block", 1, addressing="word", recurrent=False)
    dut = Accumulate(shape)
    rows = {0: (2, 3), 1: (7, 0), 2: (9, 1), 3: (0, 2)}
    touched: list[tuple[int, int, int]] = []
    occupied: list[int] = []

    async def memories(ctx: SimulatorContext) -> None:
        """Row and word memories: what was asked for in one cycle is there in the next."""
        sampled = ctx.tick().sample(dut.rows.en, dut.rows.addr, dut.words.en, dut.words.addr)
        async for _, _, row_en, row, word_en, word in sampled:
            if row_en:
                start, count = rows[row]
                ctx.set(dut.rows.data, {"start": start, "count": count})
            if word_en:
                ctx.set(dut.words.data, {"weights": [0, 0, 0], "target": word % 5, "delay": 0})

    async def drive(ctx: SimulatorContext) -> None:
        waiting = [0, 1, 2, 3][::-1]
        for now in range(30):
            ctx.set(dut.sources.valid, bool(waiting))
            if waiting:
                ctx.set(dut.sources.payload, waiting[-1])
            ctx.set(dut.sweep.valid, now == 3)
            ctx.set(dut.sweep.payload, 4)
            ctx.set(dut.sweep_page, 1)
            if ctx.get(dut.touched.valid):
                touched.append((now, ctx.get(dut.touched.group), ctx.get(dut.touched.take)))
            if ctx.get(dut.occupied):
                occupied.append(now)
            accepted = waiting and ctx.get(dut.sources.ready)
            await ctx.tick()
            if accepted:
                waiting.pop()
        assert ctx.get(dut.idle) and not waiting

    simulate(dut, drive, background=(memories,))
    # Words 2, 3 and 4, the empty run's gap, 9, and 0, 1; the sweep's group in cycle 3.
    assert touched == [
        (4, 2, 0),
        (3 + ISSUE, 4, 1),
        (6, 3, 0),
        (7, 4, 0),
        (9, 4, 0),
        (10, 0, 0),
        (11, 1, 0),
    ]
    # Seven steps of the issuer, one of them for the empty run, and one that the sweep took.
    assert occupied == list(range(2, 2 + 3 + 1 + 1 + 2 + 1))
