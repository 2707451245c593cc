"""Comparisons against hand calculations, loops over the definitions, and the axioms of metrics."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.boards.board import load_board
from spikec.compiler.compare import accuracy, compare
from spikec.compiler.comparison import Comparison
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.retime import Retime
from spikec.ir.connections import Chain, Conv1d, Delay, Dense
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IF, LI, IntegerNeuron
from spikec.ir.numerics import Format, Numerics
from spikec.ir.plasticity import Plasticity, Trace, TraceSTDP
from spikec.ir.semantics import Semantics


def recording(
    rung: str, states: dict[tuple[str, str], Any] | None = None, **spikes: Any
) -> Recording:
    events = {
        name: dense if isinstance(dense, Events) else Events.from_dense(np.asarray(dense))
        for name, dense in spikes.items()
    }
    return Recording(rung, 1e-3, events, states or {})


def random_spikes(seed: int, shape: tuple[int, int, int], high: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, shape)


def readout(size: int, scale: float) -> IntegerNeuron:
    zero = np.asarray(0)
    return IntegerNeuron(
        numerics=Numerics(Format(8), Format(24)),
        source_model="LI",
        scale=scale,
        shift=0,
        decay_v=np.asarray(4000),
        threshold=np.asarray(1 << 20),
        bias=zero,
        v_min=np.asarray(-(1 << 23)),
        v_reset=zero,
        reset="none",
    )


# -- equality and the first difference -------------------------------------------------------------


def test_a_recording_equals_itself() -> None:
    spikes = random_spikes(3, (5, 30, 7))
    v = np.random.default_rng(4).integers(-99, 99, (5, 30, 7))
    one = recording("integer", {("out", "v"): v}, out=spikes)
    two = recording("rtl", {("out", "v"): v.copy()}, out=spikes)
    found = compare(one, two)
    assert found.equal
    assert found.first is None
    assert (found.spike_bits, found.spike_mismatches) == (5 * 30 * 7, 0)
    assert (found.state_words, found.state_mismatches) == (5 * 30 * 7, 0)
    (p,) = found.populations
    assert (p.rate_error, p.van_rossum, p.victor_purpura, p.agreeing) == (0.0, 0.0, 0.0, 5)
    assert "equal" in found.describe()


@settings(max_examples=60)
@given(st.data())
def test_the_first_difference_is_the_least_place(data: st.DataObject) -> None:
    shape = (3, 6, 4)
    base = {"a": random_spikes(5, shape), "b": random_spikes(6, shape)}
    v = np.zeros(shape, np.int64)
    wrong = {name: dense.copy() for name, dense in base.items()}
    wrong_v = v.copy()
    place = st.tuples(st.sampled_from(["a", "b", "v"]), *(st.integers(0, n - 1) for n in shape))
    places = data.draw(st.sets(place, min_size=1, max_size=5))
    for name, *where in places:
        if name == "v":
            wrong_v[tuple(where)] = 1
        else:
            wrong[name][tuple(where)] ^= 1
    # States are those of population b, which comes second.
    rank = {"a": 0, "b": 1, "v": 1}
    expected = min((s, t, rank[name], n) for name, s, t, n in places)
    found = compare(
        recording("integer", {("b", "v"): v}, **base),
        recording("rtl", {("b", "v"): wrong_v}, **wrong),
    )
    first = found.first
    assert first is not None
    assert not found.equal
    assert (first.sample, first.step, rank[first.population], first.neuron) == expected
    assert found.spike_mismatches == sum(1 for name, *_ in places if name != "v")
    assert found.state_mismatches == sum(1 for name, *_ in places if name == "v")
    assert first.emissions == tuple(
        int(side[first.population][first.sample, first.step, first.neuron])
        for side in (base, wrong)
    )


def chain_graph(delay: int = 1, *, registered: bool = False, **lags: int) -> Graph:
    """in (3 lines) -> hidden (2) -> out (2)."""
    neuron = IF(np.asarray(1.0), np.asarray(1.0))
    into = np.array([[0.5, 0.0, -0.25], [1.0, 2.0, 4.0]])
    onward = np.array([[1.0, -1.0], [0.0, 3.0]])
    return Graph(
        "chain",
        1e-3,
        (Input("in", (3,)),),
        (
            Population("hidden", (2,), neuron, lag=lags.get("hidden", 0)),
            Population(
                "out", (2,), neuron, Semantics(registered=registered), lag=lags.get("out", 0)
            ),
        ),
        (
            Projection("in->hidden", "in", "hidden", Dense(into)),
            Projection("hidden->out", "hidden", "out", Dense(onward), delay=delay),
        ),
        (Output("output", "out"),),
    )


def chain_recordings() -> tuple[Recording, Recording, Stimulus]:
    stimulus = np.zeros((1, 8, 3), np.int64)
    stimulus[0, 3] = [1, 0, 2]
    hidden = np.zeros((1, 8, 2), np.int64)
    hidden[0, 3] = [1, 1]
    hidden[0, 4] = [0, 1]
    out = np.zeros((1, 8, 2), np.int64)
    wrong = out.copy()
    wrong[0, 5, 1] = 1
    v = np.arange(16).reshape(1, 8, 2)
    return (
        recording("integer", {("out", "v"): v}, hidden=hidden, out=out),
        recording("rtl", {("out", "v"): v.copy()}, hidden=hidden, out=wrong),
        Stimulus({"in": Events.from_dense(stimulus)}),
    )


def test_inputs_of_the_first_difference() -> None:
    a, b, stimulus = chain_recordings()
    first = compare(a, b, graph=chain_graph(), stimulus=stimulus).first
    assert first is not None
    assert (first.population, first.step, first.neuron, first.update) == ("out", 5, 1, 5)
    assert first.states[0].before == (9, 9)
    assert first.states[0].after == (11, 11)
    assert first.inputs is not None
    (arrival,) = first.inputs
    assert (arrival.projection, arrival.pre, arrival.neuron) == ("hidden->out", "hidden", 1)
    assert (arrival.weight, arrival.count, arrival.sent) == (3.0, 1, 4)


def test_inputs_follow_the_delay_retiming_and_registers() -> None:
    a, b, _ = chain_recordings()
    # Two steps long; or one step before retiming gave the post population a lag of its own.
    for graph in (chain_graph(2), chain_graph(4, hidden=0, out=2)):
        first = compare(a, b, graph=graph).first
        assert first is not None
        assert first.inputs is not None
        # hidden[0] spikes in step 3 too, but its weight is zero: no synapse.
        assert [(i.neuron, i.sent) for i in first.inputs] == [(1, 3)]
    first = compare(a, b, graph=chain_graph(1, registered=True)).first
    assert first is not None
    assert (first.step, first.update) == (5, 4)
    assert first.inputs is not None
    assert [(i.neuron, i.sent) for i in first.inputs] == [(1, 3)]
    assert first.states[0].after == (9, 9)


def test_inputs_from_a_stimulus_and_unknown_sources() -> None:
    a, b, stimulus = chain_recordings()
    wrong = np.zeros((1, 8, 2), np.int64)
    wrong[0, 3] = [0, 1]
    b = recording("rtl", hidden=wrong, out=b.spikes["out"])
    first = compare(a, b, graph=chain_graph(), stimulus=stimulus).first
    assert first is not None
    assert (first.population, first.step, first.neuron) == ("hidden", 3, 0)
    assert first.inputs is not None
    assert [(i.neuron, i.weight, i.count) for i in first.inputs] == [(0, 0.5, 1), (2, -0.25, 2)]
    without = compare(a, b, graph=chain_graph())
    assert without.first is not None
    assert without.first.inputs == ()
    assert without.first.unknown == ("in->hidden",)
    assert "'in->hidden' are not known" in without.describe()
    assert compare(a, b).first.inputs is None  # type: ignore[union-attr]


def test_inputs_through_a_convolution_with_delays_of_its_own() -> None:
    conv = Conv1d(np.array([[[2.0, 3.0]]]), (1, 4))
    graph = Graph(
        "conv",
        1e-3,
        (Input("in", (1, 4)),),
        (Population("out", (1, 3), IF(np.asarray(1.0), np.asarray(1.0))),),
        (Projection("p", "in", "out", Chain((Delay(np.array([0, 1, 2, 3]), (1, 4)), conv))),),
        (Output("o", "out"),),
    )
    stimulus = Stimulus({"in": Events.from_dense(np.ones((1, 6, 4), np.int64))})
    good, wrong = np.zeros((1, 6, 3), np.int64), np.zeros((1, 6, 3), np.int64)
    wrong[0, 4, 1] = 1
    first = compare(
        recording("integer", out=good), recording("rtl", out=wrong), graph=graph, stimulus=stimulus
    ).first
    assert first is not None
    assert first.inputs is not None
    # Output 1 reads lines 1 and 2, which take one and two steps more.
    assert [(i.neuron, i.weight, i.sent) for i in first.inputs] == [(2, 3.0, 2), (1, 2.0, 3)]


def integrator(threshold: int) -> IntegerNeuron:
    """v' = v + sum of inputs: its change in one step is what it received."""
    zero = np.asarray(0)
    return IntegerNeuron(
        numerics=Numerics(Format(8), Format(24)),
        source_model="IF",
        scale=1.0,
        shift=0,
        decay_v=np.asarray(1 << 12),
        threshold=np.asarray(threshold),
        bias=zero,
        v_min=np.asarray(-(1 << 23)),
        v_reset=zero,
        reset="subtract",
    )


