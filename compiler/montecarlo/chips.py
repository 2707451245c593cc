r"""One chip under some conditions, beside the integer rung.

A point is a chip (a seed) with its conditions, or the integer rung itself. Of both it says the
share of samples that are right, where the stimulus has labels, and of a chip the share of spikes
that differ from the integer rung's,

.. math:: d = |\{k : z_k \ne z'_k\}| \,/\, |\{k : z_k \ne 0 \text{ or } z'_k \ne 0\}|,

with k over samples, steps and neurons of all populations that spike: 0 where all spikes are the
same, 1 where none is. With a gap of rates a chip has that instead, after how many orders, and
whether those decide (1) or its rates (0).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from threadpoolctl import threadpool_limits

from ...ir.events import Recording
from ..artifact import Artifact
from ..backend import Gap, Tolerance, find_tolerant
from ..compare import accuracy
from ..compile import QUANTISED
from ..explore.point import Evaluation, Point, Result
from ..gap import gap_request
from ..integer.population import spiking_populations
from ..ladder import INTEGER, is_batched, quantised, run_chips, run_rung
from ..spike_distance import differing
from ..stimulus import LabelledStimulus, stimulus_bytes, stimulus_of

CHIP: Final = "chip"
RUNG: Final = "rung"
# The integer rung is a point, too: what it gave is in the journal with the others.
REFERENCE: Final = Point(((RUNG, INTEGER),))
# Chips that a backend has at once: enough for its kernels, and not much is lost by a kill.
_TOGETHER: Final = 32


@dataclass(frozen=True)
class ChipJob:
    """An artefact, the rung that chips of it run on, and a stimulus as ``.npz``.

    With a ``gap`` the stimulus has the inputs of a step between which it is.
    """

    artifact: Artifact
    rung: str
    stimulus: bytes
    gap: Gap | None = None

    @staticmethod
    def of(
        artifact: Artifact, rung: str, labelled: LabelledStimulus, gap: Gap | None = None
    ) -> ChipJob:
        """The job of an artefact and a stimulus."""
        return ChipJob(artifact, rung, stimulus_bytes(labelled), gap)

    @property
    def digest(self) -> str:
        """SHA-256 of artefact, rung, gap and stimulus."""
        gap = "" if self.gap is None else f" {self.gap}"
        said = f"{self.artifact.digest} {self.rung}{gap}\n".encode()
        return hashlib.sha256(said + self.stimulus).hexdigest()

    def evaluator(self) -> Evaluation:
        """What evaluates chips of this job."""
        return ChipEvaluator(self) if self.gap is None else GapEvaluator(self, self.gap)


class ChipEvaluator(Evaluation):
    """Evaluates chips of one job; those under the same conditions share what can be shared."""

    def __init__(self, job: ChipJob) -> None:
        super().__init__()
        self._job = job
        self.together = _TOGETHER if is_batched(job.artifact) else 1
        graph = quantised(job.artifact)
        self._labelled = stimulus_of(job.stimulus, graph)
        self._source = graph.outputs[0].source if graph.outputs else None
        self._spiking = spiking_populations(graph)
        outputs = [o.source for o in graph.outputs]
        self._recorded = list(dict.fromkeys([*self._spiking, *outputs]))
        # Stochastic rounding draws from the seed, too: then a chip is compared with the integers of
        # its own. A name that has the word costs time only.
        self._draws = b"stochastic" in job.artifact.files[QUANTISED]
        self._integer: tuple[int, Recording] | None = None
        self._memory: dict[Any, Any] = {}

    def evaluate(self, point: Point) -> Result:
        """Accuracy and, of a chip, the spikes that differ."""
        (result,) = self._evaluated((point,))
        return result

    def evaluate_together(self, points: Sequence[Point]) -> Sequence[Result]:
        """The same of some chips, those under the same conditions at once."""
        if self.together == 1:
            return super().evaluate_together(points)
        return self._evaluated(points)

    def _evaluated(self, points: Sequence[Point]) -> list[Result]:
        found: list[Result] = []
        # More threads round sums otherwise on a computer of other cores, and workers beside each
        # other would wait for each other's.
        with threadpool_limits(1):
            for conditions, some in itertools.groupby(points, _conditions):
                if conditions is None:
                    accurate = self._accuracy(self._reference(1))
                    found += [Result(point, (("accuracy", accurate),)) for point in some]
                else:
                    found += self._chips(conditions, list(some))
        return found

    def _chips(self, conditions: tuple[str, ...], points: Sequence[Point]) -> list[Result]:
        seeds = [int(point.as_dict()[CHIP]) for point in points]
        outcomes = run_chips(
            self._job.artifact,
            self._job.rung,
            self._labelled.stimulus,
            seeds,
            populations=self._recorded,
            conditions=conditions,
            memory=self._memory,
        )
        found = []
        for point, seed, outcome in zip(points, seeds, outcomes, strict=True):
            wanted = self._reference(seed if self._draws else 1)
            share = differing_share(outcome.recording, wanted, self._spiking)
            values = (("accuracy", self._accuracy(outcome.recording)), ("differ", share))
            found.append(Result(point, values, told=outcome.told))
        return found

    def _reference(self, seed: int) -> Recording:
        if self._integer is None or self._integer[0] != seed:
            outcome = run_rung(
                self._job.artifact,
                INTEGER,
                self._labelled.stimulus,
                populations=self._recorded,
                seed=seed,
            )
            self._integer = seed, outcome.recording
        return self._integer[1]

    def _accuracy(self, recording: Recording) -> float | None:
        if self._labelled.labels is None or self._source is None:
            return None
        right, total = accuracy(recording, self._source, self._labelled.labels)
        return right / max(total, 1)


class GapEvaluator(Evaluation):
    """Evaluates the gap of chips; those under the same conditions at once."""

    together = _TOGETHER

    def __init__(self, job: ChipJob, gap: Gap) -> None:
        super().__init__()
        self._job, self._gap = job, gap
        self._inputs = stimulus_of(job.stimulus, quantised(job.artifact)).stimulus
        self._tolerances: dict[tuple[str, ...], Tolerance] = {}

    def evaluate(self, point: Point) -> Result:
        """The gap of one chip."""
        (result,) = self.evaluate_together((point,))
        return result

    def evaluate_together(self, points: Sequence[Point]) -> Sequence[Result]:
        """The gaps of some chips."""
        found: list[Result] = []
        with threadpool_limits(1):
            for conditions, some in itertools.groupby(points, _conditions):
                chips = list(some)
                numbers = [int(point.as_dict()[CHIP]) for point in chips]
                each = self._tolerance(conditions or ()).chips(numbers)
                for point, one in zip(chips, each, strict=True):
                    values = (("gap", one.gap), ("orders", one.orders), ("sure", float(one.sure)))
                    found.append(Result(point, values))
        return found

    def _tolerance(self, conditions: tuple[str, ...]) -> Tolerance:
        if conditions not in self._tolerances:
            artifact = self._job.artifact
            self._tolerances[conditions] = find_tolerant(artifact).tolerance(
                gap_request(artifact, self._inputs, self._gap, conditions)
            )
        return self._tolerances[conditions]


def _conditions(point: Point) -> tuple[str, ...] | None:
    """The conditions of a chip; ``None`` of the integer rung."""
    if point == REFERENCE:
        return None
    return tuple(f"{name}={value}" for name, value in point.values if name != CHIP)


def differing_share(a: Recording, b: Recording, populations: list[str]) -> float:
    """d, over all these populations; 0 where nobody spikes."""
    differ = spiking = 0
    for name in populations:
        one, two = a.spikes[name], b.spikes[name]
        differ += differing(one, two, one.samples)[0].size
        places = [
            (e.sample.astype(np.int64) * e.steps + e.step) * e.size + e.index for e in (one, two)
        ]
        spiking += np.union1d(*places).size
    return differ / max(spiking, 1)
