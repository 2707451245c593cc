"""What a stimulus takes of crossbars: by hand, beside a chip that runs, and how it scales."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.backends.crossbar.chip import Chip, Reader
from spikec.backends.crossbar.conditions import Conditions
from spikec.backends.crossbar.design import Design, design
from spikec.backends.crossbar.profile import operations, profile_design
from spikec.backends.crossbar.settle import elmore, settling
from spikec.boards.macro import Macro, load_macro, macro_names
from spikec.boards.quantity import Quantity
from spikec.compiler.integer.executor import Executor
from spikec.compiler.profile.crossbar import COMPONENTS, CrossbarProfile
from spikec.ir.connections import (
    Chain,
    Connection,
    Conv2d,
    Dense,
    Flatten,
    OneToOne,
    SumPool2d,
)
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IntegerNeuron
from spikec.ir.numerics import Format, Numerics

WEIGHT = np.array([[1, -1], [0, 2]])
# Three steps with something in them: a count of two is two pulses.
STEPS = np.array([[[1, 1], [2, 0], [0, 1], [0, 0]]])


def neuron(decay: int = 4096, acc: int = 20, **more: Any) -> IntegerNeuron:
    """Without a decay an IF, which never spikes unless told otherwise."""
    numbers: dict[str, Any] = {"threshold": 1 << 20, "bias": 0, "v_min": -(1 << 23), "v_reset": 0}
    arrays: dict[str, Any] = {
        name: value if name == "refractory" else np.asarray(value)
        for name, value in (numbers | more).items()
    }
    numerics = Numerics(Format(8, 0), Format(24, 0), 12, acc)
    return IntegerNeuron(numerics, "IF", 1.0, 0, np.asarray(decay), reset="zero", **arrays)


def net(connection: Connection, **more: Any) -> Graph:
    """One projection onto neurons."""
    return Graph(
        "one",
        1e-3,
        (Input("in", connection.in_shape),),
        (Population("post", connection.out_shape, neuron(**more)),),
        (Projection("w", "in", "post", connection, 0),),
        (Output("out", "post"),),
    )


def made(graph: Graph, macro: Macro, *words: str) -> Design:
    return design(graph, macro, Conditions().but(words))


def profiled(
    graph: Graph, found: Design, x: Any, events: dict[str, Events] | None = None
) -> CrossbarProfile:
    given = {"in": Events.from_dense(np.asarray(x))} | (events or {})
    return profile_design(graph, found, given, len(x), len(x[0]))


def tiny(macro: Macro, *words: str, x: Any = STEPS) -> CrossbarProfile:
    graph = net(Dense(WEIGHT))
    return profiled(graph, made(graph, macro, "tile=4", "compensate=off", *words), x)


def amounts(found: CrossbarProfile) -> dict[str, float]:
    return {line.count: line.amount for line in found.ledger}


# -- by hand ---------------------------------------------------------------------------------------


def test_the_ledger_of_two_by_two_by_hand() -> None:
    """Two rows, two pairs: digits 0 to 3 from 1 to 40 uS, 13 uS each."""
    found = tiny(load_macro("rram-wan"))
    joules = {line.count: line.joules for line in found.ledger}
    # Pulses: three on the first row, two on the second; four reads, two pairs converted in each.
    first, second = (14 + 1 + 1 + 1) * 1e-6, (1 + 14 + 27 + 1) * 1e-6
    expected = {
        "cells": (3 * first + 2 * second) * 0.5**2 * 10e-9,
        "word_lines": 5 * 4 * 160e-9 * 0.2e-9 * 0.5**2,
        "conversions": 8 * (3.3041e-6 + 8 * 0.7213e-6) * 9e-9,
        "gains": 8 * 0.2e-12,
        "offsets": 8 * 0.03e-12,
        "partial_sums": 8 * (0.03e-12 + 0.07e-12 * 12 / 24),
        # Two neurons in four steps: the sum, and the comparison; 24 bits read and written.
        "update_additions": 8 * 2 * (0.03e-12 + 0.07e-12 * 16 / 24),
        "state_bits": 8 * 2 * 24 * 0.15625e-12,
    }
    assert joules == pytest.approx(expected, rel=1e-14, abs=0)
    assert found.energy == pytest.approx(sum(expected.values()), rel=1e-14, abs=0)
    assert sum(found.by_component.values()) == pytest.approx(found.energy, rel=1e-14, abs=0)
    assert sum(found.by_layer.values()) == pytest.approx(found.energy, rel=1e-14, abs=0)


def test_the_time_of_two_by_two_by_hand() -> None:
    """A pulse, two conversions on one converter, gain and accumulator; then two neurons."""
    found = tiny(load_macro("rram-wan"))
    read = 10e-9 + 2 * 9e-9 + 2e-9
    assert found.stages[0].read == pytest.approx(read, rel=1e-9, abs=0)
    assert found.busy[0, 0] == pytest.approx([read, 2 * read, read, 0], rel=1e-9, abs=0)
    assert found.seconds[0] == pytest.approx(
        [read + 2e-9, 2 * read + 2e-9, read + 2e-9, 2e-9], rel=1e-9, abs=0
    )
    assert found.leader.tolist() == [[0, 0, 0, 1]]
    assert found.latency == pytest.approx(4 * read + 4 * 2e-9, rel=1e-9, abs=0)


def test_slow_lines_are_waited_for() -> None:
    macro = load_macro("rram-wan")
    slow = replace(macro.wires, capacitance=replace(macro.wires.capacitance, value=1e-4))
    found = tiny(replace(macro, wires=slow))
    graph = net(Dense(WEIGHT))
    [cells] = made(graph, macro, "tile=4", "compensate=off").targets
    word = elmore(cells, 2.12, 0.0, 160e-9 * 1e-4).max()
    # Gated: no other cell is on a bit line of 4 segments.
    bit = 480e-9 * 1e-4 * 6.36 * (1 + 2 + 3 + 4)
    settle = settling(float(word) + bit, 8)
    assert settle > 10e-9
    assert found.stages[0].settle == pytest.approx(settle, rel=1e-9, abs=0)
    assert found.stages[0].read == pytest.approx(settle + 2 * 9e-9 + 2e-9, rel=1e-9, abs=0)


def test_silent_rows_that_are_driven_load_the_bit_lines() -> None:
    """By the nodes of a bit line that is sensed at its last row: 0 V is below it."""
    macro = load_macro("rram-wan")
    ohm, farad = 2e4, 480e-9 * 1e-6
    wires = replace(
        macro.wires,
        word=replace(macro.wires.word, value=0.0),
        bit=replace(macro.wires.bit, value=ohm),
        capacitance=replace(macro.wires.capacitance, value=1e-6),
    )
    macro = replace(macro, wires=wires)
    words = ("tile=4", "compensate=off", "gated=off")
    # Every column has one cell that conducts, and none the same from both ends.
    graph = net(Dense(np.array([[3, -3], [-3, 3]])))
    found = made(graph, macro, *words)
    delays = []
    for column in found.targets[0].T:
        ladder = np.diag(column) + (2 * np.eye(4) - np.eye(4, k=1) - np.eye(4, k=-1)) / ohm
        ladder[0, 0] -= 1 / ohm  # the far end, which is the first row, is open
        far = np.linalg.solve(ladder, np.eye(4)[0])
        delays.append(farad * np.linalg.solve(ladder, far)[-1] / far[-1])
    settle = profiled(graph, found, STEPS).stages[0].settle
    assert settle == pytest.approx(settling(max(delays), 8), rel=1e-9, abs=0)
    assert settle < settling(ohm * farad * 10, 8) * 0.9


def test_slices_are_shifted_and_an_offset_is_taken_off() -> None:
    macro = load_macro("rram-wan")
    sliced = amounts(tiny(macro, "slice_bits=1"))
    assert (sliced["conversions"], sliced["shift_adds"], sliced["gains"]) == (16, 8, 8)
    # A column for each weight, and the one that all share: three channels.
    offset = amounts(tiny(macro, "signs=offset"))
    assert (offset["conversions"], offset["shift_adds"], offset["gains"]) == (4 * 3, 8, 8)
    wide = tiny(macro, "calibrate=off")
    assert "offsets" not in amounts(wide)


def test_converters_that_are_shared_take_turns() -> None:
    macro = load_macro("rram-wan")
    for columns, turns in ((1, 1), (2, 1), (4, 2), (8, 2)):
        adc = replace(macro.adc, columns=replace(macro.adc.columns, value=columns))
        found = tiny(replace(macro, adc=adc))
        assert found.stages[0].convert == pytest.approx(turns * 9e-9, rel=1e-9, abs=0)


def test_a_ramp_counts_while_cells_are_read() -> None:
    """Only what else shares its converter takes time of its own."""
    macro = load_macro("pcm")
    for columns, turns in ((1, 0), (4, 1)):
        adc = replace(macro.adc, columns=replace(macro.adc.columns, value=columns))
        found = tiny(replace(macro, adc=adc))
        assert found.stages[0].convert == pytest.approx(
            turns * macro.conversion_time(), rel=1e-9, abs=0
        )
        assert found.stages[0].pulse == pytest.approx(macro.conversion_time(), rel=1e-9, abs=0)


def test_ideal_converters_cost_nothing_and_that_is_said() -> None:
    found = tiny(load_macro("rram-wan"), "adc_bits=0")
    assert "conversions" not in amounts(found) and found.stages[0].convert == 0
    assert "conversions: the converters are ideal" in found.unknown
    assert not any(word.startswith("conversions") for word in tiny(load_macro("pcm")).unknown)


# -- beside a chip ---------------------------------------------------------------------------------

rng = np.random.default_rng(5)
POOLED = Chain(
    (
        SumPool2d((2, 6, 6), (2, 2), (2, 2)),
        Conv2d(rng.integers(-7, 8, (3, 2, 2, 2)), (2, 3, 3)),
        Flatten((3, 2, 2)),
    )
)
DENSE = Dense(rng.integers(-31, 32, (11, 40)))


@pytest.mark.parametrize("connection", [DENSE, POOLED], ids=["dense", "pooled"])
@pytest.mark.parametrize("words", [("tile=8",), ("tile=8", "slice_bits=2", "signs=offset")])
def test_reads_and_currents_are_those_of_a_chip_that_runs(
    connection: Connection, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every read of a chip is caught: how many, and what its ideal cells draw."""
    graph = net(connection)
    macro = load_macro("crossbar-ideal")
    found = made(graph, macro, "calibrate=off", *words)
    size = int(np.prod(connection.in_shape))
    x = rng.poisson(0.08, (2, 6, size))
    reads, joules, read_time = 0, 0.0, macro.costs["read_time"].value
    original = Reader._read

    def caught(self: Reader, pulses: Any) -> Any:
        nonlocal reads, joules
        active = pulses.any(axis=1)
        reads += int(active.sum())
        currents, _ = self._currents(pulses, False)
        joules += float(currents.sum()) * macro.voltage.value * read_time
        return original(self, pulses)

    monkeypatch.setattr(Reader, "_read", caught)
    stimulus = Stimulus({"in": Events.from_dense(x)})
    Executor(graph, sums=Chip(found, 1).sums()).run(stimulus)
    profile = profiled(graph, found, x)
    assert int(profile.reads.sum()) == reads > 50
    cells = next(line for line in profile.ledger if line.count == "cells")
    assert cells.joules == pytest.approx(joules, rel=1e-12, abs=0)


