"""Windows, separations, orders and periods, by hand and against pulses by chance."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.cells.netlist import Instance, Netlist
from spikec.backends.sfq.cells.netlist import pulses as train_of
from spikec.backends.sfq.cells.timing import Timing
from spikec.backends.sfq.josephson.simulate import Simulator, Transient
from spikec.backends.sfq.rungs.events import Machines
from spikec.backends.sfq.synthesis import schedule as schedule_room
from spikec.backends.sfq.synthesis.neurons import Builder
from spikec.backends.sfq.synthesis.schedule import (
    CALM,
    CORNERS,
    LINE,
    STEADY,
    Order,
    Schedule,
    Window,
)
from spikec.ir.diagnostics import SpikecError

PS = 1e-12
JTL = Timing(np.full((1, 1, 1), 4 * PS), np.full((1, 1), 7 * PS), 0.5 * PS)
SPLITTER = Timing(np.full((1, 1, 2), 5 * PS), np.full((1, 1), 8 * PS), 0.5 * PS)
MERGER = Timing(np.array([[[6 * PS], [7 * PS]]]), np.full((2, 2), 9 * PS), 1 * PS)
DFF = Timing(
    np.array([[[np.nan], [np.nan]], [[np.nan], [8 * PS]]]),
    np.array([[6 * PS, 5 * PS], [2 * PS, 6 * PS]]),
    0.0,
)
NDRO = Timing(
    np.stack([np.full((3, 1), np.nan), np.array([[np.nan], [np.nan], [7 * PS]])]),
    np.full((3, 3), 3 * PS),
    0.5 * PS,
)


# Windows by hand are those of jitters.
@pytest.fixture(autouse=True)
def jittery(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "calm" not in request.node.name:
        monkeypatch.setattr(schedule_room, "STEADY", {})


TIMINGS = {"jtl": JTL, "splitter": SPLITTER, "merger": MERGER, "dff": DFF, "ndro": NDRO}


def windows_at(schedule: Schedule, **nets: tuple[float, float]) -> dict[str, tuple[Window, ...]]:
    given = {net: (Window(low * PS, high * PS),) for net, (low, high) in nets.items()}
    return schedule.windows(given)


def ends(window: Window) -> tuple[float, float]:
    return round(window.early / PS, 6), round(window.late / PS, 6)


@pytest.fixture(autouse=True)
def alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells take as long beside one another, and behind sources, as beside JTLs."""
    monkeypatch.setattr(schedule_room, "beside", lambda _: 0.0)
    monkeypatch.setattr(schedule_room, "at_input", lambda _: 0.0)


def merged(delay: int) -> Netlist:
    build = Builder()
    build.cell("merger", "m", {"a": "a", "b": build.delay("b", delay, "d"), "q": "q"})
    return build.netlist()


def test_a_window_grows_by_jitter_and_by_delays_that_differ() -> None:
    schedule = Schedule(merged(1), timings=TIMINGS)
    found = windows_at(schedule, a=(0, 2), b=(10, 12))
    assert ends(found["n1"][0]) == (13.5, 16.5)
    assert [ends(w) for w in found["q"]] == [(5, 9), (19.5, 24.5)]


@pytest.mark.parametrize("corner", CORNERS)
def test_a_corner_scales_delays_and_separations(corner: float) -> None:
    schedule = Schedule(merged(0), corner, TIMINGS)
    found = windows_at(schedule, a=(0, 0), b=(9.5, 9.5))
    wanted = [(6 * corner - 1, 6 * corner + 1), (9.5 + 7 * corner - 1, 9.5 + 7 * corner + 1)]
    np.testing.assert_allclose([ends(w) for w in found["q"]], wanted)
    tight = schedule.tight(found)
    lacks = 9 * corner - 9.5
    assert [t.lacks / PS for t in tight] == ([] if lacks <= 0 else [pytest.approx(lacks)])


def test_what_is_too_close_is_named() -> None:
    schedule = Schedule(merged(0), timings=TIMINGS)
    (tight,) = schedule.tight(windows_at(schedule, a=(0, 2), b=(5, 6)))
    assert (tight.instance, tight.first, tight.second) == ("m", "a", "b")
    assert tight.lacks == pytest.approx(6 * PS, rel=1e-6, abs=0)
    assert str(tight) == "pulses at 'a' and 'b' of the merger 'm' lack 6.0 ps"
    assert schedule.tight(windows_at(schedule, a=(0, 2), b=(5, 6)), worst=True) == [tight]
    (over,) = schedule.tight(windows_at(schedule, a=(0, 4), b=(3, 6)))
    assert over.lacks == pytest.approx(10 * PS, rel=1e-6, abs=0)  # they overlap by 1


