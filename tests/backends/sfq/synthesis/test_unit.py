"""The least weights of a neuron: the same function, and no smaller ones exist."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.sfq.synthesis import unit as threshold
from spikec.backends.sfq.synthesis.unit import Unit, fewest, smallest

from ..networks import combinations

units = st.builds(
    Unit,
    st.lists(st.integers(-40, 40), min_size=1, max_size=7).map(np.array),
    st.integers(-80, 80),
)


def pulses(unit: Unit) -> int:
    return int(np.abs(unit.weight).sum())


@settings(max_examples=150)
@given(units)
def test_the_function_stays_and_pulses_never_grow(unit: Unit) -> None:
    every = combinations(unit.weight.size)
    found = smallest(unit)
    np.testing.assert_array_equal(found(every), unit(every))
    assert pulses(found) <= pulses(unit)
    assert found.never == (not unit(every).any()) and found.always == bool(unit(every).all())
    # Weights keep their sign, and what has none gets none.
    assert (np.sign(found.weight) * np.sign(unit.weight) >= 0).all()
    assert (found.weight[unit.weight == 0] == 0).all()


def least(unit: Unit) -> int:
    """By trying all weights whose sizes have a smaller sum."""
    every = combinations(unit.weight.size)
    wanted = unit(every)
    for total in range(pulses(unit) + 1):
        for weight in product(range(-total, total + 1), repeat=unit.weight.size):
            if sum(map(abs, weight)) != total:
                continue
            sums = every @ np.array(weight)
            low = sums[wanted].min() if wanted.any() else np.inf
            if (sums[~wanted].max() if (~wanted).any() else -np.inf) < low:
                return total
    raise AssertionError("the unit itself is one")


@settings(max_examples=60)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=3).map(np.array), st.integers(-6, 8))
def test_no_smaller_weights_exist(weight: np.ndarray, theta: int) -> None:
    unit = Unit(weight, theta)
    assert pulses(smallest(unit)) == least(unit)


@pytest.mark.parametrize(
    ("weight", "theta", "wanted", "count"),
    [
        ([127, 127], 64, [1, 1], 1),
        ([127, 127], 191, [1, 1], 2),
        ([99, 101, 100], 200, [1, 2, 1], 3),  # 99 + 101 reaches it, 99 + 100 does not
        ([127, -127], 64, [1, -1], 1),
        ([30, 20, 10], 30, [2, 1, 1], 2),
        ([5, 1], 5, [1, 0], 1),
    ],
)
def test_by_hand(weight: list[int], theta: int, wanted: list[int], count: int) -> None:
    found = smallest(Unit(np.array(weight), theta))
    assert found.weight.tolist() == wanted and found.threshold == count


def test_many_inputs_are_divided_by_what_they_share() -> None:
    weight = 6 * np.arange(1, threshold.MOST_EXACT + 2)
    found = smallest(Unit(weight, 100))
    assert found.weight.tolist() == (weight // 6).tolist() and found.threshold == 17
    mixed = smallest(Unit(np.where(weight % 12, weight, -weight), 8))
    x = np.random.default_rng(1).integers(0, 2, (500, weight.size))
    np.testing.assert_array_equal(mixed(x), Unit(np.where(weight % 12, weight, -weight), 8)(x))


def test_large_weights_of_many_bits() -> None:
    """What the solver rounds is still the function: 12 inputs of 16 bits."""
    rng = np.random.default_rng(3)
    every = combinations(10)
    for _ in range(4):
        unit = Unit(rng.integers(-32768, 32768, 10), int(rng.integers(-40000, 40000)))
        found = smallest(unit)
        np.testing.assert_array_equal(found(every), unit(every))
        assert pulses(found) < pulses(unit) / 100


def test_the_solver_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a solution what was given is kept."""

    class Nothing:
        x = None

    monkeypatch.setattr(threshold, "milp", lambda *_, **__: Nothing())
    unit = Unit(np.array([30, -20, 10]), 15)
    assert smallest(unit) == unit


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=3).map(np.array).filter(np.any),
    st.integers(1, 60),
)
def test_counts_over_steps_fire_it_where_they_did(weight: np.ndarray, theta: int) -> None:
    unit = Unit(weight, theta)
    found = fewest(unit)
    counts = np.indices([min(-(-theta // w) + 2, 70) if w else 1 for w in weight.tolist()])
    every = counts.reshape(weight.size, -1).T
    np.testing.assert_array_equal(found(every), unit(every))
    assert found.threshold <= theta and pulses(found) <= pulses(unit)


def test_few_cells_are_enough_to_count_them() -> None:
    found = fewest(Unit(np.array([127, 89, 0, 400]), 382))
    assert (found.weight.tolist(), found.threshold) == ([4, 3, 0, 13], 13)
    assert fewest(Unit(np.array([300]), 1)).threshold == 1


def test_too_many_counts_are_divided_only() -> None:
    unit = Unit(np.array([4, 6, 10]) * 2, 4000)
    found = fewest(unit)
    assert (found.weight.tolist(), found.threshold) == ([2, 3, 5], 1000)
