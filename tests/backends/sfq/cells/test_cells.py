"""The library: decks, ports, and that each deck is the machine that its table says."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.cells import CELLS, cell, powers, value_of
from spikec.backends.sfq.cells.timing import timing
from spikec.backends.sfq.josephson.circuit import CurrentSource, Inductor, Junction, Resistor
from spikec.backends.sfq.josephson.deck import read, write
from spikec.backends.sfq.josephson.waves import FLUX
from spikec.backends.sfq.library.characterise import gaps
from spikec.backends.sfq.library.testbench import Bench, random_stimuli
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
        """But for the pair of the synapse, whose shunts are chosen against spread."""
        circuit = cell(name).circuit
        pair = ("B2", "B3") if name == "synapse" else ()
        for part in circuit.of(Junction):
            shunt = circuit.part("R" + part.name)
            assert isinstance(shunt, Resistor)
            assert (shunt.a, shunt.b) == (part.a, part.b)
            critical = part.area * part.model.critical
            farad = part.area * part.model.capacitance
            damping = 2 * np.pi * critical * shunt.ohm**2 * farad / FLUX
            if part.name in pair:
                assert 0.2 < damping < 3
            else:
                assert damping == pytest.approx(1.0, rel=1e-6)

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

    def test_each_parameter_says_what_it_sets_and_sets_something(self, name: str) -> None:
        parameters = cell(name).parameters
        assert list(parameters)[-1] == "betac"
        for parameter in parameters.values():
            assert len(parameter.what.split()) > 2, parameter.name
            assert powers(name)[parameter.name], parameter.name
        # Every element but shunts is set by one of them.
        moved = {element for group in powers(name).values() for element in group}
        assert moved == {part.name for part in cell(name).circuit.parts}

    def test_elements_go_with_powers_of_parameters(self, name: str) -> None:
        rng = np.random.default_rng(5)
        nominal = cell(name)
        factor = {key: float(rng.uniform(0.7, 1.4)) for key in nominal.parameters}
        changed = cell(name, **{k: f * nominal.parameters[k].value for k, f in factor.items()})
        wanted = dict.fromkeys((part.name for part in nominal.circuit.parts), 1.0)
        for key, group in powers(name).items():
            for element, power in group.items():
                wanted[element] *= factor[key] ** power
        assert dict(changed.changed) == pytest.approx(wanted, rel=1e-9)


class TestParameters:
    def test_a_changed_cell_has_other_elements_and_is_the_same_else(self) -> None:
        this, that = cell("dff"), cell("dff", Lstore=9e-12)
        assert value_of(that.circuit.part("L3")) == pytest.approx(9e-12, rel=1e-12, abs=0)
        assert list(that.changed) == ["L3"]
        assert this.changed == {}
        others = [p for p in this.circuit.parts if p.name != "L3"]
        assert others == [p for p in that.circuit.parts if p.name != "L3"]

    def test_values_are_in_si_units_and_areas_of_a_tenth_of_a_milliampere(self) -> None:
        known = cell("jtl").parameters
        assert known["Ajtl"].value == 2.5
        assert known["Ijtl"].value == pytest.approx(175e-6, rel=1e-9, abs=0)
        # L Ic is half a flux quantum.
        assert known["Ljtl"].value * 250e-6 == pytest.approx(FLUX / 2, rel=1e-6, abs=0)

    def test_damping_is_a_parameter_of_all(self) -> None:
        that = cell("merger", betac=4.0)
        assert set(that.changed) == {"RB1", "RB2", "RB3", "RB4", "RB5"}
        assert list(that.changed.values()) == pytest.approx([2.0] * 5)

    def test_what_is_no_parameter_is_refused(self) -> None:
        with pytest.raises(SpikecError, match="no parameter 'Lother'") as found:
            cell("dff", Lother=1e-12)
        assert found.value.diagnostics[0].code == "E1480"
        assert "Lstore" in (found.value.diagnostics[0].hint or "")

    def test_what_no_element_can_have_is_refused(self) -> None:
        with pytest.raises(SpikecError) as found:
            cell("dff", Lstore=-1e-12)
        assert found.value.diagnostics[0].code == "E1401"


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
