"""The claims about weights that learn: what is read is changed by the equations, nothing else is.

In two parts that meet at a term, which is what a trace makes of a weight's change: `traces_proof`
says what terms mean, `plastic_proof` what becomes of a weight by a term.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import z3

from spikec.hdl.cycles import ISSUE, RESPONSE, issue_cycles, update_stage
from spikec.hdl.learning import Learning, plane, shift_of, term_form
from spikec.hdl.shape import CoreShape, index_bits
from spikec.ir.plasticity import SDSP, Accumulation, Trace, TraceDecay, TraceSTDP, Update

from .smt import Circuit, Claim, Step, holds
from .spec import Whole, answered, choose, clamped, next_noise, noise_of

Kind = Literal["row", "column", "refresh", "host", "nothing"]


@dataclass(frozen=True)
class PlasticProof:
    """What is claimed under which assumptions, and the values a counterexample shows.

    read : claims that need nothing to be under way before, which ``alone`` says
    changes : a weight changes (claims about none prove nothing)
    """

    claims: list[Claim]
    read: list[Claim]
    assumptions: list[z3.BoolRef]
    alone: z3.BoolRef
    show: dict[str, z3.BitVecRef]
    changes: z3.BoolRef


def learned(
    learning: Learning,
    update: Update | None,
    weight: Whole,
    term: Whole,
    noise: z3.BitVecRef | None,
    synapse: int,
) -> Whole:
    """A weight after a term: clamp(w + term), or what the noise makes of the term."""
    if noise is not None:
        assert update is not None
        shift = term_form(learning).shift
        drops = shift_of(update)
        r = noise_of(noise, synapse, drops).scaled(shift - drops)
        size = (term + r).floor_half(shift)
        term = Whole.of(update.offset) + (size if update.sign > 0 else -size)
    return clamped(weight + term, learning.w_min, learning.w_max)


def at_rest(learning: Learning) -> int:
    """The term of a post neuron as a clear leaves it: v = 0, no calcium, no trace."""
    rule = learning.rule
    if isinstance(rule, SDSP):
        if rule.theta_mem <= 0:
            return 1 if rule.theta_1 <= 0 < rule.theta_3 else 0
        return -1 if rule.theta_1 <= 0 < rule.theta_2 else 0
    assert isinstance(rule, TraceSTDP)
    if learning.stochastic:
        return 0
    span = learning.w_max - learning.w_min
    return min(max(rule.on_pre.offset, -span), span)


def plastic_proof(shape: CoreShape, weights: Circuit, kind: Kind, turn: int = 0) -> PlasticProof:
    """One operation in cycle 0, from any state whatever, and anything at all behind it.

    ``turn`` is k mod L of the row, or the lane of the column. Rows that do not learn have no weight
    that may; terms do not change in the cycle in which they are read.
    """
    learning = shape.learning
    assert learning is not None
    rule, lanes, bits = learning.rule, shape.lanes, shape.weight_bits
    stage = update_stage(shape)
    inner = index_bits(shape.plane_words)
    columns = learning.columns
    learn, fresh = z3.BitVec("learn", 1), z3.BitVec("fresh", 1)
    first: dict[str, z3.BitVecRef] = {
        name: z3.BitVecVal(0, 1)
        for name in ("row_valid", "column_valid", "refresh", "host_active", "host_write")
    }
    if kind == "host":
        first["host_active"] = z3.BitVecVal(1, 1)
        first["host_write"] = z3.BitVec("host_write", 1)
    elif kind == "column":
        first["column_valid"] = z3.BitVecVal(1, 1)
    elif kind in ("row", "refresh"):
        first["row_valid"] = z3.BitVecVal(1, 1)
        first["refresh"] = z3.BitVecVal(int(kind == "refresh"), 1)

    def given(name: str) -> z3.BitVecRef | None:
        return z3.BitVec(name, weights.inputs[name]) if name in weights.inputs else None

    show: dict[str, z3.BitVecRef] = {"learn+": learn, "fresh+": fresh}
    for name in ("row_address", "row_group", "row_plastic", "host_address", "host_parts"):
        value = given(name)
        if value is not None:
            first[name] = value
    for name in ("column_address", "column_block", "host_data"):
        value = given(name)
        if value is not None:
            first[name] = value
    place = plane(turn, lanes)
    width = index_bits(shape.words)

    def joined(number: int, low: z3.BitVecRef | None) -> z3.BitVecRef | None:
        """An address: the word ``low`` of a plane."""
        parts = [z3.BitVecVal(number, width - inner)] if width > inner else []
        parts += [] if low is None else [low]
        return z3.Concat(*parts) if len(parts) > 1 else parts[0] if parts else None

    # Of each bank: its address, and the lane that its weight or the row that its term has.
    turned = learning.skewed and kind in ("row", "column")
    lane_of = [(b - turn) % lanes if turned else b for b in range(lanes)]
    addresses: list[z3.BitVecRef | None]
    if kind == "host":
        addresses = [first.get("host_address")] * lanes
    elif kind == "column":
        if "column_lane" in weights.inputs:
            first["column_lane"] = z3.BitVecVal(place, weights.inputs["column_lane"])
        low = first.get("column_address")
        addresses = [joined(plane(lane, lanes), low) for lane in lane_of]
    else:
        address = first.get("row_address")
        if learning.skewed and address is not None:
            low = z3.Extract(inner - 1, 0, address) if inner else None
            address = joined(place, low)
            assert address is not None
            first["row_address"] = address
        addresses = [address] * lanes

    show |= {f"{name}+": value for name, value in first.items() if kind in name}
    always = {"learn": learn, "fresh": fresh}
    state = before = weights.arbitrary("before")
    steps: list[Step] = []
    for cycle in range(max(stage, issue_cycles(shape)) + 1):
        inputs = {n: v for n, v in (always | (first if not cycle else {})).items()}
        inputs = {n: v for n, v in inputs.items() if n in weights.inputs}
        steps.append(weights.step(state, inputs, str(cycle)))
        state = steps[-1].state
    begun = [before, *(step.state for step in steps)]

    # --- what is read ---
    word = steps[ISSUE].ports["word"]
    size = bits + 1
    old = [z3.Extract(b * size + bits - 1, b * size, word) for b in range(lanes)]
    enable = [z3.Extract(b * size + bits, b * size + bits, word) for b in range(lanes)]
    always_true = z3.BoolVal(True)
    read = []
    if kind != "nothing":
        for b in range(lanes):
            content = _select(before[weights.memories[f"bank_{b}"]], addresses[b])
            got = z3.Extract((b + 1) * size - 1, b * size, word)
            where = always_true if kind != "host" else first["host_write"] == 0
            read.append(Claim(f"bank {b} read", content, got, where))
            show |= {f"weight in bank {b}": old[b], f"enable in bank {b}+": enable[b]}

    # --- what it becomes ---
    assumptions: list[z3.BoolRef] = []
    update: Update | None = None
    noise: z3.BitVecRef | None = None
    terms: list[Whole] = [Whole.of(0)] * lanes
    if kind in ("row", "column"):
        terms, unread = _terms(shape, learning, weights, before, first, kind, turn)
        assumptions.append(unread)
        if kind == "row":
            zero = Whole.of(at_rest(learning))
            terms = [choose(fresh == 1, zero, term) for term in terms]
            still = z3.And(*(e == 0 for e in enable))
            assumptions.append(z3.Or(first["row_plastic"] == 1, still))
        show |= {f"term {n}": term.bits for n, term in enumerate(terms)}
        if isinstance(rule, TraceSTDP):
            update = rule.on_pre if kind == "row" else rule.on_post
    claims: list[Claim] = []
    if learning.stochastic:
        noise = steps[ISSUE + 1].ports["state"]
        show["noise+"] = noise
        assert isinstance(rule, TraceSTDP)
        visited = {"column": always_true, "row": first["row_plastic"] == 1}.get(kind)
        if visited is None or not (rule.rows if kind == "row" else columns):
            visited = z3.BoolVal(False)
        after = z3.If(z3.And(visited, learn == 1), next_noise(noise), noise)
        seeded = z3.If(steps[ISSUE + 1].ports["seed"] == 1, z3.BitVecVal(rule.seed, 32), after)
        claims.append(Claim("noise after", seeded, steps[ISSUE + 2].ports["state"], always_true))
    changed: list[z3.BitVecRef] = []
    for b in range(lanes):
        weight = Whole.signed(old[b])
        if kind == "refresh":
            assert isinstance(rule, SDSP)
            up = weight >= Whole.of(rule.refresh_threshold)
            drift = choose(up, Whole.of(1), Whole.of(-1))
            new = clamped(weight + drift, learning.w_min, learning.w_max)
        elif kind in ("row", "column"):
            # A bank is turned as far as its synapse is: (i + j) mod L of the row and the neuron.
            synapse = (turn + lane_of[b]) % lanes if learning.skewed else 0
            new = learned(learning, update, weight, terms[lane_of[b]], noise, synapse)
        else:
            new = weight
        takes = z3.And(enable[b] == 1, learn == 1)
        if kind in ("host", "nothing") or (kind == "row" and not rule.rows):
            takes = z3.BoolVal(False)
        low_bits = z3.Extract(bits - 1, 0, new.wide(max(bits, new.bits.size())))
        changed.append(z3.If(takes, low_bits, old[b]))
        stored = z3.Concat(z3.BitVecVal(1, 1), low_bits)
        writes = takes
        if kind == "host":
            part = z3.Extract(b, b, first["host_parts"])
            writes, stored = z3.And(first["host_write"] == 1, part == 1), first["host_data"]
        claims.append(_written(weights, begun, stage, b, addresses[b], writes, stored))
        if kind in ("row", "column", "refresh"):
            value = Whole.signed(low_bits)
            rails = z3.And(value >= Whole.of(learning.w_min), value <= Whole.of(learning.w_max))
            claims.append(holds(f"bank {b} within the rails", rails, takes))
    if kind == "row":
        sent = steps[issue_cycles(shape)].ports["lanes"]
        for b, lane in enumerate(lane_of):
            got = z3.Extract((lane + 1) * bits - 1, lane * bits, sent)
            expected = changed[b] if learning.after else old[b]
            claims.append(Claim(f"lane {lane} sent", expected, got, always_true, True))
    if kind != "nothing":
        one = z3.BitVecVal(1, 1)
        written = first["host_write"] == 1 if kind == "host" else always_true
        for cycle in range(stage + 1):
            ports = steps[cycle].ports
            if kind != "row":
                claims.append(Claim(f"busy in cycle {cycle}", one, ports["busy"], written))
            idle = z3.BitVecVal(0, 1)
            claims.append(Claim(f"idle in cycle {cycle}", idle, ports["idle"], written))
    else:
        claims += _kept(shape, learning, weights, begun, steps[0])
    quiet = {n: z3.BitVecVal(0, 1) for n in first if n in weights.inputs and weights.inputs[n] == 1}
    alone = weights.step(before, quiet, "none").ports["idle"] == 1
    changes = z3.Or(*(new != was for new, was in zip(changed, old, strict=True)))
    return PlasticProof(claims, read, assumptions, alone, show, changes)


def _select(memory: z3.ExprRef, address: z3.BitVecRef | None) -> z3.BitVecRef:
    if address is None:
        address = z3.BitVecVal(0, memory.sort().domain().size())
    width = memory.sort().domain().size()
    if address.size() < width:
        address = z3.ZeroExt(width - address.size(), address)
    return z3.Select(memory, address)


def _written(
    weights: Circuit,
    begun: list[dict[str, z3.ExprRef]],
    stage: int,
    bank: int,
    address: z3.BitVecRef | None,
    writes: z3.BoolRef,
    stored: z3.BitVecRef,
) -> Claim:
    """Of any word of a bank: written if it is this one, left alone if not."""
    name = weights.memories[f"bank_{bank}"]
    was, now = begun[stage][name], begun[stage + 1][name]
    any_word = z3.BitVec("any word", was.sort().domain().size())
    here = z3.BoolVal(True)
    if address is not None:
        here = any_word == z3.ZeroExt(any_word.size() - address.size(), address)
    expected = z3.If(z3.And(writes, here), stored, z3.Select(was, any_word))
    got = z3.Select(now, any_word)
    return Claim(f"bank {bank} written", expected, got, z3.BoolVal(True))


def _copied(shape: CoreShape, weights: Circuit) -> bool:
    """Whether terms are kept twice, the second time with the halves of a word swapped."""
    size = weights.registers[weights.memories["terms_0"]].sort().domain().size()
    return bool(size > max(1, _term_bits(shape)))


def _place(index: z3.BitVecRef | None, copy: int) -> z3.BitVecRef:
    """The address of a word of terms, its copy in the lowest bit."""
    bit = z3.BitVecVal(copy, 1)
    return bit if index is None else z3.Concat(index, bit)


def _term_bits(shape: CoreShape) -> int:
    learning = shape.learning
    assert learning is not None
    words = learning.blocks(shape.lanes) if learning.columns else 0
    return index_bits(words + (learning.groups if learning.rule.rows else 0))


def _terms(
    shape: CoreShape,
    learning: Learning,
    weights: Circuit,
    before: dict[str, z3.ExprRef],
    first: dict[str, z3.BitVecRef],
    kind: Kind,
    turn: int,
) -> tuple[list[Whole], z3.BoolRef]:
    """The terms of all lanes (or rows), and that nobody changes them in this cycle."""
    form, bits = term_form(learning), _term_bits(shape)
    blocks = learning.blocks(shape.lanes) if learning.columns else 0
    index: z3.BitVecRef | None = None
    if bits:
        index = z3.BitVecVal(0, bits)
        if kind == "column" and "column_block" in first:
            block = first["column_block"]
            index = z3.ZeroExt(bits - block.size(), block) if block.size() < bits else block
        if kind == "row":
            group = first.get("row_group", z3.BitVecVal(0, 1))
            wide = z3.ZeroExt(bits, group) - (learning.first_group - blocks)
            index = z3.Extract(bits - 1, 0, wide)
    assumed = [z3.BitVec("terms_valid@0", 1) == 0]
    names = [weights.memories[f"terms_{chunk}"] for chunk in range(shape.beats)]
    copied = _copied(shape, weights)
    if copied:
        # What `_kept` claims of all that is written.
        for chunk, name in enumerate(names):
            other = names[(chunk + shape.beats // 2) % shape.beats]
            one, two = (_place(index, copy) for copy in (1, 0))
            assumed.append(_select(before[name], one) == _select(before[other], two))
        index = _place(index, 0)
    found = []
    for lane in range(shape.lanes):
        chunk, at = divmod(lane, shape.units)
        word = _select(before[names[chunk]], index)
        part = z3.Extract((at + 1) * form.bits - 1, at * form.bits, word)
        found.append(Whole.signed(part) if form.signed else Whole.unsigned(part))
    return found, z3.And(*assumed)


def _kept(
    shape: CoreShape,
    learning: Learning,
    weights: Circuit,
    begun: list[dict[str, z3.ExprRef]],
    step: Step,
) -> list[Claim]:
    """Terms that come take the place of others, and of no more."""
    claims: list[Claim] = []
    ports, copied = step.ports, _copied(shape, weights)
    for chunk in range(shape.beats):
        name = weights.memories[f"terms_{chunk}"]
        was, now = begun[0][name], begun[1][name]
        any_word = z3.BitVec("any terms", was.sort().domain().size())
        for copy in range(2 if copied else 1):
            here = ports["terms_valid"] == 1
            if "terms_chunk" in ports:
                source = (chunk + copy * shape.beats // 2) % shape.beats
                here = z3.And(here, ports["terms_chunk"] == source)
            to = ports.get("terms_word")
            if copied:
                to = _place(to, copy)
            if to is not None:
                here = z3.And(here, any_word == z3.ZeroExt(any_word.size() - to.size(), to))
            of_copy = z3.BoolVal(True)
            if copied:
                of_copy = z3.Extract(0, 0, any_word) == copy
            elif to is None:
                of_copy = any_word == 0
            expected = z3.If(here, ports["terms_terms"], z3.Select(was, any_word))
            got = z3.Select(now, any_word)
            claims.append(Claim(f"terms {chunk} written, copy {copy}", expected, got, of_copy))
    return claims


# --- what terms mean ---


@dataclass(frozen=True)
class TracesProof:
    """Claims for any trace, weight and noise."""

    claims: list[Claim]
    show: dict[str, z3.BitVecRef]


def traces_proof(shape: CoreShape, learning: Learning, arithmetic: Circuit) -> TracesProof:
    """A term makes of a weight what the rule's equation makes of it by the trace.

    ``arithmetic`` has a trace of each kind and, after `RESPONSE` cycles, its term.
    """
    rule = learning.rule
    assert isinstance(rule, TraceSTDP)
    bits, form = shape.weight_bits, term_form(learning)
    noise = z3.BitVec("noise", 32)
    weight = z3.BitVec("weight", bits)
    inside = z3.And(weight >= learning.w_min, weight <= learning.w_max)
    show = {"weight": weight}
    if learning.stochastic:
        show["noise+"] = noise
    state = arithmetic.arbitrary("before")
    traces = {name: z3.BitVec(name, trace.bits) for name, trace in _traces(rule)}
    steps = []
    for cycle in range(RESPONSE + 1):
        steps.append(arithmetic.step(state, {} if cycle else traces, str(cycle)))
        state = steps[-1].state
    claims = []
    for name, trace in _traces(rule):
        update = rule.on_pre if name == "post" else rule.on_post
        value = traces[name]
        show[f"{name}+"] = value
        for what, expected in (
            ("risen", _risen(trace, value)),
            ("decayed", _decayed(trace, Whole.unsigned(value))),
        ):
            got = steps[0].ports[f"{name}_{what}"]
            number = z3.Extract(trace.bits - 1, 0, expected.wide(expected.bits.size() + trace.bits))
            claims.append(Claim(f"{name} {what}", number, got, z3.BoolVal(True)))
        if update.idle:
            continue
        term = steps[RESPONSE].ports[f"{name}_term"]
        kept = Whole.signed(term) if form.signed else Whole.unsigned(term)
        free = noise if learning.stochastic else None
        # One synapse is as good as another: the noise is anything.
        got_weight = learned(learning, update, Whole.signed(weight), kept, free, 0)
        change = answered(update, rule.rounding, Whole.unsigned(value), free, 0)
        exact = clamped(Whole.signed(weight) + change, learning.w_min, learning.w_max)
        size = max(got_weight.bits.size(), exact.bits.size())
        where = inside
        if trace.accumulation is Accumulation.SET:
            # It is set to no more, and then decays.
            where = z3.And(inside, z3.ULE(value, trace.increment))
        claims.append(
            Claim(f"w' by {name}", exact.wide(size), got_weight.wide(size), where, signed=True)
        )
    return TracesProof(claims, show)


def _traces(rule: TraceSTDP) -> list[tuple[str, Trace]]:
    return [("pre", rule.pre), ("post", rule.post)]


def _risen(trace: Trace, value: z3.BitVecRef) -> Whole:
    up = Whole.of(trace.increment)
    if trace.accumulation is Accumulation.SET:
        return up
    total = Whole.unsigned(value) + up
    full = Whole.of((1 << trace.bits) - 1)
    return choose(total > full, full, total)


def _decayed(trace: Trace, value: Whole) -> Whole:
    if trace.decay is TraceDecay.COUNT:
        return choose(value > Whole.of(0), value - Whole.of(1), Whole.of(0))
    return value + (-value).floor_half(trace.shift)
