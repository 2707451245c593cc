"""The verifier: what every pass may rely on, and must leave behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import pairwise
from math import isfinite, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from .connections import (
    Connection,
    Conv1d,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    OneToOne,
    Scale,
    Shape,
    Sparse,
    SumPool2d,
    stages,
    synapses,
)
from .diagnostics import Diagnostics, Location
from .graph import Graph, Input, Population, Projection, Tied
from .homeostasis import AdaptiveThreshold, Scaling
from .integer_plasticity import FRACTIONAL, MAX_SCALED, IntegerHebbian, IntegerPairSTDP
from .loihi import (
    BIAS_EXP_RANGE,
    BIAS_MANT_RANGE,
    DECAY_RANGE,
    DELAY_RANGE,
    DELTA_BIAS_RANGE,
    STATE_EXP_RANGE,
    STATE_LIMIT,
    THETA_RANGE,
    THRESHOLD_RANGE,
    LoihiWeights,
)
from .loihi_learning import LoihiPairSTDP
from .neurons import (
    CURRENT,
    IF,
    LIF,
    AdEx,
    CubaLIF,
    IntegerNeuron,
    Izhikevich,
    Kernel,
    LinearLIF,
    LoihiATRLIF,
    LoihiDelta,
    LoihiLIF,
    LoihiNeuron,
    LoihiSigmaDelta,
    Neuron,
    PointLIF,
    SpinnakerLIF,
    Threshold,
    port_names,
    receptors,
)
from .numerics import S1615, U032, Rounding
from .plasticity import (
    MAX_RING_SHIFT,
    MAX_WEIGHT,
    SDSP,
    WORD,
    Coincidence,
    Dependence,
    Hebbian,
    PairSTDP,
    Plasticity,
    Rule,
    SpinnakerPairSTDP,
    Transmit,
    sides,
)
from .recovery import DECAY, FACTORS, MAX_PRODUCT_BITS, MAX_SUBSTEPS
from .rules import RULES
from .semantics import Decay, Gain, Reset
from .short_term import TsodyksMarkram

MAX_PRODUCT = 2.0**62
MAX_SIZE = (1 << 31) - 1  # neurons of a population: synapses and events index them with 32 bits


def verify(graph: Graph) -> None:
    """Raise ``SpikecError`` with every rule that ``graph`` breaks."""
    found = Diagnostics()
    if not (isfinite(graph.dt) and graph.dt > 0):
        found.add("E0205", f"dt is {graph.dt!r} s; it must be positive and finite")
    _names(graph, found)
    for node in graph.nodes:
        _shape(node, found)
    for population in graph.populations:
        _population(population, found)
    nodes = {node.name: node for node in graph.nodes}
    for projection in graph.projections:
        _projection(projection, nodes, found)
        if projection.tied is not None:
            _tied(projection, projection.tied, graph, found)
    populations = {p.name: p for p in graph.populations}
    for output in graph.outputs:
        if output.source not in populations:
            found.add(
                "E0206",
                f"output '{output.name}' reads '{output.source}', which is no population",
                output.at,
                _meant(output.source, populations),
            )
    for probe in graph.probes:
        owner = populations.get(probe.source)
        if owner is None:
            found.add(
                "E0206",
                f"a probe reads '{probe.source}', which is no population",
                hint=_meant(probe.source, populations),
            )
        elif probe.variable not in owner.state:
            has = ", ".join(owner.state) or "none"
            found.add(
                "E0206",
                f"there is no '{probe.source}.{probe.variable}' to probe; its state: {has}",
                owner.at,
            )
    if not found.errors:
        _loops(graph, found)
    found.raise_errors()


def _meant(name: str, candidates: Iterable[str]) -> str | None:
    close = get_close_matches(name, candidates, n=1)
    return f"did you mean '{close[0]}'?" if close else None


def _names(graph: Graph, found: Diagnostics) -> None:
    seen: set[str] = set()
    for node in graph.nodes:
        if node.name in seen:
            found.add("E0201", f"'{node.name}' is the name of two nodes", node.at)
        seen.add(node.name)
    for kind, group in (("projections", graph.projections), ("outputs", graph.outputs)):
        for name, count in Counter(item.name for item in group).items():
            if count > 1:
                found.add("E0201", f"'{name}' is the name of {count} {kind}")


def _shape(node: Input | Population, found: Diagnostics) -> None:
    if any(n < 1 for n in node.shape):
        found.add("E0205", f"'{node.name}': the shape {node.shape} has an empty axis", node.at)
    elif node.size > MAX_SIZE:
        found.add(
            "E0113", f"'{node.name}' has {node.size} elements, at most {MAX_SIZE} fit", node.at
        )


def _not_finite(array: npt.NDArray[Any]) -> int:
    return int(array.size - np.isfinite(array).sum())


def _population(population: Population, found: Diagnostics) -> None:
    name, neuron, semantics = population.name, population.neuron, population.semantics
    for parameter in neuron.parameters():
        value = getattr(neuron, parameter)
        if value is None:
            continue
        _parameter_shape(population, parameter, value, found)
        if bad := _not_finite(value):
            found.add(
                "E0106",
                f"'{name}': {bad} of {value.size} values of {parameter} are not finite",
                population.at,
            )
        elif parameter in neuron.TIMES and (value <= 0).any():
            found.add(
                "E0107",
                f"'{name}': {parameter} is {value.min():g} s; it must be positive",
                population.at,
            )
    if isinstance(neuron, LinearLIF) and (neuron.leak < 0).any():
        found.add(
            "E0205",
            f"'{name}': leak is {neuron.leak.min():g} V/s; it must not be negative",
            population.at,
        )
    if isinstance(neuron, Izhikevich):
        _izhikevich(population, neuron, found)
    if isinstance(neuron, PointLIF):
        _point(population, neuron, found)
    _receptors(population, found)
    if isinstance(neuron, IntegerNeuron):
        _integer(population, neuron, found)
    elif isinstance(neuron, SpinnakerLIF):
        _spinnaker(population, neuron, found)
    elif isinstance(neuron, LoihiNeuron):
        _loihi(population, found)
    else:
        _spike_count(population, neuron, semantics.max_spikes, found)
    if population.adaptive is not None:
        _adapts(population, population.adaptive, found)
    if population.lag < 0:
        found.add("E0205", f"'{name}': lag is {population.lag} steps", population.at)
    if semantics.refractory < 0:
        found.add("E0205", f"'{name}': refractory is {semantics.refractory} steps", population.at)
    for field, number in (("v_init", semantics.v_init), ("v_min", semantics.v_min)):
        if number is not None and not isfinite(number):
            found.add("E0106", f"'{name}': {field} is {number}", population.at)


def _point(population: Population, neuron: PointLIF, found: Diagnostics) -> None:
    semantics, at = population.semantics, population.at
    rules = {
        "reset": (semantics.reset, Reset.VALUE),
        "max_spikes": (semantics.max_spikes, 1),
        "v_min": (semantics.v_min, None),
        "v_init": (semantics.v_init, 0.0),  # theirs is a parameter
        "refractory_frozen": (semantics.refractory_frozen, True),
    }
    for name, (is_, must) in rules.items():
        if is_ != must:
            found.add(
                "E0205", f"'{population.name}': {name} is {is_}; a point neuron has {must}", at
            )
    if semantics.decay is Decay.EXPONENTIAL and semantics.gain not in (
        Gain.EXACT,
        Gain.PROPAGATED,
    ):
        found.add(
            "E0205",
            f"'{population.name}': gain is {semantics.gain}; a point neuron that decays "
            "exponentially has exact or propagated",
            at,
        )
    if (neuron.capacity <= 0).any():
        found.add(
            "E0205",
            f"'{population.name}': capacity is {neuron.capacity.min():g} F; it must be positive",
            at,
        )
    if isinstance(neuron, AdEx) and (neuron.slope <= 0).any():
        found.add(
            "E0205",
            f"'{population.name}': slope is {neuron.slope.min():g} V; it must be positive",
            at,
        )


def _receptors(population: Population, found: Diagnostics) -> None:
    name, at, ports = population.name, population.at, receptors(population.neuron)
    taken = {CURRENT, *population.neuron.STATE}
    for receptor in ports:
        if not receptor.name.isidentifier() or taken & {receptor.name, *receptor.state}:
            found.add(
                "E0211",
                f"'{name}': a receptor is called '{receptor.name}'; it needs a name of its own, of "
                "letters, digits and '_'",
                at,
            )
        taken |= {receptor.name, *receptor.state}
        for parameter in ("tau", "reversal", "initial"):
            value = getattr(receptor, parameter)
            if value is None:
                continue
            _parameter_shape(population, f"{receptor.name}.{parameter}", value, found)
            if bad := _not_finite(value):
                found.add(
                    "E0106",
                    f"'{name}': {bad} of {value.size} values of {receptor.name}.{parameter} are "
                    "not finite",
                    at,
                )
            elif parameter == "tau" and (value <= 0).any():
                found.add(
                    "E0107",
                    f"'{name}': tau of receptor {receptor.name} is {value.min():g} s; it must be "
                    "positive",
                    at,
                )
        delta = receptor.kernel is Kernel.DELTA
        if delta != (receptor.tau is None) or (delta and receptor.reversal is not None):
            rule = "takes neither tau nor a reversal potential" if delta else "needs a tau"
            found.add("E0211", f"'{name}': receptor {receptor.name} ({receptor.kernel}) {rule}", at)
        if isinstance(population.neuron, Izhikevich) and not delta:
            found.add(
                "E0211",
                f"'{name}': receptor {receptor.name} is {receptor.kernel}; an Izhikevich neuron "
                "has delta receptors",
                at,
            )


def _adapts(population: Population, adaptive: AdaptiveThreshold, found: Diagnostics) -> None:
    name, at, semantics = population.name, population.at, population.semantics
    model = population.neuron
    if isinstance(model, IntegerNeuron):
        found.add(
            "E0205",
            f"'{name}': an integer population adapts by adapt_inc of its neuron, not by 'adaptive'",
            at,
        )
    elif not isinstance(model, IF | LIF | CubaLIF | LinearLIF | Izhikevich):
        found.add(
            "E0205",
            f"'{name}': a threshold adapts where a membrane meets it; {type(model).__name__} has "
            "none",
            at,
            "leave 'adaptive' out, or take an IF, LIF, CubaLIF, LinearLIF or Izhikevich neuron",
        )
    elif semantics.reset is Reset.TWO_PHASE or semantics.max_spikes != 1:
        found.add(
            "E0205",
            f"'{name}': a threshold adapts where a step has at most one spike and v is compared "
            f"once; here reset is '{semantics.reset}' and max_spikes {semantics.max_spikes}",
            at,
        )
    for field in ("increment", "tau", "maximum"):
        value = getattr(adaptive, field)
        if value is None:
            continue
        _parameter_shape(population, f"adaptive.{field}", value, found)
        endless = field == "tau"
        if bad := int(np.sum(np.isnan(value) if endless else ~np.isfinite(value))):
            found.add(
                "E0106",
                f"'{name}': {bad} of {value.size} values of adaptive.{field} are not finite",
                at,
            )
        elif endless and (value <= 0).any():
            found.add(
                "E0107", f"'{name}': adaptive.tau is {value.min():g} s; it must be positive", at
            )
        elif (value < 0).any():
            found.add(
                "E0205",
                f"'{name}': adaptive.{field} is {value.min():g}; it must not be negative",
                at,
            )


def _izhikevich(population: Population, neuron: Izhikevich, found: Diagnostics) -> None:
    name, at, semantics = population.name, population.at, population.semantics
    if not 1 <= neuron.substeps <= MAX_SUBSTEPS:
        found.add(
            "E0205",
            f"'{name}': substeps is {neuron.substeps}, it must be 1 to {MAX_SUBSTEPS}",
            at,
            "shorten dt instead",
        )
    if semantics.max_spikes != 1:
        found.add(
            "E0205",
            f"'{name}': an Izhikevich neuron spikes at most once a step; max_spikes is "
            f"{semantics.max_spikes}",
            at,
            "shorten dt, and leave max_spikes at 1",
        )
    if semantics.refractory and not semantics.refractory_frozen:
        found.add(
            "E0205",
            f"'{name}': an Izhikevich membrane that may not spike grows without bound; it must be "
            "frozen while refractory",
            at,
            "set refractory_frozen, or leave refractory at 0: u makes the model refractory",
        )
    sound = all(x.shape in ((), population.shape) for x in (neuron.c, neuron.v_threshold))
    if sound and (neuron.c >= neuron.v_threshold).any():
        found.add(
            "E0205",
            f"'{name}': c is {float(np.max(neuron.c)):g} mV, not below v_threshold "
            f"{float(np.min(neuron.v_threshold)):g} mV: it would spike in every step",
            at,
        )


def _parameter_shape(
    population: Population, parameter: str, value: npt.NDArray[Any], found: Diagnostics
) -> None:
    if value.shape not in ((), population.shape):
        found.add(
            "E0207",
            f"'{population.name}': {parameter} has shape {value.shape}, the population "
            f"{population.shape}",
            population.at,
        )


def _spike_count(
    population: Population, neuron: Neuron, max_spikes: int | None, found: Diagnostics
) -> None:
    name = population.name
    if max_spikes is not None and max_spikes < 1:
        found.add(
            "E0205", f"'{name}': max_spikes is {max_spikes}, it must be at least 1", population.at
        )
    threshold = getattr(neuron, "threshold", getattr(neuron, "v_threshold", None))
    many = max_spikes != 1 and threshold is not None and not isinstance(neuron, Threshold)
    if many and threshold is not None and (threshold <= 0).any():
        found.add(
            "E0107",
            f"'{name}': the threshold is {threshold.min():g}; it must be positive where a step may "
            f"hold several spikes",
            population.at,
        )


def _integer(population: Population, neuron: IntegerNeuron, found: Diagnostics) -> None:
    name, at = population.name, population.at
    state, bits = neuron.numerics.state, neuron.numerics.decay_bits
    one = 1 << bits
    ranges = {
        "decay_v": (0, one) if neuron.curve is None else DECAY.limits(bits),
        "decay_u": (0, one),
        "threshold": (state.low, state.high),
        "v_reset": (state.low, state.high),
        "v_min": (state.low, state.high),
        "bias": (state.low, state.high),
        "bias_first": (state.low, state.high),
        "adapt_inc": (0, state.high),
        "leak": (0, state.high),
        "v_leak": (state.low, state.high),
        **{name: factor.limits(bits) for name, factor in FACTORS.items()},
        "jump": (state.low, state.high),
    }
    _within(population, ranges, found)
    if neuron.shift < 0:
        found.add("E0205", f"'{name}': shift is {neuron.shift}, it must be at least 0", at)
    if not (isfinite(neuron.scale) and neuron.scale > 0):
        found.add("E0205", f"'{name}': scale is {neuron.scale}, it must be positive", at)
    if neuron.reset not in (*Reset, "none"):
        rules = ", ".join((*Reset, "none"))
        found.add("E0205", f"'{name}': reset is '{neuron.reset}', expected one of {rules}", at)
    if neuron.refractory < 0:
        found.add("E0205", f"'{name}': refractory is {neuron.refractory} steps", at)
    if neuron.adapt_inc is not None:
        _adaptive(population, neuron, found)
    if neuron.leak is not None and (neuron.decay_v != one).any():
        found.add("E0205", f"'{name}': v leaks and decays; decay_v must be {one}", at)
    if neuron.v_leak is not None and neuron.leak is None:
        found.add("E0205", f"'{name}': v_leak without a leak", at)
    if neuron.curve is not None or neuron.substeps != 1:
        _quadratic(population, neuron, found)
    if neuron.spiking:
        _spike_count(population, neuron, neuron.max_spikes, found)


def _within(
    population: Population, ranges: Mapping[str, tuple[int, int]], found: Diagnostics
) -> None:
    """The whole numbers of a neuron that are there: their shapes, and their ranges."""
    for parameter, (low, high) in ranges.items():
        value = getattr(population.neuron, parameter)
        if value is None:
            continue
        _parameter_shape(population, parameter, value, found)
        if value.size and (value.min() < low or value.max() > high):
            found.add(
                "E0205",
                f"'{population.name}': {parameter} spans {value.min()} to {value.max()}, outside "
                f"{low} to {high}",
                population.at,
            )


def _spinnaker(population: Population, neuron: SpinnakerLIF, found: Diagnostics) -> None:
    name, at = population.name, population.at
    state, decay = (S1615.low, S1615.high), (0, U032.high)
    ranges = {
        **dict.fromkeys(("v_init", "v_rest", "v_reset", "threshold", "i_offset", "exp_tc"), state),
        **dict.fromkeys(("decay_e", "init_e", "decay_i", "init_i"), decay),
        "r": (0, S1615.high),
        "refractory": (0, S1615.high),
    }
    _within(population, ranges, found)
    for parameter in ("shift_e", "shift_i"):
        shift = getattr(neuron, parameter)
        if not 0 <= shift <= MAX_RING_SHIFT:
            found.add(
                "E0205",
                f"'{name}': {parameter} is {shift}; it must be 0 to {MAX_RING_SHIFT}",
                at,
                "a word that is shifted further leaves the 32 bits of its input",
            )
    rules = {"max_spikes": 1, "registered": False}
    for rule, must in rules.items():
        value = getattr(population.semantics, rule)
        if value != must:
            found.add("E0205", f"'{name}': {rule} is {value}; SpiNNaker has {must}", at)


def _words(projection: Projection, found: Diagnostics) -> None:
    """What a projection to a population of SpiNNaker must have."""
    name, at = projection.name, projection.at
    if projection.delay < 1:
        found.add(
            "E0205", f"'{name}': delay is {projection.delay} ticks; SpiNNaker has 1 at least", at
        )
    for stage in stages(projection.connection):
        weight = getattr(stage, "weight", None)
        if weight is None:
            continue
        bad = int(np.sum((weight < 0) | (weight > WORD) | (weight != np.rint(weight))))
        if bad:
            found.add(
                "E0205",
                f"'{name}': {bad} of {weight.size} weights are no words of 0 to {WORD}; they span "
                f"{weight.min():g} to {weight.max():g}",
                at,
                "what inhibits ends at the receptor 'inhibitory'",
            )


def _loihi(population: Population, found: Diagnostics) -> None:
    neuron = population.neuron
    bias = {"bias_mant": BIAS_MANT_RANGE, "bias_exp": BIAS_EXP_RANGE}
    decays = dict.fromkeys(("du", "dv"), DECAY_RANGE)
    if isinstance(neuron, LoihiDelta):
        _loihi_delta(population, neuron, found)
    elif isinstance(neuron, LoihiLIF):
        _within(population, decays | {"vth": THRESHOLD_RANGE} | bias, found)
    elif isinstance(neuron, LoihiATRLIF):
        decays |= dict.fromkeys(("dr", "dtheta"), DECAY_RANGE)
        shared = decays | dict.fromkeys(("theta_0", "theta_step"), THETA_RANGE)
        for parameter in shared:
            shape = getattr(neuron, parameter).shape
            if shape:
                found.add(
                    "E0205",
                    f"'{population.name}': {parameter} has shape {shape}; all neurons of a "
                    "population share one",
                    population.at,
                )
        start = {"v_init": (-STATE_LIMIT, STATE_LIMIT)}
        _within(population, shared | start | bias, found)
    rules = {"max_spikes": 1, "registered": False, "v_init": 0.0}
    for rule, must in rules.items():
        value = getattr(population.semantics, rule)
        if value != must:
            found.add(
                "E0205",
                f"'{population.name}': {rule} is {value}; Loihi has {must}",
                population.at,
            )


def _loihi_delta(population: Population, neuron: LoihiDelta, found: Diagnostics) -> None:
    name, at = population.name, population.at
    low, high = STATE_EXP_RANGE
    for field in ("spike_exp", "state_exp"):
        value = getattr(neuron, field)
        if not low <= value <= high:
            found.add("E0205", f"'{name}': {field} is {value}; Loihi has {low} to {high}", at)
    shift = max(neuron.spike_exp, 0) + max(neuron.state_exp, 0)
    if not 0 <= neuron.vth <= STATE_LIMIT >> shift:
        found.add(
            "E0205",
            f"'{name}': vth is {neuron.vth}; with its exponents, {shift} bits, Loihi has 0 to "
            f"{STATE_LIMIT >> shift}",
            at,
        )
    if isinstance(neuron, LoihiSigmaDelta):
        least, most = DELTA_BIAS_RANGE
        _within(population, {"bias": (-(-least >> shift), most >> shift)}, found)


def _loihi_weights(projection: Projection, words: LoihiWeights, found: Diagnostics) -> None:
    """What a projection to a population of Loihi must have."""
    name, at = projection.name, projection.at
    low, high = DELAY_RANGE
    sparse = [s for s in stages(projection.connection) if isinstance(s, Sparse)]
    own = [s.steps for s in sparse if s.steps is not None and s.steps.size]
    steps = projection.delay + (np.concatenate(own) if own else np.zeros(1, np.int64))
    if not low <= steps.min() <= steps.max() <= high:
        found.add(
            "E0205",
            f"'{name}': delays span {steps.min()} to {steps.max()} steps; Loihi has {low} to "
            f"{high}",
            at,
        )
    weighted = [s for s in stages(projection.connection) if not isinstance(s, Flatten)]
    if len(weighted) != 1 or not weighted[0].WEIGHTED:
        kinds = ", ".join(type(s).__name__ for s in weighted) or "Flatten"
        found.add(
            "E0205",
            f"'{name}' holds {kinds}; between two neurons Loihi has one stage of weights",
            at,
        )
        return
    (stage,) = weighted
    weight: npt.NDArray[Any] = stage.weight  # type: ignore[attr-defined]
    bad = int(np.sum(words.cut(weight) != weight))
    if bad:
        found.add(
            "E0205",
            f"'{name}': {bad} of {weight.size} weights are no multiples of {words.step} of "
            f"{words.low} to {words.high}; they span {weight.min():g} to {weight.max():g}",
            at,
            "ir.loihi.LoihiWeights.cut makes them so",
        )
    if isinstance(stage, Conv1d | Conv2d):
        taps = np.abs(weight.reshape(len(weight), -1)).sum(axis=1)
        most = float(taps.max(initial=0)) * 2.0**words.exponent
        if most > STATE_LIMIT:
            found.add(
                "E0205",
                f"'{name}': the sum of a kernel reaches {most:g}; Loihi's has 24 bits, "
                f"{STATE_LIMIT} at most",
                at,
            )


def _quadratic(population: Population, neuron: IntegerNeuron, found: Diagnostics) -> None:
    name, at, numerics = population.name, population.at, neuron.numerics
    missing = [n for n in ("curve", "couple", "rate", "jump") if getattr(neuron, n) is None]
    if missing:
        found.add("E0205", f"'{name}': a recovery without {', '.join(missing)}", at)
    if not 1 <= neuron.substeps <= MAX_SUBSTEPS:
        found.add(
            "E0205", f"'{name}': substeps is {neuron.substeps}, it must be 1 to {MAX_SUBSTEPS}", at
        )
    if neuron.decay_u is not None or neuron.leak is not None:
        found.add("E0205", f"'{name}': a recovery goes with no synaptic current and no leak", at)
    if neuron.reset != Reset.VALUE or neuron.max_spikes != 1:
        found.add(
            "E0205",
            f"'{name}': a neuron with a recovery is reset to a value and spikes once a step; here "
            f"reset is '{neuron.reset}' and max_spikes {neuron.max_spikes}",
            at,
        )
    if neuron.refractory and not neuron.refractory_frozen:
        found.add("E0205", f"'{name}': a membrane with a recovery is frozen while refractory", at)
    bits = numerics.state.width + numerics.decay_bits
    if bits > MAX_PRODUCT_BITS or numerics.state.rounding is Rounding.STOCHASTIC:
        found.add(
            "E0205",
            f"'{name}': beside a recovery a state of {numerics.state.width} bits and a decay of "
            f"{numerics.decay_bits} pass {MAX_PRODUCT_BITS}, or are rounded stochastically",
            at,
        )


def _adaptive(population: Population, neuron: IntegerNeuron, found: Diagnostics) -> None:
    name, at = population.name, population.at
    width = neuron.numerics.state.width
    if not 0 <= neuron.adapt_shift <= width:
        found.add(
            "E0205", f"'{name}': adapt_shift is {neuron.adapt_shift}, it must be 0 to {width}", at
        )
    if not 0 <= neuron.adapt_period <= MAX_SIZE:
        found.add("E0205", f"'{name}': adapt_period is {neuron.adapt_period} steps", at)
    if neuron.reset in ("none", Reset.TWO_PHASE) or neuron.max_spikes != 1:
        found.add(
            "E0205",
            f"'{name}': a threshold adapts where a step has at most one spike and v is compared "
            f"once; here reset is '{neuron.reset}' and max_spikes {neuron.max_spikes}",
            at,
        )


def _projection(
    projection: Projection, nodes: dict[str, Input | Population], found: Diagnostics
) -> None:
    name, at = projection.name, projection.at
    pre, post = nodes.get(projection.pre), nodes.get(projection.post)
    if pre is None:
        hint = _meant(projection.pre, nodes)
        found.add("E0202", f"'{name}' starts from '{projection.pre}', which is no node", at, hint)
    if not isinstance(post, Population):
        kind = "node" if post is None else "population"
        hint = _meant(projection.post, nodes) if post is None else None
        found.add("E0202", f"'{name}' ends in '{projection.post}', which is no {kind}", at, hint)
    if projection.delay < 0:
        found.add("E0205", f"'{name}': delay is {projection.delay} steps", at)
    if projection.bias is not None and (bad := _not_finite(projection.bias)):
        found.add("E0106", f"'{name}': {bad} of {projection.bias.size} biases are not finite", at)
    connection, fits = projection.connection, _connection(projection, found)
    if projection.plasticity is not None and fits:
        _plastic(projection, projection.plasticity, nodes, found)
    if pre is None or not isinstance(post, Population):
        return
    if fits and (prod(connection.in_shape) != pre.size or prod(connection.out_shape) != post.size):
        found.add(
            "E0203",
            f"'{name}' maps {connection.in_shape} to {connection.out_shape}, but "
            f"'{pre.name}' has shape {pre.shape} and '{post.name}' {post.shape}",
            at,
        )
    _port(projection, post, found)
    if fits and isinstance(post.neuron, SpinnakerLIF):
        _words(projection, found)
    _on_loihi(projection, post, fits, found)
    if fits and projection.short_term is not None:
        _short_term(projection, projection.short_term, pre, found)
    if projection.bias is not None and projection.bias.shape not in ((), (post.size,)):
        found.add(
            "E0207",
            f"'{name}': bias has shape {projection.bias.shape}, expected ({post.size},)",
            at,
        )


def _on_loihi(projection: Projection, post: Population, fits: bool, found: Diagnostics) -> None:
    name, at, words = projection.name, projection.at, projection.words
    if isinstance(post.neuron, LoihiNeuron) != (words is not None):
        has = "has no words" if words is None else "has words of Loihi"
        found.add("E0205", f"'{name}' {has}, and '{post.name}' is {type(post.neuron).__name__}", at)
    if words is None:
        return
    if fits:
        _loihi_weights(projection, words, found)
    if projection.bias is not None:
        found.add(
            "E0205", f"'{name}' has a bias; that of '{post.name}' is bias_mant and bias_exp", at
        )


def _port(projection: Projection, post: Population, found: Diagnostics) -> None:
    name, port, names = projection.name, projection.receptor, port_names(post.neuron)
    if not names:
        if port is not None:
            found.add(
                "E0211",
                f"'{name}' ends at the receptor '{port}'; '{post.name}' "
                f"({type(post.neuron).__name__}) has one sum for all",
                projection.at,
            )
        return
    if port not in names:
        end = "no receptor" if port is None else f"the receptor '{port}'"
        found.add(
            "E0211",
            f"'{name}' ends at {end}; '{post.name}' has {', '.join(names)}",
            projection.at,
            None if port is None else _meant(port, names),
        )
    if projection.bias is not None:
        found.add(
            "E0211",
            f"'{name}' has a bias; the constant input of '{post.name}' is i_offset",
            projection.at,
        )


def _short_term(
    projection: Projection, rule: TsodyksMarkram, pre: Input | Population, found: Diagnostics
) -> None:
    name, at = projection.name, projection.at
    stage = projection.connection
    if not isinstance(stage, Sparse | Dense | OneToOne):
        found.add(
            "E0208",
            f"'{name}': {type(stage).__name__} has no weights of its own for short-term plasticity",
            at,
        )
        return
    for problem in rule.problems(stage.weight.shape):
        found.add("E0209", f"'{name}': {problem}", at)
    if projection.plasticity is not None:
        found.add("E0209", f"'{name}' has both long-term and short-term plasticity", at)
    if isinstance(pre, Population) and not pre.single:
        found.add(
            "E0209",
            f"'{name}': short-term plasticity counts single spikes; '{pre.name}' sends other "
            "values, or several a step",
            at,
        )


def _plastic(
    projection: Projection,
    plasticity: Plasticity,
    nodes: dict[str, Input | Population],
    found: Diagnostics,
) -> None:
    name, at, rule = projection.name, projection.at, plasticity.rule
    pre, post = nodes.get(projection.pre), nodes.get(projection.post)
    if type(rule) not in RULES:
        found.add("E0209", f"'{name}': the verifier does not know {type(rule).__name__}", at)
        return
    for problem in rule.problems():
        found.add("E0209", f"'{name}': {problem}", at)
    if isinstance(rule, PairSTDP | IntegerPairSTDP):
        for problem in _pair_times(projection, rule, pre, post):
            found.add("E0209", f"'{name}': {problem}", at)
    _factors(projection, rule, nodes, found)
    if isinstance(rule, PairSTDP | IntegerPairSTDP):
        for end in (pre, post) if getattr(rule, "pairs", True) else (pre,):
            if isinstance(end, Population) and not end.single:
                found.add(
                    "E0209",
                    f"'{name}' pairs spikes of '{end.name}', which sends other values, or several "
                    "spikes a step",
                    at,
                )
    if isinstance(rule, SpinnakerPairSTDP):
        for problem in _spinnaker_pairs(projection, rule, plasticity, pre, post):
            found.add("E0209", f"'{name}': {problem}", at)
    if isinstance(rule, LoihiPairSTDP):
        for problem in _loihi_pairs(projection, plasticity, pre, post):
            found.add("E0209", f"'{name}': {problem}", at)
    low, high = plasticity.w_min, plasticity.w_max
    if not -MAX_WEIGHT <= low <= high <= MAX_WEIGHT:  # also where one is not a number
        found.add(
            "E0209",
            f"'{name}': w_min is {low:g} and w_max {high:g}; they must be ordered, and within "
            f"{MAX_WEIGHT}",
            at,
        )
        return
    if isinstance(rule, PairSTDP):
        if Dependence.SCALED in rule.dependences and not high > 0:
            found.add("E0209", f"'{name}': amplitudes are scaled by w_max, which is {high:g}", at)
        if rule.bits is not None and low == high:
            found.add(
                "E0209", f"'{name}': weights of {rule.bits} bits from {low:g} to {high:g}", at
            )
    if isinstance(rule, FRACTIONAL):
        for problem in _fractions(rule, low, high):
            found.add("E0209", f"'{name}': {problem}", at)
    stages_left = [s for s in stages(projection.connection) if not isinstance(s, Flatten)]
    stage = stages_left[0] if len(stages_left) == 1 else None
    if reason := _cannot_learn(stage):
        found.add("E0208", f"'{name}' cannot learn: {reason}", at)
        return
    weight: npt.NDArray[Any] = stage.weight  # type: ignore[union-attr]  # Dense, Sparse, OneToOne
    enable = plasticity.enable
    if enable is not None and enable.shape not in ((), weight.shape):
        found.add(
            "E0207", f"'{name}': enable has shape {enable.shape}, the weights {weight.shape}", at
        )
        return
    enabled = weight if enable is None else weight[np.broadcast_to(enable, weight.shape)]
    if outside := int(np.sum((enabled < low) | (enabled > high))):
        found.add(
            "E0210",
            f"'{name}': {outside} of {enabled.size} plastic weights lie outside {low:g} to "
            f"{high:g}; they span {enabled.min():g} to {enabled.max():g}",
            at,
        )
    if plasticity.scaling is not None:
        mask = np.broadcast_to(True if enable is None else enable, weight.shape)
        for problem in _scaling(rule, plasticity.scaling, low, high, _fan_in(stage, mask)):
            found.add("E0209", f"'{name}': {problem}", at)
    if rule.INTEGER:
        broken = int(np.sum(weight != np.rint(weight)))
        if broken or not (low.is_integer() and high.is_integer()):
            found.add(
                "E0210",
                f"'{name}': {type(rule).__name__} counts in whole weights, but {broken} of "
                f"{weight.size} are not whole, or one of the rails {low:g} and {high:g} is not",
                at,
            )
    neuron = getattr(post, "neuron", None)
    if isinstance(neuron, IntegerNeuron):
        form = neuron.numerics.weight
        if low < form.low or high > form.high:
            found.add(
                "E0210",
                f"'{name}': the rails {low:g} to {high:g} leave the {form.width} bits of a weight, "
                f"{form.low} to {form.high}",
                at,
            )
        if isinstance(rule, SDSP) and not rule.theta_mem.is_integer():
            found.add(
                "E0209",
                f"'{name}': theta_mem is {rule.theta_mem:g}; v is a whole number here",
                at,
            )


def _fractions(rule: IntegerPairSTDP | IntegerHebbian, low: float, high: float) -> Iterator[str]:
    """What is wrong with rails, in units, of weights that have a fraction."""
    unit = 2.0**rule.fraction
    if not max(high, -low) * unit <= MAX_WEIGHT:
        yield f"rails {low:g} to {high:g} and {rule.fraction} bits below; 31 bits are all there are"
    if isinstance(rule, IntegerHebbian):
        return
    if Dependence.MULTIPLICATIVE in rule.dependences and not max(high, -low) * unit < MAX_SCALED:
        yield (
            f"rails {low:g} to {high:g} with amplitudes that depend on the weight; they must be "
            f"within {MAX_SCALED / unit:g}"
        )
    if rule.bits is None:
        return
    span = (high - low) * unit
    if span < 2.0**rule.bits - 1:
        yield f"weights of {rule.bits} bits from {low:g} to {high:g}, {rule.fraction} bits below"
    if span > MAX_WEIGHT:
        yield f"weights of few bits from {low:g} to {high:g}; that may be {MAX_WEIGHT / unit:g}"


def _scaling(rule: Rule, scaling: Scaling, low: float, high: float, most: int) -> Iterator[str]:
    """What is wrong with the target of weights that this rule changes."""
    if isinstance(rule, Hebbian | IntegerHebbian):
        yield "Hebbian moves weights in every step; scaling goes with rules that spikes drive"
    elif not isinstance(rule, PairSTDP | IntegerPairSTDP):
        yield f"{type(rule).__name__} counts in whole weights, which no factor can scale"
    elif rule.bits is not None:
        yield f"weights of {rule.bits} bits, which no factor can scale"
    elif isinstance(rule, IntegerPairSTDP):
        unit = 2.0**rule.fraction
        if not abs(scaling.target) * unit * max(high, -low) * unit < MAX_PRODUCT:
            yield f"its weights are scaled to {scaling.target:g}; with them that is over 62 bits"
        # What they were rounded from.
        low, high = low - 0.5 * (low < 0), high + 0.5 * (high > 0)
    yield from scaling.problems(low, high, most)


def _fan_in(stage: Connection | None, mask: npt.NDArray[np.bool_]) -> int:
    """The most synapses of ``mask``, in the shape of the weights, that a post neuron has."""
    match stage:
        case Dense():
            each = mask.sum(axis=1)
        case Sparse():
            each = np.bincount(stage.post, mask)
        case _:
            each = mask
    return int(each.max(initial=0))


def _factors(
    projection: Projection, rule: Rule, nodes: dict[str, Input | Population], found: Diagnostics
) -> None:
    """The nodes whose emission a rule reads: each is there, and of a size that fits."""
    name, at = projection.name, projection.at
    for factor in rule.factors:
        end = nodes.get(projection.pre if factor.side == "pre" else projection.post)
        if factor.node is None or end is None:
            continue
        node = nodes.get(factor.node)
        if node is None:
            found.add(
                "E0215",
                f"'{name}': its {factor.field} is '{factor.node}', which is no node",
                at,
                _meant(factor.node, nodes),
            )
        elif node.size != end.size and not (factor.shared and node.size == 1):
            one = "1 or " if factor.shared else ""
            found.add(
                "E0215",
                f"'{name}': its {factor.field} '{node.name}' has size {node.size}; it must have "
                f"{one}{end.size}, that of '{end.name}'",
                at,
            )


def _tied(projection: Projection, tied: Tied, graph: Graph, found: Diagnostics) -> None:
    name, at = projection.name, projection.at
    others = {p.name: p for p in graph.projections if p is not projection}
    source = others.get(tied.projection)
    if source is None:
        found.add(
            "E0216",
            f"'{name}' is tied to '{tied.projection}', which is no other projection",
            at,
            _meant(tied.projection, others),
        )
        return
    problem = None
    if projection.plasticity is not None or projection.short_term is not None:
        problem = "has a rule of its own"
    elif source.tied is not None:
        problem = f"is tied to '{source.name}', which itself is to '{source.tied.projection}'"
    elif not isfinite(tied.scale):
        problem = f"is scaled by {tied.scale}"
    else:
        problem = _untied(projection.connection, source.connection, tied)
    if problem:
        found.add("E0216", f"'{name}' {problem}", at)


def _untied(connection: Connection, source: Connection, tied: Tied) -> str | None:
    """In what the synapses or weights of a tied connection are not those of its source."""
    ends = []
    for each in (connection, source):
        found = [s for s in stages(each) if not isinstance(s, Flatten)]
        stage = found[0] if len(found) == 1 else None
        if reason := _cannot_learn(stage):
            return f"or what it is tied to has no weight for each synapse: {reason}"
        ends.append(stage)
    mine, other = ends
    turned = -1 if tied.transpose else 1
    wanted = tuple(prod(shape) for shape in (other.in_shape, other.out_shape)[::turned])  # type: ignore[union-attr]
    sizes = tuple(prod(shape) for shape in (mine.in_shape, mine.out_shape))  # type: ignore[union-attr]
    if sizes != wanted:
        return f"maps {sizes[0]} to {sizes[1]}, and tied so it would map {wanted[0]} to {wanted[1]}"
    places, weights = [], []
    for stage, turn in ((mine, 1), (other, turned)):
        pre, post = synapses(stage)[::turn]  # type: ignore[arg-type]
        place = pre.astype(np.int64) * sizes[1] + post
        order = np.argsort(place)
        places.append(place[order])
        weights.append(np.ravel(stage.weight)[order])  # type: ignore[union-attr]
    if not np.array_equal(places[0], places[1]):
        return f"has other synapses than '{tied.projection}'"
    wanted_weights = tied.scale * weights[1]
    if weights[0].dtype.kind == "i":
        wanted_weights = np.rint(wanted_weights)
    if broken := int(np.sum(weights[0] != wanted_weights)):
        return (
            f"starts with {broken} of {weights[0].size} weights that are not {tied.scale:g} times "
            f"those of '{tied.projection}'"
        )
    return None


def _pairs_on_chip(pre: Input | Population | None, chip: str) -> Iterator[str]:
    """What does not suit the pairs of a chip, which takes single spikes in the step they are in."""
    if not isinstance(pre, Population):
        return
    if not pre.single:
        yield f"pairs spikes of '{pre.name}', which sends other values, or several spikes a step"
    if pre.semantics.registered:
        yield f"pairs spikes of '{pre.name}', which shows them a step late; {chip} does not"


def _spinnaker_pairs(
    projection: Projection,
    rule: SpinnakerPairSTDP,
    plasticity: Plasticity,
    pre: Input | Population | None,
    post: Input | Population | None,
) -> Iterator[str]:
    """What does not suit the arithmetic of SpiNNaker's pairs."""
    yield from _pairs_on_chip(pre, "SpiNNaker")
    if plasticity.transmit is not Transmit.AFTER:
        yield "SpiNNaker sends the weight that is left after an update"
    neuron = getattr(post, "neuron", None)
    if not isinstance(neuron, SpinnakerLIF):
        yield f"weights in words of a ring buffer; {type(neuron).__name__} has none"
        return
    shifts = dict(zip(neuron.RECEPTORS, (neuron.shift_e, neuron.shift_i), strict=True))
    shift = shifts.get(projection.receptor or "", rule.shift)
    if shift != rule.shift:
        yield f"shift is {rule.shift}, that of its receptor {shift}"
    rails = tuple(float(w >> max(rule.shift, 0)) for w in (rule.w_min, rule.w_max))
    if rails != (plasticity.w_min, plasticity.w_max):
        yield (
            f"rails {plasticity.w_min:g} to {plasticity.w_max:g}; those of the rule are "
            f"{rails[0]:g} to {rails[1]:g} words"
        )


