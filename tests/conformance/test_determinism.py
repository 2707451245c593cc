"""The same input gives the same digest: in two folders, under two hash seeds, in two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.compiler.frontends.nir import write_nir
from spikec.ir.connections import Dense
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF, CubaLIF
from spikec.ir.semantics import Reset, Semantics

_COMPILE = "import sys; from spikec.compiler.cli.main import main; main(sys.argv[1:])"


def network() -> Graph:
    """A loop, two paths that meet, and neurons that differ: whatever may be put in any order."""
    rng = np.random.default_rng(8)
    rules = Semantics(reset=Reset.SUBTRACT)
    one = np.ones(())

    def weights(post: int, pre: int) -> Dense:
        return Dense(rng.normal(0.1, 0.4, (post, pre)))

    slow = LIF(rng.uniform(0.01, 0.05, 9), 5 * np.ones(9), np.zeros(9), np.ones(9))
    synaptic = CubaLIF(0.005 * one, 0.02 * one, 4 * one, 0 * one, 5 * one, one)
    return Graph(
        "determinism",
        1e-3,
        (Input("in", (7,)),),
        (
            Population("wide", (9,), slow, rules),
            Population("side", (6,), synaptic, rules),
            Population("out", (3,), synaptic, rules),
        ),
        (
            Projection("in-wide", "in", "wide", weights(9, 7)),
            Projection("in-side", "in", "side", weights(6, 7)),
            Projection("side-side", "side", "side", weights(6, 6), 1, recurrent=True),
            Projection("wide-out", "wide", "out", weights(3, 9)),
            Projection("side-out", "side", "out", weights(3, 6), bias=rng.normal(0, 0.1, 3)),
        ),
        (Output("label", "out"),),
    )


def compiled(model: Path, folder: Path, hash_seed: str, options: list[str]) -> dict[str, Any]:
    """Compile in a process and a folder of its own; the manifest."""
    folder.mkdir(parents=True)
    copy = folder / model.name
    copy.write_bytes(model.read_bytes())
    words = ["compile", copy.name, "--dialect", "snntorch", "--dt", "0.001", "-o", "built"]
    done = subprocess.run(
        [sys.executable, "-c", _COMPILE, *words, *options],
        cwd=folder,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads((folder / "built" / "manifest.json").read_text())
    return facts


@pytest.mark.parametrize(
    "options",
    [
        ["-t", "null"],
        ["-t", "spinnaker1"],
        ["-t", "icebreaker", "--no-bitstream", "--state-bits", "16"],
        pytest.param(["-t", "icebreaker", "--state-bits", "16"], marks=pytest.mark.slow),
    ],
    ids=["null", "chip", "verilog", "bitstream"],
)
def test_two_compilations_have_one_digest(options: list[str], tmp_path: Path) -> None:
    model = tmp_path / "model.nir"
    write_nir(network(), model)
    one = compiled(model, tmp_path / "one", "1", options)
    two = compiled(model, tmp_path / "a longer name" / "two", "4321", options)
    differ = [name for name in one["files"] if one["files"][name] != two["files"].get(name)]
    assert not differ
    assert one == two
    assert len(one["digest"]) == 64
    if "bitstream" in one["emission"]:
        assert one["files"][one["emission"]["bitstream"]]["bytes"] > 50_000
