"""XOR of cells in small form: files, rungs, margin, yield, and what has to hold of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spikec.backends.sfq.synthesis.files import read_program
from spikec.backends.sfq.tolerance import stress
from spikec.compiler.artifact import load_artifact
from spikec.compiler.cli.main import invoke

from .scripts import script

SKEW = ["--condition", "skew=5ps"]


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


def given(built: Path, samples: int) -> list[str]:
    return [str(built), "--stimulus", str(built.parent / "test.npz"), "--samples", str(samples)]


def test_rungs_are_equal(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["verify", *given(built, 2), "--rungs", "integer,events,circuit"]) == 0
    said = capsys.readouterr().out
    assert "integer / events: equal" in said and "events / circuit: equal" in said


def test_margin_and_yield_in_small_form(
    xor: ModuleType, built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One order of the four inputs, and eight chips of 2 %."""
    margins = ["--by", "chip", "--resolution", "0.05", "-o", str(tmp_path / "margins")]
    assert invoke(["margins", *given(built, 1), *SKEW, *margins]) == 0
    chips = ["--vary", "spread=2%", "--chips", "8", "-o", str(tmp_path / "chips")]
    assert invoke(["montecarlo", *given(built, 1), *SKEW, *chips]) == 0
    capsys.readouterr()
    assert xor.main([str(tmp_path), "--check"]) == 0
    said = capsys.readouterr().out
    # Known from finer runs: -16 % and +33 %.
    assert "global bias: -15.0% to +30.0%" in said
    assert "yield at a spread of 2%: 100.0%" in said


def test_a_hundred_orders_at_ten_percent_of_bias(built: Path) -> None:
    """All four inputs in 100 orders, pulses up to 5 ps off: no mistake at -10, 0 and +10 %."""
    program = read_program(load_artifact(built))
    assert program.skew == pytest.approx(5e-12, rel=1e-9, abs=0)
    spikes = stress.orders(2, 100, 1)
    late = stress.skews(spikes.shape, program.skew, 2)
    wanted = spikes[..., :1] ^ spikes[..., 1:]
    trial = stress.trial(program, {"in": spikes}, {"in": late}, {"out": wanted})
    biases = {name: np.array([0.9, 1.0, 1.1]) for name in program.netlist.biases}
    assert trial.passes(biases, 3).tolist() == [True, True, True]


@pytest.mark.slow
def test_a_thousand_chips_of_two_percent(
    xor: ModuleType, built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the README says of margin and yield: 100 orders at each bias, 1,000 chips."""
    margins = ["--by", "chip", "--resolution", "0.01", "-o", str(tmp_path / "margins")]
    assert invoke(["margins", *given(built, xor.ORDERS), *SKEW, *margins]) == 0
    chips = ["--vary", "spread=2%", "--chips", "1000", "-o", str(tmp_path / "chips")]
    assert invoke(["montecarlo", *given(built, 2), *SKEW, *chips]) == 0
    capsys.readouterr()
    assert xor.main([str(tmp_path), "--check"]) == 0


@pytest.mark.parametrize(
    ("low", "working", "spread", "code"),
    [
        (-0.14, 100, "0.02", 0),
        (-0.09, 100, "0.02", 1),
        (-0.14, 98, "0.02", 1),
        (-0.14, 98, "0.05", 0),  # nothing is asked for there
    ],
)
def test_a_goal_that_is_missed_is_an_error(
    xor: ModuleType, tmp_path: Path, low: float, working: int, spread: str, code: int
) -> None:
    groups = [{"group": "areas", "low": 0, "high": 0}, {"group": "bias", "low": low, "high": 0.33}]
    row = {
        "conditions": {"spread": spread},
        "yield": {"working": working},
        "differ": {"chips": 100},
    }
    for name, data in (("margins", {"margins": groups}), ("chips", {"combinations": [row]})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(data))
    assert xor.main([str(tmp_path), "--check"]) == code


def test_what_is_wrong_is_told(
    xor: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert xor.main([str(tmp_path / "nowhere"), "--check"]) == 2
    assert "nowhere" in capsys.readouterr().err
