"""A quantised graph, run on the integer rung and profiled where it was mapped."""

from __future__ import annotations

from collections.abc import Callable

from ...boards.costs import CostModel
from ...ir.events import Stimulus
from ...ir.graph import Graph
from ..integer.executor import Executor
from ..integer.population import spiking_populations
from ..mapping.axons import Axons
from ..mapping.mapping import Mapping
from .profile import Profile, profile


def profile_graph(
    graph: Graph,
    stimulus: Stimulus,
    axons: Axons,
    mapping: Mapping,
    model: CostModel,
    *,
    tick: float | None = None,
    progress: Callable[[str, float], None] = lambda stage, share: None,
) -> Profile:
    """The profile of a graph on a stimulus; what its outputs' spikes waited for is in it."""
    spiking = spiking_populations(graph)
    recording = Executor(graph).run(
        stimulus,
        populations=spiking,
        raw=True,
        progress=lambda share: progress("integer", share),
    )
    outputs = dict.fromkeys(o.source for o in graph.outputs if o.source in spiking)
    return profile(
        axons,
        mapping,
        model,
        recording.spikes | stimulus.inputs,
        tuple(outputs),
        tick=tick,
        progress=lambda share: progress("counting", share),
    )
