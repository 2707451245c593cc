"""Cells of logic and multipliers: what a core takes, before synthesis, and what a device has.

Logic is a sum over the parts of a core with coefficients fitted to nextpnr's counts
(`bench/_logic.py` fits them and prints both side by side).
"""

from __future__ import annotations

from typing import Final

from ...boards.board import Target
from ...hdl.arithmetic import signed_digits
from ...hdl.cluster_shape import ClusterShape
from ...hdl.cycles import scan_width, scan_words
from ...hdl.learning import MULTIPLIER_BITS, term_form
from ...hdl.shape import DAMAGED_BITS, CoreShape, Memory, ParallelShape, Reset, index_bits
from ...hdl.terms import terms_of, tree_bits
from ...ir.diagnostics import SpikecError, fail
from .larger import larger_board
from .lower import LoweredCore

# The share of a device's logic and memory a core may take: the wire needs some, and a full device
# cannot be routed in reasonable time.
_LOGIC_SHARE: Final = 0.8
# Cells of logic that the link takes.
LINK_LOGIC: Final = 1500
# Cells of logic for one of each part of a core, and of a circuit: what `bench/_logic.py` fits.
_WEIGHTS: Final = {
    "ecp5": {
        "control": 453.0,
        "sums": 0.87,
        "held": 1.19,
        "lanes": 0.27,
        "stored": 0.94,
        "recovery": 2.45,
        "neurons": 1.21,
        "scan": 11.3,
        "ports": 1.31,
        "deep": 0.56,
        "stages": 0.0,
    },
    "ice40": {
        "control": 580.0,
        "sums": 1.1,
        "held": 1.41,
        "lanes": 0.488,
        "stored": 1.0,
        "recovery": 26.9,
        "neurons": 1.48,
        "scan": 15.6,
        "ports": 2.6,
        "deep": 0.0,
        "stages": 0.68,
    },
}
_PARALLEL_WEIGHTS: Final = {
    "ecp5": {"control": 240.0, "tables": 0.98, "adders": 1.02, "neurons": 0.93, "wait": 4.3},
    "ice40": {"control": 264.0, "tables": 0.98, "adders": 0.96, "neurons": 0.96, "wait": 4.2},
}
# Cells that multiply, and numbers of how many bits.
_MULTIPLIER_CELLS: Final = {"ICESTORM_DSP": 16, "MULT18X18D": 18, "MULT18X18": 18, "DSPs": 18}
# Words of a block of memory at its widest.
_BLOCK_DEPTH: Final = 512
_LOGIC_CELLS: Final = ("ICESTORM_LC", "TRELLIS_COMB", "LUT4", "Slice LUTs")


def logic(shape: CoreShape, *, packed: bool = False) -> int:
    """Cells of logic, about: the `logic_parts`, each with its weight.

    ``packed``: a cell holds a table and its flip-flop, so a flip-flop alone takes one too.
    """
    weight = _WEIGHTS["ice40" if packed else "ecp5"]
    parts = sum(weight[name] * count for name, count in logic_parts(shape).items())
    if shape.parity:
        # A sum modulo 2 of four bits is a table.
        parts += shape.row_bits(Memory.WEIGHTS) / 3 + 2 * DAMAGED_BITS
    return round(parts + learning_logic(shape))


def logic_parts(shape: CoreShape) -> dict[str, float]:
    """What a core consists of, in bits; memory is counted apart.

    ``sums`` are the lanes' adders with the choices before them, ``held`` what a group of several
    beats waits in, ``lanes`` the places that lanes with an address each carry along, ``stored``
    the cells of accumulators and of groups' flags in memory made of logic, ``neurons`` the
    arithmetic of the units, ``recovery`` what advancing membranes adds to it, ``stages`` their
    registers, ``scan`` the lookup of groups, ``ports`` the words that the host reaches, ``deep``
    what chooses among the blocks of memories that are deeper than one.
    """
    sums = shape.lanes * shape.acc_bits
    bypasses = {"registers": 0, "distributed": 1, "block": 2, "pipelined": 3}[shape.storage]
    bypasses = max(0, bypasses - shape.distance + 1)
    place = index_bits(shape.groups) + shape.page_bits
    own = shape.lanes * (place + 4) * (1 + bypasses) if shape.addressing == "lane" else 0
    stages = (14 + 8 * shape.cuba) * shape.state_bits + 6 * shape.acc_bits
    stages += (7 * shape.adaptive + 2 * shape.linear) * shape.state_bits
    stages += (9 * shape.quadratic + 10 * (shape.quadratic > 0)) * shape.state_bits
    parts = shape.parts(Memory.WEIGHTS) if shape.readback else 0
    ports = sum(shape.word_bits(m) for m in shape.memories if m is not Memory.DIGEST)
    return {
        "control": 1.0,
        "sums": float(sums * (1 + bypasses)),
        "held": float(sums if shape.beats > 1 else 0),
        "lanes": float(own),
        "stored": float(_stored(shape) + _flags(shape)),
        "recovery": float(shape.units * shape.quadratic * shape.state_bits),
        "neurons": shape.units * _unit_parts(shape) * shape.state_bits,
        "stages": float(shape.units * stages),
        "scan": float(scan_width(shape)),
        "ports": ports + 0.5 * parts * shape.bank_bits,
        "deep": float(_deep(shape)),
    }


