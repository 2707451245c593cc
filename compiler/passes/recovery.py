r"""Quantisation of membranes with a recovery (`ir.neurons.Izhikevich`).

Integer states start at zero, so v and u are counted from where they start, :math:`v_0` and
:math:`b v_0`. With h one Euler step of v in ms and s the unit of v:

.. math::
    \mathrm{decay}_v &= \mathrm{round}((1 + h k_1 + 2 h k_2 v_0)\,2^F), \qquad
    \mathrm{curve} = \mathrm{round}(h k_2 s\,2^{F+W}),\\
    \mathrm{couple} &= \mathrm{round}(b h\,2^F), \qquad
    \mathrm{rate} = \mathrm{round}(a\,dt\,2^{F+4}), \qquad
    \mathrm{jump} = \mathrm{round}(d h / s):

one unit of u is what takes one unit off v in an Euler step, :math:`s/h`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import Diagnostics, fail
from ...ir.graph import Population
from ...ir.neurons import IntegerNeuron
from ...ir.numerics import Rounding
from ...ir.recovery import DECAY, FACTORS, MAX_PRODUCT_BITS, Recovery
from ...ir.semantics import Semantics
from ...ir.step import StepParameters

Real = npt.NDArray[np.float64]

# The state holds the way from the start to the threshold so many times, and so many jumps of u.
_ROOM = 2.0
_JUMPS = 8.0
_MAX_SHIFT = 31
# A recovery that stops further from its goal than this share of what a spike adds is reported.
_SHORT = 0.05


def centred(step: StepParameters, semantics: Semantics) -> tuple[StepParameters, Semantics]:
    """The same step of v - v_init and u - b v_init; what has no recovery as it is."""
    recovery = step.recovery
    if recovery is None:
        return step, semantics
    assert step.threshold is not None and step.v_reset is not None
    v, curve = semantics.v_init, recovery.curve
    drift = (curve * v + step.decay_v - 1.0) * v + step.drift - recovery.pull * recovery.couple * v
    moved = replace(
        step,
        decay_v=np.asarray(step.decay_v + 2.0 * curve * v),
        drift=np.asarray(drift),
        threshold=np.asarray(step.threshold - v),
        v_reset=np.asarray(step.v_reset - v),
    )
    v_min = None if semantics.v_min is None else semantics.v_min - v
    return moved, replace(semantics, v_init=0.0, v_min=v_min)


def most_decay_bits(population: Population, rounding: Rounding, state_bits: int) -> int:
    """The decay bits that a product of 63 bits leaves beside the state; E0402 if stochastic."""
    if rounding is Rounding.STOCHASTIC:
        raise fail(
            "E0402",
            f"'{population.name}' has a recovery, whose products are not rounded stochastically",
            population.at,
            "choose --rounding nearest_even",
        )
    return MAX_PRODUCT_BITS - state_bits


def recovery_shift(
    population: Population,
    step: StepParameters,
    recovery: Recovery,
    scale: float,
    bias: float,
    state_bits: int,
) -> int:
    """How many bits the state has below the unit of a weight: as many as its range leaves."""
    ends = (x for x in (step.threshold, step.v_reset) if x is not None)
    way = max(float(np.max(np.abs(x))) for x in ends)
    pull = float(recovery.pull)
    v_min = population.semantics.v_min
    needed = max(
        _ROOM * way,
        0.0 if v_min is None else abs(v_min),
        _ROOM * bias * scale,
        pull
        * float(np.max(np.abs(recovery.couple)) * way + _JUMPS * np.max(np.abs(recovery.jump))),
    )
    room = float((1 << (state_bits - 1)) - 1)
    return int(np.clip(np.floor(np.log2(room * scale / needed)), 0, _MAX_SHIFT))


def with_recovery(
    neuron: IntegerNeuron,
    population: Population,
    step: StepParameters,
    start: float,
    unit: float,
    found: Diagnostics,
) -> IntegerNeuron:
    """The integer neuron with its recovery, if it has one; ``step`` is centred at ``start``.

    E0401 where a number does not fit its field or would round to nothing, W0406 where the rounding
    of u stops it far from its goal.
    """
    recovery = step.recovery
    if recovery is None:
        return neuron
    state, bits = neuron.numerics.state, neuron.numerics.decay_bits
    one, pull = 1 << bits, float(recovery.pull)

    def whole(name: str, value: Any, limits: tuple[int, int], hint: str) -> npt.NDArray[np.int64]:
        low, high = limits
        exact = np.asarray(value, np.float64)
        rounded = np.rint(exact)
        if np.any((rounded < low) | (rounded > high)):
            at = float(exact.flat[np.argmax(np.abs(exact))])
            found.add(
                "E0401",
                f"the {name} of '{population.name}' is {at:.0f} of its unit; {low} to {high} fit",
                population.at,
                hint,
            )
        elif np.any((rounded == 0) & (exact != 0)):
            found.add(
                "E0401",
                f"the {name} of '{population.name}' rounds to zero: it is "
                f"{float(np.min(np.abs(exact[exact != 0]))):.3g} of its unit",
                population.at,
                "use more --state-bits or --decay-bits",
            )
        return np.clip(rounded, low, high).astype(np.int64)

    finer = "shorten dt, or give the neurons more substeps"
    whole("linear term", step.decay_v * one, DECAY.limits(bits), finer)
    curve = recovery.curve * unit * one * 2.0**state.width
    couple, rate = recovery.couple * pull * one, recovery.rate * one * 16.0
    jump = recovery.jump * pull / unit
    integer = replace(
        neuron,
        curve=whole("curvature", curve, FACTORS["curve"].limits(bits), finer),
        couple=whole("coupling b", couple, FACTORS["couple"].limits(bits), finer),
        rate=whole("rate a", rate, FACTORS["rate"].limits(bits), "shorten dt"),
        jump=whole("jump d", jump, (state.low, state.high), "use more --state-bits"),
        substeps=recovery.substeps,
        v_origin=start,
        u_origin=np.asarray(recovery.couple * start),
        u_unit=unit / pull,
    )
    # A difference from the goal that moves u by less than half a unit does not move it.
    moving = np.where(recovery.rate != 0, np.abs(recovery.rate), np.inf)
    short, added = np.broadcast_arrays(np.atleast_1d(unit / pull / 2.0 / moving), recovery.jump)
    share = short / np.maximum(np.abs(added), 1.0)
    worst = int(np.argmax(share))
    if share.flat[worst] > _SHORT:
        found.add(
            "W0406",
            f"the recovery of '{population.name}' stops up to {short.flat[worst]:.3g} mV/ms from "
            f"its goal; a spike adds {added.flat[worst]:g}",
            population.at,
            "use more --state-bits",
        )
    return integer


def recovery_error(neuron: IntegerNeuron, recovery: Recovery) -> float:
    """The largest relative error of curvature, coupling, rate and jump."""
    assert neuron.u_unit is not None
    one = float(1 << neuron.numerics.decay_bits)
    pull = neuron.scale / neuron.u_unit
    bend = neuron.scale * one * 2.0**neuron.numerics.state.width
    errors = [0.0]
    for whole, exact, unit in (
        (neuron.curve, recovery.curve, bend),
        (neuron.couple, recovery.couple, pull * one),
        (neuron.rate, recovery.rate, 16.0 * one),
        (neuron.jump, recovery.jump, 1.0 / neuron.u_unit),
    ):
        assert whole is not None
        share = np.where(exact != 0, np.abs(exact), 1.0)
        errors.append(float(np.max(np.abs(whole / unit - exact) / share)))
    return max(errors)
