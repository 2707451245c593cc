r"""Homeostasis: what keeps neurons at work, and their weights in bounds, while they learn.

`AdaptiveThreshold` belongs to a population and raises the threshold of what spikes much; `Scaling`
belongs to the plasticity of a projection and holds what a neuron receives at a target.
"""

from __future__ import annotations

from dataclasses import dataclass, field

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
