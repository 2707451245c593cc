"""Drawings have what decks have, and the manual's are those that the command draws."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from spikec.backends.sfq.cells import CELLS, cell, drawing
from spikec.backends.sfq.cells.drawing import places

SVG = "{http://www.w3.org/2000/svg}"
MANUAL = Path(__file__).parents[4] / "docs" / "cells"


@pytest.mark.parametrize("name", CELLS)
def test_a_drawing_has_every_element_of_its_deck_and_every_port(name: str) -> None:
    this = cell(name)
    root = ElementTree.fromstring(drawing.drawing(name))
    groups = [group for group in root.iter(f"{SVG}g") if "id" in group.attrib]
    assert sorted(group.attrib["id"] for group in groups) == sorted(
        part.name for part in this.circuit.parts
    )
    for group in groups:
        # Its name is there to be read, and a shape.
        assert [text.text for text in group.iter(f"{SVG}text")] == [group.attrib["id"]]
        assert list(group.iter(f"{SVG}path"))
    words = [text.text for text in root.findall(f"{SVG}text")]
    assert words == list(this.ports)


@pytest.mark.parametrize("name", CELLS)
def test_every_node_has_a_place_of_its_own(name: str) -> None:
    at = places(name)
    assert set(at) == set(cell(name).circuit.nodes)
    assert len({tuple(xy.tolist()) for xy in at.values()}) == len(at)


@pytest.mark.parametrize("name", CELLS)
def test_all_is_within_the_drawing(name: str) -> None:
    root = ElementTree.fromstring(drawing.drawing(name))
    width, height = (float(root.attrib[key]) for key in ("width", "height"))
    for text in root.iter(f"{SVG}text"):
        assert 0 < float(text.attrib["x"]) < width
        assert 0 < float(text.attrib["y"]) < height
    for circle in root.iter(f"{SVG}circle"):
        x, y, r = (float(circle.attrib[key]) for key in ("cx", "cy", "r"))
        assert np.all([r <= x <= width - r, r <= y <= height - r])


def test_the_manual_has_what_the_command_draws(tmp_path: Path) -> None:
    result = CliRunner().invoke(drawing.main, ["-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    drawn = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text(encoding="utf-8") for path in MANUAL.iterdir()}
    assert drawn == kept
    assert all(len(text) < 16_000 for text in kept.values())
