from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.boards.machine import Machine
from spikec.compiler.mapping.map import map_network
from spikec.compiler.mapping.mapping import Routes
from spikec.compiler.mapping.route import link_load
from spikec.compiler.noc._kernels import AHEAD
from spikec.compiler.noc.cycle import Network
from spikec.compiler.noc.fabric import Fabric
from spikec.compiler.noc.packets import Arrivals, Copies, Packets
from spikec.compiler.noc.trees import Ways
from spikec.ir.diagnostics import SpikecError

from ..mapping.machines import loihi, machine, quantity, spinnaker
from ..mapping.nets import network
from .cases import SMALL, Case, case, cases
from .reference import Row, Simulator, tree_of


def rows(copies: Copies) -> list[Row]:
    columns = (copies.packet, copies.core, copies.time, copies.sent)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def simulate(c: Case) -> tuple[Arrivals, Network]:
    network = Network(c.fabric, c.ways)
    network.send(c.packets)
    return network.run(), network


def line_of(ends: list[list[int]], sinks: list[list[int]]) -> Routes:
    """Routes that go from router to router: ``ends`` has those of each, the origin first."""
    ptr = np.concatenate([[0], np.cumsum([len(e) - 1 for e in ends])])
    sink_ptr = np.concatenate([[0], np.cumsum([len(s) for s in sinks])])
    return Routes(
        np.arange(len(ends), dtype=np.int32),
        np.array([e[0] for e in ends], np.int32),
        ptr,
        np.array([a for e in ends for a in e[:-1]], np.int32),
        np.array([b for e in ends for b in e[1:]], np.int32),
        sink_ptr,
        np.array([core for s in sinks for core in s], np.int32),
    )


def star_of(ends: list[list[int]], sinks: list[list[int]]) -> Routes:
    """Routes that go from the first of ``ends`` to each of the others, over one link."""
    routes = line_of(ends, sinks)
    return replace(routes, start=np.repeat(routes.origin, np.diff(routes.link_ptr)))


def used(network: Network) -> list[list[int]]:
    """Flits, busy cycles, stalls and peak of each link."""
    use = network.use()
    return [each.tolist() for each in (use.flits, use.busy, use.stall, use.peak)]


def counted(simulator: Simulator) -> list[list[int]]:
    """The same by the plain simulation."""
    degree = simulator.f.degree
    links = [link for link in sorted(simulator.links) if link[1] < degree]
    every = (simulator.flits, simulator.busy, simulator.stall, simulator.peak)
    return [[each.get(link, 0) for link in links] for each in every]


# -- by hand -------------------------------------------------------------------------------------


def test_two_flows_over_one_link_by_hand() -> None:
    """Routers 0 1 below 2 3. Flow A goes 0 -> 1 -> 3, flow B 1 -> 3, packets of two flits.

    A buffer holds one packet (2 flits), a hop takes 2 cycles, a link 2, a core's port out 3. At
    router 1 A comes in by port 2 (from the west), B by port 4 (the core); port 5 is the host's.

    cycle  what happens                                            link 0->1  link 1->3
        1  A0 in at 0, granted until 3, is at 1 in 3, tail 5       A0
        2  B0 in at 1, granted until 4, is at 3 in 4, tail 6       A0         B0
        3  A1 first at 0: buffer at 1 is A0's. A0 at 1: link taken  -         B0
        4  B1 first at 1: buffer at 3 is B0's, like for A0          -          -
           B0 to core 3 until 7 (3 cycles; the tail is in at 6)
        7  B0 HAS ARRIVED. Asked from port 5 on: A0 before B1       -         A0, until 9
        9  A0 left 1: A1 granted until 11. A0 to core until 12     A1          -
       11  A1 at 1; A2 first at 0, buffer at 1 is A1's              -          -
       12  A0 HAS ARRIVED. Asked from port 3 on: B1 before A1       -         B1, until 14
       14  B1 to core until 17                                      -          -
       17  B1 HAS ARRIVED. A1 alone                                 -         A1, until 19
       19  A1 left 1: A2 granted until 21. A1 to core until 22     A2          -
       21  A2 at 1, tail 23; buffer at 3 is A1's                    -          -
       22  A1 HAS ARRIVED. A2 until 24                              -         A2
       24  A2 to core until 27
       27  A2 HAS ARRIVED
    """
    m = machine("mesh", (2, 2), multicast=True)
    f = Fabric(m, 1e-9, flits=2, buffer=2, hop_x=2, hop_y=2, eject=3)
    routes = line_of([[0, 1, 3], [1, 3]], [[3], [3]])
    a, b = 0, 1
    packets = Packets.of(
        np.array([0, 0, 0, 1, 1]), np.array([a, a, a, b, b]), np.array([0, 0, 0, 1, 1])
    )
    arrivals, network = simulate(Case(f, routes, packets))
    a0, a1, a2, b0, b1 = range(5)
    assert arrivals.packet.tolist() == [b0, a0, b1, a1, a2]
    assert arrivals.time.tolist() == [7, 12, 17, 22, 27]
    assert arrivals.sent.tolist() == [1, 0, 1, 0, 0]
    assert set(arrivals.core.tolist()) == {3}
    use = network.use()
    at = {(int(s), int(e)): k for k, (s, e) in enumerate(zip(use.start, use.end, strict=True))}
    first, second = at[0, 1], at[1, 3]
    assert use.flits[[first, second]].tolist() == [6, 10]
    assert use.busy[[first, second]].tolist() == [6, 10]
    # A1 waits in 3 .. 8, A2 in 11 .. 18; somebody for the second link in 3 .. 16 and in 21.
    assert use.stall[[first, second]].tolist() == [6 + 8, 14 + 1]
    assert use.peak[[first, second]].tolist() == [2, 2]
    assert use.flits.sum() == 16


