"""A graph as a network of PyNN: what a program is written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...ir.diagnostics import SpikecError, fail
from ...ir.graph import Graph
from .cells import Cell, cell
from .synapses import Injection, Synapses, injections, is_current, synapses


@dataclass(frozen=True)
class Network:
    """Cells by population, and the projections of PyNN.

    ``sources`` are inputs whose events are spikes, ``currents`` those whose values are currents.
    """

    graph: Graph
    cells: Mapping[str, Cell]
    synapses: tuple[Synapses, ...]
    injections: tuple[Injection, ...]
    sources: tuple[str, ...]
    currents: tuple[str, ...]


def network(graph: Graph) -> Network:
    """The network of PyNN that says what a graph says; every refusal at once."""
    refused: list[SpikecError] = []
    cells: dict[str, Cell] = {}
    for population in graph.populations:
        try:
            cells[population.name] = cell(population, graph.dt)
        except SpikecError as error:
            refused.append(error)
    found: list[Synapses] = []
    injected: list[Injection] = []
    for projection in graph.projections:
        if projection.post not in cells:
            continue
        post = cells[projection.post]
        try:
            if is_current(projection):
                injected += injections(projection, graph.node(projection.pre), post)
            else:
                found += synapses(projection, post)
        except SpikecError as error:
            refused.append(error)
    currents = {i.source.pre for i in injected}
    both = sorted(currents & {s.source.pre for s in found})
    if both:
        refused.append(
            fail(
                "E1108",
                f"input '{both[0]}' is both a current and a source of spikes",
                graph.node(both[0]).at,
                "make two inputs of it",
            )
        )
    if refused:
        raise SpikecError([d for error in refused for d in error.diagnostics])
    return Network(
        graph,
        cells,
        tuple(found),
        tuple(injected),
        tuple(i.name for i in graph.inputs if i.name not in currents),
        tuple(i.name for i in graph.inputs if i.name in currents),
    )
