"""Bits of synapse memory in Loihi's formats: by hand, against plain Python, and checked again."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.boards.chip import load_chip
from spikec.boards.machine import Formats, Machine
from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.check import check
from spikec.compiler.mapping.encodings import bits_of, encode, encoding_uses, plans
from spikec.compiler.mapping.hypergraph import hypergraph
from spikec.compiler.mapping.map import Mapped, map_network
from spikec.compiler.mapping.mapping import Encodings, Mapping, Routes
from spikec.compiler.mapping.network import axons_of
from spikec.compiler.mapping.partition import partition
from spikec.compiler.mapping.refine import usage
from spikec.compiler.mapping.to_json import mapping_facts, mapping_json, read_mapping
from spikec.ir.connections import Connection, Conv1d, Conv2d, Dense, Sparse
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.loihi import LoihiWeights
from spikec.ir.neurons import LoihiLIF

LOIHI = load_chip("loihi1")
DENSE, SPARSE, RUNLENGTH, CONVOLUTION = range(4)
ILLEGAL = 1 << 60


def formats() -> Formats:
    found = LOIHI.encoding.formats
    assert found is not None
    return found


def graph(*connections: Connection, delay: int = 1, bits: int = 8) -> Graph:
    """An input, and one population after the other, in Loihi's arithmetic."""
    words = LoihiWeights(bits)
    cell = LoihiLIF(du=np.array(0), dv=np.array(0), vth=np.array(9))
    populations = [Population(f"p{k}", c.out_shape, cell) for k, c in enumerate(connections)]
    names = ["in", *(p.name for p in populations)]
    return Graph(
        "net",
        1e-3,
        (Input("in", connections[0].in_shape),),
        tuple(populations),
        tuple(
            Projection(f"w{k}", names[k], names[k + 1], c, delay, words=words)
            for k, c in enumerate(connections)
        ),
        (Output("out", names[-1]),),
    )


def counted(connection: Connection, part: list[int] | None = None, **others: Any) -> Any:
    """Bits of a connection in each format and part, on Loihi."""
    axons = axons_of(graph(connection, **others), LOIHI, 8)
    own = np.zeros(axons.neurons, np.int32) if part is None else np.array(part, np.int32)
    return bits_of(axons, axons.bundles[0], LOIHI, own)


# -- by hand -----------------------------------------------------------------------------------


def test_a_dense_row_of_a_hundred() -> None:
    found = counted(Dense(np.full((100, 3), 2)))[:, 0].tolist()
    # 64 and 36 weights of 8 bits behind 10 bits: 522 and 298 bits, 9 and 5 words.
    assert found[DENSE] == 3 * (9 + 5) * 64
    # An index of 7 bits tells a hundred apart: 970 and 550 bits.
    assert found[SPARSE] == 3 * (16 + 9) * 64
    # One run: the index of its first and of the 65th: 529 and 305 bits.
    assert found[RUNLENGTH] == 3 * (9 + 5) * 64
    assert found[CONVOLUTION] == ILLEGAL


def test_a_row_with_gaps() -> None:
    row = np.zeros((200, 1), np.int64)
    row[[0, 1, 2, 50, 51, 199]] = 2
    found = counted(Dense(row))[:, 0].tolist()
    # Three runs, of which none fills a word and a half: 10 + 8 + 3 x 8, 10 + 8 + 16, 10 + 8 + 8.
    assert found[RUNLENGTH] == 3 * 64
    # 10 + 6 x 16.
    assert found[SPARSE] == 2 * 64
    # Three blocks of 522 bits, and one of 8 weights.
    assert found[DENSE] == (3 * 9 + 2) * 64


def test_places_are_those_of_the_core() -> None:
    # Every other neuron is a run of its own, until the ones between are in another core.
    row = np.zeros((80, 1), np.int64)
    row[::2] = 2
    assert counted(Dense(row))[RUNLENGTH, 0] == 40 * 64
    found = counted(Dense(row), [0, 1] * 40)
    assert found[RUNLENGTH].tolist() == [6 * 64, 0]
    assert found[DENSE].tolist() == [6 * 64, 0]
    assert found[SPARSE].tolist() == [9 * 64, 0]


