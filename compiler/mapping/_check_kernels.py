"""The loops of `check`: over synapses, rows of sources, routes, and keys in tables.

Each notes what is wrong in ``found``, one line for each of the kinds below: how often, and of the
first case the source or route and two numbers that the kind explains.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

# Of a source: (source, a, b).
(
    NO_TARGET,  # a: its route
    UNROUTED,  # a: a core that holds a target
    SHARED,  # a: its route
    ORIGIN,  # a: where the route starts, b: where it ought to
    EXTRA,  # a: a core of its route without a target
    MISSING,  # a: a core with a target that its route lacks
    # Of a route: (route, a, b).
    ORDER,  # the link a -> b
    REENTERED,  # the link a -> b
    LINK,  # the link a -> b
    OFF_TREE,  # a: the core, b: its router
    USELESS,  # the link a -> b
    SINKS,  # a, b: cores that follow each other
    # Of a source in the tables: (source, a, b).
    NO_ENTRY,  # a: the router
    OFF_MACHINE,  # a: the router, b: the link's number
    LOOP,  # the link a -> b
    STRAYED,  # the link a -> b
    WRONG_CORE,  # a: the router, b: the number of the core in it
    STUCK,  # a: links taken, b: links of the route
    UNDELIVERED,  # a: cores reached, b: cores of the route
    KINDS,
) = range(20)


class Seats(NamedTuple):
    """The ``part`` of each neuron, the core of each part (``seat``), and the part at each core."""

    part: Any
    seat: Any
    part_at: Any
    host: int
    cores_per_router: int


class Ways(NamedTuple):
    """The arrays of `Routes`."""

    of: Any
    origin: Any
    link_ptr: Any
    start: Any
    end: Any
    sink_ptr: Any
    sink: Any


class Counts(NamedTuple):
    """What `count_rows` adds to.

    By part ``in_axons``, ``out_axons``, ``fan_out`` and ``bits``; by route its ``owner``, the part
    that it belongs to (as many as there are parts for the host, -1 where no source takes it), and
    its ``rate``. ``strays`` (1,) are packets to cores without a target; where it is empty there
    must be none. ``found`` takes notes.
    """

    in_axons: Any
    out_axons: Any
    fan_out: Any
    bits: Any
    owner: Any
    rate: Any
    strays: Any
    found: Any


class Entries(NamedTuple):
    """Entries by router and mask, ascending by key and then by place, as `_first_match` asks.

    Groups of one mask by router in ``group_ptr`` and ``group_mask``, rows by group in ``row_ptr``,
    ``row_key`` and ``row_at``, the place in the tables, whose ``links`` and ``cores`` these are.
    """

    group_ptr: Any
    group_mask: Any
    row_ptr: Any
    row_key: Any
    row_at: Any
    links: Any
    cores: Any


class _Walk(NamedTuple):
    """Room for a packet's way.

    The tree of the route in ``parent``, ``of_tree`` and ``wanted``, what a packet has ``entered``
    and ``reached``, and the routers that it has still to be looked up in, with its ``heading``.
    """

    parent: Any
    of_tree: Any
    wanted: Any
    entered: Any
    reached: Any
    stack: Any
    heading: Any


@numba.njit(cache=True, inline="always")
def _note(found: Any, kind: int, item: int, a: int, b: int) -> None:
    if found[kind, 0] == 0:
        found[kind, 1] = item
        found[kind, 2] = a
        found[kind, 3] = b
    found[kind, 0] += 1


@numba.njit(cache=True)
def count_synapses(
    target: Any, delay: Any, part: Any, fan_in: Any, reached: Any, longest: Any
) -> None:
    """Add one bundle to the synapses onto each neuron; mark parts reached, raise longest delays.

    ``delay`` has one value or one for each synapse.
    """
    single = delay.size == 1
    for k in range(target.size):
        neuron = target[k]
        p = part[neuron]
        fan_in[neuron] += 1
        reached[p] = True
        steps = delay[0] if single else delay[k]
        if steps > longest[p]:
            longest[p] = steps


@numba.njit(cache=True)
def merge_rows(
    ptr: Any, target: Any, low: int, high: int, shared: bool, place: Any, out: Any
) -> None:
    """Append rows ``low`` to ``high`` to those in ``out``, each at its ``place``, which moves on.

    Targets of shared weights are written as their complement.
    """
    for row in range(low, high):
        at = place[row - low]
        for k in range(ptr[row], ptr[row + 1]):
            out[at] = ~target[k] if shared else target[k]
            at += 1
        place[row - low] = at


@numba.njit(cache=True)
def count_rows(
    first: int,
    ptr: Any,
    target: Any,
    shared: bool,
    rate: Any,
    layout: Any,
    seats: Any,
    ways: Any,
    counts: Any,
    stamp: Any,
    own: Any,
    cores: Any,
) -> Any:
    """Count the rows of sources ``first`` on; returns their packets.

    ``layout`` has the bits of an axon, of a synapse and of a word. ``stamp`` (parts,) names the
    source that has last reached a part, ``own`` (parts,) its unshared synapses there, ``cores`` the
    parts of one source.
    """
    packets = 0
    part, seat, sink, found = seats.part, seats.seat, ways.sink, counts.found
    neurons, parts = part.size, seat.size
    axon, synapse, word = layout[0], layout[1], layout[2]
    for row in range(ptr.size - 1):
        source = first + row
        n = 0
        for k in range(ptr[row], ptr[row + 1]):
            neuron = target[k]
            unshared = 0 if shared else 1
            if neuron < 0:
                neuron = ~neuron
                unshared = 0
            p = part[neuron]
            if stamp[p] != source:
                stamp[p] = source
                own[p] = 0
                cores[n] = p
                n += 1
            own[p] += unshared
        route = ways.of[source]
        if n == 0:
            if route >= 0:
                _note(found, NO_TARGET, source, route, 0)
            continue
        for i in range(n):
            p = cores[i]
            counts.in_axons[p] += 1
            counts.bits[p] += (axon + own[p] * synapse + word - 1) // word * word
        at, home, others = seats.host, parts, n
        if source < neurons:
            home = part[source]
            at = seat[home] // seats.cores_per_router
            counts.out_axons[home] += n
            counts.fan_out[home] = max(counts.fan_out[home], n)
            if stamp[home] == source:
                others -= 1
        packets += rate[source] * others
        if route < 0:
            _note(found, UNROUTED, source, seat[cores[0]], 0)
            continue
        counts.rate[route] += rate[source]
        if counts.owner[route] < 0:
            counts.owner[route] = home
        elif counts.owner[route] != home:
            _note(found, SHARED, source, route, 0)
        if ways.origin[route] != at:
            _note(found, ORIGIN, source, ways.origin[route], at)
        low, high = ways.sink_ptr[route], ways.sink_ptr[route + 1]
        met = 0
        for k in range(low, high):
            p = seats.part_at[sink[k]]
            if p >= 0 and stamp[p] == source:
                met += 1
            elif counts.strays.size:
                counts.strays[0] += rate[source]
            else:
                _note(found, EXTRA, source, sink[k], 0)
        if met < n:
            for i in range(n):
                core = seat[cores[i]]
                present = False
                for k in range(low, high):
                    present |= sink[k] == core
                if not present:
                    _note(found, MISSING, source, core, 0)
                    break
    return packets


@numba.njit(cache=True)
def encoded_rows(
    ptr: Any, target: Any, first: int, part: Any, before: Any, behind: Any, held: Any, layout: Any
) -> Any:
    """Count the rows of a bundle whose targets begin at ``first``, in every format at once.

    ``before`` and ``behind`` are the neurons of the same population next to each in its part, or
    -1; ``held`` (parts,) how many of them there are. ``layout`` (4,) has the bits of a head, a
    weight with its delay, a word, and the synapses of a block; ``index`` bits of a part are in
    ``held[1]``. Returns bits with an index a synapse, a run and a row (parts, 3), rows (parts,) and
    pairs that are joined again (parts,). Nothing is sorted: a target is marked with its row, and
    begins a run where the neuron before it is not.
    """
    parts = held.shape[1]
    head, weight, word, block = layout[0], layout[1], layout[2], layout[3]
    bits = np.zeros((parts, 3), np.int64)
    rows, again = np.zeros(parts, np.int64), np.zeros(parts, np.int64)
    marked, met = np.full(part.size, -1, np.int64), np.full(parts, -1, np.int64)
    own, touched = np.zeros(parts, np.int64), np.empty(parts, np.int64)
    for row in range(ptr.size - 1):
        n = 0
        for k in range(ptr[row], ptr[row + 1]):
            v = target[k] - first
            p = part[v]
            if met[p] != row:
                met[p] = row
                own[p] = 0
                touched[n] = p
                n += 1
            own[p] += 1
            if marked[v] == row:
                again[p] += 1
            marked[v] = row
        for i in range(n):
            p = touched[i]
            rows[p] += 1
            left = own[p]
            while left > 0:
                some = min(left, block)
                bits[p, 0] += (head + some * (weight + held[1, p]) + word - 1) // word * word
                left -= some
            left = held[0, p]
            while left > 0:
                some = min(left, block)
                bits[p, 2] += (head + some * weight + word - 1) // word * word
                left -= some
        for k in range(ptr[row], ptr[row + 1]):
            v = np.int64(target[k] - first)
            p = part[v]
            if again[p] or (before[v] >= 0 and marked[before[v]] == row):
                continue
            while v >= 0 and marked[v] == row:
                some = 0
                while some < block and v >= 0 and marked[v] == row:
                    some += 1
                    v = behind[v]
                cost = head + held[1, p] + some * weight
                bits[p, 1] += (cost + word - 1) // word * word
    return bits, rows, again


@numba.njit(cache=True)
def kernel_rows(
    ptr: Any, target: Any, first: int, part: Any, rank: Any, window: Any, total: int
) -> Any:
    """What tells the rows of a convolution apart: columns part, synapses, reach and two sums.

    The sums are over the synapses of a row in a part, of a scrambled number for each: how far it is
    from the first, and which weight of the kernel it has. ``rank`` numbers neurons within a part.
    """
    height, width, out_height, out_width = window[0], window[1], window[2], window[3]
    found = np.zeros((total, 5), np.int64)
    parts = 0
    for p in part:
        parts = max(parts, p + 1)
    met, line = np.full(parts, -1, np.int64), np.zeros(parts, np.int64)
    low = np.zeros(parts, np.int64)
    n = 0
    for row in range(ptr.size - 1):
        for k in range(ptr[row], ptr[row + 1]):
            v = target[k] - first
            p = part[v]
            if met[p] != row:
                met[p] = row
                line[p] = n
                low[p] = rank[v]
                found[n, 0] = p
                n += 1
            low[p] = min(low[p], rank[v])
        channel = row // (height * width)
        y = row // width - channel * height
        x = row - (channel * height + y) * width
        for k in range(ptr[row], ptr[row + 1]):
            v = target[k] - first
            at = line[part[v]]
            output = v // (out_height * out_width)
            i = v // out_width - output * out_height
            j = v - (output * out_height + i) * out_width
            apart = rank[v] - low[part[v]]
            one = np.uint64(0x2545F4914F6CDD1D)
            for part_of_it in (apart, channel, output, y - i * window[4], x - j * window[5]):
                one = (one ^ np.uint64(part_of_it)) * np.uint64(0x9E3779B97F4A7C15)
                one ^= one >> np.uint64(32)
            found[at, 1] += 1
            found[at, 2] = max(found[at, 2], apart + 1)
            found[at, 3] += np.int64(one & np.uint64(0xFFFFFFFF))
            found[at, 4] += np.int64(one * np.uint64(0xD6E8FEB86659FD93) >> np.uint64(32))
    return found[:n]


@numba.njit(cache=True)
def count_neurons(
    part: Any, node: Any, fan_in: Any, neurons: Any, most: Any, lowest: Any, highest: Any
) -> None:
    """Of each part the neurons, the most synapses onto one, the lowest and highest node."""
    for neuron in range(part.size):
        p = part[neuron]
        if neurons[p] == 0:
            lowest[p] = node[neuron]
            highest[p] = node[neuron]
        neurons[p] += 1
        most[p] = max(most[p], fan_in[neuron])
        lowest[p] = min(lowest[p], node[neuron])
        highest[p] = max(highest[p], node[neuron])


@numba.njit(cache=True)
def walk_routes(
    neighbours: Any,
    chip: Any,
    cores_per_router: int,
    multicast: bool,
    ways: Any,
    rate: Any,
    load: Any,
    follows: Any,
    sound: Any,
    found: Any,
) -> Any:
    """Walk every route from its origin; returns the hops within chips and those between them.

    ``load`` (routers, links) collects packets. Bit l of ``follows[router, link]``, unless that is
    empty, is set where a route goes on from the link's end by link l. ``sound`` tells the routes
    that are trees of links of the machine with every core of theirs on them; the others carry
    nothing.
    """
    routers, degree = neighbours.shape
    origin, link_ptr, start, end = ways.origin, ways.link_ptr, ways.start, ways.end
    sink_ptr, sink = ways.sink_ptr, ways.sink
    seen = np.full(routers, -1, np.int32)
    entry = np.empty(routers, np.int64)  # router * degree + link by which it was entered
    below = np.empty(routers, np.int64)  # cores at the router and behind it
    within = between = 0
    for route in range(origin.size):
        low, high = link_ptr[route], link_ptr[route + 1]
        good = True
        seen[origin[route]] = route
        entry[origin[route]] = -1
        below[origin[route]] = 0
        for k in range(low, high):
            a, b = start[k], end[k]
            if seen[a] != route:
                _note(found, ORDER, route, a, b)
                good = False
            if seen[b] == route:
                _note(found, REENTERED, route, a, b)
                good = False
                continue
            link = 0
            while link < degree and neighbours[a, link] != b:
                link += 1
            if link == degree:
                _note(found, LINK, route, a, b)
                good = False
            seen[b] = route
            entry[b] = a * degree + link
            below[b] = 0
        for k in range(sink_ptr[route], sink_ptr[route + 1]):
            if k > sink_ptr[route] and sink[k] <= sink[k - 1]:
                _note(found, SINKS, route, sink[k - 1], sink[k])
                good = False
            router = sink[k] // cores_per_router
            if seen[router] == route:
                below[router] += 1
            else:
                _note(found, OFF_TREE, route, sink[k], router)
                good = False
        sound[route] = good
        if not good:
            continue
        # Links stand behind those that lead to them, so backwards the leaves come first.
        for k in range(high - 1, low - 1, -1):
            a, b = start[k], end[k]
            if below[b] == 0:
                _note(found, USELESS, route, a, b)
            link = entry[b] - a * degree
            copies = 1 if multicast else below[b]
            load[a, link] += rate[route] * copies
            if chip[a] == chip[b]:
                within += rate[route] * copies
            else:
                between += rate[route] * copies
            if follows.size and entry[a] >= 0:
                follows[entry[a] // degree, entry[a] % degree] |= 1 << link
            below[a] += below[b]
    return within, between


@numba.njit(cache=True)
def waiting_links(neighbours: Any, follows: Any) -> Any:
    """Links (routers, links) that wait for themselves, or that such links wait for: Kahn's order.

    A link waits for those by which a route goes on from its end. What is left when links that
    none waits for are taken away again and again lies on a loop or behind one.
    """
    routers, degree = neighbours.shape
    waiting = np.zeros((routers, degree), np.int64)
    for a in range(routers):
        for link in range(degree):
            for then in range(degree):
                if follows[a, link] >> then & 1:
                    waiting[neighbours[a, link], then] += 1
    stack = np.empty(routers * degree, np.int64)
    size = 0
    for a in range(routers):
        for link in range(degree):
            if waiting[a, link] == 0:
                stack[size] = a * degree + link
                size += 1
    while size:
        size -= 1
        a, link = stack[size] // degree, stack[size] % degree
        for then in range(degree):
            if follows[a, link] >> then & 1:
                b = neighbours[a, link]
                waiting[b, then] -= 1
                if waiting[b, then] == 0:
                    stack[size] = b * degree + then
                    size += 1
    return waiting > 0


_ALL = np.uint32(0xFFFFFFFF)


@numba.njit(cache=True)
def _first_match(router: int, key: Any, agree: Any, entries: Any) -> int:
    """The first entry of a router that all keys match which are as ``key`` in the bits ``agree``.

    -1 where none of them matches any, -2 where the first match differs among them or may do so.
    One search for each mask finds what a walk down the table would.
    """
    row_key, row_at = entries.row_key, entries.row_at
    best = part = row_at.size
    for group in range(entries.group_ptr[router], entries.group_ptr[router + 1]):
        mask = entries.group_mask[group]
        low, high = entries.row_ptr[group], entries.row_ptr[group + 1]
        wanted = key & mask
        if mask & ~agree:
            for row in range(low, high):
                if (row_key[row] ^ wanted) & agree == 0:
                    part = min(part, row_at[row])
            continue
        end = high
        while low < high:
            middle = (low + high) >> 1
            if row_key[middle] < wanted:
                low = middle + 1
            else:
                high = middle
        if low < end and row_key[low] == wanted:
            best = min(best, row_at[low])
    if part < best:
        return -2
    return best if best < row_at.size else -1


@numba.njit(cache=True)
def _send(
    key: Any,
    agree: Any,
    source: int,
    route: int,
    stamp: int,
    neighbours: Any,
    cores_per_router: int,
    ways: Any,
    walk: Any,
    entries: Any,
    found: Any,
) -> bool:
    """Whether all keys that are as ``key`` in the bits ``agree`` take a route and reach its cores.

    False, with nothing in ``found``, where a router may treat them differently. A packet that
    leaves the tree of the route is not followed further, so nothing runs for ever.
    """
    degree = neighbours.shape[1]
    entered, reached, stack, heading = walk.entered, walk.reached, walk.stack, walk.heading
    links_of_route = ways.link_ptr[route + 1] - ways.link_ptr[route]
    cores_of_route = ways.sink_ptr[route + 1] - ways.sink_ptr[route]
    origin = ways.origin[route]
    before = found[:, 0].sum()
    taken = delivered = 0
    stack[0] = origin
    heading[0] = -1
    entered[origin] = stamp
    size = 1
    while size:
        size -= 1
        router, straight = stack[size], heading[size]
        entry = _first_match(router, key, agree, entries)
        if entry == -2:
            return False
        if entry >= 0:
            links = np.int64(entries.links[entry])
            cores = np.int64(entries.cores[entry])
        elif straight >= 0:
            links = np.int64(1) << straight
            cores = np.int64(0)
        else:
            _note(found, NO_ENTRY, source, router, 0)
            continue
        bit = 0
        while cores >> bit:
            if cores >> bit & 1:
                core = router * cores_per_router + bit
                if bit >= cores_per_router or walk.wanted[core] != route:
                    _note(found, WRONG_CORE, source, router, bit)
                elif reached[core] != stamp:
                    reached[core] = stamp
                    delivered += 1
            bit += 1
        bit = 0
        while links >> bit:
            if links >> bit & 1:
                after = neighbours[router, bit] if bit < degree else -1
                if after < 0:
                    _note(found, OFF_MACHINE, source, router, bit)
                elif entered[after] == stamp:
                    _note(found, LOOP, source, router, after)
                elif walk.of_tree[after] != route or walk.parent[after] != router:
                    _note(found, STRAYED, source, router, after)
                else:
                    entered[after] = stamp
                    taken += 1
                    stack[size] = after
                    heading[size] = bit
                    size += 1
            bit += 1
    if taken < links_of_route:
        _note(found, STUCK, source, taken, links_of_route)
    if delivered < cores_of_route:
        _note(found, UNDELIVERED, source, delivered, cores_of_route)
    return bool(found[:, 0].sum() == before)


@numba.njit(cache=True)
def follow_keys(
    order: Any,
    key: Any,
    sound: Any,
    neighbours: Any,
    cores_per_router: int,
    ways: Any,
    entries: Any,
    found: Any,
) -> None:
    """Send the key of each source through the tables and hold its way against its route.

    ``order`` are the sources with a route, those of one route together. Their keys mostly differ in
    bits that no entry on their way looks at: one packet then stands for all.
    """
    routers = neighbours.shape[0]
    parent = np.full(routers, -1, np.int32)
    of_tree = np.full(routers, -1, np.int32)
    wanted = np.full(routers * cores_per_router, -1, np.int32)
    entered = np.full(routers, -1, np.int64)
    reached = np.full(routers * cores_per_router, -1, np.int64)
    stack = np.empty(routers, np.int32)
    heading = np.empty(routers, np.int32)
    walk = _Walk(parent, of_tree, wanted, entered, reached, stack, heading)
    together = np.zeros_like(found)
    stamp = 0
    high = 0
    while high < order.size:
        low = high
        first = order[low]
        route = ways.of[first]
        agree = _ALL
        while high < order.size and ways.of[order[high]] == route:
            agree &= ~(key[order[high]] ^ key[first])
            high += 1
        if not sound[route]:
            continue
        of_tree[ways.origin[route]] = route
        parent[ways.origin[route]] = -1
        for k in range(ways.link_ptr[route], ways.link_ptr[route + 1]):
            of_tree[ways.end[k]] = route
            parent[ways.end[k]] = ways.start[k]
        for k in range(ways.sink_ptr[route], ways.sink_ptr[route + 1]):
            wanted[ways.sink[k]] = route
        for i in range(low - 1, high):
            # First all keys at once; then, if that does not prove them right, one by one.
            alone = i >= low
            source = order[i] if alone else first
            stamp += 1
            good = _send(
                key[source],
                _ALL if alone else agree,
                source,
                route,
                stamp,
                neighbours,
                cores_per_router,
                ways,
                walk,
                entries,
                found if alone else together,
            )
            if good and not alone:
                break