def test_pulses_that_were_one_do_not_part_by_what_that_was_late() -> None:
    """Through a splitter and 4 JTLs: 16 +- 2 ps whatever the skew of 20 ps."""
    build = Builder()
    q, r = build.split("in", 2, "s")
    build.cell("merger", "m", {"a": q, "b": build.delay(r, 4, "d"), "q": "out"})
    schedule = Schedule(build.netlist(), timings=TIMINGS)
    found = windows_at(schedule, **{"in": (0, 20)})
    assert not schedule.tight(found)
    one, two = found["n1"][0], found["n6"][0]
    low, high = one.beside(two)
    assert [round(x / PS, 6) for x in (*low, *high)] == [4.5, 5.5, 18.5, 23.5]
    assert one.shared(two) == 0 and one.shared(Window(0, 0)) == -1


def test_the_period_and_what_comes_after() -> None:
    build = Builder()
    build.cell("dff", "d", {"a": build.delay("in", 1, "j"), "clk": "clk", "q": "q"})
    schedule = Schedule(build.netlist(), timings=TIMINGS)
    before = windows_at(schedule, **{"in": (0, 2)})
    tree = windows_at(schedule, clk=(0, 0))
    # At a until 6.5, and 5 from there to a read.
    assert schedule.after(before, tree) == pytest.approx(11.5 * PS, rel=1e-6, abs=0)
    both = windows_at(schedule, **{"in": (0, 2), "clk": (12, 12)})
    # From the read at 12 it takes 2 to the next pulse, which is there from 3.5 on.
    assert schedule.period(both) == pytest.approx(10.5 * PS, rel=1e-6, abs=0)
    assert schedule.period({}) == 0


def counter(hold: int, slot: int) -> tuple[Netlist, list[Order]]:
    """Two lines one behind the other, and a cell that holds one pulse back, ``hold`` JTLs late."""
    build = Builder()
    line = build.serial(["a", "b"], slot, "in")
    read, late = build.split(line, 2, "s")
    nets = {"set": build.delay(late, hold, "h"), "reset": "reset", "clk": read, "q": "q"}
    build.cell("ndro", "skip", nets)
    return build.netlist(), [Order("skip", "clk", "set", own=True)]


@pytest.mark.parametrize(("hold", "slot", "first"), [(2, 8, None), (9, 8, "set"), (0, 8, "clk")])
def test_a_pulse_is_set_behind_its_own_read_and_before_the_next(
    hold: int, slot: int, first: str | None
) -> None:
    netlist, orders = counter(hold, slot)
    schedule = Schedule(netlist, timings=TIMINGS)
    found = windows_at(schedule, a=(0, 2), b=(0, 2))
    wrong = schedule.disordered(found, orders)
    assert (wrong[0].first if wrong else None) == first
    if first == "set":
        # The read of b: 8 JTLs and b's way through the merger, less jitter; a's set: 9 JTLs.
        assert wrong[0].lacks > 0 and wrong[0].second == "clk"


def test_orders_of_all_pulses() -> None:
    netlist = Netlist((Instance("v", "ndro", {"set": "s", "reset": "r", "clk": "c", "q": "q"}),))
    schedule = Schedule(netlist, timings=TIMINGS)
    orders = [Order("v", "set", "reset")]
    assert not schedule.disordered(windows_at(schedule, s=(0, 5), r=(5, 6)), orders)
    (wrong,) = schedule.disordered(windows_at(schedule, s=(0, 5), r=(4, 6)), orders)
    assert (wrong.first, wrong.second) == ("set", "reset")
    assert wrong.lacks == pytest.approx(1 * PS, rel=1e-6, abs=0)
    # A reset that has nothing to do with the clock is free of it.
    free = [Order("v", "clk", "reset", own=True)]
    assert not schedule.disordered(windows_at(schedule, c=(9, 9), r=(4, 6)), free)


def test_a_loop_without_a_clock_is_refused() -> None:
    loop = (
        Instance("m", "merger", {"a": "in", "b": "back", "q": "n"}),
        Instance("s", "splitter", {"a": "n", "q": "back", "r": "out"}),
    )
    with pytest.raises(SpikecError, match="E1431") as caught:
        Schedule(Netlist(loop))
    assert "m" in str(caught.value) and "s" in str(caught.value)
    waits = (
        Instance("m", "merger", {"a": "in", "b": "back", "q": "n"}),
        Instance("d", "dff", {"a": "n", "clk": "clk", "q": "back"}),
    )
    found = windows_at(Schedule(Netlist(waits), timings=TIMINGS), clk=(0, 0))
    assert ends(found["n"][0]) == (8 + 7 - 1, 8 + 7 + 1)


