"""Orders of elimination: right for any matrix, and without fill where there need be none."""

from __future__ import annotations

from typing import Any

import hypothesis
import numba
import numpy as np
from hypothesis import strategies as st

from spikec.backends.sfq.josephson import kernels
from spikec.backends.sfq.josephson.lanes import LANES
from spikec.backends.sfq.josephson.order import Pattern, pattern


@numba.njit
def solve(
    n: Any, linear: Any, start: Any, rows: Any, targets: Any, low: Any, diagonal: Any, x: Any
) -> None:
    kernels.factor(n, start, rows, targets, low, diagonal)
    kernels.forward(0, linear, start, rows, low, x)
    kernels.forward(linear, n, start, rows, low, x)
    kernels.backward(0, n, start, rows, low, diagonal, x, x)


def solved(found: Pattern, matrix: Any, b: Any) -> Any:
    """By the factor, all lanes with one matrix."""
    n = len(matrix)
    turned = matrix[np.ix_(found.order, found.order)]
    low, diagonal = np.zeros((found.rows.size, LANES)), np.empty((n, LANES))
    diagonal[:] = turned.diagonal()[:, None]
    for i, j in zip(*np.nonzero(np.tril(turned, -1)), strict=True):
        low[found.place(int(i), int(j))] = turned[i, j]
    x = np.repeat(b[found.order], LANES)
    solve(n, found.linear, found.start, found.rows, found.targets, low.ravel(), diagonal.ravel(), x)
    out = np.empty(n)
    out[found.order] = x.reshape(n, LANES)[:, 3]
    return out


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(st.integers(1, 14), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_any_circuits_matrix_is_solved(n: int, edges: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = [(int(a), int(b)) for a, b in rng.integers(0, n, (edges, 2))]
    busy = rng.random(n) < 0.5
    matrix = np.diag(rng.uniform(0.1, 1, n))
    for a, b in pairs:
        if a != b:
            w = rng.uniform(0.1, 5)
            matrix[[a, b], [a, b]] += w
            matrix[[a, b], [b, a]] -= w
    found = pattern(n, pairs, busy)
    assert sorted(found.order) == list(range(n))
    assert not busy[found.order[: found.linear]].any()
    given = rng.normal(size=n)
    wanted = np.linalg.solve(matrix, given)
    assert np.abs(solved(found, matrix, given) - wanted).max() < 1e-9


def test_a_chain_does_not_fill() -> None:
    n = 1001
    found = pattern(n, [(k, k + 1) for k in range(n - 1)], np.arange(n) % 2 == 0)
    assert found.linear == n // 2
    # Each node between two junctions leaves them beside each other; the rest is a chain again.
    assert found.rows.size == 2 * (n // 2) + n // 2


def test_a_rail_that_all_share_does_not_go_first() -> None:
    """A star has no fill unless its middle goes before its arms."""
    n = 300
    found = pattern(n, [(0, k) for k in range(1, n)], np.arange(n) > 0)
    assert found.linear == 0 and found.rows.size == n - 1