def _loihi_pairs(
    projection: Projection,
    plasticity: Plasticity,
    pre: Input | Population | None,
    post: Input | Population | None,
) -> Iterator[str]:
    """What does not suit Loihi's learning engine, as Lava has it."""
    yield from _pairs_on_chip(pre, "Loihi")
    if projection.delay != 1:
        yield f"a delay of {projection.delay} steps; what learns on Loihi takes 1"
    if plasticity.transmit is not Transmit.BEFORE:
        yield "Loihi sends the weight that the epoch before has left"
    if plasticity.enable is not None and not plasticity.enable.all():
        yield "some of its synapses do not learn; on Loihi all of a projection do"
    parts = [s for s in stages(projection.connection) if not isinstance(s, Flatten)]
    if len(parts) == 1 and not isinstance(parts[0], Dense):
        yield f"{type(parts[0]).__name__} synapses; on Loihi a Dense projection learns"
    words = projection.words
    if words is None or not isinstance(getattr(post, "neuron", None), LoihiLIF):
        yield f"weights in words of Loihi; {type(getattr(post, 'neuron', None)).__name__} has none"
        return
    rails = tuple(map(float, words.rails))
    if rails != (plasticity.w_min, plasticity.w_max):
        yield (
            f"rails {plasticity.w_min:g} to {plasticity.w_max:g}; {words.sign} weights that learn "
            f"have {rails[0]:g} to {rails[1]:g}"
        )