def test_a_line_with_calm_pulses_keeps_them_apart() -> None:
    """Behind 50 JTLs two pulses of 40 ps are off by 1.18 ps each; of 19 ps by 25."""
    build = Builder()
    out = build.delay("x", 50, "d")
    schedule = Schedule(build.netlist(), timings=TIMINGS)

    def of(apart: float, period: float) -> list[tuple[float, float]]:
        pulses = (Window(0.0, 0.0), Window(apart * PS, apart * PS))
        found = schedule.windows({"x": pulses})
        assert schedule.period(found) == pytest.approx(period * PS, rel=1e-6, abs=0)
        return [ends(w) for w in found[out]]

    # At the last cell they are 49 cells' jitter early and late; 20 ps or 7 apart it takes.
    calm, close = of(40, 40 + 49 * 0.04 + 20), of(19, 19 + 49 + 7)
    # The last has no JTL behind it.
    assert calm == [(200 - 1.18, 200 + 1.18), (240 - 1.18, 240 + 1.18)]
    assert close == [(175, 225), (194, 244)]


@pytest.mark.parametrize("corner", CORNERS)
def test_machines_stay_inside_their_windows(corner: float) -> None:
    """A tree of cells with delays by chance within jitter and corner, 40 times."""
    build = Builder()
    line = build.serial([*build.split("a", 3, "s"), "b"], 6, "in")
    out = build.skip_one(line, "r", "k")
    schedule = Schedule(build.netlist(), corner)
    found = windows_at(schedule, a=(0, 10), b=(0, 10), r=(400, 400))
    rng = np.random.default_rng(5)
    for _ in range(40):
        moved = {
            kind: Timing(
                t.delay * corner + rng.uniform(-t.jitter, t.jitter), t.apart * corner, t.jitter
            )
            for kind, t in schedule._timing.items()
        }
        pulses = {"a": rng.uniform(0, 10 * PS, 1), "b": rng.uniform(0, 10 * PS, 1)}
        trace = Machines(build.netlist(), moved).run(pulses)
        assert trace.of(out).size == 3
        for net, time in zip(trace.net.tolist(), trace.time.tolist(), strict=True):
            there = found[trace.nets[net]]
            assert any(w.early - 1e-18 <= time <= w.late + 1e-18 for w in there)


@pytest.mark.parametrize("kind", STEADY)
def test_calm_pulses_take_the_same_time_in_the_circuit(kind: str) -> None:
    """Pulses `CALM` and more apart through three cells with JTLs between."""
    build, line, cells = Builder(), "in", []
    for k in range(3):
        line = build.delay(line, 2, f"j{k}")
        ports = {"a": line, "b": f"b{k}"} if kind == "merger" else {"a": line}
        outs = {"q": build.net()} | ({"r": build.net()} if kind == "splitter" else {})
        build.cell(kind, f"x{k}", ports | outs)
        cells.append((line, outs["q"]))
        line = outs["q"]
    build.delay(line, 2, "end")
    netlist = build.netlist()
    sources = {"in": np.array([20.0, 40.5, 61.0, 120.0, 141.0])}
    if kind == "merger":
        sources |= {f"b{k}": np.array([200.0 + 50 * k]) for k in range(3)}
    simulator = Simulator(netlist.circuit({n: train_of(t * PS) for n, t in sources.items()}))
    watch = tuple({net for pair in cells for net in pair})
    seen = simulator.run(Transient(400 * PS, 0.1 * PS), watch=watch).pulses
    for before, behind in cells:
        arrived, left = seen.of(before), seen.of(behind)
        assert arrived.size >= 5 and np.diff(arrived).min() > CALM
        delay = left[np.searchsorted(left, arrived)] - arrived
        most = LINE if kind == "jtl" else STEADY[kind] / 10
        assert np.ptp(delay) / 2 < most / 2


def beside_each_other() -> Builder:
    """Two lines, b behind a, on one: a merger, which drives a splitter."""
    build = Builder()
    line = build.one("merger", "m", a="a", b="b")
    q, r = build.split(line, 2, "s")
    build.cell("dff", "d", {"a": build.delay(q, 2, "j"), "clk": "clk", "q": "q"})
    build.cell("dff", "e", {"a": r, "clk": "other", "q": "qq"})
    return build


