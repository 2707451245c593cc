"""Legalisation: each rewrite keeps the network's values, or is refused by name."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.connectivity import apply, to_sparse
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.legalise import Legalise, is_legal
from spikec.compiler.passes.quantise import REFERENCE, quantise
from spikec.ir.connections import (
    AvgPool2d,
    Chain,
    Connection,
    Conv1d,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    OneToOne,
    Scale,
    Sparse,
    SumPool2d,
    stages,
)
from spikec.ir.diagnostics import Diagnostics, Location, SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Probe, Projection
from spikec.ir.neurons import IF, LI, LIF, Relay, Threshold
from spikec.ir.semantics import Reset, Semantics

from . import stepper
from .networks import counts, feed, integer_run, real, target

RNG = np.random.default_rng(11)
CELL = LIF(real(0.01), real(5.0), real(0.0), real(1.0))


def legal(graph: Graph, **features: object) -> tuple[Graph, Diagnostics]:
    found = Diagnostics()
    return run_pipeline([Legalise()], graph, target(**features), found), found


def rewritten(connection: Connection) -> Connection:
    size = prod(connection.out_shape)
    after, found = legal(feed(CELL, connection=connection, size=size))
    assert not len(found)
    (projection,) = after.projections
    assert is_legal(projection)
    assert projection.delay == 0
    return projection.connection


def same_values(before: Connection, after: Connection) -> None:
    x = np.random.default_rng(3).integers(0, 9, (4, prod(before.in_shape)))
    np.testing.assert_allclose(apply(after, x), apply(before, x), rtol=1e-12, atol=1e-12)
    exact, found = to_sparse(before).toarray(), to_sparse(after).toarray()
    np.testing.assert_allclose(found, exact, rtol=1e-13, atol=1e-15)


def weight(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape) * (RNG.random(shape) < 0.8)


CONV = Conv2d(weight(4, 1, 3, 2), (2, 6, 5), (1, 2), ((1, 1), (0, 1)), (1, 1), groups=2)
LINE = Conv1d(weight(3, 2, 3), (2, 7), 2, (1, 1))
POOL = SumPool2d((2, 6, 5), (2, 2), (2, 1), ((0, 0), (1, 0)))
MEAN = AvgPool2d((2, 6, 5), (3, 2), (1, 1))
DENSE = Dense(weight(5, 60))
SPARSE = Sparse(
    6, 4, np.array([0, 2, 2, 3, 5, 6, 7]), np.array([0, 3, 1, 2, 2, 0, 1], np.int32), weight(7)
)
EACH = weight(2, 6, 5)
CHANNEL = np.broadcast_to(np.array([0.5, -3.0])[:, None, None], (2, 6, 5))
OUT = np.broadcast_to(np.array([2.0, 0.1, -1.0, 7.0])[:, None, None], CONV.out_shape)


@pytest.mark.parametrize(
    ("connection", "kinds"),
    {
        "dense": (DENSE, (Dense,)),
        "conv": (CONV, (Conv2d,)),
        "line": (LINE, (Conv1d,)),
        "sparse": (SPARSE, (Sparse,)),
        "sum pool alone": (POOL, (SumPool2d, OneToOne)),
        "mean pool alone": (MEAN, (SumPool2d, OneToOne)),
        "scale alone": (Scale(real(0.3), (4,)), (OneToOne,)),
        "scale of each alone": (Scale(EACH, EACH.shape), (OneToOne,)),
        "two scales": (Chain((Scale(EACH, (2, 6, 5)), Scale(EACH + 1, (2, 6, 5)))), (OneToOne,)),
        "flatten alone": (Flatten((2, 3)), (OneToOne,)),
        "flatten and dense": (Chain((Flatten((3, 4, 5)), DENSE)), (Dense,)),
        "scale, conv, scale": (
            Chain((Scale(real(2.0), CONV.shape), CONV, Scale(real(0.1), CONV.out_shape))),
            (Conv2d,),
        ),
        "scale of a channel before": (Chain((Scale(CHANNEL, (2, 6, 5)), CONV)), (Conv2d,)),
        "scale of a channel after": (Chain((CONV, Scale(OUT, CONV.out_shape))), (Conv2d,)),
        "scale of a line's channel": (
            Chain((LINE, Scale(np.repeat([[1.0], [2.0], [3.0]], 4, axis=1), (3, 4)))),
            (Conv1d,),
        ),
        "scale of each before dense": (Chain((Scale(EACH, (2, 6, 5)), DENSE)), (Dense,)),
        "scale of each after dense": (
            Chain((DENSE, Scale(weight(5), (5,)))),
            (Dense,),
        ),
        "scale of each before sparse": (Chain((Scale(weight(6), (6,)), SPARSE)), (Sparse,)),
        "scale of each after sparse": (Chain((SPARSE, Scale(weight(4), (4,)))), (Sparse,)),
        "scale of each after conv": (
            Chain((CONV, Scale(weight(*CONV.out_shape), CONV.out_shape))),
            (Sparse,),
        ),
        "pool and conv": (
            Chain((AvgPool2d((2, 13, 11), (2, 2), (2, 2), ((0, 0), (0, 0))), CONV)),
            (SumPool2d, Conv2d),
        ),
        "conv, pool, flatten": (
            Chain((CONV, AvgPool2d((4, 6, 3), (3, 3), (3, 3)), Flatten((4, 2, 1)))),
            (Conv2d, SumPool2d),
        ),
        "two dense": (Chain((DENSE, Dense(weight(3, 5)))), (Dense,)),
        "conv and dense": (
            Chain((CONV, Flatten(CONV.out_shape), Dense(weight(2, 72)))),
            (Dense,),
        ),
        "two sparse": (Chain((SPARSE, OneToOne(real([1, 0, 0, 2]), (4,)))), (Sparse,)),
    }.values(),
)
def test_rewrites_are_exact(connection: Connection, kinds: tuple[type, ...]) -> None:
    if isinstance(stages(connection)[0], Flatten) and len(stages(connection)) > 1:
        connection = Chain((Flatten((3, 4, 5)), stages(connection)[1]))
    after = rewritten(connection)
    same_values(connection, after)
    assert tuple(type(s) for s in stages(after)) == kinds


@st.composite
def chains(draw: st.DrawFn) -> Connection:
    """Stages that fit one another, of any kind, on (channels, height, width)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    shape = (2, int(rng.integers(3, 6)), int(rng.integers(3, 6)))
    parts: list[Connection] = []
    kinds = st.sampled_from(["scale", "each", "sum", "mean", "conv", "flat", "delay"])
    for kind in draw(st.lists(kinds, min_size=1, max_size=5)):
        match kind:
            case "scale":
                part: Connection = Scale(real(rng.normal()), shape)
            case "each":
                part = Scale(rng.normal(size=shape), shape)
            case "sum":
                part = SumPool2d(shape, (1, 2), (1, 1), ((0, 0), (1, 0)))
            case "mean":
                part = AvgPool2d(shape, (2, 1), (1, 1), ((0, 1), (0, 0)))
            case "conv":
                kernel = rng.normal(size=(2, 2, 1, 2))
                part = Conv2d(kernel, shape, padding=((0, 0), (1, 0)))
            case "flat":
                part = Flatten(shape)
            case _:
                part = Delay(np.asarray(0), shape)
        parts.append(part)
        if kind != "flat":
            channels, height, width = part.out_shape
            shape = (channels, height, width)
    return Chain(tuple(parts))


