"""docs/costs.md says what the cost models of the chip files say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spikec.boards.chip import chip_names, load_chip
from spikec.boards.costs import CORE_COUNTS, HOLDERS, MACHINE_COUNTS, CostLine, CostModel
from spikec.boards.machine import Machine
from spikec.boards.quantity import Quantity, engineering

PAGE = Path(__file__).resolve().parents[2] / "docs" / "costs.md"
WORDS = {**CORE_COUNTS, **MACHINE_COUNTS, **HOLDERS}


def row(where: str, what: str, quantity: Quantity) -> str:
    value = engineering(quantity.value, quantity.unit)
    return f"| {where} | {what} | {value} | {quantity.obtained} | {quantity.source} |"


def lines(machine: Machine, model: CostModel) -> Iterator[str]:
    kinds: dict[str, tuple[CostLine, ...]] = {
        "energy": model.energy,
        "power": model.power,
        "send": model.send,
        "receive": model.receive,
    }
    for kind, every in kinds.items():
        for line in every:
            times = f"{line.times:g} x " if line.times != 1 else ""
            yield row(kind, times + WORDS[line.count], machine.costs[line.cost])
    for point in model.barrier:
        yield row("barrier", f"routers in use: {point.tiles:,}", machine.costs[point.cost])
    if model.tick is not None:
        yield row("tick", "a step", machine.costs[model.tick])


def tables() -> dict[str, list[str]]:
    """All rows of the page by heading."""
    found = {}
    for machine in map(load_chip, chip_names()):
        for model in machine.models.values():
            found[f"{machine.name}: {model.name}"] = list(lines(machine, model))
        if machine.interconnect is not None:
            stated = machine.interconnect.stated
            found[f"{machine.name}: interconnect"] = [
                row("interconnect", f"`{name}`", quantity) for name, quantity in stated.items()
            ]
    return found


def rows_of_page() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("| ") and not line.startswith("| for"):
            found.setdefault(heading, []).append(line)
    return found


def test_the_tables_are_those_of_the_chip_files() -> None:
    assert rows_of_page() == tables()


def test_what_is_not_known_is_told() -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    for machine in map(load_chip, chip_names()):
        for model in machine.models.values():
            assert model.title in text, model.name
            assert all(unknown in text for unknown in model.unknown), model.name


def test_every_count_that_a_model_may_use_is_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in WORDS)
