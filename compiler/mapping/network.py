"""The axons of a graph: what the mapper sees of populations, projections and inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...boards.machine import Machine
from ...ir.connections import Conv1d, Conv2d, Flatten, stages
from ...ir.diagnostics import fail
from ...ir.graph import Graph, Input, Population, Projection
from ..connectivity import delays, pattern
from .axons import Axons, Bundle, Node, Window

Integers = npt.NDArray[np.int64]


def axons_of(
    graph: Graph,
    machine: Machine,
    weight_bits: int,
    rates: Mapping[str, Integers] | None = None,
    synapses: str = "",
) -> Axons:
    """The network of ``graph``, populations first, then inputs.

    ``rates`` has the spikes of each neuron or line in some window, by node, shape (size,); without
    it every axon counts one. Inputs take places in cores where the machine's do. ``synapses`` is
    the format that they are to have; E0707 where the machine has none of this name.
    """
    nodes: list[Node] = []
    at = 0
    every: list[Population | Input] = [*graph.populations, *graph.inputs]
    for node in every:
        nodes.append(Node(node.name, at, node.size, node.at, isinstance(node, Input)))
        at += node.size
    placed = graph.neurons + (sum(i.size for i in graph.inputs) if machine.inputs_on_cores else 0)
    first = {node.name: node.first for node in nodes}
    bundles = tuple(_bundle(p, first[p.pre], first[p.post]) for p in graph.projections)
    rate = np.ones(at, np.int64)
    for name, counts in (rates or {}).items():
        rate[first[name] : first[name] + counts.size] = counts
    formats = machine.encoding.formats
    names = [] if formats is None else [one.name for one in formats.every]
    if synapses and synapses not in names:
        raise fail(
            "E0707",
            f"--synapses {synapses}: '{machine.name}' has no such format",
            hint=f"it has: {', '.join(names) or 'none that is known'}",
        )
    return Axons(tuple(nodes), placed, bundles, rate, weight_bits, synapses)


def synapse_delays(projection: Projection, ptr: Integers, post: npt.NDArray[Any]) -> Integers:
    """Steps of each synapse, shape () where all have the same; rows by pre: ``ptr`` and ``post``.

    An output register of the source is not among them.
    """
    before, behind = delays(projection.connection, projection.at)
    if (before != before[:1]).any() or (behind != behind[:1]).any():
        every: Integers = projection.delay + np.repeat(before, np.diff(ptr)) + behind[post]
        return every
    return np.asarray(projection.delay + before[:1].sum() + behind[:1].sum())


def _bundle(projection: Projection, first: int, post: int) -> Bundle:
    connection = projection.connection
    ptr, target = pattern(connection)
    steps = synapse_delays(projection, ptr, target).astype(np.int32)
    words = projection.words
    return Bundle(
        projection.name,
        first,
        ptr,
        target + np.int32(post),
        steps,
        _kernel(connection),
        projection.at,
        _window(connection),
        0 if words is None else words.bits,
    )


def _kernel(connection: Any) -> int:
    """How many weights the synapses of a convolution share; 0 for anything else."""
    parts = stages(connection)
    kernels = [part for part in parts if isinstance(part, Conv1d | Conv2d)]
    if len(kernels) != 1 or any(part.WEIGHTED for part in parts if part is not kernels[0]):
        return 0
    return int(np.count_nonzero(kernels[0].weight))


def _window(connection: Any) -> Window | None:
    """The geometry of a convolution alone."""
    match [part for part in stages(connection) if not isinstance(part, Flatten)]:
        case [Conv2d() as one]:
            y, x = np.stack(
                [one.in_shape[1:], one.out_shape[1:], one.stride, one.weight.shape[2:]], axis=1
            ).tolist()
        case [Conv1d() as one]:
            y = [1, 1, 1, 1]
            x = [one.in_shape[1], one.out_shape[1], one.stride, one.weight.shape[2]]
        case _:
            return None
    return Window(*(size for pair in zip(y, x, strict=True) for size in pair))
