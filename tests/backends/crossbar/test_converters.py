"""Converters: the range that probes ask for, and the step that follows from it."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.crossbar.conditions import Conditions
from spikec.backends.crossbar.converters import channels_of, converter_of, full_range
from spikec.backends.crossbar.design import Electrics
from spikec.backends.crossbar.layout import Scheme, Signs, Tile
from spikec.boards.macro import load_macro


def test_a_range_leaves_the_rarest_currents_out() -> None:
    """One of a thousand is cut off, of either sign, whatever it is; each slice has its own."""
    seen = np.linspace(0.001, 1.0, 1000).reshape(500, 2, 1) * [[[1.0, 10.0]]]
    seen[-1, -1] = -5.0, 50.0
    found = full_range([seen[:200], seen[200:]])
    assert np.allclose(found, [0.999, 9.99], rtol=0.01)
    assert (found > [0.99, 9.9]).all() and (found < [2.0, 20.0]).all()


@pytest.mark.parametrize("signs", Signs)
def test_the_range_is_that_of_the_codes(signs: Signs) -> None:
    electrics = Electrics.of(load_macro("rram-wan"), Conditions().but(["adc_bits=5"]))
    made = converter_of(Scheme(signs, 8, 4), electrics, np.array([31e-6, 0.0]))
    assert made is not None
    highest = 15 if signs is Signs.DIFFERENTIAL else 31
    assert (made.low, made.high) == (-15 if signs is Signs.DIFFERENTIAL else 0, highest)
    assert made.lsb[0] == pytest.approx(31e-6 / highest, rel=1e-12, abs=0)


def test_ideal_ones_are_none() -> None:
    ideal = Electrics.of(load_macro("rram-wan"), Conditions().but(["adc_bits=ideal"]))
    real = Electrics.of(load_macro("rram-wan"), Conditions())
    scheme = Scheme(Signs.DIFFERENTIAL, 8, 4)
    assert converter_of(scheme, ideal, np.ones(2)) is None
    assert converter_of(scheme, real, None) is None


def test_channels_are_differences_of_pairs() -> None:
    scheme = Scheme(Signs.DIFFERENTIAL, 5, 2)
    tile = Tile("p", 0, np.arange(3), np.arange(2), np.zeros(2, np.bool_))
    currents = np.square(np.arange(8, dtype=np.float64))[None]
    found = channels_of(currents, tile, scheme)
    assert found.tolist() == [[[-1.0, -5.0], [-9.0, -13.0]]]
