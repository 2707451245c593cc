"""Figures of what leads into a circuit of flux quanta and out of it."""

from __future__ import annotations

import pytest

from spikec.backends.sfq.cells import cell, value_of
from spikec.backends.sfq.cells.timing import known
from spikec.backends.sfq.josephson.waves import FLUX
from spikec.backends.sfq.library.converters import KINDS, measured

PS = 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_found_again(kind: str) -> None:
    wanted = known()[kind]["converts"]
    found = measured(kind)
    assert set(found) == set(wanted)
    for key, value in wanted.items():
        assert found[key] == pytest.approx(value, rel=5e-3, abs=0), key


def test_an_edge_takes_a_flux_quantum_from_each_bias_and_not_more() -> None:
    """One junction of its pair turns with the pulse, the other when the current falls."""
    found = measured("dcsfq")
    assert found["energy"] == pytest.approx(FLUX * cell("dcsfq").bias, rel=1e-3, abs=0)
    assert 0 < found["delay"] < 20 * PS


def test_a_voltage_is_that_of_a_junction_below_its_gap() -> None:
    found = measured("sfqdc")
    this = cell("sfqdc")
    # At most what all biases together make at the shunt of its output's junction.
    assert 50e-6 < found["voltage"] < value_of(this.circuit.part("RB8")) * this.bias
    # The work cannot be more than all of its biases at that voltage.
    assert 0 < found["power"] < this.bias * found["voltage"]
    on, off = found["delay"]
    assert 0 < on < 50 * PS
    assert 0 < off < 50 * PS
