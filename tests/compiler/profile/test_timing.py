"""Steps by hand: who leads, who is next, and what halving gains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.boards.costs import Barrier, CostModel
from spikec.boards.machine import Machine
from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.mapping import Mapping
from spikec.compiler.mapping.route import route
from spikec.compiler.mapping.traffic import traffic
from spikec.compiler.profile.count import Counts, Spikes, count, spikes_of
from spikec.compiler.profile.critical import add_up, causes, link_name
from spikec.compiler.profile.profile import Profile, profile
from spikec.compiler.profile.reach import Reach, reach
from spikec.compiler.profile.timing import (
    LINK,
    NOBODY,
    Timing,
    busy,
    core_seconds,
    leaders,
    timing,
)
from spikec.compiler.profile.timing import network as busy_links
from spikec.ir.events import Events
from spikec.ir.records import same

from ..mapping.nets import network
from ..mapping.simple import machine
from .nets import number, priced, random_part, random_spikes, seated, spikes

NS = 1e-9


def line(**changes: object) -> tuple[Axons, Mapping, CostModel]:
    """Three cores in a row; neuron 0 in core 0 has two synapses in each of the others."""
    m = priced(machine("mesh", (3, 1), cores=1, multicast=False), **changes)
    nodes = (Node("a", 0, 1), Node("b", 1, 4))
    bundle = Bundle("p", 0, np.array([0, 4]), np.arange(1, 5, dtype=np.int32), np.array(1))
    axons = Axons(nodes, 5, (bundle,), np.ones(5, np.int64))
    part = np.array([0, 1, 1, 2, 2], np.int32)
    mapping = replace(seated(axons, m, part), seat=np.arange(3, dtype=np.int32))
    mapping = replace(mapping, routes=route(traffic(axons, part), m, mapping.seat))
    return axons, mapping, m.models["all"]


def timed(
    axons: Axons, mapping: Mapping, model: CostModel, spikes: Spikes, tick: float | None = None
) -> tuple[Reach, Counts, Timing]:
    known = reach(axons, mapping)
    counts = count(known, spikes)
    return known, counts, timing(model, mapping, known, counts, tick)


ONE = spikes(3, [1], [0], [1])


def test_a_step_by_hand() -> None:
    _, _, found = timed(*line(), ONE)
    # Quiet: core 0 updates one neuron in 2 ns, the others two. In step 1 core 0 spikes (4 ns) and
    # sends two packets (6 ns each); the others get one (6 ns) and work on two synapses (3 each).
    assert found.send == pytest.approx(
        NS * np.array([[2, 4, 4], [16, 4, 4], [2, 4, 4]]), rel=1e-9, abs=0
    )
    assert found.receive == pytest.approx(
        NS * np.array([[0, 0, 0], [0, 12, 12], [0, 0, 0]]), rel=1e-9, abs=0
    )
    assert found.leader.tolist() == [1, 0, 1]
    assert found.lead == pytest.approx(NS * np.array([4, 16, 4]), rel=1e-9, abs=0)
    assert found.next == pytest.approx(NS * np.array([4, 16, 4]), rel=1e-9, abs=0)
    # In, two hops of 3 ns, and out behind the 2 ns that a link is taken for.
    assert found.way == pytest.approx(NS * np.array([0, 9, 0]), rel=1e-9, abs=0)
    assert found.length == pytest.approx(NS * np.array([4, 25, 4]), rel=1e-9, abs=0)


def test_cores_that_do_both_at_once() -> None:
    axons, mapping, model = line(overlap=True)
    _, _, found = timed(axons, mapping, model, ONE)
    assert found.lead == pytest.approx(NS * np.array([4, 16, 4]), rel=1e-9, abs=0)
    assert found.next == pytest.approx(NS * np.array([4, 12, 4]), rel=1e-9, abs=0)
    assert core_seconds(model, found.send, found.receive)[1] == pytest.approx(
        NS * np.array([16, 12, 12]), rel=1e-9, abs=0
    )


def test_a_link_leads_where_packets_queue() -> None:
    axons, mapping, model = line(send=(), receive=())
    _, counts, found = timed(axons, mapping, model, replace(ONE, count=np.array([9])))
    # 18 packets over the first link, 2 cycles each; the second carries nine.
    assert found.leader.tolist() == [NOBODY, LINK, NOBODY]
    assert found.lead == pytest.approx(NS * np.array([0, 36, 0]), rel=1e-9, abs=0)
    assert found.next == pytest.approx(NS * np.array([0, 18, 0]), rel=1e-9, abs=0)
    by_name = {
        c.name: c for c in causes(model, axons, mapping, reach(axons, mapping), counts, found)
    }
    assert by_name["link (0, 0) -> (1, 0)"].gain == pytest.approx(18 * NS, rel=1e-9, abs=0)
    assert set(by_name) == {"link (0, 0) -> (1, 0)", "way of packets"}


def test_packets_take_no_time_where_the_model_says_so() -> None:
    axons, mapping, model = line(network=False)
    _, _, found = timed(axons, mapping, model, ONE)
    assert not found.way.any()


def test_a_tick_is_a_tick_and_says_what_is_late() -> None:
    axons, mapping, model = line(pace="tick")
    _, _, found = timed(axons, mapping, model, ONE, tick=20 * NS)
    assert found.length == pytest.approx(NS * np.array([20, 20, 20]), rel=1e-9, abs=0)
    assert found.late == pytest.approx(NS * np.array([0, 5, 0]), rel=1e-9, abs=0)
    with pytest.raises(ValueError, match="a tick"):
        timed(axons, mapping, model, ONE)


def with_barrier(mapping: Mapping) -> Mapping:
    costs = dict(mapping.machine.costs) | {
        "short_time": number(100 * NS, "s"),
        "long_time": number(300 * NS, "s"),
    }
    return replace(mapping, machine=replace(mapping.machine, costs=costs))


@pytest.mark.parametrize(("between", "expected"), [("last", 100), ("linear", 200)])
def test_barriers_are_over_the_routers_in_use(between: str, expected: float) -> None:
    barrier = (Barrier(2, "short_time"), Barrier(4, "long_time"))
    axons, mapping, model = line(pace="barrier", barrier=barrier, between=between)
    _, _, found = timed(axons, with_barrier(mapping), model, ONE)
    assert found.rest == pytest.approx(np.full(3, expected * NS), rel=1e-9, abs=0)
    machine_ = with_barrier(mapping).machine
    few, many = (model.barrier_time(n, machine_.costs) for n in (1, 9))
    assert (few, many) == pytest.approx((100 * NS, 300 * NS), rel=1e-9, abs=0)


def test_halving_by_hand() -> None:
    axons, mapping, model = line(overlap=True)
    known, counts, found = timed(axons, mapping, model, ONE)
    by_name = {(c.kind, c.name): c for c in causes(model, axons, mapping, known, counts, found)}
    core = by_name["core", "core 0 (x 0, y 0)"]
    # Core 0 leads step 1 with 16 ns; halved, the others lead it with 12.
    assert (core.seconds, core.gain, core.steps) == pytest.approx(
        (16 * NS, 4 * NS, 1), rel=1e-9, abs=0
    )
    # Core 1 leads the other two steps as the first of two equal ones: nothing to gain.
    other = by_name["core", "core 1 (x 1, y 0)"]
    assert (other.seconds, other.gain, other.steps) == pytest.approx(
        (8 * NS, 0, 2), rel=1e-9, abs=0
    )
    assert by_name["way", "way of packets"].gain == pytest.approx(4.5 * NS, rel=1e-9, abs=0)
    a, b = by_name["population", "a"], by_name["population", "b"]
    assert (a.seconds, a.gain) == pytest.approx((16 * NS, 4 * NS), rel=1e-9, abs=0)
    # Updates of b in steps 0 and 2; a's own update then leads no step.
    assert (b.seconds, b.gain) == pytest.approx((8 * NS, 4 * NS), rel=1e-9, abs=0)
    work = by_name["work", "packets_out"]
    assert (work.seconds, work.gain) == pytest.approx((12 * NS, 4 * NS), rel=1e-9, abs=0)


def test_causes_of_samples_add_up() -> None:
    axons, mapping, model = line()
    known, counts, found = timed(axons, mapping, model, ONE)
    once = causes(model, axons, mapping, known, counts, found)
    twice = add_up([once, once])
    assert [(c.name, c.seconds, c.gain, c.steps) for c in twice] == [
        (c.name, 2 * c.seconds, 2 * c.gain, 2 * c.steps) for c in once
    ]


MODELS = st.fixed_dictionaries({"overlap": st.booleans(), "network": st.booleans()})


@settings(max_examples=25)
@given(st.integers(0, 2**20), MODELS)
def test_what_steps_wait_for_adds_up_and_halving_is_exact(
    seed: int, changes: dict[str, bool]
) -> None:
    """Every gain of a core equals that of a machine whose core really is twice as fast."""
    axons = network(seed, neurons=30)
    m = priced(machine("mesh", (3, 2), cores=2, multicast=False), **changes)
    mapping = seated(axons, m, random_part(axons, 6, seed), seed)
    model = m.models["all"]
    known, counts, found = timed(axons, mapping, model, random_spikes(axons, 6, seed))
    every = causes(model, axons, mapping, known, counts, found)
    waits = [c for c in every if c.kind in ("core", "link", "way", "barrier")]
    assert sum(c.seconds for c in waits) == pytest.approx(
        float(found.length.sum()), rel=1e-9, abs=0
    )
    link, second, _ = busy_links(model, m, counts)
    for cause in every:
        assert 0 <= cause.gain <= cause.seconds / 2 * (1 + 1e-9) + 1e-18
        if cause.kind == "core":
            scale = np.where(np.arange(mapping.parts) == cause.number, 0.5, 1.0)
            _, lead, _ = leaders(model, found.send * scale, found.receive * scale, link, second)
            assert cause.gain == pytest.approx(float((found.lead - lead).sum()), abs=1e-18)


def test_machines_of_one_core_have_no_next() -> None:
    m: Machine = priced(machine("mesh", (1, 1), cores=1))
    axons = network(1, neurons=10)
    mapping = seated(axons, m, np.zeros(10, np.int64))
    _, _, found = timed(axons, mapping, m.models["all"], random_spikes(axons, 3, 1))
    assert not found.next.any()


def test_a_long_sample_is_profiled_in_blocks_to_the_same_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    axons = network(7, neurons=30)
    m = priced(machine("mesh", (3, 2), cores=2, multicast=False))
    mapping = seated(axons, m, random_part(axons, 6, 7), 7)
    rng = np.random.default_rng(7)
    events = {
        node.name: Events.from_dense(rng.random((3, 50, node.size)) < 0.2) for node in axons.nodes
    }

    def whole() -> Profile:
        return profile(axons, mapping, m.models["all"], events, ["a", "b"])

    at_once = whole()
    monkeypatch.setattr("spikec.compiler.profile.profile._AT_ONCE", 40)
    in_blocks = whole()
    close = {"ledger", "causes", "core_busy", "waits"}
    for name in vars(at_once):
        if name not in close:
            assert same(getattr(at_once, name), getattr(in_blocks, name)), name
    assert in_blocks.core_busy == pytest.approx(at_once.core_busy)
    assert in_blocks.energy == pytest.approx(at_once.energy, rel=1e-9, abs=0)
    assert in_blocks.waits == at_once.waits
    for one, other in zip(at_once.causes, in_blocks.causes, strict=True):
        assert (one.kind, one.name, one.steps) == (other.kind, other.name, other.steps)
        assert (one.seconds, one.gain) == pytest.approx(
            (other.seconds, other.gain), rel=1e-9, abs=0
        )


def test_waits_of_output_spikes_are_those_of_the_steps_until_then() -> None:
    axons = network(5, neurons=30)
    m = priced(machine("mesh", (3, 2), cores=2, multicast=False))
    mapping = seated(axons, m, random_part(axons, 6, 5), 5)
    rng = np.random.default_rng(5)
    events = {
        node.name: Events.from_dense(rng.random((2, 9, node.size)) < 0.3) for node in axons.nodes
    }
    found = profile(axons, mapping, m.models["all"], events, ["b"])
    w = found.waits
    assert w.sample.size == events["b"].sample.size > 20
    model, seconds_of = m.models["all"], {}
    known = reach(axons, mapping)
    for sample, sent in enumerate(spikes_of(axons, events, 9)):
        counts = count(known, sent)
        one = timing(model, mapping, known, counts)
        (send, _), (receive, _) = (
            busy(lines, m, known, counts) for lines in (model.send, model.receive)
        )
        for step in range(9):
            leader = int(one.leader[step])
            link = int(counts.busiest_link[step])
            name = found.core_names[leader] if leader >= 0 else (
                link_name(mapping, int(known.start[link]), int(known.end[link]))
            )  # fmt: skip
            cells = [
                (float(send[step, c] + receive[step, c]), axons.nodes[int(known.cell_node[c])].name)
                for c in np.flatnonzero(known.cell_part == leader)
            ]
            taker = max(cells)[1] if leader >= 0 else None
            seconds_of[sample, step] = (name, float(one.lead[step]), float(one.way[step]), taker)
    for k in range(w.sample.size):
        waited: dict[str, float] = {}
        taken: dict[str, float] = {}
        total = 0.0
        for step in range(int(w.step[k]) + 1):
            name, lead, way, taker = seconds_of[int(w.sample[k]), step]
            waited[name] = waited.get(name, 0.0) + lead
            waited["way of packets"] = waited.get("way of packets", 0.0) + way
            total += lead + way
            if taker is not None:
                taken[taker] = taken.get(taker, 0.0) + lead
        assert w.seconds[k] == pytest.approx(total, rel=1e-9, abs=0)
        most = max(waited.values())
        assert waited[w.causes[int(w.cause[k])]] == pytest.approx(most, rel=1e-9, abs=0)
        assert w.share[k] == pytest.approx(most / total)
        assert taken[w.nodes[int(w.node[k])]] == pytest.approx(max(taken.values()), rel=1e-9, abs=0)


def test_halving_a_barrier_saves_half_of_it() -> None:
    barrier = (Barrier(1, "short_time"),)
    axons, mapping, model = line(pace="barrier", barrier=barrier)
    mapping = with_barrier(mapping)
    known, counts, found = timed(axons, mapping, model, ONE)
    [cause] = [
        c for c in causes(model, axons, mapping, known, counts, found) if c.kind == "barrier"
    ]
    assert (cause.seconds, cause.gain) == pytest.approx((300 * NS, 150 * NS), rel=1e-9, abs=0)


def test_populations_of_cores_that_do_both_at_once_count_what_leads() -> None:
    axons, mapping, model = line(overlap=True)
    known, counts, found = timed(axons, mapping, model, ONE)
    [b] = [
        c
        for c in causes(model, axons, mapping, known, counts, found)
        if (c.kind, c.name) == ("population", "b")
    ]
    # Core 1 leads the quiet steps by updates; what it receives in step 1 leads nothing.
    assert b.seconds == pytest.approx(8 * NS, rel=1e-9, abs=0)
