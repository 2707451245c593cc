"""Processes are data: the numbers are those of their sources, and a wrong file is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.boards.process import load_process, parse_process, process_names
from spikec.boards.table import BoardError
from tests.boards.data_files import Kind, loads_without_numpy, near

NAMES = process_names()
PROCESSES = Kind("processes", NAMES, parse_process)


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_a_source_and_how_it_was_obtained(name: str) -> None:
    PROCESSES.has_sources(name, 15)


@pytest.mark.parametrize("key", ["source", "how", "unit"])
@pytest.mark.parametrize("name", NAMES)
def test_a_number_without_source_is_refused(name: str, key: str) -> None:
    PROCESSES.refuses_without(name, key, 15)


def test_a_micron_squared_is_the_junction_of_the_libraries() -> None:
    """JoSIM's and RSFQlib's jjmit: 0.1 mA, 0.07 pF, 160 and 16 ohm."""
    process, area = load_process("mitll-sfq5ee"), 1e-12
    assert process.critical(area) == near(0.1e-3)
    assert process.capacitance.value * area == near(0.07e-12)
    assert process.subgap.value / area == near(160)
    assert process.normal.value / area == near(16)


@pytest.mark.parametrize(
    ("old", "new", "code", "expected"),
    [
        ("[shunt]", "[shunt", "board-syntax", "is not TOML"),
        ("value = 1e8", "value = 0", "board-value", "density.value: must be above zero"),
        ('unit = "A/m2"', 'unit = "A/cm2"', "board-value", "density.unit: must be 'A/m2'"),
        ("value = 160e-12", "value = 1e-12", "board-value", "junction.subgap: must be at least"),
        ("value = 0.02", "value = 1", "board-value", "spread.density: and all spreads"),
        ("value = 0.02", "value = -1", "board-value", "spread.density.value: must be zero or"),
        ("cooling ", "cooler ", "board-missing", "costs.cooling: is missing"),
    ],
)
def test_impossible_processes_are_refused_by_place(
    old: str, new: str, code: str, expected: str
) -> None:
    PROCESSES.refuses("mitll-sfq5ee", old, new, code, expected)


def test_unknown_processes_are_refused_with_the_closest_name() -> None:
    with pytest.raises(BoardError, match="did you mean 'mitll-sfq5ee'") as caught:
        load_process("mitll-sfq4ee")
    assert caught.value.code == "board-unknown"


def test_processes_load_without_numpy() -> None:
    loads_without_numpy("process", "process_names", "load_process")


@given(st.data())
def test_no_damaged_file_raises_anything_else(data: st.DataObject) -> None:
    PROCESSES.survives_damage(data)
