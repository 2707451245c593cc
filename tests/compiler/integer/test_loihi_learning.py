"""Pairs in Loihi's arithmetic against a reading in plain Python, bit for bit."""

from __future__ import annotations

from collections import Counter

import numpy as np

from spikec.compiler.integer.executor import Executor
from spikec.ir.events import Events
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
