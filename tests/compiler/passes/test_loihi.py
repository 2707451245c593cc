"""From real networks to Loihi's numbers: every derivation, every refusal, and the rates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.boards.board import Target
from spikec.boards.chip import load_chip
from spikec.compiler.backend import find_target
from spikec.compiler.compare import compare
from spikec.compiler.compile import compile_graph, pipeline
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import run_rung
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.forced import Forced
from spikec.compiler.passes.loihi import LoihiNumbers, loihi_errors, rounded, scaled_stage
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.connections import Chain, Connection, Conv2d, Dense, OneToOne, Sparse, SumPool2d
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.homeostasis import AdaptiveThreshold
from spikec.ir.loihi import LoihiWeights, Sign
from spikec.ir.neurons import IF, LI, LIF, CubaLIF, LoihiATRLIF, LoihiLIF, Neuron, Threshold
from spikec.ir.plasticity import Plasticity, Trace, TraceSTDP
from spikec.ir.semantics import Comparison, Current, Decay, Gain, Reset, Semantics
from spikec.ir.verify import verify

from ...backends.loihi.networks import case

DT = 1e-3
ZERO = Semantics(reset=Reset.ZERO)
LAVA = Target.loihi("lava", "")


def real(value: Any) -> Any:
    return np.asarray(value, np.float64)


def lif(tau: Any = 0.02, threshold: Any = 1.0, leak: Any = 0.0, reset: Any = None) -> LIF:
    r = real(np.asarray(tau) / DT)  # a gain of one
    return LIF(real(tau), r, real(leak), real(threshold), None if reset is None else real(reset))


def cuba(a: float = 0.8, b: float = 0.95, threshold: float = 1.0) -> CubaLIF:
    """Keeps a and b of itself a step; an input is a jump of the current, which is added to v."""
    syn, mem = DT / (1 - a), DT / (1 - b)
    values = (syn, mem, mem / DT, 0.0, syn / DT, threshold)
    return CubaLIF(*(real(v) for v in values))


def net(
    neuron: Neuron,
    weight: Any = ((0.5, -0.25),),
    rules: Semantics = ZERO,
    connection: Connection | None = None,
    **changes: Any,
) -> Graph:
    stage = Dense(real(weight)) if connection is None else connection
    p = Population("p", stage.out_shape, neuron, rules)
    values: dict[str, Any] = {"connection": stage, "delay": 1}
    link = Projection("w", "in", "p", **(values | changes))
    return Graph("g", DT, (Input("in", stage.in_shape),), (p,), (link,), (Output("o", "p"),))


def chosen(graph: Graph, bits: int = 8, found: Diagnostics | None = None) -> Graph:
    verify(graph)
    result = LoihiNumbers(bits).run(graph, LAVA, Diagnostics() if found is None else found)
    verify(result)
    return result


def cell(graph: Graph, name: str = "p") -> LoihiLIF:
    neuron = graph.population(name).neuron
    assert isinstance(neuron, LoihiLIF)
    return neuron


def said(graph: Graph, bits: int = 8) -> list[tuple[str, str]]:
    with pytest.raises(SpikecError) as caught:
        chosen(graph, bits)
    return [(d.code, d.message) for d in caught.value.diagnostics]


# -- what becomes of a number ------------------------------------------------------------------


def test_decays() -> None:
    """du counts one more than it says; an IF keeps all, a Threshold next to nothing."""
    both = cell(chosen(net(cuba())))
    assert (int(both.du), int(both.dv)) == (4095 - 3277, 205)  # 0.8 and 0.05 of 4096
    plain = cell(chosen(net(lif())))
    assert (int(plain.du), int(plain.dv)) == (4095, 205)
    assert int(cell(chosen(net(IF(real(1.0), real(1.0))))).dv) == 0
    assert int(cell(chosen(net(Threshold(real(0.4))))).dv) == 4095
    each = cell(chosen(net(lif(tau=[0.02, 0.01]), ((0.5,), (0.25,)))))
    assert each.dv.tolist() == [205, 410]


@pytest.mark.parametrize("threshold", [0.01, 0.3, 1.0, 70.0])
def test_thresholds_are_exact_and_weights_nearest(threshold: float) -> None:
    rng = np.random.default_rng(2)
    weight = rng.normal(0, 0.2 * threshold, (3, 40))
    graph = net(lif(threshold=threshold), weight)
    made = chosen(graph)
    neuron, words = cell(made), made.projections[0].words
    assert words is not None and words.sign is Sign.MIXED
    assert neuron.scale * 64 * int(neuron.vth) == pytest.approx(threshold, rel=1e-12, abs=0)
    unit = neuron.scale * 64 * 2.0**words.exponent
    (whole,) = (p.connection.weight for p in made.projections)  # type: ignore[attr-defined]
    assert np.abs(whole * unit - weight).max() <= words.step / 2 * unit * (1 + 1e-9)
    assert np.abs(whole).max() > 200  # the bits are used
    (errors,) = loihi_errors(graph, made)
    assert errors.weight_sqnr_db is not None and errors.weight_sqnr_db > 35
    assert errors.threshold_error is not None and errors.threshold_error < 1e-12
    assert errors.weights_clipped == 0 and errors.decay_error <= 0.5 / 4096


def test_a_membrane_without_a_leak_has_room_for_sixteen_thresholds_below() -> None:
    """And is as fine as that allows."""
    vth = int(cell(chosen(net(IF(real(1.0), real(1.0)), ((0.5, -0.25),)))).vth)
    assert (1 << 23) // 16 >= 64 * vth > (1 << 23) // 64


def test_at_least_the_threshold_is_above_one_unit_less() -> None:
    """v >= 1 with a weight of 0.25: four spikes make one, in the reals and on Loihi."""
    spikes = Stimulus({"in": Events.from_dense(np.ones((1, 12, 1), int))})
    for comparison, first in ((Comparison.GREATER_EQUAL, 4), (Comparison.GREATER, 5)):
        rules = replace(ZERO, comparison=comparison)
        graph = net(IF(real(1.0), real(1.0)), ((0.25,),), rules)
        made = run_pipeline(pipeline(Quantise(), LAVA), graph, LAVA, Diagnostics())
        assert int(Executor(made).run(spikes).spikes["p"].step[0]) == first


def test_signs_and_exponents() -> None:
    graph = net(lif(), ((0.5, 0.25),))
    more = (
        Projection("in-", "in", "p", Dense(real([[-0.5, -0.125]])), 1),
        Projection("far", "in", "p", Dense(real([[8.0, -8.0]])), 1),
        Projection("none", "in", "p", Dense(real([[0.0, 0.0]])), 1),
    )
    made = chosen(replace(graph, projections=(*graph.projections, *more)))
    words = {p.name: p.words for p in made.projections}
    assert all(w is not None for w in words.values())
    signs = [w.sign for w in words.values() if w is not None]
    assert signs == [Sign.EXCITATORY, Sign.INHIBITORY, Sign.MIXED, Sign.EXCITATORY]
    exponents = {name: w.exponent for name, w in words.items() if w is not None}
    assert exponents["far"] - exponents["w"] in (4, 5)  # 16 times as large, and a sign
    assert exponents["none"] == 0
    neuron = cell(made)
    for p, before in zip(made.projections, (*graph.projections, *more), strict=True):
        assert p.words is not None
        unit = neuron.scale * 64 * 2.0**p.words.exponent
        exact: Any = before.connection
        whole: Any = p.connection
        assert np.abs(whole.weight * unit - exact.weight).max() <= p.words.step * unit / 2 * 1.001


def test_an_exponent_below_zero_where_many_small_weights_stand_beside_a_large_one() -> None:
    small = np.random.default_rng(1).normal(0, 0.003, (1, 2000))
    graph = net(lif(), small)
    large = Projection("large", "in", "p", Dense(real(np.eye(1, 2000) * 64)), 1)
    made = chosen(replace(graph, projections=(*graph.projections, large)))
    exponents = [p.words.exponent for p in made.projections if p.words is not None]
    assert exponents[0] < 0 < exponents[1]


@pytest.mark.parametrize("bits", range(2, 9))
def test_bits_of_weights(bits: int) -> None:
    weight = np.random.default_rng(bits).normal(0, 0.2, (4, 30))
    words = chosen(net(lif(), weight), bits).projections[0].words
    assert words is not None and words.bits == bits


def test_rounded_is_to_the_nearest_there_is() -> None:
    words = LoihiWeights(7, Sign.EXCITATORY)
    assert rounded(real([-3, 0.9, 1.1, 252.9, 253.1, 999]), words).tolist() == [
        *(0, 0, 2, 252, 254, 254)
    ]


def test_biases_and_origins() -> None:
    """A reset elsewhere than at zero moves the origin; a bias has 13 bits and an exponent."""
    rules = Semantics(reset=Reset.VALUE, v_init=-0.5)
    graph = net(lif(leak=0.25, reset=-0.5, threshold=0.5), ((0.5,), (0.25,)), rules)
    graph = replace(graph, projections=(replace(graph.projections[0], bias=real([0.0, 0.125])),))
    neuron = cell(chosen(graph))
    assert neuron.scale * 64 * int(neuron.vth) == pytest.approx(1.0)
    # In units of v: 0.05 of the 0.75 between the leak and the reset, and what the bias adds.
    bias = (neuron.bias_mant << neuron.bias_exp) * neuron.scale
    np.testing.assert_allclose(bias, [0.0375, 0.0375 + 0.125], rtol=2e-3)
    assert int(np.abs(neuron.bias_mant).max()) <= 4095 and neuron.bias_exp.max() > 0


@pytest.mark.parametrize(("units", "exponent"), [(4095, 0), (4096, 1), (-4095, 0), (-4096, 1)])
def test_the_least_exponent_that_holds_a_bias(units: int, exponent: int) -> None:
    """A mantissa of 4,096 is one too many."""
    graph = net(IF(real(1.0), real(1.0)))
    link = graph.projections[0]
    scale = cell(chosen(graph)).scale
    neuron = cell(chosen(replace(graph, projections=(replace(link, bias=real([units * scale])),))))
    assert neuron.scale == scale
    assert (int(neuron.bias_mant), int(neuron.bias_exp)) == (units >> exponent, exponent)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("neuron", [cuba(), lif()], ids=["current", "plain"])
def test_biases_that_a_neuron_of_loihi_does_not_have(neuron: Neuron, first: bool) -> None:
    """Those of a current, and those absent from the first step, are neurons that always spike."""
    rng = np.random.default_rng(8)
    rules = replace(ZERO, recurrent_bias_first=first)
    graph = net(neuron, rng.normal(0.05, 0.2, (30, 20)), rules, delay=0, bias=np.full(30, 0.02))
    loop = Dense(rng.normal(0, 0.05, (30, 30)))
    back = Projection("back", "p", "p", loop, 1, np.full(30, 0.03), recurrent=True)
    graph = replace(graph, projections=(*graph.projections, back))
    spikes = (rng.random((4, 100, 20)) < 0.1).astype(np.int64)
    stimulus = Stimulus({"in": Events.from_dense(spikes)})
    compilation = compile_graph(graph, *find_target("lava"), Quantise())
    sources = {p.name: p.lag for p in compilation.quantised.populations if p.name != "p"}
    late = {} if first else {"back.bias": 1}
    always = {"w.bias": 0, "back.bias": 0} if isinstance(neuron, CubaLIF) else {}
    assert sources == always | late
    golden, integer = (
        run_rung(compilation.artifact(), rung, stimulus).recording for rung in ("golden", "integer")
    )
    (found,) = compare(golden, integer, stimulus=stimulus).populations
    assert golden.spikes["p"].value.sum() > 200
    assert found.rate_error is not None and found.rate_error < 0.04


def test_an_old_current_is_a_step_more_of_delay() -> None:
    made = chosen(net(cuba(), rules=replace(ZERO, current=Current.OLD)))
    assert made.projections[0].delay == 2


def test_signs_apart_are_twice_as_fine() -> None:
    rng = np.random.default_rng(4)
    dense = net(lif(), rng.normal(0, 0.3, (20, 30)))
    indptr = np.arange(0, 61, 2)
    sparse = Sparse(30, 20, indptr, np.arange(60) % 20, rng.normal(0, 0.3, 60))
    for graph in (dense, net(lif(), connection=sparse)):
        target = find_target("lava")
        both = compile_graph(graph, *target, Quantise(), {"split_signs": True})
        one = compile_graph(graph, *target, Quantise())
        assert [p.name for p in both.quantised.projections] == ["w.excitatory", "w.inhibitory"]
        signs = [p.words.sign for p in both.quantised.projections if p.words is not None]
        assert signs == [Sign.EXCITATORY, Sign.INHIBITORY]
        fine, coarse = (c.errors[0].weight_sqnr_db or 0.0 for c in (both, one))
        assert 4.0 < fine - coarse < 9.0
    with pytest.raises(SpikecError, match="'null' is no target in Loihi's arithmetic"):
        compile_graph(dense, *find_target("null"), Quantise(), {"split_signs": True})


def test_coarse_weights_of_both_signs_are_told() -> None:
    """One weight a hundred times the others takes their bits; apart from them, none are lost."""
    rng = np.random.default_rng(4)
    weight = rng.normal(0, 0.02, (20, 30))
    weight[0, 0] = 0.5
    coarse, fine = net(lif(), weight), net(lif(), rng.normal(0, 0.3, (20, 30)))
    told = {}
    for name, graph, bits, split in (
        ("coarse", coarse, 8, False),
        ("split", coarse, 8, True),
        ("fine", fine, 8, False),
        ("one sign", net(lif(), np.abs(weight)), 6, False),
    ):
        options = Quantise(weight_bits=bits)
        made = compile_graph(graph, *find_target("lava"), options, {"split_signs": split})
        told[name] = [d for d in made.diagnostics if d.code == "N0409"]
        sqnr = made.errors[0].weight_sqnr_db
        assert sqnr is not None and (sqnr < 32) == (name in ("coarse", "one sign"))
    (note,) = told.pop("coarse")
    assert note.message.endswith("dB of signal to noise, and 'w' has both signs")
    assert note.hint is not None and "--split-signs" in note.hint
    assert not any(told.values())


def test_pools_are_unrolled_and_kernels_are_not() -> None:
    kernel = Conv2d(real(np.linspace(-1, 1, 18).reshape(2, 1, 3, 3)), (1, 5, 5))
    made = chosen(net(lif(), connection=kernel))
    assert isinstance(made.projections[0].connection, Conv2d)
    pooled = Chain((SumPool2d((1, 4, 4), (2, 2), (2, 2)), Dense(real([[0.5, 0.25, 0.5, 1.0]]))))
    sparse = chosen(net(lif(), connection=pooled)).projections[0].connection
    assert isinstance(sparse, Sparse) and sparse.weight.size == 16
    assert isinstance(scaled_stage(OneToOne(real(2.0), (3,)), real([1.0, 2.0, 3.0])), OneToOne)
    unlike = scaled_stage(kernel, real(np.arange(18.0).reshape(2, 3, 3)))
    assert isinstance(unlike, Sparse)


def test_what_is_on_loihi_passes_through() -> None:
    made = chosen(net(lif()))
    again = run_pipeline(pipeline(Quantise(), LAVA), made, LAVA, Diagnostics())
    assert again == made
    assert loihi_errors(made, again) == []


def test_random_networks_of_loihi_come_out_as_they_went_in() -> None:
    """Delays of synapses apart, and one weight for all pairs of a one-to-one connection."""
    for seed in range(12):
        one = case(seed)
        names = tuple(o.source for o in one.graph.outputs)
        before = Executor(one.graph).run(one.stimulus, populations=names)
        compilation = compile_graph(one.graph, *find_target("lava"), Quantise())
        after = Executor(compilation.quantised).run(one.stimulus, populations=names)
        assert after.spikes == before.spikes
    graph = chosen(net(lif(), connection=OneToOne(real(0.5), (3,))))
    again = run_pipeline(pipeline(Quantise(), LAVA), graph, LAVA, Diagnostics())
    given = Stimulus({"in": Events.from_dense(np.ones((1, 9, 3), int))})
    assert Executor(again).run(given).spikes == Executor(graph).run(given).spikes


@pytest.mark.parametrize("weight", [np.array(3), np.array([1, 2])])
def test_words_of_single_synapses_stay_whole(weight: np.ndarray) -> None:
    """One weight for all is no factor to be taken out as a real number."""
    neuron = LoihiLIF(du=np.array(4095), dv=np.array(0), vth=np.array(2))
    words = LoihiWeights(sign=Sign.EXCITATORY)
    graph = Graph(
        "ready",
        1e-3,
        (Input("in", (2, 1)),),
        (Population("p", (2,), neuron, Semantics(max_spikes=1), 1),),
        (Projection("w", "in", "p", OneToOne(weight, (2, 1)), 1, words=words),),
        (Output("out", "p"),),
    )
    made = run_pipeline(pipeline(Quantise(), LAVA), graph, LAVA, Diagnostics())
    stage = made.projections[0].connection
    assert isinstance(stage, OneToOne) and stage.weight.dtype == np.int64
    np.testing.assert_array_equal(stage.weight, weight)


# -- calibration -------------------------------------------------------------------------------


def test_calibration_changes_fewer_spikes() -> None:
    """Weights of three bits: what they add on average is taken off by a bias of each neuron."""
    rng = np.random.default_rng(5)
    graph = net(cuba(), rng.normal(0.01, 0.03, (12, 30)))
    given = Stimulus({"in": Events.from_dense((rng.random((6, 80, 30)) < 0.3).astype(int))})
    forced, found = Forced(graph, given), Diagnostics()
    plain = LoihiNumbers(3).run(graph, LAVA, Diagnostics())
    tuned = LoihiNumbers(3, calibration=given).run(graph, LAVA, found)
    verify(tuned)
    before, after = (forced.error(g.population("p"), g.incoming("p"), {}) for g in (plain, tuned))
    assert 0.0 < after < 0.9 * before
    assert cell(tuned).bias_mant.shape == (12,) and cell(plain).bias_mant.any() == np.False_
    (note,) = [d for d in found if d.code == "N0408"]
    assert f"{after:.2%} of its spikes differ" in note.message
    assert f"{before:.2%} by the numbers chosen without data" in note.message


def test_a_bias_against_rounding_takes_up_to_a_quarter_of_the_way() -> None:
    """Weights of two bits ask for more; it is there without input, too."""
    rng = np.random.default_rng(0)
    graph = net(lif(), rng.normal(0.01, 0.03, (12, 30)))
    given = Stimulus({"in": Events.from_dense((rng.random((6, 80, 30)) < 0.3).astype(int))})
    neuron = cell(LoihiNumbers(2, calibration=given).run(graph, LAVA, Diagnostics()))
    bias = (neuron.bias_mant << neuron.bias_exp) * neuron.scale
    rest = 0.05  # it leaks 0.05 of a threshold a step
    assert np.abs(bias).max() == pytest.approx(0.25 * rest, rel=1e-3)


def test_a_candidate_that_does_not_fit_is_none() -> None:
    """Whatever its error would be: seeds at which a bias was cut to its largest."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        weight = rng.normal(0, 0.4, (4, 6))
        graph = net(lif(tau=0.5), weight, bias=real(rng.normal(0, 0.2, 4)))
        given = Stimulus({"in": Events.from_dense((rng.random((2, 60, 6)) < 0.4).astype(int))})
        forced = Forced(graph, given)
        plain = LoihiNumbers(2).run(graph, LAVA, Diagnostics())
        tuned = LoihiNumbers(2, calibration=given).run(graph, LAVA, Diagnostics())
        before, after = (
            forced.error(g.population("p"), g.incoming("p"), {}) for g in (plain, tuned)
        )
        assert after <= before


