"""The network as a hypergraph: one net an axon, over the neurons that it leads to.

A partition of the vertices costs, with :math:`\\Lambda_e` the parts that hold a pin of net e and
:math:`w_e` its spikes,

.. math:: \\sum_e w_e (|\\Lambda_e| - 1)

packets, since the neuron that an axon comes from is a pin of it, too (connectivity, lambda - 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from .axons import Axons
from .limits import Load

Array = npt.NDArray[Any]

# Sums of weights over all nets stay below this, so that gains fit 32 bits.
_MOST_WEIGHT = 1 << 30


class Hypergraph(NamedTuple):
    """Nets over vertices, and what each takes of a core.

    ``ptr`` and ``pins`` have the vertices of each net: its targets, and the vertex ``source`` of
    its axon, last and alone in this (``lone``) where that is no target as well; -1 where there is
    none. A net stands for ``axons`` axons of ``weight`` spikes altogether, and takes ``bits`` of
    synapse memory wherever it has a target. A vertex takes ``size`` of a core's
    places, is of node ``colour`` and has ``own_bits`` bits of synapses, and ``own_axons`` axons
    that lead from it to itself only.
    """

    ptr: Array
    pins: Array
    source: Array
    lone: Array
    weight: Array
    axons: Array
    bits: Array
    size: Array
    colour: Array
    own_bits: Array
    own_axons: Array

    @property
    def vertices(self) -> int:
        """Number of vertices."""
        return int(self.size.size)

    @property
    def nets(self) -> int:
        """Number of nets."""
        return int(self.source.size)


def hypergraph(
    axons: Axons,
    synapse_bits: int,
    axon_bits: int,
    *,
    shared: bool,
    size: Array | None = None,
    loads: Sequence[Load] | None = None,
) -> Hypergraph:
    """The hypergraph of a network, a vertex for each neuron, of ``size`` (neurons,) or of one.

    A synapse takes ``synapse_bits``, an axon ``axon_bits`` in each core that it leads to. Where
    kernels are ``shared`` their synapses take nothing, but each kernel, as a net without axons,
    its bits in each core that it leads to. Synapses of no bits are not counted, shared or not.
    Instead of all this ``loads`` may say what each bundle takes.
    """
    ptr, target = _rows(axons)
    ptr, pins, lone = _pins(ptr, target, axons.neurons)
    source = np.arange(axons.sources, dtype=np.int32)
    source[axons.neurons :] = -1
    weight = scaled(axons.rate)
    count = np.ones(axons.sources, np.int32)
    bits = np.full(axons.sources, 0 if loads else axon_bits, np.int64)
    own_bits = np.zeros(axons.neurons, np.int64)
    kernels = []
    for number, bundle in enumerate(axons.bundles):
        if loads is not None:
            load = loads[number]
            bits[bundle.first : bundle.first + bundle.ptr.size - 1] += load.axon
            _count(bundle.target, load.synapse, own_bits)
            if load.target and bundle.target.size:
                node = axons.node_of(int(bundle.target[0]))
                own_bits[node.first : node.end] += load.target
            if load.kernel and bundle.target.size:
                kernels.append((np.unique(bundle.target), load.kernel))
        elif shared and bundle.kernel:
            # Where memory is not counted a net that leads to nearly all parts is for nothing.
            if synapse_bits:
                kernels.append((np.unique(bundle.target), bundle.kernel * synapse_bits))
        else:
            _count(bundle.target, synapse_bits, own_bits)
    if kernels:
        sizes = [members.size for members, _ in kernels]
        ptr = np.concatenate([ptr, ptr[-1] + np.cumsum(sizes)])
        pins = np.concatenate([pins, *(members for members, _ in kernels)]).astype(np.int32)
        none = np.zeros(len(kernels), np.int32)
        source, lone = np.concatenate([source, none - 1]), np.concatenate([lone, none > 0])
        weight, count = np.concatenate([weight, none]), np.concatenate([count, none])
        bits = np.concatenate([bits, np.array([size for _, size in kernels], np.int64)])
    colour = np.zeros(axons.neurons, np.int32)
    for number, node in enumerate(axons.nodes):
        colour[node.first : node.end] = number
    return Hypergraph(
        *(ptr, pins, source, lone, weight, count, bits),
        *(np.ones(axons.neurons, np.int64) if size is None else size, colour),
        *(own_bits, np.zeros(axons.neurons, np.int64)),
    )


def scaled(rate: Array) -> Array:
    """Rates as 32-bit weights: halved until they sum up to less than 2^30; a spike stays one."""
    # The sum of 64-bit rates may need more than 64 bits.
    total, shift = float(rate.sum(dtype=np.float64)), 0
    while total >= _MOST_WEIGHT:
        total, shift = total / 2, shift + 1
    return np.where(rate > 0, np.maximum(rate >> shift, 1), 0).astype(np.int32)


def incidence(graph: Hypergraph) -> tuple[Array, Array]:
    """The nets of each vertex: ``start`` (vertices + 1,) and ``net``, ascending."""
    start: Array
    net: Array
    start, net = _transposed(graph.ptr, graph.pins, graph.vertices)
    return start, net


def twins(graph: Hypergraph, most: int | Array) -> Array:
    """A number for each vertex; those with the same sources and the same targets share one.

    What such neurons do to a partition is the same, so they can move together: all channels at
    one place of a convolution, for instance. At most ``most`` vertices share a number, a limit that
    twins have alike where it is one for each vertex.
    """
    key = _twin_keys(graph)
    key ^= _mixed(
        graph.colour.astype(np.uint64) << np.uint64(32) | graph.own_bits.astype(np.uint64)
    )
    order = np.argsort(key, kind="stable")
    fresh = np.diff(key[order], prepend=~key[order[:1]]) != 0
    group = np.cumsum(fresh) - 1
    # Within a group by ascending number: each `most` of them are one vertex.
    within = np.arange(order.size) - np.flatnonzero(fresh)[group]
    limit = np.maximum(np.broadcast_to(most, order.shape)[order], 1)
    piece = within // limit
    split = np.cumsum(fresh | (within % limit == 0)) - 1
    number = np.empty(order.size, np.int64)
    number[order] = split if piece.any() else group
    # In the network's own order, in which neighbours are near each other.
    return numbered(number)


def numbered(group: Array) -> Array:
    """Groups numbered from 0 by the first member of each."""
    _, first, number = np.unique(group, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int32)
    rank[np.argsort(first)] = np.arange(first.size, dtype=np.int32)
    return rank[number]


def contracted(graph: Hypergraph, vertex: Array, count: int) -> Hypergraph:
    """The hypergraph in which the vertices with the same ``vertex`` number are one.

    Nets that are alike become one; those within a vertex are left to its ``own_axons``.
    """
    size = np.bincount(vertex, graph.size, count).astype(np.int64)
    own_bits = np.bincount(vertex, graph.own_bits, count).astype(np.int64)
    own_axons = np.bincount(vertex, graph.own_axons, count).astype(np.int64)
    colour = np.zeros(count, np.int32)
    colour[vertex] = graph.colour
    nets: Any = _contract(graph, vertex.astype(np.int32), own_axons, own_bits, count)
    vertices = (size, colour, own_bits, own_axons)
    coarse = Hypergraph(*(*nets, *vertices))
    _, first, group = np.unique(_net_keys(coarse), return_index=True, return_inverse=True)
    if first.size < coarse.nets:
        # In the order in which they first appear.
        rank = np.argsort(first, kind="stable")
        place = np.empty(rank.size, np.int64)
        place[rank] = np.arange(rank.size)
        nets = _merged(coarse, first[rank], place[group])
        coarse = Hypergraph(*(*nets, *vertices))
    return coarse


def _rows(axons: Axons) -> tuple[Array, Array]:
    """The targets of each source in all bundles, in rows by source."""
    length = np.zeros(axons.sources + 1, np.int64)
    for bundle in axons.bundles:
        length[bundle.first + 1 : bundle.first + bundle.ptr.size] += np.diff(bundle.ptr)
    ptr = np.cumsum(length)
    if len(axons.bundles) == 1:
        return ptr, axons.bundles[0].target
    at, target = ptr[:-1].copy(), np.empty(int(ptr[-1]), np.int32)
    for bundle in axons.bundles:
        _fill_rows(bundle.ptr, bundle.target, bundle.first, at, target)
    return ptr, target


@numba.njit(cache=True)
def _fill_rows(ptr: Any, target: Any, first: Any, at: Any, out: Any) -> None:
    for r in range(ptr.size - 1):
        k = at[first + r]
        for j in range(ptr[r], ptr[r + 1]):
            out[k] = target[j]
            k += 1
        at[first + r] = k


@numba.njit(cache=True)
def _pins(ptr: Any, target: Any, neurons: Any) -> Any:
    """Each target of a row once, and behind them the source itself if it is none of them."""
    sources = ptr.size - 1
    mark = np.full(neurons, -1, np.int32)
    # Sources without targets have no pin.
    out = np.empty(target.size + min(sources, neurons), np.int32)
    out_ptr = np.zeros(sources + 1, np.int64)
    lone = np.zeros(sources, np.bool_)
    k = 0
    for i in range(sources):
        for j in range(ptr[i], ptr[i + 1]):
            t = target[j]
            if mark[t] != i:
                mark[t] = i
                out[k] = t
                k += 1
        if i < neurons and ptr[i + 1] > ptr[i] and mark[i] != i:
            out[k] = i
            k += 1
            lone[i] = True
        out_ptr[i + 1] = k
    return out_ptr, out[:k].copy(), lone


@numba.njit(cache=True)
def _count(target: Any, bits: Any, out: Any) -> None:
    for t in target:
        out[t] += bits


@numba.njit(cache=True)
def _transposed(ptr: Any, pins: Any, vertices: Any) -> Any:
    start = np.zeros(vertices + 1, np.int64)
    for v in pins:
        start[v + 1] += 1
    for v in range(vertices):
        start[v + 1] += start[v]
    at, net = start[:-1].copy(), np.empty(pins.size, np.int32)
    for e in range(ptr.size - 1):
        for j in range(ptr[e], ptr[e + 1]):
            v = pins[j]
            net[at[v]] = e
            at[v] += 1
    return start, net


@numba.njit(cache=True)
def _mix(x: Any) -> Any:
    """A number from 0 to 2^64 - 1 that any change of x changes (splitmix64)."""
    x = np.uint64(x) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@numba.njit(cache=True)
def _mixed(x: Any) -> Any:
    out = np.empty(x.size, np.uint64)
    for i in range(x.size):
        out[i] = _mix(x[i])
    return out


@numba.njit(cache=True)
def _twin_keys(graph: Any) -> Any:
    """Sums do not depend on an order; a pin that is the source only is not a target."""
    ptr, pins, source, lone = graph.ptr, graph.pins, graph.source, graph.lone
    key = np.zeros(graph.size.size, np.uint64)
    for e in range(source.size):
        own, row = _mix(np.uint64(e)), np.uint64(0)
        for j in range(ptr[e], ptr[e + 1] - lone[e]):
            key[pins[j]] += own
            row += _mix(np.uint64(pins[j]) + np.uint64(1 << 40))
        if source[e] >= 0:
            key[source[e]] += _mix(row)
    return _mixed(key)


@numba.njit(cache=True)
def _net_keys(graph: Any) -> Any:
    ptr, pins, source, lone = graph.ptr, graph.pins, graph.source, graph.lone
    key = np.empty(source.size, np.uint64)
    for e in range(source.size):
        row = np.uint64(0)
        for j in range(ptr[e], ptr[e + 1] - lone[e]):
            row += _mix(np.uint64(pins[j]))
        key[e] = _mix(row) + _mix(np.uint64(source[e] + 1) + np.uint64(1 << 40))
    return key


@numba.njit(cache=True)
def _contract(graph: Any, vertex: Any, own_axons: Any, own_bits: Any, count: Any) -> Any:
    ptr, pins, source, lone = graph.ptr, graph.pins, graph.source, graph.lone
    weight, axons, bits = graph.weight, graph.axons, graph.bits
    nets = source.size
    # Marked by the net that was there last: a net may be given up again.
    mark = np.full(count, -1, np.int64)
    out, out_ptr = np.empty(pins.size, np.int32), np.zeros(nets + 1, np.int64)
    out_source, out_lone = np.empty(nets, np.int32), np.zeros(nets, np.bool_)
    out_weight, out_axons = np.empty(nets, np.int32), np.empty(nets, np.int32)
    out_bits = np.empty(nets, np.int64)
    k, m = 0, 0
    for e in range(nets):
        begin = k
        for j in range(ptr[e], ptr[e + 1] - lone[e]):
            v = vertex[pins[j]]
            if mark[v] != e:
                mark[v] = e
                out[k] = v
                k += 1
        s = -1 if source[e] < 0 else vertex[source[e]]
        if k == begin:
            continue
        if k == begin + 1 and (s == out[begin] or (s < 0 and axons[e] == 0)):
            # Wherever this vertex goes the net goes along: it costs no packet. A line from the
            # host stays a net, as it takes no axon that leads out.
            own_axons[out[begin]] += axons[e]
            own_bits[out[begin]] += bits[e]
            k = begin
            continue
        if s >= 0 and mark[s] != e:
            out[k] = s
            k += 1
            out_lone[m] = True
        out_source[m], out_weight[m], out_axons[m] = s, weight[e], axons[e]
        out_bits[m] = bits[e]
        m += 1
        out_ptr[m] = k
    return (
        out_ptr[: m + 1].copy(),
        out[:k].copy(),
        out_source[:m].copy(),
        out_lone[:m].copy(),
        out_weight[:m].copy(),
        out_axons[:m].copy(),
        out_bits[:m].copy(),
    )


@numba.njit(cache=True)
def _merged(graph: Any, first: Any, group: Any) -> Any:
    ptr, pins, source, lone = graph.ptr, graph.pins, graph.source, graph.lone
    weight, axons, bits = graph.weight, graph.axons, graph.bits
    nets = first.size
    out_ptr = np.zeros(nets + 1, np.int64)
    for g in range(nets):
        out_ptr[g + 1] = out_ptr[g] + ptr[first[g] + 1] - ptr[first[g]]
    out = np.empty(out_ptr[nets], np.int32)
    for g in range(nets):
        k = out_ptr[g]
        for j in range(ptr[first[g]], ptr[first[g] + 1]):
            out[k] = pins[j]
            k += 1
    out_weight, out_axons = np.zeros(nets, np.int32), np.zeros(nets, np.int32)
    out_bits = np.zeros(nets, np.int64)
    for e in range(source.size):
        out_weight[group[e]] += weight[e]
        out_axons[group[e]] += axons[e]
        out_bits[group[e]] += bits[e]
    return out_ptr, out, source[first], lone[first], out_weight, out_axons, out_bits


def first_pins(graph: Hypergraph) -> Array:
    """The first vertex of each net, any for a net without pins."""
    # One more, as all nets may be without.
    return np.append(graph.pins, np.int32(0))[graph.ptr[:-1]]


def first_ends(graph: Hypergraph) -> Array:
    """The lowest source of each vertex but itself or, of one that has none, its lowest target."""
    found: Array = _first_ends(graph, *incidence(graph))
    return found


@numba.njit(cache=True)
def _first_ends(graph: Any, start: Any, net: Any) -> Any:
    source, vertices = graph.source, graph.size.size
    out = np.full(vertices, vertices, np.int64)
    for v in range(vertices):
        low = np.int64(vertices)
        for q in range(start[v], start[v + 1]):
            e = net[q]
            if source[e] == v:
                for j in range(graph.ptr[e], graph.ptr[e + 1] - graph.lone[e]):
                    low = min(low, np.int64(graph.pins[j]))
            elif source[e] >= 0:
                out[v] = min(out[v], np.int64(source[e]))
        if out[v] == vertices:
            out[v] = low
    return out


def reordered(graph: Hypergraph, order: Array) -> Hypergraph:
    """The same hypergraph with its vertices in ``order``, and its nets in that of their sources.

    Kernels that go through it part by part then find what they need close together.
    """
    place = np.empty(order.size, np.int32)
    place[order] = np.arange(order.size, dtype=np.int32)
    source = np.where(graph.source < 0, -1, place[np.maximum(graph.source, 0)]).astype(np.int32)
    # Lines from the host, and kernels, lie by their first target.
    first = first_pins(graph)
    rank = np.argsort(np.where(source < 0, place[first], source), kind="stable")
    ptr, pins = _reordered(graph.ptr, graph.pins, place, rank)
    nets = (source, graph.lone, graph.weight, graph.axons, graph.bits)
    vertices = (graph.size, graph.colour, graph.own_bits, graph.own_axons)
    return Hypergraph(ptr, pins, *(x[rank] for x in nets), *(x[order] for x in vertices))


@numba.njit(cache=True)
def _reordered(ptr: Any, pins: Any, place: Any, rank: Any) -> Any:
    out_ptr, out = np.zeros(ptr.size, np.int64), np.empty(pins.size, np.int32)
    k = 0
    for i in range(rank.size):
        for j in range(ptr[rank[i]], ptr[rank[i] + 1]):
            out[k] = place[pins[j]]
            k += 1
        out_ptr[i + 1] = k
    return out_ptr, out
