"""Ports for tests: a modelled device behind one, and one that damages what passes through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikec.backends.fpga.wire import Port

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
        self._passed = 0
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
        self._passed += len(data)
        return np.repeat(out, times).tobytes()

    @property
    def gone(self) -> bool:
        return 0 < self.faults.unplugged <= self._passed

    def read(self, timeout: float) -> bytes:
        if self.gone and self.faults.error:
            raise OSError("the port has gone")
        data = self.port.read(timeout)
        return b"" if self.gone else self._damaged(data)

    def write(self, data: bytes) -> None:
        if self.gone and self.faults.error:
            raise OSError("the port has gone")
        if not self.gone:
            room = self.faults.unplugged - self._passed if self.faults.unplugged else len(data)
            self.port.write(self._damaged(data[:room]))

    def close(self) -> None:
        self.port.close()
