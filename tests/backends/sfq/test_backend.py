"""The backend by its entry point: targets, rungs, and a network all the way down."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq import backend
from spikec.backends.sfq.synthesis.files import CELLS
from spikec.compiler.backend import Run, backends, find_target, no_progress, rungs_of
from spikec.compiler.compile import compile_graph
from spikec.compiler.ladder import run_rung
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.diagnostics import SpikecError
from spikec.ir.neurons import LIF
from spikec.ir.text import parse, text

from .networks import TARGET, combinations, exclusive, given, single

OPTIONS = Quantise(input_max=1)


def test_it_is_found_by_name() -> None:
    assert backends()["sfq"] == backend
    assert [t.name for t in backend.targets()] == [TARGET]
    assert backend.targets()[0].process is not None
    assert {"integer", "events", "circuit"} <= set(rungs_of("sfq"))
    assert all(tool.optional for tool in backend.requirements())


def test_a_network_that_is_written_as_text() -> None:
    graph = parse(text(exclusive()), "xor.spk")
    artifact = compile_graph(graph, *find_target(TARGET), OPTIONS).artifact()
    assert CELLS in artifact.files and artifact.manifest["backend"] == "sfq"
    stimulus = given(np.tile(combinations(2), (3, 1)))
    wanted = combinations(2).sum(1) == 1
    for rung in ("integer", "events"):
        out = run_rung(artifact, rung, stimulus).recording.spikes["p1"].dense(0)[:, 0]
        assert out.tolist() == np.tile(wanted, 3).astype(int).tolist()


def test_rungs_that_it_has_not() -> None:
    artifact = compile_graph(exclusive(), *find_target(TARGET), OPTIONS).artifact()
    with pytest.raises(SpikecError, match="E0306"):
        run_rung(artifact, "rtl", given([[0, 1]]))
    with pytest.raises(SpikecError, match="E0306"):
        run = Run(artifact, given([[0, 1]]), ("p1",), (), 1, no_progress)
        backend.run("rtl", run)


def test_a_leak_is_refused_with_a_remedy() -> None:
    leaks = LIF(np.array(0.01), np.array(1.0), np.array(0.0), np.array(1.0))
    with pytest.raises(SpikecError) as caught:
        compile_graph(single(leaks, [[1, 1]]), *find_target(TARGET), OPTIONS)
    assert {d.code for d in caught.value.diagnostics} == {"E1432"}
    assert all(d.hint for d in caught.value.diagnostics) and caught.value.exit_code == 2
