"""Brian2 against a plain reading of the docstring of ``ir.semantics``, on random networks.

Weights, thresholds and biases are multiples of 1/8, so that sums of spikes are exact in any
order and a membrane may lie exactly on its threshold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.compiler.connectivity import apply
from spikec.ir.connections import (
    AvgPool2d,
    Chain,
    Connection,
    Conv1d,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    OneToOne,
    Scale,
    Shape,
    Sparse,
    SumPool2d,
    stages,
)
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import (
    IF,
    LI,
    LIF,
    CubaLI,
    CubaLIF,
    Emission,
    Integrator,
    Izhikevich,
    LinearLIF,
    Neuron,
    Relay,
    Threshold,
)
from spikec.ir.semantics import (
    Comparison,
    Current,
    Decay,
    Gain,
    IntegratorGain,
    Reset,
    Semantics,
)
from spikec.ir.step import step_parameters

DT = 1e-3
Values = npt.NDArray[Any]


# -- the oracle ----------------------------------------------------------------------------------


class Cell:
    """One population, by the letter of ``Semantics``."""

    def __init__(self, population: Population, dt: float) -> None:
        self.p, self.s, self.n = population, population.semantics, population.neuron
        self.k = step_parameters(population.neuron, population.semantics, dt)
        self.v = np.full(population.size, self.s.v_init)
        self.u = np.zeros(population.size)
        if isinstance(self.n, Izhikevich):
            self.u += self.flat(self.n.b) * self.s.v_init
        self.rest = np.zeros(population.size, int)

    def above(self, w: Values, level: Values) -> Values:
        if self.s.comparison is Comparison.GREATER:
            return np.asarray(w > level)
        return np.asarray(w >= level)

    def flat(self, value: Values | None) -> Values:
        assert value is not None
        return np.broadcast_to(value.ravel() if value.ndim else value, (self.p.size,))

    def step(self, total: Values) -> Values:
        if isinstance(self.n, Relay):
            return total
        if isinstance(self.n, Threshold):
            return self.above(total, self.flat(self.n.v_threshold)).astype(float)
        x = total
        if isinstance(self.n, CubaLIF | CubaLI):
            old = self.u
            self.u = self.flat(self.k.decay_u) * self.u + self.flat(self.k.gain_u) * total
            x = self.u if self.s.current is Current.NEW else old
        w = self.flat(self.k.decay_v) * self.v + self.flat(self.k.drift)
        if isinstance(self.n, LinearLIF):
            goal, leak = self.flat(self.n.v_leak), self.flat(self.n.leak) * DT
            down = np.maximum(self.v - leak, goal)
            w = np.where(self.v > goal, down, np.minimum(self.v + leak, goal))
        if isinstance(self.n, Izhikevich):
            return self.quadratic(self.n, total)
        w = np.asarray(w + self.flat(self.k.gain_v) * x)
        if self.s.v_min is not None:
            w = np.maximum(w, self.s.v_min)
        if self.n.EMISSION is Emission.GRADED:
            self.v = w
            return np.asarray(w)
        theta = self.flat(self.k.threshold)
        two_phase = self.s.reset is Reset.TWO_PHASE
        before = theta * (two_phase & self.above(self.v, theta))
        if self.s.max_spikes == 1:
            z = self.above(w, theta + before).astype(float)
        else:
            z = np.maximum(np.floor((w - before) / theta), 0)
            if self.s.max_spikes is not None:
                z = np.minimum(z, self.s.max_spikes)
        return self.reset(w, z, self.s.reset, theta)

    def quadratic(self, n: Izhikevich, total: Values) -> Values:
        """Euler steps of v with the u of before, then one of u with the v of before."""
        h = DT * 1e3 / n.substeps
        w = self.v
        for _ in range(n.substeps):
            change = self.flat(n.k2) * w**2 + self.flat(n.k1) * w + self.flat(n.k0) - self.u
            w = w + h * change + self.flat(n.r) * total / n.substeps
        if self.s.v_min is not None:
            w = np.maximum(w, self.s.v_min)
        goal = self.flat(n.b) * self.v
        theta = self.flat(n.v_threshold)
        z = self.reset(w, self.above(w, theta).astype(float), Reset.VALUE, theta)
        self.u = self.u + DT * 1e3 * self.flat(n.a) * (goal - self.u) + self.flat(n.d) * z
        return z

    def reset(self, w: Values, z: Values, rule: Reset, theta: Values) -> Values:
        """What is left of the spikes ``z``; the membrane behind them."""
        held = self.rest > 0
        z[held] = 0
        new = w.copy()
        spiked = z > 0
        match rule:
            case Reset.ZERO:
                new[spiked] = 0
            case Reset.VALUE:
                new[spiked] = self.flat(self.k.v_reset)[spiked]
            case _:
                new = w - z * theta
        if self.s.refractory_frozen:
            new[held] = self.v[held]
        self.rest[held] -= 1
        self.rest[spiked] = self.s.refractory
        self.v = new
        return z


class Sample:
    """One run of a network; what happens at a step is computed when it is first asked for."""

    def __init__(self, graph: Graph, inputs: dict[str, Values]) -> None:
        self.graph, self.inputs = graph, inputs
        self.cells = {p.name: Cell(p, graph.dt) for p in graph.populations}
        self.emitted: dict[str, list[Values]] = {p.name: [] for p in graph.populations}
        self.membrane: dict[str, list[Values]] = {p.name: [] for p in graph.populations}

    def shown(self, name: str, t: int) -> Values:
        """What the projections of a node see in step t."""
        if name in self.inputs:
            values = self.inputs[name]
            return values[t].astype(float) if 0 <= t < len(values) else np.zeros(values.shape[1])
        t -= self.cells[name].s.registered
        if t < 0:
            return np.zeros(self.cells[name].p.size)
        while len(self.emitted[name]) <= t:
            self.advance(name, len(self.emitted[name]))
        return self.emitted[name][t]

    def advance(self, name: str, t: int) -> None:
        cell = self.cells[name]
        z = np.zeros(cell.p.size)
        if t >= cell.p.lag:
            z = cell.step(self.total(cell, t))
        assert len(self.emitted[name]) == t, "a loop without delay"
        self.emitted[name].append(z)
        self.membrane[name].append(cell.v)

    def total(self, cell: Cell, t: int) -> Values:
        total = np.zeros(cell.p.size)
        for p in self.graph.incoming(cell.p.name):
            total = total + self.arriving(stages(p.connection), p, t)
            absent = p.recurrent and not cell.s.recurrent_bias_first and t == cell.p.lag
            if p.bias is not None and not absent:
                total = total + p.bias
        return total

    def arriving(self, parts: tuple[Connection, ...], p: Projection, t: int) -> Values:
        """What leaves the last of the stages in step t."""
        if not parts:
            return self.shown(p.pre, t - p.delay)
        *before, last = parts
        if not isinstance(last, Delay):
            return apply(last, self.arriving(tuple(before), p, t))
        steps = last.steps.ravel()
        past = {s: self.arriving(tuple(before), p, t - s) for s in set(steps.tolist())}
        return np.array(
            [
                past[int(s)][n]
                for n, s in enumerate(np.broadcast_to(steps, past[int(steps[0])].shape))
            ]
        )


def oracle(graph: Graph, stimulus: Stimulus) -> tuple[dict[str, Values], dict[str, Values]]:
    """Emissions and membranes of every population: (samples, steps, neurons), lags taken out."""
    runs = [
        Sample(graph, {name: events.dense(k) for name, events in stimulus.inputs.items()})
        for k in range(stimulus.samples)
    ]
    emitted, membrane = {}, {}
    for p in graph.populations:
        steps = range(p.lag, p.lag + stimulus.steps)
        emitted[p.name] = np.array([[run.shown(p.name, t) for t in steps] for run in runs])
        for run in runs:
            while len(run.membrane[p.name]) < p.lag + stimulus.steps:
                run.advance(p.name, len(run.membrane[p.name]))
        membrane[p.name] = np.array([[run.membrane[p.name][t] for t in steps] for run in runs])
    return emitted, membrane


# -- random networks -----------------------------------------------------------------------------


class Draw:
    """Random parts of a network from one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def pick(self, *options: Any) -> Any:
        return options[self.rng.integers(len(options))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def eighths(self, shape: Any, low: int = -8, high: int = 12) -> Values:
        return np.asarray(self.rng.integers(low, high + 1, shape) / 8)

    def real(self, shape: Any, low: float, high: float) -> Values:
        """One value for all, or one of each neuron."""
        return np.asarray(self.rng.uniform(low, high, () if self.chance(0.5) else shape))

    def neuron(self, shape: Shape) -> Neuron:
        tau = self.real(shape, 2e-3, 2e-2)
        leak = self.pick(np.float64(0), self.eighths(shape, -2, 2))
        theta = self.eighths(self.pick((), shape), 4, 12)
        reset = self.pick(None, self.eighths((), -4, 2), self.eighths(shape, -4, 2))
        r = self.pick(np.float64(1.0), self.real(shape, 0.5, 4.0))
        syn = self.real(shape, 2e-3, 1e-2)
        w_in = self.real(shape, 1.0, 4.0)
        kind = self.pick(
            *(IF, LIF, LIF, CubaLIF, CubaLIF, LI, CubaLI, Integrator, Threshold, Relay, LinearLIF),
            Izhikevich,
        )
        match kind.__name__:
            case "IF":
                return IF(np.ones(()), theta, reset)
            case "LIF":
                return LIF(tau, 8 * r, leak, theta, reset)
            case "CubaLIF":
                return CubaLIF(syn, tau, 8 * r, leak, w_in, theta, reset)
            case "LinearLIF":
                # Eighths a step.
                rate = self.eighths(self.pick((), shape), 0, 3) * 1000
                return LinearLIF(rate, np.ones(()), leak, theta, reset)
            case "Izhikevich":
                a, b = self.real(shape, 0.02, 0.1), self.real(shape, 0.2, 0.25)
                c, d = self.real(shape, -65.0, -50.0), self.real(shape, 2.0, 8.0)
                return Izhikevich(a, b, c, d, r=8 * r, substeps=self.pick(1, 2, 4))
            case "LI":
                return LI(tau, r, leak)
            case "CubaLI":
                return CubaLI(syn, tau, r, leak, w_in)
            case "Integrator":
                return Integrator(np.array(0.125))
            case "Threshold":
                return Threshold(theta)
            case _:
                return Relay()

    def semantics(self) -> Semantics:
        return Semantics(
            decay=self.pick(*Decay),
            gain=self.pick(*Gain),
            integrator_gain=IntegratorGain.PER_STEP,
            current=self.pick(*Current),
            comparison=self.pick(*Comparison),
            reset=self.pick(*Reset),
            max_spikes=self.pick(1, 1, None, 3),
            v_min=self.pick(None, None, -1.0),
            refractory=self.pick(0, 0, 1, 3),
            refractory_frozen=self.chance(0.5),
            registered=self.chance(0.25),
            recurrent_bias_first=self.chance(0.5),
            v_init=self.pick(0.0, 0.0, 0.25),
        )

    def connection(self, before: Any, after: Shape) -> Connection:
        n, m = int(np.prod(before)), int(np.prod(after))
        parts: list[Connection] = []
        if len(before) == 3 and self.chance(0.7):
            if self.chance(0.3):
                parts.append(Scale(self.eighths(before), before))
            if self.chance(0.3):
                parts.append(Delay(self.rng.integers(0, 3, n), before))
            pool = self.pick(SumPool2d, AvgPool2d, None)
            if pool is None:
                group = self.pick(1, before[0])
                weight = self.eighths((2 * group, before[0] // group, 2, 2))
                conv = Conv2d(weight, before, (2, 1), ((1, 0), (0, 1)), (1, 2), group)
            else:
                conv = pool(before, (2, 2), (2, 2), ((0, 1), (0, 0)))
            size = int(np.prod(conv.out_shape))
            dense = Dense(self.eighths((m, size)))
            parts += [conv, Delay(np.array(self.pick(0, 1)), conv.out_shape)]
            parts += [Flatten(conv.out_shape), dense]
        elif len(before) == 2:
            line = Conv1d(self.eighths((1, before[0], 2)), before, 1, (1, 1), 2)
            parts += [line, Flatten(line.out_shape), Dense(self.eighths((m, line.out_shape[1])))]
        elif n == m and self.chance(0.5):
            parts.append(OneToOne(self.eighths(self.pick((), (n,)), 2, 10), before))
            if self.chance(0.5):
                parts.append(Delay(self.rng.integers(0, 4, n), before))
        elif self.chance(0.4):
            counts = self.rng.integers(0, 4, n)
            indptr = np.concatenate([[0], np.cumsum(counts)])
            parts.append(
                Sparse(n, m, indptr, self.rng.integers(0, m, indptr[-1]), self.eighths(indptr[-1]))
            )
        else:
            parts.append(Dense(self.eighths((m, n)) * (self.rng.random((m, n)) < 0.6)))
        if self.chance(0.25):
            parts.append(Delay(self.rng.integers(0, 3, m), (m,)))
        return parts[0] if len(parts) == 1 and self.chance(0.5) else Chain(tuple(parts))

    def graph(self) -> Graph:
        inputs = tuple(
            Input(f"in {k}", self.pick((3,), (2, 4, 4), (2, 3))) for k in range(self.pick(1, 2))
        )
        populations: list[Population] = []
        for k in range(self.rng.integers(2, 6)):
            shape = self.pick((4,), (5,), (2, 3, 3))
            lag = self.pick(0, 0, 1, 4)
            neuron, rules = self.neuron(shape), self.semantics()
            if isinstance(neuron, Izhikevich):
                rules = replace(rules, max_spikes=1, v_init=self.pick(-65.0, -70.0))
                rules = replace(rules, v_min=self.pick(None, -75.0), refractory_frozen=True)
            populations.append(Population(f"p{k}", shape, neuron, rules, lag))
        projections: list[Projection] = []

        def join(
            pre: Input | Population, post: Population, delay: int, recurrent: bool = False
        ) -> None:
            bias = self.pick(None, self.eighths((post.size,), -1, 2), self.eighths((), -1, 2))
            connection = self.connection(pre.shape, post.shape)
            projections.append(
                Projection(
                    f"c{len(projections)}", pre.name, post.name, connection, delay, bias, recurrent
                )
            )

        nodes: list[Input | Population] = [*inputs]
        for population in populations:
            for pre in {nodes[self.rng.integers(len(nodes))].name for _ in range(2)}:
                join(next(n for n in nodes if n.name == pre), population, self.pick(0, 0, 1, 3))
            nodes.append(population)
        for _ in range(self.pick(0, 1, 2)):
            # A loop of graded values or of unlimited counts may explode.
            spiking = [
                p
                for p in populations
                if p.neuron.EMISSION is Emission.SPIKES and p.semantics.max_spikes is not None
            ]
            if spiking:
                a = spiking[self.rng.integers(len(spiking))]
                b = spiking[self.rng.integers(len(spiking))]
                join(a, b, 0 if a.semantics.registered else self.pick(1, 2), True)
        self.rng.shuffle(populations)
        return Graph(
            "random",
            DT,
            inputs,
            tuple(populations),
            tuple(projections),
            tuple(Output(f"out {p.name}", p.name) for p in populations),
        )

    def stimulus(self, graph: Graph, samples: int, steps: int) -> Stimulus:
        def values(size: int) -> Values:
            shape = (samples, steps, size)
            kind = self.pick("spikes", "counts", "real")
            active: Values = self.rng.random(shape) < self.pick(0.02, 0.4)
            if kind == "spikes":
                return active.astype(int)
            if kind == "counts":
                return np.asarray(active * self.rng.integers(-1, 4, shape))
            return np.asarray(active * self.eighths(shape))

        return Stimulus({i.name: Events.from_dense(values(i.size)) for i in graph.inputs})


def assert_same(graph: Graph, stimulus: Stimulus, found: Recording) -> None:
    emitted, membrane = oracle(graph, stimulus)
    for population in graph.populations:
        name = population.name
        events = found.spikes[name]
        got = np.array([events.dense(k) for k in range(stimulus.samples)])
        where = f"{name}: {type(population.neuron).__name__} {population.semantics}"
        if population.neuron.EMISSION is Emission.SPIKES:
            assert events.integer
            np.testing.assert_array_equal(got, emitted[name], where)
        else:
            np.testing.assert_allclose(got, emitted[name], 1e-9, 1e-9, err_msg=where)
        if (name, "v") in found.states:
            np.testing.assert_allclose(
                found.states[name, "v"], membrane[name], 1e-9, 1e-9, err_msg=where
            )


def traces(graph: Graph) -> list[tuple[str, str]]:
    return [(p.name, "v") for p in graph.populations if "v" in p.neuron.STATE]


@pytest.mark.parametrize("seed", range(20))
def test_brian2_agrees_with_the_semantics(seed: int) -> None:
    draw = Draw(seed)
    graph = draw.graph()
    stimulus = draw.stimulus(graph, 3, 20)
    found = run_golden(graph, stimulus, record=traces(graph), codegen="numpy")
    assert_same(graph, stimulus, found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 8, 9])
def test_standalone_code_agrees_too(seed: int) -> None:
    draw = Draw(seed)
    graph = draw.graph()
    stimulus = draw.stimulus(graph, 3, 20)
    found = run_golden(graph, stimulus, record=traces(graph), codegen="standalone")
    assert_same(graph, stimulus, found)
    assert found.spikes == run_golden(graph, stimulus, codegen="numpy").spikes


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 250))
def test_many_more_networks(seed: int) -> None:
    test_brian2_agrees_with_the_semantics(seed)
