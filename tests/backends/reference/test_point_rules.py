"""Point neurons of the golden rung, against plain Python from the docstring of the semantics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from spikec.backends.reference.golden import run_golden
from spikec.ir.connections import Dense, OneToOne, Sparse
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import AdEx, Izhikevich, Kernel, PointLIF, Receptor, Relay
from spikec.ir.semantics import (
    Comparison,
    Current,
    Decay,
    Gain,
    IntegratorGain,
    Reset,
    Semantics,
)
from spikec.ir.short_term import TsodyksMarkram

DT, STEPS, SIZE, LINES, SAMPLES = 2e-4, 160, 4, 5, 2
Array = npt.NDArray[Any]


def real(x: Any) -> Array:
    return np.asarray(x, np.float64)


# -- one neuron, step by step ----------------------------------------------------------------------


class Cell:
    """One point neuron: y holds v, w of an AdEx, and the signals (rise first) of the receptors."""

    def __init__(self, neuron: PointLIF, rules: Semantics, k: int) -> None:
        def pick(x: Array) -> float:
            return float(x if x.ndim == 0 else x[k])

        self.rules, self.receptors = rules, neuron.receptors
        self.p = {n: pick(getattr(neuron, n)) for n in neuron.parameters()}
        self.adex = isinstance(neuron, AdEx)
        self.names = ["v", *(["w"] if self.adex else [])]
        self.tau, self.reversal = {}, {}
        start = {"v": self.p["v_init"], "w": self.p.get("w_init", 0.0)}
        for receptor in neuron.receptors:
            self.names += receptor.state
            start[receptor.name] = pick(receptor.initial)
            if receptor.tau is not None:
                self.tau[receptor.name] = pick(receptor.tau)
            if receptor.reversal is not None:
                self.reversal[receptor.name] = pick(receptor.reversal)
        self.y = np.array([start.get(name, 0.0) for name in self.names])
        self.hold = 0

    def at(self, name: str) -> int:
        return self.names.index(name)

    def slopes(self, y: Array, drive: float) -> Array:
        p, value = self.p, dict(zip(self.names, y, strict=True))
        current = drive + p["i_offset"]
        out = dict.fromkeys(self.names, 0.0)
        for name, tau in self.tau.items():
            s, rise = value[name], value.get(f"{name}_rise")
            current += s * (self.reversal[name] - value["v"]) if name in self.reversal else s
            out[name] = (-s if rise is None else np.e * rise - s) / tau
            if rise is not None:
                out[f"{name}_rise"] = -rise / tau
        leak = p["capacity"] / p["tau_mem"] * (p["v_leak"] - value["v"])
        if self.adex:
            far = (value["v"] - p["v_rheobase"]) / p["slope"]
            leak += p["capacity"] / p["tau_mem"] * p["slope"] * np.exp(min(far, 100.0))
            current -= value["w"]
            out["w"] = (p["a"] * (value["v"] - p["v_leak"]) - value["w"]) / p["tau_w"]
        out["v"] = (leak + current) / p["capacity"]
        return np.array([out[name] for name in self.names])

    def exact(self, y: Array, slopes: Any) -> Array:
        """The solution of linear equations after a step: of their matrix, by scipy."""
        size = y.size
        offset = slopes(np.zeros(size))
        matrix = np.zeros((size + 1, size + 1))
        matrix[:size, size] = offset
        for k in range(size):
            matrix[:size, k] = slopes(np.eye(size)[k]) - offset
        return np.asarray((expm(matrix * DT) @ np.append(y, 1.0))[:size])

    def step(self, drive: float) -> Array:
        y, held = self.y, self.hold > 0
        if self.rules.decay is Decay.EULER:
            return np.asarray(y + DT * self.slopes(y, drive))
        if self.rules.decay is Decay.MIDPOINT:
            slope = self.slopes(y, drive)
            slope[0] *= not held
            return np.asarray(y + DT * self.slopes(y + DT / 2 * slope, drive))
        linear = not self.adex and not self.reversal
        if linear and self.rules.gain is Gain.PROPAGATED:
            return self.exact(y, lambda z: self.slopes(z, drive))

        def frozen(z: Array) -> Array:
            """All but v and w as they are at the start of the step, in the slopes of v and w."""
            mixed, signals = y.copy(), self.slopes(z, drive)
            mixed[0] = z[0]
            out = self.slopes(mixed, drive)
            if self.adex:
                # The upswing is held, too, and w goes to its goal of the start.
                here = self.slopes(y, drive)[0]
                p = self.p
                pull = 1 / p["tau_mem"]
                pull += sum(y[self.at(n)] for n in self.reversal) / p["capacity"]
                out[0] = here - pull * (z[0] - y[0])
                out[1] = (p["a"] * (y[0] - p["v_leak"]) - z[1]) / p["tau_w"]
            return np.concatenate([out[: 1 + self.adex], signals[1 + self.adex :]])

        return self.exact(y, frozen)

    def advance(self, arrivals: dict[str, float], drive: float) -> bool:
        old = self.rules.current is Current.OLD
        jump = 0.0
        for receptor in self.receptors:
            if receptor.kernel is Kernel.DELTA:
                jump += arrivals[receptor.name]
            elif not old:
                self.y[self.at(receptor.state[0])] += arrivals[receptor.name]
        after, held = self.step(drive), self.hold > 0
        if not old:
            after[0] += jump
        greater = self.rules.comparison is Comparison.GREATER
        theta = self.p["v_threshold"]
        fired = not held and (after[0] > theta if greater else after[0] >= theta)
        if held:
            after[0] = self.y[0]
        if fired:
            after[0] = self.p["v_reset"]
            if self.adex:
                after[1] += self.p["b"]
        self.hold = self.rules.refractory if fired else max(self.hold - 1, 0)
        if old:
            for receptor in self.receptors:
                if receptor.kernel is not Kernel.DELTA:
                    after[self.at(receptor.state[0])] += arrivals[receptor.name]
            if not (fired or held):  # a delta is lost on a neuron that is shut
                after[0] += jump
        self.y = after
        return fired


# -- networks --------------------------------------------------------------------------------------


def multapses(rng: np.random.Generator, rows: int, columns: int, weight: float) -> Sparse:
    i = np.sort(rng.integers(0, rows, 5 * columns))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=rows))])
    j = rng.integers(0, columns, i.size, np.int32)
    assert np.unique(i * columns + j).size < i.size
    w = weight * rng.uniform(0.5, 1.5, i.size)
    return Sparse(rows, columns, indptr, j, w, rng.integers(0, 6, i.size, np.int32))


KINDS: dict[str, tuple[tuple[Kernel, float | None, float], tuple[Kernel, float | None, float]]] = {
    "exponential": ((Kernel.EXPONENTIAL, None, 2.5e-9), (Kernel.EXPONENTIAL, None, -1e-9)),
    "alpha": ((Kernel.ALPHA, None, 1.5e-9), (Kernel.ALPHA, None, -0.5e-9)),
    "delta": ((Kernel.DELTA, None, 6e-3), (Kernel.DELTA, None, -2e-3)),
    "conductance": ((Kernel.EXPONENTIAL, 0.0, 40e-9), (Kernel.ALPHA, -80e-3, 10e-9)),
    "mixed": ((Kernel.EXPONENTIAL, 0.0, 40e-9), (Kernel.DELTA, None, -2e-3)),
}


def point_network(
    kind: str, model: type[PointLIF], semantics: Semantics, seed: int = 5
) -> tuple[Graph, Stimulus]:
    rng = np.random.default_rng(seed)
    ports = [
        Receptor(
            name,
            kernel,
            None if kernel is Kernel.DELTA else real(rng.uniform(2e-3, 5e-3, SIZE)),
            None if reversal is None else real(reversal),
            real(0.0 if kernel is Kernel.DELTA else abs(weight) / 3),
        )
        for name, (kernel, reversal, weight) in zip(("exc", "inh"), KINDS[kind], strict=True)
    ]
    values: dict[str, Any] = {
        "tau_mem": real(rng.uniform(8e-3, 15e-3, SIZE)),
        "capacity": real(0.25e-9),
        "v_leak": real(-65e-3),
        "v_threshold": real(-50e-3),
        "v_reset": real(rng.uniform(-66e-3, -60e-3, SIZE)),
        "i_offset": real(0.1e-9),
        "v_init": real(rng.uniform(-66e-3, -54e-3, SIZE)),
        "receptors": tuple(ports),
    }
    if model is AdEx:
        values |= {"v_threshold": real(-40e-3), "w_init": real(1e-11)}
    (_, _, up), (_, _, down) = KINDS[kind]
    graph = Graph(
        "rules",
        DT,
        (Input("lines", (LINES,)),),
        (Population("cells", (SIZE,), model(**values), semantics),),
        (
            Projection("in", "lines", "cells", multapses(rng, LINES, SIZE, up), receptor="exc"),
            Projection(
                "loop", "cells", "cells", multapses(rng, SIZE, SIZE, down), 1, receptor="inh"
            ),
            Projection(
                "wire", "lines", "cells", Dense(np.full((SIZE, LINES), 0.2e-9)), 2,
                receptor="current",
            ),
        ),
        (Output("o", "cells"),),
    )  # fmt: skip
    spikes = rng.random((SAMPLES, STEPS, LINES)) < 0.06
    return graph, Stimulus({"lines": Events.from_dense(spikes.astype(np.int64))})


def plain(graph: Graph, stimulus: Stimulus) -> tuple[Array, dict[str, Array]]:
    """Spikes as they show, and traces, (samples, steps, neurons)."""
    population = graph.populations[0]
    assert isinstance(population.neuron, PointLIF)
    late = int(population.semantics.registered)
    spikes = np.zeros((SAMPLES, STEPS + 1, SIZE), np.int64)
    traces = {n: np.zeros((SAMPLES, STEPS, SIZE)) for n in population.neuron.state}
    for sample in range(SAMPLES):
        cells = [Cell(population.neuron, population.semantics, k) for k in range(SIZE)]
        # What is due: step, port, neuron.
        due = {n: np.zeros((STEPS + 20, SIZE)) for n in ("exc", "inh", "current")}
        sent = stimulus.inputs["lines"].dense(sample)
        for step in range(STEPS):
            for projection in graph.projections:
                if projection.pre != "lines":
                    continue
                send(due, projection, sent[step], step)
            for k, cell in enumerate(cells):
                arrivals = {n: float(due[n][step, k]) for n in ("exc", "inh")}
                fired = cell.advance(arrivals, float(due["current"][step, k]))
                spikes[sample, step + late, k] = fired
                for name in traces:
                    traces[name][sample, step, k] = cell.y[cell.at(name)]
            # The loop takes a step at least, so that all of this step were here already.
            loop = graph.projections[1]
            fired_now = spikes[sample, step + late]
            send(due, loop, fired_now, step + late)
    return spikes[:, :STEPS], traces


def send(due: dict[str, Array], projection: Projection, values: Array, step: int) -> None:
    stage = projection.connection
    assert projection.receptor is not None
    to = due[projection.receptor]
    if isinstance(stage, Dense):
        to[step + projection.delay] += stage.weight @ values
        return
    assert isinstance(stage, Sparse) and stage.steps is not None
    pre = np.repeat(np.arange(stage.pre_size), np.diff(stage.indptr))
    for k in range(stage.post.size):
        to[step + projection.delay + stage.steps[k], stage.post[k]] += (
            stage.weight[k] * values[pre[k]]
        )


def semantics_of(decay: Decay, current: Current, **more: Any) -> Semantics:
    exponential = decay is Decay.EXPONENTIAL
    settings: dict[str, Any] = {
        "decay": decay,
        "gain": Gain.PROPAGATED if exponential else Gain.EULER,
        "current": current,
        "reset": Reset.VALUE,
        "refractory": 3,
    }
    return Semantics(**settings | more)


NEW, OLD = Current.NEW, Current.OLD
HELD = {"gain": Gain.EXACT}
CASES: list[tuple[str, type[PointLIF], Semantics]] = [
    *((kind, PointLIF, semantics_of(Decay.EULER, NEW)) for kind in KINDS),
    ("exponential", PointLIF, semantics_of(Decay.EXPONENTIAL, NEW)),
    ("exponential", PointLIF, semantics_of(Decay.EXPONENTIAL, NEW, registered=True, **HELD)),
    ("alpha", PointLIF, semantics_of(Decay.EXPONENTIAL, NEW)),
    ("alpha", PointLIF, semantics_of(Decay.MIDPOINT, NEW, refractory=0)),
    ("delta", PointLIF, semantics_of(Decay.EXPONENTIAL, OLD, refractory=0, registered=True)),
    ("delta", PointLIF, semantics_of(Decay.MIDPOINT, OLD, comparison=Comparison.GREATER_EQUAL)),
    ("conductance", PointLIF, semantics_of(Decay.EXPONENTIAL, NEW)),
    ("conductance", PointLIF, semantics_of(Decay.MIDPOINT, OLD)),
    ("mixed", PointLIF, semantics_of(Decay.EXPONENTIAL, OLD)),
    ("conductance", AdEx, semantics_of(Decay.EXPONENTIAL, NEW)),
    ("exponential", AdEx, semantics_of(Decay.EXPONENTIAL, OLD, refractory=0)),
    ("mixed", AdEx, semantics_of(Decay.MIDPOINT, NEW)),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_each_rule_is_what_its_docstring_says(case: int) -> None:
    kind, model, semantics = CASES[case]
    graph, stimulus = point_network(kind, model, semantics)
    wanted, traces = plain(graph, stimulus)
    neuron = graph.populations[0].neuron
    record = [("cells", name) for name in neuron.state]
    got = run_golden(graph, stimulus, record=record, codegen="numpy")
    dense = np.stack([got.spikes["cells"].dense(k) for k in range(SAMPLES)])
    assert 8 <= wanted.sum() < 400
    assert np.array_equal(dense, wanted)
    for name, trace in traces.items():
        far = np.abs(got.states["cells", name] - trace).max()
        assert far <= 1e-9 * np.abs(trace).max(), name


def test_compiled_and_interpreted_code_agree() -> None:
    graph, stimulus = point_network("mixed", AdEx, semantics_of(Decay.EXPONENTIAL, OLD))
    tires = TsodyksMarkram(real(0.4), real(0.05), real(0.02), real(0.003))
    first, *others = graph.projections
    graph = replace(graph, projections=(replace(first, short_term=tires), *others))
    record = [("cells", "v"), ("cells", "exc")]
    a = run_golden(graph, stimulus, record=record, codegen="numpy")
    b = run_golden(graph, stimulus, record=record, codegen="standalone")
    assert a.spikes["cells"].step.size > 0
    assert a.spikes["cells"] == b.spikes["cells"]
    for key in record:
        np.testing.assert_allclose(a.states[key], b.states[key], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("current", list(Current))
@pytest.mark.parametrize("substeps", [1, 2])
def test_izhikevich_neurons_take_jumps_behind_their_step(current: Current, substeps: int) -> None:
    rng = np.random.default_rng(2)
    ports = (Receptor("exc", Kernel.DELTA), Receptor("inh", Kernel.DELTA))
    start_v, start_u, offset = rng.uniform(-70, -60, SIZE), rng.uniform(-15, -12, SIZE), 4.0
    neuron = Izhikevich(
        real(0.02), real(0.2), real(-65.0), real(8.0), real(1.0), substeps=substeps,
        receptors=ports, i_offset=real(offset), v_init=real(start_v), u_init=real(start_u),
    )  # fmt: skip
    rules = Semantics(reset=Reset.VALUE, current=current, integrator_gain=IntegratorGain.PER_SECOND)
    weight, dt = rng.uniform(2.0, 12.0, (SIZE, LINES)), 0.5
    graph = Graph(
        "izhikevich",
        dt * 1e-3,
        (Input("lines", (LINES,)),),
        (Population("cells", (SIZE,), neuron, rules),),
        (
            Projection("in", "lines", "cells", Dense(weight), receptor="exc"),
            Projection("loop", "cells", "cells", Dense(np.full((SIZE, SIZE), -3.0)), 1,
                       receptor="inh"),
            Projection("wire", "lines", "cells", Dense(weight / 4), 1, receptor="current"),
        ),
        (Output("o", "cells"),),
    )  # fmt: skip
    sent = (rng.random((1, 300, LINES)) < 0.06).astype(np.int64)
    stimulus = Stimulus({"lines": Events.from_dense(sent)})
    got = run_golden(graph, stimulus, record=[("cells", "v"), ("cells", "u")], codegen="numpy")
    v, u, before = start_v.copy(), start_u.copy(), np.zeros(SIZE)
    fires = np.zeros((300, SIZE))
    threshold = float(neuron.v_threshold)
    for step in range(300):
        jump = weight @ sent[0, step] - 3.0 * before.sum()
        current_ = offset + (weight / 4 @ sent[0, step - 1] if step else 0.0)
        x, h = v.copy(), dt / substeps
        for _ in range(substeps):
            x = x + h * (0.04 * x * x + 5 * x + 140 - u + current_)
        if current is Current.NEW:
            x = x + jump
        fired = x > threshold
        u = u + dt * 0.02 * (0.2 * v - u) + 8.0 * fired
        v = np.where(fired, -65.0, x)
        before = fired.astype(np.float64)
        fires[step] = before
        if current is Current.OLD:
            # A loop of one step arrives a step after its spike, behind the step.
            v = np.where(fired, v, v + jump)
        np.testing.assert_allclose(got.states["cells", "v"][0, step], v, rtol=1e-9)
        np.testing.assert_allclose(got.states["cells", "u"][0, step], u, rtol=1e-9)
    assert fires.sum() > 10
    assert np.array_equal(got.spikes["cells"].dense(0), fires)


# -- short-term plasticity -------------------------------------------------------------------------


def sends(rule: TsodyksMarkram, spikes: Array, weight: Array, dt: float = 1e-3) -> Array:
    """What synapses one to one send: (samples, steps, synapses)."""
    size = spikes.shape[2]
    graph = Graph(
        "tm",
        dt,
        (Input("lines", (size,)),),
        (Population("sum", (size,), Relay()),),
        (Projection("p", "lines", "sum", OneToOne(weight, (size,)), 1, short_term=rule),),
        (Output("o", "sum"),),
    )
    stimulus = Stimulus({"lines": Events.from_dense(spikes)})
    got = run_golden(graph, stimulus, codegen="numpy").spikes["sum"]
    return np.stack([got.dense(k) for k in range(spikes.shape[0])])


def by_ode(u0: float, rec: float, facil: float, syn: float, steps: Array, dt: float) -> list[float]:
    y = z = u = 0.0
    last, found = 0.0, []
    for at in steps * dt:
        if at > last:
            result = solve_ivp(
                lambda _, s: [
                    -s[0] / syn,
                    s[0] / syn - s[1] / rec,
                    -s[2] / facil if facil else 0.0,
                ],
                (last, at), [y, z, u], method="DOP853", rtol=1e-12, atol=1e-14,
            )  # fmt: skip
            y, z, u = result.y[:, -1]
        if not facil:
            u = 0.0
        u += u0 * (1 - u)
        part = u * (1 - y - z)
        y += part
        last = float(at)
        found.append(part)
    return found


def test_resources_follow_their_equations() -> None:
    rng = np.random.default_rng(8)
    size = 6
    u0 = rng.uniform(0.1, 0.9, size)
    rec = np.array([0.8, 0.1, 0.03, 0.003, 0.2, 0.005])
    facil = np.array([0.0, 0.5, 0.05, 1.0, 0.0, 0.02])
    syn = np.array([0.003, 0.02, 0.03, 0.003, 0.004, 0.0050001])  # two pairs alike, one nearly
    spikes = (rng.random((2, 150, size)) < 0.1).astype(np.int64)
    weight = rng.uniform(0.5, 2.0, size)
    got = sends(TsodyksMarkram(u0, rec, facil, syn), spikes, weight)
    for sample in range(2):  # both start with all resources recovered
        for k in range(size):
            steps = np.flatnonzero(spikes[sample, :-1, k])
            wanted = by_ode(u0[k], rec[k], facil[k], syn[k], steps, 1e-3)
            sent = got[sample, steps + 1, k]
            np.testing.assert_allclose(sent, weight[k] * np.array(wanted), rtol=1e-8, atol=1e-11)
            assert np.count_nonzero(got[sample, :, k]) == steps.size > 5


def test_limits_of_short_term_plasticity() -> None:
    spikes = np.zeros((1, 60, 3), np.int64)
    spikes[0, ::6] = 1
    # Recovers at once; nothing facilitates and all comes back slowly; facilitates without an end.
    rule = TsodyksMarkram(
        real([0.3, 0.3, 0.3]), real([1e-6, 1e6, 1e-6]), real([0.0, 0.0, 1e9]),
        real([1e-6, 1e-6, 1e-6]),
    )  # fmt: skip
    got = sends(rule, spikes, real([2.0, 2.0, 2.0]))[0, 1::6]
    n = np.arange(got.shape[0])
    np.testing.assert_allclose(got[:, 0], 2.0 * 0.3, rtol=1e-9)
    np.testing.assert_allclose(got[:, 1], 2.0 * 0.3 * 0.7**n, rtol=1e-6)
    np.testing.assert_allclose(got[:, 2], 2.0 * (1 - 0.7 ** (n + 1)), rtol=1e-6)


def test_a_stimulus_of_counts_does_not_tire_synapses() -> None:
    rule = TsodyksMarkram(real(0.3), real(0.1), real(0.0), real(0.003))
    spikes = np.zeros((1, 5, 1), np.int64)
    spikes[0, 1] = 2
    with pytest.raises(SpikecError, match="'p' has short-term plasticity, which counts single"):
        sends(rule, spikes, real(1.0))
