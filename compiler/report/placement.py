"""Figures of a mapping: who sits where, how full cores are, and what links carry.

Routers are drawn on the grid of their numbers, row 0 below as in the addresses of the chips, each
with its cores as sub-cells from the left and the top; those of ``triads``, too, and the leaves of a
tree as a row. However many cores there are, a panel is one image and a handful of paths.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ...boards.machine import STEPS, Machine
from .data import LimitUse, MappingView
from .style import BAR, GRID, INK, MUTED, PAPER, WINNER, WRONG, Plot, style, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

_WIDTH: Final = 10.0  # inches, as all figures of the report
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
_UNUSED: Final = (0.5, 0.5, 0.5, 0.2)
_DOMINANT: Final = "population with most neurons in the core"
_MOST_BANDS: Final = 800  # populations in cores that are drawn one by one
_MOST_LABELS: Final = 160  # cells with a number in them
_MOST_NODES: Final = 600  # routers drawn as squares below the links
_MOST_BORDERS: Final = 1600  # routers with a border of their own
_LEVELS: Final = 12  # colours and widths of links: each is one path

Box = tuple[int, int, int, int]
Array = npt.NDArray[Any]


def placement_plot(view: MappingView) -> Plot:
    """The population that has most of each core, and beside it how full the core is."""
    box, part = _window(view)
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
    """The links that carry packets, wider and in another colour for more; ``None`` without any."""
    if not view.link_load.size:
        return None
    box, part = _window(view, close_up=True)
    with style("links"):
        svg = to_svg(_links_figure(view, box), "links")
    alt = (
        f"Packets on {view.link_load.size:,} links in use, {int(view.link_load.min()):,} to "
        f"{int(view.link_load.max()):,}. {_worst(view)}."
    )
    notes = [part] if part else []
    notes.append(
        "Packets in the window in which spikes were counted."
        if view.counted
        else "Packets if every source spikes once: no rates were given."
    )
    if _logarithmic(view.link_load):
        notes.append("The scale is logarithmic: the loads are far apart.")
    if view.machine.topology != "tree":
        notes.append("A link keeps to the right of its direction, as on a road.")
    if view.machine.cyclic:
        notes.append("A stub at the edge is a link that wraps around to the other side.")
    return Plot("links", "Load of the links", svg, alt, tuple(notes))


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
            "A limit that is recalled is dashed and in another colour: its source is named below, "
            "and nobody here has measured it."
        )
    return Plot("limits", "Used against limit", svg, alt, tuple(notes))


# -- the part of the machine that is shown ---------------------------------------------------------


def _window(view: MappingView, *, close_up: bool = False) -> tuple[Box, str]:
    """Routers to be shown as (x0, x1, y0, y1), ends excluded, and a note if these are not all.

    Whole chips, or of a large chip that is nearly empty the surroundings of what is used; of links
    ``close_up``, as those that carry nothing are not drawn.
    """
    machine = view.machine
    width, height = machine.grid
    ends = [view.routers, view.link_start, view.link_end]
    used = np.unique(np.concatenate(ends))
    used = used[used < machine.router_count]
    y, x = np.divmod(used, width)
    wide, high = machine.routers
    box = (
        int(x.min()) // wide * wide,
        (int(x.max()) // wide + 1) * wide,
        int(y.min()) // high * high,
        (int(y.max()) // high + 1) * high,
    )
    close = (
        max(int(x.min()) - 1, box[0]),
        min(int(x.max()) + 2, box[1]),
        max(int(y.min()) - 1, box[2]),
        min(int(y.max()) + 2, box[3]),
    )
    if (close_up or _area(box) > 64) and 2 * _area(close) < _area(box):
        box = close
    if box == (0, width, 0, height):
        return box, ""
    return box, (
        f"Shown are columns {box[0]} to {box[1] - 1} and rows {box[2]} to {box[3] - 1} of "
        f"{width:,} x {height:,} routers; nothing is used elsewhere."
    )


def _area(box: Box) -> int:
    return (box[1] - box[0]) * (box[3] - box[2])


@dataclass(frozen=True)
class _Grid:
    """The shown routers, and how the cores of each are arranged: ``columns`` x ``rows``."""

    machine: Machine
    box: Box

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of routers."""
        return self.box[1] - self.box[0], self.box[3] - self.box[2]

    @property
    def cells(self) -> tuple[int, int]:
        """Columns and rows of cores in a router."""
        cores = self.machine.cores_per_router
        columns = ceil(sqrt(cores))
        return columns, -(-cores // columns)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        x0, x1, y0, y1 = self.box
        return x0 - 0.5, x1 - 0.5, y0 - 0.5, y1 - 0.5

    def present(self) -> Array:
        """Whether there is a router, shape (rows, columns) of the shown part."""
        there = np.ones(self.size[::-1], np.bool_)
        for x, y in self.machine.absent:
            if self.box[0] <= x < self.box[1] and self.box[2] <= y < self.box[3]:
                there[y - self.box[2], x - self.box[0]] = False
        return there

    def pixel(self, core: Array) -> tuple[Array, Array]:
        """Row and column of each core in the image, row 0 below."""
        columns, rows = self.cells
        router, k = np.divmod(core, self.machine.cores_per_router)
        y, x = np.divmod(router, self.machine.grid[0])
        return (
            (y - self.box[2]) * rows + rows - 1 - k // columns,
            (x - self.box[0]) * columns + k % columns,
        )

    def blank(self) -> Array:
        """The image without a core in use: grey where there is a core, else clear."""
        columns, rows = self.cells
        y, x = np.nonzero(self.present())
        router = (y + self.box[2]) * self.machine.grid[0] + x + self.box[0]
        cores = self.machine.cores_per_router
        every = (router[:, None] * cores + np.arange(cores)).ravel()
        image = np.zeros((self.size[1] * rows, self.size[0] * columns, 4))
        image[self.pixel(every)] = _UNUSED
        return image

    def chips(self) -> Array:
        """A number for the chip of each router and of those around; -1 where there is no router."""
        width, height = self.machine.grid
        x = np.arange(self.box[0] - 1, self.box[1] + 1)
        y = np.arange(self.box[2] - 1, self.box[3] + 1)[:, None]
        chip = y // self.machine.routers[1] * self.machine.chips[0] + x // self.machine.routers[0]
        chip = np.where((x >= 0) & (x < width) & (y >= 0) & (y < height), chip, -1)
        for column, row in self.machine.absent:
            chip[(y[:, 0] == row)[:, None] & (x == column)] = -1
        return chip


def _outline(grid: _Grid, of: Array) -> tuple[Array, Array]:
    """The lines between fields of different numbers, as one path with gaps."""
    x0, y0 = grid.box[0] - 0.5, grid.box[2] - 0.5
    row, column = np.nonzero(of[1:-1, 1:] != of[1:-1, :-1])
    across, below = np.nonzero(of[1:, 1:-1] != of[:-1, 1:-1])
    x = np.concatenate([column, below]) + x0
    y = np.concatenate([row, across]) + y0
    upright = np.arange(x.size) < row.size
    return _path(x, y, np.where(upright, x, x + 1), np.where(upright, y + 1, y))


def _path(x0: Array, y0: Array, x1: Array, y1: Array) -> tuple[Array, Array]:
    """Segments as one path with gaps: a fraction of the size of one path each."""
    gap = np.full(x0.size, np.nan)
    return np.stack([x0, x1, gap], 1).ravel(), np.stack([y0, y1, gap], 1).ravel()


def _shades() -> Colormap:
    """Dark for little, light for much: apart for every eye, and seen on either ground."""
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap

    whole = matplotlib.colormaps["viridis"]
    return LinearSegmentedColormap.from_list("share", whole(np.linspace(0.08, 0.94, 32)), 32)


# -- placement -------------------------------------------------------------------------------------


def _placement_figure(view: MappingView, box: Box) -> Figure:
    from matplotlib.figure import Figure

    grid = _Grid(view.machine, box)
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
    figure = Figure(figsize=(_WIDTH, height))

    def axes(x: float, y: float, size: tuple[float, float]) -> Axes:
        box_ = (x / _WIDTH, (height - y - size[1]) / height, size[0] / _WIDTH, size[1] / height)
        return figure.add_axes(box_)

    first = axes(left, top, panel)
    image = grid.blank()
    image[grid.pixel(view.seat)] = colours[view.dominant]
    _cells(first, grid, image, side)
    if _banded(view):
        _bands(first, grid, view, colours)
    first.set_title("populations in the core" if _banded(view) else _DOMINANT, pad=6)
    if filling:
        share, _ = view.fullest
        x, y = (left, top + panel[1] + gap) if flat else (left + max(panel[0], 2.8) + 0.75, top)
        second = axes(x, y, panel)
        shades = _shades()
        image = grid.blank()
        image[grid.pixel(view.seat)] = shades(np.minimum(share, 1.0))
        _cells(second, grid, image, side)
        second.set_title("share of the nearest limit in use", pad=6)
        points = side * 72 / grid.cells[0]
        if view.parts <= _MOST_LABELS and points > 15:
            _percentages(second, grid, view, share, shades, min(8.0, points * 0.42))
        # Not below the title of a narrow panel.
        bar = axes(x + max(panel[0], 2.35) + 0.14, y, (0.13, panel[1]))
        _bar(bar, shades, 0.0, 1.0, ["0 %", "50 %", "100 %"])
    _legend(figure, names, height, left, rows, columns)
    return figure


def _banded(view: MappingView) -> bool:
    """Whether all populations of a core are drawn: not where the bands were finer than eyes."""
    return view.held.size <= _MOST_BANDS


def _bands(axis: Axes, grid: _Grid, view: MappingView, colours: Array) -> None:
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


def _cells(axis: Axes, grid: _Grid, image: Array, side: float) -> None:
    axis.imshow(
        image, origin="lower", extent=grid.extent, interpolation="none", aspect="auto", zorder=1
    )
    wide, high = grid.size
    if wide * high <= _MOST_BORDERS:
        x0, x1, y0, y1 = grid.extent
        columns, rows = grid.cells
        # Thin lines between cores, thick ones between routers.
        for parts, width in (((columns, rows), 0.025), ((1, 1), 0.06)):
            if parts != (1, 1) and (grid.machine.cores_per_router == 1 or wide * high > 400):
                continue
            upright = np.arange(wide * parts[0] + 1) / parts[0] + x0
            level = np.arange(high * parts[1] + 1) / parts[1] + y0
            x, y = _path(
                np.concatenate([upright, np.full(level.size, x0)]),
                np.concatenate([np.full(upright.size, y0), level]),
                np.concatenate([upright, np.full(level.size, x1)]),
                np.concatenate([np.full(upright.size, y1), level]),
            )
            axis.plot(x, y, color=PAPER, linewidth=min(side * 72 * width, 3.5), zorder=2)
    x, y = _outline(grid, grid.chips())
    chip = side * 72 * min(grid.machine.routers)
    thin = float(np.clip(0.04 * chip, 0.4, 1.0))
    axis.plot(x, y, color=INK, linewidth=thin, solid_capstyle="projecting", clip_on=False, zorder=3)
    _frame(axis, grid)


def _frame(axis: Axes, grid: _Grid) -> None:
    from matplotlib.ticker import MaxNLocator

    x0, x1, y0, y1 = grid.extent
    axis.set_xlim(x0, x1)
    axis.set_ylim(y0, y1)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0, labelsize=8.5, labelcolor=MUTED)
    tree = grid.machine.topology == "tree"
    name = "leaf" if tree else "router" if grid.machine.grid[1] == 1 else "router, column"
    axis.set_xlabel(name, fontsize=8.5, color=MUTED, labelpad=2)
    for scale, count in ((axis.xaxis, grid.size[0]), (axis.yaxis, grid.size[1])):
        scale.set_major_locator(MaxNLocator(min(count, 8), integer=True, min_n_ticks=1))
    if grid.size[1] == 1:
        axis.set_yticks([])
    else:
        axis.set_ylabel("row", fontsize=8.5, color=MUTED, labelpad=2)


