"""A number that knows its unit, where it is written and how it was obtained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

Obtained = Literal["measured", "simulated", "fitted", "stated", "recalled"]
OBTAINED: Final[tuple[str, ...]] = ("measured", "simulated", "fitted", "stated", "recalled")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit, its source and how it was obtained.

    ``unit`` is an SI unit or the thing counted (``"cells"``, ``"blocks"``, ``"bits"``).
    ``obtained`` is ``stated`` where the source states it and nobody tried it here, ``recalled``
    where it is remembered, inferred or assumed.
    """

    value: float
    unit: str
    source: str
    obtained: Obtained

    def __str__(self) -> str:
        number = int(self.value) if self.value == int(self.value) else self.value
        return f"{number} {self.unit} ({self.obtained}: {self.source})"


_PREFIXES: Final = {
    -18: "a",
    -15: "f",
    -12: "p",
    -9: "n",
    -6: "u",
    -3: "m",
    0: "",
    3: "k",
    6: "M",
    9: "G",
}


def engineering(value: float, unit: str) -> str:
    """A number with the prefix that suits it: ``33.6 pJ``.

    >>> engineering(33.6e-12, "J"), engineering(1023, "entries"), engineering(0.0, "s")
    ('33.6 pJ', '1,023 entries', '0 s')
    """
    if unit not in ("J", "s", "W", "Hz") or value == 0 or not math.isfinite(value):
        return f"{value:,.4g} {unit}" if abs(value) < 1 or value % 1 else f"{value:,.0f} {unit}"
    # The power of what will be shown: 999.96 is shown as 1000, which is 1 k.
    shown = float(f"{value:.3e}")
    power = 3 * math.floor(math.floor(math.log10(abs(shown))) / 3)
    power = min(max(power, min(_PREFIXES)), max(_PREFIXES))
    return f"{value / 10.0**power:.4g} {_PREFIXES[power]}{unit}"
