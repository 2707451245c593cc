"""Sparse forms against loops over the definition and against scipy's correlation."""

from __future__ import annotations

import itertools
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from spikec.compiler.connectivity import (
    apply,
    delays,
    pattern,
    synapse_count,
    synapses,
    to_sparse,
)
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
)
from spikec.ir.diagnostics import SpikecError

Values = npt.NDArray[Any]

SIDE = st.integers(1, 6)
SMALL = st.integers(1, 3)
PAD = st.tuples(st.integers(0, 2), st.integers(0, 2))


def correlate(conv: Conv2d, x: Values) -> Values:
    """Cross-correlation by loops over outputs, the definition of ``Conv2d``."""
    padded = np.pad(x, ((0, 0), *conv.padding))
    y = np.zeros(conv.out_shape, np.result_type(x, conv.weight))
    per_in = conv.weight.shape[1]
    per_out = conv.weight.shape[0] // conv.groups
    for o, r, c in itertools.product(*map(range, conv.out_shape)):
        for i, kr, kc in itertools.product(*map(range, conv.weight.shape[1:])):
            channel = (o // per_out) * per_in + i
            row = r * conv.stride[0] + kr * conv.dilation[0]
            column = c * conv.stride[1] + kc * conv.dilation[1]
            y[o, r, c] += conv.weight[o, i, kr, kc] * padded[channel, row, column]
    return y


def sums(pool: SumPool2d, x: Values) -> Values:
    padded = np.pad(x, ((0, 0), *pool.padding))
    y = np.zeros(pool.out_shape, x.dtype)
    for ch, r, c in itertools.product(*map(range, pool.out_shape)):
        top, left = r * pool.stride[0], c * pool.stride[1]
        y[ch, r, c] = padded[ch, top : top + pool.kernel[0], left : left + pool.kernel[1]].sum()
    return y


def integers(seed: int, shape: tuple[int, ...]) -> Values:
    """Values whose sums are exact, a third of them zero."""
    rng = np.random.default_rng(seed)
    return rng.integers(-9, 10, shape) * (rng.random(shape) > 1 / 3)


def check(connection: Connection, x: Values, expected: Values) -> None:
    matrix = to_sparse(connection)
    assert matrix.shape == (prod(connection.in_shape), prod(connection.out_shape))
    assert matrix.has_canonical_format
    assert (matrix.data != 0).all()
    assert np.array_equal(x.ravel() @ matrix, expected.ravel())
    batch = np.stack([x.ravel(), 2 * x.ravel()])
    assert np.array_equal(apply(connection, batch), np.stack([expected.ravel()] * 2) * [[1], [2]])


@st.composite
def convolutions(draw: st.DrawFn) -> Conv2d:
    groups, per_in, per_out = draw(SMALL), draw(SMALL), draw(SMALL)
    kernel = (draw(SMALL), draw(SMALL))
    dilation, padding = (draw(SMALL), draw(SMALL)), (draw(PAD), draw(PAD))
    size = [
        draw(st.integers(max(1, d * (k - 1) + 1 - sum(p)), 8))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    ]
    weight = integers(draw(st.integers(0, 2**20)), (groups * per_out, per_in, *kernel))
    return Conv2d(
        weight,
        (groups * per_in, size[0], size[1]),
        (draw(SMALL), draw(SMALL)),
        padding,
        dilation,
        groups,
    )


@settings(max_examples=120, deadline=None, derandomize=True)
@given(convolutions(), st.integers(0, 2**20))
def test_conv2d_is_the_definition(conv: Conv2d, seed: int) -> None:
    x = integers(seed, conv.in_shape)
    check(conv, x, correlate(conv, x))
    assert synapse_count(conv) == to_sparse(conv).nnz
    assert to_sparse(conv).dtype == np.int64


@settings(max_examples=60, deadline=None, derandomize=True)
@given(convolutions(), st.integers(0, 2**20))
def test_conv1d_is_a_conv2d_of_height_one(conv: Conv2d, seed: int) -> None:
    line = Conv1d(
        conv.weight[:, :, 0, :],
        (conv.shape[0], conv.shape[2]),
        conv.stride[1],
        conv.padding[1],
        conv.dilation[1],
        conv.groups,
    )
    x = integers(seed, line.in_shape)
    plane = Conv2d(
        conv.weight[:, :, :1, :],
        (conv.shape[0], 1, conv.shape[2]),
        (1, line.stride),
        ((0, 0), line.padding),
        (1, line.dilation),
        conv.groups,
    )
    check(line, x, correlate(plane, x[:, None, :]))
    assert synapse_count(line) == to_sparse(line).nnz


def test_conv2d_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    conv = Conv2d(rng.normal(size=(3, 2, 3, 2)), (2, 7, 6))
    x = rng.normal(size=conv.in_shape)
    expected = [
        sum(signal.correlate(x[i], conv.weight[o, i], mode="valid") for i in range(2))
        for o in range(3)
    ]
    np.testing.assert_allclose(apply(conv, x.ravel()), np.ravel(expected), rtol=1e-13)
    np.testing.assert_allclose(x.ravel() @ to_sparse(conv), np.ravel(expected), rtol=1e-13)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SMALL, SIDE, SIDE, SMALL, SMALL, SMALL, SMALL, PAD, PAD, st.integers(0, 2**20))
