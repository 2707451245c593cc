"""Formats, rounding and overflow against exact fractions and against pychop."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pychop import Chopf

from spikec.ir.numerics import Format, Numerics, Overflow, Rounding, fit, limits, round_real

FORMATS = [(2, 0), (2, 5), (3, -2), (4, 3), (8, 7), (8, 0), (8, -3), (11, 4), (16, 12), (16, 15)]
DETERMINISTIC: list[Rounding] = [
    rounding for rounding in Rounding if rounding is not Rounding.STOCHASTIC
]
BELOW_HALF = 0.49999999999999994
HALF = Fraction(1, 2)


def _nearest(x: Fraction, away: bool) -> int:
    low = math.floor(x)
    if x - low != HALF:
        return math.floor(x + HALF)
    return (low if x < 0 else low + 1) if away else low + low % 2


EXACT: dict[Rounding, Callable[[Fraction], int]] = {
    Rounding.NEAREST_EVEN: lambda x: _nearest(x, away=False),
    Rounding.NEAREST_AWAY: lambda x: _nearest(x, away=True),
    Rounding.TOWARD_ZERO: math.trunc,
    Rounding.UP: math.ceil,
    Rounding.DOWN: math.floor,
}


def exact(x: float, f: Format) -> int:
    """The integer that stands for ``x``, in unbounded arithmetic."""
    k = EXACT[f.rounding](Fraction(x) * Fraction(2) ** f.point)
    if f.overflow is Overflow.SATURATE:
        return min(max(k, f.low), f.high)
    return (k - f.low) % (1 << f.width) + f.low


def samples(f: Format, count: int, seed: int) -> npt.NDArray[np.float64]:
    """Values inside and outside the range, half of them exact ties or integers."""
    rng = np.random.default_rng(seed)
    span = 3.0 * 2.0**f.width
    reals = rng.uniform(-span, span, count // 4)
    ties = np.rint(rng.uniform(-2 * span, 2 * span, count // 2)) / 2
    narrow = rng.uniform(-2, 2, count - 3 * (count // 4))
    return Format(62, f.point).values(np.concatenate([reals, ties, narrow]))


@pytest.mark.parametrize("rounding", DETERMINISTIC)
@pytest.mark.parametrize(
    ("x", "expected"),
    # in the order of Rounding: even, away, zero, up, down
    [
        (0.5, (0, 1, 0, 1, 0)),
        (-0.5, (0, -1, 0, 0, -1)),
        (1.5, (2, 2, 1, 2, 1)),
        (-1.5, (-2, -2, -1, -1, -2)),
        (2.5, (2, 3, 2, 3, 2)),
        (-2.5, (-2, -3, -2, -2, -3)),
        (BELOW_HALF, (0, 0, 0, 1, 0)),
        (-BELOW_HALF, (0, 0, 0, 0, -1)),
        (0.5000000000000001, (1, 1, 0, 1, 0)),
        (5e-324, (0, 0, 0, 1, 0)),
        (2.0**52 - 0.5, (2**52, 2**52, 2**52 - 1, 2**52, 2**52 - 1)),
        (2.0**52 + 1, (2**52 + 1,) * 5),
        (-(2.0**53) - 2, (-(2**53) - 2,) * 5),
        (1e300, (int(1e300),) * 5),
        (0.0, (0,) * 5),
    ],
)
def test_rounding_of_one_value(x: float, expected: tuple[int, ...], rounding: Rounding) -> None:
    found = round_real(x, rounding)
    assert int(found) == expected[DETERMINISTIC.index(rounding)]
    assert found.dtype == np.float64 and found.shape == ()


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(DETERMINISTIC))
def test_rounding_is_exact(x: float, rounding: Rounding) -> None:
    assert int(round_real(x, rounding)) == EXACT[rounding](Fraction(x))


@pytest.mark.parametrize("rounding", Rounding)
def test_infinities_stay(rounding: Rounding) -> None:
    rng = np.random.default_rng(0)
    assert round_real([np.inf, -np.inf], rounding, rng).tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 1, 4)])
def test_shape_is_kept(shape: tuple[int, ...], rounding: Rounding) -> None:
    rng = np.random.default_rng(0)
    assert round_real(np.full(shape, 0.3), rounding, rng).shape == shape
    assert Format(8, 2, rounding=rounding).integers(np.full(shape, 0.3), rng).shape == shape


class TestAgainstFractions:
    @pytest.mark.parametrize("overflow", Overflow)
    @pytest.mark.parametrize("signed", [True, False])
    @pytest.mark.parametrize("rounding", DETERMINISTIC)
    def test_every_conversion_is_exact(
        self, rounding: Rounding, signed: bool, overflow: Overflow
    ) -> None:
        for seed, (width, point) in enumerate(FORMATS):
            f = Format(width, point, signed, rounding, overflow)
            x = samples(f, 400, seed)
            assert f.integers(x).tolist() == [exact(v, f) for v in x.tolist()], f

    @given(
        st.floats(allow_nan=False, allow_infinity=False),
        st.builds(
            Format,
            st.integers(1, 62),
            st.integers(0, 80),
            st.booleans(),
            st.sampled_from(DETERMINISTIC),
            st.sampled_from(Overflow),
        ),
    )
    def test_any_float_in_any_format(self, x: float, f: Format) -> None:
        assert int(f.integers(x)) == exact(x, f)

    @given(
        st.floats(2.0**-500, 1e308) | st.floats(-1e308, -(2.0**-500)),
        st.builds(Format, st.integers(1, 62), st.integers(-512, 512)),
    )
    def test_any_point(self, x: float, f: Format) -> None:
        assert int(f.integers(x)) == exact(x, f)


class TestAgainstPychop:
    """pychop saturates signed formats of ``ibits`` integer and ``fbits`` fractional bits. It has
    no ties away from zero and does not wrap: those modes stand against fractions alone.
    """

    MODES = ((Rounding.NEAREST_EVEN, 1), (Rounding.UP, 2), (Rounding.DOWN, 3))
    COUNT = 100_000

    @pytest.mark.parametrize(("width", "point"), [f for f in FORMATS if f[1] >= 0])
    @pytest.mark.parametrize(("rounding", "mode"), [*MODES, (Rounding.TOWARD_ZERO, 4)])
    def test_saturated(self, rounding: Rounding, mode: int, width: int, point: int) -> None:
        f = Format(width, point, rounding=rounding)
        x = samples(f, self.COUNT, seed=width)
        peer = Chopf(width - point, point, mode).quantize(x)
        assert np.array_equal(f.values(f.integers(x)), peer)

    @pytest.mark.parametrize("overflow", Overflow)
    def test_ties_away_from_zero(self, overflow: Overflow) -> None:
        f = Format(12, 4, rounding=Rounding.NEAREST_AWAY, overflow=overflow)
        x = samples(f, self.COUNT, seed=12)
        assert f.integers(x).tolist() == [exact(v, f) for v in x.tolist()]

    @pytest.mark.parametrize(("width", "point"), [(4, 3), (8, 0), (16, 12)])
    def test_stochastic_has_the_same_law(self, width: int, point: int) -> None:
        """Both go up with the probability of the fraction; pychop draws from numpy's global."""
        f = Format(width, point, rounding=Rounding.STOCHASTIC)
        x = np.full(self.COUNT, np.ldexp(0.3, -point))
        state = np.random.get_state()
        try:
            np.random.seed(1)
            peer = Chopf(width - point, point, 5).quantize(x)
        finally:
            np.random.set_state(state)
        ours = f.values(f.integers(x, np.random.default_rng(1)))
        bound = 5 * math.sqrt(2 * 0.3 * 0.7 / self.COUNT)
        assert abs(ours.mean() - peer.mean()) < np.ldexp(bound, -point)
        assert set(ours) == set(peer)


