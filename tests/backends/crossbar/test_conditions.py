"""Conditions as the command line has them."""

from __future__ import annotations

from typing import Any

import pytest

from spikec.backends.crossbar.conditions import Conditions
from spikec.backends.crossbar.layout import Signs
from spikec.ir.diagnostics import SpikecError


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("wire=1.5", "wire", 1.5),
        ("age=90", "age", 90.0),
        ("age=2.5h", "age", 9000.0),
        ("age = 1day", "age", 86400.0),
        ("age=none", "age", None),
        ("stuck=1%", "stuck", 0.01),
        ("stuck=0.25", "stuck", 0.25),
        ("adc_bits=none", "adc_bits", 0),
        ("adc-bits=ideal", "adc_bits", 0),
        ("adc_bits=6", "adc_bits", 6),
        ("gated=on", "gated", True),
        ("read_noise=off", "read_noise", False),
        ("signs=offset", "signs", Signs.OFFSET),
        ("slice_bits=2", "slice_bits", 2),
        ("temperature=350", "temperature", 350.0),
    ],
)
def test_words(word: str, name: str, value: Any) -> None:
    found = Conditions().but([word])
    assert getattr(found, name) == value and type(getattr(found, name)) is type(value)
    usual = getattr(Conditions(), name)
    assert found.said == ({} if value == usual else {name: value})
    assert Conditions(**found.said) == found


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("wire", "'wire' is no condition", "KEY=VALUE with one of age, wire"),
        ("wires=1", "'wires=1' is no condition", "KEY=VALUE"),
        ("wire=thick", "'thick' is no value of wire", "a number"),
        ("wire=-1", "wire is -1; it is from 0 to 1e+06", ""),
        ("wire=nan", "wire is nan", ""),
        ("age=1moon", "'1moon' is no value of age", "a time as 20s or 1day"),
        ("levels=2.5", "'2.5' is no value of levels", "a whole number"),
        ("levels=1", "levels is 1; it is from 2 to 65536", ""),
        ("drift=maybe", "'maybe' is no value of drift", "on or off"),
        ("signs=both", "'both' is no value of signs", "differential or offset"),
        ("adc_bits=40", "adc_bits is 40; it is from 0 to 16", ""),
    ],
)
def test_words_that_are_wrong(word: str, message: str, hint: str) -> None:
    with pytest.raises(SpikecError) as error:
        Conditions().but([word])
    (found,) = error.value.diagnostics
    assert found.code == "E1320" and message in found.message and hint in (found.hint or "")


def test_the_last_word_counts() -> None:
    assert Conditions().but(["wire=1", "wire=2"]).wire == 2
