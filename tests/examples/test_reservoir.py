"""The reservoir of chance in small form: data, chips, what is compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spikec.backends.crossbar.device import sigma
from spikec.backends.crossbar.solve import transfer

from .scripts import script

pytest.importorskip("sklearn")


@pytest.fixture
def reservoir() -> Iterator[ModuleType]:
    yield from script("reservoir/reservoir.py")


def test_a_small_run(
    reservoir: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One chip, 40 digits: better than chance, equal without noise, a plot."""
    monkeypatch.delenv("SPIKEC_DATA", raising=False)
    plot = tmp_path / "plot.svg"
    arguments = ["--chips", "1", "--samples", "40", "--json", "--plot", str(plot)]
    code = reservoir.main(arguments)
    found = json.loads(capsys.readouterr().out)
    assert found["data"] == "digits" and found["samples"] == 40
    (row,) = found["rows"]
    assert row["noiseless"] and row["chip"] > 0.25 and row["ideal"] > 0.25
    assert row["chip_spikes"] == pytest.approx(row["ideal_spikes"], rel=0.5)
    assert found["holds"] == (abs(found["chip"] - found["ideal"]) <= 0.02)
    assert code == (not found["holds"])
    assert plot.read_bytes().startswith(b"<?xml")


def test_weights_of_chance_are_the_chips_own(reservoir: ModuleType) -> None:
    """All cells are meant to be alike, and pairs differ as the device's error says."""
    stimulus, _ = reservoir.digits(10)
    graph = reservoir.quantised(reservoir.network(1))
    conditions = reservoir.Conditions(calibrate=False, gated=False).but(reservoir.BLANK)
    probes = reservoir.probes_of(graph, stimulus)
    macro = reservoir.load_macro("rram-wan")
    blank = reservoir.untouched(reservoir.design(graph, macro, conditions, probes))
    first, second = (reservoir.Chip(blank, seed) for seed in (1, 2))
    for one, other in zip(first.tiles, second.tiles, strict=True):
        cells = one.made.cells
        # Behind the wires all are alike; in front of them those at the far end are higher.
        seen = transfer(replace(one.circuit, conductance=cells.target))
        assert np.ptp(seen) < 0.02 * seen.mean()
        spread = sigma(cells.device.programming, cells.target)
        missed, others = ((chip.siemens - cells.target) / spread for chip in (one, other))
        bound = 5 / np.sqrt(missed.size)
        assert abs(missed.std() - 1) < bound and abs(missed.mean()) < bound
        assert abs((missed * others).mean()) < bound


def test_recorded_samples_become_steps(reservoir: ModuleType, tmp_path: Path) -> None:
    """The middle of one polarity, each sample from its first to its last event."""
    kind = [("t", "<u4"), ("x", "u1"), ("y", "u1"), ("p", "u1")]
    events = np.array(
        [(100, 9, 9, 1), (150, 10, 9, 1), (199, 24, 24, 1), (120, 9, 9, 0), (130, 3, 9, 1)], kind
    )
    place = tmp_path / "two.npz"
    order = np.argsort(events["t"])
    np.savez(place, events=events[order], offsets=np.array([0, 5]), labels=np.array([7], "u1"))
    stimulus, labels = reservoir.nmnist(place, None)
    found = stimulus.inputs["in"]
    assert labels.tolist() == [7] and (found.steps, found.size) == (50, 256)
    assert list(zip(found.step, found.index, strict=True)) == [(0, 0), (25, 1), (49, 255)]


def test_what_is_wrong_is_told(reservoir: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert reservoir.main(["--chips", "1", "--condition", "wire=thick"]) == 2
    assert "E1320" in capsys.readouterr().err


@pytest.mark.slow
def test_ten_chips_are_within_two_points_of_ideal_weights(
    reservoir: ModuleType,
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPIKEC_DATA", str(data_dir))
    assert reservoir.main(["--chips", "10", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["data"] == "N-MNIST" and len(found["rows"]) == 10
    assert found["holds"] and all(row["noiseless"] for row in found["rows"])
