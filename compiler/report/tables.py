"""A graph as rows of tables, for ``spikec show`` and the report."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ir.connections import (
    AvgPool2d,
    Connection,
    Conv1d,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    OneToOne,
    Scale,
    Sparse,
    SumPool2d,
    stages,
)
from ...ir.graph import Graph, Population, Projection
from ...ir.neurons import (
    IntegerNeuron,
    Izhikevich,
    Kernel,
    LoihiATRLIF,
    LoihiDelta,
    LoihiLIF,
    LoihiSigma,
    LoihiSigmaDelta,
    Receptor,
    SpinnakerLIF,
    receptors,
)
from ...ir.semantics import Reset
from ..connectivity import synapse_count


@dataclass(frozen=True)
class PopulationRow:
    """One population; ``role`` is ``hidden`` or ``output``, ``lag`` in steps."""

    name: str
    shape: tuple[int, ...]
    neurons: int
    model: str
    semantics: str
    role: str
    lag: int


@dataclass(frozen=True)
class ProjectionRow:
    """One projection; ``weights`` are stored, ``synapses`` are what they unroll to.

    ``bytes`` is the compact size: the weights at their width and the indices of a sparse matrix,
    with nothing unrolled.
    """

    name: str
    pre: str
    post: str
    kind: str
    weights: int
    weight_bits: int
    synapses: int
    bytes: int
    delay: int


def population_rows(graph: Graph) -> tuple[PopulationRow, ...]:
    """The populations in the graph's order."""
    outputs = {output.source for output in graph.outputs}
    return tuple(
        PopulationRow(
            name=p.name,
            shape=p.shape,
            neurons=p.size,
            model=model(p),
            semantics=semantics(p),
            role="output" if p.name in outputs else "hidden",
            lag=p.lag,
        )
        for p in graph.populations
    )


def projection_rows(graph: Graph) -> tuple[ProjectionRow, ...]:
    """The projections in the graph's order."""
    return tuple(_projection_row(p, graph) for p in graph.projections)


def model(population: Population) -> str:
    """The neuron model's name; of a quantised population the model that it was."""
    neuron = population.neuron
    if isinstance(neuron, IntegerNeuron):
        return f"{neuron.source_model}, integer"
    return type(neuron).__name__


def semantics(population: Population) -> str:
    """The rules of a step in one line, those that hold for most neurons left out."""
    neuron, rules = population.neuron, population.semantics
    if isinstance(neuron, IntegerNeuron):
        return _integer_semantics(neuron)
    if isinstance(neuron, SpinnakerLIF):
        return (
            "16-bit weights, s16.15 states (down, wrap); closed form, input held; spikes at v >= "
            f"threshold; reset to v_reset; {_range(neuron.refractory)} refractory ticks"
        )
    if isinstance(neuron, LoihiSigma):
        return "sums what arrives, 32 bits (wrap); sends the sum"
    if isinstance(neuron, LoihiDelta):
        return _changes(neuron)
    if isinstance(neuron, LoihiLIF):
        return (
            "24-bit states (cut toward zero, u wraps, v saturates); decays of "
            f"{_range(neuron.du)} and {_range(neuron.dv)} in 4096; spikes at v > 64 vth; reset to "
            "zero"
        )
    if isinstance(neuron, LoihiATRLIF):
        return (
            "24-bit states (cut toward zero, u wraps, v saturates); decays of "
            f"{neuron.du} and {neuron.dv} in 4096, of r {neuron.dr}; spikes at v - r >= theta, "
            "which r grows twice by"
        )
    parts = []
    if neuron.TIMES:
        parts.append(f"{rules.decay} decay, {rules.gain} gain")
    elif hasattr(neuron, "r"):
        parts.append(f"input {str(rules.integrator_gain).replace('_', ' ')}")
    if hasattr(neuron, "v_threshold"):
        parts.append(f"spikes at v {rules.comparison} threshold")
        if isinstance(neuron, Izhikevich):
            parts.append("reset to c, d added to u")
        elif neuron.STATE:
            parts.append(_reset(rules.reset))
        if rules.max_spikes != 1:
            parts.append(f"at most {rules.max_spikes or 'any number of'} spikes a step")
        if rules.refractory:
            frozen = ", v frozen" if rules.refractory_frozen else ""
            parts.append(f"{rules.refractory} refractory steps{frozen}")
    if population.adaptive is not None:
        lasting = ", from sample to sample" if population.adaptive.persistent else ""
        parts.append(f"the threshold adapts{lasting}")
    if isinstance(neuron, Izhikevich):
        parts.append(f"{neuron.substeps} Euler step{'s' * (neuron.substeps > 1)} of v")
    elif "u" in neuron.STATE:
        parts.append(f"{rules.current} current")
    parts += [_receptor(receptor) for receptor in receptors(neuron)]
    if receptors(neuron):
        parts.append(f"{rules.current} arrivals")
    if rules.v_min is not None:
        parts.append(f"v >= {rules.v_min:g}")
    if rules.registered:
        parts.append("registered")
    if not rules.recurrent_bias_first:
        parts.append("no recurrent bias in the first step")
    if rules.v_init:
        parts.append(f"v starts at {rules.v_init:g}")
    return "; ".join(parts) or "stateless"


