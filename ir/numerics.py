"""Number formats, rounding and overflow: the arithmetic a target is held to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Rounding(StrEnum):
    """How an exact value between two representable ones is rounded."""

    NEAREST_EVEN = "nearest_even"
    NEAREST_AWAY = "nearest_away"  # ties away from zero
    TOWARD_ZERO = "toward_zero"
    UP = "up"  # toward plus infinity
    DOWN = "down"  # toward minus infinity: an arithmetic shift
    STOCHASTIC = "stochastic"  # up with the probability of the fraction; needs a generator


class Overflow(StrEnum):
    """What happens to a value that the width cannot hold."""

    SATURATE = "saturate"
    WRAP = "wrap"


def round_real(
    x: npt.ArrayLike, rounding: Rounding, generator: np.random.Generator | None = None
) -> FloatArray:
    r"""Round to integers: :math:`y = \mathrm{round}(x)`, as float64.

    Shapes: any. Raises ``ValueError`` when ``stochastic`` comes without a generator.
    """
    x = np.asarray(x, dtype=np.float64)
    match rounding:
        case Rounding.NEAREST_EVEN:
            return np.rint(x)
        case Rounding.NEAREST_AWAY:
            # floor(|x| + 0.5) is wrong for 0.49999999999999994; the fraction is exact.
            whole = np.trunc(x)
            return np.where(np.abs(x - whole) >= 0.5, whole + np.copysign(1.0, x), whole)
        case Rounding.TOWARD_ZERO:
            return np.trunc(x)
        case Rounding.UP:
            return np.ceil(x)
        case Rounding.DOWN:
            return np.floor(x)
        case Rounding.STOCHASTIC:
            if generator is None:
                raise ValueError("stochastic rounding needs a seeded generator")
            low = np.floor(x)
            return low + (generator.random(x.shape) < (x - low))


def fit(x: npt.ArrayLike, width: int, overflow: Overflow, signed: bool = True) -> IntArray:
    """Bring integers into ``width`` bits by saturation or two's complement wrapping."""
    x = np.asarray(x, dtype=np.int64)
    low, high = limits(width, signed)
    if overflow is Overflow.SATURATE:
        return np.clip(x, low, high)
    return np.asarray((x - low) % (1 << width) + low, dtype=np.int64)


def limits(width: int, signed: bool = True) -> tuple[int, int]:
    """The smallest and the largest integer of ``width`` bits."""
    return (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)


@dataclass(frozen=True)
class Format:
    r"""A fixed-point format: :math:`x = k \, 2^{-\mathrm{point}}`, :math:`k` of ``width`` bits.

    Error of one conversion inside the range: at most half a step :math:`2^{-point-1}` for the
    nearest modes, less than one step for the others.
    """

    width: int
    point: int = 0
    signed: bool = True
    rounding: Rounding = Rounding.NEAREST_EVEN
    overflow: Overflow = Overflow.SATURATE

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 62:
            raise ValueError(f"a format has 1 to 62 bits, not {self.width}")

    @property
    def low(self) -> int:
        """The smallest integer."""
        return limits(self.width, self.signed)[0]

    @property
    def high(self) -> int:
        """The largest integer."""
        return limits(self.width, self.signed)[1]

    def integers(
        self, x: npt.ArrayLike, generator: np.random.Generator | None = None
    ) -> IntArray:
        """Real values to the integers that stand for them."""
        scaled = np.ldexp(np.asarray(x, dtype=np.float64), self.point)
        rounded = round_real(scaled, self.rounding, generator)
        if self.overflow is Overflow.SATURATE:
            rounded = np.clip(rounded, self.low, self.high)
        else:  # modulo in float64 first: a cast of a huge float is undefined
            rounded = np.fmod(rounded, float(1 << self.width))
        return fit(rounded.astype(np.int64), self.width, self.overflow, self.signed)

    def values(self, k: npt.ArrayLike) -> FloatArray:
        """Integers to the real values they stand for."""
        return np.ldexp(np.asarray(k, dtype=np.float64), -self.point)


@dataclass(frozen=True)
class Numerics:
    r"""The arithmetic of an integer population, in the order it happens.

    ::

        d  = (acc << shift) + bias                    exact
        u' = fit(round(u * decay_u / 2^F) + d)        CUBA models only
        w  = max(fit(round(v * decay_v / 2^F) + x), v_min)

    ``state`` is the format of v and u (its rounding is the one of the decay products, its
    overflow the one of ``fit``), ``weight`` that of a weight, ``decay_bits`` is F, and
    ``acc_bits`` the width of an accumulator, proven wide enough for every input by the quantiser.
    """

    weight: Format
    state: Format
    decay_bits: int = 12
    acc_bits: int = 24


def as_real(x: Any) -> FloatArray:
    """``x`` as float64."""
    return np.asarray(x, dtype=np.float64)
