"""PyNN's synapses, and what each is in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pyNN.standardmodels import build_translations, synapses
from pyNN.standardmodels.base import check_weights

from ..ir.diagnostics import fail
from ..ir.plasticity import Coincidence, Dependence, PairSTDP, Plasticity, Transmit
from ..ir.short_term import TsodyksMarkram
from .cells import MILLI, check_ranges
from .simulator import state
from .where import CodedModel, here


def _check_weights(weights: Any, projection: Any) -> None:
    """PyNN's check of signs, which says that one is wrong where a weight is not a number."""
    projection.synapse_type.check_numbers({"weight": weights})
    check_weights(weights, projection)


class _Synapse(CodedModel):
    """What all synapses have; PyNN's classes are mixed in."""

    parameter_checks: ClassVar[dict[str, Any]] = {"weight": _check_weights}

    def check_numbers(self, values: Mapping[str, Any]) -> None:
        """Raise E1002, in the script's words, for what is not finite or out of its range."""
        units = {name: "ms" for name in values if name.startswith("tau")}
        check_ranges(type(self).__name__, values, units)

    def check(self, values: Mapping[str, Any]) -> None:
        """Raise for parameters, in PyNN's units, that make no synapses of one projection."""
        self.check_numbers(values)

    def _get_minimum_delay(self) -> float:
        return state.dt if state.min_delay == "auto" else float(state.min_delay)


class StaticSynapse(_Synapse, synapses.StaticSynapse):
    __doc__ = synapses.StaticSynapse.__doc__
    translations = build_translations(("weight", "weight"), ("delay", "delay"))


class TsodyksMarkramSynapse(_Synapse, synapses.TsodyksMarkramSynapse):
    __doc__ = synapses.TsodyksMarkramSynapse.__doc__
    translations = build_translations(
        *((name, name) for name in synapses.TsodyksMarkramSynapse.default_parameters)
    )

    def short_term(self, values: Mapping[str, Any], tau_syn: Any) -> TsodyksMarkram:
        """The rule for parameters of shape () or one a synapse; ``tau_syn`` in ms."""
        return TsodyksMarkram(
            np.asarray(values["U"]),
            np.asarray(values["tau_rec"]) * MILLI,
            np.asarray(values["tau_facil"]) * MILLI,
            np.asarray(tau_syn) * MILLI,
        )


