"""Lowering: a quantised graph becomes the memories of one event-driven core."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...compiler.connectivity import to_sparse
from ...hdl.image import CoreImage
from ...hdl.shape import CoreShape, NeuronClass, Reset, Rounding, Storage, index_bits
from ...ir.connections import Conv1d, Conv2d, stages
from ...ir.diagnostics import Diagnostic, SpikecError, fail
from ...ir.graph import Graph, Input, Population
from ...ir.neurons import IntegerNeuron
from ...ir.numerics import Overflow
from ...ir.numerics import Rounding as IrRounding
from .words import Synapses, Words, best, by_lane, by_row, by_word

_ROUNDING: dict[IrRounding, Rounding] = {
    IrRounding.NEAREST_EVEN: "nearest_even",
    IrRounding.NEAREST_AWAY: "nearest_away",
    IrRounding.TOWARD_ZERO: "toward_zero",
    IrRounding.UP: "ceil",
    IrRounding.DOWN: "floor",
}
_RESET = {
    "none": Reset.NONE,
    "zero": Reset.VALUE,
    "value": Reset.VALUE,
    "subtract": Reset.SUBTRACT,
    "two_phase": Reset.TWO_PHASE,
}
Integers = npt.NDArray[np.int64]
# Accumulator words that are better kept in memory made of logic, and those that never are.
_FEW_PLACES, _MANY_PLACES = 32, 128


@dataclass(frozen=True)
class Build:
    """What the generator may choose of a core, apart from what the network demands.

    ``lanes`` synapses are added and ``units`` neurons committed a cycle. ``distributed``: the
    device has memory that is read without a clock; ``fast``: block memory gets a register behind
    it; ``huge``: weights go to single-ported memory that the host loads. ``bank_bits`` and
    ``bank_depth`` are the shape of a memory block, ``readback`` whether weights can be read back.
    With ``fixed`` parameters that all neurons share become part of the circuit.
    """

    lanes: int
    units: int = 1
    distributed: bool = False
    fast: bool = False
    huge: bool = False
    bank_bits: int = 16
    bank_depth: int = 256
    readback: bool = True
    fixed: bool = True


@dataclass(frozen=True)
class Placement:
    """Where the nodes of a graph lie in a core.

    First input line and first neuron by name; ``order`` has, for a population whose neurons are
    not in the graph's order, the place of each within the population.
    """

    inputs: dict[str, int]
    neurons: dict[str, int]
    order: dict[str, Integers]

    def places(self, population: Population) -> Integers:
        """The neuron of the core for each of the population's."""
        order = self.order.get(population.name)
        within = np.arange(population.size) if order is None else order
        return np.asarray(within + self.neurons[population.name], np.int64)


@dataclass(frozen=True)
class LoweredCore:
    """A core's image, where everything lies in it, and the graph it came from."""

    graph: Graph
    image: CoreImage
    placement: Placement
    words: Words

    @property
    def shape(self) -> CoreShape:
        """The shape of the core."""
        return self.image.shape

    @property
    def lag(self) -> int:
        """Steps that the core runs on after the last input step."""
        return max((p.lag for p in self.graph.populations), default=0)