@pytest.mark.parametrize("bits", [3, 4, 6])
def test_calibration_makes_no_silent_neuron_spike(bits: int) -> None:
    """The bias against rounding is there without input, too; without a leak it would add up."""
    rng = np.random.default_rng(7)
    silent = Stimulus({"in": Events.from_dense(np.zeros((1, 400, 30), int))})
    given = Stimulus({"in": Events.from_dense((rng.random((4, 80, 30)) < 0.3).astype(int))})
    for neuron in (lif(), IF(real(1.0), real(1.0)), cuba()):
        graph = net(neuron, rng.normal(0.02, 0.1, (12, 30)))
        tuned = LoihiNumbers(bits, calibration=given).run(graph, LAVA, Diagnostics())
        assert spikes_of(tuned, silent).sum() == 0


def test_calibration_says_that_a_membrane_saturates() -> None:
    graph, found = net(IF(real(1.0), real(1.0)), ((-1.0, 0.01),)), Diagnostics()
    given = Stimulus({"in": Events.from_dense(np.ones((1, 600, 2), int))})
    LoihiNumbers(calibration=given).run(graph, LAVA, found)
    (warning,) = [d for d in found if d.code == "W0404"]
    assert "on the calibration data v saturates, in" in warning.message


def test_calibration_of_a_network_of_loihi_does_nothing() -> None:
    made, found = chosen(net(lif())), Diagnostics()
    given = Stimulus({"in": Events.from_dense(np.ones((1, 9, 2), int))})
    assert LoihiNumbers(calibration=given).run(made, LAVA, found) == made
    assert not list(found)


