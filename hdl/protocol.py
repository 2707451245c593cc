"""Commands of a host and replies of a core, as two streams of bytes.

`framing` carries the streams over a line, complete and in order. Operands are little-endian.

==========  ====  =================================================  ============================
command     code  operands                                           replies
==========  ====  =================================================  ============================
EVENTS      0x01  count (2), count sources (2 each)
MASK        0x02  line (3), count (2), count groups of 8 lines (1)
TICK        0x03                                                     spikes, then DONE
CLEAR       0x04                                                     CLEARED
BEGIN       0x05
WRITE       0x06  memory (1) address (3) count (2) words             WRITTEN
COMMIT      0x07                                                     COMMITTED
READ        0x08  memory (1) address (3) count (2)                   DATA
INFO        0x09                                                     INFO
STATUS      0x0a                                                     STATUS
LEARN       0x0b
REST        0x0c
==========  ====  =================================================  ============================

EVENTS and MASK are spikes on input lines in the step that the next TICK runs; bit k of a MASK's
byte g is line ``line + 8 g + k``. A word of a memory takes ceil(bits / 8) bytes; words of a burst
lie behind one another. In a device of several cores the upper half of the memory's byte is the
core (`ClusterShape`).

=========  ====  ===============================================================================
reply      code  operands
=========  ====  ===============================================================================
spike            neuron in two bytes, high byte first, below 0x80 (up to 32,768 neurons)
SPIKE      0x81  neuron (2), in larger cores
DONE       0x82  the core's report of the step, ceil(bits / 8) bytes
CLEARED    0x83
WRITTEN    0x84
DATA       0x85  the words
INFO       0x86  see `InfoReply`
COMMITTED  0x87
STATUS     0x88  see `StatusReply`
ERROR      0xee  reason (1)
=========  ====  ===============================================================================

After an ERROR the device takes no command until the session is opened anew: nothing that follows a
refused command is executed.

LEARN and REST say whether weights that learn do so from the next CLEAR on; a device begins with
LEARN. One without such weights knows neither. READ gives weights as they have become.

**Configuration.** A WRITE of anything makes the device unconfigured, and it then refuses EVENTS,
MASK and TICK. COMMIT makes it configured again if there was a BEGIN in the same session and the
last WRITE wrote DIGEST. A session's bytes arrive all, once and in order, or it ends: so a
configuration that was cut off never runs. STATUS clears the counters once they are said.

**Parity.** A core whose weight words have one counts the words it read that had a bit changed, in
`Memory.DAMAGED`, and then refuses EVENTS, MASK and TICK until DIGEST is written again. The last
words of a run may be read after its last TICK was taken: a host asks for the count at its end.
"""

from __future__ import annotations

import enum
import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from .cluster_shape import DeviceShape

VERSION: Final = 3
MAGIC: Final = 0xA0
DIGEST_BYTES: Final = 8
COUNTER_BITS: Final = 24
COUNTER_MAX: Final = (1 << COUNTER_BITS) - 1
SHORT_SPIKE_NEURONS: Final = 1 << 15
MASK_LINES: Final = 8
SCK_CYCLES: Final = 8
"""Cycles of the device that a clock of an SPI controller lasts at least."""
MOST_WORDS: Final = (1 << 16) - 1
MOST_EVENTS: Final = (1 << 16) - 1


class Opcode(enum.IntEnum):
    """First byte of a command or reply."""

    EVENTS = 0x01
    MASK = 0x02
    TICK = 0x03
    CLEAR = 0x04
    BEGIN = 0x05
    WRITE = 0x06
    COMMIT = 0x07
    READ = 0x08
    INFO = 0x09
    STATUS = 0x0A
    LEARN = 0x0B
    REST = 0x0C
    SPIKE = 0x81
    DONE = 0x82
    CLEARED = 0x83
    WRITTEN = 0x84
    DATA = 0x85
    INFO_REPLY = 0x86
    COMMITTED = 0x87
    STATUS_REPLY = 0x88
    ERROR = 0xEE


class ErrorCode(enum.IntEnum):
    """Why the device refused a command."""

    UNKNOWN_COMMAND = 1
    BAD_MEMORY = 2
    BAD_ADDRESS = 3
    BAD_SOURCE = 4
    NOT_CONFIGURED = 5
    BAD_CONFIGURATION = 6
    DAMAGED = 7


class ProtocolError(ValueError):
    """Bytes that are no reply; the message has the offending byte or field."""


_INFO: Final = struct.Struct("<BBBH8s")
_STATUS: Final = struct.Struct("<BBBB")
INFO_BYTES: Final = _INFO.size
STATUS_BYTES: Final = _STATUS.size
# Clocks are told in steps of so many Hz.
_CLOCK_UNIT: Final = 10_000


@dataclass(frozen=True)
class LinkOptions:
    """What a link is built with besides the shape: the clock it reports (Hz), and its buffers.

    A buffer has 256 to 2,048 bytes, a power of two.
    """

    clock_hz: int = 0
    receive_bytes: int = 512
    replay_bytes: int = 512


DEFAULT_LINK: Final = LinkOptions()


def shape_digest(shape: DeviceShape) -> bytes:
    """Eight bytes that name a shape."""
    return hashlib.sha256(repr(shape).encode()).digest()[:DIGEST_BYTES]


