"""Thresholds that adapt, on the golden rung, against closed forms and their definition."""

from __future__ import annotations

from dataclasses import replace
from math import exp, inf
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.reference.golden import run_golden
from spikec.boards.board import Target
from spikec.boards.features import Features
from spikec.compiler.passes.retime import Retime
from spikec.ir.connections import Dense, OneToOne
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Probe, Projection
from spikec.ir.homeostasis import AdaptiveThreshold
from spikec.ir.neurons import IF, LI, LIF, CubaLIF, Integrator, Izhikevich, LinearLIF, Threshold
from spikec.ir.semantics import Comparison, Reset, Semantics
from spikec.ir.text import digest, parse, text
from spikec.ir.verify import verify

DT = 1e-3


def real(value: Any) -> npt.NDArray[np.float64]:
    return np.asarray(value, np.float64)


def counter(
    adaptive: AdaptiveThreshold | None, size: int = 1, threshold: Any = 1.0, **rules: Any
) -> Graph:
    """Neurons that add up what one line each sends: a drive of 1 is 1 of v in a step."""
    return Graph(
        "counter",
        DT,
        (Input("in", (size,)),),
        (
            Population(
                "cell",
                (size,),
                IF(real(1.0), real(threshold)),
                Semantics(**rules),
                adaptive=adaptive,
            ),
        ),
        (Projection("w", "in", "cell", OneToOne(np.ones(()), (size,))),),
        (Output("out", "cell"),),
    )


def stimulus(values: Any) -> Stimulus:
    """(samples, steps, lines), or (steps,) of one sample and line."""
    dense = np.asarray(values)
    return Stimulus({"in": Events.from_dense(dense[None, :, None] if dense.ndim == 1 else dense)})


def offsets(graph: Graph, values: Any, **options: Any) -> npt.NDArray[Any]:
    record = [("cell", "h"), ("cell", "v")]
    run = run_golden(graph, stimulus(values), record=record, codegen="numpy", **options)
    return run.states["cell", "h"]


def test_h_of_one_spike_decays_exponentially() -> None:
    adaptive = AdaptiveThreshold(real(0.5), real(20e-3))
    h = offsets(counter(adaptive), [0, 2] + [0] * 30)[0, :, 0]
    assert h[0] == 0
    assert h[1:] == pytest.approx([0.5 * exp(-(n + 1) / 20) for n in range(31)], rel=1e-12, abs=0)


def test_h_without_decay_counts_spikes_up_to_its_maximum() -> None:
    """A drive of 2 a step beats 1 + h, h = 0.25 n, until h is 1: v > 2 needs two steps then."""
    free = AdaptiveThreshold(real(0.25))
    bound = replace(free, maximum=real(0.6))
    drive = [2] * 8
    found = [offsets(counter(adaptive), drive)[0, :, 0] for adaptive in (free, bound)]
    assert found[0].tolist() == [0.25, 0.5, 0.75, 1.0, 1.0, 1.25, 1.25, 1.5]
    assert found[1].tolist() == [0.25, 0.5] + [0.6] * 6


def test_a_step_compares_with_the_h_of_the_step_before() -> None:
    """The comparison, at v = theta + h itself, tells ``>`` from ``>=``."""
    adaptive = AdaptiveThreshold(real(1.0))
    drive = stimulus([3, 2, 0])
    for comparison, steps in ((Comparison.GREATER, [0]), (Comparison.GREATER_EQUAL, [0, 1])):
        run = run_golden(counter(adaptive, comparison=comparison), drive, codegen="numpy")
        assert run.spikes["cell"].step.tolist() == steps


def test_subtract_takes_off_the_threshold_without_h() -> None:
    graph = counter(AdaptiveThreshold(real(1.0)), reset=Reset.SUBTRACT)
    run = run_golden(graph, stimulus([4, 0, 0]), record=[("cell", "v")], codegen="numpy")
    assert run.states["cell", "v"][0, :, 0].tolist() == [3.0, 2.0, 2.0]  # 2 is not above 1 + 1 + 1


