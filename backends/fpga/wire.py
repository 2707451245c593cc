"""Ports to a device, and a driver that talks to it through one: load, run, read back, status."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ...hdl.cluster_image import DeviceImage
from ...hdl.cluster_shape import DeviceShape
from ...hdl.framing import DELIMITER
from ...hdl.protocol import (
    DIGEST_BYTES,
    INFO_BYTES,
    STATUS_BYTES,
    ErrorCode,
    InfoReply,
    StatusReply,
    shape_digest,
    status_request,
)
from ...hdl.shape import DAMAGED_BITS, Memory
from .connection import Connection, DeviceLost, NoAnswer
from .host import (
    NOTHING,
    HostError,
    Run,
    Script,
    decode_replies,
    learning_phase,
    load_image,
    read_info,
    read_memory,
    read_words,
    report_bytes,
    stimulus_to_commands,
)
from .replies import ReplyScanner

__all__ = [
    "Driver",
    "Port",
    "PortUnavailable",
    "SerialPort",
    "SpiBus",
    "SpiPort",
    "TerminalBus",
    "WeightsDamaged",
    "WrongDevice",
    "open_spi",
]

_SHORT_WAIT = 0.02
# Bytes clocked at once to hear whether there is something: as few as a system call is worth, more
# while there is nothing, and never more than Linux exchanges at once (4,096 unless changed).
_SHORTEST_POLL = 64
_LONGEST_POLL = 1024
_DELIMITERS = re.compile(re.escape(DELIMITER) + b"+")
_BUS_PATIENCE = 10.0


class PortUnavailable(RuntimeError):
    """A port that cannot be opened: absent, busy, or not ours to use."""

    code = "port-unavailable"


class WrongDevice(RuntimeError):
    """A device that answers, but is of another shape or holds another image."""

    code = "wrong-device"


class WeightsDamaged(RuntimeError):
    """Bits of weights changed in the device's memory; the message has the number of words."""

    code = "weights-damaged"


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


class SpiBus(Protocol):
    """A controller of SPI, as the package ``spidev`` has it."""

    def xfer2(self, values: list[int]) -> Sequence[int]:
        """Select the device, send bytes, and return those that came meanwhile."""
        ...

    def close(self) -> None:
        """Give the bus back."""
        ...