def _stored(shape: CoreShape) -> int:
    """Cells of accumulators in memory made of logic: 16 words of 4 bits take 6, and a choice of
    several such takes one a bit."""
    if shape.storage != "distributed":
        return 0
    deep = -(-shape.groups * shape.pages // 16)
    alone = shape.lanes if shape.addressing == "lane" else 1
    wide = shape.lanes * shape.acc_bits
    return 6 * deep * alone * -(-wide // alone // 4) + wide * (deep - 1)


def _flags(shape: CoreShape) -> int:
    """Cells of the flags of groups in memory made of logic: what rests, and on each page what was
    added to. Two words at a time are looked up in them."""
    words = scan_words(shape)
    if shape.storage == "block" or words <= 2:
        return 0
    deep = -(-words // 16)
    if shape.addressing != "lane":
        deep += -(-(shape.pages << index_bits(words)) // 16)
    return 2 * 6 * deep * scan_width(shape) // 4


def _deep(shape: CoreShape) -> int:
    """Bits of words, once for each further block that a memory is deep."""
    blocks = {
        m: -(-shape.rows(m) // _BLOCK_DEPTH) for m in shape.memories if m is not Memory.DIGEST
    }
    found = sum(shape.row_bits(m) * (deep - 1) for m, deep in blocks.items())
    if shape.storage in ("block", "pipelined"):
        deep = -(-shape.groups * shape.pages // _BLOCK_DEPTH)
        found += shape.lanes * shape.acc_bits * (deep - 1)
    return found


def _unit_parts(shape: CoreShape) -> float:
    """Additions, comparisons and choices of a state's width that commit one neuron."""
    fixed = shape.fixed
    parts = 3.0 + (shape.overflow == "saturate")
    decays = (fixed.decay_v, *((fixed.decay_u,) if shape.cuba else ()))
    if shape.quadratic:
        decays = ()
        parts += 5.0 * shape.quadratic + 7.0
    # Multipliers are blocks of their own; their partial products are added in logic.
    parts += sum(1.0 if d is None else _decay_parts(shape, d) for d in decays)
    parts += shape.bias + shape.first_bias + 3.0 * shape.cuba
    parts += 2.0 * (fixed.start != 0 or bool(shape.refractory_bits))
    parts += 2.0 * (fixed.v_min != shape.state_min)
    parts += fixed.reset != Reset.VALUE
    parts += fixed.threshold is None or fixed.v_reset is None
    parts += 2.0 * (fixed.reset is None or fixed.reset == Reset.TWO_PHASE)
    # These are counted, an adder a line, and not fitted to any build.
    parts += 3.0 * shape.adaptive + 3.0 * bool(shape.timers) + 4.0 * shape.linear
    return parts + 0.5 * (fixed.decay_v != shape.decay_one or shape.bias or shape.has_u)


def parallel_logic(core: LoweredCore, *, packed: bool = False) -> int:
    """Cells of logic of a network as a circuit, about; ``packed`` as in `logic`."""
    weight = _PARALLEL_WEIGHTS["ice40" if packed else "ecp5"]
    return round(sum(weight[name] * count for name, count in parallel_parts(core).items()))


def parallel_parts(core: LoweredCore) -> dict[str, float]:
    """What a circuit consists of, in bits: ``tables`` and ``adders`` of the sums, the ``neurons``'
    arithmetic, and the registers that ``wait`` for a delay or count events."""
    shape, image = core.shape, core.image
    assert isinstance(shape, ParallelShape)
    sums = terms_of(image)
    bits = [tree_bits(list(terms.values())) for terms in sums]
    waited = {term for terms in sums for term in terms}
    state, neurons = shape.state_bits, 0.0
    for number, (terms, bias) in enumerate(zip(sums, image.bias.tolist(), strict=True)):
        c = int(image.neuron_class[number])
        start, refractory = int(image.class_start[c]), int(image.class_refractory[c])
        reset = Reset(int(image.class_reset[c]))
        parts = _decay_parts(shape, int(image.class_decay_v[c]))
        parts += bool(terms) + (bias != 0) + (shape.overflow == "saturate")
        parts += 2 * (start > 0) + (refractory > 0)
        parts += 2 * (int(image.class_v_min[c]) > shape.state_min)
        if reset is not Reset.NONE:
            parts += 2 + (reset is not Reset.VALUE) + (reset is Reset.TWO_PHASE)
        if shape.cuba:
            parts += _decay_parts(shape, int(image.class_decay_u[c])) + 2
        # Horner's sums of events that a line has more than one of.
        neurons += parts * state + (shape.acc_bits if shape.input_bits > 1 and terms else 0)
    wait = sum(shape.input_bits if source < shape.inputs else 1 for source, _ in waited)
    return {
        "control": 1.0,
        "tables": float(sum(b[0] for b in bits)),
        "adders": float(sum(b[1] for b in bits)),
        "neurons": neurons,
        "wait": float(wait + shape.inputs * shape.input_bits),
    }


def _decay_parts(shape: CoreShape, decay: int) -> float:
    """Additions of a state's width that multiply it by a constant and round."""
    sums = max(len(signed_digits(decay)) - 1, 0)
    return 1.3 * sums + (shape.rounding != "floor" and sums > 0)


def learning_logic(shape: CoreShape) -> float:
    """Of these, what changes weights: turns, sums and clamps of each lane, and the traces."""
    learning = shape.learning
    if learning is None:
        return 0.0
    bits, kept = shape.weight_bits, term_form(learning).bits
    # A sum and a clamp, and which weights take it.
    lane = 2 * bits + 4
    if learning.skewed:
        # Choices for every bit and halving, or what joins the products; and the bank's plane.
        halves = 1 + (shape.lanes > MULTIPLIER_BITS)
        logic = learning.rotator == "logic"
        lane += (bits + kept) * index_bits(shape.lanes) if logic else bits * halves + kept
        lane += 8
    return shape.lanes * lane + 40 * shape.units + (150 if learning.columns else 40)


def multipliers(shape: CoreShape) -> int:
    """Multiplications in one cycle by a factor that is not part of the circuit."""
    if shape.quadratic:
        # Twice each time that a membrane advances; the recovery's goal, and the way to it.
        return shape.units * (2 * shape.quadratic + 2)
    decays = ("decay_v", "decay_u") if shape.cuba else ("decay_v",)
    return shape.units * sum(getattr(shape.fixed, name) is None for name in decays)


def multiplier_blocks(shape: CoreShape, width: int = 16) -> int:
    """Blocks of ``width`` x ``width`` bits that they take."""

    def parts(bits: int) -> int:
        # Signed numbers are cut; what is left of two bits or one is logic.
        cut = max(0, -(-(bits - width) // (width - 1)))
        return cut + (bits - cut * (width - 1) > 2)

    def blocks(state: int, factor: int) -> int:
        return parts(state) * parts(factor)

    # A decay is 0..2^F; with a recovery it has a sign and five bits more (`CoreShape`).
    factor = shape.decay_bits + (6 if shape.quadratic else 1)
    each = blocks(shape.state_bits, factor)
    # The way to its goal has four bits more than a recovery.
    far = blocks(shape.state_bits + 4, factor - 1) - each if shape.quadratic else 0
    learning = shape.learning
    turns = 0
    if learning is not None and learning.skewed and learning.rotator == "multiplier":
        turns = (shape.weight_bits + term_form(learning).bits) * (
            1 + (shape.lanes > MULTIPLIER_BITS)
        )
    return multipliers(shape) * each + shape.units * far + turns


def cluster_logic(shape: ClusterShape, *, packed: bool = False) -> int:
    """Cells of several cores and of the ring between them, about."""
    station = _STATION_LOGIC + 4 * (shape.source_bits + len(shape.cores))
    cores = sum(logic(core, packed=packed) for core in shape.cores)
    return cores + station * (len(shape.cores) + 1)


# Cells of a station, its table and its counter, besides the width of a packet.
_STATION_LOGIC: Final = 150


def logic_room(target: Target) -> float | None:
    """Cells of logic that a core may take, None if nothing is known of them."""
    cells = next((c.available.value for c in target.cells if c.cell in _LOGIC_CELLS), None)
    return None if cells is None else _LOGIC_SHARE * cells - LINK_LOGIC


def multipliers_of(target: Target) -> tuple[float, int]:
    """How many multipliers a device has, and the bits of one."""
    cells = [c for c in target.cells if c.cell in _MULTIPLIER_CELLS]
    width = min((_MULTIPLIER_CELLS[c.cell] for c in cells), default=16)
    return sum(c.available.value for c in cells), width


def too_large(what: str, logic: float, room: float, target: Target) -> SpikecError:
    """E0302 for what needs more logic than there is room for, and by how much."""
    return fail(
        "E0302",
        f"{what} about {logic:.0f} cells of logic; {target.title} has room for "
        f"{room:.0f} beside the link: {logic - room:.0f} too many",
        hint=larger_board(lambda other: (logic_room(other) or 0) >= logic),
    )
