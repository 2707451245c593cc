"""Which core a network gets: as many lanes as the device has room for, and what that will cost.

The forecast is made before synthesis. Memory blocks are counted; logic is a sum over the parts of
a core with coefficients fitted to nextpnr's counts (`bench/fpga.py` prints both side by side).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from ...boards.board import Target
from ...compiler.connectivity import synapse_count
from ...hdl.cycles import scan_words
from ...hdl.shape import CoreShape, Memory
from ...ir.diagnostics import SpikecError, fail
from ...ir.graph import Graph
from .lower import Build, LoweredCore, lower, place, synapses_of, weight_bits
from .resources import check_memory, memory_blocks
from .words import dense_words

# The share of a device's logic and memory a core may take: the wire needs some, and a full device
# cannot be routed in reasonable time.
_LOGIC_SHARE: Final = 0.8
# Cells of logic that the link takes.
_LINK_LOGIC: Final = 1500
_ACTIVITY: Final = 0.1
_UNITS: Final = (1, 2, 4, 8)
# Cycles that differ by less than this share are the same.
_HARDLY: Final = 0.05
_LANES: Final = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


@dataclass(frozen=True)
class Forecast:
    """What a core will take, before synthesis.

    ``cycles`` of a step in which ``activity`` of all sources spike; memory ``blocks`` by what is
    in them; ``logic`` in the device's cells of four-input tables; ``padding`` is the share of
    stored and added weights that are only there to fill a word.
    """

    cycles: float
    activity: float
    blocks: dict[str, int]
    logic: int
    padding: float


def forecast(core: LoweredCore, target: Target, activity: float = _ACTIVITY) -> Forecast:
    """The forecast for a lowered core."""
    shape, words = core.shape, core.words
    events = activity * float(words.issued.sum())
    commit = shape.neurons / shape.units + scan_words(shape)
    busy = max(events, commit) if shape.overlaps or shape.groups == 1 else events + commit
    block = target.block_memory
    return Forecast(
        busy + _STEP_CYCLES,
        activity,
        {} if block is None else memory_blocks(shape, block),
        logic(shape, packed=target.family == "ice40"),
        words.padding,
    )


# From a tick to the first spike's row and from the last word to the report, about.
_STEP_CYCLES: Final = 25


def registers(shape: CoreShape) -> int:
    """Flip-flops, about: the pipelines of the commit above all."""
    bits = shape.lanes * (shape.acc_bits + shape.weight_bits)
    if shape.storage == "block":
        bits += shape.lanes * shape.acc_bits
    unit = 14 * shape.state_bits + 6 * shape.acc_bits + (8 * shape.state_bits if shape.cuba else 0)
    return 350 + bits + shape.units * unit


def logic(shape: CoreShape, *, packed: bool = False) -> int:
    """Cells of logic, about: an adder takes one a bit, a choice of four one for two bits.

    ``packed``: a cell holds a table and its flip-flop, so a flip-flop alone takes one too.
    """
    per_bit = {"registers": 1.1, "distributed": 2.6, "block": 3.1, "pipelined": 3.1}[shape.storage]
    if shape.storage == "pipelined":
        per_bit = {1: 4.1, 2: 3.1, 3: 2.1}.get(shape.distance, 1.1)
    elif shape.storage == "block" and shape.distance > 1:
        per_bit = 2.1
    held = shape.lanes * shape.acc_bits * (0.0 if shape.beats == 1 else 0.55)
    unit = 6 * shape.state_bits + shape.acc_bits
    unit += 0 if shape.fixed.start == 0 else 3 * shape.state_bits
    unit += 0 if shape.fixed.v_min == shape.state_min else 2 * shape.state_bits
    unit += 5 * shape.state_bits if shape.cuba else 0
    unit += 2 * shape.state_bits if shape.bias else 0
    unit += 3 * shape.refractory_bits
    unit += shape.state_bits * multipliers(shape) // shape.units
    parts = shape.parts(Memory.WEIGHTS) if shape.readback else 0
    ports = sum(shape.word_bits(m) for m in shape.memories if m is not Memory.DIGEST)
    control = 420 + 0.6 * ports + 0.4 * parts * shape.bank_bits
    cells = control + shape.lanes * shape.acc_bits * per_bit + held + shape.units * unit
    return round(cells + (0.9 * registers(shape) if packed else 0))


def multipliers(shape: CoreShape) -> int:
    """Multiplications in one cycle by a decay that is not part of the circuit."""
    decays = ("decay_v", "decay_u") if shape.cuba else ("decay_v",)
    return shape.units * sum(getattr(shape.fixed, name) is None for name in decays)


def multiplier_blocks(shape: CoreShape) -> int:
    """Blocks of 16 x 16 bits that they take."""
    each = -(-shape.state_bits // 16) * -(-(shape.decay_bits + 1) // 16)
    return multipliers(shape) * each


def build_for(target: Target, lanes: int, units: int = 1) -> Build:
    """A build for a device: what kinds of memory it has."""
    block = target.block_memory
    return Build(
        lanes,
        units,
        distributed=target.family != "ice40",
        fast=target.family != "ice40",
        bank_bits=36 if block is None else block.width,
        bank_depth=512 if block is None else block.depth,
        readback=lanes <= 16,
    )


def choose(
    graph: Graph,
    target: Target,
    lanes: int | None = None,
    units: int | None = None,
    emit: tuple[str, ...] | None = None,
) -> tuple[LoweredCore, Build, Forecast]:
    """The core with the fewest cycles that fits a target, among those of ``lanes`` and ``units``.

    Raises E0302 if none fits, by how much the smallest is too large.
    """
    refused: SpikecError | None = None
    small: SpikecError | None = None
    cells = next((c.available.value for c in target.cells if c.cell in _LOGIC_CELLS), None)
    room = None if cells is None or lanes is not None else _LOGIC_SHARE * cells - _LINK_LOGIC
    dsps = sum(c.available.value for c in target.cells if c.cell in _MULTIPLIER_CELLS)
    builds = list(_candidates(graph, target, lanes, units))
    if not builds:
        raise fail("E0707", f"--units {units} does not divide --lanes {lanes}")
    least = min((build.lanes, build.units) for build in builds)
    for build in builds:
        if small is not None and not build.huge:
            continue
        try:
            core = lower(graph, build, emit)
            check_memory(core.shape, target)
        except SpikecError as error:
            if refused is None and not build.huge:
                # If not even the smallest core fits, no other needs to be tried.
                small = _refusal(
                    graph, target, replace(build, lanes=least[0], units=least[1]), emit
                )
                if small is not None and not _fits_single(graph, target):
                    raise small from None
            refused = refused or small or error
            continue
        found = forecast(core, target)
        if units is None and multiplier_blocks(core.shape) > dsps:
            continue
        if room is None or found.logic <= room:
            return core, build, found
        refused = refused or _too_large(found.logic, room, target)
    if refused is None:
        raise fail(
            "E0302",
            f"{target.title} has {dsps:.0f} multipliers, too few for any core of this network",
            hint="use fewer --state-bits, one time constant, or a larger board ('spikec targets')",
        )
    raise refused


def _refusal(
    graph: Graph, target: Target, build: Build, emit: tuple[str, ...] | None
) -> SpikecError | None:
    """Why a build does not fit a target's memory, None if it does."""
    try:
        check_memory(lower(graph, build, emit).shape, target)
    except SpikecError as error:
        return error
    return None


