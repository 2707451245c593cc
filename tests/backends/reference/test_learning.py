"""Plastic synapses of the golden reference, against sums over pairs of spikes.

Post spikes are forced: a teacher drives each neuron far above its threshold, and plastic weights
are far below it. So every train is known beforehand, what is sent shows in v, and the weights
follow from the definition of `PairSTDP` alone: synapse by synapse, from lists of spikes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.reference.golden import run_golden
from spikec.compiler.passes.retime import Retime
from spikec.ir.connections import Chain, Connection, Dense, Flatten, OneToOne, Sparse
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IF, LI, Threshold
from spikec.ir.plasticity import (
    Coincidence,
    Dependence,
    Pairing,
    PairSTDP,
    Plasticity,
    Trace,
    TraceSTDP,
    Transmit,
    Window,
)
from spikec.ir.semantics import Reset, Semantics
from spikec.ir.verify import verify

from ...compiler.passes.networks import real, target

Real = npt.NDArray[np.float64]
Train = npt.NDArray[np.bool_]  # samples, steps, neurons

DT = 1e-3
FORCE = 1e6
CELL = IF(real(1.0), real(1e3))
ZERO = Semantics(reset=Reset.ZERO)
RULE = PairSTDP(4e-4, 5e-4, 4e-3, 6e-3)
WINDOWS = (
    (Pairing.ALL, Window.EXPONENTIAL),
    (Pairing.NEAREST, Window.EXPONENTIAL),
    (Pairing.NEAREST, Window.RECTANGULAR),
)
FRACTIONS = [(d, k / d) for d in range(1, 5) for k in range(d + 1)]
WITH_DENDRITE = tuple(Coincidence)
WITHOUT = (Coincidence.NONE, Coincidence.POTENTIATE)


# -- the definition ------------------------------------------------------------------------------


def worth(rule: PairSTDP, steps: int, tau: float, dt: float) -> float:
    if rule.window is Window.EXPONENTIAL:
        return math.exp(-steps * dt / tau)
    return float(steps <= round(tau / dt, 6))


def synapse(
    w: float,
    pre: Sequence[int],
    post: Sequence[int],
    plasticity: Plasticity,
    dt: float,
    learns: bool,
) -> tuple[float, dict[int, float]]:
    """One sample of one synapse: the weight after it, and what each spike at ``pre`` sends.

    ``pre`` and ``post`` are the steps in which the spikes are at the synapse.
    """
    rule, low, high = plasticity.rule, plasticity.w_min, plasticity.w_max
    assert isinstance(rule, PairSTDP)
    sent: dict[int, float] = {}

    def total(here: int, others: Sequence[int], tau: float, together: bool) -> float:
        first = [t for t in others if t < here or (together and t == here)]
        if rule.pairing is Pairing.NEAREST:
            first = first[-1:]
        return sum(worth(rule, here - t, tau, dt) for t in first)

    for step in sorted({*pre, *post}):
        pre_first = rule.coincidence is not Coincidence.DEPRESS
        for is_pre in (pre_first, not pre_first):
            if is_pre and step in pre:
                before = w
                together = rule.coincidence in (Coincidence.DEPRESS, Coincidence.BOTH)
                scale = {
                    Dependence.ADDITIVE: 1.0,
                    Dependence.SCALED: high,
                    Dependence.MULTIPLICATIVE: w - low,
                }[rule.depression or rule.dependence]
                if learns:
                    down = scale * rule.a_minus * total(step, post, rule.tau_minus, together)
                    w = min(max(w - down, low), high)
                sent[step] = w if plasticity.transmit is Transmit.AFTER else before
            if not is_pre and step in post and learns:
                together = rule.coincidence in (Coincidence.POTENTIATE, Coincidence.BOTH)
                scale = {
                    Dependence.ADDITIVE: 1.0,
                    Dependence.SCALED: high,
                    Dependence.MULTIPLICATIVE: high - w,
                }[rule.dependence]
                up = scale * rule.a_plus * total(step, pre, rule.tau_plus, together)
                w = min(max(w + up, low), high)
    return w, sent


def indexed(connection: Connection) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Pre, post and place of every weight."""
    match connection:
        case Dense():
            for j, i in np.ndindex(connection.weight.shape):
                yield i, j, (j, i)
        case Sparse():
            for i in range(connection.pre_size):
                for k in range(connection.indptr[i], connection.indptr[i + 1]):
                    yield i, int(connection.post[k]), (k,)
        case OneToOne():
            for k in range(connection.weight.size):
                yield k, k, (k,)
        case Chain(stages=(Flatten(), last)):
            yield from indexed(last)
        case _:
            raise TypeError(f"these tests have no {type(connection).__name__}")


