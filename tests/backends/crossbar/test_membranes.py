"""Analogue neurons: the integer rung's where nothing is lost, their offsets, and the bound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.backends.crossbar.chip import Chip
from spikec.backends.crossbar.conditions import Conditions, Membranes
from spikec.backends.crossbar.files import read_design
from spikec.backends.crossbar.membranes import charged
from spikec.boards.macro import load_macro
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.integer.population import integer_neuron
from spikec.compiler.ladder import is_measured, quantised, run_rung
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LI, LIF
from spikec.ir.semantics import Reset

ANALOGUE = Conditions(neuron=Membranes.ANALOGUE)
IDEAL = ("wire=0", "gated=off", "programming=off", "drift=off", "read_noise=off")


def compiled(*words: str, target: str = "rram-wan", **changes: Any) -> Artifact:
    """12 lines, 8 neurons that spike, 4 that are read out."""
    r = np.random.default_rng(5)
    one, zero = np.asarray(1.0), np.asarray(0.0)
    spiking = LIF(tau=np.asarray(0.02), r=one, v_leak=zero, v_threshold=one)
    hidden = Population("hidden", (8,), spiking)
    graph = Graph(
        "small",
        1e-3,
        (Input("in", (12,)),),
        (
            replace(hidden, semantics=replace(hidden.semantics, **changes)),
            Population("out", (4,), LI(tau=np.asarray(0.02), r=one, v_leak=zero)),
        ),
        (
            Projection("w1", "in", "hidden", Dense(r.normal(3.0, 6.0, (8, 12)))),
            Projection("w2", "hidden", "out", Dense(r.normal(3.0, 6.0, (4, 8)))),
        ),
        (Output("spikes", "hidden"), Output("read", "out")),
    )
    options = {"conditions": ("tile=16", *words)}
    quantise = Quantise(weight_bits=5, input_max=1, state_bits=20)
    return compile_graph(graph, *find_target(target), quantise, options).artifact()


def stimulus(steps: int = 40) -> Stimulus:
    dense = (np.random.default_rng(6).random((3, steps, 12)) < 0.3).astype(np.int64)
    return Stimulus({"in": Events.from_dense(dense)})


def run(made: Artifact, rung: str, *words: str, seed: int = 1) -> Any:
    return run_rung(
        made,
        rung,
        stimulus(),
        populations=("hidden", "out"),
        record=(("hidden", "v"), ("out", "v")),
        seed=seed,
        conditions=words,
    ).recording


@pytest.mark.parametrize("reset", ["zero", "subtract", "two_phase"])
def test_on_ideal_cells_spikes_are_the_integer_rungs(reset: str) -> None:
    """Converters of four bits are in the way of digital neurons; without them nothing is lost."""
    made = compiled(*IDEAL, "adc_bits=4", reset=Reset(reset))
    integer, digital = run(made, "integer"), run(made, "circuit")
    analogue = run(made, "circuit", "neuron=analogue")
    assert integer.spikes["hidden"].value.sum() > 50
    assert analogue.spikes["hidden"] == integer.spikes["hidden"]
    key = ("hidden", "v")
    assert np.array_equal(analogue.states[key], integer.states[key])
    assert digital.spikes["hidden"] != integer.spikes["hidden"]
    # What is read out is behind converters all the same.
    assert (analogue.states["out", "v"] != integer.states["out", "v"]).any()


def test_an_ideal_crossbar_with_analogue_neurons_is_the_integer_rung() -> None:
    made = compiled("neuron=analogue", target="crossbar-ideal")
    assert not is_measured(made, "circuit")
    integer, analogue = run(made, "integer"), run(made, "circuit")
    assert analogue.spikes == integer.spikes
    for key, states in integer.states.items():
        assert np.array_equal(analogue.states[key], states)
    other = compiled("neuron=analogue", "comparator_offset=10%", target="crossbar-ideal")
    assert is_measured(other, "circuit")
    assert run(other, "circuit").spikes["hidden"] != integer.spikes["hidden"]


def test_only_readouts_have_converters() -> None:
    made = compiled(*IDEAL, "adc_bits=6")
    graph = quantised(made)
    assert not charged(graph, Conditions(), 1).units
    bare = charged(graph, ANALOGUE, 1).units
    assert list(bare) == ["w1"]
    found = read_design(made, graph, load_macro("rram-wan"))
    for reader in Chip(found, 1, unconverted=bare).tiles:
        codes = reader.codes(np.ones((1, reader.tile.rows), np.int64))
        whole = np.array_equal(codes, np.rint(codes)) and np.abs(codes).max() > 1
        assert whole == (reader.tile.projection == "w2")
    # In their decks, too.
    text = {
        name.split("/")[1][:2]: content.decode()
        for name, content in compiled(*IDEAL, "neuron=analogue").files.items()
        if name.startswith("tiles/")
    }
    assert "bcode0" in text["w2"] and "bcode0" not in text["w1"]


def test_offsets_are_one_sample_a_neuron_and_a_chip() -> None:
    """Of 4,000 comparators of 5 %: the standard deviation within 5 %, the mean within 4 sigmas."""
    graph = quantised(compiled())
    hidden = next(p for p in graph.populations if p.name == "hidden")
    wide = replace(graph, populations=(replace(hidden, shape=(4000,)), graph.populations[1]))
    offset = replace(ANALOGUE, comparator_offset=0.05)
    first, again, other = (charged(wide, offset, seed).graph for seed in (3, 3, 4))
    assert first == again and first != other
    neuron, moved = (integer_neuron(g.populations[0]) for g in (wide, first))
    relative = moved.threshold / neuron.threshold - 1
    assert relative.shape == (4000,) and abs(relative.std() - 0.05) < 0.0025
    assert abs(relative.mean()) < 4 * 0.05 / 4000**0.5
    # What a reset takes off is no comparator's.
    assert (moved.v_reset == neuron.v_reset).all()
    assert first.populations[1] == wide.populations[1]
    ideal = integer_neuron(charged(wide, ANALOGUE, 3).graph.populations[0])
    assert (ideal.threshold == neuron.threshold).all()
    assert charged(wide, Conditions(), 3).graph == wide


def test_charges_are_within_the_bound_of_real_ones() -> None:
    """Beside neurons in real numbers on the same chip, whose sums nobody rounds."""
    words = ("age=1day", "read_noise=off", "neuron=analogue", "comparator_offset=3%")
    made = compiled(*words, reset=Reset("subtract"))
    graph = quantised(made)
    found = read_design(made, graph, load_macro("rram-wan"))
    projection = graph.projections[0]
    net = charged(graph, found.conditions, 7)
    population, unit = net.graph.populations[0], net.units["w1"]
    neuron = integer_neuron(population)
    assert unit == 1 << integer_neuron(graph.populations[0]).shift > 1
    assert projection.delay == population.lag and neuron.reset == "subtract"
    chip = Chip(found, 7, unconverted=net.units)
    readers = [r for r in chip.tiles if r.tile.projection == "w1"]
    decay = neuron.decay_v / 2**neuron.numerics.decay_bits
    bound = 1 / (1 - decay)  # one matrix, and a leak rounded to the nearest
    recording = run(made, "circuit", seed=7)
    worst, rounded, total_spikes = 0.0, False, 0
    for sample in range(3):
        v, spikes = np.zeros(8), recording.spikes["hidden"].dense(sample)
        total_spikes += int(spikes.sum())
        for step, x in enumerate(stimulus().inputs["in"].dense(sample)):
            total = np.zeros(9)
            for reader in readers:
                padded = np.append(x, 0).astype(np.int64)
                total[reader.tile.column] += reader(padded[None, reader.tile.row])[0]
            w = decay * v + total[:-1] * unit + neuron.bias
            fires = w > neuron.threshold
            assert np.array_equal(fires, spikes[step] > 0)
            v = w - fires * neuron.v_reset
            worst = max(worst, np.abs(recording.states["hidden", "v"][sample, step] - v).max())
            rounded |= bool((total != np.rint(total)).any())
    assert rounded and total_spikes > 50
    assert 0 < worst <= bound


def test_what_no_analogue_neuron_does_is_refused() -> None:
    made = compiled(max_spikes=3, reset=Reset("subtract"))
    with pytest.raises(SpikecError, match="'hidden' sends several spikes") as refused:
        run(made, "circuit", "neuron=analogue")
    assert refused.value.diagnostics[0].code == "E1332"
    assert run(made, "circuit").spikes["hidden"].value.sum() > 50
    graph = quantised(compiled())
    hidden = graph.populations[0]
    bent = replace(
        hidden, neuron=replace(integer_neuron(hidden), curve=np.asarray(3), max_spikes=1)
    )
    with pytest.raises(SpikecError, match="'hidden' is LIF, whose leak depends") as refused:
        charged(replace(graph, populations=(bent, graph.populations[1])), ANALOGUE, 1)
    assert refused.value.diagnostics[0].code == "E1332"
    with pytest.raises(SpikecError, match="digital neurons have no") as refused:
        Conditions().but(["comparator_offset=1%"])
    assert refused.value.diagnostics[0].code == "E1320"
    with pytest.raises(SpikecError, match="digital or analogue"):
        Conditions().but(["neuron=spiking"])
    both = Conditions().but(["comparator_offset=1%", "neuron=analogue"])
    assert both.said == {"neuron": "analogue", "comparator_offset": 0.01}
