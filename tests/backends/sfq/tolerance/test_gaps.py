"""The rate gap of circuits: what is counted, of whom the noise is, what there is no gap of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.sfq.josephson.margins import kinds
from spikec.backends.sfq.rungs.conditions import Conditions
from spikec.backends.sfq.synthesis.synthesise import Program, synthesise
from spikec.backends.sfq.tolerance.gaps import RateTrial, rate_trial
from spikec.compiler.backend import Gap
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
