"""What `threshold` does is what the manual and `timing.json` say."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.cells import cell
from spikec.backends.sfq.cells.timing import known
from spikec.backends.sfq.library import decision
from spikec.backends.sfq.library.decision import KINDS, decisions, delays, measured, nominal, ranges
from spikec.backends.sfq.library.testbench import Bench
from spikec.ir.diagnostics import SpikecError

KNOWN = known()["threshold"]["decision"]
PS = 1e-12


def test_with_more_bias_it_is_each_of_four_in_turn() -> None:
    middle = [sum(KNOWN["ranges"][kind]) / 2 for kind in KINDS]
    assert middle == sorted(middle)
    assert decisions(middle).tolist() == list(KINDS)


def test_the_library_has_it_between_the_ends_of_and() -> None:
    low, high = KNOWN["ranges"]["and"]
    assert low < nominal() < high
    assert decisions([low, high]).tolist() == ["and", "and"]


def test_one_that_sends_for_one_input_only_is_none_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decision, "_SENT", {(0, 0, 0): "none"})
    assert decisions([nominal()]).tolist() == [decision.OTHER]


def test_what_the_file_says_is_found_again() -> None:
    found = measured()
    assert {key: found[key] for key in ("within", "beyond", "ranges")} == {
        key: KNOWN[key] for key in ("within", "beyond", "ranges")
    }
    assert found["delay"] == pytest.approx(KNOWN["delay"], rel=1e-3, abs=0)
    assert found["energy"] == pytest.approx(KNOWN["energy"], rel=5e-3, abs=0)
    assert 0 < found["within"] < found["beyond"]


def test_tries_may_come_as_close_as_the_file_says_and_not_closer() -> None:
    least = np.array(KNOWN["apart"])
    bench = Bench(cell("threshold"))
    assert not decision._blamed(bench, least, 200, 1).any()
    for pair in np.ndindex(2, 2):
        less = least.copy()
        less[pair] *= 0.75
        assert decision._blamed(bench, less, 200, 1).any(), pair
    # Two that passed leave less behind than one that did not, which waits in its inductor.
    assert least[0, 0] < least[1, 0]
    # Alone at one input and then at the other is what neither passes from there on.
    assert least[1, 1] >= KNOWN["beyond"]


def test_delays_are_there_where_something_is_sent() -> None:
    middle = [sum(KNOWN["ranges"][kind]) / 2 for kind in KINDS]
    both, one = delays(middle)
    assert np.isfinite(both).tolist() == [False, True, True, False]
    assert np.isfinite(one).tolist() == [False, False, True, False]
    # The more bias, the sooner.
    assert both[2] < both[1]
    assert delays([nominal()])[0][0] == pytest.approx(KNOWN["delay"][0], abs=0.01 * PS)


def test_a_cell_that_passes_one_input_is_refused() -> None:
    high = sum(KNOWN["ranges"]["or"]) / 2
    with pytest.raises(SpikecError) as found:
        measured(cell("threshold", Iset=high))
    assert found.value.diagnostics[0].code == "E1425"


def test_ranges_leave_out_what_there_is_not() -> None:
    assert ranges(np.array([1.0, 2.0, 3.0]), ["and", "and", "free"]) == {
        "and": [1.0, 2.0],
        "free": [3.0, 3.0],
    }
