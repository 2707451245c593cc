"""A profile as JSON and as tables for spreadsheets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..files import csv_bytes
from .profile import CORES, Profile

SCHEMA: Final = "spikec-profile-1"


def profile_facts(profile: Profile) -> dict[str, Any]:
    """All of a profile but its arrays by sample, step and core; seconds and joules a sample."""
    samples = max(profile.samples, 1)
    length = profile.length.sum(axis=1)
    return {
        "schema": SCHEMA,
        "machine": profile.machine.name,
        "model": profile.model.name,
        "model_title": profile.model.title,
        "pace": profile.model.pace,
        "tick_seconds": profile.tick,
        "samples": profile.samples,
        "steps": profile.steps,
        "cores": profile.cores,
        "latency": {
            "seconds_per_sample": profile.latency,
            "least": float(length.min()),
            "most": float(length.max()),
            "seconds_per_step": float(profile.length.mean()),
            "longest_step": float(profile.length.max()),
            "cores_and_links": float(profile.lead.sum()) / samples,
            "way_of_packets": float(profile.way.sum()) / samples,
            "rest": float(profile.rest.sum()) / samples,
            "late_steps": profile.late,
        },
        "energy": {
            "joules_per_sample": profile.energy,
            "by_kind": energy_by_kind(profile),
            "unknown": list(profile.model.unknown),
        },
        "counts": dict(profile.totals),
        "ledger": [line.as_dict(samples) for line in profile.ledger],
        "causes": [
            asdict(cause) | {"seconds": cause.seconds / samples, "gain": cause.gain / samples}
            for cause in profile.causes
        ],
    }


def energy_by_kind(profile: Profile) -> dict[str, float]:
    """Joules a sample of each kind of ledger line."""
    found: dict[str, float] = {}
    for line in profile.ledger:
        found[line.kind] = found.get(line.kind, 0.0) + line.joules / max(profile.samples, 1)
    return found


def profile_tables(profile: Profile) -> dict[str, bytes]:
    """Steps, cores, links, ledger and so on, each a file of comma-separated values.

    ``timeline.csv`` is of the slowest sample: what each core does in each step, where it does
    anything.
    """
    samples = max(profile.samples, 1)
    return {
        "steps.csv": csv_bytes(
            (
                *("sample", "step", "seconds", "lead_seconds", "leader", "way_seconds"),
                *("rest_seconds", *profile.step_counts),
            ),
            _steps(profile),
        ),
        "cores.csv": csv_bytes(
            ("core", "x", "y", "send_seconds", "receive_seconds", *CORES), _cores(profile)
        ),
        "timeline.csv": csv_bytes(("step", "core", "busy_seconds", *CORES), _timeline(profile)),
        "links.csv": csv_bytes(
            ("start", "end", "packets"),
            zip(
                profile.link_start.tolist(),
                profile.link_end.tolist(),
                profile.link_load.tolist(),
                strict=True,
            ),
        ),
        "ledger.csv": csv_bytes(
            (
                "kind",
                "what",
                "amount",
                "times",
                "cost",
                "value",
                "unit",
                "joules",
                "obtained",
                "source",
            ),
            (
                (
                    line.kind,
                    line.words,
                    line.amount,
                    line.times,
                    line.cost,
                    line.constant.value,
                    line.constant.unit,
                    line.joules,
                    line.constant.obtained,
                    line.constant.source,
                )
                for line in profile.ledger
            ),
        ),
        "causes.csv": csv_bytes(
            ("kind", "name", "seconds_per_sample", "steps", "gain_per_sample_if_halved"),
            (
                (c.kind, c.name, c.seconds / samples, c.steps, c.gain / samples)
                for c in profile.causes
            ),
        ),
        "waits.csv": csv_bytes(
            (
                *("sample", "population", "neuron", "step", "seconds", "waited_most_for", "share"),
                "most_of_it_for",
            ),
            _waits(profile),
        ),
    }


def cycle_tables(cycles: dict[str, npt.NDArray[np.int64]], clock_hz: float) -> dict[str, bytes]:
    """``steps.csv`` of a board: cycles (samples, steps) of each phase, and the seconds of all."""

    def rows() -> Iterator[tuple[Any, ...]]:
        every = np.stack(list(cycles.values()), axis=2)
        for sample, step in np.ndindex(every.shape[:2]):
            of_step = every[sample, step].tolist()
            yield (sample, step, *of_step, sum(of_step) / clock_hz)

    return {"steps.csv": csv_bytes(("sample", "step", *cycles, "seconds"), rows())}


def leader_name(profile: Profile, leader: int) -> str:
    """The core that leads a step, ``link`` or nothing."""
    return profile.core_names[leader] if leader >= 0 else {-1: "link"}.get(leader, "")


def _steps(profile: Profile) -> Iterator[tuple[Any, ...]]:
    for sample, step in np.ndindex(profile.length.shape):
        yield (
            sample,
            step,
            float(profile.length[sample, step]),
            float(profile.lead[sample, step]),
            leader_name(profile, int(profile.leader[sample, step])),
            float(profile.way[sample, step]),
            float(profile.rest[sample, step]),
            *(int(amount[sample, step]) for amount in profile.step_counts.values()),
        )


def _cores(profile: Profile) -> Iterator[tuple[Any, ...]]:
    for part, core in enumerate(profile.seat.tolist()):
        x, y = profile.machine.place(core // profile.machine.cores_per_router)
        send, receive = profile.core_busy[:, part].tolist()
        yield (core, x, y, send, receive, *profile.core_counts[:, part].tolist())


def _timeline(profile: Profile) -> Iterator[tuple[Any, ...]]:
    done = profile.timeline_counts
    for step, part in np.argwhere((profile.timeline > 0) | done.any(axis=0)).tolist():
        busy = float(profile.timeline[step, part])
        yield (step, int(profile.seat[part]), busy, *done[:, step, part].tolist())


def _waits(profile: Profile) -> Iterator[tuple[Any, ...]]:
    w = profile.waits
    for k in range(w.sample.size):
        yield (
            int(w.sample[k]),
            w.populations[int(w.population[k])],
            int(w.index[k]),
            int(w.step[k]),
            float(w.seconds[k]),
            w.causes[int(w.cause[k])],
            float(w.share[k]),
            w.nodes[int(w.node[k])] if w.node[k] >= 0 else "",
        )
