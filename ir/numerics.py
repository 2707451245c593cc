"""Number formats, rounding and overflow: the arithmetic a target is held to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from .records import Record

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


_BELOW_HALF = float(np.nextafter(0.5, 0.0))


def round_real(
    x: npt.ArrayLike, rounding: Rounding, generator: np.random.Generator | None = None
) -> FloatArray:
    r"""Round to integers: :math:`y = \mathrm{round}(x)`, as float64.

    Shapes: any; an infinity stays one. Raises ``ValueError`` when ``stochastic`` comes without a
    generator.
    """
    x = np.asarray(x, dtype=np.float64)
    y: FloatArray
    match rounding:
        case Rounding.NEAREST_EVEN:
            y = np.rint(x)
        case Rounding.NEAREST_AWAY:
            # Adding 0.5 itself would carry 0.49999999999999994 up to 1.
            y = np.trunc(x + np.copysign(_BELOW_HALF, x))
        case Rounding.TOWARD_ZERO:
            y = np.trunc(x)
        case Rounding.UP:
            y = np.ceil(x)
        case Rounding.DOWN:
            y = np.floor(x)
        case Rounding.STOCHASTIC:
            if generator is None:
                raise ValueError("stochastic rounding needs a seeded generator")
            low = np.floor(x)
            with np.errstate(invalid="ignore"):  # inf - inf
                y = low + (generator.random(x.shape) < x - low)
    return y


def fit(k: npt.ArrayLike, width: int, overflow: Overflow, signed: bool = True) -> IntArray:
    """Bring integers into ``width`` bits by saturation or two's complement wrapping.

    Raises ``TypeError`` for anything but integers of at most 64 bits.
    """
    k = np.asarray(k)
    if k.dtype.kind not in "biu" or k.dtype == np.uint64:
        raise TypeError(f"only integers of up to 64 bits fit a width, not {k.dtype}")
    k = k.astype(np.int64, copy=False)
    if overflow is Overflow.SATURATE:
        return np.clip(k, *limits(width, signed))
    bits = k & np.int64((1 << width) - 1)
    if not signed:
        return np.asarray(bits)
    sign = np.int64(1 << (width - 1))
    return np.asarray((bits ^ sign) - sign)


def limits(width: int, signed: bool = True) -> tuple[int, int]:
    """The smallest and the largest integer of ``width`` bits."""
    return (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)


@dataclass(frozen=True, eq=False)
class Format(Record):
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
        super().__post_init__()
        if not 1 <= self.width <= 62:
            raise ValueError(f"a format has 1 to 62 bits, not {self.width}")
        if not -512 <= self.point <= 512:
            raise ValueError(f"the binary point lies within 512 bits, not at {self.point}")

    @property
    def low(self) -> int:
        """The smallest integer."""
        return limits(self.width, self.signed)[0]

    @property
    def high(self) -> int:
        """The largest integer."""
        return limits(self.width, self.signed)[1]

    def integers(self, x: npt.ArrayLike, generator: np.random.Generator | None = None) -> IntArray:
        r"""The integers that stand for real values: :math:`k = \mathrm{round}(x\,2^{point})`.

        Exact for every finite float, however large. An infinity saturates; ``ValueError`` for one
        that would have to wrap, and for a NaN.
        """
        x = np.asarray(x, dtype=np.float64)
        if np.isnan(x).any():
            raise ValueError(f"{int(np.isnan(x).sum())} of {x.size} values are not a number")
        if self.overflow is Overflow.WRAP:
            if np.isinf(x).any():
                raise ValueError("an infinite value cannot wrap")
            # The remainder is exact, and keeps sign and fraction; scaling first could overflow.
            x = np.fmod(x, np.ldexp(1.0, self.width - self.point))
        with np.errstate(over="ignore"):
            scaled = np.ldexp(x, self.point)
        if self.overflow is Overflow.SATURATE:
            scaled = np.clip(scaled, self.low, self.high)
        rounded = round_real(scaled, self.rounding, generator)
        return fit(rounded.astype(np.int64), self.width, self.overflow, self.signed)

    def values(self, k: npt.ArrayLike) -> FloatArray:
        """Integers to the real values they stand for."""
        return np.ldexp(np.asarray(k, dtype=np.float64), -self.point)


@dataclass(frozen=True, eq=False)
class Numerics(Record):
    r"""The arithmetic of an integer population, in the order it happens.

    ::

        d  = (acc << shift) + bias                    exact
        u' = fit(round(u * decay_u / 2^F) + d)        CUBA models only
        w  = max(fit(round(v * decay_v / 2^F) + x), v_min)    a linear leak: see `IntegerNeuron`

    ``state`` is the format of v and u (its rounding is the one of the decay products, its
    overflow the one of ``fit``), ``weight`` that of a weight, ``decay_bits`` is F, and
    ``acc_bits`` the width of an accumulator, proven wide enough for every input by the quantiser.
    """

    weight: Format
    state: Format
    decay_bits: int = 12
    acc_bits: int = 24

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.decay_bits <= 62 - self.state.width:
            raise ValueError(
                f"the product of a state of {self.state.width} bits and a decay of "
                f"{self.decay_bits} does not fit 63"
            )
        if not 1 <= self.acc_bits <= 62:
            raise ValueError(f"an accumulator has 1 to 62 bits, not {self.acc_bits}")


# SpiNNaker's: `accum` is the state (products are cut, sums wrap), u0.32 a decay, s4.11 a trace.
S1615 = Format(32, 15, rounding=Rounding.DOWN, overflow=Overflow.WRAP)
U032 = Format(32, 32, signed=False, rounding=Rounding.DOWN, overflow=Overflow.WRAP)
S411 = Format(16, 11, rounding=Rounding.DOWN, overflow=Overflow.WRAP)
