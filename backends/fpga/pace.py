"""A core's own pace: what its steps take if each finds its events, and the next tick, at hand.

The counters of a device depend on when its host sends what; these figures do not. They come from
what a simulated core committed and spiked, and from the exact model of its cycles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...hdl.cycles import first_events_cycles, queued_cycles
from ...hdl.image import CoreImage
from ...hdl.shape import ParallelShape
from .cluster import Lowered
from .lower import LoweredCore

Integers = npt.NDArray[np.int64]


def own_pace(
    core: Lowered, counts: Integers, sample: Integers, trace: npt.NDArray[Any]
) -> Integers | None:
    """Cycles from the first event to the first tick, from each tick to the next, and to the end.

    Shape (samples, 1 + steps): a row adds up to what the sample takes.
    ``counts`` are the events (samples, steps, lines); ``trace`` holds the neurons that the core
    committed, ``sample`` says for which one each. None where there is no model: several cores,
    cores that learn, circuits.
    """
    if not isinstance(core, LoweredCore) or isinstance(core.shape, ParallelShape):
        return None
    shape = core.shape
    if shape.learning is not None:
        return None
    rows = _row_words(core.image)
    lines, spiking = rows[: shape.inputs], rows[shape.inputs :]
    image = core.image
    emits = np.repeat(image.class_emit[image.neuron_class], shape.units)
    emitted = set(np.flatnonzero(emits).tolist())
    samples, steps, _ = counts.shape
    found = np.zeros((samples, 1 + steps), np.int64)

    def words(sample: int, step: int) -> list[list[int]]:
        events = counts[sample, step]
        return [lines[n] for n in np.repeat(np.arange(events.size), events).tolist()]

    for one in range(samples):
        found[one, 0] = first_events_cycles(shape, words(one, 0))
    place = sample * steps + trace["step"]
    order = np.argsort(place, kind="stable")
    bounds = np.searchsorted(place[order], np.arange(samples * steps + 1))
    neuron, spike = trace["index"][order].astype(np.int64), trace["spike"][order] != 0
    for at in range(samples * steps):
        part = slice(bounds[at], bounds[at + 1])
        groups = np.unique(neuron[part] // shape.lanes).tolist()
        fired = neuron[part][spike[part]].tolist()
        spikes = {n: spiking[n] if shape.recurrent else [] for n in fired}
        one, step = divmod(at, steps)
        following = words(one, step + 1) if step + 1 < steps else []
        found[one, 1 + step] = queued_cycles(shape, groups, spikes, following, emitted)
    return found


def _row_words(image: CoreImage) -> list[list[int]]:
    """Words of each run of each source."""
    start, count = image.rows_start, image.rows_count
    if not image.shape.segments:
        return [[n] for n in count.tolist()]
    return [
        image.segment_count[a : a + n].tolist()
        for a, n in zip(start.tolist(), count.tolist(), strict=True)
    ]
