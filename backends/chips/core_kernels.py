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
def axon_of(axon_ptr: Any, axon_source: Any, core: int, source: int) -> int:
    """The in-axon of a source in a core, -1 where it has none."""
    low, high = axon_ptr[core], axon_ptr[core + 1]
    end = high
    while low < high:
        middle = (low + high) >> 1
        if axon_source[middle] < source:
            low = middle + 1
        else:
            high = middle
    found: int = low if low < end and axon_source[low] == source else -1
    return found


@numba.njit(cache=True)
def link(
    way: Any,
    way_ptr: Any,
    way_core: Any,
    neuron_ptr: Any,
    axon_ptr: Any,
    axon_source: Any,
    synapse_ptr: Any,
    target: Any,
    weight: Any,
    delay: Any,
    slot: Any,
    out_ptr: Any,
    out_delay: Any,
    out_slot: Any,
    out_weight: Any,
    out_late: Any,
) -> None:
    """What a packet of each source does in all cores that it reaches; ``way`` -1 goes nowhere.

    A core (-1: none of those in use) looks the source up among its in-axons, and drops the packet
    where it has none. It knows its neurons by local indices: place ``neuron_ptr[core]`` plus that
    in ``slot``. ``out_delay`` has the delay that all synapses of a source share, or -1.

    Twice: with an empty ``out_slot`` only ``out_ptr`` and ``out_delay`` are made.
    """
    fill = out_slot.size > 0
    found = 0
    for source in range(way.size):
        out_ptr[source] = found
        shared = np.int64(-2)
        low_way = high_way = np.int64(0)
        if way[source] >= 0:
            low_way, high_way = way_ptr[way[source]], way_ptr[way[source] + 1]
        for k in range(low_way, high_way):
            core = way_core[k]
            if core < 0:
                continue
            low = axon_of(axon_ptr, axon_source, core, source)
            if low < 0:
                continue
            for s in range(synapse_ptr[low], synapse_ptr[low + 1]):
                late = np.int64(delay[s])
                if shared == -2:
                    shared = late
                elif shared != late:
                    shared = np.int64(-1)
                if fill:
                    out_slot[found] = slot[neuron_ptr[core] + np.int64(target[s])]
                    out_weight[found] = weight[s]
                    out_late[found] = delay[s]
                found += 1
        out_delay[source] = max(shared, -1)
    out_ptr[way.size] = found


@numba.njit(cache=True)
def deliver(
    index: Any,
    value: Any,
    count: int,
    number: Any,
    ptr: Any,
    delay: Any,
    slot: Any,
    weight: Any,
    late: Any,
    wheel: Any,
    now: int,
) -> int:
    """Add what each spike does in all cores that it reaches; returns the number of synapses.

    Spike k is ``value[k]`` of the source ``number[index[k]]``. ``wheel`` has a page for each
    pending step, ``now`` that of this one; the rest is as `link` makes it.
    """
    pages = wheel.shape[0]
    done = 0
    for k in range(count):
        source, factor = number[index[k]], value[k]
        begin, end = ptr[source], ptr[source + 1]
        done += end - begin
        if delay[source] >= 0:
            page = wheel[(now + delay[source]) % pages]
            if factor == 1:
                for s in range(begin, end):
                    page[slot[s]] += weight[s]
            else:
                for s in range(begin, end):
                    page[slot[s]] += weight[s] * factor
            continue
        for s in range(begin, end):
            turn = now + np.int64(late[s])
            if turn >= pages:
                turn -= pages
            wheel[turn, slot[s]] += weight[s] * factor
    return done


@numba.njit(cache=True)
def receive(
    source: Any,
    core: Any,
    neuron_ptr: Any,
    axon_ptr: Any,
    axon_source: Any,
    synapse_ptr: Any,
    target: Any,
    weight: Any,
    delay: Any,
    slot: Any,
    wheel: Any,
    step: int,
) -> int:
    """Add what each packet does in the one core that received it; returns the synapses.

    Packet k is of ``source[k]``, received by ``core[k]`` (-1: none of those in use) in ``step``.
    ``wheel`` and ``slot`` are as in `deliver` and `link`.
    """
    pages = wheel.shape[0]
    done = 0
    for k in range(source.size):
        c = core[k]
        if c < 0:
            continue
        low = axon_of(axon_ptr, axon_source, c, source[k])
        if low < 0:
            continue
        done += synapse_ptr[low + 1] - synapse_ptr[low]
        for s in range(synapse_ptr[low], synapse_ptr[low + 1]):
            at = slot[neuron_ptr[c] + np.int64(target[s])]
            wheel[(step + np.int64(delay[s])) % pages, at] += weight[s]
    return done