def weights(connection: Connection) -> Real:
    held = connection.stages[-1] if isinstance(connection, Chain) else connection
    return np.array(held.weight, np.float64)  # type: ignore[attr-defined]


def defined(
    graph: Graph, trains: dict[str, Train], phases: Sequence[bool]
) -> tuple[dict[str, Real], dict[str, Real]]:
    """Weights after each sample, and v of each taught population at the end of each step.

    ``trains`` are the spikes of every node but the teachers.
    """
    samples, steps = next(iter(trains.values())).shape[:2]
    drive = {name: np.zeros(train.shape) for name, train in trains.items()}
    found: dict[str, Real] = {}
    for p in graph.projections:
        if p.plasticity is None:
            continue
        rule = p.plasticity.rule
        assert isinstance(rule, PairSTDP)
        dendritic = round(rule.dendritic_delay_fraction * p.delay)
        pre = graph.node(p.pre)
        shown = int(isinstance(pre, Population) and pre.semantics.registered)
        axonal = p.delay - dendritic + shown
        w = weights(p.connection)
        enable = p.plasticity.enable
        mask = np.broadcast_to(True if enable is None else enable, w.shape)
        shots = []
        for k in range(samples):
            for i, j, at in indexed(p.connection):
                w[at], sent = synapse(
                    float(w[at]),
                    [int(s) + axonal for s in np.flatnonzero(trains[p.pre][k, :, i])],
                    [int(t) + dendritic for t in np.flatnonzero(trains[p.post][k, :, j])],
                    p.plasticity,
                    graph.dt,
                    bool(mask[at]) and p.plasticity.learning and phases[k],
                )
                for step, value in sent.items():
                    if step + dendritic < steps:
                        drive[p.post][k, step + dendritic, j] += value
            shots.append(w.copy())
        found[p.name] = np.array(shots)
    states = {}
    for population in graph.populations:
        train, arrives = trains[population.name], drive[population.name]
        v, held = np.zeros(arrives.shape), np.zeros((samples, population.size))
        for step in range(steps):
            held = np.where(train[:, step], 0.0, held + arrives[:, step])
            v[:, step] = held
        states[population.name] = v
    return found, states


# -- networks whose every spike is known ----------------------------------------------------------


def noise(seed: int, shape: tuple[int, int, int], rate: float = 0.3) -> Train:
    return np.random.default_rng(seed).random(shape) < rate


def taught(
    learners: Iterable[Projection],
    lines: int,
    posts: int,
    *,
    dt: float = DT,
    registered: bool = False,
) -> Graph:
    """``learners`` run from the input "line", the population "cells" that repeats it, or a loop.

    Each ends in a population of its own name for the post, driven by the one teacher.
    """
    learners = tuple(learners)
    names = list(dict.fromkeys(p.post for p in learners))
    strong = real(FORCE)
    shown = replace(ZERO, registered=registered)
    return Graph(
        "taught",
        dt,
        (Input("line", (lines,)), Input("teacher", (posts,))),
        (
            Population("cells", (lines,), CELL, shown),
            *(Population(name, (posts,), CELL, ZERO) for name in names),
        ),
        (
            Projection("repeat", "line", "cells", OneToOne(strong, (lines,))),
            *(Projection(f"t {n}", "teacher", n, OneToOne(strong, (posts,))) for n in names),
            *learners,
        ),
        tuple(Output(name, name) for name in names),
    )


