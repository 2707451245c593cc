"""Frames on a line that loses, changes and repeats bytes, shared by host and device.

A frame ends with the byte 0x7e, which occurs nowhere else: 0x7e and 0x7d inside are sent as 0x7d
and the byte xor 0x20 (RFC 1662). After anything at all, the next 0x7e is where both ends agree
again. Inside::

    from the host    session(1) flags+offset(2) ack(2)                    payload crc(4)
    from the device  session(1) flags+offset(2) size+ack(2) consumed(2)   payload crc(4)

Numbers are little-endian; offsets have 12 bits, and what is added stands in the four above. The
payloads of a direction are one stream of bytes. ``offset`` is the place of the payload's first byte
in the sender's stream, ``ack`` how many bytes of the other stream have been taken (each frame whole
or not at all), ``consumed`` how many of them the device has worked off; all modulo 2^12. The host
may send up to ``consumed + 2^size - 8``. The crc is CRC-32 (IEEE 802.3, the one of zlib) of all
before it.

=====  =======  ===================================================================
flag   from     meaning
=====  =======  ===================================================================
0x01   host     OPEN: a new session; both streams restart at 0
0x02   host     POLL: answer, whatever there is to say
0x04   host     REWIND: send again from ``ack``
0x01   device   ANSWER: sent because of OPEN, POLL or REWIND
0x02   device   NAK: a damaged frame, or one from beyond the stream's end, was dropped
=====  =======  ===================================================================

A frame whose offset is not the end of what was taken is dropped, be it a repetition or the one
after a lost one; the host then sends again from ``ack``. So each byte is taken once and in order,
and a command is executed once, however often it was sent.

A CRC of 32 bits misses a frame that was changed at random with probability 2^-32.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

OPEN: Final = 0x01
POLL: Final = 0x02
REWIND: Final = 0x04
ANSWER: Final = 0x01
NAK: Final = 0x02

OFFSET_BITS: Final = 12
CRC_BYTES: Final = 4
CRC_POLYNOMIAL: Final = 0xEDB88320  # reflected: the lowest bit goes first
CRC_START: Final = 0xFFFFFFFF
CRC_RESIDUE: Final = 0xDEBB20E3  # what the register holds after a frame with its own crc
END: Final = 0x7E
ESCAPE: Final = 0x7D
ESCAPED: Final = 0x20
DELIMITER: Final = bytes((END,))

SPARE: Final = 2 * CRC_BYTES
"""Bytes of the receive buffer that are never granted: a frame's crc passes through it."""

HOST_HEADER: Final = struct.Struct("<BHH")
DEVICE_HEADER: Final = struct.Struct("<BHHH")
HOST_PAYLOAD: Final = 240
DEVICE_PAYLOAD: Final = 128
"""A device's frame ends where the offset is a multiple of this."""
MAX_FRAME: Final = DEVICE_HEADER.size + HOST_PAYLOAD + CRC_BYTES

_OFFSET_MASK: Final = (1 << OFFSET_BITS) - 1


class FrameError(ValueError):
    """Bytes between two delimiters that are no frame; ``damaged`` if only the crc says so."""

    def __init__(self, message: str, damaged: bool = False) -> None:
        super().__init__(message)
        self.damaged = damaged


def escape(data: bytes) -> bytes:
    """``data`` without 0x7e."""
    for special in (ESCAPE, END):
        data = data.replace(bytes((special,)), bytes((ESCAPE, special ^ ESCAPED)))
    return data


def unescape(data: bytes) -> bytes:
    """What `escape` was given. Raises `FrameError` if ``data`` ends within an escape."""
    head, *parts = data.split(bytes((ESCAPE,)))
    out = bytearray(head)
    escaped = False
    for part in parts:
        if escaped:
            # An escaped escape, which only a damaged line has.
            out.append(ESCAPE ^ ESCAPED)
            out += part
            escaped = False
        elif part:
            out.append(part[0] ^ ESCAPED)
            out += part[1:]
        else:
            escaped = True
    if escaped:
        raise FrameError("ends within an escape")
    return bytes(out)


def seal(content: bytes) -> bytes:
    """The bytes on the line of a frame: crc, escapes and delimiter added."""
    return escape(content + zlib.crc32(content).to_bytes(CRC_BYTES, "little")) + DELIMITER


def unseal(encoded: bytes, header: int) -> bytes:
    """The content between two delimiters. Raises `FrameError` unless it is sound."""
    frame = unescape(encoded)
    if not header + CRC_BYTES <= len(frame) <= MAX_FRAME:
        raise FrameError(f"a frame of {len(frame)} bytes")
    content, crc = frame[:-CRC_BYTES], frame[-CRC_BYTES:]
    if zlib.crc32(content) != int.from_bytes(crc, "little"):
        raise FrameError("the crc is wrong", damaged=True)
    return content


@dataclass(frozen=True, slots=True)
class HostFrame:
    """A frame to the device."""

    flags: int
    session: int
    offset: int
    ack: int
    payload: bytes = b""

    def encode(self) -> bytes:
        """The bytes on the line."""
        head = HOST_HEADER.pack(self.session, self.flags << OFFSET_BITS | self.offset, self.ack)
        return seal(head + self.payload)

    @staticmethod
    def decode(encoded: bytes) -> HostFrame:
        """Read what lies between two delimiters. Raises `FrameError`."""
        return HostFrame.of(unseal(encoded, HOST_HEADER.size))

    @staticmethod
    def of(content: bytes) -> HostFrame:
        """Read the bytes of a sound frame before its crc."""
        session, offset, ack = HOST_HEADER.unpack_from(content)
        return HostFrame(
            offset >> OFFSET_BITS,
            session,
            offset & _OFFSET_MASK,
            ack & _OFFSET_MASK,
            content[HOST_HEADER.size :],
        )


@dataclass(frozen=True, slots=True)
class DeviceFrame:
    """A frame to the host; 2^size is the device's receive buffer."""

    flags: int
    session: int
    offset: int
    ack: int
    consumed: int
    payload: bytes = b""
    size: int = 9

    @property
    def limit(self) -> int:
        """Offset up to which the host may send, modulo 2^12."""
        return (self.consumed + (1 << self.size) - SPARE) & _OFFSET_MASK

    def encode(self) -> bytes:
        """The bytes on the line."""
        head = DEVICE_HEADER.pack(
            self.session,
            self.flags << OFFSET_BITS | self.offset,
            self.size << OFFSET_BITS | self.ack,
            self.consumed,
        )
        return seal(head + self.payload)

    @staticmethod
    def decode(encoded: bytes) -> DeviceFrame:
        """Read what lies between two delimiters. Raises `FrameError`."""
        content = unseal(encoded, DEVICE_HEADER.size)
        session, offset, ack, consumed = DEVICE_HEADER.unpack_from(content)
        return DeviceFrame(
            offset >> OFFSET_BITS,
            session,
            offset & _OFFSET_MASK,
            ack & _OFFSET_MASK,
            consumed & _OFFSET_MASK,
            content[DEVICE_HEADER.size :],
            ack >> OFFSET_BITS,
        )


def ahead(offset: int, other: int) -> int:
    """How far ``offset`` is ahead of ``other`` modulo 2^12, negative if it is behind."""
    span = 1 << OFFSET_BITS
    return (offset - other + span // 2) % span - span // 2
