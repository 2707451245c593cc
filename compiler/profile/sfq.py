"""Latency and energy of a network of single flux quanta: what a profile has, as JSON and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from ...boards.quantity import Quantity
from ..files import csv_bytes
from .cells import Cells
from .circuit import CircuitProfile, energy_facts, latency_facts, ledger_facts, ledger_tables

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SCHEMA: Final = "spikec-sfq-profile-1"
SWITCHING, RESISTORS, COOLING = "switching", "bias resistors", "cooling"
# What each count of a ledger is a cost of.
COMPONENTS: Final[Mapping[str, str]] = {
    "pulses": SWITCHING,
    "bias": RESISTORS,
    "switched": RESISTORS,
    "cooling": COOLING,
}
_ARROW: Final = " > "


@dataclass(frozen=True)
class Share:
    """What a layer takes of the way from an input to a spike, in s.

    ``waiting`` is from when its last pulse is where it waits to when its clock is there.
    """

    layer: str
    delays: float
    cells: float
    waiting: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.delays + self.cells + self.waiting


@dataclass(frozen=True)
class Hop:
    """A cell that a pulse goes through."""

    name: str
    kind: str


@dataclass(frozen=True)
class CriticalPath:
    """What sets the time of a clock, or the period: two pulses that a cell has to keep apart.

    ``seconds`` is the least that they allow, at a ``corner`` of all delays. The pulse at ``first``
    of the cell ``instance`` comes from the net ``start`` by ``way``; the one at ``second`` has to
    be ``apart`` s behind it, and comes from the net ``behind`` by ``way_behind``.
    """

    name: str
    seconds: float
    corner: float
    instance: str
    kind: str
    first: str
    second: str
    apart: float
    start: str
    way: tuple[Hop, ...]
    behind: str
    way_behind: tuple[Hop, ...]

    @property
    def words(self) -> str:
        """The way of the first pulse, to the cell."""
        return told(self.start, self.way)

    @property
    def words_behind(self) -> str:
        """The way of the second."""
        return told(self.behind, self.way_behind)

    @property
    def bound(self) -> str:
        """The cell, and which of its inputs has to wait for which."""
        return f"{self.kind} {self.instance}: {self.second} behind {self.first}"


def told(start: str, way: tuple[Hop, ...]) -> str:
    """A way in words: ``in[0] > splitter in[0].s.0 > 8 jtl hidden[1].in.d0``."""
    said = [start]
    # A line of delays is one thing; it has one name, and a number for each of its cells.
    runs = groupby(way, lambda hop: (hop.kind, hop.name.rpartition(".")[0], hop.kind != "jtl"))
    for (kind, line, alone), run in runs:
        hops = list(run)
        if alone or len(hops) == 1:
            said += [f"{kind} {hop.name}" for hop in hops]
        else:
            said.append(f"{len(hops)} {kind} {line}")
    return _ARROW.join(said)


@dataclass(frozen=True, eq=False)
class SfqProfile(CircuitProfile):
    """What a stimulus takes of a network of cells; a step takes the period.

    ``response`` (samples, steps) is from the first pulses of a step to its last output spike in s,
    NaN where there is none; ``shares`` are what the longest of such ways is made of. ``pulses`` and
    ``switching`` (layers, samples, steps) are what each step's pulses are, whenever they come, and
    the energy of their switching in J, in the cold. ``factor`` is W at room temperature for each W
    in the cold.
    """

    COMPONENTS: ClassVar[Mapping[str, str]] = COMPONENTS

    process: str
    cells: Cells
    factor: Quantity
    layers: tuple[str, ...]
    layer_cells: tuple[Mapping[str, int], ...]
    response: Floats
    pulses: Integers
    switching: Floats
    shares: tuple[Share, ...]
    paths: tuple[CriticalPath, ...]

    @property
    def layer_names(self) -> tuple[str, ...]:
        """``layers``."""
        return self.layers

    @property
    def switched(self) -> float:
        """Joules a sample of switching alone, in the cold: what there is without bias resistors."""
        return self.by_component.get(SWITCHING, 0.0)

    @property
    def cooled(self) -> float:
        """Joules a sample that cooling takes."""
        return self.by_component.get(COOLING, 0.0)

    @property
    def answers(self) -> tuple[float, float, float] | None:
        """Least, mean and longest of the responses there are."""
        there = self.response[np.isfinite(self.response)]
        if not there.size:
            return None
        return float(there.min()), float(there.mean()), float(there.max())


def sfq_facts(profile: SfqProfile) -> dict[str, Any]:
    """All of a profile but its steps; seconds and joules a sample."""
    answers = profile.answers
    return {
        "schema": SCHEMA,
        "process": profile.process,
        "title": profile.title,
        "samples": profile.samples,
        "steps": profile.steps,
        "cells": profile.cells.as_dict(),
        "latency": latency_facts(profile)
        | {
            "response": None
            if answers is None
            else dict(zip(("least", "mean", "most"), answers, strict=True)),
            "answers": int(np.isfinite(profile.response).sum()),
            "shares": [asdict(share) for share in profile.shares],
            "paths": [
                asdict(path) | {"words": path.words, "words_behind": path.words_behind}
                for path in profile.paths
            ],
        },
        "energy": energy_facts(profile)
        | {
            "cold_joules_per_sample": profile.uncooled,
            "switching_joules_per_sample": profile.switched,
            "cooling_joules_per_sample": profile.cooled,
            "cooling": asdict(profile.factor),
        },
        "layers": list(_layers(profile)),
        "ledger": ledger_facts(profile),
        "assumed": list(profile.assumed),
    }


def _layers(profile: SfqProfile) -> Iterator[dict[str, Any]]:
    samples, energy = max(profile.samples, 1), profile.by_layer
    each = {kind.name: kind for kind in profile.cells.kinds}
    for k, name in enumerate(profile.layers):
        held = profile.layer_cells[k]
        yield {
            "name": name,
            "cells": sum(held.values()),
            "junctions": sum(n * each[kind].junctions for kind, n in held.items()),
            "bias": sum(n * each[kind].bias for kind, n in held.items()),
            "pulses_per_sample": float(profile.pulses[k].sum()) / samples,
            "switching_joules_per_sample": float(profile.switching[k].sum()) / samples,
            "joules_per_sample": energy[name],
        }


def sfq_tables(profile: SfqProfile) -> dict[str, bytes]:
    """``steps.csv``, ``layers.csv``, ``paths.csv``, ``ledger.csv`` and ``constants.csv``.

    Of a step the energy of switching and of all in the cold, and what that is with cooling.
    """
    steps = max(profile.steps, 1)
    # Biases go on whatever comes, and what pulses take is a part of them.
    cold = profile.uncooled / steps

    def rows() -> Iterator[tuple[Any, ...]]:
        total = profile.switching.sum(axis=0)
        for sample, step in np.ndindex(profile.seconds.shape):
            response = float(profile.response[sample, step])
            yield (
                *(sample, step, float(profile.seconds[sample, step])),
                *("" if np.isnan(response) else response,),
                *(int(profile.pulses[:, sample, step].sum()), float(total[sample, step])),
                *(cold, cold * (1 + profile.factor.value)),
                *profile.switching[:, sample, step].tolist(),
            )

    layers = list(_layers(profile))
    return {
        "steps.csv": csv_bytes(
            (
                *("sample", "step", "seconds", "response_seconds", "pulses", "switching_joules"),
                *("cold_joules", "joules"),
                *(f"{name} switching_joules" for name in profile.layers),
            ),
            rows(),
        ),
        "layers.csv": csv_bytes(
            tuple(layers[0]) if layers else ("name",), (tuple(row.values()) for row in layers)
        ),
        "paths.csv": csv_bytes(
            ("sets", "seconds", "corner", "cell", "apart_seconds", "way", "way_behind"),
            (
                (
                    *(path.name, path.seconds, path.corner, path.bound, path.apart),
                    *(path.words, path.words_behind),
                )
                for path in profile.paths
            ),
        ),
    } | ledger_tables(profile)
