"""What a simulator cannot do is refused before anything is written, each with its code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.backends.spinnaker.checks import delay_slots, neurons_per_core, scales
from spikec.backends.spinnaker.model import network as model
from spikec.compiler.backend import find_target
from spikec.compiler.program import compile_program
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Diagnostic, Diagnostics, SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import CubaLIF, PointLIF, Receptor
from spikec.ir.plasticity import Coincidence, Dependence, Pairing, PairSTDP, Plasticity, Transmit
from spikec.ir.semantics import Comparison, Current, Decay, Gain, Reset, Semantics
from spikec.ir.short_term import TsodyksMarkram

RULES = Semantics(
    decay=Decay.EXPONENTIAL,
    gain=Gain.EXACT,
    current=Current.NEW,
    comparison=Comparison.GREATER_EQUAL,
    reset=Reset.VALUE,
)
RULE = PairSTDP(
    0.01, 0.012, 20e-3, 20e-3, dependence=Dependence.SCALED, coincidence=Coincidence.DEPRESS
)


def neuron(**changes: Any) -> PointLIF:
    one = np.asarray
    values: dict[str, Any] = {
        "tau_mem": one(0.02),
        "capacity": one(1e-9),
        "v_leak": one(-0.065),
        "v_threshold": one(-0.05),
        "v_reset": one(-0.065),
        "v_init": one(-0.065),
        "receptors": (
            Receptor("excitatory", tau=one(0.005)),
            Receptor("inhibitory", tau=one(0.005)),
        ),
    }
    return PointLIF(**(values | changes))


def net(
    cell: Any = None,
    rules: Semantics = RULES,
    weight: float | np.ndarray = 1e-9,
    *,
    size: int = 4,
    dt: float = 1e-3,
    delay: int = 1,
    receptor: str | None = "excitatory",
    **more: Any,
) -> Graph:
    values = np.array(np.broadcast_to(weight, (size, 3)), np.float64)
    projection = Projection(
        "joined", "in", "cells", Dense(values), delay, receptor=receptor, **more
    )
    population = Population("cells", (size,), neuron() if cell is None else cell, rules)
    return Graph(
        "net", dt, (Input("in", (3,)),), (population,), (projection,), (Output("out", "cells"),)
    )


def learning(rule: PairSTDP = RULE, **more: Any) -> Plasticity:
    values: dict[str, Any] = {"w_min": 0.0, "w_max": 2e-9, "transmit": Transmit.AFTER}
    return Plasticity(rule, **(values | more))


def short_term() -> TsodyksMarkram:
    values = (0.5, 0.8, 0.0, 0.005)
    return TsodyksMarkram(*(np.asarray(v) for v in values))


def cuba(**changes: Any) -> CubaLIF:
    values: dict[str, Any] = {
        "tau_syn": 0.005, "tau_mem": 0.02, "r": 2e7, "v_leak": -0.065, "w_in": 5.0,
        "v_threshold": -0.05, "v_reset": -0.065,
    }  # fmt: skip
    return CubaLIF(**{k: np.asarray(v) for k, v in (values | changes).items()})


# The graph, the target, the code, and words of the message.
PLAIN = "spynnaker"
AXONAL = replace(RULE, dendritic_delay_fraction=0.0, coincidence=Coincidence.POTENTIATE)
SIGNAL = Receptor("excitatory", tau=np.asarray(0.005), initial=np.asarray(1e-9))
NMDA = Receptor("nmda", tau=np.asarray(0.1))


def bare(**rules: Any) -> Graph:
    """CubaLIF without units, under other rules than SpiNNaker's."""
    cell = cuba(r=1.0, v_leak=0.0, v_threshold=1.0, v_reset=0.0)
    return net(cell, replace(RULES, v_init=0.0, **rules), 0.5, receptor=None)


def learns(rule: PairSTDP = RULE, delay: int = 1, **more: Any) -> Graph:
    return net(delay=delay, plasticity=learning(rule, **more))


