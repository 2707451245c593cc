"""Real pairs onto Loihi's learning engine: numbers, windows, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spikec.backends.loihi.program import files
from spikec.boards.board import Target
from spikec.compiler.compile import pipeline
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.loihi_learning import loihi_rule
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.homeostasis import Scaling
from spikec.ir.loihi_learning import LoihiPairSTDP
from spikec.ir.neurons import LIF, CubaLIF
from spikec.ir.plasticity import (
    Coincidence,
    Dependence,
    Pairing,
    PairSTDP,
    Plasticity,
    Transmit,
    TripletSTDP,
    Window,
)
from spikec.ir.semantics import Current, Reset, Semantics
from spikec.ir.verify import verify

DT = 1e-3
RULE = PairSTDP(0.02, 0.015, 20e-3, 30e-3, dendritic_delay_fraction=0.0)
DENDRITIC = replace(RULE, dendritic_delay_fraction=1.0, coincidence=Coincidence.DEPRESS)
LINES = 41


def real(value: float) -> Any:
    return np.asarray(value, np.float64)


def network(
    rule: Any = RULE,
    rails: tuple[float, float] = (0.0, 4.0),
    weight: Any = None,
    delay: int = 1,
    **more: Any,
) -> Graph:
    """One neuron that an input drives, and lines whose synapses learn but are too weak to count."""
    cell = LIF(real(2e-3), real(1.0), real(0.0), real(100.0))
    start = np.full((1, LINES), np.mean(rails)) if weight is None else weight
    plasticity = Plasticity(rule, *rails, **more)
    return Graph(
        "window",
        DT,
        (Input("pre", (LINES,)), Input("drive", (1,))),
        (Population("post", (1,), cell, Semantics(reset=Reset.ZERO)),),
        (
            Projection("learns", "pre", "post", Dense(start), delay, plasticity=plasticity),
            Projection("drives", "drive", "post", Dense(np.full((1, 1), 250.0)), 1),
        ),
        (Output("out", "post"),),
    )


def converted(graph: Graph, input_max: int = 15) -> tuple[Graph, list[str]]:
    """The graph in Loihi's arithmetic, and the codes of what was said."""
    found = Diagnostics()
    target = Target.loihi("lava", "Lava")
    result = run_pipeline(pipeline(Quantise(input_max=input_max), target), graph, target, found)
    verify(result)
    return result, [d.code for d in found]


def learned(graph: Graph) -> tuple[LoihiPairSTDP, Projection]:
    (p,) = (p for p in graph.projections if p.plasticity is not None)
    plasticity, words = p.plasticity, p.words
    assert plasticity is not None and words is not None
    rule, rails = plasticity.rule, [plasticity.w_min, plasticity.w_max]
    assert isinstance(rule, LoihiPairSTDP) and rails == list(words.rails)
    return rule, p


def value(mantissa: int, exponent: int, impulse: int = 1) -> float:
    return mantissa * 2.0**exponent * impulse


@pytest.mark.parametrize(
    ("rule", "steps", "taken"), [(RULE, (1, -1), "plus"), (DENDRITIC, (-1, 1), "minus")]
)
def test_numbers_of_a_rule(rule: PairSTDP, steps: tuple[int, int], taken: str) -> None:
    """A step of the time constants moves into the amplitudes; what both do is taken back."""
    graph, said = converted(network(rule))
    found, p = learned(graph)
    assert said == [] and p.delay == 1 and p.words is not None and p.words.sign == "excitatory"
    unit = 4.0 / 255
    assert (found.tau_plus, found.tau_minus, found.epoch) == (20, 30, 1)
    plus = value(found.plus, found.plus_exp, found.impulse_plus)
    minus = value(found.minus, found.minus_exp, found.impulse_minus)
    assert plus * unit == pytest.approx(0.02 * np.exp(steps[0] / 20), rel=0.05)
    assert minus * unit == pytest.approx(-0.015 * np.exp(steps[1] / 30), rel=0.05)
    wrong = plus if taken == "plus" else minus
    assert value(found.both, found.both_exp) == pytest.approx(-wrong, rel=0.12)
    weight = p.connection.weight  # type: ignore[attr-defined]
    assert abs(weight - 127.5).max() <= 1
    assert "LearningDense" in files(graph)["README.md"].decode()


def window(rule: PairSTDP, n: Any) -> Any:
    """What `PairSTDP` says of a pair n steps apart, pre first, over a delay of one step."""
    apart = n - 1 if rule.dendritic_delay_fraction == 0 else n + 1
    up = apart > 0 if rule.coincidence is Coincidence.DEPRESS else apart >= 0
    tau = np.where(up, rule.tau_plus, rule.tau_minus) / DT
    return np.where(up, rule.a_plus, -rule.a_minus) * np.exp(-np.abs(apart) / tau)


