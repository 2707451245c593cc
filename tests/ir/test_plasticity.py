"""Plasticity in the graph: ranges, rails, connections that can learn, and the named rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.ir.connections import (
    Chain,
    Connection,
    Conv1d,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    OneToOne,
    Scale,
    Sparse,
    SumPool2d,
)
from spikec.ir.diagnostics import Location, SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IntegerNeuron, Threshold
from spikec.ir.numerics import Format, Numerics, Rounding
from spikec.ir.plasticity import (
    SDSP,
    Accumulation,
    Coincidence,
    Dependence,
    Hebbian,
    Pairing,
    PairSTDP,
    Plasticity,
    Response,
    Rule,
    ThreeFactorSTDP,
    Trace,
    TraceDecay,
    TraceSTDP,
    Transmit,
    TripletSTDP,
    Update,
    Window,
    next_state,
    sides,
)
from spikec.ir.rules import RULES
from spikec.ir.text import parse, text
from spikec.ir.verify import verify

PAIR = TraceSTDP.pair(20, 24, shift=6, decay=3)
ODIN = SDSP(50.0, 1, 3, 6)
TIMED = PairSTDP(0.01, 0.012, 0.02, 0.03)
WEIGHT = np.array([[0, 1, -2], [3, -4, 5]])


def graph(
    plasticity: Plasticity, connection: Connection | None = None, neuron: Any = None
) -> Graph:
    connection = connection or Dense(WEIGHT)
    pre, post = connection.in_shape, connection.out_shape
    neuron = neuron or Threshold(np.asarray(1.0))
    at = Location("net.spk", line=4)
    return Graph(
        "g",
        1e-3,
        (Input("in", pre),),
        (Population("p", post, neuron),),
        (Projection("w", "in", "p", connection, at=at, plasticity=plasticity),),
        (Output("out", "p"),),
    )


def refused(broken: Graph) -> list[tuple[str, str]]:
    with pytest.raises(SpikecError) as caught:
        verify(broken)
    found = caught.value.diagnostics
    assert all(d.where == Location("net.spk", line=4) for d in found)
    return [(d.code, d.message) for d in found]


def sparse(pre: int, post: int, indptr: list[int], to: list[int], weight: list[int]) -> Sparse:
    return Sparse(
        pre, post, np.array(indptr), np.array(to, np.int32), np.array(weight, dtype=np.int64)
    )


SPARSE = sparse(3, 4, [0, 2, 2, 3], [1, 3, 0], [1, 2, 3])

VALID = {
    "dense": graph(Plasticity(PAIR, -4, 5)),
    "whole floats": graph(Plasticity(PAIR, -4, 5), Dense(WEIGHT * 1.0)),
    "sparse": graph(Plasticity(PAIR, 1, 3), SPARSE),
    "one to one": graph(Plasticity(ODIN, 0, 7), OneToOne(np.array([1, 2]), (2,))),
    "flattened": graph(
        Plasticity(PAIR, 0, 1), Chain((Flatten((2, 3)), Dense(np.ones((2, 6), int))))
    ),
    "a mask": graph(Plasticity(PAIR, 0, 5, WEIGHT >= 0)),
    "a mask of one value": graph(Plasticity(PAIR, 0, 1, np.asarray(False))),
    "no synapse": graph(Plasticity(PAIR, 0, 1), sparse(2, 2, [0, 0, 0], [], [])),
    "rails that meet": graph(Plasticity(PAIR, 2, 2), Dense(np.full((2, 2), 2))),
}


@pytest.mark.parametrize("name", VALID)
def test_valid(name: str) -> None:
    verify(VALID[name])


def trace(**more: Any) -> TraceSTDP:
    return replace(PAIR, **more)


def integer() -> IntegerNeuron:
    zero = np.asarray(0)
    form = Numerics(Format(4), Format(16))
    return IntegerNeuron(form, "LIF", 1.0, 0, zero, zero, zero, zero, zero, "zero")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (trace(pre=Trace(1, bits=0)), "the pre trace has 0 bits; a trace has 1 to 16"),
        (trace(post=Trace(1, bits=17)), "the post trace has 17 bits"),
        (trace(pre=Trace(256)), "the pre trace rises by 256; a trace of 8 bits holds 0 to 255"),
        (trace(pre=Trace(-1)), "the pre trace rises by -1"),
        (trace(post=Trace(1, shift=17)), "the post trace decays by a shift of 17"),
        (trace(on_pre=Update(0)), "the sign of the row update is 0; it must be 1 or -1"),
        (trace(on_post=Update(1, 65536)), "the amplitude of the column update is 65536"),
        (trace(on_post=Update(1, -1)), "the amplitude of the column update is -1; it must be 0"),
        (trace(on_pre=Update(1, 1, 32)), "the shift of the row update is 32; it must be 0 to 31"),
        (trace(on_pre=Update(offset=-65536)), "the offset of the row update is -65536"),
        (trace(streams=0), "streams is 0; it must be 1 to 65536"),
        (trace(seed=0), "seed is 0; it must be 1 to 4294967295"),
        (trace(seed=1 << 32), "seed is 4294967296"),
        (replace(ODIN, theta_mem=float("nan")), "theta_mem is nan"),
        (replace(ODIN, theta_mem=float("inf")), "theta_mem is inf"),
        (replace(ODIN, calcium_bits=0), "calcium has 0 bits; it has 1 to 16"),
        (replace(ODIN, theta_3=9), "theta_3 is 9; calcium runs from 0 to 7"),
        (replace(ODIN, theta_1=-1), "theta_1 is -1"),
        (replace(ODIN, leak_period=-1), "leak_period is -1 steps"),
        (replace(ODIN, refresh_period=1 << 31), "refresh_period is 2147483648 steps"),
        (replace(ODIN, refresh_threshold=1 << 31), "refresh_threshold is 2147483648"),
        (replace(TIMED, a_plus=float("nan")), "a_plus is nan; it must be finite"),
        (replace(TIMED, a_minus=float("-inf")), "a_minus is -inf; it must be finite"),
        (replace(TIMED, tau_plus=0), "tau_plus is 0 s; it must be finite and above 0"),
        (replace(TIMED, tau_plus=float("nan")), "tau_plus is nan s"),
        (replace(TIMED, tau_minus=-0.02), "tau_minus is -0.02 s; it must be finite and above 0"),
        (replace(TIMED, tau_minus=float("inf")), "tau_minus is inf s"),
        (replace(TIMED, bits=0), "a weight of 0 bits; it has 1 to 32"),
        (replace(TIMED, bits=33), "a weight of 33 bits"),
        (replace(TIMED, rounding=Rounding.UP), "its weights round up; to the nearest even"),
        (replace(TIMED, dendritic_delay_fraction=1.5), "dendritic_delay_fraction is 1.5, not 0"),
        (replace(TIMED, dendritic_delay_fraction=-0.1), "dendritic_delay_fraction is -0.1, not 0"),
        (
            replace(TIMED, dendritic_delay_fraction=float("nan")),
            "dendritic_delay_fraction is nan, not 0 to 1",
        ),
        (
            replace(TIMED, window=Window.RECTANGULAR),
            "a rectangular window that pairs all with all; it pairs the nearest",
        ),
    ],
)
def test_a_rule_out_of_range(rule: Rule, message: str) -> None:
    ((code, said),) = refused(graph(Plasticity(rule, -4, 5)))
    assert code == "E0209" and said.startswith(f"'w': {message}")


@pytest.mark.parametrize(
    ("low", "high"), [(1, 0), (float("nan"), 1), (0, float("inf")), (-(1 << 31), 0)]
)
def test_rails_out_of_range(low: float, high: float) -> None:
    ((code, said),) = refused(graph(Plasticity(PAIR, low, high)))
    assert code == "E0209" and said.startswith(f"'w': w_min is {low:g} and w_max {high:g}")


def test_an_unknown_rule_is_refused() -> None:
    @dataclass(frozen=True, eq=False)
    class Other(Rule):
        """Not in RULES."""

    assert refused(graph(Plasticity(Other(), -4, 5))) == [
        ("E0209", "'w': the verifier does not know Other")
    ]


@pytest.mark.parametrize(
    ("connection", "reason"),
    [
        (Conv1d(np.ones((2, 1, 2), int), (1, 4)), "a convolution shares each weight"),
        (Conv2d(np.ones((2, 1, 2, 2), int), (1, 4, 4)), "a convolution shares each weight"),
        (OneToOne(np.asarray(1), (3,)), "all its synapses share one weight"),
        (SumPool2d((1, 4, 4), (2, 2), (2, 2)), "SumPool2d holds no weights of its own"),
        (Scale(np.ones(3, int), (3,)), "Scale holds no weights of its own"),
        (Chain((Delay(np.asarray(1), (3,)), Dense(WEIGHT))), "it is a chain of several stages"),
        (Flatten((2, 3)), "it is a chain of several stages"),
        (sparse(2, 3, [0, 0, 2], [2, 1], [1, 2]), "row 1 does not rise"),
        (sparse(2, 3, [0, 2, 3], [2, 2, 1], [1, 2, 3]), "row 0 does not rise"),
    ],
)
def test_connections_that_cannot_learn(connection: Connection, reason: str) -> None:
    ((code, said),) = refused(graph(Plasticity(PAIR, 0, 9), connection))
    assert code == "E0208" and said.startswith(f"'w' cannot learn: {reason}")


def test_a_mask_of_another_shape() -> None:
    assert refused(graph(Plasticity(PAIR, -4, 5, WEIGHT.T > 0))) == [
        ("E0207", "'w': enable has shape (3, 2), the weights (2, 3)")
    ]


def test_weights_outside_the_rails() -> None:
    assert refused(graph(Plasticity(PAIR, -2, 4))) == [
        ("E0210", "'w': 2 of 6 plastic weights lie outside -2 to 4; they span -4 to 5")
    ]


@pytest.mark.parametrize(("low", "weight"), [(-4.5, WEIGHT), (-4, WEIGHT + 0.25)])
def test_an_integer_rule_needs_whole_numbers(low: float, weight: Any) -> None:
    ((code, said),) = refused(graph(Plasticity(PAIR, low, 6), Dense(weight)))
    assert code == "E0210" and "TraceSTDP counts in whole weights" in said


def test_the_rails_fit_the_format_of_a_quantised_population() -> None:
    verify(graph(Plasticity(PAIR, -8, 7), neuron=integer()))
    ((code, said),) = refused(graph(Plasticity(PAIR, -9, 7), neuron=integer()))
    assert code == "E0210" and said.endswith("leave the 4 bits of a weight, -8 to 7")


def test_theta_mem_is_whole_where_v_is() -> None:
    verify(graph(Plasticity(replace(ODIN, theta_mem=0.5), -8, 7)))
    ((code, said),) = refused(
        graph(Plasticity(replace(ODIN, theta_mem=0.5), -8, 7), None, integer())
    )
    assert code == "E0209" and "theta_mem is 0.5; v is a whole number here" in said


def test_every_refusal_comes_at_once() -> None:
    rule = trace(streams=0, seed=0)
    assert [code for code, _ in refused(graph(Plasticity(rule, 0, 1)))] == [
        "E0209",
        "E0209",
        "E0210",
    ]


# -- when the spikes of a pair reach their synapse -----------------------------------------------


def timed(delay: int, pre: str = "q", **changes: Any) -> Graph:
    """`PairSTDP` from the population "q", which repeats the input "in", or from the input."""
    neuron = Threshold(np.asarray(1.0))
    at = Location("net.spk", line=4)
    plasticity = Plasticity(replace(TIMED, **changes), -4, 5)
    return Graph(
        "g",
        1e-3,
        (Input("in", (3,)),),
        (Population("q", (3,), neuron), Population("p", (2,), neuron)),
        (
            Projection("repeat", "in", "q", OneToOne(np.asarray(1.0), (3,))),
            Projection("w", pre, "p", Dense(WEIGHT), delay, at=at, plasticity=plasticity),
        ),
        (Output("out", "p"),),
    )


@pytest.mark.parametrize(
    ("fraction", "delay", "wanted"),
    [
        *((fraction, 0, (0, 0)) for fraction in (0, 0.5, 1)),
        *((0, delay, (delay, 0)) for delay in (1, 7)),
        *((1, delay, (0, delay)) for delay in (1, 7)),
        (0.5, 6, (3, 3)),
        (1 / 3, 3, (2, 1)),
        (2 / 3, 3, (1, 2)),
        (0.1, 10, (9, 1)),
        (0.29, 100, (71, 29)),
        (1 / 49, 49_000_000, (48_000_000, 1_000_000)),
    ],
)
def test_sides_of_a_delay(fraction: float, delay: int, wanted: tuple[int, int]) -> None:
    found = sides(replace(TIMED, dendritic_delay_fraction=fraction), delay)
    assert found == wanted and all(isinstance(steps, int) for steps in found)


@pytest.mark.parametrize(
    ("fraction", "delay", "steps"), [(0.5, 1, "0.5"), (0.5, 7, "3.5"), (0.3, 4, "1.2")]
)
def test_a_fraction_divides_a_delay_into_whole_steps(
    fraction: float, delay: int, steps: str
) -> None:
    said = f"the fraction {fraction} of a delay of {delay} steps is {steps} steps, no whole number"
    rule = replace(TIMED, dendritic_delay_fraction=fraction)
    with pytest.raises(ValueError, match="no whole number") as caught:
        sides(rule, delay)
    assert str(caught.value) == said
    for pre in ("q", "in"):
        broken = timed(delay, pre, dendritic_delay_fraction=fraction)
        assert refused(broken) == [("E0209", f"'w': {said}")]


def test_spikes_of_a_population_take_a_step() -> None:
    said = "a delay of 0 steps; spikes of a population take at least one to a synapse and on"
    for fraction in (0, 0.5, 1):
        broken = timed(0, dendritic_delay_fraction=fraction)
        assert refused(broken) == [("E0209", f"'w': {said}")]
        verify(timed(0, "in", dendritic_delay_fraction=fraction))
    verify(timed(1))


@pytest.mark.parametrize("coincidence", [Coincidence.DEPRESS, Coincidence.BOTH])
def test_what_depresses_at_once_needs_a_dendritic_delay(coincidence: Coincidence) -> None:
    axonal: dict[str, Any] = {"coincidence": coincidence, "dendritic_delay_fraction": 0}
    for broken in (timed(2, **axonal), timed(0, "in", coincidence=coincidence)):
        ((code, said),) = refused(broken)
        assert code == "E0209"
        assert said.startswith(f"'w': coincidence is {coincidence}, but without a dendritic delay")
    verify(timed(2, coincidence=coincidence, dendritic_delay_fraction=0.5))
    for other in (Coincidence.NONE, Coincidence.POTENTIATE):
        verify(timed(2, **axonal | {"coincidence": other}))


def test_names_are_taken_for_what_they_name() -> None:
    """A string that names a value of the rule is that value, everywhere; another is refused."""
    named = replace(
        TIMED,
        pairing="nearest",  # type: ignore[arg-type]
        window="rectangular",  # type: ignore[arg-type]
        dependence="scaled",  # type: ignore[arg-type]
        coincidence="none",  # type: ignore[arg-type]
        depression="multiplicative",  # type: ignore[arg-type]
    )
    assert named.dependences == (Dependence.SCALED, Dependence.MULTIPLICATIVE)
    assert replace(named, depression=None).dependences == (Dependence.SCALED, Dependence.SCALED)
    assert named.pairing is Pairing.NEAREST and named.window is Window.RECTANGULAR
    assert named.dependence is Dependence.SCALED and named.coincidence is Coincidence.NONE
    assert Plasticity(named, 0, 1, transmit="after").transmit is Transmit.AFTER  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'near' is not a valid Pairing"):
        replace(TIMED, pairing="near")  # type: ignore[arg-type]


def test_rails_that_a_rule_cannot_have() -> None:
    plain = timed(1)
    (repeat, w), rule = plain.projections, TIMED

    def railed(rule: PairSTDP, low: float, high: float) -> list[tuple[str, str]]:
        learns = replace(w, plasticity=Plasticity(rule, low, high, np.zeros((), np.bool_)))
        return refused(replace(plain, projections=(repeat, learns)))

    scaled = replace(rule, dependence=Dependence.SCALED)
    for high in (0.0, -1.0):
        said = f"'w': amplitudes are scaled by w_max, which is {high:g}"
        assert railed(scaled, -2.0, high) == [("E0209", said)]
    same = [("E0209", "'w': weights of 4 bits from 2 to 2")]
    assert railed(replace(rule, bits=4), 2.0, 2.0) == same


def test_one_mistake_is_told_once() -> None:
    """Of a delay or a fraction that means nothing the sides are not asked for."""
    assert refused(timed(-1)) == [("E0205", "'w': delay is -1 steps")]
    ((code, said),) = refused(timed(0, dendritic_delay_fraction=2))
    assert (code, said) == ("E0209", "'w': dendritic_delay_fraction is 2, not 0 to 1")


def test_a_rule_of_pairs_in_text() -> None:
    rule = PairSTDP(
        *(1e-3, -0.5, 0.017, 1 / 3),
        pairing=Pairing.NEAREST,
        window=Window.RECTANGULAR,
        dependence=Dependence.MULTIPLICATIVE,
        coincidence=Coincidence.BOTH,
        dendritic_delay_fraction=1 / 3,
        bits=7,
        rounding=Rounding.DOWN,
        depression=Dependence.SCALED,
    )
    (repeat, plain), nodes = timed(3).projections, timed(3)
    learns = replace(plain, plasticity=Plasticity(rule, -4.25, 5.5, WEIGHT > -3))
    graph = replace(nodes, projections=(repeat, learns))
    verify(graph)
    written = text(graph)
    assert (
        "rule=PairSTDP(a_plus=0.001, a_minus=-0.5, tau_plus=0.017, tau_minus=0.3333333333333333, "
        "pairing=Pairing.NEAREST, window=Window.RECTANGULAR, "
        "dependence=Dependence.MULTIPLICATIVE, coincidence=Coincidence.BOTH, "
        "dendritic_delay_fraction=0.3333333333333333, bits=7, rounding=Rounding.DOWN, "
        "depression=Dependence.SCALED)"
    ) in written
    assert parse(written) == graph and text(parse(written)) == written
    assert parse(written.replace("Coincidence.BOTH", "Coincidence.NONE")) != graph


# -- the rules -----------------------------------------------------------------------------------


def test_named_rules() -> None:
    up, down = Update(1, 20, 6), Update(-1, 24, 6)
    assert (PAIR.on_post, PAIR.on_pre) == (up, down)
    assert PAIR.pre == PAIR.post == Trace(128, Accumulation.ADD, TraceDecay.SHIFT, 3)
    window = TraceSTDP.window(7, 5, steps_pre=9, steps_post=4, bits=4)
    assert window.pre == Trace(9, Accumulation.SET, TraceDecay.COUNT, 0, 4)
    assert window.post == replace(window.pre, increment=4)
    assert window.on_post == Update(1, 7, 0, Response.WINDOW)
    assert window.on_pre == Update(-1, 5, 0, Response.WINDOW)
    symmetric = TraceSTDP.symmetric(20, shift=6, decay=3, depression=2)
    assert (symmetric.on_post, symmetric.on_pre) == (up, replace(up, offset=-2))
    anti = TraceSTDP.anti_hebbian(24, 20, shift=6, decay=3, rounding=Rounding.STOCHASTIC, seed=5)
    assert (anti.on_post, anti.on_pre) == (down, up)
    assert (anti.rounding, anti.seed) == (Rounding.STOCHASTIC, 5)


def test_facts() -> None:
    assert (PAIR.rows, PAIR.columns) == (True, True)
    assert not trace(on_pre=Update()).rows and not trace(on_post=Update()).columns
    assert trace(on_post=Update(offset=1)).columns
    assert (ODIN.rows, ODIN.columns) == (True, False)
    assert (Rule().rows, Rule().columns, list(Rule().problems())) == (True, False, [])
    assert all(rule.__doc__ for rule in RULES)
    real = [PairSTDP, TripletSTDP, ThreeFactorSTDP, Hebbian]
    assert [rule for rule in RULES if not rule.INTEGER] == real
    assert (TIMED.rows, TIMED.columns) == (True, True)
    assert not replace(TIMED, a_minus=0).rows and not replace(TIMED, a_plus=0).columns
    assert list(TIMED.problems()) == []
    assert (TraceSTDP.PRE, TraceSTDP.POST) == (("x",), ("y",))
    assert (SDSP.PRE, SDSP.POST) == ((), ("c",))


def test_plasticity_is_a_value() -> None:
    mask = np.ones((2, 3), bool)
    one = Plasticity(PAIR, -1, 1, mask)
    mask[0, 0] = False
    assert one == Plasticity(PAIR, -1.0, 1.0, np.ones((2, 3), bool))
    assert one != Plasticity(PAIR, -1, 1, mask) and one != Plasticity(ODIN, -1, 1)
    assert one.enable is not None and not one.enable.flags.writeable


@given(st.integers(1, (1 << 32) - 1))
def test_the_generator_never_stops(state: int) -> None:
    after = next_state(state)
    assert 0 < after < 1 << 32 and after != state
    # The step can be taken back: the top bit says whether the taps were added.
    before = ((after ^ (0x80200003 if after >> 31 else 0)) << 1) | after >> 31
    assert before == state
