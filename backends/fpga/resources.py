"""What a core takes of a device's memory, known before synthesis."""

from __future__ import annotations

from ...boards.board import MemoryBlock, Target
from ...hdl.cluster_shape import ClusterShape, DeviceShape
from ...hdl.learning import term_form
from ...hdl.shape import REGISTER_ROWS, CoreShape, Memory, index_bits
from ...ir.diagnostics import fail
from ...ir.plasticity import SDSP, TraceSTDP
from .larger import larger_board, memory_bits

# Buffers of the link, one for each direction.
LINK_BLOCKS = 2
# A table of routes with no more words is built of registers.
ROUTE_WORDS = 32
# Synthesis builds tables of so few classes of registers, and lists of so few spikes.
_CLASSES, _SPIKES = 8, 16


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
    if shape.constant:
        return {"link": LINK_BLOCKS}
    taken = {}
    for memory in shape.memories:
        depth = shape.rows(memory)
        few = _CLASSES if memory is Memory.CLASSES else REGISTER_ROWS
        if memory in (Memory.DIGEST, Memory.DAMAGED) or depth <= few:
            continue
        if memory is Memory.WEIGHTS and shape.weight_storage == "huge":
            if shape.parity_alone:
                taken["parity"] = blocks(depth, 1, block)
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
    if beats > _SPIKES:
        # The lists of the neurons that have spiked in this step.
        width = beats.bit_length() + shape.units
        taken["spikes"] = blocks(beats, width, block) * (1 + shape.recurrent)
    taken |= _learning_blocks(shape, block)
    taken["link"] = LINK_BLOCKS
    return taken


def _learning_blocks(shape: CoreShape, block: MemoryBlock) -> dict[str, int]:
    """Blocks for what learns besides weights: terms, in pieces that are written one by one; traces
    and the list of rows that had an event.
    """
    learning = shape.learning
    if learning is None:
        return {}
    rule, units = learning.rule, shape.units
    assert isinstance(rule, TraceSTDP | SDSP)
    blocked = learning.blocks(shape.lanes) if learning.columns else 0
    words = (blocked + (learning.groups if rule.rows else 0)) << 1
    taken = {"terms": shape.beats * blocks(words, units * term_form(learning).bits, block)}
    traces = 0
    if rule.rows:
        bits = rule.calcium_bits if isinstance(rule, SDSP) else rule.post.bits
        traces += blocks(shape.neurons // units, units * bits, block)
    if isinstance(rule, TraceSTDP) and learning.columns:
        traces += blocks(blocked << index_bits(shape.beats), units * rule.pre.bits, block)
        traces += blocks(learning.rows, index_bits(learning.rows) + units, block)
    return taken | {"traces": traces}


def cluster_blocks(shape: ClusterShape, block: MemoryBlock) -> dict[str, int]:
    """Blocks that several cores take, by what is in them; one link serves all.

    Besides their own, each has a list of the spikes for the ring, and a table of where they go.
    """
    taken: dict[str, int] = {}
    for node in range(len(shape.cores) + 1):
        depth = shape.routes(node)
        found = {"routes": blocks(depth, len(shape.cores), block) if depth > ROUTE_WORDS else 0}
        if node < len(shape.cores):
            core = shape.cores[node]
            found |= memory_blocks(core, block)
            del found["link"]
            if "spikes" in found:
                found["spikes"] += found["spikes"] // (1 + core.recurrent)
        for name, count in found.items():
            taken[name] = taken.get(name, 0) + count
    return taken | {"link": LINK_BLOCKS}


def check_memory(shape: DeviceShape, target: Target) -> dict[str, int]:
    """Blocks taken by each memory; E0302 when the target has too few."""
    block = target.block_memory
    if block is None:
        return {}
    if isinstance(shape, ClusterShape):
        taken, cores = cluster_blocks(shape, block), f" on {len(shape.cores)} cores"
    else:
        taken, cores = memory_blocks(shape, block), ""
    if isinstance(shape, CoreShape) and shape.weight_storage == "huge":
        _check_single(shape, target)
    total, limit = sum(taken.values()), int(block.count.value)
    if total > limit:
        worst = max(taken, key=lambda name: taken[name])
        raise fail(
            "E0302",
            f"the network{cores} needs about {total} {block.cell} blocks, {target.title} has "
            f"{limit} ({block.count.source}): {total - limit} too many; {taken[worst]} of them "
            f"hold the {worst}",
            hint=larger_board(
                lambda other: memory_bits(other) >= total * block.depth * block.width,
                "use fewer --weight-bits or prune the network",
            ),
        )
    return taken


def _check_single(shape: CoreShape, target: Target) -> None:
    """E0302 when the weights do not fit the target's single-ported memory."""
    single = next((memory for memory in target.memories if memory.ports == "1rw"), None)
    limit = 0 if single is None else int(single.count.value)
    depth, width = shape.rows(Memory.WEIGHTS), shape.row_bits(Memory.WEIGHTS)
    width -= shape.parity_alone
    needed = 0 if single is None else -(-depth // single.depth) * -(-width // single.width)
    if single is None or needed > limit:
        name = "single-ported" if single is None else single.cell
        raise fail(
            "E0302",
            f"{depth} weight words of {width} bits need {needed} {name} blocks, {target.title} "
            f"has {limit}",
            hint="use fewer --lanes or --weight-bits, or choose a larger board",
        )
