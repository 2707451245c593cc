r"""One chip: a design in cells of its own, and the weighted sums that it gives.

A chip is brought up as its owner would: its stuck cells are found, rows and columns go around them,
what is left is programmed to the targets, and a range of the converters, a gain and an offset are
fitted to each column with vectors whose sums are known. A read of a tile then is

.. math::
    y_g = a_g \sum_k B^k\, q(I^+_{gk} - I^-_{gk}) \frac{B - 1}{V (G_1 - G_0)\, \alpha_g} + b_g

with the exact currents I behind the wires, q the converter. A count of n is n pulses, one read
each. Noise that is the same from read to read (1/f, counted since programming) is drawn once a
cell; other noise is white, and reaches the bit lines as ``currents`` has it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...boards.device import Flicker
from ...compiler.backend import Progress, no_progress
from .converters import Ranges, channels_of, converter_of, full_range
from .currents import currents_of
from .curve import chord, curve_of
from .design import Design, Electrics, Layer, aimed
from .device import Cells, Verify, age, chip_rng, fabricate, noise
from .layout import Block, Signs, Tile
from .operating import Operated, find_all
from .remap import remapped

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# Random numbers of reads, and of noise that stays, besides those of the tiles.
_READS: Final = 1 << 20
_SLOW: Final = 1 << 21


@dataclass(frozen=True, eq=False)
class Fabricated:
    """A tile of a chip: where its weights went, its cells, and what they were meant to be.

    ``slow`` (word lines, bit lines) is the deviation of each cell's 1/f noise, of spread 1.
    """

    tile: Tile
    cells: Cells
    alpha: Floats
    number: int
    slow: Floats


class Chip:
    """A design brought up on the chip ``seed``, read ``conditions.age`` after programming.

    With ``spice`` the currents of its reads are those of ngspice's operating points, once it is
    brought up: gains and offsets of the same chip do not depend on who solves it. The projections
    in ``unconverted`` have no converters. Codes as `device.age`, `nonlinear.NonlinearSolver` and
    `spice.operating_points` raise them.
    """

    def __init__(
        self,
        design: Design,
        seed: int,
        progress: Progress = no_progress,
        *,
        spice: bool = False,
        unconverted: Collection[str] = (),
    ) -> None:
        self.design, self.seed = design, seed
        self.electrics = design.electrics
        self.tiles = []
        self._operated: list[Operated] = []
        self._reads = reads = chip_rng(seed, _READS)
        readers: dict[str, list[Reader]] = {}
        ranges = Ranges(design)
        for number, fabricated in enumerate(self._fabricated()):
            layer = design.layer(fabricated.tile)
            name = fabricated.tile.projection
            full = None if name in unconverted else ranges.of(name)
            reader = Reader(fabricated, layer, design, full, reads)
            self.tiles.append(reader)
            readers.setdefault(name, []).append(reader)
            progress("chip", (number + 1) / len(design.tiles))
        self._readers = readers
        if design.conditions.calibrate:
            self.set_ranges()
            for reader in self.tiles:
                reader.calibrate()
        if spice:
            self._operated = [reader.operate() for reader in self.tiles]

    def sums(self, units: Mapping[str, int] | None = None) -> Mapping[str, Sums]:
        """What adds the sums of each projection, for the integer executor.

        ``units``: how many units of its accumulators a unit of a weight is, where it is not one.
        """
        return {
            name: Sums(self.design.layers[name], readers, (units or {}).get(name, 1))
            for name, readers in self._readers.items()
        }

    def set_ranges(self) -> None:
        """Give converters, layer by layer, the range that the probes need on this very chip."""
        for readers in self._readers.values():
            if readers[0].converts:
                full = full_range([reader.seen() for reader in readers])
                for reader in readers:
                    reader.set_range(full)

    @contextlib.contextmanager
    def rehearsal(self) -> Iterator[None]:
        """With ``spice``: reads inside are the solvers', and note what they ask for.

        The noise of reads is behind it what it was before.
        """
        before = self._reads.bit_generator.state
        for tile in self._operated:
            tile.rehearsing = True
        try:
            yield
        finally:
            for tile in self._operated:
                tile.rehearsing = False
            self._reads.bit_generator.state = before

    def operate(self, progress: Progress = no_progress) -> None:
        """Have ngspice find what was noted; E1330 where that takes too long."""
        find_all(self._operated, self.design.conditions.ngspice_time, progress)

    @property
    def stuck(self) -> int:
        """Stuck cells."""
        return sum(int((t.cells.on | t.cells.off).sum()) for t in (r.made for r in self.tiles))

    def _fabricated(self) -> Iterator[Fabricated]:
        """The tiles as they come out, each from random numbers of its own."""
        design, electrics, conditions = self.design, self.electrics, self.design.conditions
        device = electrics.device
        for number, tile in enumerate(design.tiles):
            layer, target = design.layer(tile), design.targets[number]
            alpha = design.alphas[number]
            digit = (electrics.high - electrics.low) / (layer.scheme.base - 1)
            verify = Verify(digit / 2, conditions.verify) if conditions.verify else None

            def made(goal: Floats, number: int = number, verify: Verify | None = verify) -> Cells:
                return fabricate(
                    device,
                    np.clip(goal, device.g_min.value, device.g_max.value),
                    chip_rng(self.seed, number),
                    verify=verify,
                    stuck_on=electrics.stuck_on,
                    stuck_off=electrics.stuck_off,
                )

            cells = made(target)
            if conditions.remap and (cells.on | cells.off).any():
                at = np.where(cells.on, device.g_max.value, device.g_min.value)
                stuck = np.where(cells.on | cells.off, at, np.nan)
                tile = _around(tile, layer, electrics, stuck)
                target, alpha, _ = aimed(tile, layer, electrics, conditions, stuck)
                cells = made(target)
            slow = chip_rng(self.seed, _SLOW + number).standard_normal(cells.target.shape)
            yield Fabricated(tile, cells, alpha, number, slow)


def _around(tile: Tile, layer: Layer, electrics: Electrics, stuck: Floats) -> Tile:
    scheme = layer.scheme
    chords = chord(electrics.device, np.nan_to_num(stuck), electrics.voltage)
    digit = (chords - electrics.low) / (electrics.high - electrics.low) * (scheme.base - 1)
    return remapped(
        tile, layer.blocks[tile.block], scheme, np.where(np.isnan(stuck), np.nan, digit)
    )


class Reader:
    """Reads one tile of a chip."""

    def __init__(
        self,
        made: Fabricated,
        layer: Layer,
        design: Design,
        full: Floats | None,
        rng: np.random.Generator,
    ) -> None:
        self.made, self._layer, self._rng = made, layer, rng
        tile, scheme, electrics = made.tile, layer.scheme, design.electrics
        conditions = design.conditions
        self._scheme, self._electrics = scheme, electrics
        device = electrics.device
        siemens = age(made.cells, conditions.age)
        sigma = noise(made.cells, conditions.age)
        if isinstance(device.read, Flicker):
            # What 1/f noise has come to since programming hardly changes during a run.
            siemens, sigma = np.maximum(siemens + sigma * made.slow, 0.0), np.zeros_like(sigma)
        self.siemens, self.circuit = siemens, electrics.circuit(siemens)
        self._currents = currents_of(self.circuit, sigma, electrics)
        self._noisy = bool(sigma.any())
        self._converter = converter_of(scheme, electrics, full)
        unit = electrics.voltage * (electrics.high - electrics.low) / (scheme.base - 1)
        self._units = 1.0 / (unit * made.alpha)
        self._flips = np.where(tile.flipped, -1.0, 1.0)
        self.gain, self.offset = np.ones(tile.groups), np.zeros(tile.groups)

    @property
    def tile(self) -> Tile:
        """Where its weights are."""
        return self.made.tile

    @property
    def converts(self) -> bool:
        """Whether it has converters that round."""
        return self._converter is not None

    def seen(self) -> Floats:
        """What the converters see of the probes, without noise: (vectors, channels, slices)."""
        probes = np.clip(self._layer.seen(self.tile), -1, 1)
        currents, _ = self._currents(probes[probes.any(axis=1)], False)
        return channels_of(currents, self.tile, self._scheme)

    def set_range(self, full: Floats) -> None:
        """Give the converters of each slice a range up to ``full``, (slices,) in A."""
        self._converter = converter_of(self._scheme, self._electrics, full)

    def __call__(self, counts: Integers) -> Floats:
        """The sums (vectors, groups) of counts (vectors, word lines), in units of a weight."""
        most = int(np.abs(counts).max(initial=0))
        if most == 0:
            return np.zeros((len(counts), self.tile.groups))
        pulse = np.arange(1, most + 1)[:, None, None]
        x = np.sign(counts) * (np.abs(counts) >= pulse)
        reads = self._read(x.reshape(-1, counts.shape[1]))
        return np.asarray(reads.reshape(len(x), len(counts), -1).sum(axis=0))

    def codes(self, pulses: Integers) -> Floats:
        """What the converters say of pulses (vectors, word lines): (vectors, channels, slices).

        In steps of the converter, in A where it is ideal.
        """
        currents, variance = self._currents(pulses, self._noisy)
        channels = channels_of(currents, self.tile, self._scheme)
        if self._noisy:
            if self._scheme.signs is Signs.DIFFERENTIAL:
                shape = (len(currents), self.tile.groups, self._scheme.slices, 2)
                spread = variance.reshape(shape).sum(axis=-1)
            else:
                spread = variance.reshape(channels.shape)
            channels = channels + np.sqrt(spread) * self._rng.standard_normal(channels.shape)
        converter = self._converter
        if converter is None:
            return channels
        return np.asarray(np.clip(np.rint(channels / converter.lsb), converter.low, converter.high))

    def _read(self, pulses: Integers) -> Floats:
        codes = self.codes(pulses)
        channels = codes if self._converter is None else codes * self._converter.lsb
        scheme = self._scheme
        if scheme.signs is Signs.OFFSET:
            channels = channels[:, 1:] - channels[:, :1]
        value = (channels * scheme.significance).sum(axis=-1) * self._units * self._flips
        seen = np.any(pulses, axis=1, keepdims=True)
        return np.asarray(self.gain * value + self.offset * seen)

    def operate(self) -> Operated:
        """Take the currents from ngspice from here on."""
        electrics = self._electrics
        curve = curve_of(electrics.device, self.siemens)
        found = Operated(
            self.circuit, curve, electrics.voltage, electrics.gated, model=self._currents
        )
        self._currents = found
        return found

    def calibrate(self) -> None:
        """Fit gain and offset of each group to the probes, least squares."""
        x = np.clip(self._layer.seen(self.tile), -1, 1)
        x = x[x.any(axis=1)]
        if len(x) < 2:
            return
        measured = self._read(x)
        true = x @ self.tile.weight(self._layer.blocks[self.tile.block])
        mean, right = measured.mean(axis=0), true.mean(axis=0)
        spread = ((measured - mean) ** 2).sum(axis=0)
        together = ((measured - mean) * (true - right)).sum(axis=0)
        usable = (self.tile.column >= 0) & (spread > 0) & (together > 0)
        gain = np.where(usable, together / np.where(spread > 0, spread, 1.0), 1.0)
        self.gain = gain
        self.offset = np.where(usable, right - gain * mean, 0.0)


class Sums:
    """Adds the sums of one projection to accumulators, in place of its integer weights."""

    def __init__(self, layer: Layer, readers: list[Reader], unit: int = 1) -> None:
        self._unit = unit
        self._blocks: list[tuple[Block, list[Reader]]] = [
            (block, [r for r in readers if r.tile.block == k])
            for k, block in enumerate(layer.blocks)
        ]
        self._nonzero = [
            (block.pre, np.count_nonzero(block.weight, axis=1)) for block, _ in self._blocks
        ]

    def __call__(self, index: Any, value: Any, count: int, accumulators: Any) -> int:
        """Add what ``count`` events do, rounded to whole units; the synaptic operations."""
        operations = 0
        for (block, readers), (pre, fan_out) in zip(self._blocks, self._nonzero, strict=True):
            # One more than there are: what is -1 reads the last, which is silent.
            x = np.zeros(max(int(pre.max()), int(index[:count].max())) + 2, np.int64)
            x[index[:count]] = value[:count]
            vectors = x[pre]
            seen = np.flatnonzero(vectors.any(axis=1))
            if not seen.size:
                continue
            padded = np.pad(vectors[seen], ((0, 0), (0, 1)))
            total = np.zeros((seen.size, block.weight.shape[1] + 1))
            for reader in readers:
                total[:, reader.tile.column] += reader(padded[:, reader.tile.row])
            whole = np.rint(total[:, :-1] * self._unit).astype(np.int64)
            np.add.at(accumulators, block.post[seen], whole)
            operations += int(((vectors != 0) @ fan_out).sum())
        return operations
