"""Numba kernels of plastic projections: one pass over the rows or the columns that spiked.

``weight`` and ``enable`` are flat, in rows by pre. With ``indptr`` and ``post`` (CSR) row i is
``indptr[i] .. indptr[i + 1]``; without them it is dense, ``width`` wide. Columns are found by
``starts``, ``source`` and ``place`` (CSC, ``place`` pointing into the rows), or by stride.
``enable`` is ``None`` where every synapse is plastic. What is ``None`` is compiled out. Nothing is
allocated.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from ...ir.plasticity import LFSR_TAPS
from .kernels import product_s1615, round_shift, wrap32

_TAPS = np.int64(LFSR_TAPS)
_WORD = np.int64(0xFFFFFFFF)


@numba.njit(cache=True, inline="always")
def advance(state: Any) -> Any:
    """``ir.plasticity.next_state`` of a state held in 64 bits."""
    return (state >> 1) ^ (_TAPS * (state & 1))


@numba.njit(cache=True, inline="always")
def rotated(state: Any, places: Any) -> Any:
    """The 32 bits of ``state`` rotated right by ``places`` (0 to 31)."""
    return ((state >> places) | (state << (32 - places))) & _WORD


@numba.njit(cache=True, inline="always")
def noisy(product: Any, state: Any, lane: Any, lanes: Any, shift: Any) -> Any:
    """floor((product + r) / 2^shift), r < 2^shift the noise of ``lane`` modulo ``lanes``."""
    lane = lane - lanes if lane >= lanes else lane
    noise = rotated(state, lane & 31) & ((np.int64(1) << shift) - 1)
    return (product + noise) >> shift


@numba.njit(cache=True)
def row_ends(i: Any, width: Any, indptr: Any) -> Any:
    """Where row i begins, and where the next one does."""
    if indptr is None:
        return i * width, i * width + width
    return indptr[i], indptr[i + 1]


@numba.njit(cache=True, inline="always")
def whole(weight: Any, fraction: Any) -> Any:
    """A weight rounded to its unit, a half up."""
    return (weight + ((np.int64(1) << fraction) >> 1)) >> fraction


@numba.njit(cache=True)
def push_whole(
    index: Any,
    value: Any,
    count: Any,
    weight: Any,
    indptr: Any,
    post: Any,
    width: Any,
    fraction: Any,
    acc: Any,
) -> Any:
    """Add the rows of the events, rounded to units; returns the number of synapses read."""
    done = 0
    for k in range(count):
        begin, end = row_ends(index[k], width, indptr)
        for s in range(begin, end):
            j = s - begin if post is None else np.int64(post[s])
            acc[j] += whole(np.int64(weight[s]), fraction) * value[k]
        done += end - begin
    return done


@numba.njit(cache=True)
def read_rows(
    index: Any,
    value: Any,
    count: Any,
    weight: Any,
    indptr: Any,
    post: Any,
    width: Any,
    enable: Any,
    delta: Any,
    low: Any,
    high: Any,
    after: Any,
    acc: Any,
) -> Any:
    """Transmit the rows of the events into ``acc``; w_ij = clamp(w_ij + delta_j) on the way.

    Returns the number of synapses read.
    """
    done = 0
    for k in range(count):
        i, factor = index[k], value[k]
        begin, end = row_ends(i, width, indptr)
        for s in range(begin, end):
            j = s - begin if post is None else post[s]
            old = np.int64(weight[s])
            new = old
            if enable is None or enable[s]:
                new = min(max(old + delta[j], low), high)
                weight[s] = new
            acc[j] += (new if after else old) * factor
        done += end - begin
    return done


@numba.njit(cache=True)
def read_rows_stochastic(
    index: Any,
    value: Any,
    count: Any,
    weight: Any,
    indptr: Any,
    post: Any,
    width: Any,
    enable: Any,
    product: Any,
    integers: Any,
    generator: Any,
    after: Any,
    acc: Any,
) -> Any:
    """As ``read_rows``; what is added is offset + sign floor((product_j + r) / 2^shift).

    ``integers`` holds sign, shift, offset, low, high and the number of lanes.
    """
    sign, shift, offset, low, high, lanes = integers
    state = generator[0]
    done = 0
    for k in range(count):
        i, factor = index[k], value[k]
        begin, end = row_ends(i, width, indptr)
        skew = i % lanes
        s = begin
        for first in range(0, width, lanes):
            while s < end:
                j = s - begin if post is None else np.int64(post[s])
                if j >= first + lanes:
                    break
                old = np.int64(weight[s])
                new = old
                if enable is None or enable[s]:
                    change = noisy(product[j], state, skew + j - first, lanes, shift)
                    new = min(max(old + offset + sign * change, low), high)
                    weight[s] = new
                acc[j] += (new if after else old) * factor
                s += 1
            state = advance(state)
        done += end - begin
    generator[0] = state
    return done


@numba.njit(cache=True)
def write_columns(
    index: Any,
    count: Any,
    weight: Any,
    starts: Any,
    source: Any,
    place: Any,
    width: Any,
    enable: Any,
    delta: Any,
    low: Any,
    high: Any,
) -> None:
    """w_ij = clamp(w_ij + delta_i) over the columns j that spiked."""
    for k in range(count):
        j = index[k]
        begin = 0 if starts is None else starts[j]
        end = delta.size if starts is None else starts[j + 1]
        for c in range(begin, end):
            i = c if source is None else source[c]
            s = i * width + j if place is None else place[c]
            if enable is None or enable[s]:
                weight[s] = min(max(np.int64(weight[s]) + delta[i], low), high)


@numba.njit(cache=True)
def write_columns_stochastic(
    index: Any,
    count: Any,
    weight: Any,
    starts: Any,
    source: Any,
    place: Any,
    width: Any,
    enable: Any,
    product: Any,
    integers: Any,
    generator: Any,
) -> None:
    """As ``write_columns``, with the sum of ``read_rows_stochastic``."""
    sign, shift, offset, low, high, lanes = integers
    state = generator[0]
    for k in range(count):
        j = index[k]
        c = np.int64(0) if starts is None else np.int64(starts[j])
        end = np.int64(product.size) if starts is None else np.int64(starts[j + 1])
        skew = j % lanes
        for first in range(0, product.size, lanes):
            while c < end:
                i = c if source is None else np.int64(source[c])
                if i >= first + lanes:
                    break
                s = i * width + j if place is None else np.int64(place[c])
                if enable is None or enable[s]:
                    change = noisy(product[i], state, skew + i - first, lanes, shift)
                    new = np.int64(weight[s]) + offset + sign * change
                    weight[s] = min(max(new, low), high)
                c += 1
            state = advance(state)
    generator[0] = state


@numba.njit(cache=True)
def responses(trace: Any, update: Any, window: Any, rounding: Any, out: Any) -> None:
    """out = offset + sign f(trace); ``update`` holds sign, amplitude, shift and offset."""
    sign, amplitude, shift, offset = update
    for n in range(trace.size):
        if window:
            change = amplitude * np.int64(trace[n] > 0)
        else:
            change = round_shift(amplitude * trace[n], shift, rounding, np.int64(0))
        out[n] = offset + sign * change


@numba.njit(cache=True)
def products(trace: Any, update: Any, window: Any, out: Any) -> None:
    """out = amplitude * trace; of a window, what any r rounds to the amplitude where trace > 0."""
    _, amplitude, shift, _ = update
    for n in range(trace.size):
        out[n] = (amplitude * np.int64(trace[n] > 0)) << shift if window else amplitude * trace[n]


@numba.njit(cache=True)
def spike_traces(trace: Any, index: Any, count: Any, increment: Any, add: Any, high: Any) -> None:
    """trace = min(trace + increment, high), or increment, where ``index`` says."""
    for k in range(count):
        n = index[k]
        trace[n] = min(trace[n] + increment, high) if add else increment


@numba.njit(cache=True)
def scale_traces(trace: Any, factor: Any, bits: Any) -> None:
    """trace = floor(trace factor / 2^bits)."""
    for n in range(trace.size):
        trace[n] = (trace[n] * factor) >> bits


@numba.njit(cache=True)
def decay_traces(trace: Any, shift: Any, timer: Any) -> None:
    """trace -= ceil(trace / 2^shift), or one a step down to zero."""
    up = (np.int64(1) << shift) - 1
    for n in range(trace.size):
        x = trace[n]
        trace[n] = max(x - 1, 0) if timer else x - ((x + up) >> shift)


@numba.njit(cache=True)
def spike_driven(v: Any, calcium: Any, thetas: Any, out: Any) -> None:
    """out = 1, -1 or 0 by the membrane and calcium of each post neuron (``ir.plasticity.SDSP``)."""
    theta_mem, theta_1, theta_2, theta_3 = thetas
    for n in range(v.size):
        c = calcium[n]
        if v[n] >= theta_mem:
            out[n] = np.int64(theta_1 <= c < theta_3)
        else:
            out[n] = -np.int64(theta_1 <= c < theta_2)


@numba.njit(cache=True)
def calcium_step(calcium: Any, spiked: Any, index: Any, count: Any, leak: Any, high: Any) -> None:
    """+1 where ``index`` says, -1 everywhere in a step that leaks; both together cancel.

    ``spiked`` is zero before and after.
    """
    for k in range(count):
        spiked[index[k]] = 1
    for n in range(calcium.size):
        if spiked[n] and not leak:
            calcium[n] = min(calcium[n] + 1, high)
        elif leak and not spiked[n]:
            calcium[n] = max(calcium[n] - 1, 0)
    for k in range(count):
        spiked[index[k]] = 0


@numba.njit(cache=True)
def refresh(weight: Any, enable: Any, threshold: Any, low: Any, high: Any) -> None:
    """Every enabled weight drifts by one: up from ``threshold`` on, down below it."""
    for s in range(weight.size):
        if enable is None or enable[s]:
            w = np.int64(weight[s])
            weight[s] = min(max(w + 1 if w >= threshold else w - 1, low), high)


@numba.njit(cache=True, inline="always")
def _product_s411(a: Any, b: Any) -> Any:
    """floor(a b / 2^11) of two s4.11."""
    return (a * b) >> 11


@numba.njit(cache=True, inline="always")
def _half(x: Any) -> Any:
    """The lower 16 bits, signed."""
    return ((x + 0x8000) & 0xFFFF) - 0x8000


@numba.njit(cache=True, inline="always")
def _decayed(trace: Any, ticks: Any, table: Any) -> Any:
    """A trace after so many ticks: nothing is left beyond the table."""
    return _product_s411(trace, table[ticks]) if 0 <= ticks < table.size else np.int64(0)


@numba.njit(cache=True, inline="always")
def _spiked(trace: Any, ticks: Any, table: Any) -> Any:
    """The trace that a spike leaves, so many ticks after the last."""
    return _half(_half(_decayed(trace, ticks, table)) + (1 << 11))


@numba.njit(cache=True)
def spinnaker_post(
    index: Any, count: Any, tick: Any, table: Any, times: Any, traces: Any, last: Any
) -> None:
    """Append spikes of ``tick`` to the histories ``times`` and ``traces`` (n, 16).

    ``last`` (n,) is the place of the last entry. That in place 0 is none: tick 0, trace 0. Where
    all places are taken the entry in place 1 is dropped.
    """
    for k in range(count):
        j = index[k]
        at = last[j]
        trace = _spiked(traces[j, at], tick - times[j, at], table)
        if at < times.shape[1] - 1:
            at += 1
            last[j] = at
        else:
            for e in range(2, times.shape[1]):
                times[j, e - 1], traces[j, e - 1] = times[j, e], traces[j, e]
        times[j, at], traces[j, at] = tick, trace


@numba.njit(cache=True, inline="always")
def _potentiated(
    w: Any,
    times: Any,
    last: Any,
    end: Any,
    delay: Any,
    before: Any,
    trace: Any,
    plus: Any,
    a_plus: Any,
    w_max: Any,
) -> Any:
    """w behind the post spikes up to ``end`` that met the pre trace of ``before``, and the place of
    the last of all these in the history; 0 where there is none.
    """
    e = last
    while e > 0 and times[e] > max(before - delay, 0):
        e -= 1
    while e < last and times[e + 1] <= end:
        e += 1
        since = times[e] + delay - before
        if since > 0:
            up = product_s1615(a_plus, _decayed(trace, since, plus) << 4)
            w = min(wrap32(w + up), w_max)
    return w, e


@numba.njit(cache=True)
def spinnaker_catch_up(
    delay: Any,
    weight: Any,
    indptr: Any,
    post: Any,
    width: Any,
    enable: Any,
    plus: Any,
    rule: Any,
    pre_time: Any,
    pre_trace: Any,
    times: Any,
    last: Any,
) -> None:
    """What post spikes have changed and no pre spike has brought yet, in all rows."""
    a_plus, _, _, w_max, shift = rule
    for i in range(pre_time.size):
        low, high = row_ends(i, width, indptr)
        for p in range(low, high):
            j = p - low if post is None else np.int64(post[p])
            if enable is None or enable[p]:
                w = wrap32(np.int64(weight[p]) << shift)
                end = times[j, last[j]]
                w, _ = _potentiated(
                    w, times[j], last[j], end, delay, pre_time[i], pre_trace[i], plus, a_plus, w_max
                )
                weight[p] = (w >> shift) & 0xFFFF


@numba.njit(cache=True)
def spinnaker_pre(
    index: Any,
    count: Any,
    tick: Any,
    delay: Any,
    weight: Any,
    indptr: Any,
    post: Any,
    width: Any,
    enable: Any,
    plus: Any,
    minus: Any,
    rule: Any,
    pre_time: Any,
    pre_trace: Any,
    times: Any,
    traces: Any,
    last: Any,
    acc: Any,
) -> Any:
    """Update the rows of the pre spikes of ``tick`` by `SpinnakerPairSTDP`, and send them.

    ``plus`` and ``minus`` are the tables, ``rule`` (5,) is a_plus, a_minus, w_min, w_max and shift,
    ``pre_time`` and ``pre_trace`` what each pre neuron last left; histories as in
    ``spinnaker_post``. Returns the number of synapses read.
    """
    done = 0
    a_plus, a_minus, w_min, w_max, shift = rule
    for k in range(count):
        i = index[k]
        before, trace = pre_time[i], pre_trace[i]
        pre_time[i], pre_trace[i] = tick, _spiked(trace, tick - before, plus)
        end = max(tick - delay, 0)
        low, high = row_ends(i, width, indptr)
        for p in range(low, high):
            j = p - low if post is None else np.int64(post[p])
            if enable is None or enable[p]:
                w = wrap32(np.int64(weight[p]) << shift)
                w, e = _potentiated(
                    w, times[j], last[j], end, delay, before, trace, plus, a_plus, w_max
                )
                if e > 0:
                    down = _decayed(traces[j, e], tick - times[j, e] - delay, minus)
                    w = max(wrap32(w - product_s1615(a_minus, down << 4)), w_min)
                weight[p] = (w >> shift) & 0xFFFF
            acc[j] += weight[p]
            done += 1
    return done


@numba.njit(cache=True)
def loihi_spikes(
    index: Any, count: Any, now: Any, times: Any, trace: Any, impulse: Any, most: Any
) -> None:
    """Take the spikes of step ``now`` of an epoch: the later ones of a neuron count at once."""
    for k in range(count):
        i = index[k]
        if times[i] > 0:
            trace[i] = min(trace[i] + impulse, most)
        times[i] = now


@numba.njit(cache=True)
def loihi_history(
    trace: Any, times: Any, decayed: Any, impulse: Any, most: Any, history: Any
) -> None:
    """The traces of an epoch, (epoch + 1, n); ``trace`` becomes the last of them.

    ``decayed`` says what a step makes of each value.
    """
    last = history.shape[0] - 1
    for i in range(trace.size):
        x = trace[i]
        history[0, i] = x
        for t in range(1, last + 1):
            x = decayed[x]
            if times[i] == t:
                x = min(x + impulse, most)
            history[t, i] = x
        trace[i] = x


@numba.njit(cache=True, inline="always")
def _scaled(accumulator: Any, value: Any, shift: Any, low: Any, high: Any) -> Any:
    """An accumulator of Loihi with a product in it; both clip."""
    product = min(max(value << shift, low), high)
    return min(max(accumulator + product, low), high)


@numba.njit(cache=True)
def loihi_learn(
    weight: Any, pre: Any, post: Any, spiked: Any, scales: Any, clips: Any, rails: Any, noise: Any
) -> None:
    """End an epoch of `LoihiPairSTDP`: one look at each synapse of which an end has spiked.

    ``pre`` and ``post`` are the steps of the last spikes and the histories of the traces,
    ``spiked`` (posts,) room for the posts that did, ``scales`` mantissa and left shift of what pre
    spikes, both and post spikes do, ``clips`` the bits below a weight and the range of an
    accumulator, ``rails`` the range of a weight.
    """
    (pre_time, x), (post_time, y) = pre, post
    (minus, minus_shift), (both, both_shift), (plus, plus_shift) = scales
    bits, low, high = clips
    least, most = rails
    part = 1.0 / (np.int64(1) << bits)
    width, count = post_time.size, 0
    for j in range(width):
        if post_time[j] > 0:
            spiked[count] = j
            count += 1
    for i in range(pre_time.size):
        s = pre_time[i]
        for n in range(width if s > 0 else count):
            j = n if s > 0 else spiked[n]
            t = post_time[j]
            if t == 0 and y[s, j] == 0:
                continue
            k = i * width + j
            a = np.int64(weight[k]) << bits
            if s > 0:
                a = _scaled(a, minus * y[s, j], minus_shift, low, high)
                if t > 0:
                    a = _scaled(a, both, both_shift, low, high)
            if t > 0:
                a = _scaled(a, plus * x[t, i], plus_shift, low, high)
            below = a & ((np.int64(1) << bits) - 1)
            whole = (a >> bits) + (1 if noise < below * part else 0)
            weight[k] = min(max(whole, least), most)
