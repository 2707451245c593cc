"""Learning: closed forms, both rails, the reference, and what a user relies on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.integer import learning_kernels
from spikec.compiler.integer.executor import Executor
from spikec.ir.connections import Connection, Conv1d, Dense, OneToOne, Sparse
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IntegerNeuron
from spikec.ir.numerics import Format, Numerics, Rounding
from spikec.ir.plasticity import (
    LFSR_TAPS,
    SDSP,
    Accumulation,
    Plasticity,
    Response,
    Rule,
    Trace,
    TraceDecay,
    TraceSTDP,
    Transmit,
    Update,
    next_state,
)
from spikec.ir.semantics import Semantics
from spikec.ir.verify import verify

from . import reference
from .learning_reference import Register

STATE = Format(24)
KICK = 1 << 16  # drives any neuron here over its threshold, and leaves it at zero


def cells(threshold: int = KICK // 2, **more: object) -> IntegerNeuron:
    """Neurons without memory: what arrives in a step is v, and spikes above the threshold."""
    zero = np.asarray(0)
    fields: dict[str, object] = {
        "numerics": Numerics(Format(18), STATE, 8, 32),
        "source_model": "LIF",
        "scale": 1.0,
        "shift": 0,
        "decay_v": zero,
        "threshold": np.asarray(threshold),
        "bias": zero,
        "v_min": np.asarray(STATE.low),
        "v_reset": zero,
        "reset": "zero",
    }
    return IntegerNeuron(**(fields | more))  # type: ignore[arg-type]


def taught(
    connection: Connection,
    plasticity: Plasticity,
    delay: int = 0,
    neuron: IntegerNeuron | None = None,
) -> Graph:
    """An input, a plastic projection, and a teacher that makes any post neuron spike."""
    pre, post = connection.in_shape, connection.out_shape
    return Graph(
        "taught",
        1e-3,
        (Input("in", pre), Input("teacher", post)),
        (Population("out", post, neuron or cells()),),
        (
            Projection("learns", "in", "out", connection, delay, plasticity=plasticity),
            Projection("teaches", "teacher", "out", OneToOne(np.full(post, KICK), post)),
        ),
        (Output("out", "out"),),
    )


def spikes(steps: int, pre: int, post: int, at: Sequence[int], teach: Sequence[int]) -> Stimulus:
    """All lines fire in the steps ``at``, all post neurons in the steps ``teach``."""
    lines, teacher = np.zeros((1, steps, pre), int), np.zeros((1, steps, post), int)
    lines[0, list(at)] = 1
    teacher[0, list(teach)] = 1
    return Stimulus({"in": Events.from_dense(lines), "teacher": Events.from_dense(teacher)})


def weight_after(
    rule: Rule,
    at: Sequence[int],
    teach: Sequence[int],
    w: int = 0,
    rails: tuple[int, int] = (-500, 500),
) -> int:
    graph = taught(Dense(np.array([[w]])), Plasticity(rule, *rails))
    verify(graph)
    executor = Executor(graph)
    executor.run(spikes(max(*at, *teach, 0) + 2, 1, 1, at, teach))
    return int(executor.weights("learns")[0, 0])


PAIR = TraceSTDP.pair(20, 24, shift=6, decay=2, increment=128)


def left_after(steps: int, start: int = 128, k: int = 2) -> int:
    """What is left of a trace: each step keeps floor(x (1 - 2^-k))."""
    for _ in range(steps):
        start = start * (2**k - 1) // 2**k
    return start


class TestPair:
    @pytest.mark.parametrize("dt", range(0, 9))
    def test_pre_before_post_potentiates(self, dt: int) -> None:
        assert weight_after(PAIR, [3], [3 + dt]) == round(20 * left_after(dt) / 64)

    @pytest.mark.parametrize("dt", range(1, 9))
    def test_post_before_pre_depresses(self, dt: int) -> None:
        assert weight_after(PAIR, [3 + dt], [3]) == -round(24 * left_after(dt) / 64)

    def test_all_to_all_adds_up_and_nearest_does_not(self) -> None:
        nearest = replace(PAIR, pre=replace(PAIR.pre, accumulation=Accumulation.SET))
        small = replace(PAIR, pre=replace(PAIR.pre, increment=40))
        assert weight_after(nearest, [0, 1, 2], [4]) == round(20 * left_after(2) / 64)
        one, two = left_after(1, 40) + 40, 0
        two = left_after(2, left_after(1, one) + 40)
        assert weight_after(small, [0, 1, 2], [4]) == round(20 * two / 64)

    def test_a_trace_saturates_at_its_bits(self) -> None:
        assert weight_after(PAIR, [0, 1, 2, 3], [3]) == round(20 * 255 / 64)

    def test_a_decayed_trace_reaches_zero(self) -> None:
        for k in range(8):
            x, steps = np.array([255]), 0
            while x[0] and steps < 5000:
                learning_kernels.decay_traces(x, k, False)
                steps += 1
            assert x[0] == 0

    @pytest.mark.parametrize(
        ("rounding", "f"),
        [
            (Rounding.NEAREST_EVEN, [0, 0, 1, 2, 2]),
            (Rounding.NEAREST_AWAY, [0, 1, 1, 2, 2]),
            (Rounding.TOWARD_ZERO, [0, 0, 1, 1, 2]),
            (Rounding.DOWN, [0, 0, 1, 1, 2]),
            (Rounding.UP, [0, 1, 1, 2, 2]),
        ],
    )
    def test_the_magnitude_is_rounded_before_the_sign(
        self, rounding: Rounding, f: list[int]
    ) -> None:
        for x, expected in enumerate(f):  # f = round(x / 2)
            rule = TraceSTDP.pair(1, 1, shift=1, decay=0, increment=x, rounding=rounding)
            assert weight_after(rule, [2], [2]) == expected
            slow = replace(rule, post=replace(rule.post, decay=TraceDecay.COUNT, increment=x + 1))
            assert weight_after(slow, [3], [2]) == -expected

    def test_symmetric(self) -> None:
        rule = TraceSTDP.symmetric(20, shift=6, decay=2, depression=3)
        for dt in range(6):
            assert weight_after(rule, [2], [2 + dt]) == round(20 * left_after(dt) / 64) - 3
        for dt in range(1, 6):
            assert weight_after(rule, [2 + dt], [2]) == round(20 * left_after(dt) / 64) - 3
        assert weight_after(rule, [2, 9], []) == -6

    def test_anti_hebbian(self) -> None:
        rule = TraceSTDP.anti_hebbian(20, 24, shift=6, decay=2)
        for dt in range(6):
            assert weight_after(rule, [2], [2 + dt]) == -round(20 * left_after(dt) / 64)
        for dt in range(1, 6):
            assert weight_after(rule, [2 + dt], [2]) == round(24 * left_after(dt) / 64)


class TestWindow:
    RULE = TraceSTDP.window(7, 5, steps_pre=4, steps_post=3)

    def test_is_rectangular(self) -> None:
        after = {dt: weight_after(self.RULE, [6], [6 + dt]) for dt in range(-6, 7)}
        assert after == {dt: 7 if 0 <= dt < 4 else -5 if -3 < dt < 0 else 0 for dt in range(-6, 7)}

    @pytest.mark.parametrize("start", [120, 121, 126, 127])
    def test_the_upper_rail_saturates(self, start: int) -> None:
        # NeuroCoreX adds in 8 bits, and 127 + 1 becomes -128.
        assert weight_after(self.RULE, [0], [1], start, (-128, 127)) == 127

    @pytest.mark.parametrize("start", [-128, -127, -124, -123])
    def test_the_lower_rail_saturates(self, start: int) -> None:
        assert weight_after(self.RULE, [1], [0], start, (-128, 127)) == -128

    def test_a_negative_weight_is_not_lifted_by_depression(self) -> None:
        # NeuroCoreX clamps at -1 from below: -50 would jump up.
        assert weight_after(self.RULE, [1], [0], -50, (-128, 127)) == -55

    @pytest.mark.parametrize("rails", [(-128, 127), (0, 7), (3, 3), (-32768, 32767)])
    def test_the_largest_updates_meet_both_rails(self, rails: tuple[int, int]) -> None:
        huge = TraceSTDP.window(65535, 65535, steps_pre=4, steps_post=4)
        for start in rails:
            assert weight_after(huge, [0], [1], start, rails) == rails[1]
            assert weight_after(huge, [1], [0], start, rails) == rails[0]

    def test_offset_and_amplitude_meet_the_rail_once(self) -> None:
        # Clamped after the sum: 100 + 65535 - 65535, not min(100 + 65535, 127) - 65535.
        rule = replace(
            self.RULE, on_post=Update(-1, 65535, 0, Response.WINDOW, 65535), on_pre=Update()
        )
        assert weight_after(rule, [0], [1], 100, (-128, 127)) == 100


class TestProjection:
    def test_only_enabled_synapses_learn(self) -> None:
        rng = np.random.default_rng(3)
        weight, enable = rng.integers(-9, 10, (4, 5)), rng.random((4, 5)) < 0.5
        weight[~enable] *= 50  # beyond the rails
        graph = taught(Dense(weight), Plasticity(PAIR, -10, 10, enable))
        verify(graph)
        executor = Executor(graph)
        executor.run(spikes(6, 5, 4, [0, 2, 5], [1, 3, 5]))
        after = executor.weights("learns")
        assert np.array_equal(after[~enable], weight[~enable])
        assert (after != weight)[enable].all()

    @pytest.mark.parametrize("transmit", Transmit)
    def test_transmitted_weight(self, transmit: Transmit) -> None:
        rule = replace(PAIR, on_pre=Update(offset=3), on_post=Update())
        graph = taught(Dense(np.array([[10]])), Plasticity(rule, 0, 15, transmit=transmit))
        run = Executor(graph).run(spikes(4, 1, 1, [0, 1, 2, 3], []), record=[("out", "v")])
        expected = [10, 13, 15, 15] if transmit is Transmit.BEFORE else [13, 15, 15, 15]
        assert run.states["out", "v"][0, :, 0].tolist() == expected

    @pytest.mark.parametrize("delay", [0, 1, 2, 5])
    def test_the_delay_of_an_input_is_dendritic(self, delay: int) -> None:
        graph = taught(Dense(np.array([[5]])), Plasticity(PAIR, -500, 500), delay)
        executor = Executor(graph)
        run = executor.run(spikes(9, 1, 1, [1], [2]), record=[("out", "v")])
        assert executor.weights("learns")[0, 0] == 5 + round(20 * left_after(1) / 64)
        v = run.states["out", "v"][0, :, 0]
        assert v.tolist() == [5 if t == 1 + delay and t != 2 else 0 for t in range(9)]

    @pytest.mark.parametrize(("delay", "hop"), [(0, 0), (1, 1), (2, 1), (4, 1)])
    def test_a_spike_of_a_population_is_read_one_hop_later(self, delay: int, hop: int) -> None:
        graph = relayed(delay)
        for dt in range(-4, 5):
            executor = Executor(graph)
            executor.run(spikes(14, 1, 1, [5], [5 + dt]))
            gap = dt - hop
            by = 20 * left_after(gap) / 64 if gap >= 0 else -24 * left_after(-gap) / 64
            assert executor.weights("learns")[0, 0] == round(by), dt

    def test_value_of_an_event_is_transmitted_but_counts_as_one_spike(self) -> None:
        graph = taught(Dense(np.array([[5]])), Plasticity(PAIR, -500, 500))
        lines, teacher = np.zeros((1, 3, 1), int), np.zeros((1, 3, 1), int)
        lines[0, 0], teacher[0, 1] = 7, 1
        stimulus = Stimulus({"in": Events.from_dense(lines), "teacher": Events.from_dense(teacher)})
        executor = Executor(graph)
        run = executor.run(stimulus, record=[("out", "v")])
        assert run.states["out", "v"][0, 0, 0] == 35
        assert executor.weights("learns")[0, 0] == 5 + round(20 * left_after(1) / 64)

    def test_wide_and_narrow_weights_are_the_same(self) -> None:
        weight = np.random.default_rng(0).integers(-100, 100, (3, 4))
        both = []
        for far in (0, 1 << 40):
            frozen = np.ones((3, 4), bool)
            frozen[0, 0] = False
            changed = weight.copy()
            changed[0, 0] = far
            executor = Executor(taught(Dense(changed), Plasticity(PAIR, -128, 127, frozen)))
            executor.run(spikes(6, 4, 3, [0, 3], [1, 5]))
            both.append(executor.weights("learns").ravel()[1:])
        assert np.array_equal(both[0], both[1])

    def test_connections_without_own_weights_are_refused(self) -> None:
        conv = Conv1d(np.ones((1, 1, 2), np.int64), (1, 3))
        for connection in (conv, OneToOne(np.asarray(1), (2,))):
            with pytest.raises(SpikecError, match="E0208"):
                Executor(taught(connection, Plasticity(PAIR, -1, 1)))

    def test_real_weights_are_refused(self) -> None:
        with pytest.raises(SpikecError, match=r"E0301.*not integers"):
            Executor(taught(Dense(np.ones((1, 1))), Plasticity(PAIR, -1, 1)))

    def test_a_rule_without_an_integer_form_is_refused(self) -> None:
        with pytest.raises(SpikecError, match=r"E0301.*learns by Rule"):
            Executor(taught(Dense(np.ones((1, 1), int)), Plasticity(Rule(), -1, 1)))


def relayed(delay: int) -> Graph:
    """Input -> relay neurons -> (plastic, ``delay``) -> taught neurons."""
    graph = taught(Dense(np.array([[0]])), Plasticity(PAIR, -500, 500), delay)
    return replace(
        graph,
        populations=(Population("relay", (1,), cells()), *graph.populations),
        projections=(
            Projection("feed", "in", "relay", Dense(np.array([[KICK]]))),
            replace(graph.projections[0], pre="relay"),
            graph.projections[1],
        ),
    )


class TestPhases:
    GRAPH = taught(Dense(np.array([[1, 2], [3, 4]])), Plasticity(PAIR, -100, 100))
    STIMULUS = Stimulus(
        {
            name: Events.from_dense(np.random.default_rng(k).integers(0, 2, (3, 9, 2)))
            for k, name in enumerate(("in", "teacher"))
        }
    )

    def test_weights_stay_from_sample_to_sample_and_run_to_run(self) -> None:
        whole, parts = Executor(self.GRAPH), Executor(self.GRAPH)
        recorded = whole.run(self.STIMULUS, record_weights="samples").weights["learns"]
        assert recorded.shape == (3, 2, 2)
        for sample in range(3):
            one = {
                name: Events.from_dense(e.dense(sample)[None])
                for name, e in self.STIMULUS.inputs.items()
            }
            run = parts.run(Stimulus(one))
            assert np.array_equal(run.weights["learns"], recorded[sample : sample + 1])
        assert np.array_equal(whole.weights("learns"), recorded[-1])
        assert len(np.unique(recorded.reshape(3, -1), axis=0)) == 3

    def test_weights_after_every_step(self) -> None:
        fine = Executor(self.GRAPH).run(self.STIMULUS, record_weights="steps").weights["learns"]
        coarse = Executor(self.GRAPH).run(self.STIMULUS, record_weights="samples").weights["learns"]
        assert fine.shape == (3 * 9, 2, 2)
        assert np.array_equal(fine[8::9], coarse)
        with pytest.raises(SpikecError, match=r"E0707.*end, samples or steps"):
            Executor(self.GRAPH).run(self.STIMULUS, record_weights=True)  # type: ignore[arg-type]

    def test_the_state_of_a_rule_can_be_recorded(self) -> None:
        graph = taught(Dense(np.array([[0]])), Plasticity(PAIR, -100, 100))
        graph = replace(graph, populations=(replace(graph.populations[0], lag=1),))
        run = Executor(graph).run(
            spikes(4, 1, 1, [1], [2]), record=[("learns", "x"), ("learns", "y")]
        )
        # After the decay of each step, on the steps of the post population: one is cut off.
        assert run.states["learns", "x"][0, :, 0].tolist() == [96, 72, 54, 40]
        assert run.states["learns", "y"][0, :, 0].tolist() == [0, 96, 72, 54]
        for key in (("learns", "c"), ("teaches", "x"), ("none", "v")):
            with pytest.raises(SpikecError, match=r"E0206.*to record"):
                Executor(graph).run(spikes(4, 1, 1, [1], [2]), record=[key])

    def test_reset_forgets(self) -> None:
        executor = Executor(stochastic_graph())
        first = executor.run(stochastic_stimulus()).weights["learns"]
        second = executor.run(stochastic_stimulus()).weights["learns"]
        executor.reset()
        assert np.array_equal(executor.run(stochastic_stimulus()).weights["learns"], first)
        assert not np.array_equal(second, first)

    def test_without_learning_nothing_changes(self) -> None:
        executor = Executor(self.GRAPH)
        still = executor.run(self.STIMULUS, learning=False, record=[("out", "v")])
        assert np.array_equal(executor.weights("learns"), [[1, 2], [3, 4]])
        bare = replace(
            self.GRAPH,
            projections=tuple(replace(p, plasticity=None) for p in self.GRAPH.projections),
        )
        plain = Executor(bare).run(self.STIMULUS, record=[("out", "v")])
        assert np.array_equal(still.states["out", "v"], plain.states["out", "v"])
        assert still.spikes == plain.spikes and plain.weights == {}

    def test_without_learning_a_delayed_population_still_arrives(self) -> None:
        for delay in (1, 3):
            graph = relayed(delay)
            first = replace(graph.projections[1], connection=Dense(np.array([[9]])))
            graph = replace(graph, projections=(graph.projections[0], first, graph.projections[2]))
            stimulus = spikes(9, 1, 1, [1], [])
            runs = [
                Executor(graph).run(stimulus, learning=on, record=[("out", "v")]).states["out", "v"]
                for on in (True, False)
            ]
            assert runs[0][0, 1 + delay, 0] == runs[1][0, 1 + delay, 0] == 9

    def test_phases_sample_by_sample(self) -> None:
        run = Executor(self.GRAPH).run(
            self.STIMULUS, learning=[True, False, True], record_weights="samples"
        )
        first, second, third = run.weights["learns"]
        assert np.array_equal(first, second) and not np.array_equal(second, third)
        with pytest.raises(SpikecError, match=r"E0707.*2 phases, the stimulus 3 samples"):
            Executor(self.GRAPH).run(self.STIMULUS, learning=[True, False])

    def test_a_projection_that_starts_in_its_test_phase(self) -> None:
        p = self.GRAPH.projections[0]
        assert p.plasticity is not None
        frozen = replace(p, plasticity=replace(p.plasticity, learning=False))
        graph = replace(self.GRAPH, projections=(frozen, *self.GRAPH.projections[1:]))
        run = Executor(graph).run(self.STIMULUS)
        assert np.array_equal(run.weights["learns"], [[[1, 2], [3, 4]]])

    def test_learned_graph_goes_on_where_the_executor_stood(self) -> None:
        executor = Executor(self.GRAPH)
        executor.run(self.STIMULUS)
        graph = executor.learned()
        verify(graph)
        assert graph != self.GRAPH
        again = Executor(graph).run(self.STIMULUS).weights["learns"]
        assert np.array_equal(again, executor.run(self.STIMULUS).weights["learns"])

    def test_weights_of_a_projection_that_does_not_learn(self) -> None:
        executor = Executor(self.GRAPH)
        assert executor.weights("teaches").tolist() == [KICK, KICK]
        with pytest.raises(SpikecError, match=r"E0707.*no projection 'other'"):
            executor.weights("other")

    def test_the_graph_keeps_its_weights(self) -> None:
        Executor(self.GRAPH).run(self.STIMULUS)
        connection = self.GRAPH.projections[0].connection
        assert isinstance(connection, Dense)
        assert connection.weight.tolist() == [[1, 2], [3, 4]]

    def test_traces_are_cleared_between_samples(self) -> None:
        graph = taught(Dense(np.array([[0]])), Plasticity(PAIR, -100, 100))
        lines, teacher = np.zeros((2, 2, 1), int), np.zeros((2, 2, 1), int)
        lines[0, 1], teacher[1, 0] = 1, 1
        stimulus = Stimulus({"in": Events.from_dense(lines), "teacher": Events.from_dense(teacher)})
        assert Executor(graph).run(stimulus).weights["learns"].tolist() == [[[0]]]


# -- stochastic rounding ---------------------------------------------------------------------------


def power(matrix: np.ndarray, exponent: int) -> np.ndarray:
    result = np.eye(32, dtype=np.int64)
    while exponent:
        if exponent & 1:
            result = result @ matrix % 2
        matrix, exponent = matrix @ matrix % 2, exponent >> 1
    return result


class TestGenerator:
    def test_has_the_maximal_period(self) -> None:
        columns = [[next_state(1 << bit) >> row & 1 for bit in range(32)] for row in range(32)]
        step = np.array(columns)
        whole = (1 << 32) - 1
        assert np.array_equal(power(step, whole), np.eye(32))
        for prime in (3, 5, 17, 257, 65537):  # whose product is 2^32 - 1
            assert not np.array_equal(power(step, whole // prime), np.eye(32))

    def test_taps(self) -> None:
        assert sum(1 << (e - 1) for e in (32, 22, 2, 1)) == LFSR_TAPS

    def test_kernel_register_and_definition_agree(self) -> None:
        state, register = 0xDEADBEEF, Register(0xDEADBEEF)
        for step in range(300):
            assert int(learning_kernels.advance(np.int64(state))) == next_state(state)
            places = step % 32
            turned = int(learning_kernels.rotated(np.int64(state), np.int64(places)))
            assert turned == register.draw(places, 32)
            state = next_state(state)
            register.advance()
            assert register.state == state

    def test_every_draw_is_uniform(self) -> None:
        state, ones, draws = 1, np.zeros(32), []
        for _ in range(50_000):
            state = next_state(state)
            ones += [state >> k & 1 for k in range(32)]
            draws.append(state & 0xFF)
        assert np.abs(ones / 50_000 - 0.5).max() < 0.012
        counts = np.bincount(draws, minlength=256)
        assert counts.min() > 120 and counts.max() < 290


def stochastic_graph(streams: int = 4, **more: Any) -> Graph:
    rule = TraceSTDP.pair(
        7, 5, shift=6, decay=3, rounding=Rounding.STOCHASTIC, streams=streams, **more
    )
    return taught(Dense(np.zeros((9, 11), np.int64)), Plasticity(rule, -100, 100))


def stochastic_stimulus(seed: int = 0) -> Stimulus:
    rng = np.random.default_rng(seed)
    return Stimulus(
        {
            "in": Events.from_dense((rng.random((2, 20, 11)) < 0.3).astype(int)),
            "teacher": Events.from_dense((rng.random((2, 20, 9)) < 0.2).astype(int)),
        }
    )


class TestStochastic:
    def test_is_reproducible_and_depends_on_seed_and_streams(self) -> None:
        def learned(graph: Graph) -> Any:
            return Executor(graph).run(stochastic_stimulus()).weights["learns"]

        base = learned(stochastic_graph())
        assert np.array_equal(learned(stochastic_graph()), base)
        assert not np.array_equal(learned(stochastic_graph(seed=2)), base)
        assert not np.array_equal(learned(stochastic_graph(streams=5)), base)

    def test_rounds_right_in_the_mean(self) -> None:
        # f = 3 x 128 / 1024 = 0.375 a pair, 4000 synapses that all saw 100 pairs.
        rule = TraceSTDP.pair(
            3, 0, shift=10, decay=0, rounding=Rounding.STOCHASTIC, streams=8, seed=99
        )
        graph = taught(Dense(np.zeros((50, 80), np.int64)), Plasticity(rule, 0, 1000))
        run = Executor(graph).run(spikes(100, 80, 50, range(100), range(100)))
        weights = run.weights["learns"][0]
        assert abs(weights.mean() - 37.5) < 0.5
        assert abs(weights.std() - np.sqrt(100 * 0.375 * 0.625)) < 1.5

    def test_one_word_by_hand(self) -> None:
        # Two lanes, three pre: the row of i = 1 takes words (j 0, 1) and (j 2).
        rule = TraceSTDP(
            Trace(1), Trace(1, Accumulation.SET, TraceDecay.COUNT),
            Update(1, 0, 4, Response.LINEAR, 0),
            Update(1, 5, 4),
            Rounding.STOCHASTIC,
            streams=2,
            seed=0b1011,
        )  # fmt: skip
        graph = taught(Dense(np.zeros((1, 3), np.int64)), Plasticity(rule, -100, 100))
        run = Executor(graph).run(spikes(1, 3, 1, [0], [0]))
        first, second = 0b1011, next_state(0b1011)
        draws = [first & 15, (first >> 1) & 15, second & 15]
        assert run.weights["learns"][0, 0].tolist() == [(5 + r) >> 4 for r in draws]

    @given(st.integers(0, 2**20), st.integers(1, 40))
    @settings(max_examples=30)
    def test_sparse_is_dense_with_absent_synapses(self, seed: int, streams: int) -> None:
        rng = np.random.default_rng(seed)
        graph = stochastic_graph(streams=streams, seed=seed + 1)
        plasticity = graph.projections[0].plasticity
        assert plasticity is not None
        present = rng.random((9, 11)) < 0.4
        weight = rng.integers(-100, 101, (9, 11)) * present
        masked = taught(Dense(weight), replace(plasticity, enable=present))
        counts = present.sum(axis=0)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        pre, post = np.nonzero(present.T)
        sparse = taught(Sparse(11, 9, indptr, post.astype(np.int32), weight[post, pre]), plasticity)
        verify(sparse)
        stimulus = stochastic_stimulus(seed)
        a, b = Executor(masked), Executor(sparse)
        assert a.run(stimulus).spikes == b.run(stimulus).spikes
        assert np.array_equal(a.weights("learns")[post, pre], b.weights("learns"))


# -- SDSP ------------------------------------------------------------------------------------------


def odin(**more: Any) -> SDSP:
    return SDSP(**({"theta_mem": 50, "theta_1": 1, "theta_2": 3, "theta_3": 6} | more))


class TestSDSP:
    @pytest.mark.parametrize("membrane", [0, 49, 50, 51])
    @pytest.mark.parametrize("calcium", range(8))
    @pytest.mark.parametrize("start", range(8))
    def test_every_case_of_a_synapse_of_three_bits(
        self, membrane: int, calcium: int, start: int
    ) -> None:
        # Calcium rises by forced spikes, then the membrane holds for the step of the event.
        neuron = cells(KICK // 2, decay_v=np.asarray(256))
        graph = taught(Dense(np.array([[start]])), Plasticity(odin(), 0, 7), neuron=neuron)
        graph = replace(
            graph,
            inputs=(*graph.inputs, Input("drive", (1,))),
            projections=(
                *graph.projections,
                Projection("drives", "drive", "out", Dense(np.array([[1]]))),
            ),
        )
        lines, teacher, drive = (np.zeros((1, 10, 1), int) for _ in range(3))
        teacher[0, :calcium], drive[0, 8], lines[0, 9] = 1, membrane, 1
        named = {"in": lines, "teacher": teacher, "drive": drive}
        stimulus = Stimulus({name: Events.from_dense(dense) for name, dense in named.items()})
        run = Executor(graph).run(stimulus, record=[("out", "v")])
        assert run.states["out", "v"][0, 8, 0] == membrane
        up = membrane >= 50 and calcium in (1, 2, 3, 4, 5)
        down = membrane < 50 and calcium in (1, 2)
        expected = min(start + 1, 7) if up else max(start - 1, 0) if down else start
        assert run.weights["learns"].item() == expected

    def test_calcium_leaks_saturates_and_cancels(self) -> None:
        calcium, spiked = np.array([0, 7, 6, 3, 0]), np.zeros(5, np.uint8)
        index = np.array([0, 1, 2])
        learning_kernels.calcium_step(calcium, spiked, index, 3, False, 7)
        assert calcium.tolist() == [1, 7, 7, 3, 0] and not spiked.any()
        learning_kernels.calcium_step(calcium, spiked, index, 3, True, 7)
        assert calcium.tolist() == [1, 7, 7, 2, 0] and not spiked.any()

    def test_refresh_drives_each_enabled_weight_to_its_rail(self) -> None:
        enable = np.ones((1, 9), bool)
        enable[0, 8] = False
        weight = np.array([[0, 1, 2, 3, 4, 5, 6, 7, 3]])
        rule = odin(refresh_period=2)
        graph = taught(Dense(weight), Plasticity(rule, 0, 7, enable))
        steps = {n: Executor(graph).run(spikes(n, 9, 1, [], [])) for n in (1, 2, 3, 4, 8)}
        after = {n: run.weights["learns"][0, 0].tolist() for n, run in steps.items()}
        assert after[1] == weight[0].tolist()
        assert after[2] == after[3] == [0, 0, 1, 2, 5, 6, 7, 7, 3]
        assert after[4] == [0, 0, 0, 1, 6, 7, 7, 7, 3]
        assert after[8] == [0, 0, 0, 0, 7, 7, 7, 7, 3]


# -- the reference ---------------------------------------------------------------------------------


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    bits = draw(st.sampled_from([1, 3, 8, 16]))
    return Trace(
        draw(st.integers(0, (1 << bits) - 1)),
        draw(st.sampled_from(Accumulation)),
        draw(st.sampled_from([TraceDecay.SHIFT, TraceDecay.COUNT])),
        draw(st.integers(0, 5)),
        bits,
    )


@st.composite
def updates(draw: st.DrawFn) -> Update:
    large = draw(st.sampled_from([0, 3, 200, 65535]))
    return Update(
        draw(st.sampled_from([-1, 1])),
        draw(st.integers(0, large)),
        draw(st.integers(0, 12)),
        draw(st.sampled_from(Response)),
        draw(st.sampled_from([0, 0, 1, -2, 65535, -65535])),
    )


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    if draw(st.integers(0, 3)) == 0:
        return SDSP(
            draw(st.integers(-20, 60)),
            draw(st.integers(0, 4)),
            draw(st.integers(0, 8)),
            draw(st.integers(0, 8)),
            3,
            draw(st.integers(0, 4)),
            draw(st.integers(0, 4)),
            draw(st.integers(-4, 8)),
        )
    return TraceSTDP(
        draw(traces()),
        draw(traces()),
        draw(updates()),
        draw(updates()),
        draw(st.sampled_from(Rounding)),
        draw(st.integers(1, 40)),
        draw(st.integers(1, (1 << 32) - 1)),
    )


@st.composite
def plastic(draw: st.DrawFn, pre: int, post: int) -> tuple[Connection, Plasticity]:
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    low = draw(st.sampled_from([-128, -7, 0]))
    high = draw(st.sampled_from([0, 7, 127]))
    kind = draw(st.sampled_from(["dense", "sparse", "one"] if pre == post else ["dense", "sparse"]))
    connection: Dense | Sparse | OneToOne
    match kind:
        case "dense":
            connection = Dense(rng.integers(low, high + 1, (post, pre)))
        case "sparse":
            pairs = np.argwhere(rng.random((pre, post)) < 0.5)
            indptr = np.searchsorted(pairs[:, 0], np.arange(pre + 1))
            connection = Sparse(
                pre,
                post,
                indptr,
                pairs[:, 1].astype(np.int32),
                rng.integers(low, high + 1, len(pairs)),
            )
        case _:
            connection = OneToOne(rng.integers(low, high + 1, pre), (pre,))
    shape = connection.weight.shape
    enable = rng.random(shape) < 0.7 if draw(st.booleans()) else None
    transmit = draw(st.sampled_from(Transmit))
    learning = draw(st.integers(0, 5)) > 0
    return connection, Plasticity(draw(rules()), low, high, enable, transmit, learning)


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Input -> a (plastic), a -> a (plastic, delayed), a -> b (plastic, any delay), in -> b."""
    sizes = {
        "in": draw(st.integers(1, 5)),
        "a": draw(st.integers(1, 5)),
        "b": draw(st.integers(1, 4)),
    }
    state: dict[str, object] = {"decay_v": np.asarray(200)}
    if draw(st.booleans()):
        state |= {"adapt_inc": np.asarray(9), "adapt_shift": 1, "adapt_period": 2}
    neuron = cells(draw(st.integers(0, 60)), **state)
    registered = Semantics(registered=draw(st.booleans()))

    def learns(name: str, pre: str, post: str, delay: int) -> Projection:
        connection, plasticity = draw(plastic(sizes[pre], sizes[post]))
        return Projection(name, pre, post, connection, delay, plasticity=plasticity)

    drive = np.full((sizes["a"], sizes["in"]), draw(st.integers(10, 60)))
    return Graph(
        "network",
        1e-3,
        (Input("in", (sizes["in"],)),),
        (
            Population("a", (sizes["a"],), neuron, registered, lag=draw(st.integers(0, 2))),
            Population("b", (sizes["b"],), neuron, lag=draw(st.integers(0, 2))),
        ),
        (
            learns("in-a", "in", "a", draw(st.integers(0, 3))),
            Projection("drive", "in", "a", Dense(drive)),
            learns("a-a", "a", "a", draw(st.integers(1, 3))),
            learns("a-b", "a", "b", draw(st.integers(0, 3))),
            learns("in-b", "in", "b", draw(st.integers(0, 2))),
        ),
        (Output("out", "b"),),
    )


