"""From a continuous model, its semantics and dt to the numbers of one discrete step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .neurons import (
    IF,
    LI,
    LIF,
    CubaLI,
    CubaLIF,
    IntegerNeuron,
    Integrator,
    Izhikevich,
    LinearLIF,
    LoihiNeuron,
    Neuron,
    PointLIF,
    Real,
    Relay,
    SpinnakerLIF,
    Threshold,
)
from .recovery import Recovery
from .semantics import Decay, Gain, IntegratorGain, Reset, Semantics


@dataclass(frozen=True)
class StepParameters:
    r"""The numbers in the step of ``semantics.Semantics``: arrays of shape () or the population's.

    ``decay_v`` is b, ``gain_v`` is k_m, ``drift`` is (1 - b) v_leak; ``decay_u`` is a and
    ``gain_u`` k_s, both ``None`` without a synapse. ``threshold`` is ``None`` for a model that
    never spikes. ``v_reset`` is what a spike sets v to (rules ``zero`` and ``value``). With
    ``leak``, the amount of one step, v moves toward ``v_leak`` instead of decaying.

    With ``recovery`` the membrane is an `Izhikevich` one: see there.
    """

    decay_v: Real
    gain_v: Real
    drift: Real
    decay_u: Real | None = None
    gain_u: Real | None = None
    threshold: Real | None = None
    v_reset: Real | None = None
    leak: Real | None = None
    v_leak: Real | None = None
    recovery: Recovery | None = None


_ZERO, _ONE = np.float64(0.0), np.float64(1.0)


def decay(tau: Real, dt: float, semantics: Semantics) -> Real:
    r""":math:`1 - dt/\tau`, :math:`e^{-dt/\tau}` or :math:`1 - dt/\tau + (dt/\tau)^2/2`."""
    match semantics.decay:
        case Decay.EULER:
            return np.asarray(1.0 - dt / tau)
        case Decay.EXPONENTIAL:
            return np.asarray(np.exp(-dt / tau))
        case Decay.MIDPOINT:
            return np.asarray(1.0 - dt / tau * (1.0 - 0.5 * dt / tau))


def gain(g: Real, tau: Real, dt: float, semantics: Semantics) -> Real:
    r""":math:`g\,dt/\tau`, :math:`g(1 - e^{-dt/\tau})`, :math:`g\,(dt/\tau)\,e^{dt/\tau}` or g."""
    match semantics.gain:
        case Gain.EULER:
            return np.asarray(g * (dt / tau))
        case Gain.EXACT:
            return np.asarray(-g * np.expm1(-dt / tau))
        case Gain.COMPENSATED:
            return np.asarray(g * (dt / tau) * np.exp(dt / tau))
        case Gain.PROPAGATED:
            return np.asarray(g + 0.0 * tau)


def propagator(tau_syn: Real, tau_mem: Real, dt: float) -> Real:
    r""":math:`\frac{1}{\tau_m} \int_0^{dt} e^{-s/\tau_s} e^{-(dt - s)/\tau_m} ds`.

    What a current of 1 at the start of a step, decaying with ``tau_syn``, adds to a membrane of
    ``tau_mem`` and a resistance of 1 until its end.
    """
    c = 1.0 / tau_syn - 1.0 / tau_mem
    with np.errstate(divide="ignore", invalid="ignore"):
        area = np.where(c == 0.0, dt, -np.expm1(-c * dt) / c)
    return np.asarray(np.exp(-dt / tau_mem) * area / tau_mem)


def alpha_propagator(tau_syn: Real, tau_mem: Real, dt: float) -> Real:
    r""":math:`\frac{e}{\tau_m \tau_s} \int_0^{dt} s\,e^{-s/\tau_s} e^{-(dt - s)/\tau_m} ds`.

    What a rise of 1 of an alpha function (``neurons.Kernel``) adds, as `propagator`.
    """
    x = np.asarray((1.0 / tau_syn - 1.0 / tau_mem) * dt)
    # 1 - e^-x (1 + x) loses its digits where x is small: the sum of its series instead.
    small = np.abs(x) < 1e-2
    series = 0.5 - x / 3.0 + x * x / 8.0 - x**3 / 30.0 + x**4 / 144.0 - x**5 / 840.0
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = (-np.expm1(-x) - x * np.exp(-x)) / (x * x)
    area = np.where(small, series, exact) * dt * dt
    return np.asarray(np.e / (tau_mem * tau_syn) * np.exp(-dt / tau_mem) * area)


def v_start(neuron: Neuron, semantics: Semantics) -> Real:
    """Where v starts: the model's own ``v_init``, or else that of the semantics."""
    own: Real | None = getattr(neuron, "v_init", None)
    return np.asarray(semantics.v_init) if own is None else own


