"""Lava-DL files on the integer rung against Lava itself: spikes, u and v, with no difference."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikec.compiler.frontends.lavadl import read_lavadl
from spikec.ir.events import Events, Stimulus

from ...compiler.frontends.lavadl.files import drawn, write
from .networks import Case, run_in_lava
from .test_lava import differences

STEPS = 24


def test_twenty_random_files(tmp_path: Path) -> None:
    cases = []
    for seed in range(20):
        r = np.random.default_rng(seed)
        graph, _ = read_lavadl(write(tmp_path / f"random{seed}.net", drawn(r)))
        x = r.integers(0, 3, (2, STEPS, 60))
        cases.append(Case(graph, graph, Stimulus({"input": Events.from_dense(x)}), ()))
    recordings = run_in_lava(cases, tmp_path)
    pairs = zip(cases, recordings, strict=True)
    assert [what for one, lava in pairs for what in differences(one, lava)] == []
    last = [run.spikes["layer3"].counts().sum() for run in recordings]
    assert np.count_nonzero(last) > len(cases) / 2
