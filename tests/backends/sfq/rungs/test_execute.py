"""Drives, spikes out of pulses, and both rungs beside the integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from spikec.backends.sfq.cells.netlist import Netlist, pulses
from spikec.backends.sfq.josephson.circuit import Circuit, CurrentSource, Inductor, Junction
from spikec.backends.sfq.josephson.simulate import Simulator, Transient
from spikec.backends.sfq.josephson.waves import Wave
from spikec.backends.sfq.rungs import execute, josim
from spikec.backends.sfq.rungs.conditions import Conditions
from spikec.backends.sfq.rungs.execute import begins, drives, restarts, spikes, steps_of, stride
from spikec.backends.sfq.synthesis.files import read_program
from spikec.backends.sfq.synthesis.synthesise import Program, synthesise
from spikec.boards.process import load_process
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.ladder import run_chips, run_rung
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus

from ...programs import needs_josim, needs_ngspice
from ..networks import (
    TARGET,
    combinations,
    exclusive,
    given,
    latch,
    layered,
    quantised,
)

OPTIONS = Quantise(input_max=1)


@pytest.fixture(scope="module")
def program() -> Program:
    return synthesise(quantised(exclusive()))


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return compile_graph(exclusive(), *find_target(TARGET), OPTIONS).artifact()


def test_when_pulses_are_driven(program: Program) -> None:
    """Samples follow one another, a pulse a spike, clocks in every step."""
    dense = np.array([[[1, 0], [0, 1]], [[0, 0], [1, 1]]])
    found = drives(program, Stimulus({"in": Events.from_dense(dense)}))
    period = program.period
    np.testing.assert_allclose(found["in[0]"], np.array([0, 3]) * period + program.start)
    np.testing.assert_allclose(found["in[1]"], np.array([1, 3]) * period + program.start)
    for clock, time in program.clocks.items():
        np.testing.assert_allclose(found[clock], np.arange(4) * period + time)


def test_a_piece_begins_anew(program: Program) -> None:
    dense = np.random.default_rng(1).integers(0, 2, (2, 5, 2))
    stimulus = Stimulus({"in": Events.from_dense(dense)})
    whole, piece = drives(program, stimulus), drives(program, stimulus, 3, 8)
    for net, times in whole.items():
        moved = times - 3 * program.period
        kept = moved[(times >= 3 * program.period) & (times < 8 * program.period)]
        if net in program.clocks:
            kept = moved[3:8]
        np.testing.assert_allclose(piece[net], kept, atol=1e-18)


def test_the_step_of_a_pulse(program: Program) -> None:
    (net,) = program.spikes["p1"]
    assert net is not None
    low, high = program.windows[net]
    times = np.array([low, high, low + 7 * program.period, high + 2 * program.period])
    assert steps_of(program, net, times).tolist() == [0, 0, 7, 2]


def test_spikes_of_other_steps_are_left_out(program: Program) -> None:
    (net,) = program.spikes["p1"]
    assert net is not None
    low, _ = program.windows[net]
    times = low + program.period * np.array([-1, 0, 2, 9])
    assert spikes(program, "p1", 1, 4, lambda _: times).dense(0)[:, 0].tolist() == [1, 0, 1, 0]


def test_counts_are_refused(program: Program) -> None:
    with pytest.raises(SpikecError, match="E1437") as caught:
        drives(program, given([[0, 2], [1, 1]]))
    assert "count of 2" in str(caught.value)


@pytest.mark.parametrize(
    "rung",
    [
        "events",
        "circuit",
        pytest.param("ngspice", marks=(needs_ngspice, pytest.mark.slow)),
        pytest.param("josim", marks=needs_josim),
    ],
)
def test_rungs_are_the_integers(
    artifact: Artifact, rung: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces of 3 steps, which overlap where the last pulse of one comes."""
    monkeypatch.setattr(execute, "_STEPS", 3)
    order = np.random.default_rng(3).permutation(4)
    stimulus = given(combinations(2)[order])
    names = ["p0", "p1"]
    told: list[float] = []
    found = run_rung(
        artifact, rung, stimulus, populations=names, progress=lambda _, share: told.append(share)
    ).recording
    wanted = run_rung(artifact, "integer", stimulus, populations=names).recording
    assert found.spikes == wanted.spikes and found.rung == rung
    # All rungs have the network's step; what a step of the circuit takes is beside it.
    assert found.dt == wanted.dt == 1e-9 and wanted.period is None
    assert found.period == read_program(artifact).period
    assert wanted.spikes["p1"].value.sum() == 2
    if rung == "circuit":
        assert told == sorted(told) and told[-1] == 1.0
    elif rung != "events":
        assert told == [0.75, 1.0]


