"""Circuits of cells of single flux quanta as the manifest states them: how many, how big, when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...boards.quantity import Quantity


@dataclass(frozen=True)
class CellKind:
    """So many cells of a kind; ``junctions`` and ``bias`` (A) are those of one."""

    name: str
    number: int
    junctions: int
    bias: float


@dataclass(frozen=True)
class Chance:
    """What the ``synapses`` of a projection release with; ``weights`` where that is of weights.

    ``probability`` and ``bias`` (A) are those of the least and of the greatest. Where elements have
    the ``spread``, 95 % of the synapses of chips with the probability ``worst`` are ``between``.
    Both are ``None`` where there is no synapse. By weights so many lines are ``dropped``, and
    ``certain`` without a synapse; ``lost`` and ``rounded`` are the most, in pulses a step, that the
    first could bring to a neuron and that its threshold is up by.
    """

    projection: str
    weights: bool
    synapses: int
    probability: tuple[float, float]
    worst: float
    dropped: int
    certain: int
    lost: float
    rounded: float
    bias: tuple[float, float] | None = None
    between: tuple[float, float] | None = None
    spread: float = 0.0


@dataclass(frozen=True)
class Cells:
    """All cells of a circuit, and its times in s from the start of a step.

    ``area`` is an estimate from junctions, without a placement; ``latency`` the latest that the
    spikes of a step may be; a step follows another after ``period``.
    """

    kinds: tuple[CellKind, ...]
    area: Quantity
    clocks: tuple[tuple[str, float], ...]
    period: float
    latency: float
    chances: tuple[Chance, ...] = ()

    @property
    def number(self) -> int:
        """Cells."""
        return sum(kind.number for kind in self.kinds)

    @property
    def junctions(self) -> int:
        """Junctions of all cells."""
        return sum(kind.number * kind.junctions for kind in self.kinds)

    @property
    def bias(self) -> float:
        """Bias currents of all cells together, in A."""
        return sum(kind.number * kind.bias for kind in self.kinds)

    @property
    def rate(self) -> float:
        """Steps a second, in Hz."""
        return 1.0 / self.period if self.period else 0.0

    def as_dict(self) -> dict[str, Any]:
        """All of it."""
        return {
            "kinds": [asdict(kind) for kind in self.kinds],
            "cells": self.number,
            "junctions": self.junctions,
            "bias": self.bias,
            "area": asdict(self.area),
            "clocks": dict(self.clocks),
            "period": self.period,
            "latency": self.latency,
            "rate": self.rate,
            "release": [asdict(chance) for chance in self.chances],
        }


def cells_of(emission: Mapping[str, Any]) -> Cells | None:
    """Those of an artefact, out of what its manifest says of the emission; ``None`` of others."""
    if "each" not in emission:
        return None
    each = emission["each"]
    kinds = (CellKind(name, n, **each[name]) for name, n in sorted(emission["cells"].items()))
    return Cells(
        kinds=tuple(kinds),
        area=Quantity(**emission["area"]),
        clocks=tuple(sorted(emission["clocks"].items(), key=lambda clock: clock[1])),
        period=emission["period"],
        latency=emission["latency"],
        chances=tuple(
            Chance(
                name,
                weights=one["weights"],
                synapses=one["synapses"],
                probability=tuple(one["probability"]),
                worst=one["worst"],
                dropped=one["dropped"],
                certain=one["certain"],
                lost=one["lost"],
                rounded=one["rounded"],
                bias=tuple(one["bias"]) if "bias" in one else None,
                between=tuple(one["between"]) if "between" in one else None,
                spread=one.get("spread", 0.0),
            )
            for name, one in emission.get("release", {}).items()
        ),
    )