@pytest.mark.parametrize("rule", [RULE, DENDRITIC])
def test_the_window_is_that_of_the_real_rule(rule: PairSTDP) -> None:
    """The mean change of 400 pairs of each distance is that of the rule in real numbers.

    Of a single pair it is a random number with a standard deviation of 0.6 units of a weight at
    most: rounding gives a weight 1/2, and traces of a rule of 2 units a pair, which begin with
    about 16, what is left. So within 4 standard deviations of a mean, 0.12 units, and 3 % of the
    amplitude; where both spikes fall into one step, within 12 % of the amplitude taken back.
    """
    rule = replace(rule, a_plus=0.032, a_minus=0.024)
    n = np.arange(LINES) - LINES // 2
    unit, runs, pairs = 4.0 / 255, 8, 50
    total = np.zeros(LINES)
    graph, _ = converted(network(rule))
    found, p = learned(graph)
    for run in range(runs):
        # Other numbers for traces, and at other places in those that round weights.
        assert p.plasticity is not None
        own = replace(p.plasticity, rule=replace(found, seed=1000 + run))
        again = replace(
            graph,
            projections=tuple(
                replace(q, plasticity=own) if q.name == p.name else q for q in graph.projections
            ),
        )
        steps = LINES + 5 + run
        pre, drive = np.zeros((pairs, steps, LINES), int), np.zeros((pairs, steps, 1), int)
        middle = LINES // 2 + 2 + run
        drive[:, middle - 1] = 1
        pre[:, middle - n, np.arange(LINES)] = 1
        inputs = {"pre": Events.from_dense(pre), "drive": Events.from_dense(drive)}
        got = Executor(again).run(Stimulus(inputs), record_weights="samples")
        # The neuron spikes once a sample, when it is driven.
        np.testing.assert_array_equal(got.spikes["post"].step, np.full(pairs, middle))
        weights = got.weights["learns"][:, 0]
        assert weights.min() > 0 and weights.max() < 255
        total += weights[-1] - p.connection.weight[0]  # type: ignore[attr-defined]
    mean, expected = total / (runs * pairs) * unit, window(rule, n)
    bound = np.full(LINES, 0.12 * unit + 0.03 * rule.a_plus)
    bound[n == 0] += 0.12 * rule.a_plus
    assert (np.abs(mean - expected) <= bound).all(), (mean - expected) / unit
    # Pre before post potentiates, post before pre depresses, the more the closer.
    assert (mean[n > 0] > 0).all() and (mean[n < 0] < 0).all()
    assert mean[n == 1] > 2 * mean[n == 20] and mean[n == -1] < 1.5 * mean[n == -20]


def changes(rule: PairSTDP, pre: Any, post: Any) -> tuple[Any, Any]:
    """What `PairSTDP` changes each weight by, of spikes (steps, lines), and the same of sizes."""
    total, size = np.zeros(pre.shape[1]), np.zeros(pre.shape[1])
    for t in np.flatnonzero(post):
        for s, line in np.argwhere(pre):
            change = float(window(rule, np.array(t - s)))
            total[line] += change
            size[line] += abs(change)
    return total, size


