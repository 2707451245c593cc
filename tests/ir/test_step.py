"""Decays and gains against closed forms, limits, and the solution of the differential equation."""

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikec.ir.dialects import DIALECTS
from spikec.ir.neurons import (
    IF,
    LI,
    LIF,
    MODELS,
    CubaLI,
    CubaLIF,
    IntegerNeuron,
    Integrator,
    Izhikevich,
    LinearLIF,
    LoihiATRLIF,
    LoihiDelta,
    LoihiLIF,
    LoihiNeuron,
    LoihiSigma,
    LoihiSigmaDelta,
    Neuron,
    PointLIF,
    Relay,
    SpinnakerLIF,
    Threshold,
)
from spikec.ir.numerics import Format, Numerics
from spikec.ir.recovery import Recovery
from spikec.ir.semantics import Decay, Gain, IntegratorGain, Reset, Semantics
from spikec.ir.step import (
    StepParameters,
    alpha_propagator,
    decay,
    gain,
    propagator,
    step_parameters,
)

LEAK = 40.0
TAU, TAU_SYN, R, W_IN, V_LEAK, THETA, V_RESET = 2.5e-3, 1e-3, 3.0, 5.0, 0.25, 0.7, -0.1
DT = 1e-4


def real(value: Any) -> npt.NDArray[np.float64]:
    return np.asarray(value, dtype=np.float64)


REAL_MODELS: tuple[Neuron, ...] = (
    IF(real(R), real(THETA), real(V_RESET)),
    LIF(real(TAU), real(R), real(V_LEAK), real(THETA), real(V_RESET)),
    CubaLIF(
        real(TAU_SYN), real(TAU), real(R), real(V_LEAK), real(W_IN), real(THETA), real(V_RESET)
    ),
    Integrator(real(R)),
    LI(real(TAU), real(R), real(V_LEAK)),
    CubaLI(real(TAU_SYN), real(TAU), real(R), real(V_LEAK), real(W_IN)),
    Threshold(real(THETA)),
    Relay(),
    LinearLIF(real(LEAK), real(R), real(V_LEAK), real(THETA), real(V_RESET)),
    Izhikevich(real(0.02), real(0.2), real(-65.0), real(8.0), real(R), real(THETA), substeps=2),
)


def spinnaker() -> SpinnakerLIF:
    values: list[Any] = [*map(np.asarray, range(12)), 0, 0]
    return SpinnakerLIF(*values)


def integer() -> IntegerNeuron:
    zero = np.asarray(0)
    numerics = Numerics(Format(8), Format(16))
    return IntegerNeuron(numerics, "LIF", 1.0, 0, zero, zero, zero, zero, zero, "zero")


def expected_decay(tau: float, semantics: Semantics) -> float:
    x = DT / tau
    return {
        Decay.EULER: 1 - x,
        Decay.EXPONENTIAL: math.exp(-x),
        Decay.MIDPOINT: 1 - x + x * x / 2,
    }[semantics.decay]


def expected_gain(g: float, tau: float, semantics: Semantics) -> float:
    return {
        Gain.EULER: g * DT / tau,
        Gain.EXACT: g * (1 - math.exp(-DT / tau)),
        Gain.COMPENSATED: g * DT / tau * math.exp(DT / tau),
    }[semantics.gain]


