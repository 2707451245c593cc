r"""What sources give over time: pieces of straight lines, and sines."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ....ir.records import Record, frozen_array

Array = npt.NDArray[np.float64]
FLUX: Final = 2.067833848461929e-15  # Wb, h / 2e of the SI of 2019


@dataclass(frozen=True, eq=False)
class Wave(Record, ABC):
    """What a source gives, in A or V, at each time, in s. A subclass says which shape it has."""

    @abstractmethod
    def knots(self, until: float) -> tuple[Array, Array, Array]:
        """Pieces of straight lines: where they begin, and value and slope there.

        The first begins at minus infinity and is level; pieces behind ``until`` are left out.
        """

    @property
    def sine(self) -> tuple[float, float, float]:
        """Amplitude, frequency in Hz and delay in s of a sine that comes on top, 0 before it."""
        return 0.0, 0.0, 0.0

    def at(self, time: Any) -> Array:
        """Values at times of any shape."""
        t = np.asarray(time, np.float64)
        start, value, slope = self.knots(float(np.max(t, initial=0.0)))
        k = np.searchsorted(start, t, "right") - 1
        since = np.where(k > 0, t - np.where(k > 0, start[k], 0.0), 0.0)
        amplitude, frequency, delay = self.sine
        angle = 2 * np.pi * frequency * np.maximum(t - delay, 0.0)
        return np.asarray(value[k] + slope[k] * since + amplitude * np.sin(angle))


def _lines(times: Any, values: Any) -> tuple[Array, Array, Array]:
    """Straight lines between points, level before the first and behind the last."""
    t, v = np.asarray(times, np.float64), np.asarray(values, np.float64)
    slope = np.append(np.diff(v) / np.diff(t), 0.0)
    return np.insert(t, 0, -np.inf), np.insert(v, 0, v[0]), np.insert(slope, 0, 0.0)


@dataclass(frozen=True, eq=False)
class Constant(Wave):
    """The same at all times."""

    value: float

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "value", _finite(self.value))

    def knots(self, until: float) -> tuple[Array, Array, Array]:
        return np.array([-np.inf]), np.array([self.value]), np.zeros(1)


@dataclass(frozen=True, eq=False)
class Pwl(Wave):
    """Straight lines between points; the first value before them, the last behind them."""

    times: Any
    values: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("times", "values"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64))
        t, v = self.times, self.values
        if t.ndim != 1 or t.shape != v.shape or not t.size or not np.isfinite([t, v]).all():
            raise fail("E1404", f"a wave has {t.size} times and {v.size} values")
        if (np.diff(t) <= 0).any():
            late = t[1:][np.diff(t) <= 0][0]
            raise fail("E1404", f"the times of a wave do not rise at {late:g} s")

    def knots(self, until: float) -> tuple[Array, Array, Array]:
        return _lines(self.times, self.values)


@dataclass(frozen=True, eq=False)
class Pulse(Wave):
    """SPICE's PULSE: from ``low`` to ``high`` and back, each ``period`` s; 0 for once."""

    low: float
    high: float
    delay: float
    rise: float
    fall: float
    width: float
    period: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high", "delay", "rise", "fall", "width", "period"):
            object.__setattr__(self, name, _finite(getattr(self, name)))
        once = self.rise + self.width + self.fall
        if not (self.rise > 0 and self.fall > 0 and self.width >= 0 and self.delay >= 0):
            raise fail("E1404", "a pulse needs edges longer than 0 s", hint="give rise and fall")
        if self.period and self.period < once:
            raise fail("E1404", f"a pulse of {once:g} s does not fit its period, {self.period:g} s")

    def repeats(self, until: float) -> float:
        """How many periods there are before ``until``, not rounded; 0 for a single pulse."""
        return (until - self.delay) / self.period if self.period else 0.0

    def knots(self, until: float) -> tuple[Array, Array, Array]:
        rise, fall = (self.high - self.low) / self.rise, (self.low - self.high) / self.fall
        pieces = [(0.0, self.low, rise)]
        if self.width:
            pieces.append((self.rise, self.high, 0.0))
        pieces += [(self.rise + self.width, self.high, fall)]
        pieces += [(self.rise + self.width + self.fall, self.low, 0.0)]
        if self.period == self.rise + self.width + self.fall:
            pieces.pop()
        count = max(int(np.ceil(self.repeats(until))), 0) + 1
        begin = self.delay + self.period * np.arange(count)
        offset, value, slope = np.array(pieces).T
        return (
            np.insert((begin[:, None] + offset).ravel(), 0, -np.inf),
            np.insert(np.tile(value, count), 0, self.low),
            np.insert(np.tile(slope, count), 0, 0.0),
        )


