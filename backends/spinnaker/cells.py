"""Neurons of the graph as PyNN's standard cells: the inverse of `spikec.pynn.cells`.

A population has a PyNN cell where its equation and the rules of its step are those of the cell, as
Brian2 steps it or as SpiNNaker does; anything else is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import SpikecError, fail
from ...ir.graph import Population
from ...ir.neurons import AdEx, CubaLIF, Izhikevich, Kernel, PointLIF, Receptor
from ...ir.semantics import (
    Comparison,
    Current,
    Decay,
    Gain,
    IntegratorGain,
    Reset,
    Semantics,
)

Real = npt.NDArray[np.float64]

EXCITATORY, INHIBITORY = "excitatory", "inhibitory"
MILLI, NANO, MICRO = 1e-3, 1e-9, 1e-6
BRIAN2, SPINNAKER = "brian2", "spinnaker"
_PICOFARAD: Final = 1e12  # PyNN's Izhikevich charges 1 pF
_VOLT: Final = 0.5  # a threshold as far above rest is in no unit that a membrane is measured in

_LEAKY: Final[Mapping[tuple[Kernel, bool], str]] = {
    (Kernel.EXPONENTIAL, False): "IF_curr_exp",
    (Kernel.ALPHA, False): "IF_curr_alpha",
    (Kernel.DELTA, False): "IF_curr_delta",
    (Kernel.EXPONENTIAL, True): "IF_cond_exp",
    (Kernel.ALPHA, True): "IF_cond_alpha",
}
_UPSWING: Final[Mapping[tuple[Kernel, bool], str]] = {
    (Kernel.EXPONENTIAL, True): "EIF_cond_exp_isfa_ista",
    (Kernel.ALPHA, True): "EIF_cond_alpha_isfa_ista",
}


@dataclass(frozen=True)
class Cell:
    """A population of PyNN.

    ``parameters`` and ``initial`` are in PyNN's units, shape () or (n,). ``refractory`` is how many
    steps a spike holds the membrane, ``None`` for a cell without. ``unit`` is what a weight of the
    graph is divided by, ``factor`` by receptor what it is multiplied with besides, shape () or
    (n,). With ``by_sign`` the graph has one port, and the sign of a weight is its receptor.
    ``dialect`` is the one of `spikec.pynn` whose step it has, ``None`` where both agree.
    """

    population: Population
    name: str
    parameters: Mapping[str, Real]
    initial: Mapping[str, Real]
    refractory: int | None
    unit: float
    factor: Mapping[str, Real]
    conductance: bool
    dialect: str | None
    by_sign: bool = False
    current_unit: float = NANO
    delta: bool = False

    @property
    def signed(self) -> bool:
        """Whether inhibitory weights are negative: all but conductances."""
        return not self.conductance


def in_unit(values: Any, unit: float) -> Real:
    """SI values in a unit; of twelve digits where those say the same to the last bit but one."""
    array = np.asarray(values, np.float64)
    quotient = array / unit
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = np.where(quotient == 0, 0, 11 - np.floor(np.log10(np.abs(quotient))))
    short = np.vectorize(lambda x, d: round(float(x), int(d)), otypes=[np.float64])(
        quotient, digits
    )
    found: Real = np.where(np.isclose(short * unit, array, rtol=3e-16, atol=0.0), short, quotient)
    return _one(found)


def _one(values: Real) -> Real:
    """One number where all are the same."""
    flat = np.asarray(values, np.float64).ravel()
    if np.ndim(values) == 0 or (flat == flat[0]).all():
        return np.asarray(flat[0])
    return flat


def cell(population: Population, dt: float) -> Cell:
    """The PyNN cell of a population; E1101 where there is none, with the reason."""
    if population.lag:
        raise _refuse(population, f"was moved by {population.lag} steps of retiming")
    match population.neuron:
        case AdEx() as neuron:
            return _adex(population, neuron)
        case PointLIF() as neuron:
            return _point(population, neuron, dt)
        case Izhikevich() as neuron:
            return _izhikevich(population, neuron)
        case CubaLIF() as neuron:
            return _cuba(population, neuron, dt)
        case other:
            raise _refuse(
                population,
                f"is {type(other).__name__}; PyNN's cells are PointLIF, AdEx, Izhikevich with "
                "receptors, and CubaLIF",
            )


def _refuse(population: Population, why: str, hint: str | None = None) -> SpikecError:
    return fail(
        "E1101",
        f"population '{population.name}' has no PyNN cell: it {why}",
        population.at,
        hint or "compile for another target, or change the model: docs/pynn-programs.md",
    )


def _dialect(
    population: Population, known: Mapping[str, Semantics], besides: tuple[str, ...] = ()
) -> str | None:
    """Whose step a population has; ``None`` where both simulators agree.

    ``besides`` names the rules that its model has no use for.
    """
    rules = population.semantics
    free = {"refractory", "v_init", "recurrent_bias_first", *besides}
    if not rules.refractory:
        free.add("refractory_frozen")
    given = {field: getattr(rules, field) for field in free}
    matching = [name for name, wanted in known.items() if replace(wanted, **given) == rules]
    if matching:
        return matching[0] if len(matching) == 1 else None
    name, wanted = list(known.items())[-1]
    differing = [
        f"{field.name} is {getattr(rules, field.name)}, not {getattr(wanted, field.name)}"
        for field in fields(rules)
        if field.name not in free and getattr(rules, field.name) != getattr(wanted, field.name)
    ]
    raise _refuse(
        population,
        f"steps as none of PyNN's simulators does; to step as {name}'s: {'; '.join(differing)}",
        "read the model under the dialect 'pynn', or write these rules",
    )


def _leaky_rules(conductance: bool) -> dict[str, Semantics]:
    return {
        BRIAN2: Semantics(
            decay=Decay.EULER if conductance else Decay.EXPONENTIAL,
            gain=Gain.PROPAGATED,
            current=Current.OLD,
            reset=Reset.VALUE,
        ),
        SPINNAKER: Semantics(
            decay=Decay.EXPONENTIAL,
            gain=Gain.EXACT,
            current=Current.NEW,
            comparison=Comparison.GREATER_EQUAL,
            reset=Reset.VALUE,
        ),
    }


def _kind(population: Population, ports: tuple[Receptor, ...]) -> tuple[Kernel, bool]:
    """Kernel and conductance of all ports."""
    names = [port.name for port in ports]
    if not set(names) <= {EXCITATORY, INHIBITORY}:
        raise _refuse(
            population,
            f"has the receptors {', '.join(names)}; PyNN's are excitatory and inhibitory",
            "name them so",
        )
    kinds = {(port.kernel, port.reversal is not None) for port in ports}
    if len(kinds) > 1:
        raise _refuse(population, "has receptors of unlike kernels; a PyNN cell has one kind")
    return kinds.pop() if kinds else (Kernel.EXPONENTIAL, False)


def _ports(
    ports: tuple[Receptor, ...], conductance: bool, parameters: dict[str, Real]
) -> dict[str, Real]:
    """Adds the parameters of the ports; gives the initial values of their signals."""
    initial: dict[str, Real] = {}
    for port in ports:
        letter = "E" if port.name == EXCITATORY else "I"
        if port.tau is not None:
            parameters[f"tau_syn_{letter}"] = in_unit(port.tau, MILLI)
        if port.reversal is not None:
            parameters[f"e_rev_{letter}"] = in_unit(port.reversal, MILLI)
        if np.any(port.initial):
            short = "exc" if port.name == EXCITATORY else "inh"
            name, unit = (f"gsyn_{short}", MICRO) if conductance else (f"isyn_{short}", NANO)
            initial[name] = in_unit(port.initial, unit)
    return initial


def _kernel_factor(port: Receptor, dt: float) -> Real:
    r"""What a weight of SpiNNaker's dialect is divided by: :math:`\tau/dt\,(1 - e^{-dt/\tau})`."""
    tau = np.asarray(port.tau) / MILLI
    step = dt / MILLI
    return np.asarray(1.0 / (-np.expm1(-step / tau) * tau / step))


