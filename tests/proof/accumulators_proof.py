"""The claims about `Accumulators`: what is handed over is what was added since the last time.

An induction over cycles with one watched place, any at all, and a ghost sum of what was added to
it. The invariant: the memory holds the ghost sum at that place once everything under way has been
written, which is asked of the circuit itself by letting it run with nothing coming in.
"""

from __future__ import annotations

from dataclasses import dataclass

import z3

from spikec.hdl.cycles import LATENCY
from spikec.hdl.shape import CoreShape, index_bits

from .smt import Circuit, Claim, State, Step, holds

# Cycles from the address of a word to its sum in memory, at most.
DRAIN = 4


@dataclass(frozen=True)
class AccumulatorsProof:
    """Two obligations, each with its assumptions, and what a counterexample shows.

    base : from power-on, in each of the first cycles
    step : after so many cycles in which the invariant held, from any state whatever
    handed : a sum is handed over within the unrolled cycles (a claim about none proves nothing)
    """

    base: list[Claim]
    base_assumptions: list[z3.BoolRef]
    step: list[Claim]
    step_assumptions: list[z3.BoolRef]
    show: dict[str, z3.BitVecRef]
    handed: z3.BoolRef


def accumulators_proof(
    shape: CoreShape, lanes: int, bank: Circuit, depth: int, distance: int | None = None
) -> AccumulatorsProof:
    """Unroll ``depth`` cycles; words for one place are ``distance`` (of the shape) apart.

    Without reset, and with anything at all where a read meets a write of the same place.
    """
    distance = shape.distance if distance is None else distance
    latency = LATENCY[shape.storage]
    place_bits = shape.page_bits + index_bits(shape.groups)
    watched = z3.BitVec("watched", place_bits) if place_bits else None
    show: dict[str, z3.BitVecRef] = {} if watched is None else {"watched place+": watched}

    state = bank.arbitrary("before")
    ghost = [z3.BitVec(f"sum so far[{n}]", shape.acc_bits) for n in range(lanes)]
    show |= {f"sum so far[{n}]": value for n, value in enumerate(ghost)}
    begin, nothing = state, ghost
    steps: list[Step] = []
    sums = [ghost]
    invariants = [_written(bank, state, watched, ghost, "0")]
    places: list[tuple[z3.BoolRef, z3.BoolRef, z3.BitVecRef | None]] = []
    apart: list[z3.BoolRef] = []
    for cycle in range(depth + latency + 1):
        given = {name: z3.BitVec(f"{name}@{cycle}", width) for name, width in bank.inputs.items()}
        for name, value in given.items():
            signed = "" if name == "weights" and lanes == 1 else "+"
            show[f"{name} in cycle {cycle}{signed}"] = value
        valid, take = given["valid"] == 1, given["take"] == 1
        parts = [given[name] for name in ("page", "group") if name in given]
        place = z3.Concat(*parts[::-1]) if len(parts) > 1 else (parts[0] if parts else None)
        if shape.storage == "registers":
            # They are emptied by take alone; `Accumulate` never takes without valid.
            apart.append(z3.Implies(take, valid))
        here = valid if place is None else z3.And(valid, place == watched)
        for back in range(1, min(distance, cycle + 1)):
            ahead, _, other = places[-back]
            same = z3.BoolVal(True) if place is None else place == other
            apart.append(z3.Not(z3.And(valid, ahead, same)))
        places.append((valid, take, place))

        steps.append(bank.step(state, given, str(cycle)))
        state = steps[-1].state
        word = []
        for n, value in enumerate(sums[-1]):
            weight = z3.Extract(
                (n + 1) * shape.weight_bits - 1, n * shape.weight_bits, given["weights"]
            )
            added = value + z3.SignExt(shape.acc_bits - shape.weight_bits, weight)
            word.append(z3.If(here, z3.If(take, value & 0, added), value))
        sums.append(word)
        invariants.append(_written(bank, state, watched, word, str(cycle + 1)))

    def handed_over(cycle: int) -> list[Claim]:
        valid, take, place = places[cycle]
        ports = steps[cycle + latency].ports
        taken = z3.If(z3.And(valid, take), z3.BitVecVal(1, 1), z3.BitVecVal(0, 1))
        here = z3.And(valid, take, z3.BoolVal(True) if place is None else place == watched)
        true = z3.BoolVal(True)
        claims = [Claim(f"taken of cycle {cycle}", taken, ports["taken"], true)]
        for n, value in enumerate(sums[cycle]):
            width = shape.acc_bits
            content = z3.Extract((n + 1) * width - 1, n * width, ports["content"])
            name = f"sum {n} handed over for cycle {cycle}"
            claims.append(Claim(name, value, content, here, True))
        return claims

    base = [claim for cycle in range(depth + 1) for claim in handed_over(cycle)]
    base += [
        holds(f"nothing lost before cycle {cycle}", invariants[cycle]) for cycle in range(depth)
    ]
    step = [
        *handed_over(depth),
        holds(f"nothing lost before cycle {depth}", invariants[depth]),
    ]
    here = [valid if p is None else z3.And(valid, p == watched) for valid, _, p in places]
    return AccumulatorsProof(
        base,
        [*apart, bank.initial(begin), *(value == 0 for value in nothing)],
        step,
        [*apart, *invariants[:depth]],
        show,
        z3.And(here[depth], places[depth][1], sums[depth][0] != 0),
    )


def _written(
    bank: Circuit,
    state: State,
    watched: z3.BitVecRef | None,
    sums: list[z3.BitVecRef],
    tag: str,
) -> z3.BoolRef:
    """Whether the memory will hold these sums at the watched place when nothing comes in."""
    idle = {name: z3.BitVecVal(0, width) for name, width in bank.inputs.items()}
    for cycle in range(DRAIN):
        state = bank.step(state, idle, f"{tag}, {cycle} on").state
    memories = [value for value in state.values() if z3.is_array(value)]
    word = z3.Concat(*sums[::-1]) if len(sums) > 1 else sums[0]
    if memories:
        (memory,) = memories
        return z3.Select(memory, watched) == word
    (held,) = state.values()
    return held == word
