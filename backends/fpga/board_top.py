"""What surrounds the device on a board: its clock, its reset and its host link."""

# Amaranth ships no types.
# mypy: disable-error-code="import-untyped, misc, no-any-unimported"

from __future__ import annotations

import importlib
import math
from typing import Any, Final

from amaranth.build import Attrs, Pins, Resource, Subsignal
from amaranth.build import Clock as Frequency
from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    Const,
    Elaboratable,
    Instance,
    Module,
    Signal,
)
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import connect

from ...boards.board import Board, HostLink, Pll
from ...hdl.spi import SpiPeripheral
from ...hdl.uart import Uart

__all__ = ["BoardTop", "make_platform"]

# iCE40 block RAM reads as zero for some 3 us after configuration; five times that is waited.
_MEMORY_WAKE_SECONDS: Final = 15e-6

# Amaranth 0.5.10 starts nextpnr-gowin, which nextpnr 0.11 has no more (0.8 was its last).
_GOWIN_COMMANDS: Final = (
    """
    {{invoke_tool("yosys")}} {{quiet("-q")}} -l {{name}}.rpt {{name}}.ys
    """,
    """
    {{invoke_tool("nextpnr-himbaechel-gowin")}} {{quiet("--quiet")}}
        {{get_override("nextpnr_opts")|options}}
        --log {{name}}.tim
        --device {{platform.part}}
        --vopt family={{platform._chipdb_device}}
        --vopt cst={{name}}.cst
        --json {{name}}.syn.json
        --write {{name}}.pnr.json
    """,
    """
    {{invoke_tool("gowin_pack")}}
        -d {{platform._chipdb_device}}
        -o {{name}}.fs
        {{get_override("gowin_pack_opts")|options}}
        {{name}}.pnr.json
    """,
)


def make_platform(board: Board) -> Any:
    """Return the board's platform, with a ``uart`` resource if it lacks one, and ``host_spi``.

    It is that of amaranth-boards, or one made of the pins that the board file states. Its build
    plan is for the tools of :mod:`.toolchain`, or for Vivado.
    """
    made: Any
    if board.platform is None:
        made = _platform_of_pins(board)
    else:
        module, _, name = board.platform.rpartition(".")
        made = getattr(importlib.import_module(module), name)
    changes: dict[str, Any] = {}
    if board.target.family == "gowin":
        changes["command_templates"] = _GOWIN_COMMANDS
    elif board.flow == "vivado":
        files = made._vivado_file_templates
        # The Verilog is written later, of the same netlist: Amaranth wants a Yosys of its own.
        changes["file_templates"] = {
            "{{name}}.il": "{{emit_rtlil()}}",
            **{name: files[name] for name in ("{{name}}.xdc", "{{name}}.tcl")},
        }
    platform = type(made.__name__, (made,), changes)()
    serial = board.serial
    attribute = {"ecp5": "IO_TYPE", "xc7": "IOSTANDARD"}.get(
        str(board.target.family), "IO_STANDARD"
    )
    if serial.resource is None:
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
    if board.spi is not None:
        spi = board.spi
        platform.add_resources(
            [
                Resource(
                    "host_spi",
                    0,
                    Subsignal("sck", Pins(spi.sck, dir="i")),
                    Subsignal("copi", Pins(spi.copi, dir="i")),
                    Subsignal("cipo", Pins(spi.cipo, dir="o")),
                    Subsignal("cs_n", Pins(spi.cs_n, dir="i")),
                    Attrs(**{attribute: spi.io_standard}),
                )
            ]
        )
    return platform


def _platform_of_pins(board: Board) -> Any:
    """Return a platform class with the clock that the board file states."""
    from amaranth.vendor import LatticeECP5Platform

    clock = board.clock
    resource = Resource(
        clock.resource,
        0,
        Pins(str(clock.pin), dir="i"),
        Frequency(clock.frequency.value),
        Attrs(IO_TYPE=clock.io_standard),
    )
    contents = {
        "device": board.target.device,
        "package": board.target.package,
        "speed": board.speed,
        "default_clk": clock.resource,
        "resources": [resource],
        "connectors": [],
    }
    return type("PlatformOfPins", (LatticeECP5Platform,), contents)