def test_pools_are_additions() -> None:
    """Each event is in one sum of a pool, and nothing of a shape."""
    graph = net(POOLED)
    found = made(graph, load_macro("crossbar-ideal"))
    x = rng.poisson(0.1, (1, 5, 72))
    profile = profiled(graph, found, x)
    assert amounts(profile)["stage_additions"] == np.count_nonzero(x)


def test_one_weight_a_neuron_stays_digital() -> None:
    base = net(Dense(WEIGHT))
    beside = Projection("own", "in", "post", OneToOne(np.array([3, -2]), (2,)), 0)
    graph = replace(base, projections=(*base.projections, beside))
    found = made(graph, load_macro("rram-wan"), "tile=4")
    profile = profiled(graph, found, STEPS)
    counts = {(line.layer, line.count): line.amount for line in profile.ledger}
    assert counts["own", "stage_additions"] == counts["own", "stage_multiplications"] == 4
    [stage] = [k for k, stage in enumerate(profile.stages) if stage.name == "own"]
    assert profile.busy[stage, 0] == pytest.approx([2e-9, 1e-9, 1e-9, 0], rel=1e-9, abs=0)


# -- what it scales with ---------------------------------------------------------------------------


def test_twice_the_spikes_take_twice_the_cells_and_no_more_neurons() -> None:
    macro = load_macro("rram-wan")
    one, two = tiny(macro), tiny(macro, x=2 * STEPS)
    for count, factor in {"cells": 2, "word_lines": 2, "conversions": 2, "state_bits": 1}.items():
        assert amounts(two)[count] == pytest.approx(factor * amounts(one)[count]), count
    assert two.busy[0] == pytest.approx(2 * one.busy[0], rel=1e-9, abs=0)


