"""spikec margins and montecarlo with --gap: what they say, write, keep and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spikec.compiler.explore.point import Evaluation
from spikec.compiler.montecarlo.chips import GapEvaluator
from spikec.ir.text import text

from ..margins.conftest import TARGET, both
from .conftest import Spikec

GAP = ("--gap", 0.5, "--condition", "skew=5ps")


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A neuron that fires with both lines, each behind a synapse of 0.97; all inputs there are."""
    from spikec.compiler.cli.main import invoke

    folder = tmp_path_factory.mktemp("chance")
    (folder / "both.spk").write_text(text(both()), encoding="utf-8")
    np.savez(folder / "s.npz", data=np.array([[[1, 1], [0, 1], [1, 0], [1, 1], [0, 0]]]))
    np.savez(folder / "few.npz", data=np.array([[[0, 1], [1, 0]]]))
    words = ["compile", folder / "both.spk", "-t", TARGET, "--input-max", 1]
    more = ["--release", 0.97, "-o", folder / "built"]
    assert invoke([str(word) for word in (*words, *more)]) == 0
    return folder


def test_chips_and_their_yield(
    spikec: Spikec, chance: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    output, figure = tmp_path / "out", tmp_path / "gaps.svg"
    words = ["montecarlo", chance / "built", "-s", chance / "s.npz", *GAP, "-n", 3, "--orders", 20]
    words += ["--condition", "spread=2%", "-o", output, "--plot", figure]
    said = spikec(*words)
    assert said.code == 0, said.err
    assert "gap: mean" in said.out and "3 of 3 (" in said.out
    assert "all with skew 5 ps, spread 2 %" in said.out
    assert "yield: chips with a gap of 0.5 or more" in said.out
    assert "up to 20 orders of all inputs" in said.out and "at most 0.05" in said.out
    assert "3 chips, 3 work" in figure.read_text()

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(GapEvaluator, "evaluate_together", never)
    again = spikec(*words, "--json").data
    written = json.loads((output / "results.json").read_text())
    assert again == written | {"output": str(output), "plot": str(figure)}
    (row,) = written["combinations"]
    assert row["yield"]["working"] == 3 and 0.5 <= row["gap"]["least"] <= row["gap"]["most"]
    assert (output / "results.csv").read_text().startswith("skew,spread,chip,gap,orders,refused\n")
    # Another gap is another study.
    words[words.index(0.5)] = 0.6
    said = spikec(*words)
    assert said.code == 2 and "E0902" in said.err


def test_margins_and_corners(spikec: Spikec, chance: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    words = ["margins", chance / "built", "-s", chance / "s.npz", *GAP, "--orders", 12]
    words += ["--by", "none", "--corners", "bias but synapse.Ib=0.3:1:0.7,synapse.Ib=1:1:1"]
    said = spikec(*words, "-o", output)
    assert said.code == 0, said.err
    assert "# a gap of 0.5 or more, + less, . none" in said.out
    assert "1 .#\n" in said.out and "1 corner of 2 right" in said.out
    assert "up to 12 orders" in said.out
    assert (output / "corners.csv").read_text().startswith("x,x_value,y,y_value,gap\n")
    ((one, other),) = json.loads((output / "results.json").read_text())["corners"][0]["gap"]
    assert one == 0 and other > 0.5


def test_what_fails_as_it_is(spikec: Spikec, chance: Path) -> None:
    words = ["margins", chance / "built", "-s", chance / "s.npz", *GAP, "--orders", 4]
    said = spikec(*words, "--by", "chip", "--condition", "bias=0.3")
    assert said.code == 2
    assert "E1424" in said.err and "gap 0.00: out[0] at 11 fires with 0.00" in said.err


@pytest.mark.parametrize(
    ("verb", "more", "code", "said", "mend"),
    [
        ("margins", ["--orders", 5], "E0707", "--orders belongs to --gap", "--gap 0.5"),
        ("montecarlo", ["--trim"], "E0707", "--trim belongs to --gap", "--gap 0.5"),
        ("margins", ["--gap", 1], "E0707", "--gap", "--help"),
        ("margins", ["--gap", "nan"], "E0707", "--gap", "--help"),
        ("margins", ["--gap", 0.5, "--error", 0.6], "E0707", "--error", "--help"),
        ("montecarlo", ["--gap", 0.5, "--orders", 0], "E0707", "--orders", "--help"),
        ("montecarlo", ["--gap", 0.5, "-s", "FEW"], "E1495", "at none of the 2", "a stimulus with"),
        ("margins", ["--gap", 0.5, "-s", "FEW"], "E1495", "at none of the 2", "a stimulus with"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_run(
    spikec: Spikec, chance: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str,
    more: list[object], code: str, said: str, mend: str,
) -> None:  # fmt: skip
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Evaluation, "results", never)
    words = [chance / "few.npz" if word == "FEW" else word for word in more]
    found = spikec(verb, chance / "built", "-s", chance / "s.npz", *words, "-o", tmp_path / "out")
    assert found.code == 2, found.err
    assert f"{code}: " in found.err and said in found.err and mend in found.err
    assert not (tmp_path / "out").exists()


def test_what_is_no_circuit_has_no_gap(
    spikec: Spikec, cells: Path, built: Path, stimulus: Path
) -> None:
    said = spikec("margins", built, "-s", stimulus, "--gap", 0.5)
    assert said.code == 2 and "E0306" in said.err
    said = spikec("montecarlo", cells / "built", "-s", cells / "s.npz", "--gap", 0.5, "--trim")
    assert said.code == 2 and "E0707: --trim sets the currents of synapses" in said.err
