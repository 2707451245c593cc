"""`Accumulators` lose no update: what is handed over is what was added since the last time."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from spikec.hdl import accumulate
from spikec.hdl.shape import STORAGES, CoreShape, Storage

from .accumulators_proof import AccumulatorsProof, accumulators_proof
from .smt import Refuted, circuit, mutant, prove, reachable

# How many cycles of the invariant imply the next.
DEPTH = {
    ("registers", 1): 1,
    ("distributed", 1): 1,
    ("distributed", 2): 2,
    ("block", 1): 1,
    ("block", 2): 2,
    ("pipelined", 1): 1,
    ("pipelined", 2): 2,
    ("pipelined", 3): 3,
    ("pipelined", 4): 4,
}


def shape_of(storage: Storage, distance: int, **more: Any) -> CoreShape:
    fields: dict[str, Any] = {"lanes": 2, "weight_bits": 3, "acc_bits": 5, "state_bits": 8}
    fields |= {"inputs": 4, "words": 8, "neurons": 8, "pages": 2} | more
    if storage == "registers":
        fields |= {"neurons": fields["lanes"], "pages": 1}
    return CoreShape(**fields, storage=storage, distance=distance)


def proof_of(
    shape: CoreShape,
    lanes: int = 1,
    module: ModuleType = accumulate,
    distance: int | None = None,
    depth: int | None = None,
) -> AccumulatorsProof:
    bank = circuit(module.Accumulators(shape, lanes))
    if depth is None:
        depth = DEPTH[shape.storage, shape.distance]
    return accumulators_proof(shape, lanes, bank, depth, distance)


def check(proof: AccumulatorsProof) -> None:
    assert reachable(proof.handed, proof.step_assumptions)
    prove(proof.base, proof.base_assumptions, proof.show)
    prove(proof.step, proof.step_assumptions, proof.show)


@pytest.mark.parametrize("storage, distance", DEPTH)
def test_no_update_is_lost(storage: Storage, distance: int) -> None:
    shape = shape_of(storage, distance)
    check(proof_of(shape))
    check(proof_of(shape, lanes=2))


@pytest.mark.parametrize("storage, distance", [("block", 7), ("pipelined", 7)])
def test_no_update_is_lost_at_larger_distances(storage: Storage, distance: int) -> None:
    check(proof_of(shape_of(storage, distance), depth=4))


def test_all_storages_are_here() -> None:
    assert {storage for storage, _ in DEPTH} == set(STORAGES)


@pytest.mark.slow
@pytest.mark.parametrize("storage, distance", DEPTH)
def test_no_update_is_lost_at_real_widths(storage: Storage, distance: int) -> None:
    wide = {"lanes": 4, "weight_bits": 8, "acc_bits": 16, "neurons": 64, "pages": 2}
    check(proof_of(shape_of(storage, distance, **wide), lanes=4))


# --- broken on purpose ---

# Far from power-on too: the counterexamples start there.
BROKEN: dict[str, tuple[Storage, int, str, str]] = {
    "no bypass of one": ("block", 1, "if age >= shape.distance", "if age > shape.distance"),
    "no bypass of one, pipelined": (
        "pipelined",
        1,
        "Mux(same_1, total.as_value(), register)",
        "Mux(0, total.as_value(), register)",
    ),
    "no bypass of two": ("pipelined", 1, "if shape.distance <= 2:", "if shape.distance <= 0:"),
    "no bypass of two, two apart": (
        "pipelined",
        2,
        "if shape.distance <= 2:",
        "if shape.distance < 2:",
    ),
    "no bypass of three": ("pipelined", 3, "if shape.distance <= 3:", "if shape.distance < 3:"),
    "bypass of any place": (
        "block",
        1,
        "(behind[age].address == address)",
        "1",
    ),
    "not emptied": ("block", 1, "(behind[1].take, 0, summed", "(0, 0, summed"),
    "emptied too early": ("pipelined", 1, "m.If(behind[2].take)", "m.If(behind[1].take)"),
    "written elsewhere": ("pipelined", 2, "eq(behind[3].address)", "eq(behind[2].address)"),
    "not written": (
        "distributed",
        1,
        "write.en.eq(self.valid),\n                    write.data",
        "write.en.eq(self.take),\n                    write.data",
    ),
    "registers not emptied": ("registers", 1, "held.as_value().eq(0)", "held.as_value().eq(held)"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_bank_is_refuted(name: str, tmp_path: Path) -> None:
    storage, distance, old, new = BROKEN[name]
    module = mutant("accumulate", tmp_path, (old, new))
    proof = proof_of(shape_of(storage, distance), module=module, depth=6)
    with pytest.raises(Refuted, match=r"(?s)does not hold\n.*weights in cycle 1 = .*  got "):
        prove(proof.base, proof.base_assumptions, proof.show)


@pytest.mark.parametrize("storage, distance", [pair for pair in DEPTH if pair[1] > 1])
def test_words_closer_than_their_distance_lose_updates(storage: Storage, distance: int) -> None:
    """The promise about distances is needed: without it the proof is refuted."""
    proof = proof_of(shape_of(storage, distance), distance=distance - 1, depth=6)
    with pytest.raises(Refuted):
        prove(proof.base, proof.base_assumptions, proof.show)
