"""Random quantised networks that use every corner of a core's arithmetic."""

from dataclasses import dataclass

import numpy as np

from spikec.hdl.shape import CoreShape
from spikec.ir.connections import Connection, Conv1d, Dense, OneToOne, Sparse
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
    """A network for ``shape``; the same one for the same seed."""
    rng = np.random.default_rng(seed)
    inputs = [Input("in", (int(rng.integers(1, shape.inputs + 1)),))]
    populations, room = [], shape.groups
    for k in range(int(rng.integers(1, 4))):
        groups = int(rng.integers(1, max(room // 2, 1) + 1))
        room -= groups
        size = groups * shape.lanes - int(rng.integers(0, shape.lanes))
        populations.append(
            Population(f"p{k}", (size,), _neuron(rng, shape, size), lag=int(rng.integers(0, 3)))
        )
        if room < 1:
            break
    projections = []
    for k, post in enumerate(populations):
        sources: list[tuple[Input | Population, int]] = (
            [(inputs[0], 0)] if k == 0 or rng.random() < 0.5 else []
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
                    delay=hop + int(rng.integers(0, shape.pages)),
                )
            )
    outputs = tuple(Output(f"out-{p.name}", p.name) for p in populations if rng.random() < 0.7) or (
        Output("out", populations[-1].name),
    )
    graph = Graph(
        f"random{seed}", 1e-3, tuple(inputs), tuple(populations), tuple(projections), outputs
    )
    rate = rng.choice([0.05, 0.3, 0.9])
    counts = (rng.random((2, 9, inputs[0].size)) < rate) * rng.integers(
        1, 3, (2, 9, inputs[0].size)
    )
    return Case(graph, Stimulus({"in": Events.from_dense(counts)}))


def _neuron_of(population: Population) -> IntegerNeuron:
    assert isinstance(population.neuron, IntegerNeuron)
    return population.neuron


def _neuron(rng: np.random.Generator, shape: CoreShape, size: int) -> IntegerNeuron:
    overflow = Overflow.WRAP if shape.overflow == "wrap" else Overflow.SATURATE
    state = Format(shape.state_bits, rounding=ROUNDINGS[shape.rounding], overflow=overflow)
    one = 1 << shape.decay_bits
    each = () if rng.random() < 0.7 else (size,)

    def pick(*choices: int) -> np.ndarray:
        return rng.choice(np.array(choices, np.int64), each)

    middle = int(rng.integers(1, state.high))
    small = int(rng.integers(0, 1 << 6))
    first = shape.first_bias and rng.random() < 0.5
    return IntegerNeuron(
        numerics=Numerics(Format(shape.weight_bits), state, shape.decay_bits, shape.acc_bits),
        source_model="LIF",
        scale=1.0,
        shift=int(rng.integers(0, 1 << shape.shift_bits)),
        decay_v=pick(0, one, one - 1, int(rng.integers(0, one)), one * 7 // 8),
        decay_u=pick(0, one, one // 2, int(rng.integers(0, one))) if shape.cuba else None,
        threshold=pick(small, small, middle, state.high, state.low, 0),
        bias=pick(0, 0, small, -small, state.high, state.low),
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
