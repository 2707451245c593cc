"""Running a script's network on the rung that it chose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from warnings import warn

import numpy as np
import numpy.typing as npt

from ..backends.reference.golden import run_golden
from ..boards.board import Target
from ..compiler.integer.executor import Executor
from ..compiler.passes.legalise import Legalise
from ..compiler.passes.quantise import Quantise
from ..compiler.passes.spinnaker import spinnaker
from ..compiler.progress import bars
from ..ir.diagnostics import Diagnostics, fail
from ..ir.events import Recording
from ..ir.graph import Graph
from ..ir.neurons import SpinnakerLIF
from ..ir.numerics import Format
from .capture import Network, capture_network, capture_stimulus, source_events
from .cells import NANO, SourceCell
from .populations import Population
from .projections import Projection
from .simulator import state

Places = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]


# Snapshots of plastic weights behind every step may take this much; beyond, only the last is kept.
_WEIGHT_BYTES = 1 << 27
# A script that has asked so often as time went on will ask again: then a run is twice as long.
_PATIENCE = 2


@dataclass(frozen=True)
class Results:
    """What happened from the start to ``steps``; a run of ``ran`` steps of one ``version``.

    ``every``: plastic weights are those behind every so many steps. ``reads`` counts the runs that
    this version has had.
    """

    steps: int
    ran: int
    version: int
    every: int
    reads: int
    network: Network
    recording: Recording | None
    recorded: dict[tuple[str, str], Places]

    def spikes(self, population: Population) -> tuple[Places, Places]:
        """Step and cell of every spike of a population, in order."""
        if isinstance(population.celltype, SourceCell):
            return source_events(population, self.steps)
        if self.recording is None:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        events = self.recording.spikes[self.network.names[population]]
        seen = int(np.searchsorted(events.step, self.steps))
        return events.step[:seen].astype(np.int64), events.index[:seen].astype(np.int64)

    def trace(self, population: Population, variable: str, cells: Places) -> Real:
        """A variable of k cells in PyNN's unit, from before the first step on: (steps + 1, k)."""
        name, factor = population.celltype.shape.variables[variable]
        start = population.initial.get(variable, np.zeros(population.size))[cells]
        values = np.empty((self.steps + 1, cells.size))
        values[0] = start
        if self.recording is not None:
            key = (self.network.names[population], name)
            place = np.searchsorted(self.recorded[key], cells)
            values[1:] = self.recording.states[key][0][: self.steps, place] * factor
        return values

    def weights(self, projection: Projection) -> Real:
        """The weights of a plastic projection at the end, in PyNN's unit."""
        held = np.array(np.broadcast_to(projection.attributes["weight"], len(projection)))
        for piece in self.network.pieces:
            if piece.source is projection and self.recording is not None:
                unit = projection.post.celltype.shape.weight
                shot = self.steps // self.every - 1
                held[piece.order] = self.recording.weights[piece.synapses.name][shot].ravel() / unit
        return held


def results() -> Results:
    """The run of the network as it is now, as far as the script has got; made once.

    A script that asks again and again is ahead of itself: sources that do not change send the same
    in a longer run, so what it will ask next is in it.
    """
    held = state.results
    known = isinstance(held, Results) and held.version == state.version
    if known and (held.ran == state.steps or (held.every == 1 and held.ran > state.steps)):
        made: Results = replace(held, steps=state.steps)
        return made
    network = capture_network()
    spiking, recorded = _wanted(network)
    reads = held.reads + 1 if known else 1
    ran, every = state.steps, max(state.steps, 1)
    plastic = sum(len(piece.order) for piece in network.pieces if piece.source.plastic)
    if reads > _PATIENCE and 16 * plastic * state.steps <= _WEIGHT_BYTES:
        ran, every = 2 * state.steps, 1
    recording = None
    if state.steps and network.graph.populations:
        recording = _run(network, ran, every, spiking, recorded)
    made = Results(state.steps, ran, state.version, every, reads, network, recording, recorded)
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
    network: Network,
    steps: int,
    every: int,
    spiking: list[str],
    recorded: dict[tuple[str, str], Places],
) -> Recording:
    stimulus = capture_stimulus(network, steps)
    if state.rung == "golden":
        with bars() as watch:
            return run_golden(
                network.graph,
                stimulus,
                record=list(recorded),
                neurons=recorded,
                populations=spiking,
                record_weights="steps",
                weights_every=every,
                progress=lambda share: watch(f"{state.t:g} ms", share),
            )
    graph = integers(network.graph)
    record = [key for key in recorded if _in_integers(graph, *key)]
    with bars() as watch:
        found = Executor(graph, state.seed).run(
            stimulus,
            populations=spiking,
            record=record,
            record_weights="steps" if every == 1 else "end",
            progress=lambda share: watch(f"{state.t:g} ms", share),
        )
    states = {}
    for name, variable in record:
        neuron: Any = graph.population(name).neuron
        scale, origin = neuron.real(variable)
        cells = recorded[name, variable]
        start = origin if np.ndim(origin) == 0 else origin[cells]
        states[name, variable] = found.states[name, variable][:, :, cells] * scale + start
    weights = {name: values * _unit(graph, name) for name, values in found.weights.items()}
    return replace(found, states=states, weights=weights)


def integers(graph: Graph) -> Graph:
    """``graph`` as the rung of the script runs it; E0301 and its kin for what it cannot be."""
    found = Diagnostics()
    if state.rung == "s1615":
        made = spinnaker(graph, found)
    else:
        null = Target.unlimited()
        made = Quantise(**state.options).run(Legalise().run(graph, null, found), null, found)
    for diagnostic in found:
        warn(str(diagnostic), stacklevel=2)
    return made


def _in_integers(graph: Graph, name: str, variable: str) -> bool:
    """Whether a rung has a variable in real units; E1005 where it has not."""
    neuron: Any = graph.population(name).neuron
    if variable in neuron.state and neuron.real(variable) is not None:
        return True
    raise fail(
        "E1005",
        f"{variable} of '{name}' is recorded, which the rung {state.rung} does not have in real "
        "units",
        graph.population(name).at,
        "record v, or run on the golden rung",
    )


def _unit(graph: Graph, name: str) -> float:
    """What one unit of a learned weight stands for, in SI."""
    projection = next(p for p in graph.projections if p.name == name)
    neuron: Any = graph.population(projection.post).neuron
    if isinstance(neuron, SpinnakerLIF):
        words: Format = neuron.words[projection.receptor or "excitatory"]
        return float(words.values(1) * NANO)
    raise fail(
        "E1005",
        f"the weights of '{name}' learn on the rung integer, where their unit is that of the "
        "membrane",
        projection.at,
        "read them on the rungs golden or s1615",
    )
