"""A goal of cycles or time on the command line: kept, told with what else there was, or refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from spikec.compiler.frontends.nir import write_nir

from .conftest import OPTIONS, Spikec, make_graph

BOARD = ("-t", "ulx3s-25f", *OPTIONS, "--state-bits", 12, "--no-bitstream")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    pytest.importorskip("amaranth")
    path = tmp_path / "model.nir"
    write_nir(make_graph(hidden=150), path)
    return path


def test_a_goal_is_kept_and_told(spikec: Spikec, network: Path, tmp_path: Path) -> None:
    """The same core for cycles and for as long a time; what else fits is in the manifest."""
    cells = {}
    for name, more in {
        "none": (),
        "few": ("--cycles", 220),
        "time": ("--step-time", "8.8us"),
        "fewest": ("--cycles", "fewest"),
    }.items():
        said = spikec("compile", network, "-o", tmp_path / name, *BOARD, *more)
        assert said.code == 0, said.err
        facts = json.loads((tmp_path / name / "manifest.json").read_text())["emission"]
        cells[name] = facts["forecast"]["logic"]
        told = re.search(
            r"forecast: (\d+ lanes? and \d units?), ([\d,.]+) cycles a step at", said.out
        )
        assert told is not None, said.out
        assert float(told[2].replace(",", "")) == round(facts["forecast"]["cycles"], 1)
        front = facts["choice"]["front"]
        sizes = [(o["lanes"], o["units"]) for o in front]
        assert (facts["lanes"], facts["build"]["units"]) in sizes
        assert f"of {facts['choice']['fit']} that fit: " in said.out
        assert facts["choice"]["rule"] in said.out
        assert told[1] == facts["core"]["title"] in [one["title"] for one in front]
        report = json.loads((tmp_path / name / "report.json").read_text())
        taken = [one for one in report["choice"]["candidates"] if one["taken"]]
        assert [(one["cells"], one["cycles"]) for one in taken] == [
            (cells[name], facts["forecast"]["cycles"])
        ]
        assert "Choice of the core" in (tmp_path / name / "report.html").read_text()
        blocks = [r for r in report["resources"] if r["title"] == "block memory, all together"]
        assert (
            blocks[0]["used"]["value"]
            == sum(facts["memory_blocks"].values())
            <= blocks[0]["limit"]["value"]
        )
        if name in ("few", "time"):
            assert facts["choice"]["most"] == 220 and facts["forecast"]["cycles"] <= 220
            assert all(o["logic"] >= cells[name] for o in front if o["cycles"] <= 220)
    assert cells["few"] == cells["time"] < cells["none"] <= cells["fewest"]
    assert "(8.8 us at 25 MHz)" in (tmp_path / "time" / "manifest.json").read_text()


def test_what_is_said_in_full_is_not_chosen(spikec: Spikec, network: Path, tmp_path: Path) -> None:
    said = spikec(
        "compile", network, "-o", tmp_path / "o", *BOARD, "--lanes", 8, "--units", 2, "--json"
    )
    assert said.code == 0, said.err
    assert "choice" not in said.data["manifest"]["emission"]
    assert json.loads((tmp_path / "o" / "report.json").read_text())["choice"] is None
    assert "Choice of the core" not in (tmp_path / "o" / "report.html").read_text()


@pytest.mark.parametrize(
    ("more", "code", "what", "mend"),
    [
        (("--cycles", 12), "E0311", "at most 12 cycles a step at 10 % activity", "--cores auto"),
        (
            ("--step-time", "0.4us"),
            "E0311",
            "10 cycles a step (0.4 us at 25 MHz)",
            "--step-time 1.6us",
        ),
        (
            ("--cycles", 12, "--lanes", 4),
            "E0311",
            "with --lanes as given, no core",
            "without --lanes",
        ),
        (("--cycles", 0), "E0707", "'0' is neither a number from 1 on nor 'fewest'", "--help"),
        (("--cycles", "few"), "E0707", "'few' is neither", "--help"),
        (("--step-time", "2"), "E0707", "'2' is no time as in 50us or 2ms", "--help"),
        (("--step-time", "1ns"), "E0311", "at most 0 cycles", "--step-time 1.6us"),
        (("--step-time", "0ms"), "E0707", "'0ms' is no time", "--help"),
        (("--step-time", "1ms", "--cycles", 9), "E0707", "say the same", ""),
        (("--activity", 0), "E0707", "'0' is no percentage above 0", "--help"),
        (("--activity", "nan"), "E0707", "'nan' is no percentage", "--help"),
        (
            ("--cycles", 9, "--core", "events"),
            "E0311",
            "with --core as given, no",
            "without --core",
        ),
        (("--cycles", 9, "--cores", 2), "E0311", "with --cores as given, no", "without --cores"),
    ],
)
def test_a_goal_that_cannot_be_kept_is_refused(
    spikec: Spikec,
    network: Path,
    tmp_path: Path,
    more: tuple[object, ...],
    code: str,
    what: str,
    mend: str,
) -> None:
    said = spikec("compile", network, "-o", tmp_path / "out", *BOARD, *more)
    assert said.code == 2
    for part in (code, what, mend):
        assert part in said.err, said.err
    assert not (tmp_path / "out").exists()
