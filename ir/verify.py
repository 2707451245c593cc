"""The verifier: what every pass may rely on, and must leave behind."""

from __future__ import annotations

from math import prod

import numpy as np

from .connections import Chain, Connection, Conv1d, Conv2d, Delay, Scale, Sparse, stages
from .diagnostics import Diagnostics, Location
from .graph import Graph, Input, Population, Projection
from .neurons import IntegerNeuron, Threshold


def verify(graph: Graph) -> None:
    """Raise ``SpikecError`` with every rule that ``graph`` breaks."""
    found = Diagnostics()
    if not (np.isfinite(graph.dt) and graph.dt > 0):
        found.add("E0205", f"dt is {graph.dt!r} s; it must be positive and finite")
    _names(graph, found)
    for node in (*graph.inputs, *graph.populations):
        if any(n < 1 for n in node.shape):
            found.add("E0205", f"the shape {node.shape} has an empty axis", node.at)
    for population in graph.populations:
        _population(population, found)
    nodes: dict[str, Input | Population] = {
        node.name: node for node in (*graph.inputs, *graph.populations)
    }
    for projection in graph.projections:
        _projection(projection, nodes, found)
    populations = {p.name: p for p in graph.populations}
    for output in graph.outputs:
        if output.source not in populations:
            found.add("E0206", f"output '{output.name}' reads '{output.source}'", output.at)
    for probe in graph.probes:
        owner = populations.get(probe.source)
        if owner is None or probe.variable not in (*owner.neuron.STATE, "u"):
            found.add("E0206", f"there is no '{probe.source}.{probe.variable}' to probe")
    if not found.errors:
        _loops(graph, found)
    found.raise_errors()


def _names(graph: Graph, found: Diagnostics) -> None:
    seen: set[str] = set()
    for node in (*graph.inputs, *graph.populations):
        if node.name in seen:
            found.add("E0201", f"'{node.name}' is used twice", node.at)
        seen.add(node.name)
    for group in (graph.projections, graph.outputs):
        names = [item.name for item in group]
        for name in sorted({n for n in names if names.count(n) > 1}):
            found.add("E0201", f"'{name}' is used twice")


def _population(population: Population, found: Diagnostics) -> None:
    neuron, semantics = population.neuron, population.semantics
    for name in neuron.parameters():
        value = getattr(neuron, name)
        if value is None:
            continue
        if value.shape not in ((), population.shape):
            found.add(
                "E0207",
                f"{name} has shape {value.shape}, the population {population.shape}",
                population.at,
            )
        if not np.isfinite(value).all():
            count = int((~np.isfinite(value)).sum())
            found.add("E0106", f"{name} holds {count} value(s) not finite", population.at)
        elif name in neuron.TIMES and (value <= 0).any():
            found.add("E0107", f"{name} is {value.min():g} s; it must be positive", population.at)
    if isinstance(neuron, IntegerNeuron):
        _integer(population, neuron, found)
    if population.lag < 0 or semantics.refractory < 0:
        found.add("E0205", "lag and refractory steps must not be negative", population.at)
    if semantics.max_spikes is not None and semantics.max_spikes < 1:
        found.add("E0205", "max_spikes must be at least 1", population.at)
    # Several spikes a step are floor(w / threshold).
    several = semantics.max_spikes != 1 and not isinstance(neuron, Threshold)
    threshold = getattr(neuron, "v_threshold", None)
    if several and threshold is not None and not (threshold > 0).all():
        found.add(
            "E0205",
            f"the threshold is {threshold.min():g}; with several spikes a step it must be positive",
            population.at,
        )


def _integer(population: Population, neuron: IntegerNeuron, found: Diagnostics) -> None:
    state, one = neuron.numerics.state, 1 << neuron.numerics.decay_bits
    ranges = {
        "decay_v": (0, one),
        "decay_u": (0, one),
        "threshold": (state.low, state.high),
        "v_reset": (state.low, state.high),
        "v_min": (state.low, state.high),
        "bias": (state.low, state.high),
        "bias_first": (state.low, state.high),
    }
    for name, (low, high) in ranges.items():
        value = getattr(neuron, name)
        if value is None:
            continue
        if value.shape not in ((), population.shape):
            found.add(
                "E0207",
                f"{name} has shape {value.shape}, the population {population.shape}",
                population.at,
            )
        if value.size and (value.min() < low or value.max() > high):
            found.add(
                "E0205",
                f"{name} spans {value.min()} to {value.max()}, outside {low} to {high}",
                population.at,
            )
    if neuron.shift < 0 or not neuron.scale > 0:
        found.add("E0205", "shift must be at least 0 and scale positive", population.at)