@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize("retimed", [False, True])
def test_inputs_add_up_to_what_the_executor_integrated(registered: bool, retimed: bool) -> None:
    r = np.random.default_rng(12)

    def dense(post: int, pre: int) -> Dense:
        return Dense(r.integers(-9, 20, (post, pre)))

    rules = Semantics(registered=registered)
    graph = Graph(
        "loop",
        1e-3,
        (Input("in", (3,)),),
        (
            Population("a", (6,), integrator(30), rules),
            Population("b", (5,), integrator(40), rules),
            Population("sum", (4,), integrator(1 << 20), rules),
        ),
        (
            Projection("in->a", "in", "a", dense(6, 3)),
            Projection("a->a", "a", "a", dense(6, 6), delay=2),
            Projection("a->b", "a", "b", dense(5, 6)),
            Projection("a->sum", "a", "sum", dense(4, 6), delay=1),
            Projection("b->sum", "b", "sum", dense(4, 5)),
            Projection("in->sum", "in", "sum", dense(4, 3), delay=3),
        ),
        (Output("out", "sum"),),
    )
    if retimed:
        graph = Retime().run(graph, load_board("icebreaker").target, Diagnostics())
        assert registered or max(p.lag for p in graph.populations) > 0
    stimulus = Stimulus({"in": Events.from_dense(r.integers(0, 3, (2, 20, 3)))})
    names = ("a", "b", "sum")
    run = Executor(graph).run(stimulus, populations=names, record=[("sum", "v")])
    v = run.states["sum", "v"]
    for sample, step, neuron in [(0, 1, 0), (0, 19, 3), (1, 7, 2), (1, 12, 1)]:
        wrong = v.copy()
        wrong[sample, step, neuron] += 1
        other = Recording("rtl", run.dt, run.spikes, {("sum", "v"): wrong})
        first = compare(run, other, graph=graph, stimulus=stimulus).first
        assert first is not None
        assert (first.sample, first.step, first.neuron) == (sample, step, neuron)
        assert first.inputs is not None
        received = sum(i.weight * i.count for i in first.inputs)
        assert received == v[sample, step, neuron] - v[sample, step - 1, neuron]


