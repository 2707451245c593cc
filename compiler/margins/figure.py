"""What a figure of margins has: a bar for each group, a grid for each pair of corners."""

from __future__ import annotations

from typing import Any

from ..report.margins import Bar, Grid, plot_margins
from ..report.style import Form
from .study import Axis, FoundMargins


def draw(found: FoundMargins, form: Form) -> bytes:
    """The figure as a file; the same study gives the same bytes."""
    bars = [
        Bar(
            row.title,
            100 * row.margin.low,
            100 * row.margin.high,
            row.margin.open_low,
            row.margin.open_high,
        )
        for row in found.rows
    ]
    grids = [
        Grid(
            _title(corners.x),
            _title(corners.y),
            corners.x.values,
            corners.y.values,
            tuple(map(tuple, found.shares(corners).tolist())),
            *_right(found),
        )
        for corners in found.study.corners
    ]
    return plot_margins(bars, grids, form=form)


def _right(found: FoundMargins) -> tuple[Any, ...]:
    """What is right of a gap; of spikes it is as usual."""
    gap = found.study.job.gap
    return () if gap is None else (gap.least, (f"gap {gap.least:g} or more", "less", "none"))


def _title(axis: Axis) -> str:
    return "temperature (K)" if axis.title == "temperature" else f"{axis.title}, times nominal"
