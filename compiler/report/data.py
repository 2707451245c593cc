"""What a report is made of: one frozen record, and its JSON form."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ...boards.machine import CAPACITIES, Machine
from ...boards.quantity import Obtained, Quantity
from ...ir.diagnostics import Diagnostic
from ...ir.events import Recording
from ...ir.graph import Graph
from ...ir.records import Record, frozen_array
from ..comparison import Comparison
from ..passes.quantise import LayerError
from ..profile.cells import Cells
from ..pulses import PulseCheck
from .cosim_data import CosimView, cosim_json
from .profile_data import ProfileView, profile_json
from .tables import population_rows, projection_rows

if TYPE_CHECKING:
    # The mapper is loaded where something is mapped.
    from ..mapping.mapping import EncodingUse
    from ..profile.crossbar import CrossbarProfile
    from ..profile.sfq import SfqProfile

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


def wilson(correct: int, total: int) -> tuple[float, float]:
    r"""Wilson's 95 % interval of the share p, with z = 1.96 and n samples; 0 to 1 for no samples.

    .. math::
        \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n}

    Source: E. B. Wilson, J. American Statistical Association 22 (1927) 209-212.
    """
    if not total:
        return 0.0, 1.0
    n, p, z = total, correct / total, 1.959963984540054
    middle = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


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
        """Wilson's 95 % interval of the share."""
        return wilson(self.correct, self.total)


@dataclass(frozen=True, eq=False)
class LimitUse(Record):
    """What is used of one limit: ``used`` of each core or router in use, and the bound.

    ``name`` is the limit's in `CoreLimits`, or ``routing_entries``; ``title`` what it counts in
    words. ``used`` is of shape (parts,) where the limit is ``at`` a core, and then part p sits in
    core ``number[p]``; else place k is the router ``number[k]``.
    """

    name: str
    title: str
    bound: Quantity
    at: Literal["core", "router"]
    used: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "used", frozen_array(self.used, np.int64))
        object.__setattr__(self, "number", frozen_array(self.number, np.int64))
        if self.used.shape != self.number.shape or not self.used.size:
            raise ValueError(f"use of shape {self.used.shape} by {self.number.shape} places")

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """used / bound of each; of a bound of 0 it is 0 where nothing is used, else infinite."""
        if self.bound.value:
            return np.asarray(self.used / self.bound.value)
        return np.where(self.used > 0, np.inf, 0.0)

    @property
    def most(self) -> int:
        """The largest use."""
        return int(self.used.max())

    @property
    def share(self) -> float:
        """The largest use over the bound."""
        return float(self.shares.max())

    @property
    def worst(self) -> int:
        """The core or router of the largest use, the first if there are several."""
        return int(self.number[self.used.argmax()])

    def __str__(self) -> str:
        return (
            f"{self.at} {self.worst} {'holds' if self.at == 'core' else 'has'} {self.most:,} of "
            f"{self.bound.value:,.0f}"
        )


