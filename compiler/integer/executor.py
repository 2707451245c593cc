"""Executes a quantised graph: event-driven, over compact connections, bit-exact.

Each population has a wheel of accumulators, one page for each pending step; a spike adds the
weights of its row to the page of the step in which it arrives. Memory is the connections' own
size plus the wheels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import networkx as nx
import numpy as np
import numpy.typing as npt

from ...ir.connections import (
    Conv1d,
    Conv2d,
    Dense,
    Flatten,
    OneToOne,
    Sparse,
    SumPool2d,
    chain,
    stages,
)
from ...ir.diagnostics import fail
from ...ir.events import Events, Recording, Stimulus
from ...ir.graph import Graph, Input, Population, Projection
from ...ir.neurons import IntegerNeuron
from ...ir.numerics import Overflow
from . import kernels
from .learning import ROUNDING, PlasticFiber

_RESET = {
    "none": kernels.NONE,
    "zero": kernels.VALUE,
    "value": kernels.VALUE,
    "subtract": kernels.SUBTRACT,
    "two_phase": kernels.TWO_PHASE,
}
Push = Callable[[Any, Any, int, Any], int]


@dataclass
class _Fiber:
    """A projection made ready: its stages as closures, with a buffer between each two."""

    pushes: list[Push]
    buffers: list[tuple[Any, Any, Any]]
    delay: int
    target: _Core
    operations: int = 0

    def send(self, index: Any, value: Any, count: int, step: int) -> None:
        page = self.target.wheel[(step + self.delay) % len(self.target.wheel)]
        for push, (buffer, next_index, next_value) in zip(
            self.pushes[:-1], self.buffers, strict=True
        ):
            self.operations += push(index, value, count, buffer)
            count = kernels.gather(buffer, next_index, next_value)
            index, value = next_index, next_value
        self.operations += self.pushes[-1](index, value, count, page)


class _AdaptiveThreshold:
    """The offsets h of one population's thresholds, and the limits that they make."""

    def __init__(
        self, threshold: Any, increment: Any, high: int, shift: int, period: int, size: int
    ) -> None:
        self.h, self.limits = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self._threshold, self._increment, self._high = threshold, increment, high
        self._shift, self._period = shift, period

    def limit(self) -> None:
        kernels.adaptive_limits(self._threshold, self.h, self.limits)

    def adapt(self, steps: int, index: Any, count: int) -> None:
        """After the population's step number ``steps``, counted from one."""
        tick = self._period > 0 and steps % self._period == 0
        rule = (self._increment, self._high, tick, self._shift)
        kernels.adapt(self.h, index, count, *rule)


@dataclass
class _Core:
    """The state of one population."""

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
    threshold: _AdaptiveThreshold | None
    leak: tuple[Any, Any] | None  # None: an Izhikevich membrane
    fibers: list[_Fiber | PlasticFiber] = field(default_factory=list)
    plastic: list[PlasticFiber] = field(default_factory=list)  # those that end here

    @property
    def variables(self) -> dict[str, npt.NDArray[np.int64]]:
        """The state variables that can be recorded."""
        more = {} if self.threshold is None else {"h": self.threshold.h}
        return {"v": self.v, "u": self.u, **more}

    def clear(self) -> None:
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


