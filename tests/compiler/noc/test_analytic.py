from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.noc.analytic import Error, error, estimate
from spikec.compiler.noc.cycle import Network
from spikec.compiler.noc.fabric import Fabric
from spikec.compiler.noc.packets import Arrivals, Packets

from ..mapping.machines import machine
from .cases import SMALL, Case, case, cases
from .test_cycle import line_of, lone, simulate


def guess(c: Case, window: int | None = None) -> Arrivals:
    return estimate(c.fabric, c.ways, c.packets, window)


def mesh(load: float, multicast: bool = False, seed: int = 1, **fabric: Any) -> Case:
    """A mesh of 6 x 6 with even traffic, its busiest link at about the load."""
    m = machine("mesh", (6, 6), cores=2, multicast=multicast)
    c = case(m, seed, 30_000, 1, most=4, **fabric)
    rng = np.random.default_rng(seed)
    _, network = simulate(replace(c, fabric=replace(c.fabric, buffer=10**4)))
    span = round(network.use().busy.max() / load)
    time = np.sort(rng.integers(0, span, c.packets.count))
    return replace(c, packets=Packets(time, c.packets.route, c.packets.core))


@pytest.mark.parametrize("multicast", [False, True])
@pytest.mark.parametrize(
    "fabric",
    [{}, {"hop_x": 3, "hop_y": 2, "inject": 2, "eject": 3}, {"flits": 2, "gap": 2, "buffer": 8}],
)
@pytest.mark.parametrize("load", [0.05, 0.15, 0.3])
def test_mean_latency_is_close_below_saturation(
    load: float, fabric: dict[str, Any], multicast: bool
) -> None:
    c = mesh(load, multicast, **fabric)
    found = error(simulate(c)[0], guess(c))
    assert abs(found.mean) < 0.1
    assert found.copy < 0.25


@settings(max_examples=60, deadline=None)
@given(cases(drops=False, spikes=60), st.sampled_from([None, 1, 7, 100]))
def test_every_copy_arrives_no_sooner_than_alone(c: Case, window: int | None) -> None:
    """In no order of packets of a core, however: each waits for the mean."""
    found = guess(c, window)
    arrivals, _ = simulate(c)
    pairs = [
        sorted(zip(a.packet.tolist(), a.core.tolist(), a.sent.tolist(), strict=True))
        for a in (found, arrivals)
    ]
    assert pairs[0] == pairs[1]
    assert found.drops.count == 0
    for packet, core, late in zip(
        found.packet.tolist(), found.core.tolist(), found.latency.tolist(), strict=True
    ):
        assert late >= lone(c, int(c.packets.route[packet]), core)
    keys = list(zip(found.time.tolist(), found.core.tolist(), found.packet.tolist(), strict=True))
    assert keys == sorted(keys)


@settings(max_examples=40, deadline=None)
@given(cases(drops=False, spikes=0), st.integers(0, 11))
def test_a_lone_packet_is_exact(c: Case, r: int) -> None:
    first = int(c.routes.origin[r]) * c.fabric.machine.cores_per_router
    core = -1 if c.routes.origin[r] == c.fabric.machine.host else first
    # The window is so long that the packet meets nobody, not even on average.
    c = replace(c, packets=Packets.of([5], [r], [core]))
    sinks = c.routes.sink[c.routes.sink_ptr[r] : c.routes.sink_ptr[r + 1]]
    if c.fabric.machine.multicast or sinks.size == 1:
        found = guess(c, 10**6)
        assert {s: lone(c, r, s) for s in sinks.tolist()} == dict(
            zip(found.core.tolist(), found.latency.tolist(), strict=True)
        )
        assert found == simulate(c)[0]


def test_a_line_of_a_core_is_followed_packet_by_packet() -> None:
    """Bursts of a core alone: nothing else is in the way, so the estimate is the simulation."""
    m = machine("mesh", (4, 1), multicast=True)
    f = Fabric(m, 1e-9, flits=2, gap=3, buffer=40, hop_x=2)
    packets = Packets.of(np.repeat([0, 1000, 5000], 5), np.zeros(15, int), np.zeros(15, int))
    c = Case(f, line_of([[0, 1, 2, 3]], [[3]]), packets)
    assert guess(c, 10**6) == simulate(c)[0]


# -- the formulas, by hand -----------------------------------------------------------------------


def latencies(c: Case, window: int | None = None) -> list[int]:
    """Of the estimate, in the order of packets."""
    found = guess(c, window)
    latency: list[int] = found.latency[np.argsort(found.packet)].tolist()
    return latency


