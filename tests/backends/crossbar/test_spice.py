"""Decks by their text, by a dense solve, and by ngspice where it is; ngspice as a process."""

from __future__ import annotations

import itertools
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.crossbar.circuit import Crossbar, Drive, Sense
from spikec.backends.crossbar.converters import Converter
from spikec.backends.crossbar.nonlinear import Curve, NonlinearSolver
from spikec.backends.crossbar.solve import Solver, transfer
from spikec.backends.crossbar.spice import Neuron, deck, operating_points
from spikec.ir.diagnostics import SpikecError

from ..programs import needs_ngspice, ngspice_is
from .nodal import solved

Array = npt.NDArray[Any]
CURVE = Curve(0.4, 5.0)


def error(found: Array, wanted: Array) -> float:
    """Largest difference, relative to the largest current of any vector."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def tile(n: int, driven: Drive = Drive.LEFT, sensed: Sense = Sense.BOTTOM) -> Crossbar:
    """n x (n - 2) cells of 1 to 100 uS, one in eight open."""
    rng = np.random.default_rng(n)
    cells = rng.uniform(1e-6, 1e-4, (n, n - 2)) * (rng.random((n, n - 2)) > 1 / 8)
    return Crossbar(cells, 2.0, 5.0, 30.0, 10.0, driven, sensed)


def vectors(n: int) -> tuple[Array, Array]:
    """Three vectors; two of them have the same active rows."""
    rng = np.random.default_rng(1)
    voltage, active = rng.uniform(-0.1, 0.2, (3, n)), rng.random((3, n)) < 0.4
    active[2] = active[0]
    return voltage, active


class TestText:
    def test_a_deck_is_what_it_says(self) -> None:
        circuit = Crossbar(np.array([[1e-3, 0.0], [2e-3, 4e-3]]), 1, 2, 3, 4)
        assert deck(circuit, [0.1, -0.2]) == (
            "Crossbar of 2 x 2 cells, written by spikec\n"
            "* Run it with: ngspice -b FILE\n"
            "* Word lines are driven at: left. Bit lines are sensed at: bottom.\n"
            "* Units: V, A, ohm, F, s.\n"
            "* Nodes: d<i> driver of word line i; w<i>_<j> and b<i>_<j> ends of the cell at row\n"
            "* i, column j; s<j> virtual ground of bit line j. A line of 0 ohm is one node.\n"
            "* i(vs<j>) is the current of bit line j into its sense amplifiers.\n"
            "* Drivers, and their way to the ends of the word lines: R_w + R_drive\n"
            "vd0 d0 0 0.1\nrl0 d0 w0_0 4.0\nvd1 d1 0 -0.2\nrl1 d1 w1_0 4.0\n"
            "* Virtual grounds, and the way to them from the ends of the bit lines: R_b + R_sense\n"
            "vs0 s0 0 0\nrb0 b1_0 s0 6.0\nvs1 s1 0 0\nrb1 b1_1 s1 6.0\n"
            "* Word lines\nrw0_0 w0_0 w0_1 1.0\nrw1_0 w1_0 w1_1 1.0\n"
            "* Bit lines\nrb0_0 b0_0 b1_0 2.0\nrb0_1 b0_1 b1_1 2.0\n"
            "* Cells\nrc0_0 w0_0 b0_0 1000.0\nrc1_0 w1_0 b1_0 500.0\nrc1_1 w1_1 b1_1 250.0\n"
            ".control\nset numdgt=15\nop\nprint i(vs0)\nprint i(vs1)\nquit 0\n.endc\n.end\n"
        )

    def test_what_bends_is_beside_its_resistor(self) -> None:
        """Where a row is off, or a cell open, there is neither."""
        circuit = Crossbar(np.array([[1e-3, 0.0], [2e-3, 4e-3], [1e-3, 1e-3]]), 1, 2, 3, 4)
        curve = Curve(-0.5, np.array([[0.25], [0.25], [0.25]]))
        lines = deck(circuit, [0.1, -0.2, 0.3], [True, True, False], curve).splitlines()
        cells = [line for line in lines if re.match(r"(rc|bc)\d", line)]
        assert cells == [
            "rc0_0 w0_0 b0_0 1000.0",
            "bc0_0 w0_0 b0_0 i=v(w0_0,b0_0)*v(w0_0,b0_0)*((-0.0005)+v(w0_0,b0_0)*(0.00025))",
            "rc1_0 w1_0 b1_0 500.0",
            "bc1_0 w1_0 b1_0 i=v(w1_0,b1_0)*v(w1_0,b1_0)*((-0.001)+v(w1_0,b1_0)*(0.0005))",
            "rc1_1 w1_1 b1_1 250.0",
            "bc1_1 w1_1 b1_1 i=v(w1_1,b1_1)*v(w1_1,b1_1)*((-0.002)+v(w1_1,b1_1)*(0.001))",
        ]

    @pytest.mark.parametrize("driven", Drive)
    @pytest.mark.parametrize("sensed", Sense)
    def test_its_elements_are_the_circuit(self, driven: Drive, sensed: Sense) -> None:
        """The deck's resistors and sources, read back, solved densely by their node names."""
        for ohms in itertools.product((0, 2.0), (0, 3.0), (0, 50.0), (0, 20.0)):
            cells = np.random.default_rng(3).uniform(1e-6, 1e-2, (4, 3))
            cells[1, 2] = 0
            circuit = Crossbar(cells, *ohms, driven, sensed)
            voltage, active = np.array([0.1, -0.2, 0.3, 0.05]), np.array([True, True, False, True])
            for on in (None, active):
                found = solved(deck(circuit, voltage, on))
                assert error(found, Solver(circuit).currents(voltage, on)) < 1e-10

    def test_it_is_of_one_vector(self) -> None:
        with pytest.raises(SpikecError, match="of one vector, not 2") as refused:
            deck(tile(4), np.zeros((2, 4)))
        assert refused.value.diagnostics[0].code == "E1302"

    def test_its_comments_are_lines_of_it(self) -> None:
        lines = deck(tile(4), np.zeros(4), notes=("of a test", "0 1")).splitlines()
        assert "* of a test" in lines and lines[lines.index("* of a test") + 1] == "* 0 1"

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda: Converter(0.0, 5), "step is 0.0 A"),
            (lambda: Converter(1e-6, 0), "0 bits"),
            (lambda: Converter([1e-6, -1e-6], 4), "step is -1e-06 A"),
            (lambda: Neuron(1e-12, -0.1, 1e-3, 1e-6), "threshold is -0.1"),
            (lambda: Neuron(np.nan, 0.1, 1e-3, 1e-6), "capacitance is nan"),
        ],
    )
    def test_an_impossible_value_is_refused(self, make: Any, words: str) -> None:
        with pytest.raises(SpikecError, match=words) as refused:
            make()
        assert refused.value.diagnostics[0].code == "E1301"


