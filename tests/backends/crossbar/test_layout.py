"""Weights on tiles: digits, matrices of stages, tilings, and weights that are read back."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.backends.crossbar.layout import (
    Block,
    Scheme,
    Signs,
    Tile,
    blocks,
    conductances,
    digits_from,
    digits_of,
    slice_bits_for,
    tiles,
    weights_of,
)
from spikec.compiler.connectivity import apply
from spikec.ir.connections import Connection, Conv1d, Conv2d, Dense, OneToOne, Sparse

SCHEMES = st.builds(Scheme, st.sampled_from(Signs), st.integers(2, 9), st.integers(1, 9))
rng = np.random.default_rng(5)


def cells(rows: int, lines: int) -> float:
    """A price that has both: cells, and what a tile takes besides."""
    return rows * lines + 20 * lines + 7


@given(scheme=SCHEMES, data=st.data())
def test_digits_give_the_weight_back(scheme: Scheme, data: Any) -> None:
    most = (1 << (scheme.weight_bits - 1)) - 1
    weight = data.draw(st.lists(st.integers(-most, most), min_size=1, max_size=9))
    digits = scheme.digits(weight)
    assert digits.shape == (len(weight), scheme.slices, 2)
    assert digits.min() >= 0 and digits.max() < scheme.base
    assert scheme.weights(digits).tolist() == weight
    # Slices are as many as it takes, and no more.
    assert scheme.base**scheme.slices > most
    assert scheme.slices == 1 or scheme.base ** (scheme.slices - 1) <= 2 * most + 1


def test_of_a_pair_one_cell_is_at_the_lowest() -> None:
    digits = Scheme(Signs.DIFFERENTIAL, 5, 2).digits([-13, 6])
    assert digits.tolist() == [[[0, 1], [0, 3]], [[2, 0], [1, 0]]]
    assert Scheme(Signs.OFFSET, 5, 5).digits([-13, 6]).tolist() == [[[3, 16]], [[22, 16]]]


STAGES: list[Connection] = [
    Dense(rng.integers(-9, 10, (4, 6))),
    Sparse(5, 3, np.array([0, 2, 2, 3, 5, 6]), np.array([0, 2, 1, 0, 1, 2]), np.arange(6) - 2),
    Conv1d(rng.integers(-5, 6, (4, 3, 3)), (3, 8), stride=2, padding=(1, 0)),
    Conv1d(rng.integers(-5, 6, (4, 2, 2)), (4, 9), dilation=3, groups=2),
    Conv2d(
        rng.integers(-5, 6, (6, 2, 3, 2)),
        (4, 5, 6),
        stride=(2, 1),
        padding=((1, 0), (0, 2)),
        dilation=(1, 2),
        groups=2,
    ),
]


@pytest.mark.parametrize("stage", STAGES)
def test_matrices_of_a_stage_are_the_stage(stage: Any) -> None:
    x = rng.integers(0, 4, int(np.prod(stage.in_shape)))
    y = np.zeros(int(np.prod(stage.out_shape)), np.int64)
    for block in blocks(stage):
        np.add.at(y, block.post, np.append(x, 0)[block.pre] @ block.weight)
    assert y.tolist() == apply(stage, x).tolist()


def test_one_weight_a_neuron_is_no_matrix() -> None:
    with pytest.raises(TypeError, match="OneToOne has no matrix"):
        blocks(OneToOne(np.array(2), (3,)))


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 20)),
    scheme=SCHEMES,
    spares=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_weights_can_be_read_back(
    shape: tuple[int, int], scheme: Scheme, spares: int, seed: int
) -> None:
    """From the conductances of all tiles, spares, swapped sides and permuted lines included."""
    draw = np.random.default_rng(seed)
    most = (1 << (scheme.weight_bits - 1)) - 1
    weight = draw.integers(-most, most + 1, shape)
    block = Block(weight, np.arange(shape[0])[None], np.arange(shape[1])[None])
    least = scheme.shared + scheme.width * (spares + 1)
    found = np.zeros_like(weight)
    for tile in tiles("p", 0, block, scheme, (least, least + 9, 2 * least + 9), cells, spares):
        rows, columns = draw.permutation(tile.rows), draw.permutation(tile.groups)
        flipped = draw.random(tile.groups) < 0.5
        tile = Tile("p", 0, tile.row[rows], tile.column[columns], flipped)
        siemens = conductances(digits_of(tile, block, scheme), scheme, 1e-6, 4e-5)
        assert siemens.shape == (tile.rows, tile.lines(scheme))
        assert siemens.min() >= 1e-6 * (1 - 1e-12) and siemens.max() <= 4e-5 * (1 + 1e-12)
        assert np.count_nonzero(tile.column < 0) >= spares
        read = weights_of(tile, digits_from(siemens, scheme, 1e-6, 4e-5), scheme)
        if scheme.signs is Signs.OFFSET:
            # A spare of an offset column stands for what it is programmed to: nothing.
            read = np.where((tile.row[:, None] < 0) | (tile.column < 0), 0, read)
        used = np.ix_(tile.row >= 0, tile.column >= 0)
        assert not np.delete(read, np.flatnonzero(tile.row >= 0), axis=0).any()
        found[np.ix_(tile.row[tile.row >= 0], tile.column[tile.column >= 0])] += read[used]
    assert (found == weight).all()


def test_tiles_without_a_weight_are_left_out() -> None:
    weight = np.zeros((8, 8), np.int64)
    weight[:4, :4] = weight[4:, 4:] = 1
    block = Block(weight, np.arange(8)[None], np.arange(8)[None])
    scheme = Scheme(Signs.DIFFERENTIAL, 2, 1)
    found = list(
        tiles("p", 0, block, scheme, (4, 8), lambda r, c: 1.0 if (r, c) == (4, 8) else 9.0)
    )
    assert [(t.row.tolist(), t.column.tolist()) for t in found] == [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([4, 5, 6, 7], [4, 5, 6, 7]),
    ]


@pytest.mark.parametrize("shape", [(5, 3), (13, 7), (16, 11), (9, 2)])
def test_mixed_sizes_are_the_cheapest(shape: tuple[int, int]) -> None:
    """Of all ways to cut rows into strips and each strip into tiles, tried one by one."""
    sizes, scheme = (4, 8, 12), Scheme(Signs.DIFFERENTIAL, 3, 2)
    block = Block(np.ones(shape, np.int64), np.arange(shape[0])[None], np.arange(shape[1])[None])
    found = list(tiles("p", 0, block, scheme, sizes, cells))
    price = sum(cells(t.rows, t.lines(scheme)) for t in found)

    def ways(length: int, holds: dict[int, int]) -> Any:
        for count in range(1, length + 1):
            for chosen in itertools.combinations_with_replacement(holds, count):
                if sum(holds[s] for s in chosen) >= length:
                    yield chosen

    halves = {s: s // 2 for s in sizes}
    strip = {h: min(sum(cells(h, w) for w in c) for c in ways(shape[1], halves)) for h in sizes}
    few = {s: s for s in sizes}
    assert price == min(sum(strip[h] for h in c) for c in ways(shape[0], few))


def test_bits_of_a_cell() -> None:
    assert [slice_bits_for(n, 6) for n in (None, 2, 3, 4, 16, 1000)] == [6, 1, 1, 2, 4, 6]