CASES: dict[str, tuple[Graph, str, str, str]] = {
    "subtract": (bare(reset=Reset.SUBTRACT), PLAIN, "E1101", "reset is subtract, not value"),
    "many spikes": (bare(max_spikes=None), PLAIN, "E1101", "max_spikes is None, not 1"),
    "euler": (bare(decay=Decay.EULER), PLAIN, "E1101", "decay is euler, not exponential"),
    "integrates while refractory": (
        bare(refractory=2, refractory_frozen=False),
        PLAIN,
        "E1101",
        "refractory_frozen is False",
    ),
    "receptors of other names": (
        net(neuron(receptors=(NMDA,)), receptor="nmda"),
        PLAIN,
        "E1101",
        "nmda; PyNN's are excitatory",
    ),
    "a start that is not at rest": (
        net(neuron(receptors=(SIGNAL,))),
        "pynn-nest",
        "E1101",
        "starts with isyn_exc",
    ),
    "a reset that nobody said": (
        net(replace(cuba(), v_reset=None), receptor=None),
        PLAIN,
        "E1101",
        "what it is reset to",
    ),
    "no delay": (net(delay=0), PLAIN, "E1104", "delay of 0 steps"),
    "a long delay": (net(delay=5000), PLAIN, "E1104", "5000 steps; sPyNNaker has 2048 at most"),
    "the wrong sign": (net(weight=-1e-9), PLAIN, "E1105", "12 weights of the wrong sign"),
    "inhibition that is positive": (
        net(receptor="inhibitory"),
        PLAIN,
        "E1105",
        "at the receptor inhibitory",
    ),
    "a step of no whole microseconds": (net(dt=1e-3 / 3), PLAIN, "E1107", "333.333 us"),
    "a bias": (
        net(cuba(), receptor=None, bias=np.asarray(1e-9)),
        PLAIN,
        "E1108",
        "has a bias",
    ),
    "an axonal delay": (learns(AXONAL), PLAIN, "E1103", "all delays are dendritic (1)"),
    "an axonal delay, on NEST": (
        learns(AXONAL),
        "pynn-nest",
        "E1103",
        "all delays are dendritic (1)",
    ),
    "a dendritic delay": (learns(), "pynn-brian2", "E1103", "all delays are axonal (0)"),
    "half a dendritic delay": (
        learns(replace(RULE, dendritic_delay_fraction=0.5), 2),
        PLAIN,
        "E1103",
        "of 0.5",
    ),
    "nearest pairs": (
        learns(replace(RULE, pairing=Pairing.NEAREST)),
        PLAIN,
        "E1102",
        "pairing is nearest",
    ),
    "the weight before": (learns(transmit=Transmit.BEFORE), PLAIN, "E1102", "transmit is before"),
    "multiplicative on Brian2": (
        learns(replace(AXONAL, dependence=Dependence.MULTIPLICATIVE)),
        "pynn-brian2",
        "E1102",
        "runs additive ones",
    ),
    "mixed on SpiNNaker": (
        learns(replace(RULE, depression=Dependence.MULTIPLICATIVE)),
        PLAIN,
        "E1102",
        "one weight dependence for both",
    ),
    "a floor on NEST": (learns(w_min=1e-10), "pynn-nest", "E1102", "floor of 0"),
    "tiring on SpiNNaker": (net(short_term=short_term()), PLAIN, "E1102", "no such synapse"),
    "tiring on Brian2": (
        net(short_term=short_term()),
        "pynn-brian2",
        "E1102",
        "do not recover",
    ),
    "a capacity beyond s16.15": (
        net(neuron(capacity=np.asarray(1e-3))),
        PLAIN,
        "E1106",
        "cm of population 'cells' is 1e+06",
    ),
}


def refused(graph: Graph, target: str) -> list[Diagnostic]:
    with pytest.raises(SpikecError) as caught:
        compile_program(graph, *find_target(target))
    assert caught.value.exit_code == 2
    return list(caught.value.diagnostics)


@pytest.mark.parametrize("what", CASES)
def test_a_refusal_has_its_code_and_says_why(what: str) -> None:
    graph, target, code, words = CASES[what]
    found = refused(graph, target)
    assert [d.code for d in found if words in d.message] == [code], [str(d) for d in found]
    assert all(d.hint for d in found if d.code == code)


def test_what_one_simulator_cannot_do_is_in_the_program_of_another() -> None:
    artifact = compile_program(net(plasticity=learning()), *find_target("spynnaker"))
    simulators = artifact.manifest["emission"]["simulators"]
    assert simulators["spinnaker"] == simulators["nest"] == "runs"
    assert "axonal" in simulators["brian2"]
    assert "axonal" in artifact.files["network.py"].decode()
    assert "axonal" in artifact.files["README.md"].decode()


def test_two_rules_into_one_population() -> None:
    graph = net(plasticity=learning())
    second = replace(
        graph.projections[0], name="second", plasticity=learning(replace(RULE, tau_plus=10e-3))
    )
    graph = graph.with_(projections=(*graph.projections, second))
    assert "learn by unlike rules" in refused(graph, "spynnaker")[0].message
    assert compile_program(graph, *find_target("pynn-nest")).files


