"""The target and the rung lava: programs, Lava's processes and their end, refusals."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.backends.loihi import execute, pythons
from spikec.backends.loihi.program import DATA, DESCRIPTION, README, SCRIPT, files
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import find_installer, find_target
from spikec.compiler.cli.main import invoke
from spikec.compiler.compile import compile_graph
from spikec.compiler.ladder import run_rung
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.stimulus import LabelledStimulus, load_recording, stimulus_bytes
from spikec.ir.connections import Dense, OneToOne, Sparse
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.loihi import LoihiWeights, Sign
from spikec.ir.neurons import LIF, LoihiDelta, LoihiLIF, LoihiSigma, LoihiSigmaDelta
from spikec.ir.semantics import Reset, Semantics
from spikec.ir.text import text

from .networks import case, lava_python, processes

EXCITATORY = LoihiWeights(8, Sign.EXCITATORY)


def real(value: float) -> Any:
    return np.asarray(value, np.float64)


def network(steps: int = 20) -> tuple[Graph, Stimulus]:
    """Two layers of real neurons, the second with a bias and, retimed, a lag."""
    rng = np.random.default_rng(3)
    cell = LIF(real(0.01), real(10.0), real(0.0), real(1.0))
    leaky = replace(cell, v_leak=real(0.7))
    rules = Semantics(reset=Reset.ZERO)
    graph = Graph(
        "two",
        1e-3,
        (Input("in", (6,)),),
        (Population("a", (5,), cell, rules), Population("b", (4,), leaky, rules)),
        (
            Projection("in-a", "in", "a", Dense(rng.normal(0.3, 0.4, (5, 6)))),
            Projection("a-b", "a", "b", Dense(rng.normal(0.3, 0.4, (4, 5)))),
        ),
        (Output("out", "b"),),
    )
    spikes = (rng.random((3, steps, 6)) < 0.4).astype(np.int64)
    return graph, Stimulus({"in": Events.from_dense(spikes)})


def compiled(graph: Graph) -> Artifact:
    return compile_graph(graph, *find_target("lava"), Quantise()).artifact()


def said(code: str, wrong: Any) -> str:
    with pytest.raises(SpikecError) as caught:
        wrong()
    assert [d.code for d in caught.value.diagnostics] == [code]
    return caught.value.diagnostics[0].message


def test_lava_equals_the_integer_rung() -> None:
    """Biases, lags, several samples: from a real network through the command line's own way."""
    lava_python()
    graph, stimulus = network()
    artifact = compiled(graph)
    record = [(p, v) for p in "ab" for v in "uv"]
    ours, lava = (
        run_rung(artifact, rung, stimulus, populations=["b", "a"], record=record).recording
        for rung in ("integer", "lava")
    )
    assert lava.rung == "lava" and lava.dt == 1e-3
    assert all(events.value.size > 10 for events in ours.spikes.values())
    assert lava.spikes == ours.spikes
    for key in record:
        np.testing.assert_array_equal(lava.states[key], ours.states[key])


def test_parts_that_nothing_joins_run_side_by_side() -> None:
    lava_python()
    graph, stimulus = network()
    restless = LIF(real(0.01), real(10.0), real(1.5), real(1.0))
    alone = Population("alone", (2,), restless, Semantics(reset=Reset.ZERO))
    graph = replace(
        graph,
        populations=(*graph.populations, alone),
        outputs=(*graph.outputs, Output("o", "alone")),
    )
    artifact = compiled(graph)
    assert json.loads(artifact.files[DESCRIPTION])["parts"] == ["a", "alone"]
    ours, lava = (run_rung(artifact, r, stimulus).recording for r in ("integer", "lava"))
    assert lava.spikes == ours.spikes and ours.spikes["alone"].value.size


