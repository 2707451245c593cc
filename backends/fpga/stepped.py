"""The device's RTL as a port that is stepped: a host's own driver, in simulated time.

Where :mod:`.simulate` plays a script, this lets the host answer: what :class:`~.wire.Driver` reads
and writes goes to and from a process that runs Verilator's model, and its clock is the model's. A
run can be gone back on: the process forks, and the copy is dropped (``stepped_device.cpp``).
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from .simulate import SimulatorBuild, build_program

__all__ = ["SteppedDevice", "TraceLine", "build_stepped"]

_PROGRAM: Final = "stepped_device"
# A device that has said nothing for so many cycles has said what it had to say.
_SETTLED: Final = 100


def build_stepped(
    verilog: str,
    *,
    changeable: Iterable[tuple[str, str]] = (),
    cache_dir: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> SimulatorBuild:
    """Return the program of the Verilog module ``device``.

    ``changeable`` are the registers and memories, as (module, name), whose bits can be changed.
    Cached and raising as :func:`~.simulate.build_simulator`.
    """
    main = (resources.files(__package__) / f"{_PROGRAM}.cpp").read_text(encoding="utf-8")
    sources = {f"{_PROGRAM}.cpp": main, "device.v": verilog}
    lines = [f'public_flat_rw -module "{module}" -var "{name}"\n' for module, name in changeable]
    if lines:
        sources["changeable.vlt"] = "`verilator_config\n" + "".join(lines)
    return build_program(
        _PROGRAM,
        sources,
        ("--top-module", "device", *(("-CFLAGS", "-DSPIKEC_FLIPS") if lines else ())),
        cache_dir=cache_dir,
        progress=progress,
    )


@dataclass(frozen=True, slots=True)
class TraceLine:
    """What a beat of the commit left: the raw words of `device_verilog`'s trace ports."""

    step: int
    index: int
    v: bytes
    u: bytes
    spike: int


class SteppedDevice:
    """A :class:`~.wire.Port` to the device; use it in a ``with``.

    ``hertz`` is the simulated clock: a driver's time-outs count its cycles. A byte takes as long
    as the device takes it, both ways at once.
    """

    def __init__(self, build: SimulatorBuild, hertz: float = 100e3) -> None:
        self._process = subprocess.Popen(
            [str(build.folder / _PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._hertz = hertz
        self.cycles = 0
        self._marks: list[int] = []
        self._sizes = struct.unpack("<5I", self._ask(b"L", 20))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def _tell(self, data: bytes) -> None:
        assert self._process.stdin is not None
        rest = memoryview(data)
        while rest:
            rest = rest[self._process.stdin.write(rest) :]

    def _take(self, size: int) -> bytes:
        assert self._process.stdout is not None
        data = b""
        while len(data) < size:
            part = self._process.stdout.read(size - len(data))
            if not part:
                raise RuntimeError(f"the simulated device ended ({self._process.poll()})")
            data += part
        return data

    def _ask(self, command: bytes, size: int) -> bytes:
        self._tell(command)
        return self._take(size)

    # -- a port ----------------------------------------------------------------------------------

    def clock(self) -> float:
        """Seconds of simulated time since power-on."""
        return self.cycles / self._hertz

    def write(self, data: bytes) -> None:
        """Queue bytes for the device."""
        self._tell(b"W" + struct.pack("<I", len(data)) + data)

    def read(self, timeout: float) -> bytes:
        """Run until the device has spoken and fallen silent, or the time is up."""
        most = max(1, round(timeout * self._hertz))
        cycles, size = struct.unpack("<2I", self._ask(b"R" + struct.pack("<2I", most, _SETTLED), 8))
        self.cycles += cycles
        return self._take(size)

    def close(self) -> None:
        """Nothing: the device goes on."""

    # -- what no port has ------------------------------------------------------------------------

    def trace(self) -> list[TraceLine]:
        """What has been committed since the last call, in order."""
        (size,) = struct.unpack("<I", self._ask(b"T", 4))
        data = self._take(size)
        lines, at = [], 0
        while at < len(data):
            parts = []
            for part in self._sizes:
                parts.append(data[at : at + part])
                at += part
            step, index, spike = (int.from_bytes(parts[k], "little") for k in (0, 1, 4))
            lines.append(TraceLine(step, index, parts[2], parts[3], spike))
        return lines

    def size(self, name: str) -> tuple[int, int]:
        """Bits and words of what is changeable (a register is one word); no bits if it is not."""
        text = name.encode()
        answer = self._ask(b"K" + struct.pack("<I", len(text)) + text, 8)
        bits, words = struct.unpack("<2I", answer)
        return bits, words

    def flip(self, name: str, word: int, bit: int, cycle: int) -> None:
        """Change one bit before the clock edge of a cycle to come."""
        text = name.encode()
        self._tell(b"F" + struct.pack("<Q3I", cycle, word, bit, len(text)) + text)

    def mark(self) -> None:
        """Remember everything; marks nest."""
        self._marks.append(self.cycles)
        if self._ask(b"S", 1) != b"s":
            raise RuntimeError("the simulated device cannot fork")

    def back(self) -> None:
        """Be as at the last mark, which is forgotten; cycles as well."""
        self.cycles = self._marks.pop()
        self._ask(b"X", 1)