@settings(max_examples=100)
@given(chains())
def test_random_chains_are_exact(connection: Connection) -> None:
    same_values(connection, rewritten(connection))


# -- delays ----------------------------------------------------------------------------------


def test_uniform_delays_join_the_projection() -> None:
    connection = Chain(
        (Delay(np.array([2, 2]), (2,)), Dense(weight(3, 2)), Delay(np.asarray(1), (3,)))
    )
    graph = feed(CELL, connection=connection, size=3)
    graph = replace(graph, projections=(replace(graph.projections[0], delay=4),))
    (after,) = legal(graph)[0].projections
    assert after.delay == 7
    assert isinstance(after.connection, Dense)
    assert after.name == "e"


def test_delays_that_differ_become_a_projection_each() -> None:
    matrix = real([[1.0, 2.0, 3.0], [4.0, 0.0, 6.0]])
    parts = (Delay(np.array([0, 1, 0]), (3,)), Dense(matrix), Delay(np.array([0, 2]), (2,)))
    graph = feed(CELL, connection=Chain(parts), bias=[0.1, 0.2], size=2)
    after = legal(graph)[0].projections
    assert [(p.name, p.delay) for p in after] == [("e@0", 0), ("e@1", 1), ("e@2", 2)]
    found = {p.delay: to_sparse(p.connection).toarray().T.tolist() for p in after}
    assert found == {
        0: [[1, 0, 3], [0, 0, 0]],
        1: [[0, 2, 0], [0, 0, 0]],
        2: [[0, 0, 0], [4, 0, 6]],
    }
    assert [None if p.bias is None else p.bias.tolist() for p in after] == [[0.1, 0.2], None, None]