def test_pools_are_the_definition(
    channels: int,
    height: int,
    width: int,
    kh: int,
    kw: int,
    sh: int,
    sw: int,
    rows: tuple[int, int],
    columns: tuple[int, int],
    seed: int,
) -> None:
    shape = (channels, max(height, kh), max(width, kw))
    pool = SumPool2d(shape, (kh, kw), (sh, sw), (rows, columns))
    x = integers(seed, shape)
    check(pool, x, sums(pool, x))
    assert synapse_count(pool) == to_sparse(pool).nnz
    mean = AvgPool2d(shape, (kh, kw), (sh, sw), (rows, columns))
    np.testing.assert_allclose(
        x.ravel() @ to_sparse(mean), sums(pool, x).ravel() / (kh * kw), atol=1e-12
    )
    assert to_sparse(mean).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_plain_connections(dtype: type) -> None:
    weight: Values = np.array([[1, 0, -2], [0, 3, 4]], dtype)
    x: Values = np.array([5, 6, 7], dtype)
    dense = Dense(weight)
    check(dense, x, weight @ x)
    assert synapse_count(dense) == 4
    assert to_sparse(dense).dtype == dtype
    # Unsorted rows and two synapses between one pair.
    sparse = Sparse(
        3,
        2,
        np.array([0, 1, 3, 6]),
        np.array([0, 1, 1, 1, 0, 1], np.int32),
        np.array([1, 1, 2, 3, -2, 1], dtype),
    )
    check(sparse, x, weight @ x)
    assert synapse_count(sparse) == 6
    assert sparse.post.tolist() == [0, 1, 1, 1, 0, 1]
    one = OneToOne(np.array([2, 0, -1], dtype), (3,))
    check(one, x, np.array([10, 0, -7]))
    assert synapse_count(one) == 2
    scale = Scale(np.array(3, dtype), (3,))
    check(scale, x, 3 * x)
    assert synapse_count(scale) == 3
    check(Flatten((3, 1), 0, -1), x, x)
    check(Delay(np.array([1, 2, 3]), (3,)), x, x)


def test_chain_is_the_product_of_its_stages() -> None:
    pool = SumPool2d((2, 4, 4), (2, 2), (2, 2))
    conv = Conv2d(integers(3, (3, 2, 2, 2)), (2, 2, 2))
    dense = Dense(integers(4, (5, 3)))
    parts = (
        Scale(integers(5, (2, 4, 4)), (2, 4, 4)),
        pool,
        Delay(np.array(2), (2, 2, 2)),
        Chain((conv, Flatten((3, 1, 1)))),
        dense,
        OneToOne(np.array([1, 2, 3, 0, 5]), (5,)),
    )
    whole = Chain(parts)
    x = integers(6, (2, 4, 4))
    inner = correlate(conv, sums(pool, parts[0].scale * x)).ravel()
    check(whole, x, np.array([1, 2, 3, 0, 5]) * (dense.weight @ inner))
    assert synapse_count(whole) == 32 + np.count_nonzero(conv.weight) + np.count_nonzero(
        dense.weight
    )
    both = Chain((Scale(np.array([1, 0, 2]), (3,)), OneToOne(np.array([0, 1, 1]), (3,))))
    assert synapse_count(both) == to_sparse(both).nnz == 1


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="takes"):
        apply(Dense(np.ones((2, 3))), np.ones(2))


