r"""Digits, learnt in one pass by symmetric STDP and a teacher of the output layer.

After Hao, Huang, Dong and Xu, Neural Networks 121, 2020, in small: scikit-learn's digits of 8 x 8
pixels, 100 cells. What learns is

* pixels -> cells: both orders of spikes potentiate, :math:`w \leftarrow w + A x` at a spike of a
  cell and :math:`w + A y` at one of a pixel; after each image the weights into a cell are scaled
  to their sum. Nothing else depresses;
* the threshold offset h of each cell: it rises at a spike and stays, so that all get their share;
* cells -> classes: the same rule, while a teacher makes the class of the image spike.

A presentation is the image, then a line that lifts all cells until those that match it best reach
their thresholds. A cell that spikes pushes the others down. When nothing learns any more there is
no teacher, and the answer is the class that the cells drive most. Each image is a sample: weights
and h last, all else is cleared.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spikec.backends.reference.golden import run_golden
from spikec.compiler.backend import need
from spikec.compiler.cli.console import Report
from spikec.compiler.demo.digits import LEVELS, SPLIT_SEED, TEST_SHARE
from spikec.compiler.files import write_file
from spikec.compiler.report.style import WINNER, style, to_bytes
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.homeostasis import AdaptiveThreshold, Norm, Occasion, Scaling
from spikec.ir.neurons import IF, LIF
from spikec.ir.plasticity import PairSTDP, Plasticity
from spikec.ir.semantics import Comparison, Reset, Semantics

PIXELS, CELLS, CLASSES = 64, 100, 10
VALIDATION = 0.1  # of the images to learn from
DT = 0.5e-3
IMAGE, LIFTING = 20, 80  # steps of a presentation
WHITE = 5  # spikes of a white pixel
INK_SUM = 21.0  # white pixels that every image amounts to
LIFT = 0.3  # of v, in a step
TAU = 10.0  # s, of a membrane: it hardly leaks while an image lasts
THRESHOLD, RISE = 14.0, 0.3
INHIBITION = 13.0
TRACE = 100e-3  # s, of the traces of both rules
INTO_CELLS, INTO_CLASSES = 6.4, 10.0  # sums of weights
RATE, CLASS_RATE = 0.006, 0.0015
TEACHING = 3  # steps from one spike of the teacher to the next

Ints = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Images:
    """Images (samples, 64) of 0 to 16, and their digits."""

    pixels: Real
    labels: Ints


def load_images(validation: bool = False) -> tuple[Images, Images]:
    """To learn from and to test on: the split of ``spikec demo``.

    With ``validation`` the images to learn from alone are split: choices are made on these.
    """
    need("sklearn", "demo", "the example symmetric_stdp")
    from sklearn.datasets import load_digits

    digits = load_digits()
    learning, test = _split(digits.data, digits.target, TEST_SHARE)
    return _split(learning.pixels, learning.labels, VALIDATION) if validation else (learning, test)


def _split(pixels: Real, labels: Ints, share: float) -> tuple[Images, Images]:
    from sklearn.model_selection import train_test_split

    parts = train_test_split(pixels, labels, test_size=share, random_state=SPLIT_SEED)
    return Images(parts[0], parts[2]), Images(parts[1], parts[3])


def symmetric(rate: float, target: float) -> Plasticity:
    """Both orders potentiate; the sum of the weights into a neuron is ``target``."""
    rule = PairSTDP(rate, -rate, TRACE, TRACE)
    return Plasticity(rule, 0.0, target, scaling=Scaling(target, Occasion.SAMPLE, Norm.SUM))


def network(seed: int = 0) -> Graph:
    """64 pixels -> 100 cells that compete -> 10 classes."""
    weight = np.random.default_rng(seed).random((CELLS, PIXELS))
    weight *= INTO_CELLS / weight.sum(axis=1, keepdims=True)
    zero = np.zeros(())
    cell = LIF(np.asarray(TAU), np.asarray(TAU / DT), zero, np.asarray(THRESHOLD))
    # No cell makes a class spike: the teacher does, each time to its threshold.
    output = IF(np.asarray(1.0), np.asarray(INTO_CLASSES))
    told = INTO_CLASSES * (2.0 * np.eye(CLASSES) - 1.0)
    floor = -INTO_CLASSES
    return Graph(
        "symmetric_stdp",
        DT,
        (Input("pixels", (PIXELS,)), Input("lift", (1,)), Input("teacher", (CLASSES,))),
        (
            Population(
                "cells",
                (CELLS,),
                cell,
                Semantics(v_min=0.0),
                adaptive=AdaptiveThreshold(np.asarray(RISE), persistent=True),
            ),
            Population(
                "classes",
                (CLASSES,),
                output,
                Semantics(reset=Reset.SUBTRACT, comparison=Comparison.GREATER_EQUAL, v_min=floor),
            ),
        ),
        (
            Projection(
                "seen", "pixels", "cells", Dense(weight), plasticity=symmetric(RATE, INTO_CELLS)
            ),
            Projection("lifted", "lift", "cells", Dense(np.full((CELLS, 1), LIFT))),
            Projection(
                "rivals",
                "cells",
                "cells",
                Dense(-INHIBITION * (1.0 - np.eye(CELLS))),
                1,
                recurrent=True,
            ),
            Projection(
                "named",
                "cells",
                "classes",
                Dense(np.full((CLASSES, CELLS), INTO_CLASSES / CELLS)),
                1,
                plasticity=symmetric(CLASS_RATE, INTO_CLASSES),
            ),
            Projection("taught", "teacher", "classes", Dense(told)),
        ),
        (Output("winners", "cells"), Output("answers", "classes")),
    )


def volleys(pixels: Real) -> npt.NDArray[np.bool_]:
    r"""Spikes of images, (samples, IMAGE, 64): where :math:`\lfloor\varphi_i + t r_i\rfloor` rises.

    :math:`r_i` is WHITE / IMAGE of a white pixel, after every image was given the same ink. The
    phases :math:`\varphi_i` spread the spikes over the steps.
    """
    level = pixels / LEVELS
    level = np.minimum(level * (INK_SUM / np.maximum(level.sum(axis=1, keepdims=True), 1.0)), 1.0)
    phase = np.arange(PIXELS) * ((np.sqrt(5.0) - 1.0) / 2.0) % 1.0
    step = np.arange(IMAGE + 1)[None, :, None]
    risen = np.floor(phase + step * (level[:, None, :] * (WHITE / IMAGE)))
    return np.asarray(np.diff(risen, axis=1) > 0)


def script(learning: Images, test: Images) -> tuple[Stimulus, list[bool]]:
    """A sample for each image, those to learn from with their teacher; and which learn."""
    first, count = len(learning.labels), len(learning.labels) + len(test.labels)
    steps = IMAGE + LIFTING
    sample, step, pixel = np.nonzero(volleys(np.concatenate([learning.pixels, test.pixels])))
    lifts = np.repeat(np.arange(count), LIFTING), np.tile(np.arange(IMAGE, steps), count)
    beats = np.arange(0, steps, TEACHING)
    taught = np.repeat(np.arange(first), len(beats)), np.tile(beats, first)
    return Stimulus(
        {
            "pixels": Events.from_events(count, steps, PIXELS, sample, step, pixel),
            "lift": Events.from_events(count, steps, 1, *lifts, 0 * lifts[0]),
            "teacher": Events.from_events(
                count, steps, CLASSES, *taught, np.repeat(learning.labels, len(beats))
            ),
        }
    ), [True] * first + [False] * (count - first)


@dataclass(frozen=True)
class Learned:
    """What came of one pass: weights after it, share of test images right, and how it was."""

    seen: Real
    named: Real
    accuracy: float
    off_target: float  # the largest relative distance of any sum of weights, after any image
    spikes: float  # of cells, for a test image
    silent: int  # test images at which no cell spiked
    h: Real


def learn(
    learning: Images, test: Images, seed: int, progress: Callable[[float], None] | None = None
) -> Learned:
    """One pass over the images in random order, then the test, in one run of the golden rung."""
    order = np.random.default_rng(seed).permutation(len(learning.labels))
    shown = Images(learning.pixels[order], learning.labels[order])
    stimulus, phases = script(shown, test)
    recording = run_golden(
        network(seed),
        stimulus,
        learning=phases,
        record=[("classes", "v"), ("cells", "h")],
        record_weights="samples",
        progress=progress,
    )
    count = len(order)
    right = answers(recording)[count:] == test.labels
    seen, named = (recording.weights[name] for name in ("seen", "named"))
    # What does not learn any more is not scaled, either; weights stay those of the last image.
    far = [
        float(np.abs(w.sum(axis=2) / target - 1.0).max())
        for w, target in ((seen, INTO_CELLS), (named, INTO_CLASSES))
    ]
    spikes = recording.spikes["cells"].counts()[count:].sum(axis=1)
    return Learned(
        seen[-1],
        named[-1],
        float(np.mean(right)),
        max(far),
        float(np.mean(spikes)),
        int(np.sum(spikes == 0)),
        recording.states["cells", "h"][-1, -1],
    )


def answers(recording: Recording) -> Ints:
    """The class that took most: what its spikes have taken off its membrane, and what is left."""
    spikes = recording.spikes["classes"].counts()
    taken = spikes * INTO_CLASSES + recording.states["classes", "v"][:, -1]
    return np.asarray(taken.argmax(axis=1), np.int64)


def fields_plot(learned: Learned) -> bytes:
    """The weights of every cell as a picture, sorted by the class that it drives most."""
    from matplotlib.figure import Figure

    name = learned.named.argmax(axis=0)
    with style("fields"):
        figure = Figure(figsize=(7.0, 8.4))
        axes = figure.subplots(10, 10)
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.92, hspace=0.4)
        for axis, cell in zip(axes.flat, np.argsort(name, kind="stable"), strict=True):
            axis.set_axis_off()
            axis.imshow(learned.seen[cell].reshape(8, 8), cmap="Greys", vmin=0.0)
            axis.set_title(str(name[cell]), loc="center", pad=2.0, color=WINNER)
        title = f"Weights of the {CELLS} cells, and the class that each drives most"
        figure.suptitle(title, x=0.01, y=0.98, ha="left", fontsize=10.5)
        return to_bytes(figure, "fields", "svg")


def main(arguments: list[str] | None = None) -> int:
    """Learn, test, say what came out; 1 where a sum of weights is off its target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=_whole, default=0, help="of the weights and the order")
    parser.add_argument("--images", type=_positive, help="learn from the first so many")
    parser.add_argument("--tests", type=_positive, help="test on the first so many")
    parser.add_argument(
        "--validate", action="store_true", help="test on a tenth of the images to learn from"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="what the cells have learnt")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    report = Report(given.json)
    try:
        learning, test = load_images(given.validate)
        learning = Images(learning.pixels[: given.images], learning.labels[: given.images])
        test = Images(test.pixels[: given.tests], test.labels[: given.tests])
        with report.progress() as progress:
            learned = learn(learning, test, given.seed, lambda share: progress("learning", share))
        if given.plot is not None:
            need("matplotlib", "plot", "--plot")
            write_file(given.plot, fields_plot(learned))
    except SpikecError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    exact = learned.off_target <= CELLS * 2.0**-53
    results = {
        "images": len(learning.labels),
        "tests": len(test.labels),
        "seed": given.seed,
        "accuracy": learned.accuracy,
        "sums_off_target": learned.off_target,
        "sums_exact": exact,
        "spikes_per_test": learned.spikes,
        "silent_tests": learned.silent,
        "h": [float(learned.h.min()), float(learned.h.max())],
    }
    if given.json:
        print(json.dumps(results))
    else:
        print(
            f"{100 * learned.accuracy:.1f} % of {len(test.labels)} held-out images right after one "
            f"pass over {len(learning.labels)}"
        )
        print(
            f"sums of weights: at most {learned.off_target:.2g} off their target, relative, after "
            "any image" + ("" if exact else ": WRONG, more than rounding")
        )
        print(
            f"{learned.spikes:.1f} spikes of cells for a held-out image, none for "
            f"{learned.silent} of them; h from {learned.h.min():g} to {learned.h.max():g}"
        )
    return 0 if exact else 1


def _whole(word: str) -> int:
    value = int(word)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{word} is negative")
    return value


def _positive(word: str) -> int:
    if _whole(word) == 0:
        raise argparse.ArgumentTypeError("0 is none at all")
    return int(word)


if __name__ == "__main__":
    sys.exit(main())
