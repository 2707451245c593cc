"""Retiming: legal, minimal, and without effect on what a network computes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.passes.retime import Retime, output_shift, retiming_lags
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Diagnostics, Location, SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF
from spikec.ir.semantics import Semantics
from spikec.ir.verify import verify

from .networks import counts, every_state, integer_run, network, real, target

CELL = LIF(real(0.02), real(1.0), real(0.0), real(1.0))
ONE = Dense(real([[1.0]]))
HOPS = st.tuples(st.integers(0, 2), st.integers(0, 2))


def wired(edges: dict[str, int], registered: tuple[str, ...] = (), entry: str = "a") -> Graph:
    """Populations of one neuron; ``edges`` maps "a b" to the delay from a to b."""
    names = sorted({name for edge in edges for name in edge.split()})
    return Graph(
        "wired",
        1e-3,
        (Input("in", (1,)),),
        tuple(
            Population(n, (1,), CELL, Semantics(registered=n in registered), at=Location("m", n))
            for n in names
        ),
        (
            Projection("in", "in", entry, ONE),
            *(Projection(e, e.split()[0], e.split()[1], ONE, d) for e, d in edges.items()),
        ),
        tuple(Output(n, n) for n in names),
    )


def late(graph: Graph, name: str) -> int:
    node = graph.node(name)
    return int(isinstance(node, Population) and node.semantics.registered)


def retimed(graph: Graph, input_hop: int, hop: int) -> Graph:
    return Retime().run(graph, target(input_hop=input_hop, hop=hop), Diagnostics())


def smallest_lags(graph: Graph, input_hop: int, hop: int) -> dict[str, int] | None:
    """The smallest lag of each population over all that are legal, by trying them."""
    names = [p.name for p in graph.populations]
    inputs = {i.name for i in graph.inputs}
    legal = []
    for lags in itertools.product(range(input_hop + len(names) * hop + 2), repeat=len(names)):
        lag = dict(zip(names, lags, strict=True))
        moved = [
            (p.delay + lag[p.post] - lag.get(p.pre, 0), late(graph, p.pre), p.pre in inputs)
            for p in graph.projections
        ]
        if all(d >= 0 and d + r >= (input_hop if i else hop) for d, r, i in moved):
            legal.append(lags)
    if not legal:
        return None
    least = tuple(min(column) for column in zip(*legal, strict=True))
    assert least in legal
    return dict(zip(names, least, strict=True))


def loops_of(graph: Graph) -> list[list[Projection]]:
    flow: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for p in graph.projections:
        flow.add_edge(p.pre, p.post, key=p.name)
    byname = {p.name: p for p in graph.projections}
    cycles = nx.simple_cycles(nx.DiGraph(flow))
    found = []
    for cycle in cycles:
        hops = [list(flow[a][b]) for a, b in itertools.pairwise([*cycle, cycle[0]])]
        found += [[byname[n] for n in names] for names in itertools.product(*hops)]
    return found


@settings(max_examples=150)
@given(st.integers(0, 2**20), st.integers(1, 4), st.integers(0, 6), HOPS)
def test_lags_are_legal_minimal_and_keep_every_loop(
    seed: int, count: int, edges: int, hops: tuple[int, int]
) -> None:
    graph = network(np.random.default_rng(seed), count, edges)
    input_hop, hop = hops
    wanted = smallest_lags(graph, input_hop, hop)
    if wanted is None:
        with pytest.raises(SpikecError, match="E0501"):
            retimed(graph, input_hop, hop)
        return
    assert retiming_lags(graph, input_hop, hop) == wanted
    after = retimed(graph, input_hop, hop)
    verify(after)
    inputs = {i.name for i in graph.inputs}
    for p in after.projections:
        assert p.delay + late(after, p.pre) >= (input_hop if p.pre in inputs else hop)
    around = {p.name: p.delay for p in after.projections}
    for loop in loops_of(graph):
        assert sum(p.delay for p in loop) == sum(around[p.name] for p in loop)
    assert output_shift(after) == {o.name: wanted[o.source] for o in graph.outputs}


@settings(max_examples=80)
@given(st.integers(0, 2**20), st.integers(1, 4), st.integers(0, 6), HOPS)
def test_retimed_networks_compute_the_same(
    seed: int, count: int, edges: int, hops: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    graph = network(rng, count, edges)
    try:
        moved = retimed(graph, *hops)
    except SpikecError:
        return
    stimulus = counts(rng.integers(0, 3, (2, 15, 3)))
    options = Quantise(weight_bits=6, state_bits=20)
    _, before = integer_run(graph, stimulus, options)
    _, after = integer_run(moved, stimulus, options)
    for name in before.spikes:
        assert before.spikes[name] == after.spikes[name], name
    for key in every_state(graph):
        np.testing.assert_array_equal(after.states[key], before.states[key], err_msg=str(key))


def test_a_chain_gets_one_step_a_hop() -> None:
    after = retimed(wired({"a b": 0, "b c": 0, "a c": 0}), 0, 1)
    assert {p.name: p.lag for p in after.populations} == {"a": 0, "b": 1, "c": 2}
    assert [p.delay for p in after.projections] == [0, 1, 1, 2]
    assert output_shift(after) == {"a": 0, "b": 1, "c": 2}


def test_delays_that_are_long_enough_stay() -> None:
    graph = wired({"a b": 1, "b a": 2})
    assert retimed(graph, 0, 1) == graph


def test_a_registered_population_has_its_step_already() -> None:
    after = retimed(wired({"a b": 0, "b a": 0}, registered=("a", "b")), 0, 1)
    assert [p.lag for p in after.populations] == [0, 0]


def test_a_delay_never_becomes_negative() -> None:
    # The input needs three steps; from the registered a to b there is nothing to give back.
    after = retimed(wired({"a b": 0}, registered=("a",)), 3, 0)
    assert {p.name: p.lag for p in after.populations} == {"a": 3, "b": 3}
    verify(after)


def test_retiming_twice_is_retiming_once() -> None:
    graph = wired({"a b": 0, "b c": 0, "c a": 3})
    once = retimed(graph, 0, 1)
    assert retimed(once, 0, 1) == once
    assert [p.lag for p in retimed(once, 0, 1).populations] == [0, 1, 2]


def test_a_loop_with_fewer_steps_than_hops_is_refused_by_name() -> None:
    graph = wired({"a b": 0, "b c": 0, "c b": 1, "c c": 2})
    with pytest.raises(SpikecError) as caught:
        retimed(graph, 0, 1)
    (found,) = caught.value.diagnostics
    assert found.code == "E0501"
    loop, rest = found.message.removeprefix("the loop ").split(" takes ")
    assert loop in ("b -> c -> b", "c -> b -> c")
    assert rest == "1 step(s) but has 2 hop(s) of 1 step(s) each: 1 too few"
    assert found.where == Location("m", loop[0])
    assert found.hint is not None and "recurrent delay" in found.hint


def test_the_refusal_counts_the_shortest_projection_and_the_register() -> None:
    graph = wired({"a b": 0, "b a": 5}, registered=("a",))
    short = Projection("short", "b", "a", ONE, 0)
    graph = replace(graph, projections=(*graph.projections, short))
    with pytest.raises(SpikecError, match=r"takes 1 step\(s\) but has 2 hop\(s\) of 1"):
        retimed(graph, 0, 1)
