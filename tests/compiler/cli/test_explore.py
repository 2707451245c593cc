"""spikec explore: what it says, what it writes, how it refuses."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from spikec.compiler.explore import evaluate

from .conftest import OPTIONS, Spikec

SPACE = '[space]\ntarget = ["null"]\nweight_bits = [2, 4, 8]\nstate_bits = [8, 12, 16, 24]\n'
NUMBER = {"type": ["number", "null"]}
SCHEMA = {
    "type": "object",
    "required": "front evaluations points budget complete hypervolume refused ideal worst".split(),  # noqa: SIM905
    "properties": {
        "hypervolume": {"type": "number", "minimum": 0, "maximum": 1},
        "complete": {"type": "boolean"},
        "refused": {
            "type": "array",
            "items": {"type": "object", "required": ["code", "count", "first"]},
        },
        "front": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["point", "digest", "values", "alike"],
                "properties": {
                    "values": {
                        "type": "object",
                        "required": ["accuracy", "latency", "energy", "cores"],
                        "additionalProperties": NUMBER,
                    },
                    "alike": {"type": "integer"},
                },
            },
        },
    },
}


@pytest.fixture
def words(model: Path, stimulus: Path, tmp_path: Path) -> list[str]:
    (tmp_path / "space.toml").write_text(SPACE)
    said = ["explore", model, "--space", tmp_path / "space.toml", "-s", stimulus, *OPTIONS]
    return [*map(str, said), "-o", str(tmp_path / "out")]


def test_says_and_writes_the_front(spikec: Spikec, words: list[str], tmp_path: Path) -> None:
    said = spikec(*words)
    assert said.code == 0, said.err
    assert "on the front, of 12 evaluated, of 12 (100 %)" in said.out
    assert "latency: not known of" in said.out
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names >= {"front.json", "front.csv", "journal.jsonl"}
    assert (tmp_path / "out" / "journal.jsonl").read_text().count("\n") == 13


def test_json_is_the_file(spikec: Spikec, words: list[str], tmp_path: Path) -> None:
    data = spikec(*words, "--json").data
    jsonschema.validate(data, SCHEMA)
    written = json.loads((tmp_path / "out" / "front.json").read_text())
    assert data == written | {"output": str(tmp_path / "out")}


def test_goes_on_where_it_was(
    spikec: Spikec, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spikec(*words, "-n", 5)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    first = spikec(*words, "-n", 12)
    assert "going on: 5 evaluations are known" in first.out
    monkeypatch.setattr(evaluate, "compile_graph", never)
    again = spikec(*words, "-n", 12)
    assert again.code == 0
    assert again.out.replace("12 evaluations are", "5 evaluations are") == first.out


def test_refusals_are_counted_with_their_reason(
    spikec: Spikec, words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "space.toml").write_text(
        '[space]\ntarget = ["null", "icebreaker"]\nclock = [7]\nweight_bits = [4, 8]\n'
    )
    said = spikec(*words)
    assert said.code == 0, said.err
    assert "refused 2 x E0305, first: icebreaker has no clock of 7 MHz" in said.out


def test_a_space_of_refusals_only_is_an_error(
    spikec: Spikec, words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "space.toml").write_text('[space]\ntarget = ["icebreaker"]\nclock = [7]\n')
    said = spikec(*words, "--json")
    assert said.code == 2
    assert said.data["diagnostics"][0]["code"] == "E0906"
    assert "no clock of 7 MHz" in said.err


@pytest.mark.parametrize(
    ("more", "code", "text"),
    [
        (["--jobs", "2", "--scheduler", "tcp://x:1"], 2, "give one"),
        (["--jobs", "0"], 2, "E0707"),
        (["-n", "0"], 2, "E0707"),
        (["--method", "guess"], 2, "E0707"),
        (["--space", "nowhere.toml"], 2, "E0901"),
        (["-s", "nowhere.npz"], 2, "E0701"),
        (["--seed", "2"], 2, "E0902"),
        (["--samples", "1"], 2, "E0902"),
    ],
)
def test_wrong_options(
    spikec: Spikec, words: list[str], more: list[str], code: int, text: str, tmp_path: Path
) -> None:
    if text == "E0902":
        spikec(*words, "-n", 1)
    said = spikec(*words, *more)
    assert said.code == code
    assert text in said.err


def test_an_artefact_is_left_alone(spikec: Spikec, words: list[str], built: Path) -> None:
    before = sorted(p.name for p in built.iterdir())
    said = spikec(*words[:-1], built)
    assert (said.code, "E0604" in said.err) == (3, True)
    assert sorted(p.name for p in built.iterdir()) == before


@pytest.mark.parametrize(
    ("package", "more", "extra"),
    [("moocore", [], "explore"), ("distributed", ["--scheduler", "tcp://x:1"], "dask")],
)
def test_a_missing_package_says_how_to_get_it(
    spikec: Spikec,
    words: list[str],
    package: str,
    more: list[str],
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == package else real(name, *a)
    )
    said = spikec(*words, *more)
    assert said.code == 3
    assert f"pip install 'spikec[{extra}]'" in said.err


def _start(words: list[str], **streams: Any) -> subprocess.Popen[bytes]:
    start = "from spikec.compiler.cli.main import main; main()"
    return subprocess.Popen([sys.executable, "-c", start, *words], **streams)


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_keeps_everything_and_says_so(
    spikec: Spikec, words: list[str], tmp_path: Path, jobs: int
) -> None:
    (tmp_path / "space.toml").write_text(SPACE + "decay_bits = { from = 4, to = 22 }\n")
    process = _start(
        [*words, "-n", "200", "-j", str(jobs)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    journal = tmp_path / "out" / "journal.jsonl"
    end = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b"\n") < 5:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    known = journal.read_bytes().count(b"\n") - 1
    assert f"interrupted; {known} of 200 evaluations are kept".encode() in told
    assert b"Traceback" not in told and b"explore  " not in told
    data = json.loads((tmp_path / "out" / "front.json").read_text())
    assert (data["complete"], data["evaluations"]) == (False, known)


def test_progress_is_shown_on_a_terminal_only(words: list[str]) -> None:
    ours, theirs = pty.openpty()
    process = _start([*words, "-n", "12"], stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    told = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        told += part
    os.close(ours)
    assert process.wait() == 0
    assert b"explore" in told
