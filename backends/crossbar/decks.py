"""The tiles of a design in SPICE, as they are meant to be: a deck each for ``ngspice -b``."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterator
from typing import Any, Final

from ...ir.diagnostics import Diagnostics
from .converters import Ranges, converter_of
from .curve import curve_of
from .design import Design, Electrics
from .layout import Scheme, Signs, Tile
from .spice import deck

# Decks are text, a hundred bytes or more a cell: those of more cells are made where asked for.
FEW: Final = 1 << 14
_WIDTH: Final = 96


def wanted_decks(
    found: Design, told: Diagnostics | None = None, unconverted: Collection[str] = ()
) -> dict[str, bytes]:
    """The decks that go with a design: all that are asked for, else all of ``FEW`` cells or none.

    ``told`` hears of those that are left out (N1331); ``unconverted`` is ``chip.Chip``'s.
    """
    wanted = found.conditions.decks
    if wanted or (wanted is None and found.cells <= FEW):
        return tile_decks(found, unconverted)
    if wanted is None and told is not None:
        told.add(
            "N1331",
            f"the tiles have {found.cells:,} cells, and no decks: without being asked for they are "
            f"made for {FEW:,} at most",
            hint="compile with --condition decks=on",
        )
    return {}


def tile_decks(found: Design, unconverted: Collection[str] = ()) -> dict[str, bytes]:
    """``tiles/PROJECTION-K.cir`` of each tile k: target conductances, and every word line spikes.

    Behind its bit lines are the converters of its layer, if it has any that are not ideal.
    """
    electrics, ranges = found.electrics, Ranges(found)
    files = {}
    for k, (tile, target) in enumerate(zip(found.tiles, found.targets, strict=True)):
        scheme = found.layer(tile).scheme
        circuit = electrics.circuit(target)
        spikes = tile.row >= 0
        full = None if tile.projection in unconverted else ranges.of(tile.projection)
        text = deck(
            circuit,
            electrics.voltage * spikes,
            spikes if electrics.gated else None,
            curve_of(electrics.device, target),
            converter=converter_of(scheme, electrics, full),
            notes=_notes(k, tile, scheme, electrics, found),
        )
        # Whatever a projection is called: the number tells tiles apart.
        name = re.sub(r"[^A-Za-z0-9_.]+", "_", tile.projection)
        files[f"tiles/{name}-{k}.cir"] = text.encode()
    return files


def _notes(
    k: int, tile: Tile, scheme: Scheme, electrics: Electrics, found: Design
) -> Iterator[str]:
    name = ascii(tile.projection)
    yield f"Tile {k}, of the projection {name}, for the macro '{found.macro.name}': cells as they"
    yield "are meant to be, before they are programmed."
    yield f"Each word line spikes: its vd<i> is {electrics.voltage:g} V. Of a silent one it is 0,"
    if electrics.gated:
        yield "and its cells are cut off: leave out rc<i>_<j> and bc<i>_<j>."
    else:
        yield "and its cells conduct."
    yield from _numbers("Rows of its matrix on word lines, -1 where there is none:", tile.row)
    lines = f"{scheme.width} bit lines"
    yield from _numbers(f"Columns of it in groups of {lines}, -1 for spares:", tile.column)
    if tile.flipped.any():
        yield from _numbers("1: the sides of the group are swapped:", tile.flipped.astype(int))
    if scheme.signs is Signs.DIFFERENTIAL:
        yield "In a group slice by slice, the least first, the plus side before the minus side."
    else:
        yield f"In a group slice by slice, the least first; in front {scheme.shared} of the offset."


def _numbers(what: str, numbers: Any) -> list[str]:
    said = " ".join(map(str, numbers.tolist()))
    return [what, *textwrap.wrap(said, _WIDTH, initial_indent="  ", subsequent_indent="  ")]
