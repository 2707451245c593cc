"""What the interconnect does to the times between spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ir.records import Record
from .packets import Copies


@dataclass(frozen=True, eq=False)
class Timing(Record):
    r"""Latencies of copies, in cycles, and what they do to the order and intervals of spikes.

    ``latency`` is their mean and ``latency_most`` their largest. Spikes of one source that reach
    one core are a stream; with :math:`s_k` the cycle in which the k-th was sent and :math:`a_k`
    that in which it arrived, the interval before it is distorted by

    .. math::
        d_k = (a_k - a_{k-1}) - (s_k - s_{k-1}).

    ``distortion`` is the mean of :math:`|d_k|` over all streams, ``distortion_signed`` that of
    :math:`d_k`, ``distortion_most`` the largest :math:`|d_k|`. ``disorder`` counts copies that were
    sent before the one that arrived at their core just before them. All are 0 where there is
    nothing to count. As in SpiNeMap's simulator (snnNoxim/src/BusStats.cpp), which has no
    :math:`|d_k|`: in a mean of signed ones the positive and negative cancel.
    """

    copies: int
    latency: float
    latency_most: int
    distortion: float
    distortion_signed: float
    distortion_most: int
    disorder: int


def timing(copies: Copies, source: npt.NDArray[np.integer[Any]]) -> Timing:
    """The timing of copies, in any order; ``source[p]`` is the source of the packet p.

    Raises ``ValueError`` where a packet has no source.
    """
    source = np.asarray(source)
    if copies.count and (copies.packet.min() < 0 or copies.packet.max() >= source.size):
        raise ValueError(
            f"packets {copies.packet.min()} to {copies.packet.max()} have the sources of "
            f"{source.size}"
        )
    stream = source[copies.packet] if copies.count else copies.packet
    order = np.lexsort((copies.time, copies.sent, stream, copies.core))
    same = (np.diff(stream[order]) == 0) & (np.diff(copies.core[order]) == 0)
    distorted = (np.diff(copies.time[order]) - np.diff(copies.sent[order]))[same]
    order = np.lexsort((copies.packet, copies.sent, copies.time, copies.core))
    same = np.diff(copies.core[order]) == 0
    disorder = int((np.diff(copies.sent[order])[same] < 0).sum())
    some = max(1, copies.count)
    intervals = max(1, distorted.size)
    return Timing(
        copies.count,
        float(copies.latency.sum() / some),
        int(copies.latency.max(initial=0)),
        float(np.abs(distorted).sum() / intervals),
        float(distorted.sum() / intervals),
        int(np.abs(distorted).max(initial=0)),
        disorder,
    )
