"""Short-term plasticity: how much of its weight a synapse sends, by the spikes it sent before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .records import Record, frozen_array

Real = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TsodyksMarkram(Record):
    r"""Facilitation and depression of a synapse.

    Tsodyks, Uziel and Markram, J. Neurosci. 20, 2000. Between pre spikes resources are recovered
    (x), active (y) and inactive (z),

    .. math::
        \dot y = -y / \tau_\mathrm{syn}, \qquad
        \dot z = y / \tau_\mathrm{syn} - z / \tau_\mathrm{rec}, \qquad
        x = 1 - y - z, \qquad
        \dot u = -u / \tau_\mathrm{facil},

    and a spike that is at the synapse sends :math:`w\,u\,x` after

    .. math:: u \leftarrow u + U (1 - u), \qquad y \leftarrow y + u x.

    ``u`` is U, without unit; ``tau_rec``, ``tau_facil`` (0: u is U at every spike) and ``tau_syn``
    are in seconds. Shape () or that of the weights. All resources are recovered, and u is 0, at the
    start of a sample.
    """

    u: Real
    tau_rec: Real
    tau_facil: Real
    tau_syn: Real

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("u", "tau_rec", "tau_facil", "tau_syn"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64))

    def problems(self, shape: tuple[int, ...]) -> Iterator[str]:
        """What is out of range for weights of this shape, one sentence each."""
        ranges = {"u": (0.0, 1.0), "tau_facil": (0.0, np.inf)}
        for name in ("u", "tau_rec", "tau_facil", "tau_syn"):
            value: Real = getattr(self, name)
            low, high = ranges.get(name, (np.nextafter(0.0, 1.0), np.inf))
            if value.shape not in ((), shape):
                yield f"{name} of the short-term plasticity has shape {value.shape}, not {shape}"
            elif not (np.isfinite(value) & (value >= low) & (value <= high)).all():
                wrong = value[~(np.isfinite(value) & (value >= low) & (value <= high))]
                least = "above 0 s" if low else f"{low:g} to {high:g}"
                yield (
                    f"{name} of the short-term plasticity is {wrong.flat[0]:g}; it must be {least}"
                )
