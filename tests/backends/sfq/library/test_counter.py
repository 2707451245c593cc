"""The neuron that counts is a machine, and its figures are found again."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.cells import cell
from spikec.backends.sfq.cells.timing import neurons, timing
from spikec.backends.sfq.library.characterise import delays
from spikec.backends.sfq.library.counter import THETAS, bench, machine, trial


@pytest.mark.parametrize("theta", THETAS)
def test_as_a_machine_it_fires_where_enough_pulses_came_since_the_reset(theta: int) -> None:
    table = machine(theta)
    rng = np.random.default_rng(theta)
    state, count, waits = 0, 0, False
    fired = []
    for port in rng.choice(3, 400, p=[0.6, 0.15, 0.25]).tolist():
        sent = bool(table.sends[state, port, 0])
        state = int(table.next[state, port])
        assert sent == (port == 2 and waits)
        if port == 0:
            count += 1
            waits = waits or count >= theta
        elif port == 1:
            count = 0
        else:
            waits = False
            fired.append(sent)
    assert 0 < sum(fired) < len(fired)


def test_it_is_made_of_a_splitter_two_lines_and_a_store_for_each_pulse_and_a_dff() -> None:
    each = cell("splitter").junctions + 2 * cell("jtl").junctions + cell("ndro").junctions
    for theta in (2, 3, 4):
        resets = (theta - 2) * cell("splitter").junctions
        wanted = (theta - 1) * each + resets + cell("dff").junctions
        junctions = [i.cell.junctions for i in bench(theta).netlist.instances]
        lines = 8 * cell("jtl").junctions  # in front of three inputs and behind one output
        assert sum(junctions) - lines == wanted
        assert theta not in THETAS or neurons()[str(theta)]["junctions"] == wanted


def test_its_delay_and_energies_are_found_again() -> None:
    found = neurons()["2"]
    delay, energy = delays(bench(2))
    assert np.round(delay, 14)[:, 2, 0] == pytest.approx(
        np.array(found["delay"], float)[:, 2, 0], rel=1e-9, abs=0, nan_ok=True
    )
    assert energy == pytest.approx(np.array(found["energy"]), rel=5e-3, abs=0)
    # It answers the clock as the flip-flop does that it ends with.
    own = timing("dff").delay[1, 1, 0]
    assert np.nanmax(delay) == pytest.approx(own, abs=1.5e-12)


def test_set_up_grows_by_a_store_and_a_splitter_for_each_pulse_more() -> None:
    setup = [neurons()[str(theta)]["setup"] for theta in THETAS]
    more = timing("splitter").delay[0, 0, 0] + timing("ndro").delay[1, 2, 0]
    assert setup[1] - setup[0] == pytest.approx(more, abs=2e-12)


def test_it_passes_its_trial_at_the_ends_of_its_bias_and_not_beyond() -> None:
    tried = trial(2)
    biases = [p.name for p in tried.simulator.circuit.parts if p.name[0] == "I" and "|" in p.name]
    low, high = neurons()["2"]["margins"]["bias"]
    factor = np.array([1.0, 1 + low, 1 + high, 1 + low - 0.01, 1 + high + 0.01])
    passed = tried.passes(dict.fromkeys(biases, factor), factor.size)
    assert passed.tolist() == [True, True, True, False, False]
