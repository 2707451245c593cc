"""Circuits as machines: pulses by hand, random chains beside a slow loop, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.cells.netlist import Instance, Netlist
from spikec.backends.sfq.cells.timing import timing
from spikec.backends.sfq.rungs.events import Machines
from spikec.backends.sfq.synthesis.neurons import Builder
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


def test_cells_are_at_rest_again() -> None:
    """What a dff has stored is gone, and a pulse on its way goes on and meets nothing."""
    machines = Machines(net(("d", "dff", {"a": "in", "clk": "clk", "q": "q"})))
    given = {"in": [0.0, 100 * PS], "clk": [50 * PS, 151 * PS]}
    read = float(timing("dff").delay[1, 1, 0])
    np.testing.assert_allclose(machines.run(given).of("q"), [50 * PS + read, 151 * PS + read])
    found = machines.run(given, restarts=[49 * PS])
    np.testing.assert_allclose(found.of("q"), [151 * PS + read])
    assert found.time.size == 5 and not found.violations
    # 2 ps after a read a pulse comes too close; not where cells are at rest in between.
    close = {"in": [52 * PS], "clk": [50 * PS]}
    assert len(machines.run(close).violations) == 1
    assert not machines.run(close, restarts=[51 * PS]).violations


@pytest.mark.parametrize("twice", [False, True], ids=["goes round", "becomes more"])
def test_a_loop_that_feeds_itself_ends(twice: bool) -> None:
    back = "two" if twice else "back"
    cells = [
        ("m", "merger", {"a": "in", "b": back, "q": "n"}),
        ("s", "splitter", {"a": "n", "q": "back", "r": "out"}),
    ]
    if twice:
        cells += [
            ("t", "splitter", {"a": "back", "q": "x", "r": "y"}),
            ("d", "jtl", {"a": "y", "q": "z"}),
            ("u", "merger", {"a": "x", "b": "z", "q": "two"}),
        ]
    # However long it is driven, it is the loop that has no end.
    for pulses in (1, 1000):
        with pytest.raises(SpikecError, match="E1430") as found:
            Machines(net(*cells)).run({"in": 200 * PS * np.arange(pulses)})
        assert "a loop of cells feeds itself" in str(found.value)


def test_what_is_long_has_an_end() -> None:
    """A million pulses through a line that holds several at once."""
    line = net(*((f"j{k}", "jtl", {"a": f"n{k}", "q": f"n{k + 1}"}) for k in range(12)))
    found = Machines(line).run({"n0": 20 * PS * np.arange(1_000_000)})
    assert found.of("n12").size == 1_000_000 and not found.violations
