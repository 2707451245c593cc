r"""A quantised network as a circuit of cells, and when its pulses come.

All populations fire once in a step, one layer behind the other: a pulse on an input line is a spike
at the beginning of a step, a clock reads each layer when everything that it waits for has come. The
clocks are inputs of the circuit. Their times, and the least length of a step, follow from the
windows of ``schedule``, at all corners of the delays.

A delay of d steps is d `dff` in a row, which a clock reads once a step. Towards a later layer that
is the clock of the layer that the spike comes from: it arrives with those that wait for nothing.
Towards the same layer or an earlier one, and from inputs, it is the clock ``launch``, with which a
step begins, ahead of its inputs: a loop of populations has such a line on it, and the period is
what its spikes take until then.

The same graph on the integer rung has the same spikes: `threshold.smallest` changes no output.

Where a projection releases with a probability, each of its lines passes one synapse on its way to
each neuron, in front of the copies that the weight asks for. A neuron then is the same function as
ever, of what was released,

.. math:: \sum_i w_i r_i x_i \ge \theta, \qquad r_i = 1 \text{ with probability } p_i,
    \text{ else } 0,

so that p does not depend on how weights were made smaller. By weights (`released`) p is of each
line and neuron. Lines without a synapse that reach such a neuron wait as long as one takes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import compress
from math import gcd
from typing import Final, NamedTuple

import networkx as nx
import numpy as np
import numpy.typing as npt

from ....compiler.backend import Progress, no_progress
from ....compiler.connectivity import synapses
from ....compiler.integer.population import integer_neuron, registered
from ....ir.diagnostics import Diagnostics, fail
from ....ir.graph import Graph, Population, Projection
from ....ir.neurons import IntegerNeuron
from ....ir.numerics import Overflow
from ....ir.records import Record
from ..cells import chance
from ..cells.netlist import Netlist
from ..cells.timing import Timing, timing
from .neurons import HOLD, Builder, Plan, neuron
from .released import WEIGHTS, Released, Said, Thinned, thinned
from .schedule import CORNERS, Schedule, Tight, Window
from .unit import Unit, fewest, smallest

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
# Pulses that a neuron may be asked to count in a step: each is a slot of some 20 ps.
MOST_PULSES: Final = 64
# JTLs between the pulses of a line, the least that keeps all separations.
_SLOTS: Final = (*range(HOLD, 9), 10, 12, 14, 16, 20, 24)
_ENOUGH: Final = 12
# Which pulses of a line that is a step late come too close, what a JTL in front of it is sure to
# part them by, in s, and how often more are put there.
_LATE: Final = ("clk", "a")
_HOLDS: Final = 3e-12
_ROUNDS: Final = 8
# What an input may be early or late by, and a clock is later than it would have to be, in s.
SKEW: Final = 5e-12
GUARD: Final = 5e-12
# The clock that begins a step.
LAUNCH: Final = "launch"


class Line(NamedTuple):
    """Spikes of one neuron or input, so many steps late; ``launched`` by the clock of that name."""

    node: str
    place: int
    steps: int = 0
    launched: bool = False


# Of a neuron that cells cannot be: code, reason and hint.
Wrong = tuple[str, str, str]
# A pulse in every step.
ALWAYS: Final = Line("", 0, 0, True)


@dataclass(frozen=True, eq=False)
class Program(Record):
    """A circuit of cells that is a network, and its times, all in s from the start of a step.

    ``inputs`` has the net of each line of each input, ``None`` where nothing takes it; ``clocks``
    the time of each clock's pulse; ``spikes`` the net of each neuron of each population, and
    ``windows`` when there is a pulse on it. A neuron that whatever comes fires in every step or in
    none has no net; ``always`` says which it is. A step lasts ``period``; input pulses come at
    ``start``, up to ``skew`` before or after. Where it ``remembers`` something from step to step no
    pulse clears it: each sample is a run of its own, from rest. ``release`` has the projections
    that release by chance or by weights; there the bias of a population is ``bias of NAME``.
    """

    netlist: Netlist
    inputs: Mapping[str, tuple[str | None, ...]]
    always: Mapping[str, tuple[bool, ...]]
    clocks: Mapping[str, float]
    spikes: Mapping[str, tuple[str | None, ...]]
    windows: Mapping[str, tuple[float, float]]
    period: float
    start: float
    skew: float
    slot: int
    remembers: bool = False
    release: Mapping[str, Released] = field(default_factory=dict)

    @property
    def first(self) -> float:
        """When a step's first pulses come: those of the clock ``launch``, or of inputs, in s."""
        return self.clocks.get(LAUNCH, self.start)

    @property
    def latency(self) -> float:
        """From the start of a step to the last pulse that its spikes may be, in s."""
        return max([0.0, *(high for _, high in self.windows.values())])


