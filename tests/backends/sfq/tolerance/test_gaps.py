"""The rate gap of circuits: what is counted, of whom the noise is, what there is no gap of."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.sfq.josephson.margins import kinds
from spikec.backends.sfq.josephson.simulate import Pulses, Simulator
from spikec.backends.sfq.rungs.conditions import Conditions
from spikec.backends.sfq.rungs.execute import LEAD
from spikec.backends.sfq.synthesis.synthesise import Program, synthesise
from spikec.backends.sfq.tolerance.gaps import RateTrial, rate_trial
from spikec.compiler.backend import Gap
from spikec.compiler.gap import looks
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Graph

from ..networks import combinations, layered, quantised

Bools = npt.NDArray[np.bool_]
ALL = Gap(0.5, 3, 0.0)  # three orders, whatever they say
SURE = layered([([[1, 1]], [1.5])])
ONE = layered([([[1]], [0.5])])


def made(
    graph: Graph, release: float = 1.0, gap: Gap = ALL, kelvin: float = 0.0, skew: float = 0.0
) -> tuple[Program, RateTrial]:
    """A trial of all combinations, with a reference that fires where all lines have a pulse."""
    first = graph.projections[0].name
    program = synthesise(quantised(graph), release={first: release} if release < 1 else {})
    given = combinations(graph.inputs[0].size)
    wanted = np.asarray(given.all(1))
    return program, rate_trial(
        program,
        gap,
        {"in": given},
        {graph.outputs[0].source: wanted[:, None]},
        conditions=Conditions(skew=skew),
        temperature=kelvin,
    )


@pytest.fixture(scope="module")
def sure() -> tuple[Program, RateTrial]:
    return made(SURE, skew=5e-12)


def long(trial: RateTrial, gap: Gap) -> RateTrial:
    """The same with all inputs four times: orders of 16 steps, two runs each."""
    lines = {name: np.tile(array, (4, 1)) for name, array in trial.inputs.items()}
    return replace(trial, gap=gap, inputs=lines, should=np.tile(trial.should, (4, 1)))


def pulses(trial: RateTrial, ones: list[tuple[int, float, int]]) -> Pulses:
    """Of the one neuron: run, step (-1 ends before the first) and direction of each."""
    (net,) = trial.nets
    middle = LEAD + sum(trial.program.windows[net]) / 2
    sets, steps, ways = zip(*sorted(ones), strict=True)
    return Pulses(
        trial.nets, np.array(sets), np.zeros(len(ones), np.int64),
        middle + trial.program.period * np.array(steps, np.float64), np.array(ways),
    )  # fmt: skip


def test_one_pulse_is_a_spike_and_two_are_none(sure: tuple[Program, RateTrial]) -> None:
    """Two circuits in orders 1 and 2, of two runs of eight steps each."""
    trial = long(sure[1], Gap(0.5, 3, 0.0))
    places = trial._places[1:3]
    assert places.shape == (2, 2, 8)
    rng = np.random.default_rng(5)
    count = rng.integers(0, 3, (2, 2, 16))
    ones = [
        (4 * c + 2 * order + run, float(step), 1)
        for c in range(2)
        for (order, run, step), k in np.ndenumerate(places)
        for _ in range(count[c, order, k])
    ]
    should = trial.should[:, 0]
    wanted = np.where(should, count == 1, count != 0)
    assert {0, 1, 2} == set(count[:, :, should].ravel().tolist())
    assert trial._judged(pulses(trial, ones), 2, 1, 3)[..., 0].tolist() == wanted.tolist()


@pytest.mark.parametrize("stray", [(4.0, -1), (-1.0, 1), (8.0, 1)], ids=["back", "early", "late"])
def test_a_stray_is_wrong_at_all_inputs_of_its_run(
    sure: tuple[Program, RateTrial], stray: tuple[float, int]
) -> None:
    """Of one run; the order's other run and the other orders are right."""
    trial = long(sure[1], Gap(0.5, 3, 0.0))
    # A pulse a step before the first comes after time 0: what is earlier is no pulse at all.
    assert LEAD + sum(trial.program.windows[trial.nets[0]]) / 2 > trial.program.period
    should = trial.should[:, 0]
    right = [
        (2 * order + run, float(step), 1)
        for (order, run, step), k in np.ndenumerate(trial._places)
        if should[k]
    ]
    lost = 2 * 1 + 1
    found = trial._judged(pulses(trial, [*right, (lost, *stray)]), 1, 0, 3)[0, :, :, 0]
    wanted = np.tile(should, (3, 1))
    assert trial._judged(pulses(trial, right), 1, 0, 3)[0, :, :, 0].tolist() == wanted.tolist()
    wanted[1, trial._places[1, 1]] ^= True
    assert found.tolist() == wanted.tolist()


