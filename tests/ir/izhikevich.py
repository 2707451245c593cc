"""The cells of Izhikevich (2003), figure 2, and networks of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from spikec.ir.connections import Dense
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import Izhikevich
from spikec.ir.semantics import Comparison, Reset, Semantics

# a, b, c, d
KINDS: Final = {
    "RS": (0.02, 0.2, -65.0, 8.0),
    "IB": (0.02, 0.2, -55.0, 4.0),
    "CH": (0.02, 0.2, -50.0, 2.0),
    "FS": (0.1, 0.2, -65.0, 2.0),
    "LTS": (0.02, 0.25, -65.0, 2.0),
    "RZ": (0.1, 0.26, -65.0, 2.0),
}
RULES: Final = Semantics(reset=Reset.VALUE, comparison=Comparison.GREATER_EQUAL, v_init=-65.0)


def izhikevich(*kinds: str, substeps: int = 2, **more: Any) -> Izhikevich:
    """One neuron of each kind; a single one has scalar parameters."""
    columns = np.array([KINDS[kind] for kind in kinds]).T
    a, b, c, d = (column[0] if len(kinds) == 1 else column for column in columns)
    return Izhikevich(a=a, b=b, c=c, d=d, substeps=substeps, **more)


def driven(neuron: Izhikevich, size: int, weight: float, dt: float = 1e-3, **rules: Any) -> Graph:
    """Every neuron gets ``weight`` mV/ms while the one input line is on."""
    return Graph(
        "driven",
        dt,
        (Input("in", (1,)),),
        (Population("cell", (size,), neuron, RULES if not rules else Semantics(**rules)),),
        (Projection("w", "in", "cell", Dense(np.full((size, 1), weight))),),
        (Output("out", "cell"),),
    )


def step_current(steps: int, start: int) -> Stimulus:
    """The line is silent until ``start``, and then on in every step."""
    on = (np.arange(steps) >= start).astype(np.int64)
    return Stimulus({"in": Events.from_dense(on[None, :, None])})
