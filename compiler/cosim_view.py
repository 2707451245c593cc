"""What a report shows of a co-simulation."""

from __future__ import annotations

import numpy as np

from .profile.distortion import CoSimulated
from .report.cosim_data import CosimView


def cosim_view(found: CoSimulated) -> CosimView:
    """The record of ``found``; nothing is simulated that it has not."""
    d = found.distortion
    start, end, _, _, stall = found.links.T if found.links.size else np.zeros((5, 0), np.int64)
    waited = stall > 0
    return CosimView(
        machine=found.machine,
        seat=found.seat,
        link_start=start[waited],
        link_end=end[waited],
        link_load=stall[waited],
        cycle=d.cycle,
        tick=found.tick,
        latency=d.histogram,
        latency_edges=d.edges,
        distortion=d.interval_histogram,
        distortion_edges=d.interval_edges,
        figures=d.as_dict(),
        estimate=None if found.estimate is None else found.estimate.mean,
    )
