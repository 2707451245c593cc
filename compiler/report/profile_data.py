"""What a report shows of a profile: plain arrays, and their JSON form."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from ...boards.costs import REST, Pace
from ...boards.machine import Machine
from ...boards.quantity import Quantity
from ...ir.records import Record, frozen_array
from ..profile.ledger import Kind

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# `ProfileView.leader` where a link leads a step, and where nothing does.
LINK: Final = -1
NOBODY: Final = -2
_MOST_ROWS: Final = 60  # cores of the heat map
_MOST_COLUMNS: Final = 240  # steps, or bins of them


@dataclass(frozen=True)
class EnergyLine:
    """A line of the ledger, of all samples: ``amount`` times ``times`` of ``constant``.

    ``what`` says what is counted, ``seconds`` how long a power was taken (``None``: an energy).
    """

    kind: Kind
    what: str
    amount: float
    times: float
    cost: str
    constant: Quantity
    joules: float
    seconds: float | None = None

    @property
    def recalled(self) -> bool:
        """Whether nobody was found who states the constant."""
        return self.constant.obtained == "recalled"


@dataclass(frozen=True)
class Wait:
    """Something that steps wait for, of all samples: ``gain`` seconds less if it took half.

    Those of ``kind`` population and work are spread over cores, whose seconds have theirs, too.
    """

    kind: Literal["core", "link", "way", "barrier", "population", "work"]
    name: str
    seconds: float
    steps: int
    gain: float

    @property
    def spread(self) -> bool:
        """Whether its seconds are in those of cores."""
        return self.kind in ("population", "work")


@dataclass(frozen=True, eq=False)
class Busy(Record):
    """The heat map of the slowest sample: how long cores are busy, a step, in bins of steps.

    Column k is the mean of the steps ``first[k]`` to ``first[k + 1]``, the last not included;
    ``seconds`` (cores, bins) has ``parts`` by their sum, the busiest first. ``others`` cores are
    left out, that are busy for ``other_seconds`` in all and ``other_most`` at most.
    """

    first: Integers
    parts: Integers
    seconds: Floats
    others: int
    other_seconds: float
    other_most: float

    @property
    def width(self) -> int:
        """Steps of a bin; the last may have fewer."""
        return int(self.first[1] - self.first[0])


@dataclass(frozen=True, eq=False)
class ProfileView(Record):
    """What a stimulus takes of a network on a machine; times in seconds, energies in joule.

    ``seconds`` and ``work`` (samples,) are how long each sample takes, and how long without the
    barrier or the rest of its ticks. ``waits`` are what all steps wait for, which adds up to all
    seconds but those that are late. Of the sample ``slowest`` there are ``lead``, ``way``, ``rest``
    and ``leader`` (steps,), a part, `LINK` or `NOBODY`, and ``timeline`` (steps, parts), how long
    each core is busy. Part p sits in core ``seat[p]``; ``core_busy`` (2, parts) are seconds of
    sending and receiving, which go on at once with ``overlap``; ``core_counts`` (names, parts) are
    what ``count_names`` say. Links are those that carried packets. ``late`` steps of all have more
    work than their tick holds, ``overdue`` is the most that one has, in seconds. Raises ValueError
    where arrays do not belong together.
    """

    machine: Machine
    model: str
    model_title: str
    pace: Pace
    overlap: bool
    unknown: tuple[str, ...]
    seconds: Floats
    work: Floats
    waits: tuple[tuple[str, float], ...]
    late: int
    overdue: float
    longest_step: float
    slowest: int
    lead: Floats
    way: Floats
    rest: Floats
    leader: Integers
    timeline: Floats
    seat: Integers
    core_names: tuple[str, ...]
    core_busy: Floats
    count_names: tuple[str, ...]
    core_counts: Integers
    link_start: Integers
    link_end: Integers
    link_load: Integers
    ledger: tuple[EnergyLine, ...]
    causes: tuple[Wait, ...]
    tick: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).copy().items():
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, frozen_array(value, value.dtype.type))
        if self.timeline.shape != (self.steps, self.cores) or not self.timeline.size:
            raise ValueError(f"a timeline of shape {self.timeline.shape}")
        if not self.way.shape == self.rest.shape == self.leader.shape == self.lead.shape:
            raise ValueError("steps that do not belong together")
        if self.core_busy.shape != (2, self.cores) or len(self.core_names) != self.cores:
            raise ValueError("cores that do not belong together")
        if not self.link_start.shape == self.link_end.shape == self.link_load.shape:
            raise ValueError("links without a load")

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return self.seconds.size

    @property
    def steps(self) -> int:
        """Steps of the hardware in each sample."""
        return self.lead.size

    @property
    def cores(self) -> int:
        """Cores in use."""
        return self.seat.size

    @property
    def routers(self) -> Integers:
        """The router of each part, shape (parts,)."""
        return np.asarray(self.seat // self.machine.cores_per_router)

    @property
    def latency(self) -> float:
        """Seconds a sample, the mean."""
        return float(self.seconds.mean())

    @property
    def energy(self) -> float:
        """Joules a sample, the mean; of all that there is a constant for."""
        return sum(line.joules for line in self.ledger) / self.samples

    @property
    def by_kind(self) -> dict[str, float]:
        """Joules a sample of each kind of line."""
        found: dict[str, float] = {}
        for line in self.ledger:
            found[line.kind] = found.get(line.kind, 0.0) + line.joules / self.samples
        return found

    @property
    def rest_name(self) -> str:
        """What follows the work of a step."""
        return REST[self.pace]

    def core_count(self, name: str) -> Integers:
        """One of the counts of ``count_names``, shape (parts,); 0 where there is none."""
        if name not in self.count_names:
            return np.zeros(self.cores, np.int64)
        return np.asarray(self.core_counts[self.count_names.index(name)])

    @property
    def core_share(self) -> Floats:
        """Seconds that each core is busy over all seconds, shape (parts,); 0 of no time at all."""
        return np.asarray(self.core_busy.sum(axis=0) / (float(self.seconds.sum()) or 1.0))

    @cached_property
    def busy(self) -> Busy:
        """The timeline in at most so many rows and columns that they can be told apart."""
        total = self.timeline.sum(axis=0)
        order = np.argsort(-total, kind="stable")
        shown, left = order[:_MOST_ROWS], total[order[_MOST_ROWS:]]
        first, means = bins(self.timeline[:, shown])
        return Busy(
            first,
            shown,
            means.T,
            left.size,
            float(left.sum()),
            float(left.max(initial=0.0)),
        )


def bins(values: Floats) -> tuple[Integers, Floats]:
    """Means of steps (steps, ..) in bins that a figure has room for, and where these begin."""
    steps = values.shape[0]
    first = np.arange(0, steps, -(-steps // _MOST_COLUMNS))
    size = np.diff(np.append(first, steps))
    sums = np.add.reduceat(values, first, axis=0)
    edges = np.append(first, steps).astype(np.int64)
    return edges, np.asarray(sums / size.reshape(-1, *[1] * (values.ndim - 1)))


def profile_json(view: ProfileView) -> dict[str, Any]:
    """All but the timeline step by step: what the heat map shows of it."""
    core = view.seat.tolist()
    names = {LINK: "link", NOBODY: None}
    return {
        "machine": {"name": view.machine.name, "title": view.machine.title},
        "model": {
            "name": view.model,
            "title": view.model_title,
            "pace": view.pace,
            "tick_seconds": view.tick,
            "unknown": list(view.unknown),
        },
        "samples": view.samples,
        "steps": view.steps,
        "latency": {
            "seconds_per_sample": view.latency,
            "longest_step": view.longest_step,
            "seconds": view.seconds.tolist(),
            "work_seconds": view.work.tolist(),
            "waits_per_sample": {name: value / view.samples for name, value in view.waits},
            "late_steps": view.late,
        },
        "energy": {
            "joules_per_sample": view.energy,
            "by_kind": view.by_kind,
            "ledger": [_line(line, view) for line in view.ledger],
        },
        "causes": [
            {
                "kind": cause.kind,
                "name": cause.name,
                "seconds_per_sample": cause.seconds / view.samples,
                "steps": cause.steps,
                "gain_per_sample": cause.gain / view.samples,
            }
            for cause in view.causes
        ],
        "cores": {
            "core": core,
            "router": view.routers.tolist(),
            "send_seconds": view.core_busy[0].tolist(),
            "receive_seconds": view.core_busy[1].tolist(),
            "counts": dict(zip(view.count_names, view.core_counts.tolist(), strict=True)),
        },
        "links": {
            "start": view.link_start.tolist(),
            "end": view.link_end.tolist(),
            "packets": view.link_load.tolist(),
        },
        "slowest": {
            "sample": view.slowest,
            "lead_seconds": view.lead.tolist(),
            "leader": [core[k] if k >= 0 else names[k] for k in view.leader.tolist()],
            "way_seconds": view.way.tolist(),
            "rest_seconds": view.rest.tolist(),
            "busy": _busy(view),
        },
    }


def _line(line: EnergyLine, view: ProfileView) -> dict[str, Any]:
    per_sample = line.joules / view.samples
    return asdict(line) | {
        "joules_per_sample": per_sample,
        "share": per_sample / view.energy if view.energy else 0.0,
    }


def _busy(view: ProfileView) -> dict[str, Any]:
    busy = view.busy
    return {
        "core": view.seat[busy.parts].tolist(),
        "first_step": busy.first[:-1].tolist(),
        "seconds_per_step": busy.seconds.tolist(),
        "other_cores": busy.others,
        "other_seconds": busy.other_seconds,
    }
