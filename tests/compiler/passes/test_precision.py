"""At high precision the integer rung follows float64: identical spikes, or a tie that says why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.passes.quantise import REFERENCE, Quantise
from spikec.ir.connections import Dense
from spikec.ir.events import Recording, Stimulus
from spikec.ir.graph import Graph
from spikec.ir.neurons import (
    IF,
    LI,
    LIF,
    CubaLI,
    CubaLIF,
    Emission,
    IntegerNeuron,
    Integrator,
    LinearLIF,
    Threshold,
)
from spikec.ir.semantics import (
    Comparison,
    Current,
    Decay,
    Gain,
    IntegratorGain,
    Reset,
    Semantics,
)

from . import stepper
from .networks import counts, feed, integer_run, network, real, semantics

# Weights of 16 bits are off by 2^-17 of the largest; what a membrane makes of that over time.
TIE = 3e-3


def first_difference(graph: Graph, wanted: stepper.FloatRun, got: Recording) -> str | None:
    """Where spikes first differ without a near tie to explain it."""
    for sample in range(next(iter(wanted.emitted.values())).shape[0]):
        dense = {name: got.spikes[name].dense(sample) for name in spiking(graph)}
        differ = {name: dense[name] != wanted.emitted[name][sample] for name in dense}
        steps = [int(np.argmax(d.any(axis=1))) for d in differ.values() if d.any()]
        for step in sorted(steps)[:1]:
            name = next(n for n in wanted.order if n in dense and differ[n][step].any())
            at = step - stepper.late(graph, name)
            neurons = np.flatnonzero(differ[name][step])
            if not (wanted.margin[name][sample, at, neurons] < TIE).any():
                return f"sample {sample} step {step} {name}{neurons.tolist()}"
    return None


def spiking(graph: Graph) -> list[str]:
    """Populations that emit spikes: the emission of others is their v."""
    kinds = {p.name: getattr(p.neuron, "reset", p.neuron.EMISSION) for p in graph.populations}
    return [name for name, kind in kinds.items() if kind not in ("none", Emission.GRADED)]


def close(quantised: Graph, wanted: stepper.FloatRun, got: Recording) -> None:
    """v within the rounding of its weights, up to the first spike that differs."""
    for population in quantised.populations:
        name = population.name
        assert isinstance(population.neuron, IntegerNeuron)
        real_v = population.neuron.real("v")
        assert real_v is not None
        v = got.states[name, "v"] * real_v[0] + real_v[1]
        for sample in range(v.shape[0]):
            same = [
                (got.spikes[n].dense(sample) == wanted.emitted[n][sample]).all(axis=1)
                for n in spiking(quantised)
            ]
            until = int(np.argmin([*np.all(same, axis=0), False])) if same else None
            np.testing.assert_allclose(
                v[sample, :until], wanted.v[name][sample, :until], atol=TIE, err_msg=name
            )


@settings(max_examples=120)
@given(st.integers(0, 2**20), st.integers(1, 4), st.integers(0, 5), st.booleans())
def test_random_networks_follow_float64(seed: int, count: int, edges: int, loops: bool) -> None:
    rng = np.random.default_rng(seed)
    graph = network(rng, count, edges, loops=loops)
    stimulus = counts(rng.integers(0, 3, (2, 25, 3)))
    quantised, got = integer_run(graph, stimulus, REFERENCE)
    wanted = stepper.run(graph, stimulus)
    assert first_difference(graph, wanted, got) is None
    close(quantised, wanted, got)


def test_twenty_four_bits_are_enough_for_feed_forward_networks() -> None:
    options = Quantise(weight_bits=16, state_bits=32, decay_bits=22)
    narrow = Quantise(weight_bits=12, state_bits=24, decay_bits=22)
    different, spikes = {options: 0, narrow: 0}, 0.0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        graph = network(rng, 3, 3, loops=False)
        stimulus = counts(rng.integers(0, 3, (2, 25, 3)))
        wanted = stepper.run(graph, stimulus)
        spikes += sum(float(e.sum()) for e in wanted.emitted.values())
        for choice in different:
            _, got = integer_run(graph, stimulus, choice)
            assert choice == narrow or first_difference(graph, wanted, got) is None
            different[choice] += any(
                (got.spikes[n].dense(s) != wanted.emitted[n][s]).any()
                for n in wanted.emitted
                for s in range(2)
            )
    assert spikes > 2000
    assert different[options] <= 1  # of 40 networks; near ties, each checked above
    assert different[narrow] <= 4


# -- one neuron, rule by rule ----------------------------------------------------------------


def follows(graph: Graph, stimulus: Stimulus, options: Quantise = REFERENCE) -> stepper.FloatRun:
    quantised, got = integer_run(graph, stimulus, options)
    wanted = stepper.run(graph, stimulus)
    assert first_difference(graph, wanted, got) is None
    close(quantised, wanted, got)
    return wanted


@pytest.mark.parametrize("seed", range(12))
def test_a_linear_leak_follows_float64_under_any_rules(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def each(low: float, high: float) -> Any:
        return real(rng.uniform(low, high, 3 if rng.random() < 0.5 else None))

    rates, goals = each(5.0, 80.0), each(-0.2, 0.2)
    cell = LinearLIF(rates, each(0.3, 1.0), goals, each(0.5, 1.5), each(-0.2, 0.2))
    rules = semantics(rng, v_init=float(rng.uniform(-0.4, 0.4)))
    graph = feed(cell, rules, Dense(rng.normal(0.3, 0.6, (3, 3))), size=3)
    wanted = follows(graph, counts(rng.integers(0, 3, (2, 40, 3))))
    assert np.ptp(wanted.v["p"]) > 0.5


NOISE = np.random.default_rng(5).integers(0, 3, (2, 60, 1))
QUIET = np.zeros((1, 80, 1), np.int64)
MODELS = {
    "IF": IF(real(0.4), real(1.0), real(-0.2)),
    "LIF": LIF(real(0.01), real(5.0), real(0.3), real(1.0), real(-0.2)),
    "CubaLIF": CubaLIF(
        real(0.004), real(0.01), real(6.0), real(0.3), real(2.0), real(1.0), real(-0.2)
    ),
    "LinearLIF": LinearLIF(real(40.0), real(0.4), real(0.3), real(1.0), real(-0.2)),
    "Threshold": Threshold(real(1.5)),
    "Integrator": Integrator(real(0.2)),
    "LI": LI(real(0.01), real(2.0), real(-0.4)),
    "CubaLI": CubaLI(real(0.004), real(0.01), real(2.0), real(-0.4), real(1.5)),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("decay", Decay)
@pytest.mark.parametrize("gain", Gain)
def test_every_model_and_integration(name: str, decay: Decay, gain: Gain) -> None:
    for comparison in Comparison:
        rules = Semantics(decay=decay, gain=gain, comparison=comparison, reset=Reset.VALUE)
        follows(feed(MODELS[name], rules, bias=[0.05]), counts(NOISE))


@pytest.mark.parametrize("name", ["IF", "LIF", "CubaLIF"])
@pytest.mark.parametrize("reset", Reset)
@pytest.mark.parametrize("refractory", [0, 2])
@pytest.mark.parametrize("frozen", [True, False])
def test_every_reset_and_refractory_rule(
    name: str, reset: Reset, refractory: int, frozen: bool
) -> None:
    for spikes in (1, None, 2):
        if spikes != 1 and reset in (Reset.ZERO, Reset.VALUE):
            continue
        rules = Semantics(
            reset=reset, refractory=refractory, refractory_frozen=frozen, max_spikes=spikes
        )
        run = follows(feed(MODELS[name], rules), counts(2 * NOISE))
        assert run.emitted["p"].sum() > 5


def test_integrators_gain_per_second() -> None:
    rules = Semantics(integrator_gain=IntegratorGain.PER_SECOND)
    follows(feed(IF(real(300.0), real(1.0)), rules), counts(NOISE))


def test_leak_potential_of_a_synaptic_model_moves_the_membrane_only() -> None:
    """v settles at v_leak, not at what a leaking current would make of it."""
    quiet = CubaLIF(real(0.005), real(0.02), real(1.0), real(0.5), real(1.0), real(10.0), real(0.0))
    quantised, got = integer_run(feed(quiet), counts(np.zeros((1, 400, 1), int)), REFERENCE)
    neuron = quantised.populations[0].neuron
    assert isinstance(neuron, IntegerNeuron)
    assert got.states["p", "v"][0, -1, 0] * neuron.scale == pytest.approx(0.5, abs=1e-4)
    follows(feed(quiet), counts(QUIET))
    wired = feed(quiet, bias=[0.2])
    follows(wired, counts(NOISE))


def test_what_an_integer_synapse_cannot_have_is_refused() -> None:
    from spikec.compiler.passes.quantise import quantise
    from spikec.ir.diagnostics import Diagnostics, SpikecError

    for rules, text in (
        (Semantics(current=Current.OLD), "leak potential"),
        (Semantics(v_init=0.2, reset=Reset.SUBTRACT), "v_init"),
        (Semantics(v_init=0.2, max_spikes=None), "v_init"),
    ):
        with pytest.raises(SpikecError, match=f"E0301.*{text}"):
            quantise(feed(MODELS["CubaLIF"], rules), REFERENCE, Diagnostics())


@pytest.mark.parametrize("name", ["IF", "LIF", "Integrator", "LI"])
def test_initial_membranes(name: str) -> None:
    run = follows(feed(MODELS[name], Semantics(v_init=0.6)), counts(QUIET))
    assert run.v["p"][0, 0, 0] > 0.4


@pytest.mark.parametrize("reset", [Reset.ZERO, Reset.VALUE])
@pytest.mark.parametrize("start", [-0.4, 0.6])
def test_an_initial_membrane_with_a_synaptic_current(reset: Reset, start: float) -> None:
    """States are counted from where they start, also with a lower clamp and a leak potential."""
    neuron = replace(MODELS["CubaLIF"], v_reset=real(-0.3))  # type: ignore[call-arg]
    rules = Semantics(v_init=start, reset=reset, v_min=-0.35)
    run = follows(feed(neuron, rules), counts(QUIET))
    assert abs(run.v["p"][0, 0, 0] - start) < 0.3


@pytest.mark.parametrize("comparison", Comparison)
@pytest.mark.parametrize("state_bits", [24, 40])
def test_exact_ties_are_decided_as_in_float64(comparison: Comparison, state_bits: int) -> None:
    """A weight that reaches the threshold exactly: >= spikes, > does not."""
    options = Quantise(weight_bits=8, state_bits=state_bits)
    wrong = []
    for k in range(1, 800):
        weight = 0.013 * k
        graph = feed(
            IF(real(1.0), real(weight)),
            Semantics(comparison=comparison),
            Dense(real([[weight]])),
        )
        _, got = integer_run(graph, counts([[[1], [1]]]), options)
        if got.spikes["p"].step.tolist() != ([1] if comparison is Comparison.GREATER else [0, 1]):
            wrong.append(weight)
    assert not wrong
