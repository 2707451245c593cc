"""What is said of pulses beside an event-level model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spikec.compiler.pulses import FirstPulse, PulseCheck
from spikec.ir.codes import CODES

LOST = FirstPulse(2, 5, "n7", 3, "out[0].dff", "dff", "out[0]", False, 41.25e-12, None, 9e-12)
EQUAL = PulseCheck("their times", True, 12, 3456, 4.5e-12, 0.25e-12, None)


def test_equal_pulses() -> None:
    assert (EQUAL.failed, EQUAL.code) == (False, None)
    assert EQUAL.describe("circuit") == (
        "circuit, 3,456 pulses on 12 nets: equal, 0.25 ps apart at most, where 4.50 ps are one\n"
        "  compared: their times"
    )
    uncompared = replace(EQUAL, exact=False, bound=None, furthest=None)
    assert uncompared.describe("josim").startswith("josim, 3,456 pulses on 12 nets: equal\n")


@pytest.mark.parametrize(("exact", "code"), [(True, "E1438"), (False, "N1439")])
def test_the_first_that_differs_is_said_in_full(exact: bool, code: str) -> None:
    found = replace(EQUAL, exact=exact, first=LOST)
    assert (found.failed, found.code) == (exact, code) and code in CODES
    assert found.describe("circuit").splitlines() == [
        f"circuit, 3,456 pulses on 12 nets: they differ ({code})",
        "  compared: their times",
        "  first pulse that differs: sample 2, step 5, net 'n7', pulse 3",
        "    the dff 'out[0].dff' of out[0] drives the net",
        "    model 41.25 ps, circuit no pulse, of the step; within 9.00 ps they are one",
    ]
    data = found.as_dict()
    assert data["first"]["model"] == 41.25e-12 and data["first"]["circuit"] is None
    assert (data["failed"], data["code"]) == (exact, code)


def test_the_cause_is_the_last_line() -> None:
    caused = replace(LOST, cause="two pulses were too close")
    assert list(caused.lines("circuit"))[-2:] == [
        "  model 41.25 ps, circuit no pulse, of the step; within 9.00 ps they are one",
        "  two pulses were too close",
    ]
    extra = list(replace(caused, model=None, circuit=40e-12).lines("circuit"))
    assert "  model no pulse, circuit 40.00 ps, of the step; within 9.00 ps they are one" in extra
    # Where the model says nothing there is nothing to compare.
    close = replace(caused, model=None, circuit=40e-12, bound=None)
    assert [line for line in close.lines("circuit") if "model" in line] == []


def test_a_cell_that_takes_the_net_is_said_to() -> None:
    assert "  the dff 'out[0].dff' of out[0] takes the net" in list(
        replace(LOST, takes=True).lines("circuit")
    )
