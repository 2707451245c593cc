from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.compiler.mapping.check import neighbours
from spikec.compiler.noc.fabric import Fabric, entrances

from ..mapping.machines import ALL, machine, tree
from .reference import links_of

MESH = machine("mesh", (2, 2), (2, 1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cycle": 0.0}, "cycle is 0.0 s"),
        ({"cycle": float("nan")}, "cycle is nan s"),
        ({"flits": 0}, "flits is 0, 1 below 1"),
        ({"flits": 6}, "buffer holds 4 flits, 2 fewer than the 6 of a packet"),
        ({"chip_hop": 10**9}, "takes 1000000000 cycles: events of so many cycles, of "),
        ({"flits": 2, "buffer": 2 * 65537}, "buffer holds 65537 packets, 2 above 65535"),
        ({"drop_after": 0}, "drop_after is 0, 1 below 1"),
        ({"hop_x": 0}, "hop_x is 0 cycles, 1 below 1"),
        ({"chip_gap": -2}, "chip_gap is -2 cycles, 3 below 1"),
        ({"machine": machine("mesh", cores=62)}, "has 67 ports, 5 above 62"),
    ],
)
def test_what_is_out_of_range_is_said(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        replace(Fabric(MESH, 1e-9), **change)


def test_times_of_links_by_direction_and_chip() -> None:
    f = Fabric(MESH, 1e-9, flits=2, hop_x=3, hop_y=5, chip_hop=40, gap=2, chip_gap=7)
    hops, spans = f.hops().reshape(-1, 4), f.spans().reshape(-1, 4)
    # Links east, north, west, south of the routers 0, 1 | 2, 3 of the first row.
    assert hops[0].tolist()[:2] == [3, 5]
    assert hops[1].tolist()[:3] == [40, 5, 3]
    assert hops[2].tolist()[:3] == [3, 5, 40]
    assert spans[1].tolist()[:3] == [14, 4, 4]


def test_diagonals_take_the_longer_and_trees_the_first() -> None:
    f = Fabric(machine("triads", (2, 2)), 1e-9, hop_x=3, hop_y=5)
    assert f.hops().reshape(-1, 6)[0, :3].tolist() == [3, 5, 5]
    f = Fabric(tree(2, 2), 1e-9, hop_x=3, hop_y=5, chip_hop=9)
    assert set(f.hops().tolist()) == {3}


@pytest.mark.parametrize("name", ALL)
def test_links_enter_by_the_port_that_leads_back(name: str) -> None:
    m = ALL[name]
    entrance = entrances(m)
    degree = neighbours(m).shape[1]
    found = {
        divmod(k, degree): divmod(port, degree)
        for k, port in enumerate(entrance.tolist())
        if port >= 0
    }
    assert found == links_of(m)
    used = entrance[entrance >= 0]
    assert np.unique(used).size == used.size


def test_scaled() -> None:
    f = Fabric(MESH, 2e-9, hop_x=3, hop_y=4, chip_hop=10, eject=2)
    twice = f.scaled(2)
    assert (twice.hop_x, twice.hop_y, twice.chip_hop, twice.eject) == (6, 8, 20, 2)
    less = f.scaled(0.2)
    assert (less.hop_x, less.hop_y, less.chip_hop) == (1, 1, 2)
    assert f.scaled(0) == Fabric.ideal(MESH, 2e-9)
    assert f.scaled(0).scaled(3) == f.scaled(0)
    with pytest.raises(ValueError, match="scaled by -1"):
        f.scaled(-1)


def test_ideal() -> None:
    assert Fabric.ideal(MESH).instant
    assert not Fabric(MESH, 1.0).instant
    with pytest.raises(ValueError, match="hop_x is 0"):
        replace(Fabric.ideal(MESH), eject=1)