@pytest.mark.parametrize("rule", [RULE, DENDRITIC])
def test_random_trains_learn_on_average_what_the_real_rule_does(rule: PairSTDP) -> None:
    """All pairs of 41 trains, some of one step: 80 runs, other random numbers in each.

    Within 4 standard deviations of the mean, of what the runs themselves show, and a twentieth of
    the changes up and down together: amplitudes are off by 3 %, a step's pair by an eighth.
    """
    rule = replace(rule, a_plus=0.03, a_minus=0.025, tau_plus=10e-3, tau_minus=15e-3)
    graph, said = converted(network(rule))
    found, p = learned(graph)
    rng, steps, runs = np.random.default_rng(5), 80, 80
    pre, drive = rng.random((steps, LINES)) < 0.04, rng.random((steps, 1)) < 0.06
    drive[-1] = False
    post = np.concatenate([[False], drive[:-1, 0]])
    assert said == [] and np.sum(pre & post[:, None]) > 5
    ends = []
    for run in range(runs):
        assert p.plasticity is not None
        own = replace(p.plasticity, rule=replace(found, seed=500 + run))
        projections = tuple(
            replace(q, plasticity=own) if q.name == p.name else q for q in graph.projections
        )
        # A sample in which nothing happens, to begin elsewhere in the numbers that round weights.
        executor = Executor(replace(graph, projections=projections))
        shift = np.zeros((1, run + 1, LINES), int)
        executor.run(
            Stimulus({"pre": Events.from_dense(shift), "drive": Events.from_dense(shift[..., :1])})
        )
        inputs = {"pre": pre[None], "drive": drive[None]}
        got = executor.run(
            Stimulus({n: Events.from_dense(a.astype(int)) for n, a in inputs.items()}),
            record=[("learns", "x"), ("learns", "y")],
        )
        np.testing.assert_array_equal(got.spikes["post"].step, np.flatnonzero(post))
        assert max(got.states["learns", trace].max() for trace in "xy") < 127
        ends.append(got.weights["learns"][-1, 0])
        assert ends[-1].min() > 0 and ends[-1].max() < 255
    unit = 4.0 / 255
    start = p.connection.weight[0]  # type: ignore[attr-defined]
    mean = (np.mean(ends, axis=0) - start) * unit
    deviation = np.std(ends, axis=0, ddof=1) / np.sqrt(runs) * unit
    expected, size = changes(rule, pre, post)
    assert (np.abs(mean - expected) <= 4 * deviation + 0.05 * size).all()
    # The bound means something: what was learned is many times as much.
    assert np.abs(expected).max() > 8 * (4 * deviation + 0.05 * size).min()
    assert np.corrcoef(mean, expected)[0, 1] > 0.99


AMPLITUDES = st.floats(0.5, 600) | st.floats(-600, -0.5) | st.just(0.0)


@given(up=AMPLITUDES, down=AMPLITUDES, tau=st.tuples(*[st.integers(1, 255)] * 2), f=st.booleans())
def test_amplitudes_are_met(up: float, down: float, tau: tuple[int, int], f: bool) -> None:
    """From half a unit of a weight on to a tenth, and what is taken back to an eighth."""
    base = DENDRITIC if f else RULE
    real_ = replace(base, a_plus=up, a_minus=down, tau_plus=tau[0] * DT, tau_minus=tau[1] * DT)
    assume(up or down)
    chosen = loihi_rule(Plasticity(real_, 0.0, 255.0), 1.0, DT, 3)
    assert [p for p in chosen.rule.problems() if "changes nothing" not in p] == []
    balance = chosen.errors["a_plus against a_minus"]
    assert abs(balance) < 0.07 and max(map(abs, chosen.errors.values())) <= 0.1
    found = chosen.rule
    taken = (found.minus, found.minus_exp, found.impulse_minus)
    if not f:
        taken = (found.plus, found.plus_exp, found.impulse_plus)
    assert value(found.both, found.both_exp) == pytest.approx(-value(*taken), rel=0.125)
    for steps, impulse in zip(tau, (found.impulse_plus, found.impulse_minus), strict=True):
        assert 1 <= impulse <= 16
        # A spike in every second step: how high the trace gets, where there is a choice.
        assert impulse / (1 - np.exp(-1 / steps)) / 2 <= 127 or impulse <= 4


def test_what_amplitudes_are_off() -> None:
    """4 % on average, 1.5 % where traces are short; one side from the other by about 1 %."""
    off: dict[int, list[float]] = {}
    apart = []
    for tau in (5, 10, 20, 50, 100):
        for up in np.geomspace(0.5, 10, 25):
            for down in (0.8 * up, up, 1.1 * up):
                rule = replace(RULE, a_plus=up, a_minus=down, tau_plus=tau * DT, tau_minus=tau * DT)
                errors = loihi_rule(Plasticity(rule, 0.0, 255.0), 1.0, DT, 0).errors
                off.setdefault(tau, []).extend(abs(errors[n]) for n in ("a_plus", "a_minus"))
                apart.append(abs(errors["a_plus against a_minus"]))
    means = {tau: np.mean(errors) for tau, errors in off.items()}
    assert means[5] < 0.02 and means[10] < 0.02 and max(means.values()) < 0.04, means
    assert np.mean(apart) < 0.015


@pytest.mark.parametrize(
    ("rails", "sign"), [((0.0, 4.0), "excitatory"), ((-2.0, 0.0), "inhibitory"), ((-1, 1), "mixed")]
)
def test_signs_are_those_of_the_rails(rails: tuple[float, float], sign: str) -> None:
    """Also where all weights that it starts with have one, and a rule that may be scaled."""
    graph, said = converted(network(rails=rails, weight=np.full((1, LINES), rails[0] / 2)))
    _, p = learned(graph)
    assert said == [] and p.words is not None and p.words.sign == sign


