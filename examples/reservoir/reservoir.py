r"""A liquid state machine whose weights nobody chose: they are what a chip's cells became.

All cells of a memristor crossbar are programmed to one and the same conductance. The device misses
it by chance, differently in each cell, so that the difference of two cells, which is how a crossbar
has a weight, is a random number that costs nothing to make and does not change. A reservoir wants
no more: 256 lines and 200 neurons that see each other through such weights, and a linear readout
trained on what this chip's neurons did (Lin et al., Nature Computational Science 2025, who have 256
inputs, 200 neurons, 50 steps, a membrane that keeps 0.9 of itself and a threshold of 5, with other
cells).

Three networks, for each seed one of each:

* ``ideal``: weights from a normal distribution, on the integer rung;
* ``chip``: all cells at a quarter of what the device can be, on the chip of that seed, the noise
of its reads, its wires and its converters included;
* ``noiseless``: the ideal weights programmed on a chip without errors of cells and converters,
behind the same wires: its spikes must be those of the integer rung.

The data are the 100 recorded samples of N-MNIST where they are (``SPIKEC_DATA``), the middle 16 x
16 pixels of one polarity in 50 steps; else scikit-learn's digits, as spikes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikec.backends.crossbar.chip import Chip
from spikec.backends.crossbar.compensate import compensate
from spikec.backends.crossbar.conditions import Conditions
from spikec.backends.crossbar.curve import from_chord
from spikec.backends.crossbar.design import Design, design
from spikec.backends.crossbar.execute import probes_of
from spikec.backends.null import backend as null
from spikec.boards.board import Target
from spikec.boards.macro import load_macro
from spikec.compiler.compare import compare
from spikec.compiler.compile import compile_graph
from spikec.compiler.files import write_file
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError, fail
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF
from spikec.ir.semantics import Reset, Semantics

Real = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SIDE, NEURONS, STEPS = 16, 200, 50
LINES = SIDE * SIDE
KEPT, THRESHOLD = 0.9, 5.0
# Standard deviations of the weights, from lines and from neurons: with them every second neuron
# spikes in a sample, and none in every step.
FROM_LINES, FROM_NEURONS = 0.45, 0.25
# Where cells are programmed to, in parts of their range: there RRAM misses its target by the most,
# and wires lose little.
LEVEL = 0.25
READS = 16
WINDOWS = 5  # in which the readout counts spikes
SPLITS = 20  # of the samples, four fifths to train and one to test
DIGITS = 300
DT = 1e-3
# What is done without on chips of chance, and what errors a noiseless one has not.
BLANK = ("compensate=off", "remap=off")
EXACT = (
    "programming=off",
    "drift=off",
    "read_noise=off",
    "adc_bits=ideal",
    "gated=off",
    "stuck=0",
)


@dataclass(frozen=True)
class Row:
    """What the networks of one seed did: shares of samples read right, and spikes a sample."""

    seed: int
    ideal: float
    chip: float
    noiseless: bool  # the same spikes as the integer rung
    ideal_spikes: float
    chip_spikes: float


@dataclass(frozen=True)
class Result:
    """All seeds of a run."""

    data: str
    macro: str
    samples: int
    rows: tuple[Row, ...]

    @property
    def ideal(self) -> float:
        """Mean share read right with ideal weights."""
        return float(np.mean([row.ideal for row in self.rows]))

    @property
    def chip(self) -> float:
        """Mean share read right by chips."""
        return float(np.mean([row.chip for row in self.rows]))

    @property
    def holds(self) -> bool:
        """Chips within two points of ideal weights, and equal spikes without noise."""
        return abs(self.chip - self.ideal) <= 0.02 and all(row.noiseless for row in self.rows)


# -- the data --------------------------------------------------------------------------------------


def load(folder: str | None, samples: int | None) -> tuple[str, Stimulus, Ints]:
    """Name, spikes and labels: N-MNIST from a folder of data, else scikit-learn's digits."""
    if folder and (path := Path(folder) / "nmnist" / "nmnist_test100.npz").is_file():
        return "N-MNIST", *nmnist(path, samples)
    return "digits", *digits(DIGITS if samples is None else samples)


