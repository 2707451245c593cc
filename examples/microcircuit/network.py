r"""A square millimetre of cortex, scaled down: Potjans and Diesmann, Cerebral Cortex 24(3), 2014.

Eight populations, an excitatory and an inhibitory one in each of four layers, with the sizes and
connection probabilities of early sensory cortex, leaky neurons with exponential currents, and a
Poisson background. With a share s of the inputs of each neuron weights grow by :math:`1/\sqrt s`,
and a constant current replaces the mean that is lost (van Albada, Helias and Diesmann, PLoS Comput.
Biol. 11(9), 2015): means and variances of the input stay what they were.

It is a PyNN script: ``--simulator`` takes any PyNN module. Rates are shown beside those of the
full network, of 77,169 neurons.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyNN.random import NumpyRNG, RandomDistribution

from spikec.compiler.files import write_file
from spikec.ir.diagnostics import SpikecError, fail

Real = npt.NDArray[np.float64]

NAMES = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZES = (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948)
# Probability that a neuron of the column's population reaches one of the row's, by one synapse or
# several: that of a synapse, with as many in the mean and one a pair, is a little larger.
_REACHED = np.array(
    [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0000, 0.0076, 0.0000],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0000, 0.0042, 0.0000],
        [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0000],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0000, 0.1057, 0.0000],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0000],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0000],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
    ]
)
PROBABILITIES = -np.log1p(-_REACHED)
BACKGROUND = (1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100)  # inputs of each neuron
BACKGROUND_RATE = 8.0  # Hz, of each
FULL_RATES = np.array([0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829])  # spikes/s
WEIGHT = 0.0878  # nA: a postsynaptic potential of 0.15 mV
INHIBITION = -4.0  # an inhibitory weight in excitatory ones
SPREAD = 0.1  # standard deviation of weights in their means
DELAYS = {"E": (1.5, 0.75), "I": (0.8, 0.4)}  # ms: mean and standard deviation
TAU_SYN = 0.5
CELL = {
    "tau_m": 10.0,
    "cm": 0.25,
    "v_rest": -65.0,
    "v_reset": -65.0,
    "v_thresh": -50.0,
    "tau_refrac": 2.0,
    "tau_syn_E": TAU_SYN,
    "tau_syn_I": TAU_SYN,
}
STEP = 0.1
SKIPPED = 200.0  # ms, until the start is forgotten


@dataclass(frozen=True)
class Layer:
    """What one population did: spikes a second and neuron, and the mean CV of intervals."""

    name: str
    neurons: int
    rate: float
    irregularity: float | None


def means() -> Real:
    """The mean of every weight in nA, shape (post, pre), of the full network."""
    weights = np.where(np.arange(8) % 2 == 0, WEIGHT, INHIBITION * WEIGHT) * np.ones((8, 1))
    weights[0, 2] *= 2.0  # from L4E to L23E
    return weights


def lost_current(share: float) -> Real:
    """The mean current in nA that each population's neurons miss when they lose inputs."""
    per_second = (PROBABILITIES * SIZES * means()) @ FULL_RATES
    per_second = per_second + np.array(BACKGROUND) * BACKGROUND_RATE * WEIGHT
    return np.asarray(TAU_SYN * 1e-3 * per_second * (1.0 - np.sqrt(share)))


def build(sim: Any, share: float, inputs: float, seed: int) -> tuple[list[Any], int]:
    """The eight populations, recorded, and the number of synapses between them.

    ``share`` of the neurons of the full network, each with the share ``inputs`` of its inputs.
    """
    lost, weights = lost_current(inputs), means() / np.sqrt(inputs)
    layers = []
    for k, name in enumerate(NAMES):
        size = max(1, round(SIZES[k] * share))
        layer = sim.Population(size, sim.IF_curr_exp(**CELL, i_offset=float(lost[k])), label=name)
        rng = NumpyRNG(seed=10_000 * seed + 9_000 + k)  # copies would draw the same numbers
        layer.initialize(v=RandomDistribution("normal", (-58.0, 10.0), rng=rng))
        layer.record("spikes")
        rate = BACKGROUND[k] * BACKGROUND_RATE * inputs
        source = sim.Population(
            size, sim.SpikeSourcePoisson(rate=rate), label=f"background of {name}"
        )
        sim.Projection(
            source,
            layer,
            sim.OneToOneConnector(),
            sim.StaticSynapse(weight=WEIGHT / np.sqrt(inputs), delay=1.5),
            receptor_type="excitatory",
        )
        layers.append(layer)
    synapses = 0
    for i, post in enumerate(layers):
        for j, pre in enumerate(layers):
            if not PROBABILITIES[i, j]:
                continue
            # Copies of a generator draw the same numbers: each pair has generators of its own.
            draw = [NumpyRNG(seed=10_000 * seed + 100 * (8 * i + j) + k) for k in range(3)]
            mean, (delay, spread) = float(weights[i, j]), DELAYS["EI"[j % 2]]
            signs = (0.0, np.inf) if mean > 0 else (-np.inf, 0.0)
            projection = sim.Projection(
                pre,
                post,
                sim.FixedProbabilityConnector(
                    min(1.0, float(PROBABILITIES[i, j]) * inputs / share), rng=draw[0]
                ),
                sim.StaticSynapse(
                    weight=RandomDistribution(
                        "normal_clipped", (mean, SPREAD * abs(mean), *signs), rng=draw[1]
                    ),
                    delay=RandomDistribution(
                        "normal_clipped", (delay, spread, STEP, 10.0), rng=draw[2]
                    ),
                ),
                receptor_type="excitatory" if mean > 0 else "inhibitory",
            )
            synapses += len(projection)
    return layers, synapses


