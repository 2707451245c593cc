"""Connectors that make all synapses at once, out of the random numbers that PyNN's would draw."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
from pyNN import common, connectors
from pyNN.random import NumpyRNG

from .projections import Projection

_BLOCK = 1 << 20  # pairs that are drawn at once


class FixedProbabilityConnector(connectors.FixedProbabilityConnector):
    __doc__ = connectors.FixedProbabilityConnector.__doc__

    def connect(self, projection: Projection) -> None:
        """Draw a number for each pair, post cell by post cell; in blocks where nothing else draws.

        The synapses are those of PyNN's connector with the same generator.
        """
        values = self._shared_values(projection)
        if values is None:
            super().connect(projection)
            return
        rows, columns = projection.pre.size, projection.post.size
        # A lazy array draws from a copy of the generator it is given: so PyNN's connector does.
        uniform = deepcopy(self.rng).rng.random_sample
        found: list[npt.NDArray[np.int32]] = []
        counts = np.zeros(columns, np.int64)
        together = max(1, _BLOCK // rows)
        itself = not self.allow_self_connections and projection.pre is projection.post
        for first in range(0, columns, together):
            last = min(first + together, columns)
            hit = uniform((last - first) * rows).reshape(last - first, rows) < self.p_connect
            if itself:
                hit[np.arange(last - first), np.arange(first, last)] = False
            at = np.flatnonzero(hit)
            counts[first:last] = np.count_nonzero(hit, axis=1)
            found.append((at % rows).astype(np.int32))
        projection.connect_rows(np.concatenate(found), counts, values)

    def _shared_values(self, projection: Projection) -> dict[str, Any] | None:
        """One value for all synapses of each parameter; None where they must be drawn in turn."""
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
        space = self._parameters_from_synapse_type(projection)
        values = {}
        for name, value in space.items():
            if not value.is_homogeneous:
                return None
            values[name] = value.evaluate(simplify=True)
        if self.safe:
            for name, check in getattr(projection.synapse_type, "parameter_checks", {}).items():
                check(values[name], projection)
        return values
