"""Cells that bend beside a dense Newton's method of all nodes, and by the laws they keep."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.crossbar import nonlinear
from spikec.backends.crossbar.circuit import Crossbar, Drive, Sense
from spikec.backends.crossbar.nonlinear import Curve, NonlinearSolver
from spikec.backends.crossbar.solve import Solver
from spikec.ir.diagnostics import SpikecError

from .nodal import nodal

Array = npt.NDArray[Any]


def error(found: Array, wanted: Array) -> float:
    """Largest difference, relative to the largest current."""
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30))


def bending(circuit: Crossbar, seed: int = 7) -> Curve:
    """Cells that each bend in their own way; they rise from -0.4 to 0.4 V."""
    rng = np.random.default_rng(seed)
    shape = circuit.conductance.shape
    return Curve(rng.uniform(-0.4, 0.4, shape), rng.uniform(0, 8, shape))


def volts(circuit: Crossbar, seed: int = 1) -> Array:
    return np.random.default_rng(seed).uniform(-0.2, 0.2, circuit.rows)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (5, 4)], ids=str)
@pytest.mark.parametrize("driven", Drive)
@pytest.mark.parametrize("sensed", Sense)
def test_every_arrangement_is_the_dense_newton(
    shape: tuple[int, int], driven: Drive, sensed: Sense
) -> None:
    rng = np.random.default_rng(3)
    for ohms in itertools.product((0, 200.0), (0, 300.0), (0, 500.0), (0, 2000.0)):
        circuit = Crossbar(rng.uniform(1e-6, 1e-3, shape), *ohms, driven, sensed)
        curve, voltage, active = bending(circuit), volts(circuit), rng.random(shape[0]) < 0.5
        solver = NonlinearSolver(circuit, curve)
        wanted = nodal(circuit, voltage, None, curve.square, curve.cube)
        assert error(solver.currents(voltage), wanted) < 1e-11
        gated = nodal(circuit, voltage, active, curve.square, curve.cube)
        assert error(solver.currents(voltage, active), gated) < 1e-11


def test_the_curve_matters_and_is_the_cell_s_own() -> None:
    """One cell and its wires, by hand: the voltage across it solves one cubic equation."""
    circuit = Crossbar(np.array([[1e-3]]), 100, 200, 300, 400)
    ohm = 100 + 200 + 300 + 400
    for square, cube, volt in ((0.5, 0, 0.3), (0, 20, 0.3), (-0.9, 3, 0.5), (-0.9, 3, -0.5)):
        roots = np.roots([cube * 1e-3 * ohm, square * 1e-3 * ohm, 1 + 1e-3 * ohm, -volt])
        real = roots[np.abs(roots.imag) < 1e-9].real
        across = real[np.abs(real - volt / 2).argmin()]
        found = NonlinearSolver(circuit, Curve(square, cube)).currents([volt])
        assert found == pytest.approx([(volt - across) / ohm], rel=1e-12, abs=0)
        assert error(Solver(circuit).currents([volt]), found) > 0.01


def test_without_curves_it_is_the_linear_solver() -> None:
    cells = 10 ** np.random.default_rng(5).uniform(-6, -3, (20, 12))
    cells[np.random.default_rng(6).random(cells.shape) < 0.1] = 0
    circuit = Crossbar(cells, 7, 3, 1e4, 2e3, Drive.BOTH, Sense.BOTH)
    voltage = np.random.default_rng(1).uniform(-0.2, 0.2, (3, 20))
    active = np.random.default_rng(2).random((3, 20)) < 0.4
    solver = NonlinearSolver(circuit, Curve())
    assert error(solver.currents(voltage), Solver(circuit).currents(voltage)) < 1e-12
    assert (
        error(solver.currents(voltage, active), Solver(circuit).currents(voltage, active)) < 1e-12
    )


def test_without_wires_it_is_the_sum_of_the_cells() -> None:
    cells = np.random.default_rng(2).uniform(1e-6, 1e-4, (9, 6))
    for ohm, bound in ((0.0, 1e-15), (1e-9, 1e-11)):
        circuit = Crossbar(cells, ohm, ohm)
        curve, voltage = bending(circuit), volts(circuit)[:, None]
        wanted = cells * (voltage + curve.square * voltage**2 + curve.cube * voltage**3)
        found = NonlinearSolver(circuit, curve).currents(voltage[:, 0])
        assert error(found, wanted.sum(0)) < bound


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from(Drive), st.sampled_from(Sense))
def test_odd_curves_are_odd_and_a_mirror_image_is_the_same(
    seed: int, driven: Drive, sensed: Sense
) -> None:
    """-V gives -I with -k_2, and rows in the opposite order are sensed at the opposite end."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 8), rng.integers(1, 8)
    word, bit, driver, sense = rng.uniform(0, 300, 4)
    cells = 10 ** rng.uniform(-6, -2, shape)
    circuit = Crossbar(cells, word, bit, driver, sense, driven, sensed)
    curve, voltage = bending(circuit, seed), rng.uniform(-0.2, 0.2, shape[0])
    found = NonlinearSolver(circuit, curve).currents(voltage)
    other = NonlinearSolver(circuit, Curve(-curve.square, curve.cube)).currents(-voltage)
    assert error(-other, found) < 1e-12
    upside = {Sense.TOP: Sense.BOTTOM, Sense.BOTTOM: Sense.TOP, Sense.BOTH: Sense.BOTH}
    turned = Crossbar(
        circuit.conductance[::-1],
        circuit.word,
        circuit.bit,
        circuit.driver,
        circuit.sense,
        driven,
        upside[sensed],
    )
    same = NonlinearSolver(turned, Curve(curve.square[::-1], curve.cube[::-1]))
    assert error(same.currents(voltage[::-1]), found) < 1e-10


