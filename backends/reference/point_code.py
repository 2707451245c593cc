"""One step of a point neuron as Brian2 abstract code: `ir.semantics.Semantics`, its last part."""

from __future__ import annotations

import numpy as np

from ...ir.graph import Population
from ...ir.neurons import AdEx, Kernel, PointLIF, Receptor, receptors
from ...ir.semantics import Comparison, Decay, Gain
from ...ir.step import alpha_propagator, propagator
from .code import Code

_E = repr(float(np.e))
# exp(100) is still a number; a membrane that far up its upswing has spiked whatever follows.
_STEEPEST = 100


def state_name(population: Population, variable: str) -> str:
    """The Brian2 variable of a state variable: those of receptors have the graph's names."""
    if variable == "w":  # that of synapses is their weight
        return "adaptation"
    for k, receptor in enumerate(receptors(population.neuron)):
        if variable == receptor.name:
            return f"s{k}"
        if variable in receptor.state:
            return f"r{k}"
    return variable


def port_index(population: Population, port: str | None) -> int | None:
    """Which receptor a port is; None for the sum, or current, that every population has."""
    for k, receptor in enumerate(receptors(population.neuron)):
        if receptor.name == port:
            return k
    return None


def total_name(index: int | None) -> str:
    """The variable where a step's input to a port is added up."""
    return "total" if index is None else f"total{index}_"


def pending_name(index: int | None, steps: int) -> str:
    """The variable where input of a port waits for ``steps`` steps of its population."""
    return f"pending{steps}" if index is None else f"pending{index}_{steps}"


def arrival_name(population: Population, index: int) -> str:
    """The variable that what arrives late at a receptor is added to."""
    receptor = receptors(population.neuron)[index]
    return state_name(population, receptor.arrival)


def collect(code: Code, index: int | None, pending: int) -> str:
    """Declare the variables of a port, and take what is due in this step: an expression.

    The lines that clear and shift them are added, so ``due`` variables hold it.
    """
    total, due = total_name(index), f"due_{'' if index is None else index}"
    code.state |= {total: 0.0} | {pending_name(index, k): 0.0 for k in range(1, pending + 1)}
    waited = f" + {pending_name(index, 1)}" if pending else ""
    code.add(f"{due} = {total}{waited}", f"{total} = 0")
    code.add(
        *(f"{pending_name(index, k)} = {pending_name(index, k + 1)}" for k in range(1, pending))
    )
    if pending:
        code.add(f"{pending_name(index, pending)} = 0")
    return due


def collect_receptors(code: Code, population: Population, pending: dict[int | None, int]) -> None:
    """Take what is due at every receptor; under the rule ``new`` it is in the signal at once."""
    for k, receptor in enumerate(receptors(population.neuron)):
        due = collect(code, k, pending.get(k, 0))
        if receptor.kernel is Kernel.DELTA:
            continue
        code.state[f"s{k}"] = code.value(f"s{k}_init", receptor.initial)
        if receptor.kernel is Kernel.ALPHA:
            code.state[f"r{k}"] = 0.0
        if not population.arrives_late:
            variable = arrival_name(population, k)
            code.add(f"{variable} = {variable} + {due}")


def deltas(population: Population) -> str:
    """The jumps of the membrane that are due, as terms to add."""
    ports = enumerate(receptors(population.neuron))
    return "".join(f" + due_{k}" for k, receptor in ports if receptor.kernel is Kernel.DELTA)


