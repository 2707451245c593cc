"""y = A x for a connection A and one vector x: how a bias passes through linear nodes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ....ir.connections import (
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

Real = npt.NDArray[np.float64]
Pair = tuple[int, int]


def response(connection: Connection, x: Real) -> Real:
    r""":math:`y = A x` in float64. ``x`` and y are flattened in C order.

    A ``Delay`` passes its input on unchanged: the response is that to a constant.
    """
    match connection:
        case Chain():
            for stage in connection.stages:
                x = response(stage, x)
            return x
        case Dense():
            return np.asarray(connection.weight @ x, np.float64)
        case Sparse():
            y = np.zeros(connection.post_size)
            pre = np.repeat(np.arange(connection.pre_size), np.diff(connection.indptr))
            np.add.at(y, connection.post, connection.weight * x[pre])
            return y
        case Conv1d():
            wide = connection.weight[:, :, None, :]
            image = x.reshape(connection.shape[0], 1, connection.shape[1])
            pads = ((0, 0), connection.padding)
            return _correlated(
                wide,
                image,
                (1, connection.stride),
                pads,
                (1, connection.dilation),
                connection.groups,
            )
        case Conv2d():
            return _correlated(
                connection.weight,
                x.reshape(connection.shape),
                connection.stride,
                connection.padding,
                connection.dilation,
                connection.groups,
            )
        case SumPool2d():
            windows = _windows(
                x.reshape(connection.shape),
                connection.kernel,
                connection.stride,
                connection.padding,
                (1, 1),
            )
            total = windows.sum(axis=(3, 4))
            if isinstance(connection, AvgPool2d):
                total = total / (connection.kernel[0] * connection.kernel[1])
            return np.asarray(total.ravel())
        case Flatten() | Delay():
            return x
        case Scale():
            return np.asarray(np.ravel(connection.scale) * x)
        case OneToOne():
            return np.asarray(np.ravel(connection.weight) * x)
        case _:
            raise TypeError(f"{type(connection).__name__} has no response")


def _windows(
    image: Real, kernel: Pair, stride: Pair, pads: tuple[Pair, Pair], dilation: Pair
) -> Real:
    """Views of shape (C, H_out, W_out, Kh, Kw)."""
    padded = np.pad(image, ((0, 0), *pads))
    rows, columns = (d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    views = np.lib.stride_tricks.sliding_window_view(padded, (1, rows, columns))[..., 0, :, :]
    return views[:, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def _correlated(
    weight: Real,
    image: Real,
    stride: Pair,
    pads: tuple[Pair, Pair],
    dilation: Pair,
    groups: int,
) -> Real:
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    views = _windows(image, kernel, stride, pads, dilation)
    inputs, outputs = views.shape[0] // groups, weight.shape[0] // groups
    parts = [
        np.einsum(
            "oikl,ihwkl->ohw",
            weight[g * outputs : (g + 1) * outputs],
            views[g * inputs : (g + 1) * inputs],
            optimize=True,
        )
        for g in range(groups)
    ]
    flat: Real = np.concatenate(parts).ravel()
    return flat