# -- a reset by subtraction --------------------------------------------------------------------


def subtracting(**more: Any) -> Semantics:
    return Semantics(reset=Reset.SUBTRACT, **more)


def spikes_of(graph: Graph, given: Stimulus) -> np.ndarray:
    events = Executor(graph).run(given, populations=["p"]).spikes["p"]
    return np.array([events.dense(sample) for sample in range(events.samples)])


def by_hand(
    weight: np.ndarray, spikes: np.ndarray, keep: float, inclusive: bool, bias: float, start: float
) -> tuple[np.ndarray, np.ndarray]:
    """The real network step by step: its spikes and its v, (samples, steps, neurons)."""
    drive = np.zeros((*spikes.shape[:2], len(weight)))
    drive[:, 1:] = (spikes @ weight.T)[:, :-1]
    v = np.full((len(spikes), len(weight)), start)
    fired, states = np.zeros(drive.shape, np.int64), np.zeros(drive.shape)
    for t in range(drive.shape[1]):
        v = keep * v + drive[:, t] + bias
        fired[:, t] = v >= 1.0 if inclusive else v > 1.0
        v = v - fired[:, t]
        states[:, t] = v
    return fired, states


@pytest.mark.parametrize("comparison", list(Comparison))
def test_subtraction_is_exact_where_the_numbers_are(comparison: Comparison) -> None:
    """Weights of whole 256ths of a threshold, sums that meet it, several thresholds at a time."""
    rng = np.random.default_rng(3)
    weight = rng.integers(-60, 127, (20, 9)) / 256
    weight[0] = 0.25  # these sums meet the threshold often
    given = (rng.random((4, 60, 9)) < 0.3).astype(np.int64)
    made = chosen(net(IF(real(1.0), real(1.0)), weight, subtracting(comparison=comparison)))
    neuron = made.population("p").neuron
    assert isinstance(neuron, LoihiATRLIF) and int(neuron.dr) == int(neuron.dv) == 0
    got = spikes_of(made, Stimulus({"in": Events.from_dense(given)}))
    inclusive = comparison is Comparison.GREATER_EQUAL
    expected, states = by_hand(weight, given, 1.0, inclusive, 0.0, 0.0)
    np.testing.assert_array_equal(got, expected)
    assert expected.sum() > 400
    assert np.count_nonzero(states == (0.0 if inclusive else 1.0)) > 10
    assert np.count_nonzero(states > 1.0) > 10  # two thresholds and more