def point_code(code: Code, population: Population, dt: float, on: str) -> None:
    """The step from the drive (``drive``, ampere) and the receptors that were collected."""
    neuron, semantics = population.neuron, population.semantics
    assert isinstance(neuron, PointLIF)
    if semantics.refractory:
        code.state["hold"] = 0.0
        code.add("held = int(hold > 0)")
    step = _Step(code, neuron, dt, semantics.refractory > 0)
    code.state["v"] = code.value("v_init", neuron.v_init)
    if isinstance(neuron, AdEx):
        code.state["adaptation"] = code.value("w_init", neuron.w_init)
    match semantics.decay:
        case Decay.EULER:
            step.euler()
        case Decay.MIDPOINT:
            step.midpoint()
        case Decay.EXPONENTIAL:
            step.exponential(semantics.gain is Gain.PROPAGATED)
    late = population.arrives_late
    jumps = deltas(population)
    if jumps and not late:
        code.add(f"next_v = next_v{jumps}")
    code.value("theta", neuron.v_threshold)
    code.value("v_reset", neuron.v_reset)
    above = ">" if semantics.comparison is Comparison.GREATER else ">="
    code.add(f"count = int(next_v {above} theta)")
    if semantics.refractory:
        code.value("refractory", semantics.refractory)
        code.add(
            f"fired = {on}(1 - held) * count",
            "hold = hold - held + fired * refractory",
            "z = fired",
            "next_v = (1 - fired) * next_v + fired * v_reset",
            "v = held * v + (1 - held) * next_v",
        )
    else:
        code.add(f"fired = {on}count", "z = fired", "v = (1 - fired) * next_v + fired * v_reset")
    if isinstance(neuron, AdEx):
        code.value("b", neuron.b)
        code.add("adaptation = next_adaptation + fired * b")
    for k, receptor in enumerate(neuron.receptors):
        if receptor.kernel is Kernel.DELTA:
            continue
        code.add(f"s{k} = next_s{k}")
        if receptor.kernel is Kernel.ALPHA:
            code.add(f"r{k} = next_r{k}")
    if late:
        settle(code, population)


def settle(code: Code, population: Population) -> None:
    """Add what waited for the end of the step.

    A delta is lost on a neuron that has just spiked, or is refractory: it is shut.
    """
    if deltas(population):
        code.state["shut"] = 0.0
        code.add("shut = fired + held" if population.semantics.refractory else "shut = fired")
    for k, receptor in enumerate(receptors(population.neuron)):
        variable = arrival_name(population, k)
        lost = "(1 - shut) * " if receptor.kernel is Kernel.DELTA else ""
        code.add(f"{variable} = {variable} + {lost}due_{k}")


