"""Conductances that make up for the wires, and for cells that are stuck."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.backends.crossbar.circuit import Crossbar, Drive, Sense
from spikec.backends.crossbar.compensate import Compensated, compensate
from spikec.backends.crossbar.solve import transfer

LOW, HIGH = 1e-6, 4e-5
GROUP = np.arange(32) // 2


def pairs(rows: int = 24, seed: int = 0) -> Any:
    """What is wanted above LOW of pairs of columns: one of two is at the lowest."""
    weight = np.random.default_rng(seed).integers(-31, 32, (rows, 16))
    sides = np.stack([np.maximum(weight, 0), np.maximum(-weight, 0)], -1)
    return sides.reshape(rows, 32) * ((HIGH - LOW) / 31)


def differences(circuit: Crossbar, found: Compensated) -> Any:
    seen = transfer(replace(circuit, conductance=found.conductance))
    return (seen[:, ::2] - seen[:, 1::2]) / found.alpha[::2]


@pytest.mark.parametrize(
    "options",
    [
        {"word": 5.0, "bit": 5.0},
        {"word": 3.0, "bit": 9.0, "driver": 40.0, "sense": 20.0},
        {"word": 8.0, "bit": 8.0, "driven": Drive.BOTH, "sensed": Sense.TOP},
        {"word": 60.0, "bit": 60.0},
    ],
)
def test_differences_are_those_without_wires(options: dict[str, Any]) -> None:
    wanted = pairs()
    circuit = Crossbar(LOW + wanted, **options)
    found = compensate(circuit, wanted, GROUP, LOW, HIGH)
    ideal = wanted[:, ::2] - wanted[:, 1::2]
    bare = transfer(circuit)
    lost = np.abs(bare[:, ::2] - bare[:, 1::2] - ideal).max() / ideal.max()
    assert found.residual < 1e-6 and lost > 0.02
    assert np.abs(differences(circuit, found) - ideal).max() < 3e-6 * ideal.max()
    assert found.conductance.min() >= LOW and found.conductance.max() <= HIGH
    # As much is left as there can be: of each group some cell is at the highest, or none need be.
    highest = found.conductance.max(axis=0).reshape(16, 2).max(axis=1)
    assert ((highest > HIGH * (1 - 1e-6)) | (found.alpha[::2] == 1.0)).all()


def test_without_wires_nothing_changes() -> None:
    wanted = pairs()
    found = compensate(Crossbar(LOW + wanted), wanted, GROUP, LOW, HIGH)
    assert (found.alpha == 1).all() and found.residual < 1e-15
    assert np.allclose(found.conductance, LOW + wanted, rtol=1e-14, atol=0)


def test_the_other_cell_makes_up_for_a_stuck_one() -> None:
    """All weights that a pair can still be are met; only those beyond its reach are lost."""
    wanted = pairs()
    rng = np.random.default_rng(3)
    held = rng.random(wanted.shape) < 0.05
    held[:, 1::2] &= ~held[:, ::2]
    at = np.where(rng.random(wanted.shape) < 0.5, LOW, HIGH)
    start = np.where(held, at, LOW + wanted)
    circuit = Crossbar(start, word=2.0, bit=2.0)
    found = compensate(circuit, wanted, GROUP, LOW, HIGH, held=held, partner=np.arange(32) ^ 1)
    assert (found.conductance[held] == at[held]).all()
    ideal = wanted[:, ::2] - wanted[:, 1::2]
    wrong = np.abs(differences(circuit, found) - ideal)
    spread = HIGH - LOW
    low = np.where(held[:, ::2], at[:, ::2], LOW) - np.where(held[:, 1::2], at[:, 1::2], HIGH)
    high = np.where(held[:, ::2], at[:, ::2], HIGH) - np.where(held[:, 1::2], at[:, 1::2], LOW)
    lost = np.abs(np.clip(ideal, low, high) - ideal)
    stuck = held[:, ::2] | held[:, 1::2]
    reachable = (ideal > low + 0.1 * spread) & (ideal < high - 0.1 * spread)
    assert (stuck & reachable).sum() > 5 and (lost > 0.2 * spread).sum() > 5
    assert wrong[reachable].max() < 3e-6 * spread
    # What is beyond the reach of a pair is lost by about as much as it is beyond.
    assert np.abs(wrong - lost)[stuck].max() < 0.1 * spread


def test_what_cannot_be_met_is_told() -> None:
    """Cells that are too conductive for their wires even at the lowest."""
    wanted = pairs()
    found = compensate(Crossbar(LOW + wanted, word=2e4, bit=2e4), wanted, GROUP, LOW, HIGH)
    assert found.residual > 0.01