@pytest.mark.parametrize(("bias", "start"), [(0.0, 0.0), (0.03, 0.4), (-0.01, -0.5)])
def test_subtraction_beside_the_real_network(bias: float, start: float) -> None:
    rng = np.random.default_rng(4)
    weight = rng.normal(0.08, 0.15, (30, 12))
    given = (rng.random((4, 100, 12)) < 0.3).astype(np.int64)
    stimulus = Stimulus({"in": Events.from_dense(given)})
    rules = subtracting(v_init=start)
    graph = net(lif(), weight, rules, bias=real(np.full(30, bias)) if bias else None)
    made = chosen(graph)
    neuron = made.population("p").neuron
    assert isinstance(neuron, LoihiATRLIF)
    expected, states = by_hand(weight, given, 0.95, False, bias, start)
    got = Executor(made).run(stimulus, record=[("p", "v"), ("p", "r")])
    # Where rounding moves a spike, v is a threshold off until the other one has come.
    spikes = spikes_of(made, stimulus)
    assert np.abs(spikes.sum(axis=1) - expected.sum(axis=1)).max() <= 2
    offset = (int(neuron.theta_0) << 6) + 1
    v = (got.states["p", "v"] - got.states["p", "r"] + offset) * neuron.scale
    alike = np.cumsum(spikes != expected, axis=1) == 0
    (link,) = made.projections
    assert link.words is not None and isinstance(link.connection, Dense)
    unit = neuron.scale * 64 * 2.0**link.words.exponent
    wrong = np.abs(link.connection.weight * unit - weight)
    # The membrane filters what the weights' rounding adds, and decays by 205 of 4096.
    _, drift = by_hand(wrong, given, 0.95, False, 0.0, 0.0)
    assert drift.max() < 0.2  # no spike in it
    assert (np.abs(v - states) <= drift + 0.01)[alike].all()
    assert alike.mean() > 0.5 and expected.sum() > 2000
    (errors,) = loihi_errors(graph, made)
    assert errors.threshold_error is not None and errors.threshold_error < 1e-12
    assert errors.decay_error <= 0.5 / 4096