def test_a_rule_scaled_by_its_rail() -> None:
    scaled = replace(RULE, a_plus=0.005, a_minus=0.00375, dependence=Dependence.SCALED)
    assert learned(converted(network(scaled))[0])[0] == learned(converted(network())[0])[0]


def test_weights_count_as_what_they_may_become() -> None:
    """The scale has room for all of them at the rail, wherever they start."""
    scales = set()
    for weight in (0.0, 40.0):
        rule = replace(RULE, a_plus=0.2, a_minus=0.15)
        start = np.full((1, LINES), weight)
        graph, _ = converted(network(rule, rails=(0.0, 40.0), weight=start))
        cell: Any = graph.populations[0].neuron
        scales.add((cell.scale, int(cell.vth)))
    assert len(scales) == 1


def test_a_longer_axonal_delay_has_a_relay() -> None:
    """Pairs are as far apart as over one step, four steps later; two projections share it."""
    graph = network(delay=5)
    (learns, drives) = graph.projections
    twin = replace(learns, name="twin")
    made, said = converted(replace(graph, projections=(learns, twin, drives)), 1)
    assert said == [] and [p.name for p in made.populations] == ["post", "pre+4"]
    assert [(p.pre, p.delay) for p in made.projections] == [
        *[("pre+4", 1)] * 2,
        ("drive", 1),
        ("pre", 4),
    ]
    verify(made)
    pre, drive = np.zeros((1, 30, LINES), int), np.zeros((1, 30, 1), int)
    pre[0, 6, 3], drive[0, 10, 0] = 1, 1
    for delay in (1, 5):
        shifted = np.roll(pre, 1 - delay, axis=1)
        inputs = {"pre": Events.from_dense(shifted), "drive": Events.from_dense(drive)}
        one = converted(network(delay=delay), 1)[0]
        got = Executor(one).run(Stimulus(inputs), record=[("learns", "x")])
        assert got.states["learns", "x"][0, 6, 3] > 0 == got.states["learns", "x"][0, 5, 3]
        assert got.weights["learns"][-1, 0, 3] > got.weights["learns"][-1, 0, 4]


def test_a_relay_past_a_chain_has_a_lag() -> None:
    """It may not wake later than its spikes come, nor so early that it reaches who still rests."""
    graph = network(delay=0)
    learns = graph.projections[0]
    (post,) = graph.populations
    chain = [replace(post, name=name) for name in ("a", "b")]
    links = [
        Projection(f"{pre}-{to}", pre, to, Dense(np.full((1, 1), 250.0)), 0)
        for pre, to in (("drive", "a"), ("a", "b"), ("b", "post"))
    ]
    long = replace(graph, populations=(*chain, post), projections=(learns, *links))
    made, _ = converted(long, 1)
    lags = {p.name: p.lag for p in made.populations}
    assert lags == {"a": 1, "b": 2, "post": 3, "pre+2": 2}
    files(made)


def test_inputs_that_may_count_have_no_relay() -> None:
    with pytest.raises(SpikecError, match="learns and takes 2 steps"):
        converted(network(delay=2), 2)


def test_what_is_said_about_rounding() -> None:
    _, said = converted(network(replace(RULE, tau_plus=2.4e-3)))
    assert said == ["W0407"]


def refused(graph: Graph) -> list[tuple[str, str]]:
    with pytest.raises(SpikecError) as caught:
        converted(graph)
    return [(d.code, d.message) for d in caught.value.diagnostics]


SOME = np.ones((1, LINES), bool)
SOME[0, 3] = False


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (network(replace(RULE, pairing=Pairing.NEAREST)), "pairing nearest; Loihi has all"),
        (
            network(replace(RULE, pairing=Pairing.NEAREST, window=Window.RECTANGULAR)),
            "window rectangular; Loihi has exponential",
        ),
        (
            network(replace(RULE, dependence=Dependence.MULTIPLICATIVE)),
            "dependence multiplicative; Loihi has additive or scaled",
        ),
        (
            network(replace(RULE, coincidence=Coincidence.NONE)),
            "coincidence none; Loihi has potentiate with a dendritic_delay_fraction of 0",
        ),
        (
            network(replace(DENDRITIC, coincidence=Coincidence.POTENTIATE)),
            "coincidence potentiate; Loihi has depress with a dendritic_delay_fraction of 1",
        ),
        (network(replace(RULE, bits=4)), "bits 4; Loihi has None"),
        (network(replace(RULE, depression_by="drive")), "depression_by drive; Loihi has None"),
        (network(transmit=Transmit.AFTER), "transmit after; Loihi has before"),
        (network(scaling=Scaling(2.0)), "Loihi has None"),
        (network(enable=SOME), "has synapses that do not learn; on Loihi all of a projection do"),
        (
            network(DENDRITIC, delay=2),
            "learns and takes 2 steps; on Loihi 1, or up to 65 where all are axonal",
        ),
        (
            network(delay=66),
            "learns and takes 66 steps; on Loihi 1, or up to 65 where all are axonal",
        ),
        (network(rails=(0.5, 4.0)), "has rails 0.5 to 4; on Loihi one is 0, or both are"),
        (network(rails=(-1.0, 4.0)), "has rails -1 to 4; on Loihi both are as far from 0"),
    ],
)
def test_what_loihi_lacks(graph: Graph, message: str) -> None:
    found = refused(graph)
    assert {code for code, _ in found} == {"E0301"}
    assert any(message in text for _, text in found), found


