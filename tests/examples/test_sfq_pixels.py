"""Letters on superconducting cells, weights as probabilities: training, accuracy, the circuit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spikec.compiler.cli.main import invoke

from .scripts import script

SAMPLES = 60


@pytest.fixture(scope="module")
def pixels() -> Iterator[ModuleType]:
    yield from script("sfq_pixels/pixels.py")


@pytest.fixture(scope="module")
def built(pixels: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pixels")
    pixels.write(folder, SAMPLES)
    target = ["-t", "mitll-sfq5ee", "--input-max", "1", "--weight-bits", "4"]
    model, place = str(folder / "pixels.spk"), str(folder / "built")
    assert invoke(["compile", model, *target, "--release", "weights", "-o", place]) == 0
    return Path(place)


def test_weights_are_what_the_letters_differ_by(pixels: ModuleType) -> None:
    """The delta rule reads clean letters, each by some 1; twice from a seed it is the same."""
    weight, theta = pixels.trained(np.random.default_rng(pixels.SEED))
    again, _ = pixels.trained(np.random.default_rng(pixels.SEED))
    assert (weight == again).all()
    clean = pixels.DARK + (pixels.BRIGHT - pixels.DARK) * pixels.letters()
    score = clean @ weight.T - theta
    assert (score.argmax(1) == np.arange(3)).all() and (np.diag(score) > 0.4).all()


def test_synapses_read_as_many_letters_as_counts_of_pulses(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = json.loads((built / "manifest.json").read_text())["emission"]["release"]["graded"]
    assert facts["weights"] and facts["synapses"] > 10 and facts["probability"][0] < 0.5
    found = {}
    for rung, samples in (("integer", SAMPLES), ("events", SAMPLES), ("circuit", 1)):
        given = ["-s", str(built.parent / "test.npz"), "--samples", str(samples)]
        steps = ["--steps", "8"] if rung == "circuit" else []
        capsys.readouterr()
        assert invoke(["run", str(built), "--on", rung, *given, *steps, "--json"]) == 0
        found[rung] = json.loads(capsys.readouterr().out)["accuracy"]
    assert found["integer"] >= 0.9 and found["events"] >= found["integer"] - 0.1
    assert found["circuit"] == 1.0


def test_a_folder_that_cannot_be_written(
    pixels: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert pixels.main([str(tmp_path / "file")]) == 3
    assert "file" in capsys.readouterr().err
    assert pixels.main([str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "pixels.spk").exists()
