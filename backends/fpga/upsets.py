"""Single-event upsets: one bit of a device's state changed in mid-run, and what became of it.

The device is its RTL (:mod:`.stepped`), the host is :class:`~.wire.Driver`, as for a board: so an
upset counts as detected only if a user would have been told.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...hdl.protocol import ProtocolError
from ...hdl.shape import CoreShape
from .connection import DeviceLost, NoAnswer, WireFailed
from .host import HostError
from .simulate import SimulatorBuild
from .stepped import SteppedDevice, TraceLine, build_stepped
from .wire import Driver, WeightsDamaged, WrongDevice

__all__ = ["REGISTERS", "Outcome", "Site", "Upset", "Upsets", "build_changeable", "draw", "sites"]


class Outcome(enum.StrEnum):
    """What became of an upset."""

    MASKED = "masked"
    """Nothing differs: no reply, no cycle count, no state word of any step."""
    RECOVERED = "recovered"
    """State or cycles differed; every output spike and the last state of each neuron are right."""
    LATENT = "latent"
    """State differs at the end of the run; every output spike was right."""
    DETECTED = "detected"
    """The host reported an error, or the device counted one."""
    HANG = "hang"
    """The device stopped answering, which the host reports."""
    SILENT = "silent"
    """Output spikes differ and nobody said so."""


@dataclass(frozen=True, slots=True)
class Site:
    """A register (one word) or a memory of the device, and what it is there for."""

    module: str
    name: str
    bits: int
    words: int
    kind: str

    @property
    def path(self) -> str:
        """Its name in a simulator."""
        name = self.name if re.fullmatch(r"[A-Za-z_]\w*", self.name) else f"\\{self.name} "
        return f"TOP.{self.module}.{name}"

    @property
    def size(self) -> int:
        """Bits in all."""
        return self.bits * self.words


@dataclass(frozen=True, slots=True)
class Upset:
    """A bit to change, before the clock edge of ``cycle``."""

    site: Site
    word: int
    bit: int
    cycle: int


_MODULE: Final = re.compile(r"^module (\\?\S+) ?\(.*?^endmodule", re.MULTILINE | re.DOTALL)
_CLOCKED: Final = re.compile(
    r"^  always @\(posedge clk\)(?: begin\n(.*?)^  end\n|\n(.*?)\n)", re.MULTILINE | re.DOTALL
)
_TAKES: Final = re.compile(r"^\s*(\\\S+|[\w$]+) ?(?:\[.*\])? <= ", re.MULTILINE)
_REGISTER: Final = re.compile(
    r"^  reg (?:\[(\d+):0\] )?(\\\S+|[\w$]+) ?(?:\[(\d+):0\])?(?: = .*)?;$", re.MULTILINE
)
# What a memory or register is there for, by where it is; the first that fits.
_KINDS: Final = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"memories\.words\.part_", "weights"),
        (r"memories\.(rows|segments)\.part_", "rows"),
        (r"memories\.(neurons|first_bias|dynamics|spiking)\.part_", "parameters"),
        (r"memories\.(potential|current|refractory)\.part_", "states"),
        (r"accumulate\.bank_\d+\.(memory|held)$", "accumulators"),
        (r"(emitted|pending)\.memory$", "spike lists"),
        (r"transport\.\w+_buffer$", "line buffers"),
        (r"\.link\.", "registers of the link"),
        (r"", "registers of the core"),
    )
)
REGISTERS: Final = ("registers of the link", "registers of the core")


def sites(verilog: str) -> tuple[Site, ...]:
    """Every register and memory of `device_verilog`'s text, in its order."""
    return tuple(_sites(verilog))


def _sites(verilog: str) -> Iterator[Site]:
    for module in _MODULE.finditer(verilog):
        place = module[1].removeprefix("\\")
        clocked = {
            name
            for block in _CLOCKED.finditer(module[0])
            for name in _TAKES.findall(block[1] or block[2])
        }
        for high, name, last in _REGISTER.findall(module[0]):
            if name not in clocked:
                continue
            plain = name.removeprefix("\\")
            kind = next(k for pattern, k in _KINDS if pattern.search(f"{place}.{plain}"))
            yield Site(place, plain, int(high or 0) + 1, int(last or 0) + 1, kind)


def build_changeable(verilog: str) -> SimulatorBuild:
    """The simulator of a device whose every state bit can be changed."""
    return build_stepped(verilog, changeable=[(s.module, s.name) for s in sites(verilog)])


def draw(places: Sequence[Site], cycles: int, count: int, rng: np.random.Generator) -> list[Upset]:
    """Upsets at random: each bit of ``places`` and each of the cycles is as likely as any other."""
    ends = np.cumsum([site.size for site in places])
    found = []
    for at in rng.integers(0, ends[-1], count):
        number = int(np.searchsorted(ends, at, side="right"))
        site = places[number]
        word, bit = divmod(int(at - ends[number] + site.size), site.bits)
        found.append(Upset(site, word, bit, int(rng.integers(0, cycles))))
    return found


@dataclass(frozen=True, slots=True)
class _Seen:
    """All that a run shows: what the host got, and what the core did."""

    spikes: list[list[int]]
    cycles: NDArray[np.int64]
    trace: list[TraceLine]
    reports: tuple[int, ...]

    @property
    def ends(self) -> dict[int, tuple[bytes, bytes]]:
        """The last state of each beat."""
        return {line.index: (line.v, line.u) for line in self.trace}


class Upsets:
    """Runs of one stimulus, each with an upset of its own, against the run without.

    ``counts`` (samples, steps, inputs) as of :meth:`~.wire.Driver.run`; ``digest`` is the image's,
    which the host asks for first. ``cycles`` and ``spikes`` are those of the run without.
    """

    def __init__(
        self, device: SteppedDevice, shape: CoreShape, digest: bytes, counts: NDArray[Any]
    ) -> None:
        self._device = device
        self._shape = shape
        self._digest = digest
        self._counts = counts
        device.mark()
        self._right = self._run()
        self.cycles = device.cycles
        self.spikes = len(self._right.spikes)
        device.back()

    def _run(self) -> _Seen:
        device = self._device
        driver = Driver(
            device, self._shape, session=1, timeout=0.05, patience=1.0, clock=device.clock
        )
        driver.check(self._digest)
        run = driver.run(self._counts)
        status = driver.status()
        assert driver.connection is not None
        line = driver.connection.counts
        reports = (
            *(line.damaged, line.repeated, line.gaps, line.resent, line.timeouts),
            *(status.crc_errors, status.framing_errors, status.gaps, status.duplicates),
        )
        spikes = np.stack([run.sample, run.step, run.neuron], axis=1).tolist()
        return _Seen(spikes, run.cycles, device.trace(), reports)

    def outcome(self, upset: Upset) -> Outcome:
        """What becomes of an upset."""
        device = self._device
        device.mark()
        try:
            device.flip(upset.site.path, upset.word, upset.bit, upset.cycle)
            return self._judged(self._run())
        except (DeviceLost, NoAnswer):
            return Outcome.HANG
        except (WireFailed, HostError, WrongDevice, WeightsDamaged, ProtocolError):
            return Outcome.DETECTED
        finally:
            device.back()

    def _judged(self, seen: _Seen) -> Outcome:
        right = self._right
        if seen.reports != right.reports:
            return Outcome.DETECTED
        if seen.spikes != right.spikes:
            return Outcome.SILENT
        if seen.trace == right.trace and np.array_equal(seen.cycles, right.cycles):
            return Outcome.MASKED
        return Outcome.RECOVERED if seen.ends == right.ends else Outcome.LATENT