def _pair_times(
    projection: Projection,
    rule: PairSTDP | IntegerPairSTDP,
    pre: Input | Population | None,
    post: Input | Population | None,
) -> Iterator[str]:
    """What is wrong with when the spikes of a pair reach their synapse."""
    if projection.delay < 0 or not 0 <= rule.dendritic_delay_fraction <= 1:
        return
    if projection.delay == 0 and isinstance(pre, Population):
        yield "a delay of 0 steps; spikes of a population take at least one to a synapse and on"
        return
    try:
        _, dendritic = sides(rule, projection.delay)
    except ValueError as error:
        yield str(error)
        return
    late = isinstance(post, Population) and post.arrives_late and projection.receptor != CURRENT
    if dendritic == 0 and not late and rule.coincidence in (Coincidence.DEPRESS, Coincidence.BOTH):
        yield (
            f"coincidence is {rule.coincidence}, but without a dendritic delay a weight is sent "
            "before the neuron spikes that would depress it; potentiate or none is left"
        )


def _cannot_learn(stage: Connection | None) -> str | None:
    """Why the only stage of a connection has no plastic synapses; None where it has."""
    match stage:
        case Dense():
            return None
        case Sparse() if stage.steps is not None:
            return "its synapses have delays of their own; a plastic projection has one delay"
        case Sparse():
            row = np.repeat(np.arange(stage.pre_size), np.diff(stage.indptr))
            falls = (np.diff(stage.post.astype(np.int64)) <= 0) & (np.diff(row) == 0)
            if falls.any():
                return (
                    f"row {row[:-1][falls][0]} does not rise; the posts of a row must ascend, each "
                    "at most once"
                )
            return None
        case OneToOne():
            return "all its synapses share one weight" if stage.weight.ndim == 0 else None
        case Conv1d() | Conv2d():
            return "a convolution shares each weight among many synapses"
        case None:
            return "it is a chain of several stages"
        case _:
            return f"{type(stage).__name__} holds no weights of its own"