def test_weights_have_the_widths_that_there_are_and_delays_take_six_bits() -> None:
    found = {
        bits: int(counted(Dense(np.zeros((32, 1), np.int64) + 128), bits=bits)[DENSE, 0])
        for bits in (2, 6, 7, 8)
    }
    words = {bits: math.ceil((10 + 32 * stored) / 64) for bits, stored in
             [(2, 2), (6, 6), (7, 8), (8, 8)]}  # fmt: skip
    assert found == {bits: 64 * count for bits, count in words.items()}
    late = counted(Dense(np.full((32, 1), 2)), delay=5)[DENSE, 0]
    assert late == 64 * math.ceil((10 + 32 * 14) / 64)


def test_a_convolution_has_a_row_for_each_kind_of_place() -> None:
    # Kernel 3 on 10 places: the first two, the last two, and the six between are alike.
    conv = Conv1d(np.full((1, 1, 3), 2), (1, 10))
    found = counted(conv)[:, 0].tolist()
    assert found[CONVOLUTION] == 5 * 64
    assert found[SPARSE] == 10 * 64
    # Two channels in are two rows for each place, two out are one row of twice as many.
    assert counted(Conv1d(np.full((1, 2, 3), 2), (2, 10)))[CONVOLUTION, 0] == 10 * 64
    # 6 synapses of 8 + 6 bits in the middle: the reach is 11 places.
    assert counted(Conv1d(np.full((2, 1, 3), 2), (1, 10)))[CONVOLUTION, 0] == (2 + 3 * 2) * 64
    # With a stride of 2 rows of one and of two taps take turns.
    assert counted(Conv1d(np.full((1, 1, 3), 2), (1, 11), stride=2))[CONVOLUTION, 0] == 4 * 64
    # Cut in two each half has borders of its own.
    halves = counted(conv, [0, 0, 0, 0, 1, 1, 1, 1])[CONVOLUTION].tolist()
    assert halves == [5 * 64, 5 * 64]


def test_what_is_not_alike_is_not_shared() -> None:
    conv = Conv2d(np.full((2, 1, 3, 3), 2), (1, 8, 8))
    same = counted(conv)[CONVOLUTION, 0]
    # Neurons taken out of the plane at random shift the places of all behind them.
    part = (np.random.default_rng(3).random(72) < 0.5).astype(int).tolist()
    assert counted(conv, part)[CONVOLUTION].sum() > same
    assert counted(conv)[CONVOLUTION, 0] < counted(conv)[SPARSE, 0]


# -- against plain Python ----------------------------------------------------------------------


def width(places: int) -> int:
    needed = math.ceil(math.log2(places)) if places > 1 else 0
    return next(w for w in formats().index_widths if w >= needed)


def row_bits(synapses: int, each: int, head: int = 10) -> int:
    total = 0
    while synapses > 0:
        some = min(synapses, 64)
        total += math.ceil((head + some * each) / 64) * 64
        synapses -= some
    return total


def by_hand(bundle: Bundle, part: list[int], first: int) -> dict[int, list[int]]:
    """Bits of each part in each format, one axon and one synapse after the other."""
    weight = next(w for w in formats().weight_widths if w >= bundle.weight_bits)
    weight += 6 if bundle.delay.max(initial=0) > 1 else 0
    members = {p: [v for v, q in enumerate(part) if q == p] for p in set(part)}
    rows = defaultdict(list)
    for r in range(bundle.ptr.size - 1):
        targets = [int(t) - first for t in bundle.target[bundle.ptr[r] : bundle.ptr[r + 1]]]
        for p in sorted({part[v] for v in targets}):
            rows[p].append((r, sorted(members[p].index(v) for v in targets if part[v] == p)))
    found = {}
    for p, here in rows.items():
        held = len(members[p])
        sparse = sum(row_bits(len(places), weight + width(held)) for _, places in here)
        dense = sum(row_bits(held, weight) for _ in here)
        runs = 0
        for _, places in here:
            run = 1
            for a, b in zip(places, [*places[1:], None], strict=True):
                if b == a + 1:
                    run += 1
                else:
                    runs += row_bits(run, weight, 10 + width(held))
                    run = 1
        if any(len(set(places)) < len(places) for _, places in here):
            dense = runs = ILLEGAL
        found[p] = [dense, sparse, runs, shared(bundle, members[p], here, weight)]
    return found


