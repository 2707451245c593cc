"""The error of a population that gets the spikes it should have had."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.boards.board import Target
from spikec.compiler.passes.forced import Forced
from spikec.compiler.passes.loihi import LoihiNumbers
from spikec.ir.connections import Dense, OneToOne
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IF, Threshold
from spikec.ir.semantics import Comparison, Reset, Semantics

DT = 1e-3
RULES = Semantics(reset=Reset.ZERO, comparison=Comparison.GREATER_EQUAL)
LAVA = Target.loihi("lava", "")


def real(value: Any) -> Any:
    return np.asarray(value, np.float64)


def network(lag: int = 0) -> Graph:
    """Two populations, the second recurrent; sums of weights stay an eighth off the threshold."""
    rng = np.random.default_rng(1)
    cell = IF(real(1.0), real(0.875))
    weights = [rng.integers(-1, 3, shape) / 4 for shape in ((6, 5), (4, 6))]
    links = [
        Projection("a", "in", "first", Dense(weights[0]), 1 + lag),
        Projection("b", "first", "second", Dense(weights[1]), 1),
        Projection("c", "second", "second", OneToOne(real(-0.5), (4,)), 1),
    ]
    populations = (
        Population("first", (6,), cell, RULES, lag),
        Population("second", (4,), cell, RULES, lag),
    )
    return Graph(
        "two", DT, (Input("in", (5,)),), populations, tuple(links), (Output("o", "second"),)
    )


def stimulus(samples: int = 3) -> Stimulus:
    rng = np.random.default_rng(2)
    return Stimulus({"in": Events.from_dense((rng.random((samples, 40, 5)) < 0.4).astype(int))})


def on_loihi(graph: Graph) -> Graph:
    return LoihiNumbers().run(graph, LAVA, Diagnostics())


@pytest.mark.parametrize("lag", [0, 2])
def test_what_is_exact_has_no_error(lag: int) -> None:
    graph = network(lag)
    forced, made = Forced(graph, stimulus()), on_loihi(graph)
    for population in made.populations:
        assert forced.error(population, made.incoming(population.name), {}) == 0.0


def test_an_error_is_that_of_one_population() -> None:
    """The first one's numbers do not matter to the second; a deaf one misses nearly all."""
    graph = network()
    forced, made = Forced(graph, stimulus()), on_loihi(graph)
    first, second = made.populations
    deaf = replace(first, neuron=replace(first.neuron, vth=np.array((1 << 17) - 1)))  # type: ignore[call-arg]
    assert forced.error(deaf, made.incoming("first"), {}) > 0.9
    assert forced.error(second, made.incoming("second"), {}) == 0.0
    late = [replace(p, delay=p.delay + 1) for p in made.incoming("first")]
    moved = forced.error(first, late, {})
    assert 0.0 < moved < 0.5  # windows keep most of what comes a step later


def test_rates() -> None:
    forced = Forced(network(), stimulus())
    dense = np.array([stimulus().inputs["in"].dense(k) for k in range(3)])
    np.testing.assert_allclose(forced.rates("in", 5), dense.mean(axis=(0, 1)))
    np.testing.assert_array_equal(forced.rates("no such node", 3), np.ones(3))


def test_an_output_without_a_state_is_judged_too() -> None:
    graph = network()
    last = Projection("d", "second", "end", Dense(real([[1.0, 1.0, 1.0, 1.0]])), 1)
    end = Population("end", (1,), Threshold(real(0.5)), RULES)
    graph = replace(
        graph,
        populations=(*graph.populations, end),
        projections=(*graph.projections, last),
        outputs=(Output("o", "end"),),
    )
    found = Diagnostics()
    LoihiNumbers(calibration=stimulus()).run(graph, LAVA, found)
    assert [d.code for d in found] == ["N0408"] * 3


def test_sixteen_samples_are_enough() -> None:
    graph = network()
    some, all_ = (Forced(graph, stimulus(n)) for n in (16, 40))
    # The generator fills the first samples alike.
    np.testing.assert_array_equal(some.rates("first", 6), all_.rates("first", 6))
