"""Sigma-delta networks for Loihi 2 out of feed-forward ReLU networks of real numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..ir.connections import Conv2d, Dense, OneToOne, Shape
from ..ir.diagnostics import fail
from ..ir.events import Events, Recording, Stimulus
from ..ir.graph import Graph, Input, Output, Population, Projection
from ..ir.loihi import DELTA_BIAS_RANGE, EXPONENT_RANGE, STATE_LIMIT, LoihiWeights, Sign
from ..ir.neurons import Activation, LoihiDelta, LoihiSigma, LoihiSigmaDelta
from ..ir.records import Record, frozen_array
from ..ir.verify import verify
from .connectivity import to_sparse

INPUT: Final = "frame"
OUTPUT: Final = "out"
Real = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_WORDS: Final = LoihiWeights(8, Sign.MIXED, 0)
_ONE: Final = LoihiWeights(8, Sign.EXCITATORY, 0)
_HEADROOM: Final = 2  # bits between a sum of the calibration and the 24 that there are
_BITS: Final = (2, 12)  # of activations: fewer say little, more leave the weights no room


@dataclass(frozen=True, eq=False)
class ReluLayer(Record):
    r""":math:`y = \max(W x + b, 0)`, or without ``relu`` :math:`W x + b`.

    ``bias`` has shape (), (post,) or, of a `Conv2d`, (C_out,).
    """

    connection: Dense | Conv2d
    bias: Real
    relu: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "bias", frozen_array(self.bias, np.float64))

    @property
    def biases(self) -> Real:
        """One for each neuron, (post,)."""
        size = int(np.prod(self.connection.out_shape))
        bias = self.bias
        if isinstance(self.connection, Conv2d) and bias.shape == self.connection.out_shape[:1]:
            bias = np.repeat(bias, size // bias.size)
        if bias.shape not in ((), (size,)):
            raise fail("E0207", f"a bias has shape {self.bias.shape}, expected ({size},)")
        return np.broadcast_to(bias, (size,))


@dataclass(frozen=True, eq=False)
class IntegerLayer(Record):
    r""":math:`y = \lfloor 2^{-\mathrm{shift}} f(W x + b) \rfloor` in whole numbers.

    ``connection`` has even weights of Loihi, ``bias`` (post,) 16 bits; f as in `ReluLayer`. One
    unit of y stands for ``unit``.
    """

    connection: Dense | Conv2d
    bias: Ints
    relu: bool
    shift: int
    unit: float

    def sums(self, values: Ints) -> Ints:
        """W x + b of x, (frames, pre) to (frames, post)."""
        return np.asarray(values @ to_sparse(self.connection) + self.bias, np.int64)

    def run(self, values: Ints) -> Ints:
        """y of x, (frames, pre) to (frames, post); E0401 where sums leave their words."""
        total = self.sums(values)
        if np.abs(total).max(initial=0) > STATE_LIMIT // 2:
            raise fail(
                "E0401",
                f"a sum reaches {np.abs(total).max()}; with the changes on their way {STATE_LIMIT} "
                "is what 24 bits hold",
                hint="calibrate with frames like these",
            )
        return (np.maximum(total, 0) if self.relu else total) >> self.shift


def real_network(layers: Sequence[ReluLayer], frames: npt.ArrayLike) -> Real:
    """What the real network makes of frames (frames, pre), shape (frames, outputs)."""
    values = np.asarray(frames, np.float64)
    for layer in layers:
        values = values @ to_sparse(layer.connection) + layer.biases
        values = np.maximum(values, 0.0) if layer.relu else values
    return np.asarray(values)


@dataclass(frozen=True, eq=False)
class SigmaDeltaNetwork(Record):
    r"""A network of sigma-delta neurons, and the one of frames that it follows.

    With :math:`y_0 = \mathrm{rint}(x / \mathrm{unit})` the frames of ``layers`` are
    :math:`y_l = \lfloor 2^{-k_l} f(W_l y_{l-1} + b_l) \rfloor`. Each layer is a `LoihiSigmaDelta`
    at a threshold of zero, and behind it, where :math:`k_l > 0`, a `LoihiSigma` and a `LoihiDelta`:
    a sum of changes that is shifted down drifts, a whole value does not.

    ``thresholds`` :math:`\theta_l` are those of the frames and of each layer but the last, in units
    of :math:`y_l`. What is decoded is off by :math:`r_l = \max(\theta_l - 1, 0)` at most, so that

    .. math::
        E_0 = r_0, \qquad
        E_l = \lceil 2^{-k_l} |W_l| E_{l-1} \rceil + r_l, \qquad
        E_L = |W_L| E_{L-1}.

    ``bound`` (outputs,) is :math:`E_L` in the unit of the output: how far the network can be from
    its frames. With thresholds of zero (or one) that is nothing.
    """

    graph: Graph
    layers: tuple[IntegerLayer, ...]
    thresholds: tuple[int, ...]
    unit: float
    bits: int
    latency: int
    bound: Real

    @property
    def shape(self) -> Shape:
        """Of a frame."""
        return self.graph.inputs[0].shape

    def values(self, frames: npt.ArrayLike) -> Ints:
        """y_0 of real frames, of any shape; what is beyond the range of calibration is clipped."""
        if not np.isfinite(frames).all():
            raise fail("E0703", "frames hold values that are no finite numbers")
        most = (1 << self.bits) - 1
        return np.clip(np.rint(np.asarray(frames, np.float64) / self.unit), -most, most).astype(
            np.int64
        )

    def stimulus(self, frames: npt.ArrayLike) -> Stimulus:
        """One frame a step, of (samples, steps, ...) in all; the last stands for ``latency`` more.

        So the output of each frame is there at the end.
        """
        values = self.values(frames)
        values = values.reshape(*values.shape[:2], -1)
        last = np.repeat(values[:, -1:], self.latency, axis=1)
        return Stimulus({INPUT: Events.from_dense(np.concatenate([values, last], axis=1))})

    def output(self, recording: Recording) -> Real:
        """The real output of each frame in a recording of `stimulus`: (samples, steps, outputs)."""
        events = recording.spikes[OUTPUT]
        dense = np.stack([events.dense(sample) for sample in range(events.samples)])
        return np.asarray(dense[:, self.latency :] * self.layers[-1].unit)

    def activities(self, frames: npt.ArrayLike) -> list[Ints]:
        """y of frames (frames, ...), of the frames themselves and of each layer, frame by frame.

        E0401 where frames are so unlike those of the calibration that sums leave 24 bits.
        """
        values = self.values(frames)
        found = [values.reshape(len(values), -1)]
        for layer in self.layers:
            found.append(layer.run(found[-1]))
        return found

    def frame_by_frame(self, frames: npt.ArrayLike) -> Real:
        """The real output of frames (frames, ...): what a threshold of zero gives, every bit."""
        return np.asarray(self.activities(frames)[-1] * self.layers[-1].unit)

    def frame_operations(self, frames: npt.ArrayLike) -> tuple[int, int]:
        """Synaptic operations of (frames, ...), each by itself: all, and those of values not zero.

        The second number is what hardware takes that passes over zeros, as a ReLU makes many.
        """
        every = active = 0
        for values, layer in zip(self.activities(frames)[:-1], self.layers, strict=True):
            fan_out = _fan_out(layer.connection)
            every += len(values) * int(fan_out.sum())
            active += int(np.count_nonzero(values, axis=0) @ fan_out)
        return every, active


def _fan_out(connection: Dense | Conv2d) -> Ints:
    """Synapses of each pre neuron, those of weight zero too."""
    ones = replace(connection, weight=np.ones(connection.weight.shape, np.int64))
    return np.diff(to_sparse(ones).indptr).astype(np.int64)


def sigma_delta(
    layers: Sequence[ReluLayer],
    calibration: npt.ArrayLike,
    *,
    bound: float = 0.0,
    bits: int = 8,
    thresholds: Sequence[int] | None = None,
    dt: float = 1e-3,
) -> SigmaDeltaNetwork:
    r"""A sigma-delta network of real layers, in whole numbers.

    It is off from those numbers frame by frame by ``bound`` at most, in the unit of the output;
    what rounding costs comes on top of that: see `SigmaDeltaNetwork.frame_by_frame`.

    ``calibration`` (frames, ...) are frames as they will come. The largest is ``bits`` bits, and so
    is the largest value of each layer but the last, whose shift :math:`k_l` is chosen so. Weights
    are as fine as 8 bits of Loihi, 16 of the bias, and 24 of a sum four times that of the
    calibration allow. Each encoder may cause the same error, the largest with which all together
    are proven to stay within ``bound``, and holds back half of the largest value at most; or
    ``thresholds`` are given, the frames' first.

    Raises E0707 for options without a meaning, E0203 and E0207 for shapes that do not fit.
    """
    _check(layers, bound, bits)
    frames = np.asarray(calibration, np.float64)
    if frames.ndim < 2 or not np.isfinite(frames).all() or not frames.any():
        raise fail("E0707", "calibration frames are finite numbers, (frames, ...), not all zero")
    frames = frames.reshape(len(frames), -1)
    pre = int(np.prod(layers[0].connection.in_shape))
    if frames.shape[1] != pre:
        raise fail("E0203", f"a frame has {frames.shape[1]} values, the first layer takes {pre}")
    unit = float(np.abs(frames).max()) / ((1 << bits) - 1)
    values = np.rint(frames / unit).astype(np.int64)
    peaks, made, finer = [int(np.abs(values).max())], [], unit
    for number, layer in enumerate(layers):
        own = _integers(layer, values, finer)
        values = own.run(values)
        peak = int(np.abs(values).max(initial=0))
        shift = 0 if number == len(layers) - 1 else max(peak.bit_length() - bits, 0)
        made.append(replace(own, shift=shift, unit=own.unit * 2.0**shift))
        values, finer = values >> shift, made[-1].unit
        peaks.append(max(peak >> shift, 1))
    if thresholds is None:
        thresholds = _thresholds(made, peaks[:-1], bound)
    elif len(thresholds) != len(made) or min(thresholds) < 0:
        raise fail("E0707", f"{len(made)} layers take as many thresholds, of 0 and more")
    chosen = tuple(int(t) for t in thresholds)
    graph, latency = _graph(made, chosen, layers[0].connection.in_shape, unit, dt)
    verify(graph)
    off = np.asarray(_error(made, chosen) * made[-1].unit, np.float64)
    return SigmaDeltaNetwork(graph, tuple(made), chosen, unit, bits, latency, off)


def _check(layers: Sequence[ReluLayer], bound: float, bits: int) -> None:
    low, high = _BITS
    if not layers:
        raise fail("E0707", "a network without layers")
    if not low <= bits <= high:
        raise fail("E0707", f"bits is {bits}; activations have {low} to {high}")
    if not (np.isfinite(bound) and bound >= 0):
        raise fail("E0707", f"bound is {bound:g}; an error is bounded by a number of 0 or more")
    for k, layer in enumerate(layers):
        if not (np.isfinite(layer.connection.weight).all() and np.isfinite(layer.bias).all()):
            raise fail("E0106", f"layer {k} has weights or biases that are not finite")
        if k and np.prod(layer.connection.in_shape) != np.prod(layers[k - 1].connection.out_shape):
            raise fail(
                "E0203",
                f"layer {k - 1} gives {layers[k - 1].connection.out_shape}, layer {k} takes "
                f"{layer.connection.in_shape}",
            )


def _integers(layer: ReluLayer, values: Ints, unit: float) -> IntegerLayer:
    """The layer in whole numbers, before its shift; ``values`` (frames, pre) calibrate it."""
    weight, bias = layer.connection.weight, layer.biases
    low, high = DELTA_BIAS_RANGE
    # The unit of a weight, the finest at which all fit their words.
    step = max(float(np.abs(weight).max(initial=0.0)) / _WORDS.high, 1e-300)
    step = max(step, float(np.abs(bias).max(initial=0.0)) / (unit * high))
    peak = np.abs(values @ to_sparse(layer.connection) * unit + bias).max(initial=0.0)
    step = max(step, float(peak) / (unit * (STATE_LIMIT >> _HEADROOM)))
    whole = np.clip(2 * np.rint(weight / (2 * step)), _WORDS.low, _WORDS.high)
    offset = np.clip(np.rint(bias / (unit * step)), low, high)
    if weight.any() and not whole.any():
        raise fail(
            "E0401",
            "all weights of a layer round to zero: its biases, or its sums, are too large for them",
            hint="a bias has 16 bits, in units of a weight times an input: scale the inputs up",
        )
    connection = replace(layer.connection, weight=whole.astype(np.int64))
    return IntegerLayer(connection, offset.astype(np.int64), layer.relu, 0, unit * step)


def _error(layers: Sequence[IntegerLayer], thresholds: Sequence[int]) -> Ints:
    """E_L of `SigmaDeltaNetwork`, (outputs,)."""
    pre = int(np.prod(layers[0].connection.in_shape))
    error = np.full(pre, max(thresholds[0] - 1, 0), np.int64)
    for layer, threshold in zip(layers, (*thresholds[1:], 0), strict=True):
        off = error @ abs(to_sparse(layer.connection))
        error = -(-off >> layer.shift) + max(threshold - 1, 0)
    return np.asarray(error, np.int64)


def _thresholds(
    layers: Sequence[IntegerLayer], peaks: Sequence[int], bound: float
) -> tuple[int, ...]:
    """Those at which each encoder causes the same error, and all of them ``bound`` at most."""

    def alone(k: int, r: int) -> float:
        held = [0] * len(layers)
        held[k] = r + 1
        return float(_error(layers, held).max()) * layers[-1].unit

    def of(share: float) -> tuple[int, ...]:
        # A threshold of r + 1 leaves an error of r; one of 0 and one of 1 do the same.
        held = [
            _largest(0, peak // 2, lambda r, k=k: alone(k, r) <= share * bound)  # type: ignore[misc]
            for k, peak in enumerate(peaks)
        ]
        return tuple(r + 1 if r else 0 for r in held)

    def within(part: int) -> bool:
        return float(_error(layers, of(part / 64)).max()) * layers[-1].unit <= bound

    # Errors add up at most, because rounding up does: an equal part of the bound is safe.
    return of(_largest(64 // len(layers), 64, within) / 64)


def _largest(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The largest number of a range for which something holds that holds below it, too."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def _graph(
    layers: Sequence[IntegerLayer], thresholds: Sequence[int], shape: Shape, unit: float, dt: float
) -> tuple[Graph, int]:
    """The populations of a network, each a step behind the one before, and their number."""
    populations: list[Population] = []
    projections: list[Projection] = []

    def add(name: str, shape: Shape, neuron: Any, connection: Any, words: LoihiWeights) -> None:
        pre = populations[-1].name if populations else INPUT
        populations.append(Population(name, shape, neuron))
        projections.append(Projection(f"{pre}-{name}", pre, name, connection, 1, words=words))

    def each(shape: Shape) -> OneToOne:
        return OneToOne(np.ones((), np.int64), (int(np.prod(shape)),))

    add("delta0", shape, LoihiDelta(thresholds[0], scale=unit), each(shape), _ONE)
    for k, layer in enumerate(layers, 1):
        final = k == len(layers)
        shape = layer.connection.out_shape
        scale = layer.unit * 2.0**-layer.shift
        # Behind a shift stands an encoder with the threshold.
        vth = 0 if final or layer.shift else thresholds[k]
        mode = Activation.RELU if layer.relu else Activation.UNIT
        bias = layer.bias.reshape(shape)
        neuron = LoihiSigmaDelta(vth, scale=scale, bias=bias, activation=mode)
        add(f"layer{k}", shape, neuron, layer.connection, _WORDS)
        left, hop = layer.shift, 0
        while left:
            down = min(left, -EXPONENT_RANGE[0])
            own = f"{k}" if not hop else f"{k}.{hop}"
            add(f"sigma{own}", shape, LoihiSigma(scale=scale), each(shape), _ONE)
            left, scale, hop = left - down, scale * 2.0**down, hop + 1
            encoder = LoihiDelta(0 if left else thresholds[k], scale=scale)
            add(f"delta{own}", shape, encoder, each(shape), replace(_ONE, exponent=-down))
    add(OUTPUT, shape, LoihiSigma(scale=layers[-1].unit), each(shape), _ONE)
    graph = Graph(
        "sigma_delta",
        dt,
        (Input(INPUT, populations[0].shape),),
        tuple(populations),
        tuple(projections),
        (Output("output", OUTPUT),),
    )
    return graph, len(populations)
