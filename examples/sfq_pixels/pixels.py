"""Letters of 3 x 3 pixels for superconducting cells: weights by a delta rule, pixels as rates."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spikec.compiler.files import make_folder, write_file
from spikec.compiler.stimulus import LabelledStimulus, stimulus_bytes
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import Threshold
from spikec.ir.text import text

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LETTERS = {
    "L": ("#..", "#..", "###"),
    "T": ("###", ".#.", ".#."),
    "X": ("#.#", ".#.", "#.#"),
}
SEED = 1
DARK, BRIGHT, NOISE = 0.1, 0.9, 0.35  # rates of pixels, and how far a sample's are off, 1 sigma
ROUNDS, BATCH, RATE = 400, 20, 0.06
SAMPLES, STEPS = 200, 32


def letters() -> Floats:
    """Pixels of each letter, (letters, 9) of 0 and 1."""
    rows = ["".join(letter) for letter in LETTERS.values()]
    return np.array([[pixel == "#" for pixel in row] for row in rows], np.float64)


def pictures(labels: Integers, rng: np.random.Generator) -> Floats:
    """Rates of pixels, (samples, 9): each off by noise of its own."""
    clean = DARK + (BRIGHT - DARK) * letters()[labels]
    return np.asarray(np.clip(clean + rng.normal(0, NOISE, clean.shape), 0, 1))


def trained(rng: np.random.Generator) -> tuple[Floats, Floats]:
    r"""Weights (letters, 9) and thresholds (letters,), by the delta rule.

    .. math:: \Delta w_{kj} = \eta\, (t_k - y_k)\, x_j, \quad y_k = \sum_j w_{kj} x_j - \theta_k,

    x the rates of a picture, t 1 of its letter and -1 of the others.
    """
    weight, theta = np.zeros((len(LETTERS), 9)), np.zeros(len(LETTERS))
    for _ in range(ROUNDS):
        labels = rng.integers(0, len(LETTERS), BATCH)
        x = pictures(labels, rng)
        target = np.where(labels[:, None] == np.arange(len(LETTERS)), 1.0, -1.0)
        error = target - (x @ weight.T - theta)
        weight += RATE * error.T @ x / BATCH
        theta -= RATE * error.mean(0)
    return weight, theta


def network(weight: Floats, theta: Floats) -> Graph:
    """A neuron for each letter; the one that fires most is the answer."""
    return Graph(
        "pixels",
        1e-9,
        (Input("in", (9,)),),
        (Population("letters", (len(LETTERS),), Threshold(theta)),),
        (Projection("graded", "in", "letters", Dense(weight)),),
        (Output("answer", "letters"),),
    )


def write(folder: Path, samples: int = SAMPLES) -> None:
    """``pixels.spk``, and ``test.npz``: pictures that were not seen, as pulses by chance."""
    rng = np.random.default_rng(SEED)
    graph = network(*trained(rng))
    labels = rng.integers(0, len(LETTERS), samples)
    rates = pictures(labels, rng)
    pulses = rng.random((samples, STEPS, 9)) < rates[:, None]
    stimulus = Stimulus({"in": Events.from_dense(pulses.astype(np.int64))})
    make_folder(folder)
    write_file(folder / "pixels.spk", text(graph).encode())
    write_file(folder / "test.npz", stimulus_bytes(LabelledStimulus(stimulus, labels)))


def main(arguments: list[str] | None = None) -> int:
    """0; 3 for a folder that cannot be written."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="for pixels.spk and test.npz")
    given = parser.parse_args(arguments)
    try:
        write(given.folder)
    except SpikecError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
