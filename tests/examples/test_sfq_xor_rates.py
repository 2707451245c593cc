"""The XOR of rates: a few steps at nominal bias, and the whole range of biases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.passes.quantise import Quantise

from .scripts import script


@pytest.fixture
def rates() -> Iterator[ModuleType]:
    yield from script("sfq_xor_rates/rates.py")


def compiled(rates: ModuleType, release: str) -> Artifact:
    backend, target = find_target("mitll-sfq5ee")
    options = {"release": (release,)}
    return compile_graph(
        rates.network(), backend, target, Quantise(input_max=1), options
    ).artifact()


def test_a_short_run(rates: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Six steps of each input at one bias: the script, its figures and its plot."""
    compiled(rates, "0.995").write(tmp_path / "built")
    arguments = ["scan", str(tmp_path / "built"), "--steps", "6", "--bias", "1"]
    arguments += ["--json", str(tmp_path / "r.json"), "--plot", str(tmp_path / "r.svg")]
    code = rates.main(arguments)
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["rungs"]["integer"] == [0, 1, 1, 0]
    assert rates.gap(np.array(found["rungs"]["events"])) >= 0.5
    assert [row["supply"] for row in found["points"]] == ["common", "own"]
    assert all(row["gap"] >= 0.5 for row in found["points"])
    assert code == 0 and found["holds"]
    assert found["range"] == {"common": [1, 1], "own": [1, 1]}
    assert "holds: at least" in capsys.readouterr().out
    assert (tmp_path / "r.svg").read_bytes().startswith(b"<?xml")


def test_what_it_writes_and_reads(rates: ModuleType, tmp_path: Path) -> None:
    assert rates.main(["network", str(tmp_path), "--steps", "3"]) == 0
    assert np.load(tmp_path / "trains.npz")["data"].shape == (4, 3, 2)
    assert (tmp_path / "xor.spk").read_text().startswith("spikec-graph")
    assert rates.main(["scan", str(tmp_path)]) == 2


def test_where_gaps_are_too_small(rates: ModuleType) -> None:
    rows = [
        {"bias": bias, "supply": "common", "gap": gap}
        for bias, gap in ((0.8, 0.9), (0.9, 0.4), (1.0, 0.8), (1.1, 0.5), (1.2, 0.1))
    ]
    assert rates.reach(rows, "common") == (1.0, 1.1)
    assert rates.reach(rows, "own") is None
    assert rates.gap(np.array([0.1, 0.9, 0.7, 0.2])) == pytest.approx(0.5)


@pytest.mark.slow
def test_the_gap_holds_over_the_range(rates: ModuleType) -> None:
    """-5 to +20 % of bias, with the synapses on the same supply and on one of their own."""
    biases = np.array([0.95, 1.0, 1.1, 1.2])
    found = rates.measured(compiled(rates, "0.98"), 100, biases, 1, 2, lambda *_: None)
    assert found["holds"] and found["least"] >= 0.5
    assert found["range"] == {"common": (0.95, 1.2), "own": (0.95, 1.2)}