def test_cells_that_are_nearly_flat_somewhere_are_the_dense_newton() -> None:
    """Each at a voltage of its own, where dI/dV is 1e-8 to 0.1 of that at 0 V."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        shape = tuple(rng.integers(1, 9, 2))
        word, bit, driver, sense = np.where(rng.random(4) < 0.5, 0, 10 ** rng.uniform(-1, 4, 4))
        driven, sensed = Drive(rng.choice(list(Drive))), Sense(rng.choice(list(Sense)))
        cells = 10 ** rng.uniform(-6, -3, shape)
        circuit = Crossbar(cells, word, bit, driver, sense, driven, sensed)
        flat = rng.choice([-1, 1], shape) * rng.uniform(0.02, 0.5, shape)
        cube = 1 / (3 * flat**2)
        square = -(1 - 10 ** rng.uniform(-8, -1, shape)) / flat
        voltage, active = rng.uniform(-0.5, 0.5, shape[0]), rng.random(shape[0]) < 0.7
        found = NonlinearSolver(circuit, Curve(square, cube)).currents(voltage, active)
        assert error(found, nodal(circuit, voltage, active, square, cube)) < 1e-11


@pytest.mark.parametrize("cube", [1.0, 1e3, 1e6], ids=str)
def test_it_cannot_diverge(cube: float) -> None:
    """Up to cells that pass 1e5 times their linear current, far more than their wires let them."""
    cells = np.random.default_rng(0).uniform(1e-6, 1e-4, (12, 10))
    circuit = Crossbar(cells, 2.0, 5.0, 30.0, 10.0, Drive.LEFT, Sense.BOTTOM)
    voltage = np.random.default_rng(1).uniform(-0.5, 0.5, 12)
    found = NonlinearSolver(circuit, Curve(0.0, cube)).currents(voltage)
    assert error(found, nodal(circuit, voltage, None, 0.0, cube)) < 1e-10


def test_steps_are_shortened_where_full_ones_go_too_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """From where the cells are nearly flat a full step leads to where they are steep."""
    taken: list[float] = []
    length = nonlinear._Cells.length

    def spy(self: Any, *args: Any) -> float:
        taken.append(length(self, *args))
        return taken[-1]

    monkeypatch.setattr(nonlinear._Cells, "length", spy)
    curve = Curve(-9.95, 100 / 3)  # dI/dV at 0.1 V is 1 % of that at 0 V
    for shape, ohm in (((1, 1), 4500), ((3, 3), 1500)):
        circuit = Crossbar(np.full(shape, 1e-3), ohm, ohm)
        taken.clear()
        found = NonlinearSolver(circuit, curve).currents(np.ones(shape[0]))
        assert error(found, nodal(circuit, np.ones(shape[0]), None, -9.95, 100 / 3)) < 1e-11
        assert 0 < min(taken) < 1 and taken[-1] == 1


def test_all_at_0_volts_is_nothing() -> None:
    circuit = Crossbar(np.full((3, 2), 1e-5), 1, 1)
    assert (NonlinearSolver(circuit, Curve(1.0, -5.0)).currents(np.zeros((2, 3))) == 0).all()
    none = NonlinearSolver(circuit, Curve(1.0)).currents(np.ones(3), np.zeros(3, bool))
    assert (none == 0).all()


@pytest.mark.parametrize(
    ("square", "cube", "volt", "words"),
    [
        (0.0, -4.0, 0.3, "see -0.3 V, where its conductance dI/dV is -0.08 "),
        (2.0, 0.0, 0.3, "see -0.3 V"),
        (-2.0, 0.0, 0.3, "see 0.3 V"),
        (8.0, 20.0, 0.3, "see -0.1333 V, where its conductance dI/dV is -0.0667 "),  # only between
    ],
)
def test_a_curve_that_falls_is_refused(square: float, cube: float, volt: float, words: str) -> None:
    circuit = Crossbar(np.array([[0.0, 1e-5], [1e-5, 1e-5]]), 1, 1)
    with pytest.raises(SpikecError, match=f"row 0, column 1 may {words}") as refused:
        NonlinearSolver(circuit, Curve(square, cube)).currents([volt, 0.06])
    assert refused.value.diagnostics[0].code == "E1304"
    # The same cells in a smaller range, and cells that are gated off, are fine.
    NonlinearSolver(circuit, Curve(square, cube)).currents([0.05, 0.06])
    NonlinearSolver(circuit, Curve(square, cube)).currents([volt, 0.06], [False, True])


@pytest.mark.parametrize(
    ("square", "cube", "words"),
    [
        (np.nan, 0.0, "'square'"),
        (0.0, [np.inf], "'cube'"),
        (np.zeros((3, 2)), 0.0, r"\(3, 2\) and \(\)"),
    ],
)
def test_a_curve_that_does_not_fit_is_refused(square: Any, cube: Any, words: str) -> None:
    with pytest.raises(SpikecError, match=words) as refused:
        NonlinearSolver(Crossbar(np.full((2, 3), 1e-5)), Curve(square, cube))
    assert refused.value.diagnostics[0].code == "E1301"


def test_too_few_iterations_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = Crossbar(np.full((32, 32), 1e-4), 10, 10)
    solver = NonlinearSolver(circuit, Curve(0.0, 1.0))
    with pytest.raises(SpikecError, match="2 iterations") as refused:
        solver.currents(np.full(32, 0.1), limit=2)
    assert refused.value.diagnostics[0].code == "E1303"
    monkeypatch.setattr(nonlinear, "STEPS", 2)
    with pytest.raises(SpikecError, match="2 steps of Newton") as refused:
        NonlinearSolver(circuit, Curve(0.0, 100.0)).currents(np.full(32, 0.5))
    assert refused.value.diagnostics[0].code == "E1303"
