"""Relays delay what a core cannot, and change nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.boards.board import Target
from spikec.boards.chip import load_chip
from spikec.boards.features import LOIHI
from spikec.boards.quantity import Quantity
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.compiler.passes.relay import RelayDelays
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.graph import Graph
from spikec.ir.verify import verify

from .networks import counts, network


def delaying(steps: int) -> Target:
    """Loihi with another limit of delays."""
    chip = load_chip("loihi1")
    limit = Quantity(steps, "steps", "this test", "recalled")
    return Target.chip(replace(chip, core=replace(chip.core, delay_steps=limit)), LOIHI)


def relayed(graph: Graph, target: Target) -> Graph:
    result = RelayDelays().run(graph, target, Diagnostics())
    verify(result)
    return result


def delayed(seed: int, longest: int) -> Graph:
    """A random network of single spikes whose delays reach ``longest``, one step at least."""
    rng = np.random.default_rng(seed)
    graph = network(rng, 4, 8)
    populations = tuple(
        replace(p, semantics=replace(p.semantics, max_spikes=1)) for p in graph.populations
    )
    inputs = {i.name for i in graph.inputs}
    projections = tuple(
        p if p.pre in inputs else replace(p, delay=int(rng.integers(1, longest + 1)))
        for p in graph.projections
    )
    return replace(graph, populations=populations, projections=projections)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_every_spike_and_state_stays_what_it_was(seed: int, limit: int) -> None:
    graph = delayed(seed, 12)
    legal = relayed(graph, delaying(limit))
    assert max(p.delay for p in legal.projections) <= limit
    spikes = counts(np.random.default_rng(seed).random((2, 40, 3)) < 0.4)
    record = [(p.name, "v") for p in graph.populations]
    names = [p.name for p in graph.populations]
    runs = [
        Executor(quantise(g, Quantise(), Diagnostics())).run(
            spikes, populations=names, record=record
        )
        for g in (graph, legal)
    ]
    assert runs[0].spikes == runs[1].spikes
    for key in record:
        np.testing.assert_array_equal(runs[0].states[key], runs[1].states[key])


def test_relays_are_needed_and_shared() -> None:
    graph = delayed(3, 12)
    assert max(p.delay for p in graph.projections) > 8
    legal = relayed(graph, delaying(4))
    added = [p.name for p in legal.populations if p.name not in {q.name for q in graph.populations}]
    longest: dict[str, int] = {}
    for p in graph.projections:
        longest[p.pre] = max(longest.get(p.pre, 0), p.delay)
    assert sorted(added) == sorted(
        f"{name}.relay{k + 1}" for name, most in longest.items() for k in range((most - 1) // 4)
    )


def test_relays_take_no_name_that_there_is() -> None:
    graph = delayed(3, 12)
    names = [p.name for p in graph.populations]
    other = f"{names[0]}.relay1"

    def renamed(name: str) -> str:
        return other if name == names[-1] else name

    graph = replace(
        graph,
        populations=tuple(replace(p, name=renamed(p.name)) for p in graph.populations),
        projections=tuple(
            replace(p, pre=renamed(p.pre), post=renamed(p.post)) for p in graph.projections
        ),
        outputs=tuple(replace(o, source=renamed(o.source)) for o in graph.outputs),
        probes=(),
    )
    legal = relayed(graph, delaying(4))
    found = [p.name for p in legal.populations]
    assert len(set(found)) == len(found) and {other, f"{other}_"} <= set(found)


def test_without_the_last_step_the_network_differs() -> None:
    """The property above sees a relay that is a step too fast."""
    graph = delayed(3, 12)
    legal = relayed(graph, delaying(4))
    hasty = replace(
        legal,
        projections=tuple(
            replace(p, delay=p.delay - 1) if p.pre.endswith("relay1") and p.delay > 1 else p
            for p in legal.projections
        ),
    )
    spikes = counts(np.random.default_rng(1).random((2, 40, 3)) < 0.6)
    names = [p.name for p in graph.populations]
    one, other = (
        Executor(quantise(g, Quantise(), Diagnostics())).run(spikes, populations=names)
        for g in (legal, hasty)
    )
    assert one.spikes != other.spikes


@pytest.mark.parametrize("target", [Target.unlimited(), delaying(12)])
def test_short_delays_stay(target: Target) -> None:
    graph = delayed(5, 12)
    assert relayed(graph, target) is graph or relayed(graph, target) == graph


def test_what_may_spike_twice_is_not_relayed() -> None:
    graph = delayed(3, 12)
    many = replace(
        graph,
        populations=tuple(
            replace(p, semantics=replace(p.semantics, max_spikes=None)) for p in graph.populations
        ),
    )
    assert relayed(many, delaying(4)) == many
