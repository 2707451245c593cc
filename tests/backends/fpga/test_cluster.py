"""Several cores for one network equal the integer executor, and hold what they are meant to."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from spikec.backends.fpga.choose import build_for, choose
from spikec.backends.fpga.choose_cores import choose_cores, shortened
from spikec.backends.fpga.cluster import LoweredCluster, lower_cluster
from spikec.backends.fpga.emit import assignment_of, emit
from spikec.backends.fpga.forecast import cluster_forecast
from spikec.backends.fpga.goal import Goal, GoalMissed
from spikec.backends.fpga.host import (
    Script,
    read_memory,
)
from spikec.backends.fpga.level import level
from spikec.backends.fpga.lower import Build, integer_neuron, lower
from spikec.backends.fpga.partition import Assignment, split
from spikec.backends.fpga.resources import check_memory
from spikec.backends.fpga.rtl import run_rtl
from spikec.backends.fpga.simulate import build_simulator
from spikec.boards.board import load_board
from spikec.compiler.compare import compare
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import state_words
from spikec.compiler.reporting import _resources
from spikec.hdl.cluster_shape import CORE_SHIFT, ROUTES, ClusterShape
from spikec.hdl.memories import STATE
from spikec.hdl.protocol import Opcode
from spikec.hdl.shape import CoreShape, Memory
from spikec.hdl.verilog import device_verilog
from spikec.ir.diagnostics import Location, SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.numerics import Format

from .expand import expanded
from .networks import Case, check_loaded, random_case
from .test_choose import layers, recurrent_sparse

LINES = 12


def clustered(core: CoreShape, number: int) -> ClusterShape:
    """So many cores of one kind, each as large as a network needs that fits one of them."""
    inputs = LINES + core.neurons * (number - 1)
    return ClusterShape(LINES, (replace(core, inputs=inputs),) * number)


_common = functools.partial(CoreShape, neurons=24, inputs=LINES, words=512, classes=24, acc_bits=22)
CORES = {
    "word": _common(
        lanes=2,
        weight_bits=4,
        state_bits=16,
        delays=2,
        pages=4,
        cuba=True,
        rounding="toward_zero",
        overflow="wrap",
    ),
    # The wheel has no page to spare: what comes in a commit waits.
    "segments": _common(
        lanes=4,
        units=2,
        weight_bits=6,
        state_bits=14,
        addressing="row",
        segments=256,
        delays=4,
        pages=4,
        refractory_bits=3,
        storage="pipelined",
        rounding="nearest_even",
    ),
    "lane": _common(
        lanes=3,
        weight_bits=5,
        state_bits=18,
        addressing="lane",
        delays=3,
        pages=4,
        storage="distributed",
        first_bias=True,
        rounding="floor",
    ),
    # Thresholds that adapt, and membranes that leak by a constant amount, beside others.
    "adaptive": _common(
        lanes=4,
        units=2,
        weight_bits=6,
        state_bits=14,
        delays=2,
        pages=4,
        storage="distributed",
        rounding="nearest_even",
        timers=(1, 3, 8),
        linear=True,
    ),
}


def networks(core: CoreShape, number: int, count: int) -> list[tuple[Case, Assignment]]:
    """Random networks that can be split, and their splits; of every second neurons are moved."""
    found: list[tuple[Case, Assignment]] = []
    seed = 0
    while len(found) < count:
        case, seed = random_case(seed, core), seed + 1
        try:
            assignment = split(case.graph, number, core.lanes, core.units, 0.1)
        except SpikecError:
            continue
        if len(found) % 2:
            assignment = level(case.graph, assignment, core.lanes, core.units)
        found.append((case, assignment))
    return found


@pytest.mark.parametrize(
    ("name", "number", "count"),
    [
        ("word", 3, 10),
        ("adaptive", 2, 10),
        pytest.param("segments", 2, 40, marks=pytest.mark.slow),
        pytest.param("segments", 4, 40, marks=pytest.mark.slow),
        pytest.param("lane", 4, 40, marks=pytest.mark.slow),
    ],
)
def test_rtl_equals_integer_executor(name: str, number: int, count: int) -> None:
    """One device, loaded over the wire with one network after the other, the line halting often."""
    one = CORES[name]
    shape = clustered(one, number)
    build = Build(one.lanes, one.units)
    cases = networks(one, number, count)
    cores = [
        lower_cluster(case.graph, build, assignment, shape=shape) for case, assignment in cases
    ]
    kept = [n for n in shape.memories if n % (1 << CORE_SHIFT) not in STATE]
    then = Script(b"", 0)
    for memory in kept:
        then += read_memory(shape, memory, range(shape.depth(memory)))
    pairs = [(case, core) for (case, _), core in zip(cases, cores, strict=True)]
    found = check_loaded(pairs, then, stall=number)
    routed = sum(int(np.count_nonzero(core.image.routes[LINES:])) for core in cores)
    assert routed > count and found.words > count * 9

    # What was loaded last can be read back, memory by memory, of every core.
    replies = found.rest
    written = {(w.memory, w.address): w.data for w in cores[-1].image.frames()}
    for memory in kept:
        assert replies[0] == Opcode.DATA
        each, depth = shape.word_bytes(memory), shape.depth(memory)
        for address in range(depth):
            at = 1 + address * each
            expected = written.get((memory, address), replies[at : at + each])
            assert replies[at : at + each] == expected, (memory, address)
        replies = replies[1 + depth * each :]
    assert not replies
    tables = {n >> CORE_SHIFT for n in kept if n % (1 << CORE_SHIFT) == ROUTES}
    assert tables == set(range(number + 1))


@pytest.mark.parametrize("levelled", [False, True])
def test_synapses_of_all_cores_are_those_of_one(levelled: bool) -> None:
    """Rows of each core, by the numbering of the whole, together; no row where no route leads."""
    graph = recurrent_sparse(60, 7)
    single = lower(graph, Build(4, 2))
    assignment = split(graph, 3, 4, 2, 0.1)
    if levelled:
        assignment = level(graph, assignment, 4, 2)
    core = lower_cluster(graph, Build(4, 2), assignment)
    where = core.placement.places(graph.population("p"))
    whole = single.placement.places(graph.population("p"))
    back = {int(there): int(here) for there, here in zip(where, whole, strict=True)}
    found: Counter[tuple[int, int, int]] = Counter()
    for k, part in enumerate(core.parts):
        shape = core.shape.cores[k]
        rows = expanded(part.words.arrays, part.words.addressing, 4)
        reached = set()
        for (row, delay, target), weight in rows.items():
            if row >= shape.inputs:
                source = core.shape.inputs + core.shape.bases[k] + row - shape.inputs
            else:
                source = next(
                    s
                    for s in range(core.shape.sources)
                    if core.shape.line(k, s) == row
                    and not core.shape.bases[k]
                    <= s - core.shape.inputs
                    < core.shape.bases[k] + shape.neurons
                )
                reached.add(source)
            if source >= core.shape.inputs:
                source = core.shape.inputs + back[source - core.shape.inputs]
            found[source, delay, back[core.shape.bases[k] + target]] += weight
        assert reached == set(np.flatnonzero(core.image.routes >> k & 1).tolist())
    assert found == expanded(single.words.arrays, single.words.addressing, 4)


def test_cores_chosen_for_a_board_fit_and_are_held_to_the_forecast() -> None:
    target = load_board("ulx3s-85f").target
    graph = layers(256, 512, 64)
    _, _, one = choose(graph, target, lanes=8)
    core, build, found = choose_cores(graph, target, 4, lanes=8)
    assert isinstance(core, LoweredCluster)
    assert build.lanes == 8 and len(core.parts) == 4
    assert found.blocks == check_memory(core.shape, target)
    alone = replace(found, why="", choice=None)
    assert alone == cluster_forecast(core, target)
    assert found.why.startswith("4 cores asked for; least cells x cycles of ")
    # Four times the memory ports, a quarter of the cycles, and the way round.
    assert found.cycles < one.cycles / 3
    assert found.logic > 3 * one.logic
    again = lower_cluster(graph, build, core.assignment)
    assert again.image.digest == core.image.digest


def test_auto_takes_more_cores_only_where_they_pay() -> None:
    target = load_board("ulx3s-85f").target
    small, _, _ = choose_cores(layers(60, 32, 10), target, None)
    assert not isinstance(small, LoweredCluster)
    large, _, _ = choose_cores(layers(784, 256, 256, 10), target, None, lanes=16)
    assert isinstance(large, LoweredCluster)
    default, _, _ = choose_cores(layers(784, 256, 256, 10), target, lanes=16)
    assert not isinstance(default, LoweredCluster)


def test_more_cores_than_fit_are_refused() -> None:
    board = load_board("ulx3s-12f")
    with pytest.raises(SpikecError, match=r"E0302: the network on 8 cores needs about \d+ DP16KD"):
        choose_cores(layers(784, 128, 10), board.target, 8, lanes=8)
    cell = board.target.cells[0]
    tiny = replace(cell, available=replace(cell.available, value=8000))
    target = replace(board.target, cells=(tiny, *board.target.cells[1:]))
    with pytest.raises(
        SpikecError, match=r"E0302: 8 cores of the smallest kind need about \d+ cells"
    ) as e:
        choose_cores(layers(20, 64, 64), target, 8)
    assert "use fewer --cores, one fits; or choose a larger board" in str(e.value)


def test_fewer_cores_are_no_help_where_one_does_not_fit() -> None:
    with pytest.raises(SpikecError, match=r"E0302: the network on 4 cores needs about") as e:
        choose_cores(layers(784, 300, 10), load_board("ulx3s-12f").target, 4, lanes=8)
    assert "--cores" not in str(e.value)
    assert "help: use fewer --weight-bits" in str(e.value)


def test_cores_have_no_more_units_than_save_cycles() -> None:
    """Two cores add about 60 words while one unit each commits 24 neurons."""
    target, graph = load_board("ulx3s-25f").target, layers(200, 32, 16)
    _, build, found = choose_cores(graph, target, 2, lanes=8)
    assert build.units == 1
    more = choose_cores(graph, target, 2, 8, 4)[2]
    assert more.cycles > 0.97 * found.cycles and more.logic > found.logic
    # Where commits decide, units do save.
    assert choose_cores(layers(8, 160), target, 2, lanes=8)[1].units > 1


def test_several_cores_are_taken_for_a_goal_that_one_misses() -> None:
    target, graph = load_board("ulx3s-85f").target, layers(784, 256, 256, 10)
    one = choose(graph, target, lanes=16, units=2)[2]
    with pytest.raises(SpikecError, match="E0311"):
        choose_cores(graph, target, 1, 16, 2, goal=Goal(0.6 * one.cycles))
    cluster, build, found = choose_cores(graph, target, None, 16, 2, goal=Goal(0.6 * one.cycles))
    assert isinstance(cluster, LoweredCluster) and len(cluster.parts) == 2
    assert build.lanes == 16 and found.cycles <= 0.6 * one.cycles
    assert found.why == "2 cores, as fewer take too many cycles"
    alone, _, _ = choose_cores(graph, target, None, 16, 2, goal=Goal(1.1 * one.cycles))
    assert not isinstance(alone, LoweredCluster)
    with pytest.raises(SpikecError, match=r"E0311: .* the fastest takes about .* 4 cores of 16"):
        choose_cores(graph, target, 4, 16, 2, goal=Goal(20))


def test_of_all_cores_that_miss_a_goal_the_fastest_is_named() -> None:
    """More cores are not always faster: the ring takes its time, too."""
    target, graph = load_board("ulx3s-25f").target, layers(3, 300, 2)

    def missed(cores: int | None) -> tuple[int, str]:
        with pytest.raises(GoalMissed) as caught:
            choose_cores(graph, target, cores, goal=Goal(5))
        (found,) = caught.value.diagnostics
        # One core may be too few; what several reach was looked at already.
        assert ("--cores auto" in str(found.hint)) == (cores == 1)
        match = re.search(r"the fastest takes about (\d+), with (.*) and about", found.message)
        assert match is not None
        return int(match[1]), match[2]

    each = [missed(cores) for cores in (1, 2, 4, 8)]
    assert missed(None) == min(each) != each[-1]


def test_what_only_one_core_can_do_is_refused_or_done_by_one() -> None:
    target, graph = load_board("ulx3s-85f").target, layers(784, 256, 256, 10)
    with pytest.raises(SpikecError, match="E0707: --parity is for one core, not for 2") as e:
        choose_cores(graph, target, 2, lanes=16, parity=True)
    assert "compile with --cores 1, or without --parity" in str(e.value)
    with pytest.raises(SpikecError, match="E0707: --core parallel is for one core, not for 2") as e:
        choose_cores(graph, target, 2, kind="parallel")
    assert "compile with --cores 1, or without --core parallel" in str(e.value)
    safe, build, _ = choose_cores(graph, target, None, lanes=16, parity=True)
    assert not isinstance(safe, LoweredCluster)
    assert safe.shape.parity and build.parity
    circuit, _, found = choose_cores(layers(6, 4), target, None, kind="parallel")
    assert circuit.shape.constant and found.kind == "parallel"


def test_a_network_that_cannot_be_split_is_refused() -> None:
    target = load_board("ulx3s-85f").target
    with pytest.raises(SpikecError, match="E0310"):
        choose_cores(layers(20, 5), target, 8)
    with pytest.raises(SpikecError, match="E0310"):
        choose_cores(layers(20, 64), target, 4, lanes=32)


def test_states_of_several_widths_are_refused_by_name() -> None:
    graph = layers(20, 16, 12)
    one, two = graph.populations
    wide = integer_neuron(two)
    numerics = replace(wide.numerics, state=Format(24))
    two = replace(two, neuron=replace(wide, numerics=numerics), at=Location("net.nir", "b"))
    graph = replace(graph, populations=(one, two))
    build = Build(4)
    with pytest.raises(SpikecError) as e:
        lower_cluster(graph, build, split(graph, 2, 4, 1, 0.1))
    (told,) = e.value.diagnostics
    bits = integer_neuron(one).numerics.state.width
    assert told.code == "E0301" and told.where == two.at
    assert told.message.startswith(f"states of 'p0' have {bits} bits, those of 'p1' 24")
    assert told.hint is not None and "--state-bits" in told.hint


def test_a_network_too_large_for_one_core_fits_two() -> None:
    """Cores differ: a wheel is only as long as the delays that end in its core."""
    target = load_board("ulx3s-85f").target
    graph = layers(40, 1024, 8)
    slow = replace(graph.projections[1], delay=1000)
    graph = replace(graph, projections=(graph.projections[0], slow))
    build = build_for(target, 4)
    wanted = r"E0302: the network needs about .* hold the accumulators"
    with pytest.raises(SpikecError, match=wanted):
        check_memory(lower(graph, build).shape, target)
    parts = {"p0": np.repeat([0, 1], (1020, 4)), "p1": np.full(8, 1)}
    core = lower_cluster(graph, build, Assignment(2, parts))
    assert [c.delays for c in core.shape.cores] == [1, 1000]
    assert sum(check_memory(core.shape, target).values()) < 100


def test_an_artefact_has_all_it_takes_to_make_the_cores_again() -> None:
    graph = layers(20, 30, 12)
    options = {"cores": 3, "lanes": 2, "units": 1, "bitstream": False}
    emission = emit(graph, load_board("ulx3s-85f"), options, lambda *_: None)
    facts = json.loads(json.dumps(dict(emission.facts)))
    core = lower_cluster(graph, Build(**facts["build"]), assignment_of(graph, facts))
    assert core.image.digest.hex() == facts["image_digest"]
    assert emission.files["device.v"].decode().count("module ") > 20
    assert [part["digest"] for part in facts["cores"]] == [
        i.digest.hex() for i in core.image.images
    ]
    sizes = [part["neurons"] for part in facts["cores"]]
    assert sum(size.get("p0", 0) for size in sizes) == 30
    assert sum(size.get("p1", 0) for size in sizes) == 12
    assert facts["forecast"]["cycles"] >= max(part["cycles"] for part in facts["cores"])
    rows = _resources(facts, load_board("ulx3s-85f").target)
    assert [r.name for r in rows if r.name.startswith("core 1 (p0 ")]


def test_an_artefact_says_where_neurons_lie_that_changed_places() -> None:
    graph = recurrent_sparse(120, 24)
    options = {"cores": 3, "lanes": 8, "units": 2, "bitstream": False}
    emission = emit(graph, load_board("ulx3s-85f"), options, lambda *_: None)
    facts = json.loads(json.dumps(dict(emission.facts)))
    assert facts["assignment"] == {}
    assert sorted(n for part in facts["order"]["p"] for n in part) == list(range(120))
    assert [len(part) for part in facts["order"]["p"]] == [
        part["neurons"]["p"] for part in facts["cores"]
    ]
    core = lower_cluster(graph, Build(**facts["build"]), assignment_of(graph, facts))
    assert core.image.digest.hex() == facts["image_digest"]


def test_places_change_only_where_rows_become_shorter() -> None:
    """Words of the busiest core; rows of a dense network are as short as they can be."""
    graph, build = recurrent_sparse(200, 32), Build(8, 2)
    plain = lower_cluster(graph, build, split(graph, 4, 8, 2, 0.1))
    assert {part.shape.addressing for part in plain.parts} == {"lane"}
    words = [
        max(int(part.words.issued.sum()) for part in core.parts)
        for core in (plain, shortened(plain, build))
    ]
    assert words[1] < 0.9 * words[0]
    dense = lower_cluster(layers(40, 64, 32), build, split(layers(40, 64, 32), 4, 8, 2, 0.1))
    assert shortened(dense, build) is dense


@pytest.mark.slow
def test_run_rtl_runs_a_cluster() -> None:
    """From the image in the bitstream, its cycles as the device counts them."""
    graph = layers(12, 16, 6)
    core = lower_cluster(graph, Build(2), split(graph, 2, 2, 1, 0.1))
    case = np.random.default_rng(4).random((2, 7, 12)) < 0.4
    stimulus = Stimulus({"in": Events.from_dense(case.astype(np.int64))})
    states = state_words(graph)
    names = [p.name for p in graph.populations]
    simulator = build_simulator(device_verilog(core.shape, core.image))
    found = run_rtl(core, simulator, stimulus, populations=names, record=states)
    expected = Executor(graph).run(stimulus, populations=names, record=states)
    assert expected.spikes["p0"].value.sum() > 5
    assert compare(expected, found.recording, graph=graph, stimulus=stimulus).equal
    assert found.cycles.shape == (2, 7 + core.lag, 2) and (found.cycles[..., 1] > 0).all()


def test_memories_of_a_cluster_have_numbers_of_their_own() -> None:
    shape = clustered(CORES["word"], 3)
    assert len(set(shape.memories)) == len(shape.memories)
    assert shape.memories.count(Memory.DIGEST) == 1
    assert shape.depth(3 << CORE_SHIFT | ROUTES) == LINES
    assert shape.word_bits(ROUTES) == 3
    assert shape.part(2 << CORE_SHIFT | Memory.WEIGHTS) == (shape.cores[2], Memory.WEIGHTS)
