"""Exact currents beside a dense nodal solve and badcrossbar, and by the laws they keep."""

from __future__ import annotations

import itertools
import tracemalloc
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.crossbar.circuit import Crossbar, Drive, Sense
from spikec.backends.crossbar.solve import Solver, transfer
from spikec.ir.diagnostics import SpikecError

from .nodal import nodal

Array = npt.NDArray[Any]
OHM = st.one_of(st.just(0.0), st.floats(0.1, 100))
SHAPES = [(1, 1), (1, 4), (4, 1), (3, 5), (6, 4)]


@st.composite
def crossbars(draw: Any, least: float = 0.0) -> Crossbar:
    """Any arrangement up to 7 x 7; one cell in eight is open where ``least`` is 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    cells = 10 ** rng.uniform(-6, -3, shape)
    if least == 0:
        cells[rng.random(shape) < 1 / 8] = 0
    word, bit, driver, sense = (draw(OHM) for _ in range(4))
    driven, sensed = draw(st.sampled_from(Drive)), draw(st.sampled_from(Sense))
    return Crossbar(cells, word, bit, driver, sense, driven, sensed)


def volts(circuit: Crossbar, seed: int = 1) -> Array:
    return np.random.default_rng(seed).uniform(-0.2, 0.2, circuit.rows)


def strong(n: int, ohm: float = 1.0) -> Crossbar:
    """1 to 100 uS, driven at the left, sensed at the bottom."""
    return Crossbar(np.random.default_rng(0).uniform(1e-6, 1e-4, (n, n)), ohm, ohm)


def error(found: Array, wanted: Array) -> float:
    """Largest difference, relative to the largest current."""
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("driven", Drive)
@pytest.mark.parametrize("sensed", Sense)
def test_every_arrangement_is_the_dense_solve(
    shape: tuple[int, int], driven: Drive, sensed: Sense
) -> None:
    rng = np.random.default_rng(3)
    for ohms in itertools.product((0, 2.0), (0, 3.0), (0, 50.0), (0, 20.0)):
        circuit = Crossbar(rng.uniform(1e-6, 1e-2, shape), *ohms, driven, sensed)
        voltage, active = volts(circuit), rng.random(shape[0]) < 0.5
        solver, wanted = Solver(circuit), nodal(circuit, voltage)
        assert error(solver.currents(voltage), wanted) < 1e-11
        assert error(voltage @ transfer(circuit), wanted) < 1e-11
        gated = nodal(circuit, voltage, active)
        assert error(solver.currents(voltage, active), gated) < 1e-11


def test_a_larger_one_with_all_ends_and_weak_drivers_is_the_dense_solve() -> None:
    cells = 10 ** np.random.default_rng(5).uniform(-6, -3, (20, 12))
    circuit = Crossbar(cells, 7, 3, 1e4, 2e3, Drive.BOTH, Sense.BOTH)
    voltage = volts(circuit)
    wanted = nodal(circuit, voltage)
    assert error(Solver(circuit).currents(voltage), wanted) < 1e-10
    assert error(voltage @ transfer(circuit), wanted) < 1e-10


@settings(deadline=None, max_examples=60, derandomize=True)
@given(crossbars(), st.floats(-3, 3), st.floats(-3, 3))
def test_superposition(circuit: Crossbar, a: float, b: float) -> None:
    solver, one, two = Solver(circuit), volts(circuit, 1), volts(circuit, 2)
    first, second, both = solver.currents(np.stack([one, two, a * one + b * two]))
    scale = np.abs(a * first).max() + np.abs(b * second).max()
    assert np.abs(both - (a * first + b * second)).max() <= 1e-10 * scale + 1e-30


@settings(deadline=None, max_examples=60, derandomize=True)
@given(crossbars())
def test_reciprocity(circuit: Crossbar) -> None:
    """1 V on row i gives column j the current that 1 V on column j gives row i."""
    there = Solver(circuit).currents(np.eye(circuit.rows))
    back = Solver(circuit.transposed()).currents(np.eye(circuit.columns))
    assert error(there, back.T) < 1e-10


@settings(deadline=None, max_examples=60, derandomize=True)
@given(crossbars(least=1e-6))
def test_positive_voltages_give_positive_currents_and_wires_only_lose(circuit: Crossbar) -> None:
    voltage = np.abs(volts(circuit)) + 0.01
    found = Solver(circuit).currents(voltage)
    assert (found > 0).all()
    # Through a cell of 0.2 V at most, and no column beyond all of its cells at the largest one.
    assert (found <= circuit.conductance.sum(0) * voltage.max() * (1 + 1e-12)).all()
    assert found.sum() <= circuit.conductance.sum(1) @ voltage * (1 + 1e-12)
    assert (transfer(circuit) > 0).all()


@settings(deadline=None, max_examples=60, derandomize=True)
@given(crossbars())
def test_both_solvers_agree_on_driven_rows(circuit: Crossbar) -> None:
    matrix = transfer(circuit)
    assert matrix.shape == circuit.conductance.shape
    assert error(Solver(circuit).currents(np.eye(circuit.rows)), matrix) < 1e-10


@settings(deadline=None, max_examples=30, derandomize=True)
@given(crossbars())
def test_a_mirror_image_drives_the_other_end(circuit: Crossbar) -> None:
    other = {Drive.LEFT: Drive.RIGHT, Drive.RIGHT: Drive.LEFT, Drive.BOTH: Drive.BOTH}
    mirrored = Crossbar(
        circuit.conductance[:, ::-1],
        circuit.word,
        circuit.bit,
        circuit.driver,
        circuit.sense,
        other[circuit.driven],
        circuit.sensed,
    )
    voltage = volts(circuit)
    found = Solver(mirrored).currents(voltage)[::-1]
    assert error(found, Solver(circuit).currents(voltage)) < 1e-10


@pytest.mark.parametrize("driven", Drive)
@pytest.mark.parametrize("sensed", Sense)
def test_without_wires_it_is_the_product(driven: Drive, sensed: Sense) -> None:
    cells = np.random.default_rng(2).uniform(1e-6, 1e-4, (9, 6))
    for ohm, bound in ((0.0, 1e-14), (1e-9, 1e-11), (1e-3, 1e-4)):
        circuit = Crossbar(cells, ohm, ohm, driven=driven, sensed=sensed)
        voltage = volts(circuit)
        for found in (Solver(circuit).currents(voltage), voltage @ transfer(circuit)):
            assert error(found, cells.T @ voltage) < bound
            assert ohm < 1e-3 or error(found, cells.T @ voltage) > 1e-8


class TestGated:
    def test_silent_rows_that_are_driven_take_current(self) -> None:
        """The transfer matrix holds for driven rows only: gated ones lose less, here by 10 %."""
        circuit = strong(64)
        active = np.random.default_rng(4).random(64) < 0.3
        voltage = np.where(active, 0.2, 0.0)
        solver = Solver(circuit)
        gated, driven = solver.currents(voltage, active), solver.currents(voltage)
        assert error(voltage @ transfer(circuit), driven) < 1e-10
        assert gated.sum() > 1.05 * driven.sum()

    def test_it_is_the_circuit_without_the_cells(self) -> None:
        circuit = strong(24, 20.0)
        active = np.random.default_rng(4).random((5, 24)) < 0.4
        voltage = np.random.default_rng(6).uniform(-0.2, 0.2, (5, 24))
        found = Solver(circuit).currents(voltage, active)
        for k, on in enumerate(active):
            reduced = Crossbar(circuit.conductance * on[:, None], 20.0, 20.0)
            assert error(found[k], nodal(circuit, voltage[k], on)) < 1e-10
            assert error(found[k], voltage[k] @ transfer(reduced)) < 1e-10

    def test_all_rows_active_is_driven_and_none_is_nothing(self) -> None:
        circuit = strong(12)
        solver, voltage = Solver(circuit), volts(circuit)
        everything = solver.currents(voltage, np.ones(12, bool))
        assert np.array_equal(everything, solver.currents(voltage))
        assert (solver.currents(voltage, np.zeros(12, bool)) == 0).all()

    def test_rows_of_another_shape_are_refused(self) -> None:
        with pytest.raises(SpikecError, match="active rows have the shape"):
            Solver(strong(4)).currents(np.zeros((2, 4)), np.ones(4, bool))


def test_points_where_relaxation_diverges_are_solved() -> None:
    """Beyond n^2 R mean(G) = 1.3; that it does diverge there is shown by ``bench/crossbar.py``."""
    for ohm in (200.0, 2e4):
        circuit = strong(16, ohm)
        voltage = np.abs(volts(circuit))
        wanted = nodal(circuit, voltage)
        assert circuit.rows**2 * ohm * circuit.conductance.mean() > 1.3
        found = Solver(circuit).currents(voltage)
        assert error(found, wanted) < 1e-10
        assert np.abs(found / wanted - 1).max() < 1e-10  # of each current, also of small ones
        assert error(voltage @ transfer(circuit), wanted) < 1e-10


@pytest.mark.parametrize(
    "ohms",
    [
        (1, 1, 1e6, 1e6),  # lines that nearly float
        (0, 1, 1e6, 1e6),
        (1, 0, 1e6, 1e6),
        (1, 1, 0, 1e5),
        (100, 0.01, 0, 0),
        (0.01, 100, 0, 0),
        (1e-6, 1e-6, 0, 0),
        (1e3, 1e3, 0, 0),
    ],
    ids=str,
)
def test_both_solvers_agree_on_hard_circuits(ohms: tuple[float, float, float, float]) -> None:
    """Each current to 1e-10, though they differ by orders of magnitude."""
    cells = 10 ** np.random.default_rng(0).uniform(-6, -3, (48, 40))
    circuit = Crossbar(cells, *ohms, Drive.BOTH, Sense.BOTH)
    voltage = np.abs(volts(circuit))
    found = Solver(circuit).currents(voltage)
    assert np.abs(found / (voltage @ transfer(circuit)) - 1).max() < 1e-10


def test_one_vector_and_many_have_their_shapes() -> None:
    circuit = Crossbar(np.full((3, 2), 1e-5), 1, 1)
    voltage = np.random.default_rng(0).uniform(0, 0.2, (4, 3))
    many = Solver(circuit).currents(voltage)
    assert many.shape == (4, 2)
    assert np.array_equal(many[2], Solver(circuit).currents(voltage[2]))


def test_too_few_iterations_are_told() -> None:
    with pytest.raises(SpikecError, match="2 iterations") as refused:
        Solver(strong(32, 10.0)).currents(np.full(32, 0.1), limit=2)
    assert refused.value.diagnostics[0].code == "E1303"


def test_memory_goes_with_the_cells() -> None:
    """1024 x 1024: a handful of numbers a cell, where a matrix of all nodes has 130 million."""
    circuit = strong(1024)
    voltage = np.random.default_rng(1).uniform(0, 0.2, 1024)
    Solver(strong(4)).currents(voltage[:4])  # what compiles is not counted
    tracemalloc.start()
    found = Solver(circuit).currents(voltage)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * circuit.conductance.nbytes
    assert found.min() > 0 and found.sum() < (voltage @ circuit.conductance).sum()


@pytest.mark.parametrize("n", [64, 128, 256])
def test_it_is_badcrossbar(n: int) -> None:
    # It warns that its plots lack cairo, which nothing here needs, by a filter of its own.
    with warnings.catch_warnings(record=True):
        peer = pytest.importorskip("badcrossbar")
    circuit, voltage = strong(n), np.random.default_rng(1).uniform(0, 0.2, n)
    solved = peer.compute(
        voltage[:, None], 1 / circuit.conductance, 1.0, node_voltages=False, all_currents=False
    )
    wanted = solved.currents.output[0]
    assert np.abs(Solver(circuit).currents(voltage) / wanted - 1).max() < 1e-9
    assert np.abs(voltage @ transfer(circuit) / wanted - 1).max() < 1e-9
