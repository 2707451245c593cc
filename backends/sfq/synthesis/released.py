r"""With which probability each synapse of a network releases: said of projections, or by weights.

By weights a line j sends at most one pulse a spike to neuron k, with

.. math:: p_{jk} = |w_{jk}| / s_k, \qquad s_k = \max_j |w_{jk}|,

and the neuron counts pulses, of the signs of the weights, against

.. math:: \theta'_k = \lceil \theta_k / s_k \rceil,

:math:`\theta_k` being the least sum that fires it. With inputs x and :math:`r_{jk} = 1` with
probability :math:`p_{jk}`, else 0, the mean of what it counts is the weighted sum,

.. math:: E\Big[\sum_j \mathrm{sign}(w_{jk})\, r_{jk} x_j\Big] = \frac{1}{s_k} \sum_j w_{jk} x_j.

Noise gives p from `chance.LEAST` to `chance.MOST`: a line below has no synapse and no pulse, one
above sends all that it gets. Where all weights of a neuron are of one size no p is below 1, and it
is the neuron that it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ....ir.records import Record, frozen_array
from ..cells.chance import LEAST, MOST, law
from .unit import Unit

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
# What is said of a projection: a probability, or this word.
WEIGHTS: Final = "weights"
Said = float | str


@dataclass(frozen=True)
class Released:
    """What synapses of a projection release with; ``weights`` where that is of their weights.

    Of its ``synapses`` the probabilities are from ``least`` to ``most``, and ``worst`` is that of
    which chips have the widest range. By weights so many lines of neurons are ``dropped``, as p is
    too small, and ``certain``, without a synapse; ``lost`` is what those that are dropped would
    bring at most, ``rounded`` what the threshold is up by, in pulses, each of the neuron where it
    is largest.
    """

    weights: bool
    synapses: int
    least: float
    most: float
    worst: float
    dropped: int = 0
    certain: int = 0
    lost: float = 0.0
    rounded: float = 0.0

    @classmethod
    def of(cls, weights: bool, probabilities: Floats, **more: Any) -> Released:
        """Of synapses with these probabilities, (synapses,)."""
        if not probabilities.size:
            return cls(weights, 0, 1.0, 1.0, 1.0, **more)
        each = np.unique(probabilities).tolist()
        worst = max(each, key=_off)
        return cls(weights, probabilities.size, each[0], each[-1], worst, **more)

    @property
    def between(self) -> tuple[float, float]:
        """The probabilities between which 95 % of the synapses of ``worst`` are, on chips."""
        return law().between(self.worst)

    @property
    def off(self) -> float:
        """How far that is from ``worst``, at the end that is further."""
        return _off(self.worst)


def _off(probability: float) -> float:
    """How far from a probability 95 % of the synapses of chips may be; nothing of one that is 1."""
    if probability == 1.0:
        return 0.0
    low, high = law().between(probability)
    return max(probability - low, high - probability)


@dataclass(frozen=True, eq=False)
class Thinned(Record):
    """A neuron by weights: ``unit`` of weights -1, 0 and 1, ``release`` (lines,) of its lines.

    ``dropped`` and ``certain`` (lines,) are those of which p is too small, and all but 1; ``lost``
    and ``rounded`` as `Released` has them.
    """

    unit: Unit
    release: Floats
    dropped: Bools
    certain: Bools
    lost: float
    rounded: float

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "release", frozen_array(self.release, np.float64))
        object.__setattr__(self, "dropped", frozen_array(self.dropped, np.bool_))
        object.__setattr__(self, "certain", frozen_array(self.certain, np.bool_))


def thinned(unit: Unit) -> Thinned:
    """The neuron whose mean count is the weighted sum of ``unit``."""
    size = np.abs(unit.weight)
    scale = max(int(size.max(initial=0)), 1)
    p = size / scale
    dropped, certain = (size > 0) & (p < LEAST), p > MOST
    threshold = -(-unit.threshold // scale)
    return Thinned(
        Unit(np.where(dropped, 0, np.sign(unit.weight)), threshold),
        np.where(certain | (p < LEAST), 1.0, p),
        dropped,
        certain,
        float(p[dropped].sum()),
        threshold - unit.threshold / scale,
    )