class Executor:
    """A quantised graph made ready to run any number of stimuli.

    Plastic weights are the executor's own: they start as the graph's, and stay learned from sample
    to sample and from run to run until ``reset``; so does the generator of stochastic rounding.
    Everything else is cleared before each sample.

    Raises ``SpikecError`` (E0301) when a population is not quantised or sends graded values.
    """

    def __init__(self, graph: Graph, seed: int = 1) -> None:
        self.graph = graph
        self._seed = np.uint32(seed or 1)
        self._cores = {p.name: _core(p, graph) for p in graph.populations}
        self._inputs: dict[str, list[_Fiber | PlasticFiber]] = {i.name: [] for i in graph.inputs}
        self._plastic: dict[str, PlasticFiber] = {}
        for projection in graph.projections:
            fiber: _Fiber | PlasticFiber
            core = self._cores[projection.post]
            if projection.plasticity is None:
                fiber = _fiber(projection, graph, core)
            else:
                fiber = self._plastic[projection.name] = _plastic_fiber(projection, graph, core)
                core.plastic.append(fiber)
            if projection.pre in self._inputs:
                self._inputs[projection.pre].append(fiber)
            else:
                self._cores[projection.pre].fibers.append(fiber)
        self._order = _order(graph)
        self.lag = max((p.lag for p in graph.populations), default=0)

    @property
    def synaptic_operations(self) -> int:
        """Synaptic operations done since the executor was made."""
        cores = [f for core in self._cores.values() for f in core.fibers]
        inputs = [f for fibers in self._inputs.values() for f in fibers]
        return sum(f.operations for f in (*cores, *inputs))

    def weights(self, projection: str) -> npt.NDArray[np.int64]:
        """The weights of a projection as they are now, in the shape of its connection's ``weight``.

        E0707 where there is no such projection, or none of its stages has weights.
        """
        if projection in self._plastic:
            return self._plastic[projection].weights
        for p in self.graph.projections:
            for stage in stages(p.connection) if p.name == projection else ():
                if stage.WEIGHTED:
                    return np.array(stage.weight)  # type: ignore[attr-defined]
        raise fail("E0707", f"there is no projection '{projection}' with weights")

    def learned(self) -> Graph:
        """The graph with the weights as they are now, plasticity included."""
        return replace(self.graph, projections=tuple(map(self._learned, self.graph.projections)))

    def _learned(self, projection: Projection) -> Projection:
        if projection.name not in self._plastic:
            return projection
        weight = self.weights(projection.name)
        parts = tuple(
            replace(s, weight=weight) if s.WEIGHTED else s  # type: ignore[call-arg]
            for s in stages(projection.connection)
        )
        return replace(projection, connection=chain(parts, projection.connection.in_shape))

    def reset(self) -> None:
        """Forget what was learned: the weights and the seeds of the graph again."""
        for fiber in self._plastic.values():
            fiber.reset()

    def run(
        self,
        stimulus: Stimulus,
        *,
        populations: Sequence[str] | None = None,
        record: Sequence[tuple[str, str]] = (),
        learning: bool | Sequence[bool] = True,
        record_weights: Literal["end", "samples", "steps"] = "end",
        raw: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> Recording:
        """Run every sample from rest.

        Records the emission of ``populations`` (default: the outputs' sources) and the state
        variables in ``record``, as integers. With ``raw`` the lags are left in, so that the steps
        are those of the hardware. The state of a rule (``x``, ``y``, ``c``) is recorded under the
        name of its projection, where no population has that name, on the steps of its post
        population. ``weights`` of the recording has every plastic projection after the last sample,
        after each of the ``samples``, or after each of the ``steps`` of each sample, lags included.

        A sample lasts as many steps as the stimulus and the largest lag; learning goes on in all
        of them. ``learning`` says, for all samples or one by one, whether weights change:
        projections whose own ``learning`` is off do not learn in either case.

        Raises E0206 for an unknown population or variable, E0702 for a stimulus of other inputs,
        E0703 for values that are no counts, E0707 where ``learning`` does not fit the samples.
        """
        if populations is None:
            populations = list(dict.fromkeys(o.source for o in self.graph.outputs))
        if record_weights not in ("end", "samples", "steps"):
            raise fail("E0707", f"record_weights is {record_weights!r}: end, samples or steps")
        for name in populations:
            if name not in self._cores:
                raise fail("E0206", f"there is no '{name}.v' to record")
        words = {key: self._word(*key) for key in record}
        length = stimulus.steps + self.lag
        shown = {
            name: _Sink(self._cores[name], raw, stimulus.steps, length) for name in populations
        }
        states = {
            key: np.zeros(
                (stimulus.samples, length if raw else stimulus.steps, word.size), np.int64
            )
            for key, (word, _) in words.items()
        }
        phases = [learning] * stimulus.samples if isinstance(learning, bool) else list(learning)
        if len(phases) != stimulus.samples:
            raise fail(
                "E0707",
                f"learning has {len(phases)} phases, the stimulus {stimulus.samples} samples",
            )
        plastics = tuple(self._plastic.values())
        snapshots: dict[str, list[Any]] = {name: [] for name in self._plastic}
        lines = {node.name: _sorted_counts(stimulus, node) for node in self.graph.inputs}
        for sample in range(stimulus.samples):
            noise = np.array([self._seed], np.uint32)
            for core in self._cores.values():
                core.clear()
            for plastic in plastics:
                plastic.clear()
                plastic.learning = plastic.starts and phases[sample]
            for step in range(length):
                for plastic in plastics:
                    plastic.begin(step)
                if step < stimulus.steps:
                    self._feed(lines, sample, step, stimulus.steps)
                for name in self._order:
                    core = self._cores[name]
                    count = core.step(step, noise)
                    if count:
                        for fiber in core.fibers:
                            fiber.send(core.index, core.value, count, step)
                    for plastic in core.plastic:
                        plastic.end(step, core.index, count)
                    if name in shown:
                        shown[name].take(sample, step, count)
                for key, store in states.items():
                    word, lag = words[key]
                    at = step if raw else step - lag
                    if 0 <= at < store.shape[1]:
                        store[sample, at] = word
                if record_weights == "steps":
                    self._photograph(snapshots)
            for plastic in plastics:
                plastic.begin(length)  # the spikes of the last step have rows, too
            if record_weights == "samples" or (
                record_weights == "end" and sample == stimulus.samples - 1
            ):
                self._photograph(snapshots)
            if progress is not None:
                progress((sample + 1) / stimulus.samples)
        spikes = {name: sink.events(stimulus.samples) for name, sink in shown.items()}
        weights = {name: np.array(shots) for name, shots in snapshots.items()}
        return Recording("integer", self.graph.dt, spikes, dict(states), weights)

    def _word(self, name: str, variable: str) -> tuple[npt.NDArray[np.int64], int]:
        """A state variable, and the lag of the population whose steps it lives on."""
        if name in self._cores:
            core = self._cores[name]
            variables, lag = core.variables, core.population.lag
        elif name in self._plastic:
            variables, lag = self._plastic[name].variables, self._plastic[name].lag
        else:
            variables, lag = {}, 0
        if variable not in variables:
            raise fail("E0206", f"there is no '{name}.{variable}' to record")
        return variables[variable], lag

    def _photograph(self, snapshots: dict[str, list[Any]]) -> None:
        for name, plastic in self._plastic.items():
            snapshots[name].append(plastic.weights)

    def _feed(self, lines: dict[str, Any], sample: int, step: int, steps: int) -> None:
        for name, fibers in self._inputs.items():
            index, value, starts = lines[name]
            low, high = starts[sample * steps + step], starts[sample * steps + step + 1]
            if high > low:
                for fiber in fibers:
                    fiber.send(index[low:high], value[low:high], high - low, step)


class _Sink:
    """Collects the emission of one population."""

    def __init__(self, core: _Core, raw: bool, steps: int, length: int) -> None:
        population = core.population
        self._core = core
        self._graded = _integer(population).reset == "none"
        self._shift = (0 if raw else population.lag) - int(population.semantics.registered)
        self._steps = length if raw else steps
        self._parts: list[tuple[int, int, Any, Any]] = []

    def take(self, sample: int, step: int, count: int) -> None:
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
        size = self._core.v.size
        if not self._parts:
            none = np.zeros(0, np.int32)
            return Events(samples, self._steps, size, none, none, none, np.zeros(0, np.int64))
        lengths = [part[2].size for part in self._parts]
        sample, step = (np.repeat([part[k] for part in self._parts], lengths) for k in (0, 1))
        index = np.concatenate([part[2] for part in self._parts])
        value = np.concatenate([part[3] for part in self._parts])
        return Events(samples, self._steps, size, sample, step, index, value)


def _integer(population: Population) -> IntegerNeuron:
    if not isinstance(population.neuron, IntegerNeuron):
        raise fail(
            "E0301",
            f"'{population.name}' is {type(population.neuron).__name__}: the integer rung runs "
            "quantised populations only",
            population.at,
            "run the quantise pass first",
        )
    return population.neuron


def _core(population: Population, graph: Graph) -> _Core:
    neuron = _integer(population)
    if neuron.reset == "none":
        for projection in graph.outgoing(population.name):
            raise fail(
                "E0303",
                f"'{population.name}' sends graded values along '{projection.name}'",
                population.at,
                "only a population that feeds outputs may be a readout",
            )
    delays = [p.delay + _registered(p, graph) for p in graph.incoming(population.name)]
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
        adaptive = _AdaptiveThreshold(threshold, increment, state.high, *decay, size)
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
    return _Core(
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


def _registered(projection: Projection, graph: Graph) -> int:
    pre = graph.node(projection.pre)
    return int(isinstance(pre, Population) and pre.semantics.registered)


def _fiber(projection: Projection, graph: Graph, target: _Core) -> _Fiber:
    parts = [s for s in stages(projection.connection) if not isinstance(s, Flatten)]
    pushes = [_push(stage, projection) for stage in parts]
    buffers = []
    for stage in parts[:-1]:
        size = int(np.prod(stage.out_shape))
        buffers.append(
            (np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, np.int64))
        )
    return _Fiber(pushes, buffers, projection.delay + _registered(projection, graph), target)


def _plastic_fiber(projection: Projection, graph: Graph, core: _Core) -> PlasticFiber:
    delay = projection.delay + _registered(projection, graph)
    hop = int(delay > 0 and isinstance(graph.node(projection.pre), Population))
    return PlasticFiber(projection, delay, hop, core.wheel, core.v, core.population.lag)


def _smallest(weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same integers in the narrowest type: memory traffic bounds the kernels."""
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if weight.size == 0 or (weight.min() >= info.min and weight.max() <= info.max):
            return np.ascontiguousarray(weight, dtype)
    return np.ascontiguousarray(weight, np.int64)


def _push(stage: Any, projection: Projection) -> Push:
    weight = getattr(stage, "weight", None)
    if weight is not None and weight.dtype.kind != "i":
        raise fail("E0301", f"the weights of '{projection.name}' are not integers", projection.at)
    match stage:
        case Dense():
            rows = _smallest(stage.weight.T)
            return lambda index, value, count, acc: kernels.push_dense(
                index, value, count, rows, acc
            )
        case Sparse():
            narrow = _smallest(stage.weight)
            post = stage.post.astype(np.uint16) if stage.post_size <= 1 << 16 else stage.post
            indptr = stage.indptr
            return lambda index, value, count, acc: kernels.push_sparse(
                index, value, count, indptr, post, narrow, acc
            )
        case OneToOne():
            each = np.ravel(stage.weight)
            return lambda index, value, count, acc: kernels.push_one_to_one(
                index, value, count, each, acc
            )
        case Conv1d() | Conv2d():
            taps, geometry = _conv(stage)
            return lambda index, value, count, acc: kernels.push_conv(
                index, value, count, taps, geometry, acc
            )
        case SumPool2d() if type(stage) is SumPool2d:
            _, height, width = stage.shape
            (top, _), (left, _) = stage.padding
            where = np.array(
                [height, width, *stage.out_shape[1:], *stage.stride, top, left, 1, 1, 1], np.int64
            )
            kernel = np.array(stage.kernel, np.int64)
            return lambda index, value, count, acc: kernels.push_pool(
                index, value, count, where, kernel, acc
            )
    raise fail(
        "E0301",
        f"'{projection.name}' holds a {type(stage).__name__}, which has no integer form",
        projection.at,
        "run the legalise pass first",
    )


def _conv(stage: Conv1d | Conv2d) -> tuple[Any, Any]:
    """Taps as (C_in, Kh, Kw, C_out/groups) and the geometry; one dimension is two with H = 1."""
    if isinstance(stage, Conv1d):
        weight = stage.weight[:, :, None, :]
        size, out = (1, stage.shape[1]), (1, stage.out_shape[1])
        stride, pad = (1, stage.stride), (0, stage.padding[0])
        dilation = (1, stage.dilation)
    else:
        weight = stage.weight
        size, out = stage.shape[1:], stage.out_shape[1:]  # type: ignore[assignment]
        stride, dilation = stage.stride, stage.dilation
        pad = (stage.padding[0][0], stage.padding[1][0])
    outputs, per_group, kernel_h, kernel_w = weight.shape
    grouped = weight.reshape(stage.groups, outputs // stage.groups, per_group, kernel_h, kernel_w)
    taps = grouped.transpose(0, 2, 3, 4, 1).reshape(
        stage.groups * per_group, kernel_h, kernel_w, outputs // stage.groups
    )
    geometry = np.array([*size, *out, *stride, *pad, *dilation, per_group], np.int64)
    return _smallest(taps), geometry


def _order(graph: Graph) -> list[str]:
    """Populations so that same-step projections run forward; ties in the graph's own order."""
    same_step: nx.DiGraph[str] = nx.DiGraph()
    rank = {p.name: k for k, p in enumerate(graph.populations)}
    same_step.add_nodes_from(rank)
    for p in graph.projections:
        if p.pre in rank and p.delay + _registered(p, graph) == 0:
            same_step.add_edge(p.pre, p.post)
    return list(nx.lexicographical_topological_sort(same_step, key=rank.__getitem__))


def _sorted_counts(stimulus: Stimulus, node: Input) -> tuple[Any, Any, Any]:
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
    bad = (events.value < 0) | (events.value != np.rint(events.value))
    if not events.integer or bad.any():
        at = int(np.argmax(bad))
        raise fail(
            "E0703",
            f"input '{node.name}' holds {int(bad.sum())} value(s) that are no spike count, first "
            f"{events.value[at]:g} in step {events.step[at]} of sample {events.sample[at]}, "
            f"line {events.index[at]}",
            hint="spikes are counted: whole numbers of zero and more",
        )
    place = events.sample.astype(np.int64) * events.steps + events.step
    starts = np.searchsorted(place, np.arange(events.samples * events.steps + 1))
    return events.index.astype(np.int64), np.asarray(events.value, np.int64), starts
