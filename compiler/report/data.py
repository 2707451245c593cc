"""What a report is made of: one frozen record, and its JSON form."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt

from ...boards.quantity import Obtained, Quantity
from ...ir.diagnostics import Diagnostic
from ...ir.events import Recording
from ...ir.graph import Graph
from ...ir.records import Record, frozen_array
from ..comparison import Comparison
from ..passes.quantise import LayerError
from .tables import population_rows, projection_rows

SCHEMA = "spikec-report-1"


@dataclass(frozen=True)
class Resource:
    """Something a target has a number of. ``limit`` is ``None`` where there is none.

    ``name`` is what the tool prints (``TRELLIS_COMB``), ``title`` what a person calls it.
    """

    name: str
    used: Quantity
    limit: Quantity | None = None
    title: str = ""

    @property
    def share(self) -> float | None:
        """used / limit; ``None`` without a limit."""
        if self.limit is None:
            return None
        if self.limit.value == 0:
            return 0.0 if self.used.value == 0 else math.inf
        return self.used.value / self.limit.value


@dataclass(frozen=True)
class Candidate:
    """A core that the network could have, by forecast; ``taken`` is the one that it has."""

    title: str
    cycles: float
    cells: int
    blocks: int
    taken: bool


@dataclass(frozen=True)
class Choice:
    """What a core was chosen for, how many fit, and those of them that no other beats.

    ``most`` cycles that a step may take, if that was said.
    """

    rule: str
    fit: int
    candidates: tuple[Candidate, ...]
    most: float | None = None


@dataclass(frozen=True)
class Timing:
    """The clock a design runs at and, when known, the highest it reaches; both in Hz."""

    clock: Quantity
    fmax: Quantity | None = None

    @property
    def margin(self) -> float | None:
        """fmax / clock - 1; negative when timing is not met."""
        return None if self.fmax is None else self.fmax.value / self.clock.value - 1.0


@dataclass(frozen=True, eq=False)
class Latency(Record):
    """Clock cycles, shape (samples, steps, phases), and how they were obtained."""

    cycles: npt.NDArray[np.int64]
    source: str
    obtained: Obtained
    phases: tuple[str, ...] = ("accumulate", "commit", "propagate")

    def __post_init__(self) -> None:
        object.__setattr__(self, "cycles", frozen_array(self.cycles, np.int64))
        if self.cycles.ndim != 3 or self.cycles.shape[2] != len(self.phases):
            raise ValueError(
                f"cycles have shape {self.cycles.shape}, not (samples, steps, {len(self.phases)})"
            )
        if not self.cycles.size:
            raise ValueError("cycles of no step at all")

    @property
    def per_sample(self) -> npt.NDArray[np.int64]:
        """Cycles of each sample, shape (samples,)."""
        return np.asarray(self.cycles.sum(axis=(1, 2)))

    @property
    def per_step(self) -> npt.NDArray[np.int64]:
        """Cycles of each step of each sample, shape (samples, steps)."""
        return np.asarray(self.cycles.sum(axis=2))


@dataclass(frozen=True)
class Accuracy:
    """``correct`` of ``total`` samples on one rung; ``how`` says on which data."""

    rung: str
    correct: int
    total: int
    how: str = ""

    @property
    def share(self) -> float:
        """correct / total; not a number for no samples."""
        return self.correct / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        r"""Wilson's 95 % interval of the share p, with z = 1.96 and n samples.

        .. math::
            \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n}

        Source: E. B. Wilson, J. American Statistical Association 22 (1927) 209-212.
        """
        if not self.total:
            return 0.0, 1.0
        n, p, z = self.total, self.share, 1.959963984540054
        middle = p + z * z / (2 * n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        scale = 1 + z * z / n
        return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


@dataclass(frozen=True)
class Provenance:
    """How one figure of the report was obtained, and the command that prints it again."""

    figure: str
    how: str
    command: str | None = None


@dataclass(frozen=True, eq=False)
class ReportData(Record):
    """All that a report shows. Only ``name`` and ``verdict`` are needed.

    ``passed`` colours the verdict; ``None`` is neither. ``recordings`` stand in the order of the
    ladder, and each is compared with the one before it. ``sample`` is the one that is drawn.
    ``missing`` says what was left out and why, beside what a reader can see is absent.
    """

    name: str
    verdict: str
    passed: bool | None = None
    source: str | None = None
    dialect: str | None = None
    dt: float | None = None
    target: str | None = None
    graph: Graph | None = None
    recordings: tuple[Recording, ...] = ()
    sample: int = 0
    comparisons: tuple[Comparison, ...] = ()
    layers: tuple[LayerError, ...] = ()
    resources: tuple[Resource, ...] = ()
    choice: Choice | None = None
    timing: Timing | None = None
    latency: Latency | None = None
    accuracies: tuple[Accuracy, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    tools: tuple[tuple[str, str], ...] = ()
    provenance: tuple[Provenance, ...] = ()
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        samples = [r.samples for r in self.recordings]
        if samples and not 0 <= self.sample < max(samples):
            raise ValueError(f"sample {self.sample} of {max(samples)} recorded ones")
        if self.graph is not None:
            if self.dialect is None:
                object.__setattr__(self, "dialect", self.graph.dialect)
            if self.dt is None:
                object.__setattr__(self, "dt", self.graph.dt)

    @property
    def layer_rate_errors(self) -> dict[str, float | None]:
        """Rate error of each population against the golden rung, where it was compared."""
        for comparison in self.comparisons:
            if comparison.rungs[0] == "golden":
                return {p.population: p.rate_error for p in comparison.populations if not p.graded}
        return {}

    def as_dict(self) -> dict[str, Any]:
        """Everything but the spikes themselves as JSON-ready data (``report.schema.json``)."""
        rates = self.layer_rate_errors
        return {
            "schema": SCHEMA,
            "name": self.name,
            "verdict": self.verdict,
            "passed": self.passed,
            "source": portable(self.source),
            "dialect": self.dialect,
            "dt": self.dt,
            "target": self.target,
            "graph": None if self.graph is None else _graph(self.graph),
            "recordings": [_recording(r) for r in self.recordings],
            "comparisons": [c.as_dict() for c in self.comparisons],
            "layers": [
                asdict(layer) | {"rate_error": rates.get(layer.population)} for layer in self.layers
            ],
            "resources": [_resource(r) for r in self.resources],
            "choice": None if self.choice is None else asdict(self.choice),
            "timing": None if self.timing is None else _timing(self.timing),
            "latency": None if self.latency is None else _latency(self.latency, self),
            "accuracies": [asdict(a) | {"interval_95": list(a.interval)} for a in self.accuracies],
            "diagnostics": [
                d.as_dict() | {"file": portable(d.where.file)} for d in self.diagnostics
            ],
            "tools": dict(self.tools),
            "provenance": [asdict(p) for p in self.provenance],
            "missing": list(self.missing),
        }


def portable(path: str | None) -> str | None:
    """A relative path as it is, of an absolute one its last part: reports travel."""
    if path is None:
        return None
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(path).is_absolute():
            return kind(path).name
    return path


def microseconds(cycles: float, clock: Quantity) -> float:
    """cycles / f, in microseconds."""
    return cycles / clock.value * 1e6


def _graph(graph: Graph) -> dict[str, Any]:
    populations, projections = population_rows(graph), projection_rows(graph)
    return {
        "name": graph.name,
        "inputs": [{"name": i.name, "shape": list(i.shape)} for i in graph.inputs],
        "populations": [asdict(p) | {"shape": list(p.shape)} for p in populations],
        "projections": [asdict(p) for p in projections],
        "neurons": graph.neurons,
        "synapses": sum(p.synapses for p in projections),
        "bytes": sum(p.bytes for p in projections),
    }


def _recording(recording: Recording) -> dict[str, Any]:
    return {
        "rung": recording.rung,
        "samples": recording.samples,
        "populations": {
            name: {
                "neurons": events.size,
                "steps": events.steps,
                "events": int(events.value.size),
                "sum": events.value.sum().item(),
            }
            for name, events in recording.spikes.items()
        },
    }


def _resource(resource: Resource) -> dict[str, Any]:
    share = resource.share
    return {
        "name": resource.name,
        "title": resource.title,
        "used": asdict(resource.used),
        "limit": None if resource.limit is None else asdict(resource.limit),
        "share": None if share is None or not math.isfinite(share) else share,
    }


def _timing(timing: Timing) -> dict[str, Any]:
    return {
        "clock": asdict(timing.clock),
        "fmax": None if timing.fmax is None else asdict(timing.fmax),
        "margin": timing.margin,
    }


def spread(values: npt.ArrayLike) -> dict[str, float]:
    """Least, median, mean and largest of some numbers."""
    numbers = np.asarray(values, np.float64)
    return {
        "min": float(numbers.min()),
        "median": float(np.median(numbers)),
        "mean": float(numbers.mean()),
        "max": float(numbers.max()),
    }


def _latency(latency: Latency, data: ReportData) -> dict[str, Any]:
    shown = min(data.sample, len(latency.cycles) - 1)
    at = {}
    if data.timing is not None:
        clocks = {"clock": data.timing.clock, "fmax": data.timing.fmax}
        at = {
            name: spread(latency.per_sample / clock.value * 1e6)
            for name, clock in clocks.items()
            if clock is not None
        }
    return {
        "phases": list(latency.phases),
        "source": latency.source,
        "obtained": latency.obtained,
        "samples": latency.cycles.shape[0],
        "steps": latency.cycles.shape[1],
        "cycles_per_sample": spread(latency.per_sample),
        "cycles_per_step": spread(latency.per_step),
        "microseconds_per_sample": at,
        "cycles_by_phase": {
            phase: int(latency.cycles[:, :, k].sum()) for k, phase in enumerate(latency.phases)
        },
        "shown_sample": shown,
        "shown_cycles": latency.cycles[shown].tolist(),
    }
