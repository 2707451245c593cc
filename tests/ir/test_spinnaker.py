"""What the verifier says about populations and rules in the arithmetic of SpiNNaker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IntegerNeuron, SpinnakerLIF, port_names
from spikec.ir.numerics import S411, S1615, U032, Format, Numerics
from spikec.ir.plasticity import Plasticity, SpinnakerPairSTDP, Transmit
from spikec.ir.semantics import Semantics
from spikec.ir.text import parse, text
from spikec.ir.verify import verify

MILLI = 1 << 15
TABLE = np.array([2048, 1000, 500, 1])
RULE = SpinnakerPairSTDP(TABLE, TABLE[:2], 3 * MILLI, 2 * MILLI, 0, 6 * MILLI, 3)
LEARNS = Plasticity(RULE, 0, 24576, transmit=Transmit.AFTER)


def cell(**changes: Any) -> SpinnakerLIF:
    values: dict[str, Any] = {
        **dict.fromkeys(("v_init", "v_rest", "v_reset"), -60 * MILLI),
        **{"threshold": -50 * MILLI, "i_offset": 0, "r": 20 * MILLI, "exp_tc": 31170},
        **{"refractory": 2, "shift_e": 3, "shift_i": 0},
        **dict.fromkeys(("decay_e", "init_e", "decay_i", "init_i"), 1 << 31),
    }
    return SpinnakerLIF(**(values | changes))


def graph(neuron: Any = None, semantics: Semantics | None = None, **changes: Any) -> Graph:
    weight = np.array([[0, 1, 65535]])
    values: dict[str, Any] = {
        **{"name": "w", "pre": "in", "post": "p", "connection": Dense(weight), "delay": 1},
        "receptor": "excitatory",
    }
    population = Population("p", (1,), neuron or cell(), semantics or Semantics())
    projection = Projection(**(values | changes))
    inputs = (Input("in", (3,)),)
    return Graph("g", 1e-3, inputs, (population,), (projection,), (Output("o", "p"),))


def plastic(plasticity: Plasticity = LEARNS, neuron: Any = None, **changes: Any) -> Graph:
    weight = Dense(np.array([[0, 1, 24576]]))
    return graph(neuron, connection=weight, plasticity=plasticity, **changes)


def said(broken: Graph) -> list[tuple[str, str]]:
    with pytest.raises(SpikecError) as caught:
        verify(broken)
    return [(d.code, d.message) for d in caught.value.diagnostics]


def test_what_is_sound_is_accepted_and_written() -> None:
    for sound in (graph(), graph(receptor="inhibitory"), plastic()):
        verify(sound)
        assert parse(text(sound)) == sound
    assert port_names(cell()) == ("excitatory", "inhibitory")
    assert (S1615.low, S1615.high, U032.high, S411.high) == (
        *(-(1 << 31), (1 << 31) - 1, (1 << 32) - 1, (1 << 15) - 1),
    )
    words = cell().words
    assert words == {
        "excitatory": Format(16, 12, signed=False),
        "inhibitory": Format(16, 15, signed=False),
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold": 1 << 31}, f"threshold spans {1 << 31} to {1 << 31}, outside"),
        ({"v_rest": -(1 << 31) - 1}, "v_rest spans -2147483649"),
        ({"decay_e": -1}, "decay_e spans -1 to -1, outside 0 to 4294967295"),
        ({"init_i": 1 << 32}, "init_i spans 4294967296"),
        ({"r": -1}, "r spans -1 to -1, outside 0 to 2147483647"),
        ({"refractory": -1}, "refractory spans -1"),
        ({"shift_e": 16}, "shift_e is 16; it must be 0 to 15"),
        ({"shift_i": -1}, "shift_i is -1; it must be 0 to 15"),
    ],
)
def test_values_out_of_range(changes: Any, message: str) -> None:
    ((code, found),) = said(graph(cell(**changes)))
    assert code == "E0205" and found.startswith(f"'p': {message}")


def test_shapes_and_semantics() -> None:
    ((code, found),) = said(graph(cell(v_init=[1, 2])))
    assert (code, found) == ("E0207", "'p': v_init has shape (2,), the population (1,)")
    for rules, message in (
        (Semantics(max_spikes=None), "max_spikes is None; SpiNNaker has 1"),
        (Semantics(registered=True), "registered is True; SpiNNaker has False"),
    ):
        assert said(graph(semantics=rules)) == [("E0205", f"'p': {message}")]


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"delay": 0}, "E0205", "delay is 0 ticks; SpiNNaker has 1 at least"),
        (
            {"connection": Dense(np.array([[-1, 65536, 2]]))},
            "E0205",
            "2 of 3 weights are no words of 0 to 65535; they span -1 to 65536",
        ),
        (
            {"connection": Dense(np.array([[0.5, 1, 2]]))},
            "E0205",
            "1 of 3 weights are no words of 0 to 65535; they span 0.5 to 2",
        ),
    ],
)
def test_projections_out_of_range(changes: Any, code: str, message: str) -> None:
    assert said(graph(**changes)) == [(code, f"'w': {message}")]


def test_receptors() -> None:
    missing = "'w' ends at no receptor; 'p' has excitatory, inhibitory"
    assert said(graph(receptor=None)) == [("E0211", missing)]
    with pytest.raises(SpikecError) as caught:
        verify(graph(receptor="exitatory"))
    assert caught.value.diagnostics[0].hint == "did you mean 'excitatory'?"
    bias = "'w' has a bias; the constant input of 'p' is i_offset"
    assert said(graph(bias=np.ones(1))) == [("E0211", bias)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decay_plus": np.array([2049])}, "decay_plus is no table of values from 0 to 2048"),
        ({"decay_minus": np.array([[1]])}, "decay_minus is no table of values from 0 to 2048"),
        ({"a_plus": -1}, "a_plus is -1; it must be 0 to 2147483647"),
        ({"a_minus": 1 << 31}, "a_minus is 2147483648; it must be 0 to 2147483647"),
        ({"w_min": 7 * MILLI}, "w_min is 229376 and w_max 196608; they must be ordered"),
        ({"w_max": 16 * MILLI}, "w_max is 65536 words; a weight has 16 bits"),
        ({"shift": 16}, "shift is 16; it must be 0 to 15"),
        ({"shift": 4}, "shift is 4, that of its receptor 3"),
        ({"w_max": 5 * MILLI}, "rails 0 to 24576; those of the rule are 0 to 20480 words"),
    ],
)
def test_rules_out_of_range(changes: Any, message: str) -> None:
    found = said(plastic(replace(LEARNS, rule=replace(RULE, **changes))))
    assert any(code == "E0209" and m.startswith(f"'w': {message}") for code, m in found), found


def test_rules_elsewhere() -> None:
    before = said(plastic(replace(LEARNS, transmit=Transmit.BEFORE)))
    assert before == [("E0209", "'w': SpiNNaker sends the weight that is left after an update")]
    zero = np.zeros((), np.int64)
    numerics = Numerics(Format(17), Format(24))
    other = IntegerNeuron(numerics, "LIF", 1.0, 0, zero, zero, zero, zero, zero, "zero")
    words = "'w': weights in words of a ring buffer; IntegerNeuron has none"
    assert ("E0209", words) in said(plastic(neuron=other, receptor=None))
    network = plastic()
    pre = Population("pre", (3,), other, Semantics(registered=True))
    (projection,) = network.projections
    several = replace(pre, neuron=replace(other, max_spikes=None))
    for population, message in (
        (pre, "'w': pairs spikes of 'pre', which shows them a step late; SpiNNaker does not"),
        (
            replace(several, semantics=Semantics()),
            "'w': pairs spikes of 'pre', which sends other values, or several spikes a step",
        ),
    ):
        changed = replace(
            network,
            populations=(*network.populations, population),
            projections=(replace(projection, pre="pre"),),
        )
        assert ("E0209", message) in said(changed)


def test_facts_of_the_rule() -> None:
    assert RULE.INTEGER and RULE.rows and not RULE.columns and list(RULE.problems()) == []
    assert not replace(RULE, a_plus=0, a_minus=0).rows
    assert not RULE.decay_plus.flags.writeable