def _connection(projection: Projection, found: Diagnostics) -> bool:
    """Whether the connection is sound, so that its shapes mean something."""
    before = len(found)
    parts = stages(projection.connection)
    if not parts:
        found.add("E0205", f"'{projection.name}': a chain without stages", projection.at)
    for part in parts:
        _stage(part, f"'{projection.name}'", projection.at, found)
    if len(found) > before:
        return False
    for left, right in pairwise(parts):
        if prod(left.out_shape) != prod(right.in_shape):
            found.add(
                "E0203",
                f"'{projection.name}': {type(left).__name__} gives {left.out_shape}, "
                f"{type(right).__name__} takes {right.in_shape}",
                projection.at,
            )
    return len(found) == before


def _stage(stage: Connection, name: str, at: Location, found: Diagnostics) -> None:
    before = len(found)
    kind = type(stage).__name__
    for field in ("weight", "scale"):
        values = getattr(stage, field, None)
        if values is not None and (bad := _not_finite(values)):
            found.add(
                "E0106", f"{name}: {bad} of {values.size} values of {field} are not finite", at
            )
    if problem := _malformed(stage):
        found.add("E0205", f"{name}: {kind}: {problem}", at)
    if isinstance(stage, Conv1d | Conv2d) and not problem:
        channels, outputs, groups = stage.shape[0], stage.weight.shape[0], stage.groups
        if channels % groups or outputs % groups or stage.weight.shape[1] != channels // groups:
            found.add(
                "E0203",
                f"{name}: weight {stage.weight.shape} with {groups} group(s) does not take "
                f"{channels} channels",
                at,
            )
    if len(found) == before and any(n < 1 for n in (*stage.in_shape, *stage.out_shape)):
        found.add("E0203", f"{name}: {kind} takes {stage.in_shape}, leaves {stage.out_shape}", at)