@dataclass(frozen=True)
class Planned:
    """A population: ``lines`` that reach it and a plan of each neuron.

    ``release`` (lines, neurons) is the probability of the synapse of a line, 1 where it has none;
    ``of`` has the lines and neurons of each projection, and ``thinned`` each neuron by weights.
    """

    lines: tuple[Line, ...]
    plans: tuple[Plan, ...]
    release: Floats
    of: Mapping[str, tuple[Integers, Integers]]
    thinned: tuple[Thinned, ...] = ()

    @property
    def taken(self) -> dict[Line, int]:
        """How many copies of each line its neurons take together."""
        out: dict[Line, int] = {}
        for k, plan in enumerate(self.plans):
            for line, number, p in self.taken_by(k):
                if number and not plan.constant:
                    out[line] = out.get(line, 0) + _ways(number, p)
        return out

    def taken_by(self, neuron: int) -> list[tuple[Line, int, float]]:
        """Of each line how many copies a neuron takes, and the probability of its synapse."""
        copies, p = self.plans[neuron].copies, self.release[:, neuron].tolist()
        return list(zip(self.lines, copies, p, strict=True))

    def released(self, name: str) -> Released:
        """What the synapses of the projection of that name release with."""
        pairs = np.unique(np.stack(self.of[name]), axis=1)
        here = pairs[0], pairs[1]
        live = np.array([not plan.constant for plan in self.plans])
        used = live & (np.array([plan.copies for plan in self.plans]).T > 0)
        each = self.release[here][(used & (self.release < 1.0))[here]]
        if not self.thinned:
            return Released.of(False, each)
        few, many = (
            int((live & np.stack([getattr(t, what) for t in self.thinned], axis=1))[here].sum())
            for what in ("dropped", "certain")
        )
        lost, rounded = (
            max((getattr(t, what) for t in compress(self.thinned, live)), default=0.0)
            for what in ("lost", "rounded")
        )
        return Released.of(True, each, dropped=few, certain=many, lost=lost, rounded=rounded)


