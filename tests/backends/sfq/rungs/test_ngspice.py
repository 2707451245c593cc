"""ngspice, which shares nothing with the kernels, finds the same."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from spikec.backends import ngspice as spice
from spikec.backends.sfq.cells.netlist import pulses
from spikec.backends.sfq.josephson import measure
from spikec.backends.sfq.josephson.circuit import (
    Circuit,
    CurrentSource,
    Resistor,
)
from spikec.backends.sfq.josephson.simulate import Simulator, Transient, simulate
from spikec.backends.sfq.josephson.waves import Constant, Wave
from spikec.backends.sfq.rungs import ngspice
from spikec.backends.sfq.rungs.hierarchy import Names
from spikec.backends.sfq.synthesis.neurons import Builder
from spikec.ir.diagnostics import SpikecError

from ...programs import needs_ngspice, ngspice_is
from ..jtl import PS, jtl, kinds

PROBES = tuple(f"B{k}" for k in range(20))


@needs_ngspice
def test_pulses_of_a_transmission_line_arrive_together() -> None:
    """All 20 junctions, both pulses: within 15 fs."""
    how = Transient(190 * PS, ramp=0.0)
    times, phases = ngspice.transient(jtl(), how, PROBES)
    found = simulate(jtl(), how)
    for probe, phase in zip(PROBES, phases, strict=True):
        own = found.pulses.of(probe)
        assert own.size == 2
        assert measure.crossings(times, phase) == pytest.approx(own, rel=0, abs=15e-15)


@needs_ngspice
def test_each_pulse_is_one_flux_quantum_of_voltage(tmp_path: Path) -> None:
    """2.0678 mV ps by ngspice's voltages and by ours, at all 20 junctions, behind the ramp.

    The first pulse's are summed up to halfway between the two, the second's from there on.
    """
    how = Transient(190 * PS, ramp=0.0)
    deck = ngspice.deck(jtl(), how, PROBES)
    volts = " ".join(f"v(j{k})" for k in range(20))
    text, changed = re.subn(r"^wrdata (\S+) .*$", rf"wrdata \1 {volts}", deck, flags=re.M)
    assert changed == 1
    (tmp_path / spice.DECK).write_text(text)
    spice.run(tmp_path, 120, "a shorter transient")
    times, *theirs = np.loadtxt(tmp_path / "phases.data").T
    found = simulate(jtl(), how, record=PROBES)
    for probe, volt in zip(PROBES, theirs, strict=True):
        first, second = found.pulses.of(probe)
        middle, own = measure.voltage(found, probe)
        half = (first + second) / 2
        for begin, end in ((first - 20 * PS, half), (half, second + 20 * PS)):
            inside = (times >= begin) & (times <= end)
            area = np.trapezoid(volt[inside], times[inside])
            assert area / 1e-15 == pytest.approx(2.0678, abs=5e-4)
            inside = (middle >= begin) & (middle <= end)
            area = own[0, inside].sum() * how.step
            assert area / 1e-15 == pytest.approx(2.0678, abs=5e-4)


@needs_ngspice
def test_every_kind_of_element() -> None:
    """Above the gap, through a line, behind voltage sources, coupled, and with a ramp."""
    parts = (
        *kinds("V"),
        CurrentSource("I2", "0", "v", Constant(1e-4)),
        Resistor("R4", "v", "b", 4),
    )
    circuit = Circuit(parts)
    how = Transient(60 * PS, 0.01 * PS, 10 * PS)
    probes = ("B1", "B2", "d", "v")
    times, phases = ngspice.transient(circuit, how, probes)
    found = simulate(circuit, how, record=probes)
    for probe, phase in zip(probes, phases, strict=True):
        own = np.interp(times, found.times, found.phase(probe)[0])
        assert phase == pytest.approx(own, abs=0.03)
        assert np.ptp(own) > 3


def test_decks_refuse_what_ngspice_has_not() -> None:
    for words, how, probes in (
        ("no thermal noise", Transient(1e-12, temperature=4.2), ("B1",)),
        ("no node or junction has the name 'x'", Transient(1e-12), ("x",)),
    ):
        with pytest.raises(SpikecError, match=words):
            ngspice.deck(jtl(3), how, probes)


@pytest.mark.parametrize("script", ["pass", "open('phases.data', 'w').write('0 1 2')"])
def test_a_program_that_finds_nothing(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ngspice_is(tmp_path, monkeypatch, f"{script}\nprint('why not')")
    with pytest.raises(SpikecError, match=r"gives no phases(.|\n)*why not") as found:
        ngspice.transient(jtl(3), Transient(1e-12), ("B1",))
    assert found.value.diagnostics[0].code == "E0603"


def test_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpikecError) as found:
        ngspice.transient(jtl(3), Transient(1e-12), ("B1",))
    assert found.value.diagnostics[0].code == "E0602"


@needs_ngspice
def test_pulses_of_a_netlist_come_when_ours_do() -> None:
    """On nets, from behind the ramp of the biases on."""
    build = Builder()
    out = build.delay("in", 3, "d")
    waves: dict[str, Wave] = {"in": pulses([10 * PS, 40 * PS])}
    how = Transient(80 * PS, 0.1 * PS)
    found = ngspice.pulses(build.netlist(), waves, how, ("in", out))
    own = Simulator(build.netlist().circuit(waves)).run(how, watch=("in", out)).pulses
    for net in ("in", out):
        assert found[net].size == 2
        assert found[net] == pytest.approx(own.of(net), rel=0, abs=15e-15)
    with pytest.raises(SpikecError, match="E1404"):
        ngspice.pulses(build.netlist(), waves, Transient(1e-12, temperature=4.2), (out,))


def test_decks_of_cells_are_as_people_read_them() -> None:
    """A subcircuit a kind of cell and of junction, an instance a cell, names that say what is."""
    build = Builder()
    out = build.delay("in[0]", 3, "d")
    netlist = build.netlist().scaled({"B1|d.1": 1.1})
    names = Names.of(netlist, {out: "p0[0]"})
    how = Transient(80 * PS, 0.1 * PS)
    text = ngspice.netlist_deck(netlist, {}, how, [out, "B2|d.2"], names, ["one"])
    lines = text.splitlines()
    assert lines[0].startswith("Superconducting cells") and lines[2] == "* one"
    kinds = [line.split()[1] for line in lines if line.startswith(".subckt")]
    assert kinds == ["jjmit", "jtl", "jtl_2"] and "* A jtl with B1 times 1.1." in lines
    assert [line.split()[0::3] for line in lines if line.startswith("Xd")] == [
        ["Xd_0", "jtl"], ["Xd_1", "jtl_2"], ["Xd_2", "jtl"],
    ]  # fmt: skip
    assert "Xd_2 d_1_q p0_0 jtl" in lines
    assert "wrdata phases.data v(_phase0) v(Xd_2.XB2.phi)" in lines
    with pytest.raises(SpikecError, match="no node or junction has the name 'x'"):
        ngspice.netlist_deck(netlist, {}, how, ["x"], names)
