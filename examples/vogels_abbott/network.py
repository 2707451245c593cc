r"""A balanced network that keeps itself going: Vogels and Abbott, J. Neurosci. 25(46), 2005.

Four excitatory neurons for each inhibitory one, each pair joined with a probability of 2 %, in the
two forms of the benchmark of Brette et al., J. Comput. Neurosci. 23, 2007: synapses that are
currents (CUBA) and synapses that are conductances (COBA). Twenty Poisson sources wake it in the
first 50 ms; after that it has no input.

It is a PyNN script. `sim` may be any PyNN simulator; ``--compare`` runs the same synapses in Brian2
as one would write them by hand (``by_hand.py``) and says how far rate and irregularity are apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyNN.random import NumpyRNG, RandomDistribution

from spikec.compiler.backend import need
from spikec.compiler.files import write_file
from spikec.ir.diagnostics import SpikecError, fail

Spikes = list[npt.NDArray[np.float64]]  # the times of each neuron, in ms

SHARE = 0.8  # of neurons that excite
CONNECTED = 0.02
DELAY = 0.1  # ms; one step, the least that there is
SOURCES, SOURCE_RATE, SOURCE_CONNECTED, WAKING = 20, 100.0, 0.01, 50.0  # Hz, ms
SKIPPED = 200.0  # ms, until the start is forgotten
# Enough intervals for a coefficient of variation that means something.
INTERVALS = 5
CELL = {
    "tau_m": 20.0,
    "cm": 0.2,
    "v_thresh": -50.0,
    "v_reset": -60.0,
    "tau_refrac": 5.0,
    "tau_syn_E": 5.0,
    "tau_syn_I": 10.0,
}


@dataclass(frozen=True)
class Form:
    """What the two forms do not share; weights in nA or uS, for 4,000 neurons."""

    name: str
    parameters: dict[str, float]
    excitatory: float
    inhibitory: float


FORMS = {
    "cuba": Form("CUBA", {"v_rest": -49.0}, 16.2e-3, -90e-3),
    "coba": Form("COBA", {"v_rest": -60.0, "e_rev_E": 0.0, "e_rev_I": -80.0}, 6e-3, 67e-3),
}


@dataclass(frozen=True)
class Activity:
    """Mean rate in spikes a second and neuron, and mean coefficient of variation of intervals."""

    rate: float
    irregularity: float


def build(sim: Any, form: Form, size: int, seed: int) -> tuple[list[Any], list[Any]]:
    """The excitatory and the inhibitory population and the sources, recorded, and all projections.

    A smaller network has stronger synapses, so that its neurons get what they would.
    """
    excitatory = round(SHARE * size)
    kind = sim.IF_curr_exp if form.name == "CUBA" else sim.IF_cond_exp
    cell = kind(**CELL, **form.parameters)
    cells = [
        sim.Population(excitatory, cell, label="excitatory"),
        sim.Population(size - excitatory, cell, label="inhibitory"),
    ]
    # PyNN draws from a copy of a generator: whatever draws needs a seed of its own.
    for k, population in enumerate(cells):
        rng = NumpyRNG(seed=1000 * seed + 100 + k)
        population.initialize(v=RandomDistribution("uniform", (-60.0, -50.0), rng=rng))
    poisson = sim.SpikeSourcePoisson(rate=SOURCE_RATE, duration=WAKING)
    sources = sim.Population(SOURCES, poisson, label="sources")
    for population in (*cells, sources):
        population.record("spikes")
    scale = 4000 / size
    kinds = (
        (cells[0], form.excitatory, "excitatory", CONNECTED),
        (cells[1], form.inhibitory, "inhibitory", CONNECTED),
        (sources, form.excitatory, "excitatory", SOURCE_CONNECTED * scale),
    )
    projections = []
    for k, (pre, weight, receptor, share) in enumerate(kinds):
        for n, post in enumerate(cells):
            own = NumpyRNG(seed=1000 * seed + 10 * k + n)
            connector = sim.FixedProbabilityConnector(min(share, 1.0), rng=own)
            synapse = sim.StaticSynapse(weight=weight * scale, delay=DELAY)
            projections.append(
                sim.Projection(pre, post, connector, synapse, receptor_type=receptor)
            )
    return [*cells, sources], projections


def trains(*populations: Any) -> Spikes:
    """The spike times of every neuron."""
    return [
        np.asarray(train)
        for population in populations
        for train in population.get_data("spikes").segments[0].spiketrains
    ]


def activity(spikes: Spikes, duration: float) -> Activity:
    """Over the part of the run that has forgotten how it started."""
    late = [times[times >= SKIPPED] for times in spikes]
    rate = sum(times.size for times in late) / len(late) / (duration - SKIPPED) * 1e3
    gaps = [np.diff(times) for times in late if times.size > INTERVALS]
    each = [float(gap.std() / gap.mean()) for gap in gaps]
    return Activity(rate, float(np.mean(each)) if each else 0.0)


def main() -> int:
    """Run the forms that were asked for; 1 where they are silent, or far from Brian2."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--form", choices=(*FORMS, "both"), default="both")
    parser.add_argument("--size", type=int, default=4000, help="neurons")
    parser.add_argument("--time", type=float, default=1000.0, help="ms")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compare", action="store_true", help="with Brian2, written by hand")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="the first 300 ms")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = []
    try:
        if given.size < 50 or given.time <= SKIPPED:
            raise fail("E0707", f"a network has 50 neurons or more, a run more than {SKIPPED:g} ms")
        need("pyNN", "pynn", "this example")
        for name in FORMS if given.form == "both" else [given.form]:
            found.append(_run(FORMS[name], given))
    except SpikecError as error:
        for line in error.diagnostics:
            print(line, file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(found))
    else:
        for line in found:
            print(_sentence(line))
    return 0 if all(line["rate"] > 0 and line.get("within", True) for line in found) else 1