def nmnist(path: Path, samples: int | None) -> tuple[Stimulus, Ints]:
    """The middle of one polarity, each sample cut into as many steps as there are."""
    with np.load(path, allow_pickle=False) as stored:
        events, offsets, labels = (stored[k] for k in ("events", "offsets", "labels"))
    labels = labels[:samples]
    dense = np.zeros((len(labels), STEPS, LINES), np.int64)
    for row, (start, end) in enumerate(pairwise(offsets[: len(labels) + 1])):
        own = events[start:end]
        x, y = own["x"].astype(np.int64) - 9, own["y"].astype(np.int64) - 9
        inside = (own["p"] == 1) & (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
        t = own["t"].astype(np.int64)
        step = (t - t[0]) * STEPS // (t[-1] - t[0] + 1)
        dense[row, step[inside], y[inside] * SIDE + x[inside]] = 1
    return Stimulus({"in": Events.from_dense(dense)}), labels.astype(np.int64)


def digits(samples: int) -> tuple[Stimulus, Ints]:
    """Each pixel four lines; one of intensity p (0 to 16) spikes about p times in 50 steps."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(labels))[:samples]
    rates = np.kron(images[chosen].reshape(-1, 8, 8), np.ones((1, 2, 2))).reshape(samples, LINES)
    dense = rng.random((samples, STEPS, LINES)) < rates[:, None] / STEPS
    return Stimulus({"in": Events.from_dense(dense.astype(np.int64))}), labels[chosen]


# -- the networks ----------------------------------------------------------------------------------


def network(seed: int) -> Graph:
    """A reservoir of normally distributed weights."""
    rng = np.random.default_rng(seed)
    one = np.asarray(1.0)
    cell = LIF(one * DT / (1 - KEPT), one / (1 - KEPT), one * 0, one * THRESHOLD, one * 0)
    post = Population("liquid", (NEURONS,), cell, Semantics(reset=Reset.ZERO))
    spreads = ((FROM_LINES, LINES), (FROM_NEURONS, NEURONS))
    weights = [rng.normal(0, spread, (NEURONS, size)) for spread, size in spreads]
    return Graph(
        "reservoir",
        DT,
        (Input("in", (LINES,)),),
        (post,),
        (
            Projection("lines", "in", "liquid", Dense(weights[0]), 0),
            Projection("liquid", "liquid", "liquid", Dense(weights[1]), 1),
        ),
        (Output("out", "liquid"),),
    )


def quantised(graph: Graph) -> Graph:
    """In integers, as for any target."""
    options = Quantise(weight_bits=8, input_max=1)
    return compile_graph(graph, null, Target.unlimited(), options).quantised


def untouched(found: Design) -> Design:
    """The design with all cells alike: what their differences are is up to the chip.

    They are alike behind the wires; else the cells next to the driver would win over the others.
    """
    electrics = found.electrics
    low, high = electrics.low, electrics.high
    alike: dict[tuple[int, ...], Real] = {}
    for target in found.targets:
        if target.shape not in alike:
            level = np.full_like(target, low + LEVEL * (high - low))
            group = np.zeros(target.shape[1], np.int64)
            solved = compensate(electrics.circuit(level), level - low, group, low, high)
            chords = solved.conductance
            alike[target.shape] = from_chord(electrics.device, chords, electrics.voltage)
    targets = tuple(alike[target.shape] for target in found.targets)
    alphas = tuple(np.ones_like(alpha) for alpha in found.alphas)
    return replace(found, targets=targets, alphas=alphas)


def scaled(chip: Chip) -> Chip:
    """A chip of chance, with one digital gain a layer: its sums get the spread of the ideal ones.

    The chip is asked with vectors of the data, often enough that its noise does not count.
    """
    chip.set_ranges()
    for name, layer in chip.design.layers.items():
        sums, wanted = [], []
        for reader in chip.tiles:
            if reader.tile.projection == name:
                used = reader.tile.column >= 0
                seen = layer.seen(reader.tile)
                mean = np.mean([reader(seen) for _ in range(READS)], axis=0)
                sums.append(mean[:, used].ravel())
                weight = reader.tile.weight(layer.blocks[0])
                wanted.append((seen @ weight)[:, used].ravel())
        gain = float(np.std(np.concatenate(wanted)) / np.std(np.concatenate(sums)))
        for reader in chip.tiles:
            if reader.tile.projection == name:
                reader.gain = reader.gain * gain
    return chip


# -- the readout -----------------------------------------------------------------------------------


def counts(events: Events) -> Real:
    """Spikes of each neuron in each window, (samples, windows x neurons)."""
    found = np.zeros((events.samples, WINDOWS, events.size))
    window = events.step * WINDOWS // events.steps
    np.add.at(found, (events.sample, window, events.index), events.value)
    return found.reshape(events.samples, -1)


def right(features: Real, labels: Ints) -> float:
    """The share that a linear readout reads right of samples it was not trained on."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import ShuffleSplit, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    readout = make_pipeline(StandardScaler(), RidgeClassifier(alpha=300.0))
    splits = ShuffleSplit(SPLITS, test_size=0.2, random_state=0)
    return float(cross_val_score(readout, features, labels, cv=splits).mean())


# -- a run -----------------------------------------------------------------------------------------


def run(
    stimulus: Stimulus,
    labels: Ints,
    macro: str,
    conditions: Conditions,
    seeds: range,
    tell: Any = lambda row: None,
) -> tuple[Row, ...]:
    """One row for each seed."""
    rows = []
    exact = conditions.but(EXACT)
    for seed in seeds:
        graph = quantised(network(seed))
        integer = Executor(graph).run(stimulus)
        probes = probes_of(graph, stimulus.take(10))
        macros = load_macro(macro)
        blank = untouched(design(graph, macros, conditions.but(BLANK), probes))
        chips = {
            "chip": scaled(Chip(blank, seed)),
            "noiseless": Chip(design(graph, macros, exact, probes), seed),
        }
        found = {
            name: Executor(graph, seed, sums=chip.sums()).run(stimulus)
            for name, chip in chips.items()
        }
        spikes = {name: recording.spikes["liquid"] for name, recording in found.items()}
        row = Row(
            seed=seed,
            ideal=right(counts(integer.spikes["liquid"]), labels),
            chip=right(counts(spikes["chip"]), labels),
            noiseless=compare(integer, found["noiseless"]).equal,
            ideal_spikes=float(integer.spikes["liquid"].value.sum() / stimulus.samples),
            chip_spikes=float(spikes["chip"].value.sum() / stimulus.samples),
        )
        tell(row)
        rows.append(row)
    return tuple(rows)


def main(arguments: list[str] | None = None) -> int:
    """Run, print, and say by the exit code whether it holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--chips", type=int, default=10, help="how many seeds")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--samples", type=int, help="of the data; default: 100, or 300 digits")
    parser.add_argument("--macro", default="rram-wan", help="pcm, rram-wan, ...: 'spikec targets'")
    parser.add_argument("--condition", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--plot", type=Path, help="draw accuracies to this .svg or .png")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        name, stimulus, labels = load(os.environ.get("SPIKEC_DATA"), options.samples)
        conditions = Conditions(calibrate=False, gated=False).but(options.condition)
        quiet = options.json
        if not quiet:
            print(f"{name}, {len(labels)} samples; cells of {options.macro}")
            print("seed   ideal    chip   noiseless   spikes a sample: ideal, chip")
        rows = run(
            stimulus,
            labels,
            options.macro,
            conditions,
            range(options.first, options.first + options.chips),
            (lambda row: None) if quiet else tell,
        )
        result = Result(name, options.macro, len(labels), rows)
        if options.plot is not None:
            write_file(options.plot, plot(result, options.plot.suffix.removeprefix(".")))
    except SpikecError as error:
        print(error, file=sys.stderr)
        return 2
    if quiet:
        facts = {"ideal": result.ideal, "chip": result.chip, "holds": result.holds}
        print(json.dumps(asdict(result) | facts))
    else:
        print(f"mean {result.ideal:7.1%} {result.chip:7.1%}")
        print("within two points, and equal without noise" if result.holds else "does not hold")
    return 0 if result.holds else 1


def tell(row: Row) -> None:
    """One line."""
    same = "equal" if row.noiseless else "DIFFERS"
    print(
        f"{row.seed:4d} {row.ideal:7.1%} {row.chip:7.1%}   {same:9s}   "
        f"{row.ideal_spikes:.0f}, {row.chip_spikes:.0f}",
        flush=True,
    )


def plot(result: Result, form: str) -> bytes:
    """Accuracies of all seeds beside each other."""
    import io

    from matplotlib.figure import Figure

    if form not in ("svg", "png"):
        raise fail("E0707", f"--plot writes .svg or .png, not '.{form}'")
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for place, name in enumerate(("ideal", "chip")):
        every = 100 * np.array([getattr(row, name) for row in result.rows])
        jitter = np.linspace(-0.12, 0.12, len(every))
        axes.plot(place + jitter, every, "o", color=f"C{place}", alpha=0.7)
        axes.hlines(every.mean(), place - 0.25, place + 0.25, color=f"C{place}")
        axes.text(place + 0.27, every.mean(), f"{every.mean():.1f} %", va="center")
    axes.set_xticks([0, 1], ["ideal random weights", f"chips of {result.macro}"])
    axes.set_xlim(-0.5, 1.7)
    axes.set_ylabel(f"{result.data} read right (%)")
    stream = io.BytesIO()
    figure.savefig(stream, format=form, metadata={"Date": None} if form == "svg" else None)
    return stream.getvalue()


if __name__ == "__main__":
    sys.exit(main())