def test_energy_goes_with_voltage_squared_and_with_the_pulse() -> None:
    macro = load_macro("rram-wan")
    half = replace(macro, voltage=replace(macro.voltage, value=0.25))
    read = replace(macro.costs["read_time"], value=30e-9)
    long = replace(macro, costs=dict(macro.costs) | {"read_time": read})
    cells = [
        next(line.joules for line in tiny(m).ledger if line.count == "cells")
        for m in (macro, half, long)
    ]
    assert cells[1] == pytest.approx(cells[0] / 4, rel=1e-9, abs=0) and cells[2] == pytest.approx(
        3 * cells[0], rel=1e-9, abs=0
    )


def test_silence_takes_neurons_and_nothing_else() -> None:
    found = tiny(load_macro("rram-wan"), x=0 * STEPS)
    assert {name for name, joules in found.by_component.items() if joules} == {
        "neurons",
        "state memory",
    }
    assert not found.reads.any() and not found.busy[0].any()


def test_states_and_operations_of_neurons() -> None:
    def of(**more: Any) -> tuple[int, int]:
        return operations(Population("post", (2,), neuron(**more)))

    assert of() == (0, 2)
    assert of(decay=3891) == (1, 2)
    assert of(decay=3891, decay_u=3000) == (2, 3)
    assert of(bias=3, v_min=-5) == (0, 4)
    assert of(leak=2) == (0, 3)
    graph = net(Dense(WEIGHT), decay_u=3000, refractory=5)
    found = profiled(graph, made(graph, load_macro("rram-wan"), "tile=4"), STEPS)
    # Two words of 24 bits, and a counter to 5.
    assert amounts(found)["state_bits"] == 8 * 2 * (2 * 24 + 3)


