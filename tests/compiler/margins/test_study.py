"""Studies of margins: what is written, nothing twice, the same whoever evaluates."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from spikec.backends.sfq.josephson.margins import kinds, margins
from spikec.backends.sfq.synthesis.files import read_program
from spikec.backends.sfq.tolerance.stress import trial
from spikec.compiler.explore.journal import JOURNAL, open_journal
from spikec.compiler.explore.point import Point, Result
from spikec.compiler.explore.workers import Group, InProcess, Processes, start_workers
from spikec.compiler.margins.study import Axis, Corners, FoundMargins, MarginStudy, run_margins
from spikec.ir.diagnostics import Diagnostics

from ..explore.clusters import cluster
from .conftest import CORNERS, compiled, make_stimulus, make_study


def run(study: MarginStudy, folder: Path, workers: Any = None, count: int = 1) -> FoundMargins:
    with open_journal(folder, study.header(), Diagnostics()) as journal:
        return run_margins(study, journal, workers or InProcess(study.job), count)


class Asked:
    """Workers that count what they are asked, and are gone after some."""

    def __init__(self, study: MarginStudy, most: int = 1000) -> None:
        self.inner, self.most, self.points = InProcess(study.job), most, 0

    def evaluate(self, groups: Sequence[Group]) -> Iterator[Result]:
        for result in self.inner.evaluate(groups):
            if self.points == self.most:
                raise KeyboardInterrupt
            self.points += 1
            yield result


def test_rows_are_the_margins_of_a_trial(tmp_path: Path) -> None:
    """Of a trial that is put together by hand, all groups in one call."""
    found = run(make_study(corners=()), tmp_path / "out")
    given = make_stimulus().stimulus.inputs["in"]
    spikes = [given.dense(k) for k in range(given.samples)]
    wanted = [s.all(1, keepdims=True) for s in spikes]
    still = [s * 0.0 for s in spikes]
    by_hand = trial(read_program(compiled()), {"in": spikes}, {"in": still}, {"out": wanted})
    groups = kinds(by_hand.simulator.circuit)
    assert {row.title: row.margin for row in found.rows} == margins(
        by_hand, groups, reach=0.4, resolution=0.05
    )
    assert {row.title: row.elements for row in found.rows} == {t: len(g) for t, g in groups.items()}
    least = [row.margin.least for row in found.rows]
    assert least == sorted(least)


def test_what_is_written(tmp_path: Path) -> None:
    found = run(make_study(), tmp_path / "out")
    assert found.complete and not found.refused
    data = json.loads(found.json())
    assert [row["group"] for row in data["margins"]] == [row.title for row in found.rows]
    (grid,) = data["corners"]
    assert grid["x"] == {"title": "bias", "values": [0.3, 1.0, 1.1]}
    assert grid["share"] == [[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    rows = list(csv.DictReader(io.StringIO(found.csv().decode())))
    assert [float(row["low"]) for row in rows] == [row.margin.low for row in found.rows]
    corners = list(csv.DictReader(io.StringIO(found.corners_csv().decode())))
    assert len(corners) == 6 and corners[0] == {
        "x": "bias", "x_value": "0.3", "y": "areas", "y_value": "1.0", "share": "0.0",
    }  # fmt: skip


def test_what_is_known_is_not_evaluated_again(tmp_path: Path) -> None:
    """An end in the middle, then finer groups and more corners."""
    study = make_study()
    whole = run(study, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "cut", Asked(study, 5))
    asked = Asked(study)
    again = run(study, tmp_path / "cut", asked)
    assert asked.points == len(study.points) - 5
    assert (again.json(), again.csv()) == (whole.json(), whole.csv())
    wider = Corners(Axis("bias", (1.0, 1.1, 1.2)), CORNERS.y)
    more = make_study(corners=(CORNERS, wider))
    asked = Asked(more)
    run(more, tmp_path / "cut", asked)
    assert asked.points == 2
    lines = (tmp_path / "cut" / JOURNAL).read_bytes().count(b"\n")
    assert lines == 1 + len(study.points) + 2 == 1 + len(more.points)


def test_processes_give_the_same_bytes(tmp_path: Path) -> None:
    study = make_study()
    wanted = run(study, tmp_path / "one")
    processes = Processes(study.job, 2)
    try:
        found = run(study, tmp_path / "two", processes, 2)
    finally:
        processes.end()
    assert (found.json(), found.csv()) == (wanted.json(), wanted.csv())


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_cluster_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    study = make_study()
    wanted = run(study, tmp_path / "one")
    with cluster(tmp_path, 1) as (address, _), start_workers(study.job, 1, address) as workers:
        assert run(study, tmp_path / "dask", workers, 2).json() == wanted.json()


@pytest.mark.parametrize("workers", [1, 2, 64])
def test_groups_have_every_point_once(workers: int) -> None:
    study = make_study("cell")
    groups = study.groups(workers)
    assert [point for group in groups for point in group] == list(study.points)
    assert len(set(study.points)) == len(study.points) == len(study.elements) + 6
    assert max(map(len, groups[:3])) == (4 if workers == 1 else 1)


def test_what_is_not_known_yet() -> None:
    study = make_study()
    found = FoundMargins(study, {})
    assert not found.complete and found.rows == ()
    assert json.loads(found.json())["corners"][0]["share"] == [[None] * 3] * 2
    point = Point((("margin", "bias"),))
    refused = FoundMargins(study, {point.digest: Result(point, (), "E1424", "fails")})
    assert [one.code for one in refused.refused] == ["E1424"] and refused.rows == ()
