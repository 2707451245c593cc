"""Pulse for pulse: the circuit of random cells and networks beside their machines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.sfq.cells import cell
from spikec.backends.sfq.cells.netlist import Netlist
from spikec.backends.sfq.cells.timing import at_input, beside, timing
from spikec.backends.sfq.rungs.differences import (
    Beside,
    Difference,
    How,
    bounds,
    compared,
    first_difference,
)
from spikec.backends.sfq.rungs.events import Machines, Violation
from spikec.backends.sfq.rungs.execute import drives
from spikec.backends.sfq.synthesis.neurons import Builder
from spikec.backends.sfq.synthesis.synthesise import Program, synthesise
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Graph

from ..networks import PS, exclusive, given, layered, quantised, skewed

KINDS = ("jtl", "splitter", "merger", "dff", "ndro", "tff", "not", "xor")
# What pulses are drawn further apart than cells stand: circuits' are a little early or late.
ROOM = 1 * PS


def cells_by_chance(rng: np.random.Generator, size: int, between: int) -> Netlist:
    """Cells one behind the other, ``between`` JTLs from one to the next, JTLs at free inputs."""
    build = Builder()
    line = build.delay("in", 2, "front")
    for k in range(size):
        kind = str(rng.choice(KINDS))
        ports = cell(kind).inputs
        chosen = int(rng.integers(len(ports)))
        nets = {p: build.delay(f"{p}{k}", 2, f"l{p}{k}") for p in ports if p != ports[chosen]}
        nets[ports[chosen]] = line
        outs = {port: build.net() for port in cell(kind).outputs}
        build.cell(kind, f"c{k}", nets | outs)
        line, *others = outs.values()
        for other in others:
            build.delay(other, 1, f"end{k}")
        line = build.delay(line, between, f"next{k}")
    build.delay(line, 1, "end")
    return build.netlist()


def roomy(netlist: Netlist, room: float) -> Machines:
    """Machines that stand pulses only so much further apart."""
    wider = {
        kind: replace(timing(kind), apart=timing(kind).apart + room) for kind in netlist.counts
    }
    return Machines(netlist, wider)


def stimuli_within(
    netlist: Netlist, rng: np.random.Generator, count: int, pulses: int, room: float
) -> list[dict[str, np.ndarray]]:
    """Pulses by chance at all inputs, each drawn again until no cell has two too close."""
    machines, inputs = roomy(netlist, room), netlist.inputs
    out: list[dict[str, np.ndarray]] = []
    tries = 0
    while len(out) < count:
        tries += 1
        most = (60 + tries / 10) * PS
        apart = rng.uniform(8 * PS, most, (len(inputs), pulses))
        times = rng.uniform(0, most, (len(inputs), 1)) + np.cumsum(apart, 1)
        found = dict(zip(inputs, times, strict=True))
        if not machines.run(found).violations:
            out.append(found)
            tries = 0
        assert tries < 5000, "no stimulus keeps the separations"
    return out


def steps_by_chance(
    program: Program, rng: np.random.Generator, count: int, steps: int
) -> list[dict[str, np.ndarray]]:
    """Spikes by chance on all lines of a program, each early or late within the skew; clocks."""
    out = []
    for _ in range(count):
        spikes = rng.integers(0, 2, (steps, len(program.inputs["in"])))
        out.append(skewed(program, drives(program, given(spikes)), int(rng.integers(2**31))))
    return out


def all_agree(netlist: Netlist, stimuli: list[dict[str, np.ndarray]]) -> int:
    """How many stimuli there are: none differs, and all are inside of what cells stand."""
    found = compared(netlist, stimuli)
    assert [str(one) for one in found if one is not None] == []
    return len(found)


@pytest.mark.parametrize("between", [0, 1])
def test_a_thousand_random_stimuli(between: int) -> None:
    """Circuits of random cells, with lines between them and without: 500 stimuli each."""
    rng = np.random.default_rng(1 + between)
    done = 0
    for _ in range(20):
        netlist = cells_by_chance(rng, 3, between)
        done += all_agree(netlist, stimuli_within(netlist, rng, 25, 3, ROOM))
    assert done == 500


@pytest.mark.parametrize(
    ("graph", "count"), [(layered([([[1, 1, 1]], [1.5])]), 1000), (exclusive(), 1000)]
)
def test_random_stimuli_of_networks(graph: Graph, count: int) -> None:
    """Two of three lines by counting, and XOR: two steps of random spikes with random skews."""
    program = synthesise(quantised(graph))
    stimuli = steps_by_chance(program, np.random.default_rng(3), count, 2)
    assert all_agree(program.netlist, stimuli) == count


@pytest.mark.slow
def test_a_thousand_random_stimuli_of_xor() -> None:
    """And of one with a line that inverts: four steps each."""
    inverts = layered([([[1, -1], [-1, 1]], [0.5, -0.5]), ([[1, 1]], [0.5])])
    for seed, graph in enumerate((exclusive(), inverts)):
        program = synthesise(quantised(graph))
        stimuli = steps_by_chance(program, np.random.default_rng(seed), 1000, 4)
        assert all_agree(program.netlist, stimuli) == 1000


@pytest.mark.slow
@pytest.mark.parametrize("between", [0, 1])
def test_up_to_what_cells_stand(between: int) -> None:
    """2,400 stimuli as close as machines say they may be; those that circuits see closer are said.

    Some cells do something else there: a difference would be one that is not reported.
    """
    rng = np.random.default_rng(7)
    outside = 0
    for _ in range(60):
        netlist = cells_by_chance(rng, 4, between)
        found = compared(netlist, stimuli_within(netlist, rng, 40, 4, 0.0))
        assert [str(one) for one in found if isinstance(one, Difference)] == []
        outside += sum(one is not None for one in found)
    assert 0 < outside < 480


def line() -> Netlist:
    build = Builder()
    build.delay("in", 3, "d")
    return build.netlist()


def test_bounds_add_up_along_a_path() -> None:
    build = Builder()
    out = build.one("dff", "f", a=build.delay("in", 3, "d"), clk=build.delay("clk", 1, "c"))
    found = bounds(build.netlist())
    jtl, dff = (timing(kind).jitter + beside(kind) for kind in ("jtl", "dff"))
    assert found["in"] == found["clk"] == 0 and found["n3"] == pytest.approx(
        at_input("jtl") + 3 * jtl, rel=1e-6, abs=0
    )
    # The dff sends when its clock comes, whenever its other input did.
    assert found[out] == pytest.approx(at_input("jtl") + jtl + dff, rel=1e-6, abs=0)


def test_the_first_pulse_that_differs_is_named() -> None:
    netlist = line()
    trace = Machines(netlist).run({"in": [10 * PS, 60 * PS]})
    limits = bounds(netlist)
    same = trace.parts()
    assert all(np.array_equal(same[net], trace.of(net)) for net in trace.nets)
    assert first_difference(netlist, same, same, limits) is None
    late = same["n2"] + [0, limits["n2"] * 1.01]
    found = first_difference(netlist, same, same | {"n2": late, "n3": late + 15 * PS}, limits)
    # n3 has its first pulse at another time, and that comes before the second of n2.
    assert found is not None and (found.net, found.number) == ("n3", 0)
    found = first_difference(netlist, same, same | {"n2": late}, limits)
    assert found is not None and (found.net, found.number) == ("n2", 1)
    assert found.machine == same["n2"][1] and found.circuit == late[1]
    assert "the jtl 'd.1'" in str(found)
    lost = first_difference(netlist, same, same | {"n1": same["n1"][:1]}, limits)
    assert lost is not None and lost.number == 1 and lost.circuit is None
    more = np.append(same["n1"], 90 * PS)
    extra = first_difference(netlist, same, same | {"n1": more}, limits)
    assert extra is not None and extra.number == 2 and extra.machine is None
    assert "no pulse" in str(extra)


def test_without_bounds_a_pulse_is_the_one_that_is_nearest() -> None:
    """Of three pulses 20 ps apart all may be 9 ps late; the second that is lost is that one."""
    netlist = line()
    same = Machines(netlist).run({"in": [10 * PS, 30 * PS, 50 * PS]}).parts()

    def found(times: npt.NDArray[np.float64], end: float = np.inf) -> Difference | None:
        return first_difference(netlist, same, same | {"n2": times}, end=end)

    first, second, third = same["n2"]
    assert found(same["n2"] + 9 * PS) is None
    lost = found(np.array([first, third]))
    assert lost is not None
    assert (lost.number, lost.machine, lost.circuit) == (1, second, None)
    assert lost.bound == pytest.approx(10 * PS, rel=1e-6, abs=0)
    extra = found(np.sort([*same["n2"], third - 8 * PS]))
    assert extra is not None
    assert (extra.number, extra.machine, extra.circuit) == (3, None, third)
    early = found(np.array([first - 15 * PS, *same["n2"]]))
    assert early is not None
    assert (early.number, early.machine, early.circuit) == (0, None, first - 15 * PS)
    # What would come when the circuit is looked at no longer is not missed.
    assert found(same["n2"][:2]) is not None
    assert found(same["n2"][:2], end=third + 20 * PS) is None
    assert found(same["n2"][:1], end=third + 20 * PS) is not None


def test_the_cell_that_did_it_is_named_whatever_comes_of_it() -> None:
    """Slow cells are no difference; the one that loses a pulse is, and not those behind it."""
    netlist = line()
    slow = {"in": 10 * PS, "n1": 18 * PS, "n2": 25 * PS, "n3": 33 * PS}
    twice = {net: np.array([at, at + 50 * PS]) for net, at in slow.items()}
    look = Beside(netlist, How.CELLS)
    assert look.first(twice) is None
    lost = look.first(twice | {net: twice[net][:1] for net in ("n2", "n3")})
    assert isinstance(lost, Difference) and lost.cause is None
    assert (lost.net, lost.number, lost.circuit, lost.cell.name) == ("n2", 1, None, "d.1")
    # Two at once: the cell could not have sent both.
    close = twice | {"n1": np.array([18, 20, 68]) * PS}
    found = look.first(close)
    assert isinstance(found, Difference) and found.cell.name == "d.0"
    there = close | {"in": np.array([14, 16, 64]) * PS}
    found = look.first(there)
    assert isinstance(found, Difference) and found.cell.name == "d.1"
    assert isinstance(found.cause, Violation) and found.cause.instance == "d.1"
    assert found.cause.apart == pytest.approx(2 * PS, rel=1e-6, abs=0)


def test_pulses_in_another_order_are_found() -> None:
    """Each cell does what it does, but the clock has overtaken what it should have read."""
    build = Builder()
    data, clock = build.delay("in", 1, "d"), build.delay("clk", 1, "c")
    out = build.one("dff", "f", a=data, clk=clock)
    netlist = build.netlist()
    given = {"in": np.array([10 * PS]), "clk": np.array([40 * PS])}
    right = Machines(netlist).run(given).parts()
    assert right[out].size == 1
    late = right | {data: right[clock] + 15 * PS, out: np.zeros(0)}
    found = Beside(netlist, How.CELLS).first(late)
    assert isinstance(found, Difference) and found.cell.name == "d.0"
    slower = given | {data: right[clock] - 5 * PS, clock: right[clock] - 20 * PS, out: np.zeros(0)}
    found = Beside(netlist, How.CELLS).first(slower)
    assert isinstance(found, Difference) and (found.net, found.circuit) == (out, None)
    counted = Beside(netlist, How.COUNTS).first(right | {out: np.zeros(0)})
    assert isinstance(counted, Difference) and counted.cell.name == "f"
    assert Beside(netlist, How.COUNTS).first(right) is None


def test_cells_that_are_slow_are_no_difference() -> None:
    """A line of 30, each 1.5 ps late: 45 ps in the end, more than from pulse to pulse."""
    build = Builder()
    build.delay("in", 30, "d")
    netlist = build.netlist()
    trace = Machines(netlist).run({"in": [10 * PS, 30 * PS]}).parts()
    late = {net: times + 1.5 * PS * k for k, (net, times) in enumerate(trace.items())}
    assert (late["n30"] - trace["n30"]).min() > 40 * PS
    for how in (How.CELLS, How.COUNTS):
        assert Beside(netlist, how).first(late) is None
    assert isinstance(Beside(netlist).first(late), Difference)


def test_a_machine_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A JTL that is said to take twice as long."""
    slow = timing("jtl")
    slow = replace(slow, delay=slow.delay * 2)
    monkeypatch.setattr("spikec.backends.sfq.rungs.events.timing", lambda _: slow)
    (found,) = compared(line(), [{"in": [10 * PS]}])
    assert isinstance(found, Difference) and found.net == "n1" and found.number == 0
    assert (found.cell.kind, found.cell.name) == ("jtl", "d.0")


