"""Connections: how the values of one population become the input of another. Always compact.

``x`` has shape ``in_shape``, ``y`` has ``out_shape``; both are flattened in C order where a size
is meant. Weights may be float64 (a real network) or int64 (a quantised one).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .records import Record, frozen_array, frozen_values, omitted

Shape = tuple[int, ...]
Weights = npt.NDArray[Any]


def _window(size: int, kernel: int, stride: int, pad: tuple[int, int], dilation: int = 1) -> int:
    return (size + pad[0] + pad[1] - dilation * (kernel - 1) - 1) // stride + 1


@dataclass(frozen=True, eq=False)
class Connection(Record):
    """Base of the connections. ``WEIGHTED`` ones hold trained weights in ``weight``."""

    WEIGHTED: ClassVar[bool] = False

    @property
    def in_shape(self) -> Shape:
        """Shape of the values that enter."""
        raise NotImplementedError(type(self).__name__)  # pragma: no cover - abstract

    @property
    def out_shape(self) -> Shape:
        """Shape of the values that leave."""
        raise NotImplementedError(type(self).__name__)  # pragma: no cover - abstract


@dataclass(frozen=True, eq=False)
class Dense(Connection):
    """y = W x; ``weight`` of shape (out, in)."""

    WEIGHTED: ClassVar[bool] = True
    weight: Weights

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight", frozen_values(self.weight))

    @property
    def in_shape(self) -> Shape:
        """(in,)."""
        return (int(self.weight.shape[1]),)

    @property
    def out_shape(self) -> Shape:
        """(out,)."""
        return (int(self.weight.shape[0]),)


@dataclass(frozen=True, eq=False)
class Sparse(Connection):
    """y[post] += weight * x[pre], one entry a synapse, in rows by pre (CSR).

    ``indptr`` has ``pre_size + 1`` entries; ``post`` and ``weight`` one a synapse, and so has
    ``steps``, the delay of each beside that of its projection, in steps. With ``steps`` a pair of
    neurons may have several synapses.
    """

    WEIGHTED: ClassVar[bool] = True
    pre_size: int
    post_size: int
    indptr: npt.NDArray[np.int64]
    post: npt.NDArray[np.int32]
    weight: Weights
    steps: npt.NDArray[np.int32] | None = omitted(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "indptr", frozen_array(self.indptr, np.int64))
        object.__setattr__(self, "post", frozen_array(self.post, np.int32))
        if self.steps is not None:
            object.__setattr__(self, "steps", frozen_array(self.steps, np.int32))
        object.__setattr__(self, "weight", frozen_values(self.weight))

    @property
    def in_shape(self) -> Shape:
        """(pre_size,)."""
        return (self.pre_size,)

    @property
    def out_shape(self) -> Shape:
        """(post_size,)."""
        return (self.post_size,)


@dataclass(frozen=True, eq=False)
class Conv1d(Connection):
    """Cross-correlation; ``weight`` (C_out, C_in/groups, K), ``shape`` the (C_in, L) of x."""

    WEIGHTED: ClassVar[bool] = True
    weight: Weights
    shape: tuple[int, int]
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight", frozen_values(self.weight))

    @property
    def in_shape(self) -> Shape:
        """(C_in, L)."""
        return self.shape

    @property
    def out_shape(self) -> Shape:
        """(C_out, L_out), L_out = (L + pad - dilation (K - 1) - 1) // stride + 1."""
        kernel = self.weight.shape[2]
        length = _window(self.shape[1], kernel, self.stride, self.padding, self.dilation)
        return (int(self.weight.shape[0]), length)


