"""One step of a population as Brian2 abstract code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...ir.graph import Population
from ...ir.homeostasis import AdaptiveThreshold
from ...ir.neurons import LI, CubaLI, Integrator, Izhikevich, PointLIF, Relay, Threshold
from ...ir.recovery import Recovery
from ...ir.semantics import Comparison, Current, Reset
from ...ir.step import StepParameters, step_parameters, v_start
from .code import Code
from .plan import Node, Plan, Real
from .point_code import collect, collect_receptors, deltas, point_code, settle


def _latch(code: Code, latches: int) -> None:
    code.state["z"] = 0.0
    code.state |= {f"z{age}": 0.0 for age in range(1, latches + 1)}
    code.add(*(f"z{age} = {aged(age - 1)}" for age in range(latches, 0, -1)))


def aged(age: int) -> str:
    """The variable that holds what was emitted ``age`` steps ago."""
    return f"z{age}" if age else "z"


def input_code(node: Node) -> Code:
    """What an input's group does before the stimulus sets its ``z``."""
    code = Code(node.source.size)
    _latch(code, node.latches)
    code.add("z = 0")
    return code


def population_code(plan: Plan, node: Node) -> Code:
    """The step of ``ir.semantics.Semantics`` with the numbers of ``ir.step``."""
    population = node.source
    assert isinstance(population, Population)
    neuron, semantics = population.neuron, population.semantics
    code = Code(population.size)
    _latch(code, node.latches)
    pending = plan.pending(population.name)
    code.constants |= {"period": plan.period, "lag": population.lag, "live": plan.live}
    code.add("phase = t_in_timesteps % period")
    due = collect(code, None, pending.get(None, 0))
    code.add(f"drive = {due}" + _bias(plan, population, code))
    collect_receptors(code, population, pending)
    for k, learning in enumerate(plan.learning):
        if learning.post == population.name and learning.plasticity.scaling is not None:
            code.state[f"norm{k}"] = 0.0
            code.add(f"norm{k} = 0")
    # Before its lag a population rests; after its sample it is silent, so that nothing is pending
    # when the next one starts.
    on = ""
    if population.lag or plan.pad:
        code.add("on = int(phase >= lag) * int(phase < live)")
        on = "on * "
    if isinstance(neuron, Relay):
        code.add(f"z = {on}drive")
        return code
    if isinstance(neuron, PointLIF):
        point_code(code, population, plan.dt, on)
        return code
    step = step_parameters(neuron, semantics, plan.dt)
    above = ">" if semantics.comparison is Comparison.GREATER else ">="
    if isinstance(neuron, Threshold):
        code.value("theta", neuron.v_threshold)
        code.add(f"z = {on}int(drive {above} theta)")
        return code

    code.state["v"] = code.value("v_init", v_start(neuron, semantics))
    if step.decay_u is not None and step.gain_u is not None:
        code.state["u"] = 0.0
        code.value("decay_u", step.decay_u)
        code.value("gain_u", step.gain_u)
        code.add("new_u = decay_u * u + gain_u * drive")
        source = "new_u" if semantics.current is Current.NEW else "u"
    else:
        source = "drive"
    code.value("decay_v", step.decay_v)
    code.value("gain_v", step.gain_v)
    if population.adaptive is not None:
        _adaptive(code, plan, population, population.adaptive)
    if step.recovery is not None:
        _izhikevich(code, population, step, step.recovery, on, above)
        return code
    drift = f" + {code.value('drift', step.drift)}" if step.drift.any() else ""
    decayed = f"decay_v * v{drift}"
    if step.leak is not None and step.v_leak is not None:
        code.value("leak", step.leak)
        code.value("v_leak", step.v_leak)
        # What is left of the distance is added, so that v ends at v_leak itself.
        code.add("far = v - v_leak")
        decayed = "v_leak + (far - clip(far, -leak, leak))"
    code.add(f"w = {decayed} + gain_v * {source}")
    if semantics.v_min is not None:
        code.value("v_min", semantics.v_min)
        code.add("w = clip(w, v_min, inf)")
    if isinstance(neuron, LI | CubaLI | Integrator):
        code.add("new_v = w", f"z = {on}w")
    else:
        assert step.threshold is not None
        code.value("theta", step.threshold)
        _spike(code, population, on, above, step.v_reset)
    _keep(code, population)
    return code


def _keep(code: Code, population: Population) -> None:
    """The new state, or before the population's lag the old one."""
    for name in ("v", "u"):
        if name not in code.state:
            continue
        before = f"on * new_{name} + (1 - on) * {name}"
        code.add(f"{name} = {before if population.lag else f'new_{name}'}")
    if population.adaptive is not None:
        risen = "h + fired * h_rise"
        if population.adaptive.maximum is not None:
            risen = f"clip({risen}, 0, h_max)"
        persistent = population.adaptive.persistent
        code.add(f"new_h = h_keep * ({risen})")
        code.add("h = adapts * new_h + (1 - adapts) * h" if persistent else "h = new_h")


