"""Processes of superconducting circuits as data: the loader of ``boards/processes/*.toml``.

A :class:`Process` has what a square metre of junction and of resistor is, how far one is from the
next, and what biasing, cooling and room cost. Each number has its source and how it was obtained.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from .quantity import Quantity
from .table import check_name, no_such, read_table


@dataclass(frozen=True, slots=True)
class Process:
    r"""Josephson junctions of a process, and what is around them.

    A junction of area A has :math:`I_c = j A`, C = ``capacitance`` A, below the ``gap`` (V) the
    resistance ``subgap`` / A and above it ``normal`` / A; ``density`` j in A/m^2, the others in
    F/m^2 and ohm m^2, ``least`` A in m^2. A square of shunt has ``sheet`` ohm and ``inductance`` H.
    ``spread`` are standard deviations in parts of a value, of critical currents (``density``),
    resistances and inductances. ``bias_voltage`` in V is what bias currents fall through,
    ``cooling`` W at room temperature for each W in the cold, ``area`` m^2 of chip a junction.
    """

    name: str
    title: str
    note: str
    density: Quantity
    temperature: Quantity
    capacitance: Quantity
    subgap: Quantity
    normal: Quantity
    gap: Quantity
    least: Quantity
    sheet: Quantity
    inductance: Quantity
    spread: dict[str, Quantity] = field(hash=False)
    bias_voltage: Quantity
    cooling: Quantity
    area: Quantity

    def critical(self, area: float) -> float:
        """Critical current in A of a junction of ``area`` m^2."""
        return self.density.value * area


def process_names() -> tuple[str, ...]:
    """Return the names of all processes that come with spikec, sorted."""
    return tuple(sorted(f.name[:-5] for f in _folder().iterdir() if f.name.endswith(".toml")))


@cache
def load_process(name: str) -> Process:
    """Return the process of this name, read once.

    Raises :class:`BoardError` ``board-unknown`` with the closest names if there is none.
    """
    names = process_names()
    if name not in names:
        raise no_such("process", name, names)
    origin = f"boards/processes/{name}.toml"
    process = parse_process((_folder() / f"{name}.toml").read_text(encoding="utf-8"), origin)
    check_name(process.name, name, origin)
    return process


def parse_process(text: str, origin: str) -> Process:
    """Parse one process's file. ``origin`` is the file's name, for messages.

    Raises :class:`BoardError` that names the file, the key, what was found and what was wanted.
    """
    top = read_table(text, origin)
    junction, shunt = top.table("junction"), top.table("shunt")
    costs, spread = top.table("costs"), top.table("spread")
    process = Process(
        name=top.text("name"),
        title=top.text("title"),
        note=top.optional_text("note") or "",
        density=top.quantity("density", unit="A/m2"),
        temperature=top.quantity("temperature", unit="K"),
        capacitance=junction.quantity("capacitance", unit="F/m2"),
        subgap=junction.quantity("subgap", unit="ohm m2"),
        normal=junction.quantity("normal", unit="ohm m2"),
        gap=junction.quantity("gap", unit="V"),
        least=junction.quantity("least", unit="m2"),
        sheet=shunt.quantity("sheet", unit="ohm"),
        inductance=shunt.quantity("inductance", unit="H", zero=True),
        spread={
            key: spread.quantity(key, unit="1", zero=True)
            for key in ("density", "resistance", "inductance")
        },
        bias_voltage=costs.quantity("bias_voltage", unit="V"),
        cooling=costs.quantity("cooling", unit="W/W"),
        area=costs.quantity("area", unit="m2"),
    )
    if process.subgap.value < process.normal.value:
        raise junction.error("board-value", "subgap", "must be at least the resistance above it")
    if any(one.value >= 1 for one in process.spread.values()):
        raise spread.error("board-value", "density", "and all spreads must be below 1")
    for table in (junction, shunt, costs, spread, top):
        table.finish()
    return process


def _folder() -> Traversable:
    return resources.files(__package__) / "processes"
