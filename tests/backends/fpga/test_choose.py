"""Which core a network gets, and whether the forecast is true."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from spikec.backends.fpga.choose import build_for, choose, forecast, logic
from spikec.backends.fpga.lower import Build, lower
from spikec.backends.fpga.resources import check_memory, memory_blocks
from spikec.boards.board import board_names, load_board
from spikec.hdl.cycles import step_cycles
from spikec.hdl.shape import Memory
from spikec.ir.connections import Dense, Sparse
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Projection

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


def test_more_room_is_used() -> None:
    """The larger board is not slower, and lanes are what it buys."""
    graph = layers(300, 100, 10)
    small = choose(graph, load_board("icebreaker").target)
    large = choose(graph, load_board("ulx3s-85f").target)
    assert large[2].cycles < small[2].cycles
    assert large[0].shape.lanes > small[0].shape.lanes


def test_the_user_may_choose() -> None:
    target = load_board("ulx3s-25f").target
    core, build, _ = choose(layers(60, 32, 10), target, lanes=8, units=2)
    assert (build.lanes, build.units) == (8, 2)
    assert (core.shape.lanes, core.shape.units) == (8, 2)


@pytest.mark.parametrize("lanes", [8, 16, 32])
@pytest.mark.parametrize(
    "graph", [layers(200, 96, 10), recurrent_sparse(160, 24)], ids=["dense", "sparse"]
)
def test_the_forecast_of_cycles_is_close(graph: Graph, lanes: int) -> None:
    """Against the exact model, over steps in which a tenth of all sources spike at random."""
    target = load_board("ulx3s-25f").target
    core = lower(graph, build_for(target, lanes, 2))
    shape, issued = core.shape, core.words.issued
    said = forecast(core, target).cycles
    rng = np.random.default_rng(0)
    exact = []
    for _ in range(20):
        spikes = np.flatnonzero(rng.random(issued.size) < 0.1)
        ahead = [[int(issued[s])] for s in spikes if s < shape.inputs]
        fired = {int(s) - shape.inputs: [int(issued[s])] for s in spikes if s >= shape.inputs}
        groups = range(shape.groups)
        exact.append(step_cycles(shape, groups, [], fired, ahead).commit)
    assert said == pytest.approx(np.mean(exact), rel=0.25)


@pytest.mark.parametrize("name", ["ulx3s-25f", "icebreaker"])
def test_the_forecast_of_memory_holds_what_is_there(name: str) -> None:
    """Blocks hold all the bits of block memories, and at most twice as many."""
    target = load_board(name).target
    block = target.block_memory
    assert block is not None
    core = lower(layers(200, 96, 10), build_for(target, 8))
    shape = core.shape
    taken = memory_blocks(shape, block)
    for memory in (Memory.ROWS, Memory.WEIGHTS, Memory.POTENTIALS):
        bits = shape.rows(memory) * shape.row_bits(memory)
        capacity = taken[memory.name.lower()] * block.depth * block.width
        assert bits <= capacity
    weights = taken["weights"] * block.depth * block.width
    assert weights <= 2 * shape.rows(Memory.WEIGHTS) * shape.row_bits(Memory.WEIGHTS)


def test_logic_grows_with_what_there_is() -> None:
    shape = lower(layers(60, 32, 10), Build(8)).shape
    base = logic(shape)
    assert logic(replace(shape, units=4)) > base
    assert logic(replace(shape, cuba=True)) > base
    assert logic(replace(shape, acc_bits=shape.acc_bits + 4)) > base
    assert logic(replace(shape, readback=False)) < base


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


def test_single_ported_memory_takes_what_blocks_cannot() -> None:
    """784-128-10 of 6-bit weights on an iCE40UP5K: more than its 120 kbit of block memory."""
    core, build, found = choose(layers(784, 128, 10), load_board("icebreaker").target)
    assert build.huge and core.shape.weight_storage == "huge"
    assert "weights" not in found.blocks
