"""Kernels against exact arithmetic and against the reference, neuron by neuron."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spikec.compiler.integer import kernels
from spikec.compiler.integer.executor import Executor
from spikec.ir.connections import OneToOne
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IntegerNeuron
from spikec.ir.numerics import Format, Numerics, Overflow, Rounding, limits
from spikec.ir.verify import verify

from . import reference

CODES = {
    Rounding.NEAREST_EVEN: kernels.NEAREST_EVEN,
    Rounding.NEAREST_AWAY: kernels.NEAREST_AWAY,
    Rounding.TOWARD_ZERO: kernels.TOWARD_ZERO,
    Rounding.UP: kernels.UP,
    Rounding.DOWN: kernels.DOWN,
}
# The largest product there is: a state of 40 bits times a decay of 22.
PRODUCT = 1 << 61


@pytest.mark.parametrize("rounding", CODES)
@given(x=st.integers(-PRODUCT, PRODUCT), bits=st.integers(0, 22))
@example(x=-PRODUCT, bits=22)
@example(x=PRODUCT, bits=22)
@example(x=-3, bits=1)
@example(x=3, bits=1)
@example(x=-1, bits=1)
@example(x=-5, bits=1)
@example(x=-1, bits=22)
def test_round_shift_is_exact(rounding: Rounding, x: int, bits: int) -> None:
    got = kernels.round_shift(np.int64(x), np.int64(bits), CODES[rounding], 0)
    assert got == reference.rounded(Fraction(x, 1 << bits), rounding)


@pytest.mark.parametrize("rounding", CODES)
def test_round_shift_at_every_tie(rounding: Rounding) -> None:
    for bits in (1, 2, 12, 22):
        for whole in range(-4, 5):
            for beside in (-1, 0, 1):
                x = (whole << bits) + (1 << (bits - 1)) + beside
                got = kernels.round_shift(np.int64(x), np.int64(bits), CODES[rounding], 0)
                assert got == reference.rounded(Fraction(x, 1 << bits), rounding), (x, bits)


@given(x=st.integers(-(1 << 30), 1 << 30), bits=st.integers(1, 8))
def test_stochastic_rounds_up_for_the_fractions_share_of_the_noise(x: int, bits: int) -> None:
    results = [
        int(kernels.round_shift(np.int64(x), np.int64(bits), kernels.STOCHASTIC, np.int64(noise)))
        for noise in range(1 << bits)
    ]
    assert sum(results) == x  # the mean over all noise is the exact value
    assert set(results) <= {x >> bits, (x >> bits) + 1}


@given(
    x=st.integers(-(1 << 61), 1 << 61),
    width=st.integers(2, 40),
    overflow=st.sampled_from(Overflow),
)
def test_fit_saturates_or_wraps(x: int, width: int, overflow: Overflow) -> None:
    low, high = limits(width)
    got = kernels.fit(np.int64(x), np.int64(low), np.int64(high), overflow is Overflow.WRAP)
    assert got == reference.fitted(x, Format(width, overflow=overflow))


def test_noise_runs_through_all_states_without_zero() -> None:
    state, seen = np.uint32(1), set()
    for _ in range(20_000):
        state = np.uint32(kernels.next_noise(state))
        seen.add(int(state))
    assert len(seen) == 20_000 and 0 not in seen
    draws = np.array(sorted(seen)) & 0xFFF
    assert abs(draws.mean() / 4095 - 0.5) < 0.01


# -- the neuron ------------------------------------------------------------------------------


@st.composite
def neurons(draw: st.DrawFn, size: int) -> IntegerNeuron:
    """Any quantised population: small widths, so that every limit is met often."""
    width = draw(st.sampled_from([6, 8, 12, 24, 40]))
    bits = draw(st.integers(1, 12 if width < 40 else 22))
    state = Format(
        width, rounding=draw(st.sampled_from([*CODES])), overflow=draw(st.sampled_from(Overflow))
    )
    seed = draw(st.integers(0, 2**20))
    rng = np.random.default_rng(seed)
    each = draw(st.booleans())

    def array(low: int, high: int) -> np.ndarray:
        return np.asarray(rng.integers(low, high, size if each else None, endpoint=True))

    reset = draw(st.sampled_from(["none", "zero", "value", "subtract", "two_phase"]))
    threshold = array(0, state.high // 3)
    spikes = draw(st.sampled_from([1, None, 3]))
    adaptive = spikes == 1 and reset not in ("none", "two_phase") and draw(st.booleans())
    amount = {"zero": np.asarray(0), "value": array(state.low // 4, state.high // 4)}
    linear = draw(st.booleans())
    return IntegerNeuron(
        numerics=Numerics(Format(8), state, bits, 24),
        source_model="LIF",
        scale=1.0,
        shift=draw(st.integers(0, 6)),
        decay_v=np.asarray(1 << bits) if linear else array(0, 1 << bits),
        threshold=threshold,
        bias=array(state.low // 8, state.high // 8),
        v_min=array(state.low, 0) if draw(st.booleans()) else np.asarray(state.low),
        v_reset=amount.get(reset, threshold),
        reset=reset,
        decay_u=array(0, 1 << bits) if draw(st.booleans()) else None,
        bias_first=array(state.low // 8, state.high // 8) if draw(st.booleans()) else None,
        current_old=draw(st.booleans()),
        max_spikes=spikes,
        refractory=draw(st.integers(0, 3)),
        refractory_frozen=draw(st.booleans()),
        adapt_inc=array(0, state.high // draw(st.sampled_from([1, 8]))) if adaptive else None,
        adapt_shift=draw(st.integers(0, 6)),
        adapt_period=draw(st.integers(0, 3)),
        leak=array(0, state.high // draw(st.sampled_from([1, 8, 64]))) if linear else None,
        v_leak=array(state.low // 2, state.high // 4) if linear and draw(st.booleans()) else None,
    )


@st.composite
def recoveries(draw: st.DrawFn, size: int) -> IntegerNeuron:
    """A neuron with a recovery, its numbers anywhere in their fields."""
    width = draw(st.sampled_from([8, 16, 24, 40]))
    bits = draw(st.integers(1, 16))
    codes = [mode for mode in CODES if mode is not Rounding.STOCHASTIC]
    state = Format(
        width, rounding=draw(st.sampled_from(codes)), overflow=draw(st.sampled_from(Overflow))
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    each, one = draw(st.booleans()), 1 << bits
    tame = draw(st.sampled_from([1, 8]))

    def array(low: int, high: int) -> np.ndarray:
        return np.asarray(rng.integers(low, high, size if each else None, endpoint=True))

    adaptive = draw(st.booleans())
    return IntegerNeuron(
        numerics=Numerics(Format(8), state, bits, 24),
        source_model="Izhikevich",
        scale=1.0,
        shift=draw(st.integers(0, 6)),
        decay_v=array(-8 * one // tame, (8 * one - 1) // tame),
        threshold=array(0, state.high // 3),
        bias=array(state.low // 8, state.high // 8),
        v_min=array(state.low, 0) if draw(st.booleans()) else np.asarray(state.low),
        v_reset=array(state.low // 4, state.high // 4),
        reset="value",
        bias_first=array(state.low // 8, state.high // 8) if draw(st.booleans()) else None,
        refractory=draw(st.integers(0, 3)),
        adapt_inc=array(0, state.high // 8) if adaptive else None,
        adapt_shift=draw(st.integers(0, 6)),
        adapt_period=draw(st.integers(0, 3)),
        curve=array(0, (32 * one - 1) // tame),
        couple=array(-4 * one, 4 * one - 1),
        rate=array(-16 * one // tame, (16 * one - 1) // tame),
        jump=array(state.low // tame, state.high // tame),
        substeps=draw(st.integers(1, 8)),
    )


def lone(neuron: IntegerNeuron, size: int, lag: int = 0) -> Graph:
    """One population, each neuron with a line of its own."""
    return Graph(
        "lone",
        1e-3,
        (Input("in", (size,)),),
        (Population("cells", (size,), neuron, lag=lag),),
        (Projection("each", "in", "cells", OneToOne(np.asarray(1), (size,)), delay=lag),),
        (Output("out", "cells"),),
    )


def drives(neuron: IntegerNeuron, size: int, seed: int, steps: int = 12) -> Stimulus:
    """Counts, some of them far beyond what the state holds."""
    rng = np.random.default_rng(seed)
    most = min(1 << 20, max(2, neuron.numerics.state.high >> neuron.shift))
    dense = rng.integers(0, most, (2, steps, size)) * (rng.random((2, steps, size)) < 0.6)
    return Stimulus({"in": Events.from_dense(dense)})


@given(st.data(), st.integers(0, 2**20), st.integers(0, 2))
def test_neuron_step_is_the_reference(data: st.DataObject, seed: int, lag: int) -> None:
    size = 5
    neuron = data.draw(st.one_of(neurons(size), recoveries(size)))
    if neuron.curve is not None:
        verify(lone(neuron, size, lag))
    graph, stimulus = lone(neuron, size, lag), drives(neuron, size, seed)
    keys = [("cells", "v"), ("cells", "u")]
    if neuron.adapt_inc is not None:
        keys.append(("cells", "h"))
    steps = stimulus.steps + lag
    wanted = reference.run(graph, stimulus, steps)
    got = Executor(graph).run(stimulus, record=keys, raw=True)
    for key in keys:
        np.testing.assert_array_equal(got.states[key], wanted.states[key], err_msg=str(key))
    events = got.spikes["cells"]
    assert np.array_equal([events.dense(s) for s in range(2)], wanted.emitted["cells"])
    aligned = Executor(graph).run(stimulus, record=keys)
    assert np.array_equal(
        [aligned.spikes["cells"].dense(s) for s in range(2)], wanted.emitted["cells"][:, lag:]
    )
    assert np.array_equal(aligned.states[keys[0]], wanted.states[keys[0]][:, lag:])


def stochastic(decay: int, bits: int) -> IntegerNeuron:
    state = Format(24, rounding=Rounding.STOCHASTIC)
    zero = np.asarray(0)
    return IntegerNeuron(
        numerics=Numerics(Format(8), state, bits, 24),
        source_model="LI",
        scale=1.0,
        shift=0,
        decay_v=np.asarray(decay),
        threshold=np.asarray(state.high),
        bias=zero,
        v_min=np.asarray(state.low),
        v_reset=zero,
        reset="none",
    )


def test_stochastic_decay_is_reproducible_by_its_seed_and_unbiased() -> None:
    size, start, decay, bits = 4000, 1000, 3013, 12
    graph = lone(stochastic(decay, bits), size)
    dense = np.zeros((2, 2, size), np.int64)
    dense[:, 0] = start
    stimulus = Stimulus({"in": Events.from_dense(dense)})
    v = [Executor(graph, seed).run(stimulus, record=[("cells", "v")]) for seed in (7, 7, 8)]
    values = [r.states["cells", "v"] for r in v]
    assert np.array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])
    assert np.array_equal(values[0][0], values[0][1])  # the noise starts anew with each sample
    after = values[0][0, 1]
    exact = start * decay / (1 << bits)
    assert set(np.unique(after)) == {int(exact), int(exact) + 1}
    share = exact % 1
    deviation = np.sqrt(share * (1 - share) / size)
    assert abs(after.mean() - exact) < 4 * deviation


def test_stochastic_rounding_of_both_states_draws_twice() -> None:
    neuron = replace(stochastic(3000, 12), decay_u=np.asarray(2000))
    size = 2000
    dense = np.zeros((1, 3, size), np.int64)
    dense[:, 0] = 1001
    keys = [("cells", "u"), ("cells", "v")]
    got = Executor(lone(neuron, size)).run(Stimulus({"in": Events.from_dense(dense)}), record=keys)
    for key in keys:
        assert len(np.unique(got.states[key][0, 2])) > 1
    u, v = (got.states[key][0, 1].astype(float) for key in keys)
    assert abs(u.mean() - 1001 * 2000 / 4096) < 0.05
    assert abs((v - u).mean() - 1001 * 3000 / 4096) < 0.05
    # Draws of u and v are different ones: the roundings do not go together.
    assert abs(np.corrcoef(u - np.floor(u.mean()), v - u)[0, 1]) < 0.1