def test_an_increment_of_nothing_changes_nothing() -> None:
    values = np.random.default_rng(0).integers(0, 3, (2, 40, 3))
    for model in (
        LIF(real(0.01), real(10.0), real(0.0), real(1.0)),
        CubaLIF(*map(real, (0.005, 0.01, 10.0, 0.0, 5.0, 1.0))),
        LinearLIF(real(100.0), real(1.0), real(0.0), real(2.0)),
    ):
        plain = counter(None, 3)
        plain = replace(plain, populations=(replace(plain.populations[0], neuron=model),))
        still = replace(plain.populations[0], adaptive=AdaptiveThreshold(real(0.0), real(0.02)))
        runs = [
            run_golden(graph, stimulus(values), record=[("cell", "v")], codegen="numpy")
            for graph in (plain, replace(plain, populations=(still,)))
        ]
        assert runs[0].spikes == runs[1].spikes and runs[0].spikes["cell"].step.size > 5
        assert np.array_equal(runs[0].states["cell", "v"], runs[1].states["cell", "v"])


def test_the_peak_of_an_izhikevich_membrane_adapts() -> None:
    regular = Izhikevich(real(0.02), real(0.2), real(-65.0), real(8.0), substeps=2)
    rules = Semantics(v_init=-65.0)
    adaptive = AdaptiveThreshold(real(1.0), real(inf), real(5.0))
    graph = counter(adaptive)
    population = replace(graph.populations[0], neuron=regular, semantics=rules)
    graph = replace(graph, populations=(population,))
    h = offsets(graph, [15] * 200)[0, :, 0]
    assert np.unique(h).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def defined(
    values: npt.NDArray[Any], graph: Graph, learning: list[bool]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Spikes and h (samples, steps, neurons) of a counter, by the definition."""
    (population,) = graph.populations
    rules, adaptive = population.semantics, population.adaptive
    assert adaptive is not None and isinstance(population.neuron, IF)
    spikes, h = np.zeros(values.shape), np.zeros(values.shape)
    for j in range(values.shape[2]):

        def of(array: npt.NDArray[Any], j: int = j) -> float:
            return float(np.broadcast_to(array, (values.shape[2],))[j])

        theta, offset = of(population.neuron.v_threshold), 0.0
        for sample in range(values.shape[0]):
            v, held = 0.0, 0
            if not adaptive.persistent:
                offset = 0.0
            for step in range(values.shape[1]):
                w = v + values[sample, step, j]
                limit = theta + offset
                above = w > limit if rules.comparison is Comparison.GREATER else w >= limit
                spiked = above and held == 0
                if held:
                    held -= 1
                else:
                    v = w
                if spiked:
                    held = rules.refractory
                    v = v - theta if rules.reset is Reset.SUBTRACT else 0.0
                if learning[sample] or not adaptive.persistent:
                    offset += of(adaptive.increment) if spiked else 0.0
                    if adaptive.maximum is not None:
                        offset = min(offset, of(adaptive.maximum))
                    offset *= exp(-DT / of(adaptive.tau))
                spikes[sample, step, j], h[sample, step, j] = spiked, offset
    return spikes, h


NUMBERS = st.sampled_from([0.0, 0.25, 0.6, 1.0, 3.0])
TIMES = st.sampled_from([2e-3, 20e-3, 1e4, inf])


@st.composite
def adaptations(draw: st.DrawFn, size: int) -> AdaptiveThreshold:
    def array(values: st.SearchStrategy[float]) -> npt.NDArray[np.float64]:
        each = draw(st.booleans())
        return real([draw(values) for _ in range(size)] if each else draw(values))

    maximum = array(NUMBERS) if draw(st.booleans()) else None
    return AdaptiveThreshold(array(NUMBERS), array(TIMES), maximum, draw(st.booleans()))


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_it_is_what_its_definition_says(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 3))
    adaptive = data.draw(adaptations(size))
    graph = counter(
        adaptive,
        size,
        [0.9, 1.7, 2.2][:size],
        comparison=data.draw(st.sampled_from(Comparison)),
        reset=data.draw(st.sampled_from([Reset.ZERO, Reset.SUBTRACT])),
        refractory=data.draw(st.integers(0, 2)),
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    values = rng.integers(0, 4, (3, 12, size))
    learning = data.draw(st.lists(st.booleans(), min_size=3, max_size=3))
    spikes, h = defined(values, graph, learning)
    run = run_golden(
        graph, stimulus(values), record=[("cell", "h")], learning=learning, codegen="numpy"
    )
    found = [run.spikes["cell"].dense(sample) for sample in range(3)]
    assert np.array_equal(found, spikes)
    assert run.states["cell", "h"] == pytest.approx(h, rel=1e-12, abs=1e-15)
    assert parse(text(graph)) == graph


class TestFromSampleToSample:
    VALUES = np.full((4, 3, 1), 9)

    def test_h_is_cleared_unless_it_persists(self) -> None:
        brief = offsets(counter(AdaptiveThreshold(real(1.0))), self.VALUES)
        assert brief[:, -1, 0].tolist() == [3.0] * 4
        lasts = offsets(counter(AdaptiveThreshold(real(1.0), persistent=True)), self.VALUES)
        assert lasts[:, -1, 0].tolist() == [3.0, 6.0, 8.0, 9.0]  # 9 is not above 1 + 8

    def test_what_persists_stands_still_where_nothing_is_learned(self) -> None:
        graph = counter(AdaptiveThreshold(real(1.0), real(50e-3), persistent=True))
        h = offsets(graph, self.VALUES, learning=[True, False, False, True])
        assert (h[1:3] == h[0, -1]).all() and h[3, -1] > h[0, -1] > 0

    def test_what_does_not_persist_adapts_in_every_sample(self) -> None:
        graph = counter(AdaptiveThreshold(real(1.0)))
        h = offsets(graph, self.VALUES, learning=False)
        assert h[:, -1, 0].tolist() == [3.0] * 4

    @pytest.mark.parametrize("delay", [0, 5])
    def test_it_decays_by_the_steps_of_its_samples_alone(self, delay: int) -> None:
        """Late spikes need steps between samples, and lags make samples longer: h sees neither."""
        adaptive = AdaptiveThreshold(real(1.0), real(10e-3), persistent=True)
        graph = counter(adaptive)
        late = Population("late", (1,), IF(real(1.0), real(100.0)), lag=3)
        graph = replace(
            graph,
            populations=(*graph.populations, late),
            projections=(
                *graph.projections,
                Projection("on", "cell", "late", Dense(np.ones((1, 1))), delay),
            ),
        )
        h = offsets(graph, [[[2], [0]], [[0], [0]], [[0], [0]]])
        assert h[:, :, 0].ravel() == pytest.approx(
            [exp(-n / 10) for n in range(1, 7)], rel=1e-12, abs=0
        )


def test_compiled_code_gives_the_same() -> None:
    adaptive = AdaptiveThreshold(real(0.4), real([30e-3, 7e-3]), real(1.0), persistent=True)
    values = np.random.default_rng(1).integers(0, 3, (3, 20, 2))
    runs = [
        run_golden(
            counter(adaptive, 2),
            stimulus(values),
            record=[("cell", "h")],
            learning=[True, False, True],
            codegen=codegen,
        )
        for codegen in ("numpy", "standalone")
    ]
    assert runs[0].spikes == runs[1].spikes
    assert runs[0].states["cell", "h"] == pytest.approx(
        runs[1].states["cell", "h"], rel=1e-12, abs=0
    )


def test_retiming_keeps_it() -> None:
    def cell(name: str, **more: Any) -> Population:
        return Population(name, (4,), IF(real(1.0), real(1.5)), **more)

    adaptive = AdaptiveThreshold(real(0.5), real(8e-3), persistent=True)
    one = OneToOne(np.ones(()), (4,))
    graph = Graph(
        "chain",
        DT,
        (Input("in", (4,)),),
        (cell("a", adaptive=adaptive), cell("b", adaptive=adaptive)),
        (
            Projection("in a", "in", "a", one),
            Projection("a b", "a", "b", OneToOne(real(1.0), (4,))),
            Projection("in b", "in", "b", one),
        ),
        (Output("out", "b"),),
    )
    target = replace(Target.unlimited(), features=Features(hop=1))
    moved = Retime().run(graph, target, Diagnostics())
    assert moved.population("b").lag > moved.population("a").lag
    values = np.random.default_rng(5).integers(0, 3, (3, 15, 4))
    record = [("a", "h"), ("b", "h")]
    before, after = (
        run_golden(g, stimulus(values), record=record, codegen="numpy") for g in (graph, moved)
    )
    assert before.spikes == after.spikes
    for key in record:
        assert before.states[key].max() > 0.5
        assert np.array_equal(before.states[key], after.states[key])


def refused(graph: Graph) -> list[tuple[str, str]]:
    with pytest.raises(SpikecError) as caught:
        verify(graph)
    return [(d.code, d.message) for d in caught.value.diagnostics]


class TestVerifier:
    @pytest.mark.parametrize(
        ("adaptive", "code", "message"),
        [
            (
                {"increment": [0.1, 0.2]},
                "E0207",
                "adaptive.increment has shape (2,), the population (1,)",
            ),
            ({"increment": -0.5}, "E0205", "adaptive.increment is -0.5; it must not be negative"),
            ({"increment": inf}, "E0106", "1 of 1 values of adaptive.increment are not finite"),
            ({"tau": 0.0}, "E0107", "adaptive.tau is 0 s; it must be positive"),
            ({"tau": np.nan}, "E0106", "1 of 1 values of adaptive.tau are not finite"),
            ({"maximum": -1.0}, "E0205", "adaptive.maximum is -1; it must not be negative"),
            ({"maximum": np.nan}, "E0106", "1 of 1 values of adaptive.maximum are not finite"),
        ],
    )
    def test_numbers_out_of_range(self, adaptive: dict[str, Any], code: str, message: str) -> None:
        given = {"increment": 0.1} | adaptive
        fields: dict[str, Any] = {name: real(value) for name, value in given.items()}
        assert refused(counter(AdaptiveThreshold(**fields))) == [(code, f"'cell': {message}")]

    @pytest.mark.parametrize(
        "neuron",
        [
            Threshold(real(1.0)),
            Integrator(real(1.0)),
            LI(real(0.01), real(1.0), real(0.0)),
        ],
        ids=lambda neuron: type(neuron).__name__,
    )
    def test_a_model_without_a_membrane_to_compare(self, neuron: Any) -> None:
        graph = counter(AdaptiveThreshold(real(1.0)))
        graph = replace(graph, populations=(replace(graph.populations[0], neuron=neuron),))
        assert refused(graph) == [
            (
                "E0205",
                "'cell': a threshold adapts where a membrane meets it; "
                f"{type(neuron).__name__} has none",
            )
        ]

    @pytest.mark.parametrize("rules", [{"reset": Reset.TWO_PHASE}, {"max_spikes": 3}])
    def test_several_comparisons_a_step(self, rules: dict[str, Any]) -> None:
        ((code, message),) = refused(counter(AdaptiveThreshold(real(1.0)), **rules))
        assert code == "E0205" and "at most one spike and v is compared once" in message

    def test_h_can_be_probed_where_it_is(self) -> None:
        graph = replace(
            counter(AdaptiveThreshold(real(1.0))), probes=(Probe("cell", "h"), Probe("cell", "v"))
        )
        verify(graph)
        plain = replace(counter(None), probes=(Probe("cell", "h"),))
        assert refused(plain) == [("E0206", "there is no 'cell.h' to probe; its state: v")]
        with pytest.raises(SpikecError, match="E0206"):
            run_golden(counter(None), stimulus([1]), record=[("cell", "h")])


def test_it_is_in_the_text_where_it_is_at_all() -> None:
    plain, adapts = counter(None), counter(AdaptiveThreshold(real(0.5), persistent=True))
    assert "adaptive" not in text(plain)
    assert (
        "adaptive=AdaptiveThreshold(increment=f64[]<0.5>, tau=f64[]<inf>, maximum=none, "
        "persistent=true)"
    ) in text(adapts)
    assert parse(text(adapts)) == adapts and digest(adapts) != digest(plain)
