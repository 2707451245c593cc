"""The end of a step: every neuron integrates what has been accumulated and may spike.

One neuron a cycle goes through these stages (the two in brackets only with a current):

=====  ================================================================================
stage  work
=====  ================================================================================
0      index to the neuron and accumulator memories
1      class and bias in; accumulator lane chosen; class and state addresses out
2      decays, shift, start and state in
3      products v decay_v and u decay_u; a << shift; bias or first bias
4      products rounded; d = (a << shift) + bias
[5]    u decayed + d
[6]    u' fitted
5      v decayed + x
6      w fitted
7      w = max(w, v_min)
8      w > limit; w - threshold
9      v', u', refractory written back; trace and spike out
=====  ================================================================================

A neuron that must keep its membrane (not started, or refractory) goes through with a decay of
one and nothing added, so v itself is not carried along.
"""

# Amaranth ships no types.
# mypy: disable-error-code="import-untyped", allow-subclassing-any

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import fitted, rounded
from .cycles import commit_stages
from .layouts import (
    DYNAMICS,
    SPIKING,
    TraceSignature,
    fired_layout,
    read_signature,
    write_signature,
)
from .shape import CoreShape, Memory, Reset, index_bits


class Commit(wiring.Component):
    """The commit sweep of `CoreShape`'s TICK over neurons 0 .. active_neurons - 1.

    Members
    -------
    start : begin a sweep in the next cycle; only while not busy
    active_neurons, step : constant while busy
    busy : from the cycle after ``start`` until the last neuron is written back
    neurons, first_bias, dynamics, spiking : read ports of the configuration
    accumulator, cleared : read and write port of the accumulators
    potential, new_potential : read and write port of v; likewise current and refractory
    fired : spikes in order of neuron
    trace : every swept neuron
    """

    def __init__(self, shape: CoreShape) -> None:
        self._shape = shape

        members = {
            "start": In(1),
            "active_neurons": In(range(shape.neurons + 1)),
            "step": In(shape.step_bits),
            "busy": Out(1),
            "neurons": In(read_signature(shape, Memory.NEURONS)),
            "dynamics": In(read_signature(shape, Memory.CLASSES, DYNAMICS)),
            "spiking": In(read_signature(shape, Memory.CLASSES, SPIKING)),
            "accumulator": In(read_signature(shape, Memory.ACCUMULATORS)),
            "cleared": In(write_signature(shape, Memory.ACCUMULATORS)),
            "potential": In(read_signature(shape, Memory.POTENTIALS)),
            "new_potential": In(write_signature(shape, Memory.POTENTIALS)),
            "fired": Out(stream.Signature(fired_layout(shape), always_ready=True)),
            "trace": Out(TraceSignature(shape)),
        }
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
        lane_bits = index_bits(shape.lanes)
        neuron_bits = index_bits(shape.neurons)

        def carry(value: Value, name: str, stages: int = 1) -> Value:
            for _ in range(stages):
                register = Signal.like(value, name=name)
                m.d.sync += register.eq(value)
                value = register
            return value

        def round_product(value: Value) -> Value:
            return rounded(value, shape.decay_bits, shape.rounding)[: shape.state_bits].as_signed()

        def fit(value: Value) -> Value:
            return fitted(value, shape.state_bits, shape.overflow)

        # Stage 0: the sweep.
        sweeping = Signal()
        index_0 = Signal(range(shape.neurons + 1))
        issue = Signal()
        m.d.comb += issue.eq(sweeping & (index_0 != self.active_neurons))
        with m.If(self.start):
            m.d.sync += [sweeping.eq(1), index_0.eq(0)]
        with m.Elif(issue):
            m.d.sync += index_0.eq(index_0 + 1)
        with m.Else():
            m.d.sync += sweeping.eq(0)
        draining = [sweeping]
        for _ in range(last - 1):
            draining.append(carry(draining[-1], "draining"))
        m.d.comb += [
            self.busy.eq(Cat(draining).any()),
            self.neurons.addr.eq(index_0),
            self.accumulator.addr.eq(Cat(self.step[: shape.delay_bits], index_0[lane_bits:])),
        ]
        if shape.first_bias:
            m.d.comb += self.first_bias.addr.eq(index_0)

        # Stage 1. An accumulator word is cleared when its last lane has been read.
        valid_1 = carry(issue, "valid_1")
        index_1 = carry(index_0[:neuron_bits], "index_1")
        class_1 = self.neurons.data.class_id
        lane_1 = index_1[:lane_bits]
        m.d.comb += [
            self.dynamics.addr.eq(class_1),
            self.potential.addr.eq(index_1),
            self.cleared.addr.eq(carry(self.accumulator.addr, "cleared_addr")),
            self.cleared.data.eq(0),
            self.cleared.en.eq(valid_1 & ((lane_1 == shape.lanes - 1) | ~issue)),
        ]
        if shape.cuba:
            m.d.comb += self.current.addr.eq(index_1)
        if shape.refractory_bits:
            m.d.comb += self.refractory.addr.eq(index_1)

        # Stage 2.
        dynamics = self.dynamics.data
        started_2 = self.step >= dynamics.start
        first_2 = self.step == dynamics.start

        # Stage 3: everything comes from registers, the multipliers' operands above all.
        accumulated_3 = carry(self.accumulator.data.acc[lane_1], "accumulated", 2)
        bias_3 = carry(self.neurons.data.bias, "bias", 2)
        v_3 = carry(self.potential.data.v, "v_3")
        started_3 = carry(started_2, "started_3")
        threshold_3 = carry(dynamics.threshold, "threshold_3")
        product_v_3 = v_3 * carry(dynamics.decay_v, "decay_v_3")
        shifted_3 = accumulated_3 << carry(dynamics.shift, "shift_3")
        if shape.first_bias:
            first_bias_3 = carry(self.first_bias.data.first_bias, "first_bias", 2)
            bias_3 = Mux(carry(first_2, "first_3"), first_bias_3, bias_3)
        hold_3 = ~started_3
        if shape.refractory_bits:
            counter_3 = carry(self.refractory.data.refractory, "counter_3")
            resting_3 = counter_3 != 0
            hold_3 = hold_3 | resting_3
            counted_3 = counter_3 - (started_3 & resting_3)
            counted = carry(counted_3[: shape.refractory_bits], "counted", last - 3)

        # Stage 4.
        hold_4 = carry(hold_3, "hold_4")
        started_4 = carry(started_3, "started_4")
        decayed_v = round_product(carry(product_v_3, "product_v"))
        decayed_v_4 = Mux(hold_4, carry(v_3, "v_4"), decayed_v)
        drive_4 = Mux(started_4, carry(shifted_3, "shifted") + carry(bias_3, "bias_4"), 0)

        # Stages 5 and 6 of a current, and the sum that is the new membrane.
        integrate = last - 4
        decayed_v_i = carry(decayed_v_4, "decayed_v", integrate - 4)
        hold_i = carry(hold_4, "hold", integrate - 4)
        drive_5 = carry(drive_4, "drive_5")
        if shape.cuba:
            u_3 = carry(self.current.data.u, "u_3")
            u_4 = carry(u_3, "u_4")
            product_u = carry(u_3 * carry(dynamics.decay_u, "decay_u_3"), "product_u")
            decayed_u_4 = Mux(started_4, round_product(product_u), u_4)
            sum_u_6 = carry(carry(decayed_u_4, "decayed_u") + drive_5, "sum_u")
            u_i = carry(fit(sum_u_6), "new_u")
            order_old_i = carry(dynamics.order_old, "order_old", integrate - 2)
            input_i = Mux(order_old_i, carry(u_4, "old_u", integrate - 4), u_i)
            new_u = carry(u_i, "u", last - integrate)
        else:
            input_i = drive_5
        sum_v = carry(decayed_v_i + Mux(hold_i, 0, input_i), "sum_v")
        membrane = carry(fit(sum_v), "fitted_v")

        # From here on the second half of the class word is at hand.
        clamp = last - 2
        m.d.comb += self.spiking.addr.eq(carry(class_1, "class_id", clamp - 2))
        spiking = self.spiking.data
        hold_c = carry(hold_i, "hold_c", clamp - integrate)
        above_c = carry(v_3 > threshold_3, "above", clamp - 3)
        doubled = (spiking.reset == Reset.TWO_PHASE) & above_c
        limit = carry(Mux(doubled, spiking.threshold << 1, spiking.threshold), "limit")
        able = carry(~hold_c & (spiking.reset != Reset.NONE), "able")
        floored = carry(Mux(~hold_c & (membrane < spiking.v_min), spiking.v_min, membrane), "w")
        threshold = carry(spiking.threshold, "threshold")

        # Last stage.
        spike = carry(able & (floored > limit), "spike")
        remainder = carry(floored - threshold, "remainder")
        unchanged = carry(floored, "unchanged")
        to_value = carry(carry(spiking.reset, "reset") == Reset.VALUE, "to_value")
        v_reset = carry(spiking.v_reset, "v_reset", 2)
        valid = carry(valid_1, "valid", last - 1)
        index = carry(index_1, "index", last - 1)
        new_v = Signal.like(self.trace.v)
        m.d.comb += [
            new_v.eq(Mux(spike, Mux(to_value, v_reset, fit(remainder)), unchanged)),
            self.new_potential.addr.eq(index),
            self.new_potential.data.v.eq(new_v),
            self.new_potential.en.eq(valid),
            self.fired.valid.eq(valid & spike),
            self.fired.payload.neuron.eq(index),
            self.fired.payload.emit.eq(carry(spiking.emit, "emit", 2)),
            self.trace.valid.eq(valid),
            self.trace.index.eq(index),
            self.trace.v.eq(new_v),
            self.trace.spike.eq(spike),
        ]
        if shape.cuba:
            m.d.comb += [
                self.trace.u.eq(new_u),
                self.new_current.addr.eq(index),
                self.new_current.data.u.eq(new_u),
                self.new_current.en.eq(valid),
            ]
        if shape.refractory_bits:
            period = carry(spiking.refractory, "period", 2)
            m.d.comb += [
                self.new_refractory.addr.eq(index),
                self.new_refractory.data.refractory.eq(Mux(spike, period, counted)),
                self.new_refractory.en.eq(valid),
            ]
        return m
