"""Numbers of SPICE and arithmetic with them: never executed as a program's text."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator
from typing import Final

_SUFFIXES: Final = {
    "MEG": 1e6, "F": 1e-15, "P": 1e-12, "N": 1e-9, "U": 1e-6, "M": 1e-3,
    "K": 1e3, "X": 1e6, "G": 1e9, "T": 1e12,
}  # fmt: skip
# The powers of ten as text, so that 0.07p is the number that 0.07e-12 is.
_POWERS: Final = {key: f"e{round(math.log10(value))}" for key, value in _SUFFIXES.items()}
_NUMBER: Final = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+))(e[+-]?\d+)?([a-z]*)", re.I)
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?[a-z]*)|(?P<name>[a-z_]\w*)"
    r"|(?P<sign>\*\*|[-+*/^(),]))",
    re.I,
)
_FUNCTIONS: Final[dict[str, Callable[[float], float]]] = {
    "SIN": math.sin, "COS": math.cos, "TAN": math.tan, "ASIN": math.asin, "ACOS": math.acos,
    "ATAN": math.atan, "SINH": math.sinh, "COSH": math.cosh, "TANH": math.tanh, "EXP": math.exp,
    "LOG": math.log, "LOG10": math.log10, "SQRT": math.sqrt, "ABS": abs,
}  # fmt: skip
_CONSTANTS: Final = {"PI": math.pi}
_DEEPEST: Final = 50


class ExpressionError(ValueError):
    """What cannot be read or computed; the message has the word."""


def number(text: str) -> float:
    """A number of SPICE: ``2.5``, ``0.07pF``, ``160ohm``, ``1e-12``, ``3MEG``.

    The letter behind it is its scale, more letters are a unit and mean nothing: ``5F`` is 5e-15, as
    JoSIM reads it.
    """
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        raise ExpressionError(f"'{text}' is not a number")
    digits, exponent, letters = found[1], found[2] or "", found[3].upper()
    suffix = next((s for s in _SUFFIXES if letters.startswith(s)), "")
    if suffix and exponent:
        return float(digits + exponent) * _SUFFIXES[suffix]
    return float(digits + exponent + _POWERS.get(suffix, ""))


def evaluate(text: str, lookup: Callable[[str], float]) -> float:
    """An expression of numbers, names, + - * / ^ ** ( ) and JoSIM's functions of one number.

    It may be in braces or quotes.
    ``lookup`` has the value of a name, in upper case, or raises ``ExpressionError``.
    """
    value = _Parser(text.strip().strip("{}'"), lookup).whole()
    if not math.isfinite(value):
        raise ExpressionError(f"'{text}' is {value}")
    return value


class _Parser:
    """Recursive descent: sums of products of powers."""

    def __init__(self, text: str, lookup: Callable[[str], float]) -> None:
        self._text, self._lookup = text, lookup
        self._tokens = list(_tokens(text))
        self._at = self._depth = 0

    def whole(self) -> float:
        value = self._sum()
        if self._at < len(self._tokens):
            raise ExpressionError(f"'{self._tokens[self._at][1]}' is out of place")
        return value

    def _next(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, *signs: str) -> str:
        if self._at < len(self._tokens) and self._tokens[self._at] in [("sign", s) for s in signs]:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return ""

    def _sum(self) -> float:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionError("it has too many parentheses")
        value = self._product()
        while sign := self._take("+", "-"):
            other = self._product()
            value = value + other if sign == "+" else value - other
        self._depth -= 1
        return value

    def _product(self) -> float:
        value = self._signed()
        while sign := self._take("*", "/"):
            other = self._signed()
            value = self._safe(operator.mul if sign == "*" else operator.truediv, value, other)
        return value

    def _signed(self) -> float:
        negative = False
        while sign := self._take("-", "+"):
            negative ^= sign == "-"
        value = self._power()
        return -value if negative else value

    def _power(self) -> float:
        value = self._atom()
        if self._take("^", "**"):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise ExpressionError("it has too many powers of powers")
            value = self._safe(math.pow, value, self._signed())
            self._depth -= 1
        return value

    def _atom(self) -> float:
        if self._take("("):
            value = self._sum()
            self._close()
            return value
        if self._at == len(self._tokens):
            raise ExpressionError("something is missing at its end")
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return number(text)
        if kind != "name":
            raise ExpressionError(f"'{text}' is out of place")
        name = text.upper()
        if self._next() == "(":
            if name not in _FUNCTIONS:
                raise ExpressionError(f"'{text}' is no function")
            self._at += 1
            value = self._sum()
            self._close()
            return self._safe(_FUNCTIONS[name], value)
        return _CONSTANTS[name] if name in _CONSTANTS else self._lookup(name)

    def _close(self) -> None:
        if not self._take(")"):
            raise ExpressionError("a parenthesis is not closed")

    def _safe(self, function: Callable[..., float], *values: float) -> float:
        try:
            return function(*values)
        except (ArithmeticError, ValueError):
            raise ExpressionError(f"'{self._text}' has no value") from None


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise ExpressionError(f"'{text[at:].strip()}' is not understood")
        at = found.end()
        kind = found.lastgroup or ""
        yield kind, found[kind]
