"""The golden reference against closed forms, Brian2's own integrators and its own promises."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.reference import golden, session
from spikec.backends.reference.golden import run_golden
from spikec.backends.reference.plan import make_plan, numpy_seconds
from spikec.ir.connections import Chain, Connection, Delay, Dense, OneToOne
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import (
    IF,
    LI,
    LIF,
    CubaLI,
    CubaLIF,
    IntegerNeuron,
    Integrator,
    LinearLIF,
    Neuron,
    Relay,
)
from spikec.ir.numerics import Format, Numerics
from spikec.ir.plasticity import Plasticity, Trace, TraceSTDP
from spikec.ir.semantics import Comparison, Current, Decay, Gain, IntegratorGain, Reset, Semantics

Values = npt.NDArray[Any]
DT = 1e-3
EXACT = Semantics(decay=Decay.EXPONENTIAL, gain=Gain.EXACT)


def cell(model: type[Neuron], *values: float) -> Neuron:
    """A model with one value of each parameter for all neurons."""
    return model(*map(np.float64, values))


def one(neuron: Neuron, semantics: Semantics = EXACT, **projection: Any) -> Graph:
    """One input line, one neuron."""
    return Graph(
        "one",
        DT,
        (Input("in", (1,)),),
        (Population("cell", (1,), neuron, semantics),),
        (Projection("w", "in", "cell", OneToOne(np.ones(()), (1,)), **projection),),
        (Output("out", "cell"),),
    )


def drive(values: object) -> Stimulus:
    return Stimulus({"in": Events.from_dense(np.asarray(values)[None, :, None])})


def trace(graph: Graph, stimulus: Stimulus, variable: str = "v") -> Values:
    found = run_golden(graph, stimulus, record=[("cell", variable)], codegen="numpy")
    return found.states["cell", variable][0, :, 0]


def spikes(found: Recording, name: str = "cell") -> list[int]:
    return [int(step) for step in found.spikes[name].step]


# -- closed forms --------------------------------------------------------------------------------

STEP = np.arange(1, 41)


def test_lif_membrane_decays_to_its_leak() -> None:
    semantics = dataclasses.replace(EXACT, v_init=0.75)
    v = trace(one(cell(LIF, 8e-3, 1.0, 0.25, 2.0), semantics), drive(np.zeros(40, int)))
    np.testing.assert_allclose(v, 0.25 + 0.5 * np.exp(-STEP * DT / 8e-3), rtol=1e-13)


def test_a_linear_leak_ends_at_its_goal() -> None:
    """The same amount in every step, from either side, and then v_leak itself."""
    for start, side in ((0.9, 1), (-0.5, -1)):
        semantics = dataclasses.replace(EXACT, v_init=start)
        graph = one(cell(LinearLIF, 40.0, 1.0, 0.3, 2.0), semantics)
        v = trace(graph, drive(np.zeros(40, int)))
        left = np.maximum(abs(start - 0.3) - STEP * 40.0 * DT, 0)
        wanted = 0.3 + side * left
        np.testing.assert_allclose(v, wanted, rtol=1e-13)
        assert (v[-5:] == 0.3).all() and (v[:5] != 0.3).all()


def test_li_step_response() -> None:
    v = trace(one(cell(LI, 8e-3, 3.0, 0.0)), drive(np.full(40, 0.5)))
    np.testing.assert_allclose(v, 1.5 * (1 - np.exp(-STEP * DT / 8e-3)), rtol=1e-13)


def test_cuba_impulse_response_is_a_double_exponential() -> None:
    graph = one(cell(CubaLI, 3e-3, 8e-3, 2.0, 0.0, 5.0))
    impulse = drive(np.eye(1, 40, dtype=int)[0])
    fast, slow = np.exp(-DT / 3e-3), np.exp(-DT / 8e-3)
    u = 5.0 * (1 - fast) * fast ** (STEP - 1)
    np.testing.assert_allclose(trace(graph, impulse, "u"), u, rtol=1e-13)
    v = 2.0 * (1 - slow) * 5.0 * (1 - fast) * (fast**STEP - slow**STEP) / (fast - slow)
    np.testing.assert_allclose(trace(graph, impulse), v, rtol=1e-12)


def test_if_counts_its_input() -> None:
    """After n steps at 3/8 a neuron of threshold 1 has spiked as often as n 3/8 passed 1."""
    graph = one(cell(IF, 0.375, 1.0), Semantics(reset=Reset.SUBTRACT))
    found = run_golden(graph, drive(np.ones(64, int)), codegen="numpy")
    # Strictly above: at a whole number the spike comes a step later.
    total = np.ceil(np.arange(1, 65) * 3 / 8) - 1
    assert spikes(found) == (np.flatnonzero(np.diff(total, prepend=0))).tolist()
    equal = one(
        cell(IF, 0.375, 1.0), Semantics(reset=Reset.SUBTRACT, comparison=Comparison.GREATER_EQUAL)
    )
    total = np.floor(np.arange(1, 65) * 3 / 8)
    assert (
        spikes(run_golden(equal, drive(np.ones(64, int)), codegen="numpy"))
        == (np.flatnonzero(np.diff(total, prepend=0))).tolist()
    )


def test_integrator_by_the_letter_gains_per_second() -> None:
    semantics = Semantics(integrator_gain=IntegratorGain.PER_SECOND)
    v = trace(one(cell(Integrator, 4.0), semantics), drive(np.ones(40, int)))
    np.testing.assert_allclose(v, 4.0 * DT * STEP, rtol=1e-13)


def test_counts_beyond_32_bits() -> None:
    graph = one(cell(IF, 1.0, 0.5), Semantics(reset=Reset.SUBTRACT, max_spikes=None))
    found = run_golden(graph, drive([0, 2**40, 3]), codegen="numpy")
    assert found.spikes["cell"].value.tolist() == [2**41, 6]


# -- Brian2's integrators of the differential equations ------------------------------------------


def integrate(equations: str, method: str, reset: str, current: Values) -> tuple[list[int], Values]:
    brian = session.load_brian()
    with session.session(brian, None):
        namespace = {"ms": brian.ms, "drive": brian.TimedArray(current, DT * brian.second)}
        clock = brian.Clock(DT * brian.second)
        group = brian.NeuronGroup(
            1,
            equations,
            method,
            threshold="v > 1",
            reset=reset,
            clock=clock,
            namespace=namespace,
        )
        group.run_regularly("S = drive(t)", when="start", clock=clock)
        monitor = brian.SpikeMonitor(group)
        state = brian.StateMonitor(group, "v", record=True, when="end", clock=clock)
        network = brian.Network(group, monitor, state)
        network.run(len(current) * DT * brian.second, namespace={})
        return np.rint(monitor.t_[:] / DT).astype(int).tolist(), np.array(state.v[0])


CURRENT = np.random.default_rng(5).uniform(0, 3, 300)


@pytest.mark.parametrize(
    ("method", "semantics"),
    [("exact", EXACT), ("euler", Semantics(decay=Decay.EULER, gain=Gain.EULER))],
)
@pytest.mark.parametrize(
    ("reset", "code"),
    [(Reset.VALUE, "v = -0.5"), (Reset.SUBTRACT, "v -= 1"), (Reset.ZERO, "v = 0")],
)
def test_lif_is_what_brian2_integrates(
    method: str, semantics: Semantics, reset: Reset, code: str
) -> None:
    expected, v = integrate("dv/dt = (0.2 - v + 1.5*S)/(9*ms) : 1\nS : 1", method, code, CURRENT)
    graph = one(cell(LIF, 9e-3, 1.5, 0.2, 1.0, -0.5), dataclasses.replace(semantics, reset=reset))
    found = run_golden(graph, drive(CURRENT), record=[("cell", "v")], codegen="numpy")
    assert len(expected) > 10
    assert spikes(found) == expected
    np.testing.assert_allclose(found.states["cell", "v"][0, :, 0], v, rtol=1e-10, atol=1e-12)


def test_cuba_lif_is_what_brian2_integrates() -> None:
    equations = """dv/dt = (0.1 - v + 3*u)/(9*ms) : 1
    du/dt = (2*S - u)/(4*ms) : 1
    S : 1"""
    expected, v = integrate(equations, "euler", "v = 0", CURRENT)
    semantics = Semantics(decay=Decay.EULER, gain=Gain.EULER, current=Current.OLD)
    graph = one(cell(CubaLIF, 4e-3, 9e-3, 3.0, 0.1, 2.0, 1.0), semantics)
    found = run_golden(graph, drive(CURRENT), record=[("cell", "v")], codegen="numpy")
    assert len(expected) > 10
    assert spikes(found) == expected
    np.testing.assert_allclose(found.states["cell", "v"][0, :, 0], v, rtol=1e-10, atol=1e-12)


# -- time ----------------------------------------------------------------------------------------


def layered(delays: tuple[int, int, int], lags: tuple[int, int], registered: bool = False) -> Graph:
    """Two layers with a recurrent loop on the first; delays of input, forward and loop."""
    rng = np.random.default_rng(7)
    semantics = Semantics(reset=Reset.SUBTRACT, registered=registered, v_init=0.25)

    def dense(post: int, pre: int) -> Connection:
        weight = rng.integers(-4, 8, (post, pre)) / 8
        return Chain((Delay(np.arange(pre) % 3, (pre,)), Dense(weight)))

    return Graph(
        "layered",
        DT,
        (Input("in", (5,)),),
        (
            Population("late", (4,), cell(LIF, 5e-3, 5.0, 0.0, 1.0), semantics, lags[1]),
            Population("early", (6,), cell(LIF, 9e-3, 9.0, 0.0, 1.0), semantics, lags[0]),
        ),
        (
            Projection("a", "in", "early", dense(6, 5), delays[0], np.full(6, 0.125)),
            Projection("b", "early", "late", dense(4, 6), delays[1], np.array(-0.125)),
            Projection("c", "early", "early", dense(6, 6), delays[2], np.array(0.25), True),
        ),
        (Output("out", "late"), Output("hidden", "early")),
    )


def noise(samples: int, steps: int, lines: int, seed: int = 3) -> Stimulus:
    rng = np.random.default_rng(seed)
    return Stimulus({"in": Events.from_dense(rng.random((samples, steps, lines)) < 0.3)})


@pytest.mark.parametrize("registered", [False, True])
def test_a_retimed_graph_gives_the_recording_of_the_original(registered: bool) -> None:
    stimulus = noise(3, 30, 5)
    record = [("late", "v"), ("early", "v")]
    first = run_golden(
        layered((0, 0, 1), (0, 0), registered), stimulus, record=record, codegen="numpy"
    )
    retimed = run_golden(
        layered((2, 1, 1), (2, 3), registered), stimulus, record=record, codegen="numpy"
    )
    assert first.spikes["late"].value.size > 20
    assert first == retimed


def test_samples_do_not_touch_each_other() -> None:
    graph = layered((1, 4, 3), (1, 2))
    stimulus = noise(6, 12, 5)
    order = np.array([4, 0, 5, 2, 1, 3])
    events = stimulus.inputs["in"]
    dense = np.array([events.dense(k) for k in range(6)])
    shuffled = Stimulus({"in": Events.from_dense(dense[order])})
    record = [("late", "v"), ("early", "v")]
    plain = run_golden(graph, stimulus, record=record, codegen="numpy")
    mixed = run_golden(graph, shuffled, record=record, codegen="numpy")
    for name in ("late", "early"):
        assert plain.spikes[name].value.size > 20
        for place, source in enumerate(order):
            assert np.array_equal(mixed.spikes[name].dense(place), plain.spikes[name].dense(source))
        assert np.array_equal(mixed.states[name, "v"], plain.states[name, "v"][order])


def test_a_silent_stimulus_and_one_without_steps() -> None:
    graph = one(cell(LIF, 8e-3, 1.0, 0.0, 1.0))
    found = run_golden(graph, drive(np.zeros(4, int)), codegen="numpy")
    assert spikes(found) == [] and found.spikes["cell"].integer
    empty = run_golden(graph, drive(np.zeros(0, int)), record=[("cell", "v")])
    assert empty.spikes["cell"].steps == 0
    assert empty.states["cell", "v"].shape == (1, 0, 1)


def test_what_is_recorded() -> None:
    graph = layered((0, 0, 1), (0, 0))
    stimulus = noise(2, 8, 5)
    found = run_golden(graph, stimulus, populations=["early"], codegen="numpy")
    assert set(found.spikes) == {"early"} and not found.states
    assert (found.rung, found.dt, found.samples) == ("golden", DT, 2)
    both = run_golden(graph, stimulus, codegen="numpy")
    assert set(both.spikes) == {"early", "late"}
    assert both.spikes["early"] == found.spikes["early"]


# -- code generation -----------------------------------------------------------------------------


def test_standalone_code_gives_the_same_recording(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    graph = one(cell(LIF, 9e-3, 1.5, 0.2, 1.0), delay=2)
    stimulus = drive(np.random.default_rng(1).integers(0, 3, 200))
    seen: list[float] = []
    before = state_of_the_process()
    options: dict[str, Any] = {"record": [("cell", "v")], "codegen": "standalone"}
    fast = run_golden(graph, stimulus, progress=seen.append, **options)
    assert seen == [1.0]
    assert fast.spikes["cell"].value.size > 10
    assert run_golden(graph, stimulus, record=[("cell", "v")], codegen="numpy") == fast
    assert state_of_the_process() == before
    assert not os.listdir(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_auto_chooses_by_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(layered((0, 0, 1), (0, 0)), noise(2, 8, 5), ("late",), (), {})
    assert numpy_seconds(plan) < 0.1
    graph = one(cell(LI, 8e-3, 1.0, 0.0))
    monkeypatch.setattr(golden, "_STANDALONE_FROM_SECONDS", 0.0)
    monkeypatch.setattr(golden, "compiler_missing", lambda: "g++")
    assert run_golden(graph, drive([1, 0])).spikes["cell"].value.size == 2


def test_progress_is_the_finished_share() -> None:
    seen: list[float] = []
    run_golden(one(Relay()), drive([1, 2]), codegen="numpy", progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0


# -- what may go wrong ---------------------------------------------------------------------------


def state_of_the_process() -> dict[str, object]:
    brian = session.load_brian()
    return {
        "device": brian.get_device(),
        "preferences": str(brian.prefs.as_file),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "level": logging.getLogger("brian2").level,
        "warnings": list(warnings.filters),
        "running": brian.Network._globally_running,
    }


class Stop(KeyboardInterrupt):
    """What a user's Ctrl-C raises, told apart from a real one."""


