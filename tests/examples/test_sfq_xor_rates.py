"""The XOR of rates in small form: files, gap over bias, circuits that are off, a map, plots."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.passes.quantise import Quantise

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


def test_a_small_measurement(
    rates: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four orders at one bias and for two circuits: the script, its figures and its plot."""
    compiled(rates, "0.998").write(tmp_path / "built")
    arguments = ["measure", str(tmp_path / "built"), "-o", str(tmp_path / "out")]
    code = rates.main([*arguments, "--bias", "1", "--orders", "4", "--circuits", "2"])
    found = json.loads((tmp_path / "out" / "gap.json").read_text())
    assert [row["supply"] for row in found["points"]] == ["common", "own"]
    assert all(row["gap"] >= 0.5 for row in found["points"])
    assert found["range"] == {"common": [1, 1], "own": [1, 1]}
    (one,) = found["yields"]
    assert one["working"] == one["circuits"] == 2 and one["orders"] == 4
    assert code == 0 and found["holds"]
    said = capsys.readouterr().out
    assert "spread 2%, bias +0 %: 2 of 2" in said and said.endswith("holds\n")
    assert (tmp_path / "out" / "gap.svg").read_bytes().startswith(b"<svg")


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
    assert rates.main(["measure", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "manifest" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        rates.main(["measure", str(tmp_path), "-o", "out", "--circuits", "0"])


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


def test_gaps(rates: ModuleType) -> None:
    rows = [
        {"bias": bias, "supply": "common", "gap": gap}
        for bias, gap in ((0.8, 0.9), (0.9, 0.4), (1.0, 0.8), (1.1, 0.5), (1.2, 0.1))
    ]
    assert rates.reach(rows, "common") == (1.0, 1.1)
    assert rates.reach(rows, "own") is None
    table = np.array([[0.1, 0.9, 0.7, 0.2], [0.0, 1.0, 1.0, 0.0], [0.6, 0.9, 0.9, 0.1]])
    np.testing.assert_allclose(rates.gap(table), [0.5, 1.0, 0.3])


def test_what_is_certain_of_a_gap(rates: ModuleType) -> None:
    """A circuit that is always right is soon above a half, one that is at the edge never is."""
    always, edge, never = [0, 100, 100, 0], [0, 75, 80, 25], [100, 0, 0, 100]
    low, high = rates.surely(np.array([always, edge, never]), 100)
    assert low[0] > 0.9 and low[1] < 0.5 < high[1] and high[2] < -0.9
    low, _ = rates.surely(np.array([[0, 8, 8, 0]]), 8)
    assert low[0] < 0.5  # eight orders are not enough


def test_only_circuits_that_are_not_certain_go_on(
    rates: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three circuits: right, wrong, and one that fires in 70 of 100."""
    share = np.array([[0.0, 1, 1, 0], [1, 0, 0, 1], [0.0, 0.7, 1, 0.1]])
    seen: list[tuple[int, int]] = []

    class Drawn:
        def __init__(self, *_: object) -> None: ...
        def draw(self, circuit: object, count: range, seed: int) -> dict[str, np.ndarray]:
            return {"which": np.array(count), "I1|x": np.ones(len(count))}

    class Netlist:
        biases = ("I1|x",)

        def circuit(self, waves: object) -> None: ...

    class Program:
        netlist, skew = Netlist(), 5e-12

    def fires(program: object, given: np.ndarray, late: object, factors: dict[str, np.ndarray],
              circuits: int, *_: object) -> np.ndarray:  # fmt: skip
        assert (factors["I1|x"] == 1.2).all() and factors["which"].size == circuits
        seen.append((len(given), circuits))
        return np.asarray(np.rint(share[factors["which"]] * len(given)), np.int64)

    monkeypatch.setattr(rates, "Spread", Drawn)
    monkeypatch.setattr(rates, "fires", fires)
    found = rates.over_spread(Program(), 4.2, 3, (20, 40, 100), 1.2, False, 1, lambda *_: None)
    assert seen == [(20, 3), (20, 1), (60, 1)]
    assert found["working"] == 2 and found["undecided"] == 1
    assert found["gaps"] == [1.0, -1.0, 0.6]


@pytest.mark.slow
def test_trims_bring_circuits_back(rates: ModuleType) -> None:
    """The least gap of 16 circuits is larger by a tenth, and gaps are nearer to each other."""
    program, temperature = rates.opened(compiled(rates, "0.95"))
    plain, trimmed = (
        rates.over_spread(program, temperature, 16, (60,), 1.0, trim, 2, lambda *_: None)
        for trim in (False, True)
    )
    assert np.min(trimmed["gaps"]) > np.min(plain["gaps"]) + 0.1
    assert np.std(trimmed["gaps"]) < 0.8 * np.std(plain["gaps"])


@pytest.mark.slow
def test_the_gap_holds(rates: ModuleType) -> None:
    """25 orders with skew from -5 to +20 % of bias, and 24 circuits of 2 %."""
    program, temperature = rates.opened(compiled(rates, "0.98"))
    rows = rates.over_bias(program, temperature, 25, np.array([0.95, 1.0, 1.2]), 2, lambda *_: None)
    assert min(row["gap"] for row in rows) >= 0.5
    found = rates.over_spread(program, temperature, 24, (8, 16, 25), 1.0, False, 2, lambda *_: None)
    # A circuit may be one in a hundred that is not right, and 25 orders say so by mistake.
    assert found["working"] >= 22
