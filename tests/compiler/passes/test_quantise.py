"""Quantisation: scales, formats, thresholds, biases, bounds and reports."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.connectivity import apply, to_sparse
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.legalise import Legalise
from spikec.compiler.passes.quantise import Quantise, layer_errors, quantise
from spikec.compiler.passes.retime import Retime
from spikec.ir.connections import (
    Chain,
    Connection,
    Conv2d,
    Dense,
    Flatten,
    OneToOne,
    Sparse,
    SumPool2d,
    stages,
)
from spikec.ir.diagnostics import Diagnostics, Location, SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Population, Projection
from spikec.ir.neurons import IF, LI, LIF, CubaLIF, IntegerNeuron, Integrator, LinearLIF
from spikec.ir.numerics import Overflow, Rounding, round_real
from spikec.ir.semantics import Comparison, Decay, Reset, Semantics
from spikec.ir.step import step_parameters
from spikec.ir.text import parse, text
from spikec.ir.verify import verify

from . import stepper
from .networks import counts, every_state, feed, integer_run, network, real, target

Scale = Literal["free", "power_of_two"]
RNG = np.random.default_rng(21)


def weights_of(connection: Connection) -> np.ndarray:
    (found,) = (np.asarray(getattr(s, "weight")) for s in stages(connection) if s.WEIGHTED)  # noqa: B009
    return found


def neuron_of(graph: Graph, name: str = "p") -> IntegerNeuron:
    neuron = graph.population(name).neuron
    assert isinstance(neuron, IntegerNeuron)
    return neuron


def quantised(graph: Graph, **options: object) -> tuple[Graph, IntegerNeuron, np.ndarray]:
    result = quantise(graph, Quantise(**options), Diagnostics())  # type: ignore[arg-type]
    verify(result)
    return result, neuron_of(result), weights_of(result.projections[0].connection)


def codes(graph: Graph, **options: object) -> list[str]:
    found = Diagnostics()
    quantise(graph, Quantise(**options), found)  # type: ignore[arg-type]
    return [d.code for d in found]


def random_feed(bits: int = 8, size: int = 4) -> Graph:
    cell = LIF(real(0.02), real(3.0), real(0.1), real(1.0))
    return feed(cell, connection=Dense(RNG.normal(size=(size, 7))), size=size)


# -- linear leak -----------------------------------------------------------------------------


def test_a_linear_leak_that_is_whole_is_exact() -> None:
    """Eighths are whole numbers of units: every v is the float one, from v_init to the goal."""
    cell = LinearLIF(real([125.0, 250.0]), real(1.0), real([0.25, -0.5]), real(1.5), real(0.125))
    rules = Semantics(reset=Reset.VALUE, v_init=1.25, refractory=1)
    weights = np.array([[1.0, -0.75, 0.5], [0.25, -1.0, 0.875]])
    graph = feed(cell, rules, Dense(weights), size=2)
    result, neuron, _ = quantised(graph, scale="power_of_two")
    assert (neuron.decay_v == 4096).all()
    assert neuron.leak is not None and neuron.v_leak is not None
    assert np.array_equal(np.ravel(neuron.leak) * neuron.scale, [0.125, 0.25])
    assert np.array_equal(np.ravel(neuron.v_leak) * neuron.scale, [0.25, -0.5])
    fed = (np.random.default_rng(3).random((4, 60, 3)) < 0.25).astype(int)
    stimulus = Stimulus({"in": Events.from_dense(fed)})
    wanted = stepper.run(graph, stimulus)
    got = Executor(result).run(stimulus, record=[("p", "v")])
    assert np.array_equal(got.states["p", "v"] * neuron.scale, wanted.v["p"])
    spikes = np.array([got.spikes["p"].dense(s) for s in range(4)])
    assert np.array_equal(spikes, wanted.emitted["p"]) and 5 < spikes.sum() < 240
    (layer,) = layer_errors(graph, result)
    assert layer.decay_error == 0


def test_a_linear_leak_to_zero_needs_no_goal() -> None:
    _, neuron, _ = quantised(feed(LinearLIF(real(40.0), real(1.0), real(0.0), real(1.0))))
    assert neuron.v_leak is None and neuron.leak is not None
    # Six bits and more of it are kept.
    assert neuron.leak > 64 and abs(neuron.leak * neuron.scale / 0.04 - 1) < 1 / 128


def test_a_linear_leak_below_a_unit_is_refused() -> None:
    cell = LinearLIF(real(2e-3), real(1.0), real(0.0), real(1.0))
    graph = feed(cell, connection=Dense(real([[1.0, 0.3]])))
    with pytest.raises(SpikecError, match="a leak of 2e-06 a step in 'p' rounds to zero: one unit"):
        quantise(graph, Quantise(state_bits=16), Diagnostics())
    assert neuron_of(quantise(graph, Quantise(state_bits=24), Diagnostics())).leak == 4


# -- scales and weights ----------------------------------------------------------------------


@pytest.mark.parametrize("bits", range(2, 17))
@pytest.mark.parametrize("scale", ["free", "power_of_two"])
@pytest.mark.parametrize("clip", ["max", "mse"])
def test_weights_are_the_nearest_multiples_of_their_unit(
    bits: int, scale: Scale, clip: Literal["max", "mse"]
) -> None:
    graph = random_feed()
    _, neuron, found = quantised(graph, weight_bits=bits, scale=scale, clip=clip)
    gain = 3.0 * 1e-3 / 0.02
    exact = weights_of(graph.projections[0].connection) * gain
    high = (1 << (bits - 1)) - 1
    unit = neuron.scale * 2.0**neuron.shift
    np.testing.assert_array_equal(found, np.clip(np.rint(exact / unit), -high - 1, high))
    largest = np.abs(exact).max()
    if scale == "power_of_two":
        assert np.frexp(unit)[0] == 0.5
        assert np.frexp(neuron.scale)[0] == 0.5
    elif clip == "max":
        assert unit == pytest.approx(largest / high, rel=1e-15, abs=0)
        assert np.abs(found).max() == high
    if clip == "max":
        assert np.abs(exact - found * unit).max() <= unit / 2 * (1 + 1e-9)


def test_mse_clips_outliers_when_that_pays() -> None:
    values = np.append(np.random.default_rng(0).normal(size=4000), 8.0)[None, :]
    graph = feed(IF(real(1.0), real(3.0)), connection=Dense(values))
    errors = {}
    for clip in ("max", "mse"):
        _, neuron, found = quantised(graph, weight_bits=4, clip=clip)
        errors[clip] = float(np.mean((values - found * neuron.scale * 2.0**neuron.shift) ** 2))
    assert errors["mse"] < 0.75 * errors["max"]


@pytest.mark.parametrize("clip", ["max", "mse"])
def test_integer_weights_that_fit_stay_as_they_are(clip: Literal["max", "mse"]) -> None:
    values = real([[1.0, -3.0, 90.0]])
    _, neuron, found = quantised(
        feed(IF(real(1.0), real(100.0)), connection=Dense(values)), clip=clip
    )
    assert neuron.scale * 2.0**neuron.shift == 1.0
    np.testing.assert_array_equal(found, values)


def test_projections_into_a_population_share_its_scale() -> None:
    graph = random_feed()
    second = replace(graph.projections[0], name="f", connection=Dense(RNG.normal(size=(4, 7)) * 9))
    result = quantise(
        replace(graph, projections=(graph.projections[0], second)), Quantise(), Diagnostics()
    )
    small, large = (weights_of(p.connection) for p in result.projections)
    assert np.abs(large).max() == 127
    assert np.abs(small).max() < 64


@pytest.mark.parametrize("rounding", Rounding)
def test_every_rounding_of_weights(rounding: Rounding) -> None:
    graph = random_feed()
    _, neuron, found = quantised(graph, weight_rounding=rounding, weight_bits=5, seed=4)
    gain = 3.0 * 1e-3 / 0.02
    exact = weights_of(graph.projections[0].connection) * gain
    real_units = exact / (neuron.scale * 2.0**neuron.shift)
    whole = np.rint(real_units)  # the largest weight is the edge, whatever float division says
    real_units = np.where(np.abs(real_units - whole) < 1e-12, whole, real_units)
    assert neuron.numerics.weight.rounding is rounding
    if rounding is Rounding.STOCHASTIC:
        assert set(np.unique(found - np.floor(real_units))) <= {0, 1}
        again = quantised(graph, weight_rounding=rounding, weight_bits=5, seed=4)[2]
        other = quantised(graph, weight_rounding=rounding, weight_bits=5, seed=5)[2]
        np.testing.assert_array_equal(found, again)
        assert (found != other).any()
        draws = [
            quantised(graph, weight_rounding=rounding, weight_bits=5, seed=s)[2] for s in range(400)
        ]
        inside = np.abs(real_units) < 14.9
        mean = np.mean(draws, axis=0)
        assert np.abs(mean - real_units)[inside].max() < 4.5 * 0.5 / np.sqrt(400)
        return
    wanted = np.clip(round_real(real_units, rounding), -16, 15)
    np.testing.assert_array_equal(found, wanted)


# -- parameters ------------------------------------------------------------------------------


@settings(max_examples=200)
@given(
    st.floats(0.05, 20.0),
    st.floats(0.01, 3.0),
    st.sampled_from(Comparison),
    st.sampled_from(["free", "power_of_two"]),
)
def test_thresholds_decide_as_the_exact_one(
    threshold: float, weight: float, comparison: Comparison, scale: Scale
) -> None:
    graph = feed(
        IF(real(1.0), real(threshold)),
        Semantics(comparison=comparison),
        Dense(real([[weight]])),
    )
    _, neuron, _ = quantised(graph, scale=scale, state_bits=32)
    unit, whole = Fraction(neuron.scale), int(neuron.threshold)
    for w in range(whole - 3, whole + 4):
        exact = w * unit
        if abs(exact / Fraction(threshold) - 1) < Fraction(1, 10**13):
            continue  # a tie up to rounding errors: test_precision has it
        above = exact > threshold if comparison is Comparison.GREATER else exact >= threshold
        assert (w > whole) == above


def test_parameters_in_units_of_the_state() -> None:
    cell = CubaLIF(
        real(0.004), real([0.01, 0.02]), real(6.0), real(0.3), real(2.0), real(1.0), real(-0.2)
    )
    rules = Semantics(reset=Reset.VALUE, decay=Decay.EXPONENTIAL, v_min=-0.7, refractory=3)
    graph = feed(cell, rules, Dense(RNG.normal(size=(2, 3))), bias=[0.5, -0.25], size=2)
    _, neuron, _ = quantised(graph, decay_bits=16, state_bits=32)
    step = step_parameters(cell, rules, 1e-3)
    assert step.decay_u is not None and step.gain_u is not None
    np.testing.assert_array_equal(neuron.decay_v, np.rint(step.decay_v * 65536))
    np.testing.assert_array_equal(neuron.decay_u, np.rint(step.decay_u * 65536))
    assert neuron.v_reset == np.rint(-0.2 / neuron.scale)
    assert neuron.v_min == np.rint(-0.7 / neuron.scale)
    assert (neuron.reset, neuron.refractory, neuron.source_model) == ("value", 3, "CubaLIF")
    share = step.gain_u * step.gain_v * np.array([0.5, -0.25])
    every = share + (1 - step.decay_u) * step.drift
    np.testing.assert_array_equal(neuron.bias, np.rint(every / neuron.scale))
    np.testing.assert_array_equal(neuron.bias_first, np.rint((share + step.drift) / neuron.scale))


def test_a_recurrent_bias_may_miss_the_first_step() -> None:
    cell = IF(real(2.0), real(1.0))
    graph = feed(cell, Semantics(recurrent_bias_first=False), bias=0.25)
    loop = Projection("loop", "p", "p", Dense(real([[-0.5]])), 1, real(0.125), recurrent=True)
    graph = replace(graph, projections=(*graph.projections, loop))
    _, neuron, _ = quantised(graph)
    assert neuron.bias_first is not None
    assert neuron.bias == np.rint(0.75 / neuron.scale)
    assert neuron.bias_first == np.rint(0.5 / neuron.scale)
    both = replace(graph.populations[0], semantics=Semantics())
    assert quantised(replace(graph, populations=(both,)))[1].bias_first is None


CONV = Conv2d(RNG.normal(size=(3, 2, 2, 2)), (2, 4, 4), padding=((1, 0), (0, 1)))


def conv_cell(r: np.ndarray) -> IF:
    return IF(r, real(1.0))


def test_a_gain_of_each_channel_keeps_the_convolution() -> None:
    r = np.broadcast_to(np.array([1.0, 2.0, 0.5])[:, None, None], CONV.out_shape)
    for connection in (CONV, Chain((CONV, SumPool2d((3, 4, 4), (2, 2), (2, 2))))):
        shape = connection.out_shape
        graph = feed(conv_cell(r[:, : shape[1], : shape[2]]), connection=connection)
        graph = replace(graph, populations=(replace(graph.populations[0], shape=shape),))
        result, neuron, found = quantised(graph, weight_bits=12)
        kinds = [type(s) for s in stages(result.projections[0].connection)]
        assert kinds == [type(s) for s in stages(connection)]
        exact = CONV.weight * np.array([1.0, 2.0, 0.5])[:, None, None, None]
        unit = neuron.scale * 2.0**neuron.shift
        np.testing.assert_array_equal(found, np.rint(exact / unit))


def test_a_gain_of_each_place_unrolls_the_convolution() -> None:
    r = RNG.uniform(0.5, 2.0, CONV.out_shape)
    graph = feed(conv_cell(r), connection=CONV)
    graph = replace(graph, populations=(replace(graph.populations[0], shape=CONV.out_shape),))
    result, neuron, _ = quantised(graph, weight_bits=12)
    found = result.projections[0].connection
    assert isinstance(found, Sparse)
    exact = to_sparse(CONV).toarray() * r.ravel()
    unit = neuron.scale * 2.0**neuron.shift
    np.testing.assert_array_equal(to_sparse(found).toarray(), np.rint(exact / unit))


@pytest.mark.parametrize(
    "connection", [OneToOne(real(0.3), (4,)), OneToOne(real([1, 2, 3, 4]), (4,))]
)
def test_a_gain_of_each_neuron_goes_into_one_to_one(connection: OneToOne) -> None:
    r = real([1.0, 2.0, 3.0, 4.0])
    _, neuron, found = quantised(feed(IF(r, real(1.0)), connection=connection, size=4))
    unit = neuron.scale * 2.0**neuron.shift
    np.testing.assert_array_equal(found, np.rint(connection.weight * r / unit))


# -- accumulators ----------------------------------------------------------------------------


@st.composite
def legal_connections(draw: st.DrawFn, inputs: int, outputs: int) -> Connection:
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    spread = draw(st.sampled_from([0.1, 1.0, 10.0]))
    kind = draw(st.sampled_from(["dense", "sparse", "one", "conv", "pooled", "repooled"]))
    shift = draw(st.sampled_from([-1.0, 0.0, 1.0]))
    if kind == "dense":
        return Dense(rng.normal(shift, spread, (outputs, inputs)))
    if kind == "sparse":
        count = 30
        indptr = np.sort(np.append(rng.integers(0, count, inputs - 1), [0, count]))
        post = rng.integers(0, outputs, count, np.int32)
        return Sparse(inputs, outputs, indptr, post, rng.normal(shift, spread, count))
    if kind == "one":
        return Chain((Dense(rng.normal(shift, spread, (outputs, inputs))),))
    shape = (1, inputs // 4, 4)
    if kind == "conv":
        pads = ((1, 1), (1, 1))
        conv = Conv2d(rng.normal(shift, spread, (outputs // 16, 1, 3, 3)), shape, (1, 1), pads)
        return conv if prod(conv.out_shape) == outputs else Dense(np.ones((outputs, inputs)))
    pool = SumPool2d(shape, (2, 2), (1, 1), ((1, 0), (1, 0)))
    dense = Dense(rng.normal(shift, spread, (outputs, inputs)))
    return Chain((pool, dense)) if kind == "pooled" else Chain((dense, replace(pool, shape=shape)))


@settings(max_examples=150)
@given(st.data(), st.integers(1, 3), st.integers(1, 40), st.integers(2, 16))
def test_no_accumulator_passes_its_declared_width(
    data: st.DataObject, projections: int, most: int, bits: int
) -> None:
    joined = [data.draw(legal_connections(16, 16)) for _ in range(projections)]
    graph = feed(IF(real(1.0), real(1.0)), connection=joined[0], size=16)
    more = [replace(graph.projections[0], name=f"e{k}", connection=c) for k, c in enumerate(joined)]
    graph = replace(graph, projections=tuple(more))
    result, neuron, _ = quantised(graph, weight_bits=bits, state_bits=40, input_max=most)
    matrix = sum(to_sparse(p.connection).toarray() for p in result.projections)
    edge = 1 << (neuron.numerics.acc_bits - 1)
    worst = 0
    for column in range(16):
        for sign in (1, -1):
            x = np.where(sign * matrix[:, column] > 0, most, 0)
            sums = np.sum([apply(p.connection, x) for p in result.projections], axis=0)
            assert -edge <= sums.min() and sums.max() < edge
            worst = max(worst, int(np.abs(sums).max()))
    simple = all(isinstance(p.connection, Dense) for p in result.projections)
    if simple and projections == 1:  # and the width is not generous either
        assert worst >= edge // 2 - 1


def test_any_number_of_spikes_ends_where_the_accumulators_were_proven() -> None:
    sender = IF(real(1.0), real(0.01))
    rules = Semantics(reset=Reset.SUBTRACT, max_spikes=None)
    graph = feed(sender, rules)
    more = Population("next", (1,), IF(real(1.0), real(1e4)))
    graph = replace(
        graph,
        populations=(*graph.populations, more),
        projections=(*graph.projections, Projection("on", "p", "next", Dense(real([[1.0]])))),
    )
    result = quantise(graph, Quantise(state_bits=40, input_max=1000), Diagnostics())
    executor = Executor(result)
    out = executor.run(counts([[[1000], [0], [0]]]), populations=["p"])
    assert out.spikes["p"].value.tolist() == [255, 255, 255]
    edge = 1 << (neuron_of(result, "next").numerics.acc_bits - 1)
    assert 255 * weights_of(result.projections[1].connection).max() < edge


# -- the whole -------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.integers(0, 2**20),
    st.sampled_from(["free", "power_of_two"]),
    st.sampled_from(list(Rounding)),
    st.sampled_from(list(Overflow)),
)
def test_a_quantised_graph_reloads_to_itself(
    seed: int, scale: Scale, rounding: Rounding, overflow: Overflow
) -> None:
    rng = np.random.default_rng(seed)
    graph = network(rng, 3, 3)
    options = Quantise(scale=scale, rounding=rounding, overflow=overflow, state_bits=20)
    result = quantise(graph, options, Diagnostics())
    verify(result)
    again = parse(text(result))
    assert again == result
    stimulus = counts(rng.integers(0, 3, (1, 12, 3)))
    keys = every_state(graph)
    first, second = (Executor(g).run(stimulus, record=keys) for g in (result, again))
    assert first == second


def test_uniform_targets_give_every_population_a_current() -> None:
    cuba = CubaLIF(real(0.004), real(0.01), real(6.0), real(0.0), real(2.0), real(1.0))
    plain = LIF(real(0.01), real(5.0), real(0.2), real(1.0))
    one = Dense(real([[0.8]]))
    graph = Graph(
        "two",
        1e-3,
        (Input("in", (1,)),),
        (Population("a", (1,), plain), Population("b", (1,), cuba)),
        (Projection("e", "in", "a", one), Projection("f", "a", "b", one)),
        (),
    )
    options = Quantise()
    free = options.run(graph, target(), Diagnostics())
    same = options.run(graph, target(uniform=True), Diagnostics())
    assert neuron_of(free, "a").decay_u is None
    assert neuron_of(same, "a").decay_u == 0
    assert neuron_of(same, "b") == neuron_of(free, "b")
    stimulus = counts(np.random.default_rng(0).integers(0, 3, (1, 60, 1)))
    runs = [Executor(g).run(stimulus, populations=["a", "b"]) for g in (free, same)]
    assert runs[0].spikes == runs[1].spikes
    assert runs[0].spikes["b"].value.sum() > 5
    only = replace(graph, populations=graph.populations[:1], projections=graph.projections[:1])
    alone = options.run(only, target(uniform=True), Diagnostics())
    assert neuron_of(alone, "a").decay_u is None


def test_the_pipeline_stays_valid_on_random_networks() -> None:
    for seed in range(10):
        graph: Graph = network(np.random.default_rng(seed), 3, 4)
        for item in (Legalise(), Retime(), Quantise()):
            graph = item.run(graph, target(), Diagnostics())
            verify(graph)


# -- findings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weight_bits", 1),
        ("weight_bits", 17),
        ("state_bits", 7),
        ("state_bits", 41),
        ("decay_bits", 3),
        ("decay_bits", 23),
        ("input_max", 0),
        ("input_max", (1 << 16) + 1),
    ],
)
def test_options_out_of_range_are_refused(field: str, value: int) -> None:
    with pytest.raises(SpikecError, match=f"E0402: {field} is {value}; it must be"):
        Quantise(**{field: value}).run(random_feed(), target(), Diagnostics())  # type: ignore[arg-type]


def test_a_threshold_beyond_the_state_is_refused_with_the_bits() -> None:
    cell = IF(real(1.0), real(1000.0))
    graph = feed(cell, Semantics(reset=Reset.SUBTRACT), Dense(real([[0.001]])))
    where = Location("net.nir", "p")
    graph = replace(graph, populations=(replace(graph.populations[0], at=where),))
    with pytest.raises(SpikecError) as caught:
        quantised(graph, state_bits=16)
    (found,) = (d for d in caught.value.diagnostics if d.code[0] == "E")
    assert (found.code, found.where) == ("E0401", where)
    assert "1000 is 127000000 units of v in 'p'; 16 state bits hold 32767" in found.message
    assert found.hint is not None and "--state-bits" in found.hint


def test_a_gain_beyond_float64_is_refused() -> None:
    huge = real(1e200)
    cell = CubaLIF(real(0.01), real(0.01), huge, real(0.0), huge, real(1.0))
    with np.errstate(over="ignore"), pytest.raises(SpikecError, match=r"E0401.*not finite"):
        quantised(feed(cell))


@pytest.mark.parametrize("times", [(0.0005, 0.02), (0.02, 0.0005)])
def test_a_step_longer_than_a_time_constant_is_refused(times: tuple[float, float]) -> None:
    cell = CubaLIF(real(times[0]), real(times[1]), real(1.0), real(0.0), real(1.0), real(1.0))
    with pytest.raises(SpikecError, match=r"E0108.*in 'p' is -1"):
        quantised(feed(cell))
    exponential = feed(cell, Semantics(decay=Decay.EXPONENTIAL))
    quantised(exponential)


def test_collapsed_weights_are_reported() -> None:
    values = np.append(np.full(99, 0.001), 1.0)[None, :]
    graph = feed(IF(real(1.0), real(1.0)), connection=Dense(values))
    assert codes(graph) == ["W0403"]
    found = Diagnostics()
    quantise(graph, Quantise(), found)
    assert "99 of 100 weights of 'e' round to zero at 8 bits" in next(iter(found)).message
    assert "W0403" not in codes(graph, weight_bits=16)


def test_saturation_is_reported_where_it_can_matter() -> None:
    strong = feed(IF(real(1.0), real(1.0)), connection=Dense(real([[1.0] * 60])))
    assert codes(strong, state_bits=12) == ["W0404"]
    assert codes(strong, state_bits=32) == []


@pytest.mark.parametrize("cell", [Integrator(real(1.0)), LI(real(0.02), real(20.0), real(0.0))])
def test_saturation_of_a_readout_always_matters(cell: Integrator | LI) -> None:
    graph = feed(cell, connection=Dense(real([[1.0] * 400])))
    assert codes(graph, state_bits=16) == ["W0404"]
    assert codes(feed(LI(real(0.02), real(20.0), real(0.0))), state_bits=32) == []


def test_a_population_without_input_is_quantised_by_its_threshold() -> None:
    graph = feed(IF(real(1.0), real(1.0)), connection=Dense(real([[0.0]])), bias=0.25)
    result, neuron, found = quantised(graph)
    assert not found.any()
    _, recording = integer_run(graph, counts(np.zeros((1, 12, 1), int)), Quantise())
    assert recording.spikes["p"].step.tolist() == [4, 9]
    assert neuron.numerics.acc_bits == 2
    assert result.projections[0].bias is None


# -- the report ------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", ["max", "mse"])
@pytest.mark.parametrize("bits", [3, 8])
def test_layer_errors_are_what_they_say(clip: Literal["max", "mse"], bits: int) -> None:
    rng = np.random.default_rng(2)
    r = real([1.0, 2.0, 0.5, 3.0])
    cell = CubaLIF(real(0.005), real([0.01, 0.02, 0.03, 0.04]), r, real(0), real(2.0), real(1.3))
    graph = feed(
        cell, connection=Dense(np.append(rng.normal(size=(4, 200)), 9 * np.ones((4, 1)), 1)), size=4
    )
    again = replace(graph.projections[0], name="g", connection=Dense(rng.normal(size=(4, 201))))
    graph = replace(graph, projections=(*graph.projections, again))
    result = quantise(graph, Quantise(weight_bits=bits, clip=clip), Diagnostics())
    (error,) = layer_errors(graph, result)
    neuron = neuron_of(result)
    step = step_parameters(cell, Semantics(), 1e-3)
    assert step.gain_u is not None and step.decay_u is not None
    gain = (step.gain_u * step.gain_v)[:, None]
    exact = np.stack([weights_of(p.connection) * gain for p in graph.projections])
    whole = np.stack([weights_of(p.connection) for p in result.projections])
    unit = neuron.scale * 2.0**neuron.shift
    noise = exact - whole * unit
    assert error.population == "p" and error.neurons == 4 and error.weights == exact.size
    assert (error.weight_bits, error.scale, error.shift) == (bits, neuron.scale, neuron.shift)
    sqnr = 10 * np.log10((exact**2).sum() / (noise**2).sum())
    assert error.weight_sqnr_db == pytest.approx(sqnr, rel=1e-9)
    assert error.weights_zeroed == int(((exact != 0) & (whole == 0)).sum())
    high = (1 << (bits - 1)) - 1
    rounded = np.rint(exact / unit)
    assert error.weights_clipped == int(((rounded > high) | (rounded < -high - 1)).sum())
    assert (error.weights_clipped > 0) == (clip == "mse" and bits == 3)
    decays = [np.abs(neuron.decay_v / 4096 - step.decay_v).max()]
    assert neuron.decay_u is not None
    decays.append(np.abs(neuron.decay_u / 4096 - step.decay_u).max())
    assert error.decay_error == pytest.approx(max(decays), rel=1e-9, abs=0)
    nearest = np.rint(1.3 / neuron.scale) * neuron.scale
    assert error.threshold_error == pytest.approx(abs(nearest / 1.3 - 1), rel=1e-6, abs=1e-15)


def test_layer_errors_of_exact_weights_have_no_noise() -> None:
    graph = feed(Integrator(real(1.0)), connection=Dense(real([[1.0, 2.0], [3.0, -4.0]])), size=2)
    (error,) = layer_errors(graph, quantise(graph, Quantise(), Diagnostics()))
    assert error.weight_sqnr_db is None
    assert error.threshold_error is None
    assert (error.weights_zeroed, error.weights_clipped, error.decay_error) == (0, 0, 0.0)


def test_layer_errors_of_real_populations_are_refused() -> None:
    graph = random_feed()
    with pytest.raises(TypeError, match="'p' is not quantised"):
        layer_errors(graph, graph)


def test_counts_of_several_inputs_are_bounded_by_input_max() -> None:
    graph = feed(
        IF(real(1.0), real(5.0)), connection=Chain((Flatten((2, 2)), Dense(np.ones((1, 4)))))
    )
    legal = Legalise().run(graph, target(), Diagnostics())
    widths = [quantised(legal, input_max=n)[1].numerics.acc_bits for n in (1, 15, 1 << 16)]
    # Four synapses of one unit each, so four counts at most: 4 n has to fit.
    assert widths == [4, 7, 20]
    stimulus = Stimulus({"in": Events.from_dense(np.full((1, 1, 4), 15))})
    assert integer_run(legal, stimulus, Quantise())[1].spikes["p"].value.tolist() == [1]


@pytest.mark.parametrize("reset", [Reset.ZERO, Reset.VALUE])
@pytest.mark.parametrize("comparison", list(Comparison))
def test_several_spikes_are_counted_by_the_threshold(reset: Reset, comparison: Comparison) -> None:
    rules = Semantics(reset=reset, comparison=comparison, max_spikes=3)
    graph = feed(IF(real(1.0), real(16.0), real(0.0)), rules)
    for count, spikes in ((15, 0), (16, 1), (31, 1), (33, 2), (90, 3)):
        stimulus = Stimulus({"in": Events.from_dense(np.full((1, 1, 1), count))})
        run = integer_run(graph, stimulus, Quantise(state_bits=9, input_max=127))[1]
        assert run.spikes["p"].value.sum() == spikes


def test_a_threshold_below_one_unit_is_refused() -> None:
    graph = feed(
        IF(real(1.0), real([1000.0, 0.1])),
        connection=Dense(real([[100.0, 0.0], [0.0, 1.0]])),
        size=2,
    )
    with pytest.raises(SpikecError, match=r"E0401: a threshold of 0\.1 in 'p' rounds to zero"):
        quantised(graph, state_bits=12)