def test_an_interrupt_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    graph, stimulus = one(cell(LIF, 8e-3, 9.0, 0.0, 1.0)), drive(np.ones(50, int))
    expected = run_golden(graph, stimulus, codegen="numpy")
    before = state_of_the_process()

    def stop(*_: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        run_golden(graph, stimulus, codegen="numpy", progress=stop)
    assert state_of_the_process() == before
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(session, "_call", stop)
        run_golden(graph, stimulus, codegen="standalone")
    assert state_of_the_process() == before
    assert not os.listdir(tmp_path)
    assert run_golden(graph, stimulus, codegen="numpy") == expected


def test_an_interrupt_ends_the_compilers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[subprocess.Popen[str]] = []

    class Interrupted(subprocess.Popen):  # type: ignore[type-arg]
        def wait(self, timeout: float | None = None) -> int:
            if self not in started:
                started.append(self)
                raise Stop
            return super().wait(timeout)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(Stop):
        session._call(["sh", "-c", "exec sleep 600"], tmp_path)
    assert started[0].returncode == -signal.SIGKILL


def test_importing_brian2_changes_nothing(tmp_path: Path) -> None:
    script = """
import signal, sys, warnings
import os, tempfile
tempfile.tempdir = sys.argv[1]
before = sys.excepthook, signal.getsignal(signal.SIGINT), warnings.showwarning
from spikec.backends.reference import session
assert "brian2" not in sys.modules
session.load_brian()
assert "brian2" in sys.modules
assert before == (sys.excepthook, signal.getsignal(signal.SIGINT), warnings.showwarning)
assert not os.listdir(tempfile.tempdir)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def code(graph: Graph, stimulus: Stimulus, **options: Any) -> str:
    with pytest.raises(SpikecError) as caught:
        run_golden(graph, stimulus, **options)
    (diagnostic,) = caught.value.diagnostics
    return f"{diagnostic.code} {diagnostic.message} {diagnostic.hint}"


def test_errors_are_coded(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, stimulus = one(cell(LIF, 8e-3, 1.0, 0.0, 1.0)), drive([1, 0])
    assert code(graph, stimulus, populations=["none"]).startswith("E0206")
    assert code(graph, stimulus, record=[("cell", "u")]).startswith("E0206")
    assert code(graph, stimulus, record=[("in", "v")]).startswith("E0206")
    other = Stimulus({"other": stimulus.inputs["in"]})
    assert code(graph, other).startswith("E0702")
    extra = Stimulus({"in": stimulus.inputs["in"], "other": stimulus.inputs["in"]})
    assert code(graph, extra).startswith("E0702")
    wide = Stimulus({"in": Events.from_dense(np.ones((1, 2, 3), int))})
    assert "has 1 lines, the stimulus 3" in code(graph, wide)
    many = one(cell(IF, 1.0, 0.0), Semantics(max_spikes=None))
    assert "the threshold is 0" in code(many, stimulus)
    word = Format(16)
    zero, full = np.array(0), np.array(1)
    quantised = IntegerNeuron(
        Numerics(word, word), "LIF", 1.0, 0, full, full, zero, zero, zero, "zero"
    )
    assert code(one(quantised), stimulus).startswith("E0301")
    rule = Plasticity(TraceSTDP(Trace(1), Trace(1)), -9, 9)
    each = OneToOne(np.ones(1), (1,))
    learns = tuple(
        dataclasses.replace(p, connection=each, plasticity=rule) for p in graph.projections
    )
    assert "learns by TraceSTDP" in code(dataclasses.replace(graph, projections=learns), stimulus)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "brian2", None)
        assert "pip install 'spikec[golden]'" in code(graph, stimulus)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        assert code(graph, stimulus, codegen="standalone").startswith("E0602 g++")


def test_a_failing_tool_is_quoted(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SpikecError, match="ended with code 3:\nno such header"):
        session._call(["sh", "-c", "echo no such header; exit 3"], tmp_path)
    assert signal.getsignal(signal.SIGINT) is before