def test_neurons_that_what_learns_cannot_end_in() -> None:
    """A gain for each neuron would be a unit for each; an old current shifts every pair."""
    graph = network()
    (learns, drives) = graph.projections
    (post,) = graph.populations
    two = replace(
        graph,
        populations=(
            replace(
                post,
                shape=(2,),
                neuron=LIF(np.array([2e-3, 4e-3]), real(1.0), real(0.0), real(100.0)),
            ),
        ),
        projections=(
            replace(learns, connection=Dense(np.ones((2, LINES)))),
            replace(drives, connection=Dense(np.ones((2, 1)))),
        ),
    )
    ((code, text),) = refused(two)
    assert code == "E0301" and "has gains of 0.25 to 0.5; what 'learns' learns needs one" in text
    cuba = CubaLIF(*(real(x) for x in (5e-3, 10e-3, 10.0, 0.0, 5.0, 100.0)))
    old = replace(post, neuron=cuba, semantics=Semantics(reset=Reset.ZERO, current=Current.OLD))
    assert refused(replace(graph, populations=(old,))) == [
        ("E0301", "'post' has current old, and 'learns' learns; there Loihi has new")
    ]
    new = replace(old, semantics=Semantics(reset=Reset.ZERO, current=Current.NEW))
    assert converted(replace(graph, populations=(new,)), input_max=1)[1] == []
    # A current that lasts adds up what inputs count, where they count 15 in every step.
    assert converted(replace(graph, populations=(new,)), input_max=15)[1] == ["W0404"]


def test_what_learns_keeps_both_its_signs() -> None:
    """``split_signs`` makes two projections of others: those could not learn across zero."""
    found, target = Diagnostics(), Target.loihi("lava", "Lava")
    start = np.linspace(-1, 1, LINES)[None]
    graph = network(rails=(-1.0, 1.0), weight=start)
    made = run_pipeline(pipeline(Quantise(), target, True), graph, target, found)
    assert [p.name for p in made.projections] == ["learns", "drives"]


def test_other_rules_are_not_on_the_target() -> None:
    triplet = TripletSTDP(0.1, 0.1, 0.02, 0.02, dendritic_delay_fraction=0.0)
    ((code, message),) = refused(network(triplet))
    assert code == "E0308"
    assert message == "'learns' learns by TripletSTDP; lava has PairSTDP, LoihiPairSTDP"


def test_numbers_that_do_not_fit() -> None:
    for rule, message in (
        (
            replace(RULE, a_plus=1e-6),
            "a_plus is 6.703e-05 units of a weight for a pair; the nearest that Loihi has is 0",
        ),
        (replace(RULE, a_plus=30.0), "a_plus is 2011 units of a weight for a pair; the nearest"),
        (replace(RULE, tau_minus=0.5), "tau_minus is 500 steps; on Loihi it has 1 to 255"),
        (replace(RULE, tau_plus=1e-4), "tau_plus is 0.1 steps; on Loihi it has 1 to 255"),
    ):
        ((code, text),) = refused(network(rule))
        assert code == "E0401" and message in text, text


def test_rails_of_two_projections() -> None:
    """Those that a power of two parts go together, others do not."""
    graph = network()
    (learns, drives) = graph.projections
    assert learns.plasticity is not None
    for high, fits in ((1.0, True), (3.0, False)):
        other = replace(
            learns,
            name="other",
            connection=Dense(np.full((1, LINES), high / 2)),
            plasticity=replace(learns.plasticity, w_max=high),
        )
        both = replace(graph, projections=(learns, other, drives))
        if fits:
            rules = [p.plasticity for p in converted(both)[0].projections if p.plasticity]
            seeds = {r.rule.seed for r in rules if isinstance(r.rule, LoihiPairSTDP)}
            assert len(seeds) == 2
        else:
            ((code, text),) = refused(both)
            assert code == "E0401" and "of what they are: Loihi's are 255 units of a weight" in text
