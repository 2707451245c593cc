"""Programs on their simulators, beside the golden rung."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.backends.spinnaker import execute
from spikec.backends.spinnaker.checks import scales
from spikec.backends.spinnaker.execute import PYTHONS, TIMEOUT, python_of, requirements
from spikec.backends.spinnaker.model import network as model
from spikec.compiler.artifact import Artifact
from spikec.compiler.cli.main import invoke
from spikec.compiler.compare import compare
from spikec.compiler.ladder import run_rung
from spikec.compiler.stimulus import load_recording
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.text import text

pytest.importorskip("pyNN", reason="PyNN is not installed")
pytest.importorskip("brian2", reason="Brian2 is not installed")

import spikec.pynn as pynn

from .networks import CELLS, SIZE, compared, network, program

needs_nest = pytest.mark.skipif(
    python_of("nest") is None,
    reason=f"NEST is not here: pip install nest-simulator, or name a Python in {PYTHONS['nest']}",
)
BRIAN2_CELLS = [name for name in CELLS if name != "EIF_cond_alpha_isfa_ista"]


# -- Brian2: equal, every spike --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "seed"),
    [
        pytest.param(
            cell, seed, marks=[] if (cell, seed) == ("IF_cond_exp", 1) else [pytest.mark.slow]
        )
        for cell in BRIAN2_CELLS
        for seed in (1, 2, 3)
    ],
)
def test_every_spike_of_brian2_is_the_graph_s(cell: str, seed: int) -> None:
    found, spikes = compared(*network(*CELLS[cell], seed), "brian2", "pynn-brian2")
    assert found.equal, found.describe()
    assert spikes > 100


def step_currents(sources: Any, cells: Any) -> None:
    steps = pynn.StepCurrentSource(times=[5.0, 20.0, 40.0], amplitudes=[0.4, -0.2, 0.6])
    steps.inject_into(cells[3:9])
    steps.inject_into(cells[[1, 12]])
    pynn.DCSource(amplitude=0.3, start=10.0, stop=30.0).inject_into(cells)


def stdp(fraction: float) -> Callable[[Any, Any], None]:
    def extra(sources: Any, cells: Any) -> None:
        rng = np.random.default_rng(3)
        rows = [(i, j, 0.3 * rng.random(), 0.5) for i in range(SIZE) for j in range(SIZE)]
        mechanism = pynn.STDPMechanism(
            timing_dependence=pynn.SpikePairRule(
                tau_plus=15.0, tau_minus=20.0, A_plus=0.02, A_minus=0.021
            ),
            weight_dependence=pynn.AdditiveWeightDependence(w_min=0.0, w_max=0.4),
            dendritic_delay_fraction=fraction,
        )
        connector = pynn.FromListConnector(rows)
        pynn.Projection(sources, cells, connector, mechanism, label="learns")

    return extra


@pytest.mark.slow
def test_step_currents_on_brian2() -> None:
    graph, stimulus = network(*CELLS["IF_curr_exp"], 3, extra=step_currents)
    found, spikes = compared(graph, stimulus, "brian2", "pynn-brian2")
    assert found.equal, found.describe()
    assert spikes > 100


def quiet_end(stimulus: Stimulus, steps: int) -> Stimulus:
    """Without the events of the last steps: nothing is in flight at the end of a run."""
    return Stimulus(
        {
            name: e.shifted(0, stimulus.steps - steps).shifted(0, stimulus.steps)
            for name, e in stimulus.inputs.items()
        }
    )


@pytest.mark.slow
def test_learning_on_brian2() -> None:
    """Spikes and weights; the golden rung lets what is in flight arrive, so nothing may be."""
    graph, stimulus = network(*CELLS["IF_curr_exp"], 3, extra=stdp(0.0))
    found, spikes = compared(graph, quiet_end(stimulus, 40), "brian2", "pynn-brian2")
    assert found.first is None, found.describe()
    assert [w.max_abs_error < 1e-20 for w in found.weights] == [True], found.describe()
    assert spikes > 100


@pytest.mark.slow
def test_samples_are_runs_of_their_own() -> None:
    graph, stimulus = network(*CELLS["IF_curr_exp"], 4)
    events = stimulus.inputs["in"]
    twice = Events.from_events(
        2,
        events.steps,
        events.size,
        np.concatenate([events.sample, np.ones(events.sample.size, int)]),
        np.concatenate([events.step, events.steps - 1 - events.step]),
        np.concatenate([events.index, events.index]),
    )
    found, spikes = compared(graph, Stimulus({"in": twice}), "brian2", "pynn-brian2")
    assert found.equal, found.describe()
    assert (found.samples, spikes > 200) == (2, True)


# -- NEST ------------------------------------------------------------------------------------------


@needs_nest
@pytest.mark.parametrize("cell", ["IF_curr_exp", "IF_curr_alpha"])
def test_current_based_cells_of_nest_are_equal(cell: str) -> None:
    for seed in (1, 2, 3):
        found, spikes = compared(*network(*CELLS[cell], seed), "nest", "pynn-nest")
        assert found.equal, found.describe()
        assert spikes > 100


@needs_nest
def test_step_currents_on_nest() -> None:
    graph, stimulus = network(*CELLS["IF_curr_exp"], 3, extra=step_currents)
    found, _ = compared(graph, stimulus, "nest", "pynn-nest")
    assert found.equal, found.describe()


def tiring(sources: Any, cells: Any) -> None:
    rng = np.random.default_rng(3)
    rows = [(i, j, 0.5 * rng.random(), 0.5) for i in range(SIZE) for j in range(SIZE)]
    synapse = pynn.TsodyksMarkramSynapse(U=0.4, tau_rec=50.0, tau_facil=20.0)
    pynn.Projection(sources, cells, pynn.FromListConnector(rows), synapse, label="tires")


@needs_nest
def test_synapses_that_tire_on_nest() -> None:
    graph, stimulus = network(*CELLS["IF_curr_exp"], 3, extra=tiring)
    found, spikes = compared(graph, stimulus, "nest", "pynn-nest")
    assert found.equal, found.describe()
    assert spikes > 100


# Step and neuron of the first spike that differs under seed 1; docs/pynn-programs.md says why.
NEST_FIRST = {
    "IF_curr_delta": (26, 9),
    "IF_cond_exp": (40, 10),
    "IF_cond_alpha": (50, 10),
    "EIF_cond_exp_isfa_ista": (53, 14),
    "EIF_cond_alpha_isfa_ista": (66, 15),
    "Izhikevich": (92, 15),
}


@needs_nest
@pytest.mark.parametrize("cell", NEST_FIRST)
def test_other_cells_of_nest_differ_first_where_it_is_written(cell: str) -> None:
    found, _ = compared(*network(*CELLS[cell]), "nest", "pynn-nest")
    assert found.first is not None
    assert (found.first.step, found.first.neuron) == NEST_FIRST[cell]


@pytest.mark.parametrize(
    ("step", "value", "rung", "words"),
    [
        (0, 1, "nest", "NEST sends none in the first step"),
        (3, 2, "brian2", "spikes once in a step"),
    ],
)
def test_spikes_that_no_source_sends(step: int, value: int, rung: str, words: str) -> None:
    graph, stimulus = network(*CELLS["IF_curr_exp"])
    events = Events.from_events(1, 600, SIZE, [0], [step], [0], [value])
    with pytest.raises(SpikecError, match=words) as caught:
        run_rung(program(graph, stimulus, "pynn-nest"), rung, Stimulus({"in": events}))
    assert caught.value.diagnostics[0].code == "E0703"


# -- SpiNNaker, on a virtual board -----------------------------------------------------------------


def maps(artifact: Artifact, stimulus: Stimulus) -> None:
    """sPyNNaker does all but load and run; what it cannot map is E1109."""
    with pytest.raises(SpikecError, match="virtual board without error") as caught:
        run_rung(artifact, "spinnaker", stimulus)
    assert caught.value.diagnostics[0].code == "E1112"
    assert caught.value.exit_code == 3


def needs_spynnaker(test: Any) -> Any:
    missing = pytest.mark.skipif(
        python_of("spinnaker") is None,
        reason=f"sPyNNaker is not here: name its Python in {PYTHONS['spinnaker']}",
    )
    machine = pytest.mark.skipif(
        (Path.home() / execute.CONFIGURATION).exists(), reason="there is a SpiNNaker configuration"
    )
    return pytest.mark.slow(missing(machine(test)))


@needs_spynnaker
def test_the_ca3_memory_maps() -> None:
    folder = Path(__file__).parents[3] / "examples" / "ca3_memory"
    sys.path.insert(0, str(folder))
    try:
        import memory  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(folder))
    graph = memory.network(8, 10)
    rng = np.random.default_rng(0)
    stimulus = Stimulus(
        {
            node.name: Events.from_dense((rng.random((1, 60, node.size)) < 0.1).astype(np.int64))
            for node in graph.inputs
        }
    )
    maps(program(graph, stimulus, "spynnaker"), stimulus)


@needs_spynnaker
def test_a_balanced_network_of_500_conductance_based_neurons_maps() -> None:
    """After Vogels and Abbott: four fifths excite, every pair is joined with probability 0.02."""
    pynn.setup(timestep=0.1, dialect="spinnaker")
    cell = pynn.IF_cond_exp(
        cm=0.2, tau_m=20.0, e_rev_E=0.0, e_rev_I=-80.0, v_thresh=-50.0, v_rest=-60.0,
        v_reset=-60.0, tau_refrac=5.0, tau_syn_E=5.0, tau_syn_I=10.0,
    )  # fmt: skip
    source = pynn.Population(20, pynn.SpikeSourcePoisson(rate=100.0), label="source")
    excite, inhibit = (pynn.Population(n, cell, label=f"{n} cells") for n in (400, 100))
    for pre, weight, receptor in (
        (source, 0.1, "excitatory"),
        (excite, 0.004, "excitatory"),
        (inhibit, 0.051, "inhibitory"),
    ):
        for post in (excite, inhibit):
            pynn.Projection(
                pre,
                post,
                pynn.FixedProbabilityConnector(0.02, rng=pynn.NumpyRNG(seed=5)),
                pynn.StaticSynapse(weight=weight, delay=0.8),
                receptor_type=receptor,
            )
    graph, stimulus = pynn.capture(), pynn.stimulus(20.0)
    pynn.end()
    maps(program(graph, stimulus, "spynnaker"), stimulus)


@needs_spynnaker
def test_a_network_that_learns_maps_with_delay_extensions() -> None:
    graph, stimulus = network(
        *CELLS["IF_curr_exp"], 3, dialect="spinnaker", longest=300, extra=stdp(1.0)
    )
    maps(program(graph, stimulus, "spynnaker"), stimulus)


SHIFTS = """
import importlib.util, json, sys
import numpy as np
import pyNN.spiNNaker as sim

