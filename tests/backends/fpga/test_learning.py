"""Cores that learn: over the wire, which ones are chosen, and what one core refuses.

`test_covering` has every rule, rounding, neuron and connection, and all weights of every step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.backends.fpga.choose import choose
from spikec.backends.fpga.choose_cores import choose_cores
from spikec.backends.fpga.cluster import LoweredCluster
from spikec.backends.fpga.lower import Build, LoweredCore, lower
from spikec.backends.fpga.rtl import device_counts, run_rtl
from spikec.backends.fpga.simulate import build_simulator
from spikec.boards.board import load_board
from spikec.compiler.compare import compare
from spikec.compiler.integer.executor import Executor
from spikec.hdl.verilog import device_verilog
from spikec.ir.connections import Dense, Sparse
from spikec.ir.diagnostics import Location, SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IntegerNeuron
from spikec.ir.numerics import Format, Numerics, Rounding
from spikec.ir.plasticity import SDSP, Plasticity, Rule, TraceSTDP

from .learning import check_learning


def neuron(rng: np.random.Generator) -> IntegerNeuron:
    state = Format(12)

    def each(value: int) -> Any:
        return np.array(value, np.int64)

    return IntegerNeuron(
        numerics=Numerics(Format(8), state, 8, 14),
        source_model="LIF",
        scale=1.0,
        shift=0,
        decay_v=each(int(rng.choice([256, 224, 128]))),
        threshold=each(int(rng.integers(2, 5))),
        bias=each(int(rng.integers(1, 3))),
        v_min=each(state.low),
        v_reset=each(3),
        reset=str(rng.choice(["zero", "subtract"])),
        refractory=int(rng.choice([0, 0, 2])),
    )


def pairs(post: int, rule: Rule, pre: int = 32, rails: tuple[int, int] = (-128, 127)) -> Graph:
    """Inputs onto neurons that spike often."""
    rng = np.random.default_rng(post)
    weight = rng.integers(-30, 90, (post, pre))
    return Graph(
        "pairs",
        1e-3,
        (Input("in", (pre,)),),
        (Population("cells", (post,), neuron(rng)),),
        (Projection("w", "in", "cells", Dense(weight), plasticity=Plasticity(rule, *rails)),),
        (Output("out", "cells"),),
    )


RULES: dict[str, Rule] = {
    "pair": TraceSTDP.pair(18, 22, shift=7, decay=2),
    "window": TraceSTDP.window(5, 4, steps_pre=2, steps_post=4),
    "symmetric": TraceSTDP.symmetric(12, shift=7, decay=2, depression=6),
    "anti": TraceSTDP.anti_hebbian(40, 40, shift=7, decay=2),
    "sdsp": SDSP(300, 1, 7, 8, leak_period=2, refresh_period=9, refresh_threshold=20),
    "stochastic": TraceSTDP.pair(
        20, 24, shift=9, decay=2, rounding=Rounding.STOCHASTIC, streams=12, seed=77
    ),
}


def busy(rule: Rule, post: int = 24, pre: int = 32) -> Graph:
    """Neurons that go on spiking while weights go to both rails: a quarter of them stays."""
    rng = np.random.default_rng(post)
    weight = rng.integers(-100, 101, (post, pre))
    enable = rng.random((post, pre)) < 0.75
    weight[~enable] = rng.integers(0, 100, int((~enable).sum()))
    cell = replace(
        neuron(rng),
        # Two neurons that commit together have one threshold.
        threshold=np.repeat(rng.integers(100, 1500, post // 2), 2),
        v_reset=np.array(0),
        reset="zero",
        refractory=0,
    )
    plasticity = Plasticity(rule, -128, 127, enable)
    return Graph(
        "busy",
        1e-3,
        (Input("in", (pre,)),),
        (Population("cells", (post,), cell),),
        (Projection("w", "in", "cells", Dense(weight), plasticity=plasticity),),
        (Output("out", "cells"),),
    )


@pytest.mark.parametrize(
    "name",
    ["pair", *(pytest.param(n, marks=pytest.mark.slow) for n in RULES if n != "pair")],
)
def test_ten_thousand_spikes_by_wire(name: str) -> None:
    """Weights read back over the wire are the executor's, at both rails and never beyond."""
    graph = busy(RULES[name])
    core = lower(graph, Build(12, 2, distributed=True, fast=True, rotator="multiplier"))
    rng = np.random.default_rng(5)
    counts = (rng.random((3, 220, 32)) < 0.5).astype(np.int64)
    stimulus = Stimulus({"in": Events.from_dense(counts)})
    build = build_simulator(device_verilog(core.shape, core.image))
    record = [("cells", "v")]
    before = graph.projections[0].connection.weight  # type: ignore[attr-defined]
    for learning in (True, False):
        run = run_rtl(
            core, build, stimulus, populations=["cells"], record=record, learning=learning
        )
        wanted = Executor(graph).run(
            stimulus, populations=["cells"], record=record, learning=learning
        )
        comparison = compare(wanted, run.recording, graph=graph)
        assert comparison.equal, comparison.describe()
        weights = run.recording.weights["w"][0]
        assert np.array_equal(weights, before) != learning
        if learning:
            spikes = int(counts.sum()) + int(wanted.spikes["cells"].value.sum())
            assert spikes >= 10_000
            # They start within 100.
            assert (weights == 127).any() and (weights == -128).any()
            assert np.unique(weights).size > 50
            assert comparison.weights[0].words == 24 * 32