def run(
    graph: Graph, line: Train, teacher: Train, learning: bool | Sequence[bool] = True, **more: Any
) -> Recording:
    stimulus = Stimulus({"line": Events.from_dense(line), "teacher": Events.from_dense(teacher)})
    options: dict[str, Any] = {"codegen": "numpy", "record_weights": "samples"} | more
    options.setdefault("record", [(output.source, "v") for output in graph.outputs])
    return run_golden(graph, stimulus, learning=learning, **options)


def check(
    graph: Graph, line: Train, teacher: Train, learning: bool | Sequence[bool] = True
) -> Recording:
    """Weights after every sample and v in every step are those of the definition."""
    found = run(graph, line, teacher, learning)
    trains = {p.name: teacher for p in graph.populations} | {"line": line, "cells": line}
    phases = [learning] * len(line) if isinstance(learning, bool) else learning
    wanted, states = defined(graph, trains, phases)
    top = max(abs(p.plasticity.w_max) for p in graph.projections if p.plasticity is not None)
    assert set(found.weights) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(
            found.weights[name], values, rtol=0, atol=1e-12 * top, err_msg=name
        )
    for output in graph.outputs:
        name = output.source
        for k, train in enumerate(teacher):
            assert np.array_equal(found.spikes[name].dense(k), train)
        np.testing.assert_allclose(
            found.states[name, "v"], states[name], rtol=0, atol=1e-12 * top, err_msg=name
        )
    return found


def plastic(
    pre: str,
    post: str,
    rule: PairSTDP,
    connection: Connection,
    delay: int = 1,
    low: float = 0.0,
    high: float = 2e-3,
    **more: Any,
) -> Projection:
    return Projection(
        f"{pre}-{post}",
        pre,
        post,
        connection,
        delay,
        plasticity=Plasticity(rule, low, high, **more),
    )


# -- every combination, and any network -----------------------------------------------------------


@pytest.mark.parametrize("pre", ["line", "cells", "loop"])
def test_every_delay_on_either_side_with_every_coincidence(pre: str) -> None:
    """Of what does not concern times each projection has another choice, in turn."""
    lines, posts = (3, 3) if pre == "loop" else (3, 2)
    r = np.random.default_rng(11)
    others = itertools.cycle(itertools.product(WINDOWS, Dependence, Transmit))
    learners: list[Projection] = []
    for delay, fraction in FRACTIONS + ([(0, 1.0)] if pre == "line" else []):
        for coincidence in WITH_DENDRITE if delay * fraction > 0 else WITHOUT:
            (pairing, window), dependence, transmit = next(others)
            additive = dependence is Dependence.ADDITIVE
            a_plus, a_minus = (4e-4, 5e-4) if additive else (0.2, 0.25)
            rule = PairSTDP(
                *(a_plus, a_minus, 4e-3, 6e-3, pairing, window, dependence, coincidence, fraction)
            )
            name = f"p{len(learners)}"
            connection = Dense(r.uniform(0, 2e-3, (posts, lines)))
            source = name if pre == "loop" else pre
            learners.append(
                plastic(source, name, rule, connection, delay, -5e-4, transmit=transmit)
            )
    graph = taught(learners, lines, posts)
    found = check(graph, noise(1, (2, 20, lines)), noise(2, (2, 20, posts)))
    for p in learners:
        assert not np.array_equal(found.weights[p.name][0], weights(p.connection))


AMPLITUDE = st.sampled_from([-2e-4, 0.0, 1e-4, 7e-4, 3e-3])
STEPS = st.sampled_from([1.0, 1.5, 3.0, 7.0, 20.0])


