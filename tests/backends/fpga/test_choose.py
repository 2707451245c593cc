"""Which core a network gets, and whether the forecast is true."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from spikec.backends.fpga.choose import CIRCUIT_MOST, choose
from spikec.backends.fpga.goal import Goal
from spikec.backends.fpga.logic import logic_room
from spikec.backends.fpga.lower import lower
from spikec.backends.fpga.resources import check_memory
from spikec.boards.board import board_names, load_board
from spikec.compiler.connectivity import to_sparse
from spikec.ir.connections import Connection, Dense, Sparse
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.numerics import Format, Numerics

from .test_lower import neuron


@cache
def layers(*sizes: int) -> Graph:
    """Dense layers of 6-bit weights."""
    rng = np.random.default_rng(7)
    entry = Input("in", (sizes[0],))
    populations = tuple(Population(f"p{k}", (size,), neuron()) for k, size in enumerate(sizes[1:]))
    names = ["in", *(p.name for p in populations)]
    projections = tuple(
        Projection(f"c{k}", pre, post, Dense(rng.integers(-32, 32, (b, a)) | 1), delay=int(k > 0))
        for k, ((pre, post), (a, b)) in enumerate(
            zip(itertools.pairwise(names), itertools.pairwise(sizes), strict=True)
        )
    )
    return Graph("layers", 1e-3, (entry,), populations, projections, (Output("o", names[-1]),))


@cache
def recurrent_sparse(neurons: int, fan_out: int) -> Graph:
    rng = np.random.default_rng(8)
    post = np.concatenate(
        [np.sort(rng.choice(neurons, fan_out, replace=False)) for _ in range(neurons)]
    ).astype(np.int32)
    start = np.arange(neurons + 1) * fan_out
    weights = rng.integers(1, 32, post.size)
    sparse = Sparse(neurons, neurons, start, post, weights)
    own = Population("p", (neurons,), neuron())
    entry = Input("in", (neurons,))
    return Graph(
        "sparse",
        1e-3,
        (entry,),
        (own,),
        (
            Projection("in-p", "in", "p", sparse),
            Projection("p-p", "p", "p", sparse, delay=1, recurrent=True),
        ),
        (Output("o", "p"),),
    )


@pytest.mark.parametrize("board", board_names())
def test_what_is_chosen_fits(board: str) -> None:
    target = load_board(board).target
    core, build, found = choose(layers(60, 32, 10), target)
    assert target.block_memory is not None
    assert sum(found.blocks.values()) <= target.block_memory.count.value
    assert found.blocks == check_memory(core.shape, target)
    assert core.shape.lanes == build.lanes and core.shape.units == build.units
    assert core.shape.lanes % core.shape.units == 0
    # A memory read without a clock is built of logic where the device has it.
    if target.family == "ice40":
        assert core.shape.storage in ("registers", "block")
    assert lower(core.graph, build).image.digest == core.image.digest


FEWEST = Goal("fewest")


def test_more_room_is_used() -> None:
    """The larger board is not slower, and lanes are what it buys."""
    graph = layers(300, 100, 10)
    small = choose(graph, load_board("icebreaker").target, goal=FEWEST)
    large = choose(graph, load_board("ulx3s-85f").target, goal=FEWEST)
    assert large[2].cycles < small[2].cycles
    assert large[0].shape.lanes > small[0].shape.lanes


def test_sparse_rows_are_counted_as_they_are_lowered() -> None:
    """Not as if each synapse had a word of its own, beside which the commit would not matter."""
    target, graph = load_board("ulx3s-85f").target, recurrent_sparse(400, 24)
    found = choose(graph, target, goal=FEWEST)[2].cycles
    for lanes, units in ((32, 4), (80, 8)):
        assert found <= 1.1 * choose(graph, target, lanes, units)[2].cycles


def test_the_user_may_choose() -> None:
    target = load_board("ulx3s-25f").target
    core, build, _ = choose(layers(60, 32, 10), target, lanes=8, units=2)
    assert (build.lanes, build.units) == (8, 2)
    assert (core.shape.lanes, core.shape.units) == (8, 2)


@pytest.mark.parametrize("lanes", [None, 16])
def test_a_network_too_large_is_refused_by_how_much(lanes: int | None) -> None:
    """540,000 bits of weights and 26 blocks of 18,432."""
    with pytest.raises(SpikecError) as caught:
        choose(layers(300, 300), load_board("tang-nano-9k").target, lanes=lanes, units=1)
    (found,) = caught.value.diagnostics
    assert found.code == "E0302"
    match = re.search(r"about (\d+) BSRAM blocks, .* has 26 .*: (\d+) too many", found.message)
    assert match is not None
    assert int(match[1]) == 26 + int(match[2])
    assert int(match[1]) >= -(-540_000 // (512 * 36))
    assert "choose a larger board, such as icebreaker" not in str(found.hint)
    board = re.search(r"choose a larger board, such as ([\w-]+) ", str(found.hint))
    assert board is not None
    larger = load_board(board[1]).target.block_memory
    assert larger is not None and larger.bits >= int(match[1]) * 512 * 36


def test_no_board_is_offered_where_none_has_room() -> None:
    with pytest.raises(SpikecError) as caught:
        choose(layers(3000, 3000), load_board("ulx3s-85f").target, lanes=16, units=1)
    hint = str(caught.value.diagnostics[0].hint)
    assert "prune the network: spikec knows no board with room for it" in hint


def test_single_ported_memory_takes_what_blocks_cannot() -> None:
    """784-128-10 of 6-bit weights on an iCE40UP5K: more than its 120 kbit of block memory."""
    core, build, found = choose(layers(784, 128, 10), load_board("icebreaker").target)
    assert build.huge and core.shape.weight_storage == "huge"
    assert "weights" not in found.blocks


def test_a_recovery_needs_multipliers() -> None:
    """Eight of an iCE40UP5K serve one neuron a cycle, of 16 bits and one substep."""
    board = load_board("icebreaker").target
    numbers = {"curve": 41943, "couple": 410, "rate": 1311, "jump": 512}

    def cells(bits: int, substeps: int) -> Graph:
        graph = layers(8, 8)
        state = Format(bits)
        cell = neuron(
            **numbers,
            reset="value",
            substeps=substeps,
            v_min=state.low,
            numerics=Numerics(Format(6), state, 12, 20),
        )
        return replace(graph, populations=(replace(graph.populations[0], neuron=cell),))

    core, build, _ = choose(cells(16, 1), board)
    assert core.shape.quadratic == 1 and build.units == 1
    with pytest.raises(SpikecError, match="8 multipliers, too few") as caught:
        choose(cells(24, 2), board)
    assert "fewer substeps" in str(caught.value)
    assert choose(cells(24, 2), load_board("ulx3s-25f").target)[0].shape.quadratic == 2


def test_weights_have_a_parity_if_wanted() -> None:
    target = load_board("ulx3s-25f").target
    graph = layers(40, 24, 10)
    plain, with_parity = (choose(graph, target, 8, parity=wanted) for wanted in (False, True))
    assert not plain[0].shape.parity and with_parity[0].shape.parity
    assert with_parity[1] == replace(plain[1], parity=True)
    assert with_parity[2].cycles == plain[2].cycles
    assert with_parity[2].logic > plain[2].logic


@pytest.mark.parametrize("most", [60, 75, 110, 250])
def test_the_smallest_core_that_keeps_a_goal_is_chosen(most: int) -> None:
    """No core of the lanes and units tried here is smaller and fast enough."""
    target, graph = load_board("ulx3s-25f").target, layers(100, 80, 10)
    _, build, found = choose(graph, target, goal=Goal(most))
    assert found.cycles <= most
    faster = 0
    for lanes, units in itertools.product((4, 8, 12, 16, 20, 24, 28, 40, 48), (1, 2, 4, 8)):
        if lanes % units:
            continue
        other = choose(graph, target, lanes, units)[2]
        faster += other.cycles <= most
        assert other.cycles > most or other.logic >= found.logic, (lanes, units)
    assert faster
    assert found.choice is not None and found.choice.most == most
    assert found.why.endswith(f"{found.choice.rule} of {found.choice.fit} that fit")
    assert (
        found.choice.rule
        == f"fewest cells with at most {most} cycles a step on average at 10 % activity"
    )
    assert (build.lanes, build.units) in [(o.lanes, o.units) for o in found.choice.front]


def test_without_a_goal_a_core_is_as_large_as_it_is_fast() -> None:
    """Least cells, the link's with them, times cycles; the fastest is larger, the smallest slow."""
    target, graph = load_board("ulx3s-85f").target, layers(64, 100, 10)
    found = choose(graph, target)[2]
    assert found.choice is not None
    front = found.choice.front
    pairs = [(one.cycles, one.logic) for one in front]
    assert pairs == sorted(pairs) and len(pairs) > 5
    assert [logic for _, logic in pairs] == sorted({logic for _, logic in pairs}, reverse=True)
    costs = [cycles * (logic + 1500) for cycles, logic in pairs]
    assert min(costs) == found.cycles * (found.logic + 1500)
    fastest = choose(graph, target, goal=FEWEST)[2]
    assert fastest.cycles < found.cycles and fastest.logic > found.logic
    assert fastest.cycles <= 1.06 * pairs[0][0]


