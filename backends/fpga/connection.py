"""The host's end of a line of frames: sends again what was lost, takes each byte once.

No port and no clock in here: bytes and times are given, bytes are returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...hdl.framing import (
    ANSWER,
    DELIMITER,
    HOST_PAYLOAD,
    NAK,
    OFFSET_BITS,
    OPEN,
    POLL,
    REWIND,
    DeviceFrame,
    FrameError,
    HostFrame,
    ahead,
)

__all__ = ["Connection", "DeviceLost", "NoAnswer", "WireCounts", "WireFailed"]

_SPAN: Final = 1 << OFFSET_BITS
_LONGEST_NOISE: Final = 4096
_SHORTEST: Final = 16


class NoAnswer(RuntimeError):
    """Nothing that is a frame came back when a session was to be opened."""

    code = "no-answer"


class DeviceLost(RuntimeError):
    """A device that had answered is gone: unplugged, reset, or programmed anew."""

    code = "device-lost"


class WireFailed(RuntimeError):
    """The device is there, but what is sent to it does not arrive, however often."""

    code = "wire-failed"


@dataclass(slots=True)
class WireCounts:
    """What went over the line, and how often it had to be mended."""

    sent_bytes: int = 0
    received_bytes: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    damaged: int = 0
    repeated: int = 0
    gaps: int = 0
    resent: int = 0
    timeouts: int = 0


class Connection:
    """One session.

    Bytes given to :meth:`send` reach the device in order and once each, or an exception says that
    they did not; bytes of the device come out of :meth:`take` likewise. The owner calls
    :meth:`transmit` often and writes what it returns, and gives :meth:`receive` what it read.

    ``timeout`` seconds without a word are followed by a question, ``retries`` of them by an
    exception. ``expecting`` is set by the owner while replies are due.
    """

    def __init__(self, session: int, *, timeout: float = 0.2, retries: int = 12) -> None:
        self._session = session
        self._timeout = timeout
        self._retries = retries
        self.expecting = False
        self.opened = False
        self.counts = WireCounts()
        # Offsets count on beyond 2^12 in here.
        self._out = bytearray()
        self._acked = self._sent = self._limit = 0
        self._furthest = 0
        self._taken = 0
        self._replies = bytearray()
        self._line = bytearray()
        self._owe_ack = False
        self._rewind_due = self._rewinding = False
        self._recovering = -1
        self._polled = -1
        self._deadline = 0.0
        self._silent = self._fruitless = 0

    @property
    def unsent(self) -> int:
        """Bytes that the device has not acknowledged yet."""
        return len(self._out)

    def send(self, data: bytes) -> None:
        """Queue bytes for the device."""
        self._out += data

    def take(self) -> bytes:
        """What has come from the device since the last call."""
        data = bytes(self._replies)
        self._replies.clear()
        return data

    def transmit(self, now: float) -> bytes:
        """What to write to the line at time ``now``.

        Raises :class:`NoAnswer`, :class:`DeviceLost` or :class:`WireFailed` when the device has
        been asked often enough.
        """
        if not self.opened:
            return self._open(now)
        parts = []
        if self._rewind_due:
            self._rewind_due = False
            self._polled = self._sent
            parts.append(self._frame(REWIND, b""))
        while True:
            waiting = len(self._out) - (self._sent - self._acked)
            # Short frames pass where long ones are always hit.
            size = min(max(_SHORTEST, HOST_PAYLOAD >> self._fruitless // 2), waiting)
            window = self._limit - self._sent
            if window < size and self._sent == self._acked:
                size = window  # nothing is under way that could open the window further
            if size <= 0 or window < size:
                break
            at = self._sent - self._acked
            parts.append(self._frame(0, bytes(self._out[at : at + size])))
            if self._sent < self._furthest:
                self.counts.resent += 1
            if self._sent == self._acked:
                self._deadline = now + self._timeout
            self._sent += size
            self._furthest = max(self._furthest, self._sent)
        if self._owe_ack and not parts:
            parts.append(self._frame(0, b""))
        due = self._out or self.expecting
        if not due:
            self._deadline = now + self._timeout
            self._silent = 0
        elif now >= self._deadline:
            self._ask(now)
            parts.append(self._frame(POLL, b""))
        self._owe_ack = False
        return self._written(parts)

    def _open(self, now: float) -> bytes:
        if now < self._deadline:
            return b""
        if self._silent > self._retries:
            raise NoAnswer(f"the device did not answer {self._silent} times")
        self._silent += 1
        self._deadline = now + self._timeout
        # The delimiter ends whatever the device has heard before.
        return self._written([DELIMITER, self._frame(OPEN, b"")])

    def _ask(self, now: float) -> None:
        self.counts.timeouts += 1
        if self._silent >= self._retries:
            raise DeviceLost(f"the device has not answered {self._silent} times in a row")
        self._silent += 1
        self._polled = self._sent
        self._deadline = now + self._timeout

    def _frame(self, flags: int, payload: bytes) -> bytes:
        self.counts.frames_sent += 1
        return HostFrame(
            flags, self._session, self._sent % _SPAN, self._taken % _SPAN, payload
        ).encode()

    def _written(self, parts: list[bytes]) -> bytes:
        data = b"".join(parts)
        self.counts.sent_bytes += len(data)
        return data

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the line.

        Raises :class:`DeviceLost` if the device knows nothing of this session, and
        :class:`WireFailed`.
        """
        self.counts.received_bytes += len(data)
        self._line += data
        *ended, rest = bytes(self._line).split(DELIMITER)
        self._line = bytearray(rest[-_LONGEST_NOISE:])
        for encoded in ended:
            if not encoded:
                continue
            try:
                frame = DeviceFrame.decode(encoded)
            except FrameError:
                self.counts.damaged += 1
                self._want_rewind()
                continue
            self._hear(frame, now)

    def _hear(self, frame: DeviceFrame, now: float) -> None:
        self.counts.frames_received += 1
        if frame.session != self._session:
            if self.opened:
                raise DeviceLost("the device has been reset, or another program has opened it")
            return
        if not self.opened:
            if not frame.flags & ANSWER:
                return
            if frame.offset or frame.ack:
                # An old session had the same number.
                self._session = self._session % 255 + 1
                self._deadline = now
                return
            self.opened = True
        self._silent = 0
        before = (self._acked, self._limit, self._taken)
        acked = self._acked + ahead(frame.ack, self._acked % _SPAN)
        if self._acked < acked <= self._furthest:
            del self._out[: acked - self._acked]
            self._acked = acked
            self._sent = max(self._sent, acked)
            self._fruitless = 0
        limit = self._acked + ahead(frame.limit, self._acked % _SPAN)
        self._limit = max(self._limit, limit)
        self._take(frame)
        # A noisy line makes a device complain without end, which must not put the question off.
        if frame.flags & ANSWER or before != (self._acked, self._limit, self._taken):
            self._deadline = now + self._timeout
        lost = frame.flags & ANSWER and acked < min(self._polled, self._sent)
        fresh = self._acked < self._sent and self._recovering != self._acked
        if lost or (frame.flags & NAK and fresh):
            self._go_back()

    def _take(self, frame: DeviceFrame) -> None:
        place = ahead(frame.offset, self._taken % _SPAN)
        if place > 0:
            self.counts.gaps += 1
            if frame.flags & ANSWER:
                self._rewinding = False
            self._want_rewind()
        elif place == 0:
            self._rewinding = self._rewind_due = False
            self._replies += frame.payload
            self._taken += len(frame.payload)
            self._owe_ack |= bool(frame.payload)
        elif frame.payload:
            self.counts.repeated += 1
            self._owe_ack = True

    def _want_rewind(self) -> None:
        if self.opened and not self._rewinding:
            self._rewind_due = self._rewinding = True

    def _go_back(self) -> None:
        self._fruitless += 1
        if self._fruitless > self._retries:
            raise WireFailed(
                f"byte {self._acked} of the commands did not arrive in {self._fruitless} attempts"
            )
        self._recovering = self._acked
        self._sent = self._acked
        self._polled = -1
