"""Releases by weights: counts whose mean is the weighted sum, in neurons and in circuits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, settings
from hypothesis import given as drawn
from hypothesis import strategies as st
from scipy.stats import binom

from spikec.backends.sfq.cells.chance import LEAST, SOURCE, factor, law
from spikec.backends.sfq.rungs.events import Machines
from spikec.backends.sfq.rungs.execute import drives, pulses_of, restarts, spikes
from spikec.backends.sfq.synthesis.files import program_facts
from spikec.backends.sfq.synthesis.released import WEIGHTS, Released, thinned
from spikec.backends.sfq.synthesis.synthesise import Program, synthesise
from spikec.backends.sfq.synthesis.unit import Unit
from spikec.ir.codes import CODES
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Projection
from spikec.ir.neurons import IF
from spikec.ir.semantics import Reset, Semantics

from ..networks import (
    combinations,
    exclusive,
    given,
    latch,
    layered,
    quantised,
    remembering,
    single,
)

Floats = npt.NDArray[np.float64]
FAR = 6e-7  # as unlikely as five standard deviations


def counts(weight: Sequence[int], x: Sequence[int]) -> tuple[Floats, int]:
    """What sum sign(w) r x is with which probability, and which place is that of 0."""
    scale = max(map(abs, weight))
    ones = [(np.sign(w), abs(w) / scale) for w, here in zip(weight, x, strict=True) if here and w]
    each = [np.array([1 - p, p] if sign > 0 else [p, 1 - p]) for sign, p in ones]
    found = np.ones(1)
    for one in each:
        found = np.convolve(found, one)
    return found, sum(sign < 0 for sign, _ in ones)


def chance_of(weight: Sequence[int], least: int, x: Sequence[int]) -> float:
    """With which probability a neuron of these weights fires, whose sum is to be ``least``."""
    found, zero = counts(weight, x)
    need = -(-least // max(map(abs, weight)))
    return float(found[np.arange(found.size) - zero >= need].sum())


def by_weights(graph: Graph) -> Program:
    return synthesise(quantised(graph), release={p.name: WEIGHTS for p in graph.projections})


def likely(fired: int, tried: int, p: float) -> bool:
    """Whether so many of all are no further from p than five standard deviations."""
    p = min(max(p, 0.0), 1.0)
    return bool(min(binom.cdf(fired, tried, p), binom.sf(fired - 1, tried, p)) > FAR)


weights = st.lists(st.integers(-5, 5), min_size=1, max_size=4).filter(any)


@drawn(weights, st.integers(-6, 12))
def test_the_mean_of_a_count_is_the_weighted_sum(weight: list[int], least: int) -> None:
    thin = thinned(Unit(np.array(weight), least))
    scale = max(map(abs, weight))
    assert thin.unit.weight * thin.release * (thin.unit.weight != 0) * scale == pytest.approx(
        np.array(weight, np.float64)
    )
    assert scale * (thin.unit.threshold - 1) < least <= scale * thin.unit.threshold
    assert thin.rounded == pytest.approx(thin.unit.threshold - least / scale)
    assert not thin.lost and not thin.dropped.any()


def test_what_noise_does_not_give_is_nothing_or_all() -> None:
    """A hundredth and 0.999 are there; below a line is left out, above it has no synapse."""
    thin = thinned(Unit(np.array([2000, -1999, 1998, 20, 19, -1, 0]), 3001))
    assert thin.unit.weight.tolist() == [1, -1, 1, 1, 0, 0, 0]
    assert thin.release.tolist() == [1.0, 1.0, 0.999, LEAST, 1.0, 1.0, 1.0]
    assert thin.certain.tolist() == [True, True, False, False, False, False, False]
    assert thin.dropped.tolist() == [False, False, False, False, True, True, False]
    assert thin.lost == pytest.approx(20 / 2000) and thin.unit.threshold == 2
    assert thin.rounded == pytest.approx(2 - 3001 / 2000)
    empty = thinned(Unit(np.zeros(2, np.int64), 1))
    assert empty.unit == Unit(np.zeros(2, np.int64), 1) and not empty.certain.any()


def test_of_many_the_ends_and_the_widest_are_kept() -> None:
    found = Released.of(True, np.array([0.5, 0.99, 0.2, 0.5]), dropped=3, rounded=0.5)
    assert found == Released(True, 4, 0.2, 0.99, 0.2, dropped=3, rounded=0.5)
    assert found.between == law().between(0.2)
    assert found.off == pytest.approx(found.between[1] - 0.2)
    none = Released.of(True, np.zeros(0), certain=3)
    assert none.synapses == 0 and none.off == 0.0


@settings(max_examples=15)
@drawn(weights, weights, st.integers(-3, 9), st.integers(-3, 9), st.integers(0, 1000))
def test_events_have_the_rates_of_the_formula(
    first: list[int], second: list[int], a: int, b: int, seed: int
) -> None:
    """Two neurons of one population, for all inputs, 150 steps of each."""
    lines = min(len(first), len(second))
    rows = [first[:lines], second[:lines]]
    assume(all(map(any, rows)))
    theta = [a - 0.5, b - 0.5]
    try:
        program = by_weights(layered([([[float(w) for w in row] for row in rows], theta)]))
    except SpikecError as error:
        assert "fires in every step" in str(error)
        return
    x, times = combinations(lines), 150
    steps = np.tile(x, (times, 1))
    stimulus = given(steps)
    trace = Machines(program.netlist).run(drives(program, stimulus), seed)
    assert not trace.violations
    for k, (row, least) in enumerate(zip(rows, (a, b), strict=True)):
        if program.spikes["p0"][k] is None:
            fired = np.full(len(steps), program.always["p0"][k])
        else:
            fired = spikes(program, "p0", 1, len(steps), trace.of).dense(0)[:, k]
        for one, count in zip(x.tolist(), fired.reshape(times, -1).sum(0).tolist(), strict=True):
            assert likely(count, times, chance_of(row, least, one)), (row, least, one, count)


def test_neurons_behind_others_have_the_rates_of_the_formula() -> None:
    """Two layers, and a line a step late: what a hidden neuron released does not matter twice."""
    hidden, out = [[3, 2, 1], [-1, 2, 4]], [3, -2]
    rows = [[float(w) for w in row] for row in hidden]
    graph = layered([(rows, [2.5, 1.5]), ([[3.0, -2.0]], [0.5])])
    graph = graph.with_(
        projections=tuple(replace(p, delay=int(p.name == "w1")) for p in graph.projections)
    )
    program = by_weights(graph)
    times = 3000
    for x in ([1, 1, 1], [0, 1, 1], [1, 1, 0]):
        stimulus = given(np.tile(x, (times, 1)))
        trace = Machines(program.netlist).run(drives(program, stimulus), 3)
        assert not trace.violations
        first, second = (
            chance_of(row, least, x) for row, least in zip(hidden, (3, 2), strict=True)
        )
        both = np.outer([1 - first, first], [1 - second, second])
        wanted = sum(both[i, j] * chance_of(out, 1, [i, j]) for i in range(2) for j in range(2))
        fired = spikes(program, "p1", 1, times, trace.of).dense(0)[1:, 0].sum()
        assert likely(int(fired), times - 1, wanted), (x, fired, wanted)


def test_lines_that_are_the_same_are_one_weight() -> None:
    """Two projections of the same line add up before they are a probability."""
    graph = layered([([[3.0, 1.0]], [3.5])], {0: [[0.0, 2.0]]})
    program = by_weights(graph)
    assert "synapse" not in program.netlist.counts
    assert [one.certain for one in program.release.values()] == [2, 1]
    other = by_weights(layered([([[3.0, 1.0]], [3.5])], {0: [[1.0, 2.0]]}))
    (synapse,) = (i for i in other.netlist.instances if i.kind == "synapse")
    assert synapse.factors == {SOURCE: factor(0.75)}
    assert [one.synapses for one in other.release.values()] == [1, 1]


def of_one_size(projection: Projection) -> Projection:
    """The same signs."""
    connection = projection.connection
    assert isinstance(connection, Dense)
    return replace(projection, connection=Dense(np.sign(connection.weight)))


@pytest.mark.parametrize(
    "graph",
    [
        exclusive(),
        layered([([[2, 2, 2]], [3.5])]),
        layered([([[-3, 3, 3], [0, 2, -2]], [2.5, -1.0]), ([[1, 1]], [1.5])]),
        latch(),
        single(IF(np.ones(1), np.full(1, 5.0)), [[2, 2, 2]]),
    ],
    ids=["xor", "counts", "signs", "latch", "adds up"],
)
def test_weights_of_one_size_are_the_program_of_today(graph: Graph) -> None:
    if graph.projections[-1].name == "own":
        graph = graph.with_(projections=tuple(map(of_one_size, graph.projections)))
    program = by_weights(graph)
    assert replace(program, release={}) == synthesise(quantised(graph))
    assert all(one.weights and not one.synapses for one in program.release.values())
    facts = program_facts(program)
    assert facts["exact"] and all("bias" not in one for one in facts["release"].values())


def expected(weight: list[int], bias: int, least: int, x: list[int], steps: int) -> float:
    """Spikes of a neuron that adds up and begins at 0, by the distribution of what it holds."""
    found, _ = counts([*weight, bias], [*x, 1])
    need = -(-least // max([*weight, bias]))
    held, mean = np.zeros(need), 0.0
    held[0] = 1.0
    for _ in range(steps):
        after = np.convolve(held, found)
        fires = float(after[need:].sum())
        mean += fires
        held = np.pad(after, (0, need))[:need]
        held[0] += fires
    return mean


@pytest.mark.parametrize("bias", [0, 1, 4])
def test_a_neuron_that_adds_up_counts_what_was_released(bias: int) -> None:
    """Its bias is a pulse of each step, through a synapse of its own."""
    weight, least, samples, steps = [3, 2], 7, 40, 60
    graph = single(IF(np.ones(1), np.full(1, 6.5)), [[float(w) for w in weight]])
    (line,) = graph.projections
    graph = graph.with_(projections=(replace(line, bias=np.full(1, float(bias))),))
    program = by_weights(graph)
    scale = max(*weight, bias)
    wanted = {w / scale for w in (*weight, bias) if 0 < w < scale}
    facts = {name: one.synapses for name, one in program.release.items()}
    assert facts == {"w0": len({w for w in weight if w < scale})} | (
        {"bias of p0": int(bias < scale)} if bias else {}
    )
    given_by = {i.factors[SOURCE] for i in program.netlist.instances if i.kind == "synapse"}
    assert given_by == {factor(p) for p in wanted}
    x = np.broadcast_to(np.array([1, 1]), (samples, steps, 2))
    stimulus = Stimulus({"in": Events.from_dense(x.copy())})
    trace = Machines(program.netlist).run(drives(program, stimulus), 2, restarts(program, stimulus))
    assert not trace.violations
    events = spikes(program, "p0", samples, steps, trace.of)
    fired = np.array([events.dense(k)[:, 0].sum() for k in range(samples)])
    mean = expected(weight, bias, least, [1, 1], steps)
    assert abs(fired.mean() - mean) <= 5 * fired.std(ddof=1) / np.sqrt(samples), (fired, mean)


def biased(weight: float, bias: float, threshold: float) -> Graph:
    """A neuron that adds up, of one line and a bias."""
    graph = single(IF(np.ones(1), np.full(1, threshold)), [[weight]])
    (line,) = graph.projections
    return graph.with_(projections=(replace(line, bias=np.full(1, bias)),))


def test_a_bias_that_is_released_by_chance_is_not_certain() -> None:
    """Without a pulse on its line the neuron fires when its bias was released, with 1/2."""
    program = by_weights(biased(4, 2, 3.5))
    assert program.always == {"p0": (False,)}
    steps = 400
    stimulus = given(np.zeros((steps, 1), np.int64))
    trace = Machines(program.netlist).run(drives(program, stimulus), 4)
    assert not trace.violations
    fired = spikes(program, "p0", 1, steps, trace.of).dense(0)[:, 0].sum()
    assert likely(int(fired), steps, 0.5)


def test_a_bias_that_is_left_out_is_told() -> None:
    """1 beside 127 is less than what noise gives: no synapse, and what it would have brought."""
    program = by_weights(biased(127, 1, 126.5))
    assert "synapse" not in program.netlist.counts
    told = program.release["bias of p0"]
    assert (told.synapses, told.dropped, told.certain) == (0, 1, 0)
    assert told.lost == pytest.approx(1 / 127)


@pytest.mark.parametrize("seed", range(8))
def test_random_networks_run_or_are_refused(seed: int) -> None:
    """Delays, loops, biases and neurons that add up: no pulses too close, or a known code."""
    graph = remembering(seed)
    try:
        program = by_weights(graph)
    except SpikecError as error:
        assert {d.code for d in error.diagnostics} <= {"E1433", "E1448", "E1450"} <= set(CODES)
        return
    lines = graph.inputs[0].size
    x = np.random.default_rng(seed).integers(0, 2, (6, 30, lines))
    stimulus = Stimulus({"in": Events.from_dense(x)})
    trace = Machines(program.netlist).run(
        drives(program, stimulus), seed, restarts(program, stimulus)
    )
    assert not trace.violations


def test_a_circuit_has_the_rates_of_its_weights() -> None:
    """Four different probabilities, of which one is small, by the noise of all resistors."""
    weight, least, times = [8, 6, -4, 1], 5, 48
    program = by_weights(layered([([[float(w) for w in weight]], [least - 0.5])]))
    x = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 1, 1]])
    stimulus = given(np.tile(x, (times, 1)))
    (net,) = program.spikes["p0"]
    assert net is not None
    (found,) = pulses_of(program, stimulus, (net,), temperature=4.2, seed=5)
    fired = spikes(program, "p0", 1, len(x) * times, lambda name: found[name]).dense(0)[:, 0]
    for one, count in zip(x.tolist(), fired.reshape(times, -1).sum(0).tolist(), strict=True):
        assert likely(count, times, chance_of(weight, least, one)), (one, count)


def test_a_source_that_always_fires_goes_into_the_threshold() -> None:
    """Its weight is a bias: nothing of it is lost, and s is of the lines that come."""
    first = ([[1.0, 0.0], [0.0, 0.0]], [0.5, -0.5])
    program = by_weights(layered([first, ([[2.0, 4.0]], [4.5])]))
    assert "synapse" not in program.netlist.counts
    trace = Machines(program.netlist).run(drives(program, given([[1, 0], [0, 0]])))
    assert spikes(program, "p1", 1, 2, trace.of).dense(0)[:, 0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("graph", "release", "code", "said"),
    [
        (
            layered([([[1, 2]], [0.5])], {0: [[2, 1]]}),
            {"w0": WEIGHTS},
            "E1448",
            "takes 'w0' by weights, and 's0' not",
        ),
        (
            layered([([[1, 2]], [0.5])], {0: [[2, 1]]}),
            {"w0": 0.5, "s0": WEIGHTS},
            "E1448",
            "--release w0=weights",
        ),
        (
            single(IF(np.ones(1), np.full(1, 4.0)), [[2, 1]]).with_(
                populations=tuple(
                    replace(p, semantics=Semantics(reset=Reset.SUBTRACT))
                    for p in single(IF(np.ones(1), np.full(1, 4.0)), [[2, 1]]).populations
                )
            ),
            {"w0": WEIGHTS},
            "E1448",
            "a reset to 0",
        ),
        (
            single(IF(np.ones(1), np.full(1, 4.0)), [[2, -1]]),
            {"w0": WEIGHTS},
            "E1450",
            "do not count down",
        ),
        (
            layered([([[float(k) for k in range(1, 67)]], [99.5])]),
            {"w0": WEIGHTS},
            "E1433",
            "66 pulses",
        ),
    ],
)
def test_what_is_not_by_weights(
    graph: Graph, release: dict[str, float | str], code: str, said: str
) -> None:
    with pytest.raises(SpikecError, match=code) as error:
        synthesise(quantised(graph), release=release)
    assert said in str(error.value)


def test_a_population_by_weights_is_beside_one_by_chance() -> None:
    graph = layered([([[2, 1], [1, 2]], [1.5, 1.5]), ([[1, 1]], [0.5])])
    program = synthesise(quantised(graph), release={"w0": WEIGHTS, "w1": 0.9})
    assert program.release == {
        "w0": Released(True, 2, 0.5, 0.5, 0.5, certain=2, rounded=0.0),
        "w1": Released(False, 2, 0.9, 0.9, 0.9),
    }
