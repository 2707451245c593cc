"""The core against the reference: every spike, every state word, every counter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from spikec.hdl.cycles import step_cycles
from spikec.hdl.image import CoreImage

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


@pytest.mark.parametrize("seed", range(20))
def test_random_images(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng)
    check_equal(random_image(shape, rng), random_steps(shape, 20, rng))
