"""Shapes: limits, widths, addresses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spikec.hdl.shape import CoreShape, Memory, ShapeError, index_bits

SHAPE = CoreShape(
    lanes=4, weight_bits=5, acc_bits=12, state_bits=16, neurons=24, inputs=9, words=100
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lanes": 3, "neurons": 24}, "lanes must be a power of two, not 3"),
        ({"lanes": 0}, r"lanes must be 1\.\.64, not 0"),
        ({"neurons": 26}, "neurons must be a multiple of the 4 lanes, not 26"),
        ({"neurons": 1 << 17}, "neurons must be 1..65536"),
        ({"weight_bits": 1}, r"weight_bits must be 2\.\.16, not 1"),
        ({"acc_bits": 4}, r"acc_bits must be 5\.\.48, not 4"),
        ({"state_bits": 33}, r"state_bits must be 8\.\.32, not 33"),
        ({"pages": 3}, "pages must be a power of two, not 3"),
        ({"pages": 8, "step_bits": 2}, r"pages must be 1\.\.4, not 8"),
        ({"classes": 0}, "classes must be"),
        ({"inputs": 2.0}, "inputs must be a whole number, not 2.0"),
        ({"cuba": 1}, "cuba must be True or False, not 1"),
        ({"rounding": "up"}, "rounding must be one of floor, .*: 'up'"),
        ({"overflow": "trap"}, "overflow must be one of saturate, wrap: 'trap'"),
    ],
)
def test_impossible_shapes_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        replace(SHAPE, **change)


@pytest.mark.parametrize("count", range(1, 40))
def test_index_bits(count: int) -> None:
    assert 1 << index_bits(count) >= count
    assert count == 1 or 1 << (index_bits(count) - 1) < count


def test_memories_depend_on_the_options() -> None:
    assert Memory.CURRENTS not in SHAPE.memories
    assert SHAPE.depth(Memory.CURRENTS) == SHAPE.word_bits(Memory.CURRENTS) == 0
    full = replace(SHAPE, cuba=True, first_bias=True, refractory_bits=3)
    assert full.memories == tuple(Memory)


def test_widths() -> None:
    shape = replace(SHAPE, pages=4, classes=3)
    bits = {memory: shape.word_bits(memory) for memory in shape.memories}
    assert bits[Memory.ROWS] == 7 + 7
    assert bits[Memory.WEIGHTS] == 4 * 5 + 3 + 2
    assert bits[Memory.NEURONS] == 2 + 16
    assert bits[Memory.CLASSES] == 13 + 4 + 3 * 16 + 2 + 16 + 1
    assert bits[Memory.ACCUMULATORS] == 48
    assert bits[Memory.ACTIVE_NEURONS] == 5
    assert shape.word_bytes(Memory.WEIGHTS) == 4
    assert shape.memory_bits == sum(shape.depth(m) * bits[m] for m in bits)


def test_accumulator_addresses_fill_the_memory() -> None:
    shape = replace(SHAPE, pages=4)
    addresses = {
        shape.accumulator_address(page, group)
        for page in range(shape.pages)
        for group in range(shape.groups)
    }
    assert addresses == set(range(shape.depth(Memory.ACCUMULATORS)))
