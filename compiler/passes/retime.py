"""Retiming: every hop gets the steps that the target needs, and outputs a known shift."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import networkx as nx

from ...boards.board import Target
from ...ir.diagnostics import Diagnostics, fail
from ...ir.graph import Graph, Population, Projection
from ...ir.integer_plasticity import IntegerHebbian, IntegerPairSTDP
from ...ir.plasticity import Hebbian, PairSTDP

_ORIGIN = ("origin",)


@dataclass(frozen=True)
class Retime:
    r"""Give each population a lag so that each projection takes at least one hop of the target.

    With :math:`r` the lags (inputs have none), :math:`d` the delay of a projection and :math:`h`
    the steps that its hop needs, Leiserson and Saxe's condition is

    .. math:: d' = d + r_\mathrm{post} - r_\mathrm{pre} \ge h

    (:math:`\ge \max(h - 1, 0)` from a registered population, which is a step late by itself).

    The lags are the smallest that satisfy it: longest paths in the constraint graph. The delay
    around every loop stays what it was, so a loop with fewer steps than hops is refused (E0501).

    A plastic projection pairs the reading of a row with the spikes of the post population. From a
    population a row is read :math:`\min(d, 1)` steps after its spike (with the register in d), so
    pairs stay what they were where :math:`\min(d', 1) - \min(d, 1) = r_\mathrm{post} -
    r_\mathrm{pre}`; from an input it is read at once, and :math:`r_\mathrm{post}` must be zero.
    Under `PairSTDP` pairs stay where delays do, or all of the delay is axonal. A node whose
    emission a rule reads has to move as the post population does, and so has the post population
    of a projection whose weights are tied to it. Everything else is refused (E0502).
    """

    NAME: ClassVar[str] = "retime"

    def run(self, graph: Graph, target: Target, found: Diagnostics) -> Graph:
        """The graph with lags set and delays changed accordingly."""
        lags = retiming_lags(graph, target.features.input_hop, target.features.hop)
        inputs = {i.name for i in graph.inputs}
        for p in graph.projections:
            if p.plasticity is not None:
                _keeps_pairs(p, graph, lags, found)
            _keeps_factors(p, graph, lags, found)
        found.raise_errors()
        populations = tuple(replace(p, lag=p.lag + lags[p.name]) for p in graph.populations)
        projections = tuple(
            replace(p, delay=p.delay + lags[p.post] - (0 if p.pre in inputs else lags[p.pre]))
            for p in graph.projections
        )
        return replace(graph, populations=populations, projections=projections)


def _keeps_factors(
    projection: Projection, graph: Graph, lags: dict[str, int], found: Diagnostics
) -> None:
    """What a rule reads, and whose weights are tied, moves with the synapses: their post."""
    rule = None if projection.plasticity is None else projection.plasticity.rule
    for factor in () if rule is None else rule.factors:
        node = factor.node or (projection.pre if factor.side == "pre" else projection.post)
        _together(projection, f"its {factor.field}", node, lags, found)
    if projection.tied is not None:
        tied = projection.tied.projection
        source = next(p for p in graph.projections if p.name == tied)
        _together(projection, f"its weights are those of '{tied}', and", source.post, lags, found)


def _together(
    projection: Projection, what: str, node: str, lags: dict[str, int], found: Diagnostics
) -> None:
    late = lags[projection.post] - lags.get(node, 0)
    if late:
        found.add(
            "E0502",
            f"'{projection.name}': {what} '{node}' would be {abs(late)} step(s) "
            f"{'ahead of' if late > 0 else 'behind'} '{projection.post}'",
            projection.at,
            "give the projections on the shorter path the delay that the target needs",
        )


def _keeps_pairs(
    projection: Projection, graph: Graph, lags: dict[str, int], found: Diagnostics
) -> None:
    pre = graph.node(projection.pre)
    moved = lags[projection.post]
    if isinstance(pre, Population):
        moved -= lags[projection.pre]
        delay = projection.delay + int(pre.semantics.registered)
        kept = min(delay + moved, 1) - min(delay, 1) == moved
    else:
        delay, kept = projection.delay, moved == 0
    rule = None if projection.plasticity is None else projection.plasticity.rule
    if isinstance(rule, Hebbian | IntegerHebbian):
        return  # nothing pairs in time but what `_keeps_factors` looks after
    if isinstance(rule, PairSTDP | IntegerPairSTDP):
        # A step more of delay sets the post spike back by f and the pre spike forward by 1 - f.
        least = 1 if isinstance(pre, Population) else 0
        axonal = rule.dendritic_delay_fraction == 0 and projection.delay + moved >= least
        kept = moved == 0 or axonal
    if not kept:
        found.add(
            "E0502",
            f"'{projection.name}' takes {delay} step(s) and would take {delay + moved}: every pair "
            f"of its rule would shift by a step or more",
            projection.at,
            "take the longer path out, or make its delay axonal"
            if isinstance(rule, PairSTDP | IntegerPairSTDP)
            else f"give it a delay of {delay + moved} step(s) itself, or take the longer path out",
        )


def retiming_lags(graph: Graph, input_hop: int, hop: int) -> dict[str, int]:
    """The smallest lag of each population, in steps; ``SpikecError`` E0501 names a bad loop."""
    constraints: nx.DiGraph[str | tuple[str]] = nx.DiGraph()
    constraints.add_weighted_edges_from((_ORIGIN, p.name, 0) for p in graph.populations)
    for p in graph.projections:
        pre = graph.node(p.pre)
        if isinstance(pre, Population):
            source: str | tuple[str] = p.pre
            # A register is a step of the hop, but never one that a delay could give back.
            slack = p.delay - max(hop - int(pre.semantics.registered), 0)
        else:
            source, slack = _ORIGIN, p.delay - input_hop
        # Parallel projections: the tightest one binds.
        known = constraints.get_edge_data(source, p.post)
        if known is None or slack < known["weight"]:
            constraints.add_edge(source, p.post, weight=slack)
    try:
        distance = nx.single_source_bellman_ford_path_length(constraints, _ORIGIN)
    except nx.NetworkXUnbounded:
        loop = [n for n in nx.find_negative_cycle(constraints, _ORIGIN) if isinstance(n, str)]
        raise _refusal(graph, loop, hop) from None
    return {p.name: -int(distance[p.name]) for p in graph.populations}


def _refusal(graph: Graph, loop: list[str], hop: int) -> Exception:
    delays = []
    for pre, post in pairwise(loop):
        registered = int(graph.population(pre).semantics.registered)
        delays.append(min(p.delay for p in graph.outgoing(pre) if p.post == post) + registered)
    hops = hop * (len(loop) - 1)
    return fail(
        "E0501",
        f"the loop {' -> '.join(loop)} takes {sum(delays)} step(s) but has {len(loop) - 1} hop(s) "
        f"of {hop} step(s) each: {hops - sum(delays)} too few",
        graph.population(loop[0]).at,
        "train with a longer recurrent delay, or merge the populations of the loop into one",
    )


def output_shift(graph: Graph) -> dict[str, int]:
    """Steps by which each output appears later than in the graph the user wrote."""
    return {o.name: graph.population(o.source).lag for o in graph.outputs}
