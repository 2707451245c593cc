"""Compilation: all stages kept, the same bytes everywhere, nothing when it cannot be done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikec.backends.null import NullBackend
from spikec.boards.board import Target
from spikec.boards.features import FPGA_CORE
from spikec.compiler.artifact import load_artifact
from spikec.compiler.compile import NETWORK, QUANTISED, Compilation, compile_graph, portable
from spikec.compiler.passes.legalise import Legalise
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.passes.retime import Retime
from spikec.ir.connections import AvgPool2d, Chain, Dense, Flatten
from spikec.ir.diagnostics import Diagnostics, Location, SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF, IntegerNeuron
from spikec.ir.semantics import Reset, Semantics
from spikec.ir.text import digest, parse, text

RNG = np.random.default_rng(8)


def cells(size: int) -> LIF:
    tau, r, v_leak = (np.asarray(x) for x in (0.02, 5.0, 0.0))
    return LIF(tau, r, v_leak, np.full(size, 1.0))


HERE = Location("/somewhere/on/this/machine/net.nir", "a")
GRAPH = Graph(
    "net",
    1e-3,
    (Input("in", (1, 4, 4), HERE),),
    (Population("a", (6,), cells(6), at=HERE), Population("b", (2,), cells(2))),
    (
        Projection(
            "pool",
            "in",
            "a",
            Chain(
                (
                    AvgPool2d((1, 4, 4), (2, 2), (2, 2)),
                    Flatten((1, 2, 2)),
                    Dense(RNG.normal(size=(6, 4))),
                )
            ),
        ),
        Projection("ab", "a", "b", Dense(RNG.normal(size=(2, 6)))),
    ),
    (Output("out", "b"),),
    dialect="snntorch",
)
HOP = replace(Target.unlimited("hop"), features=FPGA_CORE)


def compiled(graph: Graph = GRAPH, target: Target = HOP, **more: object) -> Compilation:
    return compile_graph(graph, NullBackend(), target, Quantise(), **more)  # type: ignore[arg-type]


def test_every_stage_is_kept() -> None:
    result = compiled()
    assert result.source == portable(GRAPH)
    legal = Legalise().run(result.source, HOP, Diagnostics())
    assert result.retimed == Retime().run(legal, HOP, Diagnostics())
    assert [p.lag for p in result.retimed.populations] == [0, 1]
    assert all(isinstance(p.neuron, IntegerNeuron) for p in result.quantised.populations)
    assert [e.population for e in result.errors] == ["a", "b"]


def test_the_artefact_holds_the_explicit_and_the_quantised_graph(tmp_path: Path) -> None:
    result = compiled()
    result.artifact({"report.json": b"{}"}).write(tmp_path / "out")
    again = load_artifact(tmp_path / "out")
    assert set(again.files) == {NETWORK, QUANTISED, "report.json"}
    assert parse(again.files[NETWORK].decode()) == result.source
    assert parse(again.files[QUANTISED].decode()) == result.quantised
    assert digest(result.source) == again.manifest["source_digest"]


def test_the_manifest_says_how_it_was_made() -> None:
    facts = compiled().manifest()
    assert facts == json.loads(json.dumps(facts))
    assert facts["target"] == "hop" and facts["backend"] == "null" and facts["name"] == "net"
    assert facts["dialect"] == "snntorch" and facts["dt"] == 1e-3
    assert facts["output_shift"] == {"out": 1}
    assert facts["quantise"]["rounding"] == "nearest_even"
    assert facts["quantise"]["weight_bits"] == 8


def test_locations_keep_the_file_but_not_the_folder() -> None:
    result = compiled()
    assert result.source.inputs[0].at == Location("net.nir", "a")
    content = b"".join(result.artifact().files.values())
    assert b"somewhere" not in content
    assert text(portable(portable(GRAPH))) == text(portable(GRAPH))


def test_passes_report_as_they_finish() -> None:
    seen: list[tuple[str, int]] = []
    shares: list[tuple[str, float]] = []
    compiled(
        after=lambda name, graph: seen.append((name, len(graph.projections))),
        progress=lambda name, share: shares.append((name, share)),
    )
    assert seen == [("legalise", 2), ("retime", 2), ("relay", 2), ("quantise", 2)]
    assert shares == [(name, 1.0) for name, _ in seen]


def test_what_cannot_be_compiled_raises_with_all_that_was_found() -> None:
    loose = Semantics(reset=Reset.SUBTRACT, max_spikes=None)
    dead = Population("dead", (1,), cells(1))
    graph = replace(
        GRAPH,
        populations=(replace(GRAPH.populations[0], semantics=loose), GRAPH.populations[1], dead),
    )
    found = Diagnostics()
    with pytest.raises(SpikecError) as caught:
        compiled(graph, found=found)
    assert [d.code for d in caught.value.diagnostics] == ["W0124", "E0301"]
    assert [d.code for d in found] == ["W0124", "E0301"]
    assert caught.value.exit_code == 2


def test_two_compilations_do_not_see_each_other() -> None:
    other = replace(GRAPH, name="other", dt=2e-3)
    alone = compiled().artifact().digest, compiled(other).artifact().digest
    mixed: dict[str, str] = {}

    def interleave(name: str, graph: Graph) -> None:
        if graph.name == "net":
            mixed["other"] = compiled(other).artifact().digest

    mixed["net"] = compiled(after=interleave).artifact().digest
    assert (mixed["net"], mixed["other"]) == alone
    assert alone[0] != alone[1]


SCRIPT = """
from pathlib import Path
import numpy as np
from spikec.compiler.backend import find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Location
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import CubaLIF
from spikec.ir.numerics import Rounding
rng = np.random.default_rng(1)
at = Location(str(Path("net.nir").resolve()), "n")
names = [f"population {k}" for k in range(12)]
cell = CubaLIF(*(np.asarray(x) for x in (0.004, 0.01, 6.0, 0.1, 2.0, 1.0)))
edges = [(a, b) for a in names for b in names if rng.random() < 0.3]
graph = Graph(
    "net", 1e-3, (Input("in", (3,), at),),
    tuple(Population(n, (9,), cell, at=at) for n in names),
    (Projection("in", "in", names[0], Dense(rng.normal(size=(9, 3))), at=at),
     *(Projection(f"{a} {b}", a, b, Dense(rng.normal(size=(9, 9))), 1, at=at) for a, b in edges)),
    tuple(Output(n, n, at) for n in {*names}),
)
graph = graph.with_(outputs=tuple(sorted(graph.outputs, key=lambda o: o.name)))
options = Quantise(clip="mse", weight_rounding=Rounding.STOCHASTIC)
backend, target = find_target("null")
artifact = compile_graph(graph, backend, target, options).artifact()
artifact.write(Path("out"))
print(artifact.digest)
"""


def test_the_same_bytes_in_two_folders_under_two_hash_seeds(tmp_path: Path) -> None:
    digests, trees = [], []
    for seed in ("0", "4242"):
        folder = tmp_path / f"folder {seed}"
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.append(done.stdout.strip())
        out = folder / "out"
        trees.append({p.name: p.read_bytes() for p in out.rglob("*") if p.is_file()})
    assert digests[0] == digests[1] and len(digests[0]) == 64
    assert trees[0] == trees[1]
    assert load_artifact(tmp_path / "folder 0" / "out").digest == digests[0]
