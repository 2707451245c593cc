r"""From pairs in real numbers to those of Loihi's learning engine.

With n the step of the post spike minus that of the pre spike, and a delay of one step, `PairSTDP`
gives :math:`A_+ e^{-(n - 1) / \tau_+}` for n of 1 and more and
:math:`A_- e^{-(1 - n) / \tau_-}` below where all of the delay is axonal, and
:math:`A_+ e^{-(n + 1) / \tau_+}` for n of 0 and more and :math:`A_- e^{-(-1 - n) / \tau_-}` below
where it is dendritic. `LoihiPairSTDP` of epochs of one step gives :math:`P e^{-n / \tau_+}` for n
of 0 and more and :math:`D e^{n / \tau_-}` for n of 0 and less: P and D take up a step of a time
constant, and its third product takes one of them back at n = 0, where it has both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import exp, floor
from typing import Any, Final

import numpy as np

from ...ir.connections import Dense, Flatten, OneToOne, stages
from ...ir.graph import Graph, Input, Population, Projection
from ...ir.loihi import DECAY_UNITY, DELAY_RANGE, LoihiWeights, Sign
from ...ir.loihi_learning import MANTISSA_RANGE, SCALE_RANGE, TAU_MAX, TRACE_MAX, LoihiPairSTDP
from ...ir.neurons import LoihiLIF
from ...ir.plasticity import (
    Coincidence,
    Dependence,
    Pairing,
    PairSTDP,
    Plasticity,
    Transmit,
    Window,
)
from ...ir.semantics import Semantics

# Of the impulse: Lava's own, and what leaves amplitudes a choice. The larger it is the less counts
# what rounding does to a trace; but a spike in every second step must not fill it.
_IMPULSE: Final = 16
_LEAST_IMPULSE: Final = 4
_MANTISSAS: Final = np.arange(1, MANTISSA_RANGE[1] + 1)
_POWERS: Final = 2.0 ** np.arange(SCALE_RANGE[0], SCALE_RANGE[1] + 1)
# What an octave of the impulse, and the error of what one step takes back, count beside the error
# of an amplitude.
_OCTAVE: Final = 0.003
_TAKEN: Final = 0.05
# What counts beside both: by how much the two sides of a rule are off from each other.
_BALANCE: Final = 5.0
# By how much of itself an amplitude may be off, and up to where one can be taken back.
_VANISHES: Final = 0.1
_LARGEST: Final = float(_MANTISSAS[-1] * _POWERS[-1])
# A neuron that spikes with every spike that it gets, and what brings it.
_RELAY: Final = LoihiLIF(du=np.array(DECAY_UNITY - 1), dv=np.array(0), vth=np.array(0))
_ONE: Final = LoihiWeights(sign=Sign.EXCITATORY)
# Seeds lie apart, because one rule uses two of them and every connection the seed 2.
_FIRST_SEED: Final = 100
_SEEDS: Final = 4


@dataclass(frozen=True)
class Chosen:
    """A rule, and by how much of itself each real number of it is off.

    What takes a product back where spikes fall into one step, to an eighth, is not among them.
    """

    rule: LoihiPairSTDP
    errors: dict[str, float]


def with_relays(graph: Graph, input_max: int) -> Graph:
    """The graph with a relay ahead of each projection that learns over a longer axonal delay.

    What learns on Loihi takes one step. A neuron that spikes with its source holds the rest of the
    delay, and pairs are timed where its spikes are: at the end of an axonal delay. It sends single
    spikes, so that inputs that may count have none.
    """
    relays: dict[tuple[str, int, int], Population] = {}
    added: list[Projection] = []
    projections: list[Projection] = []
    taken = {node.name for node in graph.nodes}
    for p in graph.projections:
        pre, post = graph.node(p.pre), graph.population(p.post)
        rule = None if p.plasticity is None else p.plasticity.rule
        steps = p.delay - 1
        single = input_max == 1 if isinstance(pre, Input) else pre.single
        axonal = type(rule) is PairSTDP and rule.dendritic_delay_fraction == 0
        if not axonal or not single or not 1 <= steps <= DELAY_RANGE[1]:
            projections.append(p)
            continue
        key = p.pre, steps, max(post.lag - 1, 0)
        if key not in relays:
            name = f"{p.pre}+{steps}"
            while name in taken:
                name += "_"
            taken.add(name)
            relays[key] = Population(name, (pre.size,), _RELAY, Semantics(), key[2], p.at)
            one = OneToOne(np.ones(pre.size, np.int64), (pre.size,))
            added.append(Projection(name, p.pre, name, one, steps, at=p.at, words=_ONE))
        projections.append(replace(p, pre=relays[key].name, delay=1))
    return replace(
        graph,
        populations=(*graph.populations, *relays.values()),
        projections=(*projections, *added),
    )


def sign_of(plasticity: Plasticity) -> Sign:
    """Which signs the weights have that a rule may reach."""
    if plasticity.w_min >= 0:
        return Sign.EXCITATORY
    return Sign.INHIBITORY if plasticity.w_max <= 0 else Sign.MIXED


def refusals(projection: Projection, plasticity: Plasticity) -> Iterator[str]:
    """What Loihi lacks of how a projection learns, one sentence each."""
    rule, delay = plasticity.rule, projection.delay
    if isinstance(rule, LoihiPairSTDP):
        return  # of a population that is in Loihi's numbers already
    if type(rule) is not PairSTDP:
        yield f"learns by {type(rule).__name__}; on Loihi by PairSTDP"
        return
    parts = [s for s in stages(projection.connection) if not isinstance(s, Flatten)]
    if len(parts) != 1 or not isinstance(parts[0], Dense):
        kinds = ", ".join(type(s).__name__ for s in parts)
        yield f"learns as {kinds}; on Loihi a Dense projection learns, all synapses of it"
    dendritic = rule.dendritic_delay_fraction == 1
    wanted = Coincidence.DEPRESS if dendritic else Coincidence.POTENTIATE
    both = (Dependence.ADDITIVE, Dependence.SCALED)
    own: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "pairing": (rule.pairing, (Pairing.ALL,)),
        "window": (rule.window, (Window.EXPONENTIAL,)),
        "dependence": (rule.dependence, both),
        "depression": (rule.dependences[1], both),
        "dendritic_delay_fraction": (rule.dendritic_delay_fraction, (0.0, 1.0)),
        "coincidence": (rule.coincidence, (wanted,)),
        "bits": (rule.bits, (None,)),
        "depression_by": (rule.depression_by, (None,)),
        "transmit": (plasticity.transmit, (Transmit.BEFORE,)),
        "scaling": (plasticity.scaling, (None,)),
    }
    for field, (value, allowed) in own.items():
        if value not in allowed:
            with_ = f" with a dendritic_delay_fraction of {int(dendritic)}"
            where = with_ if field == "coincidence" else ""
            yield f"has {field} {value}; Loihi has {' or '.join(map(str, allowed))}{where}"
    if plasticity.enable is not None and not plasticity.enable.all():
        yield "has synapses that do not learn; on Loihi all of a projection do"
    if delay != 1:
        yield (
            f"learns and takes {delay} steps; on Loihi 1, or up to {1 + DELAY_RANGE[1]} where all "
            "are axonal and its source sends single spikes (an input with --input-max 1)"
        )
    low, high = plasticity.w_min, plasticity.w_max
    if (low if sign_of(plasticity) is Sign.EXCITATORY else high) != 0 and low * high >= 0:
        yield f"has rails {low:g} to {high:g}; on Loihi one is 0, or both are as far from it"
    elif low * high < 0 and abs(low + high) > 0.01 * high:
        yield f"has rails {low:g} to {high:g}; on Loihi both are as far from 0"
    elif low == high:
        yield f"has rails {low:g} to {high:g}, and nothing to learn"


def loihi_rule(plasticity: Plasticity, unit: float, dt: float, number: int) -> Chosen:
    """The rule of a projection with weights in ``unit`` of the real ones; ``number`` makes seeds.

    Mantissa, exponent and impulse of each amplitude are such as are near to it, that both are off
    alike, and the impulse as large as may be. ``ValueError`` says what does not fit.
    """
    rule = plasticity.rule
    assert isinstance(rule, PairSTDP)
    scaled = [each is Dependence.SCALED for each in rule.dependences]
    amplitudes = [
        a * (plasticity.w_max if by_w_max else 1.0) / unit
        for a, by_w_max in zip((rule.a_plus, rule.a_minus), scaled, strict=True)
    ]
    taus = [_steps(name, getattr(rule, name), dt) for name in ("tau_plus", "tau_minus")]
    # Towards the later of the two by one step, away from it by one.
    shifts = [1, -1] if rule.dendritic_delay_fraction == 0 else [-1, 1]
    wanted = [a * exp(s / tau) for a, s, tau in zip(amplitudes, shifts, taus, strict=True)]
    plus, minus, apart = _balanced(
        *(
            _Candidates(name, a, tau, s > 0)
            for name, a, tau, s in zip(("a_plus", "a_minus"), wanted, taus, shifts, strict=True)
        )
    )
    taken, sign = (plus, -1) if shifts[0] > 0 else (minus, 1)
    both, both_exp = _nearest(sign * taken.value)
    errors = {
        "a_plus": _off(plus.value, wanted[0]),
        "a_minus": _off(minus.value, wanted[1]),
        "a_plus against a_minus": apart,
        "tau_plus": _off(taus[0], rule.tau_plus / dt),
        "tau_minus": _off(taus[1], rule.tau_minus / dt),
    }
    made = LoihiPairSTDP(
        minus=-minus.mantissa,
        minus_exp=minus.exponent,
        plus=plus.mantissa,
        plus_exp=plus.exponent,
        tau_plus=taus[0],
        tau_minus=taus[1],
        impulse_plus=plus.impulse,
        impulse_minus=minus.impulse,
        seed=_FIRST_SEED + _SEEDS * number,
        both=both,
        both_exp=both_exp,
    )
    return Chosen(made, errors)


@dataclass(frozen=True)
class _Product:
    """What one spike in a trace changes a weight by at once."""

    mantissa: int
    exponent: int
    impulse: int

    @property
    def value(self) -> float:
        return value_of(self.mantissa, self.exponent) * self.impulse


def _off(value: float, wanted: float) -> float:
    return value / wanted - 1 if wanted else 0.0


def _steps(name: str, tau: float, dt: float) -> int:
    steps = round(tau / dt)
    if not 1 <= steps <= TAU_MAX:
        raise ValueError(f"{name} is {tau / dt:.4g} steps; on Loihi it has 1 to {TAU_MAX}")
    return steps


def impulse_of(tau: int) -> int:
    """The largest impulse with which spikes in every second step fill no trace, of 4 to 16."""
    room = floor(2 * TRACE_MAX * (1 - exp(-1 / tau)))
    return min(max(room, _LEAST_IMPULSE), _IMPULSE)


class _Candidates:
    """The products near an amplitude, of a trace of ``tau`` steps, and what each is off.

    ``cost`` counts how far it is off, the smallness of the impulse, and where one is ``taken`` back
    how well. ``area`` is by how much the sum over distances is off, without what is taken back.
    """

    def __init__(self, name: str, amplitude: float, tau: int, taken: bool) -> None:
        most, size = impulse_of(tau), abs(amplitude)
        if size == 0:
            self.products = [_Product(0, 0, most)]
            self.cost, self.area = np.zeros(1), np.zeros(1)
            return
        impulses, mantissas, powers = np.meshgrid(
            np.arange(1, most + 1), _MANTISSAS, _POWERS, indexing="ij"
        )
        values = np.ravel(impulses * mantissas * powers)
        off = values / size - 1
        near = np.flatnonzero(np.abs(off) <= _VANISHES)
        if not near.size or size > _LARGEST:
            nearest = min(values[np.argmin(np.abs(off))], _LARGEST)
            raise ValueError(
                f"{name} is {amplitude:.4g} units of a weight for a pair; the nearest that Loihi "
                f"has is {np.copysign(nearest, amplitude):.4g}"
            )
        impulse, mantissa = np.ravel(impulses)[near], np.ravel(mantissas)[near]
        exponent = np.log2(np.ravel(powers)[near]).astype(int)
        self.cost = np.abs(off[near]) + _OCTAVE * np.log2(most / impulse)
        self.area = off[near]
        if taken:
            back = np.array([abs(value_of(*_nearest(v))) for v in values[near]])
            self.cost += _TAKEN * np.abs(back / values[near] - 1)
            whole = 1 / (1 - exp(-1 / tau))
            self.area = (values[near] * whole - back) / (size * (whole - 1)) - 1
        sign = 1 if amplitude > 0 else -1
        columns = zip(mantissa.tolist(), exponent.tolist(), impulse.tolist(), strict=True)
        self.products = [_Product(sign * m, e, i) for m, e, i in columns]


def _balanced(one: _Candidates, two: _Candidates) -> tuple[_Product, _Product, float]:
    """Products of both sides that are near, and off alike: what is learned is their difference.

    And by how much more the first side is off than the second.
    """
    cost = one.cost[:, None] + two.cost
    apart = np.zeros(cost.shape)
    if one.products[0].mantissa and two.products[0].mantissa:
        apart = one.area[:, None] - two.area
    i, j = np.unravel_index(int(np.argmin(cost + _BALANCE * np.abs(apart))), cost.shape)
    return one.products[i], two.products[j], float(apart[i, j])


def value_of(mantissa: int, exponent: int) -> float:
    """What two words of a product are worth."""
    return float(mantissa * 2.0**exponent)


def _nearest(value: float) -> tuple[int, int]:
    """The nearest mantissa and exponent; zero for zero."""
    if value == 0:
        return 0, 0
    table = _MANTISSAS[:, None] * _POWERS
    m, e = np.unravel_index(int(np.argmin(np.abs(table - abs(value)))), table.shape)
    return int(_MANTISSAS[m]) * (1 if value > 0 else -1), int(e) + SCALE_RANGE[0]
