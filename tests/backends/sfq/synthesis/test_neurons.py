"""Neurons of cells beside the sums that they stand for, by machines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.sfq.cells.timing import timing
from spikec.backends.sfq.rungs.events import Machines
from spikec.backends.sfq.synthesis.neurons import HOLD, Builder, Plan, neuron
from spikec.backends.sfq.synthesis.unit import Unit

from ..networks import PS, combinations

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


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=3).filter(any),
    st.integers(0, 3),
    st.integers(0, 2),
    st.integers(0, 1000),
)
def test_it_adds_up_over_steps(weight: list[int], power: int, more: int, seed: int) -> None:
    """Reset to 0 for ``power`` 0, else 2^power taken off; beside a sum by hand."""
    taken = 1 << power if power else 0
    if taken and sum(weight) > taken:
        return
    theta = taken + more if taken else 1 + more + seed % 3
    made = Plan(Unit(np.array(weight), theta), np.zeros(len(weight), np.int64), taken)
    assert made.reads == 1 and made.inverts == 0 and not made.constant and not made.vetoed
    build = Builder()
    lines = [build.split(f"x{i}", n, f"x{i}.s") if n else [] for i, n in enumerate(made.copies)]
    out = neuron(build, made, lines, ["read"], [], SLOT, "n")
    x = np.random.default_rng(seed).integers(0, 2, (12, len(weight)))
    begin = STEP * np.arange(len(x))
    pulses = {f"x{i}": begin[x[:, i] > 0] for i, n in enumerate(weight) if n}
    trace = Machines(build.netlist()).run(pulses | {"read": begin + 2000 * PS})
    assert not trace.violations
    v, wanted = 0, []
    for n, step in enumerate(x):
        v += int(step @ weight)
        if v >= theta:
            v = v - taken if taken else 0
            wanted.append(n)
    assert np.floor(trace.of(out) / STEP).astype(int).tolist() == wanted


def test_a_net_of_two_names() -> None:
    """What takes a pulse may be there before what sends it: a loop of a dff."""
    build = Builder()
    back = build.net()
    late = build.late(back, "clk", 1, "d")
    out, again = build.split(build.one("merger", "m", a="in", b=late), 2, "s")
    build.join(back, again)
    netlist = build.netlist()
    assert set(netlist.inputs) == {"in", "clk"}
    begin = 500 * PS * np.arange(1, 5)
    trace = Machines(netlist).run({"in": [0.0], "clk": begin})
    assert trace.of(out).size == 5 and not trace.violations
    assert [(o.instance, o.first, o.second) for o in build.orders] == [("d", "clk", "a")]
