"""The device's side of the wire in plain Python: what the hardware is compared with.

It knows no clock. After each byte it does at once all that the hardware would come to do before
the next one, so it sends fewer and fuller frames; the streams are the same.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Generator
from typing import Protocol

from spikec.hdl.framing import (
    ANSWER,
    DELIMITER,
    DEVICE_PAYLOAD,
    HOST_HEADER,
    NAK,
    OFFSET_BITS,
    OPEN,
    POLL,
    REWIND,
    DeviceFrame,
    FrameError,
    HostFrame,
    ahead,
    unescape,
)
from spikec.hdl.memories import READ_ONLY
from spikec.hdl.protocol import (
    SHORT_SPIKE_NEURONS,
    ErrorCode,
    InfoReply,
    Opcode,
    StatusReply,
    shape_digest,
)
from spikec.hdl.shape import CoreShape, Memory

SPAN = 1 << OFFSET_BITS


class ModelCore(Protocol):
    """What a device holds."""

    def event(self, source: int) -> None: ...

    def tick(self) -> tuple[list[int], bytes]:
        """Spikes and the report."""
        ...

    def clear(self) -> None: ...

    def write(self, memory: Memory, address: int, data: bytes) -> None: ...

    def read(self, memory: Memory, address: int) -> bytes: ...


class DeviceModel:
    """A device: bytes of the line in, bytes of the line out."""

    def __init__(
        self,
        shape: CoreShape,
        core: ModelCore,
        *,
        configured: bool = False,
        receive_bytes: int = 512,
        replay_bytes: int = 512,
    ) -> None:
        self.shape, self.core = shape, core
        self.configured, self.identified = configured, False
        self.learn = True
        self._sizes = (receive_bytes, replay_bytes)
        self._session = 0
        self._encoded = bytearray()
        self.counts = dict.fromkeys(("crc_errors", "framing_errors", "gaps", "duplicates"), 0)
        self._due = 0
        self._marks = 0
        self._restart()

    def _restart(self) -> None:
        self._begun = self._told = False
        self._taken = self._consumed = 0
        self._kept = self._sent = self._written = 0
        self._inbox = bytearray()
        self._replay = bytearray()
        self._engine = self._commands()
        next(self._engine)

    # -- frames ----------------------------------------------------------------------------------

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the line; return what goes onto it."""
        out = b""
        for byte in data:
            if byte != DELIMITER[0]:
                # More than any frame can have; what it decodes to overflows the buffer.
                if len(self._encoded) < 20_000:
                    self._encoded.append(byte)
            elif self._encoded:
                self._judge(bytes(self._encoded))
                self._encoded.clear()
                out += self._speak()
        return out

    def _count(self, name: str) -> None:
        self.counts[name] = min(self.counts[name] + 1, 255)

    def _drop(self, reason: str) -> None:
        self._count(reason)
        self._due, self._marks = 1, self._marks | NAK

    def _judge(self, encoded: bytes) -> None:
        try:
            plain = unescape(encoded)
        except FrameError:
            return self._drop("framing_errors")
        if len(plain) < HOST_HEADER.size + 4:
            return self._drop("framing_errors")
        free = self._sizes[0] - 1 - (self._taken - self._consumed)
        if len(plain) - HOST_HEADER.size > free:
            return self._drop("framing_errors")
        content, crc = plain[:-4], plain[-4:]
        if zlib.crc32(content) != int.from_bytes(crc, "little"):
            return self._drop("crc_errors")
        frame = HostFrame.of(content)
        if frame.session != self._session:
            self._due = 1
            if frame.flags & OPEN:
                self._session = frame.session
                self._restart()
                self._marks |= ANSWER
            return None
        if (progress := ahead(frame.ack, self._kept % SPAN)) >= 0:
            del self._replay[:progress]
            self._kept += progress
            if frame.flags & REWIND or self._kept > self._sent:
                self._sent = self._kept
        if frame.flags & (OPEN | POLL | REWIND):
            self._due, self._marks = 1, self._marks | ANSWER
        if frame.payload:
            self._due = 1
            place = ahead(frame.offset, self._taken % SPAN)
            if place == 0:
                self._taken += len(frame.payload)
                self._inbox += frame.payload
            elif place < 0:
                self._count("duplicates")
            else:
                self._drop("gaps")
        return None

    def _speak(self) -> bytes:
        out = b""
        while True:
            self._engine.send(None)
            half = bool(self._consumed & self._sizes[0] // 2)
            unsent = self._written - self._sent
            stale = half != self._told
            if not (self._due or unsent or stale):
                return out
            size = min(unsent, DEVICE_PAYLOAD - self._sent % DEVICE_PAYLOAD)
            at = self._sent - self._kept
            out += DeviceFrame(
                self._marks,
                self._session,
                self._sent % SPAN,
                self._taken % SPAN,
                self._consumed % SPAN,
                bytes(self._replay[at : at + size]),
                self._sizes[0].bit_length() - 1,
            ).encode()
            self._sent += size
            self._told = half
            self._due = self._marks = 0

    # -- commands --------------------------------------------------------------------------------

    def _take(self, size: int) -> Generator[None, None, bytes]:
        taken = b""
        while len(taken) < size:
            while not self._inbox:
                yield
            taken += self._inbox[:1]
            del self._inbox[:1]
            self._consumed += 1
        return taken

    def _reply(self, data: bytes) -> Generator[None, None, None]:
        for byte in data:
            while len(self._replay) >= self._sizes[1] - 1:
                yield
            self._replay.append(byte)
            self._written += 1

    def _commands(self) -> Generator[None, None, None]:
        yield
        while True:
            (opcode,) = yield from self._take(1)
            refused = yield from self._command(opcode)
            if refused is not None:
                yield from self._reply(bytes((Opcode.ERROR, refused)))
                while True:
                    yield from self._take(1)

    def _number(self, size: int) -> Generator[None, None, int]:
        data = yield from self._take(size)
        return int.from_bytes(data, "little")

    def _command(self, opcode: int) -> Generator[None, None, ErrorCode | None]:
        stimulus = (Opcode.EVENTS, Opcode.MASK, Opcode.TICK)
        if opcode in stimulus and not self.configured:
            return ErrorCode.NOT_CONFIGURED
        match opcode:
            case Opcode.EVENTS:
                for _ in range((yield from self._number(2))):
                    source = yield from self._number(2)
                    if source >= self.shape.inputs:
                        return ErrorCode.BAD_SOURCE
                    self.core.event(source)
            case Opcode.MASK:
                line = yield from self._number(3)
                count = yield from self._number(2)
                for place in range(line, line + 8 * count, 8):
                    bits = yield from self._number(1)
                    for bit in range(8):
                        if bits >> bit & 1:
                            if place + bit >= self.shape.inputs:
                                return ErrorCode.BAD_SOURCE
                            self.core.event(place + bit)
            case Opcode.TICK:
                spikes, report = self.core.tick()
                for neuron in spikes:
                    if self.shape.neurons > SHORT_SPIKE_NEURONS:
                        data = bytes((Opcode.SPIKE,)) + neuron.to_bytes(2, "little")
                    else:
                        data = neuron.to_bytes(2, "big")
                    yield from self._reply(data)
                yield from self._reply(bytes((Opcode.DONE,)) + report)
            case Opcode.CLEAR:
                self.core.clear()
                yield from self._reply(bytes((Opcode.CLEARED,)))
            case Opcode.BEGIN:
                self.configured, self.identified, self._begun = False, False, True
            case Opcode.WRITE | Opcode.READ:
                return (yield from self._burst(opcode))
            case Opcode.COMMIT:
                begun, self._begun = self._begun, False
                if not begun or not self.identified:
                    return ErrorCode.BAD_CONFIGURATION
                self.configured = True
                yield from self._reply(bytes((Opcode.COMMITTED,)))
            case Opcode.INFO:
                yield from self._reply(bytes((Opcode.INFO_REPLY,)) + self._info().encode())
            case Opcode.STATUS:
                status = StatusReply(**self.counts)
                yield from self._reply(bytes((Opcode.STATUS_REPLY,)) + status.encode())
                self.counts = dict.fromkeys(self.counts, 0)
            case Opcode.LEARN | Opcode.REST if self.shape.learning is not None:
                self.learn = opcode == Opcode.LEARN
            case _:
                return ErrorCode.UNKNOWN_COMMAND
        return None

    def _burst(self, opcode: int) -> Generator[None, None, ErrorCode | None]:
        head = yield from self._take(6)
        address, count = int.from_bytes(head[1:4], "little"), int.from_bytes(head[4:], "little")
        memory = next((m for m in self.shape.memories if m == head[0]), None)
        if memory is None or (
            not self.shape.readable(memory) if opcode == Opcode.READ else memory in READ_ONLY
        ):
            return ErrorCode.BAD_MEMORY
        if address + count > self.shape.depth(memory):
            return ErrorCode.BAD_ADDRESS
        if opcode == Opcode.READ:
            yield from self._reply(bytes((Opcode.DATA,)))
            for place in range(address, address + count):
                yield from self._reply(self.core.read(memory, place))
            return None
        self.configured, self.identified = False, memory is Memory.DIGEST
        for place in range(address, address + count):
            data = yield from self._take(self.shape.word_bytes(memory))
            self.core.write(memory, place, data)
        yield from self._reply(bytes((Opcode.WRITTEN,)))
        return None

    def _info(self) -> InfoReply:
        return InfoReply(
            shape=shape_digest(self.shape),
            receive_bytes=self._sizes[0],
            replay_bytes=self._sizes[1],
            configured=self.configured,
        )


class HashCore:
    """Spikes that depend on every event and step since the last CLEAR, and on every word written.

    One event or step too many, too few or in the wrong place changes nearly all that follow.
    """

    def __init__(self, shape: CoreShape, report_bytes: int = 8) -> None:
        self._shape, self._report = shape, report_bytes
        self.words: dict[tuple[Memory, int], bytes] = {}
        self.clear()

    def clear(self) -> None:
        self._step, self._seen = 0, 0

    def event(self, source: int) -> None:
        self._seen = zlib.crc32(source.to_bytes(2, "little"), self._seen)

    def tick(self) -> tuple[list[int], bytes]:
        every = b"".join(self.words[key] for key in sorted(self.words))
        self._seen = zlib.crc32(every + b"tick", self._seen)
        noise = hashlib.sha256(self._seen.to_bytes(4, "little")).digest()
        spikes = [n for n in range(min(self._shape.neurons, 256)) if noise[n // 8] >> n % 8 & 1]
        report = self._step.to_bytes(2, "little") + self._seen.to_bytes(4, "little")
        self._step = (self._step + 1) % (1 << self._shape.step_bits)
        return spikes, report.ljust(self._report, b"\0")

    def write(self, memory: Memory, address: int, data: bytes) -> None:
        kept = int.from_bytes(data, "little") & (1 << self._shape.word_bits(memory)) - 1
        self.words[memory, address] = kept.to_bytes(len(data), "little")

    def read(self, memory: Memory, address: int) -> bytes:
        return self.words.get((memory, address), bytes(self._shape.word_bytes(memory)))
