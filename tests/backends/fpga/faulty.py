"""Ports for tests: a modelled device behind one, and one that damages what passes through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from spikec.backends.fpga.connection import DeviceLost, NoAnswer, WireFailed
from spikec.backends.fpga.host import HostError, Run
from spikec.backends.fpga.wire import Driver, Port, SpiBus
from spikec.hdl.framing import END
from spikec.hdl.image import CoreImage
from spikec.hdl.shape import CoreShape

from ...hdl.modelled_device import DeviceModel


class ModelPort:
    """A modelled device on a line of 1 Mbaud, with a clock of its own: no test waits."""

    def __init__(self, device: DeviceModel, byte_seconds: float = 1e-5) -> None:
        self.device = device
        self.now = 0.0
        self.sent = self.received = 0
        self._byte_seconds = byte_seconds
        self._answers = b""

    def clock(self) -> float:
        return self.now

    def read(self, timeout: float) -> bytes:
        data, self._answers = self._answers, b""
        self.received += len(data)
        # Both directions at once; an answer is on its way while the next frame is sent.
        self.now += timeout if not data else 0.0
        return data

    def write(self, data: bytes) -> None:
        self.sent += len(data)
        self.now += len(data) * self._byte_seconds
        self._answers += self.device.feed(data)

    def close(self) -> None:
        pass


@dataclass
class Faults:
    """Chances per byte; ``unplugged`` bytes after which nothing passes any more, 0 for never."""

    flip: float = 0.0
    drop: float = 0.0
    repeat: float = 0.0
    unplugged: int = 0
    error: bool = True


class FaultyPort:
    """Passes bytes on, damaged by a seeded generator."""

    def __init__(self, port: Port, faults: Faults, rng: np.random.Generator) -> None:
        self.port, self.faults = port, faults
        self._rng = rng
        self.passed = 0
        self.injected = 0

    def _damaged(self, data: bytes) -> bytes:
        faults = self.faults
        out = np.frombuffer(data, np.uint8)
        dice = self._rng.random((3, len(data)))
        flips = dice[0] < faults.flip
        bits = (1 << self._rng.integers(0, 8, len(data))).astype(np.uint8)
        out = out ^ np.where(flips, bits, 0).astype(np.uint8)
        times = 1 - (dice[1] < faults.drop).astype(int) + (dice[2] < faults.repeat)
        self.injected += int(flips.sum() + (times != 1).sum())
        self.passed += len(data)
        return np.repeat(out, times).tobytes()

    @property
    def gone(self) -> bool:
        return 0 < self.faults.unplugged <= self.passed

    def read(self, timeout: float) -> bytes:
        if self.gone and self.faults.error:
            raise OSError("the port has gone")
        data = self.port.read(timeout)
        return b"" if self.gone else self._damaged(data)

    def write(self, data: bytes) -> None:
        if self.gone and self.faults.error:
            raise OSError("the port has gone")
        if not self.gone:
            room = self.faults.unplugged - self.passed if self.faults.unplugged else len(data)
            self.port.write(self._damaged(data[:room]))

    def close(self) -> None:
        self.port.close()


def spikes(run: Run) -> list[list[int]]:
    """Sample, step and neuron of each."""
    found: list[list[int]] = np.stack([run.sample, run.step, run.neuron], axis=1).tolist()
    return found


class Rig(Port, Protocol):
    """A device on a line with a clock of its own, that can lose its power."""

    def clock(self) -> float: ...

    def power_cycle(self) -> None:
        """Lose image and session."""
        ...


def faulty_run(
    seed: int,
    rig: Rig,
    shape: CoreShape,
    image: CoreImage,
    counts: np.ndarray,
    right: list[list[int]],
    most: int = 1500,
) -> str:
    """Load and run over a line with faults, then again: what happened, or "wrong".

    The faults are noise alone, or a line that is cut with or without an error of the port, one cut
    while the image is loaded, or a board that loses its power in between. A line is cut after up to
    ``most`` bytes. Wrong are spikes accepted that are not ``right``, and a device that runs without
    an image.
    """
    rng = np.random.default_rng([77, seed])
    rate = float(10 ** rng.uniform(-4, -2.3))
    faults = Faults(*(rate * rng.random(3)))
    kind = ("noise", "unplugged", "silent", "half-written", "reset")[seed % 5]

    def driver(number: int) -> Driver:
        port = FaultyPort(rig, faults, np.random.default_rng(number))
        return Driver(port, shape, clock=rig.clock, session=1 + number % 255)

    first = driver(seed)
    passed = 0
    if kind in ("unplugged", "silent"):
        faults.unplugged = int(rng.integers(30, most))
        faults.error = kind == "unplugged"
    elif kind == "half-written":
        faults.unplugged = int(rng.integers(60, 300))
    outcome = "right"
    try:
        first.load(image)
        if kind == "reset":
            rig.power_cycle()
        if spikes(first.run(counts)) != right:
            return "wrong"
        passed = 1
    except (DeviceLost, NoAnswer, WireFailed, HostError) as error:
        outcome = f"{kind}: {type(error).__name__}"
        if kind == "noise" and not isinstance(error, WireFailed):
            return f"wrong: {error}"
    # Plugged in again: what was left half-written must not run, and loading mends it.
    faults.unplugged = 0
    second = driver(seed + 5000)
    try:
        if not second.info().configured and not passed:
            try:
                second.run(counts)
                return "wrong: an unconfigured device ran"
            except HostError as error:
                if "not configured" not in str(error):
                    return f"wrong: {error}"
            second.load(image)
        if spikes(second.run(counts)) != right:
            return "wrong"
    except (DeviceLost, NoAnswer, WireFailed) as error:
        return f"{outcome}, then {type(error).__name__}"
    return outcome


class ModelBus:
    """A modelled device behind SPI, with a clock of its own: it speaks while it is spoken to."""

    def __init__(self, device: DeviceModel, byte_seconds: float = 2e-5) -> None:
        self.device = device
        self.now = 0.0
        self.transfers = 0
        self._byte_seconds = byte_seconds
        self._queue = bytearray()

    def clock(self) -> float:
        return self.now

    def xfer2(self, values: list[int]) -> Sequence[int]:
        self.transfers += 1
        self.now += len(values) * self._byte_seconds
        heard = []
        for value in values:
            # What comes back was chosen before the byte had arrived.
            heard.append(self._queue.pop(0) if self._queue else END)
            self._queue += self.device.feed(bytes((value,)))
        return heard

    def close(self) -> None:
        pass

    def power_cycle(self, device: DeviceModel) -> None:
        self.device = device
        self._queue.clear()


@dataclass
class BusFaults:
    """Chances per byte of a bit that flips, and of a clock edge that is missed or one too many.

    After such an edge all bits of the transfer are out of place. ``cut`` bytes after which the bus
    is dead, 0 for never: nothing arrives, and all ones come back.
    """

    flip: float = 0.0
    slip: float = 0.0
    cut: int = 0


class FaultyBus:
    """Passes transfers on, damaged by a seeded generator, each direction by itself."""

    def __init__(self, bus: SpiBus, faults: BusFaults, rng: np.random.Generator) -> None:
        self.bus, self.faults = bus, faults
        self._rng = rng
        self.passed = self.injected = 0

    def _damaged(self, values: Sequence[int]) -> list[int]:
        bits = np.unpackbits(np.array(values, np.uint8))
        flips = np.flatnonzero(self._rng.random(len(values)) < self.faults.flip)
        bits[8 * flips + self._rng.integers(0, 8, flips.size)] ^= 1
        slips = np.flatnonzero(self._rng.random(len(values)) < self.faults.slip)
        for byte in slips:
            at = 8 * int(byte) + int(self._rng.integers(0, 8))
            if self._rng.random() < 0.5:
                bits = np.append(np.delete(bits, at), np.uint8(1))
            else:
                bits = np.insert(bits, at, bits[at])[:-1]
        self.injected += flips.size + slips.size
        damaged: list[int] = np.packbits(bits).tolist()
        return damaged

    def xfer2(self, values: list[int]) -> Sequence[int]:
        self.passed += len(values)
        if 0 < self.faults.cut <= self.passed:
            self.bus.xfer2([END] * len(values))
            return [0xFF] * len(values)
        return self._damaged(self.bus.xfer2(self._damaged(values)))

    def close(self) -> None:
        self.bus.close()
