"""Decks of netlists that people read: the same circuit comes back, under names that JoSIM takes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from spikec.backends.sfq.cells.chance import factor
from spikec.backends.sfq.cells.netlist import Instance, Netlist, pulses
from spikec.backends.sfq.josephson.circuit import GROUND, Circuit, Part, Source
from spikec.backends.sfq.josephson.deck import read
from spikec.backends.sfq.josephson.simulate import Transient
from spikec.backends.sfq.josephson.waves import Wave, started
from spikec.backends.sfq.rungs import hierarchy
from spikec.backends.sfq.rungs.execute import drives
from spikec.backends.sfq.rungs.hierarchy import Names, write
from spikec.backends.sfq.synthesis.synthesise import synthesise

from ..networks import PS, combinations, exclusive, given, quantised

HOW = Transient(200 * PS, 0.1 * PS, temperature=4.2)


def wanted(netlist: Netlist, waves: dict[str, Wave], how: Transient, names: Names) -> list[Part]:
    """The elements of the circuit, under the names of its deck, with sources that begin there."""

    def renamed(name: str) -> str:
        own, bar, instance = name.partition("|")
        return f"{own}|{names.instances[instance]}" if bar else name

    circuit = netlist.circuit(waves)
    nodes = {node: names.nets.get(node) or renamed(node) for node in circuit.nodes}
    out = []
    for part in circuit.parts:
        outside = part.name[1] in "<>"
        name = f"{part.name[0]}{nodes[part.name[2:]]}" if outside else renamed(part.name)
        moved = part.moved(name, {**nodes, GROUND: GROUND}, {})
        if isinstance(moved, Source):
            moved = replace(moved, wave=started(moved.wave, how.before * how.step, how.duration))
        out.append(moved)
    return out


def same(netlist: Netlist, waves: dict[str, Wave], how: Transient = HOW) -> str:
    """The deck, of which ``read`` has the circuit back."""
    names = Names.of(netlist)
    text = write(netlist, waves, how, (), names)
    assert read(text).circuit == Circuit(tuple(wanted(netlist, waves, how, names)))
    return text


@pytest.mark.parametrize("release", [{}, {"w0": 0.98, "w1": 0.7}])
def test_a_network_comes_back_bit_for_bit(release: dict[str, float]) -> None:
    program = synthesise(quantised(exclusive()), release=release)
    times = drives(program, given(combinations(2)))
    text = same(program.netlist, {net: pulses(t) for net, t in times.items()})
    # A subcircuit a kind, two for the synapses of two probabilities, an instance a cell.
    kinds = [line.split()[1] for line in text.splitlines() if line.startswith(".subckt")]
    extra = ["synapse_2"] if release else []
    assert sorted(kinds) == sorted([*program.netlist.counts, *extra])
    cells = [line for line in text.splitlines() if line.startswith("X")]
    assert len(cells) == len(program.netlist.instances)
    ib = factor(0.98)
    assert (f"A synapse with Ib times {ib!r}" in text) == bool(release)
    assert max(len(line) for line in text.splitlines() if line[0] != "*") <= 100


def test_a_transient_and_what_is_printed() -> None:
    netlist = Netlist((Instance("u.0", "jtl", {"a": "in[0]", "q": "n1"}),))
    names = Names.of(netlist, {"n1": "out[0]"})
    text = write(netlist, {}, HOW, ["B2|u.0"], names, ["one", "two"])
    assert text.startswith("* one\n* two\n.model jjmit jj(")
    assert "\nXu_0 in_0 out_0 jtl\n" in text and "\nRin_0 in_0 0 2.0\n" in text
    found = read(text)
    assert found.prints == (("P", "B2|Xu_0"),)
    assert found.transient == Transient(HOW.duration + 20 * PS, HOW.step, 0.0, temperature=4.2)
    assert ".neb 1e+13" in text.replace("10000000000000.0", "1e+13")
    # Without a ramp biases are there at once.
    assert "\nI1 0 n1 dc Ijtl\n" in write(netlist, {}, replace(HOW, ramp=0.0), [], names)


def test_names_are_those_that_josim_takes() -> None:
    """Letters, digits and _, large and small ones the same; no net is a subcircuit or ground."""
    nets = ["gnd", "jtl", "Jtl", "a.b", "a|b", "A_B", "höhe", "%", "0"]
    instances = [
        Instance(name, "jtl", {"a": nets[k], "q": nets[k + 1]})
        for k, name in enumerate(["x.1", "X_1", "x|1", "ö", "é", "SPLITTER", "[0]"])
    ]
    ends = Instance("s", "splitter", {"a": nets[7], "q": "q", "r": "Q"})
    netlist = Netlist((*instances, ends))
    wished = {net: net for net in nets}
    names = Names.of(netlist, wished)
    for words in (names.instances.values(), [*names.nets.values(), *set(names.kinds.values())]):
        assert all(re.fullmatch(r"[A-Za-z0-9_]+", word) for word in words)
        large = [word.upper() for word in words]
        assert len(set(large)) == len(large) and not {"0", "GND"} & set(large)
    assert set(names.kinds.values()) == {"jtl", "splitter"}
    assert names == Names.of(netlist, wished)
    text = write(netlist, {"gnd": pulses([20 * PS])}, HOW, ["B1|x|1"], names)
    found = read(text)
    assert len(found.circuit.parts) == len(netlist.circuit({}).parts)
    assert found.prints == (("P", f"B1|{names.instances['x|1']}"),)


def test_factors_make_a_subcircuit_for_all_that_have_the_same() -> None:
    factors = {"B1": 1.2, "I2": 0.9, "L2": 1.1, "RB2": 0.7}
    netlist = Netlist(
        (
            Instance("u", "jtl", {"a": "in", "q": "x"}, factors),
            Instance("v", "jtl", {"a": "x", "q": "y"}),
            Instance("w", "jtl", {"a": "y", "q": "z"}, dict(reversed(factors.items()))),
            Instance("x", "jtl", {"a": "z", "q": "out"}, {"I1": 1.0}),
        )
    )
    same(netlist, {"in": pulses([20 * PS])})
    assert Names.of(netlist).kinds == {"u": "jtl_2", "v": "jtl", "w": "jtl_2", "x": "jtl"}


PARAMETERS = """
.param wide=2.5
.subckt jtl a q
.param bias={Ifrac*wide}
.param half={Lpass / (2*wide)}
L1 a n1 half
B1 n1 0 jjmit area=wide
RB1 n1 0 {Rsh/wide}
I1 0 n1 bias
L2 n1 n2 {half + half}
B2 n2 0 jjmit area={2*(wide - 1) - 0.5}
RB2 n2 0 {Rsh/wide}
I2 0 n2 dc bias
L3 n2 q half
.ends jtl
"""


@pytest.mark.parametrize("factors", [{}, {"B2": 1.3, "I2": 0.8, "L2": 1.1, "L3": 0.9}])
def test_parameters_of_a_cell_are_kept(
    factors: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transmission line, written another way: the same values in the end."""
    monkeypatch.setattr(hierarchy, "deck", lambda kind: PARAMETERS)
    netlist = Netlist((Instance("u", "jtl", {"a": "in", "q": "out"}, factors),))
    text = same(netlist, {"in": pulses([20 * PS])})
    assert "\n.param WIDE=2.5\n" in text and "\n.param HALF={Lpass/(2*wide)}\n" in text
    # Rules that nothing here needs stay away, and what those need that are.
    assert ".param LPASS=" in text and ".param IC0=" in text and "LHOLD" not in text
    # A bias that is a parameter is taken as it is.
    assert "\nI1 0 n1 pwl(0 0 1" in text and " bias)\n" in text and "I1_bias" not in text
    if factors:
        assert "\n.param I2_bias=bias*0.8\n" in text
        assert "area=(2*(wide-1)-0.5)*1.3" in text and "L2 n1 n2 (half+half)*1.1" in text


def test_an_area_of_one_is_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = PARAMETERS.replace("B1 n1 0 jjmit area=wide", "B1 n1 0 jjmit")
    monkeypatch.setattr(hierarchy, "deck", lambda kind: bare)
    netlist = Netlist((Instance("u", "jtl", {"a": "in", "q": "out"}, {"B1": 1.25}),))
    text = write(netlist, {}, HOW, [], Names.of(netlist))
    assert "\nB1 n1 0 jjmit area=1*1.25\n" in text