@st.composite
def networks(draw: st.DrawFn) -> tuple[Graph, int, bool | list[bool]]:
    """Plastic projections, some into the same population; a seed, and phases of two samples."""
    lines, posts = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    dt = draw(st.sampled_from([1e-3, 1e-4, 5e-4]))
    r = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    learners = []
    for k in range(draw(st.integers(1, 5))):
        post = f"p{draw(st.integers(0, 2))}"
        pre = draw(st.sampled_from(["line", "cells", post]))
        width = posts if pre == post else lines
        sides = FRACTIONS + ([(0, 0.5)] if pre == "line" else [])
        delay, fraction = draw(st.sampled_from(sides))
        dependence = draw(st.sampled_from(Dependence))
        depression = draw(st.sampled_from([None, *Dependence]))
        unit = 1.0 if dependence is Dependence.ADDITIVE else 500.0
        down = 1.0 if (depression or dependence) is Dependence.ADDITIVE else 500.0
        pairing, window = draw(st.sampled_from(WINDOWS))
        rule = PairSTDP(
            draw(AMPLITUDE) * unit,
            draw(AMPLITUDE) * down,
            draw(STEPS) * dt,
            draw(STEPS) * dt,
            pairing,
            window,
            dependence,
            draw(st.sampled_from(WITH_DENDRITE if delay * fraction > 0 else WITHOUT)),
            fraction,
            depression=depression,
        )
        low, high = draw(st.sampled_from([(0.0, 2e-3), (-1e-3, 1e-3), (5e-4, 1.5e-3)]))

        def some(*shape: int, low: float = low, high: float = high) -> Real:
            # Some at either rail, and zero where it is one of them.
            return np.clip(r.uniform(1.6 * low - 0.6 * high, 1.6 * high, shape), low, high)

        kinds = ["dense", "flat", "sparse"] + (["each"] if width == posts else [])
        connection: Connection
        match draw(st.sampled_from(kinds)):
            case "dense":
                connection = Dense(some(posts, width))
            case "flat":
                connection = Chain((Flatten((1, width)), Dense(some(posts, width))))
            case "sparse":
                here = r.random((width, posts)) < 0.6
                indptr = np.concatenate([[0], np.cumsum(here.sum(1))])
                to = np.nonzero(here)[1].astype(np.int32)
                connection = Sparse(width, posts, indptr, to, some(to.size))
            case _:
                connection = OneToOne(some(posts), (posts,))
        shape = weights(connection).shape
        enable = draw(
            st.sampled_from([None, np.asarray(True), np.asarray(False), r.random(shape) < 0.6])
        )
        p = plastic(
            *(pre, post, rule, connection, delay, low, high),
            enable=enable,
            transmit=draw(st.sampled_from(Transmit)),
            learning=draw(st.sampled_from([True, True, True, False])),
        )
        learners.append(replace(p, name=f"w{k}"))
    learning: bool | list[bool] = draw(
        st.sampled_from([True, False]) | st.permutations([True, False])
    )
    graph = taught(learners, lines, posts, dt=dt, registered=draw(st.booleans()))
    return graph, int(r.integers(1 << 20)), learning


@settings(max_examples=15)
@given(networks())
def test_any_network_learns_by_the_sum_over_its_pairs(
    network: tuple[Graph, int, bool | list[bool]],
) -> None:
    graph, seed, learning = network
    verify(graph)
    lines, posts = (line.size for line in graph.inputs)
    check(graph, noise(seed, (2, 25, lines)), noise(seed + 1, (2, 25, posts)), learning)


