"""``profile`` of crossbars: what it says, what it writes, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from spikec.boards.macro import load_macro, macro_names
from spikec.compiler.artifact import load_artifact
from spikec.compiler.cli.main import invoke
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import quantised
from spikec.compiler.stimulus import load_stimulus

from ..report.test_page import Page, schema
from .conftest import OPTIONS, SAMPLES, STEPS, Spikec
from .test_mapping import ok
from .test_profile import profiled, rows

GOLDEN = Path(__file__).parents[2] / "golden" / "crossbar_ledger.txt"
QUICK = ("--condition", "tile=16", "--condition", "compensate=off")


@pytest.fixture(scope="module")
def tiles(_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 3-6-2 network on tiles of NeuRRAM's cells; nothing writes there."""
    folder = tmp_path_factory.mktemp("tiles") / "built"
    arguments = ["compile", _home / "small.nir", "-t", "rram-wan", "-o", folder, *OPTIONS, *QUICK]
    assert invoke([str(a) for a in arguments]) == 0
    return folder


def test_a_screenful_is_the_one_that_was_read(spikec: Spikec, tiles: Path, stimulus: Path) -> None:
    """The ledger's table as a text: whoever changes a price or a count sees what it does."""
    said = ok(spikec("profile", tiles, "-s", stimulus)).out
    table = said[said.index("energy a sample\n") : said.index("layers, a sample")]
    assert table == GOLDEN.read_text(encoding="utf-8")
    for words in (
        "RRAM of NeuRRAM in 22 nm, gated rows (rram-wan)",
        "conditions: compensate=False, tile=16",
        "latency ",
        f"4 samples of {STEPS} steps)",
        "  of it state memory",
        "on the longest path",
        "hidden (neurons)",
        "assumed: an addition",
        "not in these sums, since no constant is known: leakage; ",
    ):
        assert words in said, words


def test_sums_are_right_whatever_the_macro(
    spikec: Spikec, model: Path, stimulus: Path, tmp_path: Path
) -> None:
    for name in macro_names():
        folder = tmp_path / name
        ok(spikec("compile", model, "-t", name, "-o", folder, *OPTIONS, *QUICK))
        found = profiled(spikec, folder, stimulus)
        energy, latency = found["energy"], found["latency"]
        assert found["macro"] == name and found["title"] == load_macro(name).title
        for parts in (
            [line["joules_per_sample"] for line in found["ledger"]],
            energy["by_component"].values(),
            energy["by_layer"].values(),
            [layer["joules_per_sample"] for layer in found["layers"]],
        ):
            assert sum(parts) == pytest.approx(energy["joules_per_sample"], rel=1e-9, abs=0)
        critical = sum(layer["critical_seconds_per_sample"] for layer in found["layers"])
        assert critical == pytest.approx(latency["seconds_per_sample"], rel=1e-9, abs=0)
        assert latency["least"] <= latency["seconds_per_sample"] <= latency["most"]
        assert latency["seconds_per_step"] * STEPS == pytest.approx(
            latency["seconds_per_sample"], rel=1e-9, abs=0
        )
        for line in found["ledger"]:
            product = line["amount"] * line["times"] * line["constant"]["value"]
            assert line["joules"] == pytest.approx(product, rel=1e-9, abs=0)
            assert all(part["source"] for part in (line["constant"], *line["parts"]))


def test_spikes_and_updates_are_those_of_the_integer_rung(
    spikec: Spikec, tiles: Path, stimulus: Path
) -> None:
    graph = quantised(load_artifact(tiles))
    given = load_stimulus(stimulus, graph).stimulus
    hidden = Executor(graph).run(given, populations=["hidden"], raw=True).spikes["hidden"]
    amounts = {
        (line["layer"], line["count"]): line["amount"]
        for line in profiled(spikec, tiles, stimulus)["ledger"]
    }
    # w2 has one tile of 16 bit lines, which lie along every spike of its source.
    assert amounts["w2", "word_lines"] == 16 * int(hidden.value.sum()) > 0
    spiking = {(int(s), int(t)) for s, t in zip(hidden.sample, hidden.step, strict=True)}
    assert amounts["w2", "conversions"] == 2 * len(spiking)
    bits = amounts["out (neurons)", "state_bits"]
    assert bits == 2 * 24 * 2 * SAMPLES * STEPS


