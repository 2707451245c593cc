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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import fail
from ...ir.events import Events, Recording, Stimulus
from ...ir.graph import Graph, Input
from ...ir.neurons import Emission, IntegerNeuron, LoihiNeuron, SpinnakerLIF
from ...ir.plasticity import learning_phases
from ...ir.verify import verify
from .learning import (
    ARRIVE,
    EARLY,
    LATE,
    OVER,
    TICK,
    carriers,
    plastic_synapses,
    ties,
    valued_synapses,
)
from .plan import (
    Learning,
    Node,
    Pathway,
    Plan,
    Real,
    Valued,
    compile_seconds,
    make_plan,
    numpy_seconds,
)
from .point_code import arrival_name, state_name, total_name
from .session import build_and_run, compiler_missing, load_brian, session
from .short_term import short_term_code, start_short_term
from .step_code import aged, input_code, population_code

Codegen = Literal["auto", "numpy", "standalone"]
Progress = Callable[[float], None]

_STANDALONE_FROM_SECONDS = 18.0  # more than compiling takes
_TIMED_ARRAY_FROM = 0.05  # share of non-zero inputs from which a dense array is the smaller form


def run_golden(
    graph: Graph,
    stimulus: Stimulus,
    *,
    record: Sequence[tuple[str, str]] = (),
    populations: Sequence[str] | None = None,
    neurons: Mapping[tuple[str, str], npt.NDArray[np.int64]] | None = None,
    learning: bool | Sequence[bool] = True,
    record_weights: Literal["end", "samples", "steps"] = "end",
    weights_every: int = 1,
    codegen: Codegen = "auto",
    progress: Progress | None = None,
) -> Recording:
    r"""Run ``graph`` on ``stimulus`` with the rules of ``ir.semantics`` in float64.

    ``populations`` are those whose emission is recorded (default: the sources of the outputs),
    ``record`` the state variables, as pairs of population and variable (``Neuron.state``): arrays
    of shape (samples, steps, neurons) of the value at the end of each step. A population with a
    lag L is recorded from its step L on; the run is longer by the largest lag, so that every sample
    has all its steps. The step by which a registered population is late is part of its semantics
    and stays.

    ``neurons`` says which neurons of a pair in ``record`` are recorded (default: all); they are
    the last axis of its array.

    Projections with a rule in real numbers (`PairSTDP` and its kin, `Hebbian`) learn: their weights
    start as the graph's, and stay learned from sample to sample; traces do not. ``learning`` says,
    for all samples or one by one, whether weights change. ``weights`` of the recording has them
    after the last sample, after each of the ``samples``, or after every ``weights_every``-th of the
    ``steps`` of each sample, lags included; those of tied projections follow. Before the end of a
    sample what is on its way has changed nothing yet.

    ``codegen`` is ``"numpy"``, ``"standalone"`` (one C++ program, compiled first) or ``"auto"``,
    which estimates the work; spikes are the same. ``progress`` is called with the finished share.

    Raises E0206 for an unknown population or variable, E0301 for an integer population or another
    rule, E0601 without Brian2, E0602 without a compiler, E0702 for a stimulus of other inputs,
    E0703 for counts that a rule of pairs would have to pair, E0707 where ``learning`` does not fit
    the samples.
    """
    verify(graph)
    names = _names(graph, populations)
    _check(graph, stimulus, record)
    plan = make_plan(graph, stimulus, names, tuple(dict.fromkeys(record)), dict(neurons or {}))
    phases = learning_phases(learning, stimulus.samples)
    if record_weights not in ("end", "samples", "steps"):
        raise fail("E0707", f"record_weights is {record_weights!r}: end, samples or steps")
    if weights_every < 1 or (weights_every > 1 and stimulus.samples > 1):
        raise fail(
            "E0707",
            f"weights_every is {weights_every}; it must be 1, or more for a single sample",
        )
    each = {"end": 0, "samples": plan.period, "steps": weights_every}[record_weights]
    if stimulus.samples == 0 or stimulus.steps == 0:
        return _recording(plan, {}, {}, {p.name: _at_rest(plan, p, each) for p in plan.plastic})
    brian = load_brian()
    standalone = codegen == "standalone" or (
        codegen == "auto"
        and numpy_seconds(plan) > _STANDALONE_FROM_SECONDS + compile_seconds(plan)
        and compiler_missing() is None
    )
    if not standalone:
        with session(brian, None):
            built = _build(brian, plan, phases, each)
            report = None if progress is None else _report(progress)
            built.network.run(
                plan.samples * plan.period * TICK * brian.second,
                report=report,
                report_period=0.2 * brian.second,
                namespace={},
            )
            return _recording(plan, *_read(plan, built, each))
    with tempfile.TemporaryDirectory(prefix="spikec-golden-") as name:
        folder = Path(name)
        with session(brian, folder) as device:
            built = _build(brian, plan, phases, each)
            built.network.run(plan.samples * plan.period * TICK * brian.second, namespace={})
            build_and_run(device, folder)
            result = _recording(plan, *_read(plan, built, each))
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
        if isinstance(population.neuron, IntegerNeuron | SpinnakerLIF | LoihiNeuron):
            raise fail(
                "E0301",
                f"population '{population.name}' is quantised; the golden reference runs the "
                "real-valued graph",
                population.at,
                "run the graph as it was before quantising",
            )
    for name, variable in record:
        known = [p.state for p in graph.populations if p.name == name]
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


