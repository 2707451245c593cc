"""`IntegerHebbian` and ties against their words in plain Python."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.integer.executor import Executor
from spikec.ir.connections import Connection, Dense, OneToOne, Sparse
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection, Tied
from spikec.ir.integer_plasticity import MAX_SHOWN, IntegerHebbian
from spikec.ir.plasticity import Plasticity
from spikec.ir.semantics import Semantics
from spikec.ir.verify import verify

from .pairs_reference import sat, shifted
from .test_learning import KICK, cells

STEPS, LOW, HIGH = 12, -30, 40
FORM = (-(1 << 17), (1 << 17) - 1)  # of a weight of `cells`


def dense_of(connection: Connection, weight: Any) -> Any:
    """(pre, post) weights, 0 where there is no synapse."""
    if isinstance(connection, Dense):
        return np.asarray(weight).T.copy()
    assert isinstance(connection, Sparse)
    out = np.zeros((connection.pre_size, connection.post_size), np.int64)
    rows = np.repeat(np.arange(connection.pre_size), np.diff(connection.indptr))
    out[rows, connection.post] = weight
    return out


def made(there: Any, dense: Any, full: bool) -> Connection:
    """A connection of (pre, post) weights: a matrix, or the synapses that are ``there``."""
    if full:
        return Dense(np.ascontiguousarray(dense.T))
    pre, post = np.nonzero(there)
    counts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    rows, columns = there.shape
    return Sparse(rows, columns, counts, post.astype(np.int32), dense[pre, post])


@st.composite
def networks(draw: st.DrawFn) -> tuple[Graph, Stimulus, list[bool]]:
    """Values of an input reach neurons by weights that learn, and come back by tied ones."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pre, post = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    full, turn = draw(st.booleans()), draw(st.booleans())
    there = np.ones((pre, post), bool) if full else rng.random((pre, post)) < 0.7
    weight = np.where(there, rng.integers(LOW, HIGH + 1, (pre, post)), 0)
    scale = draw(st.sampled_from([-1.0, 0.5, 0.375, 3.0, 2.0**-40, 0.0]))
    rule = IntegerHebbian(
        draw(st.integers(-60, 60)),
        draw(st.integers(0, 9)),
        draw(st.sampled_from([None, "level"])),
        draw(st.sampled_from([None, "each"])),
        draw(st.integers(0, 3)),
        draw(st.integers(0, 1)),
        fraction=draw(st.integers(0, 5)),
    )
    enable = rng.random(there.T.shape) < 0.7 if full and draw(st.booleans()) else None
    hebbian = Plasticity(rule, LOW, HIGH, enable)
    ends = (post, pre) if turn else (pre, post)
    turned = np.rint(scale * (weight.T if turn else weight)).astype(np.int64)
    tied = made(there.T if turn else there, turned, full)
    delay, back = draw(st.integers(0, 3)), draw(st.integers(1, 3))

    def population(name: str, size: int, **more: Any) -> Population:
        late = bool(draw(st.booleans()))
        return Population(name, (size,), cells(**more), Semantics(registered=late))

    # What begins the tied projection, and where it ends.
    start, size = ("out", ends[1]) if turn else ("in", ends[1])
    graph = Graph(
        "values",
        1e-3,
        (Input("in", (pre,)), Input("teacher", (post,))),
        (
            population("out", post),
            population("back", size, threshold=KICK * 100),
            population("each", post),
            population("level", pre, reset="none"),
        ),
        (
            Projection("w", "in", "out", made(there, weight, full), delay, plasticity=hebbian),
            Projection("t", start, "back", tied, back, tied=Tied("w", turn, scale)),
            Projection("teaches", "teacher", "out", OneToOne(np.full(post, KICK), (post,))),
            Projection("tells", "teacher", "each", OneToOne(np.full(post, KICK), (post,)), 1),
            Projection("raises", "in", "level", OneToOne(np.full(pre, -5), (pre,))),
        ),
        (Output("o", "out"), Output("b", "back"), Output("l", "level")),
    )
    samples = draw(st.integers(1, 3))
    lines = {
        "in": rng.integers(0, 3, (samples, STEPS, pre)),
        "teacher": (rng.random((samples, STEPS, post)) < 0.4).astype(np.int64),
    }
    stimulus = Stimulus({name: Events.from_dense(line) for name, line in lines.items()})
    learning = draw(st.lists(st.booleans(), min_size=samples, max_size=samples))
    return graph, stimulus, learning


