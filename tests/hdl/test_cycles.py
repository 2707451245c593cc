"""The cycle model by itself; `test_core` holds the hardware to it."""

from __future__ import annotations

from dataclasses import replace

from spikec.hdl.cycles import (
    StepCycles,
    accumulate_cycles,
    commit_cycles,
    propagate_cycles,
    step_cycles,
)
from spikec.hdl.shape import CoreShape

SHAPE = CoreShape(
    lanes=8, weight_bits=8, acc_bits=20, state_bits=24, neurons=160, inputs=64, words=300
)


def test_an_event_costs_its_words_and_an_empty_row_one() -> None:
    assert accumulate_cycles([]) == 0
    assert accumulate_cycles([20, 0, 1, 1]) == 23


def test_a_commit_costs_a_cycle_a_neuron() -> None:
    assert commit_cycles(SHAPE, 160) == 170
    assert commit_cycles(replace(SHAPE, cuba=True), 160) == 172
    assert commit_cycles(SHAPE, 0) == 10


def test_propagation_is_free_of_gaps() -> None:
    assert propagate_cycles([]) == 1
    assert propagate_cycles([20]) == 25
    assert propagate_cycles([20, 20, 0]) == 46


def test_counters_saturate() -> None:
    assert propagate_cycles([1 << 23] * 3) == (1 << 24) - 1


def test_a_step() -> None:
    cycles = step_cycles(SHAPE, 100, [2, 2], [])
    assert cycles == StepCycles(4, 110, 1)
    assert cycles.total == 115