def test_each_branch_leaves_when_it_can_by_hand() -> None:
    """Core 0 sends M to cores 1 and 2 of routers 1 and 2; router 0 is between them, on a line
    1 0 2 of three routers numbered 0 1 2, so that M starts at router 1 and goes both ways.

    The east link is taken by X when M comes: X is granted in cycle 1 for gap = 4 cycles, until 5.
    M is ready in 2: west granted at once, east in 5. The place in the line is free in 9, and N,
    which is for the core in the west only, goes then and not in 6, when the west link is free.
    """
    m = machine("mesh", (3, 1), cores=2, multicast=True)
    f = Fabric(m, 1e-9, hop_x=2, gap=4)
    routes = Routes(
        np.arange(3, dtype=np.int32),
        np.array([1, 1, 1], np.int32),
        np.array([0, 1, 3, 4]),
        np.array([1, 1, 1, 1], np.int32),
        np.array([2, 0, 2, 0], np.int32),
        np.array([0, 1, 3, 4]),
        np.array([4, 0, 4, 0], np.int32),
    )
    x, both, n = range(3)
    packets = Packets.of(np.array([0, 1, 1]), np.array([x, both, n]), np.array([3, 2, 2]))
    arrivals, _ = simulate(Case(f, routes, packets))
    # The tail is in four cycles after the head.
    assert rows(arrivals) == [
        (x, 4, 1 + 2 + 4, 0),
        (both, 0, 2 + 2 + 4, 1),
        (both, 4, 5 + 2 + 4, 1),
        (n, 0, 9 + 2 + 4, 1),
    ]


@pytest.mark.parametrize("hops", range(6))
@pytest.mark.parametrize("multicast", [False, True])
def test_a_line_in_closed_form(hops: int, multicast: bool) -> None:
    m = machine("mesh", (6, 1), cores=2, multicast=multicast)
    f = Fabric(m, 1e-9, flits=3, buffer=3, hop_x=5, gap=2, inject=4, eject=3)
    routes = line_of([list(range(hops + 1))], [[2 * hops + 1]])
    arrivals, _ = simulate(Case(f, routes, Packets.of(np.array([7]), [0], [0])))
    tail = 6 if hops else 0
    assert arrivals.latency.tolist() == [4 + 5 * hops + max(3, tail)]


def test_a_saturated_line_delivers_at_the_rate_of_its_slowest_part() -> None:
    m = machine("mesh", (4, 1), multicast=True)
    routes = line_of([[0, 1, 2, 3]], [[3]])
    for change, period in (({"gap": 3}, 6), ({"eject": 7}, 7), ({"inject": 9}, 9)):
        f = replace(Fabric(m, 1e-9, flits=2, buffer=8, hop_x=4), **change)  # type: ignore[arg-type]
        zero = np.zeros(50, np.int64)
        arrivals, _ = simulate(Case(f, routes, Packets.of(zero, zero, zero)))
        assert set(np.diff(arrivals.time).tolist()) == {period}


