"""Populations and pairs in the arithmetic of SpiNNaker: ``ir`` executed word for word."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...ir.graph import Population, Projection
from ...ir.neurons import SpinnakerLIF
from ...ir.plasticity import SpinnakerPairSTDP
from . import kernels
from . import learning_kernels as learn
from .learning import LearningFiber, Synapses

Ints = npt.NDArray[np.int64]
HISTORY = 16  # entries that a post neuron has, the first of which is no spike


class SpinnakerState:
    """The state of one population of `SpinnakerLIF`; see `population.PopulationState`.

    ``wheel`` (pages, 2, n) has the ring buffers of both receptors. They are summed in 64 bits and
    read as 16: words have no sign, so that saturating at each sum comes to the same.
    """

    def __init__(self, population: Population, neuron: SpinnakerLIF, pages: int) -> None:
        size = population.size
        self.population = population
        self.wheel: npt.NDArray[Any] = np.zeros((pages, 2, size), np.int64)
        self.v, self._s = np.zeros(size, np.int64), np.zeros((2, size), np.int64)
        self._wait = np.zeros(size, np.int64)
        self.index, self.value = np.zeros(size, np.int64), np.zeros(size, np.int64)

        def flat(array: Ints) -> Ints:
            return np.broadcast_to(array, population.shape).ravel().astype(np.int64)

        self._v_init = flat(neuron.v_init)
        self._parameters = (
            np.stack([flat(neuron.decay_e), flat(neuron.decay_i)]),
            np.stack([flat(neuron.init_e), flat(neuron.init_i)]),
            np.array([neuron.shift_e, neuron.shift_i], np.int64),
            *map(flat, (neuron.i_offset, neuron.r, neuron.v_rest, neuron.exp_tc)),
            *map(flat, (neuron.threshold, neuron.v_reset, neuron.refractory)),
        )
        self.clear()

    @property
    def variables(self) -> dict[str, Ints]:
        """The state variables that can be recorded, as they are behind the tick."""
        return {"v": self.v, **dict(zip(SpinnakerLIF.RECEPTORS, self._s, strict=True))}

    def port(self, receptor: str | None) -> npt.NDArray[Any]:
        """The pages of one receptor."""
        return self.wheel[:, SpinnakerLIF.RECEPTORS.index(receptor or "")]

    def clear(self) -> None:
        """Back to ``v_init``, with nothing pending."""
        self.wheel[:] = 0
        self.v[:] = self._v_init
        self._s[:] = 0
        self._wait[:] = 0

    def step(self, step: int, noise: Any) -> int:
        """Advance to ``step``; returns the number of spiking neurons, listed in ``index``."""
        page = self.wheel[step % len(self.wheel)]
        if step < self.population.lag:
            page[:] = 0
            return 0
        state = (page, self._s, self.v, self._wait)
        arguments: tuple[Any, ...] = (*state, *self._parameters, self.index, self.value)
        return int(kernels.spinnaker_step(*arguments))


class SpinnakerFiber(LearningFiber):
    """A projection with `SpinnakerPairSTDP` made ready: ``pages`` are those of its receptor."""

    def __init__(
        self, projection: Projection, rule: SpinnakerPairSTDP, pages: Any, lag: int
    ) -> None:
        # Where a trace wraps a word may leave the rails.
        s = Synapses(projection, np.int32)
        super().__init__(projection, s, lag)
        self._delay, self._pages = projection.delay, pages
        self._plus, self._minus = (np.array(t) for t in (rule.decay_plus, rule.decay_minus))
        self._rule = (rule.a_plus, rule.a_minus, rule.w_min, rule.w_max, rule.shift)
        self._pre = np.zeros(s.pre_size, np.int64), np.zeros(s.pre_size, np.int64)
        history = s.post_size, HISTORY
        self._post = np.zeros(history, np.int64), np.zeros(history, np.int64)
        self._last = np.zeros(s.post_size, np.int64)
        self._waiting: tuple[Any, Any, int] | None = None

    def clear(self) -> None:
        """Back to rest, at tick 0; weights stay."""
        for array in (*self._pre, *self._post, self._last):
            array[:] = 0
        self._waiting = None

    def send(self, index: Any, value: Any, count: int, step: int) -> None:
        """Take the pre spikes of ``step``; E0703 for counts, of which a rule of pairs has none."""
        self.single(index, value, count, step)
        self._waiting = index[:count].copy(), value[:count].copy(), count

    def end(self, step: int, index: Any, count: int) -> None:
        """Remember the post spikes of ``step``."""
        if count and self.learning:
            learn.spinnaker_post(index, count, step, self._minus, *self._post, self._last)

    def late(self, step: int) -> None:
        """Behind the last population of ``step``: its pre spikes come by."""
        if self._waiting is None:
            return
        index, value, count = self._waiting
        self._waiting = None
        page, s = self._pages[(step + self._delay) % len(self._pages)], self.synapses
        if not self.learning:
            self.operations += s.transmit(index, value, count, page)
            return
        tables = (self._plus, self._minus, self._rule)
        self.operations += int(
            learn.spinnaker_pre(
                *(index, count, step, self._delay, s.weight, *s.rows, s.enable),
                *(*tables, *self._pre, *self._post, self._last, page),
            )
        )

    def close(self) -> None:
        """Behind the last step, which SpiNNaker does not have: catch up.

        The next pre spike would bring what post spikes have changed, whenever it comes.
        """
        if self.learning:
            s, (times, _) = self.synapses, self._post
            synapses = (s.weight, *s.rows, s.enable, self._plus, self._rule)
            arguments: tuple[Any, ...] = (self._delay, *synapses, *self._pre, times, self._last)
            learn.spinnaker_catch_up(*arguments)
