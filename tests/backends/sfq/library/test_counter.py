"""The neuron that counts is a machine, and its figures are found again."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.cells import cell
from spikec.backends.sfq.cells.timing import Timing, neurons, timing
from spikec.backends.sfq.josephson.margins import Spread, yields
from spikec.backends.sfq.library import characterise
from spikec.backends.sfq.library.characterise import _tried, delays
from spikec.backends.sfq.library.counter import THETAS, bench, machine, trial
from spikec.backends.sfq.library.testbench import LATE
from spikec.backends.sfq.library.trials import spread_out
from spikec.boards.process import load_process

from ..again import margins_off, ranges, timing_off


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


def test_its_delay_is_found_again() -> None:
    found = neurons()["2"]
    delay, _ = delays(bench(2))
    assert np.round(delay, 14)[:, 2, 0] == pytest.approx(
        np.array(found["delay"], float)[:, 2, 0], rel=1e-9, abs=0, nan_ok=True
    )
    # It answers the clock as the flip-flop does that it ends with.
    own = timing("dff").delay[1, 1, 0]
    assert np.nanmax(delay) == pytest.approx(own, abs=1.5e-12)


def test_set_up_grows_by_a_store_and_a_splitter_for_each_pulse_more() -> None:
    setup = [neurons()[str(theta)]["setup"] for theta in THETAS]
    more = timing("splitter").delay[0, 0, 0] + timing("ndro").delay[1, 2, 0]
    assert setup[1] - setup[0] == pytest.approx(more, abs=2e-12)


def test_it_passes_its_trial_up_to_the_ends_of_its_margins_and_not_beyond() -> None:
    found, tried = neurons()["2"], trial(2)
    assert set(found["elements"]) == {
        part.name for part in bench(2).cell.circuit.parts if "|" in part.name
    }
    groups = spread_out(tried, list(found["elements"]))
    assert margins_off(tried, trial(2, 2), groups, ranges(found)) == []


def test_its_least_times_set_up_and_yield_are_found_again() -> None:
    found, two = neurons()["2"], bench(2)
    known = Timing(np.array(found["delay"], float), np.array(found["apart"]), found["jitter"])
    # Few random words have an output that is close to another, so that jitter is hardly seen.
    wrong = timing_off(two, known)
    assert [word for word in wrong if not word.startswith("jitter")] == []
    assert 0 < known.jitter <= LATE
    passed, count = found["yield"]
    assert passed <= count == characterise.CHIPS
    spread = Spread.of(load_process("mitll-sfq5ee"), 4.0)
    share = passed / count
    working = yields(trial(2), spread, 32, seed=14).working
    assert abs(working - 32 * share) <= 4 * np.sqrt(32 * share * (1 - share)) + 0.5


@pytest.mark.parametrize("theta", THETAS)
def test_its_costs_and_set_up_are_found_again(theta: int) -> None:
    found, one = neurons()[str(theta)], bench(theta)
    assert found["bias"] == pytest.approx(one.cell.bias, rel=1e-5)
    static = one.cell.bias * load_process("mitll-sfq5ee").bias_voltage.value
    assert found["static"] == pytest.approx(static, rel=1e-3, abs=0)
    delay, energy = delays(one)
    assert energy == pytest.approx(np.array(found["energy"]), rel=5e-3, abs=0)
    pair = one.cell.inputs.index("line"), one.cell.inputs.index("clk")
    for share, holds in ((1.0, True), (0.8, False)):
        grids = [np.zeros(0)] * len(one.cell.inputs) ** 2
        grids[np.ravel_multi_index(pair, (3, 3))] = np.array([share * found["setup"]])
        assert (_tried(one, delay, grids, 1)[0][pair] < 0) == holds
