"""PyNN's functions in place of its classes."""

from __future__ import annotations

from typing import Any

from pyNN import common

from . import simulator
from .connectors import FixedProbabilityConnector
from .populations import Population, check_group
from .projections import Projection
from .simulator import ID
from .synapses import StaticSynapse

create = common.build_create(Population)
connect = common.build_connect(Projection, FixedProbabilityConnector, StaticSynapse)
_record = common.build_record(simulator)


def initialize(cells: Any, **initial_values: Any) -> None:
    """Set what variables of ``cells`` start with."""
    check_group(cells)
    common.initialize(cells, **initial_values)


def set(cells: Any, **parameters: Any) -> None:
    """Set parameters of ``cells``; E1002 for one that they do not have."""
    check_group(cells)
    common.set(cells, **parameters)


def record(variables: Any, source: Any, filename: str, *rest: Any, **named: Any) -> None:
    """Record variables of ``source``, to a file at the end; E1005 for one that it does not have."""
    if not isinstance(source, ID):
        check_group(source)
    _record(variables, source, filename, *rest, **named)


def record_v(source: Any, filename: str) -> None:
    """Record the membrane potential of ``source``, to a file at the end."""
    record(["v"], source, filename)


def record_gsyn(source: Any, filename: str) -> None:
    """Record the conductances of ``source``, to a file at the end."""
    record(["gsyn_exc", "gsyn_inh"], source, filename)