def test_the_wait_for_a_link_by_hand() -> None:
    """Cores 0, 1 and 2 send to core 3 over a link that packets take for S = 160 cycles.

    In a window of W = 1280 cycles 4 packets are a load of rho = 1/2, and
    w = rho S / (2 (1 - rho)) (1 - sum p^2) = 80 (1 - sum p^2) cycles:

    - all of one core: w = 0
    - three and one: 1 - (9 + 1) / 16 = 3/8, w = 30
    - two and two: 1 - 1/2 = 1/2, w = 40
    - two, one and one: 1 - (4 + 1 + 1) / 16 = 5/8, w = 50

    A copy takes inject + hop + w + S. No packet is the second of a line: they are sent 300 apart.
    """
    m = machine("mesh", (2, 1), cores=3)
    routes = line_of([[0, 1]] * 3, [[3]] * 3)
    for cores, wait in (
        ([0, 0, 0, 0], 0),
        ([0, 0, 1, 0], 30),
        ([1, 0, 0, 1], 40),
        ([1, 0, 2, 1], 50),
    ):
        packets = Packets.of([0, 300, 600, 900], cores, cores)
        c = Case(Fabric(m, 1e-9, gap=160), routes, packets)
        assert latencies(c, 1280) == [1 + 1 + wait + 160] * 4
    # A packet that is alone in its window waits for none.
    assert latencies(c, 300) == [162] * 4


def test_a_wait_is_no_longer_than_the_turns_of_the_others() -> None:
    """Two cores, S = 100: in W = 250 cycles 2 packets are a load of 0.8, and w is
    0.8 * 100 / (2 * 0.2) / 2 = 100 cycles. In W = 200 the load is 1, which counts as 0.95. That
    would be 475, but no more than one packet goes first, which takes 100.
    """
    m = machine("mesh", (2, 1), cores=2)
    routes = line_of([[0, 1]] * 2, [[2]] * 2)
    f = Fabric(m, 1e-9, gap=100)
    for window in (250, 200):
        c = Case(f, routes, Packets.of([0, 0], [0, 1], [0, 1]))
        assert latencies(c, window) == [1 + 1 + 100 + 100] * 2


def test_the_wait_behind_the_first_of_a_buffer_by_hand() -> None:
    """Core 0 sends two packets to core 2 over a link that one takes for S_i = 22 cycles; into core
    2 one takes S = 176.

    lambda S = 2 * 176 / W, and W = 1408: 1/4. A core's line has no v.

    - With two packets more from core 3, at the same router, rho = 1/2 and w = S/4 = 44.
      x = 220 cycles, <x^2> = S^2 (1 + 2/4 + 2/16) = 13/8 S^2, lambda x = 5/16 and
      v = (13/32 S - 5/16 S_i) / (2 (11/16)) = (13 S - 10 S_i) / 44 = 52 - 5 = 47.
    - With nobody else w = 0, and v = (S - S_i) / 4 / (2 * 3/4) = 154 / 6, about 25.7.
    - With S_i = 176 they come no faster than they go: v is 0.
    """
    m = machine("mesh", (2, 1), cores=2)
    routes = line_of([[0, 1], [1]], [[2], [2]])
    f = Fabric(m, 1e-9, gap=22, eject=176)
    both = Packets.of([0, 300, 700, 1000], [1, 0, 1, 0], [3, 0, 3, 0])
    near, far = 1 + 44 + 176, 1 + 1 + 47 + 44 + 176
    assert latencies(Case(f, routes, both), 1408) == [near, far, near, far]
    alone = Packets.of([300, 1000], [0, 0], [0, 0])
    assert latencies(Case(f, routes, alone), 1408) == [1 + 1 + 26 + 176] * 2
    f = replace(f, gap=176)
    assert latencies(Case(f, routes, alone), 1408) == [1 + 1 + 176] * 2


