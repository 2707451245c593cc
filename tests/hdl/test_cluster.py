"""Several cores against a reference for each that hands its spikes to the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.hdl.cluster_cycles import cluster_step_cycles
from spikec.hdl.cluster_image import ClusterImage, device_contents
from spikec.hdl.cluster_shape import ClusterShape
from spikec.hdl.image import CoreImage, ImageError
from spikec.hdl.shape import CoreShape, ShapeError

from .clusters import ClusterReference, random_cluster, random_cluster_image, run_cluster


def check_cluster(seed: int, number: int, steps: int = 6) -> int:
    """Run a random cluster; spikes that went from core to core."""
    rng = np.random.default_rng(seed)
    shape = random_cluster(rng, number)
    image = random_cluster_image(shape, rng)
    events = [
        [int(s) for s in rng.integers(0, shape.inputs, rng.integers(0, 7))] for _ in range(steps)
    ]
    pause = int(rng.choice([0, 0, 3, 40]))
    ahead = bool(seed % 2)
    found = run_cluster(
        image,
        events,
        ahead=ahead,
        gap=(lambda: int(rng.integers(0, pause + 1))) if pause else lambda: 0,
    )
    reference = ClusterReference(image)
    rows = [core.words for core in reference.cores]
    sent = 0
    state = [[(0, 0)] * core.neurons for core in shape.cores]
    for number_of_step, (record, sources) in enumerate(zip(found, events, strict=True)):
        for source in sources:
            reference.event(source)
        traces, spikes, fired = reference.tick()
        committed = [
            sorted({line.index // core.lanes for line in record.trace[k]})
            for k, core in enumerate(shape.cores)
        ]
        expected = cluster_step_cycles(
            shape, image.routes.tolist(), rows, committed, fired, sources
        )
        if not ahead:
            assert record.cycles == expected, f"step {number_of_step}"
        assert record.step == number_of_step
        assert record.spikes == spikes
        for k, trace in enumerate(traces):
            for line in record.trace[k]:
                state[k][line.index] = (line.v, line.u)
            assert [line.index for line in record.trace[k] if line.spike] == fired[k]
            wrong = [line for line in trace if state[k][line.index] != (line.v, line.u)]
            assert not wrong, f"core {k}, step {number_of_step}: {wrong[0]}"
            first = shape.inputs + shape.bases[k]
            sent += sum(int(image.routes[first + n]).bit_count() for n in fired[k])
    return sent


@pytest.mark.parametrize(("seed", "number"), [(0, 2), (0, 3), (3, 4)])
def test_random_clusters(seed: int, number: int) -> None:
    """Odd seeds bring the events of a step while the one before commits."""
    assert check_cluster(seed, number) > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 50))
def test_many_random_clusters(seed: int) -> None:
    check_cluster(seed, 2 + seed % 4)


def core(**changes: Any) -> CoreShape:
    fields: dict[str, Any] = {
        "lanes": 2,
        "weight_bits": 4,
        "acc_bits": 8,
        "state_bits": 8,
        "neurons": 4,
        "inputs": 7,
        "words": 8,
    }
    return CoreShape(**fields | changes)


@pytest.mark.parametrize(
    ("cores", "message"),
    [
        ([core()], r"a cluster has 2\.\.8 cores, not 1"),
        ([core(inputs=35)] * 9, r"a cluster has 2\.\.8 cores, not 9"),
        ([core(), core(state_bits=9)], r"share state_bits, not \[8, 9\]"),
        ([core(), core(units=2)], r"share units, not \[1, 2\]"),
        ([core(), core(step_bits=4)], r"share step_bits, not \[16, 4\]"),
        ([core(), core(inputs=8)], "core 1 needs 7 input lines, not 8"),
        ([core(), core(weight_storage="huge")], "core 1 of a cluster keeps its weights in block"),
    ],
)
def test_cores_that_do_not_go_together_are_refused(cores: list[CoreShape], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        ClusterShape(3, tuple(cores))


def test_more_neurons_than_a_spike_can_name_are_refused() -> None:
    half = 1 << 15
    cores = [core(lanes=1, neurons=half + k, inputs=3 + half + 1 - k) for k in range(2)]
    with pytest.raises(ShapeError, match="at most 65536 neurons, not 3 and 65537"):
        ClusterShape(3, tuple(cores))


def test_a_route_back_or_nowhere_is_refused() -> None:
    shape = ClusterShape(3, (core(), core()))
    image = ClusterImage.empty(shape)
    for source, cores, message in (
        (4, 0b01, "neuron 1 of core 0 goes to its own core"),
        (7, 0b10, "neuron 0 of core 1 goes to its own core"),
        (0, 0b100, "source 0 goes to cores 0b100"),
    ):
        routes = np.zeros(shape.sources, np.int64)
        routes[source] = cores
        with pytest.raises(ImageError, match=message):
            replace(image, routes=routes)
    with pytest.raises(ImageError, match=r"routes must have shape \(11,\)"):
        replace(image, routes=np.zeros(4, np.int64))
    with pytest.raises(ImageError, match="made for other cores"):
        replace(image, images=image.images[:1])
    with pytest.raises(ImageError, match="a digest has 8 bytes, not 2"):
        device_contents(shape, image, b"ab")


def test_every_source_but_its_own_has_a_line_of_each_core() -> None:
    shape = ClusterShape(3, (core(inputs=13), core(inputs=11, neurons=6), core(inputs=13)))
    for k, base in enumerate(shape.bases):
        own = range(shape.inputs + base, shape.inputs + base + shape.cores[k].neurons)
        lines = [shape.line(k, s) for s in range(shape.sources) if s not in own]
        assert lines == list(range(shape.cores[k].inputs))


def test_images_that_differ_anywhere_have_other_digests() -> None:
    shape = ClusterShape(3, (core(), core()))
    image = ClusterImage.empty(shape)
    routes = np.zeros(shape.sources, np.int64)
    routes[0] = 1
    weights = CoreImage.padded(shape.cores[1], weights=[[1, 0]])
    others = [replace(image, routes=routes), replace(image, images=(image.images[0], weights))]
    assert len({image.digest, *(other.digest for other in others)}) == 3
    assert image.digest == ClusterImage.empty(shape).digest