def planned(
    graph: Graph,
    population: Population,
    depth: Mapping[str, int],
    constant: Mapping[tuple[str, int], bool],
    found: Diagnostics,
    release: Mapping[str, Said] | None = None,
) -> Planned:
    r"""What each neuron of a population makes of its inputs.

    It fires where :math:`\mathrm{acc}\,2^s + \mathrm{bias} > \theta`, so where acc is at least
    :math:`\lfloor (\theta - \mathrm{bias}) / 2^s \rfloor + 1`. ``depth`` of each population: the
    clocks that it takes; ``constant`` lines always or never have a pulse, and take no cell;
    ``release`` of projections. E1450 and E1451 are ``found`` for sums over steps that cells do not
    make, E1448 for what no release by weights does; E1447 for a line of two probabilities, or one
    that is constant.
    """
    cell = integer_neuron(population)
    by_weights = _by_weights(graph, population, cell, release or {}, found)
    lines: list[Line] = []
    posts: list[Integers] = []
    weights: list[Integers] = []
    starts: dict[str, int] = {}
    here = depth[population.name]
    for p in graph.incoming(population.name):
        pre, post, weight, steps = synapses(p.connection, p.at)
        steps = steps + p.delay + registered(p, graph)
        starts[p.name] = len(lines)
        posts.append(post.astype(np.int64))
        weights.append(np.asarray(weight, np.int64))
        clocks = depth.get(p.pre, 0)
        for i, late in zip(pre.tolist(), steps.tolist(), strict=True):
            again = clocks == 0 or clocks >= here or constant.get((p.pre, i), False)
            lines.append(Line(p.pre, i, late, bool(late) and again))
    # A line that comes by two projections is one line; those that come early are first.
    every = sorted(dict.fromkeys((ALWAYS, *lines)), key=lambda line: _ahead(line, depth))
    place = {line: k for k, line in enumerate(every)}
    total = np.zeros((len(every), population.size), np.int64)
    ends = np.array([place[line] for line in lines], np.int64)
    neurons = np.concatenate([*posts, np.zeros(0, np.int64)])
    np.add.at(total, (ends, neurons), np.concatenate([*weights, np.zeros(0, np.int64)]))
    known = [_known(line, constant) for line in every]
    certain = np.array([one is True for one in known], np.int64) @ total
    total[[one is not None for one in known]] = 0
    ahead = np.array([_ahead(line, depth) for line in every], np.int64)
    one = place[ALWAYS]
    theta, bias, keeps, taken = (
        np.broadcast_to(np.ravel(a), population.size).tolist()
        for a in (cell.threshold, cell.bias, cell.decay_v, cell.v_reset)
    )
    plans: list[Plan] = []
    thin: list[Thinned] = []
    for k, weight in enumerate(total.T):
        wrong = None
        if keeps[k]:
            weight = weight << cell.shift
            weight[one] += bias[k] + (int(certain[k]) << cell.shift)
            unit = Unit(weight, theta[k] + 1)
            wrong = _wrong(cell, unit)
        else:
            least = ((theta[k] - bias[k]) >> cell.shift) + 1
            unit = Unit(weight, least - int(certain[k]))
        if by_weights:
            thin.append(thinned(unit))
            unit = thin[k].unit
        if not keeps[k]:
            plans.append(Plan(smallest(unit), ahead))
            continue
        if wrong is None and cell.reset == "subtract" and weight.any() and not by_weights:
            plan, wrong = _subtracting(unit, taken[k], ahead)
        else:
            sure = not by_weights or thin[k].release[one] == 1.0
            plan = _adding(unit, int(unit.weight[one]) if sure else 0, ahead)
        if wrong is not None:
            code, what, hint = wrong
            found.add(code, f"'{population.name}'[{k}] {what}", population.at, hint)
        plans.append(plan)
    of = {
        name: (ends[start : start + own.size], own)
        for (name, start), own in zip(starts.items(), posts, strict=True)
    }
    if by_weights:
        released = np.stack([t.release for t in thin], axis=1)
        biased = np.flatnonzero([t.unit.weight[one] or t.dropped[one] for t in thin])
        if biased.size:
            of[f"bias of {population.name}"] = np.full_like(biased, one), biased
    else:
        each = _each(graph, population, every, constant, release or {})
        released = np.repeat(np.array(each)[:, None], population.size, axis=1)
    return Planned(tuple(every), tuple(plans), released, of, tuple(thin))


def _ahead(line: Line, depth: Mapping[str, int]) -> int:
    """How many clocks are ahead of a line's pulses; launched ones come before inputs."""
    return -1 if line.launched else depth.get(line.node, 0)


def _known(line: Line, constant: Mapping[tuple[str, int], bool]) -> bool | None:
    """Whether a line always or never has a pulse; in the steps before a delay there is none."""
    known = constant.get((line.node, line.place))
    return None if known and line.steps else known


def _wrong(cell: IntegerNeuron, unit: Unit) -> Wrong | None:
    """What keeps a sum over steps from being one of pulses: code, reason and hint."""
    if unit.weight.min() < 0:
        return (
            "E1450",
            "adds up over steps, and a step may take off what was there: cells do not count down",
            "weights and a bias of 0 or more, or a neuron that forgets each step",
        )
    top, high = unit.threshold - 1 + int(unit.weight.sum()), cell.numerics.state.high
    saturates = cell.numerics.state.overflow is Overflow.SATURATE
    if top > high and not (saturates and cell.reset != "subtract"):
        return "E1450", f"may reach {top}, and its state {high}", "more --state-bits"
    return None


def _by_weights(
    graph: Graph,
    population: Population,
    cell: IntegerNeuron,
    release: Mapping[str, Said],
    found: Diagnostics,
) -> bool:
    """Whether all that reaches a population releases by weights; E1448 where that cannot be."""
    incoming = tuple(graph.incoming(population.name))
    by = [p for p in incoming if release.get(p.name) == WEIGHTS]
    if not by:
        return False
    for p in incoming:
        if p not in by:
            found.add(
                "E1448",
                f"'{population.name}' takes '{by[0].name}' by weights, and '{p.name}' not: how "
                "much a pulse counts is of all that a neuron gets",
                p.at,
                f"--release {p.name}={WEIGHTS}",
            )
    if cell.reset == "subtract" and np.any(cell.decay_v):
        found.add(
            "E1448",
            f"'{population.name}' takes its threshold off when it fires, and '{by[0].name}' "
            "releases by weights: what is left over would be of another size",
            population.at,
            "a reset to 0, or --release with a probability",
        )
    return True