class TestOverflow:
    @pytest.mark.parametrize(
        ("k", "saturated", "wrapped"),
        [
            (127, 127, 127),
            (128, 127, -128),
            (129, 127, -127),
            (255, 127, -1),
            (256, 127, 0),
            (-128, -128, -128),
            (-129, -128, 127),
            (-257, -128, -1),
            (2**63 - 1, 127, -1),
            (-(2**63), -128, 0),
        ],
    )
    def test_both_rails_of_8_bits(self, k: int, saturated: int, wrapped: int) -> None:
        assert fit(k, 8, Overflow.SATURATE) == saturated
        assert fit(k, 8, Overflow.WRAP) == wrapped

    @pytest.mark.parametrize(
        ("k", "saturated", "wrapped"), [(-1, 0, 15), (16, 15, 0), (15, 15, 15)]
    )
    def test_both_rails_unsigned(self, k: int, saturated: int, wrapped: int) -> None:
        assert fit(k, 4, Overflow.SATURATE, signed=False) == saturated
        assert fit(k, 4, Overflow.WRAP, signed=False) == wrapped

    @given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 62), st.booleans())
    def test_wrapping_is_modular(self, k: int, width: int, signed: bool) -> None:
        low, high = limits(width, signed)
        found = int(fit(np.array([k]), width, Overflow.WRAP, signed)[0])
        assert low <= found <= high
        assert (found - k) % (1 << width) == 0

    def test_integers_of_every_width_fit(self) -> None:
        k = np.array([-5, 300], np.int16)
        assert fit(k, 8, Overflow.SATURATE).dtype == np.int64
        assert fit(np.array([3], np.uint8), 2, Overflow.WRAP).tolist() == [-1]

    @pytest.mark.parametrize("k", [1.5, [1.0], 2**64, np.array([1], np.uint64)])
    def test_what_is_no_integer_of_64_bits_is_refused(self, k: Any) -> None:
        with pytest.raises(TypeError, match="only integers of up to 64 bits"):
            fit(k, 8, Overflow.SATURATE)

    @pytest.mark.parametrize("rounding", Rounding)
    @pytest.mark.parametrize("width", [1, 8, 53, 54, 62])
    def test_infinity_saturates(self, width: int, rounding: Rounding) -> None:
        f = Format(width, 3, rounding=rounding)
        rng = np.random.default_rng(0)
        assert f.integers([np.inf, -np.inf, 1e308, -1e308], rng).tolist() == [
            f.high,
            f.low,
            f.high,
            f.low,
        ]

    @pytest.mark.parametrize("x", [1e308, -1e308, 2.0**1023, 1e16 + 2])
    def test_huge_float_wraps_exactly(self, x: float) -> None:
        f = Format(8, 500, overflow=Overflow.WRAP)
        assert int(f.integers(x)) == exact(x, f)

    def test_infinity_does_not_wrap(self) -> None:
        with pytest.raises(ValueError, match="an infinite value cannot wrap"):
            Format(8, overflow=Overflow.WRAP).integers([0.0, np.inf])

    @pytest.mark.parametrize("overflow", Overflow)
    def test_nan_has_no_integer(self, overflow: Overflow) -> None:
        with pytest.raises(ValueError, match="2 of 3 values are not a number"):
            Format(8, overflow=overflow).integers([np.nan, 1.0, -np.nan])