@needs_ngspice
class TestOperatingPoints:
    @pytest.mark.parametrize("n", [8, 16, 32])
    @pytest.mark.parametrize("driven", Drive)
    @pytest.mark.parametrize("sensed", Sense)
    def test_linear_cells(self, n: int, driven: Drive, sensed: Sense) -> None:
        circuit = tile(n, driven, sensed)
        voltage, active = vectors(n)
        wanted = operating_points(circuit, voltage)
        assert error(Solver(circuit).currents(voltage), wanted) < 1e-10
        assert error(voltage @ transfer(circuit), wanted) < 1e-10
        gated = operating_points(circuit, voltage, active)
        assert error(Solver(circuit).currents(voltage, active), gated) < 1e-10
        assert error(gated, wanted) > 1e-2

    @pytest.mark.parametrize("n", [8, 16, 32])
    @pytest.mark.parametrize("driven", Drive)
    @pytest.mark.parametrize("sensed", Sense)
    def test_bending_cells(self, n: int, driven: Drive, sensed: Sense) -> None:
        circuit = tile(n, driven, sensed)
        voltage, active = vectors(n)
        solver = NonlinearSolver(circuit, CURVE)
        wanted = operating_points(circuit, voltage, None, CURVE)
        assert error(solver.currents(voltage), wanted) < 1e-10
        gated = operating_points(circuit, voltage, active, CURVE)
        assert error(solver.currents(voltage, active), gated) < 1e-10
        assert error(Solver(circuit).currents(voltage), wanted) > 1e-2

    @pytest.mark.parametrize("curve", [None, CURVE], ids=["linear", "bending"])
    def test_without_resistances(self, curve: Curve | None) -> None:
        cells = np.random.default_rng(3).uniform(1e-6, 1e-2, (4, 3))
        voltage = np.array([0.1, -0.2, 0.3, 0.05])
        for ohms in itertools.product((0, 2.0), (0, 3.0), (0, 50.0), (0, 20.0)):
            circuit = Crossbar(cells, *ohms, Drive.BOTH, Sense.BOTH)
            ours = NonlinearSolver(circuit, curve or Curve()).currents(voltage)
            assert error(ours, operating_points(circuit, voltage, None, curve)) < 1e-10

    def test_one_vector_and_many_have_their_shapes(self) -> None:
        circuit, (voltage, active) = tile(4), vectors(4)
        many = operating_points(circuit, voltage, active)
        assert many.shape == (3, 2)
        assert error(many[1], operating_points(circuit, voltage[1], active[1])) < 1e-12


