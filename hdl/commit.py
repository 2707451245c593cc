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

A membrane with a recovery takes six stages instead of 3 to 6, as often as a step advances it:
see `recovery`. The offset of an adaptive threshold goes beside the last stages: see `adaptation`.

A membrane that leaks by a constant amount is taken that far down and up in stage 3; in stage 4 the
one of both that is not past its goal is chosen, or the goal.

A neuron that must keep its membrane (not started, or refractory) goes through with a decay of
one and nothing added.

A core that holds all that goes in still until the end (`Commit`'s ``held``) needs no register for
what only passes on, and none for a beat: only what is computed is kept, so that no path is long.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .adaptation import Adaptation
from .arithmetic import selected, times
from .cycles import POST_SAME, POST_TERMS
from .layouts import (
    DYNAMICS,
    SPIKING,
    TraceSignature,
    fired_layout,
    read_signature,
    swept_layout,
    write_signature,
)
from .pipeline import Parameter, Pipeline
from .plastic import TermSignature
from .recovery import Recovery
from .shape import CoreShape, Memory, Reset, index_bits
from .traces import PostTraces

# What a core has not.
_ZERO, _ONE = Const(0, 1), Const(1, 1)


class Commit(wiring.Component):
    """The commit of `CoreShape`'s TICK for the groups that are handed to it.

    ``held``: for one beat whose parameters are all fixed. The ports read are wires: accumulators
    and ``step`` stay as they are from `held_stages` before ``swept`` is valid, the state from the
    beat before, and the results are on the ports written and the trace in the cycle of ``swept``.

    Members
    -------
    swept : groups and what they have accumulated, at least L/U cycles apart
    step : constant while busy
    timer_0, timer_1, .. : step modulo each of the shape's timers; constant while busy
    fresh : the state is zero, whatever the memories hold; constant while busy
    busy : a group is on its way
    neurons, first_bias, dynamics, spiking : read ports of the configuration
    potential, new_potential : read and write port of v; likewise current, refractory and offset
    fired : spikes in order of neuron
    settled, group, rests : a group is done, and whether it would change without input
    trace : every committed neuron
    ticked, learn, terms : as of `PostTraces`, in a core that learns
    """

    def __init__(self, shape: CoreShape, *, held: bool = False) -> None:
        self._shape = shape
        self._held = held
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
        if shape.has_u:
            members["current"] = In(read_signature(shape, Memory.CURRENTS))
            members["new_current"] = In(write_signature(shape, Memory.CURRENTS))
        if shape.refractory_bits:
            members["refractory"] = In(read_signature(shape, Memory.REFRACTORY))
            members["new_refractory"] = In(write_signature(shape, Memory.REFRACTORY))
        learning = shape.learning
        # The traces of post neurons that reading a row asks for.
        self.traces = None
        if learning is not None:
            members["ticked"], members["learn"] = In(1), In(1)
            if learning.rule.rows:
                members["terms"] = Out(TermSignature(shape, learning))
                self.traces = PostTraces(shape, learning)
        if shape.adaptive:
            members["offset"] = In(read_signature(shape, Memory.OFFSETS))
            members["new_offset"] = In(write_signature(shape, Memory.OFFSETS))
        for number, period in enumerate(shape.timers or ()):
            members[f"timer_{number}"] = In(index_bits(period))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape = self._shape
        line = Pipeline(m, shape, self.fresh, held=self._held)
        beats = self._beats(line)
        class_1 = self._fetched(line, beats)
        parts = self._parts(line, class_1)
        done = []
        for n in range(shape.units):
            operands = self._operands(line, parts.common, beats, n)
            integrated = self._integrated(line, parts, operands, n)
            done.append(self._decided(line, parts, operands, integrated, n))
        written = self._written(line, beats, parts.spiking.emit_l, done)
        self._settled(line, beats, parts.common, done, written)
        return m

    def _beats(self, line: Pipeline) -> _Beats:
        """Stage 0: the beats of the group that has been handed over."""
        m, shape = line.m, self._shape
        group_0 = Signal.like(self.swept.payload.group)
        beat_0 = Signal(index_bits(shape.neurons // shape.units))
        held = Signal(shape.lanes * shape.acc_bits)
        turn = Signal(range(shape.beats))
        valid_0, ends_0 = Signal(), Signal()
        m.d.comb += ends_0.eq(valid_0 & (turn == shape.beats - 1))
        if line.held:
            m.d.comb += [
                held.eq(self.swept.payload.lanes.as_value()),
                valid_0.eq(self.swept.valid),
            ]
        else:
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
        valid_1 = line.carry(valid_0, "valid_1")
        beat_1 = line.carry(beat_0, "beat_1")
        under_way = [valid_0, valid_1]
        for _ in range(line.last if self.traces is None else line.last + POST_TERMS):
            under_way.append(line.carry(under_way[-1], "under_way"))
        m.d.comb += self.busy.eq(Cat(under_way).any())
        return _Beats(group_0, turn, beat_0, ends_0, valid_1, beat_1, chosen)

    def _fetched(self, line: Pipeline, beats: _Beats) -> Value:
        """Stages 0 and 1: what is read of a beat; the class of its neurons."""
        m, shape = line.m, self._shape
        class_1: Value = Const(0, 0)
        if shape.fields(Memory.NEURONS):
            m.d.comb += self.neurons.addr.eq(beats.beat_0)
            if shape.classes > 1:
                class_1 = self.neurons.data.class_id
        if shape.first_bias:
            m.d.comb += self.first_bias.addr.eq(beats.beat_0)
        m.d.comb += self.potential.addr.eq(beats.beat_1)
        if shape.has_u:
            m.d.comb += self.current.addr.eq(beats.beat_1)
        if shape.refractory_bits:
            m.d.comb += self.refractory.addr.eq(beats.beat_1)
        if shape.adaptive:
            late = line.carry(beats.beat_1, "offset_beat", line.last - 6)
            m.d.comb += self.offset.addr.eq(late)
        if shape.has(Memory.CLASSES, DYNAMICS):
            m.d.comb += self.dynamics.addr.eq(class_1)
        return class_1

    def _parts(self, line: Pipeline, class_1: Value) -> _Parts:
        """What works on each neuron, with the parameters that those of a beat share."""
        m, shape = line.m, self._shape

        def early(name: str) -> Value:
            return self._parameter(name, "dynamics")

        def late(name: str) -> Value:
            return self._parameter(name, "spiking")

        common = self._common(line, early)
        current = _Current(line, early, common) if shape.cuba else None
        recovery = Recovery(line, early, common.decay_v_3) if shape.quadratic else None
        if shape.has(Memory.CLASSES, SPIKING):
            # The second half of the class word is at hand in the stage of the clamp.
            class_id = line.carry(class_1, "class_id", line.last - 4)
            m.d.comb += self.spiking.addr.eq(class_id)
        spiking = _Spiking(line, late)
        leak = _Leak(line, early) if shape.linear else None
        adaptation = None
        if shape.adaptive:
            timers = [getattr(self, f"timer_{k}") for k in range(len(shape.timers or ()))]
            adaptation = Adaptation(line, early, timers, common.started_2)
        return _Parts(common, current, recovery, spiking, leak, adaptation)

    def _common(self, line: Pipeline, parameter: Parameter) -> _Common:
        """Stages 2 and 3: whether neurons have started, and how they integrate."""
        carry = line.carry
        start_2 = parameter("start")
        at_once = isinstance(start_2, Const) and start_2.value == 0
        started_2 = Const(1, 1) if at_once else self.step >= start_2
        started_3 = carry(started_2, "started_3")
        first_3 = carry(self.step == start_2, "first_3")
        threshold_3 = carry(parameter("threshold"), "threshold_3")
        decay_v_3 = carry(parameter("decay_v"), "decay_v_3")
        shift_3 = carry(parameter("shift"), "shift_3")
        started_4 = carry(started_3, "started_4")
        return _Common(
            at_once, started_2, started_3, started_4, first_3, threshold_3, decay_v_3, shift_3
        )

    def _operands(self, line: Pipeline, common: _Common, beats: _Beats, n: int) -> _Operands:
        """Stage 3 of neuron ``n`` of a beat."""
        shape, carry, wire = self._shape, line.carry, line.wire
        own = beats.accumulated_1[n * shape.acc_bits : (n + 1) * shape.acc_bits]
        accumulated_3 = carry(wire(own.as_signed(), "own"), "accumulated", 3)
        v_3 = line.stored(self.potential.data.v[n], "v_3")
        product_v, rounds_v = _ZERO, False
        if not shape.quadratic:
            product_v, rounds_v = line.product(v_3, common.decay_v_3, "product_v")
        shift_3 = common.shift_3
        fixed_shift = isinstance(shift_3, Const)
        shifted_3 = accumulated_3 << (shift_3.value if fixed_shift else shift_3)
        shifted_4 = carry(wire(shifted_3, "own_shifted"), "shifted")
        bias_3: Value = Const(0, signed(1))
        if shape.bias:
            bias_3 = carry(wire(self.neurons.data.bias[n], "own_bias"), "bias", 2)
        if shape.first_bias:
            first_bias_2 = wire(self.first_bias.data.first_bias[n], "own_first_bias")
            first_bias_3 = carry(first_bias_2, "first_bias", 2)
            bias_3 = Mux(common.first_3, first_bias_3, bias_3)
        hold_3: Value = Const(0, 1) if common.at_once else ~common.started_3
        resting_3 = counted_l = _ZERO
        if shape.refractory_bits:
            counter_3 = line.stored(self.refractory.data.refractory[n], "counter_3")
            resting_3 = counter_3 != 0
            hold_3 = hold_3 | resting_3
            counted_3 = counter_3 - (common.started_3 & resting_3)
            stages = line.last - 3
            counted_l = carry(counted_3[: shape.refractory_bits], "counted", stages)
        quiet_4 = carry(accumulated_3 == 0, "quiet")
        return _Operands(
            v_3=v_3,
            product_v=product_v,
            rounds_v=rounds_v,
            shifted_4=shifted_4,
            bias_3=bias_3,
            hold_3=hold_3,
            resting_3=resting_3,
            counted_l=counted_l,
            quiet_4=quiet_4,
        )

    def _integrated(self, line: Pipeline, parts: _Parts, gets: _Operands, n: int) -> _Integrated:
        """From stage 4 to the sum that is the new membrane, and the second state beside it."""
        shape, carry, common = self._shape, line.carry, parts.common
        integrate = line.last - 4
        v_4 = carry(gets.v_3, "v_4")
        hold_4 = carry(gets.hold_3, "hold_4")
        decayed_v_4 = self._decayed(line, parts, gets, v_4, hold_4)
        bias_4 = carry(gets.bias_3, "bias_4") if shape.bias else gets.bias_3
        drive = gets.shifted_4 + bias_4 if shape.bias else gets.shifted_4
        drive_4 = drive if line.held and common.at_once else Mux(common.started_4, drive, 0)
        if not shape.quadratic:
            decayed_v_i = carry(decayed_v_4, "decayed_v", integrate - 4)
        hold_i = carry(hold_4, "hold", integrate - 4)
        drive_5 = carry(drive_4, "drive_5")
        if shape.has_u:
            u_3 = line.stored(self.current.data.u[n], "u_3")
        if parts.recovery is not None:
            moved = parts.recovery.neuron(gets.v_3, u_3, gets.hold_3, common.started_4, drive_5)
            return _Integrated(moved.membrane, hold_i, v_4, moved.u, moved.raised_u, moved.same_u)
        input_i, u, same_u = drive_5, _ZERO, _ONE
        if parts.current is not None:
            input_i, u, same_u = parts.current.neuron(u_3, drive_5)
        sum_v = carry(decayed_v_i + Mux(hold_i, 0, input_i), "sum_v")
        membrane = carry(line.fit(sum_v), "fitted_v")
        return _Integrated(membrane, hold_i, v_4, u, u, same_u)

    def _decayed(
        self, line: Pipeline, parts: _Parts, gets: _Operands, v_4: Value, hold_4: Value
    ) -> Value:
        """Stage 4: v after its decay or leak, or as it was."""
        if parts.recovery is not None:
            return v_4
        kept_4 = line.decayed(gets.product_v)
        if parts.leak is not None:
            kept_4 = parts.leak.moved(gets.v_3, kept_4)
        if line.held and isinstance(hold_4, Const) and not gets.rounds_v:
            return line.wire(line.decayed(gets.product_v), "own_decayed_v")
        return Mux(hold_4, v_4, kept_4)

    def _decided(
        self,
        line: Pipeline,
        parts: _Parts,
        gets: _Operands,
        state: _Integrated,
        n: int,
    ) -> _Done:
        """From the clamp on: spike and reset, new threshold and rest."""
        shape, carry, last = self._shape, line.carry, line.last
        hold_c = carry(state.hold_i, "hold_c", 2)
        above_c = carry(gets.v_3 > parts.common.threshold_3, "above", last - 5)
        offset = None
        if parts.adaptation is not None:
            offset = parts.adaptation.neuron(line.stored(self.offset.data.h[n], "offset"))
        offset_c = None if offset is None else offset.offset_c
        spike, new_v, floored = parts.spiking.neuron(state.membrane, hold_c, above_c, offset_c)
        # A group rests when its neurons would not change without input: those of an
        # integrator once they stay below threshold, others once they have not changed.
        if self._keeps():
            same = ~spike
        else:
            old_v = carry(state.v_4, "old_v", last - 5)
            same_v = carry(floored == old_v, "same_v")
            same = carry(gets.quiet_4, "quiet_l", last - 4) & same_v & ~spike
        new_u, new_h, counter = state.u, _ZERO, _ZERO
        if shape.has_u:
            same = same & state.same_u
        if shape.quadratic:
            new_u = Mux(spike, state.raised_u, state.u)
        if offset is not None:
            new_h = Mux(spike, offset.raised_l, offset.kept_l)
        if offset is not None and shape.timers:
            same = same & carry(offset.offset_c == 0, "no_offset", 2)
        if shape.refractory_bits:
            same = same & ~carry(gets.resting_3, "resting", last - 3)
            counter = Mux(spike, parts.spiking.period_l, gets.counted_l)
        return _Done(spike, new_v, new_u, new_h, counter, same)

    def _written(self, line: Pipeline, beats: _Beats, emit_l: Value, done: list[_Done]) -> _Last:
        """The last stage: states back to memory, trace and spikes out."""
        m, shape, last = line.m, self._shape, line.last
        spikes = Cat(neuron.spike for neuron in done)
        valid = line.carry(beats.valid_1, "valid", last - 1)
        early = line.carry(beats.beat_1, "early", last - 3)
        beat = line.carry(early, "beat", 2)
        m.d.comb += [
            self.new_potential.addr.eq(beat),
            self.new_potential.en.eq(valid),
            self.fired.valid.eq(valid & spikes.any()),
            self.fired.payload.beat.eq(beat),
            self.fired.payload.units.eq(spikes),
            self.fired.payload.emit.eq(emit_l),
            self.trace.valid.eq(valid),
            self.trace.step.eq(self.step),
            self.trace.index.eq(beat << index_bits(shape.units)),
            self.trace.spike.eq(spikes),
        ]
        for n, neuron in enumerate(done):
            m.d.comb += [self.new_potential.data.v[n].eq(neuron.v), self.trace.v[n].eq(neuron.v)]
        if shape.has_u:
            m.d.comb += [self.new_current.addr.eq(beat), self.new_current.en.eq(valid)]
            for n, neuron in enumerate(done):
                m.d.comb += [self.trace.u[n].eq(neuron.u), self.new_current.data.u[n].eq(neuron.u)]
        if shape.refractory_bits:
            m.d.comb += [self.new_refractory.addr.eq(beat), self.new_refractory.en.eq(valid)]
            for n, neuron in enumerate(done):
                m.d.comb += self.new_refractory.data.refractory[n].eq(neuron.refractory)
        if shape.adaptive:
            m.d.comb += [self.new_offset.addr.eq(beat), self.new_offset.en.eq(valid)]
            for n, neuron in enumerate(done):
                m.d.comb += [self.trace.h[n].eq(neuron.h), self.new_offset.data.h[n].eq(neuron.h)]
        return _Last(valid, early, beat, spikes)

    def _settled(
        self,
        line: Pipeline,
        beats: _Beats,
        common: _Common,
        done: list[_Done],
        at: _Last,
    ) -> None:
        """One stage more: all beats of a group together, and later what their traces became."""
        m, shape, carry = line.m, self._shape, line.carry
        last, traces = line.last, self.traces
        since = carry(common.started_4 & ~carry(common.first_3, "first_4"), "since", last - 4)
        calm = carry(Cat(neuron.rests for neuron in done).all() & since, "calm")
        behind = 1
        if traces is not None:
            behind += POST_SAME
            calm = carry(calm, "calm_l", POST_SAME) & carry(traces.same, "same_traces")
        ends = carry(beats.ends_0, "ends", last + behind)
        before = Signal(init=1)
        m.d.comb += [
            self.settled.eq(ends),
            self.group.eq(carry(beats.group_0, "group", last + behind)),
            self.rests.eq(calm & before),
        ]
        valid_s = carry(at.valid, "valid_s", behind)
        with m.If(ends):
            m.d.sync += before.eq(1)
        with m.Elif(valid_s):
            m.d.sync += before.eq(before & calm)
        if shape.learning is not None:
            turn_l = carry(beats.turn_0, "turn_l", last)
            group_l = carry(beats.group_0, "group_l", last)
            m.d.comb += [self.fired.payload.turn.eq(turn_l), self.fired.payload.group.eq(group_l)]
        if traces is not None:
            m.submodules.traces = traces
            m.d.comb += [
                traces.early.eq(at.early),
                traces.valid.eq(at.valid),
                traces.group.eq(group_l),
                traces.turn.eq(turn_l),
                traces.beat.eq(at.beat),
                traces.spikes.eq(at.spikes),
                *(traces.v[n].eq(neuron.v) for n, neuron in enumerate(done)),
                traces.step.eq(self.step),
                traces.fresh.eq(self.fresh),
                traces.ticked.eq(self.ticked),
                traces.learn.eq(self.learn),
            ]
            connect(m, traces.terms, flipped(self.terms))

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
        still = shape.fixed.decay_v == shape.decay_one and not shape.linear
        return still and not shape.bias and not shape.has_u


class _Beats(NamedTuple):
    """The beats of a group: which ones, the last, and what they have accumulated, in stage 1."""

    group_0: Signal
    turn_0: Signal
    beat_0: Signal
    ends_0: Signal
    valid_1: Value
    beat_1: Value
    accumulated_1: Value


class _Common(NamedTuple):
    """What the neurons of a beat have in common before they spike.

    ``at_once``: they start in the first step.
    """

    at_once: bool
    started_2: Value
    started_3: Value
    started_4: Value
    first_3: Value
    threshold_3: Value
    decay_v_3: Value
    shift_3: Value


class _Operands(NamedTuple):
    """A neuron in stage 3: everything comes from registers, the multipliers' operands above all.

    ``hold_3``: v stays. ``resting_3``: the neuron is refractory, for ``counted_l`` steps from the
    next on. ``quiet_4``: nothing was added. ``product_v`` is for stage 4; making its quotient takes
    logic if it ``rounds_v``.
    """

    v_3: Value
    product_v: Value
    rounds_v: bool
    shifted_4: Value
    bias_3: Value
    hold_3: Value
    resting_3: Value
    counted_l: Value
    quiet_4: Value


class _Integrated(NamedTuple):
    """A membrane before its lower clamp, held or not; in the last stage what became of u.

    ``u`` is that of a neuron that does not spike, ``raised_u`` that of one that does, and
    ``same_u`` says that u is what it was.
    """

    membrane: Value
    hold_i: Value
    v_4: Value
    u: Value
    raised_u: Value
    same_u: Value


class _Done(NamedTuple):
    """A neuron in the last stage: its spike, its new state, and whether it rests."""

    spike: Value
    v: Value
    u: Value
    h: Value
    refractory: Value
    rests: Value


class _Last(NamedTuple):
    """A beat in the last stage; ``early`` says which one two stages before."""

    valid: Value
    early: Value
    beat: Value
    spikes: Value


class _Parts(NamedTuple):
    """What works on each neuron of a beat."""

    common: _Common
    current: _Current | None
    recovery: Recovery | None
    spiking: _Spiking
    leak: _Leak | None
    adaptation: Adaptation | None


class _Current:
    """A synaptic current u, and which u the membrane sees."""

    def __init__(self, line: Pipeline, parameter: Parameter, common: _Common) -> None:
        self._line, self._common = line, common
        self._integrate = line.last - 4
        self._decay_u_3 = line.carry(parameter("decay_u"), "decay_u_3")
        self._order_old_i = line.carry(parameter("order_old"), "order_old", self._integrate - 2)

    def neuron(self, u_3: Value, drive_5: Value) -> tuple[Value, Value, Value]:
        """What the membrane gets; in the last stage u', and whether u is what it was."""
        line, carry, integrate = self._line, self._line.carry, self._integrate
        u_4 = carry(u_3, "u_4")
        product_u, rounds_u = line.product(u_3, self._decay_u_3, "product_u")
        decayed_u_4: Value = Mux(self._common.started_4, line.decayed(product_u), u_4)
        if line.held and self._common.at_once and not rounds_u:
            decayed_u_4 = line.wire(line.decayed(product_u), "own_decayed_u")
        sum_u_6 = carry(carry(decayed_u_4, "decayed_u") + drive_5, "sum_u")
        u_i = carry(line.fit(sum_u_6), "new_u")
        old_u_i = carry(u_4, "old_u", integrate - 4)
        input_i = Mux(self._order_old_i, old_u_i, u_i)
        u_l = carry(u_i, "u", 4)
        same_u = carry(carry(u_i == old_u_i, "same_u"), "same_u_l", 3)
        return input_i, u_l, same_u


class _Leak:
    """Membranes that go to their goal by a constant amount; those of a leak of 0 may decay."""

    def __init__(self, line: Pipeline, parameter: Parameter) -> None:
        self._line = line
        self._leak_3 = line.carry(parameter("leak"), "leak")
        self._v_leak_4 = line.carry(parameter("v_leak"), "v_leak", 2)
        self._linear_4 = line.carry(self._leak_3 != 0, "linear")

    def moved(self, v_3: Value, kept_4: Value) -> Value:
        """v nearer to its goal, or ``kept_4`` where it does not leak."""
        shape, carry = self._line.shape, self._line.carry
        leak_3, v_leak_4 = self._leak_3, self._v_leak_4
        down_4, up_4 = carry(v_3 - leak_3, "down"), carry(v_3 + leak_3, "up")
        nearer_4 = Mux(down_4 >= v_leak_4, down_4, Mux(up_4 < v_leak_4, up_4, v_leak_4))[
            : shape.state_bits
        ].as_signed()
        # Without a decay what does not leak stays, and so it does with a leak of nothing.
        decays = shape.fixed.decay_v != shape.decay_one
        return Mux(self._linear_4, nearer_4, kept_4) if decays else nearer_4


class _Spiking:
    """Clamp, limit and reset; ``parameter`` is a field of the class in the stage of the clamp."""

    def __init__(self, line: Pipeline, parameter: Parameter) -> None:
        carry = line.carry
        self._line = line
        reset_c, self._limit_c = parameter("reset"), parameter("threshold")
        self._amount_c, self._v_min_c = parameter("v_reset"), parameter("v_min")
        self._raised_c = _sum(self._limit_c, self._amount_c)
        self._two_phase_c = _same(reset_c, Reset.TWO_PHASE)
        self._silent_c = _same(reset_c, Reset.NONE)
        self._amount_s = carry(self._amount_c, "amount")
        to_value_s = carry(_same(reset_c, Reset.VALUE), "to_value")
        self._v_reset_l = carry(self._amount_s, "v_reset")
        self._to_value_l = carry(to_value_s, "to_value_l")
        self.period_l = carry(parameter("refractory"), "period", 2)
        self.emit_l = carry(parameter("emit"), "emit", 2)

    def neuron(
        self, membrane: Value, hold_c: Value, above_c: Value, offset_c: Value | None
    ) -> tuple[Value, Value, Value]:
        """In the last stage its spike and v', and w a stage before.

        ``above_c``: v was above threshold before; ``offset_c`` that of a threshold that adapts.
        """
        carry = self._line.carry
        limit = carry(self._limit(above_c, offset_c), "limit")
        able = carry(~hold_c & ~self._silent_c, "able")
        v_min_c = self._v_min_c
        below = (membrane < v_min_c) & ~hold_c
        if isinstance(v_min_c, Const) and v_min_c.value == self._line.shape.state_min:
            floored = carry(membrane, "w")
        else:
            floored = carry(Mux(below, v_min_c, membrane), "w")
        spike = carry(able & (floored > limit), "spike")
        remainder = carry(floored - self._amount_s, "remainder")
        unchanged = carry(floored, "unchanged")
        fallen = Mux(self._to_value_l, self._v_reset_l, self._subtracted(remainder))
        return spike, Mux(spike, fallen, unchanged), floored

    def _limit(self, above_c: Value, offset_c: Value | None) -> Value:
        """What w has to pass: see `CoreShape`."""
        limit_c, amount_c, two_phase_c = self._limit_c, self._amount_c, self._two_phase_c
        never = isinstance(two_phase_c, Const) and not two_phase_c.value
        if offset_c is not None:
            more_c = offset_c
            if not never:
                more_c = Mux(two_phase_c, Mux(above_c, amount_c, 0), offset_c)
            return limit_c + more_c
        return limit_c if never else Mux(two_phase_c & above_c, self._raised_c, limit_c)

    def _subtracted(self, value: Value) -> Value:
        """w - v_reset of a neuron that spikes: w > threshold may exclude an overflow."""
        amount_c, limit_c = self._amount_c, self._limit_c
        if isinstance(amount_c, Const) and isinstance(limit_c, Const):
            lowest = limit_c.value + 1 - amount_c.value
            if amount_c.value >= 0 and lowest >= self._line.shape.state_min:
                return value[: self._line.shape.state_bits].as_signed()
        return self._line.fit(value)


def _same(value: Value, reset: Reset) -> Value:
    return Const(int(value.value == reset), 1) if isinstance(value, Const) else value == reset


def _sum(a: Value, b: Value) -> Value:
    if isinstance(a, Const) and isinstance(b, Const):
        return Const(a.value + b.value)
    return a + b
