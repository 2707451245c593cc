"""Images: ranges, packing, digests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikec.hdl.image import CoreImage, ImageError, unpack
from spikec.hdl.protocol import encode
from spikec.hdl.shape import CoreShape, Memory

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
    pages=2,
    cuba=True,
    first_bias=True,
    refractory_bits=2,
)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"weights": [[0, 0], [8, 0]]}, r"weights\[1, 0\] is 8, the core takes -8\.\.7"),
        ({"word_target": [0, 3]}, r"word_target\[1\] is 3, the core takes 0\.\.2"),
        ({"word_delay": [2]}, r"word_delay\[0\] is 2, the core takes 0\.\.1"),
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
        ({"active_neurons": 7}, r"active_neurons must be 0\.\.6, not 7"),
    ],
)
def test_contents_that_do_not_fit_are_refused(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        CoreImage.padded(SHAPE, **arrays)


def test_options_the_shape_lacks_must_be_zero() -> None:
    plain = CoreShape(
        lanes=1, weight_bits=2, acc_bits=4, state_bits=8, neurons=1, inputs=1, words=1
    )
    contents: dict[str, Any]
    for name in ("first_bias", "class_decay_u", "class_order_old", "class_refractory"):
        contents = {name: [1]}
        with pytest.raises(ImageError, match=rf"{name}\[0\] is 1, the core takes 0\.\.0"):
            CoreImage.padded(plain, **contents)


@pytest.mark.parametrize("seed", range(20))
def test_packed_words_unpack_to_the_same_fields(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = random_image(random_shape(rng), rng)
    names = {"rows_start": "start", "rows_count": "count"}
    for memory, arrays in (
        (Memory.ROWS, ("rows_start", "rows_count")),
        (Memory.NEURONS, ("bias",)),
        (Memory.CLASSES, ("class_threshold", "class_v_min", "class_start", "class_reset")),
        (Memory.WEIGHTS, ("weights",)),
    ):
        words = [unpack(image.shape, memory, word) for word in image.pack(memory)]
        for array in arrays:
            field = names.get(array, array.removeprefix("class_"))
            assert np.array_equal([word[field] for word in words], getattr(image, array))
        assert max(image.pack(memory)).bit_length() <= image.shape.word_bits(memory)


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
        CoreImage.padded(SHAPE, bias=[1], active_neurons=1),
    )
    assert len({image.digest, *(other.digest for other in others)}) == 5


def test_frames_write_every_configuration_word_once() -> None:
    image = CoreImage.padded(SHAPE, bias=[-1])
    frames = list(image.frames())
    state = {Memory.POTENTIALS, Memory.CURRENTS, Memory.REFRACTORY, Memory.ACCUMULATORS}
    expected = [
        (memory, address)
        for memory in SHAPE.memories
        if memory not in state
        for address in range(SHAPE.depth(memory))
    ]
    assert [(frame.memory, frame.address) for frame in frames] == expected
    assert all(len(frame.data) == SHAPE.word_bytes(frame.memory) for frame in frames)
    assert frames[-1].data == image.digest
    assert encode(frames) == b"".join(frame.encode() for frame in frames)
