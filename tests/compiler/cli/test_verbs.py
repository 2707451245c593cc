"""Every verb on a small network: what it says, and that --json is one object and nothing else."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import numpy as np
import pytest

from spikec.boards.board import Target
from spikec.boards.chip import chip_names, load_chip
from spikec.boards.features import CHIP_FAMILIES
from spikec.compiler.artifact import load_artifact
from spikec.compiler.backend import backends
from spikec.compiler.cli import info
from spikec.compiler.cli.main import spikec as group
from spikec.compiler.stimulus import load_recording
from spikec.ir.codes import CODES
from spikec.ir.text import parse, text

from .conftest import OPTIONS, SAMPLES, STEPS, Spikec

VERBS = sorted(group.commands)


def test_targets(spikec: Spikec) -> None:
    said = spikec("targets", "--json")
    assert said.code == 0
    names = {t["name"]: t for t in said.data["targets"]}
    assert {"null", "icebreaker", "ulx3s-85f"} <= set(names)
    assert names["null"]["rungs"] == ["golden", "integer"]
    for target in names.values():
        assert all(q["source"] and q["unit"] for q in target["limits"].values())


class Chips:
    """A backend that has chips."""

    name = "chips"

    def targets(self) -> tuple[Target, ...]:
        return tuple(
            Target.chip(load_chip(name), CHIP_FAMILIES[load_chip(name).family])
            for name in chip_names()
        )


def test_targets_mark_limits_that_nobody_measured(
    spikec: Spikec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(info, "backends", lambda: {"chips": Chips()})
    listed = {t["name"]: t for t in spikec("targets", "--json").data["targets"]}
    assert list(listed) == list(chip_names())
    loihi = listed["loihi1"]
    assert (loihi["cores"], loihi["family"]) == (128, "loihi")
    assert loihi["limits"]["in_axons"]["value"] == 4096
    assert loihi["limits"]["in_axons"]["obtained"] == "stated"
    assert "fan_in" not in loihi["limits"]
    said = " ".join(spikec("targets").out.split())
    assert "128 cores, each: 1024 neurons, 4096 in_axons" in said
    assert "4 cores, each: 256 neurons (recalled), 64 fan_in (recalled)" in said


@pytest.mark.parametrize("code", sorted(CODES))
def test_explain(spikec: Spikec, code: str) -> None:
    said = spikec("explain", code.lower())
    assert said.code == 0
    assert said.out.startswith(f"{code}: {CODES[code].title}\n")
    assert spikec("explain", code, "--json").data["explanation"] == CODES[code].explanation


def test_doctor_names_what_is_missing(spikec: Spikec, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "brian2":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    said = spikec("doctor", "--json")
    assert said.code == 3
    (missing,) = [r for r in said.data["requirements"] if r["name"] == "brian2"]
    assert missing["found"] is None and missing["mend"] == "pip install 'spikec[golden]'"
    assert "MISSING" in spikec("doctor").out


def test_show(spikec: Spikec, model: Path) -> None:
    data = spikec("show", model, *OPTIONS, "--json").data
    assert (data["neurons"], data["synapses"]) == (8, 30)
    assert data["dialect"] == "snntorch" and data["dt"] == 1e-3
    assert "8 neurons, 30 synapses" in spikec("show", model, *OPTIONS).out


def test_show_text_is_the_graph(spikec: Spikec, model: Path, tmp_path: Path) -> None:
    said = spikec("show", model, *OPTIONS, "--text")
    graph = parse(said.out)
    assert text(graph) == said.out
    again = tmp_path / "again.spk"
    again.write_text(said.out)
    assert spikec("show", again, "--text").out == said.out
    assert spikec("show", model, *OPTIONS, "--text", "--json").data["text"] == said.out


def test_show_dialects(spikec: Spikec) -> None:
    names = [d["name"] for d in spikec("show", "--dialects", "--json").data["dialects"]]
    assert "snntorch" in names and "pynn" in names
    assert all(name in spikec("show", "--dialects").out for name in names)


def test_show_plot(spikec: Spikec, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    place = tmp_path / "plots" / "graph.svg"
    data = spikec("show", model, *OPTIONS, "--plot", place, "--json").data
    assert data["plot"] == str(place)
    assert b"<svg" in place.read_bytes() and b"hidden" in place.read_bytes()


def test_compile(spikec: Spikec, model: Path, tmp_path: Path) -> None:
    arguments = ("compile", model, "-t", "null", *OPTIONS, "--json")
    first = spikec(*arguments, "-o", tmp_path / "a").data
    second = spikec(*arguments, "-o", tmp_path / "b").data
    assert first["digest"] == second["digest"] == load_artifact(tmp_path / "a").digest
    assert {p.name for p in (tmp_path / "a").iterdir()} == {
        *("manifest.json", "network.spk", "quantised.spk", "report.html", "report.json")
    }


def test_dump_after_is_the_graph(spikec: Spikec, model: Path, tmp_path: Path) -> None:
    place = tmp_path / "out"
    arguments = ("compile", model, "-t", "null", "-o", place, *OPTIONS, "--dump-after", "quantise")
    said = spikec(*arguments)
    assert text(parse(said.out)) == said.out == (place / "quantised.spk").read_text()
    assert "wrote" in said.err
    assert spikec(*arguments, "--json").data["dumps"] == {"quantise": said.out}


def test_calibration_is_on_the_screen_and_in_the_report(
    spikec: Spikec, model: Path, stimulus: Path, tmp_path: Path
) -> None:
    place = tmp_path / "out"
    arguments = ("compile", model, "-t", "null", "-o", place, *OPTIONS, "--calibration", stimulus)
    line = next(w for w in spikec(*arguments).out.splitlines() if w.startswith("calibration: "))
    assert f"of {SAMPLES} right" in line and "output spike counts off by" in line
    found = spikec(*arguments, "--json").data["calibration"]
    run = spikec("run", place, "-s", stimulus, "--json").data
    assert (found["correct"], found["labelled"]) == (run["correct"], SAMPLES)
    assert 0 <= found["rate_error"] < 0.2
    assert "calibration data" in (place / "report.html").read_text()


def test_two_bits_cost_more_than_eight(
    spikec: Spikec, model: Path, stimulus: Path, tmp_path: Path
) -> None:
    errors = []
    for bits in (2, 16):
        arguments = ("compile", model, "-t", "null", "-o", tmp_path / "o", *OPTIONS, "--json")
        said = spikec(*arguments, "--calibration", stimulus, "--weight-bits", bits)
        errors.append(said.data["calibration"]["rate_error"])
    assert errors[0] > errors[1]


def test_run_round_trip(spikec: Spikec, built: Path, stimulus: Path, tmp_path: Path) -> None:
    place = tmp_path / "deep" / "r.npz"
    data = spikec("run", built, "-s", stimulus, "-o", place, "--states", "--json").data
    recording = load_recording(place)
    assert recording.rung == "integer" and recording.dt == 1e-3
    events = recording.spikes["out"]
    assert (events.samples, events.steps, events.size) == (SAMPLES, STEPS, 2)
    assert events.value.sum() == data["populations"]["out"]["emitted"] > 0
    assert recording.states["hidden", "v"].shape == (SAMPLES, STEPS, 6)
    assert (data["labelled"], data["samples"], data["steps"]) == (SAMPLES, SAMPLES, STEPS)


def test_run_writes_aer_text(spikec: Spikec, built: Path, stimulus: Path, tmp_path: Path) -> None:
    whole, place = tmp_path / "r.npz", tmp_path / "r.aer"
    for output in (whole, place):
        said = spikec("run", built, "-s", stimulus, "--populations", "hidden", "-o", output)
        assert said.code == 0, said.err
    events = load_recording(whole).spikes["hidden"]
    rows = np.loadtxt(place, np.int64)
    assert rows[:, 0].tolist() == events.step.tolist()
    assert rows[:, 1].tolist() == events.index.tolist()
    assert rows[:, 2].tolist() == events.sample.tolist()


def test_run_takes_what_is_asked(spikec: Spikec, built: Path, stimulus: Path) -> None:
    arguments = ("run", built, "-s", stimulus, "--json", "--populations", "hidden, out")
    data = spikec(*arguments, "--samples", 2, "--steps", 7).data
    assert (data["samples"], data["steps"]) == (2, 7)
    assert set(data["populations"]) == {"hidden", "out"}


def test_verify(spikec: Spikec, built: Path, stimulus: Path, tmp_path: Path) -> None:
    pytest.importorskip("brian2")
    page = tmp_path / "page.html"
    arguments = ("verify", built, "-s", stimulus, "--rungs", "golden,integer")
    said = spikec(*arguments, "--report", page, "--json")
    assert said.code == 0
    (comparison,) = said.data["comparisons"]
    assert comparison["must_equal"] is False
    assert set(said.data["rungs"]) == {"golden", "integer"}
    assert page.exists() and page.with_suffix(".json").exists()
    assert "golden / integer: " in spikec(*arguments).out
    # The first difference may be in a population that no output shows; its state is told.
    (comparison,) = said.data["comparisons"]
    assert {p["population"] for p in comparison["populations"]} == {"hidden", "out"}
    if comparison["first"] is not None:
        assert comparison["first"]["states"]


def test_compare(spikec: Spikec, model: Path, stimulus: Path) -> None:
    said = spikec("compare", model, "-s", stimulus, "--dialects", "snntorch,sinabs,norse", "--json")
    assert said.code == 0
    rows = {row["dialect"]: row for row in said.data["dialects"]}
    assert list(rows) == ["snntorch", "sinabs", "norse"]
    assert rows["snntorch"]["comparison"]["equal"] is True
    assert all(row["samples"] == SAMPLES for row in rows.values())


def test_help_of_every_verb(spikec: Spikec) -> None:
    for verb in VERBS:
        said = spikec(verb, "--help")
        assert said.code == 0 and "--json" in said.out
        assert verb in spikec("--help").out


def test_a_pipe_is_not_cut(spikec: Spikec) -> None:
    """Tables are as wide as their cells where there is no terminal."""
    assert "…" not in spikec("targets").out + spikec("show", "--dialects").out
    assert np.char.count(spikec("targets").out, "icebreaker") >= 1


def test_run_names_every_rung(spikec: Spikec) -> None:
    said = spikec("run", "--help")
    assert said.code == 0
    named = set(re.findall(r"\w+", said.out))
    rungs = {rung for backend in backends().values() for rung in backend.rungs}
    assert {"golden", "integer", "lava", "circuit"} < rungs | {"integer"} <= named


def test_a_reset_in_two_phases_has_a_dialect_without(
    spikec: Spikec, model: Path, tmp_path: Path
) -> None:
    line = ("compile", model, "--target", "lava", "-o", tmp_path / "out")
    said = spikec(*line, *OPTIONS)
    assert said.code == 2
    assert "--set reset=subtract" in said.err and "--dialect snntorch-zero" in said.err
    other = spikec(*line, *OPTIONS, "--set", "reset=subtract")
    assert other.code == 0, other.err