found = []
for folder in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location("network", folder + "/network.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    data, events = (dict(np.load(f"{folder}/{n}.npz")) for n in ("network", "stimulus"))
    program.setup(sim, "spinnaker")
    cells, _ = program.build(sim, "spinnaker", data, events, 0)
    found.append([int(s) for s in cells["p"]._vertex.get_ring_buffer_shifts()])
    sim.end()
print("SHIFTS", json.dumps(found))
"""


@needs_spynnaker
def test_shifts_of_weights_are_those_of_spynnaker(tmp_path: Path) -> None:
    """Current and conductance based, weights of very unlike sizes, with delays that vary."""
    ours, folders = [], []
    for name in ("IF_curr_exp", "IF_curr_alpha", "IF_curr_delta", "IF_cond_exp"):
        cell, weight = CELLS[name]
        for times in (1, 50, 1000):
            graph, stimulus = network(cell, weight * times, 2, dialect="spinnaker")
            folder = tmp_path / f"{name}{times}"
            program(graph, stimulus, "spynnaker").write(folder)
            held = scales(model(graph))
            ours.append([held["p", r].shift for r in ("excitatory", "inhibitory")])
            folders.append(str(folder))
    (tmp_path / execute.CONFIGURATION).write_text(execute.VIRTUAL, encoding="utf-8")
    done = subprocess.run(
        [str(python_of("spinnaker")), "-c", SHIFTS, *folders],
        env={**os.environ, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (row for row in done.stdout.splitlines() if row.startswith("SHIFTS"))
    assert json.loads(line.removeprefix("SHIFTS")) == ours
    assert len({tuple(row) for row in ours}) > 5


# -- the process -----------------------------------------------------------------------------------


def artifact_of(script: str) -> tuple[Artifact, Stimulus]:
    """An artefact whose program is another script."""
    graph, stimulus = network(*CELLS["IF_curr_exp"])
    artifact = program(graph, stimulus, "pynn-brian2")
    return replace(artifact, files={**artifact.files, "network.py": script.encode()}), stimulus


def test_a_program_that_hangs_is_ended_with_its_children_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    artifact, stimulus = artifact_of(
        "import subprocess, sys, time, pathlib, tempfile\n"
        "tempfile.mkstemp()\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv(TIMEOUT, "3")
    with pytest.raises(SpikecError, match="longer than 3 s") as caught:
        run_rung(artifact, "brian2", stimulus)
    assert caught.value.diagnostics[0].code == "E0605"
    assert list(temporary.iterdir()) == []
    child = int(pid.read_text())
    for _ in range(100):
        if not alive(child):
            break
        time.sleep(0.05)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return not state.stdout.strip().startswith("Z") and bool(state.stdout.strip())


def test_a_program_that_fails_shows_its_last_lines() -> None:
    artifact, stimulus = artifact_of("raise ValueError('the board is on fire')\n")
    with pytest.raises(SpikecError, match="the board is on fire") as caught:
        run_rung(artifact, "brian2", stimulus)
    assert caught.value.diagnostics[0].code == "E1109"


@pytest.mark.parametrize("rung", ["nest", "spinnaker"])
def test_a_simulator_that_is_not_here_is_said_with_how_to_get_it(
    rung: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(PYTHONS[rung], str(tmp_path / "python"))
    graph, stimulus = network(*CELLS["IF_curr_exp"])
    with pytest.raises(SpikecError, match="pip install") as caught:
        run_rung(program(graph, stimulus, "spynnaker"), rung, stimulus)
    assert caught.value.diagnostics[0].code == "E0602"
    assert caught.value.exit_code == 3
    (missing,) = (r for r in requirements() if r.purpose == f"rung {rung}")
    assert (missing.found, missing.optional) == (None, True)


# -- the command line ------------------------------------------------------------------------------


def test_compile_run_and_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph, stimulus = network(*CELLS["IF_curr_exp"])
    from spikec.compiler.stimulus import LabelledStimulus, stimulus_bytes

    model, given, folder = (tmp_path / n for n in ("model.spk", "given.npz", "built"))
    model.write_text(text(graph), encoding="utf-8")
    given.write_bytes(stimulus_bytes(LabelledStimulus(stimulus, None)))
    said = ["compile", str(model), "-t", "pynn-brian2", "-o", str(folder)]
    assert invoke([*said, "--calibration", str(given)]) == 0
    assert "wrote" in capsys.readouterr().out
    assert invoke(["verify", str(folder), "-s", str(given)]) == 0
    out = capsys.readouterr().out
    assert "golden / brian2: equal" in out
    # Verbs that need integers or hardware say that there are none.
    for words in (["run", "--on", "integer"], ["run", "--on", "brian2", "--states"], ["profile"]):
        assert invoke([words[0], str(folder), "-s", str(given), *words[1:]]) == 2
        assert "error E0" in capsys.readouterr().err
    # By hand, in a folder of its own, the program gives the same recording.
    own = tmp_path / "own.npz"
    subprocess.run(
        [sys.executable, str(folder / "network.py"), "brian2", "--out", str(own)],
        check=True,
        capture_output=True,
        env={**os.environ, "HOME": str(tmp_path)},
        cwd=tmp_path,
    )
    golden = run_rung(program(graph, stimulus, "pynn-brian2"), "golden", stimulus).recording
    assert compare(golden, load_recording(own)).equal
