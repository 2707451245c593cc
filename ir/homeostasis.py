r"""Homeostasis: what keeps neurons at work, and their weights in bounds, while they learn.

`AdaptiveThreshold` belongs to a population and raises the threshold of what spikes much; `Scaling`
belongs to the plasticity of a projection and holds what a neuron receives at a target.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite

import numpy as np
import numpy.typing as npt

from .records import Record, frozen_array

Real = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AdaptiveThreshold(Record):
    r""":math:`\theta = v_\mathrm{threshold} + h`, and each spike raises h.

    A step compares with the h that the step before has left; then

    .. math::
        h \leftarrow e^{-dt/\tau}\,\min(h + \mathrm{increment}\,[\text{it spiked}],
        \mathrm{maximum}),

    in every step of the population from its first on, refractory or not. h starts at zero. What a
    spike takes off v under ``subtract`` stays ``v_threshold``.

    h is cleared before every sample, as v is; with ``persistent`` it is learned, as a weight is: it
    goes on from sample to sample, and stands still in samples that do not learn.

    Shapes () or the population's. Units: ``increment`` and ``maximum`` those of v, not negative;
    ``tau`` seconds, positive or infinite (h never decays). ``maximum`` ``None`` is no bound. After
    the theta of Diehl and Cook, Front. Comput. Neurosci. 9:99, 2015.
    """

    increment: Real = field(metadata={"unit": "V"})
    tau: Real = field(metadata={"unit": "s"}, default_factory=lambda: np.asarray(np.inf))
    maximum: Real | None = field(metadata={"unit": "V"}, default=None)
    persistent: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("increment", "tau", "maximum"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, frozen_array(value, np.float64))


class Occasion(StrEnum):
    """When weights are scaled."""

    SAMPLE = "sample"  # those of all post neurons, after each sample that learns
    SPIKE = "spike"  # those of one, where a spike of it is at its synapses


class Norm(StrEnum):
    """What of the weights of a post neuron has a target."""

    SUM = "sum"
    ABSOLUTE = "absolute"  # the sum of their absolute values
    POSITIVE = "positive"  # the sum of those above zero: what excites


@dataclass(frozen=True, eq=False)
class Scaling(Record):
    r""":math:`w_{ij} \leftarrow \mathrm{clamp}(w_{ij}\,\mathrm{target} / \nu_j)`.

    .. math::
        \nu_j = \sum_i w_{ij}, \quad \sum_i |w_{ij}| \quad\text{or}\quad \sum_i \max(w_{ij}, 0)

    as ``norm`` says, over the plastic synapses of the projection into neuron j. So :math:`\nu_j` is
    the target afterwards, to the rounding of float64, unless a weight meets a rail. Where
    :math:`\nu_j` is zero, or of the other sign, nothing is scaled.

    Under ``Occasion.SAMPLE`` the weights of all j are scaled after each sample that learns; under
    ``SPIKE`` those of j where a spike of j is at its synapses, behind all that the spikes of that
    step change there, and in samples that learn. What is sent in that step is not scaled yet.

    Units: ``target`` those of a weight; not zero, and positive but for a sum. After Turrigiano et
    al., Nature 391, 1998; per sample as Diehl and Cook, Front. Comput. Neurosci. 9:99, 2015.
    """

    target: float
    occasion: Occasion = Occasion.SAMPLE
    norm: Norm = Norm.SUM

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "target", float(self.target))
        object.__setattr__(self, "occasion", Occasion(self.occasion))
        object.__setattr__(self, "norm", Norm(self.norm))

    def problems(self, low: float, high: float, most: int) -> Iterator[str]:
        """What is wrong beside rails ``low`` to ``high`` and at most ``most`` synapses a neuron."""
        if not isfinite(self.target) or self.target == 0:
            yield f"its weights are scaled to {self.target:g}; a target is finite and not zero"
            return
        if self.target < 0 and self.norm is not Norm.SUM:
            yield f"its weights are scaled to {self.target:g}; a norm is positive"
            return
        rail = high if self.target > 0 else low
        if self.norm is Norm.ABSOLUTE:
            rail = max(abs(low), abs(high))
        reach = most * max(rail, 0.0) if self.target > 0 else most * min(rail, 0.0)
        if abs(reach) < abs(self.target) * (1 - 1e-9):
            yield (
                f"its weights are scaled to {self.target:g}, but {most} of them within {low:g} to "
                f"{high:g} reach {reach:g} at most: {abs(self.target - reach):g} too little"
            )
