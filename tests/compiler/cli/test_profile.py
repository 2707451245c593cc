"""``profile``: what it says of chips and boards, what it writes, and what it refuses."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.boards.chip import chip_names, load_chip
from spikec.compiler.artifact import load_artifact
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import quantised
from spikec.compiler.stimulus import load_stimulus

from .conftest import OPTIONS, SAMPLES, Said, Spikec
from .test_deploy import compiled
from .test_mapping import chip_text, ok


@pytest.fixture
def chip(spikec: Spikec, model: Path, tmp_path: Path) -> Path:
    ok(spikec("compile", model, "-t", "loihi1", "-o", tmp_path / "chip", *OPTIONS))
    return tmp_path / "chip"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("profile"), "one", 0.02)


def profiled(spikec: Spikec, folder: Path, stimulus: Path, *more: Any) -> dict[str, Any]:
    found: dict[str, Any] = ok(spikec("profile", folder, "-s", stimulus, "--json", *more)).data
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_screenful_that_a_person_can_read(spikec: Spikec, chip: Path, stimulus: Path) -> None:
    said = ok(spikec("profile", chip, "-s", stimulus))
    assert said.out.startswith("Intel Loihi: its designers' figures")
    for words in (
        "a sample (",
        "of it cores and links",
        "│ synaptic operations",
        "23.6 pJ",
        "simulated",
        "what steps wait for, and what halving it would save",
        "not in these sums, since no constant is known: energy of a barrier",
    ):
        assert words in said.out
    assert len(said.out.splitlines()) <= 40


def test_counts_are_those_of_the_integer_rung(spikec: Spikec, chip: Path, stimulus: Path) -> None:
    graph = quantised(load_artifact(chip))
    given = load_stimulus(stimulus, graph).stimulus
    executor = Executor(graph)
    spikes = executor.run(given, populations=["hidden", "out"], raw=True).spikes
    found = profiled(spikec, chip, stimulus)
    assert found["counts"]["spikes"] == sum(int(e.value.sum()) for e in spikes.values()) > 0
    # Weights of zero are no synapses of a mapped network; a dense one of the executor has them.
    assert 0 < found["counts"]["synaptic_operations"] <= executor.synaptic_operations
    assert found["steps"] == spikes["out"].steps
    assert found["counts"]["updates"] == graph.neurons * found["steps"] * SAMPLES


@pytest.mark.parametrize("name", [n for n in chip_names() if n != "dynap-se"])
def test_every_chip_has_a_profile_whose_sums_are_right(
    spikec: Spikec, model: Path, stimulus: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    machine = load_chip(name)
    widest = machine.encoding.widest
    bits = 8 if widest is None else min(8, int(widest.value))
    ok(spikec("compile", model, "-t", name, "-o", folder, *OPTIONS, "--weight-bits", bits))
    for model_name, costs in machine.models.items():
        found = profiled(spikec, folder, stimulus, "--model", model_name)
        assert (found["machine"], found["model"], found["pace"]) == (name, model_name, costs.pace)
        energy, latency = found["energy"], found["latency"]
        lines = sum(line["joules_per_sample"] for line in found["ledger"])
        assert energy["joules_per_sample"] == pytest.approx(lines, rel=1e-9, abs=0)
        assert energy["joules_per_sample"] == pytest.approx(
            sum(energy["by_kind"].values()), rel=1e-9, abs=0
        )
        for line in found["ledger"]:
            product = line["amount"] * line["times"] * line["constant"]["value"]
            assert line["joules"] == pytest.approx(
                product * (line["seconds"] or 1), rel=1e-9, abs=0
            )
            assert line["constant"]["source"] == machine.costs[line["cost"]].source
        parts = ("cores_and_links", "way_of_packets", "rest")
        assert latency["seconds_per_sample"] == pytest.approx(sum(latency[p] for p in parts))
        assert latency["least"] <= latency["seconds_per_sample"] <= latency["most"]
        if costs.pace == "tick":
            tick = 1e-3  # the network's dt, and TrueNorth's own
            assert found["tick_seconds"] == tick
            assert latency["seconds_per_step"] == pytest.approx(tick)
        assert energy["unknown"] == list(costs.unknown)


def test_tables_add_up_to_the_totals(
    spikec: Spikec, chip: Path, stimulus: Path, tmp_path: Path
) -> None:
    found = profiled(spikec, chip, stimulus, "--csv", tmp_path / "tables")
    names = {"steps", "cores", "timeline", "links", "ledger", "causes", "waits"}
    tables = {name: rows(tmp_path / "tables" / f"{name}.csv") for name in names}
    seconds = [float(row["seconds"]) for row in tables["steps"]]
    assert len(seconds) == found["samples"] * found["steps"]
    assert sum(seconds) / SAMPLES == pytest.approx(found["latency"]["seconds_per_sample"])
    for count in ("spikes", "synaptic_operations", "packets_in", "packets_out"):
        assert sum(int(row[count]) for row in tables["cores"]) == found["counts"][count]
    by_sample = np.array(seconds).reshape(SAMPLES, -1).sum(axis=1)
    trace_of = [row for row in tables["steps"] if int(row["sample"]) == by_sample.argmax()]
    busiest: dict[int, float] = {}
    for row in tables["timeline"]:
        step, busy = int(row["step"]), float(row["busy_seconds"])
        busiest[step] = max(busiest.get(step, 0.0), busy)
    assert [busiest.get(k, 0.0) for k in range(len(trace_of))] == pytest.approx(
        [float(row["lead_seconds"]) for row in trace_of], rel=1e-9, abs=0
    )
    for count, total in found["counts"].items():
        assert sum(int(row[count]) for row in tables["steps"]) == total, count
    joules = sum(float(row["joules"]) for row in tables["ledger"])
    assert joules / SAMPLES == pytest.approx(found["energy"]["joules_per_sample"], rel=1e-9, abs=0)
    assert len(tables["causes"]) == len(found["causes"])
    graph = quantised(load_artifact(chip))
    out = Executor(graph).run(load_stimulus(stimulus, graph).stimulus, raw=True).spikes["out"]
    assert [(int(r["sample"]), int(r["step"]), int(r["neuron"])) for r in tables["waits"]] == list(
        zip(out.sample.tolist(), out.step.tolist(), out.index.tolist(), strict=True)
    )
    length = np.array(seconds).reshape(SAMPLES, -1).cumsum(axis=1)
    for row in tables["waits"]:
        assert float(row["seconds"]) == pytest.approx(
            length[int(row["sample"]), int(row["step"])], rel=1e-9, abs=0
        )
        assert 0 < float(row["share"]) <= 1
        assert row["waited_most_for"]


# Of the second a core sends and receives at once.
@pytest.mark.parametrize("costs", ["davies", "sanafe"])
def test_a_trace_has_every_step_and_core_in_order(
    spikec: Spikec, chip: Path, stimulus: Path, tmp_path: Path, costs: str
) -> None:
    place = tmp_path / "trace.json"
    found = profiled(spikec, chip, stimulus, "--model", costs, "--trace", place)
    trace = json.loads((tmp_path / "trace.json").read_text())
    names = {
        (e["pid"], e["tid"]): e["args"]["name"]
        for e in trace["traceEvents"]
        if e["name"] == "thread_name"
    }
    slices = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert {"steps", "waits for"} < set(names.values())
    assert sum(n.startswith("core ") for n in names.values()) == found["cores"]
    by_track: dict[str, list[dict[str, Any]]] = {}
    for one in slices:
        by_track.setdefault(names[one["pid"], one["tid"]], []).append(one)
    assert len(by_track["steps"]) == found["steps"]
    whole = sum(e["dur"] for e in by_track["steps"])
    assert whole == pytest.approx(found["latency"]["most"] * 1e6)
    assert sum(e["dur"] for e in by_track["waits for"]) == pytest.approx(whole)
    for every in by_track.values():
        for one, after in itertools.pairwise(every):
            assert one["ts"] + one["dur"] <= after["ts"] * (1 + 1e-9) + 1e-9


def test_a_page_and_its_json_have_the_same_numbers(
    spikec: Spikec, chip: Path, stimulus: Path, tmp_path: Path
) -> None:
    found = profiled(spikec, chip, stimulus, "--report", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<section id="profile"' in page and "<svg" in page
    report = json.loads((tmp_path / "page.json").read_text(encoding="utf-8"))
    view = report["profile"]
    assert view["machine"]["name"] == found["machine"] == "loihi1"
    for part, name in (("latency", "seconds_per_sample"), ("energy", "joules_per_sample")):
        assert view[part][name] == pytest.approx(found[part][name], rel=1e-9, abs=0)
    assert len(view["energy"]["ledger"]) == len(found["ledger"])
    assert len(view["causes"]) == len(found["causes"])
    said = ok(spikec("profile", chip, "-s", stimulus, "--report", tmp_path / "again.html"))
    assert f"wrote {tmp_path / 'again.html'}, {tmp_path / 'again.json'}" in said.out.replace(
        "\n", ""
    )
    for suffix in ("html", "json"):
        one, again = (tmp_path / f"{name}.{suffix}" for name in ("page", "again"))
        assert one.read_bytes() == again.read_bytes()


def test_a_tick_of_ones_own_and_what_is_late(
    spikec: Spikec, model: Path, stimulus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "spinnaker"
    ok(spikec("compile", model, "-t", "spinnaker1", "-o", folder, *OPTIONS))
    found = profiled(spikec, folder, stimulus, "--tick", "1e-6")
    assert found["tick_seconds"] == 1e-6
    assert found["latency"]["seconds_per_step"] == pytest.approx(1e-6)
    assert found["latency"]["late_steps"] > 0
    said = ok(spikec("profile", folder, "-s", stimulus, "--tick", "1e-6"))
    assert "steps have more work than their tick of 1 us holds" in said.out
    assert profiled(spikec, folder, stimulus)["latency"]["late_steps"] == 0


def test_the_profile_of_a_board_is_a_trace_too(
    spikec: Spikec, board: Path, stimulus: Path, tmp_path: Path
) -> None:
    more = ("--trace", tmp_path / "trace.json", "--csv", tmp_path / "tables")
    found = profiled(spikec, board, stimulus, *more)
    steps = rows(tmp_path / "tables" / "steps.csv")
    for phase, every in found["cycles"].items():
        assert [int(row[phase]) for row in steps] == np.ravel(every).tolist()
    trace = json.loads((tmp_path / "trace.json").read_text())
    cycles = sum(e["args"].get("cycles", 0) for e in trace["traceEvents"] if e["ph"] == "X")
    per_sample = np.sum([np.sum(c, axis=1) for c in found["cycles"].values()], axis=0)
    assert cycles == per_sample.max()


def test_what_cannot_be_profiled_is_refused(
    spikec: Spikec, chip: Path, board: Path, model: Path, stimulus: Path, tmp_path: Path
) -> None:
    def refused(folder: Path, *more: Any) -> str:
        said: Said = spikec("profile", folder, "-s", stimulus, *more)
        assert said.code == 2, said.out
        return said.err

    said = refused(chip, "--model", "davis")
    assert "E0326: Intel Loihi has no cost model 'davis'" in said
    assert "it has: davies, sanafe" in said
    said = refused(chip, "--tick", "1e-3")
    assert "E0707: Intel Loihi does not tick" in said
    for more in (("--model", "davies"), ("--tick", "1")):
        assert f"is no chip: profile takes no {more[0]}" in refused(board, *more)
    for word in ("nan", "inf", "0", "1e9"):
        assert "Invalid value for '--tick'" in refused(chip, "--tick", word)
    own = tmp_path / "mine.toml"
    plain = chip_text("mine")
    own.write_text(plain[: plain.index("\n# -- models")], encoding="utf-8")
    ok(spikec("compile", model, "-t", own, "-o", tmp_path / "mine", *OPTIONS))
    assert "has no cost model" in refused(tmp_path / "mine")
    assert "[models.NAME]" in refused(tmp_path / "mine")
