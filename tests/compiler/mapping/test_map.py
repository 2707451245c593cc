"""All stages of a mapping together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikec.boards.chip import load_chip
from spikec.boards.machine import Machine
from spikec.compiler.mapping.axons import Axons, Node
from spikec.compiler.mapping.check import check
from spikec.compiler.mapping.map import map_network
from spikec.ir.diagnostics import Diagnostics, SpikecError

from .recount import delivers, recount
from .simple import axons, bundle, machine, quantity


def strewn(neurons: int, reach: int, seed: int = 1) -> Axons:
    """Each neuron to random others."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice(neurons, reach, replace=False).tolist() for _ in range(neurons)]
    return axons([neurons], 0, [bundle("b", 0, rows)])


def routed(entries: int) -> Machine:
    m = machine("triads", (4, 2), limits={"neurons": 20}, wraps=True)
    return replace(m, routing_entries=quantity(entries, "entries"))


def test_stages_and_what_is_told_of_them() -> None:
    told: list[tuple[str, float]] = []
    found = map_network(strewn(60, 3), routed(1000), progress=lambda s, x: told.append((s, x)))
    stages = ["partition", "traffic", "place", "route", "tables", "check"]
    assert list(found.seconds) == stages and min(found.seconds.values()) >= 0
    assert list(dict.fromkeys(stage for stage, _ in told)) == stages
    for stage in stages:
        shares = [share for name, share in told if name == stage]
        assert shares[0] == 0.0 and shares[-1] == 1.0 and shares == sorted(shares)
    plain = map_network(strewn(60, 3), machine("mesh", (2, 2), limits={"neurons": 20}))
    assert list(plain.seconds) == ["partition", "traffic", "place", "route", "check"]
    assert plain.mapping.tables is None


def test_one_route_a_core_where_tables_overflow() -> None:
    network = strewn(140, 3)
    wide = map_network(network, routed(1000))
    assert wide.mapping.tables is not None
    entries = int(np.diff(wide.mapping.tables.ptr).max())
    assert wide.checked.usage.strays == 0 and wide.mapping.routes.count > wide.mapping.parts
    # An entry less than the fullest router has: every core takes one route.
    tight = map_network(network, routed(entries - 1))
    assert tight.mapping.routes.count == tight.mapping.parts
    assert tight.checked.ok and tight.checked.usage.strays > 0
    with pytest.raises(SpikecError) as caught:
        map_network(network, routed(1))
    assert {d.code for d in caught.value.diagnostics} == {"E0315"}


def test_a_network_without_neurons_is_refused() -> None:
    nothing = Axons((Node("a", 0, 0),), 0, (), np.zeros(0, np.int64))
    with pytest.raises(SpikecError, match="the network has no neurons") as caught:
        map_network(nothing, load_chip("loihi1"))
    assert [d.code for d in caught.value.diagnostics] == ["E0302"]


@pytest.mark.parametrize("effort", [0, 1, 2])
@pytest.mark.parametrize("size", [1, 9])
def test_a_machine_of_one_core(size: int, effort: int) -> None:
    network = axons([size], 1, [bundle("self", 0, [[n] for n in range(size)] + [[0]])])
    found = map_network(network, machine("mesh", (1, 1), limits={"neurons": 9}), effort=effort)
    assert found.mapping.part.tolist() == [0] * size and found.mapping.seat.tolist() == [0]
    assert found.checked.usage.packets == 1  # the line's


def test_lines_from_the_host_enter_where_it_sits() -> None:
    network = axons([12], 3, [bundle("b", 12, [[0, 5], [11], []])], rate=[0] * 12 + [4, 2, 9])
    m = machine("mesh", (3, 3), limits={"neurons": 4}, host=4)
    found = map_network(network, m)
    count = recount(network, found.mapping)
    assert delivers(network, found.mapping)
    routes = found.mapping.routes
    assert [int(routes.origin[r]) for r in routes.of[12:14]] == [4, 4] and routes.of[14] == -1
    assert (found.checked.usage.packets, found.checked.usage.hops) == (count.packets, count.hops)


def test_chips_as_many_as_are_needed() -> None:
    loihi = load_chip("loihi1")
    network = axons([129 * 1024], 0, [])
    assert map_network(axons([128 * 1024], 0, []), loihi, effort=0).mapping.machine.chips == (1, 1)
    found = map_network(network, loihi, effort=0)
    assert found.mapping.machine.chips == (2, 1) and found.mapping.parts == 129


def test_loads_are_warned_of_where_a_window_is_given() -> None:
    m = machine("mesh", (2, 1), limits={"neurons": 4})
    m = replace(m, link_capacity=quantity(1, "packets"))
    # Two groups of four that all lead to each other.
    rows = [[(n + k) % 8 for k in range(1, 8)] for n in range(8)]
    network = axons([8], 0, [bundle("b", 0, rows)], rate=[50] * 8)
    found = Diagnostics()
    mapped = map_network(network, m, window=10, found=found)
    assert [d.code for d in found] == ["W0323"] * len(found) and len(found) > 0
    assert mapped.checked.ok
    quiet = Diagnostics()
    map_network(network, m, found=quiet)
    assert len(quiet) == 0
    assert check(network, mapped.mapping, 10).warnings
