"""Figures of other people's cells: what their sources say, and a wrong file is refused."""

from __future__ import annotations

from importlib import resources

import pytest

from spikec.backends import sfq
from spikec.backends.sfq.cells import cell
from spikec.backends.sfq.cells.published import parsed, published
from spikec.boards.table import BoardError

TEXT = (resources.files(sfq) / "cells" / "published.toml").read_text(encoding="utf-8")


def test_published_figures_are_those_of_the_library() -> None:
    found = published()
    wanted = {
        "jtl": (3.5, 2),
        "splitter": (6.3, 3),
        "merger": (9.0, 7),
        "dff": (6.3, 7),
        "ndro": (5.5, 11),
        "not": (5.5, 8),
        "xor": (5.0, 11),
    }
    assert set(found) == set(wanted)
    for name, (ps, junctions) in wanted.items():
        assert cell(name).name == name
        assert found[name].delay.value == pytest.approx(ps * 1e-12, rel=1e-9, abs=0)
        assert found[name].junctions.value == junctions
        assert "RSFQlib" in found[name].delay.source
        # Our simulator finds of their netlists what they say.
        assert found[name].net.value == pytest.approx(ps * 1e-12, abs=0.31e-12)
        assert found[name].bare.value > found[name].net.value - 0.1e-12


@pytest.mark.parametrize(
    ("old", "new", "code", "expected"),
    [
        ("[[published]]", "[[published]", "board-syntax", "is not TOML"),
        ('cell      = "splitter"', 'cell = "jtl"', "board-value", "'jtl' is there twice"),
        ("value = 7,", "value = 7.5,", "board-value", "junctions.value: must be"),
        ('unit = "s"', 'unit = "ps"', "board-value", "delay.unit: must be 's'"),
        ("delay ", "late ", "board-missing", "delay: is missing"),
    ],
)
def test_impossible_figures_are_refused_by_place(
    old: str, new: str, code: str, expected: str
) -> None:
    assert old in TEXT
    with pytest.raises(BoardError, match=r"published\.toml") as found:
        parsed(TEXT.replace(old, new, 1), "published.toml")
    assert found.value.code == code
    assert expected in str(found.value)
