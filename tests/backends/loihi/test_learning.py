"""Networks that learn, the integer rung against Lava itself: spikes, u, v, traces and weights.

All 120: ``pytest tests/backends/loihi/test_learning.py -m ""``, with SPIKEC_LAVA_PYTHON naming a
Python that has lava-nc 0.10.
"""

from __future__ import annotations

import io
import json
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.backends.loihi.execute import supervised
from spikec.backends.loihi.program import connection_kinds, files
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import find_target
from spikec.compiler.cli.main import invoke
from spikec.compiler.compile import compile_graph
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import run_rung
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.stimulus import LabelledStimulus, load_recording, stimulus_bytes
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.loihi_learning import LoihiPairSTDP
from spikec.ir.neurons import LIF
from spikec.ir.plasticity import PairSTDP, Plasticity, Trace, TraceSTDP
from spikec.ir.semantics import Reset, Semantics
from spikec.ir.text import text
from spikec.ir.verify import verify

from ...compiler.integer import loihi_learning_reference as reference
from .learning_networks import Case, case
from .networks import lava_python, run_in_lava


def differences(one: Case, lava: Recording) -> list[str]:
    """What differs: populations for their spikes, variables, projections for their weights."""
    verify(one.graph)
    names = [p.name for p in one.graph.populations]
    ours = Executor(one.graph).run(
        one.stimulus, populations=names, record=one.states, record_weights="steps"
    )
    assert set(lava.spikes) == set(names) and set(lava.states) == set(one.states)
    assert set(lava.weights) == set(ours.weights) and lava.weights
    found: list[object] = [name for name in names if ours.spikes[name] != lava.spikes[name]]
    found += [k for k in one.states if not np.array_equal(ours.states[k], lava.states[k])]
    found += [k for k, w in ours.weights.items() if not np.array_equal(w, lava.weights[k])]
    return [f"{one.graph.name} {what}" for what in found]


def compare_all(seeds: Sequence[int], place: Path) -> None:
    cases = [case(seed) for seed in seeds]
    recordings = run_in_lava(cases, place)
    pairs = zip(cases, recordings, strict=True)
    assert [what for one, lava in pairs for what in differences(one, lava)] == []
    met: Counter[str] = Counter()
    for one in cases:
        met += reference.run(one.graph, one.stimulus)[3]
    # They are not equal because nothing happens.
    kinds = ("up", "down", "both", "several", "full", "clips", "no sign", "rails")
    assert min(met[kind] for kind in kinds) > len(cases)


