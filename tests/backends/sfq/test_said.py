"""What ``--release`` says, and that it is refused elsewhere."""

from __future__ import annotations

import pytest

from spikec.backends.sfq.said import release_said
from spikec.compiler.backend import check_options, find_target
from spikec.ir.diagnostics import SpikecError

from .networks import exclusive, target


def test_words() -> None:
    graph = exclusive()
    assert release_said(graph, ()) == {"w0": 1.0, "w1": 1.0}
    assert release_said(graph, ("0.9",)) == {"w0": 0.9, "w1": 0.9}
    assert release_said(graph, ("w1=0.5", "0.9")) == {"w0": 0.9, "w1": 0.5}
    assert release_said(graph, ("0.8", "w0=1", "0.9")) == {"w0": 1.0, "w1": 0.9}


@pytest.mark.parametrize("word", ["often", "w0=often", "w0=", "w9=0.5", ""])
def test_what_is_no_word(word: str) -> None:
    with pytest.raises(SpikecError, match="E1447"):
        release_said(exclusive(), (word,))


def test_other_targets_release_always() -> None:
    check_options(target(), {"release": ("0.9",)})
    with pytest.raises(SpikecError, match="E0707") as error:
        check_options(find_target("pcm")[1], {"release": ("0.9",)})
    assert "no SFQ process" in str(error.value) and "--release" in str(error.value)