def lower(
    graph: Graph,
    build: Build,
    emit: tuple[str, ...] | None = None,
    shape: CoreShape | None = None,
) -> LoweredCore:
    """The core image of a quantised, retimed graph.

    ``emit`` names the populations whose spikes leave the core (default: those of the outputs).
    ``shape`` is a core that exists already and that the image shall fit (of the same lanes and
    units); without it the smallest one is made. Neurons that fill a population up to whole units
    never spike. Raises E0301, E0302 or E0307 for what the core cannot hold, ``ImageError`` when
    ``shape`` is too small.
    """
    _check(graph)
    emitting = set(emit if emit is not None else (o.source for o in graph.outputs))
    lanes, units = build.lanes, build.units
    placement, lines, neurons = place(graph, lanes, units)
    if shape is not None:
        if lines > shape.inputs:
            raise fail("E0302", f"the network has {lines} input lines, the core {shape.inputs}")
        lines = shape.inputs
    recurrent = any(isinstance(graph.node(p.pre), Population) for p in graph.projections)
    sources = lines + (neurons if recurrent or shape is not None else 0)
    numerics = [_integer(p).numerics for p in graph.populations]
    one = numerics[0]
    if any(n.state != one.state or n.decay_bits != one.decay_bits for n in numerics):
        raise fail("E0301", "populations differ in their state format; a core has one")
    weight_bits = max(n.weight.width for n in numerics)
    synapses = synapses_of(graph, placement, lines)
    groups = neurons // lanes
    if shape is None:
        words = best(synapses, sources, lanes, weight_bits, groups)
    elif shape.addressing == "row":
        words = by_row(synapses, sources, lanes, bool(shape.segments))
    else:
        words = (by_word if shape.addressing == "word" else by_lane)(synapses, sources, lanes)
    if shape is not None and words.distance < shape.distance:
        raise fail(
            "E0302",
            f"words for the same neurons are {words.distance} cycle(s) apart; the core needs "
            f"{shape.distance}",
        )
    table, bias, first_bias = _parameters(graph, placement, neurons, emitting)
    beats = table.reshape(-1, units, table.shape[1])
    mixed = np.flatnonzero((beats != beats[:, :1]).any(axis=(1, 2)))
    if mixed.size:
        raise fail(
            "E0301",
            f"neurons {mixed[0] * units} to {mixed[0] * units + units - 1} of the core have "
            f"different parameters, and {units} neurons commit together",
            hint="compile with --units 1",
        )
    unique, neuron_class = np.unique(beats[:, 0], axis=0, return_inverse=True)
    classes = {name: unique[:, k].copy() for k, name in enumerate(_NAMES)}
    if shape is None:
        shape = _smallest(graph, build, words, classes, (lines, neurons, recurrent))
        shape = replace(
            shape,
            bias=bool(bias.any()) or first_bias is not None,
            first_bias=first_bias is not None,
        )
    if first_bias is None and shape.first_bias:
        first_bias = bias
    image = CoreImage.padded(
        shape,
        **words.arrays,
        neuron_class=neuron_class.ravel(),
        bias=bias,
        **({} if first_bias is None else {"first_bias": first_bias}),
        **{f"class_{name}": values for name, values in classes.items()},
    )
    return LoweredCore(graph, image, placement, words)


