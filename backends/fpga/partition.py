"""Which neurons go to which core: a simple, deterministic split that balances expected cycles.

The result is data, an `Assignment`; lowering and everything behind it take any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import fail
from ...ir.graph import Graph
from .lower import Placement, Wiring, channels_last, place
from .words import Synapses, fewest_words, words_onto

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Assignment:
    """The core of each neuron, 0 .. cores - 1: by population an array of its size.

    ``load`` has what whoever made it expects of the busiest core, in cycles; 0 if nothing.
    ``rank`` says how the neurons of a population lie in each core, by ascending number; those of
    populations that are not in it lie in the graph's order.
    """

    cores: int
    core: Mapping[str, Integers]
    load: float = 0.0
    rank: Mapping[str, Integers] = field(default_factory=dict)

    def members(self, graph: Graph, name: str, core: int) -> Integers:
        """The neurons of a population that are in a core, in the order in which they lie there.

        Neighbours in a convolution stay neighbours (`channels_last`).
        """
        own = np.flatnonzero(self.core[name] == core)
        rank = self.rank.get(name)
        if rank is None:
            rank = channels_last(graph, graph.population(name))
        return own if rank is None else own[np.argsort(rank[own], kind="stable")]


def split(
    graph: Graph,
    cores: int,
    lanes: int,
    units: int,
    activity: float,
    wiring: Wiring | None = None,
) -> Assignment:
    """Every population in runs of whole groups of ``lanes`` neurons, one run a core at most.

    A group costs the words that lead to it times ``activity``, and its commit. Populations are
    dealt out from the costliest on, each so that the cores are as level as they can be: so most
    are cut into as many parts as there are cores, and small ones go to the core with least to do.
    A row of words is then cut like its population, and every core adds its part of it at the same
    time. What the busiest core is expected to take (``load``) counts rows as they are lowered
    (`best`), which are added while it commits: units that commit sooner than that save nothing.
    E0310 if there are fewer groups than cores.
    """
    synapses, first = _synapses(wiring or Wiring(graph), lanes, units)
    costs = _costs(graph, synapses, first, (lanes, units), activity)
    groups = sum(cost.size for cost in costs.values())
    if groups < cores:
        raise fail(
            "E0310",
            f"the network has {groups} group(s) of {lanes} neurons, too few for {cores} cores",
            hint=f"compile with --cores {max(groups, 1)}, or with fewer --lanes",
        )
    load = np.zeros(cores)
    core: dict[str, Integers] = {}
    group_core: dict[str, Integers] = {}
    order = sorted(costs, key=lambda name: (-costs[name].sum(), name))
    # What is left over when whole groups have been dealt out must leave none without any.
    left = groups
    for name in order:
        parts = _dealt(costs[name], load, left)
        left -= costs[name].size
        group_core[name] = parts
        neuron_group = np.repeat(parts, lanes)
        rank = channels_last(graph, graph.population(name))
        size = graph.population(name).size
        core[name] = neuron_group[np.arange(size) if rank is None else rank]
    where = np.zeros(groups, np.int64)
    for name, at in first.items():
        where[at // lanes :][: costs[name].size] = group_core[name]
    words = fewest_words(synapses, lanes, where[synapses.target // lanes])
    commit = np.bincount(where, minlength=cores) * (lanes // units)
    words = np.pad(words, (0, cores - words.size))
    return Assignment(cores, core, float(np.maximum(activity * words, commit).max()))


def _synapses(wiring: Wiring, lanes: int, units: int) -> tuple[Synapses, dict[str, int]]:
    """All synapses, and the first neuron of each population, with groups of their own."""
    graph, first, at = wiring.graph, {}, 0
    for population in graph.populations:
        first[population.name] = at
        at += -(-population.size // lanes) * lanes
    whole, lines, _ = place(graph, lanes, units)
    return wiring.synapses(Placement(whole.inputs, first, whole.order), lines), first


def _costs(
    graph: Graph, synapses: Synapses, first: dict[str, int], size: tuple[int, int], activity: float
) -> dict[str, Floats]:
    """Expected cycles of each group of each population, were it alone in a core."""
    lanes, units = size
    groups = {p.name: -(-p.size // lanes) for p in graph.populations}
    words = words_onto(synapses, lanes, sum(groups.values()))
    costs: Floats = np.asarray(activity * words + lanes // units, np.float64)
    return {name: costs[first[name] // lanes :][:count] for name, count in groups.items()}


def _dealt(cost: Floats, load: Floats, left: int) -> Integers:
    """The core of each group, ascending runs; ``load`` is brought up to date.

    ``left`` groups are to come, these among them: as many cores must not stay empty.
    """
    order = np.argsort(load, kind="stable")
    parts = np.zeros(cost.size, np.int64)
    at = 0
    for turn, core in enumerate(order.tolist()):
        level = _level(np.sort(load[order[turn:]]), float(cost[at:].sum()))
        idle = load[core] == 0
        most = cost.size - at
        if idle:
            # One is left for each of the others that have none, if no other population can.
            others = int((load == 0).sum()) - 1
            most = max(min(most, left - at - others), 0)
        end = at
        while end - at < most and (
            turn == order.size - 1
            or (idle and end == at)
            or load[core] + cost[end] / 2 <= level + _TINY
        ):
            load[core] += cost[end]
            end += 1
        parts[at:end] = core
        at = end
    return parts


# What sums of the same costs in another order may differ by, in cycles.
_TINY = 1e-9


def _level(load: Floats, amount: float) -> float:
    """Where ascending loads end up at if ``amount`` is poured on them."""
    for count in range(1, load.size + 1):
        level = (float(load[:count].sum()) + amount) / count
        if count == load.size or level <= load[count]:
            return level
    return 0.0
