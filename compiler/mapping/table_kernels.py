r"""Numba kernels that make key/mask tables small, router by router.

A *block* is what a table has to get right: keys that one core sends on one route, with the action
that the router has to take. Blocks are disjoint; keys in none of them never arrive and may match
anything. A block is *straight* where doing nothing does the same: the packet goes on through the
link opposite to where it came from.

`prefix_table` is the best table of prefixes there is, longest first (Draves et al., "Constructing
optimal IP routing tables", INFOCOM 1999, here with straight blocks and with keys that never
arrive). `cover` merges entries that need not be neighbours (ordered covering: Mundy, Heathcote,
Garside, "On-chip order-exploiting routing table minimization for a multicast supercomputer
network", HPSR 2016): entries of one action become one entry, as general as it must be, below all
that are at most as general.

Keys and masks are int64 here, of which 32 bits are used.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

ALL = 0xFFFFFFFF
PLAIN, FIT, FEWEST = range(3)
# How many subsets of a route that come to nothing `cover` puts up with, and how many rounds.
_ATTEMPTS, _SWEEPS = 256, 8
# Blocks of a router up to which all ways of covering are tried: tenths of a millisecond.
_FEW = 512


@numba.njit(cache=True)
def generality(mask: Any) -> Any:
    """How many of the 32 bits ``mask`` leaves open."""
    rest, count = ~mask & ALL, 0
    while rest:
        rest &= rest - 1
        count += 1
    return count


@numba.njit(cache=True)
def highest_bit(x: Any) -> Any:
    """The number of the highest set bit of ``x`` > 0."""
    bit = 0
    while x > 1:
        x >>= 1
        bit += 1
    return bit


@numba.njit(cache=True)
def _meet(sets: Any, start: Any, size: Any, a: Any, b: Any, top: Any) -> Any:
    """Write the intersection of the sorted sets of a and b at ``top``, or their union where it is
    empty; returns its size and whether it is the union.
    """
    i, j, count = start[a], start[b], 0
    a_end, b_end = start[a] + size[a], start[b] + size[b]
    while i < a_end and j < b_end:
        if sets[i] == sets[j]:
            sets[top + count] = sets[i]
            count, i, j = count + 1, i + 1, j + 1
        elif sets[i] < sets[j]:
            i += 1
        else:
            j += 1
    if count:
        return count, 0
    i, j = start[a], start[b]
    while i < a_end or j < b_end:
        if j == b_end or (i < a_end and sets[i] < sets[j]):
            sets[top + count] = sets[i]
            i += 1
        else:
            sets[top + count] = sets[j]
            j += 1
        count += 1
    return count, 1


@numba.njit(cache=True)
def _holds(sets: Any, start: Any, end: Any, item: Any) -> Any:
    """Whether the sorted ``sets[start:end]`` has ``item``."""
    while start < end:
        middle = (start + end) // 2
        if sets[middle] == item:
            return True
        if sets[middle] < item:
            start = middle + 1
        else:
            end = middle
    return False


@numba.njit(cache=True)
def prefix_table(key: Any, mask: Any, action: Any, straight: Any) -> Any:
    r"""The smallest table of prefixes for blocks in ascending order of their keys.

    Over the binary trie of the keys: below a node, with an entry of action s in force, at least

    .. math::
        c(s) = \min\bigl(c_0(s) + c_1(s),\; 1 + \min_a (c_0(a) + c_1(a))\bigr)

    entries are needed, 0 at a block whose action is s. c takes two values only, m where s is in a
    set and m + 1 elsewhere; the set of a node is the intersection of its children's, or their union
    where that is empty. With no entry in force a straight block costs 0, and no entry can bring
    that state back: its cost is kept apart.

    Returns the entries (key, mask, action), and blocks to check them with (key, mask, action,
    straight, the entry each matches or -1): neighbours that agree in all are one block.
    """
    n = key.size
    nodes = 2 * n - 1
    left, right = np.empty(nodes, np.int32), np.empty(nodes, np.int32)
    prefix_key, prefix_mask = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    bit = np.empty(nodes, np.int32)
    cost, bare = np.zeros(nodes, np.int32), np.zeros(nodes, np.int32)
    start, size = np.empty(nodes, np.int32), np.ones(nodes, np.int32)
    alike = np.ones(nodes, np.bool_)
    lines = np.empty(nodes, np.bool_)  # of a node whose blocks are alike: whether they are straight
    sets = np.empty(34 * n, np.int32)  # a block is in the set of its ancestors, at most 32
    for i in range(n):
        prefix_key[i], prefix_mask[i] = key[i], mask[i]
        bare[i] = 0 if straight[i] else 1
        start[i] = i
        sets[i] = action[i]
        lines[i] = straight[i]
    top = n
    # Inner nodes close in the order of a Cartesian tree of the bits in which neighbours differ.
    open_nodes, depth, made, last = np.empty(34, np.int32), 0, n, 0
    for i in range(1, n + 1):
        differs = highest_bit(key[i - 1] ^ key[i]) if i < n else 32
        while depth and bit[open_nodes[depth - 1]] < differs:
            depth -= 1
            node = open_nodes[depth]
            right[node] = last
            a, b = left[node], last
            prefix_mask[node] = ALL ^ ((np.int64(1) << (bit[node] + 1)) - 1)
            prefix_key[node] = prefix_key[a] & prefix_mask[node]
            start[node] = top
            size[node], more = _meet(sets, start, size, a, b, top)
            top += size[node]
            cost[node] = cost[a] + cost[b] + more
            bare[node] = min(bare[a] + bare[b], cost[node] + 1)
            alike[node] = alike[a] and alike[b] and more == 0 and lines[a] == lines[b]
            lines[node] = lines[a]
            last = node
        if i < n:
            left[made], bit[made] = last, differs
            open_nodes[depth] = made
            depth, made, last = depth + 1, made + 1, i
    entry_key, entry_mask = np.empty(n, np.int64), np.empty(n, np.int64)
    entry_action = np.empty(n, np.int32)
    block_key, block_mask = np.empty(n, np.int64), np.empty(n, np.int64)
    block_action, block_owner = np.empty(n, np.int32), np.empty(n, np.int32)
    block_straight = np.empty(n, np.bool_)
    entries = blocks = 0
    todo, owners = np.empty(34, np.int32), np.empty(34, np.int32)
    todo[0], owners[0], depth = last, -1, 1
    while depth:
        depth -= 1
        node, owner = todo[depth], owners[depth]
        if owner < 0:
            leaf = node < n or alike[node]
            stays = bare[node] == 0 or (
                not leaf and bare[left[node]] + bare[right[node]] <= cost[node] + 1
            )
        else:
            stays = _holds(sets, start[node], start[node] + size[node], entry_action[owner])
        if not stays:
            owner = entries
            entry_key[entries], entry_mask[entries] = prefix_key[node], prefix_mask[node]
            entry_action[entries] = sets[start[node]]
            entries += 1
        if node < n or alike[node]:
            block_key[blocks], block_mask[blocks] = prefix_key[node], prefix_mask[node]
            block_action[blocks], block_owner[blocks] = sets[start[node]], owner
            block_straight[blocks] = lines[node]
            blocks += 1
        else:
            todo[depth], owners[depth] = right[node], owner
            todo[depth + 1], owners[depth + 1] = left[node], owner
            depth += 2
    return (
        entry_key[:entries],
        entry_mask[:entries],
        entry_action[:entries],
        block_key[:blocks],
        block_mask[:blocks],
        block_action[:blocks],
        block_straight[:blocks],
        block_owner[:blocks],
    )


@numba.njit(cache=True)
def _lower_bound(key: Any, least: Any) -> Any:
    """The place of the first of the ascending ``key`` that is not below ``least``."""
    start, end = 0, key.size
    while start < end:
        middle = (start + end) // 2
        if key[middle] < least:
            start = middle + 1
        else:
            end = middle
    return start


@numba.njit(cache=True)
def _merged(key: Any, mask: Any, members: Any, count: Any) -> Any:
    """Key and mask of the least general entry that matches whatever one of ``members`` does."""
    first = key[members[0]]
    common = np.int64(ALL)
    for i in range(count):
        common &= mask[members[i]] & ~(key[members[i]] ^ first)
    return first & common, common


@numba.njit(cache=True)
def _spare(
    key: Any, mask: Any, members: Any, count: Any, common: Any, alias_key: Any, alias_mask: Any
) -> Any:
    """Drop as few members as need be for their merger not to match the alias; how many stay.

    The merger misses it as soon as in some bit all members differ from it.
    """
    best_bit, best = np.int64(0), -1
    bits = alias_mask & ~common
    while bits:
        bit = bits & -bits
        bits ^= bit
        stay = 0
        for i in range(count):
            member = members[i]
            stay += (mask[member] & bit) != 0 and ((key[member] ^ alias_key) & bit) != 0
        if stay > best:
            best, best_bit = stay, bit
    kept = 0
    if best >= 2:
        for i in range(count):
            member = members[i]
            if (mask[member] & best_bit) and ((key[member] ^ alias_key) & best_bit):
                members[kept] = member
                kept += 1
    return kept


@numba.njit(cache=True)
def _legal_subset(
    members: Any,
    count: Any,
    key: Any,
    mask: Any,
    action: Any,
    rank: Any,
    alive: Any,
    used: Any,
    block_key: Any,
    block_mask: Any,
    block_action: Any,
    block_owner: Any,
    by_action: Any,
    above: Any,
    chosen: Any,
) -> Any:
    """Reduce ``members``, of one action, to some that may become one entry; how many stay.

    The entry is put below all of at most its rank. It must not take a block of another action from
    an entry below it, nor from none; and none of its own blocks may meet an entry of another action
    that it sinks below.
    """
    what = action[members[0]]
    while count >= 2:
        new_key, new_mask = _merged(key, mask, members, count)
        new_rank = rank[members[0]] if by_action else generality(new_mask)
        alias = -1
        # Whatever it meets has its leading bits, and blocks are in the order of their keys.
        span = np.int64(2) << highest_bit(~new_mask & ALL)
        first = _lower_bound(block_key, new_key & -span)
        for b in range(max(first - 1, 0), block_key.size):
            if block_key[b] > (new_key | (span - 1)):
                break
            if (
                ((block_key[b] ^ new_key) & new_mask & block_mask[b]) == 0
                and block_action[b] != what
                and (block_owner[b] < 0 or rank[block_owner[b]] > new_rank)
            ):
                alias = b
                break
        if alias >= 0:
            count = _spare(key, mask, members, count, new_mask, block_key[alias], block_mask[alias])
            continue
        shades = 0
        for e in range(used):
            if (
                alive[e]
                and action[e] != what
                and rank[e] <= new_rank
                and ((key[e] ^ new_key) & new_mask & mask[e]) == 0
            ):
                above[shades] = e
                shades += 1
        if shades == 0:
            return count
        for i in range(count):
            chosen[members[i]] = True
        for b in range(block_key.size):
            owner = block_owner[b]
            if owner < 0 or not chosen[owner]:
                continue
            for i in range(shades):
                e = above[i]
                sinks = rank[e] > rank[owner] or (rank[e] == rank[owner] and e > owner)
                if sinks and ((key[e] ^ block_key[b]) & mask[e] & block_mask[b]) == 0:
                    chosen[owner] = False
                    break
        kept = 0
        for i in range(count):
            if chosen[members[i]]:
                chosen[members[i]] = False
                members[kept] = members[i]
                kept += 1
        if kept == count:
            return count
        count = kept
    return 0


@numba.njit(cache=True)
def cover(
    entry_key: Any,
    entry_mask: Any,
    entry_action: Any,
    block_key: Any,
    block_mask: Any,
    block_action: Any,
    block_owner: Any,
    by_action: Any,
    enough: Any,
) -> Any:
    """Ordered covering: merge entries until there are ``enough`` or no merger is found.

    The order of the table is that of generality, or, ``by_action``, that of actions, those with the
    most entries last: then all of the last may become one entry that matches everything, but the
    entries must be disjoint to begin with.

    ``block_owner`` is the first entry that matches any key of the block, and it matches all of
    them; -1 where none does. Entries of one rank are disjoint or agree. Returns keys, masks and
    actions, first match first.
    """
    n = entry_key.size
    key, mask = np.empty(2 * n, np.int64), np.empty(2 * n, np.int64)
    action, rank = np.empty(2 * n, np.int32), np.zeros(2 * n, np.int32)
    alive, owned = np.zeros(2 * n, np.bool_), np.zeros(2 * n, np.int32)
    key[:n], mask[:n], action[:n], alive[:n] = entry_key, entry_mask, entry_action, True
    kinds = action[:n].max() + 1 if n else 0
    often = np.bincount(action[:n], minlength=kinds)
    place = np.empty(kinds, np.int64)
    place[np.argsort(often, kind="mergesort")] = np.arange(kinds)
    for e in range(n):
        rank[e] = place[action[e]] if by_action else generality(mask[e])
    owner = block_owner.copy()
    for b in range(owner.size):
        if owner[b] >= 0:
            owned[owner[b]] += 1
    above, chosen = np.empty(2 * n, np.int32), np.zeros(2 * n, np.bool_)
    members, waiting = np.empty(2 * n, np.int32), np.empty(2 * n, np.int32)
    used, left = n, n
    for _ in range(_SWEEPS):
        before = left
        sizes = np.zeros(kinds, np.int32)
        for e in range(used):
            sizes[action[e]] += alive[e]
        for what in np.argsort(-sizes, kind="mergesort"):
            if sizes[what] < 2:
                break
            attempts = _ATTEMPTS
            count = 0
            for e in range(used):
                if alive[e] and action[e] == what:
                    waiting[count] = e
                    count += 1
            while count >= 2 and attempts and left > enough:
                members[:count] = waiting[:count]
                found = _legal_subset(
                    members,
                    count,
                    key,
                    mask,
                    action,
                    rank,
                    alive,
                    used,
                    block_key,
                    block_mask,
                    block_action,
                    owner,
                    by_action,
                    above,
                    chosen,
                )
                if found < 2:
                    # The next try starts without the one that was left over last.
                    attempts -= 1
                    lost = members[0]
                    kept = 0
                    for i in range(count):
                        if waiting[i] != lost:
                            waiting[kept] = waiting[i]
                            kept += 1
                    count = kept
                    continue
                key[used], mask[used] = _merged(key, mask, members, found)
                action[used], alive[used] = what, True
                rank[used] = place[what] if by_action else generality(mask[used])
                for i in range(found):
                    chosen[members[i]] = True
                for b in range(owner.size):
                    old = owner[b]
                    if old >= 0 and (
                        chosen[old]
                        or (
                            block_action[b] == what
                            and rank[old] > rank[used]
                            and (mask[used] & ~block_mask[b]) == 0
                            and (block_key[b] & mask[used]) == key[used]
                        )
                    ):
                        owner[b] = used
                        owned[old] -= 1
                        owned[used] += 1
                for i in range(found):
                    chosen[members[i]] = False
                for e in range(used):
                    if alive[e] and owned[e] == 0:
                        alive[e] = False
                        left -= 1
                used += 1
                left += 1
                kept = 0
                for i in range(count):
                    if alive[waiting[i]]:
                        waiting[kept] = waiting[i]
                        kept += 1
                count = kept
        if left == before or left <= enough:
            break
    order = np.full(used, np.iinfo(np.int64).max, np.int64)
    for e in range(used):
        if alive[e]:
            order[e] = rank[e] * np.int64(used) + e
    order = np.argsort(order)[:left]
    return key[order], mask[order], action[order]


@numba.njit(cache=True)
def _in_order(key: Any, mask: Any, action: Any) -> Any:
    """Prefixes with the longest first."""
    order = np.argsort(-mask, kind="mergesort")
    return key[order], mask[order], action[order]


@numba.njit(cache=True)
def _singly(block_key: Any, block_mask: Any, block_action: Any, block_straight: Any) -> Any:
    """An entry for each block that needs one, and the entry of each block."""
    n = block_key.size
    owner, kept = np.full(n, -1, np.int32), np.empty(n, np.int64)
    count = 0
    for b in range(n):
        if not block_straight[b]:
            owner[b] = count
            kept[count] = b
            count += 1
    kept = kept[:count]
    return block_key[kept], block_mask[kept], block_action[kept], owner


@numba.njit(cache=True)
def _small_table(key: Any, mask: Any, action: Any, straight: Any, limit: Any, enough: Any) -> Any:
    """A table of a router, not to be reduced below ``enough`` entries: first match first."""
    k, m, w, bk, bm, bw, lines, first = prefix_table(key, mask, action, straight)
    if k.size <= enough:
        return _in_order(k, m, w)
    sk, sm, sw, owner = _singly(bk, bm, bw, lines)
    best = cover(sk, sm, sw, bk, bm, bw, owner, False, enough)
    # From single blocks is nearly always the best; the others are for where it does not do, or
    # where they cost nothing.
    if bk.size <= _FEW or best[0].size > min(limit, k.size):
        other = cover(k, m, w, bk, bm, bw, first, False, enough)
        if other[0].size < best[0].size:
            best = other
    if bk.size <= _FEW or best[0].size > limit:
        other = cover(sk, sm, sw, bk, bm, bw, owner, True, enough)
        if other[0].size < best[0].size:
            best = other
    return best


@numba.njit(cache=True)
def minimise(
    ptr: Any, key: Any, mask: Any, action: Any, straight: Any, effort: Any, limit: Any
) -> Any:
    """Tables of all routers, of blocks from ``ptr[r]`` to ``ptr[r + 1]`` by ascending key.

    With ``FEWEST`` each is made as small as can be, with ``FIT`` only as far as ``limit`` asks,
    cheap mergers first, with ``PLAIN`` not at all.
    """
    routers = ptr.size - 1
    out_ptr = np.zeros(routers + 1, np.int64)
    out_key, out_mask = np.empty(key.size, np.int64), np.empty(key.size, np.int64)
    out_action = np.empty(key.size, np.int32)
    top = 0
    for r in range(routers):
        a, b = ptr[r], ptr[r + 1]
        need = 0
        for i in range(a, b):
            need += not straight[i]
        if need == 0:
            out_ptr[r + 1] = top
            continue
        if effort == PLAIN or (effort == FIT and need <= limit):
            for i in range(a, b):
                if not straight[i]:
                    out_key[top], out_mask[top], out_action[top] = key[i], mask[i], action[i]
                    top += 1
            out_ptr[r + 1] = top
            continue
        k, m, w = _small_table(
            key[a:b], mask[a:b], action[a:b], straight[a:b], limit, limit if effort == FIT else 1
        )
        out_key[top : top + k.size] = k
        out_mask[top : top + k.size] = m
        out_action[top : top + k.size] = w
        top += k.size
        out_ptr[r + 1] = top
    return out_ptr, out_key[:top], out_mask[:top], out_action[:top]


@numba.njit(cache=True)
def prefix_sizes(ptr: Any, key: Any, mask: Any, action: Any, straight: Any) -> Any:
    """Entries that each router needs with prefixes alone."""
    sizes = np.zeros(ptr.size - 1, np.int64)
    for r in range(sizes.size):
        a, b = ptr[r], ptr[r + 1]
        if a < b:
            found = prefix_table(key[a:b], mask[a:b], action[a:b], straight[a:b])
            sizes[r] = found[0].size
    return sizes


@numba.njit(cache=True)
def walk(
    origin: Any,
    link_ptr: Any,
    start: Any,
    end: Any,
    step: Any,
    sink_ptr: Any,
    sink: Any,
    cores_per_router: Any,
    routers: Any,
) -> Any:
    """What each router of each route does: links and cores as bits, and the step it is entered by.

    Node ``link_ptr[r] + r`` is the origin of route r, entered by -1, and those behind it are the
    ends of its links. The last value is the first route that is not a tree, or -1.
    """
    nodes = origin.size + start.size
    router, entered = np.empty(nodes, np.int32), np.empty(nodes, np.int8)
    links, cores = np.zeros(nodes, np.int64), np.zeros(nodes, np.int64)
    at, seen = np.zeros(routers, np.int64), np.full(routers, -1, np.int32)
    for r in range(origin.size):
        node = link_ptr[r] + r
        router[node], entered[node] = origin[r], -1
        at[origin[r]], seen[origin[r]] = node, r
        for k in range(link_ptr[r], link_ptr[r + 1]):
            node += 1
            if seen[start[k]] != r or seen[end[k]] == r:
                return router, entered, links, cores, r
            router[node], entered[node] = end[k], step[k]
            at[end[k]], seen[end[k]] = node, r
            links[at[start[k]]] |= np.int64(1) << step[k]
        for k in range(sink_ptr[r], sink_ptr[r + 1]):
            place = sink[k] // cores_per_router
            if seen[place] != r:
                return router, entered, links, cores, r
            cores[at[place]] |= np.int64(1) << (sink[k] % cores_per_router)
    return router, entered, links, cores, -1
