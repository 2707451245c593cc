"""A program as files: it comes back as it was, and what is broken is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from spikec.backends.sfq.cells.chance import law
from spikec.backends.sfq.synthesis.files import CELLS, program_facts, program_files, read_program
from spikec.backends.sfq.synthesis.released import WEIGHTS
from spikec.backends.sfq.synthesis.synthesise import Program, synthesise
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.diagnostics import SpikecError

from ..networks import TARGET, exclusive, latch, layered, quantised


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    options = Quantise(input_max=1)
    return compile_graph(exclusive(), *find_target(TARGET), options).artifact()


def with_cells(artifact: Artifact, data: bytes) -> Artifact:
    return replace(artifact, files={**artifact.files, CELLS: data})


@pytest.mark.parametrize(
    "graph",
    [exclusive(), layered([([[0, 0], [1, -1]], [-0.5, 0.5]), ([[1, 1]], [1.5])]), latch()],
    ids=["xor", "constants", "latch"],
)
def test_it_comes_back(graph: Any, artifact: Artifact) -> None:
    program = synthesise(quantised(graph))
    files = program_files(program)
    assert files == program_files(program)
    assert read_program(with_cells(artifact, files[CELLS])) == program
    assert program.remembers == any(p.delay for p in graph.projections)


def test_what_releases_by_weights_comes_back(artifact: Artifact) -> None:
    graph = quantised(layered([([[4, -3, 1], [2, 2, 2]], [2.5, 2.5])]))
    program = synthesise(graph, release={"w0": WEIGHTS})
    assert program.release["w0"].synapses == 2
    assert read_program(with_cells(artifact, program_files(program)[CELLS])) == program
    facts = program_facts(program)["release"]["w0"]
    assert facts["probability"] == [0.25, 0.75] and facts["weights"]
    assert facts["bias"] == [law().bias(0.25), law().bias(0.75)]
    assert (facts["synapses"], facts["certain"], facts["dropped"]) == (2, 4, 0)
    assert facts["rounded"] == pytest.approx(0.5) and facts["worst"] in (0.25, 0.75)
    assert facts["between"] == list(law().between(facts["worst"]))


def test_what_is_written_is_in_the_artefact(artifact: Artifact) -> None:
    program: Program = read_program(artifact)
    assert program == synthesise(quantised(exclusive()))
    facts = program_facts(program)
    assert facts["junctions"] == sum(i.cell.junctions for i in program.netlist.instances)
    assert sum(facts["cells"].values()) == len(program.netlist.instances)
    assert facts["exact"] and facts["period"] == program.period
    json.dumps(facts)


def test_without_its_file(artifact: Artifact) -> None:
    files = {name: data for name, data in artifact.files.items() if name != CELLS}
    with pytest.raises(SpikecError, match="E0705"):
        read_program(replace(artifact, files=files))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("cells"),
        lambda data: data.update(period="soon"),
        lambda data: data["cells"][0].pop("nets"),
        lambda data: data["cells"][0].update(colour="red"),
        lambda data: data.update(windows={"n1": [1.0]}),
        lambda data: data.update(inputs=[]),
        lambda data: data.update(release={"w0": {"weights": True}}),
        lambda data: data.pop("release"),
    ],
)
def test_a_file_that_is_none(artifact: Artifact, change: Any) -> None:
    data = json.loads(artifact.files[CELLS])
    change(data)
    with pytest.raises(SpikecError, match="E0705"):
        read_program(with_cells(artifact, json.dumps(data).encode()))


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"{"])
def test_bytes_that_are_none(artifact: Artifact, data: bytes) -> None:
    with pytest.raises(SpikecError, match="E0705"):
        read_program(with_cells(artifact, data))


def test_cells_that_do_not_fit_are_refused(artifact: Artifact) -> None:
    data = json.loads(artifact.files[CELLS])
    data["cells"][0]["kind"] = "teapot"
    with pytest.raises(SpikecError, match="E1420"):
        read_program(with_cells(artifact, json.dumps(data).encode()))
