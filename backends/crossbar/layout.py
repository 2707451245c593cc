r"""Where the weights of a projection lie on tiles of a crossbar, as data.

A whole weight w is the difference of two cells, or of a cell and one that all columns share, and
may be cut into slices, each a pair or a cell of its own:

.. math::
    w = s \sum_k B^k (d^+_k - d^-_k), \qquad G = G_0 + d\,(G_1 - G_0) / (B - 1)

with digits d from 0 to B - 1 (of an offset column, :math:`d^-` is the middle of all), s the sign
with which a group of columns is read, and :math:`G_0, G_1` the ends of what a cell can be. So a
weight can be read back from conductances, and is, by test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, log2
from typing import Any

import numpy as np
import numpy.typing as npt

from ...compiler.connectivity import patches, to_sparse
from ...ir.connections import Connection, Conv1d, Conv2d, Dense, Sparse
from ...ir.records import Record

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Signs(StrEnum):
    """How weights of both signs become conductances, which have none."""

    DIFFERENTIAL = "differential"
    OFFSET = "offset"


@dataclass(frozen=True)
class Scheme(Record):
    """How a weight becomes cells: ``slice_bits`` bits to a cell, in as many slices as it takes."""

    signs: Signs
    weight_bits: int
    slice_bits: int

    @property
    def magnitude_bits(self) -> int:
        """Bits of what is cut into slices: of two cells each has the magnitude of one sign."""
        return self.weight_bits - (self.signs is Signs.DIFFERENTIAL)

    @property
    def slices(self) -> int:
        """Cells that a weight is cut into, each ``base`` times as significant as the one before."""
        return max(1, ceil(self.magnitude_bits / self.slice_bits))

    @property
    def base(self) -> int:
        """B, the number of digits there are."""
        return 1 << min(self.slice_bits, self.magnitude_bits)

    @property
    def middle(self) -> int:
        """What an offset column stands for: the weight 0."""
        return 0 if self.signs is Signs.DIFFERENTIAL else 1 << (self.weight_bits - 1)

    @property
    def significance(self) -> Integers:
        """:math:`B^k` of each slice, (slices,)."""
        return self.base ** np.arange(self.slices, dtype=np.int64)

    @property
    def width(self) -> int:
        """Columns of a group, without the offset's."""
        return self.slices * (2 if self.signs is Signs.DIFFERENTIAL else 1)

    @property
    def shared(self) -> int:
        """Columns of the offset, which every tile has once."""
        return 0 if self.signs is Signs.DIFFERENTIAL else self.slices

    def digits(self, weight: npt.ArrayLike) -> Integers:
        """The digits of weights (...), as (..., slices, 2): of the plus and of the minus cell."""
        w = np.asarray(weight, np.int64)
        sides = np.stack([np.maximum(w, 0), np.maximum(-w, 0)], -1)
        if self.signs is Signs.OFFSET:
            sides = np.stack([w + self.middle, np.full_like(w, self.middle)], -1)
        return np.asarray(sides[..., None, :] // self.significance[:, None] % self.base)

    def weights(self, digits: npt.ArrayLike) -> Integers:
        """The weights (...) of digits (..., slices, 2)."""
        d = np.asarray(digits, np.int64)
        return np.asarray(((d[..., 0] - d[..., 1]) * self.significance).sum(-1))


@dataclass(frozen=True, eq=False)
class Block(Record):
    r"""One matrix of a stage, and the vectors that it multiplies.

    .. math:: y_{\mathrm{post}_{vc}} \mathrel{+}= \sum_r x_{\mathrm{pre}_{vr}}\, W_{rc}

    ``weight`` W (rows, columns), ``pre`` (vectors, rows), -1 where a row is silent, and ``post``
    (vectors, columns). A dense layer has one vector; a convolution one for each place of its
    kernel, one after the other on the same cells.
    """

    weight: Integers
    pre: Integers
    post: Integers


def blocks(stage: Connection) -> tuple[Block, ...]:
    """The matrices of a stage with weights; of a convolution one for each group."""
    match stage:
        case Dense() | Sparse():
            matrix = stage.weight.T if isinstance(stage, Dense) else to_sparse(stage).toarray()
            rows, columns = np.arange(matrix.shape[0]), np.arange(matrix.shape[1])
            return (Block(np.ascontiguousarray(matrix, np.int64), rows[None], columns[None]),)
        case Conv1d() | Conv2d():
            pre, post = patches(stage)
            groups = stage.weight.reshape(stage.groups, -1, pre.shape[2])
            kernels = np.ascontiguousarray(groups.swapaxes(1, 2), np.int64)
            return tuple(map(Block, kernels, pre, post))
        case _:
            raise TypeError(f"a {type(stage).__name__} has no matrix")


@dataclass(frozen=True, eq=False)
class Tile(Record):
    """A part of a block on a tile: which of its rows and columns are on which lines.

    ``row`` (word lines,) is the row of the block on each word line and ``column`` (groups,) the
    column in each group of bit lines, -1 for spares; ``flipped`` (groups,) says whose two sides are
    swapped. Bit lines lie group by group, in it slice by slice, the plus side first; those of the
    offset come first of all.
    """

    projection: str
    block: int
    row: Integers
    column: Integers
    flipped: npt.NDArray[np.bool_]

    @property
    def rows(self) -> int:
        """Word lines."""
        return int(self.row.size)

    @property
    def groups(self) -> int:
        """Groups of bit lines, spares among them."""
        return int(self.column.size)

    def lines(self, scheme: Scheme) -> int:
        """Bit lines."""
        return scheme.shared + self.groups * scheme.width

    def weight(self, block: Block) -> Integers:
        """The weights on this tile, (rows, groups), 0 on spares."""
        found = block.weight[np.ix_(self.row, self.column)]
        return np.where((self.row[:, None] < 0) | (self.column < 0), 0, found)


def digits_of(tile: Tile, block: Block, scheme: Scheme) -> Integers:
    """The digits of every cell, (word lines, bit lines)."""
    sided = scheme.digits(tile.weight(block))
    flipped = tile.flipped[None, :, None, None]
    if scheme.signs is Signs.DIFFERENTIAL:
        sided = np.where(flipped, sided[..., ::-1], sided)
        return sided.reshape(tile.rows, -1)
    middle = np.broadcast_to(scheme.digits(0)[:, 1], (tile.rows, scheme.slices))
    return np.concatenate([middle, sided[..., 0].reshape(tile.rows, -1)], 1)


def weights_of(tile: Tile, digits: Integers, scheme: Scheme) -> Integers:
    """The weights (rows, groups) of the digits of a tile: what `digits_of` was made from."""
    own = digits[:, scheme.shared :]
    if scheme.signs is Signs.DIFFERENTIAL:
        sided = own.reshape(tile.rows, tile.groups, scheme.slices, 2)
        return scheme.weights(np.where(tile.flipped[None, :, None, None], sided[..., ::-1], sided))
    plus = own.reshape(tile.rows, tile.groups, scheme.slices)
    minus = np.broadcast_to(digits[:, None, : scheme.shared], plus.shape)
    return scheme.weights(np.stack([plus, minus], -1))


def conductances(digits: npt.ArrayLike, scheme: Scheme, low: float, high: float) -> Floats:
    """G of digits, in S, between those of the digits 0 and B - 1."""
    return np.asarray(low + np.asarray(digits) * ((high - low) / (scheme.base - 1)))


def digits_from(siemens: Floats, scheme: Scheme, low: float, high: float) -> Integers:
    """The nearest digits of conductances."""
    digit = np.rint((siemens - low) / ((high - low) / (scheme.base - 1)))
    return np.clip(digit, 0, scheme.base - 1).astype(np.int64)


Cost = Callable[[int, int], float]


def tiles(
    projection: str,
    number: int,
    block: Block,
    scheme: Scheme,
    sizes: tuple[int, ...],
    cost: Cost,
    spares: int = 0,
) -> Iterator[Tile]:
    """Cut a block into tiles of least total cost; those without a weight are left out.

    ``sizes`` are word and bit lines that a tile may have, ``cost`` what a tile of so many of both
    costs a vector, ``spares`` the groups of each tile that are kept free.
    """
    rows, columns = block.weight.shape
    for first_row, high, strip in _strips(rows, columns, scheme, sizes, cost, spares):
        row = np.full(high, -1)
        row[: min(high, rows - first_row)] = np.arange(first_row, min(first_row + high, rows))
        for first, groups in strip:
            column = np.full(groups, -1)
            most = min(groups - spares, columns - first)
            column[:most] = np.arange(first, first + most)
            tile = Tile(projection, number, row, column, np.zeros(groups, np.bool_))
            if tile.weight(block).any():
                yield tile


def _strips(
    rows: int, columns: int, scheme: Scheme, sizes: tuple[int, ...], cost: Cost, spares: int
) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """First row, word lines, and the (first column, groups) of the tiles, of every strip."""
    widths = {s: (s - scheme.shared) // scheme.width for s in sizes}
    usable = {s: g - spares for s, g in widths.items() if g > spares}
    strips: dict[int, tuple[float, list[int]]] = {
        high: _cheapest(columns, usable, lambda s, high=high: cost(high, s))  # type: ignore[misc]
        for high in sizes
    }
    _, heights = _cheapest(rows, {s: s for s in sizes}, lambda s: strips[s][0])
    first_row = 0
    for high in heights:
        strip, first = [], 0
        for size in strips[high][1]:
            strip.append((first, widths[size]))
            first += usable[size]
        yield first_row, high, strip
        first_row += high


def _cheapest(
    length: int, holds: dict[int, int], price: Callable[[int], float]
) -> tuple[float, list[int]]:
    """The sizes of least price that hold ``length`` together, the largest first; an exact search.

    ``least[n]`` is the least price to hold n: a knapsack whose items may be taken again.
    """
    prices = {size: price(size) for size in holds}
    least, last = np.zeros(length + 1), np.zeros(length + 1, np.int64)
    for n in range(1, length + 1):
        choices = [(prices[s] + least[max(0, n - h)], -h, s) for s, h in holds.items()]
        least[n], _, last[n] = min(choices)
    found, n = [], length
    while n > 0:
        found.append(int(last[n]))
        n -= holds[int(last[n])]
    return float(least[length]), sorted(found, reverse=True)


def slice_bits_for(levels: float | None, most: int) -> int:
    """The bits that a cell of so many levels holds whole, ``most`` where it has no levels."""
    return most if levels is None else max(1, min(most, int(log2(levels))))


def plain(scheme: Scheme) -> dict[str, Any]:
    """A scheme as JSON-ready data."""
    return {
        "signs": str(scheme.signs),
        "weight_bits": scheme.weight_bits,
        "slice_bits": scheme.slice_bits,
        "slices": scheme.slices,
        "columns_a_weight": scheme.width,
    }
