"""What the search sees of a space: rows of value numbers, and which rows are one point."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


def as_they_are(rows: Integers) -> Integers:
    """Every row is a point of its own."""
    return rows


@dataclass(frozen=True)
class Domain:
    """Rows of integers, the k-th from 0 to ``shape[k]`` - 1.

    ``unordered`` says of each dimension that its values have no near and far. ``canonical`` maps
    rows (n, dimensions) to those that stand for their points. ``size`` is the number of points.
    """

    shape: tuple[int, ...]
    unordered: tuple[bool, ...]
    canonical: Callable[[Integers], Integers] = field(default=as_they_are, compare=False)
    size: int = -1

    def __post_init__(self) -> None:
        if self.size < 0:
            object.__setattr__(self, "size", int(np.prod(self.shape, dtype=object)))

    def every(self) -> Integers:
        """Every point once, in lexicographic order; (points, dimensions)."""
        # Counted through in blocks of the first dimension: where most rows are no points of their
        # own, all of them at once would not fit.
        found = []
        for first in range(self.shape[0]):
            rest = itertools.product(*map(range, self.shape[1:]))
            rows = np.array([(first, *row) for row in rest], np.int64)
            found.append(np.unique(self.canonical(rows.reshape(-1, len(self.shape))), axis=0))
        return np.unique(np.concatenate(found), axis=0)

    def drawn(self, count: int, rng: np.random.Generator) -> Integers:
        """``count`` different points that fill the space: Latin hypercubes, one after the other.

        In each, every value of a dimension comes equally often, but for one time.
        """
        found: dict[tuple[int, ...], None] = {}
        count = min(count, self.size)
        for _ in range(100):
            columns = [rng.permutation(count) * n // count for n in self.shape]
            rows = self.canonical(np.stack(columns, 1).astype(np.int64))
            for row in rows.tolist():
                if len(found) < count:
                    found[tuple(row)] = None
            if len(found) == count:
                break
        return np.array(list(found), np.int64).reshape(-1, len(self.shape))

    def around(self, rows: Integers) -> Integers:
        """All points that differ from one of these in one dimension."""
        near = [rows]
        for k, n in enumerate(self.shape):
            for value in range(n):
                moved = rows.copy()
                moved[:, k] = value
                near.append(moved)
        return np.unique(self.canonical(np.concatenate(near)), axis=0)
