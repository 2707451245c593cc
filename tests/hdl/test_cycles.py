"""The cycle model by itself; `test_core` holds the hardware to it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from spikec.hdl.cycles import (
    ISSUE,
    LATENCY,
    StepCycles,
    commit_stages,
    event_cycles,
    scan_width,
    scan_words,
    step_cycles,
)
from spikec.hdl.protocol import COUNTER_MAX
from spikec.hdl.shape import STORAGES, CoreShape, Storage

from .images import random_shape

SHAPE = CoreShape(
    lanes=8, weight_bits=8, acc_bits=20, state_bits=24, neurons=160, inputs=64, words=300
)


def fixed_part(shape: CoreShape) -> int:
    """Cycles of a commit on top of a cycle a beat."""
    return ISSUE + LATENCY[shape.storage] + commit_stages(shape) + 4


def test_an_event_costs_its_words_and_an_empty_run_one() -> None:
    assert event_cycles([]) == 0
    assert event_cycles([[20], [0], [1], [1]]) == 23
    assert event_cycles([[20, 3], [0, 0, 5], []]) == 30
    assert event_cycles([[COUNTER_MAX], [1]]) == COUNTER_MAX


def test_every_storage_has_a_latency() -> None:
    assert set(LATENCY) == set(STORAGES) == set(get_args(Storage))


@pytest.mark.parametrize(("groups", "words"), [(1, 1), (2, 1), (32, 1), (33, 2), (64, 2), (65, 3)])
def test_32_groups_are_looked_up_at_once(groups: int, words: int) -> None:
    shape = replace(SHAPE, neurons=8 * groups)
    assert scan_words(shape) == words
    assert scan_width(shape) * words >= groups
    assert step_cycles(shape, []) == StepCycles(0, words + 1)


@pytest.mark.parametrize("units", [1, 2, 8])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("cuba", [False, True])
def test_a_commit_costs_a_cycle_a_beat(cuba: bool, storage: Storage, units: int) -> None:
    shape = replace(SHAPE, cuba=cuba, units=units)
    if storage == "registers":
        shape = replace(shape, neurons=8, pages=1)
    shape = replace(shape, storage=storage)
    cycles = step_cycles(shape, range(shape.groups))
    assert cycles == StepCycles(0, shape.neurons // units + fixed_part(shape))


def test_a_lone_group_costs_its_beats_wherever_it_is() -> None:
    """A word looked up in vain is a cycle; the words behind the last are looked up meanwhile."""
    shape = replace(SHAPE, neurons=8 * 96, units=8)
    alone = 1 + fixed_part(shape)
    assert step_cycles(shape, [0]).commit == alone
    assert step_cycles(shape, [31]).commit == alone
    assert step_cycles(shape, [40]).commit == alone + 1
    assert step_cycles(shape, [95]).commit == alone + 2


def test_words_of_spikes_follow_without_a_gap() -> None:
    """Spikes of one beat, of long rows: what is added after the beat is all that is added."""
    shape = replace(SHAPE, units=8, neurons=8)
    one = step_cycles(shape, [0], spikes={3: [100]}).commit
    two = step_cycles(shape, [0], spikes={3: [100], 5: [50]}).commit
    split = step_cycles(shape, [0], spikes={3: [60, 40], 5: [50]}).commit
    assert two == one + 50
    assert split == two
    assert step_cycles(shape, [0], spikes={3: [0], 5: [0]}).commit <= one - 98


def test_events_of_the_next_step_hide_behind_the_commit() -> None:
    """As long as they are no longer than it; without a page of their own they wait."""
    shape = replace(SHAPE, delays=1, pages=2)
    groups = range(shape.groups)
    alone = step_cycles(shape, groups).commit
    assert step_cycles(shape, groups, ahead=[[10]] * 3).commit == alone
    long = step_cycles(shape, groups, ahead=[[100]] * 5).commit
    # A group that is handed over takes the place of a word.
    assert 500 < long <= 500 + shape.groups + 12
    waits = step_cycles(replace(shape, pages=1), groups, ahead=[[100]] * 5).commit
    assert waits > long + shape.groups


def test_counters_saturate() -> None:
    assert step_cycles(SHAPE, [], [[COUNTER_MAX + 1]]).events == COUNTER_MAX


def test_a_step() -> None:
    cycles = step_cycles(SHAPE, range(20), [[2], [2]])
    assert cycles == StepCycles(4, 160 + fixed_part(SHAPE))
    assert cycles.total == 164 + fixed_part(SHAPE)


@pytest.mark.parametrize("seed", range(300))
def test_bounds_of_any_step(seed: int) -> None:
    """No step beats its beats, its lookups or its words, or wastes more than a few cycles a part.

    With ``k`` groups of B beats, S spikes' and events' words W in R runs::

        max(k B, scan words, W) < commit <= k B + scan words + W + k + 2 R + 3 S + 40
    """
    rng = np.random.default_rng(seed)
    shape = random_shape(rng)
    groups = np.flatnonzero(rng.random(shape.groups) < rng.choice([0.1, 0.6, 1.0])).tolist()

    def rows(count: int) -> list[list[int]]:
        runs = int(rng.integers(1, 4)) if shape.segments else 1
        return [[int(w) for w in rng.integers(0, 9, runs)] for _ in range(count)]

    fired = [
        int(n)
        for g in groups
        for n in range(g * shape.lanes, (g + 1) * shape.lanes)
        if shape.recurrent and rng.random() < 0.2
    ]
    spikes = dict(zip(fired, rows(len(fired)), strict=True))
    ahead = rows(int(rng.integers(0, 8))) if rng.random() < 0.5 else []
    commit = step_cycles(shape, groups, [], spikes, ahead).commit
    sources = [*spikes.values(), *ahead]
    beats = len(groups) * shape.beats
    words = sum(sum(row) for row in sources)
    # Without a page to spare, events wait for the sweep, and a step without one does not wait for
    # them.
    least = words if shape.overlaps or groups else 0
    runs = sum(len(row) for row in sources)
    assert commit > max(beats, scan_words(shape), least)
    slack = len(groups) + 2 * runs + 3 * len(sources) + 40
    assert commit <= beats + scan_words(shape) + words + slack