def _point(population: Population, neuron: PointLIF, dt: float) -> Cell:
    kernel, conductance = _kind(population, neuron.receptors)
    name = _LEAKY[kernel, conductance]
    dialect = _dialect(population, _leaky_rules(conductance), ("integrator_gain",))
    parameters = {
        "cm": in_unit(neuron.capacity, NANO),
        "tau_m": in_unit(neuron.tau_mem, MILLI),
        "v_rest": in_unit(neuron.v_leak, MILLI),
        "v_thresh": in_unit(neuron.v_threshold, MILLI),
        "v_reset": in_unit(neuron.v_reset, MILLI),
        "i_offset": in_unit(neuron.i_offset, NANO),
    }
    initial = {"v": in_unit(neuron.v_init, MILLI)}
    initial |= _ports(neuron.receptors, conductance, parameters)
    averaged = dialect == SPINNAKER and kernel is Kernel.EXPONENTIAL
    delta = kernel is Kernel.DELTA
    return Cell(
        population,
        name,
        parameters,
        initial,
        population.semantics.refractory,
        MICRO if conductance else MILLI if delta else NANO,
        {
            port.name: _one(_kernel_factor(port, dt)) if averaged else np.asarray(1.0)
            for port in neuron.receptors
        },
        conductance,
        dialect,
        delta=delta,
    )


