"""PyNN's standard cells, and what each is in the graph.

Parameters are kept in PyNN's own units (mV, ms, nA, nF, uS); `neuron` turns them into SI.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pyNN.standardmodels import build_translations, cells

from ..ir.diagnostics import Location, fail
from ..ir.neurons import AdEx, Kernel, Neuron, PointLIF, Receptor
from ..ir.neurons import Izhikevich as IzhikevichNeuron
from ..ir.semantics import (
    Comparison,
    Current,
    Decay,
    Gain,
    IntegratorGain,
    Reset,
    Semantics,
)
from .simulator import state
from .where import CodedModel, here

Real = npt.NDArray[np.float64]
Values = Mapping[str, Any]

EXCITATORY, INHIBITORY = "excitatory", "inhibitory"
MILLI, NANO, MICRO = 1e-3, 1e-9, 1e-6


def steps_of(duration: Any, dt: float) -> Any:
    """Whole steps in ``duration``, both in ms; a thousandth of a step is forgiven."""
    return np.floor(np.asarray(duration, np.float64) / dt + 1e-3).astype(np.int64)


def _identity(cls: type[Any]) -> Any:
    return build_translations(*((name, name) for name in cls.default_parameters))


@dataclass(frozen=True)
class Shape:
    """How a cell takes its synapses: what a spike does, and whether it opens a conductance.

    ``variables`` are what a script records, and the state variables of the graph that they are,
    with the factor from SI to PyNN's unit. ``weight`` is the SI value of a weight of one.
    """

    kernel: Kernel
    conductance: bool
    weight: float
    variables: Mapping[str, tuple[str, float]]


_V = {"v": ("v", 1 / MILLI)}
_CURRENTS = _V | {"isyn_exc": (EXCITATORY, 1 / NANO), "isyn_inh": (INHIBITORY, 1 / NANO)}
_CONDUCTANCES = _V | {"gsyn_exc": (EXCITATORY, 1 / MICRO), "gsyn_inh": (INHIBITORY, 1 / MICRO)}

CURR_EXP = Shape(Kernel.EXPONENTIAL, False, NANO, _CURRENTS)
CURR_ALPHA = Shape(Kernel.ALPHA, False, NANO, _CURRENTS)
CURR_DELTA = Shape(Kernel.DELTA, False, MILLI, _V)
COND_EXP = Shape(Kernel.EXPONENTIAL, True, MICRO, _CONDUCTANCES)
COND_ALPHA = Shape(Kernel.ALPHA, True, MICRO, _CONDUCTANCES)


_POSITIVE = {
    *("cm", "tau_m", "tau_syn_E", "tau_syn_I", "tau_w", "delta_T"),
    *("tau_rec", "tau_plus", "tau_minus"),
}
_NOT_NEGATIVE = {"tau_refrac", "tau_facil", "duration"}
_SHARES = {"U", "dendritic_delay_fraction"}  # 0 to 1
_ENDLESS = {"duration"}


def check_ranges(name: str, parameters: Values, units: Mapping[str, str]) -> None:
    """E1002 for parameters of the model ``name`` that are not finite or out of their range."""
    for parameter, held in parameters.items():
        values = np.asarray(held, np.float64)
        unit = units.get(parameter, "")
        unit = f" {unit}" if unit not in ("", "dimensionless") else ""
        whole = np.isfinite(values) | (values == np.inf if parameter in _ENDLESS else False)
        if not whole.all():
            wrong = values[~whole].flat[0]
            raise fail("E1002", f"{parameter} of {name} is {wrong}; it must be finite", here())
        positive = parameter in _POSITIVE
        low = 0.0 if positive or parameter in _NOT_NEGATIVE | _SHARES else -np.inf
        high = 1.0 if parameter in _SHARES else np.inf
        must = "positive" if positive else "0 to 1" if parameter in _SHARES else "0 or more"
        for value in (values.min(initial=np.inf), values.max(initial=-np.inf)):
            if values.size and (not low <= value <= high or (value == low and positive)):
                raise fail(
                    "E1002", f"{parameter} of {name} is {value:g}{unit}; it must be {must}", here()
                )


class SpikingCell(CodedModel):
    """What the graph needs of a cell with a membrane; PyNN's classes are mixed in."""

    shape: ClassVar[Shape]
    units: ClassVar[dict[str, str]]

    def neuron(self, parameters: Values, initial: Values) -> Neuron:
        """The neuron of the graph for these parameters and initial values, in PyNN's units."""
        raise NotImplementedError(type(self).__name__)  # pragma: no cover - abstract

    def check(self, parameters: Values) -> None:
        """Raise E1002, in the script's words, for parameters that make no cell."""
        check_ranges(type(self).__name__, parameters, self.units)

    def semantics(self, parameters: Values, at: Location) -> Semantics:
        """How it steps in the dialect of the script, which set its parameters ``at``."""
        raise NotImplementedError(type(self).__name__)  # pragma: no cover - abstract


