"""Sigma-delta neurons: the equations in 32-bit words, frames, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spikec.compiler.integer.executor import Executor
from spikec.ir.connections import Connection, Conv2d, Dense, OneToOne, Sparse
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.loihi import LoihiWeights, Sign
from spikec.ir.neurons import Activation, LoihiDelta, LoihiSigma, LoihiSigmaDelta
from spikec.ir.verify import verify

Ints = npt.NDArray[np.int64]
ONE = LoihiWeights(8, Sign.EXCITATORY)
SEED = st.integers(0, (1 << 32) - 1)


def alone(neuron: Any, size: int) -> Graph:
    """A population, and an input for each of its neurons."""
    return Graph(
        "alone",
        1e-3,
        (Input("in", (size,)),),
        (Population("p", (size,), neuron),),
        (Projection("w", "in", "p", OneToOne(np.ones((), np.int64), (size,)), 1, words=ONE),),
        (Output("out", "p"),),
    )


# -- one population ------------------------------------------------------------------------------


def in_words(neuron: Any, values: Ints) -> dict[str, Ints]:
    """What it sends and its states under values (steps, n), in the 32-bit integers of numpy."""
    word = np.int32
    sigma, act, residue, error = np.zeros((4, values.shape[1]), word)
    found: dict[str, list[Any]] = {name: [] for name in ("sent", *neuron.state)}
    for row in values.astype(word):
        sent = sigma = sigma + row
        if isinstance(neuron, LoihiDelta):
            shift = word(neuron.spike_exp + neuron.state_exp)
            if isinstance(neuron, LoihiSigmaDelta):
                new = sigma + (neuron.bias.astype(word) << shift)
                new = np.maximum(new, word(0)) if neuron.activation == "relu" else new
            else:
                new = row << shift
            change = new - act + residue
            error = error + change if neuron.cum_error else error
            size = np.abs(error if neuron.cum_error else change)
            whole = np.where(size >= neuron.vth << shift, change, word(0))
            if neuron.cum_error:
                error = np.where(np.abs(whole) > 0, word(0), error)
            act, residue, sent = new, change - whole, whole >> word(neuron.state_exp)
        now = {"sigma": sigma, "act": act, "residue": residue, "error": error, "sent": sent}
        for name, store in found.items():
            store.append(now[name])
    return {name: np.array(store, np.int64) for name, store in found.items()}


def neurons() -> st.SearchStrategy[Any]:
    """Models whose words fit."""

    def fitting(p: int, x: int, share: float, errors: bool, unit: bool, bias: float) -> Any:
        vth = int(share * (((1 << 23) - 1) >> (p + x)))
        if unit:
            mode = Activation.UNIT if bias < 0 else Activation.RELU
            most = 32_767 >> (p + x)
            return LoihiSigmaDelta(
                vth, p, x, errors, bias=np.array(int(bias * most)), activation=mode
            )
        return LoihiDelta(vth, p, x, errors)

    small = st.sampled_from([0.0, 1e-6, 1e-3]) | st.floats(0, 1)
    parts = (st.integers(0, 7), st.integers(0, 7), small)
    made = st.builds(fitting, *parts, st.booleans(), st.booleans(), st.floats(-1, 1))
    return made | st.just(LoihiSigma())


@given(neurons(), st.sampled_from([3, 1 << 12, 1 << 22, (1 << 31) - 1]), SEED)
def test_a_population_is_the_equations_in_words_of_32_bits(
    neuron: Any, size: int, seed: int
) -> None:
    """Values that fill a word included: sums wrap, and -2^31 has no magnitude."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-size, size + 1, (12, 5)) * (rng.random((12, 5)) < 0.7)
    values[3:6, 0] = [1 << 30, -(1 << 31), -(1 << 31)]
    graph = alone(neuron, 5)
    verify(graph)
    record = [("p", name) for name in neuron.state]
    run = Executor(graph).run(Stimulus({"in": Events.from_dense(values[None])}), record=record)
    arrived = np.vstack([np.zeros((1, 5), np.int64), values[:-1]])
    expected = in_words(neuron, arrived)
    np.testing.assert_array_equal(run.spikes["p"].dense(0), expected.pop("sent"))
    for name, states in expected.items():
        np.testing.assert_array_equal(run.states["p", name][0], states, err_msg=name)


def test_values_of_an_encoder_are_whole_and_counts_have_no_sign() -> None:
    graph = alone(LoihiDelta(0), 2)
    half = Events.from_events(1, 3, 2, [0], [1], [1], [0.5])
    with pytest.raises(SpikecError, match=r"holds 1 value.* no whole number, first 0"):
        Executor(graph).run(Stimulus({"in": half}))


