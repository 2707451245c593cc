"""Projections that learn by `ir.loihi_learning`, executed word for word."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...ir.graph import Projection
from ...ir.loihi_learning import (
    ACCUMULATOR_BITS,
    ACCUMULATOR_RANGE,
    ROUNDING_SEED,
    TRACE_MAX,
    LoihiPairSTDP,
)
from . import kernels
from . import learning_kernels as learn
from .learning import LearningFiber, Synapses
from .loihi import WORD

Ints = npt.NDArray[np.int64]


class _Noise:
    """Uniform numbers of one seed, of which the first is never used: ``every`` are drawn a time."""

    def __init__(self, seed: int, every: int) -> None:
        self._seed, self._every = seed, every
        self.reset()

    def reset(self) -> None:
        """Begin again."""
        self._generator = np.random.default_rng(self._seed)
        self._generator.random()

    def next(self) -> float:
        """Draw so many; the last one counts."""
        return float(self._generator.random(self._every)[-1])


class _Trace:
    """The traces of one side in an epoch, and the steps of its last spikes."""

    def __init__(self, size: int, tau: int, impulse: int, epoch: int, seed: int) -> None:
        self.x, self.times = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self.history = np.zeros((epoch + 1, size), np.int64)
        # The traces are noisy twice a step, before and behind what post spikes do.
        self.noise = _Noise(seed, 2 * epoch)
        self._impulse = (impulse, TRACE_MAX)
        kept = np.exp(-1.0 / tau) * np.arange(TRACE_MAX + 1) if tau else np.zeros(TRACE_MAX + 1)
        self._whole = np.floor(kept).astype(np.int64)
        self._rest = kept % 1

    def clear(self) -> None:
        """Back to rest."""
        self.x[:] = 0
        self.times[:] = 0

    def spike(self, index: Any, count: int, now: int) -> None:
        """Take the spikes of step ``now`` of the epoch."""
        learn.loihi_spikes(index, count, now, self.times, self.x, *self._impulse)

    def finish(self) -> tuple[Ints, Ints]:
        """End an epoch: the steps of the last spikes, and what the traces were in it."""
        decayed = self._whole + (self.noise.next() < self._rest)
        learn.loihi_history(self.x, self.times, decayed, *self._impulse, self.history)
        return self.times, self.history


class LoihiLearningFiber(LearningFiber):
    """A projection with `LoihiPairSTDP` made ready: ``wheel`` is that of its post population."""

    def __init__(self, projection: Projection, rule: LoihiPairSTDP, wheel: Any, lag: int) -> None:
        s = Synapses(projection, np.int16)
        super().__init__(projection, s, lag)
        words = projection.words
        if words is None:
            raise ValueError(f"'{projection.name}' has no words of Loihi")
        self._wheel, self._delay = wheel, projection.delay
        self._left, self._right = max(words.exponent, 0), max(-words.exponent, 0)
        # A page of its own, so that the sum is shifted and not each weight.
        self._total = np.zeros(s.post_size, np.int64)
        self._spiked = np.zeros(s.post_size, np.int64)
        self._epoch, self._now = rule.epoch, 0
        self._x = _Trace(s.pre_size, rule.tau_plus, rule.impulse_plus, rule.epoch, rule.seed)
        self._y = _Trace(s.post_size, rule.tau_minus, rule.impulse_minus, rule.epoch, rule.seed + 2)
        self._noise = _Noise(ROUNDING_SEED, 1)
        self._scales = tuple(
            (mantissa, exponent + ACCUMULATOR_BITS)
            for mantissa, exponent in (
                (rule.minus, rule.minus_exp),
                (rule.both, rule.both_exp),
                (rule.plus, rule.plus_exp),
            )
        )

    @property
    def variables(self) -> dict[str, Ints]:
        """The traces, which can be recorded: they move at the end of an epoch."""
        return {"x": self._x.x, "y": self._y.x}

    def clear(self) -> None:
        """Back to rest; weights, the step within the epoch and the generators stay."""
        self._x.clear()
        self._y.clear()

    def reset(self) -> None:
        """Back to the weights of the graph, and to the first epoch."""
        super().reset()
        self._now = 0
        for noise in (self._x.noise, self._y.noise, self._noise):
            noise.reset()

    def begin(self, step: int) -> None:
        """Before anything else in ``step``."""
        self._now += self.learning

    def send(self, index: Any, value: Any, count: int, step: int) -> None:
        """Take the pre spikes of ``step``; whatever one counts, it is one to the rule."""
        self.operations += self.synapses.transmit(index, value, count, self._total)
        if self._left:
            self._total <<= self._left
        page = self._wheel[(step + self._delay) % len(self._wheel)]
        kernels.loihi_arrive(self._total, page, self._right, WORD)
        if self.learning:
            self._x.spike(index, count, self._now)

    def end(self, step: int, index: Any, count: int) -> None:
        """Take the post spikes of ``step``."""
        if self.learning and count:
            self._y.spike(index, count, self._now)

    def late(self, step: int) -> None:
        """Behind the last population of ``step``: in the last one of an epoch, learn."""
        if not self.learning or self._now < self._epoch:
            return
        pre, post = self._x.finish(), self._y.finish()
        s = self.synapses
        clips = (ACCUMULATOR_BITS, *ACCUMULATOR_RANGE)
        change = (self._scales, clips, (s.low, s.high), self._noise.next())
        learn.loihi_learn(s.weight, pre, post, self._spiked, *change)
        self._x.times[:] = 0
        self._y.times[:] = 0
        self._now = 0
