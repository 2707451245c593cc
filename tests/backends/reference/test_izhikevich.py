"""Izhikevich cells of the golden reference: the paper's step, Brian2's own and known behaviour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.ir.semantics import IntegratorGain

from ...ir.izhikevich import KINDS, RULES, driven, izhikevich, step_current

STEPS, START = 1000, 100


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("substeps", "dt_ms"), [(1, 0.5), (2, 1.0), (4, 1.0)])
def test_the_step_is_the_papers(kind: str, substeps: int, dt_ms: float) -> None:
    """Every step from the state before, so that no rounding error grows on the way."""
    graph = driven(
        izhikevich(kind, substeps=substeps),
        1,
        10.0,
        dt_ms * 1e-3,
        **{**vars(RULES), "integrator_gain": IntegratorGain.PER_SECOND},
    )
    found = run_golden(
        graph,
        step_current(STEPS, START),
        record=[("cell", "v"), ("cell", "u")],
        codegen="numpy",
    )
    a, b, c, d = KINDS[kind]
    v, u = (found.states["cell", word][0, :, 0] for word in ("v", "u"))
    before_v, before_u = np.r_[-65.0, v[:-1]], np.r_[b * -65.0, u[:-1]]
    current = 10.0 * (np.arange(STEPS) >= START)
    x = before_v
    for _ in range(substeps):
        x = x + dt_ms / substeps * (0.04 * x**2 + 5 * x + 140 - before_u + current)
    spikes = x >= 30
    np.testing.assert_allclose(v, np.where(spikes, c, x), rtol=1e-9, atol=1e-9)
    decayed = before_u + dt_ms * a * (b * before_v - before_u)
    np.testing.assert_allclose(u, decayed + d * spikes, rtol=1e-9)
    assert spikes.sum() > 5
    assert found.spikes["cell"].step.tolist() == np.flatnonzero(spikes).tolist()


def test_brian2_takes_the_same_steps() -> None:
    """Its own forward Euler of the published equations, all kinds at once."""
    brian2 = pytest.importorskip("brian2")
    ms, mV = brian2.ms, brian2.mV
    kinds = list(KINDS)
    graph = driven(
        izhikevich(*kinds, substeps=1),
        len(kinds),
        10.0,
        0.25e-3,
        **{**vars(RULES), "integrator_gain": IntegratorGain.PER_SECOND},
    )
    found = run_golden(graph, step_current(4 * STEPS, 4 * START), codegen="numpy")
    equations = """
    dv/dt = (0.04/ms/mV)*v**2 + (5/ms)*v + 140*mV/ms - u + I*int(t >= 100*ms) : volt
    du/dt = a*(b*v - u) : volt/second
    I : volt/second
    a : 1/second
    b : 1/second
    c : volt
    d : volt/second
    """
    network = brian2.NeuronGroup(
        len(kinds),
        equations,
        threshold="v >= 30*mV",
        reset="v = c; u += d",
        method="euler",
        dt=0.25 * ms,
        namespace={"ms": ms, "mV": mV},
    )
    a, b, c, d = np.array([KINDS[kind] for kind in kinds]).T
    network.a, network.b, network.c = a / ms, b / ms, c * mV
    network.d, network.I = d * mV / ms, 10 * mV / ms
    network.v = -65 * mV
    network.u = b * -65 * mV / ms
    monitor = brian2.SpikeMonitor(network)
    brian2.Network(network, monitor).run(STEPS * ms)
    ours = found.spikes["cell"].dense(0)[:1600]
    theirs = np.zeros((4 * STEPS, len(kinds)), int)
    theirs[np.rint(np.asarray(monitor.t / (0.25 * ms))).astype(int), np.asarray(monitor.i)] = 1
    # Spikes of the fast kinds part later: rounding errors grow from spike to spike.
    assert ours.sum() > 100 and (ours.sum(axis=0) > 5).all()
    np.testing.assert_array_equal(ours, theirs[:1600])


def intervals(kind: str) -> np.ndarray:
    found = run_golden(
        driven(izhikevich(kind), 1, 10.0), step_current(STEPS, START), codegen="numpy"
    )
    return np.diff(found.spikes["cell"].step)


def test_known_behaviour() -> None:
    """What figure 2 of the paper shows of each kind."""
    regular, fast, chattering = map(intervals, ("RS", "FS", "CH"))
    assert regular[0] < regular[-1]  # adapts
    assert fast.max() < regular.min() * 2 and len(fast) > 2 * len(regular)
    assert abs(int(fast[5]) - int(fast[-1])) <= 1  # does not adapt
    # Bursts of close spikes with pauses between.
    assert chattering.max() > 4 * np.median(chattering)
    bursting = intervals("IB")
    assert bursting[0] * 2 < bursting[-1]


def test_it_rests_until_its_lag_and_is_clamped() -> None:
    graph = driven(izhikevich("RS"), 1, -40.0, **{**vars(RULES), "v_min": -80.0})
    late = replace(
        graph,
        populations=(replace(graph.populations[0], lag=7),),
        projections=(replace(graph.projections[0], delay=7),),
    )
    now, then = (
        run_golden(
            g, step_current(60, 0), record=[("cell", "v"), ("cell", "u")], codegen="numpy"
        ).states
        for g in (graph, late)
    )
    assert now["cell", "v"].min() == -80.0
    for word in ("v", "u"):
        np.testing.assert_array_equal(now["cell", word], then["cell", word])