def test_only_changes_cost_synaptic_operations() -> None:
    """A frame that stands still costs its pixels, and nothing behind them."""
    encoder = Population("encoder", (4,), LoihiDelta(0))
    layer = Population("layer", (3,), LoihiSigmaDelta(0))
    out = Population("out", (3,), LoihiSigma())
    weight = np.array([[2, 4, -6, 8], [2, 2, 2, 2], [-2, -4, -6, -8]])
    one = OneToOne(np.ones((), np.int64), (4,))
    words = LoihiWeights()
    graph = Graph(
        "still",
        1e-3,
        (Input("in", (4,)),),
        (encoder, layer, out),
        (
            Projection("a", "in", "encoder", one, 1, words=ONE),
            Projection("b", "encoder", "layer", Dense(weight), 1, words=words),
            Projection("c", "layer", "out", OneToOne(np.ones((), np.int64), (3,)), 1, words=ONE),
        ),
        (Output("out", "out"),),
    )
    frames = np.tile([5, 0, 7, 0], (10, 1))
    frames[6:, 3] = 1  # one pixel changes, in six
    executor = Executor(graph)
    run = executor.run(Stimulus({"in": Events.from_dense(frames[None])}))
    # Two pixels at first, and three from the seventh frame; 3 synapses each of 2 + 1 changes; the
    # sums are -32, 24, -52 and then -24, 26, -60: one neuron sends, twice.
    assert executor.synaptic_operations == (6 * 2 + 4 * 3) + 3 * (2 + 1) + 2
    assert run.spikes["out"].dense(0)[[3, 8, 9]].tolist() == [[0, 24, 0], [0, 24, 0], [0, 26, 0]]


# -- frames --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """One layer of a plain network: a sum of matrices times layers of earlier steps."""

    name: str
    sources: tuple[tuple[str, Ints, int, int], ...]  # name, (post, pre), delay, right shift
    bias: Ints
    relu: bool


def network(seed: int) -> tuple[Graph, list[Layer], Ints]:
    """A random network at threshold zero, the plain one that it should be, and frames (t, n).

    Skip connections, several delays, convolutions, shifts behind what sends whole values.
    """
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 3)), int(rng.integers(4, 7)), int(rng.integers(4, 7)))
    pixels = int(np.prod(shape))
    shift = int(rng.integers(0, 3))
    encoder = LoihiDelta(0, int(rng.integers(0, 3)), shift)
    populations = [Population("encoder", shape, encoder)]
    one = OneToOne(np.ones((), np.int64), (pixels,))
    projections = [Projection("in", "in", "encoder", one, 1, words=ONE)]
    eye = np.eye(pixels, dtype=np.int64) << encoder.spike_exp
    layers = [Layer("encoder", (("in", eye, 1, 0),), np.zeros(pixels, np.int64), False)]
    shapes: dict[str, tuple[int, ...]] = {"encoder": shape}
    for number in range(int(rng.integers(1, 4))):
        name = f"layer{number}"
        pre = str(rng.choice(list(shapes)))
        words = LoihiWeights(8, Sign.MIXED, int(rng.integers(-1, 2)))
        connection, matrix = drawn(rng, shapes[pre])
        size = matrix.shape[0]
        links = [(pre, connection, matrix)]
        if rng.random() < 0.4:  # a second source
            more = str(rng.choice(list(shapes)))
            full = even(rng, (size, int(np.prod(shapes[more]))))
            links.append((more, Dense(full), full))
        p, relu = int(rng.integers(0, 3)), bool(rng.random() < 0.8)
        bias = rng.integers(-500, 500, size if rng.random() < 0.5 else ())
        sources = []
        for k, (source, synapses, full) in enumerate(links):
            delay = int(rng.integers(1, 4))
            projections.append(
                Projection(f"{name}.{k}", source, name, synapses, delay, words=words)
            )
            # A shift by one is exact: weights of both signs are even.
            sources.append((source, full * 2 ** (words.exponent + 1) // 2, delay, 0))
        shaped = connection.out_shape if np.ndim(bias) == 0 else (size,)
        activation = Activation.RELU if relu else Activation.UNIT
        neuron = LoihiSigmaDelta(0, p, bias=bias, activation=activation)
        populations.append(Population(name, shaped, neuron))
        layers.append(Layer(name, tuple(sources), np.broadcast_to(bias << p, size), relu))
        shapes[name] = shaped
    # Whole values of the last layer, shifted down, and encoded again.
    last, size = name, int(np.prod(shaped))
    down = int(rng.integers(0, 9))
    one = OneToOne(np.ones((), np.int64), (size,))
    populations += [
        Population("sum", (size,), LoihiSigma()),
        Population("next", (size,), LoihiDelta(0)),
    ]
    projections += [
        Projection("sum", last, "sum", one, 1, words=ONE),
        Projection("next", "sum", "next", one, 2, words=replace(ONE, exponent=-down)),
    ]
    none, whole = np.zeros(size, np.int64), np.eye(size, dtype=np.int64)
    layers += [
        Layer("sum", ((last, whole, 1, 0),), none, False),
        Layer("next", (("sum", whole, 2, down),), none, False),
    ]
    populations.append(Population("out", (size,), LoihiSigma()))
    projections.append(Projection("out", "next", "out", one, 1, words=ONE))
    layers.append(Layer("out", (("next", whole, 1, 0),), none, False))
    graph = Graph(
        "frames",
        1e-3,
        (Input("in", shape),),
        tuple(populations),
        tuple(projections),
        (Output("out", "out"),),
    )
    frames = rng.integers(-60, 60, (14, pixels)) * (rng.random((14, pixels)) < 0.5)
    frames[5:8] = frames[4]
    return graph, layers, frames


def even(rng: np.random.Generator, shape: tuple[int, ...]) -> Ints:
    """Weights of both signs."""
    return rng.integers(-6, 7, shape) * 2


def drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Connection, Ints]:
    """A random connection from a population, and its matrix (post, pre)."""
    pre = int(np.prod(shape))
    kind = rng.integers(0, 3)
    if kind == 0 and len(shape) == 3:
        weight = even(rng, (int(rng.integers(1, 4)), shape[0], 3, 2))
        stride = (int(rng.integers(1, 3)), 1)
        left = int(rng.integers(0, 2))  # one-sided where it is one
        conv = Conv2d(weight, (shape[0], shape[1], shape[2]), stride, ((1, 1), (left, 0)))
        return conv, unrolled(weight, shape, stride, ((1, 1), (left, 0)))
    matrix = even(rng, (int(rng.integers(2, 9)), pre))
    if kind == 1:
        matrix *= rng.random(matrix.shape) < 0.4
        i, j = np.nonzero(matrix.T)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=pre))])
        weights = matrix.T[i, j]
        return Sparse(pre, matrix.shape[0], indptr, j.astype(np.int32), weights), matrix
    return Dense(matrix), matrix


