"""One chip: the integers where nothing is lost, another one with each seed, mapped once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from spikec.backends.crossbar.design import design
from spikec.backends.sfq.rungs import execute
from spikec.backends.sfq.rungs.execute import run_chips
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import Outcome, Run, find_analogue, find_target
from spikec.compiler.compare import accuracy
from spikec.compiler.compile import compile_graph
from spikec.compiler.explore.point import Point, Result
from spikec.compiler.ladder import run_rung
from spikec.compiler.montecarlo.chips import REFERENCE, ChipEvaluator, ChipJob, differing_share
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.events import Events, Recording

from ..margins.conftest import both
from ..margins.conftest import make_stimulus as given
from .conftest import compiled, make_stimulus, make_study


def recording(*places: tuple[int, int, int, int]) -> Recording:
    """Spikes of 3 neurons: (sample, step, index, count)."""
    dense = np.zeros((2, 4, 3), np.int64)
    for sample, step, index, count in places:
        dense[sample, step, index] = count
    return Recording("x", 1e-3, {"a": Events.from_dense(dense)}, {})


def test_the_share_that_differs() -> None:
    a = recording((0, 0, 0, 1), (0, 3, 2, 1), (1, 1, 1, 2))
    assert differing_share(a, a, ["a"]) == 0
    # One is moved: 2 of 4 places. One has another count: 1 of 3.
    assert differing_share(a, recording((0, 0, 0, 1), (0, 2, 2, 1), (1, 1, 1, 2)), ["a"]) == 0.5
    assert differing_share(a, recording((0, 0, 0, 1), (0, 3, 2, 1), (1, 1, 1, 1)), ["a"]) == 1 / 3
    assert differing_share(a, recording(), ["a"]) == 1
    assert differing_share(recording(), recording(), ["a"]) == 0


def test_an_ideal_chip_is_the_integer_rung() -> None:
    evaluator = make_study((), macro="crossbar-ideal").job.evaluator()
    (one,) = evaluator(REFERENCE).values
    assert evaluator(Point((("chip", 7),))).values == (one, ("differ", 0.0))
    right, total = accuracy(
        run_rung(compiled("crossbar-ideal"), "integer", make_stimulus().stimulus).recording,
        "out",
        make_stimulus().labels,  # type: ignore[arg-type]
    )
    assert one == ("accuracy", right / total)


def test_a_chip_is_the_one_that_run_gives() -> None:
    """Whatever was evaluated before it, by this evaluator or another."""
    point = Point((("age", "86400"), ("wire", "2"), ("chip", 5)))
    job = make_study(()).job
    fresh, used = job.evaluator(), job.evaluator()
    for chip, wire in ((5, "0"), (6, "2"), (1, "2")):
        used(Point((("age", "1"), ("wire", wire), ("chip", chip))))
    assert fresh(point) == used(point)
    said = dict(fresh(point).values)
    words = ("age=1day", "wire=2")
    found = run_rung(job.artifact, "circuit", make_stimulus().stimulus, seed=5, conditions=words)
    right, total = accuracy(found.recording, "out", make_stimulus().labels)  # type: ignore[arg-type]
    assert said["accuracy"] == right / total
    assert said["differ"]


def test_without_labels_only_spikes_are_compared() -> None:
    evaluator = make_study((), labels=False).job.evaluator()
    assert evaluator(REFERENCE).values == (("accuracy", None),)
    (name, value), (_, share) = evaluator(Point((("chip", 1),))).values
    assert (name, value) == ("accuracy", None)
    assert share is not None and 0 < share < 1


def test_chips_of_a_combination_are_mapped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def counted(graph: Any, macro: Any, conditions: Any, *more: Any, **options: Any) -> Any:
        asked.append(conditions.wire)
        return design(graph, macro, conditions, *more, **options)

    monkeypatch.setattr("spikec.backends.crossbar.execute.design", counted)
    evaluator = make_study(()).job.evaluator()
    for wire in ("1", "2"):
        for age in ("1", "86400"):
            for chip in (1, 2):
                point = Point((("age", age), ("wire", wire), ("chip", chip)))
                assert not evaluator(point).refused
    assert asked == [1.0, 2.0]


def test_what_maps_differently_shares_nothing() -> None:
    """The converters' bits choose tiles, too: the order of evaluations must not show."""
    job = make_study(()).job
    points = [Point((("adc_bits", bits), ("wire", "2"), ("chip", 1))) for bits in ("4", "12")]
    one, two = job.evaluator(), job.evaluator()
    assert [one(p) for p in points] == [two(p) for p in points[::-1]][::-1]


