r"""One chip under some conditions, beside the integer rung.

A point is a chip (a seed) with its conditions, or the integer rung itself. Of both it says the
share of samples that are right, where the stimulus has labels, and of a chip the share of spikes
that differ from the integer rung's,

.. math:: d = |\{k : z_k \ne z'_k\}| \,/\, |\{k : z_k \ne 0 \text{ or } z'_k \ne 0\}|,

with k over samples, steps and neurons of all populations that spike: 0 where all spikes are the
same, 1 where none is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from threadpoolctl import threadpool_limits

from ...ir.events import Recording
from ..artifact import Artifact
from ..compare import accuracy
from ..compile import QUANTISED
from ..explore.point import Evaluation, Point, Result
from ..integer.population import spiking_populations
from ..ladder import INTEGER, quantised, run_rung
from ..spike_distance import differing
from ..stimulus import LabelledStimulus, stimulus_bytes, stimulus_of

CHIP: Final = "chip"
RUNG: Final = "rung"
# The integer rung is a point, too: what it gave is in the journal with the others.
REFERENCE: Final = Point(((RUNG, INTEGER),))


@dataclass(frozen=True)
class ChipJob:
    """An artefact, the rung that chips of it run on, and a stimulus as ``.npz``."""

    artifact: Artifact
    rung: str
    stimulus: bytes

    @staticmethod
    def of(artifact: Artifact, rung: str, labelled: LabelledStimulus) -> ChipJob:
        """The job of an artefact and a stimulus."""
        return ChipJob(artifact, rung, stimulus_bytes(labelled))

    @property
    def digest(self) -> str:
        """SHA-256 of artefact, rung and stimulus."""
        said = f"{self.artifact.digest} {self.rung}\n".encode()
        return hashlib.sha256(said + self.stimulus).hexdigest()

    def evaluator(self) -> ChipEvaluator:
        """What evaluates chips of this job."""
        return ChipEvaluator(self)


class ChipEvaluator(Evaluation):
    """Evaluates chips of one job; those under the same conditions share their mapping."""

    def __init__(self, job: ChipJob) -> None:
        super().__init__()
        self._job = job
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
        # More threads round sums otherwise on a computer of other cores, and workers beside each
        # other would wait for each other's.
        with threadpool_limits(1):
            return self._evaluate(point)

    def _evaluate(self, point: Point) -> Result:
        if point == REFERENCE:
            return Result(point, (("accuracy", self._accuracy(self._reference(1))),))
        said = point.as_dict()
        seed = int(said.pop(CHIP))
        found = run_rung(
            self._job.artifact,
            self._job.rung,
            self._labelled.stimulus,
            populations=self._recorded,
            seed=seed,
            conditions=tuple(f"{name}={value}" for name, value in said.items()),
            memory=self._memory,
        ).recording
        wanted = self._reference(seed if self._draws else 1)
        share = differing_share(found, wanted, self._spiking)
        return Result(point, (("accuracy", self._accuracy(found)), ("differ", share)))

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
