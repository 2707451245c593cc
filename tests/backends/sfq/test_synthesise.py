"""Networks as circuits: the integer rung's spikes, whatever the skew, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from spikec.backends.sfq import schedule as schedule_room
from spikec.backends.sfq import synthesise as synthesise_room
from spikec.backends.sfq.events import Machines
from spikec.backends.sfq.execute import drives, spikes
from spikec.backends.sfq.netlist import pulses
from spikec.backends.sfq.schedule import CORNERS
from spikec.backends.sfq.simulate import Simulator, Transient
from spikec.backends.sfq.synthesise import Program, synthesise
from spikec.backends.sfq.timing import Timing, timing
from spikec.compiler.integer.executor import Executor
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Stimulus
from spikec.ir.graph import Graph
from spikec.ir.neurons import IF, LI, LIF, Threshold
from spikec.ir.plasticity import PairSTDP, Plasticity
from spikec.ir.semantics import Reset, Semantics

from .networks import PS, combinations, exclusive, given, layered, quantised, single, skewed

weights = st.integers(-2, 2).map(float)


@st.composite
def networks(draw: st.DrawFn, inputs: int = 4, layers: int = 3, most: int = 3) -> Graph:
    lines = draw(st.integers(2, inputs))
    made: list[tuple[list[list[float]], list[float]]] = []
    skips: dict[int, list[list[float]]] = {}
    before = lines
    count = draw(st.integers(1, layers))
    for k in range(count):
        size = draw(st.integers(1, 2 if k == count - 1 else most))
        rows = st.lists(weights, min_size=before, max_size=before)
        weight = draw(st.lists(rows, min_size=size, max_size=size))
        theta = draw(st.lists(st.integers(-2, 3), min_size=size, max_size=size))
        made.append((weight, [t + 0.5 for t in theta]))
        if k and draw(st.booleans()):
            wide = st.lists(weights, min_size=lines, max_size=lines)
            skips[k] = draw(st.lists(wide, min_size=size, max_size=size))
        before = size
    return layered(made, skips)


def compiled(graph: Graph) -> tuple[Graph, Program] | None:
    """None where an output fires in every step, which is refused."""
    graph = quantised(graph)
    try:
        return graph, synthesise(graph)
    except SpikecError as error:
        assert {d.code for d in error.diagnostics} == {"E1433"}
        assert all("every step" in d.message for d in error.diagnostics)
        return None


def all_twice(lines: int, seed: int) -> Stimulus:
    """All combinations, twice, in an order by chance."""
    every = combinations(lines)
    order = np.random.default_rng(seed).permutation(np.tile(np.arange(len(every)), 2))
    return given(every[order])


def at_corner(program: Program, corner: float) -> Machines:
    kinds = {i.kind for i in program.netlist.instances}
    scaled = {
        kind: Timing(t.delay * corner, t.apart * corner, t.jitter)
        for kind, t in ((kind, timing(kind)) for kind in kinds)
    }
    return Machines(program.netlist, scaled)


@settings(max_examples=15)
@drawn(networks(inputs=3, layers=2, most=2), st.integers(0, 1000))
def test_events_are_the_integer_rungs_spikes(graph: Graph, seed: int) -> None:
    same_spikes(graph, seed)


@pytest.mark.slow
@settings(max_examples=60)
@drawn(networks(), st.integers(0, 1000))
def test_events_of_larger_networks_too(graph: Graph, seed: int) -> None:
    same_spikes(graph, seed)


def same_spikes(graph: Graph, seed: int) -> None:
    """At all corners and with skews by chance, and no two pulses too close."""
    found = compiled(graph)
    if found is None:
        return
    graph, program = found
    stimulus = all_twice(graph.inputs[0].size, seed)
    names = [p.name for p in graph.populations]
    wanted = Executor(graph).run(stimulus, populations=names).spikes
    for corner in CORNERS:
        trace = at_corner(program, corner).run(skewed(program, drives(program, stimulus), seed))
        assert not trace.violations
        for name in names:
            assert spikes(program, name, 1, stimulus.steps, trace.of) == wanted[name]


def in_circuit(graph: Graph, seed: int) -> bool:
    """Whether the circuit has the integer rung's spikes; False where it is refused."""
    found = compiled(graph)
    if found is None or not found[1].netlist.instances:
        return False
    graph, program = found
    stimulus = given(combinations(graph.inputs[0].size)[np.random.default_rng(seed).permutation(4)])
    wanted = Executor(graph).run(stimulus, populations=["p0"]).spikes["p0"]
    moved = skewed(program, drives(program, stimulus), seed)
    waves = {net: pulses(times + 20 * PS) for net, times in moved.items()}
    watch = tuple(net for net in program.spikes["p0"] if net is not None)
    duration = 20 * PS + 3 * program.period + program.latency + 20 * PS
    simulator = Simulator(program.netlist.circuit(waves))
    seen = simulator.run(Transient(duration, 0.1 * PS), watch=watch).pulses
    assert spikes(program, "p0", 1, 4, lambda net: seen.of(net) - 20 * PS) == wanted
    return True


