"""When a script's network is simulated, and how often."""

from typing import Any

import numpy as np
import pytest

import spikec.pynn as sim
from spikec.pynn import execute

TIMES = [3.0, 9.0, 11.0, 17.0, 26.0, 28.0, 35.0]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of each simulation."""
    found: list[int] = []
    whole = execute._run

    def counted(network: Any, steps: int, *rest: Any) -> Any:
        found.append(steps)
        return whole(network, steps, *rest)

    monkeypatch.setattr(execute, "_run", counted)
    return found


def pair(delay: float = 2.0) -> tuple[Any, Any, Any]:
    """A source, a cell that a strong teacher makes spike, and a weight that learns."""
    sim.setup(timestep=1.0)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=TIMES))
    teacher = sim.Population(1, sim.SpikeSourceArray(spike_times=[t + 1 for t in TIMES]))
    cell = sim.Population(1, sim.IF_curr_exp(tau_m=5.0, tau_refrac=2.0), label="cell")
    strong = sim.StaticSynapse(weight=60.0, delay=1.0)
    sim.Projection(teacher, cell, sim.AllToAllConnector(), strong)
    rule = sim.STDPMechanism(
        sim.SpikePairRule(A_plus=0.02, A_minus=0.03),
        sim.AdditiveWeightDependence(w_max=1.0),
        dendritic_delay_fraction=0,
        weight=0.5,
        delay=delay,
    )
    learns = sim.Projection(source, cell, sim.AllToAllConnector(), rule)
    cell.record(["spikes", "v"])
    return source, cell, learns


def told(cell: Any, learns: Any) -> tuple[list[float], list[float], int]:
    segment = cell.get_data().segments[0]
    weights = learns.get("weight", "list", with_address=False)
    spikes = [float(t) for t in segment.spiketrains[0].magnitude]
    return weights, spikes, len(segment.analogsignals[0])


def test_a_script_that_asks_every_step_costs_few_runs_and_hears_what_one_run_says(
    runs: list[int],
) -> None:
    _, cell, learns = pair()
    heard = []
    for _ in range(32):
        sim.run(1.0)
        heard.append(told(cell, learns))
    assert len(runs) <= 8 and sum(runs) <= 6 * 32
    for step in (1, 3, 12, 27, 32):
        _, cell, learns = pair()
        sim.run(float(step))
        assert told(cell, learns) == heard[step - 1]
    assert len({weights[0] for weights, _, _ in heard}) > 5


def test_a_script_that_asks_at_the_end_costs_one_run_of_its_length(runs: list[int]) -> None:
    _, cell, learns = pair()
    sim.run(15.0)
    sim.run(15.0)
    told(cell, learns)
    told(cell, learns)
    assert runs == [30]


def test_a_source_that_changes_makes_what_was_ahead_void(runs: list[int]) -> None:
    source, cell, learns = pair()
    for _ in range(20):
        sim.run(1.0)
        before = told(cell, learns)
    source.set(spike_times=[22.0, 24.0])
    sim.run(20.0)
    after = told(cell, learns)
    assert runs[-1] == 40 and after[0] != before[0]
    # The spikes of the first twenty steps are those of the times that held then.
    assert [t for t in after[1] if t < 20] == before[1]


def test_what_is_on_its_way_at_the_end_has_changed_nothing() -> None:
    """The first pre spike leaves at 3 ms and is at the synapse 2 ms later, behind a post spike."""
    weights = []
    for end in (5.0, 7.0):
        _, cell, learns = pair()
        sim.run(end)
        weights.append(np.array(told(cell, learns)[0]))
    assert weights[0] == 0.5 and weights[1] != 0.5
