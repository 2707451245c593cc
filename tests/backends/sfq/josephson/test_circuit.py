"""Circuits refuse what has no meaning, and can be put into each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikec.backends.sfq.josephson.circuit import (
    Capacitor,
    Circuit,
    Coupling,
    CurrentSource,
    Inductor,
    Junction,
    JunctionModel,
    Line,
    Resistor,
    VoltageSource,
)
from spikec.backends.sfq.josephson.simulate import Transient, simulate
from spikec.backends.sfq.josephson.waves import Constant
from spikec.ir.diagnostics import SpikecError

from ..jtl import MIT, PS, jtl

L = Inductor("L1", "a", "0", 1e-12)


@pytest.mark.parametrize(
    ("code", "words", "parts"),
    [
        ("E1400", "from 'b' to ground", [L, CurrentSource("I1", "a", "b", Constant(1.0))]),
        ("E1400", "from 'b', 'g', 'c', 'd', 'e' and 1 more",
         [L, *(Resistor(f"R{k}", x, "g", 1) for k, x in enumerate("bcdef"))]),
        ("E1400", "from 'c', 'd'", [L, Line("T1", "a", "0", "c", "d", 5, PS)]),
        ("E1401", "ohm of 'R1' is 0 ohm", [L, Resistor("R1", "a", "0", 0)]),
        ("E1401", "henry of 'L1' is -1 H", [Inductor("L1", "a", "0", -1)]),
        ("E1401", "farad of 'C1' is nan F", [L, Capacitor("C1", "a", "0", np.nan)]),
        ("E1401", "area of 'B1' is 0", [L, Junction("B1", "a", "0", MIT, 0)]),
        ("E1401", "seconds of 'T1' is inf s", [L, Line("T1", "a", "0", "a", "0", 5, np.inf)]),
        ("E1401", "'K1' is 1, not within",
         [L, Inductor("L2", "a", "0", 1), Coupling("K1", "L1", "L2", 1.0)]),
        ("E1402", "'V1' is between 'a' and 'b'",
         [L, Resistor("R1", "b", "0", 1), VoltageSource("V1", "a", "b", Constant(0))]),
        ("E1402", "'V1' is between '0' and '0'",
         [L, VoltageSource("V1", "0", "0", Constant(0))]),
        ("E1402", "'V1' and 'V2' hold the node 'a'",
         [L, VoltageSource("V1", "a", "0", Constant(0)),
          VoltageSource("V2", "0", "a", Constant(0))]),
        ("E1403", "two elements have the name 'L1'", [L, L]),
        ("E1403", "Resistor 'X1' does not begin with R", [Resistor("X1", "a", "0", 1)]),
        ("E1403", "couples 'R1', which is no inductor",
         [L, Resistor("R1", "a", "0", 1), Coupling("K1", "L1", "R1", 0.1)]),
        ("E1403", "couples 'L1' with itself", [L, Coupling("K1", "L1", "L1", 0.1)]),
        ("E1403", "two models have the name 'jjmit'",
         [Junction("B1", "a", "0", MIT), Junction("B2", "a", "0", JunctionModel("jjmit"))]),
    ],
)  # fmt: skip
def test_what_cannot_be(code: str, words: str, parts: Any) -> None:
    with pytest.raises(SpikecError, match=words) as found:
        Circuit(tuple(parts))
    assert {d.code for d in found.value.diagnostics} == {code}


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SpikecError) as found:
        Circuit((Resistor("R1", "a", "0", 0), Resistor("R2", "b", "c", 1)))
    assert [d.code for d in found.value.diagnostics] == ["E1401", "E1400"]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("critical of the model 'x' is 0", {"critical": 0}),
        ("capacitance of the model 'x' is -1", {"capacitance": -1}),
        ("rtype of the model 'x' is 2", {"rtype": 2}),
        ("wider than it is high", {"gap": 1e-3, "spread": 2e-3}),
    ],
)
def test_models_that_cannot_be(words: str, values: Any) -> None:
    with pytest.raises(SpikecError, match=words) as found:
        JunctionModel("x", **values)
    assert found.value.diagnostics[0].code == "E1401"


def test_circuits_are_values() -> None:
    assert jtl(3) == jtl(3) and jtl(3) != jtl(4)
    assert hash(jtl(3)) == hash(jtl(3))
    assert jtl(3).nodes == ("j0", "m1", "j1", "m2", "j2")
    assert jtl(3).part("B1") == Junction("B1", "j1", "0", MIT, 2.5)
    with pytest.raises(SpikecError, match="no element has the name 'B9'"):
        jtl(3).part("B9")


def test_an_instance_in_another_circuit_does_what_it_does_alone() -> None:
    pair = [Inductor("L1", "in", "out", 2 * PS), Inductor("L2", "out", "0", 3 * PS)]
    inner = Circuit((*pair, Coupling("K1", "L1", "L2", 0.3), Resistor("R1", "in", "mid", 2),
                     Line("T1", "mid", "0", "out", "0", 4, PS)))  # fmt: skip
    twice = (*inner.placed("X1", {"in": "a", "out": "b"}), *inner.placed("X2", {"in": "b"}))
    names = [part.name for part in twice]
    assert names[:3] == ["L1|X1", "L2|X1", "K1|X1"] and len(set(names)) == 10
    source = CurrentSource("I1", "0", "a", Constant(1e-4))
    whole = Circuit((*twice, source))
    assert whole.nodes == ("a", "b", "mid|X1", "out|X2", "mid|X2")
    assert whole.part("K1|X2") == Coupling("K1|X2", "L1|X2", "L2|X2", 0.3)
    alone = Circuit((*inner.parts, CurrentSource("I1", "0", "in", Constant(1e-4))))
    placed = Circuit((*inner.placed("X1", {"in": "a"}), source))
    ends = [simulate(c, Transient(30 * PS, ramp=2 * PS)).ends for c in (alone, placed)]
    assert (ends[0] == ends[1]).all() and ends[0].any()
    with pytest.raises(SpikecError, match="'X1' has no node 'no'"):
        inner.placed("X1", {"no": "a"})
