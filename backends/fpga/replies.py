"""Finding the end of a run in a device's stream of replies, without decoding it.

Plain bytes and regular expressions: this also runs inside the simulator, whose start must be fast.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from ...hdl.protocol import INFO_BYTES, STATUS_BYTES, Opcode, refusal

__all__ = ["ReplyScanner", "may_grow", "refusal", "step_pattern"]

_SIZES: Final = {
    Opcode.CLEARED: 1,
    Opcode.WRITTEN: 1,
    Opcode.COMMITTED: 1,
    Opcode.INFO_REPLY: 1 + INFO_BYTES,
    Opcode.STATUS_REPLY: 1 + STATUS_BYTES,
    Opcode.ERROR: 2,
}
_LONG: Final = rb"\x81.."
_SHORT: Final = rb"[\x00-\x7f]."


def step_pattern(
    report_bytes: int, long: bool = False, read_sizes: tuple[int, ...] = ()
) -> re.Pattern[bytes]:
    """Match one step: group 1 its spikes (3 bytes each if ``long``, else 2), group 2 its report.

    The other groups are what is read behind it, so many bytes each.
    """
    spike = _LONG if long else _SHORT
    step = rb"((?:%s)*)\x82(.{%d})" % (spike, report_bytes)
    data = re.escape(bytes((Opcode.DATA,)))
    return re.compile(step + b"".join(data + b"(.{%d})" % n for n in read_sizes), re.DOTALL)


@dataclass(slots=True)
class ReplyScanner:
    """Counts the answers in a stream of replies that arrives in pieces, without decoding them.

    Finds the end of a run far faster than a decoder that makes an object of every reply.
    ``report_bytes`` is the size of a DONE, ``read_sizes`` those of the DATA to come, ``most`` how
    many spikes a step can have (0: any number). ``error`` is set by the first ERROR, whose reason
    ``refused`` is, by the first byte that starts no reply, or by a spike too many.
    """

    report_bytes: int
    read_sizes: tuple[int, ...] = ()
    most: int = 0
    answers: int = 0
    spikes: int = 0
    seen: int = 0
    error: str = ""
    refused: int | None = None
    _rest: bytes = b""
    _reads: int = field(default=0, repr=False)
    _in_step: int = field(default=0, repr=False)
    _steps: re.Pattern[bytes] | None = field(default=None, repr=False)

    def feed(self, data: bytes) -> None:
        """Count the answers that ``data`` completes."""
        buffer = self._rest + data
        at = 0
        while at < len(buffer) and not self.error:
            end = self._end(buffer, at)
            if end == 0 or end > len(buffer):
                break
            self._count(buffer, at, end)
            at = end
        self._rest = buffer[at:]
        self.seen += at

    def _end(self, buffer: bytes, at: int) -> int:
        """Where the reply at ``at`` ends, 0 if it is none."""
        opcode = buffer[at]
        if opcode < 0x80:
            return at + 2
        if opcode == Opcode.SPIKE:
            return at + 3
        if opcode == Opcode.DONE:
            return at + 1 + self.report_bytes
        if opcode == Opcode.DATA and self._reads < len(self.read_sizes):
            return at + 1 + self.read_sizes[self._reads]
        known = next((size for known, size in _SIZES.items() if known == opcode), 0)
        if known == 0:
            self.error = f"byte {self.seen + at}: {opcode:#04x} starts no answer"
            return 0
        return at + known

    def _count(self, buffer: bytes, start: int, end: int) -> None:
        opcode = buffer[start]
        if opcode < 0x80 or opcode == Opcode.SPIKE:
            self.spikes += 1
            self._in_step += 1
            if 0 < self.most < self._in_step:
                self.error = f"byte {self.seen + start}: more than {self.most} spikes in a step"
            return
        self._in_step = 0
        self.answers += 1
        if opcode == Opcode.DATA:
            self._reads += 1
        elif opcode == Opcode.ERROR:
            self.refused = buffer[start + 1]
            code = refusal(self.refused)
            self.error = f"byte {self.seen + start}: the device refused a command: {code}"


def may_grow(rest: bytes, report_bytes: int) -> bool:
    """Return whether these bytes are the start of an answer that is not complete yet."""
    known = next((size for opcode, size in _SIZES.items() if opcode == rest[0]), 0)
    if rest[0] == Opcode.DONE:
        known = 1 + report_bytes
    return rest[0] < 0x80 or len(rest) < known