def test_loihi_2_has_them_and_loihi_has_not() -> None:
    graph = net(IF(real(1.0), real(1.0)), ((0.5,),), subtracting())
    backend, target = find_target("lava")
    compile_graph(graph, backend, target, Quantise(), {"chip": load_chip("loihi2")})
    with pytest.raises(SpikecError, match="which neurons of 'loihi1' do not do"):
        compile_graph(graph, backend, target, Quantise(), {"chip": load_chip("loihi1")})


def test_a_membrane_that_keeps_too_much_is_told() -> None:
    """A neuron without a leak fills 24 bits; calibration on samples as long as that sees it."""
    graph, found = net(IF(real(1.0), real(1.0)), ((0.9,),), subtracting()), Diagnostics()
    given = Stimulus({"in": Events.from_dense(np.ones((1, 2000, 1), int))})
    short = chosen(graph, found=found)
    neuron = short.population("p").neuron
    assert isinstance(neuron, LoihiATRLIF)
    room = ((1 << 23) - 1) // (int(neuron.theta_0) << 7)
    (warning,) = [d for d in found if d.code == "W0404"]
    assert f"v has room for {room} thresholds of input a sample" in warning.message
    assert abs(spikes_of(short, given).sum() - room) <= 1
    long = LoihiNumbers(calibration=given).run(graph, LAVA, Diagnostics())
    assert spikes_of(long, given).sum() > 1.4 * room
    found = Diagnostics()
    chosen(net(lif(tau=0.005), ((0.5,),), subtracting()), found=found)
    assert not list(found)


