"""Gradients beside central differences, and what they are for."""

from __future__ import annotations

import doctest
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.crossbar import gradient as module
from spikec.backends.crossbar.circuit import Crossbar, Drive, Sense
from spikec.backends.crossbar.gradient import gradient
from spikec.backends.crossbar.solve import Solver, transfer
from spikec.ir.diagnostics import SpikecError

Array = npt.NDArray[Any]
OHMS = list(itertools.product((0, 200.0), (0, 300.0), (0, 500.0), (0, 700.0)))


def tile(
    ohms: Any = (20.0, 50.0, 300.0, 100.0), driven: Any = "left", sensed: Any = "bottom"
) -> Any:
    """5 x 4 cells of 0.1 to 1 mS, two of them open: wires lose a fifth and more."""
    cells = np.random.default_rng(3).uniform(1e-4, 1e-3, (5, 4))
    cells[1, 2] = cells[4, 0] = 0
    word, bit, driver, sense = ohms
    return Crossbar(cells, word, bit, driver, sense, driven, sensed)


def vectors() -> tuple[Array, Array, Array]:
    """Three voltages, what their currents are worth, and which rows are active."""
    rng = np.random.default_rng(1)
    active = rng.random((3, 5)) < 0.6
    active[2] = active[0]
    return rng.uniform(-0.3, 0.5, (3, 5)), rng.normal(size=(3, 4)), active


def differences(loss: Any, circuit: Any, step: float = 1e-9) -> Array:
    """Central differences of a loss in every cell that conducts; forward ones in open cells."""
    out = np.zeros((5, 4))
    for place in np.ndindex(5, 4):
        ends = []
        for sign in (1, -1):
            cells = circuit.conductance.copy()
            cells[place] = max(cells[place] + sign * step, 0.0)
            ends.append((loss(replace(circuit, conductance=cells)), cells[place]))
        (above, high), (below, low) = ends
        out[place] = (above - below) / (high - low)
    return out


def error(found: Array, wanted: Array) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("driven", Drive)
@pytest.mark.parametrize("sensed", Sense)
@pytest.mark.parametrize("gated", [False, True], ids=["driven", "gated"])
def test_currents(driven: Drive, sensed: Sense, gated: bool) -> None:
    voltage, worth, active = vectors()
    on = active if gated else None
    for ohms in OHMS:
        circuit = tile(ohms, driven, sensed)
        found = gradient(circuit, voltage, worth, on)
        wanted = differences(lambda c: (worth * Solver(c).currents(voltage, on)).sum(), circuit)
        assert error(found, wanted) < 1e-5


@pytest.mark.parametrize("driven", Drive)
@pytest.mark.parametrize("sensed", Sense)
def test_the_transfer_matrix(driven: Drive, sensed: Sense) -> None:
    worth = np.random.default_rng(2).normal(size=(5, 4))
    circuit = tile(driven=driven, sensed=sensed)
    found = gradient(circuit, np.eye(5), worth)
    assert error(found, differences(lambda c: (worth * transfer(c)).sum(), circuit)) < 1e-5
    # Not what it would be without wires.
    assert error(found, worth) > 0.05


def test_without_wires_it_is_the_outer_product() -> None:
    voltage, worth, active = vectors()
    circuit = tile((0.0, 0.0, 0.0, 0.0))
    assert np.allclose(gradient(circuit, voltage, worth), voltage.T @ worth, rtol=1e-13)
    gated = gradient(circuit, voltage, worth, active)
    assert np.allclose(gated, (voltage * active).T @ worth, rtol=1e-13)


def test_voltages_across_cells_are_their_currents() -> None:
    """Kirchhoff's law for whole bit lines: what their cells pass is what is sensed."""
    voltage, _, active = vectors()
    for ohms in OHMS:
        circuit = tile(ohms)
        solver = Solver(circuit)
        for on in (None, active):
            across = solver.across(voltage, on)
            assert across.shape == (3, 5, 4)
            passed = (circuit.conductance * across).sum(axis=1)
            assert np.allclose(passed, solver.currents(voltage, on), rtol=1e-10, atol=1e-16)
            assert on is None or not across[~on].any()
    assert solver.across(voltage[1]).shape == (5, 4)


def test_vectors_add_up() -> None:
    voltage, worth, active = vectors()
    whole = gradient(tile(), voltage, worth, active)
    parts = [gradient(tile(), *each) for each in zip(voltage, worth, active, strict=True)]
    assert np.allclose(whole, sum(parts), rtol=1e-12)


def test_what_does_not_fit_is_refused() -> None:
    voltage, worth, _ = vectors()
    for wrong in (worth[:2], worth[:, :3], np.where(worth > 1, np.nan, worth)):
        with pytest.raises(SpikecError) as refused:
            gradient(tile(), voltage, wrong)
        assert refused.value.diagnostics[0].code == "E1302"


def test_the_step_of_its_docstring_lowers_the_loss() -> None:
    done = doctest.testmod(module)
    assert done.attempted > 5 and done.failed == 0


def test_steps_through_the_wires_find_what_makes_up_for_them() -> None:
    """Forty steps of gradient descent take 99 % of the loss off."""
    rng = np.random.default_rng(4)
    cells = rng.uniform(1e-5, 1e-4, (24, 6))
    voltage = 0.2 * (rng.random((12, 24)) < 0.3)
    wanted = 0.9 * voltage @ cells
    losses = []
    for _ in range(40):
        circuit = Crossbar(cells, 4.0, 4.0)
        lack = Solver(circuit).currents(voltage) - wanted
        losses.append(float((lack**2).sum()))
        slope = gradient(circuit, voltage, 2 * lack)
        cells = np.maximum(cells - losses[-1] / (slope**2).sum() * slope, 0)
    assert losses[-1] < 0.01 * losses[0]
