"""A number that knows its unit, where it is written and how it was obtained."""

from __future__ import annotations

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
