"""The figure of a Monte Carlo study: every chip against each condition that varies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .style import INK, MUTED, PHASES, Form, clip, style, to_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Lines that can be told from each other; of more, only what all have in common is coloured.
_COLOURS: Final = (*PHASES[:4], "#8c6d00", "#56b4e9")
_TICKS: Final = 6
_LONG: Final = 40
_WIDE: Final = 0.05  # a range of a distribution


@dataclass(frozen=True)
class Line:
    """Places on the axis, each with the values of its chips; ``label`` tells it from others."""

    label: str
    points: tuple[tuple[float, tuple[float, ...]], ...]


@dataclass(frozen=True)
class Panel:
    """One condition: the title of its axis, and the words at places of it where it has some."""

    title: str
    logarithmic: bool
    ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Measure:
    """A row of panels: the title of what is measured, and a value beside it with its label."""

    title: str
    reference: float | None
    panels: tuple[Panel, ...]
    label: str = "integer rung"


def plot_chips(measures: Sequence[Measure], *, form: Form = "svg") -> bytes:
    """Points are chips, lines their means; below each other what was measured of the same chips."""
    with style("chips"):
        return to_bytes(_figure(measures), "chips", form)


def plot_distribution(
    title: str,
    labels: tuple[str, str],
    values: Sequence[float],
    mark: float,
    *,
    form: Form = "svg",
) -> bytes:
    """The share of chips in each of some ranges, and a value that is marked among them.

    ``labels`` are of the chips and of the mark.
    """
    from matplotlib.figure import Figure

    low = min(math.floor(min(values) / _WIDE), math.floor(mark / _WIDE) - 1)
    high = max(math.floor(max(values) / _WIDE), math.ceil(mark / _WIDE)) + 1
    with style("distribution"):
        figure = Figure(figsize=(5.2, 3.3), layout="constrained")
        axis = figure.add_subplot()
        axis.hist(
            values,
            bins=[_WIDE * k for k in range(low, high + 1)],
            weights=[100 / len(values)] * len(values),
            color=_COLOURS[0],
            label=labels[0],
        )
        axis.axvline(mark, color=INK, linestyle="--", linewidth=1.0, label=labels[1])
        axis.set_xlabel(title)
        axis.set_ylabel("chips (%)")
        axis.tick_params(color=MUTED)
        axis.grid(axis="y")
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handlelength=1.6)
        return to_bytes(figure, "distribution", form)


def _figure(measures: Sequence[Measure]) -> Figure:
    from matplotlib.figure import Figure

    # The last row has the labels of lines beneath it.
    panels = max(len(measure.panels) for measure in measures)
    most = max(len(panel.lines) for measure in measures for panel in measure.panels)
    tall = 2.6 * len(measures) + 0.7 + 0.2 * (most if most > 1 else 0)
    figure = Figure(figsize=(4.2 * panels, tall), layout="constrained")
    for row, measure in enumerate(measures):
        first = None
        for number, panel in enumerate(measure.panels):
            place = row * panels + number + 1
            axis = figure.add_subplot(len(measures), panels, place, sharey=first)
            first = first or axis
            _chips(axis, panel)
            if measure.reference is not None:
                axis.axhline(
                    measure.reference, color=INK, linestyle="--", linewidth=1.0, label=measure.label
                )
            _axis(axis, panel)
            if not number:
                axis.set_ylabel(measure.title)
            axis.grid(axis="y")
            if row == len(measures) - 1:
                _legend(axis, figure.axes[number], len(panel.lines) > 1)
            else:
                axis.set_xlabel("")
    return figure


def _chips(axis: Axes, panel: Panel) -> None:
    several = len(panel.lines) > 1
    for k, line in enumerate(panel.lines):
        colour = _COLOURS[k % len(_COLOURS)]
        x = [place for place, values in line.points for _ in values]
        y = [value for _, values in line.points for value in values]
        # Means are in front of the chips of all lines.
        axis.plot(x, y, "o", color=colour, alpha=0.5, markersize=4.5, markeredgewidth=0)
        places = [place for place, _ in line.points]
        means = [sum(values) / len(values) for _, values in line.points]
        label = line.label if several else "their mean"
        axis.plot(
            places, means, "-", color=colour, linewidth=1.6, label=clip(label, _LONG), zorder=3
        )


def _legend(axis: Axes, top: Axes, several: bool) -> None:
    """Beneath ``axis``, of all that the panel at the ``top`` of its column has."""
    handles, labels = top.get_legend_handles_labels()
    axis.legend(
        handles,
        labels,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
        ncols=1 if several else 2,
        title="dots: each chip, lines: their mean" if several else "dots: each chip",
        title_fontsize=9.0,
        handlelength=1.6,
    )


def _axis(axis: Axes, panel: Panel) -> None:
    from matplotlib.ticker import NullLocator

    if panel.logarithmic:
        axis.set_xscale("log")
    if panel.ticks:
        # Words at every place would run into each other.
        step = max(1, -(-len(panel.ticks) // _TICKS))
        shown = sorted(panel.ticks)[::step]
        axis.set_xticks([place for place, _ in shown], [word for _, word in shown])
        axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel(panel.title.removesuffix(" (s)") if panel.logarithmic else panel.title)
    axis.tick_params(color=MUTED)
