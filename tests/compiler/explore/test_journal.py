"""The journal: nothing is lost, nothing is mixed, nothing is written twice."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from spikec.compiler.explore.journal import JOURNAL, open_journal
from spikec.compiler.explore.point import Point, Result
from spikec.ir.diagnostics import Diagnostics, SpikecError

HEADER = {"model": "a" * 64, "seed": 1}
ONE = Result(Point((("target", "null"), ("weight_bits", 4))), (("accuracy", 0.5), ("cores", 2.0)))
TWO = Result(Point((("target", "null"), ("weight_bits", 8))), (), "E0302", "too large")


def write(folder: Path, *results: Result) -> bytes:
    with open_journal(folder, HEADER, Diagnostics()) as journal:
        for result in results:
            journal.add(result)
    return (folder / JOURNAL).read_bytes()


def refusal(folder: Path, header: Mapping[str, object] = HEADER) -> str:
    with pytest.raises(SpikecError) as caught, open_journal(folder, header, Diagnostics()):
        pass
    return str(caught.value)


def test_results_come_back(tmp_path: Path) -> None:
    write(tmp_path, ONE, TWO)
    with open_journal(tmp_path, HEADER, Diagnostics()) as journal:
        assert journal.results == {r.point.digest: r for r in (ONE, TWO)}
        assert journal.resumed == 2


def test_a_result_is_written_once_and_at_once(tmp_path: Path) -> None:
    with open_journal(tmp_path, HEADER, Diagnostics()) as journal:
        journal.add(ONE)
        before = (tmp_path / JOURNAL).read_bytes()
        assert before.count(b"\n") == 2
        journal.add(ONE)
        assert (tmp_path / JOURNAL).read_bytes() == before


def test_a_line_is_a_result_that_others_can_read(tmp_path: Path) -> None:
    head, first, second = write(tmp_path, ONE, TWO).splitlines()
    assert json.loads(head) == {"format": 1, **HEADER}
    assert json.loads(first)["values"] == {"accuracy": 0.5, "cores": 2}
    assert json.loads(second)["refused"] == {"code": "E0302", "message": "too large"}


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_line_cut_short_is_told_and_written_again(tmp_path: Path, cut: int) -> None:
    whole = write(tmp_path, ONE, TWO)
    (tmp_path / JOURNAL).write_bytes(whole[:-cut])
    found = Diagnostics()
    with open_journal(tmp_path, HEADER, found) as journal:
        assert list(journal.results.values()) == [ONE]
        journal.add(TWO)
    assert [d.code for d in found] == ["W0907"]
    assert (tmp_path / JOURNAL).read_bytes() == whole


def test_a_header_cut_short_begins_anew(tmp_path: Path) -> None:
    whole = write(tmp_path)
    (tmp_path / JOURNAL).write_bytes(whole[:10])
    assert write(tmp_path) == whole


def test_results_of_something_else_are_refused(tmp_path: Path) -> None:
    before = write(tmp_path, ONE)
    said = refusal(tmp_path, {**HEADER, "model": "b" * 64})
    assert "E0902" in said and "model was aaaaaaaaaaaa…, is bbbbbbbbbbbb…" in said
    assert (tmp_path / JOURNAL).read_bytes() == before


@pytest.mark.parametrize(
    "line", [b"{}", b"[1]", b"nonsense", b'{"digest":"0","point":{"target":"null"},"values":{}}']
)
def test_damage_in_the_middle_is_refused_by_its_line(tmp_path: Path, line: bytes) -> None:
    head, first, second = write(tmp_path, ONE, TWO).splitlines()
    (tmp_path / JOURNAL).write_bytes(b"\n".join([head, first, line, second]) + b"\n")
    said = refusal(tmp_path)
    assert "E0904" in said and f"{JOURNAL}:3" in said


def test_a_first_line_that_says_nothing(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b"hello\n")
    assert "E0904" in refusal(tmp_path)


def test_two_runs_do_not_share_a_journal(tmp_path: Path) -> None:
    with open_journal(tmp_path, HEADER, Diagnostics()):
        assert "E0903" in refusal(tmp_path)
    write(tmp_path)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    assert "thesis.tex, which no exploration wrote" in refusal(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_place_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    assert "E0604" in refusal(tmp_path / "out")
