"""What a circuit refuses, and its two mirror images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikec.backends.crossbar.circuit import Crossbar, Drive, Sense
from spikec.ir.diagnostics import SpikecError

CELLS = np.full((2, 3), 1e-5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"conductance": np.array([[1e-5, -1e-6]])}, "row 0, column 1"),
        ({"conductance": np.array([[1e-5], [np.nan]])}, "row 1, column 0"),
        ({"conductance": np.array([[np.inf]])}, "inf S"),
        ({"conductance": np.ones(3)}, r"shape \(3,\)"),
        ({"conductance": np.ones((0, 3))}, r"shape \(0, 3\)"),
        ({"word": -1.0}, "'word' is -1.0 ohm"),
        ({"bit": np.nan}, "'bit' is nan ohm"),
        ({"driver": np.inf}, "'driver' is inf ohm"),
        ({"sense": 1e-300}, "'sense' is 1e-300 ohm"),
    ],
)
def test_an_impossible_value_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(SpikecError, match=words) as refused:
        Crossbar(**({"conductance": CELLS} | values))
    assert refused.value.diagnostics[0].code == "E1301"


def test_all_wrong_values_are_told_at_once() -> None:
    with pytest.raises(SpikecError) as refused:
        Crossbar(-CELLS, word=-1, sense=-2)
    assert len(refused.value.diagnostics) == 3
    assert "6 cells" in str(refused.value)


@pytest.mark.parametrize("given", [np.zeros(3), np.zeros((4, 3)), np.zeros((1, 1, 2)), 0.1])
def test_voltages_of_another_shape_are_refused(given: Any) -> None:
    with pytest.raises(SpikecError, match="2 rows") as refused:
        Crossbar(CELLS).voltages(given)
    assert refused.value.diagnostics[0].code == "E1302"


def test_voltages_are_finite() -> None:
    with pytest.raises(SpikecError, match="finite"):
        Crossbar(CELLS).voltages([0.1, np.inf])


def test_values_of_a_circuit_cannot_change() -> None:
    cells = CELLS.copy()
    circuit = Crossbar(cells)
    cells[0, 0] = 1
    assert circuit.conductance[0, 0] == 1e-5
    with pytest.raises(ValueError, match="read-only"):
        circuit.conductance[0, 0] = 1


@pytest.mark.parametrize("driven", Drive)
@pytest.mark.parametrize("sensed", Sense)
def test_the_reciprocal_of_the_reciprocal_is_the_circuit(driven: Drive, sensed: Sense) -> None:
    circuit = Crossbar(CELLS, 1, 2, 3, 4, driven, sensed)
    other = circuit.transposed()
    assert (other.rows, other.columns) == (3, 2)
    assert (other.word, other.bit, other.driver, other.sense) == (2, 1, 4, 3)
    assert other.drive_ends == circuit.sense_ends and other.sense_ends == circuit.drive_ends
    assert other.transposed() == circuit


def test_conductances_of_ends() -> None:
    circuit = Crossbar(CELLS, word=1, driver=3, driven="both", sensed="top")  # type: ignore[arg-type]
    assert circuit.drive_ends == (0.25, 0.25)
    assert circuit.sense_ends == (np.inf, 0.0)