def _fits_single(graph: Graph, target: Target) -> bool:
    """Whether single-ported memory has as many bits as the weights."""
    single = next((memory for memory in target.memories if memory.ports == "1rw"), None)
    if single is None:
        return False
    bits = sum(
        synapse_count(p.connection) * weight_bits(graph.population(p.post))
        for p in graph.projections
    )
    return bits <= single.bits


_MULTIPLIER_CELLS: Final = ("ICESTORM_DSP", "MULT18X18D", "MULT18X18", "DSPs")
_LOGIC_CELLS: Final = ("ICESTORM_LC", "TRELLIS_COMB", "LUT4", "Slice LUTs")


def _candidates(
    graph: Graph, target: Target, lanes: int | None, units: int | None
) -> Iterator[Build]:
    """Builds from the fewest cycles on; of those that hardly differ, the smallest first."""
    largest = sum(p.size for p in graph.populations)
    rough: list[tuple[int, int, int]] = []
    for number in (lanes,) if lanes is not None else _LANES:
        if lanes is None and number > 2 * largest and rough:
            break
        placement, lines, neurons = place(graph, number, 1)
        events = _ACTIVITY * dense_words(synapses_of(graph, placement, lines), number)
        for together in (units,) if units is not None else _UNITS:
            if number % together == 0:
                cycles = max(events, neurons / together) + _STEP_CYCLES
                rough.append((round(math.log(cycles) / _HARDLY), number, together))
    single = any(memory.ports == "1rw" for memory in target.memories)
    builds = [build_for(target, number, together) for _, number, together in sorted(rough)]
    yield from builds
    # Single-ported memory takes what block memory has no room for; a host has to fill it.
    if single:
        yield from (replace(build, huge=True) for build in builds)


def _too_large(logic: float, room: float, target: Target) -> SpikecError:
    return fail(
        "E0302",
        f"the smallest core needs about {logic:.0f} cells of logic; {target.title} has room for "
        f"{room:.0f} beside the link: {logic - room:.0f} too many",
        hint="choose a larger board ('spikec targets')",
    )