def _receptors(shape: Shape, parameters: Values, initial: Values) -> tuple[Receptor, ...]:
    found = []
    for name, letter in ((EXCITATORY, "E"), (INHIBITORY, "I")):
        if shape.kernel is Kernel.DELTA:
            found.append(Receptor(name, Kernel.DELTA))
            continue
        reversal = _si(parameters[f"e_rev_{letter}"], MILLI) if shape.conductance else None
        variable = next(k for k, (state, _) in shape.variables.items() if state == name)
        found.append(
            Receptor(
                name,
                shape.kernel,
                _si(parameters[f"tau_syn_{letter}"], MILLI),
                reversal,
                _si(initial.get(variable, 0.0), shape.weight),
            )
        )
    return tuple(found)


def _si(value: Any, unit: float) -> Real:
    """In SI; one number where all are the same."""
    array = np.asarray(value, np.float64) * unit
    if array.ndim and (array == array.flat[0]).all():
        array = np.asarray(array.flat[0])
    return array


def _refractory(parameters: Values, name: str, at: Location) -> int:
    period = np.asarray(parameters["tau_refrac"], np.float64)
    if period.min() != period.max():
        raise fail(
            "E1002",
            f"tau_refrac of {name} spans {period.min():g} to {period.max():g} ms; a population has "
            "one refractory period",
            at,
            "make one population of each",
        )
    steps = int(steps_of(period.flat[0], state.dt))
    # Brian2 lets a neuron spike again that many steps behind a spike; SpiNNaker counts whole ticks
    # in which the membrane stands still.
    return steps if state.dialect == "spinnaker" else max(0, steps - 1)


def _lif_semantics(shape: Shape, parameters: Values, name: str, at: Location) -> Semantics:
    if state.dialect == "spinnaker":
        return Semantics(
            decay=Decay.EXPONENTIAL,
            gain=Gain.EXACT,
            current=Current.NEW,
            comparison=Comparison.GREATER_EQUAL,
            reset=Reset.VALUE,
            refractory=_refractory(parameters, name, at),
        )
    return Semantics(
        decay=Decay.EULER if shape.conductance else Decay.EXPONENTIAL,
        gain=Gain.PROPAGATED,
        current=Current.OLD,
        reset=Reset.VALUE,
        refractory=_refractory(parameters, name, at),
    )


def kernel_factor(cell: SpikingCell, parameters: Values, receptor: str) -> Any:
    r"""What a weight is multiplied with on arrival: shape () or the population's.

    SpiNNaker takes a kernel by its mean over a step, :math:`\tau/dt\,(1 - e^{-dt/\tau})`.
    """
    if state.dialect != "spinnaker" or cell.shape.kernel is not Kernel.EXPONENTIAL:
        return np.asarray(1.0)
    tau = np.asarray(parameters["tau_syn_E" if receptor == EXCITATORY else "tau_syn_I"])
    return -np.expm1(-state.dt / tau) * tau / state.dt


def _membrane(shape: Shape, parameters: Values, initial: Values) -> dict[str, Any]:
    """What every cell with a leak has: all of a `PointLIF` but the potential where it spikes."""
    return {
        "tau_mem": _si(parameters["tau_m"], MILLI),
        "capacity": _si(parameters["cm"], NANO),
        "v_leak": _si(parameters["v_rest"], MILLI),
        "v_reset": _si(parameters["v_reset"], MILLI),
        "i_offset": _si(parameters["i_offset"], NANO),
        "v_init": _si(initial["v"], MILLI),
        "receptors": _receptors(shape, parameters, initial),
    }


class _Leaky(SpikingCell):
    """Leaky integrate and fire, whatever its synapses."""

    def neuron(self, parameters: Values, initial: Values) -> Neuron:
        return PointLIF(
            **_membrane(self.shape, parameters, initial),
            v_threshold=_si(parameters["v_thresh"], MILLI),
        )

    def semantics(self, parameters: Values, at: Location) -> Semantics:
        return _lif_semantics(self.shape, parameters, type(self).__name__, at)


