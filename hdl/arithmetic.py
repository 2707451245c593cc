"""Rounding, overflow and selection, as logic."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Mux, Value

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


def times(value: Value, factor: Value) -> Value:
    """The exact product, signed if ``value`` is; ``factor`` is unsigned.

    A constant becomes the fewest additions and subtractions of shifts (canonical signed digits):
    a decay of 1 - 2^-k is one.
    """
    if not isinstance(factor, Const):
        return value * factor
    if factor.value == 0:
        return Const(0, 1)
    # Zeros at the end are added last, so that nobody adds them.
    zeros = (factor.value & -factor.value).bit_length() - 1
    odd = factor.value >> zeros
    width = len(value) + odd.bit_length()
    product: Value | None = None
    for shift, sign in signed_digits(odd):
        term = value << shift
        product = term if product is None else product + term if sign > 0 else product - term
    assert product is not None
    product = product[:width]
    return (product.as_signed() if value.shape().signed else product) << zeros


def signed_digits(number: int) -> list[tuple[int, int]]:
    """(shift, sign) with sum sign * 2^shift = number >= 0, highest first, no two adjacent."""
    digits = []
    shift = 0
    while number:
        if number & 1:
            sign = 2 - (number & 3)
            digits.append((shift, sign))
            number -= sign
        number >>= 1
        shift += 1
    return digits[::-1]


def selected(items: Sequence[Value], index: Value) -> Value:
    """items[index] as a tree of two-way choices; anything if there is no such item.

    Synthesis makes a one-hot sum of an ``Array``, twice the size for a hundred bytes.
    """
    if len(items) == 1:
        return items[0]
    pairs = (items[at : at + 2] for at in range(0, len(items), 2))
    return selected([Mux(index[0], pair[-1], pair[0]) for pair in pairs], index[1:])