def _adex(population: Population, neuron: AdEx) -> Cell:
    kernel, conductance = _kind(population, neuron.receptors)
    if (kernel, conductance) not in _UPSWING:
        raise _refuse(
            population, "is an AdEx without conductances; PyNN's have exponential or alpha ones"
        )
    rules = {
        BRIAN2: Semantics(decay=Decay.MIDPOINT, current=Current.OLD, reset=Reset.VALUE),
    }
    dialect = _dialect(population, rules, ("integrator_gain", "gain"))
    parameters = {
        "cm": in_unit(neuron.capacity, NANO),
        "tau_m": in_unit(neuron.tau_mem, MILLI),
        "v_rest": in_unit(neuron.v_leak, MILLI),
        "v_thresh": in_unit(neuron.v_rheobase, MILLI),
        "v_spike": in_unit(neuron.v_threshold, MILLI),
        "v_reset": in_unit(neuron.v_reset, MILLI),
        "delta_T": in_unit(neuron.slope, MILLI),
        "tau_w": in_unit(neuron.tau_w, MILLI),
        "a": in_unit(neuron.a, NANO),
        "b": in_unit(neuron.b, NANO),
        "i_offset": in_unit(neuron.i_offset, NANO),
    }
    initial = {"v": in_unit(neuron.v_init, MILLI), "w": in_unit(neuron.w_init, NANO)}
    initial |= _ports(neuron.receptors, conductance, parameters)
    return Cell(
        population,
        _UPSWING[kernel, conductance],
        parameters,
        initial,
        population.semantics.refractory,
        MICRO,
        {port.name: np.asarray(1.0) for port in neuron.receptors},
        True,
        dialect,
    )


def _izhikevich(population: Population, neuron: Izhikevich) -> Cell:
    _kind(population, neuron.receptors)
    if not neuron.receptors:
        raise _refuse(
            population,
            "is an Izhikevich neuron whose input is one sum; PyNN's has receptors",
            "give it the receptors excitatory and inhibitory, of kernel delta",
        )
    fixed = {"k2": 0.04, "k1": 5.0, "k0": 140.0, "v_threshold": 30.0, "r": _PICOFARAD}
    other = [name for name, value in fixed.items() if np.any(getattr(neuron, name) != value)]
    if other or neuron.substeps != 1:
        named = ", ".join(other or ["substeps"])
        raise _refuse(population, f"has a curve of its own ({named}); PyNN's is that of 2003")
    rules = {
        name: Semantics(
            integrator_gain=IntegratorGain.PER_SECOND,
            current=current,
            comparison=Comparison.GREATER_EQUAL,
            reset=Reset.VALUE,
        )
        for name, current in ((BRIAN2, Current.OLD), (SPINNAKER, Current.NEW))
    }
    dialect = _dialect(population, rules, ("decay", "gain", "reset"))
    if population.semantics.refractory:
        raise _refuse(population, "is refractory; PyNN's Izhikevich neuron never is")
    parameters = {name: in_unit(getattr(neuron, name), 1.0) for name in "abcd"}
    offset = np.zeros(()) if neuron.i_offset is None else neuron.i_offset
    parameters["i_offset"] = in_unit(offset, NANO)
    start = np.asarray(population.semantics.v_init if neuron.v_init is None else neuron.v_init)
    recovery = neuron.b * start if neuron.u_init is None else neuron.u_init
    return Cell(
        population,
        "Izhikevich",
        parameters,
        {"v": in_unit(start, 1.0), "u": in_unit(recovery, 1.0)},
        None,
        1.0,
        {port.name: np.asarray(1.0) for port in neuron.receptors},
        False,
        dialect,
        delta=True,
    )


def _cuba(population: Population, neuron: CubaLIF, dt: float) -> Cell:
    r"""`CubaLIF` says what ``IF_curr_exp`` says with :math:`C = \tau_m / R`.

    Its potentials are volt, unless a threshold lies half a volt or more above rest: then a network
    without units, one of which becomes 1 mV, and one of its currents 1 nA.
    """
    dialect = _dialect(population, _leaky_rules(False), ("integrator_gain",))
    if neuron.v_reset is None:
        raise _refuse(population, "does not say what it is reset to", "give it a v_reset")
    physical = bool((np.abs(neuron.v_threshold - neuron.v_leak) < _VOLT).all())
    volt, ampere = (MILLI, NANO) if physical else (1.0, 1.0)
    # nF are ms nA / mV.
    capacity = in_unit(neuron.tau_mem / neuron.r, MILLI * ampere / volt)
    tau = neuron.tau_syn
    # SpiNNaker's gain is w_in (1 - a), a the decay, and itself it multiplies with tau/dt (1 - a).
    gain = np.asarray(neuron.w_in if dialect == BRIAN2 else neuron.w_in * dt / tau)
    parameters = {
        "cm": capacity,
        "tau_m": in_unit(neuron.tau_mem, MILLI),
        "v_rest": in_unit(neuron.v_leak, volt),
        "v_thresh": in_unit(neuron.v_threshold, volt),
        "v_reset": in_unit(neuron.v_reset, volt),
        "i_offset": np.asarray(0.0),
        "tau_syn_E": in_unit(tau, MILLI),
        "tau_syn_I": in_unit(tau, MILLI),
    }
    return Cell(
        population,
        "IF_curr_exp",
        parameters,
        {"v": in_unit(population.semantics.v_init, volt)},
        population.semantics.refractory,
        ampere,
        {EXCITATORY: _one(gain), INHIBITORY: _one(gain)},
        False,
        dialect,
        by_sign=True,
        current_unit=ampere,
    )
