"""What each cell has to do, and that the margins of the table are found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikec.backends.sfq.cells import CELLS, cell, chance
from spikec.backends.sfq.cells.timing import known
from spikec.backends.sfq.josephson.margins import Spread, kinds, margins, yields
from spikec.backends.sfq.library import characterise, release
from spikec.backends.sfq.library.testbench import random_stimuli
from spikec.backends.sfq.library.trials import SPACING, cell_groups, cell_margins, trial
from spikec.boards.process import load_process
from spikec.ir.diagnostics import SpikecError

from ..again import margins_off, ranges


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_passes_up_to_the_ends_that_the_table_has_and_not_beyond(name: str) -> None:
    tried = trial(name)
    assert tried.passes({}, 1).all()
    step = 0.002 if name == "synapse" else 0.01
    groups = cell_groups(cell(name), tried)
    assert margins_off(tried, trial(name, 2), groups, ranges(known()[name]), step) == []


def test_an_end_that_is_wrong_is_seen() -> None:
    """A figure a third larger or smaller, which the test above would have passed over else."""
    tried, few = trial("dcsfq"), trial("dcsfq")
    groups = cell_groups(cell("dcsfq"), tried)
    known_ = ranges(known()["dcsfq"])
    for factor in (0.7, 1.3):
        wrong = {title: [factor * end for end in ends] for title, ends in known_.items()}
        words = [word.rsplit(" ", 1) for word in margins_off(tried, few, groups, wrong)]
        assert len({(title, end[0]) for title, end in words}) == 2 * len(groups)


@pytest.mark.parametrize("name", CELLS)
def test_of_some_chips_as_many_work_as_the_table_says(name: str) -> None:
    """A quarter fewer would be seen: with 32 chips of 98 % one in a thousand times more fail."""
    passed, count = known()[name]["yield"]
    if name == "synapse":
        assert count == release.CHIPS
        found = yields(trial(name), release.spread(), count, seed=release._SEED + 2)
        # Some are at the very edge of what is allowed.
        assert abs(found.working - passed) <= 3
        return
    assert passed <= count == characterise.CHIPS
    spread = Spread.of(load_process("mitll-sfq5ee"), 4.0)
    found = yields(trial(name), spread, 32, seed=14)
    share = passed / count
    assert abs(found.working - 32 * share) <= 4 * np.sqrt(32 * share * (1 - share)) + 0.5


@pytest.mark.parametrize("name", [name for name in CELLS if name != "synapse"])
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


def test_a_synapse_keeps_near_a_half_within_what_its_law_says() -> None:
    """With noise: an element at the end of its range, and the law with the bias that is off."""
    law, still = chance.law(), float(chance.found()["still"])
    edge = float(law.probability(law.middle + law.sigma * 0.12566))
    assert edge == pytest.approx(0.55, abs=1e-4)
    low, high = known()["synapse"]["elements"]["B2"]
    factor = np.repeat([1 + low, 1 + high], 24)
    bench = release.Bench(release.SPACING)
    passed = bench.run(
        np.full(48, still), temperature=4.2, seed=8, factors={"B2|x": factor}
    ).passed.reshape(2, -1)
    # Larger it drops more rarely. The middle with noise is off by 0.1 of its spread at most.
    for p, wanted in zip(passed.mean(1), (0.45, 0.55), strict=True):
        assert abs(p - wanted) < 4 * np.sqrt(0.25 / passed.shape[1]) + 0.04


def test_what_is_no_machine_has_no_trial() -> None:
    with pytest.raises(SpikecError, match="'mine'") as found:
        trial(replace(cell("synapse"), name="mine"))
    assert found.value.diagnostics[0].code == "E1426"
