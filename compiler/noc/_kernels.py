"""The loop over events of `cycle.Network`, in numba.

Ports are numbered router by router: port p of router r is r ports + p, with p the link, then the
cores, then the host. A link and the buffer that it leads to are one record, of the link's number;
so are a core's port out and its line into the router, which has one place.

**Times instead of events.** When a port out grants a packet, it is known when the port is free
again, when the packet is in the next buffer and when its place is. So each hop is one event: that a
packet becomes the first of its buffer. A port out that is asked in vain is looked at again once it
is free, or once the place that it needs is: a second kind of event, only where packets wait.

Each cycle has three phases: what becomes first asks, ports out that were asked or waited grant,
what waited too long is dropped. The first only sets bits, the second decides each port out from its
own state and none of its effects comes before the next cycle, so nothing depends on the order
within a phase.

**Records and refcounts.** numba counts references of arrays, not of records: functions here take
records and numbers, or are so short that LLVM inlines them. Indices are unsigned, else each would
be tested for being negative. Memory that is fetched ahead saves a quarter of the time where the
state of a machine, a thousand routers or more, outgrows the nearest caches.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# A port out: bits of the ports in that ask for it; the cycle since when one waits, or -1; when it
# is free; packets granted. `kind` is the row of its times. Its `turn` is the port in that is asked
# first; `armed` says that an event to look at it again is to come.
# The buffer behind it: when its last packet that was granted has left; the first port of its
# router; the place of the first packet and of the next one to come; packets in it, or on their way
# to it, that have not been granted whole; most places taken; branches of the first packet that are
# not granted; its own number among the ports of its router; whether the port out waits for a place
# of which it is not known when it will be free.
PORT: Final = np.dtype(
    [
        ("want", np.int64),
        ("since", np.int64),
        ("free", np.int64),
        ("packets", np.int64),
        ("release", np.int64),
        ("asking", np.int32),
        ("base", np.int32),
        ("present", np.int32),
        ("at", np.uint16),
        ("goal", np.uint16),
        ("peak", np.uint16),
        ("turn", np.uint8),
        ("armed", np.uint8),
        ("kind", np.uint8),
        ("waiting", np.uint8),
        ("bit", np.uint8),
        ("blocked", np.uint8),
    ]
)
# What of a port is seldom looked at: cycles in which a packet waited for it, and for which it was
# taken longer than its span; its core; first and last row of the line at a core's port, and when
# the last one is at the router; and of the buffer behind it the cycle in which its first packet is
# dropped, and its neighbours in the order of being dropped.
ASIDE: Final = np.dtype(
    [
        ("stall", np.int64),
        ("late", np.int64),
        ("front", np.int64),
        ("back", np.int64),
        ("due", np.int64),
        ("before", np.int32),
        ("after", np.int32),
        ("core", np.int64),
        ("ready", np.int64),
    ]
)
# A place in a buffer: when it is free again, or NEVER; when its packet's first flit is in, and how
# long after that the last one; the packet; where it is on its way (a node, or a byte of the paths)
# and, on machines without multicast, the port out that it goes on to.
PLACE: Final = np.dtype(
    [
        ("release", np.int64),
        ("when", np.int64),
        ("lag", np.int32),
        ("packet", np.int32),
        ("step", np.int32),
        ("next", np.int32),
    ]
)
# A packet in the interconnect: its sink, or -1 for all of its route, and copies still on the way.
FLIGHT: Final = np.dtype(
    [("ident", np.int64), ("sent", np.int64), ("sink", np.int32), ("left", np.int32)]
)
# A packet that is to enter: when it is at the router, which is known once it is sent; the row after
# it in the line of its port; the root of its route, and the port.
ENTRY: Final = np.dtype(
    [
        ("sent", np.int64),
        ("ident", np.int64),
        ("ready", np.int64),
        ("behind", np.int64),
        ("node", np.int32),
        ("sink", np.int32),
        ("port", np.int64),
    ]
)
# A node of the ways: the port out towards it, the node behind all that lies behind it, and the
# sinks behind those at the node, and behind all that lie behind it.
NODE: Final = np.dtype(
    [("way", np.int32), ("end", np.int32), ("here", np.int32), ("last", np.int32)]
)
# Places of the clock: the cycle that comes next, packets to enter that have come to their port,
# events to come, numbers of packets that are not in use, first and last buffer that may drop a
# packet, copies granted to their core, copies dropped.
NOW, ENTERED, EVENTS, SPARE, EARLIEST, LATEST, ARRIVED, DROPPED = range(8)
# Rows of `kinds` are of links, but for this one.
CORE: Final = 0
# What the loop ends with.
DONE, LOCKED = range(2)
NEVER: Final = 1 << 62
# How many events ahead memory is fetched, and how many more numbers the lists have for it.
_FAR: Final = 8
_NEAR: Final = 4
_PORTS: Final = 6
AHEAD: Final = 9


class Form(NamedTuple):
    """Sizes, in numbers only.

    A buffer has ``places`` of ``1 << shift``, a cycle of the wheel room for ``1 << room`` events.
    ``each``: a packet is for one sink.
    """

    degree: int
    ports: int
    places: int
    shift: int
    mask: int
    room: int
    each: bool
    inject: int


def _count_zeros(_: Any, word: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


def _prefetch(_: Any, record: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        byte, number = cgutils.voidptr_t, ir.IntType(32)
        form = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], form)
        write, keep, data = number(1), number(3), number(1)
        builder.call(fetch, [builder.bitcast(arguments[0], byte), write, keep, data])
        return context.get_dummy_value()

    return types.void(record), generate


# The place of the lowest bit of a word that is not 0; and to have the processor fetch the line of
# cache of a record, which changes nothing but the time that it takes to use it.
_lowest: Any = intrinsic(_count_zeros)
_fetch: Any = intrinsic(_prefetch)


@numba.njit(cache=True)
def _u(index: Any) -> Any:
    return np.uintp(index)


@numba.njit(cache=True)
def _push(wheel: Any, count: Any, room: int, slot: Any, event: Any, really: Any) -> None:
    """Put an event in a slot of the wheel, or with ``really`` 0 where the next one goes."""
    wheel[_u((slot << room) + count[_u(slot)])] = event
    count[_u(slot)] += really


@numba.njit(cache=True)
def advance(
    form: Form,
    drop_after: int | None,
    until: int,
    tree: Any,
    exit: Any,
    begin: Any,
    paths: Any,
    kinds: Any,
    buffer_of: Any,
    port: Any,
    aside: Any,
    place: Any,
    flight: Any,
    spare: Any,
    wheel: Any,
    count: Any,
    entering: Any,
    begun: Any,
    asked: Any,
    asker: Any,
    clock: Any,
    arrived: Any,
    dropped: Any,
) -> int:
    """Go through all cycles before ``until``, or to where nothing happens any more.

    ``drop_after`` is ``None`` where packets wait for ever. ``tree`` has a row a node of the ways,
    ``exit`` (sinks,) the ports out to cores. ``paths`` has for each sink, from ``begin`` on, the
    number of the port out at each router of its way; both are ``None`` with multicast. numba
    compiles each of these cases by itself, which saves a tenth of the time.
    ``kinds`` (kinds, 2) are cycles that a port out is taken, and of a hop.
    ``buffer_of`` (ports,) is the record that has the buffer of a port in. ``port`` and ``aside``
    have a row a port, ``place`` 1 << shift rows. ``flight`` has a row a packet, ``spare`` the
    numbers of those not in use. ``wheel`` has the events of each cycle, ``count`` how many: a
    place is one whose packet becomes the first, ~o that port o is to be looked at.
    ``entering`` has all packets that are to enter, by when they are sent, ``begun`` whether they
    have left their line. ``asked`` and ``asker`` are for the ports out of one cycle, and the place
    of who asked first. ``arrived`` and ``dropped`` (4, copies) take what is known of each copy:
    packet, core, cycle, cycle it was sent in. Copies that were granted to their core have the cycle
    in which it will have them.
    """
    degree, ports, places = form.degree, form.ports, form.places
    shift, mask, room = form.shift, form.mask, form.room
    now, entered, events, spares = clock[NOW], clock[ENTERED], clock[EVENTS], clock[SPARE]
    earliest, latest = clock[EARLIEST], clock[LATEST]
    n_arrived, n_dropped = 0, 0
    status = DONE
    while True:
        if spares < flight.shape[0] and events == 0 and earliest < 0:
            status = LOCKED
            break
        entry = np.int64(NEVER)
        if entered < entering.shape[0]:
            entry = entering[_u(entered)].sent
        t = entry
        if earliest >= 0:
            t = min(t, aside[_u(earliest)].due)
        if events > 0:
            limit = min(t, until)
            t = now
            while t < limit and count[_u(t & mask)] == 0:
                t += 1
        if t >= until or t == NEVER:
            break
        now = t + 1
        slot = t & mask
        n_asked = 0

        # 1: what is sent stands in line, and then whatever becomes the first of its buffer asks.
        while entry == t:
            e = entering[_u(entered)]
            i = e.port
            p, line = port[_u(i)], aside[_u(i)]
            line.ready = max(t, line.ready) + form.inject
            e.ready = line.ready
            if line.front < 0:
                line.front = entered
            else:
                entering[_u(line.back)].behind = entered
            line.back = entered
            e.behind = -1
            p.present += 1
            first = np.int64(p.present == 1)
            _push(wheel, count, room, max(e.ready, p.release) & mask, i << shift, first)
            events += first
            entered += 1
            entry = np.int64(NEVER)
            if entered < entering.shape[0]:
                entry = entering[_u(entered)].sent
        for k in range(count[_u(slot)]):
            event = np.int64(wheel[_u((slot << room) + k)])
            ahead: Any = max(np.int64(wheel[_u((slot << room) + k + _FAR)]), 0)
            _fetch(place[_u(ahead)])
            _fetch(port[_u(ahead >> shift)])
            ahead = max(np.int64(wheel[_u((slot << room) + k + _NEAR)]), 0)
            _fetch(port[_u(place[_u(ahead)].next)])
            if event < 0:
                o = port[_u(~event)]
                o.armed = 0
                if o.want != 0:
                    asked[_u(n_asked)] = ~event
                    asker[_u(n_asked)] = -1
                    n_asked += 1
                continue
            i = event >> shift
            p, b = port[_u(i)], place[_u(event)]
            if p.kind == CORE:
                line = aside[_u(i)]
                row = line.front
                begun[_u(row)] = True
                e = entering[_u(row)]
                line.front = e.behind
                spares -= 1
                b.packet = spare[_u(spares)]
                f = flight[_u(b.packet)]
                f.ident, f.sent, f.sink, f.left = e.ident, e.sent, e.sink, 1
                b.when, b.lag, b.step = t, 0, e.node
                if paths is not None:
                    b.step = begin[_u(e.sink)]
                    b.next = p.base + paths[_u(b.step)]
                else:
                    f.left = tree[_u(e.node)].last
                    if e.node > 0:
                        f.left -= tree[_u(e.node - 1)].here
            bit = np.int64(1) << np.int64(p.bit)
            if paths is not None:
                o = port[_u(b.next)]
                if o.want == 0:
                    asked[_u(n_asked)] = b.next
                    asker[_u(n_asked)] = event
                    n_asked += 1
                o.want |= bit
                p.waiting = 1
            else:
                node = np.int64(b.step)
                child = node + 1
                sink = np.int64(tree[_u(node - 1)].here) if node > 0 else np.int64(0)
                branches = 0
                while True:
                    if child < tree[_u(node)].end:
                        w = np.int64(tree[_u(child)].way)
                        child = np.int64(tree[_u(child)].end)
                    elif sink < tree[_u(node)].here:
                        w = np.int64(exit[_u(sink)])
                        sink += 1
                    else:
                        break
                    o = port[_u(w)]
                    if o.want == 0:
                        asked[_u(n_asked)] = w
                        asker[_u(n_asked)] = event
                        n_asked += 1
                    o.want |= bit
                    branches += 1
                p.waiting = branches
            if drop_after is not None:
                line = aside[_u(i)]
                line.due = t + drop_after
                line.before, line.after = latest, -1
                if latest >= 0:
                    aside[_u(latest)].after = i
                else:
                    earliest = i
                latest = i
        events -= count[_u(slot)]
        count[_u(slot)] = 0

        # 2: each port out that is asked, free, and has room behind it takes the next that asks.
        # 3: then what was first for too long goes no further, as far as it was not granted.
        k = 0
        while True:
            if k == n_asked:
                if drop_after is None:
                    break
                if earliest < 0 or aside[_u(earliest)].due > t:
                    break
            if drop_after is None or k < n_asked:
                ahead = max(np.int64(asker[_u(k + _PORTS)]), 0)
                _fetch(place[_u(ahead)])
                _fetch(port[_u(ahead >> shift)])
                ahead = np.int64(asked[_u(k + _PORTS)])
                _fetch(port[_u(ahead)])
                _fetch(place[_u(ahead << shift)])
                w, at = np.int64(asked[_u(k)]), np.int64(asker[_u(k)])
                k += 1
                o = port[_u(w)]
                wanted = o.want
                link = o.kind != CORE
                goal = np.int64(0)
                due = o.free
                if link and due <= t:
                    # With nothing in the buffer it begins again: few places in use are few lines of
                    # cache in use. Else the next place is free once the packet in it has left.
                    empty = o.present == 0 and o.release <= t
                    goal = np.int64(0) if empty else np.int64(o.goal)
                    o.at = 0 if empty else o.at
                    due = place[_u((w << shift) + goal)].release
                    if due == NEVER:
                        o.blocked = 1
                if due > t:
                    if wanted == 0:  # looked at a second time in this cycle
                        continue
                    if o.since < 0:
                        o.since = t
                    if due < NEVER and o.armed == 0:
                        o.armed = 1
                        _push(wheel, count, room, due & mask, ~w, 1)
                        events += 1
                    continue
                if o.since >= 0:
                    aside[_u(w)].stall += t - o.since
                later = wanted >> o.turn << o.turn
                g = _lowest(later if later != 0 else wanted)
                wanted &= ~(np.int64(1) << g)
                o.want = wanted
                o.since = t if wanted != 0 else -1
                o.turn = g + 1 if g + 1 < ports else 0
                if at < 0 or wanted != 0:
                    i = np.int64(buffer_of[_u(o.asking + g)])
                    at = (i << shift) + port[_u(i)].at
                i = at >> shift
                p, b = port[_u(i)], place[_u(at)]
                finish = t + kinds[_u(o.kind), _u(0)]
                if b.when + b.lag > finish:
                    aside[_u(w)].late += b.when + b.lag - finish
                    finish = b.when + b.lag
                o.free = finish
                o.packets += 1
                if wanted != 0:
                    o.armed = 1
                    _push(wheel, count, room, finish & mask, ~w, 1)
                    events += 1
                if link:
                    start = w << shift
                    q = place[_u(start + goal)]
                    # A place more than ever is taken if the one so many before this one still is.
                    peak = np.int64(o.peak)
                    back = goal - peak
                    back += places if back < 0 else 0
                    more = np.int64(place[_u(start + back)].release > t) | np.int64(peak == 0)
                    o.peak = peak + more
                    o.goal = goal + 1 if goal + 1 < places else 0
                    q.release = NEVER
                    q.packet = b.packet
                    if paths is not None:
                        q.step = b.step + 1
                        q.next = o.base + paths[_u(b.step + 1)]
                    else:
                        child = np.int64(b.step) + 1
                        while tree[_u(child)].way != w:
                            child = np.int64(tree[_u(child)].end)
                        q.step = child
                    q.when = t + kinds[_u(o.kind), _u(1)]
                    q.lag = finish - t
                    o.present += 1
                    first = np.int64(o.present == 1)
                    when = max(q.when, o.release)
                    _push(wheel, count, room, when & mask, start + goal, first)
                    events += first
                else:
                    f = flight[_u(b.packet)]
                    arrived[_u(0), _u(n_arrived)] = f.ident
                    arrived[_u(1), _u(n_arrived)] = aside[_u(w)].core
                    arrived[_u(2), _u(n_arrived)] = finish
                    arrived[_u(3), _u(n_arrived)] = f.sent
                    n_arrived += 1
                    f.left -= 1
                    if f.left == 0:
                        spare[_u(spares)] = b.packet
                        spares += 1
                p.waiting -= 1
            else:
                i = earliest
                p = port[_u(i)]
                at = (i << shift) + p.at
                b = place[_u(at)]
                f = flight[_u(b.packet)]
                bit = np.int64(1) << np.int64(p.bit)
                for d in range(ports - 1):
                    w = np.int64(p.base + d)
                    o = port[_u(w)]
                    if o.want & bit == 0:
                        continue
                    o.want ^= bit
                    if o.want == 0:
                        aside[_u(w)].stall += t + 1 - o.since
                        o.since = -1
                    node = np.int64(b.step)
                    if paths is not None:
                        low, high = np.int64(f.sink), np.int64(f.sink) + 1
                    elif d < degree:
                        child = node + 1
                        while tree[_u(child)].way != w:
                            child = np.int64(tree[_u(child)].end)
                        low = np.int64(tree[_u(child - 1)].here)
                        high = np.int64(tree[_u(child)].last)
                    else:
                        low = np.int64(tree[_u(node - 1)].here) if node > 0 else np.int64(0)
                        high = np.int64(tree[_u(node)].here)
                    for last in range(low, high):
                        if paths is None and d >= degree and exit[_u(last)] != w:
                            continue
                        dropped[_u(0), _u(n_dropped)] = f.ident
                        dropped[_u(1), _u(n_dropped)] = aside[_u(exit[_u(last)])].core
                        dropped[_u(2), _u(n_dropped)] = t
                        dropped[_u(3), _u(n_dropped)] = f.sent
                        n_dropped += 1
                        f.left -= 1
                if f.left == 0:
                    spare[_u(spares)] = b.packet
                    spares += 1
                # The place is free as soon as the last flit is in and what was granted has left.
                p.waiting = 0
                finish = max(t + 1, b.when + b.lag)
            p.release = max(finish, p.release)
            if p.waiting != 0:
                continue
            # It leaves its buffer, and what is behind it is the first then.
            if drop_after is not None:
                line = aside[_u(i)]
                if line.before >= 0:
                    aside[_u(line.before)].after = line.after
                else:
                    earliest = np.int64(line.after)
                if line.after >= 0:
                    aside[_u(line.after)].before = line.before
                else:
                    latest = np.int64(line.before)
            p.present -= 1
            when = p.release
            if p.kind != CORE:
                b.release = when
                at = np.int64(p.at) + 1
                at = at if at < places else np.int64(0)
                p.at = at
                if p.blocked != 0:
                    p.blocked = 0
                    if p.armed == 0:
                        p.armed = 1
                        _push(wheel, count, room, when & mask, ~i, 1)
                        events += 1
                at = at + (i << shift)
                when = max(when, place[_u(at)].when)
            elif p.present > 0:
                when = max(when, entering[_u(aside[_u(i)].front)].ready)
            more = np.int64(p.present > 0)
            _push(wheel, count, room, when & mask, at, more)
            events += more
    if status == DONE and until < NEVER:
        now = until
    clock[NOW], clock[ENTERED], clock[EVENTS], clock[SPARE] = now, entered, events, spares
    clock[EARLIEST], clock[LATEST] = earliest, latest
    clock[ARRIVED], clock[DROPPED] = n_arrived, n_dropped
    return status


@numba.njit(cache=True)
def walk(tree: Any, exit: Any, roots: Any, ports: int, begin: Any, paths: Any) -> Any:
    """The port out at each router of the way to each sink, by its number there.

    ``roots`` (routes,) are the first nodes, ``begin`` (sinks,) is filled, ``paths`` unless it has
    no length. Returns how many steps the ways have.
    """
    steps = np.int64(0)
    for r in range(roots.size):
        sink = np.int64(tree[roots[r] - 1].here) if roots[r] > 0 else np.int64(0)
        for s in range(sink, tree[roots[r]].last):
            begin[s] = steps
            node = np.int64(roots[r])
            while s >= tree[node].here:
                child = node + 1
                while s >= tree[child].last:
                    child = np.int64(tree[child].end)
                if paths.size:
                    paths[steps] = tree[child].way % ports
                steps += 1
                node = child
            if paths.size:
                paths[steps] = exit[s] % ports
            steps += 1
    return steps


@numba.njit(cache=True)
def stand_in_line(entering: Any, entered: int, aside: Any) -> None:
    """Make the lines at the cores' ports again, of the first ``entered`` of ``entering``.

    They are the same packets as before, which have other numbers now.
    """
    for k in range(entered):
        aside[entering[k].port].front = -1
    for k in range(entered):
        line = aside[entering[k].port]
        if line.front < 0:
            line.front = k
        else:
            entering[line.back].behind = k
        entering[k].behind = -1
        line.back = k


@numba.njit(cache=True)
def new_rows(
    time: Any,
    route: Any,
    core: Any,
    packet: Any,
    ptr: Any,
    router: Any,
    sink_ptr: Any,
    cores: int,
    form: Form,
    out: Any,
) -> None:
    """Fill the rows of packets that are to enter: one of each spike, or one of each sink."""
    n = 0
    for k in range(time.size):
        node = ptr[route[k]]
        first, behind = np.int64(sink_ptr[node]), np.int64(sink_ptr[ptr[route[k] + 1]])
        if first == behind:
            continue
        own = core[k] % cores if core[k] >= 0 else cores
        port = np.int64(router[node]) * form.ports + form.degree + own
        for sink in range(first, behind if form.each else first + 1):
            row = out[_u(n)]
            row.ident = packet[k]
            row.sent = time[k]
            row.node = node
            row.sink = sink if form.each else -1
            row.port = port
            n += 1
