"""Trials of programs: orders and skews by case, what passes and what fails."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.josephson.simulate import Pulses
from spikec.backends.sfq.rungs.execute import LEAD
from spikec.backends.sfq.synthesis.synthesise import Program, synthesise
from spikec.backends.sfq.tolerance.stress import driven, orders, responses, skews, trial
from spikec.compiler.integer.executor import Executor
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph

from ..networks import PS, combinations, latch, layered, ordered, quantised


@pytest.fixture(scope="module")
def both() -> Program:
    """Fires with both lines; two cells store, one holds back."""
    return synthesise(quantised(layered([([[1, 1]], [1.5])])))


def test_every_combination_once_in_each_order() -> None:
    found = orders(3, 50, 1)
    assert found.shape == (50, 8, 3) and np.array_equal(found, orders(3, 50, 1))
    codes = found @ [4, 2, 1]
    assert (np.sort(codes, 1) == np.arange(8)).all() and len(np.unique(codes, axis=0)) > 45
    late = skews(found.shape, 5 * PS, 2)
    assert np.abs(late).max() <= 5 * PS and late.std() == pytest.approx(
        5 * PS / 3**0.5, rel=0.1, abs=0
    )


def test_right_and_wrong_answers(both: Program) -> None:
    """Cases of one circuit: it passes when all its answers are as wanted."""
    given = orders(2, 3, 4)
    late = skews(given.shape, both.skew, 5)
    wanted = given[..., :1] & given[..., 1:]
    right = trial(both, {"in": given}, {"in": late}, {"p0": wanted})
    assert right.cases == 3
    # As it is, a little off, and without a bias.
    factors = {name: np.array([1.0, 0.93, 0.2]) for name in both.netlist.biases}
    assert right.passes(factors, 3).tolist() == [True, True, False]
    odd = wanted.copy()
    odd[1, 2] ^= True
    wrong = trial(both, {"in": given}, {"in": late}, {"p0": odd})
    assert wrong.passes({}, 1).tolist() == [False]
    assert wrong.right({}, 1).tolist() == [[True, False, True]]


def test_the_first_fault_has_a_name(both: Program) -> None:
    """A spike that is missing, one too many, one in no step, one that goes back."""
    given = orders(2, 3, 4)
    wanted = (given[..., :1] & given[..., 1:]).astype(np.int64)
    wanted[1, :, 0] = 1
    wanted[2, :, 0] = 0
    asked = trial(both, {"in": given}, {"in": np.zeros(given.shape)}, {"p0": wanted})
    assert asked.fault is not None
    net = both.spikes["p0"][0]
    assert net is not None
    name = f"p0[0] (net {net})"
    first = int(np.flatnonzero(~given[1].all(1))[0])
    assert asked.faults({}, 1) == [f"{name} has no pulse in step {first} of sample 1"]

    def said(case: int, *pulses: tuple[float, int]) -> str:
        """Of these times in s and directions only."""
        times, way = np.array([t for t, _ in pulses]), np.array([d for _, d in pulses])
        sets = np.full(times.size, case)
        found = Pulses((net,), sets, np.zeros(times.size, np.int64), times, way)
        assert asked.fault is not None
        return asked.fault(found, 3)[case]

    low, high = both.windows[net]
    middle = LEAD + (low + high) / 2
    twice = [(middle + both.period, 1), (middle + both.period + PS, 1)]
    assert said(2, twice[0]) == f"{name} has a pulse instead of none in step 1 of sample 2"
    assert said(2, *twice) == f"{name} has 2 pulses instead of none in step 1 of sample 2"
    assert said(2, (LEAD + 3 * PS, -1)) == (f"a pulse of {name} goes back 3.0 ps into sample 2")
    late = middle + 9 * both.period
    assert "belongs to no step" in said(2, (late, 1)) and said(2) == ""
    # What is wrong in an earlier step comes first.
    assert "step 1" in said(2, twice[0], (late, -1))


def test_responses_are_counts(both: Program) -> None:
    """Circuits, cases, steps, neurons; without a bias nothing comes, with far too much it is -1."""
    given = orders(2, 3, 4)
    late = skews(given.shape, both.skew, 5)
    factors = {name: np.array([1.0, 0.2, 1.8]) for name in both.netlist.biases}
    found = responses(both, {"in": given}, {"in": late}, "p0", factors=factors, circuits=3)
    assert found.shape == (3, 3, 4, 1)
    assert (found[0, ..., 0] == (given[..., 0] & given[..., 1])).all()
    assert (found[1] == 0).all() and (found[2] == -1).all()


def test_noise_of_responses_is_of_the_seed() -> None:
    """A synapse of one half: another seed is another run, and a case has noise of its own."""
    program = synthesise(quantised(layered([([[1]], [0.5])])), release={"w0": 0.5})
    given, late = np.ones((8, 6, 1), np.bool_), np.zeros((8, 6, 1))
    runs = [
        responses(
            program, {"in": given}, {"in": late}, "p0", temperature=4.2, seed=seed, step=0.2e-12
        )
        for seed in (1, 1, 2)
    ]
    assert (runs[0] == runs[1]).all() and (runs[0] != runs[2]).any()
    assert abs(runs[0].mean() - 0.5) < 4 * np.sqrt(0.25 / 48)
    assert len(np.unique(runs[0][0], axis=0)) > 1


def test_a_population_without_circuits_has_no_responses(both: Program) -> None:
    given, late = np.zeros((1, 1, 2)), np.zeros((1, 1, 2))
    with pytest.raises(SpikecError, match="E1436"):
        responses(both, {"in": given}, {"in": late}, "p9")


def test_pulses_come_when_they_should(both: Program) -> None:
    """A pulse passes its net with the time that it was moved by."""
    given = np.repeat(combinations(2)[None, [3, 1]], 3, 0)
    late = np.zeros(given.shape)
    late[1, 0, 0], late[2, 0, 0] = -5 * PS, 5 * PS
    simulator, how, factors, delays = driven(both, {"in": given}, {"in": late})
    found = simulator.run(how, factors=factors, delays=delays, watch=("in[0]", "in[1]")).pulses
    times = np.array([found.of("in[0]", case) for case in range(3)])
    assert times.shape == (3, 1)
    np.testing.assert_allclose(times[1:] - times[0], [[-5 * PS], [5 * PS]], atol=0.01 * PS)
    begin = LEAD + both.start
    assert abs(times[0, 0] - begin) < 2 * PS
    assert found.of("in[1]").size == 2


@pytest.mark.parametrize(
    ("spikes", "skew", "wanted"),
    [
        ({"other": (1, 2, 2)}, {"other": (1, 2, 2)}, {"p0": (1, 2, 1)}),
        ({"in": (1, 2, 3)}, {"in": (1, 2, 3)}, {"p0": (1, 2, 1)}),
        ({"in": (1, 2, 2)}, {"in": (1, 3, 2)}, {"p0": (1, 2, 1)}),
        ({"in": (2, 2)}, {"in": (2, 2)}, {"p0": (1, 2, 1)}),
        ({"in": (1, 2, 2)}, {"in": (1, 2, 2)}, {"p0": (1, 2, 2)}),
        ({"in": (1, 2, 2)}, {"in": (1, 2, 2)}, {"p7": (1, 2, 1)}),
    ],
)
def test_what_does_not_fit_is_refused(
    both: Program, spikes: dict[str, tuple[int, ...]], skew: dict[str, tuple[int, ...]],
    wanted: dict[str, tuple[int, ...]],
) -> None:  # fmt: skip
    arrays = [{name: np.zeros(shape) for name, shape in d.items()} for d in (spikes, skew, wanted)]
    with pytest.raises(SpikecError, match="E1436"):
        trial(both, *arrays)


def test_more_than_the_skew_is_refused(both: Program) -> None:
    with pytest.raises(SpikecError, match="E1436"):
        driven(both, {"in": np.zeros((1, 1, 2))}, {"in": np.full((1, 1, 2), 2 * both.skew)})


@pytest.mark.parametrize(
    "graph", [ordered(), pytest.param(latch(), marks=pytest.mark.slow)], ids=["order", "latch"]
)
def test_what_remembers_has_margins(graph: Graph) -> None:
    """Cases begin from rest; right at the bias and 15 % beside it, wrong without one."""
    quantised_graph = quantised(graph)
    program = synthesise(quantised_graph)
    rng = np.random.default_rng(7)
    given = rng.integers(0, 2, (3, 6, 2))
    late = skews(given.shape, program.skew, 8)
    stimulus = Stimulus({"in": Events.from_dense(given)})
    fired = Executor(quantised_graph).run(stimulus).spikes["p0"]
    wanted = np.stack([fired.dense(sample) for sample in range(3)])
    assert 0 < wanted.sum() < wanted.size / 2
    right = trial(program, {"in": given}, {"in": late}, {"p0": wanted})
    factors = {name: np.array([1.0, 0.85, 1.15, 0.2]) for name in program.netlist.biases}
    assert right.passes(factors, 4).tolist() == [True, True, True, False]
