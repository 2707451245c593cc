"""Shapes of connections, counted by hand and by brute force."""

from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest

from spikec.ir.connections import (
    AvgPool2d,
    Chain,
    Connection,
    Conv1d,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    OneToOne,
    Scale,
    Sparse,
    SumPool2d,
    chain,
    stages,
)


def positions(size: int, kernel: int, stride: int, pad: tuple[int, int], dilation: int) -> int:
    """How many windows lie inside the padded axis."""
    last = size + sum(pad) - dilation * (kernel - 1)
    return len(range(0, last, stride))


GEOMETRIES = [
    (size, kernel, stride, pad, dilation)
    for size, kernel, stride, pad, dilation in product(
        (5, 8), (1, 2, 3), (1, 2, 3), ((0, 0), (1, 1), (0, 2)), (1, 2)
    )
]


@pytest.mark.parametrize("geometry", GEOMETRIES[::5])
def test_windows(geometry: tuple[int, int, int, tuple[int, int], int]) -> None:
    size, kernel, stride, pad, dilation = geometry
    expected = positions(*geometry)
    conv1d = Conv1d(np.ones((4, 3, kernel)), (3, size), stride, pad, dilation)
    assert (conv1d.in_shape, conv1d.out_shape) == ((3, size), (4, expected))
    conv2d = Conv2d(
        np.ones((4, 3, kernel, 2)),
        (3, size, 7),
        (stride, 1),
        (pad, (0, 0)),
        (dilation, 1),
    )
    assert (conv2d.in_shape, conv2d.out_shape) == ((3, size, 7), (4, expected, 6))
    for pool in (SumPool2d, AvgPool2d):
        pooled = pool((3, size, 6), (kernel, 2), (stride, 2), (pad, (0, 0)))
        assert pooled.in_shape == (3, size, 6)
        assert pooled.out_shape == (3, positions(size, kernel, stride, pad, 1), 3)


@pytest.mark.parametrize(
    ("connection", "in_shape", "out_shape"),
    [
        (Dense(np.ones((2, 5))), (5,), (2,)),
        (Sparse(3, 2, np.zeros(4, np.int64), np.zeros(0, np.int32), np.zeros(0)), (3,), (2,)),
        (Flatten((2, 3, 4)), (2, 3, 4), (24,)),
        (Flatten((2, 3, 4), 1), (2, 3, 4), (2, 12)),
        (Flatten((2, 3, 4), 0, 1), (2, 3, 4), (6, 4)),
        (Flatten((2, 3, 4), 1, -2), (2, 3, 4), (2, 3, 4)),
        (Scale(np.ones(()), (2, 3)), (2, 3), (2, 3)),
        (OneToOne(np.ones(6), (2, 3)), (2, 3), (2, 3)),
        (Delay(np.ones((), np.int64), (2, 3)), (2, 3), (2, 3)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Connection) else None,
)
def test_shapes(connection: Connection, in_shape: Any, out_shape: Any) -> None:
    assert (connection.in_shape, connection.out_shape) == (in_shape, out_shape)
    if isinstance(connection, Flatten):
        assert prod(in_shape) == prod(out_shape)


class TestChain:
    A, B, C = Dense(np.ones((3, 2))), Dense(np.ones((4, 3))), Dense(np.ones((5, 4)))

    def test_shapes(self) -> None:
        assert Chain((self.A, self.B)).in_shape == (2,)
        assert Chain((self.A, self.B)).out_shape == (4,)

    def test_nested_chains_are_one(self) -> None:
        nested = Chain((Chain((self.A, Chain((self.B,)))), self.C))
        assert nested == Chain((self.A, self.B, self.C))
        assert stages(nested) == (self.A, self.B, self.C)
        assert stages(self.A) == (self.A,)

    def test_of_few_parts(self) -> None:
        assert chain((), (2, 3)) == OneToOne(np.ones(()), (2, 3))
        assert chain((self.A,), (2,)) is self.A
        assert chain((self.A, self.B), (2,)) == Chain((self.A, self.B))


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint16])
def test_integer_weights_stay_integers(dtype: Any) -> None:
    assert Dense(np.ones((2, 2), dtype)).weight.dtype == np.int64
    assert Dense(np.ones((2, 2), np.float32)).weight.dtype == np.float64