def test_the_fastest_may_have_its_weights_in_single_ported_memory() -> None:
    target, graph = load_board("icebreaker").target, layers(64, 100, 10)
    _, build, found = choose(graph, target)
    _, fast, fastest = choose(graph, target, goal=FEWEST)
    assert fast.huge and not build.huge and not fast.readback
    assert fastest.cycles < 0.8 * found.cycles


def test_no_circuit_is_taken_unasked_that_is_far_larger_than_any_that_was_placed() -> None:
    target, graph = load_board("ulx3s-85f").target, layers(64, 100, 10)
    circuit = choose(graph, target, kind="parallel")[2]
    assert CIRCUIT_MOST < circuit.logic < (logic_room(target) or 0)
    found = choose(graph, target, goal=FEWEST)[2]
    assert found.kind == "events" and found.cycles > circuit.cycles
    assert f"about {circuit.logic:,} cells, and none of more than 20,000" in found.why


def test_a_goal_is_of_an_activity() -> None:
    target, graph = load_board("ulx3s-25f").target, layers(300, 100, 10)
    quiet = choose(graph, target, goal=Goal(120, 0.05))[2]
    busy = choose(graph, target, goal=Goal(120, 0.2))[2]
    assert quiet.activity == 0.05 and quiet.cycles <= 120
    assert busy.activity == 0.2 and busy.cycles <= 120
    assert busy.logic > quiet.logic


