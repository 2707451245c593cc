"""From real networks to SpiNNaker's numbers: every derivation, every refusal, and the rates."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.compiler.compare import compare
from spikec.compiler.frontends.nir.writer import write_nir
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.legalise import Legalise
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.compiler.passes.spinnaker import (
    decay_table,
    expk,
    expulr,
    kdivk,
    ring_shift,
    spinnaker,
)
from spikec.compiler.report.tables import population_rows, projection_rows
from spikec.ir.connections import Conv1d, Dense, OneToOne, Sparse
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.dialects import DIALECTS
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF, AdEx, CubaLIF, Kernel, Neuron, PointLIF, Receptor, SpinnakerLIF
from spikec.ir.plasticity import (
    Coincidence,
    Dependence,
    Pairing,
    PairSTDP,
    Plasticity,
    SpinnakerPairSTDP,
    Transmit,
    TripletSTDP,
    Window,
)
from spikec.ir.semantics import Comparison, Current, Decay, Gain, Reset, Semantics
from spikec.ir.short_term import TsodyksMarkram
from spikec.ir.text import parse, text
from spikec.ir.verify import verify

from .networks import target

DT = 1e-3
RULES = replace(DIALECTS["pynn"].semantics, refractory=2)


def real(value: Any) -> Any:
    return np.asarray(value, np.float64)


def cuba(tau_syn: float = 5e-3, **changes: Any) -> CubaLIF:
    """tau_m 20 ms, 20 MOhm, rest at -65 mV, spikes at -50 mV; weights in A."""
    values: dict[str, Any] = {
        **{"tau_syn": tau_syn, "tau_mem": 20e-3, "r": 20e6, "v_leak": -65e-3},
        **{"w_in": tau_syn / DT, "v_threshold": -50e-3, "v_reset": -65e-3},
    }
    return CubaLIF(**{name: real(value) for name, value in (values | changes).items()})


def point(**changes: Any) -> PointLIF:
    values: dict[str, Any] = {
        **{"tau_mem": real(20e-3), "capacity": real(1e-9), "v_leak": real(-65e-3)},
        **{"v_threshold": real(-50e-3), "v_reset": real(-65e-3), "v_init": real(-65e-3)},
        "receptors": (
            Receptor("exc", Kernel.EXPONENTIAL, real(5e-3)),
            Receptor("inh", Kernel.EXPONENTIAL, real(10e-3)),
        ),
    }
    return PointLIF(**(values | changes))


def graph(
    neuron: Neuron,
    *projections: Projection,
    semantics: Semantics = RULES,
    size: int = 2,
    lines: int = 3,
) -> Graph:
    population = Population("cells", (size,), neuron, semantics)
    return Graph(
        "g", DT, (Input("in", (lines,)),), (population,), projections, (Output("out", "cells"),)
    )


def dense(weight: Any, name: str = "w", delay: int = 1, **more: Any) -> Projection:
    return Projection(name, "in", "cells", Dense(real(weight)), delay, **more)


def fixed(network: Graph) -> Graph:
    result = spinnaker(network, Diagnostics())
    verify(result)
    assert parse(text(result)) == result
    return result


def cell(network: Graph) -> SpinnakerLIF:
    neuron = network.populations[0].neuron
    assert isinstance(neuron, SpinnakerLIF)
    return neuron


WEIGHT = np.full((2, 3), 1e-9)


def test_exponentials() -> None:
    one = 1 << 15
    assert [expk(n * one) for n in (-2, -1, 0, 1)] == [
        math.floor(one * math.exp(n)) for n in (-2, -1, 0, 1)
    ]
    assert [expulr(n * one) for n in (-2, -1)] == [round((1 << 32) * math.exp(n)) for n in (-2, -1)]
    assert expulr(0) == 0  # 2^32, of which 32 bits are kept
    for x in (363409, 1 << 31):
        assert expk(x) == expulr(x) == (1 << 31) - 1
    for x in (-340696, -(1 << 31)):
        assert expk(x) == expulr(x) == 0
    for x in range(-340695, 0, 1013):
        # It cuts, and its parabola is off by 5,294 of 2^32 at most, near multiples of 1/16.
        assert -1.03 < expk(x) - one * math.exp(x / one) < 0.03
        assert abs(expulr(x) - (1 << 32) * math.exp(x / one)) < 5295
    assert max(expulr(x) - (1 << 32) * math.exp(x / one) for x in range(-2100, 0)) > 5000
    for x in range(1, 363408, 1013):
        assert expk(x) == pytest.approx(one * math.exp(x / one), rel=3e-5)


def test_exponentials_of_the_released_program() -> None:
    """ARM code of sPyNNaker 1!7.4.1 in an emulator: see ../integer/record_spinnaker.py."""
    path = Path(__file__).parents[1] / "integer" / "spinnaker_vectors.json"
    rows = json.loads(path.read_text())["exponentials"]
    assert [expk(row[0]) for row in rows] == [row[1] for row in rows] and len(rows) > 150
    assert all(expulr(row[0]) == row[2] % (1 << 32) for row in rows if len(row) == 3)


def test_divisions_and_tables() -> None:
    assert kdivk(98304, 8847) == (98304 << 15) // 8847 == 364103  # 3 ms / 0.27 nF
    assert kdivk(1, 3) == 10922
    # get_exp_lut_array of sPyNNaker 1!7.4.1: sizes, first values and sums.
    for tau, size, first, total in (
        (3.0, 24, [2048, 1467, 1051, 753, 539], 7210),
        (5.0, 40, [2048, 1676, 1372, 1123, 920], 11274),
        (20.0, 154, [2048, 1948, 1853, 1762, 1676], 41894),
        (16.8, 130, [2048, 1929, 1818, 1713, 1614], 35362),
    ):
        table = decay_table(tau, 1.0)
        assert (table.size, table[:5].tolist(), int(table.sum())) == (size, first, total)


@pytest.mark.parametrize(
    ("total", "shift"),
    [
        (0, 0),
        (-1, 0),
        (0.2, 0),
        (0.999, 0),
        (1, 1),
        (1.5, 1),
        (6, 3),
        (8, 4),
        (600, 10),
        (32767, 15),
    ],
)
def test_ring_shift(total: float, shift: int) -> None:
    assert ring_shift(total) == shift


def test_parameters_of_a_cuba_lif() -> None:
    found = cell(fixed(graph(cuba(), dense(WEIGHT))))
    one = 1 << 15
    tau, cm, ts, syn = 20 * one, one, one, 5 * one
    decay = expulr(-((ts << 15) // syn))
    assert int(found.decay_e) == int(found.decay_i) == decay
    # dt / tau is cut to a multiple of 2^-15.
    assert decay == pytest.approx((1 << 32) * math.exp(-0.2), rel=3e-5)
    init = ((syn << 15) // ts * (0xFFFFFFFF - decay)) >> 15
    assert int(found.init_e) == int(found.init_i) == init
    assert init == pytest.approx((1 << 32) * 5 * (1 - math.exp(-0.2)), rel=1e-4)
    assert int(found.r) == (tau << 15) // cm == 20 * one
    assert int(found.exp_tc) == expk(-((ts << 15) // tau))
    assert found.exp_tc == pytest.approx(one * math.exp(-0.05), abs=2)
    potentials = [found.v_rest, found.v_reset, found.threshold, found.v_init]
    assert [int(v) for v in potentials] == [-65 * one, -65 * one, -50 * one, 0]
    assert (int(found.i_offset), int(found.refractory)) == (0, 2)
    assert found.state == ("excitatory", "inhibitory", "v")
    assert found.real("v")[0] == 1e-3 / one and found.real("inhibitory")[0] == 1e-9 / one


def test_parameters_of_a_point_lif_are_each_neurons_own() -> None:
    neuron = point(
        v_threshold=real([-50e-3, -40e-3]), i_offset=real(0.25e-9), tau_mem=real([10e-3, 20e-3])
    )
    rules = replace(RULES, gain=Gain.PROPAGATED, comparison=Comparison.GREATER)
    up, down = dense(WEIGHT, receptor="exc"), dense(-WEIGHT, "down", receptor="inh")
    result = fixed(graph(neuron, up, down, semantics=rules))
    found, one = cell(result), 1 << 15
    assert found.threshold.tolist() == [-50 * one + 1, -40 * one + 1]  # > n is >= n + 1
    assert int(found.i_offset) == one // 4
    assert found.r.tolist() == [10 * one, 20 * one] and int(found.v_init) == -65 * one
    assert found.exp_tc.tolist() == [expk(-(one * one // (t * one))) for t in (10, 20)]
    assert int(found.decay_e) == expulr(-(one // 5)) != int(found.decay_i)
    assert int(found.decay_i) == expulr(-(one // 10))
    assert [p.receptor for p in result.projections] == ["excitatory", "inhibitory"]


def test_weights_are_words_of_their_receptor() -> None:
    """3 nA and 1.5 nA from three lines: 9 nA at most, so 2^-11 nA; 2 nA from one: 2^-13."""
    weight = np.array([[3e-9, 1.5e-9, 3e-9], [0, 3e-9, 0]])
    result = fixed(graph(cuba(), dense(weight), dense([[0, 0, 0], [-2e-9, 0, 0]], "down")))
    up, down = result.projections
    found = cell(result)
    assert (found.shift_e, found.shift_i) == (4, 2)
    assert up.connection.weight.tolist() == [[6144, 3072, 6144], [0, 6144, 0]]  # type: ignore[attr-defined]
    assert down.connection.weight.tolist() == [[0, 0, 0], [16384, 0, 0]]  # type: ignore[attr-defined]
    assert (up.name, up.receptor, down.name, down.receptor) == (
        *("w", "excitatory"),
        *("down", "inhibitory"),
    )


def test_a_projection_with_both_signs_becomes_two() -> None:
    weight = np.array([[1e-9, -2e-9, 0], [0, -1e-9, 3e-9]])
    result = fixed(graph(cuba(), dense(weight)))
    assert [(p.name, p.receptor) for p in result.projections] == [
        ("w", "excitatory"),
        ("w inhibitory", "inhibitory"),
    ]
    found = cell(result)
    up, down = (p.connection.weight for p in result.projections)  # type: ignore[attr-defined]
    scale = 2.0**15
    back = up * 2.0**found.shift_e / scale - down * 2.0**found.shift_i / scale
    assert back == pytest.approx(weight * 1e9)


def test_shifts_of_spynnaker() -> None:
    """Those that sPyNNaker 1!7.4.1 takes (a virtual board) for a part of the CA3 memory."""
    learns = Plasticity(pair(), 0.0, 6e-9, transmit=Transmit.AFTER)
    others = -60e-9 * (1 - np.eye(5))
    projections = (
        Projection("1", "in", "cells", OneToOne(real(np.full(5, 6e-9)), (5,)), 2),
        Projection("2", "in", "cells", Dense(others), 3),
        Projection("3", "cells", "cells", Dense(others), 2),
        Projection("4", "more", "cells", Dense(np.zeros((5, 10))), 1, plasticity=learns),
    )
    network = graph(cuba(0.3e-3), *projections, size=5, lines=5)
    network = replace(network, inputs=(*network.inputs, Input("more", (10,))))
    found = cell(fixed(network))
    assert (found.shift_e, found.shift_i) == (7, 10)


def test_synapses_count_once_where_they_are() -> None:
    indptr, post = np.array([0, 2, 3, 3]), np.array([0, 1, 1], np.int32)
    sparse = Sparse(3, 2, indptr, post, real([1e-9, 1e-9, 3e-9]))
    found = cell(fixed(graph(cuba(), Projection("w", "in", "cells", sparse, 1))))
    assert found.shift_e == 3  # two synapses of at most 3 nA each
    lone = dense([[0, 0, 4e-9], [0, 0, 0]])
    assert cell(fixed(graph(cuba(), lone))).shift_e == 3  # 4 is 2^2
    assert cell(fixed(graph(cuba(), dense(np.zeros((2, 3)))))).shift_e == 0


def test_what_multiplies_a_weight_stays() -> None:
    """A held input comes to the same; of one that decays through the step the charge is kept."""
    words = {}
    init = 5 * (1 - math.exp(-0.2))
    for gain in (Gain.EXACT, Gain.PROPAGATED):
        rules = replace(RULES, gain=gain)
        result = fixed(graph(point(), dense(WEIGHT, receptor="exc"), semantics=rules))
        found = cell(result)
        word = int(result.projections[0].connection.weight[0, 0])  # type: ignore[attr-defined]
        words[gain] = word * 2.0 ** (found.shift_e - 15)
    assert words[Gain.PROPAGATED] == 1.0
    assert words[Gain.EXACT] == pytest.approx(1 / init, rel=1e-4)
    half = fixed(graph(cuba(w_in=2.5), dense(WEIGHT)))
    word = int(half.projections[0].connection.weight[0, 0])  # type: ignore[attr-defined]
    assert word * 2.0 ** (cell(half).shift_e - 15) == 0.5


def test_weights_that_are_too_small_are_told() -> None:
    found = Diagnostics()
    small = np.array([[1e-9, 1e-14, 1e-14], [0, 0, 1e-25]])
    spinnaker(graph(cuba(), dense(small)), found)
    told = "'w': 3 of 4 weights are below half a word, 6.10352e-05 nA, and become 0"
    assert [(d.code, d.message) for d in found.found] == [("W0403", told)]
    found = Diagnostics()
    spinnaker(graph(cuba(), dense(small[:, :2].repeat(2, 1)[:, :3])), found)
    assert not found.found


def pair(**changes: Any) -> PairSTDP:
    plain = PairSTDP(6e-9, 3e-9, 3e-3, 5e-3, coincidence=Coincidence.DEPRESS)
    return replace(plain, **changes)


def learning(rule: Any, **changes: Any) -> Projection:
    plasticity = Plasticity(rule, 0.0, 6e-9, transmit=Transmit.AFTER)
    return dense(np.zeros((2, 3)), plasticity=replace(plasticity, **changes))


@pytest.mark.parametrize(
    ("rule", "plus", "minus"),
    [
        (pair(), 6.0, 3.0),
        (pair(dependence=Dependence.SCALED, a_plus=0.5, a_minus=0.25), 3.0, 1.5),
        (pair(depression=Dependence.SCALED, a_minus=0.5), 6.0, 3.0),
    ],
)
def test_pairs_in_fixed_point(rule: PairSTDP, plus: float, minus: float) -> None:
    (projection,) = fixed(graph(cuba(), learning(rule))).projections
    plasticity = projection.plasticity
    assert plasticity is not None
    wanted = (round(plus * 32768), round(minus * 32768), 0, 6 * 32768, 5)  # 18 nA at most
    assert plasticity.rule == SpinnakerPairSTDP(decay_table(3, 1), decay_table(5, 1), *wanted)
    assert (plasticity.w_min, plasticity.w_max) == (0, 6 << 10)


def refused(network: Graph, *messages: str, code: str = "E0301") -> None:
    with pytest.raises(SpikecError) as caught:
        spinnaker(network, Diagnostics())
    found = [d for d in caught.value.diagnostics if d.code == code]
    for message in messages:
        assert any(message in d.message for d in found), [d.message for d in found]
    assert all(d.hint for d in found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decay": Decay.EULER}, "decay is euler; SpiNNaker has exponential"),
        ({"current": Current.OLD}, "current is old; SpiNNaker has new"),
        ({"reset": Reset.SUBTRACT}, "reset is subtract; SpiNNaker has value"),
        ({"max_spikes": None}, "max_spikes is None; SpiNNaker has 1"),
        ({"v_min": -1.0}, "v_min is -1.0; SpiNNaker has None"),
        ({"refractory_frozen": False}, "refractory_frozen is False; SpiNNaker has True"),
        ({"registered": True}, "registered is True; SpiNNaker has False"),
        ({"gain": Gain.PROPAGATED}, "gain is propagated; SpiNNaker has exact"),
    ],
)
def test_steps_that_spinnaker_does_not_take(changes: Any, message: str) -> None:
    refused(graph(cuba(), dense(WEIGHT), semantics=replace(RULES, **changes)), message)


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        (LIF(real(0.02), real(1.0), real(0.0), real(1.0)), "is LIF; here SpiNNaker has IF_curr"),
        (replace(cuba(), v_reset=None), "has no v_reset"),
    ],
)
def test_neurons_that_spinnaker_does_not_have(neuron: Neuron, message: str) -> None:
    refused(graph(neuron, dense(WEIGHT)), f"'cells': {message}")


def test_point_neurons_that_spinnaker_does_not_have() -> None:
    values = {name: getattr(point(), name) for name in PointLIF.parameters()}
    refused(graph(AdEx(**values, receptors=point().receptors)), "is AdEx; here")
    for changes, message in (
        ({"kernel": Kernel.ALPHA}, "receptor exc is no current that decays exponentially"),
        ({"reversal": real(0.0)}, "receptor exc is no current that decays exponentially"),
        ({"initial": real(1e-9)}, "receptor exc does not start at 0"),
    ):
        exc, inh = point().receptors
        neuron = point(receptors=(replace(exc, **changes), inh))
        refused(graph(neuron, dense(WEIGHT, receptor="exc")), message)
    both = (dense(WEIGHT, receptor="exc"), dense(WEIGHT, "more", receptor="inh"))
    refused(graph(point(), *both), "weights of one sign end at 'exc' and, of 'more', at 'inh'")
    refused(graph(point(), dense(WEIGHT, receptor="current")), "it ends at the port current")
    refused(graph(point(), dense(WEIGHT, receptor="ex")), "it ends at the receptor 'ex', which is")
    learns = replace(learning(pair()), receptor="inhibitory")
    named = point(receptors=(replace(point().receptors[1], name="inhibitory"),))
    refused(graph(named, learns), "weights that learn are negative, or inhibit")
    idle = replace(learns, plasticity=None)
    assert fixed(graph(named, idle)).projections[0].receptor == "inhibitory"


@pytest.mark.parametrize(
    ("projection", "message"),
    [
        (dense(WEIGHT, delay=0), "a delay of 0 steps; SpiNNaker has at least 1"),
        (dense(WEIGHT, bias=real(1e-9)), "it has a bias"),
        (
            dense(WEIGHT, short_term=TsodyksMarkram(*map(real, (0.5, 0.1, 0.0, 5e-3)))),
            "its weights are sent in part",
        ),
        (
            Projection("w", "in", "cells", Conv1d(real(np.ones((1, 1, 2))), (1, 3)), 1),
            "Conv1d is no dense, sparse or one-to-one connection of one delay",
        ),
        (learning(pair(), w_min=-1e-9), "its weights may learn to be negative"),
        (
            replace(learning(pair()), connection=Dense(-WEIGHT)),
            "weights that learn are negative",
        ),
    ],
)
def test_projections_that_spinnaker_does_not_have(projection: Projection, message: str) -> None:
    refused(graph(cuba(), projection), f"'w': {message}")


def test_delays_of_synapses_and_factors_of_neurons() -> None:
    sparse = Sparse(
        3, 2, np.array([0, 1, 1, 1]), np.array([0], np.int32), real([1e-9]), np.array([2], np.int32)
    )
    refused(graph(cuba(), Projection("w", "in", "cells", sparse, 1)), "'w': Sparse is no dense")
    neuron = cuba(w_in=[5.0, 4.0])
    refused(graph(neuron, dense(WEIGHT)), "'w': its neurons multiply a weight with factors")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (pair(pairing=Pairing.NEAREST), "pairing is nearest; SpiNNaker has all"),
        (
            pair(window=Window.RECTANGULAR, pairing=Pairing.NEAREST),
            "window is rectangular; SpiNNaker has exponential",
        ),
        (
            pair(dependence=Dependence.MULTIPLICATIVE),
            "dependence is multiplicative; SpiNNaker has additive or scaled",
        ),
        (pair(coincidence=Coincidence.NONE), "coincidence is none; SpiNNaker has depress"),
        (pair(dendritic_delay_fraction=0.0), "dendritic_delay_fraction is 0.0; SpiNNaker has 1.0"),
        (pair(bits=4), "bits is 4; SpiNNaker has None"),
        (pair(a_minus=-1e-9), "a_minus is -1e-09; SpiNNaker clamps"),
        (TripletSTDP(6e-9, 6e-9, 3e-3, 3e-3), "learns by TripletSTDP, not by PairSTDP"),
    ],
)
def test_rules_that_spinnaker_does_not_have(rule: Any, message: str) -> None:
    refused(graph(cuba(), learning(rule)), f"'w': {message}")


def test_before_is_not_what_spinnaker_sends() -> None:
    before = learning(pair(), transmit=Transmit.BEFORE)
    refused(graph(cuba(), before), "'w': transmit is before; SpiNNaker has after")


def test_parameters_beyond_s1615() -> None:
    huge = graph(cuba(v_threshold=70.0), dense(WEIGHT))
    refused(huge, "'cells': v_threshold is 70000 (mV, nA, nF or ms); s16.15 has", code="E0401")
    refused(
        graph(cuba(tau_syn=1e-9, w_in=1e-6), dense(WEIGHT)),
        "'cells': tau_syn is 1e-06 (mV, nA, nF or ms)",
        code="E0401",
    )
    much = graph(cuba(), dense(np.full((2, 3), 20e-6)))
    refused(much, "'cells': 60000 nA may arrive at 'excitatory' in a tick", code="E0401")


def random_network(seed: int, gain: Gain) -> tuple[Graph, Stimulus]:
    """60 neurons, a fifth of which inhibit, driven by 30 lines of 60 Hz."""
    rng = np.random.default_rng(seed)
    size, lines, steps = 60, 30, 400
    drive = rng.uniform(0.5e-9, 1.5e-9, (size, lines)) * (rng.random((size, lines)) < 0.3)
    web = rng.uniform(0.05e-9, 0.3e-9, (size, size)) * (rng.random((size, size)) < 0.2)
    sign = np.where(np.arange(size) % 5 == 0, -4.0, 1.0)
    up, down = np.maximum(web * sign, 0), np.minimum(web * sign, 0)
    projections = (
        dense(drive, "drive", receptor="exc"),
        Projection("up", "cells", "cells", Dense(up), 2, receptor="exc"),
        Projection("down", "cells", "cells", Dense(down), 1, receptor="inh"),
    )
    rules = replace(RULES, gain=gain)
    network = graph(point(), *projections, semantics=rules, size=size, lines=lines)
    events = Events.from_dense((rng.random((1, steps, lines)) < 0.06).astype(np.int64))
    return network, Stimulus({"in": events})


@pytest.mark.parametrize("gain", [Gain.EXACT, Gain.PROPAGATED])
def test_rates_of_random_networks(gain: Gain) -> None:
    """As many spikes in s16.15 as in float64 (Brian2), within 0.5 %; measured: 0.05 to 0.2 %."""
    for seed in range(3):
        network, events = random_network(seed, gain)
        wanted = run_golden(network, events, codegen="numpy").spikes["cells"].dense(0).sum()
        got = Executor(fixed(network)).run(events).spikes["cells"].dense(0).sum()
        assert wanted > 1500
        assert got == pytest.approx(wanted, rel=5e-3)


def test_nobody_else_takes_it(tmp_path: Path) -> None:
    """What runs s16.15 is the executor; every other way is refused, with what to do."""
    network = fixed(graph(cuba(), dense(WEIGHT)))
    events = Stimulus({"in": Events.from_dense(np.zeros((1, 2, 3), np.int64))})
    attempts: tuple[tuple[Callable[[], Any], str, str], ...] = (
        (lambda: run_golden(network, events), "E0301", "population 'cells' is quantised"),
        (
            lambda: quantise(network, Quantise(), Diagnostics()),
            "E0301",
            "'cells' is in the arithmetic of SpiNNaker already",
        ),
        (
            lambda: Legalise().run(network, target(), Diagnostics()),
            "E0301",
            "'cells' is in the arithmetic of SpiNNaker, which null does not have",
        ),
        (lambda: write_nir(network, tmp_path / "x.nir"), "E0119", "NIR has no integer neurons"),
        (lambda: spinnaker(network, Diagnostics()), "E0301", "is SpinnakerLIF; here SpiNNaker"),
    )
    for run, code, message in attempts:
        with pytest.raises(SpikecError, match=message) as caught:
            run()
        assert any(d.code == code and d.hint for d in caught.value.diagnostics)


def test_reports_and_comparisons() -> None:
    network = graph(point(), dense(WEIGHT, receptor="exc"))
    result = fixed(network)
    (row,) = population_rows(result)
    assert row.model == "SpinnakerLIF" and "s16.15 states (down, wrap)" in row.semantics
    assert projection_rows(result)[0].bytes == 2 * 6  # words of 16 bits
    events = Stimulus({"in": Events.from_dense(np.ones((1, 20, 3), np.int64))})
    one = run_golden(network, events, record=[("cells", "v")], codegen="numpy")
    two = Executor(result).run(events, record=[("cells", "v")])
    (state,) = compare(one, two, graph=result).states
    assert 0 < state.max_abs_error < 1e-5  # V; measured 3.0 uV
