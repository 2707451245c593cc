r"""A membrane with a recovery (`neurons.Izhikevich`): the numbers of its step and their bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .numerics import limits

# Euler steps of the membrane in one step.
MAX_SUBSTEPS: Final = 8
# State and decay bits beside a recovery: the widest product has six more, and fits 63.
MAX_PRODUCT_BITS: Final = 56


@dataclass(frozen=True)
class Recovery:
    r"""What the step of such a membrane has beside b, :math:`k_m` and drift: ``substeps`` times

    .. math:: x \leftarrow (b + \mathrm{curve}\,x)\,x + \mathrm{drift} + k_m S - \mathrm{pull}\,u

    and :math:`u' = u + \mathrm{rate}\,(\mathrm{couple}\,v - u) + \mathrm{jump}\,z`. Arrays of
    shape () or the population's.
    """

    curve: npt.NDArray[np.float64]
    couple: npt.NDArray[np.float64]
    rate: npt.NDArray[np.float64]
    jump: npt.NDArray[np.float64]
    pull: npt.NDArray[np.float64]
    substeps: int


class Factor(NamedTuple):
    """A whole number that a state is multiplied by: F + ``more`` bits, F those of a decay."""

    more: int
    signed: bool = True

    def width(self, decay_bits: int) -> int:
        """Bits of the field."""
        return decay_bits + self.more

    def limits(self, decay_bits: int) -> tuple[int, int]:
        """The smallest and the largest one."""
        return limits(self.width(decay_bits), self.signed)


# Those of `neurons.IntegerNeuron`: its ``decay_v``, and what it has besides. Its jump is a state.
DECAY: Final = Factor(4)
FACTORS: Final[Mapping[str, Factor]] = {
    "curve": Factor(5, signed=False),
    "couple": Factor(3),
    "rate": Factor(5),
}
