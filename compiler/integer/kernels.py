"""Numba kernels of the integer executor. Every array is flat; nothing is allocated inside."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

# Codes of ``ir.numerics.Rounding`` inside the kernels; stochastic rounding draws from LFSR state.
NEAREST_EVEN, NEAREST_AWAY, TOWARD_ZERO, UP, DOWN, STOCHASTIC = range(6)
# Codes of the reset rules.
NONE, VALUE, SUBTRACT, TWO_PHASE = range(4)


@numba.njit(cache=True, inline="always")
def round_shift(x: Any, bits: Any, rounding: Any, noise: Any) -> Any:
    r""":math:`\mathrm{round}(x\,2^{-bits})` of an integer, exactly.

    ``noise`` is a uniform integer below :math:`2^{bits}`, used by stochastic rounding only.
    """
    if bits == 0:
        return x
    # Without branches on x: a floor after an addend that depends on the mode.
    half = np.int64(1) << (bits - 1)
    if rounding == DOWN:
        addend = np.int64(0)
    elif rounding == NEAREST_EVEN:
        addend = half - 1 + ((x >> bits) & 1)
    elif rounding == NEAREST_AWAY:
        addend = half - (x < 0)
    elif rounding == TOWARD_ZERO:
        addend = (2 * half - 1) * (x < 0)
    elif rounding == UP:
        addend = 2 * half - 1
    else:
        addend = 2 * half - 1 - noise
    return (x + addend) >> bits


@numba.njit(cache=True, inline="always")
def fit(x: Any, low: Any, high: Any, wrap: Any) -> Any:
    """Saturate to ``low .. high`` or wrap around in two's complement."""
    if low <= x <= high:
        return x
    if wrap:
        return (x - low) % (high - low + 1) + low
    return low if x < low else high


@numba.njit(cache=True, inline="always")
def next_noise(state: Any) -> Any:
    """One step of a 32-bit xorshift generator (Marsaglia 2003: 13, 17, 5); never zero."""
    state ^= (state << np.uint32(13)) & np.uint32(0xFFFFFFFF)
    state ^= state >> np.uint32(17)
    state ^= (state << np.uint32(5)) & np.uint32(0xFFFFFFFF)
    return state


@numba.njit(cache=True)
def neuron_step(
    acc: Any,
    v: Any,
    u: Any,
    wait: Any,
    bias: Any,
    decay_v: Any,
    decay_u: Any,
    threshold: Any,
    v_reset: Any,
    v_min: Any,
    integers: Any,
    noise: Any,
    out_index: Any,
    out_value: Any,
    leak: Any,
    v_leak: Any,
) -> Any:
    """One step of one population; returns how many neurons spiked (see ``ir.numerics``).

    ``acc`` is read and cleared. ``integers`` holds shift, decay bits, rounding, wrap, low, high,
    reset rule, cuba, current_old, max_spikes (0: no limit), refractory, frozen, linear: v moves by
    ``leak`` toward ``v_leak`` instead of decaying. Parameters have
    length 1 or n. The neurons that spiked are left in ``out_index`` with counts in ``out_value``.
    """
    shift, bits, rounding, wrap = integers[0], integers[1], integers[2], integers[3]
    low, high, rule, cuba = integers[4], integers[5], integers[6], integers[7]
    old, most, refractory, frozen = integers[8], integers[9], integers[10], integers[11]
    linear, one_k, one_l = integers[12], leak.size == 1, v_leak.size == 1
    one_b, one_v, one_u = bias.size == 1, decay_v.size == 1, decay_u.size == 1
    one_t, one_r, one_m = threshold.size == 1, v_reset.size == 1, v_min.size == 1
    mask = np.uint32((np.int64(1) << bits) - 1)
    count = 0
    for n in range(v.size):
        drive = (np.int64(acc[n]) << shift) + bias[0 if one_b else n]
        acc[n] = 0
        before = v[n]
        if cuba:
            if rounding == STOCHASTIC:
                noise[0] = next_noise(noise[0])
            current = u[n]
            product = current * decay_u[0 if one_u else n]
            new = fit(
                round_shift(product, bits, rounding, np.int64(noise[0] & mask)) + drive,
                low,
                high,
                wrap,
            )
            u[n] = new
            drive = current if old else new
        waiting = wait[n] > 0
        if waiting:
            wait[n] -= 1
            if frozen:
                continue
        if rounding == STOCHASTIC:
            noise[0] = next_noise(noise[0])
        if linear:
            far = before - v_leak[0 if one_l else n]
            amount = leak[0 if one_k else n]
            product = (before - min(max(far, -amount), amount)) << bits
        else:
            product = before * decay_v[0 if one_v else n]
        w = fit(
            round_shift(product, bits, rounding, np.int64(noise[0] & mask)) + drive, low, high, wrap
        )
        w = max(w, v_min[0 if one_m else n])
        limit = threshold[0 if one_t else n]
        amount = v_reset[0 if one_r else n]
        above = rule == TWO_PHASE and before > limit
        if most == 1:
            spikes = np.int64(w > (limit + amount if above else limit))
        else:
            each = amount if rule >= SUBTRACT else limit
            spikes = w // each - above if each > 0 and w > 0 else np.int64(0)
            if most > 1:
                spikes = min(spikes, most)
        if rule == NONE or waiting or spikes < 1:
            v[n] = w
            continue
        if rule == VALUE:
            v[n] = amount
        else:
            v[n] = fit(w - spikes * amount, low, high, wrap)
        wait[n] = refractory
        out_index[count] = n
        out_value[count] = spikes
        count += 1
    return count