@settings(max_examples=150, deadline=None)
@given(networks())
def test_values_equal_their_words(case: tuple[Graph, Stimulus, list[bool]]) -> None:
    graph, stimulus, learning = case
    verify(graph)
    executor = Executor(graph)
    found = executor.run(
        stimulus,
        populations=["out", "each", "level"],
        record=[("out", "v"), ("back", "v")],
        learning=learning,
        record_weights="samples",
        raw=True,
    )
    learns, follows = graph.projections[:2]
    plasticity, tied = learns.plasticity, follows.tied
    assert plasticity is not None and tied is not None
    rule = plasticity.rule
    assert isinstance(rule, IntegerHebbian)
    unit = 1 << rule.fraction
    fine = dense_of(learns.connection, learns.connection.weight) * unit  # type: ignore[attr-defined]
    there = dense_of(learns.connection, np.ones(np.shape(learns.connection.weight), int)) > 0  # type: ignore[attr-defined]
    enable = there if plasticity.enable is None else np.asarray(plasticity.enable).T
    pre, post = fine.shape
    late = {p.name: int(p.semantics.registered) for p in graph.populations}

    def whole() -> Any:
        return np.array([[floor(Fraction(int(w), unit) + Fraction(1, 2)) for w in r] for r in fine])

    def following() -> Any:
        w = fine.T if tied.transpose else fine
        wanted = [[round(Fraction(tied.scale) * Fraction(int(x), unit)) for x in r] for r in w]
        return np.clip(np.array(wanted), *FORM)

    shown = {name: found.spikes[name] for name in ("out", "each", "level")}
    inputs = stimulus.inputs["in"]
    mine = dense_of(follows.connection, follows.connection.weight)  # type: ignore[attr-defined]
    for k, learned in enumerate(learning):
        trains = {name: events.dense(k) for name, events in shown.items()}
        trains["in"] = inputs.dense(k)

        def values(name: str, t: int, trains: dict[str, Any] = trains) -> Any:
            """What a node shows: recordings of registered populations are a step late already."""
            return trains[name][t]

        pushed = np.zeros((2 * STEPS, post), np.int64)
        came = np.zeros((2 * STEPS, mine.shape[1]), np.int64)
        start = "out" if tied.transpose else "in"
        for t in range(STEPS):
            # What arrives in a step meets the weights that the step before left.
            if t - learns.delay >= 0:
                pushed[t] = values("in", t - learns.delay) @ whole()
            if t - follows.delay >= 0:
                came[t] = values(start, t - follows.delay) @ mine
            if learned:
                x = values("level" if rule.pre_factor else "in", t)
                y = values("each" if rule.post_factor else "out", t)
                for i in range(pre):
                    for j in range(post):
                        hat_x = sat(shifted(int(x[i]), rule.pre_shift), MAX_SHOWN)
                        hat_y = sat(shifted(int(y[j]), rule.post_shift), MAX_SHOWN)
                        if enable[i, j] and there[i, j]:
                            new = int(fine[i, j]) + shifted(rule.eta * hat_x * hat_y, rule.shift)
                            fine[i, j] = max(LOW * unit, min(HIGH * unit, new))
                mine = following()
        quiet = stimulus.inputs["teacher"].dense(k) == 0
        if late["out"] == 0:
            assert np.array_equal(found.states["out", "v"][k][quiet], pushed[:STEPS][quiet])
        assert np.array_equal(found.states["back", "v"][k], came[:STEPS])
        now = dense_of(learns.connection, found.weights["w"][k])
        assert np.array_equal(now, np.where(there, whole(), 0))
    learnt = executor.learned()
    verify(learnt)
    if any(learning):
        assert np.array_equal(
            dense_of(follows.connection, executor.weights("t")),
            np.where(there.T if tied.transpose else there, following(), 0),
        )
    executor.reset()
    assert np.array_equal(executor.weights("t"), follows.connection.weight)  # type: ignore[attr-defined]


@pytest.mark.parametrize("scale", [0.1, 1e9])
def test_a_tie_of_more_bits_is_refused(scale: float) -> None:
    rule = Plasticity(IntegerHebbian(1), LOW, HIGH)
    weight = np.array([[3]])
    graph = Graph(
        "odd",
        1e-3,
        (Input("in", (1,)),),
        (Population("out", (1,), cells()),),
        (
            Projection("w", "in", "out", Dense(weight), plasticity=rule),
            Projection(
                "t", "in", "out", Dense(np.rint(scale * weight)), 1, tied=Tied("w", False, scale)
            ),
        ),
        (Output("o", "out"),),
    )
    with pytest.raises(SpikecError, match=r"E0301.*'t' has .* times the weights of 'w'"):
        Executor(graph)
