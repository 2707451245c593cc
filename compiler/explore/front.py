r"""The Pareto front, and the hypervolume below it.

A value that is not known is worse than any that is. All objectives are made small here; whoever
wants one large hands over its negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..backend import need
from .domain import Reals

# The reference point lies beyond the worst value by so much of the range, so that the ends of the
# front count, too.
BEYOND = 0.1


def best(values: Reals) -> npt.NDArray[np.bool_]:
    r"""Which rows of ``values`` (points, objectives) no other row dominates.

    :math:`a` dominates :math:`b` where :math:`a_j \le b_j` for all j and :math:`a_j < b_j` for one.
    A NaN is the worst; of equal rows all stay. A row without any number is never the best.
    """
    known = np.where(np.isnan(values), np.inf, values)
    found = np.asarray(~np.isnan(values).all(axis=1))
    order = np.lexsort(known.T[::-1])
    kept: list[Reals] = []
    for k in order:
        if not found[k]:
            continue
        row = known[k]
        if kept:
            front = np.asarray(kept)
            if ((front <= row).all(axis=1) & (front < row).any(axis=1)).any():
                found[k] = False
                continue
        kept.append(row)
    return found


@dataclass(frozen=True)
class Box:
    """The best and the worst value of each objective, shape (objectives,)."""

    ideal: Reals
    worst: Reals

    @staticmethod
    def of(values: Reals) -> Box:
        """The box of all values (points, objectives) that are known; 0 to 0 where none is."""
        known = np.isfinite(values)
        low = np.where(known, values, np.inf).min(axis=0, initial=np.inf)
        high = np.where(known, values, -np.inf).max(axis=0, initial=-np.inf)
        return Box(np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0))

    def scaled(self, values: Reals) -> Reals:
        """0 at the ideal, 1 at the worst; what is not known is as bad as the worst that is."""
        span = self.worst - self.ideal
        filled = np.where(np.isnan(values), self.worst, values)
        return np.asarray((filled - self.ideal) / np.where(span > 0, span, 1.0))


def hypervolume(values: Reals, box: Box) -> float:
    r"""The share of the box that the points dominate.

    With :math:`z` the values scaled to 0..1 and :math:`r = 1 + 0.1` in each of m objectives

    .. math:: H = \frac{1}{r^m}\,\lambda\Bigl(\bigcup_p [z_p, r]\Bigr).

    Rows without any number dominate nothing. Needs moocore, which computes it exactly; E0601
    without.
    """
    rows = values[~np.isnan(values).all(axis=1)]
    if not rows.size:
        return 0.0
    need("moocore", "explore", "the hypervolume of a front")
    import moocore

    reference: float = 1.0 + BEYOND
    scaled = box.scaled(rows)
    # What is constant says nothing, and would only be multiplied in.
    total: float = moocore.hypervolume(scaled, ref=np.full(scaled.shape[1], reference))
    return min(1.0, float(total / reference ** scaled.shape[1]))
