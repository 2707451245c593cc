"""Serial peripheral interface, mode 0, most significant bit first, as byte streams."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from .framing import END
from .layouts import byte_stream


class SpiPeripheral(wiring.Component):
    """The peripheral's end: a byte in and a byte out for every eight clocks of the controller.

    All pins are sampled by the core's clock, of which each half of an ``sck`` period needs four:
    the controller's clock is at most an eighth of the core's. Where there is nothing to send,
    delimiters go out, which `framing` ignores. So a controller that wants to hear more than it has
    to say sends delimiters too.

    Members
    -------
    sck, copi, cs_n : from the controller; without ``cs_n`` low nothing happens
    cipo : to the controller
    received, sent : bytes from and to the controller; a received byte that is not taken within
        eight clocks of the controller is lost
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "sck": In(1),
                "copi": In(1),
                "cs_n": In(1, init=1),
                "cipo": Out(1),
                "received": Out(byte_stream()),
                "sent": In(byte_stream()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        sck, copi, cs_n = Signal(), Signal(), Signal(init=1)
        m.submodules.sck = FFSynchronizer(self.sck, sck)
        m.submodules.copi = FFSynchronizer(self.copi, copi)
        m.submodules.cs_n = FFSynchronizer(self.cs_n, cs_n, init=1)

        before = Signal()
        m.d.sync += before.eq(sck)
        rise, fall = Signal(), Signal()
        m.d.comb += [rise.eq(~cs_n & sck & ~before), fall.eq(~cs_n & ~sck & before)]

        taken, given = Signal(8), Signal(8)
        count = Signal(3)
        loaded = Signal()
        m.d.comb += self.cipo.eq(given[-1])
        with m.If(self.received.ready):
            m.d.sync += self.received.valid.eq(0)
        with m.If(cs_n):
            # A byte that has not been begun stays for the next selection.
            m.d.sync += [count.eq(0), loaded.eq(loaded & (count == 0))]
        with m.Elif(rise):
            m.d.sync += [taken.eq(Cat(copi, taken)), count.eq(count + 1)]
            with m.If(count == 7):
                m.d.sync += [
                    self.received.payload.eq(Cat(copi, taken[:7])),
                    self.received.valid.eq(1),
                    loaded.eq(0),
                ]
        with m.Elif(fall & (count != 0)):
            m.d.sync += given.eq(Cat(0, given[:-1]))
        with m.Elif((count == 0) & ~loaded & ~sck):
            # Between bytes, before the controller's next edge.
            m.d.comb += self.sent.ready.eq(1)
            m.d.sync += loaded.eq(1)
            with m.If(self.sent.valid):
                m.d.sync += given.eq(self.sent.payload)
            with m.Else():
                m.d.sync += given.eq(END)
        return m
