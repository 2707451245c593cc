"""The network of ``network.py`` as one would write it for Brian2, with the same synapses."""

from __future__ import annotations

from typing import Any

import brian2 as b
import numpy as np
from network import CELL, DELAY, Form, Spikes

_EQUATIONS = {
    "CUBA": """
    dv/dt = (v_rest - v + (ie + ii) / g_leak) / tau_m : volt (unless refractory)
    die/dt = -ie / tau_e : amp
    dii/dt = -ii / tau_i : amp
    """,
    "COBA": """
    dv/dt = (v_rest - v + (ge*(e_e - v) + gi*(e_i - v)) / g_leak) / tau_m : volt (unless refractory)
    dge/dt = -ge / tau_e : siemens
    dgi/dt = -gi / tau_i : siemens
    """,
}


def run(form: Form, populations: list[Any], projections: list[Any], duration: float) -> Spikes:
    """Spike times in ms; start, sources' spikes and synapses are those of the PyNN populations."""
    b.prefs.codegen.target = "numpy"
    b.start_scope()
    *neurons, sources = populations
    sizes = [population.size for population in neurons]
    space = {
        "tau_m": CELL["tau_m"] * b.ms,
        "g_leak": CELL["cm"] * b.nF / (CELL["tau_m"] * b.ms),
        "tau_e": CELL["tau_syn_E"] * b.ms,
        "tau_i": CELL["tau_syn_I"] * b.ms,
        "v_rest": form.parameters["v_rest"] * b.mV,
        "v_thresh": CELL["v_thresh"] * b.mV,
        "v_reset": CELL["v_reset"] * b.mV,
        "e_e": form.parameters.get("e_rev_E", 0.0) * b.mV,
        "e_i": form.parameters.get("e_rev_I", 0.0) * b.mV,
    }
    clock = b.Clock(0.1 * b.ms)
    cells = b.NeuronGroup(
        sum(sizes),
        _EQUATIONS[form.name],
        threshold="v > v_thresh",
        reset="v = v_reset",
        refractory=CELL["tau_refrac"] * b.ms,
        method="exact" if form.name == "CUBA" else "euler",
        namespace=space,
        clock=clock,
    )

    cells.v = np.concatenate([population.initial["v"] for population in neurons]) * b.mV
    times = [np.asarray(train) for train in sources.get_data("spikes").segments[0].spiketrains]
    generator = b.SpikeGeneratorGroup(
        len(times),
        np.repeat(np.arange(len(times)), [train.size for train in times]),
        np.concatenate(times) * b.ms,
        clock=clock,
    )
    objects: list[Any] = [cells, generator]
    first = dict(zip(neurons, (0, sizes[0]), strict=True))
    conductance = form.name == "COBA"
    for projection in projections:
        variable = ("g" if conductance else "i") + projection.receptor_type[0]
        pre = generator if projection.pre is sources else cells
        synapses = b.Synapses(
            pre,
            cells,
            f"w : {'siemens' if conductance else 'amp'}",
            on_pre=f"{variable}_post += w",
            delay=DELAY * b.ms,
            clock=clock,
        )
        synapses.connect(
            i=projection.pre_index + first.get(projection.pre, 0),
            j=projection.post_index + first[projection.post],
        )
        synapses.w = projection.values("weight") * (b.uS if conductance else b.nA)
        objects.append(synapses)
    monitor = b.SpikeMonitor(cells)
    b.Network([*objects, monitor]).run(duration * b.ms)
    return [np.asarray(times / b.ms) for times in monitor.spike_trains().values()]