class SpiPort:
    """A device behind SPI, mode 0, which says something only while the host clocks.

    Every byte out brings one in. What comes while something is written waits to be read; to read,
    delimiters are written, which the device ignores. It sends delimiters where it has nothing to
    say: of a row of them one is kept, which ends a frame.
    """

    def __init__(self, bus: SpiBus, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._clock = clock
        self._heard = bytearray()
        self._idle = True  # the last byte heard was a delimiter

    def read(self, timeout: float) -> bytes:
        """Whatever has arrived; b"" after ``timeout`` seconds of clocking without anything."""
        deadline = self._clock() + timeout
        size = _SHORTEST_POLL
        while not self._heard:
            self.write(DELIMITER * size)
            if self._clock() >= deadline:
                break
            size = min(2 * size, _LONGEST_POLL)
        data = bytes(self._heard)
        self._heard.clear()
        return data

    def write(self, data: bytes) -> None:
        """Send bytes."""
        for at in range(0, len(data), _LONGEST_POLL):
            try:
                found = bytes(self._bus.xfer2(list(data[at : at + _LONGEST_POLL])))
            except OSError as error:
                raise OSError(f"the SPI bus has gone: {error}") from error
            found = _DELIMITERS.sub(DELIMITER, found)
            self._heard += found.removeprefix(DELIMITER) if self._idle else found
            self._idle = found.endswith(DELIMITER)

    def close(self) -> None:
        """Give the port back."""
        with contextlib.suppress(OSError):
            self._bus.close()


def open_spi(name: str, hertz: int) -> SpiPort:
    """The port of Linux' device ``name``, for this program alone, at ``hertz`` or the next below.

    Raises :class:`PortUnavailable` with the reason and what to do.
    """
    import fcntl

    import spidev

    bus = spidev.SpiDev()
    try:
        bus.open_path(name)
        fcntl.flock(bus.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        bus.mode = 0
        bus.bits_per_word = 8
        bus.max_speed_hz = hertz
    except OSError as error:
        with contextlib.suppress(OSError):
            bus.close()
        raise PortUnavailable(_why(name, error, "is SPI switched on?", "spi")) from error
    return SpiPort(bus)


class TerminalBus:
    """The bus of a simulated device: a pseudo-terminal that exchanges bytes one for one."""

    def __init__(self, name: str) -> None:
        self._line = SerialPort(name, 115_200)

    def xfer2(self, values: list[int]) -> Sequence[int]:
        """Exchange bytes. Raises ``OSError`` when the simulator has gone."""
        self._line.write(bytes(values))
        found = b""
        while len(found) < len(values):
            part = self._line.read(_BUS_PATIENCE)
            if not part:
                raise OSError(f"nothing came back for {_BUS_PATIENCE:g} s")
            found += part
        return list(found)

    def close(self) -> None:
        """Give the terminal back."""
        self._line.close()


def _why(
    name: str,
    error: BaseException,
    absent: str = "is the board plugged in?",
    group: str = "dialout",
) -> str:
    import errno

    match getattr(error, "errno", None):
        case errno.ENOENT:
            return f"{name} does not exist; {absent}"
        case errno.EACCES | errno.EPERM:
            return f"{name} may not be used by this user; join its group (often '{group}')"
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
        shape: DeviceShape,
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
        # A device that spikes without end is broken, not busy.
        scanner = ReplyScanner(report_bytes(self.shape), script.read_sizes, self.shape.neurons)
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
                raise HostError(scanner.error, scanner.refused)
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

    def load(self, image: DeviceImage, progress: Callable[[float], None] | None = None) -> None:
        """Write an image; the device takes it as a whole or refuses to run.

        Raises :class:`WrongDevice` if it then reports another image.
        """
        self.talk(load_image(image), progress)
        self.check(image.digest)

    def run(
        self,
        counts: NDArray[Any],
        progress: Callable[[float], None] | None = None,
        read: Script = NOTHING,
    ) -> Run:
        """Run a stimulus (samples, steps, inputs) of event counts, each sample from a clear state.

        Behind each step the READs of ``read`` are asked for.

        Raises :class:`~.host.StimulusError` for one that cannot be sent, and
        :class:`WeightsDamaged` if the device has parity and read a weight word that had changed.
        """
        counts = np.asarray(counts)
        script = stimulus_to_commands(counts, read)
        if not self.shape.parity:
            replies = self.talk(script, progress)
            return decode_replies(replies, counts.shape[0], counts.shape[1], self.shape, read)
        count = read_memory(self.shape, Memory.DAMAGED, range(1))
        try:
            replies = self.talk(script + count, progress)
            damaged = replies[-1]
        except HostError as error:
            if error.refused != ErrorCode.DAMAGED:
                raise
            (damaged,) = self.read(Memory.DAMAGED)
        if damaged:
            most = (1 << DAMAGED_BITS) - 1
            raise WeightsDamaged(
                f"{damaged}{' or more' if damaged == most else ''} weight word(s) were read in "
                "which a bit had changed since they were loaded; no spike of this run was kept"
            )
        answer = 1 + self.shape.word_bytes(Memory.DAMAGED)
        said = replies[:-answer]
        return decode_replies(said, counts.shape[0], counts.shape[1], self.shape, read)

    def learn(self, learn: bool) -> None:
        """Whether weights that learn do so from the next run on."""
        self.talk(learning_phase(learn))

    def read(self, memory: int, addresses: range | None = None) -> list[int]:
        """Words of a memory, all of them unless said otherwise; ``unpack`` of ``hdl.image`` has
        their fields, `LoweredCore.learned` the weights that learn.
        """
        wanted = range(self.shape.depth(memory)) if addresses is None else addresses
        script = read_memory(self.shape, memory, wanted)
        return read_words(self.talk(script), script, self.shape.word_bytes(memory))
