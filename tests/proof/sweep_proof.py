"""The claims about `Sweep`: each group that must commit is given out once, in order, and no other.

An induction over cycles with one watched group, any at all. Ghosts say whether it was due when the
sweep began and whether it has been given out since; the invariant is that it was due if and only
if it has been given out or will be, which the registers of the sweep tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import z3

from spikec.hdl.cycles import scan_width, scan_words
from spikec.hdl.shape import CoreShape, index_bits

from .smt import Circuit, Claim, Step, holds


def seen(shape: CoreShape) -> tuple[str, ...]:
    """Signals of a `Sweep` that the invariant speaks of."""
    words = scan_words(shape)
    names = ["at", "pending", *(["word"] if words > 1 else [])]
    names += ["pause"] if shape.beats > 1 else []
    names += ["restless_flags"] if words <= 2 else []
    if shape.addressing == "lane":
        names.append("events")
    elif shape.pages << index_bits(words) <= 2:
        names.append("touched_flags")
    return tuple(names)


@dataclass(frozen=True)
class SweepProof:
    """Obligations: the first cycle of a sweep, and any later one."""

    begin: list[Claim]
    begin_assumptions: list[z3.BoolRef]
    step: list[Claim]
    step_assumptions: list[z3.BoolRef]
    show: dict[str, z3.BitVecRef]


def sweep_proof(shape: CoreShape, sweep: Circuit) -> SweepProof:
    width, words = scan_width(shape), scan_words(shape)
    bits, group_bits = index_bits(width), index_bits(shape.groups)
    watched = z3.BitVec("watched", group_bits)
    wide = z3.ZeroExt(32 - group_bits, watched)
    word_of, bit_of = z3.LShR(wide, bits), wide & (width - 1)
    page = z3.BitVec("page", shape.page_bits)

    def number(value: z3.BitVecRef) -> z3.BitVecRef:
        return z3.ZeroExt(32 - value.size(), value)

    def bit(value: z3.BitVecRef, index: z3.BitVecRef) -> z3.BoolRef:
        size = max(32, value.size())
        value = z3.ZeroExt(size - value.size(), value)
        return z3.Extract(0, 0, z3.LShR(value, z3.ZeroExt(size - 32, index))) == 1

    def flag(at: Step, state: dict[str, z3.ExprRef], name: str, index: z3.BitVecRef) -> z3.BoolRef:
        if f"{name}_flags" in at.ports:
            return bit(at.ports[f"{name}_flags"], index)
        memory = next(n for known, n in sweep.memories.items() if known.split("$")[0] == name)
        address = z3.LShR(index, bits)
        size = state[memory].sort().domain().size()
        return bit(z3.Select(state[memory], z3.Extract(size - 1, 0, address)), bit_of)

    def restless(at: Step, state: dict[str, z3.ExprRef]) -> z3.BoolRef:
        return flag(at, state, "restless", wide)

    def touched(at: Step, state: dict[str, z3.ExprRef]) -> z3.BoolRef:
        if shape.addressing == "lane":
            return bit(at.ports["events"], number(page))
        return flag(at, state, "touched", wide + (number(page) << group_bits))

    def will(at: Step, state: dict[str, z3.ExprRef]) -> z3.BoolRef:
        ahead = z3.ULE(number(at.ports["at"]), word_of)
        here = number(at.ports["word"]) == word_of if words > 1 else z3.BoolVal(True)
        held = z3.And(here, bit(at.ports["pending"], bit_of))
        return z3.If(ahead, z3.Or(restless(at, state), touched(at, state)), held)

    def behind(at: Step) -> z3.BoolRef:
        return z3.UGT(number(at.ports["at"]), word_of)

    def sound(at: Step) -> z3.BoolRef:
        place = number(at.ports["at"])
        facts = [z3.ULE(place, words)]
        if shape.beats > 1:
            facts.append(z3.ULT(number(at.ports["pause"]), shape.beats))
        of_last = [z3.UGE(place, 1)]
        if words > 1:
            of_last.append(number(at.ports["word"]) == place - 1)
        facts.append(z3.Or(at.ports["pending"] == 0, z3.And(*of_last)))
        return z3.And(*facts)

    def nearer(later: Step, at: Step) -> z3.BoolRef:
        """Words looked at, groups given out, cycles waited: one of them goes on."""
        moved = z3.UGT(number(later.ports["at"]), number(at.ports["at"]))
        same = later.ports["at"] == at.ports["at"]
        gone = z3.ULT(later.ports["pending"], at.ports["pending"])
        if shape.beats == 1:
            return z3.Or(moved, z3.And(same, gone))
        kept = later.ports["pending"] == at.ports["pending"]
        waited = z3.ULT(later.ports["pause"], at.ports["pause"])
        return z3.Or(moved, z3.And(same, z3.Or(gone, z3.And(kept, waited))))

    def cycle(state: dict[str, z3.ExprRef], tag: str, **more: z3.BitVecRef) -> Step:
        given = {n: z3.BitVec(f"{n}@{tag}", w) for n, w in sweep.inputs.items()} | more
        for name, value in given.items():
            show[f"{name} in cycle {tag}+"] = value
        return sweep.step(state, {n: v for n, v in given.items() if n in sweep.inputs}, tag)

    show: dict[str, z3.BitVecRef] = {"watched+": watched}
    off, on = z3.BitVecVal(0, 1), z3.BitVecVal(1, 1)
    exists = z3.ULT(wide, shape.groups)
    state = sweep.arbitrary("before")

    # A sweep begins: what is due is what the flags say in the cycle after the start.
    first = cycle(state, "0", start=on, page=page)
    second = cycle(first.state, "1", start=off, page=page, clear=off)
    due = z3.Or(restless(second, first.state), touched(second, first.state))
    idle = [first.ports["busy"] == 0, sound(first), exists]
    begin = [
        holds("due groups are ahead when a sweep begins", will(second, first.state) == due),
        holds("the sweep is in order when it begins", sound(second)),
    ]

    # Any cycle of it, and the one behind it.
    due, given = z3.Bool("due"), z3.Bool("given")
    show |= {name + "+": z3.If(v, on, off) for name, v in (("due", due), ("given", given))}
    now = cycle(state, "0", start=off, page=page, clear=off)
    then = cycle(now.state, "1", start=off, page=page, clear=off)
    ports = now.ports
    settles = z3.And(ports["settled"] == 1, ports["group"] == watched)
    width_of = ports["touched"].size()
    valid, takes = (z3.Extract(n, n, ports["touched"]) == 1 for n in (0, 1))
    place = z3.Extract(width_of - 1, 2, ports["touched"])
    touched_page = z3.Extract(shape.page_bits - 1, 0, place)
    touched_group = z3.Extract(place.size() - 1, shape.page_bits, place)
    this_page = z3.And(valid, touched_page == page)
    this = z3.And(this_page, touched_group == watched)
    assumptions = [
        exists,
        sound(now),
        due == z3.Or(given, will(now, state)),
        z3.Not(z3.And(given, will(now, state))),
        z3.Implies(given, behind(now)),
        # It settles and is emptied after it has been given out; nothing is added to its page.
        z3.Implies(settles, given),
        z3.Implies(this, z3.And(takes, given)),
        z3.Implies(this_page, takes),
    ]
    offered = ports["groups_valid"] == 1
    payload = ports["groups_payload"]
    gives = z3.And(offered, payload == watched)
    after = z3.Or(given, gives)
    busy = ports["busy"] == 1
    step = [
        holds("a group is given out once, if it is due", z3.And(due, z3.Not(given)), gives),
        holds("given out or ahead if and only if due", due == z3.Or(after, will(then, now.state))),
        holds("not ahead once given out", z3.Not(z3.And(after, will(then, now.state)))),
        holds("behind once given out", behind(then), after),
        holds("all due groups given out when not busy", due == given, z3.Not(busy)),
        holds("nothing given out when not busy", z3.Not(offered), z3.Not(busy)),
        holds("the sweep stays in order", sound(then)),
        holds("the sweep comes to an end", nearer(then, now), busy),
        holds(
            "groups in order",
            z3.Not(will(then, now.state)),
            z3.And(offered, z3.ULE(watched, payload)),
        ),
        holds(
            "a flag says whether a group was last reported to rest",
            restless(then, now.state) == z3.If(settles, ports["rests"] == 0, restless(now, state)),
        ),
    ]
    if shape.beats > 1:
        step.append(
            holds(
                "groups are apart",
                number(then.ports["pause"]) == shape.beats - 1,
                offered,
            )
        )
        waits = number(ports["pause"]) != 0
        step.append(holds("nothing given out in between", z3.Not(offered), waits))
        step.append(
            holds(
                "a cycle less to wait",
                number(then.ports["pause"]) == number(ports["pause"]) - 1,
                waits,
            )
        )
    if shape.addressing != "lane":
        step.append(
            holds(
                "a flag says whether a group was added to since it was emptied",
                touched(then, now.state) == z3.If(this, z3.Not(takes), touched(now, state)),
            )
        )
    return SweepProof(begin, idle, step, assumptions, show)