def step_parameters(neuron: Neuron, semantics: Semantics, dt: float) -> StepParameters:
    """The numbers of one step of length ``dt`` seconds.

    ``TypeError`` for a model without a real-valued step.
    """
    match neuron:
        case IF() | Integrator():
            per_step = semantics.integrator_gain is IntegratorGain.PER_STEP
            return StepParameters(
                decay_v=np.asarray(_ONE),
                gain_v=np.asarray(neuron.r * (1.0 if per_step else dt)),
                drift=np.asarray(_ZERO),
                threshold=neuron.v_threshold if isinstance(neuron, IF) else None,
                v_reset=_reset(neuron.v_reset, semantics) if isinstance(neuron, IF) else None,
            )
        case LinearLIF():
            per_step = semantics.integrator_gain is IntegratorGain.PER_STEP
            return StepParameters(
                decay_v=np.asarray(_ONE),
                gain_v=np.asarray(neuron.r * (1.0 if per_step else dt)),
                drift=np.asarray(_ZERO),
                threshold=neuron.v_threshold,
                v_reset=_reset(neuron.v_reset, semantics),
                leak=np.asarray(neuron.leak * dt),
                v_leak=neuron.v_leak,
            )
        case Izhikevich():
            h = dt * 1e3 / neuron.substeps
            per_step = semantics.integrator_gain is IntegratorGain.PER_STEP
            return StepParameters(
                decay_v=np.asarray(1.0 + h * neuron.k1),
                gain_v=np.asarray(neuron.r * (1.0 / neuron.substeps if per_step else h)),
                drift=np.asarray(h * neuron.k0),
                threshold=neuron.v_threshold,
                v_reset=neuron.c,
                recovery=Recovery(
                    curve=np.asarray(h * neuron.k2),
                    couple=neuron.b,
                    rate=np.asarray(dt * 1e3 * neuron.a),
                    jump=neuron.d,
                    pull=np.asarray(h),
                    substeps=neuron.substeps,
                ),
            )
        case LIF() | LI():
            b = decay(neuron.tau, dt, semantics)
            return StepParameters(
                decay_v=b,
                gain_v=gain(neuron.r, neuron.tau, dt, semantics),
                drift=np.asarray((1.0 - b) * neuron.v_leak),
                threshold=neuron.v_threshold if isinstance(neuron, LIF) else None,
                v_reset=_reset(neuron.v_reset, semantics) if isinstance(neuron, LIF) else None,
            )
        case CubaLIF() | CubaLI():
            b = decay(neuron.tau_mem, dt, semantics)
            return StepParameters(
                decay_v=b,
                gain_v=_behind_synapse(neuron, dt, semantics),
                drift=np.asarray((1.0 - b) * neuron.v_leak),
                decay_u=decay(neuron.tau_syn, dt, semantics),
                gain_u=gain(neuron.w_in, neuron.tau_syn, dt, semantics),
                threshold=neuron.v_threshold if isinstance(neuron, CubaLIF) else None,
                v_reset=_reset(neuron.v_reset, semantics) if isinstance(neuron, CubaLIF) else None,
            )
        case Threshold():
            return StepParameters(
                decay_v=np.asarray(_ZERO),
                gain_v=np.asarray(_ONE),
                drift=np.asarray(_ZERO),
                threshold=neuron.v_threshold,
                v_reset=np.asarray(_ZERO),
            )
        case Relay():
            return StepParameters(np.asarray(_ZERO), np.asarray(_ONE), np.asarray(_ZERO))
        case PointLIF():
            raise TypeError("a point neuron has an equation, not the numbers of a step")
        case IntegerNeuron() | SpinnakerLIF() | LoihiNeuron():
            raise TypeError("an integer population has no real-valued step")
        case _:
            raise TypeError(f"step_parameters does not know the model {type(neuron).__name__}")


def _behind_synapse(neuron: CubaLIF | CubaLI, dt: float, semantics: Semantics) -> Real:
    if semantics.gain is Gain.PROPAGATED:
        return np.asarray(neuron.r * propagator(neuron.tau_syn, neuron.tau_mem, dt))
    return gain(neuron.r, neuron.tau_mem, dt, semantics)


def _reset(v_reset: Real | None, semantics: Semantics) -> Real:
    if semantics.reset is Reset.VALUE and v_reset is not None:
        return v_reset
    return np.asarray(_ZERO)
