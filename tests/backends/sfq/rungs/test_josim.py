"""Circuits in JoSIM: in its place a program that reads the deck and solves it with our kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikec.backends.sfq.cells import cell
from spikec.backends.sfq.cells.netlist import pulses
from spikec.backends.sfq.josephson.circuit import CurrentSource
from spikec.backends.sfq.josephson.deck import read, write
from spikec.backends.sfq.josephson.measure import crossings
from spikec.backends.sfq.josephson.simulate import QUANTUM, Simulator, Transient
from spikec.backends.sfq.rungs import josim
from spikec.backends.sfq.rungs.decks import JOSIM, program_decks
from spikec.backends.sfq.synthesis.neurons import Builder
from spikec.backends.sfq.synthesis.synthesise import synthesise
from spikec.compiler.backend import find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.ladder import is_heavy, run_rung
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.diagnostics import SpikecError

from ...programs import josim_is, needs_josim
from ..jtl import jtl
from ..networks import PS, TARGET, combinations, exclusive, given, quantised


def test_a_network_has_the_same_spikes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    josim_is(tmp_path, monkeypatch)
    backend, target = find_target(TARGET)
    artifact = compile_graph(exclusive(), backend, target, Quantise(input_max=1)).artifact()
    assert is_heavy(artifact, "josim")
    stimulus = given(combinations(2))
    found = run_rung(artifact, "josim", stimulus, populations=["p0", "p1"]).recording
    wanted = run_rung(artifact, "integer", stimulus, populations=["p0", "p1"]).recording
    assert found.spikes == wanted.spikes and found.spikes["p1"].value.size == 2
    tool = backend.requirements()[0]
    assert tool.optional and tool.found == str(tmp_path / "josim-cli")


def test_pulses_come_when_ours_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the junction in front of the net at the end; times count from behind the ramp."""
    josim_is(tmp_path, monkeypatch)
    build = Builder()
    out = build.delay("in", 3, "d")
    waves = {"in": pulses([10e-12, 40e-12])}
    circuit = build.netlist().circuit(waves)
    how = Transient(80e-12)
    name = josim.junction_at(circuit, out)
    found = josim.pulses(build.netlist(), waves, how, (out,))[out]
    own = Simulator(circuit).run(how, watch=(name, out)).pulses
    np.testing.assert_allclose(found, own.of(name), atol=2e-15)
    assert (np.abs(found - own.of(out)) < 3e-12).all() and found.size == 2
    with pytest.raises(SpikecError, match="E1403"):
        josim.junction_at(circuit, "nowhere")


@needs_josim
def test_the_line_of_junctions_is_josims() -> None:
    """Figures of JoSIM 2.7, which do not depend on how a deck is written; ours beside them."""
    how = Transient(200 * PS, ramp=0.0)
    probes = ("B5", "B15", "B19", "m6")
    times, phases = josim.solved(write(jtl(), how, [("p", probe) for probe in probes]))
    found = {probe: crossings(times, phase) for probe, phase in zip(probes, phases, strict=True)}
    own = Simulator(jtl()).run(how, watch=("B5", "B15")).pulses
    for probe, wanted in (("B5", (62.134, 112.134)), ("B15", (82.931, 132.931))):
        assert found[probe] / PS == pytest.approx(wanted, rel=0, abs=0.002)
        assert found[probe] == pytest.approx(own.of(probe), rel=0, abs=2e-15)
    assert phases[2, -1] == pytest.approx(13.34177, abs=1e-5)
    volts = np.diff(phases[3]) / np.diff(times) * QUANTUM
    assert volts.max() == pytest.approx(505e-6, rel=5e-3, abs=0)


@needs_josim
def test_decks_of_networks_are_run_by_josim() -> None:
    """That which ``compile`` writes: names, parameters, subcircuits; pulses come when ours do."""
    text = program_decks(synthesise(quantised(exclusive())))[JOSIM].decode()
    found = read(text)
    assert found.transient is not None
    times, phases = josim.solved(text)
    names = [name for _, name in found.prints]
    own = Simulator(found.circuit).run(found.transient, watch=names).pulses
    assert len(names) == 3
    for name, phase in zip(names, phases, strict=True):
        assert own.of(name).size > 0
        assert crossings(times, phase) == pytest.approx(own.of(name), rel=0, abs=10e-15)


def test_decks_have_noise_and_the_ramp() -> None:
    build = Builder()
    build.delay("in", 1, "d")
    text = josim.deck(build.netlist(), {}, Transient(50e-12, temperature=4.2), ["B1|d.0"])
    deck = read(text)
    # One draw a step, as ours: without a bandwidth JoSIM's noise would be weaker.
    assert "\n.temp 4.2\n.neb 2e+13\n" in text.replace("20000000000000.0", "2e+13")
    assert deck.transient is not None
    assert (
        deck.transient.duration == pytest.approx(70e-12, rel=1e-6, abs=0)
        and deck.transient.ramp == 0
    )
    sources = deck.circuit.of(CurrentSource)
    assert [float(source.wave.at(0.0)) for source in sources] == [0.0] * len(cell("jtl").biases)
    assert len(sources) == 2


@pytest.mark.parametrize(
    "script", ["print('why not')", "open('phases.csv', 'w').write('t\\n1,2,3')\nprint('why not')"]
)
def test_a_program_that_finds_nothing(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    josim_is(tmp_path, monkeypatch, script)
    build = Builder()
    out = build.delay("in", 1, "d")
    with pytest.raises(SpikecError, match=r"E0603(.|\n)*why not"):
        josim.pulses(build.netlist(), {}, Transient(1e-12), (out,))


def test_several_in_one_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As test benches of libraries have it."""
    rows = "open('phases.csv', 'w').write('t,a,b,c\\n0,1,2,3\\n1,4,5,6')"
    josim_is(tmp_path, monkeypatch, rows)
    times, printed = josim.solved("L1 a 0 1p\n.PRINT p(B1.X1) V(a, 0)\n .print phase B2\n")
    assert times.tolist() == [0, 1] and printed.tolist() == [[1, 4], [2, 5], [3, 6]]
    with pytest.raises(SpikecError, match="E0603"):
        josim.solved(".print p(B1)\n")


def test_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpikecError, match="E1446") as found:
        josim.needed()
    assert found.value.exit_code == 3
