"""verify names the first pulse that differs; runs of circuits say what a step really takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikec.backends.sfq.cells.timing import timing
from spikec.compiler.stimulus import load_recording

from .conftest import Spikec


def test_pulses_of_a_circuit_are_those_of_its_model(spikec: Spikec, cells: Path) -> None:
    words = ("verify", cells / "built", "-s", cells / "s.npz", "--rungs", "integer,events,circuit")
    said = spikec(*words)
    assert said.code == 0, said.err
    (line,) = [line for line in said.out.splitlines() if line.startswith("circuit, ")]
    assert " nets: equal, " in line and " ps are one" in line
    said = spikec(*words, "--json")
    found = said.data["rungs"]
    assert "pulses" not in found["events"] and "pulses" not in found["integer"]
    assert found["circuit"]["pulses"]["first"] is None and found["circuit"]["pulses"]["exact"]


def test_the_first_pulse_that_is_lost_is_named(spikec: Spikec, cells: Path, tmp_path: Path) -> None:
    """With few biases spikes are others and no failure: they are measured. Why is said."""
    page = tmp_path / "page.html"
    words = ("verify", cells / "built", "-s", cells / "s.npz", "--rungs", "events,circuit")
    said = spikec(*words, "--condition", "bias=0.3", "--report", page)
    assert said.code == 0 and "events / circuit: measured" in said.out
    assert "they differ (N1439)" in said.out
    assert "first pulse that differs: sample 0, step 0, net 'n" in said.out
    assert "drives the net" in said.out and "circuit no pulse, of the step" in said.out
    data = json.loads(page.with_suffix(".json").read_text())
    first = data["pulses"]["circuit"]["first"]
    assert first["circuit"] is None and first["cell"] in said.out
    text = page.read_text()
    assert "Pulses of circuit beside the event-level model" in text
    assert "first pulse that differs: sample 0, step 0" in text


def test_a_pulse_that_differs_fails_though_spikes_are_equal(
    spikec: Spikec, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = timing("dff")
    slow = replace(known, delay=known.delay + 15e-12)
    monkeypatch.setattr(
        "spikec.backends.sfq.rungs.events.timing", lambda k: slow if k == "dff" else timing(k)
    )
    page = tmp_path / "page.html"
    words = ("verify", cells / "built", "-s", cells / "s.npz", "--rungs", "integer,circuit")
    said = spikec(*words, "--report", page)
    assert said.code == 1 and "integer / circuit: equal" in said.out
    assert "they differ (E1438)" in said.out and "the dff 'out[0].dff' of out[0]" in said.out
    data = json.loads(page.with_suffix(".json").read_text())
    assert data["passed"] is False
    assert data["verdict"].endswith("; pulses of circuit differ from the event-level model")
    said = spikec(*words, "--json")
    assert said.code == 1 and said.data["equal"] is False
    assert said.data["rungs"]["circuit"]["pulses"]["failed"] is True


@pytest.mark.parametrize("rung", ["events", "circuit"])
def test_what_a_step_takes_is_told(spikec: Spikec, cells: Path, tmp_path: Path, rung: str) -> None:
    """Steps a second are the circuit's; the recording's dt stays the network's, as on all rungs."""
    emission = json.loads((cells / "built" / "manifest.json").read_text())["emission"]
    period, out = emission["period"], tmp_path / "r.npz"
    words = ("run", cells / "built", "-s", cells / "s.npz", "--on")
    said = spikec(*words, rung, "-o", out)
    assert said.code == 0, said.err
    each = f"{period * 1e12:.4g} ps ({1e-9 / period:.4g} GHz)"
    assert f"{rung}: a step every {each}, " in said.out
    assert "the network's own step is 1 ns" in said.out
    recording = load_recording(out)
    assert recording.dt == 1e-9 and recording.period == period
    said = spikec(*words, rung, "--json")
    assert said.data["period"] == period
    assert np.isclose(said.data["steps_per_second"] * period, 1)
    assert np.isclose(said.data["seconds_per_sample"], 3 * period, rtol=1e-12, atol=0)
    said = spikec(*words, "integer", "--json")
    assert said.code == 0 and "period" not in said.data
