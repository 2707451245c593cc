r"""Golden, executor and closed form agree where arithmetic lets them; where not, the tie is shown.

Both rungs are given the same numbers: weights, thresholds and resets are multiples of the unit of
a weight, decays multiples of :math:`2^{-22}`. What is left is the rounding of two products,

.. math:: |v - \hat v| \le \frac{q}{1-b} \left(\frac12 + \frac{1}{2(1-a)}\right),

with q the unit of v, and a = 0 without a synapse. Without a decay there is no rounding at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.boards.board import Target
from spikec.compiler.compare import compare
from spikec.compiler.comparison import Comparison as Compared
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import state_words
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.legalise import Legalise
from spikec.compiler.passes.quantise import REFERENCE, Quantise
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IF, LIF, CubaLIF, IntegerNeuron, Neuron
from spikec.ir.semantics import Comparison, Reset, Semantics

DT = 1e-3
ONE = 1 << 22
OPTIONS = {40: REFERENCE, 24: Quantise(weight_bits=12, state_bits=24, decay_bits=22, input_max=2)}


def both(graph: Graph, stimulus: Stimulus, options: Quantise) -> tuple[Graph, Recording, Recording]:
    """The quantised graph, and what golden and executor record of all populations."""
    integer = run_pipeline([Legalise(), options], graph, Target.unlimited(), Diagnostics())
    names = [p.name for p in graph.populations]
    words = state_words(integer)
    return (
        integer,
        run_golden(graph, stimulus, populations=names, record=words, codegen="numpy"),
        Executor(integer).run(stimulus, populations=names, record=words),
    )


def bound(population: Population) -> float:
    """The largest distance that rounding can put between the membranes."""
    neuron = population.neuron
    assert isinstance(neuron, IntegerNeuron)
    if neuron.source_model == "IF":
        return 1e-9
    stay = 1.0 - float(np.max(neuron.decay_v)) / ONE
    synapse = 0.0 if neuron.decay_u is None else 0.5 / (1.0 - float(np.max(neuron.decay_u)) / ONE)
    return (0.5 + synapse) / stay * neuron.scale + 1e-9


def saturates(integer: Graph, golden: Recording) -> bool:
    """Whether a state of the golden run, or what it was before a reset, may leave the range."""
    for (name, _), values in golden.states.items():
        neuron = integer.population(name).neuron
        assert isinstance(neuron, IntegerNeuron)
        if float(np.max(np.abs(values))) >= 0.5 * neuron.numerics.state.high * neuron.scale:
            return True
    return False


def check(graph: Graph, integer: Graph, golden: Recording, found: Recording) -> Compared:
    """Equal, or the first difference is a tie within the bound; before it membranes are close."""
    compared = compare(golden, found, graph=integer)
    first = compared.first
    for sample in range(golden.samples):
        # No difference lies in an earlier sample than the first one, nor in an earlier step.
        until = None if first is None or sample < first.sample else first.update
        if first is not None and sample > first.sample:
            continue
        for population in integer.populations:
            neuron = population.neuron
            assert isinstance(neuron, IntegerNeuron)
            v = golden.states[population.name, "v"][sample, :until]
            units = found.states[population.name, "v"][sample, :until]
            np.testing.assert_allclose(units * neuron.scale, v, rtol=0, atol=bound(population))
    if first is None:
        assert compared.spike_mismatches == 0
        return compared
    population = integer.population(first.population)
    neuron, place = population.neuron, (first.sample, first.update, first.neuron)
    assert isinstance(neuron, IntegerNeuron)
    assert first.emissions is not None
    theta = graph.population(first.population).neuron.v_threshold  # type: ignore[attr-defined]
    # The one that emitted fewer spikes holds the membrane that did not pass the next threshold.
    if first.emissions[0] < first.emissions[1]:
        held = float(golden.states[first.population, "v"][place])
    else:
        held = float(found.states[first.population, "v"][place]) * neuron.scale
    levels = np.ravel(theta)[-1 if np.ndim(theta) == 0 else first.neuron] * np.array([1.0, 2.0])
    assert np.min(np.abs(held - levels)) <= bound(population), compared.describe()
    return compared


# -- random feed-forward networks --------------------------------------------------------------


def shared(rng: np.random.Generator, bits: int, kinds: tuple[str, ...]) -> Graph:
    """A feed-forward network whose numbers golden and executor share."""
    top = (1 << (bits - 1)) - 1
    unit = 0.5 / top

    def whole(low: float, high: float, size: int | None = None) -> Any:
        return np.rint(rng.uniform(low, high, size) / unit) * unit

    def tau(size: int | None) -> Any:
        return DT / (1.0 - np.rint(rng.uniform(0.5, 0.97, size) * ONE) / ONE)

    def model(size: int) -> Neuron:
        each = size if rng.random() < 0.5 else None
        full = np.ones(each or ())
        theta, reset = whole(0.4, 1.2, each), whole(-0.2, 0.2, each)
        match rng.choice(kinds):
            case "IF":
                return IF(full, theta, reset)
            case "LIF":
                time = tau(each)
                return LIF(time, time / DT, 0 * full, theta, reset)
            case _:
                fast, slow = tau(each), tau(each)
                return CubaLIF(fast, slow, slow / DT, 0 * full, fast / DT, theta, reset)

    def semantics() -> Semantics:
        return Semantics(
            comparison=rng.choice(np.array(Comparison)),
            reset=Reset(rng.choice([str(r) for r in Reset])),
            refractory=int(rng.integers(0, 3)),
            refractory_frozen=bool(rng.integers(2)),
            registered=bool(rng.random() < 0.2),
        )

    nodes: list[tuple[str, int]] = [("in", 6)]
    populations, projections = [], []
    for k in range(int(rng.integers(2, 5))):
        size = int(rng.integers(3, 9))
        populations.append(Population(f"p{k}", (size,), model(size), semantics()))
        sources = {len(nodes) - 1, int(rng.integers(len(nodes)))}
        for number, source in enumerate(sorted(sources)):
            pre, lines = nodes[source]
            weight = rng.integers(-top // 2, top + 1, (size, lines))
            if number == 0:
                weight[0, 0] = top  # so the quantiser finds the unit that these are multiples of
            delay = int(rng.integers(0, 3))
            projections.append(Projection(f"{pre}-p{k}", pre, f"p{k}", Dense(weight * unit), delay))
        nodes.append((f"p{k}", size))
    outputs = tuple(Output(f"o-{p.name}", p.name) for p in populations)
    return Graph(
        "shared", DT, (Input("in", (6,)),), tuple(populations), tuple(projections), outputs
    )


def run_shared(seed: int, bits: int, kinds: tuple[str, ...]) -> Compared | None:
    """The comparison, checked; None for a network that drives a state out of range."""
    rng = np.random.default_rng(seed)
    options = OPTIONS[bits]
    graph = shared(rng, options.weight_bits, kinds)
    stimulus = Stimulus({"in": Events.from_dense((rng.random((2, 50, 6)) < 0.3).astype(np.int64))})
    integer, golden, found = both(graph, stimulus, options)
    for population in graph.populations:  # the numbers are the same indeed
        neuron = integer.population(population.name).neuron
        assert isinstance(neuron, IntegerNeuron)
        for projection in graph.incoming(population.name):
            link = next(p for p in integer.projections if p.name == projection.name)
            whole = link.connection.weight * neuron.scale * 2.0**neuron.shift  # type: ignore[attr-defined]
            exact = projection.connection.weight  # type: ignore[attr-defined]
            np.testing.assert_allclose(whole, exact, rtol=1e-12)
    spikes = sum(float(e.value.sum()) for e in golden.spikes.values())
    assert spikes > 20
    return None if saturates(integer, golden) else check(graph, integer, golden, found)


@pytest.mark.parametrize("bits", OPTIONS)
@pytest.mark.parametrize("seed", range(4))
def test_without_decay_nothing_differs(seed: int, bits: int) -> None:
    compared = run_shared(seed, bits, ("IF",))
    assert compared is not None or bits == 24  # 24 bits may saturate: another network then
    if compared is None:
        return
    assert compared.spike_mismatches == 0, compared.describe()


@pytest.mark.parametrize("bits", OPTIONS)
@pytest.mark.parametrize("seed", range(6))
def test_identical_spikes_or_a_tie(seed: int, bits: int) -> None:
    compared = run_shared(100 + seed, bits, ("IF", "LIF", "CubaLIF"))
    assert compared is not None or bits == 24
    if bits == 40 and compared is not None:
        assert compared.spike_mismatches == 0, compared.describe()


@pytest.mark.slow
@pytest.mark.parametrize("bits", OPTIONS)
def test_two_hundred_networks(bits: int) -> None:
    runs = [run_shared(1000 + seed, bits, ("IF", "LIF", "CubaLIF")) for seed in range(200)]
    inside = [r for r in runs if r is not None]
    assert len(inside) >= 100
    assert sum(r.spike_mismatches > 0 for r in inside) <= (0 if bits == 40 else 6)


# -- ties on purpose ---------------------------------------------------------------------------


def test_a_first_difference_explains_itself() -> None:
    """Thresholds that are a membrane of the golden run itself: rounding decides, and it is said."""
    rng = np.random.default_rng(3)
    neurons, step = 40, 12
    tau = rng.uniform(4e-3, 2e-2, neurons)
    weight = Dense(rng.uniform(0.1, 0.5, (neurons, 2)))
    stimulus = Stimulus({"in": Events.from_dense(np.ones((1, 20, 2), np.int64))})

    def network(theta: Any) -> Graph:
        neuron = LIF(tau, tau / DT, np.zeros(neurons), theta)
        return Graph(
            "ties",
            DT,
            (Input("in", (2,)),),
            (Population("p", (neurons,), neuron, Semantics(reset=Reset.ZERO)),),
            (Projection("w", "in", "p", weight),),
            (Output("out", "p"),),
        )

    quiet = run_golden(network(np.full(neurons, 1e6)), stimulus, record=[("p", "v")])
    theta = quiet.states["p", "v"][0, step]
    graph = network(theta)
    integer, golden, found = both(graph, stimulus, REFERENCE)
    assert golden.spikes["p"].step.min() == step + 1  # v > theta one step after v = theta
    compared = compare(golden, found, graph=integer, stimulus=stimulus)
    first = compared.first
    assert first is not None
    assert (first.sample, first.step, first.population) == (0, step, "p")
    assert first.emissions == (0, 1)
    late = np.setdiff1d(
        found.spikes["p"].step[found.spikes["p"].step <= step + 1], [step, step + 1]
    )
    assert late.size == 0  # no other step is touched: each tie goes one way or the other
    assert {a.neuron: a.count for a in first.inputs or ()} == {0: 1, 1: 1}
    text = compared.describe()
    assert f"first difference: sample 0, step {step} (12 ms), population 'p'" in text
    assert f"neuron {first.neuron}" in text
    assert "inputs in step 12: 2 arrived" in text
    held = float(golden.states["p", "v"][0, step, first.neuron])
    assert held == theta[first.neuron]


# -- closed form -------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", OPTIONS)
def test_constant_input_gives_the_period_of_the_closed_form(bits: int) -> None:
    r"""From rest :math:`v_n = x (1-b^n)/(1-b)`, so the period is the first n with v_n above 1."""
    rng = np.random.default_rng(11)
    neurons, steps = 30, 400
    decay = rng.uniform(0.7, 0.98, neurons)
    drive = (1.0 - decay) * rng.uniform(1.1, 3.0, neurons)
    tau = DT / (1.0 - decay)
    neuron = LIF(tau, tau / DT, np.zeros(neurons), np.ones(neurons))
    graph = Graph(
        "period",
        DT,
        (Input("in", (1,)),),
        (Population("p", (neurons,), neuron, Semantics(reset=Reset.ZERO)),),
        (Projection("w", "in", "p", Dense(drive[:, None])),),
        (Output("out", "p"),),
    )
    stimulus = Stimulus({"in": Events.from_dense(np.ones((1, steps, 1), np.int64))})
    _, golden, found = both(graph, stimulus, OPTIONS[bits])
    exact = np.log1p(-(1.0 - decay) / drive) / np.log(decay)
    settled = np.abs(exact - np.rint(exact)) > 0.05  # 12-bit weights move a period by less
    assert np.count_nonzero(settled) > 20
    for name, recording, sure in (("golden", golden, exact > 0), ("integer", found, settled)):
        dense = recording.spikes["p"].dense(0)
        for n in np.flatnonzero(sure):
            period = int(np.floor(exact[n])) + 1
            expected = np.arange(period - 1, steps, period)
            assert np.flatnonzero(dense[:, n]).tolist() == expected.tolist(), (name, n)
