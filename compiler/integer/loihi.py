"""Populations and projections in the arithmetic of Loihi: ``ir`` executed word for word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from ...ir.connections import Connection, Conv1d, Conv2d, Flatten, Sparse, chain, stages
from ...ir.graph import Graph, Population, Projection
from ...ir.loihi import STATE_SHIFT
from ...ir.neurons import (
    Activation,
    Emission,
    LoihiATRLIF,
    LoihiDelta,
    LoihiLIF,
    LoihiNeuron,
    LoihiSigma,
    LoihiSigmaDelta,
)
from . import kernels

Ints = npt.NDArray[np.int64]
WORD: Final = 32  # bits of a sum on the way to a population
CONVOLVED: Final = 24  # bits of one that Lava's convolution makes
# Lava keeps the geometry of a convolution in 8 bits.
_MAX_GEOMETRY: Final = 127


def loihi_state(
    population: Population, neuron: LoihiNeuron, pages: int
) -> LoihiState | SigmaDeltaState:
    """A population in Loihi's arithmetic at rest."""
    match neuron:
        case LoihiLIF() | LoihiATRLIF():
            return LoihiState(population, neuron, pages)
        case LoihiSigma() | LoihiDelta():
            return SigmaDeltaState(population, neuron, pages)
        case _:
            raise TypeError(f"the integer rung does not know {type(neuron).__name__}")


class LoihiState:
    """The state of `LoihiLIF` or `LoihiATRLIF`; see `population.PopulationState`."""

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


class SigmaDeltaState:
    """The state of a population of `LoihiSigma`, `LoihiDelta` or `LoihiSigmaDelta`.

    See `population.PopulationState`. What a step sends is in ``value``, with its sign.
    """

    def __init__(self, population: Population, neuron: LoihiSigma | LoihiDelta, pages: int) -> None:
        size = population.size
        self.population = population
        self.wheel: npt.NDArray[Any] = np.zeros((pages, size), np.int64)
        self.sigma, self.act, self.residue, self.error = np.zeros((4, size), np.int64)
        self.index, self.value = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self.v = self.sigma if isinstance(neuron, LoihiSigma) else self.act
        self._names = neuron.state
        bias = np.zeros(1, np.int64)
        if isinstance(neuron, LoihiDelta):
            shift = neuron.spike_exp + neuron.state_exp
            decodes = relu = False
            if isinstance(neuron, LoihiSigmaDelta):
                bias = np.ascontiguousarray(np.ravel(neuron.bias << shift), np.int64)
                decodes, relu = True, neuron.activation is Activation.RELU
            facts = [
                *(decodes, relu, 0 if decodes else shift),
                *(neuron.vth << shift, neuron.cum_error, neuron.state_exp),
            ]
            self._integers: Ints | None = np.array(facts, np.int64)
        else:
            self._integers = None
        self._bias = bias

    @property
    def variables(self) -> dict[str, Ints]:
        """The state variables that can be recorded, as they are behind the step."""
        return {name: getattr(self, name) for name in self._names}

    def clear(self) -> None:
        """Back to zero, with nothing pending."""
        for array in (self.wheel, self.sigma, self.act, self.residue, self.error):
            array[:] = 0

    def step(self, step: int, noise: Any) -> int:
        """Advance to ``step``; returns how many send something, listed in ``index``."""
        page = self.wheel[step % len(self.wheel)]
        if step < self.population.lag:
            page[:] = 0
            return 0
        if self._integers is None:
            return int(kernels.sigma_step(page, self.sigma, self.index, self.value))
        states = (self.sigma, self.act, self.residue, self.error)
        return int(
            kernels.delta_step(page, *states, self._bias, self._integers, self.index, self.value)
        )


class Fiber(Protocol):
    """A projection made ready; see `executor.Executor`."""

    operations: int

    def send(self, index: Any, value: Any, count: int, step: int) -> None:
        """Send the events of ``step``."""
        ...


class LoihiFiber:
    """A projection to a population of Loihi made ready.

    ``parts`` has those synapses of it that share a delay, with the delay and, where the exponent is
    negative or the sum has fewer than 32 ``bits``, the sum that they add to before it is shifted.
    """

    def __init__(
        self,
        projection: Projection,
        parts: list[tuple[Fiber, int, Any]],
        wheel: Any,
        bits: int = WORD,
    ) -> None:
        words = projection.words
        if words is None:
            raise ValueError(f"'{projection.name}' has no words of Loihi")
        self._parts, self._wheel = parts, wheel
        self._shift, self._bits = max(-words.exponent, 0), bits

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
                kernels.loihi_arrive(total, page, self._shift, self._bits)


def convolution(projection: Projection) -> Conv1d | Conv2d | None:
    """The convolution of a projection that is one of Lava's; None where Lava has no such one.

    Lava's has no delay beside its step, no negative exponent, and the same padding on both sides.
    """
    parts = [s for s in stages(projection.connection) if not isinstance(s, Flatten)]
    stage = parts[0] if len(parts) == 1 else None
    words = projection.words
    if not isinstance(stage, Conv1d | Conv2d) or words is None:
        return None
    if projection.delay != 1 or words.exponent < 0:
        return None
    pads = (stage.padding,) if isinstance(stage, Conv1d) else stage.padding
    numbers = np.hstack([stage.weight.shape[2:], stage.stride, stage.dilation, np.ravel(pads)])
    if any(before != after for before, after in pads):
        return None
    return stage if max(numbers.max(), stage.groups) <= _MAX_GEOMETRY else None


def wrap_of(projection: Projection, graph: Graph) -> int:
    """The bits to which the sums of a projection wrap.

    Those of single spikes are less than the 24 of a convolution: the verifier sees to that.
    """
    wraps = convolution(projection) is not None and not single(projection, graph)
    return CONVOLVED if wraps else WORD


def single(projection: Projection, graph: Graph) -> bool:
    """Whether what a projection sends are single spikes, and no values."""
    pre = graph.node(projection.pre)
    return isinstance(pre, Population) and pre.neuron.EMISSION is not Emission.GRADED


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
