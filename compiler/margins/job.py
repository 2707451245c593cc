"""One margin, or one corner, of a compiled circuit beside the integer rung.

The point of a margin names a group of elements; its result is how far they may be off together,
down and up. The point of a corner has factors of two groups, or of one and a temperature; its
result is the share of samples whose spikes are all the integer rung's. With a gap it is the gap of
rates, and what a margin is found of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from threadpoolctl import threadpool_limits

from ...ir.diagnostics import Diagnostic, Location
from ..artifact import Artifact
from ..backend import Gap, Margin, Tolerance, ToleranceRequest, find_tolerant
from ..explore.point import Evaluation, Point, Result
from ..gap import gap_request
from ..ladder import INTEGER, quantised, run_rung
from ..stimulus import LabelledStimulus, stimulus_bytes, stimulus_of

MARGIN: Final = "margin"
SHARE: Final = "share"
GAP: Final = "gap"
LOW, HIGH = "low", "high"
_OPEN: Final = "open_"
_FAULT: Final = "N1493"
_RATES: Final = "N1496"
# Corners that are simulated at once.
CORNERS_TOGETHER: Final = 32
# With a gap each is many runs.
_GAPS_TOGETHER: Final = 8


@dataclass(frozen=True)
class MarginJob:
    """An artefact, a stimulus as ``.npz``, what is off besides, and how far and fine is sought."""

    artifact: Artifact
    stimulus: bytes
    conditions: tuple[str, ...]
    seed: int
    reach: float
    resolution: float
    gap: Gap | None = None

    @staticmethod
    def of(
        artifact: Artifact,
        labelled: LabelledStimulus,
        conditions: Sequence[str] = (),
        *,
        seed: int = 1,
        reach: float,
        resolution: float,
        gap: Gap | None = None,
    ) -> MarginJob:
        """The job of an artefact and a stimulus, with a gap of the inputs between which it is."""
        given, said = stimulus_bytes(labelled), tuple(sorted(conditions))
        return MarginJob(artifact, given, said, seed, reach, resolution, gap)

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        words = (*self.conditions, self.seed, self.reach, self.resolution)
        words += () if self.gap is None else (self.gap,)
        said = f"{self.artifact.digest} {' '.join(map(str, words))}\n".encode()
        return hashlib.sha256(said + self.stimulus).hexdigest()

    @property
    def measure(self) -> str:
        """What is found at corners."""
        return SHARE if self.gap is None else GAP

    def evaluator(self) -> MarginEvaluator:
        """What evaluates margins and corners of this job."""
        return MarginEvaluator(self)


class MarginEvaluator(Evaluation):
    """Evaluates margins and corners of one job, each kind in batches."""

    together = CORNERS_TOGETHER

    def __init__(self, job: MarginJob) -> None:
        super().__init__()
        self._job = job
        if job.gap is not None:
            self.together = _GAPS_TOGETHER

    @cached_property
    def _tolerance(self) -> Tolerance:
        job = self._job
        graph = quantised(job.artifact)
        stimulus = stimulus_of(job.stimulus, graph).stimulus
        backend = find_tolerant(job.artifact)
        if job.gap is not None:
            return backend.tolerance(
                gap_request(job.artifact, stimulus, job.gap, job.conditions, job.seed)
            )
        names = [p.name for p in graph.populations]
        wanted = run_rung(job.artifact, INTEGER, stimulus, populations=names).recording
        request = ToleranceRequest(job.artifact, stimulus, wanted, job.conditions, job.seed)
        return backend.tolerance(request)

    def evaluate(self, point: Point) -> Result:
        """A margin or a corner."""
        (result,) = self.evaluate_together((point,))
        return result

    def evaluate_together(self, points: Sequence[Point]) -> Sequence[Result]:
        """Margins in one batch, and corners in another."""
        titles = {p: str(p.as_dict()[MARGIN]) for p in points if MARGIN in p.as_dict()}
        corners = {p: _factors(p) for p in points if p not in titles}
        found: dict[Point, Result] = {}
        job = self._job
        with threadpool_limits(1):
            if titles:
                margins = self._tolerance.margins(list(titles.values()), job.reach, job.resolution)
                for point, one in zip(titles, margins, strict=True):
                    code = _FAULT if job.gap is None else _RATES
                    found[point] = _result(point, code, *one)
            if corners:
                shares = self._tolerance.right(list(corners.values()))
                for point, share in zip(corners, shares.tolist(), strict=True):
                    found[point] = Result(point, ((job.measure, share),))
        return [found[point] for point in points]


def _factors(point: Point) -> dict[str, float]:
    return {name: float(value) for name, value in point.values}


def _result(point: Point, code: str, margin: Margin, below: str, above: str) -> Result:
    sides = ((LOW, margin.low, margin.open_low), (HIGH, margin.high, margin.open_high))
    values = [(side, value) for side, value, _ in sides]
    values += [(_OPEN + side, float(is_open)) for side, _, is_open in sides]
    told = [
        Diagnostic(code, said, Location(node=side))
        for side, said in ((LOW, below), (HIGH, above))
        if said
    ]
    return Result(point, tuple(values), told=tuple(told))


def margin_of(result: Result) -> tuple[Margin, str, str]:
    """The margin of its result, and what goes wrong first below and above it."""
    values = {name: value or 0.0 for name, value in result.values}
    margin = Margin(
        values[LOW], values[HIGH], bool(values[_OPEN + LOW]), bool(values[_OPEN + HIGH])
    )
    faults = {one.where.node: one.message for one in result.told}
    return margin, faults.get(LOW, ""), faults.get(HIGH, "")