@dataclass(frozen=True)
class _Built:
    network: Any
    spikes: dict[str, Any]
    states: dict[tuple[str, str], Any]
    plastic: dict[str, Any]
    shots: dict[str, Any]


def _slot(node: Node, part: str) -> str:
    return f"{part}_{node.brian_name}"


def _build(brian: Any, plan: Plan, phases: Sequence[bool], each: int) -> _Built:
    clock = brian.Clock(TICK * brian.second, name="step_clock")
    restart = brian.Clock(plan.period * TICK * brian.second, name="sample_clock")
    network = brian.Network()
    order = sorted(plan.nodes.values(), key=lambda node: node.place)
    slots = [_slot(node, part) for node in order for part in ("step", "send")]
    sending = 2 * len(plan.graph.inputs)
    network.schedule = [
        *("start", "groups"),  # where Brian2 keeps what takes no part in a step
        "restart",
        "feed",
        *slots[:sending],
        EARLY,  # behind the inputs, whose spikes may be at a synapse in the step they are sent in
        *slots[sending:],
        ARRIVE,
        LATE,
        "record",
    ]
    groups: dict[str, Any] = {}
    gates = brian.TimedArray(
        np.asarray(phases, np.float64), plan.period * TICK * brian.second, name="gates"
    )
    for node in order:
        name = node.source.name
        if isinstance(node.source, Input):
            code = input_code(node)
            slot = "restart"  # cleared before the stimulus is added
        else:
            code = population_code(plan, node)
            slot = _slot(node, "step")
        code.state |= {c.variable: 0.0 for c in plan.carried if c.target == name}
        group = brian.NeuronGroup(
            node.source.size,
            code.model,
            events={f"emit{age}": f"{aged(age)} != 0" for age in plan.latches_read(name)}
            | (OVER if plan.scaled(name) else {}),
            clock=clock,
            namespace=code.constants | ({"gates": gates} if code.kept else {}),
            name=node.brian_name,
        )
        for variable, array in code.arrays.items():
            setattr(group, variable, array)
        for age in plan.latches_read(name):
            group.set_event_schedule(f"emit{age}", when=_slot(node, "send"), order=0)
        if plan.scaled(name):
            (over,) = OVER
            group.set_event_schedule(over, when=LATE, order=-1)
        group.run_regularly(code.start, clock=restart, when="restart", order=0)
        group.run_regularly("\n".join(code.lines), clock=clock, when=slot, order=1)
        network.add(group)
        groups[name] = group
        if isinstance(node.source, Input):
            network.add(_feed(brian, plan, node, group, clock))
    for k, pathway in enumerate(plan.pathways):
        network.add(_connect(brian, plan, k, pathway, groups, clock, restart))
    plastic: dict[str, Any] = {}
    shots: dict[str, Any] = {}
    network.add(carriers(brian, plan, groups, clock))
    for k, learning in enumerate(plan.learning):
        if not learning.w.size:  # Brian2 connects at least one
            continue
        synapses = plastic_synapses(brian, plan, k, learning, groups, clock, restart, gates)
        plastic[learning.name] = synapses
    for k, valued in enumerate(plan.valued):
        if not valued.w.size:
            continue
        slot = EARLY if valued.early else _slot(plan.nodes[valued.pre], "send")
        plastic[valued.name] = valued_synapses(brian, plan, k, valued, groups, clock, gates, slot)
    network.add(ties(brian, plan, plastic, clock))
    if each:
        shot = brian.Clock(each * TICK * brian.second, name="weights_clock")
        shots = {
            p.name: brian.StateMonitor(
                plastic[p.name],
                "w",
                record=True,
                clock=shot,
                when="start",
                name=f"weights{k}",
            )
            for k, p in enumerate(plan.plastic)
            if p.name in plastic
        }
    network.add(list(plastic.values()), list(shots.values()))
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
            state_name(plan.graph.population(name), variable),
            record=plan.neurons.get((name, variable), True),
            clock=clock,
            when="record",
            name=f"state{k}_{plan.nodes[name].brian_name}",
        )
        for k, (name, variable) in enumerate(plan.record)
    }
    network.add(list(spikes.values()), list(states.values()))
    return _Built(network, spikes, states, plastic, shots)


