"""Neurons of cells beside the sums that they stand for, by machines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.sfq.events import Machines
from spikec.backends.sfq.neurons import HOLD, Builder, Plan, neuron
from spikec.backends.sfq.threshold import Unit
from spikec.backends.sfq.timing import timing

from .networks import PS, combinations

STEP = 3000 * PS
SLOT = 8


def plan(weight: list[int], theta: int, depth: list[int] | None = None) -> Plan:
    ahead = np.zeros(len(weight), np.int64) if depth is None else np.array(depth)
    return Plan(Unit(np.array(weight), theta), ahead)


def fires(made: Plan) -> np.ndarray:
    """Whether the cells of a neuron fire for each combination of its lines, one a step."""
    build = Builder()
    lines = []
    for i, copies in enumerate(made.copies):
        lines.append(build.split(f"x{i}", copies, f"x{i}.s") if copies else [])
    reads = build.split("read", made.reads, "read.s")
    inverts = build.split("invert", made.inverts, "invert.s") if made.inverts else []
    out = neuron(build, made, lines, reads, inverts, SLOT, "n")
    every = combinations(len(made.copies))
    begin = STEP * np.arange(len(every))
    pulses = {f"x{i}": begin[every[:, i] > 0] for i, c in enumerate(made.copies) if c}
    pulses["read"] = begin + 2000 * PS
    if inverts:
        pulses["invert"] = begin + 500 * PS
    trace = Machines(build.netlist()).run(pulses)
    assert not trace.violations
    step = np.floor(trace.of(out) / STEP).astype(int)
    assert np.unique(step).size == step.size
    return np.isin(np.arange(len(every)), step)


@settings(max_examples=80)
@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=4).filter(any),
    st.data(),
)
def test_it_fires_where_its_sum_reaches_the_threshold(
    weight: list[int], data: st.DataObject
) -> None:
    low, high = sum(w for w in weight if w < 0), sum(w for w in weight if w > 0)
    made = plan(weight, data.draw(st.integers(low + 1, high)) if high > low else 0)
    if made.constant:
        return
    np.testing.assert_array_equal(fires(made), made.unit(combinations(len(weight))))


@pytest.mark.parametrize(
    ("weight", "theta", "depth", "vetoed"),
    [
        ([1, -1], 1, None, True),
        ([1, 1, -2, -2], 1, None, True),
        ([1, 1, -1], 1, None, False),  # two against one
        ([2, -2], 2, None, False),
        ([1, -1], 0, None, False),
        ([1, 1], 1, None, False),
        ([1, -1], 1, [1, 2], True),
        ([1, -1], 1, [2, 1], False),  # what fires it comes last
    ],
)
def test_when_a_veto_is_enough(
    weight: list[int], theta: int, depth: list[int] | None, vetoed: bool
) -> None:
    assert plan(weight, theta, depth).vetoed is vetoed


def test_what_it_takes() -> None:
    veto = plan([1, 1, -2], 1)
    assert (veto.reads, veto.inverts, veto.copies, veto.pulses) == (2, 0, [1, 1, 1], 3)
    count = plan([2, 0, -1, 1], 2)
    assert (count.count, count.reads, count.inverts) == (3, 3, 1)
    assert count.copies == [2, 0, 1, 1] and count.pulses == 4
    assert plan([1, 1], 3).constant and plan([1, -1], -1).constant
    assert not plan([1, 1], 2).constant


def test_lines_come_one_behind_the_other() -> None:
    build = Builder()
    line = build.serial([*"abcd"], SLOT, "in")
    trace = Machines(build.netlist()).run({name: [0.0] for name in "abcd"})
    assert not trace.violations
    apart = np.diff(trace.of(line))
    assert apart.size == 3 and apart.min() > SLOT * 4 * PS
    # The last line passes no merger before its own delay ends.
    one = timing("merger").delay[0, 1, 0]
    np.testing.assert_allclose(apart - apart[2], [one, one, 0], atol=1e-18)


@pytest.mark.parametrize("ways", [2, 3, 5, 8, 13])
def test_a_tree_of_splitters_is_flat(ways: int) -> None:
    build = Builder()
    out = build.split("in", ways, "s")
    trace = Machines(build.netlist()).run({"in": [0.0]})
    assert len(set(out)) == ways == len(out)
    assert len(build.instances) == ways - 1
    levels = np.concatenate([trace.of(net) for net in out]) / timing("splitter").delay[0, 0, 0]
    assert np.ptp(levels) < 1.01 and levels.max() == pytest.approx(np.ceil(np.log2(ways)))


def test_all_but_the_first_pass() -> None:
    build = Builder()
    out = build.skip_one("in", "reset", "k")
    pulses = np.arange(4) * 50 * PS
    trace = Machines(build.netlist()).run(
        {"in": [*pulses, *(pulses + 500 * PS)], "reset": [300 * PS]}
    )
    assert trace.of(out).size == 6 and not trace.violations
    assert [o.own for o in build.orders] == [True]
    assert sum(i.kind == "jtl" for i in build.instances) == HOLD
