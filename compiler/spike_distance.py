r"""Distances of spike trains: of van Rossum and of Victor and Purpura.

With :math:`d_k` the excess of the first train over the second in step :math:`t_k` both depend on
:math:`d` alone, so their price is that of the spikes that differ.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ..ir.events import Events

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def van_rossum(a: Events, b: Events, tau: float) -> Floats:
    r"""Distance of van Rossum of every pair of spike trains, shape (samples, neurons).

    .. math::
        D^2 = \frac{1}{\tau} \int_0^\infty (f - g)^2 \, dt
            = \frac{1}{2} \sum_{k, l} d_k d_l \, e^{-|t_k - t_l| / \tau},
        \qquad f(t) = \sum_i e^{-(t - t_i) / \tau} \, H(t - t_i),

    exactly, with :math:`d` the excess of one train over the other; ``tau`` and t in steps. One
    spike against none gives :math:`1/\sqrt 2`. Linear in the spikes that differ, by the recursion
    of Houghton and Kreuz (2012). Source: M. van Rossum, *A novel spike distance*, Neural
    Computation 13 (2001) 751-763.
    """
    if tau <= 0:
        raise ValueError(f"tau must be above 0, not {tau}")
    train, step, excess, starts = _pairwise(a, b)
    out = np.zeros(a.samples * a.size)
    out[train] = np.sqrt(van_rossum_squares(starts, step, excess, tau))
    return out.reshape(a.samples, a.size)


def victor_purpura(a: Events, b: Events, q: float) -> Floats:
    r"""Cost of Victor and Purpura of every pair of spike trains, shape (samples, neurons).

    The least cost of turning one train into the other, where adding or deleting a spike costs 1
    and moving it by :math:`\Delta t` steps costs :math:`q\,|\Delta t|`:

    .. math::
        G_{ij} = \min(G_{i-1,j} + 1,\; G_{i,j-1} + 1,\; G_{i-1,j-1} + q\,|t_i - t_j|).

    Spikes at one time in both trains are matched first: by the triangle inequality no cheaper
    matching leaves them apart. A count of n is n spikes. Source: J. Victor, K. Purpura, *Nature
    and precision of temporal coding in visual cortex*, J. Neurophysiology 76 (1996) 1310-1326.
    """
    if q < 0:
        raise ValueError(f"q must not be below 0: {q}")
    train, step, excess, starts = _pairwise(a, b)
    out = np.zeros(a.samples * a.size)
    out[train] = victor_purpura_costs(starts, step, excess.astype(np.int64), q)
    return out.reshape(a.samples, a.size)


def _pairwise(a: Events, b: Events) -> tuple[Ints, Ints, npt.NDArray[Any], Ints]:
    shapes = [(e.samples, e.steps, e.size) for e in (a, b)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"(samples, steps, neurons) are {shapes[0]} and {shapes[1]}")
    return excess_by_train(*differing(a, b, a.samples), a)


@numba.njit(cache=True)
def van_rossum_squares(starts: Any, step: Any, excess: Any, tau: float) -> Any:
    """Square of `van_rossum` of each train of `excess_by_train`."""
    squares = np.zeros(starts.size - 1)
    for train in range(starts.size - 1):
        trace = 0.0
        total = 0.0
        last = 0
        for k in range(starts[train], starts[train + 1]):
            trace *= np.exp(-(step[k] - last) / tau)
            total += excess[k] * (excess[k] + 2.0 * trace)
            trace += excess[k]
            last = step[k]
        # Rounding may leave a sum that is zero on paper a little below it.
        squares[train] = max(0.5 * total, 0.0)
    return squares


@numba.njit(cache=True)
def victor_purpura_costs(starts: Any, step: Any, excess: Any, q: float) -> Any:
    """`victor_purpura` of each train of `excess_by_train`, whose excess is whole numbers."""
    costs = np.zeros(starts.size - 1)
    for train in range(starts.size - 1):
        low, high = starts[train], starts[train + 1]
        size = 0
        for k in range(low, high):
            size += max(-excess[k], 0)
        times = np.empty(size, np.int64)
        size = 0
        for k in range(low, high):
            for _ in range(-excess[k]):
                times[size] = step[k]
                size += 1
        row = np.arange(size + 1).astype(np.float64)
        for k in range(low, high):
            for _ in range(excess[k]):
                corner = row[0]
                row[0] += 1.0
                for j in range(size):
                    best = corner + q * abs(step[k] - times[j])
                    corner = row[j + 1]
                    row[j + 1] = min(best, corner + 1.0, row[j] + 1.0)
        costs[train] = row[size]
    return costs


def differing(
    a: Events, b: Events, samples: int, scales: tuple[float | None, float | None] = (None, None)
) -> tuple[Ints, npt.NDArray[Any], npt.NDArray[Any]]:
    """Places (sample, step, line in one number, sorted) where two events differ, and the values.

    Values of a side with a scale are multiplied with it first.
    """
    keys, values = [], []
    for events, scale in zip((a, b), scales, strict=True):
        high = int(np.searchsorted(events.sample, samples))
        key = events.sample[:high].astype(np.int64) * events.steps + events.step[:high]
        keys.append(key * events.size + events.index[:high])
        value = np.array(events.value[:high])
        # An absent event is a membrane of zero: a readout starts there.
        values.append(value if scale is None else value * scale)
    place, left, right = _merge(keys[0], values[0], keys[1], values[1])
    return place, left, right


@numba.njit(cache=True)
def _merge(left_key: Any, left: Any, right_key: Any, right: Any) -> Any:
    """The places of two sorted lists where the values differ; a place that is absent holds 0."""
    most = left_key.size + right_key.size
    place = np.empty(most, np.int64)
    ones, twos = np.zeros(most, left.dtype), np.zeros(most, right.dtype)
    found = i = j = 0
    while i < left_key.size or j < right_key.size:
        from_left = j == right_key.size or (i < left_key.size and left_key[i] <= right_key[j])
        from_right = i == left_key.size or (j < right_key.size and right_key[j] <= left_key[i])
        place[found] = left_key[i] if from_left else right_key[j]
        ones[found] = left[i] if from_left else 0
        twos[found] = right[j] if from_right else 0
        i += from_left
        j += from_right
        if ones[found] != twos[found]:
            found += 1
    return place[:found].copy(), ones[:found].copy(), twos[:found].copy()


def excess_by_train(
    place: Ints, left: npt.NDArray[Any], right: npt.NDArray[Any], shape: Events
) -> tuple[Ints, Ints, npt.NDArray[Any], Ints]:
    """Differences train by train: (train of each, step, excess of left, where each begins).

    A train is one neuron in one sample: ``train = sample * size + neuron``.
    """
    moment, line = np.divmod(place, max(shape.size, 1))
    sample, step = np.divmod(moment, max(shape.steps, 1))
    train = sample * shape.size + line
    order = np.argsort(train, kind="stable")
    train, step, excess = train[order], step[order], (left - right)[order]
    starts = np.flatnonzero(np.diff(train, prepend=-1)).astype(np.int64)
    ends = np.append(starts, train.size)
    return train[starts], step, excess, ends