def test_pulses_that_are_too_close_are_said_by_name() -> None:
    """Beside stimuli that are not, in one batch; a clock into what a flip-flop has just begun."""
    build = Builder()
    data, clock = build.delay("in", 1, "d"), build.delay("clk", 1, "c")
    build.delay(build.one("dff", "f", a=data, clk=clock), 1, "q")
    netlist, limit = build.netlist(), timing("dff").apart[0, 1]
    gaps = [limit + 2 * PS, limit / 2, 40 * PS]
    found = compared(netlist, [{"in": [10 * PS], "clk": [10 * PS + gap]} for gap in gaps])
    assert found[0] is None and found[2] is None
    said = found[1]
    assert isinstance(said, Violation)
    assert (said.instance, said.kind, said.first, said.second) == ("f", "dff", "a", "clk")
    assert said.limit == limit and said.apart == pytest.approx(limit / 2, rel=1e-6, abs=0)
    assert "'clk' of the dff 'f'" in str(said)


def test_what_only_the_circuit_sees_too_close_is_said() -> None:
    """Machines have two pulses 50 ps apart; had one come late on a net, its cell would say so."""
    netlist, seen = line(), {"in": [10 * PS, 60 * PS]}
    machines = Machines(netlist)
    trace = machines.run(seen)
    came = {net: trace.of(net) for net in trace.nets}
    assert machines.alone(came).violations == ()
    limit = timing("jtl").apart[0, 0]
    late = came | {"n2": np.array([came["n2"][1] - 0.9 * limit, came["n2"][1]])}
    (said,) = machines.alone(late).violations
    assert (said.instance, said.kind, said.limit) == ("d.2", "jtl", limit)
    assert said.apart == pytest.approx(0.9 * limit, rel=1e-6, abs=0)


def test_stimuli_of_no_pulses_and_none() -> None:
    assert compared(line(), []) == ()
    assert compared(line(), [{}, {"in": []}]) == (None, None)
    with pytest.raises(SpikecError, match="E1422"):
        compared(line(), [{"n1": [1 * PS]}])


def test_chance_has_no_bound() -> None:
    build = Builder()
    build.one("synapse", "s", a="in")
    with pytest.raises(SpikecError, match="E1423"):
        bounds(build.netlist())
