"""Quantised Izhikevich membranes against the golden reference, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.boards.board import Target
from spikec.boards.features import FPGA_CORE
from spikec.compiler.compare import compare
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.legalise import Legalise
from spikec.compiler.passes.quantise import Quantise, layer_errors, quantise
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.graph import Graph, Population, Projection
from spikec.ir.neurons import CubaLIF, IntegerNeuron, LinearLIF
from spikec.ir.numerics import Rounding
from spikec.ir.semantics import IntegratorGain
from spikec.ir.verify import verify

from ...ir.izhikevich import KINDS, RULES, driven, izhikevich, step_current

ALL = list(KINDS)
WORDS = [("cell", "v"), ("cell", "u")]


def quantised(graph: Graph, **options: Any) -> tuple[Graph, IntegerNeuron, list[str]]:
    found = Diagnostics()
    result = quantise(graph, Quantise(**options), found)
    verify(result)
    neuron = result.populations[0].neuron
    assert isinstance(neuron, IntegerNeuron)
    return result, neuron, [d.code for d in found]


def both(graph: Graph, steps: int, **options: Any) -> tuple[Any, Any, Graph]:
    result, _, _ = quantised(graph, **options)
    stimulus = step_current(steps, 100)
    integer = Executor(result).run(stimulus, record=WORDS)
    return integer, run_golden(graph, stimulus, record=WORDS, codegen="numpy"), result


@pytest.mark.parametrize(
    ("substeps", "state_bits", "decay_bits"),
    [(2, 20, 12), (2, 24, 12), (2, 32, 16), (2, 40, 22), (1, 24, 16), (1, 32, 16)],
)
def test_every_kind_spikes_as_the_golden_reference(
    substeps: int, state_bits: int, decay_bits: int
) -> None:
    """A thousand steps of all six kinds: no spike is a step early or late."""
    dt = 0.5e-3 * substeps
    graph = driven(izhikevich(*ALL, substeps=substeps), len(ALL), 10.0, dt)
    integer, golden, result = both(graph, 1000, state_bits=state_bits, decay_bits=decay_bits)
    neuron = result.populations[0].neuron
    assert isinstance(neuron, IntegerNeuron)
    assert neuron.numerics.decay_bits == min(decay_bits, 56 - state_bits)
    ours, theirs = (r.spikes["cell"].dense(0) for r in (integer, golden))
    assert (theirs.sum(axis=0) > 20).all()
    np.testing.assert_array_equal(ours, theirs)


def test_finer_steps_of_v_part_later() -> None:
    """With four steps a millisecond some kinds are chaotic: float64 rounding errors grow, too."""
    graph = driven(izhikevich(*ALL, substeps=4), len(ALL), 10.0)
    integer, golden, _ = both(graph, 1000, state_bits=32, decay_bits=16)
    for k in range(len(ALL)):
        ours, theirs = (np.flatnonzero(r.spikes["cell"].dense(0)[:, k]) for r in (integer, golden))
        assert abs(len(ours) - len(theirs)) <= 1
        assert ours[:20].tolist() == theirs[:20].tolist()


def test_sixteen_bits_are_a_step_off_at_most() -> None:
    graph = driven(izhikevich(*ALL), len(ALL), 10.0)
    integer, golden, _ = both(graph, 1000, state_bits=16)
    for k in range(len(ALL)):
        ours, theirs = (np.flatnonzero(r.spikes["cell"].dense(0)[:, k]) for r in (integer, golden))
        assert abs(len(ours) - len(theirs)) <= 1
        both_have = min(len(ours), len(theirs))
        assert abs(ours[:both_have] - theirs[:both_have]).max() <= 1
    assert "W0406" in quantised(graph, state_bits=16)[2]
    assert quantised(graph, state_bits=20)[2] == []


def test_states_are_counted_from_their_start_in_their_units() -> None:
    graph = driven(izhikevich(*ALL), len(ALL), 10.0)
    integer, golden, result = both(graph, 400, state_bits=32, decay_bits=16)
    neuron = result.populations[0].neuron
    assert isinstance(neuron, IntegerNeuron)
    for word in ("v", "u"):
        known = neuron.real(word)
        assert known is not None
        ours = integer.states["cell", word] * known[0] + known[1]
        # In the last millisecond before a spike v moves by tens of mV a step.
        near = np.abs(ours - golden.states["cell", word])
        assert np.median(near) < 0.01 and near.max() < 2.0
    found = compare(golden, integer, graph=result, stimulus=step_current(400, 100))
    assert {s.variable for s in found.states} == {"v", "u"}
    assert all(not s.exact and s.max_abs_error < 2.0 for s in found.states)


def one_step(
    kind: str, v: float, u: float, current: float, h: float, substeps: int
) -> tuple[float, float, float]:
    """v and u after a step, and by what an error of v at its begin has grown."""
    a, b, c, d = KINDS[kind]
    w, gain = v, 1.0
    for _ in range(substeps):
        gain *= abs(1 + h * (0.08 * w + 5))
        w += h * (0.04 * w * w + 5 * w + 140 - u + current)
    u += a * h * substeps * (b * v - u)
    return (c, u + d, gain) if w >= 30 else (w, u, gain)


@pytest.mark.parametrize(("substeps", "state_bits"), [(2, 16), (2, 12), (1, 16)])
def test_the_first_difference_says_what_integers_stand_for(substeps: int, state_bits: int) -> None:
    """Each rung goes on from its own state by the equations of the model, within its rounding.

    In each substep that is half a unit of v for the product and half for the bias, and 2^-F of
    v - v_init for the two terms of its factor; it grows with v until the end of the step. Of u it
    is half a unit each for goal, way and jump, and for the coupling 2^-F of v - v_init at most.
    """
    dt = 0.5e-3 if substeps == 1 else 1e-3
    h = dt * 1e3 / substeps
    graph = driven(izhikevich(*ALL, substeps=substeps), len(ALL), 10.0, dt)
    integer, golden, result = both(graph, 300, state_bits=state_bits)
    found = compare(golden, integer, graph=result, stimulus=step_current(300, 100)).first
    assert found is not None
    kind, current = ALL[found.neuron], 10.0 * (found.step >= 100)
    states: dict[str, Any] = {state.variable: state for state in found.states}
    before, after = ([states[n].before for n in "vu"], [states[n].after for n in "vu"])
    units = [states[n].scale for n in "vu"]
    origins = [states[n].origin for n in "vu"]
    spiked = []
    for rung in (0, 1):
        v, u = (
            pair[rung] * unit + origin if rung else pair[rung]
            for pair, unit, origin in zip(before, units, origins, strict=True)
        )
        wanted_v, wanted_u, gain = one_step(kind, v, u, current, h, substeps)
        spiked.append(wanted_v == KINDS[kind][2])
        slip_v = slip_u = 1e-9
        if rung:
            fraction = 2.0**-12
            slip = units[0] + abs(v - origins[0]) * fraction
            slip_v = units[0] / 2 if spiked[1] else substeps * slip * max(gain, 1.0)
            slip_u = 1.5 * units[1] + abs(v - origins[0]) * fraction
        for (real, whole), unit, origin, wanted, slip in zip(
            after, units, origins, (wanted_v, wanted_u), (slip_v, slip_u), strict=True
        ):
            got = whole * unit + origin if rung else real
            assert abs(got - wanted) <= slip
    assert spiked[0] != spiked[1]
    for state in found.states:
        real, whole = state.after
        assert isinstance(whole, int) and state.scale is not None
        assert f"{whole} (for {whole * state.scale + state.origin:.6g})" in state.text(whole)
        assert state.text(real) == f"{real:.9g}"


@pytest.mark.parametrize("start", [-82.0, -70.0, -50.0, 0.0])
def test_any_start_and_a_clamp(start: float) -> None:
    rules = {**vars(RULES), "v_init": start, "v_min": -84.0}
    graph = driven(izhikevich("RS", "FS", substeps=2), 2, -30.0, **rules)
    integer, golden, result = both(graph, 300, state_bits=24)
    neuron = result.populations[0].neuron
    assert isinstance(neuron, IntegerNeuron) and neuron.v_origin == start
    ours = integer.states["cell", "v"] * neuron.scale + start
    assert np.abs(ours - golden.states["cell", "v"]).max() < 0.1
    assert golden.states["cell", "v"].min() == -84.0


def test_input_per_second_and_refractory_steps() -> None:
    rules = {**vars(RULES), "integrator_gain": IntegratorGain.PER_SECOND, "refractory": 3}
    graph = driven(izhikevich("RS", "FS", r=np.asarray(2.0)), 2, 6.0, **rules)
    integer, golden, _ = both(graph, 400)
    ours, theirs = (r.spikes["cell"].dense(0) for r in (integer, golden))
    assert theirs.sum() > 10
    np.testing.assert_array_equal(ours, theirs)


def test_errors_are_those_of_the_rounding() -> None:
    graph = driven(izhikevich("RS"), 1, 10.0)
    for decay_bits in (10, 12, 16):
        result, _, _ = quantised(graph, state_bits=28, decay_bits=decay_bits)
        (layer,) = layer_errors(graph, result)
        # b h = 0.1 has the fewest bits of all.
        assert 0 < layer.decay_error <= 0.5 / (0.1 * 2**decay_bits)


@pytest.mark.parametrize(
    ("neuron", "options", "message"),
    [
        (izhikevich("RS", k2=np.asarray(0.2)), {}, "the curvature of 'cell' is .* fit"),
        (izhikevich("RS", k1=np.asarray(30.0)), {}, "the linear term of 'cell' is"),
        (izhikevich("RS", substeps=1, k2=np.asarray(1e-9)), {}, "the curvature .* rounds to zero"),
        (
            replace(izhikevich("RS"), a=np.asarray(1e-6)),
            {},
            "the rate a of 'cell' rounds to zero",
        ),
        (replace(izhikevich("RS"), a=np.asarray(1.5)), {}, "the rate a of 'cell' is .* fit"),
        (replace(izhikevich("RS"), b=np.asarray(9.0)), {}, "the coupling b of 'cell' is .* fit"),
        (izhikevich("RS"), {"rounding": Rounding.STOCHASTIC}, "not rounded stochastically"),
    ],
)
def test_what_does_not_fit_is_refused(neuron: Any, options: Any, message: str) -> None:
    with pytest.raises(SpikecError, match=message):
        quantised(driven(neuron, 1, 10.0), **options)


def test_a_target_with_one_circuit_has_a_recovery_or_a_current() -> None:
    graph = driven(izhikevich("RS"), 1, 10.0)
    one = np.asarray(1.0)
    for other in (
        CubaLIF(one * 0.01, one * 0.02, one, one * 0, one, one),
        LinearLIF(one, one, one * 0, one),
    ):
        mixed = replace(
            graph,
            populations=(*graph.populations, Population("other", (2,), other)),
            projections=(
                *graph.projections,
                Projection("on", "cell", "other", Dense(np.ones((2, 1))), delay=1),
            ),
            outputs=(*graph.outputs, replace(graph.outputs[0], name="far", source="other")),
        )
        fpga = Target("fpga", "A board", "fpga", features=FPGA_CORE)
        with pytest.raises(SpikecError) as caught:
            Legalise().run(mixed, fpga, Diagnostics())
        (found,) = caught.value.diagnostics
        assert found.code == "E0301" and "'cell' has a recovery and 'other' a synaptic" in (
            found.message
        )
        Legalise().run(
            mixed, replace(fpga, features=replace(FPGA_CORE, uniform=False)), Diagnostics()
        )
