"""Circuits as machines: pulses by hand, random chains beside a slow loop, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq import events
from spikec.backends.sfq.events import Machines
from spikec.backends.sfq.netlist import Instance, Netlist
from spikec.backends.sfq.neurons import Builder
from spikec.backends.sfq.timing import timing
from spikec.ir.diagnostics import SpikecError

PS = 1e-12


def net(*cells: tuple[str, str, dict[str, str]]) -> Netlist:
    return Netlist(tuple(Instance(*cell) for cell in cells))


def test_delays_add_up() -> None:
    build = Builder()
    out = build.delay("in", 5, "d")
    found = Machines(build.netlist()).run({"in": [10 * PS, 40 * PS]})
    delay = 5 * float(timing("jtl").delay[0, 0, 0])
    np.testing.assert_allclose(found.of(out), np.array([10 * PS, 40 * PS]) + delay)
    assert (np.diff(found.time) >= 0).all() and not found.violations


def test_an_ndro_is_set_read_and_reset() -> None:
    build = Builder()
    out = build.one("ndro", "n", set="s", reset="r", clk="c")
    pulses = {"s": [0.0, 200 * PS], "c": [-50 * PS, 50 * PS, 100 * PS, 150 * PS, 250 * PS],
              "r": [120 * PS]}  # fmt: skip
    found = Machines(build.netlist()).run(pulses)
    delay = float(timing("ndro").delay[1, 2, 0])
    np.testing.assert_allclose(found.of(out), np.array([50, 100, 250]) * PS + delay)


def test_a_pulse_that_comes_too_soon_is_named() -> None:
    limit = float(timing("jtl").apart[0, 0])
    machines = Machines(net(("j", "jtl", {"a": "in", "q": "out"})))
    assert not machines.run({"in": [0.0, limit]}).violations
    (found,) = machines.run({"in": [0.0, limit - 0.2 * PS]}).violations
    assert (found.instance, found.kind, found.first, found.second) == ("j", "jtl", "a", "a")
    assert found.limit == limit and found.apart == pytest.approx(limit - 0.2 * PS, rel=1e-6, abs=0)
    assert str(found) == (
        f"at {(limit - 0.2 * PS) / PS:.2f} ps a pulse at 'a' of the jtl 'j' is "
        f"{(limit - 0.2 * PS) / PS:.2f} ps behind one at 'a'; it takes {limit / PS:.2f} ps"
    )


def walked(cells: list[str], pulses: list[float]) -> list[float]:
    """A chain of cells with one input that counts, pulse by pulse."""
    for kind in cells:
        cell_timing = timing(kind)
        state, out = 0, []
        for time in pulses:
            if kind == "tff":
                if state:
                    out.append(time + float(cell_timing.delay[1, 0, 0]))
                state = 1 - state
            else:
                out.append(time + float(cell_timing.delay[0, 0, 0]))
        pulses = out
    return pulses


def test_random_chains() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        kinds = rng.choice(["jtl", "tff", "splitter"], 6).tolist()
        build, line = Builder(), "in"
        for k, kind in enumerate(kinds):
            if kind == "splitter":
                line = build.split(line, 2, f"s{k}")[0]
            else:
                line = build.one(kind, f"c{k}", a=line)
        pulses = np.cumsum(rng.uniform(20 * PS, 60 * PS, 30)).tolist()
        found = Machines(build.netlist()).run({"in": pulses})
        np.testing.assert_allclose(found.of(line), walked(kinds, pulses), atol=1e-18)


def test_the_order_of_stimuli_does_not_matter() -> None:
    build = Builder()
    build.one("merger", "m", a="x", b="y")
    machines = Machines(build.netlist())
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 1e-9, (2, 30))
    one = machines.run({"x": x, "y": y})
    two = machines.run({"y": y[::-1], "x": np.sort(x)})
    assert one == two
    assert machines.run({}).time.size == 0


def test_what_is_no_net_and_no_machine() -> None:
    machines = Machines(net(("j", "jtl", {"a": "in", "q": "out"})))
    with pytest.raises(SpikecError, match="E1422"):
        machines.run({"out": [0.0]})
    with pytest.raises(SpikecError, match="E1421"):
        machines.run({"in": [0.0]}).of("nowhere")
    with pytest.raises(SpikecError, match="E1423"):
        Machines(net(("s", "dcsfq", {"a": "in", "q": "out"})))


def test_a_loop_that_feeds_itself_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_MOST", 1000)
    loop = net(
        ("m", "merger", {"a": "in", "b": "back", "q": "n"}),
        ("s", "splitter", {"a": "n", "q": "back", "r": "out"}),
    )
    with pytest.raises(SpikecError, match="E1430"):
        Machines(loop).run({"in": [0.0]})
