"""The ladder: rungs of an artefact, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.backends.null import NullBackend
from spikec.boards.board import Target
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import Outcome, Run
from spikec.compiler.compile import QUANTISED, compile_graph
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import network, quantised, run_rung, state_words
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF, CubaLIF

PLAIN = LIF(*(np.asarray(x) for x in (0.02, 20.0, 0.0, 1.0)))
CUBA = CubaLIF(*(np.asarray(x) for x in (0.005, 0.02, 5.0, 0.0, 5.0, 1.0)))
GRAPH = Graph(
    "net",
    1e-3,
    (Input("in", (2,)),),
    (Population("a", (2,), PLAIN), Population("b", (1,), CUBA)),
    (
        Projection("ia", "in", "a", Dense(np.array([[1.47, 0.0], [0.53, 1.91]]))),
        Projection("ab", "a", "b", Dense(np.array([[1.37, 0.81]]))),
    ),
    (Output("x", "b"), Output("y", "b")),
)
ARTIFACT = compile_graph(GRAPH, NullBackend(), Target.unlimited(), Quantise(input_max=3)).artifact()
DENSE = np.random.default_rng(3).integers(0, 3, (2, 30, 2))
STIMULUS = Stimulus({"in": Events.from_dense(DENSE)})


def refused(code: str, text: str, *arguments: Any, **more: Any) -> None:
    with pytest.raises(SpikecError, match=rf"(?s)error {code}.*{text}"):
        run_rung(*arguments, **more)


def test_the_integer_rung_is_the_executor() -> None:
    record = state_words(quantised(ARTIFACT))
    assert record == (("a", "v"), ("b", "v"), ("b", "u"))
    shares: list[tuple[str, float]] = []
    outcome = run_rung(
        ARTIFACT,
        "integer",
        STIMULUS,
        record=record,
        progress=lambda name, share: shares.append((name, share)),
    )
    assert outcome.recording == Executor(quantised(ARTIFACT)).run(STIMULUS, record=record)
    assert list(outcome.recording.spikes) == ["b"]
    assert outcome.recording.spikes["b"].value.sum() > 3
    assert outcome.cycles == {} and outcome.clock_hz is None
    assert shares == [("integer", 0.5), ("integer", 1.0)]


def test_any_population_can_be_recorded() -> None:
    outcome = run_rung(ARTIFACT, "integer", STIMULUS, populations=["a"])
    assert list(outcome.recording.spikes) == ["a"]
    refused("E0707", "no population 'c'", ARTIFACT, "integer", STIMULUS, populations=["c"])


def test_the_graphs_of_an_artefact() -> None:
    assert network(ARTIFACT) == GRAPH
    assert [p.name for p in quantised(ARTIFACT).populations] == ["a", "b"]
    bare = Artifact({}, ARTIFACT.manifest)
    refused("E0705", f"{QUANTISED} is not in", bare, "integer", STIMULUS)
    rubbish = Artifact({QUANTISED: b"\xff rubbish"}, ARTIFACT.manifest)
    refused("E0110", "first line", rubbish, "integer", STIMULUS)


def test_the_stimulus_must_fit() -> None:
    other = Stimulus({"out": STIMULUS.inputs["in"]})
    refused("E0702", "'in' has 2 lines, the stimulus nothing", ARTIFACT, "integer", other)
    wide = Stimulus({"in": Events.from_dense(np.ones((1, 2, 3), int))})
    refused("E0702", "the stimulus 3 lines", ARTIFACT, "integer", wide)


def test_counts_beyond_the_proof_of_the_accumulators_are_refused() -> None:
    four = Stimulus({"in": Events.from_dense(2 * DENSE)})
    text = "a count of 4 in one step; the network was compiled for 3.*--input-max 4"
    refused("E0703", text, ARTIFACT, "integer", four)
    run_rung(ARTIFACT, "integer", Stimulus({"in": Events.from_dense(DENSE + 1)}))


def test_an_unknown_rung_names_those_there_are() -> None:
    refused("E0306", "no rung 'rtll'.*golden, integer", ARTIFACT, "rtll", STIMULUS)
    refused("E0306", "no rung 'rtl'", ARTIFACT, "rtl", STIMULUS)


class _Rung:
    """A stand-in for a backend: keeps the request."""

    def __init__(self, targets: list[Target]) -> None:
        self.requests: list[Run] = []
        self._targets = targets

    def targets(self) -> list[Target]:
        return self._targets

    def run(self, rung: str, run: Run) -> Outcome:
        self.requests.append(run)
        return Outcome(Recording(rung, 1e-3, {}, {}), link_seconds=0.5)


def test_other_rungs_go_to_their_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    from spikec.compiler import ladder

    device, golden = _Rung([Target.unlimited()]), _Rung([])
    asked: list[tuple[str, str]] = []

    def find(name: str, owner: str) -> _Rung:
        asked.append((name, owner))
        return golden if name == "golden" else device

    monkeypatch.setattr(ladder, "find_rung", find)
    outcome = run_rung(ARTIFACT, "device", STIMULUS, populations=["a"], record=[("a", "v")], seed=9)
    (request,) = device.requests
    assert asked == [("device", "null")]
    assert (request.populations, request.record, request.seed) == (("a",), (("a", "v"),), 9)
    assert (outcome.recording.rung, outcome.link_seconds, request.pace) == ("device", 0.5, False)
    # Accumulators matter to hardware, not to the golden reference.
    many = Stimulus({"in": Events.from_dense(5 * DENSE)})
    refused("E0703", "a count of 10", ARTIFACT, "device", many)
    run_rung(ARTIFACT, "golden", many)
    nobody = Artifact(ARTIFACT.files, {})
    run_rung(nobody, "golden", many)
    assert asked[-1] == ("golden", "")


def test_the_golden_rung_follows_the_network() -> None:
    from spikec.compiler.backend import installed_version

    if installed_version("brian2") is None:
        pytest.skip("brian2 is not installed")
    precise = compile_graph(
        GRAPH,
        NullBackend(),
        Target.unlimited(),
        replace(Quantise(), weight_bits=16, state_bits=40, decay_bits=22),
    ).artifact()
    golden = run_rung(precise, "golden", STIMULUS).recording
    integer = run_rung(precise, "integer", STIMULUS).recording
    assert golden.spikes["b"].value.sum() == integer.spikes["b"].value.sum() > 3
    assert np.array_equal(golden.spikes["b"].step, integer.spikes["b"].step)
