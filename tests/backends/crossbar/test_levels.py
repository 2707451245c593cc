"""Levels of cells whose sums are those of the weights behind wires."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.crossbar import lattice
from spikec.backends.crossbar.circuit import Crossbar, Drive, Sense
from spikec.backends.crossbar.compensate import compensate
from spikec.backends.crossbar.conditions import Conditions
from spikec.backends.crossbar.design import Electrics, Layer, aimed
from spikec.backends.crossbar.device import reachable
from spikec.backends.crossbar.layout import (
    Block,
    Scheme,
    Signs,
    Tile,
    digits_from,
    slice_bits_for,
    weights_of,
)
from spikec.backends.crossbar.levels import (
    Aim,
    Levelled,
    levelled,
    metric,
    multiplied,
    nearest_level,
    rounded,
)
from spikec.backends.crossbar.solve import transfer
from spikec.boards.macro import load_macro

LOW, HIGH = 1e-6, 1e-4


def case(
    seed: int,
    scheme: Scheme,
    rows: int,
    groups: int,
    levels: int,
    bent: float = 1.0,
    **wires: Any,
) -> tuple[Crossbar, Aim, Any, Any]:
    """A tile compensated, not at levels; what its sums are to be, the levels, alpha."""
    rng = np.random.default_rng(seed)
    most = (1 << (scheme.weight_bits - 1)) - 1
    weight = rng.integers(-most, most + 1, (rows, groups))
    digits, times = multiplied(weight, scheme)
    unit = (HIGH - LOW) / (scheme.base - 1)
    wanted = digits * unit
    circuit = Crossbar(LOW + wanted, **wires)
    group = np.zeros(circuit.columns, np.int64)
    if scheme.signs is Signs.DIFFERENTIAL:
        group = np.arange(circuit.columns) // scheme.width
    solved = compensate(circuit, wanted, group, LOW, HIGH)
    circuit = replace(circuit, conductance=solved.conductance)
    times = times * solved.alpha[scheme.shared :: scheme.width]
    felt = metric((rng.random((30, rows)) < 0.3).astype(np.int64))
    aim = Aim(scheme, weight, unit, np.arange(rows), np.arange(groups), felt)
    table = LOW + np.linspace(0, 1, levels) ** bent * (HIGH - LOW)
    return circuit, aim, table, times


def cost(circuit: Crossbar, aim: Aim, table: Any, level: Any, alpha: Any) -> float:
    """J of levels, with the alpha that fits best."""
    return aim.cost(aim.fitted(replace(circuit, conductance=table[level]), alpha)[1])


@pytest.mark.parametrize("bits", [1, 2, 4, 7])
def test_digits_of_multiplied_weights(bits: int) -> None:
    """They add up to the multiple; all but the highest leave half their range."""
    scheme = Scheme(Signs.DIFFERENTIAL, 8, bits)
    weight = np.random.default_rng(0).integers(-127, 128, (9, 5)) // np.array([1, 1, 2, 9, 60])
    digits, times = multiplied(weight, scheme)
    sides = digits.reshape(9, 5, scheme.slices, 2)
    assert (sides.min(axis=-1) == 0).all() and sides.max() <= scheme.base - 1
    found = ((sides[..., 0] - sides[..., 1]) * scheme.significance).sum(axis=-1)
    np.testing.assert_allclose(found, weight * times, atol=1e-9)
    assert times.min() >= 1 and times[-1] > 1.5 and times.max() <= 16
    assert sides[..., :-1, :].max(initial=0) <= (scheme.base + 1) // 2


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    signs=st.sampled_from(Signs),
    bits=st.integers(1, 4),
    bent=st.sampled_from([1.0, 1.2]),
    ohm=st.sampled_from([0.0, 5.0, 60.0]),
    stuck=st.sampled_from([0.0, 0.1]),
)
def test_it_is_never_worse_than_rounding(
    seed: int, signs: Signs, bits: int, bent: float, ohm: float, stuck: float
) -> None:
    """J, that all cells are at levels, that held ones are held, and that e is what T says."""
    scheme = Scheme(signs, 5, bits)
    circuit, aim, table, times = case(
        seed, scheme, 6, 3, 1 << bits, bent, word=ohm, bit=ohm, sense=ohm
    )
    rng = np.random.default_rng(seed)
    held = rng.random(circuit.conductance.shape) < stuck
    at = np.where(rng.random(held.shape) < 0.5, table[0], table[-1])
    circuit = replace(circuit, conductance=np.where(held, at, circuit.conductance))
    found = levelled(circuit, aim, table, times, held)
    plain = nearest_level(circuit.conductance, table)
    best = aim.cost(found.error)
    assert best <= cost(circuit, aim, table, plain, times) * (1 + 1e-9) + 1e-12
    assert found.level.min() >= 0 and found.level.max() < table.size
    assert (table[found.level][held] == at[held]).all()
    seen = transfer(replace(circuit, conductance=table[found.level]))
    np.testing.assert_allclose(found.error, errors(seen, aim, found), atol=1e-9)


def errors(seen: Any, aim: Aim, found: Levelled) -> Any:
    """e by its formula, group by group."""
    scheme, groups = aim.scheme, aim.weight.shape[1]
    out = np.empty(aim.weight.shape)
    for g in range(groups):
        own = seen[:, scheme.shared + g * scheme.width :][:, : scheme.width]
        if scheme.signs is Signs.DIFFERENTIAL:
            own = own[:, ::2] - own[:, 1::2]
        else:
            own = own - seen[:, : scheme.shared]
        out[:, g] = own @ scheme.significance / (found.alpha[g] * aim.unit) - aim.weight[:, g]
    return out


@pytest.mark.parametrize(
    "wires",
    [
        {"word": 20.0, "bit": 20.0},
        {"word": 5.0, "bit": 9.0, "driver": 90.0, "sense": 40.0},
        {"word": 9.0, "bit": 9.0, "driven": Drive.BOTH, "sensed": Sense.TOP},
        {"bit": 30.0, "driver": 200.0},
        {"word": 30.0, "sense": 200.0},
    ],
)
def test_slices_make_up_for_each_other(wires: dict[str, Any]) -> None:
    """Weights are met to a fraction of their unit, where rounding is off by several."""
    scheme = Scheme(Signs.DIFFERENTIAL, 8, 4)
    circuit, aim, table, times = case(3, scheme, 24, 6, 16, **wires)
    found = levelled(circuit, aim, table, times)
    plain = cost(circuit, aim, table, nearest_level(circuit.conductance, table), times)
    one = cost(circuit, aim, table, still(circuit, aim, table, times), times)
    assert aim.cost(found.error) < 0.5 * one < 0.1 * plain
    assert np.sqrt((found.error**2).mean()) < 0.2


def still(circuit: Crossbar, aim: Aim, table: Any, times: Any) -> Any:
    return rounded(circuit, aim, table, times, np.zeros(circuit.conductance.shape, np.bool_))


@pytest.mark.parametrize("seed", range(6))
def test_it_is_close_to_the_best_there_is(seed: int) -> None:
    """Two rows of a pair, each at 6 levels: beside all 1296, at its alpha: within a half."""
    scheme = Scheme(Signs.DIFFERENTIAL, 5, 4)
    circuit, aim, table, times = case(seed, scheme, 2, 1, 6, word=200.0, bit=300.0)
    found = levelled(circuit, aim, table, times)
    every = np.array(list(itertools.product(range(6), repeat=4))).reshape(-1, 2, 2)
    least = min(
        aim.cost(aim.error(replace(circuit, conductance=table[level]), found.alpha))
        for level in every
    )
    assert np.sqrt(aim.cost(found.error)) <= 1.5 * np.sqrt(least)


def test_spare_lines_stay_as_they_are() -> None:
    scheme = Scheme(Signs.DIFFERENTIAL, 8, 4)
    circuit, aim, table, times = case(5, scheme, 8, 4, 16, word=20.0, bit=20.0)
    spare = replace(aim, rows=np.arange(6), groups=np.arange(3))
    found = levelled(circuit, spare, table, times)
    plain = nearest_level(circuit.conductance, table)
    assert (found.level[6:] == plain[6:]).all() and (found.level[:, 12:] == plain[:, 12:]).all()
    assert (found.level[:6, :12] != plain[:6, :12]).any()
    assert not found.error[6:].any() and not found.error[:, 3:].any()


@pytest.mark.parametrize("macro", ["crossbar-ideal", "pcm", "rram-hfo2"])
@pytest.mark.parametrize(
    "words",
    [
        ("wire=3", "levels=16"),
        ("wire=3", "levels=2", "gated=on"),
        ("wire=3", "levels=16", "signs=offset", "slice_bits=2"),
        ("wire=0", "levels=10"),
        ("wire=1e6", "levels=4"),
    ],
)
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_targets_of_a_tile_are_levels(macro: str, words: tuple[str, ...], share: float) -> None:
    """With spare lines, swapped sides, a row and a column of no weight, and stuck cells."""
    conditions = Conditions().but(words)
    electrics = Electrics.of(load_macro(macro), conditions)
    device = electrics.device
    bits = conditions.slice_bits or slice_bits_for(conditions.levels, 16)
    scheme = Scheme(conditions.signs, 5, bits)
    rng = np.random.default_rng(0)
    weight = rng.integers(-15, 16, (20, 4))
    weight[:, 2], weight[3] = 0, 0
    block = Block(weight, np.arange(20)[None], np.arange(4)[None])
    layer = Layer("p", (block,), scheme, (rng.random((60, 20)) < 0.1).astype(np.int64))
    flipped = np.array([False, True, False, False, False])
    tile = Tile("p", 0, np.append(np.arange(20), [-1, -1]), np.arange(-1, 4), flipped)
    stuck = np.full((22, tile.lines(scheme)), np.nan)
    stuck[rng.random(stuck.shape) < share] = device.g_max.value
    target, alpha, residual = aimed(tile, layer, electrics, conditions, stuck)
    np.testing.assert_allclose(target, reachable(device, target), rtol=1e-12)
    assert (target == device.g_max.value)[~np.isnan(stuck)].all()
    assert np.isfinite(alpha).all() and (alpha > 0).all()
    if share == 0 and conditions.wire != 1e6 and conditions.signs is Signs.DIFFERENTIAL:
        assert residual < 0.05


def test_digits_that_are_levels_stay_where_nothing_is_lost() -> None:
    conditions = Conditions().but(["levels=8"])
    electrics = Electrics.of(load_macro("crossbar-ideal"), conditions)
    scheme = Scheme(Signs.DIFFERENTIAL, 8, 3)
    weight = np.random.default_rng(1).integers(-127, 128, (12, 3))
    block = Block(weight, np.arange(12)[None], np.arange(3)[None])
    layer = Layer("p", (block,), scheme, np.eye(12, dtype=np.int64))
    tile = Tile("p", 0, np.arange(12), np.arange(3), np.zeros(3, np.bool_))
    target, alpha, residual = aimed(tile, layer, electrics, conditions)
    digits = digits_from(target, scheme, electrics.low, electrics.high)
    assert (weights_of(tile, digits, scheme) == weight).all()
    assert (alpha == 1).all() and residual == 0


@pytest.mark.parametrize("signs", Signs)
def test_what_a_sweep_reckons_is_what_the_wires_do(signs: Signs) -> None:
    """Its errors, kept up by derivatives, beside those of the transfer matrix; shared lines too."""
    circuit, aim, table, alpha = case(3, Scheme(signs, 5, 2), 8, 3, 4, word=20.0, bit=30.0)
    level = nearest_level(circuit.conductance, table)
    siemens = table[level]
    fitted, error = aim.fitted(replace(circuit, conductance=siemens), alpha)
    word, bit = (circuit.word, *circuit.drive_ends), (circuit.bit, *circuit.sense_ends)
    words, bits = np.empty((4, *siemens.shape)), np.empty((4, *siemens.T.shape))
    lattice.chains(siemens, *word, words)
    lattice.chains(np.ascontiguousarray(siemens.T), *bit, bits)
    wrong = np.ascontiguousarray(error.T)
    free, unit = np.ones(siemens.shape, np.bool_), 1 / (fitted * aim.unit)
    moved = lattice.sweep(
        level, siemens, table, free, aim.counts, aim.scheme.shared, unit, aim.rows, aim.groups,
        np.ascontiguousarray(aim.metric), wrong, words, bits, word, bit, 1000,
    )  # fmt: skip
    assert moved > 3 and (siemens == table[level]).all()
    there = aim.error(replace(circuit, conductance=siemens), fitted)
    changed = np.abs(there - error).max()
    # To first order: what a change does to what others do is left out.
    assert np.abs(wrong.T - there).max() < 0.09 * changed


def test_alpha_is_what_fits_best() -> None:
    circuit, aim, table, alpha = case(1, Scheme(Signs.DIFFERENTIAL, 5, 2), 10, 3, 4, word=5.0)
    trial = replace(circuit, conductance=table[nearest_level(circuit.conductance, table)])
    best, error = aim.fitted(trial, 0.7 * alpha)
    # In parts of what the sums are, as a factor divides them.
    least = aim.cost(error * best)
    for factor in (0.97, 1.03):
        other = best * factor
        assert aim.cost(aim.error(trial, other) * other) > least
