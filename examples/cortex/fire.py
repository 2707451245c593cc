"""A pulse-coupled network of spiking neurons after Izhikevich (2003), on a small board.

Four fifths of the neurons excite, from regular spiking to chattering, one fifth inhibits, from
fast spiking to low-threshold. All are joined to all at random, and each hears noise of its own.
The paper has 1,000 neurons, an input of N(0, sigma^2) mV/ms in every millisecond, and weights of up
to 0.5 and -1; here weights grow as neurons become fewer, and the noise is what a board receives,
spikes:

    I = w (P - 4),   P ~ Poisson(4),   w = sigma / 2

of the same mean and variance.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spikec.compiler.backend import find_target
from spikec.compiler.compare import compare
from spikec.compiler.compile import compile_graph
from spikec.compiler.ladder import quantised, run_rung, state_words
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.report.plots import plot_recording
from spikec.ir.connections import Dense, OneToOne
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import Izhikevich
from spikec.ir.semantics import Comparison, Reset, Semantics

DT = 1e-3  # seconds
NEURONS = 200
EXCITING = 0.8
SIGMA = 5.0, 2.0  # of the noise that the exciting and the inhibiting hear, mV/ms
WEIGHT = 0.5, -1.0  # the largest of theirs among 1,000, mV/ms
RATE = 4.0  # noise spikes in a step
RHYTHMS = 2.0, 100.0  # hertz in which a rhythm is looked for


def build_network(neurons: int = NEURONS, seed: int = 0) -> Graph:
    """Neurons with parameters of their own, joined all to all after a step."""
    random = np.random.default_rng(seed)
    exciting = round(EXCITING * neurons)
    r = random.random(neurons)
    excites = np.arange(neurons) < exciting

    def each(of_exciting: npt.ArrayLike, of_inhibiting: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return np.where(excites, of_exciting, of_inhibiting).astype(np.float64)

    # Near r = 0 most cells are regular spiking: the square favours it.
    neuron = Izhikevich(
        a=each(0.02, 0.02 + 0.08 * r),
        b=each(0.2, 0.25 - 0.05 * r),
        c=each(-65.0 + 15.0 * r**2, -65.0),
        d=each(8.0 - 6.0 * r**2, 2.0),
        substeps=2,
    )
    rules = Semantics(reset=Reset.VALUE, comparison=Comparison.GREATER_EQUAL, v_init=-65.0)
    noise = each(SIGMA[0], SIGMA[1]) / np.sqrt(RATE)
    joined = random.random((neurons, neurons)) * each(*WEIGHT) * 1000 / neurons
    return Graph(
        name="cortex",
        dt=DT,
        inputs=(Input("thalamus", (neurons,)),),
        populations=(Population("cortex", (neurons,), neuron, rules),),
        projections=(
            Projection(
                "noise",
                "thalamus",
                "cortex",
                OneToOne(noise, (neurons,)),
                bias=-RATE * noise,
            ),
            Projection("joined", "cortex", "cortex", Dense(joined), delay=1, recurrent=True),
        ),
        outputs=(Output("raster", "cortex"),),
    )


def make_noise(neurons: int, steps: int, seed: int = 1) -> Stimulus:
    """One sample of spikes for every neuron's own line."""
    counts = np.random.default_rng(seed).poisson(RATE, (1, steps, neurons))
    return Stimulus({"thalamus": Events.from_dense(np.minimum(counts, 15))})


def rhythm(recording: Recording) -> tuple[float, float, float]:
    """Mean rate of an exciting and of an inhibiting neuron, and the strongest rhythm of all, Hz."""
    raster = recording.spikes["cortex"].dense(0)
    steps, neurons = raster.shape
    seconds, exciting = steps * DT, round(EXCITING * neurons)
    together = raster.sum(axis=1) - raster.sum() / steps
    power = np.abs(np.fft.rfft(together)) ** 2
    hertz = np.fft.rfftfreq(steps, DT)
    # A rhythm is a band of some hertz: neighbours are added up.
    band = np.convolve(power, np.ones(5), "same")
    heard = (hertz >= RHYTHMS[0]) & (hertz <= RHYTHMS[1])
    return (
        float(raster[:, :exciting].sum() / exciting / seconds),
        float(raster[:, exciting:].sum() / (neurons - exciting) / seconds),
        float(hertz[heard][np.argmax(band[heard])]),
    )


def main(arguments: list[str] | None = None) -> int:
    """Compile for a board, run every rung it has, say at which rates and rhythm they fire."""
    parser = argparse.ArgumentParser(description="At which rhythm does a small cortex fire?")
    parser.add_argument("--target", default="ulx3s-25f", help="a board, or null")
    parser.add_argument("--neurons", type=int, default=NEURONS)
    parser.add_argument("--steps", type=int, default=1000, help="milliseconds")
    parser.add_argument("--bitstream", action="store_true", help="synthesise, place and route too")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/cortex"))
    options = parser.parse_args(arguments)
    if options.neurons < 5 or options.steps < 1:
        parser.error("at least 5 neurons and 1 step")
    try:
        return _fire(
            options.target, options.neurons, options.steps, options.bitstream, options.output
        )
    except SpikecError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _fire(name: str, neurons: int, steps: int, bitstream: bool, output: Path) -> int:
    backend, target = find_target(name)
    integers = Quantise(weight_bits=8, state_bits=24)
    graph = build_network(neurons)
    built = compile_graph(graph, backend, target, integers, {"bitstream": bitstream})
    artifact = built.artifact()
    artifact.write(output / name)
    print(f"{output / name}: {neurons} neurons, {neurons**2} synapses between them")

    noise = make_noise(neurons, steps)
    whole = quantised(artifact)
    rungs = ["golden", "integer", *(r for r in ("rtl",) if r in backend.rungs)]
    words = state_words(whole)
    found = {r: run_rung(artifact, r, noise, record=words).recording for r in rungs}
    print("rung      exciting  inhibiting  rhythm")
    for rung, recording in found.items():
        exciting, inhibiting, hertz = rhythm(recording)
        print(f"{rung:8}  {exciting:5.1f} Hz  {inhibiting:7.1f} Hz  {hertz:3.0f} Hz")
    above = [(found[a], found[b]) for a, b in itertools.pairwise(rungs)]
    compared = [compare(a, b, graph=whole, stimulus=noise) for a, b in above]
    print("\n".join(comparison.describe() for comparison in compared))
    plot = output / "raster.svg"
    plot.write_bytes(plot_recording(list(found.values()), graph=whole))
    print(f"{plot}: every spike of {' and '.join(rungs)}")
    # The network is chaotic: golden and integers part, with the same statistics.
    return 0 if all(comparison.equal for comparison in compared[1:]) else 1


if __name__ == "__main__":
    sys.exit(main())