def test_the_command_line(tmp_path: Path) -> None:
    lava_python()
    graph, stimulus = network()
    model, built, spikes = (tmp_path / n for n in ("two.spk", "built", "spikes.npz"))
    model.write_text(text(graph))
    spikes.write_bytes(stimulus_bytes(LabelledStimulus(stimulus)))

    def spikec(*words: Any) -> None:
        assert invoke([*map(str, words)]) == 0

    spikec("compile", model, "--target", "lava", "-o", built)
    assert {SCRIPT, DESCRIPTION, DATA, README} <= {p.name for p in built.iterdir()}
    spikec("run", built, "--on", "lava", "-s", spikes, "--states", "-o", tmp_path / "r.npz")
    spikec("verify", built, "-s", spikes, "--rungs", "integer,lava")
    # Mapped onto a chip it is the same program.
    mapped = tmp_path / "mapped"
    spikec("compile", model, "--target", "lava", "--chip", "loihi1", "-O", 0, "-o", mapped)
    assert (mapped / SCRIPT).is_file() and (mapped / "mapping.json").is_file()
    spikec("verify", mapped, "-s", spikes, "--rungs", "integer,lava")


def sigma_delta_network() -> tuple[Graph, Stimulus]:
    """Frames of either sign, a layer with a bias, and whole values out; three samples."""
    rng = np.random.default_rng(4)
    one = LoihiWeights(8, Sign.EXCITATORY)
    each, out = (OneToOne(np.ones((), np.int64), (n,)) for n in (6, 4))
    words = LoihiWeights(8, Sign.MIXED, 1)
    weight = words.cut(rng.integers(-50, 51, (4, 6)))
    layer = LoihiSigmaDelta(20, bias=rng.integers(-200, 200, 4))
    graph = Graph(
        "changes",
        1e-3,
        (Input("in", (6,)),),
        (
            Population("a", (6,), LoihiDelta(3)),
            Population("b", (4,), layer),
            Population("c", (4,), LoihiSigma()),
        ),
        (
            Projection("in-a", "in", "a", each, 1, words=one),
            Projection("a-b", "a", "b", Dense(weight), 1, words=words),
            Projection("b-c", "b", "c", out, 1, words=one),
        ),
        (Output("out", "c"), Output("changes", "b")),
    )
    frames = np.cumsum(rng.integers(-4, 5, (3, 20, 6)), axis=1)
    return graph, Stimulus({"in": Events.from_dense(frames)})


def test_graded_values_by_the_command_line(tmp_path: Path) -> None:
    """A sigma-delta network from its text to a comparison of two rungs, states included."""
    lava_python()
    graph, stimulus = sigma_delta_network()
    model, built, spikes = (tmp_path / n for n in ("changes.spk", "built", "frames.npz"))
    model.write_text(text(graph))
    spikes.write_bytes(stimulus_bytes(LabelledStimulus(stimulus)))
    assert invoke(["compile", str(model), "--target", "lava", "-o", str(built)]) == 0
    found = {}
    for rung in ("integer", "lava"):
        out = tmp_path / f"{rung}.npz"
        arguments = ["run", str(built), "--on", rung, "-s", str(spikes), "--states", "-o", str(out)]
        assert invoke(arguments) == 0
        found[rung] = load_recording(out)
    assert found["integer"].spikes == found["lava"].spikes
    changes = found["integer"].spikes["b"].value
    assert changes.min() < -20 < 20 < changes.max()
    assert found["integer"].states.keys() == found["lava"].states.keys()
    for key, states in found["integer"].states.items():
        np.testing.assert_array_equal(found["lava"].states[key], states)
    assert {name for _, name in found["lava"].states} == {"sigma", "act", "residue", "error"}
    verify_ = ["verify", str(built), "-s", str(spikes), "--rungs", "integer,lava"]
    assert invoke(verify_) == 0


# -- the program ---------------------------------------------------------------------------------


def test_a_program_needs_lava_and_numpy_only() -> None:
    """And Python 3.10: no module of ours, no newer syntax, no pickle."""
    graph = case(5).graph
    made = files(graph)
    tree = ast.parse(made[SCRIPT], feature_version=(3, 10))
    names = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    names += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    roots = {str(name).partition(".")[0] for name in names}
    assert roots - set(sys.stdlib_module_names) == {"lava", "numpy", "scipy"}
    with np.load(io.BytesIO(made[DATA]), allow_pickle=False) as data:
        assert all(data[name].dtype.kind in "iu" for name in data.files)
    assert made == files(graph)
    assert "DelayDense" in made[README].decode() or "Conv" in made[README].decode()


