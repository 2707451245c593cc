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
    h: int = 0


@dataclass
class Reference:
    """A core with an image, stepped by `tick`.

    ``reach`` has the least and the largest number of each kind that a run makes, before it is
    fitted into anything: ``acc``, ``u``, ``v``, ``left`` of v by a reset that subtracts, ``raised``
    threshold offsets; of a recovery also what v adds to its decay (``bent``), the decay that this
    makes (``factor``) and what it leaves of v (``kept``), what u tends to (``goal``) and moves by
    (``part``), and what a spike makes of it (``jumped``).
    """

    image: CoreImage
    step: int = 0
    reach: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clear()

    def _note(self, name: str, value: int) -> int:
        low, high = self.reach.get(name, (value, value))
        self.reach[name] = min(low, value), max(high, value)
        return value

    def clear(self) -> None:
        shape = self.image.shape
        self.step = self.age = 0
        self.h = [0] * shape.neurons
        self.v = [0] * shape.neurons
        self.u = [0] * shape.neurons
        self.refractory = [0] * shape.neurons
        self.acc = [[0] * shape.neurons for _ in range(shape.pages)]

    def runs(self, source: int) -> list[tuple[int, int, int, int]]:
        """(first word, words, first group, steps) of each run of a source; by word 0 and 0."""
        image = self.image
        start, count = int(image.rows_start[source]), int(image.rows_count[source])
        target, delay = int(image.rows_target[source]), int(image.rows_delay[source])
        if not image.shape.segments:
            return [(start, count, target, delay)]
        return [
            (
                int(image.segment_start[k]),
                int(image.segment_count[k]),
                int(image.segment_target[k]) + target,
                int(image.segment_delay[k]),
            )
            for k in range(start, start + count)
        ]

    def words(self, source: int) -> list[int]:
        """Words of each run of a source."""
        return [count for _, count, _, _ in self.runs(source)]

    def _add_row(self, source: int) -> None:
        image, shape = self.image, self.image.shape
        for start, count, target, delay in self.runs(source):
            for k in range(count):
                for lane in range(shape.lanes):
                    if shape.addressing == "row":
                        group, steps = target + k, delay
                    else:
                        group = int(image.word_target[start + k, lane])
                        steps = int(image.word_delay[start + k, lane])
                    page = (self.step + steps) % shape.pages
                    neuron = group * shape.lanes + lane
                    total = self.acc[page][neuron] + int(image.weights[start + k, lane])
                    self.acc[page][neuron] = fit(self._note("acc", total), shape.acc_bits, "wrap")

    def event(self, source: int) -> None:
        self._add_row(source)

    def tick(self) -> tuple[list[Swept], list[int], list[int]]:
        """Every neuron, neurons reported and neurons that spiked."""
        image, shape = self.image, self.image.shape
        page = self.acc[self.step % shape.pages]
        trace: list[Swept] = []
        for n in range(shape.neurons):
            spike = self._commit(n, page[n])
            self._adapt(n, spike)
            trace.append(Swept(n, self.v[n], self.u[n], spike, self.h[n]))
        page[:] = [0] * shape.neurons
        fired = [line.index for line in trace if line.spike]
        emitted = [n for n in fired if image.class_emit[image.neuron_class[n // shape.units]]]
        self.step = (self.step + 1) % (1 << shape.step_bits)
        self.age += 1
        if shape.recurrent:
            for n in fired:
                self._add_row(shape.inputs + n)
        return trace, emitted, fired

    def _fit(self, name: str, total: int) -> int:
        shape = self.image.shape
        return fit(self._note(name, total), shape.state_bits, shape.overflow)

    def _adapt(self, n: int, spike: bool) -> None:
        image, shape = self.image, self.image.shape
        c = int(image.neuron_class[n // shape.units])
        if shape.timers is None or self.step < int(image.class_start[c]):
            return
        if spike:
            raised = self._note("raised", self.h[n] + int(image.class_adapt_inc[c]))
            self.h[n] = min(raised, shape.state_max)
        if shape.timers:
            period = shape.timers[int(image.class_adapt_timer[c])]
            if self.age % period == int(image.class_adapt_phase[c]):
                self.h[n] -= math.ceil(Fraction(self.h[n], 2 ** int(image.class_adapt_shift[c])))

    def _commit(self, n: int, accumulated: int) -> bool:
        image, shape = self.image, self.image.shape
        c = int(image.neuron_class[n // shape.units])
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
            self.u[n] = self._fit("u", total)
            x = old_u if image.class_order_old[c] else self.u[n]
        else:
            x = drive
        if shape.quadratic:
            return self._recover(n, c, drive)

        if self.refractory[n] > 0:
            self.refractory[n] -= 1
            return False

        v, threshold = self.v[n], int(image.class_threshold[c])
        y = round_exact(Fraction(v * int(image.class_decay_v[c]), shape.decay_one), shape.rounding)
        if leak := int(image.class_leak[c]):
            goal = int(image.class_v_leak[c])
            y = max(v - leak, goal) if v > goal else min(v + leak, goal)
        w = self._fit("v", y + x)
        w = max(w, int(image.class_v_min[c]))
        reset = Reset(int(image.class_reset[c]))
        limit = threshold
        if reset is not Reset.TWO_PHASE:
            limit += self.h[n]
        elif v > threshold:
            limit += int(image.class_v_reset[c])
        spike = reset is not Reset.NONE and w > limit
        if not spike:
            self.v[n] = w
        elif reset is Reset.VALUE:
            self.v[n] = int(image.class_v_reset[c])
        else:
            self.v[n] = self._fit("left", w - int(image.class_v_reset[c]))
        if spike:
            self.refractory[n] = int(image.class_refractory[c])
        return spike

    def _recover(self, n: int, c: int, drive: int) -> bool:
        """A neuron of a core whose membranes may have a recovery."""
        image, shape = self.image, self.image.shape

        def number(name: str) -> int:
            return int(getattr(image, f"class_{name}")[c])

        def product(value: int, factor: int, bits: int) -> int:
            return round_exact(Fraction(value * factor, 2**bits), shape.rounding)

        v, u, threshold = self.v[n], self.u[n], number("threshold")
        goal = self._note("goal", product(v, number("couple"), shape.decay_bits))
        part = self._note("part", product(goal - u, number("rate"), shape.decay_bits + 4))
        self.u[n] = self._fit("u", u + part)
        if self.refractory[n] > 0:
            self.refractory[n] -= 1
            return False
        w = v
        for _ in range(1 + number("again")):
            bent = self._note("bent", product(w, number("curve"), shape.state_bits))
            factor = self._note("factor", number("decay_v") + bent)
            kept = self._note("kept", product(w, factor, shape.decay_bits))
            w = self._fit("v", kept + drive - u)
        w = max(w, number("v_min"))
        reset, amount = Reset(number("reset")), number("v_reset")
        limit = threshold + (
            self.h[n] if reset is not Reset.TWO_PHASE else amount * (v > threshold)
        )
        if reset is Reset.NONE or w <= limit:
            self.v[n] = w
            return False
        self.v[n] = amount if reset is Reset.VALUE else self._fit("left", w - amount)
        self.u[n] = self._fit("jumped", self.u[n] + number("jump"))
        self.refractory[n] = number("refractory")
        return True


def run(image: CoreImage, steps: Iterable[Iterable[int]]) -> list[tuple[list[Swept], list[int]]]:
    """Trace and reported spikes of each step."""
    core = Reference(image)
    recorded = []
    for events in steps:
        for source in events:
            core.event(source)
        trace, emitted, _ = core.tick()
        recorded.append((trace, emitted))
    return recorded
