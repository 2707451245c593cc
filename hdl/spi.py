"""Serial peripheral interface, mode 0, most significant bit first, as byte streams."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from .framing import END
from .layouts import byte_stream


class SpiPeripheral(wiring.Component):
    """The peripheral's end: a byte in and a byte out for every eight clocks of the controller.

    All pins are sampled by the core's clock, of which each half of an ``sck`` period needs four:
    the controller's clock is at most an eighth of the core's. ``cipo`` changes two to four cycles
    after the rising edge at which the controller has read it, not at the falling one, so that
    pads, wires and the controller have at least four cycles before the next.

    Where there is nothing to send, delimiters go out, which `framing` ignores. So a controller
    that wants to hear more than it has to say sends delimiters too. A byte out is chosen when the
    one before is over, selected or not, and waits for the clock; one that is cut off is lost.

    A controller cannot be asked to wait, and need not be. Of the 64 cycles that a byte lasts,
    `Transport` takes fewer than eight to take one, and fewer than eight to have the next of a frame
    ready, so that no delimiter comes between. Only while a session is given up does it take none:
    the host sends nothing but OPEN then, and one that is cut is counted as damaged and repeated.

    Members
    -------
    sck, copi, cs_n : from the controller; without ``cs_n`` low nothing is taken
    cipo : to the controller; drive the pin only while ``cs_n`` is low
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
        rise = Signal()
        m.d.comb += rise.eq(~cs_n & sck & ~before)

        taken, given = Signal(8), Signal(8)
        count = Signal(3)
        loaded = Signal()
        m.d.comb += self.cipo.eq(given[-1])
        with m.If(self.received.ready):
            m.d.sync += self.received.valid.eq(0)
        with m.If(rise):
            m.d.sync += [taken.eq(Cat(copi, taken)), count.eq(count + 1)]
            with m.If(count == 7):
                m.d.sync += [
                    self.received.payload.eq(Cat(copi, taken[:7])),
                    self.received.valid.eq(1),
                    loaded.eq(0),
                ]
            with m.Else():
                m.d.sync += given.eq(Cat(0, given[:-1]))
        with m.Elif(cs_n & (count != 0)):
            m.d.sync += [count.eq(0), loaded.eq(0)]
        with m.Elif((count == 0) & ~loaded):
            m.d.comb += self.sent.ready.eq(1)
            m.d.sync += [loaded.eq(1), given.eq(Mux(self.sent.valid, self.sent.payload, END))]
        return m
