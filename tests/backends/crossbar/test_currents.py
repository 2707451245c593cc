"""What reads see: the noise of cells behind wires, beside exact derivatives of the circuit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.backends.crossbar.circuit import Crossbar
from spikec.backends.crossbar.conditions import Conditions
from spikec.backends.crossbar.currents import currents_of
from spikec.backends.crossbar.curve import curve_of
from spikec.backends.crossbar.design import Electrics
from spikec.backends.crossbar.gradient import gradient
from spikec.backends.crossbar.nonlinear import NonlinearSolver
from spikec.backends.crossbar.solve import Solver
from spikec.boards.macro import load_macro

ROWS, COLUMNS = 64, 12


def electrics(*words: str, macro: str = "rram-wan") -> Electrics:
    return Electrics.of(load_macro(macro), Conditions().but(words))


def cells(found: Electrics, rows: int = ROWS, columns: int = COLUMNS) -> tuple[Crossbar, Any]:
    """A tile that loses much in its wires, and a noise of its own for every cell."""
    rng = np.random.default_rng(3)
    device = found.device
    siemens = rng.uniform(device.g_min.value, device.g_max.value, (rows, columns))
    siemens[rng.random((rows, columns)) < 0.1] = device.g_min.value
    return found.circuit(siemens), rng.uniform(1e-7, 1e-6, (rows, columns))


def pulses(rows: int = ROWS, vectors: int = 3, share: float = 0.3) -> Any:
    return (np.random.default_rng(4).random((vectors, rows)) < share).astype(np.int64)


@pytest.mark.parametrize("gated", ["on", "off"])
def test_the_variance_of_a_current_is_that_of_its_derivatives(gated: str) -> None:
    """At up to 40 % of a current lost: within 1 % of the exact first order, by the adjoint."""
    found = electrics("wire=20", f"gated={gated}")
    circuit, sigma = cells(found)
    x = pulses()
    current, variance = currents_of(circuit, sigma, found)(x, True)
    volt = found.voltage * x
    active = x > 0 if gated == "on" else None
    assert np.allclose(current, Solver(circuit).currents(volt, active), rtol=1e-9)
    assert (current < 0.85 * volt @ circuit.conductance).any()
    for vector in range(len(x)):
        rows = None if active is None else active[vector]
        for line in range(COLUMNS):
            slope = gradient(circuit, volt[vector], np.eye(COLUMNS)[line], rows)
            exact = ((sigma * slope) ** 2).sum()
            assert variance[vector, line] == pytest.approx(exact, rel=0.01, abs=0)


def test_the_variance_of_cells_that_bend() -> None:
    """Beside derivatives of the solved circuit by central differences, cell by cell."""
    found = electrics("wire=5", "gated=off", macro="rram-hfo2")
    circuit, sigma = cells(found, 16, 6)
    curve = curve_of(found.device, circuit.conductance)
    assert curve is not None
    x = pulses(16, 1, 0.5)
    _, variance = currents_of(circuit, sigma, found)(x, True)
    exact, step = np.zeros(6), 1e-3
    for place in np.ndindex(16, 6):
        # The curve in proportion to the conductance, as `device.bends` has it beyond its fit.
        ends = []
        for factor in (1 - step, 1 + step):
            siemens = circuit.conductance.copy()
            siemens[place] *= factor
            solver = NonlinearSolver(replace(circuit, conductance=siemens), curve)
            ends.append(solver.currents(found.voltage * x[0]))
        slope = (ends[1] - ends[0]) / (2 * step * circuit.conductance[place])
        exact += (sigma[place] * slope) ** 2
    assert variance[0] == pytest.approx(exact, rel=0.01, abs=0)


@pytest.mark.parametrize("gated", ["on", "off"])
def test_without_wires_the_variance_is_the_sum_of_the_cells(gated: str) -> None:
    found = electrics("wire=0", f"gated={gated}")
    circuit, sigma = cells(found)
    x = pulses(vectors=70)
    _, variance = currents_of(circuit, sigma, found)(x, True)
    assert np.allclose(variance, found.voltage**2 * (x**2 @ sigma**2), rtol=1e-5, atol=0)


def test_a_quiet_read_has_the_same_currents() -> None:
    found = electrics("wire=5", "gated=on")
    circuit, sigma = cells(found)
    x = pulses()
    quiet = currents_of(circuit, 0 * sigma, found)(x, False)[0]
    assert (quiet == currents_of(circuit, sigma, found)(x, True)[0]).all()
