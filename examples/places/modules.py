r"""Places recognised by modules that know nothing of each other, after VPRSNN.

After Hussaini, Milford and Fischer, ICRA 2023. Each module learns five places, images of 28 x 28
pixels that spike as they are bright: excitatory neurons compete by way of inhibitory ones, and
learn by triplets. After each image the weights of each neuron are normalised, and a neuron that has
spiked has a higher threshold. A neuron stands for the place of its module for which it fires most.
Then images of all places, with noise, are shown to all modules, and the place whose neurons fire
most is the answer. Hyperactive neurons, which fire for places of other modules, are masked: which
ones, images for calibration say.

Modules share no synapse. So each can have a core of its own, and cores do not talk to each other.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikec.backends.reference.golden import run_golden
from spikec.compiler.backend import find_target, need
from spikec.compiler.compile import Compilation, compile_graph
from spikec.compiler.files import write_file
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.connections import Dense, OneToOne
from spikec.ir.diagnostics import SpikecError, fail
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF
from spikec.ir.plasticity import Pairing, Plasticity, TripletSTDP
from spikec.ir.semantics import Reset, Semantics

Real = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

DT = 1e-3
PIXELS = 28 * 28
BRIGHT = 0.2  # share of the pixels of a place
RATE, DARK = 60.0, 2.0  # Hz of a bright and of a dark pixel
SHOWN = 100  # steps of an image
NOISE = 0.05  # share of the pixels of an image that are not those of its place
TOTAL = 78.0  # of the weights of a neuron
THRESHOLD, RISE = 13.0, 0.5  # mV, and what a spike adds
FOREIGN = 0.125  # of its spikes for its own place: what a neuron may fire for others, on average
# As there a spike potentiates by what the one before it has left, and a pre spike by a little.
RULE = TripletSTDP(
    *(0.0, -1e-3, 20e-3, 20e-3, Pairing.NEAREST),
    a3_plus=0.1,
    tau_y=40e-3,
    dendritic_delay_fraction=0.0,
)


def real(value: Any) -> Real:
    """A number, or one for each neuron."""
    return np.asarray(value, np.float64)


@dataclass(frozen=True)
class Module:
    """Weights (neurons, pixels) and thresholds (neurons,) of the excitatory neurons."""

    weights: Real
    thresholds: Real

    @classmethod
    def random(cls, rng: np.random.Generator, neurons: int) -> Module:
        """One that has learned nothing."""
        return cls(normalised(rng.random((neurons, PIXELS))), np.full(neurons, THRESHOLD))

    def after(self, weights: Real, spikes: Counts) -> Module:
        """What an image leaves."""
        return Module(normalised(weights), self.thresholds + RISE * spikes)


def normalised(weights: Real) -> Real:
    """Weights of each neuron that sum to `TOTAL`, none above 1."""
    factor = TOTAL / weights.sum(axis=1, keepdims=True)
    scaled: Real = np.minimum(weights * factor, 1.0)
    return scaled


def network(modules: list[Module], learns: bool) -> Graph:
    """Modules side by side, each with images of its own."""
    inputs, populations, projections = [], [], []
    plastic = Plasticity(RULE, 0.0, 1.0) if learns else None
    quick = LIF(real(0.01), real(10.0), real(0.0), real(1.0))
    for k, module in enumerate(modules):
        n = len(module.weights)
        see, e, i = f"see{k}", f"excitatory{k}", f"inhibitory{k}"
        # 1 of input is 1 mV: R dt / tau = 1.
        slow = LIF(real(0.1), real(100.0), real(0.0), real(module.thresholds))
        others = np.where(np.eye(n), 0.0, -40.0)
        inputs.append(Input(see, (PIXELS,)))
        populations += [
            Population(e, (n,), slow, Semantics(reset=Reset.ZERO, refractory=5)),
            Population(i, (n,), quick),
        ]
        projections += [
            Projection(f"learned{k}", see, e, Dense(module.weights), 1, plasticity=plastic),
            Projection(f"excite{k}", e, i, OneToOne(real(2.0), (n,)), 1),
            Projection(f"inhibit{k}", i, e, Dense(others), 1),
        ]
    outputs = [Output(p.name, p.name) for p in populations[::2]]
    parts = inputs, populations, projections, outputs
    return Graph("places", DT, *map(tuple, parts))  # type: ignore[arg-type]


def images(places: Bits, rng: np.random.Generator, noise: float) -> Events:
    """Spikes of an image of each place (places, pixels), a sample each."""
    seen = places ^ (rng.random(places.shape) < noise)
    rate = np.where(seen, RATE, DARK)[:, None]
    spikes = rng.random((len(places), SHOWN, PIXELS)) < rate * DT
    return Events.from_dense(spikes.astype(np.int64))


def counts(events: Events) -> Counts:
    """Spikes of each neuron in each sample."""
    found = np.zeros((events.samples, events.size), np.int64)
    np.add.at(found, (events.sample, events.index), 1)
    return found


def learned(
    places: list[Bits], neurons: int, epochs: int, rng: np.random.Generator, noise: float = NOISE
) -> list[Module]:
    """A module for each set of places, which sees an image of each of them an epoch."""
    modules = [Module.random(rng, neurons) for _ in places]
    for _ in range(epochs):
        for k in rng.permutation(len(places[0])):
            lines = {f"see{m}": images(own[k : k + 1], rng, noise) for m, own in enumerate(places)}
            recording = run_golden(network(modules, True), Stimulus(lines), codegen="numpy")
            modules = [
                module.after(
                    recording.weights[f"learned{m}"][0],
                    counts(recording.spikes[f"excitatory{m}"])[0],
                )
                for m, module in enumerate(modules)
            ]
    return modules


def respond(modules: list[Module], shown: Events) -> list[Counts]:
    """Spikes (samples, neurons) of each module, all of which see the same images."""
    stimulus = Stimulus({f"see{m}": shown for m in range(len(modules))})
    recording = run_golden(network(modules, False), stimulus, codegen="numpy")
    return [counts(recording.spikes[f"excitatory{m}"]) for m in range(len(modules))]


@dataclass(frozen=True)
class Readout:
    """For which place of all each neuron of a module stands, and which neurons count."""

    place: Counts
    counts: Bits

    @classmethod
    def of(cls, spikes: Counts, own: slice, masked: bool) -> Readout:
        """From the ``spikes`` (places, neurons) for images of all places, ``own`` of them its."""
        best = spikes[own].max(axis=0)
        keep = best > 0
        if masked:
            foreign = np.delete(spikes, np.arange(len(spikes))[own], axis=0)
            if len(foreign):
                keep = keep & (foreign.mean(axis=0) < FOREIGN * best)
        return cls(spikes[own].argmax(axis=0) + own.start, keep)


def answers(responses: list[Counts], readouts: list[Readout], places: int) -> Counts:
    """The place whose neurons spike most, -1 where none does; shape (samples,)."""
    score = np.zeros((len(responses[0]), places), np.int64)
    for spikes, readout in zip(responses, readouts, strict=True):
        for place in np.unique(readout.place):
            chosen = readout.counts & (readout.place == place)
            score[:, place] += spikes[:, chosen].sum(axis=1)
    best: Counts = np.where(score.max(axis=1) > 0, score.argmax(axis=1), -1)
    return best


@dataclass(frozen=True)
class Result:
    """Shares of the queries that are answered right, without and with the mask."""

    queries: int
    plain: float
    masked: float
    hyperactive: int
    modules: tuple[Module, ...]


def run(modules: int, each: int, neurons: int, epochs: int, seed: int, noise: float) -> Result:
    """Learn, calibrate on three images of each place, and ask with three others."""
    rng = np.random.default_rng(seed)
    places = [rng.random((each, PIXELS)) < BRIGHT for _ in range(modules)]
    found = learned(places, neurons, epochs, rng)
    every = np.tile(np.concatenate(places), (3, 1))
    number = modules * each
    calibration = [
        spikes.reshape(3, number, -1).sum(axis=0)
        for spikes in respond(found, images(every, rng, NOISE))
    ]
    asked = respond(found, images(every, rng, noise))
    right, idle = [], 0
    for masked in (False, True):
        readouts = [
            Readout.of(spikes, slice(each * m, each * (m + 1)), masked)
            for m, spikes in enumerate(calibration)
        ]
        idle = sum(int(np.sum(~readout.counts)) for readout in readouts) - idle
        said = answers(asked, readouts, number)
        right.append(float(np.mean(said == np.tile(np.arange(number), 3))))
    return Result(len(every), right[0], right[1], idle, tuple(found))


@dataclass(frozen=True)
class Placement:
    """Cores of each module, and the synapses from a neuron of one core to one of another."""

    cores: tuple[tuple[int, ...], ...]
    crossing: int

    @property
    def apart(self) -> bool:
        """Whether no core has neurons of two modules, and cores have nothing to say."""
        every = [core for module in self.cores for core in module]
        return len(set(every)) == len(every) and self.crossing == 0


def placed(modules: list[Module]) -> Placement:
    """The modules as learned, on Loihi with cores that have as many neurons as a module."""
    backend, target = find_target("loihi1")
    machine = target.machine
    if machine is None or machine.core.neurons is None:
        raise ValueError("the target has no cores")
    size = 2 * len(modules[0].weights)
    core = replace(machine.core, neurons=replace(machine.core.neurons, value=size))
    target = replace(target, machine=replace(machine, core=core))
    compilation = compile_graph(network(modules, False), backend, target, Quantise())
    return placement(compilation, len(modules))


def placement(compilation: Compilation, modules: int) -> Placement:
    """Who is where, from the mapping itself."""
    axons, mapped = compilation.axons, compilation.mapping
    if axons is None or mapped is None:
        raise ValueError("the network was not mapped")
    seat = mapped.mapping.seat[mapped.mapping.part]
    cores = []
    for m in range(modules):
        nodes = [n for n in axons.nodes if n.name in (f"excitatory{m}", f"inhibitory{m}")]
        cores.append(
            tuple(np.unique(np.concatenate([seat[n.first : n.end] for n in nodes])).tolist())
        )
    crossing = 0
    for bundle in axons.bundles:
        source = bundle.first + np.repeat(np.arange(bundle.ptr.size - 1), np.diff(bundle.ptr))
        inner = source < axons.neurons
        crossing += int(np.sum(seat[source[inner]] != seat[bundle.target[inner]]))
    return Placement(tuple(cores), crossing)


def plot(modules: list[Module]) -> bytes:
    """What the neurons of the first module have learned."""
    from matplotlib.figure import Figure

    from spikec.compiler.report.plots import style, to_bytes

    fields = modules[0].weights
    columns = 10
    rows = -(-len(fields) // columns)
    with style("places"):
        figure = Figure(figsize=(columns * 0.6, rows * 0.6))
        for axis, field in zip(figure.subplots(rows, columns).ravel(), fields, strict=False):
            axis.imshow(field.reshape(28, 28), vmin=0, vmax=1, cmap="gray")
        for axis in figure.axes:
            axis.axis("off")
        return to_bytes(figure, "places", "svg")


def main() -> int:
    """Learn places, ask, and place the modules; 1 where that is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", type=int, default=4)
    parser.add_argument("--places", type=int, default=5, help="of each module")
    parser.add_argument("--neurons", type=int, default=20, help="excitatory ones of each module")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--noise", type=float, default=NOISE, help="pixels flipped when asked")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="weights of a module")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    try:
        least = min(given.modules, given.places, given.neurons, given.epochs)
        if not (least >= 1 and 0 <= given.noise <= 1):
            raise fail("E0707", "it takes a module, place, neuron and epoch; noise is 0 to 1")
        result = run(
            *(given.modules, given.places, given.neurons),
            *(given.epochs, given.seed, given.noise),
        )
        where = placed(list(result.modules))
        if given.plot is not None:
            need("matplotlib", "plot", "--plot")
            write_file(given.plot, plot(list(result.modules)))
    except SpikecError as error:
        for line in error.diagnostics:
            print(line, file=sys.stderr)
        return 2
    if given.json:
        told = {k: v for k, v in vars(result).items() if k != "modules"}
        print(json.dumps(told | vars(where) | {"apart": where.apart}))
    else:
        print(f"right, of {result.queries} queries              {result.plain:.3f}")
        print(f"with {result.hyperactive} hyperactive neurons masked   {result.masked:.3f}")
        for m, cores in enumerate(where.cores):
            print(f"module {m}: core {' '.join(map(str, cores))}")
        print(f"synapses from core to core: {where.crossing}")
    return 0 if result.masked >= 0.95 and where.apart else 1


if __name__ == "__main__":
    sys.exit(main())
