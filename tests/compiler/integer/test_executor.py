"""The executor against dense arithmetic and against the reference, network by network."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.connectivity import apply, synapse_count
from spikec.compiler.integer.executor import Executor
from spikec.ir.connections import (
    AvgPool2d,
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
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF, IntegerNeuron
from spikec.ir.numerics import Format, Numerics
from spikec.ir.semantics import Semantics
from spikec.ir.verify import verify

from . import reference

STATE = Format(32)


def neuron(reset: str = "none", threshold: int = STATE.high, **more: object) -> IntegerNeuron:
    """A readout that shows what each step brings, or a plain spiking population."""
    zero = np.asarray(0)
    fields: dict[str, object] = {
        "numerics": Numerics(Format(8), STATE, 8, 32),
        "source_model": "LIF",
        "scale": 1.0,
        "shift": 0,
        "decay_v": zero,
        "threshold": np.asarray(threshold),
        "bias": zero,
        "v_min": np.asarray(STATE.low),
        "v_reset": zero,
        "reset": reset,
    }
    return IntegerNeuron(**(fields | more))  # type: ignore[arg-type]


def weights(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(-128, 128, shape) * (rng.random(shape) > 0.2)


def between(connection: Connection, delay: int = 0) -> Graph:
    """An input, ``connection``, and a readout without memory: its v is the connection's sum."""
    return Graph(
        "between",
        1e-3,
        (Input("in", connection.in_shape),),
        (Population("sum", (prod(connection.out_shape),), neuron()),),
        (Projection("all", "in", "sum", connection, delay),),
        (Output("out", "sum"),),
    )


def sums(graph: Graph, dense: np.ndarray) -> np.ndarray:
    executor = Executor(graph)
    result = executor.run(Stimulus({"in": Events.from_dense(dense)}), record=[("sum", "v")])
    return np.asarray(result.states["sum", "v"])


SMALL = st.integers(1, 3)
PAD = st.tuples(st.integers(0, 2), st.integers(0, 2))


