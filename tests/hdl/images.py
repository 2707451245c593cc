"""Random images that reach the corners: both rails, every reset, gaps, hazards."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from spikec.hdl.cluster_shape import DeviceShape
from spikec.hdl.image import CoreImage
from spikec.hdl.shape import (
    ADDRESSINGS,
    OVERFLOWS,
    ROUNDINGS,
    STORAGES,
    CoreShape,
    NeuronClass,
)


def random_shape(rng: np.random.Generator) -> CoreShape:
    """A small shape with any of the options."""
    units = int(rng.choice([1, 1, 2, 4]))
    lanes = units * int(rng.choice([1, 2, 3, 5]))
    storage = STORAGES[rng.integers(len(STORAGES))]
    groups = 1 if storage == "registers" else int(rng.choice([1, 2, 3, 4, 5, 37]))
    delays = 1 if storage == "registers" else int(rng.choice([1, 1, 2, 3, 8]))
    pages = 1 << (delays - 1).bit_length()
    if storage != "registers" and rng.random() < 0.7 and pages == delays:
        pages *= 2
    weight_bits = int(rng.integers(2, 9))
    addressing = ADDRESSINGS[rng.integers(len(ADDRESSINGS))]
    segments = int(rng.integers(1, 9)) if addressing == "row" and rng.random() < 0.5 else 0
    shape = CoreShape(
        lanes=lanes,
        weight_bits=weight_bits,
        acc_bits=weight_bits + int(rng.integers(4, 9)),
        state_bits=int(rng.integers(8, 17)),
        neurons=lanes * groups,
        inputs=int(rng.integers(1, 9)),
        words=int(rng.integers(1, 33)),
        units=units,
        segments=segments,
        addressing=addressing,
        recurrent=bool(rng.random() < 0.8),
        classes=int(rng.integers(1, 5)),
        bias=bool(rng.random() < 0.7),
        delays=delays,
        pages=pages,
        storage=storage,
        bank_bits=int(rng.choice([16, 36])),
        weight_bank_bits=int(rng.choice([8, 16, 36])),
        cuba=bool(rng.integers(2)),
        refractory_bits=int(rng.choice([0, 1, 3])),
        shift_bits=int(rng.integers(0, 4)),
        step_bits=int(rng.choice([4, 16])),
        decay_bits=int(rng.choice([1, 4, 12])),
        rounding=ROUNDINGS[rng.integers(len(ROUNDINGS))],
        overflow=OVERFLOWS[rng.integers(len(OVERFLOWS))],
    )
    shape = replace(shape, first_bias=shape.bias and bool(rng.integers(2)))
    share = rng.choice([0.0, 0.5, 1.0])
    one = {name: int(values[0]) for name, values in _classes(shape, 1, rng).items()}
    fields = {field.name for field in shape.class_fields}
    fixed = {k: v for k, v in one.items() if k in fields and rng.random() < share}
    if len(fixed) == len(fields):
        shape = replace(shape, classes=1)
    shape = replace(shape, fixed=NeuronClass(**fixed), readback=bool(rng.random() < 0.8))
    if rng.random() < 0.3:
        shape = _with_recovery(shape, share, rng)
    timers = ((), (1,), (2,), (3, 5))[rng.integers(4)] if rng.random() < 0.5 else None
    shape = replace(shape, timers=timers, linear=not shape.quadratic and bool(rng.random() < 0.3))
    one = {name: int(values[0]) for name, values in _classes(shape, 1, rng).items()}
    names = [f.name for f in shape.class_fields if f.name.startswith("adapt") or "leak" in f.name]
    more = {name: one[name] for name in names if rng.random() < share}
    return replace(shape, fixed=replace(shape.fixed, **more))


def _with_recovery(shape: CoreShape, share: float, rng: np.random.Generator) -> CoreShape:
    """The shape with membranes of Izhikevich's, whatever current it had."""
    fixed = {f.name: getattr(shape.fixed, f.name) for f in fields(NeuronClass)}
    fixed |= {"decay_u": None, "order_old": None}
    shape = replace(
        shape, cuba=False, quadratic=int(rng.integers(1, 4)), fixed=NeuronClass(**fixed)
    )
    one = _recovery(shape, 1, rng)
    names = [name for name in ("curve", "couple", "rate", "jump", "again") if rng.random() < share]
    return replace(shape, fixed=replace(shape.fixed, **{name: int(one[name][0]) for name in names}))