@numba.njit(cache=True)
def izhikevich_step(
    acc: Any,
    v: Any,
    u: Any,
    wait: Any,
    bias: Any,
    decay_v: Any,
    curve: Any,
    couple: Any,
    rate: Any,
    jump: Any,
    threshold: Any,
    v_reset: Any,
    v_min: Any,
    integers: Any,
    out_index: Any,
    out_value: Any,
) -> Any:
    """One step of a population with a recovery; returns how many neurons spiked.

    ``integers`` holds shift, decay bits, rounding, wrap, low, high, state bits, substeps and
    refractory; see `ir.neurons.IntegerNeuron`. The rest is as in ``neuron_step``.
    """
    shift, bits, rounding, wrap = integers[0], integers[1], integers[2], integers[3]
    low, high, width, substeps = integers[4], integers[5], integers[6], integers[7]
    refractory = integers[8]
    one_b, one_v, one_k = bias.size == 1, decay_v.size == 1, curve.size == 1
    one_c, one_a, one_j = couple.size == 1, rate.size == 1, jump.size == 1
    one_t, one_r, one_m = threshold.size == 1, v_reset.size == 1, v_min.size == 1
    count = 0
    for n in range(v.size):
        before, recovery = v[n], u[n]
        drive = (np.int64(acc[n]) << shift) + bias[0 if one_b else n] - recovery
        acc[n] = 0
        goal = round_shift(before * couple[0 if one_c else n], bits, rounding, 0)
        product = (goal - recovery) * rate[0 if one_a else n]
        u[n] = fit(recovery + round_shift(product, bits + 4, rounding, 0), low, high, wrap)
        if wait[n] > 0:
            wait[n] -= 1
            continue
        w = before
        for _ in range(substeps):
            slope = round_shift(w * curve[0 if one_k else n], width, rounding, 0)
            product = w * (decay_v[0 if one_v else n] + slope)
            w = fit(round_shift(product, bits, rounding, 0) + drive, low, high, wrap)
        w = max(w, v_min[0 if one_m else n])
        if w <= threshold[0 if one_t else n]:
            v[n] = w
            continue
        v[n] = v_reset[0 if one_r else n]
        u[n] = fit(u[n] + jump[0 if one_j else n], low, high, wrap)
        wait[n] = refractory
        out_index[count] = n
        out_value[count] = 1
        count += 1
    return count


@numba.njit(cache=True)
def adaptive_limits(threshold: Any, h: Any, out: Any) -> None:
    """out = threshold + h; ``threshold`` of length 1 or n."""
    single = threshold.size == 1
    for n in range(h.size):
        out[n] = threshold[0 if single else n] + h[n]


