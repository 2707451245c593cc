"""Whether the forecast is true: cycles against the exact model, memory against the shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikec.backends.fpga.choose import build_for
from spikec.backends.fpga.cluster import lower_cluster
from spikec.backends.fpga.forecast import cluster_forecast, forecast, step_forecast
from spikec.backends.fpga.lower import LoweredCore, lower
from spikec.backends.fpga.partition import split
from spikec.backends.fpga.resources import memory_blocks
from spikec.boards.board import load_board
from spikec.hdl.cluster_cycles import cluster_step_cycles
from spikec.hdl.cycles import LearningStep, step_cycles
from spikec.hdl.shape import Memory
from spikec.ir.connections import Conv2d
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.numerics import Format, Numerics
from spikec.ir.plasticity import Plasticity, TraceSTDP

from .test_choose import layers, recurrent_sparse
from .test_lower import neuron

TARGET = load_board("ulx3s-25f").target


def convolution() -> Graph:
    rng = np.random.default_rng(9)
    kernel = rng.integers(1, 20, (8, 2, 3, 3))
    conv = Conv2d(kernel, (2, 16, 16))
    population = Population("p", conv.out_shape, neuron())
    return Graph(
        "c",
        1e-3,
        (Input("in", (2, 16, 16)),),
        (population,),
        (Projection("w", "in", "p", conv),),
        (Output("o", "p"),),
    )


def learning() -> Graph:
    graph = recurrent_sparse(40, 40)
    rule = Plasticity(TraceSTDP.pair(1, 1, shift=6, decay=4), -31, 31)
    plastic = replace(graph.projections[1], plasticity=rule)
    return replace(graph, projections=(graph.projections[0], plastic))


def drawn(core: LoweredCore, steps: int) -> float:
    """Cycles of steps in which each source spikes with a chance of a tenth, on average."""
    shape, words = core.shape, core.words
    rng = np.random.default_rng(0)
    groups, exact = range(shape.groups), []
    real = np.ones(words.issued.size, bool)
    real[shape.inputs :] = False
    for population in core.graph.populations if shape.recurrent else ():
        real[shape.inputs + core.placement.places(population)] = True
    plastic = core.image.rows_plastic
    for _ in range(steps):
        sources = np.flatnonzero((rng.random(real.size) < 0.1) & real).tolist()
        events = [words.runs(s) for s in sources if s < shape.inputs]
        fired = {s - shape.inputs: words.runs(s) for s in sources if s >= shape.inputs}
        if shape.learning is None:
            exact.append(step_cycles(shape, groups, [], fired, events).total)
        else:
            learns = LearningStep([s for s in sources if plastic[s]], list(fired))
            exact.append(step_cycles(shape, groups, events, fired, learns=learns).total)
    return float(np.mean(exact))


@pytest.mark.parametrize("lanes", [8, 32])
@pytest.mark.parametrize(
    "graph",
    [layers(200, 96, 10), recurrent_sparse(160, 24), convolution(), learning()],
    ids=["dense", "sparse", "convolution", "learning"],
)
def test_the_forecast_of_cycles_is_close(graph: Graph, lanes: int) -> None:
    """To steps in which a tenth of all sources spike at random, and not always as many."""
    core = lower(graph, build_for(TARGET, lanes, 2))
    # Accepting a tick and reporting its step are two cycles more.
    assert forecast(core, TARGET).cycles - 2 == pytest.approx(drawn(core, 30), rel=0.08)


def test_more_activity_takes_more_cycles() -> None:
    core = lower(layers(200, 96, 10), build_for(TARGET, 8, 2))
    few, some, all_ = (step_forecast(core, activity) for activity in (0.01, 0.1, 1.0))
    assert few < some / 3
    # Twelve words for each of 200 lines, two for each of 96 neurons, and the way to the first.
    assert all_ == pytest.approx(200 * 12 + 96 * 2, abs=30)


def test_every_substep_of_a_recovery_is_in_the_forecast() -> None:
    """Six stages each, where the commit decides."""
    graph = layers(4, 8)

    def cycles(substeps: int) -> float:
        state = Format(16)
        cell = neuron(
            curve=41943,
            couple=410,
            rate=1311,
            jump=512,
            reset="value",
            substeps=substeps,
            v_min=state.low,
            numerics=Numerics(Format(6), state, 12, 20),
        )
        one = replace(graph.populations[0], neuron=cell)
        return step_forecast(lower(replace(graph, populations=(one,)), build_for(TARGET, 4, 1)))

    assert cycles(8) - cycles(1) == 7 * 6


@pytest.mark.parametrize("graph", [layers(60, 64, 32), recurrent_sparse(120, 24)])
def test_the_forecast_of_several_cores_is_close(graph: Graph) -> None:
    """Where spikes decide, to the ring's exact cycles."""
    core = lower_cluster(graph, build_for(TARGET, 8, 2), split(graph, 3, 8, 2, 0.1))
    shape = core.shape
    rng, exact = np.random.default_rng(1), []
    places = np.concatenate([core.placement.places(p) for p in graph.populations])
    for _ in range(20):
        fired = np.sort(places[rng.random(places.size) < 0.1])
        own = [
            [int(n) - base for n in fired if base <= n < base + one.neurons]
            for base, one in zip(shape.bases, shape.cores, strict=True)
        ]
        rows = [part.words.runs for part in core.parts]
        groups = [range(one.groups) for one in shape.cores]
        routes = core.image.routes.tolist()
        exact.append(cluster_step_cycles(shape, routes, rows, groups, own).commit)
    # Events of the next step are added meanwhile.
    assert cluster_forecast(core, TARGET).cycles >= np.mean(exact)
    assert cluster_forecast(core, TARGET, 0.0).cycles < np.mean(exact)


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