class BoardTop(Elaboratable):
    """The device between a host link of a board and a clock of ``clock_hz``.

    ``device`` has streams of bytes ``rx`` (in) and ``tx`` (out). ``pll`` makes the clock; without
    one it is the board's own. ``link`` is the serial port, at ``baud``, or SPI at the board's pins.
    """

    def __init__(
        self,
        board: Board,
        device: Any,
        *,
        clock_hz: float,
        baud: int | None,
        pll: Pll | None,
        link: HostLink = "serial",
    ) -> None:
        self._board = board
        self._device = device
        self._pll = pll
        self._divisor = round(clock_hz / baud) if baud else 0
        self._clock_hz = clock_hz
        self._link = link

    def elaborate(self, platform: Any) -> Module:
        """Build the logic."""
        m = Module()
        m.submodules.device = device = self._device
        line = self._spi(m, platform) if self._link == "spi" else self._uart(m, platform)
        connect(m, line.received, device.rx)
        connect(m, device.tx, line.sent)
        # For Xilinx, Amaranth's own domain uses a parameter that Yosys' cell library lacks.
        if self._pll is not None or self._board.target.family == "xc7":
            m.domains += ClockDomain("sync")
            m.submodules.clock = _StartedClock(self._board, self._pll, self._clock_hz)
        return m

    def _uart(self, m: Module, platform: Any) -> Uart:
        m.submodules.uart = uart = Uart(self._divisor)
        # The other lines of the resource (RTS, DTR) are the host's to drive and are left alone.
        pins = platform.request(self._board.serial.resource or "uart", 0, dir="-")
        m.submodules.rx_pin = rx_pin = io.Buffer("i", pins.rx)
        m.submodules.tx_pin = tx_pin = io.Buffer("o", pins.tx)
        m.d.comb += [uart.rx.eq(rx_pin.i), tx_pin.o.eq(uart.tx)]
        return uart

    def _spi(self, m: Module, platform: Any) -> SpiPeripheral:
        m.submodules.spi = spi = SpiPeripheral()
        pins = platform.request("host_spi", 0, dir="-")
        m.submodules.sck_pin = sck_pin = io.Buffer("i", pins.sck)
        m.submodules.copi_pin = copi_pin = io.Buffer("i", pins.copi)
        m.submodules.cs_pin = cs_pin = io.Buffer("i", pins.cs_n)
        m.submodules.cipo_pin = cipo_pin = io.Buffer("o", pins.cipo)
        m.d.comb += [
            spi.sck.eq(sck_pin.i),
            spi.copi.eq(copi_pin.i),
            spi.cs_n.eq(cs_pin.i),
            cipo_pin.o.eq(spi.cipo),
            # Others may share the line: it is driven only while this one is selected.
            cipo_pin.oe.eq(~cs_pin.i),
        ]
        return spi


class _StartedClock(Elaboratable):
    """Drives domain ``sync`` and holds it in reset until its clock and the memories are steady."""

    def __init__(self, board: Board, pll: Pll | None, clock_hz: float) -> None:
        self._board = board
        self._pll = pll
        self._clock_hz = clock_hz

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        reference = platform.request(self._board.clock.resource, 0, dir="-")
        clock = Signal()
        locked = Signal()
        if self._board.target.family == "xc7":
            self._xilinx_clock(m, reference, clock, locked)
        elif self._pll is not None:
            m.submodules.pll = self._instance(self._pll, reference.io, clock, locked)
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

    def _xilinx_clock(self, m: Module, reference: Any, clock: Signal, locked: Signal) -> None:
        """Add the pin, the PLL and the clock net.

        Vivado derives the constraint on the PLL's clock from that on its reference.
        """
        m.submodules.clock_pin = pin = io.Buffer("i", reference)
        source = pin.i
        if self._pll is None:
            m.d.comb += locked.eq(1)
        else:
            feedback, source = Signal(), Signal()
            m.submodules.pll = Instance(
                "MMCME2_BASE",
                # The multiplier and the divider named ..._F are real numbers.
                **{
                    f"p_{name}": float(value) if name.endswith("_F") else value
                    for name, value in self._pll.parameters.items()
                },
                p_CLKIN1_PERIOD=1e9 / self._board.clock.frequency.value,
                i_CLKIN1=pin.i,
                i_CLKFBIN=feedback,
                i_RST=Const(0),
                i_PWRDWN=Const(0),
                o_CLKFBOUT=feedback,
                o_CLKOUT0=source,
                o_LOCKED=locked,
            )
        m.submodules.clock_net = Instance("BUFG", i_I=source, o_O=clock)

    def _instance(self, pll: Pll, reference: Any, clock: Signal, locked: Signal) -> Instance:
        parameters = {f"p_{name}": value for name, value in pll.parameters.items()}
        if pll.cell == "SB_PLL40_PAD":
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
        phase = {"p_CLKOP_CPHASE": int(pll.parameters["CLKOP_DIV"]) // 2 - 1}
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