@pytest.mark.parametrize("pre", ["line", "cells"])
def test_connections_of_every_kind(pre: str) -> None:
    """Square and lopsided: a synapse that ran the other way would show."""
    posts = np.array([0, 1, 2, 2], np.int32)
    sparse = Sparse(3, 3, np.array([0, 3, 4, 4]), posts, np.array([0.0, 5e-4, 1e-3, 2e-3]))
    learners = [
        plastic(pre, "sparse", RULE, sparse),
        plastic(pre, "each", RULE, OneToOne(np.array([0.0, 1e-3, 2e-3]), (3,))),
        plastic(pre, "flat", RULE, Chain((Flatten((1, 3)), Dense(np.full((3, 3), 1e-3))))),
    ]
    check(taught(learners, 3, 3), noise(5, (2, 20, 3)), noise(6, (2, 20, 3)))


# -- samples, phases and masks --------------------------------------------------------------------

DELAYED = (
    plastic("line", "p", RULE, Dense(np.full((2, 3), 1e-3)), 2),
    plastic("cells", "p", RULE, Dense(np.full((2, 3), 1e-3)), 3),
)
LINE, TEACHER = noise(7, (3, 20, 3)), noise(8, (3, 20, 2))


def final(found: Recording, name: str) -> Real:
    return np.asarray(found.weights[name][-1])


def test_weights_carry_over_and_traces_do_not() -> None:
    """A sample with pre spikes only and one with post spikes only pair nothing."""
    line, teacher = np.zeros((2, 9, 3), bool), np.zeros((2, 9, 2), bool)
    line[0, -4:] = teacher[1, :4] = True
    graph = taught(DELAYED, 3, 2)
    for found in (run(graph, line, teacher), run(graph, line[::-1], teacher[::-1])):
        for p in DELAYED:
            assert (found.weights[p.name] == 1e-3).all()
    # Three presentations, and each alone from the weights that the one before it left.
    whole = check(graph, LINE, TEACHER)
    for k in range(3):
        alone = run(graph, LINE[k : k + 1], TEACHER[k : k + 1])
        for p in graph.projections:
            if p.plasticity is None:
                continue
            assert np.array_equal(final(alone, p.name), whole.weights[p.name][k])
        learned = [
            replace(p, connection=Dense(final(alone, p.name))) if p.plasticity else p
            for p in graph.projections
        ]
        graph = replace(graph, projections=tuple(learned))


def test_pairs_of_a_samples_last_steps_count() -> None:
    """The post spike of the last step is at the synapse ``delay`` steps after the sample."""
    line, teacher = np.zeros((2, 6, 3), bool), np.zeros((2, 6, 2), bool)
    line[0, -1] = teacher[0, -1] = True
    found = check(taught(DELAYED, 3, 2), line, teacher)
    for p in DELAYED:
        changed = 1e-3 + 4e-4 * math.exp(-p.delay / 4)
        np.testing.assert_allclose(found.weights[p.name], changed, rtol=1e-13)


def test_a_phase_without_learning_changes_nothing_and_forgets_nothing() -> None:
    graph = taught(DELAYED, 3, 2)
    phases = [True, False, True]
    found = check(graph, LINE, TEACHER, phases)
    # As if the silent phase had not been.
    without = run(graph, LINE[::2], TEACHER[::2])
    for p in DELAYED:
        first, second, third = found.weights[p.name]
        assert np.array_equal(first, second) and not np.array_equal(second, third)
        assert np.array_equal(found.weights[p.name][::2], without.weights[p.name])
    still = check(graph, LINE, TEACHER, False)
    assert all((still.weights[p.name] == 1e-3).all() for p in DELAYED)


def test_a_projection_may_rest_beside_one_that_learns() -> None:
    first, second = DELAYED
    assert first.plasticity is not None
    rests = replace(first, plasticity=replace(first.plasticity, learning=False))
    found = check(taught((rests, second), 3, 2), LINE, TEACHER)
    assert (found.weights["line-p"] == 1e-3).all()
    assert not (found.weights["cells-p"] == 1e-3).any()


def test_a_synapse_that_is_not_enabled_sends_and_may_lie_beyond_the_rails() -> None:
    weight = np.array([[0.5, 1e-3, -0.25], [0.0, 1e-3, 2e-3]])
    enable = (weight >= 0) & (weight <= 2e-3)
    p = plastic("line", "p", RULE, Dense(weight), enable=enable)
    found = check(taught([p], 3, 2), LINE, TEACHER)
    assert np.array_equal(final(found, "line-p") == weight, ~enable)


