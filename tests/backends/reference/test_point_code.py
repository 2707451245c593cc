"""Point neurons of the golden rung, against equations that Brian2 integrates itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.ir.connections import Sparse
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import AdEx, Kernel, PointLIF, Receptor
from spikec.ir.semantics import Current, Decay, Gain, IntegratorGain, Reset, Semantics

DT, STEPS, SIZE, LINES = 1e-4, 1500, 24, 12

_KERNELS = {
    "curr_exp": (Kernel.EXPONENTIAL, None),
    "curr_alpha": (Kernel.ALPHA, None),
    "curr_delta": (Kernel.DELTA, None),
    "cond_exp": (Kernel.EXPONENTIAL, (0.0, -80e-3)),
    "cond_alpha": (Kernel.ALPHA, (0.0, -80e-3)),
}
_WEIGHTS = {  # excitatory, inhibitory: about one spike in 15 ms
    "curr_exp": (1.2e-9, -1.6e-9),
    "curr_alpha": (0.9e-9, -1.0e-9),
    "curr_delta": (4e-3, -4e-3),
    "cond_exp": (18e-9, 40e-9),
    "cond_alpha": (10e-9, 20e-9),
}


def _semantics(decay: Decay, current: Current, refractory: int = 19) -> Semantics:
    return Semantics(
        decay=decay,
        gain=Gain.PROPAGATED if decay is Decay.EXPONENTIAL else Gain.EULER,
        current=current,
        reset=Reset.VALUE,
        refractory=refractory,
        integrator_gain=IntegratorGain.PER_SECOND,
    )


def _receptors(kind: str, rng: np.random.Generator) -> tuple[Receptor, ...]:
    kernel, reversal = _KERNELS[kind]
    found = []
    for k, (name, tau) in enumerate((("excitatory", 5e-3), ("inhibitory", 8e-3))):
        taus = None if kernel is Kernel.DELTA else tau * rng.uniform(0.9, 1.1, SIZE)
        potential = None if reversal is None else np.asarray(reversal[k])
        found.append(Receptor(name, kernel, taus, potential))
    return tuple(found)


def _random(rows: int, columns: int, rng: np.random.Generator, weight: float) -> Sparse:
    """Synapses with weights and delays of their own, some pairs twice."""
    i = np.sort(rng.integers(0, rows, 4 * columns))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=rows))])
    post = rng.integers(0, columns, i.size, np.int32)
    w = weight * rng.uniform(0.5, 1.5, i.size)
    return Sparse(rows, columns, indptr, post, w, rng.integers(1, 30, i.size, np.int32))


def _network(kind: str, model: str, semantics: Semantics, seed: int) -> tuple[Graph, Stimulus]:
    rng = np.random.default_rng(seed)
    shared: dict[str, Any] = {
        "tau_mem": rng.uniform(10e-3, 20e-3, SIZE),
        "capacity": rng.uniform(0.2e-9, 0.3e-9, SIZE),
        "v_leak": np.asarray(-65e-3),
        "v_reset": rng.uniform(-68e-3, -62e-3, SIZE),
        "v_init": rng.uniform(-65e-3, -55e-3, SIZE),
        "i_offset": rng.uniform(0.0, 0.1e-9, SIZE),
        "receptors": _receptors(kind, rng),
    }
    neuron: PointLIF
    if model == "AdEx":
        neuron = AdEx(v_threshold=np.asarray(-40e-3), w_init=np.asarray(1e-11), **shared)
    else:
        neuron = PointLIF(v_threshold=np.asarray(-50e-3), **shared)
    up, down = _WEIGHTS[kind]
    graph = Graph(
        "point",
        DT,
        (Input("stimulus", (LINES,)), Input("electrode", (1,))),
        (Population("cells", (SIZE,), neuron, semantics),),
        (
            Projection(
                "in", "stimulus", "cells", _random(LINES, SIZE, rng, up), receptor="excitatory"
            ),
            Projection(
                "lateral",
                "cells",
                "cells",
                _random(SIZE, SIZE, rng, down),
                2,
                receptor="inhibitory",
            ),
            Projection(
                "injected",
                "electrode",
                "cells",
                Sparse(1, SIZE, np.array([0, SIZE]), np.arange(SIZE), np.ones(SIZE)),
                receptor="current",
            ),
        ),
        (Output("out", "cells"),),
    )
    spikes = rng.random((STEPS, LINES)) < 0.012
    pulse = np.where((np.arange(STEPS) >= 400) & (np.arange(STEPS) < 900), 0.15e-9, 0.0)
    return graph, Stimulus(
        {
            "stimulus": Events.from_dense(spikes[None].astype(np.int64)),
            "electrode": Events.from_dense(pulse[None, :, None]),
        }
    )


_ODES = {
    "curr_exp": "dsE/dt = -sE/tau_e : amp\ndsI/dt = -sI/tau_i : amp\nsyn = sE + sI : amp",
    "curr_alpha": (
        "dsE/dt = (e1*RE - sE)/tau_e : amp\ndRE/dt = -RE/tau_e : amp\n"
        "dsI/dt = (e1*RI - sI)/tau_i : amp\ndRI/dt = -RI/tau_i : amp\nsyn = sE + sI : amp"
    ),
    "curr_delta": "syn = 0*amp : amp",
    "cond_exp": (
        "dsE/dt = -sE/tau_e : siemens\ndsI/dt = -sI/tau_i : siemens\n"
        "syn = sE*(0*volt - v) + sI*(-0.08*volt - v) : amp"
    ),
    "cond_alpha": (
        "dsE/dt = (e1*RE - sE)/tau_e : siemens\ndRE/dt = -RE/tau_e : siemens\n"
        "dsI/dt = (e1*RI - sI)/tau_i : siemens\ndRI/dt = -RI/tau_i : siemens\n"
        "syn = sE*(0*volt - v) + sI*(-0.08*volt - v) : amp"
    ),
}
_LIF = "dv/dt = (v_leak - v)/tau_mem + (syn + inj + i_offset)/capacity : volt (unless refractory)"
_ADEX = """
dv/dt = (capacity*slope*exp((v - v_r)/slope)/tau_mem + capacity*(v_leak - v)/tau_mem + syn + inj
  + i_offset - w)/capacity : volt (unless refractory)
