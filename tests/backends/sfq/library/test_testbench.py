"""Stimuli, ways through machines, and what a bench sees of a cell."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.sfq.cells import CELLS, Machine, cell
from spikec.backends.sfq.library.testbench import Bench, Stimuli, random_stimuli, telling, ways

PS = 1e-12
MACHINES = {name: cell(name).machine for name in CELLS if cell(name).machine is not None}


def machine_of(name: str) -> Machine:
    found = MACHINES[name]
    assert found is not None
    return found


class TestStimuli:
    def test_pulses_are_counted_by_port(self) -> None:
        stimuli = Stimuli.of([[(0, 1.0), (1, 2.0), (0, 3.0)], [(1, 1.0)]])
        assert stimuli.port.tolist() == [[0, 1, 0], [1, -1, -1]]
        assert stimuli.rank[0].tolist() == [0, 0, 1]
        assert np.isnan(stimuli.time[1, 1:]).all()
        assert stimuli.taken([1]).port.tolist() == [[1, -1, -1]]

    def test_a_walk_is_what_the_machine_does_pulse_by_pulse(self) -> None:
        stimuli = random_stimuli(np.full((3, 3), 5 * PS), 20, 9, seed=3)
        machine = machine_of("ndro")
        before, sends = stimuli.walk(machine)
        for ports, states, sent in zip(stimuli.port, before, sends, strict=True):
            state = 0
            for port, found, out in zip(ports, states, sent, strict=True):
                assert found == state
                assert np.array_equal(out, machine.sends[state, port])
                state = machine.next[state, port]

    def test_random_ones_keep_apart_and_half_barely(self) -> None:
        least = np.array([[8.0, 3.0], [0.0, 11.0]]) * PS
        stimuli = random_stimuli(least, 200, 10, seed=4)
        assert (np.diff(stimuli.time) >= 0).all()
        spare = np.diff(stimuli.time)
        for j in range(10):
            for i in range(j):
                wanted = least[stimuli.port[:, i], stimuli.port[:, j]]
                assert (stimuli.time[:, j] - stimuli.time[:, i] > wanted - 1e-18).all()
        assert 0.2 < (spare < 12 * PS).mean() < 0.9


class TestMachines:
    @pytest.mark.parametrize("name", MACHINES)
    def test_ways_lead_to_every_state(self, name: str) -> None:
        machine = machine_of(name)
        for state, way in enumerate(ways(machine)):
            at = 0
            for port in way:
                at = int(machine.next[at, port])
            assert at == state

    @pytest.mark.parametrize("name", MACHINES)
    def test_words_tell_any_two_states_apart(self, name: str) -> None:
        machine = machine_of(name)
        sent = []
        for state in range(len(machine.next)):
            out: list[bool] = []
            for word in telling(machine):
                at = state
                for port in word:
                    out += machine.sends[at, port].tolist()
                    at = int(machine.next[at, port])
            sent.append(tuple(out))
        assert len(set(sent)) == len(sent)
        assert telling(machine)


class TestBench:
    def test_arrivals_and_delays_are_those_of_the_nets(self) -> None:
        bench = Bench("dff")
        stimuli = Stimuli.of([[(0, 30 * PS), (1, 60 * PS)], [(1, 30 * PS)]])
        found = bench.run(stimuli).pulses
        seen = bench.seen(stimuli, found)
        assert seen.right.tolist() == [True, True]
        assert seen.arrival[0, 0] == found.of("a", 0)[0]
        assert seen.arrival[0, 1] == found.of("clk", 0)[0]
        assert seen.delay[0, 1, 0] == found.of("q", 0)[0] - found.of("clk", 0)[0]
        assert np.isnan(seen.delay[0, 0, 0])
        assert found.of("q", 1).size == 0

    def test_stimuli_side_by_side_are_what_they_are_alone(self) -> None:
        bench = Bench("ndro")
        stimuli = random_stimuli(np.full((3, 3), 20 * PS), 12, 5, seed=8)
        together = bench.seen(stimuli, bench.run(stimuli).pulses)
        for k in (0, 11):
            one = stimuli.taken([k])
            alone = bench.seen(one, bench.run(one).pulses)
            assert alone.arrival[0] == pytest.approx(together.arrival[k], abs=1e-18)
            assert alone.delay[0] == pytest.approx(together.delay[k], abs=1e-18, nan_ok=True)

    @pytest.mark.parametrize("factor", [0.2, 1.9])
    def test_a_cell_with_too_little_or_too_much_bias_is_not_its_machine(
        self, factor: float
    ) -> None:
        bench = Bench("merger")
        stimuli = random_stimuli(np.full((2, 2), 20 * PS), 4, 6, seed=8)
        good = bench.run(stimuli)
        assert bench.seen(stimuli, good.pulses).right.all()
        poor = bench.run(stimuli, factors=dict.fromkeys(bench.own, factor))
        assert not bench.seen(stimuli, poor.pulses).right.any()

    def test_another_machine_is_not_what_is_there(self) -> None:
        """A toggle that is clocked by chance at even pulses only would pass; three tell."""
        bench = Bench("tff")
        stimuli = Stimuli.of([[(0, 30 * PS), (0, 60 * PS), (0, 90 * PS)]])
        pulses = bench.run(stimuli).pulses
        assert bench.seen(stimuli, pulses).right.all()
        longer = Stimuli.of([[(0, 30 * PS), (0, 60 * PS), (0, 90 * PS), (0, 120 * PS)]])
        assert not bench.seen(longer, pulses).right.any()

    def test_a_cell_with_other_values_is_another_circuit(self) -> None:
        stimuli = Stimuli.of([[(0, 30 * PS)]])
        sent = []
        for kind in ("jtl", cell("jtl"), cell("jtl", Ijtl=150e-6)):
            bench = Bench(kind)
            sent.append(bench.seen(stimuli, bench.run(stimuli).pulses).delay[0, 0, 0])
        assert sent[0] == sent[1]
        # Less bias is slower, but not by much.
        assert sent[1] < sent[2] < sent[1] + 1.5 * PS

    def test_a_trial_fails_where_delays_are_longer_than_it_allows(self) -> None:
        bench = Bench("jtl")
        stimuli = random_stimuli(np.full((1, 1), 20 * PS), 3, 4, seed=8)
        assert bench.trial(stimuli, 5 * PS).passes({}, 2).tolist() == [True, True]
        assert bench.trial(stimuli, 4 * PS).passes({}, 2).tolist() == [False, False]

    def test_a_trial_fails_where_delays_differ_by_more_than_it_allows(self) -> None:
        """A second read close behind the first is later, and what is in another set is alone."""
        bench = Bench("ndro")
        apart = (12 * PS, 50 * PS)
        reads = [[(0, 30 * PS), (2, 80 * PS), (2, 80 * PS + gap)] for gap in apart]
        stimuli = Stimuli.of(reads)
        delay = bench.seen(stimuli, bench.run(stimuli).pulses).delay[:, 1:, 0]
        close, far = abs(delay[:, 1] - delay[:, 0])
        assert close > 0.2 * PS > 10 * far

        def right(steady: float) -> list[bool]:
            tried = bench.trial(stimuli, 20 * PS, 0.05 * PS, steady)
            return [bool(good) for good in tried.right({}, 1)[0]]

        assert right(1.01 * close) == [True, True]
        assert right(0.99 * close) == [False, True]
        assert right(0.5 * far) == [False, False]
