"""What a script records, sets, resets and runs in pieces."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyNN.random import NumpyRNG, RandomDistribution

import spikec.pynn as sim

from .twins import assert_equal, run_twice


def _trains(group: Any, segment: int = -1) -> list[list[float]]:
    data = group.get_data("spikes").segments[segment]
    return [sorted(np.round(train.magnitude, 6)) for train in data.spiketrains]


def _noise(*pieces: float, rate: Any = 80.0) -> list[list[float]]:
    sim.setup(timestep=0.1, seed=3)
    noise = sim.Population(5, sim.SpikeSourcePoisson(rate=rate, start=20.0))
    noise.record("spikes")
    for piece in pieces:
        sim.run(piece)
        _trains(noise)
    return _trains(noise)


@settings(max_examples=15)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=4))
def test_a_run_in_pieces_has_the_spikes_of_one_run(pieces: list[int]) -> None:
    whole = _noise(sum(pieces) / 10)
    assert _noise(*(piece / 10 for piece in pieces)) == whole


def test_a_longer_run_begins_with_the_spikes_of_a_shorter_one() -> None:
    short, long = _noise(300.0), _noise(900.0)
    assert sum(map(len, short)) > 50
    assert short == [[t for t in train if t < 300.0 - 1e-6] for train in long]


def test_poisson_sources_have_their_rates() -> None:
    rates = np.array([0.0, 20.0, 100.0, 400.0])
    sim.setup(timestep=0.1)
    noise = sim.Population(
        400, sim.SpikeSourcePoisson(rate=np.repeat(rates, 100), start=100.0, duration=500.0)
    )
    noise.record("spikes")
    sim.run(1000.0)
    trains = [np.array(train) for train in _trains(noise)]
    assert all(t.min() >= 100.0 and t.max() < 600.0 for t in trains if t.size)
    counts = np.array([t.size for t in trains]).reshape(4, 100)
    mean = rates * 0.5
    # Of 100 sources, the mean is within five of its standard errors; Bernoulli's are smaller.
    assert (abs(counts.mean(1) - mean) <= 5 * np.sqrt(mean / 100)).all()
    fano = counts[1:].var(1) / counts[1:].mean(1)
    assert (abs(fano - 1) < 0.6).all()


def test_rates_may_change_between_runs() -> None:
    sim.setup(timestep=0.1)
    noise = sim.Population(50, sim.SpikeSourcePoisson(rate=0.0))
    noise.record("spikes")
    for rate in (0.0, 100.0, 0.0):
        noise.set(rate=rate)
        sim.run(100.0)
    times = np.concatenate([*map(np.array, _trains(noise))])
    assert times.size == pytest.approx(500, rel=0.3)
    assert times.min() >= 100.0
    assert times.max() < 200.0


def test_spike_times_may_change_between_runs() -> None:
    def script(module: Any) -> dict[str, Any]:
        module.setup(timestep=0.1)
        source = module.Population(3, module.SpikeSourceArray(spike_times=[5.0, 12.0]))
        cells = module.Population(3, module.IF_curr_exp(i_offset=0.5), label="cells")
        module.Projection(
            source, cells, module.OneToOneConnector(), module.StaticSynapse(weight=9.0, delay=1.0)
        )
        source.record("spikes")
        cells.record(["spikes", "v"])
        module.run(30.0)
        source.set(spike_times=[33.0, 41.5, 50.2])
        module.run(40.0)
        return {"cells": cells}

    assert_equal(*run_twice(script))


ELECTRODES: dict[str, dict[str, Any]] = {
    "DCSource": {"amplitude": 1.2, "start": 10.0, "stop": 55.0},
    "StepCurrentSource": {"times": [5.0, 20.0, 45.0], "amplitudes": [1.0, -0.4, 1.6]},
    "ACSource": {
        "amplitude": 4.0,
        "offset": 0.3,
        "frequency": 30.0,
        "phase": 40.0,
        "start": 7.0,
        "stop": 61.0,
    },
}


@pytest.mark.parametrize("name", ELECTRODES)
def test_electrodes_inject_what_they_inject_on_pynn_brian2(name: str) -> None:
    def script(module: Any) -> dict[str, Any]:
        module.setup(timestep=0.1)
        cells = module.Population(3, module.IF_curr_exp(tau_refrac=1.0), label="cells")
        cells.record(["spikes", "v"])
        getattr(module, name)(**ELECTRODES[name]).inject_into(cells[0:2])
        module.run(80.0)
        return {"cells": cells}

    mine, other = run_twice(script)
    assert [train.size > 0 for train in mine.spikes["cells"]] == [True, True, False]
    assert_equal(mine, other)


def test_noise_is_held_and_has_its_mean_and_deviation() -> None:
    sim.setup(timestep=0.1)
    noise = sim.NoisyCurrentSource(mean=0.5, stdev=0.2, start=10.0, stop=2010.0, dt=1.0)
    cell = sim.Population(1, sim.IF_curr_exp())
    cell.inject(noise)
    noise.record()
    sim.run(2100.0)
    current = np.asarray(noise.get_data().magnitude).ravel()
    inside = current[100:20100].reshape(2000, 10)
    assert (np.ptp(inside, axis=1) == 0).all()
    assert abs(inside[:, 0].mean() - 0.5) < 5 * 0.2 / np.sqrt(2000)
    assert inside[:, 0].std() == pytest.approx(0.2, rel=0.1)
    assert (current[:100] == 0).all()
    assert (current[20100:] == 0).all()


def test_parameters_are_read_and_set_in_populations_views_and_cells() -> None:
    sim.setup(timestep=0.1)
    cells = sim.Population(5, sim.IF_curr_exp(tau_m=[10.0, 11.0, 12.0, 13.0, 14.0]))
    assert list(cells.get("tau_m")) == [10.0, 11.0, 12.0, 13.0, 14.0]
    cells[1:4].set(tau_m=20.0)
    cells[4].tau_m = 30.0
    assert cells[4].tau_m == 30.0
    assert list(cells[[0, 3, 4]].get("tau_m")) == [10.0, 20.0, 30.0]
    both = cells[0:2] + cells[3:5]
    assert list(both.get("tau_m")) == [10.0, 20.0, 20.0, 30.0]
    both.set(v_thresh=-52.0)
    assert list(cells.get("v_thresh")) == [-52.0, -52.0, -50.0, -52.0, -52.0]
    assert cells.get("v_reset") == -65.0
    cells.set(cm=RandomDistribution("uniform", (0.5, 1.5), rng=NumpyRNG(seed=2)))
    assert len(set(cells.get("cm"))) == 5


def test_cells_of_a_view_start_where_they_are_told() -> None:
    sim.setup(timestep=0.1)
    cells = sim.Population(4, sim.IF_curr_exp(), label="cells", initial_values={"v": -60.0})
    assert cells.initial_values["v"].evaluate(simplify=True) == -60.0
    cells[1:3].initialize(v=[-58.0, -57.0])
    cells[0].set_initial_value("v", -56.0)
    assert cells[0].get_initial_value("v") == -56.0
    assert cells.initial_values["v"].evaluate().tolist() == [-56.0, -58.0, -57.0, -60.0]
    cells.record("v")
    sim.run(0.1)
    trace = cells.get_data().segments[0].analogsignals[0].magnitude
    assert trace[0].tolist() == [-56.0, -58.0, -57.0, -60.0]
    assert cells[1:4].initial_values["v"].tolist() == [-58.0, -57.0, -60.0]


def test_initial_values_that_share_a_generator_are_those_of_pynn_brian2() -> None:
    def script(module: Any) -> dict[str, Any]:
        module.setup(timestep=0.1)
        rng = NumpyRNG(seed=5)
        drawn = RandomDistribution("uniform", (-65.0, -50.0), rng=rng)
        first = module.Population(6, module.IF_curr_exp(i_offset=0.8), label="first")
        second = module.Population(4, module.IF_curr_exp(i_offset=0.8), label="second")
        for population in (first, second):
            population.initialize(v=drawn)
            population.record(["spikes", "v"])
        module.Projection(
            first,
            second,
            module.FixedProbabilityConnector(0.5, rng=rng),
            module.StaticSynapse(weight=2.0, delay=0.5),
        )
        module.run(60.0)
        return {"first": first, "second": second}

    assert_equal(*run_twice(script))


def test_data_are_blocks_of_neo_with_a_segment_a_reset(tmp_path: Path) -> None:
    sim.setup(timestep=0.1)
    cells = sim.Population(4, sim.IF_cond_exp(i_offset=[0.0, 0.7, 0.8, 0.9]), label="cells")
    cells.record("spikes")
    cells[1:3].record("v", sampling_interval=0.5)
    sim.run(50.0)
    counts = cells.get_spike_counts()
    assert [counts[cell] for cell in cells] == [len(t) for t in _trains(cells)]
    assert cells.mean_spike_count() == pytest.approx(np.mean(list(counts.values())))
    assert cells[0:1].mean_spike_count() == 0
    sim.reset(annotations={"trial": 1})
    cells.set(i_offset=2.0)
    sim.run(30.0)
    cells.annotate(author="me")
    block = cells.get_data()
    assert block.annotations["author"] == "me"
    assert block.name == "cells"
    first, second = block.segments
    assert first.annotations["trial"] == 1
    assert len(first.spiketrains) == len(second.spiketrains) == 4
    assert first.spiketrains[0].size == 0 < second.spiketrains[0].size
    (v,) = first.analogsignals
    assert v.shape == (101, 2)
    assert v.sampling_period.rescale("ms").magnitude == pytest.approx(0.5)
    assert v.units.dimensionality.string == "mV"
    assert second.spiketrains[0].t_stop.magnitude == pytest.approx(30.0)
    cells.write_data(str(tmp_path / "cells.pkl"))
    assert (tmp_path / "cells.pkl").stat().st_size > 1000


def test_an_assembly_counts_the_spikes_that_are_recorded() -> None:
    sim.setup(timestep=0.1)
    source = sim.Population(2, sim.SpikeSourceArray(spike_times=[0.2, 0.4]), label="source")
    cells = sim.Population(2, sim.IF_curr_exp(), label="cells")
    source[0:1].record("spikes")
    sim.run(1.0)
    assert (cells + source).get_spike_counts() == {int(source[0]): 2}


def test_cleared_data_begin_again() -> None:
    sim.setup(timestep=0.1)
    cells = sim.Population(2, sim.IF_curr_exp(i_offset=1.5))
    cells.record("spikes")
    sim.run(100.0)
    whole = _trains(cells)
    early = cells.get_data(clear=True).segments[0].spiketrains
    assert [len(train) for train in early] == [len(train) for train in whole]
    sim.run(100.0)
    late = _trains(cells)
    assert min(map(min, late)) >= 100.0
    sim.setup(timestep=0.1)
    again = sim.Population(2, sim.IF_curr_exp(i_offset=1.5))
    again.record("spikes")
    sim.run(200.0)
    assert [a + b for a, b in zip(whole, late, strict=True)] == _trains(again)


def test_a_reset_begins_as_the_script_did() -> None:
    sim.setup(timestep=0.1)
    cells = sim.Population(3, sim.IF_curr_exp(i_offset=[0.8, 1.0, 1.2]))
    cells.record("spikes")
    sim.run(90.0)
    sim.reset()
    sim.run(90.0)
    assert _trains(cells, 0) == _trains(cells, 1)
    assert sum(map(len, _trains(cells))) > 3


def test_callbacks_see_time_pass() -> None:
    sim.setup(timestep=0.1)
    cells = sim.Population(1, sim.IF_curr_exp(i_offset=1.5))
    cells.record("spikes")
    seen: list[tuple[float, int]] = []

    def look(t: float) -> float:
        seen.append((round(t, 6), int(cells.mean_spike_count()) if t else 0))
        return t + 20.0

    assert sim.run(60.0, callbacks=[look]) == pytest.approx(60.0)
    assert [t for t, _ in seen] == [0.0, 20.0, 40.0, 60.0]
    assert seen[-1][1] == len(_trains(cells)[0]) > seen[1][1] > 0


@pytest.mark.parametrize(("delays", "expected"), [([], 0.1), ([0.7, 0.4], 0.4)])
def test_the_minimum_delay_is_the_shortest_there_is(delays: list[float], expected: float) -> None:
    sim.setup(timestep=0.1)
    cells = sim.Population(3, sim.IF_curr_exp())
    for delay in delays:
        sim.Projection(cells, cells, sim.OneToOneConnector(), sim.StaticSynapse(delay=delay))
    assert sim.get_min_delay() == pytest.approx(expected)
    sim.setup(timestep=0.1, min_delay=0.3)
    assert sim.get_min_delay() == 0.3


def test_a_current_injected_twice_counts_twice_and_begins_anew_at_a_reset() -> None:
    def script(sim: Any, times: int, twice: bool) -> np.ndarray[Any, Any]:
        sim.setup(timestep=0.1)
        cells = sim.Population(2, sim.IF_curr_exp(v_thresh=0.0))
        source = sim.DCSource(amplitude=0.1 if twice else 0.2, start=2.0, stop=8.0)
        for _ in range(1 + twice):
            source.inject_into(cells[0:1])
        cells.record("v")
        for _ in range(times):
            source.amplitude = 0.1 if twice else 0.2
            sim.run(4.0)
            source.amplitude = 0.3 if twice else 0.6
            sim.run(6.0)
            if times > 1:
                sim.reset()
        segments = cells.get_data().segments
        return np.array([segment.analogsignals[0].magnitude for segment in segments[:times]])

    once = script(sim, 1, False)
    assert np.array_equal(script(sim, 1, True), once)
    assert np.ptp(once[0][:, 0]) > 1.0 and np.ptp(once[0][:, 1]) < 1e-9
    # A reset keeps the amplitude of its moment until the script says another.
    assert np.array_equal(script(sim, 3, True), np.repeat(once, 3, axis=0))
