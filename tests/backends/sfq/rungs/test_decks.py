"""Decks of a program: read back and simulated they spike as its machines do; ngspice runs them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from spikec.backends.sfq.josephson import deck
from spikec.backends.sfq.josephson.simulate import Simulator
from spikec.backends.sfq.rungs.decks import JOSIM, NGSPICE, example, program_decks
from spikec.backends.sfq.rungs.events import Machines
from spikec.backends.sfq.rungs.execute import drives
from spikec.backends.sfq.synthesis.synthesise import Program, synthesise
from spikec.ir.graph import Graph

from ...programs import needs_ngspice
from ..networks import exclusive, ordered, quantised


@pytest.fixture(scope="module")
def program() -> Program:
    return synthesise(quantised(exclusive()))


def wanted(program: Program) -> dict[str, int]:
    """How often each neuron spikes in the steps of a deck."""
    trace = Machines(program.netlist).run(drives(program, example(program)))
    assert not trace.violations
    return {
        f"{name}[{k}]": trace.of(net).size
        for name, nets in program.spikes.items()
        for k, net in enumerate(nets)
        if net is not None
    }


def noted(text: str) -> dict[str, str]:
    """The junction of each neuron, by the comments."""
    return dict(re.findall(r"^\* (\S+) spikes where the phase of (B\S+) ", text, re.MULTILINE))


def test_the_steps_are_all_inputs_of_two_lines(program: Program) -> None:
    events = example(program).inputs["in"]
    assert list(zip(events.step, events.index, strict=True)) == [(1, 0), (2, 1), (3, 0), (3, 1)]
    assert sorted(wanted(program).values()) == [1, 2, 3]


@pytest.mark.parametrize("graph", [exclusive(), ordered()], ids=["xor", "order"])
def test_josims_is_the_circuit(graph: Graph) -> None:
    """All steps are one sample: one that remembers them fires with the second line, too."""
    program = synthesise(quantised(graph))
    text = program_decks(program)[JOSIM].decode()
    found = deck.read(text)
    assert found.transient is not None
    junctions = noted(text)
    assert [("P", name) for name in junctions.values()] == [
        (kind.upper(), name) for kind, name in found.prints
    ]
    pulses = Simulator(found.circuit).run(found.transient, watch=junctions.values()).pulses
    counts = {name: pulses.of(junction).size for name, junction in junctions.items()}
    assert counts == wanted(program)


@needs_ngspice
@pytest.mark.slow
def test_ngspice_runs_it(program: Program, tmp_path: Path) -> None:
    text = program_decks(program)[NGSPICE]
    (tmp_path / "circuit.cir").write_bytes(text)
    subprocess.run(
        ["ngspice", "-b", "circuit.cir"], cwd=tmp_path, check=True, capture_output=True, timeout=120
    )
    phases = np.loadtxt(tmp_path / "phases.data")[:, 1:]
    turns = np.rint((phases[-1] - phases[len(phases) // 20]) / (2 * np.pi)).astype(int)
    assert turns.tolist() == list(wanted(program).values())


def test_chance_is_josims_only(program: Program) -> None:
    """Where synapses are, ngspice, which has no noise, gets no deck."""
    names = [p.name for p in exclusive().projections]
    chance = synthesise(quantised(exclusive()), release=dict.fromkeys(names, 0.9))
    files = program_decks(chance, 4.2)
    assert set(files) == {JOSIM} and b"\n.temp 4.2\n" in files[JOSIM]
    assert set(program_decks(program)) == {JOSIM, NGSPICE}
