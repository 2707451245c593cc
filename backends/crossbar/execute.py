"""The rungs ``circuit`` and ``ngspice``: a network whose weighted sums are a chip's currents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...boards.macro import Macro
from ...compiler.backend import Outcome, Progress, Run, no_progress
from ...compiler.integer.executor import Executor
from ...compiler.integer.population import spiking_populations
from ...compiler.ladder import quantised
from ...ir.diagnostics import Diagnostics
from ...ir.events import Events, Recording, Stimulus
from ...ir.graph import Graph
from ..ngspice import needed
from .chip import Chip
from .conditions import Conditions
from .design import PROBES, Design, design, reaching, weighted
from .files import read_design
from .membranes import charged

CIRCUIT: Final = "circuit"
NGSPICE: Final = "ngspice"
# What the mapping and the targets depend on: with another of these they are made anew.
_OF_DESIGN: Final = (
    "wire",
    "temperature",
    "levels",
    "gated",
    "compensate",
    "order",
    "signs",
    "slice_bits",
    "tile",
    "mixed",
    "spares",
    "adc_bits",
)
# What neither mapping nor targets depend on: designs are kept whatever these are.
_OF_RUN: Final = (
    "age",
    "stuck",
    "programming",
    "drift",
    "read_noise",
    "verify",
    "calibrate",
    "remap",
    "ngspice_time",
    "neuron",
    "comparator_offset",
)
# Designs that are kept for further runs.
_KEPT: Final = 4


def run_circuit(run: Run, macro: Macro, rung: str = CIRCUIT) -> Outcome:
    """Bring up the chip ``run.seed`` of an artefact, and run a stimulus on it.

    On the rung ``ngspice`` its currents are ngspice's: E1330 where that takes longer than the
    conditions allow, E0602 without it.
    """
    spice = rung == NGSPICE
    if spice:
        needed()
    told = Diagnostics()
    graph, found = _brought(run, macro, told)
    net = charged(graph, found.conditions, run.seed)
    chip = Chip(found, run.seed, run.progress, spice=spice, unconverted=net.units)
    if spice:
        with chip.rehearsal():
            execute(net.graph, chip, replace(run, record=()), CIRCUIT, net.units)
        chip.operate(run.progress)
    return Outcome(execute(net.graph, chip, run, rung, net.units), told=tuple(told))


def _brought(run: Run, macro: Macro, told: Diagnostics) -> tuple[Graph, Design]:
    """The network and its design under the conditions of a run, mapped unless it is kept."""
    memory: Any = {} if run.memory is None else run.memory
    if "read" not in memory:
        graph = quantised(run.artifact)
        memory["read"] = graph, read_design(run.artifact, graph, macro)
        memory["designs"] = {}
    graph, read = memory["read"]
    conditions = read.conditions.but(run.conditions)
    usual = Conditions()
    key = replace(conditions, **{name: getattr(usual, name) for name in _OF_RUN})
    designs = memory["designs"]
    if key not in designs:
        designs[key] = under(read, graph, conditions, run.progress, told)
        if len(designs) > _KEPT:
            designs.pop(next(iter(designs)))
    return graph, replace(designs[key], conditions=conditions)


def execute(
    graph: Graph,
    chip: Chip,
    run: Run,
    rung: str = CIRCUIT,
    units: Mapping[str, int] | None = None,
) -> Recording:
    """The recording of a run whose sums are the chip's; ``units`` as `Chip.sums` has them."""
    recording = Executor(graph, run.seed, sums=chip.sums(units)).run(
        run.stimulus,
        populations=run.populations,
        record=run.record,
        progress=lambda share: run.progress(rung, share),
    )
    return replace(recording, rung=rung)


def under(
    found: Design,
    graph: Graph,
    conditions: Conditions,
    progress: Progress = no_progress,
    told: Diagnostics | None = None,
) -> Design:
    """A design under other conditions; mapped anew where they are what it was made for.

    ``told`` hears what ``design`` has to say of that.
    """
    if all(getattr(conditions, name) == getattr(found.conditions, name) for name in _OF_DESIGN):
        return replace(found, conditions=conditions)
    probes = {name: layer.probes for name, layer in found.layers.items()}
    return design(graph, found.macro, conditions, probes, progress=progress, found=told)


def probes_of(
    graph: Graph, calibration: Stimulus, progress: Progress = no_progress, seed: int = 1
) -> dict[str, npt.NDArray[np.int64]]:
    """Vectors that reach the weights of each projection in a step under a stimulus."""
    spiking = spiking_populations(graph)
    recording = Executor(graph).run(
        calibration, populations=spiking, progress=lambda share: progress("probes", share)
    )
    events = {name: recording.spikes[name] for name in spiking} | dict(calibration.inputs)
    vectors = {name: _vectors(e, seed) for name, e in events.items()}
    return {
        p.name: reaching(p, vectors[p.pre])
        for p in graph.projections
        if p.pre in vectors and weighted(p) is not None
    }


def _vectors(events: Events, seed: int) -> npt.NDArray[np.int64]:
    """Some steps in which anything was sent, (vectors, size)."""
    when = events.sample.astype(np.int64) * events.steps + events.step
    steps = np.unique(when)
    if steps.size > PROBES:
        steps = np.sort(np.random.default_rng(seed).choice(steps, PROBES, replace=False))
    found = np.zeros((steps.size, events.size), np.int64)
    if not steps.size:
        return found
    at = np.searchsorted(steps, when)
    kept = (at < steps.size) & (steps[np.minimum(at, steps.size - 1)] == when)
    np.add.at(found, (at[kept], events.index[kept]), events.value[kept].astype(np.int64))
    return found
