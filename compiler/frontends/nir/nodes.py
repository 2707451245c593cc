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
from ....ir.diagnostics import Diagnostics, Location
from ....ir.neurons import IF, LI, LIF, CubaLI, CubaLIF, Integrator, Neuron, Threshold
from .container import Value
from .network import FileNode

Real = npt.NDArray[np.float64]
Pair = tuple[int, int]

_WIDEST = 1 << 20  # strides, paddings and the like beyond this are damage
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
        return True

    def accepts(self, shape: Shape) -> bool:
        return True


@dataclass
class NeuronNode(Node):
    """A population; ``parameters`` by their names in the model."""

    parameters: dict[str, Real | None] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        return self.declared is None or prod(self.declared) == 1

    def accepts(self, shape: Shape) -> bool:
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
        return self.declared is None or prod(self.declared) == 1

    def accepts(self, shape: Shape) -> bool:
        return self.open or self.declared == shape

    def adapted(self, shape: Shape) -> Shape | None:
        """The shape it works on when ``shape`` enters, if the values can be read so."""
        return _adapted(self.declared, shape)

    def stage(self, shape: Shape) -> Connection | None:
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
        return (*self.weight.shape[:-2], self.weight.shape[-2])

    def stage(self, shape: Shape) -> Connection | None:
        if self.weight.ndim == 2:
            return Dense(self.weight)
        rows, columns = self.weight.shape[-2:]
        blocks = self.weight.reshape(-1, rows, columns)
        if rows == columns and (blocks == np.eye(rows)).all():
            return None
        return _block_diagonal(blocks)

    def bias(self, shape: Shape) -> Real | None:
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
        if len(shape) != self.weight.ndim - 1 or shape[0] != self.channels:
            return False
        return self.spatial is None or self.spatial == shape[1:]

    def gives(self, shape: Shape) -> Shape:
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
        return len(shape) == 3

    def gives(self, shape: Shape) -> Shape:
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
        kind = SumPool2d if self.kind == "SumPool2d" else AvgPool2d
        return kind((shape[0], shape[1], shape[2]), self.kernel, self.stride, self.pads)


@dataclass
class FlattenNode(Node):
    """Flatten; ``start`` and ``end`` count the axes of what enters, without a batch axis."""

    start: int = 1
    end: int = -1

    def gives(self, shape: Shape) -> Shape:
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
        if self.gives(shape) == shape:
            return None
        return Flatten(shape, self.start, self.end)


def parsed(node: FileNode, dt: float, time_unit: float, found: Diagnostics) -> Node | None:
    """What ``node`` does. Delays become steps of ``dt`` seconds. None when it is incomplete.

    Errors are collected: E0104, E0105, E0106, E0107.
    """
    return _Parser(node, found).node(dt, time_unit)


