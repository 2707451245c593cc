"""``profile`` of circuits of single flux quanta, and what ``compile`` says of their cells."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from spikec.compiler.cli.main import invoke
from spikec.ir.text import text

from ...backends.sfq.networks import exclusive
from ..report.test_page import Page, schema
from .conftest import Spikec
from .test_mapping import ok
from .test_profile import profiled, rows

SAMPLES, STEPS = 3, 8
TARGET = ("-t", "mitll-sfq5ee")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The XOR of two inputs as a file, compiled, and a stimulus; nothing writes there."""
    folder = tmp_path_factory.mktemp("sfq")
    (folder / "xor.spk").write_text(text(exclusive()), encoding="utf-8")
    x = np.random.default_rng(3).integers(0, 2, (SAMPLES, STEPS, 2))
    np.savez(folder / "s.npz", data=x)
    arguments = ["compile", folder / "xor.spk", *TARGET, "-o", folder / "built"]
    assert invoke([str(a) for a in arguments]) == 0
    return folder


@pytest.fixture
def given(home: Path) -> Path:
    return home / "s.npz"


def test_compile_says_what_cells_there_are(spikec: Spikec, home: Path, tmp_path: Path) -> None:
    said = ok(spikec("compile", home / "xor.spk", *TARGET, "-o", tmp_path / "built")).out
    facts = json.loads((tmp_path / "built" / "manifest.json").read_text())["emission"]
    junctions = sum(n * facts["each"][kind]["junctions"] for kind, n in facts["cells"].items())
    assert junctions == facts["junctions"]
    for words in (
        *facts["cells"],
        f"{sum(facts['cells'].values())} cells, {junctions} junctions, bias ",
        f"{facts['area']['value'] * 1e6:.3g} mm2 (fitted from junctions, nothing is placed)",
        f"a step every {facts['period'] * 1e12:.4g} ps",
        f"its spikes within {facts['latency'] * 1e12:.4g} ps",
        f"clock2 at {facts['clocks']['clock2'] * 1e12:.4g} ps",
    ):
        assert words in said, words
    page = (tmp_path / "built" / "report.html").read_text(encoding="utf-8")
    Page(page)
    assert '<section id="cells"' in page and "RSFQlib" in page
    report = json.loads((tmp_path / "built" / "report.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema()).validate(report)
    cells = report["cells"]
    assert cells["junctions"] == junctions and report["sfq"] is None
    assert cells["bias"] == pytest.approx(facts["bias"])
    assert sum(k["number"] for k in cells["kinds"]) == cells["cells"]


def test_a_screenful_has_what_one_asks(spikec: Spikec, home: Path, given: Path) -> None:
    said = ok(spikec("profile", home / "built", "-s", given)).out
    for words in (
        "MIT Lincoln Laboratory SFQ5ee, 10 kA/cm2 (mitll-sfq5ee)",
        f"{SAMPLES} samples of {STEPS} steps",
        "from the first pulse to the last output spike of a step",
        "waiting for the clock",
        "p0[1].dff",
        "pulses at clk of ndro in state 1",
        "N I_b V_b t",
        "in the cold, of it switching",
        "with cooling (395 W/W, recalled)",
        "assumed: biases come through resistors",
        "not in these sums, since no constant is known: wires between cells",
    ):
        assert words in said, words


def test_sums_are_right(spikec: Spikec, home: Path, given: Path) -> None:
    found = profiled(spikec, home / "built", given)
    energy, latency = found["energy"], found["latency"]
    assert (found["process"], found["samples"], found["steps"]) == ("mitll-sfq5ee", SAMPLES, STEPS)
    for parts in (
        [line["joules_per_sample"] for line in found["ledger"]],
        energy["by_component"].values(),
        energy["by_layer"].values(),
        [layer["joules_per_sample"] for layer in found["layers"]],
    ):
        assert sum(parts) == pytest.approx(energy["joules_per_sample"], rel=1e-9, abs=0)
    cold, cooling = energy["cold_joules_per_sample"], energy["cooling_joules_per_sample"]
    assert cold + cooling == pytest.approx(energy["joules_per_sample"], rel=1e-9, abs=0)
    assert cooling == pytest.approx(energy["cooling"]["value"] * cold, rel=1e-9, abs=0)
    assert found["cells"]["period"] * STEPS == pytest.approx(latency["seconds_per_sample"])
    assert sum(s["delays"] + s["cells"] + s["waiting"] for s in latency["shares"]) == pytest.approx(
        latency["response"]["most"], rel=1e-9, abs=0
    )
    for line in found["ledger"]:
        assert all(part["source"] for part in (line["constant"], *line["parts"]))
    assert all(constant["source"] for constant in latency["constants"])


def test_tables_add_up_to_the_totals(
    spikec: Spikec, home: Path, given: Path, tmp_path: Path
) -> None:
    found = profiled(spikec, home / "built", given, "--csv", tmp_path)
    energy = found["energy"]
    tables = {
        name: rows(tmp_path / f"{name}.csv")
        for name in ("steps", "layers", "paths", "ledger", "constants")
    }
    assert len(tables["steps"]) == SAMPLES * STEPS
    for column, total in (
        ("seconds", found["latency"]["seconds_per_sample"]),
        ("joules", energy["joules_per_sample"]),
        ("cold_joules", energy["cold_joules_per_sample"]),
        ("switching_joules", energy["switching_joules_per_sample"]),
    ):
        every = sum(float(row[column]) for row in tables["steps"])
        assert every / SAMPLES == pytest.approx(total, rel=1e-9, abs=0), column
    answers = [row for row in tables["steps"] if row["response_seconds"]]
    assert len(answers) == found["latency"]["answers"] > 0
    joules = sum(float(row["joules"]) for row in tables["ledger"])
    assert joules / SAMPLES == pytest.approx(energy["joules_per_sample"], rel=1e-9, abs=0)
    assert [row["sets"] for row in tables["paths"]] == ["clock1", "clock2", "period"]
    assert [row["name"] for row in tables["layers"]] == [x["name"] for x in found["layers"]]
    names = {row["name"] for row in tables["constants"]}
    assert {"bias_voltage", "cooling", "guard", "delay jtl.a-q", "bias of ndro"} <= names
    assert all(row["source"] for row in tables["constants"])


def test_a_page_shows_the_ledger_and_the_ways(
    spikec: Spikec, home: Path, given: Path, tmp_path: Path
) -> None:
    ok(spikec("profile", home / "built", "-s", given, "--report", tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    Page(page)
    for words in (
        '<section id="sfq"',
        '<section id="cells"',
        "From an input to a spike",
        "Where energy goes, with cooling",
        "Energy of a sample, line by line",
        "ndro p0[1].skip0",
        "python -m spikec.backends.sfq.library.characterise",
        "Holmes, Ripple, Manheimer",
    ):
        assert words in page, words
    report = json.loads((tmp_path / "page.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema()).validate(report)
    assert report["sfq"] == profiled(spikec, home / "built", given)


def test_cooling_can_be_said(spikec: Spikec, home: Path, given: Path) -> None:
    usual = profiled(spikec, home / "built", given)["energy"]
    energy = profiled(spikec, home / "built", given, "--cooling", 4000)["energy"]
    assert energy["cold_joules_per_sample"] == usual["cold_joules_per_sample"]
    assert energy["joules_per_sample"] == pytest.approx(4001 * usual["cold_joules_per_sample"])
    assert energy["cooling"] == {
        "value": 4000.0,
        "unit": "W/W",
        "source": "given with --cooling",
        "obtained": "stated",
    }


def test_options_of_others_are_refused(
    spikec: Spikec, home: Path, given: Path, built: Path, stimulus: Path, tmp_path: Path
) -> None:
    for more in (("--model", "davies"), ("--tick", "1e-3"), ("--trace", tmp_path / "t.json")):
        said = spikec("profile", home / "built", "-s", given, *more)
        assert said.code == 2
        assert f"E0707: 'mitll-sfq5ee' is no chip: profile takes no {more[0]} for it" in said.err
    said = spikec("profile", built, "-s", stimulus, "--cooling", 10)
    assert said.code == 2
    assert "is no superconducting circuit: profile takes no --cooling for it" in said.err
    assert spikec("profile", home / "built", "-s", given, "--cooling", -1).code == 2


def test_damaged_cells_are_refused(spikec: Spikec, home: Path, given: Path, tmp_path: Path) -> None:
    ok(spikec("compile", home / "xor.spk", *TARGET, "-o", tmp_path / "built"))
    (tmp_path / "built" / "cells.json").write_bytes(b"nothing")
    said = spikec("profile", tmp_path / "built", "-s", given)
    assert said.code == 2 and "E0705" in said.err
