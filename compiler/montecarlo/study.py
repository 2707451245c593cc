r"""Chips by conditions, and their statistics.

Of each combination of conditions, over its N chips, the mean m, the standard deviation
:math:`\sqrt{\sum_i (x_i - m)^2 / (N - 1)}` of a sample, the least and the most. What is known is in
the journal and not evaluated again: more chips or conditions may be asked for later.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...ir.diagnostics import Diagnostic
from ..backend import Condition
from ..explore.journal import Journal
from ..explore.point import Point, Result, version
from ..explore.workers import Watch, Workers, evaluate_missing
from ..report.data import wilson
from .chips import CHIP, REFERENCE, ChipJob

Combination = tuple[Condition, ...]
FORMAT = 1
MEASURES = ("accuracy", "differ")
GAP = "gap"
# A worker of a cluster answers a whole group at once, and a kill costs what it had not answered.
_MOST_CHIPS = 16


@dataclass(frozen=True)
class Study:
    """Which chips are evaluated: the seeds of ``chips`` under each of the ``combinations``.

    A combination has all conditions that were said; ``varied`` are the names of those that differ.
    """

    name: str
    target: str
    job: ChipJob
    varied: tuple[str, ...]
    combinations: tuple[Combination, ...]
    chips: range

    def header(self) -> dict[str, Any]:
        """What results depend on, apart from what each point says itself."""
        return {"kind": "spikec montecarlo", "version": version(), "job": self.job.digest}

    def point(self, combination: Combination, chip: int) -> Point:
        """One chip under these conditions, whatever order they were said in."""
        said = sorted((condition.name, condition.text) for condition in combination)
        return Point((*said, (CHIP, chip)))

    @property
    def measures(self) -> tuple[str, ...]:
        """What is measured of each chip."""
        return MEASURES if self.job.gap is None else (GAP, "orders")

    @property
    def size(self) -> int:
        """Points: chips by combinations, and the integer rung unless there is a gap."""
        return len(self.combinations) * len(self.chips) + (self.job.gap is None)

    def groups(self, workers: int) -> list[tuple[Point, ...]]:
        """All points, those that share a mapping together, as long as no worker is idle for it.

        Evaluators keep mappings, too: a combination in pieces is mapped once a worker.
        """
        pieces = 1 if len(self.combinations) >= 2 * workers else workers
        size = -(-len(self.chips) // pieces)
        if workers > 1:
            size = min(size, _MOST_CHIPS)
        found: list[tuple[Point, ...]] = [(REFERENCE,)] if self.job.gap is None else []
        for combination in self.combinations:
            for low in range(0, len(self.chips), size):
                chips = self.chips[low : low + size]
                found.append(tuple(self.point(combination, chip) for chip in chips))
        return found


@dataclass(frozen=True)
class Statistics:
    """Of some chips: their ``count``, mean, standard deviation (``None`` of one), least, most."""

    count: int
    mean: float
    deviation: float | None
    least: float
    most: float

    @staticmethod
    def of(values: Sequence[float]) -> Statistics | None:
        """The statistics of these values; ``None`` where there are none."""
        if not values:
            return None
        # Summed exactly, so that the mean of equal numbers is that number.
        mean = math.fsum(values) / len(values)
        mean = min(max(mean, min(values)), max(values))
        squares = math.fsum((v - mean) ** 2 for v in values)
        deviation = math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else None
        return Statistics(len(values), mean, deviation, min(values), max(values))

    def as_dict(self) -> dict[str, float | None]:
        """Name -> value."""
        return {
            "chips": self.count,
            "mean": self.mean,
            "deviation": self.deviation,
            "least": self.least,
            "most": self.most,
        }


@dataclass(frozen=True)
class Row:
    """A combination and what is known of its chips, by seed; ``refused`` are those of them.

    ``least`` is the gap that chips are to have, ``None`` where all spikes are to be the same.
    """

    combination: Combination
    results: Mapping[int, Result]
    least: float | None = None

    def values(self, measure: str) -> dict[int, float]:
        """A measure by chip."""
        found = {chip: dict(r.values).get(measure) for chip, r in self.results.items()}
        return {chip: value for chip, value in found.items() if value is not None}

    def statistics(self, measure: str) -> Statistics | None:
        """Of a measure over chips."""
        return Statistics.of(list(self.values(measure).values()))

    @property
    def working(self) -> int:
        """Chips all of whose spikes are the integer rung's, or that have the gap."""
        if self.least is None:
            return sum(value == 0 for value in self.values("differ").values())
        return sum(value >= self.least for value in self.values(GAP).values())

    @property
    def judged(self) -> int:
        """Chips there are: over these the ones that work are the yield."""
        return len(self.values("differ" if self.least is None else GAP))

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the yield."""
        return wilson(self.working, self.judged)

    @property
    def unsure(self) -> int:
        """Chips that have all orders, which do not decide whether they have the gap."""
        return sum(not sure for sure in self.values("sure").values())

    @property
    def told(self) -> tuple[Diagnostic, ...]:
        """What there is to say of these chips, once each."""
        return tuple(dict.fromkeys(one for r in self.results.values() for one in r.told))

    @property
    def refused(self) -> tuple[Result, ...]:
        """Chips that there are not."""
        return tuple(r for r in self.results.values() if r.refused)


@dataclass(frozen=True)
class Found:
    """What a study found so far; ``integer`` is the accuracy of the integer rung."""

    study: Study
    integer: float | None
    rows: tuple[Row, ...]

    @property
    def complete(self) -> bool:
        """Whether every chip was evaluated."""
        return all(len(row.results) == len(self.study.chips) for row in self.rows)

    @property
    def measure(self) -> str:
        """Accuracy, or where there are no labels the share of spikes that differ; or the gap."""
        return self.study.measures[self.study.job.gap is None and self.integer is None]

    def as_dict(self) -> dict[str, Any]:
        """The contents of ``results.json``."""
        study = self.study
        return {
            "format": FORMAT,
            "name": study.name,
            "target": study.target,
            "rung": study.job.rung,
            **study.header(),
            "varied": list(study.varied),
            "first": study.chips.start,
            "chips": len(study.chips),
            "complete": self.complete,
            **self._criterion(),
            "combinations": [self._row(row) for row in self.rows],
        }

    def _criterion(self) -> dict[str, Any]:
        gap = self.study.job.gap
        return {"integer": {"accuracy": self.integer}} if gap is None else {"gap": asdict(gap)}

    def _row(self, row: Row) -> dict[str, Any]:
        found: dict[str, Any] = {"conditions": {c.name: c.text for c in row.combination}}
        for measure in self.study.measures:
            statistics = row.statistics(measure)
            found[measure] = None if statistics is None else statistics.as_dict()
        if row.judged:
            found["yield"] = {"working": row.working, "interval": list(row.interval)}
            if row.least is not None:
                found["yield"]["unsure"] = row.unsure
        if row.told:
            found["told"] = [one.as_dict() for one in row.told]
        if row.refused:
            first = row.refused[0]
            found["refused"] = {
                "chips": len(row.refused),
                "code": first.code,
                "first": first.message,
            }
        return found

    def json(self) -> bytes:
        """``results.json``: the same study gives the same bytes."""
        return (json.dumps(self.as_dict(), indent=1, sort_keys=True) + "\n").encode()

    def csv(self) -> bytes:
        """``results.csv``: a line for each chip under each combination."""
        names = [c.name for c in self.study.combinations[0]]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        measures = self.study.measures
        writer.writerow([*names, CHIP, *measures, "refused"])
        for row in self.rows:
            conditions = [c.text for c in row.combination]
            for chip, result in row.results.items():
                values = dict(result.values)
                cells = ["" if values.get(m) is None else values[m] for m in measures]
                writer.writerow([*conditions, chip, *cells, result.code])
        return text.getvalue().encode()


def run_study(
    study: Study, journal: Journal, workers: Workers, count: int = 1, watch: Watch | None = None
) -> Found:
    """Evaluate what the journal does not know, on ``count`` workers; each result is kept at once.

    The same study gives the same, whoever evaluates what.
    """
    evaluate_missing(study.groups(count), journal, workers, watch)
    return found_in(study, journal.results)


def found_in(study: Study, results: Mapping[str, Result]) -> Found:
    """What a journal's results say of a study, as far as they go."""
    least = None if study.job.gap is None else study.job.gap.least
    reference = results.get(REFERENCE.digest)
    integer = None if reference is None else dict(reference.values).get("accuracy")
    rows = []
    for combination in study.combinations:
        points = {chip: study.point(combination, chip).digest for chip in study.chips}
        known = {chip: results[digest] for chip, digest in points.items() if digest in results}
        rows.append(Row(combination, known, least))
    return Found(study, integer, tuple(rows))
