"""Every count equals one made spike by spike, on every kind of machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.boards.chip import load_chip
from spikec.boards.costs import CORE_COUNTS, MACHINE_COUNTS
from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.profile.count import count, spikes_of
from spikec.compiler.profile.reach import reach
from spikec.ir.events import Events

from ..mapping.nets import network
from ..mapping.simple import machine
from .nets import random_part, random_spikes, seated, spikes
from .recount import recount

MACHINES = {
    "mesh": machine("mesh", (4, 3), cores=2),
    "unicast": machine("mesh", (4, 3), cores=2, multicast=False),
    "chips": machine("mesh", (2, 2), chips=(2, 2), cores=2, multicast=False),
    "torus": machine("torus", (4, 4), cores=1),
    "triads": machine("triads", (4, 4), cores=2, wraps=True),
    "ring": machine("ring", (9, 1), cores=2),
    "tree": machine("tree", (8, 1), cores=2, arity=(2, 4)),
}


@pytest.mark.parametrize("kind", MACHINES)
@settings(max_examples=15)
@given(st.integers(0, 2**20))
def test_counts_equal_those_made_spike_by_spike(kind: str, seed: int) -> None:
    axons, m = network(seed, neurons=40, lines=6), MACHINES[kind]
    mapping = seated(axons, m, random_part(axons, 7, seed), seed)
    sent = random_spikes(axons, 5, seed)
    known = reach(axons, mapping)
    counts = count(known, sent)
    wanted = recount(axons, mapping, sent)
    total = counts.totals(known)
    assert set(total) == {*CORE_COUNTS, *MACHINE_COUNTS}
    for name in total:
        if "updates" not in name:
            assert total[name] == wanted["total"][name], name
    assert total["updates"] == 5 * 40
    assert total["quiet_updates"] == 5 * 40 - total["spikes"]
    begin = known.part_ptr[:-1]
    for name in ("spikes", "packets_out", "packets_in", "synaptic_operations"):
        found = getattr(counts, name)
        if name != "packets_in":
            found = np.add.reduceat(found, begin, axis=1)
        for step in range(5):
            for part in range(7):
                assert found[step, part] == wanted["cores"][name][step, part], (name, step, part)
    load = {
        (int(a), int(b)): int(n)
        for a, b, n in zip(known.start, known.end, counts.link_load, strict=True)
        if n
    }
    links = wanted["links"]
    assert load == sum((links[t] for t in range(5)), start=type(links[0])())
    for step in range(5):
        amounts = [*sorted(links[step].values())[::-1], 0, 0]
        assert (counts.busiest[step], counts.second_link[step]) == tuple(amounts[:2])
        which = int(counts.busiest_link[step])
        if which >= 0:
            assert links[step][int(known.start[which]), int(known.end[which])] == amounts[0]
        else:
            assert amounts[0] == 0


def test_cells_are_what_a_core_holds_of_a_population() -> None:
    axons = network(3, neurons=40)
    mapping = seated(axons, MACHINES["mesh"], random_part(axons, 6, 3))
    known = reach(axons, mapping)
    for cell in range(known.cells):
        node = axons.nodes[int(known.cell_node[cell])]
        own = np.flatnonzero(mapping.part == known.cell_part[cell])
        held = own[(own >= node.first) & (own < node.end)]
        assert known.cell_neurons[cell] == held.size > 0
        assert (known.home[held] == cell).all()
    assert (known.home[axons.neurons :] == -1).all()


def test_lines_on_cores_send_but_are_not_updated() -> None:
    """On SpiNNaker inputs take places in cores of their own."""
    m = load_chip("spinnaker1")
    nodes = (Node("a", 0, 4), Node("in", 4, 3, lines=True))
    ptr, target = np.array([0, 4, 8, 12]), np.tile(np.arange(4), 3).astype(np.int32)
    axons = Axons(
        nodes, 7, (Bundle("p", 4, ptr, target, np.array(1, np.int32)),), np.ones(7, np.int64)
    )
    mapping = seated(axons, m, [0, 0, 0, 0, 1, 1, 1])
    known = reach(axons, mapping)
    counts = count(known, spikes(2, [0, 1], [4, 6], [1, 2]))
    total = counts.totals(known)
    assert (total["updates"], total["spikes"]) == (2 * 4, 0)
    assert (total["packets_out"], total["packets_in"], total["host_packets"]) == (3, 3, 0)
    assert total["synaptic_operations"] == 12
    assert known.cell_neurons.tolist() == [4, 0]


def test_a_packet_that_strays_costs_its_core_a_packet_and_nothing_else() -> None:
    """A route may lead to cores where a source of it has no target."""
    axons = network(5, neurons=20, lines=0)
    mapping = seated(axons, MACHINES["mesh"], random_part(axons, 4, 5))
    routes = mapping.routes
    longest = int(np.diff(routes.sink_ptr).argmax())
    home = mapping.seat[mapping.part] // 2
    takes = next(
        int(s) for s in np.flatnonzero((home == routes.origin[longest]) & (routes.of != longest))
    )
    of = routes.of.copy()
    of[takes] = longest
    wrong = replace(mapping, routes=replace(routes, of=of))
    one = spikes(1, [0], [takes], [1])
    known = reach(axons, wrong)
    total = count(known, one).totals(known)
    wanted = recount(axons, wrong, one)["total"]
    for name in ("synaptic_operations", "packets_in", "packets_out", "hops", "near_packets"):
        assert total[name] == wanted[name], name


def test_spikes_of_recordings_are_in_order_and_by_sample() -> None:
    axons = network(1, neurons=10, lines=3)
    a = Events.from_events(2, 4, 5, [0, 0, 1], [3, 0, 2], [1, 4, 0])
    lines = Events.from_events(2, 4, 3, [0, 1], [0, 2], [2, 1], [3, -2])
    first, second = spikes_of(axons, {"a": a, "in": lines}, 4)
    assert first.step.tolist() == [0, 0, 3]
    assert first.source.tolist() == [4, 12, 1]
    assert first.count.tolist() == [1, 3, 1]
    assert second.source.tolist() == [0, 11]
    assert second.count.tolist() == [1, 2]
    assert not list(spikes_of(axons, {}, 4))


def test_nothing_that_spikes_costs_updates_only() -> None:
    axons, m = network(2), MACHINES["mesh"]
    mapping = seated(axons, m, random_part(axons, 5, 2))
    known = reach(axons, mapping)
    counts = count(known, spikes(3, [], [], []))
    total = counts.totals(known)
    assert {name for name, n in total.items() if n} == {"updates", "quiet_updates"}
    assert (counts.busiest_link == -1).all() and not counts.path.any()
