"""What happens inside one step: the part of a network that trained files leave out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .records import Record


class Decay(StrEnum):
    """The factor by which a state shrinks in one step of length dt."""

    EULER = "euler"  # 1 - dt/tau
    EXPONENTIAL = "exponential"  # exp(-dt/tau)
    MIDPOINT = "midpoint"  # 1 - dt/tau + (dt/tau)^2/2: Runge and Kutta's second order


class Gain(StrEnum):
    """The factor by which an input of a leaky state is multiplied in one step.

    ``g`` below is R for a membrane and w_in for a synapse.
    """

    EULER = "euler"  # g * dt/tau
    EXACT = "exact"  # g * (1 - exp(-dt/tau)): the input is held through the step
    COMPENSATED = "compensated"  # g * dt/tau * exp(dt/tau): undoes Rockpool's export factor
    # g: an input is a jump. A membrane behind a synapse sees u decay through the step instead.
    PROPAGATED = "propagated"


class IntegratorGain(StrEnum):
    """The factor by which an input of a leakless state (IF, I) is multiplied in one step."""

    PER_STEP = "per_step"  # R: what training frameworks do
    PER_SECOND = "per_second"  # R * dt: the letter of dv/dt = R I


class Current(StrEnum):
    """Which synaptic current the membrane of a CUBA neuron sees."""

    NEW = "new"  # the one that has already received this step's input
    OLD = "old"  # the one left by the step before


class Comparison(StrEnum):
    """When a membrane counts as above threshold."""

    GREATER = ">"
    GREATER_EQUAL = ">="


class Reset(StrEnum):
    """What a spike does to the membrane."""

    ZERO = "zero"  # v <- 0, whatever v_reset the file holds
    VALUE = "value"  # v <- v_reset
    SUBTRACT = "subtract"  # v <- v - threshold
    TWO_PHASE = "two_phase"  # snnTorch: a neuron left above threshold is reset before comparing


@dataclass(frozen=True, eq=False)
class Semantics(Record):
    r"""The rules of one step of one population.

    With :math:`S` the weighted input of the step, :math:`a, b` the decays and :math:`k_s, k_m`
    the gains::

        u' = a u + k_s S                    (CUBA models; u is the synaptic current)
        x  = k_m (u' or u)                  (``current``)   or  k_m S without a synapse
        w  = max(y + x, v_min)
        y  = b v + (1 - b) v_leak           (``LinearLIF``: v nearer to v_leak by leak dt at most)
        z  = [w > threshold]                (``comparison``; ``reset`` two_phase: see below)
        v' = w, or after a spike what ``reset`` says

    An ``Izhikevich`` membrane takes n = ``substeps`` steps of h = dt/n, in ms, and its recovery u
    one of dt; both start from the v and u of the step before, whatever ``decay`` and ``gain``::

        x  = x + h (k2 x^2 + k1 x + k0 - u) + k_m S    n times, from v; k_m = R/n or R h
        w  = max(x, v_min)                  (``integrator_gain`` chooses k_m)
        u' = u + dt a (b v - u) + z d       and v' = c after a spike, whatever ``reset`` says

    In a refractory step, which must freeze v, u goes on.

    **Point neurons** (`PointLIF`, `AdEx`) take their whole equation through the step, from the
    state at its start: with ``decay`` euler by Euler's method, with midpoint by the midpoint
    method, with exponential exactly, but for conductances and for the upswing of an `AdEx`, which
    are held (exponential Euler); ``gain`` says whether currents decay through the step (propagated)
    or are held too (exact), as they always are in a population with a conductance or an upswing.
    With ``current`` new what arrives in a step is added before that; with
    old it is added behind threshold and reset, as Brian2 does. Reset is to ``v_reset``, one
    spike a step; in a refractory step v stands still, and everything else goes on. Deltas that
    arrive then, or with a spike, are lost.

    ``two_phase`` compares with twice the threshold when the old ``v`` is above it, by the same
    ``comparison``. ``max_spikes`` above 1 emits ``floor(w / threshold)`` spikes (whatever
    ``comparison``; one fewer under ``two_phase`` when the old ``v`` is above), at most that many
    (``None``: no limit). ``subtract`` and ``two_phase`` take off one threshold a spike. In a
    refractory step (``refractory`` of them follow a spike) nothing is emitted, and the membrane
    is frozen when ``refractory_frozen``. A ``registered`` population shows its spikes one step
    late. ``recurrent_bias_first`` is false where the bias of a recurrent connection is absent
    from the first step. States start at ``v_init`` and 0, a recovery at ``b v_init``.
    """

    decay: Decay = Decay.EULER
    gain: Gain = Gain.EULER
    integrator_gain: IntegratorGain = IntegratorGain.PER_STEP
    current: Current = Current.NEW
    comparison: Comparison = Comparison.GREATER
    reset: Reset = Reset.ZERO
    max_spikes: int | None = 1
    v_min: float | None = None
    refractory: int = 0
    refractory_frozen: bool = True
    registered: bool = False
    recurrent_bias_first: bool = True
    v_init: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "v_init", float(self.v_init))
        if self.v_min is not None:
            object.__setattr__(self, "v_min", float(self.v_min))
