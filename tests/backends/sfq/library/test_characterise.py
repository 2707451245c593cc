"""What ``timing.json`` says is what the simulator finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from click.testing import CliRunner

from spikec.backends.sfq.cells import CELLS, cell, timing
from spikec.backends.sfq.josephson.margins import REACH, Spread
from spikec.backends.sfq.josephson.simulate import ENERGIES
from spikec.backends.sfq.josephson.waves import FLUX
from spikec.backends.sfq.library import characterise
from spikec.backends.sfq.library.characterise import (
    apart,
    at_input,
    beside,
    characterised,
    delays,
    document,
    gaps,
    text,
)
from spikec.backends.sfq.library.testbench import LATE, Bench, Stimuli
from spikec.boards.process import load_process
from spikec.ir.diagnostics import SpikecError

from ..again import timing_off

PS = 1e-12
FILE = Path(timing.__file__).parent / "timing.json"
MACHINES = tuple(name for name in CELLS if cell(name).machine is not None)


class TestTable:
    @pytest.mark.parametrize("name", MACHINES)
    def test_delays_and_energies_are_found_again(self, name: str) -> None:
        delay, energy = delays(Bench(name))
        known = timing.known()[name]
        assert np.array_equal(np.round(delay, 14), timing.timing(name).delay, equal_nan=True)
        assert energy == pytest.approx(np.array(known["energy"]), rel=5e-3, abs=0)

    @pytest.mark.parametrize("name", MACHINES)
    def test_least_times_and_jitter_are_found_again(self, name: str) -> None:
        assert timing_off(Bench(name), timing.timing(name)) == []

    @pytest.mark.parametrize("factor", [0.7, 1.3])
    def test_least_times_and_a_jitter_that_are_wrong_are_seen(self, factor: float) -> None:
        bench, known = Bench("merger"), timing.timing("merger")
        jitter = timing.Timing(known.delay, known.apart, factor * known.jitter)
        assert [word[:6] for word in timing_off(bench, jitter)] == ["jitter"]
        for pair in ((0, 0), (0, 1)):
            apart = known.apart.copy()
            apart[pair] *= factor
            wrong = timing_off(bench, timing.Timing(known.delay, apart, known.jitter))
            assert any(word.startswith("apart") for word in wrong), pair

    def test_a_cell_is_found_again_whole(self) -> None:
        found, _ = characterised("tff")
        known = timing.timing("tff")
        assert np.array_equal(found.apart, known.apart)
        assert found.jitter == known.jitter

    @pytest.mark.slow
    def test_the_file_is_what_the_command_writes(self) -> None:
        assert text(document()) == FILE.read_text(encoding="utf-8")

    def test_the_file_has_the_process_and_what_cells_are_made_of(self) -> None:
        found = json.loads(FILE.read_text(encoding="utf-8"))
        process = load_process(found["process"])
        assert found["bias_voltage"] == process.bias_voltage.value
        assert found["cooling"] == process.cooling.value
        assert found["reach"] == REACH
        assert found["spread"] == {k: 4 * v for k, v in Spread.of(process).element.items()}
        for name, figures in found["cells"].items():
            assert figures["junctions"] == cell(name).junctions
            assert figures["bias"] == pytest.approx(cell(name).bias)
            static = cell(name).bias * process.bias_voltage.value
            assert figures["static"] == pytest.approx(static, rel=1e-3)

    def test_the_file_is_the_text_of_its_contents(self) -> None:
        written = FILE.read_text(encoding="utf-8")
        assert text(json.loads(written)) == written


class TestLeastTimes:
    def test_just_above_a_merger_passes_both_and_just_below_it_does_not(self) -> None:
        """What ``apart`` finds of one pair, tried by hand."""
        bench = Bench("merger")
        table, _ = delays(bench)
        least = apart(bench, table)[0, 1]
        tries = Stimuli.of([[(0, 30 * PS), (1, 30 * PS + least + d)] for d in (-PS, 0.3 * PS)])
        seen = bench.seen(tries, bench.run(tries).pulses)
        late = np.abs(seen.delay[:, :, 0] - table[0, 0, 0]).max(1) > LATE
        assert (~seen.right | late).tolist() == [True, False]

    def test_of_a_line_it_is_what_a_junction_takes_to_turn(self) -> None:
        """A JTL sends no two pulses closer than some ps, whatever comes."""
        bench = Bench("jtl")
        tries = Stimuli.of([[(0, 30 * PS), (0, 30 * PS + d * PS)] for d in (3, 4, 5)])
        found = bench.run(tries).pulses
        gap = [float(np.diff(found.of("a", k))[0]) for k in range(3)]
        assert min(gap) > 6 * PS
        assert timing.timing("jtl").apart[0, 0] < min(gap) + 2 * PS

    def test_gaps_are_from_each_pulse_to_later_ones(self) -> None:
        least = np.array([[5.0, 1.0], [2.0, 7.0]])
        stimuli = Stimuli.of([[(0, 0.0), (1, 3.0), (0, 6.0)]])
        found = gaps(stimuli, stimuli.time, least)[0]
        assert found[0, 1] == 3 - 1
        assert found[0, 2] == 6 - 5
        assert found[1, 2] == 3 - 2
        assert np.isinf(found[np.tril_indices(3)]).all()


class TestNeighbours:
    TABLES: ClassVar = {name: timing.timing(name).delay for name in MACHINES}

    @pytest.mark.parametrize("name", MACHINES)
    def test_the_furthest_shift_is_found_again(self, name: str) -> None:
        shifts = [
            beside(self.TABLES, name, other, port)
            for other in MACHINES
            for port in cell(other).inputs
        ]
        assert 0 <= timing.known()[name]["beside"] - max(shifts) < 0.101 * PS
        shift = at_input(self.TABLES, name)
        assert 0 <= timing.known()[name]["at_input"] - shift < 0.101 * PS

    def test_between_lines_nothing_shifts(self) -> None:
        assert beside(self.TABLES, "jtl", "jtl", "a") < 0.01 * PS


class TestEnergy:
    def test_of_a_line_it_is_a_flux_quantum_times_its_bias(self) -> None:
        _, energy = delays(Bench("jtl"))
        assert energy[0, 0] == pytest.approx(FLUX * cell("jtl").bias, rel=1e-6, abs=0)

    def test_of_all_cells_it_is_what_the_simulator_says_that_sources_gave(self) -> None:
        """Of lines and cell, with what drives them, from rest to rest."""
        bench = Bench("tff")
        tries = Stimuli.of([[(0, 30 * PS), (0, 80 * PS)]])
        idle = Stimuli.of([[(0, 80 * PS), (0, 30 * PS)]])
        found = bench.run(tries)
        # The same sources, none of them on.
        still = bench.run(idle, factors={"I>a0.0": 0.0, "I>a0.1": 0.0})
        given = ENERGIES.index("sources")
        whole = found.energies[0, given] - still.energies[0, given]
        _, energy = delays(bench)
        lines, pulses = FLUX * cell("jtl").bias, 2
        # Two JTLs in front see both pulses, two behind see one.
        expected = float(energy.sum()) + lines * (2 * pulses + 2)
        driver = whole - expected
        # A source of pulses gives the charge of each at the voltage of a junction, some 0.2 mV.
        assert 0 < driver < pulses * 1.125e-15 * 0.7e-3
        assert driver < 0.25 * whole


def test_a_deck_that_is_not_its_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # A line said to send nothing.
    this = cell("jtl")
    assert this.machine is not None
    silent = type(this.machine)(this.machine.next, np.zeros_like(this.machine.sends))
    monkeypatch.setattr(
        "spikec.backends.sfq.library.testbench.cell",
        lambda kind: type(this)(
            this.name, this.title, this.inputs, this.outputs, this.clock, this.circuit, silent
        ),
    )
    with pytest.raises(SpikecError) as found:
        characterised("jtl")
    assert found.value.diagnostics[0].code == "E1425"


def test_the_command_writes_where_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = json.loads(FILE.read_text(encoding="utf-8"))
    monkeypatch.setattr(characterise, "document", lambda **how: known)
    place = tmp_path / "timing.json"
    result = CliRunner().invoke(characterise.main, ["-o", str(place)])
    assert result.exit_code == 0, result.output
    assert place.read_bytes() == FILE.read_bytes()