# -- the longest path ------------------------------------------------------------------------------


def chained(delay: int, back: bool = False, registered: bool = False) -> CrossbarProfile:
    """in -> a -> b, the second edge with a delay; ``back``: b -> a, a step later."""
    a, b = (Population(name, (2,), neuron()) for name in ("a", "b"))
    if registered:
        a = replace(a, semantics=replace(a.semantics, registered=True))
    edges = [Projection("w", "in", "a", Dense(WEIGHT), 0)]
    edges.append(Projection("v", "a", "b", Dense(WEIGHT), delay))
    if back:
        edges.append(Projection("r", "b", "a", Dense(WEIGHT), 1))
    inputs = (Input("in", (2,)),)
    graph = Graph("net", 1e-3, inputs, (a, b), tuple(edges), (Output("o", "b"),))
    found = made(graph, load_macro("rram-wan"), "tile=4")
    # a sends twice in the second step, and in the third b.
    spikes = {"a": [[[0, 0], [1, 1], [0, 0]]], "b": [[[0, 0], [0, 0], [1, 0]]]}
    events = {name: Events.from_dense(np.array(x)) for name, x in spikes.items()}
    return profiled(graph, found, [[[1, 0], [1, 0], [0, 0]]], events)


def test_layers_of_a_step_follow_each_other() -> None:
    found, read, update = chained(0), 30e-9, 2e-9
    whole = [read + 2 * update, 2 * read + 2 * update, 2 * update]
    assert found.seconds[0] == pytest.approx(whole, rel=1e-9, abs=0)
    assert found.path.sum(axis=0) == pytest.approx(found.seconds, rel=1e-9, abs=0)
    assert found.critical[:, 0, 1].all()


