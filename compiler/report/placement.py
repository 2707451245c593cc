"""Figures of a mapping: who sits where, how full cores are, and what links carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from . import machine_map
from .data import LimitUse, MappingView
from .machine_map import (
    UNUSED,
    WIDTH,
    Array,
    Box,
    Grid,
    colour_bar,
    draw_cells,
    draw_shares,
    window,
)
from .style import BAR, INK, MUTED, WINNER, Plot, style, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST_NAME: Final = 28
# Okabe and Ito's palette and five of Tol's muted one, then a paler or darker form of each. No value
# is that of a role: images keep their colours on a dark ground, and the key has to keep them, too.
_CATEGORIES: Final = (
    "#0072b1", "#e69f01", "#009e72", "#cc79a6", "#56b4e8", "#d55e00",
    "#f0e442", "#6a5acd", "#882255", "#999933", "#44aa99", "#aa4499",
    "#8cc3e8", "#8f6200", "#8fdcc2", "#7d3f62", "#1f5f85", "#f2b48c",
    "#8c8313", "#c3bcf0", "#d68fae", "#d9d9a0", "#1d5c52", "#e3b3da",
)  # fmt: skip
_OTHERS: Final = "#8c959f"
_DOMINANT: Final = "population with most neurons in the core"
_MOST_BANDS: Final = 800  # populations in cores that are drawn one by one


def placement_plot(view: MappingView) -> Plot:
    """The population that has most of each core, and beside it how full the core is."""
    box, part = window(view)
    with style("placement"):
        svg = to_svg(_placement_figure(view, box), "placement")
    named = [f"{name}: {cores:,} cores" for name, _, cores, _ in view.cores_of[:40]]
    alt = (
        f"Grid of routers of {view.machine.title} with the population that has most neurons of "
        f"each of {view.parts:,} cores, and how full each core is. {'; '.join(named)}. "
        f"{view.sentence}"
    )
    notes = [part] if part else []
    if view.capacities:
        kinds = ", ".join(use.title for use in view.capacities)
        notes.append(f"A core is as full as the limit nearest to its bound in it, of: {kinds}.")
    shared = int((np.diff(view.held_ptr) > 1).sum())
    if shared:
        several = "1 core holds" if shared == 1 else f"{shared:,} cores hold"
        how = (
            "each has a share of the cell by its neurons, the one with most on the left"
            if _banded(view)
            else "the one with most neurons gives the colour"
        )
        notes.append(f"{several} several populations; {how}.")
    return Plot("placement", "Placement", svg, alt, tuple(notes))


def links_plot(view: MappingView) -> Plot | None:
    """The links that carry packets; ``None`` without any."""
    counted = (
        "Packets in the window in which spikes were counted."
        if view.counted
        else "Packets if every source spikes once: no rates were given."
    )
    return machine_map.links_plot(view, "links", "Load of the links", "Packets", (counted,))


def limits_plot(view: MappingView) -> Plot | None:
    """What cores or routers use of each limit, the fullest first; ``None`` without a limit."""
    if not view.limits:
        return None
    with style("limits"):
        svg = to_svg(_limits_figure(view.limits), "limits")
    parts = "; ".join(f"{use.title}: {use}" for use in view.limits)
    alt = f"Used against limit, each core or router from the fullest on. {parts}."
    notes = []
    if any(use.bound.obtained == "recalled" for use in view.limits):
        notes.append(
            "A limit that is recalled is dashed and in another colour: it is remembered or "
            "assumed, and the table below names its source."
        )
    return Plot("limits", "Used against limit", svg, alt, tuple(notes))


# -- placement -------------------------------------------------------------------------------------


def _placement_figure(view: MappingView, box: Box) -> Figure:
    from matplotlib.figure import Figure

    grid = Grid(view.machine, box)
    wide, high = grid.size
    flat = wide > 4 * high
    filling = bool(view.capacities)
    room = 8.6 if flat else 3.85
    # A cell of a core has at most 0.55 inches, so that a small machine makes a small figure.
    side = min(room / wide, 4.6 / high, max(0.55 * grid.cells[0], 0.9))
    panel = (max(side * wide, 0.55), max(side * high, 0.55))
    names, colours = _key(view)
    longest = max(len(name) for name, _ in [*names, ("no neuron", "")])
    columns = int(np.clip(9.2 / (0.55 + 0.082 * longest), 2, 6))
    rows = -(-(len(names) + 1) // columns)
    left, top, bottom, gap = 0.6, 0.35, 0.5 + 0.24 * rows, 0.75
    # The bar of the second panel stands below it, and beside the key where panels are stacked.
    height = top + panel[1] * (2 if flat and filling else 1) + bottom
    height += gap if flat and filling else 0.0
    figure = Figure(figsize=(WIDTH, height))

    def axes(x: float, y: float, size: tuple[float, float]) -> Axes:
        box_ = (x / WIDTH, (height - y - size[1]) / height, size[0] / WIDTH, size[1] / height)
        return figure.add_axes(box_)

    first = axes(left, top, panel)
    image = grid.blank()
    image[grid.pixel(view.seat)] = colours[view.dominant]
    draw_cells(first, grid, image, side)
    if _banded(view):
        _bands(first, grid, view, colours)
    first.set_title("populations in the core" if _banded(view) else _DOMINANT, pad=6)
    if filling:
        share, _ = view.fullest
        x, y = (left, top + panel[1] + gap) if flat else (left + max(panel[0], 2.8) + 0.75, top)
        second = axes(x, y, panel)
        draw_shares(second, grid, view.seat, share, side)
        second.set_title("share of the nearest limit in use", pad=6)
        # Not below the title of a narrow panel.
        bar = axes(x + max(panel[0], 2.35) + 0.14, y, (0.13, panel[1]))
        colour_bar(bar, 0.0, 1.0, ["0 %", "50 %", "100 %"])
    _legend(figure, names, height, left, rows, columns)
    return figure


def _banded(view: MappingView) -> bool:
    """Whether all populations of a core are drawn: not where the bands were finer than eyes."""
    return view.held.size <= _MOST_BANDS


def _bands(axis: Axes, grid: Grid, view: MappingView, colours: Array) -> None:
    """Each cell divided among its populations by neurons, the largest first from the left."""
    from matplotlib.collections import PolyCollection

    part = np.repeat(np.arange(view.parts), np.diff(view.held_ptr))
    order = np.lexsort((view.held, -view.held_neurons, part))
    neurons = view.held_neurons[order].astype(np.float64)
    total = np.add.reduceat(neurons, view.held_ptr[:-1])[part]
    before = np.cumsum(neurons) - neurons
    before -= before[view.held_ptr[:-1]][part]
    columns, rows = grid.cells
    row, column = grid.pixel(view.seat)
    x0 = grid.extent[0] + (column[part] + before / total) / columns
    x1 = x0 + neurons / total / columns
    y0 = grid.extent[2] + row[part] / rows
    y1 = y0 + 1 / rows
    corners = np.stack([x0, y0, x1, y0, x1, y1, x0, y1], 1).reshape(-1, 4, 2)
    bands = PolyCollection(
        list(corners), facecolors=colours[view.held[order]], edgecolors="none", zorder=1.5
    )
    axis.add_collection(bands, autolim=False)


def _key(view: MappingView) -> tuple[list[tuple[str, str]], Array]:
    """Names and colours of the key, and the colour of each population.

    Of more populations than colours those that have fewest cores share one.
    """
    from matplotlib.colors import to_rgba

    count = len(view.populations)
    cores = np.bincount(view.dominant, minlength=count)
    shown = np.arange(count)
    if count > len(_CATEGORIES):
        shown = np.sort(np.argsort(-cores, kind="stable")[: len(_CATEGORIES) - 1])
    colours = np.tile(np.asarray(to_rgba(_OTHERS)), (count, 1))
    key = []
    for k, population in enumerate(shown.tolist()):
        colours[population] = to_rgba(_CATEGORIES[k])
        key.append((_short(view.populations[population]), _CATEGORIES[k]))
    if len(shown) < count:
        key.append((f"{count - len(shown)} other populations", _OTHERS))
    return key, colours


def _short(name: str) -> str:
    """Begin and end of a long name: in between names of layers rarely differ."""
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


def _legend(
    figure: Figure,
    names: list[tuple[str, str]],
    height: float,
    left: float,
    rows: int,
    columns: int,
) -> None:
    from matplotlib.patches import Patch

    keys = [Patch(facecolor=colour, edgecolor="none", label=name) for name, colour in names]
    keys.append(Patch(facecolor=UNUSED, edgecolor="none", label="no neuron"))
    # A name that begins with an underscore is not left out if it is handed over as a label.
    figure.legend(
        keys,
        [name for name, _ in names] + ["no neuron"],
        loc="lower left",
        bbox_to_anchor=((left - 0.1) / WIDTH, 0.02 / height),
        ncols=min(columns, len(keys)),
        columnspacing=1.6,
        handlelength=1.2,
        handleheight=1.0,
        borderpad=0.0,
    )


# -- limits ----------------------------------------------------------------------------------------


def _limits_figure(limits: tuple[LimitUse, ...]) -> Figure:
    from matplotlib.figure import Figure

    columns = 2 if len(limits) > 1 else 1
    rows = -(-len(limits) // columns)
    tall, left, right, top, bottom, between, beside = 0.75, 0.85, 0.2, 0.35, 0.5, 0.72, 0.95
    height = top + rows * tall + (rows - 1) * between + bottom
    wide = (WIDTH - left - right - beside) / 2
    figure = Figure(figsize=(WIDTH, height))
    for k, use in enumerate(limits):
        row, column = divmod(k, columns)
        y = height - top - row * (tall + between) - tall
        x = left + column * (wide + beside)
        axis = figure.add_axes((x / WIDTH, y / height, wide / WIDTH, tall / height))
        _limit_panel(axis, use)
    return figure


def _limit_panel(axis: Axes, use: LimitUse) -> None:
    from matplotlib.ticker import MaxNLocator

    recalled = use.bound.obtained == "recalled"
    ordered = np.sort(use.used)[::-1]
    count, bound = ordered.size, use.bound.value
    edges = np.arange(count + 1) + 0.5
    if count > 600:
        # Steps of a rank that is finer than a screen's dots: the most of each stands for it.
        first = np.unique(np.linspace(0, count - 1, 600).astype(np.int64))
        ordered, edges = ordered[first], np.append(first, count) + 0.5
    axis.stairs(ordered, edges, baseline=0, fill=True, color=BAR)
    axis.axhline(
        bound,
        color=WINNER if recalled else INK,
        linewidth=1.4,
        linestyle=(0, (4, 2)) if recalled else "-",
        zorder=3,
    )
    ceiling = max(float(ordered.max(initial=0)), bound, 1e-9)
    axis.set_ylim(0, ceiling * 1.12)
    axis.set_xlim(0.5, count + 0.5)
    mark = f"{bound:,.0f}" + ("\n? recalled" if recalled else "")
    axis.set_yticks([0, bound] if bound else [0], ["0", mark] if bound else [mark])
    if recalled:
        axis.get_yticklabels()[-1].set_color(WINNER)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.tick_params(labelsize=8.5)
    axis.set_title(use.title, fontweight="bold", fontsize=9.0, pad=5)
    share = "over" if use.share > 1 else f"{use.share:.1%}".replace("%", " %")
    most = f"{use.most:,} · {share} · {use.at} {use.worst}"
    axis.set_title(most, loc="right", fontsize=8.0, color=MUTED, pad=5)
    axis.set_xlabel(f"{use.at}s, the fullest first", fontsize=8.5, color=MUTED, labelpad=1)
