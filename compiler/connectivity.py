"""What a compact connection is, synapse by synapse: sparse matrices, counts, values and delays."""

from __future__ import annotations

from math import prod
from typing import Any, assert_never

import numba
import numpy as np
import numpy.typing as npt
from scipy import sparse

from ..ir.connections import (
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
    stages,
)
from ..ir.connections import synapses as places
from ..ir.diagnostics import NOWHERE, Location, fail

Array = npt.NDArray[Any]
Steps = npt.NDArray[np.int64]
Pads = tuple[tuple[int, int], tuple[int, int]]


def to_sparse(connection: Connection) -> sparse.csr_array:
    r"""The matrix :math:`M` of :math:`y_j = \sum_i x_i M_{ij}`, shape (in_size, out_size).

    int64 when every stage is, else float64. Rows are sorted, entries at one place summed, zeros
    left out. The entries of one stage are its weights, bit for bit; those of a chain are sums of
    products. A ``Delay`` counts as identity: ``delays`` has the steps.
    """
    matrix: sparse.csr_array | None = None
    for stage in stages(connection):
        step = _stage(stage)
        matrix = step if matrix is None else sparse.csr_array(matrix @ step)
    if matrix is None:
        raise ValueError("a chain without stages has no shape")
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def entries(
    stage: Dense | Sparse | OneToOne,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Array]:
    """Pre, post and weight of every synapse, zeros too, in the order of the flattened weights."""
    pre, post = places(stage)
    weight = np.broadcast_to(stage.weight.ravel(), pre.shape)
    return pre, post, weight


def synapses(
    connection: Connection, at: Location = NOWHERE
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Array, Steps]:
    """Pre, post, weight and steps of every synapse, the steps of the projection left out.

    A stage whose synapses have delays of their own keeps each of them, in the order of its weights;
    anywhere else there is one synapse a pair, in rows by pre, and none of weight zero. E0301 as for
    ``delays``.
    """
    if isinstance(connection, Sparse) and connection.steps is not None:
        return *entries(connection), connection.steps.astype(np.int64)
    matrix = to_sparse(connection)
    i = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
    j = matrix.indices.astype(np.int32)
    early, late = delays(connection, at)
    return i, j, matrix.data, early[i] + late[j]


def pattern(connection: Connection) -> tuple[Steps, npt.NDArray[np.int32]]:
    """Which pairs of neurons are joined, in rows by pre: ``ptr`` (in_size + 1,) and ``post``.

    Rows ascend, and hold no pair twice. Only the pairs are made, not their values: 4 bytes each.
    """
    parts = stages(connection)
    mixing = [part for part in parts if not _elementwise(part)]
    plain = all(isinstance(part, Flatten | Delay) for part in parts if part not in mixing)
    match mixing:
        case [Conv1d() | Conv2d() | SumPool2d() as window] if plain:
            return _window_pattern(window)
        case _:
            matrix = to_sparse(connection)
            return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)


def synapse_count(connection: Connection) -> int:
    """How many weights other than zero join a pre to a post neuron, without unrolling.

    A chain has those of its mixing stages (everything but ``Flatten``, ``Scale``, ``OneToOne``
    and ``Delay``) added up; one without a mixing stage those of an element-by-element product.
    """
    parts = stages(connection)
    mixing = [part for part in parts if not _elementwise(part)]
    if mixing:
        return sum(_count(part) for part in mixing)
    factor: Array = np.ones(prod(connection.in_shape), np.int64)
    for part in parts:
        factor = factor * _factor(part)
    return int(np.count_nonzero(factor))


def apply(connection: Connection, x: npt.ArrayLike) -> Array:
    """y of ``connection`` for the flattened values ``x``, shape (..., in_size) -> (..., out_size).

    Convolutions and pools stay compact: one slice of x for each tap of the kernel. Delays are
    left out.
    """
    y = np.asarray(x)
    if y.shape[-1:] != (prod(connection.in_shape),):
        raise ValueError(f"x has shape {y.shape}, the connection takes {connection.in_shape}")
    for stage in stages(connection):
        y = _apply(stage, y)
    return y


