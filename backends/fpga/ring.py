"""Several cores on a device as a machine: what the ring's tables send where, counted again.

The routes are those of the tables that go into the bitstream (`ClusterImage.routes`), not made
anew, so that the check of the mapping proves them: every source reaches exactly the cores that have
synapses of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...boards.board import Target
from ...boards.machine import CoreLimits, Encoding, Machine
from ...boards.quantity import Quantity
from ...compiler.mapping.axons import Axons
from ...compiler.mapping.check import check
from ...compiler.mapping.map import Mapped
from ...compiler.mapping.mapping import Mapping, Routes
from ...compiler.mapping.network import axons_of
from ...hdl.cluster_shape import ClusterShape
from .cluster import LoweredCluster
from .lower import weight_bits

Integers = npt.NDArray[np.int64]

_MADE = "of the circuit that is generated for the network (device.v)"


def ring_machine(shape: ClusterShape, target: Target) -> Machine:
    """A station for each core and, behind them, one without a core where input lines enter.

    Slots go round one way, and a packet is taken by every core that it is for as it passes. The
    neurons that the fullest core was made for are the limit; memory is counted in words elsewhere.
    """
    cores = len(shape.cores)
    none = Quantity(0, "bits", "rows of synapses are counted in words: see the cores", "stated")
    neurons = max(core.neurons for core in shape.cores)
    return Machine(
        name=target.name,
        title=f"{target.title}, {cores} cores on a ring",
        topology="ring",
        chips=(1, 1),
        routers=(cores + 1, 1),
        cores_per_router=1,
        core=CoreLimits(neurons=Quantity(neurons, "neurons", _MADE, "stated")),
        encoding=Encoding(none, none),
        multicast=True,
        host=cores,
        bare=frozenset({cores}),
        source=_MADE,
        obtained="stated",
    )


def ring_mapping(core: LoweredCluster, target: Target) -> tuple[Axons, Mapped]:
    """What the cores were made of, as a mapping that has been checked.

    Raises E0320 or E0321 where the images are not what the network needs: an error of spikec.
    """
    machine = ring_machine(core.shape, target)
    axons = axons_of(core.graph, machine, max(map(weight_bits, core.graph.populations)))
    part = np.concatenate([core.assignment.core[p.name] for p in core.graph.populations])
    mapping = Mapping(machine, part, np.arange(len(core.parts)), _routes(core, axons, part))
    checked = check(axons, mapping)
    checked.raise_faults()
    return axons, Mapped(mapping, checked, {})


def _routes(core: LoweredCluster, axons: Axons, part: Integers) -> Routes:
    """Sources of one station that go to the same cores share a route."""
    graph, placement, shape = core.graph, core.placement, core.shape
    stations = len(core.parts) + 1
    places = [shape.inputs + placement.places(p) for p in graph.populations]
    lines = [placement.inputs[node.name] + np.arange(node.size) for node in graph.inputs]
    bits = core.image.routes[np.concatenate([*places, *lines])].astype(np.int64)
    home = np.full(axons.sources, stations - 1, np.int64)
    home[: axons.neurons] = part
    # What a core sends to itself does not go round: it has rows for it, and no route.
    for bundle in axons.bundles:
        source = np.repeat(np.arange(bundle.ptr.size - 1), np.diff(bundle.ptr)) + bundle.first
        own = source[(source < axons.neurons) & (part[bundle.target] == home[source])]
        bits[own] |= np.int64(1) << home[own]
    pairs, route = np.unique(home << stations | bits, return_inverse=True)
    sends = (pairs & ((1 << stations) - 1)) > 0
    number = np.cumsum(sends) - 1
    pairs = pairs[sends]
    origin = pairs >> stations
    where, sink = np.nonzero(pairs[:, None] >> np.arange(stations - 1) & 1)
    far = np.zeros(origin.size, np.int64)
    np.maximum.at(far, where, (sink - origin[where]) % stations)
    ptr = np.concatenate([[0], np.cumsum(far)])
    start = np.repeat(origin - ptr[:-1], far) + np.arange(ptr[-1])
    return Routes(
        of=np.where(sends[route], number[route], -1),
        origin=origin,
        link_ptr=ptr,
        start=start % stations,
        end=(start + 1) % stations,
        sink_ptr=np.searchsorted(where, np.arange(origin.size + 1)),
        sink=sink.astype(np.int32),
    )
