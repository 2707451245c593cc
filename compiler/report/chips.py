"""The figure of a Monte Carlo study: every chip against each condition that varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .style import INK, MUTED, PHASES, Form, style, to_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Lines that can be told from each other; of more, only what all have in common is coloured.
_COLOURS: Final = (*PHASES[:4], "#8c6d00", "#56b4e9")
_TICKS: Final = 6
_LONG: Final = 40


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


def plot_chips(
    panels: Sequence[Panel], title: str, reference: float | None, *, form: Form = "svg"
) -> bytes:
    """Points are chips, lines their means; ``title`` is of the values, all in %.

    ``reference`` is the integer rung's value, which chips are beside.
    """
    with style("chips"):
        return to_bytes(_figure(panels, title, reference), "chips", form)


def _figure(panels: Sequence[Panel], title: str, reference: float | None) -> Figure:
    from matplotlib.figure import Figure

    # Each panel has its labels of lines beneath it.
    most = max(len(panel.lines) for panel in panels)
    tall = 3.3 + 0.2 * (most if most > 1 else 0)
    figure = Figure(figsize=(4.2 * len(panels), tall), layout="constrained")
    first = None
    for number, panel in enumerate(panels):
        axis = figure.add_subplot(1, len(panels), number + 1, sharey=first)
        first = first or axis
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
            if len(label) > _LONG:
                label = label[: _LONG - 1] + "…"
            axis.plot(places, means, "-", color=colour, linewidth=1.6, label=label, zorder=3)
        if reference is not None:
            axis.axhline(reference, color=INK, linestyle="--", linewidth=1.0, label="integer rung")
        _axis(axis, panel)
        if not number:
            axis.set_ylabel(title)
        axis.grid(axis="y")
        axis.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.2),
            ncols=1 if several else 2,
            title="dots: each chip, lines: their mean" if several else "dots: each chip",
            title_fontsize=9.0,
            handlelength=1.6,
        )
    return figure


def _axis(axis: object, panel: Panel) -> None:
    from matplotlib.axes import Axes
    from matplotlib.ticker import NullLocator

    assert isinstance(axis, Axes)
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