def _recovery(shape: CoreShape, c: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Some classes have a recovery, with numbers of any size, some have none."""
    names = ("curve", "couple", "rate", "jump", "again")
    if not shape.quadratic:
        return {name: np.zeros(c, np.int64) for name in names}
    one = shape.decay_one
    some = rng.random(c) < 0.7
    limits = {"curve": (0, 32 * one - 1), "couple": (-4 * one, 4 * one - 1)}
    limits |= {"rate": (-16 * one, 16 * one - 1), "jump": (shape.state_min, shape.state_max)}
    numbers = {
        name: np.where(
            rng.random(c) < 0.2, rng.choice([low, high], c), rng.integers(low, high, c) // 8
        )
        * some
        for name, (low, high) in limits.items()
    }
    return {**numbers, "again": rng.integers(0, shape.quadratic, c)}


def _state(shape: CoreShape, size: int, spread: float, rng: np.random.Generator) -> np.ndarray:
    bound = max(1, int(shape.state_max * spread))
    values = rng.integers(-bound, bound + 1, size)
    rails = rng.choice([shape.state_min, shape.state_max, 0], size)
    return np.where(rng.random(size) < 0.1, rails, values)


def _classes(shape: CoreShape, c: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    decays = rng.choice([0, 1, shape.decay_one // 2, shape.decay_one - 1, shape.decay_one], (2, c))
    low = _state(shape, c, 0.3, rng)
    if shape.quadratic and rng.random() < 0.7:
        decays[0] = rng.integers(-8 * shape.decay_one, 8 * shape.decay_one, c)
    return {
        "decay_v": decays[0],
        "decay_u": decays[1] * shape.cuba,
        "shift": rng.integers(0, 1 << shape.shift_bits, c),
        "threshold": _state(shape, c, 0.2, rng),
        "v_reset": _state(shape, c, 0.5, rng),
        "v_min": np.where(rng.random(c) < 0.5, shape.state_min, low),
        "reset": rng.integers(0, 4, c),
        "order_old": rng.integers(0, 2, c) * shape.cuba,
        "refractory": rng.integers(0, 1 << shape.refractory_bits, c),
        "start": rng.choice([0, 0, 1, 3], c),
        "emit": rng.integers(0, 2, c),
        **_adaptation(shape, c, rng),
        **_leaks(shape, c, rng),
        **_recovery(shape, c, rng),
    }


def _leaks(shape: CoreShape, c: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Some classes decay, some leak, to zero or elsewhere."""
    if not shape.linear:
        return {"leak": np.zeros(c, np.int64), "v_leak": np.zeros(c, np.int64)}
    goal = np.where(rng.random(c) < 0.5, 0, _state(shape, c, 0.3, rng))
    return {"leak": rng.choice([0, 1, 5, shape.state_max // 9, shape.state_max], c), "v_leak": goal}


def _adaptation(shape: CoreShape, c: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Thresholds of some classes stay where they are, some decay in no step."""
    timers = shape.timers or (0,)
    timer = rng.integers(0, len(timers), c)
    phase = rng.integers(0, np.array(timers)[timer] + 1)
    high = shape.state_max if shape.adaptive else 0
    return {
        "adapt_inc": rng.choice([0, high // 3, high // 20, min(high, 1), high], c),
        "adapt_shift": rng.choice([0, 1, 3, shape.state_bits], c) * bool(shape.timers),
        "adapt_timer": timer,
        "adapt_phase": phase,
    }


def random_image(shape: CoreShape, rng: np.random.Generator) -> CoreImage:
    """Contents for a shape; rows overlap, repeat targets and may be empty."""
    n, w, c = shape.neurons, shape.words, shape.classes
    low, high = -(1 << (shape.weight_bits - 1)), (1 << (shape.weight_bits - 1)) - 1
    weights = rng.integers(low, high + 1, (w, shape.lanes))
    weights = np.where(
        rng.random(weights.shape) < 0.3, rng.choice([low, high], weights.shape), weights
    )

    def runs(size: int, parts: int, span: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Random start, count and target within ``parts`` and the groups."""
        start = rng.integers(0, parts, size)
        longest = np.minimum(parts - start, 6)
        target = rng.integers(0, shape.groups, size)
        target = np.where(rng.random(size) < 0.5, target[:1], target)
        if span is not None:
            longest = np.minimum(longest, shape.groups - target)
        return start, rng.integers(0, longest + 1), target

    by_row = shape.addressing == "row"
    arrays: dict[str, np.ndarray] = {}
    if shape.segments:
        start, count, target = runs(shape.segments, w, 1)
        arrays |= {"segment_start": start, "segment_count": count}
        # Rows add to the groups of their segments.
        first = rng.integers(0, shape.groups, shape.sources)
        last = (target + np.maximum(count, 1)).max()
        arrays["rows_target"] = np.minimum(first, shape.groups - last)
        arrays["segment_target"] = target
        arrays["segment_delay"] = rng.integers(0, shape.delays, shape.segments)
        arrays["rows_start"], arrays["rows_count"], _ = runs(shape.sources, shape.segments, None)
    else:
        start, count, target = runs(shape.sources, w, 1 if by_row else None)
        arrays |= {"rows_start": start, "rows_count": count}
        if by_row:
            arrays["rows_target"] = target
            arrays["rows_delay"] = rng.integers(0, shape.delays, shape.sources)
        else:
            size = (w, shape.lanes if shape.addressing == "lane" else 1)
            target = rng.integers(0, shape.groups, size)
            target = np.where(rng.random(size) < 0.5, target[:1], target)
            delay = rng.integers(0, shape.delays, size)
            arrays["word_target"] = np.broadcast_to(target, (w, shape.lanes))
            arrays["word_delay"] = np.broadcast_to(delay, (w, shape.lanes))
    if shape.bias:
        arrays["bias"] = _state(shape, n, 0.1, rng) * (rng.random() < 0.7)
    if shape.first_bias:
        arrays["first_bias"] = _state(shape, n, 0.5, rng)
    arrays |= {
        f"class_{k}": v
        for k, v in _classes(shape, c, rng).items()
        if getattr(shape.fixed, k) is None
    }
    return CoreImage.padded(
        shape,
        weights=weights,
        neuron_class=rng.integers(0, c, n // shape.units),
        **arrays,
    )


def random_steps(shape: DeviceShape, steps: int, rng: np.random.Generator) -> list[list[int]]:
    """Events of each step; the same source may come several times."""
    return [
        [int(s) for s in rng.integers(0, shape.inputs, rng.integers(0, 7))] for _ in range(steps)
    ]
