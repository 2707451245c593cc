from collections import defaultdict

import numpy as np
import pytest

from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.traffic import flows, traffic, widened

from .nets import groups, network


def reached(axons: Axons, part: list[int], source: int) -> tuple[int, ...]:
    found = set()
    for bundle in axons.bundles:
        row = source - bundle.first
        if 0 <= row < bundle.ptr.size - 1:
            for target in bundle.target[bundle.ptr[row] : bundle.ptr[row + 1]].tolist():
                found.add(part[target])
    return tuple(sorted(found))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("parts", [1, 5, 60])
def test_groups_are_those_of_a_naive_count(seed: int, parts: int) -> None:
    axons = network(seed)
    part = np.random.default_rng(seed).integers(0, parts, axons.neurons)
    part[:parts] = np.arange(parts)
    found = traffic(axons, part)
    homes = part.tolist() + [-1] * (axons.sources - axons.neurons)
    naive: dict[tuple[int, tuple[int, ...]], int] = {}
    for source in range(axons.sources):
        key = (homes[source], reached(axons, part.tolist(), source))
        if not key[1]:
            assert found.of[source] == -1
            continue
        naive[key] = naive.get(key, 0) + int(axons.rate[source])
        g = found.of[source]
        assert (found.origin[g], tuple(found.target[found.ptr[g] : found.ptr[g + 1]])) == key
    assert found.groups == len(naive)
    assert found.rate.tolist() == list(naive.values())
    assert found.parts == parts


def test_a_row_of_many_parts_is_sorted() -> None:
    targets = np.random.default_rng(1).permutation(500).astype(np.int32)
    bundle = Bundle("p", 0, np.array([0, 40, 500]), targets, np.array(1, np.int32))
    axons = Axons((Node("a", 0, 500),), 500, (bundle,), np.ones(500, np.int64))
    found = traffic(axons, np.arange(500))
    assert found.target[: found.ptr[1]].tolist() == sorted(targets[:40].tolist())
    assert found.target[found.ptr[1] :].tolist() == sorted(targets[40:].tolist())


def test_a_network_without_synapses_has_no_group() -> None:
    axons = Axons((Node("a", 0, 3),), 3, (), np.ones(3, np.int64))
    found = traffic(axons, np.array([0, 1, 0]))
    assert found.groups == 0 and found.of.tolist() == [-1, -1, -1]
    assert flows(found).ptr.tolist() == [0, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_flows_are_those_of_a_naive_count(seed: int) -> None:
    t = groups(seed, 9, 40)
    want = np.zeros((9, 9), np.int64)
    host = np.zeros(9, np.int64)
    for g in range(t.groups):
        for b in t.target[t.ptr[g] : t.ptr[g + 1]].tolist():
            if t.origin[g] < 0:
                host[b] += t.rate[g]
            elif t.origin[g] != b:
                want[t.origin[g], b] += t.rate[g]
    f = flows(t)
    found = np.zeros((9, 9), np.int64)
    for a in range(9):
        found[a, f.target[f.ptr[a] : f.ptr[a + 1]]] = f.rate[f.ptr[a] : f.ptr[a + 1]]
    assert np.array_equal(found, want) and np.array_equal(f.host, host)
    assert np.all(f.rate > 0)


@pytest.mark.parametrize("seed", range(6))
def test_wide_groups_send_what_those_of_their_part_sent(seed: int) -> None:
    axons = network(seed)
    part = np.random.default_rng(seed).integers(0, 9, axons.neurons)
    part[:9] = np.arange(9)
    groups = traffic(axons, part)
    wide = widened(groups)
    rate: dict[int, int] = defaultdict(int)
    ends: dict[int, set[int]] = defaultdict(set)
    for g in range(groups.groups):
        rate[int(groups.origin[g])] += int(groups.rate[g])
        ends[int(groups.origin[g])] |= set(
            groups.target[groups.ptr[g] : groups.ptr[g + 1]].tolist()
        )
    assert sorted(wide.origin.tolist()) == sorted(rate)
    for g in range(wide.groups):
        assert wide.rate[g] == rate[int(wide.origin[g])]
        row = wide.target[wide.ptr[g] : wide.ptr[g + 1]].tolist()
        assert row == sorted(ends[int(wide.origin[g])])
    sends = groups.of >= 0
    assert np.array_equal(wide.origin[wide.of[sends]], groups.origin[groups.of[sends]])
    assert np.array_equal(wide.of < 0, ~sends)
