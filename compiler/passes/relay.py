"""Delays longer than the target's become chains of relay populations, exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ...boards.board import Target
from ...ir.connections import OneToOne
from ...ir.diagnostics import Diagnostics
from ...ir.graph import Graph, Input, Population, Projection
from ...ir.neurons import Threshold
from ...ir.semantics import Semantics

# A spike weighs one.
_HALF = 0.5


@dataclass(frozen=True)
class RelayDelays:
    r"""Put relays where a projection is longer than a core can delay a spike.

    A relay spikes in the step in which one spike of its own source reaches it, and with the limit D
    of the target a projection of d steps from a population becomes

    .. math:: d = k D + r, \qquad k = \lceil d / D \rceil - 1, \quad 1 \le r \le D

    k relays of D steps each, and a projection of r steps from the last one. Projections of one
    population share its relays. Every spike arrives in the step in which it did.

    Only sources that emit one spike a step at most can be relayed so: what an input or a population
    of several spikes sends is left as it is, and refused by the mapper (E0307).
    """

    NAME: ClassVar[str] = "relay"

    def run(self, graph: Graph, target: Target, found: Diagnostics) -> Graph:
        """The graph with relays; the same graph where no delay is too long."""
        limit = None if target.machine is None else target.machine.core.delay_steps
        if limit is None:
            return graph
        most = int(limit.value)
        taken = {p.name for p in graph.populations} | {i.name for i in graph.inputs}
        relays: dict[str, list[Population]] = {}
        projections: list[Projection] = []
        for p in graph.projections:
            hops = -(-p.delay // most) - 1
            pre = graph.node(p.pre)
            if hops < 1 or not _relayed(pre) or p.plasticity is not None:
                projections.append(p)
                continue
            chain = relays.setdefault(p.pre, [])
            while len(chain) < hops:
                chain.append(_relay(pre, len(chain) + 1, taken))
            projections.append(replace(p, pre=chain[hops - 1].name, delay=p.delay - hops * most))
        for name, chain in relays.items():
            before = name
            for relay in chain:
                one = OneToOne(np.ones(()), (relay.size,))
                at = relay.at
                projections.append(Projection(relay.name, before, relay.name, one, most, at=at))
                before = relay.name
        added = tuple(relay for chain in relays.values() for relay in chain)
        return replace(
            graph,
            populations=(*graph.populations, *added),
            projections=tuple(projections),
        )


def _relayed(pre: Input | Population) -> bool:
    if not isinstance(pre, Population):
        return False
    return isinstance(pre.neuron, Threshold) or pre.semantics.max_spikes == 1


def _relay(pre: Input | Population, number: int, taken: set[str]) -> Population:
    assert isinstance(pre, Population)
    name = f"{pre.name}.relay{number}"
    while name in taken:
        name += "_"
    neuron = Threshold(np.asarray(_HALF))
    return Population(name, (pre.size,), neuron, Semantics(), pre.lag, pre.at)
