"""Mapped networks run core by core equal the integer executor, unless their mapping is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.chips.cores import Cores, cores_of
from spikec.backends.chips.execute import CoreExecutor, run_cores
from spikec.boards.chip import load_chip
from spikec.boards.machine import Machine
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import Run
from spikec.compiler.compare import compare
from spikec.compiler.connectivity import to_sparse
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import state_words
from spikec.compiler.mapping.axons import Axons
from spikec.compiler.mapping.map import map_network
from spikec.compiler.mapping.mapping import Mapping
from spikec.compiler.mapping.network import axons_of
from spikec.compiler.passes.base import Pass, run_pipeline
from spikec.compiler.passes.legalise import Legalise
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.passes.retime import Retime
from spikec.hdl.shape import CoreShape
from spikec.ir.connections import Chain, Connection, Delay, Dense
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IntegerNeuron
from spikec.ir.numerics import Format, Numerics, Rounding
from spikec.ir.plasticity import SDSP, Plasticity

from ...compiler.integer.test_executor import any_connection, between, networks, neuron
from ...compiler.mapping import simple
from ...compiler.passes.networks import target
from ..fpga.networks import Case, random_case

SEEDS = st.integers(0, 2**20)


def counts(dense: Any) -> Stimulus:
    return Stimulus({"in": Events.from_dense(np.asarray(dense))})


def assert_equal(
    graph: Graph, axons: Axons, mapping: Mapping, stimulus: Stimulus, raw: bool = False
) -> None:
    """Every spike and every state word of every population, with and without the lags."""
    everything: dict[str, Any] = {
        "populations": [p.name for p in graph.populations],
        "record": state_words(graph),
        "raw": raw,
    }
    wanted = Executor(graph).run(stimulus, **everything)
    got = CoreExecutor(graph, axons, mapping).run(stimulus, **everything)
    if not raw:
        found = compare(wanted, got, graph=graph, stimulus=stimulus)
        assert found.equal, found.describe()
    assert got == replace(wanted, rung="cores")


# -- mapped by the mapper --------------------------------------------------------------------------

SHAPE = CoreShape(
    lanes=4, weight_bits=8, acc_bits=20, state_bits=24, neurons=48, inputs=20, words=4096,
    delays=4, pages=4, first_bias=True, refractory_bits=2, rounding="nearest_even",
)  # fmt: skip
KINDS = {
    "plain": SHAPE,
    "currents": replace(SHAPE, cuba=True, overflow="wrap"),
    "adaptive": replace(SHAPE, cuba=True, timers=(1, 3)),
    "linear": replace(SHAPE, linear=True, rounding="toward_zero"),
    "recovery": replace(SHAPE, quadratic=2, timers=(2,)),
    "wide": replace(SHAPE, acc_bits=40, state_bits=32),
}


def small(machine: Machine, neurons: int) -> Machine:
    """The same machine with so many neurons in a core at most."""
    return replace(machine, core=replace(machine.core, neurons=simple.quantity(neurons)))


MACHINES = {
    "loihi1": small(load_chip("loihi1"), 3),
    "spinnaker1-board": small(load_chip("spinnaker1-board"), 4),
    "ring": simple.machine("ring", (12, 1), cores=2, limits={"neurons": 3}, host=5),
    "tree": simple.machine("tree", (9, 1), cores=3, arity=(3, 3), limits={"neurons": 3}),
    "unmixed": simple.machine(
        "mesh", (5, 5), limits={"neurons": 4}, mixed=False, multicast=False, host=24
    ),
}


@settings(max_examples=30)
@given(st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(MACHINES)), SEEDS)
def test_a_mapped_network_is_the_integer_one(kind: str, name: str, seed: int) -> None:
    case: Case = random_case(seed, KINDS[kind])
    machine = MACHINES[name]
    axons = axons_of(case.graph, machine, 8)
    mapping = map_network(axons, machine).mapping
    assert mapping.parts >= -(-case.graph.neurons // 4)
    assert (mapping.tables is not None) == (name == "spinnaker1-board")
    assert_equal(case.graph, axons, mapping, case.stimulus, raw=bool(seed % 2))


# -- mapped at random ------------------------------------------------------------------------------

GRIDS = {
    "ring": simple.machine("ring", (6, 1), host=2),
    "torus": simple.machine("torus", (3, 2), multicast=False),
    "tree": simple.machine("tree", (6, 1), arity=(3, 2), host=1),
    "triads": simple.machine("triads", (3, 3), cores=2, wraps=True),
    "tables": simple.machine("triads", (3, 3), cores=2, wraps=True, host=4),
}


def scattered(graph: Graph, name: str, rng: np.random.Generator) -> tuple[Axons, Mapping]:
    """Each neuron in any part, each part in any core: no population keeps its order."""
    machine = GRIDS[name]
    axons = axons_of(graph, machine, 8)
    part = np.unique(rng.integers(0, 5, axons.neurons), return_inverse=True)[1].tolist()
    seat = rng.permutation(machine.seats)[: max(part) + 1].tolist()
    return axons, simple.map_simply(axons, machine, part, seat, tables=name == "tables")


@settings(max_examples=100)
@given(networks(), st.sampled_from(sorted(GRIDS)), SEEDS, st.booleans())
def test_parts_may_lie_anywhere(graph: Graph, name: str, seed: int, raw: bool) -> None:
    """Same-step projections, output registers, several spikes a step, two-phase resets, lags."""
    rng = np.random.default_rng(seed)
    lags = rng.integers(0, 3, len(graph.populations)).tolist()
    populations = tuple(replace(p, lag=lag) for p, lag in zip(graph.populations, lags, strict=True))
    graph = replace(graph, populations=populations)
    axons, mapping = scattered(graph, name, rng)
    assert_equal(graph, axons, mapping, counts(rng.integers(0, 3, (2, 10, 3))), raw)


@settings(max_examples=100)
@given(any_connection(), st.sampled_from(sorted(GRIDS)), SEEDS, st.integers(0, 3))
def test_connections_are_unrolled_exactly(
    connection: Connection, name: str, seed: int, delay: int
) -> None:
    rng = np.random.default_rng(seed)
    graph = between(connection, delay)
    axons, mapping = scattered(graph, name, rng)
    dense = rng.integers(0, 4, (2, 5, graph.inputs[0].size))
    assert_equal(graph, axons, mapping, counts(dense * (rng.random(dense.shape) < 0.5)))


def test_accumulators_overflow_as_the_integer_ones_do() -> None:
    """Two widths side by side: 32 bits wrap, however the sum was reached, 62 do not."""
    size, top = 6, (1 << 31) - 1
    wide = Numerics(Format(16), Format(62), 0, 62)
    rng = np.random.default_rng(3)
    weight = rng.choice([top, -top - 1, 12345, 1 << 40], (size, 4))

    def readout(numerics: Numerics) -> IntegerNeuron:
        state = numerics.state
        edges = {"threshold": state.high, "v_min": np.asarray(state.low)}
        return neuron(numerics=numerics, **edges)  # type: ignore[arg-type]

    narrow = replace(wide, acc_bits=32)
    for widths in ((narrow, wide), (narrow, narrow), (wide, wide)):
        cells = {f"p{k}": readout(numerics) for k, numerics in enumerate(widths)}
        graph = Graph(
            "widths",
            1e-3,
            (Input("in", (4,)),),
            tuple(Population(name, (size,), cell) for name, cell in cells.items()),
            tuple(
                Projection(f"{name}{delay}", "in", name, Dense(weight), delay)
                for name in cells
                for delay in (0, 1)
            ),
            tuple(Output(f"out-{name}", name) for name in cells),
        )
        axons, mapping = scattered(graph, "ring", rng)
        stimulus = counts(rng.integers(0, 4, (1, 6, 4)))
        assert_equal(graph, axons, mapping, stimulus)
        words = Executor(graph).run(stimulus, record=[("p0", "v"), ("p1", "v")]).states
        assert (np.abs(words["p0", "v"]).max() > 1 << 31) == (widths[0] is wide)
        assert (np.abs(words["p1", "v"]).max() > 1 << 31) == (widths[1] is wide)


def test_each_synapse_may_have_a_delay_of_its_own() -> None:
    """One projection with delays before and behind its weights; and one for each delay."""
    rng = np.random.default_rng(5)
    before, behind = np.array([0, 3, 1]), np.array([2, 0, 300, 2, 1])
    weight = rng.integers(-9, 10, (5, 3))
    steps = before + behind[:, None]
    joined = between(Chain((Delay(before, (3,)), Dense(weight), Delay(behind, (5,)))), 1)
    split = replace(
        between(Dense(weight)),
        projections=tuple(
            Projection(f"d{d}", "in", "sum", Dense(weight * (steps == d)), 1 + int(d))
            for d in np.unique(steps)
        ),
    )
    axons, mapping = scattered(joined, "tree", rng)
    stimulus = counts(rng.integers(0, 2, (1, 320, 3)))
    got = CoreExecutor(joined, axons, mapping).run(stimulus, record=[("sum", "v")])
    assert got == replace(Executor(split).run(stimulus, record=[("sum", "v")]), rung="cores")
    assert np.unique(got.states["sum", "v"]).size > 3


# -- the programs ----------------------------------------------------------------------------------


def synapses(cores: Cores) -> Counter[tuple[int, int, int, int]]:
    """(source, target, weight, delay) of all cores."""
    found: Counter[tuple[int, int, int, int]] = Counter()
    for core in range(cores.count):
        members = cores.neuron[cores.neuron_ptr[core] : cores.neuron_ptr[core + 1]].tolist()
        low, high = cores.axon_ptr[core : core + 2].tolist()
        sources = cores.axon_source[low:high].tolist()
        assert sources == sorted(set(sources))
        assert members == sorted(set(members))
        for axon, source in zip(range(low, high), sources, strict=True):
            begin, end = cores.synapse_ptr[axon : axon + 2].tolist()
            assert end > begin
            for s in range(begin, end):
                place = members[cores.target[s]]
                found[source, place, int(cores.weight[s]), int(cores.delay[s])] += 1
    return found


@settings(max_examples=40)
@given(networks(), SEEDS)
def test_cores_hold_each_synapse_once(graph: Graph, seed: int) -> None:
    axons, mapping = scattered(graph, "ring", np.random.default_rng(seed))
    first = {node.name: node.first for node in axons.nodes}
    wanted: Counter[tuple[int, int, int, int]] = Counter()
    for p in graph.projections:
        matrix = to_sparse(p.connection).tocoo()
        late = p.pre != "in" and graph.population(p.pre).semantics.registered
        for pre, post, w in zip(matrix.row, matrix.col, matrix.data, strict=True):
            wanted[first[p.pre] + int(pre), first[p.post] + int(post), int(w), p.delay + late] += 1
    cores = cores_of(graph, axons, mapping)
    assert synapses(cores) == wanted
    assert cores.synapses == sum(wanted.values())
    for core in range(cores.count):
        members = cores.neuron[cores.neuron_ptr[core] : cores.neuron_ptr[core + 1]]
        assert members.tolist() == np.flatnonzero(mapping.part == core).tolist()


@pytest.mark.parametrize(("largest", "size"), [(127, 4), (1 << 14, 5), (1 << 30, 7), (1 << 40, 11)])
def test_a_synapse_takes_few_bytes(largest: int, size: int) -> None:
    graph = between(Dense(np.array([[1, -largest], [3, 0]])))
    axons, mapping = scattered(graph, "ring", np.random.default_rng(0))
    cores = cores_of(graph, axons, mapping)
    assert cores.synapses == 3
    assert cores.target.itemsize + cores.weight.itemsize + cores.delay.itemsize == size


# -- mappings that are wrong -----------------------------------------------------------------------


def telling(rng: np.random.Generator) -> tuple[Graph, Stimulus]:
    """Every source spikes, and every synapse moves the state of its target, which is recorded."""
    shape = (6, 6)
    weight = rng.integers(1, 9, shape) * (rng.random(shape) < 0.4)
    weight[np.arange(6), rng.permutation(6)] = 5
    cell = neuron("subtract", 40, v_reset=np.asarray(41), bias=np.asarray(30), decay_v=200)
    graph = Graph(
        "telling",
        1e-3,
        (Input("in", (6,)),),
        (Population("a", (6,), cell), Population("b", (6,), cell)),
        (
            Projection("in-a", "in", "a", Dense(weight), 1),
            Projection("a-b", "a", "b", Dense(weight.T), 1),
            Projection("b-a", "b", "a", Dense(weight), 2),
        ),
        (Output("out", "b"),),
    )
    return graph, counts(np.ones((1, 30, 6), np.int64))


def recorded(graph: Graph, axons: Axons, mapping: Mapping, stimulus: Stimulus) -> Recording:
    executor = CoreExecutor(graph, axons, mapping)
    return executor.run(stimulus, populations=["a", "b"], record=state_words(graph))


@pytest.mark.parametrize("name", ["ring", "torus", "tree"])
def test_a_neuron_in_another_part_shows(name: str) -> None:
    rng = np.random.default_rng(1)
    graph, stimulus = telling(rng)
    axons, mapping = scattered(graph, name, rng)
    assert_equal(graph, axons, mapping, stimulus)
    sound = recorded(graph, axons, mapping, stimulus)
    moved = 0
    for place in range(axons.neurons):
        part = mapping.part.copy()
        if np.count_nonzero(part == part[place]) == 1:
            continue
        part[place] = (part[place] + 1) % mapping.parts
        moved += 1
        assert recorded(graph, axons, replace(mapping, part=part), stimulus) != sound, place
    assert moved > 6


def test_a_sink_that_is_cut_or_another_shows() -> None:
    rng = np.random.default_rng(2)
    graph, stimulus = telling(rng)
    axons, mapping = scattered(graph, "triads", rng)
    sound = recorded(graph, axons, mapping, stimulus)
    trees = simple.trees_of(mapping.routes)
    of = mapping.routes.of.tolist()
    cut = 0
    for r, (origin, links, sinks) in enumerate(trees):
        for sink in sinks:
            others = [s for s in sinks if s != sink]
            free = next(s for s in range(mapping.machine.seats) if s not in sinks)
            for wrong in (others, sorted([*others, free])):
                changed = [*trees[:r], (origin, links, wrong), *trees[r + 1 :]]
                broken = replace(mapping, routes=simple.from_trees(of, changed))
                assert recorded(graph, axons, broken, stimulus) != sound, (r, sink)
                cut += 1
    assert cut > 20


def test_a_link_that_is_cut_shows() -> None:
    rng = np.random.default_rng(3)
    graph, stimulus = telling(rng)
    axons, mapping = scattered(graph, "tree", rng)
    sound = recorded(graph, axons, mapping, stimulus)
    trees = simple.trees_of(mapping.routes)
    cut = 0
    for r, (origin, links, sinks) in enumerate(trees):
        for k in range(len(links)):
            changed = [*trees[:r], (origin, links[:k] + links[k + 1 :], sinks), *trees[r + 1 :]]
            routes = simple.from_trees(mapping.routes.of.tolist(), changed)
            broken = replace(mapping, routes=routes)
            assert recorded(graph, axons, broken, stimulus) != sound, (r, k)
            cut += 1
    assert cut > 20


def test_table_entries_that_are_swapped_show() -> None:
    """Those of one router that deliver to different cores; routes are not looked at."""
    rng = np.random.default_rng(4)
    graph, stimulus = telling(rng)
    axons, mapping = scattered(graph, "tables", rng)
    tables = mapping.tables
    assert tables is not None
    nowhere = replace(mapping.routes, of=np.full_like(mapping.routes.of, -1))
    sound = recorded(graph, axons, mapping, stimulus)
    swapped = 0
    for low, high in zip(tables.ptr[:-1].tolist(), tables.ptr[1:].tolist(), strict=True):
        for k in range(low, high - 1):
            if tables.entry_cores[k] == tables.entry_cores[k + 1]:
                continue
            order = np.arange(tables.entry_key.size)
            order[[k, k + 1]] = [k + 1, k]
            changed = replace(
                tables,
                entry_cores=tables.entry_cores[order],
                entry_links=tables.entry_links[order],
            )
            broken = replace(mapping, tables=changed)
            assert recorded(graph, axons, broken, stimulus) != sound, k
            swapped += 1
    assert swapped > 5
    lost = replace(mapping, tables=replace(tables, key=np.zeros_like(tables.key)), routes=nowhere)
    assert recorded(graph, axons, lost, stimulus) != sound


def test_the_first_entry_that_matches_counts() -> None:
    """An entry for every key, before the right ones or behind them; and a packet that circles."""
    rng = np.random.default_rng(6)
    graph, stimulus = telling(rng)
    axons, mapping = scattered(graph, "tables", rng)
    assert mapping.tables is not None
    tables = mapping.tables
    sound = recorded(graph, axons, mapping, stimulus)
    entries = np.stack([tables.entry_key, tables.entry_mask, tables.entry_links], 1).tolist()
    rows = [
        [(*entries[k], int(tables.entry_cores[k])) for k in range(low, high)]
        for low, high in zip(tables.ptr[:-1].tolist(), tables.ptr[1:].tolist(), strict=True)
    ]
    keys = tables.key.tolist()
    east = (0, 0, 1, 0)  # the grid wraps: whoever takes this everywhere comes round
    behind = simple.replace_tables(mapping, keys, [[*row, east] for row in rows])
    before = simple.replace_tables(mapping, keys, [[east, *row] for row in rows])
    assert recorded(graph, axons, behind, stimulus) == sound
    silent = recorded(graph, axons, before, stimulus)
    assert silent.states["b", "v"].tolist() == [
        [row[:1] * 6 for row in silent.states["b", "v"][0].tolist()]
    ]
    assert silent != sound


# -- refusals --------------------------------------------------------------------------------------


def code_of(graph: Graph) -> str:
    axons = axons_of(graph, GRIDS["ring"], 8)
    part = [0] * axons.neurons
    mapping = simple.map_simply(axons, GRIDS["ring"], part, [0])
    with pytest.raises(SpikecError) as caught:
        CoreExecutor(graph, axons, mapping)
    return caught.value.diagnostics[0].code


def test_what_cores_cannot_do_is_refused() -> None:
    graph = between(Dense(np.array([[1, 2]])))
    population = graph.populations[0]
    noise = Numerics(Format(8), Format(32, rounding=Rounding.STOCHASTIC), 8, 32)
    noisy = replace(population, neuron=neuron(numerics=noise))
    assert code_of(replace(graph, populations=(noisy,))) == "E0301"
    assert code_of(between(Dense(np.array([[0.5, 2.0]])))) == "E0301"
    learning = replace(graph.projections[0], plasticity=Plasticity(SDSP(9.0, 1, 3, 6), 0, 7))
    assert code_of(replace(graph, projections=(learning,))) == "E0308"
    heard = Projection("loop", "sum", "sum", Dense(np.array([[1]])), 1)
    assert code_of(replace(graph, projections=(*graph.projections, heard))) == "E0303"


def test_arrays_that_do_not_fit_are_refused() -> None:
    rng = np.random.default_rng(0)
    graph, stimulus = telling(rng)
    axons, mapping = scattered(graph, "ring", rng)
    with pytest.raises(SpikecError, match="E0322"):
        CoreExecutor(graph, axons, replace(mapping, part=mapping.part[1:]))
    other = replace(graph, populations=graph.populations[::-1])
    with pytest.raises(ValueError, match="not those of 'telling'"):
        CoreExecutor(other, axons, mapping)
    executor = CoreExecutor(graph, axons, mapping)
    with pytest.raises(SpikecError, match="E0206"):
        executor.run(stimulus, populations=["c"])
    with pytest.raises(SpikecError, match="E0206"):
        executor.run(stimulus, record=[("a", "h")])
    with pytest.raises(SpikecError, match="E0702"):
        executor.run(counts(np.ones((1, 3, 5), np.int64)))


def test_samples_and_runs_do_not_see_each_other() -> None:
    rng = np.random.default_rng(7)
    graph, _ = telling(rng)
    axons, mapping = scattered(graph, "ring", rng)
    dense = rng.integers(0, 3, (3, 8, 6))
    executor = CoreExecutor(graph, axons, mapping)
    shares: list[float] = []
    words = state_words(graph)
    one = executor.run(counts(dense), record=words, progress=shares.append)
    done = executor.synaptic_operations
    other = executor.run(counts(dense[::-1]), record=words)
    assert executor.synaptic_operations == 2 * done > 0
    assert all(np.array_equal(one.states[w][::-1], other.states[w]) for w in words)
    assert shares == [1 / 3, 2 / 3, 1.0]


def test_the_rung_of_a_backend() -> None:
    rng = np.random.default_rng(8)
    graph, stimulus = telling(rng)
    axons, mapping = scattered(graph, "ring", rng)
    stages: list[tuple[str, float]] = []
    run = Run(
        Artifact({}, {}), stimulus, ("a",), (("b", "v"),),
        progress=lambda stage, share: stages.append((stage, share)),
    )  # fmt: skip
    got = run_cores(graph, axons, mapping, run).recording
    wanted = Executor(graph).run(stimulus, populations=["a"], record=[("b", "v")])
    assert got == replace(wanted, rung="cores")
    assert stages == [("cores", 1.0)]


# -- a trained network -----------------------------------------------------------------------------


def test_trained_digits_on_cores_of_32_neurons() -> None:
    pytest.importorskip("sklearn")
    from spikec.compiler.demo.digits import train_digits

    digits = train_digits()
    passes: list[Pass] = [Legalise(), Retime(), Quantise(weight_bits=8, state_bits=16, input_max=1)]
    features = target(input_hop=1, hop=1, max_spikes=1)
    graph = run_pipeline(passes, digits.graph, features, Diagnostics())
    machine = small(load_chip("loihi1"), 32)
    axons = axons_of(graph, machine, 8)
    mapping = map_network(axons, machine).mapping
    assert mapping.parts >= 4
    some = digits.test.take(40)
    assert_equal(graph, axons, mapping, some.stimulus)
    label = CoreExecutor(graph, axons, mapping).run(some.stimulus).spikes["output"]
    assert some.labels is not None
    assert (label.counts().argmax(1) == some.labels).mean() > 0.9
