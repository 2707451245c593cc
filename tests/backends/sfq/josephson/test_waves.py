"""What sources give, at each time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikec.backends.sfq.josephson.waves import (
    FLUX,
    Constant,
    Pulse,
    Pwl,
    Sine,
    ramped,
    started,
    train,
)
from spikec.ir.diagnostics import SpikecError


def test_lines_between_points() -> None:
    wave = Pwl([1.0, 2.0, 4.0], [0.5, 1.5, -0.5])
    assert wave.at([-1, 1, 1.5, 2, 3, 4, 9]).tolist() == [0.5, 0.5, 1.0, 1.5, 0.5, -0.5, -0.5]
    assert Constant(3.0).at([-1, 0, 5]).tolist() == [3.0] * 3
    assert ramped(2.0, 4.0).at([0, 1, 4, 8]).tolist() == [0, 0.5, 2, 2]


def test_pulses_repeat() -> None:
    wave = Pulse(1, 3, delay=2, rise=1, fall=2, width=1, period=5)
    times = [0, 2, 2.5, 3, 4, 5, 6, 7, 7.5, 8, 105.5]
    assert wave.at(times).tolist() == [1, 1, 2, 3, 3, 2, 1, 1, 2, 3, 1.5]
    once = Pulse(1, 3, 2, 1, 2, 1)
    assert once.at([3, 6, 8, 100]).tolist() == [3, 1, 1, 1]
    full = Pulse(0, 1, 0, 1, 1, 0, period=2)
    assert full.at([0, 1, 2, 3, 4]).tolist() == [0, 1, 0, 1, 0]


def test_sines_start_after_their_delay() -> None:
    wave = Sine(1, 2, 0.25, 3)
    assert wave.at([0, 3, 4, 5, 6]) == pytest.approx([1, 1, 3, 1, -1])


def test_trains_have_the_area_of_a_flux_quantum_each() -> None:
    wave = train([30e-12, 10e-12, 15e-12])
    t = np.linspace(0, 50e-12, 50001)
    assert np.trapezoid(wave.at(t), t) == pytest.approx(3 * FLUX, rel=1e-9, abs=0)
    assert wave.at(10e-12) == pytest.approx(FLUX / 2.5e-12)
    assert wave.at(12.5e-12) == 0
    assert train([]).at([0, 1]).tolist() == [0, 0]


@pytest.mark.parametrize(
    "wave", [Constant(2.0), Pwl([0, 4], [1, 2]), Pwl([3, 4], [1, 2]), Pulse(0, 1, 1, 1, 1, 1, 6),
             Pulse(2, 1, 1, 1, 1, 1, 6), Sine(0, 1, 0.1, 2)],
)  # fmt: skip
def test_a_started_wave_has_its_ramp_before(wave: Any) -> None:
    moved = started(wave, 8.0, 30.0)
    t = np.linspace(0, 30, 601)
    assert moved.at(t + 8) == pytest.approx(wave.at(t), abs=1e-12)
    assert moved.at([0, 2, 4, 6]) == pytest.approx(float(wave.at(0)) * np.array([0, 0.5, 1, 1]))
    assert started(wave, 0.0, 30.0) is wave


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Pwl([0, 1, 1], [0, 1, 2]), "do not rise at 1 s"),
        (lambda: Pwl([0, 1], [0]), "2 times and 1 values"),
        (lambda: Pwl([0, np.inf], [0, 1]), "2 times and 2 values"),
        (lambda: Constant(np.nan), "the value nan"),
        (lambda: Pulse(0, 1, 0, 0, 1, 1), "longer than 0"),
        (lambda: Pulse(0, 1, 0, 1, 1, 1, 2), "pulse of 3 s does not fit its period, 2 s"),
        (lambda: Sine(0, 1, 0), "a sine has 0 Hz"),
        (lambda: train([1e-12, 3e-12]), "come 2e-12 s after each other"),
        (lambda: started(Sine(1, 1, 1), 1.0, 2.0), "two sources"),
    ],
)
def test_waves_that_cannot_be(make: Any, words: str) -> None:
    with pytest.raises(SpikecError, match=words) as found:
        make()
    assert found.value.diagnostics[0].code == "E1404"
