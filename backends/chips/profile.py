"""What a stimulus takes of a chip: the integer rung's spikes, counted where they were mapped."""

from __future__ import annotations

import numpy as np

from ...boards.costs import CostModel
from ...boards.machine import Machine
from ...compiler.backend import CoSimulationRequest, ProfileRequest
from ...compiler.integer.executor import Executor
from ...compiler.integer.population import spiking_populations
from ...compiler.mapping.axons import Axons
from ...compiler.mapping.mapping import Mapping
from ...compiler.noc.fabric import Fabric
from ...compiler.profile.distortion import CoSimulated
from ...compiler.profile.profile import Profile, profile
from ...compiler.profile.timing import barrier_seconds
from ...ir.diagnostics import fail
from ...ir.graph import Graph


def profile_artifact(
    request: ProfileRequest, graph: Graph, axons: Axons, mapping: Mapping
) -> Profile:
    """The profile of a mapped graph; E0326 for a model that its chip does not have."""
    model = find_model(mapping.machine, request.model)
    spiking = spiking_populations(graph)
    recording = Executor(graph).run(
        request.stimulus,
        populations=spiking,
        raw=True,
        progress=lambda share: request.progress("integer", share),
    )
    outputs = [o.source for o in graph.outputs if o.source in spiking]
    return profile(
        axons,
        mapping,
        model,
        recording.spikes | request.stimulus.inputs,
        tuple(dict.fromkeys(outputs)),
        tick=step_seconds(model, mapping.machine, graph, request.tick),
        progress=lambda share: request.progress("counting", share),
    )


def cosimulate_artifact(
    request: CoSimulationRequest, graph: Graph, axons: Axons, mapping: Mapping
) -> CoSimulated:
    """A mapped graph on its chip's interconnect; E0326, E0327 where its file lacks what it takes.

    Steps last as long as asked for, or a tick of the chip; else until all packets have arrived, and
    a barrier has passed.
    """
    from .cosim import TimedExecutor

    machine = mapping.machine
    model = find_model(machine, request.model)
    if machine.interconnect is None:
        raise fail(
            "E0327",
            f"the file of {machine.title} says nothing of its interconnect",
            hint="add a table [interconnect] to it",
        )
    fabric = Fabric.of(machine).slowed(request.slower)
    seconds = request.tick
    if seconds is None:
        seconds = step_seconds(model, machine, graph, None)
    tick = None if seconds is None else max(1, round(seconds / fabric.cycle))
    routers = np.unique(mapping.seat // machine.cores_per_router).size
    least = max(1, round(barrier_seconds(model, machine, routers) / fabric.cycle))
    return TimedExecutor(graph, axons, mapping, fabric, tick, model=model, least=least).timed(
        request.stimulus,
        populations=request.populations,
        progress=lambda share: request.progress("co-simulation", share),
    )


def find_model(machine: Machine, name: str | None) -> CostModel:
    """The cost model of this name, the usual one without; E0326 where there is none."""
    if name is None:
        name = next(iter(machine.models), None)
    if name is None or name not in machine.models:
        what = "no cost model" if not machine.models else f"no cost model '{name}'"
        known = ", ".join(machine.models)
        hint = f"it has: {known}" if known else "add a table [models.NAME] to its file"
        raise fail("E0326", f"{machine.title} has {what}", hint=hint)
    return machine.models[name]


def step_seconds(
    model: CostModel, machine: Machine, graph: Graph, tick: float | None
) -> float | None:
    """How long a step lasts: as asked for, the hardware's own tick, or the network's dt.

    ``None`` where a step lasts as long as its work. E0707 for a tick on a chip that has none.
    """
    if model.pace != "tick":
        if tick is not None:
            raise fail(
                "E0707",
                f"{machine.title} does not tick: its steps last as long as their work",
                hint="leave --tick out",
            )
        return None
    if tick is not None:
        return tick
    return graph.dt if model.tick is None else machine.costs[model.tick].value