@st.composite
def convolutions(draw: st.DrawFn) -> Conv2d:
    groups, per_in, per_out = draw(SMALL), draw(SMALL), draw(SMALL)
    kernel, dilation = (draw(SMALL), draw(SMALL)), (draw(SMALL), draw(SMALL))
    padding = (draw(PAD), draw(PAD))
    height, width = (
        draw(st.integers(max(1, d * (k - 1) + 1 - sum(p)), 7))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    weight = weights(draw(st.integers(0, 2**20)), (groups * per_out, per_in, *kernel))
    stride = (draw(SMALL), draw(SMALL))
    return Conv2d(weight, (groups * per_in, height, width), stride, padding, dilation, groups)


@st.composite
def pools(draw: st.DrawFn, shape: tuple[int, int, int]) -> SumPool2d:
    kernel = (draw(SMALL), draw(SMALL))
    rows, columns = (
        (max(0, k - n), draw(st.integers(0, 1))) for k, n in zip(kernel, shape[1:], strict=True)
    )
    return SumPool2d(shape, kernel, (draw(SMALL), draw(SMALL)), (rows, columns))


def plane(connection: Connection) -> tuple[int, int, int]:
    channels, height, width = connection.out_shape
    return channels, height, width


@st.composite
def any_connection(draw: st.DrawFn) -> Connection:
    seed = draw(st.integers(0, 2**20))
    kind = draw(st.sampled_from(["dense", "sparse", "one", "conv1d", "conv2d", "pool", "chain"]))
    conv = draw(convolutions())
    match kind:
        case "dense":
            return Dense(weights(seed, (draw(SMALL) * 3, draw(SMALL) * 2)))
        case "sparse":
            rng = np.random.default_rng(seed)
            pre, post, count = 6, 9, 20
            indptr = np.sort(np.append(rng.integers(0, count + 1, pre - 1), [0, count]))
            to = rng.integers(0, post, count, np.int32)
            return Sparse(pre, post, indptr, to, weights(seed, (count,)))
        case "one":
            single = draw(st.booleans())
            return OneToOne(weights(seed, () if single else (7,)), (7,))
        case "conv1d":
            channels, length = conv.shape[0], conv.shape[2]
            return Conv1d(
                conv.weight[:, :, 0],
                (channels, length),
                conv.stride[1],
                conv.padding[1],
                conv.dilation[1],
                conv.groups,
            )
        case "conv2d":
            return conv
        case "pool":
            return draw(pools(conv.shape))
        case _:
            before = draw(pools((conv.shape[0], 2 * conv.shape[1] + 3, 2 * conv.shape[2] + 3)))
            padding = ((2, 2), (4, 4))
            middle = replace(conv, shape=plane(before), padding=padding)
            middle = replace(middle, dilation=(1, 1))
            after = draw(pools(plane(middle)))
            last = Dense(weights(seed, (4, prod(after.out_shape))))
            return Chain((before, middle, Chain((after, Flatten(after.out_shape))), last))


@settings(max_examples=200)
@given(any_connection(), st.integers(0, 2**20), st.integers(0, 3))
def test_connections_are_their_dense_form(connection: Connection, seed: int, delay: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.integers(0, 4, (2, 5, prod(connection.in_shape)))
    dense *= rng.random(dense.shape) < 0.5
    got = sums(between(connection, delay), dense)
    wanted = np.zeros_like(got)
    wanted[:, delay:] = apply(connection, dense)[:, : 5 - delay]
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("width", [8, 16, 40])
def test_extreme_weights_and_counts_add_up(width: int) -> None:
    edge = 1 << (width - 1)
    weight = np.array([[-edge, edge - 1, -1], [edge - 1, -edge, 1]])
    wide = Numerics(Format(16), Format(62), 0, 62)
    graph = between(Dense(weight))
    population = graph.populations[0]
    cell = neuron(numerics=wide, threshold=wide.state.high, v_min=np.asarray(wide.state.low))
    graph = replace(graph, populations=(replace(population, neuron=cell),))
    dense = np.array([[[1, 0, 0], [0, 3, 0], [2, 2, 9]]])
    np.testing.assert_array_equal(sums(graph, dense), dense @ weight.T)


def test_synaptic_operations_are_the_synapses_that_events_met() -> None:
    connection = Sparse(
        3, 4, np.array([0, 2, 2, 5]), np.array([0, 3, 1, 2, 3], np.int32), np.array([1, 2, 3, 4, 5])
    )
    executor = Executor(between(connection))
    executor.run(Stimulus({"in": Events.from_dense(np.array([[[1, 1, 0], [2, 0, 1]]]))}))
    assert executor.synaptic_operations == 2 + 0 + 2 + 3
    conv = Conv2d(np.ones((2, 1, 3, 3), np.int64), (1, 4, 4), padding=((1, 1), (1, 1)))
    executor = Executor(between(conv))
    executor.run(Stimulus({"in": Events.from_dense(np.ones((1, 1, 16), np.int64))}))
    assert executor.synaptic_operations == synapse_count(conv)


# -- networks --------------------------------------------------------------------------------


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Populations in a shuffled order, loops and parallel projections, delays, registers."""
    count = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    sizes = rng.integers(1, 5, count)
    registered = [draw(st.booleans()) for _ in range(count)]
    populations = [
        Population(
            f"p{k}",
            (int(sizes[k]),),
            neuron(
                str(rng.choice(["zero", "subtract", "two_phase"])),
                int(threshold := rng.integers(50, 200)),
                v_reset=np.asarray(threshold),
                decay_v=np.asarray(int(rng.integers(0, 257))),
                decay_u=np.asarray(100) if rng.random() < 0.4 else None,
                bias=np.asarray(int(rng.integers(-20, 40))),
                bias_first=np.asarray(60) if rng.random() < 0.3 else None,
                max_spikes=None if rng.random() < 0.3 else 1,
                refractory=int(rng.integers(0, 3)),
                refractory_frozen=bool(rng.integers(2)),
            ),
            Semantics(registered=registered[k]),
        )
        for k in range(count)
    ]
    populations = [
        replace(p, neuron=replace(reference.integer(p), v_reset=np.asarray(0)))
        if reference.integer(p).reset == "zero"
        else p
        for p in populations
    ]
    projections = [
        Projection(
            f"in{k}",
            "in",
            f"p{k}",
            Dense(rng.integers(-60, 128, (sizes[k], 3))),
            draw(st.integers(0, 2)),
        )
        for k in range(count)
        if k == 0 or rng.random() < 0.5
    ]
    for edge in range(draw(st.integers(0, 6))):
        pre, post = rng.integers(0, count, 2)
        low = 0 if pre < post or registered[pre] else 1
        projections.append(
            Projection(
                f"e{edge}",
                f"p{pre}",
                f"p{post}",
                Dense(rng.integers(-128, 128, (sizes[post], sizes[pre]))),
                low + draw(st.integers(0, 2)),
            )
        )
    order = rng.permutation(count)
    return Graph(
        "net",
        1e-3,
        (Input("in", (3,)),),
        tuple(populations[k] for k in order),
        tuple(projections),
        tuple(Output(f"o{k}", f"p{k}") for k in range(count)),
    )


@settings(max_examples=150)
@given(networks(), st.integers(0, 2**20))
def test_networks_are_the_reference(graph: Graph, seed: int) -> None:
    verify(graph)
    rng = np.random.default_rng(seed)
    dense = rng.integers(0, 3, (2, 10, 3))
    stimulus = Stimulus({"in": Events.from_dense(dense)})
    keys = [(p.name, x) for p in graph.populations for x in ("v", "u")]
    wanted = reference.run(graph, stimulus, 10)
    got = Executor(graph).run(stimulus, record=keys)
    for key in keys:
        np.testing.assert_array_equal(got.states[key], wanted.states[key], err_msg=str(key))
    for name, emitted in wanted.emitted.items():
        dense_got = [got.spikes[name].dense(s) for s in range(2)]
        np.testing.assert_array_equal(dense_got, emitted, err_msg=name)
    # A sample does not see the one before it, nor an executor what it ran before.
    executor = Executor(graph)
    executor.run(stimulus)
    swapped = executor.run(Stimulus({"in": Events.from_dense(dense[::-1])}), record=keys)
    for key in keys:
        assert np.array_equal(swapped.states[key][::-1], got.states[key])


def test_same_step_projections_run_in_topological_order() -> None:
    one = Dense(np.array([[1]]))
    names = ("last", "middle", "first")
    cell = neuron("zero", 0)
    graph = Graph(
        "relay race",
        1e-3,
        (Input("in", (1,)),),
        tuple(Population(n, (1,), cell) for n in names),
        (
            Projection("c", "middle", "last", one),
            Projection("b", "first", "middle", one),
            Projection("a", "in", "first", one),
        ),
        tuple(Output(n, n) for n in names),
    )
    got = Executor(graph).run(Stimulus({"in": Events.from_dense(np.array([[[0], [1], [0]]]))}))
    assert {name: e.step.tolist() for name, e in got.spikes.items()} == {n: [1] for n in names}


def test_a_silent_network_gives_an_empty_recording() -> None:
    graph = between(Dense(np.array([[1]])))
    graph = replace(graph, populations=(replace(graph.populations[0], neuron=neuron("zero", 5)),))
    got = Executor(graph).run(Stimulus({"in": Events.from_dense(np.zeros((3, 4, 1), int))}))
    events = got.spikes["sum"]
    assert (events.samples, events.steps, events.size, events.value.size) == (3, 4, 1, 0)
    assert events.integer


def test_input_that_arrives_while_a_population_rests_is_lost() -> None:
    graph = between(Dense(np.array([[1]])), delay=1)
    rest = replace(graph.populations[0], lag=3)
    graph = replace(graph, populations=(rest,))
    dense = np.array([[[1], [2], [4], [8], [16]]])
    stimulus = Stimulus({"in": Events.from_dense(dense)})
    got = Executor(graph).run(stimulus, record=[("sum", "v")], raw=True)
    assert got.states["sum", "v"][0, :, 0].tolist() == [0, 0, 0, 4, 8, 16, 0, 0]
    assert got.spikes["sum"].dense(0)[:, 0].tolist() == [0, 0, 0, 4, 8, 16, 0, 0]
    aligned = Executor(graph).run(stimulus, record=[("sum", "v")])
    assert aligned.states["sum", "v"][0, :, 0].tolist() == [4, 8, 16, 0, 0]


def test_registered_spikes_show_one_step_late_and_the_last_ones_not_at_all() -> None:
    graph = between(Dense(np.array([[1]])))
    late = replace(
        graph.populations[0], neuron=neuron("zero", 0), semantics=Semantics(registered=True)
    )
    graph = replace(graph, populations=(late,))
    stimulus = Stimulus({"in": Events.from_dense(np.array([[[1], [0], [1]]]))})
    assert Executor(graph).run(stimulus).spikes["sum"].step.tolist() == [1]


def test_progress_goes_to_one() -> None:
    graph = between(Dense(np.array([[1]])))
    seen: list[float] = []
    stimulus = Stimulus({"in": Events.from_dense(np.ones((4, 2, 1), int))})
    Executor(graph).run(stimulus, progress=seen.append)
    assert seen == [0.25, 0.5, 0.75, 1.0]


# -- refusals --------------------------------------------------------------------------------

STIMULUS = Stimulus({"in": Events.from_dense(np.ones((1, 2, 2), int))})
TWO = between(Dense(np.array([[1, 2]])))


def refused(code: str, text: str, graph: Graph = TWO, stimulus: Stimulus = STIMULUS) -> None:
    with pytest.raises(SpikecError, match=text) as caught:
        Executor(graph).run(stimulus)
    assert [d.code for d in caught.value.diagnostics] == [code]


def test_a_real_population_is_refused() -> None:
    real = LIF(*(np.asarray(x) for x in (0.02, 1.0, 0.0, 1.0)))
    graph = replace(TWO, populations=(replace(TWO.populations[0], neuron=real),))
    refused("E0301", "'sum' is LIF", graph)


def test_real_weights_are_refused() -> None:
    refused("E0301", "weights of 'all' are not integers", between(Dense(np.array([[0.5, 1.0]]))))


def test_a_mean_pool_is_refused() -> None:
    pool = AvgPool2d((1, 1, 2), (1, 2), (1, 2))
    refused("E0301", "AvgPool2d, which has no integer form", between(pool))


def test_graded_values_between_populations_are_refused() -> None:
    more = Population("next", (1,), neuron("zero", 5))
    onward = Projection("onward", "sum", "next", Dense(np.array([[1]])))
    graph = replace(
        TWO,
        populations=(*TWO.populations, more),
        projections=(*TWO.projections, onward),
    )
    refused("E0303", "'sum' sends graded values along 'onward'", graph)


@pytest.mark.parametrize("values", [[[0.5, 1.0]], [[-1, 0]]])
def test_values_that_are_no_counts_are_refused(values: list[list[float]]) -> None:
    refused("E0703", "no spike count", stimulus=Stimulus({"in": Events.from_dense([values])}))


def test_a_stimulus_of_another_network_is_refused() -> None:
    refused("E0702", "nothing for", stimulus=Stimulus({"x": STIMULUS.inputs["in"]}))
    wide = Events.from_dense(np.ones((1, 2, 3), int))
    refused("E0702", "'in' has 2 lines, the stimulus 3", stimulus=Stimulus({"in": wide}))


def test_a_stimulus_that_points_outside_its_input_is_refused() -> None:
    outside = Events(1, 2, 2, np.array([0]), np.array([0]), np.array([7]), np.array([1]))
    refused("E0702", "line 7", stimulus=Stimulus({"in": outside}))


def test_an_unknown_recording_is_refused() -> None:
    for more in ({"populations": ["nobody"]}, {"record": [("sum", "w")]}):
        with pytest.raises(SpikecError, match="E0206"):
            Executor(TWO).run(STIMULUS, **more)
