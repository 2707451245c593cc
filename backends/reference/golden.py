"""The golden reference: any real-valued graph in Brian2, in float64.

Each population is a NeuronGroup whose step is abstract code in a slot of its own, in topological
order of the projections without delay, followed by a slot in which it sends. A projection adds
``w * z`` to the sum S of its post population, which the post population's step consumes. So a
value sent to a population further on arrives in the same step, to one further back in the next.

All samples run back to back in one simulation. A clock that ticks once a sample restores every
state before the sample's first step.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...compiler.connectivity import delays, to_sparse
from ...ir.diagnostics import fail
from ...ir.events import Events, Recording, Stimulus
from ...ir.graph import Graph, Input, Population, Projection
from ...ir.neurons import LI, CubaLI, Emission, IntegerNeuron, Integrator, Relay, Threshold
from ...ir.semantics import Comparison, Current, Reset
from ...ir.step import step_parameters
from ...ir.verify import verify
from .session import build_and_run, compiler_missing, load_brian, session

Real = npt.NDArray[np.float64]
Codegen = Literal["auto", "numpy", "standalone"]
Progress = Callable[[float], None]

# CPU seconds, measured on the N-MNIST network: a Brian2 object takes 20 us a step in numpy code, a
# neuron 30 ns, a synaptic event 10 ns. A C++ project of that size takes 12 s to compile.
_OBJECT_SECONDS, _NEURON_SECONDS, _EVENT_SECONDS = 20e-6, 30e-9, 10e-9
_STANDALONE_FROM_SECONDS = 30.0
# A step of Brian2's clocks, in seconds. The network never asks for the time, and a power of two
# makes every instant exact: C++ code takes clocks for different that are 1e-14 s apart.
_TICK = 2.0**-10
_TIMED_ARRAY_FROM = 0.05  # share of non-zero inputs from which a dense array is the smaller form


def run_golden(
    graph: Graph,
    stimulus: Stimulus,
    *,
    record: Sequence[tuple[str, str]] = (),
    populations: Sequence[str] | None = None,
    codegen: Codegen = "auto",
    progress: Progress | None = None,
) -> Recording:
    r"""Run ``graph`` on ``stimulus`` with the rules of ``ir.semantics`` in float64.

    ``populations`` are those whose emission is recorded (default: the sources of the outputs),
    ``record`` the state variables, as pairs of population and ``"v"`` or ``"u"``: arrays of shape
    (samples, steps, neurons) of the value at the end of each step. A population with a lag L is
    recorded from its step L on; the run is longer by the largest lag, so that every sample has all
    its steps. The step by which a registered population is late is part of its semantics and
    stays.

    ``codegen`` is ``"numpy"``, ``"standalone"`` (one C++ program, compiled first) or ``"auto"``,
    which estimates the work; spikes are the same. ``progress`` is called with the finished share.

    Raises E0206 for an unknown population or variable, E0301 for an integer population, E0601
    without Brian2, E0602 without a compiler, E0702 for a stimulus of other inputs.
    """
    verify(graph)
    names = _names(graph, populations)
    _check(graph, stimulus, record)
    plan = _plan(graph, stimulus, names, tuple(record))
    if stimulus.samples == 0 or stimulus.steps == 0:
        return _recording(plan, {}, {})
    brian = load_brian()
    standalone = codegen == "standalone" or (
        codegen == "auto"
        and _numpy_seconds(plan) > _STANDALONE_FROM_SECONDS
        and compiler_missing() is None
    )
    if not standalone:
        with session(brian, None):
            built = _build(brian, plan)
            report = None if progress is None else _report(progress)
            built.network.run(
                plan.samples * plan.period * _TICK * brian.second,
                report=report,
                report_period=0.2 * brian.second,
                namespace={},
            )
            return _recording(plan, *_read(plan, built))
    with tempfile.TemporaryDirectory(prefix="spikec-golden-") as name:
        folder = Path(name)
        with session(brian, folder) as device:
            built = _build(brian, plan)
            built.network.run(plan.samples * plan.period * _TICK * brian.second, namespace={})
            build_and_run(device, folder)
            result = _recording(plan, *_read(plan, built))
    if progress is not None:
        progress(1.0)
    return result


def _report(progress: Progress) -> Callable[[Any, float, Any, Any], None]:
    def report(elapsed: Any, completed: float, start: Any, duration: Any) -> None:
        progress(float(completed))

    return report


def _names(graph: Graph, populations: Sequence[str] | None) -> tuple[str, ...]:
    wanted = [output.source for output in graph.outputs] if populations is None else populations
    known = {population.name for population in graph.populations}
    for name in wanted:
        if name not in known:
            raise fail("E0206", f"there is no population '{name}' to record")
    return tuple(dict.fromkeys(wanted))


def _check(graph: Graph, stimulus: Stimulus, record: Sequence[tuple[str, str]]) -> None:
    for population in graph.populations:
        if isinstance(population.neuron, IntegerNeuron):
            raise fail(
                "E0301",
                f"population '{population.name}' is quantised; the golden reference runs the "
                "real-valued graph",
                population.at,
                "run the graph as it was before quantising",
            )
    for name, variable in record:
        known = [p.neuron.STATE for p in graph.populations if p.name == name]
        if not known or variable not in known[0]:
            raise fail("E0206", f"there is no '{name}.{variable}' to record")
    for line in graph.inputs:
        events = stimulus.inputs.get(line.name)
        if events is None:
            raise fail("E0702", f"the stimulus has nothing for input '{line.name}'", line.at)
        if events.size != line.size:
            raise fail(
                "E0702",
                f"input '{line.name}' has {line.size} lines, the stimulus {events.size}",
                line.at,
            )
    extra = sorted(set(stimulus.inputs) - {line.name for line in graph.inputs})
    if extra:
        raise fail("E0702", f"the network has no input '{extra[0]}'")


# -- what to simulate ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Node:
    """An input or a population: its place in the order of a step and what it sends.

    A ``single`` node sends ones only, so Brian2 may delay its spikes. Any other keeps its last
    ``latches`` values, and synapses read the one they are due.
    """

    source: Input | Population
    place: int
    single: bool
    latches: int

    @property
    def brian_name(self) -> str:
        return f"input{-self.place}" if self.place < 0 else f"population{self.place}"


@dataclass(frozen=True)
class _Pathway:
    """Synapses (i, j, w) that act ``latch`` steps, plus Brian2's ``delay``, after the emission."""

    name: str
    pre: str
    post: str
    i: npt.NDArray[np.int32]
    j: npt.NDArray[np.int32]
    w: Real
    latch: int
    delay: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Plan:
    """A sample is ``steps`` long, plus ``lag``, plus ``pad`` steps in which late spikes die."""

    graph: Graph
    stimulus: Stimulus
    populations: tuple[str, ...]
    record: tuple[tuple[str, str], ...]
    nodes: dict[str, _Node]
    pathways: tuple[_Pathway, ...]
    lag: int
    pad: int

    @property
    def dt(self) -> float:
        return self.graph.dt

    @property
    def samples(self) -> int:
        return self.stimulus.samples

    @property
    def steps(self) -> int:
        return self.stimulus.steps

    @property
    def live(self) -> int:
        """Steps of a sample in which anything is sent."""
        return self.steps + self.lag

    @property
    def period(self) -> int:
        return self.live + self.pad

    def latches_read(self, name: str) -> list[int]:
        """The ages of its values that the synapses of a node, or its recording, read."""
        ages = {p.latch for p in self.pathways if p.pre == name}
        return sorted(ages | ({0} if name in self.populations else set()))


