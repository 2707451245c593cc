"""``compile -t lava --chip``: a program in Loihi's arithmetic, and the cores that it takes."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from spikec.boards.chip import load_chip
from spikec.compiler.artifact import load_artifact
from spikec.compiler.ladder import quantised
from spikec.compiler.mapping.check import check
from spikec.compiler.mapping.network import axons_of
from spikec.compiler.mapping.to_json import read_mapping
from spikec.compiler.stimulus import LabelledStimulus, stimulus_bytes
from spikec.ir.connections import Conv2d, Dense
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF
from spikec.ir.semantics import Reset, Semantics
from spikec.ir.text import text

from .conftest import Said, Spikec
from .test_mapping import chip_text


def real(value: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(value)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A convolution and a dense layer as a real network would have them."""
    rng = np.random.default_rng(4)
    cell = LIF(real(0.02), real(20.0), real(0.0), real(1.0))
    rules = Semantics(reset=Reset.ZERO)
    conv = Conv2d(rng.normal(0.2, 0.2, (4, 2, 3, 3)), (2, 12, 12))
    graph = Graph(
        "eyes",
        1e-3,
        (Input("in", (2, 12, 12)),),
        (Population("map", (4, 10, 10), cell, rules), Population("out", (10,), cell, rules)),
        (
            Projection("conv", "in", "map", conv),
            Projection("read", "map", "out", Dense(rng.normal(0.05, 0.2, (10, 400)))),
        ),
        (Output("class", "out"),),
    )
    path = tmp_path / "eyes.spk"
    path.write_text(text(graph), encoding="utf-8")
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    dense = (np.random.default_rng(5).random((2, 12, 288)) < 0.2).astype(np.int64)
    path = tmp_path / "images.npz"
    path.write_bytes(stimulus_bytes(LabelledStimulus(Stimulus({"in": Events.from_dense(dense)}))))
    return path


def ok(said: Said) -> Said:
    assert said.code == 0, said.err
    return said