def _adding(unit: Unit, sure: int, ahead: Integers) -> Plan:
    """A neuron that begins at 0 when it has fired, and gets ``sure`` in every step."""
    if unit.weight.min() < 0 or not unit.weight.any():
        return Plan(Unit(np.zeros_like(unit.weight), 1), ahead)
    if sure >= unit.threshold:
        return Plan(Unit(np.zeros_like(unit.weight), 0), ahead)
    return Plan(fewest(unit), ahead, 0)


def _subtracting(unit: Unit, taken: int, ahead: Integers) -> tuple[Plan, Wrong | None]:
    """A neuron whose spike takes something off, and what is wrong with that."""
    shared = reduce(gcd, unit.weight.tolist(), taken)
    weight, off, first = unit.weight // shared, taken // shared, -(-unit.threshold // shared)
    plan = Plan(Unit(weight, first), ahead, off)
    most = int(weight.sum())
    if off < 1 or off & (off - 1):
        what = f"takes {off} units of its weights off with a spike, which is no power of two"
    elif first < off:
        what = f"fires from {first} units of its weights on, and takes {off} off"
    elif most > off:
        what = f"takes {off} units of its weights off with a spike, and a step may bring {most}"
    else:
        return plan, None
    return plan, ("E1451", what, "other weights, or a reset to 0")


def _each(
    graph: Graph,
    population: Population,
    lines: Sequence[Line],
    constant: Mapping[tuple[str, int], bool],
    release: Mapping[str, Said],
) -> tuple[float, ...]:
    """The probability of each line that reaches a population, as it was said of projections."""
    of: dict[str, float] = {}
    for p in graph.incoming(population.name):
        here = float(release.get(p.name, 1.0))
        if of.setdefault(p.pre, here) != here:
            raise fail(
                "E1447",
                f"'{p.pre}' reaches '{population.name}' with {of[p.pre]:g} and with {here:g}",
                p.at,
                "one probability for all projections between two nodes",
            )
        always = [
            line.place
            for line in lines
            if line.node == p.pre and constant.get((p.pre, line.place), False)
        ]
        if here < 1.0 and always:
            raise fail(
                "E1447",
                f"'{p.pre}'[{always[0]}] fires in every step without a pulse that could be lost",
                p.at,
                f"--release {p.name}=1, or a threshold above what the bias alone reaches",
            )
    return tuple(of.get(line.node, 1.0) for line in lines)


def synthesise(
    graph: Graph,
    *,
    skew: float = SKEW,
    timings: Mapping[str, Timing] | None = None,
    release: Mapping[str, Said] | None = None,
    progress: Progress = no_progress,
) -> Program:
    """The circuit of a quantised graph; ``release`` by projection is a probability or `WEIGHTS`.

    ``progress`` is told the share of lengths of lines that were tried; most need the first few.
    E1432 for neurons and connections that no such circuit has, E1433 where a neuron would count
    more pulses than it can, E1434 where no slots keep the separations of the cells, E1450 and E1451
    for sums over steps that cells do not make. E1445 and E1447 for probabilities that no synapse
    has, or not one of these, E1448 where not all that a neuron gets is by weights, or its reset
    takes off.
    """
    _check(graph)
    for name, said in (release or {}).items():
        if said not in (WEIGHTS, 1.0):
            chance.factor(float(said), f"'{name}'")
    layers = _layers(graph)
    plans = _plans(graph, layers, release)
    lacked, slot, tight = np.inf, 0, list[Tight]()
    holds: dict[str, int] = {}
    for tried, slot in enumerate(_SLOTS):
        progress("schedule", tried / len(_SLOTS))
        program, tight = _timed(graph, layers, plans, slot, skew, timings, holds)
        # Ways of a clock differ by what the tree makes of them: a late line waits for that.
        for _ in range(_ROUNDS):
            early = [t for t in tight if t.instance in holds and (t.first, t.second) == _LATE]
            if not early:
                break
            for one in early:
                holds[one.instance] += math.ceil(one.lacks / _HOLDS)
            program, tight = _timed(graph, layers, plans, slot, skew, timings, holds)
        if program is not None:
            progress("schedule", 1.0)
            return replace(program, release=_released(plans, release or {}))
        # What longer lines part by, their own jitter takes away again: no length is enough.
        if slot >= _ENOUGH and tight[0].lacks >= lacked:
            break
        lacked = tight[0].lacks
    raise fail(
        "E1434",
        f"{slot} JTLs between pulses are not enough: {tight[0]}",
        hint="less skew of the inputs, or neurons of fewer inputs",
    )