@pytest.mark.parametrize("dependence", [Dependence.ADDITIVE, Dependence.SCALED])
def test_rails_clip_in_every_step(dependence: Dependence) -> None:
    """What lies beyond a rail is lost: the next change starts from the rail itself."""
    unit = 1.0 if dependence is Dependence.ADDITIVE else 500.0
    rule = replace(RULE, a_plus=3e-3 * unit, a_minus=1.5e-3 * unit, dependence=dependence)
    p = plastic("line", "p", rule, Dense(np.full((2, 3), 1e-3)))
    found = check(taught([p], 3, 2), noise(3, (9, 8, 3)), noise(4, (9, 8, 2)))
    learned = found.weights["line-p"]
    assert (learned == 0).any() and (learned == 2e-3).any()
    assert ((learned > 0) & (learned < 2e-3)).any()


def test_which_weights_are_recorded() -> None:
    graph = taught(DELAYED, 3, 2)
    each = run(graph, LINE, TEACHER)
    last = run(graph, LINE, TEACHER, record_weights="end")
    for p in DELAYED:
        assert each.weights[p.name].shape == (3, 2, 3)
        assert last.weights[p.name].shape == (1, 2, 3)
        assert np.array_equal(each.weights[p.name][-1:], last.weights[p.name])
    assert each.spikes == last.spikes


@pytest.mark.parametrize("codegen", ["numpy", pytest.param("standalone", marks=pytest.mark.slow)])
def test_weights_of_every_step_are_those_of_runs_that_end_there(codegen: str) -> None:
    graph = taught(DELAYED, 3, 2)
    more: dict[str, Any] = {"record_weights": "steps", "codegen": codegen}
    steps = run(graph, LINE, TEACHER, **more)
    for p in DELAYED:
        assert steps.weights[p.name].shape == (3 * 20, 2, 3)
        # Nothing is on its way before the first sample: a shorter run has the same beginning.
        for end in (1, 7, 20):
            part = run(graph, LINE[:1, :end], TEACHER[:1, :end], **more, weights_every=end)
            assert part.weights[p.name].shape == (1, 2, 3)
            assert np.array_equal(part.weights[p.name][0], steps.weights[p.name][end - 1])
        fifth = run(graph, LINE[:1], TEACHER[:1], **more, weights_every=5).weights[p.name]
        assert np.array_equal(fifth, steps.weights[p.name][4:20:5])
        assert (np.diff(steps.weights[p.name], axis=0) != 0).any()
    without = taught([plastic("line", "p", RULE, Dense(np.full((2, 3), 1e-3)), 0)], 3, 2)
    weights = run(without, LINE, TEACHER, **more).weights["line-p"]
    ends = run(without, LINE, TEACHER).weights["line-p"]
    assert np.array_equal(weights[19::20], ends)


def test_snapshots_of_several_samples_are_of_every_step() -> None:
    for every, samples in ((0, 1), (2, 3)):
        with pytest.raises(SpikecError) as caught:
            run(
                taught(DELAYED, 3, 2),
                LINE[:samples],
                TEACHER[:samples],
                record_weights="steps",
                weights_every=every,
            )
        assert caught.value.diagnostics[0].code == "E0707"


def test_without_synapses_samples_or_steps_there_is_nothing_to_learn() -> None:
    none = Sparse(3, 2, np.zeros(4, np.int64), np.zeros(0, np.int32), np.zeros(0))
    empty = plastic("line", "p", RULE, none)
    found = check(taught([empty, DELAYED[1]], 3, 2), LINE, TEACHER)
    assert found.weights["line-p"].shape == (3, 0)
    assert not (found.weights["cells-p"] == 1e-3).any()
    graph = taught(DELAYED, 3, 2)
    for samples, steps in ((0, 20), (3, 0)):
        silent = LINE[:samples, :steps], TEACHER[:samples, :steps]
        for option, shots in (("end", min(samples, 1)), ("samples", samples)):
            weight = run(graph, *silent, record_weights=option).weights["line-p"]
            assert weight.shape == (shots, 2, 3) and (weight == 1e-3).all()