def _malformed(stage: Connection) -> str | None:
    """What is wrong with the fields of one stage, before any shape can be derived from them."""
    match stage:
        case Dense():
            return _axes("weight", stage.weight.shape, 2)
        case Sparse():
            return _rows(stage)
        case Conv1d():
            return (
                _axes("weight", stage.weight.shape, 3)
                or _axes("shape", stage.shape, 2)
                or _at_least(1, stride=stage.stride, dilation=stage.dilation, groups=stage.groups)
                or _at_least(0, padding=stage.padding)
            )
        case Conv2d():
            return (
                _axes("weight", stage.weight.shape, 4)
                or _axes("shape", stage.shape, 3)
                or _at_least(1, stride=stage.stride, dilation=stage.dilation, groups=stage.groups)
                or _at_least(0, padding=stage.padding)
            )
        case SumPool2d():  # and AvgPool2d
            return (
                _axes("shape", stage.shape, 3)
                or _at_least(1, kernel=stage.kernel, stride=stage.stride)
                or _at_least(0, padding=stage.padding)
            )
        case Flatten():
            axes = len(stage.shape)
            end = stage.end + axes if stage.end < 0 else stage.end
            if not 0 <= stage.start <= end < axes:
                return f"there are no axes {stage.start} to {stage.end} in {stage.shape}"
            return None
        case Scale():
            return _elements("scale", stage.scale, stage.shape)
        case OneToOne():
            return _elements("weight", stage.weight, (prod(stage.shape),))
        case Delay():
            if (stage.steps < 0).any():
                return f"a delay of {stage.steps.min()} steps"
            return _elements("steps", stage.steps, (prod(stage.shape),))
        case _:
            return "the verifier does not know this connection"


