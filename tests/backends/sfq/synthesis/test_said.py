"""What ``--release`` says, and that it is refused elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.cells.chance import law
from spikec.backends.sfq.synthesis.released import WEIGHTS, Released
from spikec.backends.sfq.synthesis.said import OFF, release_said, tell_period, tell_release
from spikec.compiler.backend import check_options, find_target
from spikec.ir.diagnostics import Diagnostics, SpikecError

from ..networks import exclusive, target


def test_words() -> None:
    graph = exclusive()
    assert release_said(graph, ()) == {"w0": 1.0, "w1": 1.0}
    assert release_said(graph, ("0.9",)) == {"w0": 0.9, "w1": 0.9}
    assert release_said(graph, ("w1=0.5", "0.9")) == {"w0": 0.9, "w1": 0.5}
    assert release_said(graph, ("0.8", "w0=1", "0.9")) == {"w0": 1.0, "w1": 0.9}
    assert release_said(graph, ("weights",)) == {"w0": WEIGHTS, "w1": WEIGHTS}
    assert release_said(graph, ("w1=weights", "0.9")) == {"w0": 0.9, "w1": WEIGHTS}


@pytest.mark.parametrize("word", ["often", "w0=often", "w0=", "w9=0.5", "", "weight", "w9=weights"])
def test_what_is_no_word(word: str) -> None:
    with pytest.raises(SpikecError, match="E1447"):
        release_said(exclusive(), (word,))


def test_other_targets_release_always() -> None:
    check_options(target(), {"release": ("0.9",)})
    with pytest.raises(SpikecError, match="E0707") as error:
        check_options(find_target("pcm")[1], {"release": ("0.9",)})
    assert "no SFQ process" in str(error.value) and "--release" in str(error.value)


def test_what_chips_make_of_it_is_told() -> None:
    told = Diagnostics()
    tell_release(exclusive(), {"w0": Released.of(False, np.full(4, 0.9))}, told)
    (one,) = told
    low, _ = law().between(0.9)
    assert one.code == "W1485" and 0.9 - low > OFF
    assert "'w0' releases with 0.9" in one.message and f"{low:.3g} to" in one.message
    sure = Diagnostics()
    tell_release(exclusive(), {"w0": Released.of(False, np.full(4, 0.999))}, sure)
    assert not sure.found


def test_what_weights_became_is_told() -> None:
    told = Diagnostics()
    one = Released.of(True, np.array([0.25, 0.999]), dropped=3, certain=2, lost=0.3, rounded=0.4)
    tell_release(exclusive(), {"w0": one}, told)
    note, spread = told.found
    assert note.code == "N1449" and note.message == (
        "'w0' releases by weights: 2 by chance, with 0.25 to 0.999, 3 below 0.01 left out, "
        "2 above 0.999 sure; thresholds are up by 0.4 pulses at most"
    )
    assert spread.code == "W1485" and "with 0.25 to 0.999;" in spread.message
    low, high = law().between(0.25)
    assert f"95 % of its synapses of 0.25 do with {low:.3g} to {high:.4g}" in spread.message
    much = Diagnostics()
    tell_release(exclusive(), {"w0": Released.of(True, np.zeros(0), dropped=60, lost=0.5)}, much)
    note, warning = much.found
    assert "0 by chance, 60 below" in note.message
    assert warning.code == "W1453" and "up to 0.5 pulses a step" in warning.message


def test_a_circuit_that_does_not_keep_up_is_told() -> None:
    told = Diagnostics()
    tell_period(exclusive(), 1e-9, told)
    assert not told.found
    tell_period(exclusive(), 3e-9, told)
    (one,) = told.found
    assert one.code == "W1452"
    assert "is 1000 ps, of its circuit 3000 ps: 3 times as long" in one.message