def test_tables_add_up_to_the_totals(
    spikec: Spikec, tiles: Path, stimulus: Path, tmp_path: Path
) -> None:
    found = profiled(spikec, tiles, stimulus, "--csv", tmp_path / "tables")
    names = ("steps", "layers", "ledger", "constants")
    tables = {name: rows(tmp_path / "tables" / f"{name}.csv") for name in names}
    assert len(tables["steps"]) == SAMPLES * STEPS
    seconds = sum(float(row["seconds"]) for row in tables["steps"])
    assert seconds / SAMPLES == pytest.approx(found["latency"]["seconds_per_sample"])
    joules = sum(float(row["joules"]) for row in tables["ledger"])
    assert joules / SAMPLES == pytest.approx(found["energy"]["joules_per_sample"], rel=1e-9, abs=0)
    for row, layer in zip(tables["layers"], found["layers"], strict=True):
        assert (row["name"], row["kind"]) == (layer["name"], layer["kind"])
        if layer["kind"] == "tiles":
            busy = sum(float(step[f"{row['name']} seconds"]) for step in tables["steps"])
            assert busy / SAMPLES == pytest.approx(
                float(row["busy_seconds_per_sample"]), rel=1e-9, abs=0
            )
            leads = sum(step["leader"] == row["name"] for step in tables["steps"])
            assert leads == layer["leads_steps"]
    assert {"sram_bit_energy", "sar_power", "word_pitch"} <= {
        r["name"] for r in tables["constants"]
    }
    assert all(row["source"] for row in tables["constants"])


def test_a_page_shows_the_ledger_and_where_energy_goes(
    spikec: Spikec, tiles: Path, stimulus: Path, tmp_path: Path
) -> None:
    said = ok(spikec("profile", tiles, "-s", stimulus, "--report", tmp_path / "page.html"))
    assert "page.html" in said.out
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    Page(text)
    for words in (
        '<section id="crossbar"',
        "Where energy goes",
        "What steps wait for",
        "Energy of a sample, line by line",
        "NeuroSIM/SarADC.cpp, GetColumnPower",
        "Horowitz, ISSCC 2014",
        "hidden (neurons)",
    ):
        assert words in text, words
    report = json.loads((tmp_path / "page.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema()).validate(report)
    assert report["crossbar"] == profiled(spikec, tiles, stimulus)
    ok(spikec("profile", tiles, "-s", stimulus, "--report", tmp_path / "again.html"))
    for suffix in ("html", "json"):
        one, again = (tmp_path / f"{name}.{suffix}" for name in ("page", "again"))
        assert one.read_bytes() == again.read_bytes()


def test_options_of_chips_are_refused_and_nothing_is_written(
    spikec: Spikec, tiles: Path, stimulus: Path, tmp_path: Path
) -> None:
    place = tmp_path / "trace.json"
    for more in (("--model", "davies"), ("--tick", "1e-3"), ("--trace", place)):
        said = spikec("profile", tiles, "-s", stimulus, "--csv", tmp_path / "tables", *more)
        assert said.code == 2
        assert f"E0707: 'rram-wan' is no chip: profile takes no {more[0]} for it" in said.err
    assert not place.exists() and not (tmp_path / "tables").exists()
    said = spikec("cosim", tiles, "-s", stimulus)
    assert said.code == 2 and "has no interconnect to simulate" in said.err


def test_damaged_tiles_are_refused(
    spikec: Spikec, model: Path, stimulus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "built"
    ok(spikec("compile", model, "-t", "rram-wan", "-o", folder, *OPTIONS, *QUICK))
    (folder / "tiles.npz").write_bytes(b"nothing")
    said = spikec("profile", folder, "-s", stimulus)
    assert said.code == 2 and "E0705" in said.err


def test_analogue_neurons_have_no_ledger(
    spikec: Spikec, _home: Path, tmp_path: Path, stimulus: Path
) -> None:
    """Rather none than one with converters that are not there."""
    folder = tmp_path / "analogue"
    more = (*OPTIONS, *QUICK, "--condition", "neuron=analogue")
    ok(spikec("compile", _home / "small.nir", "-t", "rram-wan", "-o", folder, *more))
    said = spikec("profile", folder, "-s", stimulus)
    assert said.code == 2 and "error E1332: " in said.err and "not known" in said.err
