"""Legalisation: what the target lacks becomes what it has, exactly, or is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar

import networkx as nx
import numpy as np
import numpy.typing as npt

from ...boards.board import Target
from ...ir.connections import (
    AvgPool2d,
    Chain,
    Connection,
    Delay,
    Dense,
    Flatten,
    OneToOne,
    Scale,
    Sparse,
    SumPool2d,
    chain,
    stages,
)
from ...ir.diagnostics import Diagnostics
from ...ir.graph import Graph, Projection
from ...ir.neurons import (
    CubaLI,
    CubaLIF,
    Emission,
    IntegerNeuron,
    Izhikevich,
    LinearLIF,
    LoihiNeuron,
    SpinnakerLIF,
    Threshold,
)
from ...ir.semantics import Reset
from ...ir.step import v_start
from ..connectivity import delays, to_sparse
from .fold import Real, scale_inputs, scale_outputs
from .points import by_delay, lower_points

# A product of connections denser than this is kept dense: an index costs as much as two weights.
_DENSE = 1 / 3


@dataclass(frozen=True)
class Legalise:
    """Bring every connection into the form the integer rung and the targets share.

    Afterwards a connection has exactly one weighted stage, and around it only sum pooling:
    ``Flatten`` is dropped (sizes already agree), ``AvgPool2d`` becomes ``SumPool2d`` with its
    factor in the weights, ``Scale`` goes into the weights (those of a convolution, when a whole
    channel shares it), several weighted stages become their product, and delays that differ from
    synapse to synapse become one projection a delay. Point neurons become neurons with one sum
    (``points``). Populations that reach no output or probe are removed. A plastic projection has
    one weighted stage from the start, and nothing changes its weights; a rule that the target lacks
    is refused (E0308). Everything is exact up to the rounding of float64 products; what is not is
    refused.
    """

    NAME: ClassVar[str] = "legalise"

    def run(self, graph: Graph, target: Target, found: Diagnostics) -> Graph:
        """The legal graph; E0301, E0303 and E0308 for what the target cannot have."""
        graph = _without_ties(_without_dead(graph, found))
        if not graph.populations:
            found.add(
                "E0302",
                "no population reaches an output: there is nothing to compile",
                hint="name an output, or what leads to one",
            )
            found.raise_errors()
        graph = lower_points(graph, target, found)
        _check(graph, target, found)
        found.raise_errors()
        projections = tuple(
            legal for p in graph.projections for one in by_delay(p) for legal in _legal(one)
        )
        return replace(graph, projections=projections)


def _without_dead(graph: Graph, found: Diagnostics) -> Graph:
    flow: nx.DiGraph[str] = nx.DiGraph((p.pre, p.post) for p in graph.projections)
    # What a rule reads, or where the weights of a tied projection come from, is not dead either.
    for p in graph.projections:
        factors = () if p.plasticity is None else p.plasticity.rule.factors
        flow.add_edges_from((f.node, p.post) for f in factors if f.node is not None)
        if p.tied is not None:
            source = next(other for other in graph.projections if other.name == p.tied.projection)
            flow.add_edge(source.post, p.post)
    flow.add_nodes_from(p.name for p in graph.populations)
    live = {o.source for o in graph.outputs} | {p.source for p in graph.probes}
    for name in tuple(live):
        live |= nx.ancestors(flow, name)
    for population in graph.populations:
        if population.name not in live:
            found.add("W0124", f"'{population.name}' reaches no output: removed", population.at)
    return replace(
        graph,
        populations=tuple(p for p in graph.populations if p.name in live),
        projections=tuple(p for p in graph.projections if p.post in live),
    )


def _without_ties(graph: Graph) -> Graph:
    """Weights tied to some that do not change are weights like others."""
    fixed = {p.name for p in graph.projections if p.plasticity is None}
    projections = tuple(
        replace(p, tied=None) if p.tied is not None and p.tied.projection in fixed else p
        for p in graph.projections
    )
    return replace(graph, projections=projections)


def _check(graph: Graph, target: Target, found: Diagnostics) -> None:
    features = target.features
    for population in graph.populations:
        semantics = population.semantics
        if isinstance(population.neuron, LoihiNeuron) and target.loihi_words:
            continue
        if isinstance(population.neuron, SpinnakerLIF | LoihiNeuron):
            chip = "SpiNNaker" if isinstance(population.neuron, SpinnakerLIF) else "Loihi"
            found.add(
                "E0301",
                f"'{population.name}' is in the arithmetic of {chip}, which {target.name} does "
                "not have",
                population.at,
                "compile the network as it was before, or run it on the integer rung: "
                "compiler.integer.executor.Executor",
            )
            continue
        graded = population.neuron.EMISSION is Emission.GRADED
        if graded and not features.graded and any(graph.outgoing(population.name)):
            found.add(
                "E0303",
                f"'{population.name}' ({type(population.neuron).__name__}) sends real values to "
                f"'{next(graph.outgoing(population.name)).post}'; {target.name} sends spikes only",
                population.at,
                "let it feed an output only, or replace it by a spiking population",
            )
        single = graded or isinstance(population.neuron, Threshold)
        if not single and semantics.max_spikes != 1 and features.max_spikes == 1:
            allowed = semantics.max_spikes or "any number of"
            found.add(
                "E0301",
                f"'{population.name}' may emit {allowed} spikes a step; {target.name} emits one",
                population.at,
                "compile with --set max_spikes=1 and compare the accuracy, or choose another "
                "dialect",
            )
        if semantics.refractory and not semantics.refractory_frozen and features.frozen_only:
            found.add(
                "E0301",
                f"'{population.name}' integrates while it is refractory; {target.name} freezes",
                population.at,
            )
        start = v_start(population.neuron, semantics)
        if start.any() and semantics.reset is Reset.TWO_PHASE:
            threshold = getattr(population.neuron, "v_threshold", np.inf)
            if np.any(start > threshold):
                found.add(
                    "E0301",
                    f"'{population.name}' starts above its threshold; under a two-phase reset that "
                    "is no bias of the first step",
                    population.at,
                )
        neuron = population.neuron
        adapts = isinstance(neuron, IntegerNeuron) and neuron.adapt_inc is not None
        if (adapts or population.adaptive is not None) and not features.adaptive:
            found.add(
                "E0301",
                f"the threshold of '{population.name}' adapts; {target.name} has fixed thresholds",
                population.at,
            )
    if features.uniform:
        _one_circuit(graph, target, found)
    for projection in graph.projections:
        if projection.short_term is not None:
            found.add(
                "E0308",
                f"'{projection.name}' has short-term plasticity (TsodyksMarkram); {target.name} "
                "sends whole weights",
                projection.at,
                "run it on the golden rung, or leave it out and use the mean weight that it sends",
            )
        if projection.tied is not None and features.learns is not None:
            found.add(
                "E0308",
                f"'{projection.name}' is tied to '{projection.tied.projection}'; {target.name} "
                "has no tied weights",
                projection.at,
                "train it on the golden or the integer rung, and compile the weights that it "
                "learned, without plasticity",
            )
        if projection.plasticity is None or features.learns is None:
            continue
        rule = type(projection.plasticity.rule).__name__
        if rule not in features.learns:
            found.add(
                "E0308",
                f"'{projection.name}' learns by {rule}; {target.name} has "
                f"{', '.join(features.learns) or 'no rule'}",
                projection.at,
                "train it on the golden or the integer rung, and compile the weights that it "
                "learned, without plasticity",
            )


def _one_circuit(graph: Graph, target: Target, found: Diagnostics) -> None:
    """A target with one neuron circuit has a recovery, or what goes with none."""
    recovery = other = None
    for population in graph.populations:
        neuron = population.neuron
        if isinstance(neuron, Izhikevich) or getattr(neuron, "curve", None) is not None:
            recovery = population
        elif isinstance(neuron, CubaLIF | CubaLI | LinearLIF) or (
            isinstance(neuron, IntegerNeuron)
            and (neuron.decay_u is not None or neuron.leak is not None)
        ):
            other = population
    if recovery is not None and other is not None:
        found.add(
            "E0301",
            f"'{recovery.name}' has a recovery and '{other.name}' a synaptic current or a linear "
            f"leak; the one neuron circuit of {target.name} does not have both",
            other.at,
            "replace the one or the other by an IF, LIF or LI population",
        )


def _legal(projection: Projection) -> Iterator[Projection]:
    parts = stages(projection.connection)
    if projection.words is not None:
        # Final numbers, of one stage, which no factor may turn into real ones.
        kept = tuple(s for s in parts if not isinstance(s, Flatten))
        yield replace(projection, connection=chain(kept, projection.connection.in_shape))
        return
    if not any(isinstance(s, Delay) for s in parts):
        yield replace(projection, connection=_one_weighted(projection.connection))
        return
    pre, post = delays(projection.connection)
    if np.all(pre == pre.flat[0]) and np.all(post == post.flat[0]):
        rest = chain(
            tuple(s for s in parts if not isinstance(s, Delay)), projection.connection.in_shape
        )
        steps = int(pre.flat[0] + post.flat[0])
        yield replace(projection, connection=_one_weighted(rest), delay=projection.delay + steps)
        return
    synapses = to_sparse(projection.connection).tocoo()
    each = pre[synapses.row] + post[synapses.col]
    if not each.size:  # no synapse, but perhaps a bias
        none = _sparse(synapses.row, synapses.col, synapses.data, synapses.shape)
        yield replace(projection, connection=none)
    for steps in np.unique(each).tolist():
        keep = each == steps
        connection = _sparse(
            synapses.row[keep], synapses.col[keep], synapses.data[keep], synapses.shape
        )
        yield replace(
            projection,
            name=f"{projection.name}@{steps}",
            connection=connection,
            delay=projection.delay + int(steps),
            bias=projection.bias if steps == each.min() else None,
        )


def _one_weighted(connection: Connection) -> Connection:
    factor = 1.0
    kept: list[Connection] = []
    for stage in stages(connection):
        match stage:
            case Flatten():
                continue
            case Scale() | OneToOne():
                values = stage.scale if isinstance(stage, Scale) else stage.weight
                if values.ndim == 0:
                    factor *= float(values)
                else:
                    kept.append(OneToOne(np.ravel(values), stage.shape))
            case AvgPool2d():
                factor /= stage.kernel[0] * stage.kernel[1]
                kept.append(SumPool2d(stage.shape, stage.kernel, stage.stride, stage.padding))
            case _:
                kept.append(stage)
    kept = _folded(kept)
    weighted = [k for k, stage in enumerate(kept) if stage.WEIGHTED]
    if len(weighted) > 1:
        return _product(Chain(tuple(kept)), factor)
    if not weighted:
        shape = kept[-1].out_shape if kept else connection.in_shape
        kept.append(OneToOne(np.asarray(factor), shape))
    elif factor != 1.0:
        stage = kept[weighted[0]]
        kept[weighted[0]] = replace(stage, weight=stage.weight * factor)  # type: ignore[call-arg, attr-defined]  # WEIGHTED stages have a weight
    return chain(tuple(kept), connection.in_shape)


def _folded(parts: list[Connection]) -> list[Connection]:
    """Element-by-element factors go into a weighted neighbour that stays as compact as it is."""
    kept: list[Connection] = []
    for part in parts:
        before = kept[-1] if kept else None
        together = None
        if isinstance(part, OneToOne) and before is not None:
            together = scale_outputs(before, _each(part))
        elif isinstance(before, OneToOne):
            together = scale_inputs(part, _each(before))
        if together is None:
            kept.append(part)
        else:
            kept[-1] = together
    return kept


def _each(stage: OneToOne) -> Real:
    return np.broadcast_to(np.ravel(stage.weight), (prod(stage.shape),)).astype(np.float64)


def _product(connection: Connection, factor: float) -> Connection:
    matrix = to_sparse(connection)
    rows, columns = matrix.shape
    if matrix.nnz > _DENSE * rows * columns:
        return Dense(np.ascontiguousarray(matrix.toarray().T) * factor)
    coo = matrix.tocoo()
    return _sparse(coo.row, coo.col, coo.data * factor, matrix.shape)


def _sparse(
    row: npt.NDArray[Any], column: npt.NDArray[Any], data: npt.NDArray[Any], shape: tuple[int, int]
) -> Sparse:
    order = np.lexsort((column, row))
    counts = np.bincount(row, minlength=shape[0])
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return Sparse(shape[0], shape[1], indptr, column[order], data[order])


def is_legal(projection: Projection) -> bool:
    """Whether a connection has one weighted stage and otherwise sum pooling only."""
    parts = stages(projection.connection)
    return sum(s.WEIGHTED for s in parts) == 1 and all(
        s.WEIGHTED or type(s) is SumPool2d for s in parts
    )
