"""Random quantised networks that use every corner of a core's arithmetic, held to the integers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.backends.fpga.cluster import LoweredCluster
from spikec.backends.fpga.host import (
    Script,
    decode_replies,
    load_image,
    loaded,
    report_bytes,
    stimulus_to_commands,
)
from spikec.backends.fpga.lower import LoweredCore
from spikec.backends.fpga.rtl import device_counts, interpret
from spikec.backends.fpga.simulate import build_simulator, run_device
from spikec.compiler.compare import compare
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import state_words
from spikec.hdl.shape import CoreShape
from spikec.hdl.verilog import device_verilog
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
from spikec.ir.verify import verify

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


@dataclass(frozen=True)
class Compared:
    """State words compared, neurons that commits passed over, and replies that are left."""

    words: int
    passed_over: int
    rest: bytes


def check_loaded(
    cases: Sequence[tuple[Case, LoweredCore | LoweredCluster]],
    then: Script | None = None,
    *,
    stall: int = 0,
) -> Compared:
    """Every spike and state word of networks on one device, as the integer executor has them.

    The device is built once, for the shape that all have, and loaded over the wire with one image
    after the other; ``then`` comes behind them.
    """
    shape = cases[0][1].shape
    script = Script(b"", 0)
    for case, core in cases:
        verify(case.graph)
        script += load_image(core.image)
        script += stimulus_to_commands(device_counts(core, case.stimulus))
    size = report_bytes(shape)
    if then is not None:
        script += then
    build = build_simulator(device_verilog(shape))
    result = run_device(build, script, report_bytes=size, trace=True, stall=stall)
    replies, trace = result.tx_bytes, result.trace
    # The first step of a sample sweeps all neurons once; later ones pass over those at rest.
    begins = np.flatnonzero(trace["step"] == 0)[:: shape.neurons]
    assert begins.size == sum(case.stimulus.samples for case, _ in cases)
    begins = np.append(begins, trace.size)
    words = passed_over = sample = 0
    for case, core in cases:
        samples, steps = case.stimulus.samples, case.stimulus.steps + core.lag
        replies = loaded(replies, load_image(core.image))
        found = re.compile(
            rb"(?:\x83(?:(?:[\x00-\x7f].)*\x82.{%d}){%d}){%d}" % (size, steps, samples), re.S
        ).match(replies)
        assert found is not None
        records = trace[begins[sample] : begins[sample + samples]]
        passed_over += samples * steps * shape.neurons - records.size
        answers = decode_replies(found[0], samples, steps, shape)
        replies, sample = replies[found.end() :], sample + samples
        populations = [p.name for p in case.graph.populations]
        states = state_words(case.graph)
        rtl = interpret(
            core, [(answers, records)], case.stimulus, populations=populations, record=states
        )
        integer = Executor(case.graph).run(case.stimulus, populations=populations, record=states)
        comparison = compare(integer, rtl, graph=case.graph, stimulus=case.stimulus)
        assert comparison.equal, f"{case.graph.name}: {comparison.describe()}"
        words += comparison.state_words
    assert sample == begins.size - 1
    return Compared(words, passed_over, replies)


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
    resets = ["none", "zero", "value", "subtract", "two_phase"]
    adaptation: dict[str, Any] = {}
    if shape.timers is not None and rng.random() < 0.8:
        resets = ["zero", "value", "subtract"]
        adaptation = {
            "adapt_inc": pick(0, 1, small, middle, state.high),
            "adapt_shift": int(rng.choice([0, 1, 2, 7, shape.state_bits])),
            "adapt_period": int(rng.choice([0, *shape.timers])),
        }
    levels = np.array([0, 0, small, -small, state.high, state.low] if shape.bias else [0], np.int64)
    bias = rng.choice(levels, size if rng.random() < 0.3 else ())
    if shape.quadratic and rng.random() < 0.7:
        return _recovery(rng, shape, size, each, state, bias, adaptation)
    linear = shape.linear and rng.random() < 0.6
    leak: dict[str, Any] = {}
    if linear:
        leak = {"leak": pick(0, 1, small, middle // 8), "v_leak": pick(0, small, -small, middle)}
    return IntegerNeuron(
        numerics=Numerics(Format(shape.weight_bits), state, shape.decay_bits, shape.acc_bits),
        source_model="LIF",
        scale=1.0,
        shift=int(rng.integers(0, 1 << shape.shift_bits)),
        decay_v=np.asarray(one)
        if linear
        else pick(0, one, one - 1, int(rng.integers(0, one)), one * 7 // 8),
        decay_u=pick(0, one, one // 2, int(rng.integers(0, one))) if shape.cuba else None,
        threshold=pick(small, small, middle, state.high, state.low, 0),
        bias=bias,
        bias_first=pick(0, small, middle, state.low) if first else None,
        v_min=pick(state.low, state.low, 0, -small, state.high // 2),
        v_reset=pick(0, small, middle, state.low, state.high),
        reset=str(rng.choice(resets)),
        current_old=bool(shape.cuba and rng.random() < 0.3),
        refractory=int(rng.integers(0, 1 << shape.refractory_bits)),
        **adaptation,
        **leak,
    )


def _recovery(
    rng: np.random.Generator,
    shape: CoreShape,
    size: tuple[int, ...],
    each: tuple[int, ...],
    state: Format,
    bias: np.ndarray,
    adaptation: dict[str, Any],
) -> IntegerNeuron:
    """A neuron with a recovery: most behave, some have the largest numbers that there are."""
    one = 1 << shape.decay_bits
    wild = rng.random() < 0.3

    def pick(low: int, high: int) -> np.ndarray:
        return rng.integers(low, high, each, endpoint=True)

    first = shape.first_bias and rng.random() < 0.5
    return IntegerNeuron(
        numerics=Numerics(Format(shape.weight_bits), state, shape.decay_bits, shape.acc_bits),
        source_model="Izhikevich",
        scale=1.0,
        shift=int(rng.integers(0, 1 << shape.shift_bits)),
        decay_v=pick(-8 * one, 8 * one - 1) if wild else pick(one // 2, one),
        threshold=pick(state.high // 8, state.high // 2),
        bias=bias,
        bias_first=pick(state.low, state.high) if first else None,
        v_min=pick(state.low, state.low // 4) if rng.random() < 0.3 else np.asarray(state.low),
        v_reset=pick(state.low // 4, state.high // 16),
        reset="value",
        refractory=int(rng.integers(0, 1 << shape.refractory_bits)),
        curve=pick(0, 32 * one - 1) if wild else pick(one, 3 * one),
        couple=pick(-4 * one, 4 * one - 1) if wild else pick(0, one // 2),
        rate=pick(-16 * one, 16 * one - 1) if wild else pick(1, one),
        jump=pick(state.low, state.high) if wild else pick(0, state.high // 16),
        substeps=int(rng.integers(1, shape.quadratic + 1)),
        **adaptation,
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
