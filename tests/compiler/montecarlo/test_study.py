"""Studies: the same bytes whoever evaluates what, nothing twice, statistics by hand."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.compiler.backend import Gap
from spikec.compiler.explore.journal import JOURNAL, open_journal
from spikec.compiler.explore.point import Result
from spikec.compiler.explore.workers import Group, InProcess, Processes, start_workers
from spikec.compiler.montecarlo.chips import REFERENCE
from spikec.compiler.montecarlo.study import Found, Statistics, Study, found_in, run_study
from spikec.ir.diagnostics import Diagnostics, SpikecError

from ..explore.clusters import cluster
from .conftest import make_study

WORDS = (("wire=0", "age=1day"), ("wire=3", "age=1day"))


def run(study: Study, folder: Path, workers: Any = None, count: int = 1) -> Found:
    with open_journal(folder, study.header(), Diagnostics()) as journal:
        return run_study(study, journal, workers or InProcess(study.job), count)


class Asked:
    """Workers that count what they are asked, and are gone after some."""

    def __init__(self, study: Study, most: int = 1000) -> None:
        self.inner, self.most, self.points = InProcess(study.job), most, 0

    def evaluate(self, groups: Sequence[Group]) -> Iterator[Result]:
        for result in self.inner.evaluate(groups):
            if self.points == self.most:
                raise KeyboardInterrupt
            self.points += 1
            yield result


def test_statistics_are_those_of_a_sample() -> None:
    values = [0.5, 0.25, 1.0, 0.75]
    found = Statistics.of(values)
    assert found is not None
    assert (found.count, found.least, found.most) == (4, 0.25, 1.0)
    assert found.mean == np.mean(values)
    assert found.deviation == pytest.approx(np.std(values, ddof=1), rel=1e-14, abs=0)
    assert Statistics.of([]) is None
    assert Statistics.of([0.1]) == Statistics(1, 0.1, None, 0.1, 0.1)
    assert Statistics.of([0.1] * 3) == Statistics(3, 0.1, 0.0, 0.1, 0.1)


def test_all_chips_under_all_combinations(folder: Path) -> None:
    found = run(make_study(*WORDS), folder)
    assert found.complete and found.measure == "accuracy"
    rows = list(csv.DictReader(io.StringIO(found.csv().decode())))
    keys = [(r["wire"], r["age"], r["chip"]) for r in rows]
    assert keys == [(w, "86400", c) for w in ("0", "3") for c in ("1", "2", "3")]
    data = json.loads(found.json())
    assert data["integer"] == {"accuracy": found.integer}
    for part, one in zip(data["combinations"], (rows[:3], rows[3:]), strict=True):
        for measure in ("accuracy", "differ"):
            values = [float(r[measure]) for r in one]
            assert part[measure]["mean"] == pytest.approx(np.mean(values), rel=1e-14, abs=0)
            assert (part[measure]["least"], part[measure]["most"]) == (min(values), max(values))
    # Chips are not alike.
    assert len({r["differ"] for r in rows[:3]}) > 1


def test_what_is_known_is_not_evaluated_again(folder: Path) -> None:
    """An end in the middle, more chips and another order of what varies."""
    study = make_study(*WORDS)
    whole = run(study, folder / "whole")
    asked = Asked(study, 4)
    with pytest.raises(KeyboardInterrupt):
        run(study, folder / "cut", asked)
    asked = Asked(study)
    again = run(study, folder / "cut", asked)
    assert asked.points == study.size - 4
    assert (again.json(), again.csv()) == (whole.json(), whole.csv())
    more = make_study(*(words[::-1] for words in WORDS), chips=range(2, 6))
    asked = Asked(more)
    run(more, folder / "cut", asked)
    assert asked.points == 2 * 2
    assert (folder / "cut" / JOURNAL).read_bytes().count(b"\n") == 1 + study.size + 4


def test_processes_give_the_same_bytes(folder: Path) -> None:
    study = make_study(*WORDS)
    wanted = run(study, folder / "one")
    processes = Processes(study.job, 2)
    try:
        found = run(study, folder / "two", processes, 2)
    finally:
        processes.end()
    assert (found.json(), found.csv()) == (wanted.json(), wanted.csv())


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_cluster_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    study = make_study(*WORDS)
    wanted = run(study, folder / "one")
    with cluster(tmp_path, 1) as (address, _), start_workers(study.job, 1, address) as workers:
        assert run(study, folder / "dask", workers, 2).json() == wanted.json()


@pytest.mark.parametrize("workers", [1, 2, 5, 64])
def test_groups_have_every_chip_once_and_one_combination_each(workers: int) -> None:
    study = make_study(*WORDS, chips=range(4, 40))
    groups = study.groups(workers)
    points = [str(point) for group in groups for point in group]
    assert len(points) == len(set(points)) == study.size
    assert groups[0] == (REFERENCE,)
    assert all(len({dict(p.values)["wire"] for p in group}) == 1 for group in groups[1:])
    assert len(groups) - 1 >= min(workers, 2 * 36)


def test_a_journal_of_something_else_is_refused(folder: Path) -> None:
    run(make_study((), chips=range(1, 2)), folder)
    with pytest.raises(SpikecError, match="E0902"):
        run(make_study((), chips=range(1, 2), labels=False), folder)


def test_what_is_not_known_yet_is_not_complete() -> None:
    found = found_in(make_study(*WORDS), {})
    assert not found.complete
    assert json.loads(found.json())["combinations"][0]["accuracy"] is None


def test_the_yield_of_a_gap() -> None:
    """Chips that have it, those at its very edge too, and those that orders do not decide."""
    study = make_study(("wire=0",), macro="crossbar-ideal", gap=Gap(0.5), chips=range(1, 5))
    # No integer rung, and other results than without a gap.
    assert [len(group) for group in study.groups(1)] == [4] and study.size == 4
    assert study.header() != make_study(("wire=0",), macro="crossbar-ideal").header()
    (combination,) = study.combinations
    each = ((0.9, 20.0, 1.0), (0.5, 100.0, 0.0), (0.49, 100.0, 0.0))
    results = [
        Result(study.point(combination, chip), (("gap", gap), ("orders", orders), ("sure", sure)))
        for chip, (gap, orders, sure) in zip(study.chips, each, strict=False)
    ]
    results.append(Result(study.point(combination, 4), (), "E1487", "all passed"))
    found = found_in(study, {r.point.digest: r for r in results})
    (row,) = found.rows
    assert (row.working, row.judged, row.unsure, found.measure) == (2, 3, 2, "gap")
    data = json.loads(found.json())
    assert data["gap"] == {"least": 0.5, "orders": 100, "error": 0.05, "trim": False}
    (one,) = data["combinations"]
    assert one["yield"]["working"] == 2 and one["yield"]["unsure"] == 2
    assert one["gap"]["least"] == 0.49 and one["orders"]["mean"] == pytest.approx(220 / 3)
    assert one["refused"]["code"] == "E1487" and "integer" not in data
    lines = list(csv.DictReader(io.StringIO(found.csv().decode())))
    assert [line["gap"] for line in lines] == ["0.9", "0.5", "0.49", ""]