def shared(bundle: Bundle, members: list[int], here: list[Any], weight: int) -> int:
    w = bundle.window
    if w is None:
        return ILLEGAL
    kinds = set()
    for r, places in here:
        channel, y, x = r // (w.in_y * w.in_x), r // w.in_x % w.in_y, r % w.in_x
        kind = []
        for place in places:
            output, left = divmod(members[place], w.out_y * w.out_x)
            i, j = divmod(left, w.out_x)
            tap = (channel, output, y - i * w.stride_y, x - j * w.stride_x)
            kind.append((place - places[0], tap))
        kinds.add(tuple(kind))
    reach = max(kind[-1][0] + 1 for kind in kinds)
    return sum(row_bits(len(kind), weight + width(reach)) for kind in kinds)


@st.composite
def connections(draw: st.DrawFn) -> Connection:
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    pre, post = (int(n) for n in rng.integers(1, (12, 150)))
    kind = draw(st.sampled_from(["dense", "sparse", "banded", "conv1d", "conv2d"]))
    if kind == "dense":
        return Dense(np.full((post, pre), 2))
    if kind == "sparse":
        dense = rng.random((post, pre)) < rng.random()
        return Dense(np.where(dense, 2, 0))
    if kind == "banded":
        column = np.arange(post)[:, None] - rng.integers(0, post, pre)[None, :]
        return Dense(np.where((column >= 0) & (column < rng.integers(1, 80)), 2, 0))
    c, o, k, s = (int(n) for n in rng.integers(1, (3, 4, 4, 3)))
    if kind == "conv1d":
        weight = np.where(rng.random((o, c, k)) < 0.8, 2, 0)
        return Conv1d(weight, (c, int(rng.integers(6, 20))), s, (int(rng.integers(0, 2)), 0))
    weight = np.where(rng.random((o, c, k, 3)) < 0.8, 2, 0)
    dilation = (1, int(rng.integers(1, 3)))
    return Conv2d(weight, (c, 7, 8), (s, 1), ((1, 0), (0, 1)), dilation)


def checked_bits(axons: Axons, part: Any, kind: int, bits: Any) -> tuple[list[int], list[str]]:
    """What the checker counts where everything is said to lie in one format, and its faults."""
    parts = int(part.max()) + 1
    some = bits_of(axons, axons.bundles[0], LOIHI, part)[SPARSE] > 0
    said = Encodings(
        tuple(one.name for one in formats().every),
        np.where(some, kind, -1)[None, :],
        np.where(some, bits, 0)[None, :],
    )
    none = np.zeros(0, np.int32)
    start = np.zeros(1, np.int64)
    routes = Routes(np.full(axons.sources, -1), none, start, none, none, start, none)
    mapping = Mapping(LOIHI, part, np.arange(parts, dtype=np.int32), routes, None, said)
    found = check(axons, mapping)
    faults = [f.message for f in found.faults if f.kind == "encoding"]
    return found.usage.synapse_bits.tolist(), faults


@settings(max_examples=150, deadline=None)
@given(connections(), st.integers(1, 4), st.integers(0, 99), st.sampled_from([2, 5, 7, 8]),
       st.sampled_from([1, 1, 3]))  # fmt: skip
def test_both_counts_are_those_of_plain_python(
    connection: Connection, parts: int, seed: int, bits: int, delay: int
) -> None:
    axons = axons_of(graph(connection, bits=bits, delay=delay), LOIHI, 8)
    bundle = axons.bundles[0]
    part = np.random.default_rng(seed).integers(0, parts, axons.neurons)
    part = np.unique(part, return_inverse=True)[1].astype(np.int32)
    found = bits_of(axons, bundle, LOIHI, part)
    expected = by_hand(bundle, part.tolist(), 0)
    for p in range(found.shape[1]):
        assert found[:, p].tolist() == expected.get(p, [0, 0, 0, 0])
    for kind in range(4):
        if found[kind].max() < ILLEGAL:
            counted_again, faults = checked_bits(axons, part, kind, found[kind])
            assert (counted_again, faults) == (found[kind].tolist(), [])
    best = encode(axons, LOIHI, part)
    assert best is not None
    assert best.bits[0].tolist() == found.min(axis=0).tolist()


