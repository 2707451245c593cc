"""Projections of the graph as PyNN's: lists of synapses in PyNN's units, and their rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...compiler.connectivity import entries
from ...ir.connections import Dense, Flatten, OneToOne, Sparse, stages
from ...ir.diagnostics import SpikecError, fail
from ...ir.graph import Input, Projection
from ...ir.neurons import CURRENT
from ...ir.plasticity import Coincidence, Dependence, Pairing, PairSTDP, Transmit, Window
from ...ir.short_term import TsodyksMarkram
from .cells import EXCITATORY, INHIBITORY, MILLI, Cell, in_unit

Real = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rule:
    """``SpikePairRule`` and its weight dependence, in PyNN's units.

    ``a_plus`` and ``a_minus`` are shares of w_max; ``potentiation`` and ``depression`` say how
    amplitudes depend on the weight.
    """

    a_plus: float
    a_minus: float
    tau_plus: float
    tau_minus: float
    w_min: float
    w_max: float
    potentiation: Dependence
    depression: Dependence
    coincidence: Coincidence
    fraction: float

    @property
    def additive(self) -> bool:
        """Whether no amplitude depends on the weight."""
        return Dependence.MULTIPLICATIVE not in (self.potentiation, self.depression)


@dataclass(frozen=True)
class Synapses:
    """A projection of PyNN, one receptor each, in the order of the graph's weights.

    ``pre``, ``post``, ``weight``, ``delay`` (ms) and ``steps`` have one value a synapse. ``shape``
    is that of the graph's weights, ``unit`` the value of a PyNN weight of one in them.
    """

    source: Projection
    name: str
    receptor: str
    pre: Places
    post: Places
    weight: Real
    steps: Places
    rule: Rule | None = None
    short_term: dict[str, Real] | None = None
    shape: tuple[int, ...] = ()
    unit: float = 1.0


@dataclass(frozen=True)
class Injection:
    """A current that the line ``line`` of an input injects into ``post``, ``factor`` times.

    ``factor`` is in nA for an input of one.
    """

    source: Projection
    line: int
    factor: float
    post: Places


def _refuse(projection: Projection, why: str, hint: str | None = None) -> SpikecError:
    return fail("E1108", f"projection '{projection.name}' {why}", projection.at, hint)


def _listed(projection: Projection) -> tuple[Places, Places, Any, Places, tuple[int, ...]]:
    """Pre, post, weight and steps of every synapse, and the shape of the weights."""
    parts = [part for part in stages(projection.connection) if not isinstance(part, Flatten)]
    stage = parts[0] if len(parts) == 1 else None
    if not isinstance(stage, Dense | Sparse | OneToOne):
        names = ", ".join(type(part).__name__ for part in stages(projection.connection))
        raise _refuse(
            projection,
            f"is {names}; a PyNN program lists synapses: Dense, Sparse or OneToOne",
            "unroll a small convolution to Sparse; write delays on the projection",
        )
    pre, post, weight = entries(stage)
    own = stage.steps if isinstance(stage, Sparse) and stage.steps is not None else 0
    steps = np.broadcast_to(projection.delay + np.asarray(own, np.int64), pre.shape)
    return pre.astype(np.int64), post.astype(np.int64), weight, steps, stage.weight.shape


def injections(projection: Projection, pre: Any, cell: Cell) -> Iterator[Injection]:
    """What a projection that ends at the port ``current`` injects; E1108 from a population."""
    if not isinstance(pre, Input):
        raise _refuse(
            projection, "sends a current from a population; PyNN has currents of sources alone"
        )
    line, post, weight, steps, _ = _listed(projection)
    if steps.any():
        raise _refuse(projection, "delays a current, which PyNN does not")
    for first, value in sorted({(int(a), float(b)) for a, b in zip(line, weight, strict=True)}):
        chosen = (line == first) & (weight == value)
        yield Injection(projection, first, value / cell.current_unit, np.sort(post[chosen]))


def synapses(projection: Projection, cell: Cell) -> Iterator[Synapses]:
    """The projections of PyNN that one of the graph is, by receptor.

    E1105 for a weight of the wrong sign, E1102 for rules that PyNN has not, E1108 for connections.
    """
    if projection.bias is not None and np.any(projection.bias):
        raise _refuse(projection, "has a bias; PyNN's projections have none", "add it to i_offset")
    pre, post, weight, steps, shape = _listed(projection)
    rule = _rule(projection, cell)
    if cell.by_sign:
        # A weight of zero has no sign, and sends nothing unless it learns.
        keep = {
            EXCITATORY: np.flatnonzero((weight > 0) | (rule is not None)),
            INHIBITORY: np.flatnonzero(weight < 0),
        }
        both = all(chosen.size for chosen in keep.values())
    else:
        keep = {projection.receptor or "": np.arange(weight.size)}
        both = False
    for receptor, chosen in keep.items():
        if not chosen.size:
            continue
        values = _weights(weight[chosen], post[chosen], receptor, cell)
        _check_signs(projection, receptor, values, cell)
        factor = np.asarray(cell.factor[receptor])
        yield Synapses(
            projection,
            f"{projection.name} ({receptor})" if both else projection.name,
            receptor,
            pre[chosen],
            post[chosen],
            values,
            steps[chosen],
            rule,
            _short_term(projection.short_term, chosen),
            shape if rule is not None else (),
            cell.unit / float(factor.flat[0]),
        )


def _weights(weight: Real, post: Places, receptor: str, cell: Cell) -> Real:
    factor = np.asarray(cell.factor[receptor])
    each = factor[post] if factor.ndim else factor
    if np.all(each == 1.0):
        found = np.atleast_1d(in_unit(weight, cell.unit))
    else:
        found = np.asarray(weight, np.float64) * each / cell.unit
    return np.array(np.broadcast_to(found, weight.shape), np.float64)


def _check_signs(projection: Projection, receptor: str, weight: Real, cell: Cell) -> None:
    """PyNN's convention: all weights are positive but those of inhibitory currents."""
    negative = receptor == INHIBITORY and cell.signed
    wrong = weight > 0 if negative else weight < 0
    if wrong.any():
        worst = float(weight[np.argmax(np.abs(weight) * wrong)])
        raise fail(
            "E1105",
            f"projection '{projection.name}' has {int(wrong.sum())} weights of the wrong sign at "
            f"the receptor {receptor} of {cell.name}, the largest {worst:g}",
            projection.at,
            f"these must be {'negative' if negative else 'positive'}: send them to "
            f"{EXCITATORY if receptor == INHIBITORY else INHIBITORY}",
        )


