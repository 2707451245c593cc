"""Networks as circuits: the integer rung's spikes, whatever the skew, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from spikec.backends.sfq.cells.netlist import pulses
from spikec.backends.sfq.cells.timing import Timing, timing
from spikec.backends.sfq.josephson.simulate import Simulator, Transient
from spikec.backends.sfq.rungs.events import Machines
from spikec.backends.sfq.rungs.execute import drives, pulses_of, restarts, spikes
from spikec.backends.sfq.synthesis import schedule as schedule_room
from spikec.backends.sfq.synthesis import synthesise as synthesise_room
from spikec.backends.sfq.synthesis.schedule import CORNERS
from spikec.backends.sfq.synthesis.synthesise import Program, synthesise
from spikec.compiler.integer.executor import Executor
from spikec.ir.connections import Dense, Sparse
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Output, Projection
from spikec.ir.neurons import IF, LI, LIF, IntegerNeuron, LinearLIF, Neuron
from spikec.ir.plasticity import PairSTDP, Plasticity
from spikec.ir.semantics import Comparison, Reset, Semantics

from ..networks import (
    PS,
    combinations,
    exclusive,
    given,
    layered,
    ordered,
    quantised,
    remembering,
    single,
    skewed,
)

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
    monkeypatch.setattr("spikec.backends.sfq.synthesis.neurons.HOLD", 40)
    with pytest.raises(SpikecError, match="E1434"):
        synthesise(quantised(layered([([[1, 1]], [1.5])])))


RULES = Semantics(reset=Reset.ZERO)


def real(value: float) -> np.ndarray:
    return np.asarray(value, np.float64)


@pytest.mark.parametrize(
    ("neuron", "why"),
    [
        (LIF(real(0.01), real(1.0), real(0.0), real(1.0)), "remembers a share of 0.9 of its sum"),
        (LI(real(1e-3), real(1.0), real(0.0)), "reads out"),
        (LinearLIF(real(10.0), real(1.0), real(0.0), real(1.0)), "remembers more than a sum"),
    ],
)
def test_neurons_that_leak_are_refused(neuron: Neuron, why: str) -> None:
    with pytest.raises(SpikecError, match="E1432") as caught:
        synthesise(quantised(single(neuron, [[1, 1]])))
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (Semantics(reset=Reset.TWO_PHASE), "two phases"),
        (Semantics(v_min=0.5), "is held above 0"),
        (Semantics(refractory=2), "refractory"),
        (Semantics(v_init=0.5), "bias that depends on the step"),
    ],
)
def test_other_rules_of_neurons_that_add_up_are_refused(rules: Semantics, why: str) -> None:
    graph = single(IF(real(1.0), real(3.0)), [[1, 1]])
    graph = graph.with_(populations=(replace(graph.populations[0], semantics=rules),))
    with pytest.raises(SpikecError, match="E1432") as caught:
        synthesise(quantised(graph))
    assert why in str(caught.value)


def adding(
    weight: list[list[float]], theta: float, reset: Reset = Reset.ZERO, **rules: Any
) -> Graph:
    graph = single(IF(real(1.0), real(theta)), weight)
    semantics = Semantics(reset=reset, **rules)
    return graph.with_(populations=(replace(graph.populations[0], semantics=semantics),))


def with_bias(graph: Graph, *bias: float) -> Graph:
    first, *rest = graph.projections
    return graph.with_(projections=(replace(first, bias=np.array(bias)), *rest))


@pytest.mark.parametrize(
    ("graph", "code", "why"),
    [
        (adding([[1, -1]], 3.0), "E1450", "take off what was there"),
        (with_bias(adding([[1, 1]], 3.0), -0.5), "E1450", "take off what was there"),
        (adding([[1, 1]], 3.0, Reset.SUBTRACT), "E1451", "takes 3 units"),
        (adding([[1, 2]], 2.0, Reset.SUBTRACT), "E1451", "a step may bring 3"),
        (adding([[1, 1]], 90.0), "E1433", "up to 91 pulses"),
    ],
)
def test_sums_that_cells_do_not_make_are_refused(graph: Graph, code: str, why: str) -> None:
    with pytest.raises(SpikecError, match=code) as caught:
        synthesise(quantised(graph))
    assert why in str(caught.value) and "'p0'[0]" in str(caught.value)


def test_a_state_that_is_too_narrow_is_refused() -> None:
    """What a step brings would leave it, which a subtraction would notice and a reset would not."""
    graph = quantised(adding([[4.0]], 4.0, Reset.SUBTRACT))
    population = graph.populations[0]
    neuron = population.neuron
    assert isinstance(neuron, IntegerNeuron)
    most = int(neuron.threshold) + 1
    state = replace(neuron.numerics.state, width=most.bit_length() + 1)
    narrow = replace(neuron, numerics=replace(neuron.numerics, state=state))
    assert synthesise(graph).remembers
    with pytest.raises(SpikecError, match="E1450") as caught:
        synthesise(graph.with_(populations=(replace(population, neuron=narrow),)))
    assert "may reach" in str(caught.value)
    zero = replace(narrow, reset="zero", v_reset=np.zeros((), np.int64))
    assert synthesise(graph.with_(populations=(replace(population, neuron=zero),))).spikes


def same_over_samples(graph: Graph, seed: int, steps: int = 14, samples: int = 3) -> Program:
    """The integer rung's spikes at all corners, in samples that begin from rest."""
    graph = quantised(graph)
    program = synthesise(graph)
    x = np.random.default_rng(seed).integers(0, 2, (samples, steps, graph.inputs[0].size))
    stimulus = Stimulus({"in": Events.from_dense(x)})
    names = [p.name for p in graph.populations]
    wanted = Executor(graph).run(stimulus, populations=names).spikes
    for corner in CORNERS:
        moved = skewed(program, drives(program, stimulus), seed)
        trace = at_corner(program, corner).run(moved, restarts=restarts(program, stimulus))
        assert not trace.violations
        for name in names:
            assert spikes(program, name, samples, steps, trace.of) == wanted[name]
    return program


