"""Decks: read, refused with the line and the word, and written so that they read the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.sfq.josephson.circuit import (
    Capacitor,
    Circuit,
    Coupling,
    CurrentSource,
    Inductor,
    Junction,
    JunctionModel,
    Line,
    Part,
    Resistor,
    VoltageSource,
)
from spikec.backends.sfq.josephson.deck import load, read, subcircuits, write
from spikec.backends.sfq.josephson.simulate import Transient, simulate
from spikec.backends.sfq.josephson.waves import Constant, Pulse, Pwl, Sine, ramped
from spikec.ir.diagnostics import SpikecError

from ..jtl import INPUT, MIT, PS, jtl

JTL = """* one cell, and a line of three
.param PHI0=2.067833848E-15
.subckt JTL a q BIAS=175u
* parameters in any order
.param L2=L1/2
.param L1 = {PHI0/(2*B1*Ic0)}
.param Ic0=0.0001
.param B1=2.5
.model jjmit jj(rtype=1, vg=2.8mV, cap=0.07pF,
+ r0=160, rn=16ohm, icrit=0.1mA)
Lin a 1 L2
B1 1 0 jjmit area=B1
RB1 1 0 2.65
Lout 1 q L1/2
IB1 0 1 pwl(0 0 5p BIAS)
.ends JTL
I1 0 in pulse (0 600u 50p 3p 3p 0 50p)
X1 in 1 jtl            * SPICE's order
X2 JTL 1 2
X3 2 out JTL BIAS=180u Lout=3p
.tran 0.05p 150p 0
.temp 4.2
.print p(B1.X1) PHASE B1|X3
.print v(out)
.end
this is not read
""".replace("            * SPICE's order", "")


def refused(text: str) -> Any:
    with pytest.raises(SpikecError) as found:
        read(text, "cell.cir")
    return found.value.diagnostics[0]


class TestReading:
    def test_instances_become_elements(self) -> None:
        deck = read(JTL)
        henry = 2.067833848e-15 / (2 * 2.5 * 1e-4)
        names = [part.name for part in deck.circuit.parts]
        assert names[:6] == ["I1", "Lin|X1", "B1|X1", "RB1|X1", "Lout|X1", "IB1|X1"]
        assert deck.circuit.nodes == ("in", "1|X1", "1", "1|X2", "2", "1|X3", "out")
        assert deck.circuit.part("Lin|X2") == Inductor("Lin|X2", "1", "1|X2", henry / 2)
        assert deck.circuit.part("Lout|X3") == Inductor("Lout|X3", "1|X3", "out", 3e-12)
        model = JunctionModel("jjmit|JTL", 1e-4, 0.07e-12, 160, 16)
        assert deck.circuit.part("B1|X1") == Junction("B1|X1", "1|X1", "0", model, 2.5)
        bias = [deck.circuit.part(f"IB1|X{k}") for k in (1, 3)]
        waves = [p.wave for p in bias if isinstance(p, CurrentSource)]
        assert waves == [ramped(175e-6, 5e-12), ramped(180e-6, 5e-12)]
        assert deck.transient == Transient(150e-12, 0.05e-12, 0.0, temperature=4.2)
        assert deck.prints == (("P", "B1|X1"), ("PHASE", "B1|X3"), ("V", "out"))

    def test_a_deck_runs(self) -> None:
        deck = read(JTL)
        assert deck.transient is not None
        found = simulate(deck.circuit, deck.transient, record=[name for _, name in deck.prints])
        assert found.pulses.counts().tolist() == [[2, 2, 2]]

    def test_letters_of_any_size_and_names_of_the_first(self) -> None:
        deck = read("l1 A 0 2P\nR1 a GND 5\n.MODEL jj1 JJ(C=0.1pf IC=1M)\nb1 A 0 JJ1 IC=0.5m\n")
        model = JunctionModel("jj1", 1e-3, 0.1e-12)
        assert deck.circuit == Circuit(
            (Inductor("l1", "A", "0", 2e-12), Resistor("R1", "A", "0", 5.0),
             Junction("b1", "A", "0", model, 0.5))
        )  # fmt: skip
        assert deck.transient is None

    def test_what_test_benches_have(self) -> None:
        """As RSFQlib's examples and JoSIM's do: ``uic``, ``.plot``, ``.save``, two nodes, $."""
        deck = read(
            "I0 0 a pwl(0 0 5p 1m) $ the bias\nR1 a b$c 5\nR2 b$c 0 1\n$ all of it\n"
            ".tran 0.25p 400p 0 0.25p UIC\n.plot tran v(a) i(R1)\n.save @I0.X0[c] @R1[v]\n"
            ".print nodev a 0\n.print nodep a phase R1 V(a, 0)\n"
        )
        assert deck.circuit.nodes == ("a", "b$c")
        assert deck.transient == Transient(400e-12, 0.25e-12, 0.0)
        assert deck.prints == (
            *(("V", "a"), ("I", "R1"), ("C", "I0|X0"), ("V", "R1")),
            *(("NODEV", "a 0"), ("NODEP", "a"), ("PHASE", "R1"), ("V", "a 0")),
        )

    def test_every_element_and_wave(self) -> None:
        deck = read(
            "L1 a 0 2p\nL2 a 0 3p\nK1 L1 L2 0.2\nC1 a 0 1f\nT1 a 0 b 0 LOSSLESS Z0=5 TD=10p\n"
            "R1 b 0 5\nI1 0 a 1m\nI2 0 a DC 2m\nI3 0 a sin(0 1m 10g 2p)\nI4 0 a pulse(0 1m 3p)\n"
            "V1 c 0 pwl(0 0, 1p 1m)\nR2 c a 1k\n.model m jj()\nB1 a 0 99 m\n.tran 0.1p 20p 0 1p\n"
        )
        part = deck.circuit.part
        assert part("K1") == Coupling("K1", "L1", "L2", 0.2)
        assert part("T1") == Line("T1", "a", "0", "b", "0", 5.0, 10e-12)
        assert [part(f"I{k}") for k in (1, 2)] == [
            CurrentSource(f"I{k}", "0", "a", Constant(k * 1e-3)) for k in (1, 2)
        ]
        assert part("I3") == CurrentSource("I3", "0", "a", Sine(0.0, 1e-3, 1e10, 2e-12))
        # What is not said is the transient's step and stop.
        pulse = Pulse(0.0, 1e-3, 3e-12, 0.1e-12, 0.1e-12, 20e-12)
        assert part("I4") == CurrentSource("I4", "0", "a", pulse)
        assert part("V1") == VoltageSource("V1", "c", "0", Pwl([0, 1e-12], [0, 1e-3]))
        assert part("B1") == Junction("B1", "a", "0", JunctionModel("m"))
        assert "99" not in deck.circuit.nodes

    def test_subcircuits_in_subcircuits(self) -> None:
        deck = read(
            ".param r=3\n.subckt out a\nX1 a in r=5\nR1 a 0 r\n.ends\n"
            ".subckt in b r=1\nR1 b 0 r\n.ends\nXA top out\nL1 top 0 1p\n"
        )
        parts = deck.circuit.of(Resistor)
        assert [(p.name, p.a, p.ohm) for p in parts] == [
            ("R1|X1|XA", "top", 5.0), ("R1|XA", "top", 3.0)
        ]  # fmt: skip

    def test_names_are_written_as_in_their_own_block(self) -> None:
        deck = read(".subckt c A\nl1 A 0 1p\n.ends\nL1 a 0 2p\nL2 A 0 1p\nK1 l1 L2 0.1\nx1 A c\n")
        assert [part.name for part in deck.circuit.parts] == ["L1", "L2", "K1", "l1|x1"]
        assert deck.circuit.nodes == ("a",)

    @pytest.mark.parametrize(
        ("code", "line", "words", "text"),
        [
            ("E1406", 2, "'b' cannot be included by a text", "L1 a 0 1p\n.include b"),
            ("E1410", 2, "'.lib': .lib is not read", "L1 a 0 1p\n.lib models.lib tt"),
            ("E1410", 1, "'.sweep': a deck is simulated once", ".sweep PWL I1 0 1m 1u"),
            ("E1410", 1, "'.spread': values by chance", ".spread 0.2"),
            ("E1410", 1, "'TEMP=4': this option would change", ".options TEMP=4"),
            ("E1410", 1, "'P1': phase sources are not", "P1 a 0 pwl(0 0 1p 1)"),
            ("E1410", 1, "'E1': dependent sources are not", "E1 a 0 b 0 2"),
            ("E1410", 1, "'Q1': no such statement", "Q1 a 0 1p"),
            ("E1410", 2, "'+': it goes on from nothing", "* c\n+ 1p"),
            ("E1410", 1, "'L1': something is missing: L has two nodes and an inductance in H",
             "L1 a 0"),
            ("E1410", 1, "'b1': something is missing: B has two nodes and a model", "b1 a 0"),
            ("E1400", 2, "no current can flow from 'b', 'c' to ground", "L1 a 0 1p\nR1 b c 5"),
            ("E1401", 2, "the ohm of 'R1' is 0 ohm; it must be above 0", "L1 a 0 1p\nR1 a 0 0"),
            ("E1401", 3, "the ohm of 'R1|X1' is 0 ohm",
             "X1 a c\n.subckt c q\nR1 q 0 0\n.ends"),
            ("E1401", 2, "the coupling 'K1' is 2, not within",
             "L1 a 0 1p\nK1 L1 L2 2\nL2 a 0 1p"),
            ("E1401", 2, "the gap of the model 'm' is 0; it must be above 0",
             "B1 a 0 m\n.model m jj(vg=0)"),
            ("E1402", 2, "'V1' is between 'a' and 'b'", "R1 a 0 1\nV1 a b 5\nR2 b 0 1"),
            ("E1403", 2, "two elements have the name 'R1'", "R1 a 0 1\nr1 a 0 2"),
            ("E1403", 2, "'K1' couples 'L9', which is no inductor", "L1 a 0 1p\nK1 L1 L9 0.1"),
            ("E1403", 4, "'K1|X1' couples 'L9|X1', which is no inductor",
             "X1 a c\n.subckt c q\nL1 q 0 1p\nK1 L1 L9 0.1\n.ends\nL9 a 0 1p"),
            ("E1404", 2, "the step of a transient is 0", "R1 a 0 1\n.tran 0 9p"),
            ("E1410", 1, "'2': one word too many", "L1 a 0 1p 2"),
            ("E1410", 1, "'TEMP': this is not read here", "L1 a 0 1 temp=4"),
            ("E1410", 2, "'TEMP': this is at 0 K and others at 4.2 K",
             ".temp 4.2\nR1 a 0 1 temp=0\nR2 a 0 1\n.tran 1p 9p"),
            ("E1410", 2, "'TEMP': this is at 4 K and others at 0 K",
             "R1 a 0 1\nR2 a 0 1 temp=4\n.tran 1p 9p"),
            ("E1410", 1, "'1000000000.0': noise is drawn once a step",
             "R1 a 0 1 neb=1G\n.tran 1p 9p"),
            ("E1410", 2, "'CPR=2': a current is Ic sin",
             "B1 a 0 m\n.model m jj(cpr=2)"),
            ("E1410", 2, "'PHI=pi': no junction is shifted", "B1 a 0 m\n.model m jj(phi=pi)"),
            ("E1410", 1, "'noise(1u 0 1p)': no source is of noise", "I1 0 a noise(1u 0 1p)"),
            ("E1410", 1, "'cus(w 1)': no source has this shape", "I1 0 a cus(w 1)"),
            ("E1410", 1, "'m': no such model", "B1 a 0 m"),
            ("E1410", 1, "'ICFCT': no parameter of a model", ".model m jj(icfct=0.8)"),
            ("E1410", 1, "'nmos(a=1)': .model NAME jj", ".model m nmos(a=1)"),
            ("E1410", 1, "'cell': no such subcircuit", "X1 a b cell"),
            ("E1410", 3, "'X1': 1 nodes for 2 of 'c'", ".subckt c a b\n.ends\nX1 a c"),
            ("E1410", 4, "'W': 'c' has no such parameter",
             ".subckt c a\nR1 a 0 1\n.ends\nX1 a c w=2"),
            ("E1410", 2, "'c': this subcircuit is within itself",
             ".subckt c a\nX1 a c\n.ends\nX1 a c"),
            ("E1410", 2, "'.SUBCKT': a subcircuit within", ".subckt c a\n.subckt d a"),
            ("E1410", 3, "'C': this subcircuit is there already", ".subckt c a\n.ends\n.subckt C"),
            ("E1410", 1, "'.ENDS': it ends nothing", ".ends"),
            ("E1410", 1, "'c' has no .ends", ".subckt c a"),
            ("E1410", 1, "'pwl(0 0': parentheses do not match", "I1 0 a pwl(0 0"),
            ("E1410", 1, "'I1': pwl has pairs", "I1 0 a pwl(0 0 1)"),
            ("E1410", 1, "'T1': TD=VALUE is missing",
             "T1 a 0 b 0 Z0=5"),
            ("E1411", 1, "'gauss(w)': 'gauss' is no function", "I1 0 a gauss(w)"),
            ("E1410", 1, "'I1': one value is wanted", "I1 0 a 1m 2m"),
            ("E1410", 1, "'.tran': a step and a stop", ".tran 1p"),
            ("E1410", 2, "'.NEB': one bandwidth in Hz", "R1 a 0 1\n.NEB 1 2\n.tran 1p 9p"),
            ("E1410", 2, "'1G': noise is drawn once a step, so that it is 1e+12",
             "R1 a 0 1\n.neb 1G\n.tran 1p 9p"),
            ("E1404", 1, "do not rise", "I1 0 a pwl(0 0 0 1)"),
            ("E1404", 2, "1 s in steps of 5e-14 s are 2e+13 steps; at most 100,000,000",
             "R1 a 0 1\n.tran 0.05p 1"),
            ("E1404", 2, "a step of 0.05 s; pulses of junctions are", "R1 a 0 1\n.tran 0.05 200p"),
            ("E1404", 2, "'T1' lasts 10 s, 2e+14 steps; at most 10,000,000",
             "R1 a 0 1\nT1 a 0 b 0 z0=5 td=10\n.tran 0.05p 200p"),
            ("E1410", 2, "it says nothing", "R1 a 0 1\n,"),
            ("E1410", 2, "it is 1.7, not 0 or 1", "B1 a 0 m\n.model m jj(rtype=1.7)"),
            ("E1411", 1, "too many powers", "R1 a 0 " + "^".join(200 * ["2"])),
            ("E1411", 2, "made of too many others",
             ".param " + " ".join(f"a{k}=a{k + 1}" for k in range(600)) + " a600=1\nR1 x 0 a0"),
            ("E1404", 2, "1 s in steps of 1e-310 s are inf steps", "R1 a 0 1\n.tran 1e-310 1"),
            ("E1404", 5, "'I1|X1' has 2e+07 pulses in 0.001 s, one each 5e-11 s; at most",
             "X1 a c\nR1 a 0 1\n.tran 0.1n 1m\n"
             ".subckt c q\nI1 0 q pulse(0 1u 0 1p 1p 0 50p)\n.ends"),
            ("E1411", 1, "'1p1': '1' is out of place", "L1 a 0 1p1"),
            ("E1411", 2, "'A' is made of itself", ".param a=b b=a\nL1 x 0 a"),
            ("E1411", 1, "'NO' is no parameter", "L1 a 0 2*no"),
        ],
    )  # fmt: skip
    def test_what_is_refused(self, code: str, line: int | None, words: str, text: str) -> None:
        found = refused(text)
        assert found.code == code and found.where.line == line
        assert found.where.file == "cell.cir"
        assert words in found.message

    def test_times_without_a_unit_say_what_was_meant(self) -> None:
        assert refused("R1 a 0 1\n.tran 0.05p 1").hint == "times are in s: 200 ps is 200p"

    def test_a_text_has_a_name(self) -> None:
        with pytest.raises(SpikecError, match="deck:2"):
            read("L1 a 0 1p\nQ1 a 0 1")

    @pytest.mark.parametrize(
        ("hint", "text"),
        [
            ("the deck has no models", "B1 a 0 m"),
            ("did you mean 'jjmit'?", "B1 a 0 JJMITT\n.model jjmit jj()\n.model other jj()"),
            ("there are jjmit, other",
             "B1 a 0 x\n.subckt c q\n.ends\n.model jjmit jj()\n.model other jj()"),
            ("the deck has no subcircuits", "X1 a cell"),
            ("did you mean 'Cell'?", "X1 a cel\n.subckt Cell q\n.ends"),
        ],
    )  # fmt: skip
    def test_names_that_are_not_there(self, hint: str, text: str) -> None:
        assert refused(text).hint == hint

    def test_what_changes_nothing_is_passed_over(self) -> None:
        plain = "B1 a 0 m\nL1 a 0 2p\nR1 a 0 1\n.model m jj(icrit=0.1m)\n.tran 0.1p 9p"
        more = """.title of JSIM
        .option reltol=1e-4
        .options numdgt=5
        .iv m 300u iv.csv
        .file out.csv
        B1 a 0 m
        L1 a 0 2p fcheck
        R1 a 0 1 nfree
        .model m jj(icrit=0.1m, cct=1, icon=10m, t=4.2, tc=9.1, d=0, phi=0, cpr=1)
        .tran 0.1p 9p 0 0.1p UIC DST"""
        assert read(more).circuit == read(plain).circuit
        assert read(more).transient == read(plain).transient

    def test_spaces_in_expressions_of_parameters(self) -> None:
        """As JoSIM has them, whatever comes first."""
        deck = read(".param five = four + one four = 2 * (one + 1)\n.param one = 1\nR1 a 0 five")
        assert deck.circuit.of(Resistor)[0].ohm == 5

    @pytest.mark.parametrize(
        "said",
        ["jj(rtype=0, icrit=0.2m)", "jj\n+ rtype = 0    icrit  = 0.2m", "jj (rtype=0 ic=0.2m)"],
    )
    def test_models_with_parentheses_and_without(self, said: str) -> None:
        (found,) = read(f".model m {said}\nB1 a 0 m").circuit.of(Junction)
        assert found.model == JunctionModel("m", critical=0.2e-3, rtype=0)
        (usual,) = read(".model m jj\nB1 a 0 m").circuit.of(Junction)
        assert usual.model == JunctionModel("m")

    def test_controls_have_no_points_in_their_block(self) -> None:
        deck = read("L1 a 0 1p\n.control\ntran 1p 9p\nprint v(a)\n.endc\nR1 a 0 1")
        assert deck.transient == Transient(9 * PS, PS, ramp=0.0)
        assert deck.prints == (("V", "a"),) and len(deck.circuit.parts) == 2

    @pytest.mark.parametrize("said", [".temp 4.2", ".temp 4.2\nR3 a 0 1 temp=4.2", ""])
    def test_one_temperature(self, said: str) -> None:
        """As `.temp` has it, or as all resistors and junctions do."""
        own = "" if said else " temp=4.2 neb=1e12"
        text = f"R1 a 0 1{own}\nB1 a 0 m{own}\n.model m jj(ic=1m)\n.tran 1p 9p\n{said}"
        found = read(text).transient
        assert found is not None and found.temperature == 4.2

    def test_constants_of_josim(self) -> None:
        deck = read(".param C=2p\nL1 a 0 PHI_ZERO/(2*pi*1m)\nL2 a 0 C")
        first, second = deck.circuit.of(Inductor)
        assert first.henry == pytest.approx(3.291059757e-13, rel=1e-9, abs=0)
        assert second.henry == 2e-12


class TestIncludes:
    def test_are_relative_to_the_file_that_they_stand_in(self, tmp_path: Path) -> None:
        """Also within a subcircuit, whose own their models then are."""
        (tmp_path / "cells").mkdir()
        (tmp_path / "models.inc").write_text(".model m jj(icrit=0.2m)\n.end\nnot read")
        (tmp_path / "cells" / "one.cir").write_bytes(
            b'* Gr\xf6\xdfe\n.subckt one a\n.include "../models.inc"\nB1 a 0 m\n.ends\n'
        )
        (tmp_path / "top.cir").write_text("X1 a one\n.INCLUDE cells/one.cir\nR1 a 0 1\n.end\n")
        (junction,) = load(tmp_path / "top.cir").circuit.of(Junction)
        assert junction.name == "B1|X1" and junction.model.critical == 0.2e-3

    def test_errors_are_of_the_file_that_they_stand_in(self, tmp_path: Path) -> None:
        (tmp_path / "cell.cir").write_text("R1 a 0 1\nQ1 a 0 1\n")
        (tmp_path / "top.cir").write_text("L1 a 0 1p\n.include cell.cir\n")
        with pytest.raises(SpikecError) as found:
            load(tmp_path / "top.cir")
        where = found.value.diagnostics[0].where
        assert (where.file, where.line) == (str(tmp_path / "cell.cir"), 2)

    @pytest.mark.parametrize(
        ("inner", "words"),
        [
            (None, r"cell.cir' is not there"),
            ("", r"'.*' is no file"),
            (".include top.cir", r"'top.cir' includes itself, by what it includes at \S+top.cir:2"),
            (".include ./cell.cir", r"'./cell.cir' includes itself, .* at \S+cell.cir:1"),
        ],
    )
    def test_what_cannot_be_included(self, inner: str | None, words: str, tmp_path: Path) -> None:
        if inner:
            (tmp_path / "cell.cir").write_text(inner)
        elif inner is not None:
            (tmp_path / "cell.cir").mkdir()
        (tmp_path / "top.cir").write_text("R1 a 0 1\n.include cell.cir\n")
        with pytest.raises(SpikecError, match=words) as found:
            load(tmp_path / "top.cir")
        first = found.value.diagnostics[0]
        assert first.code == "E1406" and first.where.line == (1 if inner else 2)

    def test_files_that_multiply(self, tmp_path: Path) -> None:
        for k in range(12):
            line = f".include {k + 1}.cir\n" if k < 11 else ""
            (tmp_path / f"{k}.cir").write_text(2 * line)
        with pytest.raises(SpikecError, match="the 1001th file"):
            load(tmp_path / "0.cir")

    def test_a_deck_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(SpikecError, match="is not there"):
            load(tmp_path / "no.cir")


class TestSubcircuits:
    def test_are_words_and_parameters_not_values(self) -> None:
        (found,) = subcircuits(JTL)
        assert (found.name, found.ports) == ("JTL", ("a", "q"))
        assert dict(found.parameters) == {
            "PHI0": "2.067833848E-15", "BIAS": "175u", "L2": "L1/2", "L1": "{PHI0/(2*B1*Ic0)}",
            "IC0": "0.0001", "B1": "2.5",
        }  # fmt: skip
        assert found.elements[1] == ("B1", "1", "0", "jjmit", "area=B1")
        assert found.elements[-1] == ("IB1", "0", "1", "pwl(0 0 5p BIAS)")
        with pytest.raises(SpikecError, match="E1410"):
            subcircuits(".subckt c a")


NAMES = ("1", "a", "n_2", "q|X1")
POSITIVE = st.floats(1e-15, 1e3)
# As long as lines are, in s: no longer than their waves are kept.
SHORT = st.floats(1e-13, 1e-8)
ANY = st.floats(-1e3, 1e3)
GAPS = st.floats(1e-4, 2e-3)
NODES = st.sampled_from(["0", *NAMES])


def waves() -> Any:
    rising = st.lists(st.floats(0, 1e-9), min_size=1, max_size=4, unique=True).map(sorted)
    return (
        ANY.map(Constant)
        | st.tuples(rising, st.lists(ANY, min_size=4, max_size=4)).map(
            lambda t: Pwl(t[0], t[1][: len(t[0])])
        )
        | st.tuples(ANY, ANY, st.floats(0, 1), POSITIVE, POSITIVE, st.floats(0, 1)).map(
            lambda t: Pulse(t[0], t[1], t[2], t[3], t[4], t[5], 2 * sum(t[3:]) * (t[0] > 0))
        )
        | st.tuples(ANY, ANY, POSITIVE, st.floats(0, 1)).map(lambda t: Sine(*t))
    )


@st.composite
def circuits(draw: Any) -> Circuit:
    models = [
        JunctionModel(name, draw(POSITIVE), draw(POSITIVE), spread=draw(GAPS), rtype=k)
        for k, name in enumerate(("jja", "jjB|C"))
    ]
    parts: list[Part] = [
        Inductor(f"L{n}", n, "0", draw(POSITIVE)) for n in ("1", "a", "n_2", "q|X1")
    ]
    for k in range(draw(st.integers(0, 12))):
        a, b, c, d = (draw(NODES) for _ in range(4))
        parts.append(
            draw(
                st.sampled_from(
                    [
                        Resistor(f"R{k}", a, b, draw(POSITIVE)),
                        Capacitor(f"C{k}|X1", a, b, draw(POSITIVE)),
                        Junction(f"B{k}", a, b, draw(st.sampled_from(models)), draw(POSITIVE)),
                        CurrentSource(f"I{k}", a, b, draw(waves())),
                        VoltageSource(f"V{k}", f"v{k}", "0", draw(waves())),
                        Line(f"T{k}", a, b, c, d, draw(POSITIVE), draw(SHORT)),
                        Coupling(f"K{k}", "L1", "La", draw(st.floats(-0.99, 0.99))),
                    ]
                )
            )
        )
    return Circuit(tuple(parts))


class TestWriting:
    @settings(max_examples=120, deadline=None)
    @given(circuits())
    def test_a_circuit_comes_back(self, circuit: Circuit) -> None:
        how = Transient(1e-10, 3e-14, 0.0, temperature=4.2)
        prints = (("P", "a"),)
        text = write(circuit, how, prints)
        assert ".temp 4.2\n.neb " in text  # noise of JoSIM's in every step, as ours
        found = read(text)
        assert found.circuit == circuit
        assert found.transient == how and found.prints == prints

    def test_what_a_deck_cannot_say(self) -> None:
        with pytest.raises(SpikecError, match="a deck has no ramp"):
            write(jtl(3), Transient(1e-12))
        with pytest.raises(SpikecError, match="'l1' and 'L1' are one name"):
            write(Circuit((Inductor("l1", "a", "0", 1), Inductor("L1", "a", "0", 1))))
        with pytest.raises(SpikecError, match="'a b' cannot be a name"):
            write(Circuit((Inductor("L1", "a b", "0", 1.0),)))

    def test_the_line_of_junctions(self) -> None:
        text = write(jtl(), Transient(200 * PS, ramp=0.0))
        assert ".model jjmit jj(rtype=1, vg=0.0028, cap=7e-14, r0=160.0" in text
        assert "B3 j3 0 jjmit area=2.5" in text
        assert read(text).circuit == jtl()
        assert MIT in {p.model for p in read(text).circuit.of(Junction)}
        first = read(text).circuit.parts[0]
        assert isinstance(first, CurrentSource) and first.wave == INPUT
