"""A small network as a NIR file, its stimulus, and the command line run inside the test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.compiler.cli.main import invoke
from spikec.compiler.frontends.nir import write_nir
from spikec.compiler.stimulus import LabelledStimulus, stimulus_bytes
from spikec.ir.connections import Dense
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF
from spikec.ir.text import text

from ..margins.conftest import TARGET, both
from ..margins.conftest import make_stimulus as both_stimulus

SAMPLES, STEPS = 4, 30
OPTIONS = ("--dialect", "snntorch", "--dt", "0.001")


@dataclass(frozen=True)
class Said:
    """What one invocation said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output as the one JSON object it must be."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


Spikec = Callable[..., Said]


@pytest.fixture
def spikec(capsys: pytest.CaptureFixture[str]) -> Spikec:
    """Runs a verb and gives what it said."""

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = invoke([str(a) for a in arguments])
        return Said(code, *capsys.readouterr())

    return run


def make_graph(tau: float = 0.02, hidden: int = 6) -> Graph:
    r = np.random.default_rng(5)
    one, zero = np.asarray(1.0), np.asarray(0.0)
    neuron = LIF(tau=np.asarray(tau), r=one, v_leak=zero, v_threshold=one)
    return Graph(
        name="small",
        dt=1e-3,
        inputs=(Input("in", (3,)),),
        populations=(Population("hidden", (hidden,), neuron), Population("out", (2,), neuron)),
        projections=(
            Projection("w1", "in", "hidden", Dense(r.normal(8.0, 8.0, (hidden, 3)))),
            Projection("w2", "hidden", "out", Dense(r.normal(8.0, 8.0, (2, hidden)))),
        ),
        outputs=(Output("spikes", "out"),),
    )


@pytest.fixture(scope="session")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("cli")
    write_nir(make_graph(), home / "small.nir")
    r = np.random.default_rng(6)
    dense = (r.random((SAMPLES, STEPS, 3)) < 0.5).astype(np.int64)
    stimulus = Stimulus({"in": Events.from_dense(dense)})
    labels = np.arange(SAMPLES) % 2
    (home / "test.npz").write_bytes(stimulus_bytes(LabelledStimulus(stimulus, labels)))
    arguments = ["compile", home / "small.nir", "-t", "null", "-o", home / "built", *OPTIONS]
    assert invoke([str(a) for a in arguments]) == 0
    return home


@pytest.fixture
def model(_home: Path, tmp_path: Path) -> Path:
    """The NIR file of a 3-6-2 network, free to be damaged."""
    return Path(shutil.copy(_home / "small.nir", tmp_path / "small.nir"))


@pytest.fixture
def stimulus(_home: Path, tmp_path: Path) -> Path:
    """Four labelled samples of thirty steps."""
    return Path(shutil.copy(_home / "test.npz", tmp_path / "test.npz"))


@pytest.fixture
def built(_home: Path, tmp_path: Path) -> Path:
    """The network compiled for the null target, free to be damaged."""
    return Path(shutil.copytree(_home / "built", tmp_path / "built"))


@pytest.fixture(scope="session")
def _cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sfq")
    (home / "both.spk").write_text(text(both()), encoding="utf-8")
    (home / "s.npz").write_bytes(stimulus_bytes(both_stimulus()))
    words = ["compile", home / "both.spk", "-t", TARGET, "-o", home / "built"]
    assert invoke([str(word) for word in words]) == 0
    return home


@pytest.fixture
def cells(_cells: Path) -> Path:
    """A circuit of cells, ``built``, and a stimulus, ``s.npz``."""
    return _cells