def joined(connection: Any, delay: int = 1, size: int = 2, words: Any = EXCITATORY) -> Graph:
    cell = LoihiLIF(np.array(0), np.array(0), np.array(9))
    return Graph(
        "g",
        1e-3,
        (Input("in", (int(np.prod(connection.in_shape)),)),),
        (Population("p", (size,), cell),),
        (Projection("w", "in", "p", connection, delay, words=words),),
        (Output("o", "p"),),
    )


def sparse(pre: int, post: list[int], steps: list[int]) -> Sparse:
    indptr = np.array([0, len(post), *[len(post)] * (pre - 1)])
    weight = np.arange(1, len(post) + 1)
    return Sparse(pre, 2, indptr, np.array(post, np.int32), weight, np.array(steps, np.int32))


def test_each_connection_finds_its_process() -> None:
    dense = Dense(np.ones((2, 4), np.int64))
    assert processes(joined(dense)) == ["dense"]
    assert processes(joined(dense, 2)) == ["delay_dense"]
    assert processes(joined(sparse(4, [0, 1], [0, 0]))) == ["sparse"]
    assert processes(joined(sparse(4, [0, 1], [0, 2]))) == ["delay_sparse"]
    assert processes(joined(sparse(1, [0, 1], [0, 2]))) == ["delay_dense"]
    # Several synapses of one pair: a process for each delay.
    assert processes(joined(sparse(1, [0, 0], [0, 2]))) == ["sparse", "delay_sparse"]


def test_what_a_program_cannot_do() -> None:
    twice = joined(sparse(1, [0, 0], [2, 2]))
    assert said("E1201", lambda: files(twice)) == (
        "'w' joins a pair of neurons by several synapses of one delay"
    )
    dense = joined(Dense(np.ones((2, 4), np.int64)))
    late = replace(dense, populations=(replace(dense.populations[0], lag=2),))
    assert said("E1201", lambda: files(late)) == (
        "'w' reaches 'p' in step 1, while it rests until step 2"
    )
    with pytest.raises(SpikecError, match="has populations in Loihi's arithmetic only") as caught:
        files(network()[0])
    assert {d.code for d in caught.value.diagnostics} == {"E0301"}


# -- the Python that has Lava --------------------------------------------------------------------


