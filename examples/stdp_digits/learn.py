"""Digits without labels: neurons that compete, and learn by STDP what they win.

A presentation is one image, ``STEPS`` steps of one long run:

* while the *image* lasts every pixel spikes up to ``WHITE`` times, and each cell integrates
  :math:`v_j = \\sum_i w_{ij} n_i`, below threshold;
* then a line lifts all cells by the same ``LIFT`` a step until the best of them,
  :math:`\\arg\\max_j v_j - h_j`, reaches its threshold first and holds the others down;
* at last other lines pull every membrane to its floor, zero.

A spike of j changes column j alone: :math:`w_{ij} \\leftarrow w_{ij} - 1 + f(x_i)`, f from 0 to 2,
so that pixels which are bright when j wins rise and the others fall, between the rails. The
threshold offset h of each winner rises and forgets slowly: every cell gets its share of images.
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

from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import Progress, find_target, need
from spikec.compiler.cli.console import Report
from spikec.compiler.compare import accuracy, compare
from spikec.compiler.compile import compile_graph
from spikec.compiler.demo.digits import LEVELS, SPLIT_SEED, TEST_SHARE
from spikec.compiler.files import make_folder, write_file
from spikec.compiler.ladder import run_rung
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.report.style import INK, MUTED, PHASES, WINNER, style, to_bytes
from spikec.compiler.stimulus import LabelledStimulus, stimulus_bytes
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IntegerNeuron
from spikec.ir.numerics import Format, Numerics, Rounding
from spikec.ir.plasticity import Accumulation, Plasticity, Trace, TraceDecay, TraceSTDP, Update
from spikec.ir.text import text

SIDE, CLASSES = 8, 10
CELLS = 96
# A presentation: the image, the lift, and one step of rest.
IMAGE, LIFTING = 12, 28
STEPS = IMAGE + LIFTING + 1
WHITE = 3  # spikes of a white pixel
INK_SUM = 21.0  # white pixels that every image amounts to, about the mean
# Weights, in the three bits that they learn in; inhibition is the most that eight hold.
HIGHEST = 7
FIRST = (2, 5)
INHIBITION = 128
THRESHOLD, LIFT, REST_LINES = 261, 5, 6
# h rises by RISE at a spike and loses a 32nd of itself in every FORGET-th step: a time constant of
# 800 images.
RISE, FORGET, FORGET_SHIFT = 10, 1024, 5
# The trace counts down by one a step, so that an image is forgotten when the next one is judged.
TRACE, GAIN, GAIN_SHIFT = 17, 14, 8
STREAMS = 16
BLOCK = 300  # images that a point of the learning curve stands for
VOTE = 127  # of a cell that spikes for one class alone
ON_BOARD = 100  # images that the board's core learns from, in simulation
ROUNDINGS = (Rounding.STOCHASTIC, Rounding.NEAREST_EVEN, Rounding.TOWARD_ZERO)
EPOCHS = 3

Ints = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Images:
    """Images (samples, 64) of 0 to 16, and their digits."""

    pixels: Real
    labels: Ints


def load_images(validation: bool = False) -> tuple[Images, Images]:
    """scikit-learn's digits, to learn from and to test on: the split of ``spikec demo``.

    With ``validation`` the images to learn from alone are split: choices are made on these.
    """
    need("sklearn", "demo", "the example stdp_digits")
    from sklearn.datasets import load_digits

    digits = load_digits()
    training, test = _split(digits.data, digits.target, TEST_SHARE)
    return _split(training.pixels, training.labels, 0.25) if validation else (training, test)


def _split(pixels: Any, labels: Any, share: float) -> tuple[Images, Images]:
    from sklearn.model_selection import train_test_split

    parts = train_test_split(pixels, labels, test_size=share, random_state=SPLIT_SEED)
    return Images(parts[0], parts[2]), Images(parts[1], parts[3])


def volleys(pixels: Real) -> npt.NDArray[np.bool_]:
    r"""Spikes of images, (samples, IMAGE, 64): where :math:`\lfloor\varphi_i + t r_i\rfloor` rises.

    :math:`r_i` is WHITE / IMAGE of a white pixel, after every image was given the same ink. The
    phases :math:`\varphi_i` spread the spikes over the steps.
    """
    level = pixels / LEVELS
    level = np.minimum(level * (INK_SUM / np.maximum(level.sum(axis=1, keepdims=True), 1.0)), 1.0)
    rate = level[:, None, :] * (WHITE / IMAGE)
    phase = np.arange(pixels.shape[1]) * ((np.sqrt(5.0) - 1.0) / 2.0) % 1.0
    step = np.arange(IMAGE + 1)[None, :, None]
    return np.diff(np.floor(phase + step * rate), axis=1) > 0


def stream(pixels: Real, apart: bool = False) -> Stimulus:
    """Images one after the other in one sample, or each ``apart`` in a sample of its own."""
    image, step, line = np.nonzero(volleys(pixels))
    count = len(pixels)
    # Of the clock's lines the first lifts; the others end the presentation together.
    lift = [(t, 0) for t in range(IMAGE, IMAGE + LIFTING)]
    clock = np.array([*lift, *((STEPS - 1, k) for k in range(1, REST_LINES + 1))])
    every = np.repeat(np.arange(count), len(clock))
    ticks, lines = np.tile(clock[:, 0], count), np.tile(clock[:, 1], count)

    def events(size: int, at: Ints, steps: Ints, index: Ints) -> Events:
        if apart:
            return Events.from_events(count, STEPS, size, at, steps, index)
        return Events.from_events(1, count * STEPS, size, 0 * at, at * STEPS + steps, index)

    return Stimulus(
        {
            "pixels": events(pixels.shape[1], image, step, line),
            "clock": events(REST_LINES + 1, every, ticks, lines),
        }
    )


def build_learner(
    seed: int = 0, rounding: Rounding = Rounding.STOCHASTIC, learning: bool = True
) -> Graph:
    """64 pixels -> competing cells: everything whole numbers, one plastic projection."""
    numerics = Numerics(Format(8), Format(16), acc_bits=16)
    zero = np.asarray(0)
    cell = IntegerNeuron(
        numerics,
        source_model="IF",
        scale=1.0,
        shift=0,
        decay_v=np.asarray(1 << numerics.decay_bits),
        threshold=np.asarray(THRESHOLD),
        bias=zero,
        v_min=zero,
        v_reset=zero,
        reset="zero",
        adapt_inc=np.asarray(RISE),
        adapt_shift=FORGET_SHIFT,
        adapt_period=FORGET,
    )
    rule = TraceSTDP(
        pre=Trace(TRACE, Accumulation.ADD, TraceDecay.COUNT),
        post=Trace(0),
        on_post=Update(1, GAIN, GAIN_SHIFT, offset=-1),
        rounding=rounding,
        streams=STREAMS,
        seed=seed + 1,
    )
    pixels = SIDE * SIDE
    weight = np.random.default_rng(seed).integers(FIRST[0], FIRST[1] + 1, (CELLS, pixels))
    clock = np.full((CELLS, REST_LINES + 1), -INHIBITION)
    clock[:, 0] = LIFT
    lateral = -INHIBITION * (1 - np.eye(CELLS, dtype=np.int64))
    return Graph(
        name="stdp_digits",
        dt=1e-3,
        inputs=(Input("pixels", (pixels,)), Input("clock", (REST_LINES + 1,))),
        populations=(Population("cells", (CELLS,), cell),),
        projections=(
            Projection(
                "learned",
                "pixels",
                "cells",
                Dense(weight),
                plasticity=Plasticity(rule, 0, HIGHEST, learning=learning),
            ),
            Projection("phases", "clock", "cells", Dense(clock)),
            Projection("rivals", "cells", "cells", Dense(lateral), delay=1, recurrent=True),
        ),
        outputs=(Output("winners", "cells"),),
    )


def build_classifier(learned: Graph, offsets: Ints, votes: Ints) -> Graph:
    """What was learned, frozen: h becomes part of each threshold, and every spike casts votes.

    ``votes`` (10, cells) are the weights of ten integrators, whose membranes are the output.
    """
    (cells,) = learned.populations
    neuron = cells.neuron
    assert isinstance(neuron, IntegerNeuron)
    still = replace(
        neuron, threshold=neuron.threshold + offsets, adapt_inc=None, adapt_shift=0, adapt_period=1
    )
    bits = int(votes.sum(axis=1).max()).bit_length() + 1
    state = neuron.numerics.state
    sums = replace(
        still,
        numerics=replace(neuron.numerics, acc_bits=max(bits, neuron.numerics.acc_bits)),
        threshold=np.asarray(state.high),
        v_min=np.asarray(state.low),
        reset="none",
    )
    plastic, *others = learned.projections
    return learned.with_(
        name="stdp_digits_classifier",
        populations=(replace(cells, neuron=still), Population("votes", (CLASSES,), sums)),
        projections=(
            replace(plastic, plasticity=None),
            *others,
            Projection("votes", "cells", "votes", Dense(votes)),
        ),
        outputs=(Output("digit", "votes"),),
    )


def offsets_after(events: Events) -> Ints:
    """h of each cell at the end of a run of one sample: a function of its spikes alone."""
    h = np.zeros(events.size, np.int64)
    last = 0
    ends = [*range(FORGET - 1, events.steps, FORGET), events.steps - 1]
    for end in ends:
        here = (events.step >= last) & (events.step <= end)
        h += RISE * np.bincount(events.index[here], minlength=events.size)
        if (end + 1) % FORGET == 0:
            h -= -(-h >> FORGET_SHIFT)
        last = end + 1
    return h


def wins(events: Events, images: int) -> Ints:
    """Spikes of each cell in each presentation of a stream, (images, cells)."""
    counts = np.zeros((images, events.size), np.int64)
    np.add.at(counts, (events.step // STEPS, events.index), events.value)
    return counts


def responses(counts: Ints, labels: Ints) -> Real:
    """Mean spikes of each cell for an image of each class, (10, cells)."""
    of_class = np.eye(CLASSES)[labels].T
    return np.asarray(of_class @ counts / np.maximum(of_class.sum(axis=1, keepdims=True), 1))


def names(response: Real) -> Ints:
    """The class that each cell responds to most; -1 where it never responds."""
    found: Ints = np.where(response.any(axis=0), response.argmax(axis=0), -1)
    return found


def shares(response: Real) -> Ints:
    """Votes of each cell, in proportion to its responses: VOTE for all of them together."""
    share = np.rint(VOTE * response / np.maximum(response.sum(axis=0), 1e-9))
    return np.asarray(share, np.int64)


def named_right(counts: Ints, name: Ints, labels: Ints) -> float:
    """Share of images whose class is the name of the cells that spike most; silent ones are wrong.

    Each spike is one vote for the name of its cell.
    """
    ballots = np.stack([counts[:, name == c].sum(axis=1) for c in range(CLASSES)], axis=1)
    said = np.where(ballots.sum(axis=1) > 0, ballots.argmax(axis=1), -1)
    return float(np.mean(said == labels))


def learning_curve(counts: Ints, labels: Ints) -> list[float]:
    """Share of images named right, block by block, with the names of the block before."""
    found = []
    for start in range(BLOCK, len(labels) - BLOCK + 1, BLOCK):
        before, now = slice(start - BLOCK, start), slice(start, start + BLOCK)
        name = names(responses(counts[before], labels[before]))
        found.append(named_right(counts[now], name, labels[now]))
    return found


def k_means(training: Images, test: Images, seed: int) -> float:
    """As many prototypes by k-means, each named after most of its images."""
    from sklearn.cluster import KMeans

    found = KMeans(CELLS, n_init=1, random_state=seed).fit(training.pixels)
    own = np.eye(CELLS, dtype=np.int64)
    name = names(responses(own[found.labels_], training.labels))
    return named_right(own[found.predict(test.pixels)], name, test.labels)


@dataclass(frozen=True)
class Learned:
    """One network after learning: shares of held-out images right, and what they rest on."""

    learner: Graph
    classifier: Graph
    weights: Ints
    name: Ints
    curve: list[float]
    spikes: float
    named: float
    voted: float


@dataclass(frozen=True)
class Place:
    """Where networks run: the target that they are compiled for, and the rung that learns."""

    target: str = "null"
    rung: str = "integer"

    def compiled(self, graph: Graph) -> Artifact:
        """The artefact of an integer network, without a bitstream."""
        backend, target = find_target(self.target)
        options = Quantise(weight_bits=8, state_bits=16, input_max=1)
        return compile_graph(graph, backend, target, options, {"bitstream": False}).artifact()


def on_board(learner: Graph, images: Images, board: str, progress: Progress) -> dict[str, Any]:
    """What the core of a board makes of the first images, word by word beside the integers.

    Spikes, membranes and thresholds of every step, and all weights after the last.
    """
    artifact = Place(board).compiled(learner)
    shown = stream(images.pixels[:ON_BOARD])
    record = [("cells", "v"), ("cells", "h")]
    rungs = [
        run_rung(artifact, rung, shown, populations=["cells"], record=record, progress=progress)
        for rung in ("integer", "rtl")
    ]
    found = compare(*(run.recording for run in rungs), graph=learner)
    weights = rungs[1].recording.weights["learned"][-1]
    before = learner.projections[0].connection.weight  # type: ignore[attr-defined]
    return {
        "target": board,
        "images": len(images.labels[:ON_BOARD]),
        "equal": found.equal,
        "spikes": int(rungs[1].recording.spikes["cells"].value.sum()),
        "words": found.state_words,
        "changed": int((weights != before).sum()),
        "summary": found.describe(),
    }


def learn(
    learner: Graph,
    training: Images,
    test: Images,
    order: Ints,
    place: Place,
    progress: Progress,
) -> Learned:
    """Present the images of ``order`` once each, freeze what came of it, name the cells, test.

    Labels are read only after learning, to name the cells, and to count what is right.
    """
    plastic, *others = learner.projections
    shown = stream(training.pixels[order])
    run = run_rung(place.compiled(learner), place.rung, shown, progress=progress).recording
    counts, weights = wins(run.spikes["cells"], len(order)), run.weights["learned"][-1]
    learned = learner.with_(
        projections=(replace(plastic, connection=Dense(weights)), *others),
    )
    offsets = settled(learned, training, place)

    def tested(images: Images, votes: Ints) -> tuple[Graph, Recording]:
        classifier = build_classifier(learned, offsets, votes)
        return classifier, run_rung(
            Place().compiled(classifier),
            "integer",
            stream(images.pixels, apart=True),
            populations=["cells", "votes"],
        ).recording

    _, seen = tested(training, np.zeros((CLASSES, CELLS), np.int64))
    response = responses(seen.spikes["cells"].counts(), training.labels)
    classifier, held_out = tested(test, shares(response))
    right, total = accuracy(held_out, "votes", test.labels)
    return Learned(
        learned,
        classifier,
        weights,
        names(response),
        learning_curve(counts, training.labels[order]),
        float(counts.sum(axis=1).mean()),
        named_right(held_out.spikes["cells"].counts(), names(response), test.labels),
        right / total,
    )


def settled(learned: Graph, training: Images, place: Place) -> Ints:
    """The offsets h that give each cell its share once its weights no longer change."""
    plastic, *others = learned.projections
    assert plastic.plasticity is not None
    still = replace(plastic, plasticity=replace(plastic.plasticity, learning=False))
    artifact = place.compiled(learned.with_(projections=(still, *others)))
    run = run_rung(artifact, place.rung, stream(training.pixels)).recording
    return offsets_after(run.spikes["cells"])


def fields_plot(learned: Learned) -> bytes:
    """The weights of every cell as a picture, sorted by name."""
    from matplotlib.figure import Figure

    columns = 16
    rows = -(-CELLS // columns)
    order = np.argsort(learned.name, kind="stable")
    with style("fields"):
        figure = Figure(figsize=(10.0, 0.6 + rows * 0.68))
        axes = figure.subplots(rows, columns, squeeze=False)
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.02, top=0.86, hspace=0.4)
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, cell in zip(axes.flat, order, strict=False):
            field = learned.weights[cell].reshape(SIDE, SIDE)
            axis.imshow(field, cmap="Greys", vmin=0, vmax=HIGHEST, interpolation="nearest")
            name = int(learned.name[cell])
            axis.set_title("-" if name < 0 else str(name), loc="center", pad=2.0, color=WINNER)
        title = f"Weights of the {CELLS} cells, 0 (white) to {HIGHEST} (black), and their names"
        figure.suptitle(title, x=0.01, y=0.98, ha="left", fontsize=10.5)
        return to_bytes(figure, "fields", "svg")


def curve_plot(curves: dict[str, list[list[float]]], reference: float) -> bytes:
    """Images named right while learning, in percent: mean over seeds, and the range."""
    from matplotlib.figure import Figure

    with style("curve"):
        figure = Figure(figsize=(10.0, 3.4))
        axis = figure.add_axes((0.07, 0.16, 0.75, 0.72))
        axis.axhline(100 * reference, color=MUTED, linestyle="--", linewidth=1.0)
        axis.annotate(
            f"k-means, {CELLS} prototypes",
            (1.01, 100 * reference),
            xycoords=("axes fraction", "data"),
            va="center",
            color=MUTED,
        )
        for (label, runs), colour in zip(curves.items(), PHASES, strict=False):
            table = 100 * np.array(runs)
            images = BLOCK * (1.5 + np.arange(table.shape[1]))
            axis.fill_between(
                images, table.min(axis=0), table.max(axis=0), color=colour, alpha=0.2, lw=0
            )
            mean = table.mean(axis=0)
            axis.plot(images, mean, color=colour, label=label)
        axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(curves))
        axis.set_ylim(0, 100)
        axis.set_xlim(0, None)
        axis.set_xlabel("images presented")
        axis.set_ylabel("named right (%)", color=INK)
        axis.grid(axis="y")
        return to_bytes(figure, "curve", "svg")


def main(arguments: list[str] | None = None) -> int:
    """Learn with several seeds and roundings, say what came out, write the first network."""
    options = _parser().parse_args(arguments)
    try:
        return _learn_all(options, Report(options.json))
    except SpikecError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _learn_all(options: argparse.Namespace, report: Report) -> int:
    need("matplotlib", "plot", "the example stdp_digits")
    for name in (options.target, options.board):
        if name is not None:
            find_target(name)
    make_folder(options.output)
    training, test = load_images(options.validate)
    training = Images(training.pixels[: options.images], training.labels[: options.images])
    place = Place(options.target, options.on)
    kinds: dict[str, tuple[Rounding, bool]] = {r.value: (r, True) for r in options.roundings}
    kinds["not learning"] = options.roundings[0], False
    found: dict[str, list[Learned]] = {kind: [] for kind in kinds}
    means = []
    with report.progress() as progress:
        for seed in range(options.seeds):
            generator = np.random.default_rng(seed)
            passes = [generator.permutation(len(training.labels)) for _ in range(options.epochs)]
            order = np.concatenate(passes)
            for k, (kind, (rounding, learning)) in enumerate(kinds.items()):

                def watch(stage: str, share: float, seed: int = seed, k: int = k) -> None:
                    progress(f"seed {seed}", (k + share) / len(kinds))

                learner = build_learner(seed, rounding, learning)
                found[kind].append(learn(learner, training, test, order, place, watch))
            means.append(k_means(training, test, seed))
        learner = build_learner(0, options.roundings[0])
        board = None
        if options.board is not None:
            board = on_board(learner, training, options.board, progress)
    results = {
        "cells": CELLS,
        "steps": STEPS,
        "presentations": len(order),
        "training_images": len(training.labels),
        "held_out_images": len(test.labels),
        "validation": options.validate,
        "on": options.on,
        "target": options.target,
        "board": board,
        "k_means": means,
        "networks": {
            kind: {
                "named": [n.named for n in networks],
                "voted": [n.voted for n in networks],
                "spikes_per_presentation": [n.spikes for n in networks],
                "curve": [n.curve for n in networks],
            }
            for kind, networks in found.items()
        },
    }
    _write(options.output, found, means, test, results)
    _tell(report, results, options.output)
    report.data(results)
    return 1 if board is not None and not board["equal"] else 0


def _write(
    folder: Path,
    found: dict[str, list[Learned]],
    means: list[float],
    test: Images,
    results: dict[str, Any],
) -> None:
    first = next(iter(found.values()))[0]
    held_out = LabelledStimulus(stream(test.pixels, apart=True), test.labels)
    curves = {kind: [n.curve for n in networks] for kind, networks in found.items()}
    write_file(folder / "fields.svg", fields_plot(first))
    write_file(folder / "curve.svg", curve_plot(curves, float(np.mean(means))))
    write_file(folder / "learned.spk", text(first.learner).encode())
    write_file(folder / "classifier.spk", text(first.classifier).encode())
    write_file(folder / "test.npz", stimulus_bytes(held_out))
    write_file(folder / "results.json", (json.dumps(results, indent=1) + "\n").encode())
    Place().compiled(first.classifier).write(folder / "classifier")


def _tell(report: Report, results: dict[str, Any], folder: Path) -> None:
    rows = [
        (
            kind,
            _spread(n["named"]),
            _spread(n["voted"]),
            f"{np.mean(n['spikes_per_presentation']):.2f}",
        )
        for kind, n in results["networks"].items()
    ]
    rows.append((f"k-means, {CELLS} prototypes", _spread(results["k_means"]), "", ""))
    report.line(
        f"{results['held_out_images']} held-out images after {results['presentations']} "
        f"presentations, right in percent: mean of {len(results['k_means'])} seeds (lowest to "
        "highest)"
    )
    report.table("", ("rounding", "named", "voted", "spikes an image"), rows)
    board = results["board"]
    if board is not None:
        report.line(
            f"learning on {board['target']}, simulated, {board['images']} images: "
            + (
                f"every spike ({board['spikes']}), state word and learned weight "
                f"({board['words']:,}) is the integers'; {board['changed']:,} weights changed"
                if board["equal"]
                else f"DIFFERS. {board['summary']}"
            )
        )
    report.line(f"wrote {folder}: fields.svg, curve.svg, learned.spk, classifier.spk, classifier/,")
    report.line("test.npz, results.json")


def _spread(shares: list[float]) -> str:
    low, high = 100 * min(shares), 100 * max(shares)
    return f"{100 * np.mean(shares):.1f} ({low:.1f} to {high:.1f})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Digits learned without labels, by STDP.")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/stdp_digits"))
    parser.add_argument("--target", default="null", help="what the learner is compiled for")
    parser.add_argument("--on", default="integer", help="the rung that learns")
    parser.add_argument(
        "--board",
        help=f"compare what this board's core learns from {ON_BOARD} images, in simulation",
    )
    parser.add_argument("--seeds", type=_positive, default=3)
    parser.add_argument("--epochs", type=_positive, default=EPOCHS)
    parser.add_argument("--images", type=_positive, help="learn from the first so many")
    parser.add_argument(
        "--roundings",
        type=_roundings,
        default=ROUNDINGS,
        help=f"comma-separated; the first is written (default {','.join(ROUNDINGS)})",
    )
    parser.add_argument(
        "--validate", action="store_true", help="test on a quarter of the images to learn from"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _positive(word: str) -> int:
    value = int(word)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a positive number")
    return value


def _roundings(words: str) -> tuple[Rounding, ...]:
    try:
        return tuple(Rounding(word.strip()) for word in words.split(","))
    except ValueError as error:
        known = ", ".join(Rounding)
        raise argparse.ArgumentTypeError(f"{error}; there are {known}") from None


if __name__ == "__main__":
    sys.exit(main())