def _plan(
    graph: Graph,
    stimulus: Stimulus,
    populations: tuple[str, ...],
    record: tuple[tuple[str, str], ...],
) -> _Plan:
    single = {
        line.name: bool((stimulus.inputs[line.name].value == 1).all()) for line in graph.inputs
    }
    single |= {population.name: _single(population) for population in graph.populations}
    place = {line.name: -1 - k for k, line in enumerate(graph.inputs)}
    synapses = {p.name: _synapses(graph, p) for p in graph.projections}
    before: dict[str, set[str]] = {population.name: set() for population in graph.populations}
    for projection in graph.projections:
        steps = synapses[projection.name][3]
        if projection.pre in before and steps.size and not steps.min():
            before[projection.post].add(projection.pre)
    place |= {name: k for k, name in enumerate(TopologicalSorter(before).static_order())}
    pathways = [
        pathway
        for projection in graph.projections
        for pathway in _pathways(
            projection,
            synapses[projection.name],
            place[projection.pre] < place[projection.post],
            single[projection.pre],
        )
    ]
    latches = dict.fromkeys(place, 0)
    for pathway in pathways:
        latches[pathway.pre] = max(latches[pathway.pre], pathway.latch)
    sources: list[Input | Population] = [*graph.inputs, *graph.populations]
    return _Plan(
        graph,
        stimulus,
        populations,
        record,
        {
            node.name: _Node(node, place[node.name], single[node.name], latches[node.name])
            for node in sources
        },
        tuple(pathways),
        max((population.lag for population in graph.populations), default=0),
        max((int(p.delay.max()) for p in pathways if p.delay.size), default=0),
    )