def _rule(projection: Projection, cell: Cell) -> Rule | None:
    plasticity = projection.plasticity
    if plasticity is None or not plasticity.learning:
        return None

    def refuse(why: str) -> SpikecError:
        return fail(
            "E1102",
            f"projection '{projection.name}' {why}",
            projection.at,
            "PyNN's STDPMechanism has SpikePairRule: all pairs, exponential windows, weights in "
            "full precision, the changed weight sent",
        )

    rule = plasticity.rule
    if type(rule) is not PairSTDP:
        raise refuse(f"learns by {type(rule).__name__}, which PyNN does not have")
    unlike = [
        f"{name} is {value}, not {wanted}"
        for name, value, wanted in (
            ("pairing", rule.pairing, Pairing.ALL),
            ("window", rule.window, Window.EXPONENTIAL),
            ("bits", rule.bits, None),
            ("transmit", plasticity.transmit, Transmit.AFTER),
        )
        if value != wanted
    ]
    if plasticity.enable is not None and not plasticity.enable.all():
        unlike.append("some of its synapses do not learn")
    if unlike:
        raise refuse(f"learns by another rule than PyNN's: {'; '.join(unlike)}")
    receptor = EXCITATORY if cell.by_sign else (projection.receptor or EXCITATORY)
    if plasticity.w_max <= 0 or plasticity.w_min < 0:
        raise refuse(
            f"learns weights from {plasticity.w_min:g} to {plasticity.w_max:g}; they must be "
            "positive"
        )
    potentiation, depression = rule.dependences
    up, down = (kind is Dependence.MULTIPLICATIVE for kind in (potentiation, depression))
    if up and not down:
        raise refuse("potentiates by the weight but depresses regardless of it")
    factor = np.asarray(cell.factor[receptor])
    if factor.ndim:
        raise refuse("ends at neurons of unlike time constants, which scale its weights apart")
    scale = float(factor) / cell.unit
    low, high = plasticity.w_min * scale, plasticity.w_max * scale

    def share(amplitude: float, dependence: Dependence) -> float:
        """Of w_max; an additive amplitude is in the unit of the weight."""
        if dependence is Dependence.ADDITIVE:
            return float(in_unit(amplitude, plasticity.w_max))
        return amplitude

    return Rule(
        share(rule.a_plus, potentiation),
        share(rule.a_minus, depression),
        float(in_unit(rule.tau_plus, MILLI)),
        float(in_unit(rule.tau_minus, MILLI)),
        float(in_unit(low, 1.0)),
        float(in_unit(high, 1.0)),
        potentiation,
        depression,
        rule.coincidence,
        rule.dendritic_delay_fraction,
    )


def _short_term(rule: TsodyksMarkram | None, places: Places) -> dict[str, Real] | None:
    if rule is None:
        return None
    values = {
        "U": np.asarray(rule.u),
        "tau_rec": in_unit(rule.tau_rec, MILLI),
        "tau_facil": in_unit(rule.tau_facil, MILLI),
    }
    return {name: value.ravel()[places] if value.ndim else value for name, value in values.items()}


def is_current(projection: Projection) -> bool:
    """Whether a projection ends at the port ``current``."""
    return projection.receptor == CURRENT
