"""What the golden reference simulates: an order of the populations, synapses, and their delays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter

import numpy as np
import numpy.typing as npt

from ...compiler.connectivity import entries
from ...compiler.connectivity import synapses as find_synapses
from ...ir.connections import Dense, Flatten, OneToOne, Sparse, stages
from ...ir.diagnostics import fail
from ...ir.events import Stimulus
from ...ir.graph import Graph, Input, Population, Projection, Tied
from ...ir.homeostasis import Occasion
from ...ir.neurons import CURRENT, Emission
from ...ir.plasticity import Hebbian, PairSTDP, Plasticity, ThreeFactorSTDP, sides
from ...ir.short_term import TsodyksMarkram
from .point_code import port_index

Real = npt.NDArray[np.float64]

# CPU seconds, measured on the N-MNIST network: a Brian2 object takes 20 us a step in numpy code, a
# neuron 30 ns, a synaptic event 10 ns.
_OBJECT_SECONDS, _NEURON_SECONDS, _EVENT_SECONDS = 20e-6, 30e-9, 10e-9
# Each pathway and each group is a source file of a C++ project, and takes so long to compile.
_SOURCE_SECONDS = 0.85
# What a plastic event takes more than another one.
_PLASTIC_EVENTS = 10
# What a weight that changes in every step takes, of an event.
_CHANGED = 3


@dataclass(frozen=True)
class Node:
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
        """A name that Brian2 takes, whatever the graph's is."""
        return f"input{-self.place}" if self.place < 0 else f"population{self.place}"


@dataclass(frozen=True)
class Pathway:
    """Synapses (i, j, w) that act ``latch`` steps, plus Brian2's ``delay``, after the emission.

    They add to the post population's receptor number ``port``, or to its sum, before its step; or,
    if ``late``, to the receptor's signal, behind that step.
    """

    name: str
    pre: str
    post: str
    i: npt.NDArray[np.int32]
    j: npt.NDArray[np.int32]
    w: Real
    latch: int
    delay: npt.NDArray[np.int64]
    port: int | None = None
    late: bool = False
    short_term: TsodyksMarkram | None = None


@dataclass(frozen=True)
class Learning:
    """Plastic synapses (i, j, w), in the order of the weights of their projection, flattened.

    Pre spikes are at the synapse ``axonal`` steps after they were sent, post spikes ``dendritic``
    ones. What they do is done before the populations of that step go on, or, if not ``early``,
    behind them: pre spikes of populations that take no time to get there, and all that ends at a
    population whose arrivals wait for the end of the step (``late``). What is sent is with the
    post population's receptor number ``port``, or its sum, ``dendritic`` steps later.
    """

    name: str
    pre: str
    post: str
    rule: PairSTDP
    plasticity: Plasticity
    i: npt.NDArray[np.int32]
    j: npt.NDArray[np.int32]
    w: Real
    shape: tuple[int, ...]
    axonal: int
    dendritic: int
    early: bool
    port: int | None = None
    late: bool = False

    @property
    def late_post(self) -> bool:
        """Whether post spikes do what they do behind the populations: those that take no time."""
        return not self.early or self.dendritic == 0

    @property
    def pending(self) -> int:
        """Population steps between that of the sending and that of the arrival, both included.

        None (0): what is sent at the end of a step is there at the end of that step.
        """
        return self.dendritic + 1 if self.early else self.dendritic


@dataclass(frozen=True)
class Valued:
    """Synapses (i, j, w), as in `Learning`, whose weights may change in every step: those of a
    `Hebbian` rule, or tied ones. They read what was emitted ``latch`` steps ago: before the
    populations of a step go on or, if not ``early``, as soon as it is emitted.
    """

    name: str
    pre: str
    post: str
    change: Plasticity | Tied
    i: npt.NDArray[np.int32]
    j: npt.NDArray[np.int32]
    w: Real
    shape: tuple[int, ...]
    latch: int
    early: bool
    port: int | None

    @property
    def hebbian(self) -> Hebbian | None:
        """The rule, of those that are not tied."""
        rule = self.change.rule if isinstance(self.change, Plasticity) else None
        return rule if isinstance(rule, Hebbian) else None


