"""The semantics of a core, slowly and plainly: what every faster form is compared with.

Rounding goes through exact rationals, and nothing here shares code with the hardware.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from spikec.hdl.image import CoreImage
from spikec.hdl.shape import Overflow, Reset, Rounding


def round_exact(value: Fraction, rounding: Rounding) -> int:
    """The whole number a rounding mode picks."""
    low = math.floor(value)
    match rounding:
        case "floor":
            return low
        case "ceil":
            return math.ceil(value)
        case "toward_zero":
            return math.trunc(value)
        case "nearest_even":
            return round(value)
        case "nearest_away":
            magnitude = math.floor(abs(value) + Fraction(1, 2))
            return magnitude if value >= 0 else -magnitude


def fit(value: int, bits: int, overflow: Overflow) -> int:
    """A whole number in ``bits`` signed bits."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if overflow == "saturate":
        return min(max(value, low), high)
    return (value - low) % (1 << bits) + low


@dataclass(frozen=True)
class Swept:
    """One line of the trace."""

    index: int
    v: int
    u: int
    spike: bool


@dataclass
class Reference:
    """A core with an image, stepped by `tick`."""

    image: CoreImage
    step: int = 0
    event_words: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        shape = self.image.shape
        self.step = 0
        self.event_words = []
        self.v = [0] * shape.neurons
        self.u = [0] * shape.neurons
        self.refractory = [0] * shape.neurons
        self.acc = [[0] * shape.neurons for _ in range(shape.pages)]

    def words(self, source: int) -> int:
        return int(self.image.rows_count[source])

    def _add_row(self, source: int) -> None:
        image, shape = self.image, self.image.shape
        start = int(image.rows_start[source])
        for word in range(start, start + self.words(source)):
            page = (self.step + int(image.word_delay[word])) % shape.pages
            for lane in range(shape.lanes):
                neuron = int(image.word_target[word]) * shape.lanes + lane
                total = self.acc[page][neuron] + int(image.weights[word, lane])
                self.acc[page][neuron] = fit(total, shape.acc_bits, "wrap")

    def event(self, source: int) -> None:
        self.event_words.append(self.words(source))
        self._add_row(source)

    def tick(self) -> tuple[list[Swept], list[int], list[int], list[int]]:
        """Trace, neurons reported, words of each event and words of each spike."""
        image, shape = self.image, self.image.shape
        page = self.acc[self.step % shape.pages]
        trace: list[Swept] = []
        for n in range(image.active_neurons):
            spike = self._commit(n, page[n])
            trace.append(Swept(n, self.v[n], self.u[n], spike))
        # A word is cleared whole, with the lanes behind the last active neuron.
        groups = -(-image.active_neurons // shape.lanes)
        page[: groups * shape.lanes] = [0] * (groups * shape.lanes)

        fired = [line.index for line in trace if line.spike]
        emitted = [n for n in fired if image.class_emit[image.neuron_class[n]]]
        self.step = (self.step + 1) % (1 << shape.step_bits)
        for n in fired:
            self._add_row(shape.inputs + n)
        events, self.event_words = self.event_words, []
        return trace, emitted, events, [self.words(shape.inputs + n) for n in fired]

    def _commit(self, n: int, accumulated: int) -> bool:
        image, shape = self.image, self.image.shape
        c = int(image.neuron_class[n])
        start = int(image.class_start[c])
        if self.step < start:
            return False
        first = shape.first_bias and self.step == start
        bias = int(image.first_bias[n] if first else image.bias[n])
        drive = accumulated * 2 ** int(image.class_shift[c]) + bias

        if shape.cuba:
            old_u = self.u[n]
            decayed = Fraction(old_u * int(image.class_decay_u[c]), shape.decay_one)
            total = round_exact(decayed, shape.rounding) + drive
            self.u[n] = fit(total, shape.state_bits, shape.overflow)
            x = old_u if image.class_order_old[c] else self.u[n]
        else:
            x = drive

        if self.refractory[n] > 0:
            self.refractory[n] -= 1
            return False

        v, threshold = self.v[n], int(image.class_threshold[c])
        decayed = Fraction(v * int(image.class_decay_v[c]), shape.decay_one)
        w = fit(round_exact(decayed, shape.rounding) + x, shape.state_bits, shape.overflow)
        w = max(w, int(image.class_v_min[c]))
        reset = Reset(int(image.class_reset[c]))
        limit = threshold
        if reset is Reset.TWO_PHASE and v > threshold:
            limit += threshold
        spike = reset is not Reset.NONE and w > limit
        if not spike:
            self.v[n] = w
        elif reset is Reset.VALUE:
            self.v[n] = int(image.class_v_reset[c])
        else:
            self.v[n] = fit(w - threshold, shape.state_bits, shape.overflow)
        if spike:
            self.refractory[n] = int(image.class_refractory[c])
        return spike


def run(image: CoreImage, steps: Iterable[Iterable[int]]) -> list[tuple[list[Swept], list[int]]]:
    """Trace and reported spikes of each step."""
    core = Reference(image)
    recorded = []
    for events in steps:
        for source in events:
            core.event(source)
        trace, emitted, _, _ = core.tick()
        recorded.append((trace, emitted))
    return recorded