@pytest.mark.parametrize("where", ["link", "core"])
def test_a_backlog_by_hand(where: str) -> None:
    """Cores 0 and 1 each send every 200 cycles what takes a link, or the port to core 2, for 100.

    That is a load of 1, in waits 0.95, and w = 100: the other core's packet goes first. No line of
    a core grows, as a packet holds it for 200. The backlog grows by 1 / 0.8 - 1 = 1/4 cycle a
    cycle, to 100 in a window of 400 cycles; from then on two packets in a window are a load of 1/2,
    and work off 1 - 1/2 / 0.8 = 3/8 a cycle, one works off 1 - 1/4 / 0.8 = 11/16.
    """
    m = machine("mesh", (2, 1), cores=3)
    if where == "link":
        f, routes, alone = Fabric(m, 1e-9, gap=100), line_of([[0, 1]] * 2, [[3]] * 2), 1 + 1 + 100
    else:
        f, routes, alone = Fabric(m, 1e-9, eject=100), line_of([[0]] * 2, [[2]] * 2), 1 + 100
    time = np.repeat(np.arange(0, 1600, 200), 2)
    cores = [*np.tile([0, 1], 8), 0, 0, 0, 0]
    packets = Packets.of([*time, 1600, 1990, 2000, 2400], cores, cores)
    within, behind = 400 - 390 * 3 / 8, 400 - 400 * 3 / 8
    late = [*(100 + time // 4).tolist(), 400, within, behind, max(behind - 400 * 11 / 16, 0)]
    assert latencies(Case(f, routes, packets), 400) == [round(alone + x) for x in late]


def test_what_has_stood_in_line_finds_the_rest_of_the_backlog() -> None:
    """A core sends every 50 cycles what takes 100: the packet k of its line stands for 50 k.

    The load is 2, the backlog grows by 2 / 0.8 - 1 = 3/2 a cycle: it is 75 k, less the 50 k.
    """
    m = machine("mesh", (2, 1))
    k = np.arange(8)
    packets = Packets.of(50 * k, 0 * k, 0 * k)
    c = Case(Fabric(m, 1e-9, gap=100), line_of([[0, 1]], [[1]]), packets)
    assert latencies(c, 400) == (1 + 1 + 100 + 50 * k + 25 * k).tolist()


def test_overload_piles_up() -> None:
    """Two cores send at 0.6 each over one link: the simulation waits, the estimate too."""
    m = machine("mesh", (3, 1), cores=2, multicast=True)
    f = Fabric(m, 1e-9, buffer=4)
    routes = line_of([[1, 2], [1, 2]], [[4], [5]])
    rng = np.random.default_rng(0)
    time = np.sort(rng.integers(0, 10_000, 12_000))
    which = rng.integers(0, 2, 12_000)
    c = Case(f, routes, Packets.of(time, which, which + 2))
    arrivals, _ = simulate(c)
    for window in (None, 1000):
        found = guess(c, window)
        assert 0.5 < found.latency.mean() / arrivals.latency.mean() < 3
    # Long after the overload nothing waits any more.
    late = np.append(time, 60_000)
    c = replace(c, packets=Packets.of(late, np.append(which, 0), np.append(which, 0) + 2))
    found = guess(c, 1000)
    assert found.latency[found.packet == 12_000].tolist() == [lone(c, 0, 4)]


def test_windows_tell_bursts_from_silence() -> None:
    c = mesh(0.3, seed=2)
    # The same packets, then ten times as long nothing, then one packet.
    p, span = c.packets, int(c.packets.time[-1])
    time = np.append(p.time, 10 * span)
    c = replace(
        c, packets=Packets(time, np.append(p.route, p.route[0]), np.append(p.core, p.core[0]))
    )
    arrivals, _ = simulate(c)
    whole, parts = (error(arrivals, guess(c, window)) for window in (None, span + 1))
    assert abs(parts.mean) < 0.1
    assert abs(parts.mean) < abs(whole.mean)


def test_without_latency_and_without_packets() -> None:
    c = case(SMALL["mesh"], 3, 20, 9)
    instant = replace(c, fabric=Fabric.ideal(c.fabric.machine))
    assert guess(instant) == simulate(instant)[0]
    none = replace(c, packets=Packets.of([], [], []))
    assert guess(none).count == 0
    assert error(guess(none), guess(none)) == Error(0.0, 0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="window is 0 cycles, 1 below 1"):
        guess(c, 0)


def test_errors_by_hand() -> None:
    nothing = np.zeros((4, 0), np.int64)
    # Rows (packet, core, cycle, cycle sent); latencies 4, 8 and 5, 6 of the same copies.
    truth = Arrivals.of(np.array([(0, 1, 4, 0), (0, 2, 9, 1)]).T, nothing)
    other = Arrivals.of(np.array([(0, 2, 7, 1), (0, 1, 5, 0)]).T, nothing)
    found = error(truth, other)
    assert found.mean == pytest.approx(11 / 12 - 1)
    assert found.copy == pytest.approx(0.25)
    assert found.most == pytest.approx(0.25)
    assert error(truth, truth) == Error(0.0, 0.0, 0.0, 0.0)


def test_copies_that_were_dropped_are_left_out_of_the_error() -> None:
    c = case(SMALL["ring"], 5, 60, 5, drop_after=3)
    network = Network(c.fabric, c.ways)
    network.send(c.packets)
    arrivals = network.run()
    assert arrivals.drops.count
    found = error(arrivals, guess(c))
    assert np.isfinite([found.mean, found.copy, found.q95, found.most]).all()
