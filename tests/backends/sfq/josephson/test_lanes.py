"""Functions of eight doubles beside numpy's."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from spikec.backends.sfq.josephson.lanes import (
    LANES,
    cardinal,
    differs,
    exceeds,
    load,
    logarithm,
    most,
    pick,
    sine,
    store,
    turns,
    uniform,
)


@numba.njit
def apply(which: Any, x: Any, out: Any) -> None:
    for i in range(x.size // LANES):
        v = load(x, i)
        if which == 0:
            store(out, i, sine(v))
        elif which == 1:
            store(out, i, cardinal(v))
        elif which == 2:
            store(out, i, logarithm(v))
        else:
            store(out, i, turns(v))


@numba.njit
def compare(x: Any, y: Any, out: Any) -> Any:
    a, b = load(x, 0), load(y, 0)
    store(out, 0, pick(a, b, a - b, b / 2.0 + 1.0))
    return exceeds(a, b), differs(a, b), most(a)


@numba.njit
def draw(state: Any, out: Any) -> None:
    for i in range(out.size // LANES):
        store(out, i, uniform(state, 0))


def of(which: int, x: Any) -> Any:
    out = np.empty_like(x)
    apply(which, x, out)
    return out


@pytest.mark.parametrize("reach", [1.0, 10.0, 1e6])
def test_sine(reach: float) -> None:
    x = np.random.default_rng(0).uniform(-reach, reach, 80000)
    x[:8] = [0, -0.0, np.pi, -np.pi, np.pi / 2, -np.pi / 2, 3 * np.pi, 2 * np.pi]
    assert np.abs(of(0, x) - np.sin(x)).max() < 1e-15


def test_cardinal_sine() -> None:
    x = np.random.default_rng(1).uniform(-0.5, 0.5, 8000)
    assert np.abs(of(1, x) - np.sinc(x / np.pi)).max() < 3e-16
    # Far out it stays small, so that a fixed point that is not found stays finite.
    assert np.abs(of(1, np.full(8, 1e200))).max() < 1


def test_logarithm() -> None:
    x = 10 ** np.random.default_rng(2).uniform(-300, 300, 80000)
    assert np.abs(of(2, x) - np.log(x)).max() < 2e-13
    x = np.random.default_rng(2).uniform(0.5, 2, 80000)
    assert np.abs(of(2, x) - np.log(x)).max() < 3e-16


def test_turns_change_at_half_turns() -> None:
    edges = np.arange(-3, 5) * 2 * np.pi + np.pi
    assert of(3, edges - 1e-12).tolist() == list(range(-3, 5))
    assert of(3, edges + 1e-12).tolist() == list(range(-2, 6))


def test_comparisons_are_of_each_lane() -> None:
    x, y, out = np.arange(8.0), np.full(8, 6.0), np.empty(8)
    assert compare(x, y, out) == (True, True, 7)
    assert out.tolist() == [4.0] * 7 + [1.0]
    assert compare(x, x + 1, out)[0] is False
    assert compare(x, x.copy(), out)[:2] == (False, False)
    x[3] = np.nan  # what is no number is seen
    assert compare(x, y + 2, out)[:2] == (True, True)


def test_uniform_numbers_are_those_of_splitmix() -> None:
    """Vigna's splitmix64.c, seed 1234567: 6457827717110365317, 3203168211198807973."""
    state, out = np.full(8, 1234567, np.uint64), np.empty(16)
    state[1] = 0
    draw(state, out)
    wanted = np.array([6457827717110365317, 3203168211198807973]) / 2.0**64
    assert out[[0, 8]] == pytest.approx(wanted, abs=3e-16)
    many = np.empty(80000)
    draw(state, many)
    assert 0 < many.min() < 1e-3 and 1 - 1e-3 < many.max() < 1
    lane = many.reshape(-1, 8)[:, 1]
    assert lane.mean() == pytest.approx(0.5, abs=0.015)
    assert lane.var() == pytest.approx(1 / 12, rel=0.05)
