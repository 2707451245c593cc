"""Co-simulation: equal where the interconnect is fast enough, late by as much as it is slow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.chips.cosim import TimedExecutor
from spikec.boards.costs import CostLine, CostModel
from spikec.boards.machine import Machine
from spikec.compiler.integer.executor import Executor
from spikec.compiler.integer.population import spiking_populations
from spikec.compiler.mapping.axons import Axons
from spikec.compiler.mapping.mapping import Mapping
from spikec.compiler.mapping.network import axons_of
from spikec.compiler.noc.analytic import Error
from spikec.compiler.noc.fabric import Fabric
from spikec.compiler.profile.count import count, spikes_of
from spikec.compiler.profile.distortion import Journeys, Tally
from spikec.compiler.profile.reach import reach
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection

from ...compiler.integer.test_executor import networks, neuron
from ...compiler.mapping import simple
from ...compiler.profile.nets import priced
from .test_execute import GRIDS, SEEDS, counts, scattered


def delayed(graph: Graph) -> Graph:
    """Every projection a step later: as chips need it."""
    later = tuple(replace(p, delay=p.delay + 1) for p in graph.projections)
    return replace(graph, projections=later)


def everything(graph: Graph) -> list[str]:
    return [p.name for p in graph.populations]


def chain(neurons: int = 6, delay: int = 1) -> Graph:
    """A line of inputs, neurons that pass each spike on, and neurons that get it."""
    one = np.eye(neurons, dtype=np.int64) * 50
    cell = neuron("zero", 40, max_spikes=1)
    return Graph(
        "chain",
        1e-3,
        (Input("in", (neurons,)),),
        (Population("a", (neurons,), cell), Population("b", (neurons,), cell)),
        (
            Projection("p", "in", "a", Dense(one), 1),
            Projection("q", "a", "b", Dense(one), delay),
        ),
        (Output("out", "b"),),
    )


def placed(
    graph: Graph, machine: Machine, part: list[int], seat: list[int]
) -> tuple[Axons, Mapping]:
    axons = axons_of(graph, machine, 8)
    return axons, simple.map_simply(axons, machine, part, seat)


@settings(max_examples=40)
@given(networks(), st.sampled_from(sorted(GRIDS)), SEEDS)
def test_without_latency_everything_is_as_on_the_integer_rung(
    graph: Graph, name: str, seed: int
) -> None:
    graph, rng = delayed(graph), np.random.default_rng(seed)
    axons, mapping = scattered(graph, name, rng)
    stimulus = counts(rng.integers(0, 3, (2, 10, 3)))
    wanted = Executor(graph).run(stimulus, populations=everything(graph)).spikes
    fabric = Fabric.ideal(mapping.machine)
    for tick in (1, 100, None):
        executor = TimedExecutor(graph, axons, mapping, fabric, tick)
        found = executor.timed(stimulus, populations=everything(graph))
        assert found.recording.spikes == wanted
        d = found.distortion
        assert (d.late, d.dropped, d.disorder) == (0, 0, 0)
        assert (d.mean_absolute, d.least, d.most, d.latency_most) == (0, 0, 0, 0)


@settings(max_examples=25)
@given(networks(), st.sampled_from(["ring", "tree", "triads"]), SEEDS)
def test_steps_that_wait_for_their_packets_lose_none(graph: Graph, name: str, seed: int) -> None:
    """Also where a tick is long enough: equal spikes, nothing late, what the profile counts."""
    graph, rng = delayed(graph), np.random.default_rng(seed)
    axons, mapping = scattered(graph, name, rng)
    stimulus = counts(rng.integers(0, 3, (2, 8, 3)))
    fabric = Fabric(mapping.machine, 1e-9, hop_x=3, hop_y=5, drop_after=None, buffer=64)
    wanted = Executor(graph).run(stimulus, populations=everything(graph))
    raw = Executor(graph).run(stimulus, populations=spiking_populations(graph), raw=True).spikes
    known = reach(axons, mapping)
    operations = sum(
        int(count(known, spikes).synaptic_operations.sum())
        for spikes in spikes_of(axons, raw | stimulus.inputs, 8)
    )
    for tick in (None, 100_000):
        executor = TimedExecutor(graph, axons, mapping, fabric, tick)
        found = executor.timed(stimulus, populations=everything(graph))
        assert found.recording.spikes == wanted.spikes
        # What a register holds in the last step is in no recording.
        if not any(p.semantics.registered for p in graph.populations):
            assert executor.synaptic_operations == operations
        assert found.distortion.late == found.distortion.dropped == 0
        if found.distortion.copies:
            assert found.distortion.latency_most >= 2  # into a router and out of it


def test_a_spike_that_takes_two_ticks_arrives_two_steps_later() -> None:
    """One spike over two hops of 10 cycles: 1 + 20 + 1 cycles, at ticks of 10, 11, 22 and 23."""
    graph = chain(1)
    m = simple.machine("mesh", (3, 1), multicast=False)
    axons, mapping = placed(graph, m, [0, 1], [0, 2])
    fabric = Fabric(m, 1e-9, hop_x=10)
    spike = np.zeros((1, 12, 1), np.int64)
    spike[0, 2, 0] = 1
    for tick, late in ((10, 2), (11, 2), (22, 1), (23, 0)):
        found = TimedExecutor(graph, axons, mapping, fabric, tick).timed(
            counts(spike), populations=["a", "b"]
        )
        # The input is at the router of a's core: in and out in 2 cycles.
        assert found.recording.spikes["a"].step.tolist() == [3]
        assert found.recording.spikes["b"].step.tolist() == [4 + late], tick
        assert found.distortion.late == (late > 0)


def test_intervals_are_distorted_where_packets_wait() -> None:
    """Two neurons spike in every other step; their packets share one link of 4 cycles a flit."""
    graph = chain(2)
    m = simple.machine("mesh", (2, 1), multicast=False)
    axons, mapping = placed(graph, m, [0, 0, 1, 1], [0, 1])
    dense = np.zeros((1, 12, 2), np.int64)
    dense[0, ::2, 0] = 1
    dense[0, ::4, 1] = 1
    fabric = Fabric(m, 1e-9, hop_x=4, gap=4)
    found = TimedExecutor(graph, axons, mapping, fabric, 100).timed(counts(dense))
    d = found.distortion
    # The second neuron's packet always waits for the first's: its intervals stay what they are.
    assert (d.mean_absolute, d.disorder, d.late) == (0, 0, 0)
    dense[0, 4, 0] = 0  # once there is nobody in front of it
    found = TimedExecutor(graph, axons, mapping, fabric, 100).timed(counts(dense))
    d = found.distortion
    assert d.least < 0 < d.most and d.mean_absolute > 0
    assert d.disorder == 0


def test_spikes_overtake_each_other_on_ways_of_different_length() -> None:
    graph = Graph(
        "fork",
        1e-3,
        (Input("in", (2,)),),
        (
            Population("far", (1,), neuron("zero", 40, max_spikes=1)),
            Population("near", (1,), neuron("zero", 40, max_spikes=1)),
            Population("end", (1,), neuron("zero", 40, max_spikes=1)),
        ),
        (
            Projection("p", "in", "far", Dense(np.array([[50, 0]])), 1),
            Projection("q", "in", "near", Dense(np.array([[0, 50]])), 1),
            Projection("r", "far", "end", Dense(np.array([[50]])), 1),
            Projection("s", "near", "end", Dense(np.array([[50]])), 1),
        ),
        (Output("out", "end"),),
    )
    m = simple.machine("mesh", (8, 1), multicast=False, host=1)
    axons, mapping = placed(graph, m, [0, 1, 2], [7, 1, 0])
    dense = np.zeros((1, 20, 2), np.int64)
    dense[0, 1, 0] = dense[0, 8, 1] = 1
    # Far spikes while its packet is on the way for long; near, later, is there before it.
    fabric = Fabric(m, 1e-9, hop_x=20)
    found = TimedExecutor(graph, axons, mapping, fabric, 20).timed(counts(dense))
    assert found.distortion.disorder == 1
    slow = TimedExecutor(graph, axons, mapping, fabric, 2000).timed(counts(dense))
    assert slow.distortion.disorder == 0


def test_latency_and_distortion_are_in_proportion_to_the_clock_of_the_interconnect() -> None:
    """Where the packets of a step are gone before the next one begins."""
    rng = np.random.default_rng(3)
    graph = chain(12)
    m = simple.machine("mesh", (4, 3), multicast=False)
    axons, mapping = placed(graph, m, [k // 2 for k in range(24)], list(range(12)))
    stimulus = counts(rng.random((2, 40, 12)) < 0.4)
    base = Fabric(m, 1e-9, hop_x=2, hop_y=3, buffer=4, gap=2)
    found = {}
    for factor in (0, 1, 2, 5):
        tick = 4000 // max(factor, 1)
        d = (
            TimedExecutor(graph, axons, mapping, base.slowed(factor), tick)
            .timed(stimulus)
            .distortion
        )
        found[factor] = np.array([d.latency_mean, d.latency_most, d.mean_absolute]) * d.cycle
    assert not found[0].any() and found[1].all()
    for factor in (2, 5):
        assert found[factor] == pytest.approx(factor * found[1], rel=1e-12, abs=0)


def test_latency_grows_with_that_of_a_hop() -> None:
    rng = np.random.default_rng(3)
    graph = chain(12)
    m = simple.machine("mesh", (4, 3), multicast=False)
    axons, mapping = placed(graph, m, [k // 2 for k in range(24)], list(range(12)))
    stimulus = counts(rng.random((2, 40, 12)) < 0.4)
    before = (-1.0, -1.0, -1)
    base = Fabric(m, 1e-9, hop_x=2, hop_y=3, buffer=32)
    for scale in (0, 1, 2, 4, 8):
        found = TimedExecutor(graph, axons, mapping, base.scaled(scale), 400).timed(stimulus)
        d = found.distortion
        now = (d.latency_mean, float(d.latency_most), d.late)
        assert all(b <= n for b, n in zip(before, now, strict=True)), scale
        before = now
    assert before[0] > 20


def test_the_estimate_is_near_where_links_are_mostly_free() -> None:
    rng = np.random.default_rng(3)
    graph = chain(12)
    m = simple.machine("mesh", (4, 3), multicast=False)
    axons, mapping = placed(graph, m, [k // 2 for k in range(24)], list(range(12)))
    stimulus = counts(rng.random((2, 40, 12)) < 0.2)
    fabric = Fabric(m, 1e-9, hop_x=4, hop_y=6, buffer=32)
    for tick in (None, 400):
        error = TimedExecutor(graph, axons, mapping, fabric, tick).timed(stimulus).estimate
        assert error is not None and abs(error.mean) < 0.1 and error.most < 1
    silent = counts(np.zeros((1, 5, 12), np.int64))
    assert TimedExecutor(graph, axons, mapping, fabric, 400).timed(silent).estimate is None


def test_when_spikes_leave_depends_on_their_place_in_the_core() -> None:
    graph = chain(4)
    m = priced(simple.machine("mesh", (2, 1), multicast=False))
    axons, mapping = placed(graph, m, [0, 0, 0, 0, 1, 1, 1, 1], [0, 1])
    model = CostModel(
        "m",
        "m",
        "free",
        send=(
            CostLine("quiet_updates", "update_time"),
            CostLine("spikes", "spike_time"),
            CostLine("packets_out", "packet_time"),
        ),
    )
    dense = np.zeros((1, 8, 4), np.int64)
    dense[0, 1, [1, 3]] = 1
    seen = Travels(graph, axons, mapping, Fabric.ideal(m, 1e-9), 1000, model=model)
    found = seen.timed(counts(dense))
    [journeys] = seen.travels
    from_a = journeys.source < 4
    # Neuron 1: two updates of 2 ns, 2 more for its spike, 6 for its packet; neuron 3 the same again
    # and two more updates.
    assert journeys.source[from_a].tolist() == [1, 3]
    assert (journeys.sent[from_a] - 2000).tolist() == [12, 24]
    assert found.recording.spikes["b"].step.tolist() == [3, 3]
    with_lines = journeys.sent[~from_a]
    assert with_lines.tolist() == [1000, 1000]


class Travels(TimedExecutor):
    """Keeps the copies of every sample."""

    def _clear(self) -> None:
        super()._clear()
        self.travels: list[Journeys] = []
        tally, kept = self._tally, self.travels

        class Keeping(Tally):
            def add(self, journeys: Journeys) -> None:
                kept.append(journeys)
                tally.add(journeys)

        self._tally = Keeping()


def busy_model(**changes: object) -> CostModel:
    """A neuron takes 10 ns to update and 20 more to send."""
    model = CostModel(
        "m",
        "m",
        "free",
        send=(CostLine("updates", "update_time", 5.0), CostLine("packets_out", "packet_time", 2.0)),
    )
    return replace(model, **changes)  # type: ignore[arg-type]


def test_a_core_that_is_late_goes_on_first_and_is_counted_apart() -> None:
    graph = chain(4)
    m = priced(simple.machine("mesh", (2, 1), multicast=False))
    axons, mapping = placed(graph, m, [0, 0, 0, 0, 1, 1, 1, 1], [0, 1])
    dense = np.zeros((1, 12, 4), np.int64)
    dense[0, 1:3] = 1
    # Four updates of 10 ns and four packets of 12 ns: 88 ns a step that lasts 50; none spikes in
    # the steps after, which still take 40 each.
    seen = Travels(graph, axons, mapping, Fabric.ideal(m, 1e-9), 50, model=busy_model())
    found = seen.timed(counts(dense), populations=["a", "b"])
    [journeys] = seen.travels
    sent = journeys.sent[journeys.source < 4]
    # Spikes of a in steps 2 and 3: cycles 100 and 150, the second begun after the first, at 188.
    assert sorted(sent.tolist()) == [122, 144, 166, 188, 210, 232, 254, 276]
    d = found.distortion
    # In step 2 the last two leave after cycle 150, in step 3 all four after 200.
    assert (d.late, d.late_cores) == (6, 6)
    assert (d.latency_most, d.disorder) == (0, 0)


def paced(update: float = 0.0, spike: float = 0.0, packet: float = 0.0) -> CostModel:
    """What a neuron takes in cycles of 1 ns, in counts of what takes 2 ns."""
    each = {"updates": update, "spikes": spike, "packets_out": packet}
    lines = tuple(CostLine(count, "update_time", cycles / 2) for count, cycles in each.items())
    return CostModel("m", "m", "free", send=lines)


def test_a_spike_leaves_in_the_cycle_in_which_it_is_done() -> None:
    """Four neurons, each updated in 2.4 cycles, with a spike in 0.3 and a packet in 0.5: 3.2 k."""
    graph = chain(4)
    m = priced(simple.machine("mesh", (2, 1), multicast=False))
    axons, mapping = placed(graph, m, [0, 0, 0, 0, 1, 1, 1, 1], [0, 1])
    dense = np.zeros((1, 6, 4), np.int64)
    dense[0, 1] = 1
    model = paced(2.4, 0.3, 0.5)
    seen = Travels(graph, axons, mapping, Fabric.ideal(m, 1e-9), 1000, model=model)
    seen.timed(counts(dense))
    [journeys] = seen.travels
    assert (journeys.sent[journeys.source < 4] - 2000).tolist() == [3, 6, 9, 12]


@pytest.mark.parametrize(
    ("tick", "update", "source", "sent"),
    [
        # 31 ns are 30.999999999999996 cycles of 1 ns. The core is late: it begins with step 1, in
        # which its neuron spikes, in cycle 31.
        (20, 31, 0, [62]),
        # 15 ns are 15.000000000000002: step 1, in which the line sends again, begins in cycle 15.
        (None, 15, 2, [0, 15]),
    ],
)
def test_the_last_digit_of_a_cost_is_no_cycle(
    tick: int | None, update: int, source: int, sent: list[int]
) -> None:
    graph = chain(1)
    m = priced(simple.machine("mesh", (2, 1), multicast=False))
    axons, mapping = placed(graph, m, [0, 1], [0, 1])
    dense = np.zeros((1, 8, 1), np.int64)
    dense[0, : len(sent)] = 1
    model = paced(update)
    seen = Travels(graph, axons, mapping, Fabric.ideal(m, 1e-9), tick, model=model)
    seen.timed(counts(dense))
    [journeys] = seen.travels
    assert journeys.sent[journeys.source == source].tolist() == sent


def test_a_step_is_over_in_the_cycle_in_which_its_cores_are_done() -> None:
    """Three updates of 0.8 cycles are 2.4, so it takes 3; with a packet of 0.6 it takes 3, too."""
    graph = chain(3)
    m = priced(simple.machine("mesh", (2, 1), multicast=False))
    axons, mapping = placed(graph, m, [0, 0, 0, 1, 1, 1], [0, 1])
    dense = np.zeros((1, 8, 3), np.int64)
    dense[0, 1:5, 0] = 1
    model = paced(update=0.8, packet=0.6)
    seen = Travels(graph, axons, mapping, Fabric.ideal(m, 1e-9), None, model=model)
    seen.timed(counts(dense))
    [journeys] = seen.travels
    assert journeys.sent[journeys.source >= 6].tolist() == [3, 6, 9, 12]


def test_a_core_that_is_late_has_paid_for_its_spikes() -> None:
    """Four updates of 10 cycles and four spikes of 20 are 120 cycles of a step that lasts 50."""
    graph = chain(4)
    m = priced(simple.machine("mesh", (2, 1), multicast=False))
    axons, mapping = placed(graph, m, [0, 0, 0, 0, 1, 1, 1, 1], [0, 1])
    dense = np.zeros((1, 12, 4), np.int64)
    dense[0, 1:3] = 1
    seen = Travels(graph, axons, mapping, Fabric.ideal(m, 1e-9), 50, model=paced(10, 20))
    seen.timed(counts(dense))
    [journeys] = seen.travels
    # It begins with step 2 in cycle 100, and with step 3 in 220 instead of 150.
    sent = journeys.sent[journeys.source < 4]
    assert sorted(sent.tolist()) == [130, 160, 190, 220, 250, 280, 310, 340]


@pytest.mark.parametrize(("tick", "sent", "late"), [(11, 32, 0), (10, 30, 1)])
def test_a_copy_sent_in_the_last_cycle_of_a_step_is_not_late(
    tick: int, sent: int, late: int
) -> None:
    """An update of 10 cycles: step 2 of 11 lasts from 22 to 32, of 10 from 20 to 29."""
    graph = chain(1)
    m = priced(simple.machine("mesh", (2, 1), multicast=False))
    axons, mapping = placed(graph, m, [0, 1], [0, 1])
    spike = np.zeros((1, 8, 1), np.int64)
    spike[0, 1, 0] = 1
    seen = Travels(graph, axons, mapping, Fabric.ideal(m, 1e-9), tick, model=paced(10))
    found = seen.timed(counts(spike))
    [journeys] = seen.travels
    assert journeys.sent[journeys.source == 0].tolist() == [sent]
    assert (found.distortion.late, found.distortion.late_cores) == (late, late)
    assert found.recording.spikes["b"].step.tolist() == [3 + late]


def test_the_estimate_has_steps_as_far_apart_as_they_are() -> None:
    """Also where copies take longer than a step: they meet packets of the next one.

    Neuron 1 of a spikes in step 2 of 100 cycles, leaves after two updates, in 290, and is at its
    router in 291. Neuron 0 spikes in step 3, leaves in 345, and waits from 346 to 361 for the link.
    Nothing waits for anything else, so the estimate is exact.
    """
    graph = chain(2)
    m = priced(simple.machine("mesh", (2, 1), multicast=False))
    axons, mapping = placed(graph, m, [0, 0, 1, 1], [0, 1])
    dense = np.zeros((1, 12, 2), np.int64)
    dense[0, 1, 1] = dense[0, 2, 0] = 1
    fabric = Fabric(m, 1e-9, hop_x=500, gap=70)
    seen = Travels(graph, axons, mapping, fabric, 100, model=paced(45))
    found = seen.timed(counts(dense))
    [journeys] = seen.travels
    alone = 1 + 500 + 70
    assert journeys.latency[journeys.source < 2].tolist() == [alone, alone + 15]
    assert found.estimate == Error(0.0, 0.0, 0.0, 0.0)


def test_every_core_pays_for_its_own_packets() -> None:
    """Two cores that send at once, each two packets a spike."""
    graph = chain(4)
    m = priced(simple.machine("mesh", (2, 2), multicast=False))
    axons, mapping = placed(graph, m, [0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 2, 3])
    dense = np.zeros((1, 6, 4), np.int64)
    dense[0, 1] = 1
    seen = Travels(graph, axons, mapping, Fabric.ideal(m, 1e-9), 1000, model=busy_model())
    seen.timed(counts(dense))
    [journeys] = seen.travels
    sent = {s: t - 2000 for s, t in zip(journeys.source, journeys.sent, strict=True) if s < 4}
    assert sent == {0: 22, 1: 44, 2: 22, 3: 44}


def test_lines_in_cores_only_send() -> None:
    graph = chain(2)
    m = replace(priced(simple.machine("mesh", (2, 2), multicast=False)), inputs_on_cores=True)
    axons, mapping = placed(graph, m, [0, 0, 1, 1, 2, 2], [0, 1, 2])
    dense = np.zeros((1, 4, 2), np.int64)
    dense[0, 1] = 1
    seen = Travels(graph, axons, mapping, Fabric.ideal(m, 1e-9), 1000, model=busy_model())
    seen.timed(counts(dense))
    [journeys] = seen.travels
    lines = journeys.sent[journeys.source >= 4]
    # Neither is updated: the first packet takes 12 ns, the second leaves behind it.
    assert (lines - 1000).tolist() == [12, 24]


def test_links_are_used_in_every_sample() -> None:
    graph = chain(2)
    m = simple.machine("mesh", (2, 1), multicast=False)
    axons, mapping = placed(graph, m, [0, 0, 1, 1], [0, 1])
    dense = np.zeros((2, 6, 2), np.int64)
    dense[:, 1] = 1

    def flits(stimulus: Stimulus) -> int:
        found = TimedExecutor(graph, axons, mapping, Fabric(m, 1e-9), 100).timed(stimulus)
        return int(found.links[:, 2].sum())

    assert flits(counts(dense)) == 2 * flits(counts(dense[:1])) > 0


def test_steps_wait_for_cores_and_for_a_barrier() -> None:
    graph = chain(4)
    m = priced(simple.machine("mesh", (2, 1), multicast=False))
    axons, mapping = placed(graph, m, [0, 0, 0, 0, 1, 1, 1, 1], [0, 1])
    dense = np.zeros((1, 12, 4), np.int64)
    dense[0, 1:4] = 1
    for barrier in (0, 1000):
        seen = Travels(
            graph, axons, mapping, Fabric.ideal(m, 1e-9), None, model=busy_model(), barrier=barrier
        )
        seen.timed(counts(dense))
        [journeys] = seen.travels
        lines = np.unique(journeys.sent[journeys.source >= 8])
        # A quiet step takes four updates; one in which a spikes 88 ns, and begins the next in the
        # cycle after that in which the last packet arrived.
        assert np.diff(lines).tolist() == [40 + barrier, 89 + barrier]


@settings(max_examples=15)
@given(networks(), st.sampled_from(["ring", "tree"]), SEEDS)
def test_whatever_cores_take_nothing_is_late_where_steps_wait(
    graph: Graph, name: str, seed: int
) -> None:
    graph, rng = delayed(graph), np.random.default_rng(seed)
    axons, mapping = scattered(graph, name, rng)
    mapping = replace(mapping, machine=priced(mapping.machine))
    stimulus = counts(rng.integers(0, 3, (2, 8, 3)))
    fabric = Fabric(mapping.machine, 1e-9, hop_x=3, hop_y=5, buffer=64)
    wanted = Executor(graph).run(stimulus, populations=everything(graph))
    timed = TimedExecutor(graph, axons, mapping, fabric, None, model=busy_model(), barrier=7)
    found = timed.timed(stimulus, populations=everything(graph))
    assert found.recording.spikes == wanted.spikes
    assert (found.distortion.late, found.distortion.late_cores) == (0, 0)


def test_copies_that_never_arrive_are_late_and_counted() -> None:
    graph = chain(1)
    m = simple.machine("mesh", (3, 1), multicast=False)
    axons, mapping = placed(graph, m, [0, 1], [0, 2])
    spike = np.zeros((1, 4, 1), np.int64)
    spike[0, 2, 0] = 1
    found = TimedExecutor(graph, axons, mapping, Fabric(m, 1e-9, hop_x=1000), 10).timed(
        counts(spike)
    )
    assert found.recording.spikes["b"].step.size == 0
    assert (found.distortion.late, found.distortion.latency_most) == (1, 2002)


def test_packets_that_routers_drop_are_counted() -> None:
    graph = chain(8)
    m = simple.machine("ring", (4, 1), cores=2, multicast=False)
    axons, mapping = placed(graph, m, [k // 2 for k in range(16)], list(range(8)))
    fabric = Fabric(m, 1e-9, hop_x=2, gap=40, buffer=1, drop_after=10)
    stimulus: Stimulus = counts(np.ones((1, 12, 8), np.int64))
    found = TimedExecutor(graph, axons, mapping, fabric, 100).timed(
        stimulus, populations=["a", "b"]
    )
    d = found.distortion
    assert d.dropped > 0
    # Every spike of the inputs and of a is one packet, which arrives or does not.
    a = Executor(graph).run(stimulus, populations=["a"]).spikes["a"]
    sent = 12 * 8 + found.recording.spikes["a"].step.size
    assert found.recording.spikes["a"].step.size <= a.step.size
    assert d.copies + d.dropped == sent


def test_what_cannot_be_simulated_is_refused() -> None:
    graph = replace(
        chain(1), projections=(replace(chain(1).projections[0], delay=0), chain(1).projections[1])
    )
    m = simple.machine("mesh", (3, 1), multicast=False)
    axons, mapping = placed(graph, m, [0, 1], [0, 2])
    with pytest.raises(SpikecError, match="E0307"):
        TimedExecutor(graph, axons, mapping, Fabric(m, 1e-9), 10)
    axons, mapping = placed(chain(1), m, [0, 1], [0, 2])
    with pytest.raises(ValueError, match="tick of 0 cycles"):
        TimedExecutor(chain(1), axons, mapping, Fabric(m, 1e-9), 0)