def test_a_membrane_at_rest_stays_at_its_offset() -> None:
    for tau in (0.0011, 0.004, 0.02, 0.7, 5.0):
        made = chosen(net(lif(tau=tau), ((0.5,),), subtracting()))
        silent = Stimulus({"in": Events.from_dense(np.zeros((1, 2000, 1), int))})
        v = Executor(made).run(silent, record=[("p", "v")]).states["p", "v"].ravel()
        neuron = made.population("p").neuron
        assert isinstance(neuron, LoihiATRLIF)
        assert np.abs(v - v[0]).max() <= int(neuron.theta_0) << 6 >> 11


# -- what is refused, and what is only said ----------------------------------------------------


REFUSED: list[tuple[Graph, str]] = [
    (net(LI(real(0.02), real(1.0), real(0.0))), "is LI; Loihi has a LIF"),
    (net(lif(), rules=Semantics(reset=Reset.TWO_PHASE)), "with twice its threshold where a spike"),
    (
        net(lif(threshold=[1.0, 2.0]), ((0.5,), (0.5,)), rules=Semantics(reset=Reset.SUBTRACT)),
        "has neurons of 1 to 2 as their threshold, and takes the threshold off",
    ),
    (
        net(lif(tau=[0.02, 0.01]), ((0.5,), (0.5,)), rules=Semantics(reset=Reset.SUBTRACT)),
        "has neurons of 0.9 to 0.95 as their decay, and takes the threshold off",
    ),
    (net(lif(), rules=replace(ZERO, max_spikes=None)), "has max_spikes None; Loihi's LIF has 1"),
    (net(lif(), rules=replace(ZERO, v_min=-1.0)), "has v_min -1.0; Loihi's LIF has None"),
    (net(lif(), rules=replace(ZERO, refractory=2)), "has refractory 2; Loihi's LIF has 0"),
    (net(lif(), rules=replace(ZERO, registered=True)), "has registered True; Loihi's LIF has"),
    (net(lif(), rules=replace(ZERO, v_init=0.5)), "starts at another value than it is reset to"),
    (net(cuba(), bias=real([0.1])), "nothing can arrive there before"),
    (
        net(lif(), ((3.0,),), plasticity=Plasticity(TraceSTDP(Trace(1), Trace(1)), 0, 7)),
        "learns by TraceSTDP; on Loihi by PairSTDP",
    ),
]