def _axes(name: str, shape: Shape, axes: int) -> str | None:
    return None if len(shape) == axes else f"{name} {shape} must have {axes} axes"


def _at_least(low: int, **fields: Any) -> str | None:
    for name, value in fields.items():
        if (np.asarray(value) < low).any():
            return f"{name} is {value}, it must be at least {low}"
    return None


def _elements(name: str, array: npt.NDArray[Any], shape: Shape) -> str | None:
    return None if array.shape in ((), shape) else f"{name} has shape {array.shape}, not {shape}"


def _rows(stage: Sparse) -> str | None:
    indptr, post = stage.indptr, stage.post
    if problem := _at_least(1, pre_size=stage.pre_size, post_size=stage.post_size):
        return problem
    if indptr.shape != (stage.pre_size + 1,):
        return f"indptr has shape {indptr.shape}, expected ({stage.pre_size + 1},)"
    if post.ndim != 1 or post.shape != stage.weight.shape:
        return f"post has shape {post.shape}, weight {stage.weight.shape}"
    if indptr[0] != 0 or indptr[-1] != post.size or (np.diff(indptr) < 0).any():
        return f"indptr must rise from 0 to the {post.size} synapses"
    if post.size and not 0 <= post.min() <= post.max() < stage.post_size:
        return f"post spans {post.min()} to {post.max()}, outside 0 to {stage.post_size - 1}"
    if stage.steps is not None:
        if stage.steps.shape != post.shape:
            return f"steps has shape {stage.steps.shape}, post {post.shape}"
        if (stage.steps < 0).any():
            return f"a delay of {stage.steps.min()} steps"
    return None


def _loops(graph: Graph, found: Diagnostics) -> None:
    registered = {p.name: p.semantics.registered for p in graph.populations}
    edges: dict[str, set[str]] = {p.name: set() for p in graph.populations}
    for p in graph.projections:
        if p.pre in registered and not registered[p.pre] and p.minimum_delay == 0:
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