def _percentages(
    axis: Axes, grid: _Grid, view: MappingView, share: Array, shades: Colormap, size: float
) -> None:
    columns, rows = grid.cells
    row, column = grid.pixel(view.seat)
    x = grid.extent[0] + (column + 0.5) / columns
    y = grid.extent[2] + (row + 0.5) / rows
    for px, py, value in zip(x.tolist(), y.tolist(), share.tolist(), strict=True):
        red, green, blue, _ = shades(min(value, 1.0))
        ink = "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "#ffffff"
        label = f"{value * 100:.0f}" if value >= 0.01 or value == 0 else "<1"
        axis.text(px, py, label, ha="center", va="center", fontsize=size, color=ink, zorder=4)


def _bar(axis: Axes, shades: Colormap, low: float, high: float, labels: list[str]) -> None:
    axis.imshow(
        shades(np.linspace(0, 1, 32))[:, None, :],
        origin="lower",
        extent=(0, 1, low, high),
        aspect="auto",
        interpolation="none",
    )
    axis.set_xticks([])
    axis.yaxis.tick_right()
    axis.set_yticks(np.linspace(low, high, len(labels)), labels, fontsize=8.5)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


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
    keys.append(Patch(facecolor=_UNUSED, edgecolor="none", label="no neuron"))
    # A name that begins with an underscore is not left out if it is handed over as a label.
    figure.legend(
        keys,
        [name for name, _ in names] + ["no neuron"],
        loc="lower left",
        bbox_to_anchor=((left - 0.1) / _WIDTH, 0.02 / height),
        ncols=min(columns, len(keys)),
        columnspacing=1.6,
        handlelength=1.2,
        handleheight=1.0,
        borderpad=0.0,
    )


