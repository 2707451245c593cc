"""The report of a compilation: with a mapping where there is one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from spikec.backends.null import NullBackend
from spikec.boards.board import Target
from spikec.boards.chip import load_chip
from spikec.compiler.compile import compile_graph
from spikec.compiler.mapping.map import map_network
from spikec.compiler.mapping.network import axons_of
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.reporting import compile_report
from spikec.ir.connections import Dense
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF


def graph() -> Graph:
    one = np.asarray(1.0)
    cells = LIF(np.asarray(0.02), one, np.asarray(0.0), one)
    weights = np.random.default_rng(1).normal(size=(12, 8))
    return Graph(
        "net",
        1e-3,
        (Input("in", (8,)),),
        (Population("a", (12,), cells), Population("b", (12,), cells)),
        (
            Projection("in->a", "in", "a", Dense(weights)),
            Projection("a->b", "a", "b", Dense(np.eye(12)), delay=1),
        ),
        (Output("out", "b"),),
    )


def test_a_mapping_of_a_compilation_is_in_its_report() -> None:
    target = Target.unlimited()
    compilation = compile_graph(graph(), NullBackend(), target, Quantise())
    plain = compile_report(compilation)
    assert json.loads(plain["report.json"])["mapping"] is None
    machine = load_chip("loihi1")
    axons = axons_of(compilation.quantised, machine, 8)
    mapped = map_network(axons, machine, effort=0)
    files = compile_report(replace(compilation, mapping=mapped, axons=axons))
    data = json.loads(files["report.json"])
    assert data["mapping"]["machine"]["name"] == "loihi1"
    assert data["mapping"]["cores"]["used"] == mapped.mapping.parts
    assert {p["name"]: p["neurons"] for p in data["mapping"]["populations"]} == {"a": 12, "b": 12}
    assert "mapping" in [row["figure"] for row in data["provenance"]]
    assert b'id="mapping"' in files["report.html"]
