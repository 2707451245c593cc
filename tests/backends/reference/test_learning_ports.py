"""Plastic synapses that end at receptors: pairs, what is sent, and when it is there.

The networks and the definition are those of ``test_learning``; what arrives at the end of a step is
in v at the end of that step, and lost with a spike, so v is what it is there.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from spikec.ir.connections import Dense
from spikec.ir.graph import Graph, Projection
from spikec.ir.neurons import Kernel, PointLIF, Receptor
from spikec.ir.plasticity import Coincidence, Dependence, PairSTDP, Transmit
from spikec.ir.semantics import Current, Reset, Semantics

from ...compiler.passes.networks import real
from .test_learning import (
    DT,
    FRACTIONS,
    WINDOWS,
    WITHOUT,
    check,
    noise,
    plastic,
    run,
    taught,
    weights,
)


def ported(graph: Graph, current: Current, receptor: Receptor) -> Graph:
    """``graph`` with point neurons, that keep v for ever, where something learns.

    The teacher comes in as a current, which moves v in the step in which it is there.
    """
    posts = {p.post for p in graph.projections if p.plasticity is not None}
    neuron = PointLIF(real(1e12), real(DT), real(0.0), real(1e3), real(0.0), receptors=(receptor,))
    rules = Semantics(reset=Reset.VALUE, current=current)
    return replace(
        graph,
        populations=tuple(
            replace(p, neuron=neuron, semantics=rules) if p.name in posts else p
            for p in graph.populations
        ),
        projections=tuple(
            p
            if p.post not in posts
            else replace(p, receptor="current" if p.plasticity is None else receptor.name)
            for p in graph.projections
        ),
    )


def learners(pre: str, current: Current, lines: int, posts: int) -> Graph:
    r = np.random.default_rng(12)
    others = itertools.cycle(itertools.product(WINDOWS, Dependence, Transmit))
    found: list[Projection] = []
    for delay, fraction in [*FRACTIONS[:9], *([(0, 1.0)] if pre == "line" else [])]:
        every = delay * fraction > 0 or current is Current.OLD
        for coincidence in Coincidence if every else WITHOUT:
            (pairing, window), dependence, transmit = next(others)
            amounts = (4e-4, 5e-4) if dependence is Dependence.ADDITIVE else (0.2, 0.25)
            rule = PairSTDP(
                *(*amounts, 4e-3, 6e-3, pairing, window, dependence, coincidence, fraction)
            )
            name = f"p{len(found)}"
            connection = Dense(r.uniform(0, 2e-3, (posts, lines)))
            source = name if pre == "loop" else pre
            found.append(plastic(source, name, rule, connection, delay, -5e-4, transmit=transmit))
    return taught(found, lines, posts)


@pytest.mark.parametrize("current", list(Current))
@pytest.mark.parametrize("pre", ["line", "cells", "loop"])
def test_deltas_learn_by_the_sum_over_pairs(pre: str, current: Current) -> None:
    lines, posts = (3, 3) if pre == "loop" else (3, 2)
    graph = ported(learners(pre, current, lines, posts), current, Receptor("d", Kernel.DELTA))
    found = check(graph, noise(3, (2, 20, lines)), noise(4, (2, 20, posts)))
    for p in graph.projections:
        if p.plasticity is not None:
            assert not np.array_equal(found.weights[p.name][0], weights(p.connection))


@pytest.mark.parametrize("current", list(Current))
@pytest.mark.parametrize("transmit", list(Transmit))
def test_a_signal_gets_the_weight_of_its_step(current: Current, transmit: Transmit) -> None:
    """All four orders of a pair in one step, without a delay: the order says what is sent.

    The synapse starts at 1 and both spikes come in step 0, where pairs add 0.25 or take 0.5.
    """
    orders = {  # the weight before the pre spike changes it, and after
        Coincidence.POTENTIATE: (1.0, 1.0),
        Coincidence.DEPRESS: (1.0, 0.5),
        Coincidence.NONE: (1.0, 1.0),
        Coincidence.BOTH: (1.0, 0.5),
    }
    ends = {
        Coincidence.POTENTIATE: 1.25,
        Coincidence.DEPRESS: 0.5,
        Coincidence.NONE: 1.0,
        Coincidence.BOTH: 0.75,
    }
    for coincidence in Coincidence if current is Current.OLD else WITHOUT:
        rule = PairSTDP(
            0.25, 0.5, 4e-3, 6e-3, coincidence=coincidence, dendritic_delay_fraction=0.0
        )
        learner = plastic("line", "p", rule, Dense(real([[1.0]])), 0, 0.0, 2.0, transmit=transmit)
        signal = Receptor("s", tau=real(10e-3))
        graph = ported(taught([learner], 1, 1), current, signal)
        # v never gets there but by the teacher.
        spike = np.zeros((1, 4, 1), bool)
        spike[0, 0] = True
        found = run(graph, spike, spike, record=[("p", "s")])
        sent = orders[coincidence][transmit is Transmit.AFTER]
        assert found.weights["line-p"][0] == pytest.approx(ends[coincidence])
        # New: there before the step, and a tenth of it has decayed at its end; old: behind it.
        first = sent * (0.9 if current is Current.NEW else 1.0)
        got = found.states["p", "s"][0, :, 0]
        np.testing.assert_allclose(got, first * 0.9 ** np.arange(4), rtol=1e-12)
