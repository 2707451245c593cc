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
