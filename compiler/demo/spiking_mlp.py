r"""Trains a network of two layers of integrate-and-fire neurons with few-bit integer weights.

The forward pass is the integer rung itself: input spikes, whole weights, saturating membranes,
snnTorch's two-phase subtraction. The backward pass differentiates the rates instead of the spikes
(Meng et al., CVPR 2022, "differentiation on spike representation"): with x, h, o the spike counts
of input, hidden and output layer over T steps, W the integers and :math:`\theta` the thresholds,

.. math:: h/T \approx \mathrm{clip}(W_1 x / (\theta_1 T), 0, 1), \qquad
    o/T \approx W_2 h / (\theta_2 T),

and a softmax cross-entropy of :math:`\alpha o/T`. Rounding passes gradients on unchanged
(straight-through), so that training sees the rounding and the saturation it will meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Watch = Callable[[int, float], None]

_SIDE = 28
_FIELDS = 512  # elastic deformations in stock
_MOMENTS = 0.9, 0.999  # Adam's
_WARM_UP = 0.03  # share of all updates in which the learning rate rises
# A hidden rate a little outside [0, 1] still learns: uneven input lets it spike all the same.
_MARGIN = 0.05
# An output beyond its range keeps a tenth of its gradient.
_OUTPUT_RANGE, _OUTPUT_LEAK = (-0.25, 1.2), 0.1


@dataclass(frozen=True)
class Distortion:
    """How far a training image is changed: uniform within plus and minus each figure.

    ``rotation`` in degrees, ``shift`` in pixels, ``scale`` and ``shear`` as shares. ``elastic`` is
    the standard deviation in pixels of a displacement field smoothed by a Gaussian of ``smooth``
    pixels (Simard et al., ICDAR 2003).
    """

    rotation: float = 10.0
    shift: float = 2.0
    scale: float = 0.1
    shear: float = 0.1
    elastic: float = 1.0
    smooth: float = 4.0


@dataclass(frozen=True)
class Settings:
    """Everything the result depends on, beside the images.

    ``full`` is the sum of pixel values that makes one input spike (255 / ``full`` is the rate of a
    white pixel, in spikes a step). ``thresholds`` are in units of a weight. ``weight_bits`` of
    ``None`` trains real weights. Membranes saturate at ``state_bits``. ``sharpness`` is
    :math:`\\alpha`.
    """

    hidden: int = 128
    classes: int = 10
    steps: int = 25
    full: int = 340
    weight_bits: int | None = 6
    state_bits: int = 9
    thresholds: tuple[int, int] = (48, 64)
    epochs: int = 150
    batch: int = 100
    learning_rate: float = 3e-3
    sharpness: float = 20.0
    distortion: Distortion = Distortion()
    seed: int = 0

    @property
    def largest(self) -> int:
        """The largest weight; real weights have the range of six bits."""
        return (1 << ((self.weight_bits or 6) - 1)) - 1


@dataclass(frozen=True)
class Counts:
    """Spike counts of a run, (samples, lines) each."""

    input: Floats
    hidden: Floats
    output: Floats

    @classmethod
    def empty(cls, samples: int, lines: int, settings: Settings) -> Counts:
        """Room for the counts of ``samples`` images."""
        sizes = (lines, settings.hidden, settings.classes)
        return cls(*(np.zeros((samples, size), np.float32) for size in sizes))


@dataclass(frozen=True)
class Weights:
    """Trained weights (pre, post), whole numbers unless ``weight_bits`` was ``None``."""

    hidden: Floats
    output: Floats


def phases(lines: int, full: int) -> npt.NDArray[np.int32]:
    """What the counter of each line starts from: spread evenly, so that every step is as busy.

    Multiples of the golden ratio, modulo one, in units of 1/``full``.
    """
    spread = (np.arange(lines, dtype=np.int64) * 40503) % 65536
    return ((spread * full) >> 16).astype(np.int32)


def run(images: Pixels, weights: Weights, settings: Settings) -> Counts:
    """Spike counts of ``images`` (samples, lines) through the network."""
    samples, lines = images.shape
    counts = Counts.empty(samples, lines, settings)
    _run_into(images, weights, settings, counts, np.zeros((samples, settings.hidden), np.int8))
    return counts


def train(
    images: Pixels, labels: npt.NDArray[np.int64], settings: Settings, watch: Watch | None = None
) -> Weights:
    """Train on square ``images`` (samples, 784), every epoch distorted anew.

    ``watch`` is told after each epoch how many are done and the share of its images that were
    right. The same machine gives the same weights each time, on one thread as the caller arranges.
    """
    random = np.random.default_rng(settings.seed)
    lines = images.shape[1]
    sizes = ((lines, settings.hidden), (settings.hidden, settings.classes))
    # About a hundred lines are active in an image of the first layer.
    spreads = (0.06, float(np.sqrt(2.0 / settings.hidden)))
    layers = [
        _Layer(np.float32(s) * random.standard_normal(size, np.float32), threshold, settings)
        for size, s, threshold in zip(sizes, spreads, settings.thresholds, strict=True)
    ]
    fields = _elastic_fields(settings.distortion, random)
    counts = Counts.empty(settings.batch, lines, settings)
    gate = np.zeros((settings.batch, settings.hidden), np.int8)
    batches = len(images) // settings.batch
    schedule = _learning_rates(settings, batches * settings.epochs)
    for epoch in range(settings.epochs):
        order, right = random.permutation(len(images)), 0
        for picks in np.split(order[: batches * settings.batch], batches):
            seen = _distorted(images, picks, settings.distortion, fields, random)
            weights = Weights(*(layer.quantised() for layer in layers))
            _run_into(seen, weights, settings, counts, gate)
            right += int((counts.output.argmax(axis=1) == labels[picks]).sum())
            gradients = _gradients(counts, gate, labels[picks], weights, settings)
            rate = next(schedule)
            for layer, gradient in zip(layers, gradients, strict=True):
                layer.update(gradient, rate)
        if watch is not None:
            watch(epoch + 1, right / (batches * settings.batch))
    return Weights(*(layer.quantised() for layer in layers))


class _Layer:
    """Weights in units of the threshold, with Adam's moments."""

    def __init__(self, start: Floats, threshold: int, settings: Settings) -> None:
        self.values = start
        self.first, self.second = np.zeros_like(start), np.zeros_like(start)
        self.threshold, self.largest = np.float32(threshold), np.float32(settings.largest)
        self.whole = settings.weight_bits is not None
        self.updates = 0

    def quantised(self) -> Floats:
        """The weights as the forward pass uses them, in their own unit."""
        scaled = np.clip(self.values * self.threshold, -self.largest, self.largest)
        return np.rint(scaled) if self.whole else scaled

    def update(self, gradient: Floats, rate: float) -> None:
        """One step of Adam; weights stay in the range of their format."""
        self.updates += 1
        slow, slower = _MOMENTS
        self.first += np.float32(1 - slow) * (gradient - self.first)
        self.second += np.float32(1 - slower) * (gradient * gradient - self.second)
        mean = self.first / np.float32(1 - slow**self.updates)
        power = self.second / np.float32(1 - slower**self.updates)
        self.values -= np.float32(rate) * mean / (np.sqrt(power) + np.float32(1e-8))
        bound = self.largest / self.threshold
        np.clip(self.values, -bound, bound, out=self.values)


