"""The end of a step: neurons integrate what has been accumulated and may spike.

A group of L neurons is handed over at once and goes through in beats of U neurons, one a cycle
(the two stages in brackets only with a current):

=====  ================================================================================
stage  work
=====  ================================================================================
0      beat to the neuron memory; its accumulators at hand
1      class and bias in; class and state addresses out
2      decays, shift, start and state in
3      products v decay_v and u decay_u; a << shift; bias or first bias
4      products rounded; d = (a << shift) + bias
[5]    u decayed + d
[6]    u' fitted
5      v decayed + x
6      w fitted
7      w = max(w, v_min)
8      w > limit; w - v_reset
9      v', u', refractory written back; trace and spikes out
10     whether anything changed
=====  ================================================================================

A neuron that must keep its membrane (not started, or refractory) goes through with a decay of
one and nothing added.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import fitted, rounded, selected, times
from .cycles import commit_stages
from .layouts import (
    DYNAMICS,
    SPIKING,
    TraceSignature,
    fired_layout,
    read_signature,
    swept_layout,
    write_signature,
)
from .shape import CoreShape, Memory, Reset, index_bits


class Commit(wiring.Component):
    """The commit of `CoreShape`'s TICK for the groups that are handed to it.

    Members
    -------
    swept : groups and what they have accumulated, at least L/U cycles apart
    step : constant while busy
    fresh : the state is zero, whatever the memories hold; constant while busy
    busy : a group is on its way
    neurons, first_bias, dynamics, spiking : read ports of the configuration
    potential, new_potential : read and write port of v; likewise current and refractory
    fired : spikes in order of neuron
    settled, group, rests : a group is done, and whether it would change without input
    trace : every committed neuron
    """

    def __init__(self, shape: CoreShape) -> None:
        self._shape = shape
        members: dict[str, Any] = {
            "swept": In(stream.Signature(swept_layout(shape), always_ready=True)),
            "step": In(shape.step_bits),
            "fresh": In(1),
            "busy": Out(1),
            "potential": In(read_signature(shape, Memory.POTENTIALS)),
            "new_potential": In(write_signature(shape, Memory.POTENTIALS)),
            "fired": Out(stream.Signature(fired_layout(shape), always_ready=True)),
            "settled": Out(1),
            "group": Out(index_bits(shape.groups)),
            "rests": Out(1),
            "trace": Out(TraceSignature(shape)),
        }
        if shape.fields(Memory.NEURONS):
            members["neurons"] = In(read_signature(shape, Memory.NEURONS))
        for half, only in (("dynamics", DYNAMICS), ("spiking", SPIKING)):
            if shape.has(Memory.CLASSES, only):
                members[half] = In(read_signature(shape, Memory.CLASSES, only))
        if shape.first_bias:
            members["first_bias"] = In(read_signature(shape, Memory.FIRST_BIAS))
        if shape.cuba:
            members["current"] = In(read_signature(shape, Memory.CURRENTS))
            members["new_current"] = In(write_signature(shape, Memory.CURRENTS))
        if shape.refractory_bits:
            members["refractory"] = In(read_signature(shape, Memory.REFRACTORY))
            members["new_refractory"] = In(write_signature(shape, Memory.REFRACTORY))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape = self._shape
        last = commit_stages(shape)
        each = range(shape.units)

        def carry(value: Value, name: str, stages: int = 1) -> Value:
            for _ in range(stages):
                # What is part of the circuit needs no register.
                if isinstance(value, Const):
                    return value
                register = Signal.like(value, name=name)
                m.d.sync += register.eq(value)
                value = register
            return value

        def stored(value: Value, name: str) -> Value:
            """What a state memory holds, or zero."""
            register = Signal.like(value, name=name)
            m.d.sync += register.eq(value)
            with m.If(self.fresh):
                m.d.sync += register.eq(0)
            return register

        def round_product(value: Value) -> Value:
            return rounded(value, shape.decay_bits, shape.rounding)[: shape.state_bits].as_signed()

        def fit(value: Value) -> Value:
            return fitted(value, shape.state_bits, shape.overflow)

        def early(name: str) -> Value:
            return self._parameter(name, "dynamics")

        def late(name: str) -> Value:
            return self._parameter(name, "spiking")

        # Stage 0: the beats of the group that has been handed over.
        group_0 = Signal.like(self.swept.payload.group)
        beat_0 = Signal(index_bits(shape.neurons // shape.units))
        held = Signal(shape.lanes * shape.acc_bits)
        turn = Signal(range(shape.beats))
        valid_0, ends_0 = Signal(), Signal()
        m.d.comb += ends_0.eq(valid_0 & (turn == shape.beats - 1))
        with m.If(self.swept.valid):
            m.d.sync += [
                group_0.eq(self.swept.payload.group),
                beat_0.eq(times(self.swept.payload.group, Const(shape.beats))),
                held.eq(self.swept.payload.lanes.as_value()),
                turn.eq(0),
                valid_0.eq(1),
            ]
        with m.Elif(valid_0):
            m.d.sync += [turn.eq(turn + 1), beat_0.eq(beat_0 + 1), valid_0.eq(~ends_0)]
        wide = shape.units * shape.acc_bits
        chosen = selected([held[at : at + wide] for at in range(0, len(held), wide)], turn)
        valid_1 = carry(valid_0, "valid_1")
        beat_1 = carry(beat_0, "beat_1")
        under_way = [valid_0, valid_1]
        for _ in range(last):
            under_way.append(carry(under_way[-1], "under_way"))
        m.d.comb += self.busy.eq(Cat(under_way).any())

        # Stage 1.
        class_1: Value = Const(0, 0)
        if shape.fields(Memory.NEURONS):
            m.d.comb += self.neurons.addr.eq(beat_0)
            if shape.classes > 1:
                class_1 = self.neurons.data.class_id
        if shape.first_bias:
            m.d.comb += self.first_bias.addr.eq(beat_0)
        m.d.comb += self.potential.addr.eq(beat_1)
        if shape.cuba:
            m.d.comb += self.current.addr.eq(beat_1)
        if shape.refractory_bits:
            m.d.comb += self.refractory.addr.eq(beat_1)
        if shape.has(Memory.CLASSES, DYNAMICS):
            m.d.comb += self.dynamics.addr.eq(class_1)

        # Stage 2 and 3, what the units have in common.
        start_2 = early("start")
        at_once = isinstance(start_2, Const) and start_2.value == 0
        started_2 = Const(1, 1) if at_once else self.step >= start_2
        started_3 = carry(started_2, "started_3")
        first_3 = carry(self.step == start_2, "first_3")
        threshold_3 = carry(early("threshold"), "threshold_3")
        decay_v_3 = carry(early("decay_v"), "decay_v_3")
        shift_3 = carry(early("shift"), "shift_3")
        started_4 = carry(started_3, "started_4")
        integrate = last - 4
        if shape.cuba:
            decay_u_3 = carry(early("decay_u"), "decay_u_3")
            order_old_i = carry(early("order_old"), "order_old", integrate - 2)

        # From stage `clamp` on the second half of the class word is at hand.
        clamp = last - 2
        if shape.has(Memory.CLASSES, SPIKING):
            m.d.comb += self.spiking.addr.eq(carry(class_1, "class_id", clamp - 2))
        reset_c, limit_c = late("reset"), late("threshold")
        amount_c, v_min_c = late("v_reset"), late("v_min")
        raised_c = _sum(limit_c, amount_c)
        two_phase_c = _same(reset_c, Reset.TWO_PHASE)
        silent_c = _same(reset_c, Reset.NONE)
        amount_s = carry(amount_c, "amount")
        to_value_s = carry(_same(reset_c, Reset.VALUE), "to_value")
        v_reset_l = carry(amount_s, "v_reset")
        to_value_l = carry(to_value_s, "to_value_l")
        period_l = carry(late("refractory"), "period", 2)
        emit_l = carry(late("emit"), "emit", 2)

        def subtracted(value: Value) -> Value:
            """w - v_reset of a neuron that spikes: w > threshold may exclude an overflow."""
            if isinstance(amount_c, Const) and isinstance(limit_c, Const):
                lowest = limit_c.value + 1 - amount_c.value
                if amount_c.value >= 0 and lowest >= shape.state_min:
                    return value[: shape.state_bits].as_signed()
            return fit(value)

        new_v, new_u, counters, spikes, kept = [], [], [], [], []
        for n in each:
            # Stage 3: everything comes from registers, the multipliers' operands above all.
            own = chosen[n * shape.acc_bits : (n + 1) * shape.acc_bits]
            accumulated_3 = carry(own.as_signed(), "accumulated", 3)
            v_3 = stored(self.potential.data.v[n], "v_3")
            product_v = carry(times(v_3, decay_v_3), "product_v")
            fixed_shift = isinstance(shift_3, Const)
            shifted_3 = accumulated_3 << (shift_3.value if fixed_shift else shift_3)
            shifted_4 = carry(shifted_3, "shifted")
            bias_3: Value = Const(0, signed(1))
            if shape.bias:
                bias_3 = carry(self.neurons.data.bias[n], "bias", 2)
            if shape.first_bias:
                first_bias_3 = carry(self.first_bias.data.first_bias[n], "first_bias", 2)
                bias_3 = Mux(first_3, first_bias_3, bias_3)
            hold_3: Value = Const(0, 1) if at_once else ~started_3
            if shape.refractory_bits:
                counter_3 = stored(self.refractory.data.refractory[n], "counter_3")
                resting_3 = counter_3 != 0
                hold_3 = hold_3 | resting_3
                counted_3 = counter_3 - (started_3 & resting_3)
                counted = carry(counted_3[: shape.refractory_bits], "counted", last - 3)
            quiet_4 = carry(accumulated_3 == 0, "quiet")

            # Stage 4.
            v_4 = carry(v_3, "v_4")
            hold_4 = carry(hold_3, "hold_4")
            decayed_v_4 = Mux(hold_4, v_4, round_product(product_v))
            bias_4 = carry(bias_3, "bias_4") if shape.bias else bias_3
            drive = shifted_4 + bias_4 if shape.bias else shifted_4
            drive_4 = Mux(started_4, drive, 0)

            # Stages 5 and 6 of a current, and the sum that is the new membrane.
            decayed_v_i = carry(decayed_v_4, "decayed_v", integrate - 4)
            hold_i = carry(hold_4, "hold", integrate - 4)
            drive_5 = carry(drive_4, "drive_5")
            if shape.cuba:
                u_3 = stored(self.current.data.u[n], "u_3")
                u_4 = carry(u_3, "u_4")
                product_u = carry(times(u_3, decay_u_3), "product_u")
                decayed_u_4 = Mux(started_4, round_product(product_u), u_4)
                sum_u_6 = carry(carry(decayed_u_4, "decayed_u") + drive_5, "sum_u")
                u_i = carry(fit(sum_u_6), "new_u")
                old_u_i = carry(u_4, "old_u", integrate - 4)
                input_i = Mux(order_old_i, old_u_i, u_i)
                new_u.append(carry(u_i, "u", last - integrate))
                same_u = carry(carry(u_i == old_u_i, "same_u"), "same_u_l", last - integrate - 1)
            else:
                input_i = drive_5
            sum_v = carry(decayed_v_i + Mux(hold_i, 0, input_i), "sum_v")
            membrane = carry(fit(sum_v), "fitted_v")

            hold_c = carry(hold_i, "hold_c", clamp - integrate)
            above_c = carry(v_3 > threshold_3, "above", clamp - 3)
            if isinstance(two_phase_c, Const) and not two_phase_c.value:
                limit = carry(limit_c, "limit")
            else:
                limit = carry(Mux(two_phase_c & above_c, raised_c, limit_c), "limit")
            able = carry(~hold_c & ~silent_c, "able")
            below = (membrane < v_min_c) & ~hold_c
            if isinstance(v_min_c, Const) and v_min_c.value == shape.state_min:
                floored = carry(membrane, "w")
            else:
                floored = carry(Mux(below, v_min_c, membrane), "w")

            # Last stage.
            spike = carry(able & (floored > limit), "spike")
            remainder = carry(floored - amount_s, "remainder")
            unchanged = carry(floored, "unchanged")
            spikes.append(spike)
            new_v.append(Mux(spike, Mux(to_value_l, v_reset_l, subtracted(remainder)), unchanged))

            # A group rests when its neurons would not change without input: those of an
            # integrator once they stay below threshold, others once they have not changed.
            if self._keeps():
                same = ~spike
            else:
                old_v = carry(v_4, "old_v", last - 5)
                same_v = carry(floored == old_v, "same_v")
                same = carry(quiet_4, "quiet_l", last - 4) & same_v & ~spike
            if shape.cuba:
                same = same & same_u
            if shape.refractory_bits:
                same = same & ~carry(resting_3, "resting", last - 3)
                counters.append(Mux(spike, period_l, counted))
            kept.append(same)

        valid = carry(valid_1, "valid", last - 1)
        beat = carry(beat_1, "beat", last - 1)
        m.d.comb += [
            self.new_potential.addr.eq(beat),
            self.new_potential.en.eq(valid),
            self.fired.valid.eq(valid & Cat(spikes).any()),
            self.fired.payload.beat.eq(beat),
            self.fired.payload.units.eq(Cat(spikes)),
            self.fired.payload.emit.eq(emit_l),
            self.trace.valid.eq(valid),
            self.trace.step.eq(self.step),
            self.trace.index.eq(beat << index_bits(shape.units)),
            self.trace.spike.eq(Cat(spikes)),
        ]
        for n in each:
            m.d.comb += [self.new_potential.data.v[n].eq(new_v[n]), self.trace.v[n].eq(new_v[n])]
        if shape.cuba:
            m.d.comb += [self.new_current.addr.eq(beat), self.new_current.en.eq(valid)]
            for n in each:
                m.d.comb += [self.trace.u[n].eq(new_u[n]), self.new_current.data.u[n].eq(new_u[n])]
        if shape.refractory_bits:
            m.d.comb += [self.new_refractory.addr.eq(beat), self.new_refractory.en.eq(valid)]
            for n in each:
                m.d.comb += self.new_refractory.data.refractory[n].eq(counters[n])

        # One stage more: all beats of a group together.
        since = carry(started_4 & ~carry(first_3, "first_4"), "since", last - 4)
        calm = carry(Cat(kept).all() & since, "calm")
        ends = carry(ends_0, "ends", last + 1)
        before = Signal(init=1)
        m.d.comb += [
            self.settled.eq(ends),
            self.group.eq(carry(group_0, "group", last + 1)),
            self.rests.eq(calm & before),
        ]
        valid_s = carry(valid, "valid_s")
        with m.If(ends):
            m.d.sync += before.eq(1)
        with m.Elif(valid_s):
            m.d.sync += before.eq(before & calm)
        return m

    def _parameter(self, name: str, half: str) -> Value:
        """A field of the class word: a constant if it is fixed, else out of memory."""
        shape = self._shape
        value = getattr(shape.fixed, name)
        if value is None:
            return getattr(getattr(self, half).data, name)
        field = next(field for field in shape.class_fields if field.name == name)
        return Const(int(value), signed(field.width) if field.signed else unsigned(field.width))

    def _keeps(self) -> bool:
        """Whether a membrane stays as it is without input: an integrator without a bias."""
        shape = self._shape
        return shape.fixed.decay_v == shape.decay_one and not shape.bias and not shape.cuba


def _same(value: Value, reset: Reset) -> Value:
    return Const(int(value.value == reset), 1) if isinstance(value, Const) else value == reset


def _sum(a: Value, b: Value) -> Value:
    if isinstance(a, Const) and isinstance(b, Const):
        return Const(a.value + b.value)
    return a + b
