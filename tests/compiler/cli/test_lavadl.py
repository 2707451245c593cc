"""A Lava-DL file on the command line, wherever a NIR file is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ...backends.loihi.networks import lava_python
from ..frontends.lavadl.files import Layer, conv, dense, given, neuron, outputs, write
from .conftest import Spikec

STEPS = 16


def layers() -> list[Layer]:
    """An input with a neuron, a convolution with delays, a pool, a matrix with odd weights."""
    r = np.random.default_rng(3)
    kernel = 2 * r.integers(-9, 30, (3, 2, 3, 3))
    pool = conv([[[[48, 48], [48, 48]]]], (3, 2, 2), "pool", stride=[2, 2])
    return [
        given(2, 5, 5, weight=[20.0], bias=[5.0], neuron=neuron(iDecay=4096)),
        conv(kernel, (3, 3, 3), bias=[3.0, 0.0, -2.0], delay=[0.0, 3.0, 1.0]),
        pool,
        {"type": "flatten", "shape": [12, 1, 1]},
        dense(r.integers(-40, 90, (4, 12)), bias=[1.0, 2.0, 3.0, 4.0]),
    ]


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return write(tmp_path / "small.net", layers())


@pytest.fixture
def stimulus(tmp_path: Path) -> Path:
    x = np.random.default_rng(4).integers(0, 41, (2, STEPS, 2, 5, 5))
    np.savez(tmp_path / "stimulus.npz", input=x)
    return tmp_path / "stimulus.npz"


def test_show(spikec: Spikec, net: Path) -> None:
    said = spikec("show", net, "--json")
    assert said.code == 0, said.err
    assert [p["name"] for p in said.data["populations"]] == ["layer0", "layer1", "layer2", "layer4"]
    assert {p["model"] for p in said.data["populations"]} == {"LoihiLIF"}
    kinds = [p["kind"] for p in said.data["projections"]]
    assert kinds == ["OneToOne", "Conv2d", "Sparse", "Dense"]
    assert [d["code"] for d in said.data["diagnostics"]] == ["N0137"]


def test_compile_and_run(spikec: Spikec, net: Path, stimulus: Path, tmp_path: Path) -> None:
    """The artefact's network spikes as plain loops over the file's numbers do."""
    said = spikec("compile", net, "-t", "lava", "-o", tmp_path / "out", "--input-max", 40)
    assert said.code == 0, said.err
    assert (tmp_path / "out" / "network.py").is_file()
    assert "quantisation" not in said.out  # nothing was quantised
    recording = tmp_path / "run.npz"
    said = spikec(
        "run", tmp_path / "out", "--on", "integer", "--stimulus", stimulus, "-o", recording
    )
    assert said.code == 0, said.err
    total = 0
    with np.load(stimulus) as data:
        for x in data["input"]:
            total += int(outputs(layers(), x)[-1].sum())
    assert total
    assert f"layer4: {total} emitted in 2 sample(s)" in said.out


def test_calibration_of_numbers_that_are_loihis(
    spikec: Spikec, net: Path, stimulus: Path, tmp_path: Path
) -> None:
    """There is nothing to choose and no twin to measure against, and the rest is as ever."""
    line = ("compile", net, "-t", "lava", "--input-max", 40, "--calibration", stimulus)
    said = spikec(*line, "--chip", "loihi1", "-o", tmp_path / "out")
    assert said.code == 0, said.err
    assert "N0408" not in said.err and "cores: " in said.out


def test_lava_does_the_same(spikec: Spikec, net: Path, stimulus: Path, tmp_path: Path) -> None:
    lava_python()
    place = tmp_path / "out"
    assert spikec("compile", net, "-t", "lava", "-o", place, "--input-max", 40).code == 0
    # Golden has no such arithmetic, and is not among the rungs that are compared unless asked.
    said = spikec("verify", place, "--stimulus", stimulus)
    assert said.code == 0, said.err
    assert "integer / lava: equal" in said.out


def test_what_is_refused(spikec: Spikec, net: Path, tmp_path: Path) -> None:
    said = spikec("show", net, "--dialect", "nir")
    assert said.code == 2 and "error E0707" in said.err
    place = tmp_path / "board"
    said = spikec("compile", net, "-t", "icebreaker", "-o", place)
    assert said.code == 2 and "error E0301" in said.err
    assert not place.exists()
    net.write_bytes(net.read_bytes()[:900])
    said = spikec("show", net)
    assert said.code == 2 and "error E0101" in said.err and "small.net" in said.err
