"""Networks that learn, the integer rung against Lava itself: spikes, u, v, traces and weights.

All 120: ``pytest tests/backends/loihi/test_learning.py -m ""``, with SPIKEC_LAVA_PYTHON naming a
Python that has lava-nc 0.10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from spikec.compiler.integer.executor import Executor
from spikec.ir.events import Recording
from spikec.ir.verify import verify

from ...compiler.integer import loihi_learning_reference as reference
from .learning_networks import Case, case, run_in_lava


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


@pytest.mark.parametrize("part", range(2))
def test_forty_random_networks(part: int, tmp_path: Path) -> None:
    compare_all(range(20 * part, 20 + 20 * part), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_the_other_80_random_networks(part: int, tmp_path: Path) -> None:
    compare_all(range(40 + 20 * part, 60 + 20 * part), tmp_path)