@dataclass(frozen=True, eq=False)
class Sine(Wave):
    r""":math:`o + a \sin 2 \pi f (t - d)` from ``delay`` d on, ``offset`` o before it."""

    offset: float
    amplitude: float
    frequency: float
    delay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("offset", "amplitude", "frequency", "delay"):
            object.__setattr__(self, name, _finite(getattr(self, name)))
        if not (self.frequency > 0 and self.delay >= 0):
            raise fail("E1404", f"a sine has {self.frequency:g} Hz and starts at {self.delay:g} s")

    def knots(self, until: float) -> tuple[Array, Array, Array]:
        return np.array([-np.inf]), np.array([self.offset]), np.zeros(1)

    @property
    def sine(self) -> tuple[float, float, float]:
        return self.amplitude, self.frequency, self.delay


def _finite(value: Any) -> float:
    number = float(value)
    if not np.isfinite(number):
        raise fail("E1404", f"a source has the value {number}")
    return number


def ramped(value: float, rise: float, start: float = 0.0) -> Pwl:
    """From 0 at ``start`` to ``value`` in ``rise`` s: a bias that is switched on."""
    return Pwl(np.array([start, start + rise]), np.array([0.0, value]))


def train(times: Iterable[float], area: float = FLUX, width: float = 5e-12) -> Pwl:
    """A triangle at each of ``times``, where it has its peak: as SFQ pulses are, one flux quantum.

    ``area`` in V s (or A s) each, ``width`` in s at the foot; E1404 where two overlap.
    """
    peaks = np.sort(np.asarray(list(times), np.float64))
    if (np.diff(peaks) < width).any():
        close = float(np.diff(peaks).min())
        raise fail("E1404", f"pulses of {width:g} s come {close:g} s after each other")
    if not peaks.size:
        return Pwl(np.zeros(1), np.zeros(1))
    t = (peaks[:, None] + np.array([-width / 2, 0.0, width / 2])).ravel()
    v = np.tile([0.0, 2 * area / width, 0.0], peaks.size)
    keep = np.append(True, np.diff(t) > 0)  # one's foot may be where the next one's is
    return Pwl(t[keep], v[keep])


def started(wave: Wave, ramp: float, until: float) -> Wave:
    """``wave`` as other simulators take it: time 0 is where the ramp begins, ``ramp`` s earlier.

    It rises from 0 in the first half of the ramp, as ``simulate`` has it. E1404 for a sine with an
    offset, which is two sources.
    """
    if not ramp:
        return wave
    if isinstance(wave, Constant):
        return ramped(wave.value, ramp / 2)
    if isinstance(wave, Sine):
        if wave.offset:
            raise fail("E1404", "a sine with an offset has no ramp: make it two sources")
        return Sine(0.0, wave.amplitude, wave.frequency, wave.delay + ramp)
    if isinstance(wave, Pulse) and not wave.low:
        return dataclasses.replace(wave, delay=wave.delay + ramp)
    start, value, _ = wave.knots(until)
    at0 = float(wave.at(0.0))
    later = start > 0
    return Pwl(
        np.concatenate([[0.0, ramp / 2, ramp], ramp + start[later]]),
        np.concatenate([[0.0, at0, at0], value[later]]),
    )
