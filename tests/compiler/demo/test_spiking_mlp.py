"""The training's forward pass is the integer rung; distortions and phases do what they say."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.compiler.backend import find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.demo.mnist import build_graph, encode
from spikec.compiler.demo.spiking_mlp import (
    Distortion,
    Settings,
    Weights,
    _distorted,
    _elastic_fields,
    phases,
    run,
    train,
)
from spikec.compiler.ladder import run_rung
from spikec.compiler.passes.quantise import Quantise

SMALL = Settings(hidden=24, classes=4, epochs=12, batch=16, state_bits=9)
STILL = Distortion(rotation=0.0, shift=0.0, scale=0.0, shear=0.0, elastic=0.0)


def bars(samples: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Noisy images of a bar at one of four places."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, samples)
    images = random.integers(0, 60, (samples, 28, 28))
    for image, label in zip(images, labels, strict=True):
        image[3 + 6 * label : 7 + 6 * label, 4:24] += 150
    return images.reshape(samples, 784).astype(np.uint8), labels


def noise(seed: int) -> tuple[npt.NDArray[np.uint8], Weights]:
    """Three images and weights without meaning, wild enough to reach both rails."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (3, 784)) * (random.random((3, 784)) < 0.1)
    hidden, output = (
        random.integers(-31, 32, size).astype(np.float32) for size in ((784, 24), (24, 4))
    )
    return images.astype(np.uint8), Weights(hidden, output)


@st.composite
def formats(draw: st.DrawFn) -> tuple[int, int]:
    """State bits, and a threshold for which the compiler gives the membrane no fraction."""
    state_bits = draw(st.integers(8, 10))
    room = (1 << (state_bits - 1)) - 1
    return state_bits, draw(st.integers(room // 8 + 1, room // 4))


@given(seed=st.integers(0, 1 << 16), chosen=formats(), full=st.integers(256, 900))
def test_forward_pass_is_the_integer_rung(seed: int, chosen: tuple[int, int], full: int) -> None:
    state_bits, threshold = chosen
    settings = replace(SMALL, thresholds=(threshold,) * 2, state_bits=state_bits, full=full)
    images, weights = noise(seed)
    backend, target = find_target("null")
    options = Quantise(weight_bits=6, state_bits=state_bits, input_max=1)
    built = compile_graph(build_graph(weights, settings), backend, target, options)
    stimulus = encode(images, settings.steps, full)
    names = ["hidden", "output"]
    found = run_rung(built.artifact(), "integer", stimulus, populations=names).recording
    counts = run(images, weights, settings)
    np.testing.assert_array_equal(stimulus.inputs["input"].counts(), counts.input)
    np.testing.assert_array_equal(found.spikes["hidden"].counts(), counts.hidden)
    np.testing.assert_array_equal(found.spikes["output"].counts(), counts.output)


def test_rails_matter() -> None:
    """What the test above compares does saturate."""
    settings = replace(SMALL, thresholds=(31, 31), state_bits=8)
    images, weights = noise(0)
    narrow, broad = (
        run(images, weights, replace(settings, state_bits=bits)).hidden for bits in (8, 20)
    )
    assert (narrow != broad).mean() > 0.1


def test_training_learns_and_repeats_itself() -> None:
    images, labels = bars(320, 1)
    unseen, wanted = bars(100, 2)
    told: list[int] = []
    first = train(images, labels, SMALL, lambda epoch, right: told.append(epoch))
    again = train(images, labels, SMALL)
    other = train(images, labels, replace(SMALL, seed=1))
    assert told == list(range(1, 13))
    np.testing.assert_array_equal(first.hidden, again.hidden)
    np.testing.assert_array_equal(first.output, again.output)
    assert (first.hidden != other.hidden).any()
    assert (run(unseen, first, SMALL).output.argmax(axis=1) == wanted).mean() >= 0.95


@pytest.mark.parametrize("bits", [3, 6, None])
def test_weights_fit_their_format(bits: int | None) -> None:
    images, labels = bars(64, 3)
    settings = replace(SMALL, weight_bits=bits, epochs=3, learning_rate=0.1)
    for layer in (lambda w: (w.hidden, w.output))(train(images, labels, settings)):
        assert np.abs(layer).max() <= settings.largest
        assert (layer == np.rint(layer)).all() == (bits is not None)


def test_phases_keep_every_step_as_busy() -> None:
    full = 340
    start = phases(784, full)
    assert start.min() >= 0
    assert start.max() < full
    grey = np.full((1, 784), 128, np.uint8)
    events = encode(grey, 25, full).inputs["input"]
    each = np.bincount(events.step, minlength=25)
    assert np.abs(each - 784 * 128 / full).max() <= 8


def test_no_distortion_changes_nothing() -> None:
    random = np.random.default_rng(0)
    images, _ = bars(5, 0)
    fields = _elastic_fields(STILL, random)
    picks = np.array([4, 0, 0])
    np.testing.assert_array_equal(_distorted(images, picks, STILL, fields, random), images[picks])


def test_distortions_move_a_digit_and_keep_it() -> None:
    random = np.random.default_rng(0)
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 10:18, 10:18] = 200
    distortion = Distortion()
    fields = _elastic_fields(distortion, random)
    picks = np.zeros(200, np.int64)
    seen = _distorted(image.reshape(1, 784), picks, distortion, fields, random)
    assert len(np.unique(seen, axis=0)) > 190
    ink = seen.sum(axis=1, dtype=np.int64) / image.sum()
    assert 0.9 < ink.mean() < 1.1
    assert ink.min() > 0.4