# -- links -----------------------------------------------------------------------------------------


def _worst(view: MappingView) -> str:
    worst = int(view.link_load.argmax())
    start, end = int(view.link_start[worst]), int(view.link_end[worst])
    return (
        f"Most on {_node(view.machine, start)} → {_node(view.machine, end)}: "
        f"{int(view.link_load[worst]):,} packets"
    )


def _node(machine: Machine, number: int) -> str:
    if number >= machine.router_count:
        return f"switch {number}"
    if machine.grid[1] == 1:
        return f"router {number}"
    x, y = machine.place(number)
    return f"router {number} ({x}, {y})"


def _links_figure(view: MappingView, box: Box) -> Figure:
    from matplotlib.figure import Figure

    machine = view.machine
    grid = _Grid(machine, box)
    tree = machine.topology == "tree"
    wide, high = grid.size
    if tree:
        high = len(machine.arity) + 1
    room = 8.2
    side = min(room / wide, 5.6 / high, 0.95)
    tall = min(side * high, 5.6)
    if tree:
        # A tree's levels are apart, however many leaves there are.
        tall = max(0.85 * high, tall)
    elif high == 1:
        tall = max(tall, 0.7)
    left, top, bottom = 0.6, 0.4, 0.5
    height = top + tall + bottom
    figure = Figure(figsize=(_WIDTH, height))
    panel = max(side * wide, 0.7)
    axis = figure.add_axes((left / _WIDTH, bottom / height, panel / _WIDTH, tall / height))
    x0, y0, x1, y1, index = _tree_lines(view) if tree else _grid_lines(view, box)
    if not tree:
        present = grid.present()
        if present.size <= _MOST_NODES:
            row, column = np.nonzero(present)
            axis.plot(
                column + box[0],
                row + box[2],
                "s",
                color=GRID,
                markersize=min(side, 1.0) * 72 * 0.3,
                markeredgewidth=0,
                zorder=1,
            )
    level = _levels(view.link_load)[index]
    shades = _shades()
    thickest = float(np.clip(side * 72 * (0.3 if tree else 0.13), 1.0, 7.0))
    for step in range(_LEVELS):
        chosen = level == step
        if chosen.any():
            share = (step + 0.5) / _LEVELS
            axis.plot(
                *_path(x0[chosen], y0[chosen], x1[chosen], y1[chosen]),
                color=shades(share),
                linewidth=max(0.6, thickest * share),
                solid_capstyle="butt",
                zorder=2 + step / _LEVELS,
            )
    _mark_worst(axis, view, (x0, y0, x1, y1, index), thickest)
    _frame(axis, grid)
    if tree:
        axis.set_ylim(-0.3, len(machine.arity) + 0.3)
        axis.set_ylabel("")
        axis.set_yticks(
            range(len(machine.arity) + 1), ["leaves", *[""] * (len(machine.arity) - 1), "root"]
        )
    figure.text(
        left / _WIDTH, 1 - 0.24 / height, _worst(view), color=WRONG, fontsize=9.5, va="center"
    )
    bar = figure.add_axes(
        ((left + panel + 0.2) / _WIDTH, bottom / height, 0.13 / _WIDTH, tall / height)
    )
    most = int(view.link_load.max())
    low = int(view.link_load.min()) if _logarithmic(view.link_load) else 0
    middle = sqrt(low * most) if low else most / 2
    labels = [f"{low:,}", f"{middle:,.0f}", f"{most:,}"]
    _bar(bar, shades, 0, 1, labels if most > 1 else ["0", f"{most}"])
    bar.set_xlabel("packets", fontsize=8.5, color=MUTED, labelpad=9)
    return figure


