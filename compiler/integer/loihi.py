"""Populations and projections in the arithmetic of Loihi: ``ir`` executed word for word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ...ir.connections import Connection, Sparse, chain, stages
from ...ir.graph import Population, Projection
from ...ir.loihi import STATE_SHIFT
from ...ir.neurons import LoihiATRLIF, LoihiLIF
from . import kernels

Ints = npt.NDArray[np.int64]


class LoihiState:
    """The state of one population of a `LoihiNeuron`; see `population.PopulationState`."""

    def __init__(self, population: Population, neuron: LoihiLIF | LoihiATRLIF, pages: int) -> None:
        size = population.size
        self.population = population
        self.wheel: npt.NDArray[Any] = np.zeros((pages, size), np.int64)
        self.index, self.value = np.zeros(size, np.int64), np.zeros(size, np.int64)

        def flat(array: Any) -> Ints:
            return np.ascontiguousarray(np.ravel(array), np.int64)

        bias = neuron.bias_mant << neuron.bias_exp
        own: tuple[Any, ...]
        self._kernel: Any
        # What each state variable starts from.
        self._start: dict[str, Any] = {"u": 0, "v": 0}
        match neuron:
            case LoihiLIF():
                self._kernel, own = kernels.loihi_step, (neuron.vth << STATE_SHIFT,)
            case LoihiATRLIF():
                theta = neuron.theta_0 << STATE_SHIFT
                own = (neuron.dr, neuron.dtheta, theta, neuron.theta_step << STATE_SHIFT)
                self._kernel = kernels.loihi_refractory_step
                self._start |= {"v": flat(neuron.v_init), "r": 0, "theta": theta}
        #: The state variables that can be recorded, as they are behind the step.
        self.variables = {name: np.zeros(size, np.int64) for name in self._start}
        self.v = self.variables["v"]
        self._parameters = tuple(map(flat, (neuron.du, neuron.dv, bias, *own)))

    def clear(self) -> None:
        """Back to rest, with nothing pending."""
        self.wheel[:] = 0
        for name, start in self._start.items():
            self.variables[name][:] = start

    def step(self, step: int, noise: Any) -> int:
        """Advance to ``step``; returns the number of spiking neurons, listed in ``index``."""
        page = self.wheel[step % len(self.wheel)]
        if step < self.population.lag:
            page[:] = 0
            return 0
        arguments = (page, *self.variables.values(), *self._parameters, self.index, self.value)
        return int(self._kernel(*arguments))


class Fiber(Protocol):
    """A projection made ready; see `executor.Executor`."""

    operations: int

    def send(self, index: Any, value: Any, count: int, step: int) -> None:
        """Send the events of ``step``."""
        ...


class LoihiFiber:
    """A projection to a population of Loihi made ready.

    ``parts`` has those synapses of it that share a delay, with the delay and, where the exponent is
    negative, the sum that they add to before it is shifted.
    """

    def __init__(
        self,
        projection: Projection,
        parts: list[tuple[Fiber, int, Any]],
        wheel: Any,
    ) -> None:
        words = projection.words
        if words is None:
            raise ValueError(f"'{projection.name}' has no words of Loihi")
        self._parts, self._wheel = parts, wheel
        self._shift = max(-words.exponent, 0)

    @property
    def operations(self) -> int:
        """Synaptic operations done so far."""
        return sum(part.operations for part, _, _ in self._parts)

    def send(self, index: Any, value: Any, count: int, step: int) -> None:
        """Send the events of ``step``."""
        for part, delay, total in self._parts:
            part.send(index, value, count, step)
            if total is not None:
                page = self._wheel[(step + delay) % len(self._wheel)]
                kernels.loihi_arrive(total, page, self._shift)


def largest_delay(projection: Projection) -> int:
    """The most steps that a spike spends in a projection, those of its synapses included."""
    own = [s.steps for s in stages(projection.connection) if isinstance(s, Sparse)]
    return projection.delay + max((int(s.max(initial=0)) for s in own if s is not None), default=0)


def by_delay(projection: Projection) -> Iterator[Projection]:
    """A projection for each delay that its synapses have: together they are the one given."""
    parts = stages(projection.connection)
    where = [k for k, s in enumerate(parts) if isinstance(s, Sparse) and s.steps is not None]
    if not where:
        yield projection
        return
    sparse = parts[where[0]]
    assert isinstance(sparse, Sparse) and sparse.steps is not None
    pre = np.repeat(np.arange(sparse.pre_size), np.diff(sparse.indptr))
    for steps in np.unique(sparse.steps):
        taken = sparse.steps == steps
        indptr = np.concatenate(
            [[0], np.cumsum(np.bincount(pre[taken], minlength=sparse.pre_size))]
        )
        own = replace(
            sparse,
            indptr=indptr,
            post=sparse.post[taken],
            weight=sparse.weight[taken],
            steps=None,
        )
        stages_ = (*parts[: where[0]], own, *parts[where[0] + 1 :])
        connection = chain(stages_, projection.connection.in_shape)
        yield replace(projection, connection=connection, delay=projection.delay + int(steps))


def scaled(connection: Connection, exponent: int) -> Connection:
    """The connection with its weights times a power of two of zero and more: sums stay exact."""
    if exponent <= 0:
        return connection
    parts = tuple(
        replace(s, weight=s.weight << exponent) if s.WEIGHTED else s  # type: ignore[call-arg,attr-defined]
        for s in stages(connection)
    )
    return chain(parts, connection.in_shape)
