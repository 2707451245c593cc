"""A run as a trace that Perfetto (https://ui.perfetto.dev) shows, in the Trace Event Format.

Every track is a thread; a slice has a name, a begin and a length. Times are microseconds, as the
format wants them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...boards.costs import REST
from .profile import Profile
from .to_json import leader_name

_MICRO: Final = 1e6


@dataclass(frozen=True)
class Slice:
    """``seconds`` of work from ``begin`` on."""

    name: str
    begin: float
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Track:
    """Slices that follow each other, in a group of tracks."""

    group: str
    name: str
    slices: tuple[Slice, ...]


def trace(tracks: Iterable[Track], about: dict[str, Any]) -> bytes:
    """The JSON of a trace; ``about`` is said in its metadata."""
    return (
        json.dumps(
            {
                "displayTimeUnit": "ns",
                "otherData": {key: str(value) for key, value in about.items()},
                "traceEvents": list(_events(tracks)),
            },
            separators=(",", ":"),
        )
        + "\n"
    ).encode()


def profile_trace(profile: Profile) -> bytes:
    """The slowest sample of a profile: its steps and what they wait for, and every core."""
    return trace(
        _tracks(profile),
        {"machine": profile.machine.title, "model": profile.model.title, "sample": profile.slowest},
    )


def cycle_trace(cycles: dict[str, npt.NDArray[np.int64]], clock_hz: float, title: str) -> bytes:
    """The slowest sample of a board: the phases of each step, (samples, steps) cycles by phase."""
    total = sum(cycles.values())
    slowest = int(np.sum(total, axis=1).argmax())
    slices: dict[str, list[Slice]] = {phase: [] for phase in cycles}
    steps, now = [], 0.0
    for step in range(np.shape(total)[1]):
        begin = now
        for phase, of_phase in cycles.items():
            count = int(of_phase[slowest, step])
            if count:
                slices[phase].append(Slice(phase, now, count / clock_hz, {"cycles": count}))
            now += count / clock_hz
        steps.append(Slice(f"step {step}", begin, now - begin, {"step": step}))
    tracks = [Track("run", "steps", tuple(steps))]
    tracks += [Track("core", phase, tuple(found)) for phase, found in slices.items()]
    return trace(tracks, {"board": title, "clock_hz": clock_hz, "sample": slowest})


def _tracks(profile: Profile) -> Iterator[Track]:
    s = profile.slowest
    begin = np.concatenate([[0.0], np.cumsum(profile.length[s])])
    names = [leader_name(profile, int(leader)) for leader in profile.leader[s]]
    yield Track(
        "run",
        "steps",
        tuple(
            Slice(
                f"step {t}", float(begin[t]), float(profile.length[s, t]), {"waits for": names[t]}
            )
            for t in range(profile.steps)
        ),
    )
    waits = []
    last = REST[profile.model.pace]
    for t in range(profile.steps):
        now = float(begin[t])
        for name, seconds in (
            (names[t] or "nothing", profile.lead[s, t]),
            ("way of packets", profile.way[s, t]),
            (last, profile.rest[s, t]),
        ):
            if seconds > 0:
                waits.append(Slice(name, now, float(seconds), {"step": t}))
                now += float(seconds)
    yield Track("run", "waits for", tuple(waits))
    for part, name in enumerate(profile.core_names):
        yield Track(
            "cores",
            name,
            tuple(
                Slice("busy", float(begin[t]), float(profile.timeline[t, part]), {"step": t})
                for t in range(profile.steps)
                if profile.timeline[t, part] > 0
            ),
        )


def _events(tracks: Iterable[Track]) -> Iterator[dict[str, Any]]:
    groups: dict[str, int] = {}
    for number, track in enumerate(tracks):
        if track.group not in groups:
            groups[track.group] = len(groups) + 1
            yield _meta("process_name", groups[track.group], 0, track.group)
        group = groups[track.group]
        yield _meta("thread_name", group, number, track.name)
        yield _meta("thread_sort_index", group, number, number)
        for one in track.slices:
            yield {
                "name": one.name,
                "ph": "X",
                "pid": group,
                "tid": number,
                "ts": one.begin * _MICRO,
                "dur": one.seconds * _MICRO,
                "args": one.facts,
            }


def _meta(kind: str, group: int, number: int, value: Any) -> dict[str, Any]:
    key = "sort_index" if kind.endswith("sort_index") else "name"
    return {"name": kind, "ph": "M", "pid": group, "tid": number, "args": {key: value}}
