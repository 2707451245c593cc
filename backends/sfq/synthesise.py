r"""A quantised network of neurons without memory as a circuit of cells, and when its pulses come.

All populations fire once in a step, one layer behind the other: a pulse on an input line is a spike
at the beginning of a step, a clock reads each layer when everything that it waits for has come. The
clocks are inputs of the circuit. Their times, and the least length of a step, follow from the
windows of ``schedule``, at all corners of the delays.

The same graph on the integer rung has the same spikes: `threshold.smallest` changes no output.

Where a projection releases with a probability, each of its lines passes one synapse on its way to
each neuron, in front of the copies that the weight asks for. A neuron then is the same function as
ever, of what was released,

.. math:: \sum_i w_i r_i x_i \ge \theta, \qquad r_i = 1 \text{ with probability } p_i,
    \text{ else } 0,

so that p does not depend on how weights were made smaller. Lines without a synapse that reach such
a neuron wait as long as one takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import networkx as nx
import numpy as np
import numpy.typing as npt

from ...compiler.connectivity import delays, to_sparse
from ...compiler.integer.population import integer_neuron
from ...ir.diagnostics import Diagnostics, fail
from ...ir.graph import Graph, Population
from ...ir.records import Record
from . import chance
from .netlist import Netlist
from .neurons import HOLD, Builder, Plan, neuron
from .schedule import CORNERS, Schedule, Tight, Window
from .threshold import Unit, smallest
from .timing import Timing, timing

Integers = npt.NDArray[np.int64]
# Pulses that a neuron may be asked to count in a step: each is a slot of some 20 ps.
MOST_PULSES: Final = 64
# JTLs between the pulses of a line, the least that keeps all separations.
_SLOTS: Final = (*range(HOLD, 9), 10, 12, 14, 16, 20, 24)
_ENOUGH: Final = 12
# What an input may be early or late by, and a clock is later than it would have to be, in s.
SKEW: Final = 5e-12
GUARD: Final = 5e-12


@dataclass(frozen=True, eq=False)
class Program(Record):
    """A circuit of cells that is a network, and its times, all in s from the start of a step.

    ``inputs`` has the net of each line of each input, ``None`` where nothing takes it; ``clocks``
    the time of each clock's pulse; ``spikes`` the net of each neuron of each population, and
    ``windows`` when there is a pulse on it. A neuron that whatever comes fires in every step or in
    none has no net; ``always`` says which it is. A step lasts ``period``; input pulses come at
    ``start``, up to ``skew`` before or after.
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

    @property
    def latency(self) -> float:
        """From the start of a step to the last pulse that its spikes may be, in s."""
        return max([0.0, *(high for _, high in self.windows.values())])


@dataclass(frozen=True)
class Planned:
    """A population: ``lines`` that reach it, as node and place, and a plan of each neuron.

    ``release`` is the probability of each line's synapses, 1 where it has none.
    """

    lines: tuple[tuple[str, int], ...]
    plans: tuple[Plan, ...]
    release: tuple[float, ...] = ()


def planned(
    graph: Graph,
    population: Population,
    depth: Mapping[str, int],
    constant: Mapping[tuple[str, int], bool],
    release: Mapping[str, float] | None = None,
) -> Planned:
    r"""What each neuron of a population makes of its inputs.

    It fires where :math:`\mathrm{acc}\,2^s + \mathrm{bias} > \theta`, so where acc is at least
    :math:`\lfloor (\theta - \mathrm{bias}) / 2^s \rfloor + 1`. ``depth`` of each population: the
    clocks that it takes; ``constant`` lines always or never have a pulse, and take no cell;
    ``release`` of projections. E1447 for a line of two probabilities, or one that is constant.
    """
    cell = integer_neuron(population)
    lines: list[tuple[str, int]] = []
    parts = [np.zeros((0, population.size), np.int64)]
    for p in graph.incoming(population.name):
        parts.append(np.asarray(to_sparse(p.connection).todense(), np.int64))
        lines += [(p.pre, i) for i in range(len(parts[-1]))]
    # A line that comes by two projections is one line; those of early layers come first.
    every = sorted(dict.fromkeys(lines), key=lambda line: depth.get(line[0], 0))
    total = np.zeros((len(every), population.size), np.int64)
    np.add.at(total, [every.index(line) for line in lines], np.concatenate(parts))
    least = ((cell.threshold - cell.bias) >> cell.shift) + 1
    given = np.array([constant.get(line, False) for line in every], np.int64)
    thresholds = (np.broadcast_to(np.ravel(least), population.size) - given @ total).tolist()
    total[[line in constant for line in every]] = 0
    ahead = np.array([depth.get(node, 0) for node, _ in every], np.int64)
    units = [smallest(Unit(w, t)) for w, t in zip(total.T, thresholds, strict=True)]
    released = _released(graph, population, every, constant, release or {})
    return Planned(tuple(every), tuple(Plan(unit, ahead) for unit in units), released)


