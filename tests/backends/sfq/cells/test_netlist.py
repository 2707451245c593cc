"""Circuits of cells: nets, what is refused, and elements."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spikec.backends.sfq.cells import cell
from spikec.backends.sfq.cells.netlist import Instance, Netlist, pulses
from spikec.backends.sfq.cells.timing import timing
from spikec.backends.sfq.josephson.circuit import CurrentSource, Junction, Resistor
from spikec.backends.sfq.josephson.simulate import Simulator, Transient
from spikec.ir.diagnostics import SpikecError

PS = 1e-12


def line(*names: str, **factors: float) -> Netlist:
    """JTLs of these names behind each other, from ``in`` to ``out``."""
    nets = ["in", *names[1:], "out"]
    return Netlist(
        tuple(
            Instance(name, "jtl", {"a": nets[k], "q": nets[k + 1]}, factors)
            for k, name in enumerate(names)
        )
    )


class TestNets:
    def test_what_nothing_drives_is_an_input_and_what_nothing_takes_an_output(self) -> None:
        found = Netlist(
            (
                Instance("s", "splitter", {"a": "n", "q": "x", "r": "y"}),
                Instance("d", "dff", {"a": "x", "clk": "c", "q": "z"}),
            )
        )
        assert found.inputs == ("n", "c")
        assert found.outputs == ("y", "z")
        assert found.counts == {"splitter": 1, "dff": 1}
        assert found.junctions == 10
        assert found.bias == pytest.approx(cell("splitter").bias + cell("dff").bias)
        assert found.biases == ("I1|s", "I1|d", "I2|d", "I3|d", "I4|d")

    @pytest.mark.parametrize(
        ("code", "words", "make"),
        [
            ("E1421", "two cells have the name 'u'", lambda: line("u", "u")),
            ("E1421", "whose ports are a, q", lambda: Netlist((Instance("u", "jtl", {"a": "n"}),))),
            ("E1420", "'and'", lambda: Netlist((Instance("u", "and", {}),))),
            (
                "E1422",
                "'n' is driven by 2",
                lambda: Netlist(
                    tuple(Instance(k, "jtl", {"a": k + "in", "q": "n"}) for k in ("u", "v"))
                ),
            ),
            (
                "E1422",
                "'n' is taken by 2",
                lambda: Netlist(
                    tuple(Instance(k, "jtl", {"a": "n", "q": k + "out"}) for k in ("u", "v"))
                ),
            ),
            ("E1422", "'out' is no input", lambda: line("u").circuit({"out": pulses([20 * PS])})),
            ("E1404", "after each other", lambda: pulses([20 * PS, 24 * PS])),
        ],
    )
    def test_wrong_ones_are_refused(
        self, code: str, words: str, make: Callable[[], object]
    ) -> None:
        with pytest.raises(SpikecError, match=words) as found:
            make()
        assert {d.code for d in found.value.diagnostics} == {code}


class TestCircuits:
    def test_elements_are_those_of_the_cells_and_ends_are_held(self) -> None:
        circuit = line("u", "v").circuit({"in": pulses([20 * PS])})
        own = 2 * len(cell("jtl").circuit.parts)
        assert len(circuit.parts) == own + 2
        assert isinstance(circuit.part("I>in"), CurrentSource)
        end = circuit.part("R<out")
        assert isinstance(end, Resistor)
        assert end.ohm == 2.0
        assert isinstance(line("u").circuit({}).part("R>in"), Resistor)

    def test_factors_of_an_instance_are_of_its_elements_alone(self) -> None:
        found = line("u", "v", B1=1.2, I2=0.5, RB1=2.0)
        circuit = found.circuit({})
        first, second = circuit.part("B1|u"), circuit.part("B2|u")
        assert isinstance(first, Junction)
        assert isinstance(second, Junction)
        assert first.area == pytest.approx(1.2 * second.area)
        assert circuit.part("RB1|u").ohm == pytest.approx(2 * circuit.part("RB2|u").ohm)  # type: ignore[union-attr]
        bias = circuit.part("I2|v")
        assert isinstance(bias, CurrentSource)
        assert float(bias.wave.at(0.0)) == pytest.approx(0.5 * 175e-6)
        assert found.bias == pytest.approx(2 * 1.5 * 175e-6)

    def test_every_pulse_that_goes_in_comes_out_once(self) -> None:
        times = np.array([20, 45, 60]) * PS
        net = line("u", "v", "w")
        found = Simulator(net.circuit({"in": pulses(times)})).run(
            Transient(110 * PS), watch=("in", "out")
        )
        assert found.pulses.of("in").size == found.pulses.of("out").size == 3
        assert np.diff(found.pulses.of("out")) == pytest.approx(np.diff(times), abs=0.1 * PS)

    def test_delays_of_a_chain_of_cells_add_up(self) -> None:
        """Other neighbours than JTLs move a delay by less than 0.4 ps."""
        kinds = ("jtl", "jtl", "splitter", "merger", "tff", "jtl")
        nets = ["in", "n1", "n2", "n3", "n4", "n5", "out"]
        chain = []
        for k, kind in enumerate(kinds):
            entry, leave = cell(kind).inputs[0], cell(kind).outputs[0]
            ports = {port: f"{port}{k}" for port in cell(kind).ports}
            chain.append(Instance(f"x{k}", kind, {**ports, entry: nets[k], leave: nets[k + 1]}))
        net = Netlist(tuple(chain))
        wave = {"in": pulses([20 * PS, 60 * PS])}
        found = Simulator(net.circuit(wave)).run(Transient(150 * PS), watch=("n1", "n5"))
        # The second pulse is the first that the flip-flop lets through.
        delay = found.pulses.of("n5")[0] - found.pulses.of("n1")[1]
        known = [timing(kind).delay[-1, 0, 0] for kind in kinds[1:5]]
        assert delay == pytest.approx(sum(known), abs=4 * 0.4 * PS)
