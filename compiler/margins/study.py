"""Margins of groups of elements, and corners of two of them against each other."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..backend import Margin
from ..explore.journal import Journal
from ..explore.point import Point, Result, version
from ..explore.workers import Watch, Workers, evaluate_missing
from .job import CORNERS_TOGETHER, MARGIN, MarginJob, margin_of

FORMAT: Final = 1
# Groups whose margins one worker alone seeks at once: enough for the simulator, and no more is
# lost by a kill.
_TOGETHER: Final = 4


@dataclass(frozen=True)
class Axis:
    """What varies: factors of a group of elements, or temperatures in K."""

    title: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Corners:
    """All values of ``x`` with all of ``y``."""

    x: Axis
    y: Axis

    @property
    def points(self) -> tuple[tuple[Point, ...], ...]:
        """A row for each value of ``y``, lowest first."""
        return tuple(
            tuple(Point(((self.x.title, x), (self.y.title, y))) for x in self.x.values)
            for y in self.y.values
        )


@dataclass(frozen=True)
class MarginStudy:
    """Which groups have their margins found, by title with how many elements, and which corners."""

    name: str
    target: str
    job: MarginJob
    elements: Mapping[str, int]
    corners: tuple[Corners, ...] = ()

    def header(self) -> dict[str, Any]:
        """What results depend on, apart from what each point says itself."""
        return {"kind": "spikec margins", "version": version(), "job": self.job.digest}

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """Margins, then corners, each once."""
        margins = [Point(((MARGIN, title),)) for title in self.elements]
        corners = (p for c in self.corners for row in c.points for p in row)
        return (*margins, *dict.fromkeys(corners))

    def groups(self, workers: int = 1) -> tuple[tuple[Point, ...], ...]:
        """All points, those that are simulated at once together, as long as no worker is idle."""
        margins, corners = (self.points[: len(self.elements)], self.points[len(self.elements) :])
        alone = workers > 1 or self.job.gap is not None
        return (*_cut(margins, 1 if alone else _TOGETHER), *_cut(corners, CORNERS_TOGETHER))


def _cut(points: Sequence[Point], size: int) -> Iterable[tuple[Point, ...]]:
    return (tuple(points[k : k + size]) for k in range(0, len(points), size))


@dataclass(frozen=True)
class Row:
    """A group, its margin, and what goes wrong first beyond it on either side."""

    title: str
    elements: int
    margin: Margin
    below: str
    above: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        m = self.margin
        return {
            "group": self.title,
            "elements": self.elements,
            "low": m.low,
            "high": m.high,
            "open_low": m.open_low,
            "open_high": m.open_high,
            "below": self.below,
            "above": self.above,
        }


@dataclass(frozen=True)
class FoundMargins:
    """What a study found so far."""

    study: MarginStudy
    results: Mapping[str, Result]

    @property
    def complete(self) -> bool:
        """Whether every point was evaluated."""
        return all(point.digest in self.results for point in self.study.points)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Margins that were found, the least first."""
        found = []
        for title, elements in self.study.elements.items():
            result = self.results.get(Point(((MARGIN, title),)).digest)
            if result is not None and not result.refused:
                found.append(Row(title, elements, *margin_of(result)))
        return tuple(sorted(found, key=lambda row: row.margin.least))

    @property
    def refused(self) -> tuple[Result, ...]:
        """Points that gave nothing."""
        every = (self.results.get(point.digest) for point in self.study.points)
        return tuple(one for one in every if one is not None and one.refused)

    def shares(self, corners: Corners) -> npt.NDArray[np.float64]:
        """Of samples that are right, or gaps, (y, x); not a number where nothing is known."""
        measure = self.study.job.measure
        known = {d: dict(r.values).get(measure) for d, r in self.results.items()}
        rows = [[known.get(p.digest) for p in row] for row in corners.points]
        return np.array(rows, np.float64)

    def as_dict(self) -> dict[str, Any]:
        """The contents of ``results.json``."""
        study, job = self.study, self.study.job
        return {
            "format": FORMAT,
            "name": study.name,
            "target": study.target,
            **study.header(),
            "conditions": list(job.conditions),
            "seed": job.seed,
            **({} if job.gap is None else {"gap": asdict(job.gap)}),
            "reach": job.reach,
            "resolution": job.resolution,
            "complete": self.complete,
            "margins": [row.as_dict() for row in self.rows],
            "corners": [self._corners(corners) for corners in study.corners],
        }

    def _corners(self, corners: Corners) -> dict[str, Any]:
        shares = self.shares(corners).astype(object)
        shares[np.isnan(shares.astype(np.float64))] = None
        return {
            "x": {"title": corners.x.title, "values": list(corners.x.values)},
            "y": {"title": corners.y.title, "values": list(corners.y.values)},
            self.study.job.measure: shares.tolist(),
        }

    def json(self) -> bytes:
        """``results.json``: the same study gives the same bytes."""
        return (json.dumps(self.as_dict(), indent=1, sort_keys=True) + "\n").encode()

    def csv(self) -> bytes:
        """``margins.csv``: a line for each group, the least margin first."""
        rows = [row.as_dict() for row in self.rows]
        names = list(Row("", 0, Margin(0, 0), "", "").as_dict())
        return _csv(names, ([row[name] for name in names] for row in rows))

    def corners_csv(self) -> bytes:
        """``corners.csv``: a line for each corner."""
        lines = (
            [corners.x.title, x, corners.y.title, y, "" if np.isnan(share) else share]
            for corners in self.study.corners
            for y, row in zip(corners.y.values, self.shares(corners).tolist(), strict=True)
            for x, share in zip(corners.x.values, row, strict=True)
        )
        return _csv(["x", "x_value", "y", "y_value", self.study.job.measure], lines)


def _csv(names: Sequence[str], lines: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(lines)
    return text.getvalue().encode()


def run_margins(
    study: MarginStudy,
    journal: Journal,
    workers: Workers,
    count: int = 1,
    watch: Watch | None = None,
) -> FoundMargins:
    """Evaluate what the journal does not know, on ``count`` workers; each result is kept at once.

    The same study gives the same, whoever evaluates what.
    """
    evaluate_missing(study.groups(count), journal, workers, watch)
    return FoundMargins(study, journal.results)
