"""Networks whose sources reach nearly every core: little to save, and nothing to wait for."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.boards.chip import load_chip
from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.map import map_network


def scattered(n: int, fan_out: int) -> Axons:
    """n sources onto n neurons, at random."""
    target = np.random.default_rng(20).integers(0, n, n * fan_out).astype(np.int32)
    ptr = np.arange(0, n * fan_out + 1, fan_out)
    bundle = Bundle("all", n, ptr, target, np.asarray(1, np.int32))
    nodes = (Node("cells", 0, n), Node("stim", n, n, lines=True))
    return Axons(nodes, 2 * n, (bundle,), np.ones(2 * n, np.int64), weight_bits=16)


@pytest.mark.parametrize("effort", [0, 1])
def test_thousands_of_sets_of_targets_take_one_route_a_core(effort: int) -> None:
    axons = scattered(10_000, 100)
    mapped = map_network(axons, load_chip("spinnaker1-board"), effort=effort)
    usage = mapped.checked.usage
    assert mapped.mapping.routes.count == 20 == mapped.mapping.parts - 40
    # Of the packets that arrive a few are for no one in their core.
    assert 0 < usage.strays <= 0.2 * usage.packets
    # One for each router that packets come to, as all routes go on together.
    assert usage.table_entries.sum() == 4


@pytest.mark.parametrize("effort", [0, 1])
def test_a_route_a_core_where_next_to_no_packets_are_lost(effort: int) -> None:
    axons = scattered(5000, 100)
    mapped = map_network(axons, load_chip("spinnaker1-board"), effort=effort)
    usage = mapped.checked.usage
    assert mapped.mapping.routes.count == 10
    assert 0 < usage.strays <= 0.02 * usage.packets
    assert usage.table_entries.sum() <= 10


def test_where_few_cores_are_reached_each_set_keeps_its_route() -> None:
    axons = scattered(4000, 2)
    mapped = map_network(axons, load_chip("spinnaker1-board"), effort=0)
    assert mapped.checked.usage.strays == 0
    assert mapped.mapping.routes.count > mapped.mapping.parts - 16


def test_sets_of_targets_that_no_table_can_tell_apart_are_given_up_at_once() -> None:
    # Far too many to be told apart by any tables; nearly half of the packets are then for nobody.
    axons = scattered(20_000, 100)
    mapped = map_network(axons, load_chip("spinnaker1-board"), effort=0)
    assert mapped.mapping.routes.count == 40
    assert mapped.checked.usage.strays > 0.2 * mapped.checked.usage.packets
