"""What makes numbers of a tile's currents: its converters, and the range that they take in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import Diagnostics
from ...ir.records import Record, frozen_array
from .curve import chord
from .design import Design, Electrics
from .layout import Scheme, Signs, Tile

Floats = npt.NDArray[np.float64]

# Of what columns carry, the share that the range of a converter takes in.
_PERCENTILE: Final = 99.9


@dataclass(frozen=True, eq=False)
class Converter(Record):
    r"""The ideal converters of bit lines' currents, or of the differences of pairs, to numbers.

    .. math::
        \mathrm{code} = \min(\max(\lfloor I / \mathrm{lsb} + 1/2 \rfloor, 0), 2^{bits} - 1)

    With ``pairs`` I is the current of an even bit line less that of the odd one behind it, and
    codes are from :math:`1 - 2^{bits-1}` to :math:`2^{bits-1} - 1`; one bit has 0 and 1. ``lsb`` in
    A, one or as many as converters take turns with; 1 V of the node ``code<k>`` is 1.
    """

    lsb: Any
    bits: int
    pairs: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "lsb", frozen_array(np.atleast_1d(self.lsb), np.float64))
        found = Diagnostics()
        for lsb in self.lsb:
            if not 0 < lsb < np.inf:
                found.add("E1301", f"a converter's step is {lsb} A")
        if not 1 <= self.bits <= 32:
            found.add("E1301", f"a converter has {self.bits} bits", hint="give 1 to 32")
        found.raise_errors()

    @property
    def low(self) -> int:
        """The lowest code."""
        return 1 - (1 << (self.bits - 1)) if self.pairs else 0

    @property
    def high(self) -> int:
        """The highest code."""
        return max((1 << (self.bits - self.pairs)) - 1, 1)


def converter_of(scheme: Scheme, electrics: Electrics, full: Floats | None) -> Converter | None:
    """The converters of a layer whose ranges are ``full``, a step a slice; ``None``: ideal ones.

    Without ranges there are none, either.
    """
    if electrics.adc_bits is None or full is None:
        return None
    pairs = scheme.signs is Signs.DIFFERENTIAL
    one = Converter(1.0, electrics.adc_bits, pairs)
    return replace(one, lsb=np.where(full > 0, full, 1.0) / one.high)


class Ranges:
    """The range of the converters of each layer, in A: what its probes need on ideal cells."""

    def __init__(self, design: Design) -> None:
        self._design, self._known = design, dict[str, Floats]()

    def of(self, name: str) -> Floats:
        """The largest current that is not cut off, of each slice, (slices,)."""
        if name not in self._known:
            design = self._design
            scheme, electrics = design.layers[name].scheme, design.electrics
            parts = []
            for tile, target in zip(design.tiles, design.targets, strict=True):
                if tile.projection == name:
                    layer = design.layer(tile)
                    seen = np.minimum(np.abs(layer.seen(tile)), 1)
                    chords = chord(electrics.device, target, electrics.voltage)
                    currents = electrics.voltage * (seen @ chords)
                    parts.append(channels_of(currents, tile, scheme))
            self._known[name] = full_range(parts)
        return self._known[name]


def full_range(seen: list[Floats]) -> Floats:
    """The range that takes in nearly all of what was seen (vectors, channels, slices)."""
    flat = np.concatenate([np.abs(one).reshape(-1, one.shape[-1]) for one in seen])
    return np.asarray(np.percentile(flat, _PERCENTILE, axis=0))


def channels_of(currents: Floats, tile: Tile, scheme: Scheme) -> Floats:
    """What converters see of the currents (vectors, bit lines): (vectors, channels, slices).

    Of pairs their difference; else each column, those of the offset first.
    """
    if scheme.signs is Signs.OFFSET:
        return currents.reshape(len(currents), -1, scheme.slices)
    sides = currents.reshape(len(currents), tile.groups, scheme.slices, 2)
    return np.asarray(sides[..., 0] - sides[..., 1])
