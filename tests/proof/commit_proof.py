"""The claims about `Commit`: a group that is handed over leaves as the equations say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import z3

from spikec.hdl.cycles import commit_stages
from spikec.hdl.layouts import DYNAMICS, SPIKING
from spikec.hdl.shape import CoreShape, Field, Memory, index_bits

from .smt import Circuit, Claim, Products, SignedProducts, Step, holds
from .spec import Input, Neuron, Whole, ticked


@dataclass(frozen=True)
class CommitProof:
    """What is claimed under which assumptions, and the values a counterexample shows.

    rests : the group is reported to rest (for claims that would be empty without)
    """

    exact: list[Claim]
    rest: list[Claim]
    assumptions: list[z3.BoolRef]
    show: dict[str, z3.BitVecRef]
    rests: z3.BoolRef
    products: Products | None = None

    def cases(self, claims: list[Claim]) -> list[tuple[list[Claim], list[z3.BoolRef]]]:
        """Claims to be proven together, and what is assumed for them.

        Those of a membrane with a recovery apart by where they hold: so each is about few products.
        """
        if not isinstance(self.products, SignedProducts):
            known = [] if self.products is None else self.products.assumptions
            return [(claims, [*self.assumptions, *known])]
        cases: dict[z3.BoolRef, list[Claim]] = {}
        for claim in claims:
            cases.setdefault(claim.where, []).append(claim)
        found = []
        for where, some in cases.items():
            sides = [side for claim in some for side in (claim.expected, claim.got)]
            found.append((some, [*self.assumptions, *self.products.consistent([where, *sides])]))
        return found


def commit_proof(
    shape: CoreShape, commit: Circuit, products: Products | None = None
) -> CommitProof:
    """Unroll the pipeline from any state whatever, through one group and the cycle it settles in.

    Cycle 0 hands the group over; beat b is at stage 0 in cycle b + 1. Groups before it may be on
    their way and others follow when they may. What the pipeline reads it reads in the cycle after
    the address. ``products`` are those of the circuit, if they are not true ones.
    """
    last = commit_stages(shape)
    beats, units = shape.beats, shape.units
    spiking_at = last - 2
    cycles = beats + last + 2

    inputs: list[dict[str, z3.BitVecRef]] = [{} for _ in range(cycles + 1)]
    step, fresh = z3.BitVec("step", shape.step_bits), z3.BitVec("fresh", 1)
    timers = [
        z3.BitVec(f"timer_{k}", max(1, index_bits(period)))
        for k, period in enumerate(shape.timers or ())
    ]
    for at in inputs:
        at.update(step=step, fresh=fresh)
        at.update({f"timer_{k}": timer for k, timer in enumerate(timers)})
    for cycle in range(beats):
        inputs[cycle]["swept_valid"] = z3.BitVecVal(int(cycle == 0), 1)
    group_bits = index_bits(shape.groups)
    group = z3.BitVec("group", group_bits) if group_bits else None
    accumulated = [z3.BitVec(f"accumulated[{n}]", shape.acc_bits) for n in range(shape.lanes)]
    inputs[0]["swept_payload"] = _packed([*([] if group is None else [group]), *accumulated])

    assumptions: list[z3.BoolRef] = [
        z3.ULE(timer, period - 1) for timer, period in zip(timers, shape.timers or (), strict=True)
    ]
    show: dict[str, z3.BitVecRef] = {"step+": step, "fresh+": fresh}
    beat_words: list[dict[Memory, list[dict[str, z3.BitVecRef]]]] = []
    classes: list[dict[str, z3.BitVecRef]] = []
    ids: list[z3.BitVecRef | None] = []
    for b in range(beats):
        parameters = _class_of(shape, b)
        classes.append(parameters)
        for name in ("decay_v", "decay_u"):
            # The factor of a membrane with a recovery may be anything its field holds.
            if name in parameters and not shape.quadratic:
                assumptions.append(z3.ULE(parameters[name], shape.decay_one))
        if "again" in parameters:
            assumptions.append(z3.ULE(parameters["again"], shape.quadratic - 1))
        in_memory = [f.name for f in shape.fields(Memory.CLASSES)]
        for half, only, delay in (
            ("dynamics", DYNAMICS, 2),
            ("spiking", SPIKING, spiking_at),
        ):
            word = [parameters[f] for f in in_memory if f in only and f in parameters]
            if word:
                inputs[b + 1 + delay][f"{half}_data"] = _packed(word)
        words: dict[Memory, list[dict[str, z3.BitVecRef]]] = {}
        identity = None
        for memory, port, delay in (
            (Memory.NEURONS, "neurons", 1),
            (Memory.FIRST_BIAS, "first_bias", 1),
            (Memory.POTENTIALS, "potential", 2),
            (Memory.CURRENTS, "current", 2),
            (Memory.REFRACTORY, "refractory", 2),
            (Memory.OFFSETS, "offset", last - 4),
        ):
            flat: list[z3.BitVecRef] = []
            words[memory] = [{} for _ in range(units)]
            for field in shape.fields(memory):
                if field.lanes is None:
                    identity = z3.BitVec(f"{field.name}{{{b}}}", field.width)
                    flat.append(identity)
                    continue
                for n in range(units):
                    value = z3.BitVec(f"{field.name}[{b * units + n}]", field.width)
                    words[memory][n][field.name] = value
                    flat.append(value)
                    show[value.decl().name() + ("" if field.signed else "+")] = value
            if flat:
                inputs[b + 1 + delay][f"{port}_data"] = _packed(flat)
        beat_words.append(words)
        ids.append(identity)
        for field in shape.class_fields:
            value = parameters.get(field.name)
            if value is not None and field.name in in_memory:
                show[value.decl().name() + ("" if field.signed else "+")] = value
    show |= {value.decl().name(): value for value in accumulated}

    state = commit.arbitrary("before")
    steps: list[Step] = []
    for cycle, given in enumerate(inputs):
        steps.append(commit.step(state, given, str(cycle)))
        state = steps[-1].state

    exact: list[Claim] = []
    rest: list[Claim] = []
    always = z3.BoolVal(True)
    show["later+"] = _later(shape)
    settled = beats + last + 1
    rests = steps[settled].ports["rests"] == 1

    def says(cycle: int, port: str, expected: z3.BitVecRef, where: z3.BoolRef = always) -> None:
        if port in commit.outputs:
            got = steps[cycle].ports[port]
            exact.append(Claim(f"{port} in cycle {cycle}", expected, got, where))

    one, zero = z3.BitVecVal(1, 1), z3.BitVecVal(0, 1)
    for b in range(beats):
        index = z3.BitVecVal(b, 32)
        if group is not None:
            index = z3.ZeroExt(32 - group_bits, group) * beats + b
        low = index_bits(shape.neurons // units)
        written = b + 1 + last
        if low:
            beat = z3.Extract(low - 1, 0, index)
            for port, delay in (
                ("neurons", 0),
                ("first_bias", 0),
                ("potential", 1),
                ("current", 1),
                ("refractory", 1),
                ("offset", last - 5),
                ("new_offset", last),
                ("new_potential", last),
                ("new_current", last),
                ("new_refractory", last),
            ):
                says(b + 1 + delay, f"{port}_addr", beat)
            bits = commit.outputs["trace_index"]
            says(written, "trace_index", z3.Extract(bits - 1, 0, index * units))
        identity = ids[b]
        if identity is not None:
            says(b + 2, "dynamics_addr", identity)
            says(b + spiking_at, "spiking_addr", identity)
        for port in ("new_potential_en", "new_current_en", "new_refractory_en", "trace_valid"):
            says(written, port, one)
        says(written, "new_offset_en", one)
        says(written, "trace_step", step)

        spikes = []
        for n in range(units):
            words = beat_words[b]

            def kept(memory: Memory, name: str, n: int = n, b: int = b) -> z3.BitVecRef | None:
                value = beat_words[b][memory][n].get(name)
                return None if value is None else z3.If(fresh == 1, value & 0, value)

            v = kept(Memory.POTENTIALS, "v")
            u = kept(Memory.CURRENTS, "u")
            counter = kept(Memory.REFRACTORY, "refractory")
            h = kept(Memory.OFFSETS, "h")
            assert v is not None
            before = Neuron(
                Whole.signed(v),
                Whole.of(0) if u is None else Whole.signed(u),
                Whole.of(0) if counter is None else Whole.unsigned(counter),
                Whole.of(0) if h is None else Whole.unsigned(h),
            )
            bias = words[Memory.NEURONS][n].get("bias")
            first = words[Memory.FIRST_BIAS][n].get("first_bias")
            gets = Input(
                Whole.signed(accumulated[b * units + n]),
                Whole.of(0) if bias is None else Whole.signed(bias),
                Whole.of(0) if first is None else Whole.signed(first),
                Whole.unsigned(step),
                tuple(Whole.unsigned(timer) for timer in timers),
            )
            after, spike = ticked(shape, before, gets, classes[b], products)
            spikes.append(z3.If(spike, one, zero))
            label = f"neuron {b * units + n}: "
            at = steps[written].ports
            for name, ports, value, width in (
                ("v'", ("new_potential_data", "trace_v"), after.v, shape.state_bits),
                ("u'", ("new_current_data", "trace_u"), after.u, shape.state_bits),
                ("refractory'", ("new_refractory_data",), after.refractory, shape.refractory_bits),
                ("h'", ("new_offset_data",), after.h, shape.state_bits - 1),
                ("h'", ("trace_h",), after.h, shape.state_bits),
            ):
                for port in ports:
                    if port in commit.outputs and (shape.has_u or port != "trace_u"):
                        got = z3.Extract((n + 1) * width - 1, n * width, at[port])
                        expected = z3.Extract(width - 1, 0, value.wide(value.bits.size() + width))
                        signed = width == shape.state_bits
                        exact.append(Claim(f"{label}{name}, {port}", expected, got, always, signed))
            for port in ("trace_spike", "fired_payload"):
                shift = low if port == "fired_payload" else 0
                got = z3.Extract(shift + n, shift + n, at[port])
                exact.append(Claim(f"{label}spike, {port}", spikes[-1], got, always))

            rest += _rest_claims(shape, label, before, gets, classes[b], rests, products)

        says(written, "fired_valid", _any(spikes))
        if low:
            got = z3.Extract(low - 1, 0, steps[written].ports["fired_payload"])
            exact.append(Claim(f"fired beat in cycle {written}", beat, got, always))
        emit = z3.Extract(low + units, low + units, steps[written].ports["fired_payload"])
        fired = steps[written].ports["fired_valid"] == 1
        exact.append(Claim(f"emit of beat {b}", classes[b]["emit"], emit, fired))

    for cycle in range(1, settled):
        exact.append(holds(f"busy in cycle {cycle}", steps[cycle].ports["busy"] == 1))
    says(settled, "settled", one)
    if group is not None:
        says(settled, "group", group)
    for cycle in range(settled - beats + 1, settled):
        says(cycle, "settled", zero)
    return CommitProof(exact, rest, assumptions, show, rests, products)


def _later(shape: CoreShape) -> z3.BitVecRef:
    return z3.BitVec("later", shape.step_bits)


def _rest_claims(
    shape: CoreShape,
    label: str,
    before: Neuron,
    given: Input,
    of_class: Mapping[str, z3.BitVecRef],
    rests: z3.BoolRef,
    products: Products | None,
) -> list[Claim]:
    """A group that is reported to rest does nothing in any later step without input.

    A neuron that has not changed now will not change later: the report must say that it has not,
    and the rest follows from the equations alone. One that keeps its membrane without input may
    have changed: there the two steps are put together.
    """
    nothing = Whole.signed(z3.BitVecVal(0, shape.acc_bits))
    later = _later(shape)
    passed = Input(
        nothing,
        given.bias,
        given.first_bias,
        Whole.unsigned(later),
        tuple(Whole.unsigned(z3.BitVec(f"later_timer_{k}", 32)) for k in range(len(given.timers))),
    )
    after, spike = ticked(shape, before, given, of_class, products)
    zero, one = z3.BitVecVal(0, 1), z3.BitVecVal(1, 1)

    def stays(old: Neuron, new: Neuron, where: z3.BoolRef, when: str) -> list[Claim]:
        claims = []
        for name, a, b in (
            ("v", old.v, new.v),
            ("u", old.u, new.u),
            ("refractory", old.refractory, new.refractory),
            ("h", old.h, new.h),
        ):
            width = max(a.bits.size(), b.bits.size())
            claim = f"{label}{name} stays as it is {when}"
            signed = name in "vu"
            claims.append(Claim(claim, a.wide(width), b.wide(width), where, signed))
        return claims

    def silent(spikes: z3.BoolRef, where: z3.BoolRef, when: str) -> Claim:
        return Claim(f"{label}no spike {when}", zero, z3.If(spikes, one, zero), where)

    passes = z3.UGT(later, z3.BitVec("step", shape.step_bits))
    still = shape.fixed.decay_v == shape.decay_one and not shape.linear
    keeps = still and not shape.bias and not shape.has_u
    if keeps:
        then, again = ticked(shape, after, passed, of_class, products)
        where = z3.And(rests, passes)
        return [*stays(after, then, where, "at rest"), silent(again, where, "at rest")]

    unchanged = z3.And(
        given.accumulated.same(Whole.of(0)),
        before.refractory.same(Whole.of(0)),
        given.step > Whole.unsigned(of_class["start"]),
    )
    claims = [
        *stays(before, after, rests, "in the step before rest"),
        silent(spike, rests, "in the step before rest"),
        holds(f"{label}started, nothing added or counted before rest", unchanged, rests),
    ]
    if shape.timers:
        unchanged = z3.And(unchanged, before.h.same(Whole.of(0)))
    same = z3.And(
        before.v.same(after.v),
        before.u.same(after.u),
        before.refractory.same(after.refractory),
        before.h.same(after.h),
    )
    where = z3.And(unchanged, same, z3.Not(spike), passes)
    then, again = ticked(shape, before, passed, of_class, products)
    return [*claims, *stays(before, then, where, "at rest"), silent(again, where, "at rest")]


def _class_of(shape: CoreShape, beat: int) -> dict[str, z3.BitVecRef]:
    """The parameters of a beat's class: of the circuit, or anything that a memory may hold."""

    def value(field: Field) -> z3.BitVecRef:
        fixed = getattr(shape.fixed, field.name)
        if fixed is None:
            return z3.BitVec(f"{field.name}{{{beat}}}", field.width)
        return z3.BitVecVal(int(fixed), field.width)

    return {field.name: value(field) for field in shape.class_fields if field.width}


def _packed(parts: list[z3.BitVecRef]) -> z3.BitVecRef:
    """Parts of a word, the first in its lowest bits."""
    return z3.Concat(*parts[::-1]) if len(parts) > 1 else parts[0]


def _any(bits: list[z3.BitVecRef]) -> z3.BitVecRef:
    found = bits[0]
    for bit in bits[1:]:
        found = found | bit
    return found


def assumed(proof: CommitProof, more: Mapping[str, int]) -> list[z3.BoolRef]:
    """The assumptions, with some of the shown values fixed."""
    return [*proof.assumptions, *(proof.show[name] == value for name, value in more.items())]