def _adaptive(code: Code, plan: Plan, population: Population, adaptive: AdaptiveThreshold) -> None:
    """h with its constants, and whether a persistent one adapts in this step."""
    code.value("h_keep", np.exp(-plan.dt / adaptive.tau))
    code.value("h_rise", adaptive.increment)
    if adaptive.maximum is not None:
        code.value("h_max", adaptive.maximum)
    if not adaptive.persistent:
        code.state["h"] = 0.0
        return
    code.kept.append("h")
    # The steps of the population itself: a sample may last longer, and late spikes take their time.
    code.constants["over"] = population.lag + plan.steps
    code.add("adapts = int(gates(t) > 0) * int(phase >= lag) * int(phase < over)")


def _izhikevich(
    code: Code,
    population: Population,
    step: StepParameters,
    recovery: Recovery,
    on: str,
    above: str,
) -> None:
    """Euler steps of v, unrolled, and one of u, from the state of the step before."""
    semantics = population.semantics
    code.value("curve", recovery.curve)
    code.value("drift", step.drift)
    for name in ("pull", "couple", "rate", "jump"):
        code.value(name, getattr(recovery, name))
    assert step.threshold is not None
    code.value("theta", step.threshold)
    neuron = population.neuron
    assert isinstance(neuron, Izhikevich)
    code.state["u"] = "couple * v_init"
    if neuron.u_init is not None:
        code.state["u"] = code.value("u_init", neuron.u_init)
    if neuron.i_offset is not None:
        code.add(f"drive = drive + {code.value('i_offset', neuron.i_offset)}")
    code.add("w = v")
    for _ in range(recovery.substeps):
        code.add("w = (decay_v + curve * w) * w + drift + gain_v * drive - pull * u")
    jumps, late = deltas(population), population.arrives_late
    if jumps and not late:
        code.add(f"w = w{jumps}")
    if semantics.v_min is not None:
        code.value("v_min", semantics.v_min)
        code.add("w = clip(w, v_min, inf)")
    semantics = replace(semantics, reset=Reset.VALUE)
    _spike(code, replace(population, semantics=semantics), on, above, step.v_reset)
    code.add("new_u = u + rate * (couple * v - u) + fired * jump")
    _keep(code, population)
    if late:
        settle(code, population)


def _spike(code: Code, population: Population, on: str, above: str, v_reset: Real | None) -> None:
    """Lines that emit z from w and leave the membrane after the reset in ``new_v``."""
    semantics = population.semantics
    if population.adaptive is not None:
        code.add(f"count = int(w {above} theta + h)")
    elif semantics.max_spikes == 1:
        level = f"theta * (1 + int(v {above} theta))"
        two_phase = semantics.reset is Reset.TWO_PHASE
        code.add(f"count = int(w {above} {level if two_phase else 'theta'})")
    else:
        twice = f" - theta * int(v {above} theta)" if semantics.reset is Reset.TWO_PHASE else ""
        code.value("most", np.inf if semantics.max_spikes is None else semantics.max_spikes)
        # Brian2's floor is an int32 in numpy code; this one is a float in both.
        code.add(f"count = clip(((w{twice}) / theta) // 1.0, 0, most)")
    refractory = semantics.refractory > 0
    if refractory:
        code.state["hold"] = 0.0
        code.value("refractory", semantics.refractory)
        code.add("held = int(hold > 0)", f"z = {on}(1 - held) * count")
    else:
        code.add(f"z = {on}count")
    code.add("fired = int(z > 0)")
    if refractory:
        code.add("hold = hold - held + fired * refractory")
    match semantics.reset:
        case Reset.ZERO:
            code.add("new_v = (1 - fired) * w")
        case Reset.VALUE:
            code.value("v_reset", np.zeros(()) if v_reset is None else v_reset)
            code.add("new_v = (1 - fired) * w + fired * v_reset")
        case Reset.SUBTRACT | Reset.TWO_PHASE:
            code.add("new_v = w - z * theta")
    if refractory and semantics.refractory_frozen:
        code.add("new_v = held * v + (1 - held) * new_v")


def _bias(plan: Plan, population: Population, code: Code) -> str:
    """The constant part of S as a term to add, empty without one."""
    always, later = np.zeros(population.size), np.zeros(population.size)
    for projection in plan.graph.incoming(population.name):
        if projection.bias is None:
            continue
        if projection.recurrent and not population.semantics.recurrent_bias_first:
            later = later + projection.bias
        else:
            always = always + projection.bias
    term = f" + {code.value('bias', always)}" if always.any() else ""
    if later.any():
        term += f" + int(phase != lag) * {code.value('bias_later', later)}"
    return term
