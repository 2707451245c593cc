"""Lowering: a quantised graph becomes the memories of one event-driven core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...compiler.connectivity import to_sparse
from ...hdl.image import CoreImage, plastic_places
from ...hdl.learning import Learning, Rotator
from ...hdl.shape import (
    CoreShape,
    NeuronClass,
    ParallelShape,
    Reset,
    Rounding,
    Storage,
    index_bits,
)
from ...ir.connections import Conv1d, Conv2d, stages
from ...ir.diagnostics import Diagnostic, SpikecError, fail
from ...ir.graph import Graph, Input, Population, Projection
from ...ir.neurons import IntegerNeuron
from ...ir.numerics import Overflow
from ...ir.numerics import Rounding as IrRounding
from ...ir.plasticity import Transmit
from .plastic import (
    learned_weights,
    plastic_matrices,
    plastic_projection,
    plastic_words,
    weights_of,
)
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
    With ``fixed`` parameters that all neurons share become part of the circuit. ``rotator`` is what
    turns words that learn. With ``parallel`` everything becomes part of the circuit (one lane, one
    unit); an input line then has ``input_max`` spikes in a step at most. With ``parity`` weight
    words have one.
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
    rotator: Rotator = "logic"
    parallel: bool = False
    input_max: int = 1
    parity: bool = False


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

    def learned(self, words: Sequence[int] = ()) -> dict[str, Integers]:
        """Weights of the plastic projections, given the words of `Memory.WEIGHTS`, all addresses.

        By name, (1, *shape of the connection's weight). Those that rest are the graph's.
        """
        still = {p.name: weights_of(p)[None] for p in self.graph.projections if p.plasticity}
        shape, projection = self.shape, plastic_projection(self.graph)
        learning = shape.learning
        if learning is None or projection is None:
            return still
        bits = shape.weight_bits
        banks = np.array(words, np.int64).reshape(shape.words, -1)[:, : shape.lanes]
        weights = self.image.to_lanes(
            (banks & ((1 << bits) - 1)) - ((banks >> bits - 1 & 1) << bits)
        )
        at = plastic_places(learning, shape.lanes, shape.words)
        post = self.placement.places(self.graph.population(projection.post))
        columns = post - learning.first_group * shape.lanes
        matrix = weights[at].reshape(learning.rows, -1)[:, columns]
        return still | {projection.name: learned_weights(projection, matrix)[None]}


def lower(
    graph: Graph,
    build: Build,
    emit: tuple[str, ...] | None = None,
    shape: CoreShape | None = None,
    wiring: Wiring | None = None,
    accept: Callable[[CoreShape], object] | None = None,
) -> LoweredCore:
    """The core image of a quantised, retimed graph.

    ``emit`` names the populations whose spikes leave the core (default: those of the outputs).
    ``shape`` is a core that exists already and that the image shall fit (of the same lanes and
    units); without it the smallest one is made, if ``accept`` does not refuse its shape. ``wiring``
    is the graph's, if it is at hand. Neurons that fill a population up to whole units never spike.
    Raises E0301, E0302 or E0307 for what the core cannot hold, ``ImageError`` when
    ``shape`` is too small.
    """
    check(graph)
    emitting = set(emit if emit is not None else (o.source for o in graph.outputs))
    placement, lines, neurons = place(graph, build.lanes, build.units)
    if shape is not None:
        if lines > shape.inputs:
            raise fail("E0302", f"the network has {lines} input lines, the core {shape.inputs}")
        lines = shape.inputs
    recurrent = any(isinstance(graph.node(p.pre), Population) for p in graph.projections)
    wiring = Wiring(graph) if wiring is None else wiring
    synapses = wiring.synapses(placement, lines)
    room = Room(placement, lines, neurons, recurrent)
    words = None
    if shape is None and plastic_projection(graph) is None:
        words = wiring.words(synapses, room, build.lanes)
    return assemble(graph, build, room, synapses, emitting, shape, words, accept)


class Room(NamedTuple):
    """Where everything lies in a core, and how much: input lines, neurons, rows of neurons."""

    placement: Placement
    lines: int
    neurons: int
    recurrent: bool


def assemble(
    graph: Graph,
    build: Build,
    room: Room,
    synapses: Synapses,
    emitting: set[str],
    shape: CoreShape | None = None,
    words: Words | None = None,
    accept: Callable[[CoreShape], object] | None = None,
) -> LoweredCore:
    """The core image of populations and of synapses by the core's own numbers; see `lower`.

    ``words`` are those of the synapses, if they are known.
    """
    placement, lines, neurons, recurrent = room
    lanes, units = build.lanes, build.units
    sources = lines + (neurons if recurrent or shape is not None else 0)
    numerics = [integer_neuron(p).numerics for p in graph.populations]
    one = numerics[0]
    if any(n.state != one.state or n.decay_bits != one.decay_bits for n in numerics):
        raise fail("E0301", "populations differ in their state format; a core has one")
    weight_bits = max(n.weight.width for n in numerics)
    groups = neurons // lanes
    learning, learned = None, plastic_projection(graph)
    if learned is not None:
        learning = _learning(graph, placement, lines, learned, build)
        words = _plastic(graph, placement, learned, learning, synapses, (sources, lanes))
        if shape is not None and shape.learning != learning:
            raise fail("E0302", "the core does not learn as the network does", learned.at)
    elif words is not None:
        pass
    elif shape is None:
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
    if shape is not None and _quadratic(graph) > shape.quadratic:
        raise fail(
            "E0302",
            f"membranes with a recovery advance {_quadratic(graph)} time(s) a step; those of the "
            f"core {shape.quadratic}",
            hint="generate a core for this network",
        )
    timers = shape.timers if shape is not None else _timers(graph)
    table, bias, first_bias = _parameters(graph, placement, neurons, emitting, timers)
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
        shape = _smallest(graph, build, words, classes, (lines, neurons, recurrent), learning)
        shape = replace(
            shape,
            bias=bool(bias.any()) or first_bias is not None,
            first_bias=first_bias is not None,
        )
        if build.parallel and (lacks := _not_constant(shape)):
            raise fail(
                "E0301",
                f"a circuit of constants has no {lacks}",
                hint="compile with --core events",
            )
        if build.parallel:
            shape = _constant(shape, build.input_max)
    if accept is not None:
        accept(shape)
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
    learned = plastic_projection(graph)
    for population in graph.populations:
        first_neuron[population.name] = neurons = _aligned(neurons, population.size, lanes, units)
        neurons += population.size
        if learned is not None:
            # A group's neurons all learn, or none does.
            neurons = -(-neurons // lanes) * lanes
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
    learning: Learning | None,
) -> CoreShape:
    lines, neurons, recurrent = sizes
    numerics = [integer_neuron(p).numerics for p in graph.populations]
    one = numerics[0]
    delays = words.delays
    groups = neurons // build.lanes
    refractory = int(classes["refractory"].max(initial=0))
    cuba = any(integer_neuron(p).decay_u is not None for p in graph.populations)
    timers = _timers(graph)
    linear = any(integer_neuron(p).leak is not None for p in graph.populations)
    quadratic = _quadratic(graph)
    shared = {
        name: int(values[0])
        for name, values in classes.items()
        if build.fixed
        and (values == values[0]).all()
        and (cuba or name not in ("decay_u", "order_old"))
        and (linear or name not in ("leak", "v_leak"))
        and (quadratic if name in ("jump", "again") else name not in _FACTORS)
        and (timers is not None or name != "adapt_inc")
        and (timers or name not in ("adapt_shift", "adapt_phase"))
        and (len(timers or ()) > 1 or name != "adapt_timer")
    }
    storage: Storage
    # Where weights learn nothing is added while a step commits.
    pages = 1 << index_bits(delays + (learning is None))
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
        readback=build.readback or learning is not None,
        weight_storage="huge" if build.huge else "block",
        cuba=cuba,
        refractory_bits=refractory.bit_length(),
        shift_bits=int(classes["shift"].max()).bit_length(),
        decay_bits=one.decay_bits,
        rounding=_ROUNDING[one.state.rounding],
        overflow="wrap" if one.state.overflow is Overflow.WRAP else "saturate",
        learning=learning,
        parity=build.parity,
        timers=timers,
        linear=linear,
        quadratic=quadratic,
    )


# Of a recovery: constants would be long sums where a device has multipliers.
_FACTORS = ("curve", "couple", "rate")


def _quadratic(graph: Graph) -> int:
    """How often a step advances the membranes of recoveries at most, 0 without such."""
    neurons = map(integer_neuron, graph.populations)
    return max((n.substeps for n in neurons if n.curve is not None), default=0)


def _timers(graph: Graph) -> tuple[int, ...] | None:
    """The periods in which thresholds decay, None if none adapts."""
    adaptive = [n for n in map(integer_neuron, graph.populations) if n.adapt_inc is not None]
    periods = sorted({n.adapt_period for n in adaptive} - {0})
    return tuple(periods) if adaptive else None


def _adaptation(
    population: Population, timers: tuple[int, ...] | None
) -> tuple[npt.ArrayLike, int, int, int] | None:
    """What a spike adds to the threshold, the shift, timer and phase of its decay; None without.

    E0302 for a core whose thresholds do not adapt, or decay in other periods.
    """
    neuron = integer_neuron(population)
    if neuron.adapt_inc is None:
        return None
    period = neuron.adapt_period
    if timers is None or (period and period not in timers):
        has = "none" if timers is None else ", ".join(map(str, timers)) or "0"
        raise fail(
            "E0302",
            f"the threshold of '{population.name}' adapts with a period of {period} step(s); the "
            f"core has {has}",
            population.at,
            "generate a core for this network",
        )
    if not timers:
        return neuron.adapt_inc, 0, 0, 0
    if not period:
        return neuron.adapt_inc, neuron.adapt_shift, 0, timers[0]
    # The population's first step has age 1.
    return (
        neuron.adapt_inc,
        neuron.adapt_shift,
        timers.index(period),
        (population.lag - 1) % period,
    )


def _learning(
    graph: Graph, placement: Placement, lines: int, projection: Projection, build: Build
) -> Learning:
    """The plastic projection as a core has it."""
    plasticity = projection.plasticity
    assert plasticity is not None
    pre, post = graph.node(projection.pre), graph.population(projection.post)
    if isinstance(pre, Input):
        first = placement.inputs[pre.name]
    else:
        first = lines + placement.neurons[pre.name]
    learning = Learning(
        plasticity.rule,
        rows=pre.size,
        groups=-(-post.size // build.lanes),
        w_min=int(plasticity.w_min),
        w_max=int(plasticity.w_max),
        first_row=first,
        first_group=placement.neurons[post.name] // build.lanes,
        start=post.lag,
        after=plasticity.transmit is Transmit.AFTER,
        rotator=build.rotator,
    )
    for problem in learning.problems(build.lanes):
        raise fail("E0302", f"'{projection.name}': {problem}", projection.at)
    return learning


def _plastic(
    graph: Graph,
    placement: Placement,
    projection: Projection,
    learning: Learning,
    synapses: Synapses,
    sizes: tuple[int, int],
) -> Words:
    """The words of a core whose ``projection`` learns."""
    sources, lanes = sizes
    pre, post = graph.node(projection.pre), graph.population(projection.post)
    weight, enable = np.zeros((2, pre.size, learning.groups * lanes), np.int64)
    columns = placement.places(post) - learning.first_group * lanes
    weight[:, columns], enable[:, columns] = plastic_matrices(projection)
    delay = projection.delay
    if isinstance(pre, Population):
        delay += int(pre.semantics.registered) - 1
    number = graph.projections.index(projection)
    still = synapses.of(synapses.projection != number)
    return plastic_words(learning, weight, enable, delay, still, sources, lanes)


def _not_constant(shape: CoreShape) -> str:
    """What of a shape no circuit has, in words; empty if there is nothing."""
    asked = {
        "thresholds that adapt": shape.adaptive,
        "membranes that leak by an amount": shape.linear,
        "membranes with a recovery": shape.quadratic > 0,
    }
    return " and no ".join(what for what, there in asked.items() if there)


def _constant(shape: CoreShape, input_max: int) -> ParallelShape:
    """The shape of the same arithmetic without memories."""
    values = {field.name: getattr(shape, field.name) for field in fields(CoreShape)}
    return ParallelShape(**values, input_bits=input_max.bit_length())


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
    return integer_neuron(population).numerics.weight.width


def integer_neuron(population: Population) -> IntegerNeuron:
    """The neurons of a population; E0301 if it is not quantised."""
    if not isinstance(population.neuron, IntegerNeuron):
        raise fail("E0301", f"'{population.name}' is not quantised", population.at)
    return population.neuron


def check(graph: Graph) -> None:
    """Refuse what no core can hold: E0301, E0302, E0307."""
    found = []
    for population in graph.populations:
        neuron = integer_neuron(population)
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


class Wiring:
    """The synapses of a graph, made sparse once for cores of any size.

    Where a core's neurons lie is known later; what was made of them for the last such place is
    kept, since cores of as many lanes mostly have the same.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._found: list[tuple[Integers, Integers, Integers]] = []
        for projection in graph.projections:
            synapses = to_sparse(projection.connection).tocoo()
            keep = synapses.data != 0
            parts = synapses.row[keep], synapses.col[keep], synapses.data[keep]
            self._found.append(parts)
        self._placed: tuple[int, list[Integers], Synapses] | None = None
        self._last: tuple[Synapses, tuple[int, ...], Words] | None = None

    def synapses(self, placement: Placement, lines: int) -> Synapses:
        """All synapses, as rows and neurons of a core."""
        places = [placement.places(p) for p in self.graph.populations]
        if self._placed is not None:
            before, at, synapses = self._placed
            if before == lines and all(map(np.array_equal, at, places)):
                return synapses
        made = self._made(placement, lines)
        self._placed = lines, places, made
        return made

    def _made(self, placement: Placement, lines: int) -> Synapses:
        columns: list[list[Any]] = [[], [], [], [], []]
        for position, projection in enumerate(self.graph.projections):
            row, column, weight = self._found[position]
            pre, post = self.graph.node(projection.pre), self.graph.population(projection.post)
            source = row.astype(np.int64)
            if isinstance(pre, Input):
                source, delay = source + placement.inputs[pre.name], projection.delay
            else:
                source = placement.places(pre)[source] + lines
                delay = projection.delay + int(pre.semantics.registered) - 1
            values = (
                source,
                np.full(source.size, delay),
                placement.places(post)[column],
                np.full(source.size, position),
                weight,
            )
            for found, part in zip(columns, values, strict=True):
                found.append(part)
        return Synapses(
            *(np.concatenate(c).astype(np.int64) if c else np.zeros(0, np.int64) for c in columns)
        )

    def words(self, synapses: Synapses, room: Room, lanes: int) -> Words:
        """The words of a core of so much room that does not learn (`best`)."""
        sources = room.lines + (room.neurons if room.recurrent else 0)
        key = lanes, sources, room.neurons
        if self._last is not None and self._last[0] is synapses and self._last[1] == key:
            return self._last[2]
        bits = max(weight_bits(p) for p in self.graph.populations)
        words = best(synapses, sources, lanes, bits, room.neurons // lanes)
        self._last = synapses, key, words
        return words


def channels_last(graph: Graph, population: Population) -> Integers | None:
    """Places by position, then channel, for a population that a convolution leads to or from.

    The channels of a position then lie side by side, and those of its neighbours next to them:
    what a kernel's row adds to is one run, the same for every position.
    """
    shape = population.shape
    around = (*graph.incoming(population.name), *graph.outgoing(population.name))
    if any(p.plasticity is not None for p in around):
        return None
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
    graph: Graph,
    placement: Placement,
    neurons: int,
    emitting: set[str],
    timers: tuple[int, ...] | None,
) -> tuple[Integers, Integers, Integers | None]:
    """The class parameters of each neuron, a column each, and its biases.

    Neurons that fill up take the parameters of the one before and are made silent by having
    nothing to integrate: no bias, no synapse, and a membrane of zero.
    """
    table = np.zeros((neurons, len(_NAMES)), np.int64)
    bias = np.zeros(neurons, np.int64)
    first_bias = np.zeros(neurons, np.int64)
    filled = np.zeros(neurons, bool)
    any_first = False
    adaptation = {p.name: _adaptation(p, timers) for p in graph.populations}
    # A threshold that nothing is added to may decay as any other does.
    like = next((a for a in adaptation.values() if a is not None), (0, 0, 0, 0))
    # Where a membrane that does not leak would go, if all others go to the same place.
    goals = {
        tuple(np.ravel(0 if n.v_leak is None else n.v_leak).tolist())
        for n in map(integer_neuron, graph.populations)
        if n.leak is not None
    }
    goal = next(iter(goals))[0] if len(goals) == 1 else 0
    for population in graph.populations:
        neuron = integer_neuron(population)
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
            *(adaptation[population.name] or (0, *like[1:])),
            0 if neuron.leak is None else neuron.leak,
            goal if neuron.leak is None else 0 if neuron.v_leak is None else neuron.v_leak,
            *(
                0 if x is None else x
                for x in (neuron.curve, neuron.couple, neuron.rate, neuron.jump)
            ),
            neuron.substeps - 1,
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

    A membrane of zero must stay where it is: above ``v_min``, not above the threshold. One that
    leaks may go where it leaks to, if that is not above the threshold either.
    """
    latest = np.maximum.accumulate(np.where(filled, np.arange(filled.size), 0))
    full = table[latest]
    column = {name: full[:, k] for k, name in enumerate(_NAMES)}
    highest = np.where(column["leak"] > 0, np.maximum(column["v_leak"], 0), 0)
    loud = (column["threshold"] < highest) & (column["reset"] != Reset.NONE)
    loud |= column["v_min"] > 0
    full[~filled & loud] = 0
    return np.where(filled[:, None], table, full)