@numba.njit(cache=True)
def adapt(h: Any, index: Any, count: Any, increment: Any, high: Any, tick: Any, shift: Any) -> None:
    """h = min(h + increment, high) where ``index`` says; h -= ceil(h / 2^shift) on a tick.

    ``increment`` has length 1 or n.
    """
    single = increment.size == 1
    for k in range(count):
        n = index[k]
        h[n] = min(h[n] + increment[0 if single else n], high)
    if tick:
        up = (np.int64(1) << shift) - 1
        for n in range(h.size):
            h[n] -= (h[n] + up) >> shift


@numba.njit(cache=True)
def push_dense(index: Any, value: Any, count: Any, rows: Any, acc: Any) -> Any:
    """acc += value * rows[index] for each event; ``rows`` has shape (pre, post)."""
    width = rows.shape[1]
    for k in range(count):
        row = rows[index[k]]
        factor = value[k]
        if factor == 1:
            for j in range(width):
                acc[j] += row[j]
        else:
            for j in range(width):
                acc[j] += row[j] * factor
    return count * width


@numba.njit(cache=True)
def push_sparse(
    index: Any, value: Any, count: Any, indptr: Any, post: Any, weight: Any, acc: Any
) -> Any:
    """acc[post] += value * weight over the CSR rows of the events."""
    done = 0
    for k in range(count):
        begin, end = indptr[index[k]], indptr[index[k] + 1]
        factor = value[k]
        if factor == 1:
            for s in range(begin, end):
                acc[post[s]] += weight[s]
        else:
            for s in range(begin, end):
                acc[post[s]] += weight[s] * factor
        done += end - begin
    return done


@numba.njit(cache=True)
def push_one_to_one(index: Any, value: Any, count: Any, weight: Any, acc: Any) -> Any:
    """acc[i] += value * weight[i]; ``weight`` of length 1 or n."""
    single = weight.size == 1
    for k in range(count):
        i = index[k]
        acc[i] += weight[0 if single else i] * value[k]
    return count