@settings(max_examples=100, deadline=None)
@given(connections(), st.integers(1, 4), st.integers(0, 99))
def test_a_plan_that_is_sure_never_counts_too_little(
    connection: Connection, parts: int, seed: int
) -> None:
    axons = axons_of(graph(connection), LOIHI, 8)
    part = np.random.default_rng(seed).integers(0, parts, axons.neurons)
    part = np.unique(part, return_inverse=True)[1].astype(np.int32)
    vertices = hypergraph(axons, 0, 0, shared=True, loads=plans(axons, LOIHI)[-1])
    planned = usage(vertices, part, int(part.max()) + 1)[:, 3]
    best = encode(axons, LOIHI, part)
    assert best is not None
    assert (planned >= best.bits.sum(axis=0)).all()


# -- pairs that are joined twice, several projections ------------------------------------------


def test_two_synapses_of_a_pair_lie_in_the_sparse_format_only() -> None:
    nodes = (Node("p", 0, 4), Node("in", 4, 1, lines=True))
    bundle = Bundle(
        "w",
        4,
        np.array([0, 3]),
        np.array([1, 1, 2], np.int32),
        np.array(1, np.int32),
        weight_bits=8,
    )
    axons = Axons(nodes, 4, (bundle,), np.ones(5, np.int64))
    part = np.zeros(4, np.int32)
    assert bits_of(axons, bundle, LOIHI, part)[:, 0].tolist() == [ILLEGAL, 64, ILLEGAL, ILLEGAL]
    _, faults = checked_bits(axons, part, SPARSE, [64])
    assert faults == []
    for kind, name in ((DENSE, "dense"), (RUNLENGTH, "runlength"), (CONVOLUTION, "convolution")):
        _, faults = checked_bits(axons, part, kind, [64])
        assert f"synapses of 'w' cannot lie in core 0 as {name}" in faults


def test_delays_that_differ_share_no_rows() -> None:
    conv = Conv1d(np.full((1, 1, 3), 2), (1, 10))
    axons = axons_of(graph(conv), LOIHI, 8)
    one = axons.bundles[0]
    late = replace(one, delay=1 + np.arange(one.target.size, dtype=np.int32) % 3)
    axons = replace(axons, bundles=(late,))
    part = np.zeros(axons.neurons, np.int32)
    assert bits_of(axons, late, LOIHI, part)[CONVOLUTION, 0] == ILLEGAL
    _, faults = checked_bits(axons, part, CONVOLUTION, [0])
    assert any("cannot lie in core 0 as convolution" in fault for fault in faults)


def test_other_networks_are_counted_as_before() -> None:
    axons = axons_of(graph(Dense(np.full((5, 3), 2))), LOIHI, 8)
    plain = replace(axons, bundles=tuple(replace(b, weight_bits=0) for b in axons.bundles))
    part = np.zeros(5, np.int32)
    assert encode(plain, LOIHI, part) is None
    assert encode(axons, load_chip("spinnaker1"), part) is None
    mapped = map_network(plain, LOIHI, effort=0)
    assert mapped.mapping.encodings is None
    # 10 bits and 5 synapses of 8 + 11 are two words.
    assert mapped.checked.usage.synapse_bits.tolist() == [3 * 128]


# -- mappings ----------------------------------------------------------------------------------


def network() -> Graph:
    rng = np.random.default_rng(7)
    conv = Conv2d(rng.integers(1, 60, (4, 2, 3, 3)) * 2, (2, 18, 18))
    size = 4 * 16 * 16
    loose = np.where(rng.random((300, size)) < 0.05, 2, 0)
    return graph(conv, Dense(loose), Dense(np.full((200, 300), 2)))


@pytest.fixture(scope="module")
def mapped() -> tuple[Axons, Mapped]:
    """Each population in cores of its own: the plane of the convolution in one."""
    axons = axons_of(network(), LOIHI, 8)
    return axons, map_network(axons, replace(LOIHI, mixed=False), effort=0)


def test_each_projection_takes_the_format_of_the_fewest_bits(mapped: tuple[Axons, Mapped]) -> None:
    axons, found = mapped
    encodings = found.mapping.encodings
    assert encodings is not None
    of = {b.name: set(row[row >= 0].tolist()) for b, row in
          zip(axons.bundles, encodings.format, strict=True)}  # fmt: skip
    assert of == {"w0": {CONVOLUTION}, "w1": {SPARSE}, "w2": {DENSE}}
    assert found.checked.usage.synapse_bits.tolist() == encodings.bits.sum(axis=0).tolist()
    facts = mapping_facts(found, None, axons)["synapse_memory"]
    assert facts["bits"] == encodings.bits.sum() == sum(facts["formats"].values())
    assert facts["in_axons"] == found.checked.usage.in_axons.sum()
    assert {use.projection: use.synapses for use in encoding_uses(axons, found.mapping)} == {
        b.name: b.target.size for b in axons.bundles
    }


