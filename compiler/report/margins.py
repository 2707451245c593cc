"""The figure of margins: bars of how far values may be off, and grids of corners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from .style import BAR, GRID, INK, MUTED, PAPER, WRONG, Form, clip, style, to_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_BARS: Final = 40
_LONGEST: Final = 28
# Inches: a bar, the height of a grid and its width, the width of bars, and what is around them.
_ROW: Final = 0.22
_GRID: Final = 3.2
_BARS: Final = 3.4
_NAMES: Final = 2.0
_TITLE: Final = 0.8
_GAP: Final = 0.2
_ABOVE: Final = 0.35
_BELOW: Final = 0.5
_TICKS: Final = 6  # values of an axis that has a mark at each
_SOME: Final = "#f6c9a8"


@dataclass(frozen=True)
class Bar:
    """A group and its margin in %; an end is open where nothing failed."""

    title: str
    low: float
    high: float
    open_low: bool
    open_high: bool


@dataclass(frozen=True)
class Grid:
    """Shares that are right at corners, ``shares[y][x]``, from 0 to 1; or what is right at all.

    ``right`` is the least that is. ``labels`` are of what is, of what is less, and of 0 or less.
    """

    x_title: str
    y_title: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...]
    right: float = 1.0
    labels: tuple[str, str, str] = ("all samples right", "some", "none")


def plot_margins(bars: Sequence[Bar], grids: Sequence[Grid], *, form: Form = "svg") -> bytes:
    """Bars, the least margin on top, and grids beside them."""
    from matplotlib.figure import Figure

    shown = list(bars[:_MOST_BARS])
    room = max(_GRID if grids else 0.0, _ROW * len(shown))
    panels = [*([(_NAMES, _BARS)] if shown else []), *((_TITLE, _GRID) for _ in grids)]
    wide = sum(left + width + _GAP for left, width in panels)
    tall = _BELOW + room + _ABOVE
    with style("margins"):
        # Places are given: a layout that is fitted differs in its last digits from run to run.
        figure = Figure(figsize=(wide, tall))
        x = 0.0
        axes = []
        for left, width in panels:
            own = room if left == _NAMES else _GRID
            place = ((x + left) / wide, (_BELOW + room - own) / tall, width / wide, own / tall)
            axes.append(figure.add_axes(place))
            x += left + width + _GAP
        if shown:
            _bars(axes[0], shown, len(bars))
        for axis, grid in zip(axes[bool(shown) :], grids, strict=True):
            _grid(axis, grid)
        return to_bytes(figure, "margins", form)


def _bars(axis: Axes, bars: Sequence[Bar], every: int) -> None:
    at = np.arange(len(bars))
    low, high = (np.array([getattr(bar, side) for bar in bars]) for side in ("low", "high"))
    axis.barh(at, high - low, left=low, height=0.7, color=BAR)
    for k, bar in enumerate(bars):
        # What is open goes on: its end is a mark and no edge.
        for end, is_open, mark in ((bar.low, bar.open_low, "<"), (bar.high, bar.open_high, ">")):
            if is_open:
                axis.plot([end], [k], mark, color=BAR, markersize=6, clip_on=False)
    axis.axvline(0, color=INK, linewidth=1.0)
    axis.set_yticks(at, [clip(bar.title, _LONGEST) for bar in bars])
    axis.set_ylim(len(bars) - 0.4, -0.6)
    axis.tick_params(color=MUTED)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x")
    few = f", the least {len(bars)} of {every:,}" if every > len(bars) else ""
    axis.set_xlabel(f"off the nominal value, %{few}")


def _grid(axis: Axes, grid: Grid) -> None:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Patch, Rectangle

    # Some samples right is no pass: its colours stay away from that of all.
    part = LinearSegmentedColormap.from_list("part", [WRONG, _SOME])
    shares = np.array(grid.shares)
    colours = part(np.clip(np.nan_to_num(shares) / grid.right, 0, 1))
    colours[shares >= grid.right] = _rgba(BAR)
    colours[np.isnan(shares)] = _rgba(GRID)
    edges = (_edges(grid.x), _edges(grid.y))
    # Patches, since a collection has an id by chance in SVG.
    for (bottom, top), row in zip(pairwise(edges[1]), colours.tolist(), strict=True):
        for (left, right), colour in zip(pairwise(edges[0]), row, strict=True):
            axis.add_patch(
                Rectangle(
                    (left, bottom),
                    right - left,
                    top - bottom,
                    facecolor=colour,
                    edgecolor=PAPER,
                    linewidth=0.4,
                )
            )
    for line, values, title in (
        (axis.axvline, grid.x, grid.x_title),
        (axis.axhline, grid.y, grid.y_title),
    ):
        if "K" not in title and min(values) <= 1 <= max(values):
            line(1.0, color=INK, linewidth=0.8, linestyle="--")
    if len(grid.x) <= _TICKS:
        axis.set_xticks(grid.x)
    if len(grid.y) <= _TICKS:
        axis.set_yticks(grid.y)
    axis.set_xlim(edges[0][0], edges[0][-1])
    axis.set_ylim(edges[1][0], edges[1][-1])
    axis.set_xlabel(grid.x_title)
    axis.set_ylabel(grid.y_title)
    axis.tick_params(color=MUTED)
    axis.legend(
        handles=[
            Patch(color=colour, label=label)
            for colour, label in zip((BAR, _SOME, WRONG), grid.labels, strict=True)
        ],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=3,
        handlelength=1.0,
    )


def _edges(values: tuple[float, ...]) -> list[float]:
    """Between values half way, and as far beyond the first and the last."""
    if len(values) == 1:
        return [values[0] - 0.5, values[0] + 0.5]
    middle = [(a + b) / 2 for a, b in pairwise(values)]
    return [2 * values[0] - middle[0], *middle, 2 * values[-1] - middle[-1]]


def _rgba(colour: str) -> tuple[float, ...]:
    from matplotlib.colors import to_rgba

    return tuple(to_rgba(colour))
