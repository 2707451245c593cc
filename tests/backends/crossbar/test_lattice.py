"""The kernels that choose levels, each beside all there is to choose from or to solve."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.backends.crossbar import lattice


@pytest.mark.parametrize("ohm", [0.0, 3.0, 2e3])
@pytest.mark.parametrize("ends", [(0.05, 0.0), (0.0, 0.02), (0.05, 0.02)])
def test_a_line_is_the_inverse_of_its_admittances(ohm: float, ends: tuple[float, float]) -> None:
    """Voltages for 1 A into each node, and for 1 V at the ends, beside a dense solve."""
    siemens = np.random.default_rng(1).uniform(0, 1e-3, 7)
    found = np.empty((4, 7))
    lattice.chain(siemens, ohm, *ends, *found)
    before, after, own, share = found
    wire = 1 / ohm if ohm else 1e9
    admittance = np.diag(siemens) + wire * (
        np.diag([1.0, *[2.0] * 5, 1.0]) - np.eye(7, k=1) - np.eye(7, k=-1)
    )
    admittance[0, 0] += ends[0]
    admittance[-1, -1] += ends[1]
    inverse = np.linalg.inv(admittance)
    near = 1e-9 if ohm else 1e-4
    np.testing.assert_allclose(own, np.diag(inverse), rtol=near)
    np.testing.assert_allclose(own * after, [*np.diag(inverse, 1), 0.0], rtol=near)
    np.testing.assert_allclose(own * before, [0.0, *np.diag(inverse, 1)], rtol=near)
    np.testing.assert_allclose(share, inverse[0] * ends[0] + inverse[-1] * ends[1], rtol=near)


def test_a_line_without_resistance_is_its_source() -> None:
    found = np.empty((4, 3))
    lattice.chain(np.full(3, 1e-3), 0.0, np.inf, 0.0, *found)
    assert found[2].tolist() == [0, 0, 0] and found[3].tolist() == [1, 1, 1]


def _lattice(seed: int, cells: int, levels: int, bent: float) -> tuple[Any, ...]:
    """R, c, a table of levels that are not quite even, and where cells are."""
    rng = np.random.default_rng(seed)
    factor = np.triu(rng.normal(0, 1, (cells, cells)))
    factor[np.diag_indices(cells)] = rng.uniform(0.05, 2, cells)
    table = np.linspace(0, 1, levels) ** bent * (levels - 1)
    return factor, rng.normal(0, 3, cells), table, rng.integers(0, levels, cells)


@given(
    seed=st.integers(0, 10**6),
    cells=st.integers(1, 4),
    levels=st.integers(2, 5),
    bent=st.sampled_from([1.0, 1.3]),
)
def test_the_closest_vector_is_the_closest(seed: int, cells: int, levels: int, bent: float) -> None:
    """Beside all levels of all cells."""
    factor, offset, table, at = _lattice(seed, cells, levels, bent)

    def length(places: Any) -> float:
        x = table[list(places)] - table[at]
        return float(((factor @ x + offset) ** 2).sum())

    least = min(length(places) for places in itertools.product(range(levels), repeat=cells))
    found = at.copy()
    better = lattice.closest(factor, offset, table, at, 100_000, found)
    assert better == (least < length(at) * (1 - 1e-9))
    assert length(found) <= least * (1 + 1e-9) + 1e-12


def test_a_search_that_is_cut_short_is_no_worse_than_before() -> None:
    for seed in range(20):
        factor, offset, table, at = _lattice(seed, 6, 16, 1.0)
        costs = []
        for most in (1, 10, 100, 10_000):
            found = at.copy()
            lattice.closest(factor, offset, table, at, most, found)
            costs.append(((factor @ (table[found] - table[at]) + offset) ** 2).sum())
        assert costs == sorted(costs, reverse=True)
        assert costs[0] <= (offset**2).sum() * (1 + 1e-12)
