"""The N-MNIST convolutional file on 100 recorded samples, under the rules its export lost.

Sinabs' file says nothing of spikes per step, of subtraction, or of the clamp of the membrane. The
float figures are those of the same network under four sets of rules.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.compiler.artifact import load_artifact
from spikec.compiler.cli.main import invoke
from spikec.compiler.compare import accuracy
from spikec.compiler.ladder import network, run_rung
from spikec.compiler.stimulus import load_stimulus

# rules set over the dialect sinabs: samples of 100 that float arithmetic gets right
VARIANTS = {
    "single-subtract": (("max_spikes=1",), 97),
    "single-zero": (("max_spikes=1", "reset=zero"), 100),
    "multi-subtract": ((), 100),
    "multi-clamp": (("v_min=-1",), 96),
}


def compiled(variant: str, data_dir: Path, folder: Path, capsys: Any) -> Path:
    model = data_dir / "nir" / "cnn" / "cnn_sinabs.nir"
    arguments = ["compile", str(model), "--dialect", "sinabs", "-t", "null", "-o", str(folder)]
    for rule in VARIANTS[variant][0]:
        arguments += ["--set", rule]
    assert invoke([*arguments, "--weight-bits", "8", "--json"]) == 0
    capsys.readouterr()
    return folder


@pytest.mark.parametrize("variant", VARIANTS)
def test_eight_bits_lose_at_most_one_sample(
    variant: str, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = compiled(variant, data_dir, tmp_path / "cnn", capsys)
    stimulus = data_dir / "nmnist" / "nmnist_test100.npz"
    arguments = ["run", str(folder), "--on", "integer", "--stimulus", str(stimulus)]
    assert invoke([*arguments, "--steps", "300", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["labelled"], found["steps"]) == (100, 300)
    assert abs(found["correct"] - VARIANTS[variant][1]) <= 1
    assert found["correct"] >= 95


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_golden_reproduces_the_float_figures(
    variant: str, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = load_artifact(compiled(variant, data_dir, tmp_path / "cnn", capsys))
    graph = network(artifact)
    labelled = load_stimulus(data_dir / "nmnist" / "nmnist_test100.npz", graph, steps=300)
    assert labelled.labels is not None
    golden = run_golden(graph, labelled.stimulus, codegen="standalone")
    output = graph.outputs[0].source
    right, total = accuracy(golden, output, labelled.labels)
    assert total == 100
    assert abs(right - VARIANTS[variant][1]) <= 1
    integer = run_rung(artifact, "integer", labelled.stimulus).recording
    winners = [r.spikes[output].counts().argmax(axis=1) for r in (golden, integer)]
    assert np.count_nonzero(winners[0] != winners[1]) <= 2