@dataclass(frozen=True)
class Carried:
    """What the node ``source`` shows, as a variable of the group ``target``, read at the end of
    each step and kept to the end of the next. Under a register it shows what is a step old.
    """

    source: str
    target: str
    variable: str
    age: int


@dataclass(frozen=True)
class Plan:
    """A sample is ``steps`` long, plus ``lag``, plus ``pad`` steps in which late spikes die."""

    graph: Graph
    stimulus: Stimulus
    populations: tuple[str, ...]
    record: tuple[tuple[str, str], ...]
    neurons: dict[tuple[str, str], npt.NDArray[np.int64]]
    nodes: dict[str, Node]
    pathways: tuple[Pathway, ...]
    learning: tuple[Learning, ...]
    valued: tuple[Valued, ...]
    carried: tuple[Carried, ...]
    lag: int
    pad: int

    @property
    def dt(self) -> float:
        """The step of the graph in seconds."""
        return self.graph.dt

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.stimulus.samples

    @property
    def steps(self) -> int:
        """Steps of a sample of the recording."""
        return self.stimulus.steps

    @property
    def live(self) -> int:
        """Steps of a sample in which anything is sent."""
        return self.steps + self.lag

    @property
    def period(self) -> int:
        """Steps from the start of a sample to that of the next."""
        return self.live + self.pad

    def latches_read(self, name: str) -> list[int]:
        """The ages of its values that the synapses of a node, or its recording, read."""
        ages = {p.latch for p in self.pathways if p.pre == name}
        ages |= {p.latch for p in self.valued if p.pre == name}
        paired = any(name in (p.pre, p.post) for p in self.learning)
        return sorted(ages | ({0} if paired or name in self.populations else set()))

    @property
    def plastic(self) -> Iterator[Learning | Valued]:
        """Projections with a rule, in no order that means anything."""
        yield from self.learning
        yield from (p for p in self.valued if p.hebbian is not None)

    def variable(self, source: str, target: str) -> str:
        """The variable of the one node that holds what the other shows."""
        return next(c.variable for c in self.carried if (c.source, c.target) == (source, target))

    def scaled(self, name: str) -> bool:
        """Whether weights into a node are scaled when a sample is over."""
        found = (p.plasticity.scaling for p in self.learning if p.post == name)
        return any(s is not None and s.occasion is Occasion.SAMPLE for s in found)

    def pending(self, name: str) -> dict[int | None, int]:
        """For how many of its steps what plastic synapses have sent to each port may wait."""
        waits: dict[int | None, int] = {}
        for p in self.learning:
            if p.post == name:
                waits[p.port] = max(p.pending, waits.get(p.port, 0))
        return waits


def make_plan(
    graph: Graph,
    stimulus: Stimulus,
    populations: tuple[str, ...],
    record: tuple[tuple[str, str], ...],
    neurons: dict[tuple[str, str], npt.NDArray[np.int64]],
) -> Plan:
    """Order the populations and unroll the connections.

    E0301 for delays of no single value, and for plastic synapses of a rule in whole numbers; E0703
    where an input of a rule of pairs has counts.
    """
    single = {
        line.name: bool((stimulus.inputs[line.name].value == 1).all()) for line in graph.inputs
    }
    single |= {population.name: population.single for population in graph.populations}
    place = {line.name: -1 - k for k, line in enumerate(graph.inputs)}
    for population in graph.populations:
        if population.arrives_late and population.lag:
            raise fail(
                "E0301",
                f"'{population.name}' has a lag of {population.lag} steps, and takes what arrives "
                "at the end of a step; the golden reference runs such networks as they were before "
                "retiming",
                population.at,
            )
    fixed = [p for p in graph.projections if p.plasticity is None and p.tied is None]
    valued = tuple(v for p in graph.projections for v in _valued(graph, p))
    synapses = {p.name: _synapses(graph, p) for p in fixed}
    before: dict[str, set[str]] = {population.name: set() for population in graph.populations}
    for projection in fixed:
        steps, waits = synapses[projection.name][3], _late(graph, projection)
        if projection.pre in before and steps.size and not steps.min() and not waits:
            before[projection.post].add(projection.pre)
    for each in valued:
        if each.pre in before and not each.early:
            before[each.post].add(each.pre)
    place |= {name: k for k, name in enumerate(TopologicalSorter(before).static_order())}
    pathways = [
        pathway
        for projection in fixed
        for pathway in _pathways(
            graph,
            projection,
            synapses[projection.name],
            place[projection.pre] < place[projection.post],
            single[projection.pre],
        )
    ]
    learning = tuple(
        _learning(graph, p, p.plasticity, single)
        for p in graph.projections
        if p.plasticity is not None and not isinstance(p.plasticity.rule, Hebbian)
    )
    carried = _carried(graph)
    ages = [(p.pre, p.latch) for p in pathways] + [(p.pre, p.latch) for p in valued]
    ages += [(c.source, c.age) for c in carried]
    latches = {name: max([age for pre, age in ages if pre == name], default=0) for name in place}
    sources: list[Input | Population] = [*graph.inputs, *graph.populations]
    return Plan(
        graph,
        stimulus,
        populations,
        record,
        neurons,
        {
            node.name: Node(node, place[node.name], single[node.name], latches[node.name])
            for node in sources
        },
        tuple(pathways),
        learning,
        valued,
        carried,
        max((population.lag for population in graph.populations), default=0),
        max(
            (
                *(int(p.delay.max()) for p in pathways if p.delay.size),
                *(p.axonal + p.dendritic for p in learning),
            ),
            default=0,
        ),
    )


