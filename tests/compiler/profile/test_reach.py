"""Ways and directions of routes, and what a spike of each source reaches."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.boards.chip import load_chip
from spikec.compiler.profile.reach import directions, paths, reach

from ..mapping.nets import network
from ..mapping.simple import machine
from .nets import priced, random_part, seated
from .recount import ways
from .test_count import MACHINES


@pytest.mark.parametrize("kind", [k for k in MACHINES if k != "tree"])
def test_the_longest_way_is_that_of_the_farthest_core(kind: str) -> None:
    m = priced(MACHINES[kind])
    axons = network(4, neurons=40)
    mapping = seated(axons, m, random_part(axons, 9, 4), 4)
    found = paths(mapping.routes, m)
    for route in range(mapping.routes.count):
        longest = 0
        for way in ways(mapping, route).values():
            cycles = 0
            for a, b in way:
                (x, _), (u, _) = m.place(a), m.place(b)
                if m.chip_of(a) != m.chip_of(b):
                    cycles += 20
                else:
                    y_too = m.place(a)[1] != m.place(b)[1]
                    cycles += 5 if y_too else 3
                    assert y_too or x != u
            longest = max(longest, cycles)
        # Into the first router and out of the last; a link is taken for longer than a core.
        assert found[route] == longest + 1 + (2 if longest else 1)


def test_a_way_on_loihi_is_what_its_designers_say() -> None:
    m = load_chip("loihi1")
    net = m.interconnect
    assert net is not None
    x, y = net.hop_x.value * net.cycle_time.value, net.hop_y.value * net.cycle_time.value
    assert x == pytest.approx(m.costs["hop_x_time"].value, rel=0.02)
    assert y == pytest.approx(m.costs["hop_y_time"].value, rel=0.02)
    near = (net.inject.value + net.eject.value) * net.cycle_time.value
    assert near == pytest.approx(m.costs["local_spike_time"].value, rel=0.04)


def test_machines_without_an_interconnect_have_no_ways() -> None:
    axons = network(4)
    mapping = seated(axons, MACHINES["mesh"], random_part(axons, 5, 4))
    assert not reach(axons, mapping).path.any()


def test_links_that_wrap_stay_on_their_chip() -> None:
    m = machine("torus", (4, 4))
    x, y, between = directions(m, np.array([0, 0, 3], np.int32), np.array([3, 12, 0], np.int32))
    assert x.tolist() == [True, False, True]
    assert y.tolist() == [False, True, False]
    assert not between.any()
