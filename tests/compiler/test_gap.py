"""The rate gap: inputs that a stimulus has, and how many orders decide with which error."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from spikec.compiler.backend import Gap
from spikec.compiler.gap import _wealth, decided, gap_request, looks, patterns
from spikec.ir.events import Events, Stimulus

from .margins.conftest import compiled

HALF = Gap(0.5)


def test_inputs_are_there_once_and_sorted() -> None:
    """Of all inputs together, samples of a step each."""
    one = np.array([[[1, 0], [0, 1], [1, 0]], [[0, 0], [1, 0], [0, 1]]])
    two = np.array([[[0], [1], [0]], [[0], [1], [1]]])
    stimulus = Stimulus({"a": Events.from_dense(one), "b": Events.from_dense(two)})
    found = patterns(stimulus)
    assert (found.samples, found.steps) == (4, 1)
    each = [
        [int(v) for name in ("a", "b") for v in found.inputs[name].dense(k)[0]] for k in range(4)
    ]
    assert each == [[0, 0, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1]]


def test_a_request_has_the_integers_of_each_input() -> None:
    inputs = patterns(Stimulus({"in": Events.from_dense(np.array([[[0, 1], [1, 1], [0, 1]]]))}))
    asked = gap_request(compiled(), inputs, HALF, ("skew=5ps",), 3)
    assert asked.wanted.spikes["out"].dense(0).tolist() == [[0]]
    assert asked.wanted.spikes["out"].dense(1).tolist() == [[1]]
    assert (asked.gap, asked.conditions, asked.seed) == (HALF, ("skew=5ps",), 3)


@pytest.mark.parametrize("orders", [1, 12, 13, 100, 1000])
def test_looks_rise_to_all_orders(orders: int) -> None:
    found = looks(orders)
    assert found == sorted(set(found)) and found[-1] == orders
    assert found[0] == min(12, orders) and len(found) < 60


@pytest.mark.parametrize("least", [0.01, 0.5, 0.99, -0.5])
def test_nobody_wins_by_betting_where_there_is_no_gap(least: float) -> None:
    """The mean of the wealth after three orders is 1, for all that has the mean difference."""
    stayed = (1 - abs(least)) / 3
    up, down = (1 - stayed + least) / 2, (1 - stayed - least) / 2
    odds = np.array([up, stayed, down])
    mean = 0.0
    for case in product(range(3), repeat=3):
        counts = [np.full((1, 1), float(case.count(k))) for k in range(3)]
        up_, same, down_ = counts
        mean += odds[list(case)].prod() * np.exp(_wealth(up_, same, down_, least)).item()
    assert mean == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("fires", "falls"), [(0.75, 0.25), (1.0, 0.5), (0.5, 0.0)], ids=["even", "sure", "dark"]
)
def test_whoever_is_at_the_edge_is_rarely_decided(fires: float, falls: float) -> None:
    """400 circuits with a gap of 0.5, looked at after each order: 5 % either way at most.

    With a pair to look at neither error has room to spare; 4 standard deviations of chance.
    """
    rng = np.random.default_rng(7)
    said = np.zeros(2)
    for _ in range(400):
        x, y = rng.random((100, 1)) < fires, rng.random((100, 1)) < falls
        for end in looks(100):
            one = decided(x[:end], y[:end], HALF)
            if one is not None:
                said[int(one)] += 1
                break
    assert (said / 400 <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 400)).all()


def test_of_many_pairs_few_circuits_look_wrong() -> None:
    """100 circuits of which each of 400 pairs is at the edge: 5 % of them at most."""
    rng = np.random.default_rng(11)
    wrong = 0
    for _ in range(100):
        x, y = rng.random((60, 20)) < 0.75, rng.random((60, 20)) < 0.25
        wrong += any(decided(x[:end], y[:end], HALF) is False for end in looks(60))
    assert wrong / 100 <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 100)


def test_what_is_clear_is_decided_soon() -> None:
    """A circuit that is always right, one that never fires, one that fires at the wrong inputs."""
    yes, no = np.ones((100, 2), np.bool_), np.zeros((100, 2), np.bool_)

    def first(fires: np.ndarray, falls: np.ndarray, gap: Gap = HALF) -> tuple[int, bool]:
        for end in range(1, 101):
            one = decided(fires[:end], falls[:end], gap)
            if one is not None:
                return end, one
        raise AssertionError

    assert first(yes, no) == (12, True)
    end, one = first(no, no)
    assert not one and end <= 12
    end, one = first(no, yes)
    assert not one and end <= 6
    # The surer, the later; and more pairs have a chance to look wrong.
    later, one = first(yes, no, Gap(0.5, error=0.001))
    assert one and 20 < later < 30
    assert decided(yes, no, Gap(0.5, error=0.0)) is None


def test_one_pair_without_the_gap_is_enough() -> None:
    rng = np.random.default_rng(1)
    fires, falls = np.ones((100, 5), np.bool_), np.zeros((100, 5), np.bool_)
    fires[:, 2] = rng.random(100) < 0.2
    assert decided(fires, falls, HALF) is False
    fires[:, 2] = rng.random(100) < 0.5
    assert decided(fires, falls, HALF) is None


def test_who_is_said_to_work_has_the_gap_so_far() -> None:
    """So that the rates alone say which circuits work."""
    rng = np.random.default_rng(3)
    seen = set()
    for _ in range(400):
        rates = rng.random(4)
        given = rng.random((40, 4)) < np.maximum(rates, 1 - rates) * [1, 1, 0, 0] + [0, 0, 0.1, 0]
        one = decided(given[:, :2], given[:, 2:], HALF)
        gap = given[:, :2].mean(0).min() - given[:, 2:].mean(0).max()
        seen.add(one)
        assert one is None or one == (gap >= 0.5)
    assert {True, None} <= seen