def test_inputs_along_a_projection_that_learns_are_not_known() -> None:
    a, b, stimulus = chain_recordings()
    graph = chain_graph()
    learns = tuple(
        replace(p, plasticity=Plasticity(TraceSTDP(Trace(1), Trace(1)), -99, 99))
        for p in graph.projections
    )
    comparison = compare(a, b, graph=replace(graph, projections=learns), stimulus=stimulus)
    assert comparison.first is not None
    into = tuple(p.name for p in graph.incoming(comparison.first.population))
    assert comparison.first.inputs == () and comparison.first.unknown == into
    assert f"inputs along '{into[0]}' are not known: its source was not recorded, or it learns" in (
        comparison.describe()
    )


def test_description_names_place_values_and_inputs() -> None:
    a, b, stimulus = chain_recordings()
    text = compare(a, b, graph=chain_graph(), stimulus=stimulus).describe()
    for part in (
        "integer against rtl, 1 samples x 8 steps: they differ",
        "out: 1 of 16 emissions differ",
        "first difference: sample 0, step 5 (5 ms), population 'out', neuron 1",
        "emission: integer 0, rtl 1",
        "v after step 5: integer 11, rtl 11 (both 9 in step 4)",
        "hidden->out: hidden[1] sent 1 in step 4, weight 3",
    ):
        assert part in text