@numba.njit(cache=True)
def push_conv(index: Any, value: Any, count: Any, taps: Any, geometry: Any, acc: Any) -> Any:
    """Scatter events through a cross-correlation with shared weights.

    ``taps`` has shape (C_in, Kh, Kw, C_out/groups); ``geometry`` holds H, W, H_out, W_out,
    stride, top and left padding and dilation (two each), and C_in/groups.
    """
    height, width, out_h, out_w = geometry[0], geometry[1], geometry[2], geometry[3]
    stride_h, stride_w, top, left = geometry[4], geometry[5], geometry[6], geometry[7]
    dil_h, dil_w, per_group = geometry[8], geometry[9], geometry[10]
    kernel_h, kernel_w, outputs = taps.shape[1], taps.shape[2], taps.shape[3]
    plane = out_h * out_w
    done = 0
    for k in range(count):
        channel, place = divmod(index[k], height * width)
        y, x = divmod(place, width)
        first = (channel // per_group) * outputs * plane
        factor = value[k]
        for ky in range(kernel_h):
            row = y + top - ky * dil_h
            if row < 0 or row % stride_h != 0 or row // stride_h >= out_h:
                continue
            for kx in range(kernel_w):
                column = x + left - kx * dil_w
                if column < 0 or column % stride_w != 0 or column // stride_w >= out_w:
                    continue
                target = first + (row // stride_h) * out_w + column // stride_w
                for c in range(outputs):
                    acc[target + c * plane] += taps[channel, ky, kx, c] * factor
                done += outputs
    return done


@numba.njit(cache=True)
def push_pool(index: Any, value: Any, count: Any, geometry: Any, kernel: Any, acc: Any) -> Any:
    """Add events into the windows that hold them; ``geometry`` as in ``push_conv``."""
    height, width, out_h, out_w = geometry[0], geometry[1], geometry[2], geometry[3]
    stride_h, stride_w, top, left = geometry[4], geometry[5], geometry[6], geometry[7]
    done = 0
    for k in range(count):
        channel, place = divmod(index[k], height * width)
        y, x = divmod(place, width)
        for ky in range(kernel[0]):
            row = y + top - ky
            if row < 0 or row % stride_h != 0 or row // stride_h >= out_h:
                continue
            for kx in range(kernel[1]):
                column = x + left - kx
                if column < 0 or column % stride_w != 0 or column // stride_w >= out_w:
                    continue
                place_out = (row // stride_h) * out_w + column // stride_w
                acc[channel * out_h * out_w + place_out] += value[k]
                done += 1
    return done


@numba.njit(cache=True)
def gather(buffer: Any, index: Any, value: Any) -> Any:
    """Move the non-zero entries of ``buffer`` into an event list and clear it."""
    count = 0
    for i in range(buffer.size):
        if buffer[i] != 0:
            index[count] = i
            value[count] = buffer[i]
            buffer[i] = 0
            count += 1
    return count


WORD = (1 << 16) - 1  # the largest of a ring buffer of SpiNNaker


@numba.njit(cache=True, inline="always")
def wrap32(x: Any) -> Any:
    """The lower 32 bits, signed."""
    return ((x + (np.int64(1) << 31)) & np.int64(0xFFFFFFFF)) - (np.int64(1) << 31)


@numba.njit(cache=True, inline="always")
def product_s1615(a: Any, b: Any) -> Any:
    r""":math:`\lfloor a\,b\,2^{-15} \rfloor` of two s16.15, wrapped: `accum` times `accum`."""
    return wrap32((a * b) >> 15)


@numba.njit(cache=True)
def spinnaker_step(
    page: Any,
    s: Any,
    v: Any,
    wait: Any,
    decay: Any,
    init: Any,
    shift: Any,
    i_offset: Any,
    r: Any,
    v_rest: Any,
    exp_tc: Any,
    threshold: Any,
    v_reset: Any,
    refractory: Any,
    index: Any,
    value: Any,
) -> Any:
    """One tick of `ir.neurons.SpinnakerLIF`; clears ``page``, returns how many spiked.

    ``page`` and ``s`` (2, n) are the sums of the words and the inputs of the two receptors,
    ``decay`` and ``init`` (2, n) in u0.32, ``shift`` (2,); all others (n,).
    """
    count = 0
    for i in range(v.size):
        for k in range(2):
            word = min(page[k, i], WORD)
            page[k, i] = 0
            s[k, i] = wrap32(s[k, i] + ((wrap32(word << shift[k]) * init[k, i]) >> 32))
        if wait[i] <= 0:
            current = wrap32(s[0, i] - s[1, i] + i_offset[i])
            alpha = wrap32(product_s1615(current, r[i]) + v_rest[i])
            v[i] = wrap32(alpha - product_s1615(exp_tc[i], wrap32(alpha - v[i])))
        else:
            wait[i] -= 1
        if v[i] >= threshold[i]:
            v[i], wait[i] = v_reset[i], refractory[i]
            index[count], value[count] = i, 1
            count += 1
        for k in range(2):
            s[k, i] = (s[k, i] * decay[k, i]) >> 32
    return count


@numba.njit(cache=True, inline="always")
def cut12(x: Any) -> Any:
    r""":math:`\mathrm{sgn}(x) \lfloor |x|\, 2^{-12} \rfloor`."""
    return x >> 12 if x >= 0 else -(-x >> 12)


@numba.njit(cache=True)
def loihi_current(u: Any, arrived: Any, du: Any) -> Any:
    """The synaptic current of Loihi's neurons: cut, then what arrived, then wrapped."""
    half = np.int64(1) << 23
    current = wrap32(cut12(u * (4095 - du)) + wrap32(arrived << 6))
    if current > half:
        current -= 2 * half
    elif current <= -half:
        current += 2 * half
    return current


@numba.njit(cache=True)
def loihi_membrane(v: Any, current: Any, dv: Any, bias: Any) -> Any:
    """The membrane of Loihi's neurons before it is compared: cut, added to, saturated."""
    half = np.int64(1) << 23
    return min(max(wrap32(cut12(v * (4096 - dv)) + current + bias), 1 - half), half - 1)


@numba.njit(cache=True)
def loihi_step(
    page: Any,
    u: Any,
    v: Any,
    du: Any,
    dv: Any,
    bias: Any,
    limit: Any,
    index: Any,
    value: Any,
) -> Any:
    """One step of `ir.neurons.LoihiLIF`; clears ``page``, returns how many spiked.

    ``page`` has what arrives, ``bias`` and ``limit`` are in units of v; ``u`` and ``v`` (n,), the
    parameters (n,) or (1,).
    """
    one_u, one_v, one_b, one_t = du.size == 1, dv.size == 1, bias.size == 1, limit.size == 1
    count = 0
    for i in range(v.size):
        u[i] = loihi_current(u[i], page[i], du[0 if one_u else i])
        page[i] = 0
        w = loihi_membrane(v[i], u[i], dv[0 if one_v else i], bias[0 if one_b else i])
        if w > limit[0 if one_t else i]:
            w = 0
            index[count], value[count] = i, 1
            count += 1
        v[i] = w
    return count


@numba.njit(cache=True)
def loihi_refractory_step(
    page: Any,
    u: Any,
    v: Any,
    r: Any,
    theta: Any,
    du: Any,
    dv: Any,
    bias: Any,
    dr: Any,
    dtheta: Any,
    theta_0: Any,
    theta_step: Any,
    index: Any,
    value: Any,
) -> Any:
    """One step of `ir.neurons.LoihiATRLIF`; clears ``page``, returns how many spiked.

    As `loihi_step`; ``theta_0`` and ``theta_step`` are in units of v, and all parameters but
    ``bias`` (1,).
    """
    one_b = bias.size == 1
    kept_r, kept_theta, base, rise = 4096 - dr[0], 4096 - dtheta[0], theta_0[0], theta_step[0]
    count = 0
    for i in range(v.size):
        u[i] = loihi_current(u[i], page[i], du[0])
        page[i] = 0
        v[i] = loihi_membrane(v[i], u[i], dv[0], bias[0 if one_b else i])
        limit = base + cut12((theta[i] - base) * kept_theta)
        refractory = cut12(r[i] * kept_r)
        if v[i] - refractory >= limit:
            refractory += 2 * limit
            limit += rise
            index[count], value[count] = i, 1
            count += 1
        r[i], theta[i] = refractory, limit
    return count


@numba.njit(cache=True)
def loihi_arrive(total: Any, page: Any, shift: Any, bits: Any) -> None:
    """page += (total, wrapped to so many bits) >> shift; clears ``total``."""
    half = np.int64(1) << (bits - 1)
    mask = 2 * half - 1
    for i in range(total.size):
        page[i] += (((total[i] + half) & mask) - half) >> shift
        total[i] = 0


@numba.njit(cache=True)
def sigma_step(page: Any, sigma: Any, index: Any, value: Any) -> Any:
    """One step of `ir.neurons.LoihiSigma`; clears ``page``, returns how many send."""
    count = 0
    for i in range(sigma.size):
        sigma[i] = wrap32(sigma[i] + wrap32(page[i]))
        page[i] = 0
        if sigma[i] != 0:
            index[count], value[count] = i, sigma[i]
            count += 1
    return count


@numba.njit(cache=True)
def delta_step(
    page: Any,
    sigma: Any,
    act: Any,
    residue: Any,
    error: Any,
    bias: Any,
    integers: Any,
    index: Any,
    value: Any,
) -> Any:
    """One step of `ir.neurons.LoihiDelta` or `LoihiSigmaDelta`; clears ``page``.

    Returns how many send. ``integers`` has whether it decodes, whether it rectifies, the shift of
    what arrives, the threshold in units of the state, whether errors add up, and the shift of what
    is sent. States (n,), ``bias`` (n,) or (1,), in units of the state.
    """
    decodes, relu, shift, vth = integers[0], integers[1], integers[2], integers[3]
    sums, back, one = integers[4], integers[5], bias.size == 1
    count = 0
    for i in range(act.size):
        arrived = wrap32(page[i])
        page[i] = 0
        if decodes:
            sigma[i] = wrap32(sigma[i] + arrived)
            new = wrap32(sigma[i] + bias[0 if one else i])
            if relu:
                new = max(new, 0)
        else:
            new = wrap32(arrived << shift)
        delta = wrap32(wrap32(new - act[i]) + residue[i])
        measure = delta
        if sums:
            measure = wrap32(error[i] + delta)
            error[i] = measure
        # The magnitude of -2^31 has no 32 bits: it stays negative, and below every threshold.
        sent = delta if wrap32(abs(measure)) >= vth else np.int64(0)
        if sums and wrap32(abs(sent)) > 0:
            error[i] = 0
        residue[i] = wrap32(delta - sent)
        act[i] = new
        sent >>= back
        if sent != 0:
            index[count], value[count] = i, sent
            count += 1
    return count
