"""Grid arithmetic of machines, and the smallest arrangement of chips that has enough cores."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.boards.chip import load_chip
from spikec.boards.machine import STEPS, CoreLimits, Encoding, Machine, Topology
from spikec.boards.quantity import Quantity

SIZES = st.integers(1, 5)


def quantity(value: float, unit: str = "bits") -> Quantity:
    return Quantity(value, unit, "this test", "recalled")


def machine(
    topology: Topology = "mesh",
    chips: tuple[int, int] = (1, 1),
    routers: tuple[int, int] = (2, 2),
    cores: int = 1,
    absent: frozenset[tuple[int, int]] = frozenset(),
    max_chips: int | None = None,
    core: CoreLimits | None = None,
) -> Machine:
    return Machine(
        "m",
        "a machine",
        topology,
        chips,
        routers,
        cores,
        core or CoreLimits(),
        Encoding(quantity(0), quantity(0)),
        absent=absent,
        max_chips=None if max_chips is None else quantity(max_chips, "chips"),
    )


@given(columns=SIZES, rows=SIZES, across=SIZES, down=SIZES, cores=SIZES, data=st.data())
def test_routers_are_numbered_row_by_row_over_all_chips(
    columns: int, rows: int, across: int, down: int, cores: int, data: st.DataObject
) -> None:
    places = [(x, y) for y in range(rows * down) for x in range(columns * across)]
    absent = data.draw(st.sets(st.sampled_from(places), max_size=len(places) - 1))
    m = machine(
        chips=(columns, rows), routers=(across, down), cores=cores, absent=frozenset(absent)
    )
    assert m.grid == (columns * across, rows * down)
    assert [m.place(r) for r in range(m.router_count)] == places
    for router, (x, y) in enumerate(places):
        column, row = m.chip_of(router)
        assert 0 <= x - column * across < across
        assert 0 <= y - row * down < down
        assert column < columns and row < rows
    assert m.seats == len(places) * cores
    assert m.cores == sum(place not in absent for place in places) * cores
    assert m.cores_per_chip * columns * rows == m.seats


@given(needed=st.integers(-3, 400), most=st.integers(1, 60), across=SIZES, cores=SIZES)
def test_the_smallest_arrangement_is_that_of_a_search(
    needed: int, most: int, across: int, cores: int
) -> None:
    found = machine(routers=(across, 1), cores=cores, max_chips=most).with_cores(needed)
    enough = [
        (columns * rows, -rows, columns)
        for columns in range(1, most + 1)
        for rows in range(1, columns + 1)
        if columns * rows <= most and columns * rows * across * cores >= needed
    ]
    square = [s for s in enough if s[2] + s[1] <= 1]
    wider = [s for s in enough if s[2] <= -2 * s[1]]
    if not square and not wider:
        assert found is None
        return
    assert found is not None
    _, rows, columns = min(square or wider)
    assert found.chips == (columns, -rows)
    assert found.cores >= needed


def test_an_arrangement_that_cannot_grow_is_enough_or_not() -> None:
    board = machine("triads", (2, 2), (1, 1), 16, frozenset({(1, 1)}))
    assert board.with_cores(48) is board
    assert board.with_cores(49) is None
    assert machine(max_chips=768, routers=(8, 4), cores=4).with_cores(128 * 768 + 1) is None


def test_reach_of_the_largest_arrangement_is_kept_to() -> None:
    grown = machine(routers=(64, 64), max_chips=16).with_cores(13 * 4096)
    assert grown is not None
    assert grown.chips == (4, 4)  # 5 x 3 chips have fewer cores, but 320 columns of them


@pytest.mark.parametrize(
    ("topology", "cyclic"), [("mesh", False), ("torus", True), ("ring", True), ("triads", False)]
)
def test_links_wrap_around_by_topology(topology: Topology, cyclic: bool) -> None:
    assert machine(topology).cyclic is cyclic
    assert len(set(STEPS[topology])) == len(STEPS[topology])
    assert all(math.hypot(*step) < 1.5 for step in STEPS[topology])


def test_steps_of_triads_run_opposite_in_the_second_half() -> None:
    steps = STEPS["triads"]
    assert [(-x, -y) for x, y in steps[:3]] == list(steps[3:])


@given(weight=st.integers(1, 16), beside=st.integers(0, 40), fixed=st.integers(1, 32))
def test_a_synapse_has_its_weight_and_what_is_beside_it(
    weight: int, beside: int, fixed: int
) -> None:
    free = Encoding(quantity(0), quantity(beside))
    assert free.synapse_bits(weight) == weight + beside
    with_place = Encoding(quantity(0), quantity(beside), weight=quantity(fixed))
    assert with_place.synapse_bits(weight) == fixed + beside


def test_limits_are_told_with_and_without_those_that_are_not_there() -> None:
    limit = quantity(64, "synapses")
    m = machine(core=CoreLimits(fan_in=limit), max_chips=4)
    assert m.core.stated == {"fan_in": limit}
    assert m.core.every["fan_in"] == limit
    assert m.core.every["neurons"] is None
    assert {"core.fan_in", "encoding.axon", "encoding.synapse", "layout.max_chips"} == set(
        m.quantities
    )


@pytest.mark.parametrize(
    ("name", "chips"), [("spinnaker1", 1), ("spinnaker1-board", 48), ("spinnaker1-triad", 144)]
)
def test_places_without_a_chip_are_not_counted(name: str, chips: int) -> None:
    machine = load_chip(name)
    assert machine.chip_count == chips
    assert machine.chips_of(range(machine.cores_per_router)) == {(0, 0)}


def test_a_chip_that_lacks_routers_is_one() -> None:
    machine = replace(load_chip("loihi1").of_chips(2, 1), absent=frozenset({(0, 0), (9, 3)}))
    assert machine.chip_count == 2
