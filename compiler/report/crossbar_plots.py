"""Figures of a profile of crossbars: where energy and time go, by component and by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .machine_map import WIDTH
from .profile_plots import (
    amount,
    axes_at,
    bar_axis,
    bar_label,
    bar_margin,
    energy_unit,
    percent,
    time_unit,
)
from .style import PHASES, Plot, style, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..profile.crossbar import CrossbarProfile

_MOST = 30  # bars of a panel
_CLIP = 38


def crossbar_plots(profile: CrossbarProfile) -> tuple[Plot, ...]:
    """All figures that a profile has something for, in the order of the page."""
    samples = max(profile.samples, 1)
    path = (profile.path.sum(axis=(1, 2)) / samples).tolist()
    times = {stage.title: seconds for stage, seconds in zip(profile.stages, path, strict=True)}
    panels = {"by component": _largest(profile.by_component), "by layer": profile.by_layer}
    waits = {"longest path, by layer": times}
    return tuple(
        plot
        for plot in (
            _bars("crossbar-energy", "Where energy goes", panels, "J"),
            _bars("crossbar-latency", "What steps wait for", waits, "s"),
        )
        if plot is not None
    )


def _largest(found: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(found.items(), key=lambda each: -each[1]))


def _bars(
    name: str, title: str, panels: Mapping[str, Mapping[str, float]], unit: str
) -> Plot | None:
    """Bars of values a sample, a panel for each; ``None`` where all are 0."""
    if not any(any(values.values()) for values in panels.values()):
        return None
    shown = {head: dict(list(values.items())[:_MOST]) for head, values in panels.items()}
    with style(name):
        svg = to_svg(_figure(shown, panels, unit), name)
    said = "; ".join(
        f"{head}: " + ", ".join(f"{what} {amount(v, unit)}" for what, v in values.items())
        for head, values in shown.items()
    )
    left = sum(len(values) for values in panels.values()) - sum(map(len, shown.values()))
    notes = (f"Not drawn: {left:,} more.",) if left else ()
    return Plot(name, title, svg, f"{title}, a sample. {said}.", notes)


def _figure(
    shown: Mapping[str, Mapping[str, float]], panels: Mapping[str, Mapping[str, float]], unit: str
) -> Figure:
    from matplotlib.figure import Figure

    top, row, between, bottom = 0.4, 0.3, 0.5, 0.5
    rows = sum(map(len, shown.values()))
    figure = Figure(figsize=(WIDTH, top + row * rows + between * (len(shown) - 1) + bottom))
    left = bar_margin([what for values in shown.values() for what in values], _CLIP)
    most = max(value for values in shown.values() for value in values.values())
    factor, prefixed = (energy_unit if unit == "J" else time_unit)(most)
    y = top
    for k, (head, values) in enumerate(shown.items()):
        total = sum(panels[head].values()) or 1.0
        axis = axes_at(figure, left, y, WIDTH - left - 0.3, row * len(values))
        for j, value in enumerate(values.values()):
            axis.barh(j, value * factor, height=0.66, color=PHASES[k])
            bar_label(axis, value * factor, j, f"{amount(value, unit)} · {percent(value / total)}")
        bar_axis(axis, list(values), most * factor, _CLIP)
        axis.set_title(head, fontweight="bold", fontsize=9.5)
        if k == len(shown) - 1:
            axis.set_xlabel(f"{prefixed} a sample")
        else:
            axis.tick_params(axis="x", labelbottom=False)
        y += row * len(values) + between
    return figure