def delays(connection: Connection, at: Location = NOWHERE) -> tuple[Steps, Steps]:
    r"""Steps :math:`(p, q)` such that the synapse from i to j takes :math:`p_i + q_j` steps.

    Shapes (in_size,) and (out_size,). A ``Delay`` that differs from neuron to neuron must come
    before the first mixing stage or after the last; anywhere else two paths between one pair of
    neurons may differ, which is refused with E0301; so are synapses with delays of their own.
    """
    parts = stages(connection)
    for part in parts:
        if isinstance(part, Sparse) and part.steps is not None:
            raise fail(
                "E0301",
                f"synapses have delays of their own, {part.steps.min(initial=0)} to "
                f"{part.steps.max(initial=0)} steps beside that of the projection",
                at,
                "legalise makes one projection of each delay",
            )
    pre = np.zeros(prod(connection.in_shape), np.int64)
    post = np.zeros(prod(connection.out_shape), np.int64)
    mixing = [k for k, part in enumerate(parts) if not _elementwise(part)]
    for k, part in enumerate(parts):
        if not isinstance(part, Delay):
            continue
        steps = part.steps.ravel()
        if steps.size and (steps == steps[0]).all():
            pre += steps[0]
        elif not mixing or k < mixing[0]:
            pre += steps
        elif k > mixing[-1]:
            post += steps
        else:
            raise fail(
                "E0301",
                f"delays of {steps.min()} to {steps.max()} steps lie between "
                f"{type(parts[mixing[0]]).__name__} and {type(parts[mixing[-1]]).__name__}: the "
                "synapses of the whole chain have no single delay",
                at,
                "put a relay population where the delays differ",
            )
    return pre, post


def _elementwise(stage: Connection) -> bool:
    return isinstance(stage, Flatten | Scale | OneToOne | Delay)


def _factor(stage: Connection) -> Array:
    """What an element-by-element stage multiplies each element with: shape () or (size,)."""
    match stage:
        case Scale():
            return stage.scale.ravel() if stage.scale.ndim else stage.scale
        case OneToOne():
            return stage.weight.ravel() if stage.weight.ndim else stage.weight
        case _:
            return np.int64(1) * np.ones((), np.int64)


def _stage(stage: Connection) -> sparse.csr_array:
    shape = (prod(stage.in_shape), prod(stage.out_shape))
    match stage:
        case Dense():
            return sparse.csr_array(stage.weight.T)
        case Sparse():
            # scipy sorts and sums in place: it must not touch the connection's own arrays.
            return sparse.csr_array(
                (stage.weight.copy(), stage.post.astype(np.int64), stage.indptr.copy()), shape
            )
        case Conv1d() | Conv2d() | SumPool2d():
            return _window_matrix(stage, shape)
        case Flatten() | Scale() | OneToOne() | Delay():
            diagonal = np.broadcast_to(_factor(stage), (shape[0],)).copy()
            place = np.arange(shape[0])
            return sparse.csr_array((diagonal, (place, place)), shape)
        case Chain():  # pragma: no cover - flattened by ``stages``
            return to_sparse(stage)
        case Connection():
            raise TypeError(f"{type(stage).__name__} has no matrix")
        case _:  # pragma: no cover
            assert_never(stage)