def activity(layer: Any, duration: float) -> Layer:
    """Of one population, over the part of the run that has forgotten how it started."""
    spikes = layer.get_data("spikes").segments[0].spiketrains
    late = [times[times >= SKIPPED] for times in map(np.asarray, spikes)]
    rate = sum(times.size for times in late) / len(late) / (duration - SKIPPED) * 1e3
    gaps = [np.diff(times) for times in late if times.size > 3]
    each = [float(gap.std() / gap.mean()) for gap in gaps]
    return Layer(layer.label, layer.size, rate, float(np.mean(each)) if each else None)


def main() -> int:
    """Run the network and show its rates; 1 where it is silent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=0.04, help="of the neurons")
    parser.add_argument("--inputs", type=float, default=0.08, help="share of a neuron's inputs")
    parser.add_argument("--time", type=float, default=1000.0, help="ms")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--simulator", default="spikec.pynn", help="a PyNN module: pyNN.nest")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="spikes of 200 ms")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    try:
        if not (0 < given.share <= 1 and 0 < given.inputs <= 1 and given.time > SKIPPED):
            raise fail("E0707", f"a share is above 0 and at most 1, a run above {SKIPPED:g} ms")
        sim = importlib.import_module(given.simulator)
        sim.setup(timestep=STEP)
        began = time.perf_counter()
        layers, synapses = build(sim, given.share, given.inputs, given.seed)
        built = time.perf_counter() - began
        sim.run(given.time)
        found = [activity(layer, given.time) for layer in layers]
        took = time.perf_counter() - began - built
        if given.plot is not None:
            write_file(given.plot, _plot(layers))
        sim.end()
    except SpikecError as error:
        for line in error.diagnostics:
            print(line, file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps({"synapses": synapses, "layers": [vars(layer) for layer in found]}))
    else:
        neurons = sum(layer.neurons for layer in found)
        print(
            f"{neurons} neurons, {synapses} synapses; built in {built:.1f} s, run in {took:.1f} s"
        )
        print("population  neurons  spikes/s  (full network)  CV of intervals")
        for layer, full in zip(found, FULL_RATES, strict=True):
            cv = "-" if layer.irregularity is None else f"{layer.irregularity:.2f}"
            print(f"{layer.name:10} {layer.neurons:8} {layer.rate:9.2f} {full:15.2f} {cv:>16}")
    return 0 if all(layer.rate > 0 for layer in found) else 1


def _plot(layers: list[Any]) -> bytes:
    """The raster of all populations, the uppermost layer on top."""
    from io import BytesIO

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    first, ticks = 0, []
    for k, layer in reversed(list(enumerate(layers))):
        trains = layer.get_data("spikes").segments[0].spiketrains
        shown = [np.asarray(train) for train in trains[: max(4, layer.size // 8)]]
        colour = "#c0392b" if k % 2 else "#1f4e79"
        places = list(range(first, first + len(shown)))
        axes.eventplot(shown, lineoffsets=places, colors=colour, linewidths=0.7)
        ticks.append((first + len(shown) / 2, layer.label))
        first += len(shown) + 2
    axes.set(xlim=(SKIPPED, SKIPPED + 200), xlabel="time (ms)", ylim=(-2, first))
    axes.set_yticks([at for at, _ in ticks], [name for _, name in ticks])
    axes.set_title("every eighth neuron; inhibitory in red")
    out = BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main())
