"""Latency and energy of a network on crossbars: what a profile has, as JSON and as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt

from ..files import csv_bytes
from .circuit import CircuitProfile, energy_facts, latency_facts, ledger_facts, ledger_tables

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SCHEMA: Final = "spikec-crossbar-profile-1"
# What each count of a ledger is a cost of.
COMPONENTS: Final[Mapping[str, str]] = {
    "cells": "cells",
    "word_lines": "word lines",
    "conversions": "converters",
    "shift_adds": "shift-add and gain",
    "gains": "shift-add and gain",
    "offsets": "shift-add and gain",
    "partial_sums": "partial sums",
    "stage_additions": "stages without cells",
    "stage_multiplications": "stages without cells",
    "update_multiplications": "neurons",
    "update_additions": "neurons",
    "state_bits": "state memory",
}


@dataclass(frozen=True)
class Stage:
    """A layer: the ``tiles`` of a projection, a projection without any, or a population's neurons.

    Seconds are those of one read of the tile that takes longest: its pulse or the settling of its
    lines, whichever is ``pulse`` and ``settle``, its conversions and its digital work. Of what has
    no tiles ``digital`` is of all its neurons, or of one operation.
    """

    name: str
    kind: Literal["tiles", "neurons", "stage"]
    tiles: int = 0
    cells: int = 0
    pulse: float = 0.0
    settle: float = 0.0
    convert: float = 0.0
    digital: float = 0.0

    @property
    def title(self) -> str:
        """A projection by its name, neurons by what they are."""
        return f"{self.name} (neurons)" if self.kind == "neurons" else self.name

    @property
    def read(self) -> float:
        """Seconds of one read."""
        return max(self.pulse, self.settle) + self.convert + self.digital


@dataclass(frozen=True, eq=False)
class CrossbarProfile(CircuitProfile):
    """What a stimulus takes of a network on the tiles of a macro.

    ``busy`` (stages, samples, steps) is how long each layer works in a step, ``critical`` of the
    same shape whether it is on the longest path, ``reads`` (stages,) are those of all tiles and
    samples.
    """

    COMPONENTS: ClassVar[Mapping[str, str]] = COMPONENTS

    macro: str
    conditions: Mapping[str, Any]
    stages: tuple[Stage, ...]
    busy: Floats
    critical: npt.NDArray[np.bool_]
    reads: Integers

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The titles of ``stages``."""
        return tuple(stage.title for stage in self.stages)

    @property
    def path(self) -> Floats:
        """Seconds of each layer on the longest path, (stages, samples, steps): sums to all."""
        return np.where(self.critical, self.busy, 0.0)

    @property
    def leader(self) -> Integers:
        """The layer that takes most of the longest path of each step, (samples, steps).

        -1 of a step that takes no time.
        """
        path = self.path
        return np.where(path.max(axis=0, initial=0.0) > 0, path.argmax(axis=0), -1)


def crossbar_facts(profile: CrossbarProfile) -> dict[str, Any]:
    """All of a profile but its steps; seconds and joules a sample."""
    return {
        "schema": SCHEMA,
        "macro": profile.macro,
        "title": profile.title,
        "conditions": dict(profile.conditions),
        "samples": profile.samples,
        "steps": profile.steps,
        "latency": latency_facts(profile),
        "energy": energy_facts(profile),
        "layers": list(_layers(profile)),
        "ledger": ledger_facts(profile),
        "assumed": list(profile.assumed),
    }


def _layers(profile: CrossbarProfile) -> Iterator[dict[str, Any]]:
    samples = max(profile.samples, 1)
    leads = np.bincount(profile.leader[profile.leader >= 0], minlength=len(profile.stages))
    path, energy = profile.path.sum(axis=(1, 2)), profile.by_layer
    for k, stage in enumerate(profile.stages):
        yield {
            "name": stage.name,
            "kind": stage.kind,
            "tiles": stage.tiles,
            "cells": stage.cells,
            "reads_per_sample": float(profile.reads[k]) / samples,
            "seconds_a_read": {
                "pulse": stage.pulse,
                "settle": stage.settle,
                "convert": stage.convert,
                "digital": stage.digital,
            },
            "busy_seconds_per_sample": float(profile.busy[k].sum()) / samples,
            "critical_seconds_per_sample": float(path[k]) / samples,
            "leads_steps": int(leads[k]),
            "joules_per_sample": energy[stage.title],
        }


def crossbar_tables(profile: CrossbarProfile) -> dict[str, bytes]:
    """``steps.csv``, ``layers.csv``, ``ledger.csv`` and ``constants.csv``."""
    names = [stage.title for stage in profile.stages]

    def steps() -> Iterator[tuple[Any, ...]]:
        leader = profile.leader
        for sample, step in np.ndindex(profile.seconds.shape):
            lead = int(leader[sample, step])
            busy = profile.busy[:, sample, step].tolist()
            seconds = float(profile.seconds[sample, step])
            yield (sample, step, seconds, names[lead] if lead >= 0 else "", *busy)

    def layers() -> Iterator[tuple[Any, ...]]:
        for row in _layers(profile):
            flat: list[Any] = []
            for value in row.values():
                flat.extend(value.values() if isinstance(value, dict) else (value,))
            yield tuple(flat)

    return {
        "steps.csv": csv_bytes(
            ("sample", "step", "seconds", "leader", *(f"{name} seconds" for name in names)), steps()
        ),
        "layers.csv": csv_bytes(
            (
                *("name", "kind", "tiles", "cells", "reads_per_sample"),
                *("pulse_seconds", "settle_seconds", "convert_seconds", "digital_seconds"),
                *("busy_seconds_per_sample", "critical_seconds_per_sample", "leads_steps"),
                "joules_per_sample",
            ),
            layers(),
        ),
    } | ledger_tables(profile)
