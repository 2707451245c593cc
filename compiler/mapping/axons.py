"""What a mapper sees of a network: who is where, who reaches whom, how often."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import NOWHERE, Location
from ...ir.records import Record, frozen_array

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Node:
    """A population, or an input (``lines``): ``size`` numbers from ``first`` on."""

    name: str
    first: int
    size: int
    at: Location = NOWHERE
    lines: bool = False

    @property
    def end(self) -> int:
        """The first number behind it."""
        return self.first + self.size


@dataclass(frozen=True, slots=True)
class Window:
    """The geometry of a convolution: rows and columns of its input, output, stride and kernel.

    A synapse from (c, y, x) to (o, i, j) has the weight of output o, input channel c, and the place
    y - i stride_y, x - j stride_x of the kernel: its padding and dilation are the same for all.
    """

    in_y: int
    in_x: int
    out_y: int
    out_x: int
    stride_y: int
    stride_x: int
    kernel_y: int
    kernel_x: int

    @property
    def numbers(self) -> Integers:
        """All eight, in this order, for kernels."""
        return np.array(astuple(self), np.int64)


@dataclass(frozen=True, eq=False)
class Bundle(Record):
    """The synapses of a projection, in rows by source.

    Row r (``ptr[r]`` to ``ptr[r + 1]``) belongs to the source ``first + r``; ``target`` has numbers
    of neurons, ``delay`` the steps of each synapse, shape () where all have the same. Its weights
    are ``kernel`` distinct ones that the synapses share, or, with 0, one for each synapse; of a
    convolution that nothing is before or behind, ``window`` says which is whose. ``weight_bits``
    are those of its weights where they are words of the chip's own, with 0 the network's.
    """

    name: str
    first: int
    ptr: Integers
    target: npt.NDArray[np.int32]
    delay: npt.NDArray[np.int32]
    kernel: int = 0
    at: Location = NOWHERE
    window: Window | None = None
    weight_bits: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "ptr", frozen_array(self.ptr, np.int64))
        object.__setattr__(self, "target", frozen_array(self.target, np.int32))
        object.__setattr__(self, "delay", frozen_array(self.delay, np.int32))


@dataclass(frozen=True, eq=False)
class Axons(Record):
    """A network to be mapped.

    Everything that emits has a number: first the ``neurons`` that take a place in a core, node by
    node, then what enters from the host. Every source has one axon, which leads to all its
    targets. ``rate`` (sources,) are spikes in some window: the weight of each axon, at least 0.
    ``weight_bits`` is the width of a stored weight. ``format`` names the one of a machine's formats
    in which synapses are to lie wherever it can hold them; without it they take the least.
    """

    nodes: tuple[Node, ...]
    neurons: int
    bundles: tuple[Bundle, ...]
    rate: Integers
    weight_bits: int = 8
    format: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rate", frozen_array(self.rate, np.int64))

    @property
    def in_words(self) -> bool:
        """Whether all weights are words of the chip's own."""
        return bool(self.bundles) and all(bundle.weight_bits for bundle in self.bundles)

    @property
    def sources(self) -> int:
        """How many numbers there are, neurons and lines from the host."""
        return self.nodes[-1].end if self.nodes else 0

    @property
    def synapses(self) -> int:
        """Synapses of all bundles; two between the same pair count twice."""
        return sum(bundle.target.size for bundle in self.bundles)

    def node_of(self, number: int) -> Node:
        """The node that a source or neuron belongs to."""
        for node in self.nodes:
            if node.first <= number < node.end:
                return node
        raise IndexError(number)

    def describe(self, number: int) -> str:
        """``neuron 3 of 'hidden'``."""
        node = self.node_of(number)
        what = "line" if node.lines or number >= self.neurons else "neuron"
        return f"{what} {number - node.first} of '{node.name}'"
