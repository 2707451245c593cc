"""The XOR of rates in small form: files, a map, and the gap over bias and of chips."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import Gap, Tolerance, find_target, find_tolerant
from spikec.compiler.compile import compile_graph
from spikec.compiler.gap import gap_request, patterns
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.events import Events, Stimulus

from .scripts import script


@pytest.fixture(scope="module")
def rates() -> Iterator[ModuleType]:
    yield from script("sfq_xor_rates/rates.py")


def compiled(rates: ModuleType, *release: str) -> Artifact:
    backend, target = find_target("mitll-sfq5ee")
    options = {"release": release}
    return compile_graph(
        rates.network(), backend, target, Quantise(input_max=1), options
    ).artifact()


def test_a_small_map(
    rates: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(rates, "GRID", np.array([0.1, 0.9]))
    monkeypatch.setattr(rates, "CORNERS", (0.1, 0.9))
    compiled(rates, "first=0.9", "second=0.95").write(tmp_path / "built")
    arguments = ["map", str(tmp_path / "built"), "-o", str(tmp_path / "out")]
    assert rates.main([*arguments, "--steps", "600", "--cases", "8"]) == 0
    found = json.loads((tmp_path / "out" / "map.json").read_text())
    assert found["probabilities"] == [0.9] * 4 + [0.95] * 2
    for name, part, steps in (
        ("events", found, 600), ("circuit", found["circuit"], found["circuit"]["steps"])
    ):  # fmt: skip
        wanted = np.array(part["formula"])
        # Chance, and in the circuit synapses that are a third of sigma off.
        error = 4 * np.sqrt(wanted * (1 - wanted) / steps) + (0.05 if name == "circuit" else 0)
        assert (np.abs(np.array(part[name]) - wanted) < error).all()
    assert "circuit, 32 steps each" in capsys.readouterr().out
    assert (tmp_path / "out" / "map.svg").read_bytes().startswith(b"<svg")


def test_what_it_writes_and_reads(
    rates: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rates.main(["network", str(tmp_path), "--steps", "300"]) == 0
    data = np.load(tmp_path / "trains.npz")
    assert (tmp_path / "xor.spk").read_text().startswith("spikec-graph")
    assert data.files
    assert rates.main(["map", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "manifest" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        rates.main(["map", str(tmp_path), "-o", "out", "--cases", "0"])


def test_trains_have_their_rates(rates: ModuleType) -> None:
    wanted = np.array([[0.1, 0.9], [0.5, 0.0], [1.0, 0.3]])
    found = rates.trains(wanted, 4000, 3)
    assert found.shape == (3, 4000, 2)
    assert (np.abs(found.mean(1) - wanted) <= 4 * np.sqrt(wanted * (1 - wanted) / 4000)).all()


def test_the_formula_is_the_mean_of_what_can_happen(rates: ModuleType) -> None:
    """By all 64 cases of six releases and four of the inputs."""
    p, rate = (0.9, 0.8, 0.7, 0.95, 0.85, 0.6), np.array([[0.3, 0.6], [1, 1], [0, 1], [0, 0]])
    cases = np.array(np.meshgrid(*[[0, 1]] * 6, indexing="ij")).reshape(6, -1).astype(bool)
    odds = np.prod(np.where(cases.T, p, 1 - np.array(p)), axis=1)
    wanted = np.zeros(len(rate))
    for a in (0, 1):
        for b in (0, 1):
            any_ = (a & cases[0]) | (b & cases[1])
            both = (a & cases[2]) & (b & cases[3])
            fires = any_ & cases[4] & ~(both & cases[5])
            often = np.where(a, rate[:, 0], 1 - rate[:, 0]) * np.where(
                b, rate[:, 1], 1 - rate[:, 1]
            )
            wanted += often * (odds * fires).sum()
    np.testing.assert_allclose(rates.formula(p, rate), wanted, rtol=1e-12)


def gapped(rates: ModuleType, release: str, gap: Gap, *conditions: str) -> Tolerance:
    """The circuit beside the inputs that trains of half the steps have."""
    artifact = compiled(rates, release)
    events = Events.from_dense(rates.trains([[0.5, 0.5]], 40, 1).astype(np.int64))
    inputs = patterns(Stimulus({"in": events}))
    return find_tolerant(artifact).tolerance(gap_request(artifact, inputs, gap, conditions))


@pytest.mark.slow
def test_trims_bring_circuits_back(rates: ModuleType) -> None:
    """The least gap of 16 chips is larger by a tenth, and gaps are nearer to each other."""
    plain, trimmed = (
        [one.gap for one in gapped(rates, "0.95", gap, "spread=2%", "skew=5ps").chips(range(16))]
        for gap in (Gap(0.5, 60, 0.0), Gap(0.5, 60, 0.0, trim=True))
    )
    assert min(trimmed) > min(plain) + 0.1
    assert np.std(trimmed) < 0.8 * np.std(plain)


@pytest.mark.slow
def test_the_gap_holds(rates: ModuleType) -> None:
    """With skew from -5 to +20 % of bias, and of 24 chips of 2 %."""
    gap = Gap(0.5, 25)
    for bias in ("0.95", "1", "1.2"):
        (one,) = gapped(rates, "0.98", gap, "skew=5ps", f"bias={bias}").chips((1,))
        assert one.gap >= 0.5
    found = gapped(rates, "0.98", gap, "skew=5ps", "spread=2%").chips(range(24))
    # A chip may be one in a hundred that is not right, and 25 orders say so by mistake.
    assert sum(one.gap >= 0.5 for one in found) >= 22
