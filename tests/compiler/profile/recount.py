"""All counts of a run again, spike by spike in plain Python, from axons and routes themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from spikec.compiler.mapping.axons import Axons
from spikec.compiler.mapping.mapping import Mapping
from spikec.compiler.profile.count import Spikes


def ways(mapping: Mapping, route: int) -> dict[int, list[tuple[int, int]]]:
    """The links from a route's origin to each of its cores, by core."""
    r = mapping.routes
    low, high = r.link_ptr[route], r.link_ptr[route + 1]
    before = {int(r.end[k]): int(r.start[k]) for k in range(low, high)}
    found = {}
    for core in r.sink[r.sink_ptr[route] : r.sink_ptr[route + 1]].tolist():
        at, links = core // mapping.machine.cores_per_router, []
        while at != int(r.origin[route]):
            links.append((before[at], at))
            at = before[at]
        found[core] = links[::-1]
    return found


def recount(axons: Axons, mapping: Mapping, spikes: Spikes) -> dict[str, Any]:
    """Totals by name, (step, part) counts, packets by link, and the busiest link of each step."""
    machine = mapping.machine
    total: Counter[str] = Counter()
    cores: dict[str, Counter[tuple[int, int]]] = defaultdict(Counter)
    by_step: dict[int, Counter[tuple[int, int]]] = defaultdict(Counter)
    tenant = {int(core): part for part, core in enumerate(mapping.seat)}
    targets: dict[int, list[int]] = defaultdict(list)
    for bundle in axons.bundles:
        for row in range(bundle.ptr.size - 1):
            targets[bundle.first + row] += bundle.target[
                bundle.ptr[row] : bundle.ptr[row + 1]
            ].tolist()
    neurons = max((n.end for n in axons.nodes if not n.lines), default=0)
    for step, source, n in zip(
        spikes.step.tolist(), spikes.source.tolist(), spikes.count.tolist(), strict=True
    ):
        placed = source < axons.neurons
        own = int(mapping.part[source]) if placed else -1
        home = int(mapping.seat[own]) // machine.cores_per_router if placed else machine.host
        if source < neurons:
            total["spikes"] += n
            cores["spikes"][step, own] += n
        reached = Counter(int(mapping.part[t]) for t in targets[source])
        route = int(mapping.routes.of[source])
        paths = {} if route < 0 else ways(mapping, route)
        parts = set(reached) | {tenant[core] for core in paths}
        total["synaptic_operations"] += n * sum(reached.values())
        total["packets_in"] += n * len(parts)
        if placed:
            total["packets_out"] += n * len(parts)
        for part in parts:
            cores["packets_in"][step, part] += n
            cores["synaptic_operations"][step, part] += n * reached[part]
            if placed:
                cores["packets_out"][step, own] += n
            total["near_packets"] += n * (
                int(mapping.seat[part]) // machine.cores_per_router == home
            )
        sent = min(len(parts), 1) if machine.multicast else len(parts)
        total["visits"] += n * sent
        total["host_packets"] += 0 if placed else n * sent
        taken: Counter[tuple[int, int]] = Counter(link for way in paths.values() for link in way)
        for (a, b), times in taken.items():
            amount = n * (1 if machine.multicast else times)
            by_step[step][a, b] += amount
            total["visits"] += amount
            if machine.topology == "tree":
                total["hops"] += amount
                continue
            if machine.chip_of(a) != machine.chip_of(b):
                total["chip_hops"] += amount
                continue
            total["hops"] += amount
            (x, y), (u, v) = machine.place(a), machine.place(b)
            kind = {(True, False): "hops_x", (False, True): "hops_y"}.get(
                (x != u, y != v), "hops_diagonal"
            )
            total[kind] += amount
    return {"total": total, "cores": cores, "links": by_step}