def test_a_circuit_has_the_same_spikes() -> None:
    """Any, both and one without the other: three neurons of two lines."""
    assert in_circuit(layered([([[1, 1], [1, 1], [-1, 1]], [0.5, 1.5, 0.5])]), 1)


@pytest.mark.slow
@settings(max_examples=8)
@drawn(networks(inputs=2, layers=2), st.integers(0, 1000))
def test_circuits_have_the_same_spikes(graph: Graph, seed: int) -> None:
    in_circuit(graph, seed)


def test_xor_is_small() -> None:
    program = synthesise(quantised(exclusive()))
    assert program.netlist.counts["ndro"] == 2 and program.netlist.counts["dff"] == 2
    assert program.netlist.junctions < 200
    assert list(program.clocks) == ["clock1", "clock2"]
    assert program.clocks["clock1"] < program.period < program.latency < 300 * PS


def test_constants_take_no_cell() -> None:
    """Of two hidden neurons one always fires and one never: the output is the first input."""
    graph = layered([([[0, 0], [0, 0]], [-0.5, 0.5]), ([[1, 1]], [1.5])], {1: [[1, 0]]})
    graph, program = quantised(graph), None
    program = synthesise(graph)
    assert program.spikes["p0"] == (None, None) and program.always["p0"] == (True, False)
    assert program.inputs == {"in": ("in[0]", None)}
    assert list(program.clocks) == ["clock2"]
    stimulus = given(combinations(2))
    trace = Machines(program.netlist).run(drives(program, stimulus))
    assert spikes(program, "p1", 1, 4, trace.of).dense(0)[:, 0].tolist() == [0, 0, 1, 1]
    assert spikes(program, "p0", 1, 4, trace.of).dense(0).tolist() == [[1, 0]] * 4


def test_a_line_by_two_ways_is_one() -> None:
    """Two projections from one input: weights add up, 1 - 1 = 0 and 1 + 1 = 2."""
    graph = layered([([[1, 1]], [1.5])])
    second = replace(graph.projections[0], name="again", connection=Dense(np.array([[-1.0, 1.0]])))
    graph = quantised(graph.with_(projections=(*graph.projections, second)))
    program = synthesise(graph)
    assert program.inputs == {"in": (None, "in[1]")}
    assert program.netlist.counts["dff"] == 1 and "ndro" not in program.netlist.counts


def test_less_skew_is_a_shorter_step() -> None:
    graph = quantised(exclusive())
    periods = [synthesise(graph, skew=skew).period for skew in (0.0, 5 * PS, 15 * PS)]
    assert periods == sorted(periods) and periods[0] < 0.8 * periods[-1]


