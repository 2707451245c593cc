"""spikec montecarlo: what it says, what it writes, how it refuses, how it goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spikec.compiler.cli.main import invoke
from spikec.compiler.explore.journal import JOURNAL
from spikec.compiler.explore.point import Point, Result
from spikec.compiler.montecarlo.chips import REFERENCE, ChipEvaluator

from ..explore.clusters import until
from .conftest import OPTIONS, Spikec

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "montecarlo.txt"


@pytest.fixture(scope="session")
def _chip(_home: Path) -> Path:
    folder = _home / "crossbar"
    words = ["compile", _home / "small.nir", "-t", "rram-wan", "-o", folder, *OPTIONS]
    assert invoke([str(word) for word in words]) == 0
    return folder


@pytest.fixture
def words(_chip: Path, stimulus: Path) -> list[object]:
    return ["montecarlo", _chip, "-s", stimulus, "--chips", 3]


def _made_up(_: ChipEvaluator, point: Point) -> Result:
    """A chip whose figures come from its number and its conditions alone, in eighths."""
    if point == REFERENCE:
        return Result(point, (("accuracy", 0.75),))
    said = point.as_dict()
    eighths = (3 * int(said["chip"]) + 2 * (said["stuck"] != "0") + (said["age"] != "1")) % 8
    return Result(point, (("accuracy", eighths / 8), ("differ", eighths / 24)))


def test_the_table(spikec: Spikec, words: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChipEvaluator, "evaluate", _made_up)
    varied = ("--vary", "stuck=0,30%", "--vary", "age=1s,1day")
    said = spikec(*words, *varied, "--condition", "compensate=off")
    assert said.code == 0, said.err
    assert said.out == GOLDEN.read_text(encoding="utf-8")


def test_json_is_the_file(spikec: Spikec, words: list[object], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    output, figure = tmp_path / "out", tmp_path / "chips.svg"
    more = ("--vary", "wire=0,2", "-o", output, "--plot", figure)
    data = spikec(*words, *more, "--json").data
    written = json.loads((output / "results.json").read_text())
    assert data == written | {"output": str(output), "plot": str(figure)}
    assert written["complete"] and written["chips"] == 3 and written["varied"] == ["wire"]
    assert (
        (output / "results.csv").read_text().startswith("wire,chip,accuracy,differ,refused\n0,1,")
    )
    rates = [one["yield"] for one in written["combinations"]]
    assert all(0 <= one["working"] <= 3 and len(one["interval"]) == 2 for one in rates)
    assert "wire resistance (ohm a segment)" in figure.read_text()


def test_goes_on_where_it_was(
    spikec: Spikec, words: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words += ["-o", tmp_path / "out"]
    first = spikec(*words)

    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(ChipEvaluator, "evaluate", never)
    again = spikec(*words)
    assert again.code == 0
    assert again.out == "going on: 4 results are known\n" + first.out


def test_what_is_known_is_of_the_chips_that_are_asked_for(
    spikec: Spikec, words: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChipEvaluator, "evaluate", _made_up)
    varied = ["--condition", "stuck=0", "--condition"]
    words += ["-o", tmp_path / "out", *varied]
    assert spikec(*words, "age=1s").out.startswith("small on")
    # The integer rung's result is one of both.
    assert spikec(*words, "age=1day").out.startswith("going on: 1 result is known\n")
    assert spikec(*words, "age=1day").out.startswith("going on: 4 results are known\n")


def test_help_has_an_example_of_each_kind_of_target(spikec: Spikec) -> None:
    said = " ".join(spikec("montecarlo", "--help").out.split())
    assert "--vary KEY=VALUE,VALUE A condition and its values: of a crossbar as in wire=0" in said
    assert "of an SFQ circuit as in spread=2%,5%" in said


def test_without_labels_spikes_are_the_measure(
    spikec: Spikec, words: list[object], tmp_path: Path
) -> None:
    events = tmp_path / "events.csv"
    events.write_text("".join(f"{step} {step % 3} 0 1\n" for step in range(30)))
    words[3] = events
    said = spikec(*words)
    assert said.code == 0, said.err
    assert "spikes that differ: mean" in said.out and "integer ┃" not in said.out
    assert "no accuracy, since the stimulus has no labels" in said.out


def test_what_a_design_has_to_say_is_told(
    spikec: Spikec, words: list[object], tmp_path: Path
) -> None:
    """As `run` tells it, once, however many chips have it; and again out of the journal."""
    more = ("--condition", "wire=2000")
    run = spikec("run", words[1], "-s", words[3], "--on", "circuit", *more)
    assert run.code == 0 and run.err.count("W1322") == 2
    words += [*more, "-o", tmp_path / "out"]
    said = spikec(*words)
    assert said.code == 0 and said.err == run.err
    again = spikec(*words, "--json")
    assert again.err == run.err
    (row,) = again.data["combinations"]
    assert [one["code"] for one in row["told"]] == ["W1322"] * 2


def test_combinations_that_are_none_are_told_with_the_others(
    spikec: Spikec, words: list[object]
) -> None:
    said = spikec(*words, "--vary", "spares=0,4096")
    assert said.code == 0
    assert "refused 3 chips by E1321" in said.out
    said = spikec(*words, "--condition", "spares=4096")
    assert said.code == 2 and "E0906: every chip is refused, the first by E1321" in said.err


@pytest.mark.parametrize(
    ("more", "code", "where", "mend"),
    [
        (["--vary", "wire=0,x"], "E1320", "--vary wire=x", "it takes a number"),
        (["--vary", "ohm=1"], "E1320", "--vary ohm=1", "KEY=VALUE with one of"),
        (["--condition", "stuck=2"], "E1320", "--condition stuck=2", "from 0 to 1"),
        (["--vary", "age=1s,1h"], "E1310", "--vary age=1h", "there are data at 1, 86400, 172800 s"),
        (["--vary", "wire"], "E0707", "--vary wire", "give KEY=VALUE,VALUE"),
        (["--vary", "wire=1,1.0"], "E0707", "--vary wire=1,1.0", "give each value once"),
        (["--vary", "wire=1", "--condition", "wire=2"], "E0707", "", "say it once"),
        (["--plot", "x.pdf", "--vary", "wire=1,2"], "E0707", "", ".svg or .png"),
        (["--plot", "x.svg"], "E0707", "", "add --vary"),
        (["--workers", "2", "--scheduler", "tcp://x:1"], "E0707", "", "give one"),
        (["--first", "4294967295"], "E0707", "", "the last is"),
        (["-s", "nowhere.npz"], "E0701", "nowhere.npz", "no such file"),
        (["--vary", "verify=" + ",".join(map(str, range(1001)))], "E0707", "", "at most 1,000"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_run(
    spikec: Spikec,
    words: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    code: str,
    where: str,
    mend: str,
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(ChipEvaluator, "__init__", never)
    said = spikec(*words, *more, "-o", tmp_path / "out")
    assert said.code == 2
    assert code in said.err and mend in said.err
    assert f"at {where}" in said.err if where else "at --vary" not in said.err
    assert not (tmp_path / "out").exists()


def test_what_is_no_crossbar_is_refused(spikec: Spikec, built: Path, stimulus: Path) -> None:
    said = spikec("montecarlo", built, "-s", stimulus)
    assert said.code == 2
    assert "E0306: 'null' is the same on every chip" in said.err


def test_chips_of_cells(spikec: Spikec, cells: Path, tmp_path: Path) -> None:
    """With the process's spread where nothing is said, and how many of them work."""
    pytest.importorskip("matplotlib")
    words = ("montecarlo", cells / "built", "-s", cells / "s.npz")
    said = spikec(*words, "-n", 4)
    assert said.code == 0, said.err
    assert "4 of 4 (51.0 to 100.0 %)" in said.out
    assert "all with spread as the process" in said.out
    figure = tmp_path / "spread.svg"
    said = spikec(*words, "-n", 8, "--vary", "spread=1%,17%", "--plot", figure, "--json")
    good, bad = said.data["combinations"]
    assert good["yield"]["working"] == 8 and good["differ"]["mean"] == 0
    assert bad["yield"]["working"] < 8 and bad["differ"]["mean"] > 0
    assert "spread of every element (%)" in figure.read_text()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("wire=1", "no condition of SFQ circuits"),
        ("spread=-2%", "spread is -2 %"),
        ("temperature=-4", "temperature is -4 K"),
        ("skew=20ps", "clocks of this network wait for 5 ps"),
    ],
)
def test_what_is_no_condition_of_cells(
    spikec: Spikec, cells: Path, tmp_path: Path, word: str, said: str
) -> None:
    words = ("montecarlo", cells / "built", "-s", cells / "s.npz", "-o", tmp_path / "out")
    found = spikec(*words, "--vary", word)
    assert found.code == 2 and "E1490" in found.err and said in found.err
    assert f"at --vary {word}" in found.err and "help: " in found.err
    assert not (tmp_path / "out").exists()