def compiles(seed: int) -> Graph:
    """A network by chance that is not refused: as few are."""
    graph = remembering(seed)
    try:
        synthesise(quantised(graph))
    except SpikecError as error:
        assert {d.code for d in error.diagnostics} <= {"E1451", "E1433"}
        return remembering(seed + 1000)
    return graph


@pytest.mark.parametrize("seed", range(8))
def test_networks_that_remember_have_the_integer_rungs_spikes(seed: int) -> None:
    same_over_samples(compiles(seed), seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 180))
def test_more_networks_that_remember_do_too(seed: int) -> None:
    same_over_samples(compiles(seed), seed)


def remembered_in_circuit(graph: Graph, seed: int, steps: int) -> None:
    """Two samples of the circuit, each from rest, beside the integer rung."""
    graph = quantised(graph)
    program = synthesise(graph)
    assert program.remembers
    x = np.random.default_rng(seed).integers(0, 2, (2, steps, graph.inputs[0].size))
    stimulus = Stimulus({"in": Events.from_dense(x)})
    names = [p.name for p in graph.populations]
    wanted = Executor(graph).run(stimulus, populations=names).spikes
    assert any(wanted[name].value.sum() for name in names)
    nets = tuple(net for name in names for net in program.spikes[name] if net is not None)
    (found,) = pulses_of(program, stimulus, nets)
    for name in names:
        assert spikes(program, name, 2, steps, found.__getitem__) == wanted[name]


@pytest.mark.parametrize(
    "graph",
    [ordered(), adding([[1]], 2.0), adding([[1]], 2.0, Reset.SUBTRACT)],
    ids=["order", "zero", "subtract"],
)
def test_circuits_remember(graph: Graph) -> None:
    remembered_in_circuit(graph, 1, 9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 4, 5, 6, 7, 9, 15, 18, 24, 26])
def test_circuits_of_networks_that_remember(seed: int) -> None:
    remembered_in_circuit(remembering(seed), seed, 10)


def test_a_neuron_is_cleared_by_its_own_spike() -> None:
    """Threshold 3, two pulses at most: two ndro, which no clock reaches."""
    program = same_over_samples(adding([[1, 1]], 2.5), 3, steps=20)
    assert program.netlist.counts["ndro"] == 2 and list(program.clocks) == ["clock1"]
    driver = {i.nets[port]: i for i in program.netlist.instances for port in i.cell.outputs}
    for i in program.netlist.instances:
        if i.kind == "ndro":
            assert driver[i.nets["reset"]].name.startswith("p0[0].")


def test_toggling_cells_count_what_is_taken_off() -> None:
    """Above 4 of which 4 are taken off: fires with the fifth pulse, then with every fourth."""
    above = same_over_samples(adding([[1]], 4.0, Reset.SUBTRACT), 4, steps=30)
    assert above.netlist.counts["tff"] == 2 and above.netlist.counts["ndro"] == 1
    rules = {"comparison": Comparison.GREATER_EQUAL}
    least = same_over_samples(adding([[1, 3]], 4.0, Reset.SUBTRACT, **rules), 5, steps=30)
    assert least.netlist.counts["tff"] == 2 and "ndro" not in least.netlist.counts


