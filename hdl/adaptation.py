"""Thresholds that adapt: an offset h that spikes raise, and that decays in every so many steps.

It comes from memory three stages before the last. There what a spike adds is added; then its decay
is looked up and, in the stage before the last, taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Mux, Value

from .arithmetic import selected
from .pipeline import Parameter, Pipeline


class Offset(NamedTuple):
    """An offset as the limit needs it, a stage after memory, and in the last stage.

    ``raised_l`` is that of a neuron that spikes, ``kept_l`` that of one that does not.
    """

    offset_c: Value
    raised_l: Value
    kept_l: Value


class Adaptation:
    """The offsets of `CoreShape`, for the neurons of a beat.

    ``parameter`` is a field of their class in stage 2, ``timers`` the step modulo each of the
    shape's timers; offsets do not decay before a neuron has started.
    """

    def __init__(
        self,
        line: Pipeline,
        parameter: Parameter,
        timers: Sequence[Value],
        started_2: Value,
    ) -> None:
        carry, last = line.carry, line.last
        self._line, self._bits = line, line.shape.state_bits - 1
        self._decays = bool(timers)
        self._increment_a = carry(parameter("adapt_inc"), "increment", last - 5)
        if not timers:
            return
        timer = parameter("adapt_timer") if len(timers) > 1 else Const(0, 0)
        due_2 = selected(timers, timer) == parameter("adapt_phase")
        self._due_s = carry(due_2 & started_2, "due", last - 3)
        part_2 = parameter("adapt_shift")
        self._part_c = carry(part_2, "adapt_shift", last - 4)
        if isinstance(part_2, Const):
            self._rest_c: Value = Const((1 << part_2.value) - 1)
        else:
            rest_2 = ((1 << part_2) - 1)[: self._bits]
            self._rest_c = carry(rest_2, "adapt_rest", last - 4)

    def neuron(self, offset_a: Value) -> Offset:
        """One neuron, from the offset three stages before the last."""
        carry, h_bits = self._line.carry, self._bits
        sum_a = offset_a + self._increment_a
        raised_a = sum_a[:h_bits] | sum_a[h_bits:].any().replicate(h_bits)
        offset_c = carry(offset_a, "offset_c")
        raised_l = self._lowered(carry(raised_a, "raised"), "raised_l")
        return Offset(offset_c, raised_l, self._lowered(offset_c, "kept_l"))

    def _lowered(self, value_c: Value, name: str) -> Value:
        """An offset two stages later: when it is due, h - ceil(h / 2^shift) >= 0."""
        carry, h_bits = self._line.carry, self._bits
        value_s = carry(value_c, name)
        if not self._decays:
            return carry(value_s, name)
        part_s = carry((value_c >> self._part_c)[:h_bits], f"{name}_part")
        whole_s = carry(~(value_c & self._rest_c).any(), f"{name}_whole")
        # value - part - 1, and one more where nothing was rounded up.
        part_s = ~Cat(part_s, Const(0, h_bits - len(part_s)))
        less_s = (Cat(1, value_s) + Cat(whole_s, part_s))[1 : h_bits + 1]
        return carry(Mux(self._due_s, less_s, value_s), name)
