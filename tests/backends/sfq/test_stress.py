"""Trials of programs: orders and skews by case, what passes and what fails."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq import stress
from spikec.backends.sfq.stress import driven, orders, skews, trial
from spikec.backends.sfq.synthesise import Program, synthesise
from spikec.ir.diagnostics import SpikecError

from .networks import PS, combinations, layered, quantised


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
    begin = stress.LEAD + both.start
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
