r"""Steps of Josephson circuits in numba, eight parameter sets at once; ``simulate`` says what of.

Quantities have the shape (.., ``LANES``), flat: the k-th eight of an array are what ``load(x, k)``
takes. With x the unknowns of a step, n the step before it and h the step, an integrator is a row of
coefficients: see ``simulate.coefficients``.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numba
import numpy as np

from .lanes import (
    LANES,
    cardinal,
    differs,
    exceeds,
    fma,
    full,
    lane,
    load,
    logarithm,
    pick,
    root,
    sine,
    size,
    store,
    turns,
    uniform,
)

# Rounds of the fixed point within a step.
ROUNDS: Final = 60
# Where an integrator's coefficients are.
(C2, C1, SCALE, Y_F0, Y_F1, Y_V0, Y_V1, P_F0, P_F1, Z_F0, V_X, V_F0, V_F1, V_V0, R_X, R_F0, R_F1,
 MEAN, COEFFICIENTS) = range(19)  # fmt: skip
# Energies: what sources and noise give, what resistors lose, what lines take in, what is stored.
WORK, NOISE, LOSS, LINES, CAPACITORS, INDUCTORS, JUNCTIONS, ENERGIES = range(8)


@numba.njit(cache=True, nogil=True)
def factor(n: Any, start: Any, rows: Any, targets: Any, low: Any, diagonal: Any) -> None:
    """L D L^T in place; ``diagonal`` becomes 1 / D."""
    t = 0
    for j in range(n):
        inverse = full(1.0) / load(diagonal, j)
        store(diagonal, j, inverse)
        begin, end = start[j], start[j + 1]
        for p in range(begin, end):
            a = load(low, p)
            ratio = a * inverse
            store(diagonal, rows[p], load(diagonal, rows[p]) - a * ratio)
            for q in range(p + 1, end):
                store(low, targets[t], load(low, targets[t]) - load(low, q) * ratio)
                t += 1
        for p in range(begin, end):
            store(low, p, load(low, p) * inverse)


@numba.njit(cache=True, nogil=True)
def forward(first: Any, last: Any, start: Any, rows: Any, low: Any, x: Any) -> None:
    """Eliminate columns from ``first`` to before ``last`` from ``x``."""
    for j in range(first, last):
        known = load(x, j)
        for p in range(start[j], start[j + 1]):
            store(x, rows[p], fma(full(0.0) - load(low, p), known, load(x, rows[p])))


@numba.njit(cache=True, nogil=True)
def backward(
    first: Any, last: Any, start: Any, rows: Any, low: Any, diagonal: Any, b: Any, x: Any
) -> None:
    """``x`` of the rows from ``first`` on from what ``forward`` left in ``b``; see there."""
    for j in range(last - 1, first - 1, -1):
        known = load(b, j) * load(diagonal, j)
        for p in range(start[j], start[j + 1]):
            known = known - load(low, p) * load(x, rows[p])
        store(x, j, known)


@numba.njit(cache=True, nogil=True)
def _spread(
    a: Any, b: Any, value: Any, factor: Any, y: Any, out: Any, first: Any, last: Any
) -> None:
    """Take from ``out`` what flows through pairs of nodes at ``y``, ``value`` times ``factor``."""
    for k in range(first, last):
        flow = load(value, k) * (load(y, a[k]) - load(y, b[k])) * factor
        store(out, a[k], load(out, a[k]) - flow)
        store(out, b[k], load(out, b[k]) + flow)


@numba.njit(cache=True, nogil=True)
def _beyond(speed: Any, foot: Any, first: Any, width: Any, second: Any) -> Any:
    """What a junction's quasiparticles carry above its resistance below the gap.

    From ``foot`` on the slope is ``first``, ``width`` further it is ``second``.
    """
    over = speed - foot
    over = pick(over, full(0.0), over, full(0.0))
    rise = pick(over, width, width, over)
    return rise * first + (over - rise) * second


@numba.njit(cache=True, nogil=True)
def _supercurrent(phase: Any, mean: Any, old: Any) -> Any:
    """sin of the new ``phase``; where the integrator takes means, of ``old`` and its change."""
    if mean:
        part = phase * full(0.5)
        return sine(old + part) * cardinal(part)
    return sine(phase)


@numba.njit(cache=True, nogil=True)
def _leaving(n: Any, nodes: Any, a: Any, b: Any, value: Any, weight: Any, x: Any, out: Any) -> None:
    """Add to ``out`` what unknown nodes at ``x`` send to nodes of a known phase."""
    for k in range(a.size):
        if a[k] > n and b[k] < n:
            store(out, a[k], fma(load(value, k) * weight, load(x, b[k]), load(out, a[k])))
        if b[k] > n and a[k] < n:
            store(out, b[k], fma(load(value, k) * weight, load(x, a[k]), load(out, b[k])))


@numba.njit(cache=True, nogil=True)
def _crossing(y0: Any, y1: Any, y2: Any) -> Any:
    """Where the parabola through y at -1, 0 and 1 is 0 between 0 and 1, from y1 to y2."""
    straight = y1 / (y1 - y2)
    bend, slope = (y0 + y2) / 2 - y1, (y2 - y0) / 2
    s = straight
    for _ in range(8):
        rate = slope + 2 * bend * s
        if rate == 0.0:
            return straight
        s -= (y1 + s * (slope + bend * s)) / rate
    if not (0.0 <= s <= 1.0):
        return straight
    return s


@numba.njit(cache=True, nogil=True)
def _noted(
    count: Any,
    events: Any,
    marks: Any,
    w: Any,
    prior: Any,
    after: Any,
    y: Any,
    begin: Any,
    step: Any,
) -> Any:
    """Put the pulses of a probe in a step behind the ``count`` that there are; how many there are.

    ``prior`` and ``after`` are its whole turns, ``y`` its phases two and one steps before and now.
    Beyond the room of ``events`` they are only counted.
    """
    if after == prior or after != after:
        return count
    way = 1 if after > prior else -1
    for turned in range(int(abs(after - prior))):
        edge = (prior + way * (turned + 0.5)) * 2 * math.pi
        if count < events.size:
            share = _crossing(y[0] - edge, y[1] - edge, y[2] - edge)
            events[count] = begin + share * step
            marks[count, 0] = w
            marks[count, 1] = way
        count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _matrix(a: Any, b: Any, place: Any, value: Any, weight: Any, diagonal: Any, low: Any) -> None:
    """Add what lies between pairs of nodes, ``value`` times ``weight``, to the matrix."""
    for e in range(a.size):
        w = load(value, e) * weight
        store(diagonal, a[e], load(diagonal, a[e]) + w)
        store(diagonal, b[e], load(diagonal, b[e]) + w)
        if place[e] >= 0:
            store(low, place[e], load(low, place[e]) - w)


@numba.njit(cache=True, nogil=True)
def _next_piece(
    s: Any,
    time: Any,
    knots: Any,
    starts: Any,
    values: Any,
    slopes: Any,
    late: Any,
    scale: Any,
    delay: Any,
    at: Any,
    since: Any,
    base: Any,
    slope: Any,
    whole: Any,
) -> Any:
    """Bring the lanes of source ``s`` to their pieces of ``time``; when the next one is due."""
    due = np.inf
    for slot in range(LANES):
        e = s * LANES + slot
        while True:
            k = knots[s] + at[e] + 1
            if k >= knots[s + 1]:
                break
            when = starts[k] + (delay[e] if at[e] + 1 >= late[s] else 0.0)
            if when > time:
                due = min(due, when)
                break
            if at[e] > 0:
                t = when - since[e]
                whole[e] += t * (base[e] + slope[e] * t / 2)
            at[e] += 1
            since[e] = when
            base[e] = values[k] * scale[e]
            slope[e] = slopes[k] * scale[e]
    return due


@numba.njit(cache=True, nogil=True)
def _square(a: Any, b: Any, value: Any, y: Any, first: Any) -> Any:
    """The sum of ``value`` times the square of what lies between pairs of nodes at ``y``."""
    total = full(0.0)
    for k in range(a.size):
        across = load(y, first + a[k]) - load(y, first + b[k])
        total = fma(load(value, k) * across, across, total)
    return total


@numba.njit(cache=True, nogil=True)
def advance(
    block: Any,
    live: Any,
    # what all share
    coefficients: Any,
    step: Any,
    begin: Any,
    steps: Any,
    n: Any,
    known: Any,
    linear: Any,
    start: Any,
    rows: Any,
    targets: Any,
    c_a: Any,
    c_b: Any,
    c_place: Any,
    g_a: Any,
    g_b: Any,
    g_place: Any,
    k_a: Any,
    k_b: Any,
    k_place: Any,
    j_a: Any,
    j_b: Any,
    gapped: Any,
    s_a: Any,
    s_b: Any,
    s_kind: Any,
    s_knots: Any,
    s_start: Any,
    s_value: Any,
    s_slope: Any,
    s_late: Any,
    s_sine: Any,
    t_ends: Any,
    resistive: Any,
    quantum: Any,
    watched: Any,
    recorded: Any,
    stride: Any,
    tolerance: Any,
    # what each set has, (blocks, .., LANES)
    c_all: Any,
    g_all: Any,
    k_all: Any,
    ic_all: Any,
    gap_all: Any,
    noise_all: Any,
    scale_all: Any,
    delay_all: Any,
    line_all: Any,
    seeds: Any,
    # what is found
    frames: Any,
    ends: Any,
    events: Any,
    marks: Any,
    counts: Any,
    energies: Any,
    failures: Any,
    reached: Any,
    stopped: Any,
) -> None:
    """One block of sets from rest at ``begin`` through ``steps`` steps; ``live`` lanes count.

    ``reached`` (blocks,) has on the way how many steps are done. ``failures`` (sets, 3) has, where
    the fixed point of a step was not found, the step, the junction, and 1. Where ``stopped`` (1,)
    is no longer 0 the block ends at once, and what it has found is nothing.
    """
    nodes = n + known
    cv, gv, kv = c_all[block], g_all[block], k_all[block]
    ic, gap, sigma = ic_all[block], gap_all[block], noise_all[block]
    state = seeds[block].copy()
    zero, one = full(0.0), full(1.0)
    c2, c1, scaled = full(coefficients[C2]), full(coefficients[C1]), full(coefficients[SCALE])
    y_f0, y_f1 = full(coefficients[Y_F0]), full(coefficients[Y_F1])
    y_v0, y_v1 = full(coefficients[Y_V0]), full(coefficients[Y_V1])
    p_f0, p_f1 = full(coefficients[P_F0]), full(coefficients[P_F1])
    z_f0 = full(coefficients[Z_F0])
    v_x, v_f0, v_f1 = full(coefficients[V_X]), full(coefficients[V_F0]), full(coefficients[V_F1])
    v_v0 = full(coefficients[V_V0])
    r_x, r_f0, r_f1 = full(coefficients[R_X]), full(coefficients[R_F0]), full(coefficients[R_F1])
    mean = coefficients[MEAN] != 0.0
    half = full(0.5)

    # The matrix and its scaled.
    diagonal, low = np.zeros(nodes * LANES), np.zeros(rows.size * LANES)
    _matrix(c_a, c_b, c_place, cv, c2, diagonal, low)
    _matrix(g_a, g_b, g_place, gv, c1, diagonal, low)
    _matrix(k_a, k_b, k_place, kv, one, diagonal, low)
    factor(n, start, rows, targets, low, diagonal)

    junctions, sources, watches = j_a.size, s_a.size, watched.shape[0]
    # How much of a change of the phases the next round makes, at most.
    trust = zero
    for j in range(junctions):
        trust = pick(load(ic, 3 * j + 1), trust, load(ic, 3 * j + 1), trust)
    # The same where a junction is above the foot of its gap.
    steep = trust
    for j in range(junctions if gapped else 0):
        steep = pick(load(ic, 3 * j + 2), steep, load(ic, 3 * j + 2), steep)
    trust = pick(trust, half, one, trust / (one - trust))
    steep = pick(steep, half, one, steep / (one - steep))
    goal = full(tolerance)

    f = np.zeros(3 * nodes * LANES)  # phases now, and one and two steps before
    v = np.zeros(2 * nodes * LANES)
    y, p, z = np.zeros(nodes * LANES), np.zeros(nodes * LANES), np.zeros(nodes * LANES)
    x, fixed, work = np.zeros(nodes * LANES), np.zeros(nodes * LANES), np.zeros(nodes * LANES)
    # Of junctions: what the steps before have in it, its current, and the loss beyond its gap.
    shift, carried = np.zeros(junctions * LANES), np.zeros(junctions * LANES)
    wasted = np.zeros(junctions * LANES)
    drawn = np.zeros((noise_all.shape[1] // LANES + 1) * LANES)
    noisy = noise_all.shape[1] > 0
    energy = np.zeros(ENERGIES * LANES)
    level = np.zeros(watches * LANES)

    # Sources: their piece, where the next begins, and the value and its integral.
    at = np.zeros(sources * LANES, np.int64)
    due = np.full(sources, -np.inf)
    since, whole = np.zeros(sources * LANES), np.zeros(sources * LANES)
    base, slope = np.zeros(sources * LANES), np.zeros(sources * LANES)
    given, before = np.zeros(sources * LANES), np.zeros(sources * LANES)
    scale, delay = scale_all[block], delay_all[block]

    lines = t_ends.shape[0] // 2
    line = line_all[block]
    depth = 2
    for m in range(lines):
        for slot in range(LANES):
            depth = max(depth, int(line[(2 * m + 1) * LANES + slot] / step) + 3)
    waves = np.zeros((2 * lines, depth, LANES))
    arriving = np.zeros(2 * lines * LANES)

    voltage_known = known > 1
    now = 0
    for count in range(-1, steps):
        if stopped[0] != 0:
            return
        reached[block] = count + 1
        time = begin + (count + 1) * step
        # -- sources ------------------------------------------------------------------------------
        for s in range(sources):
            if time >= due[s]:
                due[s] = _next_piece(
                    s, time, s_knots, s_start, s_value, s_slope, s_late,
                    scale, delay, at, since, base, slope, whole,
                )  # fmt: skip
            t = full(time) - load(since, s)
            value = fma(load(slope, s), t, load(base, s))
            store(before, s, load(given, s))
            if s_kind[s] == 1:
                value = load(whole, s) + t * fma(load(slope, s) * half, t, load(base, s))
            if s_sine[s, 0] != 0.0:
                angle = (full(time - s_sine[s, 2]) - load(delay, s)) * s_sine[s, 1]
                angle = pick(angle, zero, angle, zero)
                swing = load(scale, s) * s_sine[s, 0]
                if s_kind[s] == 1:
                    wave = sine(angle * half)
                    value = value + swing * (2.0 / s_sine[s, 1]) * wave * wave
                else:
                    value = value + swing * sine(angle)
            store(given, s, value)
        f0, f1, f2 = now * nodes, (now + 2) % 3 * nodes, (now + 1) % 3 * nodes
        v0, v1 = (count + 1) % 2 * nodes, count % 2 * nodes
        if count < 0:
            continue  # at rest: only sources may be on already
        # -- what the steps before contribute -----------------------------------------------------
        for i in range(n, nodes):
            store(fixed, i, zero)
        for i in range(n):
            here, last = load(f, f0 + i), load(f, f1 + i)
            rate, old = load(v, v0 + i), load(v, v1 + i)
            store(y, i, fma(y_f0, here, fma(y_f1, last, fma(y_v0, rate, y_v1 * old))))
            store(p, i, fma(p_f0, here, p_f1 * last))
            store(z, i, z_f0 * here)
            store(fixed, i, zero)
            # A parabola through the three steps before.
            guess = fma(full(3.0), here - last, load(f, f2 + i))
            store(x, i, guess - here if mean else guess)
        # Known phases: ground, and the nodes behind voltage sources.
        if voltage_known:
            for s in range(sources):
                if s_kind[s] == 1:
                    i = s_a[s]
                    here, last = load(f, f0 + i), load(f, f1 + i)
                    rate, old = load(v, v0 + i), load(v, v1 + i)
                    new = load(given, s) / quantum
                    if mean:
                        new = new - here
                    store(x, i, new)
                    hist = fma(y_f0, here, fma(y_f1, last, fma(y_v0, rate, y_v1 * old)))
                    store(y, i, fma(c2, new, hist))
                    store(p, i, fma(c1, new, fma(p_f0, here, p_f1 * last)))
                    store(z, i, fma(z_f0, here, new))
        _spread(c_a, c_b, cv, one, y, fixed, 0, c_a.size)
        if not mean or voltage_known:
            _spread(g_a, g_b, gv, one, p, fixed, 0, g_a.size)
        if mean or voltage_known:
            _spread(k_a, k_b, kv, one, z, fixed, 0, k_a.size)
        for s in range(sources):
            if s_kind[s] == 0:
                current = load(given, s)
                if mean:
                    current = (current + load(before, s)) * half
                store(before, s, current)
                current = current * scaled
                store(fixed, s_a[s], load(fixed, s_a[s]) - current)
                store(fixed, s_b[s], load(fixed, s_b[s]) + current)
        if noisy:
            pairs = (resistive + 1) // 2
            for k in range(pairs):
                u, w = uniform(state, 0), uniform(state, 0)
                radius = root(full(-2.0) * logarithm(u))
                angle = (w - half) * (2 * math.pi)
                store(drawn, 2 * k, radius * sine(angle))
                store(drawn, 2 * k + 1, radius * sine(angle + math.pi / 2))
            for k in range(resistive):
                current = load(drawn, k) * load(sigma, k)
                store(drawn, k, current)
                current = current * scaled
                store(fixed, g_a[k], load(fixed, g_a[k]) - current)
                store(fixed, g_b[k], load(fixed, g_b[k]) + current)
        for m in range(2 * lines):
            ohm = load(line, m // 2 * 2)
            for slot in range(LANES):
                lag = line[(m // 2 * 2 + 1) * LANES + slot] / step
                full_steps = int(lag)
                share = lag - full_steps
                other = m ^ 1
                a0 = waves[other, (count - full_steps) % depth, slot]
                a1 = waves[other, (count - full_steps - 1) % depth, slot]
                arriving[m * LANES + slot] = a0 + share * (a1 - a0)
            current = load(arriving, m) * scaled
            a, b = t_ends[m, 0], t_ends[m, 1]
            store(fixed, a, load(fixed, a) + current)
            store(fixed, b, load(fixed, b) - current)
        # -- the step: nodes without junctions once, the others until they are at rest ------------
        for j in range(junctions):
            a, b = j_a[j], j_b[j]
            if mean:
                store(shift, j, load(f, f0 + a) - load(f, f0 + b))
            elif gapped:
                rate = r_f0 * (load(f, f0 + a) - load(f, f0 + b))
                rate = rate + r_f1 * (load(f, f1 + a) - load(f, f1 + b))
                store(shift, j, rate)
        forward(0, linear, start, rows, low, fixed)
        done = zero
        rounds = 0
        while True:
            for i in range(linear, n):
                store(work, i, load(fixed, i))
            over = zero
            for j in range(junctions):
                a, b = j_a[j], j_b[j]
                phase = load(x, a) - load(x, b)
                before_it = load(shift, j)
                current = _supercurrent(phase, mean, before_it) * load(ic, 3 * j)
                if gapped:
                    rate = r_x * phase if mean else r_x * phase + before_it
                    extra = _beyond(
                        size(rate), load(gap, 4 * j), load(gap, 4 * j + 1),
                        load(gap, 4 * j + 2), load(gap, 4 * j + 3),
                    )  # fmt: skip
                    over = pick(extra, over, extra, over)
                    store(wasted, j, extra * size(rate))
                    current = current + pick(zero, rate, zero - extra, extra)
                store(carried, j, current)
                current = current * scaled
                store(work, a, load(work, a) - current)
                store(work, b, load(work, b) + current)
            forward(linear, n, start, rows, low, work)
            worst = zero
            for i in range(n - 1, linear - 1, -1):
                new = load(work, i) * load(diagonal, i)
                for e in range(start[i], start[i + 1]):
                    new = new - load(low, e) * load(work, rows[e])
                store(work, i, new)
                old = load(x, i)
                new = pick(done, half, old, new)
                change = size(new - old)
                worst = pick(change, worst, change, worst)
                store(x, i, new)
            rounds += 1
            worst = worst * pick(over, zero, steep, trust)
            if not exceeds(worst, goal):
                break
            done = pick(worst, goal, done, one)
            if rounds >= ROUNDS:
                for slot in range(live):
                    if not lane(worst, slot) <= tolerance:
                        found, most = 0, -1.0
                        for j in range(junctions):
                            q = ic[(3 * j + 1) * LANES + slot]
                            if q > most:
                                found, most = j, q
                        failures[block * LANES + slot, 0] = count
                        failures[block * LANES + slot, 1] = found
                        failures[block * LANES + slot, 2] = 1
                return
        backward(0, linear, start, rows, low, diagonal, fixed, x)
        # -- what moved ---------------------------------------------------------------------------
        for i in range(nodes):
            here, last, rate, new = load(f, f0 + i), load(f, f1 + i), load(v, v0 + i), load(x, i)
            store(v, v1 + i, fma(v_x, new, fma(v_f0, here, fma(v_f1, last, v_v0 * rate))))
            if mean:
                new = here + new
            store(f, f2 + i, new)
        now = (now + 1) % 3
        # -- energies -----------------------------------------------------------------------------
        lost = zero
        for k in range(resistive):
            a, b = g_a[k], g_b[k]
            rate = r_x * (load(x, a) - load(x, b)) if mean else load(v, v1 + a) - load(v, v1 + b)
            lost = fma(load(gv, k) * rate, rate, lost)
            if noisy:
                # The noise flows beside the resistor, from a to b.
                store(energy, NOISE, load(energy, NOISE) - load(drawn, k) * rate)
        for j in range(junctions if gapped else 0):
            lost = lost + load(wasted, j)
        spent = zero
        if voltage_known:
            _leaving(n, nodes, c_a, c_b, cv, c2, x, fixed)
            _leaving(n, nodes, g_a, g_b, gv, c1, x, fixed)
            _leaving(n, nodes, k_a, k_b, kv, one, x, fixed)
            for j in range(junctions):
                a, b = j_a[j], j_b[j]
                if max(a, b) > n:
                    current = load(carried, j)
                    store(fixed, a, load(fixed, a) - current * scaled)
                    store(fixed, b, load(fixed, b) + current * scaled)
            for s in range(sources):
                if s_kind[s] == 1:
                    rate = r_x * load(x, s_a[s])
                    if not mean:
                        rate = load(v, v1 + s_a[s])
                    spent = spent - load(fixed, s_a[s]) / scaled * rate
        for s in range(sources):
            if s_kind[s] == 0:
                a, b = s_a[s], s_b[s]
                if mean:
                    rate = r_x * (load(x, b) - load(x, a))
                else:
                    rate = load(v, v1 + b) - load(v, v1 + a)
                spent = fma(load(before, s), rate, spent)
        for m in range(2 * lines):
            a, b = t_ends[m, 0], t_ends[m, 1]
            rate = r_x * (load(x, a) - load(x, b)) if mean else load(v, v1 + a) - load(v, v1 + b)
            ohm = load(line, m // 2 * 2)
            volt = rate * quantum
            inward = volt / ohm - load(arriving, m)
            store(energy, LINES, load(energy, LINES) + inward * rate)
            for slot in range(LANES):
                waves[m, count % depth, slot] = lane(volt / ohm + inward, slot)
        store(energy, LOSS, load(energy, LOSS) + lost)
        store(energy, WORK, load(energy, WORK) + spent)
        # -- pulses -------------------------------------------------------------------------------
        new0, old0, old1 = f2, f0, f1
        for w in range(watches):
            a, b = watched[w, 0], watched[w, 1]
            phase = load(f, new0 + a) - load(f, new0 + b)
            turn = turns(phase)
            if differs(turn, load(level, w)):
                y1 = load(f, old0 + a) - load(f, old0 + b)
                y0 = load(f, old1 + a) - load(f, old1 + b)
                for slot in range(live):
                    row = block * LANES + slot
                    counts[row] = _noted(
                        counts[row],
                        events[row],
                        marks[row],
                        w,
                        level[w * LANES + slot],
                        lane(turn, slot),
                        (lane(y0, slot), lane(y1, slot), lane(phase, slot)),
                        begin + count * step,
                        step,
                    )
                store(level, w, turn)
        if recorded.shape[0] and (count + 1) % stride == 0:
            for r in range(recorded.shape[0]):
                phase = load(f, new0 + recorded[r, 0]) - load(f, new0 + recorded[r, 1])
                for slot in range(live):
                    frames[block * LANES + slot, (count + 1) // stride, r] = lane(phase, slot)
    last, rates = now * nodes, (steps + 1) % 2 * nodes
    store(energy, CAPACITORS, _square(c_a, c_b, cv, v, rates) * half)
    store(energy, INDUCTORS, _square(k_a, k_b, kv, f, last) * half)
    held = zero
    for j in range(junctions):
        wave = sine((load(f, last + j_a[j]) - load(f, last + j_b[j])) * half)
        held = fma(load(ic, 3 * j) * wave, wave, held)
    store(energy, JUNCTIONS, held * 2.0)
    for e in range(ENERGIES):
        for slot in range(live):
            energies[block * LANES + slot, e] = (
                energy[e * LANES + slot] * quantum * (step if e <= LINES else 1.0)
            )
    for slot in range(live):
        for i in range(nodes):
            ends[block * LANES + slot, i] = f[(last + i) * LANES + slot]
