"""A network as a circuit: equal to the integer executor, chosen where it fits and is faster."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.fpga.choose import choose
from spikec.backends.fpga.forecast import forecast
from spikec.backends.fpga.host import Run
from spikec.backends.fpga.logic import parallel_parts
from spikec.backends.fpga.lower import Build, LoweredCore, lower
from spikec.backends.fpga.rtl import device_counts, interpret
from spikec.backends.fpga.simulate import TRACE_RECORD
from spikec.boards.board import load_board
from spikec.compiler.compare import compare
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import state_words
from spikec.hdl.cycles import StepCycles, parallel_cycles
from spikec.hdl.shape import CoreShape, ParallelShape
from spikec.hdl.terms import depth, terms_of
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.verify import verify

from ...hdl.bench import StepRecord, run_core
from .networks import random_case
from .test_choose import layers, recurrent_sparse

# What random networks may have: delays, currents, refractory steps, lags, every reset.
SHAPES = {
    "current": CoreShape(
        lanes=1,
        weight_bits=6,
        acc_bits=20,
        state_bits=12,
        neurons=12,
        inputs=6,
        words=400,
        delays=3,
        pages=4,
        cuba=True,
        first_bias=True,
        refractory_bits=2,
        shift_bits=3,
        decay_bits=8,
        rounding="nearest_even",
    ),
    "integrator": CoreShape(
        lanes=1,
        weight_bits=4,
        acc_bits=20,
        state_bits=9,
        neurons=16,
        inputs=8,
        words=400,
        refractory_bits=1,
        shift_bits=2,
        decay_bits=6,
        rounding="toward_zero",
        overflow="wrap",
    ),
}
CIRCUIT = Build(1, parallel=True, input_max=2)


def as_run(records: list[list[StepRecord]]) -> Run:
    """What a device would have told of the steps of each sample."""
    flat = [
        (sample, step, neuron)
        for sample, steps in enumerate(records)
        for step, record in enumerate(steps)
        for neuron in record.spikes
    ]
    sample, step, neuron = np.array(flat, np.int64).reshape(-1, 3).T
    cycles = np.array([[[r.cycles.events, r.cycles.commit] for r in s] for s in records])
    return Run(len(records), len(records[0]), sample, step, neuron, cycles, ("events", "commit"))


def as_trace(records: list[list[StepRecord]]) -> np.ndarray:
    """The trace that the simulator would have written."""
    lines = [
        (r.step, line.index, line.v, line.u, line.spike, 0)
        for steps in records
        for r in steps
        for line in r.trace
    ]
    return np.array(lines, TRACE_RECORD)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("seed", range(5))
def test_a_circuit_equals_the_integer_executor(name: str, seed: int) -> None:
    """Every spike and every state word of a random network, and its cycles as predicted."""
    case = random_case(1000 + seed, SHAPES[name])
    verify(case.graph)
    core = lower(case.graph, CIRCUIT)
    assert isinstance(core.shape, ParallelShape)
    counts = device_counts(core, case.stimulus)
    records = []
    for sample in counts:
        steps = [np.repeat(np.arange(row.size), row).tolist() for row in sample]
        records.append(run_core(core.image, steps))
    expected = parallel_cycles(core.shape, depth(terms_of(core.image)))
    for sample, steps_of in zip(counts, records, strict=True):
        assert [r.cycles for r in steps_of] == [
            StepCycles(int(row.sum()), expected) for row in sample
        ]
    populations = [p.name for p in case.graph.populations]
    states = state_words(case.graph)
    rtl = interpret(
        core,
        [(as_run(records), as_trace(records))],
        case.stimulus,
        populations=populations,
        record=states,
    )
    integer = Executor(case.graph).run(case.stimulus, populations=populations, record=states)
    found = compare(integer, rtl, graph=case.graph, stimulus=case.stimulus)
    assert found.equal, f"{case.graph.name}: {found.describe()}"
    assert found.state_words >= counts.shape[0] * case.stimulus.steps


def test_more_events_than_a_line_counts_are_refused() -> None:
    graph = layers(6, 4)
    stimulus = Stimulus({"in": Events.from_dense(np.full((1, 2, 6), 4))})
    core = lower(graph, Build(1, parallel=True, input_max=3))
    with pytest.raises(SpikecError) as caught:
        device_counts(core, stimulus)
    (found,) = caught.value.diagnostics
    assert found.code == "E0703" and "--input-max 4" in str(found.hint)
    assert device_counts(lower(graph, Build(1, parallel=True, input_max=4)), stimulus).max() == 4


def test_the_cheaper_of_two_that_fit_is_chosen() -> None:
    """A tiny network becomes a circuit, a larger one does not, and both say why."""
    target = load_board("ulx3s-25f").target
    core, build, found = choose(layers(12, 10, 4), target, input_max=1)
    assert found.kind == "parallel" and build.parallel and core.shape.constant
    _, _, other = choose(layers(12, 10, 4), target, kind="events", input_max=1)
    assert other.kind == "events" and other.why.startswith("asked for; least cells x cycles of ")
    assert found.cycles < other.cycles
    assert f"{found.cycles:.0f} cycles a step as a circuit" in found.why
    assert lower(core.graph, build).image.digest == core.image.digest
    large, build, found = choose(layers(100, 80, 10), target)
    assert found.kind == "events" and not build.parallel and not large.shape.constant
    assert "would need about" in found.why
    _, _, found = choose(layers(300, 100, 10), target)
    assert found.kind == "events" and "too many for a circuit" in found.why


def test_lanes_and_units_are_those_of_an_event_driven_core() -> None:
    target = load_board("ulx3s-25f").target
    assert choose(layers(12, 10, 4), target, lanes=4)[2].kind == "events"
    assert choose(layers(12, 10, 4), target, units=2)[2].kind == "events"
    with pytest.raises(SpikecError, match="--core events"):
        choose(layers(12, 10, 4), target, lanes=4, kind="parallel")


def test_a_circuit_too_large_is_refused_by_how_much() -> None:
    with pytest.raises(SpikecError) as caught:
        choose(layers(60, 60), load_board("icebreaker").target, kind="parallel")
    (found,) = caught.value.diagnostics
    assert found.code == "E0302"
    assert "the parallel core needs about" in found.message and "too many" in found.message


def test_a_line_that_counts_further_costs_more() -> None:
    target = load_board("ulx3s-25f").target
    graph = recurrent_sparse(12, 3)

    def of(input_max: int) -> LoweredCore:
        return lower(graph, Build(1, parallel=True, input_max=input_max))

    one, many = forecast(of(1), target), forecast(of(15), target)
    assert many.cycles == one.cycles + 5
    assert many.logic > one.logic
    assert parallel_parts(of(1))["tables"] == parallel_parts(of(15))["tables"]
