"""ngspice, which shares nothing with the kernels, finds the same."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from spikec.backends.sfq import measure, ngspice
from spikec.backends.sfq.circuit import (
    Capacitor,
    Circuit,
    Coupling,
    CurrentSource,
    Inductor,
    Junction,
    JunctionModel,
    Line,
    Resistor,
    VoltageSource,
)
from spikec.backends.sfq.simulate import Transient, simulate
from spikec.backends.sfq.waves import Constant, Pulse, Pwl, Sine
from spikec.ir.diagnostics import SpikecError

from .jtl import PS, jtl

needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="no ngspice on PATH")


@needs_ngspice
def test_pulses_of_a_transmission_line_arrive_together() -> None:
    how = Transient(140 * PS, ramp=0.0)
    probes = ("B5", "B15")
    times, phases = ngspice.transient(jtl(), how, probes)
    found = simulate(jtl(), how)
    for probe, phase in zip(probes, phases, strict=True):
        own = found.pulses.of(probe)
        assert own.size == 2
        assert measure.crossings(times, phase) == pytest.approx(own, abs=15e-15)


@needs_ngspice
def test_every_kind_of_element() -> None:
    """Above the gap, through a line, behind voltage sources, coupled, and with a ramp."""
    low = JunctionModel("low", 0.1e-3, 0.07e-12, 160, 16, gap=0.4e-3, spread=0.1e-3)
    parts = (
        VoltageSource("V1", "V", "0", Pwl(np.array([0, 20, 40]) * PS, [0, 1e-3, 0.0])),
        VoltageSource("V2", "0", "w", Sine(0, 3e-4, 3e10)),
        Junction("B1", "V", "a", low),
        Resistor("R1", "V", "a", 5),
        Capacitor("C1", "w", "a", 1e-14),
        Inductor("L1", "a", "b", 4 * PS),
        Inductor("L2", "w", "c", 6 * PS),
        Coupling("K1", "L1", "L2", 0.5),
        Resistor("R2", "c", "0", 3),
        Junction("B2", "b", "0", low, 2),
        Line("T1", "b", "0", "d", "0", 4, 1.23 * PS),
        Resistor("R3", "d", "0", 7),
        CurrentSource("I1", "c", "a", Pulse(0, 1e-4, 5 * PS, PS, PS, 3 * PS, 20 * PS)),
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
    path = tmp_path / "ngspice"
    path.write_text(f"#!{sys.executable}\n{script}\nprint('why not')\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(SpikecError, match=r"gives no phases(.|\n)*why not") as found:
        ngspice.transient(jtl(3), Transient(1e-12), ("B1",))
    assert found.value.diagnostics[0].code == "E0603"


def test_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpikecError) as found:
        ngspice.transient(jtl(3), Transient(1e-12), ("B1",))
    assert found.value.diagnostics[0].code == "E0602"
