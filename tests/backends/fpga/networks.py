"""Random quantised networks that use every corner of a core's arithmetic."""

from dataclasses import dataclass

import numpy as np

from spikec.hdl.shape import CoreShape
from spikec.ir.connections import (
    Chain,
    Connection,
    Conv1d,
    Conv2d,
    Dense,
    Flatten,
    OneToOne,
    Sparse,
    SumPool2d,
)
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IntegerNeuron
from spikec.ir.numerics import Format, Numerics, Overflow, Rounding

ROUNDINGS = {
    "nearest_even": Rounding.NEAREST_EVEN,
    "nearest_away": Rounding.NEAREST_AWAY,
    "toward_zero": Rounding.TOWARD_ZERO,
    "ceil": Rounding.UP,
    "floor": Rounding.DOWN,
}


@dataclass(frozen=True)
class Case:
    """A network that fits a core, and what to feed it."""

    graph: Graph
    stimulus: Stimulus


def random_case(seed: int, shape: CoreShape) -> Case:
    """A network for ``shape``; the same one for the same seed.

    Rows of one run each take a chain of dense layers only. Every third of the others convolves.
    """
    rng = np.random.default_rng(seed)
    if shape.addressing == "row" and not shape.segments:
        graph = _chain(seed, rng, shape)
    elif rng.random() < 1 / 3:
        graph = _convolution(seed, rng, shape)
    else:
        graph = _mesh(seed, rng, shape)
    size = graph.inputs[0].size
    rate = rng.choice([0.05, 0.3, 0.9])
    counts = (rng.random((2, 9, size)) < rate) * rng.integers(1, 3, (2, 9, size))
    return Case(graph, Stimulus({"in": Events.from_dense(counts)}))


def _delay(rng: np.random.Generator, shape: CoreShape, hop: int) -> int:
    return hop + int(rng.integers(0, shape.delays))


def _population(
    rng: np.random.Generator, shape: CoreShape, name: str, size: tuple[int, ...]
) -> Population:
    return Population(name, size, _neuron(rng, shape, size), lag=int(rng.integers(0, 3)))


def _graph(
    seed: int,
    rng: np.random.Generator,
    entry: Input,
    populations: list[Population],
    projections: list[Projection],
) -> Graph:
    outputs = tuple(Output(f"out-{p.name}", p.name) for p in populations if rng.random() < 0.7) or (
        Output("out", populations[-1].name),
    )
    return Graph(f"random{seed}", 1e-3, (entry,), tuple(populations), tuple(projections), outputs)