@pytest.mark.parametrize("multicast", [False, True])
def test_a_line_is_without_end_and_a_buffer_as_long_as_it_says(multicast: bool) -> None:
    m = machine("mesh", (2, 1), multicast=multicast)
    routes = line_of([[0, 1]], [[1]])
    f = Fabric(m, 1e-9, buffer=65535, eject=2)
    spikes = 140_000
    zero = np.zeros(spikes, np.int64)
    arrivals, network = simulate(Case(f, routes, Packets.of(zero, zero, zero)))
    # One a cycle comes in, every other cycle one goes out: until the buffer is full.
    assert arrivals.time.tolist() == list(range(4, 4 + 2 * spikes, 2))
    assert network.use().peak.max() == 65535
    assert network.now == arrivals.time[-1] + 1


@pytest.mark.parametrize("multicast", [False, True])
def test_the_line_of_a_core_is_in_the_order_of_time(multicast: bool) -> None:
    """Also where what is sent first is told last."""
    m = machine("mesh", (2, 1), multicast=multicast)
    routes = line_of([[0, 1]], [[1]])
    network = Network(Fabric(m, 1e-9, inject=5), Ways.along(routes, m))
    network.send(Packets.of([10, 30], [0, 0], [0, 0], [1, 3]))
    network.send(Packets.of([11, 30], [0, 0], [0, 0], [2, 4]))
    arrivals = network.run()
    assert arrivals.packet.tolist() == [1, 2, 3, 4]
    assert arrivals.time.tolist() == [17, 22, 37, 42]


def test_links_from_chip_to_chip_are_slower_and_hold_the_next_until_the_tail() -> None:
    m = machine("mesh", (2, 1), (2, 1), multicast=True)
    f = Fabric(m, 1e-9, flits=2, buffer=2, hop_x=2, chip_hop=20, chip_gap=10, eject=1)
    routes = line_of([[0, 1, 2, 3]], [[3]])
    arrivals, network = simulate(Case(f, routes, Packets.of([0], [0], [0])))
    # Heads: 1 + 2 + 20 + 2; the tail is 20 behind.
    assert arrivals.time.tolist() == [1 + 2 + 20 + 2 + 20]
    use = network.use()
    assert sorted(use.busy[use.flits > 0].tolist()) == [2, 20, 20]


def test_multicast_takes_each_link_once() -> None:
    m = machine("mesh", (4, 1))
    routes = line_of([[0, 1, 2, 3]], [[1, 2, 3]])
    packets = Packets.of([0], [0], [0])
    one, first = simulate(Case(Fabric(replace(m, multicast=True), 1e-9), routes, packets))
    each, second = simulate(Case(Fabric(m, 1e-9), routes, packets))
    assert first.use().flits.tolist().count(1) == 3
    assert sorted(second.use().flits.tolist())[-3:] == [1, 2, 3]
    assert one.time.tolist() == [3, 4, 5]
    # Packets for 1, 2 and 3 follow each other into the line, each a cycle later.
    assert each.time.tolist() == [3, 5, 7]
    assert one.core.tolist() == each.core.tolist() == [1, 2, 3]


def test_the_host_has_a_port_of_its_own() -> None:
    m = machine("mesh", (2, 1), multicast=True)
    routes = line_of([[0, 1], [0, 1]], [[1], [1]])
    packets = Packets.of([0, 0], np.arange(2), np.array([0, -1]))
    arrivals, _ = simulate(Case(Fabric(m, 1e-9), routes, packets))
    assert rows(arrivals) == [(0, 1, 3, 0), (1, 1, 4, 0)]  # the core's port is asked first


