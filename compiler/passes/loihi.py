r"""From a legal real network to the numbers that Loihi computes with.

A step of the real network (`ir.step`) without the value that a spike resets to,

.. math::
    U' = a\,U + k\,S, \qquad V' = b\,V + U' + d, \qquad \text{a spike where } V' > \theta,

is one of `LoihiLIF` in units of a scale s: :math:`k W = 2^6 s\, 2^{e} w` for a weight,
:math:`\theta = 2^6 s\, \mathrm{vth}`, :math:`d = s\, \mathrm{bias}`. The scale is the finest one at
which no current can wrap; thresholds are exact, weights rounded.

Where a spike takes its threshold off, it is one of `LoihiATRLIF`, :math:`V = s\,(v - r + o)` with
:math:`\theta = 2 \cdot 2^6 s\, \mathrm{theta\_0}` and an offset o of half of that: a spike takes
twice theta_0 off, where the membrane has theta_0 above its offset. v starts at -o, and a bias of
:math:`-o + \mathrm{cut}(o\,(2^{12} - \mathrm{dv}))` keeps it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import floor, frexp, inf
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from ...boards.board import Target
from ...ir.connections import Connection, Dense, Flatten, Sparse, chain, stages
from ...ir.diagnostics import Diagnostics
from ...ir.events import Stimulus
from ...ir.graph import Graph, Population, Projection
from ...ir.loihi import (
    BIAS_EXP_RANGE,
    BIAS_MANT_RANGE,
    DECAY_RANGE,
    DECAY_UNITY,
    DELAY_RANGE,
    EXPONENT_RANGE,
    STATE_LIMIT,
    STATE_SHIFT,
    THETA_RANGE,
    THRESHOLD_RANGE,
    WEIGHT_BITS,
    LoihiWeights,
    Sign,
)
from ...ir.neurons import IF, LIF, CubaLIF, LoihiATRLIF, LoihiLIF, LoihiNeuron, Threshold
from ...ir.plasticity import Plasticity
from ...ir.semantics import Comparison, Current, Reset, Semantics
from ...ir.step import StepParameters, step_parameters, v_start
from ..connectivity import apply, synapse_count, to_sparse
from .fold import scale_outputs
from .forced import Forced
from .loihi_learning import loihi_rule, refusals, sign_of, with_relays
from .quantise import LayerError

Real = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Made = tuple[Population, dict[str, Projection]]

# v saturates at 2^23 on both sides: at this threshold sixteen times as low as it is high.
_MODEST_THRESHOLD: Final = 1 << 13
# A membrane that keeps what spikes take off has room for 256 thresholds of this height, at least.
_KEPT_THRESHOLD: Final = 1 << 9
# Below it one unit of what arrives is more than 2 % of the threshold.
_LEAST_THRESHOLD: Final = 48
# Of the synapses of a neuron one in so many is taken to be active in a step.
_ACTIVE: Final = 10
_SAMPLE: Final = 4096
# What a bias may take of the way to the threshold.
_BALANCE: Final = 0.25
# Other heights that a calibration tries, as parts of the largest.
_SHARES: Final = (1.0, 0.84, 0.71, 0.59, 0.5, 0.35)
# Of rails: what one may be off, and what is said.
_RAILS: Final = 0.05
_MODEST_ERROR: Final = 0.05
# Weights of less signal to noise (dB) cost letters: at 31 Braille loses one in a hundred, at 33
# none (snnTorch) or one in two hundred (Norse).
_COARSE: Final = 32.0
_GOLDEN: Final = "run it on the golden rung, or compile it for another target"


@dataclass(frozen=True)
class LoihiNumbers:
    """Choose scale, exponents, mantissas, decays, thresholds and biases of every population.

    ``weight_bits`` is 2 to 8, ``input_max`` the largest spike count of an input line in one step.
    With ``split_signs`` a projection of both signs becomes two, each with all bits for the
    magnitude: twice as fine. Populations in Loihi's arithmetic pass through. A projection that
    learns by `PairSTDP` does so by `LoihiPairSTDP` then (`passes.loihi_learning`): its rails are
    255 units of a weight, and the scale is one at which they are.

    With ``calibration``, a stimulus, each population gets those numbers (scale, exponents, a bias
    against what its weights' rounding adds on average) that change the fewest of its spikes, given
    the spikes that its sources should send (`forced.Forced`).
    """

    NAME: ClassVar[str] = "loihi"

    weight_bits: int = WEIGHT_BITS
    input_max: int = 1
    split_signs: bool = False
    calibration: Stimulus | None = field(default=None, compare=False, repr=False)

    def run(self, graph: Graph, target: Target, found: Diagnostics) -> Graph:
        """The graph in Loihi's arithmetic.

        E0301 for a step that Loihi does not have, E0401 for numbers that do not fit, E0402 for
        other ``weight_bits``; W0403 where most weights of a population round to zero, W0404 where
        a current may wrap, W0407 where a rule of pairs is off by more than 5 %; N0408
        says what calibration chose.
        """
        if not 2 <= self.weight_bits <= WEIGHT_BITS:
            found.add(
                "E0402",
                f"weight_bits is {self.weight_bits}; Loihi's weights have 2 to {WEIGHT_BITS}",
            )
            found.raise_errors()
        real = graph
        graph = with_relays(with_sources(graph, found), self.input_max)
        known = {p.name for p in real.populations}
        added = {p.name: p for p in graph.populations if p.name not in known}
        if self.split_signs:
            graph = by_sign(graph)
        populations, projections = [], {p.name: p for p in graph.projections}
        chosen: list[_Chosen] = []
        for population in graph.populations:
            incoming = list(graph.incoming(population.name))
            if isinstance(population.neuron, LoihiNeuron):
                populations.append(population)
                projections |= {p.name: _whole(p) for p in incoming}
                continue
            before = len(found.errors)
            step = _step(population, incoming, graph, found)
            if step is None or len(found.errors) > before:
                continue
            chosen.append(_Chosen(population, graph, step, self, found))
            populations.append(population)
        found.raise_errors()
        forced = None
        if self.calibration is not None and chosen and _judged(real):
            forced = Forced(real, self.calibration)
        made = {}
        for numbers in chosen:
            population, own = numbers.result(forced, added)
            made[population.name] = population
            projections |= own
        populations = [made.get(p.name, p) for p in populations]
        found.raise_errors()
        return replace(
            graph,
            populations=tuple(populations),
            projections=tuple(projections[p.name] for p in graph.projections),
        )


def _judged(graph: Graph) -> bool:
    """Whether calibration can tell what each population should do: nothing in it learns."""
    real = not any(isinstance(p.neuron, LoihiNeuron) for p in graph.populations)
    return real and not any(p.plasticity or p.short_term for p in graph.projections)


def with_sources(graph: Graph, found: Diagnostics) -> Graph:
    """The graph with each bias that Loihi's neuron does not have as a neuron that always spikes.

    Loihi's bias enters the membrane, from the first step on. What enters a synaptic current, or is
    absent from the first step (`Semantics.recurrent_bias_first`), becomes the weights of a neuron
    that spikes in every step, a step ahead of the population. E0301 where there is no such step.
    """
    populations = list(graph.populations)
    projections: list[Projection] = []
    taken = {node.name for node in graph.nodes}
    for p in graph.projections:
        post = graph.population(p.post)
        late = int(p.recurrent and not post.semantics.recurrent_bias_first)
        projections.append(p)
        if p.bias is None or not p.bias.any() or isinstance(post.neuron, LoihiNeuron):
            continue
        if not late and not isinstance(post.neuron, CubaLIF):
            continue
        if post.lag + late < 1:
            found.add(
                "E0301",
                f"the bias of '{p.name}' enters the synaptic current of '{post.name}' in the first "
                "step, and nothing can arrive there before",
                p.at,
                "take a step of delay off what leads to it: retiming puts it back as a lag",
            )
            continue
        name = f"{p.name}.bias"
        while name in taken:
            name += "_"
        taken.add(name)
        one = np.ones((), np.int64)
        always = LoihiLIF(du=(DECAY_UNITY - 1) * one, dv=0 * one, vth=0 * one, bias_mant=one)
        source = Population(name, (1,), always, Semantics(), post.lag + late - 1, p.at)
        weight = np.broadcast_to(p.bias, (post.size,)).reshape(post.size, 1)
        projections[-1] = replace(p, bias=None)
        populations.append(source)
        projections.append(Projection(name, name, post.name, Dense(weight), 1, at=p.at))
    return replace(graph, populations=tuple(populations), projections=tuple(projections))


def _whole(projection: Projection) -> Projection:
    """A projection whose weights are whole numbers as integers: legalising makes some real ones."""
    parts = tuple(
        replace(s, weight=s.weight.astype(np.int64)) if s.WEIGHTED else s  # type: ignore[call-arg,attr-defined]
        for s in stages(projection.connection)
    )
    return replace(projection, connection=chain(parts, projection.connection.in_shape))


_SIGNS: Final = {Sign.EXCITATORY: 1.0, Sign.INHIBITORY: -1.0}


def by_sign(graph: Graph) -> Graph:
    """The graph with a projection for each sign where one has both; a bias is the first one's."""
    taken = {p.name for p in graph.projections}
    projections: list[Projection] = []
    for p in graph.projections:
        weighted = [s for s in stages(p.connection) if s.WEIGHTED]
        weight = weighted[0].weight  # type: ignore[attr-defined]  # legal: one stage has weights
        if p.words is not None or p.plasticity is not None or _sign(weight) is not Sign.MIXED:
            projections.append(p)
            continue
        for sign in _SIGNS:
            name = f"{p.name}.{sign}"
            while name in taken:
                name += "_"
            taken.add(name)
            bias = p.bias if sign is Sign.EXCITATORY else None
            connection = chain(
                tuple(_one_sign(s, sign) for s in stages(p.connection)), p.connection.in_shape
            )
            projections.append(replace(p, name=name, connection=connection, bias=bias))
    return replace(graph, projections=tuple(projections))


def _one_sign(stage: Connection, sign: Sign) -> Connection:
    """A stage with the weights of one sign; the others are zero, or left out of a list."""
    if not stage.WEIGHTED:
        return stage
    weight: Real = stage.weight  # type: ignore[attr-defined]
    if not isinstance(stage, Sparse):
        kept = np.maximum(weight * _SIGNS[sign], 0.0) * _SIGNS[sign]
        return replace(stage, weight=kept)  # type: ignore[call-arg]
    keep = weight * _SIGNS[sign] > 0
    pre = np.repeat(np.arange(stage.pre_size), np.diff(stage.indptr))[keep]
    counts = np.bincount(pre, minlength=stage.pre_size)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    steps = None if stage.steps is None else stage.steps[keep]
    return Sparse(stage.pre_size, stage.post_size, indptr, stage.post[keep], weight[keep], steps)


@dataclass(frozen=True)
class _Step:
    """The step above; arrays of shape () or the population's, ``drift`` flat or ()."""

    a: Real
    b: Real
    gain: Real
    drift: Real
    threshold: Real
    inclusive: bool  # >= instead of >
    late: int  # steps by which v sees the current of the step before
    start: Real  # of v
    subtracts: bool  # a spike takes the threshold off

    @property
    def allowance(self) -> int:
        """The units of v by which the threshold lies above what Loihi compares with.

        None for >; for >= one, but where nothing decays, and v counts in units of what arrives,
        one of these: there sums meet the threshold. None where spikes subtract it.
        """
        if self.subtracts:
            return 0
        return _allowance(self.inclusive, bool(np.all(self.b == 1.0) and np.all(self.a == 0.0)))


def _allowance(inclusive: bool, counts: bool) -> int:
    """The units of v that >= adds to a threshold: those of what arrives where v counts in them."""
    return int(inclusive) << (STATE_SHIFT if counts else 0)


def _step(
    population: Population, incoming: list[Projection], graph: Graph, found: Diagnostics
) -> _Step | None:
    """The step of a population; ``None``, and E0301, where Loihi has no such step."""
    name, at, neuron, rules = (
        population.name,
        population.at,
        population.neuron,
        population.semantics,
    )

    def refuse(message: str, hint: str = _GOLDEN) -> None:
        found.add("E0301", f"'{name}' {message}", at, hint)

    if not isinstance(neuron, IF | LIF | CubaLIF | Threshold):
        refuse(f"is {type(neuron).__name__}; Loihi has a LIF, with or without a synaptic current")
        return None
    stateless = isinstance(neuron, Threshold)
    if population.adaptive is not None:
        refuse("has thresholds that adapt; Loihi's LIF has not")
    if not stateless and rules.reset is Reset.TWO_PHASE:
        other = ""
        if graph.dialect == "snntorch":
            other = (
                ", or read it with --dialect snntorch-zero if it was trained with a reset to zero"
            )
        refuse(
            "is compared with twice its threshold where a spike left it above (reset two_phase); "
            "Loihi 2 takes the threshold off, and compares with it",
            "compile with --set reset=subtract, which differs in those steps only (run both on the "
            f"golden rung to see what it costs){other}, or train with a reset to zero",
        )
    subtracts = not stateless and rules.reset is Reset.SUBTRACT
    allowed: dict[str, tuple[Any, Any]] = {
        "max_spikes": (rules.max_spikes, 1),
        "v_min": (rules.v_min, None),
        "refractory": (rules.refractory, 0),
        "registered": (rules.registered, False),
    }
    for rule, (value, must) in allowed.items():
        if value != must and not (stateless and rule != "registered"):
            refuse(f"has {rule} {value}; Loihi's LIF has {must}")
    step = step_parameters(neuron, rules, graph.dt)
    assert step.threshold is not None and step.v_reset is not None
    origin = np.asarray(0.0 if stateless or subtracts else step.v_reset)
    start = np.asarray(origin if stateless else v_start(neuron, rules))
    if subtracts:
        numbers = {"threshold": step.threshold, "decay": step.decay_v, "current": step.decay_u}
        for what, values in numbers.items():
            if values is not None and np.ptp(values) > 0:
                refuse(
                    f"has neurons of {_span(values)} as their {what}, and takes the threshold off; "
                    "all neurons of such a population of Loihi 2 share it",
                    "make a population of each kind of neuron",
                )
    elif np.any(start != origin):
        refuse("starts at another value than it is reset to; Loihi's LIF starts at zero, too")
    drift = step.drift + (step.decay_v - 1.0) * origin
    late = int(step.decay_u is not None and rules.current is Current.OLD)
    for p in incoming:
        if p.short_term is not None or p.tied is not None:
            found.add("E0301", f"'{p.name}' tires or is tied, and no Loihi program is", p.at)
        if p.plasticity is not None:
            if late:
                refuse(f"has current old, and '{p.name}' learns; there Loihi has new")
            if subtracts:
                refuse(
                    f"takes its threshold off, and '{p.name}' learns; on Loihi that ends in a LIF"
                )
            for reason in refusals(p, p.plasticity):
                found.add("E0301", f"'{p.name}' {reason}", p.at, _GOLDEN)
            gain = np.asarray(step.gain_v if step.gain_u is None else step.gain_v * step.gain_u)
            if np.ptp(gain) > 1e-9 * np.abs(gain).max() or not np.all(gain > 0):
                refuse(f"has gains of {_span(gain)}; what '{p.name}' learns needs one, above 0")
        if p.bias is not None and p.bias.any():
            drift = np.ravel(drift) + np.ravel(step.gain_v) * np.ravel(p.bias)
    decays = {"membrane": step.decay_v} | (
        {} if step.decay_u is None else {"current": step.decay_u}
    )
    for what, decay in decays.items():
        if np.any((decay < 0) | (decay > 1)):
            found.add("E0401", f"'{name}': the {what} keeps {_span(decay)} of itself a step", at)
    return _Step(
        a=np.zeros(()) if step.decay_u is None else step.decay_u,
        b=step.decay_v,
        gain=step.gain_v if step.gain_u is None else np.asarray(step.gain_v * step.gain_u),
        drift=np.asarray(drift),
        threshold=np.asarray(step.threshold - origin),
        inclusive=rules.comparison is Comparison.GREATER_EQUAL,
        late=late,
        start=start,
        subtracts=subtracts,
    )


def _span(values: Real) -> str:
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


class _Chosen:
    """The numbers of one population."""

    def __init__(
        self,
        population: Population,
        graph: Graph,
        step: _Step,
        options: LoihiNumbers,
        found: Diagnostics,
    ) -> None:
        self._population, self._step = population, step
        self._incoming = incoming = list(graph.incoming(population.name))
        self._bits, self._found, self._dt = options.weight_bits, found, graph.dt
        self._numbers = {p.name: number for number, p in enumerate(graph.projections)}
        self._stages = [scaled_stage(p.connection, step.gain) for p in incoming]
        weights = [stage.weight for stage in self._stages]
        self._signs = [_sign(w) for w in weights]
        self._largest = [float(np.abs(w).max(initial=0.0)) for w in weights]
        # Weights that learn count as what they may become.
        self._learn = {k: p.plasticity for k, p in enumerate(incoming) if p.plasticity is not None}
        for k, plasticity in self._learn.items():
            self._signs[k] = sign_of(plasticity)
            rails = plasticity.w_min, plasticity.w_max
            self._largest[k] = float(np.max(step.gain)) * max(map(abs, rails))
        self._threshold = float(np.max(step.threshold))
        self._fan_in = [
            synapse_count(stage) / max(1, int(np.prod(stage.out_shape))) for stage in self._stages
        ]
        # What excitation, and inhibition, adds to each neuron where every source sends one spike,
        # and where inputs send their largest counts.
        self._sides, self._peaks = np.zeros((2, 2, population.size))
        lines = {i.name for i in graph.inputs}
        for number, (p, stage) in enumerate(zip(incoming, self._stages, strict=True)):
            ones = np.ones(int(np.prod(stage.in_shape)))
            for k, sign in enumerate((1.0, -1.0)):
                reach = np.maximum(sign * stage.weight, 0.0)
                if number in self._learn:
                    without = (Sign.INHIBITORY, Sign.EXCITATORY)[k]
                    most = 0.0 if self._signs[number] is without else self._largest[number]
                    reach = np.full(reach.shape, most)
                added = np.ravel(apply(replace(stage, weight=reach), ones))
                self._sides[k] += added
                self._peaks[k] += added * (options.input_max if p.pre in lines else 1)

    def result(
        self, forced: Forced | None, added: Mapping[str, Population]
    ) -> tuple[Population, dict[str, Projection]]:
        """The population and its projections; E0401, warnings and notes as `LoihiNumbers.run`."""
        population, step = self._population, self._step
        if np.min(step.threshold) <= 0:
            self._refuse(
                f"the threshold lies {_span(step.threshold)} above the reset, and Loihi's is "
                "positive"
            )
            return population, {}
        first, *others = self._heights()
        height, made = first, self._made(first)
        if forced is not None and not self._found.errors:
            height, made = self._fewest(forced, added, (first, made), others)
        self._remark(height, made[1])
        return made

    def _fewest(
        self,
        forced: Forced,
        added: Mapping[str, Population],
        first: tuple[int, Made],
        others: list[int],
    ) -> tuple[int, Made]:
        """The height and the numbers that change the fewest spikes, the first of equals."""

        def error(made: Made) -> float:
            return forced.error(made[0], made[1].values(), added)

        rates = [forced.rates(p.pre, int(np.prod(p.connection.in_shape))) for p in self._incoming]
        best, before = first, error(first[1])
        least, found = before, self._found
        for height in (first[0], *others):
            plain = first[1] if height == first[0] else None
            for balanced in (False, True):
                self._found = Diagnostics()  # what does not fit is no candidate
                if not balanced:
                    made = plain = plain or self._made(height)
                elif plain is not None:
                    drifts = self._drifts(plain[1], plain[0], rates)
                    if not drifts.any():
                        continue
                    made = self._made(height, drifts)
                wrong = inf if self._found.errors else error(made)
                self._found = found
                if wrong < least:
                    best, least = (height, made), wrong
        filled = forced.saturated(best[1][0], best[1][1].values(), added)
        if filled:
            found.add(
                "W0404",
                f"'{self._population.name}': on the calibration data v saturates, in {filled:.2%} "
                "of all neurons and steps",
                self._population.at,
                "what it does then is Loihi's own: weaker weights or shorter samples mend it",
            )
        found.add(
            "N0408",
            f"'{self._population.name}': on the calibration data {least:.2%} of its spikes differ, "
            f"given its sources' true ones; {before:.2%} by the numbers chosen without data",
            self._population.at,
        )
        return best

    def _drifts(
        self, made: Mapping[str, Projection], population: Population, rates: list[Real]
    ) -> Real:
        """What rounding takes off the mean input of each neuron, as v sees it in a step.

        It is there without input, too: no more than a quarter of what a neuron at rest lacks to its
        threshold, and nothing where no leak holds it there.
        """
        neuron = population.neuron
        assert isinstance(neuron, LoihiLIF | LoihiATRLIF)
        missing = np.zeros(population.size)
        for p, stage, rate in zip(self._incoming, self._stages, rates, strict=True):
            words = made[p.name].words
            assert words is not None
            unit = neuron.scale * 2.0 ** (STATE_SHIFT + words.exponent)
            wrong = replace(stage, weight=stage.weight - _words_of(made[p.name]) * unit)
            missing += np.ravel(apply(wrong, rate))
        kept = np.maximum(1.0 - np.ravel(self._step.a), 1.0 / DECAY_UNITY)
        leak = 1.0 - np.ravel(self._step.b)
        lacks = np.ravel(self._step.threshold) * leak - np.ravel(self._step.drift)
        room = _BALANCE * np.maximum(lacks, 0.0)
        return np.asarray(np.clip(missing / kept, -room, room))

    def _made(self, height: int, more: Real | None = None) -> Made:
        """The numbers at a height of the threshold, with ``more`` drift; E0401."""
        population, step = self._population, self._step
        vth = height - (step.allowance >> STATE_SHIFT)
        if step.subtracts:
            vth = max(height // 2, 1) * 2
        scale = self._threshold / ((vth << STATE_SHIFT) + step.allowance)
        neuron = self._neuron(scale, step.drift if more is None else np.ravel(step.drift) + more)
        made = {}
        for k, p in enumerate(self._incoming):
            words = self._words(k, height)
            stage = self._stages[k]
            whole = rounded(stage.weight / (scale * 2.0 ** (STATE_SHIFT + words.exponent)), words)
            delay = p.delay + step.late
            if delay > DELAY_RANGE[1]:
                self._refuse(f"'{p.name}' takes {delay} steps; Loihi has {DELAY_RANGE[1]} at most")
            made[p.name] = replace(
                p,
                connection=replace(stage, weight=whole),
                delay=delay,
                bias=None,
                words=words,
                plasticity=self._plasticity(k, scale, words),
            )
        semantics = replace(population.semantics, v_init=0.0, max_spikes=1)
        return replace(population, neuron=neuron, semantics=semantics), made

    def _remark(self, height: int, made: Mapping[str, Projection]) -> None:
        """What is worth a warning: W0403 and W0404."""
        population, lost, total = self._population, 0, 0
        for p, stage in zip(self._incoming, self._stages, strict=True):
            left = int(np.count_nonzero(_words_of(made[p.name])))
            lost += int(np.count_nonzero(stage.weight)) - left
            total += int(np.count_nonzero(stage.weight))
        if lost * 2 > total:
            self._found.add(
                "W0403",
                f"'{population.name}': {lost} of {total} weights round to zero at {self._bits} "
                "bits",
                population.at,
            )
        # Inputs that count their most may do so in every step.
        most = self._units(float(np.max(self._peaks)) * self._lasting, height)
        if most > STATE_LIMIT:
            self._found.add(
                "W0404",
                f"'{population.name}': were all its synapses active in every step, its current "
                f"would reach {most:.3g}; it wraps at {STATE_LIMIT}",
                population.at,
                "run the integer rung on your data, and look at u",
            )
        if self._step.subtracts and self._depth(height) > STATE_LIMIT:
            kept = STATE_LIMIT // (max(height // 2, 1) << (STATE_SHIFT + 1))
            self._found.add(
                "W0404",
                f"'{population.name}' keeps in v what its spikes take off: v has room for {kept} "
                "thresholds of input a sample, saturates behind them, and then nothing spikes",
                population.at,
                "compile with --calibration, with samples as long as yours: a lower threshold is "
                "chosen where it has to be; or look at v on the integer rung",
            )

    def _plasticity(self, k: int, scale: float, words: LoihiWeights) -> Plasticity | None:
        """How a projection learns, in its words; E0401 where that does not fit, W0407 as it is."""
        plasticity, p = self._learn.get(k), self._incoming[k]
        if plasticity is None:
            return None
        unit = scale * 2.0 ** (STATE_SHIFT + words.exponent) / float(np.max(self._step.gain))
        low, high = words.rails
        rail = max(map(abs, (plasticity.w_min, plasticity.w_max)))
        try:
            chosen = loihi_rule(plasticity, unit, self._dt, self._numbers[p.name])
        except ValueError as reason:
            self._refuse(f"'{p.name}': {reason}")
            return plasticity
        error = (high or -low) * unit / rail - 1
        if abs(error) > _RAILS:
            self._refuse(
                f"the rails of '{p.name}' would be {1 + error:.3g} of what they are: Loihi's are "
                "255 units of a weight, and units of projections to one population differ by "
                "powers of two"
            )
            return plasticity
        errors = chosen.errors | {"its rails": error}
        off = {name: error for name, error in errors.items() if abs(error) > _MODEST_ERROR}
        if off:
            each = ", ".join(f"{name} by {error:+.1%}" for name, error in off.items())
            self._found.add("W0407", f"'{p.name}': its rule is off in {each}", p.at)
        return replace(plasticity, rule=chosen.rule, w_min=low, w_max=high)

    def _refuse(self, message: str) -> None:
        name, at = self._population.name, self._population.at
        self._found.add("E0401", f"'{name}': {message}", at)

    def _words(self, k: int, height: int) -> LoihiWeights:
        """The format of a projection: the exponent at which its weights fit, or 0 above that.

        Below 0 weights are finer, but sums are cut, always downward: which of the two errs less.
        """
        low, high = EXPONENT_RANGE
        exponent = self._exponent(k, height)
        words = LoihiWeights(self._bits, self._signs[k], min(max(exponent, low), high))
        if exponent >= 0 or k in self._learn:
            return words
        whole = replace(words, exponent=0)
        return min(words, whole, key=lambda each: self._weight_error(k, height, each))

    def _exponent(self, k: int, height: int) -> int:
        """The least exponent at which the weights of a projection fit; the nearest to its rails."""
        if k in self._learn:
            return round(float(np.log2(self._rail(k, height))))
        words = LoihiWeights(self._bits, self._signs[k])
        units = self._largest[k] * height / self._threshold
        return _power(units / (words.high or -words.low)) if units > 0 else 0

    def _weight_error(self, k: int, height: int, words: LoihiWeights) -> float:
        """The squared error of a sum of a projection, for one synapse of it, in real units.

        That of a weight, of a sample of them, and the share that a synapse has in what a sum of
        one in `_ACTIVE` loses on average by being cut.
        """
        weight = np.ravel(self._stages[k].weight)
        unit = self._threshold / height
        if k in self._learn:
            # Rails that are off move all weights.
            return float(
                (self._largest[k] * (2.0**words.exponent / self._rail(k, height) - 1)) ** 2
            )
        sample = weight[:: max(1, weight.size // _SAMPLE)]
        step = unit * 2.0**words.exponent
        error = float(np.mean((rounded(sample / step, words) * step - sample) ** 2))
        lost = unit * (1.0 - 2.0 ** min(words.exponent, 0)) / 2.0
        return error + lost**2 / max(1.0, self._fan_in[k] / _ACTIVE)

    def _rail(self, k: int, height: int) -> float:
        """The rail of a projection that learns, in parts of the largest weight there is."""
        return self._largest[k] * height / self._threshold / ((1 << WEIGHT_BITS) - 1)

    def _fits(self, height: int) -> bool:
        return all(
            self._exponent(k, height) <= EXPONENT_RANGE[1] for k in range(len(self._largest))
        )

    def _heights(self) -> list[int]:
        """The heights of the threshold in units of what arrives that are worth a try.

        As many as let no current wrap, the bias fit, and the membrane reach its lowest, or at
        least sixteen thresholds below its reset; of those, first what makes the error of the
        weights least.
        """
        current, depth = (STATE_LIMIT / max(x, 1e-300) for x in (self._current(1), self._depth(1)))
        bias = float(np.max(np.abs(self._step.drift))) / self._threshold
        modest, highest = _MODEST_THRESHOLD, THRESHOLD_RANGE[1]
        if self._step.subtracts:
            bias += 0.5 * float(1.0 - np.min(self._step.b))
            modest, highest = _KEPT_THRESHOLD, 2 * THETA_RANGE[1]
        fits = (BIAS_MANT_RANGE[1] << BIAS_EXP_RANGE[1]) / max(bias, 1e-300) / (1 << STATE_SHIFT)
        most = int(min(current, max(depth, modest), fits, highest))
        most = max(most, _LEAST_THRESHOLD)
        while most > 1 and not self._fits(most):
            most = most * 7 // 8
        if not self._fits(most):
            self._refuse("its weights are too large beside its threshold")
        candidates = {most}
        for k, largest in enumerate(self._largest):
            words = LoihiWeights(self._bits, self._signs[k])
            if largest > 0 and words.high - words.low:
                exact = self._threshold * (words.high or -words.low) / largest
                power = floor(np.log2(most / exact))
                candidates |= {int(exact * 2.0**power), int(exact * 2.0 ** (power - 1))}
        if self._learn:
            candidates = self._by_rails(most) or candidates
        usable = sorted(c for c in candidates if most // 4 < c <= most and c > 0)
        first = min(usable, key=self._error)
        # Lower ones give a membrane that keeps what spikes take off more room.
        shares = (*_SHARES, 0.25, 0.125) if self._step.subtracts else _SHARES
        return list(dict.fromkeys((first, *usable, *(int(most * s) or 1 for s in shares))))

    def _by_rails(self, most: int) -> set[int]:
        """Heights at which the rails of a projection that learns are those of its words."""
        found = set()
        for k in self._learn:
            exact = 1.0 / self._rail(k, 1)
            power = floor(np.log2((most + 0.5) / exact))
            found |= {round(exact * 2.0**power), round(exact * 2.0 ** (power - 1))}
        return {c for c in found if most // 4 < c <= most}

    def _error(self, height: int) -> float:
        """The squared errors of `_weight_error`, of all projections."""
        return sum(
            self._weight_error(k, height, self._words(k, height)) for k in range(len(self._stages))
        )

    def _current(self, height: int) -> float:
        """The largest |u|: every source sending in every step, or inputs their most in one."""
        most = max(float(np.max(self._sides)) * self._lasting, float(np.max(self._peaks)))
        return self._units(most, height)

    def _depth(self, height: int) -> float:
        """The lowest v there can be, as a positive number, inhibition being always active.

        Where a membrane keeps what a spike takes off, the farthest, excited as well as inhibited.
        """
        lowest = float(np.max(self._sides[1])) * self._lasting - float(np.min(self._step.drift))
        if self._step.subtracts:
            highest = float(np.max(self._sides[0])) * self._lasting
            highest += float(np.max(self._step.drift))
            lowest = max(lowest, highest)
        stays = 1.0 / max(1.0 - float(np.max(self._step.b)), 1.0 / DECAY_UNITY)
        return self._units(max(lowest, 0.0) * stays, height)

    @property
    def _lasting(self) -> float:
        """What a current adds up to where the same arrives in every step."""
        return 1.0 / max(1.0 - float(np.max(self._step.a)), 1.0 / DECAY_UNITY)

    def _units(self, value: float, height: int) -> float:
        """A real number in the units of u and v, given the height of the threshold."""
        return value / self._threshold * (height << STATE_SHIFT)

    def _subtracting(self, scale: float, drift: Real) -> LoihiATRLIF:
        """See the module: thresholds of two theta_0, around an offset that a bias keeps."""
        step, shape = self._step, self._population.shape
        theta_0 = round(self._threshold / scale) >> (STATE_SHIFT + 1)
        # One more where the threshold itself is no spike.
        offset = (theta_0 << STATE_SHIFT) + (not step.inclusive)
        dv = int(_decay(DECAY_UNITY * (1.0 - step.b)).flat[0])
        still = offset * (DECAY_UNITY - dv) // DECAY_UNITY - offset
        mant, exp = self._bias(drift / scale + still)
        start = np.rint(step.start / scale).astype(np.int64) - offset
        return LoihiATRLIF(
            du=_decay(DECAY_UNITY - 1 - DECAY_UNITY * step.a.flat[:1].reshape(())),
            dv=np.asarray(dv),
            theta_0=np.asarray(theta_0),
            dr=np.asarray(dv),
            bias_mant=mant.reshape(shape) if mant.size > 1 else mant.reshape(()),
            bias_exp=exp.reshape(shape) if exp.size > 1 else exp.reshape(()),
            v_init=start.reshape(shape) if start.size > 1 else start.reshape(()),
            scale=scale,
        )

    def _neuron(self, scale: float, drift: Real) -> LoihiLIF | LoihiATRLIF:
        population, step = self._population, self._step
        if step.subtracts:
            return self._subtracting(scale, drift)
        thresholds = np.rint((step.threshold / scale - step.allowance) / (1 << STATE_SHIFT))
        mant, exp = self._bias(drift / scale)
        shape = population.shape
        return LoihiLIF(
            du=_decay(DECAY_UNITY - 1 - DECAY_UNITY * step.a),
            dv=_decay(DECAY_UNITY * (1.0 - step.b)),
            vth=np.maximum(thresholds, 0).astype(np.int64),
            bias_mant=mant.reshape(shape) if mant.size > 1 else mant.reshape(()),
            bias_exp=exp.reshape(shape) if exp.size > 1 else exp.reshape(()),
            scale=scale,
        )

    def _bias(self, bias: Real) -> tuple[Ints, Ints]:
        """Mantissas and the least exponents that hold them; E0401 where 7 is not enough."""
        flat = np.ravel(bias)
        _, top = BIAS_MANT_RANGE
        exponents = np.zeros(flat.size, np.int64)
        for exponent in range(*BIAS_EXP_RANGE):
            exponents[np.abs(np.rint(flat / 2.0**exponent)) > top] = exponent + 1
        mantissas = np.rint(flat / 2.0**exponents)
        if np.abs(mantissas).max(initial=0) > top:
            largest = float(np.abs(flat).max())
            self._refuse(
                f"its bias is {largest:.4g} units of v, at most {top << BIAS_EXP_RANGE[1]} fit"
            )
        return np.clip(mantissas, -top, top).astype(np.int64), exponents


def _words_of(projection: Projection) -> Ints:
    """The weights of a projection: on Loihi one stage has some."""
    weighted = next(s for s in stages(projection.connection) if s.WEIGHTED)
    return np.asarray(weighted.weight)  # type: ignore[attr-defined]


def _power(x: float) -> int:
    """The least e with :math:`x \\le 2^e`, of a positive x."""
    mantissa, exponent = frexp(x)
    return exponent - (mantissa == 0.5)


def _decay(x: Real) -> Ints:
    low, high = DECAY_RANGE
    return np.clip(np.rint(x), low, high).astype(np.int64)


def _sign(weight: Real) -> Sign:
    if np.all(weight >= 0):
        return Sign.EXCITATORY
    return Sign.INHIBITORY if np.all(weight <= 0) else Sign.MIXED


def rounded(units: Real, words: LoihiWeights) -> Ints:
    """The nearest weight there is to each number of units."""
    steps = np.rint(units / words.step) * words.step
    return np.clip(steps, words.low, words.high).astype(np.int64)


def scaled_stage(connection: Connection, gain: Real) -> Any:
    """One stage of weights with the gain of each post neuron in them; unrolled only where it must.

    A pool before or behind the weights makes them a list of synapses.
    """
    parts = [s for s in stages(connection) if not isinstance(s, Flatten)]
    flat = np.broadcast_to(np.ravel(gain), (int(np.prod(connection.out_shape)),))
    if len(parts) == 1:
        compact = scale_outputs(parts[0], np.asarray(flat))
        if compact is not None:
            return compact
    matrix = to_sparse(connection)
    post = matrix.indices.astype(np.int32)
    rows, columns = matrix.shape
    return Sparse(rows, columns, matrix.indptr.astype(np.int64), post, matrix.data * flat[post])


def loihi_errors(real: Graph, chosen: Graph) -> list[LayerError]:
    """Compare a legal real graph with its form on Loihi, population by population."""
    found = []
    known = {p.name: p for p in real.populations}
    for population in chosen.populations:
        neuron, before = population.neuron, known.get(population.name)
        if before is None or not isinstance(neuron, LoihiLIF | LoihiATRLIF):
            continue
        if before.neuron is neuron:
            continue
        step = step_parameters(before.neuron, before.semantics, real.dt)
        gain = step.gain_v if step.gain_u is None else np.asarray(step.gain_v * step.gain_u)
        signal = noise = 0.0
        count = zeroed = clipped = 0
        bits = WEIGHT_BITS
        originals: dict[str, Projection] = {}
        for p in real.incoming(population.name):
            signs = by_sign(replace(real, projections=(p,))).projections
            originals |= {each.name: each for each in (p, *signs)}
        for p in chosen.incoming(population.name):
            assert p.words is not None
            if p.name not in originals:
                continue  # a bias that became weights
            bits = p.words.bits
            exact = scaled_stage(originals[p.name].connection, gain).weight
            whole = _words_of(p)
            unit = neuron.scale * 2.0 ** (STATE_SHIFT + p.words.exponent)
            signal += float(np.sum(exact**2))
            noise += float(np.sum((exact - whole * unit) ** 2))
            count += exact.size
            zeroed += int(np.count_nonzero(exact) - np.count_nonzero(whole))
            over = exact > (p.words.high + p.words.step / 2) * unit
            under = exact < (p.words.low - p.words.step / 2) * unit
            clipped += int(np.count_nonzero(over | under))
        found.append(
            LayerError(
                population=population.name,
                neurons=population.size,
                weights=count,
                weight_bits=bits,
                scale=neuron.scale,
                shift=STATE_SHIFT,
                weight_sqnr_db=None if noise == 0 else 10.0 * float(np.log10(signal / noise)),
                weights_zeroed=zeroed,
                weights_clipped=clipped,
                threshold_error=_threshold_error(neuron, before, step),
                decay_error=_decay_error(neuron, step),
            )
        )
    return found


def tell_signs(chosen: Graph, errors: Iterable[LayerError], found: Diagnostics) -> None:
    """N0409 for populations whose weights share a format with both signs, and are coarse in it."""
    for error in errors:
        mixed = [
            f"'{p.name}'"
            for p in chosen.incoming(error.population)
            if p.words is not None and p.words.sign is Sign.MIXED and p.plasticity is None
        ]
        sqnr = error.weight_sqnr_db
        if mixed and sqnr is not None and sqnr < _COARSE:
            found.add(
                "N0409",
                f"'{error.population}': its weights have {sqnr:.1f} dB of signal to noise, and "
                f"{', '.join(mixed)} {'has' if len(mixed) == 1 else 'have'} both signs",
                chosen.population(error.population).at,
                "compile with --split-signs: twice as fine, by two projections for one, which is "
                "a process of Lava more, and more synapse memory on a chip",
            )


def _threshold_error(
    neuron: LoihiLIF | LoihiATRLIF, before: Population, step: StepParameters
) -> float | None:
    origin = 0.0 if isinstance(before.neuron, Threshold) else step.v_reset
    if step.threshold is None or origin is None:
        return None
    if isinstance(neuron, LoihiATRLIF):
        have = np.asarray((neuron.theta_0 << (STATE_SHIFT + 1)) * neuron.scale)
    else:
        inclusive = before.semantics.comparison is Comparison.GREATER_EQUAL
        counts = bool(np.all(step.decay_v == 1.0)) and step.decay_u is None
        allowance = _allowance(inclusive, counts)
        have = ((neuron.vth << STATE_SHIFT) + allowance) * neuron.scale
    return float(np.max(np.abs(have / (step.threshold - origin) - 1.0)))


def _decay_error(neuron: LoihiLIF | LoihiATRLIF, step: StepParameters) -> float:
    kept = 1.0 - neuron.dv / DECAY_UNITY
    worst = float(np.max(np.abs(kept - step.decay_v)))
    if step.decay_u is not None:
        current = (DECAY_UNITY - 1 - neuron.du) / DECAY_UNITY
        worst = max(worst, float(np.max(np.abs(current - step.decay_u))))
    return worst
