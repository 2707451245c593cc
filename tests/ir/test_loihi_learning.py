"""The rule of pairs on Loihi: its numbers, its text, and what the verifier says about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.ir.connections import Dense, OneToOne, Sparse
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.homeostasis import Scaling
from spikec.ir.loihi import LoihiWeights, Sign
from spikec.ir.loihi_learning import LoihiPairSTDP
from spikec.ir.neurons import IF, LoihiLIF
from spikec.ir.plasticity import Plasticity, Transmit
from spikec.ir.semantics import Semantics
from spikec.ir.text import parse, text
from spikec.ir.verify import verify

RULE = LoihiPairSTDP(minus=-3, minus_exp=-4, plus=5, plus_exp=-5, tau_plus=20, tau_minus=30)
WORDS = LoihiWeights(6, Sign.MIXED, -1)
PLASTIC = Plasticity(RULE, -256, 255)


def graph(plasticity: Plasticity = PLASTIC, **changes: Any) -> Graph:
    values: dict[str, Any] = {
        **{"name": "w", "pre": "in", "post": "p", "delay": 1, "words": WORDS},
        "connection": Dense(np.array([[0, 8, -256], [248, 0, 0], [16, 16, 8]])),
    }
    cell = LoihiLIF(np.array(400), np.array(200), np.array(100))
    return Graph(
        "g",
        1e-3,
        (Input("in", (3,)),),
        (Population("p", (3,), cell), Population("q", (3,), IF(*map(np.array, (1.0, 1.0))))),
        (Projection(**(values | {"plasticity": plasticity} | changes)),),
        (Output("o", "p"), Output("other", "q")),
    )


def said(broken: Graph) -> list[tuple[str, str]]:
    with pytest.raises(SpikecError) as caught:
        verify(broken)
    return [(d.code, d.message) for d in caught.value.diagnostics]


@st.composite
def rules(draw: Any) -> LoihiPairSTDP:
    """Any rule that there is."""
    mantissa, exponent = st.integers(-8, 7), st.integers(-7, 8)
    names = {
        "minus": mantissa.filter(bool),
        **dict.fromkeys(("plus", "both"), mantissa),
        **dict.fromkeys(("minus_exp", "plus_exp", "both_exp"), exponent),
        **dict.fromkeys(("tau_plus", "tau_minus"), st.integers(0, 255)),
        **dict.fromkeys(("impulse_plus", "impulse_minus"), st.integers(0, 127)),
        "epoch": st.integers(1, 63),
        "seed": st.integers(0, (1 << 31) - 1),
    }
    return LoihiPairSTDP(**{name: draw(values) for name, values in names.items()})


@given(rule=rules())
def test_what_is_sound_is_accepted_and_written(rule: LoihiPairSTDP) -> None:
    sound = graph(replace(PLASTIC, rule=rule))
    verify(sound)
    assert parse(text(sound)) == sound
    assert ("both" in text(sound)) == bool(rule.both or rule.both_exp)
    assert {mantissa for mantissa, _, _ in rule.products} == {
        rule.minus,
        *({rule.plus, rule.both} - {0}),
    }


def test_which_spikes_change_weights() -> None:
    assert RULE.rows and RULE.columns and RULE.INTEGER
    assert not replace(RULE, minus=0).rows and not replace(RULE, plus=0).columns
    both = replace(RULE, minus=0, plus=0, both=1)
    assert both.rows and both.columns
    assert RULE.products == ((-3, -4, "x0 * y1"), (5, -5, "y0 * x1"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minus": -9}, "minus is -9; Loihi has -8 to 7"),
        ({"plus": 8}, "plus is 8; Loihi has -8 to 7"),
        ({"both": 8}, "both is 8; Loihi has -8 to 7"),
        ({"plus_exp": 9}, "plus_exp is 9; Loihi has -7 to 8"),
        ({"minus_exp": -8}, "minus_exp is -8; Loihi has -7 to 8"),
        ({"tau_plus": 256}, "tau_plus is 256; Loihi has 0 to 255"),
        ({"tau_minus": -1}, "tau_minus is -1; Loihi has 0 to 255"),
        ({"impulse_plus": 128}, "impulse_plus is 128; Loihi has 0 to 127"),
        ({"epoch": 0}, "epoch is 0; Loihi has 1 to 63"),
        ({"epoch": 64}, "epoch is 64; Loihi has 1 to 63"),
        ({"seed": -1}, "seed is -1; Loihi has 0 to 2147483647"),
        ({"minus": 0, "plus": 0}, "it changes nothing: all its mantissas are zero"),
    ],
)
def test_numbers_out_of_range(changes: Any, message: str) -> None:
    wrong = replace(PLASTIC, rule=replace(RULE, **changes))
    assert said(graph(wrong)) == [("E0209", f"'w': {message}")]


SPARSE = Sparse(3, 3, np.arange(4), np.arange(3, dtype=np.int32), np.array([8, 8, 8]))
SOME = np.ones((3, 3), bool)
SOME[1, 1] = False


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"delay": 2}, "a delay of 2 steps; what learns on Loihi takes 1"),
        (
            {"plasticity": replace(PLASTIC, transmit=Transmit.AFTER)},
            "Loihi sends the weight that the epoch before has left",
        ),
        (
            {"plasticity": replace(PLASTIC, enable=SOME)},
            "some of its synapses do not learn; on Loihi all of a projection do",
        ),
        ({"connection": SPARSE}, "Sparse synapses; on Loihi a Dense projection learns"),
        (
            {"connection": OneToOne(np.array([8, 8, 8]), (3,))},
            "OneToOne synapses; on Loihi a Dense projection learns",
        ),
        (
            {"plasticity": replace(PLASTIC, w_min=-256, w_max=248)},
            "rails -256 to 248; mixed weights that learn have -256 to 255",
        ),
        (
            {"plasticity": replace(PLASTIC, scaling=Scaling(100.0))},
            "LoihiPairSTDP counts in whole weights, which no factor can scale",
        ),
    ],
)
def test_what_does_not_suit_the_engine(changes: Any, message: str) -> None:
    assert said(graph(**changes)) == [("E0209", f"'w': {message}")]


def test_it_needs_words_and_single_spikes() -> None:
    found = said(graph(words=None, post="q"))
    assert ("E0209", "'w': weights in words of Loihi; IF has none") in found
    pre = graph(pre="q")
    several = replace(
        pre,
        populations=(
            pre.populations[0],
            replace(pre.populations[1], semantics=Semantics(registered=True, max_spikes=None)),
        ),
    )
    texts = [message for code, message in said(several) if code == "E0209"]
    assert texts == [
        "'w': pairs spikes of 'q', which sends other values, or several spikes a step",
        "'w': pairs spikes of 'q', which shows them a step late; Loihi does not",
    ]


@pytest.mark.parametrize(
    ("sign", "rails"),
    [(Sign.MIXED, (-256, 255)), (Sign.EXCITATORY, (0, 255)), (Sign.INHIBITORY, (-255, 0))],
)
def test_rails_have_all_eight_bits(sign: Sign, rails: tuple[int, int]) -> None:
    for bits in range(1, 9):
        words = LoihiWeights(bits, sign)
        assert words.rails == rails
        assert rails[0] <= words.low <= words.high <= rails[1]


def test_numbers_as_lava_rounds_them() -> None:
    rule = LoihiPairSTDP.lava(2, 1.5, -3, 20, 5, epoch=4)
    assert rule == LoihiPairSTDP(-6, 0, 2, 1, 20, 5, epoch=4)
    assert LoihiPairSTDP.lava(0.5, 28, 0.3, 1, 1).products == (
        (1, -3, "x0 * y1"),
        (7, 1, "y0 * x1"),
    )
    assert not LoihiPairSTDP.lava(1, 0, 1, 1, 1).columns
    for a_plus, message in ((9, "more than four bits"), (1e-3, "no exponent of")):
        with pytest.raises(ValueError, match=message):
            LoihiPairSTDP.lava(1, a_plus, 1, 10, 10)