def _logarithmic(load: Array) -> bool:
    """Whether most links would look alike on a linear scale."""
    return bool(load.min() > 0 and load.max() > 20 * np.median(load))


def _levels(load: Array) -> Array:
    """The colour of each load, 0 to `_LEVELS` - 1."""
    most = max(int(load.max()), 1)
    share = load / most
    if _logarithmic(load):
        low = float(load.min())
        share = np.log(load / low) / np.log(most / low)
    return np.minimum((share * _LEVELS).astype(np.int64), _LEVELS - 1)


def _grid_lines(view: MappingView, box: Box) -> tuple[Array, Array, Array, Array, Array]:
    """Lines of the links and the link of each; one that wraps around is two stubs."""
    machine = view.machine
    width, height = machine.grid
    ya, xa = np.divmod(view.link_start, width)
    yb, xb = np.divmod(view.link_end, width)
    steps = np.asarray(STEPS[machine.topology])
    dx, dy = xb - xa, yb - ya
    # Of a wrapping link the step that leads around; the last that fits, were there two.
    for sx, sy in steps.tolist():
        fits = ((dx - sx) % width == 0) & ((dy - sy) % height == 0)
        near = (np.abs(dx) <= 1) & (np.abs(dy) <= 1)
        dx, dy = np.where(fits & ~near, sx, dx), np.where(fits & ~near, sy, dy)
    wraps = (xa + dx != xb) | (ya + dy != yb)
    length = np.maximum(np.hypot(dx, dy), 1e-9)
    # To the right of the direction, and short of the middles of routers, whose squares stay seen.
    aside = 0.09
    ox, oy = dy / length * aside, -dx / length * aside
    cut = 0.16 if _area(box) <= _MOST_NODES else 0.05
    cut_x, cut_y = dx / length * cut, dy / length * cut
    inner, stub = ~wraps, wraps
    x0 = np.concatenate([(xa + cut_x)[inner], (xa + cut_x)[stub], (xb - dx * 0.48)[stub]])
    y0 = np.concatenate([(ya + cut_y)[inner], (ya + cut_y)[stub], (yb - dy * 0.48)[stub]])
    x1 = np.concatenate([(xb - cut_x)[inner], (xa + dx * 0.48)[stub], (xb - cut_x)[stub]])
    y1 = np.concatenate([(yb - cut_y)[inner], (ya + dy * 0.48)[stub], (yb - cut_y)[stub]])
    index = np.concatenate([np.flatnonzero(inner), np.flatnonzero(stub), np.flatnonzero(stub)])
    return x0 + ox[index], y0 + oy[index], x1 + ox[index], y1 + oy[index], index


