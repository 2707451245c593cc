"""Rounding and overflow of fixed-point values, as logic."""

# Amaranth ships no types.
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from amaranth.hdl import Cat, Mux, Value

from .shape import Overflow, Rounding


def rounded(value: Value, bits: int, rounding: Rounding) -> Value:
    """round(value / 2^bits) of a signed value; ``bits`` >= 1."""
    whole = value >> bits
    fraction = value[:bits]
    negative = value[-1]
    half = fraction[-1]
    below = fraction[:-1].any()
    match rounding:
        case "floor":
            return whole
        case "ceil":
            return whole + fraction.any()
        case "toward_zero":
            return whole + (fraction.any() & negative)
        case "nearest_even":
            return whole + (half & (below | whole[0]))
        case "nearest_away":
            return whole + (half & (below | ~negative))


def fitted(value: Value, width: int, overflow: Overflow) -> Value:
    """A signed value in ``width`` bits, saturated or wrapped (two's complement)."""
    if len(value) <= width:
        return value
    low = value[:width].as_signed()
    if overflow == "wrap":
        return low
    sign = value[-1]
    above = value[width - 1 :]
    limit = Cat((~sign).replicate(width - 1), sign).as_signed()
    return Mux(above.all() | ~above.any(), low, limit)
