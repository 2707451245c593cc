"""From the fields of a NIR node to what it does: a neuron model or a linear map.

Every node answers the same questions: which shape it takes (``None`` while that is open), which
shape it gives for a shape that enters, and, if linear, which connection and bias it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ....ir.connections import (
    AvgPool2d,
    Connection,
    Conv1d,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    Scale,
    Shape,
    Sparse,
    SumPool2d,
)
from ....ir.diagnostics import Location
from ....ir.neurons import IF, LI, LIF, CubaLI, CubaLIF, Integrator, Neuron, Threshold

Real = npt.NDArray[np.float64]
Pair = tuple[int, int]

NEURONS: dict[str, type[Neuron]] = {
    "I": Integrator,
    "IF": IF,
    "LI": LI,
    "LIF": LIF,
    "CubaLI": CubaLI,
    "CubaLIF": CubaLIF,
    "Threshold": Threshold,
}


class ShapeError(ValueError):
    """A shape that a node cannot take, with both shapes in the message and a hint."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def folded(values: Any) -> Real:
    """``values`` as float64; of shape () when all of them are exactly equal."""
    array = np.asarray(values, np.float64)
    if array.size and (array == array.flat[0]).all():
        return np.array(array.flat[0])
    return array


def window(size: int, kernel: int, stride: int, pad: Pair, dilation: int = 1) -> int:
    """Number of places of a sliding window."""
    return (size + pad[0] + pad[1] - dilation * (kernel - 1) - 1) // stride + 1


@dataclass
class Node:
    """Base: a port (Input, Output), through which values pass unchanged."""

    name: str
    kind: str
    at: Location
    depth: int = 0
    declared: Shape | None = None  # what the file says of the shape it takes

    def accepts(self, shape: Shape) -> bool:
        """Whether values of this shape enter without a repair."""
        return self.declared is None or self.declared == shape

    def gives(self, shape: Shape) -> Shape:
        """The shape that leaves when ``shape`` enters; ``ShapeError`` when it cannot enter."""
        return shape

    def stage(self, shape: Shape) -> Connection | None:
        """The map from values of ``shape`` as a connection; None for the identity."""
        return None

    def bias(self, shape: Shape) -> Real | None:
        """What is added to the values that leave, flattened; None for nothing."""
        return None

    @property
    def open(self) -> bool:
        """Whether the node takes any shape and gives the same."""
        return False


@dataclass
class Port(Node):
    """An Input or Output; its declared shape is what a user sees."""

    @property
    def open(self) -> bool:
        """Ports take any shape."""
        return True

    def accepts(self, shape: Shape) -> bool:
        """Any shape: what the file says is checked on its own."""
        return True


@dataclass
class NeuronNode(Node):
    """A population; ``parameters`` by their names in the model."""

    parameters: dict[str, Real | None] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether one value stands for the whole population."""
        return self.declared is None or prod(self.declared) == 1

    def accepts(self, shape: Shape) -> bool:
        """The shape of its parameters, or any when they are single values."""
        return self.open or self.declared == shape

    def adapted(self, shape: Shape) -> Shape | None:
        """The population's shape when ``shape`` enters, if the parameters can be read so."""
        return _adapted(self.declared, shape)

    def neuron(self, shape: Shape) -> Neuron:
        """The model, with parameters of shape () or ``shape``."""
        ready = {
            name: None if value is None else _spread(value, shape)
            for name, value in self.parameters.items()
        }
        return NEURONS[self.kind](**ready)


@dataclass
class ElementNode(Node):
    """Scale or Delay: one number an element. A Delay holds steps."""

    values: npt.NDArray[Any] = field(default_factory=lambda: np.zeros(()))

    @property
    def open(self) -> bool:
        """Whether one value stands for all elements."""
        return self.declared is None or prod(self.declared) == 1

    def accepts(self, shape: Shape) -> bool:
        """The shape of its values, or any when there is one."""
        return self.open or self.declared == shape

    def adapted(self, shape: Shape) -> Shape | None:
        """The shape it works on when ``shape`` enters, if the values can be read so."""
        return _adapted(self.declared, shape)

    def stage(self, shape: Shape) -> Connection | None:
        """A ``Delay`` in steps, or a ``Scale``."""
        values = _spread(self.values, shape)
        if self.kind == "Delay":
            steps = values.astype(np.int64)
            return Delay(steps if steps.ndim == 0 else steps.ravel(), shape)
        return Scale(values, shape)