def test_an_axonal_delay_from_a_registered_population_is_a_step_longer() -> None:
    rule = replace(RULE, dendritic_delay_fraction=0)
    for delay in (1, 2):
        p = plastic("cells", "p", rule, Dense(np.full((2, 3), 1e-3)), delay)
        found = check(taught([p], 3, 2, registered=True), LINE, TEACHER)
        longer = replace(p, delay=delay + 1)
        other = check(taught([longer], 3, 2), LINE, TEACHER)
        assert np.array_equal(found.weights[p.name], other.weights[p.name])


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_what_retiming_lets_pass_learns_the_same(fraction: float) -> None:
    """With lags of 1 and 2 where all delay is axonal, of 1 and 1 where it is dendritic."""
    rule = replace(RULE, dendritic_delay_fraction=fraction)
    p = plastic("cells", "p", rule, Dense(np.full((2, 3), 1e-3)), 1 + (fraction > 0))
    graph = taught([p], 3, 2)
    moved = Retime().run(graph, target(input_hop=1, hop=2), Diagnostics())
    assert [q.lag for q in moved.populations] == [1, 1 if fraction else 2]
    verify(moved)
    before, after = run(graph, LINE, TEACHER), run(moved, LINE, TEACHER)
    assert before.spikes == after.spikes
    np.testing.assert_array_equal(before.states["p", "v"], after.states["p", "v"])
    np.testing.assert_array_equal(before.weights[p.name], after.weights[p.name])


# -- a known network -----------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [1, 5])
@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_a_chain_of_three_as_carlsim_has_it(fraction: float, delay: int) -> None:
    """PyCARL's network K3: the change is the sum over all pairs, where no rail is near."""
    size, steps, dt = 4, 400, 1e-3
    rule = PairSTDP(0.01, 0.012, 20e-3, 20e-3, dendritic_delay_fraction=fraction)
    names = ["a", "b", "c", "d"]
    trains = {n: noise(20 + k, (1, steps, size), 0.05) for k, n in enumerate(names)}
    start = np.random.default_rng(5).uniform(0.4, 0.6, (3, size))
    strong = OneToOne(real(FORCE), (size,))
    graph = Graph(
        "K3",
        dt,
        (Input("a", (size,)), *(Input(f"t{n}", (size,)) for n in "bcd")),
        tuple(Population(n, (size,), CELL, ZERO) for n in "bcd"),
        (
            *(Projection(f"t{n}", f"t{n}", n, strong) for n in "bcd"),
            *(
                plastic(*ends, rule, OneToOne(w, (size,)), delay, -50, 50)
                for ends, w in zip(itertools.pairwise(names), start, strict=True)
            ),
        ),
        (Output("out", "d"),),
    )
    verify(graph)
    stimulus = Stimulus(
        {n if n == "a" else f"t{n}": Events.from_dense(train) for n, train in trains.items()}
    )
    found = run_golden(graph, stimulus, populations=["b", "c", "d"], codegen="numpy")
    for (pre, post), w in zip(itertools.pairwise(names), start, strict=True):
        assert np.array_equal(found.spikes[post].dense(0), trains[post][0])
        shift = delay if fraction else -delay
        for k in range(size):
            s, t = (np.flatnonzero(trains[n][0, :, k]) for n in (pre, post))
            apart = (t[None] + shift - s[:, None]) * dt
            up = np.where(apart >= 0, 0.01 * np.exp(-apart / 20e-3), 0).sum()
            down = np.where(apart < 0, 0.012 * np.exp(apart / 20e-3), 0).sum()
            learned = final(found, f"{pre}-{post}")[k]
            assert learned == pytest.approx(w[k] + up - down, rel=0, abs=1e-12)
            assert learned != w[k]