def test_more_skew_than_slots_can_part() -> None:
    with pytest.raises(SpikecError, match="E1434") as caught:
        synthesise(quantised(exclusive()), skew=60 * PS)
    assert "lack" in str(caught.value) and "less skew" in str(caught.value)


def test_a_slot_that_does_not_help_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where jitter of long lines is what parts pulses too little, longer ones are not tried."""
    tried = []
    timed = synthesise_room._timed

    def counted(*given: Any) -> Any:
        tried.append(given[3])
        return timed(*given)

    monkeypatch.setattr(synthesise_room, "_timed", counted)
    kinds = ("jtl", "splitter", "merger", "dff", "ndro")
    shaky = {k: replace(timing(k), jitter=5 * PS) for k in kinds}
    monkeypatch.setattr(schedule_room, "STEADY", {})
    with pytest.raises(SpikecError, match="E1434"):
        synthesise(quantised(layered([([[1, 1, 1]], [2.5])])), timings=shaky)
    assert max(tried) < 24


def test_orders_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pulse that is held back for longer than a slot would be read too late."""
    monkeypatch.setattr("spikec.backends.sfq.neurons.HOLD", 40)
    with pytest.raises(SpikecError, match="E1434"):
        synthesise(quantised(layered([([[1, 1]], [1.5])])))


RULES = Semantics(reset=Reset.ZERO)


def real(value: float) -> np.ndarray:
    return np.asarray(value, np.float64)


@pytest.mark.parametrize(
    ("neuron", "why"),
    [
        (IF(real(1.0), real(1.0)), "remembers"),
        (LIF(real(0.01), real(1.0), real(0.0), real(1.0)), "remembers"),
        (LI(real(1e-3), real(1.0), real(0.0)), "reads out"),
    ],
)
def test_neurons_with_a_memory_are_refused(neuron: Threshold, why: str) -> None:
    with pytest.raises(SpikecError, match="E1432") as caught:
        synthesise(quantised(single(neuron, [[1, 1]])))
    assert why in str(caught.value)


def test_a_leak_that_forgets_all_is_a_threshold() -> None:
    """LIF of tau = dt by Euler: nothing of the step before is left."""
    graph = quantised(single(LIF(real(1e-3), real(1.0), real(0.0), real(0.9)), [[1, -1], [1, 1]]))
    program = synthesise(graph)
    stimulus = given(np.vstack([combinations(2), combinations(2)[::-1]]))
    trace = Machines(program.netlist).run(drives(program, stimulus))
    wanted = Executor(graph).run(stimulus, populations=["p0"]).spikes["p0"]
    assert spikes(program, "p0", 1, 8, trace.of) == wanted
    assert wanted.value.sum() > 0


def test_connections_with_delays_and_learning_are_refused() -> None:
    graph = quantised(exclusive())
    first, second = graph.projections
    with pytest.raises(SpikecError, match="E1432") as caught:
        synthesise(graph.with_(projections=(replace(first, delay=2), second)))
    assert "delay" in str(caught.value)
    rule = PairSTDP(1.0, 1.0, 0.02, 0.02)
    with pytest.raises(SpikecError, match="E1432") as caught:
        synthesise(
            graph.with_(projections=(replace(first, plasticity=Plasticity(rule, 0, 2)), second))
        )
    assert "learn" in str(caught.value)


def test_neurons_that_count_too_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # x0 with two of the others, or all but x0: 2 1 1 1, and no smaller weights.
    graph = quantised(layered([([[20, 10, 10, 10]], [29])]))
    assert synthesise(graph).netlist.counts["ndro"] == 2
    monkeypatch.setattr("spikec.backends.sfq.synthesise.MOST_PULSES", 4)
    with pytest.raises(SpikecError, match="E1433") as caught:
        synthesise(graph)
    assert "up to 5 pulses in a step, 4 at most" in str(caught.value)
    with pytest.raises(SpikecError, match="E1433") as caught:
        synthesise(quantised(layered([([[1.0, 1.0]], [-0.5])])))
    assert "fires in every step" in str(caught.value)
