"""Sigma-delta networks made of real ones: frames bit for bit, bounds, words, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.compiler.integer.executor import Executor
from spikec.compiler.report.tables import semantics
from spikec.compiler.sigma_delta import (
    ReluLayer,
    SigmaDeltaNetwork,
    real_network,
    sigma_delta,
)
from spikec.ir.connections import Conv2d, Dense
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Population
from spikec.ir.neurons import LoihiDelta, LoihiSigma, LoihiSigmaDelta
from spikec.ir.text import parse, text
from spikec.ir.verify import verify

Real = npt.NDArray[np.float64]


def drawn(seed: int) -> tuple[list[ReluLayer], Real, Real]:
    """Random layers, frames to calibrate them, and a slow video (steps, ...)."""
    rng = np.random.default_rng(seed)
    side = int(rng.integers(5, 9))
    convolves = bool(rng.random() < 0.7)
    layers: list[ReluLayer] = []
    size = side * side
    if convolves:
        weight = rng.normal(0.05, 0.4, (3, 1, 3, 3))
        conv = Conv2d(weight, (1, side, side), (2, 1), ((1, 1), (1, 0)))
        layers.append(ReluLayer(conv, rng.normal(0, 0.1, 3)))
        size = int(np.prod(conv.out_shape))
    for width in rng.integers(3, 12, int(rng.integers(1, 3))):
        dense = Dense(rng.normal(0, 1.5 / np.sqrt(size), (width, size)))
        layers.append(ReluLayer(dense, rng.normal(0, 0.1, width)))
        size = int(width)
    layers[-1] = ReluLayer(layers[-1].connection, layers[-1].bias, relu=bool(rng.random() < 0.3))
    low = -1.0 if rng.random() < 0.3 else 0.0
    calibration = rng.uniform(low, 1, (60, side, side))
    start, end = rng.uniform(low, 1, (2, 1, side, side))
    share = np.linspace(0, 1, 25)[:, None, None]
    return layers, calibration, (1 - share) * start + share * end


def run(made: SigmaDeltaNetwork, frames: Real) -> tuple[Real, int]:
    """The output of each frame, and the synaptic operations."""
    executor = Executor(made.graph)
    output = made.output(executor.run(made.stimulus(frames[None])))
    return output[0], executor.synaptic_operations


def plainly(made: SigmaDeltaNetwork, frames: Real) -> Real:
    """The network of whole numbers, image by image, with windows cut by hand."""
    found = []
    for frame in frames:
        y: Any = np.clip(np.rint(frame / made.unit), -(2**made.bits) + 1, 2**made.bits - 1)
        y = y.astype(np.int64)
        for layer in made.layers:
            if isinstance(layer.connection, Conv2d):
                y = windows(layer.connection, y.reshape(layer.connection.in_shape)).ravel()
            else:
                y = layer.connection.weight @ y.ravel()
            y = y + layer.bias
            y = (np.where(y > 0, y, 0) if layer.relu else y) // 2**layer.shift
        found.append(y * made.layers[-1].unit)
    return np.array(found)


def windows(conv: Conv2d, image: Any) -> Any:
    padded = np.pad(image, ((0, 0), *conv.padding))
    height, width = conv.weight.shape[2:]
    out = np.zeros(conv.out_shape, np.int64)
    for y, x in np.ndindex(*conv.out_shape[1:]):
        top, left = y * conv.stride[0], x * conv.stride[1]
        cut = padded[:, top : top + height, left : left + width]
        out[:, y, x] = (conv.weight * cut).sum(axis=(1, 2, 3))
    return out


@given(st.integers(0, (1 << 32) - 1), st.integers(4, 9))
def test_at_a_bound_of_zero_it_is_the_frames(seed: int, bits: int) -> None:
    layers, calibration, frames = drawn(seed)
    made = sigma_delta(layers, calibration, bits=bits)
    verify(made.graph)
    assert parse(text(made.graph)) == made.graph
    assert set(made.thresholds) == {0} and not made.bound.any()
    plain = plainly(made, frames)
    np.testing.assert_array_equal(run(made, frames)[0], plain)
    np.testing.assert_array_equal(made.frame_by_frame(frames), plain)


@given(st.integers(0, (1 << 32) - 1), st.floats(0.02, 3))
def test_no_output_is_further_from_its_frame_than_the_bound(seed: int, share: float) -> None:
    layers, calibration, frames = drawn(seed)
    asked = share * float(np.abs(real_network(layers, calibration.reshape(60, -1))).max())
    made = sigma_delta(layers, calibration, bound=asked)
    off = np.abs(run(made, frames)[0] - made.frame_by_frame(frames))
    assert (off <= made.bound * (1 + 1e-12)).all() and made.bound.max() <= asked


def test_the_bound_is_met_where_all_errors_have_one_sign() -> None:
    """Ten pixels that rise to just below a threshold of 8, all weights alike."""
    layers = [ReluLayer(Dense(np.ones((1, 10))), np.zeros(1), relu=False)]
    calibration = np.full((1, 10), 255.0)
    made = sigma_delta(layers, calibration, thresholds=[8])
    frames = np.repeat([[100.0], [107.0]], 10, axis=1)
    off = run(made, frames)[0] - made.frame_by_frame(frames)
    np.testing.assert_allclose(off.ravel(), [0, -70], atol=1e-9)
    np.testing.assert_allclose(made.bound, [70])


def test_larger_bounds_give_larger_thresholds_and_fewer_operations() -> None:
    layers, calibration, frames = drawn(5)
    scale = float(np.abs(real_network(layers, calibration.reshape(60, -1))).max())
    made = [sigma_delta(layers, calibration, bound=share * scale) for share in (0, 0.3, 1, 3)]
    spent = [run(each, frames)[1] for each in made]
    assert spent == sorted(spent, reverse=True) and spent[0] > 1.5 * spent[-1]
    sums = [sum(each.thresholds) for each in made]
    assert sums == sorted(sums) and sums[0] == 0 < sums[-1]


def test_whole_numbers_are_near_the_real_network() -> None:
    """Within a thirtieth of the largest output with 8 bits, and worse with 4."""

    def off(layers: list[ReluLayer], calibration: Real, frames: Real, bits: int) -> float:
        exact = real_network(layers, frames.reshape(len(frames), -1))
        made = sigma_delta(layers, calibration, bits=bits).frame_by_frame(frames)
        return float(np.abs(made - exact).max() / np.abs(exact).max())

    for seed in (2, 4, 9):
        drawn_ = drawn(seed)
        assert off(*drawn_, 8) < 1 / 30 and off(*drawn_, 4) > 3 * off(*drawn_, 8)


def test_real_networks_by_hand() -> None:
    layers = [
        ReluLayer(Dense(np.array([[1.0, -2.0], [0.5, 0.5]])), np.array([0.5, -1.0])),
        ReluLayer(Dense(np.array([[2.0, 4.0]])), np.array(-1.0), relu=False),
    ]
    np.testing.assert_array_equal(real_network(layers, [[1, 0], [3, 1], [0, 4]]), [[2], [6], [3]])
    conv = ReluLayer(Conv2d(np.ones((2, 1, 1, 1)), (1, 2, 2)), np.array([0.0, -3.0]))
    found = real_network([conv], [[1, 2, 3, 4]])
    np.testing.assert_array_equal(found, [[1, 2, 3, 4, 0, 0, 0, 1]])


def test_shifts_of_more_than_eight_bits_are_several_hops() -> None:
    """Exponents of Loihi go to -8; whole values in between lose nothing."""
    rng = np.random.default_rng(1)
    wide = ReluLayer(Dense(rng.uniform(0, 1, (4, 64))), np.zeros(4))
    last = ReluLayer(Dense(rng.normal(0, 1, (2, 4))), np.zeros(2), relu=False)
    calibration = rng.uniform(0, 1, (30, 64))
    made = sigma_delta([wide, last], calibration, bits=4)
    assert 8 < made.layers[0].shift <= 16
    names = [p.name for p in made.graph.populations]
    hops = ["sigma1", "delta1", "sigma1.1", "delta1.1"]
    assert names == ["delta0", "layer1", *hops, "layer2", "out"]
    assert made.latency == len(names)
    frames = calibration[:10]
    np.testing.assert_array_equal(run(made, frames)[0], plainly(made, frames))


def test_words_are_those_of_loihi() -> None:
    layers, calibration, _ = drawn(3)
    made = sigma_delta(layers, calibration, bound=0.5)
    kinds = {type(p.neuron) for p in made.graph.populations}
    assert kinds == {LoihiDelta, LoihiSigma, LoihiSigmaDelta}
    for layer in made.layers:
        weight = layer.connection.weight
        assert not (weight % 2).any() and np.abs(weight).max() <= 256
        assert np.abs(layer.bias).max() < 1 << 15
    # The unit of each population is that of what it sends.
    whole = [p for p in made.graph.populations if p.name in ("out", "delta0")]
    assert [p.neuron.real("v")[0] for p in whole] == [made.unit, made.layers[-1].unit]  # type: ignore[attr-defined]


def test_operations_of_frames_by_hand() -> None:
    """Fan-out of a corner, an edge and the middle; zeros cost only where they are not passed."""
    conv = Conv2d(np.ones((2, 1, 3, 3)), (1, 3, 3), (1, 1), ((1, 1), (1, 1)))
    layers = [
        ReluLayer(conv, np.array([0.0, -100.0])),  # the second channel is silent
        ReluLayer(Dense(np.ones((5, 18))), np.zeros(5), relu=False),
    ]
    frame = np.zeros((1, 3, 3))
    frame[0, 0, 0] = 1.0  # reaches 4 places in 2 channels
    made = sigma_delta(layers, np.ones((1, 9)))
    every, active = made.frame_operations(frame)
    assert every == 2 * (4 * 4 + 4 * 6 + 9) + 5 * 18
    assert active == 2 * 4 + 5 * 4


def refused(code: str, *arguments: Any, **options: Any) -> str:
    with pytest.raises(SpikecError) as caught:
        sigma_delta(*arguments, **options)
    assert [d.code for d in caught.value.diagnostics] == [code]
    return caught.value.diagnostics[0].message


def test_what_is_refused() -> None:
    layer = ReluLayer(Dense(np.ones((2, 3))), np.zeros(2))
    frames = np.ones((4, 3))
    assert "without layers" in refused("E0707", [], frames)
    assert "bits is 13" in refused("E0707", [layer], frames, bits=13)
    assert "bound is -1" in refused("E0707", [layer], frames, bound=-1)
    assert "as many thresholds" in refused("E0707", [layer], frames, thresholds=[1, 2])
    assert "not all zero" in refused("E0707", [layer], 0 * frames)
    assert "not all zero" in refused("E0707", [layer], np.nan * frames)
    assert "a frame has 4 values" in refused("E0203", [layer], np.ones((4, 4)))
    assert "layer 0 gives (2,), layer 1 takes (3,)" in refused("E0203", [layer, layer], frames)
    assert "not finite" in refused("E0106", [ReluLayer(layer.connection, np.inf)], frames)  # type: ignore[arg-type]
    assert "shape (3,)" in refused("E0207", [ReluLayer(layer.connection, np.zeros(3))], frames)


def test_frames_that_calibration_did_not_show_are_named() -> None:
    """Weights that cancel for all frames of the calibration, and add up for another one."""
    layer = ReluLayer(Dense(np.array([[1.0, -1.0] * 200])), np.zeros(1), relu=False)
    alike = np.ones((2, 400)) * [[1.0], [0.5]]
    made = sigma_delta([layer], alike, bits=12)
    np.testing.assert_array_equal(made.frame_by_frame(alike), [[0], [0]])
    with pytest.raises(SpikecError, match="24 bits hold"):
        made.frame_by_frame(np.tile([[1.0, 0.0]], 200))


def test_a_report_says_what_each_population_does() -> None:
    layers, calibration, _ = drawn(3)
    made = sigma_delta(layers, calibration, bound=0.5)
    said = [semantics(p) for p in made.graph.populations]
    first = max(made.thresholds[0], 1)
    assert said[0] == f"sends changes of {first} or more; 32-bit states (wrap)"
    assert said[1].startswith("sums what arrives; relu, bias ")
    assert said[-1] == "sums what arrives, 32 bits (wrap); sends the sum"
    other = Population("p", (1,), LoihiDelta(3, 1, 2, cum_error=True))
    whole = "sends accumulated changes of 3 or more; 32-bit states (wrap); spike_exp 1, state_exp 2"
    assert semantics(other) == whole


def test_weights_that_vanish_beside_their_bias_are_refused() -> None:
    layer = ReluLayer(Dense(np.full((2, 3), 1e-6)), np.full(2, 1e3))
    with pytest.raises(SpikecError, match="all weights of a layer round to zero"):
        sigma_delta([layer], np.ones((4, 3)))


def test_frames_that_are_no_numbers() -> None:
    made = sigma_delta([ReluLayer(Dense(np.ones((2, 3))), np.zeros(2))], np.ones((4, 3)))
    with pytest.raises(SpikecError, match="no finite numbers"):
        made.stimulus(np.full((1, 4, 3), np.nan))
