"""One population of the integer rung: its state, its step, what it emits and what feeds it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import networkx as nx
import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import fail
from ...ir.events import Events, Stimulus
from ...ir.graph import Graph, Input, Population, Projection
from ...ir.neurons import IntegerNeuron, LoihiNeuron
from ...ir.numerics import Overflow
from . import kernels
from .learning import ROUNDING

_RESET = {
    "none": kernels.NONE,
    "zero": kernels.VALUE,
    "value": kernels.VALUE,
    "subtract": kernels.SUBTRACT,
    "two_phase": kernels.TWO_PHASE,
}


class AdaptiveThreshold:
    """The offsets h of one population's thresholds, and the limits that they make."""

    def __init__(
        self, threshold: Any, increment: Any, high: int, shift: int, period: int, size: int
    ) -> None:
        self.h, self.limits = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self._threshold, self._increment, self._high = threshold, increment, high
        self._shift, self._period = shift, period

    def limit(self) -> None:
        """Make the limits of this step."""
        kernels.adaptive_limits(self._threshold, self.h, self.limits)

    def adapt(self, steps: int, index: Any, count: int) -> None:
        """After the population's step number ``steps``, counted from one."""
        tick = self._period > 0 and steps % self._period == 0
        rule = (self._increment, self._high, tick, self._shift)
        kernels.adapt(self.h, index, count, *rule)


@dataclass
class PopulationState:
    """The state of one population of n neurons, and the parameters of its step.

    ``wheel`` (pages, n) has the accumulators of each pending step; what arrives in step t is in
    page t modulo pages. ``index`` and ``value`` (n,) are where a step leaves who spiked, and how
    often. Parameters are flat, of length 1 or n.
    """

    population: Population
    bias: Any
    bias_first: Any
    parameters: tuple[Any, ...]
    wheel: npt.NDArray[Any]
    v: npt.NDArray[np.int64]
    u: npt.NDArray[np.int64]
    wait: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]
    value: npt.NDArray[np.int64]
    threshold: AdaptiveThreshold | None
    leak: tuple[Any, Any] | None  # None: an Izhikevich membrane

    @property
    def variables(self) -> dict[str, npt.NDArray[np.int64]]:
        """The state variables that can be recorded."""
        more = {} if self.threshold is None else {"h": self.threshold.h}
        return {"v": self.v, "u": self.u, **more}

    def clear(self) -> None:
        """Back to rest, with nothing pending."""
        self.wheel[:] = 0
        self.v[:] = 0
        self.u[:] = 0
        self.wait[:] = 0
        if self.threshold is not None:
            self.threshold.h[:] = 0

    def step(self, step: int, noise: Any) -> int:
        """Advance to ``step``; returns the number of spiking neurons, listed in ``index``."""
        page = self.wheel[step % len(self.wheel)]
        if step < self.population.lag:
            page[:] = 0  # at rest: what arrives is lost, not kept for a later turn of the wheel
            return 0
        first = step == self.population.lag and self.bias_first is not None
        bias = self.bias_first if first else self.bias
        if self.threshold is not None:
            self.threshold.limit()
        arguments: tuple[Any, ...] = (page, self.v, self.u, self.wait, bias, *self.parameters)
        if self.leak is None:
            arguments = (*arguments, self.index, self.value)
            count = int(kernels.izhikevich_step(*arguments))
        else:
            arguments = (*arguments, noise, self.index, self.value, *self.leak)
            count = int(kernels.neuron_step(*arguments))
        if self.threshold is not None:
            self.threshold.adapt(step - self.population.lag + 1, self.index, count)
        return count


class Emitter(Protocol):
    """What a sink reads: a population's state, and who spiked in a step, how often."""

    population: Population
    v: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]
    value: npt.NDArray[np.int64]


