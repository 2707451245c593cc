"""A PyNN 0.13 simulator: a script's network as a graph, and a run of it on a chosen rung.

Change the import of a PyNN script to ``import spikec.pynn as sim``. `setup` takes the rung and the
dialect, `capture` returns the graph that compiles to every target.
"""

from __future__ import annotations

from typing import Any

from ..compiler.backend import need as _need

_need("pyNN", "pynn", "spikec.pynn")  # before the first import that fails without it

from pyNN import connectors as _connectors
from pyNN import errors, random, space
from pyNN import standardmodels as _models
from pyNN.connectors import Connector
from pyNN.network import Network
from pyNN.random import GSLRNG
from pyNN.standardmodels import StandardCellType

from ..ir.diagnostics import fail as _fail
from .capture import capture, save, stimulus
from .cells import (
    EIF_cond_alpha_isfa_ista,
    EIF_cond_exp_isfa_ista,
    IF_cond_alpha,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    Izhikevich,
    SpikeSourceArray,
    SpikeSourcePoisson,
)
from .connectors import (
    AllToAllConnector,
    ArrayConnector,
    CloneConnector,
    DisplacementDependentProbabilityConnector,
    DistanceDependentProbabilityConnector,
    FixedNumberPostConnector,
    FixedNumberPreConnector,
    FixedProbabilityConnector,
    FixedTotalNumberConnector,
    FromFileConnector,
    FromListConnector,
    IndexBasedProbabilityConnector,
    OneToOneConnector,
)
from .control import (
    end,
    get_current_time,
    get_max_delay,
    get_min_delay,
    get_time_step,
    num_processes,
    rank,
    reset,
    run,
    run_for,
    run_until,
    setup,
)
from .drawing import NumpyRNG, RandomDistribution, Space
from .electrodes import ACSource, DCSource, NoisyCurrentSource, StepCurrentSource
from .populations import Assembly, Population, PopulationView
from .procedural_api import connect, create, initialize, record, record_gsyn, record_v, set
from .projections import Projection
from .synapses import (
    AdditivePotentiationMultiplicativeDepression,
    AdditiveWeightDependence,
    GutigWeightDependence,
    MultiplicativeWeightDependence,
    SpikePairRule,
    StaticSynapse,
    STDPMechanism,
    TsodyksMarkramSynapse,
)
from .where import here as _here

__all__ = [
    "GSLRNG",
    "ACSource",
    "AdditivePotentiationMultiplicativeDepression",
    "AdditiveWeightDependence",
    "AllToAllConnector",
    "ArrayConnector",
    "Assembly",
    "CloneConnector",
    "Connector",
    "DCSource",
    "DisplacementDependentProbabilityConnector",
    "DistanceDependentProbabilityConnector",
    "EIF_cond_alpha_isfa_ista",
    "EIF_cond_exp_isfa_ista",
    "FixedNumberPostConnector",
    "FixedNumberPreConnector",
    "FixedProbabilityConnector",
    "FixedTotalNumberConnector",
    "FromFileConnector",
    "FromListConnector",
    "GutigWeightDependence",
    "IF_cond_alpha",
    "IF_cond_exp",
    "IF_curr_alpha",
    "IF_curr_delta",
    "IF_curr_exp",
    "IndexBasedProbabilityConnector",
    "Izhikevich",
    "MultiplicativeWeightDependence",
    "Network",
    "NoisyCurrentSource",
    "NumpyRNG",
    "OneToOneConnector",
    "Population",
    "PopulationView",
    "Projection",
    "RandomDistribution",
    "STDPMechanism",
    "Space",
    "SpikePairRule",
    "SpikeSourceArray",
    "SpikeSourcePoisson",
    "StandardCellType",
    "StaticSynapse",
    "StepCurrentSource",
    "TsodyksMarkramSynapse",
    "capture",
    "connect",
    "create",
    "end",
    "errors",
    "get_current_time",
    "get_max_delay",
    "get_min_delay",
    "get_time_step",
    "initialize",
    "list_standard_models",
    "num_processes",
    "random",
    "rank",
    "record",
    "record_gsyn",
    "record_v",
    "reset",
    "run",
    "run_for",
    "run_until",
    "save",
    "set",
    "setup",
    "space",
    "stimulus",
]


def list_standard_models() -> list[str]:
    """The names of the cells that there are."""
    return [
        name
        for name, thing in globals().items()
        if isinstance(thing, type)
        and issubclass(thing, StandardCellType)
        and thing is not StandardCellType
    ]


def __getattr__(name: str) -> Any:
    """E1001 for a model or connector that PyNN has, or might have, and this module has not."""
    if name.startswith("_") or not name[:1].isupper():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from difflib import get_close_matches

    there = hasattr(_models.cells, name) or hasattr(_models.synapses, name)
    there = there or hasattr(_connectors, name) or hasattr(_models.electrodes, name)
    kin = [thing for thing in globals() if thing[:1].isupper()]
    close = get_close_matches(name, kin, n=1)
    what = "is a model of PyNN that spikec.pynn does not have" if there else "is no model of PyNN"
    kinds = ("Connector", "Synapse", "Source", "Dependence", "Rule")
    kind = next((kind for kind in kinds if name.endswith(kind)), None)
    alike = list_standard_models()
    if kind is not None:
        alike = sorted(thing for thing in __all__ if thing.endswith(kind) and thing != kind)
    raise _fail(
        "E1001",
        f"{name} {what}; there are {', '.join(alike)}",
        _here(),
        f"did you mean {close[0]}?" if close else None,
    )