def test_one_command_gives_the_program_and_its_cores(
    spikec: Spikec, trained: Path, images: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    line = ("compile", trained, "-t", "lava", "--chip", "loihi1", "-O", 0, "-o", folder)
    said = ok(spikec(*line, "--calibration", images))
    assert "synapse memory, by projection and format" in said.out
    assert "cores: 1 of 128 on 1 chip" in said.out
    artifact = load_artifact(folder)
    # The program is there, and the mapping, which the checker counts again.
    assert {"network.py", "network.npz", "mapping.json", "report.html"} <= set(artifact.files)
    loihi = load_chip("loihi1")
    axons = axons_of(quantised(artifact), loihi, 8)
    mapping = read_mapping(artifact.files["mapping.json"], loihi, axons)
    checked = check(axons, mapping)
    assert checked.ok
    memory = artifact.manifest["mapping"]["synapse_memory"]
    assert memory["bits"] == checked.usage.synapse_bits.sum()
    assert memory["in_axons"] == checked.usage.in_axons.sum() == 288 + 400
    assert memory["out_axons"] == checked.usage.out_axons.sum() == 400
    formats = {line["projection"]: line["format"] for line in memory["projections"]}
    # 10 of 410 places: an index costs less than it does elsewhere, and dense has none.
    assert formats == {"conv": "convolution", "read": "dense"}
    # 400 rows of 10 weights of 8 bits are two words each.
    assert memory["formats"]["dense"] == 400 * 128
    assert artifact.manifest["mapping"]["spikes"] > 0

    data = json.loads(artifact.files["report.json"])
    schema = resources.files("spikec.compiler.report") / "report.schema.json"
    jsonschema.validate(data, json.loads(schema.read_text(encoding="utf-8")))
    assert data["mapping"]["encodings"] == memory["projections"]
    page = artifact.files["report.html"].decode()
    assert "Synapse memory: the format of each projection" in page
    # The same spikes as ever: what is mapped beside it does not change the program.
    plain = tmp_path / "plain"
    ok(spikec("compile", trained, "-t", "lava", "-o", plain, "--calibration", images))
    assert load_artifact(plain).files["network.json"] == artifact.files["network.json"]
    assert "mapping.json" not in load_artifact(plain).files
    ok(spikec("run", folder, "--on", "integer", "-s", images))


def test_the_same_in_json(spikec: Spikec, trained: Path, tmp_path: Path) -> None:
    line = ("compile", trained, "-t", "lava", "--chip", "loihi2", "-O", 0)
    data = ok(spikec(*line, "-o", tmp_path / "out", "--json")).data
    facts = data["manifest"]["mapping"]
    assert facts["cores"] == 1
    assert set(facts["synapse_memory"]["formats"]) == {
        "dense", "sparse", "runlength", "convolution",
    }  # fmt: skip
    # Nothing of Loihi 2 is stated in a text.
    assert {line["obtained"] for line in facts["synapse_memory"]["projections"]} == {"recalled"}


def test_a_format_can_be_chosen(spikec: Spikec, trained: Path, tmp_path: Path) -> None:
    line = ("compile", trained, "-t", "lava", "--chip", "loihi1", "-O", 0, "--synapses", "sparse")
    facts = ok(spikec(*line, "-o", tmp_path / "out", "--json")).data["manifest"]["mapping"]
    assert {line["format"] for line in facts["synapse_memory"]["projections"]} == {"sparse"}
    # 400 rows of up to 10 weights of 8 bits that are not zero, an index of 6 beside each.
    connection = quantised(load_artifact(tmp_path / "out")).projections[1].connection
    assert isinstance(connection, Dense)
    rows = np.count_nonzero(connection.weight, axis=0)
    words = np.where(rows > 0, -(-(10 + 14 * rows) // 64), 0)
    assert facts["synapse_memory"]["projections"][1]["bits"] == 64 * words.sum()


def small_chip(path: Path, cores: int = 1, bits: int = 1_048_576) -> Path:
    """Loihi as one chip of so few cores, or with less memory in each."""
    found = chip_text("small").replace("cores_per_router = 4", f"cores_per_router = {cores}")
    found = found.replace("routers          = [8, 4]", "routers          = [1, 1]")
    found = found.replace("value = 768, unit", "value = 1, unit")
    path.write_text(found.replace("value = 1048576", f"value = {bits}"), encoding="utf-8")
    return path


def test_a_program_that_does_not_fit_is_written_and_warned_of(
    spikec: Spikec, trained: Path, tmp_path: Path
) -> None:
    chip, folder = small_chip(tmp_path / "small.toml", bits=40_000), tmp_path / "out"
    said = ok(spikec("compile", trained, "-t", "lava", "--chip", chip, "-O", 0, "-o", folder))
    assert "warning W0328" in said.err
    assert "'small' has 1 at most" in " ".join(said.err.split())
    artifact = load_artifact(folder)
    assert "network.py" in artifact.files and "mapping.json" not in artifact.files
    assert "mapping" not in artifact.manifest
    assert "W0328" in [d["code"] for d in artifact.manifest["diagnostics"]]
    # For the chip itself the network, in its arithmetic, is an error.
    inner = tmp_path / "quantised.spk"
    inner.write_bytes(artifact.files["quantised.spk"])
    said = spikec("compile", inner, "-t", chip, "-O", 0, "-o", tmp_path / "other")
    assert said.code == 2
    assert "error E0302" in said.err and "'small' has 1 at most" in " ".join(said.err.split())
    assert not (tmp_path / "other").exists()


def test_a_network_in_loihis_arithmetic_is_mapped_as_it_is(
    spikec: Spikec, trained: Path, images: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    ok(spikec("compile", trained, "-t", "lava", "--chip", "loihi1", "-O", 0, "-o", folder))
    inner = tmp_path / "inner.spk"
    inner.write_bytes((folder / "quantised.spk").read_bytes())
    ok(spikec("compile", inner, "-t", "loihi1", "-O", 0, "-o", tmp_path / "again"))
    first, second = (
        load_artifact(tmp_path / name).manifest["mapping"]["synapse_memory"]
        for name in ("out", "again")
    )
    assert first == second
    # It is profiled, and runs on the integer rung; the rung cores has no such step.
    ok(spikec("profile", tmp_path / "again", "-s", images))
    ok(spikec("run", tmp_path / "again", "--on", "integer", "-s", images))
    said = spikec("run", tmp_path / "again", "--on", "cores", "-s", images)
    assert said.code == 2 and "which the rung cores does not have" in " ".join(said.err.split())


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("-t", "lava", "--chip", "truenorth"), "E0707", "has no place on it"),
        (("-t", "lava", "--chip", "icebreaker"), "E0707", "has no place on it"),
        (("-t", "lava", "--chip", "loihi3"), "E0304", "there is no target 'loihi3'"),
        (("-t", "loihi1", "--chip", "loihi1"), "E0707", "it takes no --chip"),
        (("-t", "lava", "-O", "1"), "E0707", "it takes no --effort"),
        (("-t", "lava", "--synapses", "dense"), "E0707", "give --chip, too"),
        (("-t", "lava", "--chip", "loihi1", "--synapses", "rle"), "E0707", "no such format"),
        (("-t", "lava", "--chip", "loihi1", "-O", "0", "--start", "metis"), "E0707", "nothing"),
        (("-t", "lava", "--chip", "loihi1", "--lanes", "2"), "E0707", "it takes no --lanes"),
    ],
)
def test_what_is_refused(
    spikec: Spikec, trained: Path, tmp_path: Path, options: tuple[str, ...], code: str, said: str
) -> None:
    found = spikec("compile", trained, *options, "-o", tmp_path / "out")
    assert found.code == 2
    assert f"error {code}" in found.err
    assert said in " ".join(found.err.split())
    assert not (tmp_path / "out").exists()
