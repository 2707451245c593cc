"""Figures of what leads into a circuit of flux quanta and out of it."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.cells import cell, value_of
from spikec.backends.sfq.cells.timing import known
from spikec.backends.sfq.josephson.simulate import Simulator, Transient
from spikec.backends.sfq.josephson.waves import FLUX
from spikec.backends.sfq.library.converters import KINDS, measured, toggled
from spikec.backends.sfq.library.trials import RISE, driven

PS = 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_found_again(kind: str) -> None:
    wanted = known()[kind]["converts"]
    found = measured(kind)
    assert set(found) == set(wanted)
    for key, value in wanted.items():
        assert np.array(found[key]) == pytest.approx(np.array(value), rel=5e-3, abs=0), key


def test_an_edge_takes_a_flux_quantum_from_each_bias_and_not_more() -> None:
    """One junction of its pair turns with the pulse, the other when the current falls."""
    found = measured("dcsfq")
    assert found["energy"] == pytest.approx(FLUX * cell("dcsfq").bias, rel=1e-3, abs=0)
    assert 0 < found["delay"] < 20 * PS


def test_edges_that_are_closer_are_not_all_sent() -> None:
    known_ = known()["dcsfq"]["converts"]["apart"]
    sent = []
    for period in (known_, 0.85 * known_):
        circuit = driven(cell("dcsfq"), period / 2, 0.0, period)
        found = Simulator(circuit).run(Transient(RISE + 12 * period), watch=("q",))
        sent.append(found.pulses.of("q", after=0.0).size)
    assert sent[0] >= 12 > sent[1]


def test_a_pulse_that_toggles_and_each_turn_take_what_biases_give() -> None:
    """Of a run that is on for longer the work is more by that of its turns."""
    found, this = measured("sfqdc"), cell("sfqdc")
    whole = FLUX * this.bias
    (on,), (off,) = found["energy"]
    # Its input's bias works for each pulse, the store's for one of two, the others in each turn.
    at_input = FLUX * value_of(this.circuit.part("I1"))
    assert on + off + found["turn"] == pytest.approx(whole + at_input, rel=5e-3, abs=0)
    rate = found["voltage"] / FLUX
    assert found["power"] == pytest.approx(rate * found["turn"], rel=0.15, abs=0)


def test_pulses_at_the_least_time_toggle_and_leave_it_as_it_was() -> None:
    known_ = known()["sfqdc"]["converts"]["apart"]
    assert toggled(cell("sfqdc")) == pytest.approx([t - 0.25 * PS for t in known_], abs=0.05 * PS)


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
