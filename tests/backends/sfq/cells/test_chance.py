"""The law of synapses: its inverse, and draws that depend on nothing but seed, place and count."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.sfq.cells import CELLS, cell, chance
from spikec.backends.sfq.cells.chance import LEAST, MOST, SOURCE, Law, factor, law, nominal, passes
from spikec.backends.sfq.cells.netlist import Instance, Netlist
from spikec.backends.sfq.cells.timing import known, timing
from spikec.backends.sfq.rungs.events import Machines
from spikec.ir.diagnostics import SpikecError

PS = 1e-12
APART = 50 * PS


def test_a_bias_gives_its_probability() -> None:
    one = Law(-2e-5, 3e-6)
    assert one.bias(0.5) == pytest.approx(-2e-5)
    # A normal distribution has 84.134 % below one standard deviation.
    assert one.bias(0.8413447460685429) == pytest.approx(-1.7e-5)
    for p in (LEAST, 0.3, 0.98, MOST):
        assert float(law().probability(law().bias(p))) == pytest.approx(p, abs=1e-12)
        assert passes("synapse", {SOURCE: factor(p)}) == pytest.approx(p, abs=1e-9)
    biases = np.linspace(-40e-6, -15e-6, 50)
    assert (np.diff(law().probability(biases)) > 0).all()


def test_spread_makes_a_range() -> None:
    one = Law(-2e-5, 3e-6, 1.5e-6)
    # 1.96 of half a standard deviation either way, of a normal distribution.
    assert one.between(0.5) == pytest.approx((0.1635, 0.8365), abs=1e-4)
    assert one.between(0.9772498680518208) == pytest.approx((0.8461, 0.99856), abs=1e-4)
    assert Law(-2e-5, 3e-6).between(0.3) == pytest.approx((0.3, 0.3))
    # Of chips that are drawn 95 % are in it.
    shifts = np.random.default_rng(1).normal(0.0, one.spread, 20_000)
    low, high = one.between(0.9)
    p = one.probability(one.bias(0.9) + shifts)
    assert ((p > low) & (p < high)).mean() == pytest.approx(0.95, abs=4 * 0.0016)


@pytest.mark.parametrize("p", [0.0, LEAST - 1e-6, MOST + 1e-6, 1.0, float("nan")])
def test_what_noise_does_not_give_is_refused(p: float) -> None:
    with pytest.raises(SpikecError, match="E1445") as error:
        law().bias(p, "'w'")
    assert "'w' releases with" in str(error.value)


def test_only_synapses_leave_it_to_chance() -> None:
    assert [kind for kind in CELLS if passes(kind, {}) < 1] == ["synapse"]
    assert nominal() == pytest.approx(float(chance.found()["middle"]), abs=1e-6)
    left = cell("synapse")
    assert left.machine is None and left.released is not None
    assert all(cell(kind).released is cell(kind).machine for kind in CELLS if kind != "synapse")
    assert timing("synapse").delay.shape == (1, 1, 1)


def synapses(*probabilities: float) -> Netlist:
    return Netlist(
        tuple(
            Instance(f"s{k}", "synapse", {"a": f"in{k}", "q": f"out{k}"}, {SOURCE: factor(p)})
            for k, p in enumerate(probabilities)
        )
    )


def released(netlist: Netlist, counts: list[int], seed: int) -> list[npt.NDArray[np.bool_]]:
    """Which of so many pulses at each synapse passed."""
    trains = {f"in{k}": APART * np.arange(n) for k, n in enumerate(counts)}
    trace = Machines(netlist).run(trains, seed)
    assert not trace.violations
    delay = float(timing("synapse").delay[0, 0, 0])
    out = []
    for k, n in enumerate(counts):
        which = np.rint((trace.of(f"out{k}") - delay) / APART).astype(np.int64)
        out.append(np.isin(np.arange(n), which))
    return out


def test_shares_are_the_probabilities() -> None:
    wanted, n = (0.1, 0.5, 0.5, 0.98), 20_000
    found = released(synapses(*wanted), [n] * len(wanted), 3)
    for p, passed in zip(wanted, found, strict=True):
        assert abs(passed.mean() - p) < 4 * np.sqrt(p * (1 - p) / n)
        # Neither the pulse before nor the one before that matters.
        off = passed - passed.mean()
        for lag in (1, 2):
            assert abs((off[lag:] * off[:-lag]).mean()) < 4 * passed.var() / np.sqrt(n)
    # Nor what another synapse does, of the same probability or not.
    table = np.corrcoef(np.stack(found).astype(float))
    assert np.abs(table - np.eye(len(wanted))).max() < 4 / np.sqrt(n)


def test_a_draw_is_of_seed_place_and_count_alone() -> None:
    netlist = synapses(0.5, 0.5)
    first = released(netlist, [400, 400], 7)
    again = released(netlist, [100, 400], 7)
    assert (first[0][:100] == again[0]).all() and (first[1] == again[1]).all()
    # More cells behind, and another order of pulses, change nothing.
    more = Netlist((*netlist.instances, Instance("j", "jtl", {"a": "out0", "q": "end"})))
    assert (released(more, [400, 400], 7)[1] == first[1]).all()
    # A higher probability passes what a lower one does, and more.
    most = released(synapses(0.9, 0.5), [400, 400], 7)
    assert (most[0] >= first[0]).all() and most[0].sum() > first[0].sum()
    assert (released(netlist, [400, 400], 8)[0] != first[0]).any()


def test_pulses_that_are_dropped_are_known_by_their_state() -> None:
    """So that what each took can be told apart: a synapse has an energy of either."""
    trace = Machines(synapses(0.6)).run({"in0": APART * np.arange(500)}, 2)
    states = trace.state[trace.net == trace.nets.index("in0")]
    assert set(states.tolist()) == {0, 1}
    assert (states == 0).sum() == trace.of("out0").size
    passed, dropped = np.array(known()["synapse"]["energy"])[:, 0]
    assert passed > dropped > 0
