"""``compile`` for chips: what it says, what it writes, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from spikec.boards.chip import load_chip
from spikec.compiler.artifact import Artifact, load_artifact
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import quantised
from spikec.compiler.mapping.check import check
from spikec.compiler.mapping.network import axons_of
from spikec.compiler.mapping.to_json import read_mapping
from spikec.compiler.stimulus import load_stimulus
from spikec.ir.connections import Dense
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF
from spikec.ir.text import text

from .conftest import OPTIONS, SAMPLES, STEPS, Said, Spikec


def chip_text(name: str = "loihi1", neurons: int = 1024) -> str:
    """The file of Loihi with another name and size of core."""
    file = resources.files("spikec.boards") / "chips" / "loihi1.toml"
    found = file.read_text(encoding="utf-8")
    return found.replace('"loihi1"', f'"{name}"').replace("value = 1024,", f"value = {neurons},")


def save(path: Path, inputs: int, neurons: int, delay: int = 1, back: int | None = None) -> Path:
    """A dense network of one population as a graph text; ``back`` is the delay of a loop."""
    one = np.asarray(1.0)
    cell = LIF(tau=np.asarray(0.02), r=one, v_leak=np.asarray(0.0), v_threshold=one)
    projections = [Projection("w", "in", "crowd", Dense(np.full((neurons, inputs), 0.5)), delay)]
    if back is not None:
        loop = Dense(np.full((neurons, neurons), 0.25))
        projections.append(Projection("loop", "crowd", "crowd", loop, back, recurrent=True))
    graph = Graph(
        "net",
        1e-3,
        (Input("in", (inputs,)),),
        (Population("crowd", (neurons,), cell),),
        tuple(projections),
        (Output("spikes", "crowd"),),
    )
    path.write_text(text(graph), encoding="utf-8")
    return path


def ok(said: Said) -> Said:
    assert said.code == 0, said.err
    return said


# -- what is written ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["loihi1", "spinnaker1", "truenorth"])
def test_the_mapping_on_disk_is_that_of_the_network_and_whole(
    spikec: Spikec, model: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "out"
    said = ok(spikec("compile", model, "-t", name, "-o", folder, *OPTIONS))
    assert f"mapped; no program is emitted for {name} yet" in said.out
    assert "every source counts one spike" in said.out
    artifact = load_artifact(folder)
    machine = load_chip(name)
    axons = axons_of(quantised(artifact), machine, 8)
    mapping = read_mapping(artifact.files["mapping.json"], machine, axons)
    checked = check(axons, mapping)
    assert checked.ok
    facts = artifact.manifest["mapping"]
    assert facts["cores"] == mapping.parts
    assert facts["packets_per_spike"] == checked.usage.packets_per_spike
    assert (facts["effort"], facts["seed"], facts["window"]) == (1, 1, None)
    limits = {limit["limit"]: limit for limit in facts["limits"]}
    assert set(machine.core.stated) <= set(limits)
    for limit, quantity in machine.core.stated.items():
        assert limits[limit]["source"] == quantity.source
        assert limits[limit]["obtained"] == quantity.obtained
    assert "seconds" not in json.dumps(facts)


def test_a_small_core_binds_and_the_output_says_so(
    spikec: Spikec, model: Path, tmp_path: Path
) -> None:
    own = tmp_path / "mine.toml"
    own.write_text(chip_text("mine", 2), encoding="utf-8")
    said = ok(spikec("compile", model, "-t", own, "-o", tmp_path / "out", *OPTIONS))
    assert "cores: 4 of 128 on 1 chip" in said.out
    assert "nearest limit: neurons (stated: nengo-loihi" in said.out
    assert "│ neurons      │ 2         │ 2 neurons      │ 100.0%" in said.out
    assert "mapped; no program is emitted for mine yet" in said.out
    assert len(said.out.splitlines()) <= 24  # one screen
    found = json.loads((tmp_path / "out" / "mapping.json").read_text())
    part = {node["name"]: node.get("part") for node in found["nodes"]}
    assert sorted(part["hidden"] + part["out"]) == [0, 0, 1, 1, 2, 2, 3, 3]
    # Every line reaches all cores of hidden neurons, each of these all cores of outputs.
    to_out = sum(len(set(part["out"]) - {own}) for own in part["hidden"])
    assert found["totals"]["packets"] == 3 * len(set(part["hidden"])) + to_out


def test_recalled_limits_are_marked(spikec: Spikec, model: Path, tmp_path: Path) -> None:
    said = ok(spikec("compile", model, "-t", "dynap-se", "-o", tmp_path / "out", *OPTIONS,
                     "--set", "max_spikes=1"))  # fmt: skip
    assert "recalled" in next(line for line in said.out.splitlines() if "│ fan_in" in line)


def test_calibration_counts_the_spikes_that_weigh_packets(
    spikec: Spikec, model: Path, stimulus: Path, tmp_path: Path
) -> None:
    command = ("compile", model, "-t", "loihi1", *OPTIONS, "--calibration", stimulus)
    said = ok(spikec(*command, "-o", tmp_path / "out", "--json"))
    facts = said.data["manifest"]["mapping"]
    assert (facts["samples"], facts["steps"]) == (SAMPLES, STEPS)
    assert facts["window"] == SAMPLES * STEPS
    graph = quantised(load_artifact(tmp_path / "out"))
    given = load_stimulus(stimulus, graph).stimulus
    every = Executor(graph).run(given, populations=["hidden", "out"]).spikes
    sent = sum(int(e.value.sum()) for e in [*every.values(), *given.inputs.values()])
    assert facts["spikes"] == sent > 0
    assert set(said.data["mapping_seconds"]) == {"partition", "traffic", "place", "route", "check"}
    assert f"in {SAMPLES} x {STEPS} steps" in ok(spikec(*command, "-o", tmp_path / "b")).out


def test_the_same_input_gives_the_same_bytes_and_another_seed_is_said(
    spikec: Spikec, model: Path, tmp_path: Path
) -> None:
    command = ("compile", model, "-t", "loihi1", *OPTIONS, "--json")
    one, two, other = (
        ok(spikec(*command, "-o", tmp_path / name, *more)).data["digest"]
        for name, more in (("a", ()), ("b", ("-O", "1")), ("c", ("--seed", "2")))
    )
    assert one == two != other


def test_a_long_delay_of_a_population_becomes_relays(spikec: Spikec, tmp_path: Path) -> None:
    model = save(tmp_path / "net.spk", 2, 3, back=100)
    ok(spikec("compile", model, "-t", "loihi1", "-o", tmp_path / "out"))
    found = json.loads((tmp_path / "out" / "mapping.json").read_text())
    assert [node["name"] for node in found["nodes"]] == ["crowd", "crowd.relay1", "in"]
    spikes = (np.random.default_rng(1).random((2, 130, 2)) < 0.5).astype(np.int64)
    np.savez(tmp_path / "in.npz", data=spikes)
    said = ok(spikec("verify", tmp_path / "out", "-s", tmp_path / "in.npz"))
    assert "golden / integer: measured" in said.out and "integer / cores: equal" in said.out


def test_relays_are_named_where_they_are_too_many(spikec: Spikec, tmp_path: Path) -> None:
    model = save(tmp_path / "net.spk", 2, 300, back=400)
    said = spikec("compile", model, "-t", "spinnaker1", "-o", tmp_path / "out")
    assert said.code == 2
    assert "in 13 populations (12 of them relays of long delays) and 1 input" in said.err
    assert "shorten the longest delays, choose a larger target" in said.err


@pytest.mark.parametrize("target", ["null", "loihi1", "icebreaker"])
def test_a_network_without_populations(spikec: Spikec, tmp_path: Path, target: str) -> None:
    graph = Graph("net", 1e-3, (Input("in", (3,)),), (), (), ())
    (tmp_path / "net.spk").write_text(text(graph), encoding="utf-8")
    said = spikec("compile", tmp_path / "net.spk", "-t", target, "-o", tmp_path / "out")
    assert said.code == 2 and "E0302: no population reaches an output" in said.err


def test_weights_wider_than_the_chips_are_refused(
    spikec: Spikec, model: Path, tmp_path: Path
) -> None:
    said = spikec("compile", model, "-t", "odin", "-o", tmp_path / "out", *OPTIONS)
    assert said.code == 2
    assert "error E0402: a weight of 'odin' has 3 bits at most (recalled: " in said.err
    assert "not 8: 5 too many\n  help: compile with --weight-bits 3" in said.err
    assert not (tmp_path / "out").exists()
    command = ("compile", model, "-t", "odin", "-o", tmp_path / "out", *OPTIONS)
    ok(spikec(*command, "--weight-bits", 3))


# -- what is refused ---------------------------------------------------------------------------

TOO_MANY_INPUTS = (
    "error E0302: neuron 0 of 'crowd' has 5,000 sources, a core of 'loihi1' takes 4,096 in-axons "
    "(stated: nengo-loihi, nengo_loihi/block.py: MAX_IN_AXONS; Davies et al. 2018, p. 86-95, as "
    "quoted in notes): 904 too many\n"
    "  help: remove 904 of its sources, or train with fewer\n"
)
TOO_LARGE = (
    "error E0302: 5,001 neurons and lines in 1 population and 1 input, none of which shares a "
    "core, take 21 cores of 256 neurons or 500 lines (stated: sPyNNaker 7.4.1, "
    "abstract_pynn_neuron_model.py: DEFAULT_MAX_ATOMS_PER_CORE), 'spinnaker1' has 16 at most: "
    "5 too few; the largest population is 'crowd' with 5,000\n"
    "  help: choose a larger target, or leave out 1,160 of 'crowd'\n"
)
TOO_LATE = (
    "error E0307: a synapse of 'w' has a delay of 100 steps, 'loihi1' delays by 62 at most "
    "(stated: Davies et al. 2018, p. 86-95, as quoted in notes: 6 bits, at most 62): 38 too many\n"
    "  help: shorten the delay, or put relay populations on the way\n"
)


@pytest.mark.parametrize(
    ("target", "inputs", "neurons", "delay", "message"),
    [
        ("loihi1", 5000, 1, 1, TOO_MANY_INPUTS),
        ("spinnaker1", 1, 5000, 1, TOO_LARGE),
        ("loihi1", 2, 3, 100, TOO_LATE),
    ],
    ids=["inputs", "population", "delay"],
)
def test_what_fits_no_core_is_refused_with_limit_source_and_excess(
    spikec: Spikec, tmp_path: Path, target: str, inputs: int, neurons: int, delay: int, message: str
) -> None:
    model = save(tmp_path / "net.spk", inputs, neurons, delay)
    said = spikec("compile", model, "-t", target, "-o", tmp_path / "out")
    assert said.code == 2
    assert message in said.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.spk"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (chip_text("zero", 0), "error E0305: core.neurons.value: must be above zero, not 0\n"),
        (chip_text("odd").replace("mixed ", "mixxed "), "error E0305: mixed: is missing\n"),
        ("name = ", "error E0305: is not TOML"),
        (None, "error E0305: cannot be read"),
    ],
    ids=["zero", "key", "syntax", "absent"],
)
def test_a_chip_file_that_is_wrong_is_refused(
    spikec: Spikec, model: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    own = tmp_path / "own.toml"
    if content is not None:
        own.write_text(content, encoding="utf-8")
    said = spikec("compile", model, "-t", own, "-o", tmp_path / "out", *OPTIONS)
    assert said.code == 2
    assert message in said.err
    assert f"at {own}" in said.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("target", "option", "message"),
    [
        ("null", ("-O", "0"), "'null' is no chip: it takes no --effort"),
        ("icebreaker", ("--effort", "2"), "'icebreaker' is no chip: it takes no --effort"),
        ("icebreaker", ("--start", "metis"), "'icebreaker' is no chip: it takes no --start"),
        ("loihi1", ("-O", "0", "--start", "metis"), "--start metis: --effort 0 refines nothing"),
        ("spinnaker1", ("--start", "metis"), "'spinnaker1' mixes no populations"),
        ("loihi1", ("--lanes", "2"), "'loihi1' is no board: it takes no --lanes"),
        ("loihi1", ("--clock", "12"), "'loihi1' is no board: it takes no --clock"),
        ("loihi1", ("--cores", "auto"), "'loihi1' is no board: it takes no --cores"),
        ("loihi1", ("--parity",), "'loihi1' is no board: it takes no --parity"),
        ("null", ("--cores", "2"), "'null' is no board: it takes no --cores"),
        ("loihi1", ("-O", "3"), "'3' is not one of '0', '1', '2'"),
    ],
)
def test_options_of_another_kind_of_target_are_refused(
    spikec: Spikec, model: Path, tmp_path: Path, target: str, option: tuple[str, ...], message: str
) -> None:
    said = spikec("compile", model, "-t", target, "-o", tmp_path / "out", *OPTIONS, *option)
    assert said.code == 2
    assert "E0707" in said.err
    assert message in said.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["mine", "loihi1"])
def test_an_artefact_brings_the_chip_of_ones_own(
    spikec: Spikec, model: Path, stimulus: Path, tmp_path: Path, name: str
) -> None:
    # Also where it is called like one that is known.
    own, out = tmp_path / "mine.toml", tmp_path / "out"
    own.write_text(chip_text(name), encoding="utf-8")
    ok(spikec("compile", model, "-t", own, "-o", out, *OPTIONS))
    own.unlink()
    said = ok(spikec("verify", out, "-s", stimulus, "--rungs", "integer,cores"))
    assert "integer / cores: equal" in said.out
    kept = load_artifact(out)
    assert kept.files["chip.toml"].decode() == chip_text(name)
    # As if somebody had written it: not even its digest is wrong.
    Artifact({**kept.files, "chip.toml": b"name = 3"}, kept.manifest).write(tmp_path / "bad")
    said = spikec("run", tmp_path / "bad", "--on", "cores", "-s", stimulus)
    assert said.code == 2 and "E0305" in said.err and "chip.toml" in said.err


def test_only_what_maps_loads_the_mapper() -> None:
    script = (
        "import sys\n"
        "from spikec.compiler import cli\n"
        "from spikec.compiler.backend import backends\n"
        "backends()\n"
        "assert not [name for name in sys.modules if name.startswith('spikec.compiler.mapping')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_chips_are_listed(spikec: Spikec) -> None:
    found = {t["name"]: t for t in ok(spikec("targets", "--json")).data["targets"]}
    assert found["loihi1"]["backend"] == "chips"
    assert found["loihi1"]["cores"] == 128
    assert found["loihi1"]["limits"]["in_axons"]["value"] == 4096
