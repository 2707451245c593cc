"""Cells that others published, to be set beside ours: ``cells/published.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from ....boards.quantity import Quantity
from ....boards.table import read_table

_FILE: Final = "published.toml"


@dataclass(frozen=True, slots=True)
class Published:
    """A cell of someone's: ``delay`` in s, from its clock where it is clocked, and junctions.

    ``net`` is the delay in s that our simulator finds of their netlist, and ``bare`` that without
    the inductance of shunts, biases and ways to ground (`peers`).
    """

    delay: Quantity
    junctions: Quantity
    net: Quantity
    bare: Quantity


@cache
def published() -> dict[str, Published]:
    """By the name of our cell that does the same."""
    file = resources.files(__package__) / _FILE
    return parsed(file.read_text(encoding="utf-8"), f"backends/sfq/cells/{_FILE}")


def parsed(text: str, origin: str) -> dict[str, Published]:
    """Parse such a file; ``origin`` is its name, for messages.

    Raises ``BoardError`` that names the file, the key, what was found and what was wanted.
    """
    top = read_table(text, origin)
    found: dict[str, Published] = {}
    for table in top.tables("published"):
        cell = table.text("cell")
        if cell in found:
            raise table.error("board-value", "cell", f"'{cell}' is there twice")
        found[cell] = Published(
            table.quantity("delay", unit="s"),
            table.quantity("junctions", unit="junctions", whole=True),
            table.quantity("net", unit="s"),
            table.quantity("bare", unit="s"),
        )
        table.finish()
    top.finish()
    return found