class _AdaptiveExponential(SpikingCell):
    """The adaptive exponential neuron."""

    def neuron(self, parameters: Values, initial: Values) -> Neuron:
        return AdEx(
            **_membrane(self.shape, parameters, initial),
            v_threshold=_si(parameters["v_spike"], MILLI),
            v_rheobase=_si(parameters["v_thresh"], MILLI),
            slope=_si(parameters["delta_T"], MILLI),
            tau_w=_si(parameters["tau_w"], MILLI),
            a=_si(parameters["a"], NANO),
            b=_si(parameters["b"], NANO),
            w_init=_si(initial["w"], NANO),
        )

    def semantics(self, parameters: Values, at: Location) -> Semantics:
        return Semantics(
            decay=Decay.MIDPOINT,
            current=Current.OLD,
            reset=Reset.VALUE,
            refractory=_refractory(parameters, type(self).__name__, at),
        )


_CURRENT_VARIABLES = ["spikes", "v", "isyn_exc", "isyn_inh"]


def _with_currents(units: Mapping[str, str]) -> dict[str, str]:
    return {**units, "isyn_exc": "nA", "isyn_inh": "nA"}


_ADEX = _CONDUCTANCES | {"w": ("w", 1 / NANO)}


class IF_curr_exp(_Leaky, cells.IF_curr_exp):
    __doc__ = cells.IF_curr_exp.__doc__
    translations = _identity(cells.IF_curr_exp)
    recordable = _CURRENT_VARIABLES
    units = _with_currents(cells.IF_curr_exp.units)
    shape = CURR_EXP


class IF_curr_alpha(_Leaky, cells.IF_curr_alpha):
    __doc__ = cells.IF_curr_alpha.__doc__
    translations = _identity(cells.IF_curr_alpha)
    recordable = _CURRENT_VARIABLES
    units = _with_currents(cells.IF_curr_alpha.units)
    shape = CURR_ALPHA


class IF_curr_delta(_Leaky, cells.IF_curr_delta):
    __doc__ = cells.IF_curr_delta.__doc__
    translations = _identity(cells.IF_curr_delta)
    shape = CURR_DELTA


class IF_cond_exp(_Leaky, cells.IF_cond_exp):
    __doc__ = cells.IF_cond_exp.__doc__
    translations = _identity(cells.IF_cond_exp)
    shape = COND_EXP


class IF_cond_alpha(_Leaky, cells.IF_cond_alpha):
    __doc__ = cells.IF_cond_alpha.__doc__
    translations = _identity(cells.IF_cond_alpha)
    shape = COND_ALPHA


class EIF_cond_exp_isfa_ista(_AdaptiveExponential, cells.EIF_cond_exp_isfa_ista):
    __doc__ = cells.EIF_cond_exp_isfa_ista.__doc__
    translations = _identity(cells.EIF_cond_exp_isfa_ista)
    shape = Shape(Kernel.EXPONENTIAL, True, MICRO, _ADEX)


class EIF_cond_alpha_isfa_ista(_AdaptiveExponential, cells.EIF_cond_alpha_isfa_ista):
    __doc__ = cells.EIF_cond_alpha_isfa_ista.__doc__
    translations = _identity(cells.EIF_cond_alpha_isfa_ista)
    shape = Shape(Kernel.ALPHA, True, MICRO, _ADEX)


class Izhikevich(SpikingCell, cells.Izhikevich):
    __doc__ = cells.Izhikevich.__doc__
    translations = _identity(cells.Izhikevich)
    shape = Shape(Kernel.DELTA, False, 1.0, {"v": ("v", 1.0), "u": ("u", 1.0)})
    # PyNN's currents charge 1 pF: 1 A makes 1e12 mV/ms.
    _PICOFARAD: ClassVar[float] = 1e12

    def neuron(self, parameters: Values, initial: Values) -> Neuron:
        return IzhikevichNeuron(
            a=_si(parameters["a"], 1.0),
            b=_si(parameters["b"], 1.0),
            c=_si(parameters["c"], 1.0),
            d=_si(parameters["d"], 1.0),
            r=np.asarray(self._PICOFARAD),
            receptors=_receptors(self.shape, parameters, initial),
            i_offset=_si(parameters["i_offset"], NANO),
            v_init=_si(initial["v"], 1.0),
            u_init=_si(initial["u"], 1.0),
        )

    def semantics(self, parameters: Values, at: Location) -> Semantics:
        return Semantics(
            integrator_gain=IntegratorGain.PER_SECOND,
            current=Current.NEW if state.dialect == "spinnaker" else Current.OLD,
            comparison=Comparison.GREATER_EQUAL,
            reset=Reset.VALUE,
        )


