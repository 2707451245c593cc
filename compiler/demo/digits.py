"""Handwritten digits: scikit-learn's data and MLP, converted to spikes.

The MLP's ReLUs become integrate-and-fire neurons whose rates are the activations (Diehl et al.,
IJCNN 2015: data-based weight normalisation): with the 99.9th percentiles :math:`\\lambda_l` of
the activations of layer l over the training set,

.. math:: W_l \\leftarrow W_l \\lambda_{l-1} / \\lambda_l,
    \\qquad b_l \\leftarrow b_l / \\lambda_l .

A pixel of intensity p (0 to 16) spikes p times in every 16 steps, evenly spread.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ir.connections import Dense
from ...ir.dialects import DIALECTS
from ...ir.events import Events, Stimulus
from ...ir.graph import Graph, Input, Output, Population, Projection
from ...ir.neurons import IF
from ..backend import need
from ..stimulus import LabelledStimulus

HIDDEN = 96
STEPS = 32
LEVELS = 16
TEST_SHARE = 0.33
SPLIT_SEED = 42
_PERCENTILE = 99.9
# Chosen by 4-fold cross-validation on the training set alone (97.8 %).
_ALPHA, _ITERATIONS, _BATCH = 0.01, 100, 100

Real = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Digits:
    """A trained network with its data: accuracy of the float MLP as (right, total)."""

    graph: Graph
    test: LabelledStimulus
    training: LabelledStimulus
    float_correct: tuple[int, int]


def train_digits(seed: int = 0) -> Digits:
    """Train on two thirds of the data and convert; a few seconds, the same result each time."""
    need("sklearn", "demo", "the digits demo")
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier

    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images, labels, test_size=TEST_SHARE, random_state=SPLIT_SEED)
    train, test, train_labels, test_labels = split
    mlp = MLPClassifier(
        (HIDDEN,), alpha=_ALPHA, max_iter=_ITERATIONS, batch_size=_BATCH, random_state=seed
    )
    with warnings.catch_warnings():
        # The number of iterations is the choice here, not a tolerance.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp.fit(*_shifted(train / LEVELS, train_labels))
    right = int((mlp.predict(test / LEVELS) == test_labels).sum())
    return Digits(
        graph=_convert(mlp, train / LEVELS),
        test=LabelledStimulus(encode(test), test_labels.astype(np.int64)),
        training=LabelledStimulus(encode(train), train_labels.astype(np.int64)),
        float_correct=(right, len(test_labels)),
    )


def encode(images: Real, steps: int = STEPS) -> Stimulus:
    r"""Pixels p of 0..16 to spikes: one in step t when :math:`\lfloor tp/16+1/2\rfloor` rises.

    Shapes: (samples, 64) to (samples, steps, 64).
    """
    level = np.rint(images)[:, None, :]
    step = np.arange(steps)[None, :, None]
    before = np.floor(step * level / LEVELS + 0.5)
    after = np.floor((step + 1) * level / LEVELS + 0.5)
    return Stimulus({"input": Events.from_dense((after > before).astype(np.int64))})


def _shifted(images: Real, labels: npt.NDArray[Any]) -> tuple[Real, npt.NDArray[Any]]:
    """Every image, and the four that are one pixel beside it."""
    square = np.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    moves = ((1, 1), (1, 0), (1, 2), (0, 1), (2, 1))
    views = [square[:, y : y + 8, x : x + 8].reshape(-1, 64) for y, x in moves]
    return np.concatenate(views), np.tile(labels, len(views))


def _convert(mlp: Any, train: Real) -> Graph:
    weights = [w.T for w in mlp.coefs_]
    activity, scale = train, 1.0
    semantics = DIALECTS["snntorch"].semantics
    populations, projections = [], []
    names = ["input", "hidden", "output"]
    for k, (w, b) in enumerate(zip(weights, mlp.intercepts_, strict=True)):
        activity = np.maximum(activity @ w.T + b, 0.0)
        top = float(np.percentile(activity, _PERCENTILE))
        neuron = IF(r=np.asarray(1.0), v_threshold=np.asarray(1.0), v_reset=np.asarray(0.0))
        populations.append(Population(names[k + 1], (w.shape[0],), neuron, semantics))
        projections.append(
            Projection(f"fc{k + 1}", names[k], names[k + 1], Dense(w * (scale / top)), bias=b / top)
        )
        scale = top
    return Graph(
        name="digits",
        dt=1e-3,
        inputs=(Input("input", (64,)),),
        populations=tuple(populations),
        projections=tuple(projections),
        outputs=(Output("label", "output"),),
        dialect="snntorch",
    )