def test_the_file_has_them_and_gives_them_back(mapped: tuple[Axons, Mapped]) -> None:
    axons, found = mapped
    data = mapping_json(axons, found)
    folder = resources.files("spikec.compiler.mapping")
    schema = json.loads((folder / "mapping.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(data), schema)
    again = read_mapping(data, LOIHI, axons)
    assert again.encodings == found.mapping.encodings
    assert check(axons, again).ok
    plain = json.loads(data)
    del plain["encodings"]
    said = check(axons, read_mapping(json.dumps(plain).encode(), LOIHI, axons)).faults
    assert [(fault.code, fault.kind) for fault in said] == [("E0322", "encodings")]


def damage(data: Any, what: str) -> None:
    lines = data["encodings"]["projections"]
    match what:
        case "names":
            lines[0]["name"] = "other"
        case "part":
            lines[0]["parts"][0][0] = 99
        case "twice":
            lines[0]["parts"].append(lines[0]["parts"][0])
        case "format":
            lines[0]["parts"][0][1] = 4
        case "row":
            lines[0]["parts"][0].append(1)
        case "word":
            data["encodings"]["formats"][0] = 3


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("names", "encodings.projections are not those of the network"),
        ("part", "encodings.projections[0]: a part has 99, which is not from 0"),
        ("twice", "encodings.projections[0] has a part twice"),
        ("format", "encodings.projections[0]: a format has 4, which is not from 0 to 3"),
        ("row", "encodings.projections[0]: a row is [part, format, bits]"),
        ("word", "encodings.formats has something that is no name"),
    ],
)
def test_a_file_with_wrong_formats_is_refused(
    mapped: tuple[Axons, Mapped], what: str, message: str
) -> None:
    axons, found = mapped
    data = json.loads(mapping_json(axons, found))
    damage(data, what)
    with pytest.raises(SpikecError) as caught:
        read_mapping(json.dumps(data).encode(), LOIHI, axons)
    (one,) = caught.value.diagnostics
    assert one.code == "E0324"
    assert message in one.message


def test_the_checker_finds_a_count_that_was_falsified(mapped: tuple[Axons, Mapped]) -> None:
    axons, found = mapped
    right = found.mapping.encodings
    assert right is not None

    def faults(**others: Any) -> list[tuple[str, str, str]]:
        wrong = replace(found.mapping, encodings=replace(right, **others))
        return [(f.code, f.kind, f.message) for f in check(axons, wrong).faults]

    bits = right.bits.copy()
    row, part = np.argwhere(bits > 0)[-1].tolist()
    bits[row, part] -= 64
    core, true = int(found.mapping.seat[part]), int(right.bits[row, part])
    name = axons.bundles[row].name
    kind = right.names[right.format[row, part]]
    message = (
        f"'{name}' takes {true:,} bits in core {core} as {kind}, the mapping says {true - 64:,}"
    )
    assert faults(bits=bits) == [("E0322", "encoding", message)]
    # The same bits in another format are more.
    other = right.format.copy()
    other[row, part] = SPARSE if other[row, part] != SPARSE else RUNLENGTH
    assert ("E0322", "encoding") in [fault[:2] for fault in faults(format=other)]
    gone = right.format.copy()
    gone[row, part] = -1
    assert f"'{name}' has synapses in core {core}, the mapping says not so" in [
        fault[2] for fault in faults(format=gone)
    ]
    for others in ({"names": right.names[:3]}, {"bits": right.bits[:1]},
                   {"format": right.format + 3}):  # fmt: skip
        assert [fault[:2] for fault in faults(**others)] == [("E0322", "encodings")]


def with_memory(bits: int) -> Machine:
    limit = LOIHI.core.synapse_bits
    assert limit is not None
    return replace(LOIHI, core=replace(LOIHI.core, synapse_bits=replace(limit, value=float(bits))))