@pytest.mark.parametrize("m", [loihi(2, 1), spinnaker(3, 2)], ids=["loihi", "spinnaker"])
def test_a_mapped_network_sends_a_spike_from_every_source(m: Machine) -> None:
    axons = network(5, neurons=300, lines=20, bundles=4)
    limit = replace(m.core, neurons=quantity(16, "neurons"))
    mapping = map_network(axons, replace(m, core=limit), effort=0).mapping
    source = np.flatnonzero(mapping.routes.of >= 0)
    core = np.full(axons.sources, -1)
    core[: axons.neurons] = mapping.seat[mapping.part]
    taken = mapping.routes.of[source]
    c = Case(
        Fabric(mapping.machine, 1e-9, chip_hop=30, chip_gap=4, buffer=400),
        mapping.routes,
        Packets.of(np.sort(source % 50), taken, core[source], source),
    )
    sent = Network(c.fabric, Ways.of(mapping))
    sent.send(c.packets)
    arrivals = sent.run()
    wanted = [
        (int(s), int(sink))
        for s, r in zip(source, taken, strict=True)
        for sink in mapping.routes.sink[mapping.routes.sink_ptr[r] : mapping.routes.sink_ptr[r + 1]]
    ]
    assert sorted(zip(arrivals.packet.tolist(), arrivals.core.tolist(), strict=True)) == wanted
    assert (core == -1).sum() >= 20 and mapping.parts > 10


# -- lock-up and dropping ------------------------------------------------------------------------


def overfull(**fabric: Any) -> Case:
    """A ring of five, each core sending 8 packets three routers on."""
    m = machine("ring", (5, 1))
    ways = [[(r + k) % 5 for k in range(4)] for r in range(5)]
    routes = line_of(ways, [[(r + 3) % 5] for r in range(5)])
    cores = np.repeat(np.arange(5), 8)
    return Case(Fabric(m, 1e-9, buffer=1, **fabric), routes, Packets.of(cores * 0, cores, cores))


def test_a_full_ring_locks_up_and_is_told() -> None:
    c = overfull()
    network = Network(c.fabric, c.ways)
    network.send(c.packets)
    with pytest.raises(SpikecError) as caught:
        network.run(1000)
    said = caught.value.diagnostics[0]
    assert said.code == "E0325"
    assert "10 packets wait" in said.message
    assert "40 copies have not arrived" in said.message
    assert "routers 0 -> 1 -> 2 -> 3 -> 4 -> 0" in said.message
    simulator = Simulator(c.fabric)
    simulator.run(c.routes, c.packets, 100)
    assert f"in cycle {network.now} " in said.message and network.now < 10
    assert simulator.busy_still and not simulator.arrived


def test_a_lock_up_is_told_while_packets_are_still_to_come() -> None:
    """What is sent later frees no buffer, so nobody has to wait for it to be told."""
    c = overfull()
    cores = np.append(c.packets.core, 2)
    packets = Packets.of(np.append(c.packets.time, 10**6), cores, cores)
    network = Network(c.fabric, c.ways)
    network.send(packets)
    with pytest.raises(SpikecError) as caught:
        network.run(1000)
    said = caught.value.diagnostics[0]
    assert said.code == "E0325"
    assert "10 packets wait" in said.message
    assert "41 copies have not arrived" in said.message
    assert network.now < 10


def test_routers_that_only_lead_to_a_circle_are_not_named() -> None:
    """Routers 0 1 2 above 3 4 5, buffers of one packet. In 1 2 5 4 each sends on around the square,
    three links far; router 0 sends to 5, by way of 1 and 2, and waits for the square. Its link is
    the first that is asked in vain.
    """
    m = machine("mesh", (3, 2))
    square = [1, 2, 5, 4]
    ways = [[square[(k + step) % 4] for step in range(4)] for k in range(4)]
    routes = line_of([[0, 1, 2, 5], *ways], [[5], *([way[-1]] for way in ways)])
    cores = np.repeat([0, *square], 8)
    packets = Packets.of(np.zeros(40, int), np.repeat(np.arange(5), 8), cores)
    network = Network(Fabric(m, 1e-9, buffer=1), Ways.along(routes, m))
    network.send(packets)
    with pytest.raises(SpikecError) as caught:
        network.run()
    said = caught.value.diagnostics[0].message
    assert "in the circle of routers 2 -> 5 -> 4 -> 1 -> 2;" in said
    simulator = Simulator(network.fabric)
    simulator.run(routes, packets, 100)
    assert simulator.busy_still


