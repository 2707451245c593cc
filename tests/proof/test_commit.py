"""`Commit` computes the equations of `CoreShape`, for every state, input and parameter."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import z3
from amaranth.hdl import Const, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikec.hdl import arithmetic, commit
from spikec.hdl.shape import CoreShape, NeuronClass, Reset, Rounding

from .commit_proof import CommitProof, commit_proof
from .smt import Claim, Products, Refuted, SignedProducts, circuit, mutant, prove, reachable

SMALL = CoreShape(
    lanes=2,
    weight_bits=4,
    acc_bits=6,
    state_bits=8,
    neurons=8,
    inputs=4,
    words=8,
    classes=2,
    first_bias=True,
    refractory_bits=2,
    shift_bits=2,
    step_bits=3,
    decay_bits=4,
)
WIDE: dict[str, Any] = {
    "weight_bits": 8,
    "acc_bits": 16,
    "state_bits": 16,
    "decay_bits": 12,
    "shift_bits": 4,
    "step_bits": 16,
    "refractory_bits": 8,
}


def changed(**fields: Any) -> CoreShape:
    return CoreShape(**{name: getattr(SMALL, name) for name in _FIELDS} | fields)


_FIELDS = [field.name for field in dataclasses.fields(SMALL)]


# Each rounding with each overflow, each of them with and without a current, one and two units;
# parameters out of memory or of the circuit. Resets out of memory are any reset at all.
SHAPES = {
    "floor": SMALL,
    "floor-wrap": changed(overflow="wrap", cuba=True, units=2),
    "ceil": changed(rounding="ceil", cuba=True),
    "ceil-wrap": changed(rounding="ceil", overflow="wrap", units=2, first_bias=False),
    "toward_zero": changed(rounding="toward_zero", lanes=4, units=2),
    "toward_zero-wrap": changed(rounding="toward_zero", overflow="wrap", cuba=True),
    "nearest_even": changed(rounding="nearest_even", units=2),
    "nearest_even-wrap": changed(rounding="nearest_even", overflow="wrap", cuba=True),
    "nearest_away": changed(rounding="nearest_away", cuba=True, refractory_bits=0),
    "nearest_away-wrap": changed(rounding="nearest_away", overflow="wrap", classes=1),
    "one-group": changed(neurons=2, classes=3, bias=False, first_bias=False, shift_bits=0),
    "many-beats": changed(lanes=4, units=1, first_bias=False, refractory_bits=0),
    "fixed-subtract": changed(
        classes=1,
        bias=False,
        first_bias=False,
        refractory_bits=0,
        units=2,
        fixed=NeuronClass(
            decay_v=15,
            shift=1,
            threshold=40,
            v_reset=41,
            v_min=-128,
            reset=Reset.SUBTRACT,
            start=0,
            emit=1,
        ),
    ),
    "fixed-subtract-overflow": changed(
        rounding="nearest_even", fixed=NeuronClass(v_reset=-3, threshold=90, reset=Reset.SUBTRACT)
    ),
    "fixed-value": changed(
        rounding="toward_zero",
        fixed=NeuronClass(decay_v=11, reset=Reset.VALUE, v_reset=-7, refractory=2, start=0),
    ),
    "fixed-readout": changed(
        cuba=True,
        rounding="nearest_away",
        fixed=NeuronClass(decay_v=14, decay_u=7, reset=Reset.NONE, order_old=1, start=2),
    ),
    "fixed-current": changed(
        cuba=True,
        fixed=NeuronClass(decay_u=0, reset=Reset.TWO_PHASE, order_old=0, threshold=20, v_reset=20),
    ),
    "integrator": changed(bias=False, first_bias=False, fixed=NeuronClass(decay_v=16)),
    "integrator-two-phase": changed(
        bias=False,
        first_bias=False,
        overflow="wrap",
        refractory_bits=0,
        fixed=NeuronClass(decay_v=16, reset=Reset.TWO_PHASE, start=0, shift=0),
    ),
    "linear": changed(linear=True),
    "linear-only": changed(
        linear=True,
        overflow="wrap",
        bias=False,
        first_bias=False,
        fixed=NeuronClass(decay_v=16, v_leak=0, start=0),
    ),
    "fixed-linear-current": changed(
        linear=True,
        cuba=True,
        units=2,
        rounding="nearest_away",
        timers=(2,),
        fixed=NeuronClass(decay_v=16, leak=3, v_leak=-5, adapt_shift=2, reset=Reset.SUBTRACT),
    ),
    "adaptive": changed(timers=(3, 4)),
    "adaptive-current": changed(
        cuba=True,
        units=2,
        rounding="ceil",
        overflow="wrap",
        timers=(5,),
        fixed=NeuronClass(adapt_shift=3, reset=Reset.VALUE),
    ),
    "adaptive-kept": changed(
        timers=(), bias=False, first_bias=False, fixed=NeuronClass(decay_v=16, adapt_inc=5)
    ),
    "adaptive-integrator": changed(
        timers=(1,),
        bias=False,
        first_bias=False,
        refractory_bits=0,
        fixed=NeuronClass(
            decay_v=16,
            reset=Reset.SUBTRACT,
            threshold=9,
            v_reset=10,
            start=0,
            adapt_shift=0,
            adapt_phase=0,
        ),
    ),
}


# Membranes with a recovery: any class that the fields hold, plain ones (no curve, no couple) too.
RECOVERY = changed(
    lanes=1, neurons=2, classes=1, bias=False, first_bias=False, refractory_bits=1, shift_bits=0,
    step_bits=2, quadratic=1,
)  # fmt: skip


def recovering(**fields: Any) -> CoreShape:
    return CoreShape(**{name: getattr(RECOVERY, name) for name in _FIELDS} | fields)


RECOVERIES = {
    "floor": RECOVERY,
    "floor-wrap-twice": recovering(overflow="wrap", quadratic=2),
    "twice": recovering(quadratic=2),
    "ceil": recovering(rounding="ceil", timers=(3,)),
    "toward_zero-wrap": recovering(
        rounding="toward_zero", overflow="wrap", first_bias=True, bias=True, shift_bits=2
    ),
    "nearest_even": recovering(rounding="nearest_even", lanes=2, neurons=4, units=2, classes=2),
    "nearest_away": recovering(rounding="nearest_away", refractory_bits=0),
    "nearest_away-twice": recovering(rounding="nearest_away", quadratic=2),
    "plain": recovering(quadratic=2, fixed=NeuronClass(curve=0, couple=0, rate=0, jump=0)),
}


def proof_of(shape: CoreShape, module: ModuleType = commit, cut: bool = True) -> CommitProof:
    """Cut: behind the products, which may be anything in range; else with the true ones."""
    products = None
    if cut:
        exact = shape.state_bits + shape.decay_bits + 16
        products = SignedProducts(exact) if shape.quadratic else Products()
    return commit_proof(shape, circuit(module.Commit(shape), products), products)


def check(proof: CommitProof, claims: list[Claim]) -> None:
    assert sum(prove(some, known, proof.show) for some, known in proof.cases(claims)) > 0


SLOW = ("nearest_even", "fixed-readout", "ceil")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in SHAPES]
)
def test_the_commit_is_the_equations(name: str) -> None:
    proof = proof_of(SHAPES[name])
    check(proof, proof.exact)
    check(proof, proof.rest)
    assert reachable(proof.rests, proof.assumptions)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[] if n in ("floor", "plain") else [pytest.mark.slow])
        for n in RECOVERIES
    ],
)
def test_the_commit_of_a_recovery_is_the_equations(name: str) -> None:
    proof = proof_of(RECOVERIES[name])
    check(proof, proof.exact)


def test_a_recovery_that_rests_stays() -> None:
    proof = proof_of(RECOVERY)
    check(proof, proof.rest)
    assert reachable(proof.rests, proof.assumptions)


def test_the_commit_with_true_products_is_the_equations() -> None:
    proof = proof_of(SHAPES["nearest_away-wrap"], cut=False)
    check(proof, proof.exact)
    check(proof, proof.rest)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["floor", "ceil-wrap", "toward_zero-wrap", "nearest_even"])
def test_the_commit_with_more_true_products_is_the_equations(name: str) -> None:
    proof = proof_of(SHAPES[name], cut=False)
    check(proof, proof.exact)
    check(proof, proof.rest)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SHAPES if not name.startswith("fixed")])
def test_the_commit_is_the_equations_at_real_widths(name: str) -> None:
    shape = SHAPES[name]
    fixed = NeuronClass(decay_v=4096, start=0) if name.startswith("integrator") else NeuronClass()
    fields = {field: getattr(shape, field) for field in _FIELDS} | WIDE | {"fixed": fixed}
    if not shape.refractory_bits:
        fields["refractory_bits"] = 0
    proof = proof_of(CoreShape(**fields))
    check(proof, proof.exact)
    check(proof, proof.rest)


# --- products ---


@pytest.mark.parametrize("state_bits, decay_bits", [(8, 4), (8, 9), (16, 12), (24, 12), (32, 16)])
def test_products_lie_between_nothing_and_all(state_bits: int, decay_bits: int) -> None:
    """What `Products` assumes, over the integers and in the bits the hardware has."""
    v, d = z3.Ints("v d")
    one, top = 1 << decay_bits, 1 << (state_bits - 1)
    between = z3.If(
        v >= 0, z3.And(v * d >= 0, v * d <= v * one), z3.And(v * d <= 0, v * d >= v * one)
    )
    fits = z3.And(v * d >= -(top * 2 * one), v * d < top * 2 * one)
    solver = z3.Solver()
    solver.add(v >= -top, v < top, d >= 0, d <= one, z3.Not(z3.And(between, fits)))
    assert solver.check() == z3.unsat


@pytest.mark.parametrize("bits, more", [(8, 6), (8, 9), (12, 8), (16, 17), (24, 17), (32, 22)])
def test_signed_products_lie_within_the_widest(bits: int, more: int) -> None:
    """What `SignedProducts` assumes: of -2^more <= b <= 2^more, and that it fits their bits."""
    v, b = z3.Ints("v b")
    end, top = 1 << more, 1 << (bits - 1)
    size = z3.If(v >= 0, v, -v) * end
    within = z3.And(-size <= v * b, v * b <= size)
    fits = z3.And(v * b >= -(top * 2 * end), v * b < top * 2 * end)
    solver = z3.Solver()
    solver.add(v >= -top, v < top, b >= -end, b <= end, z3.Not(z3.And(within, fits)))
    assert solver.check() == z3.unsat


class Multiples(wiring.Component):
    """The value times each of some constants."""

    def __init__(self, bits: int, factors: list[int], module: ModuleType = arithmetic) -> None:
        self._factors, self._module = factors, module
        self._widths = {n: max(1, n.bit_length()) for n in factors}
        super().__init__(
            {"value": In(signed(bits))}
            | {f"by_{n}": Out(signed(bits + width)) for n, width in self._widths.items()}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for n, width in self._widths.items():
            product = self._module.times(self.value, Const(n, width))
            m.d.comb += getattr(self, f"by_{n}").eq(product)
        return m


def multiples(bits: int, factors: list[int], module: ModuleType = arithmetic) -> None:
    made = circuit(Multiples(bits, factors, module))
    value = z3.BitVec("value", bits)
    ports = made.step({}, {"value": value}, "now").ports
    claims = []
    for n in factors:
        got = ports[f"by_{n}"]
        wide = z3.SignExt(got.size() - bits, value)
        claims.append(Claim(f"value * {n}", wide * n, got, z3.BoolVal(True), True))
    prove(claims, [], {"value": value})


def test_constant_products_are_products() -> None:
    multiples(8, list(range(129)))


@pytest.mark.slow
def test_constant_products_are_products_at_real_widths() -> None:
    multiples(16, [4095, 4096, 3686, 3932, 2731, 1365, 3277, 4055, 2049, 1])


# --- broken on purpose ---

EVEN = changed(rounding="nearest_even")
# A class at the ends of its fields: what a slice loses it loses here, and true products are cheap.
EXTREME = recovering(
    rounding="ceil",
    fixed=NeuronClass(decay_v=127, curve=511, couple=-64, rate=-256, jump=127),
)
GOAL = recovering(fixed=NeuronClass(decay_v=0, curve=0, couple=-64, rate=16, jump=0, start=0))
ROUNDED = recovering(
    rounding="ceil", fixed=NeuronClass(decay_v=16, curve=3, couple=5, rate=100, jump=0)
)
TWICE = recovering(quadratic=2, fixed=NeuronClass(decay_v=14, curve=3, couple=5, rate=9, jump=2))
BROKEN = {
    "compares with >=": ("commit", "floored > limit", "floored >= limit", SMALL),
    "does not saturate": (
        "pipeline",
        "self.shape.state_bits, self.shape.overflow)",
        'self.shape.state_bits, "wrap")',
        SMALL,
    ),
    "saturates too late": ("arithmetic", "value[width - 1 :]", "value[width:]", SMALL),
    "rounds ties to odd": ("arithmetic", "(below | whole[0])", "(below | ~whole[0])", EVEN),
    "rounds ties down": ("arithmetic", "(half & (below | whole[0]))", "(half & below)", EVEN),
    "takes the limit off": ("commit", "floored - self._amount_s", "floored - limit", SMALL),
    "clamps when it must hold": (
        "commit",
        "(membrane < v_min_c) & ~hold_c",
        "(membrane < v_min_c)",
        SMALL,
    ),
    "raises the limit at it": (
        "commit",
        "v_3 > parts.common.threshold_3",
        "v_3 >= parts.common.threshold_3",
        SMALL,
    ),
    "counts before the start": ("commit", "(common.started_3 & resting_3)", "resting_3", SMALL),
    "the first bias later too": ("commit", "Mux(common.first_3,", "Mux(common.started_3,", SMALL),
    "spikes while refractory": ("commit", "~hold_c & ~self._silent_c", "~self._silent_c", SMALL),
    "adds of the beat before": ("commit", '"accumulated", 3)', '"accumulated", 4)', SMALL),
    "subtracts the bias": ("commit", "shifted_4 + bias_4", "shifted_4 - bias_4", SMALL),
    "the wrong current": (
        "commit",
        "(self._order_old_i, old_u_i, u_i)",
        "(self._order_old_i, u_i, old_u_i)",
        SHAPES["ceil"],
    ),
    "reads what is not there": (
        "pipeline",
        "with self.m.If(self._fresh):",
        "with self.m.If(0):",
        SMALL,
    ),
    "leaks past its goal": (
        "commit",
        "Mux(up_4 < v_leak_4, up_4, v_leak_4)",
        "up_4",
        SHAPES["linear"],
    ),
    "leaks the other way": ("commit", "v_3 - leak_3", "v_3 + leak_3", SHAPES["linear"]),
    "decays where it leaks": (
        "commit",
        "Mux(self._linear_4, nearer_4",
        "Mux(0, nearer_4",
        SHAPES["linear"],
    ),
    "forgets the offset": (
        "commit",
        "limit_c + more_c",
        "limit_c + Mux(above_c, amount_c, 0)",
        SHAPES["adaptive"],
    ),
    "lets the offset overflow": (
        "adaptation",
        "sum_a[:h_bits] | sum_a[h_bits:].any().replicate(h_bits)",
        "sum_a[:h_bits]",
        SHAPES["adaptive"],
    ),
    "lowers by the floor": (
        "adaptation",
        "whole_s = carry(~(value_c & self._rest_c).any()",
        "whole_s = carry(Const(1, 1)",
        SHAPES["adaptive"],
    ),
    "lowers an offset too soon": (
        "adaptation",
        '"due", last - 3',
        '"due", last - 4',
        SHAPES["adaptive"],
    ),
    "lowers before the start": (
        "adaptation",
        "carry(due_2 & started_2",
        "carry(due_2",
        SHAPES["adaptive"],
    ),
    "advances u": ("recovery", "_advanced(v_3,", "_advanced(u_3,", RECOVERY),
    "a factor of a bit less": (
        "recovery",
        '(carry(decay, "decay_f") + bent)[: fraction + 6]',
        '(carry(decay, "decay_f") + bent)[: fraction + 5]',
        EXTREME,
    ),
    "a bend of two bits less": (
        "recovery",
        "width, fraction + 6)",
        "width, fraction + 4)",
        EXTREME,
    ),
    "a product of two bits less": (
        "recovery",
        "fraction, width + 6)",
        "fraction, width + 4)",
        EXTREME,
    ),
    "a goal of a bit less": ("recovery", "fraction, width + 3)", "fraction, width + 2)", GOAL),
    "a move of three bits less": (
        "recovery",
        "fraction + 4, width + 5)",
        "fraction + 4, width + 2)",
        EXTREME,
    ),
    "a goal not rounded": (
        "recovery",
        'quotient(carry(v_3 * self._couple_3, "goal"), fraction, width + 3)',
        '(carry(v_3 * self._couple_3, "goal") >> fraction)',
        ROUNDED,
    ),
    "a jump that wraps": (
        "recovery",
        'fit(carry(u_8 + self._jump_8, "sum_jump"))',
        'carry(u_8 + self._jump_8, "sum_jump")[:width].as_signed()',
        EXTREME,
    ),
    "a recovery before the start": (
        "recovery",
        'Mux(carry(started_4, "started", 2), part_6, 0)',
        "part_6",
        EXTREME,
    ),
    "a recovery that rests with v": (
        "recovery",
        'Mux(carry(started_4, "started", 2), part_6, 0)',
        'Mux(carry(hold_3, "held", 3), 0, part_6)',
        EXTREME,
    ),
    "a jump without a spike": (
        "commit",
        "Mux(spike, state.raised_u, state.u)",
        "state.raised_u",
        EXTREME,
    ),
    "once too seldom": ("recovery", "(again < number)", "(again <= number)", TWICE),
    "once too often": ("recovery", "(again < number)", "(again < number - 1)", TWICE),
    "adds u": ("recovery", 'drive_5 - carry(u_4, "u_5")', 'drive_5 + carry(u_4, "u_5")', EXTREME),
    "settles early": ("commit", '"ends", last + behind)', '"ends", last)', SMALL),
}
RESTLESS = {
    "rests while it changes": ("commit", "same_v & ~spike", "~spike", SMALL),
    "rests with input": (
        "commit",
        'carry(gets.quiet_4, "quiet_l", last - 4)',
        "Const(1, 1)",
        SMALL,
    ),
    "rests with a current": ("commit", "same = same & state.same_u", "same = same", SHAPES["ceil"]),
    "rests at the first bias": ("commit", '~carry(common.first_3, "first_4")', "1", SMALL),
    "rests before the start": ("commit", "common.started_4 & ~carry(", "~carry(", SMALL),
    "rests while it leaks": (
        "commit",
        "shape.decay_one and not shape.linear",
        "shape.decay_one",
        SHAPES["linear-only"],
    ),
    "rests with an offset": (
        "commit",
        'carry(offset.offset_c == 0, "no_offset", 2)',
        "Const(1, 1)",
        SHAPES["adaptive"],
    ),
    "rests while it recovers": ("commit", "same = same & state.same_u", "same = same", ROUNDED),
    "rests when half of it does": ("commit", "calm & before", "calm", SMALL),
}


# What a commit is made of, each after what it imports.
PARTS = ("arithmetic", "pipeline", "adaptation", "recovery", "commit")


def broken(folder: Path, change: tuple[str, str, str, CoreShape]) -> CommitProof:
    """The proof of a commit of which one part is changed; all are made anew around it."""
    module, old, new, shape = change
    made: dict[str, ModuleType] = {}
    for part in PARTS:
        made[part] = mutant(part, folder, *([(old, new)] if part == module else []))
        for name, value in list(vars(made[part]).items()):
            origin = str(getattr(value, "__module__", "")).removeprefix("spikec.hdl.")
            if origin in made:
                setattr(made[part], name, getattr(made[origin], name))
    return proof_of(shape, made["commit"], cut=False)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_commit_is_refuted(name: str, tmp_path: Path) -> None:
    proof = broken(tmp_path, BROKEN[name])
    with pytest.raises(Refuted, match=r"does not hold\n(  .+ = -?\d+\n)+  expected -?\d+\n  got "):
        prove(proof.exact, proof.assumptions, proof.show)


@pytest.mark.parametrize("name", RESTLESS)
def test_a_rest_that_is_none_is_refuted(name: str, tmp_path: Path) -> None:
    proof = broken(tmp_path, RESTLESS[name])
    with pytest.raises(Refuted, match="rest does not hold"):
        prove(proof.rest, proof.assumptions, proof.show)


def test_broken_constant_products_are_refuted(tmp_path: Path) -> None:
    wrong = mutant("arithmetic", tmp_path, ("- term", "+ term"))
    with pytest.raises(Refuted, match=r"value \* \d+ does not hold\n  value = -?\d+\n  expected"):
        multiples(8, list(range(129)), wrong)


def test_a_counterexample_is_a_neuron_one_can_work_out(tmp_path: Path) -> None:
    """The numbers printed are inputs at which the equations and the hardware differ."""
    rounding: Rounding = "floor"
    shape = changed(rounding=rounding, classes=1, first_bias=False, refractory_bits=0)
    proof = proof_of(
        shape, mutant("commit", tmp_path, ("floored > limit", "floored >= limit")), cut=False
    )
    spike = [claim for claim in proof.exact if claim.name == "neuron 0: spike, trace_spike"]
    with pytest.raises(Refuted) as refuted:
        prove(spike, proof.assumptions, proof.show)
    lines = str(refuted.value).splitlines()
    values = {name.strip(): int(number) for name, number in (li.split(" = ") for li in lines[1:-2])}
    v = 0 if values["fresh"] else values["v[0]"]
    d = values["accumulated[0]"] * 2 ** values["shift{0}"] + values["bias[0]"]
    w = min(max(v * values["decay_v{0}"] // 16 + d, -128), 127)
    w = max(w, values["v_min{0}"])
    limit = values["threshold{0}"]
    if values["reset{0}"] == Reset.TWO_PHASE and v > limit:
        limit += values["v_reset{0}"]
    assert w == limit
    assert [int(line.split()[1]) for line in lines[-2:]] == [0, 1]
