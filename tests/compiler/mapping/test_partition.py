"""Every network is mapped within all limits or refused with a code, and mapped well."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.boards.chip import load_chip
from spikec.boards.machine import Encoding, Machine
from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.check import check
from spikec.compiler.mapping.hypergraph import hypergraph
from spikec.compiler.mapping.limits import Caps, most_cores
from spikec.compiler.mapping.map import map_network
from spikec.compiler.mapping.partition import _filled, _refined, partition
from spikec.compiler.mapping.refine import Schedule, packets
from spikec.ir.diagnostics import SpikecError

from .recount import Count, delivers, recount
from .simple import axons, bundle, machine, map_simply, quantity
from .wild import CHIPS, target, wild

REFUSALS = {"E0302", "E0307", "E0315", "E0316"}
SEEDS = st.integers(0, 2**32 - 1)
TARGETS = st.sampled_from(("small", "small", "small", *CHIPS))


def within(count: Count, m: Machine) -> bool:
    """Whether the oracle's counts keep the limits of a core."""
    core = m.core
    return all(
        limit is None or max(has, default=0) <= limit.value
        for limit, has in (
            (core.neurons, count.neurons),
            (core.sources, count.sources),
            (core.in_axons, count.in_axons),
            (core.out_axons, count.out_axons),
            (None if m.encoding.crossbar else core.synapse_bits, count.synapse_bits),
            (core.fan_in, count.fan_in),
            (core.fan_out, count.fan_out),
            (core.delay_steps, count.delay),
        )
    )


def unmixed(network: Axons, part: list[int]) -> bool:
    nodes = [n.name for n in network.nodes for _ in range(n.size) if n.first < network.neurons]
    return len(set(zip(part, nodes, strict=True))) == len(set(part))


def in_order(network: Axons, m: Machine) -> list[int]:
    """Neurons one after the other, core after core."""
    part: list[int] = []
    size, last, number = 0, None, -1
    for neuron in range(network.neurons):
        node = network.node_of(neuron) if not m.mixed else None
        limit = m.core.sources if node and node.lines and m.core.sources else m.core.neurons
        if number < 0 or (limit and size == limit.value) or node != last:
            size, last, number = 0, node, number + 1
        size += 1
        part.append(number)
    return part