def kind(connection: Connection) -> str:
    """What a connection is: ``Dense 10 x 64``, ``Conv2d 16 x 2 x 5 x 5, stride 2``."""
    parts = [_stage_kind(stage) for stage in stages(connection)]
    return " → ".join(part for part in parts if part) or "one to one"


def _changes(neuron: LoihiDelta) -> str:
    """A sigma-delta population of Loihi in one line."""
    sums = "accumulated " if neuron.cum_error else ""
    parts = [f"sends {sums}changes of {max(neuron.vth, 1)} or more", "32-bit states (wrap)"]
    if isinstance(neuron, LoihiSigmaDelta):
        parts.insert(0, f"sums what arrives; {neuron.activation}, bias {_range(neuron.bias)}")
    if neuron.spike_exp or neuron.state_exp:
        parts.append(f"spike_exp {neuron.spike_exp}, state_exp {neuron.state_exp}")
    return "; ".join(parts)


def _integer_semantics(neuron: IntegerNeuron) -> str:
    numerics = neuron.numerics
    parts = [
        f"{numerics.weight.width}-bit weights, {numerics.state.width}-bit states "
        f"({numerics.state.rounding}, {numerics.state.overflow})".replace("_", " "),
        f"decays in {numerics.decay_bits} bits",
    ]
    if neuron.spiking:
        parts.append(f"spikes at v > {_range(neuron.threshold)}")
        parts.append(_reset(Reset(neuron.reset)))
    else:
        parts.append("readout of v")
    parts.append(f"one unit of v is {neuron.scale:.4g}")
    return "; ".join(parts)


def _range(values: npt.NDArray[Any]) -> str:
    if not values.size:
        return "none"
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low} to {high}"


def _reset(reset: Reset) -> str:
    return {
        Reset.ZERO: "reset to zero",
        Reset.VALUE: "reset to v_reset",
        Reset.SUBTRACT: "reset by subtraction",
        Reset.TWO_PHASE: "two-phase reset by subtraction",
    }[reset]


def _stage_kind(stage: Connection) -> str:
    def times(shape: tuple[int, ...]) -> str:
        return " x ".join(map(str, shape))

    match stage:
        case Dense():
            return f"Dense {times(stage.weight.shape)}"
        case Sparse():
            text = f"Sparse {stage.post_size} x {stage.pre_size}"
            steps = stage.steps
            return text if steps is None else f"{text}, delays + {_range(steps)}"
        case Conv1d() | Conv2d():
            text = f"{type(stage).__name__} {times(stage.weight.shape)}"
            strides = (stage.stride,) if isinstance(stage.stride, int) else stage.stride
            if any(s != 1 for s in strides):
                text += f", stride {times(strides)}"
            return text + (f", {stage.groups} groups" if stage.groups != 1 else "")
        case SumPool2d():
            name = "AvgPool2d" if isinstance(stage, AvgPool2d) else "SumPool2d"
            return f"{name} {times(stage.kernel)}"
        case OneToOne():
            return f"OneToOne {prod(stage.shape)}"
        case Scale():
            return "Scale"
        case Delay():
            return "Delay"
        case Flatten():
            return ""
        case _:
            return type(stage).__name__


def _aside(projection: Projection) -> list[str]:
    """Where a projection ends that ends at a port, and what tires it."""
    found = [] if projection.receptor is None else [f"at {projection.receptor}"]
    return found if projection.short_term is None else [*found, "short-term plasticity"]


def _receptor(receptor: Receptor) -> str:
    if receptor.kernel is Kernel.DELTA:
        return f"{receptor.name}: delta"
    what = "current" if receptor.reversal is None else "conductance"
    return f"{receptor.name}: {receptor.kernel} {what}"


def _projection_row(projection: Projection, graph: Graph) -> ProjectionRow:
    post = graph.population(projection.post).neuron
    weights = indices = 0
    for stage in stages(projection.connection):
        values = getattr(stage, "weight", getattr(stage, "scale", None))
        if values is not None:
            weights += int(np.size(values))
        if isinstance(stage, Sparse):
            indices += stage.indptr.nbytes + stage.post.nbytes
            indices += 0 if stage.steps is None else stage.steps.nbytes
    bits = post.numerics.weight.width if isinstance(post, IntegerNeuron) else 64
    bits = 16 if isinstance(post, SpinnakerLIF) else bits
    bits = bits if projection.words is None else projection.words.bits
    return ProjectionRow(
        name=projection.name,
        pre=projection.pre,
        post=projection.post,
        kind="; ".join([kind(projection.connection), *_aside(projection)]),
        weights=weights,
        weight_bits=bits,
        synapses=synapse_count(projection.connection),
        bytes=-(-weights * bits // 8) + indices,
        delay=projection.delay,
    )
