"""From the fields of a NIR node, as a file has them, to a checked node."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ....ir.connections import Shape
from ....ir.diagnostics import Diagnostics, Location
from ..hdf5 import Value
from .network import FileNode
from .nodes import (
    NEURONS,
    ConvNode,
    ElementNode,
    FlattenNode,
    MatrixNode,
    NeuronNode,
    Node,
    Pair,
    PoolNode,
    Port,
    Real,
)

_WIDEST = 1 << 20  # strides, paddings and the like beyond this are damage


def parsed(node: FileNode, dt: float, time_unit: float, found: Diagnostics) -> Node | None:
    """What ``node`` does. Delays become steps of ``dt`` seconds. None when it is incomplete.

    Errors are collected: E0104, E0105, E0106, E0107.
    """
    return _Parser(node, found).node(dt, time_unit)


class _Parser:
    def __init__(self, node: FileNode, found: Diagnostics) -> None:
        self.file, self.found, self.at = node, found, node.at
        self.common: tuple[str, str, Location, int] = (node.name, node.kind, node.at, node.depth)
        self.before = len(found.errors)

    def node(self, dt: float, time_unit: float) -> Node | None:
        file = self.file
        result: Node | None
        match file.kind:
            case "Input" | "Output":
                result = Port(*self.common, self._shape("shape"))
            case "Affine" | "Linear":
                result = self._matrix()
            case "Scale":
                scale = self._real("scale")
                result = None if scale is None else ElementNode(*self.common, scale.shape, scale)
            case "Delay":
                steps = self._steps(dt, time_unit)
                result = None if steps is None else ElementNode(*self.common, steps.shape, steps)
            case "Conv1d" | "Conv2d":
                result = self._conv()
            case "SumPool2d" | "AvgPool2d":
                result = self._pool()
            case "Flatten":
                shape = self._shape("input_type") if "input_type" in file.fields else None
                start, end = self._integer("start_dim", 1), self._integer("end_dim", -1)
                result = FlattenNode(*self.common, shape, start, end)
            case _:
                result = self._neuron()
        # A neuron goes on to the checks of its times, with the parameters that are there.
        sound = len(self.found.errors) == self.before or isinstance(result, NeuronNode)
        return result if sound else None

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
            self.found.add(
                "E0105", f"{name} is {_short(array.ravel())}, which is no shape", self.at
            )
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

    def _matrix(self) -> Node | None:
        weight = self._real("weight")
        if weight is None:
            return None
        if weight.ndim < 2:
            self.found.add("E0105", f"weight has shape {weight.shape}, expected (out, in)", self.at)
            return None
        outputs = prod(weight.shape[:-1])
        takes = (*weight.shape[:-2], weight.shape[-1])
        return MatrixNode(*self.common, takes, weight, self._offset(outputs))

    def _conv(self) -> Node | None:
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
            *self.common,
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

    def _pool(self) -> Node:
        kernel, stride = self._each("kernel_size", 2, 1), self._each("stride", 2, 1)
        pad = self._each("padding", 2, 0)
        return PoolNode(
            *self.common,
            None,
            (kernel[0], kernel[1]),
            (stride[0], stride[1]),
            ((pad[0], pad[0]), (pad[1], pad[1])),
        )

    def _neuron(self) -> Node | None:
        model = NEURONS[self.file.kind]
        parameters: dict[str, Real | None] = {}
        for name in model.parameters():
            if name == "v_init":  # a file has none
                continue
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
        return NeuronNode(*self.common, shape, parameters)


def _short(values: npt.NDArray[Any]) -> str:
    shown = ", ".join(f"{v:g}" for v in values[:4])
    return f"({shown}, ...)" if values.size > 4 else (shown if values.size == 1 else f"({shown})")
