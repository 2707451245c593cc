"""Figures of profiles of circuits: where energy and time go, by component and by layer."""

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
    from ..profile.sfq import SfqProfile

_MOST = 30  # bars of a panel
_CLIP = 38


def crossbar_plots(profile: CrossbarProfile) -> tuple[Plot, ...]:
    """All figures of crossbars that a profile has something for, in the order of the page."""
    samples = max(profile.samples, 1)
    path = (profile.path.sum(axis=(1, 2)) / samples).tolist()
    times = {stage.title: seconds for stage, seconds in zip(profile.stages, path, strict=True)}
    panels = {"by component": _largest(profile.by_component), "by layer": profile.by_layer}
    waits = {"longest path, by layer": times}
    return _drawn(
        _bars("crossbar-energy", "Where energy goes", panels, "J"),
        _bars("crossbar-latency", "What steps wait for", waits, "s"),
    )


def sfq_plots(profile: SfqProfile) -> tuple[Plot, ...]:
    """All figures of cells that a profile has something for, in the order of the page."""
    samples = max(profile.samples, 1)
    way = {
        f"{share.layer}: {what}": seconds
        for share in profile.shares
        for what, seconds in (
            ("delay lines", share.delays),
            ("cells", share.cells),
            ("waiting for the clock", share.waiting),
        )
        if seconds
    }
    pulses = profile.switching.sum(axis=(1, 2)) / samples
    switching = dict(zip(profile.layers, pulses.tolist(), strict=True))
    room = {"by component": _largest(profile.by_component)}
    return _drawn(
        _bars("sfq-latency", "From an input to a spike", {"by layer": way}, "s", "a step"),
        _bars("sfq-energy", "Where energy goes, with cooling", room, "J"),
        _bars("sfq-switching", "What pulses take in the cold", {"by layer": switching}, "J"),
    )


def _drawn(*plots: Plot | None) -> tuple[Plot, ...]:
    return tuple(plot for plot in plots if plot is not None)


def _largest(found: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(found.items(), key=lambda each: -each[1]))


def _bars(
    name: str,
    title: str,
    panels: Mapping[str, Mapping[str, float]],
    unit: str,
    each: str = "a sample",
) -> Plot | None:
    """Bars of values of ``each``, a panel for each; ``None`` where all are 0."""
    if not any(any(values.values()) for values in panels.values()):
        return None
    shown = {head: dict(list(values.items())[:_MOST]) for head, values in panels.items()}
    with style(name):
        svg = to_svg(_figure(shown, panels, unit, each), name)
    said = "; ".join(
        f"{head}: " + ", ".join(f"{what} {amount(v, unit)}" for what, v in values.items())
        for head, values in shown.items()
    )
    left = sum(len(values) for values in panels.values()) - sum(map(len, shown.values()))
    notes = (f"Not drawn: {left:,} more.",) if left else ()
    return Plot(name, title, svg, f"{title}, {each}. {said}.", notes)


def _figure(
    shown: Mapping[str, Mapping[str, float]],
    panels: Mapping[str, Mapping[str, float]],
    unit: str,
    each: str,
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
            axis.set_xlabel(f"{prefixed} {each}")
        else:
            axis.tick_params(axis="x", labelbottom=False)
        y += row * len(values) + between
    return figure