def refused(graph: Graph, build: Build) -> str:
    with pytest.raises(SpikecError) as found:
        lower(graph, build)
    (only,) = found.value.diagnostics
    assert only.code == "E0302"
    return only.message


def test_what_one_core_cannot_learn() -> None:
    graph = pairs(4, RULES["pair"])
    learns = graph.projections[0]
    twice = replace(graph, projections=(learns, replace(learns, name="again")))
    assert "'w' and 'again' both learn" in refused(twice, Build(4))
    still = replace(learns, name="still", plasticity=None)
    both = replace(graph, projections=(learns, still))
    assert "'in' has projections 'w' and 'still'" in refused(both, Build(4))
    stochastic = pairs(4, RULES["stochastic"])
    message = refused(stochastic, Build(4))
    assert "in 12 streams takes a core of as many lanes, not 4" in message
    wide = refused(pairs(4, RULES["pair"]), Build(19, rotator="multiplier"))
    assert "multipliers turn up to 18 lanes" in wide


def test_a_row_beside_those_that_learn_goes_over_gaps() -> None:
    """One run of words from the first group to the last, with zeros where there is no synapse."""
    graph = pairs(12, RULES["pair"], pre=5)
    there = np.zeros((2, 12), np.int64)
    there[0, [1, 7, 11]], there[1, [9, 10]] = (3, -4, 5), (6, 7)
    row, column = np.nonzero(there)
    starts = np.concatenate([[0], np.cumsum(np.bincount(row))])
    sparse = Sparse(2, 12, starts, column.astype(np.int32), there[row, column])
    graph = replace(
        graph,
        inputs=(*graph.inputs, Input("eye", (2,))),
        projections=(*graph.projections, Projection("still", "eye", "cells", sparse, delay=2)),
    )
    core = lower(graph, Build(2))
    image = core.image
    for line, (first, count) in enumerate(((0, 6), (4, 2))):
        k = 5 + line
        assert (image.rows_target[k], image.rows_count[k]) == (first, count)
        assert image.rows_delay[k] == 2
        words = image.weights[image.rows_start[k] :][:count].ravel()
        np.testing.assert_array_equal(words, there[line, 2 * first : 2 * (first + count)])
    counts = (np.random.default_rng(3).random((2, 6, 7)) < 0.5).astype(np.int64)
    check_learning(core, graph, counts)


def test_a_test_phase_for_ever_is_no_learning() -> None:
    graph = pairs(4, RULES["pair"])
    learns = graph.projections[0]
    assert learns.plasticity is not None
    rests = replace(learns, plasticity=replace(learns.plasticity, learning=False))
    core = lower(replace(graph, projections=(rests,)), Build(4))
    assert core.shape.learning is None
    # Its weights are recorded as the executor records them.
    np.testing.assert_array_equal(core.learned()["w"][0], learns.connection.weight)  # type: ignore[attr-defined]
    assert lower(graph, Build(4)).shape.learning is not None


def test_a_row_is_read_once_a_step() -> None:
    graph = pairs(4, RULES["pair"])
    counts = np.zeros((1, 3, 32), np.int64)
    counts[0, 2, 7] = 2
    with pytest.raises(SpikecError, match=r"line 7 .* spikes 2 times in step 2 of sample 0"):
        device_counts(lower(graph, Build(4)), Stimulus({"in": Events.from_dense(counts)}))


def test_the_choice_turns_words_by_multipliers_while_there_are_some() -> None:
    graph = pairs(24, RULES["pair"])
    for board, rotator in (("ulx3s-85f", "multiplier"), ("icebreaker", "logic")):
        target = load_board(board).target
        core, build, found = choose(graph, target)
        assert build.rotator == rotator
        assert found.why.startswith("'w' learns; least cells x cycles of ")
        assert core.shape.readback
    stochastic = pairs(24, RULES["stochastic"])
    assert choose(stochastic, load_board("ulx3s-25f").target)[1].lanes == 12
    with pytest.raises(SpikecError, match="in 12 streams takes as many lanes"):
        choose(stochastic, load_board("ulx3s-25f").target, lanes=8)
    with pytest.raises(SpikecError, match="the weights of a circuit are constants"):
        choose(graph, load_board("ulx3s-25f").target, kind="parallel")
    with pytest.raises(SpikecError, match="weights that change have no parity"):
        choose(graph, load_board("ulx3s-25f").target, parity=True)


def test_learning_stays_in_one_core() -> None:
    graph, target = pairs(24, RULES["pair"]), load_board("ulx3s-85f").target
    learns = replace(graph.projections[0], at=Location("net.py", line=7))
    graph = replace(graph, projections=(learns,))
    with pytest.raises(SpikecError) as e:
        choose_cores(graph, target, 2)
    (told,) = e.value.diagnostics
    assert (told.code, told.message) == ("E0308", "'w' learns; several cores do not")
    assert told.where == learns.at
    assert told.hint == "compile with --cores 1, or with Plasticity(..., learning=False)"
    # What it says to do does it.
    assert learns.plasticity is not None
    rests = replace(learns, plasticity=replace(learns.plasticity, learning=False))
    several, _, _ = choose_cores(replace(graph, projections=(rests,)), target, 2, lanes=4)
    assert isinstance(several, LoweredCluster)
    core, _, _ = choose_cores(graph, target, None)
    assert isinstance(core, LoweredCore)
    assert core.shape.learning is not None
