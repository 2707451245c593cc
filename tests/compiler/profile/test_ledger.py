"""Ledger lines by hand: what is static, what is the host's, what takes power."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spikec.boards.chip import load_chip
from spikec.boards.costs import CORE_COUNTS, MACHINE_COUNTS
from spikec.boards.quantity import Quantity
from spikec.compiler.profile.ledger import Line, Parts, derived, holders, joules, ledger, merged

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
        },
        rel=1e-9,
        abs=0,
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


def line(layer: str, amount: float, constant: Quantity, parts: Parts = ()) -> Line:
    energy = amount * constant.value
    return Line("dynamic", "cells", amount, "k", constant, 1.0, energy, layer=layer, parts=parts)


def test_what_is_derived_names_what_it_is_made_of_and_is_no_better() -> None:
    parts = (
        ("v", Quantity(0.5, "V", "a book", "measured")),
        ("t", Quantity(2.0, "s", "a guess", "recalled")),
        ("c", Quantity(3.0, "F", "a fit", "fitted")),
    )
    found = derived(1.5, "J", parts)
    assert (found.value, found.unit, found.obtained) == (1.5, "J", "recalled")
    assert found.source == (
        "v = 0.5 V (measured: a book); t = 2 s (recalled: a guess); c = 3 F (fitted: a fit)"
    )
    one = line("a", 2.0, found, parts)
    assert [name for name, _ in one.constants] == ["k", "v", "t", "c"]
    assert one.weakest == parts[1][1]
    assert line("a", 2.0, parts[0][1]).weakest == parts[0][1]


def test_lines_of_one_constant_are_one_line_of_all_layers() -> None:
    cheap, dear = (Quantity(value, "J", "a book", "stated") for value in (1.0, 4.0))
    lines = [line("a", 2.0, cheap), line("a", 1.0, dear), line("b", 3.0, cheap)]
    found = merged(lines)
    assert [(one.amount, one.joules, one.layer) for one in found] == [(5, 5, ""), (1, 4, "a")]
    assert joules(found) == joules(lines)