class TestStochastic:
    def test_goes_up_with_the_probability_of_the_fraction(self) -> None:
        rng = np.random.default_rng(7)
        count = 200_000
        for x in (0.25, -0.25, 3.9, -17.001):
            found = round_real(np.full(count, x), Rounding.STOCHASTIC, rng)
            fraction = x - math.floor(x)
            bound = 5 * math.sqrt(fraction * (1 - fraction) / count)
            assert set(found) <= {math.floor(x), math.floor(x) + 1.0}
            assert abs(found.mean() - x) < bound

    def test_integers_stay(self) -> None:
        x = np.arange(-50.0, 50.0)
        assert np.array_equal(round_real(x, Rounding.STOCHASTIC, np.random.default_rng(0)), x)

    def test_same_seed_same_result(self) -> None:
        x = np.linspace(-3, 3, 1000)
        first, again, other = (
            round_real(x, Rounding.STOCHASTIC, np.random.default_rng(seed)) for seed in (1, 1, 2)
        )
        assert np.array_equal(first, again) and not np.array_equal(first, other)

    def test_needs_a_generator(self) -> None:
        with pytest.raises(ValueError, match="stochastic rounding needs a seeded generator"):
            round_real(0.5, Rounding.STOCHASTIC)


class TestFormat:
    @pytest.mark.parametrize(
        ("f", "low", "high"),
        [
            (Format(1), -1, 0),
            (Format(8), -128, 127),
            (Format(8, signed=False), 0, 255),
            (Format(62), -(2**61), 2**61 - 1),
        ],
    )
    def test_range(self, f: Format, low: int, high: int) -> None:
        assert (f.low, f.high) == (low, high) == limits(f.width, f.signed)

    @pytest.mark.parametrize(
        ("width", "point", "message"),
        [
            (0, 0, "a format has 1 to 62 bits, not 0"),
            (63, 0, "a format has 1 to 62 bits, not 63"),
            (8, 513, "the binary point lies within 512 bits, not at 513"),
        ],
    )
    def test_impossible_format(self, width: int, point: int, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Format(width, point)

    @pytest.mark.parametrize(("width", "point"), FORMATS)
    def test_values_and_integers_are_inverse(self, width: int, point: int) -> None:
        f = Format(width, point)
        every = np.arange(f.low, f.high + 1)
        assert np.array_equal(f.integers(f.values(every)), every)

    @pytest.mark.parametrize("rounding", Rounding)
    def test_error_bound(self, rounding: Rounding) -> None:
        f = Format(16, 10, rounding=rounding)
        x = np.random.default_rng(3).uniform(-31, 31, 10_000)
        error = np.abs(f.values(f.integers(x, np.random.default_rng(4))) - x)
        half = rounding in (Rounding.NEAREST_EVEN, Rounding.NEAREST_AWAY)
        assert error.max() <= 2.0**-11 if half else error.max() < 2.0**-10

    @pytest.mark.parametrize("arguments", [(50, 13), (62, 1), (8, -1), (8, 55)])
    def test_product_that_does_not_fit_is_refused(self, arguments: tuple[int, int]) -> None:
        width, decay_bits = arguments
        with pytest.raises(ValueError, match="the product of a state"):
            Numerics(Format(8), Format(width), decay_bits)

    def test_impossible_accumulator(self) -> None:
        with pytest.raises(ValueError, match="an accumulator has 1 to 62 bits, not 63"):
            Numerics(Format(8), Format(24), acc_bits=63)