def _released(
    graph: Graph,
    population: Population,
    lines: Sequence[tuple[str, int]],
    constant: Mapping[tuple[str, int], bool],
    release: Mapping[str, float],
) -> tuple[float, ...]:
    """The probability of each line that reaches a population."""
    of: dict[str, float] = {}
    for p in graph.incoming(population.name):
        here = release.get(p.name, 1.0)
        if of.setdefault(p.pre, here) != here:
            raise fail(
                "E1447",
                f"'{p.pre}' reaches '{population.name}' with {of[p.pre]:g} and with {here:g}",
                p.at,
                "one probability for all projections between two nodes",
            )
        always = [i for node, i in lines if node == p.pre and constant.get((node, i), False)]
        if here < 1.0 and always:
            raise fail(
                "E1447",
                f"'{p.pre}'[{always[0]}] fires in every step without a pulse that could be lost",
                p.at,
                f"--release {p.name}=1, or a threshold above what the bias alone reaches",
            )
    return tuple(of[node] for node, _ in lines)


def synthesise(
    graph: Graph,
    *,
    skew: float = SKEW,
    timings: Mapping[str, Timing] | None = None,
    release: Mapping[str, float] | None = None,
) -> Program:
    """The circuit of a quantised graph, ``release`` being probabilities by projection.

    E1432 for neurons and connections that no such circuit has, E1433 where a neuron would count
    more pulses than it can, E1434 where no slots keep the separations of the cells. E1445 and E1447
    for probabilities that no synapse has, or not one of these.
    """
    _check(graph)
    for name, probability in (release or {}).items():
        if probability != 1.0:
            chance.factor(probability, f"'{name}'")
    layers = _layers(graph)
    depth = {p.name: k for k, layer in enumerate(layers, 1) for p in layer}
    plans: dict[str, Planned] = {}
    constant: dict[tuple[str, int], bool] = {}
    for p in (p for layer in layers for p in layer):
        plans[p.name] = planned(graph, p, depth, constant, release)
        for k, plan in enumerate(plans[p.name].plans):
            if plan.constant:
                constant[p.name, k] = plan.unit.always
    _countable(graph, plans)
    lacked, slot, tight = np.inf, 0, list[Tight]()
    for slot in _SLOTS:
        program, tight = _timed(graph, layers, plans, slot, skew, timings)
        if not tight:
            return program
        # What longer lines part by, their own jitter takes away again: no length is enough.
        if slot >= _ENOUGH and tight[0].lacks >= lacked:
            break
        lacked = tight[0].lacks
    raise fail(
        "E1434",
        f"{slot} JTLs between pulses are not enough: {tight[0]}",
        hint="less skew of the inputs, or neurons of fewer inputs",
    )


def _check(graph: Graph) -> None:
    found = Diagnostics()
    for p in graph.populations:
        cell = integer_neuron(p)
        wrong = None
        if cell.reset == "none":
            wrong = "reads out its membrane, and a pulse has no size"
        elif np.any(cell.decay_v) or cell.decay_u is not None or cell.leak is not None:
            wrong = f"is {cell.source_model}, which remembers the step before"
        elif cell.adapt_inc is not None or cell.refractory or cell.bias_first is not None:
            wrong = "has a threshold, a refractory time or a bias that depends on the step"
        elif cell.max_spikes != 1:
            wrong = "sends several spikes in a step"
        if wrong is not None:
            found.add("E1432", f"'{p.name}' {wrong}", p.at, "a Threshold, or a decay of 0")
    for q in graph.projections:
        if q.plasticity is not None or q.tied is not None:
            found.add("E1432", f"the weights of '{q.name}' learn, and those of cells cannot", q.at)
        elif q.delay or any(d.any() for d in delays(q.connection, q.at)):
            found.add("E1432", f"'{q.name}' has a delay of whole steps", q.at)
    found.raise_errors()


def _layers(graph: Graph) -> list[list[Population]]:
    """Populations by how many clocks are ahead of them."""
    names = {p.name for p in graph.populations}
    order: nx.DiGraph[str] = nx.DiGraph()
    order.add_nodes_from(names)
    order.add_edges_from((q.pre, q.post) for q in graph.projections if q.pre in names)
    return [
        [p for p in graph.populations if p.name in layer]
        for layer in nx.topological_generations(order)
    ]


def _countable(graph: Graph, plans: Mapping[str, Planned]) -> None:
    found = Diagnostics()
    for p in graph.populations:
        for k, plan in enumerate(plans[p.name].plans):
            if plan.unit.always and p.name in {o.source for o in graph.outputs}:
                hint = "a threshold above what the bias alone reaches"
                found.add("E1433", f"'{p.name}'[{k}] fires in every step", p.at, hint)
            elif plan.pulses > MOST_PULSES:
                found.add(
                    "E1433",
                    f"'{p.name}'[{k}] would count up to {plan.pulses} pulses in a step, "
                    f"{MOST_PULSES} at most",
                    p.at,
                    "fewer inputs, or weights of fewer bits (--weight-bits)",
                )
    found.raise_errors()


