r"""How long the lines of a tile take to settle, by their Elmore delays.

A line is a ladder from its driver or sense amplifier to its far end: resistances :math:`R_k`, each
followed by a node with the capacitance C of a segment and the conductance :math:`G_k` of a cell to
0 V. With the admittance :math:`Y_k = a_k + b_k s + O(s^2)` of node k and all that is behind it,

.. math::
    a_k = G_k + \frac{a_{k+1}}{1 + R_{k+1} a_{k+1}}, \qquad
    b_k = C + \frac{b_{k+1}}{(1 + R_{k+1} a_{k+1})^2}, \qquad
    \tau = \sum_k \frac{R_k b_k}{1 + R_k a_k},

where :math:`\tau` is the first moment of the far end's response to a step: Elmore's delay. Without
cells it is :math:`C (N R_{end} + R N (N + 1) / 2)`. The same holds for a current from the far end
of a bit line into its sense amplifier, by reciprocity. A line of one pole is within half a step of
b bits after :math:`\ln(2) (b + 1) \tau`.

Source: W. C. Elmore, J. Appl. Phys. 19, 55 (1948), for the delay; for lines of resistances and
capacitances J. Rubinstein, P. Penfield, M. Horowitz, IEEE Trans. CAD 2, 202 (1983).
"""

from __future__ import annotations

from math import log

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def elmore(siemens: Floats, ohm: float, end: float, farad: float) -> Floats:
    """Elmore's delay of the far end of lines, s, (lines,).

    ``siemens`` (lines, segments) are their cells from the held end on, ``ohm`` and ``farad`` of a
    segment, ``end`` the ohm between the held end and its first segment.
    """
    lines, segments = siemens.shape
    behind, charge, delay = np.zeros(lines), np.zeros(lines), np.zeros(lines)
    for k in range(segments - 1, -1, -1):
        resistance = ohm + (end if k == 0 else 0.0)
        behind, charge = behind + siemens[:, k], charge + farad
        loss = 1 + resistance * behind
        delay += resistance * charge / loss
        behind, charge = behind / loss, charge / loss**2
    return delay


def settling(tau: float, bits: int) -> float:
    r"""Seconds until a line of one pole is within half a step of ``bits``,
    :math:`\ln(2) (b + 1) \tau`.
    """
    return log(2) * (bits + 1) * tau
