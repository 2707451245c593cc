"""The rung ``ngspice``: which vectors it is asked for and when, and that it is the same chip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.backends.crossbar import backend, operating
from spikec.backends.crossbar.chip import Chip
from spikec.backends.crossbar.circuit import Crossbar
from spikec.backends.crossbar.conditions import Conditions
from spikec.backends.crossbar.design import Design, design
from spikec.backends.crossbar.nonlinear import Curve, NonlinearSolver
from spikec.backends.crossbar.operating import Operated, find_all, seconds
from spikec.boards.macro import load_macro
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import find_target, no_progress
from spikec.compiler.cli.main import invoke
from spikec.compiler.compile import compile_graph
from spikec.compiler.ladder import is_heavy, run_rung
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.stimulus import LabelledStimulus, stimulus_bytes
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError, fail
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF

from ..programs import needs_ngspice

WORDS = ("tile=16", "wire=5", "stuck=2%", "age=1day")


def network() -> Graph:
    """5 lines, 6 neurons, 3 neurons."""
    r = np.random.default_rng(5)
    one = np.asarray(1.0)
    neuron = LIF(tau=np.asarray(0.02), r=one, v_leak=np.asarray(0.0), v_threshold=one)
    return Graph(
        "small",
        1e-3,
        (Input("in", (5,)),),
        (Population("hidden", (6,), neuron), Population("out", (3,), neuron)),
        (
            Projection("w1", "in", "hidden", Dense(r.normal(8.0, 8.0, (6, 5)))),
            Projection("w2", "hidden", "out", Dense(r.normal(8.0, 8.0, (3, 6)))),
        ),
        (Output("spikes", "out"),),
    )


def stimulus(steps: int = 12) -> Stimulus:
    dense = np.random.default_rng(6).poisson(0.5, (2, steps, 5))
    return Stimulus({"in": Events.from_dense(np.minimum(dense, 2))})


def artifact(*words: str, target: str = "rram-wan") -> Artifact:
    options = {"conditions": (*WORDS, *words)}
    quantise = Quantise(weight_bits=5, input_max=2)
    return compile_graph(network(), *find_target(target), quantise, options).artifact()


def one_layer(*words: str, macro: str = "rram-wan", size: tuple[int, int] = (6, 20)) -> Design:
    post = Population("post", size[:1], LIF(*map(np.asarray, (0.02, 1.0, 0.0, 1.0))))
    weight = np.random.default_rng(3).integers(-15, 16, size)
    graph = Graph(
        "one",
        1e-3,
        (Input("in", size[1:]),),
        (post,),
        (Projection("p", "in", "post", Dense(weight)),),
        (Output("out", "post"),),
    )
    return design(graph, load_macro(macro), Conditions().but([*WORDS, *words]))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The solvers in the place of ngspice: how many vectors each process was asked for."""
    found: list[int] = []

    def solved(
        circuit: Crossbar, voltage: Any, active: Any, curve: Any, **more: Any
    ) -> np.typing.NDArray[Any]:
        assert more["timeout"] > 60
        found.append(len(voltage))
        if more["progress"] is not None:
            more["progress"](0.5)
        return NonlinearSolver(circuit, curve or Curve()).currents(voltage, active)

    monkeypatch.setattr(operating, "operating_points", solved)
    monkeypatch.setattr("spikec.backends.crossbar.execute.needed", lambda: "ngspice")
    yield found


def nothing(pulses: Any, noisy: bool) -> tuple[Any, Any]:
    """The currents of no model."""
    return np.zeros(()), np.zeros(())


@needs_ngspice
@pytest.mark.parametrize(
    ("macro", "words"),
    [
        ("rram-wan", ()),
        ("rram-wan", ("signs=offset", "gated=off")),
        ("rram-hfo2", ("age=none",)),
        ("pcm", ()),
    ],
)
def test_every_spike_is_that_of_the_circuit(macro: str, words: tuple[str, ...]) -> None:
    made = artifact(*words, target=macro)
    shown = {"populations": ("hidden", "out"), "record": (("hidden", "v"), ("out", "v"))}
    circuit, ngspice = (
        run_rung(made, rung, stimulus(), seed=4, **shown).recording  # type: ignore[arg-type]
        for rung in ("circuit", "ngspice")
    )
    assert ngspice.rung == "ngspice" and sum(e.value.sum() for e in ngspice.spikes.values()) > 20
    assert ngspice.spikes == circuit.spikes
    for key, states in circuit.states.items():
        assert np.array_equal(ngspice.states[key], states)


def test_what_no_conductances_make_up_for_is_told_of_a_run() -> None:
    """Wires that the design was not made for, asked for by a run."""
    made = artifact("gated=off", "programming=off")
    assert run_rung(made, "circuit", stimulus()).told == ()
    (told,) = run_rung(made, "circuit", stimulus(), conditions=("wire=1e5", "wire=3e4")).told[:1]
    assert told.code == "W1322" and "make up for the wires" in told.message


def test_ngspice_is_started_once_a_tile(asked: list[int]) -> None:
    """What the rehearsal asks for is all that the run needs."""
    made = artifact()
    told: list[tuple[str, float]] = []
    circuit = run_rung(made, "circuit", stimulus(), seed=4).recording
    assert asked == []
    run = run_rung(
        made,
        "ngspice",
        stimulus(),
        seed=4,
        record=(("out", "v"),),
        progress=lambda stage, share: told.append((stage, share)),
    )
    assert run.recording.spikes == circuit.spikes
    assert len(asked) == len(made.manifest["emission"]["tiles"]) == 2
    assert sum(asked) > 10
    shares = [share for stage, share in told if stage.startswith("ngspice, about")]
    assert shares == sorted(shares) and len(shares) == 4 and shares[-1] == pytest.approx(1)