dw/dt = (a*(v - v_leak) - w)/tau_w : amp
"""


def _brian(
    kind: str, model: str, method: str, graph: Graph, stimulus: Stimulus
) -> tuple[npt.NDArray[Any], dict[str, npt.NDArray[Any]]]:
    """Steps and neurons of all spikes, and traces (steps, neurons), by Brian2's own integrator."""
    import brian2 as b

    neuron = graph.populations[0].neuron
    assert isinstance(neuron, PointLIF)
    names = ["tau_mem", "capacity", "v_leak", "i_offset", "v_reset"]
    units = ["second", "farad", "volt", "amp", "volt"]
    lines = [_ADEX if model == "AdEx" else _LIF, _ODES[kind], "inj : amp"]
    lines += [f"{n} : {u} (constant)" for n, u in zip(names, units, strict=True)]
    lines += ["tau_e : second (constant)", "tau_i : second (constant)"]
    wave = stimulus.inputs["electrode"].dense(0)[:, 0]
    refractory = graph.populations[0].semantics.refractory + 1
    space = {
        "pulse": b.TimedArray(wave * b.amp, dt=DT * b.second),
        "e1": float(np.e),
        "theta": float(neuron.v_threshold) * b.volt,
    }
    reset = "v = v_reset"
    if isinstance(neuron, AdEx):
        space |= {
            "slope": float(neuron.slope) * b.volt,
            "v_r": float(neuron.v_rheobase) * b.volt,
            "a": float(neuron.a) * b.siemens,
            "tau_w": float(neuron.tau_w) * b.second,
            "jump": float(neuron.b) * b.amp,
        }
        reset += "\nw += jump"
    clock = b.Clock(DT * b.second)
    cells = b.NeuronGroup(
        SIZE,
        "\n".join(lines),
        threshold="v > theta",
        reset=reset,
        refractory=refractory * DT * b.second,
        method=method,
        namespace=space,
        clock=clock,
    )
    for name in names:
        setattr(cells, f"{name}_", getattr(neuron, name))
    for name, receptor in zip("ei", neuron.receptors, strict=True):
        if receptor.tau is not None:
            setattr(cells, f"tau_{name}_", receptor.tau)
    cells.v_ = neuron.v_init
    cells.run_regularly("inj = pulse(t)", clock=clock, when="start")
    if isinstance(neuron, AdEx):
        cells.w_ = neuron.w_init
    events = stimulus.inputs["stimulus"]
    source = b.SpikeGeneratorGroup(LINES, events.index, events.step * DT * b.second, clock=clock)
    objects = [cells, source]
    targets = {"curr_delta": ("v", "v"), "curr_alpha": ("RE", "RI"), "cond_alpha": ("RE", "RI")}
    for k, (pre, projection) in enumerate(zip((source, cells), graph.projections, strict=False)):
        stage = projection.connection
        assert isinstance(stage, Sparse) and stage.steps is not None
        unit = {"curr_delta": "volt", "cond_exp": "siemens", "cond_alpha": "siemens"}
        synapses = b.Synapses(
            pre,
            cells,
            f"weight : {unit.get(kind, 'amp')}",
            on_pre=f"{targets.get(kind, ('sE', 'sI'))[k]}_post += weight",
            clock=clock,
        )
        synapses.connect(i=np.repeat(np.arange(pre.N), np.diff(stage.indptr)), j=stage.post)
        synapses.weight_ = stage.weight
        synapses.delay = (stage.steps + projection.delay) * DT * b.second
        objects.append(synapses)
    spikes = b.SpikeMonitor(cells)
    recorded = ["v", *([] if kind == "curr_delta" else ["sE", "sI"])]
    state = b.StateMonitor(cells, recorded, record=True, clock=clock)
    network = b.Network([*objects, spikes, state])
    network.run(STEPS * DT * b.second)
    at = np.stack([np.rint(spikes.t_ / DT).astype(np.int64), spikes.i])
    return at[:, np.lexsort(at[::-1])], {n: np.array(getattr(state, f"{n}_").T) for n in recorded}


