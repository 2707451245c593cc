"""Networks that release by chance: what was released decides, on machines and in circuits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from spikec.backends.sfq.cells.chance import SOURCE, factor, law
from spikec.backends.sfq.rungs.events import Machines
from spikec.backends.sfq.rungs.execute import drives, pulses_of, spikes
from spikec.backends.sfq.synthesis.synthesise import Program, synthesise
from spikec.backends.sfq.tolerance.trims import Counts, counted, synapses
from spikec.compiler.artifact import Artifact, load_artifact
from spikec.compiler.backend import find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.ladder import is_measured, run_rung
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph

from .networks import TARGET, combinations, exclusive, given, layered, quantised

Bools = npt.NDArray[np.bool_]


def made(graph: Graph, *release: str) -> Artifact:
    backend, target = find_target(TARGET)
    options = {"release": release or None}
    return compile_graph(graph, backend, target, Quantise(input_max=1), options).artifact()


def passed(program: Program, trace_of: dict[str, npt.NDArray[np.float64]], steps: int) -> Bools:
    """Whether each synapse of a single layer let a pulse pass in each step, (steps, synapses)."""
    nets = [i.nets["q"] for i in program.netlist.instances if i.kind == "synapse"]
    out = np.zeros((steps, len(nets)), np.bool_)
    for k, net in enumerate(nets):
        out[np.floor(trace_of[net] / program.period).astype(np.int64), k] = True
    return out


def line_of(program: Program, net: str) -> int:
    """The input line whose pulses come to a net."""
    drivers = {i.nets[port]: i for i in program.netlist.instances for port in i.cell.outputs}
    while net in drivers:
        net = drivers[net].nets["a"]
    return program.inputs["in"].index(net)


@settings(max_examples=12)
@drawn(
    st.lists(st.integers(-2, 2), min_size=1, max_size=3).filter(any),
    st.integers(-2, 3),
    st.integers(0, 1000),
)
def test_a_neuron_is_its_function_of_what_was_released(
    weight: list[int], theta: int, seed: int
) -> None:
    graph = quantised(layered([([[float(w) for w in weight]], [theta + 0.5])]))
    try:
        program = synthesise(graph, release={"w0": 0.6})
    except SpikecError as error:
        assert "fires in every step" in str(error)
        return
    x = np.tile(combinations(len(weight)), (8, 1))
    stimulus = given(x)
    trace = Machines(program.netlist).run(drives(program, stimulus), seed)
    assert not trace.violations
    synapses = [i for i in program.netlist.instances if i.kind == "synapse"]
    places = [line_of(program, i.nets["a"]) for i in synapses]
    nets = {i.nets["q"]: trace.of(i.nets["q"]) for i in program.netlist.instances}
    arrived = np.zeros_like(x)
    arrived[:, places] = passed(program, nets, len(x))
    assert (arrived <= x).all()
    wanted = arrived @ np.array(weight) > theta + 0.5
    # Lines without a synapse are lines that do not matter.
    assert (spikes(program, "p0", 1, len(x), trace.of).dense(0)[:, 0] == wanted).all()


def test_one_synapse_a_line_whatever_the_weight() -> None:
    graph = quantised(layered([([[2, 1, 1]], [1.5])]))
    program = synthesise(graph, release={"w0": 0.7})
    kinds = program.netlist.counts
    assert kinds["synapse"] == 3
    plain = synthesise(graph)
    assert kinds["merger"] == plain.netlist.counts["merger"]
    assert kinds["splitter"] == plain.netlist.counts["splitter"]
    for i in program.netlist.instances:
        if i.kind == "synapse":
            assert i.factors == {SOURCE: factor(0.7)}


def test_a_jtl_is_in_front_of_each_synapse() -> None:
    """Behind a splitter, a flip-flop or an input line, so that its law is the one measured."""
    program = synthesise(quantised(exclusive()), release={"w0": 0.9, "w1": 0.8})
    drivers = {i.nets[port]: i.kind for i in program.netlist.instances for port in i.cell.outputs}
    there = [i for i in program.netlist.instances if i.kind == "synapse"]
    assert [drivers.get(i.nets["a"]) for i in there] == ["jtl"] * 6
    single = synthesise(quantised(layered([([[1]], [0.5])])), release={"w0": 0.9})
    kinds = [i.kind for i in single.netlist.instances]
    assert kinds[kinds.index("synapse") - 1] == "jtl"


@pytest.mark.slow
def test_in_a_network_synapses_keep_their_law() -> None:
    """Behind other cells than in the bench, and in front of others, I50 moves by 0.3 sigma."""
    program = synthesise(quantised(exclusive()), release={"w0": 0.9, "w1": 0.9})
    chips = counted(program, {}, 16, temperature=4.2, step=0.2e-12, seed=2, threads=2)
    for name in synapses(program):
        passed = np.sum([chip[name].passed for chip in chips], axis=0)
        tried = np.sum([chip[name].tried for chip in chips], axis=0)
        middle, error = Counts(chips[0][name].bias, passed, tried).middle
        assert abs(middle - law().middle) < 0.3 * law().sigma + 2 * error, name


def test_one_is_no_synapse() -> None:
    graph = quantised(exclusive())
    plain, one = synthesise(graph), synthesise(graph, release={"w0": 1.0, "w1": 1.0})
    assert [i.name for i in one.netlist.instances] == [i.name for i in plain.netlist.instances]
    for word, exact in (("1", True), ("0.9", False), ("w1=0.9", False)):
        artifact = made(exclusive(), word)
        assert artifact.manifest["emission"]["exact"] == exact
        assert is_measured(artifact, "events") == is_measured(artifact, "circuit") == (not exact)


@settings(max_examples=12)
@drawn(st.sampled_from([("w0",), ("w1",), ("s1",), ("w0", "s1"), ("w1", "s1")]), st.data())
def test_lines_with_and_without_synapses_keep_apart(
    names: tuple[str, ...], data: st.DataObject
) -> None:
    """Those of 0.999 lose hardly anything, so that what differs from certainty is seldom."""
    rows = st.lists(st.integers(-2, 2).map(float), min_size=2, max_size=2)
    first, second = data.draw(st.lists(rows, min_size=2, max_size=2)), data.draw(rows)
    skip = data.draw(rows)
    graph = quantised(layered([(first, [0.5, 1.5]), ([second], [0.5])], {1: [skip]}))
    try:
        program = synthesise(graph, release=dict.fromkeys(names, 0.999))
    except SpikecError as error:
        assert "every step" in str(error)
        return
    certain = synthesise(graph)
    stimulus = given(np.tile(combinations(2), (25, 1)))
    trace = Machines(program.netlist).run(drives(program, stimulus), 1)
    assert not trace.violations
    wanted = Machines(certain.netlist).run(drives(certain, stimulus))
    found = spikes(program, "p1", 1, 100, trace.of).dense(0)
    assert (found != spikes(certain, "p1", 1, 100, wanted.of).dense(0)).sum() <= 5


def test_the_rates_of_xor_are_those_of_its_synapses() -> None:
    r"""01: :math:`p^2`. 11: the output is set by one of two lines, and not by both vetoed."""
    p, steps = 0.9, 4000
    x = np.repeat([[[0, 0]], [[0, 1]], [[1, 0]], [[1, 1]]], steps, axis=1)
    stimulus = Stimulus({"in": Events.from_dense(x)})
    artifact = made(exclusive(), str(p))
    recording = run_rung(artifact, "events", stimulus, seed=5).recording
    rates = recording.spikes["p1"].rates()[:, 0, 0]
    both = p * (1 - (1 - p) ** 2) * (1 - p**3)
    wanted = np.array([0.0, p**2, p**2, both])
    assert (np.abs(rates - wanted) <= 4 * np.sqrt(wanted * (1 - wanted) / steps)).all()
    again = run_rung(artifact, "events", stimulus, seed=5).recording
    other = run_rung(artifact, "events", stimulus, seed=6).recording
    assert again.spikes["p1"] == recording.spikes["p1"] != other.spikes["p1"]


def test_a_circuit_releases_by_its_noise() -> None:
    """One line, one neuron: the rate is p, another seed is another run."""
    steps = 64
    artifact = made(layered([([[1]], [0.5])]), "0.7")
    stimulus = given(np.ones((steps, 1), np.int64))
    runs = [
        run_rung(artifact, "circuit", stimulus, seed=seed).recording.spikes["p0"]
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]
    for one in runs:
        rate = float(one.rates()[0, 0, 0])
        assert abs(rate - 0.7) < 4 * np.sqrt(0.7 * 0.3 / steps)
        assert one.value.max() == 1


def test_parameter_sets_have_noise_of_their_own() -> None:
    graph = quantised(layered([([[1]], [0.5])]))
    program = synthesise(graph, release={"w0": 0.5})
    stimulus = given(np.ones((16, 1), np.int64))
    (net,) = program.spikes["p0"]
    assert net is not None
    (own,) = (name for name in program.netlist.biases if name.startswith(f"{SOURCE}|"))

    def times(*factors: float) -> list[npt.NDArray[np.float64]]:
        found = pulses_of(
            program, stimulus, (net,), factors={own: factors}, temperature=4.2, seed=3
        )
        return [one[net] for one in found]

    # By three sigma more and less.
    away = 3 * law().sigma / law().bias(0.5)
    found = times(1.0, 1.0, 1 + away, 1 - away)
    counts = [one.size for one in found]
    assert counts[2] >= 14 and counts[3] <= 2 < counts[0] < 14
    # The first set is the same alone.
    (alone,) = times(1.0)
    assert (alone == found[0]).all()
    assert found[0].size != found[1].size or (found[0] != found[1]).any()


def test_an_artefact_keeps_its_probabilities(tmp_path: Path) -> None:
    artifact = made(exclusive(), "w0=0.98", "0.9")
    facts = artifact.manifest["emission"]["release"]
    found = {name: (one["synapses"], one["probability"]) for name, one in facts.items()}
    assert found == {"w0": (4, [0.98, 0.98]), "w1": (2, [0.9, 0.9])}
    assert facts["w0"]["bias"] == [law().bias(0.98)] * 2 > facts["w1"]["bias"]
    for one in facts.values():
        low, high = one["between"]
        assert low < one["worst"] < high and one["spread"] == 0.02 and not one["weights"]
    artifact.write(tmp_path / "built")
    x = given(np.tile(combinations(2), (20, 1)))
    kept = run_rung(load_artifact(tmp_path / "built"), "events", x).recording
    assert kept.spikes["p1"] == run_rung(artifact, "events", x).recording.spikes["p1"]
    with pytest.raises(SpikecError, match="E1490"):
        run_rung(artifact, "circuit", x, conditions=("wire=1",))


@pytest.mark.parametrize(
    ("release", "code"),
    [
        ({"w0": 0.9995}, "E1445"),
        ({"w1": 0.0}, "E1445"),
        ({"w0": 0.9, "twice": 0.8}, "E1447"),
        ({"w1": 0.9}, "E1447"),
    ],
)
def test_what_cannot_be_released_is_refused(release: dict[str, float], code: str) -> None:
    """A probability that noise has not, two of one line, a pulse that is always there."""
    graph = layered([([[1, 1], [0, 0]], [0.5, -0.5]), ([[1, 1]], [1.5])])
    twice = replace(graph.projections[0], name="twice")
    graph = quantised(replace(graph, projections=(*graph.projections, twice)))
    with pytest.raises(SpikecError, match=code):
        synthesise(graph, release=release)
