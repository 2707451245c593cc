"""Chips: sums that are the weights' where nothing is lost, and what errors do to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.backends.crossbar.chip import Chip
from spikec.backends.crossbar.conditions import Conditions
from spikec.backends.crossbar.design import Design, design
from spikec.backends.crossbar.device import noise
from spikec.backends.crossbar.layout import Signs
from spikec.backends.crossbar.solve import Solver, transfer
from spikec.boards.macro import load_macro
from spikec.compiler.connectivity import apply
from spikec.ir.connections import Chain, Connection, Conv2d, Dense, Flatten, Sparse, SumPool2d
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IF

rng = np.random.default_rng(11)
DENSE = Dense(rng.integers(-31, 32, (11, 40)))
# Whatever follows: a pool before the weights, a shape after them.
POOLED = Chain(
    (
        SumPool2d((2, 6, 6), (2, 2), (2, 2)),
        Conv2d(rng.integers(-7, 8, (3, 2, 2, 2)), (2, 3, 3)),
        Flatten((3, 2, 2)),
    )
)
SPARSE = Sparse(9, 7, np.arange(10) * 2, np.arange(18) % 7, rng.integers(-3, 4, 18))


def network(connection: Connection) -> Graph:
    """One projection; only its weights matter here."""
    post = Population("post", connection.out_shape, IF(np.asarray(1.0), np.asarray(1.0)))
    return Graph(
        "one",
        1e-3,
        (Input("in", connection.in_shape),),
        (post,),
        (Projection("p", "in", "post", connection, 0),),
        (Output("out", "post"),),
    )


def made(connection: Connection, *words: str, macro: str = "crossbar-ideal") -> Design:
    return design(network(connection), load_macro(macro), Conditions().but(words))


def sums(found: Design, connection: Connection, x: Any, seed: int = 1) -> Any:
    """What a chip adds to the accumulators for the events of ``x`` before its weighted stage."""
    total = np.zeros(int(np.prod(connection.out_shape)), np.int64)
    index = np.flatnonzero(x)
    values = np.asarray(x)[index]
    Chip(found, seed).sums()["p"](index, values, index.size, total)
    return total


@pytest.mark.parametrize("signs", Signs)
@pytest.mark.parametrize("slices", ["none", "1", "2", "3"])
@pytest.mark.parametrize("connection", [DENSE, SPARSE])
def test_without_losses_sums_are_the_weights(connection: Any, signs: Signs, slices: str) -> None:
    words = (f"signs={signs}", f"slice_bits={slices}", "tile=24", "spares=1")
    found = made(connection, *words)
    assert found.electrics.exact
    for k in range(4):
        draw = np.random.default_rng(k)
        # Counts and, as a signed input has them, negative ones.
        x = draw.integers(-1 if k % 2 else 0, 4, connection.in_shape[0])
        assert sums(found, connection, x).tolist() == apply(connection, x).tolist()


def test_convolutions_and_what_is_before_them() -> None:
    """A kernel is on a tile once, and used place by place; the pool before it is digital."""
    found = made(POOLED)
    assert [target.shape for target in found.targets] == [(32, 32)]
    x = np.random.default_rng(2).integers(0, 3, 72)
    pooled = apply(POOLED.stages[0], x)
    assert sums(found, POOLED, pooled).tolist() == apply(POOLED, x).tolist()


@pytest.mark.parametrize("signs", Signs)
def test_behind_wires_compensated_sums_are_the_weights(signs: Signs) -> None:
    """1 ohm a segment; and not so without compensation."""
    x = (np.random.default_rng(0).random(40) < 0.3).astype(np.int64)
    exact = apply(DENSE, x)
    words = (f"signs={signs}", "wire=5", "calibrate=off")
    assert sums(made(DENSE, *words), DENSE, x).tolist() == exact.tolist()
    bare = sums(made(DENSE, *words, "compensate=off"), DENSE, x)
    assert (bare != exact).any()


def test_gated_rows_see_only_each_other() -> None:
    """The currents are those of the solver with the cells of silent rows out of the circuit."""
    x = (np.random.default_rng(0).random((5, 40)) < 0.1).astype(np.int64)
    reads = {}
    for gated in ("on", "off"):
        found = made(DENSE, "wire=5", f"gated={gated}", "calibrate=off", "tile=64", "order=off")
        (reader,) = Chip(found, 1).tiles
        lines = np.pad(x, ((0, 0), (0, 1)))[:, reader.tile.row]
        volt = found.electrics.voltage * lines
        active = lines > 0 if gated == "on" else None
        currents = Solver(reader.circuit).currents(volt, active).reshape(5, -1, 2)
        difference = currents[..., 0] - currents[..., 1]
        assert np.allclose(reader.codes(lines)[..., 0], difference, rtol=1e-9, atol=1e-15)
        reads[gated] = reader(lines)
    right = x @ np.asarray(DENSE.weight).T
    wrong = {g: np.abs(r[:, :11] - right).max() for g, r in reads.items()}
    assert wrong["off"] < 1e-3  # T is exact, and solved for to a millionth
    assert 1e-3 < wrong["on"] < 0.1 * np.abs(right).max()  # what other rows do is only reckoned


def test_converters_round_and_clip() -> None:
    found = made(DENSE, "adc_bits=4", "calibrate=off", "tile=64", "order=off")
    (reader,) = Chip(found, 1).tiles
    x = (np.random.default_rng(0).random((50, 40)) < 0.3).astype(np.int64)
    lines = np.pad(x, ((0, 0), (0, 1)))[:, reader.tile.row]
    codes = reader.codes(lines)
    assert codes.min() >= -7 and codes.max() <= 7 and (codes == np.rint(codes)).all()
    right = x @ np.asarray(DENSE.weight).T
    # The range is that of the probes: nearly nothing is cut, and a step is a seventh of it.
    step = np.abs(reader(lines)[reader(lines) != 0]).min()
    inside = np.abs(right) < 7 * step
    assert inside.mean() > 0.95
    assert np.abs(reader(lines)[:, :11] - right)[inside].max() <= step / 2 * (1 + 1e-9)


def test_noise_of_reads_is_that_of_cells() -> None:
    """Beside fresh conductances in the exact circuit for every read: the same standard deviation.

    Of 1,000 reads a standard deviation is within 10 % at 4.4 sigmas.
    """
    words = ("programming=off", "drift=off", "adc_bits=none", "gated=off", "wire=5")
    found = made(DENSE, *words, "calibrate=off", "tile=32", macro="rram-wan")
    reader = Chip(found, 1).tiles[0]
    x = np.zeros((1, reader.tile.rows), np.int64)
    x[0, ::3] = 1
    reads = np.array([reader.codes(x)[0, :, 0] for _ in range(1000)])
    sigma = noise(reader.made.cells)
    draw = np.random.default_rng(5)
    volt = found.electrics.voltage * x[0]
    fresh = []
    for _ in range(1000):
        siemens = np.maximum(reader.siemens + sigma * draw.standard_normal(sigma.shape), 0)
        currents = volt @ transfer(replace(reader.circuit, conductance=siemens))
        fresh.append(currents[::2] - currents[1::2])
    used = reader.tile.column >= 0
    ours, theirs = reads.std(axis=0)[used], np.std(fresh, axis=0)[used]
    assert np.allclose(ours, theirs, rtol=0.15)
    assert np.allclose(
        reads.mean(axis=0)[used], np.mean(fresh, axis=0)[used], atol=0.2 * ours.max()
    )


def test_what_1_f_noise_came_to_stays() -> None:
    """PCM: two reads are equal, two chips are not, and the spread is that of the source."""
    found = made(DENSE, "programming=off", "drift=off", "tile=64", "wire=0", macro="pcm")
    one, other = (Chip(found, seed).tiles[0] for seed in (1, 2))
    x = np.ones((2, one.tile.rows), np.int64)
    codes = one.codes(x)
    assert (codes[0] == codes[1]).all() and (codes != other.codes(x)).any()
    sigma = noise(one.made.cells)
    used = sigma > 0
    z = (one.siemens - one.made.cells.programmed)[used] / sigma[used]
    assert abs(z.std() - 1) < 5 / np.sqrt(2 * z.size) and abs(z.mean()) < 5 / np.sqrt(z.size)


def test_without_errors_of_programming_there_are_none_later() -> None:
    found = made(DENSE, "programming=off", "read_noise=off", "age=1day", macro="rram-wan")
    (reader, *_) = Chip(found, 1).tiles
    assert (reader.siemens == reader.made.cells.target).all()


def test_calibration_takes_a_columns_gain_off() -> None:
    """PCM a year on: it has lost half of its conductance, and columns are calibrated then."""
    words = ("age=1year", "read_noise=off", "programming=off", "adc_bits=none", "gated=off")
    x = (np.random.default_rng(0).random(40) < 0.3).astype(np.int64)
    exact = apply(DENSE, x)
    fitted = sums(made(DENSE, *words, macro="pcm"), DENSE, x)
    bare = sums(made(DENSE, *words, "calibrate=off", macro="pcm"), DENSE, x)
    assert np.abs(bare - exact).mean() > 4 * np.abs(fitted - exact).mean()
    assert np.abs(bare).sum() < 0.6 * np.abs(exact).sum()


def test_one_seed_is_one_chip() -> None:
    words = ("stuck=2%", "read_noise=off")
    found = made(DENSE, *words, macro="pcm")
    same, again, other = (Chip(found, seed) for seed in (3, 3, 4))
    for a, b, c in zip(same.tiles, again.tiles, other.tiles, strict=True):
        assert a.made.cells == b.made.cells and (a.gain == b.gain).all()
        assert (a.made.cells.on != c.made.cells.on).any() and (a.siemens != c.siemens).any()
    assert same.stuck == again.stuck > 0
    # A chip has its faults whatever it is programmed to, and under whatever conditions.
    later = Chip(replace(found, conditions=found.conditions.but(["age=1h", "remap=off"])), 3)
    for a, b in zip(same.tiles, later.tiles, strict=True):
        assert (a.made.cells.on == b.made.cells.on).all()


def test_going_around_stuck_cells() -> None:
    """Over ten chips of 5 % stuck cells, half of the error at most is left."""
    words = ("stuck=5%", "tile=64")
    x = (np.random.default_rng(0).random((64, 40)) < 0.3).astype(np.int64)
    exact = x @ np.asarray(DENSE.weight).T
    wrong = {}
    for remap in ("on", "off"):
        found = made(DENSE, *words, f"remap={remap}")
        errors = []
        for seed in range(10):
            (reader,) = Chip(found, seed).tiles
            read = reader(np.pad(x, ((0, 0), (0, 1)))[:, reader.tile.row])
            total = np.zeros((64, 12))
            total[:, reader.tile.column] = read
            errors.append(np.abs(total[:, :11] - exact).mean())
        wrong[remap] = np.mean(errors)
    assert wrong["on"] < 0.5 * wrong["off"]


def test_cells_that_bend_are_meant_by_their_chord() -> None:
    """HfO2: the current at a spike's voltage is in proportion to the weight."""
    words = ("programming=off", "adc_bits=none", "gated=off", "calibrate=off", "wire=0")
    x = (np.random.default_rng(0).random(40) < 0.3).astype(np.int64)
    found = made(DENSE, *words, macro="rram-hfo2")
    assert found.electrics.device.bend is not None and not found.electrics.exact
    assert sums(found, DENSE, x).tolist() == apply(DENSE, x).tolist()
