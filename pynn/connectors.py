"""PyNN's connectors; that of a fixed probability makes all synapses at once.

It does so out of the random numbers that PyNN's would draw.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pyNN import common, connectors
from pyNN.random import NumpyRNG, RandomDistribution

from ..ir.diagnostics import fail
from .mersenne import Twister
from .projections import Projection
from .where import CodedModel, here

_BLOCK = 1 << 24  # pairs that are looked at together
# Of these numpy draws n numbers as it draws n times one: PyNN draws them post cell by post cell.
_IN_TURN = {"uniform", "normal", "exponential", "lognormal", "gamma"}


class _Coded(CodedModel):
    """A connector whose constructor says E1007, and the line, for a wrong parameter."""

    _code = "E1007"


class AllToAllConnector(_Coded, connectors.AllToAllConnector):
    __doc__ = connectors.AllToAllConnector.__doc__


class ArrayConnector(_Coded, connectors.ArrayConnector):
    __doc__ = connectors.ArrayConnector.__doc__

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        held = np.asarray(self.array)
        if held.dtype.kind in "iuf" and (wrong := (held != 0) & (held != 1)).any():
            raise fail(
                "E1007",
                f"the array of ArrayConnector has {held[wrong].flat[0]:g}; True and False, or 1 "
                "and 0, say where synapses are",
                here(),
                "give weights to the synapse: sim.StaticSynapse(weight=array)",
            )


class CloneConnector(_Coded, connectors.CloneConnector):
    __doc__ = connectors.CloneConnector.__doc__

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        if not isinstance(self.reference_projection, Projection):
            raise fail(
                "E1007",
                "CloneConnector repeats the synapses of a projection, not of "
                f"{self.reference_projection!r}",
                here(),
            )


class OneToOneConnector(_Coded, connectors.OneToOneConnector):
    __doc__ = connectors.OneToOneConnector.__doc__


class DisplacementDependentProbabilityConnector(
    _Coded, connectors.DisplacementDependentProbabilityConnector
):
    __doc__ = connectors.DisplacementDependentProbabilityConnector.__doc__


class DistanceDependentProbabilityConnector(
    _Coded, connectors.DistanceDependentProbabilityConnector
):
    __doc__ = connectors.DistanceDependentProbabilityConnector.__doc__


class FixedNumberPostConnector(_Coded, connectors.FixedNumberPostConnector):
    __doc__ = connectors.FixedNumberPostConnector.__doc__


class FixedNumberPreConnector(_Coded, connectors.FixedNumberPreConnector):
    __doc__ = connectors.FixedNumberPreConnector.__doc__


class FixedTotalNumberConnector(_Coded, connectors.FixedTotalNumberConnector):
    __doc__ = connectors.FixedTotalNumberConnector.__doc__


class IndexBasedProbabilityConnector(_Coded, connectors.IndexBasedProbabilityConnector):
    __doc__ = connectors.IndexBasedProbabilityConnector.__doc__


class FromFileConnector(CodedModel, connectors.FromFileConnector):
    __doc__ = connectors.FromFileConnector.__doc__

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        if not hasattr(self.file, "read"):
            raise fail(
                "E1007", f"FromFileConnector reads a file or its name, not {self.file!r}", here()
            )


class FromListConnector(CodedModel, connectors.FromListConnector):
    __doc__ = connectors.FromListConnector.__doc__


class FixedProbabilityConnector(_Coded, connectors.FixedProbabilityConnector):
    __doc__ = connectors.FixedProbabilityConnector.__doc__

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        if self.p_connect > 1:
            raise fail(
                "E1007",
                f"FixedProbabilityConnector has the probability {self.p_connect:g}; it is 0 to 1",
                here(),
            )

    def connect(self, projection: Projection) -> None:
        """Draw a number for each pair, and parameters for each synapse, post cell by post cell.

        The synapses are those of PyNN's connector with the same generators, which it asks where
        their numbers depend on each other.
        """
        values = self._values(projection)
        if values is None:
            super().connect(projection)
            return
        rows, columns = projection.pre.size, projection.post.size
        # A lazy array draws from a copy of the generator it is given: so PyNN's connector does.
        numbers = Twister(self.rng.rng)
        together = max(1, _BLOCK // rows)
        itself = not self.allow_self_connections and projection.pre is projection.post
        found: list[npt.NDArray[np.int32]] = []
        counts = np.zeros(columns, np.int64)
        for first in range(0, columns, together):
            last = min(first + together, columns)
            at = numbers.below(self.p_connect, (last - first) * rows)
            post, pre = (part.astype(np.int32) for part in np.divmod(at, rows))
            del at
            if itself:
                keep = post + first != pre
                post, pre = post[keep], pre[keep]
            counts[first:last] = np.bincount(post, minlength=last - first)
            found.append(pre)
        pre = found[0] if len(found) == 1 else np.concatenate(found)
        for name, value in values.items():
            if isinstance(value, RandomDistribution):
                values[name] = value.next(pre.size)
        self._check(projection, values)
        projection.connect_rows(pre, counts, values)

    def _values(self, projection: Projection) -> dict[str, Any] | None:
        """A number or a distribution for each parameter; None where they must be made in turn."""
        simple = (
            isinstance(self.rng, NumpyRNG)
            and self.rng.parallel_safe
            and self.callback is None
            and self.location_selector is None
            and isinstance(self.allow_self_connections, bool)
            and isinstance(projection.post, common.Population)
            and isinstance(projection.pre, common.Population)
        )
        if not simple:
            return None
        values: dict[str, Any] = {}
        generators = set()
        for name, value in self._parameters_from_synapse_type(projection).items():
            drawn = value.base_value
            if value.is_homogeneous:
                values[name] = value.evaluate(simplify=True)
            elif (
                isinstance(drawn, RandomDistribution)
                and not value.operations
                and drawn.name in _IN_TURN
                and isinstance(drawn.rng, NumpyRNG)
                and drawn.rng.parallel_safe
                and id(drawn.rng) not in generators
            ):
                generators.add(id(drawn.rng))
                values[name] = drawn
            else:
                return None
        return values

    def _check(self, projection: Projection, values: dict[str, Any]) -> None:
        if not self.safe:
            return
        for name, check in getattr(projection.synapse_type, "parameter_checks", {}).items():
            check(values[name], projection)