def same_as_the_reference(
    graph: Graph, stimulus: Stimulus, learning: Sequence[bool] | None = None
) -> Any:
    verify(graph)
    keys = [(p.name, v) for p in graph.populations for v in p.neuron.state]
    for p in graph.projections:
        if p.plasticity is not None:
            keys += [(p.name, v) for v in (*p.plasticity.rule.PRE, *p.plasticity.rule.POST)]
    lag = max(p.lag for p in graph.populations)
    wanted = reference.run(graph, stimulus, stimulus.steps + lag, learning)
    got = Executor(graph).run(
        stimulus, record=keys, raw=True, record_weights="steps", learning=learning or True
    )
    for key in keys:
        np.testing.assert_array_equal(got.states[key], wanted.states[key], err_msg=str(key))
    for name, weights in wanted.weights.items():
        np.testing.assert_array_equal(got.weights[name], weights, err_msg=name)
    return got


@given(networks(), st.integers(0, 2**20), st.lists(st.booleans(), min_size=2, max_size=2))
@settings(max_examples=150)
def test_every_weight_and_state_is_the_reference(
    graph: Graph, seed: int, learning: list[bool]
) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.integers(1, 3, (2, 14, graph.inputs[0].size)) * (
        rng.random((2, 14, graph.inputs[0].size)) < 0.5
    )
    stimulus = Stimulus({"in": Events.from_dense(dense)})
    same_as_the_reference(graph, stimulus, [learning[0] or learning[1], learning[1]])


@pytest.mark.parametrize("rounding", [Rounding.NEAREST_EVEN, Rounding.STOCHASTIC])
def test_thousands_of_spikes_are_the_reference_and_meet_both_rails(rounding: Rounding) -> None:
    rule = TraceSTDP.pair(30, 40, shift=8, decay=3, rounding=rounding, streams=4)
    weight = np.random.default_rng(1).integers(-8, 8, (12, 16))
    graph = taught(Dense(weight), Plasticity(rule, -8, 7))
    rng = np.random.default_rng(2)
    steps = 400
    lines = (rng.random((1, steps, 16)) < 0.3).astype(int)
    teacher = (rng.random((1, steps, 12)) < 0.3).astype(int)
    stimulus = Stimulus({"in": Events.from_dense(lines), "teacher": Events.from_dense(teacher)})
    got = same_as_the_reference(graph, stimulus)
    weights = got.weights["learns"]
    assert lines.sum() + teacher.sum() > 3000
    assert weights.min() == -8 and weights.max() == 7