class Sink:
    """Collects the emission of one population.

    ``order`` (n,) is which neuron of the population each one of the state is, where they stand in
    an order of their own.
    """

    def __init__(
        self, core: Emitter, raw: bool, steps: int, length: int, order: Any = None
    ) -> None:
        population = core.population
        neuron = population.neuron
        self._core, self._order = core, order
        self._graded = isinstance(neuron, IntegerNeuron) and not neuron.spiking
        self._shift = (0 if raw else population.lag) - int(population.semantics.registered)
        self._steps = length if raw else steps
        self._parts: list[tuple[int, int, Any, Any]] = []

    def take(self, sample: int, step: int, count: int) -> None:
        """Keep what the population emitted in ``step``: ``count`` spikes, or its v."""
        at = step - self._shift
        if not 0 <= at < self._steps or step < self._core.population.lag:
            return
        if self._graded:
            index = np.flatnonzero(self._core.v)
            self._parts.append((sample, at, index, self._core.v[index]))
        elif count:
            core = self._core
            self._parts.append((sample, at, core.index[:count].copy(), core.value[:count].copy()))

    def events(self, samples: int) -> Events:
        """All that was kept, of so many samples."""
        size = self._core.v.size
        if not self._parts:
            none = np.zeros(0, np.int32)
            return Events(samples, self._steps, size, none, none, none, np.zeros(0, np.int64))
        lengths = [part[2].size for part in self._parts]
        sample, step = (np.repeat([part[k] for part in self._parts], lengths) for k in (0, 1))
        index = np.concatenate([part[2] for part in self._parts])
        value = np.concatenate([part[3] for part in self._parts])
        if self._order is not None:
            index = self._order[index]
            sorted_ = np.lexsort((index, step, sample))
            sample, step, index, value = (a[sorted_] for a in (sample, step, index, value))
        return Events(samples, self._steps, size, sample, step, index, value)


def integer_neuron(population: Population) -> IntegerNeuron:
    """The neuron of a quantised population; E0301 where it is not."""
    if not isinstance(population.neuron, IntegerNeuron):
        raise fail(
            "E0301",
            f"'{population.name}' is {type(population.neuron).__name__}: the integer rung runs "
            "quantised populations only",
            population.at,
            "run the quantise pass first",
        )
    return population.neuron


def spiking_populations(graph: Graph) -> list[str]:
    """The populations of a quantised graph that send spikes: all but readouts."""
    return [
        p.name
        for p in graph.populations
        if isinstance(p.neuron, LoihiNeuron) or integer_neuron(p).reset != "none"
    ]


def taken(
    neuron: IntegerNeuron, population: Population, members: npt.NDArray[np.integer[Any]]
) -> IntegerNeuron:
    """The parameters of some neurons of a population, in the order of their numbers."""
    arrays: dict[str, Any] = {}
    for field in fields(neuron):
        value = getattr(neuron, field.name)
        if isinstance(value, np.ndarray) and value.ndim:
            arrays[field.name] = np.broadcast_to(value, population.shape).ravel()[members]
    return replace(neuron, **arrays)