def expected(neuron: Neuron, semantics: Semantics) -> dict[str, float | None]:
    """The numbers that the docstrings promise, written out once more."""
    spikes = isinstance(neuron, IF | LIF | CubaLIF | Threshold | LinearLIF | Izhikevich)
    found: dict[str, float | None] = {
        "decay_v": 0.0,
        "gain_v": 1.0,
        "drift": 0.0,
        "decay_u": None,
        "gain_u": None,
        "threshold": THETA if spikes else None,
        "v_reset": (V_RESET if semantics.reset is Reset.VALUE else 0.0) if spikes else None,
    }
    if isinstance(neuron, Threshold):
        found["v_reset"] = 0.0
    found |= {"leak": None, "v_leak": None}
    if isinstance(neuron, LinearLIF):
        found |= {"leak": LEAK * DT, "v_leak": V_LEAK}
    found |= dict.fromkeys(("curve", "couple", "rate", "jump", "pull"))
    if isinstance(neuron, Izhikevich):
        h = DT * 1e3 / 2
        per_step = semantics.integrator_gain is IntegratorGain.PER_STEP
        return found | {
            "decay_v": 1 + h * 5,
            "gain_v": R / 2 if per_step else R * h,
            "drift": h * 140,
            "v_reset": -65.0,
            "curve": h * 0.04,
            "couple": 0.2,
            "rate": 2 * h * 0.02,
            "jump": 8.0,
            "pull": h,
        }
    if isinstance(neuron, IF | Integrator | LinearLIF):
        found["decay_v"] = 1.0
        per_step = semantics.integrator_gain is IntegratorGain.PER_STEP
        found["gain_v"] = R if per_step else R * DT
    if isinstance(neuron, LIF | LI | CubaLIF | CubaLI):
        b = expected_decay(TAU, semantics)
        found |= {
            "decay_v": b,
            "gain_v": expected_gain(R, TAU, semantics),
            "drift": (1 - b) * V_LEAK,
        }
    if isinstance(neuron, CubaLIF | CubaLI):
        found |= {
            "decay_u": expected_decay(TAU_SYN, semantics),
            "gain_u": expected_gain(W_IN, TAU_SYN, semantics),
        }
    return found


def numbers(step: StepParameters) -> dict[str, Any]:
    """All fields, those of the recovery among them."""
    found = {f.name: getattr(step, f.name) for f in fields(step) if f.name != "recovery"}
    return found | {f.name: getattr(step.recovery, f.name, None) for f in fields(Recovery)}


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("neuron", REAL_MODELS, ids=lambda neuron: type(neuron).__name__)
def test_closed_form(neuron: Neuron, name: str) -> None:
    semantics = DIALECTS[name].semantics
    step = numbers(step_parameters(neuron, semantics, DT))
    for field, value in expected(neuron, semantics).items():
        found = step[field]
        if value is None:
            assert found is None, field
        else:
            assert found == pytest.approx(value, rel=1e-13, abs=0), field
            assert found.dtype == np.float64 and found.shape == (), field


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_has_a_step_or_is_refused_by_name(model: type[Neuron]) -> None:
    loihi = LoihiLIF(np.array(1), np.array(2), np.array(3))
    refractory = LoihiATRLIF(np.array(1), np.array(2), np.array(3), np.array(4))
    deltas = (LoihiSigma(), LoihiDelta(1), LoihiSigmaDelta(1))
    every = (*REAL_MODELS, integer(), spinnaker(), loihi, refractory, *deltas)
    neurons = {type(neuron): neuron for neuron in every}
    if issubclass(model, PointLIF):
        values: list[Any] = [real(1.0)] * 5
        with pytest.raises(TypeError, match="a point neuron has an equation"):
            step_parameters(model(*values), Semantics(), DT)
        return
    assert model in neurons, f"{model.__name__} is new: give it a step, and an entry here"
    if issubclass(model, IntegerNeuron | SpinnakerLIF | LoihiNeuron):
        with pytest.raises(TypeError, match="an integer population has no real-valued step"):
            step_parameters(neurons[model], Semantics(), DT)
    else:
        assert isinstance(step_parameters(neurons[model], Semantics(), DT), StepParameters)


