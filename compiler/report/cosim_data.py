"""What a report shows of a co-simulation: plain arrays, and their JSON form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...boards.machine import Machine
from ...ir.records import Record

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CosimView(Record):
    """How packets travelled, in cycles of ``cycle`` seconds.

    ``seat`` (parts,) are the cores in use. On the link ``link_start -> link_end`` packets waited
    for ``link_load`` cycles, ``waited`` in all of those that had to; links that nobody waited for
    are not among them. ``latency`` (bins,) counts copies by latency between ``latency_edges``
    (bins + 1,), ``distortion`` and ``distortion_edges`` intervals by their distortion. ``figures``
    are all numbers, as `Distortion.as_dict` has them; ``tick`` is the seconds of a step, ``None``
    where steps wait; ``estimate`` the error of the estimated mean latency.
    """

    machine: Machine
    seat: Integers
    link_start: Integers
    link_end: Integers
    link_load: Integers
    cycle: float
    tick: float | None
    latency: Integers
    latency_edges: Floats
    distortion: Integers
    distortion_edges: Floats
    figures: dict[str, Any]
    estimate: float | None = None

    @property
    def routers(self) -> Integers:
        """The router of each core in use."""
        return self.seat // self.machine.cores_per_router

    @property
    def late(self) -> int:
        """Copies that arrived in a later step, or never."""
        return int(self.figures["late"]) + int(self.figures["dropped"])


def cosim_json(view: CosimView) -> dict[str, Any]:
    """All of it but the machine's own description."""
    rows = zip(
        view.link_start.tolist(), view.link_end.tolist(), view.link_load.tolist(), strict=True
    )
    return {
        "machine": {"name": view.machine.name, "title": view.machine.title},
        "tick_seconds": view.tick,
        "estimate_error": view.estimate,
        **view.figures,
        "waits": [{"start": a, "end": b, "cycles": n} for a, b, n in rows],
    }
