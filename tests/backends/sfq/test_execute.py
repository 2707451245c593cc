"""Drives, spikes out of pulses, and both rungs beside the integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikec.backends.sfq import execute
from spikec.backends.sfq.execute import drives, spikes, steps_of
from spikec.backends.sfq.files import read_program
from spikec.backends.sfq.synthesise import Program, synthesise
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.ladder import run_rung
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus

from .networks import TARGET, combinations, exclusive, given, quantised

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


@pytest.mark.parametrize("rung", ["events", "circuit"])
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
    assert wanted.spikes["p1"].value.sum() == 2
    if rung == "circuit":
        assert told == [0.75, 1.0]


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