@pytest.mark.parametrize("tau_syn", [1e-3, 2.5e-3, 2.5e-3 * (1 + 1e-9), 2.51e-3, 40e-3])
def test_propagators_are_the_integrals_of_their_docstrings(tau_syn: float) -> None:
    ends, weights = np.polynomial.legendre.leggauss(40)
    for dt in (1e-5, 1e-4, 2e-3):
        s = (ends + 1) * dt / 2
        area = np.exp(-s / tau_syn) * np.exp(-(dt - s) / TAU) * weights * dt / 2
        assert float(propagator(real(tau_syn), real(TAU), dt)) == pytest.approx(
            area.sum() / TAU, rel=1e-13, abs=0
        )
        assert float(alpha_propagator(real(tau_syn), real(TAU), dt)) == pytest.approx(
            (math.e / (TAU * tau_syn) * s * area).sum(), rel=1e-11, abs=0
        )


def test_a_propagated_gain_is_a_jump_and_a_current_that_decays() -> None:
    rules = Semantics(decay=Decay.EXPONENTIAL, gain=Gain.PROPAGATED)
    lif = step_parameters(REAL_MODELS[1], rules, DT)
    cuba = step_parameters(REAL_MODELS[2], rules, DT)
    assert float(lif.gain_v) == R and cuba.gain_u is not None and float(cuba.gain_u) == W_IN
    assert float(cuba.gain_v) == R * float(propagator(real(TAU_SYN), real(TAU), DT))


def test_unknown_model_is_refused_by_name() -> None:
    class HodgkinHuxley(Neuron):
        pass

    with pytest.raises(TypeError, match="step_parameters does not know the model HodgkinHuxley"):
        step_parameters(HodgkinHuxley(), Semantics(), DT)


@pytest.mark.parametrize("neuron", REAL_MODELS, ids=lambda neuron: type(neuron).__name__)
@pytest.mark.parametrize("shape", [(3,), (1, 3), (3, 1, 1)])
def test_arrays_keep_the_shape_of_the_population(neuron: Neuron, shape: tuple[int, ...]) -> None:
    values = {name: np.broadcast_to(getattr(neuron, name), shape) for name in neuron.parameters()}
    many = replace(neuron, **values)
    one, all_ = (step_parameters(n, DIALECTS["nir"].semantics, DT) for n in (neuron, many))
    for field, scalar in numbers(one).items():
        array = numbers(all_)[field]
        if scalar is None:
            assert array is None
        elif isinstance(scalar, int):
            assert array == scalar
        else:
            assert array.shape in ((), shape) and (array == scalar).all()


@pytest.mark.parametrize("reset", Reset)
def test_reset_value(reset: Reset) -> None:
    semantics = Semantics(reset=reset)
    for neuron in (n for n in REAL_MODELS if isinstance(n, IF | LIF | CubaLIF)):
        step = step_parameters(neuron, semantics, DT)
        assert step.v_reset == (V_RESET if reset is Reset.VALUE else 0.0)
        silent = step_parameters(replace(neuron, v_reset=None), semantics, DT)
        assert silent.v_reset == 0.0


class TestLimits:
    TAUS = real([1e-3, 2.5e-3, 1e-1])

    def test_euler_and_exact_agree_as_dt_vanishes(self) -> None:
        """Both are first order: the difference falls with the square of dt."""
        kinds = [Semantics(decay=d, gain=g) for d in Decay for g in set(Gain) - {Gain.PROPAGATED}]
        for tau in self.TAUS:
            for dt in (1e-6, 1e-8):
                decays = [float(decay(tau, dt, s)) for s in kinds]
                gains = [float(gain(real(2.0), tau, dt, s)) for s in kinds]
                assert np.ptp(decays) <= (dt / tau) ** 2
                assert np.ptp(gains) <= 4 * (dt / tau) ** 2
                assert min(gains) > 0 and max(decays) < 1

    def test_exact_gain_keeps_its_digits_at_tiny_steps(self) -> None:
        """1 - exp(-x) has no digit left at x = 1e-17; expm1 has all of them."""
        semantics = Semantics(gain=Gain.EXACT)
        assert gain(real(1.0), real(1.0), 1e-17, semantics) == 1e-17

    def test_exact_gain_and_decay_add_up_to_one(self) -> None:
        semantics = Semantics(decay=Decay.EXPONENTIAL, gain=Gain.EXACT)
        for dt in (1e-5, 1e-3, 1.0):
            b, k = decay(self.TAUS, dt, semantics), gain(real(1.0), self.TAUS, dt, semantics)
            assert b + k == pytest.approx(np.ones(3), abs=1e-15)

    def test_compensated_gain_undoes_the_export_of_rockpool(self) -> None:
        """r = (tau/dt) exp(-dt/tau) is what Rockpool writes for a gain of one."""
        r = self.TAUS / DT * np.exp(-DT / self.TAUS)
        found = gain(r, self.TAUS, DT, Semantics(gain=Gain.COMPENSATED))
        assert found == pytest.approx(np.ones(3), rel=1e-14, abs=0)

    def test_decay_at_the_longest_stable_step(self) -> None:
        assert decay(real(DT), DT, Semantics(decay=Decay.EULER)) == 0.0