def test_a_bias_is_a_pulse_in_every_step() -> None:
    program = same_over_samples(with_bias(adding([[2]], 3.5), 1.0), 6)
    assert list(program.clocks) == ["launch", "clock1"] and program.clocks["launch"] == 0
    # What alone is enough takes no cell.
    always = quantised(layered([([[1, 1]], [0.5])]))
    first = with_bias(adding([[1, 1]], 3.5), 4.0)
    with pytest.raises(SpikecError, match="E1433"):
        synthesise(quantised(first))
    assert not synthesise(always).remembers


def test_spikes_that_are_late() -> None:
    """One line at once, a step and two steps late; a row of two dff for both."""
    graph = layered([([[1, 0]], [2.5])])
    ends, steps = np.zeros(3, np.int32), np.array([0, 1, 2], np.int32)
    late = Sparse(2, 1, np.array([0, 3, 3]), ends, np.ones(3), steps)
    graph = graph.with_(projections=(replace(graph.projections[0], connection=late),))
    program = same_over_samples(graph, 7)
    assert program.netlist.counts["dff"] == 3 and program.remembers
    assert program.start > program.skew


def test_a_delay_to_a_later_layer_does_not_lengthen_the_step() -> None:
    """It waits with the clock of the layer that it comes from; one that goes back, for a step."""
    graph = layered([([[1, 1]], [0.5]), ([[1]], [0.5]), ([[1]], [0.5])])
    first, second, third = graph.projections
    plain = synthesise(quantised(graph))
    late = same_over_samples(graph.with_(projections=(first, second, replace(third, delay=2))), 8)
    assert "launch" not in late.clocks and late.period < 1.3 * plain.period < plain.latency
    back = Projection("back", "p2", "p0", Dense(np.ones((1, 1))), 1)
    loop = same_over_samples(graph.with_(projections=(*graph.projections, back)), 9)
    assert loop.clocks["launch"] == 0 and loop.period > loop.latency > plain.period


def test_what_always_fires_begins_late_where_it_is_delayed() -> None:
    """No spike in the first two steps; and one who shows its spikes a step late shows none."""
    graph = layered([([[0, 0]], [-0.5]), ([[1]], [1.5])], {1: [[1, 0]]})
    first, second, skip = graph.projections
    late = graph.with_(projections=(first, replace(second, delay=2), skip))
    program = same_over_samples(late, 10)
    assert program.spikes["p0"] == (None,) and "launch" in program.clocks
    shown = replace(graph.populations[0], semantics=Semantics(registered=True))
    seen = same_over_samples(graph.with_(populations=(shown, graph.populations[1])), 11)
    assert seen.spikes["p0"] != (None,)


def test_what_is_known_late_takes_no_cell() -> None:
    """Of a spike that goes back it turns out only later that there is none."""
    graph = layered([([[1, 1]], [0.5]), ([[1]], [0.5]), ([[0]], [0.5])])
    back = Projection("back", "p2", "p0", Dense(np.ones((1, 1))), 1)
    graph = graph.with_(
        projections=(*graph.projections, back),
        outputs=(*graph.outputs, Output("other", "p1")),
    )
    program = same_over_samples(graph, 12)
    assert not program.remembers and program.spikes["p2"] == (None,)


def test_a_leak_that_forgets_all_is_a_threshold() -> None:
    """LIF of tau = dt by Euler: nothing of the step before is left."""
    graph = quantised(single(LIF(real(1e-3), real(1.0), real(0.0), real(0.9)), [[1, -1], [1, 1]]))
    program = synthesise(graph)
    stimulus = given(np.vstack([combinations(2), combinations(2)[::-1]]))
    trace = Machines(program.netlist).run(drives(program, stimulus))
    wanted = Executor(graph).run(stimulus, populations=["p0"]).spikes["p0"]
    assert spikes(program, "p0", 1, 8, trace.of) == wanted
    assert wanted.value.sum() > 0


def test_connections_that_learn_are_refused() -> None:
    graph = quantised(exclusive())
    first, second = graph.projections
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
    monkeypatch.setattr("spikec.backends.sfq.synthesis.synthesise.MOST_PULSES", 4)
    with pytest.raises(SpikecError, match="E1433") as caught:
        synthesise(graph)
    assert "up to 5 pulses in a step, 4 at most" in str(caught.value)
    with pytest.raises(SpikecError, match="E1433") as caught:
        synthesise(quantised(layered([([[1.0, 1.0]], [-0.5])])))
    assert "fires in every step" in str(caught.value)
