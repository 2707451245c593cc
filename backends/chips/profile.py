"""What a stimulus takes of a chip: the integer rung's spikes, counted where they were mapped."""

from __future__ import annotations

from ...boards.quantity import engineering
from ...compiler.backend import CoSimulationRequest, ProfileRequest
from ...compiler.mapping.axons import Axons
from ...compiler.mapping.mapping import Mapping
from ...compiler.noc.fabric import Fabric
from ...compiler.profile.distortion import CoSimulated
from ...compiler.profile.profile import Profile, find_model, step_seconds
from ...compiler.profile.run import profile_graph
from ...compiler.profile.timing import barrier_seconds
from ...ir.diagnostics import fail
from ...ir.graph import Graph

# Of a sample, so that sums of cycles stay within 64 bits.
_MOST_CYCLES = 1 << 60


def profile_artifact(
    request: ProfileRequest, graph: Graph, axons: Axons, mapping: Mapping
) -> Profile:
    """The profile of a mapped graph; E0326 for a model that its chip does not have."""
    model = find_model(mapping.machine, request.model)
    tick = step_seconds(model, mapping.machine, graph.dt, request.tick)
    return profile_graph(
        graph, request.stimulus, axons, mapping, model, tick=tick, progress=request.progress
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
    try:
        fabric = Fabric.of(machine).slowed(request.slower)
    except ValueError as error:
        raise fail(
            "E0327",
            f"the [interconnect] of {machine.title} cannot be simulated: {error}",
            hint="correct its numbers in the chip's file",
        ) from error
    seconds = request.tick
    if seconds is None:
        seconds = step_seconds(model, machine, graph.dt, None)
    tick = None if seconds is None else max(1, round(seconds / fabric.cycle))
    if tick is not None and tick * (request.stimulus.steps + 1) > _MOST_CYCLES:
        raise fail(
            "E0707",
            f"{request.stimulus.steps:,} steps of {seconds:g} s are {tick:,} cycles each of the "
            f"interconnect: more than can be counted",
            hint="shorter steps, fewer of them, or an interconnect with a longer cycle",
        )
    barrier = round(barrier_seconds(model, mapping) / fabric.cycle)
    # Where packets take no time cores take none, either: nothing but the network is left.
    timed_by = None if request.slower == 0 else model
    # A step is a whole number of cycles of the interconnect.
    if tick is not None and seconds is not None and abs(tick * fabric.cycle / seconds - 1) > 0.01:
        raise fail(
            "E0707",
            f"a step of {engineering(seconds, 's')} is no whole number of cycles of the "
            f"interconnect, of {engineering(fabric.cycle, 's')} each: "
            f"{engineering(tick * fabric.cycle, 's')} is the nearest",
            hint="longer steps, or an interconnect that is not as slow",
        )
    return TimedExecutor(
        graph, axons, mapping, fabric, tick, model=timed_by, barrier=barrier
    ).timed(
        request.stimulus,
        populations=request.populations,
        progress=lambda share: request.progress("co-simulation", share),
    )
