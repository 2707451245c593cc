"""The library: decks, ports, and that each deck is the machine that its table says."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.cells import CELLS, cell
from spikec.backends.sfq.characterise import gaps
from spikec.backends.sfq.circuit import CurrentSource, Inductor, Junction, Resistor
from spikec.backends.sfq.deck import read, write
from spikec.backends.sfq.testbench import Bench, random_stimuli
from spikec.backends.sfq.timing import timing
from spikec.ir.diagnostics import SpikecError

MACHINES = tuple(name for name in CELLS if cell(name).machine is not None)

# What is sent after each pulse of a word: the ports' first letters, or a dot.
WORDS = {
    "jtl": ("a a a", "q q q"),
    "splitter": ("a a", "qr qr"),
    "merger": ("a b b a", "q q q q"),
    "dff": ("clk a clk clk a a clk clk", ". . q . . . q ."),
    "ndro": ("clk set clk clk set clk reset clk reset set clk", ". . q q . q . . . . q"),
    "tff": ("a a a a a", ". q . q ."),
    "not": ("clk a clk clk a a clk clk", "q . . q . . . q"),
    "xor": (
        "clk a clk b clk a b clk b a clk a a clk a b a clk clk",
        ". . q . q . . . . . . . . q . . . q .",
    ),
}


@pytest.mark.parametrize("name", CELLS)
class TestDecks:
    def test_every_port_is_behind_an_inductor(self, name: str) -> None:
        this = cell(name)
        for port in this.ports:
            parts = [part for part in this.circuit.parts if port in part.nodes]
            assert [type(part) for part in parts] == [Inductor]

    def test_every_junction_has_a_shunt_of_the_same_quality(self, name: str) -> None:
        circuit = cell(name).circuit
        for part in circuit.of(Junction):
            shunt = circuit.part("R" + part.name)
            assert isinstance(shunt, Resistor)
            assert (shunt.a, shunt.b) == (part.a, part.b)
            assert shunt.ohm * part.area * part.model.critical == pytest.approx(0.686e-3, rel=1e-3)

    def test_a_deck_is_the_same_when_written_and_read(self, name: str) -> None:
        circuit = cell(name).circuit
        assert read(write(circuit)).circuit == circuit

    def test_figures_are_those_of_the_elements(self, name: str) -> None:
        this = cell(name)
        junctions = this.circuit.of(Junction)
        assert this.junctions == len(junctions)
        assert this.critical == pytest.approx(1e-4 * sum(part.area for part in junctions))
        biases = [this.circuit.part(source) for source in this.biases]
        assert len(biases) == len(this.circuit.of(CurrentSource)) > 0
        assert this.clock in (None, *this.inputs)


class TestMachines:
    def test_those_that_chance_has_no_part_in_are_machines(self) -> None:
        assert set(CELLS) - set(MACHINES) == {"synapse", "threshold", "dcsfq", "sfqdc"}
        assert set(WORDS) == set(MACHINES)

    @pytest.mark.parametrize("name", MACHINES)
    def test_the_table_sends_what_such_a_cell_sends(self, name: str) -> None:
        this = cell(name)
        machine = this.machine
        assert machine is not None
        state, sent = 0, []
        for port in WORDS[name][0].split():
            x = this.inputs.index(port)
            outputs = zip(this.outputs, machine.sends[state, x], strict=True)
            sent.append("".join(q for q, there in outputs if there) or ".")
            state = int(machine.next[state, x])
        assert " ".join(sent) == WORDS[name][1]

    @pytest.mark.parametrize("name", MACHINES)
    def test_the_deck_is_its_machine_on_random_pulses_that_keep_apart(self, name: str) -> None:
        known, bench = timing(name), Bench(name)
        stimuli = random_stimuli(known.apart, 96, 8, seed=77)
        seen = bench.seen(stimuli, bench.run(stimuli).pulses)
        kept = (gaps(stimuli, seen.arrival, known.apart) > -1e-15).all((1, 2))
        assert kept.sum() > 24
        assert seen.right[kept].all()
        table = known.delay[seen.before, stimuli.port]
        off = np.abs(seen.delay - table)[kept]
        assert np.isfinite(off[seen.sends[kept]]).all()
        # Other stimuli than those of the table may be a little further off.
        assert np.nanmax(off) < known.jitter + 0.1e-12

    def test_closer_pulses_are_not_always_what_the_machine_says(self) -> None:
        bench = Bench("merger")
        stimuli = random_stimuli(np.zeros((2, 2)), 64, 8, seed=1)
        assert not bench.seen(stimuli, bench.run(stimuli).pulses).right.all()

    def test_a_cell_that_there_is_not_is_refused(self) -> None:
        with pytest.raises(SpikecError, match="'and'") as found:
            cell("and")
        assert found.value.diagnostics[0].code == "E1420"
