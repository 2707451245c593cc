r"""What an interconnect does to spike trains: latency, distortion of intervals, disorder.

For the k-th spike that a core receives from one source, sent at :math:`s_k` and received at
:math:`r_k`, the distortion of the inter-spike interval is

.. math::
    d_k = (r_k - r_{k-1}) - (s_k - s_{k-1})

and a spike is out of order where the one that the same core received before it, from whichever
source, was sent later. Both are those of the simulator behind PyCARL (SpiNeMap's snnNoxim,
BusStats.cpp), which averages :math:`d_k` with its sign; both means are here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...boards.machine import Machine
from ...ir.events import Recording
from ...ir.records import Record, frozen_array
from ..noc.analytic import Error

Integers = npt.NDArray[np.int64]

QUANTILES: Final = (0.5, 0.9, 0.99)


@dataclass(frozen=True, eq=False)
class Journeys(Record):
    """Copies of packets that arrived in one sample, in the order in which they did.

    Source, core, and the cycles in which each was sent and received, all (copies,).
    """

    source: Integers
    core: Integers
    sent: Integers
    received: Integers

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("source", "core", "sent", "received"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int64))

    @property
    def latency(self) -> Integers:
        """Cycles from sending to receiving (copies,)."""
        return self.received - self.sent


def interval_distortion(journeys: Journeys) -> Integers:
    """:math:`d_k` in cycles, of every copy but the first of each source and core."""
    order = np.lexsort((journeys.received, journeys.core, journeys.source))
    source, core = journeys.source[order], journeys.core[order]
    same = (source[1:] == source[:-1]) & (core[1:] == core[:-1])
    received, sent = (np.diff(a[order]) for a in (journeys.received, journeys.sent))
    found: Integers = (received - sent)[same]
    return found


def out_of_order(journeys: Journeys) -> int:
    """How many copies a core received after one that was sent later than they."""
    order = np.argsort(journeys.core, kind="stable")
    core, sent = journeys.core[order], journeys.sent[order]
    return int(((core[1:] == core[:-1]) & (sent[1:] < sent[:-1])).sum())


@dataclass(frozen=True, eq=False)
class Distortion(Record):
    """Figures of many copies, in cycles of ``cycle`` seconds.

    ``late`` copies arrived in a later step than that of their spike, ``late_cores`` of them because
    their core had not sent them by its end; ``dropped`` ones never. Intervals: their number, the
    mean distortion with and without signs, the least and the most. ``disorder`` copies were out of
    order. ``latency`` has the mean, the quantiles of `QUANTILES` and the most; ``histogram``
    (bins,) counts latencies between ``edges`` (bins + 1,), ``interval_histogram`` distortions
    between ``interval_edges``.
    """

    cycle: float
    copies: int
    late: int
    late_cores: int
    dropped: int
    disorder: int
    intervals: int
    mean: float
    mean_absolute: float
    least: int
    most: int
    latency_mean: float
    latency_quantiles: tuple[float, ...]
    latency_most: int
    histogram: Integers
    edges: npt.NDArray[np.float64]
    interval_histogram: Integers
    interval_edges: npt.NDArray[np.float64]

    def as_dict(self) -> dict[str, Any]:
        """As JSON: times in seconds beside cycles."""
        return {
            "cycle_seconds": self.cycle,
            "copies": self.copies,
            "late": self.late,
            "late_cores": self.late_cores,
            "dropped": self.dropped,
            "disorder": self.disorder,
            "disorder_share": self.disorder / max(self.copies, 1),
            "intervals": self.intervals,
            "interval_distortion_cycles": {
                "mean": self.mean,
                "mean_absolute": self.mean_absolute,
                "least": self.least,
                "most": self.most,
            },
            "interval_distortion_seconds": {
                "mean": self.mean * self.cycle,
                "mean_absolute": self.mean_absolute * self.cycle,
            },
            "latency_cycles": {
                "mean": self.latency_mean,
                **{
                    f"quantile_{q:g}": value
                    for q, value in zip(QUANTILES, self.latency_quantiles, strict=True)
                },
                "most": self.latency_most,
            },
            "latency_seconds": {
                "mean": self.latency_mean * self.cycle,
                "most": self.latency_most * self.cycle,
            },
            "histogram": {"counts": self.histogram.tolist(), "edges": self.edges.tolist()},
            "interval_histogram": {
                "counts": self.interval_histogram.tolist(),
                "edges": self.interval_edges.tolist(),
            },
        }


@dataclass(frozen=True, eq=False)
class CoSimulated(Record):
    """What a network in the cores ``seat`` of a machine did where packets take time.

    ``recording`` has its spikes, ``tick`` the seconds of a step, ``None`` where steps wait for
    their packets. ``links`` (links, 5), summed over samples: start, end, flits, and the cycles in
    which each link was taken, and in which packets waited for it. ``estimate`` is by how much the
    analytic estimate of latencies was off in the first sample.
    """

    machine: Machine
    seat: Integers
    recording: Recording
    distortion: Distortion
    tick: float | None
    links: Integers
    estimate: Error | None = None


class Tally:
    """Figures of copies, sample by sample: of each only how often every value occurs is kept."""

    def __init__(self) -> None:
        self._latency = self._change = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._disorder = 0

    def add(self, journeys: Journeys) -> None:
        """The copies of one sample, whose intervals and orders are its own."""
        self._latency = _merged(self._latency, journeys.latency)
        self._change = _merged(self._change, interval_distortion(journeys))
        self._disorder += out_of_order(journeys)

    def figures(
        self, cycle: float, *, late: int = 0, late_cores: int = 0, dropped: int = 0, bins: int = 40
    ) -> Distortion:
        """All figures; what is late or dropped has to be said."""
        latency, copies = self._latency
        change, intervals = self._change
        total, many = int(copies.sum()), int(intervals.sum())
        top = int(latency.max(initial=0))
        histogram, edges = np.histogram(
            latency, bins=min(bins, top + 1), range=(0, top + 1), weights=copies
        )
        low, high = int(change.min(initial=0)), int(change.max(initial=0)) + 1
        changes, change_edges = np.histogram(
            change, bins=min(bins, high - low), range=(low, high), weights=intervals
        )
        return Distortion(
            cycle=cycle,
            copies=total,
            late=late,
            late_cores=late_cores,
            dropped=dropped,
            disorder=self._disorder,
            intervals=many,
            mean=float(change @ intervals / max(many, 1)),
            mean_absolute=float(np.abs(change) @ intervals / max(many, 1)),
            least=int(change.min(initial=0)),
            most=int(change.max(initial=0)),
            latency_mean=float(latency @ copies / max(total, 1)),
            latency_quantiles=tuple(_quantile(latency, copies, q) for q in QUANTILES),
            latency_most=top,
            histogram=histogram.astype(np.int64),
            edges=edges.astype(np.float64),
            interval_histogram=changes.astype(np.int64),
            interval_edges=change_edges.astype(np.float64),
        )


def distortion(samples: Iterable[Journeys], cycle: float) -> Distortion:
    """The figures of several samples; of what is late or dropped nothing is known."""
    tally = Tally()
    for journeys in samples:
        tally.add(journeys)
    return tally.figures(cycle)


def _merged(have: tuple[Integers, Integers], values: Integers) -> tuple[Integers, Integers]:
    """Distinct values, ascending, and how often each occurs, with ``values`` added."""
    more, times = np.unique(values, return_counts=True)
    distinct, where = np.unique(np.concatenate([have[0], more]), return_inverse=True)
    counts = np.zeros(distinct.size, np.int64)
    np.add.at(counts, where.ravel(), np.concatenate([have[1], times]))
    return distinct, counts


def _quantile(values: Integers, counts: Integers, share: float) -> float:
    """The least value that at least this share of all do not exceed; 0 of none."""
    if not values.size:
        return 0.0
    reached = np.cumsum(counts)
    # A share of a whole number may come out a little above one.
    wanted = share * float(reached[-1]) * (1 - 1e-12)
    return float(values[np.searchsorted(reached, wanted)])
