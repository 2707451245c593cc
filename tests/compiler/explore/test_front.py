"""Fronts and hypervolumes, against plain ways to compute them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spikec.compiler.explore.front import BEYOND, Box, best, hypervolume


def swept(points: Any, reference: float) -> float:
    """The volume by cutting space at every coordinate: exact, and slow."""
    m = points.shape[1]
    cuts = [np.unique(np.append(points[:, j].clip(max=reference), reference)) for j in range(m)]
    total = 0.0
    for cell in itertools.product(*(range(len(c) - 1) for c in cuts)):
        corner = np.array([cuts[j][k] for j, k in enumerate(cell)])
        if (points <= corner).all(axis=1).any():
            total += float(np.prod([cuts[j][k + 1] - cuts[j][k] for j, k in enumerate(cell)]))
    return total


@given(arrays(np.float64, (9, 3), elements=st.integers(0, 5).map(float)))
def test_best_is_what_nothing_dominates(values: Any) -> None:
    wanted = [not any((o <= v).all() and (o < v).any() for o in values) for v in values]
    assert best(values).tolist() == wanted


def test_what_is_not_known_is_the_worst() -> None:
    nan = np.nan
    values = np.array([[1.0, nan], [2.0, 3.0], [1.0, 9.0], [nan, nan], [nan, 1.0]])
    assert best(values).tolist() == [False, True, True, False, True]


@given(arrays(np.float64, (6, 3), elements=st.integers(0, 4).map(float)))
def test_hypervolume_is_the_swept_volume(values: Any) -> None:
    box = Box.of(values)
    wanted = swept(box.scaled(values), 1 + BEYOND) / (1 + BEYOND) ** 3
    assert hypervolume(values, box) == pytest.approx(wanted)


def test_hypervolume_of_four_objectives_against_random_points() -> None:
    rng = np.random.default_rng(3)
    values = rng.random((40, 4))
    box = Box.of(values)
    scaled = box.scaled(values)
    drawn = rng.random((200_000, 4)) * (1 + BEYOND)
    below = np.zeros(len(drawn), bool)
    for row in scaled:
        below |= (row <= drawn).all(axis=1)
    assert hypervolume(values, box) == pytest.approx(below.mean(), abs=0.005)


def test_nothing_has_no_volume() -> None:
    nothing = np.full((3, 2), np.nan)
    assert hypervolume(nothing, Box.of(nothing)) == 0
    assert hypervolume(nothing[:0], Box.of(nothing[:0])) == 0
