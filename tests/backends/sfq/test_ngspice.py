"""ngspice, which shares nothing with the kernels, finds the same."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from spikec.backends.sfq import measure, ngspice
from spikec.backends.sfq.circuit import (
    Circuit,
    CurrentSource,
    Resistor,
)
from spikec.backends.sfq.simulate import Transient, simulate
from spikec.backends.sfq.waves import Constant
from spikec.ir.diagnostics import SpikecError

from ..programs import needs_ngspice
from .jtl import PS, jtl, kinds


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