_Synapses = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Real, npt.NDArray[np.int64]]


def _synapses(graph: Graph, projection: Projection) -> _Synapses:
    """Pre, post, weight and delay in steps of every synapse, sorted by pre."""
    pre = graph.node(projection.pre)
    # A registered population shows its spikes one step late: one step more on every way out.
    shown = int(isinstance(pre, Population) and pre.semantics.registered)
    connection = projection.connection
    if projection.short_term is not None and isinstance(connection, Sparse | Dense | OneToOne):
        # Every synapse counts for itself, also one of several of a pair.
        i, j, w = entries(connection)
        own = connection.steps if isinstance(connection, Sparse) else None
        steps = np.zeros(i.size, np.int64) if own is None else own.astype(np.int64)
    else:
        i, j, w, steps = find_synapses(connection, projection.at)
    return i, j, w.astype(np.float64), projection.delay + shown + steps


def _learning(
    graph: Graph, projection: Projection, plasticity: Plasticity, single: dict[str, bool]
) -> Learning:
    rule, name = plasticity.rule, projection.name
    if not isinstance(rule, PairSTDP):
        raise fail(
            "E0301",
            f"'{name}' learns by {type(rule).__name__}, which the golden reference does not have",
            projection.at,
            "run it on the integer rung",
        )
    if not single[projection.pre]:  # an input: of populations the verifier knows
        raise fail(
            "E0703",
            f"'{name}' pairs single spikes, and '{projection.pre}' has other values",
            projection.at,
            "give it a stimulus of zeros and ones",
        )
    i, j, weight, shape = _every(projection)
    axonal, dendritic = sides(rule, projection.delay)
    pre, late = graph.node(projection.pre), _late(graph, projection)
    if isinstance(pre, Population):
        axonal += pre.semantics.registered
    return Learning(
        name,
        projection.pre,
        projection.post,
        rule,
        plasticity,
        i,
        j,
        weight,
        shape,
        axonal,
        dendritic,
        not late and (axonal > 0 or isinstance(pre, Input)),
        port_index(graph.population(projection.post), projection.receptor),
        late,
    )


def _late(graph: Graph, projection: Projection) -> bool:
    """Whether what it sends waits for the end of the step: a current of a step does not."""
    post = graph.population(projection.post)
    return post.arrives_late and projection.receptor != CURRENT


def _every(
    projection: Projection,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Real, tuple[int, ...]]:
    """Pre, post and weight of every synapse, also of one whose weight is zero now; their shape."""
    (stage,) = (s for s in stages(projection.connection) if not isinstance(s, Flatten))
    assert isinstance(stage, Dense | Sparse | OneToOne)
    i, j, weight = entries(stage)
    return i, j, weight.astype(np.float64), stage.weight.shape


