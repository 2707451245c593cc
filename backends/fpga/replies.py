"""Finding the end of a run in a device's byte stream, without decoding it.

Plain bytes and regular expressions: this also runs inside the simulator, whose start must be fast.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from ...hdl.protocol import ErrorCode, InfoReply, Opcode
from ...hdl.shape import CoreShape

__all__ = ["ReplyScanner", "may_grow", "refusal"]

_INFO_BYTES: Final = len(InfoReply(CoreShape(1, 2, 2, 8, 1, 1, 1), bytes(8)).encode())
_DONE_BYTES: Final = 12
_SIZES: Final = {
    Opcode.SPIKE: 3,
    Opcode.DONE: _DONE_BYTES,
    Opcode.INFO_REPLY: _INFO_BYTES,
    Opcode.ERROR: 2,
}
# One step's answers, or one other answer. DATA is cut out before, where its size is known.
_ANSWER: Final = re.compile(
    rb"(?:\x81..)+|\x82.{11}|[\x83\x84]|\x86.{%d}|\xee." % (_INFO_BYTES - 1), re.DOTALL
)


@dataclass(slots=True)
class ReplyScanner:
    """Counts the answers in a byte stream that arrives in pieces, without decoding them.

    Finds the end of a run far faster than a decoder that makes an object of every frame.
    ``error`` is set by the first ERROR frame, or the first byte that starts no answer.
    """

    read_sizes: tuple[int, ...] = ()
    answers: int = 0
    spikes: int = 0
    seen: int = 0
    error: str = ""
    _rest: bytes = b""
    _reads: int = field(default=0, repr=False)

    def feed(self, data: bytes) -> None:
        """Count the answers that ``data`` completes."""
        buffer = self._rest + data
        at = 0
        while at < len(buffer) and not self.error:
            if buffer[at] == Opcode.DATA and self._reads < len(self.read_sizes):
                end = at + 1 + self.read_sizes[self._reads]
                if end > len(buffer):
                    break
                self._reads += 1
                self.answers += 1
                at = end
                continue
            found = _ANSWER.match(buffer, at)
            if found is None:
                if not may_grow(buffer[at:]):
                    self.error = f"byte {self.seen + at}: {buffer[at]:#04x} starts no answer"
                break
            at = self._count(buffer, found.start(), found.end())
        self._rest = buffer[at:]
        self.seen += at

    def _count(self, buffer: bytes, start: int, end: int) -> int:
        opcode = buffer[start]
        if opcode == Opcode.SPIKE:
            self.spikes += (end - start) // 3
        else:
            self.answers += 1
        if opcode == Opcode.ERROR:
            self.error = f"byte {self.seen + start}: {refusal(buffer[start + 1])}"
        return end


def may_grow(rest: bytes) -> bool:
    """Return whether these bytes are the start of an answer that is not complete yet."""
    known = next((size for opcode, size in _SIZES.items() if opcode == rest[0]), 0)
    return len(rest) < known


def refusal(code: int) -> str:
    """Return what an ERROR frame says, in words."""
    try:
        name = ErrorCode(code).name.lower().replace("_", " ")
    except ValueError:
        name = f"code {code}"
    return f"the device refused a command: {name}"
