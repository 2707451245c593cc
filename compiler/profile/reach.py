"""What one spike of each source causes in a mapped network: packets, synapses, hops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from ...boards.costs import MACHINE_COUNTS
from ...boards.machine import Machine
from ...ir.records import Record, frozen_array
from ..mapping.axons import Axons
from ..mapping.mapping import Mapping, Routes
from ..mapping.route import copies

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]

# Counts of the machine that a spike of a source causes, in the order of columns of `Reach.machine`.
MACHINE: Final[tuple[str, ...]] = tuple(MACHINE_COUNTS)


@dataclass(frozen=True, eq=False)
class Reach(Record):
    """What one spike of each source causes.

    A cell is what a core holds of one population: cell c is in the part ``cell_part[c]``, of the
    node ``cell_node[c]`` of `Axons`, with ``cell_neurons[c]`` neurons; cells are in the order of
    parts, those of a part in the order of nodes. ``home`` (sources,) is the cell of each source, -1
    where it enters from the host. For k from ``ptr[a]`` to ``ptr[a + 1]`` a spike of source a
    brings ``synapses[k]`` synaptic operations to the cell ``cell[k]``, and a packet to its part
    where ``packet[k]`` is 1; a part gets one packet, the source's own among them.

    ``machine`` (sources, counts) has the counts of `MACHINE` a spike, ``route`` (sources,) the
    route that it takes, -1 for none. Route r takes the links ``link[j]``, ``copies[j]`` times each,
    for j from ``link_ptr[r]`` to ``link_ptr[r + 1]``; link i leads from ``start[i]`` to ``end[i]``.
    ``path`` (routes,) are the cycles from its origin to its farthest core, without any waiting; 0
    where the chip's file has no interconnect.
    """

    cell_part: Ids
    cell_node: Ids
    cell_neurons: Integers
    home: Ids
    ptr: Integers
    cell: Ids
    packet: npt.NDArray[np.int8]
    synapses: Ids
    machine: Integers
    route: Ids
    link_ptr: Integers
    link: Ids
    copies: Ids
    start: Ids
    end: Ids
    path: Integers
    neurons: int

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in vars(self).copy().items():
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, frozen_array(value))

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return self.cell_part.size

    @property
    def part_ptr(self) -> Integers:
        """Where the cells of each part begin, shape (parts + 1,)."""
        parts = int(self.cell_part[-1]) + 1 if self.cells else 0
        return np.searchsorted(self.cell_part, np.arange(parts + 1))


def reach(axons: Axons, mapping: Mapping) -> Reach:
    """The reach of every source of ``axons`` as ``mapping`` has it.

    Takes time in proportion to the synapses, and beside ``axons`` 9 bytes for each cell that a
    source reaches.
    """
    machine, part = mapping.machine, mapping.part
    nodes = [node for node in axons.nodes if node.first < axons.neurons]
    node = np.repeat(np.arange(len(nodes)), [n.size for n in nodes])
    pairs, cell, sizes = np.unique(
        part.astype(np.int64) * max(len(nodes), 1) + node, return_inverse=True, return_counts=True
    )
    cell_part, cell_node = np.divmod(pairs, max(len(nodes), 1))
    cell = frozen_array(cell.ravel(), np.int32)
    lines = np.array([n.lines for n in nodes], np.bool_)
    cell_neurons = np.where(lines[cell_node], 0, sizes) if lines.size else sizes
    home = np.full(axons.sources, -1, np.int32)
    home[: axons.neurons] = cell
    ptr, reached, synapses = _synapses(axons, mapping, cell, cell_part)
    reached_part = cell_part[reached]
    packet = np.ones(reached.size, np.int8)
    packet[1:] = reached_part[1:] != reached_part[:-1]
    packet[ptr[:-1][ptr[:-1] < ptr[1:]]] = 1
    routes = mapping.routes
    times = copies(routes, machine)
    machine_counts = _machine_counts(axons, mapping, times, home, cell_part, ptr, reached, packet)
    router = np.stack([routes.start, routes.end]).astype(np.int64)
    nodes_of = int(router.max(initial=0)) + 1
    links, which = np.unique(router[0] * nodes_of + router[1], return_inverse=True)
    neuron_nodes = [n for n in axons.nodes if not n.lines]
    return Reach(
        cell_part=cell_part.astype(np.int32),
        cell_node=cell_node.astype(np.int32),
        cell_neurons=cell_neurons.astype(np.int64),
        home=home,
        ptr=ptr,
        cell=reached,
        packet=packet,
        synapses=synapses,
        machine=machine_counts,
        route=routes.of,
        link_ptr=routes.link_ptr,
        link=which.astype(np.int32),
        copies=times.astype(np.int32),
        start=(links // nodes_of).astype(np.int32),
        end=(links % nodes_of).astype(np.int32),
        path=paths(routes, machine),
        neurons=neuron_nodes[-1].end if neuron_nodes else 0,
    )


def _synapses(
    axons: Axons, mapping: Mapping, cell: npt.NDArray[Any], cell_part: npt.NDArray[Any]
) -> tuple[Integers, Ids, Ids]:
    """Rows of (cell, synapses) by source, cells ascending; cores on a route without any have 0."""
    rows, columns, amounts = [], [], []
    seen = np.full(cell_part.size, -1, np.int64)
    for bundle in axons.bundles:
        row_ptr, reached, amount = _row_counts(bundle.ptr, bundle.target, cell, seen)
        seen[:] = -1
        sources = np.arange(bundle.first, bundle.first + row_ptr.size - 1, dtype=np.int32)
        rows.append(np.repeat(sources, np.diff(row_ptr)))
        columns.append(reached)
        amounts.append(amount)
    routes, machine = mapping.routes, mapping.machine
    tenant = np.full(machine.seats, -1, np.int64)
    tenant[mapping.seat] = np.arange(mapping.parts)
    sink = tenant[routes.sink]
    routed = np.flatnonzero(routes.of >= 0)
    sizes = np.diff(routes.sink_ptr)[routes.of[routed]]
    begin = routes.sink_ptr[routes.of[routed]]
    place = np.repeat(begin - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
    first = np.searchsorted(cell_part, np.arange(mapping.parts))
    rows.append(np.repeat(routed.astype(np.int32), sizes))
    columns.append(first[sink[place]].astype(np.int32))
    amounts.append(np.zeros(place.size, np.int32))
    where = (np.concatenate(rows), np.concatenate(columns))
    del rows, columns, place
    # Zeros that are said stay: a packet reaches a core also where it finds nothing.
    matrix = coo_array(
        (np.concatenate(amounts), where), shape=(axons.sources, cell_part.size)
    ).tocsr()
    matrix.sort_indices()
    ptr = matrix.indptr.astype(np.int64)
    return _without_empty(ptr, matrix.indices.astype(np.int32), matrix.data, cell_part)


def _without_empty(
    ptr: Integers, cell: Ids, synapses: Ids, cell_part: npt.NDArray[Any]
) -> tuple[Integers, Ids, Ids]:
    """Without first cells that have no synapses where another cell of the part has some."""
    row = np.repeat(np.arange(ptr.size - 1), np.diff(ptr))
    part = cell_part[cell]
    needless = np.zeros(cell.size, np.bool_)
    needless[:-1] = (synapses[:-1] == 0) & (part[1:] == part[:-1]) & (row[1:] == row[:-1])
    kept = np.concatenate([[0], np.cumsum(~needless)])
    return kept[ptr].astype(np.int64), cell[~needless], synapses[~needless].astype(np.int32)


def _machine_counts(
    axons: Axons,
    mapping: Mapping,
    times: Integers,
    home: Ids,
    cell_part: npt.NDArray[Any],
    ptr: Integers,
    cell: Ids,
    packet: npt.NDArray[np.int8],
) -> Integers:
    """Counts of the machine a spike, in the order of `MACHINE`, shape (sources, counts)."""
    machine, routes = mapping.machine, mapping.routes
    x_step, y_step, between = directions(machine, routes.start, routes.end)
    within = ~between
    kinds = {
        "hops": within,
        "hops_x": within & x_step & ~y_step,
        "hops_y": within & y_step & ~x_step,
        "hops_diagonal": within & x_step & y_step,
        "chip_hops": between,
    }
    of_route = {
        name: _per_row(routes.link_ptr, np.where(kind, times, 0)) for name, kind in kinds.items()
    }
    router = mapping.seat // machine.cores_per_router
    source = np.repeat(np.arange(axons.sources), np.diff(ptr))
    own = np.where(home >= 0, cell_part[home], -1)
    own_router = np.where(own >= 0, router[own], machine.host)
    near = (packet == 1) & (router[cell_part[cell]] == own_router[source])
    packets = np.bincount(source, packet, axons.sources).astype(np.int64)
    sent = np.minimum(packets, 1) if machine.multicast else packets
    found = {
        name: np.where(routes.of >= 0, amount[routes.of], 0) if routes.count else 0 * packets
        for name, amount in of_route.items()
    }
    found["near_packets"] = np.bincount(source[near], minlength=axons.sources)
    found["visits"] = sent + found["hops"] + found["chip_hops"]
    found["host_packets"] = np.where(home < 0, sent, 0)
    return np.stack([found[name] for name in MACHINE], axis=1).astype(np.int64)


def directions(
    machine: Machine, start: Ids, end: Ids
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether links lead along x, along y, and from chip to chip; those of a tree do neither."""
    if machine.topology == "tree":
        no = np.zeros(start.size, np.bool_)
        return no, no, no
    width = machine.grid[0]
    (y, x), (v, u) = np.divmod(start, width), np.divmod(end, width)
    columns, rows = machine.routers
    # A link that wraps around a machine of one chip stays on it.
    between = (x // columns != u // columns) | (y // rows != v // rows)
    return x != u, y != v, between


def paths(routes: Routes, machine: Machine) -> Integers:
    """Cycles from the origin of each route to its farthest core, without any waiting.

    As `noc.fabric.Fabric` has it: into the first router, hop by hop, and out of the last one, which
    takes as long as the last flit is behind the first.
    """
    net = machine.interconnect
    found = np.zeros(routes.count, np.int64)
    if net is None:
        return found
    nodes = int(max(routes.origin.max(initial=0), routes.end.max(initial=0))) + 1
    x_step, y_step, between = directions(machine, routes.start, routes.end)
    along_x, along_y = int(net.hop_x.value), int(net.hop_y.value)
    hop = np.where(
        x_step & y_step, max(along_x, along_y), np.where(x_step, along_x, along_y)
    ).astype(np.int64)
    if net.chip_hop is not None:
        hop[between] = int(net.chip_hop.value)
    _depths(routes.origin, routes.link_ptr, routes.start, routes.end, hop, nodes, found)
    gap = np.full(hop.size, int(net.gap.value))
    if net.chip_gap is not None:
        gap[between] = int(net.chip_gap.value)
    last = np.full(routes.count, int(net.eject.value))
    every = np.repeat(np.arange(routes.count), np.diff(routes.link_ptr))
    np.maximum.at(last, every, int(net.flits.value) * gap)
    found += int(net.inject.value) + last
    return found


def _per_row(ptr: Integers, values: Integers) -> Integers:
    total = np.concatenate([[0], np.cumsum(values)]).astype(np.int64)
    rows: Integers = total[ptr[1:]] - total[ptr[:-1]]
    return rows


@numba.njit(cache=True)
def _row_counts(ptr: Any, target: Any, cell: Any, seen: Any) -> Any:
    """The cells of each row's targets and how many are in each; ``seen`` (cells,) is -1."""
    out = np.empty(max(np.int64(16), ptr.size), np.int32)
    amount = np.empty(out.size, np.int32)
    out_ptr = np.zeros(ptr.size, np.int64)
    n = 0
    for row in range(ptr.size - 1):
        most = min(ptr[row + 1] - ptr[row], seen.size)
        if n + most > out.size:
            grown = np.empty((2, max(2 * out.size, n + most)), np.int32)
            grown[0, :n], grown[1, :n] = out[:n], amount[:n]
            out, amount = grown[0], grown[1]
        for k in range(ptr[row], ptr[row + 1]):
            c = cell[target[k]]
            place = seen[c]
            if place < out_ptr[row]:
                place = n
                seen[c] = n
                out[n], amount[n] = c, 0
                n += 1
            amount[place] += 1
        out_ptr[row + 1] = n
    return out_ptr, out[:n].copy(), amount[:n].copy()


@numba.njit(cache=True)
def _depths(
    origin: Any, link_ptr: Any, start: Any, end: Any, hop: Any, nodes: int, out: Any
) -> None:
    at = np.zeros(nodes, np.int64)
    for route in range(origin.size):
        at[origin[route]] = 0
        for k in range(link_ptr[route], link_ptr[route + 1]):
            at[end[k]] = at[start[k]] + hop[k]
            out[route] = max(out[route], at[end[k]])
