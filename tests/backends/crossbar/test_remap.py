"""Rows and columns around stuck cells, and next to drivers and sense amplifiers."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.backends.crossbar.layout import Block, Scheme, Signs, Tile
from spikec.backends.crossbar.remap import loss, ordered, remapped

BITS = 4
MOST = 7


def case(
    seed: int, signs: Signs, rows: int, groups: int, share: float, spare: int = 0
) -> tuple[Tile, Block, Scheme, Any]:
    rng = np.random.default_rng(seed)
    scheme = Scheme(signs, BITS, BITS)
    weight = rng.integers(-MOST, MOST + 1, (rows - spare, groups - spare))
    block = Block(weight, np.arange(rows - spare)[None], np.arange(groups - spare)[None])
    row = np.append(np.arange(rows - spare), np.full(spare, -1))
    column = np.append(np.arange(groups - spare), np.full(spare, -1))
    tile = Tile("p", 0, row, column, np.zeros(groups, np.bool_))
    stuck = np.full((rows, tile.lines(scheme)), np.nan)
    faulty = rng.random(stuck.shape) < share
    stuck[faulty] = np.where(rng.random(faulty.sum()) < 0.5, 0, scheme.base - 1)
    return tile, block, scheme, stuck


@given(seed=st.integers(0, 10**6), signs=st.sampled_from(Signs), spare=st.integers(0, 2))
def test_it_never_costs_more_and_keeps_all(seed: int, signs: Signs, spare: int) -> None:
    tile, block, scheme, stuck = case(seed, signs, 6, 5, 0.15, spare)
    found = remapped(tile, block, scheme, stuck)
    assert loss(found, block, scheme, stuck) <= loss(tile, block, scheme, stuck)
    assert sorted(found.row) == sorted(tile.row) and sorted(found.column) == sorted(tile.column)
    assert signs is Signs.DIFFERENTIAL or not found.flipped.any()


def test_without_faults_nothing_moves() -> None:
    tile, block, scheme, stuck = case(0, Signs.DIFFERENTIAL, 6, 5, 0.0, 1)
    assert remapped(tile, block, scheme, stuck) == tile


@pytest.mark.parametrize("seed", range(4))
def test_columns_are_assigned_as_well_as_can_be(seed: int) -> None:
    """One row: every assignment of columns, each group either way round, tried one by one."""
    tile, block, scheme, stuck = case(seed, Signs.DIFFERENTIAL, 1, 4, 0.5)
    best = min(
        loss(replace(tile, column=np.array(order), flipped=np.array(flips)), block, scheme, stuck)
        for order in itertools.permutations(range(4))
        for flips in itertools.product([False, True], repeat=4)
    )
    assert loss(remapped(tile, block, scheme, stuck), block, scheme, stuck) == best


def test_a_loss_by_hand() -> None:
    """A pair of which one cell is stuck at 5 of 7: weights from -2 to 5 are there."""
    scheme = Scheme(Signs.DIFFERENTIAL, BITS, BITS)
    weight = np.array([[7, -4, 3, 5]])
    block = Block(weight, np.zeros((1, 1), np.int64), np.arange(4)[None])
    tile = Tile("p", 0, np.array([0]), np.arange(4), np.zeros(4, np.bool_))
    stuck = np.full((1, 8), np.nan)
    stuck[0, ::2] = 5
    assert loss(tile, block, scheme, stuck) == 2**2 + 2**2
    stuck[0, 1] = 6  # both: -1 instead of 7
    assert loss(tile, block, scheme, stuck) == 8**2 + 2**2


def test_spare_columns_are_used() -> None:
    """A group that is stuck as a whole is left free for a spare one."""
    tile, block, scheme, stuck = case(1, Signs.DIFFERENTIAL, 5, 4, 0.0, 1)
    stuck[:, 2:4] = 0
    found = remapped(tile, block, scheme, stuck)
    assert found.column[1] == -1 and loss(found, block, scheme, stuck) == 0


def test_most_current_has_the_shortest_way() -> None:
    tile, block, scheme, _ = case(3, Signs.DIFFERENTIAL, 9, 6, 0.0, 2)
    found = ordered(tile, block, scheme)
    weight = np.abs(found.weight(block))
    rows, columns = weight.sum(axis=1), weight.sum(axis=0)
    assert (np.diff(rows) >= 0).all() and (np.diff(columns) <= 0).all()
    assert sorted(found.row) == sorted(tile.row) and sorted(found.column) == sorted(tile.column)
    # Spare lines are at the far ends.
    assert found.row[:2].tolist() == [-1, -1] and found.column[-2:].tolist() == [-1, -1]