def population_state(population: Population, graph: Graph) -> PopulationState:
    """A population of ``graph`` at rest.

    Raises E0301 where it is not quantised, E0303 where it is a readout and something hears it.
    """
    neuron = integer_neuron(population)
    if neuron.reset == "none":
        for projection in graph.outgoing(population.name):
            raise fail(
                "E0303",
                f"'{population.name}' sends graded values along '{projection.name}'",
                population.at,
                "only a population that feeds outputs may be a readout",
            )
    delays = [p.delay + registered(p, graph) for p in graph.incoming(population.name)]
    size = population.size
    wide = np.int32 if neuron.numerics.acc_bits <= 32 else np.int64
    state, numerics = neuron.numerics.state, neuron.numerics

    def flat(array: Any) -> Any:
        return np.ascontiguousarray(np.ravel(array), np.int64)

    arithmetic = [
        neuron.shift,
        numerics.decay_bits,
        ROUNDING[state.rounding],
        state.overflow is Overflow.WRAP,
        state.low,
        state.high,
    ]
    integers = np.array(
        [
            *arithmetic,
            _RESET[neuron.reset],
            neuron.decay_u is not None,
            neuron.current_old,
            neuron.max_spikes or 0,
            neuron.refractory,
            neuron.refractory_frozen,
            neuron.leak is not None,
        ],
        np.int64,
    )
    adaptive = None
    if neuron.adapt_inc is not None:
        decay = (neuron.adapt_shift, neuron.adapt_period)
        threshold, increment = flat(neuron.threshold), flat(neuron.adapt_inc)
        adaptive = AdaptiveThreshold(threshold, increment, state.high, *decay, size)
    leak: tuple[Any, Any] | None = (
        flat(0 if neuron.leak is None else neuron.leak),
        flat(0 if neuron.v_leak is None else neuron.v_leak),
    )
    own: tuple[Any, ...] = (flat(neuron.decay_u if neuron.decay_u is not None else 0),)
    if neuron.curve is not None:
        leak = None
        own = tuple(map(flat, (neuron.curve, neuron.couple, neuron.rate, neuron.jump)))
        integers = np.array(
            [*arithmetic, state.width, neuron.substeps, neuron.refractory], np.int64
        )
    parameters = (
        flat(neuron.decay_v),
        *own,
        flat(neuron.threshold) if adaptive is None else adaptive.limits,
        flat(neuron.v_reset),
        flat(neuron.v_min),
        integers,
    )
    return PopulationState(
        population,
        flat(neuron.bias),
        None if neuron.bias_first is None else flat(neuron.bias_first),
        parameters,
        np.zeros((max(delays, default=0) + 1, size), wide),
        np.zeros(size, np.int64),
        np.zeros(size, np.int64),
        np.zeros(size, np.int64),
        np.zeros(size, np.int64),
        np.zeros(size, np.int64),
        adaptive,
        leak,
    )


def registered(projection: Projection, graph: Graph) -> int:
    """The steps, 1 or 0, that the output register of a projection's source adds to its delay."""
    pre = graph.node(projection.pre)
    return int(isinstance(pre, Population) and pre.semantics.registered)


def same_step_order(graph: Graph) -> list[str]:
    """Populations so that same-step projections run forward; ties in the graph's own order."""
    same_step: nx.DiGraph[str] = nx.DiGraph()
    rank = {p.name: k for k, p in enumerate(graph.populations)}
    same_step.add_nodes_from(rank)
    for p in graph.projections:
        if p.pre in rank and p.delay + registered(p, graph) == 0:
            same_step.add_edge(p.pre, p.post)
    return list(nx.lexicographical_topological_sort(same_step, key=rank.__getitem__))


def sorted_counts(stimulus: Stimulus, node: Input, signed: bool = False) -> tuple[Any, Any, Any]:
    """Line and count of all events of an input, and where those of each step begin.

    Where it is ``signed``, what it sends may be negative: graded values.

    Step t of sample s is number s * steps + t. Raises E0702 where the input has no events or others
    than its lines, E0703 for values that are no counts.
    """
    events = stimulus.inputs.get(node.name)
    if events is None:
        raise fail("E0702", f"the stimulus has nothing for input '{node.name}'", node.at)
    if events.size != node.size:
        raise fail(
            "E0702",
            f"input '{node.name}' has {node.size} lines, the stimulus {events.size}",
            node.at,
        )
    outside = (events.index < 0) | (events.index >= node.size)
    if outside.any():  # kernels do not check where they write
        line = int(events.index[outside][0])
        raise fail("E0702", f"an event names line {line} of '{node.name}'", node.at)
    bad = events.value != np.rint(events.value)
    if not signed:
        bad |= events.value < 0
    if not events.integer or bad.any():
        at = int(np.argmax(bad))
        raise fail(
            "E0703",
            f"input '{node.name}' holds {int(bad.sum())} value(s) that are no "
            f"{'whole number' if signed else 'spike count'}, first "
            f"{events.value[at]:g} in step {events.step[at]} of sample {events.sample[at]}, "
            f"line {events.index[at]}",
            hint=None if signed else "spikes are counted: whole numbers of zero and more",
        )
    place = events.sample.astype(np.int64) * events.steps + events.step
    starts = np.searchsorted(place, np.arange(events.samples * events.steps + 1))
    return events.index.astype(np.int64), np.asarray(events.value, np.int64), starts
