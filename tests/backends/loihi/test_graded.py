"""Sigma-delta networks of the integer rung against Lava itself: all sent values, all states.

All 60 networks: ``pytest tests/backends/loihi/test_graded.py -m ""``, with SPIKEC_LAVA_PYTHON
naming a Python that has lava-nc 0.10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from spikec.ir.neurons import LoihiDelta, LoihiSigmaDelta

from .graded import graded_case, wraps
from .networks import processes, run_in_lava
from .test_lava import differences


def compare_all(seeds: Sequence[int], place: Path) -> None:
    cases = [graded_case(seed) for seed in seeds]
    recordings = run_in_lava(cases, place)
    pairs = zip(cases, recordings, strict=True)
    assert [what for one, lava in pairs for what in differences(one, lava)] == []
    # They are not equal because nothing happens.
    met: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for one, lava in zip(cases, recordings, strict=True):
        kinds.update(processes(one.graph))
        for population in one.graph.populations:
            name, neuron = population.name, population.neuron
            kinds[type(neuron).__name__] += 1
            sent = lava.spikes[name].value
            met["negative"] += int(np.sum(sent < 0))
            met["large"] += int(np.sum(np.abs(sent) > 1 << 20))
            if isinstance(neuron, LoihiDelta):
                kinds["sums errors"] += neuron.cum_error
                kinds["threshold zero"] += neuron.vth == 0
                met["held back"] += int(np.sum(lava.states[name, "residue"] != 0))
            if isinstance(neuron, LoihiSigmaDelta):
                kinds[str(neuron.activation)] += 1
                kinds["cut"] += neuron.state_exp > 0
                met["wraps"] += wraps(lava.states[name, "sigma"])
    assert set(met) == {"negative", "large", "held back", "wraps"}
    assert min(met.values()) > len(cases), met
    expected = {"dense", "sparse", "delay_dense", "delay_sparse", "conv", "unit", "relu", "cut"}
    expected |= {"LoihiLIF", "LoihiSigma", "LoihiDelta", "LoihiSigmaDelta"}
    assert set(kinds) == expected | {"sums errors", "threshold zero"}


@pytest.mark.parametrize("part", range(2))
def test_forty_random_sigma_delta_networks(part: int, tmp_path: Path) -> None:
    compare_all(range(20 * part, 20 * part + 20), tmp_path)


@pytest.mark.slow
def test_twenty_more_random_sigma_delta_networks(tmp_path: Path) -> None:
    compare_all(range(40, 60), tmp_path)
