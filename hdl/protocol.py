"""Frames between a host and a core, as bytes on a link that keeps order and loses nothing.

Every frame is an opcode byte and little-endian operands.

==========  ======  =======================================  ==================================
host sends  opcode  operands                                 device answers
==========  ======  =======================================  ==================================
EVENT       0x01    source (2)                               nothing
TICK        0x02                                             SPIKE ... SPIKE DONE
CLEAR       0x03                                             CLEARED
WRITE       0x04    memory (1) address (3) data (word)       WRITTEN
READ        0x05    memory (1) address (3)                   DATA
INFO        0x06                                             INFO
==========  ======  =======================================  ==================================

A word on the wire takes ceil(bits / 8) bytes. The device answers a bad frame with ERROR once it
has all the bytes whose number it can know, and takes the next byte as an opcode.

A host that waits for the answer of each TICK, CLEAR, WRITE, READ and INFO before it sends the
next frame never finds the link deaf.
"""

from __future__ import annotations

import enum
import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .shape import OVERFLOWS, ROUNDINGS, CoreShape, Memory, ShapeError

VERSION: Final = 1
MAGIC: Final = b"SPK1"
DIGEST_BYTES: Final = 8
DONE_STEP_BYTES: Final = 2
COUNTER_BITS: Final = 24
COUNTER_MAX: Final = (1 << COUNTER_BITS) - 1


class Opcode(enum.IntEnum):
    """First byte of a frame."""

    EVENT = 0x01
    TICK = 0x02
    CLEAR = 0x03
    WRITE = 0x04
    READ = 0x05
    INFO = 0x06
    SPIKE = 0x81
    DONE = 0x82
    CLEARED = 0x83
    WRITTEN = 0x84
    DATA = 0x85
    INFO_REPLY = 0x86
    ERROR = 0xEE


class ErrorCode(enum.IntEnum):
    """Why the device refused a frame."""

    UNKNOWN_COMMAND = 1
    BAD_MEMORY = 2
    BAD_ADDRESS = 3
    BAD_SOURCE = 4


class ProtocolError(ValueError):
    """Bytes that are no frame; the message has the offending byte or field."""


_EVENT = struct.Struct("<BH")
_ADDRESS = struct.Struct("<BBI")  # the top byte of the address is not sent
_SPIKE = struct.Struct("<BH")
# opcode, magic, version, lanes, weight_bits, acc_bits, state_bits, decay_bits, neurons, inputs,
# words, classes, pages, flags, refractory_bits, shift_bits, step_bits, rounding, digest
_INFO = struct.Struct("<B4sBBBBBBIIIHHBBBBB8s")
_FLAG_CUBA, _FLAG_FIRST_BIAS = 1, 2
_FLAG_OVERFLOW_SHIFT = 2


@dataclass(frozen=True)
class Event:
    """A spike on input line ``source`` in the step to come."""

    source: int

    def encode(self) -> bytes:
        """The frame's bytes."""
        return _EVENT.pack(Opcode.EVENT, self.source)


@dataclass(frozen=True)
class Tick:
    """Run the step."""

    def encode(self) -> bytes:
        """The frame's bytes."""
        return bytes((Opcode.TICK,))


@dataclass(frozen=True)
class Clear:
    """Back to step 0 with all state zero; the configuration stays."""

    def encode(self) -> bytes:
        """The frame's bytes."""
        return bytes((Opcode.CLEAR,))


@dataclass(frozen=True)
class Write:
    """Store one word, given as the bytes of the wire."""

    memory: Memory
    address: int
    data: bytes

    def encode(self) -> bytes:
        """The frame's bytes."""
        return _ADDRESS.pack(Opcode.WRITE, self.memory, self.address)[:5] + self.data


@dataclass(frozen=True)
class Read:
    """Ask for one word."""

    memory: Memory
    address: int

    def encode(self) -> bytes:
        """The frame's bytes."""
        return _ADDRESS.pack(Opcode.READ, self.memory, self.address)[:5]


@dataclass(frozen=True)
class InfoRequest:
    """Ask for the shape and the image digest."""

    def encode(self) -> bytes:
        """The frame's bytes."""
        return bytes((Opcode.INFO,))


@dataclass(frozen=True)
class Spike:
    """Neuron ``neuron`` spiked in the running step."""

    neuron: int

    def encode(self) -> bytes:
        """The frame's bytes."""
        return _SPIKE.pack(Opcode.SPIKE, self.neuron)


