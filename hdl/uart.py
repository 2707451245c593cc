"""Asynchronous serial line, 8 data bits, no parity, 1 stop bit, as byte streams."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from .layouts import byte_stream

MIN_DIVISOR = 4


def uart_divisor(clock_hz: float, baud: float) -> int:
    """Clock cycles per bit: clock_hz / baud, to the nearest.

    Raises `ValueError` if the line would be off by more than 2 % (a frame of ten bits tolerates
    about 5 % between both ends) or has fewer than 4 cycles a bit.
    """
    divisor = round(clock_hz / baud)
    if divisor < MIN_DIVISOR:
        raise ValueError(
            f"{baud:g} baud needs a clock of at least {MIN_DIVISOR * baud:g} Hz, not {clock_hz:g}"
        )
    error = abs(clock_hz / divisor / baud - 1)
    if error > 0.02:
        raise ValueError(f"{clock_hz:g} Hz / {divisor} is {100 * error:.1f} % off {baud:g} baud")
    return divisor


class UartTransmitter(wiring.Component):
    """Bytes onto a line that rests high; ``divisor`` cycles a bit, ten bits a byte.

    Members
    -------
    data : bytes to send
    line : to the other end's receiver
    """

    def __init__(self, divisor: int) -> None:
        _check_divisor(divisor)
        self._divisor = divisor
        super().__init__({"data": In(byte_stream()), "line": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        timer = Signal(range(self._divisor))
        bits = Signal(9, init=~0)
        left = Signal(range(11))
        m.d.comb += self.data.ready.eq(left == 0)
        m.d.sync += self.line.eq(bits[0])
        with m.If(self.data.ready), m.If(self.data.valid):
            m.d.sync += [
                bits.eq(Cat(0, self.data.payload)),
                left.eq(10),
                timer.eq(self._divisor - 1),
            ]
        with m.Elif(timer == 0):
            m.d.sync += [
                bits.eq(Cat(bits[1:], 1)),
                left.eq(left - 1),
                timer.eq(self._divisor - 1),
            ]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m


class UartReceiver(wiring.Component):
    """Bytes from a line; each bit is the majority of three samples around its middle.

    A start bit that does not last to its middle is noise and dropped, and so is a byte without a
    stop bit.

    Members
    -------
    line : from the other end's transmitter, any clock
    data : bytes received, each for one cycle: whoever listens keeps up or stores
    """

    def __init__(self, divisor: int) -> None:
        _check_divisor(divisor)
        self._divisor = divisor
        super().__init__(
            {"line": In(1, init=1), "data": Out(stream.Signature(8, always_ready=True))}
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.line, line, init=1)

        samples = Signal(2, init=~0)
        m.d.sync += samples.eq(Cat(line, samples[0]))
        majority = Signal()
        m.d.comb += majority.eq((samples[0] & samples[1]) | (line & (samples[0] | samples[1])))

        timer = Signal(range(self._divisor))
        bits = Signal(8)
        left = Signal(range(11))
        m.d.sync += self.data.valid.eq(0)
        m.d.comb += self.data.payload.eq(bits)
        with m.If(left == 0), m.If(~line):
            # The newest of the three samples is one cycle past the middle.
            m.d.sync += [left.eq(10), timer.eq(self._divisor // 2)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [timer.eq(self._divisor - 1), left.eq(left - 1)]
            with m.If((left == 10) & majority):
                m.d.sync += left.eq(0)
            with m.Elif(left == 1):
                m.d.sync += self.data.valid.eq(majority)
            with m.Else():
                m.d.sync += bits.eq(Cat(bits[1:], majority))
        return m


class Uart(wiring.Component):
    """Both directions.

    A received byte waits until the next one is complete and is then lost; `Transport` takes it
    long before.

    Members
    -------
    rx, tx : the two lines
    received, sent : bytes from and to the other end
    """

    def __init__(self, divisor: int) -> None:
        _check_divisor(divisor)
        self._divisor = divisor
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "received": Out(byte_stream()),
                "sent": In(byte_stream()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        connect(m, flipped(self.sent), transmitter.data)
        m.d.comb += [self.tx.eq(transmitter.line), receiver.line.eq(self.rx)]
        with m.If(self.received.ready):
            m.d.sync += self.received.valid.eq(0)
        with m.If(receiver.data.valid):
            m.d.sync += [
                self.received.valid.eq(1),
                self.received.payload.eq(receiver.data.payload),
            ]
        return m


def _check_divisor(divisor: int) -> None:
    if divisor < MIN_DIVISOR:
        raise ValueError(f"a bit needs at least {MIN_DIVISOR} clock cycles, not {divisor}")