def test_pieces_are_simulated_at_once(artifact: Artifact, program: Program) -> None:
    """19 steps are seven pieces of three, of which the last has one; skews are those of steps."""
    x = np.random.default_rng(5).integers(0, 2, (1, 19, 2))
    stimulus = Stimulus({"in": Events.from_dense(x)})
    late = {"in": np.random.default_rng(6).uniform(-5e-12, 5e-12, x.shape)}
    (batch,) = execute._batches(program, stimulus, late, 100, program.latency)
    assert batch.first.tolist() == [0, 3, 6, 9, 12, 15, 18] and batch.whole == 7
    several = list(execute._batches(program, stimulus, late, 3, program.latency))
    assert [one.first.tolist() for one in several] == [[0, 3, 6], [9, 12, 15], [18]]
    nets = tuple(net for net in program.spikes["p1"] if net is not None)
    (found,) = execute.pulses_of(program, stimulus, nets, late=late)
    wanted = run_rung(artifact, "integer", stimulus, populations=["p1"]).recording.spikes["p1"]
    assert spikes(program, "p1", 1, 19, found.__getitem__) == wanted
    # A pulse that the last step of a piece sends late comes where it does in one long run.
    alone = (
        Simulator(
            program.netlist.circuit(
                {net: pulses(20e-12 + t) for net, t in drives(program, stimulus, late=late).items()}
            )
        )
        .run(Transient(20 * program.period + 1e-10), watch=nets)
        .pulses
    )
    for net in nets:
        np.testing.assert_allclose(found[net], alone.of(net) - 20e-12, rtol=0, atol=1e-13)


def test_samples_are_apart_where_something_is_remembered() -> None:
    program = synthesise(quantised(latch()))
    dense = np.array([[[1, 0], [0, 1], [0, 0]], [[0, 0], [1, 1], [0, 0]]])
    stimulus = Stimulus({"in": Events.from_dense(dense)})
    every = stride(program, 3)
    assert (every - 3) * program.period > program.latency
    begin = np.array([0, 1, 2, every, every + 1, every + 2]) * program.period
    np.testing.assert_allclose(begins(program, 2, 3), begin)
    found = drives(program, stimulus)
    np.testing.assert_allclose(found["in[0]"], begin[[0, 4]] + program.start)
    np.testing.assert_allclose(found["launch"], begin)
    # A sample by itself begins at 0.
    np.testing.assert_allclose(drives(program, stimulus, 3, 6)["launch"], begin[:3], atol=1e-18)
    (between,) = restarts(program, stimulus)
    assert 2 * program.period + program.latency < between < begin[3]
    plain = synthesise(quantised(exclusive()))
    assert stride(plain, 3) == 3 and restarts(plain, stimulus).size == 0


