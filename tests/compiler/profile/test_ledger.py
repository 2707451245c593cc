"""Ledger lines by hand: what is static, what is the host's, what takes power."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spikec.boards.chip import load_chip
from spikec.boards.costs import CORE_COUNTS, MACHINE_COUNTS
from spikec.compiler.profile.ledger import holders, joules, ledger

COUNTS = dict.fromkeys((*CORE_COUNTS, *MACHINE_COUNTS), 0)


def test_kinds_and_sums_of_truenorth() -> None:
    machine = load_chip("truenorth").of_chips(2, 1)
    totals = COUNTS | {"synaptic_operations": 1000, "host_packets": 10, "chip_hops": 3}
    lines = ledger(machine.models["akopyan"], machine, totals, 7, 0.5)
    found = {(line.kind, line.count): line.joules for line in lines}
    assert found == pytest.approx(
        {
            ("dynamic", "synaptic_operations"): 1000 * 2.297e-12,
            ("host", "host_packets"): 10 * 32 * 2e-12,
            ("dynamic", "chip_hops"): 3 * 32 * 26e-12,
            ("static", "chips"): 2 * 0.06443 * 0.5,
        }
    )
    assert joules(lines) == pytest.approx(sum(found.values()))
    assert {line.formula for line in lines if line.kind == "host"} == {"10 x 32 x 2 pJ"}


def test_power_is_of_the_cores_in_use_not_of_all() -> None:
    machine = load_chip("spinnaker1-board")
    [_, cores] = [
        line
        for line in ledger(machine.models["spinnmachine"], machine, COUNTS, 7, 2.0)
        if line.kind == "static"
    ]
    assert (cores.count, cores.amount) == ("cores", 7)
    assert cores.joules == pytest.approx(7 * 0.034 * 2.0)
    assert holders(machine, 7)["chips"] == 48


def test_a_clock_takes_energy_every_cycle() -> None:
    machine = load_chip("odin")
    slow = replace(machine.costs["clock_frequency"], value=1e6)
    machine = replace(machine, costs=dict(machine.costs) | {"clock_frequency": slow})
    lines = ledger(machine.models["frenkel"], machine, COUNTS, 1, 3.0)
    [clock] = [line for line in lines if line.count == "clock"]
    assert clock.joules == pytest.approx(1e6 * 1.78e-12 * 3)
