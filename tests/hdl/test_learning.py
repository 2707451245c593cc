"""Where weights that learn lie: every row and every column in banks of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikec.hdl.image import CoreImage, ImageError
from spikec.hdl.learning import Learning, digits, plane
from spikec.hdl.shape import CoreShape, Memory, ShapeError
from spikec.ir.numerics import Rounding
from spikec.ir.plasticity import TraceSTDP

RULE = TraceSTDP.pair(3, 2, shift=6, decay=3)
LEARNING = Learning(RULE, rows=9, groups=2, w_min=0, w_max=7, first_row=1, first_group=1)
SHAPE = CoreShape(
    lanes=6,
    weight_bits=4,
    acc_bits=10,
    state_bits=12,
    neurons=18,
    inputs=11,
    words=6 * 8,
    addressing="row",
    recurrent=False,
    learning=LEARNING,
)


@pytest.mark.parametrize("lanes", [1, 2, 5, 6, 12, 18, 20, 32])
def test_planes_are_a_permutation(lanes: int) -> None:
    power, odd = digits(lanes)
    assert (power * odd, power & (power - 1), odd % 2) == (lanes, 0, 1)
    assert sorted(plane(n, lanes) for n in range(lanes)) == list(range(lanes))


def test_rows_and_columns_lie_in_different_banks() -> None:
    """Bank and address of every weight, found by putting a number on each."""
    shape, lanes = SHAPE, SHAPE.lanes
    image = CoreImage.empty(shape)
    words = np.arange(shape.words * lanes).reshape(shape.words, lanes)
    banks = image.to_banks(words)
    np.testing.assert_array_equal(image.to_lanes(banks), words)
    place = np.zeros((shape.words * lanes, 2), np.int64)
    place[banks.ravel()] = np.argwhere(np.ones_like(banks, bool))
    rows = np.array([LEARNING.word(k, lanes, shape.words) for k in range(LEARNING.rows)])
    for group in range(LEARNING.groups):
        number = words[rows + group]  # (rows, lanes)
        for row in number:
            assert sorted(place[row, 1]) == list(range(lanes))
            assert len(set(place[row, 0])) == 1
        for column in number.T:
            for block in range(0, LEARNING.rows, lanes):
                part = place[column[block : block + lanes]]
                assert len(set(part[:, 1])) == len(part)
                # One address in each plane.
                assert len(set(part[:, 0] % shape.plane_words)) == 1


def test_a_word_on_the_wire_is_its_banks() -> None:
    weights = np.zeros((SHAPE.words, SHAPE.lanes), np.int64)
    enable = np.zeros_like(weights)
    at = LEARNING.word(4, SHAPE.lanes, SHAPE.words)
    weights[at, 3], enable[at, 3] = -2, 1
    image = replace(CoreImage.empty(SHAPE), weights=weights, enable=enable)
    words = image.pack(Memory.WEIGHTS)
    bank = (3 + 4) % 6
    assert words[at] == (0b1_1110) << 5 * bank
    assert SHAPE.parts(Memory.WEIGHTS) == 6
    assert SHAPE.word_bits(Memory.WEIGHTS) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"addressing": "word"}, "rows of one run each"),
        ({"parity": True}, "have no parity"),
        ({"words": 6 * 2}, "learning needs words in a plane 0 .. 3, there are 2"),
        ({"words": 6 * 7}, "6 planes take as many times a power of two words, not 42"),
        ({"inputs": 9}, "learning needs rows 1 .. 9, there are 9"),
        ({"learning": replace(LEARNING, w_max=8)}, "rails 0..8 are beyond 4 bits"),
        ({"learning": replace(LEARNING, w_min=9)}, "w_min is 9 and w_max 7"),
        (
            {"learning": replace(LEARNING, rule=replace(RULE, rounding=Rounding.STOCHASTIC))},
            "in 1 streams takes a core of as many lanes, not 6",
        ),
        ({"learning": replace(LEARNING, first_group=2)}, "learning needs groups 2 .. 3"),
    ],
)
def test_shapes_that_cannot_be(change: dict[str, object], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        replace(SHAPE, **change)  # type: ignore[arg-type]


def test_images_that_cannot_be() -> None:
    image = CoreImage.empty(SHAPE)
    enable = np.zeros((SHAPE.words, SHAPE.lanes), np.int64)
    enable[7] = 1
    with pytest.raises(ImageError, match="word 7 learns, but no plastic row has it"):
        replace(image, enable=enable)
    start = image.rows_start.copy()
    start[3] += 1
    with pytest.raises(ImageError, match=r"rows_start\[3\] is not where a plastic row has it"):
        replace(image, rows_start=start)
    start, count = image.rows_start.copy(), image.rows_count.copy()
    start[10], count[10] = 7, 2
    with pytest.raises(ImageError, match="row 10 goes from one plane to the next"):
        replace(image, rows_start=start, rows_count=count)