def test_noise_is_of_the_number_of_an_order_at_whatever_look(
    sure: tuple[Program, RateTrial], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What each look hands on: no noise comes twice, and one look has that of several."""
    trial = long(sure[1], Gap(0.5, 30, 0.0))
    given: list[list[int]] = []

    def run(self: Simulator, how: object, *, seeds: list[int], **rest: Any) -> Any:
        given.append(seeds)
        return SimpleNamespace(pulses=pulses(trial, [(0, 0.0, 1)]))

    monkeypatch.setattr(Simulator, "run", run)
    assert trial.rates({}, (3, 8)).orders.tolist() == [30, 30]
    ends = looks(30)
    assert len(given) == len(ends) > 3
    for seeds, begin, end in zip(given, [0, *ends], ends, strict=False):
        runs = range(2 * begin, 2 * end)
        assert seeds == [c * 1_000_003 + k for c in (3, 8) for k in runs]


def test_a_circuit_without_chance_has_all_of_it(sure: tuple[Program, RateTrial]) -> None:
    """A neuron under skew; without bias it never fires, and with far too much all goes wrong."""
    program, trial = sure
    factors = {name: np.array([1.0, 0.3, 1.8]) for name in program.netlist.biases}
    found = trial.rates(factors, (1, 1, 1))
    assert found.orders.tolist() == [3, 3, 3] and not found.sure.any()
    assert found.rates[0, :, 0].tolist() == [0, 0, 0, 1]
    assert found.rates[1, :, 0].tolist() == [0, 0, 0, 0]
    # A pulse that goes back is wrong at all inputs.
    assert found.rates[2, :, 0].tolist() == [1, 1, 1, 0]
    assert found.gap.tolist() == [1, 0, -1]
    assert trial.passes(factors, 3).tolist() == [True, False, False]
    said = trial.faults(factors, 3)
    assert said[1] == "gap 0.00: p0[0] at 11 fires with 0.00, p0[0] at 00 with 0.00"
    assert said[2].startswith("gap -1.00: p0[0] at 11 fires with 0.00, p0[0] at 00 with 1.00")


def test_long_orders_are_cut_and_put_together_again() -> None:
    """16 inputs are two runs, 9 are two of which one has a step that counts for nothing."""
    graph = layered([([[1, -1, 0, 0]], [0.5])])
    program = synthesise(quantised(graph))
    given = combinations(4)
    for chosen in (slice(None), slice(4, 13)):
        lines = given[chosen]
        wanted = (lines[:, 0] == 1) & (lines[:, 1] == 0)
        trial = rate_trial(
            program, Gap(0.5, 2, 0.0), {"in": lines}, {"p0": wanted[:, None]},
            conditions=Conditions(),
        )  # fmt: skip
        assert trial._places.shape[1:] == (2, 8 if len(lines) == 16 else 5)
        assert (np.sort(trial._places.reshape(2, -1))[:, -len(lines) :] == range(len(lines))).all()
        assert trial.rates({}, (1,)).rates[0, :, 0].tolist() == wanted.tolist()


def test_a_synapse_has_its_rate_and_a_circuit_noise_of_its_own() -> None:
    """40 orders of one line that a synapse of 0.7 passes; whatever else is simulated."""
    gap = Gap(0.5, 40, 0.0)
    _, trial = made(ONE, 0.7, gap, kelvin=4.2)
    found = trial.rates({}, (3, 4, 3))
    rates = found.rates[:, 1, 0]
    # Behind an input's line I50 is off by a tenth of sigma: 0.03.
    assert (np.abs(rates - 0.7) < 4 * np.sqrt(0.7 * 0.3 / 40) + 0.03).all()
    assert (found.rates[:, 0, 0] == 0).all() and (found.gap == rates).all()
    assert found.each[0] == found.each[2] != found.each[1]
    assert trial.rates({}, (4,)).each == found.each[1:2]


def test_who_is_certain_has_no_more_orders(
    sure: tuple[Program, RateTrial], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that are decided at once, and one whose rates are at the edge: it has all orders."""
    _, trial = sure
    seen: list[tuple[int, int, int]] = []

    def fired(
        self: RateTrial, factors: object, seeds: object, circuits: npt.NDArray[np.int64],
        begin: int, end: int, threads: int,
    ) -> Bools:  # fmt: skip
        seen.append((circuits.size, begin, end))
        out = np.zeros((circuits.size, end - begin, 4, 1), np.bool_)
        out[circuits == 0, :, 3] = True
        out[circuits == 2, ::2, 3] = True
        return out

    monkeypatch.setattr(RateTrial, "_fired", fired)
    found = replace(trial, gap=Gap(0.5, 40)).rates({}, (1, 2, 3))
    assert found.sure.tolist() == [True, True, False]
    assert found.orders[2] == 40 and (found.orders[:2] < 20).all()
    assert found.gap[0] == 1 and found.gap[1] == 0 and 0.4 < found.gap[2] < 0.6
    assert seen[0] == (3, 0, 12) and seen[-1][0] == 1 and seen[-1][2] == 40


def test_chips_begin_with_what_they_are_off_by(sure: tuple[Program, RateTrial]) -> None:
    _, trial = sure
    bias = dict.fromkeys(kinds(trial.program.netlist.circuit({}))["bias"], 0.3)
    low = replace(trial, gap=Gap(0.5, 2, 0.0), chip=bias)
    assert low.rates({}, (1,)).gap.tolist() == [0]
    back = {name: np.array([1 / 0.3]) for name in bias}
    assert low.rates(back, (1,)).gap.tolist() == [1]


@pytest.mark.parametrize(("wanted", "which"), [(1, "each"), (0, "none")])
def test_between_nothing_is_no_gap(wanted: int, which: str) -> None:
    program = synthesise(quantised(ONE))
    with pytest.raises(SpikecError, match=rf"E1495.* at {which} of the 2 inputs"):
        rate_trial(
            program, ALL, {"in": [[0], [1]]}, {"p0": np.full((2, 1), wanted)},
            conditions=Conditions(),
        )  # fmt: skip


def test_neurons_without_a_circuit_have_no_rate() -> None:
    """One that never fires needs none; beside another it is left out, and alone it is refused."""
    given = combinations(1)
    how = Conditions()
    beside = synthesise(quantised(layered([([[1], [1]], [0.5, 1.5])])))
    trial = rate_trial(
        beside, Gap(0.5, 2, 0.0), {"in": given}, {"p0": [[0, 0], [1, 0]]}, conditions=how
    )
    assert trial.neurons == (("p0", 0),) and trial.rates({}, (1,)).gap.tolist() == [1]
    never = synthesise(quantised(layered([([[1]], [1.5])])))
    with pytest.raises(SpikecError, match=r"E1495.*without a circuit"):
        rate_trial(never, ALL, {"in": given}, {"p0": [[0], [0]]}, conditions=how)
