r"""The rate gap: how far apart rates are where a network is to fire and where it is not.

Of a network in which chance decides which pulses pass, spikes are never all the integer rung's, and
what is read out is a rate. With :math:`r_k` the share of steps in which an output neuron fires at
an input, k over all inputs of a step and neurons, and 1 those k at which the integer rung has a
spike, 0 those at which it has none,

.. math:: g = \min_{k \in 1} r_k - \max_{k \in 0} r_k.

All inputs come in an order by chance, and again in others: order t has, of :math:`i \in 1` and
:math:`j \in 0`, the difference :math:`D_t = x_{i,t} - x_{j,t}` of what fired, -1, 0 or 1, with the
mean :math:`r_i - r_j`. Whether :math:`g \ge G` is decided as soon as orders leave no doubt: for
those with :math:`r_i - r_j \le G` the wealth of who bets shares :math:`\lambda` on the opposite,

.. math:: W = \sum_\lambda w_\lambda \prod_t \left(1 + \lambda (D_t - G)\right), \qquad
    0 < \lambda < \frac{1}{1 + G}, \quad \sum_\lambda w_\lambda = 1,

is at most 1 on the mean and ever reaches :math:`1/\epsilon` with a probability of at most
:math:`\epsilon` (Ville's inequality), however often it is looked at. The circuit works where the
wealth of all pairs has reached that. It does not where the wealth of who bets on
:math:`r_i - r_j < G` has, of any pair, reached :math:`N/\epsilon` with the number N of pairs.
Either is wrong with a probability of at most :math:`\epsilon`, whatever the steps of an order have
to do with each other.

Source: I. Waudby-Smith and A. Ramdas, J. Royal Statistical Society B 86 (2024) 1-27.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ..ir.events import Events, Stimulus
from .artifact import Artifact
from .backend import Gap, ToleranceRequest
from .ladder import INTEGER, run_rung

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
# Shares of the largest stake, and how much is on each: all of it, nearly, is best where few pulses
# are lost, and most circuits are such.
_STAKES: Final[Floats] = np.array([0.3, 0.6, 0.98])
_ON: Final[Floats] = np.array([0.1, 0.2, 0.7])
# After so many orders one is looked at first, and then after so many times more.
_FIRST: Final = 12
_MORE: Final = 1.1


def patterns(stimulus: Stimulus) -> Stimulus:
    """The inputs of a step that a stimulus has, each once and a sample of its own, sorted."""
    names = list(stimulus.inputs)
    ends = np.cumsum([stimulus.inputs[name].size for name in names])
    own = [
        np.unique(
            np.concatenate([stimulus.inputs[name].dense(k) for name in names], axis=1), axis=0
        )
        for k in range(stimulus.samples)
    ]
    every = np.unique(np.concatenate(own), axis=0)[:, None, :]
    parts = np.split(every, ends[:-1], axis=2)
    return Stimulus(
        {name: Events.from_dense(part) for name, part in zip(names, parts, strict=True)}
    )


def gap_request(
    artifact: Artifact, inputs: Stimulus, gap: Gap, conditions: Sequence[str] = (), seed: int = 1
) -> ToleranceRequest:
    """What a backend is asked for the gap between these `patterns`; codes as `run_rung`."""
    wanted = run_rung(artifact, INTEGER, inputs).recording
    return ToleranceRequest(artifact, inputs, wanted, tuple(conditions), seed, gap)


def looks(orders: int) -> list[int]:
    """After how many of ``orders`` one looks whether they decide, all of them last."""
    found, k = list[int](), _FIRST
    while k < orders:
        found.append(k)
        k = math.ceil(k * _MORE)
    return [*found, orders]


def decided(fires: Bools, falls: Bools, gap: Gap) -> bool | None:
    """Whether a circuit has the gap; ``None`` as long as orders do not decide.

    ``fires`` (orders, ones) are what fired where it should, ``falls`` (orders, zeros) where not.
    """
    if not gap.error:
        return None
    one, other = fires.astype(np.float64), falls.astype(np.float64)
    together = one.T @ other
    up, down = one.sum(0)[:, None] - together, other.sum(0) - together
    same = len(fires) - up - down
    doubt = -math.log(gap.error)
    if (_wealth(up, same, down, gap.least) >= doubt).all():
        return True
    if (_wealth(down, same, up, -gap.least) >= doubt + math.log(up.size)).any():
        return False
    return None


def _wealth(up: Floats, same: Floats, down: Floats, least: float) -> Floats:
    """Of who bets that the mean of as many 1, 0 and -1 is above ``least``; its logarithm."""
    stake = _STAKES[:, None, None] / (1 + least)
    each = (
        up * np.log1p(stake * (1 - least))
        + same * np.log1p(-stake * least)
        + down * np.log1p(-stake * (1 + least))
    )
    return np.asarray(np.logaddexp.reduce(each + np.log(_ON)[:, None, None], axis=0))
