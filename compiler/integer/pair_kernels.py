"""Numba kernels of `ir.integer_plasticity`: weights with a fraction, and what moves them.

Synapses are found as in `learning_kernels`. An array that is empty, and a number of steps that is
0, take no part: there are too many kinds of rules to compile each of them. A ``change`` of a
synapse is either that of its neuron, ``delta``, or that of an amplitude and a trace.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from ...ir.integer_plasticity import MAX_ELIGIBLE
from .kernels import NEAREST_EVEN, round_shift
from .learning_kernels import row_ends, whole

_ELIGIBLE = np.int64(MAX_ELIGIBLE)


@numba.njit(cache=True, inline="always")
def clip(x: Any, low: Any, high: Any) -> Any:
    """x within low and high."""
    return min(max(x, low), high)


@numba.njit(cache=True, inline="always")
def ratio(x: Any, y: Any) -> Any:
    """round(x / y), to the nearest even, of y > 0."""
    floor = x // y
    left = 2 * (x - floor * y)
    return floor + (left > y or (left == y and floor & 1 != 0))


@numba.njit(cache=True, inline="always")
def levelled(old: Any, change: Any, low: Any, high: Any, levels: Any) -> Any:
    """The level that a change leaves; ``levels`` holds their number less one, and whether what is
    between two goes down.
    """
    steps, down = levels
    span = high - low
    level = ratio((old - low) * steps, span)
    place = (old - low) * steps
    if old == low + ratio(level * span, steps):
        place = level * span
    place = clip(place + clip(change, -span, span) * steps, np.int64(0), span * steps)
    level = place // span if down else ratio(place, span)
    return low + ratio(level * span, steps)


@numba.njit(cache=True, inline="always")
def product(amplitude: Any, trace: Any, room: Any, scale: Any) -> Any:
    """round(|amplitude| trace room / 2^shift), with the sign of the amplitude."""
    shift, rounding = scale
    size = round_shift(abs(amplitude) * trace * room, shift, rounding, np.int64(0))
    return size if amplitude >= 0 else -size


@numba.njit(cache=True)
def read_pairs(
    index: Any,
    value: Any,
    count: Any,
    weight: Any,
    indptr: Any,
    post: Any,
    width: Any,
    enable: Any,
    delta: Any,
    amplitude: Any,
    times: Any,
    bounds: Any,
    trace: Any,
    scale: Any,
    room: Any,
    rails: Any,
    levels: Any,
    eligible: Any,
    bonus: Any,
    after: Any,
    fraction: Any,
    acc: Any,
) -> Any:
    """Transmit the rows of the events into ``acc``, and change them on the way.

    By ``delta`` of the post neuron, or by the ``amplitude`` of the pre one, the ``trace`` of the
    post one and, with ``room``, the distance of W from the lower of ``rails``. The amplitude is
    multiplied with ``times`` of the post neuron, a product shifted and limited by ``bounds``.
    What changes is W, of few values with ``levels``, or ``eligible``, by ``bonus`` more. Returns
    the number of synapses read.
    """
    low, high = rails
    shift, limit = bounds
    done = 0
    for k in range(count):
        i, factor = index[k], value[k]
        begin, end = row_ends(i, width, indptr)
        for s in range(begin, end):
            j = s - begin if post is None else np.int64(post[s])
            old = np.int64(weight[s])
            new = old
            if enable is None or enable[s]:
                if amplitude.size == 0:
                    change = delta[j]
                else:
                    size = amplitude[i]
                    if times.size:
                        size = round_shift(size * times[j], shift, NEAREST_EVEN, np.int64(0))
                        size = clip(size, -limit, limit)
                    change = product(size, trace[j], old - low if room else np.int64(1), scale)
                if eligible.size:
                    eligible[s] = clip(eligible[s] + bonus + change, -_ELIGIBLE, _ELIGIBLE)
                elif levels[0] == 0:
                    new = clip(old + change, low, high)
                elif change != 0:
                    new = levelled(old, change, low, high, levels)
                weight[s] = new
            acc[j] += whole(new if after else old, fraction) * factor
        done += end - begin
    return done


@numba.njit(cache=True)
def write_pairs(
    index: Any,
    count: Any,
    weight: Any,
    starts: Any,
    source: Any,
    place: Any,
    width: Any,
    enable: Any,
    delta: Any,
    amplitude: Any,
    trace: Any,
    scale: Any,
    room: Any,
    rails: Any,
    levels: Any,
    eligible: Any,
) -> None:
    """Change the columns j that spiked: as ``read_pairs``, of ``delta`` and ``trace`` of the pre
    neurons, the ``amplitude`` of the post one, and the distance of W from the upper rail.
    """
    low, high = rails
    pre_size = weight.size // width  # of a dense one
    for k in range(count):
        j = index[k]
        begin = 0 if starts is None else starts[j]
        end = pre_size if starts is None else starts[j + 1]
        for c in range(begin, end):
            i = c if source is None else np.int64(source[c])
            s = i * width + j if place is None else np.int64(place[c])
            if enable is None or enable[s]:
                old = np.int64(weight[s])
                if amplitude.size == 0:
                    change = delta[i]
                else:
                    distance = high - old if room else np.int64(1)
                    change = product(amplitude[j], trace[i], distance, scale)
                if eligible.size:
                    eligible[s] = clip(eligible[s] + change, -_ELIGIBLE, _ELIGIBLE)
                elif levels[0] == 0:
                    weight[s] = clip(old + change, low, high)
                elif change != 0:
                    weight[s] = levelled(old, change, low, high, levels)


@numba.njit(cache=True)
def raised(base: Any, trace: Any, update: Any, limit: Any, out: Any) -> None:
    """out = base + sign round(amplitude trace / 2^shift), within ``limit``; see `Update`."""
    sign, amplitude, shift, rounding = update
    for n in range(trace.size):
        more = sign * round_shift(amplitude * trace[n], shift, rounding, np.int64(0))
        out[n] = clip(base + more, -limit, limit)


@numba.njit(cache=True)
def fade(eligible: Any, keep: Any, bits: Any) -> None:
    """eligible = eligible keep / 2^bits, toward zero."""
    for s in range(eligible.size):
        e = eligible[s]
        eligible[s] = (e * keep) >> bits if e >= 0 else -((-e * keep) >> bits)


@numba.njit(cache=True)
def shown(value: Any, shift: Any, most: Any, out: Any) -> None:
    """out = round(value / 2^shift) within ``most``, of one value for all or one for each."""
    for j in range(out.size):
        v = round_shift(value[j if value.size > 1 else 0], shift, NEAREST_EVEN, np.int64(0))
        out[j] = clip(v, -most, most)


@numba.njit(cache=True)
def learn_eligible(
    weight: Any,
    indptr: Any,
    post: Any,
    width: Any,
    enable: Any,
    eligible: Any,
    modulation: Any,
    eta: Any,
    shift: Any,
    low: Any,
    high: Any,
) -> None:
    """W = clamp(W + round(eta modulation_j eligible / 2^shift)) in all rows."""
    rows = weight.size // width if indptr is None else indptr.size - 1
    for i in range(rows):
        begin, end = row_ends(i, width, indptr)
        for s in range(begin, end):
            if enable is None or enable[s]:
                m = modulation[s - begin if post is None else np.int64(post[s])]
                change = round_shift(eta * m * eligible[s], shift, NEAREST_EVEN, np.int64(0))
                weight[s] = clip(np.int64(weight[s]) + change, low, high)


@numba.njit(cache=True)
def learn_products(
    weight: Any,
    indptr: Any,
    post: Any,
    width: Any,
    enable: Any,
    x: Any,
    y: Any,
    eta: Any,
    shift: Any,
    low: Any,
    high: Any,
) -> None:
    """W = clamp(W + round(eta y_j x_i / 2^shift)) in all rows."""
    for i in range(x.size):
        if x[i] == 0:
            continue
        begin, end = row_ends(i, width, indptr)
        for s in range(begin, end):
            if enable is None or enable[s]:
                m = y[s - begin if post is None else np.int64(post[s])]
                change = round_shift(eta * m * x[i], shift, NEAREST_EVEN, np.int64(0))
                weight[s] = clip(np.int64(weight[s]) + change, low, high)


@numba.njit(cache=True)
def scale_columns(
    index: Any,
    count: Any,
    weight: Any,
    starts: Any,
    source: Any,
    place: Any,
    width: Any,
    enable: Any,
    target: Any,
    norm: Any,
    low: Any,
    high: Any,
) -> None:
    """W = clamp(round(W target / norm)) over the columns of ``index``, unless that is not above 0.

    ``norm`` is 0 for the sum of the weights that learn, 1 for that of their sizes, 2 for that of
    those above zero.
    """
    pre_size = weight.size // width  # of a dense one
    for k in range(count):
        j = index[k]
        begin = 0 if starts is None else starts[j]
        end = pre_size if starts is None else starts[j + 1]
        total = np.int64(0)
        for c in range(begin, end):
            s = c * width + j if place is None else np.int64(place[c])
            if enable is None or enable[s]:
                w = np.int64(weight[s])
                if norm == 1:
                    w = abs(w)
                elif norm == 2 and w < 0:
                    w = np.int64(0)
                total += w
        if total == 0 or (total > 0) != (target > 0):
            continue
        for c in range(begin, end):
            s = c * width + j if place is None else np.int64(place[c])
            if enable is None or enable[s]:
                w = np.int64(weight[s]) * abs(target)
                weight[s] = clip(ratio(w, abs(total)), low, high)


@numba.njit(cache=True)
def tie(
    weight: Any, mine: Any, source: Any, theirs: Any, factor: Any, shift: Any, low: Any, high: Any
) -> None:
    """weight[mine] = clamp(round(factor source[theirs] / 2^shift))."""
    for s in range(mine.size):
        w = round_shift(factor * np.int64(source[theirs[s]]), shift, NEAREST_EVEN, np.int64(0))
        weight[mine[s]] = clip(w, low, high)