def test_a_goal_that_is_missed_is_refused_by_how_much() -> None:
    target, graph = load_board("ulx3s-25f").target, layers(300, 100, 10)
    choice = choose(graph, target)[2].choice
    assert choice is not None
    fastest = choice.front[0]
    with pytest.raises(SpikecError) as caught:
        choose(graph, target, goal=Goal.of_time(2.5e-6, 12e6))
    (found,) = caught.value.diagnostics
    assert found.code == "E0311"
    cycles = math.ceil(fastest.cycles)
    assert found.message == (
        "no core that fits ULX3S 25F takes at most 30 cycles a step (2.5 us at 12 MHz) at 10 % "
        f"activity; the fastest takes about {cycles}, with {fastest.lanes} lanes and "
        f"{fastest.units} units and about {fastest.logic:,} cells of logic: "
        f"{cycles - 30} too many"
    )
    hint = "compile with {}, with --cores auto or for a larger board ('spikec targets')"
    # The slowest clock at which the same core keeps the time.
    clock = min(hz for hz in target.clocks if cycles / hz <= 2.5e-6) / 1e6
    said = re.search(r"--step-time ([\d.]+)us", str(found.hint))
    assert said is not None and found.hint == hint.format(f"{said[0]}, with --clock {clock:g}")
    # What it offers instead is kept, and by little.
    offered = Goal.of_time(1e-6 * float(said[1]), 12e6)
    assert offered.cycles == cycles
    assert choose(graph, target, goal=offered)[2].cycles <= cycles
    with pytest.raises(SpikecError) as caught:
        choose(graph, target, goal=Goal(30))
    assert caught.value.diagnostics[0].hint == hint.format(f"--cycles {cycles}")
    with pytest.raises(SpikecError, match=r"E0311: .* with 8 lanes and 2 units and") as caught:
        choose(graph, target, 8, 2, goal=Goal(30))
    assert "with --lanes and --units as given, no core that fits" in str(caught.value)
    assert ", without --lanes and --units, with --cores auto or for a" in str(caught.value)


def test_single_ported_memory_is_taken_for_a_goal_that_needs_it() -> None:
    """100 all-to-all: four lanes of block memory, or eight that a host has to load."""
    target, graph = load_board("icebreaker").target, recurrent_sparse(100, 100)
    _, build, plain = choose(graph, target)
    assert not build.huge
    _, build, found = choose(graph, target, goal=Goal(0.6 * plain.cycles))
    assert build.huge and found.cycles <= 0.6 * plain.cycles


def test_synapses_are_made_sparse_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def counted(connection: Connection) -> object:
        asked.append(connection)
        return to_sparse(connection)

    monkeypatch.setattr("spikec.backends.fpga.lower.to_sparse", counted)
    graph = layers(60, 32, 10)
    _, _, found = choose(graph, load_board("ulx3s-25f").target)
    assert found.choice is not None and found.choice.fit > 20
    assert len(asked) == len(graph.projections)


def test_too_many_lanes_are_named() -> None:
    """Fewer fit, so that neither the network nor the board is to blame."""
    target, graph = load_board("icebreaker").target, recurrent_sparse(100, 100)
    with pytest.raises(SpikecError) as caught:
        choose(graph, target, lanes=64)
    (found,) = caught.value.diagnostics
    assert found.code == "E0302"
    assert re.match(
        r"with --lanes 64 the network needs about \d+ ICESTORM_RAM blocks", found.message
    )
    named = re.match(r"compile with --lanes (\d+), which fits; or use fewer", str(found.hint))
    assert named is not None
    assert choose(graph, target, lanes=int(named[1]))[1].lanes == int(named[1])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"adapt_inc": 5, "adapt_period": 1, "adapt_shift": 3}, "thresholds that adapt"),
        ({"leak": 3}, "membranes that leak by an amount"),
    ],
)
def test_what_keeps_a_network_from_being_a_circuit_is_said(
    changes: dict[str, int], reason: str
) -> None:
    graph = layers(8, 6)
    cell = replace(graph.populations[0], neuron=neuron(**changes))
    found = choose(replace(graph, populations=(cell,)), load_board("ulx3s-25f").target)[2]
    assert found.why.startswith(f"a circuit of constants has no {reason}; ")