def _feed(brian: Any, plan: Plan, node: Node, group: Any, clock: Any) -> list[Any]:
    """What sets ``z`` of an input's group to the stimulus."""
    events = plan.stimulus.inputs[node.source.name]
    name = node.brian_name
    if not events.value.size:
        return []
    if events.value.size > _TIMED_ARRAY_FROM * events.samples * plan.period * events.size:
        table = np.zeros((events.samples, plan.period, events.size))
        table[events.sample, events.step, events.index] = events.value
        stimulus = brian.TimedArray(
            table.reshape(-1, events.size), TICK * brian.second, name=f"{name}_values"
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
        step * TICK * brian.second,
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
    brian: Any,
    plan: Plan,
    k: int,
    pathway: Pathway,
    groups: dict[str, Any],
    clock: Any,
    restart: Any,
) -> Any:
    pre = plan.nodes[pathway.pre]
    model, lines, sent = short_term_code(pathway.short_term is not None)
    if not pre.single:
        sent = f"w * {aged(pathway.latch)}_pre"
    target = total_name(pathway.port)
    if pathway.late:
        assert pathway.port is not None
        post = plan.graph.population(pathway.post)
        target = arrival_name(post, pathway.port)
        if target == "v":
            sent = f"{sent} * (1 - shut_post)"
    uniform = pathway.delay.size == 1
    synapses = brian.Synapses(
        groups[pathway.pre],
        groups[pathway.post],
        model,
        on_pre="\n".join([*lines, f"{target}_post += {sent}"]),
        on_event={"pre": f"emit{pathway.latch}"},
        delay=int(pathway.delay[0]) * TICK * brian.second if uniform else None,
        clock=clock,
        name=f"pathway{k}",
        namespace={},
    )
    synapses.connect(i=pathway.i, j=pathway.j)
    synapses.w = pathway.w
    if not uniform:
        synapses.delay = pathway.delay * TICK * brian.second
    if pathway.short_term is not None:
        start_short_term(synapses, pathway.short_term, plan.dt, restart)
    synapses.pre.when = ARRIVE if pathway.late else _slot(pre, "send")
    synapses.pre.order = 1
    return synapses


def _read(
    plan: Plan, built: _Built, each: int
) -> tuple[dict[str, tuple[Any, Any, Any]], dict[tuple[str, str], Real], dict[str, Real]]:
    """Step, neuron and value of every recorded emission, traces (steps, neurons), weights."""
    emissions = {}
    for name, monitor in built.spikes.items():
        step = np.rint(np.asarray(monitor.t_[:]) / TICK).astype(np.int64)
        index = np.array(monitor.i[:])
        value = np.ones(step.size) if plan.nodes[name].single else np.array(monitor.z[:])
        emissions[name] = (step, index, value)
    traces = {
        (name, variable): np.array(
            getattr(monitor, state_name(plan.graph.population(name), variable)).T
        )
        for (name, variable), monitor in built.states.items()
    }
    weights = {}
    for learning in plan.plastic:
        if learning.name not in built.plastic:
            weights[learning.name] = _at_rest(plan, learning, each)
            continue
        last = np.array(built.plastic[learning.name].w[:])[None]
        if each:  # what is so behind a step is so before the next one
            before = np.array(built.shots[learning.name].w.T)[1:]
            last = np.concatenate([before, last])[_shots(plan, each)]
        weights[learning.name] = last.reshape(len(last), *learning.shape)
    return emissions, traces, weights


def _shots(plan: Plan, each: int) -> npt.NDArray[np.int64]:
    """Which snapshots, one behind ``each`` steps, are of a live step or of the end of a sample."""
    if each == plan.period:
        return np.arange(plan.samples)
    behind = np.arange(each, plan.live + 1, each)
    return (np.arange(plan.samples)[:, None] * plan.period + behind).ravel() // each - 1


def _at_rest(plan: Plan, learning: Learning | Valued, each: int) -> Real:
    """The weights of synapses that no spike has changed."""
    shots = _shots(plan, each).size if each else min(plan.samples, 1)
    return np.repeat(learning.w.reshape(1, *learning.shape), shots, axis=0)


def _recording(
    plan: Plan,
    emissions: dict[str, tuple[Any, Any, Any]],
    traces: dict[tuple[str, str], Real],
    weights: dict[str, Real],
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
        chosen = plan.neurons.get((name, variable))
        count = population.size if chosen is None else chosen.size
        shape = (plan.samples, plan.period, count)
        trace = traces[name, variable].reshape(shape) if traces else np.zeros(shape)
        states[name, variable] = np.ascontiguousarray(
            trace[:, population.lag : population.lag + plan.steps]
        )
    return Recording("golden", plan.dt, spikes, states, weights)
