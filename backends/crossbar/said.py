"""Conditions as they were said: looked at before long work, and named for tables and axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from ...boards.macro import Macro
from ...compiler.artifact import Artifact
from ...compiler.backend import Condition
from .conditions import TIMES, Conditions
from .design import Electrics
from .device import chip_rng, fabricate, noise

_TITLES: Final[Mapping[str, str]] = {
    "age": "time since programming (s)",
    "wire": "wire resistance (ohm a segment)",
    "temperature": "temperature of the wires (K)",
    "levels": "levels of a cell",
    "stuck": "stuck cells (%)",
    "adc_bits": "converters (bits)",
    "verify": "tries of write-verify",
    "slice_bits": "bits of a cell",
    "tile": "largest side of a tile (cells)",
    "spares": "spare groups of columns a tile",
}
_LOGARITHMIC: Final = ("age", "levels")
_UNITS: Final[Mapping[str, str]] = {"wire": " ohm", "temperature": " K"}
# The units that a time is said in, the longest first.
_TIMES: Final = tuple(
    (unit, TIMES[unit]) for unit in ("year", "month", "week", "day", "h", "min", "s", "ms")
)


def conditions_said(
    artifact: Artifact, words: Sequence[str], macro: Macro
) -> tuple[Condition, ...]:
    """``KEY=VALUE`` words on an artefact; E1320 for what is none, E1310 where there are no data.

    A cell is made and read under all of them, so that what its device does not know is told.
    """
    compiled = Conditions(**artifact.manifest["emission"]["conditions"])
    every = compiled.but(words)
    device = Electrics.of(macro, every).device
    noise(fabricate(device, np.full((1, 1), device.g_max.value), chip_rng(0)), every.age)
    return tuple(_said(word) for word in words)


def _said(word: str) -> Condition:
    name = word.partition("=")[0].strip().replace("-", "_")
    value = getattr(Conditions().but([word]), name)
    return Condition(
        name=name,
        text=_text(value),
        shown=_shown(name, value),
        number=_number(name, value),
        title=_TITLES.get(name, name.replace("_", " ")),
        logarithmic=name in _LOGARITHMIC,
    )


def _number(name: str, value: Any) -> float | None:
    # Of converters, 0 is the ideal one.
    if isinstance(value, bool | str | None) or (name, value) == ("adc_bits", 0):
        return None
    return 100.0 * value if name == "stuck" else float(value)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{int(value)}" if isinstance(value, float) and value.is_integer() else f"{value}"


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "just after" if name == "age" else "as the macro"
    if (name, value) == ("adc_bits", 0):
        return "ideal"
    if name == "stuck":
        return f"{100 * value:g} %"
    if name == "age":
        # The largest unit that it is a short number of.
        exact = (u for u in _TIMES if value >= u[1] and value / u[1] == round(value / u[1], 2))
        unit, seconds = next(exact, ("s", 1.0))
        return f"{value / seconds:g} {unit}"
    return f"{_text(value)}{_UNITS.get(name, '')}"
