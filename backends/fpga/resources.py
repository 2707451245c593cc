"""What a core takes of a device's memory, known before synthesis."""

from __future__ import annotations

from ...boards.board import MemoryBlock, Target
from ...hdl.shape import CoreShape, Memory
from ...ir.diagnostics import fail

# Buffers of the link, one for each direction.
LINK_BLOCKS = 2
# Synthesis builds so few words of registers.
_REGISTERS = 8


def blocks(depth: int, width: int, block: MemoryBlock) -> int:
    """Blocks for ``depth`` words of ``width`` bits, in the best of the block's aspect ratios.

    A block of D words of W bits can also be 2^k D words of W / 2^k bits.
    """
    options = []
    for k in range(4):
        deep, wide = block.depth << k, max(block.width >> k, 1)
        options.append(-(-depth // deep) * -(-width // wide))
    return min(options)


def memory_blocks(shape: CoreShape, block: MemoryBlock) -> dict[str, int]:
    """Blocks of the device that each memory takes; those built of logic are left out."""
    taken = {}
    for memory in shape.memories:
        depth = shape.rows(memory)
        if memory is Memory.DIGEST or depth <= _REGISTERS:
            continue
        if memory is Memory.WEIGHTS and shape.weight_storage == "huge":
            continue
        width, left = shape.word_bits(memory), shape.row_bits(memory)
        count = 0
        while left > 0:
            count += blocks(depth, min(width, left), block)
            left -= width
        taken[memory.name.lower()] = count
    if shape.storage in ("block", "pipelined"):
        lanes = shape.lanes if shape.addressing != "lane" else 1
        each = blocks(shape.groups * shape.pages, lanes * shape.acc_bits, block)
        taken["accumulators"] = each * (shape.lanes // lanes)
    beats = shape.neurons // shape.units
    if beats > _REGISTERS * 2:
        # The lists of the neurons that have spiked in this step.
        width = beats.bit_length() + shape.units
        taken["spikes"] = blocks(beats, width, block) * (1 + shape.recurrent)
    taken["link"] = LINK_BLOCKS
    return taken


def check_memory(shape: CoreShape, target: Target) -> dict[str, int]:
    """Blocks taken by each memory; E0302 when the target has too few."""
    block = target.block_memory
    if block is None:
        return {}
    taken = memory_blocks(shape, block)
    if shape.weight_storage == "huge":
        _check_single(shape, target)
    total, limit = sum(taken.values()), int(block.count.value)
    if total > limit:
        worst = max(taken, key=lambda name: taken[name])
        raise fail(
            "E0302",
            f"the network needs about {total} {block.cell} blocks, {target.title} has {limit} "
            f"({block.count.source}): {total - limit} too many; {taken[worst]} of them hold the "
            f"{worst}",
            hint="use fewer --weight-bits, prune the network, or choose a larger board "
            "('spikec targets')",
        )
    return taken


def _check_single(shape: CoreShape, target: Target) -> None:
    """E0302 when the weights do not fit the target's single-ported memory."""
    single = next((memory for memory in target.memories if memory.ports == "1rw"), None)
    limit = 0 if single is None else int(single.count.value)
    depth, width = shape.rows(Memory.WEIGHTS), shape.row_bits(Memory.WEIGHTS)
    needed = 0 if single is None else -(-depth // single.depth) * -(-width // single.width)
    if single is None or needed > limit:
        name = "single-ported" if single is None else single.cell
        raise fail(
            "E0302",
            f"{depth} weight words of {width} bits need {needed} {name} blocks, {target.title} "
            f"has {limit}",
            hint="use fewer --lanes or --weight-bits, or choose a larger board",
        )
