"""Ports to a device, and a driver that talks to it through one: load, run, read back, status."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ...hdl.image import CoreImage
from ...hdl.protocol import (
    DIGEST_BYTES,
    INFO_BYTES,
    STATUS_BYTES,
    InfoReply,
    Opcode,
    StatusReply,
    shape_digest,
    status_request,
)
from ...hdl.shape import CoreShape, Memory
from .connection import Connection, DeviceLost, NoAnswer
from .host import (
    HostError,
    Run,
    Script,
    decode_replies,
    load_image,
    read_info,
    read_memory,
    report_bytes,
    stimulus_to_commands,
)
from .replies import ReplyScanner

__all__ = ["Driver", "Port", "PortUnavailable", "SerialPort", "WrongDevice"]

_CHUNK = 1 << 16
_SHORT_WAIT = 0.02


class PortUnavailable(RuntimeError):
    """A port that cannot be opened: absent, busy, or not ours to use."""

    code = "port-unavailable"


class WrongDevice(RuntimeError):
    """A device that answers, but is of another shape or holds another image."""

    code = "wrong-device"


class Port(Protocol):
    """Bytes to and from a device. Raises ``OSError`` once it has gone."""

    def read(self, timeout: float) -> bytes:
        """Whatever has arrived; b"" after ``timeout`` seconds without anything."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def close(self) -> None:
        """Give the port back."""
        ...


