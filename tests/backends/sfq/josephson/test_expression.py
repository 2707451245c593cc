"""Numbers and expressions of decks."""

from __future__ import annotations

import ast
import math
import operator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.sfq.josephson.expression import ExpressionError, evaluate, number

NAMES = {"IC": 2.5, "PHI0": 2.067833848e-15, "B1": 1.62, "X_2": -3.0}


def lookup(name: str) -> float:
    if name not in NAMES:
        raise ExpressionError(f"'{name}' is no parameter")
    return NAMES[name]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2.5", 2.5), ("-3", -3.0), ("+.5", 0.5), ("5.", 5.0), ("1e-12", 1e-12), ("2E3", 2e3),
        ("0.07pF", 0.07e-12), ("175ua", 175e-6), ("160ohm", 160.0), ("2.8mV", 2.8e-3),
        ("3meg", 3e6), ("3MEGohm", 3e6), ("4x", 4e6), ("5F", 5e-15), ("7k", 7e3), ("1t", 1e12),
        ("2g", 2e9), ("8.2e-005", 8.2e-5), ("1e3k", 1e6), ("10n", 1e-8),
    ],
)  # fmt: skip
def test_numbers(text: str, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", ["", "p", "1.2.3", "0x10", "1e", "--1", "1 2", "inf", "nan"])
def test_what_is_no_number(text: str) -> None:
    if text == "1e":  # 1, and a unit that means nothing
        assert number(text) == 1
        return
    with pytest.raises(ExpressionError, match="is not a number"):
        number(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Phi0/(2*B1*100u)", 2.067833848e-15 / (2 * 1.62 * 1e-4)),
        ("100u*6.859904418", 100e-6 * 6.859904418),
        ("-2^2", -4.0), ("2**3**2", 512.0), ("2^-1", 0.5), ("7-3-2", 2.0), ("12/4/3", 1.0),
        ("sqrt(ic*ic) + x_2", -0.5), ("cos(pi)", -1.0), ("- - 3", 3.0), ("((2))", 2.0),
    ],
)  # fmt: skip
def test_expressions(text: str, value: float) -> None:
    assert evaluate(text, lookup) == pytest.approx(value, rel=1e-15, abs=0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1+", "missing at its end"), ("", "missing at its end"), ("(1", "not closed"),
        ("1)", r"'\)' is out of place"), ("1 2", "'2' is out of place"), ("*2", "out of place"),
        ("foo", "'FOO' is no parameter"), ("open(1)", "'open' is no function"),
        ("1/0", "has no value"), ("sqrt(-1)", "has no value"), ("(-2)^0.5", "has no value"),
        ("10^400", "has no value"), ("1e308*10", "is inf"), ("a.b", "not understood"),
        ("__import__('os')", "not understood"), ("(" * 60 + "1" + ")" * 60, "parentheses"),
        ("log(0)", "has no value"), ("1 if 2 else 3", "'if' is out of place"),
    ],
)  # fmt: skip
def test_what_has_no_value(text: str, words: str) -> None:
    with pytest.raises(ExpressionError, match=words):
        evaluate(text, lookup)


def trees() -> Any:
    leaf = st.floats(0.5, 4, width=16).map(repr) | st.sampled_from(["ic", "B1"])
    return st.recursive(
        leaf,
        lambda inner: (
            st.tuples(inner, st.sampled_from("+-*/"), inner).map(
                lambda t: f"({t[0]} {t[1]} {t[2]})"
            )
            | inner.map(lambda t: f"-{t}")
            | st.tuples(inner, st.sampled_from("+-*/"), inner).map(" ".join)
        ),
        max_leaves=12,
    )


OPERATORS: dict[type, Any] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip


def walked(node: Any) -> float:
    """The same by Python's own syntax tree."""
    if isinstance(node, ast.BinOp):
        return float(OPERATORS[type(node.op)](walked(node.left), walked(node.right)))
    if isinstance(node, ast.UnaryOp):
        return -walked(node.operand)
    return NAMES[node.id.upper()] if isinstance(node, ast.Name) else float(node.value)


@settings(max_examples=150, deadline=None)
@given(trees())
def test_random_expressions_are_those_of_python(text: str) -> None:
    try:
        wanted = walked(ast.parse(text, mode="eval").body)
    except ZeroDivisionError:
        wanted = math.inf
    if not math.isfinite(wanted):
        with pytest.raises(ExpressionError):
            evaluate(text, lookup)
        return
    assert evaluate(text, lookup) == wanted
