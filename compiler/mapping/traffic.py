"""Which part sends to which: the sets of parts that sources reach, and packets between parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from ...ir.records import Record, frozen_array
from .axons import Axons

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]

# So few parts are sorted by insertion, and more than one of so many by going through all of them.
_FEW: Final = 32
_FEW_OF: Final = 8


@dataclass(frozen=True, eq=False)
class Traffic(Record):
    """Sources of one part that reach the same parts, as groups.

    ``of`` (sources,) is the group of each source, -1 where it has no target. Group g starts in the
    part ``origin[g]``, -1 for the host, reaches the parts ``target[ptr[g]:ptr[g + 1]]``, ascending
    (its own among them if it has targets there), and sends ``rate[g]`` spikes in the window of
    `Axons.rate`. Groups are in the order of their first sources.
    """

    parts: int
    of: Ids
    origin: Ids
    ptr: Integers
    target: Ids
    rate: Integers

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("of", "origin", "target"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int32))
        for name in ("ptr", "rate"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int64))

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return self.origin.size


@dataclass(frozen=True, eq=False)
class Flows(Record):
    """Packets from part to part, where each target part costs one, in rows by sender.

    Part a sends ``rate[k]`` packets a window to the part ``target[k]``, ascending and never a, for
    k from ``ptr[a]`` to ``ptr[a + 1]``; the host sends ``host[b]`` (parts,) to part b. Rates are
    positive in rows.
    """

    ptr: Integers
    target: Ids
    rate: Integers
    host: Integers


def traffic(axons: Axons, part: npt.NDArray[np.integer[Any]]) -> Traffic:
    """The groups of a network whose neurons are in the parts ``part`` (neurons,).

    Takes time and memory in proportion to the synapses and to the parts that each source reaches.
    """
    part = frozen_array(part, np.int32)
    parts = int(part.max()) + 1 if part.size else 0
    sources = axons.sources
    rows = [
        _reached(bundle.ptr, bundle.target, part, np.full(parts, -1, np.int64))
        for bundle in axons.bundles
    ]
    firsts = [bundle.first for bundle in axons.bundles]
    counts, bundles = np.zeros((2, sources), np.int64)
    for first, (ptr, _) in zip(firsts, rows, strict=True):
        counts[first : first + ptr.size - 1] += np.diff(ptr)
        bundles[first : first + ptr.size - 1] += np.diff(ptr) > 0
    ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    place, target = ptr[:-1].copy(), np.empty(ptr[-1], np.int32)
    for first, (row_ptr, reached) in zip(firsts, rows, strict=True):
        _append(row_ptr, reached, place[first : first + row_ptr.size - 1], target)
    del rows
    if bundles.max(initial=0) > 1:
        ptr = _distinct(ptr, target, np.full(parts, -1, np.int64))
    home = np.full(sources, -1, np.int32)
    home[: axons.neurons] = part
    of, leader = _grouped(ptr, target, home)
    sizes = (ptr[1:] - ptr[:-1])[leader]
    group_ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    group_target = np.empty(group_ptr[-1], np.int32)
    _take(ptr, target, leader, group_ptr, group_target)
    rate = np.zeros(leader.size, np.int64)
    _add_up(of, axons.rate, rate)
    return Traffic(parts, of, home[leader], group_ptr, group_target, rate)


def widened(groups: Traffic) -> Traffic:
    """One group for each part, which reaches whatever a source of the part reaches.

    It takes one route where each set of targets would take one, and so fewer entries of routing
    tables; in return a core gets packets that it has no synapses for.
    """
    # The host's group is last: numbers of parts are then numbers of groups.
    sender = np.where(groups.origin < 0, groups.parts, groups.origin).astype(np.int64)
    pairs = np.unique(np.repeat(sender, np.diff(groups.ptr)) * groups.parts + groups.target)
    owner, target = np.divmod(pairs, max(groups.parts, 1))
    senders, number = np.unique(sender, return_inverse=True)
    ptr = np.searchsorted(owner, np.append(senders, groups.parts + 1))
    of = (
        np.where(groups.of < 0, -1, number[np.maximum(groups.of, 0)]) if senders.size else groups.of
    )
    rate = np.zeros(senders.size, np.int64)
    np.add.at(rate, number, groups.rate)
    origin = np.where(senders == groups.parts, -1, senders)
    return Traffic(groups.parts, of, origin, ptr, target, rate)


def flows(groups: Traffic) -> Flows:
    r""":math:`F_{ab} = \sum_{g:\,a \to b} r_g` over the groups g from part a that reach b."""
    sizes = np.diff(groups.ptr)
    start = np.repeat(groups.origin, sizes)
    rate = np.repeat(groups.rate, sizes)
    from_host = start < 0
    host = np.zeros(groups.parts, np.int64)
    np.add.at(host, groups.target[from_host], rate[from_host])
    counted = ~from_host & (start != groups.target) & (rate > 0)
    pairs = (start[counted], groups.target[counted])
    matrix = coo_array((rate[counted], pairs), shape=(groups.parts, groups.parts)).tocsr()
    matrix.sort_indices()
    return Flows(
        ptr=frozen_array(matrix.indptr, np.int64),
        target=frozen_array(matrix.indices, np.int32),
        rate=frozen_array(matrix.data, np.int64),
        host=frozen_array(host, np.int64),
    )


@numba.njit(cache=True)
def _reached(ptr: Any, target: Any, part: Any, seen: Any) -> Any:
    """The distinct parts of each row's targets, ascending; ``seen`` (parts,) marks the last row."""
    out = np.empty(max(np.int64(16), ptr.size), np.int32)
    out_ptr = np.zeros(ptr.size, np.int64)
    n = 0
    for row in range(ptr.size - 1):
        most = min(ptr[row + 1] - ptr[row], seen.size) + 1
        if n + most > out.size:
            grown = np.empty(max(2 * out.size, n + most), np.int32)
            grown[:n] = out[:n]
            out = grown
        for k in range(ptr[row], ptr[row + 1]):
            p = part[target[k]]
            # Stored in any case, to be overwritten: a branch that nobody can foretell is slow.
            out[n] = p
            n += seen[p] != row
            seen[p] = row
        _ascending(out, out_ptr[row], n, seen, row)
        out_ptr[row + 1] = n
    return out_ptr, out[:n].copy()


