"""Small random networks to map."""

import numpy as np

from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.traffic import Traffic


def network(seed: int, neurons: int = 60, lines: int = 10, bundles: int = 3) -> Axons:
    """Bundles whose rows overlap, some sources with no target, two nodes and an input."""
    rng = np.random.default_rng(seed)
    half = neurons // 2
    nodes = (
        Node("a", 0, half),
        Node("b", half, neurons - half),
        Node("in", neurons, lines, lines=True),
    )
    made = []
    for i in range(bundles):
        first = int(rng.integers(0, neurons))
        rows = int(rng.integers(1, neurons + lines - first + 1))
        sizes = rng.integers(0, 12, rows) * (rng.random(rows) < 0.7)
        ptr = np.concatenate([[0], np.cumsum(sizes)])
        target = rng.integers(0, neurons, ptr[-1])
        made.append(Bundle(f"p{i}", first, ptr, target.astype(np.int32), np.array(1, np.int32)))
    rate = rng.integers(0, 9, neurons + lines)
    return Axons(nodes, neurons, tuple(made), rate)


def groups(seed: int, parts: int, count: int, most: int = 4, host: bool = True) -> Traffic:
    """Traffic of random groups, mostly between parts of near numbers."""
    rng = np.random.default_rng(seed)
    origin = rng.integers(-1 if host else 0, parts, count).astype(np.int32)
    rows = [
        np.unique(
            (max(o, 0) + np.rint(rng.normal(0, 1 + parts / 8, rng.integers(1, most + 1)))) % parts
        )
        for o in origin.tolist()
    ]
    ptr = np.concatenate([[0], np.cumsum([row.size for row in rows])])
    rate = rng.integers(0, 50, count)
    return Traffic(
        parts,
        np.arange(count),
        origin,
        ptr,
        np.concatenate(rows or [np.zeros(0)]).astype(np.int32),
        rate,
    )
