"""spikec margins: what it says, what it writes, how it refuses, how it goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spikec.compiler.explore.journal import JOURNAL
from spikec.compiler.margins.job import MarginEvaluator

from ..explore.clusters import until
from ..margins.conftest import TARGET, make_study
from .conftest import Spikec

QUICK = ("--by", "chip", "--reach", "0.3", "--resolution", "0.05")


@pytest.fixture
def words(cells: Path) -> list[object]:
    return ["margins", cells / "built", "-s", cells / "s.npz"]


def test_the_table_and_the_corners(spikec: Spikec, words: list[object], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    output, figure = tmp_path / "out", tmp_path / "margins.svg"
    corners = ("--corners", "bias=0.3:1:0.7,areas=1:1.1:0.1")
    more = ("-o", output, "--plot", figure, "--condition", "skew=5ps")
    said = spikec(*words, *QUICK, *corners, *more)
    assert said.code == 0, said.err
    assert f"margins of both on {TARGET}" in said.out
    assert "global bias margin: " in said.out and "beyond " in said.out
    assert "areas (down) against bias (across)" in said.out
    assert "1.1 .#\n" in said.out and "  1 .#\n" in said.out
    assert "2 corners of 4 right" in said.out and "all with skew=5ps" in said.out
    assert figure.read_text().startswith("<svg")
    # As JSON it is the file, and nothing is found again.
    again = spikec(*words, *QUICK, *corners, *more, "--json").data
    written = json.loads((output / "results.json").read_text())
    assert again == written | {"output": str(output), "plot": str(figure)}
    assert written["complete"] and written["conditions"] == ["skew=5ps"]
    assert (output / "margins.csv").read_text().count("\n") == 1 + len(written["margins"])
    assert (output / "corners.csv").read_text().count("\n") == 1 + 4
    # The least is first, and what goes wrong beyond it has a name.
    first = written["margins"][0]
    least = [min(-row["low"], row["high"]) for row in written["margins"]]
    assert least == sorted(least)
    assert any(first[side].startswith(("out[0] (net ", "a pulse")) for side in ("below", "above"))


def test_known_results_are_not_found_again(
    spikec: Spikec, words: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    words += [*QUICK, "-o", output]
    first = spikec(*words)
    assert first.code == 0, first.err
    # No table of corners, which were not asked for.
    assert f"wrote margins.csv and results.json in {output}" in first.out.replace("\n", " ")
    assert not (output / "corners.csv").exists()
    (output / "corners.csv").write_text("of another command")

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(MarginEvaluator, "evaluate_together", never)
    again = spikec(*words)
    assert again.code == 0
    assert again.out == "going on: 4 results are known\n" + first.out
    assert not (output / "corners.csv").exists()


@pytest.mark.parametrize(
    ("more", "code", "said", "mend"),
    [
        (["--condition", "wire=1"], "E1490", "'wire=1' is no condition", "KEY=VALUE with one of"),
        (["--condition", "spread=-1%"], "E1490", "spread is -1 %", "from 0 % to 100 %"),
        (["--condition", "temperature=-1"], "E1490", "temperature is -1 K", "from 0 K"),
        (["--condition", "skew=9ps"], "E1490", "wait for 5 ps", "from 0 to 5 ps"),
        (["--corners", "bias"], "E1492", "is not two things", "give X,Y"),
        (["--corners", "bias,bias"], "E1492", "both axes", "give X,Y"),
        (["--corners", "bias,arias"], "E1492", "'arias'", "did you mean 'areas'"),
        (["--corners", "bias,temperature"], "E1492", "says no values", "temperature=0:8:2"),
        (["--corners", "bias=1:2,areas"], "E1492", "'1:2'", "LOW:HIGH:STEP"),
        (["--corners", "bias=0:2:1,areas"], "E1492", "'0:2:1'", "from 0.05 to 10"),
        (["--corners", "bias=1:2:0,areas"], "E1492", "'1:2:0'", "STEP above 0"),
        (["--corners", "bias=1:nan:1,areas"], "E1492", "'1:nan:1'", "STEP above 0"),
        (["--corners", "bias=1:2:1e-9,areas"], "E1492", "10,000 values", "wider steps"),
        (["--corners", "bias=1:2:.001,areas=1:2:.01"], "E1492", "101,101 corners", "wider steps"),
        (["--by", "none"], "E0707", "finds no margins", "--corners"),
        (["--reach", "0.99"], "E0707", "0.99", "--help"),
        (["--plot", "x.pdf"], "E0707", ".svg or .png", ""),
        (["--workers", "2", "--scheduler", "tcp://x:1"], "E0707", "give one", ""),
        (["-s", "nowhere.npz"], "E0701", "no such file", ""),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_run(
    spikec: Spikec, words: list[object], tmp_path: Path, more: list[str], code: str, said: str,
    mend: str,
) -> None:  # fmt: skip
    found = spikec(*words, *more, "-o", tmp_path / "out")
    assert found.code == 2
    assert f"{code}: " in found.err and said in found.err and mend in found.err
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_is_refused(
    spikec: Spikec, words: list[object], built: Path, stimulus: Path, tmp_path: Path
) -> None:
    said = spikec("margins", built, "-s", stimulus)
    assert said.code == 2 and "E0306: 'null' has no circuits" in said.err
    other = tmp_path / "other.csv"
    other.write_text("0 5 0 1\n")
    assert spikec("margins", words[1], "-s", other).code == 2
    (tmp_path / "twice.csv").write_text("0 1 0 2\n")
    said = spikec("margins", words[1], "-s", tmp_path / "twice.csv")
    assert said.code == 2 and "E0703" in said.err
    said = spikec(*words, "--condition", "bias=0.3", *QUICK)
    assert said.code == 2 and "E1424" in said.err and "out[0]" in said.err
    assert spikec(*words, "-o", words[1]).code == 3


def test_a_chip_has_margins_and_rungs(spikec: Spikec, words: list[object]) -> None:
    """The circuit of a seed under conditions, by verify and run, is measured and not equal."""
    same = (*words[1:], "--rungs", "integer,circuit")
    said = spikec("verify", *same)
    assert said.code == 0 and "integer / circuit: equal" in said.out
    said = spikec("verify", *same, "--condition", "bias=0.3", "--seed", 3)
    assert said.code == 0 and "integer / circuit: measured" in said.out
    assert "has emitted" in said.out or "differ" in said.out
    said = spikec("verify", *words[1:], "--rungs", "integer,events", "--condition", "bias=0.9")
    assert said.code == 2 and "E0707: none of the rungs integer,events takes" in said.err
    said = spikec("run", *words[1:], "--on", "circuit", "--condition", "bias=0.3", "--json")
    assert said.data["populations"]["out"]["emitted"] == 0


def test_ctrl_c_keeps_what_there_is(spikec: Spikec, words: list[object], tmp_path: Path) -> None:
    """What is going on is stopped, and the same command ends as if never."""
    output = tmp_path / "out"
    more = ["--by", "none", "--corners", "bias=0.9:1.1:0.002,areas=0.9:1.1:0.02"]
    start = "from spikec.compiler.cli.main import main; main()"
    going = subprocess.Popen(
        [sys.executable, "-c", start, *map(str, [*words, *more, "-o", output])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    journal = output / JOURNAL
    # A whole batch, and some of the next.
    until(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 40, "results")
    going.send_signal(signal.SIGINT)
    _, told = going.communicate(timeout=60)
    assert going.returncode == 130 and b"Traceback" not in told
    known = journal.read_bytes().count(b"\n") - 1
    assert f"interrupted; {known:,} of 1,111 results are kept".encode() in told
    assert json.loads((output / "results.json").read_text())["complete"] is False
    kept = journal.read_bytes()
    few = ["--by", "none", "--corners", "bias=0.9:0.904:0.002,areas=0.9:0.9:0.02"]
    assert spikec(*words, *few, "-o", output).code == 0
    assert journal.read_bytes() == kept


def test_the_usual_groups_are_those_of_cells() -> None:
    every = make_study("cell", corners=()).elements
    assert {"bias", "areas", "ndro areas", "dff bias"} <= set(every)