def _golden(graph: Graph, stimulus: Stimulus, *names: str) -> Recording:
    return run_golden(graph, stimulus, record=[("cells", name) for name in names])


def _cases() -> list[tuple[str, str, Decay, str]]:
    found = [(kind, "LIF", Decay.EULER, "euler") for kind in _KERNELS]
    found += [(kind, "LIF", Decay.MIDPOINT, "rk2") for kind in _KERNELS]
    found += [(k, "LIF", Decay.EXPONENTIAL, "exact") for k in _KERNELS if k.startswith("curr")]
    found += [(k, "LIF", Decay.EXPONENTIAL, "exponential_euler") for k in ("cond_exp",)]
    found += [(kind, "AdEx", Decay.MIDPOINT, "rk2") for kind in ("cond_exp", "cond_alpha")]
    return [*found, ("curr_exp", "AdEx", Decay.EULER, "euler")]


@pytest.mark.parametrize(("kind", "model", "decay", "method"), _cases())
def test_a_network_spikes_and_moves_as_brian2_integrates_it(
    kind: str, model: str, decay: Decay, method: str
) -> None:
    import brian2

    graph, stimulus = _network(kind, model, _semantics(decay, Current.OLD), 7)
    recorded = [] if kind == "curr_delta" else ["excitatory", "inhibitory"]
    ours = _golden(graph, stimulus, "v", *recorded)
    before = brian2.prefs.codegen.target
    brian2.prefs.codegen.target = "numpy"
    try:
        at, traces = _brian(kind, model, method, graph, stimulus)
    finally:
        brian2.prefs.codegen.target = before
    spikes = ours.spikes["cells"]
    assert 60 < at.shape[1] < 2500
    assert np.array_equal(at, np.stack([spikes.step, spikes.index]))
    # Brian2 records before a step, and we behind it.
    for name, key in zip(["v", *recorded], ["v", "sE", "sI"], strict=False):
        mine, theirs = ours.states["cells", name][0, :-1], traces[key][1:]
        assert np.abs(mine - theirs).max() <= 1e-9 * np.abs(theirs).max()