def _tree_lines(view: MappingView) -> tuple[Array, Array, Array, Array, Array]:
    """Lines of the links of a tree, those towards the root on the left of those to the leaves."""
    arity = view.machine.arity
    sizes = np.cumprod([1, *arity])[::-1]
    x = [np.arange(sizes[0], dtype=np.float64)]
    for children in arity[::-1]:
        x.append(x[-1].reshape(-1, children).mean(axis=1))
    place = np.concatenate(x)
    level = np.repeat(np.arange(sizes.size), sizes)
    start, end = view.link_start, view.link_end
    up = level[end] > level[start]
    aside = np.where(up, -0.12, 0.12)
    index = np.arange(start.size)
    return (
        place[start] + aside,
        level[start].astype(np.float64),
        place[end] + aside,
        level[end].astype(np.float64),
        index,
    )


def _mark_worst(
    axis: Axes, view: MappingView, lines: tuple[Array, Array, Array, Array, Array], thickest: float
) -> None:
    x0, y0, x1, y1, index = lines
    chosen = index == int(view.link_load.argmax())
    x, y = _path(x0[chosen], y0[chosen], x1[chosen], y1[chosen])
    axis.plot(x, y, color=WRONG, linewidth=thickest + 3.5, solid_capstyle="butt", zorder=1.9)


# -- limits ----------------------------------------------------------------------------------------


def _limits_figure(limits: tuple[LimitUse, ...]) -> Figure:
    from matplotlib.figure import Figure

    columns = 2 if len(limits) > 1 else 1
    rows = -(-len(limits) // columns)
    tall, left, right, top, bottom, between, beside = 0.75, 0.85, 0.2, 0.35, 0.5, 0.72, 0.95
    height = top + rows * tall + (rows - 1) * between + bottom
    wide = (_WIDTH - left - right - beside) / 2
    figure = Figure(figsize=(_WIDTH, height))
    for k, use in enumerate(limits):
        row, column = divmod(k, columns)
        y = height - top - row * (tall + between) - tall
        x = left + column * (wide + beside)
        axis = figure.add_axes((x / _WIDTH, y / height, wide / _WIDTH, tall / height))
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