def _timed(
    graph: Graph,
    layers: Sequence[Sequence[Population]],
    plans: Mapping[str, Planned],
    slot: int,
    skew: float,
    timings: Mapping[str, Timing] | None,
) -> tuple[Program, list[Tight]]:
    """The circuit with so many JTLs between pulses, and what is tight in it."""
    build = Builder()
    taken = _taken(graph, plans)
    by_chance = any(p < 1.0 for planned in plans.values() for p in planned.release)
    lines: dict[tuple[str, int], list[str]] = {}
    inputs: dict[str, tuple[str | None, ...]] = {}
    for node in graph.inputs:
        nets: list[str | None] = []
        for i in range(int(np.prod(node.shape))):
            name, ways = f"{node.name}[{i}]", taken.get((node.name, i), 0)
            nets.append(name if ways else None)
            if ways:
                # A synapse keeps its law behind a cell, not behind whatever drives an input.
                front = build.delay(name, int(by_chance and ways == 1), f"{name}.j")
                lines[node.name, i] = build.split(front, ways, f"{name}.s")
        inputs[node.name] = tuple(nets)
    outputs = {o.source for o in graph.outputs}
    spikes: dict[str, tuple[str | None, ...]] = {}
    phases: list[str] = []
    for depth, layer in enumerate(layers, 1):
        fires = [plan for p in layer for plan in plans[p.name].plans if not plan.constant]
        inverts = _clock(build, f"invert{depth}", sum(plan.inverts for plan in fires), phases)
        reads = _clock(build, f"clock{depth}", sum(plan.reads for plan in fires), phases)
        for p in layer:
            fired: list[str | None] = []
            for k, plan in enumerate(plans[p.name].plans):
                fired.append(None)
                if plan.constant:
                    continue
                read = [reads.pop(0) for _ in range(plan.reads)]
                ahead = [inverts.pop(0) for _ in range(plan.inverts)]
                name = f"{p.name}[{k}]"
                own = _copies(build, plans[p.name], plan, lines, name)
                net = neuron(build, plan, own, read, ahead, slot, name)
                ways = taken.get((p.name, k), 0) + (p.name in outputs)
                lines[p.name, k] = build.split(net, ways, f"{name}.s") if ways else []
                fired[-1] = net
            spikes[p.name] = tuple(fired)
    always = {name: tuple(plan.unit.always for plan in p.plans) for name, p in plans.items()}
    return _clocked(build, inputs, always, spikes, phases, slot, skew, timings)


def _copies(
    build: Builder,
    planned: Planned,
    plan: Plan,
    lines: Mapping[tuple[str, int], list[str]],
    name: str,
) -> list[list[str]]:
    """The copies of its input lines that a neuron takes, behind their synapses."""
    every = list(zip(planned.lines, plan.copies, planned.release, strict=True))
    waits = any(number and p < 1.0 for _, number, p in every)
    out = []
    for j, (line, number, p) in enumerate(every):
        copies = [lines[line].pop(0) for _ in range(_ways(number, p))]
        if number and p < 1.0:
            net = build.net()
            nets = {"a": copies[0], "q": net}
            build.cell(chance.KIND, f"{name}.syn{j}", nets, **{chance.SOURCE: chance.factor(p)})
            copies = build.split(net, number, f"{name}.syn{j}.s")
        elif waits:
            late = round(float(timing(chance.KIND).delay[0, 0, 0] / timing("jtl").delay[0, 0, 0]))
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


def _taken(graph: Graph, plans: Mapping[str, Planned]) -> dict[tuple[str, int], int]:
    """How many copies of each line all neurons take together."""
    out: dict[tuple[str, int], int] = {}
    for p in graph.populations:
        for plan in plans[p.name].plans:
            if not plan.constant:
                here = plans[p.name]
                for line, number, p_line in zip(here.lines, plan.copies, here.release, strict=True):
                    out[line] = out.get(line, 0) + _ways(number, p_line)
    return out


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
) -> tuple[Program, list[Tight]]:
    """Clocks one after the other, each as early as all corners let it be."""
    netlist = build.netlist()
    schedules = [Schedule(netlist, corner, timings) for corner in CORNERS]
    start = skew
    stimuli = arrivals(inputs, start, skew)
    clocks: dict[str, float] = {}
    for net in phases:
        least = 0.0
        for schedule in schedules:
            tree = schedule.windows({net: (Window(0.0, 0.0),)})
            least = max(least, schedule.after(schedule.windows(stimuli), net, tree))
        clocks[net] = least + GUARD
        stimuli[net] = (Window(clocks[net], clocks[net]),)
    every = [schedule.windows(stimuli) for schedule in schedules]
    tight = [
        t
        for schedule, found in zip(schedules, every, strict=True)
        for t in (*schedule.tight(found), *schedule.disordered(found, build.orders))
    ]
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
    )
    return program, sorted(tight, key=lambda one: -one.lacks)
