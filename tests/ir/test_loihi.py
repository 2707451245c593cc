"""Loihi's words, and what the verifier says about populations in its arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.ir.connections import Chain, Conv2d, Dense, Flatten, Sparse, SumPool2d
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.loihi import LoihiWeights, Sign
from spikec.ir.neurons import (
    IF,
    Activation,
    LoihiATRLIF,
    LoihiDelta,
    LoihiLIF,
    LoihiSigma,
    LoihiSigmaDelta,
)
from spikec.ir.semantics import Semantics
from spikec.ir.step import step_parameters
from spikec.ir.text import parse, text
from spikec.ir.verify import verify

WORDS = LoihiWeights(8, Sign.MIXED, 2)


def cell(**changes: Any) -> LoihiLIF:
    values: dict[str, Any] = {"du": 400, "dv": 200, "vth": 100, "bias_mant": 5, "bias_exp": 3}
    return LoihiLIF(**(values | changes))


def refractory(**changes: Any) -> LoihiATRLIF:
    values: dict[str, Any] = {"du": 400, "dv": 200, "theta_0": 100, "dr": 200, "v_init": -6400}
    return LoihiATRLIF(**(values | changes))


def graph(neuron: Any = None, semantics: Semantics | None = None, **changes: Any) -> Graph:
    values: dict[str, Any] = {
        **{"name": "w", "pre": "in", "post": "p", "connection": Dense(np.array([[0, 2, -256]]))},
        **{"delay": 1, "words": WORDS},
    }
    population = Population("p", (1,), neuron or cell(), semantics or Semantics())
    projection = Projection(**(values | changes))
    inputs = (Input("in", (3,)),)
    return Graph("g", 1e-3, inputs, (population,), (projection,), (Output("o", "p"),))


def said(broken: Graph) -> list[tuple[str, str]]:
    with pytest.raises(SpikecError) as caught:
        verify(broken)
    return [(d.code, d.message) for d in caught.value.diagnostics]


def synapses(steps: list[int], delay: int = 1) -> dict[str, Any]:
    own = Sparse(
        3, 1, np.arange(4), np.zeros(3, np.int32), np.array([2, 4, 6]), np.array(steps, np.int32)
    )
    return {"connection": own, "delay": delay}


@pytest.mark.parametrize(
    ("words", "low", "high", "step"),
    [
        (LoihiWeights(8, Sign.MIXED), -256, 254, 2),
        (LoihiWeights(8, Sign.EXCITATORY), 0, 255, 1),
        (LoihiWeights(8, Sign.INHIBITORY), -255, 0, 1),
        (LoihiWeights(1, Sign.MIXED), -256, 0, 256),
        (LoihiWeights(1, Sign.EXCITATORY), 0, 128, 128),
        (LoihiWeights(3, Sign.INHIBITORY), -224, 0, 32),
    ],
)
def test_words(words: LoihiWeights, low: int, high: int, step: int) -> None:
    assert (words.low, words.high, words.step) == (low, high, step)
    every = np.arange(-400, 401)
    cut = words.cut(every)
    assert (cut.min(), cut.max()) == (low, high)
    assert set(np.diff(np.unique(cut))) <= {step}
    np.testing.assert_array_equal(words.cut(cut), cut)
    inside = every[(every > low) & (every < high)]
    toward = np.abs(inside) if words.sign is Sign.INHIBITORY else inside
    sign = -1 if words.sign is Sign.INHIBITORY else 1
    np.testing.assert_array_equal(words.cut(inside), sign * (toward // step * step))


def test_words_that_there_are_not() -> None:
    for bits, exponent in ((0, 0), (9, 0), (8, 8), (8, -9)):
        with pytest.raises(ValueError, match=r"Loihi has 1 to 8|exponent is -8 to 7"):
            LoihiWeights(bits, Sign.MIXED, exponent)


def test_what_is_sound_is_accepted_and_written() -> None:
    many = cell(du=[[4095]], vth=[[(1 << 17) - 1]], scale=0.25)
    shaped = replace(graph(), populations=(Population("p", (1, 1), many),))
    for sound in (graph(), graph(delay=64), graph(**synapses([0, 5, 63])), shaped):
        verify(sound)
        assert parse(text(sound)) == sound
    verify(graph(**synapses([1, 2, 64], delay=0)))
    assert graph().populations[0].state == ("u", "v")
    assert many.real("u") == many.real("v") == (0.25, np.zeros(()))
    assert graph().populations[0].single
    with pytest.raises(TypeError, match="no real-valued step"):
        step_parameters(cell(), Semantics(), 1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"du": 4096}, "du spans 4096 to 4096, outside 0 to 4095"),
        ({"dv": -1}, "dv spans -1 to -1, outside 0 to 4095"),
        ({"vth": 1 << 17}, "vth spans 131072 to 131072, outside 0 to 131071"),
        ({"bias_mant": 4096}, "bias_mant spans 4096 to 4096, outside -4096 to 4095"),
        ({"bias_exp": 8}, "bias_exp spans 8 to 8, outside 0 to 7"),
    ],
)
def test_values_out_of_range(changes: Any, message: str) -> None:
    assert said(graph(cell(**changes))) == [("E0205", f"'p': {message}")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dr": 4096}, "dr spans 4096 to 4096, outside 0 to 4095"),
        ({"dtheta": -1}, "dtheta spans -1 to -1, outside 0 to 4095"),
        ({"theta_0": 4096}, "theta_0 spans 4096 to 4096, outside 0 to 4095"),
        ({"theta_step": -2}, "theta_step spans -2 to -2, outside 0 to 4095"),
        ({"v_init": 1 << 23}, "v_init spans 8388608 to 8388608, outside -8388607 to 8388607"),
        ({"bias_exp": 8}, "bias_exp spans 8 to 8, outside 0 to 7"),
        ({"du": [7]}, "du has shape (1,); all neurons of a population share one"),
    ],
)
def test_values_of_one_that_keeps_its_membrane(changes: Any, message: str) -> None:
    assert said(graph(refractory(**changes))) == [("E0205", f"'p': {message}")]


def test_one_that_keeps_its_membrane_as_text() -> None:
    whole = graph(refractory(theta_step=3, scale=0.25))
    verify(whole)
    assert parse(text(whole)) == whole
    assert whole.populations[0].state == ("u", "v", "r", "theta")


def test_shapes_and_semantics() -> None:
    ((code, found),) = said(graph(cell(vth=[1, 2])))
    assert (code, found) == ("E0207", "'p': vth has shape (2,), the population (1,)")
    for rules, message in (
        (Semantics(max_spikes=None), "max_spikes is None; Loihi has 1"),
        (Semantics(registered=True), "registered is True; Loihi has False"),
        (Semantics(v_init=1.0), "v_init is 1.0; Loihi has 0.0"),
    ):
        assert said(graph(semantics=rules)) == [("E0205", f"'p': {message}")]


KERNEL = Conv2d(np.full((1, 1, 1, 3), 254), (1, 1, 3))
POOLED = Chain((SumPool2d((1, 1, 3), (1, 1), (1, 1)), Dense(np.array([[2, 2, 2]]))))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"delay": 0}, "'w': delays span 0 to 0 steps; Loihi has 1 to 64"),
        ({"delay": 65}, "'w': delays span 65 to 65 steps; Loihi has 1 to 64"),
        (synapses([0, 0, 64]), "'w': delays span 1 to 65 steps; Loihi has 1 to 64"),
        ({"words": None}, "'w' has no words, and 'p' is LoihiLIF"),
        (
            {"connection": Dense(np.array([[1, 2, 256]]))},
            "'w': 2 of 3 weights are no multiples of 2 of -256 to 254; they span 1 to 256",
        ),
        (
            {"connection": Dense(np.array([[0.5, 2, 4]]))},
            "'w': 1 of 3 weights are no multiples of 2 of -256 to 254; they span 0.5 to 4",
        ),
        ({"bias": np.ones(1)}, "'w' has a bias; that of 'p' is bias_mant and bias_exp"),
        (
            {"connection": POOLED},
            "'w' holds SumPool2d, Dense; between two neurons Loihi has one stage of weights",
        ),
        (
            {"connection": Flatten((3, 1)), "post": "q"},
            "'w' holds Flatten; between two neurons Loihi has one stage of weights",
        ),
    ],
)
def test_projections(changes: Any, message: str) -> None:
    broken = graph(**changes)
    if changes.get("post") == "q":
        broken = replace(broken, populations=(*broken.populations, Population("q", (3,), cell())))
    assert said(broken) == [("E0205", message)]


def test_a_kernel_fills_24_bits_at_most() -> None:
    verify(graph(connection=KERNEL, words=replace(WORDS, exponent=7)))
    wide = Conv2d(np.full((1, 1, 1, 300), 254), (1, 1, 300))
    broken = graph(connection=wide, words=replace(WORDS, exponent=7))
    broken = replace(broken, inputs=(Input("in", (300,)),))
    ((code, message),) = said(broken)
    assert code == "E0205" and "the sum of a kernel reaches 9.7536e+06" in message


def test_words_end_in_neurons_of_loihi_only() -> None:
    assert said(graph(IF(np.ones(()), np.ones(())))) == [
        ("E0205", "'w' has words of Loihi, and 'p' is IF")
    ]


# -- sigma-delta ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "neuron",
    [
        LoihiSigma(),
        LoihiDelta(8, 2, 3, cum_error=True, scale=0.5),
        LoihiSigmaDelta(0, bias=np.array([-32_768]), activation=Activation.UNIT),
    ],
    ids=lambda neuron: type(neuron).__name__,
)
def test_sigma_delta_words_are_kept(neuron: Any) -> None:
    whole = graph(neuron)
    verify(whole)
    assert parse(text(whole)) == whole
    assert not whole.population("p").single and whole.signed("in")


def test_an_input_of_a_lif_counts_even_where_it_feeds_a_delta_too() -> None:
    whole = graph(LoihiDelta(1))
    both = replace(
        whole,
        populations=(*whole.populations, Population("q", (1,), cell())),
        projections=(*whole.projections, replace(whole.projections[0], name="v", post="q")),
    )
    verify(both)
    assert not both.signed("in") and not graph().signed("in")
    assert not replace(whole, projections=()).signed("in")


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        (LoihiDelta(1, 8), "'p': spike_exp is 8; Loihi has 0 to 7"),
        (LoihiDelta(1, 0, -1), "'p': state_exp is -1; Loihi has 0 to 7"),
        (LoihiDelta(-1), "'p': vth is -1; with its exponents, 0 bits, Loihi has 0 to 8388607"),
        (
            LoihiDelta(1 << 20, 1, 2),
            "'p': vth is 1048576; with its exponents, 3 bits, Loihi has 0 to 1048575",
        ),
        (
            LoihiSigmaDelta(1, 1, 2, bias=np.array(4096)),
            "'p': bias spans 4096 to 4096, outside -4096 to 4095",
        ),
    ],
)
def test_sigma_delta_words_beyond_their_registers(neuron: Any, message: str) -> None:
    assert said(graph(neuron)) == [("E0205", message)]


def test_what_ends_in_a_sigma_delta_neuron_has_words_and_a_step() -> None:
    ((code, message),) = said(graph(LoihiDelta(1), words=None))
    assert (code, message) == ("E0205", "'w' has no words, and 'p' is LoihiDelta")
    ((code, message),) = said(graph(LoihiSigma(), delay=0))
    assert code == "E0205" and "delays span 0 to 0 steps" in message


def test_what_is_sent_and_states_in_real_units() -> None:
    encoder = LoihiSigmaDelta(1, 0, 3, scale=0.5)
    assert [encoder.real(name)[0] for name in ("v", "act", "residue")] == [0.5, 0.0625, 0.0625]
    assert LoihiSigma(scale=0.25).real("sigma")[0] == 0.25 == cell(scale=0.25).real("v")[0]
