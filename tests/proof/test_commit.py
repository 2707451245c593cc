"""`Commit` computes the equations of `CoreShape`, for every state, input and parameter."""

from __future__ import annotations

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
from .smt import Claim, Products, Refuted, circuit, mutant, prove, reachable

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


_FIELDS = tuple(SMALL.__dataclass_fields__)


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
}


def proof_of(shape: CoreShape, module: ModuleType = commit, cut: bool = True) -> CommitProof:
    """Cut: behind the products, which may be anything in range; else with the true ones."""
    products = Products() if cut else None
    return commit_proof(shape, circuit(module.Commit(shape), products), products)


def check(proof: CommitProof, claims: list[Claim]) -> None:
    assert prove(claims, proof.assumptions, proof.show) > 0


SLOW = ("nearest_even", "fixed-readout", "ceil")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in SHAPES]
)
def test_the_commit_is_the_equations(name: str) -> None:
    proof = proof_of(SHAPES[name])
    check(proof, proof.exact)
    assert reachable(proof.rests, proof.assumptions)
    check(proof, proof.rest)


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


@pytest.mark.parametrize("state_bits, decay_bits", [(8, 4), (16, 12), (24, 12), (32, 16)])
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
BROKEN = {
    "compares with >=": ("commit", "floored > limit", "floored >= limit", SMALL),
    "does not saturate": (
        "commit",
        "shape.state_bits, shape.overflow)",
        'shape.state_bits, "wrap")',
        SMALL,
    ),
    "saturates too late": ("arithmetic", "value[width - 1 :]", "value[width:]", SMALL),
    "rounds ties to odd": ("arithmetic", "(below | whole[0])", "(below | ~whole[0])", EVEN),
    "rounds ties down": ("arithmetic", "(half & (below | whole[0]))", "(half & below)", EVEN),
    "takes the limit off": ("commit", "floored - amount_s", "floored - limit", SMALL),
    "clamps when it must hold": (
        "commit",
        "(membrane < v_min_c) & ~hold_c",
        "(membrane < v_min_c)",
        SMALL,
    ),
    "raises the limit at it": ("commit", "v_3 > threshold_3", "v_3 >= threshold_3", SMALL),
    "counts before the start": ("commit", "(started_3 & resting_3)", "resting_3", SMALL),
    "the first bias later too": ("commit", "Mux(first_3,", "Mux(started_3,", SMALL),
    "spikes while refractory": ("commit", "~hold_c & ~silent_c", "~silent_c", SMALL),
    "adds of the beat before": ("commit", '"accumulated", 3)', '"accumulated", 4)', SMALL),
    "subtracts the bias": ("commit", "shifted_4 + bias_4", "shifted_4 - bias_4", SMALL),
    "the wrong current": (
        "commit",
        "(order_old_i, old_u_i, u_i)",
        "(order_old_i, u_i, old_u_i)",
        SHAPES["ceil"],
    ),
    "reads what is not there": ("commit", "with m.If(self.fresh):", "with m.If(0):", SMALL),
    "settles early": ("commit", '"ends", last + 1)', '"ends", last)', SMALL),
}
RESTLESS = {
    "rests while it changes": ("commit", "same_v & ~spike", "~spike", SMALL),
    "rests with input": ("commit", 'carry(quiet_4, "quiet_l", last - 4)', "Const(1, 1)", SMALL),
    "rests with a current": ("commit", "same = same & same_u", "same = same", SHAPES["ceil"]),
    "rests at the first bias": ("commit", '~carry(first_3, "first_4")', "1", SMALL),
    "rests before the start": ("commit", "started_4 & ~carry(", "~carry(", SMALL),
    "rests when half of it does": ("commit", "calm & before", "calm", SMALL),
}


def broken(name: str, folder: Path, change: tuple[str, str, str, CoreShape]) -> CommitProof:
    module, old, new, shape = change
    if module == "commit":
        return proof_of(shape, mutant("commit", folder, (old, new)), cut=False)
    parts = mutant(module, folder, (old, new))
    whole = mutant("commit", folder)
    whole.rounded, whole.fitted = parts.rounded, parts.fitted  # type: ignore[attr-defined]
    return proof_of(shape, whole, cut=False)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_commit_is_refuted(name: str, tmp_path: Path) -> None:
    proof = broken(name, tmp_path, BROKEN[name])
    with pytest.raises(Refuted, match=r"does not hold\n(  .+ = -?\d+\n)+  expected -?\d+\n  got "):
        prove(proof.exact, proof.assumptions, proof.show)


@pytest.mark.parametrize("name", RESTLESS)
def test_a_rest_that_is_none_is_refuted(name: str, tmp_path: Path) -> None:
    proof = broken(name, tmp_path, RESTLESS[name])
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