@dataclass
class MatrixNode(Node):
    """Affine or Linear: y[..., :] = W[..., :, :] x[..., :] + b."""

    weight: Real = field(default_factory=lambda: np.zeros((1, 1)))
    offset: Real | None = None

    def gives(self, shape: Shape) -> Shape:
        """The rows of the weight, whatever enters."""
        return (*self.weight.shape[:-2], self.weight.shape[-2])

    def stage(self, shape: Shape) -> Connection | None:
        """``Dense``; of a stack of matrices ``Sparse``, or None when all are the identity."""
        if self.weight.ndim == 2:
            return Dense(self.weight)
        rows, columns = self.weight.shape[-2:]
        blocks = self.weight.reshape(-1, rows, columns)
        if rows == columns and (blocks == np.eye(rows)).all():
            return None
        return _block_diagonal(blocks)

    def bias(self, shape: Shape) -> Real | None:
        """The offset, one value an output."""
        if self.offset is None or not self.offset.any():
            return None
        return np.broadcast_to(self.offset.reshape(-1), (prod(self.gives(shape)),))


@dataclass
class ConvNode(Node):
    """Conv1d or Conv2d. ``pads`` is None for 'same'; one entry a spatial axis elsewhere."""

    weight: Real = field(default_factory=lambda: np.zeros((1, 1, 1)))
    offset: Real | None = None
    spatial: Shape | None = None
    stride: Shape = (1,)
    pads: tuple[Pair, ...] | None = ((0, 0),)
    dilation: Shape = (1,)
    groups: int = 1

    @property
    def channels(self) -> int:
        """Channels that enter."""
        return int(self.weight.shape[1]) * self.groups

    def accepts(self, shape: Shape) -> bool:
        """(channels, spatial...), of the declared size if there is one."""
        if len(shape) != self.weight.ndim - 1 or shape[0] != self.channels:
            return False
        return self.spatial is None or self.spatial == shape[1:]

    def gives(self, shape: Shape) -> Shape:
        """(C_out, spatial...); ``ShapeError`` for other channels or a kernel that does not fit."""
        axes = self.weight.ndim - 2
        if len(shape) != axes + 1 or shape[0] != self.channels:
            wanted = f"({self.channels}, {'L' if axes == 1 else 'H, W'})"
            raise ShapeError(
                f"{self.kind} takes {wanted}, but {shape} enters",
                "check the channels, and whether a batch axis was exported",
            )
        sizes = [
            window(n, k, s, p, d)
            for n, k, s, p, d in zip(
                shape[1:],
                self.weight.shape[2:],
                self.stride,
                self.padding(),
                self.dilation,
                strict=True,
            )
        ]
        if min(sizes) < 1:
            raise ShapeError(f"a kernel of {self.weight.shape[2:]} does not fit into {shape}")
        return (int(self.weight.shape[0]), *sizes)

    def padding(self) -> tuple[Pair, ...]:
        """Zeros before and after each spatial axis; the odd one of 'same' goes after."""
        if self.pads is not None:
            return self.pads
        total = [d * (k - 1) for d, k in zip(self.dilation, self.weight.shape[2:], strict=True)]
        return tuple((n // 2, n - n // 2) for n in total)

    def stage(self, shape: Shape) -> Connection | None:
        """``Conv1d`` or ``Conv2d`` on ``shape``."""
        pads = self.padding()
        if self.weight.ndim == 3:
            return Conv1d(
                self.weight,
                (shape[0], shape[1]),
                self.stride[0],
                pads[0],
                self.dilation[0],
                self.groups,
            )
        return Conv2d(
            self.weight,
            (shape[0], shape[1], shape[2]),
            (self.stride[0], self.stride[1]),
            (pads[0], pads[1]),
            (self.dilation[0], self.dilation[1]),
            self.groups,
        )

    def bias(self, shape: Shape) -> Real | None:
        """The offset of each channel, at every place of it."""
        if self.offset is None or not self.offset.any():
            return None
        out = self.gives(shape)
        each = np.broadcast_to(self.offset.reshape(-1), (out[0],))
        return np.repeat(each, prod(out[1:]))


@dataclass
class PoolNode(Node):
    """SumPool2d or AvgPool2d."""

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    pads: tuple[Pair, Pair] = ((0, 0), (0, 0))

    def accepts(self, shape: Shape) -> bool:
        """(C, H, W)."""
        return len(shape) == 3

    def gives(self, shape: Shape) -> Shape:
        """(C, H_out, W_out); ``ShapeError`` when no window fits."""
        if len(shape) != 3:
            raise ShapeError(
                f"{self.kind} takes (C, H, W), but {shape} enters",
                "check whether a batch axis was exported, or a Flatten stands too early",
            )
        sizes = [window(shape[1 + k], self.kernel[k], self.stride[k], self.pads[k]) for k in (0, 1)]
        if min(sizes) < 1:
            raise ShapeError(f"a window of {self.kernel} does not fit into {shape}")
        return (shape[0], *sizes)

    def stage(self, shape: Shape) -> Connection | None:
        """``SumPool2d`` or ``AvgPool2d`` on ``shape``."""
        kind = SumPool2d if self.kind == "SumPool2d" else AvgPool2d
        return kind((shape[0], shape[1], shape[2]), self.kernel, self.stride, self.pads)


@dataclass
class FlattenNode(Node):
    """Flatten; ``start`` and ``end`` count the axes of what enters, without a batch axis."""

    start: int = 1
    end: int = -1

    def gives(self, shape: Shape) -> Shape:
        """``shape`` with the axes from start to end joined."""
        start, end = self.axes(shape)
        return (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :])

    def axes(self, shape: Shape) -> Pair:
        """First and last axis to join, both counted from the front."""
        rank = len(shape)
        start = self.start + rank if self.start < 0 else self.start
        end = self.end + rank if self.end < 0 else self.end
        if not 0 <= start <= end < rank:
            raise ShapeError(
                f"axes {self.start} to {self.end} do not exist in {shape}",
                "axes count without the batch: an exporter that counts it writes one too many",
            )
        return start, end

    def stage(self, shape: Shape) -> Connection | None:
        """``Flatten``, or None when nothing changes."""
        if self.gives(shape) == shape:
            return None
        return Flatten(shape, self.start, self.end)


def _adapted(declared: Shape | None, shape: Shape) -> Shape | None:
    if declared is None or declared == shape or prod(declared) == 1:
        return shape
    if len(declared) == len(shape):
        fits = all(d in (1, n) for d, n in zip(declared, shape, strict=True))
        return shape if fits else None
    return shape if declared == (1, *shape) else None


def _spread(value: npt.NDArray[Any], shape: Shape) -> npt.NDArray[Any]:
    """``value`` folded, or of exactly ``shape``."""
    array = folded(value)
    if array.ndim == 0 or array.shape == shape:
        return array
    if array.size == prod(shape):
        return array.reshape(shape)
    return np.ascontiguousarray(np.broadcast_to(array, shape))


def _block_diagonal(blocks: Real) -> Sparse:
    count, rows, columns = blocks.shape
    starts = np.arange(count * columns + 1, dtype=np.int64) * rows
    owner = np.repeat(np.arange(count), columns * rows) * rows
    post = owner + np.tile(np.arange(rows), count * columns)
    weight = blocks.transpose(0, 2, 1).ravel()
    return Sparse(count * columns, count * rows, starts, post.astype(np.int32), weight)
