"""Networks on which mapping is measured: random, local and convolutional, drawn from a seed.

A network has a row of targets for each neuron and the spikes of each neuron in some window, whole
numbers about a lognormal distribution: a few neurons send most packets, as in trained networks.
The same arguments give the same bytes; `tests/bench/test_networks.py` has their digests.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from spikec.compiler.mapping.axons import Axons, Bundle, Node

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

NEURONS_A_CORE: Final = 1024
# Cores beyond those that neurons alone take, so that a partition has room to move.
SLACK: Final = 1.05
SEED: Final = 1
LAYERS: Final = 5
_TAPS: Final = 9
_FAR: Final = 0.1
_SLICE: Final = 1 << 16
_ARRAYS: Final = ("ptr", "target", "rate")


@dataclass(frozen=True, eq=False)
class Network:
    """Neuron i reaches ``target[ptr[i]:ptr[i + 1]]`` and spikes ``rate[i]`` times.

    Its neurons are ``layers`` of equal size, one after the other; each layer reaches the next with
    ``kernel`` weights that its synapses share, or, with 0, every synapse has a weight of its own.
    """

    ptr: Integers
    target: Ids
    rate: Integers
    layers: int = 1
    kernel: int = 0

    def __post_init__(self) -> None:
        # Read-only, so that `Axons` needs no copy.
        for name in _ARRAYS:
            getattr(self, name).flags.writeable = False

    @property
    def neurons(self) -> int:
        return self.rate.size

    @property
    def synapses(self) -> int:
        return self.target.size

    @property
    def cores(self) -> int:
        """As many as a peer is given that is told the number of parts."""
        return math.ceil(self.neurons / NEURONS_A_CORE * SLACK)

    def digest(self) -> str:
        """SHA-256 of pointers, targets and rates, in this order."""
        found = hashlib.sha256()
        for name in _ARRAYS:
            found.update(getattr(self, name).tobytes())
        return found.hexdigest()

    def axons(self) -> Axons:
        """A node a layer, and a bundle from each layer that reaches another."""
        size = self.neurons // self.layers
        nodes = tuple(Node(f"layer {k}", k * size, size) for k in range(self.layers))
        bundles = []
        for node in nodes:
            ptr = self.ptr[node.first : node.end + 1]
            if ptr[-1] > ptr[0]:
                row, target = ptr - ptr[0], self.target[ptr[0] : ptr[-1]]
                delay = np.asarray(1, np.int32)
                bundles.append(Bundle(node.name, node.first, row, target, delay, self.kernel))
        return Axons(nodes, self.neurons, tuple(bundles), self.rate)

    def save(self, folder: Path) -> None:
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        np.save(folder / "form.npy", [self.layers, self.kernel])

    @classmethod
    def load(cls, folder: Path) -> Network:
        layers, kernel = np.load(folder / "form.npy").tolist()
        return cls(*(np.load(folder / f"{name}.npy") for name in _ARRAYS), layers, kernel)


def rates(neurons: int, rng: np.random.Generator) -> Integers:
    """Spikes of each neuron, at least one."""
    drawn = np.rint(rng.lognormal(1.0, 1.0, neurons)).astype(np.int64)
    return np.maximum(drawn, 1)


def rows(neurons: int, fan_out: int) -> Integers:
    """Pointers of rows of the same length."""
    return np.arange(0, (neurons + 1) * fan_out, fan_out, dtype=np.int64)


def random(neurons: int, fan_out: int, seed: int = SEED) -> Network:
    """Every neuron reaches ``fan_out`` targets drawn evenly, some of them twice."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, neurons, size=(neurons, fan_out)).astype(np.int32)
    return Network(rows(neurons, fan_out), target.ravel(), rates(neurons, rng))


def local(neurons: int, fan_out: int, seed: int = SEED) -> Network:
    """A sheet whose edges are joined; its neurons are numbered at random.

    A target lies at a normal distance in each direction, of which two thirds of the square root of
    ``fan_out`` is the deviation; a tenth of the targets is anywhere.
    """
    rng = np.random.default_rng(seed)
    side = math.isqrt(neurons)
    neurons = side * side
    synapses = neurons * fan_out
    spread = math.sqrt(fan_out) / 1.5
    y, x = np.divmod(np.repeat(np.arange(neurons), fan_out), side)
    x += np.rint(rng.normal(0, spread, synapses)).astype(np.int64)
    y += np.rint(rng.normal(0, spread, synapses)).astype(np.int64)
    place = y % side * side + x % side
    far = rng.random(synapses) < _FAR
    place[far] = rng.integers(0, neurons, int(far.sum()))
    number = rng.permutation(neurons).astype(np.int32)
    # Row r belongs to the neuron that is numbered r, wherever on the sheet it is.
    where = np.argsort(number)
    target = number[place].reshape(neurons, fan_out)[where].ravel()
    return Network(rows(neurons, fan_out), target, rates(neurons, rng))


