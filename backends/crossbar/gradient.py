r"""How the currents of a crossbar depend on its cells: gradients for training behind the wires.

With I the currents of the bit lines and L a scalar, Tellegen's theorem for the circuit and its
adjoint, which is the transposed one with :math:`\lambda_j = \partial L / \partial I_j` volts at
the sensed end of bit line j and its drivers at 0 V, gives for every cell

.. math:: \frac{\partial L}{\partial G_{ij}} = (w_{ij} - b_{ij}) (b'_{ij} - w'_{ij}),

the voltage across it in the circuit times that across it in the adjoint one, there from bit line to
word line. So a gradient costs two solves a vector, however many cells there are, and no derivative
is approximated. Wires, drivers and sense amplifiers stay as they are; cells are linear.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import fail
from .circuit import Crossbar
from .solve import TOLERANCE, Solver

Array = npt.NDArray[np.float64]


def gradient(
    circuit: Crossbar,
    voltage: Any,
    sensitivity: Any,
    active: Any = None,
    *,
    tolerance: float = TOLERANCE,
    limit: int | None = None,
) -> Array:
    r"""dL/dG of each cell, (rows, columns), in units of L per S, summed over the vectors.

    ``voltage`` and ``active`` are those of ``Solver.currents``; ``sensitivity`` :math:`\lambda` is
    dL/dI in units of L per A, (columns,) or (vectors, columns). A row that is not active does not
    count. For a function of the transfer matrix T, whose rows are the currents for 1 V at one word
    line each, the voltages are the unit matrix and the sensitivity is dL/dT.

    E1302 where shapes do not fit; E1303 as ``Solver.currents``.

    One step of retraining through the wires: 1 ohm a segment, and currents that should be those of
    ideal wires.

    >>> rng = np.random.default_rng(0)
    >>> cells = rng.uniform(1e-6, 1e-4, (32, 8))
    >>> voltage = 0.2 * (rng.random((16, 32)) < 0.3)
    >>> wanted = voltage @ cells
    >>> def lack(cells):
    ...     return Solver(Crossbar(cells, word=1.0, bit=1.0)).currents(voltage) - wanted
    >>> before = lack(cells)
    >>> circuit = Crossbar(cells, word=1.0, bit=1.0)
    >>> slope = gradient(circuit, voltage, 2 * before)     # of L = sum of lack squared
    >>> step = (before**2).sum() / (slope**2).sum()        # to L = 0, if it were linear
    >>> after = lack(cells - step * slope)
    >>> bool((after**2).sum() < 0.5 * (before**2).sum())
    True
    """
    volt = circuit.voltages(voltage)
    on = circuit.active(active, volt)
    sense = np.atleast_2d(np.asarray(sensitivity, np.float64))
    if sense.shape != (len(volt), circuit.columns):
        raise fail(
            "E1302",
            f"sensitivities have the shape {np.shape(sensitivity)}, the currents "
            f"({len(volt)}, {circuit.columns})",
        )
    if not np.isfinite(sense).all():
        raise fail("E1302", "a sensitivity is not a finite number")
    forward = Solver(circuit)
    found = np.zeros_like(circuit.conductance)
    # The adjoint has its gated rows as columns, so their cells are taken out of it.
    patterns, which = np.unique(on, axis=0, return_inverse=True)
    for number, rows in enumerate(patterns):
        cells = circuit.conductance * rows[:, None]
        adjoint = Solver(replace(circuit, conductance=cells).transposed())
        for k in np.flatnonzero(which.ravel() == number):
            here = forward.across(volt[k], on[k], tolerance=tolerance, limit=limit)
            there = adjoint.across(sense[k], tolerance=tolerance, limit=limit)
            found += here * there.T
    return found