class SourceCell(CodedModel):
    """A cell that spikes when a script says so."""

    def check(self, parameters: Values) -> None:
        """Raise for parameters that make no spikes."""

    def events(
        self, parameters: Values, first: int, last: int, rng: Callable[[], np.random.Generator]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Step and cell of every spike in the steps from ``first`` to before ``last``.

        ``rng`` makes a generator that is the same at every call.
        """
        raise NotImplementedError(type(self).__name__)  # pragma: no cover - abstract


class SpikeSourceArray(SourceCell, cells.SpikeSourceArray):
    __doc__ = cells.SpikeSourceArray.__doc__
    translations = _identity(cells.SpikeSourceArray)

    def check(self, parameters: Values) -> None:
        for cell, train in enumerate(parameters["spike_times"]):
            times = np.asarray(train.value, np.float64)
            if times.ndim != 1:
                raise fail(
                    "E1002",
                    f"spike_times of source {cell} are {times}; they are a list of times",
                    here(),
                )
            if not np.isfinite(times).all():
                raise fail("E1002", f"spike_times of source {cell} are not all finite", here())
            if times.min(initial=0.0) < 0:
                raise fail(
                    "E1002",
                    f"spike_times of source {cell} begin at {times.min():g} ms, before the start "
                    "at 0 ms",
                    here(),
                )
            back = np.flatnonzero(np.diff(times) < 0)
            if back.size:
                raise fail(
                    "E1002",
                    f"spike_times of source {cell} go back from {times[back[0]]:g} to "
                    f"{times[back[0] + 1]:g} ms",
                    here(),
                    "spike times must be in increasing order; sort them",
                )

    def events(
        self, parameters: Values, first: int, last: int, rng: Callable[[], np.random.Generator]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        trains = [np.asarray(train.value, np.float64) for train in parameters["spike_times"]]
        sizes = np.array([train.size for train in trains], np.int64)
        cell = np.repeat(np.arange(len(trains)), sizes)
        step = steps_of(np.concatenate([np.zeros(0), *trains]), state.dt)
        within = (step >= first) & (step < last)
        return step[within], cell[within]


class SpikeSourcePoisson(SourceCell, cells.SpikeSourcePoisson):
    __doc__ = cells.SpikeSourcePoisson.__doc__
    translations = _identity(cells.SpikeSourcePoisson)
    _BLOCK: ClassVar[int] = 1 << 16

    def check(self, parameters: Values) -> None:
        rate = np.asarray(parameters["rate"], np.float64)
        if not (rate >= 0).all():
            raise fail("E1002", f"a rate of {rate.min():g} Hz; a rate is 0 or more", here())
        spans = {name: parameters[name] for name in ("start", "duration")}
        check_ranges(type(self).__name__, spans, {name: "ms" for name in spans})
        top = rate.max(initial=0.0)
        if top * state.dt * MILLI > 1:
            raise fail(
                "E1002",
                f"a rate of {top:g} Hz is {top * state.dt * MILLI:.3g} spikes a step of "
                f"{state.dt:g} ms; a step has at most one",
                here(),
                "shorten the time step, or spread the rate over more sources",
            )

    def events(
        self, parameters: Values, first: int, last: int, rng: Callable[[], np.random.Generator]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        r"""A spike with the probability :math:`p = r\,dt` in each step of each cell.

        Cells and steps are one sequence of trials, the steps outside: from success to success is a
        geometric number of them, so that quiet sources cost little, and a longer run begins with
        the spikes of a shorter one. Slower cells keep a part of the fastest's spikes.
        """
        rate = np.asarray(parameters["rate"], np.float64)
        size, p = rate.size, rate * state.dt * MILLI
        top = float(p.max(initial=0.0))
        if top == 0.0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        generator = rng()
        found: list[npt.NDArray[np.int64]] = []
        trial, end = -1, last * size
        while trial < end:
            at = trial + np.cumsum(generator.geometric(top, self._BLOCK))
            keep = generator.random(self._BLOCK) * top < p[at % size]
            found.append(at[keep & (at < end)])
            trial = int(at[-1])
        step, cell = np.divmod(np.concatenate(found), size)
        start = np.asarray(parameters["start"], np.float64)
        begin = steps_of(start, state.dt)
        stop = steps_of(np.minimum(start + parameters["duration"], 1e15), state.dt)
        begin, stop = np.broadcast_to(begin, size), np.broadcast_to(stop, size)
        within = (step >= first) & (step >= begin[cell]) & (step < stop[cell])
        return step[within], cell[within]
