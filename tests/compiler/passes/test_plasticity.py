"""Plastic projections through the passes: kept exactly, or refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.null import backend
from spikec.backends.reference.golden import run_golden
from spikec.boards.features import FPGA_CORE
from spikec.compiler.backend import find_target
from spikec.compiler.cli.ladder import run_ladder
from spikec.compiler.compile import compile_graph
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import run_rung, state_words
from spikec.compiler.passes.legalise import Legalise
from spikec.compiler.passes.quantise import Quantise, layer_errors, quantise
from spikec.compiler.passes.retime import Retime
from spikec.compiler.report.tables import semantics
from spikec.ir.connections import Chain, Conv2d, Dense, Flatten, Sparse
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.homeostasis import AdaptiveThreshold
from spikec.ir.neurons import LIF, IntegerNeuron
from spikec.ir.numerics import Rounding
from spikec.ir.plasticity import SDSP, PairSTDP, Plasticity, Rule, TraceSTDP
from spikec.ir.semantics import Reset, Semantics
from spikec.ir.verify import verify

from .networks import real, target

PAIR = TraceSTDP.pair(20, 24, shift=6, decay=3)
ODIN = SDSP(40.0, 1, 3, 6)
AXONAL = PairSTDP(1.0, 1.2, 0.02, 0.02, dendritic_delay_fraction=0)
CELL = LIF(real(0.02), real(20.0), real(0.0), real(60.0))  # a gain of one: weights are steps of v
RNG = np.random.default_rng(3)
MASK = RNG.random((4, 6)) < 0.7


def learns(name: str, pre: str, post: str, weight: Any, delay: int = 0, **more: Any) -> Projection:
    plasticity = replace(Plasticity(PAIR, 0, 127), **more)
    return Projection(name, pre, post, Dense(np.asarray(weight)), delay, plasticity=plasticity)


def layers(**changes: Any) -> Graph:
    """in -> a -> b, both plastic, without delay: as frameworks step."""
    graph = Graph(
        "layers",
        1e-3,
        (Input("in", (6,)),),
        (Population("a", (4,), CELL), Population("b", (3,), CELL)),
        (
            learns("w1", "in", "a", RNG.integers(0, 60, (4, 6)) * 1.0, enable=MASK),
            learns("w2", "a", "b", RNG.integers(20, 90, (3, 4)) * 1.0),
        ),
        (Output("out", "b"),),
    )
    return replace(graph, **changes)


LAYERS = layers()


def second(**changes: Any) -> Graph:
    return replace(
        LAYERS, projections=(LAYERS.projections[0], replace(LAYERS.projections[1], **changes))
    )


def volleys(seed: int = 0, samples: int = 2, steps: int = 40) -> Stimulus:
    dense = np.random.default_rng(seed).random((samples, steps, 6)) < 0.3
    return Stimulus({"in": Events.from_dense(dense)})


def refusals(graph: Graph, item: Any, **features: object) -> list[tuple[str, str]]:
    verify(graph)
    found = Diagnostics()
    with pytest.raises(SpikecError) as caught:
        item.run(graph, target(**features), found)
        found.raise_errors()
    return [(d.code, d.message) for d in caught.value.diagnostics if d.code[0] == "E"]


class TestLegalise:
    def test_keeps_what_learns_bit_for_bit(self) -> None:
        assert Legalise().run(LAYERS, target(), Diagnostics()) == LAYERS

    def test_drops_a_flatten_only(self) -> None:
        w1 = LAYERS.projections[0]
        flat = replace(w1, connection=Chain((Flatten((2, 3)), w1.connection)))
        graph = replace(
            LAYERS,
            inputs=(Input("in", (2, 3)),),
            projections=(flat, LAYERS.projections[1]),
        )
        verify(graph)
        assert Legalise().run(graph, target(), Diagnostics()).projections == LAYERS.projections

    def test_a_target_without_the_rule_is_refused(self) -> None:
        assert refusals(LAYERS, Legalise(), learns=("SDSP",)) == [
            ("E0308", "'w1' learns by TraceSTDP; null has SDSP"),
            ("E0308", "'w2' learns by TraceSTDP; null has SDSP"),
        ]
        ((code, said),) = refusals(second(plasticity=None), Legalise(), learns=())
        assert (code, said) == ("E0308", "'w1' learns by TraceSTDP; null has no rule")
        only = target(learns=("TraceSTDP",))
        assert Legalise().run(LAYERS, only, Diagnostics()) == LAYERS

    def test_an_adaptive_threshold_needs_a_target_that_has_it(self) -> None:
        graph = adaptive()
        assert Legalise().run(graph, target(), Diagnostics()) == graph
        assert refusals(graph, Legalise(), adaptive=False) == [
            ("E0301", "the threshold of 'a' adapts; null has fixed thresholds")
        ]

    def test_the_core_says_what_it_learns(self) -> None:
        assert FPGA_CORE.learns is not None

    def test_a_board_does_not_learn_by_pairs_in_real_numbers(self) -> None:
        """Of the two layers one learns by a rule of the core, and is not named."""
        fpga, board = find_target("icebreaker")
        for delay, rule in ((1, AXONAL), (2, replace(AXONAL, dendritic_delay_fraction=1))):
            graph = second(delay=delay, plasticity=Plasticity(rule, 0, 127))
            verify(graph)
            with pytest.raises(SpikecError) as caught:
                compile_graph(graph, fpga, board, Quantise())
            (found,) = caught.value.diagnostics
            assert found.code == "E0308"
            assert found.message == f"'w2' learns by PairSTDP; {board.name} has TraceSTDP, SDSP"


class TestRetime:
    @given(st.integers(0, 2**20), st.booleans())
    @settings(max_examples=20)
    def test_layers_learn_the_same_in_hardware_time(self, seed: int, stochastic: bool) -> None:
        rule: Rule = replace(PAIR, rounding=Rounding.STOCHASTIC, streams=4) if stochastic else PAIR
        projections = tuple(
            replace(p, plasticity=replace(p.plasticity, rule=rule))  # type: ignore[type-var]
            for p in LAYERS.projections
        )
        graph = replace(LAYERS, projections=projections)
        weights, spikes = [], []
        for hop in (0, 1):
            moved = Retime().run(graph, target(hop=hop), Diagnostics())
            verify(moved)
            assert [p.lag for p in moved.populations] == [0, hop]
            executor = Executor(quantise(moved, Quantise(), Diagnostics()))
            run = executor.run(volleys(seed), populations=["a", "b"], record_weights="samples")
            weights.append(run.weights)
            spikes.append(run.spikes)
        assert spikes[0] == spikes[1] and spikes[0]["b"].value.sum() > 10
        for p in LAYERS.projections:
            assert np.array_equal(weights[0][p.name], weights[1][p.name])
            assert not np.array_equal(weights[0][p.name][-1], getattr(p.connection, "weight"))  # noqa: B009

    def test_a_loop_of_one_step_stays(self) -> None:
        loop = learns("loop", "a", "a", np.zeros((4, 4)), 1)
        graph = replace(LAYERS, projections=(*LAYERS.projections, loop))
        moved = Retime().run(graph, target(hop=1), Diagnostics())
        assert moved.projections[2] == loop

    def test_an_input_that_skips_a_layer_is_refused(self) -> None:
        skip = learns("skip", "in", "b", np.zeros((3, 6)))
        graph = replace(LAYERS, projections=(*LAYERS.projections, skip))
        ((code, said),) = refusals(graph, Retime(), hop=1)
        assert code == "E0502" and said.startswith("'skip' takes 0 step(s) and would take 1")
        still = replace(graph, projections=(*LAYERS.projections, replace(skip, plasticity=None)))
        assert Retime().run(still, target(hop=1), Diagnostics()).projections[2].delay == 1

    def test_a_population_that_skips_a_layer_is_refused(self) -> None:
        third = Population("c", (3,), CELL)
        onward = Projection("w3", "b", "c", Dense(np.eye(3)))
        for delay in (0, 1):
            skip = learns("skip", "a", "c", np.zeros((3, 4)), delay)
            graph = replace(
                LAYERS,
                populations=(*LAYERS.populations, third),
                projections=(*LAYERS.projections, onward, skip),
                outputs=(Output("out", "c"),),
            )
            assert [code for code, _ in refusals(graph, Retime(), hop=1)] == ["E0502"]

    @pytest.mark.parametrize("fraction", [0, 0.5, 1])
    def test_pairs_stay_where_nothing_moves(self, fraction: float) -> None:
        rule = replace(AXONAL, dendritic_delay_fraction=fraction)
        learned = Plasticity(rule, 0, 127)
        graph = replace(
            LAYERS,
            projections=tuple(replace(p, plasticity=learned, delay=2) for p in LAYERS.projections),
        )
        verify(graph)
        assert Retime().run(graph, target(input_hop=1, hop=2), Diagnostics()) == graph

    def test_an_axonal_delay_grows_and_pairs_stay(self) -> None:
        """From the input a lag of 1, from a population a second; pre and post move alike."""
        learned = Plasticity(AXONAL, 0, 127)
        first, onward = (replace(p, plasticity=learned) for p in LAYERS.projections)
        graph = replace(LAYERS, projections=(first, replace(onward, delay=1)))
        verify(graph)
        moved = Retime().run(graph, target(input_hop=1, hop=2), Diagnostics())
        verify(moved)
        assert [p.lag for p in moved.populations] == [1, 2]
        assert [p.delay for p in moved.projections] == [1, 2]
        assert [p.plasticity for p in moved.projections] == [learned, learned]

    @pytest.mark.parametrize("fraction", [0.5, 1])
    def test_a_dendritic_delay_that_grows_is_refused(self, fraction: float) -> None:
        learned = Plasticity(replace(AXONAL, dendritic_delay_fraction=fraction), 0, 127)
        graph = second(delay=2, plasticity=learned)
        ((code, said),) = refusals(graph, Retime(), hop=4)
        assert code == "E0502" and said.startswith("'w2' takes 2 step(s) and would take 4")
        first, onward = LAYERS.projections
        graph = replace(LAYERS, projections=(replace(first, delay=2, plasticity=learned), onward))
        ((code, said),) = refusals(graph, Retime(), input_hop=4)
        assert code == "E0502" and said.startswith("'w1' takes 2 step(s) and would take 4")

    def test_both_ends_of_a_dendritic_delay_may_move_together(self) -> None:
        """All of the network is a step late; no pair notices."""
        learned = Plasticity(replace(AXONAL, dendritic_delay_fraction=1), 0, 127)
        first, onward = LAYERS.projections
        graph = replace(
            LAYERS,
            projections=(
                replace(first, plasticity=None),
                replace(onward, plasticity=learned, delay=2),
            ),
        )
        more = Projection("late", "in", "b", Dense(np.ones((3, 6))))
        graph = replace(graph, projections=(*graph.projections, more))
        moved = Retime().run(graph, target(input_hop=1), Diagnostics())
        assert [p.lag for p in moved.populations] == [1, 1]
        assert moved.projections[1] == graph.projections[1]

    def test_a_register_counts_as_a_step(self) -> None:
        registered = replace(LAYERS.populations[0], semantics=Semantics(registered=True))
        graph = replace(LAYERS, populations=(registered, LAYERS.populations[1]))
        assert Retime().run(graph, target(hop=1), Diagnostics()) == graph


class TestQuantise:
    def test_weights_rails_and_rule_stay(self) -> None:
        done = quantise(LAYERS, Quantise(), Diagnostics())
        verify(done)
        for before, after in zip(LAYERS.projections, done.projections, strict=True):
            assert after.plasticity == before.plasticity
            assert isinstance(after.connection, Dense) and isinstance(before.connection, Dense)
            assert after.connection.weight.dtype == np.int64
            assert np.array_equal(after.connection.weight, before.connection.weight)

    @pytest.mark.parametrize("r", [20.0, 3.7, 0.11])
    def test_a_gain_goes_into_the_unit_of_v(self, r: float) -> None:
        cell = LIF(real(0.02), real(r), real(0.0), real(60.0))
        graph = replace(
            LAYERS, populations=tuple(replace(p, neuron=cell) for p in LAYERS.populations)
        )
        done = quantise(graph, Quantise(), Diagnostics())
        neuron = done.populations[0].neuron
        assert isinstance(neuron, IntegerNeuron)
        assert neuron.scale * 2.0**neuron.shift == pytest.approx(r * 1e-3 / 0.02)
        assert done.projections[0].plasticity == LAYERS.projections[0].plasticity
        assert np.array_equal(
            Executor(done).weights("w1"),
            getattr(LAYERS.projections[0].connection, "weight"),  # noqa: B009
        )

    def test_other_weights_into_the_population_take_its_unit(self) -> None:
        more = Projection("static", "in", "a", Dense(RNG.uniform(-300, 300, (4, 6))))
        graph = replace(LAYERS, projections=(*LAYERS.projections, more))
        done = quantise(graph, Quantise(), Diagnostics())
        connection, real_one = done.projections[2].connection, more.connection
        assert isinstance(connection, Dense) and isinstance(real_one, Dense)
        expected = np.clip(np.rint(real_one.weight), -128, 127)
        assert np.array_equal(connection.weight, expected)

    def test_accumulators_hold_the_rails_not_the_weights(self) -> None:
        tiny = learns("w1", "in", "a", np.zeros((4, 6)), w_min=-100, w_max=100)
        graph = replace(LAYERS, projections=(tiny, LAYERS.projections[1]))
        neuron = quantise(graph, Quantise(input_max=15), Diagnostics()).populations[0].neuron
        assert isinstance(neuron, IntegerNeuron)
        assert 1 << (neuron.numerics.acc_bits - 1) > 15 * 6 * 100

    def test_theta_mem_goes_into_the_unit_of_v(self) -> None:
        graph = second(plasticity=Plasticity(replace(ODIN, theta_mem=40.3), 0, 127))
        done = quantise(graph, Quantise(), Diagnostics())
        neuron, after = done.populations[1].neuron, done.projections[1].plasticity
        assert isinstance(neuron, IntegerNeuron) and after is not None
        assert isinstance(after.rule, SDSP)
        assert after.rule.theta_mem == np.ceil(40.3 / neuron.scale)

    def test_neurons_of_different_gain_are_refused(self) -> None:
        odd = LIF(real(0.02), real([20.0, 20.0, 10.0]), real(0.0), real(60.0))
        graph = replace(LAYERS, populations=(LAYERS.populations[0], Population("b", (3,), odd)))
        ((code, said),) = refusals(graph, Quantise())
        assert code == "E0405" and said.startswith("the input gains of 'b' span 0.5 to 1;")

    def test_rails_beyond_the_bits_are_refused(self) -> None:
        found = refusals(LAYERS, Quantise(weight_bits=7))
        assert {code for code, _ in found} == {"E0405"}
        assert "the rails 0 to 127 of 'w1' leave the 7 bits of a weight, -64 to 63" in found[0][1]

    def test_fixed_weights_beyond_the_bits_are_refused(self) -> None:
        enable = np.ones((3, 4), bool)
        enable[0, 0] = False
        far = np.zeros((3, 4))
        far[0, 0] = 200
        graph = replace(
            LAYERS, projections=(LAYERS.projections[0], learns("w2", "a", "b", far, enable=enable))
        )
        ((code, said),) = refusals(graph, Quantise())
        assert (code, said) == ("E0405", "weights of 'w2' that do not learn leave -128 to 127")

    def test_a_unit_that_is_no_power_of_two_is_refused(self) -> None:
        verify(quantise(LAYERS, Quantise(scale="power_of_two"), Diagnostics()))
        cell = LIF(real(0.02), real(15.0), real(0.0), real(60.0))
        graph = replace(LAYERS, populations=(LAYERS.populations[0], Population("b", (3,), cell)))
        ((code, said),) = refusals(graph, Quantise(scale="power_of_two"))
        assert code == "E0405" and said.startswith("the input gain 0.75 of 'b' is no power of two")


def adaptive() -> Graph:
    """A graph that is quantised already, with a threshold that decays in every third step."""
    done = quantise(LAYERS, Quantise(), Diagnostics())
    neuron = done.populations[0].neuron
    assert isinstance(neuron, IntegerNeuron)
    adapts = replace(neuron, adapt_inc=np.asarray(4000), adapt_shift=4, adapt_period=3)
    return replace(
        done, populations=(replace(done.populations[0], neuron=adapts), done.populations[1])
    )


class TestAlreadyInteger:
    def test_passes_through_every_pass_and_runs(self) -> None:
        graph = adaptive()
        made = compile_graph(graph, backend, backend.targets()[0], Quantise())
        assert made.quantised == graph
        assert made.errors == () == tuple(layer_errors(graph, graph))
        words = state_words(graph)
        assert words == (("a", "v"), ("a", "h"), ("b", "v"))
        run = run_rung(made.artifact(), "integer", volleys(), record=words).recording
        assert run.states["a", "h"].max() > 0
        assert set(run.weights) == {"w1", "w2"}
        plain = Executor(quantise(LAYERS, Quantise(), Diagnostics())).run(volleys())
        assert run.spikes != plain.spikes

    def test_real_weights_or_a_bias_into_it_are_refused(self) -> None:
        graph = adaptive()
        half = Projection("half", "in", "a", Dense(np.full((4, 6), 0.5)))
        bias = Projection("push", "in", "a", Dense(np.zeros((4, 6), int)), bias=real(1.0))
        graph = replace(graph, projections=(*graph.projections, half, bias))
        assert refusals(graph, Quantise()) == [
            ("E0401", "'half' brings real weights into 'a', which is quantised already"),
            ("E0401", "'push' brings a bias into 'a', which is quantised already"),
        ]

    def test_accumulators_that_the_rails_overflow_are_refused(self) -> None:
        graph = adaptive()
        neuron = graph.populations[0].neuron
        assert isinstance(neuron, IntegerNeuron)
        bits = neuron.numerics.acc_bits
        small = replace(neuron, numerics=replace(neuron.numerics, acc_bits=bits - 1))
        graph = replace(
            graph, populations=(replace(graph.populations[0], neuron=small), graph.populations[1])
        )
        ((code, said),) = refusals(graph, Quantise())
        assert code == "E0401"
        assert said == f"the sums into 'a' need {bits} bits; its accumulators have {bits - 1}"


def test_learned_weights_deploy_without_plasticity() -> None:
    executor = Executor(quantise(LAYERS, Quantise(), Diagnostics()))
    executor.run(volleys())
    learned = executor.learned()
    fixed = replace(
        learned, projections=tuple(replace(p, plasticity=None) for p in learned.projections)
    )
    verify(fixed)
    test = volleys(9)
    assert Executor(fixed).run(test).spikes == executor.run(test, learning=False).spikes


def test_what_cannot_learn_never_reaches_a_pass() -> None:
    conv = Conv2d(np.ones((1, 1, 2, 2)), (1, 3, 3))
    graph = Graph(
        "conv",
        1e-3,
        (Input("in", (1, 3, 3)),),
        (Population("p", (1, 2, 2), CELL, Semantics(reset=Reset.ZERO)),),
        (Projection("w", "in", "p", conv, plasticity=Plasticity(PAIR, 0, 1)),),
        (Output("out", "p"),),
    )
    with pytest.raises(SpikecError, match="E0208"):
        compile_graph(graph, backend, backend.targets()[0], Quantise())


def test_sparse_projections_learn_through_the_pipeline() -> None:
    weight = np.array([10.0, 20, 30, 40])
    sparse = Sparse(6, 4, np.array([0, 1, 2, 2, 3, 3, 4]), np.array([0, 1, 2, 3]), weight)
    plasticity = Plasticity(TraceSTDP.window(1, 2, steps_pre=9, steps_post=5), 0, 100)
    w1 = replace(LAYERS.projections[0], connection=sparse, plasticity=plasticity)
    graph = replace(LAYERS, projections=(w1, LAYERS.projections[1]))
    made = compile_graph(graph, backend, backend.targets()[0], Quantise())
    learned = Executor(made.quantised).run(volleys()).weights["w1"]
    assert learned.shape == (1, 4) and not np.array_equal(learned[0], weight)


class TestAdaptiveThreshold:
    """A threshold of a real population that adapts: in integers where these say the same."""

    @staticmethod
    def graph(**adaptive: Any) -> Graph:
        given = {"increment": real(3.0), "tau": real(-1e-3 / np.log1p(-(2.0**-4)))} | adaptive
        cell = LIF(real(0.02), real(20.0), real(0.0), real(12.0))
        weight = RNG.integers(1, 9, (4, 6)) * 1.0
        return Graph(
            "adapts",
            1e-3,
            (Input("in", (6,)),),
            (Population("a", (4,), cell, adaptive=AdaptiveThreshold(**given)),),
            (Projection("w", "in", "a", Dense(weight)),),
            (Output("out", "a"),),
        )

    @pytest.mark.parametrize(
        ("tau", "shift", "period"), [(-1e-3 / np.log1p(-(2.0**-4)), 4, 1), (np.inf, 0, 0)]
    )
    def test_is_lowered_where_a_shift_is_its_decay(
        self, tau: float, shift: int, period: int
    ) -> None:
        graph = self.graph(tau=real(tau))
        done = quantise(graph, Quantise(), Diagnostics())
        verify(done)
        (population,) = done.populations
        neuron = population.neuron
        assert isinstance(neuron, IntegerNeuron) and population.adaptive is None
        assert neuron.adapt_inc is not None and neuron.adapt_inc * neuron.scale == 3.0
        assert (neuron.adapt_shift, neuron.adapt_period) == (shift, period)
        assert neuron.real("h") == (neuron.scale, np.zeros(()))

    def test_follows_the_golden_rung(self) -> None:
        """h, like v, within what rounding down loses: at most 2^4 units of v, in all."""
        graph = self.graph(increment=real([3.0, 1.0, 0.0, 7.0]))
        fine = quantise(graph, Quantise(16, 40, 22), Diagnostics())
        (neuron,) = (p.neuron for p in fine.populations)
        assert isinstance(neuron, IntegerNeuron)
        record = [("a", "h")]
        spikes = Stimulus(
            {"in": Events.from_dense((np.random.default_rng(8).random((2, 60, 6)) < 0.4) * 1)}
        )
        exact = run_golden(graph, spikes, record=record, codegen="numpy")
        whole = Executor(fine).run(spikes, record=record)
        assert exact.spikes == whole.spikes and exact.spikes["a"].step.size > 20
        lost = exact.states["a", "h"] - whole.states["a", "h"] * neuron.scale
        assert exact.states["a", "h"].max() > 5
        assert lost.min() > -1e-9 and lost.max() <= 16 * neuron.scale + 1e-9

    @pytest.mark.parametrize(
        ("adaptive", "code", "message"),
        [
            ({"maximum": real(9.0)}, "E0301", "the threshold of 'a' adapts up to 9; integers"),
            ({"persistent": True}, "E0301", "the threshold of 'a' adapts from sample to sample"),
            ({"tau": real(0.02)}, "E0301", "the adaptive.tau of 'a' is 0.02 s; integers lose"),
            (
                {"tau": real([0.02, 0.03, 0.02, 0.02])},
                "E0301",
                "the adaptive.tau of 'a' differs from neuron to neuron; integers lose",
            ),
            ({"increment": real(1e-9)}, "E0401", "an adaptive.increment of 1e-09 to 1e-09 is 0 to"),
        ],
    )
    def test_else_is_refused(self, adaptive: dict[str, Any], code: str, message: str) -> None:
        ((found, said),) = refusals(self.graph(**adaptive), Quantise())
        assert found == code and said.startswith(message)

    def test_the_refusal_names_what_would_do(self) -> None:
        found = Diagnostics()
        with pytest.raises(SpikecError):
            quantise(self.graph(tau=real(0.02)), Quantise(), found)
        hint = found.errors[0].hint
        assert hint is not None and hint.startswith("take ")
        for word in hint.removeprefix("take ").removesuffix(" s for all, or inf").split(" or "):
            quantise(self.graph(tau=real(float(word))), Quantise(), Diagnostics())

    def test_needs_a_target_that_has_it(self) -> None:
        assert refusals(self.graph(), Legalise(), adaptive=False) == [
            ("E0301", "the threshold of 'a' adapts; null has fixed thresholds")
        ]

    def test_reports_say_so(self) -> None:
        for more, said in (({}, ""), ({"persistent": True}, ", from sample to sample")):
            (population,) = self.graph(**more).populations
            assert f"the threshold adapts{said};" in semantics(population) + ";"

    def test_compiles_and_every_rung_has_h(self) -> None:
        graph = self.graph()
        made = compile_graph(graph, backend, backend.targets()[0], Quantise())
        artifact = made.artifact()
        spikes = Stimulus({"in": Events.from_dense(np.ones((1, 20, 6), int))})
        outcomes = run_ladder(artifact, ["golden", "integer"], spikes, lambda *_: None)
        for outcome in outcomes.values():
            assert outcome.recording.states["a", "h"].max() > 0