def _single(population: Population) -> bool:
    """Whether everything that the population sends is a single spike."""
    if population.neuron.EMISSION is Emission.GRADED:
        return False
    return population.semantics.max_spikes == 1 or isinstance(population.neuron, Threshold)


_Synapses = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Real, npt.NDArray[np.int64]]


def _synapses(graph: Graph, projection: Projection) -> _Synapses:
    """Pre, post, weight and delay in steps of every synapse, sorted by pre."""
    matrix = to_sparse(projection.connection)
    i = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
    j = matrix.indices.astype(np.int32)
    early, late = delays(projection.connection, projection.at)
    pre = graph.node(projection.pre)
    # A registered population shows its spikes one step late: one step more on every way out.
    shown = int(isinstance(pre, Population) and pre.semantics.registered)
    steps = projection.delay + shown + early[i] + late[j]
    return i, j, matrix.data.astype(np.float64), steps


def _pathways(
    projection: Projection, synapses: _Synapses, ahead: bool, single: bool
) -> Iterator[_Pathway]:
    i, j, w, steps = synapses
    if not w.size:
        return
    due = steps - (not ahead)  # what is sent backwards is consumed in the next step anyway
    if single:
        uniform = due[:1] if (due == due[0]).all() else due
        yield _Pathway(projection.name, projection.pre, projection.post, i, j, w, 0, uniform)
        return
    for age in np.unique(due):
        at = due == age
        yield _Pathway(
            projection.name,
            projection.pre,
            projection.post,
            i[at],
            j[at],
            w[at],
            int(age),
            np.zeros(1, np.int64),
        )


def _numpy_seconds(plan: _Plan) -> float:
    """A rough estimate of the time that numpy code would take."""
    steps = plan.samples * plan.period
    objects = 3 * len(plan.nodes) + 2 * len(plan.pathways)
    events = 0.0
    for pathway in plan.pathways:
        node = plan.nodes[pathway.pre]
        if isinstance(node.source, Input):
            sent = np.bincount(plan.stimulus.inputs[pathway.pre].index, minlength=node.source.size)
            events += float(sent[pathway.i].sum())
        else:  # a spike in a hundred steps, or a value in every step
            graded = node.source.neuron.EMISSION is Emission.GRADED
            events += pathway.w.size * steps * (1.0 if graded else 0.01)
    neurons = sum(node.source.size for node in plan.nodes.values())
    return steps * (objects * _OBJECT_SECONDS + neurons * _NEURON_SECONDS) + events * _EVENT_SECONDS


# -- the code of one step ------------------------------------------------------------------------


@dataclass
class _Code:
    """Brian2 abstract code of one group, with the variables and constants that it names."""

    size: int
    state: dict[str, float] = field(default_factory=dict)
    constants: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, Real] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def value(self, name: str, value: npt.ArrayLike) -> str:
        """Declare a number of the population or one of each neuron, under ``name``."""
        array = np.asarray(value, np.float64)
        if array.size and (array == array.flat[0]).all():
            self.constants[name] = float(array.flat[0])
        else:
            self.arrays[name] = array.ravel()
        return name

    def add(self, *lines: str) -> None:
        self.lines.extend(lines)

    @property
    def model(self) -> str:
        """The equations that declare the variables."""
        variables = [f"{name} : 1" for name in self.state]
        return "\n".join(variables + [f"{name} : 1 (constant)" for name in self.arrays])

    @property
    def start(self) -> str:
        """The code that restores the initial state."""
        return "\n".join(f"{name} = {value!r}" for name, value in self.state.items())


