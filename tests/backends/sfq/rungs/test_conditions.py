"""Conditions of chips: what words say, what is refused, and what a chip's elements are."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.josephson.margins import KINDS, Spread, kinds
from spikec.backends.sfq.rungs.conditions import Conditions, conditions_said
from spikec.backends.sfq.synthesis.synthesise import Program, synthesise
from spikec.boards.process import load_process
from spikec.compiler.backend import find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.diagnostics import SpikecError

from ..networks import PS, TARGET, layered, quantised

BOTH = layered([([[1, 1]], [1.5])])


@pytest.fixture(scope="module")
def program() -> Program:
    return synthesise(quantised(BOTH))


def test_words_are_values() -> None:
    words = ("bias=90%", "spread=2%", "bias-spread=0.01", "temperature=4.2K", "skew=5ps")
    found = Conditions.of(words)
    assert (found.bias, found.spread, found.bias_spread) == (0.9, 0.02, 0.01)
    assert found.temperature == 4.2 and found.skew == pytest.approx(5 * PS, rel=1e-12, abs=0)
    assert Conditions.of(("skew=5e-12", "spread=process")) == Conditions(skew=5e-12, spread=None)
    assert Conditions.of(()) == Conditions()


def test_words_come_back() -> None:
    """What a condition says of itself is a word for the same value, and a number with a unit."""
    artifact = compile_graph(BOTH, *find_target(TARGET), Quantise(input_max=1)).artifact()
    words = ("bias=1.10", "spread=process", "spread=3%", "temperature=4.2K", "skew=2.5ps")
    for word in words:
        (found,) = conditions_said(artifact, [word])
        assert Conditions.of([found.word]) == Conditions.of([word])
    bias, process, spread, heat, skew = (conditions_said(artifact, [word])[0] for word in words)
    assert (bias.word, bias.shown, bias.number) == ("bias=1.1", "1.1", 110.0)
    assert (process.word, process.number) == ("spread=process", None)
    assert (spread.shown, spread.number) == ("3 %", 3.0)
    assert (heat.shown, heat.number, skew.shown, skew.number) == ("4.2 K", 4.2, "2.5 ps", 2.5)
    assert "(ps)" in skew.title and "(%" in bias.title and "(K)" in heat.title
    with pytest.raises(SpikecError, match="clocks of this network wait for 5 ps"):
        conditions_said(artifact, ["skew=6ps"])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("wire=1", "'wire' is not a known key"),
        ("baes=1", "did you mean 'bias'"),
        ("bias", "'bias' is no condition of SFQ circuits"),
        ("bias=much", "it takes a number as 0.9, or 90%"),
        ("bias=0", "it is from 0.05 to 10"),
        ("spread=-1%", "it is from 0 % to 100 %"),
        ("spread=nan", "it is from 0 % to 100 %"),
        ("spread=wide", "or 'process'"),
        ("temperature=-1", "it is from 0 K to 9.2 K"),
        ("temperature=300K", "it is from 0 K to 9.2 K"),
        ("temperature=10%", "it takes a number as 4K"),
        ("skew=-1ps", "it is from 0 ps"),
        ("skew=soon", "or of seconds as 4e-12"),
        ("bias_spread=process", "no value of bias_spread"),
    ],
)
def test_what_is_no_condition(word: str, said: str) -> None:
    with pytest.raises(SpikecError) as caught:
        Conditions.of([word])
    (found,) = caught.value.diagnostics
    assert found.code == "E1490" and found.hint and said in f"{found.message} {found.hint}"


def test_a_chip_is_its_number_whoever_is_with_it(program: Program) -> None:
    circuit, process = program.netlist.circuit({}), load_process(TARGET)
    spread = Conditions(bias=0.9, areas=1.1, spread=0.05)
    many = spread.chips(circuit, process, (4, 7, 9))
    alone = spread.chips(circuit, process, (7,))
    assert all(np.array_equal(many[name][1:2], alone[name]) for name in many)
    # The corner is on top of what is drawn.
    drawn = Conditions(spread=0.05).chips(circuit, process, (7,))
    groups = kinds(circuit)
    for kind, factor in (("bias", 0.9), ("areas", 1.1), ("inductances", 1.0)):
        for name in groups[kind]:
            assert alone[name] == pytest.approx(drawn[name] * factor, rel=1e-12)
    assert Conditions().chips(circuit, process, (7,)) == {}
    flat = Conditions(resistors=2.0).chips(circuit, process, (7, 8))
    assert set(flat) == set(groups["resistors"]) and all((f == 2).all() for f in flat.values())


def test_how_chips_differ() -> None:
    process = load_process(TARGET)
    assert Conditions(spread=0.02).drawn(process) == Spread(
        dict.fromkeys(KINDS, 0.02), {"bias": 0.02}
    )
    assert Conditions(spread=0.02, bias_spread=0.0).drawn(process).chip == {"bias": 0.0}
    own = Conditions(spread=None).drawn(process)
    assert own == Spread(Spread.of(process).element, {"bias": 0.0})


def test_pulses_are_off_by_the_skew_on_all_chips(program: Program) -> None:
    assert Conditions().late(program, 1, 200) is None
    late = Conditions(skew=5 * PS).late(program, 1, 200)
    again = Conditions(skew=5 * PS).late(program, 1, 200)
    assert late is not None and again is not None
    assert late["in"].shape == (1, 200, 2) and np.array_equal(late["in"], again["in"])
    assert 4.5 * PS < np.abs(late["in"]).max() <= 5 * PS
    assert late["in"].std() == pytest.approx(5 * PS / 3**0.5, rel=0.1, abs=0)


def test_noise_where_it_is_asked_for_or_decides(program: Program) -> None:
    process = load_process(TARGET)
    some = synthesise(quantised(BOTH), release={"w0": 0.9})
    assert Conditions().kelvin(program, process) == 0
    assert Conditions().kelvin(some, process) == process.temperature.value
    assert Conditions(temperature=2.0).kelvin(program, process) == 2.0
    assert Conditions(temperature=0.0).kelvin(some, process) == 0
