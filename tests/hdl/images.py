"""Random images that reach the corners: both rails, every reset, gaps, hazards."""

from __future__ import annotations

import numpy as np
from spikec.hdl.image import CoreImage
from spikec.hdl.shape import OVERFLOWS, ROUNDINGS, CoreShape


def random_shape(rng: np.random.Generator) -> CoreShape:
    """A small shape with any of the options."""
    lanes = int(rng.choice([1, 2, 4, 8]))
    groups = int(rng.integers(1, 5))
    weight_bits = int(rng.integers(2, 9))
    return CoreShape(
        lanes=lanes,
        weight_bits=weight_bits,
        acc_bits=weight_bits + int(rng.integers(4, 9)),
        state_bits=int(rng.integers(8, 17)),
        neurons=lanes * groups,
        inputs=int(rng.integers(1, 9)),
        words=int(rng.integers(1, 33)),
        classes=int(rng.integers(1, 5)),
        pages=int(rng.choice([1, 1, 2, 4, 8])),
        cuba=bool(rng.integers(2)),
        first_bias=bool(rng.integers(2)),
        refractory_bits=int(rng.choice([0, 1, 3])),
        shift_bits=int(rng.integers(0, 4)),
        step_bits=int(rng.choice([4, 16])),
        decay_bits=int(rng.choice([1, 4, 12])),
        rounding=ROUNDINGS[rng.integers(len(ROUNDINGS))],
        overflow=OVERFLOWS[rng.integers(len(OVERFLOWS))],
    )


def random_image(shape: CoreShape, rng: np.random.Generator) -> CoreImage:
    """Contents for a shape; rows overlap, repeat targets and may be empty."""
    n, w, c = shape.neurons, shape.words, shape.classes
    low, high = -(1 << (shape.weight_bits - 1)), (1 << (shape.weight_bits - 1)) - 1

    def state(size: int, spread: float) -> np.ndarray:
        bound = max(1, int(shape.state_max * spread))
        values = rng.integers(-bound, bound + 1, size)
        rails = rng.choice([shape.state_min, shape.state_max, 0], size)
        return np.where(rng.random(size) < 0.1, rails, values)

    weights = rng.integers(low, high + 1, (w, shape.lanes))
    weights = np.where(rng.random(weights.shape) < 0.3, rng.choice([low, high], weights.shape), weights)
    start = rng.integers(0, w, shape.sources)
    longest = np.minimum(w - start, 6)
    count = rng.integers(0, longest + 1)
    target = rng.integers(0, shape.groups, w)
    target = np.where(rng.random(w) < 0.5, target[0], target)
    decays = rng.choice([0, 1, shape.decay_one // 2, shape.decay_one - 1, shape.decay_one], (2, c))
    optional = {}
    if shape.cuba:
        optional["class_decay_u"] = decays[1]
        optional["class_order_old"] = rng.integers(0, 2, c)
    if shape.first_bias:
        optional["first_bias"] = state(n, 0.5)
    return CoreImage.padded(
        shape,
        rows_start=start,
        rows_count=count,
        weights=weights,
        word_target=target,
        word_delay=rng.integers(0, shape.pages, w),
        neuron_class=rng.integers(0, c, n),
        bias=state(n, 0.1),
        class_decay_v=decays[0],
        class_shift=rng.integers(0, 1 << shape.shift_bits, c),
        class_threshold=state(c, 0.2),
        class_v_reset=state(c, 0.5),
        class_v_min=np.where(rng.random(c) < 0.5, shape.state_min, state(c, 0.3)),
        class_reset=rng.integers(0, 4, c),
        class_refractory=rng.integers(0, 1 << shape.refractory_bits, c),
        class_start=rng.choice([0, 0, 1, 3], c),
        class_emit=rng.integers(0, 2, c),
        active_neurons=int(rng.integers(0, n + 1)) if rng.random() < 0.3 else n,
        **optional,
    )


def random_steps(shape: CoreShape, steps: int, rng: np.random.Generator) -> list[list[int]]:
    """Events of each step; the same source may come several times."""
    return [
        [int(s) for s in rng.integers(0, shape.inputs, rng.integers(0, 7))] for _ in range(steps)
    ]