def test_what_has_a_delay_is_waited_for_by_nobody_but_the_step() -> None:
    found, read, update = chained(1, back=True), 30e-9, 2e-9
    # The second step: in to a, a, and the read of what it sent; b has long been updated.
    whole = [read + update, 2 * read + update, update + read]
    assert found.seconds[0] == pytest.approx(whole, rel=1e-9, abs=0)
    assert found.path.sum(axis=0) == pytest.approx(found.seconds, rel=1e-9, abs=0)
    titles = [stage.title for stage in found.stages]
    assert not found.critical[titles.index("b (neurons)"), 0, 1]
    assert found.critical[titles.index("r"), 0, 2]


def test_what_leaves_a_register_is_read_at_once() -> None:
    found, read, update = chained(0, registered=True), 30e-9, 2e-9
    assert found.seconds[0, 1] == pytest.approx(read + update, rel=1e-9, abs=0)


# -- sources ---------------------------------------------------------------------------------------


def unsourced(found: CrossbarProfile) -> list[str]:
    """Constants of a profile that say no source, those of derived ones among them."""
    every = [each for line in found.ledger for each in line.constants] + list(found.timing)
    return sorted({name for name, constant in every if not constant.source.strip()})


def named(found: CrossbarProfile) -> set[str]:
    every = [each for line in found.ledger for each in line.constants] + list(found.timing)
    return {name for name, _ in every}


def whole(macro: Macro, *words: str) -> CrossbarProfile:
    """A network that has every kind of line: pools, slices, offsets, decays."""
    graph = net(POOLED, decay=3891)
    x = rng.poisson(0.1, (1, 3, 72))
    quick = ("tile=16", "compensate=off", "slice_bits=2")
    return profiled(graph, made(graph, macro, *quick, *words), x)


@pytest.mark.parametrize("name", macro_names())
def test_every_constant_has_a_source_and_is_used(name: str) -> None:
    macro = load_macro(name)
    for words in ((), ("wire=1", "temperature=350", "signs=offset")):
        found = whole(macro, *words)
        assert unsourced(found) == []
        for line in found.ledger:
            assert line.count in COMPONENTS and line.symbols
            assert line.joules == pytest.approx(line.amount * line.constant.value, rel=1e-15, abs=0)
            # What is derived says what of, and no better than the least trusted.
            assert all(constant.source in line.constant.source for _, constant in line.parts[:2])
    # Nothing of the file's costs is left out.
    assert set(macro.costs) <= named(whole(macro))
    assert {"word", "bit", "driver", "sense", "word_pitch", "bit_pitch"} <= named(whole(macro))


def without_source(macro: Macro, name: str) -> Macro:
    """The macro, one of its constants without a source."""

    def bare(constant: Quantity) -> Quantity:
        return replace(constant, source="")

    if name in macro.costs:
        return replace(macro, costs=dict(macro.costs) | {name: bare(macro.costs[name])})
    if name == "voltage":
        return replace(macro, voltage=bare(macro.voltage))
    if name in ("bits", "columns"):
        changed: dict[str, Any] = {name: bare(getattr(macro.adc, name))}
        return replace(macro, adc=replace(macro.adc, **changed))
    return replace(macro, wires=replace(macro.wires, **{name: bare(getattr(macro.wires, name))}))


WIRES = ("word", "bit", "driver", "sense", "word_pitch", "bit_pitch", "capacitance")


@pytest.mark.parametrize(
    "name", [*load_macro("rram-wan").costs, *WIRES, "voltage", "bits", "columns"]
)
def test_a_constant_that_loses_its_source_is_found(name: str) -> None:
    found = tiny(without_source(load_macro("rram-wan"), name))
    assert unsourced(found) == [name]


def test_what_was_asked_for_says_so() -> None:
    found = whole(load_macro("rram-wan"), "wire=1", "adc_bits=6")
    sources = {name: constant.source for name, constant in found.timing}
    assert sources["word"] == sources["bit"] == "asked for: wire"
    assert sources["bits"] == "asked for: adc_bits"
    warm = dict(whole(load_macro("rram-wan"), "temperature=350").timing)
    assert warm["temperature"].value == 350 and warm["coefficient"].value == 0.00451
