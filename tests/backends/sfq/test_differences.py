"""Pulse for pulse: the circuit of random cells and networks beside their machines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikec.backends.sfq.differences import bounds, compared, first_difference
from spikec.backends.sfq.events import Machines
from spikec.backends.sfq.execute import drives
from spikec.backends.sfq.netlist import Netlist
from spikec.backends.sfq.neurons import Builder
from spikec.backends.sfq.synthesise import synthesise
from spikec.backends.sfq.timing import beside, timing
from spikec.ir.diagnostics import SpikecError

from .networks import PS, combinations, exclusive, given, layered, quantised, skewed

KINDS = ("jtl", "splitter", "merger", "dff", "ndro", "tff", "not", "xor")


def cells_by_chance(rng: np.random.Generator, size: int) -> Netlist:
    """Cells one behind the other, JTLs in front; free inputs are inputs of the netlist."""
    build = Builder()
    line = build.delay("in", 2, "front")
    for k in range(size):
        kind = str(rng.choice(KINDS))
        ports = {"merger": "ab", "dff": ("a", "clk"), "not": ("a", "clk"), "xor": ("a", "b", "clk"),
                 "ndro": ("set", "reset", "clk")}.get(kind, "a")  # fmt: skip
        chosen = int(rng.integers(len(ports)))
        nets = {p: build.delay(f"{p}{k}", 2, f"l{p}{k}") for p in ports if p != ports[chosen]}
        nets[ports[chosen]] = line
        if kind == "splitter":
            out = [build.net(), build.net()]
            build.cell(kind, f"c{k}", nets | {"q": out[0], "r": out[1]})
            line = build.delay(out[0], 1, f"next{k}")
            build.delay(out[1], 1, f"end{k}")
        else:
            line = build.delay(build.one(kind, f"c{k}", **nets), 1, f"next{k}")
    return build.netlist()


def stimuli_within(
    netlist: Netlist, rng: np.random.Generator, pulses: int
) -> dict[str, np.ndarray]:
    """Pulses by chance at all inputs, drawn again until no cell has two too close."""
    machines = Machines(netlist)
    for tries in range(3000):
        most = (60 + tries / 10) * PS
        apart = rng.uniform(18 * PS, most, (len(netlist.inputs), pulses))
        begin = rng.uniform(0, most, (len(netlist.inputs), 1))
        times = begin + np.cumsum(apart, 1)
        found = dict(zip(netlist.inputs, times, strict=True))
        if not machines.run(found).violations:
            return found
    raise AssertionError("no stimulus keeps the separations")


def circuits_agree(count: int, stimuli: int, size: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    done = 0
    for _ in range(count):
        netlist = cells_by_chance(rng, size)
        for _ in range(stimuli):
            try:
                found = compared(netlist, stimuli_within(netlist, rng, 3))
            except SpikecError as error:
                # A circuit's own input times may be a little closer than those that were drawn.
                assert "E1435" in str(error)
                continue
            assert found is None, str(found)
            done += 1
    return done


def test_a_few_random_circuits() -> None:
    assert circuits_agree(count=3, stimuli=1, size=2, seed=1) >= 2


@pytest.mark.slow
def test_a_thousand_random_stimuli() -> None:
    assert circuits_agree(count=250, stimuli=4, size=3, seed=2) >= 950


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_networks(seed: int) -> None:
    """XOR, and one with a line that inverts: four steps in an order by chance, with skews."""
    for graph in (exclusive(), layered([([[1, -1], [-1, 1]], [0.5, -0.5]), ([[1, 1]], [0.5])])):
        program = synthesise(quantised(graph))
        order = np.random.default_rng(seed).permutation(4)
        moved = skewed(program, drives(program, given(combinations(2)[order])), seed)
        found = compared(program.netlist, {net: t + 5 * PS for net, t in moved.items()})
        assert found is None, str(found)


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
        3 * jtl, rel=1e-6, abs=0
    )
    # The dff sends when its clock comes, whenever its other input did.
    assert found[out] == pytest.approx(jtl + dff, rel=1e-6, abs=0)


def test_the_first_pulse_that_differs_is_named() -> None:
    netlist = line()
    trace = Machines(netlist).run({"in": [10 * PS, 60 * PS]})
    limits = bounds(netlist)
    same = {net: trace.of(net) for net in trace.nets}
    assert first_difference(netlist, trace, same, limits) is None
    late = same["n2"] + [0, limits["n2"] * 1.01]
    found = first_difference(netlist, trace, same | {"n2": late, "n3": late + 15 * PS}, limits)
    # n3 has its first pulse at another time, and that comes before the second of n2.
    assert found is not None and (found.net, found.number) == ("n3", 0)
    found = first_difference(netlist, trace, same | {"n2": late}, limits)
    assert found is not None and (found.net, found.number) == ("n2", 1)
    assert found.machine == same["n2"][1] and found.circuit == late[1]
    assert "the jtl 'd.1'" in str(found)
    lost = first_difference(netlist, trace, same | {"n1": same["n1"][:1]}, limits)
    assert lost is not None and lost.number == 1 and lost.circuit is None
    more = np.append(same["n1"], 90 * PS)
    extra = first_difference(netlist, trace, same | {"n1": more}, limits)
    assert extra is not None and extra.number == 2 and extra.machine is None
    assert "no pulse" in str(extra)


def test_a_machine_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A JTL that is said to take twice as long."""
    slow = timing("jtl")
    slow = replace(slow, delay=slow.delay * 2)
    monkeypatch.setattr("spikec.backends.sfq.events.timing", lambda _: slow)
    found = compared(line(), {"in": [10 * PS]})
    assert found is not None and found.net == "n1" and found.number == 0
    assert found.driver == "the jtl 'd.0'"


def test_pulses_that_are_too_close_are_refused() -> None:
    with pytest.raises(SpikecError, match="E1435"):
        compared(line(), {"in": [10 * PS, 15.5 * PS]})


def test_chance_has_no_bound() -> None:
    build = Builder()
    build.one("synapse", "s", a="in")
    with pytest.raises(SpikecError, match="E1423"):
        bounds(build.netlist())