class SerialPort:
    """A serial port, opened for this program alone: UART, USB-serial or a pseudo-terminal.

    Raises :class:`PortUnavailable` with the reason and what to do.
    """

    def __init__(self, name: str, baud: int) -> None:
        import serial

        self._gone = (serial.SerialException, OSError)
        try:
            self._serial = serial.Serial(name, baud, timeout=0, exclusive=True)
        except self._gone as error:
            raise PortUnavailable(_why(name, error)) from error

    def read(self, timeout: float) -> bytes:
        """Whatever has arrived; b"" after ``timeout`` seconds without anything."""
        try:
            self._serial.timeout = timeout
            first: bytes = self._serial.read(1)
            return first + bytes(self._serial.read(self._serial.in_waiting)) if first else b""
        except self._gone as error:
            raise OSError(f"{self._serial.port} has gone: {error}") from error

    def write(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self._serial.write(data)
        except self._gone as error:
            raise OSError(f"{self._serial.port} has gone: {error}") from error

    def close(self) -> None:
        """Give the port back."""
        with contextlib.suppress(*self._gone):
            self._serial.close()


def _why(name: str, error: BaseException) -> str:
    import errno

    match getattr(error, "errno", None):
        case errno.ENOENT:
            return f"{name} does not exist; is the board plugged in?"
        case errno.EACCES | errno.EPERM:
            return f"{name} may not be used by this user; join its group (often 'dialout')"
        case errno.EBUSY | errno.EAGAIN:
            return f"{name} is in use by another program"
    if "exclusively lock" in str(error):
        return f"{name} is in use by another program"
    return f"{name} cannot be opened: {error}"


class Driver:
    """A device behind a port.

    ``patience`` seconds may pass without a new reply while the device is alive (a long step).
    Use it in a ``with``, or call :meth:`close`.
    """

    def __init__(
        self,
        port: Port,
        shape: CoreShape,
        *,
        session: int | None = None,
        timeout: float = 0.2,
        retries: int = 12,
        patience: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.port = port
        self.shape = shape
        self._session = session
        self._options: dict[str, Any] = {"timeout": timeout, "retries": retries}
        self._patience = patience
        self._clock = clock
        self.connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self.port.close()

    def connect(self) -> Connection:
        """Open a session. What was under way on the device is given up; its memories stay.

        Raises :class:`~.connection.NoAnswer` or :class:`~.connection.DeviceLost`.
        """
        session = self._session
        if session is None:
            session = secrets.randbelow(255) + 1
        # Not the number of the one before, which would go on.
        self._session = session % 255 + 1
        connection = Connection(session, **self._options)
        for _ in self._turns(connection):
            if connection.opened:
                break
        self.connection = connection
        return connection

    def talk(self, script: Script, progress: Callable[[float], None] | None = None) -> bytes:
        """Send commands and return the replies, once all are there.

        Raises :class:`~.host.HostError` if the device refuses one; the session is over then.
        Raises :class:`~.connection.DeviceLost` or :class:`~.connection.WireFailed`, too.
        """
        connection = self.connection or self.connect()
        self.connection = None  # unless all goes well, the session is over
        scanner = ReplyScanner(report_bytes(self.shape), script.read_sizes)
        replies = []
        connection.send(script.data)
        connection.expecting = True
        since = self._clock()
        for _ in self._turns(connection):
            data = connection.take()
            if data:
                since = self._clock()
                replies.append(data)
                scanner.feed(data)
                if progress is not None:
                    progress(scanner.answers / max(script.answers, 1))
            if scanner.error:
                raise HostError(scanner.error)
            if scanner.answers >= script.answers and not connection.unsent:
                break
            if self._clock() - since > self._patience:
                raise DeviceLost(
                    f"the device is there but has said nothing for {self._patience:g} s; "
                    f"{scanner.answers} of {script.answers} answers came"
                )
        connection.expecting = False
        self._flush(connection)
        self.connection = connection
        return b"".join(replies)

    def _flush(self, connection: Connection) -> None:
        self._write(connection.transmit(self._clock()))

    def _write(self, data: bytes) -> None:
        if not data:
            return
        try:
            self.port.write(data)
        except OSError as error:
            raise DeviceLost(str(error)) from error

    def _turns(self, connection: Connection) -> Iterator[None]:
        """Write what is to be written, read what is there, for ever."""
        while True:
            self._flush(connection)
            try:
                data = self.port.read(_SHORT_WAIT)
            except OSError as error:
                raise (DeviceLost if connection.opened else NoAnswer)(str(error)) from error
            if data:
                connection.receive(data, self._clock())
            yield

    def info(self) -> InfoReply:
        """What the device is.

        Raises :class:`~.protocol.ProtocolError` if it speaks another protocol.
        """
        return InfoReply.decode(self.talk(read_info())[1 : 1 + INFO_BYTES])

    def digest(self) -> bytes:
        """The image that was loaded last; it means nothing unless the device is configured."""
        (word,) = self.read(Memory.DIGEST)
        return word.to_bytes(DIGEST_BYTES, "little")

    def status(self) -> StatusReply:
        """Frames that the device dropped since it was last asked."""
        reply = self.talk(Script(status_request(), 1))
        return StatusReply.decode(reply[1 : 1 + STATUS_BYTES])

    def check(self, digest: bytes | None = None) -> InfoReply:
        """Compare the device with the shape of this driver and, if given, an image's digest.

        Raises :class:`WrongDevice` with both.
        """
        info = self.info()
        if info.shape != shape_digest(self.shape):
            raise WrongDevice(
                f"the device is a core of another shape ({info.shape.hex()}, not "
                f"{shape_digest(self.shape).hex()})"
            )
        if digest is not None and not info.configured:
            raise WrongDevice("the device holds no complete image")
        if digest is not None and (found := self.digest()) != digest:
            raise WrongDevice(f"the device holds image {found.hex()}, not {digest.hex()}")
        return info

    def load(self, image: CoreImage, progress: Callable[[float], None] | None = None) -> None:
        """Write an image; the device takes it as a whole or refuses to run.

        Raises :class:`WrongDevice` if it then reports another image.
        """
        self.talk(load_image(image), progress)
        self.check(image.digest)

    def run(self, counts: NDArray[Any], progress: Callable[[float], None] | None = None) -> Run:
        """Run a stimulus (samples, steps, inputs) of event counts, each sample from a clear state.

        Raises :class:`~.host.StimulusError` for one that cannot be sent.
        """
        counts = np.asarray(counts)
        script = stimulus_to_commands(counts)
        replies = self.talk(script, progress)
        return decode_replies(replies, counts.shape[0], counts.shape[1], self.shape)

    def read(self, memory: Memory, addresses: range | None = None) -> list[int]:
        """Words of a memory, all of them unless said otherwise; ``unpack`` of ``hdl.image`` has
        their fields. Learnt weights are those of ``WEIGHTS``.
        """
        wanted = range(self.shape.depth(memory)) if addresses is None else addresses
        script = read_memory(self.shape, memory, wanted)
        data = self.talk(script)
        size = self.shape.word_bytes(memory)
        words, at = [], 0
        for length in script.read_sizes:
            if data[at] != Opcode.DATA:
                raise HostError(f"{data[at]:#04x} where DATA was due")
            at += 1
            words += [
                int.from_bytes(data[at + k : at + k + size], "little")
                for k in range(0, length, size)
            ]
            at += length
        return words
