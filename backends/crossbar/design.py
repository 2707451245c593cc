"""A network on the tiles of a macro: the mapping, and what its cells are meant to conduct."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final
from zlib import crc32

import numpy as np
import numpy.typing as npt

from ...boards.device import Device, load_device
from ...boards.macro import Macro
from ...boards.table import BoardError
from ...compiler.backend import Progress, no_progress
from ...compiler.connectivity import apply
from ...compiler.integer.executor import MIXING
from ...ir.connections import Connection, Sparse, stages
from ...ir.diagnostics import Diagnostics, fail
from ...ir.graph import Graph, Projection
from ...ir.records import Record
from .circuit import Crossbar
from .compensate import compensate
from .conditions import Conditions
from .curve import chord, from_chord
from .device import reachable
from .layout import (
    Block,
    Scheme,
    Signs,
    Tile,
    blocks,
    conductances,
    digits_of,
    slice_bits_for,
    tiles,
)
from .levels import Aim, chords_of, levelled, levels_of, metric, multiplied
from .remap import ordered

Floats = npt.NDArray[np.float64]

# Of the rows this share is taken to spike where nothing is said of the activity.
ACTIVITY: Final = 0.1
PROBES: Final = 256
# The bits that a cell holds where its device has no levels and nothing is said of slices.
_WHOLE: Final = 16


@dataclass(frozen=True, eq=False)
class Layer(Record):
    """One projection on tiles: its matrices, how weights become cells, and vectors it may see.

    ``probes`` (vectors, in_size) are counts of spikes of a step, of a calibration or made up: the
    range of converters and the calibration of columns go by them.
    """

    projection: str
    blocks: tuple[Block, ...]
    scheme: Scheme
    probes: npt.NDArray[np.int64]

    def seen(self, tile: Tile) -> npt.NDArray[np.int64]:
        """The probes as they reach the word lines of a tile, (vectors, word lines)."""
        block = self.blocks[tile.block]
        padded = np.pad(self.probes, ((0, 0), (0, 1)))
        found = padded[:, block.pre].reshape(-1, block.pre.shape[1])
        found = found[found.any(axis=1)][: 2 * PROBES]
        return np.pad(found, ((0, 0), (0, 1)))[:, tile.row]


@dataclass(frozen=True, eq=False)
class Design:
    """A mapped network: layers by projection, tiles, and what their cells are meant to be.

    ``targets`` (word lines, bit lines) of each tile in S and ``alphas`` (groups,): what differences
    come to in parts of those without wires.
    """

    macro: Macro
    conditions: Conditions
    layers: Mapping[str, Layer]
    tiles: tuple[Tile, ...]
    targets: tuple[Floats, ...]
    alphas: tuple[Floats, ...]
    residuals: tuple[float, ...] = field(default=())

    @property
    def cells(self) -> int:
        """Cells of all tiles, spares too."""
        return sum(target.size for target in self.targets)

    @cached_property
    def electrics(self) -> Electrics:
        """Its macro under its conditions."""
        return Electrics.of(self.macro, self.conditions)

    def layer(self, tile: Tile) -> Layer:
        """The layer that a tile is of."""
        return self.layers[tile.projection]

    def block(self, tile: Tile) -> Block:
        """The matrix that a tile has a part of."""
        return self.layer(tile).blocks[tile.block]


@dataclass(frozen=True)
class Electrics:
    """The numbers of a macro under conditions: a device, wires, a voltage, converters.

    ``low`` and ``high``, S, are what cells of the digits 0 and B - 1 conduct at a spike's voltage.
    """

    device: Device
    word: float
    bit: float
    driver: float
    sense: float
    voltage: float
    gated: bool
    adc_bits: int | None
    stuck_on: float
    stuck_off: float
    low: float
    high: float

    @classmethod
    def of(cls, macro: Macro, conditions: Conditions) -> Electrics:
        """The macro under these conditions; E1320 where they do not go together."""
        device = load_device(macro.device)
        changes: dict[str, Any] = {}
        if conditions.levels is not None:
            source = "asked for: levels"
            changes["levels"] = replace(
                device.g_max, value=conditions.levels, unit="levels", source=source
            )
        if not conditions.programming:
            changes |= {"programming": None}
            if device.ageing == "snapshots":
                # What is known of later times are errors of programming then.
                changes |= {"ageing": "stable"}
        if not conditions.drift:
            changes |= {"ageing": "stable"}
        if not conditions.read_noise:
            changes |= {"read": None}
        device = replace(device, **changes)
        try:
            word, bit = macro.wires.at(conditions.temperature)
        except BoardError as error:
            raise fail("E1320", f"temperature: {error.message}") from None
        if conditions.wire is not None:
            word = bit = conditions.wire
        bits = None if macro.adc.bits is None else int(macro.adc.bits.value)
        if conditions.adc_bits is not None:
            bits = conditions.adc_bits or None
        on, off = macro.stuck_on.value, macro.stuck_off.value
        if conditions.stuck is not None:
            share = on / (on + off) if on + off > 0 else 0.5
            on, off = conditions.stuck * share, conditions.stuck * (1 - share)
        ends = np.array([device.g_min.value, device.g_max.value])
        low, high = chord(device, ends, macro.voltage.value)
        return cls(
            device=device,
            word=word,
            bit=bit,
            driver=macro.wires.driver.value,
            sense=macro.wires.sense.value,
            voltage=macro.voltage.value,
            gated=macro.gated if conditions.gated is None else conditions.gated,
            adc_bits=bits,
            stuck_on=on,
            stuck_off=off,
            low=float(low),
            high=float(high),
        )

    @property
    def exact(self) -> bool:
        """Whether nothing is lost anywhere, so that sums are those of integers."""
        device = self.device
        errors = (device.levels, device.programming, device.read, device.bend, self.adc_bits)
        faults = self.stuck_on + self.stuck_off
        stable = device.ageing == "stable"
        return self.wireless and stable and faults == 0 and all(e is None for e in errors)

    @property
    def wireless(self) -> bool:
        """Whether the wires and what is at their ends have no resistance."""
        return self.word + self.bit + self.driver + self.sense == 0

    def circuit(self, siemens: Floats) -> Crossbar:
        """Cells of these conductances between the wires, driven at the left, sensed below."""
        return Crossbar(siemens, self.word, self.bit, self.driver, self.sense)

    def seen_circuit(self, siemens: Floats, activity: float) -> Crossbar:
        """The circuit whose transfer matrix is closest to what spikes see.

        Where rows are gated only active ones load a bit line, and lose along it what others make:
        with the share ``activity`` of them on the drop along the bit line is that of wires so much
        shorter.
        """
        full = self.circuit(siemens)
        if not self.gated:
            return full
        return replace(full, bit=full.bit * activity, sense=full.sense * activity)


def design(
    graph: Graph,
    macro: Macro,
    conditions: Conditions,
    probes: Mapping[str, npt.NDArray[np.int64]] | None = None,
    seed: int = 1,
    progress: Progress = no_progress,
    found: Diagnostics | None = None,
) -> Design:
    """Map the weighted projections of a quantised graph to tiles of a macro.

    ``probes`` are vectors that reach weights in a step, (vectors, in_size) by projection; without
    those of a projection each line of its source spikes in every tenth step. E1321 for what no
    crossbar can hold; W1322 where compensation does not reach what it should.
    """
    electrics = Electrics.of(macro, conditions)
    layers: dict[str, Layer] = {}
    placed: list[Tile] = []
    for p in graph.projections:
        stage = weighted(p)
        if stage is None:
            continue
        scheme = _scheme(stage, electrics.device, conditions)
        layer = Layer(p.name, blocks(stage), scheme, _probes(p, probes or {}, seed))
        layers[p.name] = layer
        sizes = _sizes(macro, conditions, scheme)
        spares = int(macro.spares.value) // scheme.width
        spares = spares if conditions.spares is None else conditions.spares
        if any((s - scheme.shared) // scheme.width <= spares for s in sizes[:1]):
            raise fail(
                "E1321",
                f"'{p.name}': a tile of {sizes[0]} bit lines has no group of {scheme.width} left "
                f"beside {spares} spare ones",
                p.at,
                "fewer spares, larger tiles or fewer slices",
            )
        cost = _cost(macro, electrics, scheme, _activity(layer))
        for number, block in enumerate(layer.blocks):
            placed.extend(tiles(p.name, number, block, scheme, sizes, cost, spares))
    if not placed:
        raise fail("E1321", "no projection has weights that could be conductances")
    targets, alphas, residuals = [], [], []
    for k, tile in enumerate(placed):
        layer = layers[tile.projection]
        block = layer.blocks[tile.block]
        if conditions.order:
            placed[k] = tile = ordered(tile, block, layer.scheme)
        target, alpha, residual = aimed(tile, layer, electrics, conditions)
        targets.append(target)
        alphas.append(alpha)
        residuals.append(residual)
        progress("tiles", (k + 1) / len(placed))
    if found is not None:
        _warn(found, placed, residuals)
    return Design(
        macro, conditions, layers, tuple(placed), tuple(targets), tuple(alphas), tuple(residuals)
    )


def aimed(
    tile: Tile,
    layer: Layer,
    electrics: Electrics,
    conditions: Conditions,
    stuck: Floats | None = None,
) -> tuple[Floats, Floats, float]:
    """Target conductances of a tile, what a group's differences come to, and the residual.

    ``stuck`` (word lines, bit lines) is the conductance of cells that are stuck, NaN elsewhere. The
    residual is of the largest weight; where a device has levels, what a weight is off at most.
    """
    scheme, block = layer.scheme, layer.blocks[tile.block]
    device, low, high = electrics.device, electrics.low, electrics.high
    nominal = conductances(digits_of(tile, block, scheme), scheme, low, high)
    held = np.zeros(nominal.shape, np.bool_) if stuck is None else ~np.isnan(stuck)
    if stuck is not None:
        nominal = np.where(held, chord(device, np.nan_to_num(stuck), electrics.voltage), nominal)
    target = from_chord(device, nominal, electrics.voltage)
    lost = not electrics.wireless or bool(held.any())
    uneven = device.levels is not None and not np.allclose(
        reachable(device, target), target, rtol=0, atol=1e-9 * device.g_max.value
    )
    if not conditions.compensate or not (lost or uneven):
        return target, np.ones(tile.groups), 0.0
    digits, times = digits_of(tile, block, scheme).astype(np.float64), np.ones(tile.groups)
    weight = np.where(tile.flipped, -1, 1) * tile.weight(block)
    if device.levels is not None:
        digits, times = multiplied(weight, scheme)
    wanted = conductances(digits, scheme, low, high) - low
    group = np.zeros(nominal.shape[1], np.int64)
    partner = None
    if scheme.signs is Signs.DIFFERENTIAL:
        group = np.arange(nominal.shape[1]) // scheme.width
        partner = np.arange(nominal.shape[1]) ^ 1
    circuit = electrics.seen_circuit(np.where(held, nominal, low + wanted), _activity(layer))
    solved = compensate(circuit, wanted, group, low, high, held=held, partner=partner)
    alpha = times * solved.alpha[scheme.shared :: scheme.width]
    if device.levels is None:
        return from_chord(device, solved.conductance, electrics.voltage), alpha, solved.residual
    aim = Aim(
        scheme,
        weight,
        (high - low) / (scheme.base - 1),
        np.flatnonzero(tile.row >= 0),
        np.flatnonzero(tile.column >= 0),
        metric(layer.seen(tile)),
    )
    table = chords_of(device, electrics.voltage)
    circuit = replace(circuit, conductance=solved.conductance)
    found = levelled(circuit, aim, table, alpha, held)
    residual = float(np.abs(found.error).max(initial=0.0) / max(np.abs(weight).max(), 1))
    return levels_of(device)[found.level], found.alpha, residual


def weighted(projection: Projection) -> Connection | None:
    """The stage of a projection that becomes cells, ``None`` where it has none.

    Pools and one weight a neuron stay digital. E1321 for synapses with delays of their own, and for
    two such stages without neurons between.
    """
    found = [stage for stage in stages(projection.connection) if isinstance(stage, MIXING)]
    wrong = None
    if len(found) > 1:
        wrong = "has two matrices one after the other, and currents of one are no spikes"
    elif found and isinstance(found[0], Sparse) and found[0].steps is not None:
        wrong = "has synapses with delays of their own, and currents have none"
    if wrong is not None:
        hint = "put neurons between them, or make one matrix of them" if len(found) > 1 else None
        raise fail("E1321", f"'{projection.name}' {wrong}", projection.at, hint)
    return found[0] if found else None


def _scheme(stage: Connection, device: Device, conditions: Conditions) -> Scheme:
    weight: Any = stage.weight  # type: ignore[attr-defined]
    bits = int(np.abs(weight).max(initial=1)).bit_length() + 1
    levels = None if device.levels is None else device.levels.value
    most = conditions.slice_bits or slice_bits_for(levels, _WHOLE)
    return Scheme(conditions.signs, max(bits, 2), most)


def _sizes(macro: Macro, conditions: Conditions, scheme: Scheme) -> tuple[int, ...]:
    most = conditions.tile or macro.tile
    sizes = (*(s for s in macro.sizes if s < most and conditions.mixed), most)
    usable = tuple(s for s in sizes if s - scheme.shared >= scheme.width)
    if not usable:
        raise fail(
            "E1321",
            f"a weight takes {scheme.width + scheme.shared} bit lines, a tile has {most}",
            hint="larger tiles, or more bits a cell",
        )
    return usable


def _cost(macro: Macro, electrics: Electrics, scheme: Scheme, activity: float) -> Any:
    """Joule that a tile of so many lines takes a vector; its cells where nothing has a price."""
    bits = electrics.adc_bits
    conversion = 0.0 if bits is None or macro.adc.bits is None else macro.conversion_energy(bits)
    mean = (electrics.low + electrics.high) / 2
    cell = activity * mean * electrics.voltage**2 * macro.costs["read_time"].value

    def cost(rows: int, lines: int) -> float:
        channels = lines // 2 if scheme.signs is Signs.DIFFERENTIAL else lines
        drive = activity * rows * macro.drive_energy(lines)
        return float(channels * conversion + rows * lines * cell + drive)

    return cost


def _activity(layer: Layer) -> float:
    """The mean share of lines that spike."""
    return float(np.clip((layer.probes != 0).mean(), 1e-3, 1.0))


def reaching(projection: Projection, vectors: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What of vectors that a node sends reaches the weights: digital stages are applied."""
    x = vectors
    for stage in stages(projection.connection):
        if stage is weighted(projection):
            break
        x = apply(stage, x)
    return np.ascontiguousarray(x, np.int64)


