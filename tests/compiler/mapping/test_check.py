"""The checker against hand-worked cases, a plain recount, and mappings broken on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spikec.boards.machine import Encoding, Machine
from spikec.compiler.mapping import check as check_module
from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.check import Binding, Checked, check
from spikec.compiler.mapping.mapping import Mapping
from spikec.ir.diagnostics import Location, SpikecError

from . import simple
from .recount import delivers, recount

Tree = tuple[int, list[tuple[int, int]], list[int]]


def kinds(checked: Checked) -> set[str]:
    return {fault.kind for fault in checked.faults}


# -- a network worked by hand ----------------------------------------------------------------------
#
# Neurons 0 1 2 | 3 4 of p0 and p1, line 5 from the host. Parts {0, 1}, {2}, {3, 4} in cores 0, 2
# and 7 of a mesh of 4 x 2 routers with one core each; the host is at router 4:
#
#     0 1 2 3
#     4 5 6 7
#
#   'a' (own weights, delay 1)        0 -> 2 3 3    1 -> nothing    2 -> 3
#   'k' (kernel of 5, delays as told) 0 -> 4 (2)    1 -> 0 (7)      2 -> 4 (3)
#   'i' (own weights, delay 0)        5 -> 0 2
#   Rates: 0: 10   1: 3   2: 1   3, 4: 100   5: 2

PARTS, SEATS = [0, 0, 1, 2, 2], [0, 2, 7]


def worked_network() -> Axons:
    return simple.axons(
        [3, 2],
        1,
        [
            simple.bundle("a", 0, [[2, 3, 3], [], [3]]),
            simple.bundle("k", 0, [[4], [0], [4]], delay=[2, 7, 3], kernel=5),
            simple.bundle("i", 5, [[0, 2]], delay=0),
        ],
        rate=[10, 3, 1, 100, 100, 2],
    )


def worked_machine(**changes: object) -> Machine:
    encoding = Encoding(simple.quantity(20), simple.quantity(4), word=32, shared=True)
    return replace(simple.machine(routers=(4, 2), encoding=encoding, host=4), **changes)  # type: ignore[arg-type]


def worked(**changes: object) -> Mapping:
    return simple.map_simply(worked_network(), worked_machine(**changes), PARTS, SEATS)


class TestUsage:
    def test_worked_by_hand(self) -> None:
        checked = check(worked_network(), worked())
        usage = checked.usage
        assert checked.ok and not checked.warnings
        assert usage.neurons.tolist() == [2, 1, 2]
        # Part 0 hears 1 and 5, part 1 hears 0 and 5, part 2 hears 0 and 2.
        assert usage.in_axons.tolist() == [2, 2, 2]
        # 0 reaches parts 1 and 2, 1 reaches part 0 (its own); 2 reaches part 2.
        assert usage.out_axons.tolist() == [3, 1, 0]
        assert usage.fan_out.tolist() == [2, 1, 0]
        # Onto 0: 1 5; onto 2: 0 5; onto 3: 0 0 2, onto 4: 0 2.
        assert usage.fan_in.tolist() == [2, 2, 3]
        assert usage.delay.tolist() == [7, 1, 3]
        # An own synapse has 8 + 4 bits. Part 0: axon 1 with none: 20 -> 32, axon 5 with one:
        # 32 -> 32, kernel 5 x 12: 124. Part 1: two axons of one, no kernel: 64. Part 2: axon 0
        # with two: 44 -> 64, axon 2 with one: 32, kernel 60: 156.
        assert usage.synapse_bits.tolist() == [124, 64, 156]
        # 0 to two other cores, 1 to none, 2 to one, 5 from the host to two: 20 + 0 + 1 + 4.
        assert usage.packets == 25
        assert usage.spikes == 216 and usage.packets_per_spike == 25 / 216
        # 0: tree 0-1-2-3-7, 4 links, 10 times; 2: 2-3-7, 2 links; 5: 4-0 and 4-5-6-2, 4 links,
        # twice: 40 + 2 + 8.
        assert usage.hops == 50 and usage.hops_per_spike == 50 / 216
        load = zip(usage.link_start, usage.link_end, usage.link_load, strict=True)
        assert {(int(a), int(b)): int(n) for a, b, n in load} == {
            (0, 1): 10,
            (1, 2): 10,
            (2, 3): 11,
            (3, 7): 11,
            (4, 0): 2,
            (4, 5): 2,
            (5, 6): 2,
            (6, 2): 2,
        }

    def test_without_multicast_every_core_has_its_own_packet(self) -> None:
        usage = check(worked_network(), worked(multicast=False)).usage
        # 0 to router 2: 2 hops, to 7: 4; 2 to 7: 2; 5 to 0: 1, to 2: 3.
        assert usage.hops == 10 * (2 + 4) + 2 + 2 * (1 + 3)
        load = zip(usage.link_start, usage.link_end, usage.link_load, strict=True)
        assert {(a, b): n for a, b, n in load if a < 2} == {(0, 1): 20, (1, 2): 20}
        assert usage.packets == 25

    def test_a_hop_from_chip_to_chip_has_its_own_cost(self) -> None:
        two = worked(chips=(2, 1), routers=(2, 2))
        assert check(worked_network(), two).usage.hops == 50
        # Between columns 1 and 2: 1 -> 2 ten times, 5 -> 6 twice.
        dear = worked(chips=(2, 1), routers=(2, 2), chip_link=simple.quantity(2.5))
        assert check(worked_network(), dear).usage.hops == 50 + 12 * 1.5

    def test_a_link_around_the_corner_leads_to_another_chip(self) -> None:
        # Four chips of 2 x 2: north-east of (3, 1) is (0, 2).
        network = simple.axons([2], 0, [simple.bundle("a", 0, [[1]])])
        m = simple.machine("triads", (2, 2), chips=(2, 2), wraps=True, chip_link=4)
        assert check(network, simple.map_simply(network, m, [0, 1], [7, 8])).usage.hops == 4

    def test_unrolled_kernels(self) -> None:
        encoding = Encoding(simple.quantity(20), simple.quantity(4), word=32)
        usage = check(worked_network(), worked(encoding=encoding)).usage
        # Part 0: 20 + 12 twice; part 1 likewise; part 2: axon 0 with three, 56 -> 64, axon 2 with
        # two, 44 -> 64.
        assert usage.synapse_bits.tolist() == [64, 64, 128]

    def test_crossbar(self) -> None:
        encoding = Encoding(simple.quantity(20), simple.quantity(0), crossbar=True)
        limits = simple.machine(limits={"synapse_bits": 1}).core
        checked = check(worked_network(), worked(encoding=encoding, core=limits))
        # In-axons x neurons x 8 bits; the limits of both say it all, memory has none.
        assert checked.usage.synapse_bits.tolist() == [32, 16, 32]
        assert checked.ok

    def test_rows_of_several_bundles_in_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = check(worked_network(), worked())
        for block in range(1, 6):
            monkeypatch.setattr(check_module, "_BLOCK", block)
            assert check(worked_network(), worked()).usage == whole.usage

    def test_nothing_at_all(self) -> None:
        empty = simple.axons([], 0, [])
        checked = check(empty, simple.map_simply(empty, simple.machine(), [], []))
        assert checked.ok and checked.binding is None
        assert checked.usage.packets_per_spike == 0


# What each limit counts at most in the worked network, and in which core.
WORST = {
    "neurons": (2, 0),
    "in_axons": (2, 0),
    "out_axons": (3, 0),
    "synapse_bits": (156, 7),
    "fan_in": (3, 7),
    "fan_out": (2, 0),
    "delay_steps": (7, 0),
}


class TestLimits:
    @pytest.mark.parametrize("name", WORST)
    def test_one_less_than_is_used_is_a_fault(self, name: str) -> None:
        used, core = WORST[name]
        fits = simple.machine(limits={name: used}).core
        checked = check(worked_network(), worked(core=fits))
        assert checked.ok
        assert checked.binding == Binding(name, used, simple.quantity(used), "core", core)
        assert checked.binding.share == 1
        bursts = simple.machine(limits={name: used - 1}).core
        checked = check(worked_network(), worked(core=bursts))
        (fault,) = checked.faults
        assert (fault.kind, fault.code, fault.core) == (name, "E0320", core)
        assert f"core {core} has {used} " in fault.message
        assert f"1 more than {used - 1} units (recalled: test)" in fault.message

    def test_a_limit_is_one_fault_with_the_number_of_cores(self) -> None:
        checked = check(worked_network(), worked(core=simple.machine(limits={"in_axons": 0}).core))
        (fault,) = checked.faults
        assert fault.count == 3 and "(and 2 more)" in fault.message
        assert checked.binding is not None and checked.binding.share == float("inf")

    def test_the_nearest_limit_is_first(self) -> None:
        limits = {"neurons": 8.0, "fan_in": 4.0, "delay_steps": 70.0}
        checked = check(worked_network(), worked(core=simple.machine(limits=limits).core))
        shares = [(binding.limit, binding.share) for binding in checked.bindings]
        assert shares == [("fan_in", 0.75), ("neurons", 0.25), ("delay_steps", 0.1)]
        assert str(checked.binding).startswith("core 7 has 3 synapses onto one neuron of 4 units")

    def test_nodes_in_one_core(self) -> None:
        network = worked_network()
        apart = worked(mixed=False)
        assert check(network, apart).ok
        mixed = simple.map_simply(network, worked_machine(mixed=False), [0, 1, 1, 1, 2], SEATS)
        (fault,) = check(network, mixed).faults
        assert (fault.kind, fault.core) == ("mixed", 2)
        assert "neurons of 'p0' and of 'p1'" in fault.message
        assert check(network, replace(mixed, machine=worked_machine())).ok

    def test_lines_from_the_host_where_nothing_enters(self) -> None:
        assert kinds(check(worked_network(), worked(inputs_on_cores=True))) == {"host"}

    def test_routing_entries(self) -> None:
        # Sources at router 2: 0 (10 times) and 5 end there, 2 starts there; 3 entries.
        for entries in (3, 2):
            limited = worked_machine(routing_entries=simple.quantity(entries))
            mapping = simple.map_simply(worked_network(), limited, PARTS, SEATS, tables=True)
            checked = check(worked_network(), mapping)
            assert checked.usage.table_entries.tolist() == [3, 1, 3, 2, 1, 1, 1, 2]
            assert checked.ok == (entries == 3)
        (fault,) = checked.faults
        assert (fault.kind, fault.router, fault.count) == ("routing_entries", 0, 2)
        assert kinds(check(worked_network(), replace(mapping, tables=None))) == {"tables"}

    def test_link_capacity_only_warns(self) -> None:
        mapping = worked(link_capacity=simple.quantity(5, "packets"))
        assert check(worked_network(), mapping).warnings == ()
        # 2 -> 3 -> 7 have 11 packets in the window, 0 -> 1 -> 2 have 10: above 5 x 2 are two.
        checked = check(worked_network(), mapping, window=2)
        assert checked.ok
        (warning,) = checked.warnings
        assert (warning.code, warning.count) == ("W0323", 2)
        assert "2 -> 3 has 5.5 packets a step" in warning.message
        assert check(worked_network(), mapping, window=3).warnings == ()


# -- faults, one by one ----------------------------------------------------------------------------


def rerouted(change: Callable[[list[int], list[Tree]], None], **machine: object) -> Mapping:
    """The worked mapping with changed routes: 0 is that of neuron 0, 1 of 1, 2 of 2, 3 of 5."""
    mapping = worked(**machine)
    of, trees = mapping.routes.of.tolist(), simple.trees_of(mapping.routes)
    change(of, trees)
    return replace(mapping, routes=simple.from_trees(of, trees))


def set_tree(route: int, **parts: object) -> Callable[[list[int], list[Tree]], None]:
    def change(of: list[int], trees: list[Tree]) -> None:
        tree = dict(zip(("origin", "links", "sinks"), trees[route], strict=True)) | parts
        trees[route] = (tree["origin"], tree["links"], tree["sinks"])  # type: ignore[assignment]

    return change


def set_route(source: int, route: int) -> Callable[[list[int], list[Tree]], None]:
    def change(of: list[int], trees: list[Tree]) -> None:
        of[source] = route

    return change


STRAIGHT = [(0, 1), (1, 2), (2, 3), (3, 7)]

ROUTE_FAULTS = {
    "unrouted": (set_route(0, -1), {"unrouted", "unused_route"}, "neuron 0 of 'p0'"),
    "no_target": (set_route(3, 0), {"no_target"}, "neuron 0 of 'p1' has route 0"),
    "shared": (
        set_route(2, 0),
        {"shared_route", "origin", "extra_sink", "unused_route"},
        "neuron 2 of 'p0' takes route 0",
    ),
    "origin": (set_tree(0, origin=1, links=STRAIGHT[1:]), {"origin"}, "at router 1, not at 0"),
    "host": (
        set_tree(3, origin=0, links=[(0, 1), (1, 2)]),
        {"origin"},
        "line 0 of 'in' starts at router 0, not at 4",
    ),
    "sink dropped": (set_tree(0, sinks=[7]), {"missing_sink"}, "has a target in core 2"),
    "sink dropped, link left": (
        set_tree(0, sinks=[2]),
        {"missing_sink", "useless_link"},
        "has a target in core 7",
    ),
    "sink added": (set_tree(0, sinks=[0, 2, 7]), {"extra_sink"}, "leads to core 0"),
    "sink of no part": (set_tree(0, sinks=[1, 2, 7]), {"extra_sink"}, "leads to core 1"),
    "sink twice": (set_tree(0, sinks=[2, 2, 7]), {"sinks"}, "2 stands before 2"),
    "sinks descend": (set_tree(0, sinks=[7, 2]), {"sinks"}, "7 stands before 2"),
    "cut": (set_tree(0, links=STRAIGHT[:-1]), {"off_tree"}, "router 7, where its core 7 is"),
    "link missing": (
        set_tree(0, links=[STRAIGHT[0], *STRAIGHT[2:]]),
        {"order", "off_tree"},
        "the link 2 -> 3 without having reached",
    ),
    "order": (
        set_tree(0, links=[STRAIGHT[1], STRAIGHT[0], *STRAIGHT[2:]]),
        {"order"},
        "1 -> 2 without having reached its start",
    ),
    "useless": (
        set_tree(0, links=[*STRAIGHT, (1, 5)]),
        {"useless_link"},
        "1 -> 5, behind which it has no core",
    ),
    "reentered": (
        set_tree(0, links=[(0, 4), (4, 5), (5, 1), *STRAIGHT]),
        {"reentered"},
        "enters router 1 again, by the link 0 -> 1",
    ),
    "back to its origin": (
        set_tree(0, links=[*STRAIGHT, (1, 0)]),
        {"reentered"},
        "enters router 0 again",
    ),
    "jump": (set_tree(0, links=[(0, 2), *STRAIGHT[2:]]), {"link"}, "a link 0 -> 2, which"),
    "diagonal": (
        set_tree(0, links=[*STRAIGHT[:2], (2, 7)]),
        {"link"},
        "a link 2 -> 7, which",
    ),
    "around": (set_tree(0, links=[(0, 3), (3, 2), (3, 7)]), {"link"}, "a link 0 -> 3"),
    "row end": (
        set_tree(0, links=[*STRAIGHT[:3], (3, 4), (4, 5), (5, 6), (6, 7)]),
        {"link"},
        "a link 3 -> 4",
    ),
}


class TestFaults:
    @pytest.mark.parametrize("name", ROUTE_FAULTS)
    def test_of_routes(self, name: str) -> None:
        change, expected, text = ROUTE_FAULTS[name]
        mapping = rerouted(change)
        checked = check(worked_network(), mapping)
        assert kinds(checked) == expected
        assert text in checked.faults[0].message or text in str(checked.faults)
        assert not delivers(worked_network(), mapping)
        codes = {fault.code for fault in checked.faults} - {"E0322"}
        assert codes == {"E0321"}

    def test_around_the_edge_is_a_link_where_the_mesh_wraps(self) -> None:
        change, _, _ = ROUTE_FAULTS["around"]
        for wrapped in ({"topology": "torus"}, {"wraps": True}, {"topology": "triads"}):
            mapping = rerouted(change, **wrapped)
            assert ("link" in kinds(check(worked_network(), mapping))) == (
                wrapped == {"topology": "triads"}
            )

    def test_an_absent_router_has_no_links(self) -> None:
        checked = check(
            worked_network(), replace(worked(), machine=worked_machine(absent={(1, 0)}))
        )
        (fault,) = checked.faults
        assert fault.kind == "link" and fault.count == 2 and "a link 0 -> 1" in fault.message

    def test_routes_that_block_each_other(self) -> None:
        # Four neurons at the corners of a square, each to the opposite corner, all turning left:
        # every link is held by a packet that waits for the next one.
        network = simple.axons([4], 0, [simple.bundle("a", 0, [[3], [2], [1], [0]])])
        m = simple.machine(routers=(2, 2))
        trees: list[Tree] = [
            (0, [(0, 1), (1, 3)], [3]),
            (1, [(1, 3), (3, 2)], [2]),
            (2, [(2, 0), (0, 1)], [1]),
            (3, [(3, 2), (2, 0)], [0]),
        ]
        mapping = Mapping(m, ids(range(4)), ids(range(4)), simple.from_trees(range(4), trees))
        (fault,) = check(network, mapping).faults
        assert (fault.kind, fault.code) == ("deadlock", "E0321")
        assert any(
            text in fault.message
            for text in (
                "0 -> 1 -> 3 -> 2 -> 0",
                "1 -> 3 -> 2 -> 0 -> 1",
                "3 -> 2 -> 0 -> 1 -> 3",
                "2 -> 0 -> 1 -> 3 -> 2",
            )
        )
        # One that turns right breaks the circle, though it is no XY route.
        trees[3] = (3, [(3, 1), (1, 0)], [0])
        assert check(network, replace(mapping, routes=simple.from_trees(range(4), trees))).ok
        # A torus has other means.
        trees[3] = (3, [(3, 2), (2, 0)], [0])
        wraps = replace(
            mapping, machine=replace(m, topology="torus"), routes=simple.from_trees(range(4), trees)
        )
        assert check(network, wraps).ok

    def test_the_way_of_a_tree_leads_through_its_switches(self) -> None:
        # Leaves 0 to 5 under switches 6 (0 1 2) and 7 (3 4 5), the root is 8.
        network = simple.axons([2], 0, [simple.bundle("a", 0, [[1]])])
        m = simple.machine("tree", (6, 1), arity=(2, 3))
        mapping = simple.map_simply(network, m, [0, 1], [1, 5])
        assert simple.trees_of(mapping.routes) == [(1, [(1, 6), (6, 8), (8, 7), (7, 5)], [5])]
        checked = check(network, mapping)
        assert checked.ok and checked.usage.hops == 4
        short = simple.from_trees([0, -1], [(1, [(1, 6), (6, 7), (7, 5)], [5])])
        assert kinds(check(network, replace(mapping, routes=short))) == {"link"}

    def test_all_faults_are_raised_with_their_codes(self) -> None:
        limits = simple.machine(limits={"fan_in": 1}).core
        mapping = rerouted(set_tree(0, sinks=[7]), core=limits)
        with pytest.raises(SpikecError) as caught:
            check(worked_network(), mapping).raise_faults()
        assert [d.code for d in caught.value.diagnostics] == ["E0320", "E0321"]
        assert all("report" in (d.hint or "") for d in caught.value.diagnostics)
        check(worked_network(), worked()).raise_faults()

    def test_a_fault_names_the_place_in_the_users_file(self) -> None:
        network = worked_network()
        place = Location("net.nir", "lif1")
        nodes = (replace(network.nodes[0], at=place), *network.nodes[1:])
        checked = check(replace(network, nodes=nodes), rerouted(set_tree(0, sinks=[7])))
        assert (checked.faults[0].where, checked.faults[0].source) == (place, 0)


def ids(values: Sequence[int]) -> np.ndarray:
    return np.array(values, np.int32)


def misform(**changes: object) -> Mapping:
    return replace(worked(), **changes)  # type: ignore[arg-type]


def misform_routes(**changes: object) -> Mapping:
    mapping = worked()
    return replace(mapping, routes=replace(mapping.routes, **changes))  # type: ignore[arg-type]


MISFORMED = {
    "part too short": (misform(part=np.array([0, 0, 1, 2])), "part"),
    "part out of range": (misform(part=np.array([0, 0, 1, 2, 3])), "part"),
    "part below 0": (misform(part=np.array([0, 0, 1, 2, -1])), "part"),
    "empty part": (misform(part=np.array([0, 0, 0, 2, 2])), "empty_part"),
    "off the machine": (misform(seat=np.array([0, 2, 8])), "seat"),
    "seat below 0": (misform(seat=np.array([0, 2, -7])), "seat"),
    "seat twice": (misform(seat=np.array([0, 2, 2])), "seat_twice"),
    "absent": (misform(machine=worked_machine(absent={(3, 1)})), "seat"),
    "no host": (misform(machine=worked_machine(host=8)), "machine"),
    "absent host": (misform(machine=worked_machine(absent={(0, 1)})), "machine"),
    "sources": (misform_routes(of=np.array([0, 1, 2, -1, -1])), "routes"),
    "no such route": (misform_routes(of=np.array([0, 1, 2, -1, -1, 4])), "routes"),
    "rows": (misform_routes(link_ptr=np.array([0, 4, 3, 6, 10])), "routes"),
    "rows end early": (misform_routes(sink_ptr=np.array([0, 2, 3, 4, 5])), "routes"),
    "origin": (misform_routes(origin=np.array([0, 0, 2, 8])), "routes"),
    "sink": (misform_routes(sink=np.array([2, 8, 0, 7, 0, 2])), "routes"),
    "link": (misform_routes(start=np.array([0, 1, 2, 3, 2, 3, 4, 4, 5, 99])), "routes"),
    "links of two lengths": (misform_routes(start=np.array([0, 1, 2])), "routes"),
}


class TestForm:
    @pytest.mark.parametrize("name", MISFORMED)
    def test_of_the_mapping(self, name: str) -> None:
        mapping, kind = MISFORMED[name]
        checked = check(worked_network(), mapping)
        assert kinds(checked) == {kind}
        assert {fault.code for fault in checked.faults} == {"E0322"}
        assert checked.usage.neurons.size == 0

    @pytest.mark.parametrize(
        ("first", "ptr", "target", "delay"),
        [
            (5, [0, 1, 2], [0, 1], 1),  # a row behind the last source
            (-1, [0, 2], [0, 1], 1),
            (0, [0, 2, 1, 2], [0, 1], 1),
            (0, [0, 1], [0, 1], 1),
            (0, [0, 2], [0, 5], 1),  # 5 is a line
            (0, [0, 2], [0, -1], 1),
            (0, [0, 2], [0, 1], [1, 1, 1]),
            (0, [0, 2], [0, 1], [1, -1]),
        ],
    )
    def test_of_a_bundle(
        self, first: int, ptr: list[int], target: list[int], delay: int | list[int]
    ) -> None:
        wrong = Bundle("wrong", first, np.array(ptr), ids(target), np.array(delay, np.int32))
        network = replace(worked_network(), bundles=(wrong,))
        (fault,) = check(network, worked()).faults
        assert fault.kind == "axons" and "'wrong'" in fault.message

    def test_of_nodes_and_rates(self) -> None:
        network = worked_network()
        gap = (Node("p0", 0, 2), Node("p1", 3, 2), Node("in", 5, 1))
        for change in (
            {"nodes": gap},
            {"neurons": 4},
            {"rate": np.ones(5, np.int64)},
            {"rate": np.array([1, 1, 1, 1, 1, -1])},
        ):
            assert "axons" in kinds(check(replace(network, **change), worked()))

    def test_of_a_tree(self) -> None:
        network = simple.axons([1], 0, [])
        m = simple.machine("tree", (6, 1), arity=(2, 3))
        mapping = simple.map_simply(network, m, [0], [5])
        assert check(network, mapping).ok
        wrong = replace(mapping, machine=replace(m, arity=(2, 2)))
        assert kinds(check(network, wrong)) == {"machine"}


# -- tables ----------------------------------------------------------------------------------------
#
# Three neurons in a row of four routers, one core each, links 0 east, 1 north, 2 west, 3 south:
# 0 (router 0) to 1 (router 2) and 2 (router 3); 1 to 0.

ALL = 0xFFFFFFFF
EAST, WEST = 1, 4


def row_of_three(rows: list[list[simple.Entry]], key: Sequence[int] = (8, 9, 0)) -> Checked:
    network = simple.axons([3], 0, [simple.bundle("a", 0, [[1, 2], [0]])])
    m = simple.machine(routers=(4, 1))
    mapping = simple.map_simply(network, m, [0, 1, 2], [0, 2, 3])
    return check(network, simple.replace_tables(mapping, key, rows))


GOOD: list[list[simple.Entry]] = [
    [(8, ALL, EAST, 0), (9, ALL, 0, 1)],
    [],  # straight on
    [(8, ALL, EAST, 1), (9, ALL, WEST, 0)],
    [(8, ALL, 0, 1)],
]


def with_row(router: int, row: list[simple.Entry]) -> list[list[simple.Entry]]:
    return [row if r == router else GOOD[r] for r in range(4)]


TABLE_FAULTS: dict[str, tuple[list[list[simple.Entry]], set[str]]] = {
    "first removed": (with_row(0, GOOD[0][1:]), {"no_entry", "stuck", "undelivered"}),
    # The packet of 0 passes router 2 without delivery.
    "middle removed": (with_row(2, GOOD[2][1:]), {"undelivered"}),
    # Straight on beyond the last router.
    "last removed": (with_row(3, []), {"off_machine", "undelivered"}),
    "beyond the edge": (with_row(3, [(8, ALL, EAST, 1)]), {"off_machine"}),
    "no such link": (with_row(3, [(8, ALL, 16, 1)]), {"off_machine"}),
    "back": (with_row(3, [(8, ALL, WEST, 1)]), {"loop"}),
    "swapped": (
        with_row(2, [(9, ALL, EAST, 1), (8, ALL, WEST, 0)]),
        {"loop", "strayed", "wrong_core", "stuck", "undelivered"},
    ),
    "masked": (
        with_row(2, [(8, ALL - 1, EAST, 1), GOOD[2][1]]),  # takes 9, too
        {"strayed", "wrong_core", "stuck", "undelivered"},
    ),
    "stray": (with_row(0, [GOOD[0][0], (9, ALL, EAST, 1)]), {"loop"}),
    "no core": (with_row(3, [(8, ALL, 0, 0)]), {"undelivered"}),
    "core of no part": (with_row(1, [(8, ALL, EAST, 1)]), {"wrong_core"}),
    "no such core": (with_row(3, [(8, ALL, 0, 3)]), {"wrong_core"}),
    "never": (with_row(1, [(8, 4, EAST, 0)]), {"entry"}),
}


class TestTables:
    def test_right_ones(self) -> None:
        assert row_of_three(GOOD).ok

    def test_first_match_counts(self) -> None:
        wide = (8, ALL - 1, WEST, 0)
        assert row_of_three(with_row(2, [GOOD[2][0], wide])).ok
        assert not row_of_three(with_row(2, [wide, GOOD[2][0]])).ok
        assert row_of_three(with_row(2, [*GOOD[2], (0, 0, 2, 1)])).ok
        assert not row_of_three(with_row(2, [(0, 0, 2, 1), *GOOD[2]])).ok
        # Of two with the same key and mask the first.
        assert row_of_three(with_row(2, [*GOOD[2], (8, ALL, WEST, 0)])).ok
        assert not row_of_three(with_row(2, [(8, ALL, WEST, 0), *GOOD[2]])).ok

    @pytest.mark.parametrize("name", TABLE_FAULTS)
    def test_faults(self, name: str) -> None:
        rows, expected = TABLE_FAULTS[name]
        assert kinds(row_of_three(rows)) == expected

    def test_keys(self) -> None:
        same = row_of_three(GOOD, (8, 8, 0))
        assert "key" in kinds(same)
        assert "neuron 0 of 'p0' and neuron 1 of 'p0' have the same key 0x8" in str(same.faults)
        assert kinds(row_of_three(GOOD, (8, 9, 1))) == {"idle_key"}
        assert kinds(row_of_three(GOOD, (8, 9))) == {"tables"}
        assert kinds(row_of_three(GOOD[:3])) == {"tables"}

    def test_a_key_has_to_take_the_links_of_its_route(self) -> None:
        # 0 to the three others of a square, by 0 -> 1 -> 3; the tables lead by 0 -> 2 -> 3.
        network = simple.axons([4], 0, [simple.bundle("a", 0, [[1, 2, 3]])])
        mapping = simple.map_simply(network, simple.machine(routers=(2, 2)), range(4), range(4))
        assert (1, 3) in simple.trees_of(mapping.routes)[0][1]
        rows: list[list[simple.Entry]] = [
            [(1, ALL, 3, 0)],
            [(1, ALL, 0, 1)],
            [(1, ALL, EAST, 1)],
            [(1, ALL, 0, 1)],
        ]
        around = simple.replace_tables(mapping, [1, 0, 0, 0], rows)
        assert kinds(check(network, around)) == {"strayed", "stuck", "undelivered"}
        rows[1], rows[2] = [(1, ALL, 2, 1)], [(1, ALL, 0, 1)]
        assert check(network, simple.replace_tables(mapping, [1, 0, 0, 0], rows)).ok

    def test_keys_of_one_route_that_an_entry_tells_apart(self) -> None:
        # Neurons 0 to 3 of router 0, with the keys 8 to 11, all have neuron 4 of router 1.
        network = simple.axons([5], 0, [simple.bundle("a", 0, [[4]] * 4)])
        mapping = simple.map_simply(network, simple.machine(routers=(2, 1)), [0] * 4 + [1], [0, 1])
        assert mapping.routes.count == 1
        block: simple.Entry = (8, ALL - 3, EAST, 0)

        def found(row: list[simple.Entry]) -> dict[str, int]:
            rows = [row, [(8, ALL - 3, 0, 1)]]
            faults = check(network, simple.replace_tables(mapping, [8, 9, 10, 11, 0], rows)).faults
            return {fault.kind: fault.count for fault in faults}

        assert found([block]) == {}
        assert found([(8, ALL - 2, EAST, 0), (9, ALL - 2, EAST, 0)]) == {}
        assert found([block, (9, ALL, 2, 0)]) == {}
        # In front of it, 9 and then 10 and 11 go north, where nothing is.
        assert found([(9, ALL, 2, 0), block]) == {
            "off_machine": 1,
            "stuck": 1,
            "undelivered": 1,
        }
        assert found([(10, ALL - 1, 2, 0), block])["off_machine"] == 2
        assert found([(8, ALL - 1, EAST, 0)]) == {"no_entry": 2, "stuck": 2, "undelivered": 2}

    def test_opposite_of_the_six_links_of_triads(self) -> None:
        # North-east twice: (0, 0) -> (1, 1) -> (2, 2), with no entry in the middle.
        network = simple.axons([2], 0, [simple.bundle("a", 0, [[1]])])
        m = simple.machine("triads", (3, 3))
        mapping = simple.map_simply(network, m, [0, 1], [0, 8])
        assert simple.trees_of(mapping.routes) == [(0, [(0, 4), (4, 8)], [8])]
        rows: list[list[simple.Entry]] = [[] for _ in range(9)]
        rows[0], rows[8] = [(1, ALL, 1 << 1, 0)], [(1, ALL, 0, 1)]
        assert check(network, simple.replace_tables(mapping, [1, 0], rows)).ok
        rows[0] = [(1, ALL, 1 << 0, 0)]
        assert kinds(check(network, simple.replace_tables(mapping, [1, 0], rows))) == {
            "strayed",
            "stuck",
            "undelivered",
        }


# -- against the plain recount ---------------------------------------------------------------------

MACHINES = [
    simple.machine(routers=(4, 3), host=5),
    simple.machine(routers=(2, 2), chips=(2, 2), cores=2, chip_link=3.5, multicast=False),
    simple.machine("torus", (3, 4), chip_link=2, host=3),
    simple.machine("torus", (2, 4), chips=(2, 1), cores=2, chip_link=2, multicast=False),
    simple.machine("torus", (2, 3), cores=2),  # two links join the same pair
    simple.machine("triads", (4, 4), absent=[(1, 1), (0, 3)], host=6),
    simple.machine("triads", (3, 3), cores=3, wraps=True),
    simple.machine("triads", (2, 2), chips=(2, 2), wraps=True, chip_link=4),
    simple.machine("ring", (7, 1), multicast=False),
    simple.machine("ring", (4, 1), chips=(2, 1), chip_link=9),
    simple.machine("tree", (12, 1), arity=(2, 3, 2), host=20),
    simple.machine("tree", (4, 1), arity=(4,), cores=3, multicast=False),
    simple.machine(routers=(4, 2), wraps=True, absent=[(3, 0)], host=1),
]

ENCODINGS = [
    Encoding(simple.quantity(0), simple.quantity(0)),
    Encoding(simple.quantity(30), simple.quantity(5), word=64),
    Encoding(simple.quantity(16), simple.quantity(3), word=24, shared=True),
    Encoding(simple.quantity(1), simple.quantity(1), crossbar=True),
]


@st.composite
def networks(draw: st.DrawFn) -> Axons:
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    lines = draw(st.integers(0, 3))
    neurons = sum(sizes)
    bundles = []
    for i in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, neurons + lines - 1))
        rows = draw(
            st.lists(
                st.lists(st.integers(0, neurons - 1), max_size=5),
                max_size=neurons + lines - first,
            )
        )
        size = sum(map(len, rows))
        delays = st.lists(st.integers(0, 9), min_size=size, max_size=size)
        delay = draw(st.integers(0, 9) | delays)
        kernel = draw(st.sampled_from([0, 0, 3, 9]))
        bundles.append(simple.bundle(f"b{i}", first, rows, delay, kernel))
    rate = draw(st.lists(st.integers(0, 20), min_size=neurons + lines, max_size=neurons + lines))
    return simple.axons(sizes, lines, bundles, rate, draw(st.integers(1, 9)))


@st.composite
def mappings(draw: st.DrawFn) -> tuple[Axons, Mapping]:
    network = draw(networks())
    m = replace(draw(st.sampled_from(MACHINES)), encoding=draw(st.sampled_from(ENCODINGS)))
    seats = [core for core in range(m.seats) if m.place(core // m.cores_per_router) not in m.absent]
    count = draw(st.integers(1, min(network.neurons, 4, len(seats))))
    spare = network.neurons - count
    rest = draw(st.lists(st.integers(0, count - 1), min_size=spare, max_size=spare))
    part = draw(st.permutations([*range(count), *rest]))
    seat = draw(st.permutations(seats))[:count]
    tables = m.topology != "tree" and draw(st.booleans())
    return network, simple.map_simply(network, m, part, seat, tables=tables)


@given(mappings())
def test_counts_are_those_of_the_plain_recount(case: tuple[Axons, Mapping]) -> None:
    network, mapping = case
    assert delivers(network, mapping)
    checked = check(network, mapping)
    assert checked.faults == ()
    usage, expected = checked.usage, recount(network, mapping)
    for name in ("neurons", "in_axons", "out_axons", "synapse_bits", "fan_in", "fan_out", "delay"):
        assert getattr(usage, name).tolist() == getattr(expected, name), name
    assert usage.packets == expected.packets
    assert usage.hops == pytest.approx(expected.hops, rel=1e-12)
    load = zip(usage.link_start, usage.link_end, usage.link_load, strict=True)
    assert {(int(a), int(b)): int(n) for a, b, n in load} == dict(+expected.load)


NIBBLE = st.integers(0, 15)


@given(
    st.lists(st.tuples(NIBBLE, NIBBLE, NIBBLE), max_size=16),
    st.lists(NIBBLE, min_size=16, max_size=16, unique=True),
)
def test_the_first_match_among_many_masks(
    entries: list[tuple[int, int, int]], keys: list[int]
) -> None:
    """Tables are drawn, and the network is the one that they deliver."""
    row: list[simple.Entry] = [(key & mask, mask, 0, cores) for key, mask, cores in entries]
    matches = [[cores for k, m, _, cores in row if key & m == k] for key in keys]
    # Sources 0 to 3 are the neurons of the four cores of a router, the others lines.
    targets = [[core for core in range(4) if m and m[0] >> core & 1] for m in matches]
    network = simple.axons([4], 12, [simple.bundle("a", 0, targets)])
    mapping = simple.map_simply(
        network, simple.machine(routers=(1, 1), cores=4), range(4), range(4)
    )
    used = [key if target else 0 for key, target in zip(keys, targets, strict=True)]
    right = simple.replace_tables(mapping, used, [row])
    assert check(network, right).ok and delivers(network, right)


@st.composite
def corrupted(draw: st.DrawFn) -> tuple[Axons, Mapping, bool]:
    """A mapping with one thing changed, and whether that is wrong whatever the network."""
    network, mapping = draw(mappings())
    routes, m = mapping.routes, mapping.machine
    of, trees = routes.of.tolist(), simple.trees_of(routes)
    part, seat = mapping.part.tolist(), mapping.seat.tolist()
    what = draw(
        st.sampled_from(
            ["neuron", "seats", "of", "cut", "link", "added", "dropped", "sink", "origin", "table"]
        )
    )
    picked = draw(st.integers(0, max(0, len(trees) - 1)))
    wrong = False
    if what in ("cut", "link", "added", "dropped", "sink", "origin"):
        assume(trees)
        origin, links, sinks = trees[picked]
        places = len(simple.links_of(m))
        if what in ("cut", "link"):
            assume(links)
            at = draw(st.integers(0, len(links) - 1))
            if what == "cut":
                del links[at]
                wrong = True
            else:
                end = draw(st.integers(0, places - 1))
                links[at] = draw(st.sampled_from([(links[at][0], end), (end, links[at][1])]))
        elif what == "added":
            links.append((draw(st.integers(0, places - 1)), draw(st.integers(0, places - 1))))
            wrong = True
        elif what == "dropped":
            del sinks[draw(st.integers(0, len(sinks) - 1))]
            wrong = True
        elif what == "sink":
            sinks.insert(draw(st.integers(0, len(sinks))), draw(st.integers(0, m.seats - 1)))
            wrong = True
        else:
            changed = draw(st.integers(0, places - 1))
            assume(changed != origin)
            origin, wrong = changed, True
        trees[picked] = (origin, links, sinks)
    elif what == "neuron":
        part[draw(st.integers(0, len(part) - 1))] = draw(st.integers(0, len(seat) - 1))
    elif what == "seats":
        one, two = (draw(st.integers(0, len(seat) - 1)) for _ in range(2))
        seat[one], seat[two] = seat[two], seat[one]
    elif what == "of":
        of[draw(st.integers(0, len(of) - 1))] = draw(st.integers(-1, len(trees) - 1))
    changed_mapping = replace(
        mapping, part=np.array(part), seat=np.array(seat), routes=simple.from_trees(of, trees)
    )
    if what == "table":
        assume(mapping.tables is not None and mapping.tables.entry_key.size)
        changed_mapping = corrupt_table(draw, mapping)
    assume(changed_mapping != mapping)
    return network, changed_mapping, wrong


def corrupt_table(draw: st.DrawFn, mapping: Mapping) -> Mapping:
    assert mapping.tables is not None
    rows, key = simple.rows_of(mapping.tables), mapping.tables.key.tolist()
    router = draw(st.sampled_from([r for r, row in enumerate(rows) if row]))
    row = rows[router]
    at = draw(st.integers(0, len(row) - 1))
    entry_key, mask, links, cores = row[at]
    match draw(st.sampled_from(["removed", "swapped", "masked", "links", "cores", "key", "moved"])):
        case "removed":
            del row[at]
        case "swapped":
            other = draw(st.integers(0, len(row) - 1))
            row[at], row[other] = (
                (entry_key, mask, *row[other][2:]),
                (*row[other][:2], links, cores),
            )
        case "masked":
            mask ^= 1 << draw(st.integers(0, 4))
            row[at] = (entry_key & draw(st.sampled_from([mask, ALL])), mask, links, cores)
        case "links":
            row[at] = (entry_key, mask, links ^ 1 << draw(st.integers(0, 6)), cores)
        case "cores":
            row[at] = (entry_key, mask, links, cores ^ 1 << draw(st.integers(0, 3)))
        case "key":
            key[draw(st.integers(0, len(key) - 1))] ^= 1 << draw(st.integers(0, 3))
        case "moved":
            rows[draw(st.integers(0, len(rows) - 1))].append(row.pop(at))
    return simple.replace_tables(mapping, key, rows)


@given(corrupted())
def test_whatever_is_broken_is_found(case: tuple[Axons, Mapping, bool]) -> None:
    network, mapping, wrong = case
    right = delivers(network, mapping)
    assert not (right and wrong)
    checked = check(network, mapping)
    assert checked.ok == right, checked.faults
    if not right:
        assert not {fault.code for fault in checked.faults} - {"E0321", "E0322"}
        with pytest.raises(SpikecError):
            checked.raise_faults()