def test_many_inputs_are_cut_in_the_text_and_kept_in_the_data() -> None:
    graph = Graph(
        "wide",
        1e-3,
        (Input("in", (40,)),),
        (Population("out", (1,), IF(np.asarray(1.0), np.asarray(1.0))),),
        (Projection("p", "in", "out", Dense(np.arange(1, 41)[None, :])),),
        (Output("o", "out"),),
    )
    stimulus = Stimulus({"in": Events.from_dense(np.ones((1, 1, 40), np.int64))})
    found = compare(
        recording("integer", out=[[[0]]]),
        recording("rtl", out=[[[1]]]),
        graph=graph,
        stimulus=stimulus,
    )
    assert found.first is not None
    assert found.first.inputs is not None
    assert len(found.first.inputs) == 40
    text = found.describe()
    assert "40 arrived, weighted sum 820" in text
    assert "in[39] sent 1 in step 0, weight 40" in text
    assert "and 28 lighter ones" in text


# -- numbers -------------------------------------------------------------------------------------


def test_rate_error_is_relative_to_the_first() -> None:
    a = np.zeros((1, 10, 2), np.int64)
    b = a.copy()
    a[0, :4, 0], b[0, 3:8, 0] = 1, 1  # 4 against 5 spikes
    a[0, 0, 1], b[0, 1, 1] = 1, 1  # one moved: no error of rate
    found = compare(recording("golden", out=a), recording("integer", out=b)).populations[0]
    assert found.rate_error == pytest.approx(1 / 5)
    silent = compare(recording("golden", out=a * 0), recording("integer", out=b)).populations[0]
    assert silent.rate_error is None
    assert "undefined" in compare(recording("g", out=a * 0), recording("i", out=b)).describe()


def test_distances_are_means_over_samples_of_the_population() -> None:
    a = np.zeros((2, 20, 2), np.int64)
    b = a.copy()
    a[0, 5, :] = 1
    found = compare(recording("golden", out=a), recording("integer", out=b), q=1.0, tau=3.0)
    p = found.populations[0]
    assert p.victor_purpura == pytest.approx(2 / 2)
    assert p.van_rossum == pytest.approx(math.sqrt(0.5 + 0.5) / 2)  # neurons are orthogonal


def test_spikes_of_float_and_integer_counts_are_the_same_bits() -> None:
    spikes = random_spikes(7, (2, 9, 3), high=3)
    one = recording("golden", out=spikes.astype(float))
    assert compare(one, recording("integer", out=spikes)).populations[0].mismatches == 0


def test_graded_values_in_integer_units_are_measured_in_real_ones() -> None:
    real = np.random.default_rng(8).normal(size=(4, 6, 3))
    whole = np.rint(real / 0.01).astype(np.int64)
    graph = Graph(
        "readout", 1e-3, (), (Population("out", (3,), readout(3, 0.01)),), (), (Output("o", "out"),)
    )
    found = compare(
        recording("golden", {("out", "v"): real}, out=real),
        recording("integer", {("out", "v"): whole}, out=whole),
        graph=graph,
    )
    (p,), (s,) = found.populations, found.states
    assert p.graded
    assert not p.exact
    assert not s.exact
    assert p.max_abs_error is not None
    assert 0.004 < p.max_abs_error <= 0.005 + 1e-12
    assert s.max_abs_error == pytest.approx(p.max_abs_error)
    assert found.first is None  # nothing here can be compared bit for bit
    assert found.spike_bits == 0
    assert not found.equal
    assert "measured" in found.describe()
    # Without the graph the unit is unknown, and that is said.
    blind = compare(
        recording("golden", {("out", "v"): real}, out=real),
        recording("integer", {("out", "v"): whole}, out=whole),
    )
    assert len(blind.skipped) == 2
    assert blind.states == ()


