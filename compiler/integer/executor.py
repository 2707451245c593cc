"""Executes a quantised graph: event-driven, over compact connections, bit-exact.

Each population has a wheel of accumulators, one page for each pending step; a spike adds the
weights of its row to the page of the step in which it arrives. Memory is the connections' own
size plus the wheels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

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
from ...ir.events import Recording, Stimulus
from ...ir.graph import Graph, Input, Population, Projection, tied_weight
from ...ir.integer_plasticity import IntegerHebbian, IntegerPairSTDP, IntegerThreeFactorSTDP
from ...ir.loihi_learning import LoihiPairSTDP
from ...ir.neurons import IntegerNeuron, LoihiNeuron, SpinnakerLIF
from ...ir.plasticity import SpinnakerPairSTDP, learning_phases, sides
from . import kernels
from .learning import LearningFiber, PlasticFiber
from .loihi import (
    WORD,
    LoihiFiber,
    LoihiState,
    SigmaDeltaState,
    by_delay,
    largest_delay,
    loihi_state,
    scaled,
    wrap_of,
)
from .loihi_learning import LoihiLearningFiber
from .pairs import HebbianFiber, PairFiber, Shown, ThreeFactorFiber, TiedFiber
from .population import (
    PopulationState,
    Sink,
    population_state,
    registered,
    same_step_order,
    sorted_counts,
)
from .spinnaker import SpinnakerFiber, SpinnakerState

# Stages whose weights mix their inputs.
MIXING = (Dense, Sparse, Conv1d, Conv2d)
Push = Callable[[Any, Any, int, Any], int]
Core = PopulationState | SpinnakerState | LoihiState | SigmaDeltaState


@dataclass
class _Fiber:
    """A projection made ready: its stages as closures, with a buffer between each two.

    ``wheel`` is that of the population where it ends, or of one of its receptors.
    """

    pushes: list[Push]
    buffers: list[tuple[Any, Any, Any]]
    delay: int
    wheel: Any
    operations: int = 0

    def send(self, index: Any, value: Any, count: int, step: int) -> None:
        page = self.wheel[(step + self.delay) % len(self.wheel)]
        for push, (buffer, next_index, next_value) in zip(
            self.pushes[:-1], self.buffers, strict=True
        ):
            self.operations += push(index, value, count, buffer)
            count = kernels.gather(buffer, next_index, next_value)
            index, value = next_index, next_value
        self.operations += self.pushes[-1](index, value, count, page)


class Executor:
    """A quantised graph made ready to run any number of stimuli.

    Plastic weights are the executor's own: they start as the graph's, and stay learned from sample
    to sample and from run to run until ``reset``; so does the generator of stochastic rounding.
    Everything else is cleared before each sample.

    ``sums`` has, for some projections, what adds the weighted sums of a step to the accumulators in
    place of its stage that is `MIXING`, of which it must have one: hardware with ways of its own.

    Raises ``SpikecError`` (E0301) when a population is not quantised, E0303 when a readout feeds
    another one; those of Loihi that send graded values may.
    """

    def __init__(self, graph: Graph, seed: int = 1, sums: Mapping[str, Push] | None = None) -> None:
        self.graph = graph
        self._seed = np.uint32(seed or 1)
        self._cores = {p.name: _core(p, graph) for p in graph.populations}
        self._fibers: dict[str, list[_Fiber | LoihiFiber | LearningFiber | TiedFiber]] = {
            n.name: [] for n in graph.nodes
        }
        # Those that learn, by the population in which they end.
        self._learning: dict[str, list[LearningFiber]] = {p.name: [] for p in graph.populations}
        self._plastic: dict[str, LearningFiber] = {}
        self._tied: dict[str, TiedFiber] = {}
        self._shown = _shown(graph)
        for projection in graph.projections:
            if projection.plasticity is not None:
                core = self._cores[projection.post]
                learns = _plastic_fiber(projection, graph, core, self._shown)
                self._plastic[projection.name] = learns
                self._learning[projection.post].append(learns)
        for projection in graph.projections:
            core, name = self._cores[projection.post], projection.name
            fiber: _Fiber | LoihiFiber | LearningFiber | TiedFiber
            if projection.tied is not None and projection.tied.projection in self._plastic:
                source = self._plastic[projection.tied.projection]
                fiber = self._tied[name] = _tied_fiber(projection, graph, core, source)
            else:
                fiber = self._plastic.get(name) or _make(
                    projection, graph, core, (sums or {}).get(name)
                )
            self._fibers[projection.pre].append(fiber)
        self._order = same_step_order(graph)
        self.lag = max((p.lag for p in graph.populations), default=0)

    @property
    def synaptic_operations(self) -> int:
        """Synaptic operations done since the executor was made."""
        return sum(f.operations for fibers in self._fibers.values() for f in fibers)

    def weights(self, projection: str) -> npt.NDArray[np.int64]:
        """The weights of a projection as they are now, in the shape of its connection's ``weight``.

        E0707 where there is no such projection, or none of its stages has weights.
        """
        for fibers in (self._plastic, self._tied):
            if projection in fibers:
                return fibers[projection].weights
        for p in self.graph.projections:
            for stage in stages(p.connection) if p.name == projection else ():
                if stage.WEIGHTED:
                    return np.array(stage.weight)  # type: ignore[attr-defined]
        raise fail("E0707", f"there is no projection '{projection}' with weights")

    def learned(self) -> Graph:
        """The graph with the weights as they are sent now, plasticity included.

        What a weight has below its unit is not in it; tied weights are those of whole ones.
        """
        learned = {p.name: self._learned(p) for p in self.graph.projections}
        for name in self._tied:
            learned[name] = _following(learned[name], learned)
        return replace(self.graph, projections=tuple(learned.values()))

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
        for tied in self._tied.values():
            tied.reset()

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
        shown = {name: Sink(self._cores[name], raw, stimulus.steps, length) for name in populations}
        states = {
            key: np.zeros(
                (stimulus.samples, length if raw else stimulus.steps, word.size), np.int64
            )
            for key, (word, _) in words.items()
        }
        phases = learning_phases(learning, stimulus.samples)
        plastics, ties = tuple(self._plastic.values()), tuple(self._tied.values())
        nodes = tuple(self._shown.values())
        graded = {
            name: node
            for name, node in self._shown.items()
            if name in self._cores and _graded(self._cores[name])
        }
        tail = max((plastic.tail for plastic in plastics), default=0)
        snapshots: dict[str, list[Any]] = {name: [] for name in self._plastic}
        lines = {
            node.name: sorted_counts(stimulus, node, self.graph.signed(node.name))
            for node in self.graph.inputs
        }
        for sample in range(stimulus.samples):
            noise = np.array([self._seed], np.uint32)
            for core in self._cores.values():
                core.clear()
            for node in nodes:
                node.clear()
            for tied in ties:
                tied.clear()
            for plastic in plastics:
                plastic.clear()
                plastic.learning = plastic.starts and phases[sample]
            for step in range(length):
                for node in nodes:
                    node.begin()
                for plastic in plastics:
                    plastic.begin(step)
                if step < stimulus.steps:
                    self._feed(lines, sample, step, stimulus.steps)
                for plastic in plastics:
                    plastic.early(step)
                for tied in ties:
                    tied.early(step)
                for name in self._order:
                    core = self._cores[name]
                    count = core.step(step, noise)
                    if count:
                        for fiber in self._fibers[name]:
                            fiber.send(core.index, core.value, count, step)
                        if name in self._shown:
                            self._shown[name].take(core.index, core.value, count)
                    if name in graded:
                        graded[name].take_all(core.v)
                    for plastic in self._learning[name]:
                        plastic.end(step, core.index, count)
                    if name in shown:
                        shown[name].take(sample, step, count)
                for plastic in plastics:
                    plastic.late(step)
                for plastic in plastics:
                    plastic.change()
                for tied in ties:
                    tied.follow()
                for key, store in states.items():
                    word, lag = words[key]
                    at = step if raw else step - lag
                    if 0 <= at < store.shape[1]:
                        store[sample, at] = word
                if record_weights == "steps":
                    self._photograph(snapshots)
            # What is still on its way pairs, too.
            for step in range(length, length + tail):
                for node in nodes:
                    node.over()
                for plastic in plastics:
                    plastic.begin(step)
                    plastic.early(step)
                    plastic.late(step)
            for plastic in plastics:
                plastic.close()
            for tied in ties:
                tied.follow()
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
        for name, (index, value, starts) in lines.items():
            low, high = starts[sample * steps + step], starts[sample * steps + step + 1]
            if high > low:
                events = (index[low:high], value[low:high], high - low)
                for fiber in self._fibers[name]:
                    fiber.send(*events, step)
                if name in self._shown:
                    self._shown[name].take(*events)


def _graded(core: Core) -> bool:
    neuron = core.population.neuron
    return isinstance(neuron, IntegerNeuron) and not neuron.spiking


def _core(population: Population, graph: Graph) -> Core:
    if isinstance(population.neuron, SpinnakerLIF):
        delays = [p.delay + registered(p, graph) for p in graph.incoming(population.name)]
        return SpinnakerState(population, population.neuron, max(delays, default=0) + 1)
    if isinstance(population.neuron, LoihiNeuron):
        delays = [largest_delay(p) for p in graph.incoming(population.name)]
        return loihi_state(population, population.neuron, max(delays, default=0) + 1)
    return population_state(population, graph)


def _make(
    projection: Projection, graph: Graph, core: Core, sums: Push | None
) -> _Fiber | LoihiFiber:
    if isinstance(core, LoihiState | SigmaDeltaState):
        return _loihi_fiber(projection, graph, core)
    return _fiber(projection, graph, core, sums)


def _loihi_fiber(projection: Projection, graph: Graph, target: Core) -> LoihiFiber:
    exponent = 0 if projection.words is None else projection.words.exponent
    parts: list[tuple[_Fiber, int, Any]] = []
    for part in by_delay(projection):
        connection = scaled(part.connection, exponent)
        fiber = _fiber(replace(part, connection=connection), graph, target)
        total, bits = None, wrap_of(part, graph)
        if exponent < 0 or bits < WORD:
            # A page of its own, so that the sum is shifted or wraps, and not each weight.
            fiber.wheel = np.zeros((1, target.wheel.shape[1]), np.int64)
            total = fiber.wheel[0]
        parts.append((fiber, part.delay, total))
    return LoihiFiber(projection, [*parts], target.wheel, wrap_of(projection, graph))


def _fiber(projection: Projection, graph: Graph, target: Core, sums: Push | None = None) -> _Fiber:
    parts = [s for s in stages(projection.connection) if not isinstance(s, Flatten)]
    lacks = "short-term plasticity" if projection.short_term is not None else None
    if any(isinstance(s, Sparse) and s.steps is not None for s in parts):
        lacks = "synapses with delays of their own"
    if lacks is not None:
        raise fail(
            "E0301",
            f"'{projection.name}' has {lacks}, which the integer rung has not",
            projection.at,
            "legalise makes one projection of each delay"
            if projection.short_term is None
            else "run it on the golden rung",
        )
    pushes = [
        sums if sums is not None and isinstance(stage, MIXING) else _push(stage, projection)
        for stage in parts
    ]
    buffers = []
    for stage in parts[:-1]:
        size = int(np.prod(stage.out_shape))
        buffers.append(
            (np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, np.int64))
        )
    return _Fiber(
        pushes,
        buffers,
        projection.delay + registered(projection, graph),
        _wheel(projection, target),
    )


def _wheel(projection: Projection, target: Core) -> Any:
    """The pages to which a projection adds."""
    if isinstance(target, SpinnakerState):
        return target.port(projection.receptor)
    return target.wheel


def _following(projection: Projection, others: dict[str, Projection]) -> Projection:
    """A tied projection with the weights of the one that it is tied to."""
    assert projection.tied is not None
    ends = (projection.connection, others[projection.tied.projection].connection)
    mine, source = (s for end in ends for s in stages(end) if s.WEIGHTED)
    weight = tied_weight(mine, source, projection.tied)  # type: ignore[arg-type]
    parts = tuple(
        replace(s, weight=weight) if s.WEIGHTED else s  # type: ignore[call-arg]
        for s in stages(projection.connection)
    )
    return replace(projection, connection=chain(parts, projection.connection.in_shape))


def _shown(graph: Graph) -> dict[str, Shown]:
    """The nodes that rules read."""
    found = {}
    for projection in graph.projections:
        for factor in () if projection.plasticity is None else projection.plasticity.rule.factors:
            end = projection.pre if factor.side == "pre" else projection.post
            node = graph.node(factor.node or end)
            late = isinstance(node, Population) and node.semantics.registered
            found[node.name] = Shown(node.size, late)
    return found


def _tied_fiber(
    projection: Projection, graph: Graph, core: Core, source: LearningFiber
) -> TiedFiber:
    assert projection.tied is not None
    delay = projection.delay + registered(projection, graph)
    neuron = core.population.neuron
    if not isinstance(neuron, IntegerNeuron):
        raise fail(
            "E0301",
            f"'{projection.name}' is tied to '{projection.tied.projection}'; "
            f"{type(neuron).__name__} has no tied weights",
            projection.at,
        )
    form = neuron.numerics.weight
    return TiedFiber(projection, projection.tied, source, delay, core.wheel, form)


def _plastic_fiber(
    projection: Projection, graph: Graph, core: Core, shown: dict[str, Shown]
) -> LearningFiber:
    delay = projection.delay + registered(projection, graph)
    plasticity = projection.plasticity
    rule = None if plasticity is None else plasticity.rule
    if isinstance(rule, SpinnakerPairSTDP):
        pages = _wheel(projection, core)
        return SpinnakerFiber(projection, rule, pages, core.population.lag)
    if isinstance(rule, LoihiPairSTDP):
        return LoihiLearningFiber(projection, rule, core.wheel, core.population.lag)
    if isinstance(core, SpinnakerState | LoihiState | SigmaDeltaState):
        chip = "SpiNNaker" if isinstance(core, SpinnakerState) else "Loihi"
        raise fail(
            "E0301",
            f"'{projection.name}' learns by {type(rule).__name__}, which {chip}'s arithmetic "
            "does not have",
            projection.at,
        )
    if isinstance(rule, IntegerPairSTDP):
        axonal = sides(rule, projection.delay)[0] + registered(projection, graph)
        early = axonal > 0 or isinstance(graph.node(projection.pre), Input)
        arguments = (axonal, early, core.wheel, core.population.lag, shown)
        if isinstance(rule, IntegerThreeFactorSTDP):
            return ThreeFactorFiber(projection, rule, *arguments)
        return PairFiber(projection, rule, *arguments)
    if isinstance(rule, IntegerHebbian):
        return HebbianFiber(projection, rule, delay, core.wheel, core.population.lag, shown)
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
