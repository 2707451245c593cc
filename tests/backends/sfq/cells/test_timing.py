"""The table of what was measured of the cells."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.cells import CELLS, cell
from spikec.backends.sfq.cells.timing import at_input, beside, known, timing
from spikec.ir.diagnostics import SpikecError

MACHINES = tuple(name for name in CELLS if cell(name).machine is not None)


def test_every_cell_is_in_it() -> None:
    assert tuple(known()) == CELLS


@pytest.mark.parametrize("name", MACHINES)
def test_there_is_a_delay_where_a_machine_sends_a_pulse_and_nowhere_else(name: str) -> None:
    found, machine = timing(name), cell(name).machine
    assert machine is not None
    assert np.array_equal(np.isfinite(found.delay), machine.sends)
    assert found.apart.shape == (machine.next.shape[1],) * 2
    sent = found.delay[machine.sends]
    # More than a junction takes, 1 ps, and less than five JTLs take.
    assert ((sent > 2e-12) & (sent < 20e-12)).all()
    assert (found.apart >= 0).all()
    assert (found.apart < 20e-12).all()
    # Two at the same input are two turns of one junction, which takes some ps.
    assert (np.diag(found.apart) > 4e-12).all()
    assert 0 < found.jitter <= 1e-12


@pytest.mark.parametrize("name", sorted(set(CELLS) - set(MACHINES) - {"synapse"}))
def test_what_no_machine_says_has_no_timing(name: str) -> None:
    with pytest.raises(SpikecError, match=name) as found:
        timing(name)
    assert found.value.diagnostics[0].code == "E1423"


def test_a_cell_that_there_is_not_has_none() -> None:
    with pytest.raises(SpikecError) as found:
        timing("and")
    assert found.value.diagnostics[0].code == "E1423"


def test_a_synapse_is_off_as_the_worst_of_the_others() -> None:
    assert "beside" not in known()["synapse"]
    assert beside("synapse") == max(map(beside, MACHINES)) == beside("ndro")
    assert 0 < min(map(beside, MACHINES)) < 1e-12
    assert at_input("synapse") == max(map(at_input, MACHINES)) > 0
