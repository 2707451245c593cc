"""A tiny network as a circuit on the command line: chosen, told, verified, deployed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spikec.compiler.frontends.nir import write_nir

from .conftest import OPTIONS, Spikec, make_graph

BOARD = ("-t", "ulx3s-25f", *OPTIONS, "--state-bits", 12, "--input-max", 1, "--no-bitstream")


def test_the_kind_of_core_and_why_are_told(spikec: Spikec, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("amaranth")
    for kind, reason in (("auto", "cycles a step as a circuit"), ("events", "asked for")):
        folder = tmp_path / kind
        said = spikec("compile", model, "-o", folder, *BOARD, "--core", kind)
        assert said.code == 0, said.err
        found = "parallel" if kind == "auto" else kind
        assert f"core: {found} (" in said.out and reason in said.out
        facts = json.loads((folder / "manifest.json").read_text())["emission"]
        assert facts["core"]["kind"] == found and reason in facts["core"]["why"]
        assert facts["build"]["parallel"] == (kind == "auto")
        assert f"{found}: " in (folder / "report.html").read_text()


def test_a_circuit_that_does_not_fit_is_refused(spikec: Spikec, tmp_path: Path) -> None:
    pytest.importorskip("amaranth")
    path, folder = tmp_path / "big.nir", tmp_path / "out"
    write_nir(make_graph(hidden=2000), path)
    said = spikec("compile", path, "-o", folder, *BOARD, "--core", "parallel")
    assert said.code == 2
    assert "E0302" in said.err and "parallel core" in said.err and "too many" in said.err
    assert not folder.exists()
    said = spikec("compile", path, "-o", folder, *BOARD, "--core", "parallel", "--lanes", 2)
    assert said.code == 2 and "E0707" in said.err and "--core events" in said.err


@pytest.mark.slow
def test_the_whole_path(spikec: Spikec, model: Path, stimulus: Path, tmp_path: Path) -> None:
    """Compiled, verified, profiled and deployed to the simulated board, which takes no load."""
    for module in ("amaranth", "cocotb", "serial"):
        pytest.importorskip(module)
    folder = tmp_path / "out"
    said = spikec("compile", model, "-o", folder, *BOARD, "--json")
    assert said.code == 0, said.err
    facts = said.data["manifest"]["emission"]
    assert facts["core"]["kind"] == "parallel"
    said = spikec("verify", folder, "-s", stimulus, "--rungs", "integer,rtl")
    assert said.code == 0 and "integer / rtl: equal" in said.out, said.err
    said = spikec("profile", folder, "-s", stimulus, "--json")
    assert said.code == 0, said.err
    said = spikec("deploy", folder, "--port", "sim", "-s", stimulus, "--verify", "--json")
    assert said.code == 0, said.err
    assert said.data["device"]["image_digest"] == facts["image_digest"]
    assert "loaded" not in said.data
    said = spikec("deploy", folder, "--port", "sim", "--load")
    assert said.code == 2 and "E0707" in said.err and "nothing to load" in said.err
