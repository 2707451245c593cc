"""One point: what is compiled, what is measured, what is refused."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.boards.board import Target
from spikec.compiler.backend import ProfileRequest, find_profiler, find_target
from spikec.compiler.compare import accuracy
from spikec.compiler.compile import compile_graph
from spikec.compiler.explore import evaluate
from spikec.compiler.explore.evaluate import Evaluator, Job, cap_delays, longest_delay
from spikec.compiler.explore.point import Point, Result
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.base import Pass, run_pipeline
from spikec.compiler.passes.legalise import Legalise
from spikec.compiler.passes.quantise import REFERENCE, Quantise
from spikec.compiler.passes.retime import Retime
from spikec.compiler.profile.profile import Profile
from spikec.ir.connections import Chain, Delay, Dense, Sparse
from spikec.ir.diagnostics import Diagnostics, fail

from ..cli.test_mapping import chip_text
from .conftest import make_graph, make_stimulus


def point(**values: Any) -> Point:
    return Point(tuple(values.items()))


def values(result: Result) -> dict[str, float | None]:
    assert not result.refused, result.message
    return dict(result.values)


def test_accuracy_is_that_of_the_integer_rung(job: Job) -> None:
    passes: list[Pass] = [Legalise(), Retime(), Quantise(weight_bits=3)]
    graph = run_pipeline(passes, make_graph(), Target.unlimited(), Diagnostics())
    labelled = make_stimulus()
    assert labelled.labels is not None
    run = Executor(graph).run(labelled.stimulus, populations=["out"])
    right, total = accuracy(run, "out", labelled.labels)
    found = values(Evaluator(job)(point(target="null", weight_bits=3)))
    assert found == {"accuracy": right / total, "latency": None, "energy": None, "cores": None}


def test_without_labels_right_is_what_more_bits_say() -> None:
    evaluator = Evaluator(Job.of(make_graph(), make_stimulus(labels=False)))
    precise = run_pipeline([Legalise(), REFERENCE], make_graph(), Target.unlimited(), Diagnostics())
    assert precise.outputs[0].source == "out"
    found = values(evaluator(point(target="null", weight_bits=16, state_bits=36)))
    assert found["accuracy"] == 1.0


def test_a_chip_has_all_four(job: Job) -> None:
    evaluator = Evaluator(job)
    narrow, wide = (
        values(evaluator(point(target="loihi1", effort=0, noc_width=w))) for w in (4, 32)
    )
    assert narrow["cores"] == wide["cores"] == 1.0
    assert narrow["latency"] is not None and wide["latency"] is not None
    assert narrow["latency"] >= wide["latency"] > 30 * 100e-9  # 30 steps, a barrier each
    assert narrow["energy"] is not None and narrow["energy"] > 0


def test_a_board_takes_its_forecast_at_its_clock(job: Job) -> None:
    pytest.importorskip("amaranth")
    evaluator = Evaluator(job)
    slow, fast = (
        values(evaluator(point(target="icebreaker", lanes=1, units=1, clock=c)))
        for c in (12.0, 24.0)
    )
    assert slow["latency"] == 2 * (fast["latency"] or 0) != 0
    assert (slow["cores"], slow["energy"]) == (1.0, None)


def test_what_the_clock_does_not_change_is_compiled_once(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Any] = []

    def counted(*arguments: Any, **named: Any) -> Any:
        compiled.append(arguments)
        return compile_graph(*arguments, **named)

    monkeypatch.setattr(evaluate, "compile_graph", counted)
    evaluator = Evaluator(job)
    for width in (8, 16, 32):
        values(evaluator(point(target="loihi1", effort=0, noc_width=width)))
    assert len(compiled) == 1
    evaluator(point(target="loihi1", effort=1, noc_width=8))
    assert len(compiled) == 2


def test_refusals_have_their_code_and_words(job: Job) -> None:
    evaluator = Evaluator(job)
    no_clock = evaluator(point(target="icebreaker", clock=99.0))
    assert no_clock.code == "E0305"
    assert "no clock of 99 MHz; it offers 12, 18, 24" in no_clock.message
    assert evaluator(point(target="null", state_bits=8, weight_bits=16)).code == "E0401"
    assert evaluator(point(target="null", state_bits=40, decay_bits=30)).code == "E0402"


def test_a_fault_of_ours_is_a_refusal_and_a_lack_is_not(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by hand")

    monkeypatch.setattr(evaluate, "compile_graph", broken)
    found = Evaluator(job)(point(target="null"))
    assert (found.code, found.message) == (
        "E0905",
        "the evaluation failed: ZeroDivisionError: by hand",
    )

    def lacking(*_: Any, **__: Any) -> None:
        raise fail("E0601", "no amaranth")

    monkeypatch.setattr(evaluate, "compile_graph", lacking)
    with pytest.raises(Exception, match="E0601"):
        Evaluator(job)(point(target="null"))


class TestDelays:
    def test_caps_projections_and_delays_within(self) -> None:
        graph = make_graph(delay=5)
        inner = Chain((Delay(np.array([0, 3, 9]), (3,)), Dense(np.ones((6, 3)))))
        first = dataclasses.replace(graph.projections[0], connection=inner, delay=2)
        graph = dataclasses.replace(graph, projections=(first, *graph.projections[1:]))
        assert longest_delay(graph) == 11
        capped = cap_delays(graph, 4).projections[0]
        assert capped.delay == 2
        assert isinstance(capped.connection, Chain)
        assert isinstance(capped.connection.stages[0], Delay)
        assert capped.connection.stages[0].steps.tolist() == [0, 2, 2]
        assert cap_delays(graph, 11) == graph

    def test_delays_of_synapses_are_capped_too(self) -> None:
        graph = make_graph(delay=2)
        (projection, *others) = graph.projections
        stage = projection.connection
        pre, post = stage.in_shape[0], stage.out_shape[0]
        slow = Sparse(
            pre,
            post,
            np.minimum(np.arange(pre + 1), 2),
            np.zeros(2, np.int32),
            np.ones(2),
            np.array([1, 9], np.int32),
        )
        graph = graph.with_(projections=(replace(projection, connection=slow), *others))
        assert longest_delay(graph) == 11
        capped = cap_delays(graph, 4).projections[0].connection
        assert isinstance(capped, Sparse) and capped.steps is not None
        assert capped.steps.tolist() == [1, 2]

    def test_a_cap_reaches_the_evaluation(self) -> None:
        evaluator = Evaluator(Job.of(make_graph(delay=20), make_stimulus()))
        late, soon = (values(evaluator(point(target="null", delay_cap=cap))) for cap in (20, 1))
        direct = values(
            Evaluator(Job.of(make_graph(delay=1), make_stimulus()))(point(target="null"))
        )
        assert soon == direct
        assert late["accuracy"] is not None


@pytest.mark.parametrize("name", ["loihi1", "truenorth", "spinnaker1"])
def test_latency_and_energy_of_chips_are_those_of_a_profile(name: str) -> None:
    job = Job.of(make_graph(), make_stimulus())
    found = values(Evaluator(job)(point(target=name)))
    backend, target = find_target(name)
    stimulus = make_stimulus().stimulus
    done = compile_graph(make_graph(), backend, target, Quantise(), {}, calibration=stimulus)
    profiler = find_profiler(done.artifact())
    assert profiler is not None
    profiled = profiler.profile(ProfileRequest(done.artifact(), stimulus))
    assert isinstance(profiled, Profile)
    assert (found["latency"], found["energy"]) == (profiled.latency, profiled.energy)
    assert found["cores"] == profiled.cores


def test_energy_without_static_power_is_not_known() -> None:
    """A sum that lacks what nobody published would win against one that has it."""
    evaluator = Evaluator(Job.of(make_graph(), make_stimulus()))
    one, two = (values(evaluator(point(target=name))) for name in ("loihi1", "loihi2"))
    assert one["energy"] is not None and two["energy"] is None
    assert one["latency"] == two["latency"]


def test_narrow_links_take_longer(tmp_path: Path) -> None:
    """Two neurons a core and a core a router, so that packets take links."""
    own = tmp_path / "mine.toml"
    text = chip_text("mine", 2).replace("cores_per_router = 4", "cores_per_router = 1")
    own.write_text(text, encoding="utf-8")
    evaluator = Evaluator(Job.of(make_graph(), make_stimulus()))
    usual, wide, narrow = (
        values(evaluator(point(target=str(own), **width)))
        for width in ({}, {"noc_width": 32}, {"noc_width": 1})
    )
    assert usual == wide
    assert wide["latency"] is not None and narrow["latency"] is not None
    assert wide["latency"] < narrow["latency"]
    assert (wide["cores"], wide["accuracy"]) == (narrow["cores"], narrow["accuracy"])


def test_only_some_compilations_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikec.compiler.explore.evaluate._KEPT", 2)
    evaluator = Evaluator(Job.of(make_graph(), make_stimulus()))
    first = values(evaluator(point(target="loihi1", seed=1)))
    for seed in (2, 3):
        evaluator(point(target="loihi1", seed=seed))
    assert len(evaluator._counts) == 2
    assert values(evaluator(point(target="loihi1", seed=1))) == first