def conv(neurons: int, fan_out: int, layers: int = LAYERS, seed: int = SEED) -> Network:
    """Layers of square feature maps, each joined to the next by kernels of 3 x 3.

    Stride is 1 and the border empty. There are ``fan_out`` / 9 channels, numbered one after the
    other, pixel by pixel within each. The last layer reaches nothing.
    """
    rng = np.random.default_rng(seed)
    channels = max(fan_out // _TAPS, 1)
    side = int(math.sqrt(neurons / (channels * layers)))
    plane = side * side
    size = channels * plane
    y, x = np.divmod(np.arange(plane), side)
    dy, dx = np.divmod(np.arange(_TAPS), 3)
    row, column = y[:, None] + dy - 1, x[:, None] + dx - 1
    inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
    # By pixel, channel and tap.
    reached = np.arange(channels)[:, None] * plane + (row * side + column)[:, None, :]
    one = reached[np.broadcast_to(inside[:, None, :], reached.shape)].astype(np.int32)
    target = np.concatenate(
        [np.tile(one + np.int32(layer * size), channels) for layer in range(1, layers)]
    )
    degree = np.zeros((layers, channels, plane), np.int64)
    degree[:-1] = channels * inside.sum(axis=1)
    ptr = np.concatenate([[0], np.cumsum(degree)])
    kernel = channels * channels * _TAPS
    return Network(ptr, target, rates(layers * size, rng), layers, kernel)


NETWORKS: Final[dict[str, Callable[[], Network]]] = {
    "conv-97k": lambda: conv(100_000, 100),
    "local-100k": lambda: local(100_000, 100),
    "random-100k": lambda: random(100_000, 50),
    "conv-1M": lambda: conv(1_000_000, 50),
}
# The same, of a size for tests.
SMALL: Final[dict[str, Callable[[], Network]]] = {
    "conv-20k": lambda: conv(20_000, 50),
    "local-10k": lambda: local(10_000, 50),
    "random-10k": lambda: random(10_000, 50),
}


def describe(network: Network) -> str:
    return f"{network.neurons:,} neurons, {network.synapses:,} synapses"


def reached(network: Network, part: npt.NDArray[Any]) -> Iterator[tuple[int, Flags]]:
    """The cores that neurons reach, in slices: the first neuron, and flags (neurons, cores).

    In slices, so that all pairs of a neuron and a core never lie in memory at once.
    """
    part = np.asarray(part, np.int64)
    parts = int(part.max()) + 1
    for first in range(0, network.neurons, _SLICE):
        ptr = network.ptr[first : first + _SLICE + 1]
        row = np.repeat(np.arange(ptr.size - 1), np.diff(ptr))
        flags = np.zeros((ptr.size - 1, parts), np.bool_)
        flags[row, part[network.target[ptr[0] : ptr[-1]]]] = True
        yield first, flags


def packets(network: Network, part: npt.NDArray[Any]) -> int:
    r""":math:`\sum_i r_i |C_i \setminus \{c_i\}|`: the cores that neuron i reaches but its own.

    Counted from the definition and with nothing of what made the parts.
    """
    found = 0
    for first, flags in reached(network, part):
        mine = slice(first, first + flags.shape[0])
        own = flags[np.arange(flags.shape[0]), part[mine]]
        found += int(network.rate[mine] @ (flags.sum(axis=1) - own))
    return found


def fullest(network: Network, part: npt.NDArray[Any]) -> dict[str, int]:
    """Cores, and the neurons and in-axons of the core that has most of them."""
    in_axons = sum(flags.sum(axis=0) for _, flags in reached(network, part))
    return {
        "cores": int(part.max()) + 1,
        "neurons": int(np.bincount(part).max()),
        "in_axons": int(np.max(in_axons)),
    }
