"""Membranes of readouts, read over the wire after each step: by itself a board sends spikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...hdl.cluster_shape import CORE_SHIFT
from ...hdl.shape import CoreShape, Memory, index_bits
from .cluster import Lowered, LoweredCluster
from .host import Run, Script, read_memory

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of the potentials of one core, whose neurons count from ``base``."""

    shape: CoreShape
    number: int
    base: int
    first: int
    count: int

    @property
    def addresses(self) -> range:
        """Where the host finds them; parts of a row that there are not are read with the others."""
        bits = index_bits(self.shape.parts(Memory.POTENTIALS))
        return range(self.first << bits, ((self.first + self.count - 1) << bits) + self._parts)

    @property
    def neurons(self) -> range:
        """The neurons in them."""
        units = self.shape.units
        first = self.base + self.first * units
        return range(first, first + self.count * units)

    @property
    def _parts(self) -> int:
        return self.shape.parts(Memory.POTENTIALS)

    def unpacked(self, data: npt.NDArray[np.uint8]) -> Integers:
        """Potentials (..., neurons) of the bytes (..., addresses * bytes a word)."""
        shape, parts = self.shape, self._parts
        width = shape.word_bits(Memory.POTENTIALS)
        words = data.reshape(*data.shape[:-1], len(self.addresses), -1)
        bits = np.unpackbits(words, axis=-1, bitorder="little")[..., :width]
        places = np.arange(self.count)[:, None] << index_bits(parts)
        rows = bits[..., places + np.arange(parts), :]
        rows = rows.reshape(*rows.shape[:-2], -1)[..., : shape.units * shape.state_bits]
        each = rows.reshape(*rows.shape[:-2], -1, shape.state_bits).astype(np.int64)
        values: Integers = each @ (1 << np.arange(shape.state_bits, dtype=np.int64))
        return values - (each[..., -1] << shape.state_bits)


@dataclass(frozen=True)
class Readout:
    """What to read after each step of a core for the potentials of some populations."""

    rows: tuple[Rows, ...]
    script: Script
    neurons: int

    @classmethod
    def of(cls, core: Lowered, populations: Sequence[str]) -> Readout:
        """Of ``populations``; the script is empty if there are none."""
        found = [core.placement.places(core.graph.population(name)) for name in populations]
        neurons = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
        shapes: Sequence[CoreShape]
        if isinstance(core, LoweredCluster):
            shapes, bases = core.shape.cores, core.shape.bases
        else:
            shapes, bases = (core.shape,), (0,)
        rows: list[Rows] = []
        script = Script(b"", 0)
        for at, (shape, base) in enumerate(zip(shapes, bases, strict=True)):
            own = neurons[(neurons >= base) & (neurons < base + shape.neurons)] - base
            needed = np.unique(own // shape.units)
            for run in np.split(needed, np.flatnonzero(np.diff(needed) != 1) + 1):
                if not run.size:
                    continue
                number = at << CORE_SHIFT | Memory.POTENTIALS
                rows.append(Rows(shape, number, base, int(run[0]), run.size))
                script += read_memory(core.shape, number, rows[-1].addresses)
        return cls(tuple(rows), script, core.shape.neurons)

    def potentials(self, run: Run) -> Integers:
        """Potentials (samples, steps, neurons) after each step; zero where they were not read."""
        found = np.zeros((run.samples, run.steps, self.neurons), np.int64)
        at = 0
        for rows in self.rows:
            size = len(rows.addresses) * rows.shape.word_bytes(Memory.POTENTIALS)
            found[..., list(rows.neurons)] = rows.unpacked(run.read[..., at : at + size])
            at += size
        return found