def test_what_cannot_be_mapped_is_refused() -> None:
    evaluator = make_study(()).job.evaluator()
    found = evaluator(Point((("spares", "4096"), ("chip", 1))))
    assert found.code == "E1321" and "spare" in found.message


def test_stochastic_rounding_is_compared_with_the_same_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluator = make_study((), macro="crossbar-ideal").job.evaluator()
    assert isinstance(evaluator, ChipEvaluator)
    assert not evaluator._draws
    seeds: list[int] = []
    real = evaluator._reference

    def reference(seed: int) -> Recording:
        seeds.append(seed)
        return real(seed)

    monkeypatch.setattr(evaluator, "_draws", True)
    monkeypatch.setattr(evaluator, "_reference", reference)
    for chip in (3, 4):
        evaluator(Point((("chip", chip),)))
    assert seeds == [3, 4]


def cells() -> Artifact:
    backend, target = find_target("mitll-sfq5ee")
    return compile_graph(both(), backend, target, Quantise(input_max=1), {}).artifact()


def test_chips_of_cells_are_run_together_and_are_those_that_run_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch for each combination, whichever chips are in it."""
    artifact, labelled = cells(), given()
    _, rung = find_analogue(artifact)
    assert rung == "circuit"
    job = ChipJob.of(artifact, rung, labelled)
    spreads = [Point((("spread", s), ("chip", c))) for s in ("0.01", "0.17") for c in range(1, 9)]
    asked: list[tuple[int, ...]] = []

    def counted(run: Run, rung: str, seeds: Sequence[int]) -> list[Outcome]:
        asked.append(tuple(seeds))
        return run_chips(run, rung, seeds)

    monkeypatch.setattr(execute, "run_chips", counted)
    found = list(job.evaluator().results([REFERENCE, *spreads]))
    assert asked == [tuple(range(1, 9))] * 2
    assert found[0].values == (("accuracy", None),)
    alone = job.evaluator()
    assert [alone(point) for point in spreads[6:10]] == found[7:11]
    differ = [dict(result.values)["differ"] for result in found[1:]]
    assert differ[:8] == [0.0] * 8 and len(set(differ[8:])) > 1
    wanted = run_rung(artifact, "integer", labelled.stimulus).recording
    for chip in (1, 2):
        words = ("spread=0.17",)
        one = run_rung(artifact, rung, labelled.stimulus, seed=chip, conditions=words).recording
        assert differing_share(one, wanted, ["out"]) == differ[7 + chip]


def test_a_batch_that_fails_is_evaluated_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the chip that fails is refused."""
    job = ChipJob.of(cells(), "circuit", given())
    evaluator = job.evaluator()
    whole = evaluator.evaluate_together

    def picky(points: Sequence[Point]) -> Sequence[Result]:
        if any(point.as_dict()["chip"] == 2 for point in points):
            raise ValueError("not this one")
        return whole(points)

    monkeypatch.setattr(evaluator, "evaluate_together", picky)
    points = [Point((("spread", "0.01"), ("chip", c))) for c in (1, 2, 3)]
    found = list(evaluator.results(points))
    assert [result.code for result in found] == ["", "E0905", ""]
    assert found[1].message == "the evaluation failed: ValueError: not this one"
