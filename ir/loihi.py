"""Loihi's words: the widths of its registers, and the weights of a projection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from .numerics import IntArray
from .records import Record

STATE_LIMIT: Final = (1 << 23) - 1  # of v, which saturates on both sides
DECAY_UNITY: Final = 1 << 12  # what a decay is a part of
STATE_SHIFT: Final = 6  # of thresholds and of what arrives, against u and v
# The registers of a neuron: du and dv, the bias, the threshold.
DECAY_RANGE: Final = (0, DECAY_UNITY - 1)
BIAS_MANT_RANGE: Final = (-(1 << 12), (1 << 12) - 1)
BIAS_EXP_RANGE: Final = (0, 7)
THRESHOLD_RANGE: Final = (0, (1 << 17) - 1)
THETA_RANGE: Final = (0, (1 << 12) - 1)  # of the threshold of an ATRLIF
# Of a sigma-delta neuron: its exponents, and its bias with them.
STATE_EXP_RANGE: Final = (0, 7)
DELTA_BIAS_RANGE: Final = (-(1 << 15), (1 << 15) - 1)
EXPONENT_RANGE: Final = (-8, 7)  # 4 bits with a sign
WEIGHT_BITS: Final = 8
# A connection takes a step, and may hold a spike back for 63 more.
DELAY_RANGE: Final = (1, 64)


class Sign(StrEnum):
    """Which signs the weights of a projection have; with one only, all bits are magnitude."""

    MIXED = "mixed"
    EXCITATORY = "excitatory"
    INHIBITORY = "inhibitory"


@dataclass(frozen=True, eq=False)
class LoihiWeights(Record):
    r"""The weights of a projection on Loihi: ``bits`` wide, of one ``sign``, with an ``exponent``.

    Of the synapses of a projection whose spikes arrive together,

    .. math:: \lfloor 2^{\mathrm{exponent}} \sum_i w_i \rfloor

    is added to the input of a neuron: the sum is shifted, not each weight, and toward minus
    infinity. A graded spike counts as often as its value says, negative ones too. A weight is a
    whole multiple of ``step``, :math:`2^{8 - \mathrm{bits}}` and with mixed signs twice that,
    from ``low`` to ``high``: 0 to 255, -255 to 0 or -256 to 255.

    Source: lava-nc 0.10.0, proc/dense/models.py and utils/weightutils.py.
    """

    bits: int = WEIGHT_BITS
    sign: Sign = Sign.MIXED
    exponent: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "sign", Sign(self.sign))
        if not 1 <= self.bits <= WEIGHT_BITS:
            raise ValueError(f"a weight of Loihi has 1 to {WEIGHT_BITS} bits, not {self.bits}")
        low, high = EXPONENT_RANGE
        if not low <= self.exponent <= high:
            raise ValueError(f"a weight exponent is {low} to {high}, not {self.exponent}")

    @property
    def step(self) -> int:
        """The distance of two weights."""
        return 1 << (WEIGHT_BITS - self.bits + (self.sign is Sign.MIXED))

    @property
    def low(self) -> int:
        """The smallest weight."""
        match self.sign:
            case Sign.MIXED:
                return -(1 << WEIGHT_BITS)
            case Sign.EXCITATORY:
                return 0
            case Sign.INHIBITORY:
                return -self._most

    @property
    def high(self) -> int:
        """The largest weight."""
        return 0 if self.sign is Sign.INHIBITORY else self._most

    @property
    def rails(self) -> tuple[int, int]:
        """The smallest and the largest weight that is learned: of all eight bits, in steps of 1."""
        most = (1 << WEIGHT_BITS) - 1
        match self.sign:
            case Sign.MIXED:
                return -(1 << WEIGHT_BITS), most
            case Sign.EXCITATORY:
                return 0, most
            case Sign.INHIBITORY:
                return -most, 0

    @property
    def _most(self) -> int:
        most = (1 << WEIGHT_BITS) - 1
        return most // self.step * self.step

    def cut(self, weight: npt.ArrayLike) -> IntArray:
        r"""The weights that Loihi makes of whole numbers: clipped, then cut to multiples of a step.

        Toward minus infinity, but inhibitory ones toward zero: their magnitude is cut.
        """
        magnitude = np.asarray(weight, np.int64) * (-1 if self.sign is Sign.INHIBITORY else 1)
        low = self.low if self.sign is Sign.MIXED else 0
        # Clipped to all eight bits, whatever is cut afterwards.
        words = np.clip(magnitude, low, (1 << WEIGHT_BITS) - 1) // self.step * self.step
        return np.asarray(-words if self.sign is Sign.INHIBITORY else words)