def _latch(code: _Code, latches: int) -> None:
    code.state["z"] = 0.0
    code.state |= {f"z{age}": 0.0 for age in range(1, latches + 1)}
    code.add(*(f"z{age} = {_age(age - 1)}" for age in range(latches, 0, -1)))


def _age(age: int) -> str:
    """The variable that holds what was emitted ``age`` steps ago."""
    return f"z{age}" if age else "z"


def _input_code(node: _Node) -> _Code:
    code = _Code(node.source.size)
    _latch(code, node.latches)
    code.add("z = 0")
    return code


def _population_code(plan: _Plan, node: _Node) -> _Code:
    """The step of ``ir.semantics.Semantics`` with the numbers of ``ir.step``."""
    population = node.source
    assert isinstance(population, Population)
    neuron, semantics = population.neuron, population.semantics
    code = _Code(population.size)
    step = step_parameters(neuron, semantics, plan.dt)
    _latch(code, node.latches)
    code.state["total"] = 0.0
    code.constants |= {"period": plan.period, "lag": population.lag, "live": plan.live}
    code.add("phase = t_in_timesteps % period", "drive = total" + _bias(plan, population, code))
    code.add("total = 0")
    # Before its lag a population rests; after its sample it is silent, so that nothing is pending
    # when the next one starts.
    on = ""
    if population.lag or plan.pad:
        code.add("on = int(phase >= lag) * int(phase < live)")
        on = "on * "
    if isinstance(neuron, Relay):
        code.add(f"z = {on}drive")
        return code
    above = ">" if semantics.comparison is Comparison.GREATER else ">="
    if isinstance(neuron, Threshold):
        code.value("theta", neuron.v_threshold)
        code.add(f"z = {on}int(drive {above} theta)")
        return code

    code.state["v"] = semantics.v_init
    if step.decay_u is not None and step.gain_u is not None:
        code.state["u"] = 0.0
        code.value("decay_u", step.decay_u)
        code.value("gain_u", step.gain_u)
        code.add("new_u = decay_u * u + gain_u * drive")
        source = "new_u" if semantics.current is Current.NEW else "u"
    else:
        source = "drive"
    code.value("decay_v", step.decay_v)
    code.value("gain_v", step.gain_v)
    drift = f" + {code.value('drift', step.drift)}" if step.drift.any() else ""
    code.add(f"w = decay_v * v{drift} + gain_v * {source}")
    if semantics.v_min is not None:
        code.value("v_min", semantics.v_min)
        code.add("w = clip(w, v_min, inf)")
    if isinstance(neuron, LI | CubaLI | Integrator):
        code.add("new_v = w", f"z = {on}w")
    else:
        assert step.threshold is not None
        code.value("theta", step.threshold)
        _spike(code, population, on, above, step.v_reset)
    if population.lag:
        code.add("v = on * new_v + (1 - on) * v")
        if "u" in code.state:
            code.add("u = on * new_u + (1 - on) * u")
    else:
        code.add("v = new_v")
        if "u" in code.state:
            code.add("u = new_u")
    return code


def _spike(code: _Code, population: Population, on: str, above: str, v_reset: Real | None) -> None:
    """Lines that emit z from w and leave the membrane after the reset in ``new_v``."""
    semantics = population.semantics
    if semantics.max_spikes == 1:
        level = f"theta * (1 + int(v {above} theta))"
        two_phase = semantics.reset is Reset.TWO_PHASE
        code.add(f"count = int(w {above} {level if two_phase else 'theta'})")
    else:
        twice = f" - theta * int(v {above} theta)" if semantics.reset is Reset.TWO_PHASE else ""
        code.value("most", np.inf if semantics.max_spikes is None else semantics.max_spikes)
        # Brian2's floor is an int32 in numpy code; this one is a float in both.
        code.add(f"count = clip(((w{twice}) / theta) // 1.0, 0, most)")
    refractory = semantics.refractory > 0
    if refractory:
        code.state["hold"] = 0.0
        code.value("refractory", semantics.refractory)
        code.add("held = int(hold > 0)", f"z = {on}(1 - held) * count")
    else:
        code.add(f"z = {on}count")
    code.add("fired = int(z > 0)")
    if refractory:
        code.add("hold = hold - held + fired * refractory")
    match semantics.reset:
        case Reset.ZERO:
            code.add("new_v = (1 - fired) * w")
        case Reset.VALUE:
            code.value("v_reset", np.zeros(()) if v_reset is None else v_reset)
            code.add("new_v = (1 - fired) * w + fired * v_reset")
        case Reset.SUBTRACT | Reset.TWO_PHASE:
            code.add("new_v = w - z * theta")
    if refractory and semantics.refractory_frozen:
        code.add("new_v = held * v + (1 - held) * new_v")


