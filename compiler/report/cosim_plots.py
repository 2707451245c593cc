"""Figures of a co-simulation: latencies, distorted intervals, links that packets wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from . import machine_map
from .cosim_data import CosimView, Floats, Integers
from .machine_map import WIDTH
from .profile_plots import amount, time_unit
from .style import BAR, Plot, style, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEFT: Final = 0.9  # inches, for numbers and what they count
# With fewer copies than this in every other bar, small ones would be invisible.
_SPREAD: Final = 50


def cosim_plots(view: CosimView) -> tuple[Plot, ...]:
    """All figures that the co-simulation has something for, in the order of the page."""
    waits = machine_map.links_plot(
        view,
        "cosim-waits",
        "Links that packets waited for",
        "Cycles of waiting",
        (f"Cycles of {amount(view.cycle, 's')} in which packets waited for a link, all together.",),
        "cycles",
    )
    return tuple(plot for plot in (_times(view), waits) if plot is not None)


def _times(view: CosimView) -> Plot | None:
    """Histograms of latency and of distortion; ``None`` where nothing arrived."""
    if not view.latency.sum():
        return None
    with style("cosim-times"):
        svg = to_svg(_times_figure(view), "cosim-times")
    latency = view.figures["latency_cycles"]
    changes = view.figures["interval_distortion_cycles"]
    alt = (
        f"Histograms. Latency of {int(view.latency.sum()):,} packets: mean "
        f"{amount(latency['mean'] * view.cycle, 's')}, at most "
        f"{amount(latency['most'] * view.cycle, 's')}. Distortion of "
        f"{int(view.distortion.sum()):,} intervals: "
        f"{amount(changes['least'] * view.cycle, 's')} to "
        f"{amount(changes['most'] * view.cycle, 's')}."
    )
    notes = ["The scale of counts is logarithmic."] if _far_apart(view) else []
    return Plot("cosim-times", "How long packets take, and what that does to intervals", svg, alt,
                tuple(notes))  # fmt: skip


def _far_apart(view: CosimView) -> bool:
    every = [counts[counts > 0] for counts in (view.latency, view.distortion)]
    return any(counts.size and counts.max() > _SPREAD * counts.min() for counts in every)


def _times_figure(view: CosimView) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 2.8))
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.25})
    _histogram(left, view.latency, view.latency_edges * view.cycle, "latency of a packet")
    _histogram(
        right, view.distortion, view.distortion_edges * view.cycle, "distortion of an interval"
    )
    if _far_apart(view):
        for axis in (left, right):
            axis.set_yscale("log")
            axis.set_ylim(bottom=0.7)
            axis.yaxis.set_major_formatter("{x:,.0f}")
    left.set_ylabel("packets")
    right.set_ylabel("intervals")
    figure.subplots_adjust(left=_LEFT / WIDTH, right=1 - 0.2 / WIDTH, top=0.93, bottom=0.2)
    return figure


def _histogram(axis: Axes, counts: Integers, edges: Floats, what: str) -> None:
    factor, unit = time_unit(float(np.abs(edges).max()))
    axis.stairs(counts, edges * factor, fill=True, color=BAR)
    axis.set_xlabel(f"{what} ({unit})")
    axis.xaxis.set_major_formatter("{x:,g}")
    axis.grid(axis="y")