def test_beside_another_cell_delays_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 ps of either where the merger drives the splitter, and where that drives a dff."""
    netlist = beside_each_other().netlist()
    plain = Schedule(netlist, timings=TIMINGS)
    monkeypatch.setattr(schedule_room, "beside", lambda _: 1.0 * PS)
    wide = Schedule(netlist, timings=TIMINGS)
    given = {"a": (0, 0), "b": (30, 30)}
    before, behind = windows_at(plain, **given), windows_at(wide, **given)
    q, r = (netlist.instances[1].nets[port] for port in "qr")
    for net, off in ((netlist.instances[0].nets["q"], 1), (q, 2), (r, 3), ("a", 0)):
        for one, two in zip(before[net], behind[net], strict=True):
            assert (one.early - two.early) / PS == pytest.approx(off)
            assert (two.late - one.late) / PS == pytest.approx(off)
    # Both pulses take the same way, and are as far apart as ever.
    for net in (q, r):
        one, two = behind[net]
        apart = [late[0] - early[1] for early, late in (one.beside(two),)]
        one, two = before[net]
        assert apart == [pytest.approx(two.early - one.late, rel=1e-9, abs=0)]
        assert one.fixed_with(two) == 0
    assert wide.period(behind) == pytest.approx(plain.period(before), rel=1e-9, abs=0)


def test_behind_a_source_delays_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 ps of the merger, whichever source drives it."""
    netlist = beside_each_other().netlist()
    plain = Schedule(netlist, timings=TIMINGS)
    off = {"merger": 1.0 * PS, "dff": 0.0}
    monkeypatch.setattr(schedule_room, "at_input", off.__getitem__)
    wide = Schedule(netlist, timings=TIMINGS)
    net = netlist.instances[0].nets["q"]
    given = {"a": (0, 0), "b": (30, 30)}
    before, behind = windows_at(plain, **given)[net], windows_at(wide, **given)[net]
    for one, two in zip(before, behind, strict=True):
        assert (one.early - two.early) / PS == pytest.approx(1)
        assert (two.late - one.late) / PS == pytest.approx(1)
    # By its own input each: both may be off, either way.
    first, last = behind[0].beside(behind[1])
    apart = before[1].early - before[0].late
    assert last[0] - first[1] == pytest.approx(apart - 2 * PS, rel=1e-9, abs=0)


def test_what_is_off_parts_pulses_of_two_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pulse and its copy: of what the copy's way is off by both may be, either way."""
    monkeypatch.setattr(schedule_room, "beside", lambda _: 1.0 * PS)
    schedule = Schedule(beside_each_other().netlist(), timings=TIMINGS)
    found = windows_at(schedule, a=(0, 0), b=(30, 30))
    q, r = (schedule.netlist.instances[1].nets[port] for port in "qr")
    (one, _), (two, _) = found[q], found[r]
    # Behind the splitter: its own 1 ps at the merger is shared, that at the dff is not.
    assert one.fixed_with(two) == pytest.approx(2 * PS, rel=1e-9, abs=0)
    assert two.fixed_with(two) == pytest.approx(3 * PS, rel=1e-9, abs=0)


def test_the_worst_alone_is_the_first_of_all() -> None:
    """Of a network whose pulses are far too close, in all that may be too close or out of order."""
    build = Builder()
    for k in range(6):
        build.cell("merger", f"m{k}", {"a": f"a{k}", "b": f"b{k}", "q": f"q{k}"})
    schedule = Schedule(build.netlist(), timings=TIMINGS)
    rng = np.random.default_rng(0)
    ends_of = {net: tuple(np.sort(rng.uniform(0, 20, 2))) for net in build.netlist().inputs}
    found = windows_at(schedule, **ends_of)
    every, some = schedule.tight(found), schedule.tight(found, worst=True)
    assert len(some) < len(every) and some[0] == every[0]
    orders = [Order(f"m{k}", "a", "b") for k in range(6)]
    every, some = schedule.disordered(found, orders), schedule.disordered(found, orders, worst=True)
    assert len(some) < len(every) and some[0] == every[0]


def test_pulses_share_what_their_ways_share() -> None:
    """The last window of both, however far behind: found by jumps as by going back one by one."""
    rng = np.random.default_rng(1)
    every = [Window(0.0, 0.0)]
    for _ in range(300):
        origin = every[int(rng.integers(max(len(every) - 6, 0), len(every)))]
        every.append(origin.moved(1.0, 2.0))
    lines = [{w} for w in every[:1]]
    for w in every[1:]:
        assert w.origin is not None
        lines.append({w} | lines[every.index(w.origin)])
    for _ in range(300):
        i, j = rng.integers(0, len(every), 2).tolist()
        assert every[i].shared(every[j]) == max(w.depth for w in lines[i] & lines[j])
    assert every[-1].shared(Window(0.0, 0.0)) == -1