def _window_matrix(stage: Conv1d | Conv2d | SumPool2d, shape: tuple[int, int]) -> sparse.csr_array:
    kernel, taps = _taps(stage)
    (channels, height, width), (outputs, out_h, out_w) = _plane(stage)
    groups = _groups(stage)
    per_in, per_out = channels // groups, outputs // groups
    to = np.arange(outputs)[:, None]
    # Channels that each output reads, shape (outputs, per_in): the same for every tap.
    source = (to // per_out) * per_in + np.arange(per_in)
    rows, columns, values = [], [], []
    for tap, (out_rows, in_rows), (out_cols, in_cols) in taps:
        weight = kernel[:, :, tap[0], tap[1]]
        pre = (source[:, :, None, None] * height + in_rows[:, None]) * width + in_cols
        post = (to[:, :, None, None] * out_h + out_rows[:, None]) * out_w + out_cols
        keep = np.broadcast_to((weight != 0)[:, :, None, None], pre.shape)
        rows.append(pre[keep])
        columns.append(np.broadcast_to(post, pre.shape)[keep])
        values.append(np.broadcast_to(weight[:, :, None, None], pre.shape)[keep])
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_array(sparse.coo_array(entries, shape))


def _window_pattern(stage: Conv1d | Conv2d | SumPool2d) -> tuple[Steps, npt.NDArray[np.int32]]:
    kernel, _ = _taps(stage)
    (channels, height, width), (outputs, out_h, out_w) = _plane(stage)
    stride, padding, dilation = _geometry(stage)
    shape = np.array([channels, height, width, outputs, out_h, out_w, _groups(stage)], np.int64)
    geometry = np.array([*stride, padding[0][0], padding[1][0], *dilation], np.int64)
    ptr: Steps
    post: npt.NDArray[np.int32]
    ptr, post = _window_rows(np.ascontiguousarray(kernel != 0), shape, geometry)
    return ptr, post


@numba.njit(cache=True)
def _window_rows(kernel: Any, shape: Any, geometry: Any) -> Any:
    channels, height, width, outputs, out_h, out_w, groups = shape
    stride_y, stride_x, top, left, apart_y, apart_x = geometry
    per_in, per_out = channels // groups, outputs // groups
    ptr = np.zeros(channels * height * width + 1, np.int64)
    post = np.empty(0, np.int32)
    # Twice: the first round counts, the second fills.
    for fill in (False, True):
        if fill:
            for row in range(ptr.size - 1):
                ptr[row + 1] += ptr[row]
            post = np.empty(ptr[-1], np.int32)
        for channel in range(channels):
            group = channel // per_in
            for y in range(height):
                for x in range(width):
                    row = (channel * height + y) * width + x
                    k = np.int64(0)
                    for o in range(group * per_out, (group + 1) * per_out):
                        # From the last tap to the first: places of the output ascend.
                        for tap_y in range(kernel.shape[2] - 1, -1, -1):
                            place_y = y + top - tap_y * apart_y
                            if place_y < 0 or place_y % stride_y != 0:
                                continue
                            to_y = place_y // stride_y
                            if to_y >= out_h:
                                continue
                            for tap_x in range(kernel.shape[3] - 1, -1, -1):
                                place_x = x + left - tap_x * apart_x
                                if place_x < 0 or place_x % stride_x != 0:
                                    continue
                                to_x = place_x // stride_x
                                if (
                                    to_x >= out_w
                                    or not kernel[o, channel - group * per_in, tap_y, tap_x]
                                ):
                                    continue
                                if fill:
                                    post[ptr[row] + k] = (o * out_h + to_y) * out_w + to_x
                                k += 1
                    if not fill:
                        ptr[row + 1] = k
    return ptr, post


Tap = tuple[tuple[int, int], tuple[Steps, Steps], tuple[Steps, Steps]]


def _taps(stage: Conv1d | Conv2d | SumPool2d) -> tuple[Array, list[Tap]]:
    """The kernel as (outputs, inputs a group, Kh, Kw), and where each tap of it reads and writes.

    A tap comes with the output and input rows it joins, and the output and input columns.
    """
    (_, height, width), (outputs, out_h, out_w) = _plane(stage)
    stride, padding, dilation = _geometry(stage)
    match stage:
        case AvgPool2d():
            kernel: Array = np.full((outputs, 1, *stage.kernel), 1.0 / prod(stage.kernel))
        case SumPool2d():
            kernel = np.ones((outputs, 1, *stage.kernel), np.int64)
        case Conv1d():
            kernel = stage.weight[:, :, None, :]
        case Conv2d():
            kernel = stage.weight

    def reach(tap: int, axis: int, size: int, out: int) -> tuple[Steps, Steps]:
        to = np.arange(out)
        start = to * stride[axis] - padding[axis][0] + tap * dilation[axis]
        inside = (start >= 0) & (start < size)
        return to[inside], start[inside]

    return kernel, [
        ((row, column), reach(row, 0, height, out_h), reach(column, 1, width, out_w))
        for row in range(kernel.shape[2])
        for column in range(kernel.shape[3])
    ]


def _plane(
    stage: Conv1d | Conv2d | SumPool2d,
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Input and output as (channels, height, width); a line has height 1."""
    if isinstance(stage, Conv1d):
        (channels, length), (outputs, out_length) = stage.shape, stage.out_shape
        return (channels, 1, length), (outputs, 1, out_length)
    outputs, out_h, out_w = stage.out_shape
    return stage.shape, (outputs, out_h, out_w)


def _geometry(
    stage: Conv1d | Conv2d | SumPool2d,
) -> tuple[tuple[int, int], Pads, tuple[int, int]]:
    if isinstance(stage, Conv1d):
        return (1, stage.stride), ((0, 0), stage.padding), (1, stage.dilation)
    dilation = stage.dilation if isinstance(stage, Conv2d) else (1, 1)
    return stage.stride, stage.padding, dilation


def _groups(stage: Conv1d | Conv2d | SumPool2d) -> int:
    return stage.shape[0] if isinstance(stage, SumPool2d) else stage.groups


def _count(stage: Connection) -> int:
    match stage:
        case Dense() | Sparse():
            return int(np.count_nonzero(stage.weight))
        case Conv1d() | Conv2d() | SumPool2d():
            kernel, taps = _taps(stage)
            return sum(
                int(np.count_nonzero(kernel[:, :, tap[0], tap[1]])) * rows[0].size * columns[0].size
                for tap, rows, columns in taps
            )
        case _:  # pragma: no cover - elementwise stages are counted by their factors
            raise TypeError(f"{type(stage).__name__} does not mix")


def _apply(stage: Connection, x: Array) -> Array:
    match stage:
        case Dense():
            return np.asarray(x @ stage.weight.T)
        case Sparse():
            flat = x.reshape(-1, x.shape[-1])
            return np.asarray(flat @ _stage(stage)).reshape(*x.shape[:-1], stage.post_size)
        case Conv1d() | Conv2d() | SumPool2d():
            return _apply_window(stage, x)
        case Flatten() | Delay():
            return x
        case Scale() | OneToOne():
            return np.asarray(x * _factor(stage))
        case _:
            raise TypeError(f"{type(stage).__name__} has no values")


def _apply_window(stage: Conv1d | Conv2d | SumPool2d, x: Array) -> Array:
    kernel, taps = _taps(stage)
    plane, out_plane = _plane(stage)
    groups = _groups(stage)
    lead = x.shape[:-1]
    inputs = x.reshape(-1, groups, plane[0] // groups, *plane[1:])
    weights = kernel.reshape(groups, out_plane[0] // groups, *kernel.shape[1:])
    y = np.zeros(
        (inputs.shape[0], groups, out_plane[0] // groups, *out_plane[1:]),
        np.result_type(x, kernel),
    )
    for tap, (out_rows, in_rows), (out_cols, in_cols) in taps:
        y[..., out_rows[:, None], out_cols] += np.einsum(
            "bgihw,goi->bgohw",
            inputs[..., in_rows[:, None], in_cols],
            weights[..., tap[0], tap[1]],
        )
    return y.reshape(*lead, prod(out_plane))


def patches(stage: Conv1d | Conv2d) -> tuple[Steps, Steps]:
    """Where a kernel lies: the flat inputs and outputs that each of its places joins.

    With G groups and P places, shapes (G, P, inputs) and (G, P, outputs); the inputs of a group are
    its channels and taps as the weights of an output have them, -1 where they lie in the padding.
    """
    (channels, height, width), (outputs, out_h, out_w) = _plane(stage)
    stride, padding, dilation = _geometry(stage)
    groups = _groups(stage)
    kernel = _taps(stage)[0].shape[2:]
    axes = []
    for axis, (size, out) in enumerate(((height, out_h), (width, out_w))):
        start = np.arange(out) * stride[axis] - padding[axis][0]
        at = start[:, None] + np.arange(kernel[axis]) * dilation[axis]
        axes.append(np.where((at >= 0) & (at < size), at, -1))
    y, x = axes
    shape = (out_h, out_w, channels, *kernel)
    row = np.broadcast_to(y[:, None, None, :, None], shape)
    column = np.broadcast_to(x[None, :, None, None, :], shape)
    channel = np.arange(channels)[:, None, None]
    pre = np.where((row < 0) | (column < 0), -1, (channel * height + row) * width + column)
    places = out_h * out_w
    pre = pre.reshape(places, groups, -1).swapaxes(0, 1)
    post = np.arange(outputs).reshape(groups, 1, -1) * places + np.arange(places)[:, None]
    return np.ascontiguousarray(pre, np.int64), np.ascontiguousarray(post, np.int64)
