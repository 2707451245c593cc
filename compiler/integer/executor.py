"""Executes a quantised graph: event-driven, over compact connections, bit-exact.

Each population has a wheel of accumulators, one page for each pending step; a spike adds the
weights of its row to the page of the step in which it arrives. Memory is the connections' own
size plus the wheels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt

from ...ir.connections import Conv1d, Conv2d, Dense, Flatten, OneToOne, Sparse, SumPool2d, stages
from ...ir.diagnostics import fail
from ...ir.events import Events, Recording, Stimulus
from ...ir.graph import Graph, Input, Population, Projection
from ...ir.neurons import IntegerNeuron
from ...ir.numerics import Overflow, Rounding
from . import kernels

_ROUNDING = {
    Rounding.NEAREST_EVEN: kernels.NEAREST_EVEN,
    Rounding.NEAREST_AWAY: kernels.NEAREST_AWAY,
    Rounding.TOWARD_ZERO: kernels.TOWARD_ZERO,
    Rounding.UP: kernels.UP,
    Rounding.DOWN: kernels.DOWN,
    Rounding.STOCHASTIC: kernels.STOCHASTIC,
}
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
    fibers: list[_Fiber] = field(default_factory=list)

    def clear(self) -> None:
        self.wheel[:] = 0
        self.v[:] = 0
        self.u[:] = 0
        self.wait[:] = 0

    def step(self, step: int, noise: Any) -> int:
        """Advance to ``step``; returns the number of spiking neurons, listed in ``index``."""
        page = self.wheel[step % len(self.wheel)]
        if step < self.population.lag:
            page[:] = 0  # at rest: what arrives is lost, not kept for a later turn of the wheel
            return 0
        first = step == self.population.lag and self.bias_first is not None
        bias = self.bias_first if first else self.bias
        state = (page, self.v, self.u, self.wait, bias)
        arguments = (*state, *self.parameters, noise, self.index, self.value)
        return int(kernels.neuron_step(*arguments))


class Executor:
    """A quantised graph made ready to run any number of stimuli.

    Raises ``SpikecError`` (E0301) when a population is not quantised or sends graded values.
    """

    def __init__(self, graph: Graph, seed: int = 1) -> None:
        self.graph = graph
        self._seed = np.uint32(seed or 1)
        self._cores = {p.name: _core(p, graph) for p in graph.populations}
        self._inputs: dict[str, list[_Fiber]] = {i.name: [] for i in graph.inputs}
        for projection in graph.projections:
            fiber = _fiber(projection, graph, self._cores[projection.post])
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

    def run(
        self,
        stimulus: Stimulus,
        *,
        populations: Sequence[str] | None = None,
        record: Sequence[tuple[str, str]] = (),
        raw: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> Recording:
        """Run every sample from rest.

        Records the emission of ``populations`` (default: the outputs' sources) and the state
        variables in ``record``, as integers. With ``raw`` the lags are left in, so that the steps
        are those of the hardware.

        Raises E0206 for an unknown population or variable, E0702 for a stimulus of other inputs,
        E0703 for values that are no counts.
        """
        if populations is None:
            populations = list(dict.fromkeys(o.source for o in self.graph.outputs))
        for name, variable in (*((name, "v") for name in populations), *record):
            if name not in self._cores or variable not in ("v", "u"):
                raise fail("E0206", f"there is no '{name}.{variable}' to record")
        length = stimulus.steps + self.lag
        shown = {
            name: _Sink(self._cores[name], raw, stimulus.steps, length) for name in populations
        }
        states = {
            key: np.zeros(
                (stimulus.samples, length if raw else stimulus.steps, self._cores[key[0]].v.size),
                np.int64,
            )
            for key in record
        }
        lines = {node.name: _sorted_counts(stimulus, node) for node in self.graph.inputs}
        for sample in range(stimulus.samples):
            noise = np.array([self._seed], np.uint32)
            for core in self._cores.values():
                core.clear()
            for step in range(length):
                if step < stimulus.steps:
                    self._feed(lines, sample, step, stimulus.steps)
                for name in self._order:
                    core = self._cores[name]
                    count = core.step(step, noise)
                    if count:
                        for fiber in core.fibers:
                            fiber.send(core.index, core.value, count, step)
                    if name in shown:
                        shown[name].take(sample, step, count)
                for (name, variable), store in states.items():
                    core = self._cores[name]
                    at = step if raw else step - core.population.lag
                    if 0 <= at < store.shape[1]:
                        store[sample, at] = core.v if variable == "v" else core.u
            if progress is not None:
                progress((sample + 1) / stimulus.samples)
        spikes = {name: sink.events(stimulus.samples) for name, sink in shown.items()}
        return Recording("integer", self.graph.dt, spikes, dict(states))

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

    integers = np.array(
        [
            neuron.shift,
            numerics.decay_bits,
            _ROUNDING[state.rounding],
            state.overflow is Overflow.WRAP,
            state.low,
            state.high,
            _RESET[neuron.reset],
            neuron.decay_u is not None,
            neuron.current_old,
            neuron.max_spikes or 0,
            neuron.refractory,
            neuron.refractory_frozen,
        ],
        np.int64,
    )
    parameters = (
        flat(neuron.decay_v),
        flat(neuron.decay_u if neuron.decay_u is not None else 0),
        flat(neuron.threshold),
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