@pytest.mark.parametrize("effort", [0, 1])
@pytest.mark.parametrize("memory", [40_000, 150_000])
def test_memory_is_kept_whatever_is_shared(memory: int, effort: int) -> None:
    """Kernels that were hoped to be shared, in parts that are no rectangles, included."""
    machine = with_memory(memory)
    axons = axons_of(graph(Conv2d(np.full((8, 2, 3, 3), 2), (2, 12, 12))), machine, 8)
    part = partition(axons, machine, effort)
    found = encode(axons, machine, part)
    assert found is not None
    assert int(found.bits.sum(axis=0).max()) <= memory


def test_a_hope_that_fails_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = with_memory(40_000)
    axons = axons_of(graph(Dense(np.full((256, 64), 2))), machine, 8)
    sure = plans(axons, machine)[-1]
    nothing = [load._replace(target=0, axon=0 * load.axon) for load in sure]
    name = "spikec.compiler.mapping.partition.plans"
    monkeypatch.setattr(name, lambda *_: [nothing, sure])
    found = encode(axons, machine, partition(axons, machine, 0))
    assert found is not None
    assert int(found.bits.sum(axis=0).max()) <= 40_000


def test_dense_layers_take_fewer_cores_than_lists() -> None:
    axons = axons_of(graph(Dense(np.full((900, 900), 2))), LOIHI, 8)
    cores = {}
    for names in (("dense", "sparse"), ("sparse",)):
        own = replace(formats(), every=tuple(f for f in formats().every if f.name in names))
        machine = replace(LOIHI, encoding=replace(LOIHI.encoding, formats=own))
        cores[names] = map_network(axons, machine, effort=0).mapping.parts
    # 900 rows of 900: of 8 bits 7.5 million, of 8 and an index of 6 to 8 bits 12 or more.
    assert cores["dense", "sparse"] <= 9
    assert cores["sparse",] >= 12


@pytest.mark.parametrize("name", ["dense", "sparse", "runlength", "convolution"])
def test_the_format_that_was_chosen_is_taken_where_it_can_be(name: str) -> None:
    machine = with_memory(200_000)
    axons = axons_of(network(), machine, 8, synapses=name)
    mapped = map_network(axons, machine, effort=0)
    uses = encoding_uses(axons, mapped.mapping)
    assert mapped.checked.ok
    for use in uses:
        # Only a kernel is shared; the rest takes what is least.
        assert (use.format == name) or (name == "convolution" and use.projection != "w0")
    assert {use.projection for use in uses if use.format == name} >= {"w0"}


def test_a_format_that_there_is_not_is_refused() -> None:
    for machine, message in ((LOIHI, "it has: dense, sparse"), (load_chip("odin"), "it has: none")):
        with pytest.raises(SpikecError) as caught:
            axons_of(network(), machine, 8, synapses="packed")
        (one,) = caught.value.diagnostics
        assert one.code == "E0707" and message in (one.hint or "")


def test_a_wanted_format_that_is_no_use_is_refused() -> None:
    """Pairs that are joined twice cannot be dense: planned so they take more than there is."""
    nodes = (Node("p", 0, 1), Node("in", 1, 8, lines=True))
    many = 200
    bundle = Bundle(
        "w",
        1,
        np.arange(9) * many,
        np.zeros(8 * many, np.int32),
        np.array(1, np.int32),
        weight_bits=8,
    )
    axons = Axons(nodes, 1, (bundle,), np.ones(9, np.int64), format="dense")
    # Each row of 200 is three full blocks of 9 words, and one of 8 synapses; there is no index.
    found = encode(axons, LOIHI, np.zeros(1, np.int32))
    assert found is not None and found.bits.sum() == 8 * (3 * 9 + 2) * 64
    # More than the weights and heads take, that no neuron is refused for, and less than that.
    machine = with_memory(14_000)
    with pytest.raises(SpikecError) as caught:
        partition(axons, machine, 0)
    (one,) = caught.value.diagnostics
    assert one.code == "E0302" and "--synapses" in (one.hint or "")
    assert "no partition found whose synapses fit" in one.message


def test_a_neuron_that_fits_no_core_is_refused_with_its_bits() -> None:
    machine = with_memory(512)
    axons = axons_of(graph(Sparse(40, 1, np.arange(41), np.zeros(40, int), np.full(40, 2))),
                     machine, 8)  # fmt: skip
    with pytest.raises(SpikecError) as caught:
        partition(axons, machine, 0)
    (one,) = caught.value.diagnostics
    assert one.code == "E0302"
    assert "neuron 0 of 'p0' takes 720 bits of synapse memory at least" in one.message
