"""``cosim``: what it says, what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.compiler.artifact import load_artifact
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import quantised
from spikec.compiler.stimulus import load_recording, load_stimulus

from .conftest import OPTIONS, SAMPLES, Said, Spikec
from .test_mapping import chip_text, ok


@pytest.fixture
def chip(spikec: Spikec, model: Path, tmp_path: Path) -> Path:
    """Two neurons a core and a core a router, so that spikes travel."""
    own = tmp_path / "mine.toml"
    text = chip_text("mine", 2).replace("cores_per_router = 4", "cores_per_router = 1")
    own.write_text(text, encoding="utf-8")
    ok(spikec("compile", model, "-t", own, "-o", tmp_path / "chip", *OPTIONS))
    return tmp_path / "chip"


def simulated(spikec: Spikec, folder: Path, stimulus: Path, *more: Any) -> dict[str, Any]:
    found: dict[str, Any] = ok(spikec("cosim", folder, "-s", stimulus, "--json", *more)).data
    return found


def test_packets_that_take_no_time_change_nothing(
    spikec: Spikec, chip: Path, stimulus: Path
) -> None:
    for more in ((), ("--tick", "1e-6")):
        found = simulated(spikec, chip, stimulus, "--slower", 0, *more)
        assert found["comparison"]["equal"]
        assert found["copies"] > 0
        assert (found["late"], found["dropped"], found["disorder"]) == (0, 0, 0)
        assert set(found["interval_distortion_cycles"].values()) == {0}
        assert found["latency_cycles"]["most"] == 0


def test_steps_that_wait_lose_nothing_but_time(
    spikec: Spikec, chip: Path, stimulus: Path, tmp_path: Path
) -> None:
    found = simulated(spikec, chip, stimulus, "-o", tmp_path / "r.npz")
    assert found["comparison"]["equal"] and found["tick_seconds"] is None
    assert found["latency_cycles"]["mean"] >= 7  # into a router and out of it
    assert sum(found["histogram"]["counts"]) == found["copies"]
    graph = quantised(load_artifact(chip))
    given = load_stimulus(stimulus, graph).stimulus
    wanted = Executor(graph).run(given, populations=["hidden", "out"]).spikes
    recording = load_recording(tmp_path / "r.npz")
    assert recording.rung == "timed" and recording.spikes == wanted
    assert found["links"]
    assert {abs(row["start"] - row["end"]) for row in found["links"]} <= {1, 8}


def test_a_tick_that_is_too_short_changes_spikes_and_says_which(
    spikec: Spikec, chip: Path, stimulus: Path, tmp_path: Path
) -> None:
    found = simulated(spikec, chip, stimulus, "--tick", "29e-9", "--slower", 20)
    assert found["late"] > 0 and not found["comparison"]["equal"]
    page = tmp_path / "page.html"
    ok(spikec("cosim", chip, "-s", stimulus, "--tick", "29e-9", "--slower", 20, "--report", page))
    assert "Packets on their way" in page.read_text()
    written = json.loads((tmp_path / "page.json").read_text())
    assert written["cosim"]["late"] == found["late"]
    assert written["comparisons"][0]["rungs"] == ["integer", "timed"]
    assert found["tick_seconds"] == pytest.approx(29e-9, rel=1e-9, abs=0)
    assert found["labelled"] == SAMPLES
    said = ok(spikec("cosim", chip, "-s", stimulus, "--tick", "29e-9", "--slower", 20))
    for words in (
        "a step lasts 29 ns; a cycle of the interconnect is 5.8 ns",
        "in a later step, 0 never",
        "between spikes of one source: distorted by",
        "out of order",
        "integer against timed",
        "first difference: sample",
        "software-only,",
    ):
        assert words in said.out, words


def test_a_chip_that_ticks_takes_its_own_tick_or_what_is_said(
    spikec: Spikec, model: Path, stimulus: Path, tmp_path: Path
) -> None:
    ok(spikec("compile", model, "-t", "truenorth", "-o", tmp_path / "tn", *OPTIONS))
    for more, seconds in (((), 1e-3), (("--tick", "1e-5"), 1e-5)):
        found = simulated(spikec, tmp_path / "tn", stimulus, *more)
        assert found["tick_seconds"] == pytest.approx(seconds)
        assert found["comparison"]["equal"] and found["late"] == 0
        assert abs(found["estimate_error"]["mean"]) < 0.2


def test_latency_and_distortion_grow_as_the_interconnect_slows(
    spikec: Spikec, chip: Path, stimulus: Path
) -> None:
    means, distortions = [], []
    for hops in (0, 1, 5, 25):
        found = simulated(spikec, chip, stimulus, "--slower", hops, "--tick", "1e-6")
        means.append(found["latency_seconds"]["mean"])
        distortions.append(found["interval_distortion_seconds"]["mean_absolute"])
    for every in (means, distortions):
        assert every == sorted(every) and every[0] == 0 < every[1] < every[-1]


def test_what_cannot_be_simulated_is_refused(
    spikec: Spikec, chip: Path, model: Path, stimulus: Path, tmp_path: Path
) -> None:
    def refused(folder: Path, *more: Any) -> str:
        said: Said = spikec("cosim", folder, "-s", stimulus, *more)
        assert said.code == 2, said.out
        return said.err

    assert "E0326" in refused(chip, "--model", "davis")
    assert "1e-30 is below 1e-06; with 0 packets take no time" in refused(chip, "--slower", "1e-30")
    for word in ("0", "nan", "inf", "1e300", "-1"):
        assert "Invalid value for '--tick'" in refused(chip, "--tick", word)
        if word != "0":
            assert "Invalid value for '--slower'" in refused(chip, "--slower", word)
    assert "no whole number of cycles" in refused(chip, "--tick", "1e-11")
    assert "more than can be counted" in refused(chip, "--tick", "999", "--slower", "1e-6")
    ok(spikec("compile", model, "-t", "null", "-o", tmp_path / "null", *OPTIONS))
    assert "E0306: target 'null' has no interconnect to simulate" in refused(tmp_path / "null")
    own = tmp_path / "deaf.toml"
    plain = chip_text("deaf")
    own.write_text(plain[: plain.index("\n[interconnect]")], encoding="utf-8")
    ok(spikec("compile", model, "-t", own, "-o", tmp_path / "deaf", *OPTIONS))
    assert "E0327: the file of Intel Loihi says nothing of its interconnect" in refused(
        tmp_path / "deaf"
    )
    np.savez(tmp_path / "wrong.npz", data=np.zeros((1, 5, 7), np.int64))
    said = spikec("cosim", chip, "-s", tmp_path / "wrong.npz")
    assert said.code == 2 and "E0702" in said.err