# -- 16 bits ---------------------------------------------------------------------------------------


def beside(large: float, small: np.ndarray) -> Graph:
    graph = net(weight=large)
    second = replace(graph.projections[0], name="small", connection=Dense(small))
    return graph.with_(projections=(*graph.projections, second))


def test_weights_that_round_to_zero_are_counted() -> None:
    """3 sources of 1000 nA: 3000 + 3 x 1 may arrive, so 12 bits are left of the point.

    All divided by what SpiNNaker makes of a weight in its first step.
    """
    factor = -np.expm1(-0.2) / 0.2
    small = np.full((4, 3), 1e-9)
    small[0, 0] = 0.03e-9
    found = Diagnostics()
    artifact = compile_program(beside(1000e-9, small), *find_target("spynnaker"), found=found)
    (scale,) = scales(model(beside(1000e-9, small))).values()
    assert scale.most == pytest.approx(3003.0 / factor)
    assert (scale.shift, scale.unit) == (12, 0.125)
    (warning,) = (d for d in found if d.code == "W1110")
    assert "1 of 12 weights of projection 'small' round to zero" in warning.message
    assert "all below 0.0625" in warning.message
    assert "| cells | excitatory | 3313 | 12 | 0.125 |" in artifact.files["README.md"].decode()


def test_a_projection_that_rounds_to_nothing_is_refused() -> None:
    found = refused(beside(1000e-9, np.full((4, 3), 0.01e-9)), "spynnaker")
    (error,) = (d for d in found if d.code == "E1106")
    assert "all 12 weights of projection 'small' round to zero" in error.message
    small = np.full((4, 3), 0.01e-9)
    assert compile_program(beside(1000e-9, small), *find_target("pynn-nest")).files


def test_a_sum_beyond_s1615_is_refused() -> None:
    found = refused(net(weight=30_000e-9), "spynnaker")
    assert any("add up to 99299.8 in one step" in d.message for d in found)


# -- cores -----------------------------------------------------------------------------------------


def test_delay_slots_are_those_of_spynnaker() -> None:
    assert [delay_slots(n) for n in (256, 128, 64)] == [32, 64, 128]


@pytest.mark.parametrize(
    ("delay", "plastic", "neurons"),
    [(1, False, 256), (32, False, 256), (33, False, 128), (100, False, 64), (200, False, 32),
     (1, True, 128), (100, True, 64), (300, False, 128), (2048, False, 32)],
)  # fmt: skip
def test_neurons_a_core(delay: int, plastic: bool, neurons: int) -> None:
    """Fewer where plastic, or where that saves a delay extension."""
    graph = net(delay=delay, plasticity=learning() if plastic else None)
    artifact = compile_program(graph, *find_target("spynnaker"))
    assert (
        f'NEURONS_PER_CORE = {{\n    "cells": {neurons},\n' in artifact.files["network.py"].decode()
    )
    assert neurons_per_core(model(graph), "cells") == neurons


# -- CubaLIF ---------------------------------------------------------------------------------------


def test_cuba_is_if_curr_exp_in_volt_or_without_units() -> None:
    """tau_mem / r is the capacity; w_in dt/tau_syn the factor of weights beside SpiNNaker's own."""
    physical = model(net(cuba(), receptor=None)).cells["cells"]
    assert {k: float(v) for k, v in physical.parameters.items()} == {
        "cm": 1.0, "tau_m": 20.0, "v_rest": -65.0, "v_thresh": -50.0, "v_reset": -65.0,
        "i_offset": 0.0, "tau_syn_E": 5.0, "tau_syn_I": 5.0,
    }  # fmt: skip
    bare = cuba(r=1.0, v_leak=0.0, v_threshold=1.0, v_reset=0.0)
    found = model(net(bare, replace(RULES, v_init=0.0), 0.5, receptor=None))
    cell = found.cells["cells"]
    assert (float(cell.parameters["cm"]), float(cell.parameters["v_thresh"])) == (20.0, 1.0)
    np.testing.assert_allclose(found.synapses[0].weight, 0.5)


def test_a_cuba_projection_of_both_signs_is_two() -> None:
    weight = np.array([[1e-9, -2e-9, 0.0]] * 4)
    found = model(net(cuba(), weight=weight, receptor=None)).synapses
    assert [(s.name, s.receptor, s.weight.size) for s in found] == [
        ("joined (excitatory)", "excitatory", 4),
        ("joined (inhibitory)", "inhibitory", 4),
    ]
    assert (found[1].weight < 0).all()
