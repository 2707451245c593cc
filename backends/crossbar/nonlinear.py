r"""Exact currents of a crossbar whose cells do not keep to Ohm's law.

A cell that is G at 0 V passes, at V volts from word line to bit line,

.. math:: I(V) = G (V + k_2 V^2 + k_3 V^3), \quad I'(V) = G (1 + 2 k_2 V + 3 k_3 V^2).

CrossSim 3.2.0 has this form, with :math:`G k_2` and :math:`G k_3` as NL2 and NL3 (its
simulator/devices/custom/RRAM_Milo.py). Newton's method on the voltages of all nodes is, step by
step, a linear crossbar of conductances :math:`g = I'(V)` with a current source
:math:`J = I(V) - g V` beside each cell, for which ``Solver.with_sources`` eliminates the word lines
and has conjugate gradients for what is left. What Kirchhoff's law lacks at the nodes behind a step
of length t is always a current c beside each cell,

.. math:: c \leftarrow (1 - t) c + I(V + t d) - I(V) - t g d,

d being the full step's change of V, so all bookkeeping is of cells, none of nodes.

**It cannot diverge.** The solution is the minimum of the co-content, whose slope along a step is
:math:`\varphi'(t) = \sum c(t) d`. It is convex where :math:`I' > 0`, which is asked of all
voltages that a cell can see: by the maximum principle of passive circuits none is beyond the spread
of the drivers and 0 V. Outside of that, where only iterates go, the curve goes on as a straight
line. A step is halved until :math:`\varphi'(t/2) + \varphi'(t) \le \varphi'(0) / 8`: convexity
makes the co-content fall by :math:`-t \varphi'(0) / 16` at least, and near the solution the full
step always passes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import fail
from ...ir.records import Record, frozen_array
from .circuit import Crossbar
from .solve import TOLERANCE, Solver, each_vector, solutions

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
STEPS = 100  # of Newton's method; 3 to 6 are usual
_HALVINGS = 60
_FLAT = 1e-9  # of the conductance at 0 V: what rounding may make of 0
_BEYOND = 1 + 1e-9  # of the largest voltage, for what rounding adds


@dataclass(frozen=True, eq=False)
class Curve(Record):
    r"""How the cells bend: :math:`I(V) = G (V + k_2 V^2 + k_3 V^3)`, V from word line to bit line.

    ``square`` k_2 in 1/V and ``cube`` k_3 in 1/V^2: one number for all cells, or an array that
    numpy spreads over (rows, columns). An odd curve has a ``square`` of 0.
    """

    square: Any = 0.0
    cube: Any = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("square", "cube"):
            value = np.asarray(getattr(self, name), np.float64)
            if not np.isfinite(value).all():
                raise fail("E1301", f"the coefficient '{name}' of a cell's curve is not finite")
            object.__setattr__(self, name, frozen_array(value, np.float64))

    def spread(self, circuit: Crossbar) -> tuple[Array, Array]:
        """Both coefficients of each cell (rows, columns); E1301 where they do not fit."""
        shape = circuit.conductance.shape
        try:
            return np.broadcast_to(self.square, shape), np.broadcast_to(self.cube, shape)
        except ValueError:
            raise fail(
                "E1301",
                f"coefficients of the shapes {self.square.shape} and {self.cube.shape} do not fit "
                f"cells of the shape {shape}",
            ) from None

    def current(self, volt: Any) -> Array:
        """I(V) / G in V."""
        u = np.asarray(volt, np.float64)
        return np.asarray(u * (1 + u * (self.square + self.cube * u)))

    def slope(self, volt: Any) -> Array:
        """I'(V) / G."""
        u = np.asarray(volt, np.float64)
        return np.asarray(1 + u * (2 * self.square + 3 * self.cube * u))