@settings(max_examples=40)
@given(st.integers(0, 2**20))
def test_split_delays_arrive_in_their_steps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, matrix = rng.integers(0, 3, 3), rng.normal(0.5, 0.5, (4, 3))
    after = rng.integers(0, 3, 4)
    parts = (Delay(before, (3,)), Dense(matrix), Delay(after, (4,)))
    graph, _ = legal(feed(CELL, connection=Chain(parts), size=4))
    dense = rng.integers(0, 3, (1, 20, 3))
    _, recording = integer_run(graph, counts(dense), REFERENCE)
    # The same network, its delays taken by the stimulus and by a population a step.
    moved = np.zeros((1, 20, 12), np.int64)
    unrolled = np.zeros((4, 12))
    for j in range(4):
        for i in range(3):
            steps = int(before[i] + after[j])
            moved[0, steps:, 3 * j + i] = dense[0, : 20 - steps, i]
            unrolled[j, 3 * j + i] = matrix[j, i]
    plain = feed(CELL, connection=Dense(unrolled), size=4)
    wanted = stepper.run(plain, counts(moved))
    scale = getattr(quantise(graph, REFERENCE, Diagnostics()).populations[0].neuron, "scale", 0.0)
    same = (recording.spikes["p"].dense(0) == wanted.emitted["p"][0]).all(axis=1)
    until = int(np.argmin([*same, False]))
    v = recording.states["p", "v"][0, :until] * scale
    np.testing.assert_allclose(v, wanted.v["p"][0, :until], atol=3e-3)
    assert until == 20 or wanted.margin["p"][0, until].min() < 3e-3


def test_the_bias_of_a_connection_without_synapses_stays() -> None:
    parts = (Delay(np.array([0, 1]), (2,)), Dense(np.zeros((1, 2))))
    (after,) = legal(feed(CELL, connection=Chain(parts), bias=[0.5]))[0].projections
    assert after.bias is not None and after.bias.tolist() == [0.5]
    assert to_sparse(after.connection).nnz == 0


def test_delays_between_mixing_stages_are_refused() -> None:
    parts = (Dense(weight(2, 2)), Delay(np.array([0, 1]), (2,)), Dense(weight(2, 2)))
    refused(feed(CELL, connection=Chain(parts), size=2), "E0301", "delays of 0 to 1")


# -- the whole graph -------------------------------------------------------------------------


