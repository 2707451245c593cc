"""PyNN's functions in place of its classes."""

from __future__ import annotations

from typing import Any

from pyNN import common

from . import simulator
from .connectors import FixedProbabilityConnector
from .populations import Population
from .projections import Projection
from .synapses import StaticSynapse

create = common.build_create(Population)
connect = common.build_connect(Projection, FixedProbabilityConnector, StaticSynapse)
record = common.build_record(simulator)
set = common.set


def record_v(source: Any, filename: str) -> Any:
    """Record the membrane potential of ``source``, to a file at the end."""
    return record(["v"], source, filename)


def record_gsyn(source: Any, filename: str) -> Any:
    """Record the conductances of ``source``, to a file at the end."""
    return record(["gsyn_exc", "gsyn_inh"], source, filename)
