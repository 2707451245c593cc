"""The ring's tables as a mapping: what they send where is counted again from the synapses."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from spikec.backends.fpga.choose_cores import choose_cores
from spikec.backends.fpga.cluster import LoweredCluster, lower_cluster
from spikec.backends.fpga.emit import emit
from spikec.backends.fpga.level import level
from spikec.backends.fpga.lower import Build
from spikec.backends.fpga.partition import split
from spikec.backends.fpga.ring import ring_machine, ring_mapping
from spikec.boards.board import load_board
from spikec.compiler.mapping.check import check
from spikec.compiler.mapping.mapping import Mapping
from spikec.compiler.mapping.to_json import mapping_json, read_mapping
from spikec.ir.diagnostics import SpikecError

from .test_choose import layers, recurrent_sparse
from .test_cluster import CORES, networks

BOARD = load_board("ulx3s-85f")


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("number", [2, 4])
def test_tables_of_random_networks_send_to_exactly_the_targets(name: str, number: int) -> None:
    one = CORES[name]
    for case, assignment in networks(one, number, 12):
        core = lower_cluster(case.graph, Build(one.lanes, one.units), assignment)
        axons, mapped = ring_mapping(core, BOARD.target)
        mapping, usage = mapped.mapping, mapped.checked.usage
        assert mapping.parts == number and mapping.machine.cores == number
        limit = mapping.machine.core.neurons
        assert limit is not None and limit.value == max(c.neurons for c in core.shape.cores)
        # A packet passes every station on its way, and goes in one copy to as many as want it.
        lines = [core.placement.inputs[n.name] + np.arange(n.size) for n in case.graph.inputs]
        places = [core.shape.inputs + core.placement.places(p) for p in case.graph.populations]
        bits = core.image.routes[np.concatenate([*places, *lines])]
        assert usage.packets == sum(int(b).bit_count() for b in bits)
        assert read_mapping(mapping_json(axons, mapped), mapping.machine, axons) == mapping


def cluster(number: int = 3) -> LoweredCluster:
    graph = recurrent_sparse(60, 3)
    assignment = level(graph, split(graph, number, 4, 2, 0.1), 4, 2)
    return lower_cluster(graph, Build(4, 2), assignment)


def test_hops_are_the_stations_that_a_packet_passes() -> None:
    core = cluster()
    _, mapped = ring_mapping(core, BOARD.target)
    routes, stations = mapped.mapping.routes, 4
    far = np.diff(routes.link_ptr)
    for r in range(routes.count):
        sinks = routes.sink[routes.sink_ptr[r] : routes.sink_ptr[r + 1]]
        assert far[r] == max((sinks - routes.origin[r]) % stations)
    assert mapped.checked.usage.hops == far[routes.of[routes.of >= 0]].sum()


@pytest.mark.parametrize("kind", ["missing_sink", "extra_sink"])
def test_a_wrong_word_of_a_table_is_found(kind: str) -> None:
    core = cluster()
    tables = core.image.routes.copy()
    if kind == "missing_sink":
        at = int(np.flatnonzero(tables)[0])
        tables[at] &= tables[at] - 1
    else:
        first = core.shape.inputs
        own = range(first, first + core.shape.cores[0].neurons)
        at, core_number = next((n, k) for n in own for k in (1, 2) if not tables[n] >> k & 1)
        tables[at] |= 1 << core_number
    wrong = replace(core, image=replace(core.image, routes=tables))
    with pytest.raises(SpikecError) as caught:
        ring_mapping(wrong, BOARD.target)
    assert {d.code for d in caught.value.diagnostics} == {"E0321"}


def test_no_part_sits_at_the_station_of_the_lines() -> None:
    core = cluster()
    axons, mapped = ring_mapping(core, BOARD.target)
    machine = ring_machine(core.shape, BOARD.target)
    assert (machine.cores, machine.seats, machine.host) == (3, 4, 3)
    moved = mapped.mapping
    wrong = Mapping(machine, moved.part, np.array([0, 1, 3]), moved.routes)
    assert [f.kind for f in check(axons, wrong).faults] == ["seat"]


def test_an_artefact_of_several_cores_has_their_mapping() -> None:
    graph = layers(64, 96, 32)
    emission = emit(graph, BOARD, {"cores": 2, "bitstream": False}, lambda *_: None)
    assert emission.mapping is not None
    axons, mapped = emission.mapping
    facts = json.loads(mapping_json(axons, mapped))
    assert facts["machine"]["topology"] == "ring" and facts["totals"]["of_cores"] == 2
    core, _, _ = choose_cores(graph, BOARD.target, 2)
    assert isinstance(core, LoweredCluster)
    held = [sum(p.size for p in part.graph.populations) for part in core.parts]
    assert [part["usage"]["neurons"] for part in facts["parts"]] == held
    alone = emit(graph, BOARD, {"bitstream": False}, lambda *_: None)
    assert alone.mapping is None
