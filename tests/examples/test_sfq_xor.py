"""XOR of cells in small form: files, rungs, margin, yield, a plot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spikec.compiler.cli.main import invoke

from .scripts import script


@pytest.fixture
def xor() -> Iterator[ModuleType]:
    yield from script("sfq_xor/xor.py")


@pytest.fixture
def built(xor: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert xor.main([str(tmp_path)]) == 0
    place = tmp_path / "built"
    model = [str(tmp_path / "xor.spk"), "--input-max", "1"]
    assert invoke(["compile", *model, "-t", "mitll-sfq5ee", "-o", str(place)]) == 0
    capsys.readouterr()
    return place


def test_rungs_are_equal(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--stimulus", str(built.parent / "test.npz"), "--samples", "2"]
    assert invoke(["verify", str(built), *given, "--rungs", "integer,events,circuit"]) == 0
    said = capsys.readouterr().out
    assert "integer / events: equal" in said and "events / circuit: equal" in said


def test_a_small_measurement(
    xor: ModuleType, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five biases with two orders each, and eight circuits of 2 %."""
    monkeypatch.setattr(xor, "BIASES", np.array([-0.35, -0.1, 0, 0.1, 0.39]))
    monkeypatch.setattr(xor, "SPREADS", (0.02,))
    monkeypatch.setattr(xor, "FEW", 1)
    options = ["--measure", str(built), "--orders", "2", "--circuits", "8"]
    assert xor.main([str(tmp_path), *options]) == 0
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["margin"] == [-0.1, 0.1] and found["holds"]
    assert found["share"][0] == 0 and found["share"][2] == 1
    assert found["yields"][0]["working"] == 8
    assert (tmp_path / "xor.svg").read_bytes().startswith(b"<svg")


@pytest.mark.parametrize(
    ("share", "wanted"),
    [
        ([0, 1, 1, 1, 0], (-1, 1)),
        ([1, 0, 1, 1, 1], (0, 2)),  # what is right beyond a failure does not count
        ([1, 1, 0.99, 1, 1], (0, 0)),
        ([1, 1, 1, 1, 1], (-2, 2)),
    ],
)
def test_a_margin_is_around_the_nominal(
    xor: ModuleType, share: list[float], wanted: tuple[float, float]
) -> None:
    assert xor.around(np.arange(-2.0, 3), np.array(share)) == wanted


def test_a_goal_that_is_missed_is_an_error(
    xor: ModuleType, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xor, "BIASES", np.array([-0.3, 0.0, 0.1]))
    monkeypatch.setattr(xor, "SPREADS", (0.02,))
    monkeypatch.setattr(xor, "FEW", 1)
    options = ["--measure", str(built), "--orders", "1", "--circuits", "1"]
    assert xor.main([str(tmp_path), *options]) == 1
    assert not json.loads((tmp_path / "results.json").read_text())["holds"]


def test_what_is_wrong_is_told(
    xor: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert xor.main([str(tmp_path), "--measure", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        xor.main([str(tmp_path), "--orders", "0"])