def test_the_end_is_when_a_dropped_packet_has_left_its_place() -> None:
    """A packet of 4 flits, 5 cycles each, is dropped in cycle 4: the last flit is in at 22.

    Core 0 sends to core 2 over the link, which is free again in 1 + 20 = 21. The head is at router
    1 in 2; core 3 has taken the port to core 2 from 1 to 9, and the packet waits for 2 cycles.
    """
    m = machine("mesh", (2, 1), cores=2)
    f = Fabric(m, 1e-9, flits=4, gap=5, eject=8, drop_after=2)
    routes = line_of([[0, 1], [1]], [[2], [2]])
    arrivals, network = simulate(Case(f, routes, Packets.of([0, 0], [0, 1], [0, 3])))
    assert rows(arrivals) == [(1, 2, 9, 0)]
    assert rows(arrivals.drops) == [(0, 2, 4, 0)]
    assert network.now == 22 + 1


def test_drops_are_by_cycle_core_cycle_sent_and_packet() -> None:
    """Core 0 has the link from cycle 1 to 31. The host's first waits in 1 to 4, its second in 5 to
    8, and so does one that core 1 sent in 4, whose number is smaller.
    """
    m = machine("mesh", (2, 1), cores=2)
    routes = line_of([[0, 1], [0, 1]], [[2], [3]])
    packets = Packets.of([0, 0, 0, 4], [0, 0, 0, 0], [0, -1, -1, 1], [1, 2, 9, 5])
    f = Fabric(m, 1e-9, gap=30, drop_after=3)
    arrivals, _ = simulate(Case(f, routes, packets))
    assert rows(arrivals.drops) == [(2, 2, 4, 0), (9, 2, 8, 0), (5, 2, 8, 4)]
    # The same with all kinds of ties, in no order: (packet, core, cycle, cycle sent).
    wanted = [(9, 1, 4, 0), (7, 1, 4, 2), (8, 1, 4, 2), (0, 2, 4, 0), (3, 0, 5, 1), (1, 0, 5, 4)]
    shuffled = np.array([wanted[k] for k in (4, 1, 5, 3, 0, 2)]).T
    nothing = np.zeros((4, 0), np.int64)
    assert rows(Arrivals.of(shuffled, nothing)) == wanted
    assert rows(Arrivals.of(nothing, shuffled).drops) == wanted


def test_dropping_resolves_it() -> None:
    c = overfull(drop_after=6)
    arrivals, network = simulate(c)
    assert arrivals.drops.count == 40  # all give up in the same cycles, again and again
    cores = c.packets.core
    arrivals, network = simulate(replace(c, packets=Packets.of(cores, cores, cores)))
    assert arrivals.count + arrivals.drops.count == 40
    assert arrivals.drops.count > 0 and arrivals.count > 0
    assert network.copies == 0


def test_buffers_with_room_resolve_it() -> None:
    arrivals, _ = simulate(replace_fabric(overfull(), buffer=12))
    assert arrivals.count == 40


def replace_fabric(c: Case, **change: Any) -> Case:
    return replace(c, fabric=replace(c.fabric, **change))


def test_a_branch_that_is_dropped_takes_all_behind_it_along() -> None:
    m = machine("mesh", (4, 1), cores=2, multicast=True)
    f = Fabric(m, 1e-9, gap=9, drop_after=3)
    routes = line_of([[0, 1], [0, 1, 2, 3]], [[2], [0, 1, 3, 4, 6]])
    packets = Packets.of(np.array([0, 1]), np.arange(2), np.array([0, 1]))
    arrivals, _ = simulate(Case(f, routes, packets))
    # The link is taken from 1 to 10. The second has its own two cores from cycle 2 on, no more.
    assert rows(arrivals) == [(1, 0, 3, 1), (1, 1, 3, 1), (0, 2, 11, 0)]
    assert rows(arrivals.drops) == [(1, 3, 5, 1), (1, 4, 5, 1), (1, 6, 5, 1)]


# -- an instant interconnect, and what is refused ------------------------------------------------


@pytest.mark.parametrize("multicast", [False, True])
def test_without_latency_all_arrive_in_the_cycle_they_were_sent_in(multicast: bool) -> None:
    c = case(replace(SMALL["mesh"], multicast=multicast), 3, 50, 20)
    c = replace(c, fabric=Fabric.ideal(c.fabric.machine))
    network = Network(c.fabric, c.ways)
    network.send(c.packets)
    first, rest = network.run(9), network.run()
    assert (first.time < 9).all() and (rest.time >= 9).all()
    sizes = np.diff(c.routes.sink_ptr)[c.packets.route]
    assert first.count + rest.count == sizes.sum()
    assert not first.latency.any() and not rest.latency.any()
    assert network.copies == 0 and network.now == rest.time.max() + 1
    assert not network.use().flits.any()


