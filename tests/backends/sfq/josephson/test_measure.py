"""What is read off transients."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.josephson import measure
from spikec.backends.sfq.josephson.circuit import JunctionModel
from spikec.backends.sfq.josephson.simulate import Method, Transient, simulate
from spikec.backends.sfq.josephson.waves import FLUX
from spikec.ir.diagnostics import SpikecError

from ..jtl import MIT, PS, jtl

HOW = Transient(150 * PS, ramp=0.0)


def test_arrivals_and_delays_of_each_set() -> None:
    factors = {"Ib3": np.array([1, 0.8, 1.2]), "Iin": np.array([1, 1, 0.2])}
    found = simulate(jtl(8), HOW, factors=factors)
    first = measure.arrivals(found.pulses, "B6", 3)
    assert first[0] == found.pulses.of("B6", 0)[0] and first[1] > first[0]
    assert np.isnan(first[2])  # its input was too weak
    second = measure.arrivals(found.pulses, "B6", 3, number=1)
    assert second[0] == found.pulses.of("B6", 0)[1]
    late = measure.arrivals(found.pulses, "B6", 3, after=80 * PS)
    assert late[:2] == pytest.approx(second[:2], rel=1e-6, abs=0)
    delay = measure.delays(found.pulses, "B1", "B6", 3)
    assert delay[0] == pytest.approx(first[0] - found.pulses.of("B1")[0], rel=1e-6, abs=0)
    assert delay[1] > delay[0] and np.isnan(delay[2])


def test_voltages_are_the_slope_of_phases() -> None:
    found = simulate(jtl(4), HOW, record=("B2",), stride=2)
    time, volt = measure.voltage(found, "B2")
    assert time.size == volt.shape[1] == found.times.size - 1
    inside = (time > 40 * PS) & (time < 95 * PS)
    assert volt[0, inside].sum() * 2 * HOW.step == pytest.approx(FLUX, rel=1e-4, abs=0)
    assert measure.flux(found, "B2", 40 * PS, 95 * PS) == pytest.approx([1], abs=1e-4)
    with pytest.raises(SpikecError, match="is not within"):
        measure.flux(found, "B2", 0, 200 * PS)
    with pytest.raises(SpikecError, match="'B1' was not recorded"):
        measure.flux(found, "B1", 0, 1)


def test_crossings_of_unequal_samples() -> None:
    """A parabola is found exactly."""
    t = np.array([0.0, 0.3, 0.5, 0.9, 1.4, 1.6])
    phase = 4 * t**2 + t
    wanted = (-1 + np.sqrt(1 + 16 * np.pi)) / 8, (-1 + np.sqrt(1 + 48 * np.pi)) / 8
    assert measure.crossings(t, phase) == pytest.approx(wanted[:2], abs=1e-12)


class TestCurrentVoltage:
    CURRENTS = np.array([0.5, 0.99, 1.05, 1.2, 1.5, 2, 3, 5]) * 1e-4

    @pytest.mark.parametrize("method", Method)
    def test_an_overdamped_junction(self, method: Method) -> None:
        """beta_c = 0.0012."""
        model = JunctionModel("j", 1e-4, 1e-15, rtype=0)
        found = measure.current_voltage(model, self.CURRENTS, 2.0)
        wanted = measure.overdamped(self.CURRENTS, 1e-4, 2.0)
        assert found[:2].tolist() == [0, 0]
        assert found == pytest.approx(wanted, rel=2e-4)

    def test_a_junction_at_high_voltage_is_its_resistors(self) -> None:
        """Above the gap of 2.8 mV: rn beside the shunt."""
        found = measure.current_voltage(MIT, [40e-4], 2.0, step=0.01e-12)
        assert found == pytest.approx([40e-4 / (1 / 16 + 1 / 2)], rel=0.01)
        below = measure.current_voltage(MIT, [10e-4], 2.0, step=0.01e-12)
        assert below == pytest.approx([10e-4 / (1 / 160 + 1 / 2)], rel=0.01)
