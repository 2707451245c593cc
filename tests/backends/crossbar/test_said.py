"""Conditions as they were said: one text for one value, refused before anything is run."""

from __future__ import annotations

import pytest

from spikec.backends.crossbar.conditions import Conditions
from spikec.backends.crossbar.said import conditions_said
from spikec.boards.macro import load_macro
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import Condition
from spikec.ir.diagnostics import SpikecError


def said(*words: str, macro: str = "pcm", compiled: tuple[str, ...] = ()) -> tuple[Condition, ...]:
    facts = {"conditions": Conditions().but(compiled).said}
    return conditions_said(Artifact({}, {"emission": facts}), words, load_macro(macro))


@pytest.mark.parametrize(
    ("word", "text", "shown", "number"),
    [
        ("age=1day", "86400", "1 day", 86400.0),
        ("age=86400", "86400", "1 day", 86400.0),
        ("age=90s", "90", "1.5 min", 90.0),
        ("age=86401", "86401", "86401 s", 86401.0),
        ("age=none", "none", "just after", None),
        ("age=0", "0", "0 s", 0.0),
        ("wire=0.50", "0.5", "0.5 ohm", 0.5),
        ("wire=2e0", "2", "2 ohm", 2.0),
        ("stuck=1%", "0.01", "1 %", 1.0),
        ("adc-bits=none", "0", "ideal", None),
        ("adc_bits=6", "6", "6", 6.0),
        ("levels=none", "none", "as the macro", None),
        ("drift=off", "off", "off", None),
        ("signs=offset", "offset", "offset", None),
    ],
)
def test_what_a_word_says(word: str, text: str, shown: str, number: float | None) -> None:
    (found,) = said(word)
    assert (found.text, found.shown, found.number) == (text, shown, number)
    # Said again it is the same.
    assert said(found.word) == (found,)
    assert Conditions().but([found.word]) == Conditions().but([word])


def test_what_a_device_has_no_data_of_is_told() -> None:
    said("age=1day", macro="rram-wan")
    with pytest.raises(SpikecError, match=r"E1310: nothing is known of 'rram-wan' 3600 s after"):
        said("age=1h", macro="rram-wan")
    # All words together, and those of the compilation.
    said("age=1h", "drift=off", macro="rram-wan")
    said("age=1h", macro="rram-wan", compiled=("drift=off",))
    with pytest.raises(SpikecError, match="E1310"):
        said("wire=1", macro="rram-wan", compiled=("age=1h",))


@pytest.mark.parametrize("word", ["wire", "resistance=1", "wire=-1", "age=1fortnight", "drift=1"])
def test_words_that_are_none(word: str) -> None:
    with pytest.raises(SpikecError, match="E1320"):
        said(word)
