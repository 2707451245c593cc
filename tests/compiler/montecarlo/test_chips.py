"""One chip: the integers where nothing is lost, another one with each seed, mapped once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikec.backends.crossbar.design import design
from spikec.compiler.compare import accuracy
from spikec.compiler.explore.point import Point
from spikec.compiler.ladder import run_rung
from spikec.compiler.montecarlo.chips import REFERENCE, differing_share
from spikec.ir.events import Events, Recording

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
