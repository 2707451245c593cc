r"""The order in which nodes are eliminated, and where their matrix fills.

The matrix of a circuit has the same places for all values, so that one order, of least degree, and
one pattern of :math:`L D L^T` serve every parameter set. Nodes without a junction come first, as
long as few others depend on them: what they contribute does not change while the junctions' phases
are sought, so each step works on them once.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
# A rail that many nodes share fills their matrix when it goes first; a chain's nodes have two.
_MOST: Final = 6


@dataclass(frozen=True)
class Pattern:
    """Which nodes in which order, and the places of their factor, column by column.

    ``order`` (nodes,) has the names of the rows; the first ``linear`` have no junction. Column j of
    the factor has ``rows[start[j]:start[j + 1]]`` below its diagonal, which rise. ``targets`` are
    for each column and each pair of its rows, the first with those below it, the places in the
    factor that they change.
    """

    order: Integers
    linear: int
    start: Integers
    rows: Integers
    targets: Integers

    def place(self, i: int, j: int) -> int:
        """Where the factor has the element of two different rows."""
        low, high = min(i, j), max(i, j)
        begin, end = self.start[low], self.start[low + 1]
        return int(begin + np.searchsorted(self.rows[begin:end], high))


def pattern(size: int, edges: Iterable[tuple[int, int]], busy: Any) -> Pattern:
    """The pattern for ``size`` nodes with ``edges`` between them; ``busy`` ones have junctions."""
    near: list[set[int]] = [set() for _ in range(size)]
    for a, b in edges:
        if a != b:
            near[a].add(b)
            near[b].add(a)
    waits = np.asarray(busy, np.bool_)
    order, columns = list[int](), list[list[int]]()
    gone = np.zeros(size, np.bool_)
    linear = 0
    for free in (True, False):
        heap = [(len(near[i]), i) for i in range(size) if not gone[i] and not (free and waits[i])]
        heapq.heapify(heap)
        while heap:
            degree, i = heapq.heappop(heap)
            if gone[i] or degree != len(near[i]):
                continue  # an older entry; a newer one is in the heap
            if free and degree > _MOST:
                break
            gone[i] = True
            order.append(i)
            columns.append(sorted(near[i]))
            for j in near[i]:
                near[j] |= near[i]
                near[j] -= {i, j}
            for j in near[i]:
                if not (free and waits[j]):
                    heapq.heappush(heap, (len(near[j]), j))
        if free:
            linear = len(order)
    row = np.empty(size, np.int64)
    row[order] = np.arange(size)
    lists = [sorted(int(row[i]) for i in column) for column in columns]
    start = np.concatenate([[0], np.cumsum([len(column) for column in lists])]).astype(np.int64)
    rows = np.array([i for column in lists for i in column], np.int64)
    place = {
        (i, j): int(start[j]) + k for j, column in enumerate(lists) for k, i in enumerate(column)
    }
    targets = [
        place[below, above]
        for column in lists
        for k, above in enumerate(column)
        for below in column[k + 1 :]
    ]
    return Pattern(np.array(order, np.int64), linear, start, rows, np.array(targets, np.int64))