@dataclass(frozen=True, eq=False)
class MappingView(Record):
    """A network on the cores of a machine, as counted by the check of the mapping.

    Part p sits in core ``seat[p]`` and holds ``held_neurons[k]`` neurons of the population
    ``populations[held[k]]`` for k from ``held_ptr[p]`` to ``held_ptr[p + 1]``. ``limits`` stand in
    the order of their shares, the nearest to its bound first. ``link_load`` are packets on
    ``link_start -> link_end``; the switches of a tree are numbered behind its routers.
    ``table_entries`` (routers,) is empty without tables. ``counted`` says whether rates come from
    data; else every source spikes once. ``encodings`` are those of the chip's formats in use.
    Raises ValueError where arrays do not belong together.
    """

    machine: Machine
    populations: tuple[str, ...]
    seat: npt.NDArray[np.int64]
    held_ptr: npt.NDArray[np.int64]
    held: npt.NDArray[np.int64]
    held_neurons: npt.NDArray[np.int64]
    limits: tuple[LimitUse, ...]
    link_start: npt.NDArray[np.int64]
    link_end: npt.NDArray[np.int64]
    link_load: npt.NDArray[np.int64]
    table_entries: npt.NDArray[np.int64]
    packets: int = 0
    hops: float = 0.0
    spikes: int = 0
    strays: int = 0
    counted: bool = False
    encodings: tuple[EncodingUse, ...] = ()

    def __post_init__(self) -> None:
        for name, value in vars(self).copy().items():
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, frozen_array(value, np.int64))
        if self.held_ptr.size != self.seat.size + 1 or self.held.shape != self.held_neurons.shape:
            raise ValueError("populations are not held by as many cores as there are")
        if not self.link_start.shape == self.link_end.shape == self.link_load.shape:
            raise ValueError("links without a load")

    @property
    def parts(self) -> int:
        """How many cores are used."""
        return self.seat.size

    @property
    def routers(self) -> npt.NDArray[np.int64]:
        """The router of each part, shape (parts,)."""
        return np.asarray(self.seat // self.machine.cores_per_router)

    @property
    def neurons(self) -> int:
        """Neurons in all cores, and lines of inputs where these take places."""
        return int(self.held_neurons.sum())

    @property
    def chips_used(self) -> int:
        """Chips with a core in use."""
        return len(self.machine.chips_of(self.seat.tolist()))

    @property
    def chips(self) -> int:
        """Chips of the machine."""
        return self.machine.chip_count

    @property
    def packets_per_spike(self) -> float:
        """Packets over spikes; 0 where nothing spikes."""
        return self.packets / self.spikes if self.spikes else 0.0

    @property
    def hops_per_spike(self) -> float:
        """Hops over spikes; 0 where nothing spikes."""
        return self.hops / self.spikes if self.spikes else 0.0

    @property
    def dominant(self) -> npt.NDArray[np.int64]:
        """The population with the most neurons in each core (parts,), the first of equals."""
        order = np.lexsort((-self.held_neurons, np.repeat(np.arange(self.parts), self._kinds)))
        return np.asarray(self.held[order][self.held_ptr[:-1]])

    @property
    def _kinds(self) -> npt.NDArray[np.int64]:
        return np.diff(self.held_ptr)

    @property
    def capacities(self) -> tuple[LimitUse, ...]:
        """The limits of a core that fill up, in the order of their shares."""
        return tuple(u for u in self.limits if u.at == "core" and u.name in CAPACITIES)

    @property
    def fullest(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Share and place in ``capacities`` of the one nearest to its bound, both (parts,)."""
        if not self.capacities:
            return np.zeros(self.parts), np.full(self.parts, -1)
        shares = np.stack([use.shares for use in self.capacities])
        which = shares.argmax(axis=0)
        return shares.max(axis=0), np.asarray(which)

    @property
    def binding(self) -> LimitUse | None:
        """The limit nearest to its bound of those that fill up, or of all if none does."""
        filling = [use for use in self.limits if use.name in CAPACITIES]
        return next(iter(filling or self.limits), None)

    @property
    def sentence(self) -> str:
        """What keeps the network from fewer cores, in one sentence."""
        use = self.binding
        if use is None:
            return "The machine states no limit."
        share = f"{use} ({use.share:.1%})".replace("%", " %")
        if use.share < 0.5:
            return f"No limit is near: of {use.title}, {share}."
        return f"{use.title[0].upper()}{use.title[1:]} bind: {share}."

    @property
    def cores_of(self) -> tuple[tuple[str, int, int, int], ...]:
        """Of each population its name, its neurons, its cores, and those that it has alone."""
        count = len(self.populations)
        neurons = np.bincount(self.held, self.held_neurons, count).astype(np.int64)
        cores = np.bincount(self.held, minlength=count)
        alone = np.bincount(self.held[np.repeat(self._kinds, self._kinds) == 1], minlength=count)
        rows = zip(self.populations, neurons.tolist(), cores.tolist(), alone.tolist(), strict=True)
        return tuple(rows)

    def holds(self, part: int) -> dict[str, int]:
        """Neurons of each population in a core."""
        span = slice(int(self.held_ptr[part]), int(self.held_ptr[part + 1]))
        pairs = zip(self.held[span].tolist(), self.held_neurons[span].tolist(), strict=True)
        return {self.populations[node]: neurons for node, neurons in pairs}


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
    ladder, and each is compared with the one before it; ``pulses`` are those of rungs that are
    circuits, beside their event-level models. ``sample`` is the one that is drawn.
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
    pulses: tuple[tuple[str, PulseCheck], ...] = ()
    layers: tuple[LayerError, ...] = ()
    resources: tuple[Resource, ...] = ()
    choice: Choice | None = None
    mapping: MappingView | None = None
    timing: Timing | None = None
    latency: Latency | None = None
    profile: ProfileView | None = None
    crossbar: CrossbarProfile | None = None
    sfq: SfqProfile | None = None
    cells: Cells | None = None
    cosim: CosimView | None = None
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
            "pulses": {rung: check.as_dict() for rung, check in self.pulses},
            "layers": [
                asdict(layer) | {"rate_error": rates.get(layer.population)} for layer in self.layers
            ],
            "resources": [_resource(r) for r in self.resources],
            "choice": None if self.choice is None else asdict(self.choice),
            "mapping": None if self.mapping is None else _mapping(self.mapping),
            "timing": None if self.timing is None else _timing(self.timing),
            "latency": None if self.latency is None else _latency(self.latency, self),
            "profile": None if self.profile is None else profile_json(self.profile),
            "crossbar": None if self.crossbar is None else _crossbar(self.crossbar),
            "sfq": None if self.sfq is None else _sfq(self.sfq),
            "cells": None if self.cells is None else self.cells.as_dict(),
            "cosim": None if self.cosim is None else cosim_json(self.cosim),
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


def _crossbar(profile: CrossbarProfile) -> dict[str, Any]:
    from ..profile.crossbar import crossbar_facts

    return crossbar_facts(profile)


def _sfq(profile: SfqProfile) -> dict[str, Any]:
    from ..profile.sfq import sfq_facts

    return sfq_facts(profile)


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
        "period": recording.period,
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


def _mapping(view: MappingView) -> dict[str, Any]:
    machine = view.machine
    share, which = view.fullest
    capacities = view.capacities
    binding = view.binding
    kinds = [use.name for use in capacities]
    placement = {
        "core": view.seat.tolist(),
        "router": view.routers.tolist(),
        "populations": [view.holds(part) for part in range(view.parts)],
        "nearest": [kinds[k] if k >= 0 else None for k in which.tolist()],
        "share": [
            round(near, 6) if kinds and math.isfinite(near) else None for near in share.tolist()
        ],
        "used": {use.name: use.used.tolist() for use in view.limits if use.at == "core"},
    }
    filled = np.flatnonzero(view.table_entries)
    encodings = [asdict(use) for use in view.encodings]
    return ({"encodings": encodings} if encodings else {}) | {
        "machine": {
            "name": machine.name,
            "title": machine.title,
            "topology": machine.topology,
            "chips": list(machine.chips),
            "routers": list(machine.routers),
            "cores_per_router": machine.cores_per_router,
            "absent": sorted(list(place) for place in machine.absent),
            "source": machine.source,
            "obtained": machine.obtained,
        },
        "chips": {"used": view.chips_used, "available": view.chips},
        "cores": {"used": view.parts, "available": machine.cores},
        "neurons": view.neurons,
        "spikes": view.spikes,
        "rates_counted": view.counted,
        "packets": view.packets,
        "hops": view.hops,
        "strays": view.strays,
        "packets_per_spike": view.packets_per_spike,
        "hops_per_spike": view.hops_per_spike,
        "binding": None if binding is None else binding.name,
        "sentence": view.sentence,
        "limits": [
            {
                "name": use.name,
                "title": use.title,
                "bound": asdict(use.bound),
                "at": use.at,
                "number": use.worst,
                "max": use.most,
                "mean": float(use.used.mean()),
                "share": use.share if math.isfinite(use.share) else None,
            }
            for use in view.limits
        ],
        "populations": [
            {"name": name, "neurons": neurons, "cores": cores, "alone": alone}
            for name, neurons, cores, alone in view.cores_of
        ],
        "placement": placement,
        "links": {
            "start": view.link_start.tolist(),
            "end": view.link_end.tolist(),
            "packets": view.link_load.tolist(),
        },
        "tables": {
            "router": filled.tolist(),
            "entries": view.table_entries[filled].tolist(),
        },
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
