"""Membranes with a recovery: v advanced several times in a step, and u once, beside it.

=====  ================================================================================
stage  work
=====  ================================================================================
3      products v curve and v couple
4      factor = decay_v + v curve / 2^W; distance = v couple / 2^F - u
5      products v factor and distance rate
6      product rounded, or v as it was; u + distance rate / 2^(F + 4)
7      + d - u; u' fitted
8      fitted: the v with which stage 3 begins again; u' + jump
9      u' + jump fitted
=====  ================================================================================
"""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import Mux, Value

from .cycles import RECOVERY_STAGES
from .pipeline import Parameter, Pipeline


class Recovered(NamedTuple):
    """A neuron after its advances.

    ``membrane`` is v before its lower clamp; in the last stage are ``u`` of a neuron that does not
    spike, ``raised_u`` of one that does, and ``same_u``: that u is what it was.
    """

    membrane: Value
    u: Value
    raised_u: Value
    same_u: Value


class _Advance(NamedTuple):
    """Parameters in the stage in which an advance of v begins; its decay is read in the next."""

    curve: Value
    decay: Value
    again: Value


class Recovery:
    """The recovery of `CoreShape`, for the neurons of a beat.

    ``parameter`` is a field of their class in stage 2, ``decay_v_3`` its decay in stage 3.
    """

    def __init__(self, line: Pipeline, parameter: Parameter, decay_v_3: Value) -> None:
        carry = line.carry
        self._line = line
        first = (carry(parameter("curve"), "curve"), decay_v_3, carry(parameter("again"), "again"))
        self._advances = [_Advance(*first)]
        for _ in range(line.shape.quadratic - 1):
            names = ("curve", "decay_v_f", "again")
            pairs = zip(self._advances[-1], names, strict=True)
            later = (carry(value, name, RECOVERY_STAGES) for value, name in pairs)
            self._advances.append(_Advance(*later))
        self._couple_3 = carry(parameter("couple"), "couple")
        self._rate_5 = carry(parameter("rate"), "rate", 3)
        self._jump_8 = carry(parameter("jump"), "jump", 6)

    def neuron(
        self, v_3: Value, u_3: Value, hold_3: Value, started_4: Value, drive_5: Value
    ) -> Recovered:
        """One neuron; with ``hold_3`` v stays, and before it has ``started_4`` u does, too."""
        line, last = self._line, self._line.last
        carry, quotient, fit = line.carry, line.quotient, line.fit
        width, fraction = line.shape.state_bits, line.shape.decay_bits
        u_4 = carry(u_3, "u_4")
        goal_4 = quotient(carry(v_3 * self._couple_3, "goal"), fraction, width + 3)
        distance_5 = carry(goal_4 - u_4, "distance")
        move_6 = carry(distance_5 * self._rate_5, "move")
        part_6 = quotient(move_6, fraction + 4, width + 5)
        u_6 = carry(u_4, "old_u", 2)
        sum_u_7 = carry(u_6 + Mux(carry(started_4, "started", 2), part_6, 0), "sum_u")
        u_8 = carry(fit(sum_u_7), "new_u")
        raised_10 = carry(fit(carry(u_8 + self._jump_8, "sum_jump")), "raised_u")
        u, raised_u = carry(u_8, "u", last - 8), carry(raised_10, "raised_u_l", last - 10)
        same_9 = carry(u_8 == carry(u_6, "old_u_8", 2), "same_u")
        same_u = carry(same_9, "same_u_l", last - 9)
        # From stage 7 on, where it is added first.
        net_7 = carry(carry(drive_5 - carry(u_4, "u_5"), "net"), "net")
        return Recovered(self._advanced(v_3, hold_3, net_7), u, raised_u, same_u)

    def _advanced(self, membrane: Value, stays: Value, net: Value) -> Value:
        """v advanced as often as its class says; ``net`` is what each advance adds."""
        carry, quotient, fit = self._line.carry, self._line.quotient, self._line.fit
        width, fraction = self._line.shape.state_bits, self._line.shape.decay_bits
        for number, (curve, decay, again) in enumerate(self._advances):
            if number:
                stays = stays | (again < number)
            bent = quotient(carry(membrane * curve, "bent"), width, fraction + 6)
            # |v curve / 2^W| <= 2^(F + 4), and a decay is less than half of that.
            sum_f = (carry(decay, "decay_f") + bent)[: fraction + 6]
            factor = carry(sum_f.as_signed(), "factor")
            product = carry(carry(membrane, "v_f", 2) * factor, "product_v")
            left = quotient(product, fraction, width + 6)
            stays = carry(stays, "stays", 3)
            moved = carry(Mux(stays, carry(membrane, "v_k", 3), left), "moved")
            stays = carry(stays, "stays")
            sum_v = carry(moved + Mux(stays, 0, net), "sum_v")
            membrane = carry(fit(sum_v), "fitted_v")
            stays = carry(stays, "stays", 2)
            net = carry(net, "net", RECOVERY_STAGES)
        return membrane