def batch(text: str, folder: Path) -> str:
    """What ngspice prints for a deck, run as its first lines say."""
    path = folder / "tile.cir"
    path.write_text(text)
    done = subprocess.run(
        ["ngspice", "-n", "-b", str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


@needs_ngspice
class TestPeriphery:
    def test_a_deck_runs_by_itself(self, tmp_path: Path) -> None:
        circuit, (voltage, active) = tile(8), vectors(8)
        for curve in (None, CURVE):
            printed = batch(deck(circuit, voltage[0], active[0], curve), tmp_path)
            found = np.array([float(x) for x in re.findall(r"^i\(vs\d+\) = (\S+)", printed, re.M)])
            assert error(found, operating_points(circuit, voltage[0], active[0], curve)) < 1e-12

    def test_codes_are_the_rounded_and_clamped_currents(self, tmp_path: Path) -> None:
        circuit, voltage = tile(16), np.random.default_rng(1).uniform(-0.1, 0.2, 16)
        voltage[::2] *= -1
        current = Solver(circuit).currents(voltage)
        converter = Converter(lsb=float(current.max()) / 20.3, bits=4)
        printed = batch(deck(circuit, voltage, converter=converter), tmp_path)
        found = [float(x) for x in re.findall(r"^v\(code\d+\) = (\S+)", printed, re.M)]
        wanted = np.clip(np.floor(current / converter.lsb + 0.5), 0, 15)
        assert {0, 15} < set(wanted)  # clamped at both ends, and some in between
        assert found == wanted.tolist()

    def test_pairs_have_codes_of_both_signs(self, tmp_path: Path) -> None:
        """Two converters take turns, as those of two slices do."""
        circuit, voltage = tile(16), np.random.default_rng(1).uniform(-0.1, 0.2, 16)
        current = Solver(circuit).currents(voltage)
        difference = current[::2] - current[1::2]
        lsb = np.abs(difference).max() / np.array([9.3, 3.2])
        converter = Converter(lsb, bits=4, pairs=True)
        assert (converter.low, converter.high) == (-7, 7)
        printed = batch(deck(circuit, voltage, converter=converter), tmp_path)
        found = [float(x) for x in re.findall(r"^v\(code\d+\) = (\S+)", printed, re.M)]
        wanted = np.clip(np.rint(difference / np.resize(lsb, 7)), -7, 7)
        assert min(wanted) < 0 < max(wanted) and 7 in np.abs(wanted)
        assert found == wanted.tolist()

    def test_neurons_fire_at_the_rate_of_their_currents(self, tmp_path: Path) -> None:
        circuit, voltage = tile(5), -np.random.default_rng(5).uniform(-0.2, 0.2, 5)
        current = Solver(circuit).currents(voltage)
        assert current.max() > 0 > current.min()
        # The fastest has its first spike after 100 steps, and some 15 spikes.
        capacitance, threshold = 1e-12, 0.5
        ramp = capacitance * threshold / current
        step = float(ramp[current > 0].min()) / 100
        neuron = Neuron(capacitance, threshold, 1600 * step, step)
        printed = batch(deck(circuit, voltage, neuron=neuron), tmp_path)
        for j, amperes in enumerate(current):
            first, period = (
                re.search(rf"^{name}{j}\s+=\s+(\S+)", printed, re.M) for name in ("first", "period")
            )
            if amperes < 0:
                assert first is None and period is None
                continue
            assert first is not None and period is not None
            assert abs(float(first[1]) - ramp[j]) < 2 * step
            assert 0.95 * ramp[j] < float(period[1]) < ramp[j] + 8 * step


class TestProcess:
    def ask(self, **more: Any) -> SpikecError:
        with pytest.raises(SpikecError) as refused:
            operating_points(Crossbar(np.full((2, 2), 1e-5)), [[0.1, 0.2], [0, 0.1]], **more)
        return refused.value

    def test_without_ngspice(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        error = self.ask()
        assert error.diagnostics[0].code == "E0602" and error.exit_code == 3
        assert "apt install ngspice" in str(error)

    def test_one_that_crashes(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        ngspice_is(tmp_path, monkeypatch, "print('no such device'); raise SystemExit(7)")
        error = self.ask()
        assert error.diagnostics[0].code == "E0603"
        assert "exit status 7" in str(error) and "no such device" in str(error)

    @pytest.mark.parametrize(
        ("last", "missing"),
        [("", 1), ("i(vs1) = what", 1), ("i(vs1) = nan", 1), ("i(vs7) = 1", 1), ("vector 9", 1)],
    )
    def test_one_that_finds_something_else(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, last: str, missing: int
    ) -> None:
        lines = ["vector 0", "i(vs0) = 1e-6", "i(vs1) = 2e-6", "vector 1", "i(vs0) = 3e-6", last]
        script = f"open('currents', 'w').write({chr(10).join(lines)!r})"
        ngspice_is(tmp_path, monkeypatch, script)
        error = self.ask()
        assert error.diagnostics[0].code == "E0603"
        assert "no current of column 1 for vector 1" in str(error)
        assert f"of 4 currents {missing} are missing" in str(error)

    def test_one_that_hangs(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        folder = tmp_path / "scratch"
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        ngspice_is(tmp_path, monkeypatch, "import time; time.sleep(600)")
        error = self.ask(timeout=0.5)
        assert error.diagnostics[0].code == "E0605" and error.exit_code == 3
        assert "longer than 0.5 s" in str(error)
        assert not list(folder.iterdir())