@pytest.mark.parametrize(("graph", "message"), REFUSED, ids=[m[:30] for _, m in REFUSED])
def test_what_loihi_does_not_have(graph: Graph, message: str) -> None:
    ((code, found),) = said(graph)
    assert code == "E0301" and message in found


def test_adaptive_thresholds_are_refused() -> None:
    graph = net(lif())
    adaptive = AdaptiveThreshold(real(0.1), real(0.1))
    graph = replace(graph, populations=(replace(graph.populations[0], adaptive=adaptive),))
    assert said(graph)[0][1] == "'p' has thresholds that adapt; Loihi's LIF has not"


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (net(lif(threshold=-0.5)), "the threshold lies -0.5 above the reset"),
        (net(lif(), ((500.0, 1e5),)), "its weights are too large beside its threshold"),
        (net(lif(leak=1e4)), "units of v, at most 524160 fit"),
        (net(cuba(), delay=64, rules=replace(ZERO, current=Current.OLD)), "'w' takes 65 steps"),
        (net(lif(tau=4e-4)), "the membrane keeps -1.5 of itself a step"),
    ],
)
def test_what_does_not_fit(graph: Graph, message: str) -> None:
    found = said(graph)
    assert {code for code, _ in found} == {"E0401"} and any(message in m for _, m in found)