def test_what_reaches_no_output_is_removed_and_said() -> None:
    where = Location("net.nir", "dead")
    one = Dense(real([[1.0]]))
    graph = Graph(
        "dead end",
        1e-3,
        (Input("in", (1,)),),
        (
            Population("live", (1,), CELL),
            Population("probed", (1,), CELL),
            Population("dead", (1,), CELL, at=where),
            Population("deader", (1,), CELL),
        ),
        (
            Projection("a", "in", "live", one),
            Projection("b", "live", "dead", one),
            Projection("c", "dead", "deader", one),
            Projection("d", "deader", "dead", one, delay=1),
            Projection("e", "live", "probed", one),
        ),
        (Output("out", "live"),),
        (Probe("probed", "v"),),
    )
    after, found = legal(graph)
    assert [p.name for p in after.populations] == ["live", "probed"]
    assert [p.name for p in after.projections] == ["a", "e"]
    assert next((d.code, d.where) for d in found) == ("W0124", where)
    assert [d.message for d in found] == [
        f"'{name}' reaches no output: removed" for name in ("dead", "deader")
    ]
    keys = ("live", "v")
    whole = integer_run(graph, counts(np.ones((1, 30, 1), int)), REFERENCE)[1].states[keys]
    cut = integer_run(after, counts(np.ones((1, 30, 1), int)), REFERENCE)[1].states[keys]
    np.testing.assert_array_equal(whole, cut)


def test_a_legal_graph_stays_as_it_is() -> None:
    graph = feed(CELL, connection=CONV, bias=0.5, size=prod(CONV.out_shape))
    once = legal(graph)[0]
    assert once == graph
    assert legal(once)[0] == once


# -- refusals --------------------------------------------------------------------------------


def refused(graph: Graph, code: str, text: str, **features: object) -> None:
    with pytest.raises(SpikecError, match=text) as caught:
        legal(graph, **features)
    errors = [d for d in caught.value.diagnostics if d.code[0] == "E"]
    assert [d.code for d in errors] == [code]


@pytest.mark.parametrize("neuron", [LI(real(0.01), real(1.0), real(0.0)), Relay()])
def test_graded_populations_feed_outputs_only(neuron: LI | Relay) -> None:
    graph = feed(neuron)
    assert legal(graph)[0] == graph
    more = Population("next", (1,), CELL)
    onward = Projection("onward", "p", "next", Dense(real([[1.0]])))
    longer = replace(
        graph,
        populations=(*graph.populations, more),
        projections=(*graph.projections, onward),
        outputs=(Output("out", "next"),),
    )
    refused(longer, "E0303", r"sends real values to 'next'; null sends spikes only")
    assert legal(longer, graded=True)[0] == longer


def test_one_spike_a_step_is_a_limit_of_the_target() -> None:
    many = feed(CELL, Semantics(reset=Reset.SUBTRACT, max_spikes=None))
    assert legal(many)[0] == many
    refused(many, "E0301", "'p' may emit any number of spikes a step", max_spikes=1)
    few = feed(CELL, Semantics(reset=Reset.SUBTRACT, max_spikes=3))
    refused(few, "E0301", "'p' may emit 3 spikes a step", max_spikes=1)
    single = feed(Threshold(real(1.0)), Semantics(max_spikes=None))
    assert legal(single, max_spikes=1)[0] == single


def test_refractory_neurons_that_integrate_need_a_target_that_lets_them() -> None:
    graph = feed(CELL, Semantics(refractory=2, refractory_frozen=False))
    refused(graph, "E0301", "integrates while it is refractory", frozen_only=True)
    assert legal(graph)[0] == graph
    frozen = feed(CELL, Semantics(refractory=2))
    assert legal(frozen, frozen_only=True)[0] == frozen


def test_a_two_phase_start_above_the_threshold_is_refused() -> None:
    cell = IF(real(1.0), real(1.0))
    above = feed(cell, Semantics(reset=Reset.TWO_PHASE, v_init=1.5))
    refused(above, "E0301", "starts above its threshold")
    below = feed(cell, Semantics(reset=Reset.TWO_PHASE, v_init=1.0))
    assert legal(below)[0] == below


def test_all_refusals_come_at_once() -> None:
    graph = feed(CELL, Semantics(max_spikes=None, refractory=1, refractory_frozen=False))
    with pytest.raises(SpikecError) as caught:
        legal(graph, max_spikes=1, frozen_only=True)
    assert len(caught.value.diagnostics) == 2
