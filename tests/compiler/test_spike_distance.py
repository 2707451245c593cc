"""Distances of spike trains against their definitions, by hand and by brute force."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.compiler.spike_distance import van_rossum, victor_purpura
from spikec.ir.events import Events

Distance = Callable[[Events, Events], np.ndarray]


def train(*steps: int, length: int = 40) -> Events:
    """One neuron, one sample, a spike in each of the steps (twice: a count of two)."""
    zeros = np.zeros(len(steps), np.int64)
    return Events.from_events(1, length, 1, zeros, steps, zeros)


def random_spikes(seed: int, shape: tuple[int, int, int], high: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, shape)


def test_van_rossum_of_one_spike_and_of_two_far_apart() -> None:
    assert van_rossum(train(5), train(), 10.0)[0, 0] == pytest.approx(math.sqrt(0.5))
    # D^2 = 1/2 (1 + 1 - 2 exp(-3/10)) for one spike moved by three steps.
    moved = math.sqrt(1 - math.exp(-0.3))
    assert van_rossum(train(5), train(8), 10.0)[0, 0] == pytest.approx(moved, rel=1e-12, abs=0)


def test_van_rossum_is_the_integral_of_the_definition() -> None:
    a, b, tau = train(2, 3, 3, 17, 30), train(2, 9, 16, 31), 7.0
    t = np.arange(0, 600, 1e-3) + 5e-4

    def trace(events: Events) -> np.ndarray:
        f = np.zeros_like(t)
        for step, count in zip(events.step, events.value, strict=True):
            f += count * np.where(t >= step, np.exp(-(t - step) / tau), 0.0)
        return f

    square = np.sum((trace(a) - trace(b)) ** 2) * 1e-3 / tau
    assert van_rossum(a, b, tau)[0, 0] == pytest.approx(math.sqrt(square), rel=1e-4)


def naive_victor_purpura(a: list[int], b: list[int], q: float) -> float:
    grid = np.zeros((len(a) + 1, len(b) + 1))
    grid[:, 0] = np.arange(len(a) + 1)
    grid[0, :] = np.arange(len(b) + 1)
    for i, s in enumerate(a, 1):
        for j, t in enumerate(b, 1):
            grid[i, j] = min(
                grid[i - 1, j] + 1, grid[i, j - 1] + 1, grid[i - 1, j - 1] + q * abs(s - t)
            )
    return float(grid[-1, -1])


def test_victor_purpura_by_hand() -> None:
    assert victor_purpura(train(5), train(8), 0.1)[0, 0] == pytest.approx(0.3)
    assert victor_purpura(train(5), train(39), 0.1)[0, 0] == 2.0  # cheaper to delete and insert
    assert victor_purpura(train(1, 2, 3), train(), 0.1)[0, 0] == 3.0
    assert victor_purpura(train(1, 2), train(8, 9), 0.0)[0, 0] == 0.0


TRAIN = st.lists(st.integers(0, 39), max_size=12).map(sorted)


@given(TRAIN, TRAIN, st.floats(0.0, 3.0))
def test_victor_purpura_without_common_spikes_is_the_whole_recursion(
    a: list[int], b: list[int], q: float
) -> None:
    found = victor_purpura(train(*a), train(*b), q)[0, 0]
    assert found == pytest.approx(naive_victor_purpura(a, b, q), abs=1e-9)


@given(TRAIN, TRAIN, TRAIN, st.floats(0.01, 3.0))
def test_both_distances_are_metrics(a: list[int], b: list[int], c: list[int], q: float) -> None:
    x, y, z = train(*a), train(*b), train(*c)
    distances: tuple[Distance, ...] = (
        lambda u, v: victor_purpura(u, v, q),
        lambda u, v: van_rossum(u, v, 1 / q),
    )
    for distance in distances:
        assert distance(x, x)[0, 0] == 0.0
        assert distance(x, y)[0, 0] == pytest.approx(distance(y, x)[0, 0], abs=1e-9)
        assert distance(x, z)[0, 0] <= distance(x, y)[0, 0] + distance(y, z)[0, 0] + 1e-9
        assert (distance(x, y)[0, 0] > 0) == (a != b)


def test_distances_keep_neurons_and_samples_apart() -> None:
    a = random_spikes(1, (3, 20, 4))
    b = a.copy()
    b[2, 7, 1] ^= 1
    for table in (
        van_rossum(Events.from_dense(a), Events.from_dense(b), 5.0),
        victor_purpura(Events.from_dense(a), Events.from_dense(b), 0.2),
    ):
        assert table.shape == (3, 4)
        assert np.argwhere(table).tolist() == [[2, 1]]


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_distances_refuse_wrong_parameters(bad: float) -> None:
    with pytest.raises(ValueError, match="tau"):
        van_rossum(train(1), train(2), bad)
    with pytest.raises(ValueError, match="q"):
        victor_purpura(train(1), train(2), bad - 1)


def test_distances_refuse_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(1, 40, 1\) and \(1, 41, 1\)"):
        van_rossum(train(1), train(1, length=41), 1.0)
