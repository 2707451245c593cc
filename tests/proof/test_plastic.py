"""Weights learn by the equations of their rule, for every weight, trace, term and noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikec.hdl import plastic, traces
from spikec.hdl.image import CoreImage
from spikec.hdl.learning import Learning
from spikec.hdl.plastic import term_shape
from spikec.hdl.shape import CoreShape, index_bits
from spikec.ir.numerics import Rounding
from spikec.ir.plasticity import SDSP, Accumulation, Response, Trace, TraceDecay, TraceSTDP, Update

from .plastic_proof import Kind, PlasticProof, TracesProof, plastic_proof, traces_proof
from .smt import Circuit, Refuted, circuit, mutant, prove, reachable

NEAR = Trace(9, Accumulation.SET, TraceDecay.SHIFT, 2, 4)
FAR = Trace(7, Accumulation.ADD, TraceDecay.SHIFT, 3, 4)
TIMER = Trace(5, Accumulation.SET, TraceDecay.COUNT, 0, 3)
DOWN, UP = Update(-1, 3, 2), Update(1, 5, 3)
NONE = Update()
PAIR = TraceSTDP(FAR, NEAR, DOWN, UP)
NOISE: dict[str, Any] = {"rounding": Rounding.STOCHASTIC, "seed": 77}


def shape_of(
    rule: TraceSTDP | SDSP,
    rails: tuple[int, int] = (-8, 7),
    lanes: int = 4,
    units: int = 2,
    weight_bits: int = 4,
    **more: Any,
) -> CoreShape:
    """Five rows, the first of which is the second of the core, onto the last two of three groups.

    A rule with noise has as many streams as lanes.
    """
    if isinstance(rule, TraceSTDP) and rule.rounding is Rounding.STOCHASTIC:
        rule = replace(rule, streams=lanes)
    learning = Learning(rule, 5, 2, *rails, first_row=1, first_group=1, **more)
    return CoreShape(
        lanes=lanes,
        units=units,
        weight_bits=weight_bits,
        acc_bits=weight_bits + 4,
        state_bits=8,
        neurons=3 * lanes,
        inputs=6,
        words=lanes << index_bits(learning.words(lanes)) if learning.skewed else 12,
        addressing="row",
        recurrent=False,
        learning=learning,
    )


SHAPES = {
    "pair": shape_of(PAIR, (-5, 6)),
    "pair-after": shape_of(PAIR, lanes=3, units=1, rotator="multiplier", after=True),
    "noise": shape_of(
        replace(PAIR, on_post=Update(1, 2, 0, Response.WINDOW, -1), **NOISE),
        (-5, 6),
        lanes=2,
        units=1,
    ),
    "noise-after": shape_of(replace(PAIR, **NOISE), lanes=3, units=1, after=True),
    "noise-turned": shape_of(replace(PAIR, **NOISE), (-5, 6), rotator="multiplier"),
    "rows": shape_of(TraceSTDP(TIMER, FAR, UP, NONE), (0, 7), after=True),
    "rows-noise": shape_of(TraceSTDP(TIMER, FAR, UP, NONE, **NOISE), (0, 7), lanes=2, units=2),
    "columns": shape_of(TraceSTDP(FAR, TIMER, NONE, DOWN), (2, 6), lanes=6, units=2),
    "one-lane": shape_of(PAIR, (-8, -3), lanes=1, units=1),
    "drift": shape_of(SDSP(-3, 0, 2, 3, 2, 0, 3, 4), (-3, 6)),
}
SLOW = ("noise-after", "noise-turned", "columns")


def kinds(shape: CoreShape) -> list[tuple[Kind, int]]:
    """All operations, in all ways a word can be turned."""
    learning = shape.learning
    assert learning is not None
    turns = range(shape.lanes if learning.skewed else 1)
    found: list[tuple[Kind, int]] = [("nothing", 0), ("host", 0)]
    found += [("row", turn) for turn in turns]
    found += [("column", turn) for turn in turns if learning.columns]
    return [*found, *([("refresh", 0)] if learning.refreshes else [])]  # type: ignore[list-item]


def weights_of(shape: CoreShape, module: ModuleType = plastic) -> Circuit:
    learning = shape.learning
    assert learning is not None
    made = module.PlasticWeights(shape, learning, CoreImage.empty(shape))
    return circuit(made, wires=("state",) if learning.stochastic else ())


def check(shape: CoreShape, weights: Circuit, kind: Kind, turn: int) -> PlasticProof:
    proof = plastic_proof(shape, weights, kind, turn)
    prove(proof.claims, proof.assumptions, proof.show)
    prove(proof.read, [*proof.assumptions, proof.alone], proof.show)
    return proof


def check_all(shape: CoreShape, operations: list[tuple[Kind, int]] | None = None) -> None:
    learning, weights = shape.learning, weights_of(shape)
    assert learning is not None
    for kind, turn in operations or kinds(shape):
        proof = check(shape, weights, kind, turn)
        assert reachable(proof.alone, proof.assumptions)
        changes = kind in ("column", "refresh") or (kind == "row" and learning.rule.rows)
        assert reachable(proof.changes, proof.assumptions) is changes


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in SHAPES]
)
def test_weights_change_by_their_terms_and_within_their_rails(name: str) -> None:
    check_all(SHAPES[name])


LONG = Trace(128, Accumulation.ADD, TraceDecay.SHIFT, 4, 8)
WIDE = TraceSTDP(LONG, LONG, Update(-1, 37, 6), Update(1, 53, 7))
WIDE_NOISE = replace(WIDE, **NOISE)
WIDER = {
    "pair": shape_of(WIDE, (-128, 127), 8, 4, 8),
    "noise": shape_of(WIDE_NOISE, (-100, 90), 4, 2, 8, after=True),
    "noise-turned": shape_of(WIDE_NOISE, (-128, 127), 5, 1, 8, rotator="multiplier"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WIDER)
def test_weights_change_by_their_terms_at_real_widths(name: str) -> None:
    check_all(WIDER[name])


@pytest.mark.slow
def test_terms_of_many_lanes_are_kept_twice_and_used_alike() -> None:
    """More lanes than a multiplier turns: the halves of a word of terms come swapped."""
    shape = shape_of(PAIR, (-4, 3), 20, 2, 3, rotator="multiplier")
    check_all(shape, [("nothing", 0), ("row", 3), ("row", 13), ("column", 12)])


# --- traces and what their terms mean ---


class Arithmetic(wiring.Component):
    """A trace of each kind after a spike and after a step, and its term `RESPONSE` cycles later."""

    def __init__(self, learning: Learning, module: ModuleType = traces) -> None:
        self._learning, self._module = learning, module
        rule = learning.rule
        assert isinstance(rule, TraceSTDP)
        self._parts = {"pre": (rule.pre, rule.on_post), "post": (rule.post, rule.on_pre)}
        members: dict[str, Any] = {}
        for name, (trace, update) in self._parts.items():
            members[name] = In(trace.bits)
            members[f"{name}_risen"] = members[f"{name}_decayed"] = Out(trace.bits)
            if not update.idle:
                members[f"{name}_term"] = Out(term_shape(learning))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m, learning, module = Module(), self._learning, self._module
        for name, (trace, update) in self._parts.items():
            value = getattr(self, name)
            m.d.comb += [
                getattr(self, f"{name}_risen").eq(module.risen(trace, value)),
                getattr(self, f"{name}_decayed").eq(module.decayed(trace, value)),
            ]
            if not update.idle:
                term = module.response(m, learning, update, trace, value, name)
                m.d.comb += getattr(self, f"{name}_term").eq(term)
        return m


def traces_of(shape: CoreShape, module: ModuleType = traces) -> TracesProof:
    learning = shape.learning
    assert learning is not None
    return traces_proof(shape, learning, circuit(Arithmetic(learning, module)))


def check_traces(shape: CoreShape) -> None:
    proof = traces_of(shape)
    assert prove(proof.claims, [], proof.show) > 0


DETERMINISTIC = [rounding for rounding in Rounding if rounding is not Rounding.STOCHASTIC]


@pytest.mark.parametrize("rounding", DETERMINISTIC)
def test_terms_are_the_responses_of_traces(rounding: Rounding) -> None:
    check_traces(shape_of(replace(PAIR, rounding=rounding), (-5, 6)))
    # Terms that go beyond the rails' distance, and one with an offset.
    far = replace(PAIR, on_pre=Update(-1, 11, 1, offset=2), on_post=Update(1, 13, 3, offset=-9))
    check_traces(shape_of(replace(far, rounding=rounding), (-2, 3)))


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "drift"])
def test_traces_and_terms_of_all_shapes(name: str) -> None:
    check_traces(SHAPES[name])


@pytest.mark.slow
@pytest.mark.parametrize("rounding", Rounding)
def test_terms_are_the_responses_of_traces_at_real_widths(rounding: Rounding) -> None:
    check_traces(shape_of(replace(WIDE, rounding=rounding), (-128, 127), weight_bits=8))
    sixteen = Trace(40_000, Accumulation.ADD, TraceDecay.SHIFT, 7, 16)
    update = Update(1, 513, 12, offset=-5)
    rule = TraceSTDP(sixteen, sixteen, replace(update, sign=-1), update, rounding)
    check_traces(shape_of(rule, (-32768, 32767), weight_bits=16))


# --- broken on purpose ---

NOISY, SIX = SHAPES["noise"], SHAPES["columns"]
BROKEN: dict[str, tuple[str, str, CoreShape, Kind, int]] = {
    "wraps": (
        "total = Signal((before + term).shape(), ",
        "total = Signal(signed(bits), ",
        SHAPES["pair"],
        "row",
        1,
    ),
    "no upper rail": (
        "_above(total, learning.w_max) & outside",
        "Const(0, 1)",
        SHAPES["pair"],
        "column",
        2,
    ),
    "the lower rail one too low": (
        "Const(learning.w_min, signed(bits))",
        "Const(learning.w_min - 1, signed(bits))",
        SHAPES["pair"],
        "row",
        0,
    ),
    "rails of powers of two": (
        "value[-1] & ~value[max(-limit, 1).bit_length() - 1 : -1].all()",
        "value[-1] & ~value[max(-limit, 1).bit_length() : -1].all()",
        SHAPES["pair-after"],
        "column",
        1,
    ),
    "learns in the test phase": (
        "enable[bank][stage - 1] & self.learn",
        "enable[bank][stage - 1]",
        SHAPES["rows"],
        "row",
        0,
    ),
    "learns where it must not": (
        "takes = operation[stage] & enable[bank][stage - 1] &",
        "takes = operation[stage] &",
        SHAPES["pair"],
        "column",
        3,
    ),
    "rows learn, too": ("if not learning.rule.rows:", "if False:", SIX, "row", 1),
    "turns terms down": ('"up", up=True', '"up", up=False', SHAPES["pair"], "row", 1),
    "turns weights up": ('"down", up=False', '"down", up=True', SHAPES["pair"], "row", 1),
    "the plane of another row": ("(bank - n) % odd", "(bank + n) % odd", SIX, "column", 1),
    "writes a cycle early": (
        '_line(m, address, f"address_{bank}", stage)[stage]',
        '_line(m, address, f"address_{bank}", stage)[stage - 1]',
        SHAPES["rows"],
        "row",
        0,
    ),
    "terms of another word": (
        "self.row.group - (learning.first_group - blocks)",
        "self.row.group - learning.first_group",
        SHAPES["pair"],
        "row",
        1,
    ),
    "terms of the presentation before": (
        "with m.If(self.fresh & ~by_column[1]):",
        "with m.If(0):",
        SHAPES["pair"],
        "row",
        1,
    ),
    "sends what it was": ("learned if learning.after", "learned if 0", SHAPES["rows"], "row", 0),
    "the same noise for all": ("state[(k + bank) % 32]", "state[k % 32]", NOISY, "row", 1),
    "noise of the other update": (
        "Mux(by_column[at], noise(rule.on_post, bank), noise(rule.on_pre, bank))",
        "Mux(by_column[at], noise(rule.on_pre, bank), noise(rule.on_pre, bank))",
        NOISY,
        "column",
        1,
    ),
    "noise that stands still": ("(state >> 1) ^ Mux(state[0]", "state ^ Mux(0", NOISY, "row", 1),
    "noise that rows of others move": (
        "(operation[at] & ~by_column[at] & plastic)",
        "(operation[at] & ~by_column[at])",
        NOISY,
        "row",
        0,
    ),
    "adds what it should take": (
        "update.offset + size if update.sign > 0 else update.offset - size",
        "update.offset + size",
        NOISY,
        "row",
        0,
    ),
    "drifts down at the threshold": (
        "before >= learning.rule.refresh_threshold",
        "before > learning.rule.refresh_threshold",
        SHAPES["drift"],
        "refresh",
        0,
    ),
    "clamps what the host writes": (" else ~by_host[at + 1]", " else 1", SIX, "host", 0),
    "forgets that the host writes": (
        "(by_host[stage] & part)",
        "(by_host[stage] & part & self.learn)",
        SIX,
        "host",
        0,
    ),
    "idle too early": (
        "self.idle.eq(~Cat(*operation, *by_host).any())",
        "self.idle.eq(~Cat(*operation[:-1], *by_host).any())",
        SHAPES["rows"],
        "row",
        0,
    ),
    "writes terms twice": (
        "(own | other if self._swapped else own)",
        "(own | other)",
        SHAPES["pair"],
        "nothing",
        0,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_weights_are_refuted(name: str, tmp_path: Path) -> None:
    old, new, shape, kind, turn = BROKEN[name]
    weights = weights_of(shape, mutant("plastic", tmp_path, (old, new)))
    with pytest.raises(Refuted, match=r"does not hold\n(  .+ = -?\d+\n)+  expected -?\d+\n  got "):
        check(shape, weights, kind, turn)


BROKEN_TRACES = {
    "a trace that wraps": (
        "Mux(total[trace.bits], (1 << trace.bits) - 1, total[: trace.bits])",
        "total[: trace.bits]",
        PAIR,
    ),
    "decays by the floor": ("((x << trace.shift) - x)", "((x << trace.shift) - x + x.any())", PAIR),
    "a timer below zero": ("Mux(x.any(), x - 1, 0)", "Mux(1, x - 1, 0)", replace(PAIR, post=TIMER)),
    "rounds the other way": (
        "ROUNDING[rule.rounding]",
        '"floor"',
        replace(PAIR, rounding=Rounding.UP),
    ),
    "forgets the offset": (
        "update.offset + size if",
        "size if",
        replace(PAIR, on_post=Update(1, 5, 3, offset=1)),
    ),
    "keeps terms that wrap": (
        "if clips(learning, update, trace):",
        "if False:",
        replace(PAIR, on_post=Update(1, 60, 1)),
    ),
    "a product less": ("update.amplitude\n    exact", "update.amplitude - 1\n    exact", PAIR),
}


@pytest.mark.parametrize("name", BROKEN_TRACES)
def test_broken_traces_are_refuted(name: str, tmp_path: Path) -> None:
    old, new, rule = BROKEN_TRACES[name]
    proof = traces_of(shape_of(rule, (-5, 6)), mutant("traces", tmp_path, (old, new)))
    with pytest.raises(Refuted, match=r"does not hold\n(  .+ = -?\d+\n)+  expected -?\d+\n  got "):
        prove(proof.claims, [], proof.show)


def test_a_counterexample_is_a_weight_one_can_work_out(tmp_path: Path) -> None:
    """The numbers printed are a weight and a term at which the rail is missed."""
    old, new, shape, kind, turn = BROKEN["no upper rail"]
    weights = weights_of(shape, mutant("plastic", tmp_path, (old, new)))
    proof = plastic_proof(shape, weights, kind, turn)
    written = [claim for claim in proof.claims if claim.name == "bank 3 written"]
    with pytest.raises(Refuted) as refuted:
        prove(written, proof.assumptions, proof.show)
    lines = str(refuted.value).splitlines()
    values = {name.strip(): int(number) for name, number in (li.split(" = ") for li in lines[1:-2])}
    assert values["learn"] == values["enable in bank 3"] == 1
    # The column of lane 2: its bank 3 has the weight of row 1.
    total = values["weight in bank 3"] + values["term 1"]
    assert total > 6
    assert int(lines[-2].split()[1]) == 0b1_0000 | 6
    assert int(lines[-1].split()[1]) == 0b1_0000 | total & 0b1111
