"""The kernels of SpiNNaker's arithmetic against a model in Python's integers, bit for bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.integer import kernels
from spikec.compiler.integer import learning_kernels as learn
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.spinnaker import decay_table
from spikec.ir.connections import Dense, OneToOne, Sparse
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import SpinnakerLIF
from spikec.ir.plasticity import (
    Plasticity,
    SpinnakerPairSTDP,
    Trace,
    TraceSTDP,
    Transmit,
)
from spikec.ir.verify import verify

from . import spinnaker_reference as reference

S1615 = st.integers(-(1 << 31), (1 << 31) - 1)
U032 = st.integers(0, (1 << 32) - 1)
MILLI = 1 << 15
PLUS, MINUS, SLOW = decay_table(3.0, 1.0), decay_table(5.0, 1.0), np.full(64, 2048)
NAMES = ("v_rest", "v_reset", "threshold", "i_offset", "r", "exp_tc", "refractory")


def cell(**changes: Any) -> SpinnakerLIF:
    """tau_m 20 ms, R 20 MOhm, tau_syn 5 ms, -65 mV at rest, -50 mV to spike; words of 2^-12 nA."""
    values: dict[str, Any] = {
        **{"v_init": -65 * MILLI, "v_rest": -65 * MILLI, "v_reset": -65 * MILLI},
        **{"threshold": -50 * MILLI, "i_offset": 0, "r": 20 * MILLI, "exp_tc": 31170},
        **{"refractory": 2, "decay_e": 3516413584, "decay_i": 3516413584},
        **{"init_e": 3892770000, "init_i": 3892770000, "shift_e": 3, "shift_i": 3},
    }
    return SpinnakerLIF(**(values | changes))


def network(neuron: SpinnakerLIF, size: int, projections: Any, lines: int = 1) -> Graph:
    population = Population("cells", (size,), neuron)
    inputs = (Input("in", (lines,)),)
    return Graph("g", 1e-3, inputs, (population,), projections, (Output("out", "cells"),))


def stimulus(values: Any) -> Stimulus:
    return Stimulus({"in": Events.from_dense(np.asarray(values, np.int64))})


STATES = [("cells", "v"), ("cells", "excitatory"), ("cells", "inhibitory")]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_tick_bit_for_bit(data: st.DataObject) -> None:
    """All values that 32 bits hold, overflow included."""
    shifts: dict[str, Any] = {
        name: data.draw(st.integers(0, 15), name) for name in ("shift_e", "shift_i")
    }
    near = st.integers(-70 * MILLI, -40 * MILLI)
    values: dict[str, Any] = {
        "v_init": data.draw(S1615 | near),
        "v_rest": data.draw(S1615 | near),
        "v_reset": data.draw(S1615 | near),
        "threshold": data.draw(S1615 | near),
        "i_offset": data.draw(S1615 | st.just(0)),
        "r": data.draw(st.integers(0, (1 << 31) - 1) | st.integers(0, 1 << 20)),
        "exp_tc": data.draw(S1615 | st.integers(0, 1 << 15)),
        "refractory": data.draw(st.integers(0, 3)),
        **{name: data.draw(U032) for name in ("decay_e", "init_e", "decay_i", "init_i")},
    }
    neuron = SpinnakerLIF(**values, **shifts)
    words = st.lists(st.integers(0, 65535), min_size=3, max_size=3)
    e, i = data.draw(words), data.draw(words)
    lines = np.array(
        data.draw(
            st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=8)
        )
    )
    projections = (
        Projection("e", "in", "cells", Dense(np.array([e])), 1, receptor="excitatory"),
        Projection("i", "in", "cells", Dense(np.array([i])), 2, receptor="inhibitory"),
    )
    graph = network(neuron, 1, projections, 3)
    verify(graph)
    got = Executor(graph).run(stimulus(lines[None]), record=STATES)
    model = reference.Neuron(
        v=values["v_init"],
        decay=(values["decay_e"], values["decay_i"]),
        init=(values["init_e"], values["init_i"]),
        shift=(shifts["shift_e"], shifts["shift_i"]),
        **{name: values[name] for name in NAMES},
    )
    spikes = []
    for t in range(len(lines)):
        buffers = tuple(
            [w for w, n in zip(weights, lines[t - d], strict=True) for _ in range(n)]
            if t >= d
            else []
            for weights, d in ((e, 1), (i, 2))
        )
        spikes.append(int(model.tick(buffers)))  # type: ignore[arg-type]  # two of them
        wanted = [model.v, *model.inputs]
        assert [int(got.states[key][0, t, 0]) for key in STATES] == wanted, t
    assert got.spikes["cells"].dense(0)[:, 0].tolist() == spikes


RECORDED = json.loads(Path(__file__).with_name("spinnaker_vectors.json").read_text())


def columns(rows: Any) -> Any:
    return np.array(rows, np.int64).T


def test_the_released_program_computes_the_same_membranes() -> None:
    """ARM code of sPyNNaker 1!7.4.1 in an emulator: see record_spinnaker.py."""
    v, v_rest, r, exp_tc, offset, threshold, e, i, wanted, below = columns(RECORDED["membranes"])
    n = v.size
    none, two = np.zeros(n, np.int64), np.zeros((2, n), np.int64)
    index, value, wait = none.copy(), none.copy(), none.copy()
    membranes = (two.copy(), np.stack([e, i]), v.copy(), wait)
    reset = wanted + 1
    parameters = (two, two, np.zeros(2, np.int64), offset, r, v_rest, exp_tc, threshold, reset)
    arguments: tuple[Any, ...] = (*membranes, *parameters, np.full(n, 3), index, value)
    count = kernels.spinnaker_step(*arguments)
    assert sorted(index[:count]) == np.flatnonzero(below == 0).tolist() and 30 < count < 90
    assert (membranes[2] == np.where(below, wanted, reset)).all()
    assert (wait == np.where(below, 0, 3)).all()
    for row in RECORDED["membranes"]:
        v0, rest, r0, tc, off, limit, exc, inh, after, under = row
        model = reference.Neuron(
            v0, rest, after + 1, limit, off, r0, tc, 0, (0, 0), (0, 0), (0, 0), [exc, inh]
        )
        assert (model.tick(([], [])), model.v) == (not under, after + (not under))


def test_the_released_program_computes_the_same_inputs() -> None:
    word, shift, init, decay, before, added, wanted = columns(RECORDED["inputs"])
    for k in range(word.size):
        s, page = np.array([[before[k]], [0]]), np.array([[word[k]], [0]])
        one, two = np.zeros(1, np.int64), np.zeros((2, 1), np.int64)
        shapes = (np.array([[decay[k]], [0]]), np.array([[init[k]], [0]]), np.array([shift[k], 0]))
        arguments: tuple[Any, ...] = (page, s, one.copy(), one + 1, *shapes, *[one] * 4, one + 1)
        arguments = (*arguments, one, one, one.copy(), one.copy())
        kernels.spinnaker_step(*arguments)
        assert s[0, 0] == wanted[k] and not (page - two).any()
        grown = reference.decayed(reference.i32(int(word[k]) << int(shift[k])), int(init[k]))
        assert reference.i32(int(before[k]) + grown) == added[k]


def test_the_released_program_leaves_the_same_weights() -> None:
    tables = {str(tau): decay_table(tau, 1.0) for tau in (1.5, 3.0, 5.0, 20.0, 60.0)}
    tables["none"] = SLOW
    changed = 0
    for plus, minus, numbers, pre, post, left in RECORDED["pairs"]:
        delay, shift, w_min, w_max, a_plus, a_minus, word = numbers
        weight, zero, one = np.array([word], np.int32), np.zeros(1, np.int64), np.ones(1, np.int64)
        times, traces, last = np.zeros((1, 16), np.int64), np.zeros((1, 16), np.int64), zero.copy()
        before, trace, acc = zero.copy(), zero.copy(), zero.copy()
        rule, words = (a_plus, a_minus, w_min, w_max, shift), []
        for t in range(70):
            if t in post:
                learn.spinnaker_post(zero, 1, t, tables[minus], times, traces, last)
            if t in pre:
                synapses = (weight, None, None, 1, None, tables[plus], tables[minus], rule)
                histories = (before, trace, times, traces, last)
                arguments: tuple[Any, ...] = (zero, 1, t, delay, *synapses, *histories, acc)
                assert learn.spinnaker_pre(*arguments) == one[0]
                words.append(int(weight[0]))
        assert words == left and acc[0] == sum(left)
        changed += len(set(left))
    assert changed > 200


def test_parameters_are_each_neurons_own() -> None:
    rng = np.random.default_rng(0)
    rows: dict[str, Any] = {
        "v_init": rng.integers(-70 * MILLI, -50 * MILLI, 40),
        "threshold": rng.integers(-60 * MILLI, -45 * MILLI, 40),
        "refractory": rng.integers(0, 5, 40),
        "exp_tc": rng.integers(20000, 32768, 40),
        "decay_e": rng.integers(0, 1 << 32, 40),
    }
    weight = rng.integers(0, 65536, (40, 3))
    lines = rng.integers(0, 2, (1, 60, 3))

    def run(neuron: SpinnakerLIF, weight: Any) -> Any:
        connection = Projection("w", "in", "cells", Dense(weight), 1, receptor="excitatory")
        graph = network(neuron, len(weight), (connection,), 3)
        recording = Executor(graph).run(stimulus(lines), record=STATES)
        return recording.states[STATES[0]], recording.spikes["cells"].dense(0)

    v, spikes = run(cell(**rows), weight)
    assert 50 < spikes.sum() < 2000
    for k in range(40):
        own = cell(**{name: values[k] for name, values in rows.items()})
        alone, fired = run(own, weight[k : k + 1])
        assert (alone[..., 0] == v[..., k]).all() and (fired[:, 0] == spikes[:, k]).all()


def test_a_buffer_saturates_and_shifts() -> None:
    """Two words of 2^15 are 2^16 - 1 of 2^-12 nA; an input that is held keeps 0.906... of it."""
    two = Projection("e", "in", "cells", Dense(np.full((1, 2), 1 << 15)), 1, receptor="excitatory")
    graph = network(cell(threshold=(1 << 31) - 1, r=0), 1, (two,), 2)
    shown = Executor(graph).run(stimulus([[[1, 0], [1, 1], [0, 0]]]), record=STATES)
    s = shown.states[STATES[1]][0, :, 0].tolist()
    one = ((1 << 15) << 3) * 3892770000 >> 32
    both = (65535 << 3) * 3892770000 >> 32
    after = one * 3516413584 >> 32
    assert s == [0, after, (after + both) * 3516413584 >> 32]
    assert both == pytest.approx(2 * one, abs=8) and both < 2 * one


def test_refractory_ticks_freeze_the_membrane_and_a_reset_at_threshold_spikes_on() -> None:
    bias = 2 * MILLI  # nA: 40 mV above rest in the end
    graph = network(cell(i_offset=bias, refractory=3), 1, ())
    shown = Executor(graph).run(stimulus(np.zeros((1, 40, 1))), record=STATES)
    v, fired = shown.states[STATES[0]][0, :, 0], shown.spikes["cells"].dense(0)[:, 0]
    first, second = np.flatnonzero(fired)[:2]
    assert (v[first : first + 4] == -65 * MILLI).all() and v[first + 4] > -65 * MILLI
    # v_init is v_reset: the first spike took the ticks from 0 on, the second waited three more.
    assert second - first == first + 1 + 3
    lasting = network(cell(v_reset=-50 * MILLI, v_init=-50 * MILLI, refractory=3), 1, ())
    graph = replace(lasting, populations=lasting.populations)
    assert Executor(graph).run(stimulus(np.zeros((1, 5, 1)))).spikes["cells"].dense(0).sum() == 0
    above = network(cell(v_reset=-50 * MILLI, v_init=-50 * MILLI, i_offset=bias), 1, ())
    assert Executor(above).run(stimulus(np.zeros((1, 5, 1)))).spikes["cells"].dense(0).all()


RULE = SpinnakerPairSTDP(PLUS, MINUS, 2 * MILLI, MILLI, 0, 6 * MILLI, 3)


def plastic(
    weight: Any,
    delay: int,
    rule: SpinnakerPairSTDP = RULE,
    connection: Any = None,
    r: int = 2,
    **more: Any,
) -> Graph:
    """Lines 0 and 1 learn; line 2 makes both cells spike in the next tick.

    With the R of 2 MOhm nothing else does: 6 nA are 12 mV, and 15 are missing.
    """
    drive = np.full((2, 3), 0)
    drive[:, 2] = 65535
    both = np.hstack([weight, np.zeros((2, 1), int)])
    learns = Plasticity(
        rule, rule.w_min >> rule.shift, rule.w_max >> rule.shift, transmit=Transmit.AFTER, **more
    )
    kind = Dense(both) if connection is None else connection(both)
    projections = (
        Projection("w", "in", "cells", kind, delay, receptor="excitatory", plasticity=learns),
        Projection("drive", "in", "cells", Dense(drive), 1, receptor="excitatory"),
    )
    quick = cell(r=r * MILLI, exp_tc=0, decay_e=0, refractory=0, shift_e=rule.shift)
    return network(quick, 2, projections, 3)


def sparse(weight: Any) -> Sparse:
    post, _ = np.meshgrid(np.arange(2), np.arange(3))
    indptr = np.arange(0, 7, 2)
    return Sparse(3, 2, indptr, post.ravel().astype(np.int32), weight.T.ravel())


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=1, max_size=60),
    st.integers(1, 6),
    st.tuples(st.integers(0, 8 * MILLI), st.integers(0, 8 * MILLI)),
    st.lists(st.integers(0, 24576), min_size=4, max_size=4),
    st.integers(0, 6),
    st.booleans(),
    st.sampled_from([2, 200]),
    st.sampled_from([PLUS, SLOW]),
)
def test_pairs_bit_for_bit(
    lines: Any,
    delay: int,
    amplitudes: Any,
    words: Any,
    shift: int,
    as_sparse: bool,
    r: int,
    table: Any,
) -> None:
    """A trace that does not decay wraps behind 15 spikes."""
    rule = replace(RULE, a_plus=amplitudes[0], a_minus=amplitudes[1], shift=shift)
    rule = replace(rule, decay_plus=table, decay_minus=table if r == 2 else MINUS)
    rule = replace(rule, w_max=min(6 * MILLI, 65535 << shift))
    weight = np.minimum(np.array(words).reshape(2, 2), rule.w_max >> shift)
    graph = plastic(weight, delay, rule, sparse if as_sparse else None, r)
    verify(graph)
    run = Executor(graph)
    recording = run.run(stimulus([lines]), record_weights="steps")
    fired = recording.spikes["cells"].dense(0)
    shots = recording.weights["w"]
    common = (
        delay,
        rule.decay_plus.tolist(),
        rule.decay_minus.tolist(),
        rule.a_plus,
        rule.a_minus,
        0,
        rule.w_max,
        shift,
    )
    synapses = {
        (j, i): reference.Synapse(int(weight[j, i]), *common) for j in (0, 1) for i in (0, 1)
    }
    for t, line in enumerate(lines):
        for (j, i), synapse in synapses.items():
            if fired[t, j]:
                synapse.post(t)
            if line[i]:
                synapse.pre(t)
            place = i * 2 + j if as_sparse else (j, i)
            assert shots[t][place] == synapse.word, (t, j, i)
    for (j, i), synapse in synapses.items():
        synapse.catch_up()
        assert run.weights("w")[i * 2 + j if as_sparse else (j, i)] == synapse.word


def test_a_pre_spike_sends_what_it_leaves_and_post_spikes_wait_for_it() -> None:
    lines = np.zeros((1, 12, 3), int)
    lines[0, [0, 8], 0] = 1  # pre
    lines[0, 2, 2] = 1  # both cells spike in tick 3, which is at the synapse in tick 4
    graph = plastic(np.zeros((2, 2), int), 1)
    shown = Executor(graph).run(stimulus(lines), record=STATES, record_weights="steps")
    trace = 2048 * int(PLUS[4]) >> 11
    up = 2 * MILLI * (trace << 4) >> 15
    down = MILLI * ((2048 * int(MINUS[4]) >> 11) << 4) >> 15
    left = max(up - down, 0) >> 3
    assert 0 < left < up >> 3
    assert [int(w[0, 0]) for w in shown.weights["w"]] == [0] * 8 + [left] * 4
    # What arrives in tick 9 has left no current in the end: decay_e is 0.
    v = shown.states[STATES[0]][0, :, 0]
    current = (left << 3) * 3892770000 >> 32
    assert v[9] == 2 * current - 65 * MILLI


def test_spikes_that_meet_depress_after_they_potentiated() -> None:
    """A post spike at t - d pairs with the pre spike before, and at full strength with this one."""
    lines = np.zeros((1, 8, 3), int)
    lines[0, [0, 5], 0] = 1
    lines[0, 3, 2] = 1  # post in tick 4, at the synapse in tick 5
    graph = plastic(np.full((2, 2), 1 << 14), 1)
    up = (2 * MILLI * ((2048 * int(PLUS[5]) >> 11) << 4)) >> 15
    run = Executor(graph)
    run.run(stimulus(lines))
    assert run.weights("w")[0, 0] == ((((1 << 14) << 3) + up - MILLI) >> 3)


def test_the_last_fifteen_post_spikes_count() -> None:
    """With 20 post spikes between two pre spikes the first five are lost."""
    lines = np.zeros((1, 26, 3), int)
    lines[0, [0, 24], 0] = 1
    lines[0, 0:20, 2] = 1  # post in the ticks 1 to 20
    rule = replace(RULE, decay_plus=SLOW, a_plus=8 << 3, a_minus=0)
    run = Executor(plastic(np.zeros((2, 2), int), 1, rule))
    run.run(stimulus(lines))
    assert run.weights("w")[0, 0] == 15 * 8


def test_samples_and_phases() -> None:
    """What a post spike changed outlives its sample; a phase that does not learn remembers none."""
    first = np.zeros((3, 8, 3), int)
    first[0, 0, 0] = first[0, 1, 2] = 1  # pre, post: potentiates, with no pre spike to bring it
    first[1, 0, 0] = first[1, 1, 2] = first[1, 4, 0] = 1
    run = Executor(plastic(np.zeros((2, 2), int), 1))
    shown = run.run(stimulus(first), learning=[True, False, True], record_weights="samples")
    words = [int(w[0, 0]) for w in shown.weights["w"]]
    up = (2 * MILLI * ((2048 * int(PLUS[3]) >> 11) << 4)) >> 15
    assert words == [up >> 3] * 3
    assert int(run.learned().projections[0].connection.weight[0, 0]) == up >> 3  # type: ignore[attr-defined]
    run.reset()
    assert not run.weights("w").any()


def test_a_synapse_that_is_not_enabled_keeps_its_weight() -> None:
    lines = np.zeros((1, 12, 3), int)
    lines[0, [0, 8], 0] = 1
    lines[0, 2, 2] = 1
    enable = np.array([[True, True, True], [False, True, True]])
    run = Executor(plastic(np.full((2, 2), 100), 1, enable=enable))
    run.run(stimulus(lines))
    assert run.weights("w")[0, 0] > 100 and run.weights("w")[1, 0] == 100


def test_refusals() -> None:
    run = Executor(plastic(np.zeros((2, 2), int), 1))
    with pytest.raises(SpikecError, match=r"'w' pairs single spikes; in step 1 line 2 has 2"):
        run.run(stimulus([[[0, 0, 0], [0, 0, 2]]]))
    graph = plastic(np.zeros((2, 2), int), 1)
    (learns, drive), other = graph.projections, TraceSTDP(Trace(1), Trace(1))
    assert learns.plasticity is not None
    changed = replace(learns, plasticity=replace(learns.plasticity, rule=other))
    with pytest.raises(SpikecError, match=r"'w' learns by TraceSTDP, which SpiNNaker's") as caught:
        Executor(replace(graph, projections=(changed, drive)))
    assert caught.value.diagnostics[0].code == "E0301"
    with pytest.raises(SpikecError, match=r"there is no 'w.x' to record"):
        run.run(stimulus([[[0, 0, 0]]]), record=[("w", "x")])


def test_a_sample_begins_at_rest() -> None:
    """Whatever waited, was on its way or decayed when the sample before it ended."""
    drive = Projection("w", "in", "cells", Dense(np.array([[65535]])), 1, receptor="excitatory")
    graph = network(cell(r=40 * MILLI, refractory=5), 1, (drive,))
    busy, alone = np.ones((1, 9, 1), int), np.zeros((1, 9, 1), int)
    alone[0, 0] = 1
    both = Executor(graph).run(stimulus(np.concatenate([busy, alone])), record=STATES)
    assert both.spikes["cells"].dense(0)[-5:].any()  # so that it waits at the end
    single = Executor(graph).run(stimulus(alone), record=STATES)
    for key in STATES:
        assert (both.states[key][1] == single.states[key][0]).all()


def test_one_to_one_and_lags() -> None:
    """A population that retiming has moved rests until its lag is over."""
    one = Projection(
        "w", "in", "cells", OneToOne(np.array([40000, 65535]), (2,)), 1, receptor="excitatory"
    )
    graph = network(cell(r=200 * MILLI, exp_tc=0), 2, (one,), 2)
    lines = np.zeros((1, 6, 2), int)
    lines[0, [0, 3]] = 1
    plain = Executor(graph).run(stimulus(lines)).spikes["cells"].dense(0)
    assert plain.sum() > 0 and plain[1].all()
    (population,) = graph.populations
    late = replace(graph, populations=(replace(population, lag=2),))
    shown = Executor(late).run(stimulus(lines), raw=True).spikes["cells"].dense(0)
    assert not shown[:2].any() and shown[4].all()