def _released(plans: Mapping[str, Planned], release: Mapping[str, Said]) -> dict[str, Released]:
    """Of the projections that release by chance or by weights, and of biases that do."""
    return {
        name: planned.released(name)
        for planned in plans.values()
        for name in planned.of
        if planned.thinned or release.get(name, 1.0) != 1.0
    }


def _plans(
    graph: Graph, layers: Sequence[Sequence[Population]], release: Mapping[str, Said] | None
) -> dict[str, Planned]:
    """Plans of all populations; E1433 for what is too much, E1450 and E1451 as `planned`."""
    depth = {p.name: k for k, layer in enumerate(layers, 1) for p in layer}
    constant: dict[tuple[str, int], bool] = {}
    while True:
        plans: dict[str, Planned] = {}
        found = Diagnostics()
        for p in (p for layer in layers for p in layer):
            plans[p.name] = planned(graph, p, depth, constant, found, release)
            for k, plan in enumerate(plans[p.name].plans):
                if plan.constant:
                    constant[p.name, k] = plan.unit.always
        # Of a spike that goes back it is known only now that it always or never comes.
        late = (line for one in plans.values() for line in one.taken)
        if not any(
            (line.node, line.place) in constant
            and (_known(line, constant) is not None or not line.launched)
            for line in late
        ):
            break
    found.raise_errors()
    _countable(graph, plans)
    return plans


def _check(graph: Graph) -> None:
    found = Diagnostics()
    for p in graph.populations:
        cell = integer_neuron(p)
        wrong = None
        if cell.reset == "none":
            wrong = "reads out its membrane, and a pulse has no size"
        elif cell.decay_u is not None or cell.leak is not None or cell.curve is not None:
            wrong = f"is {cell.source_model}, which remembers more than a sum"
        elif (leak := _leak(cell)) is not None:
            wrong = f"is {cell.source_model}, which remembers a share of {leak:.3g} of its sum"
        elif np.any(cell.decay_v) and _odd(cell):
            wrong = f"adds up over steps, and {_odd(cell)}"
        elif cell.adapt_inc is not None or cell.refractory or cell.bias_first is not None:
            wrong = "has a threshold, a refractory time or a bias that depends on the step"
        elif cell.max_spikes != 1:
            wrong = "sends several spikes in a step"
        if wrong is not None:
            found.add("E1432", f"'{p.name}' {wrong}", p.at, "a Threshold, a decay of 0, or an IF")
    for q in graph.projections:
        if q.plasticity is not None or q.tied is not None:
            found.add("E1432", f"the weights of '{q.name}' learn, and those of cells cannot", q.at)
    found.raise_errors()


def _leak(cell: IntegerNeuron) -> float | None:
    """What a step leaves of a sum, where that is neither all nor nothing."""
    whole = 1 << cell.numerics.decay_bits
    decay = np.ravel(cell.decay_v)
    between = decay[(decay != 0) & (decay != whole)]
    return float(between[0]) / whole if between.size else None


def _odd(cell: IntegerNeuron) -> str:
    """What of a neuron that adds up over steps no cell does; empty where there is nothing."""
    if cell.reset == "two_phase":
        return "has a reset in two phases"
    if cell.reset != "subtract" and np.any(cell.v_reset):
        return "begins elsewhere than at 0 when it has fired"
    return "is held above 0" if np.any(cell.v_min > 0) else ""


def _layers(graph: Graph) -> list[list[Population]]:
    """Populations by how many clocks are ahead of them; delayed spikes of a loop wait for none."""
    names = {p.name for p in graph.populations}
    inside = [q for q in graph.projections if q.pre in names]
    every: nx.DiGraph[str] = nx.DiGraph()
    every.add_nodes_from(names)
    every.add_edges_from((q.pre, q.post) for q in inside)
    loop = {
        name: k for k, one in enumerate(nx.strongly_connected_components(every)) for name in one
    }
    order: nx.DiGraph[str] = nx.DiGraph()
    order.add_nodes_from(names)
    order.add_edges_from(
        (q.pre, q.post) for q in inside if loop[q.pre] != loop[q.post] or _least(q, graph) == 0
    )
    return [
        [p for p in graph.populations if p.name in layer]
        for layer in nx.topological_generations(order)
    ]


