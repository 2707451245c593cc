r"""The fewest pulses that a neuron can count and still be the same function of its inputs.

A neuron without memory fires where :math:`\sum_i w_i x_i \ge \theta` for inputs of 0 and 1. Weights
of a quantised network are large whole numbers; each unit of one would be a pulse. The function is
the same for all w and theta that separate the same two sets of inputs, and the least
:math:`\sum_i |w_i|` among them is a whole-number linear program,

.. math::
    \sum_i w_i x_i \ge \theta \;\; \text{where it fires}, \qquad
    \sum_i w_i x_i \le \theta - 1 \;\; \text{where not},

of which the inputs that are least among those that fire and greatest among those that do not are
enough (Muroga, Threshold Logic and Its Applications, 1971).

A neuron that adds up over steps and begins at 0 when it has fired is a function of how often each
input came since: the same program, with whole numbers for x and no weight below 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import gcd
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp

from ....ir.records import Record, frozen_array

Integers = npt.NDArray[np.int64]
# Inputs whose combinations are gone through one by one, and as many combinations of counts.
MOST_EXACT: Final = 12


@dataclass(frozen=True, eq=False)
class Unit(Record):
    r"""A neuron that fires where :math:`\sum_i w_i x_i \ge \theta`.

    ``weight`` w (inputs,) whole numbers, ``threshold`` theta.
    """

    weight: Integers
    threshold: int

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight", frozen_array(self.weight, np.int64))

    @property
    def never(self) -> bool:
        """Whether it cannot fire at all."""
        return int(np.maximum(self.weight, 0).sum()) < self.threshold

    @property
    def always(self) -> bool:
        """Whether it fires whatever comes."""
        return int(np.minimum(self.weight, 0).sum()) >= self.threshold

    def __call__(self, x: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether it fires for inputs (..., inputs)."""
        return np.asarray(np.asarray(x, np.int64) @ self.weight >= self.threshold)


def smallest(unit: Unit) -> Unit:
    """The same function with the least sum of the weights' sizes.

    Exact up to ``MOST_EXACT`` inputs that matter; beyond, weights are divided by what they share.
    """
    used = np.flatnonzero(unit.weight)
    # With all weights above 0 it fires the more the more inputs there are.
    sign = np.sign(unit.weight[used])
    size = np.abs(unit.weight[used])
    theta = unit.threshold + int(size[sign < 0].sum())
    if theta <= 0 or theta > size.sum():
        return Unit(np.zeros_like(unit.weight), 0 if theta <= 0 else 1)
    if used.size <= MOST_EXACT:
        size, theta = _exact(size, theta, np.ones_like(size), 1e-3 / theta)
    else:
        size, theta = _divided(size, theta)
    weight = np.zeros_like(unit.weight)
    weight[used] = sign * size
    return Unit(weight, theta - int(size[sign < 0].sum()))


def fewest(unit: Unit) -> Unit:
    """The same for inputs that are counted over steps, until they fire it: fewest pulses and cells.

    ``unit`` has no weight below 0, some above, and a threshold above 0. Exact up to
    ``2**MOST_EXACT`` combinations of counts; beyond, weights are divided by what they share.
    """
    used = np.flatnonzero(unit.weight)
    # More than enough is no more than enough: the sum begins anew.
    size, theta = np.minimum(unit.weight[used], unit.threshold), unit.threshold
    most = -(-theta // size)
    if np.prod(most + 1.0) <= 1 << MOST_EXACT:
        size, theta = _exact(size, theta, most, 1.0)
    else:
        size, theta = _divided(size, theta)
    weight = np.zeros_like(unit.weight)
    weight[used] = size
    return Unit(weight, theta)


def _divided(size: Integers, theta: int) -> tuple[Integers, int]:
    shared = reduce(gcd, size.tolist())
    return size // shared, -(-theta // shared)


def _exact(size: Integers, theta: int, most: Integers, dear: float) -> tuple[Integers, int]:
    """The least weights, none negative, and the threshold of a function that only rises.

    ``most`` (inputs,) is how often each input comes; a unit of the threshold costs ``dear`` times
    one of a weight.
    """
    n = size.size
    x = np.indices((most + 1).tolist()).reshape(n, -1).T
    sums = x @ size
    fires = sums >= theta
    # Least: without any one of its inputs it does not fire; greatest: with any other it does.
    least = fires & ((sums - np.where(x > 0, size, sums[:, None] + 1).min(axis=1)) < theta)
    more = np.where(x < most, size, sums[:, None] + theta).min(axis=1)
    greatest = ~fires & ((sums + more) >= theta)
    rows = np.concatenate([x[least], -x[greatest]])
    bound = np.concatenate([np.full(least.sum(), -1.0), np.ones(greatest.sum())])
    # The unknowns are the weights and theta: w x - theta >= 0, and theta - w x >= 1.
    matrix = np.column_stack([rows, bound])
    low = np.concatenate([np.zeros(least.sum()), np.ones(greatest.sum())])
    found = milp(
        np.append(np.ones(n), dear),
        constraints=LinearConstraint(matrix, low, np.inf),
        integrality=np.ones(n + 1),
        bounds=Bounds(0, np.append(size, theta)),
    )
    if found.x is None:  # a limit of the solver's: what was given is right, too
        return size, theta
    whole = np.rint(found.x).astype(np.int64)
    return whole[:-1], int(whole[-1])
