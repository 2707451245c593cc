"""What each cell has to do, and that the margins of the table are found again."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.cells import CELLS, cell
from spikec.backends.sfq.cells.timing import known
from spikec.backends.sfq.josephson.margins import Spread, kinds, margins, yields
from spikec.backends.sfq.library.figures import critical
from spikec.backends.sfq.library.testbench import random_stimuli
from spikec.backends.sfq.library.trials import SPACING, TRIED, cell_margins, trial
from spikec.boards.process import load_process
from spikec.ir.diagnostics import SpikecError


@pytest.mark.parametrize("name", TRIED)
def test_a_cell_passes_as_it_is_and_at_the_ends_that_the_table_has_and_not_beyond(
    name: str,
) -> None:
    tried = trial(name)
    bias = kinds(tried.simulator.circuit)["bias"]
    low, high = known()[name]["margins"]["bias"]
    factor = np.array([1.0, 1 + low, 1 + high, 1 + low - 0.01, 1 + high + 0.01])
    passed = tried.passes(dict.fromkeys(bias, factor), factor.size)
    assert passed.tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("name", TRIED)
def test_biases_have_a_quarter_to_spare_and_elements_a_fifth(name: str) -> None:
    found = known()[name]
    low, high = found["margins"]["bias"]
    assert low <= -0.25
    assert high >= 0.25
    for group in ("elements", "parameters"):
        for title, (least, most) in found[group].items():
            assert least <= -0.2, title
            assert most >= 0.2, title


@pytest.mark.parametrize("name", [name for name in CELLS if cell(name).machine is not None])
def test_stimuli_try_every_input_in_every_state(name: str) -> None:
    machine = cell(name).machine
    assert machine is not None
    states, inputs = machine.next.shape
    bench = trial(name)
    assert bench.cases * 12 > 8 * states * inputs
    stimuli = random_stimuli(np.full((inputs, inputs), SPACING), 8, 12, 3)
    before, _ = stimuli.walk(machine)
    tried = np.zeros((states, inputs), np.int64)
    np.add.at(tried, (before, stimuli.port), 1)
    assert tried.min() >= 2


def test_the_yield_is_found_again() -> None:
    process = load_process("mitll-sfq5ee")
    passed, count = known()["dcsfq"]["yield"]
    found = yields(trial("dcsfq"), Spread.of(process, 4.0), count, seed=14)
    assert found.working == passed
    # With the process's own spread every cell works, as far as so many can tell.
    assert yields(trial("dcsfq"), Spread.of(process), 100, seed=14).working == 100


def test_the_most_critical_element_is_found_again() -> None:
    element, wanted = critical(known()["dcsfq"])
    tried = trial("dcsfq")
    found = margins(tried, {element: (f"{element}|x",)})[element]
    assert found.low == pytest.approx(wanted[0], abs=0.006)
    assert found.high == pytest.approx(wanted[1], abs=0.006)


def test_a_cell_with_a_parameter_of_its_own_has_margins_of_its_own() -> None:
    weak = cell("dcsfq", Iset=0.8 * cell("dcsfq").parameters["Iset"].value)
    bias = {"bias": kinds(trial("dcsfq").simulator.circuit)["bias"]}
    assert margins(trial(weak), bias)["bias"].high > margins(trial("dcsfq"), bias)["bias"].high


def test_margins_of_a_cell_are_of_its_own_elements_and_of_all_biases() -> None:
    found = cell_margins("dcsfq")
    assert list(found)[:4] == ["bias", "areas", "inductances", "resistors"]
    assert {"L1", "B1", "RB1", "I1"} <= set(found)
    # A parameter moves all that it sets: here one source, and a junction with its shunt.
    assert found["Iset"] == found["I1"]
    assert found["Aesc"] != found["RB1"]
    assert found["Aesc"].high == pytest.approx(found["B1"].high, abs=0.1)
    assert not any("|" in title for title in found)
    # One of three junctions decides less than all together.
    assert found["areas"].high <= found["B1"].high + 0.01


def test_what_chance_decides_has_no_trial() -> None:
    assert set(CELLS) - set(TRIED) == {"synapse"}
    with pytest.raises(SpikecError) as found:
        trial("synapse")
    assert found.value.diagnostics[0].code == "E1426"
