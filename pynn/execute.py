"""Running a script's network on the rung that it chose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..ir.events import Recording
from .capture import Network, capture_network, capture_stimulus, source_events
from .cells import SourceCell
from .populations import Population
from .projections import Projection
from .simulator import state

Places = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Results:
    """What happened from the start to ``steps``; made for one ``version`` of the network."""

    steps: int
    version: int
    network: Network
    recording: Recording | None
    recorded: dict[tuple[str, str], Places]
    _weights: dict[Projection, Real] = field(default_factory=dict)

    def spikes(self, population: Population) -> tuple[Places, Places]:
        """Step and cell of every spike of a population, in order."""
        if isinstance(population.celltype, SourceCell):
            return source_events(population, self.steps)
        if self.recording is None:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        events = self.recording.spikes[self.network.names[population]]
        return events.step.astype(np.int64), events.index.astype(np.int64)

    def trace(self, population: Population, variable: str, cells: Places) -> Real:
        """A variable of k cells in PyNN's unit, from before the first step on: (steps + 1, k)."""
        name, factor = population.celltype.shape.variables[variable]
        start = population.initial.get(variable, np.zeros(population.size))[cells]
        values = np.empty((self.steps + 1, cells.size))
        values[0] = start
        if self.recording is not None:
            key = (self.network.names[population], name)
            place = np.searchsorted(self.recorded[key], cells)
            values[1:] = self.recording.states[key][0][:, place] * factor
        return values

    def weights(self, projection: Projection) -> Real:
        """The weights of a plastic projection at the end, in PyNN's unit."""
        if projection not in self._weights:
            held = np.array(np.broadcast_to(projection.attributes["weight"], len(projection)))
            for piece in self.network.pieces:
                if piece.source is projection and self.recording is not None:
                    unit = projection.post.celltype.shape.weight
                    last = self.recording.weights[piece.synapses.name][-1]
                    held[piece.order] = last.ravel() / unit
            self._weights[projection] = held
        return self._weights[projection]


def results() -> Results:
    """The run of the network as it is now, as far as the script has got; made once."""
    held = state.results
    if isinstance(held, Results) and (held.steps, held.version) == (state.steps, state.version):
        return held
    network = capture_network()
    spiking, recorded = _wanted(network)
    recording = None
    if state.steps and network.graph.populations:
        recording = _run(network, spiking, recorded)
    made = Results(state.steps, state.version, network, recording, recorded)
    state.results = made
    return made


def _wanted(network: Network) -> tuple[list[str], dict[tuple[str, str], Places]]:
    """Populations whose spikes, and variables with the cells where, are recorded."""
    spiking: list[str] = []
    recorded: dict[tuple[str, str], Places] = {}
    for population, name in network.names.items():
        if isinstance(population.celltype, SourceCell):
            continue
        for variable, ids in population.recorder.recorded.items():
            if not ids:
                continue
            if variable.name == "spikes":
                spiking.append(name)
                continue
            key = (name, population.celltype.shape.variables[variable.name][0])
            recorded[key] = np.sort(population.id_to_index(np.fromiter(ids, np.int64)))
    return spiking, recorded


def _run(
    network: Network, spiking: list[str], recorded: dict[tuple[str, str], Places]
) -> Recording:
    stimulus: Any = capture_stimulus(network, state.steps)
    from ..backends.reference.golden import run_golden

    return run_golden(
        network.graph,
        stimulus,
        record=list(recorded),
        neurons=recorded,
        populations=spiking,
    )
