r"""Currents of a tile's bit lines for spikes on its word lines, and what noise of its cells adds.

Conductances that deviate by :math:`\delta_{ik}`, of standard deviation :math:`\sigma_{ik}` and each
by itself, change the current of bit line j, to first order, by

.. math:: \delta I_j = \sum_{ik} \delta_{ik} u_{ik} w_{ikj},

with :math:`u` the voltage across each cell for the spikes at hand, and :math:`w_{ikj}` the share of
a current injected beside cell ik that reaches the sense amplifiers of j. What reaches those of
other lines goes back through cells and is little beside what the line itself loses, so that here

.. math:: \mathrm{var}\, I_j = \sum_i (\sigma_{ij} u_{ij} w_{ij})^2

with :math:`w_{ij}` what bit line j leaves where the word lines hold their voltage: up to 1 % above
the exact variance where wires take 40 % of a current, and 2 % where they take 57 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from . import kernels
from .circuit import Crossbar
from .curve import curve_of
from .design import Electrics
from .nonlinear import NonlinearSolver
from .solve import Solver, transfer

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
# Pulses (vectors, word lines), and whether reads are noisy, to currents and their variances.
Currents = Callable[[Integers, bool], tuple[Floats, Floats]]


def currents_of(circuit: Crossbar, sigma: Floats, electrics: Electrics) -> Currents:
    """What reads of these conductances give, ``sigma`` (rows, columns) in S a read's noise.

    Currents in A and their variances in A^2, (vectors, bit lines) each.
    """
    if (electrics.gated and not electrics.wireless) or electrics.device.bend is not None:
        return _Solved(circuit, sigma, electrics)
    return _Products(circuit, sigma, electrics.voltage)


def sensed_share(circuit: Crossbar) -> Floats:
    """The share w of a current beside each cell that its bit line leaves, (rows, columns)."""
    return np.ascontiguousarray(Solver(circuit.transposed()).drive.T)


class _Products:
    """Currents of linear cells whose silent rows are held at 0 V, or that have no wires: V x T."""

    def __init__(self, circuit: Crossbar, sigma: Floats, voltage: float) -> None:
        self._matrix = voltage * transfer(circuit)
        self._circuit, self._voltage = circuit, voltage
        self._noise = (sigma * sensed_share(circuit)).astype(np.float32)
        self._known: npt.NDArray[np.float32] | None = None

    def __call__(self, pulses: Integers, noisy: bool) -> tuple[Floats, Floats]:
        """Currents and their variances, (vectors, bit lines)."""
        x = pulses.astype(np.float64)
        found = x @ self._matrix
        return found, self._variance(pulses) if noisy else np.zeros(())

    def _variance(self, pulses: Integers) -> Floats:
        found = np.empty((len(pulses), self._circuit.columns))
        kernels.variances(self._across, self._noise, pulses, found)
        return found

    @property
    def _across(self) -> npt.NDArray[np.float32]:
        """Voltages across the cells for a spike on each word line, (lines, rows, columns).

        A standard deviation does not need more than seven digits.
        """
        if self._known is None:
            rows, solver = self._circuit.rows, Solver(self._circuit)
            self._known = np.empty((rows, *self._circuit.conductance.shape), np.float32)
            for row, unit in enumerate(np.eye(rows)):
                self._known[row] = solver.across(self._voltage * unit)
        return self._known


class _Solved:
    """Currents of gated rows, or of cells that are not linear: one solution a vector, kept."""

    KEPT: Final = 1 << 16

    def __init__(self, circuit: Crossbar, sigma: Floats, electrics: Electrics) -> None:
        self._circuit, self._sigma, self._electrics = circuit, sigma, electrics
        self._noisy = bool(sigma.any())
        self._curve = curve_of(electrics.device, circuit.conductance)
        self._solver: Solver | NonlinearSolver = Solver(circuit)
        if self._curve is not None:
            self._solver = NonlinearSolver(circuit, self._curve)
        self._known: dict[bytes, Floats] = {}

    def __call__(self, pulses: Integers, noisy: bool) -> tuple[Floats, Floats]:
        """Currents and their variances, (vectors, bit lines)."""
        lines = self._circuit.columns
        found = np.array([self._vector(x) for x in pulses]).reshape(len(pulses), 2, lines)
        return found[:, 0], found[:, 1] if noisy else np.zeros(())

    def _vector(self, x: Any) -> Floats:
        key = x.astype(np.int8).tobytes()
        if key not in self._known:
            if len(self._known) >= self.KEPT:
                self._known.clear()
            self._known[key] = self._found(self._electrics.voltage * x, x != 0)
        return self._known[key]

    def _found(self, volt: Floats, spikes: npt.NDArray[np.bool_]) -> Floats:
        """Currents of one vector and their variances, (2, bit lines)."""
        active = spikes if self._electrics.gated else None
        if not self._noisy:
            current = self._solver.currents(volt, active)
            return np.stack([current, np.zeros_like(current)])
        current, across = self._solver.solution(volt, active)
        cells, noise = self._circuit.conductance, across
        if self._curve is not None:
            cells, noise = cells * self._curve.slope(across), self._curve.current(across)
        if active is not None:
            cells = cells * active[:, None]
        left = sensed_share(replace(self._circuit, conductance=cells))
        return np.stack([current, ((self._sigma * noise * left) ** 2).sum(axis=0)])
