r"""Conductances whose effective ones, behind the wires, are in proportion to the weights.

With T the exact transfer matrix of a tile and n the conductance of each cell above the lowest,
:math:`n = G - G_0`, it looks for G so that

.. math:: T(G)_{ij} = c_{ig} + \alpha_g n_{ij}

for every cell of every group g of columns: then the differences of a group are :math:`\alpha_g`
times those without wires, and a digital factor :math:`1 / \alpha_g` gives them back. Of all
:math:`\alpha_g \le 1` it takes the largest that no cell has to exceed the highest conductance for,
and of all :math:`c \ge G_0` the least that none has to be below the lowest for: currents that reach
a bit line through other rows can be more than the wires take.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .circuit import Crossbar
from .solve import Solver, transfer

Floats = npt.NDArray[np.float64]

_TURNS = 40
_CLOSE = 1e-6


@dataclass(frozen=True, eq=False)
class Compensated:
    """What `compensate` found: target conductances (rows, columns) in S, and ``alpha`` (columns,).

    ``residual`` is the largest :math:`|T - c - \\alpha n|` of a free cell over the largest
    :math:`\\alpha n`; above 1e-6 not all can be met.
    """

    conductance: Floats
    alpha: Floats
    residual: float


def compensate(
    circuit: Crossbar,
    wanted: Floats,
    group: npt.NDArray[np.int64],
    low: float,
    high: float,
    *,
    held: npt.NDArray[np.bool_] | None = None,
    partner: npt.NDArray[np.int64] | None = None,
) -> Compensated:
    r"""Solve T(G) = c + alpha n =: t, by :math:`G \leftarrow G + (t - T(G)) / u`.

    u, for :math:`\partial T / \partial G`, is the product of what the word line leaves of a drive
    and what the bit line leaves of a current, each with the other lines at 0 V.

    ``wanted`` n (rows, columns) in S, ``group`` (columns,) numbers the group that each column is
    of. Cells that are ``held`` stay as they are in ``circuit``: they are stuck. The ``partner``
    (columns,) of a column, where there is one, is what it is subtracted from: opposite a cell that
    is held the free one makes up for it, as far as it can.
    """
    rows, columns = wanted.shape
    held = np.zeros(wanted.shape, np.bool_) if held is None else held
    free = ~held
    stuck = circuit.conductance
    found = np.where(held, stuck, low + wanted)
    alpha = np.ones(columns)
    beside = np.zeros_like(held)
    if partner is not None:
        beside = held[:, partner] & free
    counts = free & ~beside & (wanted > 0)
    groups = int(group.max()) + 1
    before = np.inf
    best = Compensated(found, alpha, np.inf)
    for _ in range(_TURNS):
        trial = replace(circuit, conductance=found)
        seen = transfer(trial)
        slope = Solver(trial).drive * Solver(trial.transposed()).drive.T
        # What the lowest and the highest conductance would come to.
        least_seen, most_seen = (seen + slope * (end - found) for end in (low, high))
        base = np.full((groups, rows), low)
        np.maximum.at(base, group, np.where(free, least_seen - alpha * wanted, low).T)
        base = base[group].T
        reach = np.where(counts, (most_seen - base) / np.where(wanted > 0, wanted, 1.0), np.inf)
        least = np.full(groups, np.inf)
        np.minimum.at(least, group, reach.min(axis=0))
        alpha = np.clip(least, 1e-3, 1.0)[group]
        target = base + alpha * wanted
        if partner is not None:
            opposite = seen[:, partner] + alpha * (wanted - wanted[:, partner])
            target = np.where(beside, np.maximum(opposite, 0.0), target)
        wrong = np.abs(seen - target)[free & ~beside]
        scale = float((alpha * wanted).max(initial=0.0)) or 1.0
        residual = float(wrong.max(initial=0.0)) / scale
        if residual < best.residual:
            best = Compensated(found, alpha, residual)
        if residual < _CLOSE or residual > 0.999 * before:
            break
        before = residual
        found = np.where(held, stuck, np.clip(found + (target - seen) / slope, low, high))
    return best