def _bias(plan: _Plan, population: Population, code: _Code) -> str:
    """The constant part of S as a term to add, empty without one."""
    always, later = np.zeros(population.size), np.zeros(population.size)
    for projection in plan.graph.incoming(population.name):
        if projection.bias is None:
            continue
        if projection.recurrent and not population.semantics.recurrent_bias_first:
            later = later + projection.bias
        else:
            always = always + projection.bias
    term = f" + {code.value('bias', always)}" if always.any() else ""
    if later.any():
        term += f" + int(phase != lag) * {code.value('bias_later', later)}"
    return term


# -- Brian2 --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Built:
    network: Any
    spikes: dict[str, Any]
    states: dict[tuple[str, str], Any]


def _slot(node: _Node, part: str) -> str:
    return f"{part}_{node.brian_name}"


def _build(brian: Any, plan: _Plan) -> _Built:
    clock = brian.Clock(_TICK * brian.second, name="step_clock")
    restart = brian.Clock(plan.period * _TICK * brian.second, name="sample_clock")
    network = brian.Network()
    order = sorted(plan.nodes.values(), key=lambda node: node.place)
    network.schedule = [
        *("start", "groups"),  # where Brian2 keeps what takes no part in a step
        "restart",
        "feed",
        *(_slot(node, part) for node in order for part in ("step", "send")),
        "record",
    ]
    groups: dict[str, Any] = {}
    for node in order:
        name = node.source.name
        if isinstance(node.source, Input):
            code = _input_code(node)
            slot = "restart"  # cleared before the stimulus is added
        else:
            code = _population_code(plan, node)
            slot = _slot(node, "step")
        group = brian.NeuronGroup(
            node.source.size,
            code.model,
            events={f"emit{age}": f"{_age(age)} != 0" for age in plan.latches_read(name)},
            clock=clock,
            namespace=code.constants,
            name=node.brian_name,
        )
        for variable, array in code.arrays.items():
            setattr(group, variable, array)
        for age in plan.latches_read(name):
            group.set_event_schedule(f"emit{age}", when=_slot(node, "send"), order=0)
        group.run_regularly(code.start, clock=restart, when="restart", order=0)
        group.run_regularly("\n".join(code.lines), clock=clock, when=slot, order=1)
        network.add(group)
        groups[name] = group
        if isinstance(node.source, Input):
            network.add(_feed(brian, plan, node, group, clock))
    for k, pathway in enumerate(plan.pathways):
        network.add(_connect(brian, plan, k, pathway, groups, clock))
    spikes = {
        name: brian.EventMonitor(
            groups[name],
            "emit0",
            variables=[] if plan.nodes[name].single else ["z"],
            when="record",
            name=f"emission_{plan.nodes[name].brian_name}",
        )
        for name in plan.populations
    }
    states = {
        (name, variable): brian.StateMonitor(
            groups[name],
            variable,
            record=True,
            clock=clock,
            when="record",
            name=f"{variable}_{plan.nodes[name].brian_name}",
        )
        for name, variable in plan.record
    }
    network.add(list(spikes.values()), list(states.values()))
    return _Built(network, spikes, states)