@pytest.mark.parametrize("part", range(4))
def test_forty_random_networks(part: int, tmp_path: Path) -> None:
    compare_all(range(10 * part, 10 + 10 * part), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_the_other_80_random_networks(part: int, tmp_path: Path) -> None:
    compare_all(range(40 + 20 * part, 60 + 20 * part), tmp_path)


def network() -> tuple[Graph, Stimulus]:
    """Real neurons, two layers that learn by real pairs, the second with a lag."""
    rng = np.random.default_rng(3)

    def cell(tau: float) -> LIF:
        return LIF(*(np.asarray(x) for x in (tau, tau * 1e3, 0.0, 1.0)))

    def learns(name: str, pre: str, post: str, shape: tuple[int, int], rule: Any) -> Projection:
        plasticity = Plasticity(rule, 0.0, 0.8)
        return Projection(name, pre, post, Dense(rng.uniform(0, 0.8, shape)), plasticity=plasticity)

    rule = PairSTDP(0.02, 0.02, 20e-3, 20e-3, dendritic_delay_fraction=0.0)
    rules = Semantics(reset=Reset.ZERO)
    graph = Graph(
        "learns",
        1e-3,
        (Input("in", (6,)),),
        (Population("a", (5,), cell(0.01), rules), Population("b", (4,), cell(0.02), rules)),
        (
            learns("in-a", "in", "a", (5, 6), rule),
            replace(learns("a-b", "a", "b", (4, 5), replace(rule, a_minus=0.03)), delay=1),
        ),
        (Output("out", "b"),),
    )
    spikes = (rng.random((3, 40, 6)) < 0.3).astype(np.int64)
    return graph, Stimulus({"in": Events.from_dense(spikes)})


def compiled(graph: Graph) -> Artifact:
    return compile_graph(graph, *find_target("lava"), Quantise()).artifact()


@pytest.mark.parametrize("learning", [True, False])
def test_a_real_network_through_the_rungs(learning: bool) -> None:
    lava_python()
    graph, stimulus = network()
    artifact = compiled(graph)
    record = [(p, v) for p in "ab" for v in "uv"] + [(p, v) for p in ("in-a", "a-b") for v in "xy"]
    ours, lava = (
        run_rung(
            artifact, rung, stimulus, populations=["a", "b"], record=record, learning=learning
        ).recording
        for rung in ("integer", "lava")
    )
    assert lava.spikes == ours.spikes and ours.spikes["b"].value.size > 20
    for key in record:
        np.testing.assert_array_equal(lava.states[key], ours.states[key])
    assert set(lava.weights) == set(ours.weights) == {"in-a", "a-b"}
    for name, shots in ours.weights.items():
        np.testing.assert_array_equal(lava.weights[name], shots)
        before = artifact_weight(artifact, name)
        assert np.array_equal(shots[-1], before) != learning


def test_a_relay_of_a_longer_delay() -> None:
    """A path that learns past a population takes a step more: its relay has the lag for it."""
    lava_python()
    graph, stimulus = network()
    (first, second) = graph.projections
    connection = Dense(np.random.default_rng(4).uniform(0, 0.8, (4, 6)))
    past = replace(first, name="past", post="b", connection=connection, delay=3)
    graph = replace(graph, projections=(first, second, past))
    whole = compile_graph(graph, *find_target("lava"), Quantise(input_max=1))
    assert [(p.name, p.lag) for p in whole.quantised.populations] == [
        ("a", 1),
        ("b", 1),
        ("in+3", 0),
    ]
    record = [("in+3", "v"), ("past", "x"), ("b", "v")]
    ours, lava = (
        run_rung(
            whole.artifact(), rung, stimulus, populations=["a", "b", "in+3"], record=record
        ).recording
        for rung in ("integer", "lava")
    )
    assert lava.spikes == ours.spikes
    assert np.array_equal(ours.spikes["in+3"].dense(0)[3:], stimulus.inputs["in"].dense(0)[:-3])
    for key in record:
        np.testing.assert_array_equal(lava.states[key], ours.states[key])
    assert ours.states["past", "x"].any() and set(ours.weights) == {"in-a", "a-b", "past"}
    for name, shots in ours.weights.items():
        np.testing.assert_array_equal(lava.weights[name], shots)


def artifact_weight(artifact: Artifact, name: str) -> Any:
    facts = json.loads(artifact.files["network.json"])["connections"]
    number = next(k for k, link in enumerate(facts) if link["name"] == name)
    with np.load(io.BytesIO(artifact.files["network.npz"])) as data:
        return data[f"connections/{number}/weight"]


def test_the_command_line_compares_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lava_python()
    graph, stimulus = network()
    model, built, spikes = (tmp_path / n for n in ("learns.spk", "built", "spikes.npz"))
    model.write_text(text(graph))
    spikes.write_bytes(stimulus_bytes(LabelledStimulus(stimulus)))
    assert invoke(["compile", str(model), "--target", "lava", "-o", str(built)]) == 0
    capsys.readouterr()
    assert invoke(["verify", str(built), "-s", str(spikes), "--rungs", "integer,lava"]) == 0
    assert "in-a: 0 of 30 learned weights differ" in capsys.readouterr().out


@pytest.mark.parametrize(("when", "shots"), [("end", 1), ("samples", 3), ("steps", 3 * 41)])
def test_when_weights_are_recorded(when: Any, shots: int, tmp_path: Path) -> None:
    """By hand, as README.md has it."""
    python = lava_python()
    graph, stimulus = network()
    whole = compile_graph(graph, *find_target("lava"), Quantise())
    for name, content in files(whole.quantised).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "stimulus.npz").write_bytes(stimulus_bytes(LabelledStimulus(stimulus)))
    words = [python, "-W", "ignore", "network.py", "--weights", when]
    supervised(words, tmp_path, seconds=120)
    got = load_recording(tmp_path / "recording.npz").weights
    ours = Executor(whole.quantised).run(stimulus, record_weights=when).weights
    for name, values in ours.items():
        assert values.shape[0] == shots
        np.testing.assert_array_equal(got[name], values)


