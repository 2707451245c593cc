"""What the mapper saves: never more hops than parts and places drawn at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikec.boards.chip import load_chip
from spikec.boards.machine import CoreLimits, Machine
from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.map import map_network
from spikec.compiler.profile.count import Spikes, count
from spikec.compiler.profile.reach import MACHINE, reach

from ..mapping.simple import quantity
from .nets import seated

CORE = 16


def layers(seed: int) -> Axons:
    """Three layers, each neuron onto its neighbours in the next; then numbers are shuffled."""
    rng = np.random.default_rng(seed)
    width = 120
    number = rng.permutation(3 * width)
    target: list[list[int]] = [[] for _ in range(3 * width)]
    for layer in range(2):
        for k in range(width):
            near = (k + np.arange(-4, 5)) % width + (layer + 1) * width
            target[number[layer * width + k]] = sorted(number[near].tolist())
    return network(target, rng)


def loose(seed: int) -> Axons:
    """Targets anywhere: there is next to nothing to save."""
    rng = np.random.default_rng(seed)
    return network([sorted(rng.choice(300, 6, replace=False).tolist()) for _ in range(300)], rng)


def clusters(seed: int) -> Axons:
    """Groups that mostly reach themselves, in no order."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 20, 300)
    target = []
    for k in range(300):
        own = np.flatnonzero(group == group[k])
        far = rng.integers(0, 300, 2)
        target.append(
            sorted({*rng.choice(own, min(8, own.size), replace=False).tolist(), *far.tolist()})
        )
    return network(target, rng)


def network(target: list[list[int]], rng: np.random.Generator) -> Axons:
    ptr = np.cumsum([0, *map(len, target)])
    every = np.array([t for row in target for t in row], np.int32)
    bundle = Bundle("all", 0, ptr, every, np.array(1, np.int32))
    rate = rng.integers(1, 20, len(target))
    return Axons((Node("n", 0, len(target)),), len(target), (bundle,), rate)


def machine(name: str) -> Machine:
    return replace(load_chip(name), core=CoreLimits(neurons=quantity(CORE)))


@pytest.mark.parametrize("kind", [layers, loose, clusters])
@pytest.mark.parametrize("name", ["loihi1", "spinnaker1-board"])
@pytest.mark.parametrize("effort", [0, 1])
def test_never_more_hops_than_at_random(kind: object, name: str, effort: int) -> None:
    assert callable(kind)
    for seed in range(2):
        axons: Axons = kind(seed)
        mapping = map_network(axons, machine(name), effort=effort, seed=seed).mapping
        # Each source spikes as often as its rate says.
        spikes = Spikes(
            1,
            np.zeros(axons.sources, np.int32),
            np.arange(axons.sources, dtype=np.int32),
            axons.rate,
        )
        ours = hops(count(reach(axons, mapping), spikes).machine)
        for draw in range(5):
            rng = np.random.default_rng(100 * seed + draw)
            part = rng.permutation(np.arange(axons.neurons) * mapping.parts // axons.neurons)
            drawn = seated(axons, mapping.machine, part, draw)
            assert ours <= hops(count(reach(axons, drawn), spikes).machine), (seed, draw)


def hops(machine_counts: object) -> int:
    counts = np.asarray(machine_counts).sum(axis=0)
    return int(counts[MACHINE.index("hops")] + counts[MACHINE.index("chip_hops")])