def test_what_cannot_be_sent_is_said() -> None:
    m = machine("mesh", (2, 1))
    ways = Ways.along(line_of([[0, 1]], [[1]]), m)
    network = Network(Fabric(m, 1e-9), ways)

    def send(time: list[int], route: list[int], core: list[int]) -> None:
        network.send(Packets.of(np.array(time), np.array(route), np.array(core)))

    for time, route, core, said in (
        ([0], [1], [0], "routes 1 to 1 of 1"),
        ([0], [0], [1], "packet 0 is sent by core 1, which is not at router 0"),
        ([0], [0], [-2], "sent by core -2"),
        ([0, 3, 2], [0, 0, 0], [0, 0, 0], "packet 2 is sent in cycle 2, before .* in 3"),
    ):
        with pytest.raises(ValueError, match=said):
            send(time, route, core)
    network.run(10)
    with pytest.raises(ValueError, match="sent in cycle 7, 3 late"):
        send([7], [0], [0])
    with pytest.raises(ValueError, match="not one length"):
        send([1, 2], [0], [0])
    with pytest.raises(ValueError, match=f"cycle {2**62}, beyond {2**60}"):
        send([2**62], [0], [0])
    with pytest.raises(ValueError, match="interconnect is of"):
        Network(Fabric(replace(m, routers=(3, 1)), 1e-9), ways)
    assert network.copies == 0
    with pytest.raises(ValueError, match="time of packets holds float64, not integers"):
        Packets.of([0.5], [0], [0])
    send([], [], [])
    assert network.run().count == 0


# -- properties ----------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(cases())
def test_equals_a_plain_simulation_of_the_rules(c: Case) -> None:
    simulator = Simulator(c.fabric)
    simulator.run(c.routes, c.packets, 3000)
    if simulator.busy_still:
        with pytest.raises(SpikecError, match="E0325"):
            simulate(c)
        return
    arrivals, network = simulate(c)
    assert rows(arrivals) == sorted(simulator.arrived, key=lambda row: row[2:0:-1])
    wanted = sorted(simulator.dropped, key=lambda row: (row[2], row[1], row[3], row[0]))
    assert rows(arrivals.drops) == wanted
    assert used(network) == counted(simulator)
    assert network.now == simulator.now


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(1, 80))
def test_what_links_were_used_for_is_known_at_any_time(c: Case, cycles: int) -> None:
    """Packets that wait then have waited up to then."""
    simulator = Simulator(c.fabric)
    simulator.run(c.routes, c.packets, cycles)
    network = Network(c.fabric, c.ways)
    network.send(c.packets)
    try:
        arrivals = network.run(cycles)
    except SpikecError:
        # It is told as soon as nothing moves any more, which may be before.
        assert simulator.busy_still
        return
    assert used(network) == counted(simulator)
    assert rows(arrivals) == sorted(simulator.arrived, key=lambda row: row[2:0:-1])
    wanted = sorted(simulator.dropped, key=lambda row: (row[2], row[1], row[3], row[0]))
    assert rows(arrivals.drops) == wanted