def _least(projection: Projection, graph: Graph) -> int:
    """The least steps that a spike takes along a projection."""
    own = synapses(projection.connection, projection.at)[3].tolist()
    return min(own, default=0) + projection.delay + registered(projection, graph)


def _countable(graph: Graph, plans: Mapping[str, Planned]) -> None:
    found = Diagnostics()
    for p in graph.populations:
        for k, plan in enumerate(plans[p.name].plans):
            if plan.unit.always and p.name in {o.source for o in graph.outputs}:
                hint = "a threshold above what the bias alone reaches"
                found.add("E1433", f"'{p.name}'[{k}] fires in every step", p.at, hint)
            elif plan.pulses > MOST_PULSES:
                step = " in a step" if plan.taken is None else ""
                found.add(
                    "E1433",
                    f"'{p.name}'[{k}] would count up to {plan.pulses} pulses{step}, "
                    f"{MOST_PULSES} at most",
                    p.at,
                    "fewer inputs, or weights of fewer bits (--weight-bits)",
                )
    found.raise_errors()


@dataclass
class _Fan:
    """Copies that are taken of the spikes of one neuron or input: at once, or by steps of delay."""

    now: int = 0
    late: dict[int, int] = field(default_factory=dict)
    launched: dict[int, int] = field(default_factory=dict)

    def add(self, line: Line, ways: int) -> None:
        """Copies of one more line."""
        if not line.steps:
            self.now += ways
        else:
            chain = self.launched if line.launched else self.late
            chain[line.steps] = chain.get(line.steps, 0) + ways

    @property
    def ways(self) -> int:
        """Copies that leave the net itself."""
        return self.now + bool(self.late) + bool(self.launched)

    def wire(
        self,
        build: Builder,
        net: str,
        line: Line,
        reads: list[str],
        clocked: int,
        lines: dict[Line, list[str]],
    ) -> tuple[list[str], str | None]:
        """Put copies of ``net`` into ``lines``, those of ``launched`` left out.

        Returns its nets by steps of delay, and a copy for the spikes that are launched, if any. The
        clock of a delay is of ``reads``, of ``clocked`` once.
        """
        copies = build.split(net, self.ways, f"{line.node}[{line.place}].s") if self.ways else []
        lines[line] = [copies.pop(0) for _ in range(self.now)]
        launched = copies.pop() if self.launched else None
        late: list[str] = []
        if self.late:
            late = _chain(build, copies.pop(), self.late, line, reads, clocked, lines)
        return [net, *late], launched


def _chain(
    build: Builder,
    net: str,
    chain: Mapping[int, int],
    line: Line,
    clocks: list[str],
    ways: int,
    lines: dict[Line, list[str]],
) -> list[str]:
    """Put copies of ``net`` that come steps late into ``lines``; the nets that they are taken of.

    ``chain`` has how many are taken by steps, ``clocks`` what is left of all ``ways`` of a clock.
    """
    nets, last = [], max(chain)
    for steps in range(1, last + 1):
        name = f"{line.node}[{line.place}].{'next' if line.launched else 'late'}{steps}"
        net = build.late(net, clocks.pop(0), ways, name)
        nets.append(net)
        taken = chain.get(steps, 0) + (steps < last)
        copies = build.split(net, taken, f"{name}.s") if taken else []
        if steps < last:
            net = copies.pop()
        lines[line._replace(steps=steps)] = copies
    return nets


def _fans(graph: Graph, plans: Mapping[str, Planned]) -> dict[tuple[str, int], _Fan]:
    """What is taken of every neuron and input; an output is a copy that nothing else takes."""
    fans = {(node.name, i): _Fan() for node in graph.nodes for i in range(node.size)}
    for planned in plans.values():
        for line, ways in planned.taken.items():
            if line != ALWAYS:
                fans[line.node, line.place].add(line, ways)
    outputs = {o.source for o in graph.outputs}
    for p in graph.populations:
        for k, plan in enumerate(plans[p.name].plans):
            steps = int(p.semantics.registered)
            if not plan.constant or (steps and plan.unit.always):
                here = Line(p.name, k, steps, launched=bool(steps) and plan.constant)
                fans[p.name, k].add(here, int(p.name in outputs))
    return fans