def test_delays_before_between_and_after_mixing() -> None:
    dense = Dense(np.ones((2, 3)))
    before = Delay(np.array([1, 0, 4]), (3,))
    after = Delay(np.array([2, 7]), (2,))
    uniform = Delay(np.array([5, 5]), (2,))
    one = Delay(np.array(1), (3,))
    last = Dense(np.ones((2, 2)))
    pre, post = delays(Chain((before, one, dense, uniform, last, after)))
    assert pre.tolist() == [7, 6, 10]
    assert post.tolist() == [2, 7]
    pre, post = delays(dense)
    assert not pre.any() and not post.any()
    pre, post = delays(Chain((before, before)))
    assert pre.tolist() == [2, 0, 8] and not post.any()


def test_a_delay_between_mixing_stages_has_no_single_value() -> None:
    dense = Dense(np.ones((3, 3)))
    with pytest.raises(SpikecError, match=r"E0301.*delays of 1 to 3") as caught:
        delays(Chain((dense, Delay(np.array([1, 2, 3]), (3,)), dense)))
    assert "relay" in str(caught.value)


def linear(draw: st.DrawFn, size: int) -> Connection:
    """A connection of any kind but windows, zeros among its weights."""
    seed, kind = draw(st.integers(0, 2**20)), draw(st.integers(0, 4))
    if kind == 0:
        return Dense(integers(seed, (draw(SIDE), size)))
    if kind == 1:
        rng = np.random.default_rng(seed)
        lengths = rng.integers(0, 5, size)
        post = rng.integers(0, 6, lengths.sum())  # the same pair twice, and sums of zero
        return Sparse(size, 6, np.cumsum([0, *lengths]), post, integers(seed, (post.size,)))
    if kind == 2:
        return OneToOne(integers(seed, (size,)), (size,))
    if kind == 3:
        return Scale(np.array(draw(st.integers(0, 2))), (size,))
    return Delay(np.random.default_rng(seed).integers(0, 4, size), (size,))


@st.composite
def connections(draw: st.DrawFn) -> Connection:
    """One of every kind, or a chain of up to three."""
    kind = draw(st.integers(0, 4))
    first: Connection
    if kind == 0:
        first = draw(convolutions())
    elif kind == 1:
        conv = draw(convolutions())
        first = Conv1d(
            conv.weight[:, :, 0, :],
            (conv.shape[0], conv.shape[2]),
            conv.stride[1],
            conv.padding[1],
            conv.dilation[1],
            conv.groups,
        )
    elif kind == 2:
        pool = draw(st.sampled_from((SumPool2d, AvgPool2d)))
        kernel = (draw(SMALL), draw(SMALL))
        shape = (draw(SMALL), draw(st.integers(3, 7)), draw(st.integers(3, 7)))
        first = pool(shape, kernel, (draw(SMALL), draw(SMALL)), (draw(PAD), draw(PAD)))
    else:
        first = linear(draw, draw(SIDE))
    parts = [first]
    if draw(st.booleans()):
        parts.append(Flatten(first.out_shape))
        for _ in range(draw(st.integers(0, 2))):
            parts.append(linear(draw, prod(parts[-1].out_shape)))
        if draw(st.booleans()):
            parts.insert(0, Delay(np.array(2), first.in_shape))
    return parts[0] if len(parts) == 1 else Chain(tuple(parts))


@settings(max_examples=250)
@given(connections())
def test_the_pattern_is_that_of_the_matrix(connection: Connection) -> None:
    ptr, post = pattern(connection)
    matrix = to_sparse(connection)
    assert ptr.dtype == np.int64 and post.dtype == np.int32
    assert ptr.tolist() == matrix.indptr.tolist()
    assert post.tolist() == matrix.indices.tolist()


def test_synapses_keep_delays_of_their_own() -> None:
    steps = np.array([3, 0, 3], np.int32)
    own = Sparse(2, 2, np.array([0, 2, 3]), np.array([0, 0, 1], np.int32), np.ones(3), steps)
    assert [a.tolist() for a in synapses(own)] == [[0, 0, 1], [0, 0, 1], [1.0] * 3, [3, 0, 3]]
    with pytest.raises(SpikecError, match="0 to 3 steps beside that of the projection"):
        delays(own)
    late = Chain((Delay(np.array([1, 2]), (2,)), Dense(np.array([[5.0, 6.0], [0.0, 7.0]]))))
    found = [a.tolist() for a in synapses(late)]
    assert found == [[0, 1, 1], [0, 0, 1], [5.0, 6.0, 7.0], [1, 2, 2]]
