"""Numba kernels that make the programs of cores, find the cores of a packet, and deliver it."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True)
def append_rows(
    ptr: Any,
    target: Any,
    weight: Any,
    delay: Any,
    later: int,
    post: int,
    place: Any,
    out_target: Any,
    out_weight: Any,
    out_delay: Any,
) -> None:
    """Write each row of a projection from ``place`` of its source on, which moves behind it.

    Targets become numbers by adding ``post``, delays of length 1 or one a synapse by ``later``.
    """
    single = delay.size == 1
    for row in range(ptr.size - 1):
        at = place[row]
        for s in range(ptr[row], ptr[row + 1]):
            out_target[at] = target[s] + post
            out_weight[at] = weight[s]
            out_delay[at] = delay[0 if single else s] + later
            at += 1
        place[row] = at


@numba.njit(cache=True)
def count_axons(row_ptr: Any, target: Any, part: Any, axons: Any, synapses: Any) -> None:
    """Of each core its in-axons, and its synapses; rows by source."""
    last = np.full(axons.size, -1, np.int64)
    for source in range(row_ptr.size - 1):
        for s in range(row_ptr[source], row_ptr[source + 1]):
            core = part[target[s]]
            synapses[core] += 1
            if last[core] != source:
                last[core] = source
                axons[core] += 1


@numba.njit(cache=True)
def fill_axons(
    row_ptr: Any,
    target: Any,
    weight: Any,
    delay: Any,
    part: Any,
    local: Any,
    axon_place: Any,
    synapse_place: Any,
    axon_source: Any,
    synapse_ptr: Any,
    out_target: Any,
    out_weight: Any,
    out_delay: Any,
) -> None:
    """Move rows by source into axons by core; the places of each core's next move on."""
    last = np.full(axon_place.size, -1, np.int64)
    for source in range(row_ptr.size - 1):
        for s in range(row_ptr[source], row_ptr[source + 1]):
            core = part[target[s]]
            at = synapse_place[core]
            if last[core] != source:
                last[core] = source
                axon = axon_place[core]
                axon_source[axon] = source
                synapse_ptr[axon] = at
                axon_place[core] = axon + 1
            out_target[at] = local[target[s]]
            out_weight[at] = weight[s]
            out_delay[at] = delay[s]
            synapse_place[core] = at + 1


@numba.njit(cache=True)
def reached_sinks(
    origin: Any,
    link_ptr: Any,
    start: Any,
    end: Any,
    sink_ptr: Any,
    sink: Any,
    cores_per_router: int,
    routers: int,
    out: Any,
) -> None:
    """Whether the links of each route lead from its origin to the router of each of its sinks."""
    stamp = np.full(routers, -1, np.int64)
    for route in range(origin.size):
        stamp[origin[route]] = route
        for k in range(link_ptr[route], link_ptr[route + 1]):
            if stamp[start[k]] == route:
                stamp[end[k]] = route
        for k in range(sink_ptr[route], sink_ptr[route + 1]):
            out[k] = stamp[sink[k] // cores_per_router] == route


@numba.njit(cache=True)
def follow_tables(
    key: Any,
    home: Any,
    neighbours: Any,
    cores_per_router: int,
    ptr: Any,
    entry_key: Any,
    entry_mask: Any,
    entry_links: Any,
    entry_cores: Any,
    out_ptr: Any,
    out_core: Any,
) -> None:
    """The cores that the packets of each source reach, router by router, entry by entry.

    Twice: with an empty ``out_core`` only ``out_ptr`` is made. A source with the key 0 sends
    nothing. A copy of a packet that enters a router by the same link again is dropped there.
    """
    routers, degree = neighbours.shape
    fill = out_core.size > 0
    entered = np.full((routers, degree + 1), -1, np.int64)
    stack = np.empty((routers * (degree + 1), 2), np.int32)
    found = 0
    for source in range(key.size):
        out_ptr[source] = found
        if key[source] == 0:
            continue
        stack[0, 0], stack[0, 1] = home[source], degree
        entered[home[source], degree] = source
        size = 1
        while size:
            size -= 1
            router, heading = stack[size, 0], stack[size, 1]
            links = np.int64(0) if heading == degree else np.int64(1) << heading
            cores = np.int64(0)
            for entry in range(ptr[router], ptr[router + 1]):
                if key[source] & entry_mask[entry] == entry_key[entry]:
                    links, cores = np.int64(entry_links[entry]), np.int64(entry_cores[entry])
                    break
            for bit in range(cores_per_router):
                if cores >> bit & 1:
                    if fill:
                        out_core[found] = router * cores_per_router + bit
                    found += 1
            for bit in range(degree):
                after = neighbours[router, bit]
                if links >> bit & 1 and after >= 0 and entered[after, bit] != source:
                    entered[after, bit] = source
                    stack[size, 0], stack[size, 1] = after, bit
                    size += 1
    out_ptr[key.size] = found


@numba.njit(cache=True)
def find_axons(
    way: Any,
    way_ptr: Any,
    way_core: Any,
    axon_ptr: Any,
    axon_source: Any,
    out_ptr: Any,
    out_core: Any,
    out_axon: Any,
) -> None:
    """Which in-axon of which core a packet of each source meets; ``way`` -1 goes nowhere.

    Twice, as `follow_tables`. A core (-1: none of those in use) without the source drops it.
    """
    fill = out_core.size > 0
    found = 0
    for source in range(way.size):
        out_ptr[source] = found
        if way[source] < 0:
            continue
        for k in range(way_ptr[way[source]], way_ptr[way[source] + 1]):
            core = way_core[k]
            if core < 0:
                continue
            low, high = axon_ptr[core], axon_ptr[core + 1]
            end = high
            while low < high:
                middle = (low + high) >> 1
                if axon_source[middle] < source:
                    low = middle + 1
                else:
                    high = middle
            if low == end or axon_source[low] != source:
                continue
            if fill:
                out_core[found] = core
                out_axon[found] = low
            found += 1
    out_ptr[way.size] = found


@numba.njit(cache=True)
def deliver(
    index: Any,
    value: Any,
    count: int,
    number: Any,
    met_ptr: Any,
    met_core: Any,
    met_axon: Any,
    neuron_ptr: Any,
    slot: Any,
    synapse_ptr: Any,
    target: Any,
    weight: Any,
    delay: Any,
    wheel: Any,
    now: int,
) -> int:
    """Add the synapses of each spike in each core that it reaches; returns how many there were.

    Spike k is ``value[k]`` of the source ``number[index[k]]``. A core knows its neurons by their
    local indices, from ``neuron_ptr[core]`` on in ``slot``; ``wheel`` has a page for each pending
    step, ``now`` that of this one.
    """
    pages = wheel.shape[0]
    done = 0
    for k in range(count):
        source, factor = number[index[k]], value[k]
        for m in range(met_ptr[source], met_ptr[source + 1]):
            axon, base = met_axon[m], neuron_ptr[met_core[m]]
            for s in range(synapse_ptr[axon], synapse_ptr[axon + 1]):
                page = now + np.int64(delay[s])
                if page >= pages:
                    page -= pages
                wheel[page, slot[base + np.int64(target[s])]] += weight[s] * factor
            done += synapse_ptr[axon + 1] - synapse_ptr[axon]
    return done
