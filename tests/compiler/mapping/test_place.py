import inspect
import os
import subprocess
import sys
from dataclasses import replace
from itertools import permutations

import networkx as nx
import numpy as np
import numpy.typing as npt
import pytest

from spikec.boards.machine import Machine
from spikec.compiler.mapping import place as place_module
from spikec.compiler.mapping.geometry import curve
from spikec.compiler.mapping.place import place, place_along_curve, placement_cost
from spikec.compiler.mapping.traffic import Traffic

from .machines import ALL, loihi, machine, spinnaker_board, tree
from .nets import groups
from .test_geometry import graph


def cores_of(m: Machine) -> npt.NDArray[np.int64]:
    per = m.cores_per_router
    cores: npt.NDArray[np.int64] = (
        curve(m).astype(np.int64)[:, None] * per + np.arange(per)
    ).ravel()
    return cores


def sheet(side: int, seed: int = 0) -> Traffic:
    """Parts on a sheet, each sending to its four neighbours; numbers shuffled."""
    number = np.random.default_rng(seed).permutation(side * side)
    origin, target = [], []
    for y in range(side):
        for x in range(side):
            for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1)):
                if 0 <= x + dx < side and 0 <= y + dy < side:
                    origin.append(number[y * side + x])
                    target.append(number[(y + dy) * side + x + dx])
    n = len(origin)
    return Traffic(
        side * side,
        np.arange(n),
        np.array(origin),
        np.arange(n + 1),
        np.array(target),
        np.ones(n, np.int64),
    )


def legal(seats: npt.NDArray[np.int32], m: Machine, parts: int) -> None:
    assert seats.size == np.unique(seats).size == parts
    assert np.all(np.isin(seats, cores_of(m)))