def unrolled(weight: Ints, shape: Any, stride: Any, padding: Any) -> Ints:
    """The matrix of a cross-correlation, by sliding over images that have one pixel each."""
    pre = int(np.prod(shape))
    images = np.pad(np.eye(pre, dtype=np.int64).reshape(pre, *shape), ((0, 0), (0, 0), *padding))
    height, width = weight.shape[2:]
    rows = range(0, images.shape[2] - height + 1, stride[0])
    columns = range(0, images.shape[3] - width + 1, stride[1])
    found = [
        np.einsum("nchw,ochw->on", images[:, :, y : y + height, x : x + width], weight)
        for y in rows
        for x in columns
    ]
    return np.stack(found, axis=1).reshape(-1, pre)


def frame_by_frame(layers: list[Layer], frames: Ints) -> dict[str, Ints]:
    """Whole values of each layer in each step; before the first step all are zero."""
    values = {"in": frames}
    for layer in layers:
        total = np.zeros((len(frames), layer.bias.size), np.int64) + layer.bias
        for name, matrix, delay, down in layer.sources:
            total[delay:] += (values[name][:-delay] @ matrix.T) >> down
        values[layer.name] = np.maximum(total, 0) if layer.relu else total
    return values


@given(SEED)
def test_at_threshold_zero_it_is_the_network_frame_by_frame(seed: int) -> None:
    """Bit for bit, in every layer and step."""
    graph, layers, frames = network(seed)
    verify(graph)
    record = [
        (p.name, "sigma" if isinstance(p.neuron, LoihiSigma) else "act") for p in graph.populations
    ]
    values = frame_by_frame(layers, frames)
    assume(max(np.abs(v).max() for v in values.values()) < 1 << 22)  # so that nothing wraps
    run = Executor(graph).run(Stimulus({"in": Events.from_dense(frames[None])}), record=record)
    for name, variable in record:
        neuron = graph.population(name).neuron
        # The act of an encoder has the bits of state_exp beside.
        encodes = isinstance(neuron, LoihiDelta) and not isinstance(neuron, LoihiSigmaDelta)
        finer = getattr(neuron, "state_exp", 0) if encodes else 0
        got = run.states[name, variable][0]
        np.testing.assert_array_equal(got, values[name] << finer, err_msg=name)
    np.testing.assert_array_equal(run.spikes["out"].dense(0), values["out"])


def test_frames_are_not_all_zero() -> None:
    """The property above is about something: layers send values of both signs."""
    active = 0
    for seed in range(20):
        _, layers, frames = network(seed)
        values = frame_by_frame(layers, frames)
        active += all(np.unique(values[name]).size > 5 for name in ("layer0", "out"))
    assert active > 10


@given(SEED, st.integers(1, 60))
def test_an_encoder_is_off_by_less_than_its_threshold(seed: int, vth: int) -> None:
    """And by less than twice of it where errors add up."""
    rng = np.random.default_rng(seed)
    values = np.cumsum(rng.integers(-20, 21, (40, 8)), axis=0)
    for errors in (False, True):
        graph = alone(LoihiDelta(vth, cum_error=errors), 8)
        run = Executor(graph).run(Stimulus({"in": Events.from_dense(values[None])}))
        decoded = np.cumsum(run.spikes["p"].dense(0), axis=0)
        off = np.abs(decoded[1:] - values[:-1]).max()
        assert off <= (2 * (vth - 1) if errors else vth - 1)
