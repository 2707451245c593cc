"""Shapes: limits, widths, addresses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from spikec.hdl.shape import CoreShape, Field, Memory, NeuronClass, ShapeError, index_bits

from .images import random_shape

SHAPE = CoreShape(
    lanes=4, weight_bits=5, acc_bits=12, state_bits=16, neurons=24, inputs=9, words=100
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lanes": 0}, r"lanes must be 1\.\.256, not 0"),
        ({"lanes": 6, "units": 4}, "lanes must be a multiple of the 4 units: 6"),
        ({"units": 3, "lanes": 6}, "units must be a power of two, not 3"),
        ({"units": 64, "lanes": 64}, r"units must be 1\.\.32, not 64"),
        ({"neurons": 26}, "neurons must be a multiple of the 4 lanes: 26"),
        ({"neurons": 1 << 17}, "neurons must be 1..65536"),
        ({"weight_bits": 1}, r"weight_bits must be 2\.\.16, not 1"),
        ({"acc_bits": 4}, r"acc_bits must be 5\.\.48, not 4"),
        ({"state_bits": 33}, r"state_bits must be 8\.\.32, not 33"),
        ({"words": 0}, "words must be"),
        ({"pages": 3}, "pages must be a power of two, not 3"),
        ({"delays": 3}, r"pages must be 3\.\.8192, not 2"),
        ({"delays": 8, "pages": 8, "step_bits": 2}, r"delays must be 1\.\.4, not 8"),
        ({"distance": 0}, "distance must be"),
        ({"bank_bits": 4}, r"bank_bits must be 8\.\.128, not 4"),
        ({"segments": 2}, "segments need addressing by row"),
        ({"segments": -1}, "segments must be"),
        ({"first_bias": True, "bias": False}, "first_bias needs bias"),
        ({"classes": 0}, "classes must be"),
        ({"inputs": 2.0}, "inputs must be a whole number, not 2.0"),
        ({"inputs": True}, "inputs must be a whole number, not True"),
        ({"cuba": 1}, "cuba must be True or False, not 1"),
        ({"readback": 0}, "readback must be True or False, not 0"),
        ({"rounding": "up"}, "rounding must be one of floor, .*: 'up'"),
        ({"overflow": "trap"}, "overflow must be one of saturate, wrap: 'trap'"),
        ({"addressing": "column"}, "addressing must be one of row, .*: 'column'"),
        ({"storage": "disk"}, "storage must be one of registers, .*: 'disk'"),
        ({"storage": "registers"}, "registers hold one group in one page, not 6 in 2"),
        (
            {"storage": "registers", "neurons": 4},
            "registers hold one group in one page, not 1 in 2",
        ),
        ({"fixed": NeuronClass(decay_v=8192)}, r"fixed.decay_v must be 0\.\.8191, not 8192"),
        ({"fixed": NeuronClass(threshold=1 << 15)}, r"fixed.threshold must be -32768\.\.32767"),
        ({"timers": (4, 0)}, r"timers must be 1\.\.2147483647, not 0"),
        ({"timers": (2.0,)}, r"timers must be 1\.\.2147483647, not 2\.0"),
        (
            {"timers": (4,), "fixed": NeuronClass(adapt_phase=8)},
            r"fixed.adapt_phase must be 0\.\.7",
        ),
        ({"timers": (), "fixed": NeuronClass(adapt_inc=-1)}, r"fixed.adapt_inc must be 0\.\.32767"),
        ({"fixed": NeuronClass(refractory=1)}, r"fixed.refractory must be 0\.\.0, not 1"),
        ({"quadratic": 9}, r"quadratic must be 0\.\.8, not 9"),
        ({"quadratic": 1, "cuba": True}, "quadratic does not go with cuba"),
        ({"quadratic": 1, "linear": True}, "quadratic does not go with linear"),
        (
            {"quadratic": 1, "fixed": NeuronClass(decay_v=32768)},
            r"fixed.decay_v must be -32768\.\.32767, not 32768",
        ),
        (
            {"quadratic": 2, "fixed": NeuronClass(again=2)},
            r"fixed.again must be 0\.\.1, not 2",
        ),
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
    assert Memory.SEGMENTS not in SHAPE.memories
    full = replace(
        SHAPE,
        cuba=True,
        first_bias=True,
        refractory_bits=3,
        addressing="row",
        segments=5,
        timers=(4,),
    )
    assert Memory.DAMAGED not in full.memories
    assert replace(full, parity=True).memories == tuple(Memory)
    bare = replace(SHAPE, bias=False, classes=1)
    assert Memory.NEURONS not in bare.memories
    assert Memory.NEURONS in replace(bare, classes=2).memories


def test_fixed_parameters_leave_the_class_memory() -> None:
    values = {field.name: 0 for field in SHAPE.class_fields}
    shape = replace(SHAPE, fixed=NeuronClass(**values))
    assert Memory.CLASSES not in shape.memories
    del values["threshold"]
    shape = replace(SHAPE, fixed=NeuronClass(**values))
    assert shape.fields(Memory.CLASSES) == (Field("threshold", 16, True),)


def test_rows_of_neurons_only_where_neurons_have_rows() -> None:
    assert SHAPE.sources == 9 + 24
    assert replace(SHAPE, recurrent=False).sources == SHAPE.rows(Memory.ROWS) - 24 == 9


def test_widths() -> None:
    shape = replace(SHAPE, delays=3, pages=4, classes=3, bank_bits=36)
    bits = {memory: shape.word_bits(memory) for memory in shape.memories}
    assert bits[Memory.ROWS] == 7 + 7
    assert bits[Memory.WEIGHTS] == 4 * 5 + 3 + 2
    assert bits[Memory.NEURONS] == 2 + 16
    assert bits[Memory.CLASSES] == 13 + 4 + 3 * 16 + 2 + 16 + 1
    assert shape.word_bytes(Memory.WEIGHTS) == 4
    accumulators = 6 * 4 * 4 * 12
    assert shape.memory_bits == sum(shape.depth(m) * bits[m] for m in bits) + accumulators


def test_who_says_where_a_word_goes() -> None:
    """The run, the word, or each lane; with segments the row adds to their targets."""
    shape = replace(SHAPE, delays=4, pages=4)
    place = 3 + 2
    weights, run = 4 * 5, 7 + 7
    assert shape.row_bits(Memory.WEIGHTS) == weights + place
    assert replace(shape, addressing="lane").row_bits(Memory.WEIGHTS) == weights + 4 * place
    row = replace(shape, addressing="row")
    assert row.row_bits(Memory.WEIGHTS) == weights
    assert row.row_bits(Memory.ROWS) == run + place
    segments = replace(row, segments=5)
    assert segments.row_bits(Memory.SEGMENTS) == run + place
    assert segments.row_bits(Memory.ROWS) == 3 + 3 + 3


def test_wide_words_have_parts() -> None:
    shape = replace(SHAPE, lanes=24, bank_bits=36, units=8)
    assert shape.row_bits(Memory.WEIGHTS) == 24 * 5
    assert shape.parts(Memory.WEIGHTS) == 4
    assert shape.word_bits(Memory.WEIGHTS) == 36
    assert shape.depth(Memory.WEIGHTS) == 100 * 4
    # Parts are numbered in binary: three take as many addresses as four.
    assert replace(shape, weight_bank_bits=40).parts(Memory.WEIGHTS) == 3
    assert replace(shape, weight_bank_bits=40).depth(Memory.WEIGHTS) == 100 * 4
    assert shape.parts(Memory.POTENTIALS) == 4
    assert shape.rows(Memory.POTENTIALS) == 3
    # Few and written whole.
    assert shape.parts(Memory.CLASSES) == shape.parts(Memory.DIGEST) == 1


@pytest.mark.parametrize("seed", range(50))
def test_parts_hold_the_whole_word(seed: int) -> None:
    shape = random_shape(np.random.default_rng(seed))
    assert shape.units * shape.beats == shape.lanes
    assert shape.lanes * shape.groups == shape.neurons
    for memory in shape.memories:
        parts, bits = shape.parts(memory), shape.word_bits(memory)
        assert (parts - 1) * bits < shape.row_bits(memory) <= parts * bits
        assert shape.depth(memory) == shape.rows(memory) << index_bits(parts)
        assert 8 * shape.word_bytes(memory) - 8 < bits <= 8 * shape.word_bytes(memory)


def test_weights_are_readable_where_that_is_asked_for() -> None:
    assert all(SHAPE.readable(memory) for memory in SHAPE.memories)
    dark = replace(SHAPE, readback=False)
    assert [m for m in dark.memories if not dark.readable(m)] == [Memory.WEIGHTS]


def test_a_page_to_spare_overlaps() -> None:
    assert SHAPE.overlaps
    assert not replace(SHAPE, delays=2).overlaps
    assert replace(SHAPE, delays=3, pages=4).overlaps


def test_accumulator_addresses_fill_the_memory() -> None:
    shape = replace(SHAPE, pages=4)
    addresses = {
        shape.accumulator_address(page, group)
        for page in range(shape.pages)
        for group in range(shape.groups)
    }
    assert addresses == set(range(shape.groups * shape.pages))


def test_limits_of_fields() -> None:
    assert (Field("a", 4, True).minimum, Field("a", 4, True).maximum) == (-8, 7)
    assert (Field("a", 4).minimum, Field("a", 4).maximum) == (0, 15)
    assert Field("a", 4, True, 3).bits == 12


def test_a_shape_is_known_by_what_it_uses() -> None:
    """A field behind the first ones that has its default is not part of a core's name."""
    plain = CoreShape(4, 8, 16, 16, 16, 8, 32)
    text = repr(plain)
    assert text.startswith("CoreShape(lanes=4, weight_bits=8, ")
    assert text.endswith(", rounding='floor', overflow='saturate')")
    assert repr(replace(plain, parity=True)) == text[:-1] + ", parity=True)"


def test_parity_is_a_bit_of_a_word_and_a_count() -> None:
    plain = CoreShape(4, 8, 16, 16, 16, 8, 32, addressing="row", weight_bank_bits=16)
    shape = replace(plain, parity=True)
    assert shape.row_bits(Memory.WEIGHTS) == plain.row_bits(Memory.WEIGHTS) + 1 == 33
    assert shape.parity_alone and not replace(shape, weight_bank_bits=36).parity_alone
    assert not plain.parity_alone
    assert set(shape.memories) - set(plain.memories) == {Memory.DAMAGED}
    assert (shape.depth(Memory.DAMAGED), shape.word_bytes(Memory.DAMAGED)) == (1, 1)
    with pytest.raises(ShapeError, match="parity must be True or False"):
        replace(plain, parity=cast("bool", 1))
