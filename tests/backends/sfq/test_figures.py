"""Figures of the cells."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from spikec.backends.sfq import figures
from spikec.backends.sfq.cells import CELLS

pytest.importorskip("matplotlib")


def test_a_figure_is_the_same_each_time_and_has_its_words() -> None:
    margins = figures.draw("margins", "svg")
    assert margins == figures.draw("margins", "svg")
    text = margins.decode()
    assert text.startswith("<svg")
    # matplotlib draws words as shapes of their letters; each row has five bars.
    assert text.count("<path") > 5 * (len(CELLS) - 1)


def test_the_manual_has_the_table_that_the_command_prints() -> None:
    result = CliRunner().invoke(figures.main, ["--table"])
    assert result.exit_code == 0, result.output
    rows = result.output.splitlines()
    assert len(rows) == 2 + len(CELLS)
    assert {row.count("|") for row in rows} == {11}
    manual = Path(__file__).parents[3] / "docs" / "sfq-cells.md"
    assert result.output in manual.read_text(encoding="utf-8")


def test_what_to_do_has_to_be_said() -> None:
    result = CliRunner().invoke(figures.main, [])
    assert result.exit_code == 2
    assert "-o DIR" in result.output


def test_the_command_writes_both(tmp_path: Path) -> None:
    result = CliRunner().invoke(figures.main, ["-o", str(tmp_path / "out"), "--png"])
    assert result.exit_code == 0, result.output
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["margins.png", "pulses.png"]
    assert (tmp_path / "out" / "pulses.png").read_bytes().startswith(b"\x89PNG")