@dataclass(frozen=True, eq=False)
class Conv2d(Connection):
    """Cross-correlation; ``weight`` (C_out, C_in/groups, Kh, Kw), ``shape`` the (C_in, H, W) of x.

    ``padding`` is ((top, bottom), (left, right)) of zeros.
    """

    WEIGHTED: ClassVar[bool] = True
    weight: Weights
    shape: tuple[int, int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight", frozen_values(self.weight))

    @property
    def in_shape(self) -> Shape:
        """(C_in, H, W)."""
        return self.shape

    @property
    def out_shape(self) -> Shape:
        """(C_out, H_out, W_out), each as L_out of ``Conv1d``."""
        size = [
            _window(
                self.shape[1 + k],
                self.weight.shape[2 + k],
                self.stride[k],
                self.padding[k],
                self.dilation[k],
            )
            for k in (0, 1)
        ]
        return (int(self.weight.shape[0]), *size)


@dataclass(frozen=True, eq=False)
class SumPool2d(Connection):
    """Sums over windows of (C, H, W); ``padding`` as in ``Conv2d``."""

    shape: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    @property
    def in_shape(self) -> Shape:
        """(C, H, W)."""
        return self.shape

    @property
    def out_shape(self) -> Shape:
        """(C, H_out, W_out), windows that hang over the edge left out."""
        size = [
            _window(self.shape[1 + k], self.kernel[k], self.stride[k], self.padding[k])
            for k in (0, 1)
        ]
        return (self.shape[0], *size)


@dataclass(frozen=True, eq=False)
class AvgPool2d(SumPool2d):
    """Means over windows of (C, H, W); padded zeros count, as in PyTorch's default."""


@dataclass(frozen=True, eq=False)
class Flatten(Connection):
    """Joins the axes ``start`` to ``end`` (inclusive, no batch axis) of x."""

    shape: Shape
    start: int = 0
    end: int = -1

    @property
    def in_shape(self) -> Shape:
        """``shape``."""
        return self.shape

    @property
    def out_shape(self) -> Shape:
        """``shape`` with the joined axes as one."""
        end = self.end % len(self.shape)
        joined = prod(self.shape[self.start : end + 1])
        return (*self.shape[: self.start], joined, *self.shape[end + 1 :])


@dataclass(frozen=True, eq=False)
class Scale(Connection):
    """y = s * x element by element; ``scale`` of shape () or ``shape``."""

    scale: Weights
    shape: Shape

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "scale", frozen_values(self.scale))

    @property
    def in_shape(self) -> Shape:
        """``shape``."""
        return self.shape

    @property
    def out_shape(self) -> Shape:
        """``shape``."""
        return self.shape


@dataclass(frozen=True, eq=False)
class OneToOne(Connection):
    """y[i] = weight[i] * x[i]; ``weight`` of shape () or (size,)."""

    WEIGHTED: ClassVar[bool] = True
    weight: Weights
    shape: Shape

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight", frozen_values(self.weight))

    @property
    def in_shape(self) -> Shape:
        """``shape``."""
        return self.shape

    @property
    def out_shape(self) -> Shape:
        """``shape``."""
        return self.shape


@dataclass(frozen=True, eq=False)
class Delay(Connection):
    """y[i](t) = x[i](t - steps[i]); ``steps`` of shape () or (size,), in steps."""

    steps: npt.NDArray[np.int64]
    shape: Shape

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "steps", frozen_array(self.steps, np.int64))

    @property
    def in_shape(self) -> Shape:
        """``shape``."""
        return self.shape

    @property
    def out_shape(self) -> Shape:
        """``shape``."""
        return self.shape


@dataclass(frozen=True, eq=False)
class Chain(Connection):
    """The stages one after the other: y = s_n(... s_1(x)). Chains among them are flattened."""

    stages: tuple[Connection, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        flat = tuple(inner for stage in self.stages for inner in stages(stage))
        object.__setattr__(self, "stages", flat)

    @property
    def in_shape(self) -> Shape:
        """That of the first stage."""
        return self.stages[0].in_shape

    @property
    def out_shape(self) -> Shape:
        """That of the last stage."""
        return self.stages[-1].out_shape


CONNECTIONS: tuple[type[Connection], ...] = (
    Dense,
    Sparse,
    Conv1d,
    Conv2d,
    SumPool2d,
    AvgPool2d,
    Flatten,
    Scale,
    OneToOne,
    Delay,
    Chain,
)


def synapses(
    stage: Dense | Sparse | OneToOne,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Pre and post of every synapse, in the order of ``stage.weight``, flattened."""
    match stage:
        case Dense():
            post, pre = (axis.ravel() for axis in np.indices(stage.weight.shape, np.int32))
            return pre, post
        case Sparse():
            each = np.diff(stage.indptr)
            return np.repeat(np.arange(stage.pre_size, dtype=np.int32), each), stage.post
        case OneToOne():
            place = np.arange(prod(stage.shape), dtype=np.int32)
            return place, place


def stages(connection: Connection) -> tuple[Connection, ...]:
    """The stages of a chain; one stage for anything else."""
    return connection.stages if isinstance(connection, Chain) else (connection,)


def chain(parts: tuple[Connection, ...], shape: Shape) -> Connection:
    """One connection out of ``parts``; of none of them, the identity on ``shape``."""
    if not parts:
        return OneToOne(np.ones(()), shape)
    return parts[0] if len(parts) == 1 else Chain(parts)
