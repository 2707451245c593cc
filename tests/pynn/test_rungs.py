"""A script on the rungs that it may choose."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyNN.random import NumpyRNG

import spikec.pynn as sim
from spikec.compiler.cli.main import invoke
from spikec.compiler.stimulus import load_recording
from spikec.ir.diagnostics import SpikecError

Trains = list[np.ndarray[Any, Any]]
CELLS = 20


def script(tau_inhibitory: float = 5.0, **setup: Any) -> tuple[Trains, np.ndarray[Any, Any]]:
    """Spikes and membranes of a random network with inhibition, in ms and mV."""
    sim.setup(timestep=1.0, **setup)
    times = [np.arange(2 + k, 200, 17.0 + k) for k in range(10)]
    source = sim.Population(10, sim.SpikeSourceArray(spike_times=times))
    kind = sim.IF_curr_exp(tau_syn_E=5.0, tau_syn_I=tau_inhibitory, tau_refrac=2.0)
    cells = sim.Population(CELLS, kind, label="cells")
    rng = NumpyRNG(seed=2)
    for pre, weight, delay in ((source, 1.6, 2.0), (cells, -0.5, 1.0)):
        receptor = "excitatory" if weight > 0 else "inhibitory"
        connector = sim.FixedProbabilityConnector(0.4, rng=rng)
        synapse = sim.StaticSynapse(weight=weight, delay=delay)
        sim.Projection(pre, cells, connector, synapse, receptor_type=receptor)
    cells.record(["spikes", "v"])
    sim.run(200.0)
    segment = cells.get_data().segments[0]
    return [np.asarray(train) for train in segment.spiketrains], np.asarray(
        segment.analogsignals[0]
    )


def same(a: Trains, b: Trains) -> float:
    """The share of cells with equal spikes."""
    return float(np.mean([np.array_equal(x, y) for x, y in zip(a, b, strict=True)]))


@pytest.mark.filterwarnings("ignore:warning W0404")
def test_integers_of_many_bits_spike_as_float64_does() -> None:
    golden, v = script()
    found, traced = script(rung="integer", weight_bits=16, state_bits=40, decay_bits=22)
    assert sum(train.size for train in golden) > 3 * CELLS
    assert same(golden, found) == 1.0
    assert np.abs(v - traced).max() < 0.01


@pytest.mark.filterwarnings("ignore:warning W0404")
def test_few_bits_differ_and_fewer_differ_more() -> None:
    golden, _ = script()
    shares = [same(golden, script(rung="integer", weight_bits=bits)[0]) for bits in (3, 8)]
    assert shares[0] < shares[1] <= 1.0


def test_the_arithmetic_of_spinnaker_follows_its_dialect() -> None:
    golden, v = script(dialect="spinnaker")
    found, traced = script(dialect="spinnaker", rung="s1615")
    assert sum(train.size for train in golden) > 3 * CELLS
    assert same(golden, found) >= 0.9
    equal = [np.array_equal(x, y) for x, y in zip(golden, found, strict=True)]
    assert np.abs(v - traced)[:, equal].max() < 0.02


def test_spinnaker_needs_its_dialect_and_options_their_rung() -> None:
    for wrong in ({"rung": "s1615"}, {"rung": "rtl"}, {"dialect": "nest"}, {"weight_bits": 8}):
        with pytest.raises(SpikecError) as caught:
            sim.setup(**wrong)
        assert [d.code for d in caught.value.diagnostics] == ["E1002"]
        assert caught.value.diagnostics[0].where.file == __file__


def test_what_integers_cannot_hold_is_refused_by_name() -> None:
    with pytest.raises(SpikecError) as caught:
        script(tau_inhibitory=9.0, rung="integer")
    (found,) = caught.value.diagnostics
    assert found.code == "E0301" and "cells" in found.message and found.hint
    assert found.where.file == __file__ and found.where.line is not None


def test_a_warning_of_the_compiler_is_one_of_python() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        script(rung="integer", weight_bits=2)
    assert any("W0403" in str(warning.message) for warning in caught)


def test_a_variable_without_a_unit_is_not_recorded() -> None:
    sim.setup(rung="integer")
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[1.0]))
    cells = sim.Population(1, sim.IF_curr_exp(), label="cells")
    synapse = sim.StaticSynapse(weight=1.0, delay=1.0)
    sim.Projection(source, cells, sim.OneToOneConnector(), synapse)
    cells.record("isyn_exc")
    sim.run(5.0)
    with pytest.raises(SpikecError) as caught:
        cells.get_data()
    assert caught.value.diagnostics[0].code == "E1005"


def test_what_is_saved_compiles_and_runs_to_the_same_spikes(tmp_path: Path) -> None:
    golden, _ = script()
    sim.save(tmp_path / "net", 200.0)
    built, recorded = tmp_path / "built", tmp_path / "recorded.npz"
    assert invoke(["compile", str(tmp_path / "net.spk"), "-t", "null", "-o", str(built)]) == 0
    run = ["run", str(built), "--on", "golden", "-s", str(tmp_path / "net.npz")]
    assert invoke([*run, "-o", str(recorded)]) == 0
    events = load_recording(recorded).spikes["cells"]
    found = [events.step[events.index == cell] * 1.0 for cell in range(CELLS)]
    assert same(golden, found) == 1.0
    assert sum(train.size for train in found) > 3 * CELLS