def solve(neuron: LIF | LI | CubaLIF | CubaLI, current: float, time: float) -> float:
    """v(time) from rest under a constant current: the textbook solution of the equations."""
    if isinstance(neuron, LIF | LI):
        drive = V_LEAK + R * current
        return drive * (1 - math.exp(-time / TAU))
    level = V_LEAK + R * W_IN * current
    slow = TAU / (TAU - TAU_SYN) * math.exp(-time / TAU)
    fast = TAU_SYN / (TAU - TAU_SYN) * math.exp(-time / TAU_SYN)
    # u' = w_in I (1 - e^{-t/tau_s}) drives v' = (V_leak - v + R u) / tau_m from v = 0
    return level - V_LEAK * math.exp(-time / TAU) - R * W_IN * current * (slow - fast)


def walk(step: StepParameters, current: float, steps: int) -> float:
    u = v = 0.0
    for _ in range(steps):
        if step.decay_u is not None and step.gain_u is not None:
            u = float(step.decay_u * u + step.gain_u * current)
            x = u
        else:
            x = current
        v = float(step.decay_v * v + step.drift + step.gain_v * x)
    return v


@pytest.mark.parametrize(
    "neuron",
    [n for n in REAL_MODELS if isinstance(n, LIF | LI | CubaLIF | CubaLI)],
    ids=lambda neuron: type(neuron).__name__,
)
@pytest.mark.parametrize("rule", [Gain.EULER, Gain.EXACT])
def test_steps_converge_to_the_equation(neuron: LIF | LI | CubaLIF | CubaLI, rule: Gain) -> None:
    decays = {Gain.EULER: Decay.EULER, Gain.EXACT: Decay.EXPONENTIAL}
    semantics = Semantics(decay=decays[rule], gain=rule)
    time, current = 5e-3, 0.2
    errors = []
    for steps in (400, 800):
        step = step_parameters(neuron, semantics, time / steps)
        errors.append(abs(walk(step, current, steps) - solve(neuron, current, time)))
    if rule is Gain.EXACT and isinstance(neuron, LIF | LI):
        assert max(errors) < 1e-12  # no error at all under a constant input
    else:
        assert errors[1] < 0.01
        assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)  # first order


@pytest.mark.parametrize("neuron", REAL_MODELS[:1] + REAL_MODELS[3:4], ids=["IF", "Integrator"])
def test_integrators(neuron: Neuron) -> None:
    """Letter of dv/dt = R I: v = R I t whatever dt; per step: v = R I for each step."""
    letter = Semantics(integrator_gain=IntegratorGain.PER_SECOND)
    for steps in (10, 1000):
        found = walk(step_parameters(neuron, letter, 1.0 / steps), 0.2, steps)
        assert found == pytest.approx(R * 0.2)
    assert walk(step_parameters(neuron, Semantics(), DT), 0.2, 7) == pytest.approx(7 * R * 0.2)