class STDPMechanism(_Synapse, synapses.STDPMechanism):
    __doc__ = synapses.STDPMechanism.__doc__
    base_translations = build_translations(
        ("weight", "weight"),
        ("delay", "delay"),
        ("dendritic_delay_fraction", "dendritic_delay_fraction"),
    )

    def _build_translations(self) -> None:
        for part in ("timing_dependence", "weight_dependence"):
            if not getattr(self, part):
                raise fail("E1002", f"STDPMechanism has no {part}", here())
        # PyNN's adds the components' to the class's own: two mechanisms would share them.
        self.translations = dict(self.base_translations)
        for component in (self.timing_dependence, self.weight_dependence, self.voltage_dependence):
            if component:
                self.translations.update(component.translations)

    def check(self, values: Mapping[str, Any]) -> None:
        """Raise E1002 for synapses that do not share one rule, E1001 for a rule there is not."""
        super().check(values)
        self.plasticity(values, 1.0)

    def plasticity(self, values: Mapping[str, Any], unit: float) -> Plasticity:
        """The rule for parameters in PyNN's units; a weight of one is ``unit``."""
        depression, potentiation = self._dependences(values)
        numbers = {name: _one(name, values) for name in values if name not in ("weight", "delay")}
        low, high = numbers["w_min"], numbers["w_max"]
        if high < low:
            raise fail(
                "E1002",
                f"w_max of {type(self.weight_dependence).__name__} is {high:g}, below its w_min "
                f"of {low:g}",
                here(),
                "weights of inhibitory currents are negative: w_min is the strongest of them",
            )
        # An additive amplitude is in the unit of the weight.
        up = unit if potentiation is Dependence.ADDITIVE else 1.0
        down = unit if depression is Dependence.ADDITIVE else 1.0
        rule = PairSTDP(
            a_plus=numbers["A_plus"] * up,
            a_minus=numbers["A_minus"] * down,
            tau_plus=numbers["tau_plus"] * MILLI,
            tau_minus=numbers["tau_minus"] * MILLI,
            dependence=potentiation,
            depression=depression,
            # Brian2 runs the pathway of pre spikes first.
            coincidence=Coincidence.DEPRESS
            if state.dialect == "spinnaker"
            else Coincidence.POTENTIATE,
            dendritic_delay_fraction=numbers["dendritic_delay_fraction"],
        )
        return Plasticity(rule, low * unit, high * unit, transmit=Transmit.AFTER)

    def _dependences(self, values: Mapping[str, Any]) -> tuple[Dependence, Dependence]:
        """That of depression, and that of potentiation."""
        scaled = Dependence.ADDITIVE if state.dialect == "spinnaker" else Dependence.SCALED
        match self.weight_dependence:
            case AdditiveWeightDependence():
                return scaled, scaled
            case MultiplicativeWeightDependence():
                return Dependence.MULTIPLICATIVE, Dependence.MULTIPLICATIVE
            case AdditivePotentiationMultiplicativeDepression():
                return Dependence.MULTIPLICATIVE, scaled
            case GutigWeightDependence():
                powers = [_one(name, values) for name in ("mu_minus", "mu_plus")]
                kinds = {0.0: scaled, 1.0: Dependence.MULTIPLICATIVE}
                if all(power in kinds for power in powers):
                    return kinds[powers[0]], kinds[powers[1]]
                raise fail(
                    "E1001",
                    f"GutigWeightDependence with mu_minus {powers[0]:g} and mu_plus "
                    f"{powers[1]:g}; rules have the powers 0 (additive) and 1 (multiplicative)",
                    here(),
                    "round each to 0 or 1, or take AdditiveWeightDependence or another of them",
                )
            case other:
                raise fail("E1001", f"there is no weight dependence {type(other).__name__}", here())


def _one(name: str, values: Mapping[str, Any]) -> float:
    array = np.asarray(values[name], np.float64)
    if array.size == 0 or array.min() != array.max():
        raise fail(
            "E1002",
            f"{name} differs from synapse to synapse; a plastic projection has one rule",
            here(),
            "make one projection of each",
        )
    return float(array.flat[0])


class SpikePairRule(CodedModel, synapses.SpikePairRule):
    __doc__ = synapses.SpikePairRule.__doc__
    translations = build_translations(
        *((name, name) for name in synapses.SpikePairRule.default_parameters)
    )
    possible_models = frozenset({"pair"})


class _Weights(CodedModel):
    """Translations and models that all weight dependences have."""

    possible_models = frozenset({"pair"})


class AdditiveWeightDependence(_Weights, synapses.AdditiveWeightDependence):
    __doc__ = synapses.AdditiveWeightDependence.__doc__
    translations = build_translations(("w_max", "w_max"), ("w_min", "w_min"))


class MultiplicativeWeightDependence(_Weights, synapses.MultiplicativeWeightDependence):
    __doc__ = synapses.MultiplicativeWeightDependence.__doc__
    translations = build_translations(("w_max", "w_max"), ("w_min", "w_min"))


class AdditivePotentiationMultiplicativeDepression(
    _Weights, synapses.AdditivePotentiationMultiplicativeDepression
):
    __doc__ = synapses.AdditivePotentiationMultiplicativeDepression.__doc__
    translations = build_translations(("w_max", "w_max"), ("w_min", "w_min"))


class GutigWeightDependence(_Weights, synapses.GutigWeightDependence):
    __doc__ = synapses.GutigWeightDependence.__doc__
    translations = build_translations(
        *((name, name) for name in synapses.GutigWeightDependence.default_parameters)
    )
