"""Chips are data: the facts are those of the literature, and impossible machines are refused."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.boards.board import Target
from spikec.boards.chip import chip_names, load_chip, load_chip_file, parse_chip
from spikec.boards.features import CHIP_FAMILIES, FPGA_CORE
from spikec.boards.machine import STEPS
from spikec.boards.table import BoardError

NAMES = chip_names()
SPINNAKERS = [name for name in NAMES if name.startswith("spinnaker1")]
UNITS = {
    "energy": "J",
    "time": "s",
    "power": "W",
    "frequency": "Hz",
    "rate": "1/s",
    "cycles": "cycles",
}


def source(name: str) -> str:
    folder = resources.files("spikec.boards") / "chips"
    return (folder / f"{name}.toml").read_text(encoding="utf-8")


# Chips, routers a chip, cores a router, cores of the machine.
SHAPES = {
    "dynap-se": ("mesh", (1, 1), (1, 1), 4, 4),
    "loihi1": ("mesh", (1, 1), (8, 4), 4, 128),
    "loihi2": ("mesh", (1, 1), (8, 4), 4, 128),
    "odin": ("mesh", (1, 1), (1, 1), 1, 1),
    "spinnaker1": ("triads", (1, 1), (1, 1), 16, 16),
    "spinnaker1-board": ("triads", (8, 8), (1, 1), 16, 48 * 16),
    "spinnaker1-triad": ("triads", (12, 12), (1, 1), 16, 144 * 16),
    "truenorth": ("mesh", (1, 1), (64, 64), 1, 4096),
}
SPINNAKER = {
    "neurons": 256,
    "sources": 500,
    "synapse_bits": 123_469_792 * 8 // 16,
    "delay_steps": 32,
}
CORES = {
    "dynap-se": {"neurons": 256, "fan_in": 64, "fan_out": 4, "delay_steps": 1},
    "loihi1": {
        "neurons": 1024,
        "in_axons": 4096,
        "out_axons": 4096,
        "synapse_bits": 128 * 1024 * 8,
        "delay_steps": 62,
    },
    "loihi2": {
        "neurons": 8192,
        "in_axons": 4096,
        "out_axons": 4096,
        "synapse_bits": 192 * 1024 * 8,
        "delay_steps": 62,
    },
    "odin": {"neurons": 256, "in_axons": 256, "delay_steps": 1},
    "spinnaker1": SPINNAKER,
    "spinnaker1-board": SPINNAKER,
    "spinnaker1-triad": SPINNAKER,
    "truenorth": {"neurons": 256, "in_axons": 256, "fan_out": 1, "delay_steps": 15},
}
# (multicast, mixed, inputs on cores)
RULES = {
    "dynap-se": (False, False, False),
    "loihi1": (False, True, False),
    "loihi2": (False, True, False),
    "odin": (False, True, False),
    "spinnaker1": (True, False, True),
    "spinnaker1-board": (True, False, True),
    "spinnaker1-triad": (True, False, True),
    "truenorth": (False, True, False),
}
MOST_CHIPS = {"dynap-se": 4, "loihi1": 768, "loihi2": 1152, "truenorth": 16}


@pytest.mark.parametrize("name", NAMES)
def test_arrangement(name: str) -> None:
    m = load_chip(name)
    assert (m.topology, m.chips, m.routers, m.cores_per_router, m.cores) == SHAPES[name]
    assert (m.multicast, m.mixed, m.inputs_on_cores) == RULES[name]
    most = MOST_CHIPS.get(name)
    assert (m.max_chips.value if m.max_chips else None) == most
    assert m.source and m.family in CHIP_FAMILIES


@pytest.mark.parametrize("name", NAMES)
def test_limits_of_a_core(name: str) -> None:
    core = load_chip(name).core
    assert {key: q.value for key, q in core.stated.items()} == CORES[name]


def test_encodings() -> None:
    loihi, truenorth, board = map(load_chip, ("loihi1", "truenorth", "spinnaker1-board"))
    assert (loihi.encoding.word, loihi.encoding.shared) == (64, True)
    assert truenorth.encoding.crossbar
    assert board.encoding.synapse_bits(8) == board.encoding.synapse_bits(16) == board.encoding.word
    assert board.routing_entries is not None
    assert board.routing_entries.value == 1023


@given(synapses=st.integers(1, 1024), weight=st.sampled_from([1, 2, 3, 4, 5, 6, 8]))
def test_loihis_encoding_covers_the_blocks_of_64_synapses(synapses: int, weight: int) -> None:
    # Each block: 10 bits of head, a weight and a 10-bit index a synapse, words of 64 bits.
    blocks = [64] * (synapses // 64) + [synapses % 64] * (synapses % 64 > 0)
    real = sum(64 * math.ceil((10 + n * (weight + 10)) / 64) for n in blocks)
    e = load_chip("loihi1").encoding
    bits = e.axon.value + synapses * e.synapse_bits(weight)
    said = e.word * math.ceil(bits / e.word)
    assert real <= said <= real + e.word


def test_a_board_of_spinnaker_is_a_hexagon_of_48_chips() -> None:
    board = load_chip("spinnaker1-board")
    there = {board.place(r) for r in range(board.router_count)} - board.absent
    assert len(board.absent) == 16
    assert there == {(x, y) for x in range(8) for y in range(8) if -4 < x - y < 5}
    # Its 240 links within: 288 ends, less the 48 that leave it (16 on each of three edges).
    links = [(x + dx, y + dy) in there for x, y in there for dx, dy in STEPS["triads"]]
    assert (sum(links), len(links)) == (240, 288)


def test_three_boards_cover_the_torus_of_the_triad() -> None:
    board, triad = load_chip("spinnaker1-board"), load_chip("spinnaker1-triad")
    assert triad.cyclic and not board.cyclic and not triad.absent
    there = {board.place(r) for r in range(board.router_count)} - board.absent
    width, height = triad.grid
    covered = [
        ((x + dx) % width, (y + dy) % height)
        for dx, dy in ((0, 0), (4, 8), (8, 4))
        for x, y in there
    ]
    assert len(covered) == len(set(covered)) == triad.router_count


def test_arrangements_of_spinnaker_agree_about_the_chip() -> None:
    one, *others = map(load_chip, SPINNAKERS)
    for other in others:
        assert (other.core, other.encoding, other.routing_entries) == (
            one.core,
            one.encoding,
            one.routing_entries,
        )
        assert {key: other.costs[key] for key in one.costs} == one.costs
        assert {"board_idle_power", "box_power"} == set(other.costs) - set(one.costs)


COSTS = {
    "loihi1": {
        "synop_energy": 23.6e-12,
        "neuron_idle_energy": 52e-12,
        "neuron_active_energy": 81e-12,
        "hop_x_energy": 3e-12,
        "hop_y_energy": 4e-12,
        "hop_x_time": 4.1e-9,
        "hop_y_time": 6.5e-9,
        "static_power": 3.34 / 32,
        "barrier_768_chip_time": 16.2e-6,
        "programming_time": 893 / 192,
        "sanafe_synop_dense_energy": 35.5e-12,
        "sanafe_hop_y_energy": 4.2e-12,
        "sanafe_message_out_energy": 111e-12,
    },
    "truenorth": {"hop_energy": 72e-15 * 32, "step_time": 1e-3, "chip_link_bit_energy": 26e-12},
    "spinnaker1": {
        "packet_energy": 40 * 25e-12,
        "payload_packet_energy": 72 * 25e-12,
        "chip_idle_power": 16.82 / 48,
        "core_active_power": (59.38 - 31.88) / 806,
        "synop_total_energy": 48 / 1.8e9,
    },
    "dynap-se": {"spike_1v3_energy": 260e-12, "hop_time": 15.4e-9},
}


@pytest.mark.parametrize("name", COSTS)
def test_costs(name: str) -> None:
    costs = load_chip(name).costs
    for key, value in COSTS[name].items():
        assert costs[key].value == pytest.approx(value, rel=0.015, abs=0), key


def test_sana_fes_constants_give_the_totals_that_it_reported() -> None:
    # 1000 neurons, 1000 steps, 11145 spikes to 100 synapses each: soma, synapses, packets.
    c = {key: q.value for key, q in load_chip("loihi1").costs.items()}
    update = c["sanafe_neuron_access_energy"] + c["sanafe_neuron_update_energy"]
    soma = 1e6 * update + 11145 * c["sanafe_spike_energy"]
    assert soma == pytest.approx(73.57235e-6, rel=1e-6)
    assert 1114500 * c["sanafe_synop_sparse_energy"] == pytest.approx(37.447e-6, rel=1e-4)
    assert 11145 * c["sanafe_message_out_energy"] == pytest.approx(1.2371e-6, rel=1e-4)
    idle = c["sanafe_neuron_access_time"] + c["sanafe_neuron_update_time"]
    assert 1000 * idle + c["sanafe_barrier_1_tile_time"] == pytest.approx(10.30e-6)


def test_truenorths_fit_meets_the_points_it_was_made_of() -> None:
    costs = load_chip("truenorth").costs
    synop, static = costs["synop_energy"].value, costs["static_power"].value
    for hertz, power in ((11.58, 68e-3), (20.07, 71e-3), (95.93, 94e-3)):
        events = 2**20 * 128 * hertz  # a million neurons of 128 synapses
        assert static + synop * events == pytest.approx(power, rel=0.006)
    # 26 pJ to 72 fJ a bit, rounded.
    link = load_chip("truenorth").chip_link
    assert link is not None
    assert link.value == pytest.approx(26e-12 / 72e-15, abs=0.5)


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_unit_source_and_origin(name: str) -> None:
    for key, q in load_chip(name).quantities.items():
        assert len(q.source) > 10, key
        assert q.unit, key
        if key.startswith("costs."):
            assert q.unit == UNITS[key.rpartition("_")[2]]


# Words of a source that no text stands behind.
GUESSED = ("from memory", "assumed", "was not read", "nothing says why", "inferred")


@pytest.mark.parametrize("name", NAMES)
def test_what_nobody_could_cite_is_recalled(name: str) -> None:
    for key, q in load_chip(name).quantities.items():
        guessed = any(word in q.source for word in GUESSED)
        assert (q.obtained == "recalled") == guessed, key


@pytest.mark.parametrize("name", NAMES)
def test_a_chip_is_a_target_with_the_limits_of_its_cores(name: str) -> None:
    machine = load_chip(name)
    target = Target.chip(machine, CHIP_FAMILIES[machine.family])
    assert (target.kind, target.name, target.machine) == ("chip", name, machine)
    assert target.limits == machine.core.every
    assert target.neurons is None  # those of the whole network are not limited
    assert target.features.hop == 1
    assert target.features.learns == ()
    assert Target.unlimited().machine is None
    assert "neurons" in Target.unlimited().limits
    assert hash(target) == hash(Target.chip(load_chip(name), target.features))


def test_families_are_not_taken_for_our_own_core() -> None:
    assert FPGA_CORE not in CHIP_FAMILIES.values()
    assert set(CHIP_FAMILIES) == {load_chip(name).family for name in NAMES}


def test_chips_load_without_any_hardware_library() -> None:
    script = (
        "import sys\n"
        "from spikec.boards.chip import chip_names, load_chip\n"
        "assert [load_chip(n) for n in chip_names()]\n"
        "assert not {'amaranth', 'lava', 'spynnaker', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_unknown_chips_are_refused_with_the_closest_name() -> None:
    with pytest.raises(BoardError, match="did you mean 'loihi1'") as caught:
        load_chip("lohi1")
    assert caught.value.code == "board-unknown"
    with pytest.raises(BoardError, match="there are: dynap-se"):
        load_chip("zzz")


def test_a_chip_of_ones_own_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(source("loihi1").replace('"loihi1"', '"mine"'), encoding="utf-8")
    assert load_chip_file(path).name == "mine"
    with pytest.raises(BoardError) as caught:
        load_chip_file(tmp_path / "absent.toml")
    assert caught.value.code == "board-unreadable"


TREE = ('topology         = "mesh"', 'topology = "tree"\narity = [4, 8]')


def test_a_tree_states_its_levels() -> None:
    text = source("loihi1").replace(*TREE)
    text = "\n".join(line for line in text.splitlines() if not line.startswith("max_chips"))
    with pytest.raises(BoardError, match=r"layout\.routers: must be \[32, 1\]"):
        parse_chip(text, "mine.toml")
    tree = parse_chip(text.replace("[8, 4]", "[32, 1]"), "mine.toml")
    assert (tree.arity, tree.router_count, tree.cores) == ((4, 8), 32, 128)


@pytest.mark.parametrize(
    ("name", "old", "new", "code", "expected"),
    [
        ("loihi1", "host             = 0", "host = 32", "board-value", "layout.host: must be one"),
        ("loihi1", "host             = 0", "host = -1", "board-value", "must be at least 0"),
        ("loihi1", "routers          = [8, 4]", "routers = [8, 0]", "board-value", "at least 1"),
        ("loihi1", "routers          = [8, 4]", "routers = [8]", "board-type", "of 2 integers"),
        (
            "loihi1",
            "routers          = [8, 4]",
            "routers = [8, 4.0]",
            "board-type",
            "layout.routers",
        ),
        (
            "loihi1",
            "chips            = [1, 1]",
            "chips = [99999, 99999]",
            "board-value",
            "the most",
        ),
        ("loihi1", "chips            = [1, 1]", "chips = [30, 30]", "board-value", "the 900 chips"),
        ("loihi1", '"mesh"', '"cube"', "board-value", "must be one of mesh"),
        ("loihi1", '"mesh"', '"tree"', "board-missing", "layout.arity: is missing"),
        ("loihi1", '"mesh"', '"mesh"\narity = [4]', "board-value", "layout.arity: is of trees"),
        (
            "loihi1",
            "chips            = [1, 1]",
            "chips = [2, 1]\narity = [4]",
            "board-value",
            "trees",
        ),
        ("loihi1", '"mesh"', '"ring"', "board-value", "make 4 rows; a ring is one"),
        ("loihi1", '"mesh"', '"torus"\nwraps = true', "board-value", "layout.wraps: is of mesh"),
        ("loihi1", '"mesh"', '"mesh"\nabsent = [[0, 0]]', "board-value", "layout.host: is the abs"),
        ("loihi1", '"mesh"', '"mesh"\nabsent = [[8, 0]]', "board-value", "[8, 0] is outside"),
        ("loihi1", '"mesh"', '"mesh"\nabsent = [[1, 4]]', "board-value", "[1, 4] is outside"),
        ("loihi1", '"mesh"', '"mesh"\nabsent = [[1, 1], [1, 1]]', "board-value", "[1, 1] twice"),
        (
            "loihi1",
            '"mesh"',
            '"mesh"\nabsent = [[1, 1]]',
            "board-value",
            "layout.max_chips: is for",
        ),
        ("loihi1", '"mesh"', '"mesh"\nabsent = [1, 1]', "board-type", "layout.absent[0]: must be"),
        ("loihi1", '"mesh"', '"mesh"\nabsent = 3', "board-type", "must be a list of pairs"),
        ("loihi1", "value = 768", "value = 0.5", "board-value", "must be a whole number"),
        ("loihi1", "value = 1024,", "value = 0,", "board-value", "core.neurons.value: must be ab"),
        ("loihi1", "value = 1024,", "value = -4,", "board-value", "must be above zero"),
        ("loihi1", "value = 1024,", "value = inf,", "board-value", "must be above zero"),
        ("loihi1", "value = 1024,", "value = 2.5,", "board-value", "must be a whole number"),
        ("loihi1", "value = 1024,", "value = 1e30,", "board-value", "value: must be at most"),
        ("loihi1", "[8, 4]", "[20000, 2000]", "board-value", "layout.routers: make 40,000,000"),
        ("loihi1", "value = 768", "value = 1000000000", "board-value", "max_chips: makes more co"),
        ("spinnaker1", "= 16\n", "= 40\n", "board-value", "cores_per_router: is 40; 32 is most"),
        ("spinnaker1", "value = 500,", "value = 10000000019,", "board-value", "core.sources: and"),
        (
            "spinnaker1",
            "mixed           = false",
            "mixed = true",
            "board-value",
            "core.sources: is",
        ),
        ("loihi1", '"mesh"', f'"tree"\narity = {[2] * 11}', "board-value", "arity: has 11 levels"),
        ("spinnaker1-board", "[8, 8]", "[80, 80]", "board-value", "absent: is for up to 4,096"),
        (
            "loihi1",
            '"mesh"',
            '"mesh"\nabsent = [[1, 0], [1, 1], [1, 2], [1, 3]]',
            "board-value",
            "layout.absent: leaves no way from router",
        ),
        ("loihi1", 'unit = "neurons"', 'unit = "axons"', "board-value", "must be 'neurons'"),
        ("loihi1", "value = 10,", "value = -1,", "board-value", "must be zero or more"),
        ("loihi1", "word     = 64", "word = 0", "board-value", "encoding.word: must be at least"),
        ("loihi1", "[core]", "[core]\nneuron = 3", "board-unknown-key", "did you mean 'neurons'"),
        ("loihi1", "[encoding]", "[coding]", "board-missing", "did you mean that?"),
        ("loihi1", "crossbar = false", "crossbar = true", "board-value", "no shared kernels"),
        ("loihi1", "[layout]", "[layout]\nwrap = true", "board-unknown-key", "layout.wrap"),
        ("loihi1", 'family          = "loihi"', 'family = "intel"', "board-value", "family: must"),
        ("loihi1", 'unit = "J"', 'unit = "pJ"', "board-value", "costs.synop_energy.unit: must be"),
        ("loihi1", "static_power ", "static_watts ", "board-unknown-key", "must end with one of"),
        ("loihi1", "synop_energy ", "synop_energy.x ", "board-missing", "costs.synop_energy.value"),
        ("truenorth", "in_axons ", "fan_in ", "board-value", "core.fan_in.unit"),
        ("truenorth", "value = 361", "value = 0", "board-value", "network.chip_link.value"),
        ("spinnaker1", "value = 1023", "value = 0", "board-value", "network.routing_entries.value"),
        ("spinnaker1", "crossbar = false", "crossbar = true", "board-value", "core.synapse_bits"),
        ("spinnaker1", "[network]", "[network]\nlinks = 3", "board-unknown-key", "network.links"),
        ("dynap-se", "crossbar = false", "crossbar = true", "board-missing", "core.in_axons"),
    ],
)
def test_impossible_chips_are_refused_by_place(
    name: str, old: str, new: str, code: str, expected: str
) -> None:
    text = source(name)
    assert old in text
    with pytest.raises(BoardError) as caught:
        parse_chip(text.replace(old, new, 1), "mine.toml")
    assert caught.value.code == code
    assert expected in str(caught.value)
    assert str(caught.value).startswith("mine.toml")


def test_a_machine_without_any_router_is_refused() -> None:
    text = source("spinnaker1").replace("host ", "absent = [[0, 0]]\nhost ", 1)
    with pytest.raises(BoardError, match=r"layout\.absent: leaves no router at all"):
        parse_chip(text, "mine.toml")


@given(st.data())
def test_no_damaged_file_raises_anything_else(data: st.DataObject) -> None:
    text = source("spinnaker1-board")
    start = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(1, 40))
    filler = data.draw(st.text(max_size=8))
    try:
        parse_chip(text[:start] + filler + text[start + length :], "damaged.toml")
    except BoardError as error:
        assert error.code.startswith("board-")


def test_links_that_wrap_lead_round_what_is_absent() -> None:
    text = (resources.files("spikec.boards") / "chips" / "loihi1.toml").read_text("utf-8")
    gone = "absent = [[1, 0], [1, 1], [1, 2], [1, 3]]"
    text = re.sub(r"max_chips .*\n", "", text)
    torus = parse_chip(text.replace('"mesh"', f'"torus"\n{gone}'), "mine.toml")
    assert len(torus.absent) == 4
    with pytest.raises(BoardError, match="leaves no way from router"):
        parse_chip(text.replace('"mesh"', f'"mesh"\n{gone}'), "mine.toml")


def test_leaves_of_a_tree_may_be_absent() -> None:
    text = (resources.files("spikec.boards") / "chips" / "loihi1.toml").read_text("utf-8")
    text = re.sub(r"max_chips .*\n", "", text).replace("[8, 4]", "[16, 1]")
    tree = parse_chip(text.replace('"mesh"', '"tree"\narity = [4, 4]\nabsent = [[1, 0]]'), "x.toml")
    assert tree.cores == 15 * tree.cores_per_router


# -- formats of synapses -------------------------------------------------------------------------


def test_loihi_has_four_formats_and_says_which_are_assumed() -> None:
    formats = load_chip("loihi1").encoding.formats
    assert formats is not None
    assert (formats.head.value, formats.block.value, formats.delay.value) == (10, 64, 6)
    assert formats.weight_widths == (0, 1, 2, 3, 4, 5, 6, 8)
    found = {one.name: (one.index, one.shared, one.obtained) for one in formats.every}
    assert found == {
        "dense": ("none", False, "stated"),
        "sparse": ("synapse", False, "stated"),
        "runlength": ("run", False, "recalled"),
        "convolution": ("synapse", True, "stated"),
    }
    assert "assumed" in next(one.source for one in formats.every if one.name == "runlength")
    other = load_chip("loihi2").encoding.formats
    assert other is not None
    assert {one.obtained for one in other.every} == {"recalled"}
    assert {name for name in chip_names() if load_chip(name).encoding.formats} == {
        "loihi1",
        "loihi2",
    }


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("index_widths  = [0, 6,", "index_widths  = [6, 0,", "formats.index_widths: must be"),
        ("weight_widths = [0, 1,", "weight_widths = [0, 0,", "formats.weight_widths: must be"),
        ("6, 8]\n", "6, 80]\n", "formats.weight_widths: goes beyond 64 bits"),
        ('unit = "synapses"', 'unit = "bits"', "formats.block.unit: must be"),
        ('index  = "none"', 'index  = "all"', "formats.dense.index: must be one of"),
        ('index  = "run"', 'index  = "run"\nshared = true', "formats.runlength.shared: is of"),
        ('index  = "none"', 'index  = "none"\nbits = 3', "formats.dense.bits"),
        (
            '[formats.sparse]\nindex  = "synapse"',
            '[formats.sparse]\nindex  = "synapse"\nshared = true',
            "formats: need one, not shared",
        ),
    ],
)
def test_impossible_formats_are_refused_by_place(old: str, new: str, expected: str) -> None:
    text = source("loihi1")
    assert old in text
    with pytest.raises(BoardError) as caught:
        parse_chip(text.replace(old, new, 1), "mine.toml")
    assert expected in str(caught.value)


def test_a_crossbar_has_no_formats() -> None:
    formats = source("loihi1").partition("[formats]")[2].partition("[costs]")[0]
    text = source("truenorth").replace("[costs]", "[formats]" + formats + "[costs]", 1)
    with pytest.raises(BoardError) as caught:
        parse_chip(text, "mine.toml")
    assert "formats: a crossbar has no other formats" in str(caught.value)
