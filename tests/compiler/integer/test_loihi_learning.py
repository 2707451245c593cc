"""Pairs in Loihi's arithmetic against a reading in plain Python, bit for bit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.compiler.integer.executor import Executor
from spikec.ir.connections import Dense
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.loihi import LoihiWeights, Sign
from spikec.ir.loihi_learning import LoihiPairSTDP
from spikec.ir.neurons import LoihiLIF
from spikec.ir.plasticity import Plasticity
from spikec.ir.verify import verify

from ...backends.loihi.learning_networks import case
from . import loihi_learning_reference as reference


def test_random_networks_bit_for_bit() -> None:
    met: Counter[str] = Counter()
    for seed in range(40):
        one = case(seed)
        verify(one.graph)
        names = [p.name for p in one.graph.populations]
        got = Executor(one.graph).run(
            one.stimulus, populations=names, record=one.states, record_weights="steps"
        )
        spikes, states, weights, counts = reference.run(one.graph, one.stimulus)
        met += counts
        for name in names:
            assert got.spikes[name] == Events.from_dense(spikes[name]), (seed, name)
        for key, values in states.items():
            np.testing.assert_array_equal(got.states[key], values, f"{seed} {key}")
        for name, shots in weights.items():
            np.testing.assert_array_equal(got.weights[name], shots, f"{seed} {name}")
    kinds = ("up", "down", "both", "several", "full", "clips", "no sign", "rails")
    assert min(met[kind] for kind in kinds) > 100, met


RULE = LoihiPairSTDP(minus=-1, minus_exp=-2, plus=1, plus_exp=0, tau_plus=10, tau_minus=10, seed=7)


def pair(rule: LoihiPairSTDP = RULE, start: int = 100, sign: Sign = Sign.EXCITATORY) -> Graph:
    """A synapse too weak to count, and an input that makes its neuron spike a step later."""
    weak = LoihiWeights(8, sign, -8)
    low, high = weak.rails
    plasticity = Plasticity(rule, low, high)
    cell = LoihiLIF(np.array(4095), np.array(4095), np.array(100))
    connection, drive = (Dense(np.array([[w]])) for w in (start, 255))
    return Graph(
        "pair",
        1e-3,
        (Input("pre", (1,)), Input("drive", (1,))),
        (Population("p", (1,), cell),),
        (
            Projection("w", "pre", "p", connection, 1, words=weak, plasticity=plasticity),
            Projection("d", "drive", "p", drive, 1, words=LoihiWeights(8, Sign.EXCITATORY)),
        ),
        (Output("o", "p"),),
    )


def run(graph: Graph, pre: list[int], post: list[int], steps: int = 20, **more: Any) -> Recording:
    """Pre and post spikes in these steps of each sample."""
    samples = more.pop("samples", 1)
    verify(graph)
    lines = np.zeros((2, samples, steps, 1), np.int64)
    lines[0, :, pre] = 1
    lines[1, :, [t - 1 for t in post]] = 1
    inputs = {n: Events.from_dense(a) for n, a in zip(("pre", "drive"), lines, strict=True)}
    executor = more.pop("executor", None) or Executor(graph)
    got: Recording = executor.run(
        Stimulus(inputs), record=[("w", "x"), ("w", "y")], record_weights="steps", **more
    )
    assert got.spikes["p"].step.tolist() == post * samples
    return got


def weights(got: Recording) -> list[int]:
    return [int(w) for w in got.weights["w"].ravel()]


def test_traces_that_are_full() -> None:
    """A spike in every step: a trace rises to 127 and stays; what it adds reaches the rail."""
    rule = replace(RULE, impulse_plus=127, impulse_minus=60, tau_minus=255)
    got = run(pair(rule), list(range(20)), list(range(1, 20)))
    x, y = (got.states["w", name].ravel().tolist() for name in "xy")
    assert x == [127] * 20
    assert y[:2] == [0, 60] and max(y) == y[-1] == 127
    assert weights(got)[-1] == 255


@pytest.mark.parametrize("sign", list(Sign))
def test_weights_at_both_ends(sign: Sign) -> None:
    """They stop at the rails of their sign, and come back from them."""
    low, high = LoihiWeights(8, sign).rails
    huge = replace(RULE, minus=-8, minus_exp=8, plus=7, plus_exp=8)
    start = int(LoihiWeights(8, sign).cut([[(low + high) // 2]])[0, 0])
    seen = weights(run(pair(huge, start, sign), [2, 10, 11, 12], [4, 7, 16, 17]))
    # A product and a sum clip at 16 bits, so that one step need not do.
    assert seen[1] == start and seen[7] == high and seen[12] == low and seen[17] == high


def test_learning_is_off() -> None:
    """Then nothing moves, nor does the step within an epoch: the next sample is as the first."""
    rule = replace(RULE, epoch=3)
    once = weights(run(pair(rule), [2, 9], [4, 11]))
    graph = pair(rule)
    executor = Executor(graph)
    off = run(graph, [2, 9], [4, 11], executor=executor, learning=False)
    assert weights(off) == [100] * 20 and not off.states["w", "x"].any()
    assert weights(run(graph, [2, 9], [4, 11], executor=executor)) == once != [100] * 20


def test_what_a_sample_clears() -> None:
    """Traces and spikes of an epoch; weights, the epoch and the generators go on until a reset."""
    graph = pair(replace(RULE, epoch=8))
    executor = Executor(graph)
    both = run(graph, [2, 9, 18], [4, 11], samples=2, executor=executor)
    seen, x = weights(both), both.states["w", "x"][..., 0]
    # Epochs end behind the steps 8, 16, 24, 32, 40: in the second sample behind 4, 12 and 20.
    changes = np.flatnonzero(np.diff([100, *seen])) + 1
    assert set(changes) <= {8, 16, 24, 32, 40} and {8, 16} <= set(changes)
    # The spike of step 18 was in an epoch that no sample ended.
    assert x[0, 17:].tolist() == x[0, 15:18].tolist() and x[1, :3].tolist() == [0, 0, 0]
    run(graph, [2], [4], executor=executor)
    executor.reset()
    again = run(graph, [2, 9, 18], [4, 11], samples=2, executor=executor)
    assert weights(again) == seen
    # The same in two runs as in two samples, for the executor goes on.
    executor.reset()
    parts = [run(graph, [2, 9, 18], [4, 11], executor=executor) for _ in range(2)]
    assert [w for part in parts for w in weights(part)] == seen


def test_pairs_of_one_step_count_both_ways_unless_one_is_taken_back() -> None:
    sure = replace(RULE, minus=-1, minus_exp=0, plus=1, plus_exp=1)
    assert weights(run(pair(sure), [5], [5]))[-1] == 100 - 16 + 32
    taken = replace(sure, both=-2, both_exp=4)
    assert weights(run(pair(taken), [5], [5]))[-1] == 100 - 16
    # Only those of one epoch.
    assert weights(run(pair(taken), [5], [6]))[-1] > 100 + 20


def test_what_the_epoch_does_to_a_pair() -> None:
    """A trace counts as it was in the step of the other spike, whenever the epoch ends."""
    slow = replace(RULE, tau_plus=255, tau_minus=255, minus_exp=0, plus_exp=1)
    for epoch in (1, 2, 5, 20):
        ends = weights(run(pair(replace(slow, epoch=epoch)), [3], [6]))
        first = int(np.flatnonzero(np.array(ends) != 100)[0])
        assert first == -(-7 // epoch) * epoch - 1
        # Three steps take at most one of sixteen each.
        assert 100 + 2 * 13 <= ends[-1] <= 100 + 2 * 16


def test_weights_of_an_executor() -> None:
    graph = pair()
    executor = Executor(graph)
    got = run(graph, [2], [4], executor=executor)
    assert executor.weights("w").tolist() == [[weights(got)[-1]]] != [[100]]
    learned = executor.learned().projections[0].connection
    assert isinstance(learned, Dense)
    np.testing.assert_array_equal(learned.weight, executor.weights("w"))
    assert executor.synaptic_operations == 2
