"""Lowering: a quantised graph becomes the memories of one event-driven core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...boards.board import MemoryBlock, Target
from ...compiler.connectivity import to_sparse
from ...hdl.image import CoreImage
from ...hdl.shape import CoreShape, Memory, Reset, Rounding
from ...ir.diagnostics import Diagnostic, SpikecError, fail
from ...ir.graph import Graph, Input, Population
from ...ir.neurons import IntegerNeuron
from ...ir.numerics import Overflow
from ...ir.numerics import Rounding as IrRounding

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
# Synthesis builds so few classes of registers.
_REGISTERS = 8


@dataclass(frozen=True)
class Placement:
    """Where the nodes of a graph lie in a core: first input line and first neuron by name."""

    inputs: dict[str, int]
    neurons: dict[str, int]


@dataclass(frozen=True)
class LoweredCore:
    """A core's image, where everything lies in it, and the graph it came from."""

    graph: Graph
    image: CoreImage
    placement: Placement

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
    lanes: int,
    emit: tuple[str, ...] | None = None,
    shape: CoreShape | None = None,
) -> LoweredCore:
    """The core image of a quantised, retimed graph, with ``lanes`` synapses added a cycle.

    ``emit`` names the populations whose spikes leave the core (default: those of the outputs).
    ``shape`` is a core that exists already and that the image shall fit (of ``lanes`` lanes);
    without it the smallest one is made. Populations begin at a multiple of ``lanes``; the gap is
    filled with neurons that never spike. Raises E0301, E0302 or E0307 for what the core cannot
    hold, ``ImageError`` when ``shape`` is too small.
    """
    _check(graph)
    emitting = set(emit if emit is not None else (o.source for o in graph.outputs))
    lines, first_line = 0, {}
    for node in graph.inputs:
        first_line[node.name] = lines
        lines += node.size
    if shape is not None:
        lines = shape.inputs
    neurons, first_neuron = 0, {}
    for population in graph.populations:
        first_neuron[population.name] = neurons
        neurons += -(-population.size // lanes) * lanes
    placement = Placement(first_line, first_neuron)
    words = _words(graph, placement, lines, neurons, lanes)
    classes, neuron_class, bias, first_bias = _classes(graph, placement, neurons, emitting)
    numerics = [_integer(p).numerics for p in graph.populations]
    one = numerics[0]
    if any(n.state != one.state or n.decay_bits != one.decay_bits for n in numerics):
        raise fail("E0301", "populations differ in their state format; a core has one")
    if shape is None:
        shape = _smallest(graph, words, classes, first_bias is not None, (lanes, lines, neurons))
    if first_bias is None and shape.first_bias:
        first_bias = bias
    image = CoreImage.padded(
        shape,
        active_neurons=neurons,
        rows_start=words["start"],
        rows_count=words["count"],
        weights=words["weights"],
        word_target=words["target"],
        word_delay=words["delay"],
        neuron_class=neuron_class,
        bias=bias,
        **({} if first_bias is None else {"first_bias": first_bias}),
        **{f"class_{name}": values for name, values in classes.items()},
    )
    return LoweredCore(graph, image, placement)


def _smallest(
    graph: Graph,
    words: dict[str, Integers],
    classes: dict[str, Integers],
    first_bias: bool,
    sizes: tuple[int, int, int],
) -> CoreShape:
    lanes, lines, neurons = sizes
    numerics = [_integer(p).numerics for p in graph.populations]
    one = numerics[0]
    most = int(words["delay"].max(initial=0))
    refractory = int(classes["refractory"].max(initial=0))
    return CoreShape(
        lanes=lanes,
        weight_bits=max(n.weight.width for n in numerics),
        acc_bits=max(*(n.acc_bits for n in numerics), max(n.weight.width for n in numerics)),
        state_bits=one.state.width,
        neurons=neurons,
        inputs=lines,
        words=max(words["delay"].size, 1),
        classes=classes["decay_v"].size,
        pages=1 << most.bit_length() if most else 1,
        cuba=any(_integer(p).decay_u is not None for p in graph.populations),
        first_bias=first_bias,
        refractory_bits=refractory.bit_length(),
        shift_bits=int(classes["shift"].max()).bit_length(),
        decay_bits=one.decay_bits,
        rounding=_ROUNDING[one.state.rounding],
        overflow="wrap" if one.state.overflow is Overflow.WRAP else "saturate",
    )


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


def _words(
    graph: Graph, placement: Placement, lines: int, neurons: int, lanes: int
) -> dict[str, Integers]:
    """Weight words of all rows: those of one source lie together, by delay, then by target."""
    columns: list[list[Any]] = [[], [], [], [], []]
    for position, projection in enumerate(graph.projections):
        synapses = to_sparse(projection.connection).tocoo()
        keep = synapses.data != 0
        pre = graph.node(projection.pre)
        if isinstance(pre, Input):
            first, delay = placement.inputs[pre.name], projection.delay
        else:
            first = lines + placement.neurons[pre.name]
            delay = projection.delay + int(pre.semantics.registered) - 1
        source = synapses.row[keep].astype(np.int64) + first
        target = synapses.col[keep].astype(np.int64) + placement.neurons[projection.post]
        size = source.size
        values = (
            source,
            np.full(size, delay),
            target,
            np.full(size, position),
            synapses.data[keep],
        )
        for column, part in zip(columns, values, strict=True):
            column.append(part)
    source, steps, target, number, weight = (
        np.concatenate(c).astype(np.int64) if c else np.zeros(0, np.int64) for c in columns
    )
    group, lane = np.divmod(target, lanes)
    # Two projections between the same neurons keep words of their own: a sum of two weights may
    # need more bits than one has.
    keys = np.stack([source, steps, group, number], axis=1)
    unique, word = np.unique(keys, axis=0, return_inverse=True)
    weights = np.zeros((unique.shape[0], lanes), np.int64)
    weights[word.ravel(), lane] = weight
    count = np.bincount(unique[:, 0], minlength=lines + neurons)
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    return {
        "weights": weights,
        "delay": unique[:, 1],
        "target": unique[:, 2],
        "count": count,
        "start": np.where(count > 0, start, 0),
    }


def _classes(
    graph: Graph, placement: Placement, neurons: int, emitting: set[str]
) -> tuple[dict[str, Integers], Integers, Integers, Integers | None]:
    """Parameter sets without repetition, and for each neuron its set and its biases."""
    names = (
        "decay_v",
        "decay_u",
        "shift",
        "threshold",
        "v_reset",
        "v_min",
        "reset",
        "order_old",
        "refractory",
        "start",
        "emit",
    )
    table = np.zeros((neurons, len(names)), np.int64)
    bias = np.zeros(neurons, np.int64)
    first_bias = np.zeros(neurons, np.int64)
    any_first = False
    for population in graph.populations:
        neuron = _integer(population)
        begin = placement.neurons[population.name]
        span = slice(begin, begin + population.size)
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
            table[span, column] = np.ravel(np.asarray(value, np.int64))
        bias[span] = np.ravel(neuron.bias)
        first_bias[span] = np.ravel(neuron.bias if neuron.bias_first is None else neuron.bias_first)
        any_first |= neuron.bias_first is not None
    unique, neuron_class = np.unique(table, axis=0, return_inverse=True)
    classes = {name: unique[:, k].copy() for k, name in enumerate(names)}
    return classes, neuron_class.ravel().astype(np.int64), bias, first_bias if any_first else None


# -- what it takes ------------------------------------------------------------------------------


def memory_blocks(shape: CoreShape, block: MemoryBlock) -> dict[str, int]:
    """Blocks of the device that each memory takes, in the best of the block's aspect ratios.

    A block of D words of W bits can also be 2^k D words of W / 2^k bits.
    """
    taken = {}
    for memory in Memory:
        depth, width = shape.depth(memory), shape.word_bits(memory)
        if depth <= 1 or memory in (Memory.ACTIVE_NEURONS, Memory.DIGEST):
            continue
        if memory is Memory.CLASSES and depth <= _REGISTERS:
            continue
        options = []
        for k in range(4):
            deep, wide = block.depth << k, max(block.width >> k, 1)
            options.append(-(-depth // deep) * -(-width // wide))
        taken[memory.name.lower()] = min(options)
    # The list of the neurons that have spiked in this step.
    taken["spikes"] = 1
    return taken


def check_memory(shape: CoreShape, target: Target) -> dict[str, int]:
    """Blocks taken by each memory; E0302 when the target has too few."""
    block = target.block_memory
    if block is None:
        return {}
    taken = memory_blocks(shape, block)
    total, limit = sum(taken.values()), int(block.count.value)
    if total > limit:
        worst = max(taken, key=lambda name: taken[name])
        raise fail(
            "E0302",
            f"the network needs about {total} {block.cell} blocks, {target.title} has {limit} "
            f"({block.count.source}): {total - limit} too many; {taken[worst]} of them hold the "
            f"{worst}",
            hint="use fewer --weight-bits, prune the network, or choose a larger board "
            "('spikec targets')",
        )
    return taken
