"""The integer rung against Lava itself: spikes, u and v, with no difference.

All 300 networks, and 30 of ATRLIF: ``pytest tests/backends/loihi/test_lava.py -m ""``, behind
``make lava`` or with SPIKEC_LAVA_PYTHON naming a Python that has lava-nc 0.10.
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

from ...compiler.integer import loihi_reference as reference
from .networks import Case, case, processes, run_in_lava


def differences(one: Case, lava: Recording) -> list[str]:
    """What differs: populations for their spikes, and variables of populations."""
    verify(one.graph)
    names = [p.name for p in one.graph.populations]
    ours = Executor(one.graph).run(one.stimulus, populations=names, record=one.states)
    assert set(lava.spikes) == set(names) and set(lava.states) == set(one.states)
    spikes = [name for name in names if ours.spikes[name] != lava.spikes[name]]
    states = [k for k in one.states if not np.array_equal(ours.states[k], lava.states[k])]
    return [f"{one.graph.name} {what}" for what in (*spikes, *states)]


def compare_all(seeds: Sequence[int], place: Path, subtracting: bool = False) -> None:
    cases = [case(seed, subtracting) for seed in seeds]
    recordings = run_in_lava(cases, place)
    pairs = zip(cases, recordings, strict=True)
    assert [what for one, lava in pairs for what in differences(one, lava)] == []
    # They are not equal because nothing happens.
    met: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for one in cases:
        met += reference.run(one.graph, one.stimulus)[2]
        kinds.update(processes(one.graph))
        kinds.update(str(p.words.sign) for p in one.graph.projections if p.words is not None)
        kinds.update(f"{p.words.bits} bits" for p in one.graph.projections if p.words is not None)
    assert min(met["wraps"], met["saturates"], met["spikes"]) > len(cases) / 2
    expected = {"dense", "sparse", "delay_dense", "delay_sparse", "conv"}
    expected |= {"mixed", "excitatory", "inhibitory", *(f"{n} bits" for n in range(1, 9))}
    assert set(kinds) == expected


@pytest.mark.parametrize("part", range(2))
def test_sixty_random_networks(part: int, tmp_path: Path) -> None:
    compare_all(range(30 * part, 30 * part + 30), tmp_path)


def test_thirty_random_networks_that_keep_their_membranes(tmp_path: Path) -> None:
    """ATRLIF: spikes, u, v, r and theta."""
    compare_all(range(30), tmp_path, subtracting=True)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_the_other_240_random_networks(part: int, tmp_path: Path) -> None:
    compare_all(range(60 + 60 * part, 120 + 60 * part), tmp_path)