@dataclass(frozen=True)
class Done:
    """Step ``step`` is over; cycles of its three phases, saturating at 2^24 - 1."""

    step: int
    accumulate: int
    commit: int
    propagate: int

    def encode(self) -> bytes:
        """The frame's bytes."""
        counters = (self.accumulate, self.commit, self.propagate)
        body = b"".join(count.to_bytes(COUNTER_BITS // 8, "little") for count in counters)
        return bytes((Opcode.DONE,)) + self.step.to_bytes(DONE_STEP_BYTES, "little") + body


@dataclass(frozen=True)
class Cleared:
    """CLEAR is over."""

    def encode(self) -> bytes:
        """The frame's bytes."""
        return bytes((Opcode.CLEARED,))


@dataclass(frozen=True)
class Written:
    """WRITE is over."""

    def encode(self) -> bytes:
        """The frame's bytes."""
        return bytes((Opcode.WRITTEN,))


@dataclass(frozen=True)
class Data:
    """The word asked for, as the bytes of the wire."""

    data: bytes

    def encode(self) -> bytes:
        """The frame's bytes."""
        return bytes((Opcode.DATA,)) + self.data


@dataclass(frozen=True)
class InfoReply:
    """What the device is and which image it holds (8 bytes; zeros if none)."""

    shape: CoreShape
    digest: bytes
    version: int = VERSION

    def encode(self) -> bytes:
        """The frame's bytes."""
        shape = self.shape
        flags = (
            _FLAG_CUBA * shape.cuba
            | _FLAG_FIRST_BIAS * shape.first_bias
            | OVERFLOWS.index(shape.overflow) << _FLAG_OVERFLOW_SHIFT
        )
        return _INFO.pack(
            Opcode.INFO_REPLY,
            MAGIC,
            self.version,
            shape.lanes,
            shape.weight_bits,
            shape.acc_bits,
            shape.state_bits,
            shape.decay_bits,
            shape.neurons,
            shape.inputs,
            shape.words,
            shape.classes,
            shape.pages,
            flags,
            shape.refractory_bits,
            shape.shift_bits,
            shape.step_bits,
            ROUNDINGS.index(shape.rounding),
            self.digest,
        )

    @staticmethod
    def decode(frame: bytes) -> InfoReply:
        """Read the frame back. Raises `ProtocolError` if it is no device of this protocol."""
        _, magic, version, *numbers, digest = _INFO.unpack(frame)
        if magic != MAGIC:
            raise ProtocolError(f"the device calls itself {magic!r}, not {MAGIC!r}")
        if version != VERSION:
            raise ProtocolError(f"the device speaks version {version}, this host {VERSION}")
        (
            lanes,
            weight_bits,
            acc_bits,
            state_bits,
            decay_bits,
            neurons,
            inputs,
            words,
            classes,
            pages,
            flags,
            refractory_bits,
            shift_bits,
            step_bits,
            rounding,
        ) = numbers
        if rounding >= len(ROUNDINGS) or flags >> (_FLAG_OVERFLOW_SHIFT + 1):
            raise ProtocolError(f"unknown rounding {rounding} or flags {flags:#04x}")
        try:
            shape = CoreShape(
                lanes=lanes,
                weight_bits=weight_bits,
                acc_bits=acc_bits,
                state_bits=state_bits,
                decay_bits=decay_bits,
                neurons=neurons,
                inputs=inputs,
                words=words,
                classes=classes,
                pages=pages,
                cuba=bool(flags & _FLAG_CUBA),
                first_bias=bool(flags & _FLAG_FIRST_BIAS),
                refractory_bits=refractory_bits,
                shift_bits=shift_bits,
                step_bits=step_bits,
                rounding=ROUNDINGS[rounding],
                overflow=OVERFLOWS[flags >> _FLAG_OVERFLOW_SHIFT],
            )
        except ShapeError as error:
            raise ProtocolError(f"the device describes an impossible core: {error}") from error
        return InfoReply(shape, digest, version)


@dataclass(frozen=True)
class Error:
    """The device refused a frame."""

    code: ErrorCode

    def encode(self) -> bytes:
        """The frame's bytes."""
        return bytes((Opcode.ERROR, self.code))


Command = Event | Tick | Clear | Write | Read | InfoRequest
Reply = Spike | Done | Cleared | Written | Data | InfoReply | Error


def encode(frames: Iterable[Command | Reply]) -> bytes:
    """The bytes of several frames, in order."""
    return b"".join(frame.encode() for frame in frames)


class ReplyDecoder:
    """Bytes of a device, in pieces of any size, into replies.

    DATA carries no length: the host knows which word it asked for and says so with `expect` when
    it sends the READ.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._data_sizes: deque[int] = deque()
        self._failure: ProtocolError | None = None

    def expect(self, size: int) -> None:
        """Announce that the next unannounced DATA has ``size`` bytes."""
        self._data_sizes.append(size)

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Reply]:
        """Replies completed by ``data``.

        Raises `ProtocolError` for a byte that starts no reply or a reply that makes no sense. It
        is dropped; replies before it are returned first and the error raised by the next call.
        """
        self._buffer += data
        replies: list[Reply] = []
        try:
            if self._failure is not None:
                raise self._failure
            while (size := self._frame_size()) is not None and size <= len(self._buffer):
                frame = bytes(self._buffer[:size])
                del self._buffer[:size]
                replies.append(self._decode(frame))
        except ProtocolError as error:
            self._failure = error if replies else None
            if not replies:
                raise
        return replies

    def _frame_size(self) -> int | None:
        if not self._buffer:
            return None
        match self._buffer[0]:
            case Opcode.SPIKE:
                return _SPIKE.size
            case Opcode.DONE:
                return 1 + DONE_STEP_BYTES + 3 * COUNTER_BITS // 8
            case Opcode.CLEARED | Opcode.WRITTEN:
                return 1
            case Opcode.INFO_REPLY:
                return _INFO.size
            case Opcode.ERROR:
                return 2
            case Opcode.DATA if self._data_sizes:
                return 1 + self._data_sizes[0]
            case Opcode.DATA:
                del self._buffer[0]
                raise ProtocolError("the device sent a word that was not asked for")
            case byte:
                del self._buffer[0]
                raise ProtocolError(f"{byte:#04x} starts no reply")

    def _decode(self, frame: bytes) -> Reply:
        match frame[0]:
            case Opcode.SPIKE:
                return Spike(_SPIKE.unpack(frame)[1])
            case Opcode.DONE:
                counts = (int.from_bytes(frame[at : at + 3], "little") for at in (3, 6, 9))
                return Done(int.from_bytes(frame[1:3], "little"), *counts)
            case Opcode.CLEARED:
                return Cleared()
            case Opcode.WRITTEN:
                return Written()
            case Opcode.DATA:
                self._data_sizes.popleft()
                return Data(frame[1:])
            case Opcode.INFO_REPLY:
                return InfoReply.decode(frame)
            case _:
                return Error(_error_code(frame[1]))


def _error_code(byte: int) -> ErrorCode:
    try:
        return ErrorCode(byte)
    except ValueError:
        raise ProtocolError(f"the device reports unknown error {byte}") from None


class CommandDecoder:
    """Bytes of a host, in pieces of any size, into commands: the device's side of the link.

    A frame the device would refuse comes out as the `Error` it would answer, in its place.
    """

    def __init__(self, shape: CoreShape) -> None:
        self._shape = shape
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Command | Error]:
        """Commands, and errors in place of bad ones, completed by ``data``."""
        self._buffer += data
        commands: list[Command | Error] = []
        while self._buffer and (size := self._frame_size()) <= len(self._buffer):
            frame = bytes(self._buffer[:size])
            del self._buffer[:size]
            commands.append(self._decode(frame))
        return commands

    def _memory(self, number: int) -> Memory | None:
        known = (memory for memory in self._shape.memories if memory == number)
        return next(known, None)

    def _frame_size(self) -> int:
        match self._buffer[0]:
            case Opcode.EVENT:
                return _EVENT.size
            case Opcode.READ:
                return 5
            case Opcode.WRITE if len(self._buffer) > 1:
                memory = self._memory(self._buffer[1])
                return 5 + (0 if memory is None else self._shape.word_bytes(memory))
            case Opcode.WRITE:
                return 5
            case _:
                return 1

    def _decode(self, frame: bytes) -> Command | Error:
        match frame[0]:
            case Opcode.EVENT:
                source = _EVENT.unpack(frame)[1]
                known = source < self._shape.inputs
                return Event(source) if known else Error(ErrorCode.BAD_SOURCE)
            case Opcode.TICK:
                return Tick()
            case Opcode.CLEAR:
                return Clear()
            case Opcode.INFO:
                return InfoRequest()
            case Opcode.READ | Opcode.WRITE:
                memory = self._memory(frame[1])
                address = int.from_bytes(frame[2:5], "little")
                if memory is None:
                    return Error(ErrorCode.BAD_MEMORY)
                if address >= self._shape.depth(memory):
                    return Error(ErrorCode.BAD_ADDRESS)
                if frame[0] == Opcode.READ:
                    return Read(memory, address)
                return Write(memory, address, frame[5:])
            case _:
                return Error(ErrorCode.UNKNOWN_COMMAND)