def cores(m: Machine) -> list[int]:
    per = m.cores_per_router
    return [c for c in range(m.seats) if m.place(c // per) not in m.absent]


def maps_or_refuses(seed: int, name: str, effort: int) -> None:
    m = target(name, seed)
    network = wild(seed, on_cores=m.inputs_on_cores)
    try:
        found = map_network(network, m, effort=effort, seed=seed % 97)
    except SpikecError as refusal:
        assert {d.code for d in refusal.diagnostics} <= REFUSALS
        assert all(d.hint for d in refusal.diagnostics)
        simple = in_order(network, m)
        grown = m.with_cores(max(simple) + 1)
        if grown is not None and m.core.synapse_bits is None:
            # No refusal where the simplest of all partitions keeps every limit.
            mapping = map_simply(network, grown, simple, cores(grown)[: max(simple) + 1])
            assert not within(recount(network, mapping), m)
        return
    assert check(network, found.mapping).ok
    count = recount(network, found.mapping)
    assert within(count, m)
    assert delivers(network, found.mapping)
    assert m.mixed or unmixed(network, found.mapping.part.tolist())


@given(seed=SEEDS, name=TARGETS, effort=st.sampled_from((0, 1, 1, 2)))
@settings(max_examples=200)
def test_networks_map_within_all_limits_or_are_refused(seed: int, name: str, effort: int) -> None:
    maps_or_refuses(seed, name, effort)


@pytest.mark.slow
@given(seed=SEEDS, name=TARGETS, effort=st.sampled_from((0, 1, 2)))
@settings(max_examples=400)
def test_more_networks_map_within_all_limits_or_are_refused(
    seed: int, name: str, effort: int
) -> None:
    maps_or_refuses(seed, name, effort)


# --- what was wrong once -----------------------------------------------------------------------


@pytest.mark.parametrize("effort", [0, 1, 2])
@pytest.mark.parametrize("name", ["loihi1", "truenorth", "spinnaker1", "dynap-se"])
def test_a_network_without_synapses(name: str, effort: int) -> None:
    found = map_network(axons([1, 3], 0, []), target(name, 0), effort=effort)
    assert found.checked.ok and found.checked.usage.packets == 0


def test_a_line_from_the_host_may_reach_more_cores_than_a_neuron() -> None:
    m = machine(limits={"neurons": 4, "fan_out": 1})
    network = axons([12], 1, [bundle("b", 12, [list(range(12))])])
    for effort in (0, 1):
        found = map_network(network, m, effort=effort)
        assert found.mapping.parts == 3


@pytest.mark.parametrize("effort", [0, 1])
def test_targets_of_one_source_share_a_core_where_it_reaches_one_only(effort: int) -> None:
    # Source i leads to 8 + i and 12 + i, which breadth-first order would part.
    rows = [[8 + i, 12 + i] for i in range(4)]
    network = axons([8, 8], 0, [bundle("b", 0, rows)])
    m = machine(limits={"neurons": 3, "fan_out": 1})
    part = map_network(network, m, effort=effort).mapping.part
    assert (part[8:12] == part[12:]).all()


def test_targets_of_two_populations_cannot_share_a_core_of_one() -> None:
    m = machine(limits={"neurons": 4, "fan_out": 1}, mixed=False)
    network = axons([2, 2], 0, [bundle("b", 0, [[1, 2]])])
    with pytest.raises(SpikecError, match="a core takes neurons of one population only"):
        map_network(network, m)


def test_a_number_of_chips_that_makes_no_rectangle() -> None:
    m = machine("mesh", (1, 1), limits={"neurons": 1})
    m = replace(m, max_chips=quantity(7, "chips"))
    assert most_cores(m) == 6
    assert map_network(axons([6], 0, []), m).mapping.parts == 6
    with pytest.raises(SpikecError, match="has 6 at most: 1 too few"):
        map_network(axons([7], 0, []), m)


@pytest.mark.parametrize("effort", [0, 1, 2])
def test_enormous_rates(effort: int) -> None:
    network = local(400, 8, 3)
    rate = np.full(400, 10**15)
    rate[::7] = 1
    huge = Axons(network.nodes, network.neurons, network.bundles, rate)
    found = map_network(huge, machine(limits={"neurons": 40}), effort=effort)
    assert found.checked.ok
    one = Axons(network.nodes, network.neurons, network.bundles, np.minimum(rate, 2) - 1)
    # A spike in 10^15 is none: the partition is as good as that of the busy ones alone.
    best = partition(one, machine(limits={"neurons": 40}), effort, 1)
    graph = hypergraph(one, 0, 0, shared=False)
    most = packets(graph, best, int(best.max()) + 1)
    assert packets(graph, found.mapping.part, found.mapping.parts) <= 1.3 * most


def test_dense_layers_fill_the_memory_of_a_core() -> None:
    """All neurons of the second layer are twins, more than memory for one core."""
    dense = [list(range(300, 600))] * 300
    network = axons([300, 300], 0, [bundle("b", 0, dense)])
    # 20 of them and the heads of 300 rows of bits; out-axons do not bind.
    encoding = Encoding(quantity(10), quantity(2))
    limits = {"neurons": 400, "synapse_bits": 300 * 10 + 20 * 300 * 10}
    part = partition(network, machine("mesh", (8, 8), encoding=encoding, limits=limits), 1)
    assert int(part.max()) + 1 <= 1.5 * 300 / 20


def test_vertices_larger_than_the_first_parts_leave_none_empty() -> None:
    """Memory for a few of many twins: the first parts are smaller than a vertex."""
    dense = [list(range(500, 1000))] * 500
    network = axons([500, 500], 0, [bundle("b", 0, dense)])
    part = map_network(network, load_chip("loihi2")).mapping.part
    assert int(part.max()) + 1 <= 8


@pytest.mark.parametrize("effort", [0, 1, 2])
def test_every_seat_of_unmixed_cores_can_be_filled(effort: int) -> None:
    """As many neurons as the cores of each population hold, in vertices that do not divide them."""
    rng = np.random.default_rng(effort)
    rows = [np.repeat(rng.integers(0, 60, 4), 1).tolist() for _ in range(60)]
    rows = [row for row in rows for _ in range(3)][:60]
    network = axons([20, 40], 0, [bundle("b", 0, rows)])
    m = machine("mesh", (3, 2), limits={"neurons": 10}, mixed=False)
    assert map_network(network, m, effort=effort).mapping.parts == 6


# --- quality -----------------------------------------------------------------------------------


def rows(name: str, out: Sequence[npt.NDArray[np.int32]], seed: int) -> Axons:
    neurons = len(out)
    ptr = np.cumsum([0, *(row.size for row in out)])
    rate = np.maximum(1, np.rint(np.random.default_rng(seed).lognormal(1.0, 1.0, neurons)))
    one = Bundle(name, 0, ptr, np.concatenate(out), np.array(1, np.int32))
    return Axons((Node(name, 0, neurons),), neurons, (one,), rate.astype(np.int64))


def random(neurons: int, fan_out: int, seed: int) -> Axons:
    rng = np.random.default_rng(seed)
    out = [rng.integers(0, neurons, fan_out).astype(np.int32) for _ in range(neurons)]
    return rows("random", out, seed)


def local(neurons: int, fan_out: int, seed: int) -> Axons:
    """A torus with Gaussian reach and one in ten anywhere, its neurons shuffled."""
    rng = np.random.default_rng(seed)
    side = int(neurons**0.5)
    name = rng.permutation(side * side).astype(np.int32)
    out = [np.zeros(0, np.int32)] * (side * side)
    for n in range(side * side):
        x, y = (
            (at + np.rint(rng.normal(0, fan_out**0.5 / 1.5, fan_out)).astype(np.int64)) % side
            for at in (n % side, n // side)
        )
        far = rng.random(fan_out) < 0.1
        out[name[n]] = name[np.where(far, rng.integers(0, side * side, fan_out), y * side + x)]
    return rows("local", out, seed)


def conv(neurons: int, fan_out: int, seed: int) -> Axons:
    """Five maps, each led into the next by kernels of 3 x 3 over all channels."""
    channels = max(1, fan_out // 9)
    side = int((neurons / channels / 5) ** 0.5)
    plane = side * side
    out = []
    for n in range(5 * channels * plane):
        layer, at = n // (channels * plane), n % plane
        near = [
            (layer + 1) * channels * plane + c * plane + y * side + x
            for c in range(channels)
            for y in range(max(at // side - 1, 0), min(at // side + 2, side))
            for x in range(max(at % side - 1, 0), min(at % side + 2, side))
        ]
        out.append(np.array(near if layer < 4 else [], np.int32))
    return rows("conv", out, seed)


@pytest.mark.parametrize(
    ("network", "share"),
    [(conv(2000, 50, 1), 0.55), (local(2000, 30, 1), 0.75), (random(2000, 20, 1), 0.99)],
    ids=["conv", "local", "random"],
)
@pytest.mark.parametrize("effort", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_better_than_neurons_in_order(network: Axons, share: float, effort: int) -> None:
    m = machine("mesh", (8, 8), limits={"neurons": 64})
    part = partition(network, m, effort)
    simple = np.array(in_order(network, m))
    graph = hypergraph(network, 0, 0, shared=False)
    ours, plain = (packets(graph, each, int(each.max()) + 1) for each in (part, simple))
    assert np.bincount(part).max() <= 64
    assert ours <= share * plain
    if effort == 2:
        assert ours <= 1.01 * packets(graph, partition(network, m), 64)


@pytest.mark.parametrize(("effort", "share"), [(0, 0.75), (1, 0.45)])
def test_maps_on_unmixed_cores_are_cut_by_place_and_not_by_channel(
    effort: int, share: float
) -> None:
    plain = conv(4000, 50, 1)
    nodes = tuple(Node(f"map {k}", k * plain.neurons // 5, plain.neurons // 5) for k in range(5))
    network = replace(
        plain, nodes=nodes, bundles=tuple(replace(each, kernel=225) for each in plain.bundles)
    )
    m = machine("mesh", (12, 12), limits={"neurons": 50}, mixed=False)
    part = partition(network, m, effort)
    simple = np.array(in_order(network, m))
    graph = hypergraph(network, 0, 0, shared=False)
    ours, by_order = (packets(graph, each, int(each.max()) + 1) for each in (part, simple))
    assert ours <= share * by_order
    # Few cores more than neurons in order take.
    assert part.max() <= 1.1 * simple.max()


@pytest.mark.parametrize(("effort", "share"), [(0, 0.55), (1, 0.5)])
def test_maps_whose_kernels_have_zeros_are_cut_by_place_too(effort: int, share: float) -> None:
    """Channels of one place are no twins then: a third of the synapses of each is gone."""
    plain = conv(4000, 50, 1)
    rng = np.random.default_rng(2)
    bundles = []
    for each in plain.bundles:
        kept = rng.random(each.target.size) < 0.67
        row = np.repeat(np.arange(each.ptr.size - 1), np.diff(each.ptr))[kept]
        ptr = np.searchsorted(row, np.arange(each.ptr.size))
        bundles.append(replace(each, ptr=ptr, target=each.target[kept], kernel=150))
    nodes = tuple(Node(f"map {k}", k * plain.neurons // 5, plain.neurons // 5) for k in range(5))
    network = replace(plain, nodes=nodes, bundles=tuple(bundles))
    m = machine("mesh", (12, 12), limits={"neurons": 50}, mixed=False)
    part = partition(network, m, effort)
    graph = hypergraph(network, 0, 0, shared=False)
    simple = np.array(in_order(network, m))
    ours, by_order = (packets(graph, each, int(each.max()) + 1) for each in (part, simple))
    assert ours <= share * by_order and part.max() <= 1.1 * simple.max()


def test_a_start_that_annealing_loses_is_kept() -> None:
    # Full parts of neurons that belong together: hot moves lose what few sweeps never find again.
    rows = [list(range(i // 8 * 8, i // 8 * 8 + 8)) for i in range(96)]
    graph = hypergraph(axons([96], 0, [bundle("b", 0, rows)]), 0, 0, shared=False)
    start = np.arange(96, dtype=np.int32) // 8
    found = _refined(graph, start.copy(), 12, Caps(8), Schedule(4, 1000.0), 1)
    assert packets(graph, found, 12) == 0


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=40), goal=st.integers(1, 30))
def test_parts_are_filled_in_order_as_few_and_as_alike_as_can_be(
    sizes: list[int], goal: int
) -> None:
    size = np.array(sizes)
    part = _filled(size, goal)
    assert part[0] == 0 and set(np.diff(part)) <= {0, 1}
    use = np.bincount(part, size)
    alone = np.bincount(part) == 1
    assert (use[~alone] <= goal).all()

    def fewest(most: int) -> int:
        count, left = 0, 0
        for each in sizes:
            count, left = (count, left - each) if each <= left else (count + 1, most - each)
        return count

    assert use.size == fewest(goal)
    # A level lower would take one more, if it is not one vertex that makes it.
    level = int(use.max())
    if level > max(sizes):
        assert fewest(level - 1) > use.size


@pytest.mark.parametrize("seed", range(4))
def test_planted_parts_are_found(seed: int) -> None:
    """Twelve groups as large as a core, neurons bound to eight of their own, few links between."""
    rng = np.random.default_rng(seed)
    name = rng.permutation(12 * 64).astype(np.int32)
    group = np.empty(name.size, np.int64)
    group[name] = np.arange(name.size) // 64
    members = [np.flatnonzero(group == g) for g in range(12)]
    out = [rng.choice(members[group[n]], 8, replace=False).astype(np.int32) for n in range(768)]
    for n in rng.choice(768, 20, replace=False):
        out[n] = np.append(out[n], np.int32(rng.integers(768)))
    network = rows("planted", out, seed)
    m = machine("mesh", (4, 4), limits={"neurons": 64})
    part = partition(network, m, 1, seed)
    graph = hypergraph(network, 0, 0, shared=False)
    planted = packets(graph, group, 12)
    assert packets(graph, part, int(part.max()) + 1) <= planted


def test_channels_of_one_place_stay_together() -> None:
    """Neurons with the same sources and targets are cut apart only where a core ends."""
    rng = np.random.default_rng(1)
    pools = [list(range(8 * i, 8 * i + 8)) for i in range(16)]
    out = []
    for i in range(16):
        to = pools[(i + 1) % 16] + pools[int(rng.integers(16))]
        out += [np.unique(to).astype(np.int32)] * 8
    network = rows("pools", out, 1)
    # A vertex of twins has up to a sixteenth of a core.
    part = partition(network, machine(limits={"neurons": 128 // 4, "in_axons": 96}), 1)
    assert np.bincount(part).max() <= 32
    split = [np.unique(part[pool]).size for pool in pools]
    assert sum(split) <= 20


# --- determinism -------------------------------------------------------------------------------

SCRIPT = """
import hashlib, sys
sys.path.insert(0, {root!r})
from spikec.compiler.mapping.map import map_network
from tests.compiler.mapping.simple import machine
from tests.compiler.mapping.test_partition import local
from tests.compiler.mapping.wild import target
small = machine("mesh", (6, 6), limits={{"neurons": 30, "in_axons": 200, "fan_out": 20}})
for effort in (0, 1):
    for name in ("loihi1", "loihi2", "spinnaker1-board", "small"):
        network = local(600, 6, 1)
        on = small if name == "small" else target(name, 1)
        m = map_network(network, on, effort=effort, seed=3).mapping
        arrays = [m.part, m.seat, *(getattr(m.routes, f) for f in m.routes.__dataclass_fields__)]
        if m.tables is not None:
            arrays += [getattr(m.tables, f) for f in m.tables.__dataclass_fields__]
        print(name, effort, hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest())
"""


def test_the_same_seed_gives_the_same_bytes_in_every_process() -> None:
    root = str(Path(__file__).resolve().parents[3])
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
    assert found[0] == found[1]
    assert len(found[0].splitlines()) == 8


def test_the_seed_is_used() -> None:
    m = machine("mesh", (8, 8), limits={"neurons": 30})
    one, again, other = (partition(random(500, 5, 1), m, 1, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
