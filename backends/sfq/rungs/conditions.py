r"""What a chip is run under: corners of its process, spread, temperature, and pulses off time.

A chip has a number. Each of its elements has the value

.. math:: v = v_0\, c_k\, (1 + \sigma n)\, (1 + \Sigma N),

with the corner :math:`c_k` of its kind, n normal of its own and, of biases, N normal of the chip,
all of the number alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ....boards.process import Process
from ....compiler.artifact import Artifact
from ....compiler.backend import Condition, key_value, no_value
from ....ir.diagnostics import fail
from ....ir.records import Record
from ..cells.chance import KIND
from ..josephson.circuit import Circuit
from ..josephson.margins import KINDS, Spread, kinds
from ..synthesis.files import read_program
from ..synthesis.synthesise import Program

Floats = npt.NDArray[np.float64]
PROCESS: Final = "process"
# Of all draws, beside the number of a chip.
_SEED: Final = 0
# Niobium is no superconductor above.
_HOT: Final = 9.2
_MOST: Final = 1e-9  # s of skew, whatever the program allows
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    **dict.fromkeys(KINDS, (0.05, 10.0)),
    "spread": (0.0, 1.0),
    "bias_spread": (0.0, 1.0),
    "temperature": (0.0, _HOT),
    "skew": (0.0, _MOST),
}
_TITLES: Final[Mapping[str, str]] = {
    "bias": "all biases (% of nominal)",
    "areas": "areas of all junctions (% of nominal)",
    "inductances": "all inductances (% of nominal)",
    "resistors": "all resistors (% of nominal)",
    "spread": "spread of every element (%)",
    "bias_spread": "spread of the chip's bias (%)",
    "temperature": "temperature of the resistors (K)",
    "skew": "skew of input pulses (ps)",
}
# What is said with a unit, and how much of an SI unit that is.
_UNITS: Final[Mapping[str, tuple[str, float]]] = {"temperature": ("K", 1.0), "skew": ("ps", 1e-12)}


@dataclass(frozen=True)
class Conditions(Record):
    """The corner of a chip, and what is drawn of it; E1490 for values that none has.

    ``bias``, ``areas``, ``inductances`` and ``resistors`` are factors of all of a kind. ``spread``
    is the standard deviation of each element, a part of its value, ``None`` the process's own;
    ``bias_spread`` that of all biases of a chip together, ``None`` as much as ``spread`` is, and
    none with the process's. ``temperature`` in K is that of all resistors, whose noise it makes,
    ``None`` the process's where chance has a part in the network and 0 elsewhere. Every input
    pulse is early or late by chance up to ``skew`` s, on all chips alike.
    """

    bias: float = 1.0
    areas: float = 1.0
    inductances: float = 1.0
    resistors: float = 1.0
    spread: float | None = 0.0
    bias_spread: float | None = None
    temperature: float | None = None
    skew: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise fail(
                    "E1490",
                    f"{name} is {_shown(name, value)}",
                    hint=f"it is from {_shown(name, low)} to {_shown(name, high)}",
                )

    @classmethod
    def of(cls, words: Iterable[str]) -> Conditions:
        """The conditions of ``("bias=0.9", "spread=2%")``; E1490 for what is none."""
        said: dict[str, Any] = dict(map(_read, words))
        return cls(**said)

    @property
    def factors(self) -> dict[str, float]:
        """Of each kind the factor of all its elements."""
        return {kind: getattr(self, kind) for kind in KINDS}

    def drawn(self, process: Process) -> Spread:
        """How chips differ from each other."""
        if self.spread is None:
            return Spread(Spread.of(process).element, {"bias": self.bias_spread or 0.0})
        chip = self.spread if self.bias_spread is None else self.bias_spread
        return Spread(dict.fromkeys(KINDS, self.spread), {"bias": chip})

    def chips(self, circuit: Circuit, process: Process, seeds: Sequence[int]) -> dict[str, Floats]:
        """Factors of elements of the chips with these numbers, (chips,) each."""
        out = self.drawn(process).draw(circuit, seeds, _SEED)
        for kind, group in kinds(circuit).items():
            if self.factors[kind] != 1.0:
                for name in group:
                    out[name] = out.get(name, np.ones(len(seeds))) * self.factors[kind]
        return out

    def check(self, program: Program) -> None:
        """E1490 for a skew that the clocks of a program do not wait for."""
        if self.skew > program.skew * (1 + 1e-9):
            most = _shown("skew", program.skew)
            raise fail(
                "E1490",
                f"skew is {_shown('skew', self.skew)}; clocks of this network wait for {most}",
                hint=f"it is from 0 to {most}",
            )

    def kelvin(self, program: Program, process: Process) -> float:
        """The temperature of all resistors; 0 where noise is not asked for and decides nothing."""
        if self.temperature is not None:
            return self.temperature
        return process.temperature.value if KIND in program.netlist.counts else 0.0

    def late(self, program: Program, samples: int, steps: int) -> dict[str, Floats] | None:
        """What each input's pulses are behind their time, (samples, steps, lines) in s."""
        if not self.skew:
            return None
        rng = np.random.default_rng(_SEED)
        return {
            name: rng.uniform(-self.skew, self.skew, (samples, steps, len(nets)))
            for name, nets in program.inputs.items()
        }


def conditions_said(artifact: Artifact, words: Sequence[str]) -> tuple[Condition, ...]:
    """Words as conditions; E1490 for what is none, or is more than the program's clocks allow."""
    Conditions.of(words).check(read_program(artifact))
    return tuple(_said(word) for word in words)


def _said(word: str) -> Condition:
    name, value = _read(word)
    percent = 100.0 if "%" in _TITLES[name] else 1.0 / _UNITS[name][1]
    return Condition(
        name=name,
        text=PROCESS if value is None else f"{value:.12g}",
        shown=_shown(name, value),
        number=None if value is None else round(percent * value, 9),
        title=_TITLES[name],
    )


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return "as the process"
    if name in _UNITS:
        unit, size = _UNITS[name]
        return f"{value / size:g} {unit}"
    return f"{value:g}" if name in KINDS else f"{100 * value:g} %"


def _read(word: str) -> tuple[str, float | None]:
    """One ``KEY=VALUE`` as a name and a value."""
    names = (f.name for f in dataclasses.fields(Conditions))
    name, text = key_value(word, names, "E1490", " of SFQ circuits")
    if name == "spread" and text == PROCESS:
        return name, None
    try:
        return name, _number(name, text)
    except ValueError:
        raise no_value(name, text, "E1490", _takes(name)) from None


def _number(name: str, text: str) -> float:
    if text.endswith("%"):
        if name in _UNITS:
            raise ValueError(text)
        return float(text[:-1]) / 100
    unit, size = _UNITS.get(name, ("", 1.0))
    if unit and text.endswith(unit):
        return float(text.removesuffix(unit)) * size
    return float(text)


def _takes(name: str) -> str:
    """What the value of a condition is, for people."""
    if name == "spread":
        return f"a number as 0.02, 2%, or '{PROCESS}'"
    if name in _UNITS:
        unit, size = _UNITS[name]
        return f"a number as 4{unit}" + (f", or of seconds as {4 * size:g}" if size < 1 else "")
    return "a number as 0.9, or 90%"
