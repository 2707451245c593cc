"""The core against the reference: every spike, every state word, every counter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from spikec.hdl.cycles import step_cycles
from spikec.hdl.image import CoreImage
from spikec.hdl.shape import OVERFLOWS, ROUNDINGS, CoreShape, Overflow, Reset, Rounding

from .bench import run_core
from .images import random_image, random_shape, random_steps
from .reference import Reference


def check_equal(image: CoreImage, steps: Sequence[Sequence[int]]) -> int:
    """Compare a run with the reference; the number of spikes in it."""
    reference = Reference(image)
    total = 0
    for number, (record, events) in enumerate(zip(run_core(image, steps), steps, strict=True)):
        for source in events:
            reference.event(source)
        at = reference.step
        trace, emitted, event_words, spike_words = reference.tick()
        assert record.step == at
        assert record.trace == trace, f"step {number}"
        assert record.spikes == emitted, f"step {number}"
        predicted = step_cycles(image.shape, image.active_neurons, event_words, spike_words)
        assert record.cycles == predicted, f"step {number}"
        total += len(spike_words)
    return total


def check_seed(seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng)
    check_equal(random_image(shape, rng), random_steps(shape, steps, rng))


@pytest.mark.parametrize("seed", range(12))
def test_random_images(seed: int) -> None:
    check_seed(seed, 12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_many_random_images(seed: int) -> None:
    check_seed(seed, 20)


SHAPE = CoreShape(
    lanes=4,
    weight_bits=8,
    acc_bits=14,
    state_bits=10,
    neurons=8,
    inputs=4,
    words=32,
    classes=4,
    shift_bits=2,
    decay_bits=4,
)
EVERY_RESET = [int(reset) for reset in Reset]


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_all_resets_at_the_rails(rounding: Rounding, overflow: Overflow) -> None:
    """Weights of both extremes drive the state past both rails, up and down."""
    shape = replace(SHAPE, rounding=rounding, overflow=overflow, cuba=True)
    image = CoreImage.padded(
        shape,
        rows_start=[0, 2],
        rows_count=[2, 2],
        weights=[[127] * 4, [127, 126, 1, 0], [-128] * 4, [-128, -127, -1, 0]],
        word_target=[0, 1, 0, 1],
        neuron_class=[0, 1, 2, 3, 0, 1, 2, 3],
        bias=[1, -1, 3, -3, 0, 5, 7, 9],
        class_decay_v=[13, 16, 15, 11],
        class_decay_u=[9, 0, 16, 15],
        class_order_old=[0, 0, 1, 1],
        class_shift=[2, 0, 1, 2],
        class_threshold=[100, 50, 200, 60],
        class_v_reset=[0, -20, 0, 0],
        class_v_min=[-512, -512, -100, -512],
        class_reset=EVERY_RESET,
        class_emit=[1, 1, 1, 1],
        active_neurons=8,
    )
    steps = [[0], [0, 0], [], [0], [1, 1], [], [1], [0, 0, 0], [1], []]
    assert check_equal(image, steps) > 5


def test_words_for_the_same_place_back_to_back() -> None:
    """Sums run through the bypass within a row, between rows, and past a gap of one."""
    image = CoreImage.padded(
        replace(SHAPE, state_bits=16),
        rows_start=[0, 4, 5, 0],
        rows_count=[4, 1, 3, 0],
        weights=[[1, 2, 3, 4], [10, 20, 30, 40], [127] * 4, [-128] * 4] * 2,
        word_target=[0, 0, 0, 0, 0, 0, 1, 0],
        class_decay_v=[16],
        active_neurons=8,
    )
    check_equal(image, [[0], [1, 1, 1], [2, 1, 2], [0, 1, 2, 3, 0], [3, 3]])


def test_delays_turn_the_wheel() -> None:
    image = CoreImage.padded(
        replace(SHAPE, pages=4, lanes=1, neurons=5, step_bits=2),
        rows_start=[0, 0, 0, 0, 4, 5, 6, 7],
        rows_count=[4, 0, 0, 0, 1, 1, 1, 1],
        weights=[[100]] * 8,
        word_target=[0, 1, 2, 3, 1, 2, 3, 0],
        word_delay=[0, 1, 2, 3, 0, 3, 2, 1],
        class_threshold=[50],
        class_reset=[Reset.VALUE],
        class_emit=[1],
        active_neurons=5,
    )
    assert check_equal(image, [[0], [], [], [], [0], [], [], [], [], []]) == 18


def test_neurons_start_late_with_a_bias_of_their_own_and_rest_after_a_spike() -> None:
    image = CoreImage.padded(
        replace(SHAPE, first_bias=True, refractory_bits=2, cuba=True),
        rows_start=[0],
        rows_count=[2],
        weights=[[60] * 4] * 2,
        word_target=[0, 1],
        neuron_class=[0, 1, 2, 3, 0, 1, 2, 3],
        bias=[5] * 8,
        first_bias=[-40, 90, 17, 100, 0, 1, 2, 3],
        class_decay_v=[16] * 4,
        class_decay_u=[8] * 4,
        class_threshold=[70] * 4,
        class_reset=[Reset.VALUE, Reset.SUBTRACT, Reset.TWO_PHASE, Reset.VALUE],
        class_refractory=[0, 1, 2, 3],
        class_start=[0, 1, 2, 5],
        class_emit=[1, 0, 1, 1],
        active_neurons=7,
    )
    assert check_equal(image, [[0]] * 10) > 10


def test_a_core_without_active_neurons_still_counts_steps() -> None:
    image = CoreImage.padded(SHAPE, rows_count=[2])
    assert check_equal(image, [[0], [], [0, 1]]) == 0


@pytest.mark.parametrize("neurons", [1, 2, 3, 4, 8])
def test_all_neurons_may_spike_in_one_step(neurons: int) -> None:
    image = CoreImage.padded(
        replace(SHAPE, lanes=1, neurons=neurons),
        rows_start=[0] * (4 + neurons),
        rows_count=[0] * 4 + [1] * neurons,
        weights=[[1]],
        bias=[5] * neurons,
        class_reset=[Reset.VALUE],
        class_emit=[1],
        active_neurons=neurons,
    )
    assert check_equal(image, [[]] * 3) == 3 * neurons
