"""The programs of the cores: which neurons each one has, what it hears and what that does there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...compiler.connectivity import to_sparse
from ...compiler.integer.population import registered
from ...compiler.mapping.axons import Axons
from ...compiler.mapping.check import check_form
from ...compiler.mapping.mapping import Mapping
from ...compiler.mapping.network import synapse_delays
from ...ir.diagnostics import fail
from ...ir.graph import Graph, Projection
from ...ir.records import Record, frozen_array
from . import core_kernels as kernels

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]
Narrow = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Cores(Record):
    r"""What is in every core: a spike count :math:`s_a` of the source a adds, in core c,

    .. math::
        \mathrm{acc}_{c,\,l}(t + d) \mathrel{+}= w\, s_a(t)

    over the synapses (l, w, d) of its in-axon a. Core c is part c of the mapping. Its neurons are
    ``neuron[neuron_ptr[c]:neuron_ptr[c + 1]]``, ascending numbers of `Axons`; their places there
    are the local indices l. Its in-axons are k from ``axon_ptr[c]`` to ``axon_ptr[c + 1]``, those
    of the core's own neurons among them, with the sources ``axon_source[k]``, ascending numbers of
    `Axons`. Axon k has the synapses s from ``synapse_ptr[k]`` to ``synapse_ptr[k + 1]``: ``target``
    (the local index), ``weight``, ``delay`` in steps from the one in which the source spikes, its
    output register included. They ascend by target within a projection, projections in the order
    of the graph; a pair of neurons has one synapse for each projection that joins it.

    Shapes: (cores + 1,), (places,), (cores + 1,), (axons,), (axons + 1,), and three times
    (synapses,), of the narrowest integers that hold them: 12 bytes an axon, and 4 a synapse with
    weights of 8 bits, delays below 256 steps and at most 65,536 neurons a core; never more than 16.
    """

    neuron_ptr: Integers
    neuron: Ids
    axon_ptr: Integers
    axon_source: Ids
    synapse_ptr: Integers
    target: Narrow
    weight: Narrow
    delay: Narrow

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("neuron_ptr", "axon_ptr", "synapse_ptr"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int64))
        for name in ("neuron", "axon_source"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int32))
        for name in ("target", "weight", "delay"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    @property
    def count(self) -> int:
        """How many cores there are."""
        return self.neuron_ptr.size - 1

    @property
    def synapses(self) -> int:
        """Synapses of all cores."""
        return self.target.size


def cores_of(graph: Graph, axons: Axons, mapping: Mapping) -> Cores:
    """The programs of all cores of ``mapping``, whose numbers are those of ``axons``.

    Weights, targets and delays are read from the graph again, not from ``axons``: what the mapper
    did not see has no route, and shows. Takes time in proportion to the synapses, and on the way
    their memory twice more beside the largest projection unrolled.

    Raises E0301 where weights are not integers, E0308 where a projection has plasticity, E0322
    where the arrays of the mapping are not of the right form, ``ValueError`` for axons of another
    graph.
    """
    check_form(axons, mapping)
    first = _numbers(graph, axons)
    rows = [_rows(projection, graph) for projection in graph.projections]
    counts = np.zeros(axons.sources, np.int64)
    for projection, (ptr, *_) in zip(graph.projections, rows, strict=True):
        counts[first[projection.pre] :][: ptr.size - 1] += np.diff(ptr)
    row_ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    place = row_ptr[:-1].copy()
    synapses = int(row_ptr[-1])
    later = {p.name: registered(p, graph) for p in graph.projections}
    longest = max(
        (
            int(delay.max(initial=0)) + later[p.name]
            for p, (*_, delay) in zip(graph.projections, rows, strict=True)
        ),
        default=0,
    )
    # By source first: what several projections bring to one core is one axon there.
    target = np.empty(synapses, np.int32)
    weight: Narrow = np.empty(synapses, np.result_type(np.int8, *(w.dtype for _, _, w, _ in rows)))
    delay: Narrow = np.empty(synapses, np.uint8 if longest < 1 << 8 else np.int32)
    for projection, (ptr, post, values, steps) in zip(graph.projections, rows, strict=True):
        kernels.append_rows(
            ptr,
            post,
            values,
            np.atleast_1d(steps),
            later[projection.name],
            first[projection.post],
            place[first[projection.pre] :],
            target,
            weight,
            delay,
        )
    del rows
    return _by_core(row_ptr, target, weight, delay, mapping)


def _by_core(row_ptr: Integers, target: Ids, weight: Narrow, delay: Narrow, m: Mapping) -> Cores:
    neuron = np.argsort(m.part, kind="stable").astype(np.int32)
    sizes = np.bincount(m.part, minlength=m.parts)
    neuron_ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    local = np.empty(neuron.size, np.int32)
    local[neuron] = np.arange(neuron.size) - np.repeat(neuron_ptr[:-1], sizes)
    axons, synapses = np.zeros(m.parts, np.int64), np.zeros(m.parts, np.int64)
    kernels.count_axons(row_ptr, target, m.part, axons, synapses)
    axon_ptr = np.concatenate([[0], np.cumsum(axons)]).astype(np.int64)
    first_synapse = np.cumsum(synapses) - synapses
    axon_source = np.empty(axon_ptr[-1], np.int32)
    synapse_ptr = np.full(axon_ptr[-1] + 1, target.size, np.int64)
    out_target: Narrow = np.empty(
        target.size, np.uint16 if sizes.max(initial=0) <= 1 << 16 else np.int32
    )
    out_weight, out_delay = np.empty_like(weight), np.empty_like(delay)
    kernels.fill_axons(
        row_ptr,
        target,
        weight,
        delay,
        m.part,
        local,
        axon_ptr[:-1].copy(),
        first_synapse,
        axon_source,
        synapse_ptr,
        out_target,
        out_weight,
        out_delay,
    )
    return Cores(
        neuron_ptr, neuron, axon_ptr, axon_source, synapse_ptr, out_target, out_weight, out_delay
    )


def _numbers(graph: Graph, axons: Axons) -> dict[str, int]:
    """The first number of each node; ``ValueError`` unless they are those of `axons_of`."""
    wanted = [(p.name, p.size) for p in graph.populations]
    wanted += [(i.name, i.size) for i in graph.inputs]
    if wanted != [(node.name, node.size) for node in axons.nodes]:
        raise ValueError(f"these axons are not those of '{graph.name}'")
    return {node.name: node.first for node in axons.nodes}


def _rows(projection: Projection, graph: Graph) -> tuple[Integers, Ids, Narrow, Integers]:
    """Pointers, targets, weights and delays of a projection, in rows by source."""
    if projection.plasticity is not None:
        raise fail(
            "E0308",
            f"'{projection.name}' learns; the cores of a chip do not",
            projection.at,
            "train it on the integer rung, and compile Executor.learned() without plasticity",
        )
    matrix = to_sparse(projection.connection)
    if matrix.dtype.kind != "i":
        raise fail("E0301", f"the weights of '{projection.name}' are not integers", projection.at)
    ptr, post = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    return ptr, post, _narrowest(matrix.data), synapse_delays(projection, ptr, post)


def _narrowest(values: npt.NDArray[Any]) -> Narrow:
    low, high = values.min(initial=0), values.max(initial=0)
    for dtype in (np.int8, np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return values.astype(dtype)
    return values