def _begins(
    population: Population,
    neuron: int,
    plans: Mapping[str, Planned],
    fans: Mapping[tuple[str, int], _Fan],
) -> bool:
    """Whether a neuron that fires in every step has delayed spikes, which begin later."""
    plan = plans[population.name].plans[neuron]
    return plan.constant and bool(fans[population.name, neuron].launched)


def _timed(
    graph: Graph,
    layers: Sequence[Sequence[Population]],
    plans: Mapping[str, Planned],
    slot: int,
    skew: float,
    timings: Mapping[str, Timing] | None,
    holds: dict[str, int],
) -> tuple[Program | None, list[Tight]]:
    """The circuit with so many JTLs between pulses, or what is tight in it.

    ``holds``, of `Builder`, are those that it has; ones that it lacks are put in.
    """
    build = Builder(holds=holds)
    fans = _fans(graph, plans)
    lines: dict[Line, list[str]] = {}
    inputs: dict[str, tuple[str | None, ...]] = {}
    spikes: dict[str, tuple[str | None, ...]] = {}
    phases: list[str] = []
    every = sum(p.taken.get(ALWAYS, 0) for p in plans.values())
    ones = [(p, k) for p in graph.populations for k in range(p.size) if _begins(p, k, plans, fans)]
    later = sum(max(fan.launched, default=0) for fan in fans.values())
    ways = every + len(ones) + later
    launches = _clock(build, LAUNCH, ways, phases)
    lines[ALWAYS] = [launches.pop(0) for _ in range(every)]
    heads: dict[tuple[str, int], str] = {}
    launched: dict[tuple[str, int], list[str]] = {}
    for source, fan in fans.items():
        if fan.launched:
            heads[source] = build.net()
            line = Line(*source, launched=True)
            nexts = _chain(build, heads[source], fan.launched, line, launches, ways, lines)
            launched[source] = nexts
    for p, k in ones:
        one = build.delay(launches.pop(0), HOLD, f"{p.name}[{k}].one")
        build.join(heads[p.name, k], one)
    for node in graph.inputs:
        nets: list[str | None] = []
        for i in range(node.size):
            name, fan = f"{node.name}[{i}]", fans[node.name, i]
            nets.append(name if fan.ways else None)
            if fan.ways:
                _, copy = fan.wire(build, name, Line(node.name, i), [], 0, lines)
                if copy is not None:
                    build.join(heads[node.name, i], copy)
        inputs[node.name] = tuple(nets)
    for depth, layer in enumerate(layers, 1):
        fires = [plan for p in layer for plan in plans[p.name].plans if not plan.constant]
        late = sum(max(fans[p.name, k].late, default=0) for p in layer for k in range(p.size))
        inverts = _clock(build, f"invert{depth}", sum(plan.inverts for plan in fires), phases)
        clocked = sum(plan.reads for plan in fires) + late
        reads = _clock(build, f"clock{depth}", clocked, phases)
        for p in layer:
            fired: list[str | None] = []
            for k, plan in enumerate(plans[p.name].plans):
                if plan.constant:
                    first = launched.get((p.name, k), []) if p.semantics.registered else []
                    fired.append(first[0] if first else None)
                    continue
                read = [reads.pop(0) for _ in range(plan.reads)]
                ahead = [inverts.pop(0) for _ in range(plan.inverts)]
                name = f"{p.name}[{k}]"
                own = _copies(build, plans[p.name], k, lines, name)
                net = neuron(build, plan, own, read, ahead, slot, name)
                seen, copy = fans[p.name, k].wire(
                    build, net, Line(p.name, k), reads, clocked, lines
                )
                if copy is not None:
                    build.join(heads[p.name, k], copy)
                fired.append(seen[p.semantics.registered])
            spikes[p.name] = tuple(fired)
    always = {name: tuple(plan.unit.always for plan in p.plans) for name, p in plans.items()}
    remembers = any(fan.late or fan.launched for fan in fans.values()) or any(
        plan.taken is not None for p in plans.values() for plan in p.plans
    )
    return _clocked(build, inputs, always, spikes, phases, slot, skew, timings, remembers)


