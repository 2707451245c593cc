"""`Sweep` gives out every group that must commit once, in order, and no other; and in time."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import z3

from spikec.hdl import core, sweep
from spikec.hdl.shape import Addressing, CoreShape

from .smt import Refuted, circuit, holds, mutant, prove, reachable
from .sweep_proof import SweepProof, seen, sweep_proof

SIZES: dict[str, dict[str, Any]] = {
    "a few groups": {"neurons": 6, "lanes": 1, "pages": 2},
    "a word of flags": {"neurons": 12, "lanes": 2, "pages": 2},
    "registers and memory": {"neurons": 96, "lanes": 2, "pages": 4},
    "memory": {"neurons": 300, "lanes": 4, "pages": 2},
    "many": {"neurons": 5000, "lanes": 8, "units": 4, "pages": 8},
}


def shape_of(addressing: Addressing = "word", **fields: Any) -> CoreShape:
    base: dict[str, Any] = {"weight_bits": 3, "acc_bits": 5, "state_bits": 8, "inputs": 4}
    return CoreShape(**base | {"words": 8, "addressing": addressing} | fields)


def proof_of(shape: CoreShape, module: ModuleType = sweep) -> SweepProof:
    return sweep_proof(shape, circuit(module.Sweep(shape), None, seen(shape)))


@pytest.mark.parametrize("addressing", ["word", "lane"])
@pytest.mark.parametrize("size", SIZES)
def test_due_groups_are_given_out_once(size: str, addressing: Addressing) -> None:
    proof = proof_of(shape_of(addressing, **SIZES[size]))
    assert reachable(z3.BoolVal(True), proof.begin_assumptions)
    assert reachable(z3.BoolVal(True), proof.step_assumptions)
    prove(proof.begin, proof.begin_assumptions, proof.show)
    prove(proof.step, proof.step_assumptions, proof.show)


BROKEN = {
    "only what was added to": ("at[:word_bits]) | touched", "at[:word_bits]) & touched"),
    "the lowest twice": ("pending.eq(rest)", "pending.eq(pending)"),
    "the next word too early": ("(take & ~rest.any())", "take"),
    "groups too close": ("pause.eq(shape.beats - 1)", "pause.eq(0)"),
    "rest reversed": ("self.group, ~self.rests", "self.group, self.rests"),
    "taken is touched": ("self.touched.valid & ~self.touched.take", "self.touched.valid"),
    "the wrong word": ("Cat(lowest(pending), word)", "Cat(lowest(pending), word + 1)"),
    "never a word": ("at.eq(at + 1)", "at.eq(at)"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_sweep_is_refuted(name: str, tmp_path: Path) -> None:
    proof = proof_of(shape_of(**SIZES["memory"]), mutant("sweep", tmp_path, BROKEN[name]))
    with pytest.raises(Refuted, match=r"does not hold\n(  .+ = -?\d+\n)+  expected 1\n  got"):
        prove(proof.step, proof.step_assumptions, proof.show)


# --- what the sweep relies on ---


def added_behind_a_tick(module: ModuleType, addressing: Addressing, recurrent: bool = True) -> None:
    """Prove from any state that no word's group is marked once the sweep may have looked."""
    shape = shape_of(addressing, neurons=8, lanes=2, recurrent=recurrent)
    whole = circuit(module.Core(shape), None, ("accumulate.touched",))
    state, tick = whole.arbitrary("before"), None
    show: dict[str, z3.BitVecRef] = {}
    claims = []
    for cycle in range(5):
        now = whole.step(state, {}, str(cycle))
        state = now.state
        for port in ("events_valid", "requests_valid"):
            show[f"{port} in cycle {cycle}+"] = now.ports[port]
        if cycle == 1:
            asks = z3.And(now.ports["requests_valid"] == 1, now.ports["requests_payload"] == 0)
            tick = z3.And(asks, now.ports["requests_ready"] == 1)
        if cycle > 1:
            assert tick is not None
            added = z3.Extract(1, 0, now.ports["accumulate.touched"]) == 1
            claims.append(holds(f"nothing marked {cycle - 1} after", z3.Not(added), tick))
    prove(claims, [], show)


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("addressing", ["word", "row", "lane"])
def test_all_words_are_marked_before_the_sweep_looks(
    addressing: Addressing, recurrent: bool
) -> None:
    added_behind_a_tick(core, addressing, recurrent)


def test_a_tick_right_behind_the_last_word_is_refuted(tmp_path: Path) -> None:
    early = mutant("core", tmp_path, ("~(accumulate.busy | issued)", "~accumulate.busy"))
    with pytest.raises(Refuted, match="nothing marked 1 after"):
        added_behind_a_tick(early, "word")