def _feed(brian: Any, plan: _Plan, node: _Node, group: Any, clock: Any) -> list[Any]:
    """What sets ``z`` of an input's group to the stimulus."""
    events = plan.stimulus.inputs[node.source.name]
    name = node.brian_name
    if not events.value.size:
        return []
    if events.value.size > _TIMED_ARRAY_FROM * events.samples * plan.period * events.size:
        table = np.zeros((events.samples, plan.period, events.size))
        table[events.sample, events.step, events.index] = events.value
        stimulus = brian.TimedArray(
            table.reshape(-1, events.size), _TICK * brian.second, name=f"{name}_values"
        )
        group.namespace["stimulus"] = stimulus
        group.run_regularly("z = stimulus(t, i)", clock=clock, when="feed")
        return []
    # One generator for each value that a line ever carries: sparse events stay sparse.
    pairs, source = np.unique(
        np.stack([events.index, events.value.astype(np.float64)], axis=1),
        axis=0,
        return_inverse=True,
    )
    source = source.ravel()
    step = events.sample.astype(np.int64) * plan.period + events.step
    generator = brian.SpikeGeneratorGroup(
        len(pairs),
        source,
        step * _TICK * brian.second,
        clock=clock,
        when="feed",
        order=0,
        name=f"{name}_events",
    )
    synapses = brian.Synapses(
        generator,
        group,
        "amount : 1",
        on_pre="z_post += amount",
        clock=clock,
        name=f"{name}_feed",
        namespace={},
        delay=0 * brian.second,
    )
    synapses.connect(i=np.arange(len(pairs)), j=pairs[:, 0].astype(np.int64))
    synapses.amount = pairs[:, 1]
    synapses.pre.when, synapses.pre.order = "feed", 1
    return [generator, synapses]


def _connect(
    brian: Any, plan: _Plan, k: int, pathway: _Pathway, groups: dict[str, Any], clock: Any
) -> Any:
    pre = plan.nodes[pathway.pre]
    sent = "w" if pre.single else f"w * {_age(pathway.latch)}_pre"
    uniform = pathway.delay.size == 1
    synapses = brian.Synapses(
        groups[pathway.pre],
        groups[pathway.post],
        "w : 1",
        on_pre=f"total_post += {sent}",
        on_event={"pre": f"emit{pathway.latch}"},
        delay=int(pathway.delay[0]) * _TICK * brian.second if uniform else None,
        clock=clock,
        name=f"pathway{k}",
        namespace={},
    )
    synapses.connect(i=pathway.i, j=pathway.j)
    synapses.w = pathway.w
    if not uniform:
        synapses.delay = pathway.delay * _TICK * brian.second
    synapses.pre.when, synapses.pre.order = _slot(pre, "send"), 1
    return synapses


def _read(
    plan: _Plan, built: _Built
) -> tuple[dict[str, tuple[Any, Any, Any]], dict[tuple[str, str], Real]]:
    """Step, neuron and value of every recorded emission, and the traces (steps, neurons)."""
    emissions = {}
    for name, monitor in built.spikes.items():
        step = np.rint(np.asarray(monitor.t_[:]) / _TICK).astype(np.int64)
        index = np.array(monitor.i[:])
        value = np.ones(step.size) if plan.nodes[name].single else np.array(monitor.z[:])
        emissions[name] = (step, index, value)
    traces = {key: np.array(getattr(m, key[1]).T) for key, m in built.states.items()}
    return emissions, traces


def _recording(
    plan: _Plan,
    emissions: dict[str, tuple[Any, Any, Any]],
    traces: dict[tuple[str, str], Real],
) -> Recording:
    nothing = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    spikes = {}
    for name in plan.populations:
        population = plan.graph.population(name)
        step, index, value = emissions.get(name, nothing)
        sample, phase = np.divmod(step, plan.period)
        # The lag of retiming is taken out; a registered population shows its spikes a step late.
        shown = phase - population.lag + population.semantics.registered
        keep = (shown >= 0) & (shown < plan.steps)
        graded = population.neuron.EMISSION is Emission.GRADED
        spikes[name] = Events(
            plan.samples,
            plan.steps,
            population.size,
            sample[keep],
            shown[keep],
            index[keep],
            value[keep] if graded else np.rint(value[keep]).astype(np.int64),
        )
    states = {}
    for name, variable in plan.record:
        population = plan.graph.population(name)
        shape = (plan.samples, plan.period, population.size)
        trace = traces.get((name, variable), np.zeros((0, population.size))).reshape(shape)
        states[name, variable] = np.ascontiguousarray(
            trace[:, population.lag : population.lag + plan.steps]
        )
    return Recording("golden", plan.dt, spikes, states)
