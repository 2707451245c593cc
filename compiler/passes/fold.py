"""Factors go into weights without unrolling what is shared."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from ...ir.connections import Connection, Conv1d, Conv2d, Dense, OneToOne, Sparse

Real = npt.NDArray[np.float64]


def per_channel(factor: Real, channels: int) -> Real | None:
    """The factor of each channel, when all places of a channel have the same; else ``None``."""
    planes = factor.reshape(channels, -1)
    return planes[:, 0].copy() if np.all(planes == planes[:, :1]) else None


def scale_outputs(stage: Connection, factor: Real) -> Connection | None:
    r""":math:`y'_j = f_j y_j` as weights, ``factor`` flat; ``None`` where that is impossible."""
    match stage:
        case Dense():
            return Dense(stage.weight * factor[:, None])
        case Sparse():
            return replace(stage, weight=stage.weight * factor[stage.post])
        case OneToOne():
            return replace(stage, weight=stage.weight * factor)
        case Conv1d() | Conv2d():
            each = per_channel(factor, stage.weight.shape[0])
            if each is None:
                return None
            return replace(stage, weight=stage.weight * _along(each, stage))
    return None


def scale_inputs(stage: Connection, factor: Real) -> Connection | None:
    r""":math:`x'_i = f_i x_i` as weights, ``factor`` flat; ``None`` where that is impossible."""
    match stage:
        case Dense():
            return Dense(stage.weight * factor)
        case Sparse():
            return replace(stage, weight=stage.weight * np.repeat(factor, np.diff(stage.indptr)))
        case OneToOne():
            return replace(stage, weight=stage.weight * factor)
        case Conv1d() | Conv2d():
            each = per_channel(factor, stage.shape[0])
            if each is None:
                return None
            outputs, inputs = stage.weight.shape[:2]
            # Output o of a group reads the inputs of that group only.
            read = np.repeat(each.reshape(stage.groups, inputs), outputs // stage.groups, axis=0)
            return replace(stage, weight=stage.weight * _along(read, stage))
    return None


def _along(values: Real, stage: Conv1d | Conv2d) -> Real:
    """``values`` with axes of one behind, to multiply the leading axes of the weight."""
    return values.reshape(*values.shape, *(1,) * (stage.weight.ndim - values.ndim))


def spread(each: Real, connection: Connection) -> Real:
    """A factor of each channel for every output of ``connection``, flat."""
    return np.repeat(each, prod(connection.out_shape) // each.size)
