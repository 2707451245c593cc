"""What a chip is run under, and what is done about it: the knobs of a design and of a run."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ...compiler.backend import key_value, no_value
from ...ir.diagnostics import fail
from ...ir.records import Record
from .layout import Signs


class Membranes(StrEnum):
    """What integrates the sums of a population: logic behind converters, or capacitors."""

    DIGITAL = "digital"
    ANALOGUE = "analogue"


TIMES: Final[Mapping[str, float]] = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "day": 86400.0,
    "days": 86400.0,
    "week": 604800.0,
    "month": 2629800.0,
    "year": 31557600.0,
}
_NONE: Final = ("none", "ideal")
_DURATIONS: Final = ("age", "ngspice_time")


@dataclass(frozen=True)
class Conditions(Record):
    """The electrical conditions of a run and the counter-measures; ``None``: as the macro says.

    ``age`` s after programming (``None``: just after) · ``wire`` ohm a segment of both lines ·
    ``temperature`` K, of the wires · ``levels`` a cell can be programmed to · ``stuck`` share of
    stuck cells, split in the macro's ratio, evenly where it has none · ``adc_bits`` of the
    converters, 0 for ideal ones · ``gated``: whether cells of silent rows are cut off.

    ``programming``, ``drift`` and ``read_noise`` switch errors of the device off. ``verify``: how
    often a cell that is further than half a digit from its target is programmed again.
    ``compensate`` solves T(G) = W, ``calibrate`` fits a gain and an offset to each column,
    ``remap`` goes around stuck cells, ``order`` puts the lines of most current next to drivers and
    sense amplifiers. ``signs``, ``slice_bits`` (a cell), ``tile`` (its largest side), ``mixed``
    (whether tiles may be smaller) and ``spares`` (groups of columns a tile) are of the mapping.

    ``ngspice_time``: how many s ngspice may take for a run, by what is reckoned beforehand.
    ``decks``: whether the artefact has SPICE decks of its tiles (``None``: of small designs).

    ``neuron``: whether spiking neurons are ``digital`` or ``analogue``, see ``membranes``, and
    ``comparator_offset`` the standard deviation of analogue thresholds in parts of them.
    """

    age: float | None = None
    wire: float | None = None
    temperature: float = 300.0
    levels: int | None = None
    stuck: float | None = None
    adc_bits: int | None = None
    gated: bool | None = None
    programming: bool = True
    drift: bool = True
    read_noise: bool = True
    verify: int = 0
    compensate: bool = True
    calibrate: bool = True
    remap: bool = True
    order: bool = True
    signs: Signs = Signs.DIFFERENTIAL
    slice_bits: int | None = None
    tile: int | None = None
    mixed: bool = True
    spares: int | None = None
    ngspice_time: float = 600.0
    decks: bool | None = None
    neuron: Membranes = Membranes.DIGITAL
    comparator_offset: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "signs", Signs(self.signs))
        object.__setattr__(self, "neuron", Membranes(self.neuron))
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise fail("E1320", f"{name} is {value:g}; it is from {low:g} to {high:g}")
        if self.comparator_offset and self.neuron is Membranes.DIGITAL:
            raise fail(
                "E1320",
                "digital neurons have no comparator_offset",
                hint="give neuron=analogue, too",
            )

    def but(self, words: Iterable[str]) -> Conditions:
        """These conditions with ``("wire=1", "age=1day")``; E1320 for what is none."""
        return dataclasses.replace(self, **dict(map(_read, words)))

    @property
    def said(self) -> dict[str, Any]:
        """What is not the usual, as JSON-ready data."""
        usual = Conditions()
        every = ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self))
        return {
            name: str(value) if isinstance(value, StrEnum) else value
            for name, value in every
            if value != getattr(usual, name)
        }


_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "age": (0, 1e10),
    "wire": (0, 1e6),
    "temperature": (100, 600),
    "levels": (2, 1 << 16),
    "stuck": (0, 1),
    "adc_bits": (0, 16),
    "verify": (0, 1000),
    "slice_bits": (1, 16),
    "tile": (2, 4096),
    "spares": (0, 4096),
    "ngspice_time": (0, 1e10),
    "comparator_offset": (0, 1),
}


def _read(word: str) -> tuple[str, Any]:
    """One ``KEY=VALUE`` as a name and a value."""
    every = typing.get_type_hints(Conditions)
    hints = {f.name: every[f.name] for f in dataclasses.fields(Conditions)}
    name, text = key_value(word, hints, "E1320")
    kinds = typing.get_args(hints[name]) or (hints[name],)
    low = text.lower()
    if type(None) in kinds and low in _NONE:
        return name, 0 if name == "adc_bits" else None
    try:
        if name in _DURATIONS:
            return name, _seconds(low)
        if bool in kinds:
            return name, {"on": True, "true": True, "off": False, "false": False}[low]
        if issubclass(kinds[0], StrEnum):
            return name, kinds[0](low)
        return name, int(text) if int in kinds else _share(text)
    except (ValueError, KeyError):
        takes = {bool: "on or off", int: "a whole number"}
        takes |= {words: " or ".join(words) for words in (Signs, Membranes)}
        what = "a time as 20s or 1day" if name in _DURATIONS else takes.get(kinds[0], "a number")
        raise no_value(name, text, "E1320", what) from None


def _seconds(text: str) -> float:
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text[len(number) :] or "s"
    return float(number) * TIMES[unit]


def _share(text: str) -> float:
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)