class _Parser:
    def __init__(self, node: FileNode, found: Diagnostics) -> None:
        self.file, self.found, self.at = node, found, node.at
        self.before = len(found.errors)

    def node(self, dt: float, time_unit: float) -> Node | None:
        file = self.file
        common = (file.name, file.kind, file.at, file.depth)
        result: Node | None
        match file.kind:
            case "Input" | "Output":
                result = Port(*common, self._shape("shape"))
            case "Affine" | "Linear":
                result = self._matrix(common)
            case "Scale":
                scale = self._real("scale")
                result = None if scale is None else ElementNode(*common, scale.shape, scale)
            case "Delay":
                steps = self._steps(dt, time_unit)
                result = None if steps is None else ElementNode(*common, steps.shape, steps)
            case "Conv1d" | "Conv2d":
                result = self._conv(common)
            case "SumPool2d" | "AvgPool2d":
                result = self._pool(common)
            case "Flatten":
                shape = self._shape("input_type") if "input_type" in file.fields else None
                start, end = self._integer("start_dim", 1), self._integer("end_dim", -1)
                result = FlattenNode(*common, shape, start, end)
            case _:
                result = self._neuron(common)
        return result if len(self.found.errors) == self.before else None

    # -- one field at a time -----------------------------------------------------------------

    def _value(self, name: str) -> Value | None:
        return self.file.fields.get(name)

    def _real(self, name: str) -> Real | None:
        value = self._value(name)
        if value is None:
            return None
        if isinstance(value, str):
            self.found.add("E0104", f"field '{name}' is the text {value!r}, not a number", self.at)
            return None
        array = np.asarray(value, np.float64)
        if array.size == 0:
            self.found.add("E0105", f"{name} is empty, shape {array.shape}", self.at)
            return None
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            first = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
            where = f", first at {first}" if first else ""
            self.found.add(
                "E0106", f"{name} holds {bad} value(s) of {array.size} not finite{where}", self.at
            )
            return None
        return array

    def _integers(self, name: str, low: int) -> tuple[int, ...] | None:
        array = self._real(name)
        if array is None:
            return None
        flat = array.ravel()
        if (flat != np.rint(flat)).any() or (flat < low).any() or (np.abs(flat) > _WIDEST).any():
            self.found.add(
                "E0107",
                f"{name} is {_short(flat)}; it takes whole numbers of {low} and more",
                self.at,
            )
            return None
        return tuple(int(v) for v in flat)

    def _integer(self, name: str, default: int) -> int:
        values = self._integers(name, -32)
        return values[0] if values else default

    def _each(self, name: str, axes: int, low: int) -> tuple[int, ...]:
        """One integer an axis; a single one serves all."""
        values = self._integers(name, low)
        if values is None:
            return (max(low, 1),) * axes
        if len(values) not in (1, axes):
            self.found.add(
                "E0105", f"{name} has {len(values)} entries, {self.file.kind} {axes} axes", self.at
            )
            return (max(low, 1),) * axes
        return values * axes if len(values) == 1 else values

    def _shape(self, name: str) -> Shape | None:
        value = self._value(name)
        if isinstance(value, np.ndarray) and value.size == 0:
            return ()
        array = self._real(name)
        if array is None:
            return None
        if (array != np.rint(array)).any() or (array < 1).any():
            self.found.add("E0105", f"{name} is {_short(array.ravel())}, which is no shape", self.at)
            return None
        return tuple(int(n) for n in array.ravel())

    def _steps(self, dt: float, time_unit: float) -> npt.NDArray[np.int64] | None:
        delay = self._real("delay")
        if delay is None:
            return None
        if (delay < 0).any():
            self.found.add("E0107", f"delay is {delay.min():g}; it must not be negative", self.at)
            return None
        exact = delay * (time_unit / dt)
        if (exact > np.iinfo(np.int32).max).any():
            self.found.add(
                "E0108",
                f"a delay of {exact.max():.3g} steps; the unit of time is probably wrong",
                self.at,
                "give --time-unit ms if the file counts milliseconds",
            )
            return None
        steps = np.rint(exact)
        error = float(np.abs(exact - steps).max())
        # Relative to a step, with room for the rounding of a float32 file.
        if error > max(1e-6, 2e-7 * float(exact.max())):
            self.found.add(
                "W0132",
                f"delays up to {exact.max():.6g} steps were rounded by up to {error:.3g} step",
                self.at,
                "choose a dt that divides the delays",
            )
        return steps.astype(np.int64)

    # -- one kind at a time --------------------------------------------------------------------

    def _offset(self, outputs: int) -> Real | None:
        """The bias of a node with ``outputs`` (Affine: outputs, Conv: channels)."""
        value = self._value("bias")
        if value is None or (
            isinstance(value, np.ndarray) and value.dtype.kind == "b" and not value.any()
        ):
            if self.file.kind != "Linear":
                said = "absent" if value is None else "False"
                self.found.add("W0126", f"bias is {said}; it was read as zero", self.at)
            return None
        bias = self._real("bias")
        if bias is None:
            return None
        if self.file.kind == "Linear":
            self.found.add("W0128", "a Linear node with a bias; it was read as Affine", self.at)
        if bias.size == outputs and bias.shape[-1:] != (outputs,) and bias.ndim < 2:
            return bias
        if bias.size == outputs:
            if bias.ndim > 1 and bias.shape[0] == 1 and bias.shape != (outputs,):
                self.found.add(
                    "W0120", f"bias of shape {bias.shape} was read as ({outputs},)", self.at
                )
            return bias
        if bias.size == 1:
            self.found.add("W0120", f"one bias was read for all {outputs} outputs", self.at)
            return bias
        self.found.add(
            "E0105",
            f"bias has shape {bias.shape}, the node {outputs} outputs",
            self.at,
            "one bias an output (Affine) or a channel (Conv)",
        )
        return None

    def _matrix(self, common: tuple[Any, ...]) -> Node | None:
        weight = self._real("weight")
        if weight is None:
            return None
        if weight.ndim < 2:
            self.found.add(
                "E0105", f"weight has shape {weight.shape}, expected (out, in)", self.at
            )
            return None
        outputs = prod(weight.shape[:-1])
        takes = (*weight.shape[:-2], weight.shape[-1])
        return MatrixNode(*common, takes, weight, self._offset(outputs))

    def _conv(self, common: tuple[Any, ...]) -> Node | None:
        axes = 1 if self.file.kind == "Conv1d" else 2
        weight = self._real("weight")
        if weight is None:
            return None
        if weight.ndim != axes + 2:
            self.found.add(
                "E0105",
                f"weight has shape {weight.shape}, expected {axes + 2} axes",
                self.at,
                "(C_out, C_in/groups, kernel...)",
            )
            return None
        stride, dilation = self._each("stride", axes, 1), self._each("dilation", axes, 1)
        groups = self._each("groups", 1, 1)[0]
        pads: tuple[Pair, ...] | None
        padding = self._value("padding")
        if isinstance(padding, str):
            pads = self._named_padding(padding, axes, stride)
        else:
            pads = tuple((p, p) for p in self._each("padding", axes, 0))
        if weight.shape[0] % groups:
            self.found.add(
                "E0107", f"{groups} groups do not divide {weight.shape[0]} channels", self.at
            )
        node = ConvNode(
            *common,
            None,
            weight,
            self._offset(weight.shape[0]),
            None,
            stride,
            pads,
            dilation,
            groups,
        )
        node.spatial = self._spatial(axes, node.channels)
        if node.spatial is not None:
            node.declared = (node.channels, *node.spatial)
        return node

    def _named_padding(
        self, padding: str, axes: int, stride: tuple[int, ...]
    ) -> tuple[Pair, ...] | None:
        if padding == "valid":
            return ((0, 0),) * axes
        if padding != "same":
            self.found.add(
                "E0107", f"padding is {padding!r}; it takes 'same', 'valid' or numbers", self.at
            )
        elif any(s != 1 for s in stride):
            self.found.add(
                "E0107",
                f"padding 'same' with a stride of {stride} has no meaning",
                self.at,
                "give the padding in numbers",
            )
        return None

    def _spatial(self, axes: int, channels: int) -> Shape | None:
        if "input_shape" not in self.file.fields:
            return None
        shape = self._shape("input_shape")
        if shape is None or len(shape) == axes:
            return shape
        if len(shape) == axes + 1 and shape[0] == channels:
            self.found.add(
                "W0120", f"input_shape {shape} includes the channels; read as {shape[1:]}", self.at
            )
            return shape[1:]
        self.found.add(
            "E0105", f"input_shape is {shape}, expected {axes} axes without channels", self.at
        )
        return None

    def _pool(self, common: tuple[Any, ...]) -> Node:
        kernel, stride = self._each("kernel_size", 2, 1), self._each("stride", 2, 1)
        pad = self._each("padding", 2, 0)
        return PoolNode(
            *common,
            None,
            (kernel[0], kernel[1]),
            (stride[0], stride[1]),
            ((pad[0], pad[0]), (pad[1], pad[1])),
        )

    def _neuron(self, common: tuple[Any, ...]) -> Node | None:
        model = NEURONS[self.file.kind]
        parameters: dict[str, Real | None] = {}
        for name in model.parameters():
            stored = "threshold" if self.file.kind == "Threshold" else name
            value = self._real(stored)
            if value is None and name == "w_in":
                value = np.array(1.0)  # its default since nir 0.2, absent before
            parameters[name] = value
        shape: Shape = ()
        owner = ""
        for name, value in parameters.items():
            if value is None:
                continue
            try:
                joint = np.broadcast_shapes(shape, value.shape)
            except ValueError:
                joint = (0,)
            # A shape that neither of the two had would be a guess.
            if joint not in (shape, value.shape):
                self.found.add(
                    "E0105",
                    f"{owner} has shape {shape}, {name} has shape {value.shape}",
                    self.at,
                    "all parameters of a node have the shape of its population",
                )
                return None
            if joint != shape or not owner:
                shape, owner = joint, name
        for name, value in parameters.items():
            if value is not None and value.shape != shape and name in self.file.fields:
                self.found.add(
                    "W0120", f"{name} of shape {value.shape} was read for {shape}", self.at
                )
        return NeuronNode(*common, shape, parameters)


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


def _short(values: npt.NDArray[Any]) -> str:
    shown = ", ".join(f"{v:g}" for v in values[:4])
    return f"({shown}, ...)" if values.size > 4 else (shown if values.size == 1 else f"({shown})")
