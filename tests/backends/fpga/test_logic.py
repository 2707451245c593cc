"""Logic and multipliers before synthesis; `tests/bench` holds logic to what was counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spikec.backends.fpga.logic import logic, multiplier_blocks
from spikec.backends.fpga.lower import Build, lower

from .test_choose import layers


def test_logic_grows_with_what_there_is() -> None:
    shape = lower(layers(60, 32, 10), Build(8)).shape
    base = logic(shape)
    assert logic(replace(shape, units=4)) > base
    assert logic(replace(shape, cuba=True)) > base
    assert logic(replace(shape, acc_bits=shape.acc_bits + 4)) > base
    assert logic(replace(shape, readback=False)) < base


@pytest.mark.parametrize(
    ("width", "quadratic", "state_bits", "units", "used"),
    # What nextpnr reported.
    [(18, 2, 16, 4, 28), (18, 2, 24, 1, 12), (18, 1, 16, 1, 5), (16, 1, 16, 1, 7)],
)
def test_multipliers_are_forecast(
    width: int, quadratic: int, state_bits: int, units: int, used: int
) -> None:
    shape = lower(layers(8, 8), Build(4, units)).shape
    shape = replace(shape, quadratic=quadratic, state_bits=state_bits, decay_bits=12)
    assert used <= multiplier_blocks(shape, width) <= used + 1