def _mesh(seed: int, rng: np.random.Generator, shape: CoreShape) -> Graph:
    """Up to three populations, each joined to any of them by any kind of connection."""
    entry = Input("in", (int(rng.integers(1, shape.inputs + 1)),))
    populations: list[Population] = []
    room = shape.groups
    for k in range(int(rng.integers(1, 4))):
        groups = int(rng.integers(1, max(room // 2, 1) + 1))
        room -= groups
        missing = int(rng.integers(0, shape.lanes // shape.units)) * shape.units
        populations.append(_population(rng, shape, f"p{k}", (groups * shape.lanes - missing,)))
        if room < 1:
            break
    projections = []
    for k, post in enumerate(populations):
        sources: list[tuple[Input | Population, int]] = (
            [(entry, 0)] if k == 0 or rng.random() < 0.5 else []
        )
        sources += [
            (pre, 1)
            for pre in populations
            if rng.random() < 0.6 and _neuron_of(pre).reset != "none"
        ]
        for pre, hop in sources:
            projections.append(
                Projection(
                    f"{pre.name}-{post.name}",
                    pre.name,
                    post.name,
                    _connection(rng, shape, pre.size, post.size),
                    delay=_delay(rng, shape, hop),
                )
            )
    return _graph(seed, rng, entry, populations, projections)


def _chain(seed: int, rng: np.random.Generator, shape: CoreShape) -> Graph:
    """Dense layers without a zero, one behind the other: a run of words for each source."""
    entry = Input("in", (int(rng.integers(1, shape.inputs + 1)),))
    top = 1 << (shape.weight_bits - 1)
    populations: list[Population] = []
    projections: list[Projection] = []
    before: Input | Population = entry
    room = shape.groups
    while room and len(populations) < 3:
        groups = int(rng.integers(1, room + 1))
        room -= groups
        missing = int(rng.integers(0, shape.lanes // shape.units)) * shape.units
        post = _population(rng, shape, f"p{len(populations)}", (groups * shape.lanes - missing,))
        weight = rng.integers(-top, top, (post.size, before.size))
        weight[weight == 0] = 1
        delay = _delay(rng, shape, int(bool(populations)))
        name = f"{before.name}-{post.name}"
        projections.append(Projection(name, before.name, post.name, Dense(weight), delay=delay))
        populations.append(post)
        if _neuron_of(post).reset == "none":
            break
        before = post
    return _graph(seed, rng, entry, populations, projections)


def _convolution(seed: int, rng: np.random.Generator, shape: CoreShape) -> Graph:
    """An image, a convolution of it, then a pool, another convolution or a dense layer."""
    sizes = [(c, h, w) for c in (1, 2) for h in (2, 3, 4) for w in (2, 3, 4, 5)]
    fits = [size for size in sizes if np.prod(size) <= shape.inputs]
    entry = Input("in", fits[rng.integers(len(fits))])
    top = 1 << (shape.weight_bits - 1)

    def convolution(before: tuple[int, ...], most: int) -> Conv2d:
        depth, height, width = before
        kernel = int(rng.integers(1, min(height, width, 3) + 1))
        pad = int(rng.integers(0, 2)) if kernel > 1 else 0
        out = (height + 2 * pad - kernel + 1) * (width + 2 * pad - kernel + 1)
        if out > most // shape.units:
            pad, out = 0, (height - kernel + 1) * (width - kernel + 1)
        if out > most // shape.units:
            kernel, out = min(height, width), abs(height - width) + 1
        channels = shape.units * int(rng.integers(1, max(1, most // out // shape.units) + 1))
        channels = min(channels, 4 * shape.units)
        return Conv2d(
            rng.integers(-top, top, (channels, depth, kernel, kernel)),
            (depth, height, width),
            padding=((pad, pad), (pad, pad)),
        )

    half = shape.neurons // 2 // shape.lanes * shape.lanes
    first = convolution(entry.shape, half)
    populations = [_population(rng, shape, "p0", first.out_shape)]
    projections = [Projection("in-p0", "in", "p0", first, delay=_delay(rng, shape, 0))]
    if _neuron_of(populations[0]).reset != "none":
        before = first.out_shape
        room = shape.neurons - -(-populations[0].size // shape.lanes) * shape.lanes
        second: Connection
        kind = rng.integers(0, 3)
        if kind == 0 and min(before[1:]) >= 2:
            second = SumPool2d((before[0], before[1], before[2]), (2, 2), (1, 1))
        elif kind == 1:
            second = convolution(before, room - shape.lanes)
        else:
            size = shape.units * int(rng.integers(1, (room - shape.lanes) // shape.units + 1))
            weight = rng.integers(-top, top, (size, int(np.prod(before))))
            second = Chain((Flatten(before), Dense(weight)))
        if np.prod(second.out_shape) <= room - shape.lanes:
            populations.append(_population(rng, shape, "p1", second.out_shape))
            delay = _delay(rng, shape, 1)
            projections.append(Projection("p0-p1", "p0", "p1", second, delay=delay))
    return _graph(seed, rng, entry, populations, projections)


def _neuron_of(population: Population) -> IntegerNeuron:
    assert isinstance(population.neuron, IntegerNeuron)
    return population.neuron


def _neuron(rng: np.random.Generator, shape: CoreShape, size: tuple[int, ...]) -> IntegerNeuron:
    """Neurons that commit together share their parameters, all but the bias."""
    overflow = Overflow.WRAP if shape.overflow == "wrap" else Overflow.SATURATE
    state = Format(shape.state_bits, rounding=ROUNDINGS[shape.rounding], overflow=overflow)
    one = 1 << shape.decay_bits
    each = () if shape.units > 1 or rng.random() < 0.7 else size

    def pick(*choices: int) -> np.ndarray:
        return rng.choice(np.array(choices, np.int64), each)

    middle = int(rng.integers(1, state.high))
    small = int(rng.integers(0, 1 << 6))
    first = shape.first_bias and rng.random() < 0.5
    levels = np.array([0, 0, small, -small, state.high, state.low] if shape.bias else [0], np.int64)
    bias = rng.choice(levels, size if rng.random() < 0.3 else ())
    return IntegerNeuron(
        numerics=Numerics(Format(shape.weight_bits), state, shape.decay_bits, shape.acc_bits),
        source_model="LIF",
        scale=1.0,
        shift=int(rng.integers(0, 1 << shape.shift_bits)),
        decay_v=pick(0, one, one - 1, int(rng.integers(0, one)), one * 7 // 8),
        decay_u=pick(0, one, one // 2, int(rng.integers(0, one))) if shape.cuba else None,
        threshold=pick(small, small, middle, state.high, state.low, 0),
        bias=bias,
        bias_first=pick(0, small, middle, state.low) if first else None,
        v_min=pick(state.low, state.low, 0, -small, state.high // 2),
        v_reset=pick(0, small, middle, state.low, state.high),
        reset=str(rng.choice(["none", "zero", "value", "subtract", "two_phase"])),
        current_old=bool(shape.cuba and rng.random() < 0.3),
        refractory=int(rng.integers(0, 1 << shape.refractory_bits)),
    )


def _connection(rng: np.random.Generator, shape: CoreShape, pre: int, post: int) -> Connection:
    top = 1 << (shape.weight_bits - 1)

    def weights(*size: int) -> np.ndarray:
        match rng.integers(0, 3):
            case 0:  # both rails
                return rng.choice(np.array([-top, top - 1], np.int64), size)
            case 1:
                return rng.integers(-top, top, size)
            case _:
                return rng.integers(-2, 2, size)

    kind = rng.integers(0, 4)
    if kind == 0 and pre == post:
        return OneToOne(weights(pre), (pre,))
    if kind == 1:
        dense = weights(pre, post) * (rng.random((pre, post)) < 0.3)
        row, column = np.nonzero(dense)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=pre))])
        return Sparse(pre, post, indptr, column.astype(np.int32), dense[row, column])
    if kind == 2 and pre >= post:
        return Conv1d(weights(1, 1, pre - post + 1), (1, pre))
    return Dense(weights(post, pre))
