"""Images: ranges, packing, digests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.hdl.image import CoreImage, ImageError, unpack
from spikec.hdl.memories import STATE
from spikec.hdl.shape import CoreShape, Memory, NeuronClass, index_bits

from .images import random_image, random_shape

SHAPE = CoreShape(
    lanes=2,
    weight_bits=4,
    acc_bits=12,
    state_bits=10,
    neurons=6,
    inputs=3,
    words=8,
    classes=2,
    delays=2,
    pages=2,
    cuba=True,
    first_bias=True,
    refractory_bits=2,
)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"weights": [[0, 0], [8, 0]]}, r"weights\[1, 0\] is 8, the core takes -8\.\.7"),
        ({"word_target": [0, 3]}, r"word_target\[1, 0\] is 3, the core takes 0\.\.2"),
        ({"word_delay": [2]}, r"word_delay\[0, 0\] is 2, the core takes 0\.\.1"),
        ({"rows_start": [0, 6], "rows_count": [8, 3]}, r"row 1 needs words 6 \.\. 8 of 8"),
        ({"rows_count": [9]}, "row 0 needs words"),
        ({"neuron_class": [0, 2]}, r"neuron_class\[1\] is 2, the core takes 0\.\.1"),
        ({"bias": [-513]}, r"bias\[0\] is -513, the core takes -512\.\.511"),
        ({"class_decay_v": [4097]}, r"class_decay_v\[0\] is 4097, the core takes 0\.\.4096"),
        ({"class_reset": [4]}, r"class_reset\[0\] is 4"),
        ({"class_emit": [2]}, r"class_emit\[0\] is 2"),
        ({"class_refractory": [4]}, r"class_refractory\[0\] is 4"),
        ({"weights": [[0.5, 1.0]]}, "weights must hold whole numbers, not float64"),
        ({"weights": [[1, 2, 3]]}, r"weights has shape \(1, 3\), the capacity is \(8, 2\)"),
        ({"bias": [0] * 7}, r"bias has shape \(7,\), the capacity is \(6,\)"),
        ({"tau": [1]}, "an image has no tau"),
        ({"word_target": [[0, 1]]}, r"word_target\[0\] must be the same in all lanes"),
        ({"word_delay": [[0, 0], [1, 0]]}, r"word_delay\[1\] must be the same in all lanes"),
        ({"rows_target": [1]}, r"rows_target\[0\] is 1, the core takes 0\.\.0"),
        ({"segment_start": [1]}, r"segment_start has shape \(1,\), the capacity is \(0,\)"),
    ],
)
def test_contents_that_do_not_fit_are_refused(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        CoreImage.padded(SHAPE, **arrays)


BY_ROW = replace(SHAPE, addressing="row")
SEGMENTS = replace(BY_ROW, segments=4)


@pytest.mark.parametrize(
    ("shape", "arrays", "message"),
    [
        (BY_ROW, {"word_target": [1]}, r"word_target\[0, 0\] is 1, the core takes 0\.\.0"),
        (BY_ROW, {"rows_target": [3]}, r"rows_target\[0\] is 3, the core takes 0\.\.2"),
        (BY_ROW, {"rows_delay": [2]}, r"rows_delay\[0\] is 2, the core takes 0\.\.1"),
        (
            BY_ROW,
            {"rows_count": [0, 2], "rows_target": [2, 2]},
            r"row 1 goes to groups 2 \.\. 3 of 3",
        ),
        (SEGMENTS, {"rows_delay": [1]}, r"rows_delay\[0\] is 1, the core takes 0\.\.0"),
        (SEGMENTS, {"segment_delay": [0, 2]}, r"segment_delay\[1\] is 2, the core takes 0\.\.1"),
        (
            SEGMENTS,
            {"segment_start": [6], "segment_count": [3]},
            r"segment 0 needs words 6 \.\. 8 of 8",
        ),
        (
            SEGMENTS,
            {"rows_start": [3], "rows_count": [2]},
            r"row 0 needs segments 3 \.\. 4 of 4",
        ),
        (
            replace(SHAPE, addressing="lane"),
            {"word_target": [[0, 3]]},
            r"word_target\[0, 1\] is 3, the core takes 0\.\.2",
        ),
        (
            replace(SHAPE, fixed=NeuronClass(threshold=5)),
            {"class_threshold": [5, 6]},
            r"class_threshold\[1\] is 6, the core takes 5\.\.5",
        ),
        (
            replace(SHAPE, bias=False, first_bias=False),
            {"bias": [1]},
            r"bias\[0\] is 1, the core takes 0\.\.0",
        ),
        (
            replace(SHAPE, units=2),
            {"neuron_class": [0] * 4},
            r"neuron_class has shape \(4,\), the capacity is \(3,\)",
        ),
    ],
)
def test_contents_that_do_not_suit_the_form_are_refused(
    shape: CoreShape, arrays: dict[str, Any], message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        CoreImage.padded(shape, **arrays)


def test_lanes_may_go_each_their_own_way() -> None:
    image = CoreImage.padded(
        replace(SHAPE, addressing="lane"), word_target=[[0, 2]], word_delay=[[1, 0]]
    )
    assert image.word_target[0].tolist() == [0, 2]
    word = unpack(image.shape, Memory.WEIGHTS, image.pack(Memory.WEIGHTS)[0])
    assert word == {"weights": (0, 0), "target": (0, 2), "delay": (1, 0)}


def test_fixed_parameters_need_not_be_given() -> None:
    shape = replace(SHAPE, fixed=NeuronClass(threshold=-5, decay_v=77))
    image = CoreImage.empty(shape)
    assert image.class_threshold.tolist() == [-5, -5]
    assert image.class_decay_v.tolist() == [77, 77]
    assert "threshold" not in unpack(shape, Memory.CLASSES, image.pack(Memory.CLASSES)[0])


def test_options_the_shape_lacks_must_be_zero() -> None:
    plain = CoreShape(
        lanes=1, weight_bits=2, acc_bits=4, state_bits=8, neurons=1, inputs=1, words=1
    )
    contents: dict[str, Any]
    adaptation = ("class_adapt_inc", "class_adapt_shift", "class_adapt_phase")
    for name in ("first_bias", "class_decay_u", "class_order_old", "class_refractory", *adaptation):
        contents = {name: [1]}
        with pytest.raises(ImageError, match=rf"{name}\[0\] is 1, the core takes 0\.\.0"):
            CoreImage.padded(plain, **contents)


@pytest.mark.parametrize("seed", range(20))
def test_packed_words_unpack_to_the_same_fields(seed: int) -> None:
    """Every field of every memory, by the names of the arrays."""
    rng = np.random.default_rng(seed)
    image = random_image(random_shape(rng), rng)
    shape = image.shape
    prefixes = {
        Memory.ROWS: "rows_",
        Memory.SEGMENTS: "segment_",
        Memory.CLASSES: "class_",
    }
    names = {
        (Memory.NEURONS, "class_id"): "neuron_class",
        (Memory.WEIGHTS, "target"): "word_target",
        (Memory.WEIGHTS, "delay"): "word_delay",
    }
    for memory in shape.memories:
        if memory in (*STATE, Memory.DIGEST):
            continue
        packed = image.pack(memory)
        assert len(packed) == shape.rows(memory)
        assert max(packed).bit_length() <= shape.row_bits(memory)
        words = [unpack(shape, memory, word) for word in packed]
        for field in shape.fields(memory):
            name = names.get((memory, field.name), prefixes.get(memory, "") + field.name)
            wanted = getattr(image, name).reshape(len(words), -1)
            if field.lanes is None:
                wanted = wanted[:, 0]
            assert np.array_equal([word[field.name] for word in words], wanted), name


def test_arrays_are_copied_and_read_only() -> None:
    weights = np.zeros((8, 2), np.int64)
    image = CoreImage.padded(SHAPE, weights=weights)
    weights[0] = 7
    assert not image.weights.any()
    with pytest.raises(ValueError, match="read-only"):
        image.weights[0] = 1


def test_digest_names_shape_and_contents() -> None:
    image = CoreImage.padded(SHAPE, bias=[1])
    assert image.digest == CoreImage.padded(SHAPE, bias=[1]).digest
    assert len(image.digest) == 8
    others = (
        CoreImage.empty(SHAPE),
        CoreImage.padded(SHAPE, bias=[0, 1]),
        CoreImage.padded(SHAPE, first_bias=[1]),
        CoreImage.empty(replace(SHAPE, distance=2)),
    )
    assert len({image.digest, *(other.digest for other in others)}) == 5


def test_frames_write_every_configuration_word_once() -> None:
    image = CoreImage.padded(SHAPE, bias=[-1])
    frames = list(image.frames())
    expected = [
        (memory, address)
        for memory in SHAPE.memories
        if memory not in STATE
        for address in range(SHAPE.depth(memory))
    ]
    assert [(frame.memory, frame.address) for frame in frames] == expected
    assert all(len(frame.data) == SHAPE.word_bytes(frame.memory) for frame in frames)
    assert frames[-1].data == image.digest


@pytest.mark.parametrize("seed", range(20))
def test_frames_put_together_are_the_words(seed: int) -> None:
    """Part k of word a is at a << bits(parts) | k; parts beyond the last are not written."""
    rng = np.random.default_rng(seed)
    shape = replace(random_shape(rng), bank_bits=8)
    image = random_image(shape, rng)
    loaded: dict[tuple[int, int], int] = {}
    for frame in image.frames():
        bits, parts = shape.word_bits(frame.memory), shape.parts(frame.memory)
        row, part = divmod(frame.address, 1 << index_bits(parts))
        assert part < parts and frame.address < shape.depth(frame.memory)
        value = int.from_bytes(frame.data, "little")
        assert value < 1 << bits
        key = frame.memory, row
        assert not loaded.get(key, 0) >> part * bits
        loaded[key] = loaded.get(key, 0) | value << part * bits
    for memory in shape.memories:
        if memory not in STATE:
            words = [loaded[memory, row] for row in range(shape.rows(memory))]
            assert tuple(words) == image.pack(memory)


def test_words_have_parts_only_where_they_are_wide() -> None:
    assert SHAPE.parts(Memory.WEIGHTS) == 1
    wide = replace(SHAPE, weight_bank_bits=8)
    assert wide.parts(Memory.WEIGHTS) == 2
    count = sum(frame.memory is Memory.WEIGHTS for frame in CoreImage.empty(wide).frames())
    assert count == 2 * wide.words


@pytest.mark.parametrize("seed", range(10))
def test_parity_makes_the_ones_of_a_weight_word_even(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plain = random_shape(rng)
    shape = replace(plain, parity=True)
    image = random_image(shape, rng)
    bare = replace(image, shape=plain)
    bits = plain.row_bits(Memory.WEIGHTS)
    words = image.pack(Memory.WEIGHTS)
    assert all(word.bit_count() % 2 == 0 for word in words)
    assert tuple(word & (1 << bits) - 1 for word in words) == bare.pack(Memory.WEIGHTS)
    assert image.digest != bare.digest
    for memory in plain.memories:
        if memory not in (Memory.WEIGHTS, Memory.DIGEST):
            assert image.pack(memory) == bare.pack(memory)
