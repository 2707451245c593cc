"""PyNN's connectors; those of a fixed probability or number make all synapses at once.

They do so out of the random numbers that PyNN's would draw.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pyNN import common, connectors
from pyNN.random import NumpyRNG, RandomDistribution

from ..ir.diagnostics import fail
from .mersenne import Twister
from .projections import Projection, by_row
from .where import CodedModel, here

_BLOCK = 1 << 24  # pairs that are looked at together
# Of these numpy draws n numbers as it draws n times one: PyNN draws them post cell by post cell.
_IN_TURN = {"uniform", "normal", "exponential", "lognormal", "gamma"}

Indices = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]


class _Coded(CodedModel):
    """A connector whose constructor says E1007, and the line, for a wrong parameter."""

    _code = "E1007"


class _AtOnce(_Coded, connectors.MapConnector):
    """A connector that makes all its synapses in one go, where that changes no number."""

    def _values(self, projection: Projection, *between: Any) -> dict[str, Any] | None:
        """A number or a distribution for each parameter; None where they must be made in turn.

        ``between`` are the generators that PyNN draws from between two post cells' parameters.
        """
        simple = (
            isinstance(self.rng, NumpyRNG)
            and self.rng.parallel_safe
            and self.callback is None
            and self.location_selector is None
        )
        if not simple:
            return None
        values: dict[str, Any] = {}
        generators = {id(rng) for rng in between}
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

    def _join(
        self, projection: Projection, pre: Indices, counts: Counts, values: dict[str, Any]
    ) -> None:
        """Make ``counts[j]`` synapses of each post cell j, in order, with their parameters."""
        for name, value in values.items():
            if isinstance(value, RandomDistribution):
                values[name] = value.next(pre.size)
        self._check(projection, values)
        projection.connect_rows(pre, counts, values)

    def _check(self, projection: Projection, values: dict[str, Any]) -> None:
        if not self.safe:
            return
        for name, check in getattr(projection.synapse_type, "parameter_checks", {}).items():
            check(values[name], projection)


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


class FixedProbabilityConnector(_AtOnce, connectors.FixedProbabilityConnector):
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
        values = self._values(projection) if self._covered(projection) else None
        if values is None:
            super().connect(projection)
            return
        rows, columns = projection.pre.size, projection.post.size
        # A lazy array draws from a copy of the generator it is given: so PyNN's connector does.
        numbers = Twister(self.rng.rng)
        together = max(1, _BLOCK // rows)
        itself = not self.allow_self_connections and projection.pre is projection.post
        found: list[Indices] = []
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
        self._join(projection, pre, counts, values)

    def _covered(self, projection: Projection) -> bool:
        return (
            isinstance(self.allow_self_connections, bool)
            and isinstance(projection.post, common.Population)
            and isinstance(projection.pre, common.Population)
        )


class _FixedNumber(_AtOnce, connectors.FixedNumberConnector):
    """The cells that each of ``many`` cells chooses among ``size``."""

    def _numbers(self, many: int) -> Any:
        """How many each chooses, drawn as PyNN draws them."""
        raise NotImplementedError

    def _apart(self) -> bool:
        """Whether all these numbers can be drawn before the first cell is chosen."""
        return True

    def _choices(
        self, projection: Projection, many: int, size: int
    ) -> tuple[Indices, Counts] | None:
        """Whom each chooses, one after another, and how many; None where PyNN's own code must tell.

        The generators are then where they were.
        """
        itself = not self.allow_self_connections and projection.pre == projection.post
        drawn = isinstance(self.n, RandomDistribution)
        if drawn and not (isinstance(self.n.rng, NumpyRNG) and self._apart()):
            return None
        before = self.n.rng.get_state() if drawn else None
        counts = np.array(list(self._numbers(many)))
        least, most = (0, np.inf) if self.with_replacement else (1, size - itself - 1)
        if counts.dtype.kind != "i" or counts.min() < least or counts.max() > most:
            if drawn:
                self.n.rng.set_state(before)
            return None
        counts = counts.astype(np.int64)
        if not self.with_replacement:
            numbers = Twister(self.rng.rng)
            found = numbers.firsts(size - itself, counts)
            numbers.leave(self.rng.rng)
            if itself:
                found += found >= np.repeat(np.arange(many, dtype=np.int32), counts)
        elif itself:
            each = (self._rng_uniform_int_exclude(n, size, k) for k, n in enumerate(counts))
            found = np.concatenate([chosen.astype(np.int32) for chosen in each])
        else:
            within = {"low": 0, "high": size}
            found = self.rng.next(int(counts.sum()), "uniform_int", within).astype(np.int32)
        return found, counts


def _in_order(group: Any) -> bool:
    """Whether cell k of a group has index k: not where a cell is in it twice."""
    return isinstance(group, common.Population) or np.array_equal(
        group.id_to_index(group.all_cells), np.arange(group.size)
    )


class FixedNumberPostConnector(_FixedNumber, connectors.FixedNumberPostConnector):
    __doc__ = connectors.FixedNumberPostConnector.__doc__

    def connect(self, projection: Projection) -> None:
        """Choose the post cells of each pre cell, and then draw parameters post cell by post cell.

        The synapses are those of PyNN's connector with the same generators.
        """
        rows, columns = projection.pre.size, projection.post.size
        covered = _in_order(projection.post) and self._values(projection) is not None
        chosen = self._choices(projection, rows, columns) if covered else None
        # Now, since a parameter draws from a copy of its generator, which may be that of the cells.
        values = self._values(projection) if chosen else None
        if chosen is None or values is None:
            super().connect(projection)
            return
        post, counts = chosen
        indptr, order = by_row(post, columns)
        pre = np.repeat(np.arange(rows, dtype=np.int32), counts)[order]
        self._join(projection, pre, np.diff(indptr), values)

    def _numbers(self, many: int) -> Any:
        return (self._get_num_post() for _ in range(many))

    def _apart(self) -> bool:
        return self.n.rng is not self.rng


class FixedNumberPreConnector(_FixedNumber, connectors.FixedNumberPreConnector):
    __doc__ = connectors.FixedNumberPreConnector.__doc__

    def connect(self, projection: Projection) -> None:
        """Choose the pre cells of each post cell, and draw parameters, post cell by post cell.

        The synapses are those of PyNN's connector with the same generators.
        """
        rows, columns = projection.pre.size, projection.post.size
        values = self._values(projection, self.rng) if _in_order(projection.post) else None
        chosen = None if values is None else self._choices(projection, columns, rows)
        if values is None or chosen is None:
            super().connect(projection)
            return
        self._join(projection, *chosen, values)

    def _numbers(self, many: int) -> Any:
        return self._get_num_pre(many)
