"""Plastic projections in exact Python integers, one synapse at a time: slow, and plainly right.

Written from the docstrings of ``ir.plasticity``; shares no code with the executor.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

from spikec.ir.connections import Dense, OneToOne, Sparse
from spikec.ir.graph import Projection
from spikec.ir.numerics import Rounding
from spikec.ir.plasticity import (
    SDSP,
    Accumulation,
    Response,
    Trace,
    TraceDecay,
    TraceSTDP,
    Transmit,
    Update,
)


class Register:
    """The 32-bit Galois register as its bits, that of 2^0 first."""

    def __init__(self, seed: int) -> None:
        self.bits = [(seed >> k) & 1 for k in range(32)]

    @property
    def state(self) -> int:
        return sum(bit << k for k, bit in enumerate(self.bits))

    def advance(self) -> None:
        out = self.bits[0]
        self.bits = [*self.bits[1:], 0]
        for exponent in (32, 22, 2, 1):
            self.bits[exponent - 1] ^= out

    def draw(self, places: int, count: int) -> int:
        """The low ``count`` bits of the state rotated right by ``places``."""
        turned = [self.bits[(k + places) % 32] for k in range(32)]
        return sum(bit << k for k, bit in enumerate(turned[:count]))


def rounded(x: Fraction, rounding: Rounding) -> int:
    whole = floor(x)
    match rounding:
        case Rounding.NEAREST_EVEN:
            return round(x)
        case Rounding.NEAREST_AWAY:
            return whole + int(x - whole >= Fraction(1, 2))
        case Rounding.TOWARD_ZERO | Rounding.DOWN:
            return whole
        case Rounding.UP:
            return ceil(x)
        case Rounding.STOCHASTIC:
            raise ValueError("stochastic rounding has no single value")


def weights_of(projection: Projection) -> dict[tuple[int, int], tuple[int, Any]]:
    """(i, j) -> weight and its place in the connection's array."""
    found: dict[tuple[int, int], tuple[int, Any]] = {}
    match projection.connection:
        case Dense() as c:
            for j in range(c.weight.shape[0]):
                for i in range(c.weight.shape[1]):
                    found[i, j] = int(c.weight[j, i]), (j, i)
        case Sparse() as c:
            for i in range(c.pre_size):
                for s in range(c.indptr[i], c.indptr[i + 1]):
                    found[i, int(c.post[s])] = int(c.weight[s]), s
        case OneToOne() as c:
            for i in range(c.weight.size):
                found[i, i] = int(c.weight[i]), i
        case _:
            raise TypeError
    return found


class Plastic:
    """One plastic projection."""

    def __init__(self, projection: Projection, pre: int, post: int) -> None:
        assert projection.plasticity is not None
        self.projection, self.plasticity = projection, projection.plasticity
        self.pre, self.post = pre, post
        found = weights_of(projection)
        self.w = {key: weight for key, (weight, _) in found.items()}
        self.place = {key: place for key, (_, place) in found.items()}
        enable = self.plasticity.enable
        self.enabled = {
            key: enable is None or bool(enable if enable.ndim == 0 else enable[place])
            for key, place in self.place.items()
        }
        rule = self.plasticity.rule
        self.register = Register(rule.seed) if isinstance(rule, TraceSTDP) else None
        self.clear()

    def clear(self) -> None:
        self.x = [0] * self.pre
        self.y = [0] * self.post
        self.calcium = [0] * self.post
        self.steps = 0

    def weights(self) -> Any:
        out = np.zeros(self.projection.connection.weight.shape, np.int64)  # type: ignore[attr-defined]
        for key, place in self.place.items():
            out[place] = self.w[key]
        return out

    def change(self, key: tuple[int, int], amount: int) -> None:
        if key in self.w and self.enabled[key]:
            p = self.plasticity
            self.w[key] = int(min(max(self.w[key] + amount, p.w_min), p.w_max))

    def f(self, update: Update, x: int, key: tuple[int, int]) -> int:
        rule = self.plasticity.rule
        assert isinstance(rule, TraceSTDP) and self.register is not None
        if update.response is Response.WINDOW:
            return update.amplitude if x > 0 else 0
        exact = Fraction(update.amplitude * x, 2**update.shift)
        if rule.rounding is not Rounding.STOCHASTIC:
            return rounded(exact, rule.rounding)
        places = sum(key) % rule.streams % 32
        r = self.register.draw(places, update.shift)
        return floor(exact + Fraction(r, 2**update.shift))

    def line(self, update: Update, size: int, key: Any, x: Any) -> None:
        """One row or column: ``key(n)`` names synapse n, ``x(n)`` its trace."""
        rule = self.plasticity.rule
        assert isinstance(rule, TraceSTDP) and self.register is not None
        if update.amplitude == 0 and update.offset == 0:
            return
        for first in range(0, size, rule.streams):
            for n in range(first, min(first + rule.streams, size)):
                f = self.f(update, x(n), key(n))
                self.change(key(n), update.offset + update.sign * f)
            if rule.rounding is Rounding.STOCHASTIC:
                self.register.advance()

    def read(self, values: Any, v: list[int], learning: bool) -> list[int]:
        """The events of one step; what each post neuron is sent."""
        rule, out = self.plasticity.rule, [0] * self.post
        for i in np.flatnonzero(values).tolist():
            before = dict(self.w)
            if learning and isinstance(rule, TraceSTDP):
                self.line(rule.on_pre, self.post, lambda n, i=i: (i, n), lambda n: self.y[n])
                self.x[i] = spiked(rule.pre, self.x[i])
            if learning and isinstance(rule, SDSP):
                for j in range(self.post):
                    c = self.calcium[j]
                    if v[j] >= rule.theta_mem and rule.theta_1 <= c < rule.theta_3:
                        self.change((i, j), 1)
                    if v[j] < rule.theta_mem and rule.theta_1 <= c < rule.theta_2:
                        self.change((i, j), -1)
            sent = before if self.plasticity.transmit is Transmit.BEFORE else self.w
            for j in range(self.post):
                out[j] += sent.get((i, j), 0) * int(values[i])
        return out

    def end(self, spikes: list[int], resting: bool) -> None:
        """After the post population has stepped."""
        rule = self.plasticity.rule
        if isinstance(rule, TraceSTDP):
            for j in spikes:
                self.line(rule.on_post, self.pre, lambda n, j=j: (n, j), lambda n: self.x[n])
            for j in spikes:
                self.y[j] = spiked(rule.post, self.y[j])
            self.x = [decayed(rule.pre, x) for x in self.x]
            self.y = [decayed(rule.post, y) for y in self.y]
        if isinstance(rule, SDSP) and not resting:
            self.steps += 1
            leak = rule.leak_period > 0 and self.steps % rule.leak_period == 0
            for j in range(self.post):
                c = self.calcium[j] + (j in spikes) - leak
                self.calcium[j] = min(max(c, 0), 2**rule.calcium_bits - 1)
            if rule.refresh_period > 0 and self.steps % rule.refresh_period == 0:
                for key in self.w:
                    self.change(key, 1 if self.w[key] >= rule.refresh_threshold else -1)


def spiked(trace: Trace, x: int) -> int:
    if trace.accumulation is Accumulation.SET:
        return trace.increment
    return min(x + trace.increment, (1 << trace.bits) - 1)


def decayed(trace: Trace, x: int) -> int:
    if trace.decay is TraceDecay.COUNT:
        return max(x - 1, 0)
    return x - ceil(Fraction(x, 2**trace.shift))