@pytest.mark.parametrize("rung", ["events", "circuit"])
def test_rungs_remember_what_the_integers_do(rung: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a sample, however long, and from rest in the next: a latch is on at the end of one."""
    monkeypatch.setattr(execute, "_STEPS", 3)
    artifact = compile_graph(latch(), *find_target(TARGET), OPTIONS).artifact()
    dense = np.array(
        [[[0, 0], [1, 0], [0, 0], [0, 1], [1, 0]], [[0, 0], [0, 1], [1, 0]] + 2 * [[0, 0]]]
    )
    stimulus = Stimulus({"in": Events.from_dense(dense)})
    found = run_rung(artifact, rung, stimulus, populations=["p0"]).recording
    wanted = run_rung(artifact, "integer", stimulus, populations=["p0"]).recording
    assert found.spikes == wanted.spikes
    fires = [wanted.spikes["p0"].dense(sample)[:, 0].tolist() for sample in (0, 1)]
    assert fires == [[0, 1, 1, 0, 1], [0, 0, 1, 1, 1]]


@needs_ngspice
def test_ngspice_is_the_integers() -> None:
    """One neuron that fires with either line."""
    graph = layered([([[1, 1]], [0.5])])
    artifact = compile_graph(graph, *find_target(TARGET), OPTIONS).artifact()
    stimulus = given([[0, 1], [0, 0], [1, 0]])
    found = run_rung(artifact, "ngspice", stimulus, populations=["p0"]).recording
    wanted = run_rung(artifact, "integer", stimulus, populations=["p0"]).recording
    assert found.spikes == wanted.spikes and list(wanted.spikes["p0"].step) == [0, 2]


def test_ngspice_has_no_chance() -> None:
    """Refused whether it is there or not."""
    target = find_target(TARGET)
    options = {"release": ("w0=0.9",)}
    artifact = compile_graph(exclusive(), *target, OPTIONS, options).artifact()
    with pytest.raises(SpikecError, match="E1460") as found:
        run_rung(artifact, "ngspice", given(combinations(2)))
    assert "what 4 synapses release" in str(found.value)


@pytest.mark.parametrize("rung", ["events", "circuit"])
def test_a_run_without_steps(artifact: Artifact, rung: str) -> None:
    nothing = given(np.zeros((0, 2)))
    found = run_rung(artifact, rung, nothing, populations=["p1"]).recording
    assert found.spikes["p1"].steps == 0 and found.spikes["p1"].value.size == 0


def test_pulses_that_are_too_close_are_refused(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program whose steps are too short."""
    good = read_program(artifact)
    short = replace(good, period=good.period / 8)
    monkeypatch.setattr(execute, "read_program", lambda _: short)
    with pytest.raises(SpikecError, match="E1435"):
        run_rung(artifact, "events", given(np.ones((4, 2))))


CHIPS = ("spread=12%", "temperature=4.2", "skew=5ps")


def test_chips_together_are_chips_alone(artifact: Artifact) -> None:
    """Whatever batch a chip is in, and with the largest seed there is."""
    stimulus = given(combinations(2))
    memory: dict[object, object] = {}
    seeds = (3, 4, 5, 2**32 - 1)
    names = ["p0", "p1"]
    batch = run_chips(
        *(artifact, "circuit", stimulus, seeds),
        populations=names,
        conditions=CHIPS,
        memory=memory,
    )
    alone = [
        run_rung(artifact, "circuit", stimulus, populations=names, seed=seed, conditions=CHIPS)
        for seed in seeds
    ]
    for one, other in zip(batch, alone, strict=True):
        assert one.recording.spikes == other.recording.spikes
    assert len({str(one.recording.spikes["p1"].step.tolist()) for one in batch}) > 1


def test_conditions_of_the_circuit(artifact: Artifact) -> None:
    """Without bias nothing moves; within its margin and with pulses off time all is as it was."""
    stimulus = given(combinations(2))
    wanted = run_rung(artifact, "integer", stimulus).recording.spikes["p1"]

    def found(*words: str) -> Events:
        return run_rung(artifact, "circuit", stimulus, conditions=words).recording.spikes["p1"]

    assert found("bias=0.3").value.sum() == 0
    assert found("bias=1.1", "spread=1%", "skew=5ps", "temperature=4.2") == wanted
    with pytest.raises(SpikecError, match="E1490"):
        found("skew=6ps")
    with pytest.raises(SpikecError, match="E0707"):
        run_rung(artifact, "events", stimulus, conditions=("bias=1",))


def test_pulses_that_are_late(program: Program) -> None:
    """Each by its own, in the piece that it is in."""
    dense = np.ones((2, 5, 2), np.int64)
    stimulus = Stimulus({"in": Events.from_dense(dense)})
    late = np.asarray(np.arange(20.0).reshape(2, 5, 2) * 1e-13, np.float64)
    plain = drives(program, stimulus, 3, 8)
    moved = drives(program, stimulus, 3, 8, {"in": late})
    for i in range(2):
        shift = moved[f"in[{i}]"] - plain[f"in[{i}]"]
        np.testing.assert_allclose(shift, late.reshape(10, 2)[3:8, i], atol=1e-18)
    assert all(np.array_equal(moved[clock], plain[clock]) for clock in program.clocks)


def test_josim_is_given_the_same_chip(
    artifact: Artifact, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its circuit has the values that the batch multiplies by."""
    seen: list[tuple[Circuit, Transient]] = []

    def pulses(
        netlist: Netlist, waves: Mapping[str, Wave], how: Transient, nets: tuple[str, ...]
    ) -> dict[str, object]:
        seen.append((netlist.circuit(waves), how))
        return {net: np.zeros(0) for net in nets}

    monkeypatch.setattr(josim, "pulses", pulses)
    words = ("spread=5%", "bias=0.9", "temperature=2")
    run_rung(artifact, "josim", given(combinations(2)), seed=7, conditions=words)
    ((circuit, how),) = seen
    plain = program.netlist.circuit({})
    wanted = Conditions.of(words).chips(plain, load_process(TARGET), (7,))
    assert how.temperature == 2
    for part in plain.of(Junction, CurrentSource, Inductor):
        mine = circuit.part(part.name)
        if isinstance(part, Junction):
            assert isinstance(mine, Junction)
            ratio = mine.area / part.area
        elif isinstance(part, Inductor):
            assert isinstance(mine, Inductor)
            ratio = mine.henry / part.henry
        else:
            assert isinstance(mine, CurrentSource)
            ratio = float(mine.wave.at(0.0)) / float(part.wave.at(0.0))
        assert ratio == pytest.approx(float(wanted[part.name][0]), rel=1e-9)