@dataclass(frozen=True)
class Write:
    """Store one word, given as the bytes of the wire.

    ``memory`` is a number of `Memory`, or one of `ClusterShape`.
    """

    memory: int
    address: int
    data: bytes

    def encode(self) -> bytes:
        """The command's bytes."""
        return write_burst(self.memory, self.address, 1, self.data)


def _burst(memory: int, address: int, count: int) -> bytes:
    return bytes((memory,)) + address.to_bytes(3, "little") + count.to_bytes(2, "little")


def write_burst(memory: int, address: int, count: int, data: bytes) -> bytes:
    """WRITE of ``count`` words from ``address`` on; ``data`` holds them one behind the other."""
    return bytes((Opcode.WRITE,)) + _burst(memory, address, count) + data


def read_burst(memory: int, address: int, count: int) -> bytes:
    """READ of ``count`` words from ``address`` on."""
    return bytes((Opcode.READ,)) + _burst(memory, address, count)


def configuration(writes: Iterable[Write]) -> tuple[bytes, int]:
    """BEGIN, the writes in bursts as long as they go, COMMIT; number of bursts."""
    bursts = list(_bursts(writes))
    begin, end = bytes((Opcode.BEGIN,)), bytes((Opcode.COMMIT,))
    return begin + b"".join(bursts) + end, len(bursts)


def _bursts(writes: Iterable[Write]) -> Iterator[bytes]:
    run: list[Write] = []
    for write in writes:
        follows = run and (
            write.memory == run[0].memory
            and write.address == run[0].address + len(run)
            and len(run) < MOST_WORDS
        )
        if run and not follows:
            yield _joined(run)
            run = []
        run.append(write)
    if run:
        yield _joined(run)


def _joined(run: list[Write]) -> bytes:
    first = run[0]
    return write_burst(first.memory, first.address, len(run), b"".join(w.data for w in run))


def events(sources: Iterable[int]) -> bytes:
    """EVENTS of the sources, in order; () gives nothing."""
    lines = list(sources)
    out = b""
    for start in range(0, len(lines), MOST_EVENTS):
        part = lines[start : start + MOST_EVENTS]
        out += bytes((Opcode.EVENTS,)) + struct.pack(f"<H{len(part)}H", len(part), *part)
    return out


def mask(line: int, groups: bytes) -> bytes:
    """MASK of groups of 8 lines each, from ``line`` on."""
    head = line.to_bytes(3, "little") + len(groups).to_bytes(2, "little")
    return bytes((Opcode.MASK,)) + head + groups


def status_request() -> bytes:
    """STATUS, which also clears the counters."""
    return bytes((Opcode.STATUS,))


@dataclass(frozen=True)
class InfoReply:
    """What the device is: on the wire configured(1), version(1), sizes(1), clock(2), shape(8).

    ``shape`` names its shape; which image it holds is in `Memory.DIGEST`, and means nothing unless
    it is ``configured``. ``receive_bytes`` and ``replay_bytes`` are its buffers, the largest credit
    and what it can keep for sending again; ``clock_hz`` the core's clock to the nearest 10 kHz, 0
    if unknown.
    """

    shape: bytes
    receive_bytes: int
    replay_bytes: int
    clock_hz: int = 0
    configured: bool = True
    version: int = VERSION

    def encode(self) -> bytes:
        """The operands."""
        sizes = self.receive_bytes.bit_length() - 1 | self.replay_bytes.bit_length() - 1 << 4
        clock = round(self.clock_hz / _CLOCK_UNIT)
        return _INFO.pack(self.configured, MAGIC | self.version, sizes, clock, self.shape)

    @staticmethod
    def decode(operands: bytes) -> InfoReply:
        """Read the operands back. Raises `ProtocolError` if it is no device of this protocol."""
        configured, version, sizes, clock, shape = _INFO.unpack(operands)
        if version & 0xF0 != MAGIC:
            raise ProtocolError(f"the device says {version:#04x} where its version is due")
        if version != MAGIC | VERSION:
            raise ProtocolError(f"the device speaks version {version & 15}, this host {VERSION}")
        return InfoReply(
            shape=shape,
            receive_bytes=1 << (sizes & 15),
            replay_bytes=1 << (sizes >> 4),
            clock_hz=clock * _CLOCK_UNIT,
            configured=bool(configured),
        )


@dataclass(frozen=True)
class StatusReply:
    """Frames that the device dropped since its counters were cleared; 255 is that many or more.

    ``crc_errors`` damaged; ``framing_errors`` no frames at all, or larger than the free buffer;
    ``gaps`` from beyond the stream's end; ``duplicates`` taken before.
    """

    crc_errors: int = 0
    framing_errors: int = 0
    gaps: int = 0
    duplicates: int = 0

    def encode(self) -> bytes:
        """The operands."""
        return _STATUS.pack(self.crc_errors, self.framing_errors, self.gaps, self.duplicates)

    @staticmethod
    def decode(operands: bytes) -> StatusReply:
        """Read the operands back."""
        return StatusReply(*_STATUS.unpack(operands))


def refusal(code: int) -> str:
    """What an ERROR says, in words."""
    try:
        return ErrorCode(code).name.lower().replace("_", " ")
    except ValueError:
        return f"code {code}"