_STDP = """
import json, sys
from lava.magma.core.learning.learning_rule import Loihi2FLearningRule
from lava.proc.learning_rules.stdp_learning_rule import STDPLoihi

def facts(rule):
    return [[p.dependency, p.s_mantissa, p.s_exp, *(f.state_var for f in p.factors)]
            for p in rule.dw.products if p.s_mantissa]

told = []
for numbers, dw in json.loads(sys.argv[1]):
    rule = STDPLoihi(*numbers, rng_seed=1)
    told.append(facts(rule) == facts(Loihi2FLearningRule(dw=dw, rng_seed=1)))
    told.append([rule.x1_impulse, rule.y1_impulse] == [16, 16])
print(json.dumps(told))
"""


def test_the_rule_of_lava_by_its_own_name() -> None:
    """Products of `STDPLoihi`, with numbers that it rounds, are those of the program."""
    python = lava_python()
    graph = case(0).graph
    (number,) = (k for k, p in enumerate(graph.projections) if p.name.endswith("-0"))
    one = graph.projections[number]
    assert one.plasticity is not None
    asked = []
    for numbers in (
        (1, 1, -1, 10, 10),
        (2, 1.5, -3, 20, 5),
        (0.5, 4, -0.3, 7, 9),
        (1, 12, -2, 10, 10),
        (3, 2, 0, 10, 10),
        (0.1, -0.7, 3.2, 10, 10),
        (4, 28, -6, 1, 2),
    ):
        rule = LoihiPairSTDP.lava(*numbers)
        learns = replace(one, plasticity=replace(one.plasticity, rule=rule))
        projections = (*graph.projections[:number], learns, *graph.projections[number + 1 :])
        made = files(replace(graph, projections=projections))
        asked.append(
            (numbers, json.loads(made["network.json"])["connections"][number]["rule"]["dw"])
        )
    argv = [python, "-W", "ignore", "-c", _STDP, json.dumps(asked)]
    done = subprocess.run(argv, check=True, timeout=120, capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert len(told) == 2 * len(asked) and all(told)


def test_a_program_that_learns() -> None:
    graph, _ = network()
    whole = compile_graph(graph, *find_target("lava"), Quantise())
    made = files(whole.quantised)
    assert connection_kinds(made) == {"LearningDense": 2}
    assert "| in-a | LearningDense |" in made["README.md"].decode()
    links = json.loads(made["network.json"])["connections"]
    assert all(link["learns"] for link in links)
    assert {link["rule"]["t_epoch"] for link in links} == {1}
    first = whole.quantised.projections[0]
    assert first.plasticity is not None
    other = replace(first.plasticity, rule=TraceSTDP(Trace(1), Trace(1)))
    wrong = replace(
        whole.quantised,
        projections=(replace(first, plasticity=other), *whole.quantised.projections[1:]),
    )
    with pytest.raises(SpikecError) as caught:
        files(wrong)
    assert [(d.code, d.message) for d in caught.value.diagnostics] == [
        ("E1201", "'in-a' learns by TraceSTDP; a Lava program learns by LoihiPairSTDP")
    ]
