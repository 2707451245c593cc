"""What surrounds the device on a board: its clock, its reset and its serial port."""

# Amaranth ships no types.
# mypy: disable-error-code="import-untyped, misc, no-any-unimported"

from __future__ import annotations

import importlib
import math
from typing import Any, Final

from amaranth.build import Attrs, Pins, Resource, Subsignal
from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    Const,
    Elaboratable,
    Instance,
    Module,
    Signal,
)
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import connect

from ...boards.board import Board, Pll
from ...hdl.uart import Uart

__all__ = ["BoardTop", "make_platform"]

# iCE40 block RAM reads as zero for some 3 us after configuration; five times that is waited.
_MEMORY_WAKE_SECONDS: Final = 15e-6


def make_platform(board: Board) -> Any:
    """Return the board's amaranth-boards platform, with a ``uart`` resource if it lacks one."""
    module, _, name = board.platform.rpartition(".")
    platform = getattr(importlib.import_module(module), name)()
    serial = board.serial
    if serial.resource is None:
        attribute = "IO_TYPE" if board.target.family == "ecp5" else "IO_STANDARD"
        platform.add_resources(
            [
                Resource(
                    "uart",
                    0,
                    Subsignal("rx", Pins(serial.rx, dir="i")),
                    Subsignal("tx", Pins(serial.tx, dir="o")),
                    Attrs(**{attribute: serial.io_standard}),
                )
            ]
        )
    return platform


class BoardTop(Elaboratable):
    """The device between the serial port of a board and a clock of ``clock_hz``.

    ``device`` has streams of bytes ``rx`` (in) and ``tx`` (out). ``pll`` makes the clock; without
    one it is the board's own.
    """

    def __init__(self, board: Board, device: Any, *, clock_hz: float, baud: int, pll: Pll | None):
        self._board = board
        self._device = device
        self._pll = pll
        self._divisor = round(clock_hz / baud)
        self._clock_hz = clock_hz

    def elaborate(self, platform: Any) -> Module:
        """Build the logic."""
        m = Module()
        m.submodules.device = device = self._device
        m.submodules.uart = uart = Uart(self._divisor)
        pins = platform.request(self._board.serial.resource or "uart", 0)
        m.d.comb += [uart.rx.eq(pins.rx.i), pins.tx.o.eq(uart.tx)]
        connect(m, uart.received, device.rx)
        connect(m, device.tx, uart.sent)
        if self._pll is not None:
            m.submodules.clock = _PllDomain(self._board, self._pll, self._clock_hz)
        return m


class _PllDomain(Elaboratable):
    """Domain ``sync`` at the output of a PLL, in reset until it has locked."""

    def __init__(self, board: Board, pll: Pll, clock_hz: float) -> None:
        self._board = board
        self._pll = pll
        self._clock_hz = clock_hz

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains += ClockDomain("sync")
        reference = platform.request(self._board.clock.resource, 0, dir="-")
        clock = Signal()
        locked = Signal()
        m.submodules.pll = self._instance(reference.io, clock, locked)
        platform.add_clock_constraint(clock, self._clock_hz)
        m.d.comb += ClockSignal("sync").eq(clock)

        # Counts up, since flip-flops start at zero; `locked` going away starts it again.
        m.domains += ClockDomain("startup", local=True)
        cycles = math.ceil(_MEMORY_WAKE_SECONDS * self._clock_hz)
        count = Signal(range(cycles + 1))
        ready = Signal()
        m.submodules += ResetSynchronizer(~locked, domain="startup")
        m.d.comb += ClockSignal("startup").eq(clock)
        with m.If(count == cycles):
            m.d.startup += ready.eq(1)
        with m.Else():
            m.d.startup += count.eq(count + 1)
        m.submodules += ResetSynchronizer(~ready, domain="sync")
        return m

    def _instance(self, reference: Any, clock: Signal, locked: Signal) -> Instance:
        parameters = {f"p_{name}": value for name, value in self._pll.parameters.items()}
        if self._pll.cell == "SB_PLL40_PAD":
            return Instance(
                "SB_PLL40_PAD",
                **parameters,
                i_PACKAGEPIN=reference,
                i_RESETB=Const(1),
                i_BYPASS=Const(0),
                o_PLLOUTGLOBAL=clock,
                o_LOCK=locked,
            )
        # The feedback path is the output itself, whose phase is then that of the reference.
        phase = {"p_CLKOP_CPHASE": int(self._pll.parameters["CLKOP_DIV"]) // 2 - 1}
        return Instance(
            "EHXPLLL",
            **parameters,
            **phase,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_FPHASE=0,
            p_FEEDBK_PATH="CLKOP",
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            a_FREQUENCY_PIN_CLKI=f"{self._board.clock.frequency.value / 1e6:g}",
            a_FREQUENCY_PIN_CLKOP=f"{self._clock_hz / 1e6:g}",
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_CLKI=reference,
            i_CLKFB=clock,
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1),
            i_PHASELOADREG=Const(1),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            o_CLKOP=clock,
            o_LOCK=locked,
        )
