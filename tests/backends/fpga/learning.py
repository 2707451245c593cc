"""Networks on a core in Amaranth's simulator, held to the integer executor: most of them learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from amaranth.sim import SimulatorContext

from spikec.backends.fpga.lower import LoweredCore
from spikec.backends.fpga.plastic import plastic_projection
from spikec.compiler.connectivity import to_sparse
from spikec.compiler.integer.executor import Executor
from spikec.hdl.core import Core
from spikec.hdl.cycles import LearningStep, StepCycles, step_cycles
from spikec.hdl.layouts import Request
from spikec.hdl.shape import index_bits
from spikec.ir.connections import stages
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Projection
from spikec.ir.plasticity import SDSP, TraceSTDP

from ...hdl.bench import put, simulate
from ...hdl.reference import Reference


@dataclass
class Learned:
    """What a core had after each step of each sample: index (sample, step).

    weights (..., W, L) in order of lanes, zero where nothing learns; x (..., K) and y (..., N),
    zero without such traces; v, u, h and spikes (..., N); cycles and committed groups of each step.
    """

    weights: np.ndarray
    x: np.ndarray
    y: np.ndarray
    v: np.ndarray
    u: np.ndarray
    h: np.ndarray
    spikes: np.ndarray
    cycles: list[list[StepCycles]]
    groups: list[list[list[int]]]


def run_learning(core: LoweredCore, counts: np.ndarray, learn: Sequence[bool] = ()) -> Learned:
    """``counts`` (samples, steps, lines), 0 or 1; ``learn`` says of each sample whether it does."""
    shape = core.shape
    dut = Core(shape, core.image)
    plasticity, learning = dut.plasticity, shape.learning
    samples, steps, _ = counts.shape
    size = (samples, steps)
    y, v, u, h, spikes = np.zeros((5, *size, shape.neurons), np.int64)
    found = Learned(
        np.zeros((*size, shape.words, shape.lanes), np.int64),
        np.zeros((*size, 0 if learning is None else learning.rows), np.int64),
        y,
        v,
        u,
        h,
        spikes,
        [[] for _ in range(samples)],
        [[[] for _ in range(steps)] for _ in range(samples)],
    )
    at = [0, 0]
    seen = 0

    def photograph(ctx: SimulatorContext) -> np.ndarray:
        assert plasticity is not None
        bits = shape.weight_bits
        banks = plasticity.weights.banks
        words = np.array([[ctx.get(bank.data[w]) for bank in banks] for w in range(shape.words)])
        values = (words & ((1 << bits) - 1)) - ((words >> (bits - 1) & 1) << bits)
        return core.image.to_lanes(values)

    def pieces(word: int, count: int, bits: int) -> list[int]:
        return [word >> k * bits & ((1 << bits) - 1) for k in range(count)]

    async def watch(ctx: SimulatorContext) -> None:
        nonlocal seen
        assert plasticity is not None and learning is not None
        pre, post = plasticity.pre, dut.commit.traces
        while True:
            for wanted in (0, 1):
                while ctx.get(plasticity.over) != wanted:
                    await ctx.tick()
            # The last column has been written, the first row has not.
            await ctx.tick().repeat(5)
            place = (at[0], at[1])
            found.weights[place] = photograph(ctx)
            if post is not None:
                beats = shape.neurons // shape.units
                found.y[place] = [
                    value
                    for beat in range(beats)
                    for value in pieces(ctx.get(post.memory.data[beat]), shape.units, post.bits)
                ]
            if pre is not None:
                assert isinstance(learning.rule, TraceSTDP)
                while not ctx.get(pre.ready):
                    await ctx.tick()
                step = 1 << index_bits(shape.beats)
                values = [
                    value
                    for block in range(learning.blocks(shape.lanes))
                    for chunk in range(shape.beats)
                    for value in pieces(
                        ctx.get(pre.memory.data[block * step + chunk]),
                        shape.units,
                        learning.rule.pre.bits,
                    )
                ]
                found.x[place] = values[: learning.rows]
            seen += 1

    async def states(ctx: SimulatorContext) -> None:
        out = dut.trace
        offsets = out.h if shape.adaptive else out.u
        sampled = ctx.tick().sample(out.valid, out.index, out.v, out.u, out.spike, offsets)
        async for _, _, valid, index, v, u, spike, h in sampled:
            if valid:
                place = (at[0], at[1], slice(index, index + shape.units))
                found.v[place], found.u[place] = list(v), list(u)
                if shape.adaptive:
                    found.h[place] = list(h)
                found.spikes[place] = [spike >> k & 1 for k in range(shape.units)]
                groups = found.groups[at[0]][at[1]]
                if index // shape.lanes not in groups:
                    groups.append(index // shape.lanes)

    async def finish(ctx: SimulatorContext) -> StepCycles:
        (done,) = await ctx.tick().sample(dut.done.payload).until(dut.done.valid)
        return StepCycles(done.events, done.commit)

    async def drive(ctx: SimulatorContext) -> None:
        ctx.set(dut.spikes.ready, 1)
        ctx.set(dut.done.ready, 1)
        for sample in range(samples):
            if learning is not None:
                ctx.set(dut.learn, int(learn[sample] if learn else True))
            await put(ctx, dut.requests, Request.CLEAR)
            await finish(ctx)
            for step in range(steps):
                at[:] = sample, step
                if step:
                    # Neurons that are passed over keep what they have.
                    for states in (found.v, found.u, found.h):
                        states[sample, step] = states[sample, step - 1]
                for line in np.flatnonzero(counts[sample, step]):
                    await put(ctx, dut.events, int(line))
                number = seen
                await put(ctx, dut.requests, Request.TICK)
                found.cycles[sample].append(await finish(ctx))
                while learning is not None and seen == number:
                    await ctx.tick()

    simulate(dut, drive, background=(states,) if learning is None else (watch, states))
    return found


def integers(graph: Graph, counts: np.ndarray, phases: Sequence[bool]) -> Recording:
    """What the integer executor has of every neuron and synapse after every step, lags included."""
    events, first = {}, 0
    for node in graph.inputs:
        events[node.name] = Events.from_dense(counts[:, :, first : first + node.size])
        first += node.size
    record = [(p.name, state) for p in graph.populations for state in p.neuron.state]
    for projection in graph.projections:
        if projection.plasticity is not None:
            rule = projection.plasticity.rule
            record += [(projection.name, name) for name in (*rule.PRE, *rule.POST)]
    return Executor(graph).run(
        Stimulus(events),
        populations=[p.name for p in graph.populations],
        record=record,
        learning=phases,
        record_weights="steps",
        raw=True,
    )


def check_learning(
    core: LoweredCore, graph: Graph, counts: np.ndarray, learn: Any = True
) -> Learned:
    """Every weight, trace, state and spike of every step, as the integer executor has them.

    Also of a core that does not learn, which has neither weights that change nor traces.
    """
    samples, steps, _ = counts.shape
    lag = core.lag
    longer = np.concatenate([counts, np.zeros((samples, lag, counts.shape[2]), np.int64)], axis=1)
    phases = [learn] * samples if isinstance(learn, bool) else list(learn)
    found = run_learning(core, longer, phases)
    run = integers(graph, counts, phases)
    for population in graph.populations:
        places = core.placement.places(population)
        for state in population.neuron.state:
            np.testing.assert_array_equal(
                getattr(found, state)[..., places],
                run.states[population.name, state],
                f"{population.name}.{state}",
            )
    if (projection := plastic_projection(graph)) is not None:
        _check_synapses(core, graph, projection, found, run)
    for name, emitted in run.spikes.items():
        places = core.placement.places(graph.population(name))
        if not graph.population(name).neuron.spiking:  # type: ignore[attr-defined]
            assert not found.spikes[:, :, places].any(), name
            continue
        dense = np.zeros((samples, steps + lag, len(places)), np.int64)
        late = int(graph.population(name).semantics.registered)
        keep = emitted.step - late >= 0
        dense[emitted.sample[keep], emitted.step[keep] - late, emitted.index[keep]] = 1
        np.testing.assert_array_equal(found.spikes[:, :, places][:, : steps + lag], dense, name)
    check_cycles(core, longer, phases, found)
    return found


def _check_synapses(
    core: LoweredCore, graph: Graph, projection: Projection, found: Learned, run: Recording
) -> None:
    """Weights by row and neuron of the core, and traces, after every step."""
    learning, plasticity = core.shape.learning, projection.plasticity
    assert learning is not None and plasticity is not None
    rule = plasticity.rule
    places = core.placement.places(graph.population(projection.post))
    columns = places - learning.first_group * core.shape.lanes
    begin = [learning.word(k, core.shape.lanes, core.shape.words) for k in range(learning.rows)]
    at = np.add.outer(begin, np.arange(learning.groups))
    samples, steps = found.weights.shape[:2]
    weights = found.weights[:, :, at].reshape(samples, steps, learning.rows, -1)[..., columns]
    shots = run.weights[projection.name]
    shots = shots.reshape(samples, steps, *shots.shape[1:])
    stage: Any = next(s for s in stages(projection.connection) if s.WEIGHTED)
    for sample in range(samples):
        for step in range(steps):
            shot = to_matrix(stage, shots[sample, step])
            where = f"weights, sample {sample}, step {step}"
            np.testing.assert_array_equal(weights[sample, step], shot, where)
    if rule.rows:
        for name in rule.POST:
            np.testing.assert_array_equal(
                found.y[..., places], run.states[projection.name, name], name
            )
    if rule.columns:
        for name in rule.PRE:
            np.testing.assert_array_equal(found.x, run.states[projection.name, name], name)


def check_cycles(
    core: LoweredCore, counts: np.ndarray, phases: Sequence[bool], found: Learned
) -> None:
    """The counters of every step are those predicted."""
    shape, learning = core.shape, core.shape.learning
    words = Reference(core.image).words
    rows = range(0)
    if learning is not None:
        rows = range(learning.first_row, learning.first_row + learning.rows)
    for sample, steps in enumerate(counts):
        before: list[int] = []
        for step, lines in enumerate(steps):
            events = np.flatnonzero(lines).tolist()
            spikes = np.flatnonzero(found.spikes[sample, step]).tolist()
            learns = None
            if learning is not None:
                refresh = (
                    isinstance(learning.rule, SDSP)
                    and learning.refreshes
                    and step >= learning.start
                    and (step - learning.start + 1) % learning.rule.refresh_period == 0
                )
                read = [r - learning.first_row for r in (*before, *events) if r in rows]
                learns = LearningStep(read, spikes, phases[sample], refresh)
            predicted = step_cycles(
                shape,
                found.groups[sample][step],
                [words(source) for source in events],
                {n: words(shape.inputs + n) for n in spikes} if shape.recurrent else {},
                learns=learns,
            )
            got = found.cycles[sample][step]
            assert got == predicted, f"sample {sample}, step {step}: {got}, predicted {predicted}"
            before = [shape.inputs + n for n in spikes]


def to_matrix(stage: Any, weight: np.ndarray) -> np.ndarray:
    """(pre, post) weights of a stage that has ``weight``."""
    matrix: np.ndarray = to_sparse(replace(stage, weight=weight)).toarray()
    return matrix