def test_options() -> None:
    assert said(net(lif()), 9) == [("E0402", "weight_bits is 9; Loihi's weights have 2 to 8")]
    graph = net(lif(), delay=0)
    with pytest.raises(SpikecError, match="'lava' takes no --state-bits") as caught:
        compile_graph(graph, *find_target("lava"), Quantise(state_bits=16))
    assert caught.value.diagnostics[0].code == "E0707"


def test_warnings() -> None:
    found = Diagnostics()
    weight = np.full((1, 20_000), 0.5)
    chosen(net(cuba(), weight), found=found)
    assert [d.code for d in found] == ["W0404"]
    lost = Diagnostics()
    chosen(net(lif(), ((1.0, *[1e-4] * 9),)), found=lost)
    assert [(d.code, d.message) for d in lost] == [
        ("W0403", "'p': 9 of 10 weights round to zero at 8 bits")
    ]
    half = Diagnostics()
    chosen(net(lif(), ((*[1.0] * 5, *[1e-4] * 5),)), found=half)
    assert not list(half)


# -- what it comes to --------------------------------------------------------------------------


@pytest.mark.parametrize("comparison", [Comparison.GREATER, Comparison.GREATER_EQUAL])
@pytest.mark.parametrize("kind", ["plain", "current", "exact"])
def test_rates_of_random_networks(kind: str, comparison: Comparison) -> None:
    """Two layers and a loop, retimed: rates within 5 % of float64's."""
    rng = np.random.default_rng(5)
    rules = replace(ZERO, comparison=comparison)
    neuron: Neuron = lif() if kind == "plain" else cuba()
    if kind == "exact":
        rules = replace(rules, decay=Decay.EXPONENTIAL, gain=Gain.EXACT)
    graph = Graph(
        "deep",
        DT,
        (Input("in", (60,)),),
        (Population("a", (50,), neuron, rules), Population("b", (20,), neuron, rules)),
        (
            Projection("in-a", "in", "a", Dense(rng.normal(0.03, 0.1, (50, 60)))),
            Projection("a-a", "a", "a", Dense(rng.normal(0, 0.04, (50, 50))), 1, recurrent=True),
            Projection("a-b", "a", "b", Dense(rng.normal(0.03, 0.1, (20, 50)))),
        ),
        (Output("o", "b"),),
    )
    spikes = (rng.random((6, 150, 60)) < 0.08).astype(np.int64)
    stimulus = Stimulus({"in": Events.from_dense(spikes)})
    compilation = compile_graph(graph, *find_target("lava"), Quantise())
    artifact = compilation.artifact()
    assert artifact.manifest["output_shift"] == {"o": 2}
    golden, integer = (
        run_rung(artifact, rung, stimulus, populations=["a", "b"]).recording
        for rung in ("golden", "integer")
    )
    assert all(golden.spikes[name].value.sum() > 200 for name in "ab")
    for population in compare(golden, integer, stimulus=stimulus).populations:
        assert population.rate_error is not None and population.rate_error < 0.05