# -- code generation, and what is refused --------------------------------------------------------


@pytest.mark.slow
def test_standalone_code_learns_the_same() -> None:
    window = replace(RULE, pairing=Pairing.NEAREST, window=Window.RECTANGULAR)
    half = replace(RULE, dendritic_delay_fraction=0.5, coincidence=Coincidence.BOTH)
    square = Dense(np.full((2, 2), 1e-3))
    learners = (
        plastic("line", "p", RULE, square, 2),
        plastic("cells", "p", RULE, square, 3),
        plastic("p", "p", window, square),
        plastic("line", "q", half, OneToOne(np.full(2, 1e-3), (2,)), 4, transmit=Transmit.AFTER),
    )
    graph = taught(learners, 2, 2)
    line, phases = LINE[:, :, :2], [True, False, True]
    plain = check(graph, line, TEACHER, phases)
    fast = run(graph, line, TEACHER, phases, codegen="standalone")
    assert plain.spikes == fast.spikes
    for p in learners:
        np.testing.assert_allclose(
            fast.weights[p.name], plain.weights[p.name], rtol=0, atol=2e-15, err_msg=p.name
        )
    for key, values in plain.states.items():
        np.testing.assert_allclose(fast.states[key], values, rtol=0, atol=2e-15)


def refused(graph: Graph, line: npt.NDArray[Any], **options: Any) -> tuple[str, str]:
    stimulus = Stimulus({"line": Events.from_dense(line), "teacher": Events.from_dense(TEACHER)})
    with pytest.raises(SpikecError) as caught:
        run_golden(graph, stimulus, codegen="numpy", **options)
    (found,) = caught.value.diagnostics
    return found.code, found.message


def test_as_many_phases_as_samples() -> None:
    graph = taught(DELAYED, 3, 2)
    assert refused(graph, LINE, learning=[True, False]) == (
        "E0707",
        "learning has 2 phases, the stimulus 3 samples",
    )
    assert refused(graph, LINE, learning=[True] * 4)[0] == "E0707"


def test_another_rule_is_refused() -> None:
    rule = Plasticity(TraceSTDP(Trace(1), Trace(1)), 0, 9)
    p = Projection("w", "line", "p", Dense(np.ones((2, 3))), 1, plasticity=rule)
    code, message = refused(taught([p], 3, 2), LINE)
    assert code == "E0301" and message.startswith("'w' learns by TraceSTDP")


def test_only_single_spikes_pair() -> None:
    """One a step, of value one, at either end; a `Threshold` sends no other."""
    p = plastic("cells", "p", RULE, Dense(np.full((2, 3), 1e-3)))
    graph = taught([p], 3, 2)
    cells, post = graph.populations
    graded = replace(cells, neuron=LI(real(0.02), real(1.0), real(0.0)))
    many = replace(cells, semantics=replace(ZERO, reset=Reset.SUBTRACT, max_spikes=None))
    for other in (graded, many):
        assert refused(replace(graph, populations=(other, post)), LINE) == (
            "E0209",
            "'cells-p' pairs spikes of 'cells', which sends other values, or several spikes a step",
        )
    twice = replace(post, semantics=replace(ZERO, reset=Reset.SUBTRACT, max_spikes=2))
    code, message = refused(replace(graph, populations=(cells, twice)), LINE)
    assert (code, "pairs spikes of 'p'" in message) == ("E0209", True)
    counted = taught([replace(p, pre="line")], 3, 2)
    code, message = refused(counted, LINE * 2)
    assert (code, "'line' has other values" in message) == ("E0703", True)
    level = replace(cells, neuron=Threshold(real(0.5)))
    check(replace(graph, populations=(level, post)), LINE, TEACHER)
