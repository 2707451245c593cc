r"""Adaptive thresholds in whole numbers.

An integer h loses :math:`\lceil h / 2^k \rceil` in a step, which is :math:`h (1 - 2^{-k})` rounded
down. So of the real ones, which lose :math:`h (1 - e^{-dt/\tau})`, those with
:math:`\tau = -dt / \ln(1 - 2^{-k})` are the same, and those that never decay.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...ir.diagnostics import Diagnostics
from ...ir.graph import Population
from ...ir.homeostasis import AdaptiveThreshold
from ...ir.neurons import IntegerNeuron

# A decay that misses a power of two by less than this, relative, misses it by rounding errors.
_EXACT = 1e-9


def with_adaptation(
    neuron: IntegerNeuron,
    population: Population,
    adaptive: AdaptiveThreshold,
    dt: float,
    found: Diagnostics,
) -> IntegerNeuron:
    """``neuron`` with the threshold of ``adaptive``; its unit is that of v.

    Finds E0301 for a bound other than the largest state, an h that lasts from sample to sample, and
    a decay that no shift has; E0401 for an increment that rounds to zero or leaves the state.
    """
    name, at = population.name, population.at
    if adaptive.maximum is not None:
        found.add(
            "E0301",
            f"the threshold of '{name}' adapts up to {float(np.max(adaptive.maximum)):g}; integers "
            f"have no bound but the state, {neuron.numerics.state.high * neuron.scale:g}",
            at,
            "leave out adaptive.maximum, or run it on the golden rung",
        )
    if adaptive.persistent:
        found.add(
            "E0301",
            f"the threshold of '{name}' adapts from sample to sample; integers clear h before each",
            at,
            "learn on the golden rung, add h to v_threshold and leave out 'adaptive'",
        )
    most = neuron.numerics.state.width
    shift = _shift(adaptive, dt, most)
    if shift is None:
        lost = -np.expm1(-dt / adaptive.tau)
        k = int(np.clip(np.floor(-np.log2(np.max(lost))), 1, most - 1))
        near = [float(-dt / np.log1p(-(2.0**-n))) for n in (k, k + 1)]
        spread = (
            "differs from neuron to neuron"
            if np.ptp(lost) > 0
            else f"is {adaptive.tau.flat[0]:g} s"
        )
        found.add(
            "E0301",
            f"the adaptive.tau of '{name}' {spread}; integers lose a share of 2^-k of h in a step, "
            "the same in all neurons",
            at,
            f"take {' or '.join(map(repr, near))} s for all, or inf",
        )
    whole = np.rint(adaptive.increment / neuron.scale)
    if np.any((adaptive.increment > 0) & (whole < 1)) or np.any(whole > neuron.numerics.state.high):
        found.add(
            "E0401",
            f"an adaptive.increment of {float(np.min(adaptive.increment)):g} to "
            f"{float(np.max(adaptive.increment)):g} is {float(np.min(whole)):.0f} to "
            f"{float(np.max(whole)):.0f} units of v in '{name}'; the state holds 1 to "
            f"{neuron.numerics.state.high}",
            at,
            "use more --state-bits",
        )
    if found.errors or shift is None:
        return neuron
    return replace(
        neuron,
        adapt_inc=whole.astype(np.int64),
        adapt_shift=shift,
        adapt_period=1 if shift else 0,
    )


def _shift(adaptive: AdaptiveThreshold, dt: float, most: int) -> int | None:
    """k of a decay by :math:`1 - 2^{-k}`, 0 where there is none, ``None`` where it is another."""
    lost = -np.expm1(-dt / adaptive.tau)
    if not lost.any():
        return 0
    if not lost.all():
        return None
    k = int(np.rint(-np.log2(float(lost.flat[0]))))
    return k if 1 <= k <= most and np.all(np.abs(lost * 2.0**k - 1.0) <= _EXACT) else None
