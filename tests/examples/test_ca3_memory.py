"""The memory of CA3 against spikes recorded on a SpiNNaker board, and what it should answer."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.compiler.passes.spinnaker import spinnaker
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph
from spikec.ir.numerics import Rounding
from spikec.ir.plasticity import Coincidence, Dependence, Pairing, Transmit
from spikec.ir.text import parse, text
from spikec.ir.verify import verify

from .scripts import script

SIZES = [(5, 10), (8, 10), (10, 10), (16, 6), (4, 8), (12, 12)]
DENSITIES = [0.15, 0.3, 0.5]
Rows = dict[tuple[str, int], set[int]]


@pytest.fixture(scope="module")
def memory() -> Iterator[ModuleType]:
    yield from script("ca3_memory/memory.py")


def recorded(data: Path, number: int) -> tuple[dict[str, Any], Stimulus, Rows]:
    """An experiment, its stimulus, and what each population did in each step that it fired in."""
    found = json.loads((data / "ca3_memory" / f"experiment_{number}.json").read_text())
    lines = {}
    for name, size in (("cue", found["cues"]), ("content", found["content_bits"])):
        values = np.zeros((1, found["ticks"], size), np.int64)
        for line, ticks in enumerate(found["input_spike_ticks"][name]):
            values[0, ticks, line] = 1
        lines[name] = Events.from_dense(values)
    rows = {
        (name, int(tick)): set(neurons)
        for name, fired in found["recorded"].items()
        for tick, neurons in fired.items()
    }
    assert len(rows) == found["rows"]
    return found, Stimulus(lines), rows


def rows_of(recording: Recording) -> Rows:
    found: Rows = {}
    for name, events in recording.spikes.items():
        for step, index in zip(events.step.tolist(), events.index.tolist(), strict=True):
            found.setdefault((name, step), set()).add(index)
    return found


def wrong(graph: Graph, stimulus: Stimulus, rows: Rows) -> tuple[int, int]:
    """Rows that differ on the golden rung, of all that either side has."""
    found = rows_of(run_golden(graph, stimulus, codegen="numpy"))
    every = set(found) | set(rows)
    return sum(found.get(row) != rows.get(row) for row in every), len(every)


def integers(graph: Graph, **options: Any) -> Executor:
    return Executor(quantise(graph, Quantise(input_max=1, **options), Diagnostics()))


@pytest.mark.parametrize(("number", "count"), [(1, 128), (3, 356)])
def test_no_row_of_the_recording_is_wrong_on_the_golden_rung(
    data_dir: Path, memory: ModuleType, number: int, count: int
) -> None:
    found, stimulus, rows = recorded(data_dir, number)
    graph = memory.network(found["cues"], found["content_bits"])
    assert wrong(graph, stimulus, rows) == (0, count)
    assert parse(text(graph)) == graph


@pytest.mark.parametrize("options", [{}, {"weight_bits": 16, "state_bits": 40, "decay_bits": 22}])
@pytest.mark.parametrize(("number", "count"), [(1, 128), (3, 356)])
def test_no_row_of_the_recording_is_wrong_in_integers(
    data_dir: Path, memory: ModuleType, number: int, count: int, options: dict[str, int]
) -> None:
    found, stimulus, rows = recorded(data_dir, number)
    executor = integers(memory.network(found["cues"], found["content_bits"]), **options)
    assert rows_of(executor.run(stimulus)) == rows and len(rows) == count


def on_spinnaker(graph: Graph, stimulus: Stimulus) -> Rows:
    fixed = spinnaker(graph, Diagnostics())
    verify(fixed)
    assert parse(text(fixed)) == fixed
    return rows_of(Executor(fixed).run(stimulus))


@pytest.mark.parametrize(("number", "count"), [(1, 128), (3, 356)])
def test_no_row_of_the_recording_is_wrong_in_the_arithmetic_of_spinnaker(
    data_dir: Path, memory: ModuleType, number: int, count: int
) -> None:
    found, stimulus, rows = recorded(data_dir, number)
    graph = memory.network(found["cues"], found["content_bits"])
    assert on_spinnaker(graph, stimulus) == rows and len(rows) == count


def test_amplitudes_times_w_max_are_not_what_was_recorded(
    data_dir: Path, memory: ModuleType
) -> None:
    """sPyNNaker 1!6.0.0 multiplies A of 6 with w_max of 6 nA, 1!7.0.0 does not."""
    for number, said in ((1, 13), (3, 12)):
        found, stimulus, rows = recorded(data_dir, number)
        rule = replace(memory.RULE, a_plus=6.0, a_minus=6.0, dependence=Dependence.SCALED)
        got = on_spinnaker(memory.network(found["cues"], found["content_bits"], rule), stimulus)
        assert sum(got.get(row) != rows.get(row) for row in set(got) | set(rows)) == said


@pytest.mark.parametrize(
    ("change", "first", "third"),
    [
        # Wrong rows, of all rows of either side, in the experiments 1 and 3.
        (
            {"dendritic_delay_fraction": 0.0, "coincidence": Coincidence.POTENTIATE},
            (22, 128),
            (12, 356),
        ),
        ({"coincidence": Coincidence.NONE}, (14, 136), (0, 356)),
        ({"pairing": Pairing.NEAREST}, (0, 128), (3, 356)),
    ],
    ids=["axonal", "coincident-none", "nearest"],
)
def test_another_rule_is_another_memory(
    data_dir: Path,
    memory: ModuleType,
    change: dict[str, Any],
    first: tuple[int, int],
    third: tuple[int, int],
) -> None:
    for number, said in ((1, first), (3, third)):
        found, stimulus, rows = recorded(data_dir, number)
        rule = replace(memory.RULE, **change)
        graph = memory.network(found["cues"], found["content_bits"], rule)
        assert wrong(graph, stimulus, rows) == said


def test_the_weight_that_is_sent_is_the_one_that_is_left(
    data_dir: Path, memory: ModuleType
) -> None:
    found, stimulus, rows = recorded(data_dir, 1)
    graph = memory.network(found["cues"], found["content_bits"])
    before = tuple(
        p
        if p.plasticity is None
        else replace(p, plasticity=replace(p.plasticity, transmit=Transmit.BEFORE))
        for p in graph.projections
    )
    assert wrong(replace(graph, projections=before), stimulus, rows)[0] > 0
    scaled = replace(memory.RULE, a_plus=1.0, a_minus=1.0, dependence=Dependence.SCALED)
    same = memory.network(found["cues"], found["content_bits"], scaled)
    assert wrong(same, stimulus, rows) == (0, 128)


def ask(memory: ModuleType, cues: int, bits: int, density: float, seed: int, rung: str) -> None:
    phases = memory.session(cues, bits, density, seed)
    recording = memory.run(
        memory.network(cues, bits), *memory.script(phases, cues, bits), rung, weight_bits=8
    )
    assert memory.answers(phases, recording) == memory.expected(phases)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize(("cues", "bits"), SIZES)
def test_random_memories_answer_to_cues_and_to_fragments(
    memory: ModuleType, cues: int, bits: int, density: float
) -> None:
    for seed in range(8):
        ask(memory, cues, bits, density, seed, "integer")


def test_a_random_memory_on_the_golden_rung(memory: ModuleType) -> None:
    ask(memory, 5, 10, 0.3, 0, "golden")


@pytest.mark.parametrize(("cues", "bits"), [(5, 10), (8, 10), (10, 10), (4, 8)])
def test_random_memories_in_the_arithmetic_of_spinnaker(
    memory: ModuleType, cues: int, bits: int
) -> None:
    for seed, density in enumerate(DENSITIES):
        ask(memory, cues, bits, density, seed, "s1615")


def test_what_spinnaker_forgets(memory: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of content that spikes 16 times before a cue comes back: the first spike is lost, and
    with it what tied the two. Nothing is where a post neuron remembers more than 15 spikes.
    """

    def right() -> int:
        found = 0
        for seed in range(8):
            phases = memory.session(16, 6, 0.5, seed)
            recording = memory.run(memory.network(16, 6), *memory.script(phases, 16, 6), "s1615")
            got, wanted = memory.answers(phases, recording), memory.expected(phases)
            assert len(got) == 43
            found += sum(a == b for a, b in zip(got, wanted, strict=True))
        return found

    assert right() == 330
    monkeypatch.setattr("spikec.compiler.integer.spinnaker.HISTORY", 1 << 8)
    assert right() == 344


