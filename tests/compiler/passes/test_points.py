"""Point neurons as neurons with one sum: nothing changes for the golden rung, or it is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.reference.golden import run_golden
from spikec.boards.board import Target
from spikec.compiler.compile import pipeline
from spikec.compiler.connectivity import synapses
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.legalise import Legalise
from spikec.compiler.passes.quantise import REFERENCE, Quantise, quantise
from spikec.ir.connections import Delay, Dense, OneToOne, Scale, Sparse, chain
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Probe, Projection
from spikec.ir.neurons import (
    IF,
    LIF,
    AdEx,
    CubaLIF,
    IntegerNeuron,
    Izhikevich,
    Kernel,
    Neuron,
    PointLIF,
    Receptor,
)
from spikec.ir.plasticity import PairSTDP, Plasticity
from spikec.ir.semantics import (
    Comparison,
    Current,
    Decay,
    Gain,
    IntegratorGain,
    Reset,
    Semantics,
)
from spikec.ir.short_term import TsodyksMarkram

from .networks import real, target

DT, STEPS, LINES, SIZE = 1e-4, 150, 6, 5
# Volt. Membranes are a tenth of a volt, and every step rounds once or twice.
CLOSE = 1e-12

KINDS = {  # receptors that each kind has, and the weight of a spike into them
    "exponential": (("excitatory", Kernel.EXPONENTIAL), ("inhibitory", Kernel.EXPONENTIAL)),
    "delta": (("excitatory", Kernel.DELTA), ("inhibitory", Kernel.DELTA)),
    "current": (),
}
WEIGHT = {"exponential": 1.5e-9, "delta": 4e-3, "current": 6e-9}


def sparse(rng: np.random.Generator, rows: int, columns: int, weight: float) -> Sparse:
    """Synapses with delays of their own, some pairs twice, some of them with one delay."""
    i = np.sort(rng.integers(0, rows, 3 * columns))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=rows))])
    w = weight * rng.uniform(0.5, 1.5, i.size)
    steps = rng.integers(0, 4, i.size, np.int32)
    return Sparse(rows, columns, indptr, rng.integers(0, columns, i.size, np.int32), w, steps)


def cell(rng: np.random.Generator, kind: str, old_deltas: bool = False) -> PointLIF:
    def each(low: float, high: float) -> Any:
        return real(rng.uniform(low, high, SIZE if rng.random() < 0.5 else None))

    tau = each(2e-3, 8e-3)
    ports = [
        Receptor(name, kernel, None if kernel is Kernel.DELTA else tau)
        for name, kernel in KINDS[kind]
    ]
    # Nothing ends at this one.
    reversal = real(-80e-3) if rng.random() < 0.3 else None
    ports.append(Receptor("unused", Kernel.ALPHA, real(3e-3), reversal))
    v_leak = each(-66e-3, -64e-3)
    return PointLIF(
        tau_mem=each(5e-3, 20e-3),
        capacity=each(0.2e-9, 0.3e-9),
        v_leak=v_leak,
        v_threshold=real(-50e-3),
        v_reset=v_leak if old_deltas else each(-70e-3, -60e-3),
        i_offset=real(0.0) if old_deltas else each(0.0, 0.2e-9),
        v_init=each(-70e-3, -52e-3),
        receptors=tuple(ports),
    )


def rules(rng: np.random.Generator, current: Current) -> Semantics:
    decay = list(Decay)[rng.integers(3)]
    exact = [Gain.EXACT, Gain.PROPAGATED][rng.integers(2)]
    return Semantics(
        decay=decay,
        gain=exact if decay is Decay.EXPONENTIAL else list(Gain)[rng.integers(4)],
        current=current,
        comparison=list(Comparison)[rng.integers(2)],
        reset=Reset.VALUE,
        refractory=int(rng.integers(0, 4)),
        registered=bool(rng.integers(2)),
    )


def random_network(seed: int, kind: str, current: Current) -> tuple[Graph, Stimulus]:
    """Two populations, one behind the other and each with a loop, and what they receive."""
    rng = np.random.default_rng(seed)
    old_deltas = kind == "delta" and current is Current.OLD
    names = [name for name, _ in KINDS[kind]] or ["current", "current"]
    up, down = WEIGHT[kind], -WEIGHT[kind] / 2
    populations = tuple(
        Population(name, (SIZE,), cell(rng, kind, old_deltas), rules(rng, current))
        for name in ("first", "second")
    )

    def dense(columns: int, weight: float) -> Dense:
        return Dense(weight * rng.uniform(0.0, 0.5, (SIZE, columns)))

    projections = [
        Projection("in", "lines", "first", sparse(rng, LINES, SIZE, up), receptor=names[0]),
        Projection("in second", "lines", "second", dense(LINES, up), 1, receptor=names[0]),
        Projection("on", "first", "second", dense(SIZE, up), receptor=names[0]),
        Projection("back", "second", "first", sparse(rng, SIZE, SIZE, down), 1, receptor=names[1]),
        Projection(
            "loop", "first", "first", dense(SIZE, down), 2, recurrent=True, receptor=names[1]
        ),
    ]
    if kind == "delta" and not old_deltas:
        wire = Dense(0.2e-9 * rng.uniform(0.5, 1.5, (SIZE, LINES)))
        projections.append(Projection("wire", "lines", "first", wire, 1, receptor="current"))
    graph = Graph(
        "points",
        DT,
        (Input("lines", (LINES,)),),
        populations,
        tuple(projections),
        (Output("o", "first"), Output("p", "second")),
        (Probe("first", "v"),),
    )
    spikes = rng.random((2, STEPS, LINES)) < (0.2 if kind == "current" else 0.05)
    return graph, Stimulus({"lines": Events.from_dense(spikes.astype(np.int64))})


def legal(graph: Graph) -> Graph:
    return run_pipeline([Legalise()], graph, Target.unlimited(), Diagnostics())


def golden(graph: Graph, stimulus: Stimulus) -> Recording:
    record = [(p.name, "v") for p in graph.populations]
    return run_golden(graph, stimulus, record=record, codegen="numpy")


def same_spikes(a: Recording, b: Recording) -> int:
    """How many, after all of them were found to be the same."""
    for name, events in a.spikes.items():
        assert events == b.spikes[name], name
    return sum(events.step.size for events in a.spikes.values())


@settings(max_examples=6, deadline=None)
@given(
    st.integers(0, 2**20),
    st.sampled_from(["exponential", "delta", "current"]),
    st.sampled_from(list(Current)),
)
def test_a_lowered_network_is_the_same_network(seed: int, kind: str, current: Current) -> None:
    graph, stimulus = random_network(seed, kind, current)
    after = legal(graph)
    model = CubaLIF if kind == "exponential" else LIF
    assert all(isinstance(p.neuron, model) for p in after.populations)
    assert all(p.receptor is None for p in after.projections)
    wanted, got = golden(graph, stimulus), golden(after, stimulus)
    same_spikes(wanted, got)
    for population in graph.populations:
        key = (population.name, "v")
        v, w = wanted.states[key], got.states[key]
        if kind == "delta" and current is Current.OLD:
            # Deltas are in v behind the step that they arrived in; lowered, in the next one.
            assert w[:, 0] == pytest.approx(v[:, 0], abs=0.01)
            continue
        assert np.abs(v - w).max() <= CLOSE


def test_deltas_of_the_old_rule_are_seen_a_step_later() -> None:
    r"""Lowered, v is what the old rule has before it adds the deltas of the step: :math:`b v + d`.

    Wherever the neuron was neither refractory nor reset, here or there.
    """
    graph, stimulus = random_network(4, "delta", Current.OLD)
    wanted, got = golden(graph, stimulus), golden(legal(graph), stimulus)
    assert same_spikes(wanted, got) > 20
    for population in graph.populations:
        neuron, semantics = population.neuron, population.semantics
        assert isinstance(neuron, PointLIF)
        x = DT / neuron.tau_mem
        keep = {
            Decay.EULER: 1 - x,
            Decay.MIDPOINT: 1 - x + x * x / 2,
            Decay.EXPONENTIAL: np.exp(-x),
        }[semantics.decay]
        v, w = (r.states[population.name, "v"] for r in (wanted, got))
        due = keep * v[:, :-1] + (1 - keep) * neuron.v_leak
        free = np.ones(due.shape, bool)
        shown = int(semantics.registered)
        for sample in range(2):
            spikes = wanted.spikes[population.name].dense(sample) > 0
            for step, k in zip(*np.nonzero(spikes), strict=True):
                free[
                    sample, max(step - shown - 1, 0) : step - shown + semantics.refractory + 1, k
                ] = False
        free[:, -8:] = False  # a registered spike of the last step is not in the recording
        assert free.mean() > 0.5
        assert np.abs(w[:, 1:] - due)[free].max() <= CLOSE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("current", list(Current))
def test_the_integer_rung_runs_it(kind: str, current: Current) -> None:
    """With 16 bits a weight, 40 a state: v within a tenth of a millivolt until a spike differs."""
    graph, stimulus = random_network(1, kind, current)
    wanted = golden(graph, stimulus)
    assert 20 <= sum(events.step.size for events in wanted.spikes.values()) < 1000
    fine = replace(REFERENCE, input_max=1)
    quantised = run_pipeline(pipeline(fine), graph, Target.unlimited(), Diagnostics())
    names = [p.name for p in quantised.populations]
    got = Executor(quantised).run(stimulus, record=[(name, "v") for name in names])
    for sample in range(2):
        agree = [
            (wanted.spikes[n].dense(sample) == got.spikes[n].dense(sample)).all(axis=1)
            for n in names
        ]
        until = int(np.argmin([*np.all(agree, axis=0), False]))
        assert until == STEPS
        for population in quantised.populations:
            neuron = population.neuron
            assert isinstance(neuron, IntegerNeuron)
            unit = neuron.real("v")
            assert unit is not None
            v = got.states[population.name, "v"][sample] * unit[0] + unit[1]
            if kind == "delta" and current is Current.OLD:
                continue
            assert np.abs(v - wanted.states[population.name, "v"][sample]).max() < 1e-4


def test_a_current_and_an_offset_become_the_same_cuba() -> None:
    neuron = PointLIF(
        real(20e-3), real(1e-9), real(-65e-3), real(-50e-3), real(-65e-3), real(0.5e-9),
        real(-65e-3), (Receptor("exc", tau=real(5e-3)),),
    )  # fmt: skip
    exact = Semantics(decay=Decay.EXPONENTIAL, gain=Gain.PROPAGATED, reset=Reset.VALUE)
    graph = feed(neuron, exact, "exc")
    lowered = legal(graph).populations[0]
    cuba = lowered.neuron
    assert isinstance(cuba, CubaLIF)
    # R = tau / C is 20 megaohm; 0.5 nA lift the rest by 10 mV.
    assert float(cuba.r) == 20e-3 / 1e-9
    assert float(cuba.v_leak) == pytest.approx(-55e-3, rel=1e-15, abs=0)
    assert lowered.semantics.v_init == -65e-3 and cuba.v_init is None
    assert legal(graph).projections[0].delay == 0
    old = legal(feed(neuron, replace(exact, current=Current.OLD), "exc"))
    assert old.projections[0].delay == 1 and old.populations[0] == lowered


def test_neurons_with_starts_of_their_own_keep_them_down_to_integers() -> None:
    start = real([-65e-3, -60e-3, -55e-3])
    neuron = PointLIF(
        real(20e-3), real(1e-9), real(-65e-3), real(-50e-3), real(-65e-3), real(0.0), start,
        (Receptor("exc", tau=real(5e-3)),),
    )  # fmt: skip
    for port in ("exc", "current"):
        graph = feed(neuron, Semantics(reset=Reset.VALUE), port, size=3)
        quantised = quantise(legal(graph), REFERENCE, Diagnostics())
        silent = Stimulus({"lines": Events.from_dense(np.zeros((1, 200, 1), np.int64))})
        got = Executor(quantised).run(silent, record=[("cells", "v")])
        wanted = golden(graph, silent)
        cell = quantised.populations[0].neuron
        assert isinstance(cell, IntegerNeuron)
        unit = cell.real("v")
        assert unit is not None
        v = got.states["cells", "v"] * unit[0] + unit[1]
        assert np.abs(v - wanted.states["cells", "v"]).max() < 1e-7
        assert np.ptp(v[0, 0]) == pytest.approx(9.5e-3, rel=1e-3)


# -- Izhikevich ------------------------------------------------------------------------------------


def izhikevich(**more: Any) -> Izhikevich:
    return Izhikevich(real(0.02), real(0.2), real(-65.0), real(8.0), real(1.0), **more)


JUMPS = (Receptor("exc", Kernel.DELTA), Receptor("inh", Kernel.DELTA))


@pytest.mark.parametrize("gain", list(IntegratorGain))
@pytest.mark.parametrize("injected", [False, True])
def test_izhikevich_neurons_take_jumps_as_currents(gain: IntegratorGain, injected: bool) -> None:
    rng = np.random.default_rng(3)
    neuron = izhikevich(
        receptors=JUMPS, i_offset=real(rng.uniform(2.0, 6.0, SIZE)), v_init=real(-70.0),
        u_init=real(-14.0),
    )  # fmt: skip
    semantics = Semantics(reset=Reset.VALUE, integrator_gain=gain, refractory=1)
    graph = Graph(
        "jumps",
        0.5e-3,
        (Input("lines", (LINES,)),),
        (Population("cells", (SIZE,), neuron, semantics),),
        (
            Projection("in", "lines", "cells", sparse(rng, LINES, SIZE, 6.0), receptor="exc"),
            Projection("loop", "cells", "cells", sparse(rng, SIZE, SIZE, -4.0), 1, receptor="inh"),
            *(
                [Projection("wire", "lines", "cells", Dense(np.ones((SIZE, LINES))), 0,
                            receptor="current")] if injected else []
            ),
        ),
        (Output("o", "cells"),),
    )  # fmt: skip
    spikes = rng.random((2, 400, LINES)) < 0.05
    stimulus = Stimulus({"lines": Events.from_dense(spikes.astype(np.int64))})
    after = legal(graph)
    lowered = after.populations[0].neuron
    assert isinstance(lowered, Izhikevich) and not lowered.receptors and lowered.i_offset is None
    wanted, got = golden(graph, stimulus), golden(after, stimulus)
    assert same_spikes(wanted, got) > 40
    assert np.abs(wanted.states["cells", "v"] - got.states["cells", "v"]).max() < 1e-8
    quantised = run_pipeline(
        pipeline(replace(REFERENCE, state_bits=32)), graph, Target.unlimited(), Diagnostics()
    )
    run = Executor(quantised).run(stimulus)
    differ = wanted.spikes["cells"].step.size - run.spikes["cells"].step.size
    assert abs(differ) <= 2


def test_a_current_alone_asks_nothing_of_izhikevich_substeps() -> None:
    neuron = izhikevich(receptors=JUMPS, substeps=2, v_init=real(-65.0))
    semantics = Semantics(reset=Reset.VALUE, current=Current.OLD)
    graph = feed(neuron, semantics, "current", weight=20.0)
    stimulus = Stimulus({"lines": Events.from_dense(np.ones((1, 900, 1), np.int64))})
    wanted, got = golden(graph, stimulus), golden(legal(graph), stimulus)
    assert same_spikes(wanted, got) > 3
    assert np.array_equal(wanted.states["cells", "v"], got.states["cells", "v"])


# -- delays of synapses ----------------------------------------------------------------------------


def delayed(post: Neuron, connection: Any, bias: Any = None) -> Graph:
    pre, size = int(np.prod(connection.in_shape)), int(np.prod(connection.out_shape))
    return Graph(
        "delays",
        1e-3,
        (Input("lines", (pre,)),),
        (Population("cells", (size,), post),),
        (Projection("p", "lines", "cells", connection, 2, bias),),
        (Output("o", "cells"),),
    )


CELL = LIF(real(0.01), real(5.0), real(0.0), real(1.0))
MATRIX = Sparse(
    3, 2, np.array([0, 2, 4, 4]), np.array([0, 0, 1, 1]), np.array([1.0, 2.0, 4.0, 8.0]),
    np.array([5, 0, 5, 5]),
)  # fmt: skip


def test_each_delay_gets_a_projection_of_its_name() -> None:
    after = legal(delayed(CELL, MATRIX, real(0.5)))
    assert [(p.name, p.delay) for p in after.projections] == [("p@0", 2), ("p@5", 7)]
    assert [p.bias is None for p in after.projections] == [False, True]
    first, second = (p.connection for p in after.projections)
    assert isinstance(first, Sparse) and isinstance(second, Sparse)
    assert first.steps is None and second.steps is None
    # A pair with two synapses of one delay has one of their sum.
    assert [a.tolist() for a in synapses(first)[:3]] == [[0], [0], [2.0]]
    assert [a.tolist() for a in synapses(second)[:3]] == [[0, 1], [0, 1], [1.0, 12.0]]


def test_one_delay_needs_no_second_name() -> None:
    one = replace(MATRIX, steps=np.full(4, 3))
    (projection,) = legal(delayed(CELL, one)).projections
    assert (projection.name, projection.delay) == ("p", 5)
    none = Sparse(
        3, 2, np.zeros(4, np.int64), np.zeros(0, np.int32), np.zeros(0), np.zeros(0, np.int32)
    )
    (projection,) = legal(delayed(CELL, none, real(0.5))).projections
    assert projection.bias is not None and projection.delay == 2


def test_delays_in_a_chain_add_to_those_of_its_other_stages() -> None:
    whole = chain(
        (
            Scale(real([1.0, 2.0, 3.0]), (3,)),
            Delay(np.array([0, 1, 2]), (3,)),
            MATRIX,
            OneToOne(real(0.5), (2,)),
        ),
        (3,),
    )
    after = legal(delayed(CELL, whole))
    found = {
        (int(i), int(j), p.delay): float(w)
        for p in after.projections
        for i, j, w in zip(*synapses(p.connection)[:3], strict=True)
    }
    assert found == {(0, 0, 2): 1.0, (0, 0, 7): 0.5, (1, 1, 8): 12.0}


# -- what is refused -------------------------------------------------------------------------------


def feed(
    neuron: Neuron,
    semantics: Semantics,
    port: str | None,
    *,
    size: int = 1,
    weight: float = 1e-9,
    **more: Any,
) -> Graph:
    return Graph(
        "feed",
        1e-3,
        (Input("lines", (1,)),),
        (Population("cells", (size,), neuron, semantics),),
        (
            Projection(
                "p", "lines", "cells", Dense(np.full((size, 1), weight)), receptor=port, **more
            ),
        ),
        (Output("o", "cells"),),
    )


def two(first: Receptor, second: Receptor, model: type[PointLIF] = PointLIF, **more: Any) -> Graph:
    values: dict[str, Any] = {
        "tau_mem": real(20e-3), "capacity": real(1e-9), "v_leak": real(-65e-3),
        "v_threshold": real(-50e-3), "v_reset": real(-60e-3),
    }  # fmt: skip
    semantics = more.pop("semantics", Semantics(reset=Reset.VALUE))
    neuron = model(**values | more, receptors=(first, second))
    graph = feed(neuron, semantics, first.name)
    again = replace(graph.projections[0], name="q", receptor=second.name)
    return replace(graph, projections=(*graph.projections, again))


def exponential(name: str, tau: float = 5e-3, **more: Any) -> Receptor:
    return Receptor(name, Kernel.EXPONENTIAL, real(tau), **more)


def delta(name: str) -> Receptor:
    return Receptor(name, Kernel.DELTA)


OLD = Semantics(reset=Reset.VALUE, current=Current.OLD)

REFUSED: dict[str, tuple[Graph, str, str]] = {
    "two time constants": (
        two(exponential("exc"), exponential("inh", 8e-3)),
        "'cells' has currents of two time constants: 'exc' 5 ms and 'inh' 8 ms; a neuron of chip "
        "has one synaptic current",
        "tau_syn_E = tau_syn_I",
    ),
    "conductance": (
        two(exponential("exc", reversal=real(0.0)), exponential("inh")),
        "'cells' has conductances, 'exc'; chip adds currents",
        "IF_cond_exp to IF_curr_exp",
    ),
    "alpha": (
        two(Receptor("exc", Kernel.ALPHA, real(5e-3)), exponential("inh")),
        "'cells' has alpha functions, 'exc'; the synaptic current of a neuron of chip decays",
        "IF_curr_exp",
    ),
    "adex": (two(exponential("exc"), exponential("inh"), AdEx), "'cells' is an AdEx", "PointLIF"),
    "initial": (
        two(exponential("exc", initial=real(1e-10)), exponential("inh")),
        "'cells' starts with a current, 'exc'; on chip synaptic currents start at zero",
        "0 A",
    ),
    "mixed": (
        two(exponential("exc"), delta("inh")),
        "'cells' has a synaptic current, 'exc', and takes what arrives at 'inh' without one",
        "split the population",
    ),
    "injected": (
        (lambda g: replace(
            g,
            projections=(g.projections[0], replace(g.projections[1], receptor="current")),
        ))(two(exponential("exc"), exponential("inh"))),
        "takes what arrives at 'current' without one",
        "split the population",
    ),
    "deltas lost": (
        two(delta("exc"), delta("inh"), semantics=OLD),
        "'cells' loses deltas, 'exc', 'inh', that arrive behind a spike (current old); chip does "
        "so only where the membrane rests at its reset, and here v_reset is up to 5 mV from",
        "v_reset = v_leak",
    ),
    "deltas and a current": (
        (lambda g: replace(
            g,
            projections=(g.projections[0], replace(g.projections[1], receptor="current")),
        ))(two(delta("exc"), delta("inh"), v_reset=real(-65e-3), semantics=OLD)),
        "'cells' loses deltas, 'exc', that arrive behind a spike (current old), and 'q' brings a "
        "current",
        "use the current new",
    ),
    "late Izhikevich": (
        feed(izhikevich(receptors=JUMPS), OLD, "exc"),
        "'cells' takes deltas, 'exc', behind its step (current old); chip adds what arrives "
        "before v is compared",
        "use the current new",
    ),
    "substeps": (
        feed(izhikevich(receptors=JUMPS, substeps=3), Semantics(reset=Reset.VALUE), "exc"),
        "'cells' takes deltas, 'exc', behind 3 Euler steps of v",
        "one substep",
    ),
    "u_init": (
        feed(izhikevich(v_init=real(-65.0), u_init=real(-10.0)), Semantics(), None),
        "u of 'cells' starts up to 3 mV/ms from b v_init",
        "leave out u_init",
    ),
    "v_init of Izhikevich": (
        feed(izhikevich(v_init=real([-65.0, -60.0])), Semantics(), None, size=2),
        "the neurons of 'cells' start at v_init -65 to -60 mV",
        "start all of them at one",
    ),
    "probe": (
        replace(two(exponential("exc"), exponential("inh")), probes=(Probe("cells", "exc"),)),
        "'cells.exc' is probed; chip has one sum",
        "probe 'v'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_exact_form_is_refused_by_name(what: str) -> None:
    graph, message, hint = REFUSED[what]
    chip = replace(target(), name="chip")
    with pytest.raises(SpikecError) as caught:
        run_pipeline(pipeline(Quantise()), graph, chip, Diagnostics())
    (one,) = caught.value.diagnostics
    assert one.code == "E0301" and message in one.message
    assert one.hint is not None and hint in one.hint and "golden" in one.hint


def test_learning_behind_the_step_is_refused_and_before_it_is_not() -> None:
    learns = Plasticity(PairSTDP(1e-10, 1e-10, 0.02, 0.02), 0.0, 2e-9)
    graph = two(exponential("exc"), exponential("inh"), semantics=OLD)
    plastic = replace(graph.projections[0], plasticity=learns)
    graph = replace(graph, projections=(plastic, graph.projections[1]))
    with pytest.raises(SpikecError, match="'p' learns and ends at 'cells', where spikes arrive"):
        legal(graph)
    new = replace(graph.populations[0], semantics=Semantics(reset=Reset.VALUE))
    after = legal(replace(graph, populations=(new,)))
    assert after.projections[0].plasticity == learns and after.projections[0].delay == 0


def test_short_term_plasticity_is_refused_by_every_target_and_by_the_executor() -> None:
    tires = TsodyksMarkram(real(0.5), real(0.8), real(0.0), real(0.003))
    graph = feed(CELL, Semantics(), None, weight=1.0, short_term=tires)
    with pytest.raises(SpikecError, match="'p' has short-term plasticity") as caught:
        legal(graph)
    assert caught.value.diagnostics[0].code == "E0308"
    whole = quantise(legal(feed(CELL, Semantics(), None, weight=1.0)), REFERENCE, Diagnostics())
    tired = replace(whole, projections=(replace(whole.projections[0], short_term=tires),))
    with pytest.raises(SpikecError, match="'p' has short-term plasticity, which the integer"):
        Executor(tired)
    slow = Sparse(
        1, 1, np.array([0, 1]), np.zeros(1, np.int32), np.ones(1, np.int64), np.ones(1, np.int32)
    )
    with pytest.raises(SpikecError, match="'p' has synapses with delays of their own"):
        Executor(replace(whole, projections=(replace(whole.projections[0], connection=slow),)))


@pytest.mark.parametrize(
    "neuron", [two(delta("a"), delta("b")).populations[0].neuron, izhikevich(v_init=real(-60.0))]
)
def test_quantise_alone_does_not_drop_receptors(neuron: Neuron) -> None:
    port = "a" if isinstance(neuron, PointLIF) else None
    graph = feed(neuron, Semantics(reset=Reset.VALUE), port)
    with pytest.raises(SpikecError, match="run the legalise pass first"):
        quantise(graph, REFERENCE, Diagnostics())


def test_a_dead_population_is_removed_and_not_refused() -> None:
    graph = two(exponential("exc"), exponential("inh"), AdEx)
    alive = Population("alive", (1,), IF(real(1.0), real(1.0)))
    more = Projection("r", "lines", "alive", Dense(np.ones((1, 1))))
    graph = replace(
        graph,
        populations=(*graph.populations, alive),
        projections=(*graph.projections, more),
        outputs=(Output("o", "alive"),),
    )
    assert [p.name for p in legal(graph).populations] == ["alive"]


@pytest.mark.parametrize(
    ("reset", "comparison", "refused"),
    [
        (-49e-3, Comparison.GREATER, True),
        (-50e-3, Comparison.GREATER, False),
        (-50e-3, Comparison.GREATER_EQUAL, True),
        (-51e-3, Comparison.GREATER_EQUAL, False),
    ],
)
def test_old_deltas_need_a_reset_that_does_not_spike(
    reset: float, comparison: Comparison, refused: bool
) -> None:
    """At rest where it was reset, but above its threshold, a neuron would spike a step early."""
    at = real(reset)
    neuron = PointLIF(real(20e-3), real(1e-9), at, real(-50e-3), at, real(0.0), at, (delta("exc"),))
    graph = feed(neuron, replace(OLD, comparison=comparison), "exc")
    if not refused:
        legal(graph)
        return
    with pytest.raises(SpikecError) as caught:
        legal(graph)
    assert "loses deltas" in str(caught.value)


def test_an_unused_conductance_holds_currents_before_and_after_lowering() -> None:
    """Then the equation is no longer linear, and the current of a step is held through it."""
    rest = real(-65e-3)
    neuron = PointLIF(
        *(real(20e-3), real(1e-9), rest, real(-40e-3), rest),
        v_init=rest,
        receptors=(exponential("exc"), Receptor("open", tau=real(5e-3), reversal=real(0.0))),
    )
    propagated = Semantics(
        decay=Decay.EXPONENTIAL, gain=Gain.PROPAGATED, current=Current.NEW, reset=Reset.VALUE
    )
    graph = feed(neuron, propagated, "exc", weight=0.5e-9)
    line = np.zeros((1, 12, 1), np.int64)
    line[0, [1, 4]] = 1
    stimulus = Stimulus({"lines": Events.from_dense(line)})
    wanted, got = golden(graph, stimulus), golden(legal(graph), stimulus)
    v, w = (run.states["cells", "v"] for run in (wanted, got))
    assert np.ptp(v) > 1e-4 and np.abs(v - w).max() <= CLOSE
