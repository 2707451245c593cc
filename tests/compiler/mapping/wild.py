"""Networks of every odd kind, and machines of every odd limit, each from a seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from spikec.boards.chip import load_chip
from spikec.boards.machine import Encoding, Machine
from spikec.compiler.mapping.axons import Axons, Bundle, Node

from .simple import machine, quantity

CHIPS: Final = ("loihi1", "loihi2", "truenorth", "spinnaker1", "spinnaker1-board", "dynap-se")
# Limits so tight that small networks meet them, on few cores.
TIGHT: Final = {
    "neurons": {"neurons": 4},
    "sources": {"neurons": 4, "sources": 7},
    "axons": {"neurons": 8, "in_axons": 12},
    "sent": {"neurons": 6, "out_axons": 14},
    "memory": {"neurons": 9, "synapse_bits": 600},
    "memory-only": {"synapse_bits": 700},
    "axons-only": {"in_axons": 20},
    "reach": {"neurons": 8, "fan_out": 3},
    "reach-2": {"neurons": 10, "in_axons": 25, "fan_out": 2},
    "reach-1": {"neurons": 16, "fan_out": 1},
    "reach-only": {"fan_out": 1},
    "all": {
        "neurons": 10,
        "in_axons": 20,
        "out_axons": 40,
        "synapse_bits": 1500,
        "fan_in": 40,
        "fan_out": 6,
        "delay_steps": 3,
    },
    "unlimited": {},
}
_ENCODINGS: Final = {
    "rows": Encoding(quantity(10), quantity(3), word=8),
    "kernels": Encoding(quantity(4), quantity(2), word=4, shared=True),
    "nothing": Encoding(quantity(0), quantity(0)),
}


def small_machine(seed: int) -> Machine:
    """A machine of one of the `TIGHT` limits."""
    rng = np.random.default_rng(seed)
    limits = TIGHT[str(rng.choice(list(TIGHT)))]
    encoding = _ENCODINGS[str(rng.choice(list(_ENCODINGS)))]
    routers = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    mixed = "sources" not in limits and bool(rng.random() < 0.7)
    cores = int(rng.integers(1, 5))
    m = machine("mesh", routers, cores=cores, encoding=encoding, limits=limits, mixed=mixed)
    return replace(m, inputs_on_cores="sources" in limits)


def target(name: str, seed: int) -> Machine:
    """The chip of this name, or a `small_machine`."""
    return small_machine(seed) if name == "small" else load_chip(name)


def wild(seed: int, most: int = 60, on_cores: bool = False) -> Axons:
    """Up to ``most`` neurons in up to five nodes, empty ones among them, and lines from the host.

    Bundles are sparse, dense, one to one, kernels, hubs or empty; they may overlap, and hold the
    same pair twice. Rates are even, zero, skewed or enormous. ``on_cores``: lines take places.
    """
    rng = np.random.default_rng(seed)
    nodes, first = [], 0
    for i in range(int(rng.integers(1, 6))):
        sizes = (0, 1, int(rng.integers(2, 6)), int(rng.integers(2, most // 2 + 1)))
        size = sizes[int(rng.integers(4))]
        size = min(size, most - first)
        nodes.append(Node(f"p{i}", first, size))
        first += size
    if first == 0:
        nodes[-1] = Node(nodes[-1].name, 0, 1)
        first = 1
    placed, lines = first, (0, 0, 1, int(rng.integers(1, 12)))[int(rng.integers(4))]
    if lines:
        nodes.append(Node("in", first, lines, lines=True))
    sources = first + lines
    bundles = [_wild_bundle(f"b{i}", sources, placed, rng) for i in range(int(rng.integers(0, 5)))]
    kind = rng.integers(5)
    rate = rng.integers(0, 9, sources)
    if kind == 0:
        rate[:] = 0
    elif kind == 1:
        rate[:] = 1
    elif kind == 2:
        rate = rng.integers(0, 10**15, sources)
    elif kind == 3:
        rate[rng.integers(sources)] = 10**15
    bits = int(rng.choice([1, 8, 16]))
    return Axons(tuple(nodes), sources if on_cores else placed, tuple(bundles), rate, bits)


def _wild_bundle(name: str, sources: int, neurons: int, rng: np.random.Generator) -> Bundle:
    kind = str(rng.choice(["sparse", "sparse", "dense", "one", "hub", "kernel", "empty"]))
    first = int(rng.integers(0, sources))
    rows = int(rng.integers(0, sources - first + 1))
    if kind == "sparse":
        made = [rng.integers(0, neurons, rng.integers(0, 6)) for _ in range(rows)]
    elif kind == "dense":
        low = int(rng.integers(0, neurons))
        made = [np.arange(low, min(low + 12, neurons))] * min(rows, 12)
    elif kind == "one":
        made = [np.array([i % neurons]) for i in range(rows)]
    elif kind == "hub":
        hub = int(rng.integers(0, neurons))
        made = [np.array([hub])] * (rows - 1) + [np.arange(neurons)] * (rows > 0)
    elif kind == "kernel":
        made = [np.unique((i + np.arange(3)) % neurons) for i in range(rows)]
    else:
        made = [np.zeros(0, np.int64)] * rows
    ptr = np.cumsum([0, *(row.size for row in made)])
    flat = np.concatenate([*made, np.zeros(0, np.int64)]).astype(np.int32)
    delay = np.array(int(rng.choice([1, 1, 1, 1, 3])), np.int32)
    if rng.random() < 0.1:
        delay = rng.integers(1, 5, flat.size).astype(np.int32)
    return Bundle(name, first, ptr, flat, delay, 3 if kind == "kernel" else 0)