def _copies(
    build: Builder,
    planned: Planned,
    neuron: int,
    lines: Mapping[Line, list[str]],
    name: str,
) -> list[list[str]]:
    """The copies of its input lines that a neuron takes, behind their synapses."""
    every = planned.taken_by(neuron)
    waits = any(number and p < 1.0 for _, number, p in every)
    out = []
    for j, (line, number, p) in enumerate(every):
        copies = [lines[line].pop(0) for _ in range(_ways(number, p))]
        if number and p < 1.0:
            # The law is of a synapse behind a JTL: other cells send pulses of other shapes.
            front = build.delay(copies[0], 1, f"{name}.syn{j}.j")
            net = build.net()
            nets = {"a": front, "q": net}
            build.cell(chance.KIND, f"{name}.syn{j}", nets, **{chance.SOURCE: chance.factor(p)})
            copies = build.split(net, number, f"{name}.syn{j}.s")
        elif waits:
            synapse, jtl = (float(timing(k).delay[0, 0, 0]) for k in (chance.KIND, "jtl"))
            late = 1 + round(synapse / jtl)
            copies = [build.delay(net, late, f"{name}.wait{j}.{c}") for c, net in enumerate(copies)]
        out.append(copies)
    return out


def _ways(number: int, release: float) -> int:
    """Copies of a line that lead to a neuron which takes so many: one, where it has a synapse."""
    return min(number, 1) if release < 1.0 else number


def _clock(build: Builder, name: str, ways: int, phases: list[str]) -> list[str]:
    """Copies of a clock, if any are wanted; the clock is one of ``phases`` then."""
    if not ways:
        return []
    phases.append(name)
    return build.split(name, ways, f"{name}.s")


def arrivals(
    inputs: Mapping[str, Sequence[str | None]], start: float, skew: float
) -> dict[str, tuple[Window, ...]]:
    """Windows of the pulses on input nets."""
    return {
        net: (Window(start - skew, start + skew),)
        for nets in inputs.values()
        for net in nets
        if net is not None
    }


def _clocked(
    build: Builder,
    inputs: Mapping[str, tuple[str | None, ...]],
    always: Mapping[str, tuple[bool, ...]],
    spikes: Mapping[str, tuple[str | None, ...]],
    phases: Sequence[str],
    slot: int,
    skew: float,
    timings: Mapping[str, Timing] | None,
    remembers: bool,
) -> tuple[Program | None, list[Tight]]:
    """Clocks one after the other, each as early as all corners let it be; or what is tight."""
    netlist = build.netlist()
    schedules = [Schedule(netlist, corner, timings) for corner in CORNERS]
    start = skew
    stimuli: dict[str, tuple[Window, ...]] = {}
    clocks: dict[str, float] = {}

    def behind(own: Mapping[str, tuple[Window, ...]]) -> float:
        least = 0.0
        for schedule in schedules:
            tree = schedule.windows(own)
            least = max(least, schedule.after(schedule.windows(stimuli), tree))
        return least + GUARD

    if LAUNCH in phases:
        clocks[LAUNCH] = 0.0
        stimuli[LAUNCH] = (Window(0.0, 0.0),)
        start = max(start, behind(arrivals(inputs, 0.0, skew)))
    stimuli |= arrivals(inputs, start, skew)
    for net in (net for net in phases if net != LAUNCH):
        clocks[net] = behind({net: (Window(0.0, 0.0),)})
        stimuli[net] = (Window(clocks[net], clocks[net]),)
    every = [schedule.windows(stimuli) for schedule in schedules]
    # All that is tight is wanted where JTLs are put in front of some of it, else the worst of it.
    worst = not build.holds
    tight = [
        t
        for schedule, found in zip(schedules, every, strict=True)
        for t in (
            *schedule.tight(found, worst),
            *schedule.disordered(found, build.orders, worst),
        )
    ]
    if tight:
        return None, sorted(tight, key=lambda one: -one.lacks)
    period = max(s.period(found) for s, found in zip(schedules, every, strict=True)) + GUARD
    windows = {
        net: (
            min(w.early for found in every for w in found[net]),
            max(w.late for found in every for w in found[net]),
        )
        for nets in spikes.values()
        for net in nets
        if net is not None and all(found.get(net) for found in every)
    }
    program = Program(
        netlist,
        dict(inputs),
        dict(always),
        clocks,
        dict(spikes),
        windows,
        period,
        start,
        skew,
        slot,
        remembers,
    )
    return program, []
