"""Every pair of what a network and its core may be, as the integer executor has it.

Neuron, reset, leak, threshold, lanes, widths, connection, delay, plasticity rule, roundings: all
weights, traces, state words, spikes and counters of every step. What no core has is refused by a
code, which `refusal` says for any part of a row.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import cache
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from spikec.backends.fpga.errors import coded
from spikec.backends.fpga.lower import Build, lower
from spikec.compiler.passes.quantise import uniform
from spikec.ir.connections import Connection, Conv1d, Dense, OneToOne, Sparse
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IntegerNeuron
from spikec.ir.numerics import Format, Numerics, Overflow, Rounding
from spikec.ir.plasticity import (
    SDSP,
    Accumulation,
    Plasticity,
    Response,
    Rule,
    Trace,
    TraceDecay,
    TraceSTDP,
    Transmit,
    Update,
)
from spikec.ir.verify import verify

from ...hdl.covering import Row, covering_array, interactions
from .learning import check_learning, integers

# None where there is nothing to choose.
FACTORS: dict[str, tuple[Any, ...]] = {
    "rule": (
        *("none", "pair", "nearest", "window", "symmetric", "anti"),
        *("rows", "columns", "mixed", "sdsp"),
    ),
    "rule_rounding": (None, *Rounding),
    "transmit": (None, *Transmit),
    "enable": (None, "all", "some"),
    "rails": (None, "signed", "positive", "above", "tight"),
    "refresh": (None, 0, 3),
    "rotator": (None, "logic", "multiplier"),
    "connection": ("dense", "sparse", "one_to_one", "conv"),
    "network": ("alone", "recurrent", "layers", "lagging", "beside_sparse", "beside_conv"),
    # Of the second population, if there is one.
    "other": (None, "same", "plain", "cuba", "linear"),
    "delay": (0, 1, 3),
    "neuron": ("plain", "cuba", "cuba_old", "izhikevich"),
    # Of a recovery, which has no other leak, the steps that its membrane takes in one.
    "leak": ("none", "shift", "multiplied", "linear"),
    "reset": ("none", "zero", "value", "subtract", "two_phase"),
    "threshold": ("still", "rising", "falling", "slow"),
    "refractory": (0, 2),
    "bias": ("none", "each", "first"),
    "state_bits": (8, 16, 32),
    "weight_bits": (2, 4, 8, 16),
    "rounding": tuple(Rounding),
    "overflow": tuple(Overflow),
    "lanes": (1, 2, 4, 6, 20),
    "units": (1, 2),
    "storage": ("distributed", "fast", "block"),
}
TWO = ("layers", "lagging")


def refusal(part: Row) -> str | None:
    """The code that refuses a part of a row, None if a core may have it.

    A recovery takes u, a product instead of a leak, and a value after a spike; what adapts a
    threshold needs one comparison and one spike. A weight that learns is of one synapse. A core has
    no generator for its states, and one kind of u and of leak beside a recovery: none.
    """
    recovers = part.get("neuron") == "izhikevich"
    stochastic = part.get("rounding") is Rounding.STOCHASTIC
    if recovers and (
        part.get("reset", "value") != "value" or part.get("leak") == "linear" or stochastic
    ):
        return "E0205"
    if part.get("threshold", "still") != "still" and part.get("reset") in ("none", "two_phase"):
        return "E0205"
    if part.get("rule", "none") != "none" and part.get("connection") == "conv":
        return "E0208"
    if stochastic:
        return "E0301"
    if recovers and part.get("other") in ("cuba", "linear"):
        return "E0302"
    return None


def meaningful(part: Row) -> bool:
    """Whether a choice is made wherever there is one, and a neuron that spikes where it must."""

    def chosen(name: str, there: bool) -> bool:
        return name not in part or (part[name] is not None) == there

    if part.get("lanes", 2) % part.get("units", 1):
        return False
    if part.get("reset") == "none" and part.get("network") in ("recurrent", "layers"):
        return False
    if "network" in part and not chosen("other", part["network"] in TWO):
        return False
    if "rule" not in part:
        return True
    learns = part["rule"] != "none"
    return (
        all(chosen(name, learns) for name in ("transmit", "enable", "rails", "rotator"))
        and chosen("rule_rounding", learns and part["rule"] != "sdsp")
        and chosen("refresh", part["rule"] == "sdsp")
    )


def possible(part: Row) -> bool:
    return meaningful(part) and refusal(part) is None


def allowed(part: Row) -> bool:
    """Whether a core may have it, whatever rule and network are still to be chosen."""
    return possible(part) and all(
        name in part or any(possible({**part, name: level}) for level in FACTORS[name])
        for name in ("rule", "network")
    )


@cache
def rows(strength: int) -> list[Row]:
    return covering_array(FACTORS, strength, allowed, tries=20)


def rule_of(row: Row, rng: np.random.Generator, high: int) -> Rule:
    """The rule of a row; its traces are short, so that they come to their ends.

    Updates are as large as weights are: a few of them go from rail to rail.
    """
    if row["rule"] == "sdsp":
        return SDSP(
            theta_mem=float(rng.choice([-(high // 4), 0, high // 9])),
            theta_1=int(rng.integers(0, 2)),
            theta_2=int(rng.integers(1, 8)),
            theta_3=int(rng.integers(2, 9)),
            leak_period=int(rng.choice([0, 1, 3])),
            refresh_period=row["refresh"],
            refresh_threshold=int(rng.integers(-1, 4)),
        )
    wide = max(0, row["weight_bits"] - 4)

    def size(amplitude: int) -> int:
        return min((amplitude << wide) | (wide > 0), (1 << 16) - 1) if amplitude else 0

    more: dict[str, Any] = {
        "rounding": row["rule_rounding"],
        "streams": row["lanes"],
        "seed": int(rng.integers(1, 99)),
    }
    both: dict[str, Any] = {"shift": int(rng.integers(4, 8)), "decay": int(rng.integers(0, 4))}
    match row["rule"]:
        case "pair":
            return TraceSTDP.pair(size(3), size(2), **both, **more)
        case "nearest":
            set_ = Accumulation.SET
            return TraceSTDP.pair(size(5), size(3), **both, accumulation=set_, **more)
        case "window":
            return TraceSTDP.window(size(2), size(1), steps_pre=3, steps_post=4, **more)
        case "symmetric":
            return TraceSTDP.symmetric(size(3), depression=size(1), **both, **more)
        case "anti":
            return TraceSTDP.anti_hebbian(size(2), size(1), **both, **more)
        case "rows":
            return replace(TraceSTDP.pair(0, size(2), **both, **more), on_post=Update())
        case "columns":
            return replace(TraceSTDP.pair(size(2), 0, **both, **more), on_pre=Update())
        case _:
            # Two traces of different kinds, and steps of the weights beyond their rails.
            return TraceSTDP(
                Trace(3, Accumulation.SET, TraceDecay.COUNT, 0, 2),
                Trace(200, Accumulation.ADD, TraceDecay.SHIFT, 2, 9),
                Update(-1, size(300), 5, Response.LINEAR, size(2)),
                Update(1, size(3), 0, Response.WINDOW, -1),
                **more,
            )


def neuron(row: Row, rng: np.random.Generator, size: int, kind: str, reset: str) -> IntegerNeuron:
    """Neurons of a kind that a weight or two carry past the threshold, a few to the rails."""
    state = Format(row["state_bits"], rounding=row["rounding"], overflow=row["overflow"])
    bits, high, one = row["weight_bits"], state.high, 256

    def each(*values: int) -> Any:
        return np.asarray(rng.choice(np.array(values, np.int64)))

    recovers = kind == "izhikevich"
    threshold = each(high // 8, high // 4, high // 3)
    more: dict[str, Any] = {}
    decay = {
        "none": each(one),
        "shift": each(one - (one >> 3), one // 2),
        "multiplied": each(one * 5 // 7, one - 3),
        "linear": each(one),
    }[row["leak"]]
    if "linear" in (kind, row["leak"]):
        decay = each(one)
        more = {"leak": each(1, high // 9 + 1), "v_leak": each(0, high // 10, -high // 3)}
    if kind.startswith("cuba"):
        more |= {"decay_u": each(0, one // 2, one * 2 // 3, one), "current_old": kind == "cuba_old"}
    if recovers:
        # Some as the model has them, some at the limits of their fields.
        wild = rng.random() < 0.5
        decay = each(8 * one - 1, -8 * one) if wild else each(one // 2, one)
        more |= {
            "curve": each(32 * one - 1, one) if wild else each(3 * one),
            "couple": each(4 * one - 1, -4 * one) if wild else each(one * 3 // 4),
            "rate": each(16 * one - 1, -16 * one) if wild else each(3 * one),
            "jump": each(high, state.low) if wild else each(high // 9, high // 2),
            "substeps": {"shift": 2, "multiplied": 3}.get(row["leak"], 1),
        }
    if row["threshold"] != "still":
        period, shift = {"rising": (0, 0), "falling": (1, 2), "slow": (3, 1)}[row["threshold"]]
        more |= {
            "adapt_inc": each(high // 9, high // 3, high),
            "adapt_period": period,
            "adapt_shift": shift,
        }
    bias = np.zeros(size, np.int64)
    if row["bias"] != "none":
        bias = rng.integers(-high // 10, high // 3, size)
    if row["bias"] == "first":
        more["bias_first"] = rng.choice(np.array([high, state.low, high // 2]), size)
    v_reset = each(high // 10, -high // 5, state.low) if reset == "value" else each(0)
    if reset in ("subtract", "two_phase"):
        v_reset = each(int(threshold), high // 2, -high * 3 // 4)
    return IntegerNeuron(
        numerics=Numerics(Format(bits), state, 8, bits + 6),
        source_model="Izhikevich" if recovers else "LIF",
        scale=1.0,
        shift=max(0, row["state_bits"] - bits - int(rng.integers(0, 3))),
        decay_v=decay,
        threshold=threshold,
        bias=bias,
        v_min=each(state.low, state.low, -high // 3),
        v_reset=v_reset,
        reset=reset,
        refractory=row["refractory"],
        **more,
    )


def network_of(row: Row, rng: np.random.Generator) -> Graph:
    """A network of a row: its projection ``w`` is of the connection and learns by the rule."""
    bits, kind, network = row["weight_bits"], row["neuron"], row["network"]
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    rails = {
        None: (low, high),
        "signed": (low, high),
        "positive": (0, high),
        "above": (min(2, high), high),
        "tight": (-1, 0),
    }[row["rails"]]
    positions, channels = 8, 2
    square = network == "recurrent" or row["connection"] in ("one_to_one", "conv")
    pre, post = int(rng.integers(3, 12)), int(rng.integers(2, 9))
    if network == "beside_conv":
        post = positions * channels
    pre = post if square else pre

    def weights(*shape: int) -> Any:
        return rng.integers(rails[0], rails[1] + 1, shape)

    def sparse(pre: int, post: int) -> Connection:
        there = rng.random((pre, post)) < 0.5
        there[0] = True
        row_, column = np.nonzero(there)
        starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
        return Sparse(pre, post, starts, column.astype(np.int32), weights(row_.size))

    connection: Connection
    match row["connection"]:
        case "dense":
            connection = Dense(weights(post, pre))
        case "sparse":
            connection = sparse(pre, post)
        case "one_to_one":
            connection = OneToOne(weights(pre), (pre,))
        case _:
            connection = Conv1d(weights(1, 1, 3), (1, pre), padding=(1, 1))
    plasticity = None
    if row["rule"] != "none":
        enable: Any = None
        if row["enable"] == "some":
            enable = rng.random(connection.weight.shape) < 0.7  # type: ignore[attr-defined]
        state_high = (1 << (row["state_bits"] - 1)) - 1
        rule = rule_of(row, rng, state_high)
        plasticity = Plasticity(rule, rails[0], rails[1], enable, row["transmit"])

    def w(before: str, hop: int) -> Projection:
        delay = hop + row["delay"]
        return Projection("w", before, "cells", connection, delay, plasticity=plasticity)

    cells = Population("cells", (post,), neuron(row, rng, post, kind, row["reset"]))
    entry = Input("in", (pre,))
    inputs, populations, projections = [entry], [cells], [w("in", 0)]
    drive = OneToOne(np.full(pre, max(high, 1)), (pre,))
    other = kind if row["other"] == "same" else row["other"]
    spikes = "value" if row["reset"] == "none" or other == "izhikevich" else row["reset"]
    match network:
        case "recurrent":
            projections = [Projection("drive", "in", "cells", drive, 0), w("cells", 1)]
        case "layers":
            populations.append(Population("out", (4,), neuron(row, rng, 4, other, spikes), lag=1))
            second = Dense(rng.integers(low, high + 1, (4, post)))
            projections.append(Projection("second", "cells", "out", second, 1))
        case "lagging":
            early = Population("early", (pre,), neuron(row, rng, pre, other, spikes))
            populations = [early, replace(cells, lag=1)]
            projections = [Projection("drive", "in", "early", drive, 0), w("early", 1)]
        case "beside_sparse":
            inputs.append(Input("eye", (5,)))
            projections.append(Projection("still", "eye", "cells", sparse(5, post), 1))
        case "beside_conv":
            inputs.append(Input("eye", (positions,)))
            kernel = rng.integers(low, high + 1, (channels, 1, 3))
            still = Conv1d(kernel, (1, positions), padding=(1, 1))
            projections.append(Projection("still", "eye", "cells", still, 0))
    outputs = tuple(Output(f"out-{p.name}", p.name) for p in populations)
    graph = Graph("every", 1e-3, tuple(inputs), tuple(populations), tuple(projections), outputs)
    # As the quantiser leaves it for a core: one with currents has them everywhere.
    return graph if "izhikevich" in (kind, other) else uniform(graph)


def build_of(row: Row) -> Build:
    return Build(
        row["lanes"],
        row["units"],
        distributed=row["storage"] != "block",
        fast=row["storage"] == "fast",
        rotator=row["rotator"] or "logic",
    )


# Three samples, the second one in the test phase.
PHASES = (True, False, True)


def case_of(row: Row, seed: int) -> tuple[Graph, np.ndarray]:
    """A network of a row, and which of its lines spike: (samples, steps, lines)."""
    rng = np.random.default_rng(seed)
    graph = network_of(row, rng)
    verify(graph)
    lines = sum(node.size for node in graph.inputs)
    counts = (rng.random((len(PHASES), 9, lines)) < 0.4).astype(np.int64)
    # So long nothing comes that groups rest, whose traces go on.
    counts[-1, 2:7] = 0
    return graph, counts


def check(row: Row, seed: int) -> None:
    graph, counts = case_of(row, seed)
    core = lower(graph, build_of(row))
    assert (core.shape.learning is not None) == (row["rule"] != "none")
    check_learning(core, graph, counts, PHASES)


def test_the_array_covers_all_pairs() -> None:
    needed = interactions(FACTORS, 2, allowed)
    for row in rows(2):
        assert allowed(row)
        levels = {name: FACTORS[name].index(value) for name, value in row.items()}
        needed = {one for one in needed if any(levels[n] != k for n, k in one)}
    assert not needed


@pytest.mark.parametrize(
    "part", [part if part < 5 else pytest.param(part, marks=pytest.mark.slow) for part in range(24)]
)
def test_every_pair_of_options_is_bit_exact(part: int) -> None:
    for number in range(part, len(rows(2)), 24):
        check(rows(2)[number], number)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_every_option_with_other_numbers(seed: int) -> None:
    check(rows(2)[seed % len(rows(2))], seed)


def reached() -> dict[str, set[str]]:
    """The rails that each variable comes to in some row, weights by rule and only by learning."""
    found: dict[str, set[str]] = defaultdict(set)

    def note(name: str, values: np.ndarray, low: int, high: int) -> None:
        ends = (("low", low), ("high", high))
        found[name] |= {side for side, end in ends if (values == end).any()}

    for number, row in enumerate(rows(2)):
        graph, counts = case_of(row, number)
        run = integers(graph, counts, PHASES)
        top = 1 << (row["state_bits"] - 1)
        if row["overflow"] is Overflow.SATURATE:
            for state in graph.population("cells").neuron.state:
                # Beside currents a plain one has a u, which is what comes in a step.
                if state != "h" and (state == "v" or row["neuron"] != "plain"):
                    note(f"{state}, {row['neuron']}", run.states["cells", state], -top, top - 1)
        if row["threshold"] != "still":
            note(f"h, {row['threshold']}", run.states["cells", "h"], 0, top - 1)
        plasticity = next(p.plasticity for p in graph.projections if p.name == "w")
        if plasticity is not None and plasticity.w_min < plasticity.w_max:
            weights = run.weights["w"].reshape(len(PHASES), -1, *run.weights["w"].shape[1:])
            before, after = weights[:, :-1], weights[:, 1:]
            changed = after[after != before]
            note(row["rule"], changed, int(plasticity.w_min), int(plasticity.w_max))
    return found


def test_both_rails_are_reached() -> None:
    """By each variable, by kind of neuron and of threshold, and by weights under each rule."""
    one_way = {
        "columns": {"high"},  # A spike that only lets weights rise,
        "rows": {"low"},  # and an event that only lets them fall.
        "h, falling": {"low"},  # Lowered in the step in which it comes to its rail.
    }
    found = reached()
    assert {name.split(",")[0] for name in found} == {"v", "u", "h", *FACTORS["rule"][1:]}
    for name, sides in found.items():
        assert sides == one_way.get(name, {"low", "high"}), name


def refused() -> list[Row]:
    """Rows that are refused, one for each least part that is: all else might be had."""
    parts: list[Row] = []
    for strength in (1, 2):
        for names in combinations(FACTORS, strength):
            for levels in product(*(FACTORS[name] for name in names)):
                part = dict(zip(names, levels, strict=True))
                known = any(less.items() <= part.items() for less in parts)
                if refusal(part) is not None and meaningful(part) and not known:
                    parts.append(part)
    found = []
    for part in parts:
        row = dict(part)
        for name in FACTORS:
            if name not in row:
                row[name] = next(
                    level
                    for level in FACTORS[name]
                    if meaningful({**row, name: level})
                    and refusal({**row, name: level}) == refusal(part)
                )
        found.append(row)
    return found


def test_what_no_core_has_is_refused_by_its_code() -> None:
    """The code is that of the rule, the only one, and names the population or projection."""
    counts: dict[str, int] = {}
    for row in refused():
        code = refusal(row)
        assert code is not None
        counts[code] = counts.get(code, 0) + 1
        graph = network_of(row, np.random.default_rng(1))
        with pytest.raises(SpikecError) as caught, coded():
            verify(graph)
            lower(graph, build_of(row))
        assert {told.code for told in caught.value.diagnostics} == {code}, row
    # By each kind of reason, and of rules that learn each.
    assert counts == {"E0205": 11, "E0208": 9, "E0301": 1, "E0302": 2}