@pytest.mark.slow
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize(("cues", "bits"), SIZES)
def test_random_memories_on_the_golden_rung(
    memory: ModuleType, cues: int, bits: int, density: float
) -> None:
    for seed in range(8):
        ask(memory, cues, bits, density, seed, "golden")


def recalled(
    memory: ModuleType, bits: int, rounding: Rounding, rung: str = "golden"
) -> tuple[float, float]:
    """Which share of cues, and of lines, are answered right with weights of so many bits.

    Four memories of 8 x 10. Questions learn, too, as they do where nothing holds the weights.
    """
    right, asked = np.zeros(2), np.zeros(2)
    for seed in range(4):
        learnt, questions, *_ = memory.session(8, 10, 0.3, seed)
        plain = [q for q in questions.operations if q.cue is not None or len(q.content) == 1]
        phases = [memory.Phase((*learnt.operations, *plain))]
        rule = replace(memory.RULE, bits=bits, rounding=rounding)
        stimulus, learning = memory.script(phases, 8, 10)
        graph = memory.network(8, 10, rule)
        if rung == "golden":
            recording = run_golden(graph, stimulus, learning=learning, codegen="numpy")
        else:
            recording = memory.run(graph, stimulus, learning, rung)
        assert (
            rung != "golden"
            or rounding is not Rounding.NEAREST_EVEN
            or np.isin(
                recording.weights["cue_cue to content_cue"],
                np.arange(2**bits) * (memory.WEIGHT / (2**bits - 1)),
            ).all()
        )
        answers = zip(
            plain, memory.answers(phases, recording), memory.expected(phases), strict=True
        )
        for question, got, wanted in answers:
            kind = int(question.cue is None)
            asked[kind] += 1
            right[kind] += got == wanted
    by_cue, by_line = right / asked
    return float(by_cue), float(by_line)