def _start(words: list[object], output: Path, **streams: Any) -> subprocess.Popen[bytes]:
    start = "from spikec.compiler.cli.main import main; main()"
    more = [*map(str, words), "-n", "3000", "-o", str(output)]
    return subprocess.Popen([sys.executable, "-c", start, *more], **streams)


def _lines(output: Path) -> int:
    path = output / JOURNAL
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_a_kill_and_ctrl_c_cost_nothing(
    spikec: Spikec, words: list[object], tmp_path: Path
) -> None:
    """SIGKILL in the middle, then an interrupt of what goes on; then the end is as if never."""
    output, quiet = tmp_path / "out", subprocess.DEVNULL
    killed = _start(words, output, stdout=quiet, stderr=quiet)
    until(lambda: _lines(output) > 4, "results")
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    before = (output / JOURNAL).read_bytes()
    stopped = _start(words, output, stdout=quiet, stderr=subprocess.PIPE)
    until(lambda: _lines(output) > before.count(b"\n") + 2, "more results")
    stopped.send_signal(signal.SIGINT)
    _, told = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    known = _lines(output) - 1
    assert f"interrupted; {known:,} of 3,001 results are kept".encode() in told
    assert b"Traceback" not in told
    assert json.loads((output / "results.json").read_text())["complete"] is False
    kept = (output / JOURNAL).read_bytes()
    assert kept.startswith(before[: before.rfind(b"\n") + 1])
    digests = [json.loads(line)["digest"] for line in kept.splitlines()[1:]]
    assert len(digests) == len(set(digests))
    # Those there are, without any new one, are those of a run that nobody stopped.
    few = ["-n", min(known - 1, 12)]
    assert spikec(*words, *few, "-o", output).code == 0
    assert (output / JOURNAL).read_bytes() == kept
    assert spikec(*words, *few, "-o", tmp_path / "whole").code == 0
    for name in ("results.json", "results.csv"):
        assert (output / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
