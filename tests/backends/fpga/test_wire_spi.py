"""The host's end of SPI: polls, fills, and a bus that flips bits, slips, and is cut."""

from __future__ import annotations

import errno
import importlib.machinery
import os
import sys
import types
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from spikec.backends.fpga.connection import Connection, DeviceLost, NoAnswer, WireFailed
from spikec.backends.fpga.host import HostError
from spikec.backends.fpga.wire import Driver, PortUnavailable, SpiPort, open_spi
from spikec.hdl.framing import ANSWER, DELIMITER, END, NAK, POLL, DeviceFrame, HostFrame
from spikec.hdl.image import CoreImage
from spikec.hdl.shape import CoreShape, Memory

from ...hdl.modelled_device import DeviceModel, HashCore
from .faulty import BusFaults, FaultyBus, ModelBus, ModelPort, spikes

SHAPE = CoreShape(
    lanes=4, weight_bits=8, acc_bits=16, state_bits=16, neurons=16, inputs=40, words=32
)
FRAME = b"\x01\x02\x7d\x5e"


def image() -> CoreImage:
    return CoreImage.padded(SHAPE, weights=np.random.default_rng(8).integers(-128, 128, (32, 4)))


def stimulus() -> np.ndarray:
    return np.random.default_rng(1).poisson(0.2, (2, 8, 40))


def model() -> ModelBus:
    return ModelBus(DeviceModel(SHAPE, HashCore(SHAPE)))


def driver(bus: ModelBus, faulty: FaultyBus | None = None, session: int = 1) -> Driver:
    return Driver(SpiPort(faulty or bus, bus.clock), SHAPE, clock=bus.clock, session=session)


@pytest.fixture(scope="module")
def right() -> list[list[int]]:
    """What the same device says over a serial line."""
    port = ModelPort(DeviceModel(SHAPE, HashCore(SHAPE)))
    serial = Driver(port, SHAPE, clock=port.clock)
    serial.load(image())
    return spikes(serial.run(stimulus()))


def test_a_clean_bus_needs_no_mending(right: list[list[int]]) -> None:
    there = driver(model())
    there.load(image())
    assert spikes(there.run(stimulus())) == right
    assert there.read(Memory.WEIGHTS) == list(image().pack(Memory.WEIGHTS))
    assert there.connection is not None
    counts = there.connection.counts
    mended = (counts.damaged, counts.repeated, counts.gaps, counts.resent, counts.timeouts)
    assert mended == (0,) * 5
    status = there.status()
    assert (status.crc_errors, status.framing_errors, status.gaps, status.duplicates) == (0,) * 4


class Recorded:
    """A bus that answers with what it was given, then with delimiters."""

    def __init__(self, answer: bytes) -> None:
        self.sent: list[int] = []
        self.now = 0.0
        self._answer = bytearray(answer)

    def clock(self) -> float:
        return self.now

    def xfer2(self, values: list[int]) -> Sequence[int]:
        assert 0 < len(values) <= 4096
        self.sent += values
        self.now += 1e-3
        heard = self._answer[: len(values)].ljust(len(values), DELIMITER)
        del self._answer[: len(values)]
        return list(heard)

    def close(self) -> None:
        raise OSError(errno.EBADF, "closed before")


@pytest.mark.parametrize("idle", [0, 1, 63, 64, 65, 200])
def test_of_idle_delimiters_only_those_that_end_a_frame_are_heard(idle: int) -> None:
    bus = Recorded(DELIMITER * idle + FRAME + DELIMITER * 9 + FRAME + DELIMITER)
    port = SpiPort(bus, bus.clock)
    heard = b""
    while data := port.read(0.01):
        heard += data
    assert heard == (FRAME + DELIMITER) * 2
    assert set(bus.sent) == {END}
    port.close()


def test_what_comes_while_something_is_written_is_read_without_another_transfer() -> None:
    bus = Recorded(FRAME + DELIMITER)
    port = SpiPort(bus, bus.clock)
    port.write(b"abcdef" * 1000)
    assert bytes(bus.sent) == b"abcdef" * 1000
    assert port.read(0.0) == FRAME + DELIMITER
    assert len(bus.sent) == 6000


def test_silence_lasts_as_long_as_it_was_asked_for() -> None:
    bus = Recorded(b"")
    port = SpiPort(bus, bus.clock)
    assert port.read(0.02) == b""
    assert bus.now == pytest.approx(0.02)