@pytest.mark.parametrize("rung", ["golden", "integer"])
@pytest.mark.parametrize("bits", [1, 2, 4, 16])
def test_a_weight_that_rounds_to_the_nearest_needs_one_bit(
    memory: ModuleType, bits: int, rung: str
) -> None:
    assert recalled(memory, bits, Rounding.NEAREST_EVEN, rung) == (1.0, 1.0)


@pytest.mark.parametrize("rung", ["golden", "integer"])
def test_a_weight_that_rounds_down_forgets(memory: ModuleType, rung: str) -> None:
    """Lines are lost first, and cues with the last bit."""
    found = {bits: recalled(memory, bits, Rounding.DOWN, rung) for bits in (5, 3, 2, 1)}
    assert found[5] == (1.0, 1.0)
    assert found[3][0] == found[2][0] == 1.0
    assert 1.0 > found[3][1] > found[2][1]
    assert found[3][1] < 0.7 and found[2][1] <= 0.4 and found[1][0] < 0.3


def test_what_should_be_answered_by_hand(memory: ModuleType) -> None:
    learn, recall, phase = memory.Learn, memory.Recall, memory.Phase
    phases = [
        phase((learn(0, frozenset({1, 2})), learn(1, frozenset({2, 3})))),
        phase((recall(cue=0), recall(content=frozenset({2})), recall(cue=2)), False),
        phase((learn(0, frozenset({4})),)),
        phase((recall(cue=0), recall(content=frozenset({1, 4}))), False),
    ]
    wanted: list[set[int]] = [{1, 2}, {0, 1}, set(), {4}, {0}]
    assert memory.expected(phases) == [frozenset(each) for each in wanted]
    recording = memory.run(memory.network(3, 5), *memory.script(phases, 3, 5), "integer")
    assert memory.answers(phases, recording) == memory.expected(phases)


def test_what_the_script_prints(
    memory: ModuleType,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    plot = tmp_path / "spikes.svg"
    arguments = ["--cues", "4", "--bits", "8", "--plot", str(plot)]
    monkeypatch.setattr(sys, "argv", ["memory.py", *arguments])
    assert memory.main() == 0
    assert "output_content" in plot.read_text()
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "21 of 21 recalls right, on the rung integer"
    assert said[0].startswith("learn  cue 0 = ") and not any("WRONG" in line for line in said)
    monkeypatch.setattr(sys, "argv", ["memory.py", "--density", "0"])
    assert memory.main() == 2
    assert "E0707" in capsys.readouterr().err
