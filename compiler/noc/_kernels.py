"""The loop over events of `cycle.Network`, in numba.

Ports are numbered router by router: port p of router r is r ports + p, with p the link, then the
cores, then the host. The same numbers serve for the way in (a buffer) and out (a link or a core).
Each cycle has three phases: what ends and arrives, what is granted, what is dropped. The first only
sets requests, the second decides each port out from its own state and none of its effects comes
before the next cycle, so nothing depends on the order within a phase.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numba
import numpy as np

# Columns of a port on its way in: branches of the first packet that have not left, those not yet
# granted, packets present, place of the first, neighbours in the order of being dropped, the event
# after that of its release.
LEFT, WAITING, PRESENT, FIRST, BEFORE, AFTER, NEXT_FREE = range(7)
IN_COLUMNS: Final = 8
# Columns of a port on its way out: the port that has it or -1, free places behind it, the port that
# is asked first, whether it is listed, the event after that of its end, most places taken.
HOLDER, CREDIT, TURN, LISTED, NEXT_END, PEAK = range(6)
OUT_COLUMNS: Final = 8
# Columns of what never changes: first port of the router, way in that the way out leads to or -1,
# way out that leads to the way in or -1, cycles that the way out is taken, cycles of the hop, core,
# first place of the way in.
BASE, BEHIND, FEEDER, SPAN, HOP, CORE, START = range(7)
PATH_COLUMNS: Final = 8
# Columns of a node: the port out towards it, the node behind all that lies behind it, and the sinks
# behind those at the node, and behind all that lie behind it.
WAY, END, HERE, LAST = range(4)
# Columns of what a port out was used for, and the cycle since when a packet waits for it, or -1.
PACKETS, BUSY, STALL, SINCE = range(4)
# Columns of a place in a buffer: packet, cycle it was sent in, node, sink or -1, when its last flit
# is in, the event after that of its arrival, the port, which never changes, and the node that it
# goes on to, -1 where these are several.
IDENT, SENT, NODE, TARGET, TAIL, NEXT_IN, PORT, CHILD = range(8)
PLACE_COLUMNS: Final = 8
# Columns of a packet that is to enter: when it is at the router, and the port.
READY, IDENT_IN, SENT_IN, NODE_IN, TARGET_IN, PORT_IN = range(6)
# Places of the clock: the cycle that comes next, packets to enter that have come to their port,
# events to come, ports with a packet, first and last port that may drop one, copies arrived, copies
# dropped.
NOW, ENTERED, EVENTS, HELD, EARLIEST, LATEST, ARRIVED, DROPPED = range(8)
# What the loop ends with.
DONE, LOCKED = range(2)
NEVER: Final = 1 << 62


class Form(NamedTuple):
    """Sizes, in numbers only; ``drop_after`` is -1 where a packet waits for ever."""

    degree: int
    ports: int
    places: int
    mask: int
    drop_after: int


# The place of a lone bit, by the upper six of its product with a de Bruijn sequence.
_SEQUENCE: Final = 0x03F79D71B4CB0A89
_PLACES: Final = np.zeros(64, np.int64)
_PLACES[[(_SEQUENCE << p) % 2**64 >> 58 for p in range(64)]] = np.arange(64)


@numba.njit(cache=True)
def lowest_bit(word: int) -> int:
    """The place of the lowest bit that is set in ``word``, which is not 0."""
    lone = np.uint64(word & -word)
    place: int = _PLACES[(lone * np.uint64(_SEQUENCE)) >> np.uint64(58)]
    return place


@numba.njit(cache=True)
def advance(
    form: Form,
    until: int,
    tree: Any,
    exit: Any,
    path: Any,
    into: Any,
    out: Any,
    want: Any,
    due: Any,
    use: Any,
    buffer: Any,
    ends: Any,
    arrivals: Any,
    line: Any,
    behind: Any,
    entering: Any,
    begun: Any,
    fresh: Any,
    active: Any,
    clock: Any,
    arrived: Any,
    dropped: Any,
) -> int:
    """Go through all cycles before ``until``, or to where nothing happens any more.

    ``tree`` has a row a node of the ways, ``exit`` (sinks,) the ports out to cores. ``path``,
    ``into``, ``out``, ``use`` have a row a port, ``buffer`` one a place. ``want`` (ports,) has the
    bits of the ports in that ask for a port out, ``due`` (ports,) the cycle in which the first
    packet of a port in is dropped. ``ends`` and ``arrivals`` are wheels of lists of events.
    ``line`` (ports, 2) is the first and the last packet waiting at a core's port, ``behind`` the
    one after each, ``entering`` all that are to enter, by cycle, ``begun`` whether they have left
    that list. ``arrived`` and ``dropped`` (copies, 4) take what is known of each copy: packet,
    core, cycle, cycle it was sent in.
    """
    degree, ports, places, mask = form.degree, form.ports, form.places, form.mask
    total = out.shape[0]
    now, entered, events, held = clock[NOW], clock[ENTERED], clock[EVENTS], clock[HELD]
    earliest, latest = clock[EARLIEST], clock[LATEST]
    n_arrived, n_dropped = 0, 0
    status = DONE
    while True:
        if held > 0 and events == 0 and earliest < 0:
            status = LOCKED
            break
        t = np.int64(NEVER)
        if entered < entering.shape[0]:
            t = entering[entered, READY]
        if earliest >= 0 and due[earliest] < t:
            t = due[earliest]
        if events > 0:
            limit = min(t, until)
            t = now
            while t < limit and ends[t & mask] < 0 and arrivals[t & mask] < 0:
                t += 1
        if t >= until or t == NEVER:
            break
        now = t + 1
        n_fresh = n_active = 0

        # 1: what has left a buffer makes room, what arrives may be the first in one.
        e = ends[t & mask]
        ends[t & mask] = -1
        while e >= 0:
            events -= 1
            if e < total:
                i = out[e, HOLDER]
                out[e, HOLDER] = -1
                following = out[e, NEXT_END]
                roomy = path[e, BEHIND] < 0 or out[e, CREDIT] > 0
                if want[e] != 0 and roomy and out[e, LISTED] == 0:
                    out[e, LISTED] = 1
                    active[n_active] = e
                    n_active += 1
                if path[e, BEHIND] < 0:
                    place = path[i, START] + into[i, FIRST]
                    arrived[n_arrived, 0] = buffer[place, IDENT]
                    arrived[n_arrived, 1] = path[e, CORE]
                    arrived[n_arrived, 2] = t
                    arrived[n_arrived, 3] = buffer[place, SENT]
                    n_arrived += 1
            else:
                i = e - total
                following = into[i, NEXT_FREE]
            e = following
            into[i, LEFT] -= 1
            if into[i, LEFT] > 0:
                continue
            into[i, PRESENT] -= 1
            o = np.int64(path[i, FEEDER])
            if o >= 0:
                into[i, FIRST] += 1
                if into[i, FIRST] == places:
                    into[i, FIRST] = 0
                out[o, CREDIT] += 1
                if want[o] != 0 and out[o, HOLDER] < 0 and out[o, LISTED] == 0:
                    out[o, LISTED] = 1
                    active[n_active] = o
                    n_active += 1
            if into[i, PRESENT] > 0:
                fresh[n_fresh] = i
                n_fresh += 1
            else:
                held -= 1
        place = arrivals[t & mask]
        arrivals[t & mask] = -1
        while place >= 0:
            events -= 1
            i = buffer[place, PORT]
            into[i, PRESENT] += 1
            if into[i, PRESENT] == 1:
                held += 1
                fresh[n_fresh] = i
                n_fresh += 1
            place = buffer[place, NEXT_IN]
        while entered < entering.shape[0] and entering[entered, READY] == t:
            i = entering[entered, PORT_IN]
            if line[i, 0] < 0:
                line[i, 0] = entered
            else:
                behind[line[i, 1]] = entered
            line[i, 1] = entered
            into[i, PRESENT] += 1
            if into[i, PRESENT] == 1:
                held += 1
                fresh[n_fresh] = i
                n_fresh += 1
            entered += 1
        for f in range(n_fresh):
            i = fresh[f]
            place = path[i, START] + into[i, FIRST]
            if path[i, FEEDER] < 0:
                k = line[i, 0]
                line[i, 0] = behind[k]
                begun[k] = True
                buffer[place, IDENT] = entering[k, IDENT_IN]
                buffer[place, SENT] = entering[k, SENT_IN]
                buffer[place, NODE] = entering[k, NODE_IN]
                buffer[place, TARGET] = entering[k, TARGET_IN]
                buffer[place, TAIL] = t
            node, target = buffer[place, NODE], buffer[place, TARGET]
            base = np.int64(path[i, BASE])
            bit = np.int64(1) << (i - base)
            branches = 0
            if target < 0:
                buffer[place, CHILD] = -1
                child = node + 1
                while child < tree[node, END]:
                    o = np.int64(tree[child, WAY])
                    want[o] |= bit
                    if out[o, HOLDER] >= 0 or (path[o, BEHIND] >= 0 and out[o, CREDIT] == 0):
                        if use[o, SINCE] < 0:
                            use[o, SINCE] = t
                    elif out[o, LISTED] == 0:
                        out[o, LISTED] = 1
                        active[n_active] = o
                        n_active += 1
                    branches += 1
                    child = np.int64(tree[child, END])
                for k in range(tree[node - 1, HERE] if node > 0 else 0, tree[node, HERE]):
                    o = np.int64(exit[k])
                    want[o] |= bit
                    if out[o, HOLDER] >= 0 or (path[o, BEHIND] >= 0 and out[o, CREDIT] == 0):
                        if use[o, SINCE] < 0:
                            use[o, SINCE] = t
                    elif out[o, LISTED] == 0:
                        out[o, LISTED] = 1
                        active[n_active] = o
                        n_active += 1
                    branches += 1
            else:
                if target < tree[node, HERE]:
                    o = np.int64(exit[target])
                else:
                    child = node + 1
                    while target >= tree[child, LAST]:
                        child = np.int64(tree[child, END])
                    buffer[place, CHILD] = child
                    o = np.int64(tree[child, WAY])
                want[o] |= bit
                if out[o, HOLDER] >= 0 or (path[o, BEHIND] >= 0 and out[o, CREDIT] == 0):
                    if use[o, SINCE] < 0:
                        use[o, SINCE] = t
                elif out[o, LISTED] == 0:
                    out[o, LISTED] = 1
                    active[n_active] = o
                    n_active += 1
                branches = 1
            into[i, LEFT] = branches
            into[i, WAITING] = branches
            if form.drop_after >= 0:
                due[i] = t + form.drop_after
                into[i, BEFORE] = latest
                into[i, AFTER] = -1
                if latest >= 0:
                    into[latest, AFTER] = i
                else:
                    earliest = i
                latest = i

        # 2: each port out that is asked, free, and has room behind it takes the next that asks.
        for a in range(n_active):
            o = active[a]
            out[o, LISTED] = 0
            asked = want[o]
            if use[o, SINCE] >= 0:
                use[o, STALL] += t - use[o, SINCE]
                use[o, SINCE] = -1
            later = asked >> out[o, TURN] << out[o, TURN]
            p = lowest_bit(later if later != 0 else asked)
            asked ^= np.int64(1) << p
            want[o] = asked
            out[o, TURN] = p + 1 if p + 1 < ports else 0
            i = path[o, BASE] + p
            place = path[i, START] + into[i, FIRST]
            finish = max(t + path[o, SPAN], buffer[place, TAIL])
            out[o, HOLDER] = i
            out[o, NEXT_END] = ends[finish & mask]
            ends[finish & mask] = o
            events += 1
            use[o, PACKETS] += 1
            use[o, BUSY] += finish - t
            into[i, WAITING] -= 1
            if form.drop_after >= 0 and into[i, WAITING] == 0:
                if into[i, BEFORE] >= 0:
                    into[into[i, BEFORE], AFTER] = into[i, AFTER]
                else:
                    earliest = into[i, AFTER]
                if into[i, AFTER] >= 0:
                    into[into[i, AFTER], BEFORE] = into[i, BEFORE]
                else:
                    latest = into[i, BEFORE]
            j = np.int64(path[o, BEHIND])
            if j >= 0:
                taken = places - out[o, CREDIT]
                out[o, CREDIT] -= 1
                if taken == 0:
                    into[j, FIRST] = 0  # few places in use are few lines of cache in use
                if taken + 1 > out[o, PEAK]:
                    out[o, PEAK] = taken + 1
                goal = into[j, FIRST] + taken
                if goal >= places:
                    goal -= places
                goal += path[j, START]
                child = buffer[place, CHILD]
                if child < 0:
                    child = buffer[place, NODE] + 1
                    while tree[child, WAY] != o:
                        child = np.int64(tree[child, END])
                buffer[goal, IDENT] = buffer[place, IDENT]
                buffer[goal, SENT] = buffer[place, SENT]
                buffer[goal, NODE] = child
                buffer[goal, TARGET] = buffer[place, TARGET]
                buffer[goal, TAIL] = finish + path[o, HOP]
                when = t + path[o, HOP]
                buffer[goal, NEXT_IN] = arrivals[when & mask]
                arrivals[when & mask] = goal
                events += 1
            if asked != 0:
                use[o, SINCE] = t

        # 3: what was first for too long goes no further, as far as it was not granted.
        while earliest >= 0 and due[earliest] <= t:
            i = earliest
            earliest = into[i, AFTER]
            if earliest >= 0:
                into[earliest, BEFORE] = -1
            else:
                latest = -1
            place = path[i, START] + into[i, FIRST]
            node, target = buffer[place, NODE], buffer[place, TARGET]
            base = np.int64(path[i, BASE])
            bit = np.int64(1) << (i - base)
            for p in range(ports - 1):
                o = base + p
                if want[o] & bit == 0:
                    continue
                want[o] ^= bit
                if want[o] == 0:
                    use[o, STALL] += t + 1 - use[o, SINCE]
                    use[o, SINCE] = -1
                low = high = target
                if target >= 0:
                    high = target + 1
                elif p < degree:
                    child = node + 1
                    while tree[child, WAY] != o:
                        child = np.int64(tree[child, END])
                    low, high = np.int64(tree[child - 1, HERE]), np.int64(tree[child, LAST])
                else:
                    low = np.int64(tree[node - 1, HERE]) if node > 0 else np.int64(0)
                    high = np.int64(tree[node, HERE])
                for k in range(low, high):
                    if target < 0 and p >= degree and exit[k] != o:
                        continue
                    dropped[n_dropped, 0] = buffer[place, IDENT]
                    dropped[n_dropped, 1] = path[exit[k], CORE]
                    dropped[n_dropped, 2] = t
                    dropped[n_dropped, 3] = buffer[place, SENT]
                    n_dropped += 1
            # The place is free as soon as the last flit is in and what was granted has left.
            into[i, LEFT] += 1 - into[i, WAITING]
            into[i, WAITING] = 0
            finish = max(t + 1, buffer[place, TAIL])
            into[i, NEXT_FREE] = ends[finish & mask]
            ends[finish & mask] = total + i
            events += 1
    if status == DONE and until < NEVER:
        now = until
    clock[NOW], clock[ENTERED], clock[EVENTS], clock[HELD] = now, entered, events, held
    clock[EARLIEST], clock[LATEST] = earliest, latest
    clock[ARRIVED], clock[DROPPED] = n_arrived, n_dropped
    return status


@numba.njit(cache=True)
def stand_in_line(entering: Any, entered: int, line: Any, behind: Any) -> None:
    """Make the lines at the cores' ports again, of the first ``entered`` of ``entering``.

    They are the same packets as before, which have other numbers now.
    """
    for k in range(entered):
        line[entering[k, PORT_IN], 0] = -1
    for k in range(entered):
        i = entering[k, PORT_IN]
        if line[i, 0] < 0:
            line[i, 0] = k
        else:
            behind[line[i, 1]] = k
        line[i, 1] = k


@numba.njit(cache=True)
def new_rows(
    time: Any,
    route: Any,
    core: Any,
    packet: Any,
    ptr: Any,
    router: Any,
    sink_ptr: Any,
    each: bool,
    cores: int,
    form: Form,
    inject: int,
    last: Any,
    out: Any,
) -> None:
    """Fill the rows of packets that are to enter: one of each spike, or one of ``each`` sink.

    ``last`` (ports,) is when the last packet of each port was at the router; it goes on.
    """
    n = 0
    for k in range(time.size):
        node = ptr[route[k]]
        first, behind = np.int64(sink_ptr[node]), np.int64(sink_ptr[ptr[route[k] + 1]])
        if first == behind:
            continue
        own = core[k] % cores if core[k] >= 0 else cores
        port = np.int64(router[node]) * form.ports + form.degree + own
        ready = last[port]
        for sink in range(first, behind if each else first + 1):
            ready = max(time[k], ready) + inject
            out[n, READY] = ready
            out[n, IDENT_IN] = packet[k]
            out[n, SENT_IN] = time[k]
            out[n, NODE_IN] = node
            out[n, TARGET_IN] = sink if each else -1
            out[n, PORT_IN] = port
            n += 1
        last[port] = ready
