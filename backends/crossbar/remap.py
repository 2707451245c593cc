r"""Which line of a tile takes which row and column of weights: around stuck cells, and for wires.

A weight of :math:`w = d^+ - d^-` whose plus cell is stuck at the digit s can still be
:math:`s - d^-` for any :math:`d^-` there is, so what is lost is

.. math:: e(w) = |w - \mathrm{clip}(w, s - d_{max}, s)|

and correspondingly for the minus cell; :math:`|w - (s^+ - s^-)|` where both are stuck, and nothing
where none is. A digit need not be whole here. Groups of columns, the other way round or not, and
rows are assigned in turn so that the sum of :math:`e^2` is least: each a linear assignment problem,
solved exactly (Kuhn 1955; scipy's ``linear_sum_assignment``).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from .layout import Block, Scheme, Signs, Tile, digits_of

Floats = npt.NDArray[np.float64]

_ROUNDS = 4


def remapped(tile: Tile, block: Block, scheme: Scheme, stuck: Floats) -> Tile:
    """The tile with rows and columns where stuck cells cost the least; itself if none is better.

    ``stuck`` (word lines, bit lines) has the digit at which a cell is stuck, NaN where it is not.
    """
    best, least = tile, loss(tile, block, scheme, stuck)
    found = tile
    for _ in range(_ROUNDS):
        if least == 0:
            break
        found = _rows(_columns(found, block, scheme, stuck), block, scheme, stuck)
        cost = loss(found, block, scheme, stuck)
        if cost >= least * (1 - 1e-12):
            break
        best, least = found, cost
    return best


def loss(tile: Tile, block: Block, scheme: Scheme, stuck: Floats) -> float:
    """The sum of :math:`e^2` over all weights of a tile, in units of a weight."""
    errors = _errors(_sides(digits_of(tile, block, scheme), tile, scheme), stuck, tile, scheme)
    return float((errors * ((tile.row >= 0)[:, None] & (tile.column >= 0))).sum())


def _columns(tile: Tile, block: Block, scheme: Scheme, stuck: Floats) -> Tile:
    """Which group takes which column, and which way round."""
    used = np.flatnonzero(tile.column >= 0)
    ways = (False, True) if scheme.signs is Signs.DIFFERENTIAL else (False,)
    rows = (tile.row >= 0)[:, None]
    cost = np.empty((len(ways), used.size, tile.groups))
    for way, flipped in enumerate(ways):
        straight = replace(tile, flipped=np.full(tile.groups, flipped))
        sides = _sides(digits_of(straight, block, scheme), tile, scheme)
        for k, group in enumerate(used):
            everywhere = np.broadcast_to(sides[:, group : group + 1], sides.shape)
            cost[way, k] = (_errors(everywhere, stuck, tile, scheme) * rows).sum(axis=0)
    column, where = linear_sum_assignment(cost.min(axis=0))
    fresh = np.full(tile.groups, -1, np.int64)
    fresh[where] = tile.column[used[column]]
    flips = np.zeros(tile.groups, np.bool_)
    flips[where] = cost.argmin(axis=0)[column, where] == 1
    return replace(tile, column=fresh, flipped=flips)


def _rows(tile: Tile, block: Block, scheme: Scheme, stuck: Floats) -> Tile:
    """Which word line takes which row."""
    sides = _sides(digits_of(tile, block, scheme), tile, scheme)
    columns = tile.column >= 0
    used = np.flatnonzero(tile.row >= 0)
    cost = np.empty((used.size, tile.rows))
    for k, line in enumerate(used):
        everywhere = np.broadcast_to(sides[line : line + 1], sides.shape)
        cost[k] = (_errors(everywhere, stuck, tile, scheme) * columns).sum(axis=1)
    row, where = linear_sum_assignment(cost)
    fresh = np.full(tile.rows, -1, np.int64)
    fresh[where] = tile.row[used[row]]
    return replace(tile, row=fresh)


def _sides(digits: npt.NDArray[np.int64], tile: Tile, scheme: Scheme) -> npt.NDArray[np.int64]:
    """The digits as (word lines, groups, slices, 2), those of the offset shared by all."""
    own = digits[:, scheme.shared :]
    if scheme.signs is Signs.DIFFERENTIAL:
        return own.reshape(tile.rows, tile.groups, scheme.slices, 2)
    plus = own.reshape(tile.rows, tile.groups, scheme.slices)
    shared = np.broadcast_to(digits[:, None, : scheme.shared], plus.shape)
    return np.stack([plus, shared], -1)


def _errors(sides: npt.NDArray[np.int64], stuck: Floats, tile: Tile, scheme: Scheme) -> Floats:
    """:math:`e^2` of each weight, (word lines, groups)."""
    most = scheme.base - 1
    if scheme.signs is Signs.DIFFERENTIAL:
        plus, minus = np.moveaxis(stuck.reshape(tile.rows, tile.groups, scheme.slices, 2), -1, 0)
        reachable = (
            np.where(np.isnan(plus), 0, plus) - np.where(np.isnan(minus), most, minus),
            np.where(np.isnan(plus), most, plus) - np.where(np.isnan(minus), 0, minus),
        )
    else:
        # What is subtracted is the same for all columns: no cell makes up for another.
        shared = stuck[:, None, : scheme.shared]
        plus = stuck[:, scheme.shared :].reshape(tile.rows, tile.groups, scheme.slices)
        minus = np.where(np.isnan(shared), sides[..., 1], shared)
        reachable = (
            np.where(np.isnan(plus), 0, plus) - minus,
            np.where(np.isnan(plus), most, plus) - minus,
        )
    wanted = sides[..., 0] - sides[..., 1]
    error = (np.clip(wanted, *reachable) - wanted) * scheme.significance
    return np.asarray(error.sum(axis=-1) ** 2, np.float64)


def ordered(tile: Tile, block: Block, scheme: Scheme) -> Tile:
    """The tile with the rows of most conductance at the sensed end, the columns at the driven one.

    There their currents pass the fewest segments. Ends are those of drivers at the left and of
    sense amplifiers at the bottom; spare lines get the far ends.
    """
    weight = np.abs(tile.weight(block))
    rows = np.argsort(weight.sum(axis=1) + (tile.row >= 0), kind="stable")
    columns = np.argsort(-(weight.sum(axis=0) + (tile.column >= 0)), kind="stable")
    return replace(
        tile,
        row=tile.row[rows],
        column=tile.column[columns],
        flipped=tile.flipped[columns],
    )