def test_vectors_are_asked_for_together_and_once(asked: list[int]) -> None:
    found = one_layer("calibrate=off", "read_noise=off")
    plain, spice = Chip(found, 1), Chip(found, 1, spice=True)
    counts = np.random.default_rng(1).integers(-2, 3, (7, 20))
    counts[3] = counts[0]
    for reader, other in zip(plain.tiles, spice.tiles, strict=True):
        mine = counts[:, np.maximum(reader.tile.row, 0)] * (reader.tile.row >= 0)
        before = len(asked)
        read = other(mine)
        assert np.allclose(read, reader(mine), rtol=1e-9, atol=1e-9)
        pulses = np.concatenate([np.sign(mine), np.sign(mine) * (np.abs(mine) == 2)])
        distinct = {x.tobytes() for x in pulses} - {np.zeros_like(pulses[0]).tobytes()}
        assert asked[before:] == [len(distinct)]
        assert np.array_equal(other(mine), read) and len(asked) == before + 1


def test_a_rehearsal_leaves_the_noise_as_it_was(asked: list[int]) -> None:
    found = one_layer()
    plain, spice = Chip(found, 1), Chip(found, 1, spice=True)
    assert not asked  # a chip is brought up without ngspice
    lines = np.ones((2, plain.tiles[0].tile.rows), np.int64)
    with spice.rehearsal():
        first = spice.tiles[0](lines)
        assert (spice.tiles[0](lines) != first).any()  # noisy
    assert not asked
    spice.operate()
    assert asked == [1]
    read = spice.tiles[0](lines)
    assert np.allclose(read, plain.tiles[0](lines), rtol=1e-9) and asked == [1]
    assert np.allclose(read, first, rtol=1e-9)


def test_what_takes_too_long_is_refused_before_it_begins(asked: list[int]) -> None:
    with pytest.raises(SpikecError, match="for 1 operating points of 1 tile") as refused:
        tile = Operated(Crossbar(np.full((96, 96), 1e-5)), None, 0.5, False, nothing)
        tile.rehearsing = True
        tile(np.ones((3, 96), np.int64), False)
        find_all([tile], 20.0, no_progress)
    assert refused.value.diagnostics[0].code == "E1330" and not asked
    assert "ngspice_time=1min" in str(refused.value) and "96 x 96" in str(refused.value)
    find_all([tile], 60.0, no_progress)
    assert asked == [1]
    with pytest.raises(SpikecError) as refused:
        run_rung(artifact(), "ngspice", stimulus(), conditions=("ngspice_time=1us",))
    assert refused.value.diagnostics[0].code == "E1330" and asked == [1]


def test_what_it_takes_is_what_was_measured() -> None:
    """CPU seconds of an operating point, ngspice 39.3: 32 x 32, 48 x 48, 64 x 64; within 60 %."""
    for side, measured in ((32, 0.07), (48, 0.55), (64, 2.65)):
        assert 1 / 1.6 < seconds(side**2) / measured < 1.6


def test_gated_rows_do_not_count() -> None:
    """8 of 64 rows spike: an eighth of the cells conduct."""
    x = (np.arange(64) % 8 == 0).astype(np.int64)[None]
    takes = {}
    for gated in (False, True):
        tile = Operated(Crossbar(np.full((64, 64), 1e-5)), None, 0.5, gated, nothing)
        tile.rehearsing = True
        tile(x, False)
        takes[gated] = tile.seconds
    assert takes[True] == seconds(512) and takes[False] == seconds(4096)


def test_without_ngspice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpikecError, match="not on PATH") as refused:
        run_rung(artifact(), "ngspice", stimulus())
    assert refused.value.diagnostics[0].code == "E0602" and refused.value.exit_code == 3
    (need,) = backend.requirements()
    assert need.optional and need.found is None and "apt install ngspice" in need.mend


def test_it_runs_only_where_it_is_named() -> None:
    made = Artifact({}, {"backend": "crossbar"})
    assert [r for r in backend.rungs if is_heavy(made, r)] == ["ngspice"]
    assert not is_heavy(Artifact({}, {"backend": "fpga"}), "rtl")


def test_verify_leaves_it_out_unless_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    artifact().write(tmp_path / "out")
    labelled = LabelledStimulus(stimulus(), None)
    (tmp_path / "test.npz").write_bytes(stimulus_bytes(labelled))
    asked: list[list[str]] = []

    def run_ladder(made: Artifact, names: list[str], *_: Any, **__: Any) -> Any:
        asked.append(names)
        raise fail("E0707", "enough")

    monkeypatch.setattr("spikec.compiler.cli.ladder.run_ladder", run_ladder)
    words = ["verify", str(tmp_path / "out"), "-s", str(tmp_path / "test.npz")]
    assert invoke(words) == invoke([*words, "--rungs", "circuit,ngspice"]) == 2
    assert asked == [["golden", "integer", "circuit"], ["circuit", "ngspice"]]


def test_how_long_it_may_take_is_a_condition() -> None:
    assert Conditions().ngspice_time == 600
    assert Conditions().but(["ngspice-time=2h"]).ngspice_time == 7200
    with pytest.raises(SpikecError, match="a time as 20s") as refused:
        Conditions().but(["ngspice_time=long"])
    assert refused.value.diagnostics[0].code == "E1320"
