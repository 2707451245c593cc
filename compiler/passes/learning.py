"""What learns in a quantised graph: rules, scaling and ties in whole numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import frexp, ldexp

import numpy as np

from ...ir.connections import Dense, Flatten, OneToOne, Sparse, chain, stages
from ...ir.diagnostics import Diagnostics
from ...ir.graph import TIE_BITS, Graph, Input, Projection, tied_weight
from ...ir.neurons import IntegerNeuron
from .rules import NoFormError, Units, Values, integer_rule


@dataclass(frozen=True)
class Quantised:
    """A graph and the one it comes from, with rails in units of a weight.

    ``factors`` says how many units a real weight is, for each population that was real, ``counts``
    how many spikes a node sends in a step at most; ``widest`` and ``fraction`` as in `Units`.
    """

    graph: Graph
    real: Graph
    factors: Mapping[str, float]
    counts: Callable[[str], int]
    widest: int
    fraction: int | None

    def shows(self, name: str) -> Values:
        """What whole numbers make of what a node shows."""
        node = self.graph.node(name)
        if isinstance(node, Input):
            return Values(1.0, self.counts(name), True)
        neuron = node.neuron
        if isinstance(neuron, IntegerNeuron) and not neuron.spiking:
            if np.any(neuron.v_origin):
                raise NoFormError(
                    f"'{name}' shows a membrane that is counted from {np.max(neuron.v_origin):g}",
                    "let it start at 0, or run it on the golden rung",
                )
            return Values(neuron.scale, _reach(neuron), False)
        return Values(1.0, self.counts(name), True)


def _reach(neuron: IntegerNeuron) -> int:
    """The largest membrane that a readout may have, by what can enter it in a step."""
    numerics, one = neuron.numerics, 1 << neuron.numerics.decay_bits
    drive = 2.0 ** (numerics.acc_bits - 1 + neuron.shift) + float(np.max(np.abs(neuron.bias)))
    for decay in (neuron.decay_u, neuron.decay_v):
        kept = 0 if decay is None else int(np.max(decay))
        drive = drive * one / (one - kept) if kept < one else np.inf
    return int(min(drive, numerics.state.high))


def whole_rules(quantised: Quantised, found: Diagnostics) -> Graph:
    """The graph with rules, targets and ties in whole numbers; E0405 where they have no such form.

    Rules and ties of populations that were quantised before stay as they are.
    """
    done: dict[str, Projection] = {}
    for p in quantised.graph.projections:
        done[p.name] = _with_rule(p, quantised, found)
    for p in quantised.graph.projections:
        if p.tied is not None:
            done[p.name] = _with_tie(p, done[p.tied.projection], quantised, found)
    found.raise_errors()
    return replace(quantised.graph, projections=tuple(done.values()))


def _with_rule(projection: Projection, quantised: Quantised, found: Diagnostics) -> Projection:
    plasticity, factor = projection.plasticity, quantised.factors.get(projection.post)
    if plasticity is None or plasticity.rule.INTEGER or factor is None:
        return projection
    real = next(p for p in quantised.real.projections if p.name == projection.name).plasticity
    assert real is not None
    units = Units(factor, quantised.real.dt, quantised.widest, quantised.shows, quantised.fraction)
    try:
        rule = integer_rule(real, units, projection.pre, projection.post)
    except NoFormError as error:
        found.add("E0405", f"'{projection.name}': {error}", projection.at, error.hint)
        return projection
    scaling = plasticity.scaling
    if scaling is not None:
        scaling = replace(scaling, target=scaling.target * factor)
    return replace(projection, plasticity=replace(plasticity, rule=rule, scaling=scaling))


def _with_tie(
    projection: Projection, source: Projection, quantised: Quantised, found: Diagnostics
) -> Projection:
    tied, factors = projection.tied, quantised.factors
    neuron = quantised.graph.population(projection.post).neuron
    if tied is None or source.plasticity is None or not isinstance(neuron, IntegerNeuron):
        return projection
    scale = tied.scale * factors.get(projection.post, 1.0) / factors.get(source.post, 1.0)
    mantissa, exponent = frexp(scale)
    scale = ldexp(round(ldexp(mantissa, TIE_BITS)), exponent - TIE_BITS)
    form = neuron.numerics.weight
    most = abs(scale) * max(abs(source.plasticity.w_min), abs(source.plasticity.w_max))
    if round(most) > form.high:
        found.add(
            "E0405",
            f"'{projection.name}', tied to '{source.name}', has weights of up to {most:.4g} units; "
            f"a weight has {form.low} to {form.high}",
            projection.at,
            "use more --weight-bits, or narrower rails",
        )
        return projection
    (mine,) = (s for s in stages(projection.connection) if not isinstance(s, Flatten))
    (other,) = (s for s in stages(source.connection) if not isinstance(s, Flatten))
    assert isinstance(mine, Dense | Sparse | OneToOne)
    assert isinstance(other, Dense | Sparse | OneToOne)
    tied = replace(tied, scale=scale)
    stage = replace(mine, weight=tied_weight(mine, other, tied))
    parts = tuple(s if isinstance(s, Flatten) else stage for s in stages(projection.connection))
    connection = chain(parts, projection.connection.in_shape)
    return replace(projection, connection=connection, tied=tied)