def test_no_lava(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    graph, stimulus = network()
    monkeypatch.setenv(pythons.PYTHON, str(tmp_path / "no-python"))
    assert pythons.requirement().found is None and pythons.requirement().optional
    assert "needs lava-nc 0.10" in said(
        "E0602", lambda: run_rung(compiled(graph), "lava", stimulus)
    )
    monkeypatch.delenv(pythons.PYTHON)
    monkeypatch.setattr(pythons, "environment", lambda: tmp_path / "none")
    assert pythons.python_of() is None


def test_counts_of_an_input_are_graded_spikes() -> None:
    lava_python()
    graph, stimulus = network()
    (events,) = stimulus.inputs.values()
    some = replace(events, value=1 + events.index.astype(np.int64) % 3)
    given = Stimulus({"in": some})
    ours, lava = (run_rung(compiled(graph), r, given).recording for r in ("integer", "lava"))
    assert lava.spikes == ours.spikes and ours.spikes["b"].value.size > 10
    many = Stimulus({"in": replace(events, value=events.value * 16)})
    assert "compiled for 15 at most" in said(
        "E0703", lambda: run_rung(compiled(graph), "lava", many)
    )


def test_an_old_python_is_found_and_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pyenv's and uv's; each is asked for its version before it is believed."""

    def fake(place: Path, version: str) -> str:
        place.parent.mkdir(parents=True)
        place.write_text(f"#!/bin/sh\necho {version}\n")
        place.chmod(0o755)
        return str(place)

    pyenv, uv = tmp_path / "pyenv", tmp_path / "uv"
    monkeypatch.setenv("PYENV_ROOT", str(pyenv))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(uv))
    monkeypatch.setenv("PATH", str(tmp_path))
    good = fake(pyenv / "versions" / "3.10.13" / "bin" / "python", "3.10")
    fake(pyenv / "versions" / "3.10.1" / "bin" / "python", "3.9")
    also = fake(uv / "cpython-3.10.20-linux" / "bin" / "python3.10", "3.10")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = list(pythons.old_pythons())
    assert [p for p in found if p.startswith(str(tmp_path))] == [good, also]
    monkeypatch.setattr(pythons, "old_pythons", lambda: iter(()))
    monkeypatch.setattr(pythons, "environment", lambda: tmp_path / "made")
    assert "needs Python 3.10, and none was found" in said(
        "E0602", lambda: find_installer("lava").install("lava", lambda line: None)
    )
    assert said("E0707", lambda: find_installer("loihi")) == (
        "'loihi' is nothing that spikec installs"
    )


def test_an_environment_that_was_not_finished_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """pip that fails leaves no Python that anything would take for Lava's."""
    monkeypatch.delenv(pythons.PYTHON, raising=False)
    monkeypatch.setattr(pythons, "old_pythons", lambda: iter([sys.executable]))
    monkeypatch.setattr(pythons, "environment", lambda: tmp_path / "lava")
    monkeypatch.setattr(pythons, "PACKAGE", str(tmp_path / "nothing.whl"))
    lines: list[str] = []
    message = said("E0602", lambda: pythons.install(lines.append))
    assert "nothing.whl cannot be installed" in message
    assert len(lines) == 1 and lines[0].startswith(f"Making {tmp_path / 'lava'}")
    assert pythons.python_of() is None


# -- nothing is left -----------------------------------------------------------------------------


@pytest.fixture
def slow_run(tmp_path: Path) -> Iterator[Path]:
    """A folder with a program that Lava has minutes to do with."""
    graph, stimulus = network(steps=60_000)
    artifact = compiled(graph)
    for name in (SCRIPT, DESCRIPTION, DATA):
        (tmp_path / name).write_bytes(artifact.files[name])
    (tmp_path / "stimulus.npz").write_bytes(stimulus_bytes(LabelledStimulus(stimulus)))
    yield tmp_path
    # Of a test that failed: all that runs in its folder was started by it.
    for number in lava_of(tmp_path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def shared() -> set[str]:
    return {p.name for p in Path("/dev/shm").glob("psm_*")}


def lava_of(place: Path) -> list[int]:
    """The processes that run in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            # Of a folder that is gone the link says so.
            cwd = os.readlink(entry / "cwd").removesuffix(" (deleted)")
            if cwd == str(place) and state != "Z":
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def until(true: Any, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


def started(place: Path) -> subprocess.Popen[bytes]:
    """Our side of a run in a process of its own, once Lava is at work in ``place``."""
    code = (
        "from pathlib import Path\nfrom spikec.backends.loihi.execute import supervised\n"
        f"supervised([{lava_python()!r}, '-W', 'ignore', 'network.py'], Path('.'))"
    )
    # An ignored SIGINT, as of a test run in the background, would be inherited.
    code = f"import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{code}"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=place, stderr=subprocess.DEVNULL)
    until(lambda: len(lava_of(place)) > 8)
    return process


linux = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_us(number: signal.Signals, slow_run: Path) -> None:
    process = started(slow_run)
    before = {n for n in lava_of(slow_run)} - {process.pid}
    held = segments_of(before)
    assert before and held
    process.send_signal(number)
    process.wait(120)
    until(lambda: not lava_of(slow_run))
    assert not held & shared()


@linux
def test_nothing_outlives_a_supervisor_that_is_killed(slow_run: Path) -> None:
    """It cannot end Lava's processes then: we do, and say what happened."""
    process = started(slow_run)
    (supervisor,) = [n for n in lava_of(slow_run) if parent(n) == process.pid]
    held = segments_of(set(lava_of(slow_run)) - {process.pid})
    assert held
    os.kill(supervisor, signal.SIGKILL)
    assert process.wait(120) == 1
    assert not lava_of(slow_run)
    assert not held & shared()


@linux
def test_a_temporary_folder_goes_though_we_are_killed(tmp_path: Path) -> None:
    lava_python()
    graph, stimulus = network(steps=60_000)
    built, spikes, temporary = (tmp_path / n for n in ("built", "spikes.npz", "temporary"))
    temporary.mkdir()
    compiled(graph).write(built)
    spikes.write_bytes(stimulus_bytes(LabelledStimulus(stimulus)))
    words = ["run", str(built), "--on", "lava", "-s", str(spikes), "-o", str(tmp_path / "r.npz")]
    code = f"from spikec.compiler.cli.main import invoke\ninvoke({words!r})"
    here = {**os.environ, "TMPDIR": str(temporary)}

    def places() -> list[Path]:
        return list(temporary.glob("spikec-lava-*"))

    with subprocess.Popen([sys.executable, "-c", code], env=here) as process:
        until(lambda: places() and len(lava_of(places()[0])) > 2)
        (place,) = places()
        process.kill()
    until(lambda: not places())
    assert not lava_of(place)


def segments_of(processes: set[int]) -> set[str]:
    found = set()
    for process in processes:
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            if "/dev/shm/psm_" in line:
                found.add(line.split("/dev/shm/")[1].split()[0])
    return found


@linux
def test_a_process_of_lava_that_ends_by_itself(slow_run: Path) -> None:
    """Lava itself would wait for it for ever."""
    process = started(slow_run)
    group = lava_of(slow_run)
    children = [n for n in group if parent(n) in group and parent(parent(n)) in group]
    os.kill(max(children), signal.SIGKILL)
    assert process.wait(120) != 0
    until(lambda: not lava_of(slow_run))


def parent(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


_SMALL = """
import sys
from pathlib import Path
from spikec.backends.loihi.execute import supervised
from spikec.ir.diagnostics import SpikecError
try:
    supervised([sys.argv[1], "-W", "ignore", "network.py"], Path("."))
except SpikecError as error:
    print(error.diagnostics[0].code)
else:
    print("ran")
print(len(list(Path("/dev/shm").iterdir())))
"""


@linux
@pytest.mark.parametrize(
    ("size", "neurons", "said"), [("1m", 10, "ran"), ("64k", 10, "E1203"), ("1m", 60_000, "E1203")]
)
def test_little_shared_memory(size: str, neurons: int, said: str, tmp_path: Path) -> None:
    """1 MiB is enough for a small network; where it is not, that is said, and nothing is left."""
    python = lava_python()
    connection = Sparse(
        neurons,
        neurons,
        np.arange(neurons + 1),
        np.arange(neurons, dtype=np.int32),
        np.full(neurons, 200),
    )
    graph = joined(connection, size=neurons)
    lines = np.zeros((1, 5, neurons), np.int64)
    for name, content in files(graph).items():
        (tmp_path / name).write_bytes(content)
    stimulus = Stimulus({"in": Events.from_dense(lines)})
    (tmp_path / "stimulus.npz").write_bytes(stimulus_bytes(LabelledStimulus(stimulus)))
    mount = f"mount -t tmpfs -o size={size} tmpfs /dev/shm"
    shell = ["unshare", "-rm", "sh", "-c"]
    if subprocess.run([*shell, mount], capture_output=True).returncode:
        pytest.skip("no private mount namespace here")
    run = subprocess.run(
        [*shell, f'{mount} && exec "$0" -c "$1" "$2"', sys.executable, _SMALL, python],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.stdout.split() == [said, "0"], run.stderr


@linux
def test_the_message_when_it_crashes_or_is_late(
    slow_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = [lava_python(), "-W", "ignore", SCRIPT]
    monkeypatch.setenv(execute.TIMEOUT, "2")
    assert said("E0605", lambda: execute.supervised(argv, slow_run)) == "Lava took longer than 2 s"
    assert not lava_of(slow_run)
    monkeypatch.delenv(execute.TIMEOUT)
    (slow_run / SCRIPT).write_text("raise SystemExit('no such thing')")
    assert said("E1202", lambda: execute.supervised(argv, slow_run)) == (
        "the program failed in Lava: no such thing"
    )
    (slow_run / "log").unlink()
    (slow_run / SCRIPT).write_text("raise OSError(28, 'No space left on device')")
    assert "is too small for the network" in said(
        "E1203", lambda: execute.supervised(argv, slow_run)
    )