def _run(form: Form, given: argparse.Namespace) -> dict[str, Any]:
    import spikec.pynn as sim

    sim.setup(timestep=0.1, seed=given.seed)
    populations, projections = build(sim, form, given.size, given.seed)
    began = time.perf_counter()
    sim.run(given.time)
    spikes = trains(*populations[:2])
    mine = activity(spikes, given.time)
    line = {
        "form": form.name,
        "neurons": given.size,
        "synapses": sum(len(projection) for projection in projections),
        "rate": mine.rate,
        "irregularity": mine.irregularity,
        "seconds": time.perf_counter() - began,
    }
    if given.compare:
        from by_hand import run

        began = time.perf_counter()
        theirs = activity(run(form, populations, projections, given.time), given.time)
        line |= {
            "brian2_rate": theirs.rate,
            "brian2_irregularity": theirs.irregularity,
            "brian2_seconds": time.perf_counter() - began,
            "within": _near(mine.rate, theirs.rate)
            and _near(mine.irregularity, theirs.irregularity),
        }
    if given.plot is not None:
        place = given.plot
        if given.form == "both":
            place = place.with_name(f"{place.stem}_{form.name.lower()}{place.suffix}")
        write_file(place, _plot(form, spikes))
    return line


def _near(ours: float, theirs: float) -> bool:
    return abs(ours - theirs) <= 0.05 * theirs


def _sentence(line: dict[str, Any]) -> str:
    said = (
        f"{line['form']}: {line['neurons']} neurons, {line['synapses']} synapses: "
        f"{line['rate']:.2f} spikes/s, CV of intervals {line['irregularity']:.3f} "
        f"({line['seconds']:.1f} s)"
    )
    if "within" in line:
        verdict = "within 5 %" if line["within"] else "MORE THAN 5 % APART"
        said += (
            f"; Brian2 by hand {line['brian2_rate']:.2f} spikes/s, "
            f"{line['brian2_irregularity']:.3f} ({line['brian2_seconds']:.1f} s): {verdict}"
        )
    return said


def _plot(form: Form, spikes: Spikes) -> bytes:
    """A raster of some neurons, and the rate of all, in the first 300 ms."""
    need("matplotlib", "plot", "--plot")
    from io import BytesIO

    from matplotlib.figure import Figure

    end, shown = 300.0, np.linspace(0, len(spikes) - 1, min(len(spikes), 250)).astype(int)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    raster, rate = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    inhibitory = shown >= SHARE * len(spikes)
    colours = np.where(inhibitory, "#c0392b", "#1f4e79")
    raster.eventplot([spikes[k] for k in shown], colors=list(colours), linewidths=0.8)
    raster.set_ylabel("neuron (inhibitory in red)")
    raster.set_title(f"{form.name}, {len(spikes)} neurons")
    times = np.concatenate(spikes)
    counts, edges = np.histogram(times, np.arange(0, end + 1, 2.0))
    rate.step(edges[:-1], counts / len(spikes) / 2e-3, where="post", color="#444")
    rate.set(xlim=(0, end), xlabel="time (ms)", ylabel="spikes/s")
    out = BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main())