def _projection(
    projection: Projection, nodes: dict[str, Input | Population], found: Diagnostics
) -> None:
    pre, post = nodes.get(projection.pre), nodes.get(projection.post)
    if pre is None or not isinstance(post, Population):
        missing = projection.pre if pre is None else projection.post
        found.add("E0202", f"'{missing}' is no node it could join", projection.at)
        return
    before = len(found)
    _connection(projection.connection, projection.at, found)
    if len(found) > before:
        return
    connection = projection.connection
    if prod(connection.in_shape) != pre.size or prod(connection.out_shape) != post.size:
        found.add(
            "E0203",
            f"'{projection.name}' maps {connection.in_shape} to {connection.out_shape}, but "
            f"'{pre.name}' has shape {pre.shape} and '{post.name}' {post.shape}",
            projection.at,
        )
    if projection.delay < 0:
        found.add("E0205", f"delay is {projection.delay} steps", projection.at)
    if projection.bias is not None:
        if projection.bias.shape not in ((), (post.size,)):
            found.add(
                "E0207",
                f"bias has shape {projection.bias.shape}, expected ({post.size},)",
                projection.at,
            )
        if not np.isfinite(projection.bias).all():
            found.add("E0106", "bias holds values not finite", projection.at)


def _connection(connection: Connection, at: Location, found: Diagnostics) -> None:
    weight = getattr(connection, "weight", None)
    if weight is not None and not np.isfinite(weight).all():
        count = int((~np.isfinite(weight)).sum())
        found.add("E0106", f"weight holds {count} value(s) not finite of {weight.size}", at)
    match connection:
        case Chain():
            parts = stages(connection)
            for part in parts:
                _connection(part, at, found)
            for left, right in zip(parts, parts[1:], strict=False):
                if prod(left.out_shape) != prod(right.in_shape):
                    found.add(
                        "E0203",
                        f"a stage gives {left.out_shape}, the next takes {right.in_shape}",
                        at,
                    )
        case Conv1d() | Conv2d():
            channels, outputs = connection.shape[0], connection.weight.shape[0]
            if (
                connection.groups < 1
                or channels % connection.groups
                or outputs % connection.groups
                or connection.weight.shape[1] != channels // connection.groups
            ):
                found.add(
                    "E0203",
                    f"weight {connection.weight.shape} with {connection.groups} group(s) does not "
                    f"take {channels} channels",
                    at,
                )
        case Sparse():
            if (
                connection.indptr.shape != (connection.pre_size + 1,)
                or connection.indptr[0] != 0
                or (np.diff(connection.indptr) < 0).any()
                or connection.indptr[-1] != connection.post.size
                or connection.post.shape != connection.weight.shape
                or (connection.post < 0).any()
                or (connection.post >= connection.post_size).any()
            ):
                found.add("E0205", "the rows of a sparse connection are inconsistent", at)
        case Scale() if not np.isfinite(connection.scale).all():
            found.add("E0106", "scale holds values not finite", at)
        case Delay() if (connection.steps < 0).any():
            found.add("E0205", "a delay is negative", at)
        case _:
            pass
    if any(n < 1 for n in connection.out_shape):
        found.add("E0203", f"{type(connection).__name__} leaves {connection.out_shape}", at)


def _loops(graph: Graph, found: Diagnostics) -> None:
    registered = {p.name: p.semantics.registered for p in graph.populations}
    edges: dict[str, set[str]] = {p.name: set() for p in graph.populations}
    for p in graph.projections:
        if p.pre in registered and p.delay == 0 and not registered[p.pre]:
            edges[p.pre].add(p.post)
    loop = find_loop(edges)
    if loop:
        found.add(
            "E0204",
            "no delay on the loop " + " -> ".join(loop),
            graph.population(loop[0]).at,
            "give one of its projections a delay of at least one step",
        )


def find_loop(edges: dict[str, set[str]]) -> list[str] | None:
    """A cycle of a directed graph as names, the first repeated at the end; None without one."""
    done: set[str] = set()
    for root in edges:
        path: list[str] = []
        on_path: set[str] = set()
        stack: list[tuple[str, bool]] = [(root, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                path.pop()
                on_path.discard(node)
                done.add(node)
                continue
            if node in on_path:
                return [*path[path.index(node) :], node]
            if node in done:
                continue
            path.append(node)
            on_path.add(node)
            stack.append((node, True))
            stack.extend((succ, False) for succ in sorted(edges[node], reverse=True))
    return None
