"""docs/chips.md says what the chip files say."""

from __future__ import annotations

from pathlib import Path

from spikec.boards.chip import chip_names, load_chip
from spikec.boards.machine import Machine

PAGE = Path(__file__).resolve().parents[2] / "docs" / "chips.md"


def overview(machine: Machine) -> str:
    """The line of the first table for a chip."""
    (columns, rows), (across, down) = machine.chips, machine.routers
    wraps = ", wraps around" if machine.cyclic else ""
    grid = f"{machine.topology}, {columns * across} x {rows * down} routers{wraps}"
    if machine.absent:
        grid += f", {len(machine.absent)} absent"
    most = f"{int(machine.max_chips.value):,} chips" if machine.max_chips else "as it is"
    name = f"[`{machine.name}`](#{machine.name})"
    return f"| {name} | {machine.title} | {machine.cores:,} | {grid} | {most} |"


def limits(machine: Machine) -> list[str]:
    """The lines of a chip's own table: the arrangement, then every limit with its origin."""
    of_router = f"{machine.cores_per_router} per router"
    lines = [f"| arrangement | {of_router} | cores | {machine.obtained} | {machine.source} |"]
    for key, q in machine.quantities.items():
        if not key.startswith(("costs.", "interconnect.")):
            value = f"{int(q.value):,}"
            lines.append(f"| `{key}` | {value} | {q.unit} | {q.obtained} | {q.source} |")
    return lines


def tables() -> dict[str, list[str]]:
    """All rows of the page by heading, the first table's under ``Chips``."""
    machines = [load_chip(name) for name in chip_names()]
    return {"Chips": [overview(m) for m in machines]} | {m.name: limits(m) for m in machines}


def rows_of_page() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith(("| [`", "| `", "| arrangement")):
            found.setdefault(heading, []).append(line)
    return found


def test_the_tables_are_those_of_the_chip_files() -> None:
    assert rows_of_page() == tables()


def test_titles_and_notes_are_told() -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    for machine in map(load_chip, chip_names()):
        assert machine.title in text
        assert machine.note in text