@pytest.mark.parametrize("multicast", [False, True])
@pytest.mark.parametrize("topology", ["mesh", "triads", "torus"])
def test_the_cost_is_that_of_a_naive_count(topology, multicast) -> None:  # type: ignore[no-untyped-def]
    m = machine(topology, (4, 3), cores=2, multicast=multicast, host=5)
    links = graph(m)
    t = groups(4, 20, 60, most=1 if multicast else 5)
    seats = np.random.default_rng(2).permutation(cores_of(m))[:20]
    cost = 0
    for g in range(t.groups):
        a = m.host if t.origin[g] < 0 else int(seats[t.origin[g]]) // 2
        for b in t.target[t.ptr[g] : t.ptr[g + 1]].tolist():
            way = nx.shortest_path_length(links, a, int(seats[b]) // 2)
            cost += int(t.rate[g]) * way
    assert placement_cost(t, m, seats) == cost


@pytest.mark.parametrize("name", ALL)
def test_places_beat_chance_and_never_lose_to_the_curve(name: str) -> None:
    m = ALL[name]
    t = groups(1, min(m.cores, 40), 120)
    seats = place(t, m, seed=3)
    legal(seats, m, t.parts)
    cost = placement_cost(t, m, seats)
    assert cost <= placement_cost(t, m, place_along_curve(t, m))
    rng = np.random.default_rng(0)
    chance = [placement_cost(t, m, rng.permutation(cores_of(m))[: t.parts]) for _ in range(10)]
    assert cost <= min(chance)
    if m.router_count > 2:
        assert cost < np.mean(chance)


@pytest.mark.parametrize(
    "m",
    [
        machine("mesh", (3, 2)),
        machine("mesh", (2, 2), cores=2),
        machine("torus", (3, 2)),
        machine("triads", (3, 2)),
        machine("ring", (6, 1)),
        machine("mesh", (1, 2), (3, 1), chip_link=5),
        tree(3, 2),
    ],
    ids=["mesh", "mesh-shared", "torus", "triads", "ring", "chips", "tree"],
)
@pytest.mark.parametrize("seed", range(3))
def test_small_cases_are_placed_best(m: Machine, seed: int) -> None:
    t = groups(seed, 5, 14, most=3)
    cores = cores_of(m)
    least = min(placement_cost(t, m, np.array(seats)) for seats in permutations(cores.tolist(), 5))
    assert placement_cost(t, m, place(t, m)) == least


def test_a_sheet_is_laid_out_flat() -> None:
    t = sheet(8)
    m = machine("mesh", (8, 8))
    # 2.2 along the curve, 5.3 by chance. Every seed: a run that never got warm ended at 1.8.
    for seed in range(6):
        assert placement_cost(t, m, place(t, m, seed)) <= 1.4 * t.groups


def test_multicast_counts_links_not_packets() -> None:
    m = machine("triads", (5, 5), cores=2, multicast=True)
    alone = replace(m, multicast=False)
    t = groups(8, 40, 120, most=8)
    cost = placement_cost(t, m, place(t, m))
    assert cost <= placement_cost(t, m, place(t, alone))
    assert cost < placement_cost(t, alone, place(t, alone))


def planted(m: Machine, seed: int) -> Traffic:
    """Parts that send to all others of their group, a group a router, numbered at random."""
    rng = np.random.default_rng(seed)
    per = m.cores_per_router
    name = rng.permutation(m.cores).astype(np.int32)
    rows = [np.sort(name[p // per * per : p // per * per + per]) for p in range(m.cores)]
    ptr = np.arange(m.cores + 1) * per
    order = np.argsort(name)
    target = np.concatenate([rows[p] for p in order])
    one = np.ones(m.cores, np.int64)
    return Traffic(m.cores, np.arange(m.cores), np.arange(m.cores), ptr, target, one)


@pytest.mark.parametrize("seed", range(3))
def test_parts_of_one_group_share_a_router(seed: int) -> None:
    m = machine("triads", (3, 3), cores=16, multicast=True)
    t = planted(m, seed)
    assert placement_cost(t, m, place(t, m, seed)) == 0
    alone = place_module._by_routers(t, m, place_along_curve(t, m), seed, 1)
    assert sorted(alone.tolist()) == list(range(m.cores))


def with_and_without(
    name: str, m: Machine, cases: list[Traffic], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[float], list[float]]:
    """What places cost, and what they cost where a step of the way leaves them as they are."""
    found = [placement_cost(t, m, place(t, m)) for t in cases]
    at = list(inspect.signature(getattr(place_module, name)).parameters).index("seats")
    monkeypatch.setattr(place_module, name, lambda *given: given[at])
    return found, [placement_cost(t, m, place(t, m)) for t in cases]


def test_sharing_routers_saves_hops(monkeypatch: pytest.MonkeyPatch) -> None:
    m = machine("triads", (4, 4), cores=8, multicast=True)
    cases = [groups(seed, 110, 400, most=20) for seed in range(4)]
    found, without = with_and_without("_by_routers", m, cases, monkeypatch)
    assert sum(found) < sum(without)


def test_one_router_has_nothing_to_place() -> None:
    m = machine("mesh", (1, 1), cores=20, multicast=True)
    assert place(groups(1, 12, 100), m, effort=2).tolist() == list(range(12))


def test_trees_are_looked_at_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    m = machine("triads", (5, 5), cores=2, multicast=True)
    cases = [groups(seed, 45, 120, most=8) for seed in range(4)]
    found, pairs_only = with_and_without("_descend_trees", m, cases, monkeypatch)
    assert all(a <= b for a, b in zip(found, pairs_only, strict=True))
    assert sum(found) < sum(pairs_only)


def test_traffic_stays_within_chips() -> None:
    m = loihi(2, 1)
    both = []
    for half in range(2):
        t = groups(half, 96, 500, most=3, host=False)
        both.append((t.origin * 2 + half, t.target * 2 + half, t.ptr, t.rate))
    t = Traffic(
        192,
        np.arange(1000),
        np.concatenate([both[0][0], both[1][0]]),
        np.concatenate([both[0][2], both[0][2][-1] + both[1][2][1:]]),
        np.concatenate([both[0][1], both[1][1]]),
        np.concatenate([both[0][3], both[1][3]]),
    )
    seats = place(t, m)
    chip = np.array([m.chip_of(int(s) // 4)[0] for s in seats])
    sent = int(sum(chip[t.origin[g]] != chip[b] for g in range(t.groups) for b in row(t, g)))
    assert sent <= 0.05 * t.target.size


def row(t: Traffic, g: int) -> list[int]:
    targets: list[int] = t.target[t.ptr[g] : t.ptr[g + 1]].tolist()
    return targets


def test_huge_rates_do_not_overflow() -> None:
    t = sheet(4)
    huge = Traffic(t.parts, t.of, t.origin, t.ptr, t.target, t.rate * (1 << 50))
    m = machine("mesh", (4, 4))
    assert placement_cost(huge, m, place(huge, m)) == 2.0**50 * placement_cost(t, m, place(t, m))


def test_too_many_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="5 parts do not fit into 4 cores of 'machine'"):
        place(groups(0, 5, 5), machine("mesh", (2, 2)))


def test_no_effort_is_the_curve_and_no_part_no_place() -> None:
    m = spinnaker_board()
    t = groups(0, 30, 60)
    assert np.array_equal(
        place(t, replace(m, cores_per_router=7), effort=0),
        place_along_curve(t, replace(m, cores_per_router=7)),
    )
    # Four routers have room for all: nothing is to be gained by an order.
    assert place(t, m, effort=0).tolist() == [*range(16), *range(128, 142)]
    assert place(groups(0, 0, 0), m).size == 0


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from spikec.compiler.mapping.place import place
from spikec.compiler.mapping.route import route
from tests.compiler.mapping.machines import loihi
from tests.compiler.mapping.nets import groups
t, m = groups(5, 90, 400), loihi(1, 1)
seats = place(t, m, seed=9)
print(seats.tolist(), route(t, m, seats).start.tolist())
"""


def test_the_same_seed_gives_the_same_places_in_every_process() -> None:
    root = os.path.dirname(__file__)
    for _ in range(3):
        root = os.path.dirname(root)
    found = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT.format(root=root)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1] and len(found[0]) > 100
