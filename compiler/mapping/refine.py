"""Parts made better, vertex by vertex, at exact gains and under every limit of a core.

A vertex moves to the part where the packets of all nets sum up to least, at once if that is less
than now, and with probability :math:`e^{g/T}` if it is -g packets more (simulated annealing: T
falls to zero, so that the last sweeps only gain). A part that would break a limit is not entered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from ._xorshift import advance
from .hypergraph import Hypergraph, incidence, reordered
from .limits import UNLIMITED, Caps

Array = npt.NDArray[Any]

# What a core too many costs a net beyond the limit of its fan-out, in packets of its weight.
_FAN_OUT_PRICE: Final = 64
# When parts have no more room than their limit, as a share of all sweeps.
_ROOM_ENDS: Final = 0.7
# Sweeps more to come back to the limit, where parts are still larger after all others.
_RETURNS: Final = 4
# Parts whose vertices are visited in turns, so that their nets stay in the cache.
_TOGETHER: Final = 8


class _State(NamedTuple):
    """Nets, vertices and parts as the kernels see them.

    The parts that hold pins of net e are ``block[k]`` with ``pin_count[k]`` pins, for k from
    ``slot[e]`` to ``slot[e] + spread[e]``. Where most nets reach many parts ``some`` and ``more``
    have bits of the parts with at least one and two pins (no column otherwise). ``use``
    (parts, 4) is what each part takes of `Caps`.
    """

    graph: Hypergraph
    start: Array
    net: Array
    slot: Array
    block: Array
    pin_count: Array
    spread: Array
    some: Array
    more: Array
    part: Array
    use: Array
    part_colour: Array


@dataclass(frozen=True)
class Schedule:
    """``sweeps`` over all vertices; the temperature falls evenly from ``hot`` to 0.

    ``hot`` counts in mean weights of a net. Parts may hold ``room`` more neurons than the limit,
    as a share of it that falls to 0, too: where all parts are full nothing could move.
    """

    sweeps: int
    hot: float
    room: float = 0.05


def refine(
    graph: Hypergraph, part: Array, parts: int, caps: Caps, schedule: Schedule, seed: int
) -> Array:
    """``part`` (vertices,) made better; the same array, changed.

    Parts within ``caps`` stay so; one that is not takes no more of what it has too much of. Where
    room for more neurons than the limit cannot be given back, ``part`` stays as it was.
    """
    # Part by part, so that what a vertex needs is still in the cache from the one before.
    order = np.argsort(part, kind="stable")
    state = _state(reordered(graph, order), part[order], parts, caps)
    rng = np.random.default_rng(seed)
    noise = np.array([rng.integers(1, 1 << 63)], np.uint64)
    mean = float(graph.weight.mean()) if graph.nets else 0.0
    limits = np.array(caps[:5], np.int64)
    kept = bool((state.use[:, 0] <= caps.neurons).all())
    for sweep in range(schedule.sweeps):
        done = sweep / max(schedule.sweeps - 1, 1)
        if caps.neurons < UNLIMITED:
            room = schedule.room * max(0.0, 1.0 - done / _ROOM_ENDS)
            limits[0] = caps.neurons + int(caps.neurons * room)
        heat = schedule.hot * mean * (1.0 - done)
        visits = rng.permutation(graph.vertices)
        if not state.some.shape[1]:
            turn = rng.permutation(parts // _TOGETHER + 1)[state.part[visits] // _TOGETHER]
            visits = visits[np.argsort(turn, kind="stable")]
        moved = _sweep(visits, heat, noise, state, limits, caps.mixed, caps.depend)
        if not moved and done >= _ROOM_ENDS:
            break
    limits[0] = caps.neurons
    for _ in range(_RETURNS):
        if not kept or (state.use[:, 0] <= caps.neurons).all():
            break
        visits = rng.permutation(graph.vertices)
        _sweep(visits, 0.0, noise, state, limits, caps.mixed, caps.depend)
    if not kept or (state.use[:, 0] <= caps.neurons).all():
        part[order] = state.part
    return part


def packets(graph: Hypergraph, part: Array, parts: int) -> int:
    """sum over nets of weight x (parts that hold a pin - 1)."""
    *_, spread = _slots(graph.ptr, graph.pins, part, parts)
    return int((graph.weight.astype(np.int64) * np.maximum(spread - 1, 0)).sum())


def usage(graph: Hypergraph, part: Array, parts: int) -> Array:
    """Neurons, in-axons, out-axons and bits of each part, shape (parts, 4)."""
    found: Array = _use(graph, _slots(graph.ptr, graph.pins, part, parts), part, parts)
    return found


def fan_out(graph: Hypergraph, part: Array, parts: int) -> Array:
    """The parts that hold a target of each net."""
    found: Array = _fan_out(graph, _slots(graph.ptr, graph.pins, part, parts), part)
    return found


def _state(graph: Hypergraph, part: Array, parts: int, caps: Caps) -> _State:
    start, net = incidence(graph)
    slots: tuple[Array, Array, Array, Array] = _slots(graph.ptr, graph.pins, part, parts)
    slot, block, count, spread = slots
    # Adding the words of a bit set up costs less than going through many parts one by one.
    wide = graph.nets > 0 and 8 * float(spread.mean()) > parts and not caps.depend
    some, more = _bit_sets(slot, block, count, spread, parts if wide else 0)
    use = _use(graph, slots, part, parts)
    part_colour = np.full(parts, -1, np.int32)
    part_colour[part] = graph.colour
    return _State(graph, start, net, *slots, some, more, part, use, part_colour)


@numba.njit(cache=True)
def _slots(ptr: Any, pins: Any, part: Any, parts: Any) -> Any:
    nets = ptr.size - 1
    slot = np.zeros(nets + 1, np.int64)
    for e in range(nets):
        slot[e + 1] = slot[e] + min(ptr[e + 1] - ptr[e], parts)
    block, count = np.empty(slot[nets], np.int32), np.empty(slot[nets], np.int32)
    spread = np.zeros(nets, np.int32)
    at = np.full(parts, -1, np.int64)
    for e in range(nets):
        k = slot[e]
        for j in range(ptr[e], ptr[e + 1]):
            b = part[pins[j]]
            if at[b] < slot[e]:
                at[b] = k
                block[k], count[k] = b, 1
                k += 1
            else:
                count[at[b]] += 1
        spread[e] = k - slot[e]
    return slot, block, count, spread


@numba.njit(cache=True)
def _bit_sets(slot: Any, block: Any, count: Any, spread: Any, parts: Any) -> Any:
    words = (parts + 31) // 32
    some = np.zeros((spread.size, words), np.uint32)
    more = np.zeros((spread.size, words), np.uint32)
    for e in range(spread.size if words else 0):
        for k in range(slot[e], slot[e] + spread[e]):
            _set(some, e, block[k])
            if count[k] > 1:
                _set(more, e, block[k])
    return some, more


@numba.njit(cache=True, inline="always")
def _set(sets: Any, e: Any, b: Any) -> None:
    sets[e, b >> 5] |= np.uint32(1) << np.uint32(b & 31)


@numba.njit(cache=True, inline="always")
def _clear(sets: Any, e: Any, b: Any) -> None:
    sets[e, b >> 5] &= ~(np.uint32(1) << np.uint32(b & 31))


@numba.njit(cache=True, inline="always")
def _has(sets: Any, e: Any, b: Any) -> Any:
    return (sets[e, b >> 5] >> np.uint32(b & 31)) & np.uint32(1) != 0


@numba.njit(cache=True)
def _use(graph: Any, slots: Any, part: Any, parts: Any) -> Any:
    slot, block, count, spread = slots
    use = np.zeros((parts, 4), np.int64)
    for v in range(graph.size.size):
        b = part[v]
        use[b, 0] += graph.size[v]
        use[b, 1] += graph.own_axons[v]
        use[b, 2] += graph.own_axons[v]
        use[b, 3] += graph.own_bits[v]
    for e in range(graph.source.size):
        home = -1 if graph.source[e] < 0 else part[graph.source[e]]
        for k in range(slot[e], slot[e] + spread[e]):
            b = block[k]
            if count[k] - (graph.lone[e] and b == home) > 0:
                use[b, 1] += graph.axons[e]
                use[b, 3] += graph.bits[e]
                if home >= 0:
                    use[home, 2] += graph.axons[e]
    return use


@numba.njit(cache=True)
def _fan_out(graph: Any, slots: Any, part: Any) -> Any:
    slot, block, count, spread = slots
    out = spread.copy()
    for e in range(graph.source.size):
        if graph.lone[e]:
            home = part[graph.source[e]]
            for k in range(slot[e], slot[e] + spread[e]):
                if block[k] == home and count[k] == 1:
                    out[e] -= 1
    return out


@numba.njit(cache=True)
def _pins_in(e: Any, b: Any, s: _State) -> Any:
    """How many pins of a net are in a part."""
    for k in range(s.slot[e], s.slot[e] + s.spread[e]):
        if s.block[k] == b:
            return s.pin_count[k]
    return 0


@numba.njit(cache=True)
def _targets_in(e: Any, b: Any, s: _State) -> Any:
    """How many targets of a net are in a part: of its pins there all but a lone source."""
    return _pins_in(e, b, s) - (s.graph.lone[e] and s.part[s.graph.source[e]] == b)


@numba.njit(cache=True)
def _parts_of(e: Any, s: _State) -> Any:
    """How many parts hold a target of a net."""
    alone = s.graph.lone[e] and _pins_in(e, s.part[s.graph.source[e]], s) == 1
    return s.spread[e] - alone


@numba.njit(cache=True)
def _change(v: Any, a: Any, b: Any, s: _State, own: Any, sent: Any, touched: Any) -> Any:
    """What moving v from part a to b changes.

    ``own`` (4,) gets what b takes more (neurons, in-axons, out-axons, bits) and ``own[4:8]`` what a
    takes less; ``sent`` what other parts send out more, for the parts ``touched``, whose number is
    returned.
    """
    own[0] = own[4] = s.graph.size[v]
    own[1] = own[2] = own[5] = own[6] = s.graph.own_axons[v]
    own[3] = own[7] = s.graph.own_bits[v]
    marked = 0
    for q in range(s.start[v], s.start[v + 1]):
        e = s.net[q]
        source = s.graph.source[e]
        target = not (source == v and s.graph.lone[e])
        fresh = last = False
        if target:
            fresh = _targets_in(e, b, s) == 0
            last = _targets_in(e, a, s) == 1
            if fresh:
                own[1] += s.graph.axons[e]
                own[3] += s.graph.bits[e]
            if last:
                own[5] += s.graph.axons[e]
                own[7] += s.graph.bits[e]
        if source == v:
            before = _parts_of(e, s)
            own[2] += s.graph.axons[e] * (before + fresh - last)
            own[6] += s.graph.axons[e] * before
        elif source >= 0 and fresh != last:
            home = s.part[source]
            more = s.graph.axons[e] if fresh else -s.graph.axons[e]
            if home == b:
                own[2] += more
            elif home == a:
                own[6] -= more
            else:
                if sent[home] == 0:
                    touched[marked] = home
                    marked += 1
                sent[home] += more
    return marked


@numba.njit(cache=True)
def _sends(a: Any, b: Any, s: _State, most: Any, own: Any, sent: Any, touched: Any) -> Any:
    """Whether no part sends out more than ``most``, or more than it does, after a `_change`."""
    fits = own[2] <= 0 or s.use[b, 2] + own[2] <= most
    if own[6] < 0 and s.use[a, 2] - own[6] > most:
        fits = False
    for home in touched:
        if sent[home] > 0 and s.use[home, 2] + sent[home] > most:
            fits = False
    return fits


@numba.njit(cache=True)
def _move(v: Any, a: Any, b: Any, s: _State) -> None:
    wide = s.some.shape[1] > 0
    for q in range(s.start[v], s.start[v + 1]):
        e = s.net[q]
        first, end = s.slot[e], s.slot[e] + s.spread[e]
        here = there = -1
        for k in range(first, end):
            if s.block[k] == a:
                here = k
            elif s.block[k] == b:
                there = k
        left = s.pin_count[here] - 1
        if there >= 0:
            s.pin_count[there] += 1
            if left == 0:
                s.block[here], s.pin_count[here] = s.block[end - 1], s.pin_count[end - 1]
                s.spread[e] -= 1
        elif left == 0:
            s.block[here] = b
        else:
            s.block[end], s.pin_count[end] = b, 1
            s.spread[e] += 1
        if left > 0:
            s.pin_count[here] = left
        if wide:
            if left == 0:
                _clear(s.some, e, a)
            elif left == 1:
                _clear(s.more, e, a)
            _set(s.more if there >= 0 else s.some, e, b)
    s.part[v] = b
    s.part_colour[b] = s.graph.colour[v]


@numba.njit(cache=True)
def _gains_wide(v: Any, a: Any, s: _State, gain: Any) -> Any:
    """``gain[b]``: weight of the nets of v that part b holds; returns that of those which v keeps.

    ``gain[b]`` less what is returned are the packets saved if v moves to b.
    """
    words = s.some.shape[1]
    gain[:] = 0
    kept = np.int64(0)
    for q in range(s.start[v], s.start[v + 1]):
        e = s.net[q]
        w = s.graph.weight[e]
        if _has(s.more, e, a):
            kept += w
        for i in range(words):
            word = s.some[e, i]
            if word != 0:
                for j in range(32):
                    gain[32 * i + j] += w & -np.int32((word >> np.uint32(j)) & np.uint32(1))
    return kept


@numba.njit(cache=True)
def _gains(
    v: Any, a: Any, s: _State, caps: Any, depend: Any, gain: Any, seen: Any, near: Any, need: Any
) -> Any:
    """As `_gains_wide`, for the parts ``near``, whose number is returned as well.

    A net that reaches more parts than its fan-out may costs its price for each of them. Where
    limits ``depend`` on the rest of a part ``need`` (2,) are the axons and bits of v alone, and
    ``gain[b, 1:]`` those of them that are in b anyway.
    """
    kept, found = np.int64(0), 0
    need[0], need[1] = s.graph.own_axons[v], s.graph.own_bits[v]
    for q in range(s.start[v], s.start[v + 1]):
        e = s.net[q]
        stays = leaves = np.int64(s.graph.weight[e])
        if caps[4] < UNLIMITED and s.graph.source[e] >= 0:
            reached = _parts_of(e, s)
            price = (stays + 1) * _FAN_OUT_PRICE
            if reached >= caps[4]:
                stays += price
            if reached > caps[4]:
                leaves += price
        kept += stays
        axons, bits, home = np.int64(0), np.int64(0), -1
        if depend and not (s.graph.source[e] == v and s.graph.lone[e]):
            axons, bits = np.int64(s.graph.axons[e]), s.graph.bits[e]
            need[0] += axons
            need[1] += bits
            if s.graph.lone[e]:
                home = s.part[s.graph.source[e]]
        for k in range(s.slot[e], s.slot[e] + s.spread[e]):
            b = s.block[k]
            if b == a and s.pin_count[k] == 1:
                kept -= leaves
            if seen[b] != v:
                seen[b] = v
                gain[b, 0] = gain[b, 1] = gain[b, 2] = 0
                near[found] = b
                found += 1
            gain[b, 0] += stays
            if depend and (b != home or s.pin_count[k] > 1):
                gain[b, 1] += axons
                gain[b, 2] += bits
    return kept, found


@numba.njit(cache=True)
def _uniform(noise: Any) -> Any:
    """A number in (0, 1]."""
    return (np.float64(advance(noise) >> np.uint64(11)) + 1.0) * (1.0 / 9007199254740992.0)


@numba.njit(cache=True)
def _sweep(
    order: Any,
    heat: Any,
    noise: Any,
    s: _State,
    caps: Any,
    mixed: Any,
    depend: Any,
) -> Any:
    """One visit of every vertex; returns how many moved."""
    parts = s.use.shape[0]
    wide_gain = np.zeros(32 * s.some.shape[1], np.int32)
    gain, need = np.zeros((parts, 3), np.int64), np.zeros(2, np.int64)
    seen = np.full(parts, -1, np.int64)
    near = np.arange(parts)
    own, sent = np.zeros(8, np.int64), np.zeros(parts, np.int64)
    # A part is marked again when what it sends is back at nothing: once for each net at most.
    touched = np.zeros(int(np.diff(s.start).max()), np.int64)
    moved = 0
    wide = s.some.shape[1] > 0
    for v in order:
        a = s.part[v]
        if wide:
            kept = _gains_wide(v, a, s, wide_gain)
            found = parts
        else:
            kept, found = _gains(v, a, s, caps, depend, gain, seen, near, need)
        over, room = s.use[a, 0] > caps[0], caps[0] - s.graph.size[v]
        best, most = -1, np.int64(-UNLIMITED)
        for i in range(found):
            b = i if wide else near[i]
            g = np.int64(wide_gain[b]) if wide else gain[b, 0]
            if b == a or g < most or s.use[b, 0] > room:
                continue
            # Of equals the fuller one: whole cores become free.
            if g == most and s.use[b, 0] <= s.use[best, 0]:
                continue
            if _takes(v, b, s, caps, mixed, depend, need[0] - gain[b, 1], need[1] - gain[b, 2]):
                best, most = b, g
        if best < 0 and over:
            # None of the parts it is bound to has room.
            for b in range(parts):
                if (
                    b != a
                    and seen[b] != v
                    and _takes(v, b, s, caps, mixed, depend, need[0], need[1])
                    and (best < 0 or s.use[b, 0] < s.use[best, 0])
                ):
                    best, most = b, np.int64(0)
        if best < 0:
            continue
        g = most - kept
        if g <= 0 and not over and (heat <= 0.0 or g <= heat * np.log(_uniform(noise))):
            continue
        if depend:
            homes = touched[: _change(v, a, best, s, own, sent, touched)]
            fits = caps[2] == UNLIMITED or _sends(a, best, s, caps[2], own, sent, homes)
            for home in homes:
                if fits:
                    s.use[home, 2] += sent[home]
                sent[home] = 0
            if not fits:
                continue
            for r in range(4):
                s.use[best, r] += own[r]
                s.use[a, r] -= own[4 + r]
        else:
            s.use[best, 0] += s.graph.size[v]
            s.use[a, 0] -= s.graph.size[v]
        _move(v, a, best, s)
        moved += 1
    return moved


@numba.njit(cache=True)
def _takes(
    v: Any, b: Any, s: _State, caps: Any, mixed: Any, depend: Any, axons: Any, bits: Any
) -> Any:
    """Whether a part has room for a vertex that brings it so many axons and bits.

    What does not grow may be over its limit from before.
    """
    if s.use[b, 0] + s.graph.size[v] > caps[0]:
        return False
    if not mixed and s.use[b, 0] > 0 and s.part_colour[b] != s.graph.colour[v]:
        return False
    if depend:
        if axons > 0 and s.use[b, 1] + axons > caps[1]:
            return False
        if bits > 0 and s.use[b, 3] + bits > caps[3]:
            return False
    return True
