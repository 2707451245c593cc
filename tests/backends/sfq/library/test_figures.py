"""Figures of the cells."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from spikec.backends.sfq.cells import CELLS, cell
from spikec.backends.sfq.cells.timing import known
from spikec.backends.sfq.library import figures

pytest.importorskip("matplotlib")


def test_a_figure_is_the_same_each_time_and_has_its_words() -> None:
    margins = figures.draw("margins", "svg")
    assert margins == figures.draw("margins", "svg")
    text = margins.decode()
    assert text.startswith("<svg")
    # matplotlib draws words as shapes of their letters; each row has five bars.
    assert text.count("<path") > 5 * len(CELLS)


@pytest.mark.parametrize(
    ("option", "page"), [("--table", "sfq-cells.md"), ("--library", "sfq-library.md")]
)
def test_the_manual_has_what_the_command_prints(option: str, page: str) -> None:
    result = CliRunner().invoke(figures.main, [option])
    assert result.exit_code == 0, result.output
    manual = Path(__file__).parents[4] / "docs" / page
    assert result.output in manual.read_text(encoding="utf-8")
    if option == "--table":
        lines = result.output.splitlines()
        assert len(lines) == 2 + len(CELLS) + 1
        assert {line.count("|") for line in lines} == {11}


def test_the_library_has_margins_of_every_parameter_and_element() -> None:
    text = figures.library()
    for name in CELLS:
        section = text.partition(f"## {name}\n")[2].partition("\n## ")[0]
        found = known()[name]
        assert set(found["elements"]) == {part.name for part in cell(name).circuit.parts}
        assert set(found["parameters"]) == set(cell(name).parameters)
        for parameter in found["parameters"]:
            assert f"| {parameter} |" in section
        for element in found["elements"]:
            assert f"{element} -" in section.partition("Elements: ")[2]


def test_what_to_do_has_to_be_said() -> None:
    result = CliRunner().invoke(figures.main, [])
    assert result.exit_code == 2
    assert "-o DIR" in result.output


def test_the_command_writes_all(tmp_path: Path) -> None:
    result = CliRunner().invoke(figures.main, ["-o", str(tmp_path / "out"), "--png"])
    assert result.exit_code == 0, result.output
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["decision.png", "elements.png", "margins.png", "pulses.png"]
    assert (tmp_path / "out" / "pulses.png").read_bytes().startswith(b"\x89PNG")