def test_graded_values_of_one_kind_are_compared_exactly() -> None:
    a = np.random.default_rng(9).normal(size=(1, 5, 2))
    b = a.copy()
    b[0, 3, 1] = np.nextafter(b[0, 3, 1], 9.0)
    li = LI(np.asarray(0.01), np.asarray(1.0), np.asarray(0.0))
    graph = Graph("li", 1e-3, (), (Population("out", (2,), li),), (), (Output("o", "out"),))
    found = compare(recording("golden", out=a), recording("closed form", out=b), graph=graph)
    assert found.first is not None
    assert (found.first.step, found.first.neuron) == (3, 1)
    assert found.populations[0].max_abs_error == abs(b[0, 3, 1] - a[0, 3, 1])
    assert found.populations[0].victor_purpura is None


def test_a_value_that_is_no_number_never_equals() -> None:
    v = np.zeros((1, 2, 1))
    v[0, 1, 0] = np.nan
    found = compare(recording("a", {("out", "v"): v}), recording("b", {("out", "v"): v}))
    assert not found.equal
    assert found.first is not None
    assert found.first.emissions is None
    assert found.states[0].max_abs_error == math.inf
    assert (
        json.loads(json.dumps(found.as_dict(), allow_nan=False))["states"][0]["max_abs_error"]
        is None
    )


def test_unsigned_state_words_do_not_wrap() -> None:
    a, b = np.array([[[1]]], np.uint16), np.array([[[3]]], np.uint16)
    found = compare(recording("a", {("p", "v"): a}), recording("b", {("p", "v"): b}))
    assert found.states[0].max_abs_error == 2.0


def test_only_common_samples_are_compared_and_that_is_said() -> None:
    spikes = random_spikes(10, (6, 8, 3))
    found = compare(recording("integer", out=spikes), recording("rtl", out=spikes[:2]))
    assert found.equal
    assert (found.samples, found.recorded) == (2, (6, 2))
    assert "2 samples x 8 steps (recorded: 6 and 2 samples)" in found.describe()


@pytest.mark.parametrize(
    ("b", "message"),
    [
        (recording("rtl", other=[[[1]]]), "nothing to compare: integer recorded out, rtl other"),
        (recording("rtl", out=np.ones((2, 4, 3))), "has 5 steps of 3 neurons in integer, 4 of 3"),
        (Recording("rtl", 2e-3, {}, {}), "steps of 0.001 s, rtl of 0.002 s"),
    ],
)
def test_recordings_that_cannot_be_compared(b: Recording, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare(recording("integer", out=np.ones((2, 5, 3), np.int64)), b)


def test_accuracy_takes_the_lower_index_on_ties() -> None:
    spikes = np.zeros((3, 4, 3), np.int64)
    spikes[0, :2, 2] = 1
    spikes[1, 0, 1] = spikes[1, 3, 2] = 1  # a tie of 1 and 2; sample 2 is silent
    found = recording("integer", out=spikes)
    assert accuracy(found, "out", [2, 1, 0]) == (3, 3)
    assert accuracy(found, "out", [2, 2, 1]) == (1, 3)
    with pytest.raises(ValueError, match="3 samples, labels of shape"):
        accuracy(found, "out", [1, 2])
    with pytest.raises(KeyError):
        accuracy(found, "hidden", [1, 2, 3])


def test_accuracy_of_negative_readouts() -> None:
    v = np.full((1, 3, 3), -1.0)
    v[0, :, 1] = -0.5
    assert accuracy(recording("golden", out=v), "out", [1]) == (1, 1)


def test_as_dict_is_json() -> None:
    a, b, stimulus = chain_recordings()
    found = compare(a, b, graph=chain_graph(), stimulus=stimulus)
    data = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert data["equal"] is False
    assert data["first"]["inputs"][0]["weight"] == 3.0
    assert data["rungs"] == ["integer", "rtl"]
    assert isinstance(found, Comparison)


def test_order_of_populations_is_the_graphs() -> None:
    a, b, _ = chain_recordings()
    swapped = Recording("rtl", b.dt, dict(reversed(b.spikes.items())), b.states)
    reordered = Recording("integer", a.dt, dict(reversed(a.spikes.items())), a.states)
    found = compare(reordered, swapped, graph=chain_graph())
    assert [p.population for p in found.populations] == ["hidden", "out"]
