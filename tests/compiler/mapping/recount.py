"""The checker's definitions again, in plain Python over sets and lists: its oracle."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import networkx as nx

from spikec.compiler.mapping.axons import Axons
from spikec.compiler.mapping.mapping import Mapping

from .simple import links_of, rows_of, synapses_of, trees_of


@dataclass
class Count:
    """What a mapping uses, by part; ``load`` by link."""

    neurons: list[int] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    in_axons: list[int] = field(default_factory=list)
    out_axons: list[int] = field(default_factory=list)
    synapse_bits: list[int] = field(default_factory=list)
    fan_in: list[int] = field(default_factory=list)
    fan_out: list[int] = field(default_factory=list)
    delay: list[int] = field(default_factory=list)
    packets: int = 0
    hops: float = 0.0
    load: Counter[tuple[int, int]] = field(default_factory=Counter)


def recount(network: Axons, mapping: Mapping) -> Count:
    m, encoding, count = mapping.machine, mapping.machine.encoding, Count()
    part = mapping.part.tolist()
    synapses = [
        (source, *synapse)
        for source in range(network.sources)
        for synapse in synapses_of(network, source)
    ]
    reached = {s: {part[t] for s2, _, t, _ in synapses if s2 == s} for s in range(network.sources)}
    each = network.weight_bits + int(encoding.synapse.value)
    for p in range(mapping.parts):
        members = [neuron for neuron in range(network.neurons) if part[neuron] == p]
        here = [(s, b, t, d) for s, b, t, d in synapses if part[t] == p]
        sources = {s for s, _, _, _ in here}
        lines = sum(network.node_of(n).lines for n in members) if m.core.sources else 0
        count.neurons.append(len(members) - lines)
        count.sources.append(lines)
        count.in_axons.append(len(sources))
        count.out_axons.append(sum(len(reached[n]) for n in members))
        count.fan_in.append(max(sum(t == n for _, _, t, _ in here) for n in members))
        count.fan_out.append(max(len(reached[n]) for n in members))
        count.delay.append(max((d for _, _, _, d in here), default=0))
        bits = 0
        for s in sources:
            own = sum(s2 == s and not (encoding.shared and b.kernel) for s2, b, _, _ in here)
            words = math.ceil((encoding.axon.value + own * each) / encoding.word)
            bits += words * encoding.word
        if encoding.shared:
            bits += sum({b.name: b.kernel * each for _, b, _, _ in here}.values())
        if encoding.crossbar:
            bits = len(sources) * len(members) * each
        count.synapse_bits.append(bits)
    trees = trees_of(mapping.routes)
    for source in range(network.sources):
        rate = int(network.rate[source])
        own_part = {part[source]} if source < network.neurons else set()
        count.packets += rate * len(reached[source] - own_part)
        if not reached[source]:
            continue
        origin, links, sinks = trees[mapping.routes.of[source]]
        parent = {b: a for a, b in links}
        passed = Counter[tuple[int, int]]()
        for core in sinks:
            router = core // m.cores_per_router
            while router != origin:
                passed[parent[router], router] += 1
                router = parent[router]
        for (a, b), copies in passed.items():
            packets = rate * (1 if m.multicast else copies)
            count.load[a, b] += packets
            crosses = m.topology != "tree" and m.chip_of(a) != m.chip_of(b)
            count.hops += packets * (m.chip_link.value if crosses and m.chip_link else 1)
    return count


def delivers(network: Axons, mapping: Mapping) -> bool:
    """Whether every spike reaches exactly its targets, and the parts and routes are well formed."""
    part, seat, m = mapping.part.tolist(), mapping.seat.tolist(), mapping.machine
    if set(part) != set(range(mapping.parts)) or len(set(seat)) < len(seat):
        return False
    if any(m.place(core // m.cores_per_router) in m.absent for core in seat):
        return False
    joined, trees = links_of(m), trees_of(mapping.routes)
    owners: dict[int, set[int | None]] = defaultdict(set)
    wanted: dict[int, set[int]] = defaultdict(set)
    for source in range(network.sources):
        targets = sorted({seat[part[t]] for _, t, _ in synapses_of(network, source)})
        route = int(mapping.routes.of[source])
        if route < 0 or not targets:
            if targets or route >= 0:
                return False
            continue
        home = part[source] if source < network.neurons else None
        owners[route].add(home)
        wanted[route].update(targets)
        start = m.host if home is None else seat[home] // m.cores_per_router
        if trees[route][0] != start:
            return False
        if mapping.tables is None and trees[route][2] != targets:
            return False
    # Where routers have tables the neurons of a core may share the route to all their targets.
    if any(trees[route][2] != sorted(cores) for route, cores in wanted.items()):
        return False
    if [len(owners[r]) for r in range(len(trees))] != [1] * len(trees):
        return False
    waits = nx.DiGraph()
    for origin, links, sinks in trees:
        seen = {origin}
        for a, b in links:
            if a not in seen or b in seen or b not in joined[a]:
                return False
            seen.add(b)
        leaves = seen - {a for a, _ in links}
        homes = {core // m.cores_per_router for core in sinks}
        if not homes <= seen or (links and not leaves <= homes):
            return False
        waits.add_edges_from((one, two) for one in links for two in links if one[1] == two[0])
    if m.topology == "mesh" and not m.wraps and not nx.is_directed_acyclic_graph(waits):
        return False
    return mapping.tables is None or tables_deliver(mapping)


def tables_deliver(mapping: Mapping) -> bool:
    """Whether every key takes its route, looked up entry by entry."""
    tables, m, joined = mapping.tables, mapping.machine, links_of(mapping.machine)
    assert tables is not None
    rows, trees, keys = rows_of(tables), trees_of(mapping.routes), []
    if any(key & ~mask for row in rows for key, mask, _, _ in row):
        return False  # no key can match
    for source, route in enumerate(mapping.routes.of.tolist()):
        key = int(tables.key[source])
        if route < 0:
            if key:
                return False
            continue
        keys.append(key)
        origin, links, sinks = trees[route]
        taken: list[tuple[int, int]] = []
        reached: list[int] = []
        packets: list[tuple[int, int | None]] = [(origin, None)]
        while packets:
            if len(taken) > len(links):
                return False
            router, heading = packets.pop()
            matches = [entry for entry in rows[router] if key & entry[1] == entry[0]]
            if matches:
                _, _, bits, cores = matches[0]
            elif heading is not None:
                bits, cores = 1 << heading, 0
            else:
                return False
            for i in range(32):
                if cores >> i & 1:
                    if i >= m.cores_per_router:
                        return False
                    reached.append(router * m.cores_per_router + i)
                if bits >> i & 1:
                    if i >= len(joined[router]) or joined[router][i] < 0:
                        return False
                    taken.append((router, joined[router][i]))
                    packets.append((joined[router][i], i))
        if sorted(taken) != sorted(links) or sorted(reached) != sinks:
            return False
    return len(set(keys)) == len(keys)
