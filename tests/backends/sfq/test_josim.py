"""Circuits in JoSIM: in its place a program that reads the deck and solves it with our kernels."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from spikec.backends.sfq import josim
from spikec.backends.sfq.deck import read
from spikec.backends.sfq.netlist import pulses
from spikec.backends.sfq.neurons import Builder
from spikec.backends.sfq.simulate import Simulator, Transient
from spikec.compiler.backend import find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.ladder import is_heavy, run_rung
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.diagnostics import SpikecError

from .networks import TARGET, combinations, exclusive, given

SOLVES = """
import sys, numpy as np
from spikec.backends.sfq.deck import read
from spikec.backends.sfq.netlist import pulses
from spikec.backends.sfq.neurons import Builder
from spikec.backends.sfq.simulate import simulate
assert sys.argv[1:3] == ['-m', '-o']
deck = read(open(sys.argv[4]).read())
names = [name for _, name in deck.prints]
found = simulate(deck.circuit, deck.transient, record=names)
table = np.column_stack([found.times, found.phases[0]])
np.savetxt(sys.argv[3], table, delimiter=',', header='time,' + ','.join(names), comments='')
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "josim-cli"
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_network_has_the_same_spikes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, SOLVES)
    backend, target = find_target(TARGET)
    artifact = compile_graph(exclusive(), backend, target, Quantise(input_max=1)).artifact()
    assert is_heavy(artifact, "josim")
    stimulus = given(combinations(2))
    found = run_rung(artifact, "josim", stimulus, populations=["p0", "p1"]).recording
    wanted = run_rung(artifact, "integer", stimulus, populations=["p0", "p1"]).recording
    assert found.spikes == wanted.spikes and found.spikes["p1"].value.size == 2
    (tool,) = backend.requirements()
    assert tool.optional and tool.found == str(tmp_path / "josim-cli")


def test_pulses_come_when_ours_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the junction in front of the net at the end; times count from behind the ramp."""

    install(tmp_path, monkeypatch, SOLVES)
    build = Builder()
    out = build.delay("in", 3, "d")
    circuit = build.netlist().circuit({"in": pulses([10e-12, 40e-12])})
    how = Transient(80e-12)
    name = josim.junction_at(circuit, out)
    found = josim.pulses(circuit, how, (out,))[out]
    own = Simulator(circuit).run(how, watch=(name, out)).pulses
    np.testing.assert_allclose(found, own.of(name), atol=2e-15)
    assert (np.abs(found - own.of(out)) < 3e-12).all() and found.size == 2
    with pytest.raises(SpikecError, match="E1403"):
        josim.junction_at(circuit, "nowhere")


def test_decks_have_noise_and_the_ramp() -> None:

    build = Builder()
    build.delay("in", 1, "d")
    circuit = build.netlist().circuit({})
    text = josim.deck(circuit, Transient(50e-12, temperature=4.2), ["B1|d.0"])
    deck = read(text)
    assert ".temp 4.2" in text and deck.transient is not None
    assert (
        deck.transient.duration == pytest.approx(70e-12, rel=1e-6, abs=0)
        and deck.transient.ramp == 0
    )
    assert all(wave.wave.at(0.0) == 0 for wave in deck.circuit.parts if hasattr(wave, "wave"))


@pytest.mark.parametrize(
    "script", ["print('why not')", "open('phases.csv', 'w').write('t\\n1,2,3')\nprint('why not')"]
)
def test_a_program_that_finds_nothing(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    install(tmp_path, monkeypatch, script)
    build = Builder()
    out = build.delay("in", 1, "d")
    with pytest.raises(SpikecError, match=r"E0603(.|\n)*why not"):
        josim.pulses(build.netlist().circuit({}), Transient(1e-12), (out,))


def test_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpikecError, match="E1446"):
        josim.needed()