def _learning_rates(settings: Settings, total: int) -> Iterator[float]:
    """A linear rise, then half a cosine down to zero."""
    for k in range(1, total + 1):
        rise = min(1.0, k / (_WARM_UP * total))
        yield settings.learning_rate * rise * 0.5 * (1.0 + float(np.cos(np.pi * k / total)))


def _gradients(
    counts: Counts,
    gate: npt.NDArray[np.int8],
    labels: npt.NDArray[np.int64],
    weights: Weights,
    settings: Settings,
) -> tuple[Floats, Floats]:
    """Gradients of the mean cross-entropy by the weights in units of the threshold."""
    steps, sharpness = np.float32(settings.steps), np.float32(settings.sharpness)
    score = counts.output * (sharpness / steps)
    share = np.exp(score - score.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    share[np.arange(labels.size), labels] -= 1.0
    hidden = counts.hidden / steps
    out = np.float32(settings.thresholds[1])
    drive = hidden @ weights.output / out
    low, high = _OUTPUT_RANGE
    by_output = share * (sharpness / np.float32(labels.size))
    by_output *= np.where((drive < low) | (drive > high), np.float32(_OUTPUT_LEAK), np.float32(1))
    by_hidden = (by_output @ weights.output.T) / out * gate
    return (counts.input / steps).T @ by_hidden, hidden.T @ by_output


def _run_into(
    images: Pixels,
    weights: Weights,
    settings: Settings,
    counts: Counts,
    gate: npt.NDArray[np.int8],
) -> None:
    top = (1 << (settings.state_bits - 1)) - 1
    start = phases(images.shape[1], settings.full)
    limits = np.array([*settings.thresholds, -top - 1, top], np.float32)
    _run(
        images,
        start,
        settings.full,
        settings.steps,
        weights.hidden,
        weights.output,
        limits,
        np.float32(_MARGIN),
        counts.input,
        counts.hidden,
        counts.output,
        gate,
    )


@numba.njit(cache=True)
def _spike(v: Any, n: Any, drive: Any, threshold: Any, low: Any, high: Any) -> Any:
    """One step of neuron n (``ir.semantics``, two_phase); whether it spikes."""
    w = min(max(v[n] + drive, low), high)
    spike = w > (threshold + threshold if v[n] > threshold else threshold)
    v[n] = w - threshold if spike else w
    return spike


@numba.njit(cache=True)
def _run(
    images: Any,
    start: Any,
    full: Any,
    steps: Any,
    w1: Any,
    w2: Any,
    limits: Any,
    margin: Any,
    x: Any,
    h: Any,
    o: Any,
    gate: Any,
) -> None:
    """Spike counts ``x``, ``h``, ``o``, and which hidden rates pass a gradient.

    In float32, in which sums of whole weights are exact.
    """
    threshold_1, threshold_2, low, high = limits[0], limits[1], limits[2], limits[3]
    lines, hidden = w1.shape
    classes = w2.shape[1]
    counter = np.zeros(lines, np.int32)
    active = np.zeros(lines, np.int32)
    v1, v2 = np.zeros(hidden, np.float32), np.zeros(classes, np.float32)
    drive_1, drive_2 = np.zeros(hidden, np.float32), np.zeros(classes, np.float32)
    total = np.zeros(hidden, np.float32)
    for b in range(images.shape[0]):
        count = 0
        for i in range(lines):
            if images[b, i] > 0:
                active[count] = i
                counter[i] = start[i]
                count += 1
        x[b], h[b], o[b] = 0, 0, 0
        v1[:], v2[:], total[:] = 0, 0, 0
        for _ in range(steps):
            drive_1[:], drive_2[:] = 0, 0
            for k in range(count):
                i = active[k]
                counter[i] += images[b, i]
                if counter[i] >= full:
                    counter[i] -= full
                    x[b, i] += 1
                    for j in range(hidden):
                        drive_1[j] += w1[i, j]
            for j in range(hidden):
                total[j] += drive_1[j]
                if _spike(v1, j, drive_1[j], threshold_1, low, high):
                    h[b, j] += 1
                    for c in range(classes):
                        drive_2[c] += w2[j, c]
            for c in range(classes):
                if _spike(v2, c, drive_2[c], threshold_2, low, high):
                    o[b, c] += 1
        for j in range(hidden):
            rate = total[j] / (steps * threshold_1)
            gate[b, j] = -margin < rate < 1 + margin


# -- distortions -----------------------------------------------------------------------------


def _elastic_fields(distortion: Distortion, random: np.random.Generator) -> Floats:
    """Displacements in pixels, (fields, 2, 28, 28)."""
    fields = np.empty((_FIELDS, 2, _SIDE, _SIDE), np.float32)
    for field in fields.reshape(-1, _SIDE, _SIDE):
        noise = random.uniform(-1.0, 1.0, (_SIDE, _SIDE))
        smooth = gaussian_filter(noise, distortion.smooth, mode="constant")
        field[:] = distortion.elastic * smooth / smooth.std()
    return fields


def _distorted(
    images: Pixels,
    picks: npt.NDArray[np.int64],
    distortion: Distortion,
    fields: Floats,
    random: np.random.Generator,
) -> Pixels:
    """The picked images, each under an affine map and an elastic field of its own."""
    size = picks.size
    angle = np.deg2rad(random.uniform(-distortion.rotation, distortion.rotation, size))
    scale = 1.0 / random.uniform(1.0 - distortion.scale, 1.0 + distortion.scale, (2, size))
    shear = random.uniform(-distortion.shear, distortion.shear, size)
    shift = random.uniform(-distortion.shift, distortion.shift, (2, size))
    cos, sin = np.cos(angle), np.sin(angle)
    rows = (cos * scale[0], -sin * scale[1])
    columns = ((sin + shear * cos) * scale[0], (cos - shear * sin) * scale[1])
    maps = np.stack([*rows, *columns, *shift], axis=1).astype(np.float32)
    out = np.empty((size, images.shape[1]), np.uint8)
    _warp(images, picks, maps, fields, random.integers(0, len(fields), size), out)
    return out


@numba.njit(cache=True)
def _warp(images: Any, picks: Any, maps: Any, fields: Any, chosen: Any, out: Any) -> None:
    """Bilinear sampling; outside the image is black."""
    side = fields.shape[2]
    middle = np.float32((side - 1) / 2)
    one = np.float32(1)
    for b in range(picks.size):
        image, field, m = images[picks[b]], fields[chosen[b]], maps[b]
        for r in range(side):
            for c in range(side):
                y, x = np.float32(r) - middle, np.float32(c) - middle
                row = m[0] * y + m[1] * x + m[4] + middle + field[0, r, c]
                column = m[2] * y + m[3] * x + m[5] + middle + field[1, r, c]
                top, left = int(np.floor(row)), int(np.floor(column))
                below, right = row - np.float32(top), column - np.float32(left)
                value = np.float32(0)
                for dy in range(2):
                    for dx in range(2):
                        at_y, at_x = top + dy, left + dx
                        if 0 <= at_y < side and 0 <= at_x < side:
                            weight = (below if dy else one - below) * (right if dx else one - right)
                            value += weight * np.float32(image[at_y * side + at_x])
                out[b, r * side + c] = np.uint8(value + np.float32(0.5))
