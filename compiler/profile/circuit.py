"""Latency and energy of a network that is a circuit: what profiles of all kinds of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ...ir.records import Record
from ..files import csv_bytes
from .ledger import Line, Parts, joules

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CircuitProfile(Record):
    """What a stimulus takes of a network on a circuit.

    ``seconds`` (samples, steps) is how long each step takes. ``timing`` are the constants of the
    latency, ``assumed`` and ``unknown`` say in words what is taken for granted and what is in no
    sum. ``COMPONENTS`` says what each count of the ledger is a cost of.
    """

    COMPONENTS: ClassVar[Mapping[str, str]] = {}

    title: str
    seconds: Floats
    ledger: tuple[Line, ...]
    timing: Parts
    assumed: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Layers of the ledger, in their order."""
        return tuple(dict.fromkeys(line.layer for line in self.ledger))

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
    def uncooled(self) -> float:
        """Joules a sample without what cooling takes."""
        kept = joules(line for line in self.ledger if line.kind != "cooling")
        return kept / max(self.samples, 1)

    @property
    def by_component(self) -> dict[str, float]:
        """Joules a sample of each component."""
        return self.joules_of(lambda line: self.COMPONENTS[line.count])

    @property
    def by_layer(self) -> dict[str, float]:
        """Joules a sample of each layer."""
        found = self.joules_of(lambda line: line.layer)
        return {name: found.get(name, 0.0) for name in self.layer_names}

    def joules_of(self, of: Callable[[Line], str]) -> dict[str, float]:
        """Joules a sample of the lines by what is said of each."""
        found: dict[str, float] = {}
        for line in self.ledger:
            found[of(line)] = found.get(of(line), 0.0) + line.joules / max(self.samples, 1)
        return found


def latency_facts(profile: CircuitProfile) -> dict[str, Any]:
    """Seconds of samples and steps, and the constants that they are made of."""
    length = profile.seconds.sum(axis=1)
    return {
        "seconds_per_sample": profile.latency,
        "least": float(length.min(initial=np.inf)) if length.size else 0.0,
        "most": float(length.max(initial=0.0)),
        "seconds_per_step": profile.latency / max(profile.steps, 1),
        "longest_step": float(profile.seconds.max(initial=0.0)),
        "constants": [{"name": name} | asdict(of) for name, of in profile.timing],
    }


def energy_facts(profile: CircuitProfile) -> dict[str, Any]:
    """Joules a sample, and whose they are."""
    return {
        "joules_per_sample": profile.energy,
        "joules_per_step": profile.energy / max(profile.steps, 1),
        "by_component": profile.by_component,
        "by_layer": profile.by_layer,
        "unknown": list(profile.unknown),
    }


def ledger_facts(profile: CircuitProfile) -> list[dict[str, Any]]:
    """Every line, with all that its constant is made of."""
    return [
        line.as_dict(max(profile.samples, 1))
        | {
            "component": profile.COMPONENTS[line.count],
            "layer": line.layer,
            "unit": line.unit,
            "symbols": line.symbols,
            "parts": [{"name": name} | asdict(part) for name, part in line.parts],
        }
        for line in profile.ledger
    ]


def ledger_tables(profile: CircuitProfile) -> dict[str, bytes]:
    """``ledger.csv`` and ``constants.csv``."""
    constants = dict.fromkeys(
        [*profile.timing, *(each for line in profile.ledger for each in line.constants)]
    )
    return {
        "ledger.csv": csv_bytes(
            (
                *("layer", "component", "what", "symbols", "amount", "unit", "cost", "value"),
                *("of", "joules", "obtained", "source"),
            ),
            (
                (
                    *(line.layer, profile.COMPONENTS[line.count], line.words, line.symbols),
                    *(line.amount, line.unit, line.cost, line.constant.value, line.constant.unit),
                    *(line.joules, line.constant.obtained, line.constant.source),
                )
                for line in profile.ledger
            ),
        ),
        "constants.csv": csv_bytes(
            ("name", "value", "unit", "obtained", "source"),
            ((name, q.value, q.unit, q.obtained, q.source) for name, q in constants),
        ),
    }
