"""PyNN's synapses, and what each is in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pyNN.standardmodels import build_translations, synapses

from ..ir.diagnostics import fail
from ..ir.plasticity import Coincidence, Dependence, PairSTDP, Plasticity, Transmit
from ..ir.short_term import TsodyksMarkram
from .cells import MILLI
from .simulator import state
from .where import CodedModel, here


def _minimum_delay() -> float:
    return state.dt if state.min_delay == "auto" else float(state.min_delay)


class StaticSynapse(CodedModel, synapses.StaticSynapse):
    __doc__ = synapses.StaticSynapse.__doc__
    translations = build_translations(("weight", "weight"), ("delay", "delay"))

    def _get_minimum_delay(self) -> float:
        return _minimum_delay()


class TsodyksMarkramSynapse(CodedModel, synapses.TsodyksMarkramSynapse):
    __doc__ = synapses.TsodyksMarkramSynapse.__doc__
    translations = build_translations(
        *((name, name) for name in synapses.TsodyksMarkramSynapse.default_parameters)
    )

    def _get_minimum_delay(self) -> float:
        return _minimum_delay()

    def short_term(self, values: Mapping[str, Any], tau_syn: Any) -> TsodyksMarkram:
        """The rule for parameters of shape () or one a synapse; ``tau_syn`` in ms."""
        return TsodyksMarkram(
            np.asarray(values["U"]),
            np.asarray(values["tau_rec"]) * MILLI,
            np.asarray(values["tau_facil"]) * MILLI,
            np.asarray(tau_syn) * MILLI,
        )


class STDPMechanism(CodedModel, synapses.STDPMechanism):
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

    def _get_minimum_delay(self) -> float:
        return _minimum_delay()

    def plasticity(self, values: Mapping[str, Any], unit: float) -> Plasticity:
        """The rule for parameters in PyNN's units; a weight of one is ``unit``."""
        depression, potentiation = self._dependences(values)
        numbers = {name: _one(name, values) for name in values if name not in ("weight", "delay")}
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
        low, high = sorted((numbers["w_min"] * unit, numbers["w_max"] * unit))
        return Plasticity(rule, low, high, transmit=Transmit.AFTER)

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
                    f"a weight dependence with the powers {powers[0]:g} and {powers[1]:g}; there "
                    "are 0 (additive) and 1 (multiplicative)",
                    here(),
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