class NonlinearSolver:
    """Currents of one crossbar of cells that all follow one kind of ``Curve``."""

    def __init__(self, circuit: Crossbar, curve: Curve) -> None:
        self.circuit = circuit
        self._square, self._cube = curve.spread(circuit)

    def currents(
        self,
        voltage: Any,
        active: Any = None,
        *,
        tolerance: float = TOLERANCE,
        limit: int | None = None,
    ) -> Array:
        r"""Current of each bit line into its sense amplifiers, in A, as ``Solver.currents``.

        ``tolerance`` is of the residual of each linear solve, and of what the cells' currents lack
        in the end, :math:`\sum |c|`, relative to the largest current sensed. E1304 where a cell's
        current falls with its voltage somewhere in the range it may see; E1303 where ``limit``
        iterations are too few for a linear solve.
        """
        return each_vector(
            self.circuit,
            voltage,
            active,
            limit,
            (self.circuit.columns,),
            lambda volt, on, most: self._vector(volt, on, tolerance, most)[0],
        )

    def solution(
        self,
        voltage: Any,
        active: Any = None,
        *,
        tolerance: float = TOLERANCE,
        limit: int | None = None,
    ) -> tuple[Array, Array]:
        """``currents``, and the voltages across cells as ``Solver.across`` has them."""
        return solutions(
            self.circuit,
            voltage,
            active,
            limit,
            lambda volt, on, most: self._vector(volt, on, tolerance, most),
        )

    def _vector(self, volt: Array, on: Mask, tolerance: float, limit: int) -> tuple[Array, Array]:
        siemens = self.circuit.conductance * on[:, None]
        edge = _BEYOND * float(max(volt.max(), 0.0) - min(volt.min(), 0.0))
        cells = _Cells(siemens, self._square, self._cube, edge)
        cells.check()
        across = lack = np.zeros_like(siemens)
        for step in range(STEPS):
            solver = Solver(replace(self.circuit, conductance=cells.slope(across)))
            sensed, there = solver.with_sources(volt, on, cells.source(across), tolerance, limit)
            change = there - across
            rest = cells.bend(across, change)
            if np.abs(rest).sum() <= tolerance * np.abs(sensed).max():
                return sensed, there
            # Before the first step there are no currents along the lines, so there is no lack.
            length = cells.length(across, change, lack) if step else 1.0
            if length == 1:
                across, lack = there, rest
            else:
                lack = (1 - length) * lack + cells.bend(across, length * change)
                across = across + length * change
        raise fail(
            "E1303",
            f"{STEPS} steps of Newton's method do not bring the cells' currents to "
            f"{tolerance:g} of the bit lines'",
            hint="allow a larger tolerance",
        )


@dataclass(frozen=True)
class _Cells:
    """The cells' currents, as straight lines beyond ``edge`` V; all arrays (rows, columns)."""

    siemens: Array
    square: Array
    cube: Array
    edge: float

    def check(self) -> None:
        """E1304 unless every cell's current rises with its voltage up to the edges."""
        square, cube = self.square, self.cube
        with np.errstate(divide="ignore", invalid="ignore"):
            vertex = np.where(cube > 0, -square / (3 * cube), 0.0)
        places = np.stack([np.full_like(vertex, -self.edge), np.full_like(vertex, self.edge)])
        places = np.concatenate([places, np.clip(vertex, -self.edge, self.edge)[None]])
        relative = 1 + places * (2 * square + 3 * cube * places)
        wrong = (relative <= _FLAT) & (self.siemens > 0)
        if wrong.any():
            place, row, column = np.argwhere(wrong)[0]
            raise fail(
                "E1304",
                f"the cell at row {row}, column {column} may see "
                f"{places[place, row, column]:.4g} V, where its conductance dI/dV is "
                f"{relative[place, row, column]:.3g} of that at 0 V; the voltages are "
                f"{self.edge:.4g} V apart",
                hint="use smaller voltages, or a curve that rises all along them",
            )

    def slope(self, across: Array) -> Array:
        """dI/dV in S."""
        u = np.clip(across, -self.edge, self.edge)
        return np.asarray(self.siemens * (1 + u * (2 * self.square + 3 * self.cube * u)))

    def source(self, across: Array) -> Array:
        """The tangent's current at 0 V, in A; written so that nothing cancels."""
        u = np.clip(across, -self.edge, self.edge)
        return np.asarray(-self.siemens * u * u * (self.square + 2 * self.cube * u))

    def current(self, across: Array) -> Array:
        """I in A."""
        return self.source(across) + self.slope(across) * across

    def bend(self, across: Array, change: Array) -> Array:
        """How far the current after a change of voltage is from the tangent before it, in A."""
        there = across + change
        near = self.siemens * change**2 * (self.square + self.cube * (3 * across + change))
        inside = (np.abs(across) <= self.edge) & (np.abs(there) <= self.edge)
        if inside.all():
            return np.asarray(near)
        far = self.current(there) - self.current(across) - self.slope(across) * change
        return np.where(inside, near, far)

    def length(self, across: Array, change: Array, lack: Array) -> float:
        """The share of a step that is taken: 1, or halves of it until the co-content falls."""
        start = float((lack * change).sum())

        def slope(share: float) -> float:
            rest = self.bend(across, share * change)
            return (1 - share) * start + float((rest * change).sum())

        share, end = 1.0, slope(1.0)
        for _ in range(_HALVINGS):
            middle = slope(share / 2)
            if middle + end <= start / 8:
                break
            share, end = share / 2, middle
        return share