@numba.njit(cache=True)
def _ascending(out: Any, begin: Any, end: Any, seen: Any, row: Any) -> None:
    """Sort ``out[begin:end]``, which are the parts that ``seen`` marks by ``row``."""
    if (end - begin) * _FEW_OF > seen.size:
        n = begin
        for p in range(seen.size):
            if n == end:
                break
            out[n] = p
            n += seen[p] == row
    elif end - begin > _FEW:
        out[begin:end].sort()
    else:
        for k in range(begin + 1, end):
            p, j = out[k], k
            while j > begin and out[j - 1] > p:
                out[j] = out[j - 1]
                j -= 1
            out[j] = p


@numba.njit(cache=True)
def _append(ptr: Any, values: Any, place: Any, out: Any) -> None:
    """Copy each row of ``values`` to where the row of ``out`` has got to."""
    for row in range(ptr.size - 1):
        for k in range(ptr[row], ptr[row + 1]):
            out[place[row]] = values[k]
            place[row] += 1


@numba.njit(cache=True)
def _distinct(ptr: Any, target: Any, seen: Any) -> Any:
    """Drop repeats from each row and sort it, in place; returns the new pointers."""
    out_ptr = np.zeros(ptr.size, np.int64)
    n = 0
    for row in range(ptr.size - 1):
        begin = n
        for k in range(ptr[row], ptr[row + 1]):
            p = target[k]
            if seen[p] != row:
                seen[p] = row
                target[n] = p
                n += 1
        _ascending(target, begin, n, seen, row)
        out_ptr[row + 1] = n
    return out_ptr


@numba.njit(cache=True)
def _grouped(ptr: Any, target: Any, home: Any) -> Any:
    """The group of each source, equal homes and rows together, and the first source of each."""
    sources = ptr.size - 1
    of = np.full(sources, -1, np.int32)
    leader = np.empty(sources, np.int64)
    groups = 0
    size = 16
    while size < 2 * sources:
        size *= 2
    # Open addressing; rows are compared in full, so a collision of hashes costs time only.
    slots = np.full(size, -1, np.int32)
    for s in range(sources):
        begin, end = ptr[s], ptr[s + 1]
        if begin == end:
            continue
        mixed = np.uint64(home[s] + 1)
        for k in range(begin, end):
            mixed = (mixed ^ np.uint64(target[k])) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        slot = np.int64(mixed & np.uint64(size - 1))
        while True:
            g = slots[slot]
            if g < 0:
                slots[slot] = groups
                leader[groups] = s
                of[s] = groups
                groups += 1
                break
            other = leader[g]
            same = home[other] == home[s] and ptr[other + 1] - ptr[other] == end - begin
            if same:
                for k in range(end - begin):
                    if target[ptr[other] + k] != target[begin + k]:
                        same = False
                        break
            if same:
                of[s] = g
                break
            slot = (slot + 1) & (size - 1)
    return of, leader[:groups].copy()


@numba.njit(cache=True)
def _take(ptr: Any, values: Any, rows: Any, out_ptr: Any, out: Any) -> None:
    """The given rows of ``values``."""
    for i in range(rows.size):
        for k in range(out_ptr[i + 1] - out_ptr[i]):
            out[out_ptr[i] + k] = values[ptr[rows[i]] + k]


@numba.njit(cache=True)
def _add_up(of: Any, values: Any, out: Any) -> None:
    """Add each value to the group that it is of."""
    for s in range(of.size):
        if of[s] >= 0:
            out[of[s]] += values[s]