def _probes(
    projection: Projection, known: Mapping[str, npt.NDArray[np.int64]], seed: int
) -> npt.NDArray[np.int64]:
    """The vectors known of a projection, made up where there are none."""
    found = known.get(projection.name)
    if found is None or not found.any():
        # Its own, whatever other projections there are.
        rng = np.random.default_rng([seed, crc32(projection.name.encode())])
        size = int(np.prod(projection.connection.in_shape))
        found = reaching(projection, (rng.random((PROBES, size)) < ACTIVITY).astype(np.int64))
    return found[found.any(axis=1)][:PROBES]


def _warn(found: Diagnostics, placed: list[Tile], residuals: list[float]) -> None:
    worst: dict[str, float] = {}
    for tile, residual in zip(placed, residuals, strict=True):
        worst[tile.projection] = max(worst.get(tile.projection, 0.0), residual)
    for name, residual in worst.items():
        if residual > 0.01:
            found.add(
                "W1322",
                f"'{name}': no conductances that cells can have make up for the wires: what a "
                f"weight adds is off by {_parts(residual)} the largest weight",
                hint="smaller tiles, cells of less conductance or of more levels, or thicker wires",
            )


def _parts(share: float) -> str:
    return f"up to {share:.1%} of" if share < 1 else f"up to {share:,.0f} times"