def faulty_run(seed: int, right: list[list[int]]) -> str:
    """Load and run over a bus with faults, then over a sound one: what happened, or "wrong"."""
    rng = np.random.default_rng([78, seed])
    rate = float(10 ** rng.uniform(-4, -2.3))
    faults = BusFaults(*(rate * rng.random(2)))
    kind = ("noise", "cut", "half-written", "reset")[seed % 4]
    if kind in ("cut", "half-written"):
        faults.cut = int(rng.integers(60, 3000 if kind == "cut" else 400))
    bus = model()
    faulty = FaultyBus(bus, faults, rng)
    first = driver(bus, faulty, 1 + seed % 255)
    outcome = "right"
    try:
        first.load(image())
        if kind == "reset":
            bus.power_cycle(DeviceModel(SHAPE, HashCore(SHAPE)))
        if spikes(first.run(stimulus())) != right:
            return "wrong"
    except (DeviceLost, NoAnswer, WireFailed, HostError) as error:
        outcome = f"{kind}: {type(error).__name__}"
        if kind == "noise" and not isinstance(error, WireFailed):
            return f"wrong: {error}"
    faults.cut, faults.flip, faults.slip = 0, 0.0, 0.0
    second = driver(bus, faulty, 1 + (seed + 99) % 255)
    if not second.info().configured:
        with pytest.raises(HostError, match="not configured"):
            second.run(stimulus())
        second.load(image())
    if spikes(second.run(stimulus())) != right:
        return "wrong"
    status = second.status()
    mended = status.crc_errors + status.framing_errors + status.gaps + status.duplicates
    return f"{outcome}, mended" if mended and outcome == "right" else outcome


def check_faulty_runs(runs: int, right: list[list[int]]) -> None:
    outcomes: dict[str, int] = {}
    for seed in range(runs):
        outcome = faulty_run(seed, right)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert not [outcome for outcome in outcomes if "wrong" in outcome], outcomes
    assert outcomes["right, mended"] > 0.1 * runs, outcomes
    for kind in ("cut", "half-written", "reset"):
        assert any(outcome.startswith(kind) for outcome in outcomes), outcomes


def test_faulty_runs_are_right_or_reported(right: list[list[int]]) -> None:
    check_faulty_runs(100, right)


@pytest.mark.slow
def test_a_thousand_faulty_runs_are_right_or_reported(right: list[list[int]]) -> None:
    check_faulty_runs(1000, right)


def test_complaints_about_noise_do_not_put_the_question_off() -> None:
    """Idle bytes that are damaged make a device complain for ever; the last frame is lost twice."""
    line = Connection(5, timeout=0.2)
    line.transmit(0.0)
    line.receive(DeviceFrame(ANSWER, 5, 0, 0, 0).encode(), 0.0)
    line.send(b"abc")
    line.expecting = True
    flags = set()
    for step in range(60):
        now = 0.01 * step
        data = line.transmit(now)
        flags |= {HostFrame.decode(part).flags for part in data.split(DELIMITER) if part}
        line.receive(DeviceFrame(NAK, 5, 0, 0, 0).encode(), now)
    assert POLL in flags


@pytest.mark.parametrize("level", [0x00, 0xFF])
def test_a_bus_that_nothing_is_wired_to_is_reported(level: int) -> None:
    class Dead(Recorded):
        def xfer2(self, values: list[int]) -> Sequence[int]:
            self.now += 1e-3
            return [level] * len(values)

    bus = Dead(b"")
    with pytest.raises(NoAnswer, match="did not answer"):
        Driver(SpiPort(bus, bus.clock), SHAPE, clock=bus.clock).connect()


def test_a_bus_that_goes_away_is_reported() -> None:
    class Gone(Recorded):
        def xfer2(self, values: list[int]) -> Sequence[int]:
            raise OSError(errno.EIO, "no such luck")

    bus = Gone(b"")
    with pytest.raises(DeviceLost, match="the SPI bus has gone"):
        Driver(SpiPort(bus, bus.clock), SHAPE, clock=bus.clock).connect()


class SpiDev:
    """The package's class, of a file that is no bus."""

    def __init__(self) -> None:
        self._file = -1

    def open_path(self, name: str) -> None:
        self._file = os.open(name, os.O_RDWR)

    def fileno(self) -> int:
        return self._file

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def __setattr__(self, name: str, value: object) -> None:
        if name == "max_speed_hz" and value == 1:
            raise OSError(errno.EINVAL, "Invalid argument")
        object.__setattr__(self, name, value)


@pytest.fixture
def spidev(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("spidev")
    module.__spec__ = importlib.machinery.ModuleSpec("spidev", None)
    module.SpiDev = SpiDev  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spidev", module)


@pytest.mark.usefixtures("spidev")
def test_a_bus_that_cannot_be_opened_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PortUnavailable, match=r"nowhere does not exist; is SPI switched on\?"):
        open_spi(str(tmp_path / "nowhere"), 1000)
    node = tmp_path / "spidev0.0"
    node.touch()
    with pytest.raises(PortUnavailable, match=r"spidev0\.0 cannot be opened: .*Invalid argument"):
        open_spi(str(node), 1)
    port = open_spi(str(node), 1000)
    with pytest.raises(PortUnavailable, match="in use by another program"):
        open_spi(str(node), 1000)
    port.close()
    open_spi(str(node), 1000).close()

    def refuse(self: SpiDev, name: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(SpiDev, "open_path", refuse)
    with pytest.raises(PortUnavailable, match=r"may not be used by this user.*'spi'"):
        open_spi(str(node), 1000)