def place(graph: Graph, lanes: int, units: int) -> tuple[Placement, int, int]:
    """Where everything lies in a core, the number of its input lines and that of its neurons."""
    lines, first_line = 0, {}
    for node in graph.inputs:
        first_line[node.name] = lines
        lines += node.size
    neurons, first_neuron, order = 0, {}, {}
    for population in graph.populations:
        first_neuron[population.name] = neurons = _aligned(neurons, population.size, lanes, units)
        neurons += population.size
        if (places := channels_last(graph, population)) is not None:
            order[population.name] = places
    return Placement(first_line, first_neuron, order), lines, -(-neurons // lanes) * lanes


def _aligned(at: int, size: int, lanes: int, units: int) -> int:
    """Where a population begins: with whole units, in no more groups than it needs."""
    at = -(-at // units) * units
    needed = -(-size // lanes)
    return at if (at % lanes + size - 1) // lanes < needed else -(-at // lanes) * lanes


def _smallest(
    graph: Graph,
    build: Build,
    words: Words,
    classes: dict[str, Integers],
    sizes: tuple[int, int, bool],
) -> CoreShape:
    lines, neurons, recurrent = sizes
    numerics = [_integer(p).numerics for p in graph.populations]
    one = numerics[0]
    delays = words.delays
    groups = neurons // build.lanes
    refractory = int(classes["refractory"].max(initial=0))
    cuba = any(_integer(p).decay_u is not None for p in graph.populations)
    shared = {
        name: int(values[0])
        for name, values in classes.items()
        if build.fixed
        and (values == values[0]).all()
        and (cuba or name not in ("decay_u", "order_old"))
    }
    storage: Storage
    pages = 1 << index_bits(delays + 1)
    if groups == 1 and delays == 1:
        storage, pages = "registers", 1
    elif build.distributed and (groups * pages <= _FEW_PLACES or words.distance < 4):
        storage = "pipelined" if build.fast and words.distance >= 4 else "distributed"
        if groups * pages > _MANY_PLACES:
            storage = "pipelined" if build.fast else "block"
    else:
        storage = "pipelined" if build.fast else "block"
    return CoreShape(
        lanes=build.lanes,
        units=build.units,
        weight_bits=max(n.weight.width for n in numerics),
        acc_bits=max(*(n.acc_bits for n in numerics), max(n.weight.width for n in numerics)),
        state_bits=one.state.width,
        neurons=neurons,
        inputs=lines,
        words=max(words.words, 1),
        segments=words.segments,
        addressing=words.addressing,
        recurrent=recurrent,
        classes=classes["decay_v"].size,
        fixed=NeuronClass(**shared),
        delays=delays,
        pages=pages,
        distance=words.distance,
        storage=storage,
        bank_bits=build.bank_bits,
        weight_bank_bits=_bank_bits(words.words, build),
        readback=build.readback,
        weight_storage="huge" if build.huge else "block",
        cuba=cuba,
        refractory_bits=refractory.bit_length(),
        shift_bits=int(classes["shift"].max()).bit_length(),
        decay_bits=one.decay_bits,
        rounding=_ROUNDING[one.state.rounding],
        overflow="wrap" if one.state.overflow is Overflow.WRAP else "saturate",
    )


def _bank_bits(depth: int, build: Build) -> int:
    """Width of blocks that hold ``depth`` words one deep, which takes no choice between blocks.

    A block can be made twice as deep and half as wide, within reason.
    """
    width = build.bank_bits
    for _ in range(0 if build.huge else 2):
        if depth > build.bank_depth * (build.bank_bits // width):
            width //= 2
    return width


def weight_bits(population: Population) -> int:
    """Bits of a weight onto a population; E0301 if it is not quantised."""
    return _integer(population).numerics.weight.width


def _integer(population: Population) -> IntegerNeuron:
    if not isinstance(population.neuron, IntegerNeuron):
        raise fail("E0301", f"'{population.name}' is not quantised", population.at)
    return population.neuron


def _check(graph: Graph) -> None:
    found = []
    for population in graph.populations:
        neuron = _integer(population)
        if neuron.numerics.state.rounding not in _ROUNDING:
            found.append(
                Diagnostic(
                    "E0301",
                    f"'{population.name}' rounds stochastically; the core has no generator",
                    population.at,
                    "compile with another --rounding",
                )
            )
        if neuron.numerics.state.width > 32 or neuron.numerics.decay_bits > 16:
            found.append(
                Diagnostic(
                    "E0302",
                    f"'{population.name}' has {neuron.numerics.state.width} state bits and "
                    f"{neuron.numerics.decay_bits} decay bits; the core has at most 32 and 16",
                    population.at,
                    "compile with --state-bits 24",
                )
            )
    for projection in graph.projections:
        pre = graph.node(projection.pre)
        steps = projection.delay
        if isinstance(pre, Population):
            steps += int(pre.semantics.registered) - 1
        if steps < 0:
            found.append(
                Diagnostic(
                    "E0307",
                    f"'{projection.name}' takes {projection.delay} step(s); a hop takes one",
                    projection.at,
                    "run the retime pass first",
                )
            )
        if steps > 1023:
            found.append(
                Diagnostic(
                    "E0307",
                    f"'{projection.name}' is {steps} steps long; the delay wheel has 1024 pages",
                    projection.at,
                )
            )
    if found:
        raise SpikecError(found)


def synapses_of(graph: Graph, placement: Placement, lines: int) -> Synapses:
    """All synapses of a graph, as rows and neurons of the core."""
    columns: list[list[Any]] = [[], [], [], [], []]
    for position, projection in enumerate(graph.projections):
        synapses = to_sparse(projection.connection).tocoo()
        keep = synapses.data != 0
        pre, post = graph.node(projection.pre), graph.population(projection.post)
        source = synapses.row[keep].astype(np.int64)
        if isinstance(pre, Input):
            source, delay = source + placement.inputs[pre.name], projection.delay
        else:
            source = placement.places(pre)[source] + lines
            delay = projection.delay + int(pre.semantics.registered) - 1
        values = (
            source,
            np.full(source.size, delay),
            placement.places(post)[synapses.col[keep]],
            np.full(source.size, position),
            synapses.data[keep],
        )
        for column, part in zip(columns, values, strict=True):
            column.append(part)
    return Synapses(
        *(np.concatenate(c).astype(np.int64) if c else np.zeros(0, np.int64) for c in columns)
    )


def channels_last(graph: Graph, population: Population) -> Integers | None:
    """Places by position, then channel, for a population that a convolution leads to or from.

    The channels of a position then lie side by side, and those of its neighbours next to them:
    what a kernel's row adds to is one run, the same for every position.
    """
    shape = population.shape
    around = (*graph.incoming(population.name), *graph.outgoing(population.name))
    if len(shape) < 2 or not any(
        isinstance(stage, Conv1d | Conv2d) for p in around for stage in stages(p.connection)
    ):
        return None
    channels = shape[0]
    positions = population.size // channels
    channel, position = np.divmod(np.arange(population.size), positions)
    return np.asarray(position * channels + channel, np.int64)


_NAMES = tuple(field.name for field in fields(NeuronClass))


def _parameters(
    graph: Graph, placement: Placement, neurons: int, emitting: set[str]
) -> tuple[Integers, Integers, Integers | None]:
    """The class parameters of each neuron, (N, 11), and its biases.

    Neurons that fill up take the parameters of the one before and are made silent by having
    nothing to integrate: no bias, no synapse, and a membrane of zero.
    """
    table = np.zeros((neurons, len(_NAMES)), np.int64)
    bias = np.zeros(neurons, np.int64)
    first_bias = np.zeros(neurons, np.int64)
    filled = np.zeros(neurons, bool)
    any_first = False
    for population in graph.populations:
        neuron = _integer(population)
        places = placement.places(population)
        # Without a synapse in a core that has one, u must be d itself: a decay of zero does it.
        values: tuple[Any, ...] = (
            neuron.decay_v,
            0 if neuron.decay_u is None else neuron.decay_u,
            neuron.shift,
            neuron.threshold,
            neuron.v_reset,
            neuron.v_min,
            _RESET[neuron.reset],
            neuron.current_old,
            neuron.refractory,
            population.lag,
            population.name in emitting and neuron.spiking,
        )
        for column, value in enumerate(values):
            table[places, column] = np.ravel(np.asarray(value, np.int64))
        bias[places] = np.ravel(neuron.bias)
        first_bias[places] = np.ravel(
            neuron.bias if neuron.bias_first is None else neuron.bias_first
        )
        filled[places] = True
        any_first |= neuron.bias_first is not None
    return _filled_up(table, filled), bias, first_bias if any_first else None


def _filled_up(table: Integers, filled: npt.NDArray[np.bool_]) -> Integers:
    """Rows of places without a neuron: those of the neuron before, if it is quiet at rest.

    A membrane of zero must stay where it is: above ``v_min``, not above the threshold.
    """
    latest = np.maximum.accumulate(np.where(filled, np.arange(filled.size), 0))
    full = table[latest]
    column = {name: full[:, k] for k, name in enumerate(_NAMES)}
    loud = (column["threshold"] < 0) & (column["reset"] != Reset.NONE) | (column["v_min"] > 0)
    full[~filled & loud] = 0
    return np.where(filled[:, None], table, full)
