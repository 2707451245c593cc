"""From the fields of a layer to numbers of Loihi: the neuron, the weights, where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np

from ....ir.connections import Connection, Conv2d, Dense, Flatten, Shape, chain
from ....ir.loihi import (
    BIAS_MANT_RANGE,
    DECAY_RANGE,
    DECAY_UNITY,
    DELAY_RANGE,
    STATE_SHIFT,
    THRESHOLD_RANGE,
    LoihiWeights,
)
from ....ir.neurons import LoihiLIF
from .file import MAX_UNROLLED, Fields, FileLayer, Ints
from .words import words

NEURONS: Final = ("CUBA", "LOIHI")
_WIDEST: Final = 1 << 20  # strides, paddings and the like beyond this are damage
_AXES: Final = 3  # of a convolution: (C, H, W)

# What a neuron of the file may have that Loihi's here has not, the values that ask for nothing,
# and what the field means.
_ABSENT: Final = {
    "refDelay": ((0, 1), "refractory steps"),
    "wgtExp": ((0,), "an exponent of its weights, which Lava-DL itself ignores"),
    "weight_exp": ((0,), "an exponent of its weights, which Lava-DL itself ignores"),
    "gradedSpike": ((0,), "graded spikes"),
    "messageBits": ((0,), "graded spikes"),
}
_OTHER_NEURONS: Final = {
    "SDNN": "sigma-delta",
    "ALIF": "adaptive threshold",
    "RF": "resonate and fire",
}


@dataclass(frozen=True)
class Weights:
    """What leads to a layer: a connection of words, and the shape of the neurons behind it."""

    connection: Connection
    words: LoihiWeights
    shape: Shape


def neuron(layer: FileLayer, shape: Shape, *, less: int | None = None) -> LoihiLIF | None:
    r"""The neuron of a layer of ``shape``; None where it is refused.

    .. math:: \mathrm{du} = \mathrm{iDecay} - 1,\quad \mathrm{dv} = \mathrm{vDecay},\quad
        \mathrm{vth} = \mathrm{vThMant},\quad \mathrm{bias} = 2^6\,\mathrm{bias}

    That of an input layer has ``less`` bias, and what arrives enters v past any synaptic current.

    Errors are collected: E0104 to E0107, E0136.
    """
    fields, found = layer.neuron, layer.fields.found
    if fields is None:
        found.add(
            "E0136",
            f"a layer '{layer.kind}' without a neuron: its sums are for the host to read",
            layer.at,
            "leave the layer out and read the spikes of the one before it",
        )
        return None
    before = len(found.errors)
    kind = fields.text("type") or NEURONS[0]  # the format's usual one
    if kind not in NEURONS:
        other = next((what for part, what in _OTHER_NEURONS.items() if part in kind), "unknown")
        found.add(
            "E0136",
            f"neurons of type '{kind}' ({other})",
            fields.at,
            f"known are {' and '.join(NEURONS)}",
        )
        return None
    for name, (harmless, what) in _ABSENT.items():
        values = fields.whole(name)
        if values is not None and not np.isin(values, harmless).all():
            found.add("E0136", f"{name} is {values.max()}: {what}", fields.at)
    du = _each(fields, "iDecay", shape, (1, DECAY_UNITY))
    dv = _each(fields, "vDecay", shape, DECAY_RANGE)
    vth = _each(fields, "vThMant", shape, THRESHOLD_RANGE)
    bias = np.zeros((), np.int64)
    if "bias" in layer.fields:
        given = _each(layer.fields, "bias", shape, BIAS_MANT_RANGE)
        bias = bias if given is None else given
    bias = np.asarray(bias - (less or 0))
    layer.fields.within("bias", bias, *BIAS_MANT_RANGE)
    if du is None or dv is None or vth is None or len(found.errors) > before:
        return None
    if less is not None and (du < DECAY_UNITY).any():
        found.add(
            "W0128",
            f"iDecay is {du.min()}: the trainer filtered the input by it; Lava-DL on Loihi gives "
            "the input as a bias, behind the synaptic current, and so does this",
            fields.at,
        )
        du = np.array(DECAY_UNITY)
    exponent = np.array(STATE_SHIFT if bias.any() else 0)
    return LoihiLIF(du - 1, dv, vth, bias, exponent)


def dense(layer: FileLayer, before: Shape | None) -> Weights | None:
    """A matrix, shape (out, in) or flat in that order; what enters is flattened in C order.

    Errors are collected: E0104 to E0107, E0113.
    """
    fields, found = layer.fields, layer.fields.found
    weight, shape = fields.required("weight"), fields.shape()
    if weight is None:
        return None
    rows = weight.shape[0] if shape is None else prod(shape)
    if weight.size % rows or (weight.ndim > 1 and prod(weight.shape[:1]) != rows):
        found.add("E0105", f"weight has shape {weight.shape}, the layer {rows} neurons", fields.at)
        return None
    columns = weight.size // rows
    enters = (columns,) if before is None else before
    if prod(enters) != columns:
        found.add("E0105", f"weight takes {columns} values, but {before} enters", fields.at)
        return None
    whole, form = words(weight.reshape(rows, columns), fields.at, found)
    flat = (Flatten(enters),) if len(enters) > 1 else ()
    return Weights(chain((*flat, Dense(whole)), enters), form, (rows,))


def conv(layer: FileLayer, before: Shape | None) -> Weights | None:
    """A convolution of (C, H, W) with a weight of (C_out, C_in / groups, Kh, Kw), or (..., 1).

    Errors are collected: E0104 to E0107, E0113.
    """
    fields, found = layer.fields, layer.fields.found
    count = len(found.errors)
    weight, groups = fields.required("weight"), fields.number("groups", 1)
    window = _window(fields)
    if weight is None or window is None or len(found.errors) > count:
        return None
    shape = _image(layer, before)
    kernel = _kernel(fields, weight)
    if shape is None or kernel is None:
        return None
    if groups < 1 or kernel.shape[0] % groups or kernel.shape[1] * groups != shape[0]:
        found.add(
            "E0105",
            f"weight {kernel.shape} in {groups} group(s) does not fit the {shape[0]} channels "
            "that enter",
            fields.at,
        )
        return None
    stride, padding, dilation = window
    sides = ((padding[0], padding[0]), (padding[1], padding[1]))
    return _convolution(layer, Conv2d(kernel, shape, stride, sides, dilation, groups))


def pool(layer: FileLayer, before: Shape | None) -> Weights | None:
    """A sum over windows times a weight, (1, 1, Kh, Kw[, 1]): a convolution of each channel alone.

    As in the trainer, H mod Kh rows and W mod Kw columns of zeros are added behind an image. The
    trainer stacks the channels on top of each other: E0136 where its windows would run across them.
    Errors are collected: E0104 to E0107, E0113, E0136.
    """
    fields, found = layer.fields, layer.fields.found
    count = len(found.errors)
    weight = fields.required("weight")
    window = _window(fields)
    if weight is None or window is None or len(found.errors) > count:
        return None
    shape = _image(layer, before)
    kernel = _kernel(fields, weight)
    if shape is None or kernel is None:
        return None
    if kernel.shape[:2] != (1, 1):
        found.add("E0105", f"weight has shape {weight.shape}, expected one window", fields.at)
        return None
    if not fields.fits(shape[0] * kernel.size, f"{shape[0]} windows", MAX_UNROLLED):
        return None
    stride, padding, dilation = window
    added = [shape[1 + k] % kernel.shape[2 + k] for k in (0, 1)]
    high = kernel.shape[2]
    if (shape[1] + added[0]) % high or (stride[0], padding[0], dilation[0]) != (high, 0, 1):
        found.add(
            "E0136",
            f"windows {high} high, with stride {stride[0]}, padding {padding[0]}, dilation "
            f"{dilation[0]}, over {shape[1] + added[0]} rows: in Lava-DL they run across channels",
            fields.at,
            "let rows be a multiple of the window, and the stride its height",
        )
        return None
    sides = ((0, added[0]), (padding[1], padding[1] + added[1]))
    every = np.repeat(kernel, shape[0], axis=0)
    return _convolution(layer, Conv2d(every, shape, stride, sides, dilation, shape[0]))


def delay(layer: FileLayer, shape: Shape) -> Ints | None:
    """Steps for which each neuron's spikes are held back, shape () or that of the layer.

    Beside the step of a connection: 0 to 63. One for all, or one a channel, or one a neuron.
    Errors are collected: E0104 to E0107.
    """
    if "delay" not in layer.fields:
        return None
    return _each(layer.fields, "delay", shape, (0, DELAY_RANGE[1] - DELAY_RANGE[0]))


def _each(fields: Fields, name: str, shape: Shape, limits: tuple[int, int]) -> Ints | None:
    """A parameter in its limits, of shape () or ``shape``: given once, by channel or by neuron."""
    values = fields.required(name)
    if values is None or not fields.within(name, values, *limits):
        return None
    if (values == values.flat[0]).all() and values.size in (1, shape[0], prod(shape)):
        return np.array(values.flat[0])
    if values.size == prod(shape):
        return values.reshape(shape)
    if values.size == shape[0]:
        return np.broadcast_to(values.reshape(-1, *(1,) * (len(shape) - 1)), shape)
    fields.found.add(
        "E0105", f"{name} has shape {values.shape}, the layer {shape}: one a channel?", fields.at
    )
    return None


_Pair = tuple[int, int]


def _window(fields: Fields) -> tuple[_Pair, _Pair, _Pair] | None:
    """Stride, padding and dilation; E0105, E0107."""
    read = [_pair(fields, name, low) for name, low in (("stride", 1), ("padding", 0))]
    stride, padding, dilation = *read, _pair(fields, "dilation", 1)
    if stride is None or padding is None or dilation is None:
        return None
    return stride, padding, dilation


def _pair(fields: Fields, name: str, low: int) -> _Pair | None:
    """Two numbers, (vertical, horizontal), or one for both; where absent, what changes nothing."""
    values = fields.whole(name) if name in fields else np.array(max(low, 0))
    if values is None or not fields.within(name, values, low, _WIDEST):
        return None
    if values.size not in (1, 2):
        fields.found.add("E0105", f"{name} has shape {values.shape}, expected (2,)", fields.at)
        return None
    first, last = int(values.flat[0]), int(values.flat[-1])
    return first, last


def _image(layer: FileLayer, before: Shape | None) -> tuple[int, int, int] | None:
    """The (C, H, W) that enters; E0105 where it is another shape or unknown."""
    if before is not None and len(before) == _AXES:
        return before[0], before[1], before[2]
    what = "nothing says which shape enters" if before is None else f"{before} enters"
    layer.fields.found.add(
        "E0105",
        f"{what}; a layer '{layer.kind}' takes (C, H, W)",
        layer.at,
        "give the file a layer 'input' with the shape" if before is None else None,
    )
    return None


def _kernel(fields: Fields, weight: Ints) -> Ints | None:
    """The weight with four axes; E0105."""
    sizes = fields.whole("kernelSize")
    if weight.ndim == 5 and weight.shape[4] == 1:  # the trainer's axis of time
        weight = weight[..., 0]
    if weight.ndim != 4:
        fields.found.add(
            "E0105", f"weight has shape {weight.shape}, expected (C_out, C_in, Kh, Kw)", fields.at
        )
        return None
    if sizes is not None and (sizes.size not in (1, 2) or (sizes != weight.shape[2:]).any()):
        fields.found.add(
            "E0105", f"kernelSize is {sizes}, but weight has shape {weight.shape}", fields.at
        )
        return None
    return weight


def _convolution(layer: FileLayer, real: Conv2d) -> Weights | None:
    """The convolution in words, its shape held against the declared one; E0105, E0113."""
    fields, found = layer.fields, layer.fields.found
    shape, declared = real.out_shape, fields.shape()
    if min(shape) < 1:
        found.add(
            "E0105",
            f"a window of {real.weight.shape[2:]} does not fit into {real.shape[1:]}",
            fields.at,
        )
        return None
    if not fields.fits(prod(shape), f"shape {shape}"):
        return None
    if declared is not None and declared != shape:
        found.add("E0105", f"shape is {declared}, but {shape} leaves the windows", fields.at)
        return None
    whole, form = words(real.weight, fields.at, found)
    made = Conv2d(whole, real.shape, real.stride, real.padding, real.dilation, real.groups)
    return Weights(made, form, shape)