@pytest.mark.parametrize("multicast", [False, True])
@pytest.mark.parametrize("change", [{}, {"gap": 2, "eject": 3}, {"drop_after": 6}])
def test_all_ports_have_something_to_do_in_the_same_cycles(
    multicast: bool, change: dict[str, int]
) -> None:
    """On a torus where every core, and the host, sends to all cores of all routers next to its own.

    But for the host's packets all routers do the same in every cycle. The room for events of one
    cycle is looked at after each: what goes beyond it would be among those of the next, unseen.
    """
    m = machine("torus", (3, 3), cores=4, multicast=multicast, host=4)
    routers = np.arange(9)
    ways, sinks = [], []
    for r in routers.tolist():
        x, y = r % 3, r // 3
        near = [(x + 1) % 3 + 3 * y, (x + 2) % 3 + 3 * y]
        near += [x + (y + 1) % 3 * 3, x + (y + 2) % 3 * 3]
        ways.append([r, *near])
        sinks.append([4 * n + k for n in sorted(near) for k in range(4)])
    routes = star_of(ways, sinks)
    each = np.append(np.arange(36), 36)
    route, core = np.append(each[:36] // 4, 4), np.append(each[:36], -1)
    times = [0, 0, 1, 2, 9]
    packets = Packets.of(
        np.repeat(times, each.size), np.tile(route, len(times)), np.tile(core, len(times))
    )
    c = Case(Fabric(m, 1e-9, **change), routes, packets)
    simulator = Simulator(c.fabric)
    simulator.run(routes, packets, 3000)
    assert not simulator.busy_still
    pieces, most = Network(c.fabric, c.ways), 0
    pieces.send(packets)
    for cycle in range(simulator.now):
        pieces.run(cycle)
        events = int(pieces._count.max())
        assert events + AHEAD <= 1 << pieces._form.room
        most = max(most, events)
    ports = pieces.ports.core.size
    assert most > (ports if multicast else ports // 2)
    arrivals, network = simulate(c)
    assert rows(arrivals) == sorted(simulator.arrived, key=lambda row: row[2:0:-1])
    wanted = sorted(simulator.dropped, key=lambda row: (row[2], row[1], row[3], row[0]))
    assert rows(arrivals.drops) == wanted
    assert used(network) == counted(simulator)
    assert network.now == simulator.now


@settings(max_examples=60, deadline=None)
@given(cases(drops=False, spikes=150))
def test_all_flits_arrive_and_links_carry_what_the_routes_say(c: Case) -> None:
    arrivals, network = simulate(c)
    wanted = Counter(
        (packet, core)
        for packet, r in enumerate(c.packets.route.tolist())
        for core in c.routes.sink[c.routes.sink_ptr[r] : c.routes.sink_ptr[r + 1]].tolist()
    )
    assert Counter(zip(arrivals.packet.tolist(), arrivals.core.tolist(), strict=True)) == wanted
    assert arrivals.drops.count == 0 and network.copies == 0
    rate = np.bincount(c.packets.route, minlength=c.routes.count)
    load = link_load(c.routes, c.fabric.machine, rate)
    use = network.use()
    carried = {
        (a, b): n
        for a, b, n in zip(use.start.tolist(), use.end.tolist(), use.flits.tolist(), strict=True)
        if n
    }
    assert carried == {
        (a, b): n * c.fabric.flits
        for a, b, n in zip(
            load.start.tolist(), load.end.tolist(), load.packets.tolist(), strict=True
        )
        if n
    }


@settings(max_examples=60, deadline=None)
@given(cases(drops=True, spikes=150))
def test_what_does_not_arrive_is_dropped(c: Case) -> None:
    arrivals, network = simulate(c)
    sizes = np.diff(c.routes.sink_ptr)[c.packets.route]
    assert arrivals.count + arrivals.drops.count == sizes.sum()
    pairs = [
        (packet, core)
        for copies in (arrivals, arrivals.drops)
        for packet, core in zip(copies.packet.tolist(), copies.core.tolist(), strict=True)
    ]
    assert len(set(pairs)) == len(pairs)
    assert network.copies == 0


def lone(c: Case, r: int, core: int) -> int:
    """Cycles that the only packet of route r takes to a core, from the rules."""
    simulator = Simulator(c.fabric)
    node = tree_of(c.routes, r, c.fabric.machine).only(core)
    cycles, tail = c.fabric.inject, 0
    while not node.cores:
        ((d, child),) = node.children
        hop, gap = simulator.cost(node.router, d)
        cycles, tail = cycles + hop, max(tail, c.fabric.flits * gap)
        node = child
    return cycles + max(c.fabric.eject, tail)


@settings(max_examples=60, deadline=None)
@given(cases(drops=False, spikes=100))
def test_none_is_faster_than_alone_and_none_overtakes(c: Case) -> None:
    arrivals, _ = simulate(c)
    flows = defaultdict(list)
    for packet, core, time, sent in rows(arrivals):
        assert time - sent >= lone(c, int(c.packets.route[packet]), core)
        flows[int(c.packets.core[packet]), int(c.packets.route[packet]), core].append(packet)
    assert all(flow == sorted(flow) for flow in flows.values())


@settings(max_examples=40, deadline=None)
@given(cases(drops=False, spikes=0), st.integers(0, 11), st.integers(1, 5))
def test_a_lone_packet_takes_what_the_closed_form_says(c: Case, r: int, more: int) -> None:
    core = -1 if c.routes.origin[r] == c.fabric.machine.host else None
    if core is None:
        core = int(c.routes.origin[r]) * c.fabric.machine.cores_per_router
    before: dict[int, int] = {}
    sinks = c.routes.sink[c.routes.sink_ptr[r] : c.routes.sink_ptr[r + 1]]
    for fabric in (c.fabric, c.fabric.scaled(more)):
        one = Case(fabric, c.routes, Packets.of(np.array([5]), np.array([r]), np.array([core])))
        arrivals, _ = simulate(one)
        found = dict(zip(arrivals.core.tolist(), arrivals.latency.tolist(), strict=True))
        if fabric.machine.multicast or sinks.size == 1:
            assert found == {s: lone(one, r, s) for s in sinks.tolist()}
        assert all(found[s] >= before.get(s, 0) for s in found)
        before = found


@settings(max_examples=60, deadline=None)
@given(cases(drops=True, spikes=120), st.lists(st.integers(0, 80), max_size=8), st.booleans())
def test_in_pieces_as_at_once(c: Case, cuts: list[int], feed: bool) -> None:
    """Also where packets are sent no earlier than the piece they are sent in."""
    whole, network = simulate(c)
    pieces = Network(c.fabric, c.ways)
    if not feed:
        pieces.send(c.packets)
    found = []
    begin = 0
    for cut in [*sorted(cuts), 81]:
        if feed:
            p = c.packets
            part = (p.time >= begin) & (p.time < cut)
            pieces.send(Packets.of(p.time[part], p.route[part], p.core[part], p.packet[part]))
        begin = cut
        found.append(pieces.run(cut))
        assert (found[-1].time < cut).all()
        assert pieces.now == cut
    found.append(pieces.run())
    assert [row for part in found for row in rows(part)] == rows(whole)
    assert [row for part in found for row in rows(part.drops)] == rows(whole.drops)
    assert pieces.use() == network.use()
    assert pieces.copies == 0


@settings(max_examples=40, deadline=None)
@given(cases(drops=True, spikes=120), st.randoms(use_true_random=False))
def test_order_of_packets_of_different_cores_is_of_no_matter(c: Case, random: Any) -> None:
    p = c.packets
    # A random order at each time, in which the places of each port get its packets as they were.
    order = sorted(range(p.count), key=lambda k: (p.time[k], random.random()))
    port = [(int(core), int(c.routes.origin[r])) for core, r in zip(p.core, p.route, strict=True)]
    places = defaultdict(list)
    for place, packet in enumerate(order):
        places[port[packet]].append(place)
    for at in places.values():
        for place, packet in zip(at, sorted(order[i] for i in at), strict=True):
            order[place] = packet
    other = Packets.of(p.time[order], p.route[order], p.core[order], p.packet[order])
    assert rows(simulate(c)[0]) == rows(simulate(replace(c, packets=other))[0])


def test_equal_input_gives_equal_output() -> None:
    c = case(SMALL["triads-torus"], 8, 200, 30, drop_after=5)
    first, again = simulate(c), simulate(c)
    assert first[0] == again[0]
    assert first[1].use() == again[1].use()


@pytest.mark.parametrize("name", SMALL)
def test_every_topology(name: str) -> None:
    m: Machine = SMALL[name]
    c = case(m, 5, 100, 200, buffer=400)
    arrivals, _ = simulate(c)
    assert arrivals.count == np.diff(c.routes.sink_ptr)[c.packets.route].sum()


def test_without_latency_nothing_comes_from_the_future() -> None:
    """What is sent later may be for an earlier cycle: pieces give what one run does."""
    m = machine("mesh", (2, 1), multicast=True)
    routes = Routes(
        of=np.array([0], np.int32),
        origin=np.array([0], np.int32),
        link_ptr=np.array([0, 1]),
        start=np.array([0], np.int32),
        end=np.array([1], np.int32),
        sink_ptr=np.array([0, 1]),
        sink=np.array([1], np.int32),
    )
    network = Network(Fabric.ideal(m), Ways.along(routes, m))
    network.send(Packets.of([100], [0], [0], [0]))
    assert network.run(50).count == 0
    network.send(Packets.of([60, 70, 130], [0] * 3, [0] * 3, [1, 2, 3]))
    assert network.run(80).sent.tolist() == [60, 70]
    assert network.run(120).sent.tolist() == [100]
    assert network.run().time.tolist() == [130]