class _Step:
    """Lines that leave the state at the end of a step in ``next_*``.

    Sums have the order of the equations, as Brian2 writes them for PyNN: both round alike.
    """

    def __init__(self, code: Code, neuron: PointLIF, dt: float, refractory: bool) -> None:
        self._code, self._neuron, self._dt = code, neuron, dt
        self._refractory = refractory
        self._signals: list[tuple[int, Receptor]] = [
            (k, receptor)
            for k, receptor in enumerate(neuron.receptors)
            if receptor.kernel is not Kernel.DELTA
        ]
        code.constants["dt_"] = dt
        for name in ("tau_mem", "capacity", "v_leak", "i_offset"):
            code.value(name, getattr(neuron, name))
        for k, receptor in self._signals:
            assert receptor.tau is not None
            code.value(f"tau{k}", receptor.tau)
            if receptor.reversal is not None:
                code.value(f"reversal{k}", receptor.reversal)
        if isinstance(neuron, AdEx):
            for name in ("slope", "v_rheobase", "a", "tau_w"):
                code.value(name, getattr(neuron, name))

    def _slopes(self, at: dict[str, str]) -> dict[str, str]:
        """The time derivative of every variable, at the values that ``at`` names."""
        v = at["v"]
        parts = [
            at[f"s{k}"] if receptor.reversal is None else f"{at[f's{k}']}*(reversal{k} - {v})"
            for k, receptor in self._signals
        ]
        current = " + ".join([*parts, "drive", "i_offset"])
        if isinstance(self._neuron, AdEx):
            up = f"exp(clip(({v} - v_rheobase)/slope, -inf, {_STEEPEST}))"
            slopes = {
                "v": f"(capacity*slope*{up}/tau_mem + capacity*(-{v} + v_leak)/tau_mem + {current}"
                f" - {at['adaptation']})/capacity",
                "adaptation": f"(a*({v} - v_leak) - {at['adaptation']})/tau_w",
            }
        else:
            slopes = {"v": f"((-{v} + v_leak)/tau_mem + ({current})/capacity)"}
        for k, receptor in self._signals:
            if receptor.kernel is Kernel.ALPHA:
                slopes[f"s{k}"] = f"(-{at[f's{k}']} + {_E}*{at[f'r{k}']})/tau{k}"
                slopes[f"r{k}"] = f"-{at[f'r{k}']}/tau{k}"
            else:
                slopes[f"s{k}"] = f"-{at[f's{k}']}/tau{k}"
        return slopes

    @property
    def _variables(self) -> list[str]:
        names = ["v", *(["adaptation"] if isinstance(self._neuron, AdEx) else [])]
        for k, receptor in self._signals:
            names += [f"s{k}", *([f"r{k}"] if receptor.kernel is Kernel.ALPHA else [])]
        return names

    def euler(self) -> None:
        slopes = self._slopes({name: name for name in self._variables})
        for name, slope in slopes.items():
            self._code.add(f"next_{name} = dt_*{slope} + {name}")

    def midpoint(self) -> None:
        names = self._variables
        for name, slope in self._slopes({name: name for name in names}).items():
            # A membrane that stands still does so at half a step, too: w follows it.
            moves = "(1 - held)*" if name == "v" and self._refractory else ""
            self._code.add(f"half_{name} = {moves}dt_*{slope}/2 + {name}")
        for name, slope in self._slopes({name: f"half_{name}" for name in names}).items():
            self._code.add(f"next_{name} = dt_*{slope} + {name}")

    def exponential(self, propagated: bool) -> None:
        code, neuron, dt = self._code, self._neuron, self._dt
        conductances = [(k, r) for k, r in self._signals if r.reversal is not None]
        adex = isinstance(neuron, AdEx)
        b = np.exp(-dt / neuron.tau_mem)
        held = ["drive", "i_offset"]
        if adex:
            up = f"exp(clip((v - v_rheobase)/slope, -inf, {_STEEPEST}))"
            held += [f"capacity*slope*{up}/tau_mem", "-adaptation"]
        # What is known to decay through the step is taken with it, where the membrane is linear.
        follow = propagated and not conductances and not adex
        currents = [(k, r) for k, r in self._signals if r.reversal is None]
        if not follow:
            held += [f"s{k}" for k, _ in currents]
        code.add(f"i_held = {' + '.join(held)}")
        if conductances:
            g = " + ".join(f"s{k}" for k, _ in conductances)
            pull = " + ".join(f"s{k}*reversal{k}" for k, _ in conductances)
            code.add(
                f"rate = 1/tau_mem + ({g})/capacity",
                f"rest = (v_leak/tau_mem + (i_held + {pull})/capacity)/rate",
                "next_v = rest + (v - rest)*exp(-dt_*rate)",
            )
        else:
            code.value("decay_v", b)
            code.value("drift", -np.expm1(-dt / neuron.tau_mem) * neuron.v_leak)
            code.value("gain_v", -np.expm1(-dt / neuron.tau_mem) * neuron.tau_mem / neuron.capacity)
            terms = ["decay_v*v", "drift", "gain_v*i_held"]
            resistance = neuron.tau_mem / neuron.capacity
            for k, receptor in currents if follow else []:
                assert receptor.tau is not None
                factor = resistance * propagator(receptor.tau, neuron.tau_mem, dt)
                terms.append(f"{code.value(f'follow{k}', factor)}*s{k}")
                if receptor.kernel is Kernel.ALPHA:
                    factor = resistance * alpha_propagator(receptor.tau, neuron.tau_mem, dt)
                    terms.append(f"{code.value(f'rise{k}', factor)}*r{k}")
            code.add(f"next_v = {' + '.join(terms)}")
        if adex:
            assert isinstance(neuron, AdEx)
            code.value("decay_w", np.exp(-dt / neuron.tau_w))
            code.add(
                "w_rest = a*(v - v_leak)",
                "next_adaptation = w_rest + (adaptation - w_rest)*decay_w",
            )
        for k, receptor in self._signals:
            assert receptor.tau is not None
            code.value(f"keep{k}", np.exp(-dt / receptor.tau))
            if receptor.kernel is Kernel.ALPHA:
                code.value(f"turn{k}", np.e * dt / receptor.tau)
                code.add(f"next_s{k} = (s{k} + turn{k}*r{k})*keep{k}", f"next_r{k} = r{k}*keep{k}")
            else:
                code.add(f"next_s{k} = s{k}*keep{k}")
