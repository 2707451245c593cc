"""Latency and energy of a network on crossbars: what a profile has, as JSON and as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from ...ir.records import Record
from ..files import csv_bytes
from .ledger import Line, Parts, joules

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
class CrossbarProfile(Record):
    """What a stimulus takes of a network on the tiles of a macro.

    ``seconds`` (samples, steps) is how long each step takes, ``busy`` (stages, samples, steps) how
    long each layer works in it, ``critical`` of the same shape whether it is on the longest path,
    ``reads`` (stages,) are those of all tiles and samples. ``timing`` are the constants of the
    latency, ``assumed`` and ``unknown`` say in words what is taken for granted and what is in no
    sum.
    """

    macro: str
    title: str
    conditions: Mapping[str, Any]
    stages: tuple[Stage, ...]
    seconds: Floats
    busy: Floats
    critical: npt.NDArray[np.bool_]
    reads: Integers
    ledger: tuple[Line, ...]
    timing: Parts
    assumed: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return int(self.seconds.shape[0])

    @property
    def steps(self) -> int:
        """Steps of the hardware in each sample."""
        return int(self.seconds.shape[1])

    @property
    def latency(self) -> float:
        """Seconds a sample, the mean."""
        return float(self.seconds.sum()) / max(self.samples, 1)

    @property
    def energy(self) -> float:
        """Joules a sample, the mean; of all that there is a constant for."""
        return joules(self.ledger) / max(self.samples, 1)

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

    @property
    def by_component(self) -> dict[str, float]:
        """Joules a sample of each component."""
        return self._joules(lambda line: COMPONENTS[line.count])

    @property
    def by_layer(self) -> dict[str, float]:
        """Joules a sample of each layer, by the titles of `stages`."""
        found = self._joules(lambda line: line.layer)
        return {stage.title: found.get(stage.title, 0.0) for stage in self.stages}

    def _joules(self, of: Callable[[Line], str]) -> dict[str, float]:
        found: dict[str, float] = {}
        for line in self.ledger:
            found[of(line)] = found.get(of(line), 0.0) + line.joules / max(self.samples, 1)
        return found


def crossbar_facts(profile: CrossbarProfile) -> dict[str, Any]:
    """All of a profile but its steps; seconds and joules a sample."""
    samples = max(profile.samples, 1)
    length = profile.seconds.sum(axis=1)
    return {
        "schema": SCHEMA,
        "macro": profile.macro,
        "title": profile.title,
        "conditions": dict(profile.conditions),
        "samples": profile.samples,
        "steps": profile.steps,
        "latency": {
            "seconds_per_sample": profile.latency,
            "least": float(length.min(initial=np.inf)) if length.size else 0.0,
            "most": float(length.max(initial=0.0)),
            "seconds_per_step": profile.latency / max(profile.steps, 1),
            "longest_step": float(profile.seconds.max(initial=0.0)),
            "constants": [{"name": name} | asdict(of) for name, of in profile.timing],
        },
        "energy": {
            "joules_per_sample": profile.energy,
            "joules_per_step": profile.energy / max(profile.steps, 1),
            "by_component": profile.by_component,
            "by_layer": profile.by_layer,
            "unknown": list(profile.unknown),
        },
        "layers": list(_layers(profile)),
        "ledger": [
            line.as_dict(samples)
            | {
                "component": COMPONENTS[line.count],
                "layer": line.layer,
                "unit": line.unit,
                "symbols": line.symbols,
                "parts": [{"name": name} | asdict(part) for name, part in line.parts],
            }
            for line in profile.ledger
        ],
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
    constants = dict.fromkeys(
        [*profile.timing, *(each for line in profile.ledger for each in line.constants)]
    )

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
        "ledger.csv": csv_bytes(
            (
                *("layer", "component", "what", "symbols", "amount", "unit", "cost", "value"),
                *("of", "joules", "obtained", "source"),
            ),
            (
                (
                    *(line.layer, COMPONENTS[line.count], line.words, line.symbols, line.amount),
                    *(line.unit, line.cost, line.constant.value, line.constant.unit, line.joules),
                    *(line.constant.obtained, line.constant.source),
                )
                for line in profile.ledger
            ),
        ),
        "constants.csv": csv_bytes(
            ("name", "value", "unit", "obtained", "source"),
            ((name, q.value, q.unit, q.obtained, q.source) for name, q in constants),
        ),
    }
