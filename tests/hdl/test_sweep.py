"""Which groups a step commits, in which order and when."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.sim import SimulatorContext

from spikec.hdl.cycles import scan_width, scan_words
from spikec.hdl.shape import CoreShape, Storage
from spikec.hdl.sweep import Sweep

from .bench import simulate


def shape_of(groups: int, beats: int, **other: Any) -> CoreShape:
    return CoreShape(
        lanes=beats,
        weight_bits=4,
        acc_bits=8,
        state_bits=8,
        neurons=groups * beats,
        inputs=1,
        words=1,
        delays=2,
        pages=4,
        **other,
    )


async def settle(ctx: SimulatorContext, dut: Sweep, group: int, rests: bool) -> None:
    ctx.set(dut.settled, 1)
    ctx.set(dut.group, group)
    ctx.set(dut.rests, rests)
    await ctx.tick()
    ctx.set(dut.settled, 0)


async def touch(ctx: SimulatorContext, dut: Sweep, page: int, group: int, take: bool) -> None:
    ctx.set(dut.touched.valid, 1)
    ctx.set(dut.touched.take, take)
    ctx.set(dut.touched.page, page)
    ctx.set(dut.touched.group, group)
    await ctx.tick()
    ctx.set(dut.touched.valid, 0)


async def swept(ctx: SimulatorContext, dut: Sweep, page: int) -> tuple[list[int], list[int], int]:
    """Groups of one sweep, the cycle of each (from the start on), and the cycles it was busy."""
    ctx.set(dut.page, page)
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)
    groups, when, now = [], [], 0
    while ctx.get(dut.busy):
        if ctx.get(dut.groups.valid):
            groups.append(ctx.get(dut.groups.payload))
            when.append(now)
        now += 1
        assert now < 10_000
        await ctx.tick()
    return groups, when, now


@pytest.mark.parametrize("beats", [1, 3])
@pytest.mark.parametrize("groups", [1, 2, 5, 32, 33, 64, 70, 130])
def test_groups_that_were_added_to_or_do_not_rest(groups: int, beats: int) -> None:
    """Against two sets: every group once, in order, L/U cycles apart, empty words a cycle each."""
    shape = shape_of(groups, beats, addressing="word")
    dut = Sweep(shape)
    rng = np.random.default_rng(groups + beats)
    restless: set[int] = set()
    touched: list[set[int]] = [set() for _ in range(shape.pages)]

    async def drive(ctx: SimulatorContext) -> None:
        for number in range(8):
            page = number % shape.pages
            for _ in range(int(rng.integers(0, 8))):
                to, group = int(rng.integers(shape.pages)), int(rng.integers(groups))
                touched[to].add(group)
                await touch(ctx, dut, to, group, False)
            found, when, busy = await swept(ctx, dut, page)
            assert found == sorted(restless | touched[page])
            assert all(b - a >= beats for a, b in pairwise(when))
            assert busy >= max(scan_words(shape), len(found))
            # A word that is looked up in vain, or after a pause, takes a cycle of its own.
            assert busy <= scan_words(shape) + 1 + beats * len(found)
            for group in found:
                rests = bool(rng.random() < 0.6)
                restless.discard(group)
                if not rests:
                    restless.add(group)
                await settle(ctx, dut, group, rests)
                await touch(ctx, dut, page, group, True)
            touched[page].clear()

    simulate(dut, drive)


@pytest.mark.parametrize("groups", [1, 7, 32, 45])
def test_an_event_of_lanes_wakes_all_groups_while_it_may_wait(groups: int) -> None:
    """Nobody says to which groups and pages the weights of such a word go."""
    shape = shape_of(groups, 1, addressing="lane")
    dut = Sweep(shape)

    async def drive(ctx: SimulatorContext) -> None:
        assert (await swept(ctx, dut, 0))[0] == []
        await touch(ctx, dut, 1, 0, False)
        for page in (1, 2, 3, 0):
            assert (await swept(ctx, dut, page))[0] == list(range(groups))
        for page in range(shape.pages):
            assert (await swept(ctx, dut, page))[0] == []
        await touch(ctx, dut, 2, 0, False)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        for page in range(shape.pages):
            assert (await swept(ctx, dut, page))[0] == []

    simulate(dut, drive)


def test_a_silent_sweep_takes_a_cycle_for_32_groups() -> None:
    for groups, cycles in ((1, 1), (32, 1), (33, 2), (320, 10)):
        shape = shape_of(groups, 1)
        assert scan_width(shape) == min(32, 1 << (groups - 1).bit_length())
        dut = Sweep(shape)

        async def drive(
            ctx: SimulatorContext,
            dut: Sweep = dut,
            expected: tuple[list[int], list[int], int] = ([], [], cycles),
        ) -> None:
            assert await swept(ctx, dut, 0) == expected

        simulate(dut, drive)


@pytest.mark.parametrize(("storage", "made_of_logic"), [("block", False), ("pipelined", True)])
def test_flags_ask_for_memory_made_of_logic_only_where_it_is(
    storage: Storage, made_of_logic: bool
) -> None:
    """An iCE40 has none: synthesis refuses a memory that insists on it."""
    dut = Sweep(shape_of(40, 2, storage=storage))
    text = rtlil.convert(dut, ports=[dut.start, dut.groups.valid, dut.groups.payload])
    assert ('ram_style "distributed"' in text) == made_of_logic
