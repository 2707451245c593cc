r"""Quantisation: real weights and states become integers with a known unit.

For one population with decays a, b, gains k_s, k_m and drift (``ir.step``) the gains go into the
weights and the leak potential into the bias:

.. math::
    W' = k_s k_m W, \qquad
    W'_{int} = \mathrm{round}(W' / s_w), \qquad
    v_{int} = v\,2^{g} / s_w, \qquad
    b_{int} = \mathrm{round}(b\,2^F),

with :math:`s_w` the scale (free, or a power of two) and :math:`g` the ``shift``. All projections
into a population share its scale, so that their products add without a multiplication.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ...boards.board import Target
from ...ir.connections import (
    Connection,
    Conv1d,
    Conv2d,
    Dense,
    OneToOne,
    Sparse,
    SumPool2d,
    chain,
    stages,
)
from ...ir.diagnostics import Diagnostics, fail
from ...ir.graph import Graph, Input, Population, Projection
from ...ir.integer_plasticity import MAX_FRACTION
from ...ir.neurons import (
    CubaLI,
    CubaLIF,
    Emission,
    IntegerNeuron,
    LoihiNeuron,
    Relay,
    SpinnakerLIF,
    Threshold,
)
from ...ir.numerics import Format, Numerics, Overflow, Rounding
from ...ir.plasticity import SDSP, Plasticity
from ...ir.recovery import DECAY
from ...ir.semantics import Comparison, Current, Reset, Semantics
from ...ir.step import StepParameters, step_parameters, v_start
from ..connectivity import to_sparse
from .adaptation import with_adaptation
from .fold import per_channel, scale_outputs, spread
from .learning import Quantised, whole_rules
from .points import has_ports
from .recovery import centred, most_decay_bits, recovery_error, recovery_shift, with_recovery

Real = npt.NDArray[np.float64]

# A state keeps at least this many bits below the unit of a weight while the threshold fits
# four times; worst-case sums beyond that saturate and are reported (W0404).
_FRACTION_BITS = 6
_HEADROOM = 4.0
_MAX_SHIFT = 15
_FAR = 64.0
_READOUT_STEPS = 1024
# What "any number of spikes a step" becomes: accumulators can be proven wide enough only for a
# number, and what a neuron may not emit stays in its membrane for the next step.
_MOST_SPIKES = 255


@dataclass(frozen=True)
class Quantise:
    """Choose a scale, a shift and integers for every population.

    ``weight_bits`` 2 to 16, ``state_bits`` 8 to 40, ``decay_bits`` 4 to 22. ``scale`` ``free`` uses
    the whole range of the weights, ``power_of_two`` keeps the unit of v a power of two of the
    real one. ``clip`` ``mse`` clips outliers where that lowers the mean squared error of the
    weights. ``input_max`` is the largest spike count of an input line in one step.

    What is quantised already passes through: integer populations, with integer weights into them.
    A plastic projection counts in whole weights, so that into a population with one the unit of a
    weight stays one, whatever ``scale`` and ``clip`` say: its weights and rails are those of the
    graph, and the other weights into that population are rounded to that unit. Refused (E0405)
    where neurons differ in their input gain or the rails do not fit ``weight_bits``. A rule in real
    numbers (`PairSTDP` and its kin, `Hebbian`) leaves the unit free: its weights and rails are
    rounded to it, and it becomes one of `ir.integer_plasticity`. What such a rule changes keeps
    ``fraction_bits`` below its unit, 0 to 16, which are not sent; without a number, as many as the
    rule has use for (`rules.integer_rule`).

    A threshold that adapts is one of integers (``adapt_inc``) where that says the same, but for
    rounding h to its unit; else it is refused (E0301): see ``with_adaptation``.
    """

    NAME: ClassVar[str] = "quantise"

    weight_bits: int = field(default=8, metadata={"help": "Bits of a weight, 2 to 16."})
    state_bits: int = field(
        default=24, metadata={"help": "Bits of a membrane or current, 8 to 40."}
    )
    decay_bits: int = field(default=12, metadata={"help": "Bits of a decay, 4 to 22."})
    rounding: Rounding = field(default=Rounding.NEAREST_EVEN, metadata={"help": "Of states."})
    weight_rounding: Rounding = field(
        default=Rounding.NEAREST_EVEN, metadata={"help": "Of weights."}
    )
    overflow: Overflow = field(
        default=Overflow.SATURATE, metadata={"help": "What a state does at its limits."}
    )
    scale: Literal["free", "power_of_two"] = field(
        default="free",
        metadata={"help": "The unit of weights: any, or the real one times a power of two."},
    )
    clip: Literal["max", "mse"] = field(
        default="max",
        metadata={"help": "Weights: up to the largest, or where the squared error is least."},
    )
    input_max: int = field(
        default=15, metadata={"help": "Largest count of an input line in a step. SFQ: always 1."}
    )
    seed: int = field(default=1, metadata={"help": "Of all that is drawn or tried by chance."})
    fraction_bits: int | None = field(
        default=None,
        metadata={
            "help": "Bits of a learning weight below its unit, 0 to 16; as its rule has use for."
        },
    )

    def check(self) -> None:
        """Raise E0402 for a field out of its range."""
        ranges = {
            "weight_bits": (self.weight_bits, 2, 16),
            "state_bits": (self.state_bits, 8, 40),
            "decay_bits": (self.decay_bits, 4, 22),
            "input_max": (self.input_max, 1, 1 << 16),
            "seed": (self.seed, 0, (1 << 32) - 1),
        }
        if self.fraction_bits is not None:
            ranges["fraction_bits"] = (self.fraction_bits, 0, MAX_FRACTION)
        for name, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise fail("E0402", f"{name} is {value}; it must be {low} to {high}")
        if self.state_bits + self.decay_bits > 62:
            raise fail(
                "E0402",
                f"state_bits {self.state_bits} + decay_bits {self.decay_bits} pass 62 bits",
            )

    def run(self, graph: Graph, target: Target, found: Diagnostics) -> Graph:
        """The graph with integer populations and integer weights."""
        self.check()
        quantised = quantise(graph, self, found)
        return uniform(quantised) if target.features.uniform else quantised


# High enough that the integer rung follows float64 but for ties: the yardstick of the reports.
REFERENCE = Quantise(weight_bits=16, state_bits=40, decay_bits=22)


def quantise(graph: Graph, options: Quantise, found: Diagnostics) -> Graph:
    """Quantise a legal graph. Raises E0401 when a threshold leaves the range of the state."""
    populations, projections = [], {p.name: p for p in graph.projections}
    factors: dict[str, float] = {}
    for population in graph.populations:
        incoming = list(graph.incoming(population.name))
        if isinstance(population.neuron, IntegerNeuron):
            _passes(population, population.neuron, incoming, graph, options, found)
            populations.append(population)
            continue
        if isinstance(population.neuron, SpinnakerLIF | LoihiNeuron):
            chip = "SpiNNaker" if isinstance(population.neuron, SpinnakerLIF) else "Loihi"
            found.add(
                "E0301",
                f"'{population.name}' is in the arithmetic of {chip} already",
                population.at,
                "quantise the network as it was before, or run it on the integer rung as it is",
            )
            continue
        neuron, integers, factor = _population(population, incoming, graph, options, found)
        populations.append(replace(population, neuron=neuron, adaptive=None))
        projections.update(integers)
        factors[population.name] = factor
    found.raise_errors()
    quantised = replace(
        graph,
        populations=tuple(populations),
        projections=tuple(projections[p.name] for p in graph.projections),
    )

    def counts(name: str) -> int:
        return _largest_count(name, graph, options)

    bits = options.weight_bits, options.fraction_bits
    return whole_rules(Quantised(quantised, graph, factors, counts, *bits), found)


def _passes(
    population: Population,
    neuron: IntegerNeuron,
    incoming: list[Projection],
    graph: Graph,
    options: Quantise,
    found: Diagnostics,
) -> None:
    """Check that a population which is quantised already is so with all that enters it."""
    down = up = 0.0
    for p in incoming:
        if _weights(p.connection).dtype.kind != "i" or p.bias is not None:
            what = "a bias" if p.bias is not None else "real weights"
            found.add(
                "E0401",
                f"'{p.name}' brings {what} into '{population.name}', which is quantised already",
                p.at,
                "give it integer weights, and the bias to the population",
            )
            continue
        low, high = _rail_bounds(p, p.connection, _largest_count(p.pre, graph, options))
        down, up = down + low, up + high
    needed = _acc_bits(down, up)
    if needed > neuron.numerics.acc_bits:
        found.add(
            "E0401",
            f"the sums into '{population.name}' need {needed} bits; its accumulators have "
            f"{neuron.numerics.acc_bits}",
            population.at,
        )


def _acc_bits(down: float, up: float) -> int:
    return max(int(np.ceil(np.log2(max(down, up) + 1))) + 1, 2)


def uniform(graph: Graph) -> Graph:
    """Give every population a synaptic current when one has it: u = d, through a decay of zero.

    Not quite nothing: a drive beyond the state's range now saturates before it meets v, as it does
    in a circuit that serves all populations.
    """
    neurons = [p.neuron for p in graph.populations if isinstance(p.neuron, IntegerNeuron)]
    if all(n.decay_u is None for n in neurons):
        return graph
    zero = np.asarray(0)
    populations = tuple(
        replace(p, neuron=replace(p.neuron, decay_u=zero))
        if isinstance(p.neuron, IntegerNeuron) and p.neuron.decay_u is None
        else p
        for p in graph.populations
    )
    return replace(graph, populations=populations)


def _population(
    population: Population,
    incoming: list[Projection],
    graph: Graph,
    options: Quantise,
    found: Diagnostics,
) -> tuple[IntegerNeuron, dict[str, Projection], float]:
    """The neuron, what ends in it, and how many units of a weight a real one is."""
    if has_ports(population):
        raise fail(
            "E0301",
            f"'{population.name}' ({type(population.neuron).__name__}) has receptors or a start of "
            "its own, which an integer population has not",
            population.at,
            "run the legalise pass first",
        )
    step = step_parameters(population.neuron, population.semantics, graph.dt)
    centre = population.semantics.v_init if step.recovery is not None else 0.0
    step, semantics = centred(step, population.semantics)
    start = np.zeros(()) if step.recovery is not None else v_start(population.neuron, semantics)
    step, semantics, origin = _from_start(step, semantics, start)
    start = start - origin
    population = replace(population, semantics=semantics)
    if step.recovery is not None:
        most = most_decay_bits(population, options.rounding, options.state_bits)
        options = replace(options, decay_bits=min(options.decay_bits, most))
    gain = step.gain_v if step.gain_u is None else step.gain_v * step.gain_u
    weight = Format(options.weight_bits, rounding=options.weight_rounding)
    generator = np.random.default_rng(options.seed)
    _check(population, step, gain, start, found)
    found.raise_errors()

    real = {p.name: _scaled(p.connection, gain, population) for p in incoming}
    biases = _biases(population, incoming, step, gain, start)
    plastic = [p for p in incoming if p.plasticity is not None]
    whole = [p for p in plastic if p.plasticity is not None and p.plasticity.rule.INTEGER]
    if whole:
        scale = _plastic_scale(population, whole, gain, weight, options, found)
    else:
        rails = [_real_rails(p, graph, population, gain, found) for p in incoming if _moves(p)]
        weights = [_weights(c) for c in real.values()]
        scale = _weight_scale([*weights, *rails], weight, step, options)
    factor = float(gain.flat[0]) / scale
    incoming = [_in_units(p, factor, weight, found) for p in incoming]
    found.raise_errors()
    integers = {
        name: _with_weights(c, weight.integers(_settled(_weights(c) / scale), generator))
        for name, c in real.items()
    }
    for name, connection in integers.items():
        _collapsed(name, real[name], connection, options, found)
    sums = [
        _tied_bounds(p, integers[p.name], _largest_count(p.pre, graph, options), graph, factor)
        if p.tied is not None
        else _rail_bounds(p, integers[p.name], _largest_count(p.pre, graph, options))
        for p in incoming
    ]
    down, up = (sum(s[k] for s in sums) for k in (0, 1))
    acc_bits = _acc_bits(down, up)
    shift = _shift(population, step, scale, (down, up), biases, options, found)
    unit = scale / 2.0**shift
    neuron = _integer_neuron(population, step, unit, shift, biases, acc_bits, options, found)
    neuron = replace(neuron, v_origin=origin)
    neuron = with_recovery(neuron, population, step, centre, unit, found)
    if population.adaptive is not None:
        neuron = with_adaptation(neuron, population, population.adaptive, graph.dt, found)
    return (
        neuron,
        {
            p.name: replace(
                p,
                connection=integers[p.name],
                bias=None,
                plasticity=_integer_plasticity(p.plasticity, unit),
            )
            for p in incoming
        },
        factor,
    )


def _moves(projection: Projection) -> bool:
    """Whether weights change, by a rule of their own or of those that they are tied to."""
    return projection.plasticity is not None or projection.tied is not None


def _tied_rails(projection: Projection, graph: Graph) -> tuple[float, float]:
    """Between what the weights of a tied projection move."""
    tied = projection.tied
    assert tied is not None
    source = next(p for p in graph.projections if p.name == tied.projection).plasticity
    low, high = (0.0, 0.0) if source is None else (source.w_min, source.w_max)
    ends = tied.scale * low, tied.scale * high
    return min(ends), max(ends)


def _real_rails(
    projection: Projection, graph: Graph, population: Population, gain: Real, found: Diagnostics
) -> npt.NDArray[Any]:
    """Between what weights that change move, in the unit of v."""
    plasticity = projection.plasticity
    if plasticity is None:
        rails = _tied_rails(projection, graph)
    else:
        rails = plasticity.w_min, plasticity.w_max
    if not np.all(gain == gain.flat[0]) or not gain.flat[0] > 0:
        found.add(
            "E0405",
            f"the input gains of '{population.name}' span {gain.min():g} to {gain.max():g}; "
            f"the weights of '{projection.name}' change, and need the same positive gain in every "
            "neuron",
            population.at,
        )
        found.raise_errors()
    return np.array(rails) * float(gain.flat[0])


def _in_units(
    projection: Projection, factor: float, weight: Format, found: Diagnostics
) -> Projection:
    """A projection whose rails, if its rule is one in real numbers, are units of a weight."""
    plasticity = projection.plasticity
    if plasticity is None or plasticity.rule.INTEGER:
        return projection
    low, high = (int(np.rint(rail * factor)) for rail in (plasticity.w_min, plasticity.w_max))
    if low < weight.low or high > weight.high:
        found.add(
            "E0405",
            f"the rails {plasticity.w_min:g} to {plasticity.w_max:g} of '{projection.name}' are "
            f"{low} and {high} units of a weight, which has {weight.low} to {weight.high}",
            projection.at,
            "use more --weight-bits, or narrower rails",
        )
    if low == high and plasticity.w_min != plasticity.w_max:
        found.add(
            "E0405",
            f"the rails {plasticity.w_min:g} to {plasticity.w_max:g} of '{projection.name}' are "
            f"both {low} units of a weight, which is {1 / factor:.3g}",
            projection.at,
            "use more --weight-bits, or smaller weights of what else ends in its population",
        )
    return replace(projection, plasticity=replace(plasticity, w_min=low, w_max=high))


def _plastic_scale(
    population: Population,
    plastic: list[Projection],
    gain: Real,
    weight: Format,
    options: Quantise,
    found: Diagnostics,
) -> float:
    """The scale that leaves every weight of the graph what it is: the gain itself."""
    scale = float(gain.flat[0])
    name, at = population.name, population.at
    if not np.all(gain == scale) or not scale > 0:
        found.add(
            "E0405",
            f"the input gains of '{name}' span {gain.min():g} to {gain.max():g}; a weight that "
            "learns in whole units needs the same positive gain in every neuron",
            at,
        )
    elif options.scale == "power_of_two" and np.frexp(scale)[0] != 0.5:
        found.add(
            "E0405",
            f"the input gain {scale:g} of '{name}' is no power of two, and its plastic weights "
            "keep their unit",
            at,
            "leave out --scale power_of_two, or choose r, dt and tau so that the gain is one",
        )
    for p in plastic:
        assert p.plasticity is not None
        low, high = p.plasticity.w_min, p.plasticity.w_max
        if low < weight.low or high > weight.high:
            found.add(
                "E0405",
                f"the rails {low:g} to {high:g} of '{p.name}' leave the {weight.width} bits of a "
                f"weight, {weight.low} to {weight.high}",
                p.at,
                "use more --weight-bits, or narrower rails",
            )
        beyond = _weights(p.connection)
        if np.any(beyond < weight.low) or np.any(beyond > weight.high):
            found.add(
                "E0405",
                f"weights of '{p.name}' that do not learn leave {weight.low} to {weight.high}",
                p.at,
                "use more --weight-bits",
            )
    found.raise_errors()
    return scale


def _integer_plasticity(plasticity: Plasticity | None, unit: float) -> Plasticity | None:
    if plasticity is None or not isinstance(plasticity.rule, SDSP):
        return plasticity
    # v >= theta and, for whole v, v >= ceil(theta) agree.
    theta = float(np.ceil(_settled(np.asarray(plasticity.rule.theta_mem / unit))))
    return replace(plasticity, rule=replace(plasticity.rule, theta_mem=theta))


def _from_start(
    step: StepParameters, semantics: Semantics, start: Real
) -> tuple[StepParameters, Semantics, Real]:
    """The step of v - start, where a synaptic current leaves no other way to start there, and what
    v is counted from.

    Only where a spike sets v to a value: it then takes nothing off that would have to stay.
    """
    set_to = semantics.reset in (Reset.ZERO, Reset.VALUE) and semantics.max_spikes == 1
    bounded = semantics.v_min is not None and start.ndim > 0  # the bound is one number
    if step.decay_u is None or step.recovery is not None or not set_to or bounded:
        return step, semantics, np.zeros(())
    if not start.any():
        return step, semantics, np.zeros(())
    moved = replace(
        step,
        drift=np.asarray(step.drift - (1.0 - step.decay_v) * start),
        threshold=None if step.threshold is None else np.asarray(step.threshold - start),
        v_reset=None if step.v_reset is None else np.asarray(step.v_reset - start),
    )
    v_min = None if semantics.v_min is None else semantics.v_min - float(start)
    return moved, replace(semantics, v_init=0.0, v_min=v_min, reset=Reset.VALUE), start


def _integer_neuron(
    population: Population,
    step: StepParameters,
    unit: float,
    shift: int,
    biases: tuple[Real, Real | None],
    acc_bits: int,
    options: Quantise,
    found: Diagnostics,
) -> IntegerNeuron:
    semantics = population.semantics
    state = Format(options.state_bits, rounding=options.rounding, overflow=options.overflow)
    weight = Format(options.weight_bits, rounding=options.weight_rounding)
    one = 1 << options.decay_bits

    def decay(x: Real) -> npt.NDArray[np.int64]:
        # With a recovery it may be anything that the field holds: see `with_recovery`.
        low, high = (0, one) if step.recovery is None else DECAY.limits(options.decay_bits)
        return np.clip(np.rint(x * one), low, high).astype(np.int64)

    def units(x: Any) -> npt.NDArray[np.int64]:
        whole = np.rint(np.asarray(x, np.float64) / unit)
        if np.any(whole > state.high) or np.any(whole < state.low):
            found.add(
                "E0401",
                f"{float(np.max(np.abs(x))):g} is {float(np.max(np.abs(whole))):.0f} units of v in "
                f"'{population.name}'; {options.state_bits} state bits hold {state.high}",
                population.at,
                "use more --state-bits or fewer --weight-bits",
            )
        return np.clip(whole, state.low, state.high).astype(np.int64)

    readout = population.neuron.EMISSION is Emission.GRADED
    if readout or step.threshold is None:
        rule, threshold, reset = "none", np.asarray(state.high), np.asarray(0)
    else:
        exact = _settled(step.threshold / unit)
        if np.any((step.threshold > 0) & (np.rint(exact) < 1)):
            found.add(
                "E0401",
                f"a threshold of {float(np.min(step.threshold)):g} in '{population.name}' rounds "
                f"to zero: one unit of v is {unit:.3g}",
                population.at,
                "use more --state-bits, or scale the neurons of the population alike",
            )
        # Several spikes a step are counted by floor(w / threshold), whatever the comparison; under
        # zero and value the executor divides by this very number.
        counted = semantics.max_spikes != 1 and semantics.reset in (Reset.ZERO, Reset.VALUE)
        greater = counted or semantics.comparison is Comparison.GREATER
        # w > x and w > floor(x) agree for an integer w; w >= x and w > ceil(x) - 1 do.
        whole = np.floor(exact) if greater else np.ceil(exact) - 1
        amount = units(step.threshold)
        threshold = np.clip(whole, state.low, state.high).astype(np.int64)
        if isinstance(population.neuron, Threshold):
            rule, reset = "zero", np.asarray(0)
        elif step.recovery is not None:
            rule, reset = str(Reset.VALUE), units(step.v_reset)
        elif semantics.reset in (Reset.SUBTRACT, Reset.TWO_PHASE):
            rule, reset = str(semantics.reset), amount
        else:
            rule = str(semantics.reset)
            reset = units(0.0 if step.v_reset is None else step.v_reset)
    leak = None if step.leak is None else units(step.leak)
    if leak is not None and step.leak is not None and np.any((step.leak > 0) & (leak < 1)):
        found.add(
            "E0401",
            f"a leak of {float(np.min(step.leak)):g} a step in '{population.name}' rounds to zero: "
            f"one unit of v is {unit:.3g}",
            population.at,
            "use more --state-bits",
        )
    bias, first = biases
    single = isinstance(population.neuron, Threshold)
    return IntegerNeuron(
        numerics=Numerics(weight, state, options.decay_bits, acc_bits),
        source_model=type(population.neuron).__name__,
        scale=unit,
        shift=shift,
        decay_v=decay(step.decay_v),
        decay_u=None if step.decay_u is None else decay(step.decay_u),
        threshold=threshold,
        bias=units(bias),
        bias_first=None if first is None else units(first),
        v_min=np.asarray(state.low) if semantics.v_min is None else units(semantics.v_min),
        v_reset=reset,
        reset=rule,
        current_old=step.decay_u is not None and semantics.current is Current.OLD,
        max_spikes=1 if single or rule == "none" else semantics.max_spikes or _MOST_SPIKES,
        refractory=semantics.refractory,
        refractory_frozen=semantics.refractory_frozen,
        leak=leak,
        v_leak=None if step.v_leak is None or not step.v_leak.any() else units(step.v_leak),
    )


def _settled(x: Real) -> Real:
    """A quotient that misses a whole number by rounding errors only is that number."""
    nearest = np.rint(x)
    return np.where(np.abs(x - nearest) <= 16 * np.spacing(np.abs(nearest)), nearest, x)


# -- weights ---------------------------------------------------------------------------------


def _weights(connection: Connection) -> npt.NDArray[Any]:
    return next(s.weight for s in stages(connection) if s.WEIGHTED)  # type: ignore[attr-defined]


def _with_weights(connection: Connection, weight: npt.NDArray[Any]) -> Connection:
    parts = tuple(
        replace(s, weight=weight) if s.WEIGHTED else s  # type: ignore[call-arg]
        for s in stages(connection)
    )
    return chain(parts, connection.in_shape)


def _scaled(connection: Connection, gain: Real, population: Population) -> Connection:
    """The connection with the gain of each post neuron in its weights, compact if that is exact."""
    if gain.ndim == 0:
        return _with_weights(connection, _weights(connection) * float(gain))
    flat = np.ravel(gain)
    *before, last = stages(connection)
    after: list[Connection] = []
    each: Real | None = flat
    while not last.WEIGHTED and each is not None:
        # A factor that a whole channel shares passes through a pool, which keeps the channels.
        each = per_channel(each, last.out_shape[0])
        after.insert(0, last)
        *before, last = before
        each = None if each is None else spread(each, last)
    scaled = None if each is None else scale_outputs(last, each)
    if scaled is not None:
        return chain((*before, scaled, *after), connection.in_shape)
    # The gain differs inside a shared kernel: only the unrolled connection can hold it.
    matrix = to_sparse(connection).tocsr()
    post = matrix.indices.astype(np.int32)
    rows, columns = matrix.shape
    values = matrix.data * flat[post]
    return Sparse(rows, columns, matrix.indptr.astype(np.int64), post, values)


def _weight_scale(
    weights: list[npt.NDArray[Any]], weight: Format, step: StepParameters, options: Quantise
) -> float:
    """The real value of one unit of a weight."""
    values = np.concatenate([np.ravel(w) for w in weights]) if weights else np.zeros(0)
    largest = float(np.max(np.abs(values))) if values.size else 0.0
    if largest == 0.0:
        fallback = 1.0 if step.threshold is None else float(np.max(np.abs(step.threshold)))
        largest = fallback or 1.0
    # With all weights integers already, the unit that makes them exact is the better one.
    if values.size and largest <= weight.high and np.array_equal(values, np.rint(values)):
        return 1.0
    if options.clip == "mse" and values.size:
        largest *= _best_clip(values, largest, weight)
    scale = largest / weight.high
    if options.scale == "power_of_two":
        return float(2.0 ** np.ceil(np.log2(scale)))
    return scale


def _best_clip(values: npt.NDArray[Any], largest: float, weight: Format) -> float:
    """The share of the largest weight at which clipping gives the least mean squared error."""
    shares = np.linspace(1.0, 0.3, 29)
    errors = []
    for share in shares:
        scale = largest * share / weight.high
        restored = np.clip(np.rint(values / scale), weight.low, weight.high) * scale
        errors.append(float(np.mean((values - restored) ** 2)))
    return float(shares[int(np.argmin(errors))])


def _collapsed(
    name: str, real: Connection, integer: Connection, options: Quantise, found: Diagnostics
) -> None:
    before, after = np.count_nonzero(_weights(real)), np.count_nonzero(_weights(integer))
    if before and after < before / 2:
        found.add(
            "W0403",
            f"{before - after} of {before} weights of '{name}' round to zero at "
            f"{options.weight_bits} bits",
            hint="use more --weight-bits, or --clip mse",
        )


# -- ranges ----------------------------------------------------------------------------------


def _biases(
    population: Population,
    incoming: list[Projection],
    step: StepParameters,
    gain: Real,
    start: Real,
) -> tuple[Real, Real | None]:
    """Bias of every step, and of the first one where it differs, in the unit of v."""
    drift = np.ravel(step.drift)
    every, first = drift.copy(), drift.copy()
    if step.decay_u is not None:
        # The bias enters u. There U = u + drift takes the place of u: it settles at the drift,
        # and the first step lifts it there from zero.
        every = (1.0 - np.ravel(step.decay_u)) * drift
    for projection in incoming:
        if projection.bias is None:
            continue
        share = np.ravel(gain) * np.ravel(projection.bias)
        every = every + share
        if population.semantics.recurrent_bias_first or not projection.recurrent:
            first = first + share
    # A membrane that starts at v_init acts in the first step alone, as b v_init: a bias of its own.
    if step.leak is None:
        first = first + np.ravel(step.decay_v) * np.ravel(start)
    elif start.any():
        first = first + _leaked(float(start), step) - _leaked(0.0, step)

    def shaped(x: Real) -> Real:
        if np.all(x == x[0]):
            return np.asarray(x[0])
        return x.reshape(population.shape)

    return shaped(every), None if np.array_equal(every, first) else shaped(first)


def _leaked(v: float, step: StepParameters) -> Real:
    """A membrane at v after one step of a linear leak."""
    assert step.leak is not None and step.v_leak is not None
    leak, far = np.ravel(step.leak), v - np.ravel(step.v_leak)
    return np.asarray(v - np.clip(far, -leak, leak))


def _check(
    population: Population, step: StepParameters, gain: Real, start: Real, found: Diagnostics
) -> None:
    """Find what the integer step cannot express: nothing is approximated silently."""
    semantics = population.semantics
    for name, decay in (("v", step.decay_v), ("u", step.decay_u)):
        if decay is not None and np.any(decay < 0) and step.recovery is None:
            found.add(
                "E0108",
                f"the decay of {name} in '{population.name}' is {float(np.min(decay)):g}: the step "
                "is longer than a time constant",
                population.at,
                "check dt and the unit of the time constants",
            )
    if not np.isfinite(gain).all():
        found.add("E0401", f"the input gain of '{population.name}' is not finite", population.at)
    if step.decay_u is None:
        return
    if start.any():
        found.add(
            "E0301",
            f"'{population.name}' has a synaptic current and starts at v_init "
            f"{start.flat[np.argmax(np.abs(start))]:g}; integer states start at zero, and a bias "
            "of the first step would stay in the current",
            population.at,
            "start it at 0, or let a spike, one a step, set v to a value",
        )
    if semantics.current is Current.OLD and np.any(step.drift != 0.0):
        found.add(
            "E0301",
            f"'{population.name}' has a leak potential, and a membrane that sees the current of "
            "the step before: no bias of the current makes up for the first step",
            population.at,
            "move the threshold and the reset instead, so that v_leak is 0",
        )


def _largest_count(name: str, graph: Graph, options: Quantise) -> int:
    node = graph.node(name)
    if isinstance(node, Input):
        return options.input_max
    if isinstance(node.neuron, Threshold):
        return 1
    return node.semantics.max_spikes or _MOST_SPIKES


def _bounds(connection: Connection, count: int) -> tuple[float, float]:
    """The largest negative and positive sum that one step can bring to a neuron."""
    down = up = float(count)
    for stage in stages(connection):
        match stage:
            case SumPool2d():
                cells = stage.kernel[0] * stage.kernel[1]
                down, up = down * cells, up * cells
            case Dense():
                low = -np.minimum(stage.weight, 0).sum(axis=1)
                high = np.maximum(stage.weight, 0).sum(axis=1)
                down, up = _cross(down, up, low, high)
            case Conv1d() | Conv2d():
                axes = tuple(range(1, stage.weight.ndim))
                low = -np.minimum(stage.weight, 0).sum(axis=axes)
                high = np.maximum(stage.weight, 0).sum(axis=axes)
                down, up = _cross(down, up, low, high)
            case Sparse():
                size = stage.post_size
                negative = np.where(stage.weight < 0, -stage.weight, 0)
                positive = np.where(stage.weight > 0, stage.weight, 0)
                low = np.bincount(stage.post, negative, size)
                high = np.bincount(stage.post, positive, size)
                down, up = _cross(down, up, low, high)
            case OneToOne():
                down, up = _cross(
                    down, up, -np.minimum(stage.weight, 0), np.maximum(stage.weight, 0)
                )
            case _:
                raise TypeError(f"{type(stage).__name__} is not legal")
    return down, up


def _rail_bounds(projection: Projection, connection: Connection, count: int) -> tuple[float, float]:
    """``_bounds`` whatever the plastic weights become."""
    plasticity = projection.plasticity
    if plasticity is None:
        return _bounds(connection, count)
    weight = _weights(connection)
    enabled = np.asarray(True if plasticity.enable is None else plasticity.enable)
    low, high = (
        _with_weights(connection, np.where(enabled, int(rail), weight))
        for rail in (plasticity.w_min, plasticity.w_max)
    )
    return _bounds(low, count)[0], _bounds(high, count)[1]


def _tied_bounds(
    projection: Projection, connection: Connection, count: int, graph: Graph, factor: float
) -> tuple[float, float]:
    """``_rail_bounds`` of a projection whose weights are those of another."""
    weight = _weights(connection)
    low, high = (
        _with_weights(connection, np.full(weight.shape, int(np.rint(rail * factor))))
        for rail in _tied_rails(projection, graph)
    )
    return _bounds(low, count)[0], _bounds(high, count)[1]


def _cross(down: float, up: float, low: Any, high: Any) -> tuple[float, float]:
    # Before the weights every value is a count, so only `up` is ever reached.
    most = max(down, up)
    return most * float(np.max(low, initial=0)), most * float(np.max(high, initial=0))


def _shift(
    population: Population,
    step: StepParameters,
    scale: float,
    sums: tuple[float, float],
    biases: tuple[Real, Real | None],
    options: Quantise,
    found: Diagnostics,
) -> int:
    """How many bits the state has below the unit of a weight."""
    bias = max(float(np.max(np.abs(b))) for b in biases if b is not None) / scale
    if step.recovery is not None:
        return recovery_shift(population, step, step.recovery, scale, bias, options.state_bits)
    down, up = sums[0] + bias, sums[1] + bias
    if isinstance(population.neuron, CubaLIF | CubaLI):
        assert step.decay_u is not None
        stay = 1.0 - float(np.max(step.decay_u))
        down, up = (down / stay, up / stay) if stay > 0 else (np.inf, np.inf)
    threshold = 0.0 if step.threshold is None else float(np.max(np.abs(step.threshold))) / scale
    extra = [x for x in (step.v_reset, population.semantics.v_min, step.v_leak) if x is not None]
    floor = max((float(np.max(np.abs(x))) / scale for x in extra), default=0.0)
    leak = 1.0 - float(np.max(step.decay_v))
    if isinstance(population.neuron, Relay | Threshold):
        leak = 1.0
    lowest = down / leak if leak > 0 else (0.0 if down == 0 else np.inf)
    if population.semantics.v_min is not None:
        lowest = min(lowest, floor)
    highest = (
        threshold + up
        if step.threshold is not None
        else (up / leak if leak > 0 else (0.0 if up == 0 else np.inf))
    )
    worst = max(lowest, highest, 2 * threshold, floor, 1.0)
    room = float((1 << (options.state_bits - 1)) - 1)
    needed = max(_HEADROOM * threshold, floor, bias, 1.0)
    safe = np.floor(np.log2(room / worst)) if np.isfinite(worst) else -np.inf
    possible = np.floor(np.log2(room / needed))
    readout = step.threshold is None
    if readout:
        # Its value is what the user reads: range comes before resolution. Without a leak there is
        # no bound, and the worst input may last for so many steps.
        longest = max(down, up, 1.0) * _READOUT_STEPS
        wanted = safe if np.isfinite(worst) else np.floor(np.log2(room / longest))
    else:
        fine = float(_FRACTION_BITS)
        if step.leak is not None and step.leak.any():
            # The amount of a step is small beside a weight and wants its own bits.
            least = float(np.min(step.leak[step.leak > 0])) / scale
            fine = max(fine, _FRACTION_BITS - np.floor(np.log2(least)))
        wanted = max(safe, min(possible, fine))
    shift = int(np.clip(wanted, 0, _MAX_SHIFT))
    # Far beyond the threshold saturation changes nothing that a spike could tell; a readout tells.
    if shift > safe and (readout or room / 2.0**shift < _FAR * threshold):
        reach = "without limit" if not np.isfinite(worst) else f"to {worst * scale:.3g}"
        found.add(
            "W0404",
            f"the worst input drives v of '{population.name}' {reach}; it saturates at "
            f"{room * scale / 2.0**shift:.3g}",
            population.at,
        )
    return shift


# -- what it costs -------------------------------------------------------------------------------


@dataclass(frozen=True)
class LayerError:
    """What quantisation did to one population: relative errors, and weights lost."""

    population: str
    neurons: int
    weights: int
    weight_bits: int
    scale: float
    shift: int
    weight_sqnr_db: float | None
    weights_zeroed: int
    weights_clipped: int
    threshold_error: float | None
    decay_error: float


def layer_errors(real: Graph, integer: Graph) -> list[LayerError]:
    """Compare a legal real graph with its quantised form, population by population."""
    found = []
    for population in integer.populations:
        neuron = population.neuron
        before = real.population(population.name)
        if isinstance(before.neuron, IntegerNeuron):
            continue  # it was quantised by hand: there is no error to speak of
        if not isinstance(neuron, IntegerNeuron):
            raise TypeError(f"'{population.name}' is not quantised")
        step = step_parameters(before.neuron, before.semantics, real.dt)
        step, _ = centred(step, before.semantics)
        gain = step.gain_v if step.gain_u is None else step.gain_v * step.gain_u
        signal = noise = 0.0
        count = zeroed = clipped = 0
        originals = {p.name: p for p in real.incoming(population.name)}
        for projection in integer.incoming(population.name):
            exact = _weights(_scaled(originals[projection.name].connection, gain, before))
            whole = _weights(projection.connection)
            restored = whole * neuron.scale * 2.0**neuron.shift
            signal += float(np.sum(exact**2))
            noise += float(np.sum((exact - restored) ** 2))
            count += exact.size
            zeroed += int(np.count_nonzero(exact) - np.count_nonzero(whole))
            edge, unit = neuron.numerics.weight, neuron.scale * 2.0**neuron.shift
            outside = (exact > (edge.high + 0.5) * unit) | (exact < (edge.low - 0.5) * unit)
            clipped += int(np.count_nonzero(outside))
        one = float(1 << neuron.numerics.decay_bits)
        decay_error = float(np.max(np.abs(neuron.decay_v / one - step.decay_v)))
        if step.recovery is not None:
            decay_error = max(decay_error, recovery_error(neuron, step.recovery))
        if neuron.decay_u is not None and step.decay_u is not None:
            error = float(np.max(np.abs(neuron.decay_u / one - step.decay_u)))
            decay_error = max(decay_error, error)
        if neuron.leak is not None and step.leak is not None:
            # Of the leak itself, as far as there is one.
            share = np.where(step.leak > 0, step.leak, 1.0)
            wrong = np.abs(neuron.leak * neuron.scale - step.leak) / share
            decay_error = max(decay_error, float(np.max(wrong)))
        threshold_error = None
        if step.threshold is not None and neuron.spiking:
            nearest = np.rint(step.threshold / neuron.scale) * neuron.scale
            with np.errstate(divide="ignore", invalid="ignore"):
                relative = np.abs(nearest / step.threshold - 1.0)
            threshold_error = float(np.nanmax(relative)) if np.isfinite(relative).any() else None
        found.append(
            LayerError(
                population=population.name,
                neurons=population.size,
                weights=count,
                weight_bits=neuron.numerics.weight.width,
                scale=neuron.scale,
                shift=neuron.shift,
                weight_sqnr_db=None if noise == 0 else 10.0 * float(np.log10(signal / noise)),
                weights_zeroed=zeroed,
                weights_clipped=clipped,
                threshold_error=threshold_error,
                decay_error=decay_error,
            )
        )
    return found
