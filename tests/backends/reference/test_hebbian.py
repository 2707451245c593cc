"""Hebbian rules and tied weights on the golden rung, against the definition in plain numpy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.reference.golden import run_golden
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.legalise import Legalise
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.compiler.passes.retime import Retime
from spikec.ir.connections import Connection, Dense, OneToOne, Sparse
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection, Tied
from spikec.ir.homeostasis import Scaling
from spikec.ir.neurons import IF, LI, PointLIF, Receptor, Relay
from spikec.ir.plasticity import Hebbian, PairSTDP, Plasticity, Transmit
from spikec.ir.semantics import Current, Reset, Semantics
from spikec.ir.text import parse, text
from spikec.ir.verify import verify

from ...compiler.passes.networks import target

Real = npt.NDArray[np.float64]
N, RANK = 4, 3


def real(value: Any) -> Real:
    return np.asarray(value, np.float64)


def sparse(weight: Real, present: npt.NDArray[np.bool_]) -> Sparse:
    """(post, pre) weights, those of ``present`` synapses."""
    pre, post = np.nonzero(present.T)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(pre, minlength=weight.shape[1]))])
    size = weight.shape
    return Sparse(size[1], size[0], indptr, post.astype(np.int32), weight[post, pre])


def lateral(
    h: Real,
    rule: Hebbian,
    delays: tuple[int, int] = (0, 0),
    present: npt.NDArray[np.bool_] | None = None,
    scale: float = -1.0,
    registered: bool = False,
    by_input: bool = False,
    **more: Any,
) -> Graph:
    r"""y = H x and r = x + s H^T y, where x comes by way of a population or is an input itself."""

    def connection(weight: Real, transposed: bool = False) -> Connection:
        if present is None:
            return Dense(weight)
        return sparse(weight, present.T if transposed else present)

    plasticity = Plasticity(rule, -1.5, 1.5, **more)
    tied = Tied("H", transpose=True, scale=scale)
    x = "line" if by_input else "x"
    one = OneToOne(real(1), (N,))
    return Graph(
        "lateral",
        1e-3,
        (Input("line", (N,)),),
        (
            Population("x", (N,), Relay(), Semantics(registered=registered)),
            Population("y", (RANK,), Relay()),
            Population("r", (N,), Relay()),
        ),
        (
            Projection("to x", "line", "x", one),
            Projection("H", x, "y", connection(h), delays[0], plasticity=plasticity),
            Projection("back", "y", "r", connection(scale * h.T, True), delays[1], tied=tied),
            Projection("on", x, "r", one),
        ),
        (Output("out", "r"),),
    )


def defined(
    graph: Graph, h: Real, present: npt.NDArray[np.bool_], line: Real, learns: list[bool]
) -> tuple[Real, Real]:
    """H after each sample and r of every step."""
    plastic, back, on = graph.projections[1:]
    assert plastic.plasticity is not None and back.tied is not None
    rule, scale = plastic.plasticity.rule, back.tied.scale
    assert isinstance(rule, Hebbian)
    enable = present & np.broadcast_to(
        True if plastic.plasticity.enable is None else plastic.plasticity.enable, h.shape
    )
    late = int(graph.population("x").semantics.registered) * (plastic.pre == "x")
    h = np.where(present, h, 0)
    shots, out = [], np.zeros(line.shape)
    for k, learning in enumerate(learns):
        shown = np.concatenate([np.zeros((late, N)), line[k]])  # by step
        y, r = np.zeros((line.shape[1], RANK)), out[k]
        for t in range(line.shape[1]):

            def at(values: Real, step: int) -> Real:
                return values[step] if step >= 0 else np.zeros(values.shape[1])

            y[t] = h @ at(shown, t - plastic.delay)
            r[t] = at(shown, t - on.delay) + scale * h.T @ at(y, t - back.delay)
            factor = {None: shown, "r": out[k], "x": shown}[rule.pre_factor]
            if learning:
                new = np.clip(h + rule.eta * np.outer(y[t], factor[t]), -1.5, 1.5)
                h = np.where(enable, new, h)
        shots.append(h.copy())
    return np.array(shots), out


@st.composite
def cases(draw: st.DrawFn) -> tuple[Graph, Real, Any, Real, list[bool]]:
    r = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    h = r.uniform(-1, 1, (RANK, N))
    present = np.ones(h.shape, bool)
    whole = draw(st.booleans())
    if not whole:
        present = r.random(h.shape) < 0.6
    graph = lateral(
        h,
        Hebbian(draw(st.sampled_from([0.05, -0.05, 0.4])), draw(st.sampled_from([None, "r"]))),
        (draw(st.integers(0, 3)), draw(st.integers(0, 3))),
        None if whole else present,
        draw(st.sampled_from([-1.0, 1.0, 0.5])),
        draw(st.booleans()),
        draw(st.booleans()),
        transmit=draw(st.sampled_from(Transmit)),
        enable=r.random(h.shape) < 0.7 if whole and draw(st.booleans()) else None,
    )
    line = r.normal(size=(2, draw(st.integers(3, 12)), N)) * (r.random((2, 1, N)) < 0.8)
    return graph, h, present, line, [draw(st.booleans()), True]


@settings(max_examples=12, deadline=None)
@given(cases())
def test_weights_and_residual_are_those_of_the_definition(
    case: tuple[Graph, Real, Any, Real, list[bool]],
) -> None:
    graph, h, present, line, learns = case
    verify(graph)
    assert parse(text(graph)) == graph
    stimulus = Stimulus({"line": Events.from_dense(line)})
    found = run_golden(
        *(graph, stimulus),
        record_weights="samples",
        learning=learns,
        codegen="numpy",
    )
    weights, residual = defined(graph, h, present, line, learns)
    dense = graph.projections[1].connection
    rows, columns = np.nonzero(present.T)[::-1]
    wanted = weights if isinstance(dense, Dense) else weights[:, rows, columns]
    np.testing.assert_allclose(found.weights["H"], wanted, rtol=0, atol=1e-11)
    assert set(found.weights) == {"H"}
    events = found.spikes["r"]
    sent = np.zeros(line.shape)
    sent[events.sample, events.step, events.index] = events.value
    np.testing.assert_allclose(sent, residual, rtol=0, atol=1e-11)


def test_pairs_can_be_tied_too() -> None:
    """What arrives over the copy has the weights that the step before left."""
    rule = PairSTDP(0.1, 0.1, 0.01, 0.01)
    cell = IF(real(1.0), real(1e3))
    graph = Graph(
        "tied pairs",
        1e-3,
        (Input("in", (2,)), Input("teacher", (2,)), Input("other", (2,))),
        (
            Population("cell", (2,), cell),
            Population("copy", (2,), LI(real(1e-3), real(1), real(0))),
        ),
        (
            Projection(
                "w",
                "in",
                "cell",
                Dense(np.full((2, 2), 0.5)),
                plasticity=Plasticity(rule, 0, 1),
            ),
            Projection("t", "teacher", "cell", OneToOne(real(2e3), (2,))),
            Projection("c", "other", "copy", Dense(np.full((2, 2), 1.0)), tied=Tied("w", scale=2)),
        ),
        (Output("out", "copy"),),
    )
    verify(graph)
    r = np.random.default_rng(0)
    trains = (r.random((3, 1, 30, 2)) < 0.3).astype(np.int64)
    trains[2] = 1
    stimulus = Stimulus(
        {n: Events.from_dense(x) for n, x in zip(("in", "teacher", "other"), trains, strict=True)}
    )
    v = run_golden(graph, stimulus, record=[("copy", "v")], codegen="numpy").states["copy", "v"][0]
    for steps in range(1, 30, 3):
        cut = Stimulus(
            {
                n: Events.from_dense(x[:, :steps])
                for n, x in zip(("in", "teacher", "other"), trains, strict=True)
            }
        )
        w = run_golden(graph, cut, codegen="numpy").weights["w"][0]
        np.testing.assert_allclose(v[steps], 2 * w.sum(axis=1), rtol=0, atol=1e-12)
    assert len(np.unique(v)) > 10


def test_values_arrive_at_receptors() -> None:
    """Where nothing is learned it is the projection without a rule; a late receptor is refused."""
    volt, one = real(-65e-3), OneToOne(real(1), (N,))
    cell = PointLIF(
        *(real(20e-3), real(1e-9), volt, real(1.0), volt),
        v_init=volt,
        receptors=(Receptor("up", tau=real(5e-3)), Receptor("down", tau=real(9e-3))),
    )
    found = []
    for rule, current in (
        (None, Current.NEW),
        (Hebbian(0.0), Current.NEW),
        (Hebbian(0.0), Current.OLD),
    ):
        plasticity = None if rule is None else Plasticity(rule, -2, 2)
        graph = Graph(
            "ports",
            1e-3,
            (Input("line", (N,)),),
            (
                Population("x", (N,), Relay()),
                Population("cell", (RANK,), cell, Semantics(current=current, reset=Reset.VALUE)),
            ),
            (
                Projection("to x", "line", "x", one),
                Projection("H", "x", "cell", Dense(H), 1, plasticity=plasticity, receptor="down"),
            ),
            (Output("out", "cell"),),
        )
        verify(graph)
        line = np.random.default_rng(1).normal(size=(2, 9, N))
        stimulus = Stimulus({"line": Events.from_dense(line)})
        record = [("cell", name) for name in ("up", "down", "v")]
        if current is Current.OLD:
            with pytest.raises(SpikecError, match=r"E0301.*'H' sends by weights that may change"):
                run_golden(graph, stimulus, record=record, codegen="numpy")
        else:
            found.append(run_golden(graph, stimulus, record=record, codegen="numpy").states)
    for key in record:
        np.testing.assert_allclose(found[0][key], found[1][key], rtol=1e-12, atol=0)
    assert np.ptp(found[1]["cell", "down"]) > 0.1 and not found[1]["cell", "up"].any()


@pytest.mark.slow
def test_compiled_code_learns_the_same() -> None:
    r = np.random.default_rng(2)
    graph = lateral(r.uniform(-1, 1, (RANK, N)), Hebbian(0.05, "r"), (0, 1))
    stimulus = Stimulus({"line": Events.from_dense(r.normal(size=(2, 10, N)))})
    fast, slow = (
        run_golden(graph, stimulus, codegen=c, record_weights="samples").weights["H"]
        for c in ("standalone", "numpy")
    )
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-14)


H = np.array([[0.5, -0.25, 0.0, 1.0], [0.25, 0.5, 1.0, 0.0], [0.0, 0.125, 0.5, -1.0]])
GRAPH = lateral(H, Hebbian(0.1, "r"))


def refused(graph: Graph) -> list[tuple[str, str]]:
    with pytest.raises(SpikecError) as caught:
        verify(graph)
    return [(d.code, d.message) for d in caught.value.diagnostics]


def changed(name: str, **changes: Any) -> Graph:
    return replace(
        GRAPH,
        projections=tuple(
            replace(p, **changes) if p.name == name else p for p in GRAPH.projections
        ),
    )


def test_what_does_not_fit_is_said() -> None:
    def rule(hebbian: Hebbian) -> Graph:
        return changed("H", plasticity=Plasticity(hebbian, -1, 1))

    assert refused(rule(Hebbian(0.1, "y"))) == [
        ("E0215", "'H': its pre_factor 'y' has size 3; it must have 4, that of 'x'")
    ]
    assert refused(rule(Hebbian(0.1, None, "q"))) == [
        ("E0215", "'H': its post_factor is 'q', which is no node")
    ]
    assert refused(rule(Hebbian(float("nan")))) == [("E0209", "'H': eta is nan; it must be finite")]
    ((code, said),) = refused(
        changed("H", plasticity=Plasticity(Hebbian(1), -1, 1, scaling=Scaling(1.0)))
    )
    assert code == "E0209" and said.startswith("'H': Hebbian moves weights in every step")
    ((code, said),) = refused(changed("H", plasticity=Plasticity(Hebbian(1), 0, 1)))
    assert code == "E0210" and said.startswith("'H': 2 of 12 plastic weights lie outside 0 to 1")
    negative = Dense(-H.T)

    def tie(*fields: Any, connection: Connection = negative, **more: Any) -> tuple[str, str]:
        ((code, said),) = refused(
            changed("back", tied=Tied(*fields), connection=connection, **more)
        )
        return code, said

    assert tie("h", True, -1) == ("E0216", "'back' is tied to 'h', which is no other projection")
    assert tie("back", True, -1)[1] == "'back' is tied to 'back', which is no other projection"
    assert tie("H", True, 1)[1] == (
        "'back' starts with 9 of 12 weights that are not 1 times those of 'H'"
    )
    assert tie("H", False, -1)[1] == "'back' maps 3 to 4, and tied so it would map 4 to 3"
    assert tie("H", True, float("nan"))[1] == "'back' is scaled by nan"
    part = sparse(-H.T, np.ones(H.T.shape, bool) & (H.T != 0))
    assert tie("H", True, -1, connection=part)[1] == "'back' has other synapses than 'H'"
    own = Plasticity(Hebbian(1), -1, 1)
    assert tie("H", True, -1, plasticity=own)[1] == "'back' has a rule of its own"
    twice = Projection("b2", "y", "r", negative, tied=Tied("back"))
    assert refused(replace(GRAPH, projections=(*GRAPH.projections, twice))) == [
        ("E0216", "'b2' is tied to 'back', which itself is to 'H'")
    ]
    assert tie("on", True, -1)[1].startswith("'back' or what it is tied to has no weight for each")
    every = sparse(-H.T, np.ones(H.T.shape, bool))
    verify(changed("back", connection=every))


def test_facts() -> None:
    assert (Hebbian(1).rows, Hebbian(1).columns) == (True, True)
    assert (Hebbian(0).rows, Hebbian(0).columns) == (False, False)
    assert parse(text(GRAPH)) == GRAPH
    assert "tied" not in text(replace(GRAPH, projections=GRAPH.projections[:2]))


class TestOtherRungs:
    def test_integers_are_data(self) -> None:
        spiking = tuple(replace(p, neuron=IF(real(1), real(1))) for p in GRAPH.populations)
        whole = quantise(replace(GRAPH, populations=spiking), Quantise(), Diagnostics())
        verify(whole)
        assert parse(text(whole)) == whole and "IntegerHebbian" in text(whole)
        Executor(whole)
        odd = tuple(
            replace(p, tied=replace(p.tied, scale=-0.1)) if p.tied is not None else p
            for p in whole.projections
        )
        with pytest.raises(SpikecError, match=r"E0301.*'back' has -0.1 times the weights of 'H'"):
            Executor(replace(whole, projections=odd))

    def test_a_target_refuses_a_rule_that_it_lacks(self) -> None:
        with pytest.raises(SpikecError, match=r"E0308.*'H' learns by Hebbian"):
            Legalise().run(GRAPH, target(learns=("TraceSTDP",), graded=True), Diagnostics())
        assert Legalise().run(GRAPH, target(graded=True), Diagnostics()).projections[2].tied

    def test_a_tie_to_what_does_not_learn_is_dropped(self) -> None:
        still = Legalise().run(changed("H", plasticity=None), target(graded=True), Diagnostics())
        assert [p.tied for p in still.projections] == [None] * 4

    def test_what_only_a_tie_reads_is_not_dead(self) -> None:
        """H's own post population reaches no output; the copy of its weights does."""
        other = Population("z", (RANK,), Relay())
        copy = Projection("copy", "x", "z", Dense(H), tied=Tied("H"))
        graph = changed("H", plasticity=Plasticity(Hebbian(0.1), -1.5, 1.5))
        keep = tuple(p for p in graph.projections if p.name in ("to x", "H"))
        graph = replace(
            graph,
            populations=(*graph.populations[:2], other),
            projections=(*keep, copy),
            outputs=(Output("out", "z"),),
        )
        verify(graph)
        legal = Legalise().run(graph, target(graded=True), Diagnostics())
        verify(legal)
        assert {p.name for p in legal.populations} == {"x", "y", "z"}

    def test_time_moves_for_all_or_not_at_all(self) -> None:
        assert Retime().run(GRAPH, target(), Diagnostics()) == GRAPH
        with pytest.raises(SpikecError) as caught:
            Retime().run(GRAPH, target(hop=1), Diagnostics())
        said = [d.message for d in caught.value.diagnostics if d.code == "E0502"]
        assert "'H': its pre_factor 'r' would be 1 step(s) behind 'y'" in said
        back = "'back': its weights are those of 'H', and 'y' would be 1 step(s) ahead of 'r'"
        assert back in said