def _valued(graph: Graph, projection: Projection) -> Iterator[Valued]:
    plasticity, tied = projection.plasticity, projection.tied
    hebbian = plasticity is not None and isinstance(plasticity.rule, Hebbian)
    change = plasticity if hebbian else tied
    if change is None:
        return
    if _late(graph, projection):
        raise fail(
            "E0301",
            f"'{projection.name}' sends by weights that may change in every step, and "
            f"'{projection.post}' takes what arrives at the end of a step",
            projection.at,
            "end it in 'current', or in neurons that take what arrives at once",
        )
    i, j, weight, shape = _every(projection)
    pre = graph.node(projection.pre)
    population = isinstance(pre, Population)
    steps = projection.delay
    if isinstance(pre, Population):
        steps += pre.semantics.registered
    # Before the populations go on, an input has its value of this step, they have the last ones.
    early = steps > 0 or not population
    port = port_index(graph.population(projection.post), projection.receptor)
    yield Valued(
        *(projection.name, projection.pre, projection.post, change, i, j, weight, shape),
        *(steps - (population and early), early, port),
    )


def _carried(graph: Graph) -> tuple[Carried, ...]:
    pairs: dict[tuple[str, str], None] = {}
    for p in graph.projections:
        for factor in () if p.plasticity is None else p.plasticity.rule.factors:
            end = p.pre if factor.side == "pre" else p.post
            pairs[factor.node or end, end] = None
    found = []
    for k, (source, target) in enumerate(pairs):
        node = graph.node(source)
        age = int(isinstance(node, Population) and node.semantics.registered)
        found.append(Carried(source, target, f"carried{k}", age))
    return tuple(found)


def _pathways(
    graph: Graph, projection: Projection, synapses: _Synapses, ahead: bool, single: bool
) -> Iterator[Pathway]:
    i, j, w, steps = synapses
    if not w.size:
        return
    late = _late(graph, projection)
    # What is sent backwards is consumed in the next step anyway.
    due = steps - (not ahead and not late)
    port = port_index(graph.population(projection.post), projection.receptor)
    ends = (projection.name, projection.pre, projection.post)
    if projection.short_term is not None and not single:
        raise fail(
            "E0703",
            f"'{projection.name}' has short-term plasticity, which counts single spikes, and "
            f"'{projection.pre}' has other values",
            projection.at,
            "give it a stimulus of zeros and ones",
        )
    if single:
        uniform = due[:1] if (due == due[0]).all() else due
        yield Pathway(*ends, i, j, w, 0, uniform, port, late, projection.short_term)
        return
    for age in np.unique(due):
        at = due == age
        none = np.zeros(1, np.int64)
        yield Pathway(*ends, i[at], j[at], w[at], int(age), none, port, late)


def compile_seconds(plan: Plan) -> float:
    """A rough estimate of the time that compiling C++ code would take."""
    sources = len(plan.nodes) + len(plan.pathways) + 4 * len(plan.learning)
    return _SOURCE_SECONDS * (sources + 4 * len(plan.valued) + len(plan.carried))


def numpy_seconds(plan: Plan) -> float:
    """A rough estimate of the time that numpy code would take."""
    steps = plan.samples * plan.period
    objects = 3 * len(plan.nodes) + 2 * len(plan.pathways) + 6 * len(plan.learning)
    objects += 4 * len(plan.valued) + len(plan.carried)
    events = 0.0
    for pathway in plan.pathways:
        node = plan.nodes[pathway.pre]
        if isinstance(node.source, Input):
            sent = np.bincount(plan.stimulus.inputs[pathway.pre].index, minlength=node.source.size)
            events += float(sent[pathway.i].sum())
        else:  # a spike in a hundred steps, or a value in every step
            graded = node.source.neuron.EMISSION is Emission.GRADED
            events += pathway.w.size * steps * (1.0 if graded else 0.01)
    for learning in plan.learning:
        # Its pathways go over the synapses of either side's spikes.
        events += _PLASTIC_EVENTS * learning.w.size * steps * 0.02
    for learning in plan.learning:
        events += _CHANGED * learning.w.size * steps * isinstance(learning.rule, ThreeFactorSTDP)
    events += sum(_CHANGED * each.w.size * steps for each in plan.valued)
    neurons = sum(node.source.size for node in plan.nodes.values())
    return steps * (objects * _OBJECT_SECONDS + neurons * _NEURON_SECONDS) + events * _EVENT_SECONDS
